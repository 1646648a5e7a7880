//! The smallest and the largest element with their positions.
#![forbid(unsafe_code)]

use crate::chunked::Accumulator;
use crate::distributed::{impl_message, state_is_message};
use crate::error::{ErrorKind, Result};
use crate::stats::element::Element;
use crate::stats::kernels;
use crate::stats::kernels::rows::{self, PANEL_WIDTH};

/// The smallest and the largest element with their positions; the first one if there are ties.
///
/// Positions count the elements from 0 in the order in which they were pushed, NaNs included. NaNs
/// are always skipped and counted.
///
/// The order of [`accumulate`](crate::Chunked::accumulate) is the memory order of the first array,
/// by ascending address, also along reversed axes ([`argmin`](crate::Chunked::argmin) returns the
/// index instead). The order of [`accumulate_axis`](crate::Chunked::accumulate_axis) is the order
/// along the axis.
///
/// ```
/// use ndarray_mmap::{Accumulator, stats::ArgMinMax};
///
/// let (mut first, mut second) = (ArgMinMax::new(), ArgMinMax::new());
/// first.push_slice(&[2.0, f64::NAN]);
/// second.push_slice(&[1.0, 3.0, 1.0]);
/// first.merge(second);
/// assert_eq!((first.min(), first.max(), first.nan_count()), (Some((1.0, 2)), Some((3.0, 3)), 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(
        bound(deserialize = "A: Element + serde::Deserialize<'de>"),
        try_from = "ArgMinMaxRepr<A>"
    )
)]
pub struct ArgMinMax<A> {
    count: u64,
    nan_count: u64,
    min: Option<(A, u64)>,
    max: Option<(A, u64)>,
}

impl<A> Default for ArgMinMax<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A> ArgMinMax<A> {
    /// Creates an accumulator without elements.
    pub fn new() -> Self {
        Self { count: 0, nan_count: 0, min: None, max: None }
    }

    /// Returns the number of elements, NaNs included, which is the position of the next element.
    ///
    /// ```
    /// # use ndarray_mmap::{Accumulator, stats::ArgMinMax};
    /// let mut extremes = ArgMinMax::new();
    /// extremes.push_slice(&[1.0, f64::NAN]);
    /// extremes.push(&0.5);
    /// assert_eq!((extremes.count(), extremes.min()), (3, Some((0.5, 2))));
    /// ```
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the number of NaNs.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::{prelude::*, stats::ArgMinMax};
    /// let extremes = array![f64::NAN, 7.0, f64::NAN].chunked().accumulate(ArgMinMax::new)?;
    /// assert_eq!((extremes.nan_count(), extremes.max()), (2, Some((7.0, 1))));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn nan_count(&self) -> u64 {
        self.nan_count
    }
}

impl<A: Element> ArgMinMax<A> {
    /// Returns the smallest element that is not NaN, and its position; `None` if there is none.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::{prelude::*, stats::ArgMinMax};
    /// let table = array![[3, 1], [2, 5], [2, 1]];
    /// let columns = table.chunked().accumulate_axis(Axis(0), ArgMinMax::new)?;
    /// assert_eq!(columns.map(|column| column.min()), array![Some((2, 1)), Some((1, 0))]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn min(&self) -> Option<(A, u64)> {
        self.min
    }

    /// Returns the largest element that is not NaN, and its position; `None` if there is none.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::{prelude::*, stats::ArgMinMax};
    /// let extremes = array![4.0, 9.0, 9.0].chunked().accumulate(ArgMinMax::new)?;
    /// assert_eq!(extremes.max(), Some((9.0, 1)));
    /// assert_eq!(ArgMinMax::<f64>::new().max(), None);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn max(&self) -> Option<(A, u64)> {
        self.max
    }

    /// Merges another accumulator, whose elements come after those of `self`:
    /// [`count`](Self::count) is added to their positions.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::{prelude::*, stats::ArgMinMax};
    /// let mut all = array![5, 3].chunked().accumulate(ArgMinMax::new)?;
    /// all.merge(array![4, 3, 8].chunked().accumulate(ArgMinMax::new)?);
    /// assert_eq!((all.min(), all.max()), (Some((3, 1)), Some((8, 4))));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn merge(&mut self, later: Self) {
        let shifted = |found: Option<(A, u64)>| {
            found.map(|(element, at)| (element, self.count.saturating_add(at)))
        };
        let min = shifted(later.min);
        let max = shifted(later.max);
        self.update(min, max);
        self.count = self.count.saturating_add(later.count);
        self.nan_count = self.nan_count.saturating_add(later.nan_count);
    }

    /// Returns the positions of the minimum and the maximum. Fails for empty input, and if there is
    /// a NaN and `skip_nan` is false.
    pub(in crate::stats) fn checked(&self, skip_nan: bool) -> Result<(u64, u64)> {
        match (self.min, self.max) {
            _ if self.nan_count > 0 && !skip_nan => Err(ErrorKind::UndefinedOrder {}.at(None)),
            (Some((_, min)), Some((_, max))) => Ok((min, max)),
            _ => Err(ErrorKind::EmptyInput {}.at(None)),
        }
    }

    fn update(&mut self, min: Option<(A, u64)>, max: Option<(A, u64)>) {
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

impl<A: Element> Accumulator<A> for ArgMinMax<A> {
    #[inline]
    fn push(&mut self, &element: &A) {
        match (&mut self.min, &mut self.max) {
            // Checked first, because most elements are between the extrema so far.
            (Some((low, _)), Some((high, _))) if element >= *low && element <= *high => {}
            _ if element.is_nan() => self.nan_count = self.nan_count.saturating_add(1),
            (Some((low, index)), Some(_)) if element < *low => {
                (*low, *index) = (element, self.count)
            }
            (Some(_), Some((high, index))) => (*high, *index) = (element, self.count),
            (min, max) => (*min, *max) = (Some((element, self.count)), Some((element, self.count))),
        }
        self.count = self.count.saturating_add(1);
    }

    fn push_slice(&mut self, elements: &[A]) {
        if let Some((low, high, _)) = kernels::min_max(elements) {
            // The position is only searched for if the slice contains a new extremum.
            let position_of =
                |wanted: A| (0..).zip(elements).find(|(_, element)| **element == wanted);
            let better = |old: Option<(A, u64)>, is_better: bool, wanted: A| match (old, is_better)
            {
                (Some(_), false) => None,
                _ => position_of(wanted)
                    .map(|(at, &element)| (element, self.count.saturating_add(at))),
            };
            let min = better(self.min, self.min.is_none_or(|(least, _)| low < least), low);
            let max = better(self.max, self.max.is_none_or(|(most, _)| high > most), high);
            self.update(min, max);
        }
        if A::HAS_NAN {
            self.nan_count = self.nan_count.saturating_add(kernels::count_nan(elements));
        }
        self.count = self.count.saturating_add(elements.len() as u64);
    }

    fn push_rows(lanes: &mut [&mut Self], rows: &[&[A]]) {
        const NONE: u32 = u32::MAX;
        for (lanes, rows) in rows::panels(lanes, rows) {
            // Indices of 32 bits suffice for these rows.
            for rows in rows.chunks(1 << 16) {
                let (least, most) = A::RANGE;
                let mut low = [most; PANEL_WIDTH];
                let mut high = [least; PANEL_WIDTH];
                let mut nans = [0; PANEL_WIDTH];
                let mut low_at = [NONE; PANEL_WIDTH];
                let mut high_at = [NONE; PANEL_WIDTH];
                for (index, lane) in lanes.iter().enumerate() {
                    low[index] = lane.min.map_or(most, |(element, _)| element);
                    high[index] = lane.max.map_or(least, |(element, _)| element);
                }
                rows::arg_min(rows, &mut low, &mut low_at);
                rows::arg_max(rows, &mut high, &mut high_at);
                if A::HAS_NAN {
                    rows::count_nan(rows, &mut nans);
                }
                for (index, lane) in lanes.iter_mut().enumerate() {
                    // The initial value compares equal to elements that are the largest or smallest
                    // value of the type.
                    let all = || rows.iter().map(|row| row[index]).zip(0..);
                    let first = || {
                        all()
                            .find(|(x, _)| !x.is_nan())
                            .map(|(x, at)| (x, lane.count.saturating_add(at)))
                    };
                    let found = |element, at: u32, old: Option<_>| match at {
                        NONE if old.is_none() => first(),
                        NONE => None,
                        _ => Some((element, lane.count.saturating_add(at.into()))),
                    };
                    let min = found(low[index], low_at[index], lane.min);
                    let max = found(high[index], high_at[index], lane.max);
                    lane.update(min, max);
                    lane.count = lane.count.saturating_add(rows.len() as u64);
                    lane.nan_count = lane.nan_count.saturating_add(nans[index]);
                }
            }
        }
    }

    fn merge(&mut self, later: Self) {
        Self::merge(self, later);
    }

    state_is_message!();
}

impl_message! { ArgMinMax<A> { count, nan_count, min, max } where [A: Element] }

/// The deserialized form.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(rename = "ArgMinMax")]
struct ArgMinMaxRepr<A> {
    #[serde(deserialize_with = "super::serde_checks::count")]
    count: u64,
    nan_count: u64,
    min: Option<(A, u64)>,
    max: Option<(A, u64)>,
}

#[cfg(feature = "serde")]
impl<A: Element> TryFrom<ArgMinMaxRepr<A>> for ArgMinMax<A> {
    type Error = String;

    fn try_from(
        ArgMinMaxRepr { count, nan_count, min, max }: ArgMinMaxRepr<A>,
    ) -> std::result::Result<Self, String> {
        // Comparisons with NaN are false.
        let is_possible = match (min, max) {
            (Some((low, first)), Some((high, second))) => {
                nan_count < count && low <= high && first.max(second) < count
            }
            (None, None) => nan_count == count,
            _ => false,
        };
        if is_possible && (A::HAS_NAN || nan_count == 0) {
            Ok(Self { count, nan_count, min, max })
        } else {
            Err(format!(
                "impossible extrema of {count} elements, {nan_count} of them NaN: {min:?} and {max:?}"
            ))
        }
    }
}
