//! A [`LazyArray`] as a source of chunks.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array, Dimension};

use super::LazyArray;
use crate::chunked::any_array::{AnyArray, Loaded};
use crate::chunked::region::ChunkRegion;
use crate::chunked::source::{ArraySource, ChunkSource, IterEnd, Part, ReadOnlySource, Splitter};
use crate::distributed::SavedArray;
use crate::error::Result;
use crate::geometry::{Region, StridedLayout};

impl<'a, A: Copy, D: Dimension> ChunkSource for LazyArray<'a, A, D> {
    type Dim = D;
    type Chunk = Array<A, D>;
    type Splitter = Self;
    type With<Q: ChunkSource<Dim = D>> = (Self, Q);

    fn source_shape(&self) -> D {
        self.raw_dim()
    }

    fn restrict_axis(&mut self, axis: usize, range: Range<usize>) {
        self.slice_axis_inplace(axis, range);
    }

    fn layouts(&self, layouts: &mut Vec<StridedLayout>) {
        layouts.extend_from_slice(self.layouts());
    }

    fn read_path(&self) -> Option<PathBuf> {
        self.path().map(Path::to_path_buf)
    }

    fn saved_files(&self) -> Result<Vec<SavedArray>> {
        self.saved_files()
    }

    fn splitter(self) -> Self {
        self
    }

    fn zip_source<Q: ChunkSource<Dim = D>>(self, other: Q) -> (Self, Q) {
        (self, other)
    }
}

impl<A: Copy, D: Dimension> ReadOnlySource for LazyArray<'_, A, D> {}

impl<A: Copy, D: Dimension> Splitter<D> for LazyArray<'_, A, D> {
    type Part = Self;

    fn take_part(&mut self, region: &ChunkRegion<D>, _order: &[usize], _end: IterEnd) -> Self {
        self.slice_region(region.region_with_halo())
    }
}

impl<A: Copy, D: Dimension> Part for LazyArray<'_, A, D> {
    type Chunk = Array<A, D>;

    fn load(self) -> Result<Array<A, D>> {
        self.to_array()
    }
}

impl<A: Copy + Send + Sync, D: Dimension> ArraySource for LazyArray<'_, A, D> {
    type Elem = A;

    fn into_any<'v>(self) -> AnyArray<'v, A>
    where
        Self: 'v,
    {
        AnyArray::Lazy(self.into_dyn())
    }

    fn invert_axis(&mut self, axis: usize) {
        self.invert_axis(axis);
    }

    fn is_buffered(&self) -> bool {
        true
    }

    fn load(&self, bounds: &Region) -> Result<Loaded<'_, A>> {
        self.load_region(bounds).map(Loaded::Buffer)
    }
}
