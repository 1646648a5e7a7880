//! Vectorized inner loops over the keys of elements of one or two bytes: order-preserving integers
//! from 0, with NaNs last.
#![forbid(unsafe_code)]

use std::ops::AddAssign;

use multiversion::multiversion;

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

/// Counts have the width of the keys and do not overflow within this number of vectors, which stay
/// in the L1 cache.
const VECTORS: usize = u8::MAX as usize;

/// The number of elements of a vector.
const BYTES: usize = 64;
const PAIRS: usize = 32;

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

/// Adds the number of elements whose keys are below the first key of a bracket, at most the first
/// key, below its last key, and at most the last key. If `table` is not empty, also counts the
/// elements of each key in between, which should be few.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn count_in_bracket<A: Element>(
    elements: &[A],
    (low, high): (u16, u16),
    counts: &mut [u64; 4],
    table: &mut [u64],
) {
    match size_of::<A>() {
        1 => elements.chunks(BYTES * VECTORS).for_each(|chunk| {
            count_in::<A, u8, BYTES>(
                chunk,
                |element| key(element) as u8,
                (low as u8, high as u8),
                counts,
                table,
            );
        }),
        _ => elements.chunks(PAIRS * VECTORS).for_each(|chunk| {
            count_in::<A, u16, PAIRS>(chunk, key, (low, high), counts, table);
        }),
    }
}

#[inline(always)]
fn count_in<A: Element, K: KeyInt, const LANES: usize>(
    elements: &[A],
    key: impl Fn(A) -> K,
    (low, high): (K, K),
    counts: &mut [u64; 4],
    table: &mut [u64],
) {
    let has_table = !table.is_empty();
    let is_between = |key: K| (key > low) & (key < high);
    let mut add = |key: K| {
        // The file may be modified concurrently, so this may be another element.
        if let Some(count) = table.get_mut(key.into().wrapping_sub(low.into() + 1) as usize) {
            *count += 1;
        }
    };
    let mut below = [[K::default(); LANES]; 4];
    let (groups, rest) = elements.as_chunks::<LANES>();
    // The vectors with any element in between are collected without a branch, which would be
    // mispredicted.
    let mut positions = [0_u8; VECTORS + 1];
    let mut found = 0;
    for (group, position) in groups.iter().zip(0..) {
        for lane in 0..LANES {
            let key = key(group[lane]);
            below[0][lane] += K::from(key < low);
            below[1][lane] += K::from(key <= low);
            below[2][lane] += K::from(key < high);
            below[3][lane] += K::from(key <= high);
        }
        let mut any = false;
        for &element in group {
            any |= is_between(key(element));
        }
        positions[found % (VECTORS + 1)] = position;
        found += usize::from(any);
    }
    for (count, below) in counts.iter_mut().zip(below) {
        *count += below.into_iter().map(Into::into).sum::<u64>();
    }
    if has_table {
        for &position in positions.iter().take(found) {
            let group = &groups[usize::from(position)];
            let mut between = 0_u64;
            for (lane, &element) in group.iter().enumerate() {
                between |= u64::from(is_between(key(element))) << lane;
            }
            while between != 0 {
                add(key(group[between.trailing_zeros() as usize % LANES]));
                between &= between - 1;
            }
        }
    }
    for key in rest.iter().map(|&element| key(element)) {
        let is_below = [key < low, key <= low, key < high, key <= high];
        counts.iter_mut().zip(is_below).for_each(|(count, is_below)| *count += u64::from(is_below));
        if has_table && is_between(key) {
            add(key);
        }
    }
}

/// Counts the elements of each key in [`tables_of`] tables in turn, to be added at the end.
/// Consecutive increments of the same count would each wait for the previous store.
pub(in crate::stats) fn count_keys<A: Element>(elements: &[A], tables: &mut [u64]) {
    const TABLES: usize = tables_of::<u8>();
    let keys = keys_of::<A>();
    if size_of::<A>() > 1 {
        let table = &mut tables[..keys];
        return elements.iter().for_each(|&element| table[usize::from(key(element))] += 1);
    }
    let mut tables = tables.chunks_exact_mut(keys);
    let mut tables: [_; TABLES] = std::array::from_fn(|_| tables.next().unwrap_or_default());
    let (groups, rest) = elements.as_chunks::<TABLES>();
    for group in groups {
        tables
            .iter_mut()
            .zip(group)
            .for_each(|(table, &element)| table[usize::from(key(element))] += 1);
    }
    rest.iter().for_each(|&element| tables[0][usize::from(key(element))] += 1);
}
