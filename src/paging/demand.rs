//! The demand of chunks for memory, the modes in which it fits a limit, and an estimate of what a pass over them costs. All is
//! arithmetic: no page is touched.
#![forbid(unsafe_code)]

use ndarray::Dimension;

use super::operand::MappedOperand;
use super::pager::{FAULT_AROUND_BYTES, MAX_FOLIO_BYTES};
use super::residency::MemoryLimit;
use crate::error::{ErrorKind, Result};
use crate::geometry::ChunkGrid;
use crate::system;

/// A way to keep to a memory limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// All fits: no page is released.
    Never,
    /// Some chunks fit with all that an access can make resident around them: those are released after use.
    AfterEachChunk,
    /// One chunk's own pages fit: they are made resident one by one before use, and released after it.
    PageByPage,
}

/// Returns the share of a limit that is left for stacks, partial results and the like.
fn overhead(available: usize) -> usize {
    (available / 8).min(1 << 20)
}

/// Returns the smallest limit that leaves a number of bytes for pages.
fn limit_including_overhead(pages: usize) -> usize {
    pages.saturating_add((pages.saturating_sub(1) / 7).min(1 << 20))
}

/// Returns the bytes for pages and buffers.
pub(crate) fn usable_bytes(memory: MemoryLimit) -> usize {
    let budget = match memory {
        MemoryLimit::Hard(bytes) => bytes,
        MemoryLimit::Soft(bytes) => bytes / 4,
    };
    budget - overhead(budget)
}

/// The bytes that chunks keep resident.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// All chunks, with all that an access can make resident around them.
    all: usize,
    /// The chunks that a thread takes at a time.
    pub(crate) some: usize,
    /// The same chunks, page by page.
    exact: usize,
    /// Buffers of a thread, which are part of `some` and `exact`.
    buffers: usize,
    /// Without mapped arrays nothing is refused.
    is_mapped: bool,
}

impl Demand {
    /// Returns the demand of threads that take `cells` cells at a time and have `buffers` bytes each.
    pub(crate) fn of<'s, D: Dimension>(
        operands: impl Iterator<Item = &'s MappedOperand> + Clone,
        grid: &ChunkGrid<D>,
        chunks: usize,
        buffers: usize,
    ) -> Self {
        let most = |chunks: usize, unit: usize| max_bytes(operands.clone(), grid, chunks, unit);
        // And what one access brings, of which the rest is let go.
        let window = operands
            .clone()
            .map(MappedOperand::mapped_bytes)
            .max()
            .unwrap_or(0)
            .min(MAX_FOLIO_BYTES);
        let exact = most(chunks, system::page_bytes()).saturating_add(window);
        Self {
            all: most(grid.chunks().len(), MAX_FOLIO_BYTES),
            some: most(chunks, MAX_FOLIO_BYTES).saturating_add(buffers),
            exact: exact.saturating_add(buffers),
            buffers,
            is_mapped: operands.clone().next().is_some(),
        }
    }

    /// Returns the mode in which the demand fits, and the number of threads; `None` if it does not fit.
    pub(crate) fn fit(&self, memory: MemoryLimit, threads: usize) -> Option<(Eviction, usize)> {
        let available = usable_bytes(memory);
        let all = self.all.saturating_add(self.buffers.saturating_mul(threads));
        match () {
            () if !matches!(memory, MemoryLimit::Hard(_)) && self.some > available => {
                Some((Eviction::Never, threads))
            }
            () if all <= available => Some((Eviction::Never, threads)),
            () if !self.is_mapped => {
                Some((Eviction::Never, (available / self.buffers.max(1)).clamp(1, threads)))
            }
            () if self.some <= available => {
                Some((Eviction::AfterEachChunk, threads.min(available / self.some)))
            }
            () if self.exact <= available => Some((Eviction::PageByPage, 1)),
            () => None,
        }
    }

    /// The least ceiling with which one thread works.
    pub(crate) fn least(&self) -> usize {
        limit_including_overhead(self.exact.min(self.some))
    }
}

/// Returns the most bytes that some cells of a plan touch, in whole units.
fn max_bytes<'s, D: Dimension>(
    operands: impl Iterator<Item = &'s MappedOperand>,
    grid: &ChunkGrid<D>,
    chunks: usize,
    unit: usize,
) -> usize {
    operands.map(|operand| operand.max_bytes(grid, chunks, unit)).fold(0, usize::saturating_add)
}

/// An estimate of time, in the time that it takes to make one page resident with those around it.
type Cost = f64;

/// The cost of holding a chunk and letting it go.
const CHUNK: Cost = 32.0;

/// The cost of letting go of a window.
const WINDOW: Cost = 50.0;

/// The cost of a page that is made resident alone.
const SINGLE_PAGE: Cost = 10.0;

/// The factor of the cost of a window whose pages are made resident alone: all of it can become resident before that.
const SINGLE_WINDOW: Cost = 4.0;

/// The cost of a pass over all cells on one thread, each of which costs some more by itself.
fn cost<'s, D: Dimension>(
    operands: impl Iterator<Item = &'s MappedOperand> + Clone,
    grid: &ChunkGrid<D>,
    mode: Eviction,
    more: Cost,
) -> Cost {
    let units = |unit: usize, part: usize| {
        max_bytes(operands.clone(), grid, 1, unit) as Cost / part as Cost
    };
    let page = system::page_bytes();
    let pages = match mode {
        Eviction::Never | Eviction::AfterEachChunk => {
            units(FAULT_AROUND_BYTES, page) + WINDOW * units(MAX_FOLIO_BYTES, MAX_FOLIO_BYTES)
        }
        Eviction::PageByPage => {
            SINGLE_PAGE * units(page, page)
                + SINGLE_WINDOW * WINDOW * units(MAX_FOLIO_BYTES, MAX_FOLIO_BYTES)
        }
    };
    (pages + CHUNK + more) * grid.chunks().len() as Cost
}

/// A choice among ways to cut arrays: the first that takes all threads, or the one of the least cost.
pub(crate) struct Choice<T> {
    memory: MemoryLimit,
    threads: usize,
    best: Option<(Cost, T)>,
    /// What others need, with what they would cost.
    needs: Vec<(Cost, usize)>,
}

/// Of ways that do not fit, the one that needs the least is named of those that cost so many times as much as any.
const WORTHWHILE: Cost = 4.0;

impl<T> Choice<T> {
    pub(crate) fn new(memory: MemoryLimit, threads: usize) -> Self {
        Self { memory, threads, best: None, needs: Vec::new() }
    }

    /// Offers a way to cut, in which a thread has `buffers` bytes and each cell costs `more` by itself. Returns whether that is
    /// good enough.
    pub(crate) fn offer<'s, D: Dimension>(
        &mut self,
        operands: impl Iterator<Item = &'s MappedOperand> + Clone,
        grid: &ChunkGrid<D>,
        (buffers, more): (usize, f64),
        way: T,
    ) -> bool {
        let demand = Demand::of(operands.clone(), grid, 1, buffers);
        match demand.fit(self.memory, self.threads) {
            Some((mode, max_concurrency)) => {
                let is_easy = mode != Eviction::PageByPage && max_concurrency == self.threads;
                let cost = cost(operands, grid, mode, more) / max_concurrency as Cost;
                if self.best.as_ref().is_none_or(|&(least, _)| cost < least) {
                    self.best = Some((cost, way));
                }
                is_easy && self.needs.is_empty()
            }
            None => {
                for (mode, bytes) in
                    [(Eviction::AfterEachChunk, demand.some), (Eviction::PageByPage, demand.exact)]
                {
                    self.needs.push((
                        cost(operands.clone(), grid, mode, more),
                        limit_including_overhead(bytes),
                    ));
                }
                false
            }
        }
    }

    /// The best, or an error that names the bytes needed for something worthwhile.
    pub(crate) fn finish<'s>(
        self,
        mut operands: impl Iterator<Item = &'s MappedOperand>,
    ) -> Result<T> {
        let Self {
            memory: MemoryLimit::Hard(budget) | MemoryLimit::Soft(budget), best, needs, ..
        } = self;
        let least = needs.iter().map(|&(cost, _)| cost).fold(Cost::INFINITY, Cost::min);
        let worthwhile =
            needs.iter().filter(|(cost, _)| *cost <= WORTHWHILE * least).map(|&(_, bytes)| bytes);
        best.map(|(_, way)| way).ok_or_else(|| {
            let needed = worthwhile.min().unwrap_or(usize::MAX);
            ErrorKind::MemoryLimitExceeded { needed, limit: budget }
                .at(operands.find_map(|operand| operand.pager.path()))
        })
    }
}

/// Lengths to try, each about half of the one before: multiples of a unit, then parts of one, down to the least.
pub(crate) fn lengths(most: usize, unit: usize, least: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(most), move |&len| match len {
        _ if len <= least => None,
        _ if len > unit => Some((len / 2 / unit).max(1) * unit),
        _ => Some((len / 2).max(least)),
    })
}
