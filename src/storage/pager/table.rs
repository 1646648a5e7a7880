//! A table of counters whose size is that of its part in use, whatever the size of the file.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

/// The entries that are made together.
const PART_LEN: usize = 2048;

/// A table of atomic integers that are 0 until they are changed. Entries take memory and time from the first use of one of
/// their neighbours on.
#[derive(Debug)]
pub(super) struct Table<T> {
    parts: Vec<OnceLock<Box<[T]>>>,
}

impl<T: Default> Table<T> {
    pub(super) fn new(len: usize) -> Self {
        Self { parts: (0..len.div_ceil(PART_LEN)).map(|_| OnceLock::new()).collect() }
    }

    /// Returns an entry.
    pub(super) fn entry(&self, index: usize) -> &T {
        let part = self.parts[index / PART_LEN]
            .get_or_init(|| (0..PART_LEN).map(|_| T::default()).collect());
        &part[index % PART_LEN]
    }

    /// Returns an entry if it may have been changed.
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.parts[index / PART_LEN].get().map(|part| &part[index % PART_LEN])
    }

    /// Returns the number of entries that take memory.
    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.parts.iter().filter(|part| part.get().is_some()).count() * PART_LEN
    }
}
