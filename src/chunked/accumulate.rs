//! Accumulators over all elements: the same bits whatever the threads, the chunks and the memory.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use ndarray::{Array, ArrayView, Axis, RemoveAxis};

use super::Chunked;
use super::accumulator::Accumulator;
use super::blocks::Blocks;
use super::elements::ElementSource;
use super::pairwise::{PairwiseReduction, aligned_nodes, reduce_node};
use crate::error::Result;

/// Over all elements.
impl<P: ElementSource + Sync> Chunked<'_, P> {
    /// Pushes all elements into accumulators, on all threads, and merges them into one. Of several arrays side by side the
    /// elements are tuples.
    ///
    /// Elements come in the order of memory of the first array, by ascending address: a reversed axis is visited from its
    /// last index to its first, and a view gives the same result as its reversal. The other arrays are visited in the same
    /// order of indices, whatever their order in memory. (Along a broadcast axis, whose elements share an address, the order is that
    /// of indices, and the axis counts as the fastest.)
    ///
    /// Each accumulator made by `new` takes the elements of one block of 64 KiB of the first array in that order; blocks are
    /// merged in pairs of neighbours, those again, and so on. Blocks depend on shape and memory order of the first array alone,
    /// so the result has the same bits whatever the number of threads, the chunks, and the memory. If there are no elements,
    /// it is what `new` gives.
    ///
    /// Where the accumulator declares that [order makes no difference](Accumulator::IS_ORDER_INDEPENDENT), each thread has one
    /// for all blocks it takes. That is several times faster for large ones, as tables of counts are.
    ///
    /// Elements of arrays in another order than the first are copied into its order, as many blocks at a time as the memory
    /// allows: with less memory, each of their pages is read more often.
    ///
    /// Axis, lengths and blocks of the walk do not matter, and a [part](Self::partition) is one of these blocks. Nor does
    /// [`skipnan`](Self::skipnan): accumulators are told when they are made.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// use ndarray_mmap::{prelude::*, stats};
    ///
    /// let table = Array2::from_elem((1_000, 4), 0.1_f32);
    /// let (sum, extremes) = table.chunked().accumulate(|| (stats::Sum::new(), stats::MinMax::new()))?;
    /// assert_eq!((sum.count(), extremes.range()), (4_000, Some((0.1, 0.1))));
    ///
    /// // Two arrays side by side.
    /// let weights = Array2::<u8>::ones((1_000, 4));
    /// let weighted = table.chunked().and(&weights)?.accumulate(stats::WeightedMoments::new)?;
    /// assert_eq!(weighted.weight(), 4_000.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [all parallel methods](#errors-of-parallel-methods).
    pub fn accumulate<T>(self, new: impl Fn() -> T + Sync) -> Result<T>
    where
        T: Accumulator<P::Element> + Send,
    {
        let chunked = self.with_ascending_addresses();
        if T::IS_ORDER_INDEPENDENT {
            return chunked.unordered_blocks()?.accumulate_in_any_order(new);
        }
        let blocks = chunked.deterministic_blocks()?;
        let merge = |mut first: T, later: T| {
            first.merge(later);
            first
        };
        let tree = PairwiseReduction::new();
        blocks.for_each_batch(|batch| {
            let gathered = blocks.gather(batch.clone())?;
            let leaf = |index: usize| {
                let mut accumulator = new();
                blocks
                    .with_contiguous(&gathered, index, |elements| accumulator.push_slice(elements));
                accumulator
            };
            for (level, index) in aligned_nodes(batch) {
                tree.add(level, index, reduce_node(level, index, &leaf, &merge), merge);
            }
            Ok(())
        })?;
        Ok(tree.finish(merge).unwrap_or_else(new))
    }
}

impl<P: ElementSource + Sync> Chunked<'_, P> {
    /// Returns an error if there is no room for [`accumulate`](Self::accumulate).
    pub(crate) fn check_accumulate_fits(&self) -> Result<()>
    where
        P: Clone,
    {
        self.clone().with_ascending_addresses().deterministic_blocks().map(drop)
    }
}

impl<P: ElementSource + Sync> Blocks<'_, P> {
    /// Pushes all elements into one accumulator for each thread that works, and merges those.
    pub(crate) fn accumulate_in_any_order<T>(&self, new: impl Fn() -> T + Sync) -> Result<T>
    where
        T: Accumulator<P::Element> + Send,
    {
        let idle = Mutex::new(Vec::<T>::new());
        let take = || idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        self.for_each_batch(|batch| {
            let mut accumulator = take().unwrap_or_else(&new);
            let gathered = self.gather(batch.clone())?;
            batch.for_each(|index| {
                self.for_each_slice(&gathered, index, |elements| accumulator.push_slice(elements))
            });
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(accumulator);
            Ok(())
        })?;
        let merged = idle.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().reduce(
            |mut first, other| {
                first.merge(other);
                first
            },
        );
        Ok(merged.unwrap_or_else(new))
    }
}

/// Along an axis.
impl<A: Copy + Sync, D: RemoveAxis> Chunked<'_, ArrayView<'_, A, D>> {
    /// Pushes the elements of each lane along an axis into accumulators of its own: the result has the shape of the array
    /// without the axis.
    ///
    /// A lane is cut into fixed stretches, which depend on the shape and the memory order of the array alone: 1,024 elements,
    /// or up to 64 KiB where the lanes lie one after the other in memory. Those are merged in pairs of neighbours, as with
    /// [`accumulate`](Self::accumulate). The file is read in its order whatever the axis; where so many accumulators do not
    /// fit the [memory](Self::memory_limit), for some lanes after the other. A [part](Self::partition) is one of the axis, at
    /// stretches. Along an axis of length 0 the results are what `new` gives.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// use ndarray_mmap::{prelude::*, stats::MinMax};
    ///
    /// let table = array![[1, 5], [2, 3]];
    /// let columns = table.chunked().accumulate_axis(Axis(0), MinMax::new)?;
    /// assert_eq!(columns.map(|column| column.range()), array![Some((1, 2)), Some((3, 5))]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [all parallel methods](#errors-of-parallel-methods).
    ///
    /// # Panics
    ///
    /// If the array has no such axis.
    #[doc(alias = "apply_along_axis")]
    #[track_caller]
    pub fn accumulate_axis<T>(
        self,
        axis: Axis,
        new: impl Fn() -> T + Sync,
    ) -> Result<Array<T, D::Smaller>>
    where
        T: Accumulator<A> + Send,
    {
        self.accumulate_lanes(axis, |_| new(), Ok)
    }
}
