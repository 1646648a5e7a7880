//! Statistics of all elements.
#![forbid(unsafe_code)]

use ndarray::{ArrayView, Dimension};

use super::accumulators::MinMax;
use super::accumulators::Moments;
use super::accumulators::Sum;
use super::element::Element;
use super::passes::Dynamic;
use crate::chunked::Chunked;
use crate::error::{Error, ErrorKind, Result};

/// What [`summary`](Chunked::summary) tells.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Summary<A> {
    /// How many elements there are, without NaNs if those are [skipped](Chunked::skipnan).
    pub count: u64,
    /// How many are NaN.
    pub nan_count: u64,
    /// The smallest element that is not NaN.
    pub min: A,
    /// The largest element that is not NaN.
    pub max: A,
    /// `sum(x) / count`.
    pub mean: f64,
    /// `sum((x - mean)^2) / count`, which is [`var(0.0)`](Chunked::var).
    pub var: f64,
    /// Its square root.
    pub std: f64,
    /// `m3 / m2^(3/2)`, where `mk` is the mean of the `k`th powers of the deviations; NaN if all elements are the same.
    pub skewness: f64,
    /// `m4 / m2^2` (3 for a normal distribution); NaN if all elements are the same.
    pub kurtosis: f64,
}

/// What a summary is made of.
pub(super) type SummaryAccumulator<A> = (Moments<4>, Sum<A>, MinMax<A>);

/// Makes it.
pub(super) fn new_summary<A: Element>(skip_nan: bool) -> impl Fn() -> SummaryAccumulator<A> + Sync {
    let (moments, sum) = (Moments::maker(skip_nan), Sum::maker(skip_nan));
    move || (moments(), sum(), MinMax::new())
}

impl<A: Element> Summary<A> {
    pub(super) fn of((moments, sum, extremes): &SummaryAccumulator<A>) -> Self {
        let (min, max) = extremes.range().unwrap_or((A::MISSING, A::MISSING));
        Self {
            count: moments.count(),
            nan_count: extremes.nan_count(),
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
/// Besides what each names, those of [all parallel methods](#errors-of-parallel-methods).
impl<A: Element, D: Dimension> Chunked<'_, ArrayView<'_, A, D>> {
    /// The sum: in `f64` of floats, exactly in `i128` of integers; 0 if there are no elements, NaN if one is NaN and NaNs are
    /// not [skipped](Self::skipnan).
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
    /// Those of all parallel methods.
    #[doc(alias = "nansum")]
    pub fn sum(self) -> Result<A::Sum> {
        Ok(A::sums(self.into_dyn())?.sum())
    }

    /// The mean: `sum(x) / count`, of integers the nearest `f64` of the exact fraction. It is a number also where the sum of
    /// finite floats is out of the range of an `f64`. NaN if an element is NaN and NaNs are not
    /// [skipped](Self::skipnan).
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
    /// [`ErrorKind::EmptyInput`] if there are no elements.
    #[doc(alias = "nanmean")]
    pub fn mean(self) -> Result<f64> {
        let sums = A::sums(self.clone().into_dyn())?;
        self.with_path(not_empty(sums.count()))?;
        Ok(sums.mean())
    }

    /// The variance: `sum((x - mean)^2) / (count - ddof)`. `ddof` is 0 for the population's, 1 for an unbiased estimate
    /// from a sample. NaN if `count - ddof` is not positive, or if an element is NaN and NaNs are not
    /// [skipped](Self::skipnan).
    ///
    /// The relative error is about 1e-15, however far from zero the mean is, and whatever the scale of the elements (see
    /// [`Moments`]). Infinite if it is too large for an `f64`, NaN if an element is infinite.
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
    /// [`ErrorKind::EmptyInput`] if there are no elements.
    #[doc(alias("nanvar", "variance"))]
    pub fn var(self, ddof: f64) -> Result<f64> {
        Ok(A::moments(self.into_dyn())?.var(ddof))
    }

    /// The standard deviation: the square root of the [variance](Self::var), also where that is out of the range of an `f64`.
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
    /// [`ErrorKind::EmptyInput`] if there are no elements.
    #[doc(alias = "nanstd")]
    pub fn std(self, ddof: f64) -> Result<f64> {
        Ok(A::moments(self.into_dyn())?.std(ddof))
    }

    /// The smallest element.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::{ErrorKind, prelude::*};
    /// let values = array![2.0, f64::NAN, 1.0];
    /// assert!(matches!(values.chunked().min().unwrap_err().kind(), ErrorKind::UndefinedOrder { .. }));
    /// assert_eq!(values.chunked().skipnan().min()?, 1.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if there are no elements, [`ErrorKind::UndefinedOrder`] if one is NaN and NaNs are not
    /// [skipped](Self::skipnan).
    #[doc(alias("nanmin", "amin"))]
    pub fn min(self) -> Result<A> {
        Ok(A::range(self.into_dyn())?.0)
    }

    /// The largest element.
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
    /// As for [`min`](Self::min).
    #[doc(alias("nanmax", "amax"))]
    pub fn max(self) -> Result<A> {
        Ok(A::range(self.into_dyn())?.1)
    }

    /// Count, number of NaNs, smallest and largest element, mean, variance, skewness and kurtosis.
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
    /// [`ErrorKind::EmptyInput`] if there are no elements but NaNs. (NaNs make the mean and what follows from it NaN, and
    /// are left out of smallest and largest.)
    #[doc(alias = "describe")]
    pub fn summary(self) -> Result<Summary<A>> {
        A::summary(self.into_dyn())
    }
}

/// Returns the sum of all elements.
pub(super) fn sums<A: Element>(chunked: Dynamic<'_, '_, A>) -> Result<Sum<A>> {
    let new = Sum::maker(chunked.skips_nan());
    chunked.accumulate(new)
}

/// Returns the first two moments of all elements.
pub(super) fn moments<A: Element>(chunked: Dynamic<'_, '_, A>) -> Result<Moments<2>> {
    let moments = chunked.clone().accumulate(Moments::maker(chunked.skips_nan()))?;
    chunked.with_path(not_empty(moments.count()))?;
    Ok(moments)
}

/// Returns the smallest and the largest element.
pub(super) fn range<A: Element>(chunked: Dynamic<'_, '_, A>) -> Result<(A, A)> {
    chunked.with_path(chunked.clone().accumulate(MinMax::new)?.checked(chunked.skips_nan()))
}

/// Returns the summary of all elements.
pub(super) fn summary<A: Element>(chunked: Dynamic<'_, '_, A>) -> Result<Summary<A>> {
    let parts = chunked.clone().accumulate(new_summary(chunked.skips_nan()))?;
    chunked.with_path(parts.2.checked(true))?;
    Ok(Summary::of(&parts))
}

pub(super) fn not_empty(count: u64) -> Result<()> {
    if count == 0 { Err(Error::new(ErrorKind::EmptyInput {}, None)) } else { Ok(()) }
}
