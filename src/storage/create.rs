//! New files: made complete under a temporary name in the same directory, and only then given their own.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempPath;

use super::lock::{LockPolicy, Ticket};
use super::map::file_size_limit;
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
}

/// A file that is complete but has not got its name yet. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Unnamed {
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
    pub(super) fn make(&self, path: &Path) -> Result<(File, Unnamed)> {
        let io_error = |action| move |error| Error::io(action, Some(path), error);
        check_name(path)?;
        let name = std::path::absolute(path).map_err(io_error("create"))?;
        let target = follow_links(&name).map_err(io_error("create"))?;
        let directory_path = target.parent().unwrap_or(Path::new("/"));
        check_directory(directory_path, path, target != name)?;
        let replaced = self.check_target(&target, path)?;
        // Opened now: later it may be renamed or removed, or readable no more.
        let directory = os::Directory::open(directory_path).map_err(io_error("open its directory"))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".ndarray-mmap-");
        #[cfg(unix)]
        // Less the umask; but nobody else may open what replaces a file before it has that one's permissions.
        builder.permissions(PermissionsExt::from_mode(if replaced.is_some() { 0o600 } else { 0o666 }));
        let named = builder.tempfile_in(directory_path).map_err(|error| {
            let action = match error.kind() {
                io::ErrorKind::PermissionDenied if replaced.is_some() => {
                    "create a file in its directory, as replacing one needs"
                }
                _ => "create a file in its directory",
            };
            Error::io(action, Some(path), without_path(error))
        })?;
        let (file, temp) = named.into_parts();
        if let Some(metadata) = replaced {
            take_after(&file, &metadata).map_err(io_error("set the permissions"))?;
        }
        self.fill(&file, path)?;
        Ok((file, Unnamed { temp: Temp::new(temp), name, target, directory, create_new: self.create_new }))
    }

    /// Makes a file that never gets a name.
    pub(super) fn make_nameless(&self, directory: &Path) -> Result<File> {
        let file = tempfile::tempfile_in(directory)
            .map_err(without_path)
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
        check_regular(metadata.file_type(), path)?;
        if self.create_new {
            return Err(exists(path, io::ErrorKind::AlreadyExists.into()));
        }
        // A rename asks for no permission on the file it replaces, so ask here.
        os::open(target, true).map_err(|error| Error::io("replace", Some(path), error))?;
        Ok(Some(metadata))
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
            return file.set_len(self.len).map_err(|error| Error::io("set the length", Some(path), error));
        }
        let needed = self.len;
        // Asked first, so that a hopeless request does not fill the disk before it fails.
        if let Some(available) = os::free_space(file)
            && needed > available
        {
            return Err(ErrorKind::NoSpace { needed, available }.at(path));
        }
        os::reserve(file, needed).map_err(|error| {
            // What it has taken is given back before free space is counted.
            let freed = file.set_len(0).ok().and_then(|()| os::free_space(file));
            match (error.kind(), freed) {
                (io::ErrorKind::StorageFull, Some(available)) => ErrorKind::NoSpace { needed, available }.at(path),
                _ => Error::io("reserve the disk space", Some(path), error),
            }
        })
    }
}

impl Unnamed {
    /// The absolute path that the file will be found by.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// The name the file will have, behind all links.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Refuses to replace a file that is mapped for writing: what is stored there from then on would be lost.
    pub(super) fn check_writers(&self, path: &Path, policy: LockPolicy) -> Result<()> {
        if self.create_new {
            return Ok(());
        }
        let old = match os::open(&self.target, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            old => old.map_err(|error| Error::io("replace", Some(path), error))?,
        };
        // As who would map it to read.
        let (_ticket, _lock) = Ticket::take_locked(&Arc::new(old), path, false, policy)?;
        Ok(())
    }

    /// Gives the file its name, and returns the directory it is in. On failure it stays as it was and can be tried
    /// again.
    pub(super) fn publish(self, path: &Path) -> std::result::Result<os::Directory, (Error, Self)> {
        let Self { temp, name, target, directory, create_new } = self;
        let (path_of_temp, maker) = temp.into_parts();
        let result = match create_new {
            true => path_of_temp.persist_noclobber(&target),
            false => path_of_temp.persist(&target),
        };
        match result {
            Ok(()) => Ok(directory),
            Err(failure) => {
                let error = match failure.error.kind() {
                    io::ErrorKind::AlreadyExists => exists(path, failure.error),
                    _ => Error::io("rename the new file to its name", Some(path), failure.error),
                };
                let temp = Temp { path: Some(failure.path), maker };
                Err((error, Self { temp, name, target, directory, create_new }))
            }
        }
    }
}

/// Removes the file when dropped by the process that made it. A forked child must not remove what its parent works on.
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

/// Gives a new file the owner, where that is allowed, and the permissions of the one it replaces. Not the set-user-ID
/// bit and its like: whoever set them meant the old contents.
#[cfg(unix)]
fn take_after(file: &File, replaced: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let new = file.metadata()?;
    let mut wanted = replaced.permissions().mode() & 0o777;
    if (new.uid(), new.gid()) != (replaced.uid(), replaced.gid()) {
        // Only the superuser may give files away; a group may be open to others.
        let group = fchown(file, Some(replaced.uid()), Some(replaced.gid()))
            .or_else(|_| fchown(file, None, Some(replaced.gid())));
        if group.is_err() && new.gid() != replaced.gid() {
            // Another group may do no more than everyone.
            wanted &= 0o707 | (wanted & 0o007) << 3;
        }
    }
    let is = new.permissions().mode() & 0o7777;
    // Not asked for in vain: some file systems have no permissions to set.
    if is == wanted { Ok(()) } else { file.set_permissions(fs::Permissions::from_mode(wanted)) }
}

#[cfg(not(unix))]
fn take_after(file: &File, replaced: &fs::Metadata) -> io::Result<()> {
    file.set_permissions(replaced.permissions())
}

/// Refuses what can only be the name of a directory: `results/`, `results/.`.
fn check_name(path: &Path) -> Result<()> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let is_separator = |byte: &u8| byte.is_ascii() && std::path::is_separator(char::from(*byte));
    let name = bytes.rsplit(is_separator).next().unwrap_or_default();
    match name {
        b"." | b".." => Err(ErrorKind::NotRegularFile { found: "the name of a directory" }.at(path)),
        b"" if !bytes.is_empty() => Err(ErrorKind::NotRegularFile { found: "the name of a directory" }.at(path)),
        _ => Ok(()),
    }
}

/// Says so if the directory of a new file is missing, or is none.
fn check_directory(directory: &Path, path: &Path, through_link: bool) -> Result<()> {
    let action = match through_link {
        true => "create it, there is no such directory as the link leads to",
        false => "create it, there is no such directory",
    };
    let missing = |error| Error::io(action, Some(path), error);
    match fs::metadata(directory) {
        Ok(metadata) if !metadata.is_dir() => Err(missing(io::ErrorKind::NotADirectory.into())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(missing(error))
        }
        _ => Ok(()), // or whatever else comes of creating a file there
    }
}

/// An error of `tempfile` names the temporary file, which means nothing to anyone.
fn without_path(error: io::Error) -> io::Error {
    match error.kind() {
        kind @ (io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            kind.into()
        }
        _ => error,
    }
}

fn exists(path: &Path, error: io::Error) -> Error {
    Error::io("create a new file where there is one (create without `create_new` replaces it)", Some(path), error)
}

/// The absolute path behind all symbolic links in the last component, whether the file exists or not, as for a plain
/// open with O_CREAT.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    const MOST_LINKS: usize = 40; // as in Linux
    let mut target = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&target) {
            Ok(link) => target = target.parent().unwrap_or(Path::new("/")).join(link),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

#[cfg(all(test, unix, not(ndarray_mmap_portable)))]
mod tests {
    use super::*;

    /// It is the target's directory that gets a new name when a file is created through a symbolic link.
    #[test]
    fn the_directory_is_that_of_the_new_name() {
        let dir = tempfile::tempdir().unwrap();
        let (links, data) = (dir.path().join("links"), dir.path().join("data"));
        fs::create_dir(&links).unwrap();
        fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink("../data/x", links.join("x")).unwrap();
        let new = NewFile { header: &[], len: 8, sparse: false, create_new: false };
        let (_file, unnamed) = new.make(&links.join("x")).unwrap();
        let directory = unnamed.publish(Path::new("x")).unwrap();
        assert_eq!(directory.id(), Some(os::path_id(&data).unwrap()));
    }
}
