//! The error type of the crate.
#![forbid(unsafe_code)]

mod kind;
mod message;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use self::kind::ErrorKind;
pub(crate) use self::message::DisplayName;
use self::message::EscapedPath;

/// An error of this crate: the path, the values expected and found, and what to do about it.
///
/// Every fallible function of this crate returns it. The message is one line, ready to be shown to
/// a user; programs match on [`kind`](Self::kind). It converts into [`std::io::Error`], so `?`
/// works in functions that return `std::io::Result`.
///
/// ```
/// use ndarray_mmap::{ErrorKind, MmapArray, prelude::*};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("scan.raw");
/// std::fs::write(&path, [0u8; 1024])?;
/// // SAFETY: this program alone uses the file.
/// let error = unsafe { MmapArray::<f32, _>::open(&path, (300, 512)) }.unwrap_err();
/// assert!(matches!(error.kind(), ErrorKind::TooShort { needed: 614400, found: 1024, .. }));
/// assert!(error.to_string().ends_with(
///     "scan.raw: too short: shape [300, 512] of f32 in C order at offset 0 needs 614400 bytes \
///      and ends at byte 614400, but there are 1024 bytes; check shape, element type and offset, \
///      or whether all data has been written"
/// ));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    path: Option<PathBuf>,
    member: Option<String>,
    kind: ErrorKind,
    source: Option<io::Error>,
    /// The position in the file, in bytes.
    byte: Option<u64>,
}

/// The result type of this crate.
///
/// ```
/// fn mean(path: &str) -> ndarray_mmap::Result<Option<f64>> {
///     // SAFETY: this program alone uses the file.
///     let values = unsafe { ndarray_mmap::MmapArray1::<f64>::open_npy(path) }?;
///     Ok(values.mean())
/// }
/// assert!(mean("no/such/file.npy").is_err());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns the kind of error, with its values.
    ///
    /// ```
    /// use ndarray_mmap::{ErrorKind, MmapArrayMut};
    ///
    /// let line = MmapArrayMut::<u8, _>::scratch(10)?;
    /// let failure = line.into_shape_with_order((3, 4)).unwrap_err();
    /// let kind = failure.error.kind();
    /// assert!(matches!(kind, ErrorKind::ShapeMismatch { expected, .. } if expected == &[3, 4]));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Returns the path of the file as the caller passed it, or the directory in which a scratch
    /// array could not be created. Returns `None` for byte slices, existing scratch arrays, and
    /// arrays in memory.
    ///
    /// ```
    /// use ndarray_mmap::NpyHeader;
    ///
    /// let error = NpyHeader::read("no/such/file.npy").unwrap_err();
    /// assert_eq!(error.path(), Some("no/such/file.npy".as_ref()));
    /// ```
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// Returns the name of the array in an `.npz` archive that the error concerns, or `None` if it
    /// concerns no array of an archive.
    ///
    /// ```
    /// # #[cfg(feature = "npz")] {
    /// use ndarray_mmap::NpzArchive;
    ///
    /// let error = NpzArchive::open("no/such/file.npz").unwrap_err();
    /// assert_eq!(error.member(), None);
    /// # }
    /// ```
    pub fn member(&self) -> Option<&str> {
        self.0.member.as_deref()
    }

    /// Returns the operating system's error behind [`ErrorKind::Io`], or `None` for all other
    /// kinds. The message already ends with it, so it is not the
    /// [`source`](std::error::Error::source) as well: code that prints all sources would print it
    /// twice.
    ///
    /// ```
    /// use ndarray_mmap::NpyHeader;
    ///
    /// let error = NpyHeader::read("no/such/file.npy").unwrap_err();
    /// assert!(error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound));
    /// ```
    pub fn io_error(&self) -> Option<&io::Error> {
        self.0.source.as_ref()
    }

    /// Sets the path of an error that has none.
    pub(crate) fn or_at(mut self, path: impl FnOnce() -> Option<PathBuf>) -> Self {
        self.0.path = self.0.path.take().or_else(path);
        self
    }

    /// Sets the name of the array in an archive.
    #[cfg(feature = "npz")]
    pub(crate) fn in_member(mut self, name: &str) -> Self {
        self.0.member = Some(name.to_owned());
        self
    }

    pub(crate) fn new(kind: ErrorKind, path: Option<&Path>) -> Self {
        let path = path.map(Path::to_path_buf);
        Self(Box::new(Inner { path, member: None, kind, source: None, byte: None }))
    }

    pub(crate) fn io(action: &'static str, path: Option<&Path>, source: io::Error) -> Self {
        let path = path.map(Path::to_path_buf);
        let kind = ErrorKind::Io { action };
        Self(Box::new(Inner { path, member: None, kind, source: Some(source), byte: None }))
    }

    /// Adds the position in the file to the message, in bytes.
    pub(crate) fn at_byte(mut self, byte: u64) -> Self {
        self.0.byte = Some(byte);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.0.path {
            EscapedPath(path).fmt(f)?;
            f.write_str(": ")?;
        }
        if let Some(name) = &self.0.member {
            write!(f, "array {}: ", DisplayName(name))?;
        }
        write!(f, "{}", self.0.kind)?;
        if let Some(byte) = self.0.byte {
            write!(f, " at byte {byte}")?;
        }
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("message", &format_args!("{self}"))
            .field("kind", &self.0.kind)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().and_then(|source| source.source())
    }
}

/// Preserves the message and, if there is one, the operating system's error kind.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match (&error.0.source, &error.0.kind) {
            (Some(source), _) => source.kind(),
            (None, ErrorKind::TooShort { .. } | ErrorKind::FileTruncated { .. }) => {
                io::ErrorKind::UnexpectedEof
            }
            (None, ErrorKind::Locked { .. }) => io::ErrorKind::WouldBlock,
            (None, ErrorKind::AlreadyMapped { .. }) => io::ErrorKind::ResourceBusy,
            (None, ErrorKind::StorageFull { .. }) => io::ErrorKind::StorageFull,
            (None, ErrorKind::FileSizeLimit { .. }) => io::ErrorKind::FileTooLarge,
            (
                None,
                ErrorKind::MemoryLimitExceeded { .. } | ErrorKind::InsufficientMemory { .. },
            ) => io::ErrorKind::OutOfMemory,
            (None, ErrorKind::Unsupported { .. }) => io::ErrorKind::Unsupported,
            (
                None,
                ErrorKind::TrailingBytes { .. }
                | ErrorKind::PartialRow { .. }
                | ErrorKind::Misaligned { .. }
                | ErrorKind::InvalidHeader { .. }
                | ErrorKind::InvalidIndex { .. }
                | ErrorKind::InvalidArchive { .. }
                | ErrorKind::NpyHeaderInRawFile { .. }
                | ErrorKind::DtypeMismatch { .. }
                | ErrorKind::ByteOrderMismatch { .. }
                | ErrorKind::DimensionMismatch { .. }
                | ErrorKind::UndefinedOrder {},
            ) => io::ErrorKind::InvalidData,
            (None, ErrorKind::NoSuchMember { .. }) => io::ErrorKind::NotFound,
            (
                None,
                ErrorKind::TooLarge { .. }
                | ErrorKind::InvalidDtype { .. }
                | ErrorKind::ConcatenationMismatch { .. }
                | ErrorKind::ShapeMismatch { .. }
                | ErrorKind::OrderMismatch { .. }
                | ErrorKind::NotRegularFile { .. }
                | ErrorKind::EmptyInput {}
                | ErrorKind::InvalidQuantile { .. }
                | ErrorKind::InvalidBins { .. }
                | ErrorKind::RanksDisagree { .. }
                | ErrorKind::InvalidState { .. }
                | ErrorKind::ForeignView {},
            ) => io::ErrorKind::InvalidInput,
            (
                None,
                ErrorKind::Io { .. }
                | ErrorKind::RankFailed { .. }
                | ErrorKind::PartsMissing { .. }
                | ErrorKind::FileReplaced {}
                | ErrorKind::PreviousFlushFailed {},
            ) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
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
                &[
                    "of Python objects, which cannot be mapped",
                    "`MmapArrayOptions::npy_as_raw(true)`",
                ],
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
            (ErrorKind::PreviousFlushFailed {}, &["a previous flush", "to_mmap"], Io::Other),
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
                ErrorKind::InsufficientMemory {
                    needed: 96,
                    available: 7,
                    remedy: "use fewer bins",
                },
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
                ErrorKind::RanksDisagree {
                    rank: 3,
                    expected: text("`sum`"),
                    found: text("`mean`"),
                },
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
        let error = Error::io(
            "flush",
            Some(Path::new("x")),
            io::Error::from(io::ErrorKind::PermissionDenied),
        );
        assert_eq!(error.to_string(), "x: cannot flush: permission denied");
        assert_eq!(error.io_error().map(io::Error::kind), Some(io::ErrorKind::PermissionDenied));
        assert!(std::error::Error::source(&error).is_none());
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::PermissionDenied);
    }
}
