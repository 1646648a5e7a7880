//! A model of a mapped file, for tests.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::error::Result;
use crate::geometry::align_outward;
use crate::paging::{
    AccessPattern, FAULT_AROUND_BYTES, Granularity, MAX_FOLIO_BYTES, MappingRegistration, Pager,
};

pub(crate) const PAGE: usize = 4096;

/// A system that makes a whole window resident whenever a page of it is missed, and 64 KiB of addresses, and counts.
#[derive(Debug)]
pub(crate) struct Model {
    addresses: Range<usize>,
    origin: usize,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    resident: BTreeSet<usize>,
    held: BTreeMap<usize, usize>,
    peak: usize,
    wanted: usize,
    released: usize,
}

impl Model {
    /// Registers a mapping of these addresses, of a file that would begin at `origin`.
    pub(crate) fn registered(
        addresses: Range<usize>,
        origin: usize,
    ) -> (Arc<Self>, MappingRegistration) {
        let model = Arc::new(Self { addresses, origin, pages: Mutex::default() });
        (Arc::clone(&model), MappingRegistration::new(model))
    }

    /// Returns the most pages that have been resident at a time.
    pub(crate) fn peak(&self) -> usize {
        self.pages.lock().unwrap().peak
    }

    /// Returns how many pages have been asked for, each as often as that.
    pub(crate) fn wanted(&self) -> usize {
        self.pages.lock().unwrap().wanted
    }

    /// Returns how many windows have been released, each as often as that.
    pub(crate) fn released(&self) -> usize {
        self.pages.lock().unwrap().released
    }

    /// Whether no page is resident or held.
    pub(crate) fn is_idle(&self) -> bool {
        let pages = self.pages.lock().unwrap();
        pages.resident.is_empty() && pages.held.is_empty()
    }

    pub(crate) fn touch(&self, range: Range<usize>) {
        let mut pages = self.pages.lock().unwrap();
        for page in range.start / PAGE..range.end.div_ceil(PAGE) {
            if !pages.resident.contains(&page) {
                for (unit, origin) in [(MAX_FOLIO_BYTES, self.origin), (FAULT_AROUND_BYTES, 0)] {
                    let around = align_outward(&(page * PAGE..page * PAGE + 1), unit, origin);
                    let [start, end] = [around.start, around.end]
                        .map(|at| at.clamp(self.addresses.start, self.addresses.end));
                    pages.resident.extend(start / PAGE..end.div_ceil(PAGE));
                }
                pages.peak = pages.peak.max(pages.resident.len());
            }
        }
    }
}

impl Pager for Model {
    fn can_evict(&self) -> bool {
        true
    }

    fn addresses(&self) -> Range<usize> {
        self.addresses.clone()
    }

    fn path(&self) -> Option<&std::path::Path> {
        None
    }

    fn file_origin(&self) -> usize {
        self.origin
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn register_pass(&self, _access: AccessPattern) {}

    fn unregister_pass(&self, _access: AccessPattern) {}

    fn pin(&self, range: Range<usize>, _grain: Granularity) {
        let mut pages = self.pages.lock().unwrap();
        (range.start / PAGE..range.end.div_ceil(PAGE))
            .for_each(|page| *pages.held.entry(page).or_default() += 1);
    }

    fn needs_allocation(&self) -> bool {
        false
    }

    fn is_random(&self) -> bool {
        false
    }

    fn prefault(&self, range: Range<usize>) -> Result<()> {
        self.pages.lock().unwrap().wanted += range.len() / PAGE;
        self.touch(range);
        Ok(())
    }

    fn prefault_exact(&self, range: Range<usize>, _write: bool) -> Result<()> {
        self.prefault(range)
    }

    fn unpin(&self, range: Range<usize>, _grain: Granularity) {
        let mut pages = self.pages.lock().unwrap();
        (range.start / PAGE..range.end.div_ceil(PAGE)).for_each(|page| {
            let times = pages.held.get_mut(&page).unwrap();
            *times -= 1;
            if *times == 0 {
                pages.held.remove(&page);
            }
        });
    }

    fn evict(&self, range: Range<usize>) {
        let mut pages = self.pages.lock().unwrap();
        let Pages { resident, held, released, .. } = &mut *pages;
        *released += align_outward(&range, MAX_FOLIO_BYTES, self.origin).len() / MAX_FOLIO_BYTES;
        let gone: Vec<_> =
            resident.range(range.start / PAGE..range.end.div_ceil(PAGE)).copied().collect();
        gone.iter().filter(|page| !held.contains_key(page)).for_each(|page| {
            resident.remove(page);
        });
    }
}
