//! Selection in lanes that are contiguous in memory, either in place or in a copy.
#![forbid(unsafe_code)]

use std::sync::Mutex;

use ndarray::{ArrayView2, Axis};

use super::{MIN_COUNTED, for_each_unlocked};
use crate::chunked::{AnyArray, Chunked, LaneReader};
use crate::error::{ErrorKind, Result};
use crate::parallel::threads;
use crate::stats::element::Element;
use crate::stats::kernels::{self, COLUMNS};
use crate::stats::passes::Dynamic;
use crate::stats::quantile::{Interpolation, QuantilePositions};
use crate::stats::selection::columns::Columns;
use crate::stats::selection::gathered::GatheredLanes;
use crate::stats::selection::tables::select_bytes;
use crate::stats::selection::{Scratch, select_in};

/// The minimum length and the maximum number of bytes of slices of small elements for selection bit
/// by bit, and below it the maximum number of quantiles.
pub(super) const MIN_BY_BITS: usize = 256;
const MAX_BY_BITS: usize = 1 << 20;
pub(super) const fn max_quantiles<A>() -> usize {
    if size_of::<A>() == 1 { 2 } else { 6 }
}

/// The layout of lanes in which elements are selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grouping {
    /// One contiguous lane.
    Slice,
    /// Several contiguous lanes at once.
    Slices,
    /// A panel: rows with one element for each of several adjacent lanes.
    Panel,
}

/// Memory that is reused for the next lanes.
struct Workspace<A> {
    scratch: Scratch<A>,
    columns: Columns<A>,
    positions: QuantilePositions,
    values: Vec<A>,
}

impl<A: Element> Dynamic<'_, '_, A> {
    /// Selects in copies of batches of lanes, in which each lane or each panel of lanes is
    /// contiguous.
    pub(super) fn select_in_copies(
        &self,
        reader: &LaneReader<'_, '_, A>,
        qs: &[f64],
        interpolation: Interpolation,
        (limit, panel_width): (usize, usize),
    ) -> Result<Vec<A>> {
        let batches = reader.batches(limit)?;
        let len = reader.len();
        let grouping = if panel_width == 1 { Grouping::Slice } else { Grouping::Panel };
        let mut found = Vec::with_capacity(reader.count() * qs.len());
        for batch in 0..batches.count() {
            let width = batches.lanes_in(batch);
            let count = width.div_ceil(panel_width);
            let mut elements = vec![A::RANGE.0; count * panel_width * len];
            let panels_per_part = count.div_ceil(2 * threads());
            let parts = elements.chunks_mut(panels_per_part * panel_width * len).enumerate();
            let parts = parts.map(|(index, part)| {
                Mutex::new(GatheredLanes::new(
                    part,
                    len,
                    panel_width,
                    index * panels_per_part * panel_width,
                ))
            });
            let parts: Vec<_> = parts.collect();
            batches.for_each_tile(batch, |rows| {
                for_each_unlocked(&parts, |part| part.push_rows(rows, width))
            })?;
            drop(parts);
            let table = ArrayView2::from_shape((count, panel_width * len), &elements)
                .expect("a row for each panel");
            let mut copy = Chunked::new(AnyArray::View(table.into_dyn()));
            copy = if self.skips_nan() { copy.skipnan() } else { copy };
            copy = self.memory_limit_bytes().map_or(copy.clone(), |bytes| copy.memory_limit(bytes));
            let values = copy.select_in_slices(
                &LaneReader::new(&copy, Axis(1)),
                qs,
                interpolation,
                grouping,
            )?;
            // Exclude the lanes that pad the last panel.
            found.extend_from_slice(&values[..width * qs.len()]);
        }
        Ok(found)
    }

    /// Selects on all threads, each with one lane or several lanes at once.
    pub(super) fn select_in_slices(
        &self,
        reader: &LaneReader<'_, '_, A>,
        qs: &[f64],
        interpolation: Interpolation,
        grouping: Grouping,
    ) -> Result<Vec<A>> {
        let (len, together) = match grouping {
            Grouping::Slice => (reader.len(), 1),
            Grouping::Slices => (reader.len(), COLUMNS),
            Grouping::Panel => (reader.len() / COLUMNS, 1),
        };
        let bytes = match grouping {
            // A copy of all elements in a vector, whose capacity grows by doubling.
            Grouping::Slice => 2 * len * size_of::<A>(),
            Grouping::Slices | Grouping::Panel => Columns::<A>::bytes(len),
        };
        // Most lanes have the same number of elements after skipping NaNs.
        let new = || Workspace {
            scratch: Scratch::default(),
            columns: Columns::default(),
            positions: QuantilePositions::new(qs, len as u64, interpolation),
            values: Vec::new(),
        };
        reader.for_each_slice(bytes, together, new, |space, lanes, found| {
            match grouping {
                Grouping::Slice => {
                    return self.select_in_slice(space, lanes[0], (qs, interpolation), found);
                }
                Grouping::Slices => space.columns.copy_lanes(lanes),
                Grouping::Panel => space.columns.copy_rows(lanes[0]),
            }
            let count = if grouping == Grouping::Slices { lanes.len() } else { COLUMNS };
            self.select_in_columns(space, (len, count), (qs, interpolation), found)
        })
    }

    fn select_in_slice(
        &self,
        Workspace { scratch, columns, positions, .. }: &mut Workspace<A>,
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
            found.extend(qs.iter().map(|_| A::EMPTY));
            return Ok(());
        }
        positions.update(qs, count, interpolation);
        let ranks = &positions.ranks;
        let values = match size_of::<A>() {
            1 | 2
                if lane.len() >= MIN_COUNTED
                    && size_of_val(lane) <= MAX_BY_BITS
                    && qs.len() <= max_quantiles::<A>() =>
            {
                columns.of_slice(lane, ranks)
            }
            1 if lane.len() >= MIN_COUNTED => select_bytes(lane, ranks),
            _ => {
                let ranks: Vec<_> = ranks.iter().map(|&rank| rank as usize).collect();
                select_in(lane, &ranks, scratch)
            }
        };
        found.extend(positions.quantiles(&values));
        Ok(())
    }

    /// Selects in the lanes of a panel.
    fn select_in_columns(
        &self,
        Workspace { columns, positions, values, .. }: &mut Workspace<A>,
        (len, lanes): (usize, usize),
        (qs, interpolation): (&[f64], Interpolation),
        found: &mut Vec<A>,
    ) -> Result<()> {
        if !self.skips_nan() && (0..lanes).any(|lane| columns.count(lane) < len as u64) {
            return Err(ErrorKind::UndefinedOrder {}.at(None));
        }
        let by_bits = Columns::<A>::is_by_bits(len, qs.len()).then(|| {
            let mut ranks = vec![[0; COLUMNS]; 2 * qs.len()];
            let mut max_ranks = 0;
            for lane in (0..lanes).filter(|&lane| columns.count(lane) > 0) {
                positions.update(qs, columns.count(lane), interpolation);
                max_ranks = max_ranks.max(positions.ranks.len());
                ranks
                    .iter_mut()
                    .zip(&positions.ranks)
                    .for_each(|(ranks, &rank)| ranks[lane] = rank);
            }
            columns.by_bits(&ranks[..max_ranks])
        });
        if by_bits.is_none() {
            columns.sort();
        }
        for lane in 0..lanes {
            let count = columns.count(lane);
            if count == 0 {
                found.extend(qs.iter().map(|_| A::EMPTY));
                continue;
            }
            positions.update(qs, count, interpolation);
            values.clear();
            match &by_bits {
                Some(rows) => {
                    values.extend(rows.iter().take(positions.ranks.len()).map(|row| row[lane]))
                }
                None => {
                    values.extend(positions.ranks.iter().map(|&rank| columns.sorted(rank, lane)))
                }
            }
            found.extend(positions.quantiles(values));
        }
        Ok(())
    }
}
