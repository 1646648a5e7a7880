//! Which part of an array each chunk is: plain geometry.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{ArrayRef, Axis, Dimension};

/// What a chunk should measure along its axis.
#[derive(Clone, Copy, Debug)]
pub(super) enum ChunkSize {
    /// This many indices.
    Len(usize),
    /// As many indices as fit these bytes, one at least.
    Bytes(usize),
}

/// A cut of one axis into steps, the last one perhaps short. An array of 0 dimensions is one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    axis: Option<Axis>,
    len: usize,
    step: usize,
}

impl Plan {
    /// Cuts `axis`, or the slowest one, so that a chunk is as contiguous as can be.
    pub(super) fn new<A, D: Dimension>(array: &ArrayRef<A, D>, axis: Option<Axis>, size: ChunkSize) -> Self {
        let Some(axis) = axis.or_else(|| slowest_axis(array)) else {
            return Self { axis: None, len: 1, step: 1 };
        };
        let len = array.len_of(axis);
        // An array without elements has no chunks, whatever the length of the axis.
        let len = if array.is_empty() { 0 } else { len };
        let step = match size {
            ChunkSize::Len(step) => step,
            ChunkSize::Bytes(bytes) => bytes / (array.len() / len.max(1) * size_of::<A>()).max(1),
        };
        Self { axis: Some(axis), len, step: step.clamp(1, len.max(1)) }
    }

    /// The axis that is cut; `None` in 0 dimensions.
    pub(super) fn axis(&self) -> Option<Axis> {
        self.axis
    }

    /// The number of chunks.
    pub(super) fn count(&self) -> usize {
        self.len.div_ceil(self.step)
    }

    /// The indices of a chunk along the axis.
    pub(super) fn range(&self, chunk: usize) -> Range<usize> {
        let begin = chunk * self.step;
        begin..self.len.min(begin.saturating_add(self.step))
    }
}

fn slowest_axis<A, D: Dimension>(array: &ArrayRef<A, D>) -> Option<Axis> {
    // Of equal strides (axes of length 1) the first axis counts as the slowest.
    array.axes().rev().max_by_key(|axis| (axis.len > 1, axis.stride.unsigned_abs())).map(|axis| axis.axis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, ArrayD, IxDyn, ShapeBuilder, arr0};
    use proptest::prelude::*;

    #[test]
    fn the_slowest_axis_is_cut() {
        let axis = |array: &ArrayRef<f64, _>| Plan::new(array, None, ChunkSize::Len(1)).axis();
        assert_eq!(axis(&Array2::zeros((3, 4))), Some(Axis(0)));
        assert_eq!(axis(&Array2::zeros((3, 4).f())), Some(Axis(1)));
        assert_eq!(axis(&Array2::zeros((1, 4))), Some(Axis(1)));
        assert_eq!(axis(&Array2::zeros((1, 1))), Some(Axis(0)));
        assert_eq!(Plan::new(&arr0(1.0), None, ChunkSize::Len(1)), Plan { axis: None, len: 1, step: 1 });
    }

    #[test]
    fn bytes_make_whole_rows() {
        let table = Array2::<f64>::zeros((10, 4));
        let count = |bytes| Plan::new(&table, None, ChunkSize::Bytes(bytes)).count();
        assert_eq!([count(0), count(31), count(32), count(95), count(96), count(usize::MAX)], [10, 10, 10, 5, 4, 1]);
        assert_eq!(Plan::new(&Array2::<f64>::zeros((10, 0)), None, ChunkSize::Bytes(8)).count(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn every_index_once(
            shape in prop::collection::vec(0_usize..7, 0..5),
            size in prop_oneof![any::<usize>().prop_map(ChunkSize::Len), (0_usize..9).prop_map(ChunkSize::Len),
                                (0_usize..999).prop_map(ChunkSize::Bytes)],
            axis in any::<prop::sample::Index>(),
        ) {
            let array = ArrayD::<u16>::zeros(IxDyn(&shape));
            let axis = (!shape.is_empty()).then(|| Axis(axis.index(shape.len())));
            let plan = Plan::new(&array, axis, size);
            let indices: Vec<_> = (0..plan.count()).flat_map(|chunk| plan.range(chunk)).collect();
            let len = if array.is_empty() { 0 } else { axis.map_or(1, |axis| shape[axis.index()]) };
            prop_assert_eq!(indices, (0..len).collect::<Vec<_>>());
            prop_assert!((0..plan.count()).all(|chunk| !plan.range(chunk).is_empty()));
        }
    }
}
