//! File operations on Unix systems, through rustix.
#![forbid(unsafe_code)]

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// The identity of a file, whatever path refers to it: device and inode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::storage) struct FileId(u64, u64);

impl FileId {
    /// Returns a text that is the same on all machines that have mounted the file system.
    pub(in crate::storage) fn in_file_system(&self) -> String {
        self.1.to_string()
    }
}

impl From<Metadata> for FileId {
    fn from(metadata: Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

pub(in crate::storage) fn file_id(file: &File, _path: &Path) -> io::Result<FileId> {
    Ok(file.metadata()?.into())
}

pub(in crate::storage) fn path_id(path: &Path) -> io::Result<FileId> {
    Ok(fs::metadata(path)?.into())
}

/// Opens a file without blocking (as a FIFO would) and without acquiring a controlling terminal.
pub(in crate::storage) fn open(path: &Path, writable: bool) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    OpenOptions::new().read(true).write(writable).custom_flags(flags.cast_signed()).open(path)
}

/// Opens a file that is to be replaced, by the rules for creating it: a system with protected files
/// and links refuses those that another user has created in a sticky directory. (Creates an empty
/// file if the file was removed in the meantime.)
pub(in crate::storage) fn open_to_replace(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW).bits();
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.cast_signed())
        .open(path)
}

/// Opens a file for reading immediately before it is replaced, without following links.
pub(in crate::storage) fn open_replaced(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW).bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

/// Returns the target of a symbolic link, if it may be followed by the rule of Linux's
/// `fs.protected_symlinks`: in a directory that is sticky and world-writable, only links of this
/// user and of the directory's owner.
pub(in crate::storage) fn read_link(path: &Path) -> io::Result<PathBuf> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, Mode, openat, readlinkat};
        use std::os::unix::ffi::OsStringExt;
        // One handle, so that the owner and the target are those of one link even if it is
        // replaced.
        let link = File::from(openat(
            CWD,
            path,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?);
        let metadata = link.metadata()?;
        if !metadata.is_symlink() {
            return Err(Errno::INVAL.into());
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() && protects_links() {
            let directory = fs::metadata(path.parent().unwrap_or(Path::new("/")))?;
            if directory.mode() & 0o1002 == 0o1002 && directory.uid() != metadata.uid() {
                return Err(Errno::ACCESS.into());
            }
        }
        let link_target = readlinkat(&link, "", Vec::new())?;
        Ok(std::ffi::OsString::from_vec(link_target.into_bytes()).into())
    }
    #[cfg(not(target_os = "linux"))]
    fs::read_link(path)
}

/// Returns whether the system protects links in sticky directories, or if that is unknown.
#[cfg(target_os = "linux")]
fn protects_links() -> bool {
    fs::read_to_string("/proc/sys/fs/protected_symlinks")
        .map_or(true, |setting| setting.trim() != "0")
}

/// Creates an empty file without a name. If the file system can only unlink the file afterwards, no
/// other user may have opened it before, and the name must be gone.
pub(in crate::storage) fn create_unlinked(directory: &Path) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        let flags = (OFlags::TMPFILE | OFlags::EXCL).bits().cast_signed();
        match OpenOptions::new()
            .read(true)
            .write(true)
            .mode(0o600)
            .custom_flags(flags)
            .open(directory)
        {
            // The errors of file systems and old kernels without `O_TMPFILE`.
            Err(error)
                if matches!(Errno::from_io_error(&error), Some(Errno::ISDIR | Errno::NOENT))
                    || Errno::from_io_error(&error).is_some_and(is_unsupported) => {}
            result => return result,
        }
    }
    let (file, path) =
        tempfile::Builder::new().prefix(".ndarray-mmap-").tempfile_in(directory)?.into_parts();
    path.close()?;
    if is_inaccessible(&file.metadata()?) {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "its file system keeps a name for the file, or lets other users write to it; use \
             another directory, or create a named file",
        ))
    }
}

/// Returns whether nothing else can open the file. NFS and some FUSE file systems keep a hidden
/// name for a removed file that is open; others have no permissions, so any user could have opened
/// the file while it had its name.
fn is_inaccessible(metadata: &Metadata) -> bool {
    metadata.nlink() == 0 && metadata.mode() & 0o022 == 0
}

/// Whether an open file can be replaced by a rename, such that the new file has another identity.
/// If so, the old file stays locked during the rename.
pub(in crate::storage) const REPLACES_OPEN_FILES: bool = true;

/// Returns an extended attribute of a file, if the file has it.
#[cfg(target_os = "linux")]
pub(in crate::storage) fn attribute(file: &File, name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; 64 << 10]; // maximum size of an attribute
    match rustix::fs::fgetxattr(file, name, &mut value[..]) {
        Ok(len) => {
            value.truncate(len);
            Ok(Some(value))
        }
        Err(errno) if errno == Errno::NODATA || is_unsupported(errno) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Sets or removes an extended attribute of a file.
#[cfg(target_os = "linux")]
pub(in crate::storage) fn set_attribute(
    file: &File,
    name: &str,
    value: Option<&[u8]>,
) -> io::Result<()> {
    let result = match value {
        Some(value) => rustix::fs::fsetxattr(file, name, value, rustix::fs::XattrFlags::empty()),
        None => match rustix::fs::fremovexattr(file, name) {
            Err(errno) if errno == Errno::NODATA || is_unsupported(errno) => Ok(()),
            result => result,
        },
    };
    Ok(result?)
}

/// Returns the granularity in bytes of mappings of this file that the caller must provide (the huge
/// page size on hugetlbfs, otherwise 1).
pub(in crate::storage) fn mapping_granularity(file: &File) -> u64 {
    #[cfg(target_os = "linux")]
    if let Some((HUGETLBFS, block_bytes)) = file_system(file) {
        return block_bytes.max(1);
    }
    let _ = file;
    1
}

/// Returns whether several machines may map the file for writing. The clients of NFS and SMB write
/// back whole pages or folios, without regard to changes by other clients. True on systems other
/// than Linux, where the file system is not known.
pub(in crate::storage) fn has_coherent_cache(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    if let Some((magic, _)) = file_system(file) {
        return !matches!(magic, NFS | SMB | CIFS | SMB2);
    }
    let _ = file;
    true
}

#[cfg(target_os = "linux")]
const HUGETLBFS: u32 = 0x9584_58F6;
#[cfg(target_os = "linux")]
const NFS: u32 = 0x6969;
#[cfg(target_os = "linux")]
const SMB: u32 = 0x517B;
#[cfg(target_os = "linux")]
const CIFS: u32 = 0xFF53_4D42;
#[cfg(target_os = "linux")]
const SMB2: u32 = 0xFE53_4D42;

/// Returns the magic number and the block size of the file system.
#[cfg(target_os = "linux")]
fn file_system(file: &File) -> Option<(u32, u64)> {
    let stat = rustix::fs::fstatfs(file).ok()?;
    // The type of the number differs between architectures.
    Some((stat.f_type as u32, stat.f_bsize as u64))
}

/// Extends the empty file to `len` bytes, with disk space allocated if the file system supports it.
pub(in crate::storage) fn allocate(file: &File, len: u64) -> io::Result<()> {
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd"
    ))]
    if allocate_range(file, rustix::fs::FallocateFlags::empty(), 0, len)? {
        return Ok(());
    }
    fill_with_zeros(file, len)
}

/// Allocates disk space for `len` bytes from `at` on without changing the length of the file, if
/// the file system supports it.
pub(in crate::storage) fn reserve(file: &File, at: u64, len: u64) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    allocate_range(file, rustix::fs::FallocateFlags::KEEP_SIZE, at, len)?;
    let _ = (file, at, len);
    Ok(())
}

/// Allocates disk space, and returns whether the file system supports it.
#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd"
))]
fn allocate_range(
    file: &File,
    flags: rustix::fs::FallocateFlags,
    at: u64,
    len: u64,
) -> io::Result<bool> {
    // Some file systems undo their work when a signal arrives, which a timer may send repeatedly.
    for _ in 0..100 {
        match rustix::fs::fallocate(file, flags, at, len) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) if is_unsupported(errno) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(false)
}

/// Extends the file to `len` bytes by writing zeros, which allocates disk space as well.
fn fill_with_zeros(mut file: &File, len: u64) -> io::Result<()> {
    let mut at = file.seek(SeekFrom::End(0))?;
    let zeros = vec![0; 1 << 20];
    while at < len {
        let step = (len - at).min(zeros.len() as u64);
        file.write_all(&zeros[..step as usize])?;
        at += step;
    }
    Ok(())
}

/// Returns the free space of the file's file system, in bytes, excluding space reserved for the
/// superuser, or `None` if unknown.
pub(in crate::storage) fn free_space(file: &File) -> Option<u64> {
    let stat = rustix::fs::fstatvfs(file).ok()?;
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Returns whether some of these bytes of the file have no disk space yet. Allocated space that was
/// never written may count as such.
pub(in crate::storage) fn has_holes(file: &File, range: &Range<u64>) -> bool {
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd"
    ))]
    if rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(range.start))
        .is_ok_and(|hole| hole < range.end)
    {
        return true;
    }
    let _ = range;
    // Not all file systems report the position of holes.
    file.metadata().is_ok_and(|metadata| metadata.blocks().saturating_mul(512) < metadata.len())
}

/// Returns whether the file belongs to this user. In a user namespace, all unmapped owners have the
/// same number.
pub(in crate::storage) fn is_owned_by_caller(file: &File) -> bool {
    static NOBODY: LazyLock<u32> = LazyLock::new(|| {
        let output = fs::read_to_string("/proc/sys/kernel/overflowuid").ok();
        output.and_then(|output| output.trim().parse().ok()).unwrap_or(65534)
    });
    let user = rustix::process::geteuid().as_raw();
    user != *NOBODY && file.metadata().is_ok_and(|metadata| metadata.uid() == user)
}

/// Returns whether the error means that the file system does not support locks.
pub(in crate::storage) fn is_unsupported_lock(error: &io::Error) -> bool {
    // The standard library's own error of this kind has no number.
    error.kind() == io::ErrorKind::Unsupported
        || Errno::from_io_error(error)
            .is_some_and(|errno| errno == Errno::NOLCK || is_unsupported(errno))
}

/// Returns whether the error is Linux's for pages that cannot be prefaulted: the file is too short,
/// or the disk has failed or is full.
pub(in crate::storage) fn is_efault(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::FAULT)
}

/// Returns an error that represents a disk failure.
pub(in crate::storage) fn eio() -> io::Error {
    Errno::IO.into()
}

/// Whether `msync` waits for the disk. Linux implements it as `fsync` of the range; other systems
/// do not guarantee that.
pub(in crate::storage) const MSYNC_IS_FSYNC: bool =
    cfg!(any(target_os = "linux", target_os = "android"));

/// A directory whose entries can be made durable; `None` if it cannot be opened for reading, which
/// syncing requires.
#[derive(Debug)]
pub(in crate::storage) struct Directory(Option<File>);

impl Directory {
    pub(in crate::storage) fn open(path: &Path) -> io::Result<Self> {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Self(None)),
            result => Ok(Self(Some(result?))),
        }
    }

    /// Makes the directory entry of a file durable. If the directory cannot be synced, Linux can
    /// sync the whole file system; other systems do nothing, which is not an error.
    pub(in crate::storage) fn sync(&self, file: &File) -> io::Result<()> {
        match self.0.as_ref().map(File::sync_all) {
            Some(Err(error)) if !Errno::from_io_error(&error).is_some_and(is_unsupported) => {
                Err(error)
            }
            Some(Ok(())) => Ok(()),
            _ => sync_file_system(file),
        }
    }

    /// Returns a directory whose sync fails.
    #[cfg(all(test, target_os = "linux"))]
    pub(in crate::storage) fn failing(path: &Path) -> io::Result<Self> {
        // A handle with `O_PATH` cannot be synced: `EBADF`.
        let flags = OFlags::PATH.bits().cast_signed();
        Ok(Self(Some(OpenOptions::new().read(true).custom_flags(flags).open(path)?)))
    }

    #[cfg(test)]
    pub(in crate::storage) fn id(&self) -> Option<FileId> {
        Some(self.0.as_ref()?.metadata().ok()?.into())
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn sync_file_system(file: &File) -> io::Result<()> {
    match rustix::fs::syncfs(file) {
        Err(errno) if !is_unsupported(errno) => Err(errno.into()),
        _ => Ok(()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn sync_file_system(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Returns whether the error means that the file system does not support the call. NOTSUP and
/// OPNOTSUPP differ on macOS, which returns both.
fn is_unsupported(errno: Errno) -> bool {
    [Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL].contains(&errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_calls_are_distinguished_from_failures() {
        for errno in [Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL] {
            assert!(is_unsupported(errno));
        }
        assert!(
            !is_unsupported(Errno::IO)
                && !is_unsupported(Errno::NOSPC)
                && !is_unsupported(Errno::ACCESS)
        );
    }

    #[test]
    fn unlinked_files_are_inaccessible() {
        let dir = tempfile::tempdir().unwrap();
        let file = create_unlinked(dir.path()).unwrap();
        assert!(is_inaccessible(&file.metadata().unwrap()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let (file, path) = tempfile::NamedTempFile::new_in(dir.path()).unwrap().into_parts();
        assert!(!is_inaccessible(&file.metadata().unwrap()));
        path.close().unwrap();
        assert!(is_inaccessible(&file.metadata().unwrap()));
        for (mode, is) in [(0o622, false), (0o620, false), (0o602, false), (0o644, true)] {
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(is_inaccessible(&file.metadata().unwrap()), is, "{mode:o}");
        }
    }

    #[test]
    fn holes_are_distinguished_from_data() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        assert!(!has_holes(&file, &(0..1 << 20)));
        // A hole that is small compared with the data before it.
        file.set_len((1 << 20) + (64 << 10)).unwrap();
        assert!(has_holes(&file, &(0..(1 << 20) + (64 << 10))));
    }

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn reserved_space_does_not_change_the_length() {
        let file = tempfile::tempfile().unwrap();
        fill_with_zeros(&file, 5_000).unwrap();
        reserve(&file, 5_000, 3 << 20).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 5_000);
        assert!(file.metadata().unwrap().blocks() * 512 >= 3 << 20);
        file.set_len(5_000).unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 < 1 << 20, "the space is not freed");
    }

    /// Covers file systems without `fallocate`.
    #[test]
    fn zeros_allocate_disk_space() {
        for len in [0, 1, 1 << 20, (1 << 20) + 1, 5_000_000] {
            let file = tempfile::tempfile().unwrap();
            fill_with_zeros(&file, len).unwrap();
            let metadata = file.metadata().unwrap();
            assert_eq!(metadata.len(), len);
            assert!(metadata.blocks() * 512 >= len);
        }
    }
}
