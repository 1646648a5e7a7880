//! The element types that have statistics.
#![forbid(unsafe_code)]

use std::fmt::Debug;
use std::ops::AddAssign;

/// An element type that has statistics: `f32`, `f64`, all integers, and with the feature `half` its `f16` and `bf16`.
/// Sealed.
pub trait Element: Copy + PartialOrd + Debug + Send + Sync + sealed::Sealed + 'static {
    /// The type of sums: `f64` for floats, `i128` for integers, whose sums are exact.
    type Sum: Copy + Debug + Default + PartialEq + AddAssign + Send + Sync;

    /// The value as `f64`; rounded where an integer has more than 53 bits.
    fn to_f64(self) -> f64;

    /// Whether it is NaN. Never for integers.
    fn is_nan(self) -> bool;

    #[doc(hidden)]
    fn sum(elements: &[Self], skip_nan: bool) -> Self::Sum;

    #[doc(hidden)]
    fn mean_of(sum: Self::Sum, count: u64) -> f64;
}

macro_rules! floats {
    ($($float:ty: $to_f64:expr;)*) => {$(
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
    f32: f64::from;
    f64: std::convert::identity;
}
#[cfg(feature = "half")]
floats! {
    half::f16: f64::from;
    half::bf16: f64::from;
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

            fn sum(elements: &[Self], _skip_nan: bool) -> i128 {
                // The halves of 64 bits, each summed in 64: a block has far less than 2^31 elements.
                let (low, high) = super::kernels::sum_of_halves(elements, |element| {
                    let wide = element as i64 as u64;
                    (wide & 0xFFFF_FFFF, if <$integer>::MIN == 0 { (wide >> 32) as i64 } else { element as i64 >> 32 })
                });
                i128::from(low) + (i128::from(high) << 32)
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
