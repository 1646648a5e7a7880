//! Paths of files that match a pattern.
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Returns the paths that match a pattern, in alphabetical order: `?` matches one character, `*` any
/// number of them, `**` any number of directories, and `[a-z]` one of a range.
///
/// Alphabetical order is that of numbers only if all have the same number of digits: `10.npy` comes
/// before `9.npy`, but after `09.npy`.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{ArrayFileMut, LazyArray, glob, prelude::*};
///
/// # let dir = tempfile::tempdir()?;
/// for month in 1..=12 {
///     let path = dir.path().join(format!("2024-{month:02}.npy"));
///     let file = ArrayFileMut::<u8, _>::create_npy(path, (1, 3))?;
///     file.write_all(&array![[month, month, month]])?;
/// }
/// let pattern = format!("{}/2024-0[3-5].npy", dir.path().display());
/// let spring = LazyArray::<u8, Ix2>::concatenate_npy(Axis(0), glob(&pattern)?)?;
/// assert_eq!(spring.read(s![.., 0])?, array![3, 4, 5]);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// Returns [`ErrorKind::Io`](crate::ErrorKind::Io) if no path matches, if the pattern is not valid,
/// or if a directory cannot be read.
pub fn glob(pattern: &str) -> Result<Vec<PathBuf>> {
    let path = Some(Path::new(pattern));
    let paths = glob::glob(pattern).map_err(|error| {
        Error::io("match the pattern", path, io::Error::new(io::ErrorKind::InvalidInput, error))
    })?;
    let paths = paths.collect::<std::result::Result<Vec<_>, _>>();
    let paths = paths.map_err(|error| {
        let directory = error.path().to_path_buf();
        Error::io("read the directory", Some(&directory), error.into())
    })?;
    if paths.is_empty() {
        let error = io::Error::new(io::ErrorKind::NotFound, "no path matches the pattern");
        return Err(Error::io("list the files of the pattern", path, error));
    }
    Ok(paths)
}
