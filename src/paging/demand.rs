//! Computes the memory demand of chunks, the eviction mode in which it fits a memory limit, and an
//! estimate of the cost of a pass. This module is arithmetic only and touches no page.
#![forbid(unsafe_code)]

use super::operand::MappedOperand;
use super::pager::{FAULT_AROUND_BYTES, MAX_FOLIO_BYTES};
use super::residency::MemoryLimit;
use crate::error::{ErrorKind, Result};
use crate::geometry::ChunkGrid;
use crate::system;

/// A strategy for staying within a memory limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// All chunks fit, so no page is evicted during the pass.
    Never,
    /// Some chunks fit, including everything that a page fault can map around them. Each chunk is
    /// evicted after use.
    AfterEachChunk,
    /// Only one chunk's own pages fit. They are prefaulted one by one before use and evicted after
    /// it.
    PageByPage,
}

/// Returns the share of a limit that is reserved for stacks, partial results and the like.
fn overhead(available: usize) -> usize {
    (available / 8).min(1 << 20)
}

/// Returns the smallest limit that leaves `pages` bytes for pages.
fn limit_including_overhead(pages: usize) -> usize {
    pages.saturating_add((pages.saturating_sub(1) / 7).min(1 << 20))
}

/// Returns the bytes available for pages and buffers.
pub(crate) fn usable_bytes(memory: MemoryLimit) -> usize {
    let budget = match memory {
        MemoryLimit::Hard(bytes) => bytes,
        MemoryLimit::Soft(bytes) => bytes / 4,
    };
    budget - overhead(budget)
}

/// The number of bytes that chunks keep resident.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// The demand of all chunks, including everything that a page fault can map around them.
    all: usize,
    /// The demand of the chunks that a thread processes at once, in folios.
    pub(crate) batch: usize,
    /// The demand of the chunks that a thread processes at once, if prefaulted page by page.
    page_by_page: usize,
    /// The buffers of one thread, included in `batch` and `page_by_page`.
    buffers: usize,
    /// Whether any array is mapped. Arrays in memory are never refused.
    is_mapped: bool,
}

impl Demand {
    /// Computes the demand of threads that process `chunks` chunks at once and use `buffers` bytes
    /// each.
    pub(crate) fn new<'s>(
        operands: impl Iterator<Item = &'s MappedOperand> + Clone,
        grid: &ChunkGrid,
        chunks: usize,
        buffers: usize,
    ) -> Self {
        let max = |chunks: usize, unit: usize| max_bytes(operands.clone(), grid, chunks, unit);
        // One page fault can map a whole folio. The pages of it that are not needed are evicted
        // afterwards.
        let folio = operands
            .clone()
            .map(MappedOperand::mapped_bytes)
            .max()
            .unwrap_or(0)
            .min(MAX_FOLIO_BYTES);
        let page_by_page = max(chunks, system::page_bytes()).saturating_add(folio);
        Self {
            all: max(grid.chunks().len(), MAX_FOLIO_BYTES),
            batch: max(chunks, MAX_FOLIO_BYTES).saturating_add(buffers),
            page_by_page: page_by_page.saturating_add(buffers),
            buffers,
            is_mapped: operands.clone().next().is_some(),
        }
    }

    /// Returns the eviction mode in which the demand fits, and the number of threads, or `None` if
    /// the demand does not fit.
    pub(crate) fn fit(&self, memory: MemoryLimit, threads: usize) -> Option<(Eviction, usize)> {
        let available = usable_bytes(memory);
        let all = self.all.saturating_add(self.buffers.saturating_mul(threads));
        let is_hard = matches!(memory, MemoryLimit::Hard(_));
        if all <= available || (!is_hard && self.batch > available) {
            Some((Eviction::Never, threads))
        } else if !self.is_mapped {
            Some((Eviction::Never, (available / self.buffers.max(1)).clamp(1, threads)))
        } else if self.batch <= available {
            Some((Eviction::AfterEachChunk, threads.min(available / self.batch)))
        } else if self.page_by_page <= available {
            Some((Eviction::PageByPage, 1))
        } else {
            None
        }
    }

    /// Returns the smallest memory limit that suffices for one thread.
    pub(crate) fn min_limit(&self) -> usize {
        limit_including_overhead(self.page_by_page.min(self.batch))
    }
}

/// Returns the maximum number of bytes that `chunks` chunks of a grid touch, in whole units.
fn max_bytes<'s>(
    operands: impl Iterator<Item = &'s MappedOperand>,
    grid: &ChunkGrid,
    chunks: usize,
    unit: usize,
) -> usize {
    operands.map(|operand| operand.max_bytes(grid, chunks, unit)).fold(0, usize::saturating_add)
}

/// A time estimate, in units of the time that one fault-around takes.
type Cost = f64;

/// The cost of pinning and unpinning a chunk.
const CHUNK_COST: Cost = 32.0;

/// The cost of evicting a folio.
const FOLIO_COST: Cost = 50.0;

/// The cost of prefaulting a single page.
const SINGLE_PAGE_COST: Cost = 10.0;

/// The factor on the cost of evicting a folio if its pages are prefaulted one by one. The whole
/// folio may become resident with each of them.
const SINGLE_FOLIO_FACTOR: Cost = 4.0;

/// Returns the cost of a pass over all chunks on one thread. Each chunk costs `extra` in addition
/// to its pages.
fn cost<'s>(
    operands: impl Iterator<Item = &'s MappedOperand> + Clone,
    grid: &ChunkGrid,
    mode: Eviction,
    extra: Cost,
) -> Cost {
    let units = |unit: usize, part: usize| {
        max_bytes(operands.clone(), grid, 1, unit) as Cost / part as Cost
    };
    let page = system::page_bytes();
    let pages = match mode {
        Eviction::Never | Eviction::AfterEachChunk => {
            units(FAULT_AROUND_BYTES, page) + FOLIO_COST * units(MAX_FOLIO_BYTES, MAX_FOLIO_BYTES)
        }
        Eviction::PageByPage => {
            SINGLE_PAGE_COST * units(page, page)
                + SINGLE_FOLIO_FACTOR * FOLIO_COST * units(MAX_FOLIO_BYTES, MAX_FOLIO_BYTES)
        }
    };
    (pages + CHUNK_COST + extra) * grid.chunks().len() as Cost
}

/// A choice among chunk grids: the first one that runs on all threads, or the cheapest one.
pub(crate) struct Choice<T> {
    memory: MemoryLimit,
    threads: usize,
    best: Option<(Cost, T)>,
    /// The memory limit that each rejected grid needs, with the cost of a pass over it.
    rejected: Vec<(Cost, usize)>,
}

/// The maximum cost of a grid named in an error, relative to the cheapest one. If no grid fits, the
/// error reports the smallest memory limit among the grids below this cost.
const MAX_COST_RATIO: Cost = 4.0;

impl<T> Choice<T> {
    pub(crate) fn new(memory: MemoryLimit, threads: usize) -> Self {
        Self { memory, threads, best: None, rejected: Vec::new() }
    }

    /// Considers a grid for which a thread needs `buffers` bytes and each chunk costs `extra`.
    /// Returns whether no better grid is possible.
    pub(crate) fn offer<'s>(
        &mut self,
        operands: impl Iterator<Item = &'s MappedOperand> + Clone,
        grid: &ChunkGrid,
        (buffers, extra): (usize, f64),
        candidate: T,
    ) -> bool {
        let demand = Demand::new(operands.clone(), grid, 1, buffers);
        match demand.fit(self.memory, self.threads) {
            Some((mode, max_concurrency)) => {
                let is_ideal = mode != Eviction::PageByPage && max_concurrency == self.threads;
                let cost = cost(operands, grid, mode, extra) / max_concurrency as Cost;
                if self.best.as_ref().is_none_or(|&(least, _)| cost < least) {
                    self.best = Some((cost, candidate));
                }
                is_ideal && self.rejected.is_empty()
            }
            None => {
                for (mode, bytes) in [
                    (Eviction::AfterEachChunk, demand.batch),
                    (Eviction::PageByPage, demand.page_by_page),
                ] {
                    self.rejected.push((
                        cost(operands.clone(), grid, mode, extra),
                        limit_including_overhead(bytes),
                    ));
                }
                false
            }
        }
    }

    /// Returns the best candidate, or an error that reports the bytes needed for a grid of
    /// acceptable cost.
    pub(crate) fn finish<'s>(
        self,
        mut operands: impl Iterator<Item = &'s MappedOperand>,
    ) -> Result<T> {
        let Self {
            memory: MemoryLimit::Hard(budget) | MemoryLimit::Soft(budget),
            best,
            rejected,
            ..
        } = self;
        let least = rejected.iter().map(|&(cost, _)| cost).fold(Cost::INFINITY, Cost::min);
        let worthwhile = rejected
            .iter()
            .filter(|(cost, _)| *cost <= MAX_COST_RATIO * least)
            .map(|&(_, bytes)| bytes);
        best.map(|(_, candidate)| candidate).ok_or_else(|| {
            let needed = worthwhile.min().unwrap_or(usize::MAX);
            ErrorKind::MemoryLimitExceeded { needed, limit: budget }
                .at(operands.find_map(|operand| operand.pager.path()))
        })
    }
}

/// Returns the lengths to try, each about half of the previous one: multiples of `unit`, then
/// fractions of it, down to `least`.
pub(crate) fn halved_lengths(max: usize, unit: usize, least: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(max), move |&len| match len {
        _ if len <= least => None,
        _ if len > unit => Some((len / 2 / unit).max(1) * unit),
        _ => Some((len / 2).max(least)),
    })
}
