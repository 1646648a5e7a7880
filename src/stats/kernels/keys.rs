//! The inner loops over the keys of elements of one or two bytes: their places in the order, from 0, NaNs last.
#![forbid(unsafe_code)]

use std::ops::AddAssign;

use multiversion::multiversion;

use super::super::element::Element;

/// The keys there are.
pub(in crate::stats) const fn keys_of<A>() -> usize {
    1 << (8 * size_of::<A>())
}

/// The tables in which the elements of each key are counted. Those of one byte fit the first cache.
pub(in crate::stats) const fn tables_of<A>() -> usize {
    if size_of::<A>() == 1 { 4 } else { 1 }
}

/// Counts are as narrow as the keys, and do not overflow within so many vectors; those stay in the first cache.
const VECTORS: usize = u8::MAX as usize;

/// The elements of a vector.
const BYTES: usize = 64;
const PAIRS: usize = 32;

/// Numbers of as many bits as an element, of which keys and counts are.
pub(in crate::stats) trait Number:
    Copy + Default + PartialOrd + AddAssign + From<bool> + Into<u64>
{
    /// Cuts off the upper bits, if there are too many.
    fn from_ordered_bits(key: u16) -> Self;

    fn to_ordered_bits(self) -> u16;
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Number for $number {
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
numbers! { u8 u16 }

/// The place of an element in the order.
#[inline(always)]
pub(in crate::stats) fn key<A: Element>(element: A) -> u16 {
    let key = element.to_ordered_bits().wrapping_sub(A::ENDS.0.to_ordered_bits()) as u16;
    if size_of::<A>() == 1 { key & 0xFF } else { key }
}

/// The element of a key.
pub(in crate::stats) fn from_ordered_bits<A: Element>(key: u16) -> A {
    A::from_ordered_bits(A::ENDS.0.to_ordered_bits().wrapping_add(key.into()))
}

/// Counts elements about a bracket: those whose keys are below its first one, not above it, below its last one and not above
/// that. In a table, if it has room for them, those of each key between, which are few.
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
        1 => elements.chunks(BYTES * VECTORS).for_each(|some| {
            count_in::<A, u8, BYTES>(
                some,
                |element| key(element) as u8,
                (low as u8, high as u8),
                counts,
                table,
            );
        }),
        _ => elements.chunks(PAIRS * VECTORS).for_each(|some| {
            count_in::<A, u16, PAIRS>(some, key, (low, high), counts, table);
        }),
    }
}

#[inline(always)]
fn count_in<A: Element, K: Number, const LANES: usize>(
    elements: &[A],
    key: impl Fn(A) -> K,
    (low, high): (K, K),
    counts: &mut [u64; 4],
    table: &mut [u64],
) {
    let has_table = !table.is_empty();
    let is_between = |key: K| (key > low) & (key < high);
    let mut add = |key: K| {
        // A file that changes in the meantime may have another element there.
        if let Some(count) = table.get_mut(key.into().wrapping_sub(low.into() + 1) as usize) {
            *count += 1;
        }
    };
    let mut below = [[K::default(); LANES]; 4];
    let (groups, rest) = elements.as_chunks::<LANES>();
    // The vectors that have any element between are gathered without a branch, which could not be foreseen.
    let (mut places, mut found) = ([0_u8; VECTORS + 1], 0);
    for (group, place) in groups.iter().zip(0..) {
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
        places[found % (VECTORS + 1)] = place;
        found += usize::from(any);
    }
    for (count, below) in counts.iter_mut().zip(below) {
        *count += below.into_iter().map(Into::into).sum::<u64>();
    }
    if has_table {
        for &place in places.iter().take(found) {
            let group = &groups[usize::from(place)];
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

/// Counts the elements of each key, in [`tables_of`] tables one after the other, which are added up at the end: it takes a
/// while until what was added to a count can be added to again.
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
