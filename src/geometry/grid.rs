//! Chunk grids over arrays, and the order in which chunks are visited.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{Axis, Dimension, IxDyn};

use super::coordinates::Coordinates;

/// A box inside an array: for each axis, the indices from `start` up to but not including `end`.
///
/// The number of dimensions is dynamic, so that code that computes with regions is compiled once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    pub(crate) start: Coordinates,
    pub(crate) end: Coordinates,
}

impl Region {
    /// Returns the region of a whole array.
    #[inline]
    pub(crate) fn whole(shape: &[usize]) -> Self {
        Self { start: Coordinates::zeros(shape.len()), end: shape.into() }
    }

    #[inline]
    #[track_caller]
    pub(crate) fn range(&self, axis: usize) -> Range<usize> {
        self.start[axis]..self.end[axis]
    }

    #[inline]
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.start.iter().zip(&*self.end).map(|(&start, &end)| start..end)
    }

    pub(crate) fn len(&self) -> usize {
        self.ranges().map(|range| range.len()).product()
    }
}

/// A grid of chunks over an array. Chunks are visited in memory order, with the fastest axis
/// innermost.
#[derive(Clone, Debug)]
pub(crate) struct ChunkGrid {
    shape: IxDyn,
    /// The shape of a chunk. The last chunk along an axis may be smaller.
    chunk_shape: IxDyn,
    /// The number of indices by which a chunk's view extends into its neighbours along each axis.
    halo: IxDyn,
    /// The axes from the slowest to the fastest.
    order: Vec<usize>,
    /// The indices of the chunks to visit.
    chunks: Range<usize>,
    /// Whether chunks start at multiples of their lengths.
    aligned: bool,
}

impl ChunkGrid {
    /// Creates a grid of chunks of the given shape, where 0 counts as 1. `order` contains each axis
    /// once, the slowest first.
    pub(crate) fn new(shape: IxDyn, mut chunk_shape: IxDyn, order: Vec<usize>) -> Self {
        for (chunk_len, &len) in chunk_shape.slice_mut().iter_mut().zip(shape.slice()) {
            *chunk_len = (*chunk_len).clamp(1, len.max(1));
        }
        let halo = IxDyn::zeros(shape.ndim());
        let mut grid = Self { shape, chunk_shape, halo, order, chunks: 0..0, aligned: true };
        // There are no more chunks than elements, so their number does not overflow.
        grid.chunks = 0..if grid.shape.size() == 0 {
            0
        } else {
            (0..grid.shape.ndim()).map(|a| grid.chunks_along(a)).product()
        };
        grid
    }

    /// Creates a grid of chunks of at most `limit` elements that are as contiguous as possible:
    /// whole lines of the fastest axes, and a part of the next one.
    pub(crate) fn contiguous(shape: IxDyn, order: Vec<usize>, limit: usize) -> Self {
        let chunk_shape = IxDyn::zeros(shape.ndim());
        Self::with_min_shape(shape, chunk_shape, order, limit)
    }

    /// Creates a [`contiguous`](Self::contiguous) grid whose chunks have at least the given shape,
    /// if `limit` allows.
    pub(crate) fn with_min_shape(
        shape: IxDyn,
        min_shape: IxDyn,
        order: Vec<usize>,
        limit: usize,
    ) -> Self {
        let mut chunk_shape = min_shape;
        for (chunk_len, &len) in chunk_shape.slice_mut().iter_mut().zip(shape.slice()) {
            *chunk_len = (*chunk_len).clamp(1, len.max(1));
        }
        let size = |chunk_shape: &IxDyn| {
            chunk_shape
                .slice()
                .iter()
                .fold(1_usize, |size, &chunk_len| size.saturating_mul(chunk_len))
        };
        while size(&chunk_shape) > limit.max(1) {
            let Some(largest) =
                chunk_shape.slice_mut().iter_mut().max_by_key(|chunk_len| **chunk_len)
            else {
                break;
            };
            *largest = largest.div_ceil(2);
        }
        for &axis in order.iter().rev() {
            let others = size(&chunk_shape) / chunk_shape[axis];
            let chunk_len = (limit / others).clamp(chunk_shape[axis], shape[axis].max(1));
            chunk_shape[axis] = chunk_len;
            if chunk_len < shape[axis] {
                break;
            }
        }
        Self::new(shape, chunk_shape, order)
    }

    pub(crate) fn with_halo(mut self, halo: IxDyn) -> Self {
        self.halo = halo;
        self
    }

    /// Marks the chunks as starting at arbitrary indices, for computing upper bounds.
    pub(crate) fn anywhere(mut self) -> Self {
        self.aligned = false;
        self
    }

    /// Restricts the grid to partition `index` of `count` partitions with about equal numbers of
    /// chunks.
    pub(crate) fn partition(mut self, index: usize, count: usize) -> Self {
        let Range { start, end } = self.chunks;
        let len = end - start;
        self.chunks = start + partition_start(len, index, count)
            ..start + partition_start(len, index + 1, count);
        self
    }

    /// Returns the indices of the chunks to visit.
    pub(crate) fn chunks(&self) -> Range<usize> {
        self.chunks.clone()
    }

    /// Returns the number of elements of the chunks to visit.
    pub(crate) fn visited_elements(&self) -> usize {
        self.bounding_regions(self.chunks()).iter().map(Region::len).sum()
    }

    pub(crate) fn shape(&self) -> &IxDyn {
        &self.shape
    }

    pub(crate) fn chunk_shape(&self) -> &IxDyn {
        &self.chunk_shape
    }

    /// The axes from the slowest to the fastest.
    pub(crate) fn order(&self) -> &[usize] {
        &self.order
    }

    pub(crate) fn chunks_along(&self, axis: usize) -> usize {
        self.shape[axis].div_ceil(self.chunk_shape[axis])
    }

    /// Returns the alignment of chunk views along an axis: each view starts at a multiple of it.
    pub(crate) fn alignment(&self, axis: usize) -> usize {
        match self.halo[axis] {
            0 if self.aligned => self.chunk_shape[axis],
            _ => 1,
        }
    }

    /// Returns the region of a chunk, without the halo.
    pub(crate) fn region(&self, mut chunk: usize) -> Region {
        let shape = self.shape.slice();
        let chunk_shape = self.chunk_shape.slice();
        let mut region = Region::whole(shape);
        let Region { start, end } = &mut region;
        let (start, end) = (&mut **start, &mut **end);
        for &axis in self.order.iter().rev() {
            let count = shape[axis].div_ceil(chunk_shape[axis]);
            start[axis] = chunk % count * chunk_shape[axis];
            end[axis] = (start[axis] + chunk_shape[axis]).min(shape[axis]);
            chunk /= count;
        }
        region
    }

    /// Returns the region of a chunk's view, including the halo as far as the array extends, or
    /// `None` if it is that of the chunk.
    pub(crate) fn region_with_halo(&self, region: &Region) -> Option<Region> {
        if self.halo.slice().iter().all(|&width| width == 0) {
            return None;
        }
        let Region { mut start, mut end } = region.clone();
        for axis in 0..start.len() {
            start[axis] = start[axis].saturating_sub(self.halo[axis]);
            end[axis] = end[axis].saturating_add(self.halo[axis]).min(self.shape[axis]);
        }
        Some(Region { start, end }).filter(|with_halo| with_halo != region)
    }

    /// Returns the maximum shape of a chunk's view.
    pub(crate) fn max_chunk_shape(&self) -> IxDyn {
        let mut lens = self.chunk_shape.clone();
        for axis in 0..lens.ndim() {
            lens[axis] =
                lens[axis].saturating_add(self.halo[axis].saturating_mul(2)).min(self.shape[axis]);
        }
        lens
    }

    /// Returns the shape of the largest box of at most `chunks` consecutive chunks of a
    /// [contiguous](Self::contiguous) grid, and the number of chunks in it.
    pub(crate) fn merged(&self, chunks: usize) -> (IxDyn, usize) {
        let mut lens = self.chunk_shape.clone();
        let mut taken = 1;
        for &axis in self.order.iter().rev() {
            let added = (chunks / taken).min(self.chunks_along(axis)).max(1);
            lens[axis] = (added * self.chunk_shape[axis]).min(self.shape[axis]);
            taken *= added;
            if added < self.chunks_along(axis) {
                break;
            }
        }
        (lens, taken)
    }

    /// Returns the elements of consecutive chunks as a small number of boxes.
    pub(crate) fn bounding_regions(&self, chunks: Range<usize>) -> Vec<Region> {
        let mut regions: Vec<Region> = Vec::new();
        let mut chunk = chunks.start;
        while chunk < chunks.end {
            // Find the longest run of chunks that forms a box: whole lines, planes, ... along the
            // fastest axes.
            let mut taken = 1;
            let mut bounds = self.region(chunk);
            for &axis in self.order.iter().rev() {
                let offset = chunk / taken % self.chunks_along(axis);
                let added = ((chunks.end - chunk) / taken).min(self.chunks_along(axis) - offset);
                if added == 0 {
                    break;
                }
                bounds.end[axis] =
                    ((offset + added) * self.chunk_shape[axis]).min(self.shape[axis]);
                taken *= added;
                if added < self.chunks_along(axis) {
                    break;
                }
            }
            regions.push(bounds);
            chunk += taken;
        }
        regions
    }
}

/// Returns the start of partition `index` of `count` partitions of a length.
pub(crate) fn partition_start(len: usize, index: usize, count: usize) -> usize {
    (len as u128 * index as u128 / count as u128) as usize
}

/// Returns the axes from the slowest to the fastest by absolute stride. Axes of length 1 count as
/// fastest. Among equal strides, the first axis counts as slower.
pub(crate) fn memory_order(axes: impl Iterator<Item = (usize, isize)>) -> Vec<usize> {
    let keys: Vec<_> =
        axes.map(|(len, stride)| if len > 1 { stride.unsigned_abs() } else { 0 }).collect();
    let mut order: Vec<_> = (0..keys.len()).collect();
    order.sort_by_key(|&axis| std::cmp::Reverse(keys[axis]));
    order
}

/// Returns the shape of slabs of `len` indices along one axis and of full length along all others.
pub(crate) fn slab_shape(shape: &IxDyn, axis: Option<Axis>, len: usize) -> IxDyn {
    let mut chunk_shape = shape.clone();
    if let Some(axis) = axis {
        chunk_shape[axis.index()] = len;
    }
    chunk_shape
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, Dim, IxDyn, Slice};
    use proptest::prelude::*;

    use super::*;

    fn visit(seen: &mut ArrayD<u32>, bounds: &Region) -> usize {
        let mut part =
            seen.slice_each_axis_mut(|axis| Slice::from(bounds.range(axis.axis.index())));
        part += 1;
        part.len()
    }

    fn grids() -> impl Strategy<Value = ChunkGrid> {
        prop::collection::vec((0_usize..8, 0_usize..9, any::<u8>()), 0..6).prop_flat_map(|axes| {
            let shape = IxDyn(&axes.iter().map(|axis| axis.0).collect::<Vec<_>>());
            let chunk_shape = IxDyn(&axes.iter().map(|axis| axis.1).collect::<Vec<_>>());
            let order = memory_order(axes.iter().map(|axis| (axis.0, isize::from(axis.2))));
            (0_u8..3, 1_usize..200).prop_map(move |(kind, limit)| match kind {
                0 => ChunkGrid::new(shape.clone(), chunk_shape.clone(), order.clone()),
                1 => ChunkGrid::contiguous(shape.clone(), order.clone(), limit),
                _ => ChunkGrid::with_min_shape(
                    shape.clone(),
                    chunk_shape.clone(),
                    order.clone(),
                    limit,
                ),
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn partitions_visit_every_element_once(grid in grids(), parts in 1_usize..6) {
            let mut seen = ArrayD::<u32>::zeros(grid.shape().clone());
            let mut next = grid.chunks().start;
            for index in 0..parts {
                let part = grid.clone().partition(index, parts);
                prop_assert_eq!(part.chunks().start, next);
                next = part.chunks().end;
                for chunk in part.chunks() {
                    let region = part.region(chunk);
                    prop_assert_eq!(visit(&mut seen, &region), region.len());
                    prop_assert!(region.len() > 0);
                }
            }
            prop_assert_eq!(next, grid.chunks().end);
            prop_assert!(seen.iter().all(|&times| times == 1));
        }

        #[test]
        fn chunks_respect_the_limit(grid in grids(), limit in 1_usize..300) {
            let contiguous = ChunkGrid::contiguous(grid.shape().clone(), grid.order().to_vec(), limit);
            prop_assert!(contiguous.chunks().all(|chunk| contiguous.region(chunk).len() <= limit));
            let tiles = ChunkGrid::with_min_shape(grid.shape().clone(), grid.chunk_shape().clone(), grid.order().to_vec(), limit);
            prop_assert!(tiles.chunks().all(|chunk| tiles.region(chunk).len() <= limit));
        }

        /// Chunks have whole lines of the fastest axes, as many indices of the next axis as the
        /// limit allows, and the minimum length along the others.
        #[test]
        fn chunks_are_maximally_contiguous(grid in grids(), limit in 1_usize..300) {
            if grid.shape().size() == 0 {
                return Ok(());
            }
            let shape = grid.shape();
            let min_shape = grid.chunk_shape();
            let tiles = ChunkGrid::with_min_shape(shape.clone(), min_shape.clone(), grid.order().to_vec(), limit);
            let mut slower = tiles.order().iter().rev().skip_while(|&&axis| tiles.chunk_shape()[axis] == shape[axis]);
            if let Some(&axis) = slower.next() {
                let chunk_len = tiles.chunk_shape()[axis];
                prop_assert!(tiles.chunk_shape().size() / chunk_len * (chunk_len + 1) > limit);
            }
            prop_assert!(slower.all(|&axis| tiles.chunk_shape()[axis] <= min_shape[axis]));
            if min_shape.size() <= limit {
                prop_assert!(tiles.chunk_shape().slice().iter().zip(min_shape.slice()).all(|(chunk_len, min_shape)| chunk_len >= min_shape));
            }
        }

        #[test]
        fn chunks_follow_the_order(grid in grids()) {
            let key = |chunk| {
                let start = grid.region(chunk).start;
                grid.order().iter().map(|&axis| start[axis]).collect::<Vec<_>>()
            };
            let keys: Vec<_> = grid.chunks().map(key).collect();
            prop_assert!(keys.is_sorted());
        }

        #[test]
        fn bounding_regions_contain_the_chunks(grid in grids(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
            let count = grid.chunks().len();
            let from = from.index(count + 1);
            let to = to.index(count + 1);
            let range = from.min(to)..from.max(to);
            let mut by_chunk = ArrayD::zeros(grid.shape().clone());
            let mut by_region = ArrayD::zeros(grid.shape().clone());
            range.clone().for_each(|chunk| {
                visit(&mut by_chunk, &grid.region(chunk));
            });
            let regions = grid.bounding_regions(range);
            regions.iter().for_each(|bounds| {
                visit(&mut by_region, bounds);
            });
            prop_assert_eq!(by_chunk, by_region);
            prop_assert!(regions.len() <= 2 * grid.shape().ndim().max(1));
        }

        #[test]
        fn halo_is_clipped_at_the_edges(grid in grids(), width in 0_usize..4) {
            let halo = Dim(vec![width; grid.shape().ndim()]);
            let grid = grid.with_halo(halo);
            for chunk in grid.chunks() {
                let region = grid.region(chunk);
                let with_halo = grid.region_with_halo(&region).unwrap_or(region.clone());
                for axis in 0..grid.shape().ndim() {
                    let region = region.range(axis);
                    let with_halo = with_halo.range(axis);
                    prop_assert_eq!(with_halo.start, region.start.saturating_sub(width));
                    prop_assert_eq!(with_halo.end, (region.end + width).min(grid.shape()[axis]));
                    prop_assert!(with_halo.len() <= grid.max_chunk_shape()[axis]);
                    prop_assert!(with_halo.start.is_multiple_of(grid.alignment(axis)));
                    prop_assert_eq!(grid.alignment(axis), if width == 0 { grid.chunk_shape()[axis] } else { 1 });
                }
            }
        }
    }

    #[test]
    fn memory_order_starts_with_the_slowest_axis() {
        assert_eq!(memory_order([(3, 32), (4, 8)].into_iter()), [0, 1]);
        assert_eq!(memory_order([(3, 8), (4, -24)].into_iter()), [1, 0]);
        assert_eq!(memory_order([(1, 32), (4, 8)].into_iter()), [1, 0]);
        assert_eq!(memory_order([(1, 8), (1, 8)].into_iter()), [0, 1]);
    }

    #[test]
    fn zero_dimensions_make_one_chunk() {
        let grid = ChunkGrid::new(IxDyn(&[]), IxDyn(&[]), Vec::new());
        assert_eq!(grid.chunks(), 0..1);
        assert_eq!(grid.bounding_regions(0..1).len(), 1);
    }
}
