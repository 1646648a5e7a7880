//! The search for a rank: bounds on its value, and the next bracket.
#![forbid(unsafe_code)]

use super::super::element::Element;
use super::super::kernels::{self, BracketCounts};
use super::MIN_SAMPLE;
use super::in_memory::select_mut;
use super::ranks::{BracketRanks, SelectedValues, span};

/// The search for the value of a rank.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search<A> {
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

impl<A: Element> Search<A> {
    /// Creates a search for a rank among `count` values.
    pub(super) fn new(rank: u64, count: u64, bracket: (A, A)) -> Self {
        let (low, high) = A::ENDS;
        Self { rank, low, high, below: 0, end: count, bracket, pivot: None }
    }

    /// Returns the value if it is known.
    pub(super) fn value(&self) -> Option<A> {
        (self.low == self.high).then_some(self.low)
    }

    /// Returns the number of candidates: the values between the bounds.
    pub(super) fn inside(&self) -> u64 {
        self.end - self.below
    }

    /// Tightens the bounds by the counts of a pass over a bracket, which may be that of another
    /// search.
    fn narrow(&mut self, (low, high): (A, A), count_brackets: BracketCounts) {
        let end = count_brackets.below + count_brackets.inside;
        if self.rank < count_brackets.below {
            self.not_above(A::from_ordered_bits(low.to_ordered_bits() - 1), count_brackets.below);
        } else if self.rank >= end {
            self.not_below(A::from_ordered_bits(high.to_ordered_bits() + 1), end);
        } else {
            self.not_below(low, count_brackets.below);
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
pub(super) fn advance<A: Element>(
    searches: &mut [Search<A>],
    brackets: &[(A, A)],
    tallies: &[BracketCounts],
    kept: &mut [A],
    deviations: f64,
) {
    let before = searches.to_vec();
    for search in &mut *searches {
        brackets
            .iter()
            .zip(tallies)
            .for_each(|(&bracket, &count_brackets)| search.narrow(bracket, count_brackets));
    }
    look_into(searches, kept, deviations);
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
fn look_into<A: Element>(searches: &mut [Search<A>], kept: &mut [A], deviations: f64) {
    let mut open: Vec<_> = searches.iter_mut().filter(|search| search.value().is_none()).collect();
    let intervals: Vec<_> = open.iter().map(|search| search.interval()).collect();
    let mut tallies = vec![BracketCounts::default(); intervals.len()];
    kernels::count_brackets::<A, false>(kept, &intervals, &mut tallies, &mut Vec::new());

    // The rank of the value, or the two ranks of the ends of its bracket, among the elements that
    // were kept.
    let mut places: Vec<BracketRanks> = Vec::with_capacity(open.len());
    let mut pivots = Vec::with_capacity(open.len());
    for (number, (search, count_brackets)) in open.iter().zip(&tallies).enumerate() {
        // Adjacent ranks share a bracket.
        let is_next = |before: &&mut Search<A>| {
            before.interval() == search.interval() && search.rank - before.rank <= 1
        };
        let shared = number.checked_sub(1).filter(|&before| is_next(&open[before]));
        let rank = search.rank - search.below;
        let inside = search.inside();
        let middle = (rank as f64 / inside as f64 * count_brackets.inside as f64) as u64;
        pivots.push(
            (count_brackets.inside > 0)
                .then(|| (count_brackets.below + middle.min(count_brackets.inside - 1)) as usize),
        );
        let next = if count_brackets.inside == inside {
            let place = (count_brackets.below + rank) as usize;
            [Some(place); 2]
        } else if count_brackets.inside < MIN_SAMPLE as u64 {
            [None; 2]
        } else if let Some(before) = shared {
            places[before]
        } else {
            let share = (rank as f64 + 0.5) / inside as f64;
            let margin = deviations
                * (count_brackets.inside as f64 * share * (1.0 - share)).max(1.0).sqrt()
                + 1.0;
            span(count_brackets.inside as usize, share, margin)
                .map(|place| place.map(|place| count_brackets.below as usize + place))
        };
        places.push(next);
    }
    let wanted = places.iter().flatten().chain(&pivots).flatten().copied();
    let picked = SelectedValues::new(wanted, |places| select_mut(kept, places));
    for (((search, span), count_brackets), pivot) in
        open.iter_mut().zip(places).zip(tallies).zip(pivots)
    {
        search.pivot = pivot.map(|place| picked.get(place));
        search.bracket = picked.bracket(span, search.interval());
        if count_brackets.inside == search.inside() {
            (search.low, search.high) = search.bracket;
        }
    }
}
