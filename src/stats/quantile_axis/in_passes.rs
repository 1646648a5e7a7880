//! Selection in many lanes at once, in passes over the file.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use ndarray::{ArrayView, RemoveAxis};

use super::super::element::Element;
use super::super::quantile::{Interpolation, Position, Positions};
use super::super::selection::lanes::Lanes;
use super::super::selection::tables::{self, Ranks};
use super::each_free;
use crate::chunked::{Chunked, LaneReader};
use crate::error::{ErrorKind, Result};
use crate::parallel::threads;

/// The elements of a lane that there should be room for: with fewer it takes more passes.
const GOOD_ROOM: usize = 256;

impl<A: Element, D: RemoveAxis> Chunked<'_, ArrayView<'_, A, D>> {
    /// Many lanes at a time, of elements of one or two bytes, in a pass for each byte.
    pub(super) fn select_by_tables(
        &self,
        walk: &LaneReader<'_, '_, A, D>,
        qs: &[f64],
        interpolation: Interpolation,
    ) -> Result<Vec<A>> {
        // A quarter for rows.
        let bytes = self.kept_bytes();
        let bytes_of_lane = tables::ByteCounts::<A>::BYTES_OF_LANE * (threads() + 1)
            + Ranks::<A>::bytes_of_lane(2 * qs.len());
        let groups = walk.batches((bytes / 4 * 3 / bytes_of_lane).max(1))?;
        let row_bytes = bytes / 4 / threads();
        let mut found = Vec::with_capacity(walk.count() * qs.len());
        // Lanes mostly have as many elements as the one before.
        let mut places = Positions::new(qs, walk.len() as u64, interpolation);
        for group in 0..groups.count() {
            let width = groups.lanes_in(group);
            let mut ranks = Ranks::new();
            loop {
                let parts = Mutex::new(Vec::new());
                let idle = || parts.lock().unwrap_or_else(PoisonError::into_inner);
                groups.for_each_tile(group, |rows| {
                    let part = idle().pop();
                    let mut part =
                        part.unwrap_or_else(|| tables::ByteCounts::new(width, row_bytes));
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

    /// Many lanes at a time, in passes over the rows.
    pub(super) fn select_by_brackets(
        &self,
        walk: &LaneReader<'_, '_, A, D>,
        q: f64,
        interpolation: Interpolation,
    ) -> Result<Vec<A>> {
        let bytes = self.kept_bytes();
        let good = Lanes::<A>::bytes_of_lane(GOOD_ROOM.min(walk.len()));
        let groups = walk.batches((bytes / good).max(1))?;
        let mut found = Vec::with_capacity(walk.count());
        for group in 0..groups.count() {
            let width = groups.lanes_in(group);
            let room =
                (bytes / width).saturating_sub(Lanes::<A>::bytes_of_lane(0)) / size_of::<A>();
            // A thread that finds some lanes in use goes on with others.
            let parts = (2 * threads()).min(width);
            let begins: Vec<_> = (0..=parts).map(|part| part * width / parts).collect();
            let lanes: Vec<_> = begins
                .windows(2)
                .map(|ends| {
                    Mutex::new((
                        ends[0],
                        Lanes::<A>::new(ends[1] - ends[0], walk.len(), room.min(walk.len())),
                    ))
                })
                .collect();
            let mut open = true;
            while open {
                groups.for_each_tile(group, |rows| {
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
