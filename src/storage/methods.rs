//! Methods of the mapped array types beyond those of arrays: file properties, paging and flushing.
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
        /// Methods for the file and its pages.
        impl<A, D: Dimension> $owner<A, D> {
            fn mapping(&self) -> &Mapping {
                &self.$($field).+
            }

            /// Returns the path of the file as the caller passed it, or `None` for scratch arrays.
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

            /// Returns the offset of the first element, in bytes from the start of the file.
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

            /// Returns the shape, order and file offset with which the array was opened or created.
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

            /// Advises the kernel how the array's pages will be read. This is only a hint, and has
            /// no effect on Windows.
            ///
            /// ```
            /// # use ndarray_mmap::{Advice, MmapArrayMut};
            /// let table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
            /// table.advise(Advice::Sequential)?;
            /// let total = table.sum(); // one sequential pass
            /// table.advise(Advice::Normal)?;
            /// # assert_eq!(total, 0.0);
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Io`] if the system call fails.
            pub fn advise(&self, advice: Advice) -> Result<()> {
                self.mapping().advise(advice, self.mapping().whole())
            }

            /// Advises the kernel as [`advise`](Self::advise) does, for the pages that a view of
            /// this array spans.
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
            /// The errors of [`advise`](Self::advise), and [`ErrorKind::ForeignView`] if the view
            /// does not belong to this array.
            pub fn advise_view<E: Dimension>(
                &self,
                part: &ArrayRef<A, E>,
                advice: Advice,
            ) -> Result<()> {
                self.mapping().advise(advice, self.mapping().range_of(part)?)
            }

            /// Starts reading the array from disk, without waiting. Does nothing on Windows.
            ///
            /// ```
            /// # use ndarray_mmap::MmapArrayMut;
            /// let table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
            /// table.prefetch()?;
            /// // Other work, and then:
            /// assert_eq!(table.sum(), 0.0);
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Io`] if the system call fails.
            pub fn prefetch(&self) -> Result<()> {
                self.mapping().prefetch(self.mapping().whole())
            }

            /// Prefetches as [`prefetch`](Self::prefetch) does, for the pages that a view of this
            /// array [spans](Self::advise_view).
            ///
            /// ```
            /// # use ndarray::prelude::*;
            /// # use ndarray_mmap::MmapArrayMut;
            /// let table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
            /// let mut total = 0.0;
            /// for start in (0..1_000).step_by(100) {
            ///     let next = start + 100;
            ///     let next_end = (next + 100).min(1_000); // empty after the last slice
            ///     table.prefetch_view(&table.slice(s![next..next_end, ..]))?;
            ///     total += table.slice(s![start..next, ..]).sum();
            /// }
            /// assert_eq!(total, 0.0);
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// The errors of [`prefetch`](Self::prefetch), and [`ErrorKind::ForeignView`] if the
            /// view does not belong to this array.
            pub fn prefetch_view<E: Dimension>(&self, part: &ArrayRef<A, E>) -> Result<()> {
                self.mapping().prefetch(self.mapping().range_of(part)?)
            }

            /// Evicts the array's pages from this process's resident set (`MADV_DONTNEED`).
            ///
            /// No data is lost: the next access finds the pages in the page cache, or reads them
            /// from disk. Does nothing for copy-on-write arrays, whose edits exist only in the
            /// pages, and nothing on Windows.
            ///
            /// ```
            /// # use ndarray_mmap::MmapArrayMut;
            /// let mut table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
            /// table.fill(1.0);
            /// table.release()?;
            /// assert_eq!(table.sum(), 64_000.0); // no data is lost
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Io`] if the system call fails.
            pub fn release(&self) -> Result<()> {
                self.mapping().release(self.mapping().whole())
            }

            /// Evicts as [`release`](Self::release) does, for the pages that a view of this array
            /// [spans](Self::advise_view).
            ///
            /// ```
            /// # use ndarray::prelude::*;
            /// # use ndarray_mmap::MmapArrayMut;
            /// let table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
            /// for rows in table.axis_chunks_iter(Axis(0), 100) {
            ///     assert_eq!(rows.sum(), 0.0);
            ///     table.release_view(&rows)?; // only the current rows stay resident
            /// }
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// The errors of [`release`](Self::release), and [`ErrorKind::ForeignView`] if the view
            /// does not belong to this array.
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

/// Methods for durability, which only this type has: no change of the other two types reaches the
/// file.
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
    /// Writes all changes to disk and waits (`msync` and `fsync`; for a new file also `fsync` of
    /// its directory). Once it has returned `Ok`, the changes survive a power failure.
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
    /// [`ErrorKind::Io`] if the disk reports an error for the file, or for the directory of a new
    /// file; [`ErrorKind::FileTruncated`] if the file was truncated. After either, the contents
    /// that would survive a power failure are unknown, and every later `flush`, `close` and
    /// `commit` of this array fails, at the latest with [`ErrorKind::PreviousFlushFailed`], because
    /// the kernel reports a lost write only once and does not retry it. [`ErrorKind::FileReplaced`]
    /// if all data is on disk, but the path no longer refers to the file.
    pub fn flush(&self) -> Result<()> {
        self.mapping.flush(self.mapping.whole())
    }

    /// Flushes as [`flush`](Self::flush) does, for the pages that a view of this array
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
    /// The errors of [`flush`](Self::flush), and [`ErrorKind::ForeignView`] if the view does not
    /// belong to this array.
    pub fn flush_view<E: Dimension>(&self, part: &ArrayRef<A, E>) -> Result<()> {
        self.mapping.flush(self.mapping.range_of(part)?)
    }

    /// Starts writing changes to disk, without waiting and without any guarantee
    /// (`sync_file_range`).
    ///
    /// Calling this while filling a large array limits the number of dirty pages; call
    /// [`flush`](Self::flush) at the end. Does nothing except on Linux.
    ///
    /// ```
    /// # use ndarray_mmap::MmapArrayMut;
    /// let mut table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
    /// table.fill(1.0);
    /// table.start_writeback()?; // writes while the next table is filled
    /// let mut next = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
    /// next.fill(2.0);
    /// table.close()?;
    /// # assert_eq!(next.sum(), 128_000.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the system call fails.
    pub fn start_writeback(&self) -> Result<()> {
        self.mapping.start_writeback(self.mapping.whole())
    }

    /// Starts writeback as [`start_writeback`](Self::start_writeback) does, for the pages that a
    /// view of this array [spans](Self::advise_view).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::MmapArrayMut;
    /// let mut table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
    /// for start in (0..1_000).step_by(100) {
    ///     let rows = s![start..start + 100, ..];
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
    /// The errors of [`start_writeback`](Self::start_writeback), and [`ErrorKind::ForeignView`] if
    /// the view does not belong to this array.
    pub fn start_writeback_view<E: Dimension>(&self, part: &ArrayRef<A, E>) -> Result<()> {
        self.mapping.start_writeback(self.mapping.range_of(part)?)
    }

    /// Flushes, unmaps, and unlocks the file.
    ///
    /// ```
    /// # use ndarray_mmap::MmapArrayMut;
    /// let mut table = MmapArrayMut::<f64, _>::scratch((10, 4))?;
    /// table.fill(1.0);
    /// table.close()?; // reports disk errors
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`flush`](Self::flush). The array is unmapped in any case; call `flush` first
    /// to keep the array if the disk fails.
    pub fn close(self) -> Result<()> {
        self.flush()
    }

    /// Flushes the array and converts it to a read-only array, so that other processes may read the
    /// file.
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
    /// The errors of [`flush`](Self::flush), and [`ErrorKind::Locked`] if another process acquires
    /// the lock in the meantime (this array then has none). The error contains the array.
    #[allow(clippy::result_large_err, reason = "it hands the array back")]
    pub fn freeze(mut self) -> std::result::Result<MmapArray<A, D>, ArrayError<Self>> {
        match self.flush().and_then(|()| self.mapping.downgrade()) {
            Ok(()) => Ok(self.into_read_only()),
            Err(error) => Err(ArrayError { error, array: self }),
        }
    }
}
