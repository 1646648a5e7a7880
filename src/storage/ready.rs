//! Which pages of a mapping have been made resident.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is made resident at a time: as much as Linux maps around a page that is missed, and less than it reads.
pub(super) const UNIT: usize = 64 << 10;

/// Remembers units of pages. It may forget some, and once in a while take for resident what is not any more.
#[derive(Debug)]
pub(super) struct Ready {
    /// Of the whole mapping, which begins anywhere in the first unit.
    addresses: Range<usize>,
    bits: Vec<AtomicU64>,
}

impl Ready {
    pub(super) fn new(addresses: Range<usize>) -> Self {
        let units = addresses.end.div_ceil(UNIT) - addresses.start / UNIT;
        Self { addresses, bits: (0..units.div_ceil(64)).map(|_| AtomicU64::new(0)).collect() }
    }

    fn units(&self, range: &Range<usize>) -> Range<usize> {
        let first = self.addresses.start / UNIT;
        range.start / UNIT - first..range.end.div_ceil(UNIT) - first
    }

    fn place(&self, unit: usize) -> (&AtomicU64, u64) {
        (&self.bits[unit / 64], 1 << (unit % 64))
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
        for unit in self.units(range) {
            let (bits, bit) = self.place(unit);
            bits.fetch_and(!bit, Ordering::Relaxed);
        }
    }
}
