//! Vectorized inner loops over panels: contiguous rows with one element for each of [`COLUMNS`]
//! lanes.
#![forbid(unsafe_code)]

use multiversion::multiversion;

use super::keys::KeyInt;

/// The number of lanes of a panel.
pub(in crate::stats) const COLUMNS: usize = 64;

/// Sorts each column.
///
/// The algorithm is Batcher's merge exchange (Knuth, The Art of Computer Programming, 5.2.2,
/// algorithm M). Its comparisons do not depend on the values, so each vector instruction compares
/// many columns at once.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn sort_columns<K: Copy + PartialOrd>(rows: &mut [[K; COLUMNS]]) {
    let len = rows.len();
    let first_stride = len.next_power_of_two() / 2;
    let mut stride = first_stride;
    while stride > 0 {
        let mut offset = 0;
        let mut distance = stride;
        let mut next = first_stride;
        loop {
            for start in (offset..len.saturating_sub(distance)).step_by(2 * stride) {
                let (before, after) = rows.split_at_mut(start + distance);
                let pairs = stride.min(after.len());
                let low = before[start..][..pairs].as_flattened_mut();
                let high = after[..pairs].as_flattened_mut();
                for (low, high) in low.iter_mut().zip(high) {
                    let a = *low;
                    let b = *high;
                    *low = if b < a { b } else { a };
                    *high = if b < a { a } else { b };
                }
            }
            if next == stride {
                break;
            }
            (offset, distance) = (stride, next - stride);
            next /= 2;
        }
        stride /= 2;
    }
}

/// Counts have the width of the values and do not overflow within this number of rows.
const ROWS: usize = u8::MAX as usize;

/// Adds the number of bytes of each column below each of its thresholds, which are given in rows as
/// well.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn count_columns_below(
    rows: &[[u8; COLUMNS]],
    thresholds: &[[u8; COLUMNS]],
    counts: &mut [[u64; COLUMNS]],
) {
    // The rows stay in the L1 cache for all thresholds.
    for rows in rows.chunks(ROWS) {
        for (threshold, counts) in thresholds.iter().zip(&mut *counts) {
            let threshold = *threshold;
            let mut below = [0_u8; COLUMNS];
            for row in rows {
                for lane in 0..COLUMNS {
                    below[lane] += u8::from(row[lane] < threshold[lane]);
                }
            }
            counts.iter_mut().zip(below).for_each(|(count, below)| *count += u64::from(below));
        }
    }
}

/// Writes for each value the lower byte if the upper byte is that of its column in `upper`, and
/// otherwise the smallest or the largest byte, so that the order of values is preserved.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn lower_bytes(
    rows: &[[u16; COLUMNS]],
    upper: &[u8; COLUMNS],
    bytes: &mut [[u8; COLUMNS]],
) {
    let first = upper.map(|upper| u16::from_be_bytes([upper, 0]));
    for (row, bytes) in rows.iter().zip(bytes) {
        for lane in 0..COLUMNS {
            bytes[lane] = row[lane].saturating_sub(first[lane]).min(u8::MAX.into()) as u8;
        }
    }
}

/// Adds the number of values of each column that are not above a given value, and updates `next` to
/// the smallest value above it. `next` must be initialized to the largest value of the type.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn next_in_columns<K: KeyInt>(
    rows: &[[K; COLUMNS]],
    values: &[K; COLUMNS],
    counts: &mut [u64; COLUMNS],
    next: &mut [K; COLUMNS],
) {
    let values = *values;
    let mut smallest = *next;
    for rows in rows.chunks(ROWS) {
        let mut not_above = [K::default(); COLUMNS];
        for row in rows {
            for lane in 0..COLUMNS {
                let is_above = row[lane] > values[lane];
                not_above[lane] += K::from(!is_above);
                smallest[lane] = if is_above & (row[lane] < smallest[lane]) {
                    row[lane]
                } else {
                    smallest[lane]
                };
            }
        }
        counts.iter_mut().zip(not_above).for_each(|(count, not_above)| *count += not_above.into());
    }
    *next = smallest;
}

/// Selects the byte of a rank among all bytes, bit by bit.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn select_in_rows(rows: &[[u8; COLUMNS]], rank: u64) -> u8 {
    let mut found = 0;
    for bit in (0..u8::BITS).rev() {
        let threshold = found | 1 << bit;
        let below = count_values(rows, |byte| byte < threshold);
        found |= u8::from(below <= rank) << bit;
    }
    found
}

/// Counts the values that are not above a given value, and returns the smallest value above it, or
/// the largest value of the type.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn next_in_rows<K: KeyInt>(rows: &[[K; COLUMNS]], value: K) -> (u64, K) {
    let mut smallest = [K::from_ordered_bits(u16::MAX); COLUMNS];
    for row in rows {
        for lane in 0..COLUMNS {
            let is_next = (row[lane] > value) & (row[lane] < smallest[lane]);
            smallest[lane] = if is_next { row[lane] } else { smallest[lane] };
        }
    }
    let smallest = smallest.into_iter().fold(K::from_ordered_bits(u16::MAX), |smallest, x| {
        if x < smallest { x } else { smallest }
    });
    (count_values(rows, |other| other <= value), smallest)
}

#[inline(always)]
fn count_values<K: KeyInt>(rows: &[[K; COLUMNS]], is_counted: impl Fn(K) -> bool) -> u64 {
    let mut all = 0;
    for rows in rows.chunks(ROWS) {
        let mut counts = [K::default(); COLUMNS];
        for row in rows {
            for lane in 0..COLUMNS {
                counts[lane] += K::from(is_counted(row[lane]));
            }
        }
        // The sum is less than 2^16, because each count is less than 2^8.
        const { assert!(COLUMNS * ROWS < 1 << 16) };
        all += u64::from(counts.into_iter().map(K::to_ordered_bits).sum::<u16>());
    }
    all
}

/// Maps each element.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
pub(in crate::stats) fn convert<A: Copy, K, F: Fn(A) -> K>(elements: &[A], keys: &mut [K], key: F) {
    keys.iter_mut().zip(elements).for_each(|(to, &element)| *to = key(element));
}
