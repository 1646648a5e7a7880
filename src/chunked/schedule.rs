//! What a walk keeps resident: how many chunks at a time, and what is done before and after each.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use ndarray::Dimension;

use super::fit::{Demand, Mode, ceiling};
use super::footprint::{Footprint, Form};
use super::pager::{Access, Grain, WINDOW_BYTES};
use super::parallel;
use super::plan::{Bounds, Plan};
use super::side::Side;
use crate::error::{Error, ErrorKind, Result};

/// Chunks smaller than this are let go several at a time: letting go takes about as long as reading as many bytes.
const LEAST_LAZY_BYTES: usize = 256 << 10;

/// Larger ones as well where there is room; but not than so many times this, as nothing is gained by more.
const MOST_LAZY: usize = 16;

/// What a walk may keep resident.
#[derive(Clone, Copy, Debug)]
pub(super) enum Memory {
    /// A hard ceiling in bytes.
    Ceiling(usize),
    /// What the computer has in bytes; a part of it is to be used, as far as that goes.
    Machine(usize),
}

/// Returns the mapped arrays among some.
pub(super) fn sides_of<D: Dimension>(forms: &[Form], shape: &D) -> impl Iterator<Item = Side> {
    forms.iter().filter_map(|form| Side::of(form.clone(), shape))
}

/// Keeps the pages of a walk below a ceiling.
#[derive(Debug)]
pub(super) struct Schedule {
    /// The arrays whose pages are let go, and count.
    sides: Vec<(Side, Access)>,
    /// Those whose pages are not.
    kept: Vec<Side>,
    mode: Mode,
    /// What is held of a chunk, if anything is ever let go.
    grain: Option<Grain>,
    at_once: usize,
    /// What is to be let go at the end, for each side: all, or what small chunks have left.
    at_end: Mutex<Vec<Vec<Range<usize>>>>,
    /// Chunks that span less than this are let go several at a time.
    lazy_bytes: usize,
    /// Not even those have room beside other chunks.
    is_tight: bool,
}

impl Schedule {
    /// A schedule for cells that are taken `cells` at a time by up to `threads` threads, each of which has
    /// `buffers` bytes.
    pub(super) fn new<D: Dimension>(
        forms: &[Form],
        plan: &Plan<D>,
        (cells, buffers): (usize, usize),
        memory: Memory,
        threads: usize,
    ) -> Result<Self> {
        let (sides, kept): (Vec<_>, Vec<_>) = sides_of(forms, plan.shape()).partition(|side| side.pager.can_release());
        let demand = Demand::of(sides.iter(), plan, cells, buffers);
        let Some((mode, at_once)) = demand.fit(memory, threads) else {
            let (Memory::Ceiling(budget) | Memory::Machine(budget)) = memory;
            let path = sides.iter().find_map(|side| side.pager.path());
            return Err(ErrorKind::MemoryLimitExceeded { needed: demand.least(), limit: budget }.at(path));
        };
        let (ceiling, some) = (ceiling(memory), demand.some);
        let hard = matches!(memory, Memory::Ceiling(_));
        let grain = match mode {
            Mode::Keep if !hard => None,
            Mode::Keep | Mode::Release => Some(Grain::Windows),
            Mode::Exact => Some(Grain::Pages),
        };
        let at_end = sides.iter().map(|side| match (mode, hard) {
            // Walks that each fit would add up otherwise.
            (Mode::Keep, true) => {
                plan.boxes_in(plan.cells()).iter().map(|bounds| side.form.footprint(bounds).bound()).collect()
            }
            _ => Vec::new(),
        });
        let at_end = Mutex::new(at_end.collect());
        let accesses = sides.into_iter().map(|side| {
            let access = if mode == Mode::Exact { Access::Singly } else { side.access(plan) };
            side.pager.begin(access);
            (side, access)
        });
        let sides: Vec<_> = accesses.collect();
        kept.iter().for_each(|side| side.pager.begin(Access::Scattered));
        // Twice that may wait; and each thread may be about to let go of as much, of which its own chunk has made room.
        let room = |lazy_bytes: usize| {
            let each = sides.iter().map(|(side, _)| {
                let waiting = side.most_around(2 * lazy_bytes);
                let more = waiting.saturating_sub(side.most_bytes(plan, cells, WINDOW_BYTES));
                waiting.saturating_add(at_once.saturating_mul(more))
            });
            each.fold(at_once.saturating_mul(some), usize::saturating_add)
        };
        let mut sizes = (0..=MOST_LAZY.ilog2()).rev().map(|times| LEAST_LAZY_BYTES << times);
        let lazy_bytes = sizes.find(|&size| room(size) <= ceiling);
        let (is_tight, lazy_bytes) = (lazy_bytes.is_none(), lazy_bytes.unwrap_or(LEAST_LAZY_BYTES));
        Ok(Self { sides, kept, mode, grain, at_once, at_end, lazy_bytes, is_tight })
    }

    /// The same where only few cells are visited: nothing is to be read ahead.
    pub(super) fn scattered(mut self) -> Self {
        for (side, access) in self.sides.iter_mut().filter(|(_, access)| *access == Access::InOrder) {
            side.pager.begin(Access::Scattered);
            side.pager.end(*access);
            *access = Access::Scattered;
        }
        self
    }

    /// Calls a closure with every item, on as many threads as there is room for and `limit` allows. Without an error the
    /// files have been whole until the end.
    pub(super) fn for_each<I, E>(
        &self,
        items: I,
        limit: usize,
        work: impl Fn(I::Item) -> std::result::Result<(), E> + Sync,
    ) -> std::result::Result<(), E>
    where
        I: Iterator<Item: Send> + Send,
        E: From<Error> + Send,
    {
        parallel::try_for_each(items, self.at_once.min(limit), work)?;
        Ok(self.check()?)
    }

    /// How many threads may work at a time.
    #[cfg(test)]
    fn at_once(&self) -> usize {
        self.at_once
    }

    /// To be called before the elements are touched, and the result kept until nothing more is to be done with them.
    pub(super) fn hold<'s, D: Dimension>(&'s self, boxes: &'s [Bounds<D>]) -> Result<Held<'s, D>> {
        // Made first, so that what is held of it is let go if the rest fails.
        let held = Held { schedule: self, boxes };
        self.enter(boxes)?;
        Ok(held)
    }

    /// The first half of [`hold`](Self::hold).
    pub(super) fn enter<D: Dimension>(&self, boxes: &[Bounds<D>]) -> Result<()> {
        let mut result = Ok(());
        for (number, side) in self.all_sides().enumerate() {
            let may_leave = number < self.sides.len();
            result = result.and_then(|()| side.pager.check());
            for footprint in boxes.iter().map(|bounds| side.form.footprint(bounds)) {
                // All of them, whatever fails: all are let go.
                self.grain.filter(|_| may_leave).into_iter().for_each(|grain| side.hold(&footprint, grain));
                if may_leave && self.mode == Mode::Release && self.is_tight {
                    self.leave_now(number, &footprint);
                }
                result = result.and_then(|()| match self.mode {
                    Mode::Exact if may_leave => side.make_only_these_ready(&footprint),
                    _ => side.make_ready(&footprint),
                });
            }
        }
        result
    }

    /// To be called before results are handed out: are the files still what they were?
    pub(super) fn check(&self) -> Result<()> {
        self.all_sides().try_for_each(|side| side.pager.check())
    }

    fn all_sides(&self) -> impl Iterator<Item = &Side> {
        self.sides.iter().map(|(side, _)| side).chain(&self.kept)
    }

    /// The second half.
    pub(super) fn leave<D: Dimension>(&self, boxes: &[Bounds<D>]) {
        let Some(grain) = self.grain else { return };
        for (number, (side, _)) in self.sides.iter().enumerate() {
            for bounds in boxes {
                let footprint = side.form.footprint(bounds);
                side.let_go(&footprint, grain);
                match self.mode {
                    Mode::Keep => {}
                    Mode::Exact => side.release(side.around(&footprint.bound())),
                    Mode::Release if footprint.bound().len() < self.lazy_bytes => {
                        self.leave_later(number, footprint.bound())
                    }
                    Mode::Release => side.release_around(&footprint),
                }
            }
        }
    }

    /// Lets go of what small chunks have left, unless this chunk has the same windows.
    fn leave_now(&self, number: usize, footprint: &Footprint) {
        let side = &self.sides[number].0;
        let bound = footprint.bound();
        let mut at_end = self.at_end.lock().unwrap_or_else(PoisonError::into_inner);
        let windows = side.around(&bound);
        let is_within = |old: &mut Range<usize>| {
            let old = side.around(old);
            bound.len() < LEAST_LAZY_BYTES && windows.start <= old.start && old.end <= windows.end
        };
        if let Some(old) = at_end[number].pop_if(|old| !is_within(old)) {
            side.release(side.around(&old));
        }
    }

    /// Small chunks are let go together.
    fn leave_later(&self, number: usize, bound: Range<usize>) {
        let mut at_end = self.at_end.lock().unwrap_or_else(PoisonError::into_inner);
        let together = at_end[number].pop();
        let joined = together.as_ref().map_or(bound.clone(), |old| old.start.min(bound.start)..old.end.max(bound.end));
        if joined.len() <= 2 * self.lazy_bytes {
            at_end[number].push(joined);
            return;
        }
        at_end[number].push(bound);
        // Where there is room, the others go on meanwhile.
        let _others_wait = self.is_tight.then_some(at_end);
        let side = &self.sides[number].0;
        together.into_iter().for_each(|old| side.release(side.around(&old)));
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        let at_end = std::mem::take(self.at_end.get_mut().unwrap_or_else(PoisonError::into_inner));
        for ((side, access), ranges) in self.sides.iter().zip(at_end) {
            ranges.into_iter().for_each(|range| side.release(side.around(&range)));
            side.pager.end(*access);
        }
        self.kept.iter().for_each(|side| side.pager.end(Access::Scattered));
    }
}

/// Cells that are being worked on; lets go of their memory when dropped.
#[must_use]
pub(super) struct Held<'s, D: Dimension> {
    schedule: &'s Schedule,
    boxes: &'s [Bounds<D>],
}

impl<D: Dimension> Drop for Held<'_, D> {
    fn drop(&mut self) {
        self.schedule.leave(self.boxes);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use ndarray::{ArrayView, IxDyn, ShapeBuilder, Slice};
    use proptest::prelude::*;

    use super::super::footprint::round_out;
    use super::super::pager::{Pager, READY_BYTES, Registration};
    use super::super::plan::memory_order;
    use super::*;

    const PAGE: usize = 4096;
    const BYTES: usize = 24 << 20;

    /// A system that makes a whole window resident whenever a page of it is missed, and 64 KiB of addresses, and counts.
    #[derive(Debug)]
    struct Model {
        addresses: Range<usize>,
        origin: usize,
        pages: Mutex<Pages>,
    }

    #[derive(Debug, Default)]
    struct Pages {
        resident: BTreeSet<usize>,
        held: BTreeMap<usize, usize>,
        peak: usize,
    }

    impl Model {
        fn touch(&self, range: Range<usize>) {
            let mut pages = self.pages.lock().unwrap();
            for page in range.start / PAGE..range.end.div_ceil(PAGE) {
                if !pages.resident.contains(&page) {
                    for (unit, origin) in [(WINDOW_BYTES, self.origin), (READY_BYTES, 0)] {
                        let around = round_out(&(page * PAGE..page * PAGE + 1), unit, origin);
                        let [start, end] =
                            [around.start, around.end].map(|at| at.clamp(self.addresses.start, self.addresses.end));
                        pages.resident.extend(start / PAGE..end.div_ceil(PAGE));
                    }
                    pages.peak = pages.peak.max(pages.resident.len());
                }
            }
        }
    }

    impl Pager for Model {
        fn can_release(&self) -> bool {
            true
        }

        fn addresses(&self) -> Range<usize> {
            self.addresses.clone()
        }

        fn path(&self) -> Option<&std::path::Path> {
            None
        }

        fn origin(&self) -> usize {
            self.origin
        }

        fn check(&self) -> Result<()> {
            Ok(())
        }

        fn begin(&self, _access: Access) {}

        fn end(&self, _access: Access) {}

        fn hold(&self, range: Range<usize>, _grain: Grain) {
            let mut pages = self.pages.lock().unwrap();
            (range.start / PAGE..range.end.div_ceil(PAGE)).for_each(|page| *pages.held.entry(page).or_default() += 1);
        }

        fn takes_space(&self) -> bool {
            false
        }

        fn is_random(&self) -> bool {
            false
        }

        fn make_ready(&self, range: Range<usize>) -> Result<()> {
            self.touch(range);
            Ok(())
        }

        fn make_these_ready(&self, range: Range<usize>, _write: bool) -> Result<()> {
            self.make_ready(range)
        }

        fn let_go(&self, range: Range<usize>, _grain: Grain) {
            let mut pages = self.pages.lock().unwrap();
            (range.start / PAGE..range.end.div_ceil(PAGE)).for_each(|page| {
                let times = pages.held.get_mut(&page).unwrap();
                *times -= 1;
                if *times == 0 {
                    pages.held.remove(&page);
                }
            });
        }

        fn release(&self, range: Range<usize>) {
            let mut pages = self.pages.lock().unwrap();
            let Pages { resident, held, .. } = &mut *pages;
            let gone: Vec<_> = resident.range(range.start / PAGE..range.end.div_ceil(PAGE)).copied().collect();
            gone.iter().filter(|page| !held.contains_key(page)).for_each(|page| {
                resident.remove(page);
            });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 96, ..Default::default() })]
        #[test]
        fn no_walk_exceeds_its_ceiling(
            lens in prop::collection::vec(1_usize..40, 1..4),
            steps in prop::collection::vec(1_usize..40, 4),
            strides in prop::collection::vec(prop_oneof![3 => Just(1_isize), 1 => Just(-1), 1 => Just(3)], 4),
            fortran in any::<bool>(),
            offset in 0_usize..10_000,
            page_in_file in prop_oneof![Just(0_usize), 0_usize..1_000],
            mapped in prop_oneof![2 => Just(BYTES), 1 => PAGE..4 << 20],
            budget in prop_oneof![4 => (4_usize << 20)..(30 << 20), 1 => PAGE..6 << 20],
            threads in 1_usize..5,
        ) {
            // Never written or read: only its addresses matter.
            let mapped = mapped.next_multiple_of(PAGE).max(4 * PAGE);
            let memory = vec![0_u8; mapped + 2 * PAGE];
            let first = (memory.as_ptr() as usize).next_multiple_of(PAGE);
            let addresses = first..first + mapped;
            let origin = first.wrapping_sub(page_in_file * PAGE);
            let model = Arc::new(Model { addresses, origin, pages: Mutex::default() });
            let _registration = Registration::new(model.clone());

            let mut shape = lens;
            let room = (mapped - offset) / shape.iter().product::<usize>();
            let widest = if fortran { 0 } else { shape.len() - 1 };
            shape[widest] *= room.max(1);
            prop_assume!(shape.iter().product::<usize>() <= mapped - offset);
            let bytes = &memory[first - memory.as_ptr() as usize + offset..];
            let whole = ArrayView::from_shape(IxDyn(&shape).set_f(fortran), &bytes[..shape.iter().product()]).unwrap();
            let view = whole.slice_each_axis(|axis| Slice::new(0, None, strides[axis.axis.index()]));
            let form = Form::of(&view, false);
            let order = memory_order(view.shape().iter().copied().zip(form.distances.iter().copied()));
            let mut steps = steps[..shape.len()].to_vec();
            steps[widest] *= 10_000;
            let plan = Plan::new(view.raw_dim(), IxDyn(&steps), order);

            let forms = [form];
            let Ok(schedule) = Schedule::new(&forms, &plan, (1, 0), Memory::Ceiling(budget), threads) else { return Ok(()) };
            let cells: Vec<_> = plan.cells().map(|cell| [plan.core(cell)]).collect();
            for together in cells.chunks(schedule.at_once()) {
                let held: Vec<_> = together.iter().map(|cell| schedule.hold(cell).unwrap()).collect();
                for [bounds] in together {
                    forms[0].footprint(bounds).runs(PAGE, 0).for_each(|run| model.touch(run));
                }
                drop(held);
            }
            drop(schedule);
            let pages = model.pages.lock().unwrap();
            prop_assert!(pages.peak * PAGE <= budget, "{} bytes of {budget}", pages.peak * PAGE);
            prop_assert!(pages.resident.is_empty() && pages.held.is_empty());
        }
    }
}
