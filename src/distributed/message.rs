//! Values as bytes.
//!
//! Numbers are little-endian, and lengths precede elements. Floats keep all bits.
#![forbid(unsafe_code)]

use ndarray::Array2;

use crate::error::Result;

/// A value that can be sent to other ranks.
///
/// The names of the methods are long because they are methods of every element type, also in user code.
pub trait Message: Sized {
    /// Appends the bytes of the value.
    #[doc(hidden)]
    fn encode_message(&self, bytes: &mut Vec<u8>);

    /// Removes the bytes of a value from the front; `None` if they are not a value.
    #[doc(hidden)]
    fn decode_message(bytes: &mut &[u8]) -> Option<Self>;
}

/// Conversion of a partial result to bytes and back.
pub(crate) struct Codec<'c, T> {
    pub(crate) encode: Box<Encode<'c, T>>,
    pub(crate) decode: Box<Decode<'c, T>>,
}

type Encode<'c, T> = dyn Fn(&T, &mut Vec<u8>) -> Result<()> + Sync + 'c;
type Decode<'c, T> = dyn Fn(&mut &[u8]) -> Option<T> + Sync + 'c;

impl<'c, T: Message + 'c> Codec<'c, T> {
    pub(crate) fn of_message() -> Self {
        Self {
            encode: Box::new(|value, bytes| {
                value.encode_message(bytes);
                Ok(())
            }),
            decode: Box::new(T::decode_message),
        }
    }
}

impl<'c, T: 'c> Codec<'c, T> {
    /// Converts a list of values.
    pub(crate) fn list(self) -> Codec<'c, Vec<T>> {
        let Self { encode, decode } = self;
        Codec {
            encode: Box::new(move |values, bytes| {
                values.len().encode_message(bytes);
                values.iter().try_for_each(|value| encode(value, bytes))
            }),
            decode: Box::new(move |bytes| {
                let len = usize::decode_message(bytes)?;
                let value = |_| {
                    let before = bytes.len();
                    // A value without bytes could be repeated forever.
                    decode(bytes).filter(|_| bytes.len() < before)
                };
                (0..len).map(value).collect()
            }),
        }
    }

    /// Converts a pair of a message and a value.
    pub(crate) fn with<K: Message + 'c>(self) -> Codec<'c, (K, T)> {
        let Self { encode, decode } = self;
        Codec {
            encode: Box::new(move |(key, value), bytes| {
                key.encode_message(bytes);
                encode(value, bytes)
            }),
            decode: Box::new(move |bytes| Some((K::decode_message(bytes)?, decode(bytes)?))),
        }
    }
}

/// Implements [`Message`] for a struct whose fields are messages.
macro_rules! impl_message {
    ($name:ty { $($field:ident),* } $(where [$($generics:tt)*])?) => {
        impl $(<$($generics)*>)? $crate::distributed::Message for $name {
            fn encode_message(&self, bytes: &mut Vec<u8>) {
                $($crate::distributed::Message::encode_message(&self.$field, bytes);)*
            }

            fn decode_message(bytes: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: $crate::distributed::Message::decode_message(bytes)?),* })
            }
        }
    };
}
pub(crate) use impl_message;

/// Implements the methods of [`Accumulator`](crate::Accumulator) that send its state, for a type
/// that is a [`Message`].
macro_rules! state_is_message {
    () => {
        fn write_state(&self, bytes: &mut Vec<u8>) -> $crate::error::Result<()> {
            $crate::distributed::Message::encode_message(self, bytes);
            Ok(())
        }

        fn read_state(bytes: &mut &[u8]) -> Option<Self> {
            $crate::distributed::Message::decode_message(bytes)
        }
    };
}
pub(crate) use state_is_message;

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Message for $number {
            fn encode_message(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn decode_message(bytes: &mut &[u8]) -> Option<Self> {
                bytes.split_off(..size_of::<Self>())?.try_into().ok().map(Self::from_le_bytes)
            }
        }
    )*};
}
numbers! { f32 f64 i8 i16 i32 i64 i128 u8 u16 u32 u64 }
#[cfg(feature = "half")]
numbers! { half::f16 half::bf16 }

/// Ranks may have pointers of different sizes.
macro_rules! sizes {
    ($($size:ty as $wide:ty;)*) => {$(
        impl Message for $size {
            fn encode_message(&self, bytes: &mut Vec<u8>) {
                (*self as $wide).encode_message(bytes);
            }

            fn decode_message(bytes: &mut &[u8]) -> Option<Self> {
                <$wide>::decode_message(bytes)?.try_into().ok()
            }
        }
    )*};
}
sizes! { usize as u64; isize as i64; }

impl Message for bool {
    fn encode_message(&self, bytes: &mut Vec<u8>) {
        u8::from(*self).encode_message(bytes);
    }

    fn decode_message(bytes: &mut &[u8]) -> Option<Self> {
        match u8::decode_message(bytes)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<T: Message> Message for Option<T> {
    fn encode_message(&self, bytes: &mut Vec<u8>) {
        self.is_some().encode_message(bytes);
        if let Some(value) = self {
            value.encode_message(bytes);
        }
    }

    fn decode_message(bytes: &mut &[u8]) -> Option<Self> {
        if bool::decode_message(bytes)? { T::decode_message(bytes).map(Some) } else { Some(None) }
    }
}

impl<T: Message> Message for Vec<T> {
    fn encode_message(&self, bytes: &mut Vec<u8>) {
        self.len().encode_message(bytes);
        self.iter().for_each(|value| value.encode_message(bytes));
    }

    fn decode_message(bytes: &mut &[u8]) -> Option<Self> {
        let len = usize::decode_message(bytes)?;
        // Every element has a byte at least, so a length that is too large allocates nothing.
        let mut values = Vec::with_capacity(len.min(bytes.len() / size_of::<T>().max(1)));
        for _ in 0..len {
            values.push(T::decode_message(bytes)?);
        }
        Some(values)
    }
}

impl<T: Message, const LEN: usize> Message for [T; LEN] {
    fn encode_message(&self, bytes: &mut Vec<u8>) {
        self.iter().for_each(|value| value.encode_message(bytes));
    }

    fn decode_message(bytes: &mut &[u8]) -> Option<Self> {
        let values = (0..LEN).map(|_| T::decode_message(bytes)).collect::<Option<Vec<_>>>()?;
        values.try_into().ok()
    }
}

impl Message for String {
    fn encode_message(&self, bytes: &mut Vec<u8>) {
        self.len().encode_message(bytes);
        bytes.extend_from_slice(self.as_bytes());
    }

    fn decode_message(bytes: &mut &[u8]) -> Option<Self> {
        let len = usize::decode_message(bytes)?;
        String::from_utf8(bytes.split_off(..len)?.to_vec()).ok()
    }
}

impl<T: Message> Message for Array2<T> {
    fn encode_message(&self, bytes: &mut Vec<u8>) {
        [self.nrows(), self.ncols()].encode_message(bytes);
        self.len().encode_message(bytes);
        self.iter().for_each(|value| value.encode_message(bytes));
    }

    fn decode_message(bytes: &mut &[u8]) -> Option<Self> {
        let shape = <[usize; 2]>::decode_message(bytes)?;
        Array2::from_shape_vec(shape, Vec::decode_message(bytes)?).ok()
    }
}

macro_rules! tuples {
    ($($($name:ident $index:tt)+;)*) => {$(
        impl<$($name: Message),+> Message for ($($name,)+) {
            fn encode_message(&self, bytes: &mut Vec<u8>) {
                $(self.$index.encode_message(bytes);)+
            }

            fn decode_message(bytes: &mut &[u8]) -> Option<Self> {
                Some(($($name::decode_message(bytes)?,)+))
            }
        }
    )*};
}
tuples! { A 0 B 1; A 0 B 1 C 2; }

impl Message for () {
    fn encode_message(&self, _bytes: &mut Vec<u8>) {}

    fn decode_message(_bytes: &mut &[u8]) -> Option<Self> {
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: Message + PartialEq + std::fmt::Debug>(value: T) {
        let mut bytes = Vec::new();
        value.encode_message(&mut bytes);
        let mut rest = &bytes[..];
        assert_eq!(T::decode_message(&mut rest).as_ref(), Some(&value));
        assert!(rest.is_empty());
        for len in 0..bytes.len() {
            assert_eq!(
                T::decode_message(&mut &bytes[..len]),
                None,
                "{len} of {} bytes",
                bytes.len()
            );
        }
    }

    #[test]
    fn values_survive_and_incomplete_values_are_refused() {
        check((1_u8, -2_i128, [0.5_f64; 3]));
        check(vec![Some(String::from("lane")), None]);
        check((usize::MAX, isize::MIN, true));
        check(Array2::from_shape_fn((2, 3), |(i, j)| i + j));
        let mut bytes = Vec::new();
        (f64::NAN.to_bits() | 7).encode_message(&mut bytes);
        assert_eq!(f64::decode_message(&mut &bytes[..]).unwrap().to_bits(), f64::NAN.to_bits() | 7);
    }

    #[test]
    fn wrong_values_are_refused() {
        assert_eq!(bool::decode_message(&mut &[2][..]), None);
        let mut huge = Vec::new();
        usize::MAX.encode_message(&mut huge);
        assert_eq!(Vec::<u64>::decode_message(&mut &huge[..]), None);
        assert_eq!(String::decode_message(&mut &huge[..]), None);
    }
}
