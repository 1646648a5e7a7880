//! New files: made complete under a temporary name in the same directory, and only then given their
//! own.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempPath;

use super::lock::{Lock, LockPolicy, MappingGuard, one_at_a_time};
use super::map::file_size_limit;
use super::os;
use super::permissions::take_after;
use super::target::{Target, exists};
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
}

/// A file that is complete but has not got its name yet. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct StagedFile {
    temp: Temp,
    /// The path as it was given, and absolute.
    name: PathBuf,
    target: PathBuf,
    /// Where both names are.
    directory: os::Directory,
    create_new: bool,
}

impl NewFile<'_> {
    /// Makes the file; on failure nothing is left behind.
    pub(super) fn make(&self, path: &Path) -> Result<(File, StagedFile)> {
        let io_error = |action| move |error| Error::io(action, Some(path), error);
        check_name(path)?;
        let name = std::path::absolute(path).map_err(io_error("create"))?;
        let Target { path: target, replaced } = Target::find(&name, path, self.create_new)?;
        let directory_path = target.parent().unwrap_or(Path::new("/"));
        // Opened now: later it may be renamed or removed, or readable no more.
        let directory =
            os::Directory::open(directory_path).map_err(io_error("open its directory"))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".ndarray-mmap-");
        #[cfg(unix)]
        // Less the umask; but nobody else may open what replaces a file before it has that one's
        // permissions.
        builder.permissions(PermissionsExt::from_mode(if replaced.is_some() {
            0o600
        } else {
            0o666
        }));
        let named = builder.tempfile_in(directory_path).map_err(|error| {
            let action = match error.kind() {
                io::ErrorKind::PermissionDenied if replaced.is_some() => {
                    "create a file in its directory, which replacing a file requires"
                }
                _ => "create a file in its directory",
            };
            Error::io(action, Some(path), without_path(error))
        })?;
        let (file, temp) = named.into_parts();
        if let Some(replaced) = replaced {
            take_after(&file, &replaced).map_err(io_error("set the permissions"))?;
        }
        self.fill(&file, path)?;
        Ok((
            file,
            StagedFile {
                temp: Temp::new(temp),
                name,
                target,
                directory,
                create_new: self.create_new,
            },
        ))
    }

    /// Makes a file that never gets a name.
    pub(super) fn create_unlinked(&self, directory: &Path) -> Result<File> {
        let file = os::create_unlinked(directory).map_err(without_path).map_err(|error| {
            Error::io("create a scratch file in this directory", Some(directory), error)
        })?;
        self.fill(&file, directory)?;
        Ok(file)
    }

    fn fill(&self, mut file: &File, path: &Path) -> Result<()> {
        if let Some(limit) = file_size_limit()
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
            return file
                .set_len(self.len)
                .map_err(|error| Error::io("set the length", Some(path), error));
        }
        let needed = self.len;
        // Asked first, so that a hopeless request does not fill the disk before it fails.
        if let Some(available) = os::free_space(file)
            && needed > available
        {
            return Err(ErrorKind::StorageFull { needed, available }.at(path));
        }
        os::reserve(file, needed).map_err(|error| {
            // What it has taken is given back before free space is counted.
            let freed = file.set_len(0).ok().and_then(|()| os::free_space(file));
            match (error.kind(), freed) {
                (io::ErrorKind::StorageFull, Some(available)) => {
                    ErrorKind::StorageFull { needed, available }.at(path)
                }
                _ => Error::io("allocate disk space", Some(path), error),
            }
        })
    }
}

impl StagedFile {
    /// The absolute path that the file will be found by.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// Gives the file its name, and returns the directory it is in and its entry in the registry.
    /// On failure it stays as it was and can be tried again.
    ///
    /// A file that is mapped for writing is not replaced, as later stores to it would be lost. So
    /// nobody may map it until its name is the new file's, and a second new file of this process
    /// has to wait, and finds the first.
    pub(super) fn publish(
        self,
        file: &Arc<File>,
        path: &Path,
        policy: LockPolicy,
    ) -> std::result::Result<(os::Directory, MappingGuard), (Error, Self)> {
        let directory = self.target.parent().unwrap_or(Path::new("/")).to_path_buf();
        one_at_a_time(&directory, || self.publish_alone(file, path, policy))
    }

    fn publish_alone(
        mut self,
        file: &Arc<File>,
        path: &Path,
        policy: LockPolicy,
    ) -> std::result::Result<(os::Directory, MappingGuard), (Error, Self)> {
        for _ in 1..MAX_TRIES {
            match self.try_to_publish(file, path, policy) {
                Err((error, unnamed)) if !unnamed.create_new && is_taken(&error) => self = unnamed,
                result => return result,
            }
        }
        self.try_to_publish(file, path, policy)
    }

    /// Fails as if the name was taken where another file has come to it meanwhile.
    fn try_to_publish(
        self,
        file: &Arc<File>,
        path: &Path,
        policy: LockPolicy,
    ) -> std::result::Result<(os::Directory, MappingGuard), (Error, Self)> {
        let held = match self.keep_writers_off(path, policy) {
            Ok(held) => held,
            Err(error) => return Err((error, self)),
        };
        let is_free = held.is_none();
        let held = held.filter(|_| os::REPLACES_OPEN_FILES);
        let ticket = match MappingGuard::take(file, &self.target, path, true, policy) {
            Ok(ticket) => ticket,
            Err(error) => return Err((error, self)),
        };
        let directory = self.rename(path, is_free)?;
        drop(held);
        Ok((directory, ticket))
    }

    /// Registers and locks the file that is to be replaced as one mapped to be read, which keeps
    /// writers off it. `None` where there is none.
    fn keep_writers_off(
        &self,
        path: &Path,
        policy: LockPolicy,
    ) -> Result<Option<(MappingGuard, Lock)>> {
        let io_error = |error| Error::io("replace", Some(path), error);
        let mut tries = 1;
        loop {
            let old = match os::open_replaced(&self.target) {
                _ if self.create_new => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                old => Arc::new(old.map_err(io_error)?),
            };
            let held = MappingGuard::take_locked(&old, path, false, policy)?;
            if tries == MAX_TRIES || os::leads_to(&self.target, &old) {
                return Ok(Some(held));
            }
            tries += 1;
        }
    }

    /// Renames the file, where the name is free only if it was so.
    fn rename(
        self,
        path: &Path,
        is_free: bool,
    ) -> std::result::Result<os::Directory, (Error, Self)> {
        let Self { temp, name, target, directory, create_new } = self;
        let (path_of_temp, maker) = temp.into_parts();
        let result = match is_free {
            false => path_of_temp.persist(&target),
            true => path_of_temp.persist_noclobber(&target).or_else(|failure| {
                match failure.error.kind() {
                    io::ErrorKind::AlreadyExists => Err(failure),
                    // Not all file systems can do it.
                    _ if !create_new => failure.path.persist(&target),
                    _ => Err(failure),
                }
            }),
        };
        match result {
            Ok(()) => Ok(directory),
            Err(failure) => {
                let error = match failure.error.kind() {
                    io::ErrorKind::AlreadyExists => exists(path, failure.error),
                    _ => Error::io("rename the new file", Some(path), failure.error),
                };
                let temp = Temp { path: Some(failure.path), maker };
                Err((error, Self { temp, name, target, directory, create_new }))
            }
        }
    }
}

/// The number of times that another file at the name is taken for the one to be replaced. Where
/// numbers of files change without a reason, it always seems to be another.
const MAX_TRIES: usize = 100;

fn is_taken(error: &Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
}

/// Removes the file when dropped by the process that made it. A forked child must not remove what
/// its parent works on.
#[derive(Debug)]
struct Temp {
    path: Option<TempPath>,
    maker: u32,
}

impl Temp {
    fn new(path: TempPath) -> Self {
        Self { path: Some(path), maker: std::process::id() }
    }

    fn into_parts(mut self) -> (TempPath, u32) {
        (self.path.take().expect("taken by this call or the end alone"), self.maker)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && self.maker != std::process::id()
        {
            // There is nothing that could fail.
            let _ = path.keep();
        }
    }
}

/// Refuses what can only be the name of a directory: `results/`, `results/.`.
fn check_name(path: &Path) -> Result<()> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let is_separator = |byte: &u8| byte.is_ascii() && std::path::is_separator(char::from(*byte));
    let name = bytes.rsplit(is_separator).next().unwrap_or_default();
    match name {
        b"." | b".." => Err(ErrorKind::NotRegularFile { found: "a directory name" }.at(path)),
        b"" if !bytes.is_empty() => {
            Err(ErrorKind::NotRegularFile { found: "a directory name" }.at(path))
        }
        _ => Ok(()),
    }
}

/// An error of `tempfile` names the temporary file, which means nothing to anyone.
fn without_path(error: io::Error) -> io::Error {
    match error.kind() {
        kind @ (io::ErrorKind::NotFound
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem) => kind.into(),
        _ => error,
    }
}

#[cfg(all(test, unix, not(ndarray_mmap_portable)))]
mod tests {
    use std::fs;

    use super::*;

    /// It is the target's directory that gets a new name when a file is created through a symbolic
    /// link.
    #[test]
    fn the_directory_is_that_of_the_new_name() {
        let dir = tempfile::tempdir().unwrap();
        let (links, data) = (dir.path().join("links"), dir.path().join("data"));
        fs::create_dir(&links).unwrap();
        fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink("../data/x", links.join("x")).unwrap();
        let new = NewFile { header: &[], len: 8, sparse: false, create_new: false };
        let (file, unnamed) = new.make(&links.join("x")).unwrap();
        let (directory, _ticket) =
            unnamed.publish(&Arc::new(file), Path::new("x"), LockPolicy::Off).unwrap();
        assert_eq!(directory.id(), Some(os::path_id(&data).unwrap()));
    }
}
