//! Statistics of all elements.
#![forbid(unsafe_code)]

use ndarray::Dimension;

use super::accumulators::MinMax;
use super::accumulators::Moments;
use super::accumulators::Sum;
use super::element::Element;
use super::passes::Dynamic;
use crate::chunked::{ArraySource, Chunked};
use crate::error::{Error, ErrorKind, Result};

/// Summary statistics, returned by [`summary`](Chunked::summary).
///
/// A summary can be saved and read again with the feature `serde`. JSON has no NaN, so a summary with
/// a NaN, such as the skewness of equal elements, needs another format.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Summary<A> {
    /// The number of elements, without NaNs if those are [skipped](Chunked::skipnan).
    pub count: u64,
    /// The number of NaNs.
    pub nan_count: u64,
    /// The smallest element that is not NaN.
    pub min: A,
    /// The largest element that is not NaN.
    pub max: A,
    /// `sum(x) / count`.
    pub mean: f64,
    /// `sum((x - mean)^2) / count`, which is [`var(0.0)`](Chunked::var).
    pub var: f64,
    /// The standard deviation: the square root of `var`.
    pub std: f64,
    /// `m3 / m2^(3/2)`, where `mk` is the mean of the `k`th powers of the deviations; NaN if all
    /// elements are equal.
    pub skewness: f64,
    /// `m4 / m2^2` (3 for a normal distribution); NaN if all elements are equal.
    pub kurtosis: f64,
}

/// The accumulators from which a summary is computed.
pub(super) type SummaryAccumulator<A> = (Moments<4>, Sum<A>, MinMax<A>);

/// Returns a constructor of the accumulators of a summary.
pub(super) fn new_summary<A: Element>(skip_nan: bool) -> impl Fn() -> SummaryAccumulator<A> + Sync {
    move || (Moments::with_skip_nan(skip_nan), Sum::with_skip_nan(skip_nan), MinMax::new())
}

impl<A: Element> Summary<A> {
    pub(super) fn of((moments, sum, min_max): &SummaryAccumulator<A>) -> Self {
        let (min, max) = min_max.range().unwrap_or((A::EMPTY, A::EMPTY));
        Self {
            count: moments.count(),
            nan_count: min_max.nan_count(),
            min,
            max,
            mean: sum.mean(),
            var: moments.var(0.0),
            std: moments.std(0.0),
            skewness: moments.skewness(),
            kurtosis: moments.kurtosis(),
        }
    }
}

/// Statistics of all elements, in one pass.
///
/// # Errors
///
/// The methods return the errors listed for each of them, in addition to those of [all parallel
/// methods](#errors-of-parallel-methods).
impl<A: Element, D: Dimension, P: ArraySource<Elem = A, Dim = D>> Chunked<'_, P> {
    /// Computes the sum of all elements.
    ///
    /// Floats are summed in `f64`. Sums of integers are exact, in `i128`. The sum of an empty array
    /// is 0. The sum is NaN if an element is NaN and NaNs are not [skipped](Self::skipnan).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let bytes = Array2::from_elem((1_000, 1_000), 255_u8);
    /// assert_eq!(bytes.chunked().sum()?, 255_000_000);
    /// assert_eq!(array![1.0, f64::NAN].chunked().skipnan().sum()?, 1.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Only the errors of [all parallel methods](#errors-of-parallel-methods).
    #[doc(alias = "nansum")]
    pub fn sum(self) -> Result<A::Sum> {
        Ok(A::pass_sums(self.into_dyn())?.sum())
    }

    /// Computes the arithmetic mean, `sum(x) / count`.
    ///
    /// For integers, the mean is the exact fraction rounded to the nearest `f64`. The mean of
    /// finite floats is finite even if their sum overflows an `f64`. The mean is NaN if an element
    /// is NaN and NaNs are not [skipped](Self::skipnan).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// // In f32 it would be 21.3.
    /// let table = Array2::from_elem((2_000_000, 2), 20.1_f32);
    /// assert_eq!(table.chunked().mean()?, f64::from(20.1_f32));
    /// assert_eq!(array![1.0, f64::NAN, 3.0].chunked().skipnan().mean()?, 2.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if the input is empty.
    #[doc(alias = "nanmean")]
    pub fn mean(self) -> Result<f64> {
        let sums = A::pass_sums(self.clone().into_dyn())?;
        self.with_path(not_empty(sums.count()))?;
        Ok(sums.mean())
    }

    /// Computes the variance, `sum((x - mean)^2) / (count - ddof)`.
    ///
    /// Use `ddof = 0.0` for the population variance and `ddof = 1.0` for the unbiased estimate from
    /// a sample. The variance is NaN if `count - ddof` is not positive, or if an element is NaN and
    /// NaNs are not [skipped](Self::skipnan).
    ///
    /// The relative error is about 1e-15 for any mean and any scale of the elements (see
    /// [`Moments`]). The variance is infinite if it overflows an `f64`, and NaN if an element is
    /// infinite.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// assert_eq!(array![1, 2, 3, 4].chunked().var(1.0)?, 5.0 / 3.0);
    /// assert!(array![1.0].chunked().var(1.0)?.is_nan());
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if the input is empty.
    #[doc(alias("nanvar", "variance"))]
    pub fn var(self, ddof: f64) -> Result<f64> {
        Ok(A::pass_moments(self.into_dyn())?.var(ddof))
    }

    /// Computes the standard deviation, the square root of the [variance](Self::var).
    ///
    /// The standard deviation is also correct if the variance overflows or underflows an `f64`.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// assert_eq!(array![1.0, 3.0].chunked().std(0.0)?, 1.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if the input is empty.
    #[doc(alias = "nanstd")]
    pub fn std(self, ddof: f64) -> Result<f64> {
        Ok(A::pass_moments(self.into_dyn())?.std(ddof))
    }

    /// Returns the smallest element.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::{ErrorKind, prelude::*};
    /// let values = array![2.0, f64::NAN, 1.0];
    /// let error = values.chunked().min().unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::UndefinedOrder { .. }));
    /// assert_eq!(values.chunked().skipnan().min()?, 1.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::EmptyInput`] if the input is empty.
    /// - [`ErrorKind::UndefinedOrder`] if an element is NaN and NaNs are not
    ///   [skipped](Self::skipnan).
    #[doc(alias("nanmin", "amin"))]
    pub fn min(self) -> Result<A> {
        Ok(A::pass_range(self.into_dyn())?.0)
    }

    /// Returns the largest element.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// assert_eq!(array![[2, 7], [1, 8]].chunked().max()?, 8);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`min`](Self::min).
    #[doc(alias("nanmax", "amax"))]
    pub fn max(self) -> Result<A> {
        Ok(A::pass_range(self.into_dyn())?.1)
    }

    /// Computes the count, number of NaNs, minimum, maximum, mean, variance, skewness and kurtosis.
    ///
    /// NaNs are always excluded from the minimum and the maximum. They make the mean and the
    /// moments NaN unless they are [skipped](Self::skipnan).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let summary = array![[1.0, 2.0], [3.0, f64::NAN]].chunked().skipnan().summary()?;
    /// assert_eq!((summary.count, summary.nan_count), (3, 1));
    /// assert_eq!((summary.min, summary.mean, summary.max), (1.0, 2.0, 3.0));
    /// assert_eq!((summary.var, summary.skewness), (2.0 / 3.0, 0.0));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if the input is empty or contains only NaNs.
    #[doc(alias = "describe")]
    pub fn summary(self) -> Result<Summary<A>> {
        A::pass_summary(self.into_dyn())
    }
}

/// Computes the sum of all elements.
pub(super) fn sums<A: Element>(chunked: Dynamic<'_, '_, A>) -> Result<Sum<A>> {
    let skip_nan = chunked.skips_nan();
    chunked.accumulate(|| Sum::with_skip_nan(skip_nan))
}

/// Computes the mean and the variance of all elements.
pub(super) fn moments<A: Element>(chunked: Dynamic<'_, '_, A>) -> Result<Moments<2>> {
    let skip_nan = chunked.skips_nan();
    let moments = chunked.clone().accumulate(|| Moments::<2>::with_skip_nan(skip_nan))?;
    chunked.with_path(not_empty(moments.count()))?;
    Ok(moments)
}

/// Returns the minimum and the maximum.
pub(super) fn range<A: Element>(chunked: Dynamic<'_, '_, A>) -> Result<(A, A)> {
    chunked.with_path(chunked.clone().accumulate(MinMax::new)?.checked(chunked.skips_nan()))
}

/// Computes the summary of all elements.
pub(super) fn summary<A: Element>(chunked: Dynamic<'_, '_, A>) -> Result<Summary<A>> {
    let parts = chunked.clone().accumulate(new_summary(chunked.skips_nan()))?;
    chunked.with_path(parts.2.checked(true))?;
    Ok(Summary::of(&parts))
}

pub(super) fn not_empty(count: u64) -> Result<()> {
    if count == 0 { Err(Error::new(ErrorKind::EmptyInput {}, None)) } else { Ok(()) }
}
