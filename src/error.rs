//! The one error type of the crate.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::order::Order;

/// What went wrong, with the path, what was expected, what was found, and what to do about it.
///
/// Every fallible call of this crate returns it. The message is one line, ready to be shown to a user; programs look
/// at [`kind`](Self::kind). It converts into [`std::io::Error`], so `?` works in functions that return that.
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
///     "scan.raw: shape [300, 512] of f32 in C order needs 614400 bytes from offset 0, to byte 614400, there are 1024 in all; \
///      check shape, element type and offset, or whether the write was interrupted"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    path: Option<PathBuf>,
    kind: ErrorKind,
    source: Option<io::Error>,
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

/// The kinds of [`Error`]. More may be added.
///
/// ```
/// use ndarray_mmap::{ErrorKind, MmapArrayMut};
///
/// let error = MmapArrayMut::<f64, _>::scratch((usize::MAX, 2)).unwrap_err();
/// let advice = match error.kind() {
///     ErrorKind::TooLarge { shape, .. } => format!("{} rows are too many", shape[0]),
///     ErrorKind::NoSpace { needed, available, .. } => format!("{} bytes are missing", needed - available),
///     _ => error.to_string(),
/// };
/// assert_eq!(advice, format!("{} rows are too many", usize::MAX));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A system call failed; [`Error::source`](std::error::Error::source) has the operating system's error.
    #[non_exhaustive]
    Io {
        /// What was being done, as in "open for reading".
        action: &'static str,
    },
    /// The path does not name a regular file.
    #[non_exhaustive]
    NotRegularFile {
        /// What it names instead, as in "a directory".
        found: &'static str,
    },
    /// The file or byte slice ends before the array does.
    #[non_exhaustive]
    TooShort {
        /// The shape asked for.
        shape: Vec<usize>,
        /// The memory order asked for.
        order: Order,
        /// The element type.
        element: &'static str,
        /// Where the array begins, in bytes.
        offset: u64,
        /// Bytes the array takes from there.
        needed: u64,
        /// Bytes the file has in all.
        found: u64,
    },
    /// The file goes on after the array has ended.
    #[non_exhaustive]
    TrailingBytes {
        /// Where the array ends, in bytes from the start of the file.
        expected: u64,
        /// Bytes the file has in all.
        found: u64,
    },
    /// The file does not hold a whole number of rows.
    #[non_exhaustive]
    PartialRow {
        /// Bytes of one row.
        row_bytes: u64,
        /// Where the rows begin, in bytes.
        offset: u64,
        /// Bytes the file has in all.
        found: u64,
    },
    /// Shape, element size and offset together exceed what can be addressed.
    #[non_exhaustive]
    TooLarge {
        /// The shape asked for.
        shape: Vec<usize>,
        /// The element type.
        element: &'static str,
        /// Where the array begins, in bytes.
        offset: u64,
    },
    /// The first element does not lie at a multiple of the element type's alignment.
    #[non_exhaustive]
    Misaligned {
        /// Where the array begins, in bytes from the start of the file (or the address, for a byte slice).
        offset: u64,
        /// The alignment of the element type, in bytes.
        align: usize,
        /// The element type.
        element: &'static str,
    },
    /// The `.npy` header cannot be read.
    #[non_exhaustive]
    Header {
        /// Where in the file, in bytes.
        position: u64,
        /// Why.
        reason: String,
    },
    /// The spelling of an element type cannot be read.
    #[non_exhaustive]
    DtypeSpelling {
        /// Where in the text, in bytes.
        position: u64,
        /// Why.
        reason: String,
    },
    /// The `.npy` file holds another element type.
    #[non_exhaustive]
    Dtype {
        /// The element type asked for, and how NumPy writes it.
        expected: String,
        /// What the file declares.
        found: String,
    },
    /// The `.npy` file holds the right element type in the other byte order.
    #[non_exhaustive]
    ByteOrder {
        /// What the file declares.
        found: String,
    },
    /// The `.npy` file holds another number of dimensions.
    #[non_exhaustive]
    Dimensions {
        /// The number of dimensions asked for.
        expected: usize,
        /// The shape in the file.
        shape: Vec<usize>,
    },
    /// Another process holds a conflicting lock on the file.
    #[non_exhaustive]
    Locked {
        /// Whether an exclusive lock (for writing) was wanted, or a shared one (for reading).
        exclusive: bool,
    },
    /// This process has the file mapped already, and one of the two maps is writable.
    #[non_exhaustive]
    AlreadyMapped {
        /// Whether the map that was asked for is the writable one.
        writable: bool,
    },
    /// The file system has too little room for the new file, or for the parts of a sparse file that are to be used.
    #[non_exhaustive]
    NoSpace {
        /// Bytes to be found on the disk.
        needed: u64,
        /// Bytes the file system says are free for this user.
        available: u64,
    },
    /// The new file would exceed the process's limit on file sizes (`ulimit -f`).
    #[non_exhaustive]
    FileSizeLimit {
        /// Bytes the file would have.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The file has become shorter while it was mapped: data past its end are gone.
    #[non_exhaustive]
    FileChanged {
        /// Bytes the file must have for the array.
        expected: u64,
        /// Bytes it has now.
        found: u64,
    },
    /// The path no longer names the mapped file: it was removed, or replaced by another one.
    #[non_exhaustive]
    FileReplaced {},
    /// An earlier flush of this array failed, so what the file holds is unknown.
    #[non_exhaustive]
    FlushFailedBefore {},
    /// Two arrays that must have the same shape, or the same number of elements, do not.
    #[non_exhaustive]
    ShapeMismatch {
        /// The shape wanted.
        expected: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// The elements do not lie one after the other in the order in which they were to be counted.
    #[non_exhaustive]
    OrderMismatch {
        /// The order wanted.
        expected: Order,
        /// The shape of the array.
        shape: Vec<usize>,
    },
    /// A walk cannot keep the memory it was given.
    #[non_exhaustive]
    MemoryBudget {
        /// Bytes it would need, at least, to be cut as it is.
        needed: usize,
        /// Bytes it was given.
        budget: usize,
    },
    /// There is nothing to compute a statistic of.
    #[non_exhaustive]
    EmptyInput {},
    /// A quantile is a number from 0 to 1.
    #[non_exhaustive]
    InvalidQuantile {
        /// The one asked for, as text.
        found: String,
    },
    /// Bins that are none.
    #[non_exhaustive]
    InvalidBins {
        /// What is wrong with them.
        reason: String,
    },
    /// There is a NaN among what must have an order.
    #[non_exhaustive]
    UndefinedOrder {},
    /// A view that was to name a part of this array lies outside it.
    #[non_exhaustive]
    NotInArray {},
    /// The call does not make sense with these options.
    #[non_exhaustive]
    Unsupported {
        /// Why, and what to do.
        reason: &'static str,
    },
}

impl Error {
    /// The kind of error, with its numbers.
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

    /// The file concerned, as the caller named it, or the directory in which a scratch array could not be made; `None`
    /// for byte slices, scratch arrays that are there, and arrays in memory.
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

    pub(crate) fn new(kind: ErrorKind, path: Option<&Path>) -> Self {
        Self(Box::new(Inner { path: path.map(Path::to_path_buf), kind, source: None }))
    }

    pub(crate) fn io(action: &'static str, path: Option<&Path>, source: io::Error) -> Self {
        let path = path.map(Path::to_path_buf);
        Self(Box::new(Inner { path, kind: ErrorKind::Io { action }, source: Some(source) }))
    }
}

impl ErrorKind {
    pub(crate) fn at<'p>(self, path: impl Into<Option<&'p Path>>) -> Error {
        Error::new(self, path.into())
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action } => write!(f, "cannot {action}"),
            Self::NotRegularFile { found } => write!(f, "is {found}; only regular files can be mapped"),
            Self::TooShort { shape, order, element, offset, needed, found } => write!(
                f,
                "shape {shape:?} of {element} in {order} order needs {needed} bytes from offset {offset}, to byte {}, \
                 there are {found} in all; check shape, element type and offset, or whether the write was interrupted",
                offset.saturating_add(*needed)
            ),
            Self::TrailingBytes { expected, found } => write!(
                f,
                "the array ends at byte {expected}, the file has {found}; `trailing_bytes(true)` accepts the rest"
            ),
            Self::PartialRow { row_bytes, offset, found } => match row_bytes {
                0 => write!(f, "rows of zero bytes say nothing about their number; give the whole shape to `open`"),
                _ => write!(
                    f,
                    "the file has {found} bytes, which from offset {offset} is not a whole number of rows of \
                     {row_bytes} bytes; check row shape, element type and offset, or accept the rest with \
                     `trailing_bytes(true)`"
                ),
            },
            Self::TooLarge { shape, element, offset } => write!(
                f,
                "shape {shape:?} of {element} from offset {offset} exceeds the address space; the product of the \
                 non-zero axis lengths and the element size must stay below {}",
                isize::MAX
            ),
            Self::Misaligned { offset, align, element } => write!(
                f,
                "{element} must begin at a multiple of {align} bytes, the array begins at {offset}; take an \
                 element type of bytes (`[u8; N]`) and convert, or copy the data to such a place"
            ),
            Self::Header { position, reason } => write!(f, "not a readable .npy file: {reason} (at byte {position})"),
            Self::DtypeSpelling { position, reason } => write!(f, "{reason} (at byte {position} of the element type)"),
            Self::Dtype { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::ByteOrder { found } => write!(
                f,
                "the file holds {found}, which is in the other byte order; open it with an element type of bytes \
                 (`[u8; N]`) and convert, or rewrite it with `a.astype(a.dtype.newbyteorder('='))` in NumPy"
            ),
            Self::Dimensions { expected, shape } => match shape.len() {
                ndim @ 0..=6 => {
                    write!(
                        f,
                        "expected {expected} dimensions, found {ndim} (shape {shape:?}); use `Ix{ndim}`, or `IxDyn`"
                    )
                }
                ndim => write!(f, "expected {expected} dimensions, found {ndim} (shape {shape:?}); use `IxDyn`"),
            },
            Self::Locked { exclusive } => write!(
                f,
                "another process holds a conflicting lock; {} wait for it, or choose `LockPolicy::Off`",
                if *exclusive { "to write," } else { "to read what it writes," }
            ),
            Self::AlreadyMapped { writable } => write!(
                f,
                "is mapped {}in this process already; drop that array first, or open both read-only (with \
                 `LockPolicy::Off`, readers and one writer can be open side by side)",
                if *writable { "" } else { "writable " }
            ),
            Self::NoSpace { needed, available } => write!(
                f,
                "needs {needed} bytes more on its disk, {available} are free; make room, or choose another disk"
            ),
            Self::FileSizeLimit { needed, limit } => write!(
                f,
                "the file would have {needed} bytes, this process may write {limit} (RLIMIT_FSIZE, `ulimit -f`)"
            ),
            Self::FileChanged { expected, found } => write!(
                f,
                "the file shrank while it was mapped: the array ends at byte {expected}, the file at {found}; only \
                 what lies before that can still be read, touching the rest ends the process"
            ),
            Self::FileReplaced {} => write!(
                f,
                "the path no longer names the mapped file, which was removed or replaced; the data are on disk, but \
                 not under this name: while the array is open, save them with `to_mmap` or `to_mmap_npy`"
            ),
            Self::FlushFailedBefore {} => write!(
                f,
                "an earlier flush of this array failed, what the file holds is unknown; save the array under another \
                 name, while it is open, with `to_mmap` or `to_mmap_npy`"
            ),
            Self::ShapeMismatch { expected, found } => write!(f, "expected shape {expected:?}, found {found:?}"),
            Self::OrderMismatch { expected, shape } => write!(
                f,
                "elements are to be counted in {expected} order, in which this array of shape {shape:?} does not lie; \
                 count them in the other one with {}, or make a copy with `to_shape`",
                if *expected == Order::C { "`(shape, ndarray::Order::F)`" } else { "the shape alone" }
            ),
            Self::MemoryBudget { needed, budget } => write!(
                f,
                "the walk needs {needed} bytes of memory, it was given {budget}; allow it more with `memory`, or let a chunk \
                 touch fewer pages, which count as a whole: cut along the slowest axis, into chunks of 2 MiB or less; or \
                 ask for fewer bins, or for covariances between columns with `.t()`"
            ),
            Self::EmptyInput {} => f.write_str("there are no elements (or none but NaNs)"),
            Self::InvalidQuantile { found } => write!(f, "a quantile is a number from 0 to 1, not {found}"),
            Self::InvalidBins { reason } => write!(f, "these are no bins for a histogram: {reason}"),
            Self::UndefinedOrder {} => {
                f.write_str("there is a NaN, which has no place in the order; leave NaNs out with `skipnan`")
            }
            Self::NotInArray {} => write!(f, "the view given does not lie inside this array"),
            Self::Unsupported { reason } => f.write_str(reason),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.0.path {
            OneLine(path).fmt(f)?;
            f.write_str(": ")?;
        }
        write!(f, "{}", self.0.kind)?;
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

/// A path without its control characters: they could break the line, or command the terminal.
struct OneLine<'p>(&'p Path);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.to_string_lossy().chars() {
            if char.is_control() { write!(f, "{}", char.escape_default())? } else { write!(f, "{char}")? }
        }
        Ok(())
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
        self.0.source.as_ref().map(|source| source as _)
    }
}

/// Keeps the message, and the operating system's error kind where there is one.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match (&error.0.source, &error.0.kind) {
            (Some(source), _) => source.kind(),
            (None, ErrorKind::TooShort { .. }) => io::ErrorKind::UnexpectedEof,
            (None, ErrorKind::Locked { .. }) => io::ErrorKind::WouldBlock,
            (None, ErrorKind::AlreadyMapped { .. }) => io::ErrorKind::ResourceBusy,
            (None, ErrorKind::NoSpace { .. }) => io::ErrorKind::StorageFull,
            (None, ErrorKind::FileSizeLimit { .. }) => io::ErrorKind::FileTooLarge,
            (None, ErrorKind::MemoryBudget { .. }) => io::ErrorKind::OutOfMemory,
            (None, ErrorKind::Unsupported { .. }) => io::ErrorKind::Unsupported,
            (
                None,
                ErrorKind::TrailingBytes { .. }
                | ErrorKind::PartialRow { .. }
                | ErrorKind::Misaligned { .. }
                | ErrorKind::Header { .. }
                | ErrorKind::Dtype { .. }
                | ErrorKind::ByteOrder { .. }
                | ErrorKind::Dimensions { .. },
            ) => io::ErrorKind::InvalidData,
            (
                None,
                ErrorKind::TooLarge { .. }
                | ErrorKind::DtypeSpelling { .. }
                | ErrorKind::ShapeMismatch { .. }
                | ErrorKind::OrderMismatch { .. }
                | ErrorKind::NotInArray {},
            ) => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each kind: one line with the path in front, what is in it, and what it is to programs that know `std::io` alone.
    #[test]
    fn every_kind_says_what_it_found() {
        use io::ErrorKind as Io;
        let element = "f64";
        let text = |text: &str| text.to_owned();
        for (kind, parts, io_kind) in [
            (ErrorKind::NotRegularFile { found: "a directory" }, &["a directory"][..], Io::Other),
            (
                ErrorKind::TooShort { shape: vec![3, 4], order: Order::F, element, offset: 5, needed: 96, found: 7 },
                &["[3, 4] of f64 in F order", "96", "offset 5", "7"],
                Io::UnexpectedEof,
            ),
            (ErrorKind::TrailingBytes { expected: 96, found: 97 }, &["96", "97"], Io::InvalidData),
            (ErrorKind::PartialRow { row_bytes: 24, offset: 5, found: 77 }, &["24", "5", "77"], Io::InvalidData),
            (ErrorKind::TooLarge { shape: vec![9, 8], element, offset: 5 }, &["[9, 8]", "f64", "5"], Io::InvalidInput),
            (ErrorKind::Misaligned { offset: 13, align: 8, element }, &["13", "8", "f64"], Io::InvalidData),
            (ErrorKind::Header { position: 17, reason: text("because") }, &["17", "because"], Io::InvalidData),
            (ErrorKind::DtypeSpelling { position: 17, reason: text("because") }, &["17", "because"], Io::InvalidInput),
            (ErrorKind::Dtype { expected: text("<f8"), found: text("<f4, so") }, &["<f8", "<f4, so"], Io::InvalidData),
            (ErrorKind::ByteOrder { found: text(">f8") }, &[">f8"], Io::InvalidData),
            (ErrorKind::Dimensions { expected: 2, shape: vec![3, 4, 5] }, &["2", "[3, 4, 5]"], Io::InvalidData),
            (ErrorKind::Locked { exclusive: true }, &["another process"], Io::WouldBlock),
            (ErrorKind::Locked { exclusive: false }, &["another process"], Io::WouldBlock),
            (ErrorKind::AlreadyMapped { writable: true }, &["this process"], Io::ResourceBusy),
            (ErrorKind::AlreadyMapped { writable: false }, &["writable", "this process"], Io::ResourceBusy),
            (ErrorKind::NoSpace { needed: 96, available: 7 }, &["96", "7", "make room"], Io::StorageFull),
            (ErrorKind::FileSizeLimit { needed: 96, limit: 7 }, &["96", "7", "ulimit -f"], Io::FileTooLarge),
            (ErrorKind::FileChanged { expected: 96, found: 7 }, &["96", "7"], Io::Other),
            (ErrorKind::FileReplaced {}, &["removed or replaced", "to_mmap"], Io::Other),
            (ErrorKind::FlushFailedBefore {}, &["an earlier flush", "to_mmap"], Io::Other),
            (
                ErrorKind::ShapeMismatch { expected: vec![3, 4], found: vec![4, 3] },
                &["expected shape [3, 4], found [4, 3]"],
                Io::InvalidInput,
            ),
            (
                ErrorKind::OrderMismatch { expected: Order::C, shape: vec![3, 4] },
                &["C order", "[3, 4]", "Order::F"],
                Io::InvalidInput,
            ),
            (
                ErrorKind::OrderMismatch { expected: Order::F, shape: vec![3, 4] },
                &["F order", "the shape alone"],
                Io::InvalidInput,
            ),
            (ErrorKind::MemoryBudget { needed: 96, budget: 7 }, &["96", "7", "`memory`"], Io::OutOfMemory),
            (ErrorKind::EmptyInput {}, &["no elements"], Io::Other),
            (ErrorKind::InvalidQuantile { found: text("1.5") }, &["0 to 1, not 1.5"], Io::Other),
            (ErrorKind::InvalidBins { reason: text("because") }, &["because"], Io::Other),
            (ErrorKind::UndefinedOrder {}, &["NaN", "`skipnan`"], Io::Other),
            (ErrorKind::NotInArray {}, &["view"], Io::InvalidInput),
            (ErrorKind::Unsupported { reason: "because" }, &["because"], Io::Unsupported),
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
    fn the_systems_own_error_comes_last() {
        let error = Error::io("flush", Some(Path::new("x")), io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(error.to_string(), "x: cannot flush: permission denied");
        assert!(std::error::Error::source(&error).is_some_and(|source| source.to_string() == "permission denied"));
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::PermissionDenied);
    }
}
