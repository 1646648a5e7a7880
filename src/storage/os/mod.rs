//! The seam to the operating system: what differs between platforms, in safe calls.
//!
//! `unix` is the real thing, developed and tested on Linux. `portable` is its twin for everything else, with the
//! standard library alone; building with `--cfg ndarray_mmap_portable` puts it in place on Unix too, so that it can be
//! tested there. The two system calls that need `unsafe` are in `storage::map`.
#![forbid(unsafe_code)]

#[cfg(all(unix, not(ndarray_mmap_portable)))]
mod unix;
#[cfg(all(unix, not(ndarray_mmap_portable)))]
pub(super) use unix::{FileId, file_id, file_size_limit, free_space, open, path_id, reserve, sync_dir};

#[cfg(not(all(unix, not(ndarray_mmap_portable))))]
mod portable;
#[cfg(not(all(unix, not(ndarray_mmap_portable))))]
pub(super) use portable::{FileId, file_id, file_size_limit, free_space, open, path_id, reserve, sync_dir};

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// Makes the file `len` bytes long by writing zeros, which takes the disk space as well.
pub(super) fn fill_with_zeros(mut file: &File, len: u64) -> io::Result<()> {
    let mut at = file.seek(SeekFrom::End(0))?;
    let zeros = vec![0; 1 << 20];
    while at < len {
        let step = (len - at).min(zeros.len() as u64);
        file.write_all(&zeros[..step as usize])?;
        at += step;
    }
    Ok(())
}
