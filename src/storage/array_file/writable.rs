//! Arrays in files that are written with system calls: durability, and new files that are not yet
//! visible under their path.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::Deref;

use ndarray::Dimension;

use super::ArrayFile;
use super::byte_order::SwapBytes;
use super::reading::StoredArray;
#[allow(unused_imports, reason = "for links in the docs")]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::storage::array_error::ArrayError;
use crate::storage::create::StagedFile;

/// An array in a file that is read and written with system calls and never mapped, so that opening
/// and creating it is safe.
///
/// All methods of [`ArrayFile`] read it. [Writes](Self::write) take effect for all readers of the
/// file immediately; they survive a power failure once [`flush`](Self::flush) has returned `Ok`.
/// Dropping the array neither flushes nor waits; use [`close`](Self::close) to detect write errors.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::ArrayFileMut;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("out.npy");
/// let out = ArrayFileMut::<f64, _>::create_npy(&path, (100, 64))?; // all zero
/// for (i, mut row) in Array2::<f64>::ones((100, 64)).rows_mut().into_iter().enumerate() {
///     row *= i as f64;
///     out.write(s![i, ..], &row)?;
/// }
/// assert_eq!(out.read(s![..;50, 0])?, array![0.0, 50.0]);
/// out.close()?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Changes to the file
///
/// The promises of [`ArrayFile`](ArrayFile#changes-to-the-file) apply. A write to a file that was
/// truncated returns [`ErrorKind::FileTruncated`]; one that is truncated during a write may be
/// extended again, and then has zeros in between, which the next flush cannot detect. The advisory
/// lock is exclusive, as that of a [`MmapArrayMut`](crate::MmapArrayMut).
// No `must_use`: creating has an effect on the file, so dropping the array is not a mistake.
pub struct ArrayFileMut<A, D> {
    array: ArrayFile<A, D>,
}

impl<A, D: Dimension> ArrayFileMut<A, D> {
    /// Wraps an array whose file is open for writing.
    pub(super) fn new(array: ArrayFile<A, D>) -> Self {
        Self { array }
    }

    /// Declares that the file stores numbers in big-endian order: they are converted when they are
    /// read and written.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::ArrayFileMut;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("image.raw");
    /// let image = ArrayFileMut::<i16, _>::create(&path, 3)?.big_endian();
    /// image.write_all(&array![1, 2, 256])?;
    /// assert_eq!(std::fs::read(&path)?, [0, 1, 0, 2, 1, 0]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use = "it returns the array"]
    pub fn big_endian(self) -> Self
    where
        A: SwapBytes,
    {
        Self { array: self.array.big_endian() }
    }

    /// Declares that the file stores numbers in little-endian order, whatever this machine uses;
    /// see [`big_endian`](Self::big_endian).
    #[must_use = "it returns the array"]
    pub fn little_endian(self) -> Self
    where
        A: SwapBytes,
    {
        Self { array: self.array.little_endian() }
    }

    pub(super) fn stored(&self) -> &StoredArray {
        &self.array.stored
    }

    /// Writes all changes to disk and waits (`fsync`; for a new file also of its directory). Once
    /// it has returned `Ok`, the changes survive a power failure.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::ArrayFileMut;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.raw");
    /// let log = ArrayFileMut::<u8, _>::create(&path, (2, 3))?;
    /// log.write(s![1, ..], &array![1, 2, 3])?;
    /// log.flush()?;
    /// assert_eq!(std::fs::read(&path)?, [0, 0, 0, 1, 2, 3]);
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
        let handle = &self.stored().handle;
        handle.flush(|| false, |_| handle.sync_all())
    }

    /// Flushes, closes and unlocks the file.
    ///
    /// ```
    /// # use ndarray_mmap::ArrayFileMut;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.raw");
    /// let out = ArrayFileMut::<f64, _>::create(&path, (10, 4))?;
    /// out.close()?; // reports disk errors
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`flush`](Self::flush). The file is closed in any case; call `flush` first to
    /// keep the array if the disk fails.
    pub fn close(self) -> Result<()> {
        self.flush()
    }

    /// Flushes the array and converts it to a read-only array, so that others may read the file.
    ///
    /// ```
    /// # use ndarray_mmap::ArrayFileMut;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.raw");
    /// let out = ArrayFileMut::<f64, _>::create(&path, (10, 4))?;
    /// let out = out.freeze()?; // an `ArrayFile`
    /// assert_eq!(out.read_all()?.sum(), 0.0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`flush`](Self::flush), and [`ErrorKind::Locked`] if another process acquires
    /// the lock in the meantime (this array then has none). The error contains the array.
    #[allow(clippy::result_large_err, reason = "it hands the array back")]
    pub fn freeze(mut self) -> std::result::Result<ArrayFile<A, D>, ArrayError<Self>> {
        match self.flush().and_then(|()| self.array.stored.handle.downgrade()) {
            Ok(()) => Ok(self.array),
            Err(error) => Err(ArrayError { error, array: self }),
        }
    }
}

impl<A, D> Deref for ArrayFileMut<A, D> {
    type Target = ArrayFile<A, D>;

    fn deref(&self) -> &ArrayFile<A, D> {
        &self.array
    }
}

/// Formats shape, order, element type and path, never the data.
impl<A, D: Dimension> fmt::Debug for ArrayFileMut<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.array.debug("ArrayFileMut", f)
    }
}

/// A new array in a file that appears under its path only on [`commit`](Self::commit), and then
/// complete.
///
/// Until then, an existing file at that path is unchanged, readers see it whole, and dropping this
/// array (or a crash) leaves it so. A process that is killed in the meantime [leaves its temporary
/// file](crate::MmapArrayOptions#creating).
/// [`create_file_atomic`](crate::MmapArrayOptions::create_file_atomic) and
/// [`create_file_npy_atomic`](crate::MmapArrayOptions::create_file_npy_atomic) return this type; it
/// behaves like [`ArrayFileMut`], which `commit` returns.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::MmapArrayOptions;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("result.npy");
/// let options = MmapArrayOptions::new();
/// let result = options.create_file_npy_atomic::<f64, _>(&path, (2, 3))?;
/// result.write(s![0, ..], &array![1.0, 2.0, 3.0])?;
/// assert!(!path.exists());
/// result.commit()?;
/// assert!(path.exists());
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "the file is removed unless `commit` is called"]
pub struct ArrayFilePending<A, D> {
    array: ArrayFileMut<A, D>,
    /// `None` once the file has been renamed.
    staged: Option<StagedFile>,
}

impl<A, D: Dimension> ArrayFilePending<A, D> {
    pub(super) fn new(array: ArrayFileMut<A, D>, staged: StagedFile) -> Self {
        Self { array, staged: Some(staged) }
    }

    /// Renames the file to the path without flushing it. If that fails, the file is removed.
    pub(super) fn persist(self) -> Result<ArrayFileMut<A, D>> {
        let Self { mut array, staged } = self;
        if let Some(staged) = staged {
            array.array.stored.handle.persist(staged).map_err(|(error, _)| error)?;
        }
        Ok(array)
    }

    /// Flushes the array, renames its file to the path, and makes the rename durable.
    ///
    /// # Errors
    ///
    /// The errors of [`flush`](ArrayFileMut::flush), and [`ErrorKind::Io`] if the file cannot be
    /// renamed, [`ErrorKind::AlreadyMapped`] or [`ErrorKind::Locked`] if the file to replace is in
    /// use for writing: in these cases the path is unchanged.
    ///
    /// If only the flush of the directory fails, which is the last step and reported in the
    /// message, the file is complete under its path, but a power failure may undo the rename. It
    /// stays so, and every later `commit` and `flush` fails. The error contains the array, so
    /// nothing is lost: retry if the path is unchanged, otherwise save the array elsewhere.
    #[allow(clippy::result_large_err, reason = "it hands the array back")]
    pub fn commit(self) -> std::result::Result<ArrayFileMut<A, D>, ArrayError<Self>> {
        let Self { mut array, mut staged } = self;
        let flushed = array.flush();
        let handle = &mut array.array.stored.handle;
        match flushed.and_then(|()| handle.publish(&mut staged)) {
            Ok(()) => Ok(array),
            Err(error) => Err(ArrayError { error, array: Self { array, staged } }),
        }
    }
}

impl<A, D> Deref for ArrayFilePending<A, D> {
    type Target = ArrayFileMut<A, D>;

    fn deref(&self) -> &ArrayFileMut<A, D> {
        &self.array
    }
}

/// Formats the [`ArrayFileMut`] that `commit` returns.
impl<A, D: Dimension> fmt::Debug for ArrayFilePending<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ArrayFilePending").field(&self.array).finish()
    }
}
