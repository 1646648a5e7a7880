//! Vectorized inner loops across lanes: each element of a row belongs to another lane. Like the
//! kernels for slices, they are compiled for several CPUs, with bitwise identical results.
//!
//! Each lane processes its elements in order, so the result does not depend on the width of rows or
//! on the number of rows processed at once.
#![forbid(unsafe_code)]

use multiversion::multiversion;

use crate::stats::central_sums;
use crate::stats::element::Element;

/// The number of lanes that are processed at once. A row of a panel spans a page of `f64`, because
/// CPUs do not prefetch beyond a page. The sums of a panel stay in the cache.
pub(in crate::stats) const PANEL_WIDTH: usize = 512;

/// The number of rows that are processed in one step, so that sums are loaded and stored less
/// often.
pub(super) const ROWS_PER_STEP: usize = 8;

/// Splits accumulators of lanes into panels, each with the same columns of the rows.
pub(in crate::stats) fn panels<'l, 't, T, A>(
    lanes: &'l mut [&'t mut T],
    rows: &[&'l [A]],
) -> impl Iterator<Item = (&'l mut [&'t mut T], Vec<&'l [A]>)> {
    lanes.chunks_mut(PANEL_WIDTH).enumerate().map(|(index, lanes)| {
        let columns = index * PANEL_WIDTH..index * PANEL_WIDTH + lanes.len();
        let rows = rows.iter().map(|row| &row[columns.clone()]).collect();
        (lanes, rows)
    })
}

/// Returns the common value of some flags, or `None` if they differ.
pub(in crate::stats) fn all_equal(mut flags: impl Iterator<Item = bool>) -> Option<bool> {
    let first = flags.next()?;
    flags.all(|flag| flag == first).then_some(first)
}

/// Adds each row; NaNs are skipped if `SKIP`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn sum<A: Element, const SKIP: bool>(rows: &[&[A]], sums: &mut [f64]) {
    let width = sums.len();
    let term = |element: A| if SKIP && element.is_nan() { 0.0 } else { element.to_f64() };
    let (groups, rest) = rows.as_chunks::<ROWS_PER_STEP>();
    for group in groups {
        let group = group.map(|row| &row[..width]);
        for lane in 0..width {
            sums[lane] = group.iter().fold(sums[lane], |sum, row| sum + term(row[lane]));
        }
    }
    for row in rest {
        let row = &row[..width];
        for lane in 0..width {
            sums[lane] += term(row[lane]);
        }
    }
}

/// Adds the low and high halves of each row.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn sum_split_32<A: Element>(rows: &[&[A]], low: &mut [u64], high: &mut [i64]) {
    for row in rows {
        for ((low, high), &element) in low.iter_mut().zip(&mut *high).zip(*row) {
            let halves = element.split_32();
            *low += halves.0;
            *high += halves.1;
        }
    }
}

/// Adds the number of NaNs of each lane.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn count_nan<A: Element>(rows: &[&[A]], counts: &mut [u64]) {
    for row in rows {
        for (count, element) in counts.iter_mut().zip(*row) {
            *count += u64::from(element.is_nan());
        }
    }
}

/// Updates which lanes contain only zeros so far, and which lanes had a small element first.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn first_small<A: Element>(
    row: &[A],
    are_zero: &mut [u64],
    are_small: &mut [u64],
) {
    for ((&element, is_zero), is_small) in row.iter().zip(are_zero).zip(are_small) {
        let magnitude = element.to_f64().abs();
        *is_small |= *is_zero & u64::from(central_sums::is_small(magnitude));
        *is_zero &= u64::from(magnitude == 0.0 || magnitude.is_nan());
    }
}

/// Adds each row multiplied by its weight; NaNs are skipped if `SKIP`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn weighted_sum<A: Element, const SKIP: bool>(
    rows: &[&[A]],
    weights: &[f64],
    sums: &mut [f64],
) {
    let width = sums.len();
    let term = |element: A, weight: f64| {
        if SKIP && element.is_nan() { 0.0 } else { weight * element.to_f64() }
    };
    let ((groups, rest), (of_groups, of_rest)) =
        (rows.as_chunks::<ROWS_PER_STEP>(), weights.as_chunks::<ROWS_PER_STEP>());
    for (group, weights) in groups.iter().zip(of_groups) {
        let group = group.map(|row| &row[..width]);
        for lane in 0..width {
            let pairs = group.iter().zip(weights);
            sums[lane] =
                pairs.fold(sums[lane], |sum, (row, &weight)| sum + term(row[lane], weight));
        }
    }
    for (row, &weight) in rest.iter().zip(of_rest) {
        let row = &row[..width];
        for lane in 0..width {
            sums[lane] += term(row[lane], weight);
        }
    }
}

/// Updates the minimum and the maximum of each lane. Comparisons with NaN are false.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn min_max<A: Element>(rows: &[&[A]], low: &mut [A], high: &mut [A]) {
    let width = low.len().min(high.len());
    let smaller = |low: A, element: A| if element < low { element } else { low };
    let larger = |high: A, element: A| if element > high { element } else { high };
    let (groups, rest) = rows.as_chunks::<ROWS_PER_STEP>();
    for group in groups {
        let group = group.map(|row| &row[..width]);
        for lane in 0..width {
            low[lane] = group.iter().fold(low[lane], |low, row| smaller(low, row[lane]));
            high[lane] = group.iter().fold(high[lane], |high, row| larger(high, row[lane]));
        }
    }
    for row in rest {
        let row = &row[..width];
        for lane in 0..width {
            low[lane] = smaller(low[lane], row[lane]);
            high[lane] = larger(high[lane], row[lane]);
        }
    }
}

/// Updates the minimum of each lane, and its row.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn arg_min<A: Element>(rows: &[&[A]], low: &mut [A], at: &mut [u32]) {
    for (index, row) in (0..).zip(rows) {
        for ((low, at), &element) in low.iter_mut().zip(&mut *at).zip(*row) {
            let better = element < *low;
            *low = if better { element } else { *low };
            *at = if better { index } else { *at };
        }
    }
}

/// Updates the maximum of each lane, and its row.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn arg_max<A: Element>(rows: &[&[A]], high: &mut [A], at: &mut [u32]) {
    for (index, row) in (0..).zip(rows) {
        for ((high, at), &element) in high.iter_mut().zip(&mut *at).zip(*row) {
            let better = element > *high;
            *high = if better { element } else { *high };
            *at = if better { index } else { *at };
        }
    }
}
