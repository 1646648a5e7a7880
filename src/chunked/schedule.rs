//! What a walk keeps resident: how many chunks at a time, and what is done before and after each.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::Arc;

use ndarray::Dimension;

use super::footprint::{Footprint, Form, gcd, round_out};
use super::pager::{Access, Pager, WINDOW_BYTES, pager_of};
use super::plan::{Bounds, Plan};
use crate::error::{ErrorKind, Result};
use crate::machine;

/// A mapped array that a walk goes through.
#[derive(Clone, Debug)]
struct Side {
    form: Form,
    pager: Arc<dyn Pager>,
}

impl Side {
    /// `None` for arrays in memory, and for private mappings: their pages hold the edits, and are never let go.
    fn of<D: Dimension>(form: Form, shape: &D) -> Option<Self> {
        if shape.size() == 0 || form.item == 0 {
            return None;
        }
        let whole = Bounds { low: D::zeros(shape.ndim()), high: shape.clone() };
        let pager = pager_of(&form.footprint(&whole).bound())?;
        Some(Self { form, pager })
    }

    /// The most bytes in whole units that so many consecutive cells touch.
    fn most_bytes<D: Dimension>(&self, plan: &Plan<D>, cells: usize, unit: usize) -> usize {
        let zero = D::zeros(plan.shape().ndim());
        let whole = self.form.footprint(&Bounds { low: zero.clone(), high: plan.shape().clone() });
        let cell = Bounds { low: zero, high: plan.largest() };
        // By what multiples the cells are apart.
        let mut step = unit;
        for (axis, &distance) in self.form.distances.iter().enumerate() {
            if plan.count_along(axis) > 1 {
                let indices = if distance < 0 { 1 } else { plan.aligned_to(axis) };
                step = gcd(step, indices.saturating_mul(distance.unsigned_abs()));
            }
        }
        let all = whole.most_bytes(unit, self.pager.origin(), unit);
        let these = match cells {
            1 => self.form.footprint(&cell).most_bytes(unit, self.pager.origin(), step),
            _ if whole.is_dense() => {
                let bytes = cell.len().saturating_mul(self.form.item).saturating_mul(cells).min(whole.bound().len());
                Footprint::new(whole.bound().start, bytes, []).most_bytes(unit, self.pager.origin(), self.form.item)
            }
            _ => self.form.footprint(&cell).most_bytes(unit, self.pager.origin(), step).saturating_mul(cells),
        };
        these.min(all)
    }

    /// How a walk over these cells goes through the file.
    fn access<D: Dimension>(&self, plan: &Plan<D>) -> Access {
        let bytes = plan.largest().size().saturating_mul(self.form.item).max(1);
        let cells = (WINDOW_BYTES / bytes).clamp(1, plan.cells().len().max(1));
        match self.most_bytes(plan, cells, WINDOW_BYTES) <= 4 * bytes.saturating_mul(cells) {
            true => Access::InOrder,
            false => Access::Scattered,
        }
    }

    /// Makes the pages of these elements resident, and no others.
    fn hold_exactly(&self, footprint: &Footprint) -> Result<()> {
        // One access can make a whole window resident, so the gaps are let go window by window, after all of the
        // window's pages are there.
        let mut window = 0..0;
        let mut gap_begin = 0;
        let close = |window: &Range<usize>, gaps: &mut Vec<Range<usize>>, gap_begin: usize| {
            gaps.push(gap_begin..window.end);
            gaps.drain(..).filter(|gap| !gap.is_empty()).for_each(|gap| self.release(gap));
        };
        let mut gaps = Vec::new();
        for run in footprint.runs(machine::page_bytes(), 0) {
            let mut begin = run.start;
            while begin < run.end {
                if begin >= window.end {
                    close(&window, &mut gaps, gap_begin);
                    window = round_out(&(begin..begin + 1), WINDOW_BYTES, self.pager.origin());
                    gap_begin = window.start;
                }
                let end = run.end.min(window.end);
                self.pager.hold(self.inside(begin..end), self.form.writes)?;
                gaps.push(gap_begin..begin);
                gap_begin = end;
                begin = end;
            }
        }
        close(&window, &mut gaps, gap_begin);
        Ok(())
    }

    fn release(&self, range: Range<usize>) {
        let range = self.inside(range);
        if !range.is_empty() {
            self.pager.release(range);
        }
    }

    fn inside(&self, range: Range<usize>) -> Range<usize> {
        let all = self.pager.addresses();
        range.start.max(all.start)..range.end.min(all.end)
    }
}

/// How a ceiling is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// All fits: nothing is let go.
    Keep,
    /// Some chunks fit with all that an access can make resident around them: they are let go when done.
    Release,
    /// One chunk's own pages fit: they are made resident one by one before, and let go when done.
    Exact,
}

/// What of a ceiling is not for pages, but for the walk's own stacks, partial results and the like.
fn reserve(ceiling: usize) -> usize {
    (ceiling / 8).min(1 << 20)
}

/// The least ceiling that leaves so much for pages.
fn with_reserve(pages: usize) -> usize {
    (pages.saturating_add(pages / 7 + 1)).min(pages.saturating_add(1 << 20))
}

/// What a walk may keep resident.
#[derive(Clone, Copy, Debug)]
pub(super) enum Memory {
    /// A hard ceiling in bytes.
    Ceiling(usize),
    /// What the computer has in bytes; a part of it is to be used, as far as that goes.
    Machine(usize),
}

/// Keeps the pages of a walk below a ceiling.
#[derive(Debug)]
pub(super) struct Schedule {
    sides: Vec<(Side, Access)>,
    mode: Mode,
    at_once: usize,
}

impl Schedule {
    /// A schedule for cells that are taken `cells` at a time by up to `threads` threads.
    pub(super) fn new<D: Dimension>(
        forms: &[Form],
        plan: &Plan<D>,
        cells: usize,
        memory: Memory,
        threads: usize,
    ) -> Result<Self> {
        let sides: Vec<_> = forms.iter().filter_map(|form| Side::of(form.clone(), plan.shape())).collect();
        let (budget, hard) = match memory {
            Memory::Ceiling(bytes) => (bytes, true),
            Memory::Machine(bytes) => (bytes / 4, false),
        };
        let ceiling = budget - reserve(budget);
        let most = |cells: usize, unit: usize| {
            sides.iter().map(|side| side.most_bytes(plan, cells, unit)).fold(0, usize::saturating_add)
        };
        let [all, some] = [plan.cells().len(), cells].map(|cells| most(cells, WINDOW_BYTES));
        let exact = most(cells, machine::page_bytes()).saturating_add(WINDOW_BYTES);
        let (mode, at_once) = match () {
            () if all <= ceiling => (Mode::Keep, threads),
            () if some <= ceiling => (Mode::Release, threads.min(ceiling / some)),
            () if !hard => (Mode::Keep, threads),
            () if exact <= ceiling => (Mode::Exact, 1),
            () => {
                let needed = with_reserve(exact.min(some));
                return Err(ErrorKind::MemoryBudget { needed, budget }.at(None));
            }
        };
        let accesses = sides.into_iter().map(|side| {
            let access = if mode == Mode::Exact { Access::Singly } else { side.access(plan) };
            side.pager.begin(access);
            (side, access)
        });
        Ok(Self { sides: accesses.collect(), mode, at_once })
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

    /// How many threads may work at a time.
    pub(super) fn at_once(&self) -> usize {
        self.at_once
    }

    /// To be called before the elements are touched.
    pub(super) fn enter<D: Dimension>(&self, boxes: &[Bounds<D>]) -> Result<()> {
        for (side, _) in &self.sides {
            side.pager.check()?;
            if self.mode == Mode::Exact {
                boxes.iter().try_for_each(|bounds| side.hold_exactly(&side.form.footprint(bounds)))?;
            }
        }
        Ok(())
    }

    /// To be called when nothing more is to be done with the elements.
    pub(super) fn leave<D: Dimension>(&self, boxes: &[Bounds<D>]) {
        if self.mode == Mode::Keep {
            return;
        }
        for (side, _) in &self.sides {
            for bounds in boxes {
                let footprint = side.form.footprint(bounds);
                match self.mode {
                    // What lies between the runs was not touched by anyone else.
                    Mode::Exact => side.release(round_out(&footprint.bound(), WINDOW_BYTES, side.pager.origin())),
                    _ => footprint.runs(WINDOW_BYTES, side.pager.origin()).for_each(|run| side.release(run)),
                }
            }
        }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.sides.iter().for_each(|(side, access)| side.pager.end(*access));
    }
}
