//! Fallback for platforms other than Unix, based on the standard library alone.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The identity of a file: its canonical path, so a hard link counts as another file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::storage) struct FileId(PathBuf);

impl FileId {
    /// Returns a text that is the same on all machines that have mounted the file system.
    pub(in crate::storage) fn in_file_system(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

/// Falls back to the path of a file that does not exist yet.
pub(in crate::storage) fn file_id(_file: &File, path: &Path) -> io::Result<FileId> {
    match (path_id(path), path.parent(), path.file_name()) {
        (Err(error), Some(directory), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            Ok(FileId(fs::canonicalize(directory)?.join(name)))
        }
        (result, ..) => result,
    }
}

pub(in crate::storage) fn path_id(path: &Path) -> io::Result<FileId> {
    Ok(FileId(fs::canonicalize(path)?))
}

pub(in crate::storage) fn open(path: &Path, writable: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(writable).open(path)
}

/// Opens a file by the rules of the system, which may follow links.
pub(in crate::storage) fn open_to_replace(path: &Path) -> io::Result<File> {
    open(path, true)
}

pub(in crate::storage) fn open_replaced(path: &Path) -> io::Result<File> {
    open(path, false)
}

pub(in crate::storage) fn read_link(path: &Path) -> io::Result<PathBuf> {
    fs::read_link(path)
}

/// Creates a file without a usable name: on Windows the file has a name, but cannot be opened by
/// it.
pub(in crate::storage) fn create_unlinked(directory: &Path) -> io::Result<File> {
    tempfile::tempfile_in(directory)
}

/// Windows refuses to replace an open file. Because files are identified by their paths, the
/// registry entry of the new file also excludes writers of the old one.
pub(in crate::storage) const REPLACES_OPEN_FILES: bool = false;

/// Mappings have page granularity, which the system handles.
pub(in crate::storage) fn mapping_granularity(_file: &File) -> u64 {
    1
}

/// Unknown on this platform, and assumed.
pub(in crate::storage) fn has_coherent_cache(_file: &File) -> bool {
    true
}

/// Allocates disk space: NTFS allocates in `set_len`; other file systems allocate nothing.
pub(in crate::storage) fn allocate(file: &File, len: u64) -> io::Result<()> {
    file.set_len(len)
}

/// No call of the standard library allocates space without changing the length.
pub(in crate::storage) fn reserve(_file: &File, _at: u64, _len: u64) -> io::Result<()> {
    Ok(())
}

/// Unknown on this platform.
pub(in crate::storage) fn free_space(_file: &File) -> Option<u64> {
    None
}

/// Unknown on this platform.
pub(in crate::storage) fn has_holes(_file: &File, _range: &Range<u64>) -> bool {
    false
}

/// Unknown on this platform.
pub(in crate::storage) fn is_owned_by_caller(_file: &File) -> bool {
    false
}

/// Not reported by any call on this platform.
pub(in crate::storage) fn is_efault(_error: &io::Error) -> bool {
    false
}

/// Returns whether the error means that the file system does not support locks. Not all such errors
/// are known on these platforms.
pub(in crate::storage) fn is_unsupported_lock(_error: &io::Error) -> bool {
    true
}

/// Returns an error that represents a disk failure.
pub(in crate::storage) fn eio() -> io::Error {
    io::Error::other("the disk or its file system failed")
}

/// Whether `msync` waits for the disk. Unknown on these platforms.
pub(in crate::storage) const MSYNC_IS_FSYNC: bool = false;

/// A directory. The standard library cannot sync directories; file systems with a journal keep
/// renames in order.
#[derive(Debug)]
pub(in crate::storage) struct Directory;

impl Directory {
    pub(in crate::storage) fn open(_path: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    pub(in crate::storage) fn sync(&self, _file: &File) -> io::Result<()> {
        Ok(())
    }
}
