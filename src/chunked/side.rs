//! One mapped array in a walk: what it can make resident, and how that is held and let go.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::Arc;

use ndarray::Dimension;

use super::footprint::{Footprint, Form, gcd, round_out};
use super::pager::{Access, Grain, Pager, READY_BYTES, WINDOW_BYTES, pager_of};
use super::plan::{Bounds, Plan, memory_order};
use crate::error::Result;
use crate::machine;

/// A mapped array that a walk goes through.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) form: Form,
    pub(super) pager: Arc<dyn Pager>,
}

impl Side {
    /// `None` for arrays in memory.
    pub(super) fn of<D: Dimension>(form: Form, shape: &D) -> Option<Self> {
        if shape.size() == 0 || form.item == 0 {
            return None;
        }
        let whole = Bounds { low: D::zeros(shape.ndim()), high: shape.clone() };
        let pager = pager_of(&form.footprint(&whole).bound())?;
        Some(Self { form, pager })
    }

    /// Where all elements are.
    fn whole<D: Dimension>(&self, shape: &D) -> Footprint {
        self.form.footprint(&Bounds { low: D::zeros(shape.ndim()), high: shape.clone() })
    }

    /// The most bytes in whole units that so many consecutive cells touch.
    pub(super) fn most_bytes<D: Dimension>(&self, plan: &Plan<D>, cells: usize, unit: usize) -> usize {
        let zero = D::zeros(plan.shape().ndim());
        let whole = self.whole(plan.shape());
        let cell = Bounds { low: zero, high: plan.largest() };
        // Cells begin at multiples of this many bytes from each other.
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
            _ if self.is_consecutive(plan) => {
                let bytes = cell.len().saturating_mul(self.form.item).saturating_mul(cells).min(whole.bound().len());
                Footprint::new(whole.bound().start, bytes, []).most_bytes(unit, self.pager.origin(), self.form.item)
            }
            _ => self.form.footprint(&cell).most_bytes(unit, self.pager.origin(), step).saturating_mul(cells),
        };
        let most = these.min(all);
        // What lies around the windows.
        let around = if unit == WINDOW_BYTES { most / WINDOW_BYTES * 2 * self.beyond_windows() } else { 0 };
        most.saturating_add(around).min(self.mapped_bytes())
    }

    /// What is mapped, in whole pages.
    pub(super) fn mapped_bytes(&self) -> usize {
        round_out(&self.pager.addresses(), machine::page_bytes(), 0).len()
    }

    /// Whether cells that follow each other lie one after the other in memory.
    fn is_consecutive<D: Dimension>(&self, plan: &Plan<D>) -> bool {
        let zero = D::zeros(plan.shape().ndim());
        let is_dense = |high| self.form.footprint(&Bounds { low: zero.clone(), high }).is_dense();
        let axes = plan.shape().slice().iter().copied().zip(self.form.distances.iter().copied());
        memory_order(axes) == plan.order()
            && self.form.distances.iter().all(|&distance| distance >= 0)
            && is_dense(plan.shape().clone())
            && is_dense(plan.largest())
    }

    /// How a walk over these cells goes through the file.
    pub(super) fn access<D: Dimension>(&self, plan: &Plan<D>) -> Access {
        let bytes = plan.largest().size().saturating_mul(self.form.item).max(1);
        let cells = (WINDOW_BYTES / bytes).clamp(1, plan.cells().len().max(1));
        match self.most_bytes(plan, cells, WINDOW_BYTES) <= bytes.saturating_mul(cells).saturating_mul(4) {
            true => Access::InOrder,
            false => Access::Scattered,
        }
    }

    /// Keeps others from letting go of these elements' pages or windows.
    pub(super) fn hold(&self, footprint: &Footprint, grain: Grain) {
        self.grains(footprint, grain, |part| self.pager.hold(part, grain));
    }

    /// Takes back a [`hold`](Self::hold).
    pub(super) fn let_go(&self, footprint: &Footprint, grain: Grain) {
        self.grains(footprint, grain, |part| self.pager.let_go(part, grain));
    }

    fn grains(&self, footprint: &Footprint, grain: Grain, each: impl FnMut(Range<usize>)) {
        match grain {
            Grain::Pages => self.parts(footprint).for_each(each),
            Grain::Windows => {
                let runs = footprint.runs(WINDOW_BYTES, self.pager.origin());
                runs.map(|run| self.inside(run)).for_each(each);
            }
        }
    }

    /// Whether pages have to be made resident to be written. Others would be changed though nothing is stored.
    fn must_write(&self) -> bool {
        self.form.writes && self.pager.takes_space()
    }

    /// Makes the pages of these elements resident, which are held, and no others.
    pub(super) fn make_only_these_ready(&self, footprint: &Footprint) -> Result<()> {
        let mut window = None;
        for part in self.parts(footprint) {
            let around = self.around(&part);
            // One access can make a whole window resident, so the rest of it is let go when all of its parts are.
            if let Some(before) = window.replace(around.clone()).filter(|before| *before != around) {
                self.release(before);
            }
            // What is to be written is made ready for that at once: one page after the other, it would take three times as long.
            self.pager.make_these_ready(part, self.form.writes)?;
        }
        window.into_iter().for_each(|window| self.release(window));
        Ok(())
    }

    /// Makes the pages of these elements resident, and what lies close to them unless it would take disk space.
    pub(super) fn make_ready(&self, footprint: &Footprint) -> Result<()> {
        let these = |write| {
            let mut runs = footprint.runs(machine::page_bytes(), 0);
            runs.try_for_each(|run| self.pager.make_these_ready(self.inside(run), write))
        };
        if self.must_write() || self.pager.is_random() {
            return these(self.must_write());
        }
        let mut runs = footprint.runs(READY_BYTES, self.pager.origin());
        // What lies close to them may be all that is missing.
        runs.try_for_each(|run| self.pager.make_ready(self.inside(run))).or_else(|_| these(false))
    }

    /// The pages of an array in ascending order, none across the end of a window.
    fn parts<'f>(&'f self, footprint: &'f Footprint) -> impl Iterator<Item = Range<usize>> + 'f {
        let runs = footprint.runs(machine::page_bytes(), 0).map(|run| self.inside(run));
        runs.flat_map(|run| {
            let origin = self.pager.origin();
            let mut begin = run.start;
            std::iter::from_fn(move || {
                let end = round_out(&(begin..begin + 1), WINDOW_BYTES, origin).end.min(run.end);
                let part = begin..end;
                begin = end;
                (!part.is_empty()).then_some(part)
            })
        })
    }

    /// What may become resident if these bytes are touched.
    pub(super) fn around(&self, range: &Range<usize>) -> Range<usize> {
        let (origin, more) = (self.pager.origin(), self.beyond_windows());
        let windows = round_out(range, WINDOW_BYTES, origin);
        windows.start.saturating_sub(more)..windows.end.saturating_add(more)
    }

    /// The most bytes in windows, and around them, that so many bytes in a row can touch.
    pub(super) fn most_around(&self, bytes: usize) -> usize {
        (bytes.div_ceil(WINDOW_BYTES) + 1) * WINDOW_BYTES + 2 * self.beyond_windows()
    }

    /// Linux maps small folios by 64 KiB of addresses, which cross a window where address and place in the file do not go
    /// together.
    fn beyond_windows(&self) -> usize {
        if self.pager.origin().is_multiple_of(READY_BYTES) { 0 } else { READY_BYTES }
    }

    /// Lets go of all that touching these elements may have made resident.
    pub(super) fn release_around(&self, footprint: &Footprint) {
        footprint.runs(WINDOW_BYTES, self.pager.origin()).for_each(|run| self.release(self.around(&run)));
    }

    pub(super) fn release(&self, range: Range<usize>) {
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
