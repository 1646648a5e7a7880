//! Files to which rows are appended.
//!
//! ```text
//! opening ──► ArrayAppender ──► rows ──► npy::AxisField, space
//! ```
#![forbid(unsafe_code)]

mod opening;
mod room;
mod rows;

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use bytemuck::Pod;
use ndarray::{ArrayRef, Dimension, RemoveAxis};

use self::rows::RowFile;
use super::byte_order::{ByteOrder, SwapBytes};
use super::writing::{check_shape, for_each_piece};
#[allow(unused_imports, reason = "for links in the docs")]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::storage::layout::{Element, FileLayout};

/// A file to which rows are appended: subarrays along the first axis.
///
/// Rows are appended [many at a time](Self::append) or [one by one](Self::push), to a raw file or to
/// an `.npy` file of this crate, NumPy or npy-append-array, in place: the file is never copied.
/// Opening is safe, because the file is written with system calls and never mapped.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{ArrayAppender, ArrayFile};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("log.npy");
/// let mut log = ArrayAppender::<f64, Ix2>::create_npy(&path, 3)?; // rows of 3 elements, none yet
/// log.append(&array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])?;
/// log.close()?;
///
/// let mut log = ArrayAppender::<f64, Ix2>::open_npy(&path)?;
/// log.push(&array![7.0, 8.0, 9.0])?;
/// log.flush()?; // durable, and visible to other programs, when it returns Ok
/// assert_eq!(log.num_rows(), 3);
/// log.close()?;
/// assert_eq!(ArrayFile::<f64, Ix2>::open_npy(&path)?.read_all()?.column(0), array![1.0, 4.0, 7.0]);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Buffer
///
/// Up to 256 KiB of rows are kept in memory until they fill the buffer, or until [`flush`] or
/// [`close`]. More rows at once are written directly, and their disk space is reserved before the
/// first of them is written, so that a full disk is an error before the work. (On some
/// [platforms](crate::doc::platforms), only the free space is checked.) A call either appends all of
/// its rows or, if it returns an error, none.
///
/// Dropping the appender writes the rows in the buffer, and for an `.npy` file waits for the disk
/// and writes the header, but reports no errors; use [`close`].
///
/// # After a crash
///
/// **If the process is killed** at any moment, the file contains all rows of the last `flush` that
/// returned `Ok`. A raw file may contain some of the later rows as well, the last one incomplete.
/// An `.npy` file is valid: its header states the rows of that `flush`, or of one that had not
/// returned yet. The file may continue after these rows, with rows that were appended later; NumPy
/// ignores these bytes, and this crate reports them when it opens the file for another purpose
/// ([`ErrorKind::TrailingBytes`], unless
/// [`trailing_bytes`](crate::MmapArrayOptions::trailing_bytes) are allowed).
///
/// **If the power fails**, the same is true, except that in a raw file the rows after the last
/// `flush` may be zero. This requires that the disk keeps what it has reported as written, and
/// writes a sector of 512 bytes as a whole.
///
/// A `flush` waits until all rows are on disk, then changes the length of the first axis in the
/// header by one write to one sector, then waits again. A file that is created is on disk before it
/// has its name.
///
/// **To continue after a crash**, open the file again. The header of an `.npy` file determines its
/// rows: bytes after them are ignored, and removed by the first write or `flush` (not when the file
/// is opened). A raw file that ends with an incomplete row is refused with
/// [`ErrorKind::PartialRow`], unless trailing bytes are allowed; they are then removed in the same
/// way. An `.npy` file whose array is followed by the header of another one is refused.
///
/// # Headers with room
///
/// The header of an `.npy` file can state more rows only if it has space for the digits. Files of
/// this crate, of NumPy since version 1.23 and of npy-append-array have space for any number of
/// rows, files of older versions of NumPy often for a few digits. If there is no space, appending
/// fails with [`ErrorKind::HeaderFull`], and
/// [`NpyHeader::reserve_room`](crate::NpyHeader::reserve_room) copies the file under a header that
/// has space. The same applies if the digits are not in one sector, which is possible if the
/// description of the element type has more than about 400 bytes (records of many fields).
///
/// # Other users of the file
///
/// The advisory lock is exclusive, as that of an [`ArrayFileMut`](crate::ArrayFileMut): a second
/// appender is refused in this process ([`ErrorKind::AlreadyMapped`]) and in others
/// ([`ErrorKind::Locked`]), and so are readers, until this one is dropped. With
/// [`LockPolicy::Off`](crate::LockPolicy::Off), other processes can read the file while it grows:
/// existing rows never change. They must allow trailing bytes.
///
/// [`flush`]: Self::flush
/// [`close`]: Self::close
// No `must_use`: creating has an effect on the file, so dropping the appender is not a mistake.
#[doc(alias = "NpyAppendArray")]
pub struct ArrayAppender<A, D> {
    file: RowFile,
    dim: D,
    elements: PhantomData<fn() -> A>,
}

impl<A, D: Dimension> ArrayAppender<A, D> {
    /// Returns the number of rows, with those in the buffer: the length of the first axis.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::ArrayAppender;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.npy");
    /// let mut log = ArrayAppender::<f32, Ix2>::create_npy(&path, 4)?;
    /// log.push(&Array1::zeros(4))?;
    /// assert_eq!((log.num_rows(), log.shape()), (1, &[1, 4][..]));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn num_rows(&self) -> usize {
        self.dim.slice()[0]
    }

    /// Returns the number of indices along each axis, with the rows in the buffer.
    pub fn shape(&self) -> &[usize] {
        self.dim.slice()
    }

    /// Returns the path of the file as the caller passed it.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::ArrayAppender;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.npy");
    /// assert_eq!(ArrayAppender::<f32, Ix1>::create_npy(&path, ())?.path(), path);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn path(&self) -> &Path {
        self.file.handle().path().unwrap_or(Path::new(""))
    }

    /// Returns the shape, order and file offset of the rows that have been written to the file,
    /// without those in the buffer.
    pub fn layout(&self) -> &FileLayout {
        self.file.handle().layout()
    }

    /// Declares that the file stores numbers in big-endian order: they are converted when they are
    /// appended.
    ///
    /// It has no effect on `.npy` files, whose header states the byte order.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::ArrayAppender;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.raw");
    /// let mut log = ArrayAppender::<i16, Ix1>::create(&path, ())?.big_endian();
    /// log.append(&array![1, 2, 256])?;
    /// log.close()?;
    /// assert_eq!(std::fs::read(&path)?, [0, 1, 0, 2, 1, 0]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use = "it returns the appender"]
    pub fn big_endian(mut self) -> Self
    where
        A: SwapBytes,
    {
        self.file.declare(ByteOrder::of::<A>(true));
        self
    }

    /// Declares that the file stores numbers in little-endian order, whatever this machine uses;
    /// see [`big_endian`](Self::big_endian).
    #[must_use = "it returns the appender"]
    pub fn little_endian(mut self) -> Self
    where
        A: SwapBytes,
    {
        self.file.declare(ByteOrder::of::<A>(false));
        self
    }

    /// Writes all rows to disk and waits; then, for an `.npy` file, writes the header and waits
    /// again. Once it has returned `Ok`, the rows [survive a crash](Self#after-a-crash), and other
    /// programs that open the file find them.
    ///
    /// An `.npy` file takes two `fsync`, a raw file one (for a new file also one of its directory),
    /// each of which takes milliseconds: flush after many rows.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ArrayAppender, NpyHeader};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.npy");
    /// let mut log = ArrayAppender::<f64, Ix1>::create_npy(&path, ())?;
    /// log.append(&Array1::zeros(1_000_000))?;
    /// assert_eq!(NpyHeader::read(&path)?.shape(), [0]);
    /// log.flush()?;
    /// assert_eq!(NpyHeader::read(&path)?.shape(), [1_000_000]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StorageFull`] if the rows in the buffer do not fit the disk: they remain in the
    /// buffer, so that the call can be repeated. [`ErrorKind::Io`] if the disk reports an error, and
    /// [`ErrorKind::FileTruncated`] if the file was truncated: the rows of the last `flush` that
    /// returned `Ok` are unchanged by this appender, and later ones may be lost. Every later `flush`
    /// and `close` then fails, at the latest with [`ErrorKind::PreviousFlushFailed`], because the
    /// kernel reports a lost write only once and does not retry it; open the file again to see which
    /// rows it has. [`ErrorKind::FileReplaced`] if all data is on disk, but the path no longer
    /// refers to the file.
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }

    /// Flushes, closes and unlocks the file.
    ///
    /// # Errors
    ///
    /// The errors of [`flush`](Self::flush). The file is closed in any case. If the disk is full, the
    /// rows in the buffer are lost, and the rows before them are flushed; call `flush` first to keep
    /// the appender.
    pub fn close(self) -> Result<()> {
        self.file.close()
    }
}

/// Methods to append rows.
impl<A: Pod, D: RemoveAxis> ArrayAppender<A, D> {
    /// Appends all rows of an array, in any memory order: NumPy's `concatenate` along axis 0, in
    /// place.
    ///
    /// The array has the shape of the file, except for the number of rows, which may be 0.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::ArrayAppender;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.raw");
    /// let mut log = ArrayAppender::<u8, Ix2>::create(&path, 2)?;
    /// let rows = array![[1, 3, 5], [2, 4, 6]];
    /// log.append(&rows.t())?;
    /// log.append(&rows.slice(s![..;-1, ..2]))?;
    /// log.close()?;
    /// assert_eq!(std::fs::read(&path)?, [1, 2, 3, 4, 5, 6, 2, 4, 1, 3]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// No row is appended if an error is returned.
    ///
    /// [`ErrorKind::ShapeMismatch`] if the rows have another shape; [`ErrorKind::HeaderFull`] if the
    /// header [has no room](Self#headers-with-room); [`ErrorKind::StorageFull`] if the disk is too
    /// full; [`ErrorKind::FileSizeLimit`] if the process may not write files of this size;
    /// [`ErrorKind::FileTruncated`] if the file was truncated; [`ErrorKind::TooLarge`] if the array
    /// would exceed the address space; [`ErrorKind::Io`] if the file cannot be written to. All but
    /// the first two can concern earlier rows, which were in the buffer and remain in it.
    pub fn append(&mut self, rows: &ArrayRef<A, D>) -> Result<()> {
        let count = rows.shape().first().copied().unwrap_or(0);
        let mut expected = self.shape().to_vec();
        expected[0] = count;
        check_shape(&expected, rows.shape(), self.path())?;
        self.add(count, rows)
    }

    /// Appends one row, an array of one dimension less.
    ///
    /// A row of a file of one dimension is a single element: `&arr0(x)`.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ArrayAppender, ErrorKind};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.npy");
    /// let mut log = ArrayAppender::<f64, Ix2>::create_npy(&path, 2)?;
    /// for i in 0..1_000 {
    ///     log.push(&array![f64::from(i), 0.5])?;
    /// }
    /// let error = log.push(&array![0.5]).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::ShapeMismatch { .. }));
    /// assert_eq!(log.num_rows(), 1_000);
    /// log.close()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`append`](Self::append).
    pub fn push(&mut self, row: &ArrayRef<A, D::Smaller>) -> Result<()> {
        check_shape(&self.shape()[1..], row.shape(), self.path())?;
        self.add(1, row)
    }

    fn add<E: Dimension>(&mut self, count: usize, elements: &ArrayRef<A, E>) -> Result<()> {
        let rows = self.num_rows().saturating_add(count);
        self.file.check_room(rows)?;
        if self.file.make_room(elements.len().saturating_mul(size_of::<A>()))? {
            self.file.buffer(count, |buffer| match elements.as_slice() {
                Some(elements) => buffer.extend_from_slice(bytemuck::cast_slice(elements)),
                None => {
                    elements.iter().for_each(|x| buffer.extend_from_slice(bytemuck::bytes_of(x)))
                }
            });
        } else {
            let (elements, byte_order) = (elements.view().into_dyn(), self.file.byte_order());
            self.file.extend(count, |write| for_each_piece(elements, byte_order, write))?;
        }
        self.dim.slice_mut()[0] = rows;
        Ok(())
    }
}

/// Formats shape, element type and path, never the data.
impl<A, D: Dimension> fmt::Debug for ArrayAppender<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayAppender")
            .field("path", &self.path())
            .field("element", &format_args!("{}", Element::of::<A>().name))
            .field("shape", &self.shape())
            .field("offset", &self.layout().offset())
            .finish()
    }
}
