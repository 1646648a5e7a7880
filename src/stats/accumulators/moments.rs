//! Count, mean and central moments.
#![forbid(unsafe_code)]

#[cfg(feature = "serde")]
use super::buffer;
use super::buffer::Buffer;
use super::rows::push_rows;
#[cfg(feature = "serde")]
use super::running_sums;
use super::running_sums::RunningSums;
use super::scaled_sums::ScaledSums;
use crate::chunked::Accumulator;
use crate::distributed::{impl_message, state_is_message};
use crate::stats::double::Double;
use crate::stats::element::Element;
use crate::stats::kernels::rows;

/// Count, mean, and the central moments of orders 2 to `ORDER`, which must be 2 or 4.
///
/// The scale of the elements and a mean far from zero do not lose precision: the mean is stored in
/// double-double arithmetic, and sums are scaled by powers of two if squares would overflow or
/// underflow an `f64`. Sums are merged by the formulas of Chan, Golub and LeVeque (1979), and those
/// of Pébay (2008) for the third and fourth powers. Any other `ORDER` does not compile.
///
/// The mean is accurate to about one ulp. The mean of [`Sum`](super::Sum) is the `f64` nearest to
/// the exact mean for integers.
///
/// Elements that are pushed one by one are added 256 at once, from a buffer that grows up to 2 KiB.
/// If a custom accumulator pushes into `Moments`, each lane has such a buffer, which is not counted
/// in the [memory limit](crate::Chunked::memory_limit).
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{Accumulator, prelude::*, stats::Moments};
///
/// // Of two files, machines, ...
/// let (first, second) = (array![1.0, 2.0], array![3.0, 4.0, f64::NAN]);
/// let mut moments = first.chunked().accumulate(Moments::<4>::new_skipnan)?;
/// moments.merge(second.chunked().accumulate(Moments::new_skipnan)?);
/// assert_eq!((moments.count(), moments.mean(), moments.var(0.0)), (4, 2.5, 1.25));
/// assert_eq!(moments.skewness(), 0.0);
/// assert!((moments.kurtosis() - 1.64).abs() < 1e-15);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "MomentsRepr", try_from = "MomentsRepr"))]
pub struct Moments<const ORDER: usize> {
    skip_nan: bool,
    /// The sums of all elements except for those in the buffer.
    sums: RunningSums<ORDER>,
    buffer: Buffer,
}

impl<const ORDER: usize> Default for Moments<ORDER> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const ORDER: usize> Moments<ORDER> {
    /// Creates an accumulator without elements, which propagates NaNs.
    pub fn new() -> Self {
        const { assert!(ORDER == 2 || ORDER == 4, "moments of order 2 or 4") };
        Self { skip_nan: false, sums: ScaledSums::default().into(), buffer: Buffer::new() }
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
        let Double { hi, lo } = self.sums.weight();
        (hi as u64).saturating_add_signed(lo as i64).saturating_add(self.buffer.len() as u64)
    }

    /// Returns the mean; NaN if there are no elements.
    pub fn mean(&self) -> f64 {
        if self.count() == 0 { f64::NAN } else { self.total().mean() }
    }

    /// Returns the exponent of the unit of the elements, and their mean in that unit.
    pub(in crate::stats) fn scaled_mean(&self) -> (i32, Double) {
        let total = self.total();
        (total.unit, total.sums.moments[0])
    }

    /// Returns the variance, `sum((x - mean)^2) / (count - ddof)`; NaN if `count - ddof` is not
    /// positive.
    pub fn var(&self, ddof: f64) -> f64 {
        self.total().var(ddof)
    }

    /// Returns the standard deviation, the square root of the [variance](Self::var). It is also
    /// correct if the variance overflows or underflows an `f64`.
    pub fn std(&self, ddof: f64) -> f64 {
        self.total().std(ddof)
    }

    fn total(&self) -> ScaledSums<ORDER> {
        let mut total = self.sums.total();
        if self.buffer.len() > 0 {
            total.merge(&self.buffer.sums());
        }
        total
    }

    /// Adds the buffered elements to the sums.
    #[cold]
    fn flush(&mut self) {
        if self.buffer.len() > 0 {
            self.sums.merge(&self.buffer.sums());
            self.buffer.clear();
        }
    }

    #[cold]
    fn push_without_room<A: Element>(&mut self, element: A) {
        if !self.buffer.make_room::<A>() {
            self.flush();
            self.buffer.make_room::<A>();
        }
        self.buffer.push(element);
    }

    /// Merges another accumulator. `self` continues to skip or propagate NaNs as before.
    pub fn merge(&mut self, mut later: Self) {
        self.flush();
        later.flush();
        self.sums.merge_running(&later.sums);
    }
}

impl Moments<4> {
    /// Returns the skewness, `m3 / m2^(3/2)`, where `mk` is the mean of the `k`th powers of the
    /// deviations; NaN if all elements are equal.
    pub fn skewness(&self) -> f64 {
        self.total().skewness()
    }

    /// Returns the kurtosis, `m4 / m2^2` (3 for a normal distribution), where `mk` is the mean of
    /// the `k`th powers of the deviations; NaN if all elements are equal.
    pub fn kurtosis(&self) -> f64 {
        self.total().kurtosis()
    }
}

impl<A: Element, const ORDER: usize> Accumulator<A> for Moments<ORDER> {
    #[inline]
    fn push(&mut self, element: &A) {
        let is_left_out = self.skip_nan && element.is_nan();
        if !is_left_out && !self.buffer.push(*element) {
            self.push_without_room(*element);
        }
    }

    fn push_slice(&mut self, elements: &[A]) {
        self.flush();
        self.sums.merge(&if self.skip_nan {
            ScaledSums::of_slice::<A, true>(elements)
        } else {
            ScaledSums::of_slice::<A, false>(elements)
        });
    }

    fn push_rows(lanes: &mut [&mut Self], rows: &[&[A]]) {
        for (lanes, rows) in rows::panels(lanes, rows) {
            let skip_nan = rows::all_equal(lanes.iter().map(|lane| lane.skip_nan && A::HAS_NAN));
            let Some(skip_nan) = skip_nan else {
                for (index, lane) in lanes.iter_mut().enumerate() {
                    rows.iter().for_each(|row| lane.push(&row[index]));
                }
                continue;
            };
            lanes.iter_mut().for_each(|lane| lane.flush());
            let mut sums: Vec<_> = lanes.iter_mut().map(|lane| &mut lane.sums).collect();
            if skip_nan {
                push_rows::<A, _, ORDER, true>(&mut sums, &rows, None, &mut ())
            } else {
                push_rows::<A, _, ORDER, false>(&mut sums, &rows, None, &mut ())
            }
        }
    }

    fn merge(&mut self, later: Self) {
        Self::merge(self, later);
    }

    state_is_message!();
}

impl_message! { Moments<ORDER> { skip_nan, sums, buffer } where [const ORDER: usize] }

/// The serialized form.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct MomentsRepr {
    skip_nan: bool,
    #[serde(deserialize_with = "super::serde_checks::count")]
    count: u64,
    sums: running_sums::RunningSumsRepr,
    buffer: buffer::BufferRepr,
}

#[cfg(feature = "serde")]
impl<const ORDER: usize> From<Moments<ORDER>> for MomentsRepr {
    fn from(moments: Moments<ORDER>) -> Self {
        let count = moments.count();
        let Moments { skip_nan, sums, buffer } = moments;
        Self { skip_nan, count, sums: sums.into(), buffer: buffer.into() }
    }
}

#[cfg(feature = "serde")]
impl<const ORDER: usize> TryFrom<MomentsRepr> for Moments<ORDER> {
    type Error = String;

    fn try_from(
        MomentsRepr { skip_nan, count, sums, buffer }: MomentsRepr,
    ) -> std::result::Result<Self, String> {
        let moments = Self {
            skip_nan,
            sums: RunningSums::try_from(sums)?,
            buffer: Buffer::try_from(buffer)?,
        };
        if moments.count() != count || moments.total().weight() != count as f64 {
            return Err(format!("the moments do not match a count of {count} elements"));
        }
        Ok(moments)
    }
}
