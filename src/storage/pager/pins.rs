//! The pin counts of a mapping. Pinned pages are in use and must not be evicted.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::table::Table;
use super::units::AlignedUnits;
use crate::paging::{Granularity, MAX_FOLIO_BYTES};

/// Pin counts of folios and of ranges of pages. All ranges are relative to the mapping.
#[derive(Debug)]
pub(super) struct PinTable {
    units: AlignedUnits,
    /// The pin count of each folio, and the flag [`EVICTING`].
    folios: Table<AtomicU32>,
    /// Pin counts of page ranges, none of which is longer than a folio. Locked during evictions.
    pages: Mutex<BTreeMap<(usize, usize), usize>>,
}

/// The flag of a folio that is being evicted.
const EVICTING: u32 = 1 << 31;

impl PinTable {
    /// Creates a table for `len` bytes mapped from `offset` of the file.
    pub(super) fn new(offset: u64, len: usize) -> Self {
        let units = AlignedUnits::new(MAX_FOLIO_BYTES, offset, len);
        Self { folios: Table::new(units.count()), units, pages: Mutex::default() }
    }

    /// Returns the number of folios whose counts are allocated.
    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.folios.allocated()
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<(usize, usize), usize>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pin(&self, range: Range<usize>, granularity: Granularity) {
        match granularity {
            Granularity::Folio => {
                for folio in self.units.covering(&range).map(|folio| self.folios.entry(folio)) {
                    if folio.fetch_add(1, Ordering::AcqRel) & EVICTING != 0 {
                        // Wait until the eviction has finished.
                        drop(self.pages());
                    }
                }
            }
            Granularity::Page => {
                debug_assert!(range.len() <= MAX_FOLIO_BYTES);
                *self.pages().entry((range.start, range.end)).or_default() += 1;
            }
        }
    }

    pub(super) fn unpin(&self, range: Range<usize>, granularity: Granularity) {
        match granularity {
            Granularity::Folio => self.units.covering(&range).for_each(|folio| {
                self.folios.entry(folio).fetch_sub(1, Ordering::AcqRel);
            }),
            Granularity::Page => {
                if let Entry::Occupied(mut count) = self.pages().entry((range.start, range.end)) {
                    *count.get_mut() -= 1;
                    if *count.get() == 0 {
                        count.remove();
                    }
                }
            }
        }
    }

    /// Calls `evict` with the unpinned parts of a range. Nothing in them can be pinned before it
    /// returns.
    pub(super) fn evict_unpinned(&self, range: Range<usize>, mut evict: impl FnMut(Range<usize>)) {
        let pages = self.pages();
        let mut without_pages = |range: Range<usize>| {
            let mut start = range.start;
            let near =
                pages.range((range.start.saturating_sub(MAX_FOLIO_BYTES), 0)..(range.end, 0));
            for &(from, to) in near.map(|(key, _)| key) {
                if from > start {
                    evict(start..from);
                }
                start = start.max(to);
            }
            if start < range.end {
                evict(start..range.end);
            }
        };
        let lock_folio = |folio: &usize| {
            let pin_count = self.folios.entry(*folio);
            pin_count.compare_exchange(0, EVICTING, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let mut remaining = self.units.covering(&range);
        while let Some(first) = remaining.find(lock_folio) {
            let end = remaining.find(|folio| !lock_folio(folio)).unwrap_or(remaining.end);
            let bytes = self.units.byte_range(&(first..end));
            without_pages(bytes.start.max(range.start)..bytes.end.min(range.end));
            (first..end).for_each(|folio| {
                self.folios.entry(folio).fetch_sub(EVICTING, Ordering::AcqRel);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    const PAGE: usize = 4096;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        /// Compares the table with a pin count for each page.
        #[test]
        fn pinned_pages_are_not_evicted(
            offset in 0_u64..4_000,
            pages in 1_usize..3_000,
            steps in prop::collection::vec((0..3, 0.0..1.0, 0.0..1.0), 1..40),
        ) {
            let offset = offset * PAGE as u64;
            let len = pages * PAGE;
            let pins = PinTable::new(offset, len);
            let mut pinned = Vec::new();
            for (step, from, to) in steps {
                let (from, to): (f64, f64) = (from, to);
                let [low, high] = [from.min(to), from.max(to)].map(|at| (at * pages as f64) as usize * PAGE);
                let range = low..high + PAGE;
                match step {
                    0 => {
                        let granularity = if range.len() > MAX_FOLIO_BYTES { Granularity::Folio } else { Granularity::Page };
                        pins.pin(range.clone(), granularity);
                        pinned.push((range, granularity));
                    }
                    1 if !pinned.is_empty() => {
                        let (range, granularity) = pinned.swap_remove(low / PAGE % pinned.len());
                        pins.unpin(range, granularity);
                    }
                    _ => {
                        let mut expected: Vec<_> = (0..pages).map(|page| range.contains(&(page * PAGE))).collect();
                        for (range, granularity) in &pinned {
                            let all = match granularity {
                                Granularity::Page => range.clone(),
                                Granularity::Folio => pins.units.byte_range(&pins.units.covering(range)),
                            };
                            expected[all.start / PAGE..all.end / PAGE].fill(false);
                        }
                        let mut evicted = vec![false; pages];
                        pins.evict_unpinned(range, |range| {
                            for page in &mut evicted[range.start / PAGE..range.end / PAGE] {
                                assert!(!std::mem::replace(page, true));
                            }
                        });
                        prop_assert_eq!(evicted, expected);
                    }
                }
            }
        }
    }

    /// While one thread works on pinned folios, the other one does not evict them. It evicts all
    /// others.
    #[test]
    fn pinning_and_eviction_exclude_each_other() {
        let pins = PinTable::new(0, 3 * MAX_FOLIO_BYTES);
        let in_work = [const { AtomicBool::new(false) }; 3];
        let pinned = AtomicU32::new(0);
        let done = AtomicBool::new(false);
        let (mut evictions, mut violations, rounds) = (0, 0, if cfg!(miri) { 30 } else { 3_000 });
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let window = pinned.fetch_add(1, Ordering::SeqCst) as usize % 3;
                    let range = window * MAX_FOLIO_BYTES + 1..window * MAX_FOLIO_BYTES + 2;
                    pins.pin(range.clone(), Granularity::Folio);
                    in_work[window].store(true, Ordering::SeqCst);
                    thread::yield_now();
                    in_work[window].store(false, Ordering::SeqCst);
                    pins.unpin(range, Granularity::Folio);
                }
            });
            // Continues until both threads have run often enough, whichever is faster.
            while evictions < rounds || pinned.load(Ordering::SeqCst) < rounds {
                pins.evict_unpinned(0..3 * MAX_FOLIO_BYTES, |range| {
                    // Gives a thread that does not wait the time to interfere.
                    thread::yield_now();
                    for at in range.step_by(MAX_FOLIO_BYTES) {
                        violations +=
                            u32::from(in_work[at / MAX_FOLIO_BYTES].load(Ordering::SeqCst));
                        evictions += 1;
                    }
                });
                thread::yield_now();
            }
            done.store(true, Ordering::SeqCst);
        });
        assert_eq!(violations, 0);
        let mut last = None;
        pins.evict_unpinned(5..2 * MAX_FOLIO_BYTES + 5, |range| {
            assert_eq!(last.replace(range), None)
        });
        assert_eq!(last, Some(5..2 * MAX_FOLIO_BYTES + 5));
    }
}
