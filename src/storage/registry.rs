//! The registry of the files that this process has opened or mapped as arrays, which excludes a
//! second array of a file if one of them is writable.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use super::lock::{Lock, LockPolicy};
use super::os::{self, FileId};
use crate::error::{Error, ErrorKind, Result};

/// The files that this process has opened or mapped, or is about to.
static REGISTRY: LazyLock<Mutex<HashMap<FileId, Weak<Mutex<UseCounts>>>>> =
    LazyLock::new(Mutex::default);

/// The number of arrays of this process that have a file open or mapped.
#[derive(Debug, Default)]
struct UseCounts {
    readers: usize,
    writers: usize,
}

impl UseCounts {
    fn count(&mut self, writable: bool) -> &mut usize {
        if writable { &mut self.writers } else { &mut self.readers }
    }
}

/// An entry of the registry. Its counts are consistent between any two calls, so lock poisoning by
/// a panic is ignored.
#[derive(Debug)]
struct RegistryEntry {
    id: FileId,
    users: Arc<Mutex<UseCounts>>,
}

impl RegistryEntry {
    fn of(id: FileId) -> Self {
        let mut mapped = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
        let users = mapped.get(&id).and_then(Weak::upgrade).unwrap_or_default();
        mapped.insert(id.clone(), Arc::downgrade(&users));
        Self { id, users }
    }

    fn users(&self) -> MutexGuard<'_, UseCounts> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls a closure while no other thread of this process is in such a call for the same directory.
pub(super) fn with_directory_lock<T>(directory: &Path, work: impl FnOnce() -> T) -> T {
    // No file can be created in a directory that cannot be accessed.
    let Ok(id) = os::path_id(directory) else { return work() };
    // No array maps a directory, so its registry entry can serve as a mutex.
    let entry = RegistryEntry::of(id);
    let _alone = entry.users();
    work()
}

impl Drop for RegistryEntry {
    fn drop(&mut self) {
        let mut mapped = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
        // Released while the registry is locked, so that the last user sees that it is the last.
        drop(std::mem::take(&mut self.users));
        if mapped.get(&self.id).is_some_and(|users| users.strong_count() == 0) {
            mapped.remove(&self.id);
        }
    }
}

/// The registry entry of one array; dropping it removes the entry.
#[derive(Debug)]
pub(super) struct MappingGuard {
    entry: RegistryEntry,
    writable: bool,
    /// Kept open as long as the entry exists: the inode number of a removed file may be reused.
    _file: Arc<File>,
}

impl MappingGuard {
    /// Registers a mapping of `file`, which is located at `name`. One writer excludes other
    /// writers, and also readers unless the policy is `Off`.
    pub(super) fn register(
        file: &Arc<File>,
        name: &Path,
        path: &Path,
        writable: bool,
        policy: LockPolicy,
    ) -> Result<Self> {
        Self::register_with(file, name, path, writable, policy, || Ok(())).map(|(guard, ())| guard)
    }

    /// Registers a mapping and acquires the lock, while the entry is locked. No other thread sees
    /// one without the other, so a failure leaves no entry that could refuse others, and a conflict
    /// within this process is not reported as one with another process. If a file server does not
    /// respond, only threads that map the same file wait.
    pub(super) fn register_and_lock(
        file: &Arc<File>,
        path: &Path,
        writable: bool,
        policy: LockPolicy,
    ) -> Result<(Self, Lock)> {
        Self::register_with(file, path, path, writable, policy, || {
            Lock::acquire(file, path, writable, policy)
        })
    }

    fn register_with<L>(
        file: &Arc<File>,
        name: &Path,
        path: &Path,
        writable: bool,
        policy: LockPolicy,
        lock: impl FnOnce() -> Result<L>,
    ) -> Result<(Self, L)> {
        let id = os::file_id(file, name)
            .map_err(|error| Error::io("identify the file", Some(path), error))?;
        let entry = RegistryEntry::of(id);
        let mut users = entry.users();
        let mixed = if writable { users.readers > 0 } else { users.writers > 0 };
        if (writable && users.writers > 0) || (mixed && policy != LockPolicy::Off) {
            return Err(ErrorKind::AlreadyMapped { writable }.at(path));
        }
        let lock = lock()?;
        *users.count(writable) += 1;
        drop(users);
        Ok((Self { entry, writable, _file: Arc::clone(file) }, lock))
    }

    /// Converts a writer's entry into a reader's.
    pub(super) fn downgrade(&mut self) {
        let mut users = self.entry.users();
        *users.count(self.writable) -= 1;
        *users.count(false) += 1;
        self.writable = false;
    }
}

impl Drop for MappingGuard {
    fn drop(&mut self) {
        *self.entry.users().count(self.writable) -= 1;
    }
}
