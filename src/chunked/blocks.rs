//! Division of arrays into blocks of fixed size, independent of threads, chunks and memory limit.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::Dimension;

use super::Chunked;
use super::across::merge_across;
use super::elements::ElementSource;
use super::for_each::Progress;
use crate::distributed::Ranks;
use crate::error::Result;
use crate::geometry::{ChunkGrid, Region};
use crate::paging::{Choice, ResidencyPlan, halved_lengths, operands_of};
use crate::parallel;

/// The size in bytes of a block, whose elements one accumulator receives before it is merged with
/// others. Changing it changes the bits of results.
pub(super) const BLOCK_BYTES: usize = 64 << 10;

/// The maximum number of blocks that a thread takes at once.
const BLOCKS_PER_BATCH: usize = 32;

impl<P: ElementSource + Sync> Chunked<'_, P> {
    /// Inverts all axes along which the first array has a negative stride, so that blocks and the
    /// elements inside them are in memory order.
    pub(super) fn with_ascending_addresses(mut self) -> Self {
        for axis in self.inverted_axes() {
            self.source.invert(axis);
        }
        self
    }

    /// Returns the axes along which the first array has a negative stride.
    pub(super) fn inverted_axes(&self) -> Vec<usize> {
        let layouts = self.layouts();
        let strides = layouts[0].byte_strides.iter().enumerate();
        strides.filter(|&(_, &stride)| stride < 0).map(|(axis, _)| axis).collect()
    }

    /// Returns the blocks for accumulators, for an operation with [ascending
    /// addresses](Self::with_ascending_addresses). Elements are gathered if the pages of a block do
    /// not fit, as for a column, or if blocks would touch pages of an array repeatedly.
    pub(crate) fn deterministic_blocks(&self) -> Result<Blocks<'_, P>> {
        if self.is_transposed(&self.block_grid(BLOCK_BYTES)) {
            self.gathered_blocks(usize::MAX)
        } else {
            self.blocks_of(BLOCK_BYTES, BLOCKS_PER_BATCH).or_else(|_| self.gathered_blocks(1))
        }
    }

    /// Returns blocks for results that do not depend on block boundaries, such as counts. Blocks
    /// are smaller if the pages of one do not fit, and tiles are used if blocks would touch pages
    /// of an array repeatedly.
    pub(crate) fn flexible_blocks(&self) -> Result<Blocks<'_, P>> {
        if self.config.partition != (0, 1) {
            // Partitions are ranges of deterministic blocks, counted by ascending addresses.
            let mut blocks = self.deterministic_blocks()?;
            blocks.inverted = self.inverted_axes();
            Ok(blocks)
        } else if self.is_transposed(&self.block_grid(BLOCK_BYTES)) {
            self.tiled_blocks()
        } else {
            self.blocks_of(BLOCK_BYTES, BLOCKS_PER_BATCH)
                .or_else(|_| self.shrink_blocks(BLOCK_BYTES / 2, BLOCKS_PER_BATCH))
        }
    }

    /// Returns blocks for order-independent accumulators. They are deterministic if arrays have the
    /// same memory order, so that a partition contains the same elements for any memory limit.
    pub(super) fn unordered_blocks(&self) -> Result<Blocks<'_, P>> {
        if self.is_transposed(&self.block_grid(BLOCK_BYTES)) {
            self.flexible_blocks()
        } else {
            self.deterministic_blocks()
        }
    }

    fn tiled_blocks(&self) -> Result<Blocks<'_, P>> {
        let cached = self.cached_tile();
        let (grid, plan) = self.tile_grid(cached.size().saturating_mul(size_of::<P::Element>()))?;
        let mut blocks = self.blocks_with(grid, plan, 1);
        blocks.cache_tile = Some(cached);
        Ok(blocks)
    }

    /// Returns blocks of which only a few are visited.
    pub(crate) fn sampled_blocks(&self) -> Result<Blocks<'_, P>> {
        let mut blocks =
            self.blocks_of(BLOCK_BYTES, 1).or_else(|_| self.shrink_blocks(BLOCK_BYTES / 2, 1))?;
        blocks.plan = blocks.plan.with_random_access();
        Ok(blocks)
    }

    /// Returns the cheapest blocks that fit, of at most `bytes` bytes each.
    fn shrink_blocks(&self, bytes: usize, max_batch: usize) -> Result<Blocks<'_, P>> {
        let layouts = self.layouts();
        let operands: Vec<_> = operands_of(&layouts, &self.source.source_shape())
            .filter(|operand| operand.pager.can_evict())
            .collect();
        let mut choice = Choice::new(self.split_memory_limit(0).0, parallel::threads());
        for bytes in halved_lengths(bytes, 1, layouts[0].item.max(1)) {
            let grid = self.block_grid(bytes);
            if choice.offer(operands.iter(), &grid, (self.buffers(&grid), 0.0), bytes) {
                break;
            }
        }
        self.blocks_of(choice.finish(operands.iter())?, max_batch)
    }

    /// Returns the number of bytes that a thread needs for copies of a block.
    fn buffers(&self, grid: &ChunkGrid<P::Dim>) -> usize {
        grid.chunk_shape().size().saturating_mul(self.source.copied_bytes())
    }

    pub(super) fn block_grid(&self, bytes: usize) -> ChunkGrid<P::Dim> {
        let limit = (bytes / self.layouts()[0].item.max(1)).max(1);
        let (index, count) = self.config.partition;
        ChunkGrid::contiguous(self.source.source_shape(), self.order(), limit)
            .partition(index, count)
    }

    /// Returns blocks of `bytes` bytes, in batches of up to `max_batch`.
    fn blocks_of(&self, bytes: usize, max_batch: usize) -> Result<Blocks<'_, P>> {
        let grid = self.block_grid(bytes);
        let buffers = self.buffers(&grid);
        let mut batch_len = max_batch;
        let plan = loop {
            match self.residency_plan(&grid, (batch_len, buffers), parallel::threads()) {
                Err(_) if batch_len > 1 => batch_len /= 2,
                result => break result?,
            }
        };
        Ok(self.blocks_with(grid, plan, batch_len))
    }

    pub(super) fn blocks_with(
        &self,
        grid: ChunkGrid<P::Dim>,
        plan: ResidencyPlan,
        batch_len: usize,
    ) -> Blocks<'_, P> {
        let progress = self.config.progress.as_deref();
        Blocks {
            source: &self.source,
            grid,
            plan,
            batch_len,
            max_threads: usize::MAX,
            inverted: Vec::new(),
            gather_tile: None,
            cache_tile: None,
            progress,
            ranks: self.ranks(),
        }
    }
}

/// An array divided into blocks of 64 KiB (of the first array, if there are several), with indices
/// from 0.
pub(crate) struct Blocks<'w, P: ElementSource> {
    pub(super) source: &'w P,
    grid: ChunkGrid<P::Dim>,
    pub(super) plan: ResidencyPlan,
    batch_len: usize,
    max_threads: usize,
    /// The axes along which blocks are counted from the last index.
    inverted: Vec<usize>,
    /// The shape of tiles in which the elements of blocks are gathered. If set, blocks are not
    /// pinned as a whole.
    pub(super) gather_tile: Option<P::Dim>,
    /// The shape of tiles in which pinned elements are copied, to fit the caches.
    pub(super) cache_tile: Option<P::Dim>,
    progress: Option<&'w (dyn Fn(usize, usize) + Send + Sync + 'w)>,
    pub(crate) ranks: Option<&'w Ranks<'w>>,
}

impl<P: ElementSource + Sync> Blocks<'_, P> {
    /// Limits the number of threads.
    pub(crate) fn with_max_threads(self, max_threads: usize) -> Self {
        Self { max_threads, ..self }
    }

    pub(crate) fn count(&self) -> usize {
        self.grid.chunks().len()
    }

    /// Returns the number of elements of all ranks.
    pub(crate) fn len(&self) -> Result<u64> {
        let own = (0..self.count()).map(|index| self.len_of(index) as u64).sum();
        merge_across(self.ranks, own, |all, more| all + more)
    }

    /// Returns the index of the first block among the leaves of the tree of all ranks.
    pub(super) fn first_node(&self) -> Result<usize> {
        match self.ranks {
            Some(ranks) => ranks.first_item(self.count(), self.grid.chunks().start),
            None => Ok(0),
        }
    }

    /// Returns the number of elements of a block.
    pub(crate) fn len_of(&self, index: usize) -> usize {
        self.region_of(index).len()
    }

    /// Returns the axes from the slowest to the fastest, which is the order of the blocks.
    pub(crate) fn order(&self) -> &[usize] {
        self.grid.order()
    }

    /// Returns the index of the first element of a block.
    pub(crate) fn block_origin(&self, index: usize) -> P::Dim {
        self.region_of(index).start
    }

    /// Returns the view of a block.
    pub(super) fn block(&self, index: usize) -> P {
        self.source.slice_region(&self.region_of(index))
    }

    pub(super) fn region_of(&self, index: usize) -> Region<P::Dim> {
        self.mirrored(self.grid.region(self.grid.chunks().start + index))
    }

    /// Counts the indices of a region from the other end of inverted axes.
    fn mirrored(&self, mut region: Region<P::Dim>) -> Region<P::Dim> {
        for &axis in &self.inverted {
            let len = self.grid.shape()[axis];
            (region.start[axis], region.end[axis]) =
                (len - region.end[axis], len - region.start[axis]);
        }
        region
    }

    /// Returns whether blocks are in the order of their indices.
    pub(crate) fn is_in_order(&self) -> bool {
        self.inverted.is_empty()
    }

    /// Returns the elements of consecutive blocks as a small number of regions.
    pub(super) fn regions(&self, indices: Range<usize>) -> Vec<Region<P::Dim>> {
        let first = self.grid.chunks().start;
        let regions = self.grid.bounding_regions(first + indices.start..first + indices.end);
        regions.into_iter().map(|region| self.mirrored(region)).collect()
    }

    /// Calls a closure with the elements of a block of the current batch, in memory order, or if
    /// they must be gathered, in the order of the blocks.
    pub(crate) fn with_elements<R>(
        &self,
        index: usize,
        work: impl FnOnce(&[P::Element]) -> R,
    ) -> Result<R> {
        let gathered = self.gather(index..index + 1)?;
        Ok(self.with_contiguous(&gathered, index, work))
    }

    /// Calls a closure with consecutive batches of block indices, on all threads.
    pub(crate) fn for_each_batch(
        &self,
        work: impl Fn(Range<usize>) -> Result<()> + Sync,
    ) -> Result<()> {
        let all =
            self.grid.bounding_regions(self.grid.chunks()).iter().map(|bounds| bounds.len()).sum();
        let progress = Progress::new(self.progress, all);
        let count = self.count();
        let step = self.batch_len;
        self.for_each_pinned(
            (0..count).step_by(step).map(|start| start..count.min(start + step)),
            |batch, elements| {
                work(batch)?;
                progress.advance(elements);
                Ok(())
            },
        )
    }

    /// Calls a closure with the elements of each of the given blocks, on all threads.
    pub(crate) fn for_each_block(
        &self,
        indices: impl Iterator<Item = usize> + Send,
        work: impl Fn(&[P::Element]) + Sync,
    ) -> Result<()> {
        self.for_each_pinned(indices.map(|index| index..index + 1), |block, _| {
            self.with_elements(block.start, &work)
        })
    }

    fn for_each_pinned(
        &self,
        batches: impl Iterator<Item = Range<usize>> + Send,
        work: impl Fn(Range<usize>, usize) -> Result<()> + Sync,
    ) -> Result<()> {
        self.plan.for_each(batches, self.max_threads, |batch: Range<usize>| {
            let touched = self.regions(batch.clone());
            let _pinned = match self.gather_tile {
                Some(_) => None,
                None => Some(self.plan.pin(&touched)?),
            };
            work(batch, touched.iter().map(|bounds| bounds.len()).sum())
        })
    }
}
