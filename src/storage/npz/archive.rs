//! Archives.
#![forbid(unsafe_code)]

use std::path::Path;

use rawzip::{ReaderAt, ZipArchive};

use super::directory::{self, Entry};
use super::file::ArchiveFile;
use super::member::NpzMember;
use crate::error::{DisplayName, ErrorKind, Result};
use crate::storage::npy::MAGIC;

/// An `.npz` archive: a zip file of `.npy` files, as `numpy.savez` and `numpy.savez_compressed`
/// write it.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{NpyHeader, NpzArchive};
///
#[doc = example_archive!()]
/// let archive = NpzArchive::open(&path)?; // numpy.savez(path, x=.., y=..)
/// assert_eq!(archive.names().collect::<Vec<_>>(), ["x", "y"]);
/// let y = archive.member("y")?;
/// assert_eq!((y.header()?.shape(), y.is_compressed()), (&[2][..], true));
/// assert_eq!(y.read::<f64, Ix1>()?, array![1.5, 2.5]); // a copy in memory
/// y.extract(dir.path().join("y.npy"))?; // a copy in a file, to be mapped
/// assert_eq!(NpyHeader::read(dir.path().join("y.npy"))?, y.header()?);
///
/// // SAFETY: this program alone uses the file.
/// let x = unsafe { archive.member("x")?.open_mmap::<f64, Ix1>() }?; // no copy
/// assert_eq!(x, array![1.5, 2.5]);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Members
///
/// An array is a member whose file name ends with `.npy`. Its name is the rest of the file name, as
/// in NumPy. Names may contain anything, `/` and `..` included, because no path is made from them.
/// Bytes that are not UTF-8 are replaced by U+FFFD.
///
/// # Invalid archives
///
/// Archives of zip64, archives after other bytes (such as a program that unpacks them), and archives
/// with a comment are read. Opening checks that no two files in the archive overlap, that no two
/// arrays have the same name, and that all are in front of the directory. It uses at most 256 KiB and
/// eight times the size of the directory of memory. Checksums are checked when a member is
/// [read](NpzMember::read) or [extracted](NpzMember::extract).
///
/// The file may be removed or replaced while the archive is open; the archive keeps the old one. If
/// it is changed or truncated, reading returns an error or the elements of the changed file.
#[doc(alias = "savez")]
#[doc(alias = "NpzFile")]
#[derive(Debug)]
pub struct NpzArchive {
    zip: ZipArchive<ArchiveFile>,
    /// The arrays in the order of the directory.
    arrays: Vec<Entry>,
    /// The indices of the arrays by name.
    by_name: Vec<usize>,
    other_names: Vec<String>,
}

impl NpzArchive {
    /// Opens an archive, and reads its directory.
    ///
    /// ```
    /// use ndarray_mmap::{ErrorKind, NpzArchive};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("run.npz");
    /// std::fs::write(&path, "PK")?; // truncated
    /// let error = NpzArchive::open(&path).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::InvalidArchive { .. }));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] and [`ErrorKind::NotRegularFile`] if the file cannot be opened or read,
    /// [`ErrorKind::InvalidArchive`] if it is not a zip archive, is truncated, or contains files
    /// that overlap, that have the same name, or that are not in front of the directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let file = ArchiveFile::open(path.as_ref())?;
        check_not_npy(&file)?;
        let (zip, entries) = directory::read(file)?;
        let mut arrays = Vec::new();
        let mut other_names = Vec::new();
        for mut entry in entries {
            match entry.name.strip_suffix(".npy") {
                Some(name) => {
                    entry.name.truncate(name.len());
                    arrays.push(entry);
                }
                None => other_names.push(entry.name),
            }
        }
        let mut by_name: Vec<_> = (0..arrays.len()).collect();
        by_name.sort_by_key(|&index| &arrays[index].name);
        if let Some(pair) =
            by_name.windows(2).find(|pair| arrays[pair[0]].name == arrays[pair[1]].name)
        {
            return Err(zip.get_ref().invalid(format!(
                "two arrays have the name {}; save the file again without one of them",
                DisplayName(&arrays[pair[0]].name)
            )));
        }
        Ok(Self { zip, arrays, by_name, other_names })
    }

    /// Returns the path as it was passed to [`open`](Self::open).
    pub fn path(&self) -> &Path {
        self.zip.get_ref().path()
    }

    /// Returns the names of the arrays, without `.npy`, in the order of the directory, which is the
    /// order in which NumPy saved them. NumPy's `NpzFile.files`.
    ///
    /// ```
    /// # use ndarray_mmap::NpzArchive;
    #[doc = example_archive!()]
    /// let archive = NpzArchive::open(&path)?;
    /// assert!(archive.names().eq(["x", "y"]));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// The names are not checked further: a member may turn out to be compressed by an unsupported
    /// method, or not to be an `.npy` file.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.arrays.iter().map(|entry| &*entry.name)
    }

    /// Returns the names of the other files in the archive, which do not end with `.npy`, and of
    /// directories, which end with `/`. They cannot be read.
    ///
    /// ```
    /// # use ndarray_mmap::NpzArchive;
    #[doc = example_archive!()]
    /// assert_eq!(NpzArchive::open(&path)?.other_names().len(), 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn other_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.other_names.iter().map(|name| &**name)
    }

    /// Returns the array with a given name, without `.npy`, after checking its position. Reads 30
    /// bytes of the file.
    ///
    /// ```
    /// # use ndarray_mmap::NpzArchive;
    #[doc = example_archive!()]
    /// let archive = NpzArchive::open(&path)?;
    /// assert_eq!(archive.member("x")?.name(), "x");
    /// let error = archive.member("z").unwrap_err();
    /// assert!(error.to_string().ends_with(r#"no array named "z"; the archive contains "x", "y""#));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuchMember`] if the archive contains no array of this name, with the names of
    /// those that it contains; [`ErrorKind::Unsupported`] if the array is encrypted, or compressed
    /// by another method than deflate; [`ErrorKind::InvalidArchive`] if its position or its size
    /// cannot be right; [`ErrorKind::Io`] if the file cannot be read.
    pub fn member(&self, name: &str) -> Result<NpzMember<'_>> {
        let found = self.by_name.binary_search_by_key(&name, |&index| &self.arrays[index].name);
        match found {
            Ok(position) => NpzMember::new(&self.zip, &self.arrays[self.by_name[position]]),
            Err(_) => {
                let members = self.names().map(str::to_owned).collect();
                Err(ErrorKind::NoSuchMember { name: name.to_owned(), members }.at(self.path()))
            }
        }
    }
}

/// Returns an error if the file is a single `.npy` file, which NumPy's `load` reads as well.
fn check_not_npy(file: &ArchiveFile) -> Result<()> {
    let mut prefix = [0; MAGIC.len()];
    match file.read_exact_at(&mut prefix, 0) {
        Ok(()) if prefix == *MAGIC => {
            Err(file.invalid("the file is an .npy file; open it with `ArrayFile::open_npy`"))
        }
        _ => Ok(()),
    }
}
