//! Selection in many lanes at once, in panels that fit in the CPU cache: by sorting all lanes, or
//! bit by bit for elements of one or two bytes.
#![forbid(unsafe_code)]

use crate::stats::element::Element;
use crate::stats::kernels::{self, COLUMNS, KeyInt, from_ordered_bits, key, rows};

/// Rows with one element for each lane. Elements of one or two bytes are stored as order-preserving
/// integers.
pub(in crate::stats) struct Columns<A> {
    len: usize,
    /// Elements of one byte, or the byte of each pair that is searched.
    bytes: Vec<[u8; COLUMNS]>,
    pairs: Vec<[u16; COLUMNS]>,
    values: Vec<[A; COLUMNS]>,
    nans: [u64; COLUMNS],
}

impl<A: Element> Default for Columns<A> {
    fn default() -> Self {
        Self {
            len: 0,
            bytes: Vec::new(),
            pairs: Vec::new(),
            values: Vec::new(),
            nans: [0; COLUMNS],
        }
    }
}

/// The number of lanes that are copied into rows at once.
const LANES_PER_STEP: usize = 8;

impl<A: Element> Columns<A> {
    /// Returns the bytes of a panel of lanes of `len` elements.
    pub(in crate::stats) fn bytes(len: usize) -> usize {
        let searched_bytes = usize::from(size_of::<A>() == 2);
        len.saturating_mul(COLUMNS * (size_of::<A>() + searched_bytes))
    }

    /// Returns whether selecting some quantiles of lanes of `len` elements bit by bit is faster
    /// than sorting.
    pub(in crate::stats) fn is_by_bits(len: usize, quantiles: usize) -> bool {
        // Sorting takes about log²/4 exchanges of four operations for each element. The second of
        // two adjacent ranks is found in the same pass as the first.
        let log = len.max(2).ilog2() as usize + 1;
        size_of::<A>() <= 2 && quantiles.saturating_mul(8 * size_of::<A>() + 2) < log * log
    }

    /// Copies up to [`COLUMNS`] lanes of equal length.
    pub(in crate::stats) fn copy_lanes(&mut self, lanes: &[&[A]]) {
        fn put<A: Copy, K: Copy>(
            lanes: &[&[A]],
            rows: &mut Vec<[K; COLUMNS]>,
            empty: K,
            to_ordered_bits: impl Fn(A) -> K,
        ) {
            rows.resize(lanes[0].len(), [empty; COLUMNS]);
            for (index, lanes) in lanes.chunks(LANES_PER_STEP).enumerate() {
                for (row_index, row) in rows.iter_mut().enumerate() {
                    let to = row[index * LANES_PER_STEP..].iter_mut();
                    to.zip(lanes).for_each(|(to, lane)| *to = to_ordered_bits(lane[row_index]));
                }
            }
        }
        self.len = lanes[0].len();
        self.nans = [0; COLUMNS];
        if A::HAS_NAN {
            self.nans
                .iter_mut()
                .zip(lanes)
                .for_each(|(nans, lane)| *nans = kernels::count_nan(lane));
        }
        match size_of::<A>() {
            1 => put(lanes, &mut self.bytes, 0, |x| key(x) as u8),
            2 => put(lanes, &mut self.pairs, 0, key),
            _ => put(lanes, &mut self.values, A::RANGE.0, without_nan),
        }
    }

    /// Copies rows of [`COLUMNS`] elements.
    pub(in crate::stats) fn copy_rows(&mut self, elements: &[A]) {
        fn put<A: Copy, K: Copy>(
            elements: &[A],
            rows: &mut Vec<[K; COLUMNS]>,
            empty: K,
            to_ordered_bits: impl Fn(A) -> K,
        ) {
            rows.resize(elements.len() / COLUMNS, [empty; COLUMNS]);
            kernels::convert(elements, rows.as_flattened_mut(), to_ordered_bits);
        }
        self.len = elements.len() / COLUMNS;
        self.nans = [0; COLUMNS];
        if A::HAS_NAN {
            elements.chunks_exact(COLUMNS).for_each(|row| rows::count_nan(&[row], &mut self.nans));
        }
        match size_of::<A>() {
            1 => put(elements, &mut self.bytes, 0, |x| key(x) as u8),
            2 => put(elements, &mut self.pairs, 0, key),
            _ => put(elements, &mut self.values, A::RANGE.0, without_nan),
        }
    }

    /// Returns the number of elements of a lane that are not NaN.
    pub(in crate::stats) fn count(&self, lane: usize) -> u64 {
        self.len as u64 - self.nans[lane]
    }

    /// Sorts each lane, NaNs last.
    pub(in crate::stats) fn sort(&mut self) {
        match size_of::<A>() {
            1 => kernels::sort_columns(&mut self.bytes),
            2 => kernels::sort_columns(&mut self.pairs),
            _ => kernels::sort_columns(&mut self.values),
        }
    }

    /// Returns the element of a rank in a sorted lane.
    pub(in crate::stats) fn sorted(&self, rank: u64, lane: usize) -> A {
        let row = rank as usize;
        match size_of::<A>() {
            1 => from_ordered_bits(self.bytes[row][lane].into()),
            2 => from_ordered_bits(self.pairs[row][lane]),
            _ => self.values[row][lane],
        }
    }

    /// Selects the given ranks of each lane, which must ascend, bit by bit, for elements of one or
    /// two bytes.
    pub(in crate::stats) fn by_bits(&mut self, ranks: &[[u64; COLUMNS]]) -> Vec<[A; COLUMNS]> {
        let searched: Vec<_> = (0..ranks.len())
            .filter(|&index| !are_adjacent(ranks, index))
            .map(|index| ranks[index])
            .collect();
        match size_of::<A>() {
            1 => with_adjacent(&self.bytes, ranks, find_bytes(&self.bytes, &searched)),
            _ => {
                let found = find_pairs(&self.pairs, &mut self.bytes, &searched);
                with_adjacent(&self.pairs, ranks, found)
            }
        }
    }

    /// Selects the given ranks of a slice of fewer than 2^32 elements of one or two bytes.
    pub(in crate::stats) fn of_slice(&mut self, elements: &[A], ranks: &[u64]) -> Vec<A> {
        fn put<A: Copy, K: Copy>(
            elements: &[A],
            rows: &mut Vec<[K; COLUMNS]>,
            last: K,
            to_ordered_bits: impl Fn(A) -> K,
        ) {
            rows.resize(elements.len().div_ceil(COLUMNS), [last; COLUMNS]);
            let rows = rows.as_flattened_mut();
            kernels::convert(elements, rows, to_ordered_bits);
            rows[elements.len()..].fill(last);
        }
        // The last row is padded with the largest value.
        match size_of::<A>() {
            1 => {
                put(elements, &mut self.bytes, u8::MAX, |x| key(x) as u8);
                find_in_all(&self.bytes, ranks, |rank| kernels::select_in_rows(&self.bytes, rank))
            }
            _ => {
                put(elements, &mut self.pairs, u16::MAX, key);
                let Self { pairs, bytes, .. } = self;
                find_in_all(pairs, ranks, |rank| {
                    copy_upper_bytes(pairs, bytes);
                    let upper = kernels::select_in_rows(bytes, rank);
                    kernels::lower_bytes(pairs, &[upper; COLUMNS], bytes);
                    u16::from_be_bytes([upper, kernels::select_in_rows(bytes, rank)])
                })
            }
        }
    }
}

/// Replaces NaN by the largest value, which sorts behind all selected ranks.
fn without_nan<A: Element>(element: A) -> A {
    if element.is_nan() { A::RANGE.1 } else { element }
}

fn copy_upper_bytes(pairs: &[[u16; COLUMNS]], bytes: &mut Vec<[u8; COLUMNS]>) {
    bytes.resize(pairs.len(), [0; COLUMNS]);
    kernels::convert(pairs.as_flattened(), bytes.as_flattened_mut(), |pair| (pair >> 8) as u8);
}

/// Returns whether a rank of each lane is at most one larger than the previous one.
fn are_adjacent(ranks: &[[u64; COLUMNS]], index: usize) -> bool {
    index > 0 && (0..COLUMNS).all(|lane| ranks[index][lane] <= ranks[index - 1][lane] + 1)
}

/// Selects the given ranks of each column: the largest byte with at most `rank` bytes below it.
fn find_bytes(rows: &[[u8; COLUMNS]], ranks: &[[u64; COLUMNS]]) -> Vec<[u8; COLUMNS]> {
    let mut found = vec![[0; COLUMNS]; ranks.len()];
    let mut thresholds = vec![[0; COLUMNS]; ranks.len()];
    let mut counts = vec![[0; COLUMNS]; ranks.len()];
    for bit in (0..u8::BITS).rev() {
        thresholds
            .iter_mut()
            .zip(&found)
            .for_each(|(to, found)| *to = found.map(|byte: u8| byte | 1 << bit));
        counts.fill([0; COLUMNS]);
        kernels::count_columns_below(rows, &thresholds, &mut counts);
        for ((counts, found), ranks) in counts.iter().zip(&mut found).zip(ranks) {
            for lane in 0..COLUMNS {
                found[lane] |= u8::from(counts[lane] <= ranks[lane]) << bit;
            }
        }
    }
    found
}

/// Selects the given ranks of each column: the upper bytes of all ranks, and then the lower byte of
/// each rank, because vectors contain twice as many bytes as pairs.
fn find_pairs(
    rows: &[[u16; COLUMNS]],
    bytes: &mut Vec<[u8; COLUMNS]>,
    ranks: &[[u64; COLUMNS]],
) -> Vec<[u16; COLUMNS]> {
    copy_upper_bytes(rows, bytes);
    let upper = find_bytes(bytes, ranks);
    let pairs = upper.iter().zip(ranks).map(|(upper, &ranks)| {
        kernels::lower_bytes(rows, upper, bytes);
        let lower = find_bytes(bytes, &[ranks])[0];
        std::array::from_fn(|lane| u16::from_be_bytes([upper[lane], lower[lane]]))
    });
    pairs.collect()
}

/// Returns the elements of all ranks of each column, given those of ranks that are not adjacent to
/// the previous one. The others are the smallest value above the previous value, or that value
/// itself.
fn with_adjacent<A: Element, K: KeyInt>(
    rows: &[[K; COLUMNS]],
    ranks: &[[u64; COLUMNS]],
    found: Vec<[K; COLUMNS]>,
) -> Vec<[A; COLUMNS]> {
    let mut found = found.into_iter();
    let mut values = [K::default(); COLUMNS];
    let elements = (0..ranks.len()).map(|index| {
        values = if are_adjacent(ranks, index) {
            let mut counts = [0; COLUMNS];
            let mut next = [K::from_ordered_bits(u16::MAX); COLUMNS];
            kernels::next_in_columns(rows, &values, &mut counts, &mut next);
            std::array::from_fn(|lane| {
                if counts[lane] > ranks[index][lane] { values[lane] } else { next[lane] }
            })
        } else {
            found.next().unwrap_or(values)
        };
        values.map(|value| from_ordered_bits(value.to_ordered_bits()))
    });
    elements.collect()
}

/// Selects the given ranks among all columns together. The ranks must ascend. `select` selects a
/// rank that is not adjacent to the previous one.
fn find_in_all<A: Element, K: KeyInt>(
    rows: &[[K; COLUMNS]],
    ranks: &[u64],
    mut select: impl FnMut(u64) -> K,
) -> Vec<A> {
    let mut before = None;
    let value = |&rank: &u64| {
        let value = match before {
            Some((last, value)) if rank <= last + 1 => {
                let (not_above, next) = kernels::next_in_rows(rows, value);
                if not_above > rank { value } else { next }
            }
            _ => select(rank),
        };
        before = Some((rank, value));
        from_ordered_bits(value.to_ordered_bits())
    };
    ranks.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::selection::order;

    /// Selects all ranks of the lanes by each algorithm.
    fn check<A: Element>(elements: &[A], lanes: usize) {
        let len = elements.len() / lanes;
        let lanes: Vec<_> = elements.chunks_exact(len).take(lanes).collect();
        let mut rows = vec![A::RANGE.1; len * COLUMNS];
        lanes.iter().enumerate().for_each(|(index, lane)| {
            rows.iter_mut()
                .skip(index)
                .step_by(COLUMNS)
                .zip(*lane)
                .for_each(|(to, from)| *to = *from);
        });
        let mut of_lanes = Columns::default();
        let mut of_rows = Columns::default();
        of_lanes.copy_lanes(&lanes);
        of_rows.copy_rows(&rows);
        // All ranks adjacent, none adjacent, and some of each.
        let ranks: [Vec<u64>; 3] = [
            (0..len as u64).collect(),
            (0..len as u64).step_by(3).collect(),
            (0..len as u64).filter(|rank| rank % 5 < 2).collect(),
        ];
        let mut by_bits = Vec::new();
        if size_of::<A>() <= 2 {
            for ranks in &ranks {
                let rows: Vec<_> = ranks.iter().map(|&rank| [rank; COLUMNS]).collect();
                let columns = [&mut of_lanes, &mut of_rows];
                by_bits.extend(columns.map(|columns| (ranks, columns.by_bits(&rows))));
            }
        }
        of_lanes.sort();
        of_rows.sort();
        for (index, lane) in lanes.iter().enumerate() {
            let mut sorted: Vec<_> = lane.iter().copied().filter(|x| !x.is_nan()).collect();
            sorted.sort_by(order);
            for columns in [&of_lanes, &of_rows] {
                assert_eq!(columns.count(index), sorted.len() as u64);
                assert!(sorted.iter().zip(0..).all(|(&x, rank)| columns.sorted(rank, index) == x));
            }
            if size_of::<A>() <= 2 {
                for (ranks, found) in &by_bits {
                    let known =
                        ranks.iter().zip(found).filter(|&(&rank, _)| rank < sorted.len() as u64);
                    assert!({ known }.all(|(&rank, found)| found[index] == sorted[rank as usize]));
                }
                for ranks in &ranks {
                    let ranks: Vec<_> =
                        ranks.iter().copied().filter(|&rank| rank < sorted.len() as u64).collect();
                    let expected: Vec<_> =
                        ranks.iter().map(|&rank| sorted[rank as usize]).collect();
                    assert!(Columns::default().of_slice(lane, &ranks) == expected);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..Default::default() })]
        #[test]
        fn selection_equals_sorting(
            values in prop::collection::vec(prop_oneof![any::<u64>(), 0_u64..300, 0x7BF0_u64..0x7C10], 1..700),
            lanes in 1_usize..=COLUMNS,
        ) {
            prop_assume!(lanes <= values.len());
            check(&values, lanes);
            check(&values.iter().map(|&x| x as i32).collect::<Vec<_>>(), lanes);
            check(&values.iter().map(|&x| x as u16).collect::<Vec<_>>(), lanes);
            check(&values.iter().map(|&x| x as i16).collect::<Vec<_>>(), lanes);
            check(&values.iter().map(|&x| x as u8).collect::<Vec<_>>(), lanes);
            check(&values.iter().map(|&x| x as i8).collect::<Vec<_>>(), lanes);
            check(&values.iter().map(|&x| f64::from_bits(x.rotate_right(12))).collect::<Vec<_>>(), lanes);
            check(&values.iter().map(|&x| f32::from_bits((x as u32).rotate_right(9))).collect::<Vec<_>>(), lanes);
            #[cfg(feature = "half")]
            check(&values.iter().map(|&x| half::f16::from_bits(x as u16)).collect::<Vec<_>>(), lanes);
            #[cfg(feature = "half")]
            check(&values.iter().map(|&x| half::bf16::from_bits(x as u16)).collect::<Vec<_>>(), lanes);
        }
    }
}
