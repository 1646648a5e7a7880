//! Floating-point arithmetic beyond the precision and the range of `f64`.
#![forbid(unsafe_code)]

use crate::distributed::impl_message;

/// A double-double number: the unevaluated sum of two `f64`, of which the second is at most half an
/// ulp of the first.
///
/// See Dekker, "A floating-point technique for extending the available precision" (1971).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Double {
    pub(super) hi: f64,
    pub(super) lo: f64,
}

impl_message! { Double { hi, lo } }

impl Double {
    #[inline(always)]
    pub(super) fn new(value: f64) -> Self {
        Self { hi: value, lo: 0.0 }
    }

    /// Returns the nearest `f64`.
    #[inline(always)]
    pub(super) fn value(self) -> f64 {
        self.hi + self.lo
    }

    /// Returns the number, or 0 if it is infinite or NaN.
    #[inline(always)]
    pub(super) fn or_zero(self) -> Self {
        let is_finite = self.hi.abs() < f64::INFINITY;
        Self {
            hi: if is_finite { self.hi } else { 0.0 },
            lo: if is_finite { self.lo } else { 0.0 },
        }
    }

    /// Adds an `f64`, by Knuth's two-sum (an error-free transformation) and renormalization.
    #[inline(always)]
    pub(super) fn plus(self, other: f64) -> Self {
        let sum = self.hi + other;
        let part = sum - self.hi;
        let lost = (self.hi - (sum - part)) + (other - part);
        Self::normalized(sum, lost + self.lo)
    }

    /// Adds another double-double number.
    #[inline(always)]
    pub(super) fn plus_double(self, other: Self) -> Self {
        let Self { hi, lo } = self.plus(other.hi);
        Self::normalized(hi, lo + other.lo)
    }

    /// Returns the sum of two words, of which the first has the larger magnitude (Dekker's fast
    /// two-sum). The low word of an infinity or a NaN is 0.
    #[inline(always)]
    fn normalized(hi: f64, lo: f64) -> Self {
        let sum = hi + lo;
        let rest = lo - (sum - hi);
        let is_finite = hi.abs() < f64::INFINITY;
        Self { hi: if is_finite { sum } else { hi }, lo: if is_finite { rest } else { 0.0 } }
    }

    /// Returns the number times `2^exponent`.
    pub(super) fn scaled(self, exponent: i32) -> Self {
        Self { hi: scaled(self.hi, exponent), lo: scaled(self.lo, exponent) }
    }
}

/// Returns `value * 2^exponent`, rounded once.
pub(super) fn scaled(mut value: f64, mut exponent: i32) -> f64 {
    /// The exponents of normal numbers.
    const NORMAL: (i32, i32) = (-1022, 1023);
    // A step down stops 53 bits before the smallest exponent, so that the number only becomes
    // subnormal, and is only rounded, in the last step.
    let down = NORMAL.0 + 53;
    let up = NORMAL.1;
    for _ in 0..2 {
        let step = if exponent < NORMAL.0 { down } else { up };
        if !(NORMAL.0..=NORMAL.1).contains(&exponent) {
            value *= power_of_two(step);
            exponent -= step;
        }
    }
    value * power_of_two(exponent.clamp(NORMAL.0, NORMAL.1))
}

/// Returns two normal numbers whose product is `2^exponent`, which need not be normal itself.
pub(super) fn factors(exponent: i32) -> [f64; 2] {
    let half = exponent / 2;
    [half, exponent - half].map(power_of_two)
}

/// Returns `2^exponent`, which must be a normal number.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + i64::from(exponent)) as u64) << 52)
}

/// Returns the exponent of the smallest power of two above a finite positive number.
pub(super) fn exponent_above(value: f64) -> i32 {
    // Subnormal numbers are scaled to normal ones.
    let (normal, bias) =
        if value < f64::MIN_POSITIVE { (value * power_of_two(54), 54) } else { (value, 0) };
    (normal.to_bits() >> 52) as i32 - 1022 - bias
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scaled_is_rounded_once() {
        assert_eq!(scaled(1.0, -1074), f64::from_bits(1));
        assert_eq!(scaled(1.5, -1074), f64::from_bits(2));
        assert_eq!(scaled(f64::from_bits(1), 1074), 1.0);
        assert_eq!(scaled(f64::from_bits(1), 2097), 2_f64.powi(1023));
        assert_eq!(scaled(f64::MAX, -2097), f64::from_bits(2));
        assert_eq!((scaled(1.0, 1024), scaled(1.0, 100_000)), (f64::INFINITY, f64::INFINITY));
        assert_eq!((scaled(f64::MAX, -2200), scaled(-1.0, -100_000)), (0.0, 0.0));
        assert!(scaled(f64::NAN, 5).is_nan());
        // The value is above the midpoint between two subnormal numbers by its last bit. Rounding
        // once rounds it up; rounding twice would round it to the midpoint and then down.
        let value = 1.0 + 2_f64.powi(-52);
        assert_eq!(scaled(value * 2_f64.powi(-52), -1023), f64::from_bits(1));
        assert_eq!(
            (exponent_above(1.0), exponent_above(0.99), exponent_above(f64::MAX)),
            (1, 0, 1024)
        );
        assert_eq!(
            (exponent_above(f64::from_bits(1)), exponent_above(f64::MIN_POSITIVE)),
            (-1073, -1021)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn sums_of_integers_are_exact(values in prop::collection::vec(-(1_i64 << 62)..1_i64 << 62, 0..50)) {
            // Sums up to 2^68, of which an `f64` represents 53 bits.
            let mut sum = Double::default();
            for &value in &values {
                let hi = value as f64;
                let lo = (i128::from(value) - hi as i128) as f64;
                sum = sum.plus_double(Double { hi, lo });
            }
            let exact: i128 = values.iter().copied().map(i128::from).sum();
            prop_assert_eq!(sum.hi as i128 + sum.lo as i128, exact);
            prop_assert_eq!(sum.value(), exact as f64);
        }
    }
}
