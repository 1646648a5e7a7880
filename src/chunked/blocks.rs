//! Arrays in blocks of fixed size, whatever the threads, the chunks and the memory.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::Dimension;

use super::elements::ElementSource;
use super::fit::{Choice, lengths};
use super::plan::{Bounds, Plan};
use super::reduce::Meter;
use super::schedule::{Schedule, sides_of};
use super::{Chunked, parallel};
use crate::error::Result;

/// The bytes of a block, over which an accumulator runs before it is merged with others. It is part of what makes
/// results what they are: changing it changes bits.
pub(super) const BLOCK_BYTES: usize = 64 << 10;

/// How many blocks a thread takes at a time.
const MOST_BLOCKS: usize = 32;

impl<P: ElementSource + Sync> Chunked<'_, P> {
    /// Turns all axes along which the first array runs against its memory, so that blocks follow each other in the order of
    /// memory, as elements inside them do.
    pub(super) fn along_memory(mut self) -> Self {
        for (axis, distance) in self.forms()[0].distances.iter().enumerate() {
            if *distance < 0 {
                self.pieces.invert(axis);
            }
        }
        self
    }

    /// The blocks that accumulators run over, of a walk [along memory](Self::along_memory). Where the pages of one do not fit,
    /// as of a column, its elements are gathered.
    pub(crate) fn fixed_blocks(&self) -> Result<Blocks<'_, P>> {
        let gathered = self.block_plan(BLOCK_BYTES).steps().size().saturating_mul(size_of::<P::Element>());
        let mut blocks = match self.blocks_of(BLOCK_BYTES, MOST_BLOCKS, 0) {
            Err(_) => self.smaller_blocks(BLOCK_BYTES / 2, 1, gathered)?,
            blocks => return blocks,
        };
        let part = std::mem::replace(&mut blocks.plan, self.block_plan(BLOCK_BYTES));
        blocks.gathered = Some(part.steps().size());
        Ok(blocks)
    }

    /// Blocks for what does not depend on where they begin, as counts: smaller ones where the pages of one do not fit.
    pub(crate) fn any_blocks(&self) -> Result<Blocks<'_, P>> {
        self.blocks_of(BLOCK_BYTES, MOST_BLOCKS, 0).or_else(|_| self.smaller_blocks(BLOCK_BYTES / 2, MOST_BLOCKS, 0))
    }

    /// The same, to visit few of them.
    pub(crate) fn scattered_blocks(&self) -> Result<Blocks<'_, P>> {
        let mut blocks = self.blocks_of(BLOCK_BYTES, 1, 0).or_else(|_| self.smaller_blocks(BLOCK_BYTES / 2, 1, 0))?;
        blocks.schedule = blocks.schedule.scattered();
        Ok(blocks)
    }

    /// Returns the blocks of at most `bytes` bytes that cost the least of those that fit.
    fn smaller_blocks(&self, bytes: usize, most: usize, gathered: usize) -> Result<Blocks<'_, P>> {
        let forms = self.forms();
        let sides: Vec<_> = sides_of(&forms, &self.pieces.shape()).filter(|side| side.pager.can_release()).collect();
        let mut choice = Choice::new(self.memory_beside_state(0).0, parallel::threads());
        for bytes in lengths(bytes, 1, forms[0].item.max(1)) {
            let plan = self.block_plan(bytes);
            if choice.offer(sides.iter(), &plan, (self.buffers(&plan, gathered), 0.0), bytes) {
                break;
            }
        }
        self.blocks_of(choice.finish(sides.iter())?, most, gathered)
    }

    /// Returns the bytes that a thread has for copies of a block, and for what it gathers.
    fn buffers(&self, plan: &Plan<P::Dim>, gathered: usize) -> usize {
        plan.steps().size().saturating_mul(self.pieces.copied_bytes()).saturating_add(gathered)
    }

    fn block_plan(&self, bytes: usize) -> Plan<P::Dim> {
        let limit = (bytes / self.forms()[0].item.max(1)).max(1);
        let (number, of) = self.how.part;
        Plan::compact(self.pieces.shape(), self.order(), limit).partition(number, of)
    }

    /// Returns blocks of `bytes` bytes, up to `most` at a time; a thread gathers `gathered` bytes besides.
    fn blocks_of(&self, bytes: usize, most: usize, gathered: usize) -> Result<Blocks<'_, P>> {
        let plan = self.block_plan(bytes);
        let buffers = self.buffers(&plan, gathered);
        let mut at_a_time = most;
        let schedule = loop {
            match self.schedule(&plan, (at_a_time, buffers), parallel::threads()) {
                Err(_) if at_a_time > 1 => at_a_time /= 2,
                result => break result?,
            }
        };
        let progress = self.how.progress.as_deref();
        Ok(Blocks {
            pieces: &self.pieces,
            plan,
            schedule,
            at_a_time,
            most_threads: usize::MAX,
            gathered: None,
            progress,
        })
    }
}

/// An array in blocks of 64 KiB (of the first, if there are several), numbered from 0.
pub(crate) struct Blocks<'w, P: ElementSource> {
    pieces: &'w P,
    plan: Plan<P::Dim>,
    schedule: Schedule,
    at_a_time: usize,
    most_threads: usize,
    /// Blocks are not held as a whole, but so many elements at a time.
    gathered: Option<usize>,
    progress: Option<&'w (dyn Fn(usize, usize) + Send + Sync + 'w)>,
}

impl<P: ElementSource + Sync> Blocks<'_, P> {
    /// The same on so many threads at most.
    pub(crate) fn on(self, most_threads: usize) -> Self {
        Self { most_threads, ..self }
    }

    pub(crate) fn count(&self) -> usize {
        self.plan.cells().len()
    }

    /// The number of elements of a block.
    pub(crate) fn len_of(&self, number: usize) -> usize {
        self.bounds_of(number).len()
    }

    /// The axes from the slowest to the fastest, in which blocks follow each other.
    pub(crate) fn order(&self) -> &[usize] {
        self.plan.order()
    }

    /// Where in the array a block begins.
    pub(crate) fn start_of(&self, number: usize) -> P::Dim {
        self.bounds_of(number).low
    }

    /// The block itself.
    pub(super) fn block(&self, number: usize) -> P {
        self.pieces.inside(&self.bounds_of(number))
    }

    fn bounds_of(&self, number: usize) -> Bounds<P::Dim> {
        self.plan.core(self.plan.cells().start + number)
    }

    /// Calls a closure with the elements of a block, in the order of memory.
    pub(crate) fn with_elements<R>(&self, number: usize, work: impl FnOnce(&[P::Element]) -> R) -> R {
        self.block(number).with_slice(work)
    }

    /// The same where blocks may have to be gathered.
    pub(crate) fn with_gathered<R>(&self, number: usize, work: impl FnOnce(&[P::Element]) -> R) -> Result<R> {
        let Some(limit) = self.gathered else { return Ok(self.with_elements(number, work)) };
        let Bounds { low: begin, high: end } = self.bounds_of(number);
        let lens = end - begin.clone();
        let parts = Plan::compact(lens.clone(), self.plan.order().to_vec(), limit);
        let mut elements = Vec::with_capacity(lens.size());
        for part in parts.cells() {
            let Bounds { low, high } = parts.core(part);
            let bounds = Bounds { low: low + begin.clone(), high: high + begin.clone() };
            let _held = self.schedule.hold(std::slice::from_ref(&bounds))?;
            self.pieces.inside(&bounds).with_slice(|some| elements.extend_from_slice(some));
        }
        Ok(work(&elements))
    }

    /// Calls a closure with groups of block numbers that together are all of them, on all threads.
    pub(crate) fn in_groups(&self, work: impl Fn(Range<usize>) -> Result<()> + Sync) -> Result<()> {
        let all = self.plan.boxes_in(self.plan.cells()).iter().map(|bounds| bounds.len()).sum();
        let meter = Meter::new(self.progress, all);
        let (count, step) = (self.count(), self.at_a_time);
        self.each((0..count).step_by(step).map(|begin| begin..count.min(begin + step)), |group, elements| {
            work(group)?;
            meter.add(elements);
            Ok(())
        })
    }

    /// Calls a closure with the elements of some blocks, on all threads.
    pub(crate) fn in_blocks(
        &self,
        numbers: impl Iterator<Item = usize> + Send,
        work: impl Fn(&[P::Element]) + Sync,
    ) -> Result<()> {
        self.each(numbers.map(|number| number..number + 1), |block, _| {
            self.with_elements(block.start, &work);
            Ok(())
        })
    }

    fn each(
        &self,
        groups: impl Iterator<Item = Range<usize>> + Send,
        work: impl Fn(Range<usize>, usize) -> Result<()> + Sync,
    ) -> Result<()> {
        let first = self.plan.cells().start;
        self.schedule.for_each(groups, self.most_threads, |group: Range<usize>| {
            let touched = self.plan.boxes_in(first + group.start..first + group.end);
            let _held = match self.gathered {
                Some(_) => None,
                None => Some(self.schedule.hold(&touched)?),
            };
            work(group, touched.iter().map(|bounds| bounds.len()).sum())
        })
    }
}
