//! The length of the first axis in a header: the room that it has to grow, and its change in place.
#![forbid(unsafe_code)]

use std::fs::File;
use std::path::Path;

use super::dtype::Dtype;
use super::header::NpyHeader;
use super::text::{HeaderText, header, header_with_gap, parse_header};
use crate::error::{Error, ErrorKind, Result};
use crate::order::Order;
use crate::storage::os;

/// The unit that a disk writes as a whole, even if the power fails. File systems align their blocks
/// to it.
const SECTOR_BYTES: u64 = 512;

/// The length of the first axis as it is written in the header of a file.
///
/// A change of the length is one write of bytes in one sector, so that the file has the old or the
/// new length whenever the process is killed or the power fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) struct AxisField {
    len: usize,
    /// The position of the number in the file.
    start: u64,
    /// The number as it is written, which may end with the `L` of Python 2.
    number: Vec<u8>,
    /// The text from the number to the end of the dictionary, which moves if the number becomes
    /// longer.
    tail: Vec<u8>,
    /// The number of bytes from `start` on that can be changed by one write.
    room: usize,
}

impl AxisField {
    /// Reads the field of a header that starts at byte `offset` of an open file. The array must
    /// have an axis.
    pub(in crate::storage) fn read_from(
        file: &File,
        path: &Path,
        offset: u64,
        header: &NpyHeader,
    ) -> Result<Self> {
        let len = (header.data_offset() - offset) as usize; // at most 12 + MAX_TEXT
        let mut bytes = vec![0; len];
        os::read_at(file, offset, &mut bytes)
            .map_err(|error| Error::io("read the .npy header", Some(path), error))?;
        Self::of_header(&bytes, offset).ok_or_else(|| {
            let reason = "the header changed while it was read".to_owned();
            ErrorKind::InvalidHeader { position: offset, reason }.at(path)
        })
    }

    /// Returns the field of a valid header with at least one axis.
    pub(in crate::storage) fn of_header(bytes: &[u8], offset: u64) -> Option<Self> {
        let version = *bytes.get(6)?;
        let preamble = if version == 1 { 10 } else { 12 };
        let text = bytes.get(preamble..)?;
        let HeaderText { shape, shape_start, end, .. } = parse_header(text, version >= 3).ok()?;
        let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'L';
        let first = shape_start + text[shape_start..].iter().position(is_number)?;
        let width = text[first..].iter().take_while(|byte| is_number(byte)).count();
        let start = offset + (preamble + first) as u64;
        // The line feed at the end of the header stays.
        let text_end = text.len() - usize::from(text.last() == Some(&b'\n'));
        let sector_end = (start / SECTOR_BYTES + 1) * SECTOR_BYTES;
        let room = (text_end - first).min((sector_end - start) as usize);
        let number = text[first..first + width].to_vec();
        let tail = text[first + width..end].to_vec();
        Some(Self { len: *shape.first()?, start, number, tail, room })
    }

    /// Returns the length that the header states.
    pub(in crate::storage) fn len(&self) -> usize {
        self.len
    }

    /// Returns the largest length to which the axis can grow.
    pub(in crate::storage) fn max_len(&self) -> usize {
        let largest_of = |digits: usize| {
            10_usize.checked_pow(digits as u32).map_or(usize::MAX, |power| power - 1)
        };
        let fitting = (digits_of(self.len)..=MAX_DIGITS).take_while(|&digits| self.fits(digits));
        fitting.last().map_or(self.len, largest_of)
    }

    /// Returns whether a number of this many digits can replace the current one.
    fn fits(&self, digits: usize) -> bool {
        self.changed_bytes(digits) <= self.room
    }

    /// Returns the number of bytes that change with a number of this many digits.
    fn changed_bytes(&self, digits: usize) -> usize {
        let width = self.number.len();
        if digits == width { digits } else { digits.max(width) + self.tail.len() }
    }

    /// Writes a larger length, which must not exceed [`Self::max_len`]. After a failure, the header
    /// has the old or the new length. A number that another program wrote is not overwritten.
    pub(in crate::storage) fn write(
        &mut self,
        len: usize,
        file: &File,
        path: Option<&Path>,
    ) -> Result<()> {
        let mut found = vec![0; self.number.len()];
        os::read_at(file, self.start, &mut found)
            .map_err(|error| Error::io("read the .npy header", path, error).at_byte(self.start))?;
        if found != self.number {
            return Err(ErrorKind::FileModified {}.at(path));
        }
        let (start, bytes) = self.change(len);
        os::write_at(file, start, &bytes)
            .map_err(|error| Error::io("write the .npy header", path, error).at_byte(start))?;
        self.number = len.to_string().into_bytes();
        self.len = len;
        Ok(())
    }

    /// Returns the bytes to write for another length, and their position.
    fn change(&self, len: usize) -> (u64, Vec<u8>) {
        let digits = digits_of(len);
        let mut bytes = len.to_string().into_bytes();
        if digits != self.number.len() {
            bytes.extend_from_slice(&self.tail);
            bytes.resize(self.changed_bytes(digits), b' ');
        }
        (self.start, bytes)
    }
}

/// The number of digits of the largest integer.
const MAX_DIGITS: usize = usize::MAX.ilog10() as usize + 1;

fn digits_of(len: usize) -> usize {
    len.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Returns the header of a new file in C order whose first axis can grow to any length: NumPy's,
/// with more spaces before the shape if the length would otherwise cross the end of a sector.
pub(in crate::storage) fn growing_header(
    dtype: &Dtype,
    shape: &[usize],
    align: usize,
) -> std::result::Result<Vec<u8>, ErrorKind> {
    let bytes = header(dtype, shape, Order::C, align)?;
    match AxisField::of_header(&bytes, 0) {
        Some(field) if field.max_len() < usize::MAX => {
            let gap = SECTOR_BYTES - field.start % SECTOR_BYTES;
            header_with_gap(dtype, shape, Order::C, align, gap as usize)
        }
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::npy::text::MAGIC;

    /// Returns the header with this text and no more room than it has.
    fn header_of(version: u8, text: &str) -> Vec<u8> {
        let len = (text.len() as u32).to_le_bytes();
        let len = if version == 1 { &len[..2] } else { &len[..] };
        [MAGIC, &[version, 0][..], len, text.as_bytes()].concat()
    }

    /// Applies changes to a header and returns its first axis lengths, which must be as requested.
    #[track_caller]
    fn grow(bytes: &[u8], lens: &[usize]) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        let before = NpyHeader::read_from(&file, Path::new("x"), 0).unwrap();
        let mut field = AxisField::read_from(&file, Path::new("x"), 0, &before).unwrap();
        assert_eq!(field.len(), before.shape()[0]);
        for &len in lens {
            assert!(len <= field.max_len(), "{len} of {}", field.max_len());
            field.write(len, &file, None).unwrap();
            let header = NpyHeader::read_from(&file, Path::new("x"), 0).unwrap();
            assert_eq!((header.shape()[0], &header.shape()[1..]), (len, &before.shape()[1..]));
            assert_eq!(header.data_offset(), before.data_offset());
            assert_eq!((header.dtype(), header.order()), (before.dtype(), before.order()));
            // The field after the change equals the one that the changed header gives.
            assert_eq!(field, AxisField::read_from(&file, Path::new("x"), 0, &header).unwrap());
        }
        let mut grown = vec![0; bytes.len()];
        assert_eq!(os::read_at(&file, 0, &mut grown).unwrap(), bytes.len());
        grown
    }

    fn max_len(bytes: &[u8]) -> usize {
        AxisField::of_header(bytes, 0).unwrap().max_len()
    }

    #[test]
    fn grown_headers_are_those_of_numpy() {
        for rest in [&[][..], &[3], &[0, 7], &[1; 63]] {
            let of = |len| {
                let shape: Vec<_> = [len].iter().chain(rest).copied().collect();
                growing_header(&Dtype::of::<f64>(), &shape, 8).unwrap()
            };
            let lens = [1, 9, 10, 12, 99, 100, 12_345, usize::MAX];
            for end in 0..=lens.len() {
                let last = end.checked_sub(1).map_or(0, |last| lens[last]);
                assert_eq!(grow(&of(0), &lens[..end]), of(last), "{rest:?}");
            }
        }
    }

    #[test]
    fn room_of_all_versions() {
        let text = |room: &str| {
            format!("{{'descr': '<f8', 'fortran_order': False, 'shape': (95, 3), }}{room}\n")
        };
        for version in 1..=3 {
            let of = |room: &str| header_of(version, &text(room));
            assert_eq!(max_len(&of("")), 99);
            assert_eq!(max_len(&of(" ")), 999);
            assert_eq!(max_len(&of("  ")), 9_999);
            assert_eq!(max_len(&of(&" ".repeat(40))), usize::MAX);
            assert!(grow(&of(" "), &[99, 100, 999]).ends_with(b"(999, 3), }\n"));
        }
        // Without a line feed, and with other keys after the shape.
        let bare = "{'shape': (95,), 'fortran_order': False, 'descr': '<f8'}";
        assert_eq!(max_len(&header_of(1, bare)), 99);
        let grown = grow(&header_of(1, &format!("{bare}  ")), &[100, 9_999]);
        assert!(grown.ends_with(b"{'shape': (9999,), 'fortran_order': False, 'descr': '<f8'}"));
    }

    #[test]
    fn numbers_of_python_2() {
        let text = "{'descr': '<f8', 'fortran_order': False, 'shape': ( 9L , 3L), }\n";
        let bytes = header_of(1, text);
        assert_eq!(max_len(&bytes), 99);
        assert!(grow(&bytes, &[10]).ends_with(b"( 10 , 3L), }\n"));
        assert!(grow(&bytes, &[9]).ends_with(b"( 9 , 3L), } \n"));
        assert!(grow(&bytes, &[9, 10]).ends_with(b"( 10 , 3L), }\n"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

        /// Every change is within one sector, wherever the field and the header start.
        #[test]
        fn changes_are_within_a_sector(
            name_len in 1_usize..1_200,
            offset in 0_u64..1_500,
            room in 0_usize..30,
            mut lens in prop::collection::vec((0..usize::BITS).prop_map(|bit| usize::MAX >> bit), 1..6),
            suffix in prop_oneof![Just(""), Just("L")],
        ) {
            lens.sort_unstable();
            let name = "x".repeat(name_len);
            let text = format!(
                "{{'descr': [('{name}', '<f8')], 'fortran_order': False, 'shape': ({}{suffix}, 3), }}{}\n",
                lens[0],
                " ".repeat(room),
            );
            let mut field = AxisField::of_header(&header_of(3, &text), offset).unwrap();
            for len in lens {
                if len == field.len() || len > field.max_len() {
                    continue;
                }
                let (start, bytes) = field.change(len);
                let last = start + bytes.len() as u64 - 1;
                prop_assert_eq!(start / SECTOR_BYTES, last / SECTOR_BYTES);
                (field.number, field.len) = (len.to_string().into_bytes(), len);
            }
        }

        /// A new file has room for any length, whatever its dtype and its other axes.
        #[test]
        fn new_headers_have_room(
            name_len in 1_usize..2_000,
            rest in prop::collection::vec(0_usize..3, 0..63),
            first in prop_oneof![Just(0), any::<usize>()],
        ) {
            let dtype = Dtype::record([("é".repeat(name_len).as_str(), Dtype::of::<f64>())]);
            let shape: Vec<_> = [first].into_iter().chain(rest).collect();
            let bytes = growing_header(&dtype, &shape, 8).unwrap();
            prop_assert_eq!(max_len(&bytes), usize::MAX);
            prop_assert_eq!(bytes.len() % 64, 0);
            grow(&bytes, &[usize::MAX]);
        }
    }
}
