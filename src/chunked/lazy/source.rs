//! A [`LazyArray`] as a source of chunks.
#![forbid(unsafe_code)]

use ndarray::Dimension;

use super::{Computed, LazyArray, Operand};
use crate::chunked::any_array::{AnyArray, Loaded};
use crate::chunked::elements::MemoryOrder;
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

    fn is_read_in_batches(&self) -> bool {
        self.is_read_in_batches()
    }

    fn load(&self, bounds: &Region) -> Result<Loaded<'_, A>> {
        self.load_region(bounds).map(Loaded::Buffer)
    }

    fn computed(&self, bounds: &Region) -> Result<Option<Box<dyn Computed<A> + '_>>> {
        self.computed(bounds)
    }

    fn operand(&self, bounds: &Region, order: &MemoryOrder) -> Result<Option<Operand<'_, A>>> {
        self.operand(bounds, order)
    }
}
