//! Sources of chunks: views, mutable views, lazy arrays, and tuples of up to four of them.
#![forbid(unsafe_code)]

mod owned;
mod views;
mod zipped;

use std::ops::{Deref, Range};
use std::path::PathBuf;

use ndarray::{ArrayRef, Dimension};
#[allow(unused_imports, reason = "for links in the docs")]
use ndarray::{ArrayView, ArrayViewMut};

pub(super) use self::owned::owned_chunks;
pub(super) use self::views::{operand, slice, slice_mut};
pub use self::zipped::Indexed;
use super::any_array::{AnyArray, Loaded};
use super::elements::MemoryOrder;
#[allow(unused_imports, reason = "for links in the docs")]
use super::lazy::LazyArray;
use super::lazy::{Computed, Operand};
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

    /// Returns whether large regions are read faster than small ones.
    #[doc(hidden)]
    fn is_read_in_batches(&self) -> bool;

    /// Reads the elements inside a region, unless they are in memory. Pages of mapped arrays must be
    /// pinned.
    #[doc(hidden)]
    fn load(&self, bounds: &Region) -> Result<Loaded<'_, Self::Elem>>
    where
        Self::Elem: Copy;

    /// Prepares the computation of the elements inside a region, in the memory order of the array;
    /// `None` if they are not computed from contiguous slices in memory.
    #[doc(hidden)]
    fn computed(&self, _bounds: &Region) -> Result<Option<Box<dyn Computed<Self::Elem> + '_>>> {
        Ok(None)
    }

    /// Returns the elements inside a region for the computation of others, if they are contiguous in
    /// memory in the given order, or computed in this order.
    #[doc(hidden)]
    fn operand(
        &self,
        bounds: &Region,
        order: &MemoryOrder,
    ) -> Result<Option<Operand<'_, Self::Elem>>>;
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
