//! The error of calls that take an array and would otherwise lose it.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;

use crate::error::Error;

/// What went wrong, and the array it went wrong with: nothing is lost.
///
/// Calls that turn an array into another one return it:
/// [`commit`](crate::MmapArrayPending::commit), [`freeze`](crate::MmapArrayMut::freeze),
/// [`into_dimensionality`](crate::MmapArray::into_dimensionality),
/// [`into_shape_with_order`](crate::MmapArray::into_shape_with_order). `?` makes an [`Error`] or
/// [`std::io::Error`] of it, and drops the array.
///
/// ```
/// # use ndarray_mmap::MmapArrayMut;
/// let mut line = MmapArrayMut::<f64, _>::scratch(12)?;
/// line.fill(1.0);
/// let failure = line.into_shape_with_order((5, 5)).unwrap_err();
/// assert_eq!(failure.error.to_string(), "expected shape [5, 5], found [12] (25 elements, not 12)");
/// let line = failure.array;
/// assert_eq!(line.sum(), 12.0);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[non_exhaustive]
pub struct ArrayError<T> {
    /// What went wrong.
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
