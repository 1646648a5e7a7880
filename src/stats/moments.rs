//! Central moments of any order.
#![forbid(unsafe_code)]

use multiversion::multiversion;
use ndarray::{ArrayView, Dimension};

use super::accumulators::{MinMax, Moments};
use super::double::{self, Double, exponent_above, scaled};
use super::element::Element;
use super::passes::Dynamic;
use super::summary::not_empty;
use crate::chunked::{Accumulator, Chunked, prefer_larger_demand};
use crate::error::Result;
use crate::parallel::threads;

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
    #[doc(alias = "moment")]
    pub fn central_moment(self, order: u16) -> Result<f64> {
        let raw = A::raw_moments(self.into_dyn(), order)?;
        Ok(raw.central(usize::from(order)))
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
        let raw = A::raw_moments(self.into_dyn(), order)?;
        Ok((0..=usize::from(order)).map(|order| raw.central(order)).collect())
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
    #[doc(alias = "skew")]
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

/// The moments around the mean, as rounded.
pub(super) fn raw_moments<A: Element>(
    chunked: Dynamic<'_, '_, A>,
    order: u16,
) -> Result<RawMoments> {
    let (skip_nan, order) = (chunked.skips_nan(), usize::from(order));
    let bytes = order * (GROUP + 2) * size_of::<f64>() * threads();
    let walk = chunked.clone().reserve_memory(bytes);
    let of_all = |all: usize| all - bytes.min(all);
    prefer_larger_demand(
        chunked.check_fits_in_memory(bytes),
        chunked.rescale_limit_error(walk.check_accumulate_fits(), of_all),
    )?;
    let moments = Moments::<2>::maker(skip_nan);
    let (moments, extremes) = walk.clone().accumulate(|| (moments(), MinMax::<A>::new()))?;
    chunked.with_path(not_empty(moments.count()))?;
    if order < 2 {
        return Ok(RawMoments { moments: vec![1.0, 0.0], unit: 0, factor: 1.0 });
    }
    let scale = Scale::new(&moments, &extremes, order);
    let powers = walk.accumulate(|| Powers { scale, skip_nan, sums: vec![0.0; order] })?;
    let count = moments.count() as f64;
    let moments = std::iter::once(1.0).chain(powers.sums.iter().map(|sum| sum / count)).collect();
    Ok(RawMoments { moments, unit: scale.unit + scale.deviations, factor: scale.factor })
}

/// Moments around a value near the mean, of deviations in a unit of which none is much more than 1: `factor * 2^unit`.
pub struct RawMoments {
    moments: Vec<f64>,
    unit: i32,
    factor: f64,
}

impl RawMoments {
    /// The central moment of an order.
    fn central(&self, order: usize) -> f64 {
        let raw = &self.moments;
        if order < 2 || !raw[order].is_finite() {
            return [1.0, 0.0].get(order).copied().unwrap_or(f64::NAN);
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
        let (factor, exponent) = power(self.factor, order);
        scaled(sum * factor, self.unit * order as i32 + exponent)
    }
}

/// How deviations are made small: elements in a unit, their mean in the same, and the unit of the deviations from it.
#[derive(Clone, Copy)]
struct Scale {
    unit: i32,
    mean: Double,
    deviations: i32,
    /// A number from 1/2 to 1, by which deviations are divided besides.
    factor: f64,
}

/// From this order on, powers of the largest deviation come near to subnormal numbers in units that are powers of two.
const HIGH_ORDER: usize = 512;

impl Scale {
    fn new<A: Element>(moments: &Moments<2>, extremes: &MinMax<A>, order: usize) -> Self {
        let (unit, mean) = moments.scaled_mean();
        let largest = extremes.range().map_or(f64::NAN, |(min, max)| {
            let [below, above] = [min, max].map(|end| deviation(end, unit, mean).abs());
            below.max(above)
        });
        if !(largest > 0.0 && largest.is_finite()) {
            return Self { unit, mean, deviations: 0, factor: 1.0 };
        }
        let deviations = exponent_above(largest);
        // A division costs a rounding error for each power, so there is none for the usual orders.
        let factor = if order < HIGH_ORDER { 1.0 } else { scaled(largest, -deviations) };
        Self { unit, mean, deviations, factor }
    }
}

/// Returns a power of a number from 1/2 to 1, and the exponent of the power of two that it is to be multiplied with.
fn power(mut base: f64, mut order: usize) -> (f64, i32) {
    let (mut value, mut exponent, mut base_exponent) = (1.0, 0, 0);
    while order > 0 {
        if order % 2 == 1 {
            value *= base;
            exponent += base_exponent;
        }
        (base, base_exponent) = (base * base, 2 * base_exponent);
        for (number, exponent) in [(&mut base, &mut base_exponent), (&mut value, &mut exponent)] {
            if *number < 0.5 {
                (*number, *exponent) = (*number * 2.0, *exponent - 1);
            }
        }
        order /= 2;
    }
    (value, exponent)
}

/// Returns the deviation of an element, both in a unit.
fn deviation<A: Element>(element: A, unit: i32, mean: Double) -> f64 {
    match unit {
        0 => deviation_from(element, mean),
        _ => deviation_from(scaled(element.to_f64(), -unit), mean),
    }
}

/// Returns the deviation from both parts of the mean: high powers tell the difference.
#[inline(always)]
fn deviation_from<A: Element>(element: A, mean: Double) -> f64 {
    element.deviation(mean) - if A::IS_LONG { 0.0 } else { mean.lo }
}

/// Elements that are gone through side by side.
const GROUP: usize = 32;

/// Sums of the powers of deviations, from the first on.
struct Powers {
    scale: Scale,
    skip_nan: bool,
    sums: Vec<f64>,
}

impl<A: Element> Accumulator<A> for Powers {
    fn push(&mut self, element: &A) {
        self.push_slice(std::slice::from_ref(element));
    }

    fn push_slice(&mut self, elements: &[A]) {
        let Scale { unit, mean, deviations, factor } = self.scale;
        let [first, second] = double::factors(-deviations);
        let factors = [first, second / factor];
        match unit {
            0 => powers(elements, mean, factors, self.skip_nan, &mut self.sums),
            _ => {
                let elements: Vec<_> =
                    elements.iter().map(|element| scaled(element.to_f64(), -unit)).collect();
                powers(&elements, mean, factors, self.skip_nan, &mut self.sums);
            }
        }
    }

    fn merge(&mut self, later: Self) {
        self.sums.iter_mut().zip(later.sums).for_each(|(sum, later)| *sum += later);
    }
}

/// Adds the powers of deviations, in 32 sums side by side. What a short group lacks has no deviation.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn powers<A: Element>(
    elements: &[A],
    mean: Double,
    factors: [f64; 2],
    skip_nan: bool,
    sums: &mut [f64],
) {
    // Few groups at a time, so that rounding errors grow less.
    for stretch in elements.chunks(GROUP * GROUP) {
        add_powers(stretch, mean, factors, skip_nan, sums);
    }
}

#[inline(always)]
fn add_powers<A: Element>(
    elements: &[A],
    mean: Double,
    factors: [f64; 2],
    skip_nan: bool,
    sums: &mut [f64],
) {
    let mut all = vec![[0.0; GROUP]; sums.len()];
    for group in elements.chunks(GROUP) {
        let mut deviations = [0.0; GROUP];
        for (deviation, &element) in deviations.iter_mut().zip(group) {
            let counts = !(skip_nan && element.is_nan());
            *deviation =
                if counts { deviation_from(element, mean) * factors[0] * factors[1] } else { 0.0 };
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
