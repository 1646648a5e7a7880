//! Arrays chunk by chunk, on one thread or all: [`chunked`](ChunkedExt::chunked) is the one doorway.
//!
//! A chunk is a part of the array along one axis: an ordinary [`ArrayView`], on which all of ndarray and ndarray-stats
//! works. Chunks have the same length but for the last, which may be short. They work alike on mapped arrays, slices
//! and arrays in memory, in 0 to 6 dimensions and dynamic ones.
//!
//! ```
//! use ndarray::prelude::*;
//! use ndarray_mmap::prelude::*;
//!
//! let table = Array2::from_shape_fn((1_000, 4), |(i, j)| (i + j) as f64);
//! for rows in table.chunked().chunk_len(300) {
//!     assert!([300, 100].contains(&rows.nrows()));
//! }
//! let total = table.chunked().par_map_reduce(|rows| rows.sum(), |a, b| a + b);
//! assert_eq!(total, Some(table.sum()));
//! ```
#![forbid(unsafe_code)]

mod parallel;
mod plan;
mod walk;

use std::fmt;

use ndarray::{ArrayBase, ArrayRef, ArrayView, ArrayViewMut, Axis, Data, DataMut, Dimension, Zip};

use self::plan::{ChunkSize, Plan};
pub use self::walk::{Chunks, ChunksMut};
use crate::error::{Error, ErrorKind, Result};

/// The bytes of a chunk if nothing else is said: small enough for several threads to stay in their caches, large enough
/// that claiming one costs nothing.
const DEFAULT_BYTES: usize = 1 << 20;

/// [`chunked`](Self::chunked), for every array there is. Sealed.
pub trait ChunkedExt: sealed::Sealed {
    /// The element type.
    type Elem;
    /// The dimension type.
    type Dim: Dimension;

    /// Begins a walk over the array in chunks.
    ///
    /// Unless told otherwise, the chunks lie along the slowest axis (the first one in C order, the last one in F order)
    /// and take 1 MiB.
    fn chunked(&self) -> Chunked<'_, Self::Elem, Self::Dim>;
}

/// [`chunked_mut`](Self::chunked_mut), for every array that can be written. Sealed.
pub trait ChunkedMutExt: ChunkedExt {
    /// Begins a walk over the array in mutable chunks.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let mut celsius = Array2::<f32>::zeros((50, 1_000));
    /// celsius.chunked_mut().par_for_each(|mut chunk| chunk.mapv_inplace(|c| c * 1.8 + 32.0));
    /// assert_eq!(celsius[[49, 999]], 32.0);
    /// ```
    fn chunked_mut(&mut self) -> ChunkedMut<'_, Self::Elem, Self::Dim>;
}

/// A walk over an array in chunks: first say how to cut it, then iterate or call one of the parallel methods.
#[derive(Clone)]
#[must_use = "iterate over it or call one of its methods"]
pub struct Chunked<'a, A, D: Dimension> {
    view: ArrayView<'a, A, D>,
    axis: Option<Axis>,
    size: ChunkSize,
}

/// A walk over an array in mutable chunks; the twin of [`Chunked`].
#[must_use = "iterate over it or call one of its methods"]
pub struct ChunkedMut<'a, A, D: Dimension> {
    view: ArrayViewMut<'a, A, D>,
    axis: Option<Axis>,
    size: ChunkSize,
}

macro_rules! cutting {
    ($($walk:ident)*) => {$(
        /// How the array is cut.
        impl<'a, A, D: Dimension> $walk<'a, A, D> {
            /// Cuts along this axis. By default along the slowest, in which chunks are contiguous.
            ///
            /// ```
            /// # use ndarray::prelude::*;
            /// # use ndarray_mmap::prelude::*;
            /// let table = Array2::<f32>::zeros((3, 1_000));
            /// for columns in table.chunked().axis(Axis(1)).chunk_len(250) {
            ///     assert_eq!(columns.dim(), (3, 250));
            /// }
            /// ```
            ///
            /// # Panics
            ///
            /// If the array has no such axis.
            #[track_caller]
            pub fn axis(self, axis: Axis) -> Self {
                let ndim = self.view.ndim();
                assert!(axis.index() < ndim, "axis {} is out of bounds for an array of {ndim} dimensions", axis.index());
                Self { axis: Some(axis), ..self }
            }

            /// Chunks of this many indices along the axis; 0 counts as 1.
            pub fn chunk_len(self, len: usize) -> Self {
                Self { size: ChunkSize::Len(len), ..self }
            }

            /// Chunks of at most so many bytes of elements, but of one index along the axis at least.
            pub fn chunk_bytes(self, bytes: usize) -> Self {
                Self { size: ChunkSize::Bytes(bytes), ..self }
            }

            fn plan(&self) -> Plan {
                Plan::new(&self.view, self.axis, self.size)
            }
        }

        /// The shape and how it is cut; never the data.
        impl<A, D: Dimension> fmt::Debug for $walk<'_, A, D> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($walk))
                    .field("shape", &self.view.shape())
                    .field("plan", &self.plan())
                    .finish()
            }
        }
    )*};
}
cutting! { Chunked ChunkedMut }

impl<'a, A, D: Dimension> IntoIterator for Chunked<'a, A, D> {
    type Item = ArrayView<'a, A, D>;
    type IntoIter = Chunks<'a, A, D>;

    fn into_iter(self) -> Self::IntoIter {
        let plan = self.plan();
        Chunks::new(self.view, plan)
    }
}

impl<'a, A, D: Dimension> IntoIterator for ChunkedMut<'a, A, D> {
    type Item = ArrayViewMut<'a, A, D>;
    type IntoIter = ChunksMut<'a, A, D>;

    fn into_iter(self) -> Self::IntoIter {
        let plan = self.plan();
        ChunksMut::new(self.view, plan)
    }
}

/// Reading, on all threads of the current rayon pool, which claim the chunks in order. Without the feature `rayon`, on
/// this thread.
impl<'a, A: Sync, D: Dimension> Chunked<'a, A, D> {
    /// Calls a closure with every chunk.
    ///
    /// A panic of the closure is passed on, after the other threads have finished.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let table = Array2::<f32>::zeros((1_000, 4));
    /// let rows_seen = AtomicUsize::new(0);
    /// table.chunked().chunk_len(300).par_for_each(|rows| {
    ///     rows_seen.fetch_add(rows.nrows(), Ordering::Relaxed);
    /// });
    /// assert_eq!(rows_seen.into_inner(), 1_000);
    /// ```
    pub fn par_for_each(self, work: impl Fn(ArrayView<'a, A, D>) + Sync) {
        parallel::for_each(self.into_iter(), work);
    }

    /// Maps every chunk to a value and reduces the values from the first chunk to the last; `None` if the array has no
    /// elements.
    ///
    /// The order is that of the chunks whatever the threads do, so the result depends on the length of the chunks, but
    /// not on the number of threads. A panic of a closure is passed on.
    pub fn par_map_reduce<T: Send>(
        self,
        map: impl Fn(ArrayView<'a, A, D>) -> T + Sync,
        reduce: impl Fn(T, T) -> T + Sync,
    ) -> Option<T> {
        parallel::map_reduce(self.into_iter(), map, reduce)
    }

    /// Calls a closure with every chunk and the chunk at the same place in another array, to be written. Any ndarray
    /// code runs in it.
    ///
    /// ```
    /// use ndarray::{Zip, prelude::*};
    /// use ndarray_mmap::{MmapArrayMut, prelude::*};
    ///
    /// let celsius = Array2::<f32>::from_elem((50, 1_000), 20.0);
    /// let mut fahrenheit = MmapArrayMut::<f32, _>::scratch((50, 1_000))?;
    /// celsius.chunked().axis(Axis(1)).par_for_each_into(&mut fahrenheit, |src, mut dst| {
    ///     Zip::from(&mut dst).and(&src).for_each(|f, &c| *f = c * 1.8 + 32.0);
    /// })?;
    /// assert_eq!(fahrenheit[[7, 77]], 68.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ShapeMismatch`] if the other array has another shape; nothing is written then.
    pub fn par_for_each_into<B, T>(
        self,
        target: &mut T,
        work: impl Fn(ArrayView<'a, A, D>, ArrayViewMut<'_, B, D>) + Sync,
    ) -> Result<()>
    where
        B: Send,
        T: ChunkedMutExt<Elem = B, Dim = D> + ?Sized,
    {
        let target = target.chunked_mut().view;
        if self.view.raw_dim() != target.raw_dim() {
            let (expected, found) = (self.view.shape().to_vec(), target.shape().to_vec());
            return Err(Error::new(ErrorKind::ShapeMismatch { expected, found }, None));
        }
        let targets = ChunksMut::new(target, self.plan());
        parallel::for_each(self.into_iter().zip(targets), |(source, target)| work(source, target));
        Ok(())
    }

    /// Maps every element into another array of the same shape.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{MmapArrayMut, prelude::*};
    ///
    /// let counts = Array2::<u16>::from_elem((100, 100), 3);
    /// let mut volts = MmapArrayMut::<f64, _>::scratch((100, 100))?;
    /// counts.chunked().map_into(&mut volts, |&n| f64::from(n) * 0.5)?;
    /// assert_eq!(volts.sum(), 15_000.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ShapeMismatch`] if the other array has another shape; nothing is written then.
    pub fn map_into<B, T>(self, target: &mut T, map: impl Fn(&A) -> B + Sync) -> Result<()>
    where
        B: Send,
        T: ChunkedMutExt<Elem = B, Dim = D> + ?Sized,
    {
        self.par_for_each_into(target, |source, target| {
            Zip::from(target).and(source).for_each(|to, from| *to = map(from));
        })
    }
}

/// Writing, on all threads of the current rayon pool. Without the feature `rayon`, on this thread.
impl<'a, A: Send, D: Dimension> ChunkedMut<'a, A, D> {
    /// Calls a closure with every chunk.
    ///
    /// A panic of the closure is passed on, after the other threads have finished.
    pub fn par_for_each(self, work: impl Fn(ArrayViewMut<'a, A, D>) + Sync) {
        parallel::for_each(self.into_iter(), work);
    }
}

impl<'a, A, D: Dimension> Chunked<'a, A, D> {
    pub(crate) fn new(view: ArrayView<'a, A, D>) -> Self {
        Self { view, axis: None, size: ChunkSize::Bytes(DEFAULT_BYTES) }
    }
}

impl<'a, A, D: Dimension> ChunkedMut<'a, A, D> {
    pub(crate) fn new(view: ArrayViewMut<'a, A, D>) -> Self {
        Self { view, axis: None, size: ChunkSize::Bytes(DEFAULT_BYTES) }
    }
}

impl<A, D: Dimension> ChunkedExt for ArrayRef<A, D> {
    type Elem = A;
    type Dim = D;

    fn chunked(&self) -> Chunked<'_, A, D> {
        Chunked::new(self.view())
    }
}

impl<A, D: Dimension> ChunkedMutExt for ArrayRef<A, D> {
    fn chunked_mut(&mut self) -> ChunkedMut<'_, A, D> {
        ChunkedMut::new(self.view_mut())
    }
}

impl<S: Data, D: Dimension> ChunkedExt for ArrayBase<S, D> {
    type Elem = S::Elem;
    type Dim = D;

    fn chunked(&self) -> Chunked<'_, S::Elem, D> {
        Chunked::new(self.view())
    }
}

impl<S: DataMut, D: Dimension> ChunkedMutExt for ArrayBase<S, D> {
    fn chunked_mut(&mut self) -> ChunkedMut<'_, S::Elem, D> {
        ChunkedMut::new(self.view_mut())
    }
}

pub(crate) mod sealed {
    pub trait Sealed {}
    impl<A, D> Sealed for ndarray::ArrayRef<A, D> {}
    impl<S: ndarray::RawData, D> Sealed for ndarray::ArrayBase<S, D> {}
}
