//! Advisory file locks, which exclude other processes.
#![forbid(unsafe_code)]

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use super::os;
use crate::error::{Error, ErrorKind, Result};

/// The policy for the advisory lock on an array's file: shared for reading, exclusive for writing,
/// never blocking.
///
/// The lock is the operating system's own (`flock` on Unix), so it is seen by every program that
/// uses `flock` (NumPy does not), and it is released with the array. Forked children share it.
///
/// Under every policy, one process cannot map a file twice if one of the mappings is writable
/// ([`ErrorKind::AlreadyMapped`]), while NumPy does not check; [`Off`](Self::Off) permits one
/// mapping of mode `r+` in addition to those of modes `r` and `c`. A lock that is not taken, or not
/// seen by the other process, permits nothing else. The rule of the
/// [contract](crate::MmapArrayOptions#safety-contract) applies under every policy:
///
/// > While a borrow of a mapped array is in use, no one changes the bytes that it covers except
/// > through it; between borrows others may, if a lock or a message orders their changes after the
/// > last borrow and before the next borrow.
///
/// Files that are not mapped follow the same rules: [`ArrayFile`](crate::ArrayFile) counts as mode
/// `r`, and [`ArrayFileMut`](crate::ArrayFileMut) and [`ArrayAppender`](crate::ArrayAppender) as mode
/// `r+`.
///
/// Creating a file does not replace a file that is mapped for writing, in this process or another,
/// because stores to it would be lost. (Two processes that create it at the same moment can miss
/// each other; two threads cannot.)
///
/// On Windows, locks are not advisory but make other programs' reads fail, so `BestEffort` takes
/// none there.
///
/// ```
/// use ndarray_mmap::{LockPolicy, MmapArrayOptions};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("scan.raw");
/// # std::fs::write(&path, [0; 8])?;
/// // SAFETY: this program alone uses the file.
/// let options = MmapArrayOptions::new().lock(LockPolicy::Required);
/// let scan = unsafe { options.open::<u8, _>(&path, 8) }?;
/// let other = std::fs::File::open(&path)?; // another process
/// assert!(other.try_lock_shared().is_ok()); // may read concurrently,
/// other.unlock()?;
/// assert!(other.try_lock().is_err()); // but not write
/// drop(scan);
/// assert!(other.try_lock().is_ok());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockPolicy {
    /// A conflicting lock is an error, and so is a file system without lock support.
    Required,
    /// A conflicting lock is an error; on a file system without lock support, the array has no
    /// lock.
    #[default]
    BestEffort,
    /// No lock is taken or checked, and a file that this process has already mapped can be mapped
    /// again: one writable mapping in addition to readers. Two writable mappings in this process
    /// are refused even so. Creating replaces a file even if it is mapped for writing.
    Off,
}

/// A lock on a file, released when this value is dropped and not only with the last copy of the
/// file descriptor: a child process has a copy from its fork until it runs another program.
#[derive(Debug)]
pub(super) struct Lock {
    file: Arc<File>,
    policy: LockPolicy,
    /// The process that took the lock; `None` if none was taken. A forked child must not release
    /// its parent's lock.
    holder: Option<u32>,
}

impl Lock {
    /// Acquires the lock, or returns an error if there is a conflicting one.
    pub(super) fn acquire(
        file: &Arc<File>,
        path: &Path,
        exclusive: bool,
        policy: LockPolicy,
    ) -> Result<Self> {
        let mut lock = Self { file: Arc::clone(file), policy, holder: None };
        lock.change(Some(path), exclusive)?;
        Ok(lock)
    }

    /// Converts the lock to a shared one. After a failure there may be no lock.
    pub(super) fn share(&mut self, path: Option<&Path>) -> Result<()> {
        self.change(path, false)
    }

    fn change(&mut self, path: Option<&Path>, exclusive: bool) -> Result<()> {
        match self.policy {
            LockPolicy::Off => return Ok(()),
            LockPolicy::BestEffort if cfg!(windows) => return Ok(()),
            _ => {}
        }
        let attempt = || if exclusive { self.file.try_lock() } else { self.file.try_lock_shared() };
        let outcome = loop {
            match attempt() {
                Err(TryLockError::Error(error))
                    if error.kind() == std::io::ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        };
        match outcome {
            Ok(()) => {
                self.holder = Some(std::process::id());
                Ok(())
            }
            Err(TryLockError::WouldBlock) => Err(Error::new(ErrorKind::Locked { exclusive }, path)),
            Err(TryLockError::Error(error)) if os::is_unsupported_lock(&error) => match self.policy
            {
                LockPolicy::Required => Err(Error::io(
                    "lock the file (`LockPolicy::BestEffort` would continue without a lock)",
                    path,
                    error,
                )),
                _ => Ok(()),
            },
            Err(TryLockError::Error(error)) => {
                Err(Error::io("lock the file (`LockPolicy::Off` takes no lock)", path, error))
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.holder == Some(std::process::id()) {
            // If this fails, closing the file releases the lock.
            let _ = self.file.unlock();
        }
    }
}
