//! A large accumulator.

use ndarray_mmap::Accumulator;

/// A table of counts of 512 KiB, declared order-independent if `ANY_ORDER`.
pub(crate) struct Counts<const ANY_ORDER: bool>(pub(crate) Vec<u64>);

impl<const ANY_ORDER: bool> Counts<ANY_ORDER> {
    pub(crate) fn new() -> Self {
        Self(vec![0; 1 << 16])
    }
}

impl<const ANY_ORDER: bool> Accumulator<f64> for Counts<ANY_ORDER> {
    const IS_ORDER_INDEPENDENT: bool = ANY_ORDER;

    fn push(&mut self, x: &f64) {
        self.0[(x * 1_500.0) as usize & 0xFFFF] += 1;
    }

    fn merge(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }
}
