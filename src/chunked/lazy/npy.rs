//! Arrays in `.npy` files of any numbers, which are converted while they are read.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use ndarray::{Dimension, IxDyn};

use super::file::{axes_of, saved_file};
use super::{LazyArray, ReadArray};
use crate::distributed::SavedArray;
use crate::error::Result;
use crate::geometry::Region;
use crate::storage::{BUFFER_BYTES, Conversion, DecodedFile, MmapArrayOptions, NumericElement};

/// # Opening `.npy` files of any numbers
///
/// Files of NumPy's integers, floats (`float16`, `float32`, `float64`) and `bool` are read, in any byte order and at any offset, as elements of type `A`. Numbers are converted chunk
/// by chunk while they are read. The file is open and locked as long as the array exists, and it is
/// read as by [`ArrayFile`](crate::ArrayFile), so that changes of it are never undefined behaviour.
impl<A: NumericElement, D: Dimension> LazyArray<'static, A, D> {
    /// Opens an `.npy` file whose numbers can be converted to `A` exactly.
    ///
    /// | element type of the file | `A` |
    /// |---|---|
    /// | `bool` (any byte except 0 is 1) | every type |
    /// | integer | integers that have all its values, floats that have all its digits |
    /// | `float16` | `f32`, `f64` |
    /// | `float32` | `f32`, `f64` |
    /// | `float64` | `f64` |
    /// | `datetime64`, `timedelta64` | `i64` (not-a-time is `i64::MIN`) |
    ///
    /// NaN, infinities and signed zeros are kept. To convert other types, use
    /// [`open_npy_lossy`](Self::open_npy_lossy).
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ErrorKind, LazyArray, prelude::*};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// let text = b"{'descr': '>i2', 'fortran_order': False, 'shape': (3,)}";
    /// let header = [b"\x93NUMPY\x01\0\x37\0", &text[..]].concat();
    /// std::fs::write(&path, [&header[..], &[0, 1, 0, 2, 1, 0]].concat())?;
    /// let table = LazyArray::<f32, Ix1>::open_npy(&path)?;
    /// assert_eq!(table.chunked().max()?, 256.0);
    /// let error = LazyArray::<u8, Ix1>::open_npy(&path).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::DtypeMismatch { .. }));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DtypeMismatch`](crate::ErrorKind::DtypeMismatch) if the file stores a type that
    /// may have other values than `A`, or no numbers. All other errors are those of
    /// [`ArrayFile::open_npy`](crate::ArrayFile::open_npy).
    pub fn open_npy(path: impl AsRef<Path>) -> Result<Self> {
        MmapArrayOptions::new().open_lazy_npy(path)
    }

    /// Opens an `.npy` file of any numbers, and converts them to `A`, possibly with loss of digits.
    ///
    /// Each number is converted as by Rust's `as`, except that integers saturate:
    ///
    /// | to | conversion |
    /// |---|---|
    /// | float | to the nearest value, ties to even; beyond the range of `f32` to an infinity |
    /// | integer, from an integer | to the nearest value: beyond the range to its minimum or maximum |
    /// | integer, from a float | towards zero, then to the nearest value; NaN to 0 |
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{LazyArray, prelude::*};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// let text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}";
    /// let header = [b"\x93NUMPY\x01\0\x37\0", &text[..]].concat();
    /// let numbers = [0.1_f64, 300.7, f64::NAN].map(f64::to_le_bytes).concat();
    /// std::fs::write(&path, [header, numbers].concat())?;
    /// let floats = LazyArray::<f32, Ix1>::open_npy_lossy(&path)?;
    /// assert_eq!(floats.chunked().skipnan().min()?, 0.1_f32);
    /// let bytes = LazyArray::<u8, Ix1>::open_npy_lossy(&path)?;
    /// assert_eq!(bytes.chunked().sum()?, 0 + 255 + 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`open_npy`](Self::open_npy), except that numbers that `A` cannot represent are
    /// rounded.
    pub fn open_npy_lossy(path: impl AsRef<Path>) -> Result<Self> {
        MmapArrayOptions::new().open_lazy_npy_lossy(path)
    }

    /// Opens one field of an `.npy` file of records (a structured dtype), with the conversions of
    /// [`open_npy`](Self::open_npy).
    ///
    /// The field of a record in a record is `outer.inner`. Fields that are arrays are not supported.
    /// If the records are long, only the bytes of the field are read.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{LazyArray, prelude::*};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("readings.npy");
    /// let text = b"{'descr': [('station', '|u1'), ('celsius', '>i2')],
    ///     'fortran_order': False, 'shape': (2,)}";
    /// # let text = String::from_utf8_lossy(text).replace("\n   ", "");
    /// # let text = text.as_bytes();
    /// # let len = text.len() as u8;
    /// let header = [b"\x93NUMPY\x01\0", &[len, 0][..], text].concat();
    /// std::fs::write(&path, [&header[..], &[7, 0, 21, 8, 0, 23]].concat())?;
    /// let celsius = LazyArray::<f64, Ix1>::open_npy_field(&path, "celsius")?;
    /// assert_eq!(celsius.chunked().mean()?, 22.0);
    /// let error = LazyArray::<f64, Ix1>::open_npy_field(&path, "kelvin").unwrap_err();
    /// assert!(error.to_string().ends_with("a record with the fields `station`, `celsius`"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`open_npy`](Self::open_npy), and
    /// [`ErrorKind::DtypeMismatch`](crate::ErrorKind::DtypeMismatch) if there is no field of this
    /// name that contains one number.
    #[doc(alias = "dtype.fields")]
    pub fn open_npy_field(path: impl AsRef<Path>, name: &str) -> Result<Self> {
        MmapArrayOptions::new().open_lazy_npy_field(path, name)
    }
}

/// # Opening `.npy` files of any numbers
///
/// Files are opened as lazy arrays, with the [offset](Self::offset), the [lock policy](Self::lock) and
/// the check of [trailing bytes](Self::trailing_bytes) of the options.
impl MmapArrayOptions {
    /// Opens an `.npy` file whose numbers can be converted to `A` exactly, see
    /// [`LazyArray::open_npy`].
    ///
    /// ```no_run
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// // An `.npy` file that starts at byte 512 of another file.
    /// let options = MmapArrayOptions::new().offset(512).trailing_bytes(true);
    /// let table = options.open_lazy_npy::<f32, Ix2>("container.bin")?;
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`LazyArray::open_npy`].
    pub fn open_lazy_npy<A: NumericElement, D: Dimension>(
        &self,
        path: impl AsRef<Path>,
    ) -> Result<LazyArray<'static, A, D>> {
        self.open_decoded(path.as_ref(), None, Conversion::Exact)
    }

    /// Opens an `.npy` file of any numbers, see [`LazyArray::open_npy_lossy`].
    ///
    /// # Errors
    ///
    /// The errors of [`LazyArray::open_npy_lossy`].
    pub fn open_lazy_npy_lossy<A: NumericElement, D: Dimension>(
        &self,
        path: impl AsRef<Path>,
    ) -> Result<LazyArray<'static, A, D>> {
        self.open_decoded(path.as_ref(), None, Conversion::Lossy)
    }

    /// Opens one field of an `.npy` file of records, see [`LazyArray::open_npy_field`].
    ///
    /// # Errors
    ///
    /// The errors of [`LazyArray::open_npy_field`].
    pub fn open_lazy_npy_field<A: NumericElement, D: Dimension>(
        &self,
        path: impl AsRef<Path>,
        name: &str,
    ) -> Result<LazyArray<'static, A, D>> {
        self.open_decoded(path.as_ref(), Some(name), Conversion::Exact)
    }

    fn open_decoded<A: NumericElement, D: Dimension>(
        &self,
        path: &Path,
        field: Option<&str>,
        conversion: Conversion,
    ) -> Result<LazyArray<'static, A, D>> {
        let file = DecodedFile::<A>::open::<D>(self, path, field, conversion)?;
        let order = axes_of(file.layout());
        let shape = IxDyn(file.layout().shape());
        let shape = D::from_dimension(&shape).expect("the number of dimensions was checked");
        Ok(LazyArray::new(Arc::new(file), &shape, &order))
    }
}

impl<A: NumericElement> ReadArray<A> for DecodedFile<A> {
    fn read(&self, region: &Region, elements: &mut Vec<A>) -> Result<()> {
        self.read_region(region, elements)
    }

    fn extra_bytes(&self) -> usize {
        self.encoded_bytes()
    }

    fn scratch_bytes(&self) -> usize {
        // The bytes that are read, and the numbers among them.
        2 * BUFFER_BYTES
    }

    fn path(&self) -> Option<&Path> {
        Some(self.path())
    }

    fn saved_files(&self) -> Result<Vec<SavedArray>> {
        let saved = saved_file(self.path(), self.layout(), self.item(), self.file_version()?)?;
        Ok(vec![SavedArray { offset: self.offset(), ..saved }])
    }
}
