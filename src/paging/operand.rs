//! A mapped array as an operand of a chunked operation: its residency demand, and pinning,
//! prefaulting and eviction of its pages.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Dimension, IxDyn};

use super::pager::{
    AccessPattern, FAULT_AROUND_BYTES, Granularity, MAX_FOLIO_BYTES, Pager, find_mapping,
};
use crate::error::Result;
use crate::geometry::{
    ChunkGrid, Footprint, Region, StridedLayout, align_outward, gcd, memory_order,
};
use crate::system;

/// A mapped array that a chunked operation reads or writes.
#[derive(Debug)]
pub(crate) struct MappedOperand {
    pub(crate) layout: StridedLayout,
    pub(crate) pager: Arc<dyn Pager>,
}

impl MappedOperand {
    /// Creates the operand, or returns `None` for an array that is not mapped.
    pub(crate) fn of(layout: StridedLayout, shape: &[usize]) -> Option<Self> {
        if shape.contains(&0) || layout.item == 0 || layout.buffered > 0 {
            return None;
        }
        let pager = find_mapping(&layout.footprint(&Region::whole(shape)).byte_range())?;
        Some(Self { layout, pager })
    }

    /// Writes the dirty pages of the array to disk and waits.
    pub(crate) fn flush(&self, shape: &[usize]) -> Result<()> {
        self.pager.flush(self.layout.footprint(&Region::whole(shape)).byte_range())
    }

    /// Returns the maximum number of bytes that `chunks` consecutive chunks touch, in whole units.
    pub(crate) fn max_bytes(&self, grid: &ChunkGrid, chunks: usize, unit: usize) -> usize {
        let whole = self.layout.footprint(&Region::whole(grid.shape().slice()));
        let chunk = Region::whole(grid.max_chunk_shape().slice());
        // The start addresses of chunks differ by multiples of this many bytes.
        let mut step = unit;
        for (axis, &stride) in self.layout.byte_strides.iter().enumerate() {
            if grid.chunks_along(axis) > 1 {
                let indices = if stride < 0 { 1 } else { grid.alignment(axis) };
                step = gcd(step, indices.saturating_mul(stride.unsigned_abs()));
            }
        }
        let all = whole.max_bytes(unit, self.pager.file_origin(), unit);
        let touched = match chunks {
            1 => self.layout.footprint(&chunk).max_bytes(unit, self.pager.file_origin(), step),
            _ if self.is_consecutive(grid) => {
                let bytes = chunk
                    .len()
                    .saturating_mul(self.layout.item)
                    .saturating_mul(chunks)
                    .min(whole.byte_range().len());
                Footprint::new(whole.byte_range().start, bytes, []).max_bytes(
                    unit,
                    self.pager.file_origin(),
                    self.layout.item,
                )
            }
            // Consecutive chunks are pinned as larger regions, which can span gaps between chunks
            // if axes do not nest.
            _ if !whole.is_nested() => all,
            _ => self
                .layout
                .footprint(&chunk)
                .max_bytes(unit, self.pager.file_origin(), step)
                .saturating_mul(chunks),
        };
        let max = touched.min(all);
        // Fault-around can map pages beyond both ends of each folio.
        let margins = if unit == MAX_FOLIO_BYTES {
            max / MAX_FOLIO_BYTES * 2 * self.fault_around_margin()
        } else {
            0
        };
        max.saturating_add(margins).min(self.mapped_bytes())
    }

    /// Returns the size of the mapping in bytes, rounded to whole pages.
    pub(crate) fn mapped_bytes(&self) -> usize {
        align_outward(&self.pager.addresses(), system::page_bytes(), 0).len()
    }

    /// Returns whether consecutive chunks are adjacent in memory.
    fn is_consecutive(&self, grid: &ChunkGrid) -> bool {
        let is_dense =
            |shape: &IxDyn| self.layout.footprint(&Region::whole(shape.slice())).is_dense();
        let axes =
            grid.shape().slice().iter().copied().zip(self.layout.byte_strides.iter().copied());
        memory_order(axes) == grid.order()
            && self.layout.byte_strides.iter().all(|&stride| stride >= 0)
            && is_dense(grid.shape())
            && is_dense(&grid.max_chunk_shape())
    }

    /// Returns the pattern in which a pass over the chunks accesses the file.
    pub(crate) fn access(&self, grid: &ChunkGrid) -> AccessPattern {
        let bytes = grid.max_chunk_shape().size().saturating_mul(self.layout.item).max(1);
        let chunks = (MAX_FOLIO_BYTES / bytes).clamp(1, grid.chunks().len().max(1));
        let resident = self.max_bytes(grid, chunks, MAX_FOLIO_BYTES);
        if resident <= bytes.saturating_mul(chunks).saturating_mul(4) {
            AccessPattern::Sequential
        } else {
            AccessPattern::Random
        }
    }

    /// Pins the pages or folios of these elements, so that no other operation evicts them.
    pub(crate) fn pin(&self, footprint: &Footprint, granularity: Granularity) {
        self.for_each_unit(footprint, granularity, |pages| self.pager.pin(pages, granularity));
    }

    /// Reverts a [`pin`](Self::pin).
    pub(crate) fn unpin(&self, footprint: &Footprint, granularity: Granularity) {
        self.for_each_unit(footprint, granularity, |pages| self.pager.unpin(pages, granularity));
    }

    fn for_each_unit(
        &self,
        footprint: &Footprint,
        granularity: Granularity,
        each: impl FnMut(Range<usize>),
    ) {
        match granularity {
            Granularity::Page => self.page_ranges(footprint).for_each(each),
            Granularity::Folio => {
                let ranges = footprint.unit_ranges(MAX_FOLIO_BYTES, self.pager.file_origin());
                ranges.map(|range| self.clamp_to_mapping(range)).for_each(each);
            }
        }
    }

    /// Returns whether pages must be prefaulted for writing. Other pages are not, because
    /// prefaulting for writing dirties a page even if nothing is stored in it.
    fn prefaults_for_write(&self) -> bool {
        self.layout.writes && self.pager.needs_allocation()
    }

    /// Prefaults the pages of these elements, which must be pinned, and no others.
    pub(crate) fn prefault_page_by_page(&self, footprint: &Footprint) -> Result<()> {
        let mut current = None;
        for pages in self.page_ranges(footprint) {
            let folio = self.folio_span(&pages);
            // One fault can map a whole folio, so the rest of the folio is evicted after its last
            // page. A huge page can only be evicted as a whole, so the folio is evicted before its
            // first page as well.
            if current.as_ref() != Some(&folio) {
                current
                    .replace(folio.clone())
                    .into_iter()
                    .for_each(|previous| self.evict(previous));
                self.evict(folio);
            }
            // Pages to be written are prefaulted for writing directly. A second fault for each page
            // would triple the time.
            self.pager.prefault_exact(pages, self.layout.writes)?;
        }
        current.into_iter().for_each(|folio| self.evict(folio));
        Ok(())
    }

    /// Prefaults the pages of these elements. Neighbouring pages are included unless they would
    /// need disk space.
    pub(crate) fn prefault(&self, footprint: &Footprint) -> Result<()> {
        let prefault_exact = |write| {
            let mut ranges = footprint.unit_ranges(system::page_bytes(), 0);
            ranges.try_for_each(|range| {
                self.pager.prefault_exact(self.clamp_to_mapping(range), write)
            })
        };
        if self.prefaults_for_write() || self.pager.is_random() {
            return prefault_exact(self.prefaults_for_write());
        }
        let mut ranges = footprint.unit_ranges(FAULT_AROUND_BYTES, self.pager.file_origin());
        // Only the neighbouring pages may have failed, so the elements' own pages are tried alone.
        ranges
            .try_for_each(|range| self.pager.prefault(self.clamp_to_mapping(range)))
            .or_else(|_| prefault_exact(false))
    }

    /// Returns the pages of a footprint as ascending ranges, none of which crosses a folio
    /// boundary.
    fn page_ranges<'f>(
        &'f self,
        footprint: &'f Footprint,
    ) -> impl Iterator<Item = Range<usize>> + 'f {
        let ranges = footprint
            .unit_ranges(system::page_bytes(), 0)
            .map(|range| self.clamp_to_mapping(range));
        ranges.flat_map(|range| {
            let origin = self.pager.file_origin();
            let mut start = range.start;
            std::iter::from_fn(move || {
                let end =
                    align_outward(&(start..start + 1), MAX_FOLIO_BYTES, origin).end.min(range.end);
                let pages = start..end;
                start = end;
                (!pages.is_empty()).then_some(pages)
            })
        })
    }

    /// Returns the range that may become resident if these bytes are touched.
    pub(crate) fn folio_span(&self, range: &Range<usize>) -> Range<usize> {
        let origin = self.pager.file_origin();
        let margin = self.fault_around_margin();
        let folios = align_outward(range, MAX_FOLIO_BYTES, origin);
        folios.start.saturating_sub(margin)..folios.end.saturating_add(margin)
    }

    /// Returns the maximum number of bytes that can become resident if `bytes` contiguous bytes are
    /// touched.
    pub(crate) fn max_folio_span(&self, bytes: usize) -> usize {
        (bytes.div_ceil(MAX_FOLIO_BYTES) + 1) * MAX_FOLIO_BYTES + 2 * self.fault_around_margin()
    }

    /// Returns how far fault-around can reach beyond a folio. Linux maps small folios in 64 KiB
    /// units of addresses. These units cross folio boundaries if addresses and file offsets are not
    /// congruent.
    fn fault_around_margin(&self) -> usize {
        if self.pager.file_origin().is_multiple_of(FAULT_AROUND_BYTES) {
            0
        } else {
            FAULT_AROUND_BYTES
        }
    }

    /// Evicts everything that touching these elements may have made resident.
    pub(crate) fn evict_span(&self, footprint: &Footprint) {
        footprint
            .unit_ranges(MAX_FOLIO_BYTES, self.pager.file_origin())
            .for_each(|range| self.evict(self.folio_span(&range)));
    }

    pub(crate) fn evict(&self, range: Range<usize>) {
        let range = self.clamp_to_mapping(range);
        if !range.is_empty() {
            self.pager.evict(range);
        }
    }

    fn clamp_to_mapping(&self, range: Range<usize>) -> Range<usize> {
        let all = self.pager.addresses();
        range.start.max(all.start)..range.end.min(all.end)
    }
}
