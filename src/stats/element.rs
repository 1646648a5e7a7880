//! The element types that statistics support.
#![forbid(unsafe_code)]

use std::fmt::Debug;
use std::ops::AddAssign;

use super::double::{Double, scaled};
use super::kernels::BlockSums;
use super::passes::Passes;
use crate::chunked::BlockElements;
use crate::distributed::Message;
use crate::error::Result;

/// An element type that statistics support: `f32`, `f64`, all integers, and with the feature `half`
/// its `f16` and `bf16`. This trait is sealed.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{Result, prelude::*, stats::Element};
///
/// /// Returns the distance of the largest element from the mean, in standard deviations.
/// fn largest_score<A: Element, D: Dimension>(array: &ArrayRef<A, D>) -> Result<f64> {
///     let summary = array.chunked().summary()?;
///     Ok((summary.max.to_f64() - summary.mean) / summary.std)
/// }
///
/// assert_eq!(largest_score(&array![1_u8, 3])?, 1.0);
/// assert_eq!(largest_score(&array![[1.0_f32, 3.0]])?, 1.0);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no statistics",
    label = "expected `f32`, `f64`, an integer, or with the feature `half` `f16` or `bf16`",
    note = "for other elements, implement `Accumulator` and call `accumulate`"
)]
pub trait Element:
    Copy + PartialOrd + Debug + Send + Sync + Message + Passes + sealed::Sealed + 'static
{
    /// The type of sums: `f64` for floats, and `i128` for integers, whose sums are exact.
    type Sum: Copy + Debug + Default + PartialEq + AddAssign + Message + Send + Sync;

    /// Converts to `f64`, rounding integers of more than 53 bits.
    fn to_f64(self) -> f64;

    /// Returns whether the element is NaN; always `false` for integers.
    fn is_nan(self) -> bool;

    /// Whether fourth powers of elements may overflow or underflow an `f64`.
    #[doc(hidden)]
    const HAS_WIDE_RANGE: bool;

    /// Whether elements may have more significant bits than an `f64`, as 64-bit integers do.
    #[doc(hidden)]
    const IS_LONG: bool;

    /// Converts without loss of precision.
    #[doc(hidden)]
    fn to_double(self) -> Double;

    /// The 64-bit type that represents all elements exactly.
    #[doc(hidden)]
    const NUMBER: Number;

    /// Returns the bits of the element converted to that 64-bit type.
    #[doc(hidden)]
    fn to_wide_bits(self) -> u64;

    /// Returns the difference from a value, whose low word is only used if elements are
    /// [long](Self::IS_LONG).
    #[doc(hidden)]
    fn deviation(self, from: Double) -> f64;

    /// Maps to an integer in the same order, such that adjacent elements map to adjacent integers.
    /// NaNs map below or above all numbers.
    #[doc(hidden)]
    fn to_ordered_bits(self) -> u64;

    #[doc(hidden)]
    fn from_ordered_bits(key: u64) -> Self;

    /// Returns `lower + (higher - lower) * fraction`, rounded to the type.
    #[doc(hidden)]
    fn interpolate(lower: Self, higher: Self, fraction: f64) -> Self;

    #[doc(hidden)]
    const HAS_NAN: bool;

    /// The minimum of an empty input: NaN for floats, unused for integers.
    #[doc(hidden)]
    const EMPTY: Self;

    /// Converts to the type of sums.
    #[doc(hidden)]
    fn to_sum(self) -> Self::Sum;

    /// Adds rows to the sums of lanes.
    #[doc(hidden)]
    fn sum_rows(rows: &[&[Self]], sums: &mut [Self::Sum], skip_nan: bool);

    /// Splits an integer into its low 32 bits and its high 32 bits, the latter with the sign.
    #[doc(hidden)]
    fn split_32(self) -> (u64, i64);

    /// The smallest and the largest value.
    #[doc(hidden)]
    const RANGE: (Self, Self);

    #[doc(hidden)]
    fn sum(elements: &[Self], skip_nan: bool) -> Self::Sum;

    /// Sums the elements of a block, with the bits of [`sum`](Self::sum) of all of them, and counts
    /// those that are not skipped.
    #[doc(hidden)]
    fn sum_of_block(block: &dyn BlockElements<Self>, skip_nan: bool) -> Result<(Self::Sum, u64)>;

    /// Sums floats in a unit of `2^exponent`.
    #[doc(hidden)]
    fn sum_in_unit(elements: &[Self], skip_nan: bool, exponent: i32) -> Self::Sum;

    #[doc(hidden)]
    fn mean_from_sum(sum: Self::Sum, count: u64) -> f64;

    /// Multiplies a sum of floats by a power of two.
    #[doc(hidden)]
    fn scaled_sum(sum: Self::Sum, exponent: i32) -> Self::Sum;

    /// Adds two sums. Sums of integers saturate, which requires more elements than any computer can
    /// read.
    #[doc(hidden)]
    fn add_sums(first: Self::Sum, second: Self::Sum) -> Self::Sum;

    /// Returns whether a sum is neither infinite nor NaN.
    #[doc(hidden)]
    fn is_finite_sum(sum: Self::Sum) -> bool;
}

/// The 64-bit types that represent all elements exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Number {
    /// `f64`, for all floats and for integers of up to 32 bits.
    Float,
    /// `i64`, for signed 64-bit integers.
    Signed,
    /// `u64`, for unsigned 64-bit integers.
    Unsigned,
}

macro_rules! floats {
    ($($float:ty: $bits:ty, $to_f64:expr, $from_f64:expr;)*) => {$(
        impl sealed::Sealed for $float {}

        impl Element for $float {
            type Sum = f64;

            #[inline(always)]
            fn to_f64(self) -> f64 {
                $to_f64(self)
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                self != self
            }

            const HAS_WIDE_RANGE: bool = size_of::<$float>() == 8;
            const IS_LONG: bool = false;

            #[inline(always)]
            fn to_double(self) -> Double {
                Double::new(self.to_f64())
            }

            const NUMBER: Number = Number::Float;

            #[inline(always)]
            fn to_wide_bits(self) -> u64 {
                self.to_f64().to_bits()
            }

            #[inline(always)]
            fn deviation(self, from: Double) -> f64 {
                self.to_f64() - from.hi
            }

            #[inline(always)]
            fn to_sum(self) -> f64 {
                self.to_f64()
            }

            #[inline(always)]
            fn to_ordered_bits(self) -> u64 {
                // A sign and a magnitude, mapped to an integer that counts from the most negative
                // number. Both zeros map to the same integer.
                let bits = self.to_bits();
                let top = 1 << (<$bits>::BITS - 1);
                u64::from(if bits & top == 0 { bits | top } else { bits.wrapping_neg() })
            }

            #[inline(always)]
            fn from_ordered_bits(key: u64) -> Self {
                let key = key as $bits;
                let top = 1 << (<$bits>::BITS - 1);
                Self::from_bits(if key & top == 0 { key.wrapping_neg() } else { key & !top })
            }

            fn interpolate(lower: Self, higher: Self, fraction: f64) -> Self {
                let value = if fraction == 0.0 || lower == higher {
                    lower
                } else {
                    let [low, high] = [lower, higher].map(Self::to_f64);
                    $from_f64(super::selection::interpolate(low, high, fraction))
                };
                // The sign of a zero would depend on the order of a pass, so the result is always
                // the positive zero.
                if value == Self::from_bits(0) { Self::from_bits(0) } else { value }
            }

            const HAS_NAN: bool = true;
            const EMPTY: Self = Self::NAN;

            fn sum_rows(rows: &[&[Self]], sums: &mut [f64], skip_nan: bool) {
                if skip_nan {
                    super::kernels::rows::sum::<Self, true>(rows, sums)
                } else {
                    super::kernels::rows::sum::<Self, false>(rows, sums)
                }
            }

            fn split_32(self) -> (u64, i64) {
                (0, 0)
            }

            const RANGE: (Self, Self) = (Self::NEG_INFINITY, Self::INFINITY);

            fn sum(elements: &[Self], skip_nan: bool) -> f64 {
                if skip_nan {
                    super::kernels::sum::<Self, true>(elements)
                } else {
                    super::kernels::sum::<Self, false>(elements)
                }
            }

            fn sum_of_block(
                block: &dyn BlockElements<Self>,
                skip_nan: bool,
            ) -> Result<(f64, u64)> {
                let (mut sums, mut count) = (BlockSums::default(), 0);
                block.for_each_piece(&mut |piece| {
                    count += piece.len() as u64;
                    if skip_nan {
                        count -= super::kernels::count_nan(piece);
                        sums.add::<Self, true>(piece);
                    } else {
                        sums.add::<Self, false>(piece);
                    }
                })?;
                Ok((sums.total(), count))
            }

            fn sum_in_unit(elements: &[Self], skip_nan: bool, exponent: i32) -> f64 {
                let elements: Vec<_> =
                    elements.iter().map(|element| scaled(element.to_f64(), -exponent)).collect();
                <f64 as Element>::sum(&elements, skip_nan)
            }

            fn mean_from_sum(sum: f64, count: u64) -> f64 {
                sum / count as f64
            }

            #[inline(always)]
            fn add_sums(first: f64, second: f64) -> f64 {
                first + second
            }

            fn scaled_sum(sum: f64, exponent: i32) -> f64 {
                scaled(sum, exponent)
            }

            #[inline(always)]
            fn is_finite_sum(sum: f64) -> bool {
                sum.is_finite()
            }
        }
    )*};
}
floats! {
    f32: u32, f64::from, |x: f64| x as f32;
    f64: u64, std::convert::identity, std::convert::identity;
}
#[cfg(feature = "half")]
floats! {
    half::f16: u16, f64::from, half::f16::from_f64;
    half::bf16: u16, f64::from, half::bf16::from_f64;
}

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
                let mut low = [0; super::kernels::rows::PANEL_WIDTH];
                let mut high = [0; super::kernels::rows::PANEL_WIDTH];
                // The sums of halves do not overflow for this number of rows.
                for rows in rows.chunks(1 << 16) {
                    super::kernels::rows::sum_split_32(rows, &mut low, &mut high);
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
                let pieces = elements.chunks(PIECE).map(super::kernels::sum_split_32);
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

mod sealed {
    pub trait Sealed {}
}

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
