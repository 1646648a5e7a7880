//! Accumulators over all elements: the same bits whatever the threads, the chunks and the memory.
#![forbid(unsafe_code)]

use ndarray::{ArrayView, Dimension};

use super::pieces::slice;
use super::plan::Plan;
use super::reduce::Meter;
use super::tree::{Tree, subtree, subtrees};
use super::{Chunked, parallel};
use crate::error::Result;

/// The bytes of a block, over which an accumulator runs before it is merged with others. It is part of what makes
/// results what they are: changing it changes bits.
const BLOCK_BYTES: usize = 64 << 10;

/// How many blocks a thread takes at a time.
const MOST_BLOCKS: usize = 32;

/// Something that elements are pushed into one after the other, and that can be merged with another one of its kind.
///
/// Partial results of several walks, files or machines are merged with [`merge`](Self::merge).
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{Accumulator, prelude::*};
///
/// /// The sum of the logarithms.
/// #[derive(Default)]
/// struct LogSum(f64);
///
/// impl Accumulator<f64> for LogSum {
///     type Output = f64;
///
///     fn push(&mut self, &x: &f64) {
///         self.0 += x.ln();
///     }
///
///     fn merge(&mut self, later: Self) {
///         self.0 += later.0;
///     }
///
///     fn finish(self) -> f64 {
///         self.0
///     }
/// }
///
/// let table = Array2::from_elem((100, 100), 1.0_f64.exp());
/// let sum = table.chunked().accumulate(LogSum::default)?;
/// assert_eq!(sum.finish(), 10_000.0);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
pub trait Accumulator<A>: Sized {
    /// The result.
    type Output;

    /// Takes one element.
    fn push(&mut self, element: &A);

    /// Takes several, in their order. The same as pushing them one by one, unless it is made faster.
    fn push_slice(&mut self, elements: &[A]) {
        elements.iter().for_each(|element| self.push(element));
    }

    /// Takes what another one has taken, of elements that come later.
    fn merge(&mut self, later: Self);

    /// The result of all elements taken.
    fn finish(self) -> Self::Output;
}

macro_rules! tuples {
    ($($($name:ident $index:tt)+;)*) => {$(
        /// Several accumulators in one pass.
        impl<Element, $($name: Accumulator<Element>),+> Accumulator<Element> for ($($name,)+) {
            type Output = ($($name::Output,)+);

            fn push(&mut self, element: &Element) {
                $(self.$index.push(element);)+
            }

            fn push_slice(&mut self, elements: &[Element]) {
                $(self.$index.push_slice(elements);)+
            }

            fn merge(&mut self, later: Self) {
                $(self.$index.merge(later.$index);)+
            }

            fn finish(self) -> Self::Output {
                ($(self.$index.finish(),)+)
            }
        }
    )*};
}
tuples! { A 0; A 0 B 1; A 0 B 1 C 2; A 0 B 1 C 2 D 3; A 0 B 1 C 2 D 3 E 4; A 0 B 1 C 2 D 3 E 4 F 5; }

/// Over all elements.
impl<A: Sync, D: Dimension> Chunked<'_, ArrayView<'_, A, D>> {
    /// Pushes all elements into accumulators, on all threads, and merges them into one.
    ///
    /// Each accumulator made by `new` takes the elements of one block of 64 KiB in the order of memory; blocks are merged
    /// in pairs of neighbours, those again, and so on. Blocks depend on shape and memory order of the array alone, so the
    /// result has the same bits whatever the number of threads, the chunks, and the memory. If there are no elements, it
    /// is what `new` gives.
    ///
    /// # Errors
    ///
    /// Those of [all parallel methods](#errors).
    pub fn accumulate<T>(self, new: impl Fn() -> T + Sync) -> Result<T>
    where
        T: Accumulator<A> + Send,
    {
        let limit = (BLOCK_BYTES / size_of::<A>().max(1)).max(1);
        let (number, of) = self.part;
        let plan = Plan::compact(self.pieces.raw_dim(), self.order(), limit).part(number, of);
        let blocks = plan.cells();

        let mut at_a_time = MOST_BLOCKS;
        let schedule = loop {
            match self.schedule(&plan, at_a_time, parallel::threads()) {
                Err(_) if at_a_time > 1 => at_a_time /= 2,
                result => break result?,
            }
        };
        let view = &self.pieces;
        let leaf = |number: usize| {
            let mut accumulator = new();
            push_all(&mut accumulator, slice(view.clone(), &plan.core(blocks.start + number)));
            accumulator
        };
        let merge = |mut first: T, later| {
            first.merge(later);
            first
        };
        let tree = Tree::new();
        let meter = Meter::new(self.progress.as_deref(), plan.boxes_in(blocks.clone()).iter().map(|b| b.len()).sum());
        let groups = (0..blocks.len()).step_by(at_a_time).map(|begin| begin..blocks.len().min(begin + at_a_time));
        parallel::try_for_each(groups, schedule.at_once(), |group| -> Result<()> {
            let touched = plan.boxes_in(blocks.start + group.start..blocks.start + group.end);
            schedule.enter(&touched)?;
            for (level, number) in subtrees(group) {
                tree.add(level, number, subtree(level, number, &leaf, &merge), merge);
            }
            schedule.leave(&touched);
            meter.add(touched.iter().map(|bounds| bounds.len()).sum());
            Ok(())
        })?;
        Ok(tree.finish(merge).unwrap_or_else(new))
    }
}

/// Pushes the elements in the order of memory, in pieces as long as they lie one after the other.
fn push_all<A, D: Dimension>(accumulator: &mut impl Accumulator<A>, block: ArrayView<'_, A, D>) {
    if let Some(elements) = block.as_slice_memory_order() {
        return accumulator.push_slice(elements);
    }
    let mut block = block.into_dyn();
    let order = super::memory_order(block.shape().iter().copied().zip(block.strides().iter().copied()));
    block = block.permuted_axes(order);
    for axis in 0..block.ndim() {
        if block.strides()[axis] < 0 {
            block.invert_axis(ndarray::Axis(axis));
        }
    }
    for line in block.rows() {
        match line.to_slice() {
            Some(elements) => accumulator.push_slice(elements),
            None => line.iter().for_each(|element| accumulator.push(element)),
        }
    }
}
