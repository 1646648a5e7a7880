//! The smallest and the largest element.
#![forbid(unsafe_code)]

use crate::chunked::Accumulator;
use crate::distributed::{impl_message, state_is_message};
use crate::error::{Error, ErrorKind, Result};
use crate::stats::element::Element;
use crate::stats::kernels;
use crate::stats::kernels::rows::{self, PANEL_WIDTH};

/// The smallest and the largest element, and the number of NaNs, which are always skipped and
/// counted.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{prelude::*, stats::MinMax};
///
/// let extremes = array![2.0, f64::NAN, 1.0].chunked().accumulate(MinMax::new)?;
/// assert_eq!((extremes.count(), extremes.nan_count()), (3, 1));
/// assert_eq!((extremes.min(), extremes.max()), (Some(1.0), Some(2.0)));
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "A: Element + serde::Deserialize<'de>"), try_from = "MinMaxRepr<A>")
)]
pub struct MinMax<A> {
    range: Option<(A, A)>,
    count: u64,
    nan_count: u64,
}

impl<A> Default for MinMax<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A> MinMax<A> {
    /// Creates an accumulator without elements.
    pub fn new() -> Self {
        Self { range: None, count: 0, nan_count: 0 }
    }

    /// Returns the number of elements, NaNs included.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the number of NaNs.
    pub fn nan_count(&self) -> u64 {
        self.nan_count
    }
}

impl<A: Element> MinMax<A> {
    /// Returns the smallest element that is not NaN; `None` if there is none.
    pub fn min(&self) -> Option<A> {
        self.range.map(|(min, _)| min)
    }

    /// Returns the largest element that is not NaN; `None` if there is none.
    pub fn max(&self) -> Option<A> {
        self.range.map(|(_, max)| max)
    }

    /// Returns the smallest and the largest element.
    #[doc(alias = "ptp")]
    pub fn range(&self) -> Option<(A, A)> {
        self.range
    }

    /// Returns the smallest and the largest element. Fails for empty input, and if there is a NaN
    /// and `skip_nan` is false.
    pub(in crate::stats) fn checked(&self, skip_nan: bool) -> Result<(A, A)> {
        match self.range {
            _ if self.nan_count > 0 && !skip_nan => {
                Err(Error::new(ErrorKind::UndefinedOrder {}, None))
            }
            None => Err(Error::new(ErrorKind::EmptyInput {}, None)),
            Some(range) => Ok(range),
        }
    }

    /// Merges another accumulator, whose elements come after those of `self`.
    pub fn merge(&mut self, later: Self) {
        self.count = self.count.saturating_add(later.count);
        self.nan_count = self.nan_count.saturating_add(later.nan_count);
        // The earlier one of equal elements is kept: 0.0 and -0.0 are equal.
        self.range = match (self.range, later.range) {
            (Some((low, high)), Some((later_low, later_high))) => Some((
                if later_low < low { later_low } else { low },
                if later_high > high { later_high } else { high },
            )),
            (range, later) => range.or(later),
        };
    }
}

impl<A: Element> Accumulator<A> for MinMax<A> {
    #[inline]
    fn push(&mut self, &element: &A) {
        self.count = self.count.saturating_add(1);
        match &mut self.range {
            Some((low, high)) => {
                // A single test for most elements, which are between the extrema so far.
                if !(element >= *low && element <= *high) {
                    if element < *low {
                        *low = element;
                    } else if element > *high {
                        *high = element;
                    } else {
                        self.nan_count = self.nan_count.saturating_add(1);
                    }
                }
            }
            None if element.is_nan() => self.nan_count = self.nan_count.saturating_add(1),
            None => self.range = Some((element, element)),
        }
    }

    fn push_slice(&mut self, elements: &[A]) {
        let found = kernels::min_max(elements);
        let nan_count = match found {
            Some((_, _, false)) => 0,
            _ => kernels::count_nan(elements),
        };
        // 0.0 and -0.0 are equal: keep the first, as if the elements were pushed one by one.
        let first = |x: A| {
            if A::HAS_NAN && x.to_f64() == 0.0 {
                elements.iter().copied().find(|element| *element == x).unwrap_or(x)
            } else {
                x
            }
        };
        let range = found.map(|(low, high, _)| (first(low), first(high)));
        Self::merge(self, Self { range, count: elements.len() as u64, nan_count });
    }

    fn push_rows(lanes: &mut [&mut Self], rows: &[&[A]]) {
        for (lanes, rows) in rows::panels(lanes, rows) {
            let (least, most) = A::RANGE;
            let mut low = [most; PANEL_WIDTH];
            let mut high = [least; PANEL_WIDTH];
            let mut nans = [0; PANEL_WIDTH];
            for (index, lane) in lanes.iter().enumerate() {
                (low[index], high[index]) = lane.range.unwrap_or((most, least));
            }
            rows::min_max(&rows, &mut low[..lanes.len()], &mut high[..lanes.len()]);
            if A::HAS_NAN {
                rows::count_nan(&rows, &mut nans);
            }
            for (index, lane) in lanes.iter_mut().enumerate() {
                lane.count = lane.count.saturating_add(rows.len() as u64);
                lane.nan_count = lane.nan_count.saturating_add(nans[index]);
                lane.range = (lane.count > lane.nan_count).then_some((low[index], high[index]));
            }
        }
    }

    fn merge(&mut self, later: Self) {
        Self::merge(self, later);
    }

    state_is_message!();
}

impl_message! { MinMax<A> { range, count, nan_count } where [A: Element] }

/// The deserialized form.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(rename = "MinMax")]
struct MinMaxRepr<A> {
    range: Option<(A, A)>,
    #[serde(deserialize_with = "super::serde_checks::count")]
    count: u64,
    nan_count: u64,
}

#[cfg(feature = "serde")]
impl<A: Element> TryFrom<MinMaxRepr<A>> for MinMax<A> {
    type Error = String;

    fn try_from(
        MinMaxRepr { range, count, nan_count }: MinMaxRepr<A>,
    ) -> std::result::Result<Self, String> {
        // Comparisons with NaN are false.
        let is_possible = match range {
            Some((low, high)) => nan_count < count && low <= high,
            None => nan_count == count,
        };
        if is_possible && (A::HAS_NAN || nan_count == 0) {
            Ok(Self { range, count, nan_count })
        } else {
            Err(format!("impossible range of {count} elements, {nan_count} of them NaN: {range:?}"))
        }
    }
}
