//! Where the smallest and the largest element are.
#![forbid(unsafe_code)]

use super::element::Element;
use super::kernels;
use super::rows::{self, WIDTH};
use crate::chunked::Accumulator;
use crate::error::{ErrorKind, Result};

/// The smallest and the largest element with their numbers, counted from 0 in the order in which they came; of equal ones
/// the first.
///
/// ```
/// use ndarray_mmap::{Accumulator, stats::ArgExtremes};
///
/// let (mut first, mut second) = (ArgExtremes::new(), ArgExtremes::new());
/// first.push_slice(&[2.0, f64::NAN]);
/// second.push_slice(&[1.0, 3.0, 1.0]);
/// first.merge(second);
/// assert_eq!((first.min(), first.max(), first.nan_count()), (Some((1.0, 2)), Some((3.0, 3)), 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ArgExtremes<A> {
    count: u64,
    nan_count: u64,
    min: Option<(A, u64)>,
    max: Option<(A, u64)>,
}

impl<A> Default for ArgExtremes<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A> ArgExtremes<A> {
    /// Of nothing so far.
    pub fn new() -> Self {
        Self { count: 0, nan_count: 0, min: None, max: None }
    }

    /// How many elements there were, NaNs included.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many of them were NaN.
    pub fn nan_count(&self) -> u64 {
        self.nan_count
    }
}

impl<A: Element> ArgExtremes<A> {
    /// The smallest element that is not NaN, and its number.
    pub fn min(&self) -> Option<(A, u64)> {
        self.min
    }

    /// The largest element that is not NaN, and its number.
    pub fn max(&self) -> Option<(A, u64)> {
        self.max
    }

    /// Takes what another one has taken, of elements that come later.
    pub fn merge(&mut self, later: Self) {
        let shifted = |found: Option<(A, u64)>| found.map(|(element, number)| (element, self.count + number));
        let (min, max) = (shifted(later.min), shifted(later.max));
        self.take(min, max);
        self.count += later.count;
        self.nan_count += later.nan_count;
    }

    /// The numbers, where there must be some, and a NaN among the elements is an error unless it is to be skipped.
    pub(super) fn checked(&self, skip_nan: bool) -> Result<(u64, u64)> {
        match (self.min, self.max) {
            _ if self.nan_count > 0 && !skip_nan => Err(ErrorKind::UndefinedOrder {}.at(None)),
            (Some((_, min)), Some((_, max))) => Ok((min, max)),
            _ => Err(ErrorKind::EmptyInput {}.at(None)),
        }
    }

    fn take(&mut self, min: Option<(A, u64)>, max: Option<(A, u64)>) {
        if let Some((element, _)) = min
            && self.min.is_none_or(|(least, _)| element < least)
        {
            self.min = min;
        }
        if let Some((element, _)) = max
            && self.max.is_none_or(|(most, _)| element > most)
        {
            self.max = max;
        }
    }
}

impl<A: Element> Accumulator<A> for ArgExtremes<A> {
    type Output = Self;

    fn push(&mut self, element: &A) {
        self.push_slice(std::slice::from_ref(element));
    }

    fn push_slice(&mut self, elements: &[A]) {
        if let Some((low, high, _)) = kernels::extremes(elements) {
            // A place is only looked for where there is something better.
            let place = |wanted: A| elements.iter().zip(self.count..).find(|(element, _)| **element == wanted);
            let better = |old: Option<(A, u64)>, is_better: bool, wanted: A| match (old, is_better) {
                (Some(_), false) => None,
                _ => place(wanted).map(|(&element, number)| (element, number)),
            };
            let min = better(self.min, self.min.is_none_or(|(least, _)| low < least), low);
            let max = better(self.max, self.max.is_none_or(|(most, _)| high > most), high);
            self.take(min, max);
        }
        if A::HAS_NAN {
            self.nan_count += kernels::count_nan(elements);
        }
        self.count += elements.len() as u64;
    }

    fn push_rows(lanes: &mut [&mut Self], rows: &[&[A]]) {
        const NONE: u32 = u32::MAX;
        for (lanes, rows) in rows::strips(lanes, rows) {
            // As many as an index of 32 bits can tell.
            for rows in rows.chunks(1 << 16) {
                let (least, most) = A::ENDS;
                let (mut low, mut high, mut nans) = ([most; WIDTH], [least; WIDTH], [0; WIDTH]);
                let (mut low_at, mut high_at) = ([NONE; WIDTH], [NONE; WIDTH]);
                for (number, lane) in lanes.iter().enumerate() {
                    low[number] = lane.min.map_or(most, |(element, _)| element);
                    high[number] = lane.max.map_or(least, |(element, _)| element);
                }
                rows::arg_min(rows, &mut low, &mut low_at);
                rows::arg_max(rows, &mut high, &mut high_at);
                if A::HAS_NAN {
                    rows::count_nan(rows, &mut nans);
                }
                for (number, lane) in lanes.iter_mut().enumerate() {
                    // Nothing is smaller than what stands for nothing if it is the largest value itself.
                    let first = || rows.iter().map(|row| row[number]).zip(lane.count..).find(|(x, _)| !x.is_nan());
                    let found = |element, at: u32, old: Option<_>| match at {
                        NONE if old.is_none() => first(),
                        NONE => None,
                        _ => Some((element, lane.count + u64::from(at))),
                    };
                    let (min, max) =
                        (found(low[number], low_at[number], lane.min), found(high[number], high_at[number], lane.max));
                    lane.take(min, max);
                    lane.count += rows.len() as u64;
                    lane.nan_count += nans[number];
                }
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
