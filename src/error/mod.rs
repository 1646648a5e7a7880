//! The error type of the crate.
#![forbid(unsafe_code)]

mod convert;
mod kind;
mod message;
#[cfg(test)]
mod tests;

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
