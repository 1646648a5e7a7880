//! Exact and floating-point sums.
#![forbid(unsafe_code)]

use crate::chunked::{Accumulator, BlockElements};
use crate::distributed::{impl_message, state_is_message};
use crate::error::Result;
use crate::stats::double::scaled;
use crate::stats::element::Element;
use crate::stats::kernels::rows::{self, PANEL_WIDTH};

/// The sum and the number of elements.
///
/// Sums of integers are exact. Floats are summed in `f64`, with a rounding error that grows with
/// the logarithm of their number. NaNs propagate unless they are [skipped](Self::new_skipnan).
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{prelude::*, stats::Sum};
///
/// let sum = array![1_u64, u64::MAX].chunked().accumulate(Sum::new)?;
/// assert_eq!((sum.count(), sum.sum()), (2, 1 << 64));
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(
        bound(
            serialize = "A::Sum: serde::Serialize",
            deserialize = "A::Sum: serde::Deserialize<'de>"
        ),
        try_from = "SumRepr<A>"
    )
)]
pub struct Sum<A: Element> {
    skip_nan: bool,
    count: u64,
    /// The sum in units of `2^unit`. The unit is 1 unless the sum overflows its type.
    sum: A::Sum,
    /// The exponent of the unit: 0 or [`UNIT`].
    unit: i32,
}

/// The exponent of a unit in which no sum of fewer than 2^64 elements overflows an `f64`.
const UNIT: i32 = 64;

impl<A: Element> Default for Sum<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Element> Sum<A> {
    /// Creates an accumulator without elements, which propagates NaNs.
    pub fn new() -> Self {
        Self { skip_nan: false, count: 0, sum: A::Sum::default(), unit: 0 }
    }

    /// Creates an accumulator without elements, which skips NaNs.
    pub fn new_skipnan() -> Self {
        Self { skip_nan: true, ..Self::new() }
    }

    pub(in crate::stats) fn with_skip_nan(skip_nan: bool) -> Self {
        Self { skip_nan, ..Self::new() }
    }

    /// Returns the number of elements.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the sum; 0 if there are no elements.
    pub fn sum(&self) -> A::Sum {
        A::scaled_sum(self.sum, self.unit)
    }

    /// Returns the mean; NaN if there are no elements. For integers, it is the `f64` nearest to the
    /// exact mean. It may be finite even if the sum of floats overflows.
    pub fn mean(&self) -> f64 {
        if self.count == 0 {
            f64::NAN
        } else {
            scaled(A::mean_from_sum(self.sum, self.count), self.unit)
        }
    }

    #[inline]
    fn add(&mut self, sum: A::Sum, unit: i32) {
        let both = A::add_sums(self.sum, sum);
        if A::HAS_WIDE_RANGE && (self.unit, unit) != (0, 0) {
            self.sum = A::add_sums(
                A::scaled_sum(self.sum, self.unit - UNIT),
                A::scaled_sum(sum, unit - UNIT),
            );
            self.unit = UNIT;
        } else if A::HAS_WIDE_RANGE
            && !A::is_finite_sum(both)
            && A::is_finite_sum(self.sum)
            && A::is_finite_sum(sum)
        {
            self.add(A::scaled_sum(sum, -UNIT), UNIT);
        } else {
            self.sum = both;
        }
    }
}

impl<A: Element> Sum<A> {
    /// Merges another accumulator. `self` continues to skip or propagate NaNs as before.
    pub fn merge(&mut self, later: Self) {
        self.count = self.count.saturating_add(later.count);
        self.add(later.sum, later.unit);
    }
}

impl<A: Element> Accumulator<A> for Sum<A> {
    #[inline]
    fn push(&mut self, element: &A) {
        if !(self.skip_nan && element.is_nan()) {
            self.count = self.count.saturating_add(1);
            self.add(element.to_sum(), 0);
        }
    }

    fn push_block(&mut self, block: &dyn BlockElements<A>) -> Result<()> {
        let (sum, count) = A::sum_of_block(block, self.skip_nan)?;
        if !A::is_finite_sum(sum) {
            return block.with_all(&mut |elements| self.push_slice(elements));
        }
        self.count = self.count.saturating_add(count);
        self.add(sum, 0);
        Ok(())
    }

    fn push_slice(&mut self, elements: &[A]) {
        let nans = if self.skip_nan { crate::stats::kernels::count_nan(elements) } else { 0 };
        self.count = self.count.saturating_add(elements.len() as u64 - nans);
        let sum = A::sum(elements, self.skip_nan);
        if A::is_finite_sum(sum) || !self.skip_nan && crate::stats::kernels::count_nan(elements) > 0
        {
            self.add(sum, 0);
            return;
        }
        // Infinities and NaNs alone determine the sum; if there are none, the sum overflowed.
        let mut special = A::Sum::default();
        let kept = elements
            .iter()
            .filter(|element| !(self.skip_nan && element.is_nan()))
            .map(|x| x.to_sum());
        kept.filter(|&sum| !A::is_finite_sum(sum)).for_each(|sum| special += sum);
        if A::is_finite_sum(special) {
            self.add(A::sum_in_unit(elements, self.skip_nan, UNIT), UNIT)
        } else {
            self.add(special, 0)
        }
    }

    fn push_rows(lanes: &mut [&mut Self], rows: &[&[A]]) {
        for (lanes, rows) in rows::panels(lanes, rows) {
            let Some(skip_nan) =
                rows::all_equal(lanes.iter().map(|lane| lane.skip_nan && A::HAS_NAN))
            else {
                for (index, lane) in lanes.iter_mut().enumerate() {
                    rows.iter().for_each(|row| lane.push(&row[index]));
                }
                continue;
            };
            let mut sums = [A::Sum::default(); PANEL_WIDTH];
            let mut nans = [0; PANEL_WIDTH];
            sums.iter_mut().zip(&*lanes).for_each(|(sum, lane)| *sum = lane.sum);
            A::sum_rows(&rows, &mut sums[..lanes.len()], skip_nan);
            if skip_nan {
                rows::count_nan(&rows, &mut nans);
            }
            let mut have_nan = [0; PANEL_WIDTH];
            if A::HAS_WIDE_RANGE && !skip_nan && !sums.iter().all(|&sum| A::is_finite_sum(sum)) {
                rows::count_nan(&rows, &mut have_nan);
            }
            for (index, lane) in lanes.iter_mut().enumerate() {
                let is_infinite = A::is_finite_sum(lane.sum) && !A::is_finite_sum(sums[index]);
                let is_out_of_range = is_infinite && have_nan[index] == 0;
                if A::HAS_WIDE_RANGE && (is_out_of_range || lane.unit != 0) {
                    rows.iter().for_each(|row| lane.push(&row[index]));
                } else {
                    lane.sum = sums[index];
                    lane.count = lane.count.saturating_add(rows.len() as u64 - nans[index]);
                }
            }
        }
    }

    fn merge(&mut self, later: Self) {
        Self::merge(self, later);
    }

    state_is_message!();
}

impl_message! { Sum<A> { skip_nan, count, sum, unit } where [A: Element] }

/// The deserialized form.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(rename = "Sum", bound(deserialize = "A::Sum: serde::Deserialize<'de>"))]
struct SumRepr<A: Element> {
    skip_nan: bool,
    #[serde(deserialize_with = "super::serde_checks::count")]
    count: u64,
    sum: A::Sum,
    #[serde(default)]
    unit: i32,
}

#[cfg(feature = "serde")]
impl<A: Element> TryFrom<SumRepr<A>> for Sum<A> {
    type Error = String;

    fn try_from(
        SumRepr { skip_nan, count, sum, unit }: SumRepr<A>,
    ) -> std::result::Result<Self, String> {
        // The sum of an empty input is 0, and the mean of integers is in the range of their type,
        // so that later sums do not overflow.
        let (least, most) = A::RANGE;
        let is_possible = match count {
            0 => sum == A::Sum::default(),
            _ => {
                A::HAS_NAN
                    || (least.to_f64()..=most.to_f64()).contains(&A::mean_from_sum(sum, count))
            }
        };
        if is_possible && (unit == 0 || unit == UNIT && A::HAS_WIDE_RANGE) {
            Ok(Self { skip_nan, count, sum, unit })
        } else {
            Err(format!("impossible sum of {count} elements: {sum:?}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_of_integers_do_not_overflow() {
        let mut sum = Sum::new();
        sum.push(&i64::MAX);
        for _ in 0..130 {
            sum.merge(sum);
        }
        assert_eq!((sum.count(), sum.sum()), (u64::MAX, i128::MAX));
    }
}
