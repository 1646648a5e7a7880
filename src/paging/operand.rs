//! One mapped array in a walk: what it can make resident, and how that is held and let go.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::Arc;

use ndarray::Dimension;

use super::pager::{
    AccessPattern, FAULT_AROUND_BYTES, Granularity, MAX_FOLIO_BYTES, Pager, find_mapping,
};
use crate::error::Result;
use crate::geometry::{
    ChunkGrid, Footprint, Region, StridedLayout, align_outward, gcd, memory_order,
};
use crate::system;

/// A mapped array that a walk goes through.
#[derive(Debug)]
pub(crate) struct MappedOperand {
    pub(crate) layout: StridedLayout,
    pub(crate) pager: Arc<dyn Pager>,
}

impl MappedOperand {
    /// `None` for arrays in memory.
    pub(crate) fn of<D: Dimension>(layout: StridedLayout, shape: &D) -> Option<Self> {
        if shape.size() == 0 || layout.item == 0 {
            return None;
        }
        let whole = Region { start: D::zeros(shape.ndim()), end: shape.clone() };
        let pager = find_mapping(&layout.footprint(&whole).byte_range())?;
        Some(Self { layout, pager })
    }

    /// Where all elements are.
    fn whole<D: Dimension>(&self, shape: &D) -> Footprint {
        self.layout.footprint(&Region { start: D::zeros(shape.ndim()), end: shape.clone() })
    }

    /// The most bytes in whole units that so many consecutive cells touch.
    pub(crate) fn max_bytes<D: Dimension>(
        &self,
        grid: &ChunkGrid<D>,
        chunks: usize,
        unit: usize,
    ) -> usize {
        let zero = D::zeros(grid.shape().ndim());
        let whole = self.whole(grid.shape());
        let chunk = Region { start: zero, end: grid.max_chunk_shape() };
        // Cells begin at multiples of this many bytes from each other.
        let mut step = unit;
        for (axis, &stride) in self.layout.byte_strides.iter().enumerate() {
            if grid.chunks_along(axis) > 1 {
                let indices = if stride < 0 { 1 } else { grid.alignment(axis) };
                step = gcd(step, indices.saturating_mul(stride.unsigned_abs()));
            }
        }
        let all = whole.max_bytes(unit, self.pager.file_origin(), unit);
        let these = match chunks {
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
            _ => self
                .layout
                .footprint(&chunk)
                .max_bytes(unit, self.pager.file_origin(), step)
                .saturating_mul(chunks),
        };
        let most = these.min(all);
        // What lies around the windows.
        let around = if unit == MAX_FOLIO_BYTES {
            most / MAX_FOLIO_BYTES * 2 * self.fault_around_margin()
        } else {
            0
        };
        most.saturating_add(around).min(self.mapped_bytes())
    }

    /// What is mapped, in whole pages.
    pub(crate) fn mapped_bytes(&self) -> usize {
        align_outward(&self.pager.addresses(), system::page_bytes(), 0).len()
    }

    /// Whether cells that follow each other lie one after the other in memory.
    fn is_consecutive<D: Dimension>(&self, grid: &ChunkGrid<D>) -> bool {
        let zero = D::zeros(grid.shape().ndim());
        let is_dense = |end| self.layout.footprint(&Region { start: zero.clone(), end }).is_dense();
        let axes =
            grid.shape().slice().iter().copied().zip(self.layout.byte_strides.iter().copied());
        memory_order(axes) == grid.order()
            && self.layout.byte_strides.iter().all(|&stride| stride >= 0)
            && is_dense(grid.shape().clone())
            && is_dense(grid.max_chunk_shape())
    }

    /// How a walk over these cells goes through the file.
    pub(crate) fn access<D: Dimension>(&self, grid: &ChunkGrid<D>) -> AccessPattern {
        let bytes = grid.max_chunk_shape().size().saturating_mul(self.layout.item).max(1);
        let chunks = (MAX_FOLIO_BYTES / bytes).clamp(1, grid.chunks().len().max(1));
        match self.max_bytes(grid, chunks, MAX_FOLIO_BYTES)
            <= bytes.saturating_mul(chunks).saturating_mul(4)
        {
            true => AccessPattern::Sequential,
            false => AccessPattern::Random,
        }
    }

    /// Keeps others from letting go of these elements' pages or windows.
    pub(crate) fn pin(&self, footprint: &Footprint, granularity: Granularity) {
        self.for_each_unit(footprint, granularity, |part| self.pager.pin(part, granularity));
    }

    /// Takes back a [`pin`](Self::pin).
    pub(crate) fn unpin(&self, footprint: &Footprint, granularity: Granularity) {
        self.for_each_unit(footprint, granularity, |part| self.pager.unpin(part, granularity));
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
                let runs = footprint.unit_ranges(MAX_FOLIO_BYTES, self.pager.file_origin());
                runs.map(|run| self.clamp_to_mapping(run)).for_each(each);
            }
        }
    }

    /// Whether pages have to be made resident to be written. Others would be changed though nothing is stored.
    fn prefaults_for_write(&self) -> bool {
        self.layout.writes && self.pager.needs_allocation()
    }

    /// Makes the pages of these elements resident, which are held, and no others.
    pub(crate) fn prefault_page_by_page(&self, footprint: &Footprint) -> Result<()> {
        let mut window = None;
        for part in self.page_ranges(footprint) {
            let around = self.folio_span(&part);
            // One access can make a whole window resident, so the rest of it is let go when all of its parts are. What is mapped
            // as a huge page can only be let go as a whole, so the window is let go before as well.
            if window.as_ref() != Some(&around) {
                window.replace(around.clone()).into_iter().for_each(|before| self.evict(before));
                self.evict(around);
            }
            // What is to be written is made ready for that at once: one page after the other, it would take three times as long.
            self.pager.prefault_exact(part, self.layout.writes)?;
        }
        window.into_iter().for_each(|window| self.evict(window));
        Ok(())
    }

    /// Makes the pages of these elements resident, and what lies close to them unless it would take disk space.
    pub(crate) fn prefault(&self, footprint: &Footprint) -> Result<()> {
        let these = |write| {
            let mut runs = footprint.unit_ranges(system::page_bytes(), 0);
            runs.try_for_each(|run| self.pager.prefault_exact(self.clamp_to_mapping(run), write))
        };
        if self.prefaults_for_write() || self.pager.is_random() {
            return these(self.prefaults_for_write());
        }
        let mut runs = footprint.unit_ranges(FAULT_AROUND_BYTES, self.pager.file_origin());
        // What lies close to them may be all that is missing.
        runs.try_for_each(|run| self.pager.prefault(self.clamp_to_mapping(run)))
            .or_else(|_| these(false))
    }

    /// The pages of an array in ascending order, none across the end of a window.
    fn page_ranges<'f>(
        &'f self,
        footprint: &'f Footprint,
    ) -> impl Iterator<Item = Range<usize>> + 'f {
        let runs =
            footprint.unit_ranges(system::page_bytes(), 0).map(|run| self.clamp_to_mapping(run));
        runs.flat_map(|run| {
            let origin = self.pager.file_origin();
            let mut start = run.start;
            std::iter::from_fn(move || {
                let end =
                    align_outward(&(start..start + 1), MAX_FOLIO_BYTES, origin).end.min(run.end);
                let part = start..end;
                start = end;
                (!part.is_empty()).then_some(part)
            })
        })
    }

    /// What may become resident if these bytes are touched.
    pub(crate) fn folio_span(&self, range: &Range<usize>) -> Range<usize> {
        let (origin, more) = (self.pager.file_origin(), self.fault_around_margin());
        let windows = align_outward(range, MAX_FOLIO_BYTES, origin);
        windows.start.saturating_sub(more)..windows.end.saturating_add(more)
    }

    /// The most bytes in windows, and around them, that so many bytes in a row can touch.
    pub(crate) fn max_folio_span(&self, bytes: usize) -> usize {
        (bytes.div_ceil(MAX_FOLIO_BYTES) + 1) * MAX_FOLIO_BYTES + 2 * self.fault_around_margin()
    }

    /// Linux maps small folios by 64 KiB of addresses, which cross a window where address and place in the file do not go
    /// together.
    fn fault_around_margin(&self) -> usize {
        if self.pager.file_origin().is_multiple_of(FAULT_AROUND_BYTES) {
            0
        } else {
            FAULT_AROUND_BYTES
        }
    }

    /// Lets go of all that touching these elements may have made resident.
    pub(crate) fn evict_span(&self, footprint: &Footprint) {
        footprint
            .unit_ranges(MAX_FOLIO_BYTES, self.pager.file_origin())
            .for_each(|run| self.evict(self.folio_span(&run)));
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
