//! Constructors that open files. Each is `unsafe`, because only the caller knows which other code
//! writes to the file.
#![allow(unsafe_code, reason = "only the caller can vouch for the file")]

use std::path::Path;

use bytemuck::{AnyBitPattern, Pod};
use ndarray::{Dimension, IntoDimension, RemoveAxis, ShapeBuilder};

use super::array::{MmapArray, MmapArrayCow, MmapArrayMut};
use super::map::MapKind;
use super::npy::NpyElement;
use super::options::MmapArrayOptions;
use crate::error::Result;

/// Defines the three ways to open a file in each of the three modes, on the options and (with the
/// defaults) on the array types.
macro_rules! open {
    ($(
        $owner:ident, $element:ident, $kind:ident, $mode:literal, $raw:ident $rows:ident $npy:ident;
    )*) => {
        /// # Opening
        ///
        /// Opens files in each of the three modes. `A` is the element type; the shape determines
        /// the dimension type `D`.
        impl MmapArrayOptions {$(
            #[doc = concat!(
                "Opens a raw file of known shape: NumPy's `memmap(path, dtype, '",
                $mode,
                "', offset, shape, order)`.",
            )]
            ///
            /// The shape is any shape that ndarray accepts: `(n, m)`, `[n, m]`, `IxDyn(&[..])`, and
            /// `(n, m).f()` for Fortran order. The file may be longer than the array. Opening never
            /// changes the file.
            ///
            /// ```
            /// use ndarray::prelude::*;
            /// use ndarray_mmap::MmapArrayOptions;
            ///
            /// # let dir = tempfile::tempdir()?;
            /// # let path = dir.path().join("scan.raw");
            /// std::fs::write(&path, bytemuck::bytes_of(&[1_i16, 2, 3, 4, 5, 6]))?;
            /// let options = MmapArrayOptions::new().offset(4);
            /// // SAFETY: this program alone uses the file.
            #[doc = concat!(
                "let scan = unsafe { options.", stringify!($raw), "::<i16, _>(&path, (2, 2)) }?;",
            )]
            /// assert_eq!(scan, array![[3, 4], [5, 6]]);
            /// drop(scan);
            /// // SAFETY: as above.
            #[doc = concat!(
                "let scan = unsafe { options.",
                stringify!($raw),
                "::<i16, _>(&path, (2, 2).f()) }?;",
            )]
            /// assert_eq!(scan, array![[3, 5], [4, 6]]);
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Safety
            ///
            /// The [contract](MmapArrayOptions#safety-contract): While a borrow of a mapped array
            /// is in use, no one changes the bytes that it covers except through it; between
            /// borrows others may, if a lock or a message orders their changes after the last
            /// borrow and before the next borrow. And no one makes the file shorter while the array
            /// lives.
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the file cannot be opened or mapped;
            /// [`ErrorKind::NotRegularFile`](crate::ErrorKind::NotRegularFile) if the path refers
            /// to something else; [`ErrorKind::TooShort`](crate::ErrorKind::TooShort) if the file
            /// is too short; [`ErrorKind::Locked`](crate::ErrorKind::Locked) or
            /// [`ErrorKind::AlreadyMapped`](crate::ErrorKind::AlreadyMapped) if another user of the
            /// file conflicts with this mode;
            /// [`ErrorKind::Misaligned`](crate::ErrorKind::Misaligned) if the offset is not a
            /// multiple of the alignment of `A`;
            /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) if the shape exceeds the address
            /// space; [`ErrorKind::NpyHeaderInRawFile`](crate::ErrorKind::NpyHeaderInRawFile) if
            /// the offset is 0 and the file starts with an `.npy` header (unless
            /// [`npy_as_raw`](Self::npy_as_raw) is set).
            #[doc(alias = "fromfile")]
            pub unsafe fn $raw<A: $element, Sh: ShapeBuilder>(
                &self,
                path: impl AsRef<Path>,
                shape: Sh,
            ) -> Result<$owner<A, Sh::Dim>> {
                let mapping = self.map_raw::<A, Sh>(path.as_ref(), shape, MapKind::$kind)?;
                // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for
                // the file.
                unsafe { $owner::new(mapping) }
            }

            /// Opens a raw file of rows: the length of the first axis is inferred from the size of
            /// the file.
            ///
            /// `row` is the shape of one row: `64` for a matrix of 64 columns, `()` for single
            /// values, `(3, 4)` for matrices. `D` has one dimension more and must be named: `Ix2`,
            /// `Ix1`, `Ix3`. For `IxDyn`, the row is of that type as well.
            ///
            /// The rows start at the [`offset`](Self::offset), in C order; open a file in Fortran
            /// order with its full shape. A file that ends at the offset, such as an empty one, has
            /// no rows.
            ///
            /// ```
            /// use ndarray::prelude::*;
            /// use ndarray_mmap::MmapArrayOptions;
            ///
            /// # let dir = tempfile::tempdir()?;
            /// # let path = dir.path().join("log.raw");
            /// std::fs::write(&path, bytemuck::bytes_of(&[1_i16, 2, 3, 4, 5, 6]))?;
            /// let options = MmapArrayOptions::new();
            /// // SAFETY: this program alone uses the file.
            #[doc = concat!(
                "let log = unsafe { options.", stringify!($rows), "::<i16, Ix2>(&path, 2) }?;",
            )]
            /// assert_eq!(log, array![[1, 2], [3, 4], [5, 6]]);
            /// drop(log);
            /// // SAFETY: as above.
            #[doc = concat!(
                "let last = unsafe { options.offset(8).",
                stringify!($rows),
                "::<i16, Ix1>(&path, ()) }?;",
            )]
            /// assert_eq!(last, array![5, 6]);
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Safety
            ///
            /// The [contract](MmapArrayOptions#safety-contract).
            ///
            /// # Errors
            ///
            #[doc = concat!(
                "The errors of [`", stringify!($raw), "`](Self::", stringify!($raw), "), and",
            )]
            /// [`ErrorKind::PartialRow`](crate::ErrorKind::PartialRow) if the bytes after the
            /// offset are not a whole number of rows (unless
            /// [`trailing_bytes`](Self::trailing_bytes) are allowed) or a row has no bytes.
            pub unsafe fn $rows<A: $element, D: RemoveAxis>(
                &self,
                path: impl AsRef<Path>,
                row: impl IntoDimension<Dim = D::Smaller>,
            ) -> Result<$owner<A, D>> {
                let mapping = self.map_rows::<A, _>(path.as_ref(), row, MapKind::$kind)?;
                // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for
                // the file.
                unsafe { $owner::new(mapping) }
            }

            #[doc = concat!("Opens an `.npy` file: NumPy's `load(path, mmap_mode='", $mode, "')`.")]
            ///
            /// Shape, order and element type are read from the file; `A` and `D` must match them.
            /// `IxDyn` matches every number of dimensions.
            ///
            /// ```
            /// use ndarray::prelude::*;
            /// use ndarray_mmap::{ErrorKind, MmapArrayOptions, prelude::*};
            ///
            /// # let dir = tempfile::tempdir()?;
            /// # let path = dir.path().join("table.npy");
            /// // SAFETY: this program alone uses the file.
            /// unsafe { array![[1_i16, 2, 3], [4, 5, 6]].to_mmap_npy(&path) }?.close()?;
            /// let options = MmapArrayOptions::new();
            /// // SAFETY: as above.
            #[doc = concat!(
                "let table = unsafe { options.", stringify!($npy), "::<i16, Ix2>(&path) }?;",
            )]
            /// assert_eq!(table.column(1), array![2, 5]);
            /// drop(table);
            /// // SAFETY: as above.
            #[doc = concat!(
                "let error = unsafe { options.",
                stringify!($npy),
                "::<f32, Ix2>(&path) }.unwrap_err();",
            )]
            /// assert!(matches!(error.kind(), ErrorKind::DtypeMismatch { .. }));
            /// # Ok::<(), std::io::Error>(())
            /// ```
            ///
            /// # Safety
            ///
            /// The [contract](MmapArrayOptions#safety-contract).
            ///
            /// # Errors
            ///
            #[doc = concat!(
                "The errors of [`", stringify!($raw), "`](Self::", stringify!($raw), "), and",
            )]
            /// [`ErrorKind::InvalidHeader`](crate::ErrorKind::InvalidHeader) if the header cannot
            /// be read (for other formats, such as compressed files, the message names the format
            /// and a remedy); [`ErrorKind::DtypeMismatch`](crate::ErrorKind::DtypeMismatch),
            /// [`ErrorKind::ByteOrderMismatch`](crate::ErrorKind::ByteOrderMismatch) or
            /// [`ErrorKind::DimensionMismatch`](crate::ErrorKind::DimensionMismatch) if the file
            /// stores another element type (or, in a mode that writes to the file, a `bool`; see
            /// [`NpyElement`]), byte order or number of dimensions;
            /// [`ErrorKind::TrailingBytes`](crate::ErrorKind::TrailingBytes) if the file continues
            /// after the array (unless [`trailing_bytes`](Self::trailing_bytes) are allowed).
            #[doc(alias = "load")]
            pub unsafe fn $npy<A: $element + NpyElement, D: Dimension>(
                &self,
                path: impl AsRef<Path>,
            ) -> Result<$owner<A, D>> {
                let mapping = self.map_npy::<A, D>(path.as_ref(), MapKind::$kind)?;
                // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for
                // the file.
                unsafe { $owner::new(mapping) }
            }
        )*}

        $(
            /// Constructors with the default [options](MmapArrayOptions).
            impl<A, D: Dimension> $owner<A, D> {
                #[doc = concat!(
                    "Opens a raw file of known shape; see [`MmapArrayOptions::",
                    stringify!($raw),
                    "`].",
                )]
                ///
                /// ```
                /// use ndarray::prelude::*;
                #[doc = concat!("use ndarray_mmap::", stringify!($owner), ";")]
                ///
                /// # let dir = tempfile::tempdir()?;
                /// # let path = dir.path().join("scan.raw");
                /// std::fs::write(&path, bytemuck::bytes_of(&[1_i16, 2, 3, 4, 5, 6]))?;
                /// // SAFETY: this program alone uses the file.
                #[doc = concat!(
                    "let scan = unsafe { ",
                    stringify!($owner),
                    "::<i16, _>::open(&path, (3, 2)) }?;",
                )]
                /// assert_eq!(scan.row(2), array![5, 6]);
                /// # Ok::<(), std::io::Error>(())
                /// ```
                ///
                /// # Safety
                ///
                /// The [contract](MmapArrayOptions#safety-contract).
                ///
                /// # Errors
                ///
                /// The errors of [`MmapArrayOptions::open`].
                pub unsafe fn open(
                    path: impl AsRef<Path>,
                    shape: impl ShapeBuilder<Dim = D>,
                ) -> Result<Self>
                where
                    A: $element,
                {
                    // SAFETY: the caller upholds the contract of the called function, which is the
                    // same.
                    unsafe { MmapArrayOptions::new().$raw(path, shape) }
                }

                #[doc = concat!(
                    "Opens a raw file of rows; see [`MmapArrayOptions::", stringify!($rows), "`].",
                )]
                ///
                /// ```
                /// use ndarray::prelude::*;
                #[doc = concat!("use ndarray_mmap::", stringify!($owner), ";")]
                ///
                /// # let dir = tempfile::tempdir()?;
                /// # let path = dir.path().join("log.raw");
                /// std::fs::write(&path, bytemuck::bytes_of(&[1_i16, 2, 3, 4, 5, 6]))?;
                /// // SAFETY: this program alone uses the file.
                #[doc = concat!(
                    "let log = unsafe { ",
                    stringify!($owner),
                    "::<i16, Ix2>::open_rows(&path, 2) }?;",
                )]
                /// assert_eq!(log.dim(), (3, 2));
                /// # Ok::<(), std::io::Error>(())
                /// ```
                ///
                /// # Safety
                ///
                /// The [contract](MmapArrayOptions#safety-contract).
                ///
                /// # Errors
                ///
                /// The errors of [`MmapArrayOptions::open_rows`].
                pub unsafe fn open_rows(
                    path: impl AsRef<Path>,
                    row: impl IntoDimension<Dim = D::Smaller>,
                ) -> Result<Self>
                where
                    A: $element,
                    D: RemoveAxis,
                {
                    // SAFETY: the caller upholds the contract of the called function, which is the
                    // same.
                    unsafe { MmapArrayOptions::new().$rows(path, row) }
                }

                #[doc = concat!(
                    "Opens an `.npy` file; see [`MmapArrayOptions::", stringify!($npy), "`].",
                )]
                ///
                /// ```
                /// use ndarray::prelude::*;
                #[doc = concat!("use ndarray_mmap::{", stringify!($owner), ", prelude::*};")]
                ///
                /// # let dir = tempfile::tempdir()?;
                /// # let path = dir.path().join("table.npy");
                /// // SAFETY: this program alone uses the file.
                /// unsafe { array![[1_i16, 2, 3], [4, 5, 6]].to_mmap_npy(&path) }?.close()?;
                /// // SAFETY: as above.
                #[doc = concat!(
                    "let table = unsafe { ",
                    stringify!($owner),
                    "::<i16, IxDyn>::open_npy(&path) }?;",
                )]
                /// assert_eq!((table.shape(), table.sum()), (&[2, 3][..], 21));
                /// # Ok::<(), std::io::Error>(())
                /// ```
                ///
                /// # Safety
                ///
                /// The [contract](MmapArrayOptions#safety-contract).
                ///
                /// # Errors
                ///
                /// The errors of [`MmapArrayOptions::open_npy`].
                pub unsafe fn open_npy(path: impl AsRef<Path>) -> Result<Self>
                where
                    A: $element + NpyElement,
                {
                    // SAFETY: the caller upholds the contract of the called function, which is the
                    // same.
                    unsafe { MmapArrayOptions::new().$npy(path) }
                }
            }
        )*
    };
}
open! {
    MmapArray, AnyBitPattern, Read, "r", open open_rows open_npy;
    MmapArrayMut, Pod, Write, "r+", open_mut open_rows_mut open_npy_mut;
    MmapArrayCow, Pod, Private, "c", open_cow open_rows_cow open_npy_cow;
}
