//! The inner loops across lanes: rows go by, and each of their elements belongs to another lane. As the kernels for slices,
//! compiled for several processors, with the same bits on each.
//!
//! A lane takes its elements one after the other, so it does not matter to it how wide rows are and how many come at once.
#![forbid(unsafe_code)]

use multiversion::multiversion;

use super::element::Element;

/// How many lanes are gone through at a time.
pub(super) const WIDTH: usize = 64;

/// The lanes of accumulators, a few at a time, with the same columns of the rows.
pub(super) fn strips<'l, 't, T, A>(
    lanes: &'l mut [&'t mut T],
    rows: &[&'l [A]],
) -> impl Iterator<Item = (&'l mut [&'t mut T], Vec<&'l [A]>)> {
    lanes.chunks_mut(WIDTH).enumerate().map(|(number, lanes)| {
        let columns = number * WIDTH..number * WIDTH + lanes.len();
        let rows = rows.iter().map(|row| &row[columns.clone()]).collect();
        (lanes, rows)
    })
}

/// Whether all accumulators leave NaNs out, or none; `None` if some do.
pub(super) fn uniform(mut flags: impl Iterator<Item = bool>) -> Option<bool> {
    let first = flags.next()?;
    flags.all(|flag| flag == first).then_some(first)
}

/// Adds each row; without NaNs if `SKIP`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn sum<A: Element, const SKIP: bool>(rows: &[&[A]], sums: &mut [f64]) {
    for row in rows {
        for (sum, &element) in sums.iter_mut().zip(*row) {
            *sum += if SKIP && element.is_nan() { 0.0 } else { element.to_f64() };
        }
    }
}

/// Adds each row, in two halves.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn sum_of_halves<A: Element>(rows: &[&[A]], low: &mut [u64], high: &mut [i64]) {
    for row in rows {
        for ((low, high), &element) in low.iter_mut().zip(&mut *high).zip(*row) {
            let halves = element.halves();
            *low += halves.0;
            *high += halves.1;
        }
    }
}

/// Counts NaNs.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn count_nan<A: Element>(rows: &[&[A]], counts: &mut [u64]) {
    for row in rows {
        for (count, element) in counts.iter_mut().zip(*row) {
            *count += u64::from(element.is_nan());
        }
    }
}

/// Adds the powers of the deviations from a value of each lane; of elements that are not NaN if `SKIP`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn powers<A: Element, const ORDER: usize, const SKIP: bool>(
    rows: &[&[A]],
    from: &[f64; WIDTH],
    sums: &mut [[f64; WIDTH]; ORDER],
) {
    for row in rows {
        for (lane, &element) in row.iter().enumerate().take(WIDTH) {
            let deviation = if SKIP && element.is_nan() { 0.0 } else { element.to_f64() - from[lane] };
            let mut power = 1.0;
            for sum in &mut *sums {
                power *= deviation;
                sum[lane] += power;
            }
        }
    }
}

/// Takes the smaller and the larger elements of each row. Comparisons with NaN are false.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn extremes<A: Element>(rows: &[&[A]], low: &mut [A], high: &mut [A]) {
    for row in rows {
        for ((low, high), &element) in low.iter_mut().zip(&mut *high).zip(*row) {
            *low = if element < *low { element } else { *low };
            *high = if element > *high { element } else { *high };
        }
    }
}

/// Takes smaller elements only, and tells in which row they are.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn arg_min<A: Element>(rows: &[&[A]], low: &mut [A], at: &mut [u32]) {
    for (number, row) in (0..).zip(rows) {
        for ((low, at), &element) in low.iter_mut().zip(&mut *at).zip(*row) {
            let better = element < *low;
            *low = if better { element } else { *low };
            *at = if better { number } else { *at };
        }
    }
}

/// Takes larger elements only, and tells in which row they are.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn arg_max<A: Element>(rows: &[&[A]], high: &mut [A], at: &mut [u32]) {
    for (number, row) in (0..).zip(rows) {
        for ((high, at), &element) in high.iter_mut().zip(&mut *at).zip(*row) {
            let better = element > *high;
            *high = if better { element } else { *high };
            *at = if better { number } else { *at };
        }
    }
}
