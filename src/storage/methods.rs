//! What the owners can do besides being arrays: tell of their files, page, flush.
#![forbid(unsafe_code)]

use std::path::Path;

use ndarray::{ArrayRef, Dimension};

use super::array::{MmapArray, MmapArrayCow, MmapArrayMut};
use super::array_error::ArrayError;
use super::layout::FileLayout;
use super::map::Advice;
use super::mapping::Mapping;
use super::pending::MmapArrayPending;
#[allow(unused_imports, reason = "for links in the docs")]
use crate::error::ErrorKind;
use crate::error::Result;

macro_rules! pages {
    ($($owner:ident $($field:ident).+;)*) => {$(
        /// The file and its pages.
        impl<A, D: Dimension> $owner<A, D> {
            fn mapping(&self) -> &Mapping {
                &self.$($field).+
            }

            /// The path of the file as it was given; `None` for scratch arrays.
            ///
            /// ```
            /// # use ndarray_mmap::MmapArrayMut;
            /// # let dir = tempfile::tempdir()?;
            /// # let path = dir.path().join("out.raw");
            /// // SAFETY: this program alone uses the file.
            /// let out = unsafe { MmapArrayMut::<f64, _>::create(&path, (3, 4)) }?;
            /// assert_eq!(out.path(), Some(&*path));
            /// assert_eq!(MmapArrayMut::<f64, _>::scratch((3, 4))?.path(), None);
            /// # Ok::<(), std::io::Error>(())
            /// ```
            pub fn path(&self) -> Option<&Path> {
                self.mapping().path()
            }

            /// Where the first element lies, in bytes from the start of the file.
            ///
            /// ```
            /// # use ndarray_mmap::{MmapArrayMut, NpyHeader};
            /// # let dir = tempfile::tempdir()?;
            /// # let path = dir.path().join("out.npy");
            /// // SAFETY: this program alone uses the file.
            /// let out = unsafe { MmapArrayMut::<f64, _>::create_npy(&path, (3, 4)) }?;
            /// assert_eq!(out.offset(), NpyHeader::read(&path)?.data_offset());
            /// # Ok::<(), std::io::Error>(())
            /// ```
            pub fn offset(&self) -> u64 {
                self.mapping().layout().offset()
            }

            /// Shape, order and place in the file, as the array was opened or created.
            ///
            /// ```
            /// # use ndarray_mmap::MmapArrayMut;
            /// let line = MmapArrayMut::<f64, _>::scratch(12)?;
            /// let table = line.into_shape_with_order((3, 4))?;
            /// assert_eq!((table.shape(), table.layout().shape()), (&[3, 4][..], &[12][..]));
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            pub fn layout(&self) -> &FileLayout {
                self.mapping().layout()
            }

            /// Tells the system how the array's pages will be read. Only a hint, and none on
            /// Windows.
            ///
            /// ```
            /// # use ndarray_mmap::{Advice, MmapArrayMut};
            /// let table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
            /// table.advise(Advice::Sequential)?;
            /// let total = table.sum(); // once through, from the first element to the last
            /// table.advise(Advice::Normal)?;
            /// # assert_eq!(total, 0.0);
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Io`] if the system refuses.
            pub fn advise(&self, advice: Advice) -> Result<()> {
                self.mapping().advise(advice, self.mapping().whole())
            }

            /// As [`advise`](Self::advise), for the pages that a view of this array spans.
            ///
            /// A view spans all bytes from its first to its last element in the file: one column of
            /// a matrix in C order spans nearly all of it.
            ///
            /// ```
            /// # use ndarray::prelude::*;
            /// # use ndarray_mmap::{Advice, ErrorKind, MmapArrayMut};
            /// let table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
            /// table.advise_view(&table.slice(s![500.., ..]), Advice::Random)?;
            /// let error = table.advise_view(&array![1.0], Advice::Random).unwrap_err();
            /// assert!(matches!(error.kind(), ErrorKind::ForeignView { .. }));
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// As for [`advise`](Self::advise); [`ErrorKind::ForeignView`] if the view is not one
            /// of this array.
            pub fn advise_view<E: Dimension>(&self, part: &ArrayRef<A, E>, advice: Advice) -> Result<()> {
                self.mapping().advise(advice, self.mapping().range_of(part)?)
            }

            /// Starts reading the array from disk, without waiting. Does nothing on Windows.
            ///
            /// ```
            /// # use ndarray_mmap::MmapArrayMut;
            /// let table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
            /// table.prefetch()?;
            /// // Something else to do, and then:
            /// assert_eq!(table.sum(), 0.0);
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Io`] if the system refuses.
            pub fn prefetch(&self) -> Result<()> {
                self.mapping().prefetch(self.mapping().whole())
            }

            /// As [`prefetch`](Self::prefetch), for the pages that a view of this array
            /// [spans](Self::advise_view).
            ///
            /// ```
            /// # use ndarray::prelude::*;
            /// # use ndarray_mmap::MmapArrayMut;
            /// let table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
            /// let mut total = 0.0;
            /// for begin in (0..1_000).step_by(100) {
            ///     let next = begin + 100;
            ///     table.prefetch_view(&table.slice(s![next..(next + 100).min(1_000), ..]))?; // none after the last
            ///     total += table.slice(s![begin..next, ..]).sum();
            /// }
            /// assert_eq!(total, 0.0);
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// As for [`prefetch`](Self::prefetch); [`ErrorKind::ForeignView`] if the view is not
            /// one of this array.
            pub fn prefetch_view<E: Dimension>(&self, part: &ArrayRef<A, E>) -> Result<()> {
                self.mapping().prefetch(self.mapping().range_of(part)?)
            }

            /// Takes the array's pages out of this process's memory.
            ///
            /// No data are lost: the next access finds them in the system's file cache, or reads
            /// them from disk. Does nothing to copy-on-write arrays, whose edits live in the pages,
            /// and nothing on Windows.
            ///
            /// ```
            /// # use ndarray_mmap::MmapArrayMut;
            /// let mut table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
            /// table.fill(1.0);
            /// table.release()?;
            /// assert_eq!(table.sum(), 64_000.0); // nothing is lost
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Io`] if the system refuses.
            pub fn release(&self) -> Result<()> {
                self.mapping().release(self.mapping().whole())
            }

            /// As [`release`](Self::release), for the pages that a view of this array
            /// [spans](Self::advise_view).
            ///
            /// ```
            /// # use ndarray::prelude::*;
            /// # use ndarray_mmap::MmapArrayMut;
            /// let table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
            /// for rows in table.axis_chunks_iter(Axis(0), 100) {
            ///     assert_eq!(rows.sum(), 0.0);
            ///     table.release_view(&rows)?; // only what is at work stays in memory
            /// }
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// As for [`release`](Self::release); [`ErrorKind::ForeignView`] if the view is not one
            /// of this array.
            pub fn release_view<E: Dimension>(&self, part: &ArrayRef<A, E>) -> Result<()> {
                self.mapping().release(self.mapping().range_of(part)?)
            }
        }
    )*};
}
pages! {
    MmapArray mapping;
    MmapArrayMut mapping;
    MmapArrayCow mapping;
    MmapArrayPending array.mapping;
}

/// Durability. Of the three owners only this one has it: nothing of the others reaches the file.
///
/// ```compile_fail,E0599
/// # use ndarray_mmap::MmapArrayOptions;
/// let array = unsafe { MmapArrayOptions::new().open::<f32, _>("scan.raw", 3) }.unwrap();
/// array.flush(); // read-only
/// ```
///
/// ```compile_fail,E0599
/// # use ndarray_mmap::MmapArrayOptions;
/// let array = unsafe { MmapArrayOptions::new().open_cow::<f32, _>("scan.raw", 3) }.unwrap();
/// array.flush(); // copy on write
/// ```
impl<A, D: Dimension> MmapArrayMut<A, D> {
    /// Writes all changes to disk and waits: `msync` and `fsync`, for a new file of its directory
    /// too. When it returns `Ok`, they survive a power cut.
    ///
    /// ```
    /// # use ndarray_mmap::MmapArrayMut;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.raw");
    /// // SAFETY: this program alone uses the file.
    /// let mut log = unsafe { MmapArrayMut::<u16, _>::create(&path, (2, 3)) }?;
    /// log.row_mut(1).fill(0x0101);
    /// log.flush()?;
    /// assert_eq!(std::fs::read(&path)?, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the disk reports an error, of the file or of the directory in which a
    /// new file has its name, [`ErrorKind::FileTruncated`] if the file was truncated: after either,
    /// what a power cut would leave is unknown, and every later `flush`, `close` and `commit` of
    /// this array fails, with [`ErrorKind::PreviousFlushFailed`] at the latest, because the system
    /// reports a lost write only once, and does not try it again. [`ErrorKind::FileReplaced`] if
    /// all is on disk, but the path no longer leads to it.
    pub fn flush(&self) -> Result<()> {
        self.mapping.flush(self.mapping.whole())
    }

    /// As [`flush`](Self::flush), for the pages that a view of this array
    /// [spans](Self::advise_view).
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// # use ndarray_mmap::MmapArrayMut;
    /// # let mut table = MmapArrayMut::<f64, _>::scratch((10, 4))?;
    /// table.slice_mut(s![2..4, ..]).fill(1.0);
    /// table.flush_view(&table.slice(s![2..4, ..]))?;
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`flush`](Self::flush); [`ErrorKind::ForeignView`] if the view is not one of this
    /// array.
    pub fn flush_view<E: Dimension>(&self, part: &ArrayRef<A, E>) -> Result<()> {
        self.mapping.flush(self.mapping.range_of(part)?)
    }

    /// Starts writing changes to disk, without waiting and without any promise.
    ///
    /// Keeps the number of unwritten pages low while a large array is filled; follow it with a
    /// [`flush`](Self::flush). Does nothing except on Linux (where it is `sync_file_range`).
    ///
    /// ```
    /// # use ndarray_mmap::MmapArrayMut;
    /// let mut table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
    /// table.fill(1.0);
    /// table.start_writeback()?; // the disk works while the next table is filled
    /// let mut next = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
    /// next.fill(2.0);
    /// table.close()?;
    /// # assert_eq!(next.sum(), 128_000.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the system refuses.
    pub fn start_writeback(&self) -> Result<()> {
        self.mapping.start_writeback(self.mapping.whole())
    }

    /// As [`start_writeback`](Self::start_writeback), for the pages that a view of this array
    /// [spans](Self::advise_view).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::MmapArrayMut;
    /// let mut table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
    /// for begin in (0..1_000).step_by(100) {
    ///     let rows = s![begin..begin + 100, ..];
    ///     table.slice_mut(rows).fill(1.0);
    ///     table.start_writeback_view(&table.slice(rows))?;
    /// }
    /// table.flush()?;
    /// assert_eq!(table.sum(), 64_000.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`start_writeback`](Self::start_writeback); [`ErrorKind::ForeignView`] if the view is
    /// not one of this array.
    pub fn start_writeback_view<E: Dimension>(&self, part: &ArrayRef<A, E>) -> Result<()> {
        self.mapping.start_writeback(self.mapping.range_of(part)?)
    }

    /// Flushes, unmaps, and unlocks the file.
    ///
    /// ```
    /// # use ndarray_mmap::MmapArrayMut;
    /// let mut table = MmapArrayMut::<f64, _>::scratch((10, 4))?;
    /// table.fill(1.0);
    /// table.close()?; // an error of the disk would show here
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`flush`](Self::flush). The array is unmapped in any case; call `flush` first to have
    /// it still when the disk fails.
    pub fn close(self) -> Result<()> {
        self.flush()
    }

    /// Flushes, and makes the array read-only: others may then read the file.
    ///
    /// ```
    /// # use ndarray_mmap::MmapArrayMut;
    /// let mut table = MmapArrayMut::<f64, _>::scratch((10, 4))?;
    /// table.fill(1.0);
    /// let table = table.freeze()?; // an `MmapArray`
    /// assert_eq!(table.sum(), 40.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`flush`](Self::flush), and [`ErrorKind::Locked`] if another process takes the lock
    /// meanwhile (this array then has none). The error holds the array.
    #[allow(clippy::result_large_err, reason = "it hands the array back")]
    pub fn freeze(mut self) -> std::result::Result<MmapArray<A, D>, ArrayError<Self>> {
        match self.flush().and_then(|()| self.mapping.downgrade()) {
            Ok(()) => Ok(self.into_read_only()),
            Err(error) => Err(ArrayError { error, array: self }),
        }
    }
}
