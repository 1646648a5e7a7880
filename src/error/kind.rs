//! Kinds of errors.
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
///     ErrorKind::StorageFull { needed, available, .. } => {
///         format!("{} bytes are missing", needed.saturating_sub(*available))
///     }
///     _ => error.to_string(),
/// };
/// assert_eq!(advice, format!("{} rows are too many", usize::MAX));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A system call failed; [`Error::io_error`] returns the operating system's error.
    #[non_exhaustive]
    Io {
        /// The action that failed, as in "open for reading".
        action: &'static str,
    },
    /// The path does not refer to a regular file.
    #[non_exhaustive]
    NotRegularFile {
        /// The type of file found, as in "a directory".
        found: &'static str,
    },
    /// The file or byte slice ends before the array.
    #[non_exhaustive]
    TooShort {
        /// The requested shape.
        shape: Vec<usize>,
        /// The requested memory order.
        order: Order,
        /// The element type.
        element: &'static str,
        /// The start of the array, in bytes.
        offset: u64,
        /// The size of the array, in bytes.
        needed: u64,
        /// The total size of the file or byte slice, in bytes.
        found: u64,
        /// True if the shape, the order and the offset come from the `.npy` header of the file, and
        /// not from the caller.
        from_header: bool,
    },
    /// The file continues past the end of the array.
    #[non_exhaustive]
    TrailingBytes {
        /// The end of the array, in bytes from the start of the file.
        expected: u64,
        /// The total size of the file, in bytes.
        found: u64,
    },
    /// The file does not contain a whole number of rows.
    #[non_exhaustive]
    PartialRow {
        /// The size of one row, in bytes.
        row_bytes: u64,
        /// The start of the rows, in bytes.
        offset: u64,
        /// The total size of the file, in bytes.
        found: u64,
    },
    /// Shape, element size and offset together exceed the address space: the product of the
    /// non-zero axis lengths and the element size must not exceed `isize::MAX`.
    #[non_exhaustive]
    TooLarge {
        /// The requested shape.
        shape: Vec<usize>,
        /// The element type.
        element: &'static str,
        /// The start of the array, in bytes.
        offset: u64,
    },
    /// The first element is not stored at a multiple of the element type's alignment.
    #[non_exhaustive]
    Misaligned {
        /// The start of the array, in bytes from the start of the file (or the address, for a byte
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
        /// The position of the fault in the file, in bytes.
        position: u64,
        /// The fault found.
        reason: String,
    },
    /// An `.npy` header has no room for the number of rows, so none can be appended.
    #[non_exhaustive]
    HeaderFull {
        /// The number of rows, with those to be appended.
        rows: usize,
        /// The largest number of rows for which the header has room.
        max: usize,
    },
    /// A zip archive, or one of its members, is damaged or inconsistent.
    #[non_exhaustive]
    InvalidArchive {
        /// The fault found.
        reason: String,
    },
    /// An `.npz` archive contains no array of this name.
    #[non_exhaustive]
    NoSuchMember {
        /// The name.
        name: String,
        /// The names of the arrays in the archive.
        members: Vec<String>,
    },
    /// A file opened as a raw file starts with an `.npy` header, which would be read as elements.
    #[non_exhaustive]
    NpyHeaderInRawFile {
        /// The offset of the data, in bytes; `None` if the header cannot be read, or the data is
        /// Python objects.
        data_offset: Option<u64>,
        /// The memory order of the elements.
        order: Order,
        /// The constructor that opens the file in the requested mode, as in "MmapArray::open_npy";
        /// `None` if the data is Python objects, which no constructor can open.
        method: Option<&'static str>,
    },
    /// The type string of an element type cannot be parsed.
    #[non_exhaustive]
    InvalidDtype {
        /// The position of the fault in the text, in bytes.
        position: u64,
        /// The fault found.
        reason: String,
    },
    /// The `.npy` file stores another element type.
    #[non_exhaustive]
    DtypeMismatch {
        /// The requested element type, and its NumPy type string.
        expected: String,
        /// The element type declared by the file.
        found: String,
    },
    /// The `.npy` file stores the right element type in the other byte order.
    #[non_exhaustive]
    ByteOrderMismatch {
        /// The element type declared by the file.
        found: String,
    },
    /// The `.npy` file stores an array with another number of dimensions.
    #[non_exhaustive]
    DimensionMismatch {
        /// The requested number of dimensions.
        expected: usize,
        /// The shape in the file.
        shape: Vec<usize>,
    },
    /// Another process, or another handle in this process, has a conflicting lock on the file.
    #[non_exhaustive]
    Locked {
        /// Whether an exclusive lock (for writing) was requested, not a shared one (for reading).
        exclusive: bool,
    },
    /// This process has already opened or mapped the file, and one of the two arrays is writable.
    #[non_exhaustive]
    AlreadyMapped {
        /// Whether the requested array is the writable one.
        writable: bool,
    },
    /// The file system has not enough space for the new file, or for the sparse parts of a file
    /// that are accessed.
    #[non_exhaustive]
    StorageFull {
        /// The disk space required, in bytes. For a chunked operation, this is the size of a chunk,
        /// part of which may already be allocated.
        needed: u64,
        /// The free space that the file system reports for this user, in bytes. It may be enough
        /// except for the file system's own metadata.
        available: u64,
    },
    /// The new file would exceed the process's file size limit (`ulimit -f`).
    #[non_exhaustive]
    FileSizeLimit {
        /// The size of the new file, in bytes.
        needed: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The file was truncated while it was open: data past its end is lost.
    #[non_exhaustive]
    FileTruncated {
        /// The file size that the array requires, in bytes.
        expected: u64,
        /// The current file size, in bytes.
        found: u64,
    },
    /// The path no longer refers to the open file, which was removed or replaced by another file.
    #[non_exhaustive]
    FileReplaced {},
    /// A file of an array of many files was modified or replaced after the array was created.
    #[non_exhaustive]
    FileModified {},
    /// A previous flush of this array, or of the directory of its new file, failed, so the contents
    /// of the file are unknown.
    #[non_exhaustive]
    PreviousFlushFailed {},
    /// An index that was to be selected is out of bounds.
    #[non_exhaustive]
    IndexOutOfBounds {
        /// The axis.
        axis: usize,
        /// The length of the axis.
        len: usize,
        /// The index.
        index: usize,
        /// The position of the index among all indices.
        position: usize,
    },
    /// Arrays cannot be concatenated or stacked, because they differ in length along another axis, or
    /// in the number of axes.
    #[non_exhaustive]
    ConcatenationMismatch {
        /// The axis of the concatenation; `None` if arrays are stacked.
        axis: Option<usize>,
        /// The shape of the first array.
        first: Vec<usize>,
        /// The path of the first array, if it has one.
        first_path: Option<PathBuf>,
        /// The index of the array that does not fit.
        index: usize,
        /// The shape of that array.
        found: Vec<usize>,
    },
    /// Two arrays differ in shape, or in their number of elements, where these must be equal.
    #[non_exhaustive]
    ShapeMismatch {
        /// The expected shape; for two arrays, the shape that matches the array on which the method
        /// was called.
        expected: Vec<usize>,
        /// The shape found; for two arrays, the shape of the second one.
        found: Vec<usize>,
        /// The paths of the files of two arrays, the first array's first; `None` for an array in
        /// memory, a scratch array, and most empty arrays. An error of a reshape concerns one
        /// array, whose path only [`Error::path`] returns.
        paths: Option<[Option<PathBuf>; 2]>,
    },
    /// The array is not contiguous in the order in which it was to be reshaped.
    #[non_exhaustive]
    OrderMismatch {
        /// The requested order.
        expected: Order,
        /// The shape of the array.
        shape: Vec<usize>,
    },
    /// A chunked operation cannot stay within its [memory limit](crate::Chunked::memory_limit).
    #[non_exhaustive]
    MemoryLimitExceeded {
        /// A memory limit that is sufficient for the operation, in bytes.
        needed: usize,
        /// The memory limit, in bytes.
        limit: usize,
    },
    /// A result, or its intermediate state, would not fit in system memory.
    #[non_exhaustive]
    InsufficientMemory {
        /// The memory required, in bytes.
        needed: usize,
        /// The maximum memory available to it, in bytes.
        available: usize,
        /// The means to need less memory, as in "use fewer bins".
        remedy: &'static str,
    },
    /// The statistic is undefined for empty input.
    #[non_exhaustive]
    EmptyInput {},
    /// The requested quantile is not between 0 and 1.
    #[non_exhaustive]
    InvalidQuantile {
        /// The requested quantile, as text.
        found: String,
    },
    /// A histogram cannot have the requested bins.
    #[non_exhaustive]
    InvalidBins {
        /// The requirement that the bins do not meet.
        reason: String,
    },
    /// The input contains NaN where an order is required.
    #[non_exhaustive]
    UndefinedOrder {},
    /// The view passed to a method does not belong to this array.
    #[non_exhaustive]
    ForeignView {},
    /// Another [rank](crate::distributed) failed, so the operation failed on all ranks.
    #[non_exhaustive]
    RankFailed {
        /// The number of the rank.
        rank: usize,
        /// The error of that rank.
        message: String,
    },
    /// The [ranks](crate::distributed) do not run the same operation on the same kind of array.
    #[non_exhaustive]
    RanksDisagree {
        /// The first rank that differs from rank 0.
        rank: usize,
        /// The operation of rank 0.
        expected: String,
        /// The operation of the other rank.
        found: String,
    },
    /// An index of files cannot be parsed, or a file is not as listed in it. See
    /// [`NpyIndex`](crate::distributed::NpyIndex).
    #[non_exhaustive]
    InvalidIndex {
        /// The line of the index, counted from 1.
        line: usize,
        /// The fault found.
        reason: String,
    },
    /// A saved state, such as a [checkpoint](crate::Chunked::checkpoint), is not one of this
    /// operation.
    #[non_exhaustive]
    InvalidState {
        /// The difference.
        reason: String,
    },
    /// Parts of a [job](crate::Chunked::job_part) have not been computed yet.
    #[non_exhaustive]
    PartsMissing {
        /// The number of the pass, from 0.
        pass: usize,
        /// The numbers of the parts.
        missing: Vec<usize>,
        /// The number of all parts.
        count: usize,
    },
    /// The call is not supported with these options.
    #[non_exhaustive]
    Unsupported {
        /// The reason, and what to do instead.
        reason: String,
    },
}

impl ErrorKind {
    pub(crate) fn at<'p>(self, path: impl Into<Option<&'p Path>>) -> Error {
        Error::new(self, path.into())
    }
}
