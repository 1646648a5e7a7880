//! Which pages of a mapping have been made resident.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::table::Table;
use super::units::AlignedUnits;
use crate::paging::FAULT_AROUND_BYTES;

/// Remembers units of the file, of which a range is mapped. It may forget some, and once in a while take for resident what
/// is not any more. All ranges are within the mapping.
#[derive(Debug)]
pub(super) struct PrefaultedMap {
    units: AlignedUnits,
    /// A bit for each unit, 32 in the lower half of a word, whose upper half is the generation that they belong to.
    bits: Table<AtomicU64>,
    /// Bits of older generations are forgotten, so that it takes no time to forget all.
    generation: AtomicU32,
}

/// The number of units in a word.
const UNITS: usize = 32;

impl PrefaultedMap {
    /// For so many bytes from this offset of the file on.
    pub(super) fn new(offset: u64, len: usize) -> Self {
        let units = AlignedUnits::new(FAULT_AROUND_BYTES, offset, len);
        Self {
            bits: Table::new(units.count().div_ceil(UNITS)),
            units,
            generation: AtomicU32::new(0),
        }
    }

    /// The generation of today, where a word has it.
    fn generation(&self) -> u64 {
        u64::from(self.generation.load(Ordering::Relaxed)) << UNITS
    }

    /// Calls `make` with what is missing of these bytes, in whole units, and remembers it.
    pub(super) fn prefault_missing<E>(
        &self,
        range: &Range<usize>,
        mut make: impl FnMut(Range<usize>) -> Result<(), E>,
    ) -> Result<(), E> {
        let generation = self.generation();
        let is_missing = |unit: &usize| {
            let word = self.bits.get(*unit / UNITS).map_or(0, |bits| bits.load(Ordering::Relaxed));
            word & bit_of(*unit) == 0 || word >> UNITS << UNITS != generation
        };
        let mut units = self.units.covering(range);
        while let Some(start) = units.find(is_missing) {
            let end = units.clone().find(|unit| !is_missing(unit)).unwrap_or(units.end);
            make(self.units.byte_range(&(start..end)))?;
            for unit in start..end {
                let bit = bit_of(unit);
                let with_bit = |word: u64| match word >> UNITS << UNITS {
                    same if same == generation => Some(word | bit),
                    _ => Some(generation | bit),
                };
                let _ = self.bits.entry(unit / UNITS).fetch_update(
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                    with_bit,
                );
            }
            units.start = end;
        }
        Ok(())
    }

    /// The number of words that take memory.
    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.bits.allocated()
    }

    /// Forgets all units, at a cost that does not depend on their number.
    pub(super) fn forget_all(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets all units that have some of these bytes.
    pub(super) fn forget(&self, range: &Range<usize>) {
        for unit in self.units.covering(range) {
            if let Some(bits) = self.bits.get(unit / UNITS) {
                bits.fetch_and(!bit_of(unit), Ordering::Relaxed);
            }
        }
    }
}

/// The bit of a unit in its word.
fn bit_of(unit: usize) -> u64 {
    1 << (unit % UNITS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNIT: usize = FAULT_AROUND_BYTES;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        /// Against a set of pages: all that is asked for is made, nothing twice unless it has been forgotten, and nothing
        /// outside.
        #[test]
        fn what_is_missing_is_made_once(
            offset in 0_u64..200_000,
            len in 1_usize..40 * UNIT,
            steps in prop::collection::vec((0..5, 0.0..1.0, 0.0..1.0), 1..30),
        ) {
            let prefaulted = PrefaultedMap::new(offset, len);
            let shift = (offset % UNIT as u64) as usize;
            let mut made = vec![false; len];
            for (step, from, to) in steps {
                let (from, to): (f64, f64) = (from, to);
                let (low, high) = (from.min(to), from.max(to));
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

    /// The file may have any size: only a counter changes.
    #[test]
    fn forgetting_all_touches_no_unit() {
        let prefaulted = PrefaultedMap::new(0, 1_000 * UNIT);
        prefaulted.prefault_missing(&(0..1_000 * UNIT), |_| Ok::<(), ()>(())).unwrap();
        let words = || {
            (0..1_000 / UNITS)
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
    fn a_large_file_takes_what_is_touched_of_it() {
        let prefaulted = PrefaultedMap::new(0, 1 << 46);
        for at in [0, 1 << 45] {
            prefaulted.prefault_missing(&(at..at + UNIT), |_| Ok::<(), ()>(())).unwrap();
            prefaulted.forget(&(at + UNIT..at + 2 * UNIT));
        }
        prefaulted.forget(&(1 << 44..(1 << 44) + UNIT));
        assert!(prefaulted.allocated() * size_of::<AtomicU64>() <= 64 << 10);
    }

    #[test]
    fn what_fails_is_missing_still() {
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
