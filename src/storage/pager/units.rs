//! Conversion between byte ranges of a mapping and aligned units of its file.
#![forbid(unsafe_code)]

use std::ops::Range;

/// The units of a file that a mapping covers. The first and the last unit may be mapped partially.
/// All byte ranges are relative to the mapping.
#[derive(Debug)]
pub(super) struct AlignedUnits {
    unit: usize,
    /// The offset of the mapping in its first unit.
    shift: usize,
    /// The length of the mapping in bytes.
    len: usize,
}

impl AlignedUnits {
    /// Creates the units of `len` bytes mapped from `offset` of the file.
    pub(super) fn new(unit: usize, offset: u64, len: usize) -> Self {
        Self { unit, shift: (offset % unit as u64) as usize, len }
    }

    pub(super) fn count(&self) -> usize {
        (self.shift + self.len).div_ceil(self.unit)
    }

    /// Returns the units that contain some of these bytes, or an empty range for an empty one.
    pub(super) fn covering(&self, bytes: &Range<usize>) -> Range<usize> {
        let first = (self.shift + bytes.start) / self.unit;
        first..if bytes.is_empty() { first } else { (self.shift + bytes.end).div_ceil(self.unit) }
    }

    /// Returns the mapped bytes of one or more units.
    pub(super) fn byte_range(&self, units: &Range<usize>) -> Range<usize> {
        (units.start * self.unit).saturating_sub(self.shift)
            ..(units.end * self.unit - self.shift).min(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_a_partial_mapping() {
        // Bytes 130 to 330 of the file.
        let units = AlignedUnits::new(100, 130, 200);
        assert_eq!(units.count(), 3);
        for (bytes, expected) in
            [(0..1, 0..1), (0..70, 0..1), (69..71, 0..2), (70..170, 1..2), (0..200, 0..3)]
        {
            assert_eq!(units.covering(&bytes), expected, "{bytes:?}");
        }
        for at in [0, 1, 70, 71, 199, 200] {
            assert!(units.covering(&(at..at)).is_empty(), "{at}");
        }
        assert_eq!(
            [0..1, 1..2, 2..3, 0..3].map(|these| units.byte_range(&these)),
            [0..70, 70..170, 170..200, 0..200]
        );
    }
}
