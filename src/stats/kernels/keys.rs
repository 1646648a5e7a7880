//! Keys of elements of one or two bytes: order-preserving integers from 0, with NaNs last.
#![forbid(unsafe_code)]

use std::ops::AddAssign;

use crate::stats::element::Element;

/// Returns the number of keys.
pub(in crate::stats) const fn keys_of<A>() -> usize {
    1 << (8 * size_of::<A>())
}

/// Returns the number of tables in which elements are counted by key. The tables of one-byte
/// elements fit in the L1 cache.
pub(in crate::stats) const fn tables_of<A>() -> usize {
    if size_of::<A>() == 1 { 4 } else { 1 }
}

/// Unsigned integers of the width of an element, used for keys and counts.
pub(in crate::stats) trait KeyInt:
    Copy + Default + PartialOrd + AddAssign + From<bool> + Into<u64>
{
    /// Converts from a key, truncating the high bits.
    fn from_ordered_bits(key: u16) -> Self;

    fn to_ordered_bits(self) -> u16;
}

macro_rules! key_ints {
    ($($int:ty)*) => {$(
        impl KeyInt for $int {
            #[inline(always)]
            fn from_ordered_bits(key: u16) -> Self {
                key as Self
            }

            #[inline(always)]
            fn to_ordered_bits(self) -> u16 {
                self.into()
            }
        }
    )*};
}
key_ints! { u8 u16 }

/// Returns the order-preserving integer of an element, from 0.
#[inline(always)]
pub(in crate::stats) fn key<A: Element>(element: A) -> u16 {
    let key = element.to_ordered_bits().wrapping_sub(A::RANGE.0.to_ordered_bits()) as u16;
    if size_of::<A>() == 1 { key & 0xFF } else { key }
}

/// Returns the element of a key.
pub(in crate::stats) fn from_ordered_bits<A: Element>(key: u16) -> A {
    A::from_ordered_bits(A::RANGE.0.to_ordered_bits().wrapping_add(key.into()))
}
