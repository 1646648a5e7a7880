//! The kinds of numbers in files, and their conversion to the element type of an array.
#![forbid(unsafe_code)]

use bytemuck::{AnyBitPattern, pod_read_unaligned};

use super::dtype::Dtype;
use super::element::NpyElement;
use super::scalar::{FOREIGN, NATIVE};
use crate::extend::extend;

/// An element type to which the numbers of an `.npy` file are converted while they are read:
/// `f32`, `f64` and all integers. This trait is sealed.
///
/// [`LazyArray::open_npy`](crate::LazyArray::open_npy) requires it.
#[diagnostic::on_unimplemented(
    message = "numbers of a file are not converted to `{Self}`",
    label = "expected `f32`, `f64` or an integer",
    note = "open files of other elements with `ArrayFile`, and convert them with `chunked().map(..)`"
)]
pub trait NumericElement: NpyElement + Send + Sync + sealed::Sealed {
    #[doc(hidden)]
    const KIND: NumberKind;

    /// Returns the function that appends converted numbers, which are passed as bytes in native
    /// byte order.
    #[doc(hidden)]
    fn decoder(from: NumberKind) -> Decoder<Self>;
}

/// A function that converts the bytes of numbers and appends these.
pub(in crate::storage) type Decoder<A> = fn(&[u8], &mut Vec<A>);

/// A kind of numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberKind {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    F32,
    F64,
}

impl NumberKind {
    /// Returns the kind of a dtype, and whether its numbers are in the other byte order.
    pub(super) fn of(dtype: &Dtype) -> Option<(Self, bool)> {
        let kind = match dtype.descr().strip_prefix([NATIVE, FOREIGN, '|'])? {
            "b1" => Self::Bool,
            "i1" => Self::I8,
            "i2" => Self::I16,
            "i4" => Self::I32,
            "i8" => Self::I64,
            "u1" => Self::U8,
            "u2" => Self::U16,
            "u4" => Self::U32,
            "u8" => Self::U64,
            "f2" => Self::F16,
            "f4" => Self::F32,
            "f8" => Self::F64,
            _ => return None,
        };
        Some((kind, dtype.descr().starts_with(FOREIGN)))
    }

    /// Returns the Rust type of the numbers.
    pub(in crate::storage) fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// Returns whether every value has the same value in another kind.
    pub(super) fn is_exact_in(self, other: Self) -> bool {
        let (digits, is_signed, is_float) = self.range();
        let (other_digits, other_is_signed, other_is_float) = other.range();
        digits <= other_digits && (other_is_signed || !is_signed) && (other_is_float || !is_float)
    }

    /// Returns the number of binary digits, whether there are negative values, and whether these
    /// are floating-point numbers. Floats of more digits also have a wider range of exponents.
    fn range(self) -> (u32, bool, bool) {
        match self {
            Self::Bool => (1, false, false),
            Self::I8 => (7, true, false),
            Self::I16 => (15, true, false),
            Self::I32 => (31, true, false),
            Self::I64 => (63, true, false),
            Self::U8 => (8, false, false),
            Self::U16 => (16, false, false),
            Self::U32 => (32, false, false),
            Self::U64 => (64, false, false),
            Self::F16 => (11, true, true),
            Self::F32 => (24, true, true),
            Self::F64 => (53, true, true),
        }
    }
}

/// Converts each number of `S` in the bytes, and appends it.
#[inline(always)]
fn decode<S: AnyBitPattern, A>(bytes: &[u8], elements: &mut Vec<A>, convert: impl Fn(S) -> A) {
    let numbers = bytes.chunks_exact(size_of::<S>()).map(pod_read_unaligned);
    extend(elements, numbers.map(convert));
}

/// Converts to `f32`, which is exact.
#[inline(always)]
fn f32_of_half(bits: u16) -> f32 {
    // The exponents of the two types differ by 112. The product is exact for subnormal numbers,
    // too.
    const SCALE: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let value = f32::from_bits(magnitude) * SCALE;
    let special = if magnitude >= 0x7c00 << 13 { f32::INFINITY.to_bits() } else { 0 };
    let sign = u32::from(bits & 0x8000) << 16;
    f32::from_bits(value.to_bits() | special | sign)
}

/// Converts an integer to a float, rounded to nearest.
macro_rules! rounded {
    ($value:ident as $to:ty) => {
        $value as $to
    };
}

/// Converts an integer to the nearest value of an integer type.
macro_rules! saturated {
    ($value:ident as $to:ty) => {
        i128::from($value).clamp(<$to>::MIN as i128, <$to>::MAX as i128) as $to
    };
}

macro_rules! numeric_elements {
    ($($element:ident $kind:expr, $of_integer:ident;)*) => {$(
        impl sealed::Sealed for $element {}

        impl NumericElement for $element {
            const KIND: NumberKind = $kind;

            fn decoder(from: NumberKind) -> Decoder<Self> {
                match from {
                    NumberKind::Bool => |bytes, to| decode(bytes, to, |x: u8| u8::from(x != 0) as Self),
                    NumberKind::I8 => |bytes, to| decode(bytes, to, |x: i8| $of_integer!(x as Self)),
                    NumberKind::I16 => |bytes, to| decode(bytes, to, |x: i16| $of_integer!(x as Self)),
                    NumberKind::I32 => |bytes, to| decode(bytes, to, |x: i32| $of_integer!(x as Self)),
                    NumberKind::I64 => |bytes, to| decode(bytes, to, |x: i64| $of_integer!(x as Self)),
                    NumberKind::U8 => |bytes, to| decode(bytes, to, |x: u8| $of_integer!(x as Self)),
                    NumberKind::U16 => |bytes, to| decode(bytes, to, |x: u16| $of_integer!(x as Self)),
                    NumberKind::U32 => |bytes, to| decode(bytes, to, |x: u32| $of_integer!(x as Self)),
                    NumberKind::U64 => |bytes, to| decode(bytes, to, |x: u64| $of_integer!(x as Self)),
                    NumberKind::F16 => |bytes, to| decode(bytes, to, |x| f32_of_half(x) as Self),
                    NumberKind::F32 => |bytes, to| decode(bytes, to, |x: f32| x as Self),
                    NumberKind::F64 => |bytes, to| decode(bytes, to, |x: f64| x as Self),
                }
            }
        }
    )*};
}
numeric_elements! {
    i8 NumberKind::I8, saturated;
    i16 NumberKind::I16, saturated;
    i32 NumberKind::I32, saturated;
    i64 NumberKind::I64, saturated;
    isize if size_of::<isize>() == 8 { NumberKind::I64 } else { NumberKind::I32 }, saturated;
    u8 NumberKind::U8, saturated;
    u16 NumberKind::U16, saturated;
    u32 NumberKind::U32, saturated;
    u64 NumberKind::U64, saturated;
    usize if size_of::<usize>() == 8 { NumberKind::U64 } else { NumberKind::U32 }, saturated;
    f32 NumberKind::F32, rounded;
    f64 NumberKind::F64, rounded;
}

mod sealed {
    pub trait Sealed {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "half")]
    fn every_half_is_converted() {
        for bits in 0..=u16::MAX {
            let expected = half::f16::from_bits(bits).to_f32_const();
            let found = f32_of_half(bits);
            let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
            assert!(same, "{bits:#06x}: {found} is not {expected}");
            assert_eq!(found.is_sign_negative(), expected.is_sign_negative());
        }
    }

    #[test]
    fn conversions_to_kinds_of_all_digits_are_exact() {
        use NumberKind::*;
        let kinds = [Bool, I8, I16, I32, I64, U8, U16, U32, U64, F16, F32, F64];
        let exact = |from: NumberKind| -> Vec<&str> {
            kinds.into_iter().filter(|&to| from.is_exact_in(to)).map(NumberKind::name).collect()
        };
        assert_eq!(exact(Bool).len(), 12);
        assert_eq!(exact(I8), ["i8", "i16", "i32", "i64", "f16", "f32", "f64"]);
        assert_eq!(exact(I16), ["i16", "i32", "i64", "f32", "f64"]);
        assert_eq!(exact(I32), ["i32", "i64", "f64"]);
        assert_eq!(exact(I64), ["i64"]);
        assert_eq!(
            exact(U8),
            ["i16", "i32", "i64", "u8", "u16", "u32", "u64", "f16", "f32", "f64"]
        );
        assert_eq!(exact(U16), ["i32", "i64", "u16", "u32", "u64", "f32", "f64"]);
        assert_eq!(exact(U32), ["i64", "u32", "u64", "f64"]);
        assert_eq!(exact(U64), ["u64"]);
        assert_eq!(exact(F16), ["f16", "f32", "f64"]);
        assert_eq!(exact(F32), ["f32", "f64"]);
        assert_eq!(exact(F64), ["f64"]);
    }
}
