//! Exact selection in few passes and bounded memory: what value has a given rank.
//!
//! Two values of a sample bracket each wanted rank. One pass counts what lies below the bracket and keeps what lies inside.
//! If the rank fell inside and all could be kept, it is found there. Else the counts tell on which side it lies, and what was
//! kept (every second, fourth, ... value, so that it fits) is a sample of the inside for the next pass. Counting decides, so
//! the result is exact whatever the sample; if the brackets do not shrink, they are halved, so there is an end.
#![forbid(unsafe_code)]

use std::cmp::Ordering;
use std::sync::{Mutex, PoisonError};

use super::element::Element;
use super::kernels;
use crate::error::Result;

/// How many brackets share a pass at most.
const MOST_BRACKETS: usize = 16;

/// What a pass finds out about a bracket.
#[derive(Debug)]
pub(super) struct Found<A> {
    pub(super) below: u64,
    pub(super) inside: u64,
    /// Every `stride`th of the values inside.
    pub(super) kept: Vec<A>,
    pub(super) stride: u64,
}

/// Takes the values of a pass, block by block.
pub(super) struct Collector<A> {
    low: A,
    high: A,
    capacity: usize,
    found: Mutex<Found<A>>,
}

impl<A: Element> Collector<A> {
    pub(super) fn new((low, high): (A, A), capacity: usize) -> Self {
        let found = Found { below: 0, inside: 0, kept: Vec::new(), stride: 1 };
        Self { low, high, capacity: capacity.max(2), found: Mutex::new(found) }
    }

    pub(super) fn push(&self, elements: &[A], buffer: &mut Vec<A>) {
        buffer.clear();
        // Where there is one value only, it need not be kept.
        let below = kernels::collect(elements, self.low, self.high, buffer);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.below += below;
        if self.low == self.high {
            found.inside += buffer.len() as u64;
            return;
        }
        if found.kept.capacity() == 0 {
            // At once, so that it is not copied when it grows; pages are taken when they are used.
            found.kept.reserve_exact(self.capacity);
        }
        for &element in &*buffer {
            if found.inside.is_multiple_of(found.stride) {
                if found.kept.len() == self.capacity {
                    let mut number = 0;
                    found.kept.retain(|_| {
                        number += 1;
                        number % 2 == 1
                    });
                    found.stride *= 2;
                }
                if found.inside.is_multiple_of(found.stride) {
                    found.kept.push(element);
                }
            }
            found.inside += 1;
        }
    }

    pub(super) fn finish(self) -> Found<A> {
        self.found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A rank that is looked for.
struct Search<A> {
    rank: u64,
    /// The value lies between these, both included.
    low: A,
    high: A,
    /// How many values lie below `low`, and how many between.
    below: u64,
    inside: u64,
    /// Some of the values between, in order.
    sample: Vec<A>,
    /// The last pass has not brought them nearer.
    stuck: bool,
}

impl<A: Element> Search<A> {
    /// Where to look next.
    fn bracket(&self) -> (A, A) {
        let (low, high) = (self.low.to_key(), self.high.to_key());
        if self.stuck {
            return (self.low, A::from_key(low + (high - low) / 2));
        }
        let count = self.sample.len();
        if count < 16 {
            return (self.low, self.high);
        }
        let share = ((self.rank - self.below) as f64 + 0.5) / self.inside as f64;
        let middle = share * count as f64;
        // Five standard deviations of the sample's rank on both sides.
        let margin = 5.0 * (count as f64 * share * (1.0 - share)).max(1.0).sqrt() + 1.0;
        let from = middle - margin;
        let to = middle + margin;
        let low = if from < 0.0 { self.low } else { self.sample[from as usize] };
        let high = if to as usize >= count { self.high } else { self.sample[to as usize] };
        (low, high)
    }

    /// Draws the conclusions of a pass; the value, if it is known now.
    fn narrow(&mut self, (low, high): (A, A), found: &mut Found<A>) -> Option<A> {
        let before = (self.low.to_key(), self.high.to_key());
        if self.rank < found.below {
            self.high = A::from_key(low.to_key().saturating_sub(1)).max_of(self.low);
            self.inside = found.below - self.below;
            let high = self.high;
            self.sample.retain(|&value| value <= high);
        } else if self.rank >= found.below + found.inside {
            self.low = A::from_key(high.to_key().saturating_add(1)).min_of(self.high);
            self.inside = (self.below + self.inside).saturating_sub(found.below + found.inside);
            self.below = found.below + found.inside;
            let low = self.low;
            self.sample.retain(|&value| value >= low);
        } else if low == high {
            return Some(low);
        } else if found.stride == 1 {
            let place = (self.rank - found.below) as usize;
            return Some(*found.kept.select_nth_unstable_by(place, order).1);
        } else {
            (self.low, self.high) = (low, high);
            (self.below, self.inside) = (found.below, found.inside);
            self.sample.clone_from(&found.kept);
            self.sample.sort_unstable_by(order);
        }
        self.stuck = before == (self.low.to_key(), self.high.to_key());
        None
    }
}

/// Elements without NaN have an order.
fn order<A: Element>(a: &A, b: &A) -> Ordering {
    a.partial_cmp(b).unwrap_or(Ordering::Equal)
}

trait Ends: Element {
    fn max_of(self, other: Self) -> Self {
        if other > self { other } else { self }
    }

    fn min_of(self, other: Self) -> Self {
        if other < self { other } else { self }
    }
}
impl<A: Element> Ends for A {}

/// The values of some ranks (each less than `count`) among `count` values, none of them NaN, of which a sample is given.
/// `pass` goes through all values with the brackets it is given.
pub(super) fn select<A: Element>(
    ranks: &[u64],
    count: u64,
    mut sample: Vec<A>,
    mut pass: impl FnMut(&[(A, A)]) -> Result<Vec<Found<A>>>,
) -> Result<Vec<A>> {
    sample.retain(|value| !value.is_nan());
    sample.sort_unstable_by(order);
    let (low, high) = A::ENDS;
    let mut values = vec![None; ranks.len()];
    let mut searches: Vec<_> = ranks
        .iter()
        .map(|&rank| Search { rank, low, high, below: 0, inside: count, sample: sample.clone(), stuck: false })
        .collect();
    drop(sample);
    while values.contains(&None) {
        let mut brackets: Vec<(A, A)> = Vec::new();
        let mut looking = Vec::new();
        for number in (0..values.len()).filter(|&number| values[number].is_none()) {
            let bracket = searches[number].bracket();
            let known = brackets.iter().position(|&other| other == bracket);
            if known.is_none() && brackets.len() == MOST_BRACKETS {
                continue;
            }
            let place = known.unwrap_or_else(|| {
                brackets.push(bracket);
                brackets.len() - 1
            });
            looking.push((number, place));
        }
        let mut found = pass(&brackets)?;
        for (number, place) in looking {
            values[number] = searches[number].narrow(brackets[place], &mut found[place]);
        }
    }
    Ok(values.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Selects among values in memory, keeping few, and counts the passes.
    fn run<A: Element>(values: &[A], sample: Vec<A>, ranks: &[u64], capacity: usize) -> (Vec<A>, usize) {
        let mut passes = 0;
        let selected = select(ranks, values.len() as u64, sample, |brackets| {
            passes += 1;
            assert!(passes < 1_000, "{brackets:?}");
            assert!(brackets.len() <= MOST_BRACKETS);
            let collectors: Vec<_> = brackets.iter().map(|&bracket| Collector::new(bracket, capacity)).collect();
            for block in values.chunks(37) {
                collectors.iter().for_each(|collector| collector.push(block, &mut Vec::new()));
            }
            let found: Vec<_> = collectors.into_iter().map(Collector::finish).collect();
            assert!(found.iter().all(|found| found.kept.len() <= capacity));
            Ok(found)
        });
        (selected.unwrap(), passes)
    }

    fn check<A: Element>(values: &[A], sample: &[A], capacity: usize) -> usize {
        let mut sorted = values.to_vec();
        sorted.sort_by(order);
        let last = values.len() as u64 - 1;
        let ranks: Vec<_> = (0..=20).map(|part| part * last / 20).collect();
        let (found, passes) = run(values, sample.to_vec(), &ranks, capacity);
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
