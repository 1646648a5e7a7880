//! Arrays in blocks of fixed size, whatever the threads, the chunks and the memory.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{ArrayView, Dimension};

use super::elements::Elements;
use super::plan::{Bounds, Plan};
use super::reduce::Meter;
use super::schedule::Schedule;
use super::{Chunked, parallel};
use crate::error::Result;

/// The bytes of a block, over which an accumulator runs before it is merged with others. It is part of what makes
/// results what they are: changing it changes bits.
pub(super) const BLOCK_BYTES: usize = 64 << 10;

/// How many blocks a thread takes at a time.
const MOST_BLOCKS: usize = 32;

impl<P: Elements + Sync> Chunked<'_, P> {
    /// The blocks that accumulators run over.
    pub(crate) fn fixed_blocks(&self) -> Result<Blocks<'_, P>> {
        self.blocks_for(MOST_BLOCKS, |plan, cells| self.schedule(plan, cells, parallel::threads()))
    }

    /// The same, to visit few of them.
    pub(crate) fn scattered_blocks(&self) -> Result<Blocks<'_, P>> {
        self.blocks_for(1, |plan, cells| Ok(self.schedule(plan, cells, parallel::threads())?.scattered()))
    }

    fn blocks_for(
        &self,
        most: usize,
        schedule: impl Fn(&Plan<P::Dim>, usize) -> Result<Schedule>,
    ) -> Result<Blocks<'_, P>> {
        let item = self.forms()[0].item;
        let limit = (BLOCK_BYTES / item.max(1)).max(1);
        let (number, of) = self.how.part;
        let plan = Plan::compact(self.pieces.shape(), self.order(), limit).part(number, of);
        let mut at_a_time = most;
        let schedule = loop {
            match schedule(&plan, at_a_time) {
                Err(_) if at_a_time > 1 => at_a_time /= 2,
                result => break result?,
            }
        };
        Ok(Blocks { pieces: &self.pieces, plan, schedule, at_a_time, progress: self.how.progress.as_deref() })
    }
}

/// An array in blocks of 64 KiB (of the first, if there are several), numbered from 0.
pub(crate) struct Blocks<'w, P: Elements> {
    pieces: &'w P,
    plan: Plan<P::Dim>,
    schedule: Schedule,
    at_a_time: usize,
    progress: Option<&'w (dyn Fn(usize, usize) + Send + Sync + 'w)>,
}

impl<P: Elements + Sync> Blocks<'_, P> {
    pub(crate) fn count(&self) -> usize {
        self.plan.cells().len()
    }

    /// The number of elements of a block.
    pub(crate) fn len_of(&self, number: usize) -> usize {
        self.bounds_of(number).len()
    }

    /// Where in the array a block begins.
    pub(crate) fn start_of(&self, number: usize) -> P::Dim {
        self.bounds_of(number).low
    }

    /// The block itself.
    pub(crate) fn block(&self, number: usize) -> P {
        self.pieces.inside(&self.bounds_of(number))
    }

    fn bounds_of(&self, number: usize) -> Bounds<P::Dim> {
        self.plan.core(self.plan.cells().start + number)
    }

    /// Calls a closure with the elements of a block, in the order of memory.
    pub(crate) fn with_elements<R>(&self, number: usize, work: impl FnOnce(&[P::Element]) -> R) -> R {
        self.block(number).with_slice(work)
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
        work: impl Fn(&[P::Element]) + Sync,
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

impl<A: Copy + Sync, D: Dimension> Blocks<'_, ArrayView<'_, A, D>> {
    /// Calls a closure with the elements of a block and their indices in it, in the order of the walk, as long as it wants
    /// more.
    pub(crate) fn each_with_index(&self, number: usize, mut work: impl FnMut(D, &A) -> bool) {
        let block = self.block(number);
        for (turned, element) in block.view().into_dyn().permuted_axes(self.plan.order()).indexed_iter() {
            let mut index = D::zeros(block.ndim());
            self.plan.order().iter().zip(turned.slice()).for_each(|(&axis, &place)| index[axis] = place);
            if !work(index, element) {
                return;
            }
        }
    }
}
