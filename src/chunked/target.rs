//! Arrays to which results are written: mutable views, and files that are written with positional
//! writes.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytemuck::Pod;
use ndarray::{Array, ArrayViewMut, Dimension, ShapeBuilder};

use super::ChunkedMutExt;
use super::lazy::axes_of;
use super::region::ChunkRegion;
use super::source::{ChunkSource, IterEnd, ParallelSource, Part, Splitter, sealed};
use crate::error::{Error, Result};
use crate::geometry::{Region, StridedLayout};
use crate::order::Order;
use crate::storage::{ArrayFileMut, BUFFER_BYTES};

/// An array to which results are written: any array with
/// [`chunked_mut`](crate::ChunkedMutExt::chunked_mut), or an [`ArrayFileMut`]. Sealed.
///
/// Chunks of an [`ArrayFileMut`] are filled in memory, which counts against the [memory
/// limit](crate::Chunked::memory_limit), and then written.
#[diagnostic::on_unimplemented(
    message = "results cannot be written to `{Self}`",
    label = "expected a mutable array: an `Array`, an `ArrayViewMut`, a `MmapArrayMut`, \
             an `ArrayFileMut`, ..."
)]
pub trait ChunkTarget {
    /// The element type.
    type Elem;
    /// The dimension type.
    type Dim: Dimension;
    /// The source of chunks that are written.
    #[doc(hidden)]
    type Target<'t>: WritableSource<Elem = Self::Elem, Dim = Self::Dim>
    where
        Self: 't;

    /// Returns the source of chunks. If `overwrites`, every element of a chunk is written.
    #[doc(hidden)]
    fn target(&mut self, overwrites: bool) -> Self::Target<'_>;
}

/// A source of chunks that are written.
pub trait WritableSource: ParallelSource {
    type Elem;

    /// Calls a closure with a chunk, and writes the chunk to its array.
    fn write<E: From<Error>>(
        chunk: Self::Chunk,
        fill: impl FnOnce(ArrayViewMut<'_, Self::Elem, Self::Dim>) -> Result<(), E>,
    ) -> Result<(), E>;
}

impl<T: ChunkedMutExt<Elem: Send> + ?Sized> ChunkTarget for T {
    type Elem = T::Elem;
    type Dim = T::Dim;
    type Target<'t>
        = ArrayViewMut<'t, T::Elem, T::Dim>
    where
        Self: 't;

    fn target(&mut self, _overwrites: bool) -> Self::Target<'_> {
        self.chunked_mut().source
    }
}

impl<A: Send, D: Dimension> WritableSource for ArrayViewMut<'_, A, D> {
    type Elem = A;

    fn write<E: From<Error>>(
        chunk: Self,
        fill: impl FnOnce(ArrayViewMut<'_, A, D>) -> Result<(), E>,
    ) -> Result<(), E> {
        fill(chunk)
    }
}

impl<A: Pod + Send, D: Dimension> ChunkTarget for ArrayFileMut<A, D> {
    type Elem = A;
    type Dim = D;
    type Target<'t>
        = FileTarget<'t, A, D>
    where
        Self: 't;

    fn target(&mut self, overwrites: bool) -> FileTarget<'_, A, D> {
        let bounds = Region::whole(self.shape());
        FileTarget { file: self, bounds, overwrites }
    }
}

/// A region of a file that is written chunk by chunk.
pub struct FileTarget<'t, A, D> {
    file: &'t ArrayFileMut<A, D>,
    bounds: Region,
    overwrites: bool,
}

/// The elements of a chunk of a file.
pub struct FileChunk<'t, A, D> {
    target: FileTarget<'t, A, D>,
    elements: Array<A, D>,
}

impl<A, D> Clone for FileTarget<'_, A, D> {
    fn clone(&self) -> Self {
        Self { file: self.file, bounds: self.bounds.clone(), overwrites: self.overwrites }
    }
}

impl<A, D: Dimension> FileTarget<'_, A, D> {
    fn shape(&self) -> D {
        let mut shape = self.file.raw_dim();
        let lens = self.bounds.ranges().map(|range| range.len());
        shape.slice_mut().iter_mut().zip(lens).for_each(|(to, len)| *to = len);
        shape
    }
}

impl<A, D> sealed::Sealed for FileTarget<'_, A, D> {}

impl<'t, A: Pod, D: Dimension> ChunkSource for FileTarget<'t, A, D> {
    type Dim = D;
    type Chunk = FileChunk<'t, A, D>;
    type Splitter = Self;
    type With<Q: ChunkSource<Dim = D>> = (Self, Q);

    fn source_shape(&self) -> D {
        self.shape()
    }

    fn restrict_axis(&mut self, axis: usize, range: Range<usize>) {
        let start = self.bounds.start[axis];
        self.bounds.start[axis] = start + range.start;
        self.bounds.end[axis] = start + range.end;
    }

    fn layouts(&self, layouts: &mut Vec<StridedLayout>) {
        let (shape, order) = (self.shape(), axes_of(self.file.layout()));
        let item = size_of::<A>();
        let layout = StridedLayout::of_order(shape.slice(), &order, item, item);
        layouts.push(StridedLayout { writes: true, scratch: BUFFER_BYTES, ..layout });
    }

    fn read_path(&self) -> Option<PathBuf> {
        Some(Path::to_path_buf(self.file.path()))
    }

    fn splitter(self) -> Self {
        self
    }

    fn zip_source<Q: ChunkSource<Dim = D>>(self, other: Q) -> (Self, Q) {
        (self, other)
    }
}

impl<A: Pod, D: Dimension> Splitter<D> for FileTarget<'_, A, D> {
    type Part = Self;

    fn take_part(&mut self, region: &ChunkRegion<D>, _order: &[usize], _end: IterEnd) -> Self {
        let mut part = self.clone();
        region
            .region()
            .ranges()
            .enumerate()
            .for_each(|(axis, range)| part.restrict_axis(axis, range));
        part
    }
}

impl<'t, A: Pod, D: Dimension> Part for FileTarget<'t, A, D> {
    type Chunk = FileChunk<'t, A, D>;

    fn load(self) -> Result<FileChunk<'t, A, D>> {
        let mut elements = Vec::new();
        if self.overwrites {
            elements = self.file.zeroed(self.bounds.len())?;
        } else {
            self.file.read_region(&self.bounds, &mut elements)?;
        }
        let shape = self.shape().set_f(self.file.layout().order() == Order::F);
        let elements = Array::from_shape_vec(shape, elements).expect("an element for each index");
        Ok(FileChunk { target: self, elements })
    }
}

impl<A: Pod + Send, D: Dimension> WritableSource for FileTarget<'_, A, D> {
    type Elem = A;

    fn write<E: From<Error>>(
        mut chunk: FileChunk<'_, A, D>,
        fill: impl FnOnce(ArrayViewMut<'_, A, D>) -> Result<(), E>,
    ) -> Result<(), E> {
        fill(chunk.elements.view_mut())?;
        let FileChunk { target, elements } = chunk;
        Ok(target.file.write_region(&target.bounds, elements.view().into_dyn())?)
    }
}
