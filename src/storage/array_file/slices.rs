//! Reading of slices and regions as elements.
#![forbid(unsafe_code)]

use bytemuck::AnyBitPattern;
use ndarray::{Array, ArrayD, Dimension, ShapeBuilder, SliceArg};

use super::ArrayFile;
use super::element_reader::{ElementReader, zeroed};
#[allow(unused_imports, reason = "for links in the docs")]
use crate::error::{ErrorKind, Result};
use crate::geometry::{Region, Selection};
use crate::order::Order;

/// Methods to read elements.
impl<A: AnyBitPattern, D: Dimension> ArrayFile<A, D> {
    /// Reads a slice of the array: ndarray's `slice`, as an owned array.
    ///
    /// The slice is any that ndarray accepts, with steps, descending ranges, single indices and new
    /// axes. Only the elements of the slice are kept in memory, and at most 256 KiB in addition.
    /// Several threads can read at the same time.
    ///
    /// Elements that are contiguous in the file are read at once: slices along the slowest axis
    /// (rows, in C order) are read at the full speed of the disk. The result has the memory order
    /// of the file.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::ArrayFile;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("scan.raw");
    /// std::fs::write(&path, bytemuck::bytes_of(&[1_i16, 2, 3, 4, 5, 6]))?;
    /// let scan = ArrayFile::<i16, _>::open(&path, (2, 3))?;
    /// assert_eq!(scan.read(s![1, ..])?, array![4, 5, 6]);
    /// assert_eq!(scan.read(s![.., ..;-2])?, array![[3, 1], [6, 4]]);
    /// assert_eq!(scan.read(s![.., 1..1])?.dim(), (2, 0));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::FileTruncated`] if the file no longer contains the elements;
    /// [`ErrorKind::Io`] if it cannot be read; [`ErrorKind::InsufficientMemory`] if the result
    /// exceeds the system's memory.
    ///
    /// # Panics
    ///
    /// Panics if an index is out of bounds, a step is zero, or the number of axes differs (with
    /// `IxDyn`), as ndarray's `slice` does.
    #[track_caller]
    pub fn read<I: SliceArg<D>>(&self, slice: I) -> Result<Array<A, I::OutDim>> {
        let selection = Selection::of_slice(self.shape(), slice.as_ref());
        let result = selection.arrange(self.read_selection(&selection)?);
        Ok(result.into_dimensionality().expect("the slice has as many axes as its result"))
    }

    /// Reads the whole array into memory.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::ArrayFile;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("scan.raw");
    /// std::fs::write(&path, [1, 2, 3, 4, 5, 6])?;
    /// let scan = ArrayFile::<u8, _>::open(&path, (2, 3).f())?;
    /// assert_eq!(scan.read_all()?, array![[1, 3, 5], [2, 4, 6]]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`read`](Self::read).
    pub fn read_all(&self) -> Result<Array<A, D>> {
        let mut elements = Vec::new();
        self.read_region(&Region::whole(self.shape()), &mut elements)?;
        let shape = self.raw_dim().set_f(self.layout().order() == Order::F);
        let array = Array::from_shape_vec(shape, elements);
        Ok(array.unwrap_or_else(|_| unreachable!("one element was read for each index")))
    }

    /// Replaces the contents of `elements` by the elements of a region, in the memory order of the
    /// file. After an error, the elements are unspecified.
    pub(crate) fn read_region(&self, region: &Region, elements: &mut Vec<A>) -> Result<()> {
        self.stored.read_elements(&Selection::of_region(region), elements)
    }

    /// Returns the reader of the elements.
    pub(crate) fn reader(&self) -> ElementReader<'_> {
        self.stored.reader()
    }

    /// Returns elements of which all bytes are zero.
    pub(crate) fn zeroed(&self, len: usize) -> Result<Vec<A>> {
        zeroed(len, Some(self.path()))
    }

    /// Reads the selected elements, with ascending indices.
    fn read_selection(&self, selection: &Selection) -> Result<ArrayD<A>> {
        let mut elements = Vec::new();
        self.stored.read_elements(selection, &mut elements)?;
        let shape = selection.lens().set_f(self.layout().order() == Order::F);
        Ok(ArrayD::from_shape_vec(shape, elements).expect("one element was read for each index"))
    }
}
