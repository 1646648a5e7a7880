//! Statistics along an axis.
#![forbid(unsafe_code)]

use ndarray::{Array, ArrayD, Axis, Dimension, RemoveAxis};

use super::accumulators::ArgMinMax;
use super::accumulators::MinMax;
use super::accumulators::Moments;
use super::accumulators::Sum;
use super::element::Element;
use super::passes::Dynamic;
use super::summary::{Summary, new_summary};
use crate::chunked::{ArraySource, Chunked};
use crate::error::{ErrorKind, Result};

/// Statistics of each lane along an axis, in one pass. The result has the shape of the array
/// without that axis.
///
/// For an array in C order, the first axis is as fast as the last: the file is always read in
/// memory order.
///
/// If a lane contains only NaNs and NaNs are [skipped](Self::skipnan), its sum is 0, `argmin_axis`
/// and `argmax_axis` fail, and all other statistics of the lane are NaN.
///
/// # Errors
///
/// The methods return the errors listed for each of them, in addition to those of [all parallel
/// methods](#errors-of-parallel-methods).
///
/// # Panics
///
/// All methods panic if `axis` is out of bounds.
impl<A: Element, D: RemoveAxis, P: ArraySource<Elem = A, Dim = D>> Chunked<'_, P> {
    /// Computes the sum of each lane.
    ///
    /// Floats are summed in `f64`. Sums of integers are exact, in `i128`. Sums along an axis of
    /// length 0 are 0. A sum is NaN if its lane contains a NaN and NaNs are not
    /// [skipped](Self::skipnan).
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
    /// Only the errors of [all parallel methods](#errors-of-parallel-methods).
    ///
    /// # Panics
    ///
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn sum_axis(self, axis: Axis) -> Result<Array<A::Sum, D::Smaller>> {
        self.check_axis(axis);
        A::pass_sum_axis(self.into_dyn(), axis).map(one_axis_less)
    }

    /// Computes the mean of each lane, `sum(x) / count`.
    ///
    /// A mean is NaN if its lane contains a NaN and NaNs are not [skipped](Self::skipnan).
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
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn mean_axis(self, axis: Axis) -> Result<Array<f64, D::Smaller>> {
        self.check_axis(axis);
        A::pass_mean_axis(self.into_dyn(), axis).map(one_axis_less)
    }

    /// Computes the variance of each lane, `sum((x - mean)^2) / (count - ddof)`.
    ///
    /// A variance is NaN if `count - ddof` is not positive, or if its lane contains a NaN and NaNs
    /// are not [skipped](Self::skipnan).
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
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn var_axis(self, axis: Axis, ddof: f64) -> Result<Array<f64, D::Smaller>> {
        self.check_axis(axis);
        A::pass_var_axis(self.into_dyn(), axis, ddof).map(one_axis_less)
    }

    /// Computes the standard deviation of each lane, the square root of the
    /// [variance](Self::var_axis).
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
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn std_axis(self, axis: Axis, ddof: f64) -> Result<Array<f64, D::Smaller>> {
        self.check_axis(axis);
        A::pass_std_axis(self.into_dyn(), axis, ddof).map(one_axis_less)
    }

    /// Returns the smallest element of each lane.
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
    /// - [`ErrorKind::EmptyInput`] if the axis has length 0.
    /// - [`ErrorKind::UndefinedOrder`] if an element is NaN and NaNs are not
    ///   [skipped](Self::skipnan).
    ///
    /// # Panics
    ///
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn min_axis(self, axis: Axis) -> Result<Array<A, D::Smaller>> {
        self.check_axis(axis);
        A::pass_extremum_axis(self.into_dyn(), axis, false).map(one_axis_less)
    }

    /// Returns the largest element of each lane.
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
    /// Returns the same errors as [`min_axis`](Self::min_axis).
    ///
    /// # Panics
    ///
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn max_axis(self, axis: Axis) -> Result<Array<A, D::Smaller>> {
        self.check_axis(axis);
        A::pass_extremum_axis(self.into_dyn(), axis, true).map(one_axis_less)
    }

    /// Returns the index along the axis of the smallest element of each lane; the first one if
    /// there are ties.
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
    /// - [`ErrorKind::EmptyInput`] if the axis has length 0 or a lane contains only NaNs.
    /// - [`ErrorKind::UndefinedOrder`] if an element is NaN and NaNs are not
    ///   [skipped](Self::skipnan).
    ///
    /// # Panics
    ///
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn argmin_axis(self, axis: Axis) -> Result<Array<usize, D::Smaller>> {
        self.check_axis(axis);
        A::pass_index_axis(self.into_dyn(), axis, false).map(one_axis_less)
    }

    /// Returns the index along the axis of the largest element of each lane; the first one if there
    /// are ties.
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
    /// Returns the same errors as [`argmin_axis`](Self::argmin_axis).
    ///
    /// # Panics
    ///
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn argmax_axis(self, axis: Axis) -> Result<Array<usize, D::Smaller>> {
        self.check_axis(axis);
        A::pass_index_axis(self.into_dyn(), axis, true).map(one_axis_less)
    }

    /// Computes the [summary](Chunked::summary) of each lane: count, number of NaNs, minimum,
    /// maximum, mean, variance, skewness and kurtosis.
    ///
    /// The minimum and the maximum of a lane that contains only NaNs are NaN.
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
    /// [`ErrorKind::EmptyInput`] if the axis has length 0.
    ///
    /// # Panics
    ///
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn summary_axis(self, axis: Axis) -> Result<Array<Summary<A>, D::Smaller>> {
        self.check_axis(axis);
        A::pass_summary_axis(self.into_dyn(), axis).map(one_axis_less)
    }
}

/// Converts a result of dynamic dimension to the dimension without the axis.
pub(super) fn one_axis_less<R, D: Dimension>(result: ArrayD<R>) -> Array<R, D> {
    result.into_dimensionality().expect("an axis less than the array")
}

pub(super) fn sum_axis<A: Element>(
    chunked: Dynamic<'_, '_, A>,
    axis: Axis,
) -> Result<ArrayD<A::Sum>> {
    let skip_nan = chunked.skips_nan();
    chunked.accumulate_lanes(axis, |_| Sum::with_skip_nan(skip_nan), |sum| Ok(sum.sum()))
}

pub(super) fn mean_axis<A: Element>(
    chunked: Dynamic<'_, '_, A>,
    axis: Axis,
) -> Result<ArrayD<f64>> {
    chunked.not_empty_along(axis)?;
    let skip_nan = chunked.skips_nan();
    chunked.accumulate_lanes(axis, |_| Sum::with_skip_nan(skip_nan), |sum| Ok(sum.mean()))
}

pub(super) fn var_axis<A: Element>(
    chunked: Dynamic<'_, '_, A>,
    axis: Axis,
    ddof: f64,
) -> Result<ArrayD<f64>> {
    moments_axis(chunked, axis, &|moments| moments.var(ddof))
}

pub(super) fn std_axis<A: Element>(
    chunked: Dynamic<'_, '_, A>,
    axis: Axis,
    ddof: f64,
) -> Result<ArrayD<f64>> {
    moments_axis(chunked, axis, &|moments| moments.std(ddof))
}

fn moments_axis<A: Element>(
    chunked: Dynamic<'_, '_, A>,
    axis: Axis,
    finish: &(dyn Fn(&Moments<2>) -> f64 + Sync),
) -> Result<ArrayD<f64>> {
    chunked.not_empty_along(axis)?;
    let skip_nan = chunked.skips_nan();
    chunked.accumulate_lanes(
        axis,
        |_| Moments::<2>::with_skip_nan(skip_nan),
        |moments| Ok(finish(&moments)),
    )
}

pub(super) fn summary_axis<A: Element>(
    chunked: Dynamic<'_, '_, A>,
    axis: Axis,
) -> Result<ArrayD<Summary<A>>> {
    chunked.not_empty_along(axis)?;
    let new = new_summary(chunked.skips_nan());
    chunked.accumulate_lanes(axis, |_| new(), |parts| Ok(Summary::of(&parts)))
}

/// Returns the smallest or the largest element of each lane.
pub(super) fn extremum_axis<A: Element>(
    chunked: Dynamic<'_, '_, A>,
    axis: Axis,
    is_max: bool,
) -> Result<ArrayD<A>> {
    chunked.not_empty_along(axis)?;
    let skip_nan = chunked.skips_nan();
    chunked.accumulate_lanes(
        axis,
        |_| MinMax::new(),
        |range| match range.range() {
            None if skip_nan => Ok(A::EMPTY),
            _ => range.checked(skip_nan).map(|(min, max)| if is_max { max } else { min }),
        },
    )
}

/// Returns the index of the smallest or the largest element of each lane.
pub(super) fn index_axis<A: Element>(
    chunked: Dynamic<'_, '_, A>,
    axis: Axis,
    is_max: bool,
) -> Result<ArrayD<usize>> {
    chunked.not_empty_along(axis)?;
    let skip_nan = chunked.skips_nan();
    // Positions start at the partition, but those across ranks at the whole.
    let first = chunked.lane_partition(axis).start;
    chunked.accumulate_lanes(
        axis,
        |_| ArgMinMax::new(),
        |range| {
            let (min, max) = range.checked(skip_nan)?;
            Ok(first + if is_max { max } else { min } as usize)
        },
    )
}

impl<A: Element> Dynamic<'_, '_, A> {
    #[track_caller]
    pub(super) fn not_empty_along(&self, axis: Axis) -> Result<()> {
        if self.lane_partition(axis).is_empty() {
            self.with_path(Err(ErrorKind::EmptyInput {}.at(None)))
        } else {
            Ok(())
        }
    }
}
