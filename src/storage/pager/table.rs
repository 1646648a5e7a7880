//! A lazily allocated table of counters, whose memory use depends on the entries used and not on
//! the size of the file.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

/// The number of entries that are allocated together.
const PART_LEN: usize = 2048;

/// A table of atomic integers that are initially 0. Entries are allocated when one of their
/// neighbours is first used.
#[derive(Debug)]
pub(super) struct Table<T> {
    parts: Vec<OnceLock<Box<[T]>>>,
}

impl<T: Default> Table<T> {
    pub(super) fn new(len: usize) -> Self {
        Self { parts: (0..len.div_ceil(PART_LEN)).map(|_| OnceLock::new()).collect() }
    }

    /// Returns an entry, allocating it if necessary.
    pub(super) fn entry(&self, index: usize) -> &T {
        let part = self.parts[index / PART_LEN]
            .get_or_init(|| (0..PART_LEN).map(|_| T::default()).collect());
        &part[index % PART_LEN]
    }

    /// Returns an entry if it is allocated.
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.parts[index / PART_LEN].get().map(|part| &part[index % PART_LEN])
    }

    /// Returns the number of allocated entries.
    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.parts.iter().filter(|part| part.get().is_some()).count() * PART_LEN
    }
}
