//! Where values are among others in order, and what they are.
#![forbid(unsafe_code)]

use super::super::element::Element;

/// The places of the two ends of a bracket; `None` beyond the first and the last.
pub(super) type BracketRanks = [Option<usize>; 2];

/// The places around a share of so many values in order.
pub(super) fn span(count: usize, share: f64, margin: f64) -> BracketRanks {
    let middle = share * count as f64;
    let (from, to) = (middle - margin, middle + margin);
    [(from >= 0.0).then_some(from as usize), ((to as usize) < count).then_some(to as usize)]
}

/// The values at some places.
pub(super) struct SelectedValues<A> {
    places: Vec<usize>,
    values: Vec<A>,
}

impl<A: Element> SelectedValues<A> {
    /// `pick` gives the values at places that ascend.
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

    /// The value at one of the places.
    pub(super) fn get(&self, place: usize) -> A {
        self.values[self.places.partition_point(|&other| other < place)]
    }

    /// The values at the ends of a span.
    pub(super) fn bracket(&self, [from, to]: BracketRanks, (low, high): (A, A)) -> (A, A) {
        (from.map_or(low, |from| self.get(from)), to.map_or(high, |to| self.get(to)))
    }
}
