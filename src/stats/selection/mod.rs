//! Exact selection in few passes and bounded memory: what value has a given rank.
//!
//! Two values of a sample bracket each wanted rank. One pass counts what lies below the bracket and keeps what lies inside.
//! If the rank fell inside and all could be kept, it is found there. Else the counts tell on which side it lies, and what was
//! kept (every second, fourth, ... value, so that it fits) is a sample of the inside for the next pass. Counting decides, so
//! the result is exact whatever the sample; if the brackets do not shrink, they are halved, so there is an end.
#![forbid(unsafe_code)]

mod slice;

use std::cmp::Ordering;

use super::element::Element;
use super::kernels::{self, Tally};
use crate::error::Result;

pub(super) use self::slice::Scratch;
use self::slice::{select_in, select_mut};

/// How many standard deviations of the sample's rank lie on both sides of the wanted one.
const DEVIATIONS: f64 = 4.0;

/// Samples smaller than this are of no use.
const LEAST_SAMPLE: u64 = 16;

/// What a pass finds out about brackets: two values each, both included.
#[derive(Debug)]
pub(super) struct Pass<A> {
    tallies: Vec<Tally>,
    /// NaNs lie in no bracket.
    pub(super) nans: u64,
    /// Every `stride`th of the values inside brackets, except those of one value.
    kept: Vec<A>,
    stride: usize,
    /// How many there were of them.
    met: usize,
    capacity: usize,
}

impl<A: Element> Pass<A> {
    /// A pass that keeps a number of elements at most.
    pub(super) fn new(brackets: &[(A, A)], capacity: usize) -> Self {
        // At once, so that it is not copied when it grows; pages are taken when they are used.
        let kept = Vec::with_capacity(capacity.max(2));
        Self {
            tallies: vec![Tally::default(); brackets.len()],
            nans: 0,
            kept,
            stride: 1,
            met: 0,
            capacity: capacity.max(2),
        }
    }

    /// Takes what a part of the pass has found, and leaves it empty.
    pub(super) fn take(&mut self, part: &mut Part<A>) {
        for (all, tally) in self.tallies.iter_mut().zip(&mut part.tallies) {
            all.below += tally.below;
            all.inside += tally.inside;
            *tally = Tally::default();
        }
        self.nans += std::mem::take(&mut part.nans);
        while self.kept.len() + part.kept.len().div_ceil(self.stride) > self.capacity {
            let mut number = 0;
            self.kept.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.stride *= 2;
        }
        let first = self.met.next_multiple_of(self.stride) - self.met;
        match self.stride {
            1 => self.kept.extend_from_slice(&part.kept),
            stride => self.kept.extend(part.kept.iter().skip(first).step_by(stride)),
        }
        self.met += part.kept.len();
        part.kept.clear();
    }
}

/// A part of a pass, of one thread.
#[derive(Debug)]
pub(super) struct Part<A> {
    tallies: Vec<Tally>,
    nans: u64,
    kept: Vec<A>,
}

impl<A: Element> Part<A> {
    pub(super) fn new(brackets: &[(A, A)]) -> Self {
        Self { tallies: vec![Tally::default(); brackets.len()], nans: 0, kept: Vec::new() }
    }

    pub(super) fn push(&mut self, elements: &[A], brackets: &[(A, A)]) {
        self.nans += kernels::tally::<A, true>(elements, brackets, &mut self.tallies, &mut self.kept);
    }

    /// How many elements it keeps.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }
}

/// A rank that is looked for.
#[derive(Clone, Copy, Debug)]
struct Search<A> {
    rank: u64,
    /// The value lies between these, both included.
    low: A,
    high: A,
    /// How many values lie below `low`, and how many not above `high`.
    below: u64,
    end: u64,
    /// Where to look next.
    bracket: (A, A),
}

impl<A: Element> Search<A> {
    /// Draws the conclusions of a pass over a bracket, which may be that of another search.
    fn narrow(&mut self, (low, high): (A, A), tally: Tally) {
        let end = tally.below + tally.inside;
        if self.rank < tally.below {
            self.not_above(A::from_key(low.to_key() - 1), tally.below);
        } else if self.rank >= end {
            self.not_below(A::from_key(high.to_key() + 1), end);
        } else {
            self.not_below(low, tally.below);
            self.not_above(high, end);
        }
    }

    fn not_below(&mut self, low: A, below: u64) {
        if low > self.low {
            (self.low, self.below) = (low, below);
        }
    }

    fn not_above(&mut self, high: A, end: u64) {
        if high < self.high {
            (self.high, self.end) = (high, end);
        }
    }

    fn interval(&self) -> (A, A) {
        (self.low, self.high)
    }
}

/// The values of some ranks, which ascend, among `count` values, none of them NaN. Each rank comes with the bracket that it
/// was looked for in by a first pass; `pass` goes through all values with the brackets it is given.
pub(super) fn select<A: Element>(
    ranks: &[(u64, (A, A))],
    count: u64,
    (brackets, first): (Vec<(A, A)>, Pass<A>),
    mut pass: impl FnMut(&[(A, A)]) -> Result<Pass<A>>,
) -> Result<Vec<A>> {
    let (low, high) = A::ENDS;
    let search = |&(rank, bracket)| Search { rank, low, high, below: 0, end: count, bracket };
    let mut searches: Vec<Search<A>> = ranks.iter().map(search).collect();
    let (mut brackets, mut found) = (brackets, first);
    loop {
        let before = searches.clone();
        for search in &mut searches {
            brackets.iter().zip(&found.tallies).for_each(|(&bracket, &tally)| search.narrow(bracket, tally));
        }
        look_into(&mut searches, found.kept);
        for (search, before) in searches.iter_mut().zip(before) {
            // No nearer: the lower half is next.
            if search.low != search.high && search.interval() == before.interval() && search.bracket == before.bracket {
                let (low, high) = (search.low.to_key(), search.high.to_key());
                search.bracket = (search.low, A::from_key(low + (high - low) / 2));
            }
        }
        brackets = distinct(searches.iter().filter(|search| search.low != search.high).map(|search| search.bracket));
        if brackets.is_empty() {
            return Ok(searches.into_iter().map(|search| search.low).collect());
        }
        found = pass(&brackets)?;
    }
}

/// Brackets, each once.
pub(super) fn distinct<A: Element>(brackets: impl Iterator<Item = (A, A)>) -> Vec<(A, A)> {
    let mut brackets: Vec<_> = brackets.collect();
    brackets.dedup();
    brackets
}

/// Finds values among those that were kept, and else the next brackets.
fn look_into<A: Element>(searches: &mut [Search<A>], mut kept: Vec<A>) {
    let mut open: Vec<_> = searches.iter_mut().filter(|search| search.low != search.high).collect();
    let intervals: Vec<_> = open.iter().map(|search| search.interval()).collect();
    let mut tallies = vec![Tally::default(); intervals.len()];
    kernels::tally::<A, false>(&kept, &intervals, &mut tallies, &mut Vec::new());

    // Where the value, or the two ends of a bracket, are in the order of what was kept.
    let mut places: Vec<[Option<usize>; 2]> = Vec::with_capacity(open.len());
    for (number, (search, tally)) in open.iter().zip(&tallies).enumerate() {
        // Neighbours share a bracket.
        let is_next =
            |before: &&mut Search<A>| before.interval() == search.interval() && search.rank - before.rank <= 1;
        let shared = number.checked_sub(1).filter(|&before| is_next(&open[before]));
        let (rank, inside) = (search.rank - search.below, search.end - search.below);
        let next = if tally.inside == inside {
            let place = (tally.below + rank) as usize;
            [Some(place); 2]
        } else if tally.inside < LEAST_SAMPLE {
            [None; 2]
        } else if let Some(before) = shared {
            places[before]
        } else {
            let share = (rank as f64 + 0.5) / inside as f64;
            let margin = DEVIATIONS * (tally.inside as f64 * share * (1.0 - share)).max(1.0).sqrt() + 1.0;
            let (from, to) = span(tally.inside as usize, share, margin);
            [from, to].map(|place| place.map(|place| tally.below as usize + place))
        };
        places.push(next);
    }
    let mut wanted: Vec<_> = places.iter().flatten().flatten().copied().collect();
    wanted.sort_unstable();
    wanted.dedup();
    let values = select_mut(&mut kept, &wanted);
    let value = |place: usize| values[wanted.partition_point(|&other| other < place)];
    for ((search, [from, to]), tally) in open.iter_mut().zip(places).zip(tallies) {
        search.bracket = (from.map_or(search.low, value), to.map_or(search.high, value));
        if tally.inside == search.end - search.below {
            (search.low, search.high) = search.bracket;
        }
    }
}

/// One bracket for each of some shares (from 0 to 1) of values, of which a sample is given: in runs of so many values that
/// lie together, and may be alike.
pub(super) fn brackets<A: Element>(shares: &[f64], sample: &[A], run: usize) -> Vec<(A, A)> {
    if (sample.len() as u64) < LEAST_SAMPLE {
        return vec![A::ENDS; shares.len()];
    }
    let mut scratch = Scratch::default();
    let mut at = |mut places: Vec<usize>| {
        places.sort_unstable();
        places.dedup();
        let values = select_in(sample, &places, &mut scratch);
        move |place: usize| values[places.partition_point(|&other| other < place)]
    };
    let middle = |share: f64| (share * (sample.len() - 1) as f64) as usize;
    let middles = at(shares.iter().map(|&share| middle(share)).collect());
    let spans = shares.iter().map(|&share| {
        // What neighbouring runs differ by tells how much the sample can be wrong, where values lie together that are alike.
        let value = middles(middle(share));
        let below: Vec<_> = sample.chunks(run).map(|run| kernels::count_below(run, value) as f64).collect();
        let between = below.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum::<f64>() / 2.0;
        let within = sample.len() as f64 * share * (1.0 - share);
        span(sample.len(), share, DEVIATIONS * between.max(within).max(1.0).sqrt() + 1.0)
    });
    let spans: Vec<_> = spans.collect();
    let ends = at(spans.iter().flat_map(|&(from, to)| [from, to]).flatten().collect());
    spans.into_iter().map(|(from, to)| (from.map_or(A::ENDS.0, &ends), to.map_or(A::ENDS.1, &ends))).collect()
}

/// The places around a share of so many values in order; `None` beyond the first and the last.
fn span(count: usize, share: f64, margin: f64) -> (Option<usize>, Option<usize>) {
    let middle = share * count as f64;
    let (from, to) = (middle - margin, middle + margin);
    ((from >= 0.0).then_some(from as usize), ((to as usize) < count).then_some(to as usize))
}

/// Elements without NaN have an order.
fn order<A: Element>(a: &A, b: &A) -> Ordering {
    a.partial_cmp(b).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Selects among values in memory, keeping few, and counts the passes.
    fn run<A: Element>(values: &[A], sample: &[A], ranks: &[u64], capacity: usize) -> (Vec<A>, usize) {
        let mut passes = 0;
        let mut pass = |brackets: &[(A, A)]| {
            passes += 1;
            assert!(passes < 1_000, "{brackets:?}");
            let (mut found, mut part) = (Pass::new(brackets, capacity), Part::new(brackets));
            for block in values.chunks(37) {
                part.push(block, brackets);
                if part.kept() > 50 {
                    found.take(&mut part);
                }
            }
            found.take(&mut part);
            assert!(found.kept.len() <= capacity);
            Ok(found)
        };
        let last = (values.len() - 1).max(1) as f64;
        let shares: Vec<_> = ranks.iter().map(|&rank| rank as f64 / last).collect();
        let guesses = super::brackets(&shares, sample, 10);
        let distinct = distinct(guesses.iter().copied());
        let first = pass(&distinct).unwrap();
        let ranks: Vec<_> = ranks.iter().copied().zip(guesses).collect();
        let selected = select(&ranks, values.len() as u64, (distinct, first), pass);
        (selected.unwrap(), passes)
    }

    fn check<A: Element>(values: &[A], sample: &[A], capacity: usize) -> usize {
        let mut sorted = values.to_vec();
        sorted.sort_by(order);
        let last = values.len() as u64 - 1;
        let mut ranks: Vec<_> = (0..=20).map(|part| part * last / 20).collect();
        ranks.dedup();
        let (found, passes) = run(values, sample, &ranks, capacity);
        for (rank, found) in ranks.into_iter().zip(found) {
            assert!(found == sorted[rank as usize], "{rank}: {found:?}, not {:?}", sorted[rank as usize]);
        }
        passes
    }

    #[test]
    fn a_sample_that_misleads_costs_passes_only() {
        let count = 10_000_u64;
        let shuffled: Vec<u64> = (0..count).map(|i| i * 7_919 % count).collect();
        assert!(check(&shuffled, &[], 20_000) <= 2);
        for sample in [vec![], vec![5; 100], (0..100).collect(), vec![u64::MAX; 50], shuffled[..500].to_vec()] {
            for capacity in [16, 100, 3_000] {
                assert!(check(&shuffled, &sample, capacity) < if capacity == 16 { 800 } else { 100 });
            }
        }
        let sorted: Vec<f64> = (0..count).map(|i| i as f64).collect();
        let reversed: Vec<f64> = sorted.iter().rev().copied().collect();
        check(&sorted, &sorted[..600], 300);
        check(&reversed, &reversed[..600], 300);
        check(&vec![1.5_f32; 5_000], &[1.5; 100], 20);
        let two: Vec<i8> = (0..5_000).map(|i| if i % 3 == 0 { i8::MIN } else { i8::MAX }).collect();
        check(&two, &two[..100], 20);
        // Neighbours in the order, with more of each than can be kept.
        let near: Vec<f64> = (0..9_000).map(|i| if i % 2 == 0 { 1.0 } else { 1.0_f64.next_up() }).collect();
        check(&near, &near[..100], 20);
        let zeros: Vec<f64> = (0..9_000).map(|i| if i % 2 == 0 { 0.0 } else { -0.0 }).collect();
        check(&zeros, &zeros[..100], 20);
        // As unequal as can be: each twice as large as the one before.
        let wide: Vec<f64> =
            (0..2_000).map(|i| f64::from_bits((i * 0x0001_0000_0000_0000_u64) % 0x7FF0_0000_0000_0000)).collect();
        check(&wide, &wide[..100], 16);
        check(&[f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 0.0], &[], 2);
    }

    #[test]
    fn keys_are_in_order() {
        let floats =
            [f64::NEG_INFINITY, f64::MIN, -1.0, -f64::MIN_POSITIVE, -0.0, 0.0, f64::MIN_POSITIVE, 1.0, f64::INFINITY];
        assert!(floats.iter().map(|x| x.to_key()).is_sorted());
        assert!(floats.iter().all(|x| f64::from_key(x.to_key()) == *x));
        assert_eq!(f64::from_key((-0.0_f64).to_key() - 1), -f64::from_bits(1));
        assert!([-1e30_f32, -1.0, 0.0, 2.0].iter().all(|x| f32::from_key(x.to_key()) == *x));
        assert!([i64::MIN, -1, 0, 1, i64::MAX].iter().map(|x| x.to_key()).is_sorted());
        assert!([i8::MIN, -1, 0, 1, i8::MAX].iter().all(|x| i8::from_key(x.to_key()) == *x));
        assert!([0, 1, u64::MAX].iter().all(|x| u64::from_key(x.to_key()) == *x));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn as_sorting(
            values in prop::collection::vec(prop_oneof![any::<i16>(), -3_i16..3], 1..600),
            sample in prop::collection::vec(any::<i16>(), 0..60),
            capacity in 2_usize..200,
        ) {
            check(&values, &sample, capacity);
            let floats: Vec<_> = values.iter().map(|&x| f32::from(x) / 7.0).collect();
            check(&floats, &floats[..floats.len() / 10], capacity);
        }
    }
}
