//! Weighted sums, means and variances.
#![forbid(unsafe_code)]

use super::super::element::Element;
use crate::chunked::Accumulator;

/// Weighted mean and sum of squared deviations, of pairs of an element and its weight. Weights must not be
/// negative: where some cancel, what they weighed is lost.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{prelude::*, stats::WeightedMoments};
///
/// let (values, weights) = (array![1.0, 2.0, 3.0], array![1.0, 1.0, 2.0]);
/// let moments = values.chunked().and(&weights)?.accumulate(WeightedMoments::new)?;
/// assert_eq!((moments.weight(), moments.mean(), moments.var(0.0)), (4.0, 2.25, 0.6875));
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WeightedMoments {
    skip_nan: bool,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "super::saved::count"))]
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
    pub fn skipnan() -> Self {
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
        if self.weight == 0.0 { f64::NAN } else { self.sum / self.weight }
    }

    /// `sum(w * (x - mean)^2) / (sum(w) - ddof)`; NaN if `sum(w) - ddof` is not positive.
    pub fn var(&self, ddof: f64) -> f64 {
        let freedom = self.weight - ddof;
        if freedom > 0.0 { self.squares / freedom } else { f64::NAN }
    }

    /// The square root of the [variance](Self::var).
    pub fn std(&self, ddof: f64) -> f64 {
        self.var(ddof).sqrt()
    }

    /// Takes what another one has taken. Whether NaNs are left out from now on does not change.
    pub fn merge(&mut self, later: Self) {
        self.count += later.count;
        self.sum += later.sum;
        if self.weight == 0.0 || later.weight == 0.0 {
            // What weighs nothing has no mean; but it may be NaN.
            let squares = self.squares + later.squares;
            let other = if self.weight == 0.0 { later } else { *self };
            (self.weight, self.mean, self.squares) = (other.weight, other.mean, squares);
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
    pub(in crate::stats) fn of(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> Self {
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
        Self::around(rough, count, weight, sum, [first, squares])
    }

    /// From sums of the weighted powers of deviations from a value near the mean.
    pub(in crate::stats) fn around(centre: f64, count: u64, weight: f64, sum: f64, [first, second]: [f64; 2]) -> Self {
        let new = Self { skip_nan: false, count, weight, sum, mean: 0.0, squares: 0.0 };
        if weight == 0.0 {
            // Nothing, unless there is a NaN or an infinity.
            return Self { squares: 0.0 * sum, ..new };
        }
        let shift = first / weight;
        let mut squares = second - first * shift;
        if squares < 0.0 {
            // By rounding; not NaN.
            squares = 0.0;
        }
        Self { mean: centre + shift, squares, ..new }
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
