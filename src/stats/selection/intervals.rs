//! Intervals of values that contain ranks, and the search for the interval of an element.
#![forbid(unsafe_code)]

use crate::stats::element::Element;
use crate::stats::kernels::{CELLS, CellMap};

/// The number of elements whose cells are computed at once.
pub(super) const CHUNK_LEN: usize = 2048;

/// The values between two keys, both inclusive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    pub(super) low: u64,
    pub(super) high: u64,
    /// The number of values below, and the number inside.
    pub(super) below: u64,
    pub(super) count: u64,
}

impl Interval {
    pub(super) fn contains_any(&self, ranks: &[u64]) -> bool {
        let first = ranks.partition_point(|&rank| rank < self.below);
        ranks.get(first).is_some_and(|&rank| rank - self.below < self.count)
    }

    /// Returns the shift that divides the interval into `2^bits` cells.
    pub(super) fn shift(&self, bits: u32) -> u32 {
        (u64::BITS - (self.high - self.low).leading_zeros()).saturating_sub(bits)
    }
}

/// Intervals indexed by cell. Each interval is inside one cell.
pub(super) struct CellIndex<'i> {
    cell_map: CellMap,
    intervals: &'i [Interval],
    /// For each cell the index of its first interval.
    firsts: Vec<u32>,
    /// For each cell 1 if it has an interval, otherwise 0.
    has_any: Box<[u8; CELLS]>,
}

impl<'i> CellIndex<'i> {
    pub(super) fn new<A: Element>(cell_map: CellMap, intervals: &'i [Interval]) -> Self {
        let mut firsts = vec![0; CELLS + 1];
        for interval in intervals {
            firsts[usize::from(cell_map.cell(A::from_ordered_bits(interval.low))) + 1] += 1;
        }
        (0..CELLS).for_each(|cell| firsts[cell + 1] += firsts[cell]);
        let mut has_any = Box::new([0; CELLS]);
        has_any
            .iter_mut()
            .zip(firsts.windows(2))
            .for_each(|(any, ends)| *any = u8::from(ends[0] < ends[1]));
        Self { cell_map, intervals, firsts, has_any }
    }

    /// Calls a closure with each element inside an interval, and the index of the interval.
    pub(super) fn each<A: Element>(
        &self,
        elements: &[A],
        cells: &mut [u16; CHUNK_LEN],
        mut visit: impl FnMut(usize, A),
    ) {
        for chunk in elements.chunks(CHUNK_LEN) {
            let cells = &mut cells[..chunk.len()];
            self.cell_map.cells(chunk, cells);
            // Positions are collected without a branch for each element, because few elements are
            // inside.
            let mut positions = [0_u16; CHUNK_LEN];
            let mut count = 0;
            for (position, &cell) in (0..).zip(&*cells) {
                positions[count % CHUNK_LEN] = position;
                count += usize::from(self.has_any[usize::from(cell) % CELLS]);
            }
            for position in positions.into_iter().take(count).map(usize::from) {
                let cell = usize::from(cells[position]) % CELLS;
                let element = chunk[position];
                let first = self.firsts[cell] as usize;
                let end = self.firsts[cell + 1] as usize;
                if element.is_nan() {
                    continue;
                }
                let key = element.to_ordered_bits();
                let intervals = &self.intervals[first..end];
                let index = intervals.partition_point(|interval| interval.high < key);
                if intervals.get(index).is_some_and(|interval| interval.low <= key) {
                    visit(first + index, element);
                }
            }
        }
    }
}
