//! Division of arrays into blocks of fixed size, independent of threads, chunks and memory limit.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::slice;

use ndarray::{Dimension, IxDyn};

use super::Chunked;
use super::elements::ElementSource;
use super::pass::{Pass, ProgressCallback};
use crate::error::Result;
use crate::geometry::{ChunkGrid, Region};
use crate::paging::{Choice, ResidencyPlan, halved_lengths};
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
    fn inverted_axes(&self) -> Vec<usize> {
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
        let memory = self.split_memory_limit(0).0;
        let mut choice =
            Choice::new(&layouts, self.dyn_shape().slice(), memory, parallel::threads());
        for bytes in halved_lengths(bytes, 1, layouts[0].item.max(1)) {
            let grid = self.block_grid(bytes);
            let buffers = self.buffers(&grid);
            if choice.offer(bytes, grid, (buffers, 0.0)) {
                break;
            }
        }
        self.blocks_of(choice.best_len()?, max_batch)
    }

    /// Returns the number of bytes that a thread needs for copies of a block.
    fn buffers(&self, grid: &ChunkGrid) -> usize {
        grid.chunk_shape().size().saturating_mul(self.source.copied_bytes())
    }

    pub(super) fn block_grid(&self, bytes: usize) -> ChunkGrid {
        let limit = (bytes / self.layouts()[0].item.max(1)).max(1);
        let (index, count) = self.config.partition;
        ChunkGrid::contiguous(self.dyn_shape(), self.order(), limit).partition(index, count)
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
        grid: ChunkGrid,
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
        }
    }
}

/// An array divided into blocks of 64 KiB (of the first array, if there are several), with indices
/// from 0.
pub(crate) struct Blocks<'w, P: ElementSource> {
    pub(super) source: &'w P,
    grid: ChunkGrid,
    pub(super) plan: ResidencyPlan,
    batch_len: usize,
    max_threads: usize,
    /// The axes along which blocks are counted from the last index.
    inverted: Vec<usize>,
    /// The shape of tiles in which the elements of blocks are gathered. If set, blocks are not
    /// pinned as a whole.
    pub(super) gather_tile: Option<IxDyn>,
    /// The shape of tiles in which pinned elements are copied, to fit the caches.
    pub(super) cache_tile: Option<IxDyn>,
    progress: Option<&'w ProgressCallback<'w>>,
}

impl<P: ElementSource + Sync> Blocks<'_, P> {
    /// Limits the number of threads.
    pub(crate) fn with_max_threads(self, max_threads: usize) -> Self {
        Self { max_threads, ..self }
    }

    pub(crate) fn count(&self) -> usize {
        self.grid.chunks().len()
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
    pub(crate) fn block_origin(&self, index: usize) -> IxDyn {
        self.region_of(index).start
    }

    /// Returns the view of a block.
    pub(super) fn block(&self, index: usize) -> P {
        self.source.slice_region(&self.region_of(index))
    }

    pub(super) fn region_of(&self, index: usize) -> Region {
        self.mirrored(self.grid.region(self.grid.chunks().start + index))
    }

    /// Counts the indices of a region from the other end of inverted axes.
    fn mirrored(&self, mut region: Region) -> Region {
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
    pub(super) fn regions(&self, indices: Range<usize>) -> Vec<Region> {
        let first = self.grid.chunks().start;
        let regions = self.grid.bounding_regions(first + indices.start..first + indices.end);
        regions.into_iter().map(|region| self.mirrored(region)).collect()
    }

    /// Calls a closure with the elements of a block of the current batch, in memory order, or if
    /// they must be gathered, in the order of the blocks.
    pub(crate) fn with_elements(
        &self,
        index: usize,
        work: &mut dyn FnMut(&[P::Element]),
    ) -> Result<()> {
        let gathered = self.gather(index..index + 1)?;
        self.with_contiguous(&gathered, index, work);
        Ok(())
    }

    /// Calls a closure with consecutive batches of block indices, on all threads.
    pub(crate) fn for_each_batch(
        &self,
        work: &(dyn Fn(Range<usize>) -> Result<()> + Sync),
    ) -> Result<()> {
        let pass = Pass::new(&self.plan, self.progress, self.grid.visited_elements());
        let count = self.count();
        let step = self.batch_len;
        pass.for_each_index(count.div_ceil(step), self.max_threads, &|index| {
            let batch = index * step..count.min((index + 1) * step);
            let regions = self.regions(batch.clone());
            // Blocks that are gathered are pinned tile by tile.
            let pinned = if self.gather_tile.is_none() { &regions[..] } else { &[] };
            let _guard = pass.pin(pinned)?;
            work(batch)?;
            pass.advance(regions.iter().map(Region::len).sum());
            Ok(())
        })
    }

    /// Calls a closure with the elements of each of the given blocks, on all threads.
    pub(crate) fn for_each_block(
        &self,
        indices: &[usize],
        work: &(dyn Fn(&[P::Element]) + Sync),
    ) -> Result<()> {
        let pass = Pass::new(&self.plan, None, 0);
        pass.for_each_index(indices.len(), self.max_threads, &|position| {
            let index = indices[position];
            let region = self.region_of(index);
            let _pinned = pass.pin(slice::from_ref(&region))?;
            self.with_elements(index, &mut |elements| work(elements))
        })
    }
}
