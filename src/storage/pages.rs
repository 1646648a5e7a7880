//! A mapping's pages as walks see them.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use super::map::Map;
use crate::chunked::{Access, Pager};
use crate::error::{Error, ErrorKind, Result};
use crate::machine;

/// The pages of a shared mapping.
#[derive(Debug)]
pub(super) struct Pages {
    /// Weak, so that a walk that is never ended, as one that is forgotten, keeps no file open.
    pub(super) map: Weak<Map>,
    pub(super) file: Weak<File>,
    /// Where the file is mapped.
    pub(super) addresses: Range<usize>,
    pub(super) path: Option<PathBuf>,
    /// Where in the file the mapping begins.
    pub(super) offset: u64,
    pub(super) walks: Mutex<Walks>,
    /// What walks hold, and how many times.
    pub(super) held: Mutex<BTreeMap<(usize, usize), usize>>,
}

/// The longest range that is held.
const MOST_HELD_BYTES: usize = 2 << 20;

/// The walks under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walks {
    in_order: usize,
    scattered: usize,
    singly: usize,
}

impl Walks {
    fn of(&mut self, access: Access) -> &mut usize {
        match access {
            Access::InOrder => &mut self.in_order,
            Access::Scattered => &mut self.scattered,
            Access::Singly => &mut self.singly,
        }
    }

    /// Where pages are wanted one by one, that goes before.
    fn want_huge_pages(&self) -> bool {
        self.in_order > 0 && self.singly == 0
    }
}

impl Pages {
    fn in_map(&self, range: &Range<usize>) -> Range<usize> {
        range.start - self.addresses.start..range.end - self.addresses.start
    }

    /// Counts walks, and tells the system what suits them. That is a favour only: if it fails, walks take longer.
    ///
    /// Linux reads ahead 2 MiB and more into one huge page of its cache where huge pages are wanted, which makes reading
    /// from disk twice as fast as its usual 128 KiB do. But where pages are let go one by one, and for accesses here and
    /// there, that is far too much.
    fn change(&self, change: impl FnOnce(&mut Walks)) {
        let mut walks = self.walks.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *walks;
        change(&mut walks);
        let Some(map) = self.map.upgrade() else { return };
        if walks.want_huge_pages() != before.want_huge_pages() || walks.singly > before.singly {
            let _ = map.huge_pages(walks.want_huge_pages(), 0..map.len());
        }
        if walks.singly > before.singly {
            // What is mapped as a huge page can only be let go as a whole.
            self.release(self.addresses.clone());
        }
    }

    /// Lets go of pages that nobody holds. Those of a file that the system's cache will hardly hold until the next walk
    /// comes by are the first that it should take memory from.
    fn release_now(&self, map: &Map, range: Range<usize>) {
        if self.addresses.len() > machine::memory_bytes() / 4 {
            let _ = map.cool(self.in_map(&range));
        }
        let _ = map.release(self.in_map(&range));
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<(usize, usize), usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pager for Pages {
    fn addresses(&self) -> Range<usize> {
        self.addresses.clone()
    }

    fn origin(&self) -> usize {
        self.addresses.start.wrapping_sub(self.offset as usize)
    }

    fn check(&self) -> Result<()> {
        let Some(file) = self.file.upgrade() else { return Ok(()) };
        check_length(&file, self.offset + self.addresses.len() as u64, self.path.as_deref())
    }

    fn begin(&self, access: Access) {
        self.change(|walks| *walks.of(access) += 1);
    }

    fn end(&self, access: Access) {
        self.change(|walks| *walks.of(access) -= 1);
    }

    fn hold(&self, range: Range<usize>, write: bool) -> Result<()> {
        debug_assert!(range.len() <= MOST_HELD_BYTES);
        *self.held().entry((range.start, range.end)).or_default() += 1;
        let Some(map) = self.map.upgrade() else { return Ok(()) };
        map.populate(self.in_map(&range), write)
            .map_err(|error| Error::io("make pages resident", self.path.as_deref(), error))
    }

    fn let_go(&self, range: Range<usize>) {
        if let Entry::Occupied(mut times) = self.held().entry((range.start, range.end)) {
            *times.get_mut() -= 1;
            if *times.get() == 0 {
                times.remove();
            }
        }
    }

    /// The ranges are inside the mapping, so there is nothing to fail.
    fn release(&self, range: Range<usize>) {
        let Some(map) = self.map.upgrade() else { return };
        // Locked until the end, so that nothing is held in between.
        let held = self.held();
        let mut begin = range.start;
        for &(from, to) in
            held.range((range.start.saturating_sub(MOST_HELD_BYTES), 0)..(range.end, 0)).map(|(key, _)| key)
        {
            if from > begin {
                self.release_now(&map, begin..from);
            }
            begin = begin.max(to);
        }
        if begin < range.end {
            self.release_now(&map, begin..range.end);
        }
    }
}

/// Is the file still as long as the array needs?
pub(super) fn check_length(file: &File, expected: u64, path: Option<&std::path::Path>) -> Result<()> {
    let found = file.metadata().map_err(|error| Error::io("look at the file", path, error))?.len();
    match found >= expected {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::FileChanged { expected, found }, path)),
    }
}
