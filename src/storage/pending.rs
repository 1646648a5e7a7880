//! Atomic creation: new files that are mapped but not yet visible under their path.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::{Deref, DerefMut};

use ndarray::{ArrayRef, Dimension};

use super::array::MmapArrayMut;
use super::array_error::ArrayError;
use super::create::StagedFile;
use super::mapping::Mapping;
use crate::error::Result;

/// A mapped file that is complete but not yet renamed to its path.
#[derive(Debug)]
pub(super) struct NewMapping {
    pub(super) mapping: Mapping,
    pub(super) staged: StagedFile,
}

/// A new mapped array whose file appears under its path only on [`commit`](Self::commit), and then
/// complete.
///
/// Until then, an existing file at that path is unchanged, readers see it whole, and dropping this
/// array (or a crash) leaves it so. A process that is killed in the meantime [leaves its temporary
/// file](crate::MmapArrayOptions#creating), `.ndarray-mmap-` and six characters, which may be
/// removed. [`create_atomic`](crate::MmapArrayOptions::create_atomic) and
/// [`create_npy_atomic`](crate::MmapArrayOptions::create_npy_atomic) return this type; it behaves
/// like [`MmapArrayMut`](crate::MmapArrayMut), which `commit` returns.
///
/// ```
/// use ndarray_mmap::{MmapArrayOptions, prelude::*};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("result.npy");
/// // SAFETY: this program alone uses the file.
/// let options = MmapArrayOptions::new();
/// let mut result = unsafe { options.create_npy_atomic::<f64, _>(&path, (10, 3)) }?;
/// result.fill(1.0);
/// assert!(!path.exists());
/// let result = result.commit()?;
/// assert!(path.exists());
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "the file is removed unless `commit` is called"]
pub struct MmapArrayPending<A: 'static, D: Dimension> {
    pub(super) array: MmapArrayMut<A, D>,
    /// `None` once the file has been renamed, and for a part of a file that another array creates.
    staged: Option<StagedFile>,
}

impl<A, D: Dimension> MmapArrayPending<A, D> {
    pub(super) fn new(array: MmapArrayMut<A, D>, staged: Option<StagedFile>) -> Self {
        Self { array, staged }
    }

    /// Renames the file to the path without flushing it. If that fails, the file is removed.
    pub(crate) fn persist(self) -> Result<MmapArrayMut<A, D>> {
        let Self { mut array, staged } = self;
        if let Some(staged) = staged {
            array.mapping.handle_mut().persist(staged).map_err(|(error, _)| error)?;
        }
        Ok(array)
    }

    /// Flushes the array, renames its file to the path, and makes the rename durable. The returned
    /// array may be dropped:
    ///
    /// ```
    /// # #![deny(unused_must_use)]
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("result.npy");
    /// // SAFETY: this program alone uses the file.
    /// let options = MmapArrayOptions::new();
    /// let mut result = unsafe { options.create_npy_atomic::<f64, _>(&path, (2, 3)) }?;
    /// result.fill(1.0);
    /// result.commit()?;
    /// assert!(path.exists());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// or used further:
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
    /// result[0] = 8; // changes the file from now on
    /// assert_eq!(std::fs::read(&path)?, [8, 7, 7]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`flush`](crate::MmapArrayMut::flush), and
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the file cannot be renamed,
    /// [`ErrorKind::AlreadyMapped`](crate::ErrorKind::AlreadyMapped) or
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked) if the file to replace is mapped for
    /// writing: in these cases the path is unchanged.
    ///
    /// If only the flush of the directory fails, which is the last step and reported in the
    /// message, the file is complete under its path, but a power failure may undo the rename. It
    /// stays so, and every later `commit` and `flush` fails, as for data that could not be written.
    /// The error contains the array, so nothing is lost: retry if the path is unchanged, otherwise
    /// save the array elsewhere.
    #[allow(clippy::result_large_err, reason = "it hands the array back")]
    pub fn commit(self) -> std::result::Result<MmapArrayMut<A, D>, ArrayError<Self>> {
        let Self { mut array, mut staged } = self;
        let flushed = array.flush();
        let handle = array.mapping.handle_mut();
        match flushed.and_then(|()| handle.publish(&mut staged)) {
            Ok(()) => Ok(array),
            Err(error) => Err(ArrayError { error, array: Self { array, staged } }),
        }
    }

    /// Writes all changes to disk and waits, as [`MmapArrayMut::flush`](crate::MmapArrayMut::flush)
    /// does. The file appears under its path only after [`commit`](Self::commit).
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayMut::flush`](crate::MmapArrayMut::flush).
    pub fn flush(&self) -> Result<()> {
        self.array.flush()
    }

    /// Flushes as [`flush`](Self::flush) does, for the pages that a view of this array
    /// [spans](Self::advise_view).
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("result.npy");
    /// // SAFETY: this program alone uses the file.
    /// let options = MmapArrayOptions::new();
    /// let mut result = unsafe { options.create_npy_atomic::<f64, _>(&path, (100, 4)) }?;
    /// for mut rows in result.axis_chunks_iter_mut(Axis(0), 10) {
    ///     rows.fill(1.0);
    /// }
    /// result.flush_view(&result.slice(s![..50, ..]))?;
    /// result.release()?; // evicts the pages
    /// assert_eq!(result.commit()?.sum(), 400.0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayMut::flush_view`](crate::MmapArrayMut::flush_view).
    pub fn flush_view<E: Dimension>(&self, part: &ArrayRef<A, E>) -> Result<()> {
        self.array.flush_view(part)
    }

    /// Starts writing changes to disk; see
    /// [`MmapArrayMut::start_writeback`](crate::MmapArrayMut::start_writeback).
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayMut::start_writeback`](crate::MmapArrayMut::start_writeback).
    pub fn start_writeback(&self) -> Result<()> {
        self.array.start_writeback()
    }

    /// Starts writeback as [`start_writeback`](Self::start_writeback) does, for the pages that a
    /// view of this array [spans](Self::advise_view).
    ///
    /// # Errors
    ///
    /// The errors of
    /// [`MmapArrayMut::start_writeback_view`](crate::MmapArrayMut::start_writeback_view).
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

/// Formats the elements, as ndarray formats a view.
impl<A: fmt::Display, D: Dimension> fmt::Display for MmapArrayPending<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.array.fmt(f)
    }
}

/// Formats the [`MmapArrayMut`](crate::MmapArrayMut) that `commit` returns.
impl<A, D: Dimension> fmt::Debug for MmapArrayPending<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MmapArrayPending").field(&self.array).finish()
    }
}
