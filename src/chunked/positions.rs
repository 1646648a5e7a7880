//! Indices of the few elements of a block that a closure accepts.
#![forbid(unsafe_code)]

use ndarray::Dimension;

use super::blocks::Blocks;
use super::division::layouts_of;
use super::elements::MemoryOrder;
use super::source::ArraySource;
use crate::error::Result;

impl<A: Copy, P: ArraySource<Elem = A>> Blocks<'_, P> {
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
    ) -> Result<Vec<(P::Dim, A)>> {
        let gathered = self.gather(index..index + 1)?;
        let region = self.plan.region_of(index);
        let shape: Vec<_> = region.ranges().map(|range| range.len()).collect();
        // Copied elements are in the order of the axes of the blocks, others in memory order.
        let order = match &gathered {
            Some(gathered) if gathered.is_copied() => {
                self.order().iter().map(|&axis| (axis, false)).collect()
            }
            _ => {
                let strides = &layouts_of(self.source)[0].byte_strides;
                let MemoryOrder { axes, inverted, .. } = MemoryOrder::new(&shape, strides);
                axes.into_iter().zip(inverted).collect::<Vec<_>>()
            }
        };
        let positions = Positions::new(&shape, &order, axes);
        let mut found = Vec::new();
        self.with_contiguous(&gathered, index, &mut |elements| {
            let accepted = (0_u32..).zip(elements).filter(|(_, element)| accepts(element));
            let hits = accepted.map(|(hit, &element)| (hit, element));
            if positions.is_memory_order {
                found.extend(hits.take(limit));
                return;
            }
            found.extend(hits.map(|(hit, element)| (positions.convert(hit), element)));
            found.sort_unstable_by_key(|&(position, _)| position);
            found.truncate(limit);
        })?;
        let origin = self.block_origin(index);
        let at =
            |(position, element)| (positions.index::<P::Dim>(position, origin.slice()), element);
        Ok(found.into_iter().map(at).collect())
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
    /// For a block whose elements are in the given order of axes, each with whether it is inverted.
    fn new(shape: &[usize], order: &[(usize, bool)], axes: &[usize]) -> Self {
        let lens: Vec<_> = shape.iter().map(|&len| len as u32).collect();
        let mut byte_strides = vec![1; lens.len()];
        let mut distance = 1;
        for &axis in axes.iter().rev() {
            byte_strides[axis] = distance;
            distance *= lens[axis];
        }
        let long = order.iter().filter(|&&(axis, _)| lens[axis] > 1);
        let memory: Vec<_> = long
            .map(|&(axis, is_inverted)| (lens[axis], byte_strides[axis], is_inverted))
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

    /// Converts a position in the order of the axes to an index in the array, in which the block
    /// starts at `origin`.
    fn index<D: Dimension>(&self, mut position: u32, origin: &[usize]) -> D {
        let mut index = D::zeros(self.axes.len());
        for &(axis, len) in self.axes.iter().rev() {
            index[axis] = origin[axis] + (position % len) as usize;
            position /= len;
        }
        index
    }
}
