//! Which pages of a mapping have been made resident.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is made resident at a time: as much as Linux maps around a page that is missed, and less than it reads.
pub(super) const UNIT: usize = 64 << 10;

/// Remembers units of pages. It may forget some, and once in a while take for resident what is not any more.
#[derive(Debug)]
pub(super) struct Ready {
    /// Of the whole mapping, which begins anywhere in the first unit.
    addresses: Range<usize>,
    /// A bit for each unit, made when the first is: 2 MiB for a file of 1 TiB.
    bits: OnceLock<Vec<AtomicU64>>,
}

impl Ready {
    pub(super) fn new(addresses: Range<usize>) -> Self {
        Self { addresses, bits: OnceLock::new() }
    }

    fn units(&self, range: &Range<usize>) -> Range<usize> {
        let first = self.addresses.start / UNIT;
        range.start / UNIT - first..range.end.div_ceil(UNIT) - first
    }

    fn place(&self, unit: usize) -> (&AtomicU64, u64) {
        let bits = self.bits.get_or_init(|| {
            let units = self.addresses.end.div_ceil(UNIT) - self.addresses.start / UNIT;
            (0..units.div_ceil(64)).map(|_| AtomicU64::new(0)).collect()
        });
        (&bits[unit / 64], 1 << (unit % 64))
    }

    /// Calls `make` with what is missing of these addresses, in whole units, and remembers it.
    pub(super) fn make<E>(
        &self,
        range: &Range<usize>,
        mut make: impl FnMut(Range<usize>) -> Result<(), E>,
    ) -> Result<(), E> {
        let is_missing = |unit: &usize| {
            let (bits, bit) = self.place(*unit);
            bits.load(Ordering::Relaxed) & bit == 0
        };
        let mut units = self.units(range);
        while let Some(begin) = units.find(is_missing) {
            let end = units.clone().find(|unit| !is_missing(unit)).unwrap_or(units.end);
            let first = self.addresses.start / UNIT;
            let missing = (first + begin) * UNIT..(first + end) * UNIT;
            make(missing.start.max(self.addresses.start)..missing.end.min(self.addresses.end))?;
            for unit in begin..end {
                let (bits, bit) = self.place(unit);
                bits.fetch_or(bit, Ordering::Relaxed);
            }
            units.start = end;
        }
        Ok(())
    }

    /// Forgets all units that have some of these addresses.
    pub(super) fn forget(&self, range: &Range<usize>) {
        if self.bits.get().is_some() {
            for unit in self.units(range) {
                let (bits, bit) = self.place(unit);
                bits.fetch_and(!bit, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        /// Against a set of pages: all that is asked for is made, nothing twice unless it has been forgotten, and nothing
        /// outside.
        #[test]
        fn what_is_missing_is_made_once(
            first in 0_usize..200_000,
            len in 1_usize..40 * UNIT,
            steps in prop::collection::vec((any::<bool>(), 0.0..1.0, 0.0..1.0), 1..30),
        ) {
            let (first, addresses) = (first, first..first + len);
            let ready = Ready::new(addresses.clone());
            let mut made = vec![false; len];
            for (forget, from, to) in steps {
                let (from, to): (f64, f64) = (from, to);
                let (low, high) = (from.min(to), from.max(to));
                let range = first + (low * len as f64) as usize..first + (high * len as f64) as usize;
                if forget {
                    ready.forget(&range);
                    let units = range.start / UNIT * UNIT..range.end.next_multiple_of(UNIT);
                    if !range.is_empty() {
                        (units.start.max(first)..units.end.min(first + len)).for_each(|at| made[at - first] = false);
                    }
                } else {
                    ready.make(&range, |missing| -> Result<(), ()> {
                        assert!(missing.start >= addresses.start && missing.end <= addresses.end);
                        missing.for_each(|at| assert!(!std::mem::replace(&mut made[at - first], true)));
                        Ok(())
                    }).unwrap();
                    prop_assert!(range.into_iter().all(|at| made[at - first]));
                }
            }
        }
    }

    #[test]
    fn what_fails_is_missing_still() {
        let ready = Ready::new(100..10 * UNIT);
        assert_eq!(ready.make(&(100..5 * UNIT), |_| Err("no")), Err("no"));
        let mut made = Vec::new();
        for range in [2 * UNIT..2 * UNIT + 1, 100..5 * UNIT] {
            let note = |missing| -> Result<(), ()> {
                made.push(missing);
                Ok(())
            };
            ready.make(&range, note).unwrap();
        }
        assert_eq!(made, [2 * UNIT..3 * UNIT, 100..2 * UNIT, 3 * UNIT..5 * UNIT]);
    }
}
