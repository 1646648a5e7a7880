//! Many files as one array. More files than may be open at once are opened when they are read.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytemuck::AnyBitPattern;
use ndarray::{Axis, Dimension, IntoDimension, IxDyn, RemoveAxis};

use super::file::axes_of;
use super::{LazyArray, ReadArray};
use crate::chunked::any_array::AnyArray;
use crate::distributed::SavedArray;
use crate::error::{ErrorKind, Result};
use crate::geometry::Region;
use crate::storage::{ArrayFile, MmapArrayOptions, NpyElement};

/// The maximum number of files of an array that are open at once.
const MAX_OPEN: usize = 32;

/// A function that opens one of the files.
type Open<A> = dyn Fn(&Path) -> Result<ArrayFile<A, IxDyn>> + Send + Sync;

/// A file that is open at least as long as it is read.
type OpenFile<A> = Arc<ArrayFile<A, IxDyn>>;

/// The files of an array, of which some are open.
struct Files<A> {
    open: Box<Open<A>>,
    /// The files that were used last, with their indices.
    recent: Mutex<VecDeque<(usize, OpenFile<A>)>>,
}

impl<A: AnyBitPattern> Files<A> {
    /// Returns an open file.
    fn get(&self, index: usize, path: &Path) -> Result<OpenFile<A>> {
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let known =
            recent().iter().find(|(other, _)| *other == index).map(|(_, file)| file.clone());
        if let Some(file) = known {
            return Ok(file);
        }
        let file = Arc::new((self.open)(path)?);
        let mut recent = recent();
        recent.truncate(MAX_OPEN - 1);
        recent.push_front((index, Arc::clone(&file)));
        Ok(file)
    }
}

/// One of the files.
struct FileOfMany<A> {
    files: Arc<Files<A>>,
    index: usize,
    path: PathBuf,
    shape: Vec<usize>,
}

impl<A: AnyBitPattern> FileOfMany<A> {
    /// Opens the file, and checks that its shape is the same as before.
    fn file(&self) -> Result<OpenFile<A>> {
        let file = self.files.get(self.index, &self.path)?;
        if file.shape() == self.shape {
            return Ok(file);
        }
        let (expected, found) = (self.shape.clone(), file.shape().to_vec());
        Err(ErrorKind::ShapeMismatch { expected, found, paths: None }.at(&*self.path))
    }
}

impl<A: AnyBitPattern> ReadArray<A> for FileOfMany<A> {
    fn read(&self, region: &Region, elements: &mut Vec<A>) -> Result<()> {
        self.file()?.read_region(region, elements)
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn saved_files(&self) -> Result<Vec<SavedArray>> {
        self.file()?.saved_files()
    }
}

/// Many files as one array, read by positional reads. Every file is opened once to check its shape
/// and type, and again when it is read; at most 32 are open at once. A file that cannot be opened, or
/// does not fit the first one, is an error that names it.
impl<A: AnyBitPattern + Send + Sync, D: Dimension> LazyArray<'static, A, D> {
    /// Concatenates `.npy` files along an axis, in the order of the paths.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ArrayFileMut, LazyArray, prelude::*};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let paths = ["2024-01.npy", "2024-02.npy"].map(|name| dir.path().join(name));
    /// for (path, rows) in paths.iter().zip([31, 29]) {
    ///     let file = ArrayFileMut::<f32, _>::create_npy(path, (rows, 24))?;
    ///     file.write_all(&Array2::from_elem((rows, 24), rows as f32))?;
    /// }
    /// let hours = LazyArray::<f32, Ix2>::concatenate_npy(Axis(0), &paths)?;
    /// assert_eq!(hours.raw_dim(), Dim((60, 24)));
    /// assert_eq!(hours.chunked().max()?, 31.0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`ArrayFile::open_npy`] and of [`concatenate`](LazyArray::concatenate).
    ///
    /// # Panics
    ///
    /// Panics if the axis is out of bounds.
    #[track_caller]
    pub fn concatenate_npy<I>(axis: Axis, paths: I) -> Result<Self>
    where
        A: NpyElement,
        I: IntoIterator<Item: AsRef<Path>>,
    {
        Self::of_parts(axis, parts(paths, |path| MmapArrayOptions::new().open_file_npy(path))?)
    }

    /// Stacks `.npy` files of the same shape along a new axis, in the order of the paths; see
    /// [`concatenate_npy`](Self::concatenate_npy).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`concatenate_npy`](Self::concatenate_npy).
    ///
    /// # Panics
    ///
    /// Panics if the axis exceeds the number of axes of the files.
    #[track_caller]
    pub fn stack_npy<I>(axis: Axis, paths: I) -> Result<Self>
    where
        A: NpyElement,
        D: RemoveAxis,
        I: IntoIterator<Item: AsRef<Path>>,
    {
        let parts = parts(paths, |path| MmapArrayOptions::new().open_file_npy(path))?;
        Self::of_stacked(axis, parts)
    }

    /// Concatenates raw files of rows along the first axis: the number of rows of each file is
    /// inferred from its size, as by [`ArrayFile::open_rows`]. The options, such as an offset, apply
    /// to every file.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{LazyArray, MmapArrayOptions, prelude::*};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let paths = ["monday.raw", "tuesday.raw"].map(|name| dir.path().join(name));
    /// std::fs::write(&paths[0], [1, 2, 3, 4])?;
    /// std::fs::write(&paths[1], [5, 6])?;
    /// let options = MmapArrayOptions::new();
    /// let week = LazyArray::<u8, Ix2>::concatenate_rows(&options, &paths, 2)?;
    /// assert_eq!(week.read_all()?, array![[1, 2], [3, 4], [5, 6]]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`ArrayFile::open_rows`] and of [`concatenate`](LazyArray::concatenate).
    pub fn concatenate_rows<I>(
        options: &MmapArrayOptions,
        paths: I,
        row: impl IntoDimension<Dim = D::Smaller>,
    ) -> Result<Self>
    where
        D: RemoveAxis,
        I: IntoIterator<Item: AsRef<Path>>,
    {
        let options = options.clone();
        let row = IxDyn(row.into_dimension().slice());
        let open = move |path: &Path| options.open_file_rows(path, row.clone());
        Self::of_parts(Axis(0), parts(paths, open)?)
    }
}

/// Opens each file once, and returns the arrays.
fn parts<A: AnyBitPattern + Send + Sync>(
    paths: impl IntoIterator<Item: AsRef<Path>>,
    open: impl Fn(&Path) -> Result<ArrayFile<A, IxDyn>> + Send + Sync + 'static,
) -> Result<Vec<AnyArray<'static, A>>> {
    let files = Arc::new(Files { open: Box::new(open), recent: Mutex::default() });
    let part = |(index, path): (usize, _)| {
        let path: &Path = AsRef::<Path>::as_ref(&path);
        let file = files.get(index, path)?;
        let (shape, order) = (file.raw_dim(), axes_of(file.layout()));
        let part = FileOfMany {
            files: Arc::clone(&files),
            index,
            path: path.to_path_buf(),
            shape: shape.slice().to_vec(),
        };
        Ok(AnyArray::Lazy(LazyArray::new(Arc::new(part), &shape, &order)))
    };
    paths.into_iter().enumerate().map(part).collect()
}
