//! New files: made complete under a temporary name in the same directory, and only then given their own.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use super::lock::{LockPolicy, lock};
use super::os;
use super::regular::check_regular;
use crate::error::{Error, ErrorKind, Result};

/// What a new file is to be.
#[derive(Debug)]
pub(super) struct NewFile<'h> {
    /// The bytes it begins with.
    pub(super) header: &'h [u8],
    /// Its length in bytes, header included; zeros fill the rest.
    pub(super) len: u64,
    /// Whether its disk space is left to be found when pages are written.
    pub(super) sparse: bool,
    /// Whether it must not replace a file.
    pub(super) create_new: bool,
    pub(super) lock: LockPolicy,
}

/// A file that is complete but has not got its name yet. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Unnamed {
    temp: TempPath,
    target: PathBuf,
    create_new: bool,
}

impl NewFile<'_> {
    /// Makes the file; on failure nothing is left behind.
    pub(super) fn make(&self, path: &Path) -> Result<(File, Unnamed)> {
        let io_error = |action| move |error| Error::io(action, Some(path), error);
        let target = follow_links(path).map_err(io_error("create"))?;
        let replaced = self.check_target(&target, path)?;
        let directory = target.parent().unwrap_or(Path::new("/"));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".ndarray-mmap-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
        let named = builder.tempfile_in(directory).map_err(io_error("create a file in its directory"))?;
        let (file, temp) = named.into_parts();
        if let Some(metadata) = replaced {
            file.set_permissions(metadata.permissions()).map_err(io_error("set the permissions"))?;
        }
        self.fill(&file, path)?;
        lock(&file, Some(path), true, self.lock)?;
        Ok((file, Unnamed { temp, target, create_new: self.create_new }))
    }

    /// Makes a file that never gets a name.
    pub(super) fn make_nameless(&self, directory: &Path) -> Result<File> {
        let file = tempfile::tempfile_in(directory)
            .map_err(|error| Error::io("create a scratch file in this directory", Some(directory), error))?;
        self.fill(&file, directory)?;
        Ok(file)
    }

    /// May the file be replaced, if there is one?
    fn check_target(&self, target: &Path, path: &Path) -> Result<Option<fs::Metadata>> {
        let metadata = match fs::symlink_metadata(target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(|error| Error::io("create", Some(path), error))?,
        };
        if self.create_new {
            return Err(exists(path, io::ErrorKind::AlreadyExists.into()));
        }
        check_regular(metadata.file_type(), path)?;
        // A rename asks for no permission on the file it replaces, so ask here.
        os::open(target, true).map_err(|error| Error::io("replace", Some(path), error))?;
        Ok(Some(metadata))
    }

    fn fill(&self, mut file: &File, path: &Path) -> Result<()> {
        if let Some(limit) = os::file_size_limit()
            && self.len > limit
        {
            return Err(ErrorKind::FileSizeLimit { needed: self.len, limit }.at(path));
        }
        self.take_space(file, path)?;
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(self.header))
            .map_err(|error| Error::io("write the header", Some(path), error))
    }

    fn take_space(&self, file: &File, path: &Path) -> Result<()> {
        if self.sparse || self.len == 0 {
            return file.set_len(self.len).map_err(|error| Error::io("set the length", Some(path), error));
        }
        let needed = self.len;
        // Asked first, so that a hopeless request does not fill the disk before it fails.
        if let Some((available, free)) = os::free_space(file)
            && needed > free
        {
            return Err(ErrorKind::NoSpace { needed, available }.at(path));
        }
        os::reserve(file, needed).map_err(|error| match (error.kind(), os::free_space(file)) {
            (io::ErrorKind::StorageFull, Some((available, _))) => ErrorKind::NoSpace { needed, available }.at(path),
            _ => Error::io("reserve the disk space", Some(path), error),
        })
    }
}

impl Unnamed {
    /// Gives the file its name. On failure it stays as it was and can be tried again.
    pub(super) fn publish(self, path: &Path) -> std::result::Result<(), (Error, Self)> {
        let Self { temp, target, create_new } = self;
        let result = if create_new { temp.persist_noclobber(&target) } else { temp.persist(&target) };
        result.map_err(|failure| {
            let error = match failure.error.kind() {
                io::ErrorKind::AlreadyExists => exists(path, failure.error),
                _ => Error::io("rename the new file to its name", Some(path), failure.error),
            };
            (error, Self { temp: failure.path, target, create_new })
        })
    }
}

fn exists(path: &Path, error: io::Error) -> Error {
    Error::io("create a new file where there is one (create without `create_new` replaces it)", Some(path), error)
}

/// The absolute path behind all symbolic links in the last component, whether the file exists or not, as for a plain
/// open with O_CREAT.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    const MOST_LINKS: usize = 40; // as in Linux
    let mut target = std::path::absolute(path)?;
    for _ in 0..MOST_LINKS {
        match fs::read_link(&target) {
            Ok(link) => target = target.parent().unwrap_or(Path::new("/")).join(link),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many levels of symbolic links"))
}
