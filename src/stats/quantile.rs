//! Quantiles of all elements, exactly.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use ndarray::{ArrayView, Dimension};

use super::element::Element;
use super::kernels::CellMap;
use super::selection::many::{Passes, count, least_bytes, select_many};
use super::selection::values::{self, is_by_value, select_by_value};
use super::selection::{Part, Pass, brackets, distinct, middle, select};
use crate::chunked::{Blocks, Chunked, half};
use crate::error::{ErrorKind, Result};
use crate::parallel::threads;

/// What a quantile is that lies between two elements: with `n` elements in order, at `(n - 1) * q`.
///
/// Where that is an integer, or half of one, but for the rounding of `q` to an `f64`, it is that number: 0.29 of 101 elements
/// is the 29th after the first, although `100.0 * 0.29` is 28.999999999999996.
///
/// The strategies of ndarray-stats. `Midpoint` and `Linear` are the `f64` nearest to the exact number, rounded to the type of
/// the elements (between integers: the exact number rounded down), so they do not leave the interval. Between an infinity and a number they are the infinity, between infinities of
/// opposite signs NaN.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{prelude::*, stats::Interpolation::*};
///
/// let values = array![30.0, 0.0, 10.0, 20.0]; // the quantile 0.25 lies at 0.75
/// let found = [Lower, Higher, Nearest, Midpoint, Linear].map(|how| values.chunked().quantile(0.25, how).unwrap());
/// assert_eq!(found, [0.0, 10.0, 10.0, 5.0, 7.5]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interpolation {
    /// The lower one.
    Lower,
    /// The higher one.
    Higher,
    /// The nearer one; the higher if both are as near.
    Nearest,
    /// `(lower + higher) / 2`.
    Midpoint,
    /// `lower + (higher - lower) * fraction`.
    #[default]
    Linear,
}

/// The bytes of elements that are kept at a time if nothing else is said.
const DEFAULT_BYTES: usize = 32 << 20;

/// Elements are compared with the brackets of so many quantiles; to count them in cells takes a pass more.
const MAX_BRACKETS: usize = 8;

/// The blocks that a sample is drawn from, at most: fewer for elements that are read faster.
const fn most_runs<A>() -> usize {
    match size_of::<A>() {
        1 => 256,
        2 => 512,
        _ => 1024,
    }
}

/// The elements drawn from each.
const RUN: usize = 1024;

/// The elements that a thread keeps for itself.
const KEPT_AT_ONCE: usize = 8192;

/// Quantiles of all elements.
///
/// They are exact, and leave the array as it is. Up to eight are selected by sampling: a look at up to 1,024 places and then, as a
/// rule, one pass over the array. More are counted in cells first, and take a second pass, as arrays much larger than the
/// memory do; the cost of an element grows with the logarithm of the number of quantiles. Data that mislead the sample take
/// more passes, never more memory: 32 MiB for elements that are kept (640 KiB for each thread, if that is more), or less than
/// half of the walk's [memory](Self::memory_limit).
/// NaNs are counted on the way. Elements of one or two bytes take one pass as a rule, whatever the number, and two at most. With
/// less memory than 640 KiB for each thread, many quantiles take time in proportion to their number.
///
/// # Errors
///
/// [`ErrorKind::EmptyInput`] if there are no elements, [`ErrorKind::UndefinedOrder`] if one is NaN and NaNs are not
/// [skipped](Self::skipnan), [`ErrorKind::InvalidQuantile`] if `q` is not from 0 to 1; and those of
/// [all parallel methods](#errors-of-parallel-methods).
impl<A: Element, D: Dimension> Chunked<'_, ArrayView<'_, A, D>> {
    /// The quantile `q`, a number from 0 (the minimum) to 1 (the maximum); 0.5 is the median.
    ///
    /// Between two integers it is rounded down.
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
    /// [`ErrorKind::EmptyInput`] if there are no elements, [`ErrorKind::UndefinedOrder`] if one is NaN and NaNs are not
    /// [skipped](Self::skipnan), [`ErrorKind::InvalidQuantile`] if a `q` is not from 0 to 1; and those of
    /// [all parallel methods](#errors-of-parallel-methods).
    #[doc(alias("median", "nanmedian", "percentile", "nanpercentile", "nanquantile"))]
    pub fn quantile(self, q: f64, interpolation: Interpolation) -> Result<A> {
        Ok(self.quantiles(&[q], interpolation)?[0])
    }

    /// Several [quantiles](Self::quantile), in the same pass.
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
    /// [`ErrorKind::EmptyInput`] if there are no elements, [`ErrorKind::UndefinedOrder`] if one is NaN and NaNs are not
    /// [skipped](Self::skipnan), [`ErrorKind::InvalidQuantile`] if a `q` is not from 0 to 1; and those of
    /// [all parallel methods](#errors-of-parallel-methods).
    pub fn quantiles(self, qs: &[f64], interpolation: Interpolation) -> Result<Vec<A>> {
        A::quantiles(self.into_dyn(), qs, interpolation)
    }

    /// Finds quantiles of all elements; the pass behind [`quantiles`](Self::quantiles).
    pub(super) fn select_quantiles(
        self,
        qs: &[f64],
        interpolation: Interpolation,
    ) -> Result<Vec<A>> {
        self.with_path(check(qs))?;
        let most = self
            .memory_limit_bytes()
            .map_or(usize::MAX, |bytes| Positions::most_within(bytes / 16));
        if qs.len() > most {
            let some = qs.chunks(most).map(|qs| self.clone().select_quantiles(qs, interpolation));
            return Ok(some.collect::<Result<Vec<_>>>()?.concat());
        }
        let (pages, kept_bytes) = match self.memory_limit_bytes() {
            // The rest is for what is known of quantiles, and for what threads keep for themselves.
            Some(bytes) => (self.clone().memory_limit(half(bytes)), bytes / 16 * 6),
            None => {
                let least = least_bytes::<A>(threads()).max(values::least_bytes::<A>(threads()));
                (self.clone(), DEFAULT_BYTES.max(least))
            }
        };
        let blocks = self.rescale_limit_error(pages.flexible_blocks(), half)?;
        let all = (0..blocks.count()).map(|number| blocks.len_of(number) as u64).sum::<u64>();
        let capacity = (kept_bytes / size_of::<A>()).min(all as usize);

        let drawn = sample(&pages, capacity / 3)?;
        let places = |nans| match all - nans {
            _ if nans > 0 && !self.skips_nan() => {
                self.with_path(Err(ErrorKind::UndefinedOrder {}.at(None)))
            }
            0 => self.with_path(Err(ErrorKind::EmptyInput {}.at(None))),
            count => Ok(Positions::new(qs, count, interpolation)),
        };
        // Of where the quantiles lie among elements that are not NaN, the sample has to know no more than the share.
        let guess = || brackets(qs, &drawn, RUN);
        let is_many = qs.len() > MAX_BRACKETS;
        if is_by_value::<A>(all, kept_bytes, threads()) {
            let guesses = (!is_many && !drawn.is_empty()).then(guess);
            let (places, values) = select_by_value(&blocks, guesses, drawn, places)?;
            return Ok(places.quantiles(&values).collect());
        }
        if is_many && kept_bytes >= least_bytes::<A>(threads()) {
            let scale = CellMap::new(middle(&drawn));
            drop(drawn);
            let counted = count(&blocks, scale)?;
            let places = places(counted.nans)?;
            let values =
                select_many(&blocks, scale, &counted, (kept_bytes, threads()), &places.ranks)?;
            return Ok(places.quantiles(&values).collect());
        }
        let guesses = guess();
        drop(drawn);
        let first_brackets = distinct(guesses.iter().copied());
        let first = self.pass(&blocks, &first_brackets, capacity)?;
        let places = places(first.nans)?;
        let guessed = places.places.iter().zip(guesses);
        let mut ranks: Vec<_> = guessed
            .flat_map(|(place, guess)| [(place.lower, guess), (place.higher, guess)])
            .collect();
        ranks.sort_unstable_by_key(|&(rank, _)| rank);
        ranks.dedup_by_key(|&mut (rank, _)| rank);
        let pass = |brackets: &[_]| self.pass(&blocks, brackets, capacity);
        let values = select(&ranks, all - first.nans, (first_brackets, first), pass)?;
        Ok(places.quantiles(&values).collect())
    }

    /// Goes through all elements, and counts NaNs.
    fn pass(
        &self,
        blocks: &Blocks<'_, ArrayView<'_, A, D>>,
        brackets: &[(A, A)],
        capacity: usize,
    ) -> Result<Pass<A>> {
        let found = Mutex::new(Pass::new(brackets, capacity));
        let take =
            |part: &mut Part<A>| found.lock().unwrap_or_else(PoisonError::into_inner).take(part);
        blocks.for_each_batch(|group| {
            let mut part = Part::new(brackets);
            for number in group {
                blocks.with_elements(number, |elements| part.push(elements, brackets));
                if part.kept() >= KEPT_AT_ONCE {
                    take(&mut part);
                }
            }
            take(&mut part);
            Ok(())
        })?;
        Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Are they from 0 to 1?
pub(super) fn check(qs: &[f64]) -> Result<()> {
    match qs.iter().find(|q| !(0.0..=1.0).contains(*q)) {
        Some(q) => Err(ErrorKind::InvalidQuantile { found: q.to_string() }.at(None)),
        None => Ok(()),
    }
}

/// Some elements of some blocks, evenly spread, none of them NaN; at most a given number.
fn sample<A: Element, D: Dimension>(
    walk: &Chunked<'_, ArrayView<'_, A, D>>,
    most: usize,
) -> Result<Vec<A>> {
    let blocks = walk.sampled_blocks()?;
    let count = blocks.count();
    let draws = (count / 16).min(most_runs::<A>()).min(most / RUN);
    let drawn = Mutex::new(Vec::with_capacity(draws * RUN));
    let numbers = (0..draws).map(|draw| {
        // One of each stretch, at a place that has nothing to do with the data: the golden ratio's multiples.
        let within = (draw as f64 * 0.618_033_988_749_895).fract();
        ((draw as f64 + within) * count as f64 / draws as f64) as usize
    });
    blocks.for_each_block(numbers.filter(|&number| number < count), |elements| {
        let some = elements.iter().take(RUN).filter(|element| !element.is_nan());
        drawn.lock().unwrap_or_else(PoisonError::into_inner).extend(some);
    })?;
    Ok(drawn.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl<A: Element, D: Dimension> Passes<A> for Blocks<'_, ArrayView<'_, A, D>> {
    fn run<S: Send>(
        &self,
        new: impl Fn() -> S + Sync,
        push: impl Fn(&mut S, &[A]) + Sync,
    ) -> Result<Vec<S>> {
        let states = Mutex::new(Vec::new());
        let idle = || states.lock().unwrap_or_else(PoisonError::into_inner);
        self.for_each_batch(|group| {
            let state = idle().pop();
            let mut state = state.unwrap_or_else(&new);
            group.for_each(|number| {
                self.with_elements(number, |elements| push(&mut state, elements))
            });
            idle().push(state);
            Ok(())
        })?;
        Ok(states.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where quantiles lie among a number of elements.
pub(super) struct Positions {
    count: u64,
    places: Vec<Position>,
    /// The ranks of all elements that they lie at or between, ascending.
    pub(super) ranks: Vec<u64>,
    /// For each place the numbers of its two ranks.
    numbers: Vec<[usize; 2]>,
}

impl Positions {
    /// Returns the number of quantiles for which a number of bytes has room, at least a few.
    pub(super) fn most_within(bytes: usize) -> usize {
        (bytes / 128).max(8)
    }

    pub(super) fn new(qs: &[f64], count: u64, interpolation: Interpolation) -> Self {
        let places: Vec<_> = qs.iter().map(|&q| Position::new(q, count, interpolation)).collect();
        let mut ranks: Vec<_> =
            places.iter().flat_map(|place| [place.lower, place.higher]).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let number = |rank| ranks.partition_point(|&other| other < rank);
        let numbers = places.iter().map(|place| [place.lower, place.higher].map(number)).collect();
        Self { count, places, ranks, numbers }
    }

    /// The same for another number of elements.
    pub(super) fn update(&mut self, qs: &[f64], count: u64, interpolation: Interpolation) {
        if self.count != count {
            *self = Self::new(qs, count, interpolation);
        }
    }

    /// The quantiles, from the values of all ranks.
    pub(super) fn quantiles<A: Element>(&self, values: &[A]) -> impl Iterator<Item = A> {
        let of = |(place, &[lower, higher]): (&Position, &[usize; 2])| {
            A::between(values[lower], values[higher], place.fraction)
        };
        self.places.iter().zip(&self.numbers).map(of)
    }
}

/// Where a quantile lies.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub(super) lower: u64,
    pub(super) higher: u64,
    pub(super) fraction: f64,
}

impl Position {
    pub(super) fn new(q: f64, count: u64, interpolation: Interpolation) -> Self {
        let last = count - 1;
        let index = last as f64 * q;
        // The product may be beside the place that was meant by what 0.29 is rounded to: 28.999999999999996 of 100. Halves
        // decide what is nearest.
        let meant = [index.floor(), index.ceil(), index.floor() + 0.5];
        let index = meant.into_iter().find(|place| place / last as f64 == q).unwrap_or(index);
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

    fn place(q: f64, count: u64) -> f64 {
        let Position { lower, higher, fraction } = Position::new(q, count, Linear);
        assert!(higher - lower == u64::from(fraction > 0.0) && (0.0..1.0).contains(&fraction));
        lower as f64 + fraction
    }

    #[track_caller]
    fn is_at(q: f64, count: u64, rank: u64) {
        for interpolation in [Lower, Higher, Nearest, Midpoint, Linear] {
            let place = Position::new(q, count, interpolation);
            assert_eq!(
                (place.lower, place.higher, place.fraction),
                (rank, rank, 0.0),
                "{q} of {count}, {interpolation:?}"
            );
        }
    }

    #[test]
    fn decimal_shares() {
        for digits in [10_u64, 100, 1_000, 10_000] {
            for rank in 0..=digits {
                let q: f64 = format!("{rank}e-{}", digits.ilog10()).parse().unwrap();
                for times in [1, 3, 7, 1_000, 1 << 38] {
                    is_at(q, digits * times + 1, rank * times);
                }
                // The higher one, if both are as near.
                if rank < digits {
                    let q: f64 = format!("{}5e-{}", rank, digits.ilog10() + 1).parse().unwrap();
                    assert_eq!(Position::new(q, digits + 1, Nearest).lower, rank + 1);
                    assert_eq!(Position::new(q, digits + 1, Linear).fraction, 0.5);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 20_000, ..Default::default() })]
        #[test]
        fn a_share_of_ranks_is_that_rank(bits in 0_u32..=53, rank in any::<u64>(), last in any::<u64>()) {
            let last = (last % (1 << bits)).max(1) + u64::from(bits == 53);
            let rank = rank % (last + 1);
            is_at(rank as f64 / last as f64, last + 1, rank);
        }

        #[test]
        fn in_the_order_of_shares(count in 1_u64..2_000, q in 0.0..=1.0_f64, steps in 1_u64..4, exact in any::<bool>()) {
            let q = if exact { (q * count as f64).floor() / count as f64 } else { q };
            let next = f64::from_bits(q.to_bits() + steps).min(1.0);
            prop_assert!(place(q, count) <= place(next, count));
            prop_assert!((place(q, count) - q * (count - 1) as f64).abs() <= f64::EPSILON * count as f64);
        }
    }
}
