//! Vectorized inner loops.
#![forbid(unsafe_code)]

mod cells;
mod columns;
mod key_counts;
mod keys;
pub(super) mod panel;
pub(super) mod rows;
mod slices;
mod terms;

pub(super) use self::cells::{CELLS, CellMap};
pub(super) use self::columns::{
    COLUMNS, convert, count_columns_below, lower_bytes, next_in_columns, next_in_rows,
    select_in_rows, sort_columns,
};
pub(super) use self::key_counts::{
    CHUNK_BYTES, MAX_COMPARED, count_inside, count_keys, count_lower_bytes, count_up_to,
};
pub(super) use self::keys::{KeyInt, from_ordered_bits, key, keys_of, tables_of};
pub(super) use self::slices::*;
pub(super) use self::terms::Pairs;

/// Tests that the vectorized kernels yield bitwise the same results as plain loops in the same
/// order, which are compiled for the baseline CPU.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::double::Double;

    /// Returns values whose sums reveal every change of order, and fused operations.
    fn values(len: usize) -> Vec<f64> {
        let mut state = 1_u64;
        std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 * 1e-13 - 300.0
        })
        .take(len)
        .collect()
    }

    /// Sums terms in 32 interleaved sums of segments of 32 terms, which are then added in pairs.
    fn interleaved_sum(terms: impl Iterator<Item = f64>) -> f64 {
        let terms: Vec<_> = terms.collect();
        let mut lanes = [0.0; 32];
        let (whole, rest) = terms.split_at(terms.len() / 32 * 32);
        for segment in whole.chunks(1_024) {
            let mut sums = [0.0; 32];
            segment.iter().enumerate().for_each(|(index, term)| sums[index % 32] += term);
            (0..32).for_each(|lane| lanes[lane] += sums[lane]);
        }
        rest.iter().enumerate().for_each(|(lane, term)| lanes[lane] += term);
        for width in [16, 8, 4, 2, 1] {
            (0..width).for_each(|lane| lanes[lane] += lanes[lane + width]);
        }
        lanes[0]
    }

    #[test]
    fn slice_kernels_equal_plain_loops() {
        for len in [1, 31, 32, 100, 8_192, 8_209] {
            let values = values(len);
            assert_eq!(
                sum::<f64, false>(&values).to_bits(),
                interleaved_sum(values.iter().copied()).to_bits()
            );
            let powers = powers::<f64, 4, false>(&values, Double::new(7.1));
            for (power, found) in (1..).zip(powers) {
                let product = |x: &f64| (0..power).fold(1.0, |product, _| product * (x - 7.1));
                assert_eq!(
                    found.to_bits(),
                    interleaved_sum(values.iter().map(product)).to_bits(),
                    "{power} of {len}"
                );
            }
            let single: Vec<_> = values.iter().map(|&x| x as f32).collect();
            let expected = interleaved_sum(single.iter().map(|&x| f64::from(x)));
            assert_eq!(sum::<f32, true>(&single).to_bits(), expected.to_bits());
        }
    }

    #[test]
    fn row_kernels_equal_plain_loops() {
        for (width, height) in [(1, 1), (7, 9), (64, 8), (500, 37)] {
            let values = values(width * height);
            let rows: Vec<_> = values.chunks(width).collect();
            let mut sums = vec![0.0; width];
            rows::sum::<f64, false>(&rows, &mut sums);
            for lane in 0..width {
                let column = || rows.iter().map(|row| row[lane]);
                assert_eq!(sums[lane].to_bits(), column().fold(0.0, |sum, x| sum + x).to_bits());
            }
        }
    }
}
