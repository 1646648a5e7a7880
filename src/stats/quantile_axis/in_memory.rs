//! Selection in lanes that are contiguous, or made so by a copy.
#![forbid(unsafe_code)]

use std::sync::Mutex;

use ndarray::{ArrayView, ArrayView2, Axis, RemoveAxis};

use super::super::element::Element;
use super::super::kernels::{self, COLUMNS};
use super::super::quantile::{Interpolation, Positions};
use super::super::selection::columns::Columns;
use super::super::selection::gathered::Gathered;
use super::super::selection::tables::select_bytes;
use super::super::selection::{Scratch, select_in};
use super::{MIN_COUNTED, each_free};
use crate::chunked::{Chunked, LaneReader};
use crate::error::{ErrorKind, Result};
use crate::parallel::threads;

/// The least elements and the most bytes of slices of small elements that are counted once for each bit of a value, and the
/// most quantiles.
pub(super) const MIN_BY_BITS: usize = 256;
const MAX_BY_BITS: usize = 1 << 20;
pub(super) const fn most_quantiles<A>() -> usize {
    if size_of::<A>() == 1 { 2 } else { 6 }
}

/// The form in which lanes are selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grouping {
    /// Each as a slice.
    Slice,
    /// Several slices at a time.
    Slices,
    /// Strips: rows of elements of neighbouring lanes.
    Strip,
}

/// Memory that is used again for the next lanes.
struct Workspace<A> {
    scratch: Scratch<A>,
    columns: Columns<A>,
    places: Positions,
    values: Vec<A>,
}

impl<A: Element, D: RemoveAxis> Chunked<'_, ArrayView<'_, A, D>> {
    /// Selects in copies of some lanes, in which each lane or each strip of lanes is contiguous.
    pub(super) fn select_in_copies(
        &self,
        walk: &LaneReader<'_, '_, A, D>,
        qs: &[f64],
        interpolation: Interpolation,
        (limit, strip): (usize, usize),
    ) -> Result<Vec<A>> {
        let (groups, len) = (walk.batches(limit)?, walk.len());
        let grouping = if strip == 1 { Grouping::Slice } else { Grouping::Strip };
        let mut found = Vec::with_capacity(walk.count() * qs.len());
        for group in 0..groups.count() {
            let width = groups.lanes_in(group);
            let count = width.div_ceil(strip);
            let mut elements = vec![A::ENDS.0; count * strip * len];
            let strips = count.div_ceil(2 * threads());
            let parts = elements.chunks_mut(strips * strip * len).enumerate();
            let parts = parts.map(|(number, part)| {
                Mutex::new(Gathered::new(part, len, strip, number * strips * strip))
            });
            let parts: Vec<_> = parts.collect();
            groups.for_each_tile(group, |rows| {
                each_free(&parts, |part| part.push_rows(rows, width))
            })?;
            drop(parts);
            let table = ArrayView2::from_shape((count, strip * len), &elements)
                .expect("a row for each strip");
            let mut copy = Chunked::new(table);
            copy = if self.skips_nan() { copy.skipnan() } else { copy };
            copy = self.memory_limit_bytes().map_or(copy.clone(), |bytes| copy.memory_limit(bytes));
            let values = copy.select_in_slices(
                &LaneReader::new(&copy, Axis(1)),
                qs,
                interpolation,
                grouping,
            )?;
            // Without those of lanes that fill up the last strip.
            found.extend_from_slice(&values[..width * qs.len()]);
        }
        Ok(found)
    }

    /// On all threads, a lane on each, or several.
    pub(super) fn select_in_slices(
        &self,
        walk: &LaneReader<'_, '_, A, D>,
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
        // Lanes mostly have as many elements as the one before.
        let new = || Workspace {
            scratch: Scratch::default(),
            columns: Columns::default(),
            places: Positions::new(qs, len as u64, interpolation),
            values: Vec::new(),
        };
        walk.for_each_slice(bytes, together, new, |space, lanes, found| {
            match grouping {
                Grouping::Slice => {
                    return self.select_in_slice(space, lanes[0], (qs, interpolation), found);
                }
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
            1 | 2
                if lane.len() >= MIN_COUNTED
                    && size_of_val(lane) <= MAX_BY_BITS
                    && qs.len() <= most_quantiles::<A>() =>
            {
                columns.of_slice(lane, ranks)
            }
            1 if lane.len() >= MIN_COUNTED => select_bytes(lane, ranks),
            _ => {
                let ranks: Vec<_> = ranks.iter().map(|&rank| rank as usize).collect();
                select_in(lane, &ranks, scratch)
            }
        };
        found.extend(places.quantiles(&values));
        Ok(())
    }

    /// Selects in the lanes of columns.
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
        let by_bits = Columns::<A>::is_by_bits(len, qs.len()).then(|| {
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
                Some(rows) => {
                    values.extend(rows.iter().take(places.ranks.len()).map(|row| row[lane]))
                }
                None => values.extend(places.ranks.iter().map(|&rank| columns.sorted(rank, lane))),
            }
            found.extend(places.quantiles(values));
        }
        Ok(())
    }
}
