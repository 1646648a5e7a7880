//! A new file to which all ranks write.
#![allow(unsafe_code, reason = "only the caller can vouch for the file")]

use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::path::Path;

use bytemuck::Pod;
use ndarray::{ArrayRef, Axis, Dimension, ShapeBuilder};

use super::communicator::{all_ok_with, partition};
use super::{Communicator, malformed};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{FilePart, MmapArrayOptions, MmapArrayPending, NpyElement, TEMPORARY_PREFIX};

/// The part of a new file that this rank writes. The file appears under its path when all ranks
/// [commit](Self::commit) their parts.
///
/// [`create_npy_across`](MmapArrayOptions::create_npy_across) and
/// [`create_across`](MmapArrayOptions::create_across) divide a new file among the ranks, into
/// ranges of about equal length along the slowest [`axis`](Self::axis), as
/// [`across`](crate::Chunked::across) divides an array. The part behaves like a
/// [`MmapArrayPending`] of the elements in [`range`](Self::range), so a rank cannot read or write
/// the parts of others. Use the same range of other arrays:
///
/// ```
/// use std::path::Path;
///
/// use ndarray::prelude::*;
/// use ndarray_mmap::distributed::{Communicator, ThreadCommunicator, all_ok};
/// use ndarray_mmap::{MmapArray, MmapArrayOptions, Result, prelude::*};
///
/// fn convert(celsius: &Array2<f32>, path: &Path, world: &dyn Communicator) -> Result<()> {
///     let options = MmapArrayOptions::new();
///     // SAFETY: only the ranks of this program use the file.
///     let mut out = unsafe { options.create_npy_across::<f64, _>(path, celsius.dim(), world) }?;
///     let own = celsius.slice_axis(out.axis(), out.range().into());
///     all_ok(world, own.chunked().map_into(&mut out, |&c| f64::from(c) * 1.8 + 32.0))?;
///     out.commit(world)
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("fahrenheit.npy");
/// let celsius = Array2::from_shape_fn((1_000, 64), |(i, j)| (i + j) as f32);
/// for of_rank in ThreadCommunicator::run(3, |world| convert(&celsius, &path, world)) {
///     of_rank?;
/// }
/// // SAFETY: this program alone uses the file.
/// let fahrenheit = unsafe { MmapArray::<f64, Ix2>::open_npy(&path) }?;
/// assert_eq!(fahrenheit, celsius.mapv(|c| f64::from(c) * 1.8 + 32.0));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Process the rows of this part without [`across`](crate::Chunked::across), which would divide them
/// among the ranks again. A [checkpoint](crate::Chunked::checkpoint) does not survive a restart of
/// all ranks, because they create a new file.
///
/// # File systems
///
/// Several machines can write to one file of a file system that keeps the caches of its clients
/// coherent, such as Lustre and GPFS. There, the page or the stripe at a border between parts may
/// change hands between two machines, which costs time. (The tests of this crate run on local file
/// systems only.)
///
/// The clients of NFS and SMB write back whole pages (on recent kernels, up to 2 MiB): if two of
/// them write to different bytes of one page, the elements of one of them are lost. On Linux,
/// creation fails there with [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), unless
/// there is one rank only. Write a file on each rank instead, also on other file systems without
/// coherent caches, which are not detected.
///
/// # Locks
///
/// Rank 0 has the [lock](crate::LockPolicy) of the file until it has its name, for all ranks. Until then the file has a [temporary name](MmapArrayOptions#creating).
///
/// # Killed ranks
///
/// If rank 0 of a [`DirectoryCommunicator`](super::DirectoryCommunicator) is killed and started
/// again, it returns an error instead of a file without the parts of others. All ranks must be
/// started again. Until it commits, another rank can be started again alone, and writes its whole
/// part again.
#[must_use = "the file is removed unless all ranks call `commit`"]
pub struct MmapArrayPart<A: 'static, D: Dimension> {
    array: MmapArrayPending<A, D>,
    axis: Axis,
    range: Range<usize>,
    /// The temporary name of the file.
    name: String,
}

impl<A, D: Dimension> MmapArrayPart<A, D> {
    /// Returns the axis along which the file is divided: the first axis of the file that is not of
    /// length 1 in C order, the last one in F order.
    pub fn axis(&self) -> Axis {
        self.axis
    }

    /// Returns the range of this part along the axis, in the array of the whole file. It may be
    /// empty.
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayOptions;
    /// use ndarray_mmap::distributed::ThreadCommunicator;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.npy");
    /// let ranges = ThreadCommunicator::run(3, |world| {
    ///     // SAFETY: only the ranks of this program use the file.
    ///     let options = MmapArrayOptions::new();
    ///     let out = unsafe { options.create_npy_across::<f64, _>(&path, (1_000, 64), world) }?;
    ///     Ok::<_, ndarray_mmap::Error>(out.range())
    /// });
    /// let ranges = ranges.into_iter().collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(ranges, [0..333, 333..666, 666..1_000]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.array.path()
    }

    /// Flushes the parts of all ranks, and then renames the file to its path. Every rank must call
    /// it, with the communicator of the creation.
    ///
    /// After it has returned `Ok`, the data and the name of the file are durable, no rank has the
    /// file mapped, and it can be opened.
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayPending::commit`] and of [`all_ok`](super::all_ok). If a rank fails
    /// before all parts are flushed, the path is unchanged on all ranks.
    pub fn commit(self, communicator: &dyn Communicator) -> Result<()> {
        let Self { array, name, .. } = self;
        let flushed = array.flush();
        // Other ranks unmap the file before it gets its name.
        let array = (communicator.rank() == 0).then_some(array);
        all_ok_with(communicator, &format!("`commit` of {name}"), flushed, |()| Vec::new())?;
        let commit = |array: MmapArrayPending<A, D>| array.commit().map(drop).map_err(Error::from);
        let committed = array.map_or(Ok(()), commit);
        all_ok_with(communicator, "the end of `commit`", committed, |()| Vec::new()).map(drop)
    }
}

impl<A, D: Dimension> Deref for MmapArrayPart<A, D> {
    type Target = ArrayRef<A, D>;

    fn deref(&self) -> &ArrayRef<A, D> {
        &self.array
    }
}

impl<A, D: Dimension> DerefMut for MmapArrayPart<A, D> {
    fn deref_mut(&mut self) -> &mut ArrayRef<A, D> {
        &mut self.array
    }
}

/// Formats the part, never the data.
impl<A, D: Dimension> fmt::Debug for MmapArrayPart<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { array, axis, range, .. } = self;
        let mut part = f.debug_struct("MmapArrayPart");
        part.field("array", array).field("axis", &axis.index()).field("range", range).finish()
    }
}

/// # Creating across ranks
///
/// Divides a new file among the [ranks](crate::distributed) of a program, each of which writes
/// [its part](MmapArrayPart). Every rank must call the method, with the same shape.
impl MmapArrayOptions {
    /// Creates a raw file as [`create_atomic`](Self::create_atomic) does, for all ranks.
    ///
    /// ```
    /// use ndarray_mmap::MmapArrayOptions;
    /// use ndarray_mmap::distributed::ThreadCommunicator;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.raw");
    /// for of_rank in ThreadCommunicator::run(2, |world| {
    ///     // SAFETY: only the ranks of this program use the file.
    ///     let mut out = unsafe { MmapArrayOptions::new().create_across(&path, 4, world) }?;
    ///     out.fill(world.rank() as u8);
    ///     out.commit(world)
    /// }) {
    ///     of_rank?;
    /// }
    /// assert_eq!(std::fs::read(&path)?, [0, 0, 1, 1]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract), for the part of each rank. The number of a
    /// rank selects its part, so it must be unique, and all ranks must have the same number of
    /// ranks.
    ///
    /// # Errors
    ///
    /// The errors of [`create`](Self::create) and of [`all_ok`](super::all_ok), and
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for an array with 0 dimensions,
    /// and on [NFS and SMB](MmapArrayPart#file-systems). No file is created if a rank fails.
    ///
    /// # Panics
    ///
    /// Panics if the number of the rank is not less than the number of ranks.
    #[track_caller]
    pub unsafe fn create_across<A: Pod, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
        communicator: &dyn Communicator,
    ) -> Result<MmapArrayPart<A, Sh::Dim>> {
        let path = path.as_ref();
        let part = FilePart::raw(self, path, shape, partition(communicator));
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        unsafe { create(part, communicator) }
    }

    /// Creates an `.npy` file as [`create_npy_atomic`](Self::create_npy_atomic) does, for all
    /// ranks.
    ///
    /// ```
    /// use ndarray_mmap::distributed::ThreadCommunicator;
    /// use ndarray_mmap::{MmapArrayOptions, NpyHeader};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.npy");
    /// for of_rank in ThreadCommunicator::run(2, |world| {
    ///     let options = MmapArrayOptions::new();
    ///     // SAFETY: only the ranks of this program use the file.
    ///     let out = unsafe { options.create_npy_across::<f32, _>(&path, (100, 64), world) }?;
    ///     out.commit(world)
    /// }) {
    ///     of_rank?;
    /// }
    /// assert_eq!(NpyHeader::read(&path)?.shape(), [100, 64]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract), for the part of each rank. The number of a
    /// rank selects its part, so it must be unique, and all ranks must have the same number of
    /// ranks.
    ///
    /// # Errors
    ///
    /// The errors of [`create_npy`](Self::create_npy) and of [`all_ok`](super::all_ok), and
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for an array with 0 dimensions,
    /// and on [NFS and SMB](MmapArrayPart#file-systems). No file is created if a rank fails.
    ///
    /// # Panics
    ///
    /// Panics if the number of the rank is not less than the number of ranks.
    #[track_caller]
    pub unsafe fn create_npy_across<A: Pod + NpyElement, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
        communicator: &dyn Communicator,
    ) -> Result<MmapArrayPart<A, Sh::Dim>> {
        let path = path.as_ref();
        let part = FilePart::npy(self, path, shape, partition(communicator));
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        unsafe { create(part, communicator) }
    }
}

/// Creates the file on rank 0, and opens it on the others.
///
/// # Safety
///
/// The [contract](MmapArrayOptions#safety-contract), for the part of each rank, whose number is
/// unique.
unsafe fn create<A: Pod, D: Dimension>(
    part: Result<FilePart<'_, A, D>>,
    communicator: &dyn Communicator,
) -> Result<MmapArrayPart<A, D>> {
    let label =
        part.as_ref().map_or_else(|_| String::new(), |part| format!("creation of a {part}"));
    let created = part.and_then(|part| {
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        let created = (communicator.rank() == 0).then(|| unsafe { part.create() });
        Ok((part, created.transpose()?))
    });
    let ((part, created), names) = all_ok_with(communicator, &label, created, |(_, created)| {
        created.as_ref().map(|(_, name)| name.as_bytes().to_vec()).unwrap_or_default()
    })?;
    let opened = temporary_name(&names).and_then(|name| match created {
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        None => unsafe { part.open(name) },
        Some((array, own)) if own == name => Ok(array),
        Some(_) => Err(started_again()),
    });
    let (array, _) = all_ok_with(communicator, "opening of the file", opened, |_| Vec::new())?;
    let name = temporary_name(&names)?.to_owned();
    Ok(MmapArrayPart { array, axis: part.axis(), range: part.range(), name })
}

/// Returns the error of a rank 0 that has been started again, and that received the message which
/// it sent before. The other ranks write to the file that it created then.
fn started_again() -> Error {
    let reason = "rank 0 was started again after it had created the file; start all ranks again, \
                  with a new directory for their messages";
    ErrorKind::Unsupported { reason: reason.to_owned() }.at(None)
}

/// Returns the name in the message of rank 0.
fn temporary_name(messages: &[Vec<u8>]) -> Result<&str> {
    let name = messages.first().and_then(|name| std::str::from_utf8(name).ok());
    // The name must not be a path to another directory.
    let is_name = |name: &&str| {
        let only = Path::new(name).file_name();
        name.starts_with(TEMPORARY_PREFIX) && only.is_some_and(|only| only == *name)
    };
    name.filter(is_name).ok_or_else(|| malformed(0))
}
