//! Iterators over chunks.
#![forbid(unsafe_code)]

use std::fmt;
use std::iter::FusedIterator;
use std::ops::Range;
use std::slice;

use super::builder::Chunked;
use super::division::Division;
use super::region::ChunkRegion;
use super::source::{ChunkSource, IterEnd, Part, Splitter};
use crate::error::Result;
use crate::geometry::ChunkGrid;
use crate::paging::ResidencyPlan;

/// Iteration.
impl<P: ChunkSource> Chunked<'_, P> {
    /// Returns an iterator over the chunks, as `Result`s. It yields an error where a
    /// `for` loop over a `Chunked` panics.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = Array2::<f32>::zeros((10, 3));
    /// for rows in table.chunked().chunk_len(4).try_iter()? {
    ///     let rows = rows?;
    ///     assert_eq!(rows.ncols(), 3);
    /// }
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// Two arrays of different shapes can be zipped:
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = Array2::<f64>::ones((1_000, 8));
    /// let mut sums = Array1::<f64>::zeros(1_000);
    /// let rows = table.chunked().axis(Axis(0)).chunk_len(300).try_iter()?;
    /// let targets = sums.chunked_mut().axis(Axis(0)).chunk_len(300).try_iter()?;
    /// for (rows, target) in rows.zip(targets) {
    ///     target?.assign(&rows?.sum_axis(Axis(1)));
    /// }
    /// assert_eq!(sums[999], 8.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::MemoryLimitExceeded`](crate::ErrorKind::MemoryLimitExceeded) if a chunk
    /// does not fit the [memory limit](Self::memory_limit). Each item may be an error as well, see
    /// [`TryChunks`].
    pub fn try_iter(self) -> Result<TryChunks<P>> {
        let grid = self.grid();
        let division = self.division();
        let buffers = division.chunk_buffers(&grid);
        let Division { layouts, memory, .. } = division;
        let plan = ResidencyPlan::new(&layouts, &grid, (1, buffers), memory, 1);
        let plan = self.with_path(plan)?;
        let chunks = ChunkIter::new(self.source, grid);
        Ok(TryChunks { chunks, plan, pinned: None, is_finished: false })
    }
}

/// Iterates over the chunks in order.
///
/// # Panics
///
/// Panics if a chunk does not fit the [memory limit](Chunked::memory_limit), or a file cannot be
/// read, see [`Chunks`]. [`try_iter`](Chunked::try_iter) yields errors instead.
impl<P: ChunkSource> IntoIterator for Chunked<'_, P> {
    type Item = P::Chunk;
    type IntoIter = Chunks<P>;

    #[track_caller]
    fn into_iter(self) -> Chunks<P> {
        match self.try_iter() {
            Ok(chunks) => Chunks(chunks),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The elements of a chunk of a source, before they are read.
pub(super) type PartOf<P> =
    <<P as ChunkSource>::Splitter as Splitter<<P as ChunkSource>::Dim>>::Part;

/// Splits arrays into chunks, each with its region; pins, prefaults and reads nothing.
pub(super) struct ChunkIter<P: ChunkSource> {
    grid: ChunkGrid,
    splitter: P::Splitter,
    left: Range<usize>,
}

impl<P: ChunkSource> ChunkIter<P> {
    pub(super) fn new(source: P, grid: ChunkGrid) -> Self {
        Self { left: grid.chunks(), grid, splitter: source.splitter() }
    }

    /// Skips the chunks before an index.
    pub(super) fn skip_to(&mut self, chunk: usize) {
        self.left.start = chunk;
    }

    fn take_part(&mut self, chunk: usize, end: IterEnd) -> (ChunkRegion<P::Dim>, PartOf<P>) {
        let region = ChunkRegion::new(&self.grid, chunk);
        let part = self.splitter.take_part(&region, self.grid.order(), end);
        (region, part)
    }
}

impl<P: ChunkSource> Iterator for ChunkIter<P> {
    type Item = (ChunkRegion<P::Dim>, PartOf<P>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left.next().map(|chunk| self.take_part(chunk, IterEnd::Front))
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.left.nth(n).map(|chunk| self.take_part(chunk, IterEnd::Front))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl<P: ChunkSource> DoubleEndedIterator for ChunkIter<P> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left.next_back().map(|chunk| self.take_part(chunk, IterEnd::Back))
    }

    fn nth_back(&mut self, n: usize) -> Option<Self::Item> {
        self.left.nth_back(n).map(|chunk| self.take_part(chunk, IterEnd::Back))
    }
}

/// An iterator that yields each chunk as a `Result`, returned by
/// [`try_iter`](Chunked::try_iter).
///
/// Before each chunk, the iterator checks that no mapped file was truncated, and prefaults the
/// pages of the chunk. After the last chunk it checks the files once more. It may therefore yield
/// one more item than there are chunks: an error, if a file was truncated while the last chunk was
/// in use. A loop that runs to the end without an error has not mistaken the zeros of a truncated
/// file for data. If you stop earlier (`break`, `take`, the second iterator of a `zip`), this
/// guarantee does not include the last chunk.
///
/// The pages of a chunk may be evicted as soon as the next chunk is requested. A chunk that is kept
/// stays valid: its elements are read again when they are accessed. An iterator that is leaked, for
/// example by [`std::mem::forget`], keeps its chunk resident for as long as the array is mapped.
///
/// # Errors
///
/// Each item may be [`ErrorKind::FileTruncated`](crate::ErrorKind::FileTruncated), and on Linux
/// [`ErrorKind::Io`](crate::ErrorKind::Io) or
/// [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull) if the disk cannot read the chunk or
/// has no space for it. After an error, iteration continues with the next chunk.
#[must_use = "iterators are lazy"]
pub struct TryChunks<P: ChunkSource> {
    chunks: ChunkIter<P>,
    plan: ResidencyPlan,
    pinned: Option<ChunkRegion<P::Dim>>,
    is_finished: bool,
}

impl<P: ChunkSource> TryChunks<P> {
    fn release(&mut self) {
        if let Some(region) = self.pinned.take() {
            self.plan.release(slice::from_ref(region.region_with_halo()));
        }
    }

    /// Ends the iteration and returns `true` if the `n`th item is beyond the error that may follow
    /// the last chunk.
    fn skips_final_check(&mut self, n: usize) -> bool {
        let is_skipped = n > self.chunks.left.len();
        if is_skipped {
            self.release();
            self.chunks.left = 0..0;
            self.is_finished = true;
        }
        is_skipped
    }

    fn advance(
        &mut self,
        next: impl FnOnce(&mut ChunkIter<P>) -> Option<(ChunkRegion<P::Dim>, PartOf<P>)>,
    ) -> Option<Result<P::Chunk>> {
        self.release();
        match next(&mut self.chunks) {
            Some((region, part)) => {
                // The region is stored first, so that its pins are released if prefaulting fails.
                let region = self.pinned.insert(region);
                let acquired = self.plan.acquire(slice::from_ref(region.region_with_halo()));
                Some(acquired.and_then(|()| part.load()))
            }
            None if self.is_finished => None,
            None => {
                self.is_finished = true;
                self.plan.check().err().map(Err)
            }
        }
    }
}

impl<P: ChunkSource> Iterator for TryChunks<P> {
    type Item = Result<P::Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance(Iterator::next)
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        if self.skips_final_check(n) { None } else { self.advance(|chunks| chunks.nth(n)) }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let chunks = self.chunks.left.len();
        let checks = usize::from(!self.is_finished);
        (chunks, Some(chunks + checks))
    }
}

impl<P: ChunkSource> DoubleEndedIterator for TryChunks<P> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.advance(DoubleEndedIterator::next_back)
    }

    fn nth_back(&mut self, n: usize) -> Option<Self::Item> {
        if self.skips_final_check(n) { None } else { self.advance(|chunks| chunks.nth_back(n)) }
    }
}

impl<P: ChunkSource> FusedIterator for TryChunks<P> {}

impl<P: ChunkSource> Drop for TryChunks<P> {
    fn drop(&mut self) {
        self.release();
    }
}

impl<P: ChunkSource> fmt::Debug for TryChunks<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, "TryChunks", &self.chunks)
    }
}

/// An iterator over chunks that panics if a file cannot be read. It is created by `for` or
/// `into_iter` on a [`Chunked`].
///
/// [`try_iter`](Chunked::try_iter) yields `Result`s instead. Chunks are pinned, evicted and
/// checked as by [`TryChunks`].
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::prelude::*;
///
/// let numbers = Array1::from_iter(0..10);
/// let mut chunks = numbers.chunked().chunk_len(4).into_iter();
/// assert_eq!(chunks.len(), 3);
/// assert_eq!(chunks.next_back().unwrap(), array![8, 9]);
/// assert_eq!(chunks.next().unwrap(), array![0, 1, 2, 3]);
/// ```
///
/// # Panics
///
/// Panics in `next`, `nth` and other methods that return an item if [`TryChunks`] would yield an
/// error.
#[must_use = "iterators are lazy"]
pub struct Chunks<P: ChunkSource>(TryChunks<P>);

fn unwrap<T>(item: Result<T>) -> T {
    item.unwrap_or_else(|error| panic!("{error}"))
}

impl<P: ChunkSource> Iterator for Chunks<P> {
    type Item = P::Chunk;

    fn next(&mut self) -> Option<P::Chunk> {
        self.0.next().map(unwrap)
    }

    fn nth(&mut self, n: usize) -> Option<P::Chunk> {
        self.0.nth(n).map(unwrap)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.chunks.size_hint()
    }

    /// Returns the number of chunks left, without prefaulting them or checking the files.
    fn count(self) -> usize {
        self.len()
    }

    /// Returns the last chunk, without prefaulting those before it. The files are checked before
    /// the chunk is returned, but not after its use.
    fn last(mut self) -> Option<P::Chunk> {
        self.next_back()
    }
}

impl<P: ChunkSource> DoubleEndedIterator for Chunks<P> {
    fn next_back(&mut self) -> Option<P::Chunk> {
        self.0.next_back().map(unwrap)
    }

    fn nth_back(&mut self, n: usize) -> Option<P::Chunk> {
        self.0.nth_back(n).map(unwrap)
    }
}

impl<P: ChunkSource> ExactSizeIterator for Chunks<P> {}
impl<P: ChunkSource> FusedIterator for Chunks<P> {}

impl<P: ChunkSource> fmt::Debug for Chunks<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, "Chunks", &self.0.chunks)
    }
}

fn debug<P: ChunkSource>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    chunks: &ChunkIter<P>,
) -> fmt::Result {
    f.debug_struct(name)
        .field("grid", &chunks.grid)
        .field("left", &chunks.left)
        .finish_non_exhaustive()
}

#[cfg(test)]
mod tests {
    use std::panic::UnwindSafe;

    use ndarray::ArrayView2;

    use super::*;

    #[test]
    fn iterators_are_unwind_safe() {
        fn is_unwind_safe<T: UnwindSafe>() {}
        is_unwind_safe::<TryChunks<ArrayView2<'_, f64>>>();
        is_unwind_safe::<Chunks<ArrayView2<'_, f64>>>();
    }
}
