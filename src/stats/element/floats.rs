//! Floats as elements.
#![forbid(unsafe_code)]

use super::{Element, Number, sealed};
use crate::chunked::BlockElements;
use crate::error::Result;
use crate::stats::double::{Double, scaled};
use crate::stats::kernels::{self, BlockSums};
use crate::stats::selection::interpolate;

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
                    $from_f64(interpolate(low, high, fraction))
                };
                // The sign of a zero would depend on the order of a pass, so the result is always
                // the positive zero.
                if value == Self::from_bits(0) { Self::from_bits(0) } else { value }
            }

            const HAS_NAN: bool = true;
            const EMPTY: Self = Self::NAN;

            fn sum_rows(rows: &[&[Self]], sums: &mut [f64], skip_nan: bool) {
                if skip_nan {
                    kernels::rows::sum::<Self, true>(rows, sums)
                } else {
                    kernels::rows::sum::<Self, false>(rows, sums)
                }
            }

            fn split_32(self) -> (u64, i64) {
                (0, 0)
            }

            const RANGE: (Self, Self) = (Self::NEG_INFINITY, Self::INFINITY);

            fn sum(elements: &[Self], skip_nan: bool) -> f64 {
                if skip_nan {
                    kernels::sum::<Self, true>(elements)
                } else {
                    kernels::sum::<Self, false>(elements)
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
                        count -= kernels::count_nan(piece);
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
