//! Central moments of any order.
#![forbid(unsafe_code)]

use multiversion::multiversion;
use ndarray::{ArrayView, Dimension};

use super::element::Element;
use super::whole::not_empty;
use crate::chunked::{Accumulator, Chunked, threads};
use crate::error::Result;

/// Moments of all elements, in two passes: one for the mean, one for the deviations from it.
impl<A: Element, D: Dimension> Chunked<'_, ArrayView<'_, A, D>> {
    /// The central moment of an order: `sum((x - mean)^order) / count`. That of order 0 is 1, of order 1 it is 0; all others
    /// are NaN if an element is NaN and NaNs are not [skipped](Self::skipnan), and infinite if they are too large for an `f64`. In
    /// two passes, whose cost grows with the order.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// assert_eq!(array![1.0, 2.0, 6.0].chunked().central_moment(3)?, 6.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`](crate::ErrorKind::EmptyInput) if there are no elements; and those of
    /// [all parallel methods](#errors-of-parallel-methods).
    pub fn central_moment(self, order: u16) -> Result<f64> {
        let raw = self.raw_moments(order)?;
        Ok(moment(&raw, usize::from(order)))
    }

    /// The [central moments](Self::central_moment) of orders 0 to the given one, in the same two passes.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// assert_eq!(array![1, 3].chunked().central_moments(4)?, [1.0, 0.0, 1.0, 0.0, 1.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`central_moment`](Self::central_moment).
    pub fn central_moments(self, order: u16) -> Result<Vec<f64>> {
        let raw = self.raw_moments(order)?;
        Ok((0..=usize::from(order)).map(|order| moment(&raw, order)).collect())
    }

    /// The moments around the rounded mean.
    fn raw_moments(self, order: u16) -> Result<Vec<f64>> {
        let (skip_nan, order) = (self.skips_nan(), usize::from(order));
        self.room_for(order * (GROUP + 2) * size_of::<f64>() * threads())?;
        let sums = self.clone().sums()?;
        self.named(not_empty(sums.count()))?;
        if order < 2 {
            return Ok(vec![1.0, 0.0]);
        }
        let from = sums.mean();
        let powers = self.accumulate(|| Powers { from, skip_nan, sums: vec![0.0; order] })?;
        let count = sums.count() as f64;
        Ok(std::iter::once(1.0).chain(powers.sums.iter().map(|sum| sum / count)).collect())
    }

    /// The skewness: `m3 / m2^(3/2)`, where `mk` is the [central moment](Self::central_moment) of order `k`; NaN if all
    /// elements are the same, or one is NaN and NaNs are not [skipped](Self::skipnan). In one pass.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// assert_eq!(array![1.0, 2.0, 3.0].chunked().skewness()?, 0.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`summary`](Self::summary).
    pub fn skewness(self) -> Result<f64> {
        Ok(self.summary()?.skewness)
    }

    /// The kurtosis: `m4 / m2^2`, 3 for a normal distribution; NaN if all elements are the same, or one is NaN and NaNs are not
    /// [skipped](Self::skipnan). In one pass.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// assert_eq!(array![1.0, 2.0, 3.0].chunked().kurtosis()?, 1.5);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`summary`](Self::summary).
    pub fn kurtosis(self) -> Result<f64> {
        Ok(self.summary()?.kurtosis)
    }
}

/// The central moment of an order, from those around a value near the mean.
fn moment(raw: &[f64], order: usize) -> f64 {
    if order < 2 {
        return [1.0, 0.0][order];
    }
    if !raw[order].is_finite() {
        return raw[order];
    }
    // The binomial theorem, from the highest power on; the factor soon vanishes.
    let (shift, mut factor, mut sum) = (-raw[1], 1.0, 0.0);
    for power in (0..=order).rev() {
        if factor == 0.0 {
            break;
        }
        sum += factor * raw[power];
        factor *= shift * (power as f64 / (order - power + 1) as f64);
    }
    sum
}

/// Elements that are gone through side by side.
const GROUP: usize = 32;

/// Sums of the powers of the deviations from a value, from the first on.
struct Powers {
    from: f64,
    skip_nan: bool,
    sums: Vec<f64>,
}

impl<A: Element> Accumulator<A> for Powers {
    type Output = Vec<f64>;

    fn push(&mut self, element: &A) {
        self.push_slice(std::slice::from_ref(element));
    }

    fn push_slice(&mut self, elements: &[A]) {
        powers(elements, self.from, self.skip_nan, &mut self.sums);
    }

    fn merge(&mut self, later: Self) {
        self.sums.iter_mut().zip(later.sums).for_each(|(sum, later)| *sum += later);
    }

    fn finish(self) -> Vec<f64> {
        self.sums
    }
}

/// Adds the powers of deviations, in 32 sums side by side. What a short group lacks has no deviation.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
fn powers<A: Element>(elements: &[A], from: f64, skip_nan: bool, sums: &mut [f64]) {
    let mut all = vec![[0.0; GROUP]; sums.len()];
    for group in elements.chunks(GROUP) {
        let mut deviations = [0.0; GROUP];
        for (deviation, &element) in deviations.iter_mut().zip(group) {
            *deviation = if skip_nan && element.is_nan() { 0.0 } else { element.to_f64() - from };
        }
        let mut powers = [1.0; GROUP];
        for lanes in &mut all {
            for lane in 0..GROUP {
                powers[lane] *= deviations[lane];
                lanes[lane] += powers[lane];
            }
        }
    }
    sums.iter_mut().zip(all).for_each(|(sum, lanes)| *sum += lanes.iter().sum::<f64>());
}
