//! Constructors that create files. Each one that gives the file a name is `unsafe`, because only
//! the caller knows which other code writes to it.
#![allow(unsafe_code, reason = "only the caller can vouch for the file")]

use std::path::Path;

use bytemuck::Pod;
use ndarray::{Dimension, ShapeBuilder};

use super::array::MmapArrayMut;
use super::npy::NpyElement;
use super::options::MmapArrayOptions;
use super::pending::MmapArrayPending;
use crate::error::Result;

/// # Creating
///
/// New files are zero, and a failure leaves nothing behind. An existing file is replaced (unless
/// [`create_new`](Self::create_new) is set): the new file is created in the same directory and
/// renamed over it, so readers that have mapped the old file keep it. A file that is mapped for
/// writing is not replaced, because later stores to it would be lost. A path that is a symbolic
/// link stays one, if the system permits following it; with `create_new`, a link counts as an
/// existing file. Replacing a file requires write permission on the file and on its directory.
///
/// The new file has the owner, group and permissions of the file it replaces, and on Linux its
/// POSIX ACL and its SELinux or Smack label. If any of these cannot be set, no user other than its
/// owner gains access: without the old owner or group (which only the superuser can set), these
/// have the permissions of others; without the ACL or the label, only the owner has access. (ACLs
/// of NFSv4, macOS and Windows are not copied.)
///
/// Until it is renamed, a new file is named `.ndarray-mmap-` and six characters, in the same
/// directory. A process that is killed then (Ctrl-C, a system crash) leaves it behind, in its full
/// size. Such a file may be removed when no process uses it, which its lock shows: `find . -name
/// '.ndarray-mmap-??????' -mmin +60 -exec flock -n {} rm {} ';'` removes unlocked files that are an
/// hour old. (For files created with [`LockPolicy::Off`](crate::LockPolicy::Off), use `fuser`.)
impl MmapArrayOptions {
    /// Creates a raw file: NumPy's `memmap(path, dtype, 'w+', offset, shape, order)`.
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.raw");
    /// // SAFETY: this program alone uses the file.
    /// let options = MmapArrayOptions::new().offset(512);
    /// let mut out = unsafe { options.create::<f64, _>(&path, (10, 3)) }?;
    /// out.row_mut(9).fill(1.0);
    /// assert_eq!(out.sum(), 3.0); // all other elements are zero
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
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the file cannot be created, replaced or mapped;
    /// [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull) if the disk is too full;
    /// [`ErrorKind::FileSizeLimit`](crate::ErrorKind::FileSizeLimit) if the process may not write
    /// files of this size; [`ErrorKind::NotRegularFile`](crate::ErrorKind::NotRegularFile) if the
    /// path refers to something else; [`ErrorKind::AlreadyMapped`](crate::ErrorKind::AlreadyMapped)
    /// or [`ErrorKind::Locked`](crate::ErrorKind::Locked) if the existing file is mapped for
    /// writing; [`ErrorKind::Misaligned`](crate::ErrorKind::Misaligned) if the offset is not a
    /// multiple of the alignment of `A`; [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) if the
    /// shape exceeds the address space.
    pub unsafe fn create<A: Pod, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<MmapArrayMut<A, Sh::Dim>> {
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        unsafe { self.create_atomic(path, shape) }?.persist()
    }

    /// Creates an `.npy` file: NumPy's `lib.format.open_memmap(path, 'w+', dtype, shape,
    /// fortran_order)`.
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
    /// The errors of [`create`](Self::create); also fails if the [`offset`](Self::offset) is not 0.
    #[doc(alias = "open_memmap")]
    pub unsafe fn create_npy<A: Pod + NpyElement, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<MmapArrayMut<A, Sh::Dim>> {
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        unsafe { self.create_npy_atomic(path, shape) }?.persist()
    }

    /// Creates a raw file as [`create`](Self::create) does, but the file appears under its path
    /// only on [`commit`](MmapArrayPending::commit).
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
    /// The errors of [`create`](Self::create).
    pub unsafe fn create_atomic<A: Pod, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<MmapArrayPending<A, Sh::Dim>> {
        let new = self.map_new_raw::<A, Sh>(path.as_ref(), shape)?;
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the
        // file.
        let array = unsafe { MmapArrayMut::new(new.mapping) }?;
        Ok(MmapArrayPending::new(array, Some(new.staged)))
    }

    /// Creates an `.npy` file as [`create_npy`](Self::create_npy) does, but the file appears under
    /// its path only on [`commit`](MmapArrayPending::commit).
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("result.npy");
    /// // SAFETY (for both): this program alone uses the file.
    /// let options = MmapArrayOptions::new();
    /// let result = unsafe { options.create_npy_atomic::<f64, _>(&path, (10, 3)) }?;
    /// drop(result); // as if the computation fails midway
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
    /// The errors of [`create_npy`](Self::create_npy).
    pub unsafe fn create_npy_atomic<A: Pod + NpyElement, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<MmapArrayPending<A, Sh::Dim>> {
        let new = self.map_new_npy::<A, Sh>(path.as_ref(), shape)?;
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the
        // file.
        let array = unsafe { MmapArrayMut::new(new.mapping) }?;
        Ok(MmapArrayPending::new(array, Some(new.staged)))
    }

    /// Creates a temporary disk-backed array in the directory for temporary files. Safe, because
    /// nothing else can open its file.
    ///
    /// The array starts as zeros, and its space is freed when it is dropped, at the latest when the
    /// process ends. On Linux the file never has a name (`O_TMPFILE`). On other systems, and on
    /// file systems without that feature, it briefly has a random name, by which only this user
    /// could open it. If that cannot be ensured (file systems without permissions), or if the name
    /// cannot be removed while the file is open (NFS), the call fails. The directory is
    /// [`std::env::temp_dir`] (`TMPDIR` on Unix). If that is a file system in memory (`tmpfs`), so
    /// is the array: use [`scratch_in`](Self::scratch_in).
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
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the file cannot be created, protected from other
    /// users or mapped; [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull) if the disk is
    /// too full; [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) if the shape exceeds the
    /// address space.
    pub fn scratch<A: Pod, Sh: ShapeBuilder>(&self, shape: Sh) -> Result<MmapArrayMut<A, Sh::Dim>> {
        self.scratch_in(std::env::temp_dir(), shape)
    }

    /// Creates a scratch array as [`scratch`](Self::scratch) does, on the file system of the given
    /// directory.
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
    /// The errors of [`scratch`](Self::scratch).
    pub fn scratch_in<A: Pod, Sh: ShapeBuilder>(
        &self,
        directory: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<MmapArrayMut<A, Sh::Dim>> {
        let mapping = self.map_scratch::<A, Sh>(directory.as_ref(), shape)?;
        // SAFETY: the layout is one of `A`, and the mapping is new. The file was created for it
        // without a name, and no handle of it is given away, so nothing else reaches it.
        unsafe { MmapArrayMut::new(mapping) }
    }
}

/// Constructors with the default [options](MmapArrayOptions).
impl<A: Pod, D: Dimension> MmapArrayMut<A, D> {
    /// Creates or replaces a raw file; see [`MmapArrayOptions::create`].
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
    /// The [contract](MmapArrayOptions#safety-contract): While a borrow of a mapped array is in
    /// use, no one changes the bytes that it covers except through it; between borrows others may,
    /// if a lock or a message orders their changes after the last borrow and before the next
    /// borrow.
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::create`].
    pub unsafe fn create(
        path: impl AsRef<Path>,
        shape: impl ShapeBuilder<Dim = D>,
    ) -> Result<Self> {
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        unsafe { MmapArrayOptions::new().create(path, shape) }
    }

    /// Creates a raw file that does not exist yet; see [`MmapArrayOptions::create_new`].
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayMut;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.raw");
    /// // SAFETY (for both): this program alone uses the file.
    /// unsafe { MmapArrayMut::<u16, _>::create_new(&path, (2, 3)) }?.close()?;
    /// let result = unsafe { MmapArrayMut::<u16, _>::create_new(&path, (2, 3)) };
    /// assert!(result.is_err()); // the file exists now
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract).
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::create`]; also fails if the file exists.
    pub unsafe fn create_new(
        path: impl AsRef<Path>,
        shape: impl ShapeBuilder<Dim = D>,
    ) -> Result<Self> {
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        unsafe { MmapArrayOptions::new().create_new(true).create(path, shape) }
    }

    /// Creates or replaces an `.npy` file; see [`MmapArrayOptions::create_npy`].
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
    /// The errors of [`MmapArrayOptions::create_npy`].
    pub unsafe fn create_npy(
        path: impl AsRef<Path>,
        shape: impl ShapeBuilder<Dim = D>,
    ) -> Result<Self>
    where
        A: NpyElement,
    {
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        unsafe { MmapArrayOptions::new().create_npy(path, shape) }
    }

    /// Creates a temporary disk-backed array; see [`MmapArrayOptions::scratch`].
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
    /// The errors of [`MmapArrayOptions::scratch`].
    pub fn scratch(shape: impl ShapeBuilder<Dim = D>) -> Result<Self> {
        MmapArrayOptions::new().scratch(shape)
    }
}
