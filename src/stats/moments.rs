//! Central moments of any order.
#![forbid(unsafe_code)]

use multiversion::multiversion;
use ndarray::Dimension;

use super::accumulators::{MinMax, Moments};
use super::double::{self, Double, exponent_above, scaled};
use super::element::Element;
use super::passes::Dynamic;
use super::summary::not_empty;
use crate::chunked::{Accumulator, ArraySource, Chunked, prefer_larger_demand};
use crate::distributed::{impl_message, state_is_message};
use crate::error::Result;
use crate::parallel::threads;

/// Moments of all elements, in two passes: the first computes the mean, the second the powers of
/// the deviations from it.
impl<A: Element, D: Dimension, P: ArraySource<Elem = A, Dim = D>> Chunked<'_, P> {
    /// Computes the central moment of a given order, `sum((x - mean)^order) / count`.
    ///
    /// The moment of order 0 is 1 and that of order 1 is 0. All others are NaN if an element is NaN
    /// and NaNs are not [skipped](Self::skipnan), and infinite if they overflow an `f64`. The cost
    /// of the second pass grows with the order.
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
    /// [`ErrorKind::EmptyInput`](crate::ErrorKind::EmptyInput) if the input is empty, and the
    /// errors of [all parallel methods](#errors-of-parallel-methods).
    #[doc(alias = "moment")]
    pub fn central_moment(self, order: u16) -> Result<f64> {
        let raw = A::pass_raw_moments(self.into_dyn(), order)?;
        Ok(raw.central(usize::from(order)))
    }

    /// Computes the [central moments](Self::central_moment) of orders 0 to `order` inclusive, in
    /// two passes for all of them.
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
    /// Returns the same errors as [`central_moment`](Self::central_moment).
    pub fn central_moments(self, order: u16) -> Result<Vec<f64>> {
        let raw = A::pass_raw_moments(self.into_dyn(), order)?;
        Ok((0..=usize::from(order)).map(|order| raw.central(order)).collect())
    }

    /// Computes the skewness, `m3 / m2^(3/2)`, in one pass, where `mk` is the [central
    /// moment](Self::central_moment) of order `k`.
    ///
    /// The skewness is NaN if all elements are equal, or if an element is NaN and NaNs are not
    /// [skipped](Self::skipnan).
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
    /// Returns the same errors as [`summary`](Self::summary).
    #[doc(alias = "skew")]
    pub fn skewness(self) -> Result<f64> {
        Ok(self.summary()?.skewness)
    }

    /// Computes the kurtosis, `m4 / m2^2` (3 for a normal distribution), in one pass, where `mk` is
    /// the [central moment](Self::central_moment) of order `k`.
    ///
    /// The kurtosis is NaN if all elements are equal, or if an element is NaN and NaNs are not
    /// [skipped](Self::skipnan).
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
    /// Returns the same errors as [`summary`](Self::summary).
    pub fn kurtosis(self) -> Result<f64> {
        Ok(self.summary()?.kurtosis)
    }
}

/// Computes the moments around the rounded mean, up to the given order.
pub(super) fn raw_moments<A: Element>(
    chunked: Dynamic<'_, '_, A>,
    order: u16,
) -> Result<RawMoments> {
    let skip_nan = chunked.skips_nan();
    let order = usize::from(order);
    let bytes = order * (UNROLL + 2) * size_of::<f64>() * threads();
    let limited = chunked.clone().reserve_memory(bytes);
    let remaining = |all: usize| all - bytes.min(all);
    prefer_larger_demand(
        chunked.check_fits_in_memory(bytes, "use a lower order"),
        chunked.rescale_limit_error(limited.check_accumulate_fits(), remaining),
    )?;
    let (moments, min_max) = limited
        .clone()
        .accumulate(|| (Moments::<2>::with_skip_nan(skip_nan), MinMax::<A>::new()))?;
    chunked.with_path(not_empty(moments.count()))?;
    if order < 2 {
        return Ok(RawMoments { moments: vec![1.0, 0.0], unit: 0, factor: 1.0 });
    }
    let scale = DeviationScale::new(&moments, &min_max, order);
    let powers = limited.accumulate(|| PowerSums { scale, skip_nan, sums: vec![0.0; order] })?;
    let count = moments.count() as f64;
    let moments = std::iter::once(1.0).chain(powers.sums.iter().map(|sum| sum / count)).collect();
    Ok(RawMoments { moments, unit: scale.unit + scale.deviations, factor: scale.factor })
}

/// Moments around a value close to the mean.
///
/// Deviations are expressed in units of `factor * 2^unit`, so that their magnitude is about 1 or
/// less.
pub struct RawMoments {
    moments: Vec<f64>,
    unit: i32,
    factor: f64,
}

impl RawMoments {
    /// Returns the central moment of an order.
    fn central(&self, order: usize) -> f64 {
        let raw = &self.moments;
        if order < 2 || !raw[order].is_finite() {
            return [1.0, 0.0].get(order).copied().unwrap_or(f64::NAN);
        }
        // Shift by the binomial theorem, from the highest power down; the factor soon underflows to
        // 0.
        let shift = -raw[1];
        let mut factor = 1.0;
        let mut sum = 0.0;
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

/// The scaling of deviations: the exponent of the unit of elements, their mean in that unit, and
/// the exponent of the unit of the deviations.
#[derive(Clone, Copy)]
struct DeviationScale {
    unit: i32,
    mean: Double,
    deviations: i32,
    /// An additional divisor of the deviations, between 1/2 and 1.
    factor: f64,
}

/// The order from which powers of the largest deviation may become subnormal if units are only
/// powers of two.
const HIGH_ORDER: usize = 512;

impl DeviationScale {
    fn new<A: Element>(moments: &Moments<2>, min_max: &MinMax<A>, order: usize) -> Self {
        let (unit, mean) = moments.scaled_mean();
        let largest = min_max.range().map_or(f64::NAN, |(min, max)| {
            let [below, above] = [min, max].map(|end| deviation(end, unit, mean).abs());
            below.max(above)
        });
        if !(largest > 0.0 && largest.is_finite()) {
            return Self { unit, mean, deviations: 0, factor: 1.0 };
        }
        let deviations = exponent_above(largest);
        // A division costs a rounding error for each power, so it is avoided for the usual orders.
        let factor = if order < HIGH_ORDER { 1.0 } else { scaled(largest, -deviations) };
        Self { unit, mean, deviations, factor }
    }
}

/// Returns a power of a number between 1/2 and 1 as a mantissa and the exponent of a power of two.
fn power(mut base: f64, mut order: usize) -> (f64, i32) {
    let mut value = 1.0;
    let mut exponent = 0;
    let mut base_exponent = 0;
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

/// Returns the deviation of an element from the mean, in units of `2^unit`.
fn deviation<A: Element>(element: A, unit: i32, mean: Double) -> f64 {
    match unit {
        0 => deviation_from(element, mean),
        _ => deviation_from(scaled(element.to_f64(), -unit), mean),
    }
}

/// Returns the deviation from both words of the mean, because high powers amplify the low word.
#[inline(always)]
fn deviation_from<A: Element>(element: A, mean: Double) -> f64 {
    element.deviation(mean) - if A::IS_LONG { 0.0 } else { mean.lo }
}

/// The number of interleaved sums.
const UNROLL: usize = 32;

/// Sums of the powers of deviations, from the first power up.
struct PowerSums {
    scale: DeviationScale,
    skip_nan: bool,
    sums: Vec<f64>,
}

impl<A: Element> Accumulator<A> for PowerSums {
    fn push(&mut self, element: &A) {
        self.push_slice(std::slice::from_ref(element));
    }

    fn push_slice(&mut self, elements: &[A]) {
        let DeviationScale { unit, mean, deviations, factor } = self.scale;
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

    state_is_message!();
}

impl_message! { PowerSums { scale, skip_nan, sums } }
impl_message! { DeviationScale { unit, mean, deviations, factor } }

/// Adds the powers of deviations to 32 interleaved sums. An incomplete group is padded with
/// deviations of 0.
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
    // Short segments limit the growth of rounding errors.
    for segment in elements.chunks(UNROLL * UNROLL) {
        add_powers(segment, mean, factors, skip_nan, sums);
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
    let mut all = vec![[0.0; UNROLL]; sums.len()];
    for group in elements.chunks(UNROLL) {
        let mut deviations = [0.0; UNROLL];
        for (deviation, &element) in deviations.iter_mut().zip(group) {
            let counts = !(skip_nan && element.is_nan());
            *deviation =
                if counts { deviation_from(element, mean) * factors[0] * factors[1] } else { 0.0 };
        }
        let mut powers = [1.0; UNROLL];
        for lanes in &mut all {
            for lane in 0..UNROLL {
                powers[lane] *= deviations[lane];
                lanes[lane] += powers[lane];
            }
        }
    }
    sums.iter_mut().zip(all).for_each(|(sum, lanes)| *sum += lanes.iter().sum::<f64>());
}
