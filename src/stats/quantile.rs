//! Exact quantiles of all elements.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use ndarray::Dimension;

use super::element::Element;
use super::kernels::CellMap;
use super::passes::Dynamic;
use super::selection::many::{count, min_bytes, select_many};
use super::selection::value_source::ValueSource;
use super::selection::values::{self, is_by_value, select_by_value};
use super::selection::{PassResult, ThreadPass, brackets, distinct, middle, select};
use crate::chunked::{AnyArray, ArraySource, Blocks, Chunked, half, merge_across};
use crate::distributed::{Ranks, for_each_pass, pass_key, run_in_parts};
use crate::error::{ErrorKind, Result};

/// Strategies for a quantile between two elements, as in ndarray-stats.
///
/// The quantile `q` of `n` sorted elements is at index `(n - 1) * q`. `lower` and `higher` are the
/// elements at the adjacent integer indices, and `fraction` is the fractional part of the index.
///
/// An index is rounded to an integer, or to an integer plus one half, if it differs from it only by
/// the rounding of `q` to an `f64`: the quantile 0.29 of 101 elements is at index 29, although
/// `100.0 * 0.29` is 28.999999999999996.
///
/// `Midpoint` and `Linear` return the exact value rounded to the nearest `f64` and then to the
/// element type (for integers, the exact value rounded down), so the result is always between the
/// two elements. Between an infinity and a finite number the result is the infinity. Between
/// infinities of opposite signs it is NaN.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{prelude::*, stats::Interpolation::*};
///
/// let values = array![30.0, 0.0, 10.0, 20.0]; // the quantile 0.25 is at index 0.75
/// let quantile = |strategy| values.chunked().quantile(0.25, strategy).unwrap();
/// let found = [Lower, Higher, Nearest, Midpoint, Linear].map(quantile);
/// assert_eq!(found, [0.0, 10.0, 10.0, 5.0, 7.5]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interpolation {
    /// The lower element.
    Lower,
    /// The higher element.
    Higher,
    /// The nearest element; the higher one if there is a tie.
    Nearest,
    /// `(lower + higher) / 2`.
    Midpoint,
    /// `lower + (higher - lower) * fraction`.
    #[default]
    Linear,
}

/// The bytes of candidates that are kept at once without a memory limit.
const DEFAULT_BYTES: usize = 32 << 20;

/// The maximum number of quantiles whose brackets each element is compared with. Counting in cells
/// takes one more pass.
const MAX_BRACKETS: usize = 8;

/// Returns the maximum number of sampled runs: fewer for smaller elements, which are read faster.
const fn max_sample_runs<A>() -> usize {
    match size_of::<A>() {
        1 => 256,
        2 => 512,
        _ => 1024,
    }
}

/// The number of elements of a sampled run.
const SAMPLE_RUN_LEN: usize = 1024;

/// The minimum and maximum number of candidates that a thread collects before it merges them into
/// the shared result.
const FLUSH_THRESHOLDS: (usize, usize) = (256, 8192);

/// Quantiles of all elements.
///
/// The quantiles are exact, and the array is not reordered. NaNs are counted in the same passes.
///
/// Up to eight quantiles are selected by Floyd-Rivest sampling: up to 1,024 short runs of elements
/// are read, then usually one pass over the array follows. More than eight quantiles are first
/// located by counting elements in cells, which takes a second pass. Arrays much larger than memory
/// also take a second pass. The cost of an element grows with the logarithm of the number of
/// quantiles. Elements of one or two bytes usually take one pass and at most two, for any number of
/// quantiles.
///
/// Data for which the sample is not representative takes more passes, never more memory. Candidates
/// take up to 32 MiB (or 640 KiB for each thread, if that is more), or less than half of the
/// [memory limit](Self::memory_limit). If the limit leaves less than 640 KiB for each thread, the
/// time for more than eight quantiles is proportional to their number.
///
/// # Errors
///
/// - [`ErrorKind::EmptyInput`] if the input is empty or contains only NaNs.
/// - [`ErrorKind::UndefinedOrder`] if an element is NaN and NaNs are not [skipped](Self::skipnan).
/// - [`ErrorKind::InvalidQuantile`] if a quantile is not between 0 and 1.
/// - The errors of [all parallel methods](#errors-of-parallel-methods).
impl<A: Element, D: Dimension, P: ArraySource<Elem = A, Dim = D>> Chunked<'_, P> {
    /// Computes the quantile `q`, a number from 0 (the minimum) to 1 (the maximum); 0.5 is the
    /// median.
    ///
    /// A quantile between two integers is rounded down.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{prelude::*, stats::Interpolation::*};
    ///
    /// let table = Array2::from_shape_fn((1_024, 1_024), |(i, j)| (i ^ j) as f64);
    /// assert_eq!(table.chunked().quantile(0.5, Linear)?, 511.5);
    /// assert_eq!(table.chunked().quantile(0.5, Lower)?, 511.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::EmptyInput`] if the input is empty or contains only NaNs.
    /// - [`ErrorKind::UndefinedOrder`] if an element is NaN and NaNs are not
    ///   [skipped](Self::skipnan).
    /// - [`ErrorKind::InvalidQuantile`] if `q` is not between 0 and 1.
    /// - The errors of [all parallel methods](#errors-of-parallel-methods).
    #[doc(alias("median", "nanmedian", "percentile", "nanpercentile", "nanquantile"))]
    pub fn quantile(self, q: f64, interpolation: Interpolation) -> Result<A> {
        Ok(self.quantiles(&[q], interpolation)?[0])
    }

    /// Computes several [quantiles](Self::quantile), in the same passes.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{prelude::*, stats::Interpolation::*};
    ///
    /// let values = Array1::from_iter((0..=100).map(f64::from));
    /// assert_eq!(values.chunked().quantiles(&[0.05, 0.5, 0.95], Linear)?, [5.0, 50.0, 95.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::EmptyInput`] if the input is empty or contains only NaNs.
    /// - [`ErrorKind::UndefinedOrder`] if an element is NaN and NaNs are not
    ///   [skipped](Self::skipnan).
    /// - [`ErrorKind::InvalidQuantile`] if an element of `qs` is not between 0 and 1.
    /// - The errors of [all parallel methods](#errors-of-parallel-methods).
    pub fn quantiles(self, qs: &[f64], interpolation: Interpolation) -> Result<Vec<A>> {
        A::pass_quantiles(self.into_dyn(), qs, interpolation)
    }
}

impl<A: Element> Dynamic<'_, '_, A> {
    /// Selects quantiles of all elements; implements [`quantiles`](Self::quantiles).
    pub(super) fn select_quantiles(
        self,
        qs: &[f64],
        interpolation: Interpolation,
    ) -> Result<Vec<A>> {
        self.with_path(check(qs))?;
        let limit = self
            .memory_limit_bytes()
            .map_or(usize::MAX, |bytes| QuantilePositions::max_quantiles(bytes / 16));
        if qs.len() > limit {
            let mut all = Vec::with_capacity(qs.len());
            for_each_pass(qs.chunks(limit), |qs| {
                all.append(&mut self.clone().select_quantiles(qs, interpolation)?);
                Ok(())
            })?;
            return Ok(all);
        }
        let threads = self.threads();
        let (pages, kept_bytes) = match self.memory_limit_bytes() {
            // The remainder is for the positions of quantiles and for the buffers of threads.
            Some(bytes) => {
                // Messages of ranks are further copies.
                let share = if self.has_messages() { bytes / 64 } else { bytes / 16 };
                (self.clone().memory_limit(half(bytes)), share * 6)
            }
            None => {
                let min_kept = min_bytes::<A>(threads).max(values::min_bytes::<A>(threads));
                (self.clone(), DEFAULT_BYTES.max(min_kept))
            }
        };
        let blocks = self.rescale_limit_error(pages.flexible_blocks(), half)?;
        let all = blocks.len_across()?;
        let capacity = (kept_bytes / 4 * 3 / size_of::<A>()).min(all as usize);
        // The candidates of all threads take the rest, also while a full buffer grows.
        let flush_threshold = (kept_bytes / (12 * threads * size_of::<A>()))
            .clamp(FLUSH_THRESHOLDS.0, FLUSH_THRESHOLDS.1);

        let drawn = sample(&pages, capacity / 3)?;
        let positions = |nans| match all - nans {
            _ if nans > 0 && !self.skips_nan() => {
                self.with_path(Err(ErrorKind::UndefinedOrder {}.at(None)))
            }
            0 => self.with_path(Err(ErrorKind::EmptyInput {}.at(None))),
            count => Ok(QuantilePositions::new(qs, count, interpolation)),
        };
        // The sample must represent the fractions among elements that are not NaN, not their count.
        let guess = || brackets(qs, &drawn, SAMPLE_RUN_LEN);
        let is_many = qs.len() > MAX_BRACKETS;
        if is_by_value::<A>(all, kept_bytes, threads) {
            let guesses = (!is_many && !drawn.is_empty()).then(guess);
            let (positions, values) = select_by_value(&blocks, guesses, drawn, positions)?;
            return Ok(positions.quantiles(&values).collect());
        }
        if is_many && kept_bytes >= min_bytes::<A>(threads) {
            let cell_map = CellMap::new(middle(&drawn));
            drop(drawn);
            let (counted, nans) = count(&blocks, cell_map)?;
            let positions = positions(nans)?;
            let values =
                select_many(&blocks, cell_map, &counted, (kept_bytes, threads), &positions.ranks)?;
            return Ok(positions.quantiles(&values).collect());
        }
        let guesses = guess();
        drop(drawn);
        let room = (capacity, flush_threshold);
        let first_brackets = distinct(guesses.iter().copied());
        let first = self.pass(&blocks, &first_brackets, room)?;
        let positions = positions(first.nans)?;
        let guessed = positions.positions.iter().zip(guesses);
        let mut ranks: Vec<_> = guessed
            .flat_map(|(position, guess)| [(position.lower, guess), (position.higher, guess)])
            .collect();
        ranks.sort_unstable_by_key(|&(rank, _)| rank);
        ranks.dedup_by_key(|&mut (rank, _)| rank);
        let pass = |brackets: &[_]| self.pass(&blocks, brackets, room);
        let values = select(&ranks, all - first.nans, (first_brackets, first), pass)?;
        Ok(positions.quantiles(&values).collect())
    }

    /// Processes all elements once: counts them in brackets, and counts NaNs. At most `capacity`
    /// candidates are kept.
    fn pass(
        &self,
        blocks: &Blocks<'_, AnyArray<'_, A>>,
        brackets: &[(A, A)],
        (capacity, flush_threshold): (usize, usize),
    ) -> Result<PassResult<A>> {
        let run = |part| {
            let found = Mutex::new(PassResult::new(brackets, capacity));
            let absorb = |part: &mut ThreadPass<A>| {
                found.lock().unwrap_or_else(PoisonError::into_inner).absorb(part)
            };
            blocks.for_each_batch(part, &|batch| {
                let mut part = ThreadPass::new(brackets);
                for index in batch {
                    blocks.for_each_piece_of(index, &mut |elements| {
                        for elements in elements.chunks(flush_threshold) {
                            part.push(elements, brackets);
                            if part.kept() >= flush_threshold {
                                absorb(&mut part);
                            }
                        }
                    })?;
                }
                absorb(&mut part);
                Ok(())
            })?;
            Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
        };
        let key = pass_key("brackets", &(brackets.to_vec(), (blocks.count(), capacity)));
        let codec = PassResult::codec(brackets.len());
        let found =
            run_in_parts(blocks.ranks, key, blocks.count(), &codec, &PassResult::merged, &run)?;
        match blocks.ranks {
            Some(ranks) => found.across(ranks),
            None => Ok(found),
        }
    }
}

/// Checks that all quantiles are between 0 and 1.
pub(super) fn check(qs: &[f64]) -> Result<()> {
    match qs.iter().find(|q| !(0.0..=1.0).contains(*q)) {
        Some(q) => Err(ErrorKind::InvalidQuantile { found: q.to_string() }.at(None)),
        None => Ok(()),
    }
}

/// Returns a sample of at most `limit` elements, in evenly distributed runs and without NaNs.
fn sample<A: Element>(chunked: &Dynamic<'_, '_, A>, limit: usize) -> Result<Vec<A>> {
    let blocks = chunked.sampled_blocks()?;
    let count = blocks.count();
    let all = merge_across(blocks.ranks, count, |all, more| all + more)?;
    let draws = (all / 16).min(max_sample_runs::<A>()).min(limit / SAMPLE_RUN_LEN);
    let draws = (draws * count).div_ceil(all.max(1));
    let runs = Mutex::new(Vec::with_capacity(draws));
    let mut indices: Vec<_> = (0..draws)
        .map(|draw| {
            // One block is drawn from each segment, at offsets of a golden-ratio sequence. Such a
            // low-discrepancy sequence does not align with any period in the data.
            let within = (draw as f64 * 0.618_033_988_749_895).fract();
            ((draw as f64 + within) * count as f64 / draws as f64) as usize
        })
        .collect();
    indices.retain(|&index| index < count);
    blocks.for_each_block(&indices, &|position, elements| {
        let run = &elements[..elements.len().min(SAMPLE_RUN_LEN)];
        let run = match A::HAS_NAN {
            true => run.iter().copied().filter(|element| !element.is_nan()).collect(),
            false => run.to_vec(),
        };
        runs.lock().unwrap_or_else(PoisonError::into_inner).push((position, run));
    })?;
    // Brackets depend on the order, and the partial results of several processes on brackets.
    let mut runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
    runs.sort_unstable_by_key(|&(position, _)| position);
    let mut drawn = Vec::with_capacity(draws * SAMPLE_RUN_LEN);
    runs.iter_mut().for_each(|(_, run)| drawn.append(run));
    merge_across(blocks.ranks, drawn, |mut all, mut more| {
        all.append(&mut more);
        all
    })
}

impl<A: Element> ValueSource<A> for Blocks<'_, AnyArray<'_, A>> {
    fn items(&self) -> usize {
        self.count()
    }

    fn run<S: Send>(
        &self,
        part: Range<usize>,
        new: impl Fn() -> S + Sync,
        push: impl Fn(&mut S, &[A]) + Sync,
    ) -> Result<Vec<S>> {
        let states = Mutex::new(Vec::new());
        let idle = || states.lock().unwrap_or_else(PoisonError::into_inner);
        self.for_each_batch(part, &|batch| {
            let state = idle().pop();
            let mut state = state.unwrap_or_else(&new);
            for index in batch {
                self.for_each_piece_of(index, &mut |elements| push(&mut state, elements))?;
            }
            idle().push(state);
            Ok(())
        })?;
        Ok(states.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn ranks(&self) -> Option<&Ranks<'_>> {
        self.ranks
    }
}

/// The positions of quantiles among a number of elements.
pub(super) struct QuantilePositions {
    count: u64,
    positions: Vec<QuantilePosition>,
    /// The distinct ranks at or next to the quantiles, ascending.
    pub(super) ranks: Vec<u64>,
    /// For each quantile the indices of its two ranks in `ranks`.
    rank_indices: Vec<[usize; 2]>,
}

impl QuantilePositions {
    /// Returns the number of quantiles whose positions fit in a number of bytes, at least eight.
    pub(super) fn max_quantiles(bytes: usize) -> usize {
        (bytes / 128).max(8)
    }

    pub(super) fn new(qs: &[f64], count: u64, interpolation: Interpolation) -> Self {
        let positions: Vec<_> =
            qs.iter().map(|&q| QuantilePosition::new(q, count, interpolation)).collect();
        let mut ranks: Vec<_> =
            positions.iter().flat_map(|position| [position.lower, position.higher]).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let index = |rank| ranks.partition_point(|&other| other < rank);
        let rank_indices =
            positions.iter().map(|position| [position.lower, position.higher].map(index)).collect();
        Self { count, positions, ranks, rank_indices }
    }

    /// Recomputes the positions if the number of elements changed.
    pub(super) fn update(&mut self, qs: &[f64], count: u64, interpolation: Interpolation) {
        if self.count != count {
            *self = Self::new(qs, count, interpolation);
        }
    }

    /// Returns the quantiles, given the values of all ranks.
    pub(super) fn quantiles<A: Element>(&self, values: &[A]) -> impl Iterator<Item = A> {
        let of = |(position, &[lower, higher]): (&QuantilePosition, &[usize; 2])| {
            A::interpolate(values[lower], values[higher], position.fraction)
        };
        self.positions.iter().zip(&self.rank_indices).map(of)
    }
}

/// The position of a quantile between two ranks.
#[derive(Clone, Copy)]
pub(super) struct QuantilePosition {
    pub(super) lower: u64,
    pub(super) higher: u64,
    pub(super) fraction: f64,
}

impl QuantilePosition {
    pub(super) fn new(q: f64, count: u64, interpolation: Interpolation) -> Self {
        let last = count - 1;
        let index = last as f64 * q;
        // `q` may be a rounded fraction: `100.0 * 0.29` is 28.999999999999996. Halves decide which
        // rank is nearest.
        let meant = [index.floor(), index.ceil(), index.floor() + 0.5];
        let index = meant.into_iter().find(|position| position / last as f64 == q).unwrap_or(index);
        let lower = (index.floor() as u64).min(last);
        let higher = (index.ceil() as u64).min(last);
        let fraction = index.fract();
        let (lower, higher, fraction) = match interpolation {
            Interpolation::Lower => (lower, lower, 0.0),
            Interpolation::Higher => (higher, higher, 0.0),
            Interpolation::Nearest if fraction < 0.5 => (lower, lower, 0.0),
            Interpolation::Nearest => (higher, higher, 0.0),
            Interpolation::Midpoint => (lower, higher, if lower == higher { 0.0 } else { 0.5 }),
            Interpolation::Linear => (lower, higher, fraction),
        };
        Self { lower, higher, fraction }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Interpolation::*;
    use super::*;

    fn position(q: f64, count: u64) -> f64 {
        let QuantilePosition { lower, higher, fraction } = QuantilePosition::new(q, count, Linear);
        assert!(higher - lower == u64::from(fraction > 0.0) && (0.0..1.0).contains(&fraction));
        lower as f64 + fraction
    }

    #[track_caller]
    fn is_at(q: f64, count: u64, rank: u64) {
        for interpolation in [Lower, Higher, Nearest, Midpoint, Linear] {
            let position = QuantilePosition::new(q, count, interpolation);
            assert_eq!(
                (position.lower, position.higher, position.fraction),
                (rank, rank, 0.0),
                "{q} of {count}, {interpolation:?}"
            );
        }
    }

    #[test]
    fn decimal_fractions_are_exact_ranks() {
        for digits in [10_u64, 100, 1_000, 10_000] {
            for rank in 0..=digits {
                let q: f64 = format!("{rank}e-{}", digits.ilog10()).parse().unwrap();
                for times in [1, 3, 7, 1_000, 1 << 38] {
                    is_at(q, digits * times + 1, rank * times);
                }
                // Ties are resolved to the higher rank.
                if rank < digits {
                    let q: f64 = format!("{}5e-{}", rank, digits.ilog10() + 1).parse().unwrap();
                    assert_eq!(QuantilePosition::new(q, digits + 1, Nearest).lower, rank + 1);
                    assert_eq!(QuantilePosition::new(q, digits + 1, Linear).fraction, 0.5);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 20_000, ..Default::default() })]
        #[test]
        fn quotient_of_ranks_is_that_rank(bits in 0_u32..=53, rank in any::<u64>(), last in any::<u64>()) {
            let last = (last % (1 << bits)).max(1) + u64::from(bits == 53);
            let rank = rank % (last + 1);
            is_at(rank as f64 / last as f64, last + 1, rank);
        }

        #[test]
        fn positions_ascend_with_fractions(count in 1_u64..2_000, q in 0.0..=1.0_f64, steps in 1_u64..4, exact in any::<bool>()) {
            let q = if exact { (q * count as f64).floor() / count as f64 } else { q };
            let next = f64::from_bits(q.to_bits() + steps).min(1.0);
            prop_assert!(position(q, count) <= position(next, count));
            prop_assert!((position(q, count) - q * (count - 1) as f64).abs() <= f64::EPSILON * count as f64);
        }
    }
}
