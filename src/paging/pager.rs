//! The interface between chunked operations and mappings: the trait [`Pager`] and the process-wide
//! table of mappings.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::ops::Range;
use std::panic::RefUnwindSafe;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use crate::error::Result;

/// The page operations of a mapped file. All ranges are addresses.
pub(crate) trait Pager: Debug + Send + Sync + RefUnwindSafe {
    /// Returns whether pages may be evicted. Pages of a private mapping may not, because they
    /// contain the only copy of its edits.
    fn can_evict(&self) -> bool;

    /// Returns the addresses at which the file is mapped.
    fn addresses(&self) -> Range<usize>;

    /// Returns the path of the file, if it has one.
    fn path(&self) -> Option<&Path>;

    /// Returns the address that offset 0 of the file would have. It may be outside the mapping, and
    /// wraps around.
    fn file_origin(&self) -> usize;

    /// Checks that the file still contains the whole array.
    fn check(&self) -> Result<()>;

    /// Returns the file, if positional reads return what the mapping contains.
    fn file(&self) -> Option<Arc<File>>;

    /// Reads bytes of the file. Returns fewer if the file ends before.
    fn read_file(&self, range: Range<usize>) -> Result<Vec<u8>>;

    /// Returns the identity and the version of the file; `None` if it has no path.
    fn file_version(&self) -> Result<Option<FileVersion>>;

    /// Writes dirty pages to disk and waits.
    fn flush(&self, range: Range<usize>) -> Result<()>;

    /// Announces a pass with the given access pattern.
    fn register_pass(&self, access: AccessPattern);

    /// Ends a pass that was announced with [`register_pass`](Self::register_pass).
    fn unregister_pass(&self, access: AccessPattern);

    /// Pins the pages or folios that contain these bytes until they are [unpinned](Self::unpin).
    /// Pinned pages are not [evicted](Self::evict). With [`Granularity::Page`], the range must be
    /// within a folio.
    fn pin(&self, range: Range<usize>, granularity: Granularity);

    /// Reverts a [`pin`](Self::pin).
    fn unpin(&self, range: Range<usize>, granularity: Granularity);

    /// Returns whether writing to a page may have to allocate disk space for it.
    fn needs_allocation(&self) -> bool;

    /// Returns whether the file is read at random offsets, so that only the requested pages should
    /// be prefaulted.
    fn is_random(&self) -> bool;

    /// Prefaults pages. If the file was truncated or the disk cannot be read, this is an error,
    /// whereas accessing the pages would raise `SIGBUS`. Units of [`FAULT_AROUND_BYTES`] of the
    /// file are prefaulted as a whole, and remembered, so that prefaulting them again is free.
    fn prefault(&self, range: Range<usize>) -> Result<()>;

    /// Prefaults exactly these pages. With `write`, disk space is allocated for them, or an error
    /// returned.
    fn prefault_exact(&self, range: Range<usize>, write: bool) -> Result<()>;

    /// Evicts these pages, except for pinned ones.
    fn evict(&self, range: Range<usize>);
}

/// The identity and the version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileVersion {
    /// A text that usually differs from that of another file at the same path.
    pub(crate) id: String,
    pub(crate) bytes: u64,
    /// The modification time, in nanoseconds since 1970.
    pub(crate) modified: i128,
    /// True if this process cannot modify the elements.
    pub(crate) is_read_only: bool,
}

/// The order in which a pass accesses a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessPattern {
    /// Sequential in the file, so that much can be read ahead.
    Sequential,
    /// At random offsets.
    Random,
    /// One page at a time. No page should become resident because a neighbouring one does.
    PageByPage,
}

/// The unit of pinning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granularity {
    Page,
    Folio,
}

/// The smallest page size in use, in bytes. Default chunk lengths depend on this constant and not
/// on the page size of the machine, so that results are the same on every machine.
pub(crate) const MIN_PAGE_BYTES: usize = 4096;

/// The maximum size of a folio of the page cache, in bytes. Linux maps a whole folio per page
/// fault. Folios are located at multiples of their size in the file.
pub(crate) const MAX_FOLIO_BYTES: usize = 2 << 20;

/// The unit of prefaulting, in bytes. It equals Linux's default fault-around size and is smaller
/// than the readahead window.
pub(crate) const FAULT_AROUND_BYTES: usize = 64 << 10;

/// All mappings of this process, by start address. An `ArrayView` has no reference to the file it
/// comes from, so a chunked operation looks up its mapping here.
static MAPPINGS: RwLock<BTreeMap<usize, Arc<dyn Pager>>> = RwLock::new(BTreeMap::new());

/// Keeps a pager in the table of mappings. It must be dropped before the file is unmapped.
#[derive(Debug)]
pub(crate) struct MappingRegistration(usize);

impl MappingRegistration {
    pub(crate) fn new(pager: Arc<dyn Pager>) -> Self {
        let first = pager.addresses().start;
        MAPPINGS.write().unwrap_or_else(PoisonError::into_inner).insert(first, pager);
        Self(first)
    }
}

impl Drop for MappingRegistration {
    fn drop(&mut self) {
        MAPPINGS.write().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Returns the pager of a range of addresses, if the range is within a registered mapping.
pub(crate) fn find_mapping(range: &Range<usize>) -> Option<Arc<dyn Pager>> {
    let pagers = MAPPINGS.read().unwrap_or_else(PoisonError::into_inner);
    let (_, pager) = pagers.range(..=range.start).next_back()?;
    (range.end <= pager.addresses().end).then(|| Arc::clone(pager))
}
