//! Large files that lose their name to a new one: the system frees them while the caller goes on.
//!
//! A rename over a file waits until its pages and its disk blocks are free, if nobody else has it open: 65 ms for 400 MB on
//! ext4, most of it for the disk. So the file is kept open across the rename, and closed by a thread of its own.
#![forbid(unsafe_code)]

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::os;

/// Smaller files are freed in less time than a thread takes to be made worth it.
const LEAST_BYTES: u64 = 16 << 20;

/// What is being freed.
static FREEING: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// A file that is about to be replaced, if it is worth the trouble.
#[derive(Debug)]
pub(super) struct Replaced(Option<File>);

impl Replaced {
    pub(super) fn open(path: &Path) -> Self {
        // Elsewhere an open file cannot be replaced, or not everywhere.
        let file = if cfg!(all(unix, not(ndarray_mmap_portable))) { os::open(path, false).ok() } else { None };
        Self(file.filter(|file| file.metadata().is_ok_and(|metadata| metadata.len() >= LEAST_BYTES)))
    }

    /// Frees the file, now that it has lost its name. Where there can be no thread this waits for it.
    pub(super) fn free(self) {
        let Some(file) = self.0 else { return };
        if let Ok(thread) = Builder::new().name("ndarray-mmap-free".into()).spawn(|| drop(file)) {
            FREEING.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
    }
}

/// Waits until all that was replaced is free: who looks for disk space next is to find it.
pub(super) fn wait() {
    let mut freeing = FREEING.lock().unwrap_or_else(PoisonError::into_inner);
    // To close a file cannot panic.
    freeing.drain(..).for_each(|thread| drop(thread.join()));
}

#[cfg(all(test, target_os = "linux", not(ndarray_mmap_portable)))]
mod tests {
    use std::fs;

    use super::super::create::NewFile;

    /// As seen by the list of this process's open files.
    #[test]
    fn the_old_file_is_closed_before_space_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let deleted = || {
            let open =
                fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
            open.filter(|file| file.starts_with(dir.path()) && file.to_string_lossy().ends_with(" (deleted)")).count()
        };
        for len in [super::LEAST_BYTES, 8, super::LEAST_BYTES, super::LEAST_BYTES] {
            let new = NewFile { header: &[], len, sparse: false, create_new: false };
            let (file, unnamed) = new.make(&path).unwrap();
            assert_eq!(deleted(), 0);
            drop(file);
            unnamed.publish(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().len(), len);
        }
        super::wait();
        assert_eq!(deleted(), 0);
    }
}
