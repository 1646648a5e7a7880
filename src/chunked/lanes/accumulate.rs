//! An accumulator for each lane.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndarray::{ArrayView, ArrayView2, ArrayViewD, Axis, Dimension};

use super::super::Chunked;
use super::super::accumulator::Accumulator;
use super::super::builder::DEFAULT_CHUNK_BYTES;
use super::super::for_each::Progress;
use super::super::limit::three_quarters;
use super::super::pairwise::PairwiseReduction;
use super::tiling::{LaneTiling, STRIP};
use super::view::{LaneOrder, LaneView, each_plane, portions};
use crate::error::{Error, Result};
use crate::paging::MemoryLimit;
use crate::parallel;

/// The bytes of accumulators there is room for in the least memory that lanes of mapped arrays take.
const MIN_STATE_BYTES: usize = 1 << 20;

/// The bytes of rows that are gathered at a time.
const GATHER_BYTES: usize = 64 << 10;

/// The bytes of accumulators if nothing else is said.
const DEFAULT_STATE_BYTES: usize = 64 << 20;

impl<A: Copy + Sync> LaneView<'_, A> {
    /// Accumulates each lane, and finishes.
    pub(super) fn fold<T, R, D: Dimension>(
        &self,
        walk: &Chunked<'_, ArrayView<'_, A, D>>,
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
        let work = self.work(walk, size_of::<T>())?;
        let stretches = self.len().div_ceil(self.stretch);
        let progress = Progress::new(walk.config.progress.as_deref(), self.view.len());
        let merge = |mut first: Vec<T>, later: Vec<T>| {
            first.iter_mut().zip(later).for_each(|(first, later)| first.merge(later));
            first
        };
        let (trees, results) = (Trees::new(), Results::new());
        work.schedule.for_each(
            work.items(self.len(), self.stretch),
            usize::MAX,
            |(group, rows): (usize, Range<usize>)| {
                let tree = trees.of(group);
                let (mut tile, mut lanes) =
                    (Tile::new(self.kind, self.len().min(self.stretch)), Vec::new());
                for rows in portions(rows.clone(), work.portion) {
                    let bounds = work.bounds(group, rows.clone());
                    let _held = work.schedule.pin(std::slice::from_ref(&bounds))?;
                    for rows in portions(rows, self.stretch) {
                        let bounds = work.bounds(group, rows.clone());
                        let block = self.block(&bounds);
                        let number = rows.start / self.stretch;
                        lanes.resize_with(block.len() / rows.len(), || new(number * self.stretch));
                        let last =
                            rows.end == self.len() || rows.end == (number + 1) * self.stretch;
                        tile.push(block, &mut lanes, last);
                        if last {
                            tree.add(0, number, std::mem::take(&mut lanes), merge);
                        }
                    }
                    progress.advance(bounds.len());
                }
                drop(tree);
                if let Some(tree) = trees.done(group, rows.len().div_ceil(self.stretch), stretches)
                {
                    let lanes = tree.finish(merge).unwrap_or_default();
                    results.put(group, lanes.into_iter().map(&finish).collect::<Result<_>>()?);
                }
                Ok::<(), Error>(())
            },
        )?;
        Ok(results.finish())
    }

    /// Returns an error if there is no room for accumulators of a number of bytes.
    pub(super) fn room_for<D: Dimension>(
        &self,
        walk: &Chunked<'_, ArrayView<'_, A, D>>,
        bytes: usize,
    ) -> Result<()> {
        if self.view.is_empty() { Ok(()) } else { self.work(walk, bytes).map(drop) }
    }

    fn work<D: Dimension>(
        &self,
        walk: &Chunked<'_, ArrayView<'_, A, D>>,
        state_bytes: usize,
    ) -> Result<LaneTiling> {
        let (threads, item) = (parallel::threads(), size_of::<A>().max(1));
        let (len, count) = (self.len(), self.count());
        let stretches = len.div_ceil(self.stretch);
        // Of each lane there is an accumulator for each thread's stretch and result, and for each level of the tree.
        let alive = 2 * threads + 2 + stretches.ilog2() as usize;
        let (memory, all_state) = walk.limit_beside_state(DEFAULT_STATE_BYTES);
        let fitting = all_state / state_bytes.saturating_mul(alive).max(1);
        let wanted = match self.kind {
            // As many as keep all threads busy.
            LaneOrder::Interleaved => match (4 * threads).div_ceil(stretches) {
                1 => count,
                groups => count.div_ceil(groups).max(STRIP),
            },
            LaneOrder::Contiguous => DEFAULT_CHUNK_BYTES / (len.min(self.stretch) * item),
        };
        let short = DEFAULT_CHUNK_BYTES / len.saturating_mul(item);
        let limit = wanted.min(fitting).max(short.min(fitting)).clamp(1, count);
        let buffers = |lanes: usize, portion: usize| self.gathered_bytes(lanes, portion);
        let work =
            LaneTiling::new(self, memory, (self.stretch, 1), limit, buffers).or_else(|error| {
                // The memory that this needs has room for the accumulators of more lanes.
                let limit = wanted
                    .min(MIN_STATE_BYTES / state_bytes.saturating_mul(alive).max(1))
                    .clamp(limit, count);
                LaneTiling::new(self, MemoryLimit::Hard(0), (self.stretch, 1), limit, buffers)
                    .and(Err(error))
            });
        walk.rescale_limit_error(work, three_quarters)
    }

    /// Returns the bytes of elements that a thread gathers for some lanes and a portion.
    fn gathered_bytes(&self, lanes: usize, portion: usize) -> usize {
        let stretch = self.len().min(self.stretch).saturating_mul(size_of::<A>());
        match self.kind {
            LaneOrder::Interleaved if self.are_rows() => 0,
            LaneOrder::Interleaved => GATHER_BYTES,
            LaneOrder::Contiguous if portion < self.len().min(self.stretch) => {
                lanes.saturating_mul(stretch)
            }
            LaneOrder::Contiguous if self.are_slices() => 0,
            LaneOrder::Contiguous => stretch,
        }
    }
}

/// Pushes parts of a stretch into the accumulators of a group.
struct Tile<A> {
    kind: LaneOrder,
    /// Elements that had to be put side by side.
    gathered: Vec<A>,
    /// The same for each lane, where a stretch comes in portions.
    begun: Vec<Vec<A>>,
    /// The elements of a stretch.
    stretch: usize,
}

impl<A: Copy> Tile<A> {
    fn new(kind: LaneOrder, stretch: usize) -> Self {
        Self { kind, gathered: Vec::new(), begun: Vec::new(), stretch }
    }

    /// `last` tells that the stretch ends here.
    fn push<T: Accumulator<A>>(&mut self, block: ArrayViewD<'_, A>, lanes: &mut [T], last: bool) {
        let mut first = 0;
        each_plane(block, &mut |plane| {
            match self.kind {
                LaneOrder::Interleaved => {
                    self.push_rows(plane, &mut lanes[first..first + plane.ncols()])
                }
                LaneOrder::Contiguous => self.push_slices(plane, first, lanes, last),
            }
            first += plane.ncols();
        });
    }

    fn push_rows<T: Accumulator<A>>(&mut self, plane: ArrayView2<'_, A>, lanes: &mut [T]) {
        for (lanes, strip) in lanes.chunks_mut(STRIP).zip(plane.axis_chunks_iter(Axis(1), STRIP)) {
            let lanes = &mut lanes.iter_mut().collect::<Vec<_>>();
            let rows: Option<Vec<_>> = strip.outer_iter().map(|row| row.to_slice()).collect();
            match rows {
                Some(rows) => T::push_rows(lanes, &rows),
                None => {
                    let rows = (GATHER_BYTES / (strip.ncols() * size_of::<A>()).max(1)).max(1);
                    for rows in strip.axis_chunks_iter(Axis(0), rows) {
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
        last: bool,
    ) {
        for (number, elements) in (first..).zip(plane.columns()) {
            let is_begun = self.begun.get(number).is_some_and(|begun| !begun.is_empty());
            match elements.to_slice() {
                Some(slice) if last && !is_begun => lanes[number].push_slice(slice),
                _ if last && !is_begun => {
                    self.gathered.clear();
                    self.gathered.reserve_exact(elements.len());
                    self.gathered.extend(elements);
                    lanes[number].push_slice(&self.gathered);
                }
                _ => {
                    self.begun.resize_with(lanes.len(), Vec::new);
                    let begun = &mut self.begun[number];
                    begun.reserve_exact(self.stretch - begun.len());
                    begun.extend(elements);
                    if last {
                        lanes[number].push_slice(begun);
                        begun.clear();
                    }
                }
            }
        }
    }
}

/// A group in progress: its index, its tree, and the number of stretches added to that.
type InProgress<T> = (usize, Arc<PairwiseReduction<Vec<T>>>, usize);

/// The trees of the groups in progress, which are few.
struct Trees<T>(Mutex<Vec<InProgress<T>>>);

impl<T> Trees<T> {
    fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn of(&self, group: usize) -> Arc<PairwiseReduction<Vec<T>>> {
        let mut trees = locked(&self.0);
        if let Some((_, tree, _)) = trees.iter().find(|(index, ..)| *index == group) {
            return Arc::clone(tree);
        }
        let tree = Arc::new(PairwiseReduction::new());
        trees.push((group, Arc::clone(&tree), 0));
        tree
    }

    /// So many stretches more have been added. The tree, if that is all of them.
    fn done(&self, group: usize, more: usize, all: usize) -> Option<PairwiseReduction<Vec<T>>> {
        let mut trees = locked(&self.0);
        let position = trees.iter().position(|(index, ..)| *index == group)?;
        trees[position].2 += more;
        if trees[position].2 < all {
            return None;
        }
        Arc::into_inner(trees.swap_remove(position).1)
    }
}

/// The results of the first groups, the index of the group that comes next, and results of later groups.
type InOrder<R> = (Vec<R>, usize, Vec<(usize, Vec<R>)>);

/// Results of groups, put together in order.
pub(super) struct Results<R>(Mutex<InOrder<R>>);

impl<R> Results<R> {
    pub(super) fn new() -> Self {
        Self(Mutex::new((Vec::new(), 0, Vec::new())))
    }

    pub(super) fn put(&self, group: usize, results: Vec<R>) {
        let (all, next, later) = &mut *locked(&self.0);
        later.push((group, results));
        while let Some(position) = later.iter().position(|(index, _)| index == next) {
            all.extend(later.swap_remove(position).1);
            *next += 1;
        }
    }

    pub(super) fn finish(self) -> Vec<R> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).0
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
