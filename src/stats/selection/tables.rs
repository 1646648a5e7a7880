//! Radix selection of elements of one or two bytes: exact, in one pass for each byte.
//!
//! For elements of two bytes, the upper bytes are counted first, then the lower bytes of the
//! elements whose upper byte contains a rank. If the ranks of a lane are in several upper bytes,
//! each takes a pass.
#![forbid(unsafe_code)]

use crate::stats::element::Element;
use crate::stats::kernels::{self, count_lower_bytes, from_ordered_bits, key};

/// The number of lanes whose tables stay in the L1 cache for at least [`MIN_ROWS`] rows.
const PANEL_WIDTH: usize = 8;

/// The number of lanes of a panel whose lower bytes are counted. Few elements change a table, and
/// wide panels are compared faster.
const LOWER_PANEL_WIDTH: usize = 128;

/// The minimum number of rows that are processed at once, and the bytes of narrower rows. A panel
/// loads its tables once for these rows.
const MIN_ROWS: usize = 1024;
const BLOCK_BYTES: usize = 256 << 10;

/// The upper byte of lanes in which no lower bytes are counted.
const NO_UPPER: u16 = u16::MAX;

/// The maximum number of bytes of rows that are collected if they arrive one by one.
const MAX_ROW_BYTES: usize = 4 << 20;

/// The number of occurrences of each value of a byte.
type Table = [u32; 256];

/// Finds the byte that contains each rank, and the rank among the elements with that byte.
fn find(table: &Table, ranks: &[u64], mut found: impl FnMut(u8, u64)) {
    let mut byte = 0;
    let mut below = 0;
    for &rank in ranks {
        // The file may be modified concurrently, so the counts may be lower.
        while byte < 255 && below + u64::from(table[byte]) <= rank {
            below += u64::from(table[byte]);
            byte += 1;
        }
        found(byte as u8, rank.saturating_sub(below));
    }
}

/// Selects the given ranks, which must ascend, in a slice of fewer than 2^32 elements of one byte.
pub(in crate::stats) fn select_bytes<A: Element>(elements: &[A], ranks: &[u64]) -> Vec<A> {
    // Several tables, because consecutive increments of the same count would each wait for the
    // previous store.
    let mut tables = [[0; 256]; 4];
    let (groups, rest) = elements.as_chunks::<4>();
    for group in groups {
        tables
            .iter_mut()
            .zip(group)
            .for_each(|(table, &element)| table[key(element) as u8 as usize] += 1);
    }
    rest.iter().for_each(|&element| tables[0][key(element) as u8 as usize] += 1);
    let table = std::array::from_fn(|byte| tables.iter().map(|table| table[byte]).sum());
    let mut values = Vec::with_capacity(ranks.len());
    find(&table, ranks, |byte, _| values.push(from_ordered_bits(byte.into())));
    values
}

/// The counts of one thread in the lanes of rows.
pub(in crate::stats) struct ByteCounts<A> {
    tables: Vec<Table>,
    nans: Vec<u64>,
    /// Rows that have not been counted yet.
    rows: Vec<A>,
    max_rows: usize,
}

impl<A: Element> ByteCounts<A> {
    /// The bytes of the state of a lane.
    pub(in crate::stats) const BYTES_OF_LANE: usize = size_of::<Table>() + size_of::<u64>();

    pub(in crate::stats) fn new(lanes: usize, row_bytes: usize) -> Self {
        let max_rows = (row_bytes.min(MAX_ROW_BYTES) / (lanes * size_of::<A>())).max(1);
        Self { tables: vec![[0; 256]; lanes], nans: vec![0; lanes], rows: Vec::new(), max_rows }
    }

    /// Processes the next rows. `upper` contains for each lane the upper byte of the elements whose
    /// lower bytes are counted, or [`NO_UPPER`].
    pub(in crate::stats) fn push_rows(&mut self, rows: &[A], upper: Option<&[u16]>) {
        let max_len = self.max_rows * self.tables.len();
        if self.rows.len() + rows.len() > max_len {
            self.count_waiting(upper);
        }
        if rows.len() >= max_len {
            self.count_blocks(rows, upper)
        } else {
            self.rows.reserve_exact(max_len - self.rows.len());
            self.rows.extend_from_slice(rows);
        }
    }

    fn count_waiting(&mut self, upper: Option<&[u16]>) {
        let mut rows = std::mem::take(&mut self.rows);
        self.count_blocks(&rows, upper);
        rows.clear();
        self.rows = rows;
    }

    fn count_blocks(&mut self, rows: &[A], upper: Option<&[u16]>) {
        let width = self.tables.len();
        let height = (BLOCK_BYTES / (width * size_of::<A>())).max(MIN_ROWS);
        rows.chunks(width * height).for_each(|rows| self.count(rows, upper));
    }

    fn count(&mut self, rows: &[A], upper: Option<&[u16]>) {
        let width = self.tables.len();
        if A::HAS_NAN && upper.is_none() {
            rows.chunks_exact(width)
                .for_each(|row| kernels::rows::count_nan(&[row], &mut self.nans));
        }
        if let Some(upper) = upper {
            let panels = self.tables.chunks_mut(LOWER_PANEL_WIDTH);
            for (index, (tables, upper)) in panels.zip(upper.chunks(LOWER_PANEL_WIDTH)).enumerate()
            {
                if upper.iter().any(|&upper| upper != NO_UPPER) {
                    let rows = rows.chunks_exact(width);
                    count_lower_bytes(rows, index * LOWER_PANEL_WIDTH, upper, tables);
                }
            }
            return;
        }
        for (index, tables) in self.tables.chunks_mut(PANEL_WIDTH).enumerate() {
            let lanes = index * PANEL_WIDTH..index * PANEL_WIDTH + tables.len();
            let shift = 8 * (size_of::<A>() - 1);
            for row in rows.chunks_exact(width) {
                tables.iter_mut().zip(&row[lanes.clone()]).for_each(|(table, &element)| {
                    table[usize::from(key(element) >> shift & 0xFF)] += 1;
                });
            }
        }
    }

    /// Counts the remaining rows, and adds the counts of all threads.
    fn merged(parts: Vec<Self>, upper: Option<&[u16]>) -> Option<Self> {
        let finished = parts.into_iter().map(|mut part| {
            part.count_waiting(upper);
            part
        });
        finished.reduce(|mut all, part| {
            all.nans.iter_mut().zip(&part.nans).for_each(|(all, part)| *all += part);
            let tables = all.tables.as_flattened_mut().iter_mut().zip(part.tables.as_flattened());
            tables.for_each(|(all, part)| *all += part);
            all
        })
    }
}

/// The search for ranks in some lanes.
pub(in crate::stats) struct Ranks<A> {
    /// For each lane the number of elements that are not NaN.
    counts: Vec<u64>,
    /// For each lane and rank the upper byte, the rank among the elements with that byte, and the
    /// value.
    found: Vec<Found<A>>,
    starts: Vec<usize>,
    /// For each lane the upper byte whose lower bytes the next pass counts, or [`NO_UPPER`].
    upper: Option<Vec<u16>>,
}

#[derive(Clone, Copy)]
struct Found<A> {
    upper: u8,
    rank: u64,
    value: Option<A>,
}

impl<A: Element> Ranks<A> {
    /// Returns the bytes of the state of a lane for a number of ranks.
    pub(in crate::stats) fn bytes_of_lane(ranks: usize) -> usize {
        // Twice the size, because vectors grow by doubling.
        2 * (ranks * size_of::<Found<A>>() + 3 * size_of::<usize>())
    }

    pub(in crate::stats) fn new() -> Self {
        Self { counts: Vec::new(), found: Vec::new(), starts: vec![0], upper: None }
    }

    /// Returns the upper bytes to [count](ByteCounts::push_rows) in the next pass.
    pub(in crate::stats) fn upper(&self) -> Option<&[u16]> {
        self.upper.as_deref()
    }

    /// Ends a pass over lanes of `len` elements. `ranks` returns the ranks of a lane, which must
    /// ascend, given its number of elements that are not NaN, which is not 0. Returns whether all
    /// values are known; if not, another pass is required.
    pub(in crate::stats) fn end_pass(
        &mut self,
        parts: Vec<ByteCounts<A>>,
        len: usize,
        mut ranks: impl FnMut(u64, &mut dyn FnMut(&[u64])),
    ) -> bool {
        let Some(counted) = ByteCounts::merged(parts, self.upper()) else { return true };
        match &self.upper {
            None => {
                for (table, nans) in counted.tables.iter().zip(&counted.nans) {
                    let count = len as u64 - nans;
                    self.counts.push(count);
                    if count > 0 {
                        ranks(count, &mut |ranks| {
                            find(table, ranks, |byte, rank| {
                                let value =
                                    (size_of::<A>() == 1).then(|| from_ordered_bits(byte.into()));
                                self.found.push(Found { upper: byte, rank, value });
                            });
                        });
                    }
                    self.starts.push(self.found.len());
                }
            }
            Some(upper) => {
                for ((ends, table), &upper) in
                    self.starts.windows(2).zip(&counted.tables).zip(upper)
                {
                    let open_ranks = self.found[ends[0]..ends[1]]
                        .iter_mut()
                        .filter(|found| found.value.is_none() && u16::from(found.upper) == upper);
                    for found in open_ranks {
                        find(table, &[found.rank], |lower, _| {
                            let pair = u16::from_be_bytes([found.upper, lower]);
                            found.value = Some(from_ordered_bits(pair));
                        });
                    }
                }
            }
        }
        let open = |ends: &[usize]| {
            self.found[ends[0]..ends[1]].iter().find(|found| found.value.is_none())
        };
        let next: Vec<_> = self
            .starts
            .windows(2)
            .map(|ends| open(ends).map_or(NO_UPPER, |found| found.upper.into()))
            .collect();
        let is_done = next.iter().all(|&upper| upper == NO_UPPER);
        self.upper = Some(next);
        is_done
    }

    /// Returns whether any element of lanes of `len` elements is NaN. Requires a pass.
    pub(in crate::stats) fn any_nan(&self, len: usize) -> bool {
        self.counts.iter().any(|&count| count < len as u64)
    }

    /// Returns for each lane the number of elements that are not NaN, and the values of its ranks.
    pub(in crate::stats) fn values(&self) -> impl Iterator<Item = (u64, Vec<A>)> {
        let values = |ends: &[usize]| {
            self.found[ends[0]..ends[1]].iter().filter_map(|found| found.value).collect()
        };
        self.counts.iter().copied().zip(self.starts.windows(2).map(values))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::selection::order;

    /// Selects all ranks of all columns, in two parts.
    fn check<A: Element>(rows: &[A], width: usize, row_bytes: usize) {
        let len = rows.len() / width;
        let rows = &rows[..len * width];
        let mut ranks = Ranks::new();
        let mut passes = 0;
        loop {
            let mut parts: Vec<_> = (0..2).map(|_| ByteCounts::new(width, row_bytes)).collect();
            for (index, tile) in rows.chunks(width * 3).enumerate() {
                parts[index % 2].push_rows(tile, ranks.upper());
            }
            passes += 1;
            if ranks.end_pass(parts, len, |count, find| find(&(0..count).collect::<Vec<_>>())) {
                break;
            }
        }
        assert!(passes <= if size_of::<A>() == 1 { 1 } else { 257 });
        for (column, (count, found)) in ranks.values().enumerate() {
            let mut sorted: Vec<_> = rows.iter().skip(column).step_by(width).copied().collect();
            sorted.retain(|element| !element.is_nan());
            sorted.sort_by(order);
            assert_eq!(count, sorted.len() as u64);
            assert_eq!(found, sorted);
        }
        assert_eq!(ranks.any_nan(len), rows.iter().any(|element| element.is_nan()));
        if size_of::<A>() == 1 {
            let mut sorted = rows.to_vec();
            sorted.sort_by(order);
            assert_eq!(select_bytes(rows, &(0..rows.len() as u64).collect::<Vec<_>>()), sorted);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() })]
        #[test]
        fn selection_equals_sorting(
            values in prop::collection::vec(prop_oneof![any::<u16>(), 0_u16..300, 0x7BF0_u16..0x7C10], 1..2_000),
            width in 1_usize..300,
            row_bytes in 0_usize..2_000,
        ) {
            prop_assume!(width <= values.len());
            check(&values, width, row_bytes);
            check(&values.iter().map(|&x| x as i16).collect::<Vec<_>>(), width, row_bytes);
            check(&values.iter().map(|&x| x as u8).collect::<Vec<_>>(), width, row_bytes);
            check(&values.iter().map(|&x| x as i8).collect::<Vec<_>>(), width, row_bytes);
            #[cfg(feature = "half")]
            check(&values.iter().map(|&x| half::f16::from_bits(x)).collect::<Vec<_>>(), width, row_bytes);
            #[cfg(feature = "half")]
            check(&values.iter().map(|&x| half::bf16::from_bits(x)).collect::<Vec<_>>(), width, row_bytes);
        }
    }
}
