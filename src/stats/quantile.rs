//! Quantiles of all elements, exactly.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ndarray::{ArrayView, Dimension};

use super::element::Element;
use super::kernels;
use super::selection::{Collector, Found, select};
use crate::chunked::{Blocks, Chunked};
use crate::error::{ErrorKind, Result};

/// What a quantile is that lies between two elements: with `n` elements in order, at `(n - 1) * q`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// The lower one.
    Lower,
    /// The higher one.
    Higher,
    /// The nearer one; the lower if both are as near.
    Nearest,
    /// `(lower + higher) / 2`.
    Midpoint,
    /// `lower + (higher - lower) * fraction`.
    #[default]
    Linear,
}

/// The bytes of elements that are kept at a time if nothing else is said.
const DEFAULT_BYTES: usize = 32 << 20;

/// The blocks that a sample is drawn from.
const SAMPLED_BLOCKS: usize = 512;

/// The elements drawn from each.
const SAMPLED_ELEMENTS: usize = 1024;

/// Quantiles of all elements.
///
/// They are exact, and leave the array as it is. Selection by sampling takes a look at 512 places and then, as a rule, one
/// pass over the array, whatever the number of quantiles (up to 16); data that mislead the sample take more passes, never
/// more memory: 32 MiB for elements that are kept, or a quarter of the walk's [memory](Self::memory).
///
/// # Errors
///
/// [`ErrorKind::EmptyInput`] if there are no elements, [`ErrorKind::UndefinedOrder`] if one is NaN and NaNs are not
/// [skipped](Self::skipnan), [`ErrorKind::InvalidQuantile`] if `q` is not from 0 to 1; and those of
/// [all parallel methods](#errors).
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
    /// See above.
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
    /// See above.
    pub fn quantiles(self, qs: &[f64], interpolation: Interpolation) -> Result<Vec<A>> {
        if let Some(q) = qs.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            return Err(ErrorKind::InvalidQuantile { found: q.to_string() }.at(None));
        }
        let (pages, kept_bytes) = match self.memory_ceiling() {
            // Half for pages; of the rest half for what is kept, as much for the sample of the pass before.
            Some(bytes) => (self.clone().memory(bytes / 2), bytes / 4),
            None => (self.clone(), DEFAULT_BYTES),
        };
        let blocks = pages.fixed_blocks()?;
        let count = self.count_ordered(&blocks)?;
        if count == 0 {
            return Err(ErrorKind::EmptyInput {}.at(None));
        }
        let places: Vec<_> = qs.iter().map(|&q| Place::new(q, count, interpolation)).collect();
        let mut ranks: Vec<_> = places.iter().flat_map(|place| [place.lower, place.higher]).collect();
        ranks.sort_unstable();
        ranks.dedup();

        let capacity = kept_bytes / size_of::<A>();
        let sample = if count as usize <= capacity { Vec::new() } else { sample(&pages)? };
        let values = select(&ranks, count, sample, |brackets| self.pass(&blocks, brackets, capacity))?;
        let value = |rank| values[ranks.partition_point(|&other| other < rank)];
        Ok(places.iter().map(|place| A::between(value(place.lower), value(place.higher), place.fraction)).collect())
    }

    /// The number of elements that have an order. If NaNs are to be skipped they are counted, which takes a pass.
    fn count_ordered(&self, blocks: &Blocks<'_, ArrayView<'_, A, D>>) -> Result<u64> {
        let (all, nans) = (AtomicU64::new(0), AtomicU64::new(0));
        let skip = self.skips_nan() && A::HAS_NAN;
        let count = |number| {
            let (len, nan) = match skip {
                true => blocks.with_elements(number, |block| (block.len(), kernels::count_nan(block))),
                false => (blocks.len_of(number), 0),
            };
            all.fetch_add(len as u64, Ordering::Relaxed);
            nans.fetch_add(nan, Ordering::Relaxed);
        };
        match skip {
            true => blocks.in_groups(|group| group.for_each(count))?,
            false => (0..blocks.count()).for_each(count),
        }
        Ok(all.into_inner() - nans.into_inner())
    }

    fn pass(
        &self,
        blocks: &Blocks<'_, ArrayView<'_, A, D>>,
        brackets: &[(A, A)],
        capacity: usize,
    ) -> Result<Vec<Found<A>>> {
        let collectors: Vec<_> =
            brackets.iter().map(|&bracket| Collector::new(bracket, capacity / brackets.len())).collect();
        let nans = AtomicU64::new(0);
        blocks.in_groups(|group| {
            let buffer = RefCell::new(Vec::new());
            for number in group {
                blocks.with_elements(number, |elements| {
                    if A::HAS_NAN && !self.skips_nan() {
                        nans.fetch_add(kernels::count_nan(elements), Ordering::Relaxed);
                    }
                    collectors.iter().for_each(|collector| collector.push(elements, &mut buffer.borrow_mut()));
                });
            }
        })?;
        match nans.into_inner() {
            0 => Ok(collectors.into_iter().map(Collector::finish).collect()),
            _ => Err(ErrorKind::UndefinedOrder {}.at(None)),
        }
    }
}

/// Some elements of some blocks, evenly spread.
fn sample<A: Element, D: Dimension>(walk: &Chunked<'_, ArrayView<'_, A, D>>) -> Result<Vec<A>> {
    let blocks = walk.scattered_blocks()?;
    let count = blocks.count();
    let drawn = Mutex::new(Vec::with_capacity(SAMPLED_BLOCKS * SAMPLED_ELEMENTS));
    let numbers = (0..SAMPLED_BLOCKS.min(count)).map(|draw| {
        // One of each stretch, at a place that has nothing to do with the data: the golden ratio's multiples.
        let within = (draw as f64 * 0.618_033_988_749_895).fract();
        ((draw as f64 + within) * count as f64 / SAMPLED_BLOCKS.min(count) as f64) as usize
    });
    blocks.in_blocks(numbers.filter(|&number| number < count), |elements| {
        let some = &elements[..SAMPLED_ELEMENTS.min(elements.len())];
        drawn.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(some);
    })?;
    Ok(drawn.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Where a quantile lies.
struct Place {
    lower: u64,
    higher: u64,
    fraction: f64,
}

impl Place {
    fn new(q: f64, count: u64, interpolation: Interpolation) -> Self {
        let last = count - 1;
        let index = last as f64 * q;
        let lower = (index.floor() as u64).min(last);
        let higher = (index.ceil() as u64).min(last);
        let fraction = index.fract();
        let (lower, higher, fraction) = match interpolation {
            Interpolation::Lower => (lower, lower, 0.0),
            Interpolation::Higher => (higher, higher, 0.0),
            Interpolation::Nearest if fraction <= 0.5 => (lower, lower, 0.0),
            Interpolation::Nearest => (higher, higher, 0.0),
            Interpolation::Midpoint => (lower, higher, if lower == higher { 0.0 } else { 0.5 }),
            Interpolation::Linear => (lower, higher, fraction),
        };
        Self { lower, higher, fraction }
    }
}
