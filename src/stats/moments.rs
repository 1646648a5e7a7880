//! Count, mean and central moments, merged by the formulas of Chan and of Pébay.
#![forbid(unsafe_code)]

use super::element::Element;
use super::kernels;
use crate::chunked::Accumulator;

/// Count, mean, and the sums of the powers of the deviations from the mean up to `ORDER`, 2 or 4.
///
/// A slice is gone through twice while it is in the processor's cache: for its mean, and for the deviations from it. What
/// rounding has left of the mean's own deviation is taken out. Slices are merged by the formulas of Chan, Golub and LeVeque
/// (1979), for the third and fourth power those of Pébay (2008).
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{Accumulator, prelude::*, stats::Moments};
///
/// // Of two files, machines, ...
/// let (first, second) = (array![1.0, 2.0], array![3.0, 4.0, f64::NAN]);
/// let mut moments = first.chunked().accumulate(Moments::<4>::skip_nan)?;
/// moments.merge(second.chunked().accumulate(Moments::skip_nan)?);
/// assert_eq!((moments.count(), moments.mean(), moments.variance(0.0)), (4, 2.5, 1.25));
/// assert_eq!(moments.skewness(), 0.0);
/// assert!((moments.kurtosis() - 1.64).abs() < 1e-15);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments<const ORDER: usize> {
    skip_nan: bool,
    count: u64,
    mean: f64,
    /// Of the first power 0; of the second and so on.
    sums: [f64; ORDER],
}

impl<const ORDER: usize> Default for Moments<ORDER> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const ORDER: usize> Moments<ORDER> {
    /// Of nothing so far. NaNs propagate.
    pub fn new() -> Self {
        const { assert!(ORDER == 2 || ORDER == 4, "moments of order 2 or 4") };
        Self { skip_nan: false, count: 0, mean: 0.0, sums: [0.0; ORDER] }
    }

    /// The same, leaving NaNs out.
    pub fn skip_nan() -> Self {
        Self { skip_nan: true, ..Self::new() }
    }

    /// How many elements there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; NaN if there are none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.mean }
    }

    /// `sum((x - mean)^2) / (count - ddof)`; NaN if that is no positive number.
    pub fn variance(&self, ddof: f64) -> f64 {
        let freedom = self.count as f64 - ddof;
        if freedom > 0.0 { self.sums[1] / freedom } else { f64::NAN }
    }

    /// Takes what another one has taken.
    pub fn merge(&mut self, later: Self) {
        self.add(&later);
    }

    fn of<A: Element, const SKIP: bool>(elements: &[A]) -> Self {
        let count = elements.len() as u64 - if SKIP { kernels::count_nan(elements) } else { 0 };
        if count == 0 {
            return Self { skip_nan: SKIP, ..Self::new() };
        }
        let rough = kernels::sum::<A, SKIP>(elements) / count as f64;
        let sums = kernels::powers::<A, ORDER, SKIP>(elements, rough);
        Self { skip_nan: SKIP, count, mean: rough, sums }.centred()
    }

    /// Moves the mean to where the first power vanishes.
    fn centred(mut self) -> Self {
        let n = self.count as f64;
        let shift = self.sums[0] / n;
        let old = self.sums;
        self.mean += shift;
        self.sums[0] = 0.0;
        self.sums[1] = old[1] - n * shift * shift;
        if ORDER == 4 {
            self.sums[2] = old[2] - 3.0 * shift * old[1] + 2.0 * n * shift.powi(3);
            self.sums[3] = old[3] - 4.0 * shift * old[2] + 6.0 * shift * shift * old[1] - 3.0 * n * shift.powi(4);
        }
        self
    }

    fn add(&mut self, later: &Self) {
        if later.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = Self { skip_nan: self.skip_nan, ..*later };
            return;
        }
        let (a, b) = (self.count as f64, later.count as f64);
        let n = a + b;
        let delta = later.mean - self.mean;
        let (x, y) = (self.sums, later.sums);
        self.count += later.count;
        self.mean += delta * (b / n);
        self.sums[1] = x[1] + y[1] + delta * delta * (a * b / n);
        if ORDER == 4 {
            let step = delta / n;
            self.sums[2] =
                x[2] + y[2] + delta.powi(3) * (a * b * (a - b) / (n * n)) + 3.0 * step * (a * y[1] - b * x[1]);
            self.sums[3] = x[3]
                + y[3]
                + delta.powi(4) * (a * b * (a * a - a * b + b * b) / (n * n * n))
                + 6.0 * step * step * (a * a * y[1] + b * b * x[1])
                + 4.0 * step * (a * y[2] - b * x[2]);
        }
    }
}

impl Moments<4> {
    /// `m3 / m2^(3/2)`, where `mk` is the mean of the `k`th power of the deviations; NaN if all elements are the same.
    pub fn skewness(&self) -> f64 {
        let n = self.count as f64;
        (self.sums[2] / n) / (self.sums[1] / n).powf(1.5)
    }

    /// `m4 / m2^2`, which is 3 for a normal distribution; NaN if all elements are the same.
    pub fn kurtosis(&self) -> f64 {
        let n = self.count as f64;
        (self.sums[3] / n) / (self.sums[1] / n).powi(2)
    }
}

impl<A: Element, const ORDER: usize> Accumulator<A> for Moments<ORDER> {
    type Output = Self;

    fn push(&mut self, element: &A) {
        self.push_slice(std::slice::from_ref(element));
    }

    fn push_slice(&mut self, elements: &[A]) {
        self.add(&if self.skip_nan { Self::of::<A, true>(elements) } else { Self::of::<A, false>(elements) });
    }

    fn merge(&mut self, later: Self) {
        self.add(&later);
    }

    fn finish(self) -> Self {
        self
    }
}
