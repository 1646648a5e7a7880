//! The search for a rank: bounds on its value, and the next bracket.
#![forbid(unsafe_code)]

use super::MIN_SAMPLE;
use super::in_memory::select_mut;
use super::ranks::{BracketRanks, SelectedValues, bracket_ranks};
use crate::stats::element::Element;
use crate::stats::kernels::{self, BracketCounts};

/// The search for the value of a rank.
#[derive(Clone, Copy, Debug)]
pub(super) struct RankSearch<A> {
    rank: u64,
    /// Bounds on the value, both inclusive.
    low: A,
    high: A,
    /// The number of values below `low`, and the number not above `high`.
    below: u64,
    end: u64,
    /// The bracket of the next pass.
    pub(super) bracket: (A, A),
    /// A value whose rank is close to the wanted rank.
    pivot: Option<A>,
}

impl<A: Element> RankSearch<A> {
    /// Creates a search for a rank among `count` values.
    pub(super) fn new(rank: u64, count: u64, bracket: (A, A)) -> Self {
        let (low, high) = A::RANGE;
        Self { rank, low, high, below: 0, end: count, bracket, pivot: None }
    }

    /// Returns the value if it is known.
    pub(super) fn value(&self) -> Option<A> {
        (self.low == self.high).then_some(self.low)
    }

    /// Returns the number of candidates: the values between the bounds.
    pub(super) fn candidates(&self) -> u64 {
        self.end - self.below
    }

    /// Tightens the bounds by the counts of a pass over a bracket, which may be that of another
    /// search.
    fn apply_counts(&mut self, (low, high): (A, A), counts: BracketCounts) {
        let end = counts.below + counts.inside;
        if self.rank < counts.below {
            self.not_above(A::from_ordered_bits(low.to_ordered_bits() - 1), counts.below);
        } else if self.rank >= end {
            self.not_below(A::from_ordered_bits(high.to_ordered_bits() + 1), end);
        } else {
            self.not_below(low, counts.below);
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

    /// Returns the lower half of the interval of order-preserving integers.
    fn half(&self) -> (A, A) {
        let low = self.low.to_ordered_bits();
        let high = self.high.to_ordered_bits();
        (self.low, A::from_ordered_bits(low + (high - low) / 2))
    }
}

/// Refines the searches, whose ranks must ascend, by the result of a pass, which has kept all or
/// some of the elements inside the brackets. Each search then has a value, or a bracket for the
/// next pass with a margin of `sigmas` standard deviations of a sample's rank on either side.
pub(super) fn refine<A: Element>(
    searches: &mut [RankSearch<A>],
    brackets: &[(A, A)],
    bracket_counts: &[BracketCounts],
    kept: &mut [A],
    sigmas: f64,
) {
    let before = searches.to_vec();
    for search in &mut *searches {
        brackets
            .iter()
            .zip(bracket_counts)
            .for_each(|(&bracket, &counts)| search.apply_counts(bracket, counts));
    }
    select_or_bracket(searches, kept, sigmas);
    for (search, before) in searches.iter_mut().zip(before) {
        let is_stuck = search.interval() == before.interval() && search.bracket == before.bracket;
        if is_stuck && search.value().is_none() {
            // For example if two distinct values fill the bracket: the pivot separates them.
            search.bracket = search.pivot.map_or_else(|| search.half(), |pivot| (pivot, pivot));
        }
    }
}

/// Selects values from the elements that were kept if these are complete, and computes the next
/// brackets otherwise.
fn select_or_bracket<A: Element>(searches: &mut [RankSearch<A>], kept: &mut [A], sigmas: f64) {
    let mut open: Vec<_> = searches.iter_mut().filter(|search| search.value().is_none()).collect();
    let intervals: Vec<_> = open.iter().map(|search| search.interval()).collect();
    let mut bracket_counts = vec![BracketCounts::default(); intervals.len()];
    kernels::count_brackets::<A, false>(kept, &intervals, &mut bracket_counts, &mut Vec::new());

    // The rank of the value, or the two ranks of the ends of its bracket, among the elements that
    // were kept.
    let mut ranks: Vec<BracketRanks> = Vec::with_capacity(open.len());
    let mut pivots = Vec::with_capacity(open.len());
    for (index, (search, counts)) in open.iter().zip(&bracket_counts).enumerate() {
        // Adjacent ranks share a bracket.
        let is_next = |before: &&mut RankSearch<A>| {
            before.interval() == search.interval() && search.rank - before.rank <= 1
        };
        let shared = index.checked_sub(1).filter(|&before| is_next(&open[before]));
        let rank = search.rank - search.below;
        let inside = search.candidates();
        let middle = (rank as f64 / inside as f64 * counts.inside as f64) as u64;
        pivots.push(
            (counts.inside > 0).then(|| (counts.below + middle.min(counts.inside - 1)) as usize),
        );
        let next = if counts.inside == inside {
            let rank = (counts.below + rank) as usize;
            [Some(rank); 2]
        } else if counts.inside < MIN_SAMPLE as u64 {
            [None; 2]
        } else if let Some(before) = shared {
            ranks[before]
        } else {
            let share = (rank as f64 + 0.5) / inside as f64;
            let margin =
                sigmas * (counts.inside as f64 * share * (1.0 - share)).max(1.0).sqrt() + 1.0;
            bracket_ranks(counts.inside as usize, share, margin)
                .map(|rank| rank.map(|rank| counts.below as usize + rank))
        };
        ranks.push(next);
    }
    let wanted = ranks.iter().flatten().chain(&pivots).flatten().copied();
    let picked = SelectedValues::new(wanted, |ranks| select_mut(kept, ranks));
    for (((search, ends), counts), pivot) in
        open.iter_mut().zip(ranks).zip(bracket_counts).zip(pivots)
    {
        search.pivot = pivot.map(|rank| picked.get(rank));
        search.bracket = picked.bracket(ends, search.interval());
        if counts.inside == search.candidates() {
            (search.low, search.high) = search.bracket;
        }
    }
}
