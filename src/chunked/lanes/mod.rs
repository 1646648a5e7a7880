//! Accumulation along an axis, with one accumulator per lane, in a single pass in file order.
//!
//! A lane is divided into segments, the leaves of a pairwise reduction. Lanes are processed in
//! batches, as large as the memory limit has room for their accumulators. A thread takes one
//! segment of all lanes of a batch, several segments if they are small, or a fraction of a segment
//! if it is large.
#![forbid(unsafe_code)]

mod accumulate;
mod across;
mod read;
mod tiling;
mod view;

use std::ops::Range;

use ndarray::{ArrayD, Axis};

pub(crate) use self::read::LaneReader;
use self::view::LaneView;
pub(super) use self::view::split_at_multiples;
use super::Chunked;
use super::accumulator::Accumulator;
use super::any_array::AnyArray;
use crate::error::Result;

impl<A: Copy + Send + Sync> Chunked<'_, AnyArray<'_, A>> {
    /// Accumulates along an axis as [`accumulate_axis`](Self::accumulate_axis) does, and maps each
    /// accumulator with `finish`. `new` receives the index along the axis at which the elements of
    /// its accumulator start.
    #[track_caller]
    pub(crate) fn accumulate_lanes<T, R>(
        self,
        axis: Axis,
        new: impl Fn(usize) -> T + Sync,
        finish: impl Fn(T) -> Result<R> + Sync,
    ) -> Result<ArrayD<R>>
    where
        T: Accumulator<A> + Send,
        R: Send,
    {
        let lanes = LaneView::of(self.source.clone(), axis);
        if let Some(ranks) = self.ranks() {
            let results = self.accumulate_lanes_across(ranks, lanes, axis, new, finish);
            return self.with_path(results);
        }
        let part = lanes.partition(self.config.partition);
        let results =
            lanes.slice_lanes(part.clone()).fold(&self, |index| new(part.start + index), finish);
        Ok(lanes.assemble(self.with_path(results)?))
    }

    /// Checks that [`accumulate_lanes`](Self::accumulate_lanes) fits the memory limit with
    /// accumulators of this type.
    #[track_caller]
    pub(crate) fn check_lanes_fit<T>(&self, axis: Axis) -> Result<()> {
        let lanes = LaneView::of(self.source.clone(), axis);
        let part = lanes.partition(self.config.partition);
        self.with_path(lanes.slice_lanes(part).check_fits_in_memory(self, size_of::<T>()))
    }

    /// Returns the range of an axis that is the configured [partition](Self::partition) for
    /// [`accumulate_lanes`](Self::accumulate_lanes), or that of all ranks together.
    #[track_caller]
    pub(crate) fn lane_partition(&self, axis: Axis) -> Range<usize> {
        if self.ranks().is_some() {
            return 0..self.whole_shape()[axis.index()];
        }
        LaneView::of(self.source.clone(), axis).partition(self.config.partition)
    }
}
