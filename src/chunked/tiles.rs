//! Boxes for arrays that lie in different orders, so that each page or cache line of each array is of use to few boxes.
#![forbid(unsafe_code)]

use ndarray::Dimension;

use super::Chunked;
use super::builder::DEFAULT_CHUNK_BYTES;
use super::source::ChunkSource;
use crate::error::Result;
use crate::geometry::{ChunkGrid, Region, StridedLayout};
use crate::paging::{MIN_PAGE_BYTES, ResidencyPlan};
use crate::parallel;

/// The elements of a tile where arrays lie in different orders: enough for long runs, and for many tiles.
const MAX_TRANSPOSE_TILE: usize = 4 << 20;

/// Of a smaller tile each page would be asked for again and again.
const MIN_TILE_BYTES: usize = 8 << 10;

/// The bytes of a run of elements within the processor's caches: some cache lines, which it fetches ahead.
const CACHED_RUN_BYTES: usize = 256;

/// The elements of a tile within the processor's caches.
const CACHED_ELEMENTS: usize = 4 << 10;

/// How many times a page may be touched by blocks of 64 KiB.
const MAX_TOUCHES: usize = 4;

impl<P: ChunkSource> Chunked<'_, P> {
    /// Returns the tiles that touch whole pages of every array, the largest that fit beside so many bytes of buffers.
    pub(super) fn tile_grid(&self, buffers: usize) -> Result<(ChunkGrid<P::Dim>, ResidencyPlan)> {
        let layouts = self.layouts();
        let shape = self.source.shape();
        let item = layouts.iter().map(|layout| layout.item).max().unwrap_or(1).max(1);
        let pages = run_lengths(&layouts, &shape, MIN_PAGE_BYTES);
        // Where the arrays lie in different orders, a tile has a run of each for every index of the other's fastest axis:
        // the longer the runs, the fewer.
        let is_transposed = pages.slice().iter().filter(|&&len| len > 1).count() > 1;
        let mut least = pages.clone() * if is_transposed { 4 } else { 1 };
        while size(&least) > MAX_TRANSPOSE_TILE {
            let largest = least.slice_mut().iter_mut().max();
            largest.into_iter().for_each(|step| *step = step.div_ceil(2));
        }
        let mut limit = (DEFAULT_CHUNK_BYTES / item).max(size(&least));
        let least_limit = (MIN_TILE_BYTES / item).max(1);
        loop {
            let grid = ChunkGrid::with_min_shape(shape.clone(), least.clone(), self.order(), limit);
            match self.plan(&grid, (1, buffers), parallel::threads()) {
                Err(_) if limit > least_limit => {
                    limit = limit.div_ceil(2).max(least_limit);
                    least = pages.clone();
                }
                result => return result.map(|plan| (grid, plan)),
            }
        }
    }

    /// Returns the lengths of tiles that touch whole pages of every array, of at most `limit` elements inside a box.
    pub(super) fn tile_in(&self, lens: &P::Dim, limit: usize) -> P::Dim {
        let least = run_lengths(&self.layouts(), lens, MIN_PAGE_BYTES);
        ChunkGrid::with_min_shape(lens.clone(), least, self.order(), limit).chunk_shape().clone()
    }

    /// Returns the lengths of tiles of all arrays that fit the processor's caches.
    pub(super) fn cached_tile(&self) -> P::Dim {
        let shape = self.source.shape();
        let least = run_lengths(&self.layouts(), &shape, CACHED_RUN_BYTES);
        ChunkGrid::with_min_shape(shape, least, self.order(), CACHED_ELEMENTS).chunk_shape().clone()
    }

    /// Whether cells of a plan touch pages of an array again and again, because it lies in another order than they do.
    pub(super) fn is_transposed(&self, grid: &ChunkGrid<P::Dim>) -> bool {
        let zero = P::Dim::zeros(grid.shape().ndim());
        let (shape, chunk) = (grid.shape().clone(), grid.max_chunk_shape());
        let (chunks, len) = (shape.size().div_ceil(chunk.size().max(1)), chunk.size());
        let whole = Region { start: zero.clone(), end: shape };
        let chunk = Region { start: zero, end: chunk };
        whole.len() > 0
            && self.layouts().iter().filter(|layout| layout.item > 0).any(|layout| {
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

/// Returns the length along each axis of a run of so many bytes in the arrays that have neighbours along it; 1 for other
/// axes.
fn run_lengths<D: Dimension>(layouts: &[StridedLayout], shape: &D, bytes: usize) -> D {
    let mut runs = D::zeros(shape.ndim());
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

fn size<D: Dimension>(lens: &D) -> usize {
    lens.slice().iter().fold(1, |size: usize, &len| size.saturating_mul(len))
}
