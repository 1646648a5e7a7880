//! Correctly rounded interpolation between two elements.
//!
//! `lower + (higher - lower) * fraction` in floating-point arithmetic loses precision by
//! cancellation, overflows if the difference does, and may leave the interval. The products are
//! therefore added exactly, as integers of 3,200 bits in units of 2^-2148, the square of the
//! smallest positive `f64`.
#![forbid(unsafe_code)]

/// The exponent of the unit.
const UNIT: i32 = -2148;

/// The number of 64-bit words: the magnitude of the sum is less than 2^1026.
const LIMBS: usize = 50;

/// The bit position of the smallest positive `f64`.
const SMALLEST: usize = 1074;

/// Interpolates between two numbers, rounding to nearest. The numbers must not be NaN, and the
/// fraction must be between 0 and 1, both exclusive.
///
/// The result is infinite if one of the numbers is, because both have a non-zero weight. It is NaN
/// if they are infinities of opposite signs.
pub(in crate::stats) fn interpolate(lower: f64, higher: f64, fraction: f64) -> f64 {
    if lower.is_infinite() || higher.is_infinite() {
        return lower + higher;
    }
    // The difference is usually exact (checked by two-sum), so that a fused multiply-add rounds
    // once.
    let difference = higher - lower;
    let rounded = difference - higher;
    if (higher - (difference - rounded)) - (lower + rounded) == 0.0 {
        return difference.mul_add(fraction, lower);
    }
    let [(low, low_exponent), (high, high_exponent), (part, part_exponent)] =
        [lower, higher, fraction].map(decompose);
    // Integers of 128 bits usually suffice.
    let min_exponent = low_exponent.min(high_exponent);
    if low_exponent.max(high_exponent) - min_exponent <= 10
        && part_exponent >= -62
        && min_exponent > -900
    {
        let [low, high] = [(low, low_exponent), (high, high_exponent)]
            .map(|(x, exponent)| i128::from(x) << (exponent - min_exponent));
        let sum = (low << -part_exponent) + (high - low) * i128::from(part);
        return sum as f64 * f64::from_bits(((min_exponent + part_exponent + 1023) as u64) << 52);
    }
    let mut sum = Sum([0; LIMBS]);
    sum.add(low.into(), low_exponent);
    sum.add(i128::from(high) * i128::from(part), high_exponent + part_exponent);
    sum.add(-i128::from(low) * i128::from(part), low_exponent + part_exponent);
    sum.round()
}

/// Decomposes a finite number into an integer and the exponent of a power of two.
fn decompose(x: f64) -> (i64, i32) {
    let bits = x.to_bits();
    let exponent = (bits >> 52 & 0x7FF) as i32;
    let digits = (bits & ((1 << 52) - 1)) as i64 | if exponent == 0 { 0 } else { 1 << 52 };
    (if x < 0.0 { -digits } else { digits }, exponent.max(1) - 1075)
}

/// An integer in two's complement, lowest word first.
struct Sum([u64; LIMBS]);

impl Sum {
    /// Adds an integer of up to 106 bits multiplied by a power of two.
    fn add(&mut self, integer: i128, exponent: i32) {
        let position = (exponent - UNIT) as usize;
        let magnitude = integer.unsigned_abs();
        let shift = position % 64;
        let low = magnitude << shift;
        let high = if shift == 0 { 0 } else { (magnitude >> (128 - shift)) as u64 };
        let mut digits = [low as u64, (low >> 64) as u64, high].into_iter();
        let mut carry = false;
        for limb in &mut self.0[position / 64..] {
            let next = digits.next();
            if next.is_none() && !carry {
                break;
            }
            let step = if integer < 0 { u64::overflowing_sub } else { u64::overflowing_add };
            let (sum, first) = step(*limb, next.unwrap_or(0));
            let (sum, second) = step(sum, carry.into());
            (*limb, carry) = (sum, first | second);
        }
    }

    /// Rounds to the nearest number; ties to even.
    fn round(mut self) -> f64 {
        let is_negative = self.0[LIMBS - 1] >> 63 == 1;
        if is_negative {
            let mut carry = true;
            for limb in &mut self.0 {
                (*limb, carry) = (!*limb).overflowing_add(carry.into());
            }
        }
        let Some(top) = self.0.iter().rposition(|&limb| limb != 0) else { return 0.0 };
        let bits = top * 64 + self.0[top].ilog2() as usize;
        // The lowest of 53 bits, or of the fewer bits of a subnormal number.
        let last = (bits.max(52) - 52).max(SMALLEST);
        let pair = u128::from(self.0[last / 64]) | u128::from(self.0[last / 64 + 1]) << 64;
        let digits = (pair >> (last % 64)) as u64;
        let next = last - 1;
        let limb = self.0[next / 64];
        let mask = 1 << (next % 64);
        let is_half = limb & mask != 0;
        let is_more = limb & (mask - 1) != 0 || self.0[..next / 64].iter().any(|&limb| limb != 0);
        let rounded = digits + u64::from(is_half && (is_more || digits % 2 == 1));
        // The implicit leading bit increments the exponent.
        let magnitude = f64::from_bits((((last - SMALLEST) as u64) << 52) + rounded);
        if is_negative { 0.0 - magnitude } else { magnitude }
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use num_rational::BigRational;
    use num_traits::{One, Zero};
    use proptest::prelude::*;

    use super::*;
    use crate::stats::element::Element;

    fn exact(x: f64) -> BigRational {
        BigRational::from_float(x).unwrap()
    }

    /// Returns whether neither neighbour of a number is nearer to the exact result.
    fn is_nearest(found: f64, [lower, higher, fraction]: [f64; 3]) -> bool {
        let [low, high, part] = [lower, higher, fraction].map(exact);
        let wanted = &low + (high - &low) * part;
        let distance =
            |x: f64| (exact(x) - &wanted) * BigInt::from(if exact(x) < wanted { -1 } else { 1 });
        let mut neighbours =
            [found.next_down(), found.next_up()].into_iter().filter(|x| x.is_finite());
        neighbours.all(|x| distance(found) <= distance(x))
    }

    fn check<A: Element>(a: A, b: A, fraction: f64, other: f64) -> Result<(), TestCaseError> {
        let (lower, higher) = if a < b { (a, b) } else { (b, a) };
        if !(lower.to_f64().is_finite() && higher.to_f64().is_finite()) {
            return Ok(());
        }
        let found = A::interpolate(lower, higher, fraction);
        let next = A::interpolate(lower, higher, other);
        prop_assert!(lower <= found && found <= higher, "{lower:?} {found:?} {higher:?}");
        prop_assert_eq!(
            found.partial_cmp(&next).filter(|order| order.is_ne()),
            if found == next { None } else { fraction.partial_cmp(&other) }
        );
        let [low, high, part] = [lower.to_f64(), higher.to_f64(), fraction].map(exact);
        let wanted = &low + (high - &low) * part;
        let [below, above] = [found.to_ordered_bits() - 1, found.to_ordered_bits() + 1]
            .map(|key| A::from_ordered_bits(key).to_f64());
        prop_assert!(!below.is_finite() || exact(below) < wanted, "{found:?}, but {wanted}");
        prop_assert!(!above.is_finite() || exact(above) > wanted, "{found:?}, but {wanted}");
        Ok(())
    }

    fn any_float() -> impl Strategy<Value = f64> {
        let bits = any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite());
        let few = prop::sample::select(vec![
            0.0,
            -0.0,
            1.0,
            -1.0,
            f64::MAX,
            f64::MIN,
            f64::from_bits(1),
            3e-320,
            0.1,
        ]);
        prop_oneof![bits, few, -10.0..10.0_f64, (-1.0..1.0_f64).prop_map(|x| x * f64::MAX)]
    }

    fn fractions() -> impl Strategy<Value = f64> {
        let any = any::<u64>()
            .prop_map(|bits| f64::from_bits(bits >> 2))
            .prop_filter("inside", |x| *x > 0.0 && *x < 1.0);
        prop_oneof![Just(0.5), f64::from_bits(1)..1.0_f64, any, Just(1.0_f64.next_down())]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..Default::default() })]
        #[test]
        fn rounded_to_nearest(a in any_float(), b in any_float(), near in 0_u64..9, fraction in fractions()) {
            for b in [b, f64::from_bits(a.to_bits() ^ near), -a, -f64::from_bits(a.to_bits() ^ near)] {
                prop_assert!(!b.is_finite() || is_nearest(interpolate(a, b, fraction), [a, b, fraction]));
            }
        }

        #[test]
        fn faithful_monotonic_and_inside_interval(
            a in any_float(), b in any_float(), near in 0_u64..9, fraction in fractions(), other in fractions(),
        ) {
            for b in [b, f64::from_bits(a.to_bits() ^ near), -f64::from_bits(a.to_bits() ^ near)] {
                prop_assume!(b.is_finite());
                check(a, b, fraction, other)?;
                check(a as f32, b as f32, fraction, other)?;
                #[cfg(feature = "half")]
                {
                    check(half::f16::from_f64(a), half::f16::from_f64(b), fraction, other)?;
                    check(half::bf16::from_f64(a), half::bf16::from_f64(b), fraction, other)?;
                }
            }
        }

        #[test]
        fn integers_are_rounded_down(a in any::<i64>(), b in any::<i64>(), fraction in fractions()) {
            fn check<A: Element + Into<i128>>(a: A, b: A, fraction: f64) -> Result<(), TestCaseError> {
                let (lower, higher) = if a < b { (a, b) } else { (b, a) };
                let [low, high]: [i128; 2] = [lower.into(), higher.into()];
                let wanted = BigRational::from(BigInt::from(high - low)) * exact(fraction);
                let found: i128 = A::interpolate(lower, higher, fraction).into();
                let part = BigRational::from(BigInt::from(found - low));
                prop_assert!(part <= wanted && wanted < part + BigRational::one());
                Ok(())
            }
            check(a, b, fraction)?;
            check(a as u64, b as u64, fraction)?;
            check(a as i32, b as i32, fraction)?;
            check(a as u16, b as u16, fraction)?;
            check(a as i8, b as i8, fraction)?;
        }
    }

    #[test]
    fn interpolate_at_range_limits() {
        let infinity = f64::INFINITY;
        let max = f64::MAX;
        assert_eq!(interpolate(-infinity, 3.0, 0.5), -infinity);
        assert_eq!(interpolate(3.0, infinity, 1e-300), infinity);
        assert!(interpolate(-infinity, infinity, 0.5).is_nan());
        assert_eq!(interpolate(-max, max, 0.5).to_bits(), 0);
        assert_eq!(interpolate(max.next_down(), max, 0.75), max);
        assert_eq!(interpolate(0.0, f64::from_bits(1), 0.5), 0.0);
        assert_eq!(interpolate(0.0, f64::from_bits(3), 0.5), f64::from_bits(2));
        assert!(exact(0.0).is_zero());
    }
}
