//! Sums of the powers of deviations from a mean, and the formulas to merge them.
#![forbid(unsafe_code)]

use super::double::Double;
use crate::distributed::impl_message;

/// The range of moderate magnitudes: fourth powers of deviations do not overflow, and their sum is
/// not subnormal unless it is 0, because two distinct elements differ by at least 2^-53 of their
/// magnitude.
pub(super) const LARGE: f64 = f64::from_bits((1023 + 240) << 52);
pub(super) const SMALL: f64 = f64::from_bits((1023 - 150) << 52);

/// Returns whether a magnitude is too large for sums in units of 1. Infinity is excluded, because
/// scaling does not help.
#[inline(always)]
pub(super) fn is_large(magnitude: f64) -> bool {
    magnitude > LARGE && magnitude < f64::INFINITY
}

/// Returns whether a magnitude other than 0 is too small for sums in units of 1, provided that no
/// other element is larger.
#[inline(always)]
pub(super) fn is_small(magnitude: f64) -> bool {
    magnitude < SMALL && magnitude > 0.0
}

/// The weight and the mean of some elements, and the weighted sums of the powers of their
/// deviations from the mean.
///
/// The mean and the sums are in double-double arithmetic. If elements are close together and far
/// from zero, the rounding error of an `f64` mean exceeds the difference between the means of two
/// parts, and the merged variance would be wrong. Repeated merges do not lose precision either.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CentralSums<const ORDER: usize> {
    /// The sum of weights, or the number of elements.
    pub(super) weight: Double,
    /// The mean, then the sums of the powers of deviations from the second power up.
    pub(super) moments: [Double; ORDER],
}

impl_message! { CentralSums<ORDER> { weight, moments } where [const ORDER: usize] }

impl<const ORDER: usize> Default for CentralSums<ORDER> {
    fn default() -> Self {
        Self { weight: Double::default(), moments: [Double::default(); ORDER] }
    }
}

impl<const ORDER: usize> CentralSums<ORDER> {
    /// Returns the sums of one element.
    #[inline(always)]
    pub(super) fn single(element: Double, weight: f64) -> Self {
        // Deviations are 0 unless the element is infinite or NaN. The mean is NaN if the weight is
        // infinite or NaN.
        let mut moments = [Double::new((element.hi * 0.0 + 0.0) * weight); ORDER];
        moments[0] = Double { hi: element.hi + weight * 0.0, ..element };
        Self { weight: Double::new(weight), moments }
    }

    /// Returns the sums around the mean, given the sums of the powers of deviations from an origin
    /// close to it.
    #[inline(always)]
    pub(super) fn around(weight: f64, origin: Double, sums: [f64; ORDER]) -> Self {
        let shift = sums[0] / weight;
        let mut moments = [Double::default(); ORDER];
        moments[0] = origin.plus(shift);
        let squares = sums[1] - sums[0] * shift;
        // Rounding errors may make the sum negative. NaN is preserved.
        moments[1] = Double::new(if squares < 0.0 { 0.0 } else { squares });
        if ORDER == 4 {
            let square = shift * shift;
            moments[2] =
                Double::new(sums[2] - 3.0 * shift * sums[1] + 2.0 * (weight * square * shift));
            let fourth = sums[3] - 4.0 * shift * sums[2] + 6.0 * square * sums[1]
                - 3.0 * (weight * square * square);
            moments[3] = Double::new(fourth);
        }
        Self { weight: Double::new(weight), moments }
    }

    /// Returns the merged sums.
    #[inline]
    pub(super) fn merged(self, later: Self) -> Self {
        if later.weight.value() == 0.0 {
            self
        } else if self.weight.value() == 0.0 {
            later
        } else {
            self.merged_with_some(later)
        }
    }

    /// Returns the merged sums without branching, for kernels that merge many lanes at once.
    #[inline(always)]
    pub(super) fn merged_by_choice(self, later: Self) -> Self {
        let merged = self.merged_with_some(later);
        let has_none = self.weight.value() == 0.0;
        let gets_none = later.weight.value() == 0.0;
        let choose = |merged: f64, own: f64, later: f64| {
            if gets_none {
                own
            } else if has_none {
                later
            } else {
                merged
            }
        };
        let both = |merged: Double, own: Double, later: Double| Double {
            hi: choose(merged.hi, own.hi, later.hi),
            lo: choose(merged.lo, own.lo, later.lo),
        };
        let moments =
            |power: usize| both(merged.moments[power], self.moments[power], later.moments[power]);
        Self {
            weight: both(merged.weight, self.weight, later.weight),
            moments: std::array::from_fn(moments),
        }
    }

    /// Returns the merged sums if neither weight is 0, by the formulas of Chan, Golub and LeVeque
    /// (1979), and those of Pébay (2008) for the third and fourth powers.
    #[inline(always)]
    fn merged_with_some(self, later: Self) -> Self {
        let a = self.weight.value();
        let b = later.weight.value();
        let weight = self.weight.plus_double(later.weight);
        let share = 1.0 / weight.value();
        let x = self.moments;
        let y = later.moments;
        let delta = (y[0].hi - x[0].hi) + (y[0].lo - x[0].lo);
        let is_finite = delta.abs() < f64::INFINITY;
        let before = a * share;
        let after = b * share;
        let down = delta * before;
        let up = delta * after;
        let square = down * delta * b;

        let mut moments = x;
        // The step starts from the mean with the larger weight, because the error of the step is
        // proportional to its length.
        let (near, step) = if a < b { (y[0], -down) } else { (x[0], up) };
        let mean = near.plus(step);
        let infinite = x[0].hi + y[0].hi;
        moments[0] = Double {
            hi: if is_finite { mean.hi } else { infinite },
            lo: if is_finite { mean.lo } else { 0.0 },
        };
        let mut add = |power: usize, value: f64| {
            let sum = x[power].plus_double(y[power]).plus(value);
            let nan = f64::NAN;
            moments[power] = Double {
                hi: if is_finite { sum.hi } else { nan },
                lo: if is_finite { sum.lo } else { 0.0 },
            };
        };
        add(1, square);
        if ORDER == 4 {
            let [x2, x3, y2, y3] = [x[1], x[2], y[1], y[2]].map(Double::value);
            add(2, square * delta * (before - after) + 3.0 * (down * y2 - up * x2));
            add(
                3,
                square * delta * delta * (before * before - before * after + after * after)
                    + 6.0 * (down * down * y2 + up * up * x2)
                    + 4.0 * (down * y3 - up * x3),
            );
        }
        Self { weight, moments }
    }
}
