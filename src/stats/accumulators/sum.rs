//! Sums.
#![forbid(unsafe_code)]

use super::super::element::Element;
use super::super::kernels::rows::{self, WIDTH};
use crate::chunked::Accumulator;

/// The sum, and how many elements it is of: exact for integers, for floats in `f64` with errors that grow as the
/// logarithm of their number. Of a NaN it is NaN, unless NaNs are [left out](Self::skipnan).
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
        bound(serialize = "A::Sum: serde::Serialize", deserialize = "A::Sum: serde::Deserialize<'de>"),
        try_from = "Parts<A>"
    )
)]
pub struct Sum<A: Element> {
    skip_nan: bool,
    count: u64,
    sum: A::Sum,
}

impl<A: Element> Default for Sum<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Element> Sum<A> {
    /// Of nothing so far. NaNs propagate.
    pub fn new() -> Self {
        Self { skip_nan: false, count: 0, sum: A::Sum::default() }
    }

    /// The same, leaving NaNs out.
    pub fn skipnan() -> Self {
        Self { skip_nan: true, ..Self::new() }
    }

    pub(in crate::stats) fn maker(skip_nan: bool) -> impl Fn() -> Self + Sync {
        move || Self { skip_nan, ..Self::new() }
    }

    /// How many elements there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum; 0 if there are none.
    pub fn sum(&self) -> A::Sum {
        self.sum
    }

    /// Their mean; NaN if there are none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { A::mean_of(self.sum, self.count) }
    }
}

impl<A: Element> Sum<A> {
    /// Takes what another one has taken.
    pub fn merge(&mut self, later: Self) {
        self.count += later.count;
        self.sum += later.sum;
    }
}

impl<A: Element> Accumulator<A> for Sum<A> {
    type Output = Self;

    fn push(&mut self, element: &A) {
        self.push_slice(std::slice::from_ref(element));
    }

    fn push_slice(&mut self, elements: &[A]) {
        let nans = if self.skip_nan { super::super::kernels::count_nan(elements) } else { 0 };
        self.count += elements.len() as u64 - nans;
        self.sum += A::sum(elements, self.skip_nan);
    }

    fn push_rows(lanes: &mut [&mut Self], rows: &[&[A]]) {
        for (lanes, rows) in rows::strips(lanes, rows) {
            let Some(skip_nan) = rows::uniform(lanes.iter().map(|lane| lane.skip_nan && A::HAS_NAN)) else {
                for (number, lane) in lanes.iter_mut().enumerate() {
                    rows.iter().for_each(|row| lane.push(&row[number]));
                }
                continue;
            };
            let (mut sums, mut nans) = ([A::Sum::default(); WIDTH], [0; WIDTH]);
            sums.iter_mut().zip(&*lanes).for_each(|(sum, lane)| *sum = lane.sum);
            A::sum_rows(&rows, &mut sums[..lanes.len()], skip_nan);
            if skip_nan {
                rows::count_nan(&rows, &mut nans);
            }
            for ((lane, sum), nans) in lanes.iter_mut().zip(sums).zip(nans) {
                lane.sum = sum;
                lane.count += rows.len() as u64 - nans;
            }
        }
    }

    fn merge(&mut self, later: Self) {
        Self::merge(self, later);
    }

    fn finish(self) -> Self {
        self
    }
}

/// What is saved.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(rename = "Sum", bound(deserialize = "A::Sum: serde::Deserialize<'de>"))]
struct Parts<A: Element> {
    skip_nan: bool,
    #[serde(deserialize_with = "super::saved::count")]
    count: u64,
    sum: A::Sum,
}

#[cfg(feature = "serde")]
impl<A: Element> TryFrom<Parts<A>> for Sum<A> {
    type Error = String;

    fn try_from(Parts { skip_nan, count, sum }: Parts<A>) -> std::result::Result<Self, String> {
        // Of integers a sum of nothing is 0, and a mean lies among them, so that no later sum overflows.
        let (least, most) = A::ENDS;
        let is_possible = A::HAS_NAN
            || match count {
                0 => sum == A::Sum::default(),
                _ => (least.to_f64()..=most.to_f64()).contains(&A::mean_of(sum, count)),
            };
        match is_possible {
            true => Ok(Self { skip_nan, count, sum }),
            false => Err(format!("{count} elements have no sum of {sum:?}")),
        }
    }
}
