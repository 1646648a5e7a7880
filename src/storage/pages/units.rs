//! A mapping in units of its file.
#![forbid(unsafe_code)]

use std::ops::Range;

/// Units of a file, of which a range is mapped: the first and the last one may be mapped in part. All ranges of bytes are
/// within the mapping.
#[derive(Debug)]
pub(super) struct Units {
    unit: usize,
    /// Where in the first unit the mapping begins.
    shift: usize,
    /// Bytes of the mapping.
    len: usize,
}

impl Units {
    /// Of so many bytes from this offset of the file on.
    pub(super) fn new(unit: usize, offset: u64, len: usize) -> Self {
        Self { unit, shift: (offset % unit as u64) as usize, len }
    }

    pub(super) fn count(&self) -> usize {
        (self.shift + self.len).div_ceil(self.unit)
    }

    /// The units that have some of these bytes.
    pub(super) fn of(&self, bytes: &Range<usize>) -> Range<usize> {
        (self.shift + bytes.start) / self.unit..(self.shift + bytes.end).div_ceil(self.unit)
    }

    /// The bytes of one unit or more that are mapped.
    pub(super) fn bytes(&self, units: &Range<usize>) -> Range<usize> {
        (units.start * self.unit).saturating_sub(self.shift)..(units.end * self.unit - self.shift).min(self.len)
    }
}
