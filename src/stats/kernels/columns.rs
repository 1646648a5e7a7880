//! The inner loops over columns: rows of an element of each of many lanes, copied to be contiguous.
#![forbid(unsafe_code)]

use multiversion::multiversion;

/// The lanes of a row.
pub(in crate::stats) const COLUMNS: usize = 64;

/// Sorts each column of values that have an order.
///
/// The comparisons are those of Batcher's merge exchange (Knuth, The Art of Computer Programming, 5.2.2, algorithm M): the
/// same ones for all values, so that a vector makes them in many columns at once.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(in crate::stats) fn sort_columns<K: Copy + PartialOrd>(rows: &mut [[K; COLUMNS]]) {
    let len = rows.len();
    let first_stride = len.next_power_of_two() / 2;
    let mut stride = first_stride;
    while stride > 0 {
        let (mut begin, mut distance, mut next) = (0, stride, first_stride);
        loop {
            for begin in (begin..len.saturating_sub(distance)).step_by(2 * stride) {
                let (before, after) = rows.split_at_mut(begin + distance);
                let pairs = stride.min(after.len());
                let (low, high) = (before[begin..][..pairs].as_flattened_mut(), after[..pairs].as_flattened_mut());
                for (low, high) in low.iter_mut().zip(high) {
                    let (a, b) = (*low, *high);
                    *low = if b < a { b } else { a };
                    *high = if b < a { a } else { b };
                }
            }
            if next == stride {
                break;
            }
            (begin, distance) = (stride, next - stride);
            next /= 2;
        }
        stride /= 2;
    }
}

/// Adds for each column how many of its values are below its thresholds, which come in rows as well.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(in crate::stats) fn count_columns_below<K: Copy + PartialOrd>(
    rows: &[[K; COLUMNS]],
    thresholds: &[[K; COLUMNS]],
    counts: &mut [[u32; COLUMNS]],
) {
    // Counts are as narrow as the values and must not overflow; the rows stay in the first cache for all thresholds.
    for rows in rows.chunks(255) {
        for (threshold, counts) in thresholds.iter().zip(&mut *counts) {
            let threshold = *threshold;
            if size_of::<K>() == 1 {
                let mut few = [0_u8; COLUMNS];
                for row in rows {
                    for lane in 0..COLUMNS {
                        few[lane] += u8::from(row[lane] < threshold[lane]);
                    }
                }
                (0..COLUMNS).for_each(|lane| counts[lane] += u32::from(few[lane]));
            } else {
                let mut few = [0_u16; COLUMNS];
                for row in rows {
                    for lane in 0..COLUMNS {
                        few[lane] += u16::from(row[lane] < threshold[lane]);
                    }
                }
                (0..COLUMNS).for_each(|lane| counts[lane] += u32::from(few[lane]));
            }
        }
    }
}

/// Applies a function to each element.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2", "aarch64+neon"))]
pub(in crate::stats) fn convert<A: Copy, K, F: Fn(A) -> K>(elements: &[A], keys: &mut [K], key: F) {
    keys.iter_mut().zip(elements).for_each(|(to, &element)| *to = key(element));
}
