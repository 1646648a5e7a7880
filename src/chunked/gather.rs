//! Copies elements of blocks into the memory order of the first array. This is needed if the other
//! arrays have different memory orders, or if the pages of a block do not fit the memory limit.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{ArrayViewMut, ArrayViewMutD, Axis, Dimension, IxDyn, Slice};

use super::any_array::Loaded;
use super::blocks::{BLOCK_BYTES, BlockPlan, Blocks, Copies};
use super::division::Division;
use super::elements::{Batch, ElementSource};
use crate::error::Result;
use crate::geometry::{ChunkGrid, Region};
use crate::paging::{Choice, MemoryLimit, halved_lengths, usable_bytes};
use crate::parallel;

/// The number of bytes that are gathered at once if all pages fit. They fit into the processor
/// caches.
const CACHED_BYTES: usize = 2 << 20;

/// The minimum number of batches for each thread, so that no thread waits long for the last one.
const BATCHES_PER_THREAD: usize = 4;

impl Division {
    /// Returns blocks whose elements are gathered, in batches of at most `max_batch` blocks.
    /// Batches and tiles are the cheapest ones that fit the memory limit.
    pub(super) fn gathered_blocks(&self, max_batch: usize, copies: Copies) -> Result<BlockPlan> {
        let grid = self.block_grid(BLOCK_BYTES);
        let memory = self.memory;
        let threads = parallel::threads();
        let mut choice =
            Choice::new(&self.layouts, grid.shape().slice(), memory, threads).refuse_slow_passes();
        let cached = self.cached_tile();
        let loaded = self.buffered_bytes().saturating_mul(cached.size());
        let block_bytes = grid.max_chunk_shape().size().saturating_mul(copies.gathered).max(1);

        let capacity = match memory {
            _ if choice.mapped_bytes() <= usable_bytes(memory) / 2 => {
                CACHED_BYTES.min(usable_bytes(memory) / 4 / threads)
            }
            MemoryLimit::Hard(_) => usable_bytes(memory) / 2,
            MemoryLimit::Soft(_) => usable_bytes(memory) / 8 / threads,
        };
        let share = grid.chunks().len() / (BATCHES_PER_THREAD * threads);
        let batch = max_batch.min(capacity / block_bytes).min(share).max(1);

        'batches: for batch in
            std::iter::successors(Some(batch), |&batch| (batch > 1).then_some(batch / 2))
        {
            let (lens, blocks) = grid.merged(batch);
            let buffers = block_bytes.saturating_mul(blocks).saturating_add(loaded);
            for limit in halved_lengths(lens.size(), 1, 1) {
                let tile = self.tile_in(&lens, limit);
                let tiles =
                    ChunkGrid::new(grid.shape().clone(), tile, grid.order().to_vec()).anywhere();
                if choice.offer(blocks, tiles, (buffers, 0.0)) {
                    match memory {
                        // A smaller batch may leave room for larger tiles.
                        MemoryLimit::Hard(_) => break,
                        MemoryLimit::Soft(_) => break 'batches,
                    }
                }
            }
        }
        let (batch_len, tiles, plan) = choice.plan()?;
        let mut blocks = BlockPlan::new(grid, plan, batch_len);
        blocks.gather_tile = Some(tiles.chunk_shape().clone());
        blocks.cache_tile = Some(cached);
        Ok(blocks)
    }
}

/// The elements of a batch of blocks.
pub(super) struct Gathered<'l, E> {
    elements: BatchElements<'l, E>,
    /// The index of the first block, and the range of each block in the elements.
    first: usize,
    ranges: Vec<Range<usize>>,
}

/// The elements of consecutive blocks, in their order.
enum BatchElements<'l, E> {
    Copied(Vec<E>),
    Prepared(Batch<'l, E>),
}

impl<E> Gathered<'_, E> {
    /// Returns whether the elements were copied in the order of the axes of the blocks.
    pub(super) fn is_copied(&self) -> bool {
        matches!(self.elements, BatchElements::Copied(_))
    }

    /// Returns the elements of a block, unless they are computed.
    fn block(&self, index: usize) -> Option<&[E]> {
        let range = self.range(index);
        match &self.elements {
            BatchElements::Copied(elements) => Some(&elements[range]),
            BatchElements::Prepared(Batch::Loaded(loaded)) => Some(&in_memory_order(loaded)[range]),
            BatchElements::Prepared(Batch::Computed(_)) => None,
        }
    }

    fn range(&self, index: usize) -> Range<usize> {
        self.ranges[index - self.first].clone()
    }
}

/// Returns elements that were read into a buffer.
fn in_memory_order<'l, E>(loaded: &'l Loaded<'_, E>) -> &'l [E] {
    loaded.as_slice_memory_order().expect("a buffer is contiguous")
}

impl<P: ElementSource + Sync> Blocks<'_, P> {
    /// Copies the elements of a batch of blocks, if they must be gathered. Elements that are not in
    /// memory are read at once, or their computation is prepared.
    pub(super) fn gather(&self, batch: Range<usize>) -> Result<Option<Gathered<'_, P::Element>>> {
        let regions = self.plan.regions(batch.clone());
        let Some(tile) = &self.plan.gather_tile else {
            let [region] = &regions[..] else { return Ok(None) };
            let prepared = self.source.load_batch(region)?;
            return Ok(
                prepared.map(|prepared| self.gathered(batch, BatchElements::Prepared(prepared)))
            );
        };
        let mut elements = Vec::with_capacity(regions.iter().map(|bounds| bounds.len()).sum());
        for bounds in &regions {
            let start = elements.len();
            let end = elements.len() + bounds.len();
            for tile in tiles_of(bounds, tile, self.order()) {
                let _pinned = self.plan.residency.pin(std::slice::from_ref(&tile))?;
                if elements.len() < end {
                    elements.resize(end, self.first_of(&tile)?);
                }
                let target = permuted_view(&mut elements[start..], bounds, self.order());
                self.copy_region(&tile, target_region(target, bounds, &tile, self.order()))?;
            }
        }
        Ok(Some(self.gathered(batch, BatchElements::Copied(elements))))
    }

    fn gathered<'l>(
        &self,
        batch: Range<usize>,
        elements: BatchElements<'l, P::Element>,
    ) -> Gathered<'l, P::Element> {
        let first = batch.start;
        let mut next = 0;
        let ranges = batch.map(|index| {
            let start = next;
            next += self.len_of(index);
            start..next
        });
        Gathered { ranges: ranges.collect(), elements, first }
    }

    /// Calls a closure with the elements of a block, in memory order.
    pub(super) fn with_contiguous(
        &self,
        gathered: &Option<Gathered<'_, P::Element>>,
        index: usize,
        work: &mut dyn FnMut(&[P::Element]),
    ) -> Result<()> {
        match gathered.as_ref().and_then(|gathered| gathered.block(index)) {
            Some(elements) => {
                work(elements);
                Ok(())
            }
            None => self.source.with_slice(&self.plan.region_of(index), work),
        }
    }

    /// Calls a closure with the elements of a block, in memory order and in pieces if they are
    /// computed.
    pub(super) fn for_each_piece(
        &self,
        gathered: &Option<Gathered<'_, P::Element>>,
        index: usize,
        work: &mut dyn FnMut(&[P::Element]),
    ) -> Result<()> {
        let Some(gathered) = gathered else {
            let region = self.plan.region_of(index);
            match self.source.load_batch(&region)? {
                Some(Batch::Computed(computed)) => computed.for_each_piece(0..region.len(), work),
                Some(Batch::Loaded(loaded)) => work(in_memory_order(&loaded)),
                None => self.source.with_slice(&region, work)?,
            }
            return Ok(());
        };
        match (&gathered.elements, gathered.block(index)) {
            (BatchElements::Prepared(Batch::Computed(computed)), _) => {
                computed.for_each_piece(gathered.range(index), work);
            }
            (_, elements) => work(elements.expect("elements in memory")),
        }
        Ok(())
    }

    /// Calls a closure with all elements of a block in several slices, in any order.
    pub(super) fn for_each_slice(
        &self,
        gathered: &Option<Gathered<'_, P::Element>>,
        index: usize,
        work: &mut dyn FnMut(&[P::Element]),
    ) -> Result<()> {
        let cached = match (&self.plan.cache_tile, gathered) {
            (Some(cached), None) => cached,
            _ => return self.for_each_piece(gathered, index, work),
        };
        let mut elements = Vec::new();
        let first = self.first_of(&self.plan.region_of(index))?;
        for tile in tiles_of(&self.plan.region_of(index), cached, self.order()) {
            elements.resize(tile.len(), first);
            let target = permuted_view(&mut elements, &tile, self.order());
            self.source.copy_to(&tile, self.order(), target)?;
            work(&elements);
        }
        Ok(())
    }

    /// Copies pinned elements, in tiles that fit the processor caches.
    fn copy_region(
        &self,
        bounds: &Region,
        mut target: ArrayViewMutD<'_, P::Element>,
    ) -> Result<()> {
        let whole = IxDyn(&bounds.end);
        let lens = self.plan.cache_tile.as_ref().unwrap_or(&whole);
        for tile in tiles_of(bounds, lens, self.order()) {
            let target = target_region(target.view_mut(), bounds, &tile, self.order());
            self.source.copy_to(&tile, self.order(), target)?;
        }
        Ok(())
    }

    fn first_of(&self, bounds: &Region) -> Result<P::Element> {
        let start = bounds.start.clone();
        let mut end = start.clone();
        end.iter_mut().for_each(|end| *end += 1);
        let mut first = None;
        let region = Region { start, end };
        self.source.with_slice(&region, &mut |elements| first = Some(elements[0]))?;
        Ok(first.expect("a region of one element"))
    }
}

/// Returns the tiles of the given shape that make up a region.
pub(super) fn tiles_of<'b>(
    bounds: &'b Region,
    lens: &IxDyn,
    order: &[usize],
) -> impl Iterator<Item = Region> + 'b {
    let shape: Vec<_> = bounds.ranges().map(|range| range.len()).collect();
    let tiles = ChunkGrid::new(IxDyn(&shape), lens.clone(), order.to_vec());
    tiles.chunks().map(move |chunk| {
        let mut tile = tiles.region(chunk);
        for (axis, origin) in bounds.start.iter().enumerate() {
            tile.start[axis] += origin;
            tile.end[axis] += origin;
        }
        tile
    })
}

/// Returns the elements of a region as an array whose axes are ordered from the slowest to the
/// fastest.
fn permuted_view<'e, E>(
    elements: &'e mut [E],
    bounds: &Region,
    order: &[usize],
) -> ArrayViewMutD<'e, E> {
    let lens: Vec<_> = order.iter().map(|&axis| bounds.range(axis).len()).collect();
    ArrayViewMut::from_shape(lens, elements).expect("one element for each index")
}

/// Returns the part of a permuted region that is inside another region.
fn target_region<'e, E>(
    mut target: ArrayViewMutD<'e, E>,
    bounds: &Region,
    tile: &Region,
    order: &[usize],
) -> ArrayViewMutD<'e, E> {
    for (position, &axis) in order.iter().enumerate() {
        let start = tile.start[axis] - bounds.start[axis];
        target
            .slice_axis_inplace(Axis(position), Slice::from(start..start + tile.range(axis).len()));
    }
    target
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayView, IxDyn, ShapeBuilder};

    use crate::chunked::ChunkedExt;
    use crate::chunked::accumulator::Accumulator;
    use crate::error::ErrorKind;
    use crate::paging::model::{Model, PAGE};
    use crate::stats::{Bins, WeightedMoments};

    /// Counts elements, with or without order independence.
    struct Count<const ANY_ORDER: bool>(usize);

    impl<A, const ANY_ORDER: bool> Accumulator<A> for Count<ANY_ORDER> {
        const IS_ORDER_INDEPENDENT: bool = ANY_ORDER;

        fn push(&mut self, _element: &A) {
            self.0 += 1;
        }

        fn merge(&mut self, later: Self) {
            self.0 += later.0;
        }
    }

    /// Calls a closure with a mapped array in C order and one in F order. Returns the average
    /// number of times that each page was prefaulted.
    fn mean_prefaults_per_page(
        shape: &[usize],
        run: impl FnOnce(ArrayView<'_, f32, IxDyn>, ArrayView<'_, f32, IxDyn>),
    ) -> f64 {
        let len: usize = shape.iter().product();
        let pages = (len * size_of::<f32>()).div_ceil(PAGE);
        let memory = [(); 2].map(|()| vec![1.0_f32; (pages + 1) * PAGE / size_of::<f32>()]);
        let mapped = memory.each_ref().map(|memory| {
            let start = (memory.as_ptr() as usize).next_multiple_of(PAGE);
            let skipped = (start - memory.as_ptr() as usize) / size_of::<f32>();
            (&memory[skipped..skipped + len], Model::registered(start..start + pages * PAGE, start))
        });
        let [c, f] = [0, 1].map(|index| {
            ArrayView::from_shape(IxDyn(shape).set_f(index == 1), mapped[index].0).unwrap()
        });
        run(c, f);
        mapped.iter().map(|(_, (model, _))| model.prefaulted()).sum::<usize>() as f64
            / (2 * pages) as f64
    }

    /// Each block of 64 KiB would touch every page of the other array, so each page would be
    /// prefaulted 256 times.
    #[test]
    fn transposed_pages_are_prefaulted_a_few_times() {
        for (shape, limit, max) in [
            (&[2048, 2048][..], 6 << 20, 16.0),
            (&[2048, 2048], 16 << 20, 8.0),
            (&[160, 160, 160], 6 << 20, 30.0),
            (&[3000, 1001], 6 << 20, 16.0),
        ] {
            let len: usize = shape.iter().product();
            let ordered = mean_prefaults_per_page(shape, |c, f| {
                let chunked = c.chunked().and(&f).unwrap().memory_limit(limit);
                assert_eq!(chunked.accumulate(|| Count::<false>(0)).unwrap().0, len);
            });
            assert!(ordered <= max, "{shape:?} in order: {ordered}");
            let weighted = mean_prefaults_per_page(shape, |c, f| {
                let chunked = f.chunked().and(&c).unwrap().memory_limit(limit);
                assert_eq!(chunked.accumulate(WeightedMoments::new).unwrap().weight(), len as f64);
            });
            assert!(weighted <= max, "{shape:?} weighted: {weighted}");
            let counted = mean_prefaults_per_page(shape, |c, f| {
                let chunked = c.chunked().and(&f).unwrap().memory_limit(limit);
                assert_eq!(chunked.accumulate(|| Count::<true>(0)).unwrap().0, len);
            });
            assert!(counted <= 10.0, "{shape:?} in any order: {counted}");
            let histogram = mean_prefaults_per_page(shape, |c, f| {
                let chunked = c.chunked().and(&f).unwrap().memory_limit(limit);
                let histogram =
                    chunked.histogram2d(Bins::auto(3), Bins::uniform(2, 0.0..=2.0)).unwrap();
                assert_eq!(histogram.counts().sum(), len as u64);
            });
            assert!(histogram <= 12.0, "{shape:?} histogram: {histogram}");
        }
    }

    /// Tiles of single elements need the fewest pages, but prefault each of them for every element.
    #[test]
    fn limits_that_fit_only_single_elements_are_refused() {
        let shape = [120, 97];
        let mut accepted = 0;
        for limit in (10_000..400_000).step_by(2_000) {
            let prefaults = mean_prefaults_per_page(&shape, |c, f| {
                let chunked = c.chunked().and(&f).unwrap().memory_limit(limit);
                match chunked.accumulate(|| Count::<false>(0)) {
                    Ok(count) => accepted += usize::from(count.0 == c.len()),
                    Err(error) => {
                        let ErrorKind::MemoryLimitExceeded { needed, .. } = *error.kind() else {
                            panic!("{error}");
                        };
                        assert!(needed > limit);
                        let chunked = c.chunked().and(&f).unwrap().memory_limit(needed);
                        assert_eq!(chunked.accumulate(|| Count::<false>(0)).unwrap().0, c.len());
                    }
                }
            });
            assert!(prefaults <= 40.0, "within {limit} bytes: {prefaults}");
        }
        assert!(accepted > 50, "{accepted}");
    }
}
