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
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::Region;
use crate::paging::FileVersion;
use crate::storage::{ArrayFile, BUFFER_BYTES, FileLayout, MmapArrayOptions, NpyElement};

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
    /// Opens a file, or returns it if it is open. If it was opened before, another version or layout
    /// is an error.
    fn get(&self, index: usize, path: &Path, before: Option<&Opened>) -> Result<OpenFile<A>> {
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |recent: &mut VecDeque<(usize, OpenFile<A>)>| {
            let position = recent.iter().position(|(other, _)| *other == index)?;
            let used = recent.remove(position)?;
            let file = Arc::clone(&used.1);
            recent.push_front(used);
            Some(file)
        };
        if let Some(file) = find(&mut recent()) {
            return Ok(file);
        }
        let file = Arc::new((self.open)(path)?);
        if let Some(before) = before {
            before.check(&file, path)?;
        }
        let mut recent = recent();
        if let Some(file) = find(&mut recent) {
            return Ok(file);
        }
        let kept = recent.len().min(MAX_OPEN - 1);
        let closed = recent.split_off(kept);
        recent.push_front((index, Arc::clone(&file)));
        drop(recent);
        // Other threads do not wait until files are closed.
        drop(closed);
        Ok(file)
    }
}

/// A file as it was when the array was created.
struct Opened {
    version: FileVersion,
    layout: FileLayout,
    is_swapped: bool,
}

impl Opened {
    fn new<A>(file: &ArrayFile<A, IxDyn>) -> Result<Self> {
        Ok(Self {
            version: file.file_version()?,
            layout: file.layout().clone(),
            is_swapped: file.is_swapped(),
        })
    }

    fn check<A>(&self, file: &ArrayFile<A, IxDyn>, path: &Path) -> Result<()> {
        let now = Self::new(file)?;
        if now.version != self.version {
            return Err(ErrorKind::FileModified {}.at(path));
        }
        if (&now.layout, now.is_swapped) != (&self.layout, self.is_swapped) {
            let reason = format!(
                "expected {}, found {}: the function that opens files must open a file in the same \
                 way each time",
                self.describe(),
                now.describe()
            );
            return Err(ErrorKind::Unsupported { reason }.at(path));
        }
        Ok(())
    }

    fn describe(&self) -> String {
        format!(
            "shape {:?} in {:?} order at byte {}{}",
            self.layout.shape(),
            self.layout.order(),
            self.layout.offset(),
            if self.is_swapped { ", byte-swapped" } else { "" }
        )
    }
}

/// One of the files.
struct FileOfMany<A> {
    files: Arc<Files<A>>,
    index: usize,
    /// The path as the caller passed it.
    path: PathBuf,
    /// The absolute path, independent of the current directory.
    absolute: PathBuf,
    opened: Opened,
}

impl<A: AnyBitPattern> FileOfMany<A> {
    fn file(&self) -> Result<OpenFile<A>> {
        self.files.get(self.index, &self.absolute, Some(&self.opened))
    }
}

impl<A: AnyBitPattern> ReadArray<A> for FileOfMany<A> {
    fn read(&self, region: &Region, elements: &mut Vec<A>) -> Result<()> {
        self.file()?.read_region(region, elements)
    }

    fn scratch_bytes(&self) -> usize {
        BUFFER_BYTES
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn saved_files(&self) -> Result<Vec<SavedArray>> {
        self.file()?.saved_files()
    }
}

/// Many files as one array, read by positional reads. Every file is opened once to check its shape
/// and type, and again when it is read; the 32 files that were read last, and those that are being
/// read, are open and [locked](crate::LockPolicy). A file that cannot be opened, does not fit the first
/// one, or was modified or replaced when it is opened again, is an error that names it.
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

    /// Concatenates files along an axis that a closure opens, such as raw files of known shape in
    /// another byte order. The closure is called again when a file is read that is not open anymore,
    /// and must open it in the same way.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ArrayFile, LazyArray, prelude::*};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let paths = ["a.raw", "b.raw"].map(|name| dir.path().join(name));
    /// std::fs::write(&paths[0], [0, 1, 0, 2])?;
    /// std::fs::write(&paths[1], [0, 3, 0, 4])?;
    /// let open = |path: &std::path::Path| Ok(ArrayFile::<i16, _>::open(path, 2)?.big_endian());
    /// let both = LazyArray::concatenate_files(Axis(0), &paths, open)?;
    /// assert_eq!(both.read_all()?, array![1, 2, 3, 4]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of the closure and of [`concatenate`](LazyArray::concatenate).
    ///
    /// # Panics
    ///
    /// Panics if the axis is out of bounds.
    #[track_caller]
    pub fn concatenate_files<I>(
        axis: Axis,
        paths: I,
        open: impl Fn(&Path) -> Result<ArrayFile<A, D>> + Send + Sync + 'static,
    ) -> Result<Self>
    where
        I: IntoIterator<Item: AsRef<Path>>,
    {
        Self::of_parts(axis, parts(paths, move |path| open(path).map(ArrayFile::into_dyn))?)
    }

    /// Stacks files of the same shape along a new axis that a closure opens; see
    /// [`concatenate_files`](Self::concatenate_files).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`concatenate_files`](Self::concatenate_files).
    ///
    /// # Panics
    ///
    /// Panics if the axis exceeds the number of axes of the files.
    #[track_caller]
    pub fn stack_files<I>(
        axis: Axis,
        paths: I,
        open: impl Fn(&Path) -> Result<ArrayFile<A, D::Smaller>> + Send + Sync + 'static,
    ) -> Result<Self>
    where
        D: RemoveAxis,
        I: IntoIterator<Item: AsRef<Path>>,
    {
        Self::of_stacked(axis, parts(paths, move |path| open(path).map(ArrayFile::into_dyn))?)
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
        let file = files.get(index, path, None)?;
        let absolute = std::path::absolute(path)
            .map_err(|error| Error::io("find the absolute path of", Some(path), error))?;
        let (shape, order) = (file.raw_dim(), axes_of(file.layout()));
        let part = FileOfMany {
            files: Arc::clone(&files),
            index,
            path: path.to_path_buf(),
            absolute,
            opened: Opened::new(&file)?,
        };
        Ok(AnyArray::Lazy(LazyArray::new(Arc::new(part), &shape, &order)))
    };
    paths.into_iter().enumerate().map(part).collect()
}
