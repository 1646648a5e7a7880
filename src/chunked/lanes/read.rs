//! Lanes for those who need all of a lane: as slices, or as the columns of tiles, again and again.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{Array, ArrayView, ArrayView1, Axis, Dimension};

use super::super::Chunked;
use super::super::builder::DEFAULT_CHUNK_BYTES;
use super::super::for_each::Progress;
use super::super::limit::{half, three_quarters};
use super::accumulate::Results;
use super::tiling::LaneTiling;
use super::view::{LaneView, portions};
use crate::error::{Error, Result};

/// The lanes of a walk along an axis.
pub(crate) struct LaneReader<'w, 'v, A, D: Dimension> {
    walk: &'w Chunked<'w, ArrayView<'v, A, D>>,
    lanes: LaneView<'w, A>,
}

impl<'w, 'v, A: Copy + Sync, D: Dimension> LaneReader<'w, 'v, A, D> {
    #[track_caller]
    pub(crate) fn new(walk: &'w Chunked<'w, ArrayView<'v, A, D>>, axis: Axis) -> Self {
        let lanes = LaneView::of(walk.source.view(), axis);
        let part = lanes.partition(walk.config.part);
        Self { walk, lanes: lanes.narrowed(part) }
    }

    /// The elements of a lane.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// How many lanes there are.
    pub(crate) fn count(&self) -> usize {
        self.lanes.count()
    }

    /// Whether the elements of each lane are one slice.
    pub(crate) fn are_slices(&self) -> bool {
        self.lanes.are_slices()
    }

    /// Results of all lanes in order, in the shape that the array has without the axis.
    pub(crate) fn shaped<R, S: Dimension>(&self, results: Vec<R>) -> Array<R, S> {
        self.lanes.shaped(results)
    }

    /// Each lane in order.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = ArrayView1<'_, A>> {
        self.lanes.view.lanes(Axis(0)).into_iter()
    }

    /// Calls a closure with up to `together` lanes at a time, which must be [slices](Self::are_slices), on as many threads as
    /// there is room for the bytes that each keeps; what it appends is put together in the order of lanes.
    pub(crate) fn each_slice<S, R: Send>(
        &self,
        bytes: usize,
        together: usize,
        new: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, &[&[A]], &mut Vec<R>) -> Result<()> + Sync,
    ) -> Result<Vec<R>> {
        self.walk.room_for(bytes)?;
        let len = self.len();
        let (memory, state) = self.walk.limit_beside_state(usize::MAX);
        let limit = (DEFAULT_CHUNK_BYTES / (len * size_of::<A>().max(1))).clamp(1, self.count());
        let groups = self.walk.rescale_limit_error(
            LaneTiling::new(&self.lanes, memory, (len, len), limit, |_, _| 0),
            three_quarters,
        )?;
        let progress = Progress::new(self.walk.config.progress.as_deref(), self.lanes.view.len());
        let results = Results::new();
        let limit = (state / bytes.max(1)).max(1);
        groups.schedule.for_each(groups.items(len, len), limit, |(group, rows): (usize, _)| {
            let bounds = groups.bounds(group, rows);
            let _held = groups.schedule.pin(std::slice::from_ref(&bounds))?;
            let (mut state, mut found) = (new(), Vec::new());
            let block = self.lanes.block(&bounds);
            let mut lanes = block.lanes(Axis(0)).into_iter();
            loop {
                let some = lanes
                    .by_ref()
                    .take(together)
                    .map(|lane| lane.to_slice().expect("lanes are slices"));
                let some: Vec<_> = some.collect();
                if some.is_empty() {
                    break;
                }
                work(&mut state, &some, &mut found)?;
            }
            results.put(group, found);
            progress.advance(bounds.len());
            Ok::<(), Error>(())
        })?;
        Ok(results.finish())
    }

    /// Groups of up to `limit` lanes, for walks over tiles.
    pub(crate) fn groups(&self, limit: usize) -> Result<LaneBatches<'_, 'w, A>> {
        let memory = self.walk.limit_beside_tables();
        // Tiles whose rows are no slices are copied.
        let is_copied = self.lanes.view.ndim() > 2 || !self.lanes.are_rows();
        let item = if is_copied { size_of::<A>() } else { 0 };
        let buffers =
            |lanes: usize, portion: usize| lanes.saturating_mul(portion).saturating_mul(item);
        let work =
            LaneTiling::new(&self.lanes, memory, (1, 1), limit.clamp(1, self.count()), buffers);
        let work = self.walk.rescale_limit_error(work, half)?;
        Ok(LaneBatches { lanes: &self.lanes, work, progress: self.walk.config.progress.as_deref() })
    }
}

/// Lanes in groups that are gone through again and again.
pub(crate) struct LaneBatches<'w, 'l, A> {
    lanes: &'w LaneView<'l, A>,
    work: LaneTiling,
    progress: Option<&'w (dyn Fn(usize, usize) + Send + Sync + 'w)>,
}

impl<A: Copy + Sync> LaneBatches<'_, '_, A> {
    /// How many groups there are.
    pub(crate) fn count(&self) -> usize {
        self.work.groups.chunks().len()
    }

    /// How many lanes a group has.
    pub(crate) fn lanes_of(&self, group: usize) -> usize {
        self.work.bounds(group, 0..1).len()
    }

    /// Calls a closure with all rows of a group, some at a time, on all threads: each row has an element of each lane.
    pub(crate) fn each_tile(&self, group: usize, work: impl Fn(&[A]) + Sync) -> Result<()> {
        let schedule = &self.work.schedule;
        let progress = Progress::new(self.progress, self.lanes_of(group) * self.lanes.len());
        let rows = portions(0..self.lanes.len(), self.work.portion);
        schedule.for_each(rows, usize::MAX, |rows: Range<usize>| {
            let bounds = self.work.bounds(group, rows);
            let _held = schedule.pin(std::slice::from_ref(&bounds))?;
            let block = self.lanes.block(&bounds);
            match block.to_slice() {
                Some(rows) => work(rows),
                // Row by row where those are slices, which takes no list of them, else all in a copy.
                None if block.outer_iter().all(|row| row.to_slice().is_some()) => {
                    block.outer_iter().filter_map(|row| row.to_slice()).for_each(&work);
                }
                None => work(&block.iter().copied().collect::<Vec<_>>()),
            }
            progress.advance(bounds.len());
            Ok::<(), Error>(())
        })
    }
}
