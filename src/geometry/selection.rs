//! Slices of arrays as plain integers: the indices selected along each axis.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{ArrayBase, Axis, IxDyn, RawData, SliceInfoElem};

use super::Region;

/// The elements of an array that a slice selects, and the axes of the result.
///
/// Elements are selected in ascending order of their indices: the direction of an axis only
/// concerns the [arrangement](Self::arrange) of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The indices selected along each axis of the array.
    axes: Vec<Indices>,
    /// True for each axis of the array that the result visits in descending order.
    reversed: Vec<bool>,
    /// The origin of each axis of the result.
    result: Vec<ResultAxis>,
}

/// Indices along an axis: `start`, `start + step`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Indices {
    pub(crate) start: usize,
    /// At least 1.
    pub(crate) step: usize,
    /// The number of indices.
    pub(crate) len: usize,
}

/// The origin of an axis of the result of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResultAxis {
    /// The axis of the array with this number.
    Array(usize),
    /// A new axis of length 1.
    New,
}

impl Selection {
    /// Returns the selection of all elements of a region.
    pub(crate) fn of_region(region: &Region) -> Self {
        let axes: Vec<_> = region
            .ranges()
            .map(|range| Indices { start: range.start, step: 1, len: range.len() })
            .collect();
        let result = (0..axes.len()).map(ResultAxis::Array).collect();
        Self { reversed: vec![false; axes.len()], axes, result }
    }

    /// Returns the selection of a slice, with the meaning and the panics of ndarray's `slice`.
    ///
    /// # Panics
    ///
    /// Panics if the slice has another number of axes than the array, an index or the end of a
    /// range is out of bounds, or a step is zero.
    #[track_caller]
    pub(crate) fn of_slice(shape: &[usize], slice: &[SliceInfoElem]) -> Self {
        let ndim = slice.iter().filter(|part| !part.is_new_axis()).count();
        assert_eq!(
            ndim,
            shape.len(),
            "the slice has {ndim} axes, the array has shape {shape:?}; use one part for each axis"
        );
        let mut selection = Self {
            axes: Vec::with_capacity(ndim),
            reversed: Vec::with_capacity(ndim),
            result: Vec::with_capacity(slice.len()),
        };
        for part in slice {
            let axis = selection.axes.len();
            match *part {
                SliceInfoElem::NewAxis => selection.result.push(ResultAxis::New),
                SliceInfoElem::Index(index) => {
                    let start = absolute(index, shape[axis]).filter(|&start| start < shape[axis]);
                    // A closure would not have the location of the caller.
                    let start = match start {
                        Some(start) => start,
                        None => out_of_bounds("index", index, axis, shape),
                    };
                    selection.axes.push(Indices { start, step: 1, len: 1 });
                    selection.reversed.push(false);
                }
                SliceInfoElem::Slice { start, end, step } => {
                    let (indices, reversed) = range(axis, shape, start, end, step);
                    selection.result.push(ResultAxis::Array(axis));
                    selection.axes.push(indices);
                    selection.reversed.push(reversed);
                }
            }
        }
        selection
    }

    /// Returns the selection of a range of indices along an additional, last axis of the array.
    pub(crate) fn with_axis(mut self, range: &Range<usize>) -> Self {
        self.result.push(ResultAxis::Array(self.axes.len()));
        self.axes.push(Indices { start: range.start, step: 1, len: range.len() });
        self.reversed.push(false);
        self
    }

    /// Returns the indices selected along each axis of the array.
    pub(crate) fn axes(&self) -> &[Indices] {
        &self.axes
    }

    /// Returns the number of indices selected along each axis of the array.
    pub(crate) fn lens(&self) -> IxDyn {
        IxDyn(&self.axes.iter().map(|indices| indices.len).collect::<Vec<_>>())
    }

    /// Returns the number of elements selected.
    pub(crate) fn len(&self) -> usize {
        self.axes.iter().map(|indices| indices.len).product()
    }

    /// Returns the shape of the result.
    pub(crate) fn shape(&self) -> Vec<usize> {
        let len = |axis: &ResultAxis| match *axis {
            ResultAxis::Array(axis) => self.axes[axis].len,
            ResultAxis::New => 1,
        };
        self.result.iter().map(len).collect()
    }

    /// Converts the selected elements, an array of [these](Self::lens) axis lengths with ascending
    /// indices, into the result of the slice. No element is moved in memory.
    pub(crate) fn arrange<S: RawData>(
        &self,
        mut elements: ArrayBase<S, IxDyn>,
    ) -> ArrayBase<S, IxDyn> {
        self.reverse(&mut elements);
        for axis in (0..self.axes.len()).rev().filter(|&axis| self.is_removed(axis)) {
            elements = elements.index_axis_move(Axis(axis), 0);
        }
        for (axis, _) in self.new_axes() {
            elements = elements.insert_axis(Axis(axis));
        }
        elements
    }

    /// Converts an array with the shape of the [result](Self::shape) into one of the selected
    /// elements, with ascending indices: the inverse of [`arrange`](Self::arrange).
    pub(crate) fn rearrange<S: RawData>(
        &self,
        mut result: ArrayBase<S, IxDyn>,
    ) -> ArrayBase<S, IxDyn> {
        for (axis, _) in self.new_axes().rev() {
            result = result.index_axis_move(Axis(axis), 0);
        }
        for axis in (0..self.axes.len()).filter(|&axis| self.is_removed(axis)) {
            result = result.insert_axis(Axis(axis));
        }
        self.reverse(&mut result);
        result
    }

    fn reverse<S: RawData>(&self, elements: &mut ArrayBase<S, IxDyn>) {
        for (axis, _) in self.reversed.iter().enumerate().filter(|(_, reversed)| **reversed) {
            elements.invert_axis(Axis(axis));
        }
    }

    /// Returns whether the result does not have this axis of the array.
    fn is_removed(&self, axis: usize) -> bool {
        !self.result.contains(&ResultAxis::Array(axis))
    }

    fn new_axes(&self) -> impl DoubleEndedIterator<Item = (usize, &ResultAxis)> {
        self.result.iter().enumerate().filter(|(_, axis)| **axis == ResultAxis::New)
    }
}

/// Returns the index from the start of an axis, where negative ones count from its end.
fn absolute(index: isize, len: usize) -> Option<usize> {
    if index < 0 { len.checked_sub(index.unsigned_abs()) } else { Some(index.unsigned_abs()) }
}

/// Returns the indices of a range along an axis, and whether they are selected in descending order.
#[track_caller]
fn range(
    axis: usize,
    shape: &[usize],
    start: isize,
    end: Option<isize>,
    step: isize,
) -> (Indices, bool) {
    let axis_len = shape[axis];
    let bound = |index| absolute(index, axis_len).filter(|&bound| bound <= axis_len);
    assert!(step != 0, "step of the slice along axis {axis} is zero");
    let first = match bound(start) {
        Some(first) => first,
        None => out_of_bounds("start", start, axis, shape),
    };
    let end = end.unwrap_or(axis_len as isize);
    let last = match bound(end) {
        // An end before the start is an empty range, as in ndarray.
        Some(last) => last.max(first),
        None => out_of_bounds("end", end, axis, shape),
    };
    let len = (last - first).div_ceil(step.unsigned_abs());
    let step_len = step.unsigned_abs();
    // A descending range starts at its last index.
    let start = if step < 0 && len > 0 { last - 1 - (len - 1) * step_len } else { first };
    // One index has no direction, and its step may exceed the axis.
    let step_len = if len > 1 { step_len } else { 1 };
    (Indices { start, step: step_len, len }, step < 0 && len > 1)
}

#[track_caller]
fn out_of_bounds(name: &str, index: isize, axis: usize, shape: &[usize]) -> usize {
    panic!(
        "{name} {index} of the slice is out of bounds for axis {axis} of length {} (shape {shape:?})",
        shape[axis]
    )
}
