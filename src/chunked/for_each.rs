//! Parallel iteration over chunks, and parallel reduction.
#![forbid(unsafe_code)]

use std::slice;

use ndarray::Dimension;

use super::Chunked;
use super::iter::ChunkIter;
use super::pairwise::PairwiseReduction;
use super::pass::Pass;
use super::region::ChunkRegion;
use super::source::{ParallelSource, Part};
use crate::error::{Error, Result};
use crate::geometry::ChunkGrid;
use crate::paging::ResidencyPlan;

/// Parallel methods. They run on all threads of the current rayon pool, which claim the chunks in
/// order. Without the feature `rayon`, they run on the calling thread.
///
/// Fallible closures return any error type that is `Send` and `From<ndarray_mmap::Error>`: a custom
/// enum with such a variant, `std::io::Error`, `anyhow::Error`,
/// `Box<dyn std::error::Error + Send + Sync>`.
///
/// For results of a different shape than the array, such as one value for each row, see [two zipped
/// iterators](crate::doc::chunked#results-of-another-shape).
///
/// # Errors of parallel methods
///
/// All parallel methods return
///
/// - [`ErrorKind::MemoryLimitExceeded`](crate::ErrorKind::MemoryLimitExceeded) if a chunk does not
///   fit the [memory limit](Chunked::memory_limit),
/// - [`ErrorKind::FileTruncated`](crate::ErrorKind::FileTruncated) if a file was truncated, which is
///   checked for mapped files before each chunk and at the end, and for others when they are read,
/// - [`ErrorKind::Io`](crate::ErrorKind::Io) if a chunk cannot be read (of a mapped file, on Linux),
/// - [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull) on Linux if the disk has no space
///   for a chunk.
///
/// If a file is truncated or a disk fails while a chunk is in use, the process receives `SIGBUS`,
/// as with any mapped file: see [failure modes](crate::doc::failure_modes).
impl<P> Chunked<'_, P>
where
    P: ParallelSource,
{
    /// Calls a closure with every chunk.
    ///
    /// A panic of the closure propagates after the other threads have finished their chunks.
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
    /// })?;
    /// assert_eq!(rows_seen.into_inner(), 1_000);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [all parallel methods](#errors-of-parallel-methods).
    pub fn par_for_each(self, work: impl Fn(P::Chunk) + Sync) -> Result<()> {
        self.par_try_for_each(|chunk| {
            work(chunk);
            Ok(())
        })
    }

    /// Calls a closure with every chunk, until one call fails.
    ///
    /// ```
    /// use std::io;
    ///
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let table = Array2::<f32>::ones((1_000, 4));
    /// let result = table.chunked().chunk_len(300).par_try_for_each(|rows| match rows.sum() {
    ///     1_200.0 => Ok(()),
    ///     sum => Err(io::Error::other(format!("the chunk's sum is {sum}"))),
    /// });
    /// assert_eq!(result.unwrap_err().to_string(), "the chunk's sum is 400");
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the error of the first failing chunk, and the errors of [all parallel
    /// methods](#errors-of-parallel-methods). No more chunks are started after an error, but chunks
    /// after the failed one may have been processed already.
    pub fn par_try_for_each<E>(
        self,
        work: impl Fn(P::Chunk) -> Result<(), E> + Sync,
    ) -> Result<(), E>
    where
        E: From<Error> + Send,
    {
        self.for_each_indexed(|_number, chunk| work(chunk))
    }

    /// Maps every chunk to a value and reduces the values. Returns `None` if the array has no
    /// elements.
    ///
    /// Values are merged pairwise in a fixed binary tree: `reduce` is called with the values of
    /// adjacent chunks, earlier chunks first. The structure of the tree depends only on the number
    /// of chunks.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let table = Array2::from_shape_fn((1_000, 4), |(i, j)| (i + j) as f64);
    /// let total = table.chunked().par_map_reduce(|rows| rows.sum(), |a, b| a + b)?;
    /// assert_eq!(total, Some(table.sum()));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [all parallel methods](#errors-of-parallel-methods).
    pub fn par_map_reduce<T: Send>(
        self,
        map: impl Fn(P::Chunk) -> T + Sync,
        reduce: impl Fn(T, T) -> T + Sync,
    ) -> Result<Option<T>> {
        self.par_try_map_reduce(|chunk| Ok(map(chunk)), reduce)
    }

    /// Maps every chunk with a fallible closure and reduces the values, see
    /// [`par_map_reduce`](Self::par_map_reduce).
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// type BoxError = Box<dyn std::error::Error + Send + Sync>;
    ///
    /// fn positive(rows: ArrayView2<'_, f64>) -> Result<usize, BoxError> {
    ///     if rows.iter().any(|&x| x < 0.0) {
    ///         return Err("a negative value".into());
    ///     }
    ///     Ok(rows.len())
    /// }
    ///
    /// let table = Array2::<f64>::ones((1_000, 4));
    /// let checked = table.chunked().par_try_map_reduce(positive, |a, b| a + b);
    /// assert_eq!(checked.unwrap(), Some(4_000));
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`par_try_for_each`](Self::par_try_for_each).
    pub fn par_try_map_reduce<T, E>(
        self,
        map: impl Fn(P::Chunk) -> Result<T, E> + Sync,
        reduce: impl Fn(T, T) -> T + Sync,
    ) -> Result<Option<T>, E>
    where
        T: Send,
        E: From<Error> + Send,
    {
        let first = self.grid().chunks().start;
        let tree = PairwiseReduction::new();
        self.for_each_indexed(|index, chunk| -> Result<(), E> {
            tree.add(0, index - first, map(chunk)?, &reduce);
            Ok(())
        })?;
        Ok(tree.finish(&reduce))
    }

    /// Calls a closure with the index of every chunk and the chunk.
    fn for_each_indexed<E>(
        self,
        work: impl Fn(usize, P::Chunk) -> Result<(), E> + Sync,
    ) -> Result<(), E>
    where
        E: From<Error> + Send,
    {
        let grid = self.grid();
        let division = self.division();
        let plan = division.residency_plan(&grid, 1, division.chunk_buffers(&grid));
        let plan = self.with_path(plan)?;
        self.for_each_in_grid(grid, plan, work)
    }

    /// Calls a closure with the index of every chunk and the chunk, for a custom grid.
    pub(super) fn for_each_in_grid<E>(
        self,
        grid: ChunkGrid,
        plan: ResidencyPlan,
        work: impl Fn(usize, P::Chunk) -> Result<(), E> + Sync,
    ) -> Result<(), E>
    where
        E: From<Error> + Send,
    {
        let pass = Pass::new(&plan, self.config.progress.as_deref(), grid.visited_elements());
        for_each_chunk(&pass, &mut ChunkIter::new(self.source, grid), &work)
    }
}

/// Calls a closure with the index of each chunk and the chunk.
pub(super) fn for_each_chunk<C: Part + Send, D: Dimension, E: From<Error> + Send>(
    pass: &Pass<'_>,
    parts: &mut (dyn Iterator<Item = (ChunkRegion<D>, C)> + Send),
    work: &(dyn Fn(usize, C::Chunk) -> Result<(), E> + Sync),
) -> Result<(), E> {
    pass.for_each(parts, usize::MAX, &|(region, part)| {
        let touched = slice::from_ref(region.region_with_halo());
        let pinned = pass.pin(touched)?;
        work(region.index(), part.load()?)?;
        drop(pinned);
        pass.advance(region.region().len());
        Ok(())
    })
}
