//! Access to whole lanes, as slices or as the columns of tiles, in one or more passes.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::slice;

use ndarray::{Array, Axis, Dimension, IxDyn};

use super::accumulate::OrderedResults;
use super::tiling::LaneTiling;
use super::view::{LaneView, loaded_lanes};
use crate::chunked::Chunked;
use crate::chunked::any_array::AnyArray;
use crate::chunked::division::DEFAULT_CHUNK_BYTES;
use crate::chunked::limit::{half, three_quarters};
use crate::chunked::pass::{Pass, ProgressCallback};
use crate::error::Result;

/// The minimum number of contiguous bytes of a part of the lanes.
const PART_BYTES: usize = 64 << 10;

/// The lanes of a chunked view along an axis.
pub(crate) struct LaneReader<'w, 'v, A: Copy> {
    chunked: &'w Chunked<'w, AnyArray<'v, A>>,
    lanes: LaneView<'w, A>,
}

impl<'w, 'v, A: Copy + Send + Sync> LaneReader<'w, 'v, A> {
    /// Reads the partition of the axis, or the lanes of this rank.
    #[track_caller]
    pub(crate) fn new(chunked: &'w Chunked<'w, AnyArray<'v, A>>, axis: Axis) -> Self {
        let lanes = LaneView::of(chunked.source.clone(), axis);
        let lanes = match chunked.ranks() {
            Some(ranks) if ranks.concatenated().is_none() => lanes.lanes_of_rank(ranks),
            _ => lanes.slice_lanes(lanes.partition(chunked.config.partition)),
        };
        Self { chunked, lanes }
    }

    /// Returns the number of parts into which the lanes can be divided at no cost. The elements of
    /// a part are contiguous, or their rows are long enough that each page belongs to one part.
    pub(crate) fn part_count(&self) -> usize {
        self.lanes.array.len_of(Axis(1)).div_ceil(self.part_len())
    }

    /// Returns the reader of consecutive parts.
    pub(crate) fn parts(&self, parts: Range<usize>) -> Self {
        let all = self.lanes.array.len_of(Axis(1));
        let [start, end] =
            [parts.start, parts.end].map(|part| part.saturating_mul(self.part_len()).min(all));
        let mut lanes = self.lanes.clone();
        lanes.array.slice_axis_inplace(Axis(1), start..end);
        Self { chunked: self.chunked, lanes }
    }

    /// Returns the number of indices of a part along the slowest axis other than that of the lanes.
    fn part_len(&self) -> usize {
        let strides = self.lanes.array.strides();
        let shape = self.lanes.shape();
        let row = shape.slice()[2..].iter().product::<usize>() * size_of::<A>();
        let contiguous = match strides[1].unsigned_abs() >= strides[0].unsigned_abs() {
            true => row.saturating_mul(self.len()),
            false => row,
        };
        PART_BYTES.div_ceil(contiguous.max(1))
    }

    /// Returns the number of elements of a lane.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Returns the number of lanes.
    pub(crate) fn count(&self) -> usize {
        self.lanes.count()
    }

    /// Returns whether the elements of each lane are contiguous.
    pub(crate) fn are_contiguous(&self) -> bool {
        self.lanes.are_contiguous()
    }

    /// Assembles the results of all lanes, in order, into an array with the shape of the source
    /// without the axis.
    pub(crate) fn assemble<R, S: Dimension>(&self, results: Vec<R>) -> Array<R, S> {
        self.lanes.assemble(results)
    }

    /// Returns the lanes in order, as arrays of one axis.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = AnyArray<'_, A>> {
        let shape = self.lanes.shape();
        let indices = ndarray::indices(IxDyn(&shape.slice()[1..])).into_iter();
        indices.map(|index| {
            let lane = self.lanes.array.clone();
            index.slice().iter().fold(lane, |lane, &index| lane.index_axis(Axis(1), index))
        })
    }

    /// Calls a closure with up to `max_lanes` [contiguous](Self::are_contiguous) lanes at once. The
    /// number of threads is limited so that `bytes` bytes for each fit the memory limit. Elements
    /// that the closure appends are concatenated in the order of lanes.
    pub(crate) fn for_each_slice<S, R: Send>(
        &self,
        bytes: usize,
        max_lanes: usize,
        new: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, &[&[A]], &mut Vec<R>) -> Result<()> + Sync,
    ) -> Result<Vec<R>> {
        self.chunked.check_fits_in_memory(bytes, "process fewer lanes at a time")?;
        let len = self.len();
        let (memory, state) = self.chunked.split_memory_limit(usize::MAX);
        let limit = (DEFAULT_CHUNK_BYTES / (len * size_of::<A>().max(1))).clamp(1, self.count());
        let tiling = self.chunked.rescale_limit_error(
            LaneTiling::new(
                self.lanes.shape(),
                self.lanes.layouts(),
                memory,
                (len, len),
                limit,
                &|lanes, slab_len| {
                    lanes.saturating_mul(slab_len).saturating_mul(self.lanes.array.buffered_bytes())
                },
            ),
            three_quarters,
        )?;
        let callback = self.chunked.config.progress.as_deref();
        let pass = Pass::new(&tiling.plan, callback, self.lanes.array.len());
        let results = OrderedResults::new();
        let limit = (state / bytes.max(1)).max(1);
        pass.for_each_index(tiling.num_items(), limit, &|item| {
            let (batch, rows) = tiling.item(item);
            let bounds = tiling.bounds(batch, rows);
            let mut state = new();
            let mut output = Vec::new();
            let _pinned = pass.pin(slice::from_ref(&bounds))?;
            let loaded = self.lanes.load(&bounds)?;
            let block = loaded.view();
            let mut lanes = block.lanes(Axis(0)).into_iter();
            loop {
                let slices = lanes
                    .by_ref()
                    .take(max_lanes)
                    .map(|lane| lane.to_slice().expect("lanes are slices"));
                let slices: Vec<_> = slices.collect();
                if slices.is_empty() {
                    break;
                }
                work(&mut state, &slices, &mut output)?;
            }
            results.put(batch, output);
            pass.advance(bounds.len());
            Ok(())
        })?;
        Ok(results.finish())
    }

    /// Returns batches of up to `limit` lanes, for repeated passes over tiles.
    pub(crate) fn batches(&self, limit: usize) -> Result<LaneBatches<'_, 'w, A>> {
        let memory = self.chunked.half_memory_limit();
        // Tiles whose rows are not contiguous are copied.
        let is_copied = self.lanes.shape().ndim() > 2 || !self.lanes.has_contiguous_rows();
        let copied = if is_copied { size_of::<A>() } else { 0 };
        let item = copied + self.lanes.array.buffered_bytes();
        let tiling = LaneTiling::new(
            self.lanes.shape(),
            self.lanes.layouts(),
            memory,
            (1, 1),
            limit.clamp(1, self.count()),
            &|lanes, slab_len| lanes.saturating_mul(slab_len).saturating_mul(item),
        );
        let tiling = self.chunked.rescale_limit_error(tiling, half)?;
        Ok(LaneBatches {
            lanes: &self.lanes,
            tiling,
            callback: self.chunked.config.progress.as_deref(),
        })
    }
}

/// Batches of lanes that are read in several passes.
pub(crate) struct LaneBatches<'w, 'l, A> {
    lanes: &'w LaneView<'l, A>,
    tiling: LaneTiling,
    callback: Option<&'w ProgressCallback<'w>>,
}

impl<A: Copy + Send + Sync> LaneBatches<'_, '_, A> {
    /// Returns the number of batches.
    pub(crate) fn count(&self) -> usize {
        self.tiling.batches.chunks().len()
    }

    /// Returns the number of lanes of a batch.
    pub(crate) fn lanes_in(&self, batch: usize) -> usize {
        self.tiling.bounds(batch, 0..1).len()
    }

    /// Calls a closure with all rows of a batch, in slices of one or more rows, on all threads.
    /// Each row has one element of each lane.
    pub(crate) fn for_each_tile(&self, batch: usize, work: impl Fn(&[A]) + Sync) -> Result<()> {
        let tiling = &self.tiling;
        let elements = self.lanes_in(batch) * self.lanes.len();
        let pass = Pass::new(&tiling.plan, self.callback, elements);
        let items = tiling.items_per_batch();
        pass.for_each_index(items, usize::MAX, &|item| {
            let (_, rows) = tiling.item(batch * items + item);
            let bounds = tiling.bounds(batch, rows);
            let _pinned = pass.pin(slice::from_ref(&bounds))?;
            let loaded = self.lanes.load(&bounds)?;
            let block = loaded_lanes(&loaded);
            match block.to_slice() {
                Some(rows) => work(rows),
                // Contiguous rows are passed one by one, which takes no list of them. Other blocks
                // are copied.
                None if block.outer_iter().all(|row| row.to_slice().is_some()) => {
                    block.outer_iter().filter_map(|row| row.to_slice()).for_each(&work);
                }
                None => work(&block.iter().copied().collect::<Vec<_>>()),
            }
            pass.advance(bounds.len());
            Ok(())
        })
    }
}
