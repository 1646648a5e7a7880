//! Selection in memory: the elements of given ranks in a slice, which is not reordered.
//!
//! This is Floyd-Rivest selection: two elements of a sample bracket each rank. The
//! elements inside brackets, a small fraction, are copied and selected from. If a bracket misses
//! its rank, or the slice is short, all elements are copied. For many ranks, elements are counted
//! in cells, and those of cells that contain ranks are copied.
#![forbid(unsafe_code)]

use super::order;
use super::ranks::{SelectedValues, bracket_ranks};
use crate::stats::element::Element;
use crate::stats::kernels::{self, BracketCounts, CELLS, CellMap};

/// The minimum length for sampling; shorter slices are copied entirely.
const SORT_THRESHOLD: usize = 8192;

/// The maximum number of ranks for which elements are compared with brackets.
const MAX_RANKS: usize = 16;

/// The minimum length for counting elements in cells.
const MIN_IN_CELLS: usize = 1024;

/// The margin of a bracket on either side of a rank, in standard deviations of the sample's rank.
const SIGMAS: f64 = 2.5;

/// The number of elements between checks of the number of candidates.
const CHUNK: usize = 8192;

/// Memory that is reused for the next slice.
#[derive(Debug)]
pub(in crate::stats) struct Scratch<A> {
    sample: Vec<A>,
    brackets: Vec<(A, A)>,
    bracket_counts: Vec<BracketCounts>,
    kept: Vec<A>,
    cells: Vec<u16>,
}

impl<A> Default for Scratch<A> {
    fn default() -> Self {
        Self {
            sample: Vec::new(),
            brackets: Vec::new(),
            bracket_counts: Vec::new(),
            kept: Vec::new(),
            cells: Vec::new(),
        }
    }
}

/// Selects the elements of some ranks, which must ascend and be less than the number of elements
/// that are not NaN.
pub(in crate::stats) fn select_in<A: Element>(
    elements: &[A],
    ranks: &[usize],
    scratch: &mut Scratch<A>,
) -> Vec<A> {
    if let Some(values) = scratch.by_sampling(elements, ranks, elements.len()) {
        return values;
    }
    if elements.len() >= MIN_IN_CELLS && ranks.len() > MAX_RANKS && size_of::<A>() > 1 {
        return scratch.by_cells(elements, ranks);
    }
    let kept = &mut scratch.kept;
    kept.clear();
    kept.extend(elements.iter().filter(|element| !element.is_nan()));
    multi_select(kept, ranks)
}

/// Selects the elements of some ranks by reordering the slice instead of copying elements. No
/// element may be NaN.
pub(super) fn select_mut<A: Element>(elements: &mut [A], ranks: &[usize]) -> Vec<A> {
    let found = Scratch::default().by_sampling(elements, ranks, elements.len() / 8);
    found.unwrap_or_else(|| multi_select(elements, ranks))
}

impl<A: Element> Scratch<A> {
    /// Selects by sampling. Returns `None` if brackets miss a rank or contain more than `limit`
    /// elements.
    fn by_sampling(&mut self, elements: &[A], ranks: &[usize], limit: usize) -> Option<Vec<A>> {
        if elements.len() < SORT_THRESHOLD || ranks.len() > MAX_RANKS {
            return None;
        }
        let Self { sample, brackets, bracket_counts, kept, .. } = self;
        let drawn = (elements.len() as f64).powf(2.0 / 3.0) as usize;
        sample_low_discrepancy(elements, drawn, sample);
        let count = (elements.len() as f64 * sample.len() as f64 / drawn as f64).max(1.0);
        let mut before = None;
        // Adjacent ranks share a bracket.
        let apart =
            ranks.iter().map(|&rank| before.replace(rank).is_none_or(|before| rank - before > 1));
        let apart: Vec<_> = apart.collect();
        let ends = ranks.iter().zip(&apart).filter(|&(_, &apart)| apart).map(|(&rank, _)| {
            let share = ((rank as f64 + 0.5) / count).min(1.0);
            let deviation = (sample.len() as f64 * share * (1.0 - share)).max(1.0).sqrt();
            bracket_ranks(sample.len(), share, SIGMAS * deviation + 1.0)
        });
        let ends: Vec<_> = ends.collect();
        let values = SelectedValues::new(ends.iter().flatten().flatten().copied(), |ranks| {
            multi_select(sample, ranks)
        });
        brackets.clear();
        brackets.extend(ends.into_iter().map(|ends| values.bracket(ends, A::RANGE)));
        bracket_counts.clear();
        bracket_counts.resize(brackets.len(), BracketCounts::default());
        kept.clear();
        for chunk in elements.chunks(CHUNK) {
            kernels::count_brackets::<A, true>(chunk, brackets, bracket_counts, kept);
            if kept.len() > limit {
                return None;
            }
        }

        // The value of a bracket whose ends are equal is known without candidates.
        let mut index = 0;
        let mut kept_ranks = Vec::with_capacity(ranks.len());
        for (&rank, &apart) in ranks.iter().zip(&apart) {
            index += usize::from(apart);
            let (low, high) = brackets[index - 1];
            let counts = bracket_counts[index - 1];
            let rank_inside =
                (rank as u64).checked_sub(counts.below).filter(|&rank| rank < counts.inside)?;
            let kept_rank = if low == high {
                Err(low)
            } else {
                Ok((kernels::count_below(kept, low) + rank_inside) as usize)
            };
            kept_ranks.push(kept_rank);
        }
        let found = SelectedValues::new(kept_ranks.iter().filter_map(|rank| rank.ok()), |ranks| {
            multi_select(kept, ranks)
        });
        Some(
            kept_ranks
                .into_iter()
                .map(|rank| rank.map_or_else(|value| value, |rank| found.get(rank)))
                .collect(),
        )
    }
}

impl<A: Element> Scratch<A> {
    fn by_cells(&mut self, elements: &[A], ranks: &[usize]) -> Vec<A> {
        let Self { sample, kept, cells, .. } = self;
        sample_low_discrepancy(elements, (elements.len() as f64).powf(2.0 / 3.0) as usize, sample);
        let cell_map = CellMap::new(middle(sample));
        cells.resize(elements.len(), 0);
        cell_map.cells(elements, cells);
        let mut counts = [0_u32; CELLS];
        cells.iter().for_each(|&cell| counts[usize::from(cell) % CELLS] += 1);
        if A::HAS_NAN {
            // NaNs map to the first cell.
            counts[0] = counts[0].saturating_sub(kernels::count_nan(elements) as u32);
        }

        // Whether each cell contains ranks, and the start of its elements.
        let mut is_wanted = [0_u8; CELLS];
        let mut starts = [0_u32; CELLS];
        let mut wanted = Vec::new();
        let mut below = 0;
        let mut total = 0;
        let mut rest = ranks;
        for (cell, &count) in counts.iter().enumerate() {
            let end = below + count as usize;
            let inside;
            (inside, rest) = rest.split_at(rest.partition_point(|&rank| rank < end));
            if !inside.is_empty() {
                (is_wanted[cell], starts[cell]) = (1, total as u32);
                wanted.push((total..total + count as usize, inside, below));
                total += count as usize;
            }
            below = end;
        }
        kept.clear();
        kept.resize(total, A::RANGE.0);
        let mut ends = starts;
        for (&cell, &element) in cells.iter().zip(elements) {
            let cell = usize::from(cell) % CELLS;
            if is_wanted[cell] == 1
                && !element.is_nan()
                // The file may be modified concurrently, so there may be more elements.
                && let Some(slot) = kept.get_mut(ends[cell] as usize)
            {
                *slot = element;
                ends[cell] += 1;
            }
        }
        let mut values = Vec::with_capacity(ranks.len());
        for (range, inside, below) in wanted {
            let ranks: Vec<_> = inside.iter().map(|&rank| rank - below).collect();
            values.extend(multi_select(&mut kept[range], &ranks));
        }
        // Only reached if the file is modified concurrently.
        values.extend(rest.iter().map(|_| A::EMPTY));
        values
    }
}

/// Returns two values of a sample that enclose most of it.
pub(in crate::stats) fn middle<A: Element>(sample: &[A]) -> Option<(A, A)> {
    let last = sample.len().checked_sub(1)?;
    let ends = [last / 256, last - last / 256];
    let distinct = if ends[0] == ends[1] { &ends[..1] } else { &ends };
    let values = select_in(sample, distinct, &mut Scratch::default());
    Some((values[0], *values.last()?))
}

/// Draws one element from each of `count` segments, at offsets of a golden-ratio sequence, and
/// skips NaNs. Such a low-discrepancy sequence does not align with any period in the data.
fn sample_low_discrepancy<A: Element>(elements: &[A], count: usize, sample: &mut Vec<A>) {
    let segment = elements.len() as f64 / count as f64;
    let mut within = 0.0;
    sample.clear();
    for index in 0..count {
        let position = (index as f64 + within) * segment;
        within += 0.618_033_988_749_895;
        within -= if within >= 1.0 { 1.0 } else { 0.0 };
        sample.extend(elements.get(position as usize).filter(|element| !element.is_nan()));
    }
}

/// Returns the elements at the given ranks, which must ascend, by quickselect at the middle rank
/// and recursion (multiselect).
pub(super) fn multi_select<A: Element>(elements: &mut [A], ranks: &[usize]) -> Vec<A> {
    fn select_halves<A: Element>(
        elements: &mut [A],
        first: usize,
        ranks: &[usize],
        found: &mut Vec<A>,
    ) {
        let middle = ranks.len() / 2;
        let Some(&rank) = ranks.get(middle) else { return };
        let (before, &mut element, after) = elements.select_nth_unstable_by(rank - first, order);
        select_halves(before, first, &ranks[..middle], found);
        found.push(element);
        select_halves(after, rank + 1, &ranks[middle + 1..], found);
    }
    let mut found = Vec::with_capacity(ranks.len());
    select_halves(elements, 0, ranks, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check<A: Element>(elements: &[A]) {
        let mut sorted: Vec<_> =
            elements.iter().copied().filter(|element| !element.is_nan()).collect();
        sorted.sort_by(order);
        let last = sorted.len() - 1;
        let mut scratch = Scratch::default();
        let pairs = |rank: usize| vec![rank, (rank + 1).min(last)];
        let [mut deciles, mut percentiles] =
            [10, 100].map(|parts| (0..=parts).map(|part| part * last / parts).collect::<Vec<_>>());
        let [median, median_pair, low_pair] =
            [&mut vec![last / 2], &mut pairs(last / 2), &mut pairs(last / 100)];
        for ranks in [&mut vec![0], median, median_pair, low_pair, &mut deciles, &mut percentiles] {
            ranks.dedup();
            let expected: Vec<_> = ranks.iter().map(|&rank| sorted[rank]).collect();
            assert_eq!(select_in(elements, ranks, &mut scratch), expected);
            assert_eq!(select_mut(&mut sorted.clone(), ranks), expected);
        }
    }

    fn check_all(elements: &[i64]) {
        check(elements);
        check(&elements.iter().map(|&x| x as i8).collect::<Vec<_>>());
        check(&elements.iter().map(|&x| x as u16).collect::<Vec<_>>());
        check(&elements.iter().map(|&x| x as u32).collect::<Vec<_>>());
        check(&elements.iter().map(|&x| x as f32 / 7.0).collect::<Vec<_>>());
        check(&elements.iter().map(|&x| x as f64 * 1e300).collect::<Vec<_>>());
        #[cfg(feature = "half")]
        check(&elements.iter().map(|&x| half::bf16::from_f64(x as f64)).collect::<Vec<_>>());
    }

    #[test]
    fn all_element_types() {
        check_all(&[5]);
        check_all(&[2, 1]);
        check_all(&[3, 1, 2]);
        for len in [100, SORT_THRESHOLD as i64 - 1, SORT_THRESHOLD as i64, 20_011] {
            let shuffled: Vec<_> = (0..len).map(|i| i * 7_919 % len - len / 2).collect();
            check_all(&shuffled);
            check_all(&(0..len).collect::<Vec<_>>());
            check_all(&(0..len).rev().collect::<Vec<_>>());
            check_all(&vec![4; len as usize]);
            check_all(
                &(0..len)
                    .map(|i| if i * 7_919 % len < len / 3 { i64::MIN } else { i64::MAX })
                    .collect::<Vec<_>>(),
            );
            // Half of the elements are equal.
            check_all(&shuffled.iter().map(|&x| x.max(0)).collect::<Vec<_>>());
            let zeros = [
                0.0,
                -0.0,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::NAN,
                f64::from_bits(1),
                0.0,
                -0.0,
            ];
            check(&shuffled.iter().map(|&x| zeros[x.rem_euclid(8) as usize]).collect::<Vec<_>>());
        }
    }

    #[test]
    fn sample_misses_other_elements() {
        // All elements of the sample are equal, and all others are on one side of them.
        for value in [-1.0, 1.0, f64::NAN] {
            let mut elements = vec![0.0; 10_000];
            let positions: Vec<f64> = (0..10_000).map(f64::from).collect();
            let mut drawn = Vec::new();
            sample_low_discrepancy(&positions, 10_000_f64.powf(2.0 / 3.0) as usize, &mut drawn);
            drawn.iter().for_each(|&position| elements[position as usize] = value);
            check(&elements);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn selection_equals_sorting(elements in prop::collection::vec(prop_oneof![any::<i64>(), -3_i64..3], 1..12_000)) {
            check_all(&elements);
        }
    }
}
