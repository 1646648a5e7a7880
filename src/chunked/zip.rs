//! Zipping of several arrays.
#![forbid(unsafe_code)]
#![allow(clippy::type_complexity, reason = "an alias would hide that chunks are tuples of views")]

use ndarray::{ArrayViewMut, Dimension};

use super::source::ChunkSource;
use super::{Chunked, ChunkedExt, ChunkedMutExt};
#[allow(unused_imports, reason = "for links in the docs")]
use crate::error::{ErrorKind, Result};

/// Zipping of arrays.
impl<'a, P: ChunkSource> Chunked<'a, P> {
    /// Zips another array of the same shape, so that chunks are tuples. Up to four arrays form a
    /// flat tuple. (Further arrays are nested: `((a, b, c, d), e)`.)
    ///
    /// The chunks may be configured before or after this call. A [halo](Self::halo) must be set
    /// before any array to be written is added. Chunks follow the memory order of the first array.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let a = Array2::<f32>::ones((100, 4));
    /// let b = Array2::<f32>::ones((100, 4));
    /// let c = Array2::<u8>::ones((100, 4));
    /// let dot = a.chunked().and(&b)?.par_map_reduce(|(a, b)| (&a * &b).sum(), |x, y| x + y)?;
    /// assert_eq!(dot, Some(400.0));
    /// for (a, b, c) in a.chunked().and(&b)?.and(&c)?.chunk_len(30) {
    ///     assert_eq!((a.dim(), b.dim()), (b.dim(), c.dim()));
    /// }
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::ShapeMismatch`] if the shapes differ.
    pub fn and<T>(self, other: &'a T) -> Result<Chunked<'a, P::With<T::Source<'a>>>>
    where
        T: ChunkedExt<Dim = P::Dim> + ?Sized,
    {
        self.with(other.chunked().source)
    }

    /// Zips another array of the same shape for writing, see [`and`](Self::and).
    ///
    /// ```
    /// use ndarray::{Zip, prelude::*};
    /// use ndarray_mmap::prelude::*;
    ///
    /// let x = Array1::from_elem(1_000, 2.0_f64);
    /// let mut sin = Array1::<f64>::zeros(1_000);
    /// let mut cos = Array1::<f64>::zeros(1_000);
    /// x.chunked().and_mut(&mut sin)?.and_mut(&mut cos)?.par_for_each(|(x, sin, cos)| {
    ///     Zip::from(sin).and(cos).and(x).for_each(|sin, cos, x| (*sin, *cos) = x.sin_cos());
    /// })?;
    /// assert_eq!((sin[999], cos[999]), 2.0_f64.sin_cos());
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::ShapeMismatch`] if the shapes differ.
    pub fn and_mut<T>(
        self,
        other: &'a mut T,
    ) -> Result<Chunked<'a, P::With<ArrayViewMut<'a, T::Elem, P::Dim>>>>
    where
        T: ChunkedMutExt<Dim = P::Dim> + ?Sized,
    {
        self.with(other.chunked_mut().source)
    }

    /// Zips the arrays of another operation, whose configuration has no effect.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let x = array![1.0, -2.0, 4.0];
    /// let y = array![1, 2, 5];
    /// let y = y.chunked().map(|&y| f64::from(y));
    /// let sum = x.chunked().zip(y)?.map(|(x, y)| (x - y).abs()).sum()?;
    /// assert_eq!(sum, 5.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::ShapeMismatch`] if the shapes differ.
    pub fn zip<Q>(self, other: Chunked<'_, Q>) -> Result<Chunked<'a, P::With<Q>>>
    where
        Q: ChunkSource<Dim = P::Dim>,
    {
        self.with(other.source)
    }

    fn with<Q: ChunkSource<Dim = P::Dim>>(self, other: Q) -> Result<Chunked<'a, P::With<Q>>> {
        self.same_shape(&other)?;
        Ok(self.map_source(|source| source.zip_source(other)))
    }

    /// Zips a source of the same shape as the second part of a pair.
    pub(crate) fn pair<'t, Q>(self, other: Q) -> Result<Chunked<'t, (P, Q)>>
    where
        Q: ChunkSource<Dim = P::Dim>,
        Self: 't,
    {
        self.same_shape(&other)?;
        Ok(self.map_source(|source| (source, other)))
    }

    fn same_shape(&self, other: &impl ChunkSource<Dim = P::Dim>) -> Result<()> {
        let shape = self.source.source_shape();
        if shape == other.source_shape() {
            Ok(())
        } else {
            Err(self.shape_mismatch(shape.slice(), other))
        }
    }
}
