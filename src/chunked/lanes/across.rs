//! Accumulation of each lane across ranks.
//!
//! If all ranks have the same array, they divide a long axis into ranges of segments, and a short
//! one not at all: each rank then processes some of the lanes. Separate arrays that are concatenated
//! along the axis are ranges of segments, and those concatenated along another axis have lanes of
//! their own.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{Array, ArrayD, Axis, Dimension, IxDyn, RemoveAxis};

use super::accumulate::{OrderedResults, merge_lanes};
use super::view::{LaneOrder, LaneView, split_at_multiples};
use crate::chunked::Chunked;
use crate::chunked::accumulator::Accumulator;
use crate::chunked::across::{Nodes, codec, concatenated_elements};
use crate::chunked::any_array::AnyArray;
use crate::chunked::blocks::BLOCK_BYTES;
use crate::chunked::pairwise::PairwiseReduction;
use crate::distributed::{Ranks, for_each_pass, pass_key, run_in_parts};
use crate::error::Result;
use crate::geometry::{ChunkGrid, partition_start};

/// The minimum number of segments for each rank at which an axis is divided, so that shares are
/// about equal.
const MIN_SEGMENTS: usize = 4;

/// The number of bytes for partial results without a memory limit.
const DEFAULT_BYTES: usize = 64 << 20;

/// The nodes of the trees of some lanes: for each lane, each node in the same order.
type LaneNodes<T> = Vec<Nodes<T>>;

impl<A: Copy + Send + Sync> Chunked<'_, AnyArray<'_, A>> {
    /// Accumulates each lane of the array of all ranks.
    pub(super) fn accumulate_lanes_across<T, R>(
        &self,
        ranks: &Ranks<'_>,
        lanes: LaneView<'_, A>,
        axis: Axis,
        new: impl Fn(usize) -> T + Sync,
        finish: impl Fn(T) -> Result<R> + Sync,
    ) -> Result<ArrayD<R>>
    where
        T: Accumulator<A> + Send,
        R: Send,
    {
        let max_lanes = self.max_lanes(ranks, axis, size_of::<T>());
        let batches = |max_lanes| split_at_multiples(0..lanes.count(), max_lanes);
        if let Some(along) = ranks.concatenated().filter(|&along| along != axis.index()) {
            let mut own = Vec::with_capacity(lanes.count());
            for batch in batches(max_lanes.whole) {
                own.extend(lanes.whole(self, ranks, batch, &new)?);
            }
            let along = along - usize::from(along > axis.index());
            let own = lanes.assemble::<_, IxDyn>(own);
            let states = concatenated_elements(ranks, own, along, codec::<A, T>())?;
            let results = states.into_iter().map(finish).collect::<Result<_>>()?;
            let shape = self.whole_shape().remove_axis(axis);
            return Ok(Array::from_shape_vec(shape, results).expect("a result for each lane"));
        }
        let share = lanes.share(ranks)?;
        let mut results = Vec::with_capacity(lanes.count());
        let mut put = |states: Vec<T>| -> Result<()> {
            results.extend(states.into_iter().map(&finish).collect::<Result<Vec<_>>>()?);
            Ok(())
        };
        let in_pass = match &share {
            Share::Segments { .. } => max_lanes.in_pass,
            Share::Lanes => max_lanes.whole,
        };
        for_each_pass(batches(in_pass), |batch| match &share {
            Share::Segments { own, first } => {
                let part = lanes.slice_lanes(own.clone());
                let new = |index| new(own.start + index);
                let nodes = part.nodes(self, ranks, (batch.clone(), *first), &new)?;
                let mut nodes = nodes.into_iter();
                for lanes in split_at_multiples(batch, max_lanes.in_exchange) {
                    let nodes = nodes.by_ref().take(lanes.len()).collect();
                    let merged = merge_nodes::<A, T>(ranks, nodes)?;
                    put(merged.unwrap_or_else(|| lanes.map(|_| new(0)).collect()))?;
                }
                Ok(())
            }
            Share::Lanes => {
                let own = lanes.whole(self, ranks, partition_of(batch, ranks), &new)?;
                let all = ranks.gather_with(&own, &codec::<A, T>().list())?;
                put(all.into_iter().flatten().collect())
            }
        })?;
        Ok(lanes.assemble(results))
    }

    /// Returns the numbers of lanes whose partial results fit in memory, the same for all ranks. A
    /// lane has up to two nodes for each level of the tree on each rank, as bytes and as
    /// accumulators.
    fn max_lanes(&self, ranks: &Ranks<'_>, axis: Axis, state_bytes: usize) -> MaxLanes {
        let limit = ranks.agreement().and_then(|agreement| agreement.memory_limit);
        let bytes = limit.map_or(DEFAULT_BYTES, |limit| limit / 4) / 2;
        let whole = bytes / state_bytes.saturating_mul(4).max(1);
        // Each rank may add an incomplete segment.
        let segments = self.whole_shape()[axis.index()].saturating_add(ranks.size());
        let lane_bytes = 4 * state_bytes * (segments.ilog2() as usize + 1);
        let in_pass = bytes / lane_bytes.max(1);
        MaxLanes {
            whole: whole.max(1),
            in_pass: in_pass.max(1),
            in_exchange: (in_pass / ranks.size()).max(1),
        }
    }
}

/// Maximum numbers of lanes.
struct MaxLanes {
    /// The lanes that a rank accumulates in one pass if none is divided.
    whole: usize,
    /// The lanes that a rank accumulates in one pass.
    in_pass: usize,
    /// The lanes whose partial results on all ranks are exchanged at once.
    in_exchange: usize,
}

/// The share of a rank.
enum Share {
    /// A range of the axis, which consists of whole segments, and the index of the first of them in
    /// the array of all ranks.
    Segments { own: Range<usize>, first: usize },
    /// Some of the lanes.
    Lanes,
}

fn partition_of(range: Range<usize>, ranks: &Ranks<'_>) -> Range<usize> {
    let [start, end] = [ranks.rank(), ranks.rank() + 1]
        .map(|index| range.start + partition_start(range.len(), index, ranks.size()));
    start..end
}

impl<A: Copy + Send + Sync> LaneView<'_, A> {
    fn share(&self, ranks: &Ranks<'_>) -> Result<Share> {
        let segments = self.len().div_ceil(self.segment_len);
        let own = match ranks.concatenated() {
            Some(_) => 0..self.len(),
            None if segments / ranks.size() < MIN_SEGMENTS => return Ok(Share::Lanes),
            None => self.partition((ranks.rank(), ranks.size())),
        };
        let own_segments = own.len().div_ceil(self.segment_len);
        let first = ranks.first_item(own_segments, own.start / self.segment_len)?;
        Ok(Share::Segments { own, first })
    }

    /// Accumulates some lanes as a whole.
    fn whole<T: Accumulator<A> + Send>(
        &self,
        chunked: &Chunked<'_, AnyArray<'_, A>>,
        ranks: &Ranks<'_>,
        batch: Range<usize>,
        new: &(dyn Fn(usize) -> T + Sync),
    ) -> Result<Vec<T>> {
        if self.len() == 0 {
            return Ok(batch.map(|_| new(0)).collect());
        }
        let contiguous = match self.lane_order {
            LaneOrder::Interleaved => 1,
            LaneOrder::Contiguous => self.len(),
        };
        let step = (BLOCK_BYTES / contiguous.saturating_mul(size_of::<A>()).max(1)).max(1);
        let pass = |part: Range<usize>| {
            let start = batch.start + part.start * step;
            let lanes = start..batch.end.min(start + part.len() * step);
            let mut states = Vec::with_capacity(lanes.len());
            for some in self.boxes(lanes) {
                states.extend(some.fold(chunked, new, Ok)?);
            }
            Ok(states)
        };
        let append = |mut first: Vec<T>, mut later: Vec<T>| {
            first.append(&mut later);
            first
        };
        let key = pass_key("lanes", &[batch.start, batch.end]);
        let items = batch.len().div_ceil(step);
        run_in_parts(Some(ranks), key, items, &codec::<A, T>().list(), &append, &pass)
    }

    /// Returns the nodes of the trees of some lanes, whose segments are numbered from `first`.
    fn nodes<T: Accumulator<A> + Send>(
        &self,
        chunked: &Chunked<'_, AnyArray<'_, A>>,
        ranks: &Ranks<'_>,
        (batch, first): (Range<usize>, usize),
        new: &(dyn Fn(usize) -> T + Sync),
    ) -> Result<LaneNodes<T>> {
        let segments = self.len().div_ceil(self.segment_len);
        let pass = |part: Range<usize>| {
            let [start, end] =
                [part.start, part.end].map(|at| (at * self.segment_len).min(self.len()));
            let lanes = self.slice_lanes(start..end);
            let new = |index| new(start + index);
            let mut nodes = Vec::with_capacity(batch.len());
            for some in lanes.boxes(batch.clone()) {
                let of_batches = OrderedResults::new();
                some.reduce(chunked, first + part.start, &new, &|batch, reduction| {
                    of_batches.put(batch, nodes_of_lanes(reduction));
                    Ok(())
                })?;
                nodes.extend(of_batches.finish());
            }
            Ok(nodes)
        };
        let merge = |all: LaneNodes<T>, later: LaneNodes<T>| {
            let merge = |mut first: T, later| {
                first.merge(later);
                first
            };
            let lanes = all.into_iter().zip(later).map(|(all, later)| {
                let mut nodes =
                    PairwiseReduction::of(all.into_iter().chain(later), &merge).into_nodes();
                nodes.sort_unstable_by_key(|&(node, _)| node);
                nodes
            });
            lanes.collect()
        };
        let key = pass_key("segments", &[batch.start, batch.end, segments]);
        let codec = codec::<A, T>().with().list().list();
        run_in_parts(Some(ranks), key, segments, &codec, &merge, &pass)
    }

    /// Returns some of the lanes: a range of the slowest axis other than that of the lanes. The
    /// lanes of all ranks are all lanes in order.
    pub(super) fn lanes_of_rank(&self, ranks: &Ranks<'_>) -> Self {
        let range = partition_of(0..self.array.len_of(Axis(1)), ranks);
        let mut lanes = self.clone();
        lanes.array.slice_axis_inplace(Axis(1), range);
        lanes
    }

    /// Returns a range of lanes as boxes, in order; none if the lanes are empty.
    fn boxes(&self, range: Range<usize>) -> impl Iterator<Item = Self> {
        let mut shape = self.array.raw_dim();
        let range = if self.len() == 0 { 0..0 } else { range };
        shape[0] = 1;
        let order = (0..shape.ndim()).collect();
        let regions = ChunkGrid::contiguous(shape, order, 1).bounding_regions(range);
        regions.into_iter().map(|region| {
            let mut lanes = self.clone();
            for axis in 1..region.end.len() {
                lanes.array.slice_axis_inplace(Axis(axis), region.range(axis));
            }
            lanes
        })
    }
}

/// Returns the nodes of a reduction of several lanes for each of the lanes.
fn nodes_of_lanes<T>(reduction: PairwiseReduction<Vec<T>>) -> LaneNodes<T> {
    let mut nodes = reduction.into_nodes();
    nodes.sort_unstable_by_key(|&(node, _)| node);
    let count = nodes.first().map_or(0, |(_, lanes)| lanes.len());
    let mut of_lanes: LaneNodes<T> = (0..count).map(|_| Vec::with_capacity(nodes.len())).collect();
    for (node, lanes) in nodes {
        of_lanes.iter_mut().zip(lanes).for_each(|(of_lane, state)| of_lane.push((node, state)));
    }
    of_lanes
}

/// Merges the nodes of all ranks; `None` if no rank has one.
fn merge_nodes<A: Copy + Sync, T: Accumulator<A>>(
    ranks: &Ranks<'_>,
    nodes: LaneNodes<T>,
) -> Result<Option<Vec<T>>> {
    let of_ranks = ranks.gather_with(&nodes, &codec::<A, T>().with().list().list())?;
    let merge = &merge_lanes::<A, T>;
    let whole = PairwiseReduction::new();
    for lanes in of_ranks {
        let mut nodes: Nodes<Vec<T>> = Vec::new();
        for lane in lanes {
            nodes.resize_with(lane.len(), Default::default);
            for ((node, states), (of_lane, state)) in nodes.iter_mut().zip(lane) {
                *node = of_lane;
                states.push(state);
            }
        }
        for ((level, index), states) in nodes {
            whole.add(level, index, states, merge);
        }
    }
    Ok(whole.finish(merge))
}
