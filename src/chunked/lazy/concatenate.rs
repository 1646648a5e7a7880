//! Several arrays as one, concatenated or stacked along an axis.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewMutD, Axis, Dimension, RemoveAxis, Slice};

use super::{LazyArray, ReadArray, check_len};
use crate::chunked::ChunkedExt;
use crate::chunked::any_array::{AnyArray, with_pages_pinned};
use crate::chunked::limit::path_of;
use crate::chunked::saved::saved_arrays;
use crate::chunked::source::{ArraySource, ChunkSource};
use crate::distributed::SavedArray;
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::{Region, memory_order};

/// Arrays that are concatenated along an axis.
struct Concatenated<'a, A> {
    axis: usize,
    /// The axes from the slowest to the fastest.
    order: Vec<usize>,
    parts: Vec<AnyArray<'a, A>>,
    /// The index along the axis at which each part starts, and the length of the axis.
    starts: Vec<usize>,
    path: Option<PathBuf>,
}

/// Several arrays as one.
impl<'a, A: Copy + Send + Sync + 'a, D: Dimension> LazyArray<'a, A, D> {
    /// Concatenates arrays along an axis, like ndarray's `concatenate`, without reading them.
    ///
    /// The arrays are mapped arrays, [`ArrayFile`](crate::ArrayFile)s, arrays in memory or lazy
    /// arrays. They must have the same length along all other axes. The result has the memory order
    /// of the first array that is not empty; it is read fastest if the others have the same one. The
    /// pages of mapped arrays are not counted by a [memory limit](crate::Chunked::memory_limit); with
    /// [`concatenate_npy`](LazyArray::concatenate_npy) no page is mapped.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{LazyArray, prelude::*};
    ///
    /// let january = array![[1.0, 2.0], [3.0, 4.0]];
    /// let february = array![[5.0, 6.0]];
    /// let year = LazyArray::concatenate(Axis(0), &[&january, &february])?;
    /// assert_eq!(year.chunked().mean_axis(Axis(0))?, array![3.0, 4.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::ConcatenationMismatch`] with the paths of both arrays if one does not fit
    /// the first, [`ErrorKind::Unsupported`] if there are no arrays, and [`ErrorKind::TooLarge`] if the
    /// result has more elements than the address space.
    ///
    /// # Panics
    ///
    /// Panics if the axis is out of bounds. With `IxDyn`, this is [`ErrorKind::Unsupported`].
    #[track_caller]
    pub fn concatenate<T>(axis: Axis, arrays: &[&'a T]) -> Result<Self>
    where
        T: ChunkedExt<Elem = A, Dim = D> + ?Sized,
    {
        let arrays = arrays.iter().map(|array| array.chunked().into_source().into_any());
        Self::of_parts(axis, arrays.collect())
    }

    /// Stacks arrays of the same shape along a new axis, like ndarray's `stack`, without reading
    /// them; see [`concatenate`](Self::concatenate).
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{LazyArray, prelude::*};
    ///
    /// let planes = [array![[1, 2], [3, 4]], array![[5, 6], [7, 8]]];
    /// let volume: LazyArray<'_, _, Ix3> = LazyArray::stack(Axis(0), &[&planes[0], &planes[1]])?;
    /// assert_eq!(volume.chunked().max_axis(Axis(0))?, planes[1]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`concatenate`](Self::concatenate).
    ///
    /// # Panics
    ///
    /// Panics if the axis exceeds the number of axes of the arrays. With `IxDyn`, this is
    /// [`ErrorKind::Unsupported`].
    #[track_caller]
    pub fn stack<T>(axis: Axis, arrays: &[&'a T]) -> Result<Self>
    where
        D: RemoveAxis,
        T: ChunkedExt<Elem = A, Dim = D::Smaller> + ?Sized,
    {
        let arrays = arrays.iter().map(|array| array.chunked().into_source().into_any());
        Self::of_stacked(axis, arrays.collect())
    }

    /// Stacks arrays of dynamic dimension. Checks their shapes.
    #[track_caller]
    pub(super) fn of_stacked(axis: Axis, parts: Vec<AnyArray<'a, A>>) -> Result<Self> {
        let Some(first) = parts.first() else { return Err(no_arrays()) };
        check_ndim(D::NDIM.map(|ndim| ndim.saturating_sub(1)), first)?;
        check_axis::<D>(axis, first.raw_dim().ndim() + 1, first)?;
        check_shapes(None, &parts)?;
        Self::of_parts(axis, parts.into_iter().map(|part| part.insert_axis(axis)).collect())
    }

    /// Concatenates arrays of dynamic dimension. Checks their shapes.
    #[track_caller]
    pub(super) fn of_parts(axis: Axis, parts: Vec<AnyArray<'a, A>>) -> Result<Self> {
        let Some(first) = parts.first() else { return Err(no_arrays()) };
        check_ndim(D::NDIM, first)?;
        check_axis::<D>(axis, first.raw_dim().ndim(), first)?;
        check_shapes(Some(axis.index()), &parts)?;
        let mut shape = first.raw_dim();
        let axis = axis.index();
        let path = parts.iter().find_map(path_of);
        // Separate buffers for each part would add up.
        let shared = parts.iter().find_map(|part| match part {
            AnyArray::Lazy(lazy) => Some(lazy.clone()),
            AnyArray::View(_) => None,
        });
        let share = |part| match (part, &shared) {
            (AnyArray::Lazy(lazy), Some(shared)) => AnyArray::Lazy(lazy.with_buffers_of(shared)),
            (part, _) => part,
        };
        let mut parts: Vec<_> = parts.into_iter().map(share).collect();
        let lens = parts.iter().map(|part| part.len_of(Axis(axis)));
        shape[axis] = lens.fold(0, usize::saturating_add);
        parts.retain(|part| part.len() > 0);
        let lens = parts.iter().map(|part| part.len_of(Axis(axis)));
        let mut starts: Vec<usize> = std::iter::once(0).chain(lens).collect();
        for index in 1..starts.len() {
            starts[index] = starts[index].saturating_add(starts[index - 1]);
        }
        check_len::<A>(shape.slice(), path.as_deref())?;
        let order = order_of(&parts, axis, shape.ndim());
        let mut fixed = D::zeros(shape.ndim());
        fixed.slice_mut().copy_from_slice(shape.slice());
        let axes = order.clone();
        let parts = Concatenated { axis, order, parts, starts, path };
        Ok(Self::new(Arc::new(parts), &fixed, &axes))
    }
}

fn no_arrays() -> Error {
    let reason = "no arrays or files were given to concatenate; expected at least one".to_owned();
    ErrorKind::Unsupported { reason }.at(None)
}

/// Checks an axis of a result that has `ndim` dimensions, like `first`. A dynamic number of
/// dimensions is known only when the file is open, so that a wrong axis is an error.
#[track_caller]
fn check_axis<D: Dimension>(axis: Axis, ndim: usize, first: &impl ChunkSource) -> Result<()> {
    let axis = axis.index();
    if axis < ndim {
        return Ok(());
    }
    let reason = format!("axis {axis} is out of bounds for an array of {ndim} dimensions");
    assert!(D::NDIM.is_none(), "{reason}");
    Err(ErrorKind::Unsupported { reason }.at(path_of(first).as_deref()))
}

/// Checks the number of dimensions of the first array, if it is known.
fn check_ndim<A: Copy + Send + Sync>(
    expected: Option<usize>,
    first: &AnyArray<'_, A>,
) -> Result<()> {
    let shape = first.raw_dim();
    match expected {
        Some(expected) if expected != shape.ndim() => {
            let shape = shape.slice().to_vec();
            Err(ErrorKind::DimensionMismatch { expected, shape }.at(path_of(first).as_deref()))
        }
        _ => Ok(()),
    }
}

/// Checks that all arrays have the shape of the first one, except for the length of an axis along
/// which they are concatenated.
fn check_shapes<A: Copy + Send + Sync>(
    axis: Option<usize>,
    parts: &[AnyArray<'_, A>],
) -> Result<()> {
    let expected = parts[0].raw_dim();
    for (index, part) in parts.iter().enumerate() {
        let mut found = part.raw_dim();
        if let Some(axis) = axis.filter(|_| found.ndim() == expected.ndim()) {
            found[axis] = expected[axis];
        }
        if found != expected {
            let [first, found] = [&expected, &part.raw_dim()].map(|dim| dim.slice().to_vec());
            let first_path = path_of(&parts[0]);
            let kind = ErrorKind::ConcatenationMismatch { axis, first, first_path, index, found };
            return Err(kind.at(path_of(part).as_deref()));
        }
    }
    Ok(())
}

/// Returns the memory order of the first part. If all parts have one index along the axis of the
/// concatenation, this axis is the slowest.
fn order_of<A>(parts: &[AnyArray<'_, A>], axis: usize, ndim: usize) -> Vec<usize> {
    let long = parts.iter().find(|part| part.len_of(Axis(axis)) > 1);
    let Some(part) = long.or(parts.first()) else { return (0..ndim).collect() };
    let layout = &part.layouts()[0];
    let shape = part.raw_dim();
    let strides = layout.byte_strides.iter().copied().enumerate().map(|(index, stride)| {
        if index == axis && long.is_none() { (2, isize::MAX) } else { (shape[index], stride) }
    });
    memory_order(strides)
}

impl<A: Copy + Send + Sync> ReadArray<A> for Concatenated<'_, A> {
    fn read(&self, region: &Region, elements: &mut Vec<A>) -> Result<()> {
        let wanted = region.range(self.axis);
        let first = self.starts.partition_point(|&start| start <= wanted.start) - 1;
        let parts = (first..self.parts.len()).take_while(|&part| self.starts[part] < wanted.end);
        let lens = |region: &Region| -> Vec<_> {
            self.order.iter().map(|&axis| region.range(axis).len()).collect()
        };
        let position = self.order.iter().position(|&axis| axis == self.axis).expect("an axis");
        elements.clear();
        for part in parts {
            let start = self.starts[part];
            let range = wanted.start.max(start)..wanted.end.min(self.starts[part + 1]);
            let mut inside = region.clone();
            inside.start[self.axis] = range.start - start;
            inside.end[self.axis] = range.end - start;
            let part = &self.parts[part];
            if range == wanted {
                return read_in_order(part, &inside, &self.order, elements);
            }
            let mut some = Vec::new();
            read_in_order(part, &inside, &self.order, &mut some)?;
            if elements.is_empty() {
                elements.reserve_exact(region.len());
                elements.resize(region.len(), some[0]);
            }
            let mut target =
                ArrayViewMutD::from_shape(lens(region), elements).expect("all elements");
            let range = range.start - wanted.start..range.end - wanted.start;
            target.slice_axis_inplace(Axis(position), Slice::from(range));
            target.assign(&ArrayD::from_shape_vec(lens(&inside), some).expect("all elements"));
        }
        Ok(())
    }

    fn extra_bytes(&self) -> usize {
        let buffered = self.parts.iter().map(AnyArray::buffered_bytes).max().unwrap_or(0);
        2 * size_of::<A>() + buffered
    }

    fn scratch_bytes(&self) -> usize {
        self.parts.iter().map(AnyArray::scratch_bytes).max().unwrap_or(0)
    }

    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn saved_files(&self) -> Result<Vec<SavedArray>> {
        let mut files = Vec::new();
        for part in &self.parts {
            files.append(&mut saved_arrays(part)?);
        }
        Ok(files)
    }
}

/// Reads the elements inside a region with the axes in the given order.
fn read_in_order<A: Copy + Send + Sync>(
    array: &AnyArray<'_, A>,
    region: &Region,
    order: &[usize],
    elements: &mut Vec<A>,
) -> Result<()> {
    let part = array.slice_region(region);
    with_pages_pinned(&part, |whole| {
        if let AnyArray::Lazy(lazy) = &part
            && lazy.is_in_order(order)
        {
            return lazy.read_into(elements);
        }
        let loaded = part.load(whole)?;
        let view = loaded.view().permuted_axes(order);
        elements.clear();
        elements.reserve_exact(view.len());
        match view.to_slice() {
            Some(slice) => elements.extend_from_slice(slice),
            None => elements.extend(view.iter().copied()),
        }
        Ok(())
    })
}
