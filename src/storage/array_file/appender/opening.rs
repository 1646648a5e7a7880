//! Opening and creation of files to which rows are appended.
#![forbid(unsafe_code)]

use std::fs::File;
use std::marker::PhantomData;
use std::path::Path;

use bytemuck::Pod;
use ndarray::{Dimension, IntoDimension, IxDyn, RemoveAxis};

use super::ArrayAppender;
use super::room::check_nothing_follows;
use super::rows::RowFile;
use crate::error::{ErrorKind, Result};
use crate::order::Order;
use crate::storage::array_file::byte_order::ByteOrder;
use crate::storage::file_layouts::{check_dimensions, dimension_of};
use crate::storage::handle::FileHandle;
use crate::storage::layout::{Element, FileLayout};
use crate::storage::npy::{AxisField, NpyElement, NpyHeader, growing_header};
use crate::storage::options::MmapArrayOptions;

/// The properties of a file that its contents determine.
struct Contents {
    byte_order: ByteOrder,
    field: Option<AxisField>,
    has_tail: bool,
}

/// # Appending rows
impl MmapArrayOptions {
    /// Opens a raw file of rows to append more of them.
    ///
    /// `row` is the shape of one row: `64` for a matrix of 64 columns, `()` for single values,
    /// `(3, 4)` for matrices. `D` has one dimension more and must be named. The existing rows start
    /// at the [`offset`](Self::offset), in C order.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ErrorKind, MmapArrayOptions};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.raw");
    /// std::fs::write(&path, [1, 2, 3, 4, 5])?; // two rows, and an incomplete one
    /// let options = MmapArrayOptions::new();
    /// let error = options.open_appender::<u8, Ix2>(&path, 2).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::PartialRow { .. }));
    /// let mut log = options.trailing_bytes(true).open_appender::<u8, Ix2>(&path, 2)?;
    /// log.push(&array![7, 8])?;
    /// log.close()?;
    /// assert_eq!(std::fs::read(&path)?, [1, 2, 3, 4, 7, 8]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file cannot be opened; [`ErrorKind::NotRegularFile`] if the path
    /// refers to something else; [`ErrorKind::Locked`] or [`ErrorKind::AlreadyMapped`] if the file
    /// has another user; [`ErrorKind::PartialRow`] if the bytes after the offset are not a whole
    /// number of rows (unless [`trailing_bytes`](Self::trailing_bytes) are allowed, which the
    /// appender then removes); [`ErrorKind::NpyHeaderInRawFile`] if the offset is 0 and the file
    /// starts with an `.npy` header (unless [`npy_as_raw`](Self::npy_as_raw) is set);
    /// [`ErrorKind::Unsupported`] if rows have no bytes.
    pub fn open_appender<A: Pod, D: RemoveAxis>(
        &self,
        path: impl AsRef<Path>,
        row: impl IntoDimension<Dim = D::Smaller>,
    ) -> Result<ArrayAppender<A, D>> {
        let (path, row) = (path.as_ref(), row.into_dimension());
        let element = Element::unaligned::<A>();
        check_row_bytes(row.slice(), element, path)?;
        self.open_rows_of_file(path, element, |file, file_len| {
            self.check_raw(file, path, "ArrayAppender::open_npy")?;
            let layout = self.layout_of_rows(path, row.slice(), file_len, element)?;
            let has_tail = file_len > layout.end();
            Ok((layout, Contents { byte_order: ByteOrder::Native, field: None, has_tail }))
        })
    }

    /// Opens an `.npy` file to append rows.
    ///
    /// Shape and element type are read from the file; `A` and `D` must match them. `IxDyn` matches
    /// every number of dimensions. Rows of a file in the other byte order are converted.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ArrayFile, ErrorKind, MmapArrayOptions};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// let text = b"{'descr': '>i2', 'fortran_order': False, 'shape': (3,)}"; // no room
    /// let header = [b"\x93NUMPY\x01\0\x37\0", &text[..]].concat();
    /// std::fs::write(&path, [&header[..], &[0, 1, 0, 2, 1, 0]].concat())?;
    /// let mut table = MmapArrayOptions::new().open_appender_npy::<i16, Ix1>(&path)?;
    /// table.append(&array![4, 5, 6, 7, 8, 9])?; // 9 rows, which is still one digit
    /// let error = table.append(&array![10]).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::HeaderFull { rows: 10, max: 9, .. }));
    /// table.close()?;
    /// assert_eq!(ArrayFile::<i16, Ix1>::open_npy(&path)?.read_all()?.sum(), 1 + 2 + 256 + 39);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file cannot be opened; [`ErrorKind::NotRegularFile`] if the path
    /// refers to something else; [`ErrorKind::Locked`] or [`ErrorKind::AlreadyMapped`] if the file
    /// has another user; [`ErrorKind::InvalidHeader`] if the header cannot be read;
    /// [`ErrorKind::DtypeMismatch`] or [`ErrorKind::DimensionMismatch`] if the file stores another
    /// element type or number of dimensions; [`ErrorKind::TooShort`] if rows are missing;
    /// [`ErrorKind::Unsupported`] if the array is in Fortran order and has more than one dimension,
    /// has no dimensions, or is followed by another `.npy` header.
    pub fn open_appender_npy<A: Pod + NpyElement, D: RemoveAxis>(
        &self,
        path: impl AsRef<Path>,
    ) -> Result<ArrayAppender<A, D>> {
        let path = path.as_ref();
        let element = Element::unaligned::<A>();
        self.open_rows_of_file(path, element, |file, file_len| {
            let header = NpyHeader::read_from(file, path, self.offset)?;
            let opened = header.stored_layout::<A>().and_then(|(layout, swapped)| {
                check_dimensions::<D>(&layout)?;
                header.check_writable::<A>()?;
                check_grows(&layout)?;
                layout.check_fits(file_len, element, true)?;
                // One axis has both orders.
                let layout = FileLayout::new(layout.shape(), Order::C, layout.offset(), element)?;
                Ok((
                    layout,
                    swapped.map_or(ByteOrder::Native, |width| ByteOrder::Swapped { width }),
                ))
            });
            let (layout, byte_order) = opened.map_err(|kind| kind.at(path))?;
            check_nothing_follows(file, path, layout.end())?;
            let has_tail = file_len > layout.end();
            let field = Some(AxisField::read_from(file, path, self.offset, &header)?);
            Ok((layout, Contents { byte_order, field, has_tail }))
        })
    }

    /// Creates a raw file without rows, to append some; see [`open_appender`](Self::open_appender)
    /// for `row`.
    ///
    /// The file is created and replaced [as those of mapped arrays](#creating). It is on disk when
    /// this returns.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.raw");
    /// let mut log = MmapArrayOptions::new().offset(4).create_appender::<u8, Ix2>(&path, 2)?;
    /// log.append(&array![[1, 2], [3, 4]])?;
    /// log.close()?;
    /// assert_eq!(std::fs::read(&path)?, [0, 0, 0, 0, 1, 2, 3, 4]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file cannot be created or replaced; [`ErrorKind::StorageFull`] if
    /// the disk is full; [`ErrorKind::NotRegularFile`] if the path refers to something else;
    /// [`ErrorKind::AlreadyMapped`] or [`ErrorKind::Locked`] if the existing file is in use for
    /// writing; [`ErrorKind::TooLarge`] if a row exceeds the address space;
    /// [`ErrorKind::Unsupported`] if rows have no bytes.
    pub fn create_appender<A: Pod, D: RemoveAxis>(
        &self,
        path: impl AsRef<Path>,
        row: impl IntoDimension<Dim = D::Smaller>,
    ) -> Result<ArrayAppender<A, D>> {
        let (path, shape) = (path.as_ref(), no_rows(&row.into_dimension()));
        let element = Element::unaligned::<A>();
        check_row_bytes(&shape[1..], element, path)?;
        let layout = FileLayout::new(&shape, Order::C, self.offset, element)
            .map_err(|kind| kind.at(path))?;
        self.create_rows_of_file(path, &[], layout, element, None)
    }

    /// Creates an `.npy` file without rows, to append some; see
    /// [`open_appender`](Self::open_appender) for `row`.
    ///
    /// The header is byte for byte the one NumPy writes, which has room for any number of rows. (If
    /// the number would not be within a sector of 512 bytes, there are spaces before the shape.) The
    /// file is on disk when this returns.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{MmapArrayOptions, NpyHeader};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.npy");
    /// let options = MmapArrayOptions::new().create_new(true);
    /// let mut log = options.create_appender_npy::<f32, Ix3>(&path, (480, 640))?;
    /// assert_eq!(NpyHeader::read(&path)?.shape(), [0, 480, 640]);
    /// log.push(&Array2::zeros((480, 640)))?;
    /// log.close()?;
    /// assert_eq!(NpyHeader::read(&path)?.shape(), [1, 480, 640]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`create_appender`](Self::create_appender); also fails if the
    /// [`offset`](Self::offset) is not 0.
    pub fn create_appender_npy<A: Pod + NpyElement, D: RemoveAxis>(
        &self,
        path: impl AsRef<Path>,
        row: impl IntoDimension<Dim = D::Smaller>,
    ) -> Result<ArrayAppender<A, D>> {
        let (path, shape) = (path.as_ref(), no_rows(&row.into_dimension()));
        let element = Element::unaligned::<A>();
        let created = || {
            // Checks the options and the dtype.
            self.npy_layout::<A, _>(IxDyn(&shape))?;
            let header = growing_header(&A::dtype(), &shape, align_of::<A>())?;
            let layout = FileLayout::new(&shape, Order::C, header.len() as u64, element)?;
            Ok((header, layout))
        };
        let (header, layout) = created().map_err(|kind: ErrorKind| kind.at(path))?;
        let field = AxisField::of_header(&header, 0);
        self.create_rows_of_file(path, &header, layout, element, field)
    }

    /// Opens a file whose rows are determined from the open file and its length.
    fn open_rows_of_file<A, D: Dimension>(
        &self,
        path: &Path,
        element: Element,
        read: impl FnOnce(&File, u64) -> Result<(FileLayout, Contents)>,
    ) -> Result<ArrayAppender<A, D>> {
        let mut contents = None;
        let handle = FileHandle::open(path, true, self.lock, |file, file_len| {
            let (layout, found) = read(file, file_len)?;
            contents = Some(found);
            Ok(layout)
        })?;
        let Contents { byte_order, field, has_tail } =
            contents.expect("the layout was determined with them");
        ArrayAppender::new(RowFile::new(handle, element, byte_order, field, has_tail))
    }

    /// Creates a file with no rows, which is on disk before it has its name.
    fn create_rows_of_file<A, D: Dimension>(
        &self,
        path: &Path,
        header: &[u8],
        layout: FileLayout,
        element: Element,
        field: Option<AxisField>,
    ) -> Result<ArrayAppender<A, D>> {
        let (mut handle, staged) = self.create_handle(path, header, layout)?;
        handle.flush(|| false, |_| handle.sync_all())?;
        handle.publish(&mut Some(staged))?;
        ArrayAppender::new(RowFile::new(handle, element, ByteOrder::Native, field, false))
    }
}

/// Returns the shape of an array without rows.
fn no_rows(row: &impl Dimension) -> Vec<usize> {
    [&[0], row.slice()].concat()
}

/// Returns an error if rows have no bytes, so that the length of a raw file does not determine
/// their number.
fn check_row_bytes(row: &[usize], element: Element, path: &Path) -> Result<()> {
    if element.size > 0 && !row.contains(&0) {
        return Ok(());
    }
    let reason = format!(
        "rows of shape {row:?} of {} have no bytes, so a raw file does not show how many there are; \
         use an .npy file",
        element.name
    );
    Err(ErrorKind::Unsupported { reason }.at(path))
}

/// Returns an error if the first axis cannot grow at the end of the file.
pub(super) fn check_grows(layout: &FileLayout) -> std::result::Result<(), ErrorKind> {
    let reason = match layout.shape() {
        [] => "rows cannot be appended to a single value (shape []); save it with shape [1] first"
            .to_owned(),
        shape @ [_, _, ..] if layout.order() == Order::F => format!(
            "rows cannot be appended to an array of shape {shape:?} in Fortran order, whose rows \
             are not contiguous; copy it into C order first, with `map_into` an \
             `ArrayFileMut::create_npy`, or with `np.ascontiguousarray` in NumPy"
        ),
        _ => return Ok(()),
    };
    Err(ErrorKind::Unsupported { reason })
}

/// Constructors with the default [options](MmapArrayOptions).
impl<A: Pod, D: RemoveAxis> ArrayAppender<A, D> {
    /// Opens a raw file of rows; see [`MmapArrayOptions::open_appender`].
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::ArrayAppender;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.raw");
    /// std::fs::write(&path, [1, 2, 3, 4])?;
    /// let mut log = ArrayAppender::<u8, Ix2>::open(&path, 2)?;
    /// log.push(&array![5, 6])?;
    /// log.close()?;
    /// assert_eq!(std::fs::read(&path)?, [1, 2, 3, 4, 5, 6]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::open_appender`].
    pub fn open(path: impl AsRef<Path>, row: impl IntoDimension<Dim = D::Smaller>) -> Result<Self> {
        MmapArrayOptions::new().open_appender(path, row)
    }

    /// Creates or replaces a raw file without rows; see [`MmapArrayOptions::create_appender`].
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::create_appender`].
    pub fn create(
        path: impl AsRef<Path>,
        row: impl IntoDimension<Dim = D::Smaller>,
    ) -> Result<Self> {
        MmapArrayOptions::new().create_appender(path, row)
    }

    /// Opens an `.npy` file; see [`MmapArrayOptions::open_appender_npy`].
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ArrayAppender, ArrayFile, ArrayFileMut};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// ArrayFileMut::<f64, _>::create_npy(&path, (1, 3))?.close()?; // any file in C order
    /// let mut table = ArrayAppender::<f64, Ix2>::open_npy(&path)?;
    /// table.push(&array![1.0, 2.0, 3.0])?;
    /// table.close()?;
    /// let table = ArrayFile::<f64, Ix2>::open_npy(&path)?;
    /// assert_eq!(table.read_all()?, array![[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::open_appender_npy`].
    pub fn open_npy(path: impl AsRef<Path>) -> Result<Self>
    where
        A: NpyElement,
    {
        MmapArrayOptions::new().open_appender_npy(path)
    }

    /// Creates or replaces an `.npy` file without rows; see
    /// [`MmapArrayOptions::create_appender_npy`].
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::create_appender_npy`].
    pub fn create_npy(
        path: impl AsRef<Path>,
        row: impl IntoDimension<Dim = D::Smaller>,
    ) -> Result<Self>
    where
        A: NpyElement,
    {
        MmapArrayOptions::new().create_appender_npy(path, row)
    }

    /// Creates an `.npy` file that does not exist yet; see [`MmapArrayOptions::create_new`].
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::ArrayAppender;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("log.npy");
    /// for run in 0..2 {
    ///     let mut log = match path.exists() {
    ///         true => ArrayAppender::<f64, Ix1>::open_npy(&path)?,
    ///         false => ArrayAppender::create_new_npy(&path, ())?,
    ///     };
    ///     assert_eq!(log.num_rows(), run);
    ///     log.push(&arr0(0.5))?;
    ///     log.close()?;
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::create_appender_npy`]; also fails if the file exists.
    pub fn create_new_npy(
        path: impl AsRef<Path>,
        row: impl IntoDimension<Dim = D::Smaller>,
    ) -> Result<Self>
    where
        A: NpyElement,
    {
        MmapArrayOptions::new().create_new(true).create_appender_npy(path, row)
    }
}

impl<A, D: Dimension> ArrayAppender<A, D> {
    fn new(file: RowFile) -> Result<Self> {
        let handle = file.handle();
        let dim = dimension_of(handle.layout()).map_err(|kind| kind.at(handle.path()))?;
        Ok(Self { file, dim, elements: PhantomData })
    }
}
