//! The chunk grid and the residency plan of a `Chunked`, from its configuration.
#![forbid(unsafe_code)]

use ndarray::{Axis, Dimension, IxDyn};

use super::builder::Chunked;
use super::config::{ChunkConfig, ChunkSize};
use super::source::ChunkSource;
use crate::error::Result;
use crate::geometry::{ChunkGrid, StridedLayout, memory_order, slab_shape};
use crate::paging::{MIN_PAGE_BYTES, MemoryLimit, ResidencyPlan};
use crate::parallel;

/// The default size of a chunk in bytes. It is large enough that claiming a chunk costs nothing,
/// and small enough for a processor cache.
pub(super) const DEFAULT_CHUNK_BYTES: usize = 2 << 20;

/// The maximum default size of a chunk in bytes, if a smaller chunk would touch as many pages.
const MAX_DEFAULT_CHUNK_BYTES: usize = 64 << 20;

/// The arrays of a chunked operation, and what decides how they are divided. It has no type
/// parameters, so that the code that divides arrays is compiled once.
#[derive(Debug)]
pub(super) struct Division {
    /// The common shape of all arrays.
    pub(super) shape: IxDyn,
    pub(super) layouts: Vec<StridedLayout>,
    /// The axes of the first array from the slowest to the fastest.
    pub(super) order: Vec<usize>,
    /// The memory limit of an operation that has no partial results.
    pub(super) memory: MemoryLimit,
    pub(super) partition: (usize, usize),
    /// True if blocks must have the same elements for any memory limit, because a partition or a
    /// saved result consists of them.
    pub(super) has_fixed_blocks: bool,
}

/// Returns the memory layouts of all arrays of a source.
pub(super) fn layouts_of(source: &impl ChunkSource) -> Vec<StridedLayout> {
    let mut layouts = Vec::new();
    source.layouts(&mut layouts);
    layouts
}

impl<P: ChunkSource> Chunked<'_, P> {
    pub(super) fn division(&self) -> Division {
        let shape = IxDyn(self.source.source_shape().slice());
        let layouts = layouts_of(&self.source);
        let strides = layouts[0].byte_strides.iter().copied();
        Division {
            order: memory_order(shape.slice().iter().copied().zip(strides)),
            shape,
            layouts,
            memory: self.split_memory_limit(0).0,
            partition: self.config.partition,
            has_fixed_blocks: self.config.partition != (0, 1) || self.config.state.is_some(),
        }
    }

    /// Returns the configured chunks.
    pub(super) fn grid(&self) -> ChunkGrid {
        let ChunkConfig { axis, size, halo, .. } = self.config.clone().into_dyn();
        self.division().chunk_grid(axis, size, halo)
    }
}

impl Division {
    /// Returns the chunks of the given size along an axis.
    fn chunk_grid(self, axis: Option<Axis>, size: ChunkSize<IxDyn>, halo: IxDyn) -> ChunkGrid {
        let Self { shape, layouts, order, partition: (index, count), .. } = self;
        let axis = axis.or(order.first().map(|&axis| Axis(axis)));
        let len = |axis: Axis| {
            let others = shape.size().checked_div(shape[axis.index()]).unwrap_or(0);
            let len_within = |bytes: usize| bytes / others.saturating_mul(layouts[0].item).max(1);
            match size {
                ChunkSize::Default => {
                    // Every array counts, because the chunks may be non-contiguous in any of them.
                    let byte_strides = layouts
                        .iter()
                        .map(|layout| layout.byte_strides[axis.index()].unsigned_abs().max(1));
                    let whole_pages = byte_strides
                        .map(|distance| MIN_PAGE_BYTES.div_ceil(distance))
                        .max()
                        .unwrap_or(1);
                    len_within(DEFAULT_CHUNK_BYTES)
                        .max(whole_pages.min(len_within(MAX_DEFAULT_CHUNK_BYTES)))
                }
                ChunkSize::Len(len) => len,
                ChunkSize::Bytes(bytes) => len_within(bytes),
                ChunkSize::Block(ref block) => block[axis.index()],
            }
        };
        let chunk_shape = match &size {
            ChunkSize::Block(block) => block.clone(),
            _ => slab_shape(&shape, axis, axis.map_or(1, len)),
        };
        ChunkGrid::new(shape, chunk_shape, order).with_halo(halo).partition(index, count)
    }

    /// Returns the number of bytes of buffers into which the elements of a chunk are read.
    pub(super) fn chunk_buffers(&self, grid: &ChunkGrid) -> usize {
        self.buffered_bytes().saturating_mul(grid.max_chunk_shape().size())
    }

    /// Returns the number of bytes of buffers for each element of all arrays.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.layouts.iter().map(|layout| layout.buffered).fold(0, usize::saturating_add)
    }

    /// Returns the residency plan of a pass on all threads, each of which processes `chunks` chunks
    /// at once and uses `buffers` bytes.
    pub(super) fn residency_plan(
        &self,
        grid: &ChunkGrid,
        chunks: usize,
        buffers: usize,
    ) -> Result<ResidencyPlan> {
        let threads = parallel::threads();
        ResidencyPlan::new(&self.layouts, grid, (chunks, buffers), self.memory, threads)
    }
}
