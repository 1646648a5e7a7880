//! Extension traits that add `chunked()` and `chunked_mut()` to every array and mapped array.
#![forbid(unsafe_code)]

use std::path::Path;

use bytemuck::AnyBitPattern;
use ndarray::{ArrayBase, ArrayRef, ArrayView, ArrayViewMut, Data, DataMut, Dimension};

use super::builder::Chunked;
use super::lazy::LazyArray;
use super::source::ArraySource;
use crate::distributed::MmapArrayPart;
use crate::storage::{ArrayFile, MmapArray, MmapArrayCow, MmapArrayMut, MmapArrayPending};

/// An extension trait that adds [`chunked`](Self::chunked) to every array. Sealed.
pub trait ChunkedExt: sealed::Sealed {
    /// The element type.
    type Elem;
    /// The dimension type.
    type Dim: Dimension;
    /// The source of chunks: an [`ArrayView`], or a [`LazyArray`] for elements that are not in memory.
    type Source<'s>: ArraySource<Elem = Self::Elem, Dim = Self::Dim>
    where
        Self: 's;

    /// Returns a chunked view of the array.
    ///
    /// By default, the array is split along the slowest axis (the first one in C order, the last
    /// one in F order), into chunks of up to 2 MiB, but at least one index. For an array of shape
    /// `(1, n)`, the slowest axis is the second one.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{MmapArrayMut, prelude::*};
    ///
    /// let table = MmapArrayMut::<f64, _>::scratch((100_000, 8))?;
    /// for rows in table.chunked() {
    ///     assert!(rows.nrows() <= 32_768 && rows.ncols() == 8);
    /// }
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    fn chunked(&self) -> Chunked<'_, Self::Source<'_>>;
}

/// An extension trait that adds [`chunked_mut`](Self::chunked_mut) to every writable array. Sealed.
pub trait ChunkedMutExt: ChunkedExt {
    /// Returns a chunked view of the array with mutable chunks.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let mut celsius = Array2::<f32>::zeros((50, 1_000));
    /// celsius.chunked_mut().par_for_each(|mut chunk| chunk.mapv_inplace(|c| c * 1.8 + 32.0))?;
    /// assert_eq!(celsius[[49, 999]], 32.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    fn chunked_mut(&mut self) -> Chunked<'_, ArrayViewMut<'_, Self::Elem, Self::Dim>>;
}

macro_rules! chunked {
    ($($(#[$meta:meta])* [$generics:ident: $($bounds:tt)+] $array:ty, $element:ty, $source:ident, |$this:ident| $chunked:expr;)*) => {$(
        $(#[$meta])*
        impl<$generics: $($bounds)+, D: Dimension> ChunkedExt for $array {
            type Elem = $element;
            type Dim = D;
            type Source<'s>
                = $source<'s, $element, D>
            where
                Self: 's;

            fn chunked(&self) -> Chunked<'_, $source<'_, $element, D>> {
                let $this = self;
                $chunked
            }
        }
    )*};
}
chunked! {
    [A: Sync] ArrayRef<A, D>, A, ArrayView, |array| Chunked::new(array.view());
    [S: Data<Elem: Sync>] ArrayBase<S, D>, S::Elem, ArrayView, |array| Chunked::new(array.view());
    [A: Sync] MmapArray<A, D>, A, ArrayView, |array| mapped(array, array.path());
    [A: Sync] MmapArrayMut<A, D>, A, ArrayView, |array| mapped(array, array.path());
    [A: Sync] MmapArrayCow<A, D>, A, ArrayView, |array| mapped(array, array.path());
    [A: Sync] MmapArrayPending<A, D>, A, ArrayView, |array| mapped(array, array.path());
    [A: Sync] MmapArrayPart<A, D>, A, ArrayView, |array| mapped(array, array.path());
    /// Elements are read chunk by chunk, into memory that counts against the [memory
    /// limit](Chunked::memory_limit).
    [A: AnyBitPattern + Send + Sync] ArrayFile<A, D>, A, LazyArray, |file| {
        Chunked::new(LazyArray::of_file(file))
    };
    [A: Copy + Send + Sync] LazyArray<'_, A, D>, A, LazyArray, |lazy| {
        Chunked::new(lazy.clone().with_new_buffers())
    };
}

/// Chunks a mapped array, whose path errors contain even if it is empty.
fn mapped<'a, A, D: Dimension>(
    array: &'a ArrayRef<A, D>,
    path: Option<&'a Path>,
) -> Chunked<'a, ArrayView<'a, A, D>> {
    Chunked::new(array.view()).with_source_path(path)
}

impl<A: Sync, D: Dimension> ChunkedMutExt for ArrayRef<A, D> {
    fn chunked_mut(&mut self) -> Chunked<'_, ArrayViewMut<'_, A, D>> {
        Chunked::new(self.view_mut())
    }
}

impl<S: DataMut<Elem: Sync>, D: Dimension> ChunkedMutExt for ArrayBase<S, D> {
    fn chunked_mut(&mut self) -> Chunked<'_, ArrayViewMut<'_, S::Elem, D>> {
        Chunked::new(self.view_mut())
    }
}

macro_rules! chunked_mut {
    ($($array:ident)*) => {$(
        impl<A: Sync, D: Dimension> ChunkedMutExt for $array<A, D> {
            fn chunked_mut(&mut self) -> Chunked<'_, ArrayViewMut<'_, A, D>> {
                Chunked::new(self.view_mut())
            }
        }
    )*};
}
chunked_mut! { MmapArrayMut MmapArrayCow MmapArrayPending MmapArrayPart }

mod sealed {
    pub trait Sealed {}

    macro_rules! sealed {
        ($($array:ty)*) => {
            $(impl<A, D: ndarray::Dimension> Sealed for $array {})*
        };
    }
    sealed! {
        ndarray::ArrayRef<A, D>
        super::MmapArray<A, D>
        super::MmapArrayMut<A, D>
        super::MmapArrayCow<A, D>
        super::MmapArrayPending<A, D>
        super::MmapArrayPart<A, D>
        super::ArrayFile<A, D>
        super::LazyArray<'_, A, D>
    }
    impl<S: ndarray::RawData, D> Sealed for ndarray::ArrayBase<S, D> {}
}
