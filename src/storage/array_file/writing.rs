//! Writing of regions and slices: bytes of the array's elements, and no others.
#![forbid(unsafe_code)]

use std::path::Path;

use bytemuck::Pod;
use ndarray::{ArrayRef, ArrayViewD, ArrayViewMutD, Dimension, SliceArg};

use super::byte_order::ByteOrder;
use super::element_reader::BUFFER_BYTES;
use super::reading::StoredArray;
use super::writable::ArrayFileMut;
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::{ChunkGrid, Region, Runs, Selection};
use crate::order::Order;
use crate::storage::os;

/// Methods to write elements.
impl<A: Pod, D: Dimension> ArrayFileMut<A, D> {
    /// Writes elements to a slice of the array: `assign` to ndarray's `slice_mut`.
    ///
    /// The slice is any that [`read`](super::ArrayFile::read) accepts, and the elements are an
    /// array or a view of its shape, in any memory order. At most 256 KiB of memory are needed in
    /// addition. Several threads can write to different elements at the same time.
    ///
    /// Only the bytes of these elements are written, so that elements that are not contiguous in
    /// the file need a system call each: write slices along the slowest axis (rows, in C order)
    /// where possible.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::ArrayFileMut;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.npy");
    /// let out = ArrayFileMut::<f64, _>::create_npy(&path, (2, 3))?;
    /// out.write(s![1, ..], &array![1.0, 2.0, 3.0])?;
    /// out.write(s![.., ..;-2], &array![[9.0, 7.0], [6.0, 4.0]])?;
    /// assert_eq!(out.read_all()?, array![[7.0, 0.0, 9.0], [4.0, 2.0, 6.0]]);
    /// out.close()?; // durable when it returns Ok
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ShapeMismatch`] if the shape differs from that of the slice, and
    /// [`ErrorKind::FileTruncated`] if the file was truncated: in these cases nothing is written.
    /// [`ErrorKind::Io`] if the file cannot be written to: some of the elements may be written.
    ///
    /// # Panics
    ///
    /// Panics if an index is out of bounds, a step is zero, or the number of axes differs (with
    /// `IxDyn`), as ndarray's `slice_mut` does.
    #[track_caller]
    pub fn write<I: SliceArg<D>>(&self, slice: I, elements: &ArrayRef<A, I::OutDim>) -> Result<()> {
        let selection = Selection::of_slice(self.shape(), slice.as_ref());
        check_shape(&selection.shape(), elements.shape(), self.path())?;
        let elements = selection.rearrange(elements.view().into_dyn());
        self.stored().write(&selection, elements)
    }

    /// Writes all elements of the array.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ArrayFileMut, ErrorKind};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("out.raw");
    /// let out = ArrayFileMut::<u8, _>::create(&path, (2, 3))?;
    /// out.write_all(&array![[1, 2, 3], [4, 5, 6]])?;
    /// assert_eq!(std::fs::read(&path)?, [1, 2, 3, 4, 5, 6]);
    /// let error = out.write_all(&array![[1, 2], [3, 4]]).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::ShapeMismatch { .. }));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`write`](Self::write).
    pub fn write_all(&self, elements: &ArrayRef<A, D>) -> Result<()> {
        self.write_region(&Region::whole(self.shape()), elements.view().into_dyn())
    }

    /// Writes the elements of a region.
    pub(crate) fn write_region(&self, region: &Region, elements: ArrayViewD<'_, A>) -> Result<()> {
        let selection = Selection::of_region(region);
        check_shape(&selection.shape(), elements.shape(), self.path())?;
        self.stored().write(&selection, elements)
    }
}

/// Returns an error if elements have another shape than expected.
pub(super) fn check_shape(expected: &[usize], found: &[usize], path: &Path) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (expected.to_vec(), found.to_vec());
    Err(ErrorKind::ShapeMismatch { expected, found, paths: None }.at(path))
}

impl StoredArray {
    /// Writes the selected elements, an array with an axis for each axis of the file and ascending
    /// indices.
    fn write<A: Pod>(&self, selection: &Selection, elements: ArrayViewD<'_, A>) -> Result<()> {
        // Writing past the end of a truncated file would extend it with zeros.
        self.handle.check_length()?;
        if self.item == 0 {
            return Ok(());
        }
        let elements = match self.handle.layout().order() {
            Order::C => elements,
            Order::F => elements.reversed_axes(),
        };
        let mut runs = RunWriter::new(self, selection);
        for_each_piece(elements, self.byte_order, |bytes| runs.write(bytes))
    }
}

/// Calls a closure with the bytes of elements in C order and in a byte order: with all of them if
/// they are stored so, otherwise with at most [`BUFFER_BYTES`] (or one element) at once.
pub(super) fn for_each_piece<A: Pod>(
    elements: ArrayViewD<'_, A>,
    byte_order: ByteOrder,
    mut work: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    if let (Some(elements), ByteOrder::Native) = (elements.as_slice(), byte_order) {
        return work(bytemuck::cast_slice(elements));
    }
    let order = (0..elements.ndim()).collect();
    let limit = (BUFFER_BYTES / size_of::<A>().max(1)).max(1);
    let chunks = ChunkGrid::contiguous(elements.raw_dim(), order, limit);
    let mut buffer = Vec::new();
    for chunk in chunks.chunks() {
        let region = chunks.region(chunk);
        let part = elements.slice_each_axis(|axis| region.range(axis.axis.index()).into());
        buffer.resize(part.len().max(buffer.len()), A::zeroed());
        let buffer = &mut buffer[..part.len()];
        ArrayViewMutD::from_shape(part.raw_dim(), buffer)
            .expect("the buffer has the length of the part")
            .assign(&part);
        let bytes = bytemuck::cast_slice_mut(buffer);
        byte_order.convert(bytes);
        work(bytes)?;
    }
    Ok(())
}

/// Writes consecutive bytes to the runs of a selection.
struct RunWriter<'s> {
    stored: &'s StoredArray,
    runs: Runs,
    /// The bytes of the current run that are not written yet, and their offset in the array.
    left: usize,
    next: usize,
}

impl<'s> RunWriter<'s> {
    fn new(stored: &'s StoredArray, selection: &Selection) -> Self {
        Self { stored, runs: stored.runs(selection), left: 0, next: 0 }
    }

    /// Writes the next bytes of the selection.
    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        let Self { stored, .. } = *self;
        while !bytes.is_empty() {
            if self.left == 0 {
                let run = self.runs.next().expect("the selection has as many elements");
                (self.next, self.left) = (run * stored.item, self.runs.run_len() * stored.item);
            }
            let (now, later) = bytes.split_at(self.left.min(bytes.len()));
            let at = stored.reader().position(self.next);
            os::write_at(stored.handle.file(), at, now)
                .map_err(|error| Error::io("write", stored.handle.path(), error).at_byte(at))?;
            self.left -= now.len();
            self.next += now.len();
            bytes = later;
        }
        Ok(())
    }
}
