//! Arrays in files that are read and written with system calls and never mapped.
//!
//! ```text
//! opening, creating ──► slices ──► reading ──► element_reader ──► bytes, byte_order
//!                 └───► writable ─► writing
//! appender ──────────────────────────┘
//! ```
#![deny(unsafe_code)]

mod appender;
mod byte_order;
mod bytes;
mod creating;
mod decoded;
mod element_reader;
mod opening;
mod reading;
mod slices;
#[cfg(test)]
mod tests;
mod writable;
mod writing;

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use ndarray::{Dimension, IxDyn};

pub use self::appender::ArrayAppender;
pub(super) use self::byte_order::ByteOrder;
pub use self::byte_order::SwapBytes;
pub(crate) use self::decoded::DecodedFile;
pub(crate) use self::element_reader::{
    BUFFER_BYTES, ElementReader, MAX_ROW_GAP_BYTES, RowPlace, resize,
};
use self::reading::StoredArray;
pub use self::writable::{ArrayFileMut, ArrayFilePending};
use super::file::file_version;
use super::layout::{Element, FileLayout};
use crate::error::Result;
use crate::paging::FileVersion;

/// An array in a file that is read with system calls and never mapped, so that opening it is safe.
///
/// Elements are [read](Self::read) into memory, any slice at a time, or chunk by chunk in [chunked
/// operations](crate::ChunkedExt::chunked) such as statistics. The file is open and locked as long
/// as the array exists, but none of its contents are kept in memory. The page on
/// [reading](crate::doc::reading) compares it with [`MmapArray`](crate::MmapArray).
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{ArrayFile, prelude::*};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("scan.raw");
/// std::fs::write(&path, bytemuck::bytes_of(&[1_i16, 2, 3, 4, 5, 6]))?;
/// let scan = ArrayFile::<i16, _>::open(&path, (2, 3))?;
/// assert_eq!(scan.read(s![.., 1])?, array![2, 5]);
/// assert_eq!(scan.chunked().mean()?, 3.5);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Changes to the file
///
/// A file that other programs change or truncate while it is open is never undefined behaviour, and
/// raises no signal:
///
/// - A read of elements that the file no longer contains returns
///   [`ErrorKind::FileTruncated`](crate::ErrorKind::FileTruncated), also if the file is truncated
///   during the read. If it is truncated and then extended again, they may be read as zeros.
/// - A read during other changes returns the old bytes, the new bytes, or a mixture of both, even
///   within an element.
/// - A file that is replaced (renamed over) stays as it was when it was opened.
///
/// Users of this crate, and of `flock`, exclude each other by an [advisory
/// lock](crate::LockPolicy): an `ArrayFile` has a shared one, as a [`MmapArray`](crate::MmapArray)
/// has.
#[must_use = "dropping it closes the file"]
pub struct ArrayFile<A, D> {
    stored: StoredArray,
    dim: D,
    elements: PhantomData<fn() -> A>,
}

impl<A, D: Dimension> ArrayFile<A, D> {
    /// Returns the number of indices along each axis.
    ///
    /// ```
    /// # use ndarray_mmap::ArrayFile;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("scan.raw");
    /// std::fs::write(&path, [0; 6])?;
    /// let scan = ArrayFile::<u8, _>::open(&path, (2, 3))?;
    /// assert_eq!((scan.shape(), scan.dim(), scan.ndim()), (&[2, 3][..], (2, 3), 2));
    /// assert_eq!((scan.len(), scan.is_empty()), (6, false));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shape(&self) -> &[usize] {
        self.dim.slice()
    }

    /// Returns the shape as a tuple, or as an integer for one dimension.
    pub fn dim(&self) -> D::Pattern {
        self.dim.clone().into_pattern()
    }

    /// Returns the shape as a value of the dimension type.
    pub fn raw_dim(&self) -> D {
        self.dim.clone()
    }

    /// Returns the number of dimensions.
    pub fn ndim(&self) -> usize {
        self.dim.ndim()
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.dim.size()
    }

    /// Returns whether the array has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the path of the file as the caller passed it.
    ///
    /// ```
    /// # use ndarray_mmap::ArrayFile;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("scan.raw");
    /// std::fs::write(&path, [0; 6])?;
    /// assert_eq!(ArrayFile::<u8, _>::open(&path, 6)?.path(), path);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn path(&self) -> &Path {
        self.stored.handle.path().unwrap_or(Path::new(""))
    }

    /// Returns the offset of the first element, in bytes from the start of the file.
    ///
    /// ```
    /// # use ndarray_mmap::{ArrayFile, MmapArrayOptions};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("scan.raw");
    /// std::fs::write(&path, [0; 23])?;
    /// let scan = MmapArrayOptions::new().offset(15).open_file::<f64, _>(&path, 1)?;
    /// assert_eq!(scan.offset(), 15); // aligned or not
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn offset(&self) -> u64 {
        self.layout().offset()
    }

    /// Returns the shape, order and file offset of the array.
    ///
    /// ```
    /// # use ndarray::ShapeBuilder;
    /// # use ndarray_mmap::{ArrayFile, Order};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("scan.raw");
    /// std::fs::write(&path, [0; 6])?;
    /// let scan = ArrayFile::<u8, _>::open(&path, (2, 3).f())?;
    /// assert_eq!((scan.layout().order(), scan.layout().end()), (Order::F, 6));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn layout(&self) -> &FileLayout {
        self.stored.handle.layout()
    }

    /// Declares that the file stores numbers in big-endian order, as FITS, netCDF-3 and SEG-Y do:
    /// they are converted when they are read.
    ///
    /// It has no effect on `.npy` files, whose header states the byte order.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::ArrayFile;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("image.raw");
    /// std::fs::write(&path, [0, 1, 0, 2, 1, 0])?;
    /// let image = ArrayFile::<i16, _>::open(&path, 3)?.big_endian();
    /// assert_eq!(image.read_all()?, array![1, 2, 256]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn big_endian(mut self) -> Self
    where
        A: SwapBytes,
    {
        self.stored.declare(ByteOrder::of::<A>(true));
        self
    }

    /// Declares that the file stores numbers in little-endian order, whatever this machine uses;
    /// see [`big_endian`](Self::big_endian).
    pub fn little_endian(mut self) -> Self
    where
        A: SwapBytes,
    {
        self.stored.declare(ByteOrder::of::<A>(false));
        self
    }

    /// Makes the number of dimensions dynamic.
    pub(crate) fn into_dyn(self) -> ArrayFile<A, IxDyn> {
        let Self { stored, dim, elements } = self;
        ArrayFile { stored, dim: IxDyn(dim.slice()), elements }
    }

    /// Returns whether the byte order of numbers in the file is not the native one.
    pub(crate) fn is_swapped(&self) -> bool {
        self.stored.byte_order != ByteOrder::Native
    }

    /// Returns the identity and the version of the file.
    pub(crate) fn file_version(&self) -> Result<FileVersion> {
        file_version(self.stored.handle.file(), self.path(), true)
    }

    fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("path", &self.path())
            .field("element", &format_args!("{}", Element::of::<A>().name))
            .field("shape", &self.shape())
            .field("order", &format_args!("{}", self.layout().order()))
            .field("offset", &self.offset())
            .finish()
    }
}

/// Formats shape, order, element type and path, never the data.
impl<A, D: Dimension> fmt::Debug for ArrayFile<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.debug("ArrayFile", f)
    }
}
