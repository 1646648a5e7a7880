//! The inner loops, over slices that stay in a processor's cache, in the widest vectors the processor has.
//!
//! Each is plain Rust with as many sums side by side as vectors need, compiled several times: the processor decides which
//! one runs. The order of all operations is the same in each, so are the results, to the last bit.
#![forbid(unsafe_code)]

use multiversion::multiversion;

use super::element::Element;

/// Sums side by side.
const LANES: usize = 32;

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

/// The sum of all elements; of those that are not NaN if `SKIP`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn sum<A: Element, const SKIP: bool>(elements: &[A]) -> f64 {
    let term = |element: A| if SKIP && element.is_nan() { 0.0 } else { element.to_f64() };
    let (groups, rest) = elements.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for group in groups {
        for lane in 0..LANES {
            lanes[lane] += term(group[lane]);
        }
    }
    for (lane, &element) in rest.iter().enumerate() {
        lanes[lane] += term(element);
    }
    fold(lanes)
}

/// The sums of both halves of integers.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn sum_of_halves<A: Element>(elements: &[A]) -> (u64, i64) {
    let (mut low_sum, mut high_sum) = (0, 0);
    for element in elements {
        let (low, high) = element.halves();
        low_sum += low;
        high_sum += high;
    }
    (low_sum, high_sum)
}

/// The number of NaNs.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn count_nan<A: Element>(elements: &[A]) -> u64 {
    elements.iter().map(|element| u64::from(element.is_nan())).sum()
}

/// The sums of the first `ORDER` powers (4 at most) of the deviations from a value; of elements that are not NaN if `SKIP`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn powers<A: Element, const ORDER: usize, const SKIP: bool>(elements: &[A], from: f64) -> [f64; ORDER] {
    let deviation = |element: A| if SKIP && element.is_nan() { 0.0 } else { element.to_f64() - from };
    let mut sums = [[0.0; LANES]; ORDER];
    let mut add = |lane: usize, element: A| {
        let mut power = 1.0;
        for sum in &mut sums {
            power *= deviation(element);
            sum[lane] += power;
        }
    };
    let (groups, rest) = elements.as_chunks::<LANES>();
    for group in groups {
        group.iter().enumerate().for_each(|(lane, &element)| add(lane, element));
    }
    for (lane, &element) in rest.iter().enumerate() {
        add(lane, element);
    }
    sums.map(fold)
}

/// Appends the elements from `low` to `high`, and returns how many are below `low`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn collect<A: Element>(elements: &[A], low: A, high: A, inside: &mut Vec<A>) -> u64 {
    const GROUP: usize = 16;
    let is_inside = |element: A| element >= low && element <= high;
    let (groups, rest) = elements.as_chunks::<GROUP>();
    let mut below = 0;
    for group in groups {
        let (mut below_here, mut any) = (0_u32, false);
        for element in group {
            below_here += u32::from(*element < low);
            any |= is_inside(*element);
        }
        below += u64::from(below_here);
        if any {
            inside.extend(group.iter().copied().filter(|&element| is_inside(element)));
        }
    }
    below += rest.iter().map(|element| u64::from(*element < low)).sum::<u64>();
    inside.extend(rest.iter().copied().filter(|&element| is_inside(element)));
    below
}

/// The smallest and the largest element, and whether any is NaN; of those that are not NaN where there are some.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn extremes<A: Element>(elements: &[A]) -> Option<(A, A, bool)> {
    let first = elements.iter().copied().find(|element| !element.is_nan())?;
    let (mut low, mut high, mut nan) = ([first; LANES], [first; LANES], [false; LANES]);
    let (groups, rest) = elements.as_chunks::<LANES>();
    for group in groups {
        for lane in 0..LANES {
            // Comparisons with NaN are false.
            low[lane] = if group[lane] < low[lane] { group[lane] } else { low[lane] };
            high[lane] = if group[lane] > high[lane] { group[lane] } else { high[lane] };
            nan[lane] |= group[lane].is_nan();
        }
    }
    for (lane, &element) in rest.iter().enumerate() {
        low[lane] = if element < low[lane] { element } else { low[lane] };
        high[lane] = if element > high[lane] { element } else { high[lane] };
        nan[lane] |= element.is_nan();
    }
    let low = low.into_iter().fold(first, |low, x| if x < low { x } else { low });
    let high = high.into_iter().fold(first, |high, x| if x > high { x } else { high });
    Some((low, high, nan.contains(&true)))
}
