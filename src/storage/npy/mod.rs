//! The header of `.npy` files, versions 1 to 3: reading what NumPy writes, and writing what NumPy would.
//!
//! ```text
//! byte 0        6     8            10 (v1) or 12 (v2, v3)                  data, at a multiple of 64
//! | \x93NUMPY | v 0 | text length | {'descr': '<f8', ..., }   spaces  \n | elements ...
//! ```
#![forbid(unsafe_code)]

mod dtype;
mod element;
mod record;
mod scan;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

pub use self::dtype::Dtype;
pub use self::element::NpyElement;
use self::scan::{Fault, Scan, Scanner};
use super::layout::{Element, FileLayout};
use super::regular::open_regular;
use crate::error::{Error, ErrorKind, Result};
use crate::order::Order;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// No header text is longer, as in NumPy unless told otherwise. Reading one takes six times as much memory at most,
/// which is less than 64 KiB.
const MAX_TEXT: usize = 10_000;
/// NumPy leaves room for this many digits in the axis along which the array can grow.
const GROWTH_DIGITS: usize = 21;
/// What the data of a new file are aligned to, at least.
const DATA_ALIGN: usize = 64;

/// The header of an `.npy` file: element type, shape and order, without mapping anything.
///
/// For programs that learn the element type only at run time:
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
    /// Reads the header of a file.
    ///
    /// Takes less than 64 KiB of memory and less than a millisecond (optimised, once the disk has answered), whatever
    /// the file holds: headers of more than 10,000 bytes are refused, as NumPy refuses them.
    ///
    /// ```
    /// use ndarray_mmap::{ErrorKind, NpyHeader};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// std::fs::write(&path, b"\x93NUMPY\x01\0\x39\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}")?;
    /// let header = NpyHeader::read(&path)?; // there need be no data
    /// assert_eq!((header.dtype().descr(), header.shape()), ("<f4", &[2, 3][..]));
    /// std::fs::write(&path, "2 3\n0.5 1.5 2.5")?;
    /// let error = NpyHeader::read(&path).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::Header { position: 0, .. }));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] and [`ErrorKind::NotRegularFile`] if the file cannot be opened or read,
    /// [`ErrorKind::Header`] if it is not an `.npy` file of version 1, 2 or 3.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = open_regular(path, false)?;
        Self::read_from(&file, path, 0)
    }

    /// The element type.
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

    /// The axis lengths; empty for a single value (0 dimensions).
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

    /// The memory order ([`Order::F`] for `fortran_order: True`).
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

    /// Where the first element lies, in bytes from the start of the file.
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

    /// The version of the format: (1, 0), (2, 0) or (3, 0).
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

    /// Reads the header that begins at byte `offset` of an open file.
    pub(super) fn read_from(file: &File, path: &Path, offset: u64) -> Result<Self> {
        let read = |at, buffer: &mut [u8]| {
            read_at(file, at, buffer).map_err(|error| Error::io("read the .npy header", Some(path), error))
        };
        let fault = |position, reason: String| ErrorKind::Header { position, reason }.at(path);

        let mut preamble = [0; 12];
        let got = read(offset, &mut preamble)?;
        if got < 6 || preamble[..6] != *MAGIC {
            return Err(fault(offset, not_npy(&preamble[..got], offset).to_owned()));
        }
        let version = (preamble[6], preamble[7]);
        let (text_at, text_len) = match version {
            _ if got < 12 => return Err(fault(offset + got as u64, "the file ends inside the header".to_owned())),
            (1, 0) => (10, usize::from(u16::from_le_bytes([preamble[8], preamble[9]]))),
            (2 | 3, 0) => {
                let len = u32::from_le_bytes([preamble[8], preamble[9], preamble[10], preamble[11]]);
                (12, usize::try_from(len).unwrap_or(usize::MAX))
            }
            (major, minor) => {
                let reason = format!("version {major}.{minor} of the format is unknown (1.0, 2.0 and 3.0 are known)");
                return Err(fault(offset + 6, reason));
            }
        };
        if text_len > MAX_TEXT {
            let reason = format!("its header claims {text_len} bytes, more than {MAX_TEXT} are not read");
            return Err(fault(offset + 8, reason));
        }
        let text_begin = offset + text_at;
        let mut text = vec![0; text_len];
        let got = read(text_begin, &mut text)?;
        if got < text_len {
            let reason = format!("its header claims {text_len} bytes, the file ends after {got} of them");
            return Err(fault(text_begin + got as u64, reason));
        }
        let (dtype, order, shape) = scan_header(&text, version.0 >= 3)
            .map_err(|error| fault(text_begin + error.at as u64, error.reason.into_owned()))?;
        Ok(Self { version, dtype, shape, order, data_offset: text_begin + text_len as u64 })
    }

    /// The layout of the data, if they can be opened as `A`.
    pub(super) fn layout<A: NpyElement>(&self) -> std::result::Result<FileLayout, ErrorKind> {
        element::check::<A>(&self.dtype)?;
        FileLayout::new(&self.shape, self.order, self.data_offset, Element::of::<A>())
    }
}

/// What a file is whose first bytes, at `offset`, are not those of a header.
fn not_npy(begin: &[u8], offset: u64) -> &'static str {
    match begin {
        [] if offset == 0 => "the file is empty",
        [] => "the file ends before it",
        // Of the first file in the archive, or of an archive without files.
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => "it is a zip archive (.npz), which is not read; unpack it",
        _ => "it does not begin with \\x93NUMPY; to map a file without a header, use `open` and a shape",
    }
}

/// Reads until the buffer is full or the file ends.
fn read_at(mut file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(at))?;
    let mut got = 0;
    while got < buffer.len() {
        match file.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// `{'descr': ..., 'fortran_order': ..., 'shape': ..., }`, the keys in any order, each once.
fn scan_header(text: &[u8], utf8: bool) -> Scan<(Dtype, Order, Vec<usize>)> {
    let mut scanner = Scanner::new(text, utf8);
    let (mut dtype, mut order, mut shape) = (None, None, None);
    scanner.list(b'{', b'}', "the header, a dictionary", |scanner, _| {
        let at = scanner.position();
        let key = scanner.string()?;
        scanner.expect(b':', "`:`")?;
        let repeated = match key.as_str() {
            "descr" => dtype.replace(Dtype::scan(scanner)?).is_some(),
            "fortran_order" => order.replace(if scanner.boolean()? { Order::F } else { Order::C }).is_some(),
            "shape" => shape.replace(record::scan_shape(scanner)?).is_some(),
            _ => return Err(Fault { at, reason: format!("unknown key `{}`", dtype::shortened(&key)).into() }),
        };
        match repeated {
            true => Err(Fault { at, reason: format!("the key `{key}` comes twice").into() }),
            false => Ok(()),
        }
    })?;
    scanner.expect_end()?;
    match (dtype, order, shape) {
        (Some(dtype), Some(order), Some(shape)) => Ok((dtype, order, shape)),
        (None, ..) => scanner.fault("the key `descr` is missing"),
        (_, None, _) => scanner.fault("the key `fortran_order` is missing"),
        (.., None) => scanner.fault("the key `shape` is missing"),
    }
}

/// The header NumPy would write, so that the data begin at a multiple of `align` bytes (64 at least).
pub(super) fn header(
    dtype: &Dtype,
    shape: &[usize],
    order: Order,
    align: usize,
) -> std::result::Result<Vec<u8>, ErrorKind> {
    let fortran = if order == Order::F { "True" } else { "False" };
    let mut text = String::from("{'descr': ");
    dtype.spell(&mut text);
    text.push_str(&format!(", 'fortran_order': {fortran}, 'shape': {}, }}", record::tuple(shape)));
    let growing = if order == Order::F { shape.last() } else { shape.first() };
    if let Some(len) = growing {
        let digits = len.checked_ilog10().unwrap_or(0) as usize + 1;
        text.extend(std::iter::repeat_n(' ', GROWTH_DIGITS.saturating_sub(digits)));
    }
    // As NumPy does: version 1 is Latin-1, version 3 UTF-8. Version 2 is for longer texts than MAX_TEXT.
    let latin_1: Option<Vec<u8>> = text.chars().map(|char| u8::try_from(char).ok()).collect();
    let (version, text) = latin_1.map_or_else(|| (3, text.into_bytes()), |text| (1, text));
    let preamble = if version == 1 { 10 } else { 12 };
    let align = align.max(DATA_ALIGN);
    // NumPy's padding is never empty.
    let end = ((preamble + text.len() + 1) / align + 1) * align;
    let text_len = end - preamble;
    if text_len > MAX_TEXT {
        return Err(ErrorKind::Unsupported { reason: "the element type's description is too long for an .npy header" });
    }
    if scan_header(&text, version == 3).is_err() {
        return Err(ErrorKind::Unsupported {
            reason: "no .npy header can say this: two fields of a record have the same name, records are nested too \
                     deep, an array type is not in a field of a record, or there are more than 64 dimensions",
        });
    }
    let mut header = Vec::with_capacity(end);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&[version, 0]);
    // At most MAX_TEXT, which fits both.
    if version == 1 {
        header.extend_from_slice(&(text_len as u16).to_le_bytes());
    } else {
        header.extend_from_slice(&(text_len as u32).to_le_bytes());
    }
    header.extend_from_slice(&text);
    header.resize(end - 1, b' ');
    header.push(b'\n');
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// The header of a file with these bytes, or what is wrong with it at which byte.
    fn read(bytes: &[u8], offset: u64) -> std::result::Result<NpyHeader, (u64, String)> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        NpyHeader::read_from(&file, Path::new("x.npy"), offset).map_err(|error| match error.kind() {
            ErrorKind::Header { position, reason } => (*position, reason.clone()),
            kind => panic!("{kind:?}"),
        })
    }

    #[test]
    fn every_version_anywhere_in_a_file() {
        let dtype = Dtype::of::<f64>();
        let version_1 = header(&dtype, &[3, 4], Order::F, 8).unwrap();
        let text = &version_1[10..];
        let of = |version| [MAGIC, &[version, 0][..], &(text.len() as u32).to_le_bytes(), text].concat();
        for (bytes, version) in [(version_1.clone(), (1, 0)), (of(2), (2, 0)), (of(3), (3, 0))] {
            for offset in [0, 5] {
                let header = read(&[&vec![7; offset][..], &bytes, &[1, 2, 3]].concat(), offset as u64).unwrap();
                assert_eq!((header.version(), header.dtype(), header.order()), (version, &dtype, Order::F));
                assert_eq!((header.shape(), header.data_offset()), (&[3, 4][..], (offset + bytes.len()) as u64));
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

    /// As long as can be, and one byte more.
    #[test]
    fn the_longest_header() {
        let header_of = |len: usize| {
            let dtype = Dtype::record([("é".repeat(len).as_str(), Dtype::of::<f32>())]);
            header(&dtype, &[], Order::C, 64)
        };
        let fits = (9_000..10_000).take_while(|&len| header_of(len).is_ok()).last().unwrap();
        let longest = header_of(fits).unwrap();
        // 10 + 10_000 bytes, in whole units of 64.
        assert_eq!(longest.len(), 9_984);
        let text_len = usize::from(u16::from_le_bytes([longest[8], longest[9]]));
        assert_eq!(10 + text_len, longest.len());
        assert!(matches!(header_of(fits + 1), Err(ErrorKind::Unsupported { .. })));
    }

    #[test]
    fn what_is_wrong_with_a_file_and_where() {
        let file = |version: [u8; 2], len: u16, text: &[u8]| [MAGIC, &version[..], &len.to_le_bytes(), text].concat();
        for (bytes, offset, position, reason) in [
            (vec![], 0, 0, "the file is empty"),
            (vec![1, 2, 3], 3, 3, "the file ends before it"),
            (MAGIC[..5].to_vec(), 0, 0, "does not begin with"),
            (b"\x93NUMPX......".to_vec(), 0, 0, "does not begin with"),
            (b"PK\x03\x04......".to_vec(), 0, 0, "zip archive"),
            (b"PK\x05\x06".to_vec(), 0, 0, "zip archive"),
            (MAGIC.to_vec(), 0, 6, "the file ends inside the header"),
            (file([1, 0], 1, b"{"), 0, 11, "the file ends inside the header"),
            (file([1, 0], 2, b"{}"), 0, 12, "`descr` is missing"),
            (file([0, 0], 2, b"{}"), 0, 6, "version 0.0 of the format is unknown"),
            (file([1, 1], 2, b"{}"), 0, 6, "version 1.1 of the format is unknown"),
            (file([4, 0], 2, b"{}"), 0, 6, "version 4.0 of the format is unknown"),
            (file([1, 0], 10_001, b"{}"), 0, 8, "its header claims 10001 bytes, more than 10000 are not read"),
            (file([1, 0], 10_000, b"{}"), 0, 12, "its header claims 10000 bytes, the file ends after 2 of them"),
            (file([2, 0], 2, &[1, 0]), 0, 8, "its header claims 65538 bytes"),
            (file([2, 0], 20, b"\0\0{}"), 0, 14, "its header claims 20 bytes, the file ends after 2 of them"),
            ([&[9; 7][..], &file([1, 0], 4, b"{ 5}")].concat(), 7, 7 + 10 + 2, "expected a string, found `5`"),
        ] {
            let (found_at, found) = read(&bytes, offset).unwrap_err();
            assert!(found_at == position && found.contains(reason), "{found_at}: {found}, not {position}: {reason}");
        }
    }

    /// The place of what is wrong is marked.
    #[test]
    fn what_is_wrong_with_a_header_and_where() {
        for marked in [
            "^",
            "  ^x",
            "{^",
            "{ ^5: 1}",
            "{'descr' ^'<f8'}",
            "{'descr': ^5",
            "{'descr': ^'<f3'}",
            "{^'x': 1}",
            "{'descr': '<f8', ^'descr': '<f8'}",
            "{'descr': '<f8' ^'shape': ()}",
            "{'shape': (3, ^-1)}",
            "{'shape': (3, )^(",
            "{'shape': (^0x10,)}",
            "{'shape': (3, ^010)}",
            "{'shape': (^1_000,)}",
            "{'shape': (^99999999999999999999,)}",
            "{'shape': (3)^}",
            "{'shape': (3 ^4)}",
            "{'fortran_order': ^0}",
            "{'descr': '<f8^\n'}",
            "{'descr': '<f8'}^",
            "{'descr': 'a^\\q'}",
            "{'descr': 'a^\\x3'}",
            "{'descr': 'a^\\u00g0'}",
            "{'descr': '\\x41\\u00e9^\x01'}",
            "{'descr': 'é^\\z'}",
            "{'descr': [('a',)^]}",
            "{'descr': [('a', '<f8', 3, ^4)]}",
            "{'descr': [(('a')^, '<f8')]}",
            "{'descr': [(('a', 'b', ^'c'), '<f8')]}",
            "{'descr': [('a', '<f8'), ('a', '<f8')]^}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': ()} ^x",
        ] {
            let (before, after) = marked.split_once('^').unwrap();
            let fault = scan(&[before, after].concat());
            // A mark right before what ends a list stands for the list's own fault.
            let at = fault.unwrap_err().at;
            assert_eq!(at, before.len(), "{marked}");
        }
    }

    fn scan(text: &str) -> Scan<(Dtype, Order, Vec<usize>)> {
        scan_header(text.as_bytes(), true)
    }

    #[test]
    fn what_numpy_writes() {
        let (dtype, order, shape) = scan("{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4), }   \n").unwrap();
        assert_eq!((dtype.descr(), order, &shape[..]), ("<f8", Order::F, &[3, 4][..]));
        // Python 2, other key orders, other quotes, no last newline
        assert_eq!(scan("{'shape': (3L, 4L), \"descr\": '<f8', 'fortran_order': False}").unwrap().2, [3, 4]);
        assert_eq!(scan("{'descr': '<f8', 'fortran_order': False, 'shape': ()}").unwrap().2, [0; 0]);
        assert_eq!(scan("{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}").unwrap().2, [3]);
    }

    #[track_caller]
    fn refused(text: &str, reason: &str) {
        let fault = scan(text).unwrap_err();
        assert!(fault.reason.contains(reason), "{text}: {}", fault.reason);
    }

    #[test]
    fn what_it_would_not() {
        let with_shape = |shape: &str| format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
        refused("", "expected the header, a dictionary, found the end");
        refused("{", "expected a string, found the end");
        refused("{}", "`descr` is missing");
        refused("{'descr': '<f8', 'shape': ()}", "`fortran_order` is missing");
        refused("{'descr': '<f8', 'fortran_order': False}", "`shape` is missing");
        refused("{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': ()}", "comes twice");
        refused("{'descr': '<f8', 'fortran_order': False, 'shape': (), 'x': 1}", "unknown key `x`");
        refused("{'descr': '<f8', 'fortran_order': 0, 'shape': ()}", "True or False");
        refused("{'descr': 5, 'fortran_order': False, 'shape': ()}", "expected an element type");
        refused(&(with_shape("()") + "x"), "expected the end");
        refused(&with_shape("(3)"), "not a tuple");
        refused(&with_shape("3"), "a tuple, found `3`");
        refused(&with_shape("(-3,)"), "found `-`");
        refused(&with_shape("(True,)"), "found `T`");
        refused(&with_shape("(np.int64(3),)"), "found `n`");
        refused(&with_shape("(0x10,)"), "without letters");
        refused(&with_shape("(1e9,)"), "without letters");
        refused(&with_shape("(1.5,)"), "without letters");
        refused(&with_shape("(1_000,)"), "without letters");
        refused(&with_shape("(010,)"), "leading zeros");
        refused(&with_shape("(18446744073709551616,)"), "too large");
        refused(&with_shape(&format!("({},)", "9".repeat(10_000))), "too large");
        refused(&with_shape(&format!("({})", "1, ".repeat(65))), "more than 64 dimensions");
        refused(&with_shape(&"(".repeat(10_000)), "found `(`");
        refused(&format!("{{'descr': {}", "[('x', ".repeat(4_000)), "nested too deep");
        refused("{'descr': '<f8\n', 'fortran_order': False, 'shape': ()}", "no end");
        refused("{'descr': '\\x3", "invalid escape");
        refused("{'descr': '\\uD800', 'fortran_order': False, 'shape': ()}", "invalid escape");
        let fault = scan_header(b"{'descr': '\xff'}", true).unwrap_err();
        assert_eq!(fault, Fault { at: 11, reason: "the header is not valid UTF-8".into() });
    }

    #[test]
    fn zeros_may_repeat() {
        assert_eq!(scan("{'descr': '<f8', 'fortran_order': False, 'shape': (00, 0)}").unwrap().2, [0, 0]);
    }

    #[test]
    fn headers_are_aligned_and_have_room_to_grow() {
        for (shape, order, align) in
            [(&[][..], Order::C, 8), (&[5], Order::C, 8), (&[123_456, 7], Order::F, 8), (&[0, 3], Order::C, 256)]
        {
            let header = header(&Dtype::of::<f64>(), shape, order, align).unwrap();
            assert_eq!(header.len() % align.max(64), 0);
            assert_eq!(header.last(), Some(&b'\n'));
            let (dtype, read_order, read_shape) = scan_header(&header[10..], false).unwrap();
            assert_eq!((dtype, read_order, &read_shape[..]), (Dtype::of::<f64>(), order, shape));
        }
        let growing = header(&Dtype::of::<f64>(), &[5], Order::C, 8).unwrap();
        let room = growing.iter().rev().skip(1).take_while(|byte| **byte == b' ').count();
        assert!(room >= 20, "{room}");
    }

    /// As NumPy's: 21 digits for the axis that grows, a line feed, and then at least one byte up to the next multiple of 64.
    #[test]
    fn headers_are_as_long_as_numpys() {
        for name_len in 1..70 {
            let dtype = Dtype::record([("x".repeat(name_len).as_str(), Dtype::of::<f64>())]);
            for (order, growing) in [(Order::C, 5_usize), (Order::F, 1_000_000)] {
                let header = header(&dtype, &[5, 1_000_000], order, 8).unwrap();
                let written = header.trim_ascii_end().len() + 21 - growing.to_string().len() + 1;
                let end = (0..).step_by(64).find(|&end| end > written).unwrap();
                assert_eq!(header.len(), end, "{name_len} {order:?}");
            }
        }
    }

    #[test]
    fn what_could_not_be_read_is_not_written() {
        let refused = |dtype: Dtype, shape: &[usize]| {
            matches!(header(&dtype, shape, Order::C, 8), Err(ErrorKind::Unsupported { .. }))
        };
        let f64 = Dtype::of::<f64>;
        assert!(refused(Dtype::record([("a", f64()), ("a", f64())]), &[2]));
        assert!(refused((0..20).fold(f64(), |inner, _| Dtype::record([("a", inner)])), &[2]));
        assert!(refused(f64(), &[1; 65]));
        assert!(refused(Dtype::record([("a".repeat(10_000).as_str(), f64())]), &[2]));
        assert!(!refused(Dtype::record([("a".repeat(9_000).as_str(), f64())]), &[1; 64]));
    }

    #[test]
    fn names_beyond_ascii_take_version_3() {
        let dtype = Dtype::record([("温度", Dtype::of::<f64>())]);
        let header = header(&dtype, &[2], Order::C, 8).unwrap();
        assert_eq!(header[6..8], [3, 0]);
        assert_eq!(read(&header, 0).unwrap().data_offset(), header.len() as u64);
        assert_eq!(scan_header(&header[12..], true).unwrap().0, dtype);
    }
}
