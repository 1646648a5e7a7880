//! Selection in memory: the elements of given ranks in a slice, which is not reordered.
//!
//! As in the algorithm of Floyd and Rivest, two elements of a sample bracket each rank. The
//! elements inside brackets, a small fraction, are copied and selected from. If a bracket misses
//! its rank, or the slice is short, all elements are copied. For many ranks, elements are counted
//! in cells, and those of cells that contain ranks are copied.
#![forbid(unsafe_code)]

use super::super::element::Element;
use super::super::kernels::{self, BracketCounts, CELLS, CellMap};
use super::order;
use super::ranks::{SelectedValues, span};

/// The minimum length for sampling; shorter slices are copied entirely.
const SHORT: usize = 8192;

/// The maximum number of ranks for which elements are compared with brackets.
const MAX_RANKS: usize = 16;

/// The minimum length for counting elements in cells.
const MIN_IN_CELLS: usize = 1024;

/// The margin of a bracket on either side of a rank, in standard deviations of the sample's rank.
const DEVIATIONS: f64 = 2.5;

/// The number of elements between checks of the number of candidates.
const CHUNK: usize = 8192;

/// Memory that is reused for the next slice.
#[derive(Debug)]
pub(in super::super) struct Scratch<A> {
    sample: Vec<A>,
    brackets: Vec<(A, A)>,
    tallies: Vec<BracketCounts>,
    kept: Vec<A>,
    cells: Vec<u16>,
}

impl<A> Default for Scratch<A> {
    fn default() -> Self {
        Self {
            sample: Vec::new(),
            brackets: Vec::new(),
            tallies: Vec::new(),
            kept: Vec::new(),
            cells: Vec::new(),
        }
    }
}

/// Selects the elements of some ranks, which must ascend and be less than the number of elements
/// that are not NaN.
pub(in super::super) fn select_in<A: Element>(
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
    pick(kept, ranks)
}

/// Selects the elements of some ranks by reordering the slice instead of copying elements. No
/// element may be NaN.
pub(super) fn select_mut<A: Element>(elements: &mut [A], ranks: &[usize]) -> Vec<A> {
    let found = Scratch::default().by_sampling(elements, ranks, elements.len() / 8);
    found.unwrap_or_else(|| pick(elements, ranks))
}

impl<A: Element> Scratch<A> {
    /// Selects by sampling. Returns `None` if brackets miss a rank or contain more than `limit`
    /// elements.
    fn by_sampling(&mut self, elements: &[A], ranks: &[usize], most: usize) -> Option<Vec<A>> {
        if elements.len() < SHORT || ranks.len() > MAX_RANKS {
            return None;
        }
        let Self { sample, brackets, tallies, kept, .. } = self;
        let drawn = (elements.len() as f64).powf(2.0 / 3.0) as usize;
        draw(elements, drawn, sample);
        let count = (elements.len() as f64 * sample.len() as f64 / drawn as f64).max(1.0);
        let mut before = None;
        // Adjacent ranks share a bracket.
        let apart =
            ranks.iter().map(|&rank| before.replace(rank).is_none_or(|before| rank - before > 1));
        let apart: Vec<_> = apart.collect();
        let spans = ranks.iter().zip(&apart).filter(|&(_, &apart)| apart).map(|(&rank, _)| {
            let share = ((rank as f64 + 0.5) / count).min(1.0);
            let deviation = (sample.len() as f64 * share * (1.0 - share)).max(1.0).sqrt();
            span(sample.len(), share, DEVIATIONS * deviation + 1.0)
        });
        let spans: Vec<_> = spans.collect();
        let ends = SelectedValues::new(spans.iter().flatten().flatten().copied(), |places| {
            pick(sample, places)
        });
        brackets.clear();
        brackets.extend(spans.into_iter().map(|span| ends.bracket(span, A::ENDS)));
        tallies.clear();
        tallies.resize(brackets.len(), BracketCounts::default());
        kept.clear();
        for chunk in elements.chunks(CHUNK) {
            kernels::count_brackets::<A, true>(chunk, brackets, tallies, kept);
            if kept.len() > most {
                return None;
            }
        }

        // The value of a bracket whose ends are equal is known without candidates.
        let mut number = 0;
        let mut places = Vec::with_capacity(ranks.len());
        for (&rank, &apart) in ranks.iter().zip(&apart) {
            number += usize::from(apart);
            let ((low, high), count_brackets) = (brackets[number - 1], tallies[number - 1]);
            let place = (rank as u64)
                .checked_sub(count_brackets.below)
                .filter(|&place| place < count_brackets.inside)?;
            let lower =
                if low == high { None } else { Some(kernels::count_below(kept, low) + place) };
            places.push(lower.map(|place| place as usize).ok_or(low));
        }
        let found = SelectedValues::new(places.iter().filter_map(|place| place.ok()), |places| {
            pick(kept, places)
        });
        Some(
            places
                .into_iter()
                .map(|place| place.map_or_else(|value| value, |place| found.get(place)))
                .collect(),
        )
    }
}

impl<A: Element> Scratch<A> {
    fn by_cells(&mut self, elements: &[A], ranks: &[usize]) -> Vec<A> {
        let Self { sample, kept, cells, .. } = self;
        draw(elements, (elements.len() as f64).powf(2.0 / 3.0) as usize, sample);
        let scale = CellMap::new(middle(sample));
        cells.resize(elements.len(), 0);
        scale.cells(elements, cells);
        let mut counts = [0_u32; CELLS];
        cells.iter().for_each(|&cell| counts[usize::from(cell) % CELLS] += 1);
        if A::HAS_NAN {
            // NaNs map to the first cell.
            counts[0] = counts[0].saturating_sub(kernels::count_nan(elements) as u32);
        }

        // Whether each cell contains ranks, and the start of its elements.
        let mut is_wanted = [0_u8; CELLS];
        let mut begins = [0_u32; CELLS];
        let mut wanted = Vec::new();
        let mut below = 0;
        let mut total = 0;
        let mut rest = ranks;
        for (cell, &count) in counts.iter().enumerate() {
            let end = below + count as usize;
            let inside;
            (inside, rest) = rest.split_at(rest.partition_point(|&rank| rank < end));
            if !inside.is_empty() {
                (is_wanted[cell], begins[cell]) = (1, total as u32);
                wanted.push((total..total + count as usize, inside, below));
                total += count as usize;
            }
            below = end;
        }
        kept.clear();
        kept.resize(total, A::ENDS.0);
        let mut ends = begins;
        for (&cell, &element) in cells.iter().zip(elements) {
            let cell = usize::from(cell) % CELLS;
            if is_wanted[cell] == 1
                && !element.is_nan()
                // The file may be modified concurrently, so there may be more elements.
                && let Some(place) = kept.get_mut(ends[cell] as usize)
            {
                *place = element;
                ends[cell] += 1;
            }
        }
        let mut values = Vec::with_capacity(ranks.len());
        for (range, inside, below) in wanted {
            let places: Vec<_> = inside.iter().map(|&rank| rank - below).collect();
            values.extend(pick(&mut kept[range], &places));
        }
        // Only reached if the file is modified concurrently.
        values.extend(rest.iter().map(|_| A::MISSING));
        values
    }
}

/// Returns two values of a sample that enclose most of it.
pub(in super::super) fn middle<A: Element>(sample: &[A]) -> Option<(A, A)> {
    let last = sample.len().checked_sub(1)?;
    let ends = [last / 256, last - last / 256];
    let distinct = if ends[0] == ends[1] { &ends[..1] } else { &ends };
    let values = select_in(sample, distinct, &mut Scratch::default());
    Some((values[0], *values.last()?))
}

/// Draws one element from each of `count` segments, at offsets of a golden-ratio sequence, and
/// skips NaNs. Such a low-discrepancy sequence does not align with any period in the data.
fn draw<A: Element>(elements: &[A], count: usize, sample: &mut Vec<A>) {
    let stretch = elements.len() as f64 / count as f64;
    let mut within = 0.0;
    sample.clear();
    for number in 0..count {
        let place = (number as f64 + within) * stretch;
        within += 0.618_033_988_749_895;
        within -= if within >= 1.0 { 1.0 } else { 0.0 };
        sample.extend(elements.get(place as usize).filter(|element| !element.is_nan()));
    }
}

/// Returns the elements at the given ranks, which must ascend, by quickselect at the middle rank
/// and recursion (multiselect).
pub(super) fn pick<A: Element>(elements: &mut [A], places: &[usize]) -> Vec<A> {
    fn halves<A: Element>(elements: &mut [A], first: usize, places: &[usize], found: &mut Vec<A>) {
        let middle = places.len() / 2;
        let Some(&place) = places.get(middle) else { return };
        let (before, &mut element, after) = elements.select_nth_unstable_by(place - first, order);
        halves(before, first, &places[..middle], found);
        found.push(element);
        halves(after, place + 1, &places[middle + 1..], found);
    }
    let mut found = Vec::with_capacity(places.len());
    halves(elements, 0, places, &mut found);
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
        let [mut some, mut many] =
            [10, 100].map(|parts| (0..=parts).map(|part| part * last / parts).collect::<Vec<_>>());
        let [middle, first, begin] =
            [&mut vec![last / 2], &mut pairs(last / 2), &mut pairs(last / 100)];
        for ranks in [&mut vec![0], middle, first, begin, &mut some, &mut many] {
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
    fn of_every_kind() {
        check_all(&[5]);
        check_all(&[2, 1]);
        check_all(&[3, 1, 2]);
        for len in [100, SHORT as i64 - 1, SHORT as i64, 20_011] {
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
    fn a_sample_that_misses() {
        // All elements of the sample are equal, and all others are on one side of them.
        for value in [-1.0, 1.0, f64::NAN] {
            let mut elements = vec![0.0; 10_000];
            let places: Vec<f64> = (0..10_000).map(f64::from).collect();
            let mut drawn = Vec::new();
            draw(&places, 10_000_f64.powf(2.0 / 3.0) as usize, &mut drawn);
            drawn.iter().for_each(|&place| elements[place as usize] = value);
            check(&elements);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn as_sorting(elements in prop::collection::vec(prop_oneof![any::<i64>(), -3_i64..3], 1..12_000)) {
            check_all(&elements);
        }
    }
}
