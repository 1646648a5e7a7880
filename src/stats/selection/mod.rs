//! Exact selection of order statistics in few passes and bounded memory.
//!
//! The algorithm is Floyd-Rivest selection in the multi-pass model of Munro and Paterson (1980).
//! Two values of a sample bracket each rank. One pass counts the elements below each bracket and
//! keeps the elements inside. If the rank is inside and all elements inside fit in memory, the
//! value is selected from them. Otherwise the counts show on which side of the bracket the rank is,
//! and the elements that were kept (one in 2, 4, ..., so that they fit) are the sample for the next
//! pass.
//!
//! The result is exact for any sample, because only counts decide. Brackets that do not shrink are
//! bisected, so the search terminates.
#![forbid(unsafe_code)]

pub(super) mod columns;
pub(super) mod gathered;
mod in_memory;
mod interpolate;
mod intervals;
pub(super) mod lanes;
pub(super) mod many;
mod rank_search;
mod ranks;
#[cfg(test)]
mod slices;
pub(super) mod tables;
pub(super) mod value_source;
pub(super) mod values;

use std::cmp::Ordering;

use super::element::Element;
use super::kernels::{self, BracketCounts};
use crate::distributed::{Codec, Ranks, impl_message, malformed};
use crate::error::Result;

pub(super) use self::in_memory::{Scratch, middle, select_in};
pub(super) use self::interpolate::interpolate;
use self::rank_search::{RankSearch, refine};
use self::ranks::{SelectedValues, bracket_ranks};

/// The margin of a bracket on either side of a rank, in standard deviations of the sample's rank.
const SIGMAS: f64 = 4.0;

/// The minimum size of a useful sample.
const MIN_SAMPLE: usize = 16;

/// The result of a pass: counts for each bracket (a pair of values, both inclusive), and
/// candidates.
#[derive(Debug)]
pub(super) struct PassResult<A> {
    bracket_counts: Vec<BracketCounts>,
    /// The number of NaNs, which are in no bracket.
    pub(super) nans: u64,
    /// One in `stride` of the values inside brackets, except for brackets of a single value.
    kept: Vec<A>,
    stride: usize,
    /// The number of values that were offered, kept or not.
    offered: usize,
    capacity: usize,
}

impl_message! {
    PassResult<A> { bracket_counts, nans, kept, stride, offered, capacity } where [A: Element]
}

impl<A: Element> PassResult<A> {
    /// Creates a result that keeps at most `capacity` elements.
    pub(super) fn new(brackets: &[(A, A)], capacity: usize) -> Self {
        // The full capacity is reserved, so that the vector is not copied when it grows. Its pages
        // are allocated on first use.
        let kept = Vec::with_capacity(capacity.max(2));
        Self {
            bracket_counts: vec![BracketCounts::default(); brackets.len()],
            nans: 0,
            kept,
            stride: 1,
            offered: 0,
            capacity: capacity.max(2),
        }
    }

    /// Absorbs the result of a thread, and clears it.
    pub(super) fn absorb(&mut self, part: &mut ThreadPass<A>) {
        add_counts(&mut self.bracket_counts, &part.bracket_counts);
        part.bracket_counts.fill(BracketCounts::default());
        self.nans += std::mem::take(&mut part.nans);
        while self.kept.len() + part.kept.len().div_ceil(self.stride) > self.capacity {
            let mut position = 0;
            self.kept.retain(|_| {
                position += 1;
                position % 2 == 1
            });
            self.stride *= 2;
        }
        let first = self.offered.next_multiple_of(self.stride) - self.offered;
        match self.stride {
            1 => self.kept.extend_from_slice(&part.kept),
            stride => self.kept.extend(part.kept.iter().skip(first).step_by(stride)),
        }
        self.offered += part.kept.len();
        part.kept.clear();
    }

    /// Merges the results of two parts of the elements, for the same brackets and capacity.
    pub(super) fn merged(mut self, mut other: Self) -> Self {
        add_counts(&mut self.bracket_counts, &other.bracket_counts);
        self.nans += other.nans;
        self.offered += other.offered;
        let mut stride = self.stride.max(other.stride);
        loop {
            self.thin(stride);
            other.thin(stride);
            if self.kept.len() + other.kept.len() <= self.capacity || stride > usize::MAX / 2 {
                break;
            }
            stride *= 2;
        }
        self.kept.append(&mut other.kept);
        self
    }

    /// Keeps one in `stride` elements, a multiple of the current stride.
    fn thin(&mut self, stride: usize) {
        let step = stride / self.stride;
        if step > 1 {
            let mut position = 0;
            self.kept.retain(|_| {
                position += 1;
                (position - 1) % step == 0
            });
        }
        self.stride = stride;
    }

    /// Returns the conversion of the result for a number of brackets.
    pub(super) fn codec<'c>(brackets: usize) -> Codec<'c, Self> {
        let Codec { encode, decode } = Codec::of_message();
        let is_valid = move |found: &Self| {
            found.bracket_counts.len() == brackets && found.stride.is_power_of_two()
        };
        let decode = move |bytes: &mut &[u8]| decode(bytes).filter(is_valid);
        Codec { encode, decode: Box::new(decode) }
    }

    /// Merges the results of all ranks, for the same brackets and capacity. The elements that are
    /// kept are thinned until those of all ranks fit.
    pub(super) fn across(mut self, ranks: &Ranks<'_>) -> Result<Self> {
        let counts = std::mem::take(&mut self.bracket_counts);
        let own = (counts, self.nans, (self.kept.len(), self.stride));
        let of_ranks = ranks.gather(&own)?;
        let kept: Vec<_> = of_ranks.iter().map(|&(_, _, kept)| kept).collect();
        if let Some(rank) = kept.iter().position(|(_, stride)| !stride.is_power_of_two()) {
            return Err(malformed(rank));
        }
        let mut stride = kept.iter().map(|&(_, stride)| stride).max().unwrap_or(1);
        let fits = |stride: usize| {
            let lens = kept.iter().map(|&(len, of_rank)| len.div_ceil(stride / of_rank));
            lens.sum::<usize>() <= self.capacity.max(kept.len())
        };
        while !fits(stride) && stride <= usize::MAX / 2 {
            stride *= 2;
        }
        // A rank that was started again may have sent a larger stride the first time.
        self.thin(stride.max(self.stride));
        let thinned = std::mem::take(&mut self.kept);
        let mut of_ranks = of_ranks.into_iter();
        (self.bracket_counts, self.nans, _) = of_ranks.next().expect("a result of each rank");
        for (bracket_counts, nans, _) in of_ranks {
            add_counts(&mut self.bracket_counts, &bracket_counts);
            self.nans += nans;
        }
        self.kept = ranks.gather(&thinned)?.concat();
        Ok(Self { stride, ..self })
    }
}

fn add_counts(all: &mut [BracketCounts], part: &[BracketCounts]) {
    for (all, counts) in all.iter_mut().zip(part) {
        all.below += counts.below;
        all.inside += counts.inside;
    }
}

/// The result of a pass in one thread.
#[derive(Debug)]
pub(super) struct ThreadPass<A> {
    bracket_counts: Vec<BracketCounts>,
    nans: u64,
    kept: Vec<A>,
}

impl<A: Element> ThreadPass<A> {
    pub(super) fn new(brackets: &[(A, A)]) -> Self {
        Self {
            bracket_counts: vec![BracketCounts::default(); brackets.len()],
            nans: 0,
            kept: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, elements: &[A], brackets: &[(A, A)]) {
        self.nans += kernels::count_brackets::<A, true>(
            elements,
            brackets,
            &mut self.bracket_counts,
            &mut self.kept,
        );
    }

    /// Returns the number of elements kept.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }
}

/// Selects the values of some ranks, which must ascend, among `count` values without NaN. Each rank
/// comes with its bracket in the first pass, whose result is given. `pass` processes all values
/// with the brackets that are passed to it.
pub(super) fn select<A: Element>(
    ranks: &[(u64, (A, A))],
    count: u64,
    (mut brackets, mut found): (Vec<(A, A)>, PassResult<A>),
    mut pass: impl FnMut(&[(A, A)]) -> Result<PassResult<A>>,
) -> Result<Vec<A>> {
    let mut searches: Vec<_> =
        ranks.iter().map(|&(rank, bracket)| RankSearch::new(rank, count, bracket)).collect();
    loop {
        refine(&mut searches, &brackets, &found.bracket_counts, &mut found.kept, SIGMAS);
        // Free the memory before the next pass needs it.
        drop(found);
        brackets = distinct(
            searches.iter().filter(|search| search.value().is_none()).map(|search| search.bracket),
        );
        if brackets.is_empty() {
            return Ok(searches.iter().filter_map(RankSearch::value).collect());
        }
        found = pass(&brackets)?;
    }
}

/// Removes consecutive duplicates.
pub(super) fn distinct<A: Element>(brackets: impl Iterator<Item = (A, A)>) -> Vec<(A, A)> {
    let mut brackets: Vec<_> = brackets.collect();
    brackets.dedup();
    brackets
}

/// Returns a bracket for each of some fractions (from 0 to 1) of the values. The sample consists of
/// runs of `run` consecutive values, which may be correlated.
pub(super) fn brackets<A: Element>(fractions: &[f64], sample: &[A], run: usize) -> Vec<(A, A)> {
    if sample.len() < MIN_SAMPLE {
        return vec![A::RANGE; fractions.len()];
    }
    let mut scratch = Scratch::default();
    let middle = |fraction: f64| (fraction * (sample.len() - 1) as f64) as usize;
    let mut select_ranks = |ranks: &[usize]| select_in(sample, ranks, &mut scratch);
    let middles =
        SelectedValues::new(fractions.iter().map(|&fraction| middle(fraction)), &mut select_ranks);
    let bracket_ends = fractions.iter().map(|&fraction| {
        // If consecutive values are correlated, the variance between adjacent runs estimates the
        // error of the sample.
        let value = middles.get(middle(fraction));
        let below: Vec<_> =
            sample.chunks(run).map(|run| kernels::count_below(run, value) as f64).collect();
        let between = below.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum::<f64>() / 2.0;
        let within = sample.len() as f64 * fraction * (1.0 - fraction);
        bracket_ranks(sample.len(), fraction, SIGMAS * between.max(within).max(1.0).sqrt() + 1.0)
    });
    let bracket_ends: Vec<_> = bracket_ends.collect();
    let values =
        SelectedValues::new(bracket_ends.iter().flatten().flatten().copied(), select_ranks);
    bracket_ends.into_iter().map(|ends| values.bracket(ends, A::RANGE)).collect()
}

/// Compares elements that are not NaN.
fn order<A: Element>(a: &A, b: &A) -> Ordering {
    a.partial_cmp(b).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Selects among values in memory with a small capacity, and counts the passes.
    fn run<A: Element>(
        values: &[A],
        sample: &[A],
        ranks: &[u64],
        capacity: usize,
    ) -> (Vec<A>, usize) {
        let mut passes = 0;
        let mut pass = |brackets: &[(A, A)]| {
            passes += 1;
            assert!(passes < 1_000, "{brackets:?}");
            let mut found = PassResult::new(brackets, capacity);
            let mut part = ThreadPass::new(brackets);
            for block in values.chunks(37) {
                part.push(block, brackets);
                if part.kept() > 50 {
                    found.absorb(&mut part);
                }
            }
            found.absorb(&mut part);
            assert!(found.kept.len() <= capacity);
            Ok(found)
        };
        let last = (values.len() - 1).max(1) as f64;
        let fractions: Vec<_> = ranks.iter().map(|&rank| rank as f64 / last).collect();
        let guesses = super::brackets(&fractions, sample, 10);
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
            assert!(
                found == sorted[rank as usize],
                "{rank}: {found:?}, not {:?}",
                sorted[rank as usize]
            );
        }
        passes
    }

    #[test]
    fn misleading_sample_costs_only_passes() {
        let count = 10_000_u64;
        let shuffled: Vec<u64> = (0..count).map(|i| i * 7_919 % count).collect();
        assert!(check(&shuffled, &[], 20_000) <= 2);
        for sample in
            [vec![], vec![5; 100], (0..100).collect(), vec![u64::MAX; 50], shuffled[..500].to_vec()]
        {
            for capacity in [16, 100, 3_000] {
                assert!(
                    check(&shuffled, &sample, capacity) < if capacity == 16 { 800 } else { 100 }
                );
            }
        }
        let sorted: Vec<f64> = (0..count).map(|i| i as f64).collect();
        let reversed: Vec<f64> = sorted.iter().rev().copied().collect();
        check(&sorted, &sorted[..600], 300);
        check(&reversed, &reversed[..600], 300);
        check(&vec![1.5_f32; 5_000], &[1.5; 100], 20);
        let two: Vec<i8> = (0..5_000).map(|i| if i % 3 == 0 { i8::MIN } else { i8::MAX }).collect();
        check(&two, &two[..100], 20);
        // Adjacent values, with more duplicates of each than fit.
        let near: Vec<f64> =
            (0..9_000).map(|i| if i % 2 == 0 { 1.0 } else { 1.0_f64.next_up() }).collect();
        check(&near, &near[..100], 20);
        let zeros: Vec<f64> = (0..9_000).map(|i| if i % 2 == 0 { 0.0 } else { -0.0 }).collect();
        check(&zeros, &zeros[..100], 20);
        // Skewed values: each is twice as large as the previous one.
        let wide: Vec<f64> = (0..2_000)
            .map(|i| f64::from_bits((i * 0x0001_0000_0000_0000_u64) % 0x7FF0_0000_0000_0000))
            .collect();
        check(&wide, &wide[..100], 16);
        check(&[f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 0.0], &[], 2);
    }

    #[test]
    fn ordered_bits_ascend() {
        let floats = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.0,
            -f64::MIN_POSITIVE,
            -0.0,
            0.0,
            f64::MIN_POSITIVE,
            1.0,
            f64::INFINITY,
        ];
        assert!(floats.iter().map(|x| x.to_ordered_bits()).is_sorted());
        assert!(floats.iter().all(|x| f64::from_ordered_bits(x.to_ordered_bits()) == *x));
        assert_eq!(f64::from_ordered_bits((-0.0_f64).to_ordered_bits() - 1), -f64::from_bits(1));
        assert!(
            [-1e30_f32, -1.0, 0.0, 2.0]
                .iter()
                .all(|x| f32::from_ordered_bits(x.to_ordered_bits()) == *x)
        );
        assert!([i64::MIN, -1, 0, 1, i64::MAX].iter().map(|x| x.to_ordered_bits()).is_sorted());
        assert!(
            [i8::MIN, -1, 0, 1, i8::MAX]
                .iter()
                .all(|x| i8::from_ordered_bits(x.to_ordered_bits()) == *x)
        );
        assert!([0, 1, u64::MAX].iter().all(|x| u64::from_ordered_bits(x.to_ordered_bits()) == *x));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn selection_equals_sorting(
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
