//! Weighted statistics of chunked arrays.
#![forbid(unsafe_code)]

use ndarray::{Array, ArrayD, ArrayRef1, ArrayView1, Axis, Dimension, RemoveAxis};

use super::accumulators::{WeightedLane, WeightedMoments};
use super::axis::one_axis_less;
use super::element::Element;
use super::passes::Dynamic;
use super::summary::not_empty;
use crate::chunked::{ArraySource, Chunked, ChunkedExt, TryChunks, path_of, prefer_larger_demand};
#[allow(unused_imports, reason = "for links in the docs")]
use crate::error::ErrorKind;
use crate::error::Result;

/// Weighted statistics of all elements, in one pass over the elements and their weights.
///
/// The weights are an array of the same shape, mapped or in memory, of any [`Element`] type. An
/// element of weight 0 is counted, and has no other effect unless it is infinite or NaN. Weights
/// must not be negative: cancellation between weights loses precision.
///
/// After [`skipnan`](Self::skipnan), pairs are skipped whose element or weight is NaN.
///
/// # Errors
///
/// [`ErrorKind::ShapeMismatch`] if the weights have another shape. The methods return the errors
/// listed for each of them, in addition to those of [all parallel
/// methods](#errors-of-parallel-methods).
impl<'a, A: Element, D: Dimension, P: ArraySource<Elem = A, Dim = D>> Chunked<'a, P> {
    /// Computes the weighted sum, `sum(w * x)`; 0 for empty input.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// assert_eq!(array![1.0, 2.0].chunked().weighted_sum(&array![0.5, 1.5])?, 3.5);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ShapeMismatch`] if the weights have another shape, and the errors of [all
    /// parallel methods](#errors-of-parallel-methods).
    pub fn weighted_sum<T>(self, weights: &'a T) -> Result<f64>
    where
        T: ChunkedExt<Elem: Element, Dim = D> + ?Sized,
    {
        Ok(self.weighted(weights)?.sum())
    }

    /// Computes the weighted mean, `sum(w * x) / sum(w)`; NaN if the sum of the weights is 0.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let (values, weights) = (array![[1.0, 2.0], [3.0, 4.0]], array![[1_u8, 0], [0, 3]]);
    /// assert_eq!(values.chunked().weighted_mean(&weights)?, 3.25);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::ShapeMismatch`] if the weights have another shape.
    /// - [`ErrorKind::EmptyInput`] if the input is empty.
    /// - The errors of [all parallel methods](#errors-of-parallel-methods).
    #[doc(alias = "average")]
    pub fn weighted_mean<T>(self, weights: &'a T) -> Result<f64>
    where
        T: ChunkedExt<Elem: Element, Dim = D> + ?Sized,
    {
        let moments = self.clone().weighted(weights)?;
        self.with_path(not_empty(moments.count()))?;
        Ok(moments.mean())
    }

    /// Computes the weighted variance, `sum(w * (x - mean)^2) / (sum(w) - ddof)`, around the
    /// [weighted mean](Self::weighted_mean).
    ///
    /// The variance is NaN if `sum(w) - ddof` is not positive.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// assert_eq!(array![1.0, 3.0, 9.0].chunked().weighted_var(&array![2, 2, 0], 1.0)?, 4.0 / 3.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::ShapeMismatch`] if the weights have another shape.
    /// - [`ErrorKind::EmptyInput`] if the input is empty.
    /// - The errors of [all parallel methods](#errors-of-parallel-methods).
    pub fn weighted_var<T>(self, weights: &'a T, ddof: f64) -> Result<f64>
    where
        T: ChunkedExt<Elem: Element, Dim = D> + ?Sized,
    {
        let moments = self.clone().weighted(weights)?;
        self.with_path(not_empty(moments.count()))?;
        Ok(moments.var(ddof))
    }

    /// Computes the weighted standard deviation, the square root of the [weighted
    /// variance](Self::weighted_var).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// assert_eq!(array![1.0, 3.0].chunked().weighted_std(&array![2.0, 2.0], 0.0)?, 1.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::ShapeMismatch`] if the weights have another shape.
    /// - [`ErrorKind::EmptyInput`] if the input is empty.
    /// - The errors of [all parallel methods](#errors-of-parallel-methods).
    pub fn weighted_std<T>(self, weights: &'a T, ddof: f64) -> Result<f64>
    where
        T: ChunkedExt<Elem: Element, Dim = D> + ?Sized,
    {
        let moments = self.clone().weighted(weights)?;
        self.with_path(not_empty(moments.count()))?;
        Ok(moments.std(ddof))
    }

    fn weighted<T>(self, weights: &'a T) -> Result<WeightedMoments>
    where
        T: ChunkedExt<Elem: Element, Dim = D> + ?Sized,
    {
        let skip_nan = self.skips_nan();
        let label = self.label("weighted statistics", &[&std::any::type_name::<T::Elem>()]);
        self.collective(label, |chunked| {
            let weights = weights.chunked();
            let chunked = chunked.with_saved_arrays_of(&weights)?.pair(weights.into_source())?;
            chunked.accumulate(move || {
                if skip_nan { WeightedMoments::new_skipnan() } else { WeightedMoments::new() }
            })
        })
    }
}

/// Weighted statistics along an axis, with one weight for each index along the axis, shared by all
/// lanes. The weights are copied to memory.
///
/// # Errors
///
/// [`ErrorKind::ShapeMismatch`] if the number of weights differs from the length of the axis. The
/// methods return the errors listed for each of them, in addition to those of [all parallel
/// methods](#errors-of-parallel-methods).
///
/// # Panics
///
/// All methods panic if `axis` is out of bounds.
impl<A: Element, D: RemoveAxis, P: ArraySource<Elem = A, Dim = D>> Chunked<'_, P> {
    /// Computes the weighted sum of each lane, `sum(w * x)`. Sums along an axis of length 0 are 0.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1.0, 10.0], [2.0, 20.0]];
    /// assert_eq!(table.chunked().weighted_sum_axis(Axis(0), &array![1, 2])?, array![5.0, 50.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ShapeMismatch`] if the number of weights differs from the length of the axis,
    /// and the errors of [all parallel methods](#errors-of-parallel-methods).
    ///
    /// # Panics
    ///
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn weighted_sum_axis<W: Element>(
        self,
        axis: Axis,
        weights: &ArrayRef1<W>,
    ) -> Result<Array<f64, D::Smaller>> {
        self.weighted_axis(axis, weights, true, |moments| moments.sum())
    }

    /// Computes the weighted mean of each lane, `sum(w * x) / sum(w)`; NaN if the sum of the
    /// weights is 0.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1.0, 10.0], [4.0, 40.0]];
    /// assert_eq!(table.chunked().weighted_mean_axis(Axis(0), &array![1, 2])?, array![3.0, 30.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::ShapeMismatch`] if the number of weights differs from the length of the axis.
    /// - [`ErrorKind::EmptyInput`] if the axis has length 0.
    /// - The errors of [all parallel methods](#errors-of-parallel-methods).
    ///
    /// # Panics
    ///
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn weighted_mean_axis<W: Element>(
        self,
        axis: Axis,
        weights: &ArrayRef1<W>,
    ) -> Result<Array<f64, D::Smaller>> {
        self.weighted_axis(axis, weights, false, |moments| moments.mean())
    }

    /// Computes the weighted variance of each lane, `sum(w * (x - mean)^2) / (sum(w) - ddof)`; NaN
    /// if `sum(w) - ddof` is not positive.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1.0, 7.0, 0.0], [3.0, 7.0, 1.0]];
    /// let variances = table.chunked().weighted_var_axis(Axis(0), &array![1, 1], 0.0)?;
    /// assert_eq!(variances, array![1.0, 0.0, 0.25]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::ShapeMismatch`] if the number of weights differs from the length of the axis.
    /// - [`ErrorKind::EmptyInput`] if the axis has length 0.
    /// - The errors of [all parallel methods](#errors-of-parallel-methods).
    ///
    /// # Panics
    ///
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn weighted_var_axis<W: Element>(
        self,
        axis: Axis,
        weights: &ArrayRef1<W>,
        ddof: f64,
    ) -> Result<Array<f64, D::Smaller>> {
        self.weighted_axis(axis, weights, false, |moments| moments.var(ddof))
    }

    /// Computes the weighted standard deviation of each lane, the square root of the
    /// [variance](Self::weighted_var_axis).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1.0, 7.0], [3.0, 7.0]];
    /// let deviations = table.chunked().weighted_std_axis(Axis(0), &array![1, 1], 0.0)?;
    /// assert_eq!(deviations, array![1.0, 0.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::ShapeMismatch`] if the number of weights differs from the length of the axis.
    /// - [`ErrorKind::EmptyInput`] if the axis has length 0.
    /// - The errors of [all parallel methods](#errors-of-parallel-methods).
    ///
    /// # Panics
    ///
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn weighted_std_axis<W: Element>(
        self,
        axis: Axis,
        weights: &ArrayRef1<W>,
        ddof: f64,
    ) -> Result<Array<f64, D::Smaller>> {
        self.weighted_axis(axis, weights, false, |moments| moments.std(ddof))
    }

    #[track_caller]
    fn weighted_axis<W: Element>(
        self,
        axis: Axis,
        weights: &ArrayRef1<W>,
        allows_empty: bool,
        result: impl Fn(WeightedMoments) -> f64 + Sync,
    ) -> Result<Array<f64, D::Smaller>> {
        self.check_axis(axis);
        let label = self.label("weighted statistics along an axis", &[&axis, &allows_empty]);
        let result = self.into_dyn().collective(label, |chunked| {
            if !allows_empty {
                chunked.not_empty_along(axis)?;
            }
            chunked.weighted_lanes(axis, weights, result)
        })?;
        Ok(one_axis_less(result))
    }
}

impl<A: Element> Dynamic<'_, '_, A> {
    fn weighted_lanes<W: Element>(
        self,
        axis: Axis,
        weights: &ArrayRef1<W>,
        result: impl Fn(WeightedMoments) -> f64 + Sync,
    ) -> Result<ArrayD<f64>> {
        let len = self.len_of(axis);
        if weights.len() != len {
            return Err(self.shape_mismatch(&[len], &weights.view()));
        }
        let bytes = len.saturating_mul(size_of::<f64>());
        let limited = self.clone().reserve_memory(bytes);
        let remaining = |all: usize| all - bytes.min(all);
        let room =
            self.rescale_limit_error(limited.check_lanes_fit::<WeightedLane<'_>>(axis), remaining);
        let reading =
            self.rescale_limit_error(reading(weights, limited.memory_limit_bytes()), remaining);
        let chunks = prefer_larger_demand(
            prefer_larger_demand(
                self.check_fits_in_memory(bytes, "process a part of the axis at a time"),
                room,
            ),
            reading,
        );
        let chunks = chunks.map_err(|error| error.or_at(|| path_of(&weights.view())))?;
        // The array comes first in the order of errors, although the weights are read first.
        self.check_files()?;
        let weights = copied(len, chunks)?;
        let limited = limited.with_saved_numbers(&weights)?;
        let skip_nan = limited.skips_nan();
        let new = |first| WeightedLane::new(&weights[first..], skip_nan);
        self.rescale_limit_error(
            limited.accumulate_lanes(axis, new, |lane| Ok(result(lane.moments()))),
            remaining,
        )
    }
}

/// The number of bytes of mapped weights that are read at once; for non-contiguous weights, the
/// bytes of their pages.
const WEIGHTS_BYTES: usize = 64 << 10;
const WEIGHT_PAGES_BYTES: usize = 2 << 20;
const PAGE_BYTES: usize = 4096;

/// Returns an iterator over the chunks of weights, which reports truncated files and I/O errors.
fn reading<W: Sync>(
    weights: &ArrayRef1<W>,
    memory: Option<usize>,
) -> Result<TryChunks<ArrayView1<'_, W>>> {
    let item = size_of::<W>();
    let apart = weights.strides()[0].unsigned_abs().saturating_mul(item).clamp(item, PAGE_BYTES);
    let limited =
        weights.chunked().chunk_len((WEIGHT_PAGES_BYTES / apart).min(WEIGHTS_BYTES / item));
    memory.map_or(limited.clone(), |bytes| limited.memory_limit(bytes)).try_iter()
}

fn copied<W: Element>(len: usize, chunks: TryChunks<ArrayView1<'_, W>>) -> Result<Vec<f64>> {
    let mut copy = Vec::with_capacity(len);
    for chunk in chunks {
        copy.extend(chunk?.iter().map(|weight| weight.to_f64()));
    }
    Ok(copy)
}
