//! A view of an array whose first axis is that of its lanes.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{Array, ArrayD, ArrayView2, ArrayViewD, Axis, Dimension, IxDyn};

use crate::chunked::any_array::{AnyArray, Loaded};
use crate::chunked::blocks::BLOCK_BYTES;
use crate::error::Result;
use crate::geometry::{Region, StridedLayout, memory_order, partition_start};

/// The number of elements of a segment if neighbouring lanes are interleaved in memory. Changing it
/// changes bits.
const INTERLEAVED_SEGMENT_LEN: usize = 1024;

/// The minimum number of interleaved lanes. Fewer lanes are processed one by one.
const MIN_INTERLEAVED_LANES: usize = 8;

/// The minimum length of lanes that are processed one by one if they are contiguous.
const MIN_CONTIGUOUS_LEN: usize = 32;

/// The order in which the elements of lanes are pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneOrder {
    /// Row by row: one element of each of many lanes at once.
    Interleaved,
    /// Lane by lane.
    Contiguous,
}

/// An array with the axis of the lanes first, and the other axes from the slowest to the fastest.
#[derive(Clone)]
pub(super) struct LaneView<'v, A> {
    pub(super) array: AnyArray<'v, A>,
    pub(super) lane_order: LaneOrder,
    /// The number of elements of a segment.
    pub(super) segment_len: usize,
    /// The permutation of the other axes, which is reverted for the results.
    order: Vec<usize>,
    inverted: Vec<usize>,
    pub(super) lens: Vec<usize>,
}

impl<'v, A: Copy + Sync> LaneView<'v, A> {
    #[track_caller]
    pub(super) fn of(array: AnyArray<'v, A>, axis: Axis) -> Self {
        let shape = array.raw_dim();
        let ndim = shape.ndim();
        assert!(
            axis.index() < ndim,
            "axis {} is out of bounds for an array of {ndim} dimensions",
            axis.index()
        );
        let strides = array.strides();
        let others: Vec<_> = (0..ndim).filter(|&other| other != axis.index()).collect();
        let order = memory_order(others.iter().map(|&other| (shape[other], strides[other])));
        let mut axes = vec![axis.index()];
        axes.extend(order.iter().map(|&index| others[index]));
        let mut array = array.permuted_axes(axes);
        let strides = array.strides();
        let lens = array.raw_dim().slice()[1..].to_vec();
        let inverted: Vec<_> =
            (0..lens.len()).filter(|&lane_axis| strides[1 + lane_axis] < 0).collect();
        inverted.iter().for_each(|&lane_axis| array.invert_axis(Axis(1 + lane_axis)));
        if let AnyArray::View(view) = array {
            array = AnyArray::View(with_merged_lanes(view));
        }
        if array.raw_dim().ndim() == 1 {
            array = array.insert_axis(Axis(1));
        }
        let shape = array.raw_dim();
        let strides = array.strides();
        let len = shape[0];
        // Merged axes count as one, also if they are merged only when their elements are read.
        let (width, across) = fastest_run(&shape.slice()[1..], &strides[1..]);
        let along = strides[0].unsigned_abs();
        let is_lane_major = len > 1 && (width < 2 || along < across);
        let is_interleaved =
            width >= MIN_INTERLEAVED_LANES && !(is_lane_major && len >= MIN_CONTIGUOUS_LEN);
        let lane_order =
            if is_interleaved { LaneOrder::Interleaved } else { LaneOrder::Contiguous };
        let segment_len = match lane_order {
            LaneOrder::Interleaved => INTERLEAVED_SEGMENT_LEN,
            // A power of two, so that fractions of it are even.
            LaneOrder::Contiguous => 1 << (BLOCK_BYTES / size_of::<A>().max(1)).max(1).ilog2(),
        };
        Self { array, lane_order, segment_len, order, inverted, lens }
    }

    /// Returns the number of elements of a lane.
    pub(super) fn len(&self) -> usize {
        self.array.len_of(Axis(0))
    }

    /// Returns the number of lanes.
    pub(super) fn count(&self) -> usize {
        self.array.raw_dim().slice()[1..].iter().product()
    }

    /// Returns whether the elements of each lane are contiguous.
    pub(super) fn are_contiguous(&self) -> bool {
        self.len() < 2 || self.array.strides()[0] == 1
    }

    /// Returns whether the elements of neighbouring lanes at the same index are contiguous.
    pub(super) fn has_contiguous_rows(&self) -> bool {
        self.array.strides().last() == Some(&1)
    }

    /// Reads the elements inside a region, unless they are in memory. Their pages must be pinned.
    pub(super) fn load(&self, bounds: &Region) -> Result<Loaded<'_, A>> {
        self.array.load(bounds)
    }

    pub(super) fn shape(&self) -> IxDyn {
        self.array.raw_dim()
    }

    pub(super) fn layouts(&self) -> Vec<StridedLayout> {
        self.array.layouts()
    }

    /// Returns the range of the axis that is partition `index` of `count` partitions.
    pub(super) fn partition(&self, (index, count): (usize, usize)) -> Range<usize> {
        let segments = self.len().div_ceil(self.segment_len);
        let [start, end] = [index, index + 1].map(|index| {
            (partition_start(segments, index, count) * self.segment_len).min(self.len())
        });
        start..end
    }

    pub(super) fn slice_lanes(&self, range: Range<usize>) -> Self {
        let mut lanes = self.clone();
        lanes.array.slice_axis_inplace(Axis(0), range);
        lanes
    }

    /// Assembles the results of all lanes, in order, into an array with the shape of the source
    /// without the axis.
    pub(super) fn assemble<R, D: Dimension>(&self, results: Vec<R>) -> Array<R, D> {
        let mut array =
            ArrayD::from_shape_vec(self.lens.clone(), results).expect("a result for each lane");
        self.inverted.iter().for_each(|&lane_axis| array.invert_axis(Axis(lane_axis)));
        let mut back = vec![0; self.order.len()];
        self.order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
        array.permuted_axes(back).into_dimensionality().expect("one axis less")
    }
}

/// Returns a view of loaded elements, with one axis for lanes if their memory allows it.
pub(super) fn loaded_lanes<'l, A>(loaded: &'l Loaded<'_, A>) -> ArrayViewD<'l, A> {
    match loaded {
        Loaded::View(view) => view.view(),
        Loaded::Buffer(buffer) => with_merged_lanes(buffer.view()),
    }
}

/// Merges axes other than the first one that are contiguous in memory.
fn with_merged_lanes<A>(mut view: ArrayViewD<'_, A>) -> ArrayViewD<'_, A> {
    for axis in (1..view.ndim().saturating_sub(1)).rev() {
        if !view.is_empty() && view.merge_axes(Axis(axis), Axis(axis + 1)) {
            view = view.index_axis_move(Axis(axis), 0);
        }
    }
    view
}

/// Returns the length and the stride of the fastest axes that can be merged.
fn fastest_run(shape: &[usize], strides: &[isize]) -> (usize, usize) {
    let (mut width, mut across) = (1, 1);
    for (&len, stride) in shape.iter().zip(strides).rev() {
        let stride = stride.unsigned_abs();
        match len {
            1 => {}
            _ if width == 1 => (width, across) = (len, stride),
            _ if stride == across.saturating_mul(width) => width *= len,
            _ => break,
        }
    }
    (width, across)
}

/// Calls a closure with the planes of the first axis and the last one.
pub(super) fn for_each_plane<A>(block: ArrayViewD<'_, A>, work: &mut dyn FnMut(ArrayView2<'_, A>)) {
    match block.ndim() {
        2 => work(block.into_dimensionality().expect("two axes")),
        _ => (0..block.len_of(Axis(1)))
            .for_each(|index| for_each_plane(block.index_axis(Axis(1), index), work)),
    }
}

/// Splits a range at the multiples of a length.
pub(in crate::chunked) fn split_at_multiples(
    range: Range<usize>,
    len: usize,
) -> impl Iterator<Item = Range<usize>> {
    let mut start = range.start;
    std::iter::from_fn(move || {
        let segment = start..((start / len + 1) * len).min(range.end);
        start = segment.end;
        (!segment.is_empty()).then_some(segment)
    })
}
