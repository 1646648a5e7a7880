//! Creation of files that are written with system calls.
#![forbid(unsafe_code)]

use std::path::Path;

use bytemuck::Pod;
use ndarray::{Dimension, ShapeBuilder};

use super::ArrayFile;
use super::byte_order::ByteOrder;
use super::reading::StoredArray;
use super::writable::{ArrayFileMut, ArrayFilePending};
#[allow(unused_imports, reason = "for links in the docs")]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::storage::layout::{Element, FileLayout};
use crate::storage::npy::NpyElement;
use crate::storage::options::MmapArrayOptions;

/// # Creating without mapping
///
/// Files are created and replaced [as those of mapped arrays](#creating), with the same options.
impl MmapArrayOptions {
    /// Creates a raw file for reading and writing, without mapping it.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.raw");
    /// let out = MmapArrayOptions::new().offset(512).create_file::<f64, _>(&path, (10, 3))?;
    /// out.write(s![9, ..], &array![1.0, 2.0, 3.0])?;
    /// assert_eq!(out.read_all()?.sum(), 6.0); // all other elements are zero
    /// assert_eq!(std::fs::metadata(&path)?.len(), 512 + 10 * 3 * 8);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file cannot be created or replaced; [`ErrorKind::StorageFull`] if
    /// the disk is too full; [`ErrorKind::FileSizeLimit`] if the process may not write files of
    /// this size; [`ErrorKind::NotRegularFile`] if the path refers to something else;
    /// [`ErrorKind::AlreadyMapped`] or [`ErrorKind::Locked`] if the existing file is in use for
    /// writing; [`ErrorKind::TooLarge`] if the shape exceeds the address space.
    pub fn create_file<A: Pod, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<ArrayFileMut<A, Sh::Dim>> {
        self.create_file_atomic(path, shape)?.persist()
    }

    /// Creates an `.npy` file for reading and writing, without mapping it.
    ///
    /// The header is byte for byte the one NumPy writes, including the padding for growth of the
    /// first axis.
    ///
    /// ```
    /// use ndarray::ShapeBuilder;
    /// use ndarray_mmap::{Dtype, MmapArrayOptions, NpyHeader, Order};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.npy");
    /// MmapArrayOptions::new().create_file_npy::<f64, _>(&path, (10, 3).f())?.close()?;
    /// let header = NpyHeader::read(&path)?;
    /// assert_eq!((header.dtype(), header.order()), (&Dtype::of::<f64>(), Order::F));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`create_file`](Self::create_file); also fails if the
    /// [`offset`](Self::offset) is not 0.
    pub fn create_file_npy<A: Pod + NpyElement, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<ArrayFileMut<A, Sh::Dim>> {
        self.create_file_npy_atomic(path, shape)?.persist()
    }

    /// Creates a raw file as [`create_file`](Self::create_file) does, but the file appears under
    /// its path only on [`commit`](ArrayFilePending::commit).
    ///
    /// ```
    /// use ndarray::aview1;
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("state.raw");
    /// std::fs::write(&path, "old")?;
    /// let state = MmapArrayOptions::new().create_file_atomic::<u8, _>(&path, 3)?;
    /// state.write_all(&aview1(b"new"))?;
    /// assert_eq!(std::fs::read(&path)?, b"old");
    /// state.commit()?;
    /// assert_eq!(std::fs::read(&path)?, b"new");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`create_file`](Self::create_file).
    pub fn create_file_atomic<A: Pod, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<ArrayFilePending<A, Sh::Dim>> {
        let path = path.as_ref();
        let layout = self.layout_of_shape(Some(path), shape, Element::unaligned::<A>())?;
        self.create_stored(path, &[], layout)
    }

    /// Creates an `.npy` file as [`create_file_npy`](Self::create_file_npy) does, but the file
    /// appears under its path only on [`commit`](ArrayFilePending::commit).
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("result.npy");
    /// let options = MmapArrayOptions::new();
    /// drop(options.create_file_npy_atomic::<f64, _>(&path, (10, 3))?); // as if it failed midway
    /// assert!(!path.exists());
    /// options.create_file_npy_atomic::<f64, _>(&path, (10, 3))?.commit()?;
    /// assert!(path.exists());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`create_file_npy`](Self::create_file_npy).
    pub fn create_file_npy_atomic<A: Pod + NpyElement, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<ArrayFilePending<A, Sh::Dim>> {
        let path = path.as_ref();
        let (header, layout) = self.npy_layout::<A, _>(shape).map_err(|kind| kind.at(path))?;
        self.create_stored(path, &header, layout)
    }

    fn create_stored<A, D: Dimension>(
        &self,
        path: &Path,
        header: &[u8],
        layout: FileLayout,
    ) -> Result<ArrayFilePending<A, D>> {
        let (handle, staged) = self.create_handle(path, header, layout)?;
        let item = size_of::<A>();
        let byte_order = ByteOrder::Native;
        let has_header = !header.is_empty();
        let array = ArrayFile::new(StoredArray { handle, item, byte_order, has_header })?;
        Ok(ArrayFilePending::new(ArrayFileMut::new(array), staged))
    }
}

/// Constructors with the default [options](MmapArrayOptions).
impl<A: Pod, D: Dimension> ArrayFileMut<A, D> {
    /// Creates or replaces a raw file; see [`MmapArrayOptions::create_file`].
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::ArrayFileMut;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.raw");
    /// let out = ArrayFileMut::<u16, _>::create(&path, (2, 3))?;
    /// out.write_all(&Array::from_elem((2, 3), 0x0101))?;
    /// out.close()?;
    /// assert_eq!(std::fs::read(&path)?, [1; 12]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::create_file`].
    pub fn create(path: impl AsRef<Path>, shape: impl ShapeBuilder<Dim = D>) -> Result<Self> {
        MmapArrayOptions::new().create_file(path, shape)
    }

    /// Creates a raw file that does not exist yet; see [`MmapArrayOptions::create_new`].
    ///
    /// ```
    /// use ndarray_mmap::ArrayFileMut;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.raw");
    /// ArrayFileMut::<u16, _>::create_new(&path, (2, 3))?.close()?;
    /// let result = ArrayFileMut::<u16, _>::create_new(&path, (2, 3));
    /// assert!(result.is_err()); // the file exists now
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::create_file`]; also fails if the file exists.
    pub fn create_new(path: impl AsRef<Path>, shape: impl ShapeBuilder<Dim = D>) -> Result<Self> {
        MmapArrayOptions::new().create_new(true).create_file(path, shape)
    }

    /// Creates or replaces an `.npy` file; see [`MmapArrayOptions::create_file_npy`].
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ArrayFileMut, NpyHeader};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.npy");
    /// let out = ArrayFileMut::<f32, _>::create_npy(&path, (2, 3))?;
    /// out.write(s![1, 2], &arr0(1.5))?;
    /// out.close()?;
    /// assert_eq!(NpyHeader::read(&path)?.shape(), [2, 3]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::create_file_npy`].
    pub fn create_npy(path: impl AsRef<Path>, shape: impl ShapeBuilder<Dim = D>) -> Result<Self>
    where
        A: NpyElement,
    {
        MmapArrayOptions::new().create_file_npy(path, shape)
    }
}
