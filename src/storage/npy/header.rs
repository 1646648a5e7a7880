//! The header of an `.npy` file, and its reader.
#![forbid(unsafe_code)]

use std::fs::File;
use std::path::Path;

use super::dtype::Dtype;
use super::element::NpyElement;
use super::formats::describe;
use super::matching::{check, check_writable};
use super::parser::MAX_TEXT;
use super::text::{HeaderText, MAGIC, header, parse_header};
use crate::error::{Error, ErrorKind, Result};
use crate::order::Order;
use crate::storage::file::open_regular;
use crate::storage::layout::{Element, FileLayout};
use crate::storage::os;

/// The header of an `.npy` file: element type, shape and order, without mapping anything.
///
/// Programs can use it to select the element type at run time:
///
/// ```
/// use ndarray_mmap::{Dtype, MmapArray, MmapArrayMut, NpyHeader, prelude::*};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("table.npy");
/// // SAFETY: this program alone uses the file.
/// # unsafe { MmapArrayMut::<f32, _>::create_npy(&path, (2, 3)) }?.close()?;
/// let header = NpyHeader::read(&path)?;
/// assert_eq!(header.shape(), [2, 3]);
/// let sum = if *header.dtype() == Dtype::of::<f32>() {
///     // SAFETY: as above.
///     f64::from(unsafe { MmapArray::<f32, ndarray::IxDyn>::open_npy(&path) }?.sum())
/// } else {
///     // SAFETY: as above.
///     unsafe { MmapArray::<f64, ndarray::IxDyn>::open_npy(&path) }?.sum()
/// };
/// assert_eq!(sum, 0.0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpyHeader {
    version: (u8, u8),
    dtype: Dtype,
    shape: Vec<usize>,
    order: Order,
    data_offset: u64,
}

impl NpyHeader {
    /// Returns the header that NumPy would write for a new file, which leaves room for the first
    /// axis to grow (the last one in Fortran order).
    ///
    /// ```
    /// use ndarray_mmap::{Dtype, NpyHeader, Order};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// let header = NpyHeader::new(Dtype::of::<u8>(), &[2, 3], Order::C)?;
    /// std::fs::write(&path, [&header.to_bytes()?[..], &[1, 2, 3, 4, 5, 6]].concat())?;
    /// assert_eq!(NpyHeader::read(&path)?, header);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if NumPy could not read the header: more than 64 dimensions, a
    /// dtype that is too long, has duplicate field names or is nested too deeply.
    pub fn new(dtype: Dtype, shape: &[usize], order: Order) -> Result<Self> {
        let bytes = header(&dtype, shape, order, 1).map_err(|kind| kind.at(None::<&Path>))?;
        let (version, data_offset) = ((bytes[6], bytes[7]), bytes.len() as u64);
        Ok(Self { version, dtype, shape: shape.to_vec(), order, data_offset })
    }

    /// Returns the bytes of the header that NumPy would write for this dtype, shape and order. The
    /// elements follow them in a file.
    ///
    /// For a header that was read from a file, its version and length may be others than in the
    /// file, because other programs and older versions of NumPy leave less room.
    ///
    /// ```
    /// use ndarray_mmap::{Dtype, NpyHeader, Order};
    ///
    /// let header = NpyHeader::new(Dtype::of::<f64>(), &[2, 3], Order::C)?;
    /// let bytes = header.to_bytes()?;
    /// assert!(bytes.starts_with(b"\x93NUMPY\x01\0\x76\0{'descr': '<f8', 'fortran_order': False, "));
    /// assert_eq!(bytes.len() as u64, header.data_offset());
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Self::new).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        header(&self.dtype, &self.shape, self.order, 1).map_err(|kind| kind.at(None::<&Path>))
    }

    /// Reads the header of a file.
    ///
    /// Uses less than 64 KiB of memory and less than a millisecond (optimised, excluding disk
    /// latency), whatever the file contains: headers of more than 10,000 bytes are rejected, as in
    /// NumPy.
    ///
    /// ```
    /// use ndarray_mmap::{ErrorKind, NpyHeader};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// let text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}";
    /// std::fs::write(&path, [b"\x93NUMPY\x01\0\x39\0", &text[..]].concat())?;
    /// let header = NpyHeader::read(&path)?; // the data may be missing
    /// assert_eq!((header.dtype().descr(), header.shape()), ("<f4", &[2, 3][..]));
    /// std::fs::write(&path, "2 3\n0.5 1.5 2.5")?;
    /// let error = NpyHeader::read(&path).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::InvalidHeader { position: 0, .. }));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] and [`ErrorKind::NotRegularFile`] if the file cannot be opened or read,
    /// [`ErrorKind::InvalidHeader`] if it is not an `.npy` file of version 1, 2 or 3. For files of
    /// other formats (compressed files, `.npz`, HDF5, pickles, text and the like), the message
    /// names the format and a remedy.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = open_regular(path, false)?;
        Self::read_from(&file, path, 0)
    }

    /// Returns the element type.
    ///
    /// ```
    /// # use ndarray::ShapeBuilder;
    /// # use ndarray_mmap::{Dtype, MmapArrayMut, NpyHeader};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// // SAFETY: this program alone uses the file.
    /// unsafe { MmapArrayMut::<f32, _>::create_npy(&path, (2, 3).f()) }?.close()?;
    /// assert_eq!(*NpyHeader::read(&path)?.dtype(), Dtype::of::<f32>());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn dtype(&self) -> &Dtype {
        &self.dtype
    }

    /// Returns the axis lengths, which are empty for a single value (0 dimensions).
    ///
    /// ```
    /// # use ndarray::ShapeBuilder;
    /// # use ndarray_mmap::{MmapArrayMut, NpyHeader};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// // SAFETY: this program alone uses the file.
    /// unsafe { MmapArrayMut::<f32, _>::create_npy(&path, (2, 3).f()) }?.close()?;
    /// assert_eq!(NpyHeader::read(&path)?.shape(), [2, 3]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the memory order ([`Order::F`] for `fortran_order: True`).
    ///
    /// ```
    /// # use ndarray::ShapeBuilder;
    /// # use ndarray_mmap::{MmapArrayMut, NpyHeader, Order};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// // SAFETY: this program alone uses the file.
    /// unsafe { MmapArrayMut::<f32, _>::create_npy(&path, (2, 3).f()) }?.close()?;
    /// assert_eq!(NpyHeader::read(&path)?.order(), Order::F);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn order(&self) -> Order {
        self.order
    }

    /// Returns the offset of the first element, in bytes from the start of the file.
    ///
    /// ```
    /// # use ndarray::ShapeBuilder;
    /// # use ndarray_mmap::{MmapArrayMut, NpyHeader};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// // SAFETY: this program alone uses the file.
    /// unsafe { MmapArrayMut::<f32, _>::create_npy(&path, (2, 3).f()) }?.close()?;
    /// assert_eq!(NpyHeader::read(&path)?.data_offset() + 6 * 4, std::fs::metadata(&path)?.len());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn data_offset(&self) -> u64 {
        self.data_offset
    }

    /// Returns the version of the format: (1, 0), (2, 0) or (3, 0).
    ///
    /// ```
    /// # use ndarray::ShapeBuilder;
    /// # use ndarray_mmap::{MmapArrayMut, NpyHeader};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// // SAFETY: this program alone uses the file.
    /// unsafe { MmapArrayMut::<f32, _>::create_npy(&path, (2, 3).f()) }?.close()?;
    /// assert_eq!(NpyHeader::read(&path)?.version(), (1, 0));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn version(&self) -> (u8, u8) {
        self.version
    }

    /// Reads the header that starts at byte `offset` of an open file.
    pub(in crate::storage) fn read_from(file: &File, path: &Path, offset: u64) -> Result<Self> {
        let read = |at, buffer: &mut [u8]| {
            os::read_at(file, at, buffer)
                .map_err(|error| Error::io("read the .npy header", Some(path), error))
        };
        Self::read_with(read, path, offset)
    }

    /// Reads the header at an offset through a function that reads bytes at a position until the
    /// buffer is full or the file ends.
    pub(in crate::storage) fn read_with(
        mut read: impl FnMut(u64, &mut [u8]) -> Result<usize>,
        path: &Path,
        offset: u64,
    ) -> Result<Self> {
        let invalid =
            |position, reason: String| ErrorKind::InvalidHeader { position, reason }.at(path);

        let mut preamble = [0; 12];
        let got = read(offset, &mut preamble)?;
        if got < 6 || preamble[..6] != *MAGIC {
            return Err(invalid(offset, not_npy(&preamble[..got], offset)));
        }
        let version = (preamble[6], preamble[7]);
        let (text_at, text_len) = match version {
            _ if got < 12 => {
                return Err(invalid(
                    offset + got as u64,
                    "the file ends inside the header".to_owned(),
                ));
            }
            (1, 0) => (10, usize::from(u16::from_le_bytes([preamble[8], preamble[9]]))),
            (2 | 3, 0) => {
                let len =
                    u32::from_le_bytes([preamble[8], preamble[9], preamble[10], preamble[11]]);
                (12, usize::try_from(len).unwrap_or(usize::MAX))
            }
            (major, minor) => {
                let reason =
                    format!("unsupported format version {major}.{minor}; expected 1.0, 2.0 or 3.0");
                return Err(invalid(offset + 6, reason));
            }
        };
        if text_len > MAX_TEXT {
            let reason =
                format!("header length of {text_len} bytes exceeds the limit of {MAX_TEXT}");
            return Err(invalid(offset + 8, reason));
        }
        let text_start = offset + text_at;
        let mut text = vec![0; text_len];
        let got = read(text_start, &mut text)?;
        if got < text_len {
            let reason = format!("header of {text_len} bytes is truncated after {got}");
            return Err(invalid(text_start + got as u64, reason));
        }
        let HeaderText { dtype, order, shape, .. } = parse_header(&text, version.0 >= 3)
            .map_err(|error| invalid(text_start + error.at as u64, error.reason.into_owned()))?;
        Ok(Self { version, dtype, shape, order, data_offset: text_start + text_len as u64 })
    }

    /// Returns an error if storing an `A` in the file could produce bytes that are invalid for the
    /// file's dtype.
    pub(in crate::storage) fn check_writable<A: NpyElement>(
        &self,
    ) -> std::result::Result<(), ErrorKind> {
        check_writable::<A>(&self.dtype)
    }

    /// Returns the layout of the data, if it can be read as `A`, and the size in bytes of its
    /// numbers if they are in the other byte order.
    pub(in crate::storage) fn stored_layout<A: NpyElement>(
        &self,
    ) -> std::result::Result<(FileLayout, Option<usize>), ErrorKind> {
        let swapped = match check::<A>(&self.dtype) {
            Err(kind @ ErrorKind::ByteOrderMismatch { .. }) => {
                Some(self.dtype.number_size().ok_or(kind)?)
            }
            result => result.map(|()| None)?,
        };
        let element = Element::unaligned::<A>();
        Ok((FileLayout::new(&self.shape, self.order, self.data_offset, element)?, swapped))
    }

    /// Returns the layout of the data, if it can be mapped as `A`.
    pub(in crate::storage) fn layout<A: NpyElement>(
        &self,
    ) -> std::result::Result<FileLayout, ErrorKind> {
        check::<A>(&self.dtype)?;
        FileLayout::new(&self.shape, self.order, self.data_offset, Element::of::<A>())
    }
}

/// Returns an error if the file starts with an `.npy` header, with the method that would open it. A
/// file that cannot be read is accepted, because mapping it reports the error.
pub(in crate::storage) fn check_not_npy(
    file: &File,
    path: &Path,
    method: &'static str,
) -> Result<()> {
    let mut prefix = [0; MAGIC.len()];
    if os::read_at(file, 0, &mut prefix).unwrap_or(0) < prefix.len() || prefix != *MAGIC {
        return Ok(());
    }
    let kind = match NpyHeader::read_from(file, path, 0) {
        // Python objects cannot be used outside Python.
        Ok(header) if header.dtype.item_size().is_none() => {
            ErrorKind::NpyHeaderInRawFile { data_offset: None, order: Order::C, method: None }
        }
        Ok(header) => {
            let order = if header.shape.len() > 1 { header.order } else { Order::C };
            ErrorKind::NpyHeaderInRawFile {
                data_offset: Some(header.data_offset),
                order,
                method: Some(method),
            }
        }
        Err(_) => ErrorKind::NpyHeaderInRawFile {
            data_offset: None,
            order: Order::C,
            method: Some(method),
        },
    };
    Err(kind.at(path))
}

/// Describes a file whose first bytes, at `offset`, are not those of a header.
fn not_npy(prefix: &[u8], offset: u64) -> String {
    match prefix {
        [] if offset == 0 => "the file is empty; copy or save it again".to_owned(),
        [] => "the file ends before this offset".to_owned(),
        // Bytes in the middle of a file may match any format.
        _ if offset > 0 => {
            "no .npy header at this offset; check the offset, or map raw data with `open` and a \
             shape"
                .to_owned()
        }
        _ => describe(prefix).unwrap_or_else(|| {
            "the file does not start with \\x93NUMPY; to map raw data, use `open` and a \
             shape"
                .to_owned()
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Returns the header of a file with these bytes, or the position and reason of the error.
    fn read(bytes: &[u8], offset: u64) -> std::result::Result<NpyHeader, (u64, String)> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        NpyHeader::read_from(&file, Path::new("x.npy"), offset).map_err(|error| {
            match error.kind() {
                ErrorKind::InvalidHeader { position, reason } => (*position, reason.clone()),
                kind => panic!("{kind:?}"),
            }
        })
    }

    #[test]
    fn every_version_at_any_offset() {
        let dtype = Dtype::of::<f64>();
        let version_1 = header(&dtype, &[3, 4], Order::F, 8).unwrap();
        let text = &version_1[10..];
        let of =
            |version| [MAGIC, &[version, 0][..], &(text.len() as u32).to_le_bytes(), text].concat();
        for (bytes, version) in [(version_1.clone(), (1, 0)), (of(2), (2, 0)), (of(3), (3, 0))] {
            for offset in [0, 5] {
                let header =
                    read(&[&vec![7; offset][..], &bytes, &[1, 2, 3]].concat(), offset as u64)
                        .unwrap();
                assert_eq!(
                    (header.version(), header.dtype(), header.order()),
                    (version, &dtype, Order::F)
                );
                assert_eq!(
                    (header.shape(), header.data_offset()),
                    (&[3, 4][..], (offset + bytes.len()) as u64)
                );
            }
        }
    }

    #[test]
    fn names_are_latin_1_before_version_3() {
        let text = "{'descr': [('é', '<f4')], 'fortran_order': False, 'shape': ()}".as_bytes();
        for (version, name) in [(1, "Ã©"), (2, "Ã©"), (3, "é")] {
            let len = (text.len() as u32).to_le_bytes();
            let len = if version == 1 { &len[..2] } else { &len[..] };
            let header = read(&[MAGIC, &[version, 0][..], len, text].concat(), 0).unwrap();
            assert_eq!(header.dtype().descr(), format!("[('{name}', '<f4')]"), "{version}");
        }
    }

    #[test]
    fn errors_report_their_position() {
        let file = |version: [u8; 2], len: u16, text: &[u8]| {
            [MAGIC, &version[..], &len.to_le_bytes(), text].concat()
        };
        for (bytes, offset, position, reason) in [
            (vec![], 0, 0, "the file is empty; copy or save it again"),
            (vec![1, 2, 3], 3, 3, "the file ends before this offset"),
            (MAGIC[..5].to_vec(), 0, 0, "does not start with"),
            (b"\x93NUMPX......".to_vec(), 0, 0, "does not start with"),
            (b"PK\x03\x04......".to_vec(), 0, 0, "zip archive"),
            (b"PK\x05\x06".to_vec(), 0, 0, "zip archive"),
            (b"\x1f\x8b\x08".to_vec(), 0, 0, "the file is compressed with gzip"),
            (b"1,2,3\n".to_vec(), 0, 0, "the file is text"),
            (b"1,2,3\n".to_vec(), 0, 0, "if it is raw data, map it with `open` and a shape"),
            (
                [&[9; 7][..], b"1,2,3\n"].concat(),
                7,
                7,
                "no .npy header at this offset; check the offset, or map raw data",
            ),
            ([&[9; 7][..], b"\x1f\x8b\x08"].concat(), 7, 7, "no .npy header at this offset"),
            (b"\x80\x02\x80\x02".to_vec(), 0, 0, "does not start with"),
            (MAGIC.to_vec(), 0, 6, "the file ends inside the header"),
            (file([1, 0], 1, b"{"), 0, 11, "the file ends inside the header"),
            (file([1, 0], 2, b"{}"), 0, 12, "missing key `descr`"),
            (file([0, 0], 2, b"{}"), 0, 6, "unsupported format version 0.0"),
            (file([1, 1], 2, b"{}"), 0, 6, "unsupported format version 1.1"),
            (file([4, 0], 2, b"{}"), 0, 6, "unsupported format version 4.0"),
            (
                file([1, 0], 10_001, b"{}"),
                0,
                8,
                "header length of 10001 bytes exceeds the limit of 10000",
            ),
            (file([1, 0], 10_000, b"{}"), 0, 12, "header of 10000 bytes is truncated after 2"),
            (file([2, 0], 2, &[1, 0]), 0, 8, "header length of 65538 bytes"),
            (file([2, 0], 20, b"\0\0{}"), 0, 14, "header of 20 bytes is truncated after 2"),
            (
                [&[9; 7][..], &file([1, 0], 4, b"{ 5}")].concat(),
                7,
                7 + 10 + 2,
                "expected a string, found `5`",
            ),
        ] {
            let (found_at, found) = read(&bytes, offset).unwrap_err();
            assert!(
                found_at == position && found.contains(reason),
                "{found_at}: {found}, not {position}: {reason}"
            );
        }
    }

    #[test]
    fn names_beyond_ascii_take_version_3() {
        let dtype = Dtype::record([("温度", Dtype::of::<f64>())]);
        let header = header(&dtype, &[2], Order::C, 8).unwrap();
        assert_eq!(header[6..8], [3, 0]);
        assert_eq!(read(&header, 0).unwrap().data_offset(), header.len() as u64);
        assert_eq!(parse_header(&header[12..], true).unwrap().dtype, dtype);
    }
}
