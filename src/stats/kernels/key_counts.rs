//! Vectorized inner loops that count elements of one or two bytes by key.
#![forbid(unsafe_code)]

use std::slice::ChunksExact;

use multiversion::multiversion;

use super::keys::{KeyInt, key, keys_of, tables_of};
use crate::stats::element::Element;

/// The maximum number of keys of a bracket that each element is compared with.
pub(in crate::stats) const MAX_COMPARED: usize = 4;

/// Counts have the width of the keys and do not overflow within this number of vectors.
const VECTORS: usize = u8::MAX as usize;

/// The number of vectors after which the elements inside a bracket are counted: few enough that the
/// CPU loads the next vectors meanwhile.
const VECTORS_PER_STEP: usize = 64;

/// The numbers of elements of one and of two bytes in a vector.
const BYTES: usize = 64;
const PAIRS: usize = 32;

/// A bit for each pair of a vector. Constants are vectorized better than shifts.
const LANE_BITS: [u32; PAIRS] = {
    let mut bits = [1; PAIRS];
    let mut lane = 1;
    while lane < PAIRS {
        bits[lane] = 2 * bits[lane - 1];
        lane += 1;
    }
    bits
};

/// The bytes of elements that are counted at once, which stay in the L1 cache.
pub(in crate::stats) const CHUNK_BYTES: usize = VECTORS * BYTES;

/// Adds the number of elements whose keys are below the first key of a bracket of at most
/// [`MAX_COMPARED`] keys, and the number of elements whose keys are at most each key of the bracket.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn count_up_to<A: Element>(
    elements: &[A],
    (low, high): (u16, u16),
    counts: &mut [u64; MAX_COMPARED + 1],
) {
    macro_rules! count {
        ($keys:literal) => {
            match size_of::<A>() {
                1 => count_in::<_, u8, BYTES, $keys>(elements, |x| key(x) as u8, low, counts),
                _ => count_in::<_, u16, PAIRS, $keys>(elements, key, low, counts),
            }
        };
    }
    match high - low {
        0 => count!(1),
        1 => count!(2),
        2 => count!(3),
        _ => count!(4),
    }
}

#[inline(always)]
fn count_in<A: Element, K: KeyInt, const LANES: usize, const KEYS: usize>(
    elements: &[A],
    key: impl Fn(A) -> K,
    low: u16,
    counts: &mut [u64],
) {
    let keys: [K; KEYS] = std::array::from_fn(|index| K::from_ordered_bits(low + index as u16));
    let (below, up_to) = counts.split_at_mut(1);
    for chunk in elements.chunks(LANES * VECTORS) {
        let mut are_below = [K::default(); LANES];
        let mut are_up_to = [[K::default(); LANES]; KEYS];
        let (groups, rest) = chunk.as_chunks::<LANES>();
        for group in groups {
            for lane in 0..LANES {
                let key = key(group[lane]);
                are_below[lane] += K::from(key < keys[0]);
                (0..KEYS).for_each(|end| are_up_to[end][lane] += K::from(key <= keys[end]));
            }
        }
        let total = |counts: [K; LANES]| counts.into_iter().map(Into::into).sum::<u64>();
        below[0] += total(are_below);
        up_to.iter_mut().zip(are_up_to).for_each(|(count, counts)| *count += total(counts));
        for key in rest.iter().map(|&element| key(element)) {
            below[0] += u64::from(key < keys[0]);
            up_to.iter_mut().zip(keys).for_each(|(count, end)| *count += u64::from(key <= end));
        }
    }
}

/// Adds the number of elements of two bytes whose keys are below the first key of a bracket, and
/// counts the elements of each key inside the bracket, which should be few.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn count_inside<A: Element>(
    elements: &[A],
    (low, high): (u16, u16),
    below: &mut u64,
    table: &mut [u64],
) {
    // One comparison instead of two.
    let is_inside = |key: u16| key.wrapping_sub(low) <= high - low;
    let mut add = |key: u16| {
        // The file may be modified concurrently, so this may be another element.
        if let Some(count) = table.get_mut(usize::from(key.wrapping_sub(low))) {
            *count += 1;
        }
    };
    for chunk in elements.chunks(PAIRS * usize::from(u16::MAX)) {
        let mut are_below = [0_u16; PAIRS];
        for piece in chunk.chunks(PAIRS * VECTORS_PER_STEP) {
            let (groups, rest) = piece.as_chunks::<PAIRS>();
            // The vectors with any element inside are collected without a branch, which would be
            // mispredicted.
            let mut positions = [0_u8; VECTORS_PER_STEP];
            let mut found = 0;
            for (group, position) in groups.iter().zip(0..) {
                let mut any = false;
                for lane in 0..PAIRS {
                    let key = key(group[lane]);
                    are_below[lane] += u16::from(key < low);
                    any |= is_inside(key);
                }
                positions[found % VECTORS_PER_STEP] = position;
                found += usize::from(any);
            }
            for &position in positions.iter().take(found) {
                let group = &groups[usize::from(position)];
                let mut bits = [0; PAIRS];
                for lane in 0..PAIRS {
                    bits[lane] = if is_inside(key(group[lane])) { LANE_BITS[lane] } else { 0 };
                }
                let mut inside = bits.into_iter().fold(0, |inside, bit| inside | bit);
                while inside != 0 {
                    add(key(group[inside.trailing_zeros() as usize % PAIRS]));
                    inside &= inside - 1;
                }
            }
            for key in rest.iter().map(|&element| key(element)) {
                *below += u64::from(key < low);
                if is_inside(key) {
                    add(key);
                }
            }
        }
        *below += are_below.into_iter().map(u64::from).sum::<u64>();
    }
}

/// Counts the lower bytes of the elements of two bytes in each lane whose upper bytes are given.
/// `rows` contain the elements of all lanes, and the lanes that are counted start at `start`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn count_lower_bytes<A: Element>(
    rows: ChunksExact<'_, A>,
    start: usize,
    upper: &[u16],
    tables: &mut [[u32; 256]],
) {
    let is_counted = |element: A, upper: u16| key(element) >> 8 == upper;
    let count = |elements: &[A], upper: &[u16], tables: &mut [[u32; 256]]| {
        for ((&element, &upper), table) in elements.iter().zip(upper).zip(tables) {
            let [_, lower] = key(element).to_be_bytes();
            table[usize::from(lower)] += u32::from(is_counted(element, upper));
        }
    };
    for row in rows {
        let (groups, rest) = row[start..start + upper.len()].as_chunks::<PAIRS>();
        let (uppers, rest_upper) = upper.as_chunks::<PAIRS>();
        let (of_groups, of_rest) = tables.split_at_mut(groups.len() * PAIRS);
        let of_groups = of_groups.chunks_exact_mut(PAIRS);
        for ((group, upper), tables) in groups.iter().zip(uppers).zip(of_groups) {
            // Most vectors contain no such element.
            let mut any = false;
            for lane in 0..PAIRS {
                any |= is_counted(group[lane], upper[lane]);
            }
            if any {
                count(group, upper, tables);
            }
        }
        count(rest, rest_upper, of_rest);
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
