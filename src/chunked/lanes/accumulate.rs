//! Accumulation of each lane.
#![forbid(unsafe_code)]

use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndarray::{ArrayView2, ArrayViewD, Axis};

use super::tiling::{LaneTiling, PANEL_WIDTH};
use super::view::{LaneOrder, LaneView, for_each_plane, loaded_lanes, split_at_multiples};
use crate::chunked::Chunked;
use crate::chunked::accumulator::Accumulator;
use crate::chunked::any_array::AnyArray;
use crate::chunked::division::DEFAULT_CHUNK_BYTES;
use crate::chunked::limit::three_quarters;
use crate::chunked::pairwise::PairwiseReduction;
use crate::chunked::pass::Pass;
use crate::error::Result;
use crate::paging::MemoryLimit;
use crate::parallel;

/// The bytes of accumulators that fit into the minimum memory limit for lanes of mapped arrays.
const MIN_STATE_BYTES: usize = 1 << 20;

/// The bytes of rows that are gathered at once.
const GATHER_BYTES: usize = 64 << 10;

/// The bytes of accumulators without a memory limit.
const DEFAULT_STATE_BYTES: usize = 64 << 20;

impl<A: Copy + Send + Sync> LaneView<'_, A> {
    /// Accumulates each lane, and maps each accumulator with `finish`.
    pub(super) fn fold<T, R>(
        &self,
        chunked: &Chunked<'_, AnyArray<'_, A>>,
        new: impl Fn(usize) -> T + Sync,
        finish: impl Fn(T) -> Result<R> + Sync,
    ) -> Result<Vec<R>>
    where
        T: Accumulator<A> + Send,
        R: Send,
    {
        let count = self.count();
        if count == 0 || self.len() == 0 {
            return (0..count).map(|_| finish(new(0))).collect();
        }
        let results = OrderedResults::new();
        self.reduce(chunked, 0, &new, &|batch, reduction| {
            let lanes = reduction.finish(&merge_lanes::<A, T>).unwrap_or_default();
            results.put(batch, lanes.into_iter().map(&finish).collect::<Result<_>>()?);
            Ok(())
        })?;
        Ok(results.finish())
    }

    /// Accumulates each lane of a view with elements, and passes the reduction of each batch of
    /// lanes to `finish`. The segments of a lane are numbered from `first`.
    ///
    /// The closures are not generic, so that the loops are compiled once for each accumulator.
    pub(super) fn reduce<T>(
        &self,
        chunked: &Chunked<'_, AnyArray<'_, A>>,
        first: usize,
        new: &(dyn Fn(usize) -> T + Sync),
        finish: &(dyn Fn(usize, PairwiseReduction<Vec<T>>) -> Result<()> + Sync),
    ) -> Result<()>
    where
        T: Accumulator<A> + Send,
    {
        let tiling = self.tiling(chunked, size_of::<T>())?;
        let segments = self.len().div_ceil(self.segment_len);
        let callback = chunked.config.progress.as_deref();
        let pass = Pass::new(&tiling.plan, callback, self.array.len());
        let reductions = PartialReductions::new();
        pass.for_each_index(tiling.num_items(), usize::MAX, &|item| {
            let (batch, rows) = tiling.item(item);
            let reduction = reductions.of(batch);
            let mut pusher = TilePusher::new(self.lane_order, self.len().min(self.segment_len));
            let mut lanes = Vec::new();
            for rows in split_at_multiples(rows.clone(), tiling.slab_len) {
                let bounds = tiling.bounds(batch, rows.clone());
                let _pinned = pass.pin(slice::from_ref(&bounds))?;
                for rows in split_at_multiples(rows, self.segment_len) {
                    let bounds = tiling.bounds(batch, rows.clone());
                    let loaded = self.load(&bounds)?;
                    let block = loaded_lanes(&loaded);
                    let index = rows.start / self.segment_len;
                    lanes.resize_with(block.len() / rows.len(), || new(index * self.segment_len));
                    let is_last =
                        rows.end == self.len() || rows.end == (index + 1) * self.segment_len;
                    pusher.push(block, &mut lanes, is_last);
                    if is_last {
                        let lanes = std::mem::take(&mut lanes);
                        reduction.add(0, first + index, lanes, &merge_lanes::<A, T>);
                    }
                }
                pass.advance(bounds.len());
            }
            drop(reduction);
            if let Some(reduction) =
                reductions.finish_segments(batch, rows.len().div_ceil(self.segment_len), segments)
            {
                finish(batch, reduction)?;
            }
            Ok(())
        })
    }

    /// Checks that accumulators of this size fit the memory limit.
    pub(super) fn check_fits_in_memory(
        &self,
        chunked: &Chunked<'_, AnyArray<'_, A>>,
        bytes: usize,
    ) -> Result<()> {
        if self.array.len() == 0 { Ok(()) } else { self.tiling(chunked, bytes).map(drop) }
    }

    fn tiling(
        &self,
        chunked: &Chunked<'_, AnyArray<'_, A>>,
        state_bytes: usize,
    ) -> Result<LaneTiling> {
        let threads = parallel::threads();
        let item = size_of::<A>().max(1);
        let len = self.len();
        let count = self.count();
        let segments = len.div_ceil(self.segment_len);
        // Each lane has one accumulator for the segment and the result of each thread, and one for
        // each level of the tree.
        let live_accumulators = 2 * threads + 2 + segments.ilog2() as usize;
        let (memory, all_state) = chunked.split_memory_limit(DEFAULT_STATE_BYTES);
        let max_lanes = all_state / state_bytes.saturating_mul(live_accumulators).max(1);
        let preferred = match self.lane_order {
            // Use enough batches to keep all threads busy.
            LaneOrder::Interleaved => match (4 * threads).div_ceil(segments) {
                1 => count,
                batches => count.div_ceil(batches).max(PANEL_WIDTH),
            },
            LaneOrder::Contiguous => DEFAULT_CHUNK_BYTES / (len.min(self.segment_len) * item),
        };
        let cache_lanes = DEFAULT_CHUNK_BYTES / len.saturating_mul(item);
        let limit = preferred.min(max_lanes).max(cache_lanes.min(max_lanes)).clamp(1, count);
        let buffers: &dyn Fn(usize, usize) -> usize =
            &|lanes, slab_len| self.gathered_bytes(lanes, slab_len);
        let tiling = LaneTiling::new(
            self.shape(),
            self.layouts(),
            memory,
            (self.segment_len, 1),
            limit,
            buffers,
        )
        .or_else(|error| {
            // The minimum memory limit has room for the accumulators of more lanes.
            let limit = preferred
                .min(MIN_STATE_BYTES / state_bytes.saturating_mul(live_accumulators).max(1))
                .clamp(limit, count);
            LaneTiling::new(
                self.shape(),
                self.layouts(),
                MemoryLimit::Hard(0),
                (self.segment_len, 1),
                limit,
                buffers,
            )
            .and(Err(error))
        });
        chunked.rescale_limit_error(tiling, three_quarters)
    }

    /// Returns the number of bytes that a thread gathers for a number of lanes and a slab length.
    fn gathered_bytes(&self, lanes: usize, slab_len: usize) -> usize {
        let segment_len = self.len().min(self.segment_len);
        let segment_bytes = segment_len.saturating_mul(size_of::<A>());
        // Whole segments are loaded, or slabs if they are shorter.
        let loaded = lanes
            .saturating_mul(segment_len.min(slab_len))
            .saturating_mul(self.array.buffered_bytes());
        let copied = match self.lane_order {
            LaneOrder::Interleaved if self.has_contiguous_rows() => 0,
            LaneOrder::Interleaved => GATHER_BYTES,
            LaneOrder::Contiguous if slab_len < self.len().min(self.segment_len) => {
                lanes.saturating_mul(segment_bytes)
            }
            LaneOrder::Contiguous if self.are_contiguous() => 0,
            LaneOrder::Contiguous => segment_bytes,
        };
        loaded.saturating_add(copied)
    }
}

/// Merges the accumulators of two parts of some lanes.
pub(super) fn merge_lanes<A, T: Accumulator<A>>(mut first: Vec<T>, later: Vec<T>) -> Vec<T> {
    first.iter_mut().zip(later).for_each(|(first, later)| first.merge(later));
    first
}

/// Pushes parts of a segment into the accumulators of a batch of lanes.
struct TilePusher<A> {
    lane_order: LaneOrder,
    /// Elements that are copied to be contiguous.
    gathered: Vec<A>,
    /// The elements of each lane so far, if a segment is pushed in several slabs.
    pending: Vec<Vec<A>>,
    /// The number of elements of a segment.
    segment_len: usize,
}

impl<A: Copy> TilePusher<A> {
    fn new(lane_order: LaneOrder, segment_len: usize) -> Self {
        Self { lane_order, gathered: Vec::new(), pending: Vec::new(), segment_len }
    }

    /// Pushes a block. `is_last` marks the end of the segment.
    fn push<T: Accumulator<A>>(
        &mut self,
        block: ArrayViewD<'_, A>,
        lanes: &mut [T],
        is_last: bool,
    ) {
        let mut first = 0;
        for_each_plane(block, &mut |plane| {
            match self.lane_order {
                LaneOrder::Interleaved => {
                    self.push_rows(plane, &mut lanes[first..first + plane.ncols()])
                }
                LaneOrder::Contiguous => self.push_slices(plane, first, lanes, is_last),
            }
            first += plane.ncols();
        });
    }

    fn push_rows<T: Accumulator<A>>(&mut self, plane: ArrayView2<'_, A>, lanes: &mut [T]) {
        for (lanes, panel) in
            lanes.chunks_mut(PANEL_WIDTH).zip(plane.axis_chunks_iter(Axis(1), PANEL_WIDTH))
        {
            let lanes = &mut lanes.iter_mut().collect::<Vec<_>>();
            let rows: Option<Vec<_>> = panel.outer_iter().map(|row| row.to_slice()).collect();
            match rows {
                Some(rows) => T::push_rows(lanes, &rows),
                None => {
                    let rows = (GATHER_BYTES / (panel.ncols() * size_of::<A>()).max(1)).max(1);
                    for rows in panel.axis_chunks_iter(Axis(0), rows) {
                        self.gathered.clear();
                        self.gathered.reserve_exact(rows.len());
                        rows.outer_iter().for_each(|row| self.gathered.extend(row));
                        T::push_rows(
                            lanes,
                            &self.gathered.chunks(rows.ncols()).collect::<Vec<_>>(),
                        );
                    }
                }
            }
        }
    }

    fn push_slices<T: Accumulator<A>>(
        &mut self,
        plane: ArrayView2<'_, A>,
        first: usize,
        lanes: &mut [T],
        is_last: bool,
    ) {
        for (index, elements) in (first..).zip(plane.columns()) {
            let is_pending = self.pending.get(index).is_some_and(|pending| !pending.is_empty());
            match elements.to_slice() {
                Some(slice) if is_last && !is_pending => lanes[index].push_slice(slice),
                _ if is_last && !is_pending => {
                    self.gathered.clear();
                    self.gathered.reserve_exact(elements.len());
                    self.gathered.extend(elements);
                    lanes[index].push_slice(&self.gathered);
                }
                _ => {
                    self.pending.resize_with(lanes.len(), Vec::new);
                    let pending = &mut self.pending[index];
                    pending.reserve_exact(self.segment_len - pending.len());
                    pending.extend(elements);
                    if is_last {
                        lanes[index].push_slice(pending);
                        pending.clear();
                    }
                }
            }
        }
    }
}

/// A batch in progress: its index, its reduction, and the number of segments added to it.
type InProgress<T> = (usize, Arc<PairwiseReduction<Vec<T>>>, usize);

/// The reductions of the batches in progress, which are few.
struct PartialReductions<T>(Mutex<Vec<InProgress<T>>>);

impl<T> PartialReductions<T> {
    fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn of(&self, batch: usize) -> Arc<PairwiseReduction<Vec<T>>> {
        let mut entries = lock(&self.0);
        if let Some((_, reduction, _)) = entries.iter().find(|(index, ..)| *index == batch) {
            return Arc::clone(reduction);
        }
        let reduction = Arc::new(PairwiseReduction::new());
        entries.push((batch, Arc::clone(&reduction), 0));
        reduction
    }

    /// Adds to the number of finished segments. Returns the reduction when all segments are
    /// finished.
    fn finish_segments(
        &self,
        batch: usize,
        count: usize,
        all: usize,
    ) -> Option<PairwiseReduction<Vec<T>>> {
        let mut entries = lock(&self.0);
        let position = entries.iter().position(|(index, ..)| *index == batch)?;
        entries[position].2 += count;
        if entries[position].2 < all {
            return None;
        }
        Arc::into_inner(entries.swap_remove(position).1)
    }
}

/// The results of the first batches, the index of the next batch, and results of later batches.
type ResultsInOrder<R> = (Vec<R>, usize, Vec<(usize, Vec<R>)>);

/// The results of batches, concatenated in order.
pub(super) struct OrderedResults<R>(Mutex<ResultsInOrder<R>>);

impl<R> OrderedResults<R> {
    pub(super) fn new() -> Self {
        Self(Mutex::new((Vec::new(), 0, Vec::new())))
    }

    pub(super) fn put(&self, batch: usize, results: Vec<R>) {
        let (all, next, later) = &mut *lock(&self.0);
        later.push((batch, results));
        while let Some(position) = later.iter().position(|(index, _)| index == next) {
            all.extend(later.swap_remove(position).1);
            *next += 1;
        }
    }

    pub(super) fn finish(self) -> Vec<R> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
