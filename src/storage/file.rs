//! Opening of regular files.
#![forbid(unsafe_code)]

use std::fs::{self, File, FileType};
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::os;
use crate::error::{Error, ErrorKind, Result};
use crate::paging::FileVersion;

/// Opens a regular file and no other kind: opening a FIFO would block, opening a device could have
/// side effects.
pub(crate) fn open_regular(path: &Path, writable: bool) -> Result<File> {
    let action = if writable { "open for reading and writing" } else { "open for reading" };
    let io_error = |error| Error::io(action, Some(path), error);
    check_regular(fs::metadata(path).map_err(io_error)?.file_type(), path)?;
    let file = os::open(path, writable).map_err(io_error)?;
    // The opened file may differ from the one whose type was checked before.
    check_regular(file.metadata().map_err(io_error)?.file_type(), path)?;
    Ok(file)
}

/// Returns the length of an open file in bytes.
pub(super) fn len(file: &File, path: Option<&Path>) -> Result<u64> {
    let metadata = file.metadata();
    Ok(metadata.map_err(|error| Error::io("read the file's metadata", path, error))?.len())
}

/// Returns an error if the file is shorter than the array, which ends at byte `expected`.
pub(super) fn check_length(file: &File, expected: u64, path: Option<&Path>) -> Result<()> {
    let found = len(file, path)?;
    if found >= expected {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::FileTruncated { expected, found }, path))
    }
}

/// Returns the identity and the version of a file.
pub(super) fn file_version(file: &File, path: &Path, is_read_only: bool) -> Result<FileVersion> {
    let version = || {
        let metadata = file.metadata()?;
        let id = os::file_id(file, path)?;
        let modified = match metadata.modified()?.duration_since(UNIX_EPOCH) {
            Ok(after) => after.as_nanos() as i128,
            Err(before) => -(before.duration().as_nanos() as i128),
        };
        // The number of a removed file may be reused. Some file systems have no creation time.
        let id = format!("{}, created {:?}", id.in_file_system(), metadata.created().ok());
        Ok(FileVersion { id, bytes: metadata.len(), modified, is_read_only })
    };
    version().map_err(|error| Error::io("identify the file", Some(path), error))
}

pub(super) fn check_regular(file_type: FileType, path: &Path) -> Result<()> {
    if file_type.is_file() {
        return Ok(());
    }
    #[cfg(unix)]
    let special = {
        use std::os::unix::fs::FileTypeExt;
        [
            (file_type.is_fifo(), "a FIFO (named pipe)"),
            (file_type.is_socket(), "a socket"),
            (file_type.is_block_device(), "a block device"),
            (file_type.is_char_device(), "a character device"),
        ]
    };
    #[cfg(not(unix))]
    let special: [(bool, &str); 0] = [];
    let found = match special.iter().find(|(is, _)| *is) {
        Some((_, name)) => name,
        None if file_type.is_dir() => "a directory",
        None => "a special file",
    };
    Err(ErrorKind::NotRegularFile { found }.at(path))
}
