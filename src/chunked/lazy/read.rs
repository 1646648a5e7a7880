//! Slices of lazy arrays as owned arrays.
#![forbid(unsafe_code)]

use ndarray::{Array, ArrayD, Dimension, Slice, SliceArg};

use super::LazyArray;
use crate::chunked::any_array::{AnyArray, with_pages_pinned};
use crate::error::Result;
use crate::geometry::{Indices, Region, Selection};

/// The number of elements that may be read in addition to those of a slice with steps, as a multiple
/// of the number of elements of the slice.
const MAX_SKIPPED: usize = 4;

/// The number of elements up to which a slice with steps is read with all elements in between.
const MIN_PART: usize = 4096;

impl<A: Copy, D: Dimension> LazyArray<'_, A, D> {
    /// Reads or computes a slice of the array: ndarray's `slice`, as an owned array.
    ///
    /// The slice is any that ndarray accepts, with steps, descending ranges, single indices and new
    /// axes. The result has the memory order and the direction of the source, so a descending range
    /// has a negative stride. At most four times as many elements as the slice contains are read, or
    /// 4,096 if that is more.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let table = Array2::from_shape_fn((100, 4), |(i, j)| 10 * i + j);
    /// let squares = table.chunked().map(|&x| x * x).into_lazy();
    /// assert_eq!(squares.read(s![1, ..;-2])?, array![169, 121]);
    /// assert_eq!(squares.read(s![..;50, 0])?, array![0, 250_000]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the error of the source if its elements cannot be read.
    ///
    /// # Panics
    ///
    /// Panics if an index is out of bounds, a step is zero, or the number of axes differs (with
    /// `IxDyn`), as ndarray's `slice` does.
    #[track_caller]
    pub fn read<I: SliceArg<D>>(&self, slice: I) -> Result<Array<A, I::OutDim>> {
        let selection = Selection::of_slice(self.raw_dim().slice(), slice.as_ref());
        let elements = self.read_indices(selection.axes())?;
        let result = selection.arrange(elements);
        Ok(result.into_dimensionality().expect("the slice has as many axes as its result"))
    }

    /// Reads the whole array into memory.
    ///
    /// # Errors
    ///
    /// The errors of [`read`](Self::read).
    pub fn read_all(&self) -> Result<Array<A, D>> {
        self.read_part(&Region::whole(self.raw_dim().slice()))
    }

    /// Reads the elements inside a region. Pages of mapped arrays are pinned meanwhile.
    fn read_part(&self, region: &Region) -> Result<Array<A, D>> {
        let part = self.slice_region(region);
        with_pages_pinned(&AnyArray::Lazy(part.clone().into_dyn()), |_| part.to_array())
    }

    /// Reads the elements at all combinations of indices.
    fn read_indices(&self, axes: &[Indices]) -> Result<ArrayD<A>> {
        let span = |indices: &Indices| match indices.len {
            0 => 0,
            len => (len - 1) * indices.step + 1,
        };
        let len: usize = axes.iter().map(|indices| indices.len).product();
        let spanned = axes.iter().map(span).fold(1, usize::saturating_mul);
        let widest =
            (0..axes.len()).filter(|&axis| axes[axis].len > 1).max_by_key(|&axis| axes[axis].step);
        match widest {
            Some(axis)
                if len > 0
                    && axes[axis].step > 1
                    && spanned > MIN_PART.max(len.saturating_mul(MAX_SKIPPED)) =>
            {
                self.read_each(axes, axis)
            }
            _ => {
                let region = Region {
                    start: axes.iter().map(|indices| indices.start).collect::<Vec<_>>()[..].into(),
                    end: axes
                        .iter()
                        .map(|indices| indices.start + span(indices))
                        .collect::<Vec<_>>()[..]
                        .into(),
                };
                let mut elements = self.read_part(&region)?.into_dyn();
                elements.slice_each_axis_inplace(|axis| {
                    Slice::new(0, None, axes[axis.axis.index()].step as isize)
                });
                // The elements in between are not kept.
                let has_gaps = axes.iter().any(|indices| indices.step > 1);
                Ok(if has_gaps { elements.as_standard_layout().into_owned() } else { elements })
            }
        }
    }

    /// Reads the elements at each index along an axis.
    fn read_each(&self, axes: &[Indices], axis: usize) -> Result<ArrayD<A>> {
        let lens: Vec<_> = axes.iter().map(|indices| indices.len).collect();
        let mut result: Option<ArrayD<A>> = None;
        for index in 0..axes[axis].len {
            let mut part = axes.to_vec();
            part[axis] =
                Indices { start: axes[axis].start + index * axes[axis].step, step: 1, len: 1 };
            let part = self.read_indices(&part)?;
            let first = *part.first().expect("the slice has elements");
            let result = result.get_or_insert_with(|| ArrayD::from_elem(lens.clone(), first));
            result.slice_axis_mut(ndarray::Axis(axis), Slice::from(index..index + 1)).assign(&part);
        }
        Ok(result.expect("the slice has elements"))
    }
}
