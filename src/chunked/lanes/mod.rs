//! Accumulators along an axis: one for each lane, the file read in its order.
//!
//! A lane is cut into stretches, the leaves of the tree of its merges. Lanes are taken in groups, as many as the ceiling has
//! room for the accumulators of; a thread takes a stretch of all lanes of a group, or several stretches where they are
//! small, and in split_at_multiples of it where they are large.
#![forbid(unsafe_code)]

mod accumulate;
mod read;
mod tiling;
mod view;

use std::ops::Range;

use ndarray::{Array, ArrayView, Axis, RemoveAxis};

pub(crate) use self::read::LaneReader;
use self::view::LaneView;
pub(super) use self::view::split_at_multiples;
use super::Chunked;
use super::accumulator::Accumulator;
use crate::error::Result;

impl<A: Copy + Sync, D: RemoveAxis> Chunked<'_, ArrayView<'_, A, D>> {
    /// As [`accumulate_axis`](Self::accumulate_axis), and finishes each at once. `new` is told where on the axis the
    /// elements begin that its accumulator takes.
    #[track_caller]
    pub(crate) fn accumulate_lanes<T, R>(
        self,
        axis: Axis,
        new: impl Fn(usize) -> T + Sync,
        finish: impl Fn(T) -> Result<R> + Sync,
    ) -> Result<Array<R, D::Smaller>>
    where
        T: Accumulator<A> + Send,
        R: Send,
    {
        let lanes = LaneView::of(self.source.view(), axis);
        let part = lanes.partition(self.config.partition);
        let results =
            lanes.slice_lanes(part.clone()).fold(&self, |index| new(part.start + index), finish);
        Ok(lanes.assemble(self.with_path(results)?))
    }

    /// Returns an error if there is no room for [`accumulate_lanes`](Self::accumulate_lanes) with accumulators of this type.
    #[track_caller]
    pub(crate) fn check_lanes_fit<T>(&self, axis: Axis) -> Result<()> {
        let lanes = LaneView::of(self.source.view(), axis);
        let part = lanes.partition(self.config.partition);
        self.with_path(lanes.slice_lanes(part).check_fits_in_memory(self, size_of::<T>()))
    }

    /// The range of an axis that is the walk's [part](Self::partition), as [`accumulate_lanes`](Self::accumulate_lanes) sees it.
    #[track_caller]
    pub(crate) fn lane_partition(&self, axis: Axis) -> Range<usize> {
        LaneView::of(self.source.view(), axis).partition(self.config.partition)
    }
}
