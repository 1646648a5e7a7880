//! Division of lanes into batches and slabs.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{Dimension, IxDyn};

use crate::error::Result;
use crate::geometry::{ChunkGrid, Region, StridedLayout, memory_order};
use crate::paging::{Choice, MemoryLimit, ResidencyPlan, halved_lengths};
use crate::parallel;

/// The number of lanes that are accumulated together.
pub(super) const PANEL_WIDTH: usize = 512;

/// The cost of fetching the accumulator of a lane, in the unit of [`Choice`].
const LANE_COST: f64 = 1.0 / 16.0;

/// A division of lanes into batches, and of the axis into slabs.
pub(super) struct LaneTiling {
    /// The batches of lanes. Along the axis itself, the grid has one chunk.
    pub(super) batches: ChunkGrid,
    /// The number of elements of the axis that are pinned at once: whole segments, or an even
    /// fraction of one.
    pub(super) slab_len: usize,
    /// The length of the axis.
    len: usize,
    /// The number of elements of the axis that a thread takes at once: whole segments.
    item_len: usize,
    pub(super) plan: ResidencyPlan,
}

/// The size of a slab if it fits. The more rows a slab has, the less often the accumulators of all
/// lanes are fetched.
const SLAB_BYTES: usize = 8 << 20;

impl LaneTiling {
    /// Creates a tiling of lanes along the first axis, with batches of up to `limit` lanes. Slab
    /// lengths are multiples of `unit` elements of the axis, or even fractions of it if they may be
    /// as short as `least`. `buffers` returns the number of bytes that a thread needs in addition,
    /// for a number of lanes and a slab length.
    ///
    /// Smaller batches and shorter slabs are tried until all threads fit the memory limit.
    /// Otherwise the cheapest tiling that fits is used.
    pub(super) fn new(
        lanes_shape: IxDyn,
        layouts: Vec<StridedLayout>,
        memory: MemoryLimit,
        (unit, least): (usize, usize),
        limit: usize,
        buffers: &dyn Fn(usize, usize) -> usize,
    ) -> Result<Self> {
        let item = layouts[0].item.max(1);
        let strides = layouts[0].byte_strides.iter().copied();
        let order = memory_order(lanes_shape.slice().iter().copied().zip(strides));
        let batches_of = |limit: usize| {
            let mut shape = lanes_shape.clone();
            shape[0] = 1;
            let axes = (0..shape.ndim()).collect();
            ChunkGrid::contiguous(shape, axes, limit)
        };
        let mut choice = Choice::new(&layouts, lanes_shape.slice(), memory, parallel::threads());
        'search: for limit in halved_lengths(limit, 1, 1) {
            let batches = batches_of(limit);
            let num_lanes = batches.max_chunk_shape().size();
            let rows = (SLAB_BYTES / (num_lanes * item)).max(1);
            let max_slab_len =
                if rows >= unit { rows / unit * unit } else { (1 << rows.ilog2()).max(least) };
            for slab_len in halved_lengths(max_slab_len, unit, least) {
                let mut chunk_shape = batches.chunk_shape().clone();
                chunk_shape[0] = slab_len;
                let grid = ChunkGrid::new(lanes_shape.clone(), chunk_shape, order.clone());
                let extra = (buffers(num_lanes, slab_len), num_lanes as f64 * LANE_COST);
                if choice.offer(limit, grid, extra) {
                    break 'search;
                }
            }
        }
        let (limit, grid, plan) = choice.plan()?;
        let batches = batches_of(limit);
        let slab_len = grid.chunk_shape()[0];
        Ok(Self { batches, slab_len, len: lanes_shape[0], item_len: slab_len.max(unit), plan })
    }

    /// Returns the number of work items of a batch.
    pub(super) fn items_per_batch(&self) -> usize {
        self.len.div_ceil(self.item_len)
    }

    /// Returns the number of work items of all batches.
    pub(super) fn num_items(&self) -> usize {
        self.batches.chunks().len() * self.items_per_batch()
    }

    /// Returns a work item: a batch of lanes, and a range of the axis.
    pub(super) fn item(&self, index: usize) -> (usize, Range<usize>) {
        let items = self.items_per_batch();
        let start = index % items * self.item_len;
        (index / items, start..self.len.min(start + self.item_len))
    }

    pub(super) fn bounds(&self, batch: usize, rows: Range<usize>) -> Region {
        let Region { mut start, mut end } = self.batches.region(batch);
        (start[0], end[0]) = (rows.start, rows.end);
        Region { start, end }
    }
}
