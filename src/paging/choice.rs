//! Chooses among chunk grids by an estimate of the cost of a pass.
#![forbid(unsafe_code)]

use super::demand::{Demand, Eviction, limit_including_overhead, max_bytes};
use super::operand::MappedOperand;
use super::pager::{FAULT_AROUND_BYTES, MAX_FOLIO_BYTES};
use super::residency::{MemoryLimit, ResidencyPlan, all_buffers, operands_of};
use crate::error::{ErrorKind, Result};
use crate::geometry::{ChunkGrid, StridedLayout};
use crate::system;

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

/// Returns the cost of a pass over all chunks of the array on one thread, also for a partition, so
/// that grids with different numbers of chunks compare. Each chunk costs `extra` in addition to its
/// pages.
fn cost(operands: &[MappedOperand], grid: &ChunkGrid, mode: Eviction, extra: Cost) -> Cost {
    let units =
        |unit: usize, part: usize| max_bytes(operands, grid, 1, unit) as Cost / part as Cost;
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
    let chunks: Cost =
        (0..grid.order().len()).map(|axis| grid.chunks_along(axis) as Cost).product();
    (pages + CHUNK_COST + extra) * chunks
}

/// A chunk grid with which a pass can be run.
#[derive(Debug)]
struct Candidate {
    /// The cost of a pass on one thread.
    cost: Cost,
    max_concurrency: usize,
    /// The length that the caller tried.
    len: usize,
    grid: ChunkGrid,
    buffers: usize,
}

impl Candidate {
    /// Returns the cost of a pass on as many threads as the memory limit allows.
    fn time(&self) -> Cost {
        self.cost / self.max_concurrency as Cost
    }
}

/// A choice among chunk grids: the first one that runs on all threads, or the cheapest one that fits
/// the memory limit.
pub(crate) struct Choice<'l> {
    layouts: &'l [StridedLayout],
    operands: Vec<MappedOperand>,
    memory: MemoryLimit,
    threads: usize,
    best: Option<Candidate>,
    /// The maximum cost of the best grid, relative to the cheapest one that does not fit.
    max_cost_ratio: Cost,
    /// The memory limit that each rejected grid needs, with the cost of a pass over it.
    rejected: Vec<(Cost, usize)>,
}

/// The maximum cost of a grid named in an error, relative to the cheapest one. If the limit is
/// refused, the error reports the smallest memory limit among the grids below this cost.
const MAX_COST_RATIO: Cost = 4.0;

/// The maximum cost of the best grid that fits, relative to the cheapest one that does not. A grid
/// beyond it prefaults each page again for every few elements, so the limit is refused instead.
const MAX_ACCEPTED_COST_RATIO: Cost = 64.0;

impl<'l> Choice<'l> {
    /// Creates a choice for arrays of the given layouts and shape.
    pub(crate) fn new(
        layouts: &'l [StridedLayout],
        shape: &[usize],
        memory: MemoryLimit,
        threads: usize,
    ) -> Self {
        let operands =
            operands_of(layouts, shape).filter(|operand| operand.pager.can_evict()).collect();
        Self {
            layouts,
            operands,
            memory,
            threads,
            best: None,
            max_cost_ratio: Cost::INFINITY,
            rejected: Vec::new(),
        }
    }

    /// Refuses a memory limit with which a pass would take far longer than with a higher one.
    pub(crate) fn refuse_slow_passes(mut self) -> Self {
        self.max_cost_ratio = MAX_ACCEPTED_COST_RATIO;
        self
    }

    /// Returns the number of bytes of all mappings that count.
    pub(crate) fn mapped_bytes(&self) -> usize {
        self.operands.iter().map(MappedOperand::mapped_bytes).fold(0, usize::saturating_add)
    }

    /// Considers a grid for which a thread needs `buffers` bytes and each chunk costs `extra`.
    /// `len` identifies it for the caller. Returns whether no better grid is possible.
    pub(crate) fn offer(
        &mut self,
        len: usize,
        grid: ChunkGrid,
        (buffers, extra): (usize, f64),
    ) -> bool {
        let demand = Demand::new(&self.operands, &grid, 1, all_buffers(self.layouts, buffers));
        match demand.fit(self.memory, self.threads) {
            Some((mode, max_concurrency)) => {
                let is_ideal = mode != Eviction::PageByPage && max_concurrency == self.threads;
                let cost = cost(&self.operands, &grid, mode, extra);
                let candidate = Candidate { cost, max_concurrency, len, grid, buffers };
                if self.best.as_ref().is_none_or(|best| candidate.time() < best.time()) {
                    self.best = Some(candidate);
                }
                is_ideal && self.rejected.is_empty()
            }
            None => {
                for (mode, bytes) in [
                    (Eviction::AfterEachChunk, demand.batch),
                    (Eviction::PageByPage, demand.page_by_page),
                ] {
                    self.rejected.push((
                        cost(&self.operands, &grid, mode, extra),
                        limit_including_overhead(bytes),
                    ));
                }
                false
            }
        }
    }

    /// Returns the best candidate, or an error that reports the bytes needed for a grid of
    /// acceptable cost. Costs are compared for one thread, so that a limit is accepted or refused
    /// for any number of threads.
    fn take_best(&mut self) -> Result<Candidate> {
        let least = self.rejected.iter().map(|&(cost, _)| cost).fold(Cost::INFINITY, Cost::min);
        let best = self.best.take();
        if let Some(candidate) = best.filter(|best| best.cost <= self.max_cost_ratio * least) {
            return Ok(candidate);
        }
        let worthwhile = self.rejected.iter().filter(|(cost, _)| *cost <= MAX_COST_RATIO * least);
        let needed = worthwhile.map(|&(_, bytes)| bytes).min().unwrap_or(usize::MAX);
        let (MemoryLimit::Hard(limit) | MemoryLimit::Soft(limit)) = self.memory;
        let path = self.operands.iter().find_map(|operand| operand.pager.path());
        Err(ErrorKind::MemoryLimitExceeded { needed, limit }.at(path))
    }

    /// Returns the length of the best grid.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::MemoryLimitExceeded`] if no grid of acceptable cost fits. It reports
    /// the bytes needed for one.
    pub(crate) fn best_len(mut self) -> Result<usize> {
        self.take_best().map(|candidate| candidate.len)
    }

    /// Returns the length of the best grid, the grid, and the residency plan of a pass over it. The
    /// errors are those of [`best_len`](Self::best_len).
    pub(crate) fn plan(mut self) -> Result<(usize, ChunkGrid, ResidencyPlan)> {
        let Candidate { len, grid, buffers, .. } = self.take_best()?;
        let plan =
            ResidencyPlan::new(self.layouts, &grid, (1, buffers), self.memory, self.threads)?;
        Ok((len, grid, plan))
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
