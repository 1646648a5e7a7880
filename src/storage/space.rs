//! Disk space and limits of file sizes: errors before any work is done.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;

use super::map::file_size_limit;
use super::os;
use crate::error::{Error, ErrorKind, Result};

/// Returns an error if the process may not write files of this length. Writing past the limit would
/// raise a signal.
pub(super) fn check_file_size(needed: u64, path: Option<&Path>) -> Result<()> {
    match file_size_limit() {
        Some(limit) if needed > limit => Err(ErrorKind::FileSizeLimit { needed, limit }.at(path)),
        _ => Ok(()),
    }
}

/// Takes `needed` bytes of disk space after the first `len` bytes of a file, through a closure. A
/// failure leaves no more than the first `len` bytes.
pub(super) fn take_space(
    file: &File,
    path: Option<&Path>,
    len: u64,
    needed: u64,
    take: impl FnOnce() -> io::Result<()>,
) -> Result<()> {
    // Checked first, so that a request that cannot succeed does not fill the disk before it fails.
    if let Some(available) = os::free_space(file)
        && needed > available
    {
        return Err(ErrorKind::StorageFull { needed, available }.at(path));
    }
    take().map_err(|error| {
        // Frees the allocated space before free space is measured.
        let freed = file.set_len(len).ok().and_then(|()| os::free_space(file));
        match (error.kind(), freed) {
            (io::ErrorKind::StorageFull, Some(available)) => {
                ErrorKind::StorageFull { needed, available }.at(path)
            }
            _ => Error::io("allocate disk space", path, error),
        }
    })
}
