//! `Chunked` and the methods that configure it.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ndarray::{ArrayView, ArrayViewMut, Axis, Dimension, IntoDimension};

use super::any_array::AnyArray;
use super::config::{ChunkConfig, ChunkSize};
#[allow(unused_imports, reason = "for links in the docs")]
use super::region::ChunkRegion;
use super::source::{ArraySource, ChunkSource, Indexed, ReadOnlySource};

/// A chunked view of one or more arrays: configure how to split them, then iterate over it or call
/// one of the parallel methods.
///
/// `P` is the source: an [`ArrayView`], an [`ArrayViewMut`], or a tuple of them. A function that
/// takes any `Chunked` is generic over it:
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use ndarray::prelude::*;
/// use ndarray_mmap::{Chunked, Result, chunked::ParallelSource, prelude::*};
///
/// fn timed<P: ParallelSource>(
///     chunked: Chunked<'_, P>,
///     work: impl Fn(P::Chunk) + Sync,
/// ) -> Result<Duration> {
///     let start = Instant::now();
///     chunked.par_for_each(work)?;
///     Ok(start.elapsed())
/// }
///
/// let mut table = Array2::<f64>::zeros((1_000, 10));
/// timed(table.chunked_mut(), |mut rows| rows += 1.0)?;
/// timed(table.chunked().and(&table.clone())?, |(a, b)| assert_eq!(a, b))?;
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "iterate over it or call one of its methods"]
pub struct Chunked<'a, P: ChunkSource> {
    pub(super) source: P,
    pub(super) config: ChunkConfig<'a, P::Dim>,
}

impl<'a, P: ArraySource<Elem: Copy>> Chunked<'a, P> {
    /// Makes the type independent of the kind of array and of its number of dimensions, so that
    /// generic code behind it is compiled once.
    pub(crate) fn into_dyn<'v>(self) -> Chunked<'a, AnyArray<'v, P::Elem>>
    where
        P: 'v,
    {
        Chunked { source: self.source.into_any(), config: self.config.into_dyn() }
    }
}

/// Configuration of the chunks.
impl<'a, P: ChunkSource> Chunked<'a, P> {
    pub(crate) fn new(source: P) -> Self {
        let config = ChunkConfig::new(source.source_shape().ndim());
        Self { source, config }
    }

    /// Sets the path that errors contain.
    pub(super) fn with_source_path(self, path: Option<&'a Path>) -> Self {
        Self { config: ChunkConfig { path, ..self.config }, ..self }
    }

    /// Splits along this axis. The default is the slowest axis, along which chunks are contiguous.
    ///
    /// A chunk along another axis touches at least one page (4 KiB) of each row. Without a given
    /// length, chunks along such an axis have enough indices to use whole pages, up to 64 MiB.
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
    /// Panics if the axis is out of bounds.
    #[track_caller]
    pub fn axis(self, axis: Axis) -> Self {
        self.check_axis(axis);
        Self { config: ChunkConfig { axis: Some(axis), ..self.config }, ..self }
    }

    /// Sets the length of chunks along the axis; 0 counts as 1.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = Array2::<f32>::zeros((10, 3));
    /// let chunks = table.chunked().chunk_len(4).into_iter();
    /// let lens: Vec<_> = chunks.map(|rows| rows.nrows()).collect();
    /// assert_eq!(lens, [4, 4, 2]);
    /// ```
    pub fn chunk_len(self, len: usize) -> Self {
        Self { config: ChunkConfig { size: ChunkSize::Len(len), ..self.config }, ..self }
    }

    /// Limits the size of chunks to this number of bytes, but at least one index along the axis. If
    /// there are several arrays, the first one counts.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = Array2::<f32>::zeros((1_000, 16)); // 64 bytes in a row
    /// assert!(table.chunked().chunk_bytes(1_000).into_iter().all(|rows| rows.nrows() <= 15));
    /// ```
    pub fn chunk_bytes(self, bytes: usize) -> Self {
        Self { config: ChunkConfig { size: ChunkSize::Bytes(bytes), ..self.config }, ..self }
    }

    /// Splits along all axes, into blocks of this shape. Blocks at the far edges may be smaller. A
    /// length of 0 counts as 1. This replaces the axis and the length of chunks.
    ///
    /// A block touches at least one page for each row that it intersects. Blocks should therefore
    /// be long along the fastest axis: `(64, 4096)` rather than `(512, 512)`.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let image = Array2::<f32>::zeros((5, 7));
    /// let blocks = image.chunked().chunk_shape((3, 4)).into_iter();
    /// let shapes: Vec<_> = blocks.map(|block| block.dim()).collect();
    /// assert_eq!(shapes, [(3, 4), (3, 3), (2, 4), (2, 3)]);
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if a dynamic shape has a different number of dimensions than the array.
    #[track_caller]
    pub fn chunk_shape(self, shape: impl IntoDimension<Dim = P::Dim>) -> Self {
        let shape = self.check_ndim(shape.into_dimension());
        Self { config: ChunkConfig { size: ChunkSize::Block(shape), ..self.config }, ..self }
    }

    #[track_caller]
    pub(crate) fn check_axis(&self, axis: Axis) {
        let ndim = self.config.halo.ndim();
        assert!(
            axis.index() < ndim,
            "axis {} is out of bounds for an array of {ndim} dimensions",
            axis.index()
        );
    }

    #[track_caller]
    fn check_ndim(&self, dim: P::Dim) -> P::Dim {
        let found = dim.ndim();
        let expected = self.config.halo.ndim();
        assert!(
            found == expected,
            "{found} lengths were given for an array of {expected} dimensions"
        );
        dim
    }

    /// Restricts the operation to one of `count` partitions, which have about equal numbers of
    /// chunks, so that several processes or machines can share the work. Calling this again
    /// replaces the previous partition.
    ///
    /// The boundaries of partitions depend on the operation, because each operation divides the
    /// array in its own way. All partitions of the *same* operation make up the whole array, but
    /// partitions of different operations do not contain the same elements:
    ///
    /// - Iterators, `par_for_each`, `par_map_reduce` and similar: chunks.
    /// - [`accumulate`](Self::accumulate) and statistics of all elements: blocks of 64 KiB in
    ///   memory order. Partitions of a short array may be empty.
    /// - `map_into`: indices of the slowest axis. Partitions of a short axis may be empty.
    /// - [`accumulate_axis`](Self::accumulate_axis), `sum_axis` and similar: segments of 1,024
    ///   indices of the axis, or of up to 64 KiB if lanes are contiguous. For a short axis, all
    ///   partitions but the last one may be empty: sums are 0, means are an error.
    /// - `cov` and `pearson_correlation`: segments of 64 to 4,096 observations, fewer if there are
    ///   more variables. If there are few observations, all partitions but the last one may be
    ///   empty, which is an error.
    ///
    /// Take the number of elements from the same operation, for example from an accumulator:
    /// `accumulate(Sum::new)` for each partition, then [`Sum::merge`](crate::stats::Sum::merge),
    /// gives the mean of the whole array. Alternatively, split with `slice`, which gives the same
    /// elements to all operations.
    ///
    /// Use partitions for reading only. Two processes must not write to a file that both have
    /// mapped. Let each process write its own file from a slice:
    /// `table.slice(s![1_000..2_000, ..]).chunked().map_into(&mut my_file, ...)`.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = Array2::<f32>::zeros((10, 3));
    /// let rows = |index| table.chunked().chunk_len(1).partition(index, 3).into_iter().len();
    /// assert_eq!([rows(0), rows(1), rows(2)], [3, 3, 4]);
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if `index` is not less than `count`, or if the operation is one
    /// [across ranks](Self::across), which is divided by the number of ranks.
    #[track_caller]
    pub fn partition(self, index: usize, count: usize) -> Self {
        assert!(!self.has_ranks(), "an operation across ranks cannot have other partitions");
        assert!(
            index < count,
            "partition {index} is out of range: there are {count} partitions, 0..{count}"
        );
        Self { config: ChunkConfig { partition: (index, count), ..self.config }, ..self }
    }

    /// Adds the [region](ChunkRegion) of each chunk to its items.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = Array2::<f32>::zeros((10, 3));
    /// for (region, rows) in table.chunked().chunk_len(4).indexed() {
    ///     assert_eq!(region.range(Axis(0)).start, 4 * region.index());
    ///     assert_eq!(region.range(Axis(0)).len(), rows.nrows());
    /// }
    /// ```
    pub fn indexed(self) -> Chunked<'a, Indexed<P>> {
        self.map_source(Indexed)
    }

    /// Limits how much of the mapped arrays is resident at any time, in bytes, across all threads
    /// and all arrays of the operation.
    ///
    /// The limit applies to every axis and every memory order. It counts whole pages, the pages
    /// that the kernel maps around them (up to 2 MiB per page fault on Linux), and buffers in which
    /// elements are gathered, or read from a [source](crate::doc::sources) that is not mapped. One eighth of the limit, up to 1 MiB, is reserved for stacks and
    /// partial results. Pages are evicted with `madvise(MADV_DONTNEED)` once their chunk has been
    /// processed. No data is lost: clean pages stay in the page cache, and dirty pages are written
    /// back. If few chunks fit, fewer threads run. If a single chunk fits only without the pages
    /// around it, its pages are prefaulted one by one.
    ///
    /// The following is not counted:
    ///
    /// - arrays in memory, and results, of which a copy exists for a short time,
    /// - copy-on-write arrays, whose pages contain the edits and are never evicted,
    /// - memory allocated by closures,
    /// - pages of mapped arrays that are [concatenated](crate::LazyArray::concatenate), or from which
    ///   elements are [computed](Chunked::map) that are then [selected](Chunked::select),
    /// - chunks of an iterator that are kept after the next one was requested, or whose iterator
    ///   was leaked by [`std::mem::forget`] (they stay resident for as long as the array is
    ///   mapped),
    /// - the page cache of the kernel, which is not part of a process's resident memory.
    ///
    /// The minimum is usually 2 to 6 MiB for each mapped array: a chunk and the large pages of the
    /// page cache around it. If a chunk needs more pages than fit, use smaller chunks along the
    /// slowest axis.
    ///
    /// By default there is no hard limit. If the arrays exceed a quarter of system memory (or of
    /// the cgroup's memory limit), pages of contiguous chunks are evicted after use.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// use ndarray_mmap::{ErrorKind, MmapArrayMut, prelude::*};
    ///
    /// let table = MmapArrayMut::<f64, _>::scratch((1_000_000, 16))?; // 128 MB
    /// let chunked = table.chunked().memory_limit(16 << 20);
    /// let total = chunked.par_map_reduce(|rows| rows.sum(), |a, b| a + b)?;
    /// assert_eq!(total, Some(0.0));
    ///
    /// // A column touches every page.
    /// let chunked = table.chunked().axis(Axis(1)).chunk_len(1).memory_limit(16 << 20);
    /// let error = chunked.try_iter().unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::MemoryLimitExceeded { .. }));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::MemoryLimitExceeded`](crate::ErrorKind::MemoryLimitExceeded) from the
    /// operation if a single chunk does not fit. `accumulate` and statistics of several arrays also
    /// refuse a limit with which they would take more than 64 times as long as with a higher one.
    /// The error contains the number of bytes needed.
    pub fn memory_limit(self, bytes: usize) -> Self {
        Self { config: ChunkConfig { memory_limit: Some(bytes), ..self.config }, ..self }
    }

    /// Sets a function that the parallel methods call after each chunk, with the number of elements
    /// processed so far and the total number. The count restarts at 0 for every pass of a statistic
    /// that takes several passes, and for every batch of lanes if lanes are processed in batches.
    /// The function may be called from any thread, and by several threads concurrently. With
    /// indicatif, use `.on_progress(|done, _| bar.set_position(done as u64))`. (Iterators do not
    /// call it, because indicatif supports them directly:
    /// `table.chunked().into_iter().progress()`.)
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let table = Array2::<f32>::zeros((1_000, 1_000));
    /// let percent = AtomicUsize::new(0);
    /// let show = |done, all| {
    ///     percent.fetch_max(100 * done / all, Ordering::Relaxed);
    /// };
    /// table.chunked().on_progress(show).par_for_each(|_rows| {})?;
    /// assert_eq!(percent.into_inner(), 100);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn on_progress(self, callback: impl Fn(usize, usize) + Send + Sync + 'a) -> Self {
        Self { config: ChunkConfig { progress: Some(Arc::new(callback)), ..self.config }, ..self }
    }

    /// Ignores NaNs in the [statistics](crate::stats). User-defined closures and accumulators still
    /// receive them.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let values = array![1.0, f64::NAN, 3.0];
    /// assert!(values.chunked().mean()?.is_nan());
    /// assert_eq!(values.chunked().skipnan().mean()?, 2.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn skipnan(self) -> Self {
        Self { config: ChunkConfig { skip_nan: true, ..self.config }, ..self }
    }

    /// Returns the source, without the configuration.
    pub(crate) fn into_source(self) -> P {
        self.source
    }

    pub(super) fn map_source<Q: ChunkSource<Dim = P::Dim>>(
        self,
        change: impl FnOnce(P) -> Q,
    ) -> Chunked<'a, Q> {
        Chunked { source: change(self.source), config: self.config }
    }
}

/// Methods for read-only arrays, whose chunks may overlap.
impl<P: ReadOnlySource> Chunked<'_, P> {
    /// Extends each chunk's view by a number of indices into its neighbours along each axis. The
    /// view ends at the edges of the array: chunks at the edges are smaller, without padding.
    /// [`indexed`](Self::indexed) provides the range of the chunk's own elements.
    ///
    /// Call this before [`and_mut`](Self::and_mut), or write with
    /// [`par_for_each_into`](Self::par_for_each_into), whose target has no halo:
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// // The mean of each value and its neighbours, of which there are fewer at the edges.
    /// let signal = Array1::from_iter((0..1_000).map(f64::from));
    /// let mut smooth = Array1::<f64>::zeros(1_000);
    /// let chunked = signal.chunked().chunk_len(100).halo(1).indexed();
    /// chunked.par_for_each_into(&mut smooth, |(region, chunk), mut smooth| {
    ///     let own = region.range(Axis(0));
    ///     let shown = region.halo_range(Axis(0));
    ///     for (value, at) in smooth.iter_mut().zip(own.start - shown.start..) {
    ///         let neighbours = chunk.slice(s![at.saturating_sub(1)..chunk.len().min(at + 2)]);
    ///         *value = neighbours.sum() / neighbours.len() as f64;
    ///     }
    /// })?;
    /// assert_eq!((smooth[0], smooth[100], smooth[999]), (0.5, 100.0, 998.5));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if dynamic widths have a different number of dimensions than the array.
    #[track_caller]
    pub fn halo(self, widths: impl IntoDimension<Dim = P::Dim>) -> Self {
        let halo = self.check_ndim(widths.into_dimension());
        Self { config: ChunkConfig { halo, ..self.config }, ..self }
    }
}

/// Creates a chunked view from a view for its full lifetime, whereas `view.chunked()` borrows the
/// view itself.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{Chunked, Chunks};
///
/// fn halves(table: ArrayView2<'_, f64>) -> Chunks<ArrayView2<'_, f64>> {
///     let half = table.nrows().div_ceil(2);
///     Chunked::from(table).chunk_len(half).into_iter()
/// }
/// assert_eq!(halves(Array2::zeros((9, 2)).view()).len(), 2);
/// ```
impl<'a, A, D: Dimension> From<ArrayView<'a, A, D>> for Chunked<'a, ArrayView<'a, A, D>> {
    fn from(view: ArrayView<'a, A, D>) -> Self {
        Self::new(view)
    }
}

impl<'a, A, D: Dimension> From<ArrayViewMut<'a, A, D>> for Chunked<'a, ArrayViewMut<'a, A, D>> {
    fn from(view: ArrayViewMut<'a, A, D>) -> Self {
        Self::new(view)
    }
}

/// Shows the shape and the configuration, but never the data.
impl<P: ChunkSource> fmt::Debug for Chunked<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grid = self.grid();
        f.debug_struct("Chunked")
            .field("shape", &grid.shape().slice())
            .field("chunk", &grid.chunk_shape().slice())
            .field("halo", &self.config.halo.slice())
            .field("chunks", &grid.chunks())
            .field("memory_limit", &self.config.memory_limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use crate::chunked::ChunkedExt;
    use crate::distributed::ThreadCommunicator;

    #[test]
    #[should_panic(expected = "partition 3 is out of range: there are 3 partitions, 0..3")]
    fn partition_index_out_of_range_panics() {
        let _ = array![1.0, 2.0].chunked().partition(3, 3);
    }

    /// Statistics would ignore it.
    #[test]
    #[should_panic(expected = "an operation across ranks cannot have other partitions")]
    fn partition_of_an_operation_across_ranks_panics() {
        let world = ThreadCommunicator::group(1).remove(0);
        let _ = array![1.0, 2.0].chunked().across(&world).partition(0, 2);
    }
}
