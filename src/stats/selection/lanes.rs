//! Selection in many lanes at once, in several passes over the rows.
//!
//! Each lane has its own bracket and a buffer for some of the elements inside (see the [parent
//! module](super)). If all elements of a lane are to be sampled, or a bracket contains more
//! elements than fit in the buffer, elements are only kept from a subset of the rows. Each thread
//! processes its own lanes, so no results need to be merged.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::rank_search::{RankSearch, refine};
use crate::stats::element::Element;
use crate::stats::kernels::{self, BracketCounts};

/// The margin of a bracket on either side of a rank, in standard deviations of the sample's rank.
/// It is narrower than for whole arrays because buffers are smaller; some lanes take an additional
/// pass.
const SIGMAS: f64 = 3.0;

/// The number of lanes of a panel, whose brackets and counts stay in the L1 cache for [`ROWS`]
/// rows.
const PANEL_WIDTH: usize = 512;

/// The number of rows of a panel that are processed at once.
const ROWS: usize = 4;

/// The number of lanes that are skipped only if the search is finished in all of them.
const GROUP: usize = u64::BITS as usize;

/// The search for two ranks, which may be equal, in each of some lanes.
#[derive(Debug)]
pub(in crate::stats) struct Lanes<A> {
    /// The length of a lane.
    len: usize,
    /// The number of rows of the current pass that were processed.
    row: usize,
    /// For each lane a bracket, and the numbers of elements below it and not above it.
    lows: Vec<A>,
    highs: Vec<A>,
    below: Vec<u32>,
    not_above: Vec<u32>,
    /// Elements inside the bracket of a lane are only kept from one in `stride` rows (a power of
    /// two). `counts` of them are kept, at most `room`.
    strides: Vec<u32>,
    counts: Vec<u32>,
    kept: Vec<A>,
    room: usize,
    /// The smallest of the strides.
    stride: u32,
    lanes: Vec<Lane<A>>,
    /// The ranges of lanes whose search is not finished.
    open: Vec<Range<usize>>,
    any_nan: bool,
}

/// The state of a lane, without searches before the first pass and if all elements are NaN.
#[derive(Clone, Copy, Debug)]
struct Lane<A> {
    /// The number of elements that are not NaN.
    count: u64,
    searches: Option<[RankSearch<A>; 2]>,
}

impl<A: Element> Lanes<A> {
    /// Creates a search in lanes of `len` elements (fewer than 2^31), of which `room` are kept at
    /// once.
    pub(in crate::stats) fn new(lanes: usize, len: usize, room: usize) -> Self {
        let room = room.max(2);
        let (low, high) = A::RANGE;
        let stride = stride(len, room);
        Self {
            len,
            row: 0,
            lows: vec![low; lanes],
            highs: vec![high; lanes],
            below: vec![0; lanes],
            not_above: vec![0; lanes],
            strides: vec![stride; lanes],
            counts: vec![0; lanes],
            kept: vec![low; lanes * room],
            room,
            stride,
            lanes: vec![Lane { count: 0, searches: None }; lanes],
            open: panels(0..lanes).collect(),
            any_nan: false,
        }
    }

    /// Returns the bytes of a lane that keeps `room` elements.
    pub(in crate::stats) fn bytes_of_lane(room: usize) -> usize {
        (room + 2) * size_of::<A>() + 4 * size_of::<u32>() + size_of::<Lane<A>>()
    }

    /// Processes the next rows of a pass. Each has `width` elements, and those of these lanes start
    /// at index `first`.
    pub(in crate::stats) fn push_rows(&mut self, rows: &[A], width: usize, first: usize) {
        let open = std::mem::take(&mut self.open);
        for tile in rows.chunks(width * ROWS) {
            let pieces = |lanes: &Range<usize>| {
                let lanes = first + lanes.start..first + lanes.end;
                tile.chunks_exact(width).map(move |row| &row[lanes.clone()])
            };
            // Prefetch all rows first: independent loads use more memory bandwidth.
            open.iter().flat_map(pieces).for_each(prefetch);
            for lanes in &open {
                for (piece, row) in pieces(lanes).zip(self.row..) {
                    let lows = &self.lows[lanes.clone()];
                    let highs = &self.highs[lanes.clone()];
                    let below = &mut self.below[lanes.clone()];
                    let not_above = &mut self.not_above[lanes.clone()];
                    kernels::count_lanes(piece, lows, highs, below, not_above);
                    if is_sampled(row as u32, self.stride) {
                        self.keep(piece, lanes.start, row as u32);
                    }
                }
            }
            self.row += tile.len() / width;
        }
        self.open = open;
    }

    /// Keeps the elements of a row that are inside the brackets of their lanes.
    fn keep(&mut self, piece: &[A], start: usize, row: u32) {
        let end = start + piece.len();
        let mut masks = [0; PANEL_WIDTH / GROUP];
        kernels::inside_lanes(piece, &self.lows[start..end], &self.highs[start..end], &mut masks);
        for (index, mut mask) in masks.into_iter().enumerate() {
            while mask != 0 {
                let offset = index * GROUP + mask.trailing_zeros() as usize;
                mask &= mask - 1;
                let lane = start + offset;
                if !is_sampled(row, self.strides[lane]) {
                    continue;
                }
                let kept = &mut self.kept[lane * self.room..][..self.room];
                if self.counts[lane] as usize == self.room {
                    (0..self.room / 2).for_each(|offset| kept[offset] = kept[2 * offset]);
                    self.counts[lane] = self.room as u32 / 2;
                    self.strides[lane] *= 2;
                }
                kept[self.counts[lane] as usize] = piece[offset];
                self.counts[lane] += 1;
            }
        }
    }

    /// Ends a pass. `ranks` returns the two ranks to select, which must ascend, given the number of
    /// elements that are not NaN. Returns whether all values are known; if not, another pass is
    /// required.
    pub(in crate::stats) fn end_pass(&mut self, ranks: impl Fn(u64) -> [u64; 2]) -> bool {
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            let below = u64::from(self.below[index]);
            let not_above = u64::from(self.not_above[index]);
            // The bracket of a finished lane has its ends swapped, so that it is empty.
            let counts = BracketCounts { below, inside: not_above.saturating_sub(below) };
            if lane.searches.is_none() {
                // The first bracket contains all elements except for NaNs.
                self.any_nan |= counts.inside < self.len as u64;
                lane.start(counts.inside, &ranks);
            }
            let kept = &mut self.kept[index * self.room..][..self.counts[index] as usize];
            let next = lane.apply_counts((self.lows[index], self.highs[index]), counts, kept);
            let bracket = next.unwrap_or((A::RANGE.1, A::RANGE.0));
            (self.lows[index], self.highs[index]) = bracket;
            let expected = lane.expected(bracket, kept, self.strides[index]);
            self.strides[index] = stride(expected + expected / 8, self.room);
        }
        self.below.fill(0);
        self.not_above.fill(0);
        self.counts.fill(0);
        self.row = 0;

        let is_open = |index: &usize| self.lanes[*index].open().is_some();
        let count = self.lanes.len();
        self.stride =
            (0..count).filter(is_open).map(|index| self.strides[index]).min().unwrap_or(1);
        let groups = (0..count).step_by(GROUP).map(|start| start..count.min(start + GROUP));
        let mut open: Vec<Range<usize>> = Vec::new();
        for group in groups.filter(|group| group.clone().any(|index| is_open(&index))) {
            match open.last_mut().filter(|before| before.end == group.start) {
                Some(before) => before.end = group.end,
                None => open.push(group),
            }
        }
        self.open = open.into_iter().flat_map(panels).collect();
        self.open.is_empty()
    }

    /// Returns whether any element is NaN. Requires a pass.
    pub(in crate::stats) fn any_nan(&self) -> bool {
        self.any_nan
    }

    /// Returns for each lane the number of elements that are not NaN and the values of the two
    /// ranks; `None` if all elements are NaN.
    pub(in crate::stats) fn values(&self) -> impl Iterator<Item = Option<(u64, [A; 2])>> {
        self.lanes.iter().map(|lane| {
            let [first, second] = lane.searches?;
            Some((lane.count, [first.value()?, second.value()?]))
        })
    }
}

impl<A: Element> Lane<A> {
    fn start(&mut self, count: u64, ranks: impl Fn(u64) -> [u64; 2]) {
        self.count = count;
        self.searches =
            (count > 0).then(|| ranks(count).map(|rank| RankSearch::new(rank, count, A::RANGE)));
    }

    /// Applies the counts of a pass, and returns the next bracket unless the search is finished.
    fn apply_counts(
        &mut self,
        bracket: (A, A),
        counts: BracketCounts,
        kept: &mut [A],
    ) -> Option<(A, A)> {
        let searches = self.searches.as_mut()?;
        if searches.iter().any(|search| search.value().is_none()) {
            refine(searches, &[bracket], &[counts], kept, SIGMAS);
        }
        // The bracket of the other search is usually the same.
        Some(self.open()?.bracket)
    }

    fn open(&self) -> Option<&RankSearch<A>> {
        self.searches.as_ref()?.iter().find(|search| search.value().is_none())
    }

    /// Estimates the number of elements in a bracket, from the elements that a pass has kept.
    fn expected(&self, bracket: (A, A), kept: &[A], stride: u32) -> usize {
        let mut bracket_counts = [BracketCounts::default()];
        kernels::count_brackets::<A, false>(kept, &[bracket], &mut bracket_counts, &mut Vec::new());
        let limit = self.open().map_or(0, |search| search.candidates() as usize);
        match bracket_counts[0].inside as usize {
            0 => limit,
            inside => (inside * stride as usize).min(limit),
        }
    }
}

/// Returns the smallest power of two such that one in that number of elements fits in `room`.
fn stride(count: usize, room: usize) -> u32 {
    count.div_ceil(room).next_power_of_two() as u32
}

/// Returns whether a row is in the sample, which contains one in `stride` rows. Rows are drawn by a
/// golden-ratio (Kronecker) sequence, which is evenly distributed but does not align with any
/// period in the data.
fn is_sampled(row: u32, stride: u32) -> bool {
    row.wrapping_mul(0x9E37_79B9) <= u32::MAX / stride
}

/// Splits lanes into panels.
fn panels(lanes: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    lanes.clone().step_by(PANEL_WIDTH).map(move |start| start..lanes.end.min(start + PANEL_WIDTH))
}

/// Reads an element of each cache line.
fn prefetch<A: Element>(elements: &[A]) {
    let lines = elements.iter().step_by((64 / size_of::<A>()).max(1));
    std::hint::black_box(lines.filter(|&element| *element > elements[0]).count());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::selection::order;

    /// Selects in the columns of rows, in two parts, and returns the number of passes.
    fn check<A: Element>(rows: &[A], width: usize, room: usize, share: f64) -> usize {
        let len = rows.len() / width;
        let rows = &rows[..len * width];
        let ranks = |count: u64| {
            let rank = (count - 1) as f64 * share;
            [rank.floor() as u64, rank.ceil() as u64]
        };
        let half = width / 3;
        let mut max_passes = 0;
        for part in [0..half, half..width] {
            let mut lanes = Lanes::new(part.len(), len, room);
            let mut passes = 0;
            loop {
                rows.chunks(width * 21).for_each(|tile| lanes.push_rows(tile, width, part.start));
                passes += 1;
                assert!(passes < 300);
                if lanes.end_pass(ranks) {
                    break;
                }
            }
            let mut any_nan = false;
            for (column, found) in part.zip(lanes.values()) {
                let mut sorted: Vec<_> = rows.iter().skip(column).step_by(width).copied().collect();
                sorted.retain(|element| !element.is_nan());
                sorted.sort_by(order);
                any_nan |= sorted.len() < len;
                let expected = (!sorted.is_empty())
                    .then(|| ranks(sorted.len() as u64).map(|rank| sorted[rank as usize]));
                assert_eq!(found, expected.map(|values| (sorted.len() as u64, values)), "{column}");
            }
            assert_eq!(lanes.any_nan(), any_nan);
            max_passes = max_passes.max(passes);
        }
        max_passes
    }

    fn random() -> impl Iterator<Item = u64> {
        let mut state = 1_u64;
        std::iter::from_fn(move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            Some(state ^ state >> 29)
        })
    }

    #[test]
    fn few_passes_for_random_elements() {
        let values = || random().take(4_001 * 70);
        let floats: Vec<f64> = values().map(|x| (x >> 11) as f64 - 1e15).collect();
        assert!(check(&floats, 70, 200, 0.5) <= 5);
        assert!(check(&floats, 70, 200, 0.01) <= 5);
        assert!(check(&floats, 70, 5_000, 0.3) == 1);
        let bytes: Vec<u8> = values().map(|x| x as u8).collect();
        assert!(check(&bytes, 70, 100, 0.5) <= 10);
        // More lanes than a panel.
        check(&floats, 1_003, 20, 0.9);
        // Sorted input.
        let sorted: Vec<i32> = (0..2_000 * 9).collect();
        assert!(check(&sorted, 9, 64, 0.5) <= 6);
        assert!(
            check(&sorted.iter().rev().map(|&x| x as f32).collect::<Vec<_>>(), 9, 64, 0.25) <= 6
        );
    }

    #[test]
    fn two_values_take_few_passes() {
        let of = |values: &[f64]| {
            (0..20_000 * 10)
                .map(|i| values[(i / 10 * 7 + i % 10) % values.len()])
                .collect::<Vec<_>>()
        };
        for values in
            [&[0.0, 1.0][..], &[0.0, 1e-3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]]
        {
            for room in [20, 200, 1_000] {
                let passes = check(&of(values), 10, room, 0.5);
                assert!(passes <= 12, "{passes} passes");
            }
        }
    }

    #[test]
    fn adversarial_elements_are_exact() {
        let of = |value: fn(usize, u64) -> f64| -> Vec<f64> {
            random().take(900 * 12).enumerate().map(|(i, x)| value(i / 12, x)).collect()
        };
        for share in [0.0, 0.001, 0.5, 1.0] {
            for room in [1, 17, 100] {
                check(&of(|_, _| -0.0), 12, room, share);
                check(&of(|i, _| if i % 2 == 0 { 1.0 } else { 2.0 }), 12, room, share);
                check(
                    &of(|i, _| if i % 2 == 0 { f64::INFINITY } else { f64::NEG_INFINITY }),
                    12,
                    room,
                    share,
                );
                check(&of(|_, x| if x % 3 == 0 { f64::NAN } else { x as f64 }), 12, room, share);
                check(&of(|i, x| if i == 77 { x as f64 } else { f64::NAN }), 12, room, share);
                check(&of(|_, _| f64::NAN), 12, room, share);
                check(
                    &of(|i, _| f64::from_bits(i as u64 * 0x0010_0000_0000_0000)),
                    12,
                    room,
                    share,
                );
                // The sample is not representative.
                check(&of(|i, x| if i % 9 == 0 { 0.0 } else { 1.0 + x as f64 }), 12, room, share);
                let extremes = |i: usize| if i.is_multiple_of(2) { i8::MIN } else { i8::MAX };
                check(
                    &(0..900 * 12).map(|i| extremes(i / 12)).collect::<Vec<_>>(),
                    12,
                    room,
                    share,
                );
                check(&random().take(900 * 12).collect::<Vec<_>>(), 12, room, share);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn selection_equals_sorting(
            values in prop::collection::vec(prop_oneof![any::<i16>(), -3_i16..3], 1..3_000),
            width in 1_usize..20,
            room in 1_usize..100,
            share in 0.0..=1.0_f64,
        ) {
            let rows = &values[..values.len() / width * width];
            prop_assume!(!rows.is_empty());
            check(rows, width, room, share);
            check(&rows.iter().map(|&x| f32::from(x) / 7.0).collect::<Vec<_>>(), width, room, share);
        }
    }
}
