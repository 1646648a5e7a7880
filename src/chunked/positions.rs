//! Indices of the few elements of a block that a closure accepts.
#![forbid(unsafe_code)]

use ndarray::{ArrayView, Dimension};

use super::blocks::Blocks;
use super::elements::{ElementSource, MemoryOrder};

impl<A: Copy + Sync, D: Dimension> Blocks<'_, ArrayView<'_, A, D>> {
    /// Returns the elements of a block that a closure accepts, with their indices in the array: the
    /// first `limit` of them in the order in which the last of `axes` is the fastest.
    ///
    /// All elements are passed to the closure in memory order, which is cheap. Only accepted
    /// elements are converted to indices.
    pub(crate) fn find(
        &self,
        index: usize,
        axes: &[usize],
        limit: usize,
        accepts: impl Fn(&A) -> bool,
    ) -> Vec<(D, A)> {
        let block = self.block(index);
        let positions = Positions::new(&block, axes);
        let found = block.clone().with_slice(|elements| {
            let hits =
                (0_u32..).zip(elements).filter(|(_, element)| accepts(element)).map(|(hit, _)| hit);
            if positions.is_memory_order {
                return hits.take(limit).collect();
            }
            let mut hits: Vec<_> = hits.map(|hit| positions.convert(hit)).collect();
            hits.sort_unstable();
            hits.truncate(limit);
            hits
        });
        let start = self.block_origin(index);
        let indices = found.into_iter().map(|position| positions.index::<D>(position));
        indices.map(|index| (start.clone() + index.clone(), block[index])).collect()
    }
}

/// Converts positions of elements in a block, which fit 32 bits, between memory order, the order of
/// some axes, and indices.
struct Positions {
    /// For each axis from the slowest in memory to the fastest: its length, its stride in the order
    /// of `axes`, and whether its stride in memory is negative.
    memory: Vec<(u32, u32, bool)>,
    /// The axes from the slowest to the fastest, with their lengths.
    axes: Vec<(usize, u32)>,
    is_memory_order: bool,
}

impl Positions {
    fn new<A, D: Dimension>(block: &ArrayView<'_, A, D>, axes: &[usize]) -> Self {
        let lens: Vec<_> = block.shape().iter().map(|&len| len as u32).collect();
        let mut byte_strides = vec![1; lens.len()];
        let mut distance = 1;
        for &axis in axes.iter().rev() {
            byte_strides[axis] = distance;
            distance *= lens[axis];
        }
        let order = MemoryOrder::of(block);
        let long = order.axes.iter().zip(&order.inverted).filter(|&(&axis, _)| lens[axis] > 1);
        let memory: Vec<_> = long
            .map(|(&axis, &is_inverted)| (lens[axis], byte_strides[axis], is_inverted))
            .collect();
        let is_memory_order = memory.is_sorted_by(|slower, faster| slower.1 > faster.1)
            && memory.iter().all(|&(_, _, is_inverted)| !is_inverted);
        Self {
            memory,
            axes: axes.iter().map(|&axis| (axis, lens[axis])).collect(),
            is_memory_order,
        }
    }

    /// Converts a position in memory order to one in the order of the axes.
    fn convert(&self, mut position: u32) -> u32 {
        let mut converted = 0;
        for &(len, distance, is_inverted) in self.memory.iter().rev() {
            let index = position % len;
            position /= len;
            converted += distance * if is_inverted { len - 1 - index } else { index };
        }
        converted
    }

    /// Converts a position in the order of the axes to an index in the block.
    fn index<D: Dimension>(&self, mut position: u32) -> D {
        let mut index = D::zeros(self.axes.len());
        for &(axis, len) in self.axes.iter().rev() {
            index[axis] = (position % len) as usize;
            position /= len;
        }
        index
    }
}
