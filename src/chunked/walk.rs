//! The chunks one after the other.
#![forbid(unsafe_code)]

use std::fmt;
use std::iter::FusedIterator;
use std::ops::Range;

use ndarray::{ArrayView, ArrayViewMut, Dimension, Slice};

use super::plan::Plan;

/// The chunks of an array in order; made by iterating over [`Chunked`](super::Chunked).
#[derive(Clone)]
pub struct Chunks<'a, A, D: Dimension> {
    view: ArrayView<'a, A, D>,
    plan: Plan,
    left: Range<usize>,
}

impl<'a, A, D: Dimension> Chunks<'a, A, D> {
    pub(super) fn new(view: ArrayView<'a, A, D>, plan: Plan) -> Self {
        Self { view, plan, left: 0..plan.count() }
    }

    fn chunk(&self, number: usize) -> ArrayView<'a, A, D> {
        let mut chunk = self.view.clone();
        if let Some(axis) = self.plan.axis() {
            chunk.slice_axis_inplace(axis, Slice::from(self.plan.range(number)));
        }
        chunk
    }
}

impl<'a, A, D: Dimension> Iterator for Chunks<'a, A, D> {
    type Item = ArrayView<'a, A, D>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left.next().map(|number| self.chunk(number))
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.left.nth(n).map(|number| self.chunk(number))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl<A, D: Dimension> DoubleEndedIterator for Chunks<'_, A, D> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left.next_back().map(|number| self.chunk(number))
    }
}

impl<A, D: Dimension> ExactSizeIterator for Chunks<'_, A, D> {}
impl<A, D: Dimension> FusedIterator for Chunks<'_, A, D> {}

/// The mutable chunks of an array in order; made by iterating over [`ChunkedMut`](super::ChunkedMut).
pub struct ChunksMut<'a, A, D: Dimension> {
    /// What is left, from the first chunk left to the last.
    rest: Part<'a, A, D>,
    plan: Plan,
    left: Range<usize>,
}

type Part<'a, A, D> = Option<ArrayViewMut<'a, A, D>>;

impl<'a, A, D: Dimension> ChunksMut<'a, A, D> {
    pub(super) fn new(view: ArrayViewMut<'a, A, D>, plan: Plan) -> Self {
        Self { rest: Some(view), plan, left: 0..plan.count() }
    }

    /// Splits what is left at an index of the whole array; nothing is left after its end.
    fn split(&mut self, at: usize) -> (Part<'a, A, D>, Part<'a, A, D>) {
        let begin = self.plan.range(self.left.start).start;
        match (self.rest.take(), self.plan.axis()) {
            (Some(rest), Some(axis)) if at - begin < rest.len_of(axis) => {
                let (first, second) = rest.split_at(axis, at - begin);
                (Some(first), Some(second))
            }
            (rest, _) => (rest, None),
        }
    }
}

impl<'a, A, D: Dimension> Iterator for ChunksMut<'a, A, D> {
    type Item = ArrayViewMut<'a, A, D>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            return None;
        }
        let (chunk, rest) = self.split(self.plan.range(self.left.start).end);
        self.left.next();
        self.rest = rest;
        chunk
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl<A, D: Dimension> DoubleEndedIterator for ChunksMut<'_, A, D> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.left.len() <= 1 {
            return self.next();
        }
        let (rest, chunk) = self.split(self.plan.range(self.left.end - 1).start);
        self.left.next_back();
        self.rest = rest;
        chunk
    }
}

impl<A, D: Dimension> ExactSizeIterator for ChunksMut<'_, A, D> {}
impl<A, D: Dimension> FusedIterator for ChunksMut<'_, A, D> {}

impl<A, D: Dimension> fmt::Debug for Chunks<'_, A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks").field("plan", &self.plan).field("left", &self.left).finish_non_exhaustive()
    }
}

impl<A, D: Dimension> fmt::Debug for ChunksMut<'_, A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunksMut").field("plan", &self.plan).field("left", &self.left).finish_non_exhaustive()
    }
}
