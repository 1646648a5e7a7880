//! What Unix systems can tell of files and do for them, by way of rustix.
#![forbid(unsafe_code)]

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::LazyLock;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// What makes a file the same file, whatever path leads to it: device and inode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::storage) struct FileId(u64, u64);

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

/// Never waits (a FIFO would) and never becomes a controlling terminal.
pub(in crate::storage) fn open(path: &Path, writable: bool) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    OpenOptions::new().read(true).write(writable).custom_flags(flags.cast_signed()).open(path)
}

/// What mappings of the file are multiples of, in bytes, and the system does not make them so by itself.
pub(in crate::storage) fn map_unit(file: &File) -> u64 {
    #[cfg(target_os = "linux")]
    if let Ok(stat) = rustix::fs::fstatfs(file)
        && stat.f_type as u64 & 0xFFFF_FFFF == libc::HUGETLBFS_MAGIC as u64 & 0xFFFF_FFFF
    {
        return (stat.f_bsize as u64).max(1);
    }
    let _ = file;
    1
}

/// Makes the empty file `len` bytes long, with the disk space reserved where the file system can.
pub(in crate::storage) fn reserve(file: &File, len: u64) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple", target_os = "freebsd"))]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        // Some file systems undo what they have done when a signal comes, which a timer might send again and again.
        for _ in 0..100 {
            match fallocate(file, FallocateFlags::empty(), 0, len) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) if is_unsupported(errno) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    fill_with_zeros(file, len)
}

/// Makes the file `len` bytes long by writing zeros, which takes the disk space as well.
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

/// The free space of the file's file system, in bytes, less what is reserved for the system. `None` where it does not tell.
pub(in crate::storage) fn free_space(file: &File) -> Option<u64> {
    let stat = rustix::fs::fstatvfs(file).ok()?;
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Have some of these bytes of the file no place on disk yet? Reserved space that was never written may count as such.
pub(in crate::storage) fn has_holes(file: &File, range: &Range<u64>) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple", target_os = "freebsd"))]
    if rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(range.start)).is_ok_and(|hole| hole < range.end) {
        return true;
    }
    let _ = range;
    // Not all file systems tell where.
    file.metadata().is_ok_and(|metadata| metadata.blocks().saturating_mul(512) < metadata.len())
}

/// Does the file belong to this user? Owners that a user name space does not know all have one number in it.
pub(in crate::storage) fn is_own(file: &File) -> bool {
    static NOBODY: LazyLock<u32> = LazyLock::new(|| {
        let told = fs::read_to_string("/proc/sys/kernel/overflowuid").ok();
        told.and_then(|told| told.trim().parse().ok()).unwrap_or(65534)
    });
    let user = rustix::process::geteuid().as_raw();
    user != *NOBODY && file.metadata().is_ok_and(|metadata| metadata.uid() == user)
}

/// Is it the file system that has no locks?
pub(in crate::storage) fn lacks_locks(error: &io::Error) -> bool {
    // The standard library's own word for it has no number.
    error.kind() == io::ErrorKind::Unsupported
        || Errno::from_io_error(error).is_some_and(|errno| errno == Errno::NOLCK || is_unsupported(errno))
}

/// What Linux says of pages that cannot be made resident: the file does not go so far, the disk fails or is full.
pub(in crate::storage) fn is_bad_address(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::FAULT)
}

/// What stands for a failure of the disk.
pub(in crate::storage) fn disk_error() -> io::Error {
    Errno::IO.into()
}

/// Does `msync` wait for the disk itself? Linux makes it an `fsync` of the range; elsewhere nobody promises that.
pub(in crate::storage) const MSYNC_IS_FSYNC: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// A directory whose new names can be made durable; `None` where it cannot be read, which syncing it would need.
#[derive(Debug)]
pub(in crate::storage) struct Directory(Option<File>);

impl Directory {
    pub(in crate::storage) fn open(path: &Path) -> io::Result<Self> {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Self(None)),
            result => Ok(Self(Some(result?))),
        }
    }

    /// Makes the name of a file that is in it durable. Where the directory cannot be synced, Linux can sync the whole file
    /// system; elsewhere nothing is done, which is not an error.
    pub(in crate::storage) fn sync(&self, file: &File) -> io::Result<()> {
        match self.0.as_ref().map(File::sync_all) {
            Some(Err(error)) if !Errno::from_io_error(&error).is_some_and(is_unsupported) => Err(error),
            Some(Ok(())) => Ok(()),
            _ => sync_file_system(file),
        }
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

/// Does the file system lack the call? The numbers of NOTSUP and OPNOTSUPP differ on macOS, where both are seen.
fn is_unsupported(errno: Errno) -> bool {
    [Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL].contains(&errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_calls_are_told_from_failures() {
        for errno in [Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL] {
            assert!(is_unsupported(errno));
        }
        assert!(!is_unsupported(Errno::IO) && !is_unsupported(Errno::NOSPC) && !is_unsupported(Errno::ACCESS));
    }

    #[test]
    fn holes_are_told_from_data() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        assert!(!has_holes(&file, &(0..1 << 20)));
        // One that is small beside what lies before.
        file.set_len((1 << 20) + (64 << 10)).unwrap();
        assert!(has_holes(&file, &(0..(1 << 20) + (64 << 10))));
    }

    /// What happens on file systems without `fallocate`.
    #[test]
    fn zeros_take_the_space() {
        for len in [0, 1, 1 << 20, (1 << 20) + 1, 5_000_000] {
            let file = tempfile::tempfile().unwrap();
            fill_with_zeros(&file, len).unwrap();
            let metadata = file.metadata().unwrap();
            assert_eq!(metadata.len(), len);
            assert!(metadata.blocks() * 512 >= len);
        }
    }
}
