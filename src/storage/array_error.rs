//! The error of methods that consume an array and return it on failure.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;

use crate::error::Error;

/// An error together with the array on which the method was called, so no data is lost.
///
/// Methods that convert an array return this error: [`commit`](crate::MmapArrayPending::commit),
/// [`freeze`](crate::MmapArrayMut::freeze),
/// [`into_dimensionality`](crate::MmapArray::into_dimensionality),
/// [`into_shape_with_order`](crate::MmapArray::into_shape_with_order). The `?` operator converts it
/// into an [`Error`] or [`std::io::Error`], and drops the array.
///
/// ```
/// # use ndarray_mmap::MmapArrayMut;
/// let mut line = MmapArrayMut::<f64, _>::scratch(12)?;
/// line.fill(1.0);
/// let failure = line.into_shape_with_order((5, 5)).unwrap_err();
/// let message = failure.error.to_string();
/// assert_eq!(message, "expected shape [5, 5], found [12] (25 elements, not 12)");
/// let line = failure.array;
/// assert_eq!(line.sum(), 12.0);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[non_exhaustive]
pub struct ArrayError<T> {
    /// The error.
    pub error: Error,
    /// The array, with all its data.
    pub array: T,
}

impl<T: fmt::Debug> fmt::Debug for ArrayError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayError")
            .field("error", &self.error)
            .field("array", &self.array)
            .finish()
    }
}

impl<T> fmt::Display for ArrayError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T: fmt::Debug> std::error::Error for ArrayError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl<T> From<ArrayError<T>> for Error {
    fn from(failure: ArrayError<T>) -> Self {
        failure.error
    }
}

impl<T> From<ArrayError<T>> for io::Error {
    fn from(failure: ArrayError<T>) -> Self {
        failure.error.into()
    }
}
