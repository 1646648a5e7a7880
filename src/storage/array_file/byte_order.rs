//! The conversion between the bytes of numbers in a file and in memory.
#![forbid(unsafe_code)]

use multiversion::multiversion;
use num_complex::Complex;

/// The byte order of the numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum ByteOrder {
    /// The native one: the bytes are those of the elements.
    Native,
    /// Reversed bytes in numbers of `width` bytes.
    Swapped { width: usize },
}

impl ByteOrder {
    /// Returns the big-endian or little-endian order of the numbers of a type.
    pub(super) fn of<A: SwapBytes>(big_endian: bool) -> Self {
        match A::WIDTH {
            width @ 2.. if big_endian != cfg!(target_endian = "big") => Self::Swapped { width },
            _ => Self::Native,
        }
    }

    /// Converts whole elements, in either direction.
    pub(in crate::storage) fn convert(self, bytes: &mut [u8]) {
        match self {
            Self::Native => {}
            Self::Swapped { width: 2 } => swap_u16(bytes),
            Self::Swapped { width: 4 } => swap_u32(bytes),
            Self::Swapped { width: 8 } => swap_u64(bytes),
            Self::Swapped { width } => bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse),
        }
    }
}

macro_rules! swap {
    ($($name:ident $uint:ty;)*) => {$(
        #[multiversion(targets("x86_64+avx2", "x86_64+ssse3"))]
        fn $name(bytes: &mut [u8]) {
            for number in bytes.as_chunks_mut().0 {
                *number = <$uint>::from_ne_bytes(*number).swap_bytes().to_ne_bytes();
            }
        }
    )*};
}
swap! { swap_u16 u16; swap_u32 u32; swap_u64 u64; }

/// A type that consists of numbers of one size, whose bytes can be swapped: integers,
/// floating-point and complex numbers, and arrays of them.
///
/// [`ArrayFile::big_endian`](crate::ArrayFile::big_endian) and its counterparts require it. The
/// trait is sealed.
pub trait SwapBytes: sealed::Sealed {
    /// The size of the numbers in bytes.
    const WIDTH: usize;
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl sealed::Sealed for $number {}
        impl SwapBytes for $number {
            const WIDTH: usize = size_of::<Self>();
        }
    )*};
}
numbers! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 }
#[cfg(feature = "half")]
numbers! { half::f16 half::bf16 }

impl<T: SwapBytes> sealed::Sealed for Complex<T> {}
impl<T: SwapBytes> SwapBytes for Complex<T> {
    const WIDTH: usize = T::WIDTH;
}

impl<T: SwapBytes, const N: usize> sealed::Sealed for [T; N] {}
impl<T: SwapBytes, const N: usize> SwapBytes for [T; N] {
    const WIDTH: usize = T::WIDTH;
}

mod sealed {
    pub trait Sealed {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_each_number_are_reversed() {
        for len in [0, 48, 96, 4_800] {
            let bytes: Vec<u8> = (0..len).map(|index: usize| index.to_le_bytes()[0]).collect();
            for width in [2, 3, 4, 8, 12, 16] {
                let mut swapped = bytes.clone();
                ByteOrder::Swapped { width }.convert(&mut swapped);
                let reversed = bytes.chunks(width).flat_map(|number| number.iter().rev());
                assert!(swapped.iter().eq(reversed), "{width}");
                ByteOrder::Swapped { width }.convert(&mut swapped);
                assert_eq!(swapped, bytes);
            }
            let mut native = bytes.clone();
            ByteOrder::Native.convert(&mut native);
            assert_eq!(native, bytes);
        }
    }

    #[test]
    fn width_is_that_of_the_numbers() {
        assert_eq!(
            [f64::WIDTH, <[f32; 3]>::WIDTH, Complex::<f64>::WIDTH, <[Complex<f32>; 2]>::WIDTH],
            [8, 4, 8, 4]
        );
        let native = cfg!(target_endian = "big");
        assert_eq!(ByteOrder::of::<i16>(native), ByteOrder::Native);
        assert_eq!(ByteOrder::of::<[i16; 3]>(!native), ByteOrder::Swapped { width: 2 });
        assert_eq!(ByteOrder::of::<u8>(!native), ByteOrder::Native);
    }
}
