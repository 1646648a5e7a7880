//! Ranks in a sorted sample, and the values at these ranks.
#![forbid(unsafe_code)]

use super::super::element::Element;

/// The ranks of the two ends of a bracket; `None` beyond the first and the last element.
pub(super) type BracketRanks = [Option<usize>; 2];

/// Returns the ranks at a margin on either side of a fraction of `count` sorted values.
pub(super) fn span(count: usize, share: f64, margin: f64) -> BracketRanks {
    let middle = share * count as f64;
    let from = middle - margin;
    let to = middle + margin;
    [(from >= 0.0).then_some(from as usize), ((to as usize) < count).then_some(to as usize)]
}

/// The values of some ranks.
pub(super) struct SelectedValues<A> {
    places: Vec<usize>,
    values: Vec<A>,
}

impl<A: Element> SelectedValues<A> {
    /// Selects the values of some ranks; `select` returns those of ascending ranks.
    pub(super) fn new(
        places: impl Iterator<Item = usize>,
        pick: impl FnOnce(&[usize]) -> Vec<A>,
    ) -> Self {
        let mut places: Vec<_> = places.collect();
        places.sort_unstable();
        places.dedup();
        let values = pick(&places);
        Self { places, values }
    }

    /// Returns the value of one of the ranks.
    pub(super) fn get(&self, place: usize) -> A {
        self.values[self.places.partition_point(|&other| other < place)]
    }

    /// Returns the values at the ends of a bracket.
    pub(super) fn bracket(&self, [from, to]: BracketRanks, (low, high): (A, A)) -> (A, A) {
        (from.map_or(low, |from| self.get(from)), to.map_or(high, |to| self.get(to)))
    }
}
