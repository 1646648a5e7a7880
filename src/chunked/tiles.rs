//! Tiles for arrays with different memory orders, chosen so that few tiles use each page or cache
//! line of each array.
#![forbid(unsafe_code)]

use ndarray::{Dimension, IxDyn};

use super::division::{DEFAULT_CHUNK_BYTES, Division};
use crate::error::Result;
use crate::geometry::{ChunkGrid, Region, StridedLayout};
use crate::paging::{MIN_PAGE_BYTES, ResidencyPlan};

/// The maximum number of elements of a tile if arrays have different memory orders: enough for long
/// runs and for many tiles.
const MAX_TRANSPOSE_TILE: usize = 4 << 20;

/// The number of tiles into which an array is divided if tiles of whole pages allow it.
const MIN_TRANSPOSE_TILES: usize = 64;

/// The minimum size of a tile in bytes. With smaller tiles, each page would be prefaulted
/// repeatedly.
const MIN_TILE_BYTES: usize = 8 << 10;

/// The tile size whose memory demand is reported if no tile fits: smaller tiles work, but slowly.
const ADVISED_TILE_BYTES: usize = 64 << 10;

/// The length in bytes of a run of elements within the processor caches: a few cache lines, which
/// are prefetched.
const CACHED_RUN_BYTES: usize = 256;

/// The maximum number of elements of a tile that fits the processor caches, and of their bytes.
const CACHED_ELEMENTS: usize = 4 << 10;
const CACHED_BYTES: usize = 128 << 10;

/// The maximum number of times that blocks of 64 KiB may touch a page.
const MAX_TOUCHES: usize = 4;

impl Division {
    /// Returns the largest tiles that fit the memory limit in addition to this number of bytes of
    /// buffers. Tiles touch whole pages of every array if possible.
    pub(super) fn tile_grid(&self, buffers: usize) -> Result<(ChunkGrid, ResidencyPlan)> {
        let Self { shape, layouts, order, .. } = self;
        let item = layouts.iter().map(|layout| layout.item).max().unwrap_or(1).max(1);
        let pages = run_lengths(layouts, shape, MIN_PAGE_BYTES);
        // If arrays have different memory orders, a tile has one run of each array for every index
        // of the other array's fastest axis. Longer runs reduce the number of runs.
        let is_transposed = pages.slice().iter().filter(|&&len| len > 1).count() > 1;
        let mut min_shape = pages.clone() * if is_transposed { 4 } else { 1 };
        // Small arrays have tiles for all threads.
        let share = (size(shape) / MIN_TRANSPOSE_TILES).max(size(&pages));
        while size(&min_shape) > MAX_TRANSPOSE_TILE.min(share) {
            let largest = min_shape.slice_mut().iter_mut().max();
            largest.into_iter().for_each(|len| *len = len.div_ceil(2));
        }
        let mut limit = (DEFAULT_CHUNK_BYTES / item).max(size(&min_shape));
        let min_limit = (MIN_TILE_BYTES / item).max(1);
        let mut advice = None;
        loop {
            let grid =
                ChunkGrid::with_min_shape(shape.clone(), min_shape.clone(), order.clone(), limit);
            let buffers = buffers.saturating_add(self.chunk_buffers(&grid));
            match self.residency_plan(&grid, 1, buffers) {
                Ok(plan) => return Ok((grid, plan)),
                Err(error) if limit > min_limit => {
                    if limit.saturating_mul(item) >= ADVISED_TILE_BYTES {
                        advice = Some(error);
                    }
                    limit = limit.div_ceil(2).max(min_limit);
                    min_shape = pages.clone();
                }
                Err(error) => return Err(advice.unwrap_or(error)),
            }
        }
    }

    /// Returns the shape of tiles of at most `limit` elements inside a box, which touch whole pages
    /// of every array.
    pub(super) fn tile_in(&self, lens: &IxDyn, limit: usize) -> IxDyn {
        let min_shape = run_lengths(&self.layouts, lens, MIN_PAGE_BYTES);
        ChunkGrid::with_min_shape(lens.clone(), min_shape, self.order.clone(), limit)
            .chunk_shape()
            .clone()
    }

    /// Returns the shape of tiles of which each run is a page.
    pub(super) fn page_tile(&self) -> IxDyn {
        run_lengths(&self.layouts, &self.shape, MIN_PAGE_BYTES)
    }

    /// Returns the shape of tiles of all arrays that fit the processor caches.
    pub(super) fn cached_tile(&self) -> IxDyn {
        let shape = self.shape.clone();
        let min_shape = run_lengths(&self.layouts, &shape, CACHED_RUN_BYTES);
        let item = self.layouts.iter().map(|layout| layout.item).max().unwrap_or(1).max(1);
        let limit = CACHED_ELEMENTS.min(CACHED_BYTES / item).max(1);
        ChunkGrid::with_min_shape(shape, min_shape, self.order.clone(), limit).chunk_shape().clone()
    }

    /// Returns whether the chunks of a grid touch pages of an array repeatedly, because its memory
    /// order differs from that of the grid.
    pub(super) fn is_transposed(&self, grid: &ChunkGrid) -> bool {
        let whole = Region::whole(grid.shape().slice());
        let chunk = Region::whole(grid.max_chunk_shape().slice());
        let len = chunk.len();
        let chunks = whole.len().div_ceil(len.max(1));
        whole.len() > 0
            && self.layouts.iter().filter(|layout| layout.item > 0).any(|layout| {
                let pages = |bounds| {
                    layout.footprint(bounds).max_bytes(MIN_PAGE_BYTES, 0, layout.item)
                        / MIN_PAGE_BYTES
                };
                // Elements that share an address are read again in any order.
                let elements =
                    len.saturating_mul(layout.item).div_ceil(MIN_PAGE_BYTES).saturating_mul(chunks);
                let once = pages(&whole).max(elements).saturating_add(chunks);
                pages(&chunk).saturating_mul(chunks) > once.saturating_mul(MAX_TOUCHES)
            })
    }
}

/// Returns the length of a run of this many bytes along the fastest axis of each array, and 1 along
/// all other axes.
fn run_lengths(layouts: &[StridedLayout], shape: &IxDyn, bytes: usize) -> IxDyn {
    let mut runs = IxDyn::zeros(shape.ndim());
    for layout in layouts {
        let fastest =
            (0..shape.ndim()).filter(|&axis| shape[axis] > 1 && layout.byte_strides[axis] != 0);
        if let Some(axis) = fastest.min_by_key(|&axis| layout.byte_strides[axis].unsigned_abs()) {
            runs[axis] = runs[axis].max(bytes / layout.item.max(1));
        }
    }
    for (axis, run) in runs.slice_mut().iter_mut().enumerate() {
        *run = (*run).clamp(1, shape[axis].max(1));
    }
    runs
}

fn size(lens: &IxDyn) -> usize {
    lens.slice().iter().fold(1, |size: usize, &len| size.saturating_mul(len))
}
