//! Selection in many lanes at once, in several passes over the file.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use super::for_each_unlocked;
use crate::chunked::LaneReader;
use crate::error::{ErrorKind, Result};
use crate::parallel::threads;
use crate::stats::element::Element;
use crate::stats::passes::Dynamic;
use crate::stats::quantile::{Interpolation, QuantilePosition, QuantilePositions};
use crate::stats::selection::lanes::Lanes;
use crate::stats::selection::tables::{self, Ranks};

/// The preferred number of candidates that each lane has room for; less room takes more passes.
const TARGET_CAPACITY: usize = 256;

impl<A: Element> Dynamic<'_, '_, A> {
    /// Selects in batches of lanes of elements of one or two bytes, in a pass for each byte.
    pub(super) fn select_by_tables(
        &self,
        reader: &LaneReader<'_, '_, A>,
        qs: &[f64],
        interpolation: Interpolation,
    ) -> Result<Vec<A>> {
        // A quarter of the memory is for copies of rows.
        let bytes = self.kept_bytes();
        let bytes_of_lane = tables::ByteCounts::<A>::BYTES_OF_LANE * (threads() + 1)
            + Ranks::<A>::bytes_of_lane(2 * qs.len());
        let batches = reader.batches((bytes / 4 * 3 / bytes_of_lane).max(1))?;
        let row_bytes = bytes / 4 / threads();
        let mut found = Vec::with_capacity(reader.count() * qs.len());
        // Most lanes have the same number of elements after skipping NaNs.
        let mut positions = QuantilePositions::new(qs, reader.len() as u64, interpolation);
        for batch in 0..batches.count() {
            let width = batches.lanes_in(batch);
            let mut ranks = Ranks::new();
            loop {
                let parts = Mutex::new(Vec::new());
                let idle = || parts.lock().unwrap_or_else(PoisonError::into_inner);
                batches.for_each_tile(batch, |rows| {
                    let part = idle().pop();
                    let mut part =
                        part.unwrap_or_else(|| tables::ByteCounts::new(width, row_bytes));
                    part.push_rows(rows, ranks.upper());
                    idle().push(part);
                })?;
                let parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
                let is_done = ranks.end_pass(parts, reader.len(), |count, find| {
                    positions.update(qs, count, interpolation);
                    find(&positions.ranks);
                });
                if ranks.any_nan(reader.len()) && !self.skips_nan() {
                    return Err(ErrorKind::UndefinedOrder {}.at(None));
                }
                if is_done {
                    break;
                }
            }
            for (count, values) in ranks.values() {
                if count == 0 {
                    found.extend(qs.iter().map(|_| A::EMPTY));
                    continue;
                }
                positions.update(qs, count, interpolation);
                found.extend(positions.quantiles(&values));
            }
        }
        Ok(found)
    }

    /// Selects in batches of lanes, in passes that narrow a bracket of values for each lane.
    pub(super) fn select_by_brackets(
        &self,
        reader: &LaneReader<'_, '_, A>,
        q: f64,
        interpolation: Interpolation,
    ) -> Result<Vec<A>> {
        let bytes = self.kept_bytes();
        let target_bytes = Lanes::<A>::bytes_of_lane(TARGET_CAPACITY.min(reader.len()));
        let batches = reader.batches((bytes / target_bytes).max(1))?;
        let mut found = Vec::with_capacity(reader.count());
        for batch in 0..batches.count() {
            let width = batches.lanes_in(batch);
            let room =
                (bytes / width).saturating_sub(Lanes::<A>::bytes_of_lane(0)) / size_of::<A>();
            // More groups of lanes than threads, so that a thread that finds a group locked
            // continues with another.
            let parts = (2 * threads()).min(width);
            let starts: Vec<_> = (0..=parts).map(|part| part * width / parts).collect();
            let lanes: Vec<_> = starts
                .windows(2)
                .map(|ends| {
                    Mutex::new((
                        ends[0],
                        Lanes::<A>::new(ends[1] - ends[0], reader.len(), room.min(reader.len())),
                    ))
                })
                .collect();
            let mut open = true;
            while open {
                batches.for_each_tile(batch, |rows| {
                    for_each_unlocked(&lanes, |(first, lanes)| {
                        lanes.push_rows(rows, width, *first)
                    });
                })?;
                open = false;
                for part in &lanes {
                    let (_, lanes) = &mut *part.lock().unwrap_or_else(PoisonError::into_inner);
                    open |= !lanes.end_pass(|count| {
                        let position = QuantilePosition::new(q, count, interpolation);
                        [position.lower, position.higher]
                    });
                    if lanes.any_nan() && !self.skips_nan() {
                        return Err(ErrorKind::UndefinedOrder {}.at(None));
                    }
                }
            }
            for part in lanes {
                let (_, lanes) = part.into_inner().unwrap_or_else(PoisonError::into_inner);
                found.extend(lanes.values().map(|values| match values {
                    Some((count, [lower, higher])) => A::interpolate(
                        lower,
                        higher,
                        QuantilePosition::new(q, count, interpolation).fraction,
                    ),
                    None => A::EMPTY,
                }));
            }
        }
        Ok(found)
    }
}
