//! The state common to the three mapped array types: a file, its map, its lock, and its durability.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{ArrayRef, Dimension};

use super::create::StagedFile;
use super::file::open_regular;
use super::layout::FileLayout;
use super::lock::{Lock, LockPolicy};
use super::map::{Advice, Map, MapKind, start_writeback};
use super::os;
use super::pager::{Pages, check_length};
use super::registry::MappingGuard;
use crate::error::{Error, ErrorKind, Result};
use crate::paging::MappingRegistration;

/// A mapped file. Fields are dropped in this order: the entry in the table of mappings, the map,
/// the lock, then the entry in the registry.
#[derive(Debug)]
pub(super) struct Mapping {
    /// Makes this mapping known to chunked operations.
    _pager: Option<MappingRegistration>,
    /// `None` if nothing is mapped.
    pages: Option<Arc<Pages>>,
    map: Arc<Map>,
    /// `None` for scratch arrays.
    lock: Option<Lock>,
    file: Arc<File>,
    /// `None` while the file has no name.
    guard: Option<MappingGuard>,
    layout: FileLayout,
    /// The path as the caller passed it; `None` for scratch arrays.
    path: Option<PathBuf>,
    /// The absolute path at the time of opening, independent of the current directory; `None` while
    /// the file has no name.
    name: Option<PathBuf>,
    policy: LockPolicy,
    durability: Mutex<Durability>,
}

/// The durability of the file's contents.
#[derive(Debug, Default)]
struct Durability {
    /// Whether a flush of the file or of its directory has failed. The kernel reports a failed
    /// write once, marks the pages clean, and returns success from then on.
    failed: bool,
    /// Whether the file is new and has not been synced as a whole.
    new: bool,
    /// The directory in which the file was given a name that may not be on disk yet.
    unsynced_directory: Option<os::Directory>,
}

impl Mapping {
    /// Maps a file that has a name. The layout is read under the lock, while other processes that
    /// respect it do not change the file.
    pub(super) fn of_file(
        path: &Path,
        layout: impl FnOnce(&File) -> Result<FileLayout>,
        kind: MapKind,
        policy: LockPolicy,
    ) -> Result<Self> {
        // After a failure, the lock is released first, as when an array is dropped.
        let (file, guard, lock) = Self::open_locked(path, kind == MapKind::Write, policy)?;
        let layout = layout(&file)?;
        let mut mapping = Self::of_handle(file, Some(path), layout, kind, policy, false)?;
        mapping.guard = Some(guard);
        mapping.lock = Some(lock);
        mapping.name = std::path::absolute(path).ok();
        Ok(mapping)
    }

    /// Opens a file and acquires its lock. If the path was given to another file in between, opens
    /// that file, because writes to the replaced file would be lost.
    fn open_locked(
        path: &Path,
        writable: bool,
        policy: LockPolicy,
    ) -> Result<(Arc<File>, MappingGuard, Lock)> {
        // On file systems with unstable inode numbers, no attempt finds the right file.
        const MAX_TRIES: usize = 100;
        let mut tries = 1;
        loop {
            let file = Arc::new(open_regular(path, writable)?);
            let (guard, lock) = MappingGuard::register_and_lock(&file, path, writable, policy)?;
            if !writable || tries == MAX_TRIES || os::refers_to(path, &file) {
                return Ok((file, guard, lock));
            }
            tries += 1;
        }
    }

    /// Maps a new file that will be renamed to this path.
    pub(super) fn of_new_file(
        file: File,
        path: &Path,
        layout: FileLayout,
        policy: LockPolicy,
    ) -> Result<Self> {
        let file = Arc::new(file);
        let lock = Lock::acquire(&file, path, true, policy)?;
        let mut mapping = Self::of_handle(file, Some(path), layout, MapKind::Write, policy, true)?;
        mapping.lock = Some(lock);
        mapping.durability = Mutex::new(Durability { new: true, ..Durability::default() });
        Ok(mapping)
    }

    /// Maps a file that never has a name.
    pub(super) fn of_unlinked_file(
        file: File,
        layout: FileLayout,
        policy: LockPolicy,
    ) -> Result<Self> {
        Self::of_handle(Arc::new(file), None, layout, MapKind::Write, policy, true)
    }

    fn of_handle(
        file: Arc<File>,
        path: Option<&Path>,
        layout: FileLayout,
        kind: MapKind,
        policy: LockPolicy,
        new: bool,
    ) -> Result<Self> {
        let map = Map::new(&file, layout.offset(), layout.byte_len(), kind)
            .map_err(|error| Error::io(mapping_action(&error), path, error))?;
        let map = Arc::new(map);
        // Stores to a file with holes allocate disk space.
        let needs_allocation = kind == MapKind::Write
            && (new || os::has_holes(&file, &(layout.offset()..layout.end())));
        let pages = (map.len() > 0)
            .then(|| Arc::new(Pages::new(&map, &file, path, layout.offset(), needs_allocation)));
        Ok(Self {
            _pager: pages.clone().map(|pages| MappingRegistration::new(pages)),
            pages,
            map,
            lock: None,
            file,
            guard: None,
            layout,
            path: path.map(Path::to_path_buf),
            name: None,
            policy,
            durability: Mutex::default(),
        })
    }

    /// Renames the new file to its path. The rename comes last: a failure changes nothing, so the
    /// call can be retried. The rename is durable after the next flush, or
    /// [`Self::sync_directory`].
    pub(super) fn persist(
        &mut self,
        staged: StagedFile,
    ) -> std::result::Result<(), (Error, StagedFile)> {
        let path = self.path.clone().unwrap_or_default();
        let name = staged.name().to_path_buf();
        let (directory, guard) = staged.persist(&self.file, &path, self.policy)?;
        self.guard = Some(guard);
        self.name = Some(name);
        self.durability.get_mut().unwrap_or_else(PoisonError::into_inner).unsynced_directory =
            Some(directory);
        Ok(())
    }

    /// Syncs the directory entry of a new file whose contents are already durable.
    pub(super) fn sync_directory(&self) -> Result<()> {
        self.sync_directory_entry(
            &mut self.durability.lock().unwrap_or_else(PoisonError::into_inner),
        )
    }

    pub(super) fn layout(&self) -> &FileLayout {
        &self.layout
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
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
    ///
    /// Only one thread flushes at once: the kernel reports a lost write to one caller, and the
    /// others must also learn of it.
    pub(super) fn flush(&self, range: Range<usize>) -> Result<()> {
        let mut durability = self.durability.lock().unwrap_or_else(PoisonError::into_inner);
        durability.failed |= self.pages.iter().any(|pages| pages.has_failed_flush());
        // Checked first, because data past the end of the file cannot be saved elsewhere either.
        let result = self.check_length().and_then(|()| {
            if durability.failed {
                Err(Error::new(ErrorKind::PreviousFlushFailed {}, self.path()))
            } else {
                self.flush_and_sync(range, durability.new)
            }
        });
        durability.failed |= result.is_err();
        result?;
        durability.new = false;
        if !os::has_holes(&self.file, &(self.layout.offset()..self.layout.end())) {
            self.pages.iter().for_each(|pages| pages.set_allocated());
        }
        self.sync_directory_entry(&mut durability)
    }

    /// Makes a new name durable. Syncing a directory again does not retry its failed writes, so a
    /// failure is final, as for the data.
    fn sync_directory_entry(&self, durability: &mut Durability) -> Result<()> {
        if let Some(directory) = durability.unsynced_directory.take() {
            directory.sync(&self.file).map_err(|error| {
                durability.failed = true;
                Error::io("flush the directory of the new file", self.path(), error)
            })?;
        }
        self.check_path()
    }

    fn flush_and_sync(&self, range: Range<usize>, new: bool) -> Result<()> {
        let io_error = |error| Error::io("flush", self.path(), error);
        let part = range != self.whole();
        self.map.flush(range).map_err(io_error)?;
        // `fsync` writes the whole file, while a flush of a range only requires `msync`, if that
        // waits for the disk. The header of a new file is outside the map, so a new file is always
        // synced.
        if !part || new || !os::MSYNC_IS_FSYNC {
            self.file.sync_all().map_err(io_error)?;
        }
        // The kernel reports success for pages that were lost by a truncation.
        self.check_length()
    }

    /// Returns an error if the file is shorter than the array.
    fn check_length(&self) -> Result<()> {
        check_length(&self.file, self.layout.end(), self.path())
    }

    /// Returns an error if the path no longer refers to the mapped file. Checks the absolute path
    /// at opening, and the path as it resolves now, in case the directory was renamed. A path that
    /// cannot be accessed counts as valid.
    fn check_path(&self) -> Result<()> {
        let Some(name) = &self.name else { return Ok(()) };
        let refers_here = |name: &Path| os::refers_to(name, &self.file);
        if refers_here(name) || self.path().is_some_and(refers_here) {
            Ok(())
        } else {
            Err(ErrorKind::FileReplaced {}.at(self.path()))
        }
    }

    pub(super) fn start_writeback(&self, range: Range<usize>) -> Result<()> {
        let offset = self.layout.offset();
        start_writeback(&self.file, offset + range.start as u64..offset + range.end as u64)
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
        if let Some(guard) = &mut self.guard {
            if let Some(lock) = &mut self.lock {
                lock.share(self.path.as_deref())?;
            }
            guard.downgrade();
        }
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

#[cfg(all(test, target_os = "linux", not(ndarray_mmap_portable)))]
mod tests {
    use super::*;
    use crate::storage::options::MmapArrayOptions;

    /// The kernel reports a failure once; the next sync of the directory returns success without
    /// writing anything.
    #[test]
    fn failed_directory_flush_is_final() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let new = MmapArrayOptions::new().map_new_raw::<u8, _>(&path, 8).unwrap();
        let mut mapping = new.mapping;
        mapping.persist(new.staged).unwrap();
        mapping.durability.get_mut().unwrap().unsynced_directory =
            Some(os::Directory::failing(dir.path()).unwrap());
        let error = mapping.sync_directory().unwrap_err();
        assert!(
            error.to_string().contains("cannot flush the directory of the new file"),
            "{error}"
        );
        mapping.durability.get_mut().unwrap().unsynced_directory =
            Some(os::Directory::open(dir.path()).unwrap());
        for range in [mapping.whole(), 0..1, 0..0] {
            let error = mapping.flush(range).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::PreviousFlushFailed { .. }), "{error}");
        }
    }
}
