//! The residency plan of a chunked operation: the number of concurrent chunks, and pinning,
//! prefaulting and eviction of each one.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use ndarray::Dimension;

use super::demand::{Demand, Eviction, usable_bytes};
use super::operand::MappedOperand;
use super::pager::{AccessPattern, Granularity, MAX_FOLIO_BYTES};
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::{ChunkGrid, Footprint, Region, StridedLayout};
use crate::parallel;

/// Chunks smaller than this are evicted in batches. Evicting a chunk takes about as long as reading
/// this many bytes.
const MIN_EVICTION_BATCH: usize = 256 << 10;

/// The maximum eviction batch, as a multiple of [`MIN_EVICTION_BATCH`]. Larger batches did not run
/// faster.
const MAX_BATCH_FACTOR: usize = 16;

/// The memory that a chunked operation may use for resident pages.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MemoryLimit {
    /// A memory limit in bytes, which is never exceeded.
    Hard(usize),
    /// The size of system memory in bytes. The operation aims at a quarter of it.
    Soft(usize),
}

/// Returns the arrays that are mapped.
pub(crate) fn operands_of(
    layouts: &[StridedLayout],
    shape: &[usize],
) -> impl Iterator<Item = MappedOperand> {
    layouts.iter().filter_map(|layout| MappedOperand::of(layout.clone(), shape))
}

/// Adds the buffers that a thread uses for any region, and returns whether elements of any array are
/// read into buffers.
pub(super) fn all_buffers(layouts: &[StridedLayout], buffers: usize) -> (usize, bool) {
    let scratch = layouts.iter().map(|layout| layout.scratch);
    let is_read = layouts.iter().any(|layout| layout.buffered > 0);
    (scratch.fold(buffers, usize::saturating_add), is_read)
}

/// Keeps the resident pages of a chunked operation below a memory limit.
#[derive(Debug)]
pub(crate) struct ResidencyPlan {
    /// The operands whose pages are evicted and counted.
    evictable: Vec<(MappedOperand, AccessPattern)>,
    /// The operands whose pages are never evicted.
    unevictable: Vec<MappedOperand>,
    mode: Eviction,
    /// The unit in which chunks are pinned, or `None` if nothing is evicted.
    granularity: Option<Granularity>,
    max_concurrency: usize,
    /// The ranges of each operand that are evicted later: the whole array, or the remains of small
    /// chunks.
    deferred: Mutex<Vec<Vec<Range<usize>>>>,
    /// Chunks that span fewer bytes than this are evicted in batches.
    eviction_batch: usize,
    /// Whether the limit has no room for deferred evictions.
    lacks_slack: bool,
}

impl ResidencyPlan {
    /// Creates a plan for up to `threads` threads, each of which processes `chunks` chunks at once
    /// and uses `buffers` bytes.
    pub(crate) fn new(
        layouts: &[StridedLayout],
        grid: &ChunkGrid,
        (chunks, buffers): (usize, usize),
        memory: MemoryLimit,
        threads: usize,
    ) -> Result<Self> {
        let (evictable, unevictable): (Vec<_>, Vec<_>) = operands_of(layouts, grid.shape().slice())
            .partition(|operand| operand.pager.can_evict());
        let demand = Demand::new(&evictable, grid, chunks, all_buffers(layouts, buffers));
        let Some((mode, max_concurrency)) = demand.fit(memory, threads) else {
            let (MemoryLimit::Hard(limit) | MemoryLimit::Soft(limit)) = memory;
            let path = evictable.iter().find_map(|operand| operand.pager.path());
            return Err(
                ErrorKind::MemoryLimitExceeded { needed: demand.min_limit(), limit }.at(path)
            );
        };
        let available = usable_bytes(memory);
        let batch = demand.batch;
        let hard = matches!(memory, MemoryLimit::Hard(_));
        let granularity = match mode {
            Eviction::Never if !hard => None,
            Eviction::Never | Eviction::AfterEachChunk => Some(Granularity::Folio),
            Eviction::PageByPage => Some(Granularity::Page),
        };
        let deferred = evictable.iter().map(|operand| match (mode, hard) {
            // Otherwise the resident sets of several operations, each of which fits, would add up.
            (Eviction::Never, true) => {
                let regions = grid.bounding_regions(grid.chunks());
                let footprints = regions.iter().map(|bounds| operand.layout.footprint(bounds));
                footprints
                    .flat_map(|footprint| {
                        footprint
                            .unit_ranges(MAX_FOLIO_BYTES, operand.pager.file_origin())
                            .collect::<Vec<_>>()
                    })
                    .collect()
            }
            _ => Vec::new(),
        });
        let deferred = Mutex::new(deferred.collect());
        let accesses = evictable.into_iter().map(|operand| {
            let access = if mode == Eviction::PageByPage {
                AccessPattern::PageByPage
            } else {
                operand.access(grid)
            };
            operand.pager.register_pass(access);
            (operand, access)
        });
        let evictable: Vec<_> = accesses.collect();
        unevictable.iter().for_each(|operand| operand.pager.register_pass(AccessPattern::Random));
        // Up to twice the batch may be deferred. In addition, each thread may be about to evict as
        // much, minus the room that its own chunk occupied.
        let needed = |eviction_batch: usize| {
            let each = evictable.iter().map(|(operand, _)| {
                let deferred = operand.max_folio_span(2 * eviction_batch);
                let excess =
                    deferred.saturating_sub(operand.max_bytes(grid, chunks, MAX_FOLIO_BYTES));
                deferred.saturating_add(max_concurrency.saturating_mul(excess))
            });
            each.fold(max_concurrency.saturating_mul(batch), usize::saturating_add)
        };
        let mut batch_sizes =
            (0..=MAX_BATCH_FACTOR.ilog2()).rev().map(|times| MIN_EVICTION_BATCH << times);
        let eviction_batch = batch_sizes.find(|&size| needed(size) <= available);
        let lacks_slack = eviction_batch.is_none();
        let eviction_batch = eviction_batch.unwrap_or(MIN_EVICTION_BATCH);
        Ok(Self {
            evictable,
            unevictable,
            mode,
            granularity,
            max_concurrency,
            deferred,
            eviction_batch,
            lacks_slack,
        })
    }

    /// Announces random access for operands with sequential access, if only few chunks are visited.
    pub(crate) fn with_random_access(mut self) -> Self {
        for (operand, access) in
            self.evictable.iter_mut().filter(|(_, access)| *access == AccessPattern::Sequential)
        {
            operand.pager.register_pass(AccessPattern::Random);
            operand.pager.unregister_pass(*access);
            *access = AccessPattern::Random;
        }
        self
    }

    /// Calls a closure for every item, on as many threads as the memory and `limit` allow. Returns
    /// `Ok` only if the files were not truncated in the meantime.
    pub(crate) fn for_each<T: Send, E: From<Error> + Send>(
        &self,
        items: &mut (dyn Iterator<Item = T> + Send),
        limit: usize,
        work: &(dyn Fn(T) -> std::result::Result<(), E> + Sync),
    ) -> std::result::Result<(), E> {
        parallel::try_for_each(items, self.max_concurrency.min(limit), work)?;
        Ok(self.check()?)
    }

    /// Returns the number of threads that may work concurrently.
    #[cfg(test)]
    fn max_concurrency(&self) -> usize {
        self.max_concurrency
    }

    /// Pins and prefaults regions. The guard must be kept for as long as their elements are
    /// accessed.
    pub(crate) fn pin<'s>(&'s self, regions: &'s [Region]) -> Result<PinGuard<'s>> {
        // The guard is created first, so that partial pins are released if prefaulting fails.
        let guard = PinGuard { plan: self, regions };
        self.acquire(regions)?;
        Ok(guard)
    }

    /// Pins and prefaults regions without a guard. The caller must call [`release`](Self::release),
    /// also after an error.
    pub(crate) fn acquire(&self, regions: &[Region]) -> Result<()> {
        let mut result = Ok(());
        for (index, operand) in self.all_operands().enumerate() {
            let is_evictable = index < self.evictable.len();
            result = result.and_then(|()| operand.pager.check());
            for footprint in regions.iter().map(|bounds| operand.layout.footprint(bounds)) {
                // Every region is pinned even after an error, because all of them are unpinned.
                self.granularity
                    .filter(|_| is_evictable)
                    .into_iter()
                    .for_each(|granularity| operand.pin(&footprint, granularity));
                if is_evictable && self.mode == Eviction::AfterEachChunk && self.lacks_slack {
                    self.flush_deferred(index, &footprint);
                }
                result = result.and_then(|()| match self.mode {
                    Eviction::PageByPage if is_evictable => {
                        operand.prefault_page_by_page(&footprint)
                    }
                    _ => operand.prefault(&footprint),
                });
            }
        }
        result
    }

    /// Checks that the files still contain the whole arrays. This must be called before results are
    /// returned.
    pub(crate) fn check(&self) -> Result<()> {
        self.all_operands().try_for_each(|operand| operand.pager.check())
    }

    fn all_operands(&self) -> impl Iterator<Item = &MappedOperand> {
        self.evictable.iter().map(|(operand, _)| operand).chain(&self.unevictable)
    }

    /// Unpins regions and evicts their pages, at once or deferred.
    pub(crate) fn release(&self, regions: &[Region]) {
        let Some(granularity) = self.granularity else { return };
        for (index, (operand, _)) in self.evictable.iter().enumerate() {
            for bounds in regions {
                let footprint = operand.layout.footprint(bounds);
                operand.unpin(&footprint, granularity);
                match self.mode {
                    Eviction::Never => {}
                    Eviction::PageByPage => operand.evict_span(&footprint),
                    Eviction::AfterEachChunk
                        if footprint.byte_range().len() < self.eviction_batch =>
                    {
                        self.defer_eviction(index, footprint.byte_range())
                    }
                    Eviction::AfterEachChunk => operand.evict_span(&footprint),
                }
            }
        }
    }

    /// Evicts the deferred range of an operand, unless it is within the folios of this small chunk.
    fn flush_deferred(&self, index: usize, footprint: &Footprint) {
        let operand = &self.evictable[index].0;
        let bound = footprint.byte_range();
        let mut deferred = self.deferred.lock().unwrap_or_else(PoisonError::into_inner);
        let windows = operand.folio_span(&bound);
        let is_within = |old: &mut Range<usize>| {
            let old = operand.folio_span(old);
            bound.len() < MIN_EVICTION_BATCH && windows.start <= old.start && old.end <= windows.end
        };
        if let Some(old) = deferred[index].pop_if(|old| !is_within(old)) {
            operand.evict(operand.folio_span(&old));
        }
    }

    /// Adds a small chunk to the deferred range of an operand, and evicts the range if it is large
    /// enough.
    fn defer_eviction(&self, index: usize, bound: Range<usize>) {
        let mut deferred = self.deferred.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = deferred[index].pop();
        let joined = pending
            .as_ref()
            .map_or(bound.clone(), |old| old.start.min(bound.start)..old.end.max(bound.end));
        if joined.len() <= 2 * self.eviction_batch {
            deferred[index].push(joined);
            return;
        }
        deferred[index].push(bound);
        // Other threads continue during the eviction if there is slack.
        let _others_wait = self.lacks_slack.then_some(deferred);
        let operand = &self.evictable[index].0;
        pending.into_iter().for_each(|old| operand.evict(operand.folio_span(&old)));
    }
}

impl Drop for ResidencyPlan {
    fn drop(&mut self) {
        let deferred =
            std::mem::take(self.deferred.get_mut().unwrap_or_else(PoisonError::into_inner));
        for ((operand, access), ranges) in self.evictable.iter().zip(deferred) {
            ranges.into_iter().for_each(|range| operand.evict(operand.folio_span(&range)));
            operand.pager.unregister_pass(*access);
        }
        self.unevictable
            .iter()
            .for_each(|operand| operand.pager.unregister_pass(AccessPattern::Random));
    }
}

/// Pinned regions of a plan. Dropping the guard unpins and evicts their pages.
#[must_use]
pub(crate) struct PinGuard<'s> {
    plan: &'s ResidencyPlan,
    regions: &'s [Region],
}

impl Drop for PinGuard<'_> {
    fn drop(&mut self) {
        self.plan.release(self.regions);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayView, IxDyn, ShapeBuilder, Slice};
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::memory_order;
    use crate::paging::model::{Model, PAGE};

    const BYTES: usize = 24 << 20;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 96, ..Default::default() })]
        #[test]
        fn resident_pages_stay_within_the_memory_limit(
            lens in prop::collection::vec(1_usize..40, 1..4),
            chunk_shape in prop::collection::vec(1_usize..40, 4),
            strides in prop::collection::vec(prop_oneof![3 => Just(1_isize), 1 => Just(-1), 1 => Just(3)], 4),
            cut in 0_usize..3,
            fortran in any::<bool>(),
            offset in 0_usize..10_000,
            page_in_file in prop_oneof![Just(0_usize), 0_usize..1_000],
            mapped in prop_oneof![2 => Just(BYTES), 1 => PAGE..4 << 20],
            limit in prop_oneof![4 => (4_usize << 20)..(30 << 20), 1 => PAGE..6 << 20],
            threads in 1_usize..5,
            batch_len in prop_oneof![Just(1_usize), 2_usize..40],
        ) {
            // Never written or read: only its addresses matter.
            let mapped = mapped.next_multiple_of(PAGE).max(4 * PAGE);
            let memory = vec![0_u8; mapped + 2 * PAGE];
            let first = (memory.as_ptr() as usize).next_multiple_of(PAGE);
            let addresses = first..first + mapped;
            let origin = first.wrapping_sub(page_in_file * PAGE);
            let (model, _registration) = Model::registered(addresses, origin);

            let mut shape = lens;
            let factor = (mapped - offset) / shape.iter().product::<usize>();
            let widest = if fortran { 0 } else { shape.len() - 1 };
            shape[widest] *= factor.max(1);
            prop_assume!(shape.iter().product::<usize>() <= mapped - offset);
            let bytes = &memory[first - memory.as_ptr() as usize + offset..];
            let whole = ArrayView::from_shape(IxDyn(&shape).set_f(fortran), &bytes[..shape.iter().product()]).unwrap();
            let view = whole.slice_each_axis(|axis| {
                let shorter = if axis.axis.index() == widest { cut.min(axis.len - 1) } else { 0 };
                Slice::new(0, Some((axis.len - shorter) as isize), strides[axis.axis.index()])
            });
            let layout = StridedLayout::of(&view, false);
            let order = memory_order(view.shape().iter().copied().zip(layout.byte_strides.iter().copied()));
            let mut chunk_shape = chunk_shape[..shape.len()].to_vec();
            chunk_shape[widest] *= 10_000;
            let grid = ChunkGrid::new(view.raw_dim(), IxDyn(&chunk_shape), order);

            let layouts = [layout];
            let Ok(plan) = ResidencyPlan::new(&layouts, &grid, (batch_len, 0), MemoryLimit::Hard(limit), threads) else { return Ok(()) };
            let chunks = grid.chunks();
            let batches: Vec<_> = chunks
                .clone()
                .step_by(batch_len)
                .map(|start| grid.bounding_regions(start..chunks.end.min(start + batch_len)))
                .collect();
            for concurrent in batches.chunks(plan.max_concurrency()) {
                let guards: Vec<_> = concurrent.iter().map(|batch| plan.pin(batch).unwrap()).collect();
                for bounds in concurrent.iter().flatten() {
                    layouts[0].footprint(bounds).unit_ranges(PAGE, 0).for_each(|range| model.touch(range));
                }
                drop(guards);
            }
            drop(plan);
            let peak = model.peak() * PAGE;
            prop_assert!(peak <= limit, "{peak} bytes of {limit}");
            prop_assert!(model.is_idle());
        }
    }

    /// Eight elements of a file of 1 GiB, each in a different folio, page by page and without
    /// eviction.
    #[test]
    fn untouched_folios_are_not_evicted() {
        const LEN: usize = 1 << 27;
        // Never written or read.
        let memory = vec![0_u8; 8 * LEN];
        let first = memory.as_ptr() as usize;
        let pages = first / PAGE * PAGE..(first + memory.len()).next_multiple_of(PAGE);
        let (model, _registration) = Model::registered(pages.clone(), pages.start);
        let whole = ArrayView::from_shape((8, LEN), &memory).unwrap();
        let column =
            whole.slice_each_axis(|axis| Slice::from(..if axis.axis.index() == 0 { 8 } else { 1 }));
        let grid = ChunkGrid::new(IxDyn(column.shape()), IxDyn(column.shape()), vec![0, 1]);
        for (memory, mode) in [(3 << 20, Eviction::PageByPage), (64 << 20, Eviction::Never)] {
            let before = model.evicted();
            let layouts = [StridedLayout::of(&column, false)];
            let plan =
                ResidencyPlan::new(&layouts, &grid, (1, 0), MemoryLimit::Hard(memory), 1).unwrap();
            assert_eq!(plan.mode, mode);
            drop(plan.pin(&[grid.region(0)]).unwrap());
            drop(plan);
            assert!(model.evicted() - before <= 8 * 10, "{mode:?}: {}", model.evicted() - before);
            assert!(model.is_idle());
        }
    }
}
