//! Weighted sums, means and variances.
#![forbid(unsafe_code)]

use ndarray::{Array, ArrayRef1, ArrayView, Axis, Dimension, RemoveAxis};

use super::element::Element;
use super::whole::not_empty;
use crate::chunked::{Accumulator, Chunked, ChunkedExt};
use crate::error::{ErrorKind, Result};

/// Weighted mean and sum of squared deviations, of pairs of an element and its weight. Weights should not be negative.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{prelude::*, stats::WeightedMoments};
///
/// let (values, weights) = (array![1.0, 2.0, 3.0], array![1.0, 1.0, 2.0]);
/// let moments = values.chunked().and(&weights)?.accumulate(WeightedMoments::new)?;
/// assert_eq!((moments.weight(), moments.mean(), moments.variance(0.0)), (4.0, 2.25, 0.6875));
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WeightedMoments {
    skip_nan: bool,
    count: u64,
    weight: f64,
    sum: f64,
    mean: f64,
    squares: f64,
}

impl WeightedMoments {
    /// Of nothing so far. NaNs propagate.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, leaving out pairs with a NaN.
    pub fn skip_nan() -> Self {
        Self { skip_nan: true, ..Self::default() }
    }

    /// How many pairs there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// `sum(w)`.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// `sum(w * x)`.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// `sum(w * x) / sum(w)`; NaN if the weights add up to 0.
    pub fn mean(&self) -> f64 {
        self.sum / self.weight
    }

    /// `sum(w * (x - mean)^2) / (sum(w) - ddof)`; NaN if `sum(w) - ddof` is not positive.
    pub fn variance(&self, ddof: f64) -> f64 {
        let freedom = self.weight - ddof;
        if freedom > 0.0 { self.squares / freedom } else { f64::NAN }
    }

    /// Takes what another one has taken. Whether NaNs are left out from now on does not change.
    pub fn merge(&mut self, later: Self) {
        self.count += later.count;
        self.sum += later.sum;
        if later.weight == 0.0 {
            return;
        }
        if self.weight == 0.0 {
            let (skip_nan, count, sum) = (self.skip_nan, self.count, self.sum);
            *self = Self { skip_nan, count, sum, ..later };
            return;
        }
        // Chan's formula, with weights in the place of counts.
        let weight = self.weight + later.weight;
        let delta = later.mean - self.mean;
        self.mean += delta * (later.weight / weight);
        self.squares += later.squares + delta * delta * (self.weight * later.weight / weight);
        self.weight = weight;
    }

    /// Of some pairs, none of which is to be left out, gone through twice.
    fn of(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> Self {
        let (mut count, mut weight, mut sum) = (0, 0.0, 0.0);
        for (x, w) in pairs.clone() {
            count += 1;
            weight += w;
            sum += w * x;
        }
        let rough = sum / weight;
        let (mut first, mut squares) = (0.0, 0.0);
        for (x, w) in pairs {
            first += w * (x - rough);
            squares += w * (x - rough) * (x - rough);
        }
        // What rounding has left of the mean's own deviation.
        let shift = first / weight;
        squares -= first * shift;
        if squares < 0.0 {
            // By rounding; not NaN.
            squares = 0.0;
        }
        let moments = Self { skip_nan: false, count, weight, sum, mean: rough + shift, squares };
        if weight == 0.0 { Self { mean: 0.0, squares: 0.0, ..moments } } else { moments }
    }
}

impl<A: Element, W: Element> Accumulator<(A, W)> for WeightedMoments {
    type Output = Self;

    fn push(&mut self, pair: &(A, W)) {
        self.push_slice(std::slice::from_ref(pair));
    }

    fn push_slice(&mut self, pairs: &[(A, W)]) {
        let numbers = pairs.iter().map(|(x, w)| (x.to_f64(), w.to_f64()));
        self.merge(match self.skip_nan {
            true => Self::of(numbers.filter(|(x, w)| !x.is_nan() && !w.is_nan())),
            false => Self::of(numbers),
        });
    }

    fn merge(&mut self, later: Self) {
        Self::merge(self, later);
    }

    fn finish(self) -> Self {
        self
    }
}

/// Weighted statistics of all elements, in one pass over them and their weights: an array of the same shape, mapped or
/// not, of any element type that has statistics. Weights should not be negative.
///
/// After [`skipnan`](Self::skipnan) elements that are NaN, or whose weight is, are left out.
///
/// # Errors
///
/// [`ErrorKind::ShapeMismatch`] if the weights have another shape; besides what each names, those of
/// [all parallel methods](#errors).
impl<'a, A: Element, D: Dimension> Chunked<'a, ArrayView<'a, A, D>> {
    /// The weighted sum: `sum(w * x)`; 0 if there are no elements.
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
    /// [`ErrorKind::ShapeMismatch`] if the weights have another shape; and see above.
    pub fn weighted_sum<T>(self, weights: &'a T) -> Result<f64>
    where
        T: ChunkedExt<Elem: Element, Dim = D> + ?Sized,
    {
        Ok(self.weighted(weights)?.sum())
    }

    /// The weighted mean: `sum(w * x) / sum(w)`; NaN if the weights add up to 0.
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
    /// [`ErrorKind::ShapeMismatch`] if the weights have another shape, [`ErrorKind::EmptyInput`] if there are no elements; and
    /// see above.
    pub fn weighted_mean<T>(self, weights: &'a T) -> Result<f64>
    where
        T: ChunkedExt<Elem: Element, Dim = D> + ?Sized,
    {
        let moments = self.weighted(weights)?;
        not_empty(moments.count())?;
        Ok(moments.mean())
    }

    /// The weighted variance: `sum(w * (x - mean)^2) / (sum(w) - ddof)`, around the [weighted mean](Self::weighted_mean);
    /// NaN if `sum(w) - ddof` is not positive.
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
    /// [`ErrorKind::ShapeMismatch`] if the weights have another shape, [`ErrorKind::EmptyInput`] if there are no elements; and
    /// see above.
    pub fn weighted_var<T>(self, weights: &'a T, ddof: f64) -> Result<f64>
    where
        T: ChunkedExt<Elem: Element, Dim = D> + ?Sized,
    {
        let moments = self.weighted(weights)?;
        not_empty(moments.count())?;
        Ok(moments.variance(ddof))
    }

    /// The weighted standard deviation: the square root of the [weighted variance](Self::weighted_var).
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
    /// [`ErrorKind::ShapeMismatch`] if the weights have another shape, [`ErrorKind::EmptyInput`] if there are no elements; and
    /// see above.
    pub fn weighted_std<T>(self, weights: &'a T, ddof: f64) -> Result<f64>
    where
        T: ChunkedExt<Elem: Element, Dim = D> + ?Sized,
    {
        self.weighted_var(weights, ddof).map(f64::sqrt)
    }

    fn weighted<T>(self, weights: &'a T) -> Result<WeightedMoments>
    where
        T: ChunkedExt<Elem: Element, Dim = D> + ?Sized,
    {
        let skip_nan = self.skips_nan();
        self.and(weights)?.accumulate(|| WeightedMoments { skip_nan, ..WeightedMoments::new() })
    }
}

/// Weighted statistics along an axis, with a weight for each index of it, the same for all lanes. A copy of the weights is
/// held in memory.
///
/// # Errors
///
/// [`ErrorKind::ShapeMismatch`] if there are not as many weights as the axis is long, [`ErrorKind::EmptyInput`] if that is
/// 0; and those of [all parallel methods](#errors).
///
/// # Panics
///
/// All of them, if the array has no such axis.
impl<A: Element, D: RemoveAxis> Chunked<'_, ArrayView<'_, A, D>> {
    /// The weighted sums: `sum(w * x)`.
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
    /// [`ErrorKind::ShapeMismatch`] if there are not as many weights as the axis is long, [`ErrorKind::EmptyInput`] if that is 0;
    /// and see above.
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn weighted_sum_axis<W: Element>(self, axis: Axis, weights: &ArrayRef1<W>) -> Result<Array<f64, D::Smaller>> {
        self.weighted_axis(axis, weights, |moments| moments.sum())
    }

    /// The weighted means: `sum(w * x) / sum(w)`; NaN where the weights add up to 0.
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
    /// [`ErrorKind::ShapeMismatch`] if there are not as many weights as the axis is long, [`ErrorKind::EmptyInput`] if that is 0;
    /// and see above.
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn weighted_mean_axis<W: Element>(self, axis: Axis, weights: &ArrayRef1<W>) -> Result<Array<f64, D::Smaller>> {
        self.not_empty_along(axis)?;
        self.weighted_axis(axis, weights, |moments| moments.mean())
    }

    /// The weighted variances: `sum(w * (x - mean)^2) / (sum(w) - ddof)`; NaN where `sum(w) - ddof` is not positive.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1.0, 7.0, 0.0], [3.0, 7.0, 1.0]];
    /// assert_eq!(table.chunked().weighted_var_axis(Axis(0), &array![1, 1], 0.0)?, array![1.0, 0.0, 0.25]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ShapeMismatch`] if there are not as many weights as the axis is long, [`ErrorKind::EmptyInput`] if that is 0;
    /// and see above.
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn weighted_var_axis<W: Element>(
        self,
        axis: Axis,
        weights: &ArrayRef1<W>,
        ddof: f64,
    ) -> Result<Array<f64, D::Smaller>> {
        self.not_empty_along(axis)?;
        self.weighted_axis(axis, weights, |moments| moments.variance(ddof))
    }

    /// The weighted standard deviations: the square roots of the [variances](Self::weighted_var_axis).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1.0, 7.0], [3.0, 7.0]];
    /// assert_eq!(table.chunked().weighted_std_axis(Axis(0), &array![1, 1], 0.0)?, array![1.0, 0.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ShapeMismatch`] if there are not as many weights as the axis is long, [`ErrorKind::EmptyInput`] if that is 0;
    /// and see above.
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn weighted_std_axis<W: Element>(
        self,
        axis: Axis,
        weights: &ArrayRef1<W>,
        ddof: f64,
    ) -> Result<Array<f64, D::Smaller>> {
        self.not_empty_along(axis)?;
        self.weighted_axis(axis, weights, |moments| moments.variance(ddof).sqrt())
    }

    #[track_caller]
    fn weighted_axis<W: Element>(
        self,
        axis: Axis,
        weights: &ArrayRef1<W>,
        result: impl Fn(WeightedMoments) -> f64 + Sync,
    ) -> Result<Array<f64, D::Smaller>> {
        let len = self.len_of(axis);
        if weights.len() != len {
            let (expected, found) = (vec![len], vec![weights.len()]);
            return Err(ErrorKind::ShapeMismatch { expected, found }.at(None));
        }
        self.room_for(len.saturating_mul(size_of::<f64>()))?;
        let weights: Vec<_> = weights.iter().map(|weight| weight.to_f64()).collect();
        let skip_nan = self.skips_nan();
        let new = |first| WeightedLane {
            weights: &weights[first..],
            moments: WeightedMoments { skip_nan, ..WeightedMoments::new() },
        };
        self.fold_lanes(axis, new, |lane| Ok(result(lane.moments)))
    }
}

/// A lane whose elements have the weights that come next.
struct WeightedLane<'w> {
    weights: &'w [f64],
    moments: WeightedMoments,
}

impl<A: Element> Accumulator<A> for WeightedLane<'_> {
    type Output = WeightedMoments;

    fn push(&mut self, element: &A) {
        self.push_slice(std::slice::from_ref(element));
    }

    fn push_slice(&mut self, elements: &[A]) {
        let (now, later) = self.weights.split_at(elements.len());
        self.weights = later;
        let pairs = elements.iter().zip(now).map(|(x, &w)| (x.to_f64(), w));
        self.moments.merge(match self.moments.skip_nan {
            true => WeightedMoments::of(pairs.filter(|(x, w)| !x.is_nan() && !w.is_nan())),
            false => WeightedMoments::of(pairs),
        });
    }

    fn merge(&mut self, later: Self) {
        self.moments.merge(later.moments);
    }

    fn finish(self) -> WeightedMoments {
        self.moments
    }
}
