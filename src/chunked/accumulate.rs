//! Accumulators over all elements: the same bits whatever the threads, the chunks and the memory.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{ArrayView, Axis, Dimension};

use super::pieces::slice;
use super::plan::{Plan, memory_order};
use super::reduce::Meter;
use super::schedule::Schedule;
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
impl<A: Copy + Sync, D: Dimension> Chunked<'_, ArrayView<'_, A, D>> {
    /// Pushes all elements into accumulators, on all threads, and merges them into one.
    ///
    /// Axis, lengths and blocks of the walk do not matter, and a [part](Self::part) is one of the blocks of 64 KiB that are
    /// spoken of next.
    ///
    /// Each accumulator made by `new` takes the elements of one block of 64 KiB in the order of memory; blocks are merged
    /// in pairs of neighbours, those again, and so on. Blocks depend on shape and memory order of the array alone, so the
    /// result has the same bits whatever the number of threads, the chunks, and the memory. If there are no elements, it
    /// is what `new` gives.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// use ndarray_mmap::{prelude::*, stats};
    ///
    /// let table = Array2::from_elem((1_000, 4), 0.1_f32);
    /// let (sum, extremes) = table.chunked().accumulate(|| (stats::Sum::new(), stats::Extremes::new()))?;
    /// assert_eq!((sum.count(), extremes.range()), (4_000, Some((0.1, 0.1))));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [all parallel methods](#errors).
    pub fn accumulate<T>(self, new: impl Fn() -> T + Sync) -> Result<T>
    where
        T: Accumulator<A> + Send,
    {
        let blocks = self.fixed_blocks()?;
        let leaf = |number: usize| {
            let mut accumulator = new();
            blocks.with_elements(number, |elements| accumulator.push_slice(elements));
            accumulator
        };
        let merge = |mut first: T, later| {
            first.merge(later);
            first
        };
        let tree = Tree::new();
        blocks.in_groups(|group| {
            for (level, number) in subtrees(group) {
                tree.add(level, number, subtree(level, number, &leaf, &merge), merge);
            }
        })?;
        Ok(tree.finish(merge).unwrap_or_else(new))
    }

    /// The blocks that accumulators run over.
    pub(crate) fn fixed_blocks(&self) -> Result<Blocks<'_, A, D>> {
        self.blocks_for(MOST_BLOCKS, |plan, cells| self.schedule(plan, cells, parallel::threads()))
    }

    /// The same, to visit few of them.
    pub(crate) fn scattered_blocks(&self) -> Result<Blocks<'_, A, D>> {
        self.blocks_for(1, |plan, cells| Ok(self.schedule(plan, cells, parallel::threads())?.scattered()))
    }

    fn blocks_for(
        &self,
        most: usize,
        schedule: impl Fn(&Plan<D>, usize) -> Result<Schedule>,
    ) -> Result<Blocks<'_, A, D>> {
        let limit = (BLOCK_BYTES / size_of::<A>().max(1)).max(1);
        let (number, of) = self.how.part;
        let plan = Plan::compact(self.pieces.raw_dim(), self.order(), limit).part(number, of);
        let mut at_a_time = most;
        let schedule = loop {
            match schedule(&plan, at_a_time) {
                Err(_) if at_a_time > 1 => at_a_time /= 2,
                result => break result?,
            }
        };
        Ok(Blocks { view: self.pieces.view(), plan, schedule, at_a_time, progress: self.how.progress.as_deref() })
    }
}

/// An array in blocks of 64 KiB, numbered from 0.
pub(crate) struct Blocks<'w, A, D: Dimension> {
    view: ArrayView<'w, A, D>,
    plan: Plan<D>,
    schedule: Schedule,
    at_a_time: usize,
    progress: Option<&'w (dyn Fn(usize, usize) + Send + Sync + 'w)>,
}

impl<A: Copy + Sync, D: Dimension> Blocks<'_, A, D> {
    pub(crate) fn count(&self) -> usize {
        self.plan.cells().len()
    }

    /// The number of elements of a block.
    pub(crate) fn len_of(&self, number: usize) -> usize {
        self.plan.core(self.plan.cells().start + number).len()
    }

    /// Calls a closure with the elements of a block, in the order of memory.
    pub(crate) fn with_elements<R>(&self, number: usize, work: impl FnOnce(&[A]) -> R) -> R {
        let block = slice(self.view.view(), &self.plan.core(self.plan.cells().start + number));
        match block.as_slice_memory_order() {
            Some(elements) => work(elements),
            None => work(&gathered(block)),
        }
    }

    /// Calls a closure with groups of block numbers that together are all of them, on all threads.
    pub(crate) fn in_groups(&self, work: impl Fn(Range<usize>) + Sync) -> Result<()> {
        let all = self.plan.boxes_in(self.plan.cells()).iter().map(|bounds| bounds.len()).sum();
        let meter = Meter::new(self.progress, all);
        let (count, step) = (self.count(), self.at_a_time);
        self.each((0..count).step_by(step).map(|begin| begin..count.min(begin + step)), |group, elements| {
            work(group);
            meter.add(elements);
        })
    }

    /// Calls a closure with the elements of some blocks, on all threads.
    pub(crate) fn in_blocks(
        &self,
        numbers: impl Iterator<Item = usize> + Send,
        work: impl Fn(&[A]) + Sync,
    ) -> Result<()> {
        self.each(numbers.map(|number| number..number + 1), |block, _| self.with_elements(block.start, &work))
    }

    fn each(
        &self,
        groups: impl Iterator<Item = Range<usize>> + Send,
        work: impl Fn(Range<usize>, usize) + Sync,
    ) -> Result<()> {
        let first = self.plan.cells().start;
        parallel::try_for_each(groups, self.schedule.at_once(), |group: Range<usize>| {
            let touched = self.plan.boxes_in(first + group.start..first + group.end);
            let _held = self.schedule.hold(&touched)?;
            work(group, touched.iter().map(|bounds| bounds.len()).sum());
            Ok(())
        })
    }
}

/// The elements in the order of memory.
fn gathered<A: Copy, D: Dimension>(block: ArrayView<'_, A, D>) -> Vec<A> {
    let mut block = block.into_dyn();
    let order = memory_order(block.shape().iter().copied().zip(block.strides().iter().copied()));
    block = block.permuted_axes(order);
    for axis in 0..block.ndim() {
        if block.strides()[axis] < 0 {
            block.invert_axis(Axis(axis));
        }
    }
    for axis in (0..block.ndim()).rev() {
        // Axes of one index are no lines.
        if block.len_of(Axis(axis)) == 1 && block.ndim() > 1 {
            block = block.index_axis_move(Axis(axis), 0);
        }
    }
    let mut elements = Vec::with_capacity(block.len());
    for line in block.rows() {
        match line.to_slice() {
            Some(slice) => elements.extend_from_slice(slice),
            None => elements.extend(line),
        }
    }
    elements
}
