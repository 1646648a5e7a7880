//! The seam for platforms other than Unix, with the standard library alone.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What makes a file the same file: its canonical path, so a hard link passes for another file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::storage) struct FileId(PathBuf);

/// The path may still be the one a new file is to have.
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

/// By the rules of the system, which may follow links.
pub(in crate::storage) fn open_to_replace(path: &Path) -> io::Result<File> {
    open(path, true)
}

pub(in crate::storage) fn open_replaced(path: &Path) -> io::Result<File> {
    open(path, false)
}

pub(in crate::storage) fn read_link(path: &Path) -> io::Result<PathBuf> {
    fs::read_link(path)
}

/// On Windows the file has a name, but cannot be opened by it.
pub(in crate::storage) fn create_unlinked(directory: &Path) -> io::Result<File> {
    tempfile::tempfile_in(directory)
}

/// Windows refuses it; and as the path is all that makes a file the same, the new one's entry keeps
/// writers off the old one.
pub(in crate::storage) const REPLACES_OPEN_FILES: bool = false;

/// Whole pages, which the system sees to.
pub(in crate::storage) fn mapping_granularity(_file: &File) -> u64 {
    1
}

/// NTFS allocates what `set_len` asks for; elsewhere nothing is reserved.
pub(in crate::storage) fn reserve(file: &File, len: u64) -> io::Result<()> {
    file.set_len(len)
}

/// Unknown here.
pub(in crate::storage) fn free_space(_file: &File) -> Option<u64> {
    None
}

/// Unknown here.
pub(in crate::storage) fn has_holes(_file: &File, _range: &Range<u64>) -> bool {
    false
}

/// Unknown here.
pub(in crate::storage) fn is_owned_by_caller(_file: &File) -> bool {
    false
}

/// No call here says so.
pub(in crate::storage) fn is_efault(_error: &io::Error) -> bool {
    false
}

/// Is it the file system that has no locks? Not all that it could say is known here.
pub(in crate::storage) fn is_unsupported_lock(_error: &io::Error) -> bool {
    true
}

/// What stands for a failure of the disk.
pub(in crate::storage) fn eio() -> io::Error {
    io::Error::other("the disk or its file system failed")
}

/// Does `msync` wait for the disk itself? Not known.
pub(in crate::storage) const MSYNC_IS_FSYNC: bool = false;

/// Directories cannot be synced through the standard library; file systems with a journal keep
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
