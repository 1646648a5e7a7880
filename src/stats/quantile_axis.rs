//! Quantiles along an axis, exactly.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use ndarray::{Array, ArrayView, ArrayView1, ArrayView2, Axis, RemoveAxis};

use super::element::Element;
use super::kernels::{self, COLUMNS};
use super::quantile::{Interpolation, Position, Positions, check};
use super::selection::columns::Columns;
use super::selection::gathered::Gathered;
use super::selection::lanes::Lanes;
use super::selection::tables::{self, Ranks, select_bytes};
use super::selection::{Scratch, select_in};
use crate::chunked::{Chunked, LaneWalk, threads};
use crate::error::{ErrorKind, Result};

/// The bytes of elements that are kept at a time if nothing else is said.
const DEFAULT_BYTES: usize = 128 << 20;

/// Lanes longer than this are gone through one after the other.
const MOST_SLICE_BYTES: usize = 8 << 20;

/// So are fewer lanes than this, if they are not contiguous.
const LEAST_WIDTH: usize = 8;

/// The elements of a lane that there should be room for: with fewer it takes more passes.
const GOOD_ROOM: usize = 256;

/// Elements of one or two bytes are counted in lanes that are not shorter.
const LEAST_COUNTED: usize = 128;

/// Shorter lanes of them are gathered, if they are not contiguous.
const LEAST_LONG: usize = 4096;

/// Lanes up to this length are sorted, many at a time, if there are as many.
const MOST_SORTED: usize = 1024;
const LEAST_COLUMNS: usize = 16;

/// Slices of small elements, of so many elements at least and bytes at most, are looked through for each bit of a value, if few
/// ranks are wanted.
const LEAST_BY_BITS: usize = 256;
const MOST_BY_BITS: usize = 1 << 20;
const MOST_RANKS: usize = 6;

/// How lanes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grouping {
    /// Each as a slice.
    Slice,
    /// Several slices at a time.
    Slices,
    /// In strips: rows of elements of neighbouring lanes.
    Strip,
}

/// Memory that is used again for the next lanes.
struct Workspace<A> {
    scratch: Scratch<A>,
    columns: Columns<A>,
    places: Positions,
    values: Vec<A>,
}

/// Quantiles of each lane along an axis.
///
/// They are exact, and leave the array as it is. Lanes that are contiguous are selected from where they lie, short ones many
/// at a time. Of others, all of some lanes is copied and gone through once if that takes few passes: lanes of up to 1,024
/// elements, longer ones of one or two bytes, and any if there are several quantiles. Else elements of one byte are counted
/// in one pass; those of two bytes in one for the upper byte and one for each upper byte that the quantiles of a lane have.
/// All else is gone through side by side, in the order of the file, in passes in which the bracket of each lane narrows:
/// one pass if all elements of some lanes can be kept at a time, else four to six for each quantile. Less than half of a
/// [ceiling](Self::memory) is for what is kept; more quantiles than a sixteenth of it has room for are taken some at a time.
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
    pub fn quantile_axis(self, axis: Axis, q: f64, interpolation: Interpolation) -> Result<Array<A, D::Smaller>> {
        let walk = LaneWalk::new(&self, axis);
        Ok(walk.shaped(self.named(self.select_along(&walk, &[q], interpolation))?))
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
    pub fn quantiles_axis(self, axis: Axis, qs: &[f64], interpolation: Interpolation) -> Result<Array<A, D>> {
        let walk = LaneWalk::new(&self, axis);
        let found = self.named(self.select_along(&walk, qs, interpolation))?;
        let mut shape = self.shape();
        shape[axis.index()] = qs.len();
        let mut result = Array::from_elem(shape, A::MISSING);
        // Lane by lane, as they lie together in what was found.
        let numbers = walk.shaped::<usize, D::Smaller>((0..walk.count()).collect());
        for (mut lane, &number) in result.lanes_mut(axis).into_iter().zip(&numbers) {
            lane.iter_mut().zip(&found[number * qs.len()..]).for_each(|(to, from)| *to = *from);
        }
        Ok(result)
    }

    /// For each lane in order, each quantile.
    fn select_along(&self, walk: &LaneWalk<'_, '_, A, D>, qs: &[f64], interpolation: Interpolation) -> Result<Vec<A>> {
        check(qs)?;
        if walk.len() == 0 {
            return Err(ErrorKind::EmptyInput {}.at(None));
        }
        if walk.count() == 0 {
            return Ok(Vec::new());
        }
        let share = |bytes: usize| Positions::most_within(bytes / 16 / (threads() + 1));
        let most = self.memory_ceiling().map_or(usize::MAX, share);
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

    /// The same of as many quantiles as there is room for.
    fn select_some(&self, walk: &LaneWalk<'_, '_, A, D>, qs: &[f64], interpolation: Interpolation) -> Result<Vec<A>> {
        let bytes = walk.len().saturating_mul(size_of::<A>());
        let most = self.memory_ceiling().map_or(MOST_SLICE_BYTES, |budget| MOST_SLICE_BYTES.min(budget / 16));
        // Few lanes do not fill a vector, and very long ones overflow the counts of those that do.
        let one_by_one = walk.are_slices() || walk.count() < LEAST_WIDTH || walk.len() > u32::MAX as usize / 2;
        let by_tables = size_of::<A>() <= 2 && (LEAST_COUNTED..=u32::MAX as usize).contains(&walk.len());
        if let Some(limit) = self.lanes_in_columns(walk, qs.len(), most) {
            return match walk.are_slices() {
                true => self.select_in_slices(walk, qs, interpolation, Grouping::Slices),
                false => self.select_gathered(walk, qs, interpolation, (limit, COLUMNS)),
            };
        }
        match one_by_one {
            _ if by_tables && !walk.are_slices() => match self.lanes_to_gather(walk, 2) {
                // The tables of many lanes leave the cache; those of short ones are larger than the lanes.
                Some(limit) if walk.len() < LEAST_LONG || (size_of::<A>() == 2 && walk.count() >= LEAST_COLUMNS) => {
                    self.select_gathered(walk, qs, interpolation, (limit, 1))
                }
                _ => self.select_by_tables(walk, qs, interpolation),
            },
            true if walk.are_slices() && bytes <= most => {
                self.select_in_slices(walk, qs, interpolation, Grouping::Slice)
            }
            true => {
                let mut found = Vec::with_capacity(walk.count() * qs.len());
                for lane in walk.lanes() {
                    found.extend(self.select_in_lane(lane, qs, interpolation)?);
                }
                Ok(found)
            }
            false => {
                if let Some(limit) = self.lanes_to_gather(walk, qs.len()) {
                    return self.select_gathered(walk, qs, interpolation, (limit, 1));
                }
                let mut found = vec![A::MISSING; walk.count() * qs.len()];
                for (number, &q) in qs.iter().enumerate() {
                    let values = self.select_side_by_side(walk, q, interpolation)?;
                    found
                        .iter_mut()
                        .skip(number)
                        .step_by(qs.len())
                        .zip(values)
                        .for_each(|(found, value)| *found = value);
                }
                Ok(found)
            }
        }
    }

    /// Many lanes at a time, of elements of one or two bytes, in a pass for each byte.
    fn select_by_tables(
        &self,
        walk: &LaneWalk<'_, '_, A, D>,
        qs: &[f64],
        interpolation: Interpolation,
    ) -> Result<Vec<A>> {
        // A quarter for rows.
        let bytes = self.kept_bytes();
        let bytes_of_lane =
            tables::ByteCounts::<A>::BYTES_OF_LANE * (threads() + 1) + Ranks::<A>::bytes_of_lane(2 * qs.len());
        let groups = walk.groups((bytes / 4 * 3 / bytes_of_lane).max(1))?;
        let row_bytes = bytes / 4 / threads();
        let mut found = Vec::with_capacity(walk.count() * qs.len());
        // As a rule, lanes have as many elements as the one before.
        let mut places = Positions::new(qs, walk.len() as u64, interpolation);
        for group in 0..groups.count() {
            let width = groups.lanes_of(group);
            let mut ranks = Ranks::new();
            loop {
                let parts = Mutex::new(Vec::new());
                let idle = || parts.lock().unwrap_or_else(PoisonError::into_inner);
                groups.each_tile(group, |rows| {
                    let part = idle().pop();
                    let mut part = part.unwrap_or_else(|| tables::ByteCounts::new(width, row_bytes));
                    part.push_rows(rows, ranks.upper());
                    idle().push(part);
                })?;
                let parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
                let is_done = ranks.take(parts, walk.len(), |count, find| {
                    places.update(qs, count, interpolation);
                    find(&places.ranks);
                });
                if ranks.any_nan(walk.len()) && !self.skips_nan() {
                    return Err(ErrorKind::UndefinedOrder {}.at(None));
                }
                if is_done {
                    break;
                }
            }
            for (count, values) in ranks.values() {
                if count == 0 {
                    found.extend(qs.iter().map(|_| A::MISSING));
                    continue;
                }
                places.update(qs, count, interpolation);
                found.extend(places.quantiles(&values));
            }
        }
        Ok(found)
    }

    /// How many lanes are to be copied at a time to select in them side by side, if that is fast: short lanes, and those of
    /// small elements of which few ranks are wanted.
    fn lanes_in_columns(&self, walk: &LaneWalk<'_, '_, A, D>, quantiles: usize, most: usize) -> Option<usize> {
        let is_by_itself = size_of::<A>() <= 2 && walk.len() >= LEAST_BY_BITS && 2 * quantiles <= MOST_RANKS;
        let is_short = walk.len() <= MOST_SORTED && !(walk.are_slices() && is_by_itself);
        let by_bits = !walk.are_slices() && Columns::<A>::is_by_bits(walk.len(), 2 * quantiles);
        if walk.count() < LEAST_COLUMNS || Columns::<A>::bytes(walk.len()) > most || !(is_short || by_bits) {
            return None;
        }
        let at_a_time = self.kept_bytes() / Columns::<A>::bytes(walk.len()) * COLUMNS;
        let passes = walk.count().div_ceil(at_a_time.max(1));
        let most_passes = if walk.are_slices() { usize::MAX } else { 2 * quantiles.max(2) };
        (at_a_time > 0 && passes <= most_passes).then_some(at_a_time)
    }

    /// How many lanes are to be gathered at a time, if that takes fewer passes than the quantiles one after the other.
    fn lanes_to_gather(&self, walk: &LaneWalk<'_, '_, A, D>, quantiles: usize) -> Option<usize> {
        let at_a_time = self.kept_bytes() / walk.len().saturating_mul(size_of::<A>());
        let passes = walk.count().div_ceil(at_a_time.max(1));
        // Each thread copies a lane once more.
        let lane_bytes = walk.len().saturating_mul(size_of::<A>());
        if self.memory_ceiling().is_some_and(|bytes| bytes / 16 < lane_bytes) {
            return None;
        }
        (quantiles > 1 && at_a_time > 0 && passes <= 2 * quantiles).then_some(at_a_time)
    }

    /// What lanes are kept in. Half of a ceiling is for pages, and what is left over for what threads keep for themselves.
    fn kept_bytes(&self) -> usize {
        self.memory_ceiling().map_or(DEFAULT_BYTES, |budget| budget / 16 * 6)
    }

    /// All of some lanes at a time, in a copy in which each lane is contiguous, or each strip of lanes side by side.
    fn select_gathered(
        &self,
        walk: &LaneWalk<'_, '_, A, D>,
        qs: &[f64],
        interpolation: Interpolation,
        (limit, strip): (usize, usize),
    ) -> Result<Vec<A>> {
        let (groups, len) = (walk.groups(limit)?, walk.len());
        let grouping = if strip == 1 { Grouping::Slice } else { Grouping::Strip };
        let mut found = Vec::with_capacity(walk.count() * qs.len());
        for group in 0..groups.count() {
            let width = groups.lanes_of(group);
            let count = width.div_ceil(strip);
            let mut elements = vec![A::ENDS.0; count * strip * len];
            let strips = count.div_ceil(2 * threads());
            let parts = elements.chunks_mut(strips * strip * len).enumerate();
            let parts =
                parts.map(|(number, part)| Mutex::new(Gathered::new(part, len, strip, number * strips * strip)));
            let parts: Vec<_> = parts.collect();
            groups.each_tile(group, |rows| each_free(&parts, |part| part.push_rows(rows, width)))?;
            drop(parts);
            let table = ArrayView2::from_shape((count, strip * len), &elements).expect("a row for each strip");
            let mut copy = Chunked::over(table);
            copy = if self.skips_nan() { copy.skipnan() } else { copy };
            copy = self.memory_ceiling().map_or(copy.clone(), |bytes| copy.memory(bytes));
            let values = copy.select_in_slices(&LaneWalk::new(&copy, Axis(1)), qs, interpolation, grouping)?;
            // Without those of lanes that fill up the last strip.
            found.extend_from_slice(&values[..width * qs.len()]);
        }
        Ok(found)
    }

    /// On all threads, a lane on each, or several.
    fn select_in_slices(
        &self,
        walk: &LaneWalk<'_, '_, A, D>,
        qs: &[f64],
        interpolation: Interpolation,
        grouping: Grouping,
    ) -> Result<Vec<A>> {
        let (len, together) = match grouping {
            Grouping::Slice => (walk.len(), 1),
            Grouping::Slices => (walk.len(), COLUMNS),
            Grouping::Strip => (walk.len() / COLUMNS, 1),
        };
        let bytes = match grouping {
            // If all is to be copied, into something that grows by doubling.
            Grouping::Slice => 2 * len * size_of::<A>(),
            Grouping::Slices | Grouping::Strip => Columns::<A>::bytes(len),
        };
        // As a rule, lanes have as many elements as the one before.
        let new = || Workspace {
            scratch: Scratch::default(),
            columns: Columns::default(),
            places: Positions::new(qs, len as u64, interpolation),
            values: Vec::new(),
        };
        walk.each_slice(bytes, together, new, |space, lanes, found| {
            match grouping {
                Grouping::Slice => return self.select_in_slice(space, lanes[0], (qs, interpolation), found),
                Grouping::Slices => space.columns.take_lanes(lanes),
                Grouping::Strip => space.columns.take_rows(lanes[0]),
            }
            let count = if grouping == Grouping::Slices { lanes.len() } else { COLUMNS };
            self.select_in_columns(space, (len, count), (qs, interpolation), found)
        })
    }

    fn select_in_slice(
        &self,
        Workspace { scratch, columns, places, .. }: &mut Workspace<A>,
        lane: &[A],
        (qs, interpolation): (&[f64], Interpolation),
        found: &mut Vec<A>,
    ) -> Result<()> {
        let nans = if A::HAS_NAN { kernels::count_nan(lane) } else { 0 };
        let count = lane.len() as u64 - nans;
        if nans > 0 && !self.skips_nan() {
            return Err(ErrorKind::UndefinedOrder {}.at(None));
        }
        if count == 0 {
            found.extend(qs.iter().map(|_| A::MISSING));
            return Ok(());
        }
        places.update(qs, count, interpolation);
        let ranks = &places.ranks;
        let values = match size_of::<A>() {
            1 | 2 if lane.len() >= LEAST_COUNTED && size_of_val(lane) <= MOST_BY_BITS && ranks.len() <= MOST_RANKS => {
                columns.of_slice(lane, ranks)
            }
            1 if lane.len() >= LEAST_COUNTED => select_bytes(lane, ranks),
            _ => {
                let ranks: Vec<_> = ranks.iter().map(|&rank| rank as usize).collect();
                select_in(lane, &ranks, scratch)
            }
        };
        found.extend(places.quantiles(&values));
        Ok(())
    }

    /// In the lanes that columns have.
    fn select_in_columns(
        &self,
        Workspace { columns, places, values, .. }: &mut Workspace<A>,
        (len, lanes): (usize, usize),
        (qs, interpolation): (&[f64], Interpolation),
        found: &mut Vec<A>,
    ) -> Result<()> {
        if !self.skips_nan() && (0..lanes).any(|lane| columns.count(lane) < len as u64) {
            return Err(ErrorKind::UndefinedOrder {}.at(None));
        }
        let by_bits = Columns::<A>::is_by_bits(len, places.ranks.len()).then(|| {
            let mut ranks = vec![[0; COLUMNS]; 2 * qs.len()];
            let mut most = 0;
            for lane in (0..lanes).filter(|&lane| columns.count(lane) > 0) {
                places.update(qs, columns.count(lane), interpolation);
                most = most.max(places.ranks.len());
                ranks.iter_mut().zip(&places.ranks).for_each(|(ranks, &rank)| ranks[lane] = rank);
            }
            columns.by_bits(&ranks[..most])
        });
        if by_bits.is_none() {
            columns.sort();
        }
        for lane in 0..lanes {
            let count = columns.count(lane);
            if count == 0 {
                found.extend(qs.iter().map(|_| A::MISSING));
                continue;
            }
            places.update(qs, count, interpolation);
            values.clear();
            match &by_bits {
                Some(rows) => values.extend(rows.iter().take(places.ranks.len()).map(|row| row[lane])),
                None => values.extend(places.ranks.iter().map(|&rank| columns.sorted(rank, lane))),
            }
            found.extend(places.quantiles(values));
        }
        Ok(())
    }

    /// A lane that is an array of its own.
    fn select_in_lane(&self, lane: ArrayView1<'_, A>, qs: &[f64], interpolation: Interpolation) -> Result<Vec<A>> {
        let walk = Chunked::over(lane).told_as(self);
        match walk.quantiles(qs, interpolation) {
            // But there are some: NaNs.
            Err(error) if matches!(error.kind(), ErrorKind::EmptyInput {}) => Ok(vec![A::MISSING; qs.len()]),
            result => result,
        }
    }

    /// Many lanes at a time, in passes over the rows.
    fn select_side_by_side(
        &self,
        walk: &LaneWalk<'_, '_, A, D>,
        q: f64,
        interpolation: Interpolation,
    ) -> Result<Vec<A>> {
        let bytes = self.kept_bytes();
        let good = Lanes::<A>::bytes_of_lane(GOOD_ROOM.min(walk.len()));
        let groups = walk.groups((bytes / good).max(1))?;
        let mut found = Vec::with_capacity(walk.count());
        for group in 0..groups.count() {
            let width = groups.lanes_of(group);
            let room = (bytes / width).saturating_sub(Lanes::<A>::bytes_of_lane(0)) / size_of::<A>();
            // A thread that finds some lanes in use goes on with others.
            let parts = (2 * threads()).min(width);
            let begins: Vec<_> = (0..=parts).map(|part| part * width / parts).collect();
            let lanes: Vec<_> = begins
                .windows(2)
                .map(|ends| Mutex::new((ends[0], Lanes::<A>::new(ends[1] - ends[0], walk.len(), room.min(walk.len())))))
                .collect();
            let mut open = true;
            while open {
                groups.each_tile(group, |rows| {
                    each_free(&lanes, |(first, lanes)| lanes.push_rows(rows, width, *first));
                })?;
                open = false;
                for part in &lanes {
                    let (_, lanes) = &mut *part.lock().unwrap_or_else(PoisonError::into_inner);
                    open |= !lanes.narrow(|count| {
                        let place = Position::new(q, count, interpolation);
                        [place.lower, place.higher]
                    });
                    if lanes.any_nan() && !self.skips_nan() {
                        return Err(ErrorKind::UndefinedOrder {}.at(None));
                    }
                }
            }
            for part in lanes {
                let (_, lanes) = part.into_inner().unwrap_or_else(PoisonError::into_inner);
                found.extend(lanes.values().map(|values| match values {
                    Some((count, [lower, higher])) => {
                        A::between(lower, higher, Position::new(q, count, interpolation).fraction)
                    }
                    None => A::MISSING,
                }));
            }
        }
        Ok(found)
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
