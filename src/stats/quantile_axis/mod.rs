//! Exact quantiles along an axis, and the choice among the ways to select.
#![forbid(unsafe_code)]

mod in_memory;
mod in_passes;

use std::sync::{Mutex, PoisonError};

use ndarray::{Array, ArrayD, ArrayView, ArrayView1, Axis, IxDyn, RemoveAxis};

use self::in_memory::{Grouping, most_quantiles};
use super::axis::one_axis_less;
use super::element::Element;
use super::kernels::COLUMNS;
use super::passes::Dynamic;
use super::quantile::{Interpolation, Positions, check};
use super::selection::columns::Columns;
use crate::chunked::{Chunked, LaneReader};
use crate::error::{ErrorKind, Result};
use crate::parallel::threads;

/// The bytes of elements that are kept at a time without a memory limit.
const DEFAULT_BYTES: usize = 128 << 20;

/// The most bytes of a contiguous lane that one thread selects in.
const MAX_SLICE_BYTES: usize = 8 << 20;

/// The least lanes that are selected in together, if they are not contiguous.
const MIN_WIDTH: usize = 8;

/// Elements of one or two bytes are counted in lanes that are not shorter.
const MIN_COUNTED: usize = 128;

/// Shorter lanes of them are gathered, if they are not contiguous.
const MIN_LONG: usize = 4096;

/// Lanes up to this length are sorted, many at a time, if there are as many.
const MAX_SORTED: usize = 1024;
const MIN_COLUMNS: usize = 16;

/// Ways to select in all lanes.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Contiguous lanes, from where they are.
    Slices(Grouping),
    /// Copies of up to `limit` lanes at a time, in which each lane, or each strip of `strip` lanes, is contiguous.
    Copies { limit: usize, strip: usize },
    /// Tables of counts of the bytes of elements.
    Tables,
    /// Each lane as an array.
    Single,
    /// Brackets of the values of many lanes, which narrow from pass to pass.
    Brackets,
}

/// Quantiles of each lane along an axis.
///
/// They are exact, and leave the array as it is. Contiguous lanes are read once, short ones many at a
/// time. Other lanes are copied, some at a time, if that takes few passes: those of up to 1,024 elements, longer ones of
/// elements of one or two bytes, and any if there are several quantiles. Else elements of one byte are counted in one pass;
/// those of two bytes in one for the upper byte and one for each upper byte that the quantiles of a lane have. All others
/// are read in the order of the file, in passes that narrow the bracket of each lane: one pass if all elements of some
/// lanes can be kept, else four to six for each quantile. Less than half of a [memory limit](Self::memory_limit) is for elements
/// that are kept; if a sixteenth of it has no room for all quantiles, they are taken some at a time.
///
/// # Errors
///
/// [`ErrorKind::EmptyInput`] if the axis has length 0, [`ErrorKind::UndefinedOrder`] if there is a NaN and NaNs are not
/// [skipped](Self::skipnan), [`ErrorKind::InvalidQuantile`] if `q` is not from 0 to 1; and those of
/// [all parallel methods](#errors-of-parallel-methods).
///
/// # Panics
///
/// If the array has no such axis.
impl<A: Element, D: RemoveAxis> Chunked<'_, ArrayView<'_, A, D>> {
    /// The quantile `q` of each lane, as [`quantile`](Self::quantile) of the lane alone; NaN where there is nothing but NaNs
    /// and those are skipped.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{prelude::*, stats::Interpolation::*};
    ///
    /// let table = array![[1.0, 70.0], [2.0, 50.0], [9.0, 60.0]];
    /// assert_eq!(table.chunked().quantile_axis(Axis(0), 0.5, Linear)?, array![2.0, 60.0]);
    /// assert_eq!(table.chunked().quantile_axis(Axis(1), 0.5, Midpoint)?, array![35.5, 26.0, 34.5]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if there are no elements, [`ErrorKind::UndefinedOrder`] if one is NaN and NaNs are not
    /// [skipped](Self::skipnan), [`ErrorKind::InvalidQuantile`] if a `q` is not from 0 to 1; and those of
    /// [all parallel methods](#errors-of-parallel-methods).
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn quantile_axis(
        self,
        axis: Axis,
        q: f64,
        interpolation: Interpolation,
    ) -> Result<Array<A, D::Smaller>> {
        self.check_axis(axis);
        let found = A::quantiles_axis(self.into_dyn(), axis, &[q], interpolation)?;
        Ok(one_axis_less(found.index_axis_move(axis, 0)))
    }

    /// Several [quantiles](Self::quantile_axis) of each lane: the result has them in the place of the axis.
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
    /// [`ErrorKind::EmptyInput`] if there are no elements, [`ErrorKind::UndefinedOrder`] if one is NaN and NaNs are not
    /// [skipped](Self::skipnan), [`ErrorKind::InvalidQuantile`] if a `q` is not from 0 to 1; and those of
    /// [all parallel methods](#errors-of-parallel-methods).
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[track_caller]
    pub fn quantiles_axis(
        self,
        axis: Axis,
        qs: &[f64],
        interpolation: Interpolation,
    ) -> Result<Array<A, D>> {
        self.check_axis(axis);
        let found = A::quantiles_axis(self.into_dyn(), axis, qs, interpolation)?;
        Ok(found.into_dimensionality().expect("as many axes as the array"))
    }
}

/// Finds quantiles of each lane; the pass behind [`quantiles_axis`](Chunked::quantiles_axis).
pub(super) fn quantiles_along<A: Element>(
    chunked: Dynamic<'_, '_, A>,
    axis: Axis,
    qs: &[f64],
    interpolation: Interpolation,
) -> Result<ArrayD<A>> {
    let walk = LaneReader::new(&chunked, axis);
    let found = chunked.with_path(chunked.select_along(&walk, qs, interpolation))?;
    let mut shape = chunked.shape();
    shape[axis.index()] = qs.len();
    let mut result = Array::from_elem(shape, A::MISSING);
    // The quantiles of a lane are contiguous.
    let numbers = walk.assemble::<usize, IxDyn>((0..walk.count()).collect());
    for (mut lane, &number) in result.lanes_mut(axis).into_iter().zip(&numbers) {
        lane.iter_mut().zip(&found[number * qs.len()..]).for_each(|(to, from)| *to = *from);
    }
    Ok(result)
}

impl<A: Element, D: RemoveAxis> Chunked<'_, ArrayView<'_, A, D>> {
    /// For each lane in order, each quantile.
    fn select_along(
        &self,
        walk: &LaneReader<'_, '_, A, D>,
        qs: &[f64],
        interpolation: Interpolation,
    ) -> Result<Vec<A>> {
        check(qs)?;
        if walk.len() == 0 {
            return Err(ErrorKind::EmptyInput {}.at(None));
        }
        if walk.count() == 0 {
            return Ok(Vec::new());
        }
        let share = |bytes: usize| Positions::most_within(bytes / 16 / (threads() + 1));
        let most = self.memory_limit_bytes().map_or(usize::MAX, share);
        if qs.len() <= most {
            return self.select_some(walk, qs, interpolation);
        }
        let mut found = vec![A::MISSING; walk.count() * qs.len()];
        for (number, some) in qs.chunks(most).enumerate() {
            let values = self.select_some(walk, some, interpolation)?;
            for (all, values) in found.chunks_mut(qs.len()).zip(values.chunks(some.len())) {
                all[number * most..][..some.len()].copy_from_slice(values);
            }
        }
        Ok(found)
    }

    /// Quantiles of each lane, of which there is room for all.
    fn select_some(
        &self,
        walk: &LaneReader<'_, '_, A, D>,
        qs: &[f64],
        interpolation: Interpolation,
    ) -> Result<Vec<A>> {
        match self.way(walk, qs.len()) {
            Way::Slices(grouping) => self.select_in_slices(walk, qs, interpolation, grouping),
            Way::Copies { limit, strip } => {
                self.select_in_copies(walk, qs, interpolation, (limit, strip))
            }
            Way::Tables => self.select_by_tables(walk, qs, interpolation),
            Way::Single => {
                let mut found = Vec::with_capacity(walk.count() * qs.len());
                for lane in walk.lanes() {
                    found.extend(self.select_in_lane(lane, qs, interpolation)?);
                }
                Ok(found)
            }
            Way::Brackets => {
                let mut found = vec![A::MISSING; walk.count() * qs.len()];
                for (number, &q) in qs.iter().enumerate() {
                    let values = self.select_by_brackets(walk, q, interpolation)?;
                    let places = found.iter_mut().skip(number).step_by(qs.len());
                    places.zip(values).for_each(|(found, value)| *found = value);
                }
                Ok(found)
            }
        }
    }

    /// Chooses the fastest way that there is memory for.
    fn way(&self, walk: &LaneReader<'_, '_, A, D>, quantiles: usize) -> Way {
        let bytes = walk.len().saturating_mul(size_of::<A>());
        let most = self
            .memory_limit_bytes()
            .map_or(MAX_SLICE_BYTES, |budget| MAX_SLICE_BYTES.min(budget / 16));
        let is_small =
            size_of::<A>() <= 2 && (MIN_COUNTED..=u32::MAX as usize).contains(&walk.len());
        if let Some(limit) = self.lanes_in_columns(walk, quantiles, most) {
            return if walk.are_contiguous() {
                Way::Slices(Grouping::Slices)
            } else {
                Way::Copies { limit, strip: COLUMNS }
            };
        }
        if walk.are_contiguous() {
            return if bytes <= most { Way::Slices(Grouping::Slice) } else { Way::Single };
        }
        if is_small {
            // The tables of many lanes leave the cache; those of short ones are larger than the lanes.
            let is_copied =
                walk.len() < MIN_LONG || (size_of::<A>() == 2 && walk.count() >= MIN_COLUMNS);
            let limit = self.lanes_to_copy(walk, 2).filter(|_| is_copied);
            return limit.map_or(Way::Tables, |limit| Way::Copies { limit, strip: 1 });
        }
        // Few lanes do not fill a vector, and very long ones overflow the counts of those that do.
        if walk.count() < MIN_WIDTH || walk.len() > u32::MAX as usize / 2 {
            return Way::Single;
        }
        self.lanes_to_copy(walk, quantiles)
            .map_or(Way::Brackets, |limit| Way::Copies { limit, strip: 1 })
    }

    /// Returns the number of lanes to copy into columns at a time, if that is fast: for short lanes, and small elements of
    /// which few ranks are wanted.
    fn lanes_in_columns(
        &self,
        walk: &LaneReader<'_, '_, A, D>,
        quantiles: usize,
        most: usize,
    ) -> Option<usize> {
        let is_by_itself = walk.len() >= in_memory::MIN_BY_BITS
            && (size_of::<A>() == 1
                || size_of::<A>() == 2 && 2 * quantiles <= most_quantiles::<A>());
        let is_short = walk.len() <= MAX_SORTED && !(walk.are_contiguous() && is_by_itself);
        let by_bits = !walk.are_contiguous() && Columns::<A>::is_by_bits(walk.len(), quantiles);
        if walk.count() < MIN_COLUMNS
            || Columns::<A>::bytes(walk.len()) > most
            || !(is_short || by_bits)
        {
            return None;
        }
        let at_a_time = self.kept_bytes() / Columns::<A>::bytes(walk.len()) * COLUMNS;
        let passes = walk.count().div_ceil(at_a_time.max(1));
        let most_passes = if walk.are_contiguous() { usize::MAX } else { 2 * quantiles.max(2) };
        (at_a_time > 0 && passes <= most_passes).then_some(at_a_time)
    }

    /// Returns the number of lanes to copy at a time, if that takes fewer passes than one quantile after the other.
    fn lanes_to_copy(&self, walk: &LaneReader<'_, '_, A, D>, quantiles: usize) -> Option<usize> {
        let at_a_time = self.kept_bytes() / walk.len().saturating_mul(size_of::<A>());
        let passes = walk.count().div_ceil(at_a_time.max(1));
        // Each thread copies a lane once more.
        let lane_bytes = walk.len().saturating_mul(size_of::<A>());
        if self.memory_limit_bytes().is_some_and(|bytes| bytes / 16 < lane_bytes) {
            return None;
        }
        (quantiles > 1 && at_a_time > 0 && passes <= 2 * quantiles).then_some(at_a_time)
    }

    /// What lanes are kept in. Half of a ceiling is for pages, and what is left over for what threads keep for themselves.
    fn kept_bytes(&self) -> usize {
        self.memory_limit_bytes().map_or(DEFAULT_BYTES, |budget| budget / 16 * 6)
    }

    /// A lane that is an array of its own.
    fn select_in_lane(
        &self,
        lane: ArrayView1<'_, A>,
        qs: &[f64],
        interpolation: Interpolation,
    ) -> Result<Vec<A>> {
        let walk = Chunked::new(lane).inherit_config(self);
        match walk.quantiles(qs, interpolation) {
            // But there are some: NaNs.
            Err(error) if matches!(error.kind(), ErrorKind::EmptyInput {}) => {
                Ok(vec![A::MISSING; qs.len()])
            }
            result => result,
        }
    }
}

/// Calls a closure with each of some parts, first with those that no other thread has.
fn each_free<T>(parts: &[Mutex<T>], mut work: impl FnMut(&mut T)) {
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
