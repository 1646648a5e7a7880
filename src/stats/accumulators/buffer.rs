//! A buffer of elements that were pushed one by one, so that they can be added as a slice.
#![forbid(unsafe_code)]

use super::scaled_sums::ScaledSums;
use crate::distributed::Message;
use crate::stats::element::{Element, Number};

/// The initial and the maximum capacity. The initial one is small because there may be many
/// accumulators with few elements.
const CAPACITY: (usize, usize) = (8, 256);

/// Buffered elements, as 64-bit numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Buffer {
    Float(Vec<f64>),
    Signed(Vec<i64>),
    Unsigned(Vec<u64>),
}

impl Buffer {
    pub(super) const fn new() -> Self {
        Self::Float(Vec::new())
    }

    /// Adds an element. Returns `false` if the buffer is full.
    #[inline(always)]
    pub(super) fn push<A: Element>(&mut self, element: A) -> bool {
        match (self, A::NUMBER) {
            (Self::Float(numbers), Number::Float) => push(numbers, element.to_f64()),
            (Self::Signed(numbers), Number::Signed) => {
                push(numbers, element.to_wide_bits().cast_signed())
            }
            (Self::Unsigned(numbers), Number::Unsigned) => push(numbers, element.to_wide_bits()),
            _ => false,
        }
    }

    /// Makes room for elements of a type; returns whether that was possible without removing
    /// elements.
    pub(super) fn make_room<A: Element>(&mut self) -> bool {
        if self.len() == 0 {
            self.become_empty(A::NUMBER);
        }
        match (self, A::NUMBER) {
            (Self::Float(numbers), Number::Float) => make_room(numbers),
            (Self::Signed(numbers), Number::Signed) => make_room(numbers),
            (Self::Unsigned(numbers), Number::Unsigned) => make_room(numbers),
            _ => false,
        }
    }

    /// Returns the number of elements.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Float(numbers) => numbers.len(),
            Self::Signed(numbers) => numbers.len(),
            Self::Unsigned(numbers) => numbers.len(),
        }
    }

    /// Returns the sums of the elements.
    pub(super) fn sums<const ORDER: usize>(&self) -> ScaledSums<ORDER> {
        match self {
            Self::Float(numbers) => ScaledSums::of_slice::<_, false>(numbers),
            Self::Signed(numbers) => ScaledSums::of_slice::<_, false>(numbers),
            Self::Unsigned(numbers) => ScaledSums::of_slice::<_, false>(numbers),
        }
    }

    /// Removes all elements.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Float(numbers) => numbers.clear(),
            Self::Signed(numbers) => numbers.clear(),
            Self::Unsigned(numbers) => numbers.clear(),
        }
    }

    /// Changes the type of an empty buffer.
    fn become_empty(&mut self, number: Number) {
        match (&*self, number) {
            (Self::Float(_), Number::Float)
            | (Self::Signed(_), Number::Signed)
            | (Self::Unsigned(_), Number::Unsigned) => {}
            (_, Number::Float) => *self = Self::Float(Vec::new()),
            (_, Number::Signed) => *self = Self::Signed(Vec::new()),
            (_, Number::Unsigned) => *self = Self::Unsigned(Vec::new()),
        }
    }
}

impl Message for Buffer {
    fn encode_message(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Float(numbers) => (0_u8.encode_message(bytes), numbers.encode_message(bytes)),
            Self::Signed(numbers) => (1_u8.encode_message(bytes), numbers.encode_message(bytes)),
            Self::Unsigned(numbers) => (2_u8.encode_message(bytes), numbers.encode_message(bytes)),
        };
    }

    fn decode_message(bytes: &mut &[u8]) -> Option<Self> {
        match u8::decode_message(bytes)? {
            0 => Vec::decode_message(bytes).map(Self::Float),
            1 => Vec::decode_message(bytes).map(Self::Signed),
            2 => Vec::decode_message(bytes).map(Self::Unsigned),
            _ => None,
        }
    }
}

#[inline(always)]
fn push<T>(numbers: &mut Vec<T>, number: T) -> bool {
    let has_room = numbers.len() < numbers.capacity();
    if has_room {
        numbers.push(number);
    }
    has_room
}

fn make_room<T>(numbers: &mut Vec<T>) -> bool {
    let capacity = numbers.capacity();
    if numbers.len() == capacity && capacity < CAPACITY.1 {
        numbers.reserve_exact((2 * capacity).clamp(CAPACITY.0, CAPACITY.1) - capacity);
    }
    numbers.len() < numbers.capacity()
}

/// The serialized form: bits, because text formats cannot represent NaN.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct BufferRepr {
    number: Number,
    bits: Vec<u64>,
}

#[cfg(feature = "serde")]
impl From<Buffer> for BufferRepr {
    fn from(buffer: Buffer) -> Self {
        match buffer {
            Buffer::Float(numbers) => Self {
                number: Number::Float,
                bits: numbers.into_iter().map(f64::to_bits).collect(),
            },
            Buffer::Signed(numbers) => Self {
                number: Number::Signed,
                bits: numbers.into_iter().map(i64::cast_unsigned).collect(),
            },
            Buffer::Unsigned(bits) => Self { number: Number::Unsigned, bits },
        }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<BufferRepr> for Buffer {
    type Error = String;

    fn try_from(BufferRepr { number, bits }: BufferRepr) -> Result<Self, String> {
        if bits.len() > CAPACITY.1 {
            return Err(format!(
                "{} buffered elements exceed the maximum of {}",
                bits.len(),
                CAPACITY.1
            ));
        }
        Ok(match number {
            Number::Float => Self::Float(bits.into_iter().map(f64::from_bits).collect()),
            Number::Signed => Self::Signed(bits.into_iter().map(u64::cast_signed).collect()),
            Number::Unsigned => Self::Unsigned(bits),
        })
    }
}
