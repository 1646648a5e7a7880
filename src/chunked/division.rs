//! The chunk grid and the residency plan of a `Chunked`, from its configuration.
#![forbid(unsafe_code)]

use ndarray::{Axis, Dimension, IxDyn};

use super::builder::{ChunkSize, Chunked};
use super::source::ChunkSource;
use crate::error::Result;
use crate::geometry::{ChunkGrid, StridedLayout, memory_order, slab_shape};
use crate::paging::{MIN_PAGE_BYTES, ResidencyPlan};

/// The default size of a chunk in bytes. It is large enough that claiming a chunk costs nothing,
/// and small enough for a processor cache.
pub(super) const DEFAULT_CHUNK_BYTES: usize = 2 << 20;

/// The maximum default size of a chunk in bytes, if a smaller chunk would touch as many pages.
const MAX_DEFAULT_CHUNK_BYTES: usize = 64 << 20;

/// Returns the memory layouts of all arrays of a source.
pub(super) fn layouts_of(source: &impl ChunkSource) -> Vec<StridedLayout> {
    let mut layouts = Vec::new();
    source.layouts(&mut layouts);
    layouts
}

impl<P: ChunkSource> Chunked<'_, P> {
    pub(super) fn layouts(&self) -> Vec<StridedLayout> {
        layouts_of(&self.source)
    }

    /// Returns the common shape of all arrays.
    pub(super) fn dyn_shape(&self) -> IxDyn {
        IxDyn(self.source.source_shape().slice())
    }

    /// Returns the axes of the first array from the slowest to the fastest.
    pub(super) fn order(&self) -> Vec<usize> {
        let shape = self.source.source_shape();
        let layout = &self.layouts()[0];
        memory_order(shape.slice().iter().copied().zip(layout.byte_strides.iter().copied()))
    }

    pub(super) fn grid(&self) -> ChunkGrid {
        let shape = self.dyn_shape();
        let order = self.order();
        let axis = self.config.axis.or(order.first().map(|&axis| Axis(axis)));
        let len = |axis: Axis| {
            let layouts = self.layouts();
            let others = shape.size().checked_div(shape[axis.index()]).unwrap_or(0);
            let len_within = |bytes: usize| bytes / others.saturating_mul(layouts[0].item).max(1);
            match self.config.size {
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
        let chunk_shape = match &self.config.size {
            ChunkSize::Block(block) => IxDyn(block.slice()),
            _ => slab_shape(&shape, axis, axis.map_or(1, len)),
        };
        let (index, count) = self.config.partition;
        ChunkGrid::new(shape, chunk_shape, order)
            .with_halo(IxDyn(self.config.halo.slice()))
            .partition(index, count)
    }

    /// Returns the residency plan for `chunks.0` chunks processed at once by each thread, with
    /// `chunks.1` bytes of buffers for each thread.
    pub(super) fn residency_plan(
        &self,
        grid: &ChunkGrid,
        chunks: (usize, usize),
        threads: usize,
    ) -> Result<ResidencyPlan> {
        ResidencyPlan::new(&self.layouts(), grid, chunks, self.split_memory_limit(0).0, threads)
    }
}
