//! The inner loops, over slices that stay in a processor's cache, in the widest vectors the processor has.
//!
//! Each is plain Rust with as many sums side by side as vectors need, compiled several times: the processor decides which
//! one runs. The order of all operations is the same in each, so are the results, to the last bit.
#![forbid(unsafe_code)]

use multiversion::multiversion;

use super::super::double::Double;
use super::super::element::Element;
use super::terms::{LANES, Pairs, Terms};

/// Groups of elements whose sums are added up before they are added to those of the groups before: rounding errors then grow
/// with the number of such stretches, and of groups in one, but not with the product.
const STRETCH: usize = 32;

/// Adds lanes in pairs.
#[inline(always)]
fn fold(mut lanes: [f64; LANES]) -> f64 {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}

/// Adds up terms in lanes, in stretches.
#[inline(always)]
fn add_up<P: Terms, const N: usize>(
    terms: P,
    add: impl Fn(&mut [[f64; LANES]; N], usize, P::Term),
) -> [f64; N] {
    let (len, mut all) = (terms.len(), [[0.0; LANES]; N]);
    let whole = len / LANES * LANES;
    for stretch in (0..whole).step_by(LANES * STRETCH) {
        let mut sums = [[0.0; LANES]; N];
        for begin in (stretch..whole.min(stretch + LANES * STRETCH)).step_by(LANES) {
            terms.for_each_of_group(begin, |lane, term| add(&mut sums, lane, term));
        }
        for (all, sums) in all.iter_mut().zip(&sums) {
            (0..LANES).for_each(|lane| all[lane] += sums[lane]);
        }
    }
    (whole..len).enumerate().for_each(|(lane, index)| add(&mut all, lane, terms.get(index)));
    all.map(fold)
}

/// The sum of all elements; of those that are not NaN if `SKIP`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn sum<A: Element, const SKIP: bool>(elements: &[A]) -> f64 {
    let [sum] = add_up(elements, |[sum]: &mut [_; 1], lane, element: A| {
        sum[lane] += if SKIP && element.is_nan() { 0.0 } else { element.to_f64() };
    });
    sum
}

/// The sums of both halves of integers.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn sum_of_halves<A: Element>(elements: &[A]) -> (u64, i64) {
    let (mut low_sum, mut high_sum) = (0, 0);
    for element in elements {
        let (low, high) = element.halves();
        low_sum += low;
        high_sum += high;
    }
    (low_sum, high_sum)
}

/// The number of NaNs.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn count_nan<A: Element>(elements: &[A]) -> u64 {
    elements.iter().map(|element| u64::from(element.is_nan())).sum()
}

/// The sums of the powers of the deviations from a value, from the first power on; of elements that are not NaN if `SKIP`.
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

/// The sum of weights, and of elements times weights; without pairs that have a NaN if `SKIP`, and the number of others then.
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

/// The weighted sums of the deviations from a value and of their squares; without pairs that have a NaN if `SKIP`.
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

/// How many elements lie below a bracket, and how many inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::stats) struct BracketCounts {
    pub(in crate::stats) below: u64,
    pub(in crate::stats) inside: u64,
}

/// Adds to the tallies of brackets (two values, both included). If `KEEP`, appends the elements inside any bracket, except
/// those of one value. Returns the number of NaNs, which are in none.
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
    // Floats of two bytes are compared as integers, of which NaNs are the largest: the processor has no comparison of them.
    let key =
        |element: A| element.to_ordered_bits().wrapping_sub(A::ENDS.0.to_ordered_bits()) as u16;
    let is_half = size_of::<A>() == 2 && A::HAS_NAN;
    let is_below = |a: A, b: A| if is_half { key(a) < key(b) } else { a < b };
    let is_not_above = |a: A, b: A| if is_half { key(a) <= key(b) } else { a <= b };
    // A bit for each element; what is gone through for each bracket stays in the first cache.
    const GROUP: usize = u64::BITS as usize;
    const GROUPS: usize = 16;
    let mut nans = 0;
    for strip in elements.chunks(GROUP * GROUPS) {
        let (groups, rest) = strip.as_chunks::<GROUP>();
        let (mut wanted, mut wanted_rest) = ([0_u64; GROUPS], 0);
        for (&(low, high), count_brackets) in brackets.iter().zip(&mut *tallies) {
            let kept = if KEEP && low != high { u64::MAX } else { 0 };
            let mut add = |below: u64, not_above: u64| {
                count_brackets.below += u64::from(below.count_ones());
                count_brackets.inside += u64::from((not_above & !below).count_ones());
                not_above & !below & kept
            };
            for (wanted, group) in wanted.iter_mut().zip(groups) {
                let (mut below, mut not_above) = (0, 0);
                for (bit, &element) in group.iter().enumerate() {
                    below |= u64::from(is_below(element, low)) << bit;
                    not_above |= u64::from(is_not_above(element, high)) << bit;
                }
                *wanted |= add(below, not_above);
            }
            let (mut below, mut not_above) = (0, 0);
            for (bit, &element) in rest.iter().enumerate() {
                below |= u64::from(is_below(element, low)) << bit;
                not_above |= u64::from(is_not_above(element, high)) << bit;
            }
            wanted_rest |= add(below, not_above);
        }
        if A::HAS_NAN {
            nans += strip.iter().map(|element| u64::from(element.is_nan())).sum::<u64>();
        }
        if KEEP {
            for (mut wanted, group) in
                wanted.into_iter().zip(groups).filter(|&(wanted, _)| wanted != 0)
            {
                while wanted != 0 {
                    kept.push(group[wanted.trailing_zeros() as usize]);
                    wanted &= wanted - 1;
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

/// The number of elements below a value.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn count_below<A: Element>(elements: &[A], value: A) -> u64 {
    elements.iter().map(|&element| u64::from(element < value)).sum()
}

/// Adds, for each element of a row, whether it is below a bracket of its own, and whether it is not above it.
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
    let (lows, highs, below, not_above) =
        (&lows[..len], &highs[..len], &mut below[..len], &mut not_above[..len]);
    for lane in 0..len {
        below[lane] += u32::from(row[lane] < lows[lane]);
        not_above[lane] += u32::from(row[lane] <= highs[lane]);
    }
}

/// A bit for each element of a row, whether it is inside a bracket of its own.
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

/// The smallest and the largest element, and whether any is NaN; of those that are not NaN where there are some.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn extremes<A: Element>(elements: &[A]) -> Option<(A, A, bool)> {
    let first = elements.iter().copied().find(|element| !element.is_nan())?;
    let (mut low, mut high, mut nan) = ([first; LANES], [first; LANES], [0_u64; LANES]);
    let (groups, rest) = elements.as_chunks::<LANES>();
    for group in groups {
        for lane in 0..LANES {
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
