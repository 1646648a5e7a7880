//! The platform layer: differences between platforms behind safe functions.
//!
//! `unix` is the full implementation, developed and tested on Linux. `portable` is the fallback for
//! all other platforms, based on the standard library alone; building with `--cfg
//! ndarray_mmap_portable` selects it on Unix too, so that it can be tested there. The system calls
//! that need `unsafe` are in `storage::map`.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;

use super::map::Advice;

#[cfg(all(unix, not(ndarray_mmap_portable)))]
mod unix;
#[cfg(all(unix, not(ndarray_mmap_portable)))]
pub(super) use unix::{
    Directory, FileId, MSYNC_IS_FSYNC, REPLACES_OPEN_FILES, allocate, create_unlinked, eio,
    file_id, free_space, has_coherent_cache, has_holes, is_efault, is_owned_by_caller,
    is_unsupported_lock, mapping_granularity, open, open_replaced, open_to_replace, path_id,
    read_link, reserve,
};

#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
pub(super) use unix::{attribute, set_attribute};

#[cfg(not(all(unix, not(ndarray_mmap_portable))))]
mod portable;
#[cfg(not(all(unix, not(ndarray_mmap_portable))))]
pub(super) use portable::{
    Directory, FileId, MSYNC_IS_FSYNC, REPLACES_OPEN_FILES, allocate, create_unlinked, eio,
    file_id, free_space, has_coherent_cache, has_holes, is_efault, is_owned_by_caller,
    is_unsupported_lock, mapping_granularity, open, open_replaced, open_to_replace, path_id,
    read_link, reserve,
};

/// Reads until the buffer is full or the file ends. Does not use the position of the file, which
/// several threads share.
pub(super) fn read_at(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    repeat(buffer.len(), |got| read_some_at(file, at + got as u64, &mut buffer[got..]))
}

/// Reads as [`read_at`] does, into memory that may be uninitialized.
pub(super) fn read_uninit_at(
    file: &File,
    at: u64,
    buffer: &mut [MaybeUninit<u8>],
) -> io::Result<usize> {
    repeat(buffer.len(), |got| read_some_uninit_at(file, at + got as u64, &mut buffer[got..]))
}

/// Repeats a transfer of bytes, which is passed the number of bytes transferred before, until it has
/// transferred all bytes or no more.
fn repeat(len: usize, mut transfer: impl FnMut(usize) -> io::Result<usize>) -> io::Result<usize> {
    let mut done = 0;
    while done < len {
        match transfer(done) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

#[cfg(unix)]
fn read_some_uninit_at(file: &File, at: u64, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    Ok(rustix::io::pread(file, buffer, at)?.0.len())
}

#[cfg(not(unix))]
fn read_some_uninit_at(file: &File, at: u64, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    let mut initialized = vec![0; buffer.len().min(64 << 10)];
    let got = read_some_at(file, at, &mut initialized)?;
    for (to, &from) in buffer.iter_mut().zip(&initialized[..got]) {
        to.write(from);
    }
    Ok(got)
}

#[cfg(unix)]
fn read_some_at(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

#[cfg(windows)]
fn read_some_at(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}

#[cfg(not(any(unix, windows)))]
fn read_some_at(mut file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    use std::io::{Read, Seek, SeekFrom};

    file.seek(SeekFrom::Start(at))?;
    file.read(buffer)
}

/// Advises the kernel how a file will be read. A rejected hint changes no result, so errors are
/// ignored.
pub(super) fn advise(file: &File, advice: Advice) {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    if advice != Advice::Normal {
        let advice = match advice {
            Advice::Normal => rustix::fs::Advice::Normal,
            Advice::Sequential => rustix::fs::Advice::Sequential,
            Advice::Random => rustix::fs::Advice::Random,
        };
        let _ = rustix::fs::fadvise(file, 0, None, advice);
    }
    let _ = (file, advice);
}

/// Announces to the kernel that a range of a file will be read soon. Errors are ignored.
pub(super) fn will_need(file: &File, at: u64, len: usize) {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    if let Some(len) = std::num::NonZeroU64::new(len as u64) {
        let _ = rustix::fs::fadvise(file, at, Some(len), rustix::fs::Advice::WillNeed);
    }
    let _ = (file, at, len);
}

/// Writes all bytes. Does not use the position of the file, which several threads share.
pub(super) fn write_at(file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    let written =
        repeat(bytes.len(), |done| write_some_at(file, at + done as u64, &bytes[done..]))?;
    if written < bytes.len() { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) }
}

#[cfg(unix)]
fn write_some_at(file: &File, at: u64, bytes: &[u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, at)
}

#[cfg(windows)]
fn write_some_at(file: &File, at: u64, bytes: &[u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, at)
}

#[cfg(not(any(unix, windows)))]
fn write_some_at(mut file: &File, at: u64, bytes: &[u8]) -> io::Result<usize> {
    use std::io::{Seek, SeekFrom, Write};

    file.seek(SeekFrom::Start(at))?;
    file.write(bytes)
}

/// Returns whether the path refers to this file. A path that cannot be accessed counts as referring
/// to it.
pub(super) fn refers_to(path: &Path, file: &File) -> bool {
    let same = file_id(file, path).and_then(|ours| Ok(ours == path_id(path)?));
    same.unwrap_or_else(|error| {
        !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        /// Transfers are repeated after short and interrupted ones, until the end of the file.
        #[test]
        fn transfers_are_repeated(
            len in 0_usize..100,
            end in 0_usize..120,
            steps in prop::collection::vec(prop_oneof![Just(None), (1_usize..30).prop_map(Some)], 1..50),
        ) {
            let mut steps = steps.into_iter().chain(std::iter::repeat(Some(1)));
            let mut starts = Vec::new();
            let done = repeat(len, |done| {
                starts.push(done);
                match steps.next().flatten() {
                    None => Err(io::ErrorKind::Interrupted.into()),
                    Some(step) => Ok(step.min(len - done).min(end.saturating_sub(done))),
                }
            });
            prop_assert_eq!(done.unwrap(), len.min(end));
            prop_assert!(starts.is_sorted());
        }
    }

    #[test]
    fn failed_transfers_are_errors() {
        let failed = repeat(10, |done| match done {
            0 => Ok(4),
            _ => Err(eio()),
        });
        assert_eq!(failed.unwrap_err().kind(), eio().kind());
    }
}
