//! Vectorized inner loops over slices that fit in the CPU cache.
//!
//! Each kernel is plain Rust with as many interleaved sums as vectors need, compiled for several
//! CPUs and dispatched at run time. The order of operations is the same on all CPUs, so results are
//! bitwise identical.
#![forbid(unsafe_code)]

use multiversion::multiversion;

use super::terms::{Pairs, Terms, UNROLL};
use crate::chunked::PIECE_LEN;
use crate::distributed::impl_message;
use crate::stats::double::Double;
use crate::stats::element::Element;

/// The number of groups whose sums are added to a partial sum before that is added to the total.
/// Rounding errors then grow with the number of segments plus the number of groups in one, instead
/// of their product.
const GROUPS_PER_SEGMENT: usize = 32;

/// Adds the interleaved sums in pairs.
#[inline(always)]
fn fold(mut lanes: [f64; UNROLL]) -> f64 {
    let mut width = UNROLL;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}

/// Computes sums of terms.
#[inline(always)]
fn add_up<P: Terms, const N: usize>(
    terms: P,
    add: impl Fn(&mut [[f64; UNROLL]; N], usize, P::Term),
) -> [f64; N] {
    let mut all = [[0.0; UNROLL]; N];
    add_segments(terms, &mut all, add);
    all.map(fold)
}

/// Adds terms to interleaved sums, in segments.
#[inline(always)]
fn add_segments<P: Terms, const N: usize>(
    terms: P,
    all: &mut [[f64; UNROLL]; N],
    add: impl Fn(&mut [[f64; UNROLL]; N], usize, P::Term),
) {
    let len = terms.len();
    let whole = len / UNROLL * UNROLL;
    for segment in (0..whole).step_by(UNROLL * GROUPS_PER_SEGMENT) {
        let mut sums = [[0.0; UNROLL]; N];
        for start in (segment..whole.min(segment + UNROLL * GROUPS_PER_SEGMENT)).step_by(UNROLL) {
            terms.for_each_of_group(start, |lane, term| add(&mut sums, lane, term));
        }
        for (all, sums) in all.iter_mut().zip(&sums) {
            (0..UNROLL).for_each(|lane| all[lane] += sums[lane]);
        }
    }
    (whole..len).enumerate().for_each(|(lane, index)| add(all, lane, terms.get(index)));
}

/// The interleaved sums of a block whose elements arrive in pieces.
#[derive(Default)]
pub(in crate::stats) struct BlockSums([[f64; UNROLL]; 1]);

// Each piece consists of whole segments, so that the order of operations is that of all elements.
const _: () = assert!(PIECE_LEN.is_multiple_of(UNROLL * GROUPS_PER_SEGMENT));

impl BlockSums {
    /// Adds a piece; NaNs are skipped if `SKIP`.
    pub(in crate::stats) fn add<A: Element, const SKIP: bool>(&mut self, piece: &[A]) {
        add_piece::<A, SKIP>(piece, &mut self.0);
    }

    /// Returns the sum, which equals [`sum`] of all elements.
    pub(in crate::stats) fn total(self) -> f64 {
        let [sums] = self.0;
        fold(sums)
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn add_piece<A: Element, const SKIP: bool>(piece: &[A], sums: &mut [[f64; UNROLL]; 1]) {
    add_segments(piece, sums, |[sum]: &mut [_; 1], lane, element: A| {
        sum[lane] += if SKIP && element.is_nan() { 0.0 } else { element.to_f64() };
    });
}

/// Computes the sum of all elements; NaNs are skipped if `SKIP`.
pub(in crate::stats) fn sum<A: Element, const SKIP: bool>(elements: &[A]) -> f64 {
    let mut sums = BlockSums::default();
    sums.add::<A, SKIP>(elements);
    sums.total()
}

/// Computes the sums of the low and high halves of integers.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn sum_split_32<A: Element>(elements: &[A]) -> (u64, i64) {
    let mut low_sum = 0;
    let mut high_sum = 0;
    for element in elements {
        let (low, high) = element.split_32();
        low_sum += low;
        high_sum += high;
    }
    (low_sum, high_sum)
}

/// Counts the NaNs.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn count_nan<A: Element>(elements: &[A]) -> u64 {
    elements.iter().map(|element| u64::from(element.is_nan())).sum()
}

/// Computes the sums of the powers of the deviations from a value, from the first power up; NaNs
/// are skipped if `SKIP`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn powers<A: Element, const ORDER: usize, const SKIP: bool>(
    elements: &[A],
    origin: Double,
) -> [f64; ORDER] {
    add_up(elements, |sums: &mut [_; ORDER], lane, element: A| {
        let deviation = if SKIP && element.is_nan() { 0.0 } else { element.deviation(origin) };
        let mut power = 1.0;
        for sum in sums {
            power *= deviation;
            sum[lane] += power;
        }
    })
}

/// Computes the sum of the weights and the sum of the elements multiplied by their weights. If
/// `SKIP`, pairs with a NaN are skipped, and the number of remaining pairs is returned.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn weighted_sums<P: Pairs, const SKIP: bool>(pairs: P) -> [f64; 3] {
    add_up(
        pairs,
        |[weights, sums, counts]: &mut [_; 3], lane, (element, weight): (P::Element, P::Weight)| {
            let is_left_out = SKIP && (element.is_nan() || weight.is_nan());
            let weight = weight.to_f64();
            if SKIP {
                counts[lane] += if is_left_out { 0.0 } else { 1.0 };
            }
            weights[lane] += if is_left_out { 0.0 } else { weight };
            sums[lane] += if is_left_out { 0.0 } else { weight * element.to_f64() };
        },
    )
}

/// Computes the weighted sums of the deviations from a value and of their squares; pairs with a NaN
/// are skipped if `SKIP`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn weighted_powers<P: Pairs, const SKIP: bool>(
    pairs: P,
    origin: Double,
) -> [f64; 2] {
    add_up(pairs, |sums: &mut [_; 2], lane, (element, weight): (P::Element, P::Weight)| {
        let is_left_out = SKIP && (element.is_nan() || weight.is_nan());
        let deviation = if is_left_out { 0.0 } else { element.deviation(origin) };
        let first = if is_left_out { 0.0 } else { weight.to_f64() * deviation };
        sums[0][lane] += first;
        sums[1][lane] += first * deviation;
    })
}

/// The number of elements below a bracket, and of those inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::stats) struct BracketCounts {
    pub(in crate::stats) below: u64,
    pub(in crate::stats) inside: u64,
}

impl_message! { BracketCounts { below, inside } }

/// Adds to the counts of brackets (pairs of values, both inclusive). If `KEEP`, appends the
/// elements inside any bracket except for brackets of a single value. Returns the number of NaNs,
/// which are in no bracket.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn count_brackets<A: Element, const KEEP: bool>(
    elements: &[A],
    brackets: &[(A, A)],
    tallies: &mut [BracketCounts],
    kept: &mut Vec<A>,
) -> u64 {
    // CPUs have no comparison of 16-bit floats, so these are compared as integers, of which NaNs
    // are the largest.
    let key =
        |element: A| element.to_ordered_bits().wrapping_sub(A::RANGE.0.to_ordered_bits()) as u16;
    let is_half = size_of::<A>() == 2 && A::HAS_NAN;
    let is_below = |a: A, b: A| if is_half { key(a) < key(b) } else { a < b };
    let is_not_above = |a: A, b: A| if is_half { key(a) <= key(b) } else { a <= b };
    // One bit for each element. The elements that are processed for each bracket stay in the L1
    // cache.
    const GROUP: usize = u64::BITS as usize;
    const GROUPS: usize = 16;
    let mut nans = 0;
    for chunk in elements.chunks(GROUP * GROUPS) {
        let (groups, rest) = chunk.as_chunks::<GROUP>();
        let mut masks = [0_u64; GROUPS];
        let mut wanted_rest = 0;
        for (&(low, high), count_brackets) in brackets.iter().zip(&mut *tallies) {
            let kept = if KEEP && low != high { u64::MAX } else { 0 };
            let mut add = |below: u64, not_above: u64| {
                count_brackets.below += u64::from(below.count_ones());
                count_brackets.inside += u64::from((not_above & !below).count_ones());
                not_above & !below & kept
            };
            for (mask, group) in masks.iter_mut().zip(groups) {
                let mut below = 0;
                let mut not_above = 0;
                for (bit, &element) in group.iter().enumerate() {
                    below |= u64::from(is_below(element, low)) << bit;
                    not_above |= u64::from(is_not_above(element, high)) << bit;
                }
                *mask |= add(below, not_above);
            }
            let mut below = 0;
            let mut not_above = 0;
            for (bit, &element) in rest.iter().enumerate() {
                below |= u64::from(is_below(element, low)) << bit;
                not_above |= u64::from(is_not_above(element, high)) << bit;
            }
            wanted_rest |= add(below, not_above);
        }
        if A::HAS_NAN {
            nans += chunk.iter().map(|element| u64::from(element.is_nan())).sum::<u64>();
        }
        if KEEP {
            for (mut mask, group) in masks.into_iter().zip(groups).filter(|&(mask, _)| mask != 0) {
                while mask != 0 {
                    kept.push(group[mask.trailing_zeros() as usize]);
                    mask &= mask - 1;
                }
            }
            kept.extend(
                rest.iter()
                    .enumerate()
                    .filter(|(bit, _)| wanted_rest >> bit & 1 == 1)
                    .map(|(_, &element)| element),
            );
        }
    }
    nans
}

/// Counts the elements below a value.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn count_below<A: Element>(elements: &[A], value: A) -> u64 {
    elements.iter().map(|&element| u64::from(element < value)).sum()
}

/// Counts, for each lane of a row, whether its element is below its bracket, and whether it is not
/// above it.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn count_lanes<A: Element>(
    row: &[A],
    lows: &[A],
    highs: &[A],
    below: &mut [u32],
    not_above: &mut [u32],
) {
    let len = row.len();
    let lows = &lows[..len];
    let highs = &highs[..len];
    let below = &mut below[..len];
    let not_above = &mut not_above[..len];
    for lane in 0..len {
        below[lane] += u32::from(row[lane] < lows[lane]);
        not_above[lane] += u32::from(row[lane] <= highs[lane]);
    }
}

/// Computes a bit mask of the elements of a row that are inside the bracket of their lane.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn inside_lanes<A: Element>(
    row: &[A],
    lows: &[A],
    highs: &[A],
    masks: &mut [u64],
) {
    const GROUP: usize = u64::BITS as usize;
    let groups = row.chunks(GROUP).zip(lows.chunks(GROUP).zip(highs.chunks(GROUP)));
    for ((row, (lows, highs)), mask) in groups.zip(masks) {
        *mask = 0;
        for bit in 0..row.len().min(lows.len()).min(highs.len()) {
            *mask |= u64::from((row[bit] >= lows[bit]) & (row[bit] <= highs[bit])) << bit;
        }
    }
}

/// Returns the smallest and the largest element that are not NaN, and whether there is a NaN;
/// `None` if the slice is empty or contains only NaNs.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn min_max<A: Element>(elements: &[A]) -> Option<(A, A, bool)> {
    let first = elements.iter().copied().find(|element| !element.is_nan())?;
    let mut low = [first; UNROLL];
    let mut high = [first; UNROLL];
    let mut nan = [0_u64; UNROLL];
    let (groups, rest) = elements.as_chunks::<UNROLL>();
    for group in groups {
        for lane in 0..UNROLL {
            // Comparisons with NaN are false.
            low[lane] = if group[lane] < low[lane] { group[lane] } else { low[lane] };
            high[lane] = if group[lane] > high[lane] { group[lane] } else { high[lane] };
            nan[lane] |= u64::from(group[lane].is_nan());
        }
    }
    for (lane, &element) in rest.iter().enumerate() {
        low[lane] = if element < low[lane] { element } else { low[lane] };
        high[lane] = if element > high[lane] { element } else { high[lane] };
        nan[lane] |= u64::from(element.is_nan());
    }
    let low = low.into_iter().fold(first, |low, x| if x < low { x } else { low });
    let high = high.into_iter().fold(first, |high, x| if x > high { x } else { high });
    Some((low, high, nan.contains(&1)))
}
