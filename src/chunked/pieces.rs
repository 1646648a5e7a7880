//! What can be walked: views, mutable views, and up to four of them side by side.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ops::Range;

use ndarray::{ArrayView, ArrayViewMut, Axis, Dimension, Slice};

use super::footprint::Form;
use super::place::ChunkRegion;
use super::plan::Bounds;

/// What a walk goes through: an [`ArrayView`], an [`ArrayViewMut`], or a tuple of up to four. Sealed.
///
/// ```
/// use ndarray_mmap::{Chunked, Chunks, Result, chunked::ChunkSource};
///
/// /// Whatever is walked, in chunks of so many bytes and within so much memory.
/// fn small<P: ChunkSource>(walk: Chunked<'_, P>) -> Result<Chunks<P>> {
///     walk.chunk_bytes(64 << 10).memory_limit(16 << 20).try_iter()
/// }
/// # use ndarray_mmap::prelude::*;
/// # assert_eq!(small(ndarray::arr1(&[1.0]).chunked())?.len(), 1);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
pub trait ChunkSource: Sized + sealed::Sealed {
    /// The dimension type.
    type Dim: Dimension;
    /// A chunk: a view, or a tuple of views.
    type Chunk;
    #[doc(hidden)]
    type Cutter: Cutter<Self::Dim, Chunk = Self::Chunk>;

    /// With another array: a tuple.
    type With<Q: ChunkSource<Dim = Self::Dim>>: ChunkSource<Dim = Self::Dim>;

    /// The shape, which they share.
    #[doc(hidden)]
    fn shape(&self) -> Self::Dim;
    /// Restricts the walk to these indices of an axis.
    #[doc(hidden)]
    fn narrow(&mut self, axis: usize, range: Range<usize>);
    /// How each lies in memory.
    #[doc(hidden)]
    fn forms(&self, forms: &mut Vec<Form>);
    #[doc(hidden)]
    fn cutter(self) -> Self::Cutter;
    #[doc(hidden)]
    fn with<Q: ChunkSource<Dim = Self::Dim>>(self, other: Q) -> Self::With<Q>;
}

/// [`ChunkSource`] that are only read, so that chunks may overlap. Sealed.
///
/// ```
/// use ndarray::Ix2;
/// use ndarray_mmap::{Chunked, chunked::ReadOnlySource};
///
/// /// Blocks that see their neighbours' edges.
/// fn stencil<P: ReadOnlySource<Dim = Ix2>>(walk: Chunked<'_, P>) -> Chunked<'_, P> {
///     walk.chunk_shape((64, 4_096)).halo((1, 1))
/// }
/// # use ndarray_mmap::prelude::*;
/// # assert_eq!(stencil(ndarray::arr2(&[[1.0]]).chunked()).into_iter().len(), 1);
/// ```
pub trait ReadOnlySource: ChunkSource {}

/// [`ChunkSource`] that threads can share out: their elements are `Sync` where they are read and `Send` where they are written.
/// Sealed.
pub trait ParallelSource: ChunkSource<Chunk: Send, Cutter: Send> {}

impl<P: ChunkSource<Chunk: Send, Cutter: Send>> ParallelSource for P {}

/// Which end of what is left a chunk is taken from.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Front,
    Back,
}

/// Hands out chunks in order, from either end.
pub trait Cutter<D> {
    type Chunk;

    /// The chunk at this place. What lies between it and the end it is taken from is given up.
    fn cut(&mut self, region: &ChunkRegion<D>, order: &[usize], end: End) -> Self::Chunk;
}

impl<'a, A, D: Dimension> ChunkSource for ArrayView<'a, A, D> {
    type Dim = D;
    type Chunk = ArrayView<'a, A, D>;
    type Cutter = Self;
    type With<Q: ChunkSource<Dim = Self::Dim>> = (Self, Q);

    fn shape(&self) -> D {
        self.raw_dim()
    }

    fn narrow(&mut self, axis: usize, range: Range<usize>) {
        self.slice_axis_inplace(Axis(axis), Slice::from(range));
    }

    fn forms(&self, forms: &mut Vec<Form>) {
        forms.push(Form::of(self, false));
    }

    fn cutter(self) -> Self {
        self
    }

    fn with<Q: ChunkSource<Dim = Self::Dim>>(self, other: Q) -> (Self, Q) {
        (self, other)
    }
}

impl<A, D: Dimension> ReadOnlySource for ArrayView<'_, A, D> {}

impl<'a, A, D: Dimension> Cutter<D> for ArrayView<'a, A, D> {
    type Chunk = ArrayView<'a, A, D>;

    fn cut(&mut self, region: &ChunkRegion<D>, _order: &[usize], _end: End) -> Self {
        slice(self.clone(), region.outer())
    }
}

/// The part of a view inside some bounds.
pub(super) fn slice<'a, A, D: Dimension>(mut view: ArrayView<'a, A, D>, bounds: &Bounds<D>) -> ArrayView<'a, A, D> {
    for (axis, range) in bounds.ranges().enumerate() {
        if range.len() < view.len_of(Axis(axis)) {
            view.slice_axis_inplace(Axis(axis), Slice::from(range));
        }
    }
    view
}

impl<'a, A, D: Dimension> ChunkSource for ArrayViewMut<'a, A, D> {
    type Dim = D;
    type Chunk = ArrayViewMut<'a, A, D>;
    type Cutter = Rest<'a, A, D>;
    type With<Q: ChunkSource<Dim = Self::Dim>> = (Self, Q);

    fn shape(&self) -> D {
        self.raw_dim()
    }

    fn narrow(&mut self, axis: usize, range: Range<usize>) {
        self.slice_axis_inplace(Axis(axis), Slice::from(range));
    }

    fn forms(&self, forms: &mut Vec<Form>) {
        forms.push(Form::of(self, true));
    }

    fn cutter(self) -> Rest<'a, A, D> {
        let bounds = Bounds { low: D::zeros(self.ndim()), high: self.raw_dim() };
        Rest(VecDeque::from([(bounds, self)]))
    }

    fn with<Q: ChunkSource<Dim = Self::Dim>>(self, other: Q) -> (Self, Q) {
        (self, other)
    }
}

/// What is left of a mutable array: a few boxes, in the order of the walk.
#[derive(Debug)]
pub struct Rest<'a, A, D: Dimension>(VecDeque<(Bounds<D>, ArrayViewMut<'a, A, D>)>);

impl<'a, A, D: Dimension> Cutter<D> for Rest<'a, A, D> {
    type Chunk = ArrayViewMut<'a, A, D>;

    fn cut(&mut self, region: &ChunkRegion<D>, order: &[usize], end: End) -> Self::Chunk {
        let wanted = region.core();
        let (mut bounds, mut view) = loop {
            let next = match end {
                End::Front => self.0.pop_front(),
                End::Back => self.0.pop_back(),
            };
            let next = next.expect("each cell is cut once");
            if wanted.ranges().zip(next.0.ranges()).all(|(cell, rest)| rest.start <= cell.start && cell.end <= rest.end)
            {
                break next;
            }
        };
        // From the slowest axis to the fastest, so that what is cut off lies before the cell or after it.
        for &axis in order {
            let cell = wanted.range(axis);
            if bounds.low[axis] < cell.start {
                let (before, rest) = split((bounds, view), axis, cell.start);
                if let End::Back = end {
                    self.0.push_back(before);
                }
                (bounds, view) = rest;
            }
            if cell.end < bounds.high[axis] {
                let (rest, after) = split((bounds, view), axis, cell.end);
                if let End::Front = end {
                    self.0.push_front(after);
                }
                (bounds, view) = rest;
            }
        }
        view
    }
}

type Node<'a, A, D> = (Bounds<D>, ArrayViewMut<'a, A, D>);

fn split<'a, A, D: Dimension>(
    (bounds, view): Node<'a, A, D>,
    axis: usize,
    at: usize,
) -> (Node<'a, A, D>, Node<'a, A, D>) {
    let (first_view, second_view) = view.split_at(Axis(axis), at - bounds.low[axis]);
    let (mut first, mut second) = (bounds.clone(), bounds);
    first.high[axis] = at;
    second.low[axis] = at;
    ((first, first_view), (second, second_view))
}

macro_rules! tuples {
    ($($first:ident $($rest:ident)*: $with:ty, $self:ident $other:ident $value:expr;)*) => {$(
        #[allow(non_snake_case)]
        impl<$first: ChunkSource, $($rest: ChunkSource<Dim = $first::Dim>),*> ChunkSource for ($first, $($rest),*) {
            type Dim = $first::Dim;
            type Chunk = ($first::Chunk, $($rest::Chunk),*);
            type Cutter = ($first::Cutter, $($rest::Cutter),*);
            type With<Q: ChunkSource<Dim = Self::Dim>> = $with;

            fn shape(&self) -> Self::Dim {
                self.0.shape()
            }

            fn narrow(&mut self, axis: usize, range: Range<usize>) {
                let ($first, $($rest),*) = self;
                $($rest.narrow(axis, range.clone());)*
                $first.narrow(axis, range);
            }

            fn forms(&self, forms: &mut Vec<Form>) {
                let ($first, $($rest),*) = self;
                $first.forms(forms);
                $($rest.forms(forms);)*
            }

            fn cutter(self) -> Self::Cutter {
                let ($first, $($rest),*) = self;
                ($first.cutter(), $($rest.cutter()),*)
            }

            fn with<Q: ChunkSource<Dim = Self::Dim>>($self, $other: Q) -> Self::With<Q> {
                $value
            }
        }

        impl<$first: ReadOnlySource, $($rest: ReadOnlySource<Dim = $first::Dim>),*> ReadOnlySource for ($first, $($rest),*) {}
        impl<$first: sealed::Sealed, $($rest: sealed::Sealed),*> sealed::Sealed for ($first, $($rest),*) {}

        #[allow(non_snake_case)]
        impl<Dim, $first: Cutter<Dim>, $($rest: Cutter<Dim>),*> Cutter<Dim> for ($first, $($rest),*) {
            type Chunk = ($first::Chunk, $($rest::Chunk),*);

            fn cut(&mut self, region: &ChunkRegion<Dim>, order: &[usize], end: End) -> Self::Chunk {
                let ($first, $($rest),*) = self;
                ($first.cut(region, order, end), $($rest.cut(region, order, end)),*)
            }
        }
    )*};
}
tuples! {
    A B: (A, B, Q), self other (self.0, self.1, other);
    A B C: (A, B, C, Q), self other (self.0, self.1, self.2, other);
    A B C D: (Self, Q), self other (self, other);
}

/// Chunks with their places; made by [`indexed`](crate::Chunked::indexed).
#[derive(Clone, Debug)]
pub struct Indexed<P>(pub(super) P);

impl<P: ChunkSource> ChunkSource for Indexed<P> {
    type Dim = P::Dim;
    type Chunk = (ChunkRegion<P::Dim>, P::Chunk);
    type Cutter = Indexed<P::Cutter>;
    type With<Q: ChunkSource<Dim = Self::Dim>> = (Self, Q);

    fn shape(&self) -> P::Dim {
        self.0.shape()
    }

    fn narrow(&mut self, axis: usize, range: Range<usize>) {
        self.0.narrow(axis, range);
    }

    fn forms(&self, forms: &mut Vec<Form>) {
        self.0.forms(forms);
    }

    fn cutter(self) -> Self::Cutter {
        Indexed(self.0.cutter())
    }

    fn with<Q: ChunkSource<Dim = Self::Dim>>(self, other: Q) -> (Self, Q) {
        (self, other)
    }
}

impl<P: ReadOnlySource> ReadOnlySource for Indexed<P> {}

impl<D: Dimension, C: Cutter<D>> Cutter<D> for Indexed<C> {
    type Chunk = (ChunkRegion<D>, C::Chunk);

    fn cut(&mut self, region: &ChunkRegion<D>, order: &[usize], end: End) -> Self::Chunk {
        (region.clone(), self.0.cut(region, order, end))
    }
}

pub(super) mod sealed {
    use ndarray::{ArrayView, ArrayViewMut, Dimension};

    pub trait Sealed {}
    impl<A, D: Dimension> Sealed for ArrayView<'_, A, D> {}
    impl<A, D: Dimension> Sealed for ArrayViewMut<'_, A, D> {}
    impl<P: Sealed> Sealed for super::Indexed<P> {}
}
