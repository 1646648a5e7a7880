//! Access to whole lanes, as slices or as the columns of tiles, in one or more passes.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{Array, ArrayView, ArrayView1, Axis, Dimension};

use super::accumulate::OrderedResults;
use super::tiling::LaneTiling;
use super::view::{LaneView, split_at_multiples};
use crate::chunked::Chunked;
use crate::chunked::division::DEFAULT_CHUNK_BYTES;
use crate::chunked::for_each::Progress;
use crate::chunked::limit::{half, three_quarters};
use crate::error::{Error, Result};

/// The lanes of a chunked view along an axis.
pub(crate) struct LaneReader<'w, 'v, A, D: Dimension> {
    chunked: &'w Chunked<'w, ArrayView<'v, A, D>>,
    lanes: LaneView<'w, A>,
}

impl<'w, 'v, A: Copy + Sync, D: Dimension> LaneReader<'w, 'v, A, D> {
    /// Reads the partition of the axis, or the lanes of this rank.
    #[track_caller]
    pub(crate) fn new(chunked: &'w Chunked<'w, ArrayView<'v, A, D>>, axis: Axis) -> Self {
        let lanes = LaneView::of(chunked.source.view(), axis);
        let lanes = match chunked.ranks() {
            Some(ranks) if ranks.concatenated().is_none() => lanes.lanes_of_rank(ranks),
            _ => lanes.slice_lanes(lanes.partition(chunked.config.partition)),
        };
        Self { chunked, lanes }
    }

    /// Returns the number of elements of a lane.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Returns the number of lanes.
    pub(crate) fn count(&self) -> usize {
        self.lanes.count()
    }

    /// Returns whether the elements of each lane are contiguous.
    pub(crate) fn are_contiguous(&self) -> bool {
        self.lanes.are_contiguous()
    }

    /// Assembles the results of all lanes, in order, into an array with the shape of the source
    /// without the axis.
    pub(crate) fn assemble<R, S: Dimension>(&self, results: Vec<R>) -> Array<R, S> {
        self.lanes.assemble(results)
    }

    /// Returns the lanes in order.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = ArrayView1<'_, A>> {
        self.lanes.view.lanes(Axis(0)).into_iter()
    }

    /// Calls a closure with up to `max_lanes` [contiguous](Self::are_contiguous) lanes at once. The
    /// number of threads is limited so that `bytes` bytes for each fit the memory limit. Elements
    /// that the closure appends are concatenated in the order of lanes.
    pub(crate) fn for_each_slice<S, R: Send>(
        &self,
        bytes: usize,
        max_lanes: usize,
        new: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, &[&[A]], &mut Vec<R>) -> Result<()> + Sync,
    ) -> Result<Vec<R>> {
        self.chunked.check_fits_in_memory(bytes)?;
        let len = self.len();
        let (memory, state) = self.chunked.split_memory_limit(usize::MAX);
        let limit = (DEFAULT_CHUNK_BYTES / (len * size_of::<A>().max(1))).clamp(1, self.count());
        let tiling = self.chunked.rescale_limit_error(
            LaneTiling::new(&self.lanes, memory, (len, len), limit, |_, _| 0),
            three_quarters,
        )?;
        let progress =
            Progress::new(self.chunked.config.progress.as_deref(), self.lanes.view.len());
        let results = OrderedResults::new();
        let limit = (state / bytes.max(1)).max(1);
        tiling.plan.for_each(tiling.items(len, len), limit, |(batch, rows): (usize, _)| {
            let bounds = tiling.bounds(batch, rows);
            let _pinned = tiling.plan.pin(std::slice::from_ref(&bounds))?;
            let mut state = new();
            let mut output = Vec::new();
            let block = self.lanes.block(&bounds);
            let mut lanes = block.lanes(Axis(0)).into_iter();
            loop {
                let slices = lanes
                    .by_ref()
                    .take(max_lanes)
                    .map(|lane| lane.to_slice().expect("lanes are slices"));
                let slices: Vec<_> = slices.collect();
                if slices.is_empty() {
                    break;
                }
                work(&mut state, &slices, &mut output)?;
            }
            results.put(batch, output);
            progress.advance(bounds.len());
            Ok::<(), Error>(())
        })?;
        Ok(results.finish())
    }

    /// Returns batches of up to `limit` lanes, for repeated passes over tiles.
    pub(crate) fn batches(&self, limit: usize) -> Result<LaneBatches<'_, 'w, A>> {
        let memory = self.chunked.half_memory_limit();
        // Tiles whose rows are not contiguous are copied.
        let is_copied = self.lanes.view.ndim() > 2 || !self.lanes.has_contiguous_rows();
        let item = if is_copied { size_of::<A>() } else { 0 };
        let buffers =
            |lanes: usize, slab_len: usize| lanes.saturating_mul(slab_len).saturating_mul(item);
        let tiling =
            LaneTiling::new(&self.lanes, memory, (1, 1), limit.clamp(1, self.count()), buffers);
        let tiling = self.chunked.rescale_limit_error(tiling, half)?;
        Ok(LaneBatches {
            lanes: &self.lanes,
            tiling,
            progress: self.chunked.config.progress.as_deref(),
        })
    }
}

/// Batches of lanes that are read in several passes.
pub(crate) struct LaneBatches<'w, 'l, A> {
    lanes: &'w LaneView<'l, A>,
    tiling: LaneTiling,
    progress: Option<&'w (dyn Fn(usize, usize) + Send + Sync + 'w)>,
}

impl<A: Copy + Sync> LaneBatches<'_, '_, A> {
    /// Returns the number of batches.
    pub(crate) fn count(&self) -> usize {
        self.tiling.batches.chunks().len()
    }

    /// Returns the number of lanes of a batch.
    pub(crate) fn lanes_in(&self, batch: usize) -> usize {
        self.tiling.bounds(batch, 0..1).len()
    }

    /// Calls a closure with all rows of a batch, in slices of one or more rows, on all threads.
    /// Each row has one element of each lane.
    pub(crate) fn for_each_tile(&self, batch: usize, work: impl Fn(&[A]) + Sync) -> Result<()> {
        let plan = &self.tiling.plan;
        let progress = Progress::new(self.progress, self.lanes_in(batch) * self.lanes.len());
        let rows = split_at_multiples(0..self.lanes.len(), self.tiling.slab_len);
        plan.for_each(rows, usize::MAX, |rows: Range<usize>| {
            let bounds = self.tiling.bounds(batch, rows);
            let _pinned = plan.pin(std::slice::from_ref(&bounds))?;
            let block = self.lanes.block(&bounds);
            match block.to_slice() {
                Some(rows) => work(rows),
                // Contiguous rows are passed one by one, which takes no list of them. Other blocks
                // are copied.
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
