//! A mapping's pages as walks see them.
#![forbid(unsafe_code)]

mod pins;
mod prefaulted;
mod table;
mod units;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use self::pins::PinTable;
use self::prefaulted::PrefaultedMap;
use super::map::{Map, MapKind};
use super::os;
use crate::error::{Error, ErrorKind, Result};
use crate::paging::{AccessPattern, FAULT_AROUND_BYTES, Granularity, MAX_FOLIO_BYTES, Pager};
use crate::system;

/// The pages of a mapping.
#[derive(Debug)]
pub(super) struct Pages {
    /// Weak, so that a walk that is never ended, as one that is forgotten, keeps no file open.
    map: Weak<Map>,
    file: Weak<File>,
    /// Where the file is mapped.
    addresses: Range<usize>,
    path: Option<PathBuf>,
    /// Where in the file the mapping begins.
    offset: u64,
    kind: MapKind,
    /// Whether all that a walk may change is to be written: in files that are new, or lack the disk space.
    fills: AtomicBool,
    /// Whether the disk is read here and there.
    is_random: AtomicBool,
    /// What has been made resident to be read.
    prefaulted: PrefaultedMap,
    passes: Mutex<ActivePasses>,
    pins: PinTable,
}

/// The walks under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ActivePasses {
    in_order: usize,
    scattered: usize,
    page_by_page: usize,
}

impl ActivePasses {
    fn of(&mut self, access: AccessPattern) -> &mut usize {
        match access {
            AccessPattern::Sequential => &mut self.in_order,
            AccessPattern::Random => &mut self.scattered,
            AccessPattern::PageByPage => &mut self.page_by_page,
        }
    }

    /// Where pages are wanted one by one, that goes before.
    fn want_huge_pages(&self) -> bool {
        self.in_order > 0 && self.page_by_page == 0
    }
}

impl Pages {
    pub(super) fn new(
        map: &Arc<Map>,
        file: &Arc<File>,
        path: Option<&Path>,
        offset: u64,
        fills: bool,
    ) -> Self {
        let first = map.as_mut_ptr().map_or(0, |first| first as usize);
        let addresses = first..first + map.len();
        Self {
            map: Arc::downgrade(map),
            file: Arc::downgrade(file),
            prefaulted: PrefaultedMap::new(offset, addresses.len()),
            addresses,
            path: path.map(Path::to_path_buf),
            offset,
            kind: map.kind(),
            fills: AtomicBool::new(fills),
            is_random: AtomicBool::new(false),
            passes: Mutex::default(),
            pins: PinTable::new(offset, map.len()),
        }
    }

    /// The file is on disk: what a walk does not change need not be written any more.
    pub(super) fn set_filled(&self) {
        self.fills.store(false, Ordering::Relaxed);
    }

    pub(super) fn set_random(&self, is_random: bool) {
        self.is_random.store(is_random, Ordering::Relaxed);
    }

    /// Some of these bytes of the mapping are resident no more.
    pub(super) fn forget(&self, range: &Range<usize>) {
        self.prefaulted.forget(range);
    }

    /// Does the file hardly fit the system's cache?
    fn is_large(&self) -> bool {
        self.addresses.len() > system::ram_bytes_or_default() / 4
    }

    /// The range is one of the mapping.
    fn populate(&self, map: &Map, range: Range<usize>, write: bool) -> Result<()> {
        map.populate(range.clone(), write).map_err(|error| self.lost(range, error))
    }

    /// Makes pages resident that are to be read. The range is one of the mapping.
    ///
    /// Linux takes as long to find out that a page is mapped as to map it, but maps what is cached around one that is missed,
    /// by units of addresses, and looks through what is mapped quickly. So one page of each unit is made resident, and only if
    /// that was not enough all are.
    fn make_resident(&self, map: &Map, range: Range<usize>) -> Result<()> {
        let page = system::page_bytes();
        self.populate(map, range.start..range.end.min(range.start + page), false)?;
        // One page of the cache may be much larger.
        if !map.are_resident(range.end - 1..range.end) {
            let next =
                FAULT_AROUND_BYTES - (self.addresses.start + range.start) % FAULT_AROUND_BYTES;
            for unit in (range.start + next..range.end).step_by(FAULT_AROUND_BYTES) {
                self.populate(map, unit..range.end.min(unit + page), false)?;
            }
        }
        match map.are_resident(range.clone()) {
            true => Ok(()),
            false => self.populate(map, range, false),
        }
    }

    /// Why pages of the mapping cannot be made resident.
    fn lost(&self, range: Range<usize>, error: io::Error) -> Error {
        if let Err(shrunk) = self.check() {
            return shrunk;
        }
        let path = self.path.as_deref();
        if !os::is_efault(&error) {
            return Error::io("make pages resident", path, error);
        }
        let needed = range.len() as u64;
        let in_file = self.offset + range.start as u64..self.offset + range.end as u64;
        let file = self.file.upgrade();
        let available = file.as_ref().and_then(|file| os::free_space(file));
        match (available, file) {
            // Some file systems find space for holes that are only read.
            (Some(available), Some(file))
                if available < needed && os::has_holes(&file, &in_file) =>
            {
                Error::new(ErrorKind::StorageFull { needed, available }, path)
            }
            _ => Error::io("read it into memory, or find disk space for it", path, os::eio()),
        }
    }

    fn in_map(&self, range: &Range<usize>) -> Range<usize> {
        range.start - self.addresses.start..range.end - self.addresses.start
    }

    /// Counts walks, and tells the system what suits them. That is a favour only: if it fails, walks take longer.
    ///
    /// Linux reads ahead 2 MiB and more into one huge page of its cache where huge pages are wanted, which makes reading
    /// from disk twice as fast as its usual 128 KiB do. But where pages are let go one by one, and for accesses here and
    /// there, that is far too much.
    fn change(&self, change: impl FnOnce(&mut ActivePasses)) {
        if self.is_large() {
            // What has been read for one walk may be gone for the next.
            self.prefaulted.forget_all();
        }
        let mut passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *passes;
        change(&mut passes);
        let Some(map) = self.map.upgrade() else { return };
        if passes.want_huge_pages() != before.want_huge_pages()
            || passes.page_by_page > before.page_by_page
        {
            let _ = map.huge_pages(passes.want_huge_pages(), 0..map.len());
        }
    }

    /// Lets go of a range of the mapping. The pages of a file that the system's cache will hardly hold until the next walk
    /// comes by are the first that it should take memory from, and have to be read again; others stay in the cache.
    fn evict_now(&self, map: &Map, range: Range<usize>) {
        if self.is_large() {
            let _ = map.advise_cold(range.clone());
        }
        let _ = map.release(range.clone());
        if self.is_large() {
            self.prefaulted.forget(&range);
        }
    }
}

impl Pager for Pages {
    fn can_release(&self) -> bool {
        self.kind != MapKind::Private
    }

    fn addresses(&self) -> Range<usize> {
        self.addresses.clone()
    }

    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn origin(&self) -> usize {
        self.addresses.start.wrapping_sub(self.offset as usize)
    }

    fn check(&self) -> Result<()> {
        let Some(file) = self.file.upgrade() else { return Ok(()) };
        check_length(&file, self.offset + self.addresses.len() as u64, self.path.as_deref())
    }

    fn register_pass(&self, access: AccessPattern) {
        self.change(|passes| *passes.of(access) += 1);
    }

    fn unregister_pass(&self, access: AccessPattern) {
        self.change(|passes| *passes.of(access) -= 1);
    }

    fn pin(&self, range: Range<usize>, granularity: Granularity) {
        self.pins.pin(self.in_map(&range), granularity);
    }

    fn unpin(&self, range: Range<usize>, granularity: Granularity) {
        self.pins.unpin(self.in_map(&range), granularity);
    }

    fn needs_allocation(&self) -> bool {
        self.fills.load(Ordering::Relaxed)
    }

    fn is_random(&self) -> bool {
        self.is_random.load(Ordering::Relaxed)
    }

    fn prefault(&self, range: Range<usize>) -> Result<()> {
        let (Some(map), Some(file)) = (self.map.upgrade(), self.file.upgrade()) else {
            return Ok(());
        };
        self.prefaulted.make(&self.in_map(&range), |missing| {
            if exceeds_half_of_ram(&missing) {
                return Ok(());
            }
            let tells_residency = os::is_owned_by_caller(&file);
            let mut parts = missing
                .clone()
                .step_by(MAX_FOLIO_BYTES)
                .map(|at| at..missing.end.min(at + MAX_FOLIO_BYTES));
            parts.try_for_each(|part| match tells_residency {
                true => self.make_resident(&map, part),
                false => self.populate(&map, part, false),
            })
        })
    }

    fn prefault_exact(&self, range: Range<usize>, write: bool) -> Result<()> {
        let Some(map) = self.map.upgrade().filter(|_| write || !exceeds_half_of_ram(&range)) else {
            return Ok(());
        };
        self.populate(&map, self.in_map(&range), write)
    }

    /// The ranges are inside the mapping, so there is nothing to fail.
    fn evict(&self, range: Range<usize>) {
        let Some(map) = self.map.upgrade() else { return };
        self.pins.release(self.in_map(&range), |range| self.evict_now(&map, range));
    }
}

/// What does not fit the memory would be gone again when it is read.
fn exceeds_half_of_ram(range: &Range<usize>) -> bool {
    range.len() > system::ram_bytes_or_default() / 2
}

/// Is the file still as long as the array needs?
pub(super) fn check_length(file: &File, expected: u64, path: Option<&Path>) -> Result<()> {
    let found = file.metadata().map_err(|error| Error::io("look at the file", path, error))?.len();
    match found >= expected {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::FileTruncated { expected, found }, path)),
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(miri), not(ndarray_mmap_heap)))]
mod tests {
    use super::*;

    /// The file is sparse. Tables of its windows and units are as large as what is touched, and nothing else is released.
    #[test]
    fn a_page_of_a_large_file_costs_as_much_as_one_of_a_small_file() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let len = 1 << 38;
        file.set_len(len as u64).unwrap();
        let map = Arc::new(Map::new(&file, 0, len, MapKind::Read).unwrap());
        let pages = Pages::new(&map, &file, None, 0, false);
        let first = pages.addresses.start + len / 2;
        let page = first..first + system::page_bytes();
        for access in [AccessPattern::PageByPage, AccessPattern::Sequential, AccessPattern::Random]
        {
            pages.register_pass(access);
            let granularity = if access == AccessPattern::PageByPage {
                Granularity::Page
            } else {
                Granularity::Folio
            };
            pages.pin(page.clone(), granularity);
            match granularity {
                Granularity::Page => pages.prefault_exact(page.clone(), false).unwrap(),
                Granularity::Folio => pages.prefault(page.clone()).unwrap(),
            }
            pages.unpin(page.clone(), granularity);
            pages.evict(first..first + MAX_FOLIO_BYTES);
            pages.unregister_pass(access);
        }
        assert!(pages.pins.made() <= 4_096, "{}", pages.pins.made());
        assert!(pages.prefaulted.made() <= 4_096, "{}", pages.prefaulted.made());
    }
}
