//! The element types that have statistics.
#![forbid(unsafe_code)]

use std::fmt::Debug;
use std::ops::AddAssign;

/// An element type that has statistics: `f32`, `f64`, all integers, and with the feature `half` its `f16` and `bf16`.
/// Sealed.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{Result, prelude::*, stats::Element};
///
/// /// How many standard deviations the largest element lies from the mean.
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
    message = "there are no statistics of `{Self}`",
    label = "statistics are of `f32`, `f64`, all integers, and with the feature `half` of `f16` and `bf16`",
    note = "for other elements write an `Accumulator`, and have `accumulate` run it"
)]
pub trait Element: Copy + PartialOrd + Debug + Send + Sync + sealed::Sealed + 'static {
    /// The type of sums: `f64` for floats, `i128` for integers, whose sums are exact.
    type Sum: Copy + Debug + Default + PartialEq + AddAssign + Send + Sync;

    /// The value as `f64`; rounded where an integer has more than 53 bits.
    fn to_f64(self) -> f64;

    /// Whether it is NaN. Never for integers.
    fn is_nan(self) -> bool;

    /// Its place in the order, as an integer: neighbours are one apart. NaNs come before or after all numbers.
    #[doc(hidden)]
    fn to_key(self) -> u64;

    #[doc(hidden)]
    fn from_key(key: u64) -> Self;

    /// `lower + (higher - lower) * fraction`, rounded as the type rounds.
    #[doc(hidden)]
    fn between(lower: Self, higher: Self, fraction: f64) -> Self;

    #[doc(hidden)]
    const HAS_NAN: bool;

    /// What stands for the least of nothing: NaN; of integers there is always one.
    #[doc(hidden)]
    const MISSING: Self;

    /// Adds rows to the sums of lanes.
    #[doc(hidden)]
    fn sum_rows(rows: &[&[Self]], sums: &mut [Self::Sum], skip_nan: bool);

    /// The lower and the upper 32 bits of an integer, the upper ones with its sign.
    #[doc(hidden)]
    fn halves(self) -> (u64, i64);

    /// The smallest and the largest value.
    #[doc(hidden)]
    const ENDS: (Self, Self);

    #[doc(hidden)]
    fn sum(elements: &[Self], skip_nan: bool) -> Self::Sum;

    #[doc(hidden)]
    fn mean_of(sum: Self::Sum, count: u64) -> f64;
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

            fn to_key(self) -> u64 {
                // A sign and a magnitude, as an integer that counts from the most negative number. Both zeros are one.
                let bits = self.to_bits();
                let top = 1 << (<$bits>::BITS - 1);
                u64::from(if bits & top == 0 { bits | top } else { bits.wrapping_neg() })
            }

            fn from_key(key: u64) -> Self {
                let key = key as $bits;
                let top = 1 << (<$bits>::BITS - 1);
                Self::from_bits(if key & top == 0 { key.wrapping_neg() } else { key & !top })
            }

            fn between(lower: Self, higher: Self, fraction: f64) -> Self {
                // Not of infinities, whose difference is no number.
                let (low, high) = (lower.to_f64(), higher.to_f64());
                if fraction == 0.0 || lower == higher {
                    // Which of the two zeros is found depends on where a pass begins: always the positive one, then.
                    return $from_f64(low + 0.0);
                }
                let difference = high - low;
                // Halves, where the difference is too large for a float.
                let value = match difference.is_finite() || !(low.is_finite() && high.is_finite()) {
                    true => low + difference * fraction,
                    false => low * (1.0 - fraction) + high * fraction,
                };
                $from_f64(value)
            }

            const HAS_NAN: bool = true;
            const MISSING: Self = Self::NAN;

            fn sum_rows(rows: &[&[Self]], sums: &mut [f64], skip_nan: bool) {
                match skip_nan {
                    true => super::kernels::rows::sum::<Self, true>(rows, sums),
                    false => super::kernels::rows::sum::<Self, false>(rows, sums),
                }
            }

            fn halves(self) -> (u64, i64) {
                (0, 0)
            }

            const ENDS: (Self, Self) = (Self::NEG_INFINITY, Self::INFINITY);

            fn sum(elements: &[Self], skip_nan: bool) -> f64 {
                match skip_nan {
                    true => super::kernels::sum::<Self, true>(elements),
                    false => super::kernels::sum::<Self, false>(elements),
                }
            }

            fn mean_of(sum: f64, count: u64) -> f64 {
                sum / count as f64
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

            fn to_key(self) -> u64 {
                (self as i64 as u64) ^ if <$integer>::MIN == 0 { 0 } else { 1 << 63 }
            }

            fn from_key(key: u64) -> Self {
                (key ^ if <$integer>::MIN == 0 { 0 } else { 1 << 63 }) as Self
            }

            fn between(lower: Self, higher: Self, fraction: f64) -> Self {
                // The distance, which may not fit the type itself, is rounded down; so the value is.
                let distance = higher.abs_diff(lower) as u64;
                let part = match distance >> 53 {
                    0 => (distance as f64 * fraction) as u64,
                    // More digits than an `f64` has: in units of 2^-64.
                    _ => ((u128::from(distance) * (fraction * 2_f64.powi(64)) as u128) >> 64) as u64,
                };
                lower.wrapping_add(part as Self)
            }

            const HAS_NAN: bool = false;
            const MISSING: Self = 0;

            fn sum_rows(rows: &[&[Self]], sums: &mut [i128], _skip_nan: bool) {
                let (mut low, mut high) = ([0; super::kernels::rows::WIDTH], [0; super::kernels::rows::WIDTH]);
                // Fewer rows than would make the sum of halves overflow.
                for rows in rows.chunks(1 << 16) {
                    super::kernels::rows::sum_of_halves(rows, &mut low, &mut high);
                    for ((sum, low), high) in sums.iter_mut().zip(&mut low).zip(&mut high) {
                        *sum += i128::from(std::mem::take(low)) + (i128::from(std::mem::take(high)) << 32);
                    }
                }
            }

            #[inline(always)]
            fn halves(self) -> (u64, i64) {
                let wide = self as i64 as u64;
                (wide & 0xFFFF_FFFF, if <$integer>::MIN == 0 { (wide >> 32) as i64 } else { self as i64 >> 32 })
            }

            const ENDS: (Self, Self) = (Self::MIN, Self::MAX);

            fn sum(elements: &[Self], _skip_nan: bool) -> i128 {
                // The halves of 64 bits, each summed in 64: as few at a time as cannot overflow.
                const PIECE: usize = 1 << 30;
                const { assert!(PIECE as u64 <= i64::MAX as u64 / u32::MAX as u64) };
                let pieces = elements.chunks(PIECE).map(super::kernels::sum_of_halves);
                pieces.map(|(low, high)| i128::from(low) + (i128::from(high) << 32)).sum()
            }

            fn mean_of(sum: i128, count: u64) -> f64 {
                // Rounded once: the whole part and the rest apart.
                let count = i128::from(count);
                (sum / count) as f64 + (sum % count) as f64 / count as f64
            }
        }
    )*};
}
integers! { i8 i16 i32 i64 isize u8 u16 u32 u64 usize }

mod sealed {
    pub trait Sealed {}
}
