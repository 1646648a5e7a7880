//! Creation of files: complete under a temporary name in the same directory, then renamed to their
//! path.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempPath;

use super::lock::{Lock, LockPolicy};
use super::os;
use super::permissions::copy_metadata;
use super::registry::{MappingGuard, with_directory_lock};
use super::space::{check_file_size, take_space};
use super::target::{Target, exists, follow_links};
use crate::error::{Error, ErrorKind, Result};

/// The start of the name of temporary files.
pub(crate) const TEMPORARY_PREFIX: &str = ".ndarray-mmap-";

/// The properties of a new file.
#[derive(Debug)]
pub(super) struct FileSpec<'h> {
    /// The bytes at the start of the file.
    pub(super) header: &'h [u8],
    /// The length in bytes, header included; the rest is filled with zeros.
    pub(super) len: u64,
    /// Whether disk space is allocated only when pages are written.
    pub(super) sparse: bool,
    /// Whether an existing file is an error.
    pub(super) create_new: bool,
}

/// A complete file that is not yet renamed to its path. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct StagedFile {
    temp: TempFile,
    /// The absolute form of the path that the caller passed.
    name: PathBuf,
    target: PathBuf,
    /// The directory of the temporary and the final name.
    directory: os::Directory,
    create_new: bool,
}

impl FileSpec<'_> {
    /// Creates the file; a failure leaves nothing behind.
    pub(super) fn create(&self, path: &Path) -> Result<(File, StagedFile)> {
        let io_error = |action| move |error| Error::io(action, Some(path), error);
        check_name(path)?;
        let name = std::path::absolute(path).map_err(io_error("create"))?;
        let Target { path: target, replaced } = Target::find(&name, path, self.create_new)?;
        let directory_path = target.parent().unwrap_or(Path::new("/"));
        // Opened now, because it may be renamed, removed or made unreadable later.
        let directory =
            os::Directory::open(directory_path).map_err(io_error("open its directory"))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY_PREFIX);
        #[cfg(unix)]
        // The mode is subject to the umask. A file that replaces another one is private until it
        // has the other one's permissions.
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
            copy_metadata(&file, &replaced).map_err(io_error("set the permissions"))?;
        }
        self.initialize(&file, path)?;
        Ok((
            file,
            StagedFile {
                temp: TempFile::new(temp),
                name,
                target,
                directory,
                create_new: self.create_new,
            },
        ))
    }

    /// Creates a file without a name.
    pub(super) fn create_unlinked(&self, directory: &Path) -> Result<File> {
        let file = os::create_unlinked(directory).map_err(without_path).map_err(|error| {
            Error::io("create a scratch file in this directory", Some(directory), error)
        })?;
        self.initialize(&file, directory)?;
        Ok(file)
    }

    fn initialize(&self, mut file: &File, path: &Path) -> Result<()> {
        check_file_size(self.len, Some(path))?;
        self.allocate(file, path)?;
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(self.header))
            .map_err(|error| Error::io("write the header", Some(path), error))
    }

    fn allocate(&self, file: &File, path: &Path) -> Result<()> {
        if self.sparse || self.len == 0 {
            return file
                .set_len(self.len)
                .map_err(|error| Error::io("set the length", Some(path), error));
        }
        take_space(file, Some(path), 0, self.len, || os::allocate(file, self.len))
    }
}

impl StagedFile {
    /// Returns the absolute path by which the file will be found.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// Returns the name of the file in its directory until it is renamed.
    pub(super) fn temporary_name(&self) -> String {
        let name = self.temp.path.as_deref().and_then(Path::file_name);
        name.unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Renames the file to its path, and returns its directory and its registry entry. After a
    /// failure the file is unchanged, so the call can be retried.
    ///
    /// A file that is mapped for writing is not replaced, because later stores to it would be lost.
    /// So the old file must not be mapped until the path refers to the new file, and a second
    /// thread of this process that publishes a file waits, and finds the first one's.
    pub(super) fn persist(
        self,
        file: &Arc<File>,
        path: &Path,
        policy: LockPolicy,
    ) -> std::result::Result<(os::Directory, MappingGuard), (Error, Self)> {
        let directory = self.target.parent().unwrap_or(Path::new("/")).to_path_buf();
        with_directory_lock(&directory, || self.persist_exclusively(file, path, policy))
    }

    fn persist_exclusively(
        mut self,
        file: &Arc<File>,
        path: &Path,
        policy: LockPolicy,
    ) -> std::result::Result<(os::Directory, MappingGuard), (Error, Self)> {
        for _ in 1..MAX_TRIES {
            match self.try_persist(file, path, policy) {
                Err((error, staged)) if !staged.create_new && is_taken(&error) => self = staged,
                result => return result,
            }
        }
        self.try_persist(file, path, policy)
    }

    /// Publishes the file; returns `AlreadyExists` if another file has appeared at the path in the
    /// meantime.
    fn try_persist(
        self,
        file: &Arc<File>,
        path: &Path,
        policy: LockPolicy,
    ) -> std::result::Result<(os::Directory, MappingGuard), (Error, Self)> {
        let old_guard = match self.exclude_writers(path, policy) {
            Ok(old_guard) => old_guard,
            Err(error) => return Err((error, self)),
        };
        let is_free = old_guard.is_none();
        let old_guard = old_guard.filter(|_| os::REPLACES_OPEN_FILES);
        let guard = match MappingGuard::register(file, &self.target, path, true, policy) {
            Ok(guard) => guard,
            Err(error) => return Err((error, self)),
        };
        let directory = self.rename(path, is_free)?;
        drop(old_guard);
        Ok((directory, guard))
    }

    /// Registers and locks the file to replace as if it was mapped for reading, which excludes
    /// writers. Returns `None` if there is no such file.
    fn exclude_writers(
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
            let old_guard = MappingGuard::register_and_lock(&old, path, false, policy)?;
            if tries == MAX_TRIES || os::refers_to(&self.target, &old) {
                return Ok(Some(old_guard));
            }
            tries += 1;
        }
    }

    /// Renames the file. If the path was free, the rename must not replace a file.
    fn rename(
        self,
        path: &Path,
        is_free: bool,
    ) -> std::result::Result<os::Directory, (Error, Self)> {
        let Self { temp, name, target, directory, create_new } = self;
        let (temp_path, creator) = temp.into_parts();
        let result = if is_free {
            temp_path.persist_noclobber(&target).or_else(|failure| {
                match failure.error.kind() {
                    io::ErrorKind::AlreadyExists => Err(failure),
                    // Not all file systems support renaming without replacement.
                    _ if !create_new => failure.path.persist(&target),
                    _ => Err(failure),
                }
            })
        } else {
            temp_path.persist(&target)
        };
        match result {
            Ok(()) => Ok(directory),
            Err(failure) => {
                let error = match failure.error.kind() {
                    io::ErrorKind::AlreadyExists => exists(path, failure.error),
                    _ => Error::io("rename the new file", Some(path), failure.error),
                };
                let temp = TempFile { path: Some(failure.path), creator };
                Err((error, Self { temp, name, target, directory, create_new }))
            }
        }
    }
}

/// Returns the directory in which a new file with this path is created.
pub(super) fn directory_of(path: &Path) -> Result<PathBuf> {
    let target = std::path::absolute(path).and_then(|name| follow_links(&name));
    let target = target.map_err(|error| Error::io("create", Some(path), error))?;
    Ok(target.parent().unwrap_or(Path::new("/")).to_path_buf())
}

/// The maximum number of attempts if another file appears at the path. On file systems with
/// unstable inode numbers, every attempt seems to find another file.
const MAX_TRIES: usize = 100;

fn is_taken(error: &Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
}

/// A temporary path, removed when dropped by the process that created it. A forked child must not
/// remove its parent's file.
#[derive(Debug)]
struct TempFile {
    path: Option<TempPath>,
    creator: u32,
}

impl TempFile {
    fn new(path: TempPath) -> Self {
        Self { path: Some(path), creator: std::process::id() }
    }

    fn into_parts(mut self) -> (TempPath, u32) {
        (self.path.take().expect("only taken here and on drop"), self.creator)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && self.creator != std::process::id()
        {
            // Keeping the path only forgets it and cannot fail.
            let _ = path.keep();
        }
    }
}

/// Returns an error for paths that can only refer to a directory: `results/`, `results/.`.
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

/// Removes the temporary file's path, which is meaningless to users, from an error of `tempfile`.
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

    /// A file created through a symbolic link changes the link target's directory, so that
    /// directory must be synced.
    #[test]
    fn creation_through_symlink_syncs_target_directory() {
        let dir = tempfile::tempdir().unwrap();
        let links = dir.path().join("links");
        let data = dir.path().join("data");
        fs::create_dir(&links).unwrap();
        fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink("../data/x", links.join("x")).unwrap();
        let spec = FileSpec { header: &[], len: 8, sparse: false, create_new: false };
        let (file, staged) = spec.create(&links.join("x")).unwrap();
        let (directory, _guard) =
            staged.persist(&Arc::new(file), Path::new("x"), LockPolicy::Off).unwrap();
        assert_eq!(directory.id(), Some(os::path_id(&data).unwrap()));
    }
}
