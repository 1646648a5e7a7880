//! Sources of chunks: views, mutable views, lazy arrays, and tuples of up to four of them.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ops::{Deref, Range};
use std::path::PathBuf;

use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Axis, Dimension, Slice};

use super::any_array::{AnyArray, Loaded};
#[allow(unused_imports, reason = "for links in the docs")]
use super::lazy::LazyArray;
use super::region::ChunkRegion;
use crate::distributed::SavedArray;
use crate::error::Result;
use crate::geometry::{Region, StridedLayout};

/// A source of chunks: an [`ArrayView`], an [`ArrayViewMut`], a [`LazyArray`], or a tuple of two to
/// four of them. Sealed.
///
/// Functions that take any [`Chunked`](crate::Chunked) have this trait as a bound:
///
/// ```
/// use ndarray_mmap::{Chunked, Result, TryChunks, chunked::ChunkSource};
///
/// /// Iterates in chunks of 64 KiB, within 16 MiB of resident memory.
/// fn small_chunks<P: ChunkSource>(chunked: Chunked<'_, P>) -> Result<TryChunks<P>> {
///     chunked.chunk_bytes(64 << 10).memory_limit(16 << 20).try_iter()
/// }
/// # use ndarray_mmap::prelude::*;
/// # assert_eq!(small_chunks(ndarray::arr1(&[1.0]).chunked())?.count(), 1);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be split into chunks",
    label = "expected an `ArrayView`, an `ArrayViewMut`, a `LazyArray`, or a tuple of them",
    note = "call `chunked()` or `chunked_mut()` on an array, and `and` or `and_mut` to add others"
)]
pub trait ChunkSource: Sized + sealed::Sealed {
    /// The dimension type.
    type Dim: Dimension;
    /// A chunk: a view, an owned array of a [`LazyArray`], or a tuple of them.
    type Chunk;
    #[doc(hidden)]
    type Splitter: Splitter<Self::Dim, Part: Part<Chunk = Self::Chunk>>;

    /// The tuple of these arrays and one more.
    type With<Q: ChunkSource<Dim = Self::Dim>>: ChunkSource<Dim = Self::Dim>;

    /// Returns the common shape of all arrays.
    #[doc(hidden)]
    fn source_shape(&self) -> Self::Dim;
    /// Restricts all arrays to a range of indices along an axis.
    #[doc(hidden)]
    fn restrict_axis(&mut self, axis: usize, range: Range<usize>);
    /// Appends the memory layout of each array.
    #[doc(hidden)]
    fn layouts(&self, layouts: &mut Vec<StridedLayout>);
    /// Returns the path of the first array that is read from a file with a path. Paths of mapped
    /// arrays are found by their layouts.
    #[doc(hidden)]
    fn read_path(&self) -> Option<PathBuf> {
        None
    }
    /// Describes the files from which arrays are read.
    #[doc(hidden)]
    fn saved_files(&self) -> Result<Vec<SavedArray>> {
        Ok(Vec::new())
    }
    #[doc(hidden)]
    fn splitter(self) -> Self::Splitter;
    #[doc(hidden)]
    fn zip_source<Q: ChunkSource<Dim = Self::Dim>>(self, other: Q) -> Self::With<Q>;
}

/// A [`ChunkSource`] of read-only arrays, whose chunks may overlap. Sealed.
///
/// ```
/// use ndarray::Ix2;
/// use ndarray_mmap::{Chunked, chunked::ReadOnlySource};
///
/// /// Chunks that include the edges of their neighbours.
/// fn with_edges<P: ReadOnlySource<Dim = Ix2>>(chunked: Chunked<'_, P>) -> Chunked<'_, P> {
///     chunked.chunk_shape((64, 4_096)).halo((1, 1))
/// }
/// # use ndarray_mmap::prelude::*;
/// # assert_eq!(with_edges(ndarray::arr2(&[[1.0]]).chunked()).into_iter().len(), 1);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is writable, and chunks that are written cannot overlap",
    label = "expected read-only arrays",
    note = "call `chunked()` instead of `chunked_mut()`, or `halo` before `and_mut`"
)]
pub trait ReadOnlySource: ChunkSource {}

/// A [`ChunkSource`] whose chunks can be sent to other threads: elements that are read are `Sync`,
/// those that are written `Send`. Sealed.
#[diagnostic::on_unimplemented(
    message = "chunks of `{Self}` cannot be sent to other threads",
    label = "elements that are read must be `Sync`, elements that are written `Send`"
)]
pub trait ParallelSource:
    ChunkSource<Chunk: Send, Splitter: Splitter<Self::Dim, Part: Send> + Send>
{
}

impl<P> ParallelSource for P where
    P: ChunkSource<Chunk: Send, Splitter: Splitter<P::Dim, Part: Send> + Send>
{
}

/// One read-only array: an [`ArrayView`] or a [`LazyArray`]. Sealed.
///
/// Functions that compute statistics of any array have this trait as a bound:
///
/// ```
/// use ndarray_mmap::{Chunked, Result, chunked::ArraySource};
///
/// /// The range between the quartiles.
/// fn interquartile_range<P: ArraySource<Elem = f64>>(chunked: Chunked<'_, P>) -> Result<f64> {
///     let quartiles = chunked.quantiles(&[0.25, 0.75], Default::default())?;
///     Ok(quartiles[1] - quartiles[0])
/// }
/// # use ndarray_mmap::prelude::*;
/// # let values = ndarray::Array1::linspace(0.0, 8.0, 9);
/// # assert_eq!(interquartile_range(values.chunked())?, 4.0);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not one read-only array",
    label = "expected an `ArrayView` or a `LazyArray`",
    note = "call `chunked()` instead of `chunked_mut()`, before `and` and `indexed`"
)]
pub trait ArraySource:
    ReadOnlySource<Chunk: Deref<Target = ArrayRef<Self::Elem, Self::Dim>>> + Clone + Send + Sync
{
    /// The element type.
    type Elem;

    /// Makes the type independent of kind and dimension.
    #[doc(hidden)]
    fn into_any<'v>(self) -> AnyArray<'v, Self::Elem>
    where
        Self: 'v;

    /// Reverses an axis.
    #[doc(hidden)]
    fn invert_axis(&mut self, axis: usize);

    /// Returns whether elements are read into buffers.
    #[doc(hidden)]
    fn is_buffered(&self) -> bool;

    /// Reads the elements inside a region, unless they are in memory. Pages of mapped arrays must be
    /// pinned.
    #[doc(hidden)]
    fn load(&self, bounds: &Region) -> Result<Loaded<'_, Self::Elem>>
    where
        Self::Elem: Copy;
}

/// The end from which a chunk is taken.
#[derive(Clone, Copy, Debug)]
pub enum IterEnd {
    Front,
    Back,
}

/// Splits a source into parts, from either end.
pub trait Splitter<D> {
    type Part;

    /// Returns the part of a region. The elements between it and the end it is taken from are
    /// dropped.
    fn take_part(&mut self, region: &ChunkRegion<D>, order: &[usize], end: IterEnd) -> Self::Part;
}

/// A part of a source whose elements are not yet read.
pub trait Part {
    type Chunk;

    /// Reads the elements, unless they are in memory. The pages of mapped arrays must be pinned.
    fn load(self) -> Result<Self::Chunk>;
}

macro_rules! view_source {
    ($view:ident, $splitter:ident, is_writable: $is_writable:literal) => {
        impl<'a, A, D: Dimension> ChunkSource for $view<'a, A, D> {
            type Dim = D;
            type Chunk = $view<'a, A, D>;
            type Splitter = $splitter<'a, A, D>;
            type With<Q: ChunkSource<Dim = Self::Dim>> = (Self, Q);

            fn source_shape(&self) -> D {
                self.raw_dim()
            }

            fn restrict_axis(&mut self, axis: usize, range: Range<usize>) {
                self.slice_axis_inplace(Axis(axis), Slice::from(range));
            }

            fn layouts(&self, layouts: &mut Vec<StridedLayout>) {
                layouts.push(StridedLayout::of(self, $is_writable));
            }

            fn splitter(self) -> Self::Splitter {
                self.into()
            }

            fn zip_source<Q: ChunkSource<Dim = Self::Dim>>(self, other: Q) -> (Self, Q) {
                (self, other)
            }
        }

        impl<A, D: Dimension> Part for $view<'_, A, D> {
            type Chunk = Self;

            fn load(self) -> Result<Self> {
                Ok(self)
            }
        }
    };
}
view_source! { ArrayView, ArrayView, is_writable: false }
view_source! { ArrayViewMut, UnsplitRegions, is_writable: true }

impl<A, D: Dimension> ReadOnlySource for ArrayView<'_, A, D> {}

impl<A, D: Dimension> Splitter<D> for ArrayView<'_, A, D> {
    type Part = Self;

    fn take_part(&mut self, region: &ChunkRegion<D>, _order: &[usize], _end: IterEnd) -> Self {
        slice(self.clone(), region.region_with_halo())
    }
}

impl<A: Sync, D: Dimension> ArraySource for ArrayView<'_, A, D> {
    type Elem = A;

    fn into_any<'v>(self) -> AnyArray<'v, A>
    where
        Self: 'v,
    {
        AnyArray::View(self.into_dyn())
    }

    fn invert_axis(&mut self, axis: usize) {
        self.invert_axis(Axis(axis));
    }

    fn is_buffered(&self) -> bool {
        false
    }

    fn load(&self, bounds: &Region) -> Result<Loaded<'_, A>> {
        Ok(Loaded::View(slice(self.view(), bounds).into_dyn()))
    }
}

/// Implements the traits of a read-only source whose chunks are read into owned arrays.
macro_rules! owned_chunks {
    ([$($generics:tt)*] $array:ty, $dim:ty) => {
        const _: () = {
            use std::ops::Range;
            use std::path::{Path, PathBuf};

            use ndarray::{Array, Axis};

            use crate::chunked::region::ChunkRegion;
            use crate::chunked::source::{ChunkSource, IterEnd, Part, ReadOnlySource, Splitter};
            use crate::distributed::SavedArray;
            use crate::geometry::StridedLayout;

            impl<A: Copy, $($generics)*> ChunkSource for $array {
                type Dim = $dim;
                type Chunk = Array<A, $dim>;
                type Splitter = Self;
                type With<Q: ChunkSource<Dim = $dim>> = (Self, Q);

                fn source_shape(&self) -> $dim {
                    self.raw_dim()
                }

                fn restrict_axis(&mut self, axis: usize, range: Range<usize>) {
                    self.slice_axis_inplace(Axis(axis), range);
                }

                fn layouts(&self, layouts: &mut Vec<StridedLayout>) {
                    layouts.extend_from_slice(&self.layouts());
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

                fn zip_source<Q: ChunkSource<Dim = $dim>>(self, other: Q) -> (Self, Q) {
                    (self, other)
                }
            }

            impl<A: Copy, $($generics)*> ReadOnlySource for $array {}

            impl<A: Copy, $($generics)*> Splitter<$dim> for $array {
                type Part = Self;

                fn take_part(
                    &mut self,
                    region: &ChunkRegion<$dim>,
                    _order: &[usize],
                    _end: IterEnd,
                ) -> Self {
                    self.slice_region(region.region_with_halo())
                }
            }

            impl<A: Copy, $($generics)*> Part for $array {
                type Chunk = Array<A, $dim>;

                fn load(self) -> Result<Array<A, $dim>> {
                    self.to_array()
                }
            }
        };
    };
}
pub(super) use owned_chunks;

/// Returns the part of a view inside a region.
pub(super) fn slice<'a, A, D: Dimension>(
    mut view: ArrayView<'a, A, D>,
    bounds: &Region,
) -> ArrayView<'a, A, D> {
    for (axis, range) in bounds.ranges().enumerate() {
        if range.len() < view.len_of(Axis(axis)) {
            view.slice_axis_inplace(Axis(axis), Slice::from(range));
        }
    }
    view
}

/// The remaining regions of a mutable array, which are few, in the order of iteration.
#[derive(Debug)]
pub struct UnsplitRegions<'a, A, D: Dimension>(VecDeque<(Region, ArrayViewMut<'a, A, D>)>);

impl<'a, A, D: Dimension> From<ArrayViewMut<'a, A, D>> for UnsplitRegions<'a, A, D> {
    fn from(view: ArrayViewMut<'a, A, D>) -> Self {
        let bounds = Region::whole(view.shape());
        Self(VecDeque::from([(bounds, view)]))
    }
}

impl<'a, A, D: Dimension> Splitter<D> for UnsplitRegions<'a, A, D> {
    type Part = ArrayViewMut<'a, A, D>;

    fn take_part(&mut self, region: &ChunkRegion<D>, order: &[usize], end: IterEnd) -> Self::Part {
        let target = region.region();
        let (mut bounds, mut view) = loop {
            let next = match end {
                IterEnd::Front => self.0.pop_front(),
                IterEnd::Back => self.0.pop_back(),
            };
            let next = next.expect("each chunk is taken once");
            if target
                .ranges()
                .zip(next.0.ranges())
                .all(|(chunk, rest)| rest.start <= chunk.start && chunk.end <= rest.end)
            {
                break next;
            }
        };
        // Axes are split from the slowest to the fastest, so that every remainder comes before or
        // after the chunk.
        for &axis in order {
            let chunk = target.range(axis);
            if bounds.start[axis] < chunk.start {
                let (before, rest) = split((bounds, view), axis, chunk.start);
                if let IterEnd::Back = end {
                    self.0.push_back(before);
                }
                (bounds, view) = rest;
            }
            if chunk.end < bounds.end[axis] {
                let (rest, after) = split((bounds, view), axis, chunk.end);
                if let IterEnd::Front = end {
                    self.0.push_front(after);
                }
                (bounds, view) = rest;
            }
        }
        view
    }
}

type Node<'a, A, D> = (Region, ArrayViewMut<'a, A, D>);

fn split<'a, A, D: Dimension>(
    (bounds, view): Node<'a, A, D>,
    axis: usize,
    at: usize,
) -> (Node<'a, A, D>, Node<'a, A, D>) {
    let (first_view, second_view) = view.split_at(Axis(axis), at - bounds.start[axis]);
    let mut first = bounds.clone();
    let mut second = bounds;
    first.end[axis] = at;
    second.start[axis] = at;
    ((first, first_view), (second, second_view))
}

macro_rules! tuples {
    ($($first:ident $($rest:ident)*: $with:ty, $self:ident $other:ident $value:expr;)*) => {$(
        #[allow(non_snake_case)]
        impl<$first: ChunkSource, $($rest: ChunkSource<Dim = $first::Dim>),*> ChunkSource for ($first, $($rest),*) {
            type Dim = $first::Dim;
            type Chunk = ($first::Chunk, $($rest::Chunk),*);
            type Splitter = ($first::Splitter, $($rest::Splitter),*);
            type With<Q: ChunkSource<Dim = Self::Dim>> = $with;

            fn source_shape(&self) -> Self::Dim {
                self.0.source_shape()
            }

            fn restrict_axis(&mut self, axis: usize, range: Range<usize>) {
                let ($first, $($rest),*) = self;
                $($rest.restrict_axis(axis, range.clone());)*
                $first.restrict_axis(axis, range);
            }

            fn layouts(&self, layouts: &mut Vec<StridedLayout>) {
                let ($first, $($rest),*) = self;
                $first.layouts(layouts);
                $($rest.layouts(layouts);)*
            }

            fn read_path(&self) -> Option<PathBuf> {
                let ($first, $($rest),*) = self;
                $first.read_path()$(.or_else(|| $rest.read_path()))*
            }

            fn saved_files(&self) -> Result<Vec<SavedArray>> {
                let ($first, $($rest),*) = self;
                let mut files = $first.saved_files()?;
                $(files.append(&mut $rest.saved_files()?);)*
                Ok(files)
            }

            fn splitter(self) -> Self::Splitter {
                let ($first, $($rest),*) = self;
                ($first.splitter(), $($rest.splitter()),*)
            }

            fn zip_source<Q: ChunkSource<Dim = Self::Dim>>($self, $other: Q) -> Self::With<Q> {
                $value
            }
        }

        impl<$first: ReadOnlySource, $($rest: ReadOnlySource<Dim = $first::Dim>),*> ReadOnlySource for ($first, $($rest),*) {}
        impl<$first: sealed::Sealed, $($rest: sealed::Sealed),*> sealed::Sealed for ($first, $($rest),*) {}

        #[allow(non_snake_case)]
        impl<Dim, $first: Splitter<Dim>, $($rest: Splitter<Dim>),*> Splitter<Dim> for ($first, $($rest),*) {
            type Part = ($first::Part, $($rest::Part),*);

            fn take_part(&mut self, region: &ChunkRegion<Dim>, order: &[usize], end: IterEnd) -> Self::Part {
                let ($first, $($rest),*) = self;
                ($first.take_part(region, order, end), $($rest.take_part(region, order, end)),*)
            }
        }

        #[allow(non_snake_case)]
        impl<$first: Part, $($rest: Part),*> Part for ($first, $($rest),*) {
            type Chunk = ($first::Chunk, $($rest::Chunk),*);

            fn load(self) -> Result<Self::Chunk> {
                let ($first, $($rest),*) = self;
                Ok(($first.load()?, $($rest.load()?),*))
            }
        }
    )*};
}
tuples! {
    A B: (A, B, Q), self other (self.0, self.1, other);
    A B C: (A, B, C, Q), self other (self.0, self.1, self.2, other);
    A B C D: (Self, Q), self other (self, other);
}

/// A source whose chunks include their [region](ChunkRegion), created by
/// [`indexed`](crate::Chunked::indexed).
#[derive(Clone, Debug)]
pub struct Indexed<P>(pub(super) P);

impl<P: ChunkSource> ChunkSource for Indexed<P> {
    type Dim = P::Dim;
    type Chunk = (ChunkRegion<P::Dim>, P::Chunk);
    type Splitter = Indexed<P::Splitter>;
    type With<Q: ChunkSource<Dim = Self::Dim>> = (Self, Q);

    fn source_shape(&self) -> P::Dim {
        self.0.source_shape()
    }

    fn restrict_axis(&mut self, axis: usize, range: Range<usize>) {
        self.0.restrict_axis(axis, range);
    }

    fn layouts(&self, layouts: &mut Vec<StridedLayout>) {
        self.0.layouts(layouts);
    }

    fn read_path(&self) -> Option<PathBuf> {
        self.0.read_path()
    }

    fn saved_files(&self) -> Result<Vec<SavedArray>> {
        self.0.saved_files()
    }

    fn splitter(self) -> Self::Splitter {
        Indexed(self.0.splitter())
    }

    fn zip_source<Q: ChunkSource<Dim = Self::Dim>>(self, other: Q) -> (Self, Q) {
        (self, other)
    }
}

impl<P: ReadOnlySource> ReadOnlySource for Indexed<P> {}

impl<D: Dimension, C: Splitter<D>> Splitter<D> for Indexed<C> {
    type Part = (ChunkRegion<D>, C::Part);

    fn take_part(&mut self, region: &ChunkRegion<D>, order: &[usize], end: IterEnd) -> Self::Part {
        (region.clone(), self.0.take_part(region, order, end))
    }
}

impl<D> Part for ChunkRegion<D> {
    type Chunk = Self;

    fn load(self) -> Result<Self> {
        Ok(self)
    }
}

pub(super) mod sealed {
    use ndarray::{ArrayView, ArrayViewMut, Dimension};

    use super::super::any_array::AnyArray;
    use super::super::lazy::LazyArray;

    pub trait Sealed {}
    impl<A, D: Dimension> Sealed for ArrayView<'_, A, D> {}
    impl<A, D: Dimension> Sealed for ArrayViewMut<'_, A, D> {}
    impl<A, D> Sealed for LazyArray<'_, A, D> {}
    impl<A> Sealed for AnyArray<'_, A> {}
    impl<P: Sealed> Sealed for super::Indexed<P> {}
}
