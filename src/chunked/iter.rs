//! The chunks one after the other.
#![forbid(unsafe_code)]

use std::fmt;
use std::iter::FusedIterator;
use std::ops::Range;

use super::region::ChunkRegion;
use super::source::{ChunkSource, IterEnd, Splitter};
use crate::error::Result;
use crate::geometry::ChunkGrid;
use crate::paging::ResidencyPlan;

/// The chunks and their places, without regard to memory.
pub(super) struct ChunkIter<P: ChunkSource> {
    grid: ChunkGrid<P::Dim>,
    splitter: P::Splitter,
    left: Range<usize>,
}

impl<P: ChunkSource> ChunkIter<P> {
    pub(super) fn new(source: P, grid: ChunkGrid<P::Dim>) -> Self {
        Self { left: grid.chunks(), grid, splitter: source.splitter() }
    }

    fn cut(&mut self, chunk: usize, end: IterEnd) -> (ChunkRegion<P::Dim>, P::Chunk) {
        let region = ChunkRegion::new(&self.grid, chunk);
        let chunk = self.splitter.cut(&region, self.grid.order(), end);
        (region, chunk)
    }
}

impl<P: ChunkSource> Iterator for ChunkIter<P> {
    type Item = (ChunkRegion<P::Dim>, P::Chunk);

    fn next(&mut self) -> Option<Self::Item> {
        self.left.next().map(|chunk| self.cut(chunk, IterEnd::Front))
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.left.nth(n).map(|chunk| self.cut(chunk, IterEnd::Front))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl<P: ChunkSource> DoubleEndedIterator for ChunkIter<P> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left.next_back().map(|chunk| self.cut(chunk, IterEnd::Back))
    }

    fn nth_back(&mut self, n: usize) -> Option<Self::Item> {
        self.left.nth_back(n).map(|chunk| self.cut(chunk, IterEnd::Back))
    }
}

/// The chunks in order; made by iterating over [`Chunked`](super::Chunked).
///
/// When the next chunk is asked for, the memory of the one before it may be let go. A chunk that is kept all the same
/// stays valid: its elements are read again where they are touched.
///
/// Drop the iterator when you are done with it: one that is leaked, as by [`std::mem::forget`], keeps its chunk resident for as
/// long as the array is mapped, beyond the memory limit of later operations.
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
/// If a mapped file has become shorter since it was opened, or the disk cannot read it, or has no room for it;
/// [`try_next`](Self::try_next) gives an error instead. The file is looked at for the last time when the iterator is asked for
/// more than there is: who stops before (`break`, `take`, the second of two in a `zip`) may have seen zeros in place of what a
/// file had lost.
#[must_use = "iterators are lazy"]
pub struct Chunks<P: ChunkSource> {
    chunks: ChunkIter<P>,
    schedule: ResidencyPlan,
    held: Option<ChunkRegion<P::Dim>>,
}

impl<P: ChunkSource> Chunks<P> {
    pub(super) fn new(chunks: ChunkIter<P>, schedule: ResidencyPlan) -> Self {
        Self { chunks, schedule, held: None }
    }

    fn release(&mut self) {
        if let Some(region) = self.held.take() {
            self.schedule.release(std::slice::from_ref(region.outer()));
        }
    }

    fn try_hand_out(
        &mut self,
        next: impl FnOnce(&mut ChunkIter<P>) -> Option<(ChunkRegion<P::Dim>, P::Chunk)>,
    ) -> Result<Option<P::Chunk>> {
        self.release();
        let (region, chunk) = next(&mut self.chunks).unzip();
        // Kept first, so that what is held of it is let go if the rest fails.
        self.held = region;
        match &self.held {
            Some(region) => self.schedule.acquire(std::slice::from_ref(region.outer()))?,
            // What has been handed out was whole.
            None => self.schedule.check()?,
        }
        Ok(chunk)
    }

    fn hand_out(
        &mut self,
        next: impl FnOnce(&mut ChunkIter<P>) -> Option<(ChunkRegion<P::Dim>, P::Chunk)>,
    ) -> Option<P::Chunk> {
        self.try_hand_out(next).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The next chunk, or an error where [`next`](Iterator::next) panics. `None` tells that what has been handed out was whole: a
    /// file that became shorter is seen then at the latest.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// // Of two arrays of different shapes; both are asked until both have no more.
    /// let table = Array2::<f64>::ones((1_000, 8));
    /// let mut sums = Array1::<f64>::zeros(1_000);
    /// let mut rows = table.chunked().chunk_len(300).try_iter()?;
    /// let mut targets = sums.chunked_mut().chunk_len(300).try_iter()?;
    /// while let (Some(rows), Some(mut sums)) = (rows.try_next()?, targets.try_next()?) {
    ///     sums.assign(&rows.sum_axis(Axis(1)));
    /// }
    /// drop(targets);
    /// assert_eq!(sums[999], 8.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::FileTruncated`](crate::ErrorKind::FileTruncated) if a mapped file has become shorter, and on Linux
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) or [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull) if the disk cannot read
    /// the chunk or has no room for it. The chunk is skipped; there may be others after it.
    pub fn try_next(&mut self) -> Result<Option<P::Chunk>> {
        self.try_hand_out(Iterator::next)
    }
}

impl<P: ChunkSource> Iterator for Chunks<P> {
    type Item = P::Chunk;

    fn next(&mut self) -> Option<P::Chunk> {
        self.hand_out(Iterator::next)
    }

    fn nth(&mut self, n: usize) -> Option<P::Chunk> {
        self.hand_out(|chunks| chunks.nth(n))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.chunks.size_hint()
    }

    /// Without a look at the chunks.
    fn count(self) -> usize {
        self.len()
    }

    fn last(mut self) -> Option<P::Chunk> {
        self.next_back()
    }
}

impl<P: ChunkSource> DoubleEndedIterator for Chunks<P> {
    fn next_back(&mut self) -> Option<P::Chunk> {
        self.hand_out(DoubleEndedIterator::next_back)
    }

    fn nth_back(&mut self, n: usize) -> Option<P::Chunk> {
        self.hand_out(|chunks| chunks.nth_back(n))
    }
}

impl<P: ChunkSource> ExactSizeIterator for Chunks<P> {}
impl<P: ChunkSource> FusedIterator for Chunks<P> {}

impl<P: ChunkSource> Drop for Chunks<P> {
    fn drop(&mut self) {
        self.release();
    }
}

impl<P: ChunkSource> fmt::Debug for Chunks<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks")
            .field("grid", &self.chunks.grid)
            .field("left", &self.chunks.left)
            .finish_non_exhaustive()
    }
}
