//! The demand of chunks for memory, the modes in which it fits a limit, and an estimate of what a pass over them costs. All is
//! arithmetic: no page is touched.
#![forbid(unsafe_code)]

use ndarray::Dimension;

use super::pager::{READY_BYTES, WINDOW_BYTES};
use super::plan::Plan;
use super::schedule::Memory;
use super::side::Side;
use crate::error::{ErrorKind, Result};
use crate::machine;

/// A way to keep to a memory limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// All fits: no page is released.
    Keep,
    /// Some chunks fit with all that an access can make resident around them: those are released after use.
    Release,
    /// One chunk's own pages fit: they are made resident one by one before use, and released after it.
    Exact,
}

/// Returns the share of a limit that is left for stacks, partial results and the like.
fn reserve(ceiling: usize) -> usize {
    (ceiling / 8).min(1 << 20)
}

/// Returns the smallest limit that leaves a number of bytes for pages.
fn with_reserve(pages: usize) -> usize {
    pages.saturating_add((pages.saturating_sub(1) / 7).min(1 << 20))
}

/// Returns the bytes for pages and buffers.
pub(super) fn ceiling(memory: Memory) -> usize {
    let budget = match memory {
        Memory::Ceiling(bytes) => bytes,
        Memory::Machine(bytes) => bytes / 4,
    };
    budget - reserve(budget)
}

/// The bytes that chunks keep resident.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// All chunks, with all that an access can make resident around them.
    all: usize,
    /// The chunks that a thread takes at a time.
    pub(super) some: usize,
    /// The same chunks, page by page.
    exact: usize,
    /// Buffers of a thread, which are part of `some` and `exact`.
    buffers: usize,
    /// Without mapped arrays nothing is refused.
    is_mapped: bool,
}

impl Demand {
    /// Returns the demand of threads that take `cells` cells at a time and have `buffers` bytes each.
    pub(super) fn of<'s, D: Dimension>(
        sides: impl Iterator<Item = &'s Side> + Clone,
        plan: &Plan<D>,
        cells: usize,
        buffers: usize,
    ) -> Self {
        let most = |cells: usize, unit: usize| most_bytes(sides.clone(), plan, cells, unit);
        // And what one access brings, of which the rest is let go.
        let window = sides.clone().map(Side::mapped_bytes).max().unwrap_or(0).min(WINDOW_BYTES);
        let exact = most(cells, machine::page_bytes()).saturating_add(window);
        Self {
            all: most(plan.cells().len(), WINDOW_BYTES),
            some: most(cells, WINDOW_BYTES).saturating_add(buffers),
            exact: exact.saturating_add(buffers),
            buffers,
            is_mapped: sides.clone().next().is_some(),
        }
    }

    /// Returns the mode in which the demand fits, and the number of threads; `None` if it does not fit.
    pub(super) fn fit(&self, memory: Memory, threads: usize) -> Option<(Mode, usize)> {
        let ceiling = ceiling(memory);
        let all = self.all.saturating_add(self.buffers.saturating_mul(threads));
        match () {
            () if !matches!(memory, Memory::Ceiling(_)) && self.some > ceiling => Some((Mode::Keep, threads)),
            () if all <= ceiling => Some((Mode::Keep, threads)),
            () if !self.is_mapped => Some((Mode::Keep, (ceiling / self.buffers.max(1)).clamp(1, threads))),
            () if self.some <= ceiling => Some((Mode::Release, threads.min(ceiling / self.some))),
            () if self.exact <= ceiling => Some((Mode::Exact, 1)),
            () => None,
        }
    }

    /// The least ceiling with which one thread works.
    pub(super) fn least(&self) -> usize {
        with_reserve(self.exact.min(self.some))
    }
}

/// Returns the most bytes that some cells of a plan touch, in whole units.
fn most_bytes<'s, D: Dimension>(
    sides: impl Iterator<Item = &'s Side>,
    plan: &Plan<D>,
    cells: usize,
    unit: usize,
) -> usize {
    sides.map(|side| side.most_bytes(plan, cells, unit)).fold(0, usize::saturating_add)
}

/// An estimate of time, in the time that it takes to make one page resident with those around it.
type Cost = f64;

/// The cost of holding a chunk and letting it go.
const CELL: Cost = 32.0;

/// The cost of letting go of a window.
const WINDOW: Cost = 50.0;

/// The cost of a page that is made resident alone.
const SINGLE_PAGE: Cost = 10.0;

/// The factor of the cost of a window whose pages are made resident alone: all of it can become resident before that.
const SINGLE_WINDOW: Cost = 4.0;

/// The cost of a pass over all cells on one thread, each of which costs some more by itself.
fn cost<'s, D: Dimension>(
    sides: impl Iterator<Item = &'s Side> + Clone,
    plan: &Plan<D>,
    mode: Mode,
    more: Cost,
) -> Cost {
    let units = |unit: usize, part: usize| most_bytes(sides.clone(), plan, 1, unit) as Cost / part as Cost;
    let page = machine::page_bytes();
    let pages = match mode {
        Mode::Keep | Mode::Release => units(READY_BYTES, page) + WINDOW * units(WINDOW_BYTES, WINDOW_BYTES),
        Mode::Exact => SINGLE_PAGE * units(page, page) + SINGLE_WINDOW * WINDOW * units(WINDOW_BYTES, WINDOW_BYTES),
    };
    (pages + CELL + more) * plan.cells().len() as Cost
}

/// A choice among ways to cut arrays: the first that takes all threads, or the one of the least cost.
pub(super) struct Choice<T> {
    memory: Memory,
    threads: usize,
    best: Option<(Cost, T)>,
    /// What others need, with what they would cost.
    needs: Vec<(Cost, usize)>,
}

/// Of ways that do not fit, the one that needs the least is named of those that cost so many times as much as any.
const WORTHWHILE: Cost = 4.0;

impl<T> Choice<T> {
    pub(super) fn new(memory: Memory, threads: usize) -> Self {
        Self { memory, threads, best: None, needs: Vec::new() }
    }

    /// Offers a way to cut, in which a thread has `buffers` bytes and each cell costs `more` by itself. Returns whether that is
    /// good enough.
    pub(super) fn offer<'s, D: Dimension>(
        &mut self,
        sides: impl Iterator<Item = &'s Side> + Clone,
        plan: &Plan<D>,
        (buffers, more): (usize, f64),
        way: T,
    ) -> bool {
        let demand = Demand::of(sides.clone(), plan, 1, buffers);
        match demand.fit(self.memory, self.threads) {
            Some((mode, at_once)) => {
                let is_easy = mode != Mode::Exact && at_once == self.threads;
                let cost = cost(sides, plan, mode, more) / at_once as Cost;
                if self.best.as_ref().is_none_or(|&(least, _)| cost < least) {
                    self.best = Some((cost, way));
                }
                is_easy && self.needs.is_empty()
            }
            None => {
                for (mode, bytes) in [(Mode::Release, demand.some), (Mode::Exact, demand.exact)] {
                    self.needs.push((cost(sides.clone(), plan, mode, more), with_reserve(bytes)));
                }
                false
            }
        }
    }

    /// The best, or an error that names the bytes needed for something worthwhile.
    pub(super) fn finish<'s>(self, mut sides: impl Iterator<Item = &'s Side>) -> Result<T> {
        let Self { memory: Memory::Ceiling(budget) | Memory::Machine(budget), best, needs, .. } = self;
        let least = needs.iter().map(|&(cost, _)| cost).fold(Cost::INFINITY, Cost::min);
        let worthwhile = needs.iter().filter(|(cost, _)| *cost <= WORTHWHILE * least).map(|&(_, bytes)| bytes);
        best.map(|(_, way)| way).ok_or_else(|| {
            let needed = worthwhile.min().unwrap_or(usize::MAX);
            ErrorKind::MemoryLimitExceeded { needed, limit: budget }.at(sides.find_map(|side| side.pager.path()))
        })
    }
}

/// Lengths to try, each about half of the one before: multiples of a unit, then parts of one, down to the least.
pub(super) fn lengths(most: usize, unit: usize, least: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(most), move |&len| match len {
        _ if len <= least => None,
        _ if len > unit => Some((len / 2 / unit).max(1) * unit),
        _ => Some((len / 2).max(least)),
    })
}
