//! Extension traits that add `chunked()` and `chunked_mut()` to every array and mapped array.
#![forbid(unsafe_code)]

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

impl<A: Sync, D: Dimension> ChunkedExt for ArrayRef<A, D> {
    type Elem = A;
    type Dim = D;
    type Source<'s>
        = ArrayView<'s, A, D>
    where
        Self: 's;

    fn chunked(&self) -> Chunked<'_, ArrayView<'_, A, D>> {
        Chunked::new(self.view())
    }
}

impl<A: Sync, D: Dimension> ChunkedMutExt for ArrayRef<A, D> {
    fn chunked_mut(&mut self) -> Chunked<'_, ArrayViewMut<'_, A, D>> {
        Chunked::new(self.view_mut())
    }
}

impl<S: Data<Elem: Sync>, D: Dimension> ChunkedExt for ArrayBase<S, D> {
    type Elem = S::Elem;
    type Dim = D;
    type Source<'s>
        = ArrayView<'s, S::Elem, D>
    where
        Self: 's;

    fn chunked(&self) -> Chunked<'_, ArrayView<'_, S::Elem, D>> {
        Chunked::new(self.view())
    }
}

impl<S: DataMut<Elem: Sync>, D: Dimension> ChunkedMutExt for ArrayBase<S, D> {
    fn chunked_mut(&mut self) -> Chunked<'_, ArrayViewMut<'_, S::Elem, D>> {
        Chunked::new(self.view_mut())
    }
}

macro_rules! chunked {
    ($($array:ident)*) => {$(
        impl<A, D: Dimension> sealed::Sealed for $array<A, D> {}

        impl<A: Sync, D: Dimension> ChunkedExt for $array<A, D> {
            type Elem = A;
            type Dim = D;
            type Source<'s>
                = ArrayView<'s, A, D>
            where
                Self: 's;

            fn chunked(&self) -> Chunked<'_, ArrayView<'_, A, D>> {
                Chunked::new(self.view()).with_source_path(self.path())
            }
        }
    )*};
}
chunked! { MmapArray MmapArrayMut MmapArrayCow MmapArrayPending MmapArrayPart }

impl<A, D> sealed::Sealed for ArrayFile<A, D> {}

/// Elements are read chunk by chunk, into memory that counts against the [memory
/// limit](Chunked::memory_limit).
impl<A: AnyBitPattern + Send + Sync, D: Dimension> ChunkedExt for ArrayFile<A, D> {
    type Elem = A;
    type Dim = D;
    type Source<'s>
        = LazyArray<'s, A, D>
    where
        Self: 's;

    fn chunked(&self) -> Chunked<'_, LazyArray<'_, A, D>> {
        Chunked::new(LazyArray::of_file(self))
    }
}

impl<A, D> sealed::Sealed for LazyArray<'_, A, D> {}

impl<A: Copy + Send + Sync, D: Dimension> ChunkedExt for LazyArray<'_, A, D> {
    type Elem = A;
    type Dim = D;
    type Source<'s>
        = LazyArray<'s, A, D>
    where
        Self: 's;

    fn chunked(&self) -> Chunked<'_, LazyArray<'_, A, D>> {
        Chunked::new(self.clone().with_new_buffers())
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
    impl<A, D> Sealed for ndarray::ArrayRef<A, D> {}
    impl<S: ndarray::RawData, D> Sealed for ndarray::ArrayBase<S, D> {}
}
