//! New files on the way to their names: the atomic variant of creating.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::{Deref, DerefMut};

use ndarray::{ArrayRef, Dimension};

use super::array::MmapArrayMut;
use super::array_error::ArrayError;
use super::create::StagedFile;
use super::mapping::Mapping;
use crate::error::Result;

/// A mapped file that is complete but still to be named.
#[derive(Debug)]
pub(super) struct New {
    pub(super) mapping: Mapping,
    pub(super) unnamed: StagedFile,
}

impl<A, D: Dimension> MmapArrayMut<A, D> {
    /// Gives a new array's file its name.
    pub(super) fn publish(mut self, unnamed: StagedFile) -> Result<Self> {
        self.mapping.publish(unnamed).map_err(|(error, _)| error)?;
        Ok(self)
    }
}

/// A new mapped array whose file appears under its name only on [`commit`](Self::commit), and then
/// complete.
///
/// Until then, a file of that name stays what it was, readers see it whole, and dropping this array
/// (or a crash) leaves it so. A process that is killed meanwhile [leaves its temporary
/// file](crate::MmapArrayOptions#creating), `.ndarray-mmap-` and six characters, which may be
/// removed. Made by [`create_atomic`](crate::MmapArrayOptions::create_atomic) and
/// [`create_npy_atomic`](crate::MmapArrayOptions::create_npy_atomic); otherwise as
/// [`MmapArrayMut`](crate::MmapArrayMut), to which it turns.
///
/// ```
/// use ndarray_mmap::{MmapArrayOptions, prelude::*};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("result.npy");
/// // SAFETY: this program alone uses the file.
/// let mut result = unsafe { MmapArrayOptions::new().create_npy_atomic::<f64, _>(&path, (10, 3)) }?;
/// result.fill(1.0);
/// assert!(!path.exists());
/// let result = result.commit()?;
/// assert!(path.exists());
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "without `commit` the file is gone"]
pub struct MmapArrayPending<A: 'static, D: Dimension> {
    pub(super) array: MmapArrayMut<A, D>,
    /// `None` once the file has its name.
    unnamed: Option<StagedFile>,
}

impl<A, D: Dimension> MmapArrayPending<A, D> {
    pub(super) fn new(array: MmapArrayMut<A, D>, unnamed: StagedFile) -> Self {
        Self { array, unnamed: Some(unnamed) }
    }

    /// Flushes the array, gives its file the name, and makes the name durable. What it returns may
    /// be dropped:
    ///
    /// ```
    /// # #![deny(unused_must_use)]
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("result.npy");
    /// // SAFETY: this program alone uses the file.
    /// let mut result = unsafe { MmapArrayOptions::new().create_npy_atomic::<f64, _>(&path, (2, 3)) }?;
    /// result.fill(1.0);
    /// result.commit()?;
    /// assert!(path.exists());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// or be worked on:
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("result.raw");
    /// // SAFETY: this program alone uses the file.
    /// let mut result = unsafe { MmapArrayOptions::new().create_atomic::<u8, _>(&path, 3) }?;
    /// result.fill(7);
    /// let mut result = result.commit()?; // an `MmapArrayMut`
    /// assert_eq!(std::fs::read(&path)?, [7, 7, 7]);
    /// result[0] = 8; // from now on the file changes with it
    /// assert_eq!(std::fs::read(&path)?, [8, 7, 7]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`flush`](crate::MmapArrayMut::flush), and [`ErrorKind::Io`](crate::ErrorKind::Io) if
    /// the file cannot be renamed, [`ErrorKind::AlreadyMapped`](crate::ErrorKind::AlreadyMapped) or
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked) if the one it is to replace is mapped for
    /// writing: then the name is what it was. If only its directory cannot be flushed, which comes
    /// last and which the message says, the file is complete under its name, but a power cut may
    /// undo that; it stays so, and every later `commit` and `flush` fails, as for data that could
    /// not be written. The error holds the array, so that nothing is lost: try again where the name
    /// is what it was, else save the array elsewhere.
    #[allow(clippy::result_large_err, reason = "it hands the array back")]
    pub fn commit(self) -> std::result::Result<MmapArrayMut<A, D>, ArrayError<Self>> {
        let Self { mut array, mut unnamed } = self;
        let result = array.flush().and_then(|()| match unnamed.take() {
            Some(pending) => array
                .mapping
                .publish(pending)
                .map_err(|(error, pending)| {
                    unnamed = Some(pending);
                    error
                })
                .and_then(|()| array.mapping.sync_directory()),
            None => Ok(()),
        });
        match result {
            Ok(()) => Ok(array),
            Err(error) => Err(ArrayError { error, array: Self { array, unnamed } }),
        }
    }

    /// Writes all changes to disk and waits, as [`MmapArrayMut::flush`](crate::MmapArrayMut::flush)
    /// does; the file has its name only after [`commit`](Self::commit).
    ///
    /// # Errors
    ///
    /// As for [`MmapArrayMut::flush`](crate::MmapArrayMut::flush).
    pub fn flush(&self) -> Result<()> {
        self.array.flush()
    }

    /// As [`flush`](Self::flush), for the pages that a view of this array
    /// [spans](Self::advise_view).
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("result.npy");
    /// // SAFETY: this program alone uses the file.
    /// let mut result = unsafe { MmapArrayOptions::new().create_npy_atomic::<f64, _>(&path, (100, 4)) }?;
    /// for mut rows in result.axis_chunks_iter_mut(Axis(0), 10) {
    ///     rows.fill(1.0);
    /// }
    /// result.flush_view(&result.slice(s![..50, ..]))?;
    /// result.release()?; // out of memory, should it be more than that
    /// assert_eq!(result.commit()?.sum(), 400.0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`MmapArrayMut::flush_view`](crate::MmapArrayMut::flush_view).
    pub fn flush_view<E: Dimension>(&self, part: &ArrayRef<A, E>) -> Result<()> {
        self.array.flush_view(part)
    }

    /// Starts writing changes to disk; see
    /// [`MmapArrayMut::start_writeback`](crate::MmapArrayMut::start_writeback).
    ///
    /// # Errors
    ///
    /// As for [`MmapArrayMut::start_writeback`](crate::MmapArrayMut::start_writeback).
    pub fn start_writeback(&self) -> Result<()> {
        self.array.start_writeback()
    }

    /// As [`start_writeback`](Self::start_writeback), for the pages that a view of this array
    /// [spans](Self::advise_view).
    ///
    /// # Errors
    ///
    /// As for [`MmapArrayMut::start_writeback_view`](crate::MmapArrayMut::start_writeback_view).
    pub fn start_writeback_view<E: Dimension>(&self, part: &ArrayRef<A, E>) -> Result<()> {
        self.array.start_writeback_view(part)
    }
}

impl<A, D: Dimension> Deref for MmapArrayPending<A, D> {
    type Target = ArrayRef<A, D>;

    fn deref(&self) -> &ArrayRef<A, D> {
        &self.array
    }
}

impl<A, D: Dimension> DerefMut for MmapArrayPending<A, D> {
    fn deref_mut(&mut self) -> &mut ArrayRef<A, D> {
        &mut self.array
    }
}

/// The elements, as ndarray prints a view.
impl<A: fmt::Display, D: Dimension> fmt::Display for MmapArrayPending<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.array.fmt(f)
    }
}

/// The [`MmapArrayMut`](crate::MmapArrayMut) it will become.
impl<A, D: Dimension> fmt::Debug for MmapArrayPending<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MmapArrayPending").field(&self.array).finish()
    }
}
