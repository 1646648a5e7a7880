//! Computes the memory demand of chunks, and the eviction mode in which it fits a memory limit. This
//! module is arithmetic only and touches no page.
#![forbid(unsafe_code)]

use super::operand::MappedOperand;
use super::pager::MAX_FOLIO_BYTES;
use super::residency::MemoryLimit;
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
pub(super) fn limit_including_overhead(pages: usize) -> usize {
    pages.saturating_add((pages.saturating_sub(1) / 7).min(1 << 20))
}

/// Returns the bytes available for pages and buffers.
pub(crate) fn usable_bytes(memory: MemoryLimit) -> usize {
    let limit = match memory {
        MemoryLimit::Hard(bytes) => bytes,
        MemoryLimit::Soft(bytes) => bytes / 4,
    };
    limit - overhead(limit)
}

/// The number of bytes that chunks keep resident.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// The demand of all chunks, including everything that a page fault can map around them.
    all: usize,
    /// The demand of the chunks that a thread processes at once, in folios.
    pub(crate) batch: usize,
    /// The demand of the chunks that a thread processes at once, if prefaulted page by page.
    pub(super) page_by_page: usize,
    /// The buffers of one thread, included in `batch` and `page_by_page`.
    buffers: usize,
    /// True if any array is mapped or read into buffers. Arrays in memory are never refused.
    is_limited: bool,
}

impl Demand {
    /// Computes the demand of threads that process `chunks` chunks at once and use `buffers` bytes
    /// each. `is_read` is true if elements of any array are read into these buffers.
    pub(crate) fn new(
        operands: &[MappedOperand],
        grid: &ChunkGrid,
        chunks: usize,
        (buffers, is_read): (usize, bool),
    ) -> Self {
        let max = |chunks: usize, unit: usize| max_bytes(operands, grid, chunks, unit);
        // One page fault can map a whole folio. The pages of it that are not needed are evicted
        // afterwards.
        let folio = operands
            .iter()
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
            is_limited: is_read || !operands.is_empty(),
        }
    }

    /// Returns the eviction mode in which the demand fits, and the number of threads, or `None` if
    /// the demand does not fit.
    pub(crate) fn fit(&self, memory: MemoryLimit, threads: usize) -> Option<(Eviction, usize)> {
        let available = usable_bytes(memory);
        let all = self.all.saturating_add(self.buffers.saturating_mul(threads));
        let is_hard = matches!(memory, MemoryLimit::Hard(_));
        if all <= available {
            Some((Eviction::Never, threads))
        } else if !is_hard && self.batch > available {
            // Pages can be reclaimed, but not buffers.
            let fitting = available.checked_div(self.buffers).unwrap_or(threads);
            Some((Eviction::Never, fitting.clamp(1, threads)))
        } else if !self.is_limited {
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
pub(super) fn max_bytes(
    operands: &[MappedOperand],
    grid: &ChunkGrid,
    chunks: usize,
    unit: usize,
) -> usize {
    let bytes = operands.iter().map(|operand| operand.max_bytes(grid, chunks, unit));
    bytes.fold(0, usize::saturating_add)
}
