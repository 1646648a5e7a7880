//! Element types: random values and their bits.

use bytemuck::Pod;
use ndarray_mmap::NpyElement;
use ndarray_mmap::stats::Element;

use crate::random::Random;

/// The distribution of the values of an array.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    Constant,
    Few,
    Ramp,
    Spread,
    /// Values of many orders of magnitude.
    Wide,
    /// Values of which some are infinite.
    Infinite,
}

pub const VALUES: [Values; 8] = [
    Values::Constant,
    Values::Few,
    Values::Ramp,
    Values::Spread,
    Values::Spread,
    Values::Spread,
    Values::Wide,
    Values::Infinite,
];

/// The bits that decide whether two results are equal. All NaNs have the same.
pub trait Bits: Copy {
    fn bits(self) -> u64;
}

pub trait Item: Element<Sum: Bits> + Bits + Pod + NpyElement {
    const DESCR: &str;
    const NAN: Option<Self>;
    fn draw(values: Values, place: usize, random: &mut Random) -> Self;
    /// Converts to an integer, to check sums of integers.
    fn integer(self) -> Option<i128>;
}

macro_rules! floats {
    ($($float:ident $descr:literal),*) => {$(
        impl Bits for $float {
            fn bits(self) -> u64 {
                if self.is_nan() { u64::MAX } else { u64::from(self.to_bits()) }
            }
        }

        impl Item for $float {
            const DESCR: &str = $descr;
            const NAN: Option<Self> = Some(Self::NAN);

            fn draw(values: Values, place: usize, random: &mut Random) -> Self {
                let bits = random.next();
                let spread = (bits >> 11) as f64 / (1_u64 << 53) as f64 * 2e3 - 1e3;
                (match values {
                    Values::Constant => 20.1,
                    Values::Few => (bits % 7) as f64 - 3.0,
                    Values::Ramp => (place % 1_000_003) as f64 * 0.1,
                    Values::Spread => spread,
                    Values::Wide => spread * 2_f64.powi((bits % 120) as i32 - 60),
                    Values::Infinite if bits % 1_000 == 0 => f64::INFINITY.copysign(spread),
                    Values::Infinite => spread,
                }) as $float
            }

            fn integer(self) -> Option<i128> {
                None
            }
        }
    )*};
}
floats! { f32 "<f4", f64 "<f8" }

macro_rules! integers {
    ($($integer:ident),*) => {$(
        impl Bits for $integer {
            fn bits(self) -> u64 {
                self as u64
            }
        }
    )*};
}
integers! { u8, i16, i64, u64, usize }

impl Bits for i128 {
    fn bits(self) -> u64 {
        self as u64 ^ ((self >> 64) as u64).rotate_left(32)
    }
}

impl<A: Bits, B: Bits> Bits for (A, B) {
    fn bits(self) -> u64 {
        self.0.bits() ^ self.1.bits().rotate_left(13)
    }
}

impl<A: Bits, B: Bits, C: Bits> Bits for (A, B, C) {
    fn bits(self) -> u64 {
        (self.0, self.1).bits() ^ self.2.bits().rotate_left(29)
    }
}

impl<A: Bits, B: Bits, C: Bits, D: Bits> Bits for (A, B, C, D) {
    fn bits(self) -> u64 {
        (self.0, self.1, self.2).bits() ^ self.3.bits().rotate_left(41)
    }
}

macro_rules! integer_items {
    ($($integer:ident $descr:literal),*) => {$(
        impl Item for $integer {
            const DESCR: &str = $descr;
            const NAN: Option<Self> = None;

            fn draw(values: Values, place: usize, random: &mut Random) -> Self {
                let bits = random.next();
                match values {
                    Values::Constant => 7,
                    Values::Few => (bits % 7) as $integer,
                    Values::Ramp => place as $integer,
                    Values::Spread | Values::Infinite => bits as $integer,
                    Values::Wide => (bits >> (bits % 64)) as $integer,
                }
            }

            fn integer(self) -> Option<i128> {
                Some(i128::from(self))
            }
        }
    )*};
}
integer_items! { u8 "|u1", i16 "<i2", i64 "<i8" }
