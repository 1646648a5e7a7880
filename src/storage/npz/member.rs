//! Arrays of an archive.
#![forbid(unsafe_code)]

use std::fs::File;
use std::path::Path;

use ndarray::{Array, Dimension};
use rawzip::{CompressionMethod, ZipArchive, ZipEntry};

use super::directory::Entry;
use super::file::ArchiveFile;
use super::stream::Stream;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::array_file::{ArrayFile, ByteOrder};
use crate::storage::file_layouts::check_dimensions;
use crate::storage::layout::Element;
use crate::storage::npy::{NpyElement, NpyHeader};
use crate::storage::options::MmapArrayOptions;

/// An array of an [archive](super::NpzArchive).
///
/// | method | memory | member |
/// |---|---|---|
/// | [`read`](Self::read) | the array | any |
/// | [`extract`](Self::extract) | 256 KiB, and an `.npy` file | any |
/// | [`open_file`](Self::open_file) | that of each slice | not compressed |
/// | [`open_mmap`](Self::open_mmap) | none: the pages of the archive | not compressed, aligned |
///
/// NumPy aligns the elements of `.npy` files, but not the files in an archive: the offset of an
/// array depends on the lengths of the names, and is as often misaligned as not.
#[derive(Debug)]
pub struct NpzMember<'a> {
    file: &'a ArchiveFile,
    entry: &'a Entry,
    zip: ZipEntry<'a, ArchiveFile>,
}

impl<'a> NpzMember<'a> {
    /// Checks the properties of an entry, and finds its data.
    pub(super) fn new(archive: &'a ZipArchive<ArchiveFile>, entry: &'a Entry) -> Result<Self> {
        let file = archive.get_ref();
        let named = |error: Error| error.in_member(&entry.name);
        let zip = archive.get_entry(entry.record).map_err(|error| named(file.error(error)))?;
        let member = Self { file, entry, zip };
        member.check().map_err(|kind| named(kind.at(file.path())))?;
        Ok(member)
    }

    fn check(&self) -> std::result::Result<(), ErrorKind> {
        /// The maximum ratio of deflate: two bits for 258 bytes.
        const MAX_RATIO: u64 = 1032;
        let unsupported = |reason: &str| {
            let reason = format!("{reason}; unpack the archive with another program");
            Err(ErrorKind::Unsupported { reason })
        };
        let Entry { method, is_encrypted, limit, record, .. } = self.entry;
        if *is_encrypted {
            return unsupported("the member is encrypted");
        }
        let (start, end) = self.zip.compressed_data_range();
        let (stored, decoded) = (record.compressed_size_hint(), record.uncompressed_size_hint());
        let is_possible = match *method {
            CompressionMethod::STORE => decoded == stored,
            CompressionMethod::DEFLATE => decoded <= stored.saturating_mul(MAX_RATIO),
            method => return unsupported(&format!("the member is compressed by method {method}")),
        };
        if !is_possible {
            return Err(ErrorKind::InvalidArchive {
                reason: format!(
                    "{stored} bytes cannot contain the {decoded} bytes that the directory lists; \
                     copy or save the file again"
                ),
            });
        }
        if end > *limit {
            return Err(ErrorKind::InvalidArchive {
                reason: format!(
                    "the data at bytes {start} to {end} extends past the start of the next file or \
                     of the directory at byte {limit}; copy or save the file again"
                ),
            });
        }
        Ok(())
    }

    /// Returns the name, without `.npy`.
    pub fn name(&self) -> &'a str {
        &self.entry.name
    }

    /// Returns whether the member is compressed (with deflate), so that it cannot be used in place.
    ///
    /// ```
    /// # use ndarray_mmap::NpzArchive;
    #[doc = example_archive!()]
    /// let archive = NpzArchive::open(&path)?;
    /// let is_compressed = |name| archive.member(name).map(|member| member.is_compressed());
    /// assert_eq!((is_compressed("x")?, is_compressed("y")?), (false, true));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn is_compressed(&self) -> bool {
        self.entry.method != CompressionMethod::STORE
    }

    /// Returns the offset of the `.npy` file in the archive, in bytes, or `None` if it is
    /// compressed.
    ///
    /// [`MmapArrayOptions`](crate::MmapArrayOptions) with this offset map the array with other options
    /// than [`open_mmap`](Self::open_mmap).
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{Advice, MmapArrayOptions, NpzArchive};
    ///
    #[doc = example_archive!()]
    /// let offset = NpzArchive::open(&path)?.member("x")?.offset().expect("not compressed");
    /// let options = MmapArrayOptions::new().offset(offset).trailing_bytes(true);
    /// // SAFETY: this program alone uses the file.
    /// let x = unsafe { options.advise(Advice::Random).open_npy::<f64, Ix1>(&path) }?;
    /// assert_eq!(x, array![1.5, 2.5]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn offset(&self) -> Option<u64> {
        (!self.is_compressed()).then(|| self.zip.compressed_data_range().0)
    }

    /// Reads the header of the `.npy` file: element type, shape and order. Its
    /// [`data_offset`](NpyHeader::data_offset) counts from the start of the `.npy` file.
    ///
    /// ```
    /// # use ndarray_mmap::{Dtype, NpzArchive};
    #[doc = example_archive!()]
    /// let header = NpzArchive::open(&path)?.member("y")?.header()?;
    /// assert_eq!((header.dtype(), header.shape()), (&Dtype::of::<f64>(), &[2][..]));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidHeader`] if the member is not an `.npy` file of version 1, 2 or 3,
    /// [`ErrorKind::InvalidArchive`] if it cannot be decoded, and [`ErrorKind::Io`] if the file
    /// cannot be read.
    pub fn header(&self) -> Result<NpyHeader> {
        self.stream().read_header().map_err(|error| self.named(error))
    }

    /// Reads the array into memory: NumPy's `load(path)[name]`.
    ///
    /// The elements may have any alignment in the file, and numbers in the other byte order are
    /// converted. The memory is allocated once the shape has been checked against the size of the
    /// member, which deflate limits to 1,032 times the bytes in the file.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::NpzArchive;
    ///
    #[doc = example_archive!()]
    /// let archive = NpzArchive::open(&path)?;
    /// assert_eq!(archive.member("y")?.read::<f64, Ix1>()?, array![1.5, 2.5]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`header`](Self::header); [`ErrorKind::DtypeMismatch`] or
    /// [`ErrorKind::DimensionMismatch`] if the member stores another element type or number of
    /// dimensions; [`ErrorKind::TooShort`] or
    /// [`ErrorKind::TrailingBytes`] if its size is not that of the array;
    /// [`ErrorKind::InvalidArchive`] if its length or its checksum is not the one that the directory
    /// lists; [`ErrorKind::InsufficientMemory`] if the array does not fit in memory;
    /// [`ErrorKind::Unsupported`] if elements have no bytes.
    pub fn read<A: NpyElement, D: Dimension>(&self) -> Result<Array<A, D>> {
        self.read_array().map_err(|error| self.named(error))
    }

    fn read_array<A: NpyElement, D: Dimension>(&self) -> Result<Array<A, D>> {
        let at_path = |kind: ErrorKind| kind.at(self.path());
        let mut stream = self.stream();
        let header = stream.read_header()?;
        let (layout, swapped) = header.stored_layout::<A>().map_err(at_path)?;
        let end = self.decoded_len();
        check_dimensions::<D>(&layout)
            .and_then(|()| layout.check_fits(end, Element::of::<A>(), true))
            .and_then(|()| layout.check_ends(end))
            .map_err(at_path)?;
        let len = layout.byte_len().checked_div(size_of::<A>());
        let Some((len, shape)) = len.zip(layout.to_shape()) else {
            let reason = "elements without bytes cannot be read; use `Array::from_elem`";
            return Err(at_path(ErrorKind::Unsupported { reason: reason.to_owned() }));
        };
        let byte_order = swapped.map_or(ByteOrder::Native, |width| ByteOrder::Swapped { width });
        let elements = stream.read_elements(len, byte_order)?;
        Ok(Array::from_shape_vec(shape, elements).expect("the length is that of the shape"))
    }

    /// Opens the array in the archive for reading any part of it, without mapping it, with the
    /// default options and a shared lock on the archive. The checksum is not checked.
    ///
    /// The elements may have any alignment. The array does not borrow the archive.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{NpzArchive, prelude::*};
    ///
    #[doc = example_archive!()]
    /// let x = NpzArchive::open(&path)?.member("x")?.open_file::<f64, Ix1>()?;
    /// assert_eq!(x.read(s![1..])?, array![2.5]);
    /// assert_eq!(x.chunked().mean()?, 2.0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`MmapArrayOptions::open_file_npy`], and [`ErrorKind::Unsupported`] if the
    /// array is compressed, or if the path refers to another file than when the archive was opened, or
    /// the file was modified.
    pub fn open_file<A: NpyElement, D: Dimension>(&self) -> Result<ArrayFile<A, D>> {
        let array = self
            .stored()
            .and_then(|(options, end)| options.open_npy_until(self.path(), false, end));
        array.map_err(|error| self.named(error))
    }

    /// Returns the path of the archive.
    pub(super) fn path(&self) -> &'a Path {
        self.file.path()
    }

    /// Returns the length of the `.npy` file in bytes.
    pub(super) fn decoded_len(&self) -> u64 {
        self.entry.record.uncompressed_size_hint()
    }

    /// Returns the options that open the `.npy` file in place, and a function that returns its end,
    /// once the archive has been opened again.
    #[allow(clippy::type_complexity, reason = "a function type has no name")]
    pub(super) fn stored(
        &self,
    ) -> Result<(MmapArrayOptions, impl FnOnce(&File, u64) -> Result<u64> + use<'a>)> {
        if self.is_compressed() {
            let reason = "the array is compressed, so that it cannot be used in place; copy it \
                          into memory with `NpzMember::read`, or into a file with \
                          `NpzMember::extract`";
            return Err(ErrorKind::Unsupported { reason: reason.to_owned() }.at(self.path()));
        }
        let (start, end) = self.zip.compressed_data_range();
        let archive = self.file;
        let end = move |file: &File, file_len: u64| {
            archive.check_same(file)?;
            Ok(end.min(file_len))
        };
        Ok((MmapArrayOptions::new().offset(start), end))
    }

    pub(super) fn stream(&self) -> Stream<'a> {
        Stream::new(&self.zip, self.entry.method, self.file)
    }

    /// Adds the name of the member to an error.
    pub(super) fn named(&self, error: Error) -> Error {
        error.in_member(&self.entry.name)
    }
}
