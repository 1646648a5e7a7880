//! The elements of a lazy array in memory: buffers that are reused, and their arrangement as arrays.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use ndarray::{ArrayBase, ArrayViewD, Axis, Data, IxDyn};

#[allow(unused_imports, reason = "for links in the docs")]
use super::LazyArray;
use super::LazyAxis;
use crate::geometry::Region;

/// Returns the lengths of a box along the axes of a reader in memory order.
pub(super) fn lens_in(order: &[usize], bounds: &Region) -> Vec<usize> {
    order.iter().map(|&axis| bounds.range(axis).len()).collect()
}

/// Converts an array whose axes are those of a reader in memory order to one with the given axes.
pub(super) fn arranged<S: Data>(
    array: ArrayBase<S, IxDyn>,
    order: &[usize],
    axes: &[LazyAxis],
) -> ArrayBase<S, IxDyn> {
    let is_shown = |axis: &usize| axes.iter().any(|shown| shown.of_reader() == Some(*axis));
    let position = |axis| order.iter().position(|&other| other == axis).expect("an axis");
    let removed = (0..order.len()).filter(|axis| !is_shown(axis));
    let permutation = axes.iter().filter_map(|axis| axis.of_reader()).chain(removed).map(position);
    let mut array = array.permuted_axes(permutation.collect::<Vec<_>>());
    let shown = axes.iter().filter_map(|axis| axis.of_reader()).count();
    for axis in (shown..array.ndim()).rev() {
        array = array.index_axis_move(Axis(axis), 0);
    }
    for (index, axis) in axes.iter().enumerate() {
        match axis {
            LazyAxis::Inserted { .. } => array = array.insert_axis(Axis(index)),
            LazyAxis::Reader { is_inverted: true, .. } => array.invert_axis(Axis(index)),
            LazyAxis::Reader { .. } => {}
        }
    }
    array
}

/// The elements of a [`LazyArray`], in a buffer that is reused when they are dropped.
pub struct LoadedBuffer<'l, A> {
    elements: Vec<A>,
    buffers: &'l Buffers<A>,
    order: &'l [usize],
    bounds: Region,
    axes: &'l [LazyAxis],
}

impl<'l, A> LoadedBuffer<'l, A> {
    pub(super) fn new(
        elements: Vec<A>,
        buffers: &'l Buffers<A>,
        order: &'l [usize],
        bounds: Region,
        axes: &'l [LazyAxis],
    ) -> Self {
        Self { elements, buffers, order, bounds, axes }
    }

    /// Returns the elements in memory order.
    pub(in crate::chunked) fn elements(&self) -> &[A] {
        &self.elements
    }

    pub(in crate::chunked) fn view(&self) -> ArrayViewD<'_, A> {
        let view = ArrayViewD::from_shape(lens_in(self.order, &self.bounds), &self.elements);
        arranged(view.expect("an element for each index"), self.order, self.axes)
    }
}

impl<A> Drop for LoadedBuffer<'_, A> {
    fn drop(&mut self) {
        self.buffers.put(std::mem::take(&mut self.elements));
    }
}

/// The maximum size in bytes of a buffer that is kept for reuse. The memory of larger ones is
/// returned, since the next operation may have a lower memory limit.
const MAX_REUSED_BYTES: usize = 1 << 20;

/// Buffers that are not in use, at most one for each thread that reads.
pub(super) struct Buffers<A>(Mutex<Vec<Vec<A>>>);

impl<A> Default for Buffers<A> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<A> Buffers<A> {
    pub(super) fn take(&self) -> Vec<A> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn put(&self, buffer: Vec<A>) {
        if buffer.capacity().saturating_mul(size_of::<A>()) > MAX_REUSED_BYTES {
            return;
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}
