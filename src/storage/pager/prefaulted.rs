//! A map of the pages that have been prefaulted.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::table::Table;
use super::units::AlignedUnits;
use crate::paging::FAULT_AROUND_BYTES;

/// A bitmap of the prefaulted units of a mapping. Entries may be lost, or outdated in rare cases.
/// All ranges are relative to the mapping.
#[derive(Debug)]
pub(super) struct PrefaultedMap {
    units: AlignedUnits,
    /// One bit for each unit: the lower half of a word has the bits of 32 units, and the upper half
    /// the generation that they belong to.
    bits: Table<AtomicU64>,
    /// Bits of older generations do not count, so that [`forget_all`](Self::forget_all) takes
    /// constant time.
    generation: AtomicU32,
}

/// The number of units in a word.
const UNITS_PER_WORD: usize = 32;

impl PrefaultedMap {
    /// Creates a map for `len` bytes mapped from `offset` of the file.
    pub(super) fn new(offset: u64, len: usize) -> Self {
        let units = AlignedUnits::new(FAULT_AROUND_BYTES, offset, len);
        Self {
            bits: Table::new(units.count().div_ceil(UNITS_PER_WORD)),
            units,
            generation: AtomicU32::new(0),
        }
    }

    /// Returns the current generation, shifted to its position in a word.
    fn generation(&self) -> u64 {
        u64::from(self.generation.load(Ordering::Relaxed)) << UNITS_PER_WORD
    }

    /// Calls `prefault` with the missing parts of a range, in whole units, and marks them as
    /// prefaulted.
    pub(super) fn prefault_missing<E>(
        &self,
        range: &Range<usize>,
        mut prefault: impl FnMut(Range<usize>) -> Result<(), E>,
    ) -> Result<(), E> {
        let generation = self.generation();
        let is_missing = |unit: &usize| {
            let word = self
                .bits
                .get(*unit / UNITS_PER_WORD)
                .map_or(0, |bits| bits.load(Ordering::Relaxed));
            word & bit_of(*unit) == 0 || word >> UNITS_PER_WORD << UNITS_PER_WORD != generation
        };
        let mut units = self.units.covering(range);
        while let Some(start) = units.find(is_missing) {
            let end = units.clone().find(|unit| !is_missing(unit)).unwrap_or(units.end);
            prefault(self.units.byte_range(&(start..end)))?;
            for unit in start..end {
                let bit = bit_of(unit);
                let with_bit = |word: u64| match word >> UNITS_PER_WORD << UNITS_PER_WORD {
                    same if same == generation => Some(word | bit),
                    _ => Some(generation | bit),
                };
                let _ = self.bits.entry(unit / UNITS_PER_WORD).fetch_update(
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                    with_bit,
                );
            }
            units.start = end;
        }
        Ok(())
    }

    /// Returns the number of words that are allocated.
    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.bits.allocated()
    }

    /// Marks all units as missing, in constant time.
    pub(super) fn forget_all(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Marks the units that contain some of these bytes as missing.
    pub(super) fn forget(&self, range: &Range<usize>) {
        for unit in self.units.covering(range) {
            if let Some(bits) = self.bits.get(unit / UNITS_PER_WORD) {
                bits.fetch_and(!bit_of(unit), Ordering::Relaxed);
            }
        }
    }
}

/// Returns the bit of a unit in its word.
fn bit_of(unit: usize) -> u64 {
    1 << (unit % UNITS_PER_WORD)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNIT: usize = FAULT_AROUND_BYTES;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        /// Compares the map with a set of bytes: missing units are prefaulted once until they are
        /// forgotten, and nothing outside the mapping is.
        #[test]
        fn missing_units_are_prefaulted_once(
            offset in 0_u64..200_000,
            len in 1_usize..40 * UNIT,
            steps in prop::collection::vec((0..5, 0.0..1.0, 0.0..1.0), 1..30),
        ) {
            let prefaulted = PrefaultedMap::new(offset, len);
            let shift = (offset % UNIT as u64) as usize;
            let mut made = vec![false; len];
            for (step, from, to) in steps {
                let (from, to): (f64, f64) = (from, to);
                let low = from.min(to);
                let high = from.max(to);
                let range = (low * len as f64) as usize..(high * len as f64) as usize;
                if step == 0 {
                    prefaulted.forget_all();
                    made.fill(false);
                } else if step < 3 {
                    prefaulted.forget(&range);
                    let units = (range.start + shift) / UNIT * UNIT..(range.end + shift).next_multiple_of(UNIT);
                    if !range.is_empty() {
                        made[units.start.saturating_sub(shift)..(units.end - shift).min(len)].fill(false);
                    }
                } else {
                    prefaulted.prefault_missing(&range, |missing| -> Result<(), ()> {
                        assert!(missing.end == len || (missing.end + shift).is_multiple_of(UNIT));
                        missing.for_each(|at| assert!(!std::mem::replace(&mut made[at], true)));
                        Ok(())
                    }).unwrap();
                    prop_assert!(made[range].iter().all(|&made| made));
                }
            }
        }
    }

    /// Only a counter changes, whatever the size of the file.
    #[test]
    fn forget_all_changes_no_word() {
        let prefaulted = PrefaultedMap::new(0, 1_000 * UNIT);
        prefaulted.prefault_missing(&(0..1_000 * UNIT), |_| Ok::<(), ()>(())).unwrap();
        let words = || {
            (0..1_000 / UNITS_PER_WORD)
                .map(|word| prefaulted.bits.entry(word).load(Ordering::Relaxed))
                .collect::<Vec<_>>()
        };
        let before = words();
        prefaulted.forget_all();
        assert_eq!(words(), before);
        let mut made = Vec::new();
        let note = |missing| {
            made.push(missing);
            Ok::<(), ()>(())
        };
        prefaulted.prefault_missing(&(UNIT..2 * UNIT), note).unwrap();
        assert_eq!(made, vec![UNIT..2 * UNIT]);
    }

    #[test]
    fn memory_grows_with_the_units_touched() {
        let prefaulted = PrefaultedMap::new(0, 1 << 46);
        for at in [0, 1 << 45] {
            prefaulted.prefault_missing(&(at..at + UNIT), |_| Ok::<(), ()>(())).unwrap();
            prefaulted.forget(&(at + UNIT..at + 2 * UNIT));
        }
        prefaulted.forget(&(1 << 44..(1 << 44) + UNIT));
        assert!(prefaulted.allocated() * size_of::<AtomicU64>() <= 64 << 10);
    }

    #[test]
    fn failed_units_remain_missing() {
        let prefaulted = PrefaultedMap::new(100, 10 * UNIT);
        assert_eq!(prefaulted.prefault_missing(&(0..5 * UNIT), |_| Err("no")), Err("no"));
        let mut made = Vec::new();
        for range in [2 * UNIT..2 * UNIT + 1, 0..5 * UNIT - 100] {
            let note = |missing| -> Result<(), ()> {
                made.push(missing);
                Ok(())
            };
            prefaulted.prefault_missing(&range, note).unwrap();
        }
        assert_eq!(
            made,
            [2 * UNIT - 100..3 * UNIT - 100, 0..2 * UNIT - 100, 3 * UNIT - 100..5 * UNIT - 100]
        );
    }
}
