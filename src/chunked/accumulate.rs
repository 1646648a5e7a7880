//! Accumulation over all elements, bitwise identical for any number of threads, chunk length and
//! memory limit.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use ndarray::{Array, Axis, RemoveAxis};

use super::Chunked;
use super::accumulator::{Accumulator, BlockElements};
use super::across::{codec, reduce_across};
use super::blocks::Blocks;
use super::elements::ElementSource;
use super::gather::Gathered;
use super::pairwise::{PairwiseReduction, aligned_nodes, reduce_node};
use super::source::ArraySource;
use crate::distributed::{pass_key, run_in_parts};
use crate::error::Result;

/// Accumulation over all elements.
impl<P: ElementSource + Sync> Chunked<'_, P> {
    /// Pushes all elements into accumulators, on all threads, and merges the accumulators into one.
    /// If several arrays are zipped, the elements are tuples.
    ///
    /// Elements are visited in the memory order of the first array, by ascending address. A
    /// reversed axis is visited from its last index to its first, so a view gives the same result
    /// as its reversal. The other arrays are visited in the same order of indices, whatever their
    /// memory order. (Along a broadcast axis, all elements share an address. They are visited by
    /// index, and the axis counts as the fastest.)
    ///
    /// Each accumulator created by `new` receives the elements of one block of 64 KiB of the first
    /// array. Results of blocks are merged pairwise in a fixed binary tree. Blocks depend only on
    /// the shape and the memory order of the first array, so the result is bitwise identical for
    /// any number of threads, chunk length and memory limit. For an empty array, it is the result
    /// of `new`.
    ///
    /// If the accumulator is [order-independent](Accumulator::IS_ORDER_INDEPENDENT), each thread
    /// uses one accumulator for all of its blocks. This is several times faster for large
    /// accumulators such as tables of counts.
    ///
    /// Elements of arrays in a different memory order are copied into the order of the first array,
    /// as many blocks at once as the memory limit allows. With less memory, each of their pages is
    /// read more often.
    ///
    /// The axis, length and shape of chunks have no effect, and a [partition](Self::partition) is a
    /// range of these blocks. [`skipnan`](Self::skipnan) has no effect either: accumulators are
    /// configured by `new`.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// use ndarray_mmap::{prelude::*, stats};
    ///
    /// let table = Array2::from_elem((1_000, 4), 0.1_f32);
    /// let new = || (stats::Sum::new(), stats::MinMax::new());
    /// let (sum, min_max) = table.chunked().accumulate(new)?;
    /// assert_eq!((sum.count(), min_max.range()), (4_000, Some((0.1, 0.1))));
    ///
    /// // Two zipped arrays.
    /// let weights = Array2::<u8>::ones((1_000, 4));
    /// let weighted = table.chunked().and(&weights)?.accumulate(stats::WeightedMoments::new)?;
    /// assert_eq!(weighted.weight(), 4_000.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [all parallel methods](#errors-of-parallel-methods).
    pub fn accumulate<T>(self, new: impl Fn() -> T + Sync) -> Result<T>
    where
        T: Accumulator<P::Element> + Send,
    {
        let label = self.label("`accumulate`", &[&std::any::type_name::<T>()]);
        self.collective(label, |chunked| chunked.accumulate_blocks(new))
    }

    fn accumulate_blocks<T>(self, new: impl Fn() -> T + Sync) -> Result<T>
    where
        T: Accumulator<P::Element> + Send,
    {
        let chunked = self.with_ascending_addresses();
        if T::IS_ORDER_INDEPENDENT {
            return chunked.unordered_blocks()?.accumulate_in_any_order(new);
        }
        let blocks = chunked.deterministic_blocks()?;
        let first = blocks.first_node()?;
        let merge: &(dyn Fn(T, T) -> T + Sync) = &|mut first, later| {
            first.merge(later);
            first
        };
        let key = pass_key("blocks", &blocks.count());
        let codec = codec::<P::Element, T>();
        let pass = |part| {
            let tree = PairwiseReduction::new();
            blocks.for_each_batch(part, &|batch| {
                let gathered = blocks.gather(batch.clone())?;
                let leaf = |index: usize| {
                    let mut accumulator = new();
                    let index = index - first;
                    let block = Block { blocks: &blocks, gathered: &gathered, index };
                    accumulator.push_block(&block)?;
                    Ok(accumulator)
                };
                for (level, index) in aligned_nodes(first + batch.start..first + batch.end) {
                    tree.add(level, index, reduce_node(level, index, &leaf, merge)?, merge);
                }
                Ok(())
            })?;
            Ok(tree)
        };
        let merged = reduce_across(blocks.ranks, key, blocks.count(), codec, merge, &pass)?;
        Ok(merged.unwrap_or_else(new))
    }
}

/// A block of the current batch.
struct Block<'b, 'w, 'l, P: ElementSource> {
    blocks: &'b Blocks<'w, P>,
    gathered: &'b Option<Gathered<'l, P::Element>>,
    index: usize,
}

impl<P: ElementSource + Sync> BlockElements<P::Element> for Block<'_, '_, '_, P> {
    fn with_all(&self, work: &mut dyn FnMut(&[P::Element])) -> Result<()> {
        self.blocks.with_contiguous(self.gathered, self.index, work)
    }

    fn for_each_piece(&self, work: &mut dyn FnMut(&[P::Element])) -> Result<()> {
        self.blocks.for_each_piece(self.gathered, self.index, work)
    }
}

impl<P: ElementSource + Sync> Chunked<'_, P> {
    /// Checks that [`accumulate`](Self::accumulate) fits the memory limit.
    pub(crate) fn check_accumulate_fits(&self) -> Result<()>
    where
        P: Clone,
    {
        self.clone().with_ascending_addresses().deterministic_blocks().map(drop)
    }
}

impl<P: ElementSource + Sync> Blocks<'_, P> {
    /// Pushes all elements into one accumulator per thread, and merges the accumulators.
    pub(crate) fn accumulate_in_any_order<T>(&self, new: impl Fn() -> T + Sync) -> Result<T>
    where
        T: Accumulator<P::Element> + Send,
    {
        let merge = |mut first: T, other: T| {
            first.merge(other);
            first
        };
        let pass = |part| {
            let idle = Mutex::new(Vec::<T>::new());
            let take = || idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            self.for_each_batch(part, &|batch| {
                let mut accumulator = take().unwrap_or_else(&new);
                let gathered = self.gather(batch.clone())?;
                batch.clone().try_for_each(|index| {
                    self.for_each_slice(&gathered, index, &mut |elements| {
                        accumulator.push_slice(elements)
                    })
                })?;
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(accumulator);
                Ok(())
            })?;
            let accumulators = idle.into_inner().unwrap_or_else(PoisonError::into_inner);
            Ok(accumulators.into_iter().reduce(merge).unwrap_or_else(&new))
        };
        let codec = codec::<P::Element, T>();
        let key = pass_key("blocks in any order", &self.count());
        let own = run_in_parts(self.ranks, key, self.count(), &codec, &merge, &pass)?;
        let Some(ranks) = self.ranks else { return Ok(own) };
        let of_ranks = ranks.gather_with(&own, &codec)?;
        Ok(of_ranks.into_iter().reduce(merge).expect("a value of each rank"))
    }
}

/// Accumulation along an axis.
impl<A, D, P> Chunked<'_, P>
where
    A: Copy + Send + Sync,
    D: RemoveAxis,
    P: ArraySource<Elem = A, Dim = D>,
{
    /// Pushes the elements of each lane along an axis into its own accumulator. The result has the
    /// shape of the array without the axis.
    ///
    /// A lane is divided into fixed segments, which depend only on the shape and the memory order
    /// of the array: 1,024 elements, or up to 64 KiB if each lane is contiguous in memory. Results
    /// of segments are merged pairwise, as in [`accumulate`](Self::accumulate). The file is read in
    /// memory order, whatever the axis. If the accumulators of all lanes do not fit the [memory
    /// limit](Self::memory_limit), lanes are processed in batches. A [partition](Self::partition)
    /// is a range of segments of the axis. Along an axis of length 0, the results are those of
    /// `new`.
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
    /// Returns the errors of [all parallel methods](#errors-of-parallel-methods).
    ///
    /// # Panics
    ///
    /// Panics if the axis is out of bounds.
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
        self.check_axis(axis);
        let label = self.label("`accumulate_axis`", &[&axis, &std::any::type_name::<T>()]);
        let result = self
            .into_dyn()
            .collective(label, |chunked| chunked.accumulate_lanes(axis, |_| new(), Ok))?;
        Ok(result.into_dimensionality().expect("an axis less than the array"))
    }
}
