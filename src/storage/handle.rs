//! An open file of an array: its lock, its registration, its names, and the durability of its
//! contents.
#![forbid(unsafe_code)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::create::StagedFile;
use super::file::{self, open_regular};
use super::layout::FileLayout;
use super::lock::{Lock, LockPolicy};
use super::os;
use super::registry::MappingGuard;
use crate::error::{Error, ErrorKind, Result};

/// An open file that contains an array. Dropping it releases the lock, then the entry in the
/// registry.
#[derive(Debug)]
pub(super) struct FileHandle {
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
    /// True if a flush of the file or of its directory has failed. The kernel reports a failed
    /// write once, marks the pages clean, and returns success from then on.
    failed: bool,
    /// True if the file is new and has not been synced as a whole.
    new: bool,
    /// The directory in which the file was given a name that may not be on disk yet.
    unsynced_directory: Option<os::Directory>,
}

impl FileHandle {
    /// Opens a file that has a name. The layout is determined from the file and its length under
    /// the lock, while other processes that respect it do not change the file.
    pub(super) fn open(
        path: &Path,
        writable: bool,
        policy: LockPolicy,
        layout: impl FnOnce(&File, u64) -> Result<FileLayout>,
    ) -> Result<Self> {
        // After a failure, the lock is released first, as when an array is dropped.
        let (file, guard, lock) = Self::open_locked(path, writable, policy)?;
        let layout = layout(&file, file::len(&file, Some(path))?)?;
        let mut handle = Self::new(file, Some(path), layout, policy);
        handle.guard = Some(guard);
        handle.lock = Some(lock);
        handle.name = std::path::absolute(path).ok();
        Ok(handle)
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

    /// Locks a new file that will be renamed to this path.
    pub(super) fn of_new_file(
        file: File,
        path: &Path,
        layout: FileLayout,
        policy: LockPolicy,
    ) -> Result<Self> {
        let file = Arc::new(file);
        let lock = Lock::acquire(&file, path, true, policy)?;
        let mut handle = Self::new(file, Some(path), layout, policy);
        handle.lock = Some(lock);
        handle.durability = Mutex::new(Durability { new: true, ..Durability::default() });
        Ok(handle)
    }

    /// Returns the handle of a file that never has a name.
    pub(super) fn of_unlinked_file(file: File, layout: FileLayout, policy: LockPolicy) -> Self {
        Self::new(Arc::new(file), None, layout, policy)
    }

    fn new(file: Arc<File>, path: Option<&Path>, layout: FileLayout, policy: LockPolicy) -> Self {
        Self {
            lock: None,
            file,
            guard: None,
            layout,
            path: path.map(Path::to_path_buf),
            name: None,
            policy,
            durability: Mutex::default(),
        }
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
    fn sync_directory(&self) -> Result<()> {
        self.sync_directory_entry(
            &mut self.durability.lock().unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Renames a file whose contents are durable to its path, if it is still staged, and makes the
    /// rename durable.
    pub(super) fn publish(&mut self, staged: &mut Option<StagedFile>) -> Result<()> {
        let Some(pending) = staged.take() else { return Ok(()) };
        self.persist(pending).map_err(|(error, pending)| {
            *staged = Some(pending);
            error
        })?;
        self.sync_directory()
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(super) fn layout(&self) -> &FileLayout {
        &self.layout
    }

    /// Sets the layout of an array that has grown.
    pub(super) fn set_layout(&mut self, layout: FileLayout) {
        self.layout = layout;
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Makes the contents and the name of the file durable. `has_failed` returns whether a write
    /// failed elsewhere; `sync` writes the contents, and is passed whether the file is new.
    ///
    /// Only one thread flushes at once: the kernel reports a lost write to one caller, and the
    /// others must also learn of it.
    pub(super) fn flush(
        &self,
        has_failed: impl FnOnce() -> bool,
        sync: impl FnOnce(bool) -> Result<()>,
    ) -> Result<()> {
        let mut durability = self.durability.lock().unwrap_or_else(PoisonError::into_inner);
        durability.failed |= has_failed();
        // Checked first, because data past the end of the file cannot be saved elsewhere either.
        let result = self.check_length().and_then(|()| {
            if durability.failed {
                Err(Error::new(ErrorKind::PreviousFlushFailed {}, self.path()))
            } else {
                sync(durability.new)
            }
        });
        // The kernel reports success for pages that were lost by a truncation.
        let result = result.and_then(|()| self.check_length());
        durability.failed |= result.is_err();
        result?;
        durability.new = false;
        self.sync_directory_entry(&mut durability)
    }

    /// Writes the whole file to disk and waits.
    pub(super) fn sync_all(&self) -> Result<()> {
        self.file.sync_all().map_err(|error| Error::io("flush", self.path(), error))
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

    /// Returns an error if the file is shorter than the array.
    pub(super) fn check_length(&self) -> Result<()> {
        file::check_length(&self.file, self.layout.end(), self.path())
    }

    /// Returns an error if the path no longer refers to the open file. Checks the absolute path at
    /// opening, and the path as it resolves now, in case the directory was renamed. A path that
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

    /// Converts to the lock of a reader, which admits other readers.
    pub(super) fn downgrade(&mut self) -> Result<()> {
        if let Some(guard) = &mut self.guard {
            if let Some(lock) = &mut self.lock {
                lock.share(self.path.as_deref())?;
            }
            guard.downgrade();
        }
        Ok(())
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
        mapping.handle_mut().persist(new.staged).unwrap();
        let set_directory = |handle: &mut FileHandle, directory| {
            handle.durability.get_mut().unwrap().unsynced_directory = Some(directory);
        };
        set_directory(mapping.handle_mut(), os::Directory::failing(dir.path()).unwrap());
        let error = mapping.handle_mut().sync_directory().unwrap_err();
        assert!(
            error.to_string().contains("cannot flush the directory of the new file"),
            "{error}"
        );
        set_directory(mapping.handle_mut(), os::Directory::open(dir.path()).unwrap());
        for range in [mapping.whole(), 0..1, 0..0] {
            let error = mapping.flush(range).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::PreviousFlushFailed { .. }), "{error}");
        }
    }
}
