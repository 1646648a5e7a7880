//! Exact quantiles along an axis, and the choice of the selection strategy.
#![forbid(unsafe_code)]

mod in_memory;
mod in_passes;

use std::sync::{Mutex, PoisonError};

use ndarray::{Array, ArrayD, Axis, IxDyn, RemoveAxis};

use self::in_memory::{Grouping, max_quantiles};
use super::axis::one_axis_less;
use super::element::Element;
use super::kernels::COLUMNS;
use super::passes::Dynamic;
use super::quantile::{Interpolation, QuantilePositions, check};
use super::selection::columns::Columns;
use crate::chunked::{AnyArray, ArraySource, Chunked, LaneReader, concatenated_elements};
use crate::distributed::{Codec, Ranks, pass_key, run_in_parts};
use crate::error::{ErrorKind, Result};
use crate::parallel::threads;

/// The bytes of candidates that are kept at once without a memory limit.
const DEFAULT_BYTES: usize = 128 << 20;

/// The maximum number of bytes of a contiguous lane in which one thread selects.
const MAX_SLICE_BYTES: usize = 8 << 20;

/// The minimum number of non-contiguous lanes that are processed together.
const MIN_WIDTH: usize = 8;

/// The minimum length of lanes in which elements of one or two bytes are counted.
const MIN_COUNTED: usize = 128;

/// The minimum length of non-contiguous lanes that are not copied for such a count.
const MIN_LONG: usize = 4096;

/// The maximum number of quantiles for which elements of two bytes are not copied. Each quantile
/// takes a pass, and copying takes about as long as this number of passes.
const MAX_IN_TABLES: usize = 4;

/// The maximum length of lanes that are sorted, several lanes at once if there are enough.
const MAX_SORTED: usize = 1024;
const MIN_COLUMNS: usize = 16;

/// Strategies for the selection in all lanes.
#[derive(Clone, Copy, Debug)]
enum Strategy {
    /// Select in contiguous lanes in place.
    Slices(Grouping),
    /// Copy up to `limit` lanes at once, such that each lane, or each panel of `panel_width` lanes,
    /// is contiguous.
    Copies { limit: usize, panel_width: usize },
    /// Count the bytes of elements in tables.
    Tables,
    /// Select in each lane as a separate array.
    Single,
    /// Narrow a bracket of values for each of many lanes in several passes.
    Brackets,
}

/// Quantiles of each lane along an axis.
///
/// The quantiles are exact, and the array is not reordered. The strategy depends on the lanes:
///
/// - Contiguous lanes are read once, and short ones several at once.
/// - Non-contiguous lanes are copied in batches if that takes few passes: lanes of up to 1,024
///   elements, lanes of up to some ten thousand elements of one or two bytes, and any lanes if there
///   are several quantiles.
/// - Otherwise, elements of one byte are counted in one pass. Elements of two bytes take one pass
///   for the upper byte, and one for each distinct upper byte among the quantiles of a lane.
/// - All other lanes are read in memory order, in passes that narrow the bracket of each lane: one
///   pass if all elements of a batch of lanes fit in memory, otherwise four to six passes for each
///   quantile.
///
/// Candidates take less than half of a [memory limit](Self::memory_limit). If the positions of all
/// quantiles do not fit in a sixteenth of it, the quantiles are computed in batches.
///
/// # Errors
///
/// - [`ErrorKind::EmptyInput`] if the axis has length 0.
/// - [`ErrorKind::UndefinedOrder`] if an element is NaN and NaNs are not [skipped](Self::skipnan).
/// - [`ErrorKind::InvalidQuantile`] if a quantile is not between 0 and 1.
/// - The errors of [all parallel methods](#errors-of-parallel-methods).
///
/// # Panics
///
/// Panics if `axis` is out of bounds.
impl<A: Element, D: RemoveAxis, P: ArraySource<Elem = A, Dim = D>> Chunked<'_, P> {
    /// Computes the quantile `q` of each lane, equal to the [`quantile`](Self::quantile) of that
    /// lane; NaN if a lane contains only NaNs and NaNs are skipped.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{prelude::*, stats::Interpolation::*};
    ///
    /// let table = array![[1.0, 70.0], [2.0, 50.0], [9.0, 60.0]];
    /// assert_eq!(table.chunked().quantile_axis(Axis(0), 0.5, Linear)?, array![2.0, 60.0]);
    /// let medians = table.chunked().quantile_axis(Axis(1), 0.5, Midpoint)?;
    /// assert_eq!(medians, array![35.5, 26.0, 34.5]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::EmptyInput`] if the axis has length 0.
    /// - [`ErrorKind::UndefinedOrder`] if an element is NaN and NaNs are not
    ///   [skipped](Self::skipnan).
    /// - [`ErrorKind::InvalidQuantile`] if `q` is not between 0 and 1.
    /// - The errors of [all parallel methods](#errors-of-parallel-methods).
    ///
    /// # Panics
    ///
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn quantile_axis(
        self,
        axis: Axis,
        q: f64,
        interpolation: Interpolation,
    ) -> Result<Array<A, D::Smaller>> {
        self.check_axis(axis);
        let found = A::pass_quantiles_axis(self.into_dyn(), axis, &[q], interpolation)?;
        Ok(one_axis_less(found.index_axis_move(axis, 0)))
    }

    /// Computes several [quantiles](Self::quantile_axis) of each lane. In the result, the quantiles
    /// replace the elements along the axis.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{prelude::*, stats::Interpolation::*};
    ///
    /// let table = Array2::from_shape_fn((101, 2), |(i, j)| i * (j + 1));
    /// let found = table.chunked().quantiles_axis(Axis(0), &[0.0, 0.5, 0.9], Linear)?;
    /// assert_eq!(found, array![[0, 0], [50, 100], [90, 180]]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::EmptyInput`] if the axis has length 0.
    /// - [`ErrorKind::UndefinedOrder`] if an element is NaN and NaNs are not
    ///   [skipped](Self::skipnan).
    /// - [`ErrorKind::InvalidQuantile`] if an element of `qs` is not between 0 and 1.
    /// - The errors of [all parallel methods](#errors-of-parallel-methods).
    ///
    /// # Panics
    ///
    /// Panics if `axis` is out of bounds.
    #[track_caller]
    pub fn quantiles_axis(
        self,
        axis: Axis,
        qs: &[f64],
        interpolation: Interpolation,
    ) -> Result<Array<A, D>> {
        self.check_axis(axis);
        let found = A::pass_quantiles_axis(self.into_dyn(), axis, qs, interpolation)?;
        Ok(found.into_dimensionality().expect("as many axes as the array"))
    }
}

/// Selects quantiles of each lane; implements [`quantiles_axis`](Chunked::quantiles_axis).
pub(super) fn quantiles_along<A: Element>(
    chunked: Dynamic<'_, '_, A>,
    axis: Axis,
    qs: &[f64],
    interpolation: Interpolation,
) -> Result<ArrayD<A>> {
    let along = chunked.ranks().and_then(Ranks::concatenated);
    if along == Some(axis.index()) {
        let reason = "quantiles along the axis of the concatenation need elements of all ranks; use \
                      one array and `across`";
        return chunked.with_path(Err(ErrorKind::Unsupported { reason: reason.into() }.at(None)));
    }
    let reader = LaneReader::new(&chunked, axis);
    let append = |mut first: Vec<A>, mut later: Vec<A>| {
        first.append(&mut later);
        first
    };
    let key = pass_key("quantiles of lanes", &[reader.len(), reader.count()]);
    let found = run_in_parts(
        chunked.ranks(),
        key,
        reader.part_count(),
        &Codec::of_message(),
        &append,
        &|parts| chunked.select_along(&reader.parts(parts), qs, interpolation),
    );
    let mut found = chunked.with_path(found)?;
    if let Some(ranks) = chunked.ranks().filter(|_| along.is_none()) {
        found = ranks.gather(&found)?.concat();
    }
    let result = assemble(&reader, found, (chunked.shape(), axis), qs.len());
    let (Some(ranks), Some(along)) = (chunked.ranks(), along) else { return Ok(result) };
    let mut shape = chunked.whole_shape();
    shape[axis.index()] = qs.len();
    let all = concatenated_elements(ranks, result, along, Codec::of_message())?;
    Ok(Array::from_shape_vec(shape, all).expect("the elements of all ranks"))
}

/// Assembles the quantiles of all lanes along an axis. Those of each lane are contiguous in `found`.
fn assemble<A: Element>(
    reader: &LaneReader<'_, '_, A>,
    found: Vec<A>,
    (mut shape, axis): (IxDyn, Axis),
    quantiles: usize,
) -> ArrayD<A> {
    // Results are not counted against the memory limit, so they are not copied.
    if quantiles == 1 {
        return reader.assemble::<A, IxDyn>(found).insert_axis(axis);
    }
    shape[axis.index()] = quantiles;
    let mut result = Array::from_elem(shape, A::EMPTY);
    for (index, mut part) in result.axis_iter_mut(axis).enumerate() {
        let values = found.iter().skip(index).step_by(quantiles).copied().collect();
        part.assign(&reader.assemble::<A, IxDyn>(values));
    }
    result
}

impl<A: Element> Dynamic<'_, '_, A> {
    /// Returns all quantiles of each lane, lane by lane.
    fn select_along(
        &self,
        reader: &LaneReader<'_, '_, A>,
        qs: &[f64],
        interpolation: Interpolation,
    ) -> Result<Vec<A>> {
        check(qs)?;
        if reader.len() == 0 {
            return Err(ErrorKind::EmptyInput {}.at(None));
        }
        if reader.count() == 0 {
            return Ok(Vec::new());
        }
        let share = |bytes: usize| QuantilePositions::max_quantiles(bytes / 16 / (threads() + 1));
        let limit = self.memory_limit_bytes().map_or(usize::MAX, share);
        if qs.len() <= limit {
            return self.select_batch(reader, qs, interpolation);
        }
        let mut found = vec![A::EMPTY; reader.count() * qs.len()];
        for (index, batch) in qs.chunks(limit).enumerate() {
            let values = self.select_batch(reader, batch, interpolation)?;
            for (all, values) in found.chunks_mut(qs.len()).zip(values.chunks(batch.len())) {
                all[index * limit..][..batch.len()].copy_from_slice(values);
            }
        }
        Ok(found)
    }

    /// Selects quantiles of each lane; the positions of all of them fit in memory.
    fn select_batch(
        &self,
        reader: &LaneReader<'_, '_, A>,
        qs: &[f64],
        interpolation: Interpolation,
    ) -> Result<Vec<A>> {
        match self.strategy(reader, qs.len()) {
            Strategy::Slices(grouping) => {
                self.select_in_slices(reader, qs, interpolation, grouping)
            }
            Strategy::Copies { limit, panel_width } => {
                self.select_in_copies(reader, qs, interpolation, (limit, panel_width))
            }
            Strategy::Tables => self.select_by_tables(reader, qs, interpolation),
            Strategy::Single => {
                let mut found = Vec::with_capacity(reader.count() * qs.len());
                for lane in reader.lanes() {
                    found.extend(self.select_in_lane(lane, qs, interpolation)?);
                }
                Ok(found)
            }
            Strategy::Brackets if qs.len() == 1 => {
                self.select_by_brackets(reader, qs[0], interpolation)
            }
            Strategy::Brackets => {
                let mut found = vec![A::EMPTY; reader.count() * qs.len()];
                for (index, &q) in qs.iter().enumerate() {
                    let values = self.select_by_brackets(reader, q, interpolation)?;
                    let slots = found.iter_mut().skip(index).step_by(qs.len());
                    slots.zip(values).for_each(|(found, value)| *found = value);
                }
                Ok(found)
            }
        }
    }

    /// Chooses the fastest strategy that fits in memory.
    fn strategy(&self, reader: &LaneReader<'_, '_, A>, quantiles: usize) -> Strategy {
        let bytes = reader.len().saturating_mul(size_of::<A>());
        let limit = self
            .memory_limit_bytes()
            .map_or(MAX_SLICE_BYTES, |limit| MAX_SLICE_BYTES.min(limit / 16));
        let is_small =
            size_of::<A>() <= 2 && (MIN_COUNTED..=u32::MAX as usize).contains(&reader.len());
        if let Some(limit) = self.lanes_in_columns(reader, quantiles, limit) {
            return if reader.are_contiguous() {
                Strategy::Slices(Grouping::Slices)
            } else {
                Strategy::Copies { limit, panel_width: COLUMNS }
            };
        }
        if reader.are_contiguous() {
            return if bytes <= limit {
                Strategy::Slices(Grouping::Slice)
            } else {
                Strategy::Single
            };
        }
        if is_small {
            // The tables of short lanes are larger than the lanes.
            let is_copied = reader.len() < MIN_LONG
                || (size_of::<A>() == 2
                    && quantiles > MAX_IN_TABLES
                    && reader.count() >= MIN_COLUMNS);
            let limit = self.lanes_to_copy(reader, 2).filter(|_| is_copied);
            return limit
                .map_or(Strategy::Tables, |limit| Strategy::Copies { limit, panel_width: 1 });
        }
        // Few lanes do not fill a vector, and very long ones overflow the 32-bit counts of the
        // vectorized strategies.
        if reader.count() < MIN_WIDTH || reader.len() > u32::MAX as usize / 2 {
            return Strategy::Single;
        }
        self.lanes_to_copy(reader, quantiles)
            .map_or(Strategy::Brackets, |limit| Strategy::Copies { limit, panel_width: 1 })
    }

    /// Returns the number of lanes to copy into panels at once, or `None` if that is not fast. It
    /// is fast for short lanes, and for small elements if few ranks are selected.
    fn lanes_in_columns(
        &self,
        reader: &LaneReader<'_, '_, A>,
        quantiles: usize,
        limit: usize,
    ) -> Option<usize> {
        let is_by_itself = reader.len() >= in_memory::MIN_BY_BITS
            && (size_of::<A>() == 1
                || size_of::<A>() == 2 && 2 * quantiles <= max_quantiles::<A>());
        let is_short = reader.len() <= MAX_SORTED && !(reader.are_contiguous() && is_by_itself);
        let by_bits = !reader.are_contiguous() && Columns::<A>::is_by_bits(reader.len(), quantiles);
        if reader.count() < MIN_COLUMNS
            || Columns::<A>::bytes(reader.len()) > limit
            || !(is_short || by_bits)
        {
            return None;
        }
        let at_a_time = self.kept_bytes() / Columns::<A>::bytes(reader.len()) * COLUMNS;
        let passes = reader.count().div_ceil(at_a_time.max(1));
        let most_passes = if reader.are_contiguous() { usize::MAX } else { 2 * quantiles.max(2) };
        (at_a_time > 0 && passes <= most_passes).then_some(at_a_time)
    }

    /// Returns the number of lanes to copy at once, or `None` if that takes more passes than one
    /// quantile after the other.
    fn lanes_to_copy(&self, reader: &LaneReader<'_, '_, A>, quantiles: usize) -> Option<usize> {
        let at_a_time = self.kept_bytes() / reader.len().saturating_mul(size_of::<A>());
        let passes = reader.count().div_ceil(at_a_time.max(1));
        // Each thread copies a lane once more.
        let lane_bytes = reader.len().saturating_mul(size_of::<A>());
        if self.memory_limit_bytes().is_some_and(|bytes| bytes / 16 < lane_bytes) {
            return None;
        }
        (quantiles > 1 && at_a_time > 0 && passes <= 2 * quantiles).then_some(at_a_time)
    }

    /// Returns the bytes for candidates. Half of a memory limit is for pages, and the remainder for
    /// the buffers of threads.
    fn kept_bytes(&self) -> usize {
        self.memory_limit_bytes().map_or(DEFAULT_BYTES, |limit| limit / 16 * 6)
    }

    /// Selects quantiles in one lane as a separate array.
    fn select_in_lane(
        &self,
        lane: AnyArray<'_, A>,
        qs: &[f64],
        interpolation: Interpolation,
    ) -> Result<Vec<A>> {
        let reader = Chunked::new(lane).inherit_config(self);
        match reader.quantiles(qs, interpolation) {
            // The lane is not empty, so it contains only NaNs.
            Err(error) if matches!(error.kind(), ErrorKind::EmptyInput {}) => {
                Ok(vec![A::EMPTY; qs.len()])
            }
            result => result,
        }
    }
}

/// Calls a closure with each part, first with those that no other thread has locked.
fn for_each_unlocked<T>(parts: &[Mutex<T>], mut work: impl FnMut(&mut T)) {
    let mut waiting: Vec<_> = parts.iter().collect();
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|part| match part.try_lock() {
            Ok(mut part) => {
                work(&mut part);
                false
            }
            Err(_) => true,
        });
        if waiting.len() == before
            && let Some(part) = waiting.pop()
        {
            work(&mut part.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}
