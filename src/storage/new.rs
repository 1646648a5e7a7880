//! Constructors that make files. Each that gives the file a name is `unsafe`: only the caller knows
//! who else writes to it.
#![allow(unsafe_code, reason = "only the caller can vouch for the file")]

use std::path::Path;

use bytemuck::Pod;
use ndarray::{ArrayRef, Dimension, ShapeBuilder};

use super::array::MmapArrayMut;
use super::npy::NpyElement;
use super::options::MmapArrayOptions;
use super::pending::MmapArrayPending;
use super::save::{ToMmap, shape_of_copy};
use crate::error::Result;

/// # Creating
///
/// New files are zero, and on failure nothing is left behind. Where the file exists already it is
/// replaced (unless [`create_new`](Self::create_new) is set): the new file is made beside it and
/// renamed over it, so who has the old one mapped to read keeps it; while it is mapped for writing
/// it is not replaced, as what is stored there would be lost. A name that is a symbolic link stays
/// one, if the system follows it; with `create_new`, a link is a file that exists. Replacing a file
/// takes the permission to write to it and to its directory.
///
/// The new file has the owner, group and permissions of the one it replaces, and on Linux its POSIX
/// ACL and its label of SELinux or Smack. Where it cannot have them, no one but its owner gets
/// rights that he did not have before: without the old owner or group (which only the superuser can
/// give away), those become one of the others; without the ACL or the label, only the owner has
/// any. (ACLs of NFSv4, macOS and Windows are not copied.)
///
/// Until it has its name, a new file is called `.ndarray-mmap-` and six characters, beside the one
/// it is to be. A process that is killed then (Ctrl-C, a crash of the system) leaves it there, as
/// large as it was to be. Such a file may be removed when no process uses it, which its lock tells:
/// `find . -name '.ndarray-mmap-??????' -mmin +60 -exec flock -n {} rm {} ';'` removes those
/// without one that are an hour old. (Where files are made with
/// [`LockPolicy::Off`](crate::LockPolicy::Off), ask `fuser`.)
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
    /// ([`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull)) or the process may not write
    /// files as large ([`ErrorKind::FileSizeLimit`](crate::ErrorKind::FileSizeLimit)); what exists
    /// is no regular file, cannot be written to, or is mapped for writing
    /// ([`ErrorKind::AlreadyMapped`](crate::ErrorKind::AlreadyMapped),
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked)); the offset is not a multiple of the
    /// alignment of `A`; the shape is too large to address.
    pub unsafe fn create<A: Pod, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<MmapArrayMut<A, Sh::Dim>> {
        let new = self.make_raw::<A, Sh>(path.as_ref(), shape)?;
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the
        // file.
        unsafe { MmapArrayMut::new(new.mapping) }?.publish(new.unnamed)
    }

    /// Creates an `.npy` file: NumPy's `lib.format.open_memmap(path, 'w+', dtype, shape,
    /// fortran_order)`.
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
    #[doc(alias = "open_memmap")]
    pub unsafe fn create_npy<A: Pod + NpyElement, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<MmapArrayMut<A, Sh::Dim>> {
        let new = self.make_npy::<A, Sh>(path.as_ref(), shape)?;
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the
        // file.
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
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the
        // file.
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
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the
        // file.
        let array = unsafe { MmapArrayMut::new(new.mapping) }?;
        Ok(MmapArrayPending::new(array, new.unnamed))
    }

    /// A disk-backed array without a name, in the directory for temporary files; safe, since no one
    /// else can reach it.
    ///
    /// It starts as zeros and is gone when dropped, at the latest when the process ends. On Linux
    /// the file never has a name (`O_TMPFILE`). Elsewhere, and on file systems that cannot do that,
    /// it has one for a moment, a random one, by which only this user could open it; where that
    /// cannot be made sure (file systems without permissions), or where the name cannot be taken
    /// away while the file is open (NFS), making the array is an error. The directory is the one of
    /// [`std::env::temp_dir`] (`TMPDIR` on Unix). Where that is a file system in memory (`tmpfs`),
    /// so is the array: use [`scratch_in`](Self::scratch_in).
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
    /// The file cannot be created, kept from others or mapped, the disk is too full, or the shape
    /// is too large to address.
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
        // SAFETY: the layout is one of `A`, and the mapping is new. The file was made for it
        // without a name, and no handle of it is given away, so nothing else reaches it.
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
    /// The [contract](MmapArrayOptions#safety-contract): While a borrow of a mapped array is in
    /// use, no one changes the bytes that it covers except through it; between borrows others may,
    /// if a lock or a message orders their changes after the last borrow and before the next
    /// borrow.
    ///
    /// # Errors
    ///
    /// As for [`MmapArrayOptions::create`].
    pub unsafe fn create(
        path: impl AsRef<Path>,
        shape: impl ShapeBuilder<Dim = D>,
    ) -> Result<Self> {
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
    pub unsafe fn create_new(
        path: impl AsRef<Path>,
        shape: impl ShapeBuilder<Dim = D>,
    ) -> Result<Self> {
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
    /// As for [`MmapArrayOptions::create_npy`].
    pub unsafe fn create_npy(
        path: impl AsRef<Path>,
        shape: impl ShapeBuilder<Dim = D>,
    ) -> Result<Self>
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
    /// As for [`MmapArrayOptions::scratch`].
    pub fn scratch(shape: impl ShapeBuilder<Dim = D>) -> Result<Self> {
        MmapArrayOptions::new().scratch(shape)
    }
}

impl<A: 'static, D: Dimension> ToMmap<A, D> for ArrayRef<A, D> {
    fn to_scratch(&self) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod + Send + Sync,
    {
        let mut copy = MmapArrayMut::scratch(shape_of_copy(self))?;
        copy.fill_from(self)?;
        Ok(copy)
    }

    unsafe fn to_mmap(&self, path: impl AsRef<Path>) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod + Send + Sync,
    {
        let new = MmapArrayOptions::new().make_raw::<A, _>(path.as_ref(), shape_of_copy(self))?;
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the
        // file.
        let mut copy = unsafe { MmapArrayMut::new(new.mapping) }?;
        copy.fill_from(self)?;
        copy.publish(new.unnamed)
    }

    unsafe fn to_mmap_npy(&self, path: impl AsRef<Path>) -> Result<MmapArrayMut<A, D>>
    where
        A: Pod + NpyElement + Send + Sync,
    {
        let new = MmapArrayOptions::new().make_npy::<A, _>(path.as_ref(), shape_of_copy(self))?;
        // SAFETY: the layout is one of `A`, the mapping is new, and the caller vouches for the
        // file.
        let mut copy = unsafe { MmapArrayMut::new(new.mapping) }?;
        copy.fill_from(self)?;
        copy.publish(new.unnamed)
    }
}
