//! Ranks in a sorted sample, and the values at these ranks.
#![forbid(unsafe_code)]

use crate::stats::element::Element;

/// The ranks of the two ends of a bracket; `None` beyond the first and the last element.
pub(super) type BracketRanks = [Option<usize>; 2];

/// Returns the ranks at a margin on either side of a fraction of `count` sorted values.
pub(super) fn bracket_ranks(count: usize, share: f64, margin: f64) -> BracketRanks {
    let middle = share * count as f64;
    let from = middle - margin;
    let to = middle + margin;
    [(from >= 0.0).then_some(from as usize), ((to as usize) < count).then_some(to as usize)]
}

/// The values of some ranks.
pub(super) struct SelectedValues<A> {
    ranks: Vec<usize>,
    values: Vec<A>,
}

impl<A: Element> SelectedValues<A> {
    /// Selects the values of some ranks; `select` returns those of ascending ranks.
    pub(super) fn new(
        ranks: impl Iterator<Item = usize>,
        select: impl FnOnce(&[usize]) -> Vec<A>,
    ) -> Self {
        let mut ranks: Vec<_> = ranks.collect();
        ranks.sort_unstable();
        ranks.dedup();
        let values = select(&ranks);
        Self { ranks, values }
    }

    /// Returns the value of one of the ranks.
    pub(super) fn get(&self, rank: usize) -> A {
        self.values[self.ranks.partition_point(|&other| other < rank)]
    }

    /// Returns the values at the ends of a bracket.
    pub(super) fn bracket(&self, [from, to]: BracketRanks, (low, high): (A, A)) -> (A, A) {
        (from.map_or(low, |from| self.get(from)), to.map_or(high, |to| self.get(to)))
    }
}
