//! Integers as elements.
#![forbid(unsafe_code)]

use super::{Element, Number, sealed};
use crate::chunked::BlockElements;
use crate::error::Result;
use crate::stats::double::{Double, scaled};
use crate::stats::kernels;

/// The powers of two whose low 32 mantissa bits represent 2^0 to 2^31 and 2^32 to 2^63,
/// respectively.
const LOW_HALF: f64 = (1_u64 << 52) as f64;
const HIGH_HALF: f64 = LOW_HALF * HALF;
const HALF: f64 = (1_u64 << 32) as f64;

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl sealed::Sealed for $integer {}

        impl Element for $integer {
            type Sum = i128;

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                false
            }

            const HAS_WIDE_RANGE: bool = false;
            const IS_LONG: bool = size_of::<$integer>() == 8;

            #[inline(always)]
            fn to_double(self) -> Double {
                let hi = self.to_f64();
                let lo = if Self::IS_LONG { (self as i128 - hi as i128) as f64 } else { 0.0 };
                Double { hi, lo }
            }

            const NUMBER: Number = match (Self::IS_LONG, <$integer>::MIN) {
                (false, _) => Number::Float,
                (true, 0) => Number::Unsigned,
                (true, _) => Number::Signed,
            };

            #[inline(always)]
            fn to_wide_bits(self) -> u64 {
                if Self::IS_LONG { self as u64 } else { self.to_f64().to_bits() }
            }

            #[inline(always)]
            fn deviation(self, from: Double) -> f64 {
                if !Self::IS_LONG {
                    return self.to_f64() - from.hi;
                }
                // Each half is converted to `f64` without a conversion instruction, by inserting it
                // as the low mantissa bits of a power of two. The difference is exact if it is less
                // than 2^53.
                let bits = self as u64;
                let sign = if <$integer>::MIN == 0 { 0 } else { 1_u64 << 31 };
                let low = f64::from_bits(LOW_HALF.to_bits() | bits & 0xffff_ffff);
                let high = f64::from_bits(HIGH_HALF.to_bits() | (bits >> 32) ^ sign);
                let whole = from.hi.round_ties_even();
                let whole_high = (whole / HALF).floor() * HALF;
                let from_low = LOW_HALF + (whole - whole_high);
                let from_high = HIGH_HALF + sign as f64 * HALF + whole_high;
                ((high - from_high) + (low - from_low)) - ((from.hi - whole) + from.lo)
            }

            #[inline(always)]
            fn to_sum(self) -> i128 {
                self as i128
            }

            #[inline(always)]
            fn to_ordered_bits(self) -> u64 {
                (self as i64 as u64) ^ if <$integer>::MIN == 0 { 0 } else { 1 << 63 }
            }

            #[inline(always)]
            fn from_ordered_bits(key: u64) -> Self {
                (key ^ if <$integer>::MIN == 0 { 0 } else { 1 << 63 }) as Self
            }

            fn interpolate(lower: Self, higher: Self, fraction: f64) -> Self {
                // The distance, which may overflow the type itself, is rounded down, and so is the
                // result. The fraction is a 53-bit integer times a power of two, so the product is
                // exact.
                let distance = higher.abs_diff(lower) as u64;
                let bits = fraction.to_bits();
                let digits = bits & ((1 << 52) - 1) | if bits >> 52 == 0 { 0 } else { 1 << 52 };
                let product = u128::from(distance) * u128::from(digits);
                let shift = 1075 - (bits >> 52).max(1) as u32;
                let part = product.checked_shr(shift).unwrap_or(0) as u64;
                lower.wrapping_add(part as Self)
            }

            const HAS_NAN: bool = false;
            const EMPTY: Self = 0;

            fn sum_rows(rows: &[&[Self]], sums: &mut [i128], _skip_nan: bool) {
                let mut low = [0; kernels::rows::PANEL_WIDTH];
                let mut high = [0; kernels::rows::PANEL_WIDTH];
                // The sums of halves do not overflow for this number of rows.
                for rows in rows.chunks(1 << 16) {
                    kernels::rows::sum_split_32(rows, &mut low, &mut high);
                    for ((sum, low), high) in sums.iter_mut().zip(&mut low).zip(&mut high) {
                        *sum += i128::from(std::mem::take(low))
                            + (i128::from(std::mem::take(high)) << 32);
                    }
                }
            }

            #[inline(always)]
            fn split_32(self) -> (u64, i64) {
                let wide = self as i64 as u64;
                let is_unsigned = <$integer>::MIN == 0;
                let high = if is_unsigned { (wide >> 32) as i64 } else { self as i64 >> 32 };
                (wide & 0xFFFF_FFFF, high)
            }

            const RANGE: (Self, Self) = (Self::MIN, Self::MAX);

            fn sum(elements: &[Self], _skip_nan: bool) -> i128 {
                // The 32-bit halves are summed in 64 bits, which do not overflow for this number of
                // elements.
                const PIECE: usize = 1 << 30;
                const { assert!(PIECE as u64 <= i64::MAX as u64 / u32::MAX as u64) };
                let pieces = elements.chunks(PIECE).map(kernels::sum_split_32);
                pieces.map(|(low, high)| i128::from(low) + (i128::from(high) << 32)).sum()
            }

            fn sum_of_block(
                block: &dyn BlockElements<Self>,
                skip_nan: bool,
            ) -> Result<(i128, u64)> {
                let (mut sum, mut count) = (0, 0);
                block.for_each_piece(&mut |piece| {
                    count += piece.len() as u64;
                    sum += Self::sum(piece, skip_nan);
                })?;
                Ok((sum, count))
            }

            fn sum_in_unit(elements: &[Self], skip_nan: bool, _exponent: i32) -> i128 {
                Self::sum(elements, skip_nan)
            }

            fn mean_from_sum(sum: i128, count: u64) -> f64 {
                // The sum is shifted left as far as possible, so that the quotient has at least 64
                // bits. Its lowest bit is set if there is a remainder, so that the conversion
                // rounds correctly, and only once.
                let magnitude = sum.unsigned_abs();
                let count = u128::from(count);
                let shift = magnitude.leading_zeros().min(127);
                let quotient = (magnitude << shift) / count;
                let rest = (magnitude << shift) % count;
                let mean = scaled((quotient | u128::from(rest != 0)) as f64, -(shift as i32));
                if sum < 0 { -mean } else { mean }
            }

            #[inline(always)]
            fn add_sums(first: i128, second: i128) -> i128 {
                first.saturating_add(second)
            }

            fn scaled_sum(sum: i128, _exponent: i32) -> i128 {
                sum
            }

            #[inline(always)]
            fn is_finite_sum(_sum: i128) -> bool {
                true
            }
        }
    )*};
}
integers! { i8 i16 i32 i64 isize u8 u16 u32 u64 usize }

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Checks the deviation of an integer from the mean of two others, which is exact below 2^53.
    fn check<A: Element>(element: A, value: i128, (first, second): (i128, i128)) {
        let sum = first + second;
        let hi = (sum as f64) / 2.0;
        let mean = Double { hi, lo: (sum - (hi * 2.0) as i128) as f64 / 2.0 };
        let twice = 2 * value - sum;
        let found = element.deviation(mean);
        let expected = twice as f64 / 2.0;
        let within = if twice.abs() < 1 << 53 { 0.0 } else { expected.abs() * 4.0 * f64::EPSILON };
        assert!(
            (found - expected).abs() <= within,
            "{value} from {mean:?}: {found}, not {expected}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn deviations_of_long_integers(
            near in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just(0), -1_i64 << 53..1 << 53],
            others in prop::array::uniform3(prop_oneof![any::<i64>(), -9_i64..9, -1_i64 << 33..1 << 33]),
        ) {
            let [x, first, second] = others.map(|step| near.wrapping_add(step));
            check(x, x.into(), (first.into(), second.into()));
            let [x, first, second] = others.map(|step| near.wrapping_add(step) as u64);
            check(x, x.into(), (first.into(), second.into()));
        }
    }
}
