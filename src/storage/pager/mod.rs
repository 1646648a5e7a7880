//! Implements [`Pager`] for mapped files.
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
use super::file::check_length;
use super::map::{Map, MapKind};
use super::os;
use crate::error::{Error, ErrorKind, Result};
use crate::paging::{
    AccessPattern, FAULT_AROUND_BYTES, FileVersion, Granularity, MAX_FOLIO_BYTES, Pager,
};
use crate::system;

/// The pages of a mapping.
#[derive(Debug)]
pub(super) struct Pages {
    /// Weak, so that a leaked [`ResidencyPlan`](crate::paging::ResidencyPlan) keeps no file open.
    map: Weak<Map>,
    file: Weak<File>,
    /// The addresses at which the file is mapped.
    addresses: Range<usize>,
    path: Option<PathBuf>,
    /// The file offset at which the mapping starts.
    offset: u64,
    kind: MapKind,
    /// Whether pages must be prefaulted for writing, because the file is new or lacks disk space.
    needs_allocation: AtomicBool,
    /// Whether the file is read at random offsets.
    is_random: AtomicBool,
    /// True if a flush by a chunked operation has failed, which the kernel reports only once.
    failed_flush: Mutex<bool>,
    /// True if the array can be modified.
    is_writable: AtomicBool,
    /// The units that have been prefaulted for reading.
    prefaulted: PrefaultedMap,
    passes: Mutex<ActivePasses>,
    pins: PinTable,
}

/// The number of active passes for each access pattern.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ActivePasses {
    sequential: usize,
    random: usize,
    page_by_page: usize,
}

impl ActivePasses {
    fn counter(&mut self, access: AccessPattern) -> &mut usize {
        match access {
            AccessPattern::Sequential => &mut self.sequential,
            AccessPattern::Random => &mut self.random,
            AccessPattern::PageByPage => &mut self.page_by_page,
        }
    }

    /// Returns whether huge pages are useful. Page-by-page passes take precedence.
    fn want_huge_pages(&self) -> bool {
        self.sequential > 0 && self.page_by_page == 0
    }
}

impl Pages {
    pub(super) fn new(
        map: &Arc<Map>,
        file: &Arc<File>,
        path: Option<&Path>,
        offset: u64,
        needs_allocation: bool,
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
            needs_allocation: AtomicBool::new(needs_allocation),
            is_random: AtomicBool::new(false),
            failed_flush: Mutex::new(false),
            is_writable: AtomicBool::new(map.kind() != MapKind::Read),
            passes: Mutex::default(),
            pins: PinTable::new(offset, map.len()),
        }
    }

    /// Records that all blocks of the file are allocated, so that pages need not be prefaulted for
    /// writing.
    pub(super) fn set_allocated(&self) {
        self.needs_allocation.store(false, Ordering::Relaxed);
    }

    pub(super) fn has_failed_flush(&self) -> bool {
        *self.failed_flush.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the array is only read from now on.
    pub(super) fn set_read_only(&self) {
        self.is_writable.store(false, Ordering::Relaxed);
    }

    pub(super) fn set_random(&self, is_random: bool) {
        self.is_random.store(is_random, Ordering::Relaxed);
    }

    /// Records that some of these bytes of the mapping are no longer resident.
    pub(super) fn forget(&self, range: &Range<usize>) {
        self.prefaulted.forget(range);
    }

    /// Returns whether the file hardly fits into the page cache.
    fn is_large(&self) -> bool {
        self.addresses.len() > system::ram_bytes_or_default() / 4
    }

    /// Prefaults a range of the mapping.
    fn populate(&self, map: &Map, range: Range<usize>, write: bool) -> Result<()> {
        map.populate(range.clone(), write).map_err(|error| self.populate_error(range, error))
    }

    /// Prefaults a range of the mapping for reading.
    ///
    /// Linux takes as long to find out that a page is mapped as to map it. A page fault, however,
    /// also maps the cached pages of its fault-around unit, and checking which pages are mapped is
    /// fast. So one page of each unit is populated first, and the whole range only if some pages
    /// are still missing.
    fn prefault_range(&self, map: &Map, range: Range<usize>) -> Result<()> {
        let page = system::page_bytes();
        self.populate(map, range.start..range.end.min(range.start + page), false)?;
        // A folio of the page cache may be much larger than a page.
        if !map.are_resident(range.end - 1..range.end) {
            let next =
                FAULT_AROUND_BYTES - (self.addresses.start + range.start) % FAULT_AROUND_BYTES;
            for unit in (range.start + next..range.end).step_by(FAULT_AROUND_BYTES) {
                self.populate(map, unit..range.end.min(unit + page), false)?;
            }
        }
        if map.are_resident(range.clone()) { Ok(()) } else { self.populate(map, range, false) }
    }

    /// Returns the reason why pages of the mapping cannot be prefaulted.
    fn populate_error(&self, range: Range<usize>, error: io::Error) -> Error {
        if let Err(truncated) = self.check() {
            return truncated;
        }
        let path = self.path.as_deref();
        if !os::is_efault(&error) {
            return Error::io("prefault pages", path, error);
        }
        let needed = range.len() as u64;
        let in_file = self.offset + range.start as u64..self.offset + range.end as u64;
        let file = self.file.upgrade();
        let available = file.as_ref().and_then(|file| os::free_space(file));
        match (available, file) {
            // Some file systems allocate space for holes that are only read.
            (Some(available), Some(file))
                if available < needed && os::has_holes(&file, &in_file) =>
            {
                Error::new(ErrorKind::StorageFull { needed, available }, path)
            }
            _ => Error::io("fault in pages", path, os::eio()),
        }
    }

    fn to_offsets(&self, range: &Range<usize>) -> Range<usize> {
        range.start - self.addresses.start..range.end - self.addresses.start
    }

    /// Updates the number of passes, and advises the kernel on huge pages. The advice is optional:
    /// if it fails, passes take longer.
    ///
    /// Linux reads 2 MiB and more ahead into one huge page of the page cache if huge pages are
    /// enabled. This is twice as fast from disk as its usual readahead of 128 KiB. It is far too
    /// much if pages are evicted one by one, and for random access.
    fn update_passes(&self, change: impl FnOnce(&mut ActivePasses)) {
        if self.is_large() {
            // Pages read by one pass may have been reclaimed before the next one.
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

    /// Evicts a range of the mapping. Pages of a large file, which will probably be reclaimed
    /// before the next pass, are marked cold, so that the kernel reclaims them first. Other pages
    /// stay in the page cache.
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
    fn can_evict(&self) -> bool {
        self.kind != MapKind::Private
    }

    fn addresses(&self) -> Range<usize> {
        self.addresses.clone()
    }

    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn file_origin(&self) -> usize {
        self.addresses.start.wrapping_sub(self.offset as usize)
    }

    fn check(&self) -> Result<()> {
        let Some(file) = self.file.upgrade() else { return Ok(()) };
        check_length(&file, self.offset + self.addresses.len() as u64, self.path.as_deref())
    }

    fn file(&self) -> Option<Arc<File>> {
        // On other systems, the cache of files and that of mappings may be separate.
        let is_coherent = cfg!(all(
            any(
                target_os = "linux",
                target_os = "android",
                target_os = "macos",
                target_os = "freebsd"
            ),
            not(any(miri, ndarray_mmap_heap))
        ));
        // The pages of a private mapping contain edits.
        if is_coherent && self.can_evict() { self.file.upgrade() } else { None }
    }

    fn read_file(&self, range: Range<usize>) -> Result<Vec<u8>> {
        let Some(file) = self.file.upgrade() else { return Ok(Vec::new()) };
        let range = self.to_offsets(&range);
        let mut bytes = vec![0; range.len()];
        let len = os::read_at(&file, self.offset + range.start as u64, &mut bytes)
            .map_err(|error| Error::io("read", self.path.as_deref(), error))?;
        bytes.truncate(len);
        Ok(bytes)
    }

    fn file_version(&self) -> Result<Option<FileVersion>> {
        let (Some(file), Some(path)) = (self.file.upgrade(), self.path.as_deref()) else {
            return Ok(None);
        };
        crate::storage::file::file_version(&file, path, !self.is_writable.load(Ordering::Relaxed))
            .map(Some)
    }

    fn flush(&self, range: Range<usize>) -> Result<()> {
        let (Some(map), Some(file)) = (self.map.upgrade(), self.file.upgrade()) else {
            return Ok(());
        };
        // The kernel reports a lost write to one caller, and the others must also learn of it.
        let mut has_failed = self.failed_flush.lock().unwrap_or_else(PoisonError::into_inner);
        if *has_failed {
            return Err(ErrorKind::PreviousFlushFailed {}.at(self.path.as_deref()));
        }
        let flushed = map.flush(self.to_offsets(&range)).and_then(|()| file.sync_all());
        let flushed = flushed.map_err(|error| Error::io("flush", self.path.as_deref(), error));
        let result = flushed.and_then(|()| self.check());
        *has_failed = result.is_err();
        result
    }

    fn register_pass(&self, access: AccessPattern) {
        self.update_passes(|passes| *passes.counter(access) += 1);
    }

    fn unregister_pass(&self, access: AccessPattern) {
        self.update_passes(|passes| *passes.counter(access) -= 1);
    }

    fn pin(&self, range: Range<usize>, granularity: Granularity) {
        self.pins.pin(self.to_offsets(&range), granularity);
    }

    fn unpin(&self, range: Range<usize>, granularity: Granularity) {
        self.pins.unpin(self.to_offsets(&range), granularity);
    }

    fn needs_allocation(&self) -> bool {
        self.needs_allocation.load(Ordering::Relaxed)
    }

    fn is_random(&self) -> bool {
        self.is_random.load(Ordering::Relaxed)
    }

    fn prefault(&self, range: Range<usize>) -> Result<()> {
        let (Some(map), Some(file)) = (self.map.upgrade(), self.file.upgrade()) else {
            return Ok(());
        };
        // Such a range would be evicted before it is used, so it must not count as prefaulted.
        if exceeds_half_of_ram(&range) {
            return Ok(());
        }
        self.prefaulted.prefault_missing(&self.to_offsets(&range), |missing| {
            let knows_residency = os::is_owned_by_caller(&file);
            let mut parts = missing
                .clone()
                .step_by(MAX_FOLIO_BYTES)
                .map(|at| at..missing.end.min(at + MAX_FOLIO_BYTES));
            parts.try_for_each(|part| {
                if knows_residency {
                    self.prefault_range(&map, part)
                } else {
                    self.populate(&map, part, false)
                }
            })
        })
    }

    fn prefault_exact(&self, range: Range<usize>, write: bool) -> Result<()> {
        let Some(map) = self.map.upgrade().filter(|_| write || !exceeds_half_of_ram(&range)) else {
            return Ok(());
        };
        self.populate(&map, self.to_offsets(&range), write)
    }

    /// The range is within the mapping, so `madvise` cannot fail.
    fn evict(&self, range: Range<usize>) {
        let Some(map) = self.map.upgrade() else { return };
        self.pins.evict_unpinned(self.to_offsets(&range), |range| self.evict_now(&map, range));
    }
}

/// Returns whether a range is too large to be prefaulted: its first pages would be reclaimed before
/// they are accessed.
fn exceeds_half_of_ram(range: &Range<usize>) -> bool {
    range.len() > system::ram_bytes_or_default() / 2
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(miri), not(ndarray_mmap_heap)))]
mod tests {
    use super::*;

    /// The file is sparse. The tables grow with the pages touched, and no other folio is evicted.
    #[test]
    fn tables_of_a_large_file_grow_with_the_pages_touched() {
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
        assert!(pages.pins.allocated() <= 4_096, "{}", pages.pins.allocated());
        assert!(pages.prefaulted.allocated() <= 4_096, "{}", pages.prefaulted.allocated());
    }
}
