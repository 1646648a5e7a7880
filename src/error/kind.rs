//! The kinds of errors.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::Error;
use crate::order::Order;

/// The kinds of [`Error`]. More may be added.
///
/// ```
/// use ndarray_mmap::{ErrorKind, MmapArrayMut};
///
/// let error = MmapArrayMut::<f64, _>::scratch((usize::MAX, 2)).unwrap_err();
/// let advice = match error.kind() {
///     ErrorKind::TooLarge { shape, .. } => format!("{} rows are too many", shape[0]),
///     ErrorKind::StorageFull { needed, available, .. } => format!("{} bytes are missing", needed.saturating_sub(*available)),
///     _ => error.to_string(),
/// };
/// assert_eq!(advice, format!("{} rows are too many", usize::MAX));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A system call failed; [`Error::io_error`] has the operating system's error.
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
        /// Where the array begins, in bytes from the start of the file (or the address, for a byte
        /// slice).
        offset: u64,
        /// The alignment of the element type, in bytes.
        align: usize,
        /// The element type.
        element: &'static str,
    },
    /// The `.npy` header cannot be read.
    #[non_exhaustive]
    InvalidHeader {
        /// Where in the file, in bytes.
        position: u64,
        /// Why.
        reason: String,
    },
    /// A file that is to be opened as a raw one begins as an `.npy` file: its header would be read
    /// as elements.
    #[non_exhaustive]
    NpyHeaderInRawFile {
        /// The offset of the data, in bytes; `None` if the header cannot be read, or the data are
        /// Python objects.
        data_offset: Option<u64>,
        /// The order of the elements.
        order: Order,
        /// The method that opens the file in the mode asked for, as in "open_npy"; `None` if the
        /// data are Python objects, which none does.
        method: Option<&'static str>,
    },
    /// The spelling of an element type cannot be read.
    #[non_exhaustive]
    InvalidDtype {
        /// Where in the text, in bytes.
        position: u64,
        /// Why.
        reason: String,
    },
    /// The `.npy` file holds another element type.
    #[non_exhaustive]
    DtypeMismatch {
        /// The element type asked for, and how NumPy writes it.
        expected: String,
        /// What the file declares.
        found: String,
    },
    /// The `.npy` file holds the right element type in the other byte order.
    #[non_exhaustive]
    ByteOrderMismatch {
        /// What the file declares.
        found: String,
    },
    /// The `.npy` file holds another number of dimensions.
    #[non_exhaustive]
    DimensionMismatch {
        /// The number of dimensions asked for.
        expected: usize,
        /// The shape in the file.
        shape: Vec<usize>,
    },
    /// A conflicting lock is held on the file: by another process, or through another handle of
    /// this one.
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
    /// The file system has too little room for the new file, or for the parts of a sparse file that
    /// are to be used.
    #[non_exhaustive]
    StorageFull {
        /// Bytes to be found on the disk; for a walk those of a chunk, some of which may have their
        /// place.
        needed: u64,
        /// Bytes the file system says are free for this user. They may be enough but for what it
        /// needs for its own lists.
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
    FileTruncated {
        /// Bytes the file must have for the array.
        expected: u64,
        /// Bytes it has now.
        found: u64,
    },
    /// The path no longer names the mapped file: it was removed, or replaced by another one.
    #[non_exhaustive]
    FileReplaced {},
    /// An earlier flush of this array failed, or one of the directory of its new file, so what is
    /// on disk is unknown.
    #[non_exhaustive]
    PreviousFlushFailed {},
    /// Two arrays that must have the same shape, or the same number of elements, do not.
    #[non_exhaustive]
    ShapeMismatch {
        /// The shape asked for; of two arrays, that which goes with the first: with the one that
        /// the method was called on.
        expected: Vec<usize>,
        /// The shape found; of two arrays, that of the second.
        found: Vec<usize>,
        /// Of two arrays the paths of their files, that of the first array first; `None` for an
        /// array in memory, a scratch array, and one without elements. An array that was to be
        /// reshaped is alone, and only [`Error::path`] names it.
        paths: Option<[Option<PathBuf>; 2]>,
    },
    /// The elements do not lie one after the other in the order in which they were to be counted.
    #[non_exhaustive]
    OrderMismatch {
        /// The order wanted.
        expected: Order,
        /// The shape of the array.
        shape: Vec<usize>,
    },
    /// A walk cannot stay within the [memory](crate::Chunked::memory_limit) it was given.
    #[non_exhaustive]
    MemoryLimitExceeded {
        /// Bytes it would need, at least, to be cut as it is.
        needed: usize,
        /// Bytes it was given.
        limit: usize,
    },
    /// A result, or what it is made of, would not fit the computer's memory.
    #[non_exhaustive]
    InsufficientMemory {
        /// Bytes it would take.
        needed: usize,
        /// The most it may take here.
        available: usize,
    },
    /// There is nothing to compute a statistic of.
    #[non_exhaustive]
    EmptyInput {},
    /// The quantile asked for is not a number from 0 to 1.
    #[non_exhaustive]
    InvalidQuantile {
        /// The one asked for, as text.
        found: String,
    },
    /// These bins cannot make a histogram.
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
    ForeignView {},
    /// The call does not make sense with these options.
    #[non_exhaustive]
    Unsupported {
        /// Why, and what to do.
        reason: &'static str,
    },
}

impl ErrorKind {
    pub(crate) fn at<'p>(self, path: impl Into<Option<&'p Path>>) -> Error {
        Error::new(self, path.into())
    }
}
