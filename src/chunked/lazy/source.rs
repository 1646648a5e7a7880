//! A [`LazyArray`] as a source of chunks.
#![forbid(unsafe_code)]

use ndarray::Dimension;

use super::LazyArray;
use crate::chunked::any_array::{AnyArray, Loaded};
use crate::chunked::source::{ArraySource, owned_chunks};
use crate::error::Result;
use crate::geometry::Region;

owned_chunks! { [D: Dimension] LazyArray<'_, A, D>, D }

impl<A: Copy + Send + Sync, D: Dimension> ArraySource for LazyArray<'_, A, D> {
    type Elem = A;

    fn into_any<'v>(self) -> AnyArray<'v, A>
    where
        Self: 'v,
    {
        AnyArray::Lazy(self.into_dyn())
    }

    fn invert_axis(&mut self, axis: usize) {
        self.invert_axis(axis);
    }

    fn is_buffered(&self) -> bool {
        true
    }

    fn load(&self, bounds: &Region) -> Result<Loaded<'_, A>> {
        self.load_region(bounds).map(Loaded::Buffer)
    }
}
