//! Views as sources of chunks.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ops::Range;

use ndarray::{ArrayView, ArrayViewMut, Axis, Dimension, Slice};

use super::{ArraySource, ChunkSource, IterEnd, Part, ReadOnlySource, Splitter};
use crate::chunked::any_array::{AnyArray, Loaded};
use crate::chunked::elements::MemoryOrder;
use crate::chunked::lazy::Operand;
use crate::chunked::region::ChunkRegion;
use crate::error::Result;
use crate::geometry::{Region, StridedLayout};

macro_rules! view_source {
    ($view:ident, $splitter:ident, is_writable: $is_writable:literal) => {
        impl<'a, A, D: Dimension> ChunkSource for $view<'a, A, D> {
            type Dim = D;
            type Chunk = $view<'a, A, D>;
            type Splitter = $splitter<'a, A, D>;
            type With<Q: ChunkSource<Dim = Self::Dim>> = (Self, Q);

            fn source_shape(&self) -> D {
                self.raw_dim()
            }

            fn restrict_axis(&mut self, axis: usize, range: Range<usize>) {
                self.slice_axis_inplace(Axis(axis), Slice::from(range));
            }

            fn layouts(&self, layouts: &mut Vec<StridedLayout>) {
                layouts.push(StridedLayout::of(self, $is_writable));
            }

            fn splitter(self) -> Self::Splitter {
                self.into()
            }

            fn zip_source<Q: ChunkSource<Dim = Self::Dim>>(self, other: Q) -> (Self, Q) {
                (self, other)
            }
        }

        impl<A, D: Dimension> Part for $view<'_, A, D> {
            type Chunk = Self;

            fn load(self) -> Result<Self> {
                Ok(self)
            }
        }
    };
}
view_source! { ArrayView, ArrayView, is_writable: false }
view_source! { ArrayViewMut, UnsplitRegions, is_writable: true }

impl<A, D: Dimension> ReadOnlySource for ArrayView<'_, A, D> {}

impl<A, D: Dimension> Splitter<D> for ArrayView<'_, A, D> {
    type Part = Self;

    fn take_part(&mut self, region: &ChunkRegion<D>, _order: &[usize], _end: IterEnd) -> Self {
        slice(self.clone(), region.region_with_halo())
    }
}

impl<A: Sync, D: Dimension> ArraySource for ArrayView<'_, A, D> {
    type Elem = A;

    fn into_any<'v>(self) -> AnyArray<'v, A>
    where
        Self: 'v,
    {
        AnyArray::View(self.into_dyn())
    }

    fn invert_axis(&mut self, axis: usize) {
        self.invert_axis(Axis(axis));
    }

    fn is_read_in_batches(&self) -> bool {
        false
    }

    fn load(&self, bounds: &Region) -> Result<Loaded<'_, A>> {
        Ok(Loaded::View(slice(self.view(), bounds).into_dyn()))
    }

    fn operand(&self, bounds: &Region, order: &MemoryOrder) -> Result<Option<Operand<'_, A>>> {
        Ok(operand(self.view(), bounds, order))
    }
}

/// Returns the part of a view inside a region.
pub(in crate::chunked) fn slice<'a, A, D: Dimension>(
    mut view: ArrayView<'a, A, D>,
    bounds: &Region,
) -> ArrayView<'a, A, D> {
    for (axis, range) in bounds.ranges().enumerate() {
        if range.len() < view.len_of(Axis(axis)) {
            view.slice_axis_inplace(Axis(axis), Slice::from(range));
        }
    }
    view
}

/// Returns the part of a mutable view inside a region.
pub(in crate::chunked) fn slice_mut<'a, A, D: Dimension>(
    mut view: ArrayViewMut<'a, A, D>,
    bounds: &Region,
) -> ArrayViewMut<'a, A, D> {
    for (axis, range) in bounds.ranges().enumerate() {
        if range.len() < view.len_of(Axis(axis)) {
            view.slice_axis_inplace(Axis(axis), Slice::from(range));
        }
    }
    view
}

/// Returns the elements of a view inside a region, if they are contiguous in the given order.
pub(in crate::chunked) fn operand<'a, A, D: Dimension>(
    view: ArrayView<'a, A, D>,
    bounds: &Region,
    order: &MemoryOrder,
) -> Option<Operand<'a, A>> {
    order.apply(slice(view, bounds)).to_slice().map(Operand::Slice)
}

/// The remaining regions of a mutable array, which are few, in the order of iteration.
#[derive(Debug)]
pub struct UnsplitRegions<'a, A, D: Dimension>(VecDeque<(Region, ArrayViewMut<'a, A, D>)>);

impl<'a, A, D: Dimension> From<ArrayViewMut<'a, A, D>> for UnsplitRegions<'a, A, D> {
    fn from(view: ArrayViewMut<'a, A, D>) -> Self {
        let bounds = Region::whole(view.shape());
        Self(VecDeque::from([(bounds, view)]))
    }
}

impl<'a, A, D: Dimension> Splitter<D> for UnsplitRegions<'a, A, D> {
    type Part = ArrayViewMut<'a, A, D>;

    fn take_part(&mut self, region: &ChunkRegion<D>, order: &[usize], end: IterEnd) -> Self::Part {
        let target = region.region();
        let (mut bounds, mut view) = loop {
            let next = match end {
                IterEnd::Front => self.0.pop_front(),
                IterEnd::Back => self.0.pop_back(),
            };
            let next = next.expect("each chunk is taken once");
            if target
                .ranges()
                .zip(next.0.ranges())
                .all(|(chunk, rest)| rest.start <= chunk.start && chunk.end <= rest.end)
            {
                break next;
            }
        };
        // Axes are split from the slowest to the fastest, so that every remainder comes before or
        // after the chunk.
        for &axis in order {
            let chunk = target.range(axis);
            if bounds.start[axis] < chunk.start {
                let (before, rest) = split((bounds, view), axis, chunk.start);
                if let IterEnd::Back = end {
                    self.0.push_back(before);
                }
                (bounds, view) = rest;
            }
            if chunk.end < bounds.end[axis] {
                let (rest, after) = split((bounds, view), axis, chunk.end);
                if let IterEnd::Front = end {
                    self.0.push_front(after);
                }
                (bounds, view) = rest;
            }
        }
        view
    }
}

type Node<'a, A, D> = (Region, ArrayViewMut<'a, A, D>);

fn split<'a, A, D: Dimension>(
    (bounds, view): Node<'a, A, D>,
    axis: usize,
    at: usize,
) -> (Node<'a, A, D>, Node<'a, A, D>) {
    let (first_view, second_view) = view.split_at(Axis(axis), at - bounds.start[axis]);
    let mut first = bounds.clone();
    let mut second = bounds;
    first.end[axis] = at;
    second.start[axis] = at;
    ((first, first_view), (second, second_view))
}
