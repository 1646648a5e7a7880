//! Division of arrays into blocks of fixed size, independent of threads, chunks and memory limit.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::slice;

use ndarray::{Dimension, IxDyn};

use super::Chunked;
use super::across::merge_across;
use super::division::Division;
use super::elements::ElementSource;
use super::pass::{Pass, ProgressCallback};
use crate::distributed::Ranks;
use crate::error::Result;
use crate::geometry::{ChunkGrid, Region};
use crate::paging::{Choice, ResidencyPlan, halved_lengths};
use crate::parallel;

/// The size in bytes of a block, whose elements one accumulator receives before it is merged with
/// others. Changing it changes the bits of results.
pub(super) const BLOCK_BYTES: usize = 64 << 10;

/// The maximum number of blocks that a thread takes at once.
const BLOCKS_PER_BATCH: usize = 32;

/// The maximum number of blocks that a thread reads into a buffer at once: few system calls, and a
/// buffer that fits a processor cache.
const BUFFERED_BLOCKS_PER_BATCH: usize = 4;

/// The copies of elements that are made before they are passed to accumulators.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copies {
    /// The number of bytes for each element if a block is passed as a slice.
    pub(super) sliced: usize,
    /// The number of bytes for each element if a block is gathered.
    pub(super) gathered: usize,
    /// True if all blocks of a batch are read at once.
    pub(super) are_batched: bool,
}

impl<P: ElementSource + Sync> Chunked<'_, P> {
    /// Inverts all axes along which the first array has a negative stride, so that blocks and the
    /// elements inside them are in memory order.
    pub(super) fn with_ascending_addresses(mut self) -> Self {
        for axis in self.division().inverted_axes() {
            self.source.invert(axis);
        }
        self
    }

    /// Returns the blocks for accumulators, for an operation with [ascending
    /// addresses](Self::with_ascending_addresses). Elements are gathered if the pages of a block do
    /// not fit, as for a column, or if blocks would touch pages of an array repeatedly.
    pub(crate) fn deterministic_blocks(&self) -> Result<Blocks<'_, P>> {
        self.blocks(Division::deterministic_blocks)
    }

    /// Returns blocks for results that do not depend on block boundaries, such as counts. Blocks
    /// are smaller if the pages of one do not fit, and tiles are used if blocks would touch pages
    /// of an array repeatedly.
    pub(crate) fn flexible_blocks(&self) -> Result<Blocks<'_, P>> {
        self.blocks(Division::flexible_blocks)
    }

    /// Returns blocks for order-independent accumulators. They are deterministic if arrays have the
    /// same memory order, so that a partition contains the same elements for any memory limit.
    pub(super) fn unordered_blocks(&self) -> Result<Blocks<'_, P>> {
        self.blocks(Division::unordered_blocks)
    }

    /// Returns blocks of which only a few are visited.
    pub(crate) fn sampled_blocks(&self) -> Result<Blocks<'_, P>> {
        self.blocks(Division::sampled_blocks)
    }

    fn blocks(&self, plan: fn(&Division, Copies) -> Result<BlockPlan>) -> Result<Blocks<'_, P>> {
        let copies = Copies {
            sliced: self.source.copied_bytes(),
            gathered: size_of::<P::Element>(),
            are_batched: self.source.are_batches_read(),
        };
        let plan = self.with_path(plan(&self.division(), copies))?;
        let progress = self.config.progress.as_deref();
        Ok(Blocks { source: &self.source, plan, progress, ranks: self.ranks() })
    }
}

impl Division {
    /// Returns the axes along which the first array has a negative stride.
    pub(super) fn inverted_axes(&self) -> Vec<usize> {
        let strides = self.layouts[0].byte_strides.iter().enumerate();
        strides.filter(|&(_, &stride)| stride < 0).map(|(axis, _)| axis).collect()
    }

    fn deterministic_blocks(&self, copies: Copies) -> Result<BlockPlan> {
        if self.is_transposed(&self.block_grid(BLOCK_BYTES)) {
            self.gathered_blocks(usize::MAX, copies)
        } else {
            self.blocks_of(BLOCK_BYTES, BLOCKS_PER_BATCH, copies)
                .or_else(|_| self.gathered_blocks(1, copies))
        }
    }

    fn flexible_blocks(&self, copies: Copies) -> Result<BlockPlan> {
        if self.has_fixed_blocks {
            // Blocks are counted by ascending addresses.
            let inverted = self.inverted_axes();
            Ok(BlockPlan { inverted, ..self.deterministic_blocks(copies)? })
        } else if self.is_transposed(&self.block_grid(BLOCK_BYTES)) {
            self.tiled_blocks(copies)
        } else {
            self.blocks_of(BLOCK_BYTES, BLOCKS_PER_BATCH, copies)
                .or_else(|_| self.shrink_blocks(BLOCK_BYTES / 2, BLOCKS_PER_BATCH, copies))
        }
    }

    fn unordered_blocks(&self, copies: Copies) -> Result<BlockPlan> {
        if self.is_transposed(&self.block_grid(BLOCK_BYTES)) {
            self.flexible_blocks(copies)
        } else {
            self.deterministic_blocks(copies)
        }
    }

    fn tiled_blocks(&self, copies: Copies) -> Result<BlockPlan> {
        let cached = self.cached_tile();
        let (grid, plan) = self.tile_grid(cached.size().saturating_mul(copies.gathered))?;
        Ok(BlockPlan { cache_tile: Some(cached), ..BlockPlan::new(grid, plan, 1) })
    }

    fn sampled_blocks(&self, copies: Copies) -> Result<BlockPlan> {
        let mut blocks = match self.blocks_of(BLOCK_BYTES, 1, copies) {
            Err(_) if self.has_fixed_blocks => self.gathered_blocks(1, copies)?,
            Err(_) => self.shrink_blocks(BLOCK_BYTES / 2, 1, copies)?,
            Ok(blocks) => blocks,
        };
        blocks.residency = blocks.residency.with_random_access();
        Ok(blocks)
    }

    /// Returns the cheapest blocks that fit, of at most `bytes` bytes each.
    fn shrink_blocks(&self, bytes: usize, max_batch: usize, copies: Copies) -> Result<BlockPlan> {
        let threads = parallel::threads();
        let mut choice = Choice::new(&self.layouts, self.shape.slice(), self.memory, threads);
        for bytes in halved_lengths(bytes, 1, self.layouts[0].item.max(1)) {
            let grid = self.block_grid(bytes);
            let buffers = buffers(&grid, copies);
            if choice.offer(bytes, grid, (buffers, 0.0)) {
                break;
            }
        }
        self.blocks_of(choice.best_len()?, max_batch, copies)
    }

    pub(super) fn block_grid(&self, bytes: usize) -> ChunkGrid {
        let limit = (bytes / self.layouts[0].item.max(1)).max(1);
        let (index, count) = self.partition;
        ChunkGrid::contiguous(self.shape.clone(), self.order.clone(), limit).partition(index, count)
    }

    /// Returns blocks of `bytes` bytes, in batches of up to `max_batch`.
    fn blocks_of(&self, bytes: usize, max_batch: usize, copies: Copies) -> Result<BlockPlan> {
        let grid = self.block_grid(bytes);
        let mut batch_len =
            if copies.are_batched { max_batch.min(BUFFERED_BLOCKS_PER_BATCH) } else { max_batch };
        let plan = loop {
            let buffered = if copies.are_batched { batch_len } else { 1 };
            let buffers = buffers(&grid, copies).saturating_mul(buffered);
            match self.residency_plan(&grid, batch_len, buffers) {
                Err(_) if batch_len > 1 => batch_len /= 2,
                result => break result?,
            }
        };
        Ok(BlockPlan::new(grid, plan, batch_len))
    }
}

/// Returns the number of bytes that a thread needs for copies of a block.
fn buffers(grid: &ChunkGrid, copies: Copies) -> usize {
    grid.chunk_shape().size().saturating_mul(copies.sliced)
}

/// A division of arrays into blocks, and the residency plan of a pass over them.
#[derive(Debug)]
pub(super) struct BlockPlan {
    grid: ChunkGrid,
    pub(super) residency: ResidencyPlan,
    batch_len: usize,
    max_threads: usize,
    /// The axes along which blocks are counted from the last index.
    inverted: Vec<usize>,
    /// The shape of tiles in which the elements of blocks are gathered. If set, blocks are not
    /// pinned as a whole.
    pub(super) gather_tile: Option<IxDyn>,
    /// The shape of tiles in which pinned elements are copied, to fit the caches.
    pub(super) cache_tile: Option<IxDyn>,
}

impl BlockPlan {
    pub(super) fn new(grid: ChunkGrid, residency: ResidencyPlan, batch_len: usize) -> Self {
        Self {
            grid,
            residency,
            batch_len,
            max_threads: usize::MAX,
            inverted: Vec::new(),
            gather_tile: None,
            cache_tile: None,
        }
    }

    /// Returns the regions to pin before a batch of blocks: all of them, unless their elements are
    /// gathered, for which tiles are pinned one by one.
    fn pinned_as_a_whole<'r>(&self, regions: &'r [Region]) -> &'r [Region] {
        if self.gather_tile.is_none() { regions } else { &[] }
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

    /// Returns the elements of consecutive blocks as a small number of regions.
    pub(super) fn regions(&self, indices: Range<usize>) -> Vec<Region> {
        let first = self.grid.chunks().start;
        let regions = self.grid.bounding_regions(first + indices.start..first + indices.end);
        regions.into_iter().map(|region| self.mirrored(region)).collect()
    }
}

/// An array divided into blocks of 64 KiB (of the first array, if there are several), with indices
/// from 0.
pub(crate) struct Blocks<'w, P: ElementSource> {
    pub(super) source: &'w P,
    pub(super) plan: BlockPlan,
    progress: Option<&'w ProgressCallback<'w>>,
    pub(crate) ranks: Option<&'w Ranks<'w>>,
}

impl<P: ElementSource + Sync> Blocks<'_, P> {
    /// Limits the number of threads.
    pub(crate) fn with_max_threads(mut self, max_threads: usize) -> Self {
        self.plan.max_threads = max_threads;
        self
    }

    pub(crate) fn count(&self) -> usize {
        self.plan.grid.chunks().len()
    }

    /// Returns the number of elements of all ranks.
    pub(crate) fn len_across(&self) -> Result<u64> {
        let own = (0..self.count()).map(|index| self.len_of(index) as u64).sum();
        merge_across(self.ranks, own, |all, more| all + more)
    }

    /// Returns the index of the first block among the leaves of the tree of all ranks.
    pub(super) fn first_node(&self) -> Result<usize> {
        match self.ranks {
            Some(ranks) => ranks.first_item(self.count(), self.plan.grid.chunks().start),
            None => Ok(0),
        }
    }

    /// Returns the number of elements of a block.
    pub(crate) fn len_of(&self, index: usize) -> usize {
        self.plan.region_of(index).len()
    }

    /// Returns the axes from the slowest to the fastest, which is the order of the blocks.
    pub(crate) fn order(&self) -> &[usize] {
        self.plan.grid.order()
    }

    /// Returns the index of the first element of a block.
    pub(crate) fn block_origin(&self, index: usize) -> IxDyn {
        IxDyn(&self.plan.region_of(index).start)
    }

    /// Returns whether blocks are in the order of their indices.
    pub(crate) fn is_in_order(&self) -> bool {
        self.plan.inverted.is_empty()
    }

    /// Calls a closure with the elements of a block of the current batch, in memory order, or if
    /// they must be gathered, in the order of the blocks.
    pub(crate) fn with_elements(
        &self,
        index: usize,
        work: &mut dyn FnMut(&[P::Element]),
    ) -> Result<()> {
        let gathered = self.gather(index..index + 1)?;
        self.with_contiguous(&gathered, index, work)
    }

    /// Calls a closure with the elements of a block of the current batch in several slices, in any
    /// order.
    pub(crate) fn for_each_piece_of(
        &self,
        index: usize,
        work: &mut dyn FnMut(&[P::Element]),
    ) -> Result<()> {
        let gathered = self.gather(index..index + 1)?;
        self.for_each_piece(&gathered, index, work)
    }

    /// Calls a closure with consecutive batches of some block indices, on all threads.
    pub(crate) fn for_each_batch(
        &self,
        blocks: Range<usize>,
        work: &(dyn Fn(Range<usize>) -> Result<()> + Sync),
    ) -> Result<()> {
        let plan = &self.plan;
        let before = plan.regions(0..blocks.start).iter().map(Region::len).sum();
        let all = plan.grid.visited_elements();
        let pass = Pass::new(&plan.residency, self.progress, all).starting_at(before);
        let step = plan.batch_len;
        pass.for_each_index(blocks.len().div_ceil(step), plan.max_threads, &|index| {
            let first = blocks.start + index * step;
            let batch = first..blocks.end.min(first + step);
            let regions = plan.regions(batch.clone());
            let _pinned = pass.pin(plan.pinned_as_a_whole(&regions))?;
            work(batch)?;
            pass.advance(regions.iter().map(Region::len).sum());
            Ok(())
        })
    }

    /// Calls a closure with each position in a list of blocks, and the elements of the block, on all
    /// threads.
    pub(crate) fn for_each_block(
        &self,
        indices: &[usize],
        work: &(dyn Fn(usize, &[P::Element]) + Sync),
    ) -> Result<()> {
        let pass = Pass::new(&self.plan.residency, None, 0);
        pass.for_each_index(indices.len(), self.plan.max_threads, &|position| {
            let index = indices[position];
            let region = self.plan.region_of(index);
            let _pinned = pass.pin(self.plan.pinned_as_a_whole(slice::from_ref(&region)))?;
            self.with_elements(index, &mut |elements| work(position, elements))
        })
    }
}
