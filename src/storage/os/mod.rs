//! The seam to the operating system: what differs between platforms, in safe calls.
//!
//! `unix` is the real thing, developed and tested on Linux. `portable` is its twin for everything else, with the
//! standard library alone; building with `--cfg ndarray_mmap_portable` puts it in place on Unix too, so that it can be
//! tested there. The system calls that need `unsafe` are in `storage::map`.
#![forbid(unsafe_code)]

#[cfg(all(unix, not(ndarray_mmap_portable)))]
mod unix;
#[cfg(all(unix, not(ndarray_mmap_portable)))]
pub(super) use unix::{
    Directory, FileId, MSYNC_IS_FSYNC, disk_error, file_id, free_space, has_holes, is_bad_address, is_own, lacks_locks,
    map_unit, open, path_id, reserve,
};

#[cfg(not(all(unix, not(ndarray_mmap_portable))))]
mod portable;
#[cfg(not(all(unix, not(ndarray_mmap_portable))))]
pub(super) use portable::{
    Directory, FileId, MSYNC_IS_FSYNC, disk_error, file_id, free_space, has_holes, is_bad_address, is_own, lacks_locks,
    map_unit, open, path_id, reserve,
};
