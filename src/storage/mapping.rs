//! The state common to the three mapped array types: a file and its map.
#![forbid(unsafe_code)]

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ndarray::{ArrayRef, Dimension};

use super::handle::FileHandle;
use super::layout::FileLayout;
use super::map::{Advice, Map, MapKind, start_writeback};
use super::os;
use super::pager::Pages;
use crate::error::{Error, ErrorKind, Result};
use crate::paging::MappingRegistration;

/// A mapped file. Fields are dropped in this order: the entry in the table of mappings, the map,
/// the lock and the entry in the registry.
#[derive(Debug)]
pub(super) struct Mapping {
    /// Makes this mapping known to chunked operations.
    _pager: Option<MappingRegistration>,
    /// `None` if nothing is mapped.
    pages: Option<Arc<Pages>>,
    map: Arc<Map>,
    handle: FileHandle,
}

impl Mapping {
    /// Maps a file. `new` states that disk space was not allocated before.
    pub(super) fn new(handle: FileHandle, kind: MapKind, new: bool) -> Result<Self> {
        let (layout, path) = (handle.layout(), handle.path());
        let map = Map::new(handle.file(), layout.offset(), layout.byte_len(), kind)
            .map_err(|error| Error::io(mapping_action(&error), path, error))?;
        let map = Arc::new(map);
        // Stores to a file with holes allocate disk space.
        let needs_allocation = kind == MapKind::Write
            && (new || os::has_holes(handle.file(), &(layout.offset()..layout.end())));
        let pages = (map.len() > 0).then(|| {
            Arc::new(Pages::new(&map, handle.file(), path, layout.offset(), needs_allocation))
        });
        Ok(Self {
            _pager: pages.clone().map(|pages| MappingRegistration::new(pages)),
            pages,
            map,
            handle,
        })
    }

    pub(super) fn handle_mut(&mut self) -> &mut FileHandle {
        &mut self.handle
    }

    pub(super) fn layout(&self) -> &FileLayout {
        self.handle.layout()
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.handle.path()
    }

    /// Returns a pointer to the first mapped byte, or `None` if nothing is mapped.
    pub(super) fn as_mut_ptr(&self) -> Option<*mut u8> {
        self.map.as_mut_ptr()
    }

    /// Returns the range of all mapped bytes.
    pub(super) fn whole(&self) -> Range<usize> {
        0..self.map.len()
    }

    /// Returns the range of mapped bytes from the first to the last element of a view of this
    /// mapping.
    pub(super) fn range_of<A, E: Dimension>(&self, part: &ArrayRef<A, E>) -> Result<Range<usize>> {
        if part.is_empty() || size_of::<A>() == 0 {
            return Ok(0..0);
        }
        let outside = || Error::new(ErrorKind::ForeignView {}, self.path());
        let base = self.as_mut_ptr().ok_or_else(outside)? as usize;
        let mut low = part.as_ptr() as usize;
        let mut high = low + size_of::<A>();
        for (&len, &stride) in part.shape().iter().zip(part.strides()) {
            // A view's extent fits isize, in bytes as well.
            let extent = (len as isize - 1) * stride * size_of::<A>() as isize;
            if extent < 0 { low -= extent.unsigned_abs() } else { high += extent.unsigned_abs() }
        }
        if low >= base && high <= base + self.map.len() {
            Ok(low - base..high - base)
        } else {
            Err(outside())
        }
    }

    /// Writes dirty pages to disk and waits.
    pub(super) fn flush(&self, range: Range<usize>) -> Result<()> {
        let has_failed = || self.pages.iter().any(|pages| pages.has_failed_flush());
        self.handle.flush(has_failed, |new| {
            let io_error = |error| Error::io("flush", self.path(), error);
            let part = range != self.whole();
            self.map.flush(range).map_err(io_error)?;
            // `fsync` writes the whole file, while a flush of a range only requires `msync`, if
            // that waits for the disk. The header of a new file is outside the map, so a new file
            // is always synced.
            if !part || new || !os::MSYNC_IS_FSYNC {
                self.handle.sync_all()?;
            }
            let layout = self.layout();
            if !os::has_holes(self.handle.file(), &(layout.offset()..layout.end())) {
                self.pages.iter().for_each(|pages| pages.set_allocated());
            }
            Ok(())
        })
    }

    pub(super) fn start_writeback(&self, range: Range<usize>) -> Result<()> {
        let offset = self.layout().offset();
        start_writeback(self.handle.file(), offset + range.start as u64..offset + range.end as u64)
            .map_err(|error| Error::io("start writing back", self.path(), error))
    }

    pub(super) fn advise(&self, advice: Advice, range: Range<usize>) -> Result<()> {
        if range == self.whole() {
            self.pages.iter().for_each(|pages| pages.set_random(advice == Advice::Random));
        }
        self.map
            .advise(advice, range)
            .map_err(|error| Error::io("advise the kernel", self.path(), error))
    }

    pub(super) fn prefetch(&self, range: Range<usize>) -> Result<()> {
        self.map.prefetch(range).map_err(|error| Error::io("prefetch", self.path(), error))
    }

    pub(super) fn release(&self, range: Range<usize>) -> Result<()> {
        let result = self.map.release(range.clone());
        self.pages.iter().for_each(|pages| pages.forget(&range));
        result.map_err(|error| Error::io("release", self.path(), error))
    }

    /// Converts to a read-only mapping, which admits readers.
    pub(super) fn downgrade(&mut self) -> Result<()> {
        self.handle.downgrade()?;
        self.pages.iter().for_each(|pages| pages.set_read_only());
        Ok(())
    }
}

/// Returns the failed action for a mapping error, with its likely cause.
fn mapping_action(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::OutOfMemory => "map: out of address space (check `ulimit -v`)",
        #[cfg(unix)]
        _ if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => {
            "map: the file system does not support memory mapping"
        }
        _ => "map",
    }
}
