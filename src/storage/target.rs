//! The target of a new file: its path with symbolic links resolved, as far as the system follows
//! them.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::file::check_regular;
use super::os;
use crate::error::{Error, Result};

/// The target of a new file.
#[derive(Debug)]
pub(super) struct Target {
    /// The absolute path, with all links in the last component resolved.
    pub(super) path: PathBuf,
    /// The file that already exists there.
    pub(super) replaced: Option<File>,
}

impl Target {
    /// Resolves the path as opening it with `O_CREAT` would, and with `O_EXCL` for `create_new`,
    /// and fails if that would fail. `name` is the absolute form of `path`.
    pub(super) fn find(name: &Path, path: &Path, create_new: bool) -> Result<Self> {
        let target = follow_links(name).map_err(|error| Error::io("create", Some(path), error))?;
        if create_new && target != name {
            return Err(exists(path, io::ErrorKind::AlreadyExists.into()));
        }
        check_directory(target.parent().unwrap_or(Path::new("/")), path, target != name)?;
        if target != name {
            check_links(name, &target, path)?;
        }
        Ok(Self { replaced: open_replaced(&target, path, create_new)?, path: target })
    }
}

/// Opens the existing file, if it may be replaced.
fn open_replaced(target: &Path, path: &Path, create_new: bool) -> Result<Option<File>> {
    let metadata = match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result.map_err(|error| Error::io("create", Some(path), error))?,
    };
    check_regular(metadata.file_type(), path)?;
    if create_new {
        return Err(exists(path, io::ErrorKind::AlreadyExists.into()));
    }
    // A rename requires no permission on the file it replaces, so this checks it.
    let io_error = |error| Error::io("replace", Some(path), error);
    let file = os::open_to_replace(target).map_err(io_error)?;
    check_regular(file.metadata().map_err(io_error)?.file_type(), path)?;
    Ok(Some(file))
}

/// Returns the absolute path with all symbolic links in the last component resolved, whether the
/// file exists or not.
pub(super) fn follow_links(path: &Path) -> io::Result<PathBuf> {
    const MAX_LINKS: usize = 40; // as in Linux
    let mut target = path.to_path_buf();
    for _ in 0..=MAX_LINKS {
        if !fs::symlink_metadata(&target).is_ok_and(|metadata| metadata.is_symlink()) {
            return Ok(target);
        }
        let link = os::read_link(&target)?;
        target = target.parent().unwrap_or(Path::new("/")).join(link);
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

/// Checks that the system, whose rules restrict which links are followed, resolves the links to the
/// same target.
fn check_links(name: &Path, target: &Path, path: &Path) -> Result<()> {
    let io_error = |error| Error::io("follow the link", Some(path), error);
    let is_same = match fs::metadata(name) {
        Ok(found) => {
            check_regular(found.file_type(), path)?;
            os::path_id(name).and_then(|ours| Ok(ours == os::path_id(target)?)).map_err(io_error)?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::symlink_metadata(target).is_err()
        }
        Err(error) => return Err(io_error(error)),
    };
    if is_same { Ok(()) } else { Err(io_error(io::Error::other("it changed in the meantime"))) }
}

/// Returns an error if the directory of a new file is missing or not a directory.
fn check_directory(directory: &Path, path: &Path, through_link: bool) -> Result<()> {
    let action = if through_link {
        "create: the symlink's target directory does not exist"
    } else {
        "create: the directory does not exist"
    };
    let missing = |error| Error::io(action, Some(path), error);
    match fs::metadata(directory) {
        Ok(metadata) if !metadata.is_dir() => Err(missing(io::ErrorKind::NotADirectory.into())),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Err(missing(error))
        }
        _ => Ok(()), // creating the file reports all other errors
    }
}

/// Returns the error for an existing file.
pub(super) fn exists(path: &Path, error: io::Error) -> Error {
    let action =
        "create: the file already exists, or is a symlink (without `create_new`, it is replaced)";
    Error::io(action, Some(path), error)
}
