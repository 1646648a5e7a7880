//! The seam for platforms other than Unix, with the standard library alone.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// What makes a file the same file: its canonical path, so a hard link passes for another file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::storage) struct FileId(PathBuf);

pub(in crate::storage) fn file_id(_file: &File, path: &Path) -> io::Result<FileId> {
    path_id(path)
}

pub(in crate::storage) fn path_id(path: &Path) -> io::Result<FileId> {
    Ok(FileId(fs::canonicalize(path)?))
}

pub(in crate::storage) fn open(path: &Path, writable: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(writable).open(path)
}

/// NTFS allocates what `set_len` asks for; elsewhere nothing is reserved.
pub(in crate::storage) fn reserve(file: &File, len: u64) -> io::Result<()> {
    file.set_len(len)
}

/// Not told.
pub(in crate::storage) fn free_space(_file: &File) -> Option<(u64, u64)> {
    None
}

/// There is none.
pub(in crate::storage) fn file_size_limit() -> Option<u64> {
    None
}

/// Directories cannot be synced through the standard library; file systems with a journal keep renames in order.
pub(in crate::storage) fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}
