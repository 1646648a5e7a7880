//! A simulated mapped file for tests.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::error::Result;
use crate::geometry::align_outward;
use crate::paging::{
    AccessPattern, FAULT_AROUND_BYTES, FileVersion, Granularity, MAX_FOLIO_BYTES,
    MappingRegistration, Pager,
};

pub(crate) const PAGE: usize = 4096;

/// A simulated page cache. Every page fault makes a whole folio and 64 KiB of addresses resident.
/// Page operations are counted.
#[derive(Debug)]
pub(crate) struct Model {
    addresses: Range<usize>,
    file_origin: usize,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    resident: BTreeSet<usize>,
    pinned: BTreeMap<usize, usize>,
    peak: usize,
    prefaulted: usize,
    evicted: usize,
}

impl Model {
    /// Registers a mapping at these addresses of a file that starts at address `file_origin`.
    pub(crate) fn registered(
        addresses: Range<usize>,
        file_origin: usize,
    ) -> (Arc<Self>, MappingRegistration) {
        let model = Arc::new(Self { addresses, file_origin, pages: Mutex::default() });
        (Arc::clone(&model), MappingRegistration::new(model))
    }

    /// Returns the maximum number of pages that were resident at once.
    pub(crate) fn peak(&self) -> usize {
        self.pages.lock().unwrap().peak
    }

    /// Returns the number of prefaulted pages, counting repetitions.
    pub(crate) fn prefaulted(&self) -> usize {
        self.pages.lock().unwrap().prefaulted
    }

    /// Returns the number of evicted folios, counting repetitions.
    pub(crate) fn evicted(&self) -> usize {
        self.pages.lock().unwrap().evicted
    }

    /// Returns whether no page is resident or pinned.
    pub(crate) fn is_idle(&self) -> bool {
        let pages = self.pages.lock().unwrap();
        pages.resident.is_empty() && pages.pinned.is_empty()
    }

    pub(crate) fn touch(&self, range: Range<usize>) {
        let mut pages = self.pages.lock().unwrap();
        for page in range.start / PAGE..range.end.div_ceil(PAGE) {
            if !pages.resident.contains(&page) {
                for (unit, file_origin) in
                    [(MAX_FOLIO_BYTES, self.file_origin), (FAULT_AROUND_BYTES, 0)]
                {
                    let around = align_outward(&(page * PAGE..page * PAGE + 1), unit, file_origin);
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
        self.file_origin
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn file(&self) -> Option<Arc<std::fs::File>> {
        None
    }

    fn read_file(&self, _range: Range<usize>) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn file_version(&self) -> Result<Option<FileVersion>> {
        Ok(None)
    }

    fn flush(&self, _range: Range<usize>) -> Result<()> {
        Ok(())
    }

    fn register_pass(&self, _access: AccessPattern) {}

    fn unregister_pass(&self, _access: AccessPattern) {}

    fn pin(&self, range: Range<usize>, _grain: Granularity) {
        let mut pages = self.pages.lock().unwrap();
        (range.start / PAGE..range.end.div_ceil(PAGE))
            .for_each(|page| *pages.pinned.entry(page).or_default() += 1);
    }

    fn needs_allocation(&self) -> bool {
        false
    }

    fn is_random(&self) -> bool {
        false
    }

    fn prefault(&self, range: Range<usize>) -> Result<()> {
        self.pages.lock().unwrap().prefaulted += range.len() / PAGE;
        self.touch(range);
        Ok(())
    }

    fn prefault_exact(&self, range: Range<usize>, _write: bool) -> Result<()> {
        self.prefault(range)
    }

    fn unpin(&self, range: Range<usize>, _grain: Granularity) {
        let mut pages = self.pages.lock().unwrap();
        (range.start / PAGE..range.end.div_ceil(PAGE)).for_each(|page| {
            let count = pages.pinned.get_mut(&page).unwrap();
            *count -= 1;
            if *count == 0 {
                pages.pinned.remove(&page);
            }
        });
    }

    fn evict(&self, range: Range<usize>) {
        let mut pages = self.pages.lock().unwrap();
        let Pages { resident, pinned, evicted, .. } = &mut *pages;
        *evicted +=
            align_outward(&range, MAX_FOLIO_BYTES, self.file_origin).len() / MAX_FOLIO_BYTES;
        let gone: Vec<_> =
            resident.range(range.start / PAGE..range.end.div_ceil(PAGE)).copied().collect();
        gone.iter().filter(|page| !pinned.contains_key(page)).for_each(|page| {
            resident.remove(page);
        });
    }
}
