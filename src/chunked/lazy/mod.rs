//! Arrays whose elements are read from a file, decoded or computed when they are needed.
//!
//! A [`LazyArray`] is a box of indices of a [`ReadArray`], possibly with permuted, reversed and
//! removed axes. All kinds of sources have this one type, so that code that processes them is
//! compiled once for each element type.
#![forbid(unsafe_code)]

mod buffers;
mod computed;
mod concatenate;
mod file;
mod files;
mod map;
mod mapped_file;
mod npy;
mod permutation;
mod read;
mod read_array;
mod select;
mod source;
mod stored;

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array, ArrayD, Axis, Dimension, IxDyn};

pub(super) use self::buffers::LoadedBuffer;
use self::buffers::{Buffers, arranged, lens_in};
pub(crate) use self::computed::PIECE_LEN;
pub use self::computed::{Computed, Operand};
pub(super) use self::file::axes_of;
pub(crate) use self::read_array::ReadArray;
use super::elements::MemoryOrder;
use crate::distributed::SavedArray;
use crate::error::{ErrorKind, Result};
use crate::geometry::{Region, StridedLayout};
use crate::system;

/// A read-only array whose elements are read from a file, decoded or computed when they are needed,
/// chunk by chunk.
///
/// [`chunked`](crate::ChunkedExt::chunked) returns a [`Chunked`](crate::Chunked), with which
/// iteration, parallel methods and statistics work as on a mapped array. Chunks are owned arrays,
/// and the memory for them counts against the [memory limit](crate::Chunked::memory_limit).
pub struct LazyArray<'a, A, D> {
    reader: Arc<dyn ReadArray<A> + 'a>,
    buffers: Arc<Buffers<A>>,
    /// The axes of the reader from the slowest to the fastest.
    order: Arc<[usize]>,
    /// The box of the reader's indices.
    bounds: Region,
    /// The axes of this array.
    axes: Vec<LazyAxis>,
    /// The layout that the array would have in memory, and those of arrays that are accessed at the
    /// same indices.
    layouts: Vec<StridedLayout>,
    dim: PhantomData<D>,
}

/// An axis of a [`LazyArray`].
#[derive(Clone, Copy, Debug)]
enum LazyAxis {
    /// An axis of the reader, in ascending or descending direction.
    Reader { axis: usize, is_inverted: bool },
    /// An inserted axis, whose length is 1, or 0 if it was restricted to no index.
    Inserted { len: usize },
}

impl LazyAxis {
    /// Returns the axis of the reader; `None` for an inserted axis.
    fn of_reader(self) -> Option<usize> {
        match self {
            Self::Reader { axis, .. } => Some(axis),
            Self::Inserted { .. } => None,
        }
    }
}

impl<'a, A, D: Dimension> LazyArray<'a, A, D> {
    /// Creates the array of a reader. `order` contains the axes from the slowest to the fastest.
    pub(crate) fn new(reader: Arc<dyn ReadArray<A> + 'a>, shape: &D, order: &[usize]) -> Self {
        let shape = shape.slice();
        let item = size_of::<A>();
        let buffered = item.saturating_add(reader.extra_bytes());
        let mut layouts = vec![StridedLayout::of_order(shape, order, item, buffered)];
        layouts.extend(reader.layouts());
        layouts[0].scratch = reader.scratch_bytes();
        let axes = (0..shape.len()).map(|axis| LazyAxis::Reader { axis, is_inverted: false });
        Self {
            reader,
            buffers: Arc::default(),
            order: order.into(),
            bounds: Region::whole(shape),
            axes: axes.collect(),
            layouts,
            dim: PhantomData,
        }
    }

    /// Returns the shape as a dimension.
    pub fn raw_dim(&self) -> D {
        let mut dim = D::zeros(self.axes.len());
        for (axis, len) in dim.slice_mut().iter_mut().enumerate() {
            *len = self.len_of(axis);
        }
        dim
    }

    /// Returns the number of indices along each axis.
    pub fn shape(&self) -> Vec<usize> {
        self.raw_dim().slice().to_vec()
    }

    /// Returns the shape as a tuple, or as an integer for one dimension.
    pub fn dim(&self) -> D::Pattern {
        self.raw_dim().into_pattern()
    }

    /// Returns the number of dimensions.
    pub fn ndim(&self) -> usize {
        self.axes.len()
    }

    /// Returns the part of the array inside a range of indices along an axis, without reading it.
    /// [`read`](Self::read) reads any slice.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let table = Array2::from_shape_fn((100, 4), |(i, j)| (10 * i + j) as f64);
    /// let squares = table.chunked().map(|x| x * x).into_lazy();
    /// let some = squares.slice_axis(Axis(0), 10..12);
    /// assert_eq!((some.shape(), some.chunked().min()?), (vec![2, 4], 10_000.0));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the axis or the range is out of bounds.
    #[track_caller]
    pub fn slice_axis(&self, axis: Axis, range: Range<usize>) -> Self {
        let ndim = self.ndim();
        let axis = axis.index();
        assert!(axis < ndim, "axis {axis} is out of bounds for an array of {ndim} dimensions");
        let len = self.len_of(axis);
        assert!(
            range.start <= range.end && range.end <= len,
            "range {range:?} is out of bounds for axis {axis} of length {len}"
        );
        let mut part = self.clone();
        part.slice_axis_inplace(Axis(axis), range);
        part
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.raw_dim().size()
    }

    /// Returns whether the array has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the path of the file that the elements are read from, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.reader.path()
    }

    pub(super) fn len_of(&self, axis: usize) -> usize {
        match self.axes[axis] {
            LazyAxis::Reader { axis, .. } => self.bounds.range(axis).len(),
            LazyAxis::Inserted { len } => len,
        }
    }

    pub(super) fn layouts(&self) -> &[StridedLayout] {
        &self.layouts
    }

    /// Describes the files that are read, and the part of the reader that this array is.
    pub(super) fn saved_files(&self) -> Result<Vec<SavedArray>> {
        let mut files = self.reader.saved_files()?;
        let Region { start, end } = &self.bounds;
        for file in &mut files {
            file.file_id += &format!(", {start:?} to {end:?} as {:?}", self.axes);
        }
        Ok(files)
    }

    pub(super) fn slice_axis_inplace(&mut self, axis: Axis, range: Range<usize>) {
        let axis = axis.index();
        self.layouts
            .iter_mut()
            .for_each(|layout| layout.slice_axis(axis, range.start, range.len()));
        match self.reader_range(axis, &range) {
            Some((axis, range)) => {
                self.bounds.start[axis] = range.start;
                self.bounds.end[axis] = range.end;
            }
            None => self.axes[axis] = LazyAxis::Inserted { len: range.len() },
        }
    }

    /// Converts a range of an axis to an axis of the reader and its range; `None` for an inserted
    /// axis.
    fn reader_range(&self, axis: usize, range: &Range<usize>) -> Option<(usize, Range<usize>)> {
        let LazyAxis::Reader { axis, is_inverted } = self.axes[axis] else { return None };
        let Range { start, end } = self.bounds.range(axis);
        let range = match is_inverted {
            false => start + range.start..start + range.end,
            true => end - range.end..end - range.start,
        };
        Some((axis, range))
    }

    /// Returns the part inside a region.
    pub(super) fn slice_region(&self, bounds: &Region) -> Self {
        let mut part = self.clone();
        for (axis, range) in bounds.ranges().enumerate() {
            if range.len() < part.len_of(axis) {
                part.slice_axis_inplace(Axis(axis), range);
            }
        }
        part
    }

    pub(super) fn invert_axis(&mut self, axis: usize) {
        let len = self.len_of(axis);
        self.layouts.iter_mut().for_each(|layout| layout.invert_axis(axis, len));
        if let LazyAxis::Reader { is_inverted, .. } = &mut self.axes[axis] {
            *is_inverted ^= true;
        }
    }

    /// Reverses the order of axes, like ndarray's `reversed_axes`.
    pub fn reversed_axes(mut self) -> Self {
        self.axes.reverse();
        self.layouts.iter_mut().for_each(|layout| layout.byte_strides.reverse());
        self
    }

    pub(super) fn into_dyn(self) -> LazyArray<'a, A, IxDyn> {
        let Self { reader, buffers, order, bounds, axes, layouts, .. } = self;
        LazyArray { reader, buffers, order, bounds, axes, layouts, dim: PhantomData }
    }
}

impl<A> LazyArray<'_, A, IxDyn> {
    pub(super) fn permute_axes(&mut self, axes: &[usize]) {
        self.layouts.iter_mut().for_each(|layout| layout.permute_axes(axes));
        self.axes = axes.iter().map(|&axis| self.axes[axis]).collect();
    }

    /// Inserts an axis of length 1.
    pub(super) fn insert_axis(&mut self, axis: usize) {
        self.layouts.iter_mut().for_each(|layout| layout.byte_strides.insert(axis, 0));
        self.axes.insert(axis, LazyAxis::Inserted { len: 1 });
    }

    /// Removes an axis of length 1.
    pub(super) fn remove_axis(&mut self, axis: usize) {
        for layout in &mut self.layouts {
            layout.byte_strides.remove(axis);
        }
        self.axes.remove(axis);
    }
}

/// Reading of elements.
impl<A: Copy, D: Dimension> LazyArray<'_, A, D> {
    /// Reads the elements inside a region into a buffer that is reused.
    pub(super) fn load_region(&self, region: &Region) -> Result<LoadedBuffer<'_, A>> {
        let bounds = self.bounds_of(region);
        let mut elements = self.buffers.take();
        self.read_bounds(&bounds, &mut elements)?;
        Ok(LoadedBuffer::new(elements, &self.buffers, &self.order, bounds, &self.axes))
    }

    /// Prepares the computation of the elements inside a region, in the order of the reader.
    pub(super) fn computed(&self, region: &Region) -> Result<Option<Box<dyn Computed<A> + '_>>> {
        self.reader.computed(&self.bounds_of(region))
    }

    /// Prepares the computation of the elements inside a region, if the order of the reader is the
    /// given one.
    pub(super) fn operand(
        &self,
        region: &Region,
        order: &MemoryOrder,
    ) -> Result<Option<Operand<'_, A>>> {
        if order.is_inverted() || !self.is_in_order(&order.axes) {
            return Ok(None);
        }
        Ok(self.computed(region)?.map(Operand::Computed))
    }

    /// Returns whether large regions are read faster than small ones.
    pub(super) fn is_read_in_batches(&self) -> bool {
        !self.reader.is_computed_in_memory()
    }

    /// Returns the indices of the reader inside a region of this array.
    fn bounds_of(&self, region: &Region) -> Region {
        let mut bounds = self.bounds.clone();
        for (axis, range) in region.ranges().enumerate() {
            if let Some((axis, range)) = self.reader_range(axis, &range) {
                bounds.start[axis] = range.start;
                bounds.end[axis] = range.end;
            }
        }
        bounds
    }

    /// Reads all elements into a new array, whose memory order is that of the source.
    pub(super) fn to_array(&self) -> Result<Array<A, D>> {
        let mut elements = Vec::new();
        self.read_into(&mut elements)?;
        let array = ArrayD::from_shape_vec(lens_in(&self.order, &self.bounds), elements);
        let array = array.expect("an element for each index");
        let array = arranged(array, &self.order, &self.axes);
        Ok(array.into_dimensionality().expect("an axis for each axis of the array"))
    }

    /// Returns whether the order of the reader is that of these axes, all in ascending direction.
    fn is_in_order(&self, order: &[usize]) -> bool {
        self.are_reader_axes(order.iter().copied(), self.order.iter().copied())
    }

    /// Returns whether axes, without inserted ones, are these of the reader in ascending direction.
    fn are_reader_axes(
        &self,
        axes: impl Iterator<Item = usize>,
        of_reader: impl Iterator<Item = usize>,
    ) -> bool {
        axes.map(|axis| self.axes[axis])
            .filter_map(|axis| match axis {
                LazyAxis::Reader { axis, is_inverted } => Some((axis, is_inverted)),
                LazyAxis::Inserted { .. } => None,
            })
            .eq(of_reader.map(|axis| (axis, false)))
    }

    /// Uses new buffers, whose memory is returned with this array.
    pub(super) fn with_new_buffers(self) -> Self {
        Self { buffers: Arc::default(), ..self }
    }

    /// Uses the buffers of another array.
    fn with_buffers_of(self, other: &Self) -> Self {
        Self { buffers: Arc::clone(&other.buffers), ..self }
    }

    /// Replaces the contents of a buffer with all elements, in the order of the reader.
    fn read_into(&self, elements: &mut Vec<A>) -> Result<()> {
        self.read_bounds(&self.bounds, elements)
    }

    fn read_bounds(&self, bounds: &Region, elements: &mut Vec<A>) -> Result<()> {
        if bounds.len() == 0 {
            elements.clear();
            return Ok(());
        }
        let needed = bounds.len().saturating_mul(size_of::<A>());
        let available = system::ram_bytes_or_max();
        if needed > available {
            let remedy = "read a smaller slice, or process the array in chunks";
            let kind = ErrorKind::InsufficientMemory { needed, available, remedy };
            return Err(kind.at(self.reader.path()));
        }
        self.reader.read(bounds, elements)
    }
}

/// Checks that the elements of an array do not exceed the address space. ndarray requires that the
/// product of the lengths that are not 0 fits `isize`.
fn check_len<A>(shape: &[usize], path: Option<&Path>) -> Result<()> {
    let mut lens = shape.iter().filter(|&&len| len > 0);
    let bytes = lens.try_fold(size_of::<A>().max(1), |bytes, &len| bytes.checked_mul(len));
    if bytes.is_none_or(|bytes| bytes > isize::MAX as usize) {
        let (shape, element) = (shape.to_vec(), std::any::type_name::<A>());
        return Err(ErrorKind::TooLarge { shape, element, offset: 0 }.at(path));
    }
    Ok(())
}

// Buffers are only reused if reading them succeeded, and a file of many is checked when it is opened
// again. A closure that panics leaves nothing inconsistent but what it captured itself, as in any
// shared closure.
impl<A, D> UnwindSafe for LazyArray<'_, A, D> {}
impl<A, D> RefUnwindSafe for LazyArray<'_, A, D> {}

impl<A, D> Clone for LazyArray<'_, A, D> {
    fn clone(&self) -> Self {
        Self {
            reader: Arc::clone(&self.reader),
            buffers: Arc::clone(&self.buffers),
            order: Arc::clone(&self.order),
            bounds: self.bounds.clone(),
            axes: self.axes.clone(),
            layouts: self.layouts.clone(),
            dim: PhantomData,
        }
    }
}

/// Shows the shape, but no elements.
impl<A, D: Dimension> fmt::Debug for LazyArray<'_, A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyArray")
            .field("shape", &self.raw_dim().slice())
            .field("path", &self.path().map(PathBuf::from))
            .finish_non_exhaustive()
    }
}
