//! The region of a chunk in the whole array.
#![forbid(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use ndarray::{ArrayView, Axis, Dimension, Slice};

use crate::geometry::{ChunkGrid, Region};

/// The region of a chunk in the whole array, returned by [`indexed`](crate::Chunked::indexed).
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::prelude::*;
///
/// let table = Array2::from_shape_fn((10, 4), |(i, j)| 4 * i + j);
/// for (region, block) in table.chunked().chunk_shape((4, 3)).indexed() {
///     assert_eq!(block, table.slice(s![region.range(Axis(0)), region.range(Axis(1))]));
///     assert_eq!(block[[0, 0]], table[region.origin()]);
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkRegion<D> {
    index: usize,
    region: Region,
    /// The region with the halo, if there is one. It is boxed because regions are moved often.
    region_with_halo: Option<Box<Region>>,
    dim: PhantomData<D>,
}

impl<D: Dimension> ChunkRegion<D> {
    pub(super) fn new(grid: &ChunkGrid, chunk: usize) -> Self {
        let region = grid.region(chunk);
        let region_with_halo = grid.region_with_halo(&region).map(Box::new);
        Self { index: chunk, region, region_with_halo, dim: PhantomData }
    }

    /// Returns the index of the chunk, counted from 0 in the order of iteration. Indices in a
    /// [partition](crate::Chunked::partition) continue those of the partitions before it.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let image = Array2::<u8>::zeros((5, 7));
    /// let chunked = image.chunked().chunk_shape((3, 4)).halo((1, 1)).indexed();
    /// let (region, _block) = chunked.into_iter().last().unwrap();
    /// assert_eq!(region.index(), 3);
    /// ```
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the index of the chunk's first element in the whole array, without the halo.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let image = Array2::<u8>::zeros((5, 7));
    /// let chunked = image.chunked().chunk_shape((3, 4)).halo((1, 1)).indexed();
    /// let (region, _block) = chunked.into_iter().last().unwrap();
    /// assert_eq!(region.origin(), Dim((3, 4)));
    /// ```
    pub fn origin(&self) -> D {
        let start = &*self.region.start;
        let mut origin = D::zeros(start.len());
        origin.slice_mut().copy_from_slice(start);
        origin
    }

    /// Returns the range of the chunk along an axis of the whole array, without the halo.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let image = Array2::<u8>::zeros((5, 7));
    /// let chunked = image.chunked().chunk_shape((3, 4)).halo((1, 1)).indexed();
    /// let (region, _block) = chunked.into_iter().last().unwrap();
    /// assert_eq!((region.range(Axis(0)), region.range(Axis(1))), (3..5, 4..7));
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the axis is out of bounds.
    #[track_caller]
    pub fn range(&self, axis: Axis) -> Range<usize> {
        self.region.range(axis.index())
    }

    /// Returns the range of the chunk along each axis, without the halo.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let image = Array2::<u8>::zeros((5, 7));
    /// let chunked = image.chunked().chunk_shape((3, 4)).halo((1, 1)).indexed();
    /// let (region, _block) = chunked.into_iter().last().unwrap();
    /// assert_eq!(region.ranges().collect::<Vec<_>>(), [3..5, 4..7]);
    /// ```
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.region.ranges()
    }

    /// Returns the range of the chunk's view along an axis of the whole array, including the
    /// [halo](crate::Chunked::halo).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let image = Array2::<u8>::zeros((5, 7));
    /// let chunked = image.chunked().chunk_shape((3, 4)).halo((1, 1)).indexed();
    /// let (region, _block) = chunked.into_iter().last().unwrap();
    /// assert_eq!((region.halo_range(Axis(0)), region.halo_range(Axis(1))), (2..5, 3..7));
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the axis is out of bounds.
    #[track_caller]
    pub fn halo_range(&self, axis: Axis) -> Range<usize> {
        self.region_with_halo().range(axis.index())
    }

    /// Returns the chunk's view, or an array of the same shape, without the halo.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let signal = Array1::from_iter(0..10);
    /// let mut seen = Vec::new();
    /// for (region, chunk) in signal.chunked().chunk_len(4).halo(1).indexed() {
    ///     seen.push((chunk.len(), region.trim_halo(chunk).to_vec()));
    /// }
    /// assert_eq!(seen, [(5, vec![0, 1, 2, 3]), (6, vec![4, 5, 6, 7]), (3, vec![8, 9])]);
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the view is smaller than the chunk.
    #[track_caller]
    pub fn trim_halo<'v, A>(&self, mut chunk: ArrayView<'v, A, D>) -> ArrayView<'v, A, D> {
        let whole = self.region_with_halo();
        for (axis, range) in self.region.ranges().enumerate() {
            let start = range.start - whole.start[axis];
            chunk.slice_axis_inplace(Axis(axis), Slice::from(start..start + range.len()));
        }
        chunk
    }

    pub(super) fn region(&self) -> &Region {
        &self.region
    }

    pub(super) fn region_with_halo(&self) -> &Region {
        self.region_with_halo.as_deref().unwrap_or(&self.region)
    }
}

impl<D: Dimension> fmt::Debug for ChunkRegion<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = |bounds: &Region| bounds.ranges().collect::<Vec<_>>();
        let mut debug = f.debug_struct("ChunkRegion");
        debug.field("index", &self.index).field("ranges", &ranges(&self.region));
        if *self.region_with_halo() != self.region {
            debug.field("halo_ranges", &ranges(self.region_with_halo()));
        }
        debug.finish()
    }
}
