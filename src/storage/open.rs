//! Constructors that open files. Each is `unsafe`: only the caller knows who else writes to the
//! file.
#![allow(unsafe_code, reason = "only the caller can vouch for the file")]

use std::path::Path;

use bytemuck::{AnyBitPattern, Pod};
use ndarray::{Dimension, IntoDimension, RemoveAxis, ShapeBuilder};

use super::array::{MmapArray, MmapArrayCow, MmapArrayMut};
use super::map::MapKind;
use super::npy::NpyElement;
use super::options::MmapArrayOptions;
use crate::error::Result;

/// The three modes of the three ways to open, on the options and (with the defaults) on the owners.
macro_rules! open {
    ($($owner:ident, $element:ident, $kind:ident, $mode:literal, $raw:ident $rows:ident $npy:ident;)*) => {
        /// # Opening
        ///
        /// For each of the three modes. `A` is the element type, the shape tells the dimension type
        /// `D`.
        impl MmapArrayOptions {$(
            #[doc = concat!("Opens a raw file of known shape: NumPy's `memmap(path, dtype, '", $mode, "', offset, shape, order)`.")]
            ///
            /// The shape is anything ndarray takes: `(n, m)`, `[n, m]`, `IxDyn(&[..])`, and `(n,
            /// m).f()` for Fortran order. The file may be longer than the array. Nothing of the
            /// file is changed by opening it.
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
            #[doc = concat!("let scan = unsafe { options.", stringify!($raw), "::<i16, _>(&path, (2, 2)) }?;")]
            /// assert_eq!(scan, array![[3, 4], [5, 6]]);
            /// drop(scan);
            /// // SAFETY: as above.
            #[doc = concat!("let scan = unsafe { options.", stringify!($raw), "::<i16, _>(&path, (2, 2).f()) }?;")]
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
            /// The file cannot be opened or mapped, is no regular file, is too short, is locked or
            /// mapped in conflict; the offset is not a multiple of the alignment of `A`; the shape
            /// is too large to address; the offset is 0 and the file begins as an `.npy` file
            /// ([`ErrorKind::NpyHeaderInRawFile`](crate::ErrorKind::NpyHeaderInRawFile), unless
            /// [`npy_as_raw`](Self::npy_as_raw) accepts that).
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

            /// Opens a raw file of rows: the length of the first axis comes from the size of the
            /// file.
            ///
            /// `row` is the shape of one row: `64` for a matrix of 64 columns, `()` for single
            /// values, `(3, 4)` for matrices. `D` has one dimension more and is to be named: `Ix2`,
            /// `Ix1`, `Ix3`. For `IxDyn`, the row is of that type as well.
            ///
            /// The rows begin at the [`offset`](Self::offset), in C order; a file in Fortran order
            /// is opened by its whole shape. A file that ends at the offset, such as an empty one,
            /// has no rows.
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
            #[doc = concat!("let log = unsafe { options.", stringify!($rows), "::<i16, Ix2>(&path, 2) }?;")]
            /// assert_eq!(log, array![[1, 2], [3, 4], [5, 6]]);
            /// drop(log);
            /// // SAFETY: as above.
            #[doc = concat!("let last = unsafe { options.offset(8).", stringify!($rows), "::<i16, Ix1>(&path, ()) }?;")]
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
            #[doc = concat!("As for [`", stringify!($raw), "`](Self::", stringify!($raw), "), and")]
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
            /// Shape, order and element type come from the file; `A` and `D` must fit them. `IxDyn`
            /// fits every number of dimensions.
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
            #[doc = concat!("let table = unsafe { options.", stringify!($npy), "::<i16, Ix2>(&path) }?;")]
            /// assert_eq!(table.column(1), array![2, 5]);
            /// drop(table);
            /// // SAFETY: as above.
            #[doc = concat!("let error = unsafe { options.", stringify!($npy), "::<f32, Ix2>(&path) }.unwrap_err();")]
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
            #[doc = concat!("As for [`", stringify!($raw), "`](Self::", stringify!($raw), "), and if the header")]
            /// cannot be read ([`ErrorKind::InvalidHeader`](crate::ErrorKind::InvalidHeader), which
            /// names files of other formats, such as compressed ones, with what to do), the file
            /// holds another element type (or, to be written, a `bool`; see [`NpyElement`]), byte
            /// order or number of dimensions, or goes on after the array (unless
            /// [`trailing_bytes`](Self::trailing_bytes) are allowed).
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
            /// Opening, with the default [options](MmapArrayOptions).
            impl<A, D: Dimension> $owner<A, D> {
                #[doc = concat!("Opens a raw file of known shape; see [`MmapArrayOptions::", stringify!($raw), "`].")]
                ///
                /// ```
                /// use ndarray::prelude::*;
                #[doc = concat!("use ndarray_mmap::", stringify!($owner), ";")]
                ///
                /// # let dir = tempfile::tempdir()?;
                /// # let path = dir.path().join("scan.raw");
                /// std::fs::write(&path, bytemuck::bytes_of(&[1_i16, 2, 3, 4, 5, 6]))?;
                /// // SAFETY: this program alone uses the file.
                #[doc = concat!("let scan = unsafe { ", stringify!($owner), "::<i16, _>::open(&path, (3, 2)) }?;")]
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
                /// As for [`MmapArrayOptions::open`].
                pub unsafe fn open(path: impl AsRef<Path>, shape: impl ShapeBuilder<Dim = D>) -> Result<Self>
                where
                    A: $element,
                {
                    // SAFETY: the caller's promise is the one asked for.
                    unsafe { MmapArrayOptions::new().$raw(path, shape) }
                }

                #[doc = concat!("Opens a raw file of rows; see [`MmapArrayOptions::", stringify!($rows), "`].")]
                ///
                /// ```
                /// use ndarray::prelude::*;
                #[doc = concat!("use ndarray_mmap::", stringify!($owner), ";")]
                ///
                /// # let dir = tempfile::tempdir()?;
                /// # let path = dir.path().join("log.raw");
                /// std::fs::write(&path, bytemuck::bytes_of(&[1_i16, 2, 3, 4, 5, 6]))?;
                /// // SAFETY: this program alone uses the file.
                #[doc = concat!("let log = unsafe { ", stringify!($owner), "::<i16, Ix2>::open_rows(&path, 2) }?;")]
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
                /// As for [`MmapArrayOptions::open_rows`].
                pub unsafe fn open_rows(
                    path: impl AsRef<Path>,
                    row: impl IntoDimension<Dim = D::Smaller>,
                ) -> Result<Self>
                where
                    A: $element,
                    D: RemoveAxis,
                {
                    // SAFETY: the caller's promise is the one asked for.
                    unsafe { MmapArrayOptions::new().$rows(path, row) }
                }

                #[doc = concat!("Opens an `.npy` file; see [`MmapArrayOptions::", stringify!($npy), "`].")]
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
                #[doc = concat!("let table = unsafe { ", stringify!($owner), "::<i16, IxDyn>::open_npy(&path) }?;")]
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
                /// As for [`MmapArrayOptions::open_npy`].
                pub unsafe fn open_npy(path: impl AsRef<Path>) -> Result<Self>
                where
                    A: $element + NpyElement,
                {
                    // SAFETY: the caller's promise is the one asked for.
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
