//! What accumulators take the elements of: an array, or up to four side by side.
#![forbid(unsafe_code)]

use ndarray::{ArrayView, ArrayView2, ArrayViewD, Axis, Dimension, Zip};

use super::pieces::{Shared, slice};
use super::plan::{Bounds, memory_order};

/// What [`accumulate`](crate::Chunked::accumulate) takes the elements of: an [`ArrayView`], or a tuple of two to four, whose
/// elements are tuples. Sealed.
pub trait Elements: Shared {
    /// What is pushed into accumulators.
    type Element: Copy;

    /// The elements inside some bounds.
    #[doc(hidden)]
    fn inside(&self, bounds: &Bounds<Self::Dim>) -> Self;

    /// Calls a closure with the elements, in the order of the first array's memory.
    #[doc(hidden)]
    fn with_slice<R>(self, work: impl FnOnce(&[Self::Element]) -> R) -> R;
}

impl<A: Copy, D: Dimension> Elements for ArrayView<'_, A, D> {
    type Element = A;

    fn inside(&self, bounds: &Bounds<D>) -> Self {
        slice(self.clone(), bounds)
    }

    fn with_slice<R>(self, work: impl FnOnce(&[A]) -> R) -> R {
        if let Some(elements) = self.as_slice_memory_order() {
            return work(elements);
        }
        let order = MemoryOrder::of(&self);
        let mut elements = Vec::with_capacity(self.len());
        each_plane(order.apply(self), &mut |plane| {
            for line in plane.rows() {
                match line.to_slice() {
                    Some(slice) if slice.len() > SHORT => elements.extend_from_slice(slice),
                    _ => elements.extend(line),
                }
            }
        });
        work(&elements)
    }
}

macro_rules! tuples {
    ($($a:ident $first:ident $la:lifetime, $($b:ident $rest:ident $lb:lifetime),+;)*) => {$(
        impl<$la, $($lb,)+ $first: Copy, $($rest: Copy,)+ D: Dimension> Elements
            for (ArrayView<$la, $first, D>, $(ArrayView<$lb, $rest, D>),+)
        {
            type Element = ($first, $($rest),+);

            fn inside(&self, bounds: &Bounds<D>) -> Self {
                let ($a, $($b),+) = self;
                ($a.inside(bounds), $($b.inside(bounds)),+)
            }

            fn with_slice<R>(self, work: impl FnOnce(&[Self::Element]) -> R) -> R {
                let ($a, $($b),+) = self;
                let order = MemoryOrder::of(&$a);
                let mut elements = Vec::with_capacity($a.len());
                let ($a, $($b),+) = (order.apply($a), $(order.apply($b)),+);
                Zip::from($a.rows())$(.and($b.rows()))+.for_each(|$a, $($b),+| {
                    Zip::from($a)$(.and($b))+.for_each(|&$a, $(&$b),+| elements.push(($a, $($b),+)));
                });
                work(&elements)
            }
        }
    )*};
}
tuples! { a A 'a, b B 'b; a A 'a, b B 'b, c C 'c; a A 'a, b B 'b, c C 'c, e E 'e; }

/// Lines of so many elements are copied one by one, which takes less time than a call that copies bytes.
const SHORT: usize = 16;

/// Calls a closure with the planes of the last two axes: iterating over lines is slow in any number of dimensions.
fn each_plane<A>(view: ArrayViewD<'_, A>, work: &mut dyn FnMut(ArrayView2<'_, A>)) {
    match view.ndim() {
        1 => work(view.insert_axis(Axis(0)).into_dimensionality().expect("two axes")),
        2 => work(view.into_dimensionality().expect("two axes")),
        _ => view.outer_iter().for_each(|part| each_plane(part, work)),
    }
}

/// How the axes of an array have to be turned so that its iteration follows its memory.
pub(super) struct MemoryOrder {
    /// The axes from the slowest to the fastest.
    pub(super) axes: Vec<usize>,
    /// Whether each of them runs against the order of memory.
    pub(super) inverted: Vec<bool>,
    /// Axes of one index are no lines.
    single: Vec<bool>,
}

impl MemoryOrder {
    pub(super) fn of<A, D: Dimension>(view: &ArrayView<'_, A, D>) -> Self {
        let axes = memory_order(view.shape().iter().copied().zip(view.strides().iter().copied()));
        let inverted = axes.iter().map(|&axis| view.strides()[axis] < 0).collect();
        let single = axes.iter().map(|&axis| view.shape()[axis] == 1).collect();
        Self { axes, inverted, single }
    }

    fn apply<'v, A, D: Dimension>(&self, view: ArrayView<'v, A, D>) -> ArrayViewD<'v, A> {
        let mut view = view.into_dyn().permuted_axes(self.axes.clone());
        for axis in (0..view.ndim()).rev() {
            if self.single[axis] {
                view = view.index_axis_move(Axis(axis), 0);
            } else if self.inverted[axis] {
                view.invert_axis(Axis(axis));
            }
        }
        if view.ndim() == 0 { view.insert_axis(Axis(0)) } else { view }
    }
}
