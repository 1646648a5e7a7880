//! The doors: every way to get an array that is mapped to a file, and the `unsafe` word of each.
#![allow(unsafe_code, reason = "only the caller can vouch for the file")]

use std::path::Path;

use bytemuck::{AnyBitPattern, Pod};
use ndarray::{ArrayRef, Dimension, IntoDimension, RemoveAxis, ShapeBuilder};

use super::array::{MmapArray, MmapArrayCow, MmapArrayMut};
use super::map::MapKind;
use super::npy::NpyElement;
use super::options::MmapArrayOptions;
use super::pending::MmapArrayPending;
use super::save::{ToMmap, shape_of_copy};
use crate::error::Result;

/// The three modes of the three ways to open, on the options and (with the defaults) on the owners.
macro_rules! open {
    ($($owner:ident, $element:ident, $kind:ident, $mode:literal, $raw:ident $rows:ident $npy:ident;)*) => {
        /// # Opening
        ///
        /// For each of the three modes. `A` is the element type, the shape tells the dimension type `D`.
        impl MmapArrayOptions {$(
            #[doc = concat!("Opens a raw file of known shape: NumPy's `memmap(path, dtype, '", $mode, "', offset, shape, order)`.")]
            ///
            /// The shape is anything ndarray takes: `(n, m)`, `[n, m]`, `IxDyn(&[..])`, and `(n, m).f()` for Fortran
            /// order. The file may be longer than the array. Nothing of the file is changed or read by opening it.
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
            /// The [contract](MmapArrayOptions#safety-contract): no one else writes or shortens the file while the
            /// array lives.
            ///
            /// # Errors
            ///
            /// The file cannot be opened or mapped, is no regular file, is too short, is locked or mapped in conflict;
            /// the offset is not a multiple of the alignment of `A`; the shape is too large to address.
            pub unsafe fn $raw<A: $element, Sh: ShapeBuilder>(
                &self,
                path: impl AsRef<Path>,
                shape: Sh,
            ) -> Result<$owner<A, Sh::Dim>> {
                let mapping = self.map_raw::<A, Sh>(path.as_ref(), shape, MapKind::$kind)?;
                // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the file.
                unsafe { $owner::new(mapping) }
            }

            /// Opens a raw file of rows: the length of the first axis comes from the size of the file.
            ///
            /// `row` is the shape of one row: `64` for a matrix of 64 columns, `()` for single values, `(3, 4)` for
            /// matrices. `D` has one dimension more and is to be named: `Ix2`, `Ix1`, `Ix3`. For `IxDyn`, the row is of
            /// that type as well.
            ///
            /// The rows begin at the [`offset`](Self::offset), in C order; a file in Fortran order is opened by its
            /// whole shape. A file that ends at the offset, such as an empty one, has no rows.
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
            /// [`ErrorKind::PartialRow`](crate::ErrorKind::PartialRow) if the bytes after the offset are not a whole
            /// number of rows (unless [`trailing_bytes`](Self::trailing_bytes) are allowed) or a row has no bytes.
            pub unsafe fn $rows<A: $element, D: RemoveAxis>(
                &self,
                path: impl AsRef<Path>,
                row: impl IntoDimension<Dim = D::Smaller>,
            ) -> Result<$owner<A, D>> {
                let mapping = self.map_rows::<A, _>(path.as_ref(), row, MapKind::$kind)?;
                // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the file.
                unsafe { $owner::new(mapping) }
            }

            #[doc = concat!("Opens an `.npy` file: NumPy's `load(path, mmap_mode='", $mode, "')`.")]
            ///
            /// Shape, order and element type come from the file; `A` and `D` must fit them. `IxDyn` fits every number
            /// of dimensions.
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
            /// // SAFETY: as above.
            #[doc = concat!("let error = unsafe { options.", stringify!($npy), "::<f32, Ix2>(&path) }.unwrap_err();")]
            /// assert!(matches!(error.kind(), ErrorKind::Dtype { .. }));
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
            /// cannot be read, the file holds another element type, byte order or number of dimensions, or goes on
            /// after the array (unless [`trailing_bytes`](Self::trailing_bytes) are allowed).
            pub unsafe fn $npy<A: $element + NpyElement, D: Dimension>(
                &self,
                path: impl AsRef<Path>,
            ) -> Result<$owner<A, D>> {
                let mapping = self.map_npy::<A, D>(path.as_ref(), MapKind::$kind)?;
                // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the file.
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
                /// As there.
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
                /// As there.
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
                /// As there.
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

/// # Creating
///
/// New files are zero, and on failure nothing is left behind. Where the file exists already it is replaced (unless
/// [`create_new`](Self::create_new) is set): the new file is made beside it and renamed over it, with its permissions,
/// so who has the old one mapped keeps it. A name that is a symbolic link stays one. Replacing a file takes the
/// permission to write to it and to its directory.
///
/// Until it has its name, a new file is called `.ndarray-mmap-` and six characters, beside the one it is to be. A process
/// that is killed then (Ctrl-C, a crash of the system) leaves it there, as large as it was to be. Such a file may be
/// removed when no process uses it, which `lsof` or `fuser` tell.
impl MmapArrayOptions {
    /// Creates a raw file: NumPy's `memmap(path, dtype, 'w+', offset, shape, order)`.
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.raw");
    /// // SAFETY: this program alone uses the file.
    /// let mut out = unsafe { MmapArrayOptions::new().offset(512).create::<f64, _>(&path, (10, 3)) }?;
    /// out.row_mut(9).fill(1.0);
    /// assert_eq!(out.sum(), 3.0); // all else is zero
    /// assert_eq!(std::fs::metadata(&path)?.len(), 512 + 10 * 3 * 8);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract).
    ///
    /// # Errors
    ///
    /// The file cannot be created, replaced or mapped; the disk is too full
    /// ([`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace)) or the process may not write files as large
    /// ([`ErrorKind::FileSizeLimit`](crate::ErrorKind::FileSizeLimit)); what exists is no regular file or cannot be
    /// written to; the offset is not a multiple of the alignment of `A`; the shape is too large to address.
    pub unsafe fn create<A: Pod, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<MmapArrayMut<A, Sh::Dim>> {
        let new = self.make_raw::<A, Sh>(path.as_ref(), shape)?;
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the file.
        unsafe { MmapArrayMut::new(new.mapping) }?.publish(new.unnamed)
    }

    /// Creates an `.npy` file: NumPy's `lib.format.open_memmap(path, 'w+', dtype, shape, fortran_order)`.
    ///
    /// The header is byte for byte the one NumPy writes, with its room for the first axis to grow.
    ///
    /// ```
    /// use ndarray::ShapeBuilder;
    /// use ndarray_mmap::{Dtype, MmapArrayOptions, NpyHeader, Order};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.npy");
    /// // SAFETY: this program alone uses the file.
    /// unsafe { MmapArrayOptions::new().create_npy::<f64, _>(&path, (10, 3).f()) }?.close()?;
    /// let header = NpyHeader::read(&path)?;
    /// assert_eq!((header.dtype(), header.order()), (&Dtype::of::<f64>(), Order::F));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract).
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create); and an [`offset`](Self::offset) other than 0 is refused.
    pub unsafe fn create_npy<A: Pod + NpyElement, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<MmapArrayMut<A, Sh::Dim>> {
        let new = self.make_npy::<A, Sh>(path.as_ref(), shape)?;
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the file.
        unsafe { MmapArrayMut::new(new.mapping) }?.publish(new.unnamed)
    }

    /// As [`create`](Self::create), but the file appears under its name only on
    /// [`commit`](MmapArrayPending::commit).
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("state.raw");
    /// std::fs::write(&path, "old")?;
    /// // SAFETY: this program alone uses the file.
    /// let mut state = unsafe { MmapArrayOptions::new().create_atomic::<u8, _>(&path, 3) }?;
    /// state.assign(&ndarray::aview1(b"new"));
    /// assert_eq!(std::fs::read(&path)?, b"old");
    /// state.commit()?;
    /// assert_eq!(std::fs::read(&path)?, b"new");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract).
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    pub unsafe fn create_atomic<A: Pod, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<MmapArrayPending<A, Sh::Dim>> {
        let new = self.make_raw::<A, Sh>(path.as_ref(), shape)?;
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the file.
        let array = unsafe { MmapArrayMut::new(new.mapping) }?;
        Ok(MmapArrayPending::new(array, new.unnamed))
    }

    /// As [`create_npy`](Self::create_npy), but the file appears under its name only on
    /// [`commit`](MmapArrayPending::commit).
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("result.npy");
    /// // SAFETY (for both): this program alone uses the file.
    /// let result = unsafe { MmapArrayOptions::new().create_npy_atomic::<f64, _>(&path, (10, 3)) }?;
    /// drop(result); // as when the computation fails half-way
    /// assert!(!path.exists());
    /// unsafe { MmapArrayOptions::new().create_npy_atomic::<f64, _>(&path, (10, 3)) }?.commit()?;
    /// assert!(path.exists());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract).
    ///
    /// # Errors
    ///
    /// As for [`create_npy`](Self::create_npy).
    pub unsafe fn create_npy_atomic<A: Pod + NpyElement, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<MmapArrayPending<A, Sh::Dim>> {
        let new = self.make_npy::<A, Sh>(path.as_ref(), shape)?;
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the file.
        let array = unsafe { MmapArrayMut::new(new.mapping) }?;
        Ok(MmapArrayPending::new(array, new.unnamed))
    }

    /// A disk-backed array without a name, in the directory for temporary files; safe, since no one else can reach it.
    ///
    /// It starts as zeros and is gone when dropped, at the latest when the process ends. The directory is the one of
    /// [`std::env::temp_dir`] (`TMPDIR` on Unix). Where that is a file system in memory (`tmpfs`), so is the array:
    /// use [`scratch_in`](Self::scratch_in).
    ///
    /// ```
    /// use ndarray::ShapeBuilder;
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// let mut work = MmapArrayOptions::new().sparse(true).scratch::<f32, _>((1_000, 100).f())?;
    /// work.column_mut(7).fill(0.5);
    /// assert_eq!((work.sum(), work.path()), (500.0, None));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The file cannot be created or mapped, the disk is too full, or the shape is too large to address.
    pub fn scratch<A: Pod, Sh: ShapeBuilder>(&self, shape: Sh) -> Result<MmapArrayMut<A, Sh::Dim>> {
        self.scratch_in(std::env::temp_dir(), shape)
    }

    /// As [`scratch`](Self::scratch), on the file system of the given directory.
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let work = MmapArrayOptions::new().scratch_in::<f64, _>(&directory, (1_000, 100))?;
    /// assert_eq!(work.sum(), 0.0);
    /// # #[cfg(unix)]
    /// assert_eq!(std::fs::read_dir(&directory)?.count(), 0); // no name
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`scratch`](Self::scratch).
    pub fn scratch_in<A: Pod, Sh: ShapeBuilder>(
        &self,
        directory: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<MmapArrayMut<A, Sh::Dim>> {
        let mapping = self.make_scratch::<A, Sh>(directory.as_ref(), shape)?;
        // SAFETY: the layout is one of `A`, and the mapping is new. The file was made for it without a name, and no
        // handle of it is given away, so nothing else reaches it.
        unsafe { MmapArrayMut::new(mapping) }
    }
}

/// Creating, with the default [options](MmapArrayOptions).
impl<A: Pod, D: Dimension> MmapArrayMut<A, D> {
    /// Creates a raw file, or replaces it; see [`MmapArrayOptions::create`].
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayMut;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.raw");
    /// // SAFETY: this program alone uses the file.
    /// let mut out = unsafe { MmapArrayMut::<u16, _>::create(&path, (2, 3)) }?;
    /// out.fill(0x0101);
    /// out.close()?;
    /// assert_eq!(std::fs::read(&path)?, [1; 12]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract).
    ///
    /// # Errors
    ///
    /// As there.
    pub unsafe fn create(path: impl AsRef<Path>, shape: impl ShapeBuilder<Dim = D>) -> Result<Self> {
        // SAFETY: the caller's promise is the one asked for.
        unsafe { MmapArrayOptions::new().create(path, shape) }
    }

    /// Creates a raw file where there is none; see [`MmapArrayOptions::create_new`].
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayMut;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.raw");
    /// // SAFETY (for both): this program alone uses the file.
    /// unsafe { MmapArrayMut::<u16, _>::create_new(&path, (2, 3)) }?.close()?;
    /// assert!(unsafe { MmapArrayMut::<u16, _>::create_new(&path, (2, 3)) }.is_err()); // it is there now
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract).
    ///
    /// # Errors
    ///
    /// As for [`MmapArrayOptions::create`], and if the file exists.
    pub unsafe fn create_new(path: impl AsRef<Path>, shape: impl ShapeBuilder<Dim = D>) -> Result<Self> {
        // SAFETY: the caller's promise is the one asked for.
        unsafe { MmapArrayOptions::new().create_new(true).create(path, shape) }
    }

    /// Creates an `.npy` file, or replaces it; see [`MmapArrayOptions::create_npy`].
    ///
    /// ```
    /// use ndarray_mmap::{MmapArrayMut, NpyHeader};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.npy");
    /// // SAFETY: this program alone uses the file.
    /// let mut out = unsafe { MmapArrayMut::<f32, _>::create_npy(&path, (2, 3)) }?;
    /// out[[1, 2]] = 1.5;
    /// out.close()?;
    /// assert_eq!(NpyHeader::read(&path)?.shape(), [2, 3]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract).
    ///
    /// # Errors
    ///
    /// As there.
    pub unsafe fn create_npy(path: impl AsRef<Path>, shape: impl ShapeBuilder<Dim = D>) -> Result<Self>
    where
        A: NpyElement,
    {
        // SAFETY: the caller's promise is the one asked for.
        unsafe { MmapArrayOptions::new().create_npy(path, shape) }
    }

    /// A disk-backed array that no one else can reach; see [`MmapArrayOptions::scratch`].
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayMut;
    ///
    /// let mut work = MmapArrayMut::<f32, _>::scratch((1_000, 100))?;
    /// work.fill(0.5);
    /// assert_eq!(work.sum(), 50_000.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    pub fn scratch(shape: impl ShapeBuilder<Dim = D>) -> Result<Self> {
        MmapArrayOptions::new().scratch(shape)
    }
}

impl<A: 'static, D: Dimension> ToMmap<A, D> for ArrayRef<A, D> {
    fn to_scratch(&self) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod,
    {
        let mut copy = MmapArrayMut::scratch(shape_of_copy(self))?;
        copy.fill_from(self);
        Ok(copy)
    }

    unsafe fn to_mmap(&self, path: impl AsRef<Path>) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod,
    {
        let new = MmapArrayOptions::new().make_raw::<A, _>(path.as_ref(), shape_of_copy(self))?;
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the file.
        let mut copy = unsafe { MmapArrayMut::new(new.mapping) }?;
        copy.fill_from(self);
        copy.publish(new.unnamed)
    }

    unsafe fn to_mmap_npy(&self, path: impl AsRef<Path>) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod + NpyElement,
    {
        let new = MmapArrayOptions::new().make_npy::<A, _>(path.as_ref(), shape_of_copy(self))?;
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the file.
        let mut copy = unsafe { MmapArrayMut::new(new.mapping) }?;
        copy.fill_from(self);
        copy.publish(new.unnamed)
    }
}
