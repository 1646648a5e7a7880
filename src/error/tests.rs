//! Messages of errors, and their conversion to `std::io::Error`.
#![forbid(unsafe_code)]

use super::*;
use crate::order::Order;

#[test]
fn position_is_part_of_the_message() {
    let error = Error::io("read", Some(Path::new("x")), io::ErrorKind::TimedOut.into());
    assert_eq!(error.at_byte(7).to_string(), "x: cannot read at byte 7: timed out");
}

/// Every kind has a one-line message with the path first and its values, and maps to the right
/// `std::io::ErrorKind`.
#[test]
fn every_kind_reports_its_values() {
    use io::ErrorKind as Io;
    let element = "f64";
    let text = |text: &str| text.to_owned();
    let too_short = |from_header| ErrorKind::TooShort {
        shape: vec![3, 4],
        order: Order::F,
        element,
        offset: 5,
        needed: 96,
        found: 7,
        from_header,
    };
    for (kind, parts, io_kind) in [
        (
            ErrorKind::NotRegularFile { found: "a directory" },
            &["a directory"][..],
            Io::InvalidInput,
        ),
        (
            too_short(false),
            &["[3, 4] of f64 in F order", "96", "offset 5", "7", "check shape"],
            Io::UnexpectedEof,
        ),
        (
            too_short(true),
            &["[3, 4] of f64 in F order", "96", "offset 5", "7", "save it again"],
            Io::UnexpectedEof,
        ),
        (ErrorKind::TrailingBytes { expected: 96, found: 97 }, &["96", "97"], Io::InvalidData),
        (
            ErrorKind::PartialRow { row_bytes: 24, offset: 5, found: 77 },
            &["24", "5", "77"],
            Io::InvalidData,
        ),
        (
            ErrorKind::PartialRow { row_bytes: 24, offset: 99, found: 77 },
            &["99", "past the end", "77"],
            Io::InvalidData,
        ),
        (
            ErrorKind::TooLarge { shape: vec![9, 8], element, offset: 5 },
            &["[9, 8]", "f64", "5"],
            Io::InvalidInput,
        ),
        (
            ErrorKind::Misaligned { offset: 13, align: 8, element },
            &["13", "8", "f64"],
            Io::InvalidData,
        ),
        (
            ErrorKind::InvalidHeader { position: 17, reason: text("because") },
            &["17", "because"],
            Io::InvalidData,
        ),
        (
            ErrorKind::HeaderFull { rows: 1_000, max: 999 },
            &["1000 rows", "only for 999", "`NpyHeader::reserve_room`"],
            Io::FileTooLarge,
        ),
        (
            ErrorKind::InvalidArchive { reason: text("because") },
            &["invalid zip archive: because"],
            Io::InvalidData,
        ),
        (
            ErrorKind::NoSuchMember { name: text("z\n"), members: vec![text("x"), text("y")] },
            &[r#"no array named "z\n"; the archive contains "x", "y""#],
            Io::NotFound,
        ),
        (
            ErrorKind::NoSuchMember { name: "z".repeat(61), members: vec![text("x"); 12] },
            &["z\"...;", r#""x" and 2 more"#],
            Io::NotFound,
        ),
        (
            ErrorKind::NoSuchMember { name: text("z"), members: Vec::new() },
            &["contains no arrays"],
            Io::NotFound,
        ),
        (
            ErrorKind::NpyHeaderInRawFile {
                data_offset: Some(128),
                order: Order::C,
                method: Some("MmapArray::open_npy"),
            },
            &[
                "`MmapArray::open_npy`",
                "`MmapArrayOptions::offset(128)`, or",
                "`MmapArrayOptions::npy_as_raw(true)`",
            ],
            Io::InvalidData,
        ),
        (
            ErrorKind::NpyHeaderInRawFile {
                data_offset: Some(128),
                order: Order::F,
                method: Some("MmapArrayMut::open_npy"),
            },
            &[
                "`MmapArrayMut::open_npy`",
                "`MmapArrayOptions::offset(128)` and the full shape in Fortran order",
            ],
            Io::InvalidData,
        ),
        (
            ErrorKind::NpyHeaderInRawFile { data_offset: None, order: Order::C, method: None },
            &["of Python objects, which cannot be mapped", "`MmapArrayOptions::npy_as_raw(true)`"],
            Io::InvalidData,
        ),
        (
            ErrorKind::NpyHeaderInRawFile {
                data_offset: None,
                order: Order::C,
                method: Some("MmapArray::open_npy"),
            },
            &[
                "`MmapArray::open_npy`, or include the header with `MmapArrayOptions::npy_as_raw(true)`",
            ],
            Io::InvalidData,
        ),
        (
            ErrorKind::InvalidDtype { position: 17, reason: text("because") },
            &["17", "because"],
            Io::InvalidInput,
        ),
        (
            ErrorKind::DtypeMismatch { expected: text("<f8"), found: text("<f4, so") },
            &["<f8", "<f4, so"],
            Io::InvalidData,
        ),
        (ErrorKind::ByteOrderMismatch { found: text(">f8") }, &[">f8"], Io::InvalidData),
        (
            ErrorKind::DimensionMismatch { expected: 2, shape: vec![3, 4, 5] },
            &["2", "[3, 4, 5]"],
            Io::InvalidData,
        ),
        (
            ErrorKind::Locked { exclusive: true },
            &["another process", "is locked by"],
            Io::WouldBlock,
        ),
        (
            ErrorKind::Locked { exclusive: false },
            &["another process", "locked for writing"],
            Io::WouldBlock,
        ),
        (ErrorKind::AlreadyMapped { writable: true }, &["this process"], Io::ResourceBusy),
        (
            ErrorKind::AlreadyMapped { writable: false },
            &["for writing", "this process"],
            Io::ResourceBusy,
        ),
        (
            ErrorKind::StorageFull { needed: 96, available: 7 },
            &["96", "7", "free some space"],
            Io::StorageFull,
        ),
        (
            ErrorKind::FileSizeLimit { needed: 96, limit: 7 },
            &["96", "7", "ulimit -f"],
            Io::FileTooLarge,
        ),
        (ErrorKind::FileTruncated { expected: 96, found: 7 }, &["96", "7"], Io::UnexpectedEof),
        (ErrorKind::FileReplaced {}, &["removed or replaced", "to_mmap"], Io::Other),
        (ErrorKind::FileModified {}, &["modified or replaced", "again"], Io::Other),
        (ErrorKind::PreviousFlushFailed {}, &["a previous flush", "to_mmap"], Io::Other),
        (
            ErrorKind::ConcatenationMismatch {
                axis: Some(0),
                first: vec![29, 24],
                first_path: Some("jan.npy".into()),
                index: 2,
                found: vec![30, 23],
            },
            &["the array at index 2, of shape [30, 23]", "jan.npy of shape [29, 24]", "but axis 0"],
            Io::InvalidInput,
        ),
        (
            ErrorKind::ShapeMismatch { expected: vec![3, 4], found: vec![4, 3], paths: None },
            &["expected shape [3, 4], found [4, 3]"],
            Io::InvalidInput,
        ),
        (
            ErrorKind::ShapeMismatch {
                expected: vec![3],
                found: vec![4],
                paths: Some([None, Some("c\n.npy".into())]),
            },
            &["expected shape [3] to match an array without a file, \
               found [4] of c\\n.npy (3 elements, not 4)"],
            Io::InvalidInput,
        ),
        (
            ErrorKind::OrderMismatch { expected: Order::C, shape: vec![3, 4] },
            &["C order", "[3, 4]", "Order::F"],
            Io::InvalidInput,
        ),
        (
            ErrorKind::OrderMismatch { expected: Order::F, shape: vec![3, 4] },
            &["F order", "the shape without an order"],
            Io::InvalidInput,
        ),
        (
            ErrorKind::MemoryLimitExceeded { needed: 96, limit: 7 },
            &["96", "7", "`memory_limit`"],
            Io::OutOfMemory,
        ),
        (
            ErrorKind::InsufficientMemory { needed: 96, available: 7, remedy: "use fewer bins" },
            &["96", "7", "; use fewer bins"],
            Io::OutOfMemory,
        ),
        (ErrorKind::EmptyInput {}, &["no elements", "`count_where`"], Io::InvalidInput),
        (
            ErrorKind::InvalidQuantile { found: text("1.5") },
            &["between 0 and 1, found 1.5"],
            Io::InvalidInput,
        ),
        (ErrorKind::InvalidBins { reason: text("because") }, &["because"], Io::InvalidInput),
        (ErrorKind::UndefinedOrder {}, &["NaN", "`skipnan`"], Io::InvalidData),
        (ErrorKind::ForeignView {}, &["view"], Io::InvalidInput),
        (
            ErrorKind::RankFailed { rank: 3, message: text("because") },
            &["rank 3", "because"],
            Io::Other,
        ),
        (
            ErrorKind::RanksDisagree { rank: 3, expected: text("`sum`"), found: text("`mean`") },
            &["rank 3", "`sum`", "`mean`", "same order"],
            Io::InvalidInput,
        ),
        (
            ErrorKind::InvalidIndex { line: 7, reason: text("because") },
            &["line 7", "because", "`NpyIndex::write`"],
            Io::InvalidData,
        ),
        (
            ErrorKind::InvalidState { reason: text("because") },
            &["saved state", "because", "remove it"],
            Io::InvalidInput,
        ),
        (
            ErrorKind::PartsMissing { pass: 1, missing: (2..14).collect(), count: 20 },
            &["pass 1: 12 of 20", "missing: 2 3 4 5 6 7 8 9 ...; run"],
            Io::Other,
        ),
        (ErrorKind::Unsupported { reason: text("because") }, &["because"], Io::Unsupported),
    ] {
        let error = kind.clone().at(Path::new("a\nb.npy"));
        let message = error.to_string();
        assert!(message.starts_with("a\\nb.npy: ") && !message.contains('\n'), "{message}");
        let missing: Vec<_> = parts.iter().filter(|part| !message.contains(**part)).collect();
        assert!(missing.is_empty(), "{missing:?} in {message}");
        assert_eq!((error.kind(), error.path()), (&kind, Some(Path::new("a\nb.npy"))));
        assert!(format!("{error:?}").contains(&message));
        assert_eq!(kind.at(None).to_string(), message["a\\nb.npy: ".len()..]);
        let error = io::Error::from(error);
        assert_eq!((error.kind(), error.to_string()), (io_kind, message));
    }
}

#[test]
fn os_error_ends_the_message() {
    let error =
        Error::io("flush", Some(Path::new("x")), io::Error::from(io::ErrorKind::PermissionDenied));
    assert_eq!(error.to_string(), "x: cannot flush: permission denied");
    assert_eq!(error.io_error().map(io::Error::kind), Some(io::ErrorKind::PermissionDenied));
    assert!(std::error::Error::source(&error).is_none());
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::PermissionDenied);
}
