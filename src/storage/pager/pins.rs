//! What of a mapping is being worked on, and may not be let go.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::table::Table;
use super::units::AlignedUnits;
use crate::paging::{Granularity, MAX_FOLIO_BYTES};

/// Counts holds. All ranges are within the mapping.
#[derive(Debug)]
pub(super) struct PinTable {
    units: AlignedUnits,
    /// How many hold each window, and whether it is being let go.
    windows: Table<AtomicU32>,
    /// Ranges of single pages, none longer than a window, and how many hold them. Locked while something is being let go.
    pages: Mutex<BTreeMap<(usize, usize), usize>>,
}

/// A window that is being let go.
const EVICTING: u32 = 1 << 31;

impl PinTable {
    /// For so many bytes from this offset of the file on.
    pub(super) fn new(offset: u64, len: usize) -> Self {
        let units = AlignedUnits::new(MAX_FOLIO_BYTES, offset, len);
        Self { windows: Table::new(units.count()), units, pages: Mutex::default() }
    }

    /// The number of windows whose counts take memory.
    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.windows.allocated()
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<(usize, usize), usize>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pin(&self, range: Range<usize>, granularity: Granularity) {
        match granularity {
            Granularity::Folio => {
                for window in self.units.covering(&range).map(|window| self.windows.entry(window)) {
                    if window.fetch_add(1, Ordering::AcqRel) & EVICTING != 0 {
                        // Waits until it has been let go.
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
            Granularity::Folio => self.units.covering(&range).for_each(|window| {
                self.windows.entry(window).fetch_sub(1, Ordering::AcqRel);
            }),
            Granularity::Page => {
                if let Entry::Occupied(mut times) = self.pages().entry((range.start, range.end)) {
                    *times.get_mut() -= 1;
                    if *times.get() == 0 {
                        times.remove();
                    }
                }
            }
        }
    }

    /// Calls `release` with the parts of a range that nobody holds, nor can before it returns.
    pub(super) fn evict_unpinned(
        &self,
        range: Range<usize>,
        mut release: impl FnMut(Range<usize>),
    ) {
        let pages = self.pages();
        let mut without_pages = |range: Range<usize>| {
            let mut start = range.start;
            let near =
                pages.range((range.start.saturating_sub(MAX_FOLIO_BYTES), 0)..(range.end, 0));
            for &(from, to) in near.map(|(key, _)| key) {
                if from > start {
                    release(start..from);
                }
                start = start.max(to);
            }
            if start < range.end {
                release(start..range.end);
            }
        };
        let take = |window: &usize| {
            let holders = self.windows.entry(*window);
            holders.compare_exchange(0, EVICTING, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let mut left = self.units.covering(&range);
        while let Some(first) = left.find(take) {
            let end = left.find(|window| !take(window)).unwrap_or(left.end);
            let bytes = self.units.byte_range(&(first..end));
            without_pages(bytes.start.max(range.start)..bytes.end.min(range.end));
            (first..end).for_each(|window| {
                self.windows.entry(window).fetch_sub(EVICTING, Ordering::AcqRel);
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
        /// Against a count for each page.
        #[test]
        fn what_is_held_is_not_released(
            offset in 0_u64..4_000,
            pages in 1_usize..3_000,
            steps in prop::collection::vec((0..3, 0.0..1.0, 0.0..1.0), 1..40),
        ) {
            let (offset, len) = (offset * PAGE as u64, pages * PAGE);
            let pins = PinTable::new(offset, len);
            let mut held = Vec::new();
            for (step, from, to) in steps {
                let (from, to): (f64, f64) = (from, to);
                let [low, high] = [from.min(to), from.max(to)].map(|at| (at * pages as f64) as usize * PAGE);
                let range = low..high + PAGE;
                match step {
                    0 => {
                        let granularity = if range.len() > MAX_FOLIO_BYTES { Granularity::Folio } else { Granularity::Page };
                        pins.pin(range.clone(), granularity);
                        held.push((range, granularity));
                    }
                    1 if !held.is_empty() => {
                        let (range, granularity) = held.swap_remove(low / PAGE % held.len());
                        pins.unpin(range, granularity);
                    }
                    _ => {
                        let mut expected: Vec<_> = (0..pages).map(|page| range.contains(&(page * PAGE))).collect();
                        for (range, granularity) in &held {
                            let all = match granularity {
                                Granularity::Page => range.clone(),
                                Granularity::Folio => pins.units.byte_range(&pins.units.covering(range)),
                            };
                            expected[all.start / PAGE..all.end / PAGE].fill(false);
                        }
                        let mut released = vec![false; pages];
                        pins.evict_unpinned(range, |range| {
                            for page in &mut released[range.start / PAGE..range.end / PAGE] {
                                assert!(!std::mem::replace(page, true));
                            }
                        });
                        prop_assert_eq!(released, expected);
                    }
                }
            }
        }
    }

    /// Two threads: while one works, what it holds is not released, and what is not held is in the end.
    #[test]
    fn holders_and_releasers_exclude_each_other() {
        let pins = PinTable::new(0, 3 * MAX_FOLIO_BYTES);
        let in_work = [const { AtomicBool::new(false) }; 3];
        let (held, done) = (AtomicU32::new(0), AtomicBool::new(false));
        let (mut releases, mut violations, rounds) = (0, 0, if cfg!(miri) { 30 } else { 3_000 });
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let window = held.fetch_add(1, Ordering::SeqCst) as usize % 3;
                    let range = window * MAX_FOLIO_BYTES + 1..window * MAX_FOLIO_BYTES + 2;
                    pins.pin(range.clone(), Granularity::Folio);
                    in_work[window].store(true, Ordering::SeqCst);
                    thread::yield_now();
                    in_work[window].store(false, Ordering::SeqCst);
                    pins.unpin(range, Granularity::Folio);
                }
            });
            // Until both have done much, whoever is faster.
            while releases < rounds || held.load(Ordering::SeqCst) < rounds {
                pins.evict_unpinned(0..3 * MAX_FOLIO_BYTES, |range| {
                    // Time for who does not wait.
                    thread::yield_now();
                    for at in range.step_by(MAX_FOLIO_BYTES) {
                        violations +=
                            u32::from(in_work[at / MAX_FOLIO_BYTES].load(Ordering::SeqCst));
                        releases += 1;
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
