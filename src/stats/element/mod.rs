//! The element types that statistics support.
#![forbid(unsafe_code)]

mod floats;
mod integers;

use std::fmt::Debug;
use std::ops::AddAssign;

use super::double::Double;
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

    /// True if fourth powers of elements may overflow or underflow an `f64`.
    #[doc(hidden)]
    const HAS_WIDE_RANGE: bool;

    /// True if elements may have more significant bits than an `f64`, as 64-bit integers do.
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

mod sealed {
    pub trait Sealed {}
}
