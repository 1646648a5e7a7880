//! Statistics along an axis.
#![forbid(unsafe_code)]

use ndarray::{Array, ArrayView, Axis, RemoveAxis};

use super::accumulators::ArgMinMax;
use super::accumulators::MinMax;
use super::accumulators::Moments;
use super::accumulators::Sum;
use super::element::Element;
use super::summary::{Summary, new_summary};
use crate::chunked::Chunked;
use crate::error::{ErrorKind, Result};

/// Statistics of each lane along an axis, in one pass: the result has the shape of the array without the axis.
///
/// Arrays in C order are as fast along the first axis as along the last: the file is read in its order in any case.
///
/// Of a lane in which all is NaN, and NaNs are [skipped](Self::skipnan), the sum is 0, there is no place of an extreme (which
/// is an error), and all else is NaN.
///
/// # Errors
///
/// Besides what each names, those of [all parallel methods](#errors-of-parallel-methods).
///
/// # Panics
///
/// All of them, if the array has no such axis.
impl<A: Element, D: RemoveAxis> Chunked<'_, ArrayView<'_, A, D>> {
    /// The sums, in `f64`, those of integers exactly in `i128`. 0 along an axis of length 0; NaN where an element is NaN and
    /// NaNs are not [skipped](Self::skipnan).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1_u8, 255], [2, 255]];
    /// assert_eq!(table.chunked().sum_axis(Axis(0))?, array![3, 510]);
    /// assert_eq!(table.chunked().sum_axis(Axis(1))?, array![256, 257]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of all parallel methods.
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn sum_axis(self, axis: Axis) -> Result<Array<A::Sum, D::Smaller>> {
        let new = Sum::maker(self.skips_nan());
        self.fold_lanes(axis, |_| new(), |sum| Ok(sum.sum()))
    }

    /// The means: `sum(x) / count` of each lane; NaN where an element is NaN and NaNs are not [skipped](Self::skipnan).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1.0_f32, f32::NAN], [2.0, 4.0]];
    /// assert_eq!(table.chunked().skipnan().mean_axis(Axis(0))?, array![1.5, 4.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if the axis has length 0.
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn mean_axis(self, axis: Axis) -> Result<Array<f64, D::Smaller>> {
        self.not_empty_along(axis)?;
        let new = Sum::maker(self.skips_nan());
        self.fold_lanes(axis, |_| new(), |sum| Ok(sum.mean()))
    }

    /// The variances: `sum((x - mean)^2) / (count - ddof)` of each lane; NaN where `count - ddof` is not positive, or an
    /// element is NaN and NaNs are not [skipped](Self::skipnan).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1, 7], [3, 7]];
    /// assert_eq!(table.chunked().var_axis(Axis(0), 1.0)?, array![2.0, 0.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if the axis has length 0.
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn var_axis(self, axis: Axis, ddof: f64) -> Result<Array<f64, D::Smaller>> {
        self.not_empty_along(axis)?;
        let new = Moments::<2>::maker(self.skips_nan());
        self.fold_lanes(axis, |_| new(), |moments| Ok(moments.var(ddof)))
    }

    /// The standard deviations: the square roots of the [variances](Self::var_axis).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1, 7], [3, 7]];
    /// assert_eq!(table.chunked().std_axis(Axis(0), 0.0)?, array![1.0, 0.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if the axis has length 0.
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn std_axis(self, axis: Axis, ddof: f64) -> Result<Array<f64, D::Smaller>> {
        self.not_empty_along(axis)?;
        let new = Moments::<2>::maker(self.skips_nan());
        self.fold_lanes(axis, |_| new(), |moments| Ok(moments.std(ddof)))
    }

    /// The smallest elements.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1.0, 7.0], [3.0, 5.0]];
    /// assert_eq!(table.chunked().min_axis(Axis(0))?, array![1.0, 5.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if the axis has length 0, [`ErrorKind::UndefinedOrder`] if there is a NaN and NaNs are
    /// not [skipped](Self::skipnan).
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn min_axis(self, axis: Axis) -> Result<Array<A, D::Smaller>> {
        self.range_axis(axis, |(min, _)| min)
    }

    /// The largest elements.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1.0, 7.0], [3.0, 5.0]];
    /// assert_eq!(table.chunked().max_axis(Axis(1))?, array![7.0, 5.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`min_axis`](Self::min_axis).
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn max_axis(self, axis: Axis) -> Result<Array<A, D::Smaller>> {
        self.range_axis(axis, |(_, max)| max)
    }

    /// The indices along the axis of the smallest elements, of the first of them if there are several.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1.0, 7.0], [3.0, 5.0], [1.0, 5.0]];
    /// assert_eq!(table.chunked().argmin_axis(Axis(0))?, array![0, 1]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if the axis has length 0 or a lane nothing but NaNs, [`ErrorKind::UndefinedOrder`] if
    /// there is a NaN and NaNs are not [skipped](Self::skipnan).
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn argmin_axis(self, axis: Axis) -> Result<Array<usize, D::Smaller>> {
        self.arg_range_axis(axis, |(min, _)| min)
    }

    /// The indices along the axis of the largest elements, of the first of them if there are several.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1.0, 7.0], [3.0, 5.0], [1.0, 7.0]];
    /// assert_eq!(table.chunked().argmax_axis(Axis(0))?, array![1, 0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`argmin_axis`](Self::argmin_axis).
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn argmax_axis(self, axis: Axis) -> Result<Array<usize, D::Smaller>> {
        self.arg_range_axis(axis, |(_, max)| max)
    }

    /// The [summaries](Chunked::summary): count, number of NaNs, smallest and largest element, mean, variance, skewness
    /// and kurtosis.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1.0, 7.0], [3.0, f64::NAN]];
    /// let columns = table.chunked().skipnan().summary_axis(Axis(0))?;
    /// assert_eq!((columns[0].mean, columns[0].std, columns[1].max), (2.0, 1.0, 7.0));
    /// assert_eq!((columns[1].count, columns[1].nan_count), (1, 1));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if the axis has length 0. (A lane of NaNs has NaN as its smallest and largest element.)
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn summary_axis(self, axis: Axis) -> Result<Array<Summary<A>, D::Smaller>> {
        self.not_empty_along(axis)?;
        let new = new_summary(self.skips_nan());
        self.fold_lanes(axis, |_| new(), |parts| Ok(Summary::of(&parts)))
    }

    #[track_caller]
    fn range_axis(self, axis: Axis, which: impl Fn((A, A)) -> A + Sync) -> Result<Array<A, D::Smaller>> {
        self.not_empty_along(axis)?;
        let skip_nan = self.skips_nan();
        self.fold_lanes(
            axis,
            |_| MinMax::new(),
            |extremes| match extremes.range() {
                None if skip_nan => Ok(A::MISSING),
                _ => extremes.checked(skip_nan).map(&which),
            },
        )
    }

    #[track_caller]
    fn arg_range_axis(
        self,
        axis: Axis,
        which: impl Fn((usize, usize)) -> usize + Sync,
    ) -> Result<Array<usize, D::Smaller>> {
        self.not_empty_along(axis)?;
        let (skip_nan, first) = (self.skips_nan(), self.part_of_lanes(axis).start);
        self.fold_lanes(
            axis,
            |_| ArgMinMax::new(),
            |extremes| {
                let (min, max) = extremes.checked(skip_nan)?;
                Ok(which((first + min as usize, first + max as usize)))
            },
        )
    }

    #[track_caller]
    pub(super) fn not_empty_along(&self, axis: Axis) -> Result<()> {
        if self.part_of_lanes(axis).is_empty() { self.named(Err(ErrorKind::EmptyInput {}.at(None))) } else { Ok(()) }
    }
}
