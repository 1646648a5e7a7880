//! Opening of files to be read without mapping them.
#![forbid(unsafe_code)]

use std::fs::File;
use std::marker::PhantomData;
use std::path::Path;

use bytemuck::{AnyBitPattern, Pod};
use ndarray::{Dimension, IntoDimension, RemoveAxis, ShapeBuilder};

use super::ArrayFile;
use super::byte_order::ByteOrder;
use super::reading::StoredArray;
use super::writable::ArrayFileMut;
#[allow(unused_imports, reason = "for links in the docs")]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::storage::file_layouts::{check_dimensions, dimension_of};
use crate::storage::handle::FileHandle;
use crate::storage::layout::{Element, FileLayout};
use crate::storage::npy::{NpyElement, NpyHeader};
use crate::storage::options::MmapArrayOptions;
use crate::storage::os;
use crate::storage::space::check_file_size;

/// # Opening without mapping
///
/// Opening is safe, because the file is read with system calls. The [offset](Self::offset) need not be a multiple of the alignment of the elements.
impl MmapArrayOptions {
    /// Opens a raw file of known shape for reading, without mapping it.
    ///
    /// The shape is any shape that ndarray accepts: `(n, m)`, `[n, m]`, `IxDyn(&[..])`, and
    /// `(n, m).f()` for Fortran order. The file may be longer than the array.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("scan.raw");
    /// std::fs::write(&path, bytemuck::bytes_of(&[1_i16, 2, 3, 4, 5, 6]))?;
    /// let scan = MmapArrayOptions::new().offset(4).open_file::<i16, _>(&path, (2, 2).f())?;
    /// assert_eq!(scan.read_all()?, array![[3, 5], [4, 6]]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file cannot be opened; [`ErrorKind::NotRegularFile`] if the path
    /// refers to something else; [`ErrorKind::TooShort`] if the file is too short;
    /// [`ErrorKind::Locked`] or [`ErrorKind::AlreadyMapped`] if another user of the file writes to
    /// it; [`ErrorKind::TooLarge`] if the shape exceeds the address space;
    /// [`ErrorKind::NpyHeaderInRawFile`] if the offset is 0 and the file starts with an `.npy`
    /// header (unless [`npy_as_raw`](Self::npy_as_raw) is set).
    #[doc(alias = "fromfile")]
    pub fn open_file<A: AnyBitPattern, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<ArrayFile<A, Sh::Dim>> {
        self.open_raw(path.as_ref(), shape, false)
    }

    /// Opens a raw file of rows for reading, without mapping it: the length of the first axis is
    /// inferred from the size of the file.
    ///
    /// `row` is the shape of one row: `64` for a matrix of 64 columns, `()` for single values,
    /// `(3, 4)` for matrices. `D` has one dimension more and must be named. The rows start at the
    /// [`offset`](Self::offset), in C order.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.raw");
    /// std::fs::write(&path, bytemuck::bytes_of(&[1_i16, 2, 3, 4, 5, 6]))?;
    /// let log = MmapArrayOptions::new().offset(4).open_file_rows::<i16, Ix2>(&path, 2)?;
    /// assert_eq!(log.read_all()?, array![[3, 4], [5, 6]]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`open_file`](Self::open_file), and [`ErrorKind::PartialRow`] if the bytes
    /// after the offset are not a whole number of rows (unless
    /// [`trailing_bytes`](Self::trailing_bytes) are allowed) or a row has no bytes.
    pub fn open_file_rows<A: AnyBitPattern, D: RemoveAxis>(
        &self,
        path: impl AsRef<Path>,
        row: impl IntoDimension<Dim = D::Smaller>,
    ) -> Result<ArrayFile<A, D>> {
        self.open_raw_rows(path.as_ref(), row, false)
    }

    /// Opens an `.npy` file for reading, without mapping it.
    ///
    /// Shape, order and element type are read from the file; `A` and `D` must match them. `IxDyn`
    /// matches every number of dimensions. Numbers in the other byte order are converted when they
    /// are read.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ErrorKind, MmapArrayOptions};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// let text = b"{'descr': '>i2', 'fortran_order': False, 'shape': (3,)}";
    /// let header = [b"\x93NUMPY\x01\0\x37\0", &text[..]].concat();
    /// std::fs::write(&path, [&header[..], &[0, 1, 0, 2, 1, 0]].concat())?;
    /// let options = MmapArrayOptions::new();
    /// let table = options.open_file_npy::<i16, Ix1>(&path)?;
    /// assert_eq!(table.read_all()?, array![1, 2, 256]);
    /// let error = options.open_file_npy::<f32, Ix1>(&path).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::DtypeMismatch { .. }));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`open_file`](Self::open_file), and [`ErrorKind::InvalidHeader`] if the header
    /// cannot be read; [`ErrorKind::DtypeMismatch`] or [`ErrorKind::DimensionMismatch`] if the file
    /// stores another element type or number of dimensions; [`ErrorKind::TrailingBytes`] if the
    /// file continues after the array (unless [`trailing_bytes`](Self::trailing_bytes) are
    /// allowed).
    #[doc(alias = "load")]
    pub fn open_file_npy<A: NpyElement, D: Dimension>(
        &self,
        path: impl AsRef<Path>,
    ) -> Result<ArrayFile<A, D>> {
        self.open_header(path.as_ref(), false)
    }

    /// Opens a raw file of known shape for reading and writing, as
    /// [`open_file`](Self::open_file) does for reading.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("scan.raw");
    /// std::fs::write(&path, [1, 2, 3, 4, 5, 6])?;
    /// let scan = MmapArrayOptions::new().offset(2).open_file_mut::<u8, _>(&path, (2, 2))?;
    /// scan.write(s![.., 0], &array![30, 50])?;
    /// assert_eq!(std::fs::read(&path)?, [1, 2, 30, 4, 50, 6]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`open_file`](Self::open_file), also if another user of the file reads it;
    /// [`ErrorKind::FileSizeLimit`] if the process may not write to files of this size.
    pub fn open_file_mut<A: Pod, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<ArrayFileMut<A, Sh::Dim>> {
        self.open_raw(path.as_ref(), shape, true).map(ArrayFileMut::new)
    }

    /// Opens a raw file of rows for reading and writing, as
    /// [`open_file_rows`](Self::open_file_rows) does for reading.
    ///
    /// # Errors
    ///
    /// The errors of [`open_file_rows`](Self::open_file_rows) and
    /// [`open_file_mut`](Self::open_file_mut).
    pub fn open_file_rows_mut<A: Pod, D: RemoveAxis>(
        &self,
        path: impl AsRef<Path>,
        row: impl IntoDimension<Dim = D::Smaller>,
    ) -> Result<ArrayFileMut<A, D>> {
        self.open_raw_rows(path.as_ref(), row, true).map(ArrayFileMut::new)
    }

    /// Opens an `.npy` file for reading and writing, as [`open_file_npy`](Self::open_file_npy) does
    /// for reading.
    ///
    /// # Errors
    ///
    /// The errors of [`open_file_npy`](Self::open_file_npy) and
    /// [`open_file_mut`](Self::open_file_mut), and [`ErrorKind::DtypeMismatch`] if the file stores
    /// a `bool` (see [`NpyElement`]).
    pub fn open_file_npy_mut<A: Pod + NpyElement, D: Dimension>(
        &self,
        path: impl AsRef<Path>,
    ) -> Result<ArrayFileMut<A, D>> {
        self.open_header(path.as_ref(), true).map(ArrayFileMut::new)
    }

    fn open_raw<A, Sh: ShapeBuilder>(
        &self,
        path: &Path,
        shape: Sh,
        writable: bool,
    ) -> Result<ArrayFile<A, Sh::Dim>> {
        let element = Element::unaligned::<A>();
        let layout = self.layout_of_shape(Some(path), shape, element)?;
        self.open_stored(path, writable, |file, file_len| {
            self.check_raw(file, path, open_npy_of(writable))?;
            layout.check_fits(file_len, element, false).map_err(|kind| kind.at(path))?;
            Ok((layout, ByteOrder::Native))
        })
    }

    fn open_raw_rows<A, D: RemoveAxis>(
        &self,
        path: &Path,
        row: impl IntoDimension<Dim = D::Smaller>,
        writable: bool,
    ) -> Result<ArrayFile<A, D>> {
        let row = row.into_dimension();
        self.open_stored(path, writable, |file, file_len| {
            self.check_raw(file, path, open_npy_of(writable))?;
            let element = Element::unaligned::<A>();
            let layout = self.layout_of_rows(path, row.slice(), file_len, element)?;
            Ok((layout, ByteOrder::Native))
        })
    }

    fn open_header<A: NpyElement, D: Dimension>(
        &self,
        path: &Path,
        writable: bool,
    ) -> Result<ArrayFile<A, D>> {
        self.open_npy_until(path, writable, |_, file_len| Ok(file_len))
    }

    /// Opens an `.npy` file that may be a part of another file. `end` returns its end, and is
    /// passed the open file and its length.
    pub(in crate::storage) fn open_npy_until<A: NpyElement, D: Dimension>(
        &self,
        path: &Path,
        writable: bool,
        end: impl FnOnce(&File, u64) -> Result<u64>,
    ) -> Result<ArrayFile<A, D>> {
        let mut array = self.open_stored(path, writable, |file, file_len| {
            let end = end(file, file_len)?;
            let header = NpyHeader::read_from(file, path, self.offset)?;
            let opened = header.stored_layout::<A>().and_then(|(layout, swapped)| {
                check_dimensions::<D>(&layout)?;
                if writable {
                    header.check_writable::<A>()?;
                }
                self.check_npy_length(&layout, end, Element::unaligned::<A>())?;
                let swapped = swapped.map(|width| ByteOrder::Swapped { width });
                Ok((layout, swapped.unwrap_or(ByteOrder::Native)))
            });
            opened.map_err(|kind| kind.at(path))
        })?;
        array.stored.has_header = true;
        Ok(array)
    }

    /// Opens a file whose layout and byte order are determined from the open file and its length.
    fn open_stored<A, D: Dimension>(
        &self,
        path: &Path,
        writable: bool,
        layout: impl FnOnce(&File, u64) -> Result<(FileLayout, ByteOrder)>,
    ) -> Result<ArrayFile<A, D>> {
        let mut byte_order = ByteOrder::Native;
        let handle = FileHandle::open(path, writable, self.lock, |file, file_len| {
            let (layout, order) = layout(file, file_len)?;
            if writable {
                check_file_size(layout.end(), Some(path))?;
            }
            byte_order = order;
            Ok(layout)
        })?;
        os::advise(handle.file(), self.advice);
        let item = size_of::<A>();
        ArrayFile::new(StoredArray { handle, item, byte_order, has_header: false })
    }
}

/// Returns the method that opens an `.npy` file in this way.
fn open_npy_of(writable: bool) -> &'static str {
    if writable { "ArrayFileMut::open_npy" } else { "ArrayFile::open_npy" }
}

/// Constructors with the default [options](MmapArrayOptions).
impl<A, D: Dimension> ArrayFile<A, D> {
    /// Returns the array of a handle, if `D` has its number of dimensions.
    pub(super) fn new(stored: StoredArray) -> Result<Self> {
        let dim =
            dimension_of(stored.handle.layout()).map_err(|kind| kind.at(stored.handle.path()))?;
        Ok(Self { stored, dim, elements: PhantomData })
    }

    /// Opens a raw file of known shape; see [`MmapArrayOptions::open_file`].
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::ArrayFile;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("scan.raw");
    /// std::fs::write(&path, bytemuck::bytes_of(&[1_i16, 2, 3, 4, 5, 6]))?;
    /// let scan = ArrayFile::<i16, _>::open(&path, (3, 2))?;
    /// assert_eq!(scan.read(s![2, ..])?, array![5, 6]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::open_file`].
    pub fn open(path: impl AsRef<Path>, shape: impl ShapeBuilder<Dim = D>) -> Result<Self>
    where
        A: AnyBitPattern,
    {
        MmapArrayOptions::new().open_file(path, shape)
    }

    /// Opens a raw file of rows; see [`MmapArrayOptions::open_file_rows`].
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::ArrayFile;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.raw");
    /// std::fs::write(&path, bytemuck::bytes_of(&[1_i16, 2, 3, 4, 5, 6]))?;
    /// let log = ArrayFile::<i16, Ix2>::open_rows(&path, 2)?;
    /// assert_eq!(log.dim(), (3, 2));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::open_file_rows`].
    pub fn open_rows(
        path: impl AsRef<Path>,
        row: impl IntoDimension<Dim = D::Smaller>,
    ) -> Result<Self>
    where
        A: AnyBitPattern,
        D: RemoveAxis,
    {
        MmapArrayOptions::new().open_file_rows(path, row)
    }

    /// Opens an `.npy` file; see [`MmapArrayOptions::open_file_npy`].
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::ArrayFile;
    /// # use ndarray_mmap::ArrayFileMut;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// # let out = ArrayFileMut::create_npy(&path, (2, 3))?;
    /// # out.write_all(&array![[1_i16, 2, 3], [4, 5, 6]])?;
    /// # out.close()?;
    /// let table = ArrayFile::<i16, Ix2>::open_npy(&path)?;
    /// assert_eq!(table.read(s![.., 1])?, array![2, 5]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::open_file_npy`].
    pub fn open_npy(path: impl AsRef<Path>) -> Result<Self>
    where
        A: NpyElement,
    {
        MmapArrayOptions::new().open_file_npy(path)
    }
}

/// Constructors with the default [options](MmapArrayOptions).
impl<A: Pod, D: Dimension> ArrayFileMut<A, D> {
    /// Opens a raw file of known shape; see [`MmapArrayOptions::open_file_mut`].
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::ArrayFileMut;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("scan.raw");
    /// std::fs::write(&path, [1, 2, 3, 4, 5, 6])?;
    /// let scan = ArrayFileMut::<u8, _>::open(&path, (2, 3))?;
    /// scan.write(s![1, ..], &array![7, 8, 9])?;
    /// assert_eq!(std::fs::read(&path)?, [1, 2, 3, 7, 8, 9]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::open_file_mut`].
    pub fn open(path: impl AsRef<Path>, shape: impl ShapeBuilder<Dim = D>) -> Result<Self> {
        MmapArrayOptions::new().open_file_mut(path, shape)
    }

    /// Opens a raw file of rows; see [`MmapArrayOptions::open_file_rows_mut`].
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::open_file_rows_mut`].
    pub fn open_rows(
        path: impl AsRef<Path>,
        row: impl IntoDimension<Dim = D::Smaller>,
    ) -> Result<Self>
    where
        D: RemoveAxis,
    {
        MmapArrayOptions::new().open_file_rows_mut(path, row)
    }

    /// Opens an `.npy` file; see [`MmapArrayOptions::open_file_npy_mut`].
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::ArrayFileMut;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// ArrayFileMut::<i16, _>::create_npy(&path, (2, 3))?.close()?;
    /// let table = ArrayFileMut::<i16, Ix2>::open_npy(&path)?;
    /// table.write(s![.., 1], &array![5, 6])?;
    /// assert_eq!(table.read_all()?, array![[0, 5, 0], [0, 6, 0]]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::open_file_npy_mut`].
    pub fn open_npy(path: impl AsRef<Path>) -> Result<Self>
    where
        A: NpyElement,
    {
        MmapArrayOptions::new().open_file_npy_mut(path)
    }
}
