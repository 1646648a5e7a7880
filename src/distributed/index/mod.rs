//! Files that together are one array, and the index that lists them.
#![allow(unsafe_code, reason = "only the caller can vouch for the files")]

mod text;

use std::collections::HashSet;
use std::io::Read;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use bytemuck::AnyBitPattern;
use ndarray::{Axis, Dimension, aview1};

use self::text::{FIRST_FILE, Fault, ListedFile, Listing, is_name};
use super::communicator::{all_ok_with, partition};
use super::{Communicator, Message, all_ok, fnv1a, malformed};
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::partition_start;
use crate::storage::{Dtype, MmapArray, MmapArrayOptions, NpyElement, NpyHeader, open_regular};

/// The size in bytes above which an index is not read.
const MAX_BYTES: u64 = 64 << 20;

/// A list of `.npy` files that are the parts of one array along an axis, in order.
///
/// Ranks that write a file each call [`write_across`](Self::write_across) at the end. A later
/// program [reads](Self::read) the index and opens the files, here as many as ranks:
///
/// ```
/// use std::path::Path;
///
/// use ndarray::prelude::*;
/// use ndarray_mmap::distributed::{Communicator, NpyIndex, ThreadCommunicator, all_ok};
/// use ndarray_mmap::{MmapArrayMut, Result, prelude::*};
///
/// fn write(directory: &Path, world: &dyn Communicator) -> Result<NpyIndex> {
///     let path = directory.join(format!("part-{}.npy", world.rank()));
///     // SAFETY: this rank alone uses the file.
///     let part = unsafe { MmapArrayMut::<f32, _>::create_npy(&path, (100, 64)) };
///     all_ok(world, part.and_then(MmapArrayMut::close))?;
///     NpyIndex::write_across(directory.join("all.index"), Axis(0), &[path], world)
/// }
///
/// fn mean(directory: &Path, world: &dyn Communicator) -> Result<f64> {
///     let index = all_ok(world, NpyIndex::read(directory.join("all.index")))?;
///     // SAFETY: no program writes to the files.
///     let parts = unsafe { index.open_across::<f32, Ix2>(world) }?;
///     assert_eq!(parts.len(), 1, "as many ranks as files");
///     parts[0].chunked().concatenate_across(index.axis(), world).mean()
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let directory = dir.path();
/// for of_rank in ThreadCommunicator::run(3, |world| write(directory, world)) {
///     assert_eq!(of_rank?.shape(), [300, 64]);
/// }
/// for of_rank in ThreadCommunicator::run(3, |world| mean(directory, world)) {
///     assert_eq!(of_rank?, 0.0);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Format
///
/// An index is a text file in UTF-8, of at most 64 MiB: a heading with the version of the format,
/// the axis, the dtype as [`Dtype`] displays it, and a line with shape and name for each file.
/// Names are relative to the directory of the index, and cannot lead out of it, so that the
/// directory can be moved. The index of the example:
///
/// ```text
/// ndarray-mmap index 1
/// axis 0
/// dtype <f4
/// [100, 64] part-0.npy
/// [100, 64] part-1.npy
/// [100, 64] part-2.npy
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpyIndex {
    path: PathBuf,
    listing: Listing,
}

impl NpyIndex {
    /// Writes an index of files, whose headers it reads. An existing index is replaced, and the new
    /// one appears when it is complete and durable.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{distributed::NpyIndex, prelude::*};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let paths = ["january.npy", "february.npy"].map(|name| dir.path().join(name));
    /// for path in &paths {
    ///     // SAFETY: this program alone uses the file.
    ///     unsafe { Array2::<f32>::zeros((30, 4)).to_mmap_npy(path) }?.close()?;
    /// }
    /// let index = NpyIndex::write(dir.path().join("year.index"), Axis(0), &paths)?;
    /// assert_eq!(index.shape(), [60, 4]);
    /// assert_eq!(index, NpyIndex::read(dir.path().join("year.index"))?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidIndex`] if there are no files, or they differ in dtype or along another
    /// axis; [`ErrorKind::Unsupported`] if a file is outside of the directory of the index, or its
    /// name is not UTF-8 or has control characters; the errors of [`NpyHeader::read`], and those of
    /// [`MmapArrayOptions::create`] for the index.
    pub fn write(path: impl AsRef<Path>, axis: Axis, files: &[impl AsRef<Path>]) -> Result<Self> {
        let path = path.as_ref();
        let index = Self::new(path, axis, described(path, files)?)?;
        index.save()?;
        Ok(index)
    }

    /// Writes an index of the files of all ranks, in the order of ranks. Every rank must call it,
    /// with its own files, any number of them, which it has closed. Rank 0 writes the index.
    ///
    /// The path of the index must refer to the same directory on all ranks.
    ///
    /// # Errors
    ///
    /// The errors of [`write`](Self::write) and of [`all_ok`].
    pub fn write_across(
        path: impl AsRef<Path>,
        axis: Axis,
        files: &[impl AsRef<Path>],
        communicator: &dyn Communicator,
    ) -> Result<Self> {
        let path = path.as_ref();
        let name = path.file_name().unwrap_or_default();
        let label = format!("`NpyIndex::write_across` of {name:?} along axis {}", axis.index());
        let own = described(path, files);
        let (_, messages) = all_ok_with(communicator, &label, own, |own| {
            let mut message = Vec::new();
            own.encode_message(&mut message);
            message
        })?;
        let described = |(rank, message): (usize, &Vec<u8>)| {
            let mut bytes = &message[..];
            let files: Option<Vec<DescribedFile>> = Message::decode_message(&mut bytes);
            files.filter(|_| bytes.is_empty()).ok_or_else(|| malformed(rank))
        };
        let files: Result<Vec<_>> = messages.iter().enumerate().map(described).collect();
        let index = files.and_then(|files| Self::new(path, axis, files.concat()));
        all_ok(
            communicator,
            index.and_then(|index| {
                if communicator.rank() == 0 {
                    index.save()?;
                }
                Ok(index)
            }),
        )
    }

    /// Reads an index. The files are checked when they are opened.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidIndex`] if the text is not an index; [`ErrorKind::Io`] and
    /// [`ErrorKind::NotRegularFile`] if it cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut text = Vec::new();
        open_regular(path, false)?
            .take(MAX_BYTES + 1)
            .read_to_end(&mut text)
            .map_err(|error| Error::io("read the index", Some(path), error))?;
        check_bytes(path, text.len())?;
        let text = String::from_utf8(text).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
            invalid(path, Fault { line, reason: "expected UTF-8, found other bytes".into() })
        })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let listing = Listing::parse(text).map_err(|fault| invalid(path, fault))?;
        Ok(Self { path: path.to_path_buf(), listing })
    }

    /// Returns an index that can be written.
    fn new(path: &Path, axis: Axis, files: Vec<DescribedFile>) -> Result<Self> {
        let dtype = files.first().map_or_else(Dtype::of::<u8>, |(dtype, ..)| dtype.clone());
        let mut names = HashSet::new();
        for (line, (found, _, name)) in (FIRST_FILE..).zip(&files) {
            let refuse = |reason| Err(invalid(path, Fault { line, reason }));
            if path.file_name().is_some_and(|index| index == name.as_str()) {
                return refuse(format!("`{name}` is the index itself"));
            }
            if !names.insert(name.clone()) {
                return refuse(format!("`{name}` is listed twice"));
            }
            if *found != dtype {
                return refuse(format!("`{name}`: expected dtype {dtype}, found {found}"));
            }
        }
        let files = files.into_iter().map(|(_, shape, name)| ListedFile { shape, name }).collect();
        let listing = Listing { axis: axis.index(), dtype, files };
        let text = listing.to_string();
        check_bytes(path, text.len())?;
        Self::parse(path, &text)
    }

    fn save(&self) -> Result<()> {
        let text = self.listing.to_string();
        // SAFETY: until the file is complete, it has a temporary name that no other program uses.
        let file = unsafe { MmapArrayOptions::new().create_atomic(&self.path, text.len()) };
        let mut file = file?;
        file.assign(&aview1(text.as_bytes()));
        file.commit()?;
        Ok(())
    }

    /// Returns the axis along which the files are concatenated.
    pub fn axis(&self) -> Axis {
        Axis(self.listing.axis)
    }

    /// Returns the dtype of all files.
    pub fn dtype(&self) -> &Dtype {
        &self.listing.dtype
    }

    /// Returns the shape of the array that the files form together.
    pub fn shape(&self) -> Vec<usize> {
        let Listing { axis, files, .. } = &self.listing;
        let mut shape = files.first().map(|file| file.shape.clone()).unwrap_or_default();
        shape[*axis] = files.iter().map(|file| file.shape[*axis]).sum();
        shape
    }

    /// Returns the paths of the files, in order.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.listing.files.iter().map(|file| self.path_of(file))
    }

    fn path_of(&self, file: &ListedFile) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(&file.name)
    }

    /// Opens all files, in order.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ErrorKind, distributed::NpyIndex, prelude::*};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("part.npy");
    /// // SAFETY (for all): this program alone uses the file.
    /// unsafe { array![1, 2, 3].to_mmap_npy(&path) }?.close()?;
    /// let index = NpyIndex::write(dir.path().join("all.index"), Axis(0), &[&path])?;
    /// assert_eq!(unsafe { index.open::<i32, Ix1>() }?[0].sum(), 6);
    /// unsafe { array![1, 2].to_mmap_npy(&path) }?.close()?;
    /// let error = unsafe { index.open::<i32, Ix1>() }.unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::InvalidIndex { line: 4, .. }));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract), for each file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidIndex`] if a file cannot be read, or its dtype or shape is not the
    /// listed one; otherwise the errors of [`MmapArray::open_npy`].
    pub unsafe fn open<A: AnyBitPattern + NpyElement, D: Dimension>(
        &self,
    ) -> Result<Vec<MmapArray<A, D>>> {
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        unsafe { self.open_range(0..self.listing.files.len()) }
    }

    /// Opens the files of this rank. Files are divided among the ranks in order. If there are more
    /// files than ranks, a rank has several, and if there are fewer, some have none. Every rank
    /// must call it.
    ///
    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract), for each file.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](Self::open) and of [`all_ok`].
    ///
    /// # Panics
    ///
    /// Panics if the number of the rank is not less than the number of ranks.
    #[track_caller]
    pub unsafe fn open_across<A: AnyBitPattern + NpyElement, D: Dimension>(
        &self,
        communicator: &dyn Communicator,
    ) -> Result<Vec<MmapArray<A, D>>> {
        let (rank, size) = partition(communicator);
        let start = |rank| partition_start(self.listing.files.len(), rank, size);
        // SAFETY: the caller upholds the contract of the called function, which is the same.
        let files = unsafe { self.open_range(start(rank)..start(rank + 1)) };
        let label = format!("`open_across` of an index with hash {:x}", self.hash());
        all_ok_with(communicator, &label, files, |_| Vec::new()).map(|(files, _)| files)
    }

    fn hash(&self) -> u64 {
        fnv1a(self.listing.to_string().as_bytes())
    }

    /// # Safety
    ///
    /// The [contract](MmapArrayOptions#safety-contract), for each file of the range.
    unsafe fn open_range<A: AnyBitPattern + NpyElement, D: Dimension>(
        &self,
        range: Range<usize>,
    ) -> Result<Vec<MmapArray<A, D>>> {
        let open = |number: usize| {
            let file = &self.listing.files[number];
            let path = self.path_of(file);
            let fault = |reason| invalid(&self.path, Fault { line: FIRST_FILE + number, reason });
            let header = NpyHeader::read(&path).map_err(|error| fault(error.to_string()))?;
            let expected = (&self.listing.dtype, &file.shape[..]);
            let found = (header.dtype(), header.shape());
            if found != expected {
                return Err(fault(format!(
                    "`{}`: expected dtype {} and shape {:?}, found {} and {:?}",
                    file.name, expected.0, expected.1, found.0, found.1
                )));
            }
            // SAFETY: the caller upholds the contract of the called function, which is the same.
            let array = unsafe { MmapArray::<A, D>::open_npy(&path) }?;
            if array.shape() != expected.1 {
                return Err(fault(format!("`{}` was replaced while it was opened", file.name)));
            }
            Ok(array)
        };
        range.map(open).collect()
    }
}

/// The dtype and shape of a file, and its name in an index.
type DescribedFile = (Dtype, Vec<usize>, String);

/// Reads the headers of files that are to be listed in an index.
fn described(index: &Path, files: &[impl AsRef<Path>]) -> Result<Vec<DescribedFile>> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|error| Error::io("resolve", Some(path), error))
    };
    let index_path = absolute(index)?;
    let directory = index_path.parent().unwrap_or(Path::new("/"));
    let described = |path: &Path| {
        let name = name_in(directory, &absolute(path)?).ok_or_else(|| {
            let reason = format!(
                "the files of an index must be in its directory or below it, with names in UTF-8 \
                 and without control characters, found {path:?}"
            );
            ErrorKind::Unsupported { reason }.at(index)
        })?;
        let header = NpyHeader::read(path)?;
        Ok((header.dtype().clone(), header.shape().to_vec(), name))
    };
    files.iter().map(|path| described(path.as_ref())).collect()
}

/// Returns the name of a file in the index of a directory.
fn name_in(directory: &Path, path: &Path) -> Option<String> {
    let component = |part: Component<'_>| part.as_os_str().to_str().map(str::to_owned);
    let parts: Option<Vec<_>> =
        path.strip_prefix(directory).ok()?.components().map(component).collect();
    parts.map(|parts| parts.join("/")).filter(|name| is_name(name))
}

fn check_bytes(index: &Path, bytes: usize) -> Result<()> {
    if bytes as u64 <= MAX_BYTES {
        return Ok(());
    }
    let reason = format!("expected at most {MAX_BYTES} bytes, found more");
    Err(invalid(index, Fault { line: 1, reason }))
}

fn invalid(index: &Path, Fault { line, reason }: Fault) -> Error {
    ErrorKind::InvalidIndex { line, reason }.at(index)
}

impl Message for Dtype {
    fn encode_message(&self, bytes: &mut Vec<u8>) {
        self.descr().to_owned().encode_message(bytes);
    }

    fn decode_message(bytes: &mut &[u8]) -> Option<Self> {
        String::decode_message(bytes)?.parse().ok()
    }
}
