//! Division of the columns of a table into segments of fixed length, independent of threads, chunks
//! and memory limit.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::slice;

use ndarray::{ArrayView2, Axis, IxDyn};

use super::Chunked;
use super::across::reduce_across;
use super::any_array::AnyArray;
use super::lanes::split_at_multiples;
use super::limit::three_quarters;
use super::pairwise::PairwiseReduction;
use super::pass::Pass;
use crate::distributed::{Codec, Message};
use crate::error::{ErrorKind, Result};
use crate::geometry::{ChunkGrid, Region, partition_start};
use crate::paging::{Choice, ResidencyPlan, halved_lengths};
use crate::parallel;

/// The number of bytes of columns that a thread takes at once.
const ITEM_BYTES: usize = 2 << 20;

/// A table whose columns are divided into segments.
pub(crate) struct ColumnSegments<'w, 'v, A: Copy> {
    chunked: Chunked<'w, AnyArray<'v, A>>,
    /// The number of columns of a segment.
    len: usize,
    columns: Range<usize>,
    state_bytes: usize,
}

impl<'w, 'v, A: Copy + Send + Sync> ColumnSegments<'w, 'v, A> {
    /// Creates the segments of a table. `default` is the number of bytes for partial results if
    /// there is no memory limit.
    pub(crate) fn new(
        chunked: Chunked<'w, AnyArray<'v, A>>,
        len: usize,
        default: usize,
    ) -> Result<Self> {
        let all = chunked.source.len_of(Axis(1));
        let (index, count) = chunked.config.partition;
        let segments = all.div_ceil(len);
        let [start, end] = [index, index + 1]
            .map(|index| (partition_start(segments, index, count) * len).min(all));
        let state_bytes = chunked.split_memory_limit(default).1;
        Ok(Self { chunked, len, columns: start..end, state_bytes })
    }

    /// Returns the number of bytes available for partial results.
    pub(crate) fn state_bytes(&self) -> usize {
        self.state_bytes
    }

    pub(crate) fn segments(&self) -> usize {
        self.columns.len().div_ceil(self.len)
    }

    /// Maps each segment with a closure and merges the results in a fixed binary tree. The number
    /// of threads is limited so that `bytes` bytes of temporary memory per thread fit into three
    /// quarters of the memory for partial results. `key` depends on everything that the results of
    /// segments depend on.
    pub(crate) fn fold<T: Message + Send>(
        &self,
        key: u64,
        bytes: usize,
        map: impl Fn(ArrayView2<'_, A>) -> T + Sync,
        merge: impl Fn(T, T) -> T + Sync,
    ) -> Result<T> {
        let view = columns_of(&self.chunked.source, self.columns.clone());
        let [rows, all] = [0, 1].map(|axis| view.len_of(Axis(axis)));
        let (slab_len, plan) =
            self.chunked.rescale_limit_error(self.slab_plan(&view), three_quarters)?;
        let batch_len = (slab_len / self.len).max(1);
        let first = match self.chunked.ranks() {
            Some(ranks) => ranks.first_item(self.segments(), self.columns.start / self.len)?,
            None => 0,
        };
        let region_of = |columns: &Range<usize>| Region {
            start: [0, columns.start][..].into(),
            end: [rows, columns.end][..].into(),
        };
        let gathered = if slab_len < self.len {
            rows.saturating_mul(self.len.min(all)).saturating_mul(size_of::<A>())
        } else {
            0
        };
        let max_threads = self.state_bytes / 4 * 3 / gathered.saturating_add(bytes).max(1);
        if max_threads == 0 && gathered > 0 {
            let needed = gathered.saturating_add(bytes).saturating_mul(8);
            let limit =
                self.chunked.config.memory_limit.unwrap_or(self.state_bytes.saturating_mul(4));
            let kind = ErrorKind::MemoryLimitExceeded { needed, limit };
            return self.chunked.with_path(Err(kind.at(None)));
        }
        let callback = self.chunked.config.progress.as_deref();
        let reduce = |part: Range<usize>| {
            let tree = PairwiseReduction::new();
            let done = (part.start * self.len).min(all) * rows;
            let pass = Pass::new(&plan, callback, view.len()).starting_at(done);
            let batches = part.len().div_ceil(batch_len);
            pass.for_each_index(batches, max_threads.max(1), &|batch| {
                let start = part.start + batch * batch_len;
                let segments = start..part.end.min(start + batch_len);
                let columns = |index: usize| index * self.len..all.min((index + 1) * self.len);
                if slab_len >= self.len {
                    let bounds =
                        region_of(&(columns(segments.start).start..columns(segments.end - 1).end));
                    let _pinned = pass.pin(slice::from_ref(&bounds))?;
                    for index in segments.clone() {
                        let value = with_columns(&view, columns(index), &map)?;
                        tree.add(0, first + index, value, &merge);
                    }
                } else {
                    let index = segments.start;
                    let mut gathered = Vec::new();
                    for columns in split_at_multiples(columns(index), slab_len) {
                        let bounds = region_of(&columns);
                        let _pinned = pass.pin(slice::from_ref(&bounds))?;
                        with_columns(&view, columns, |part| gathered.extend(part.t()))?;
                    }
                    let gathered = ArrayView2::from_shape((columns(index).len(), rows), &gathered)
                        .expect("all elements were gathered");
                    tree.add(0, first + index, map(gathered.t()), &merge);
                }
                pass.advance(segments.map(|index| columns(index).len() * rows).sum());
                Ok(())
            })?;
            Ok(tree)
        };
        let merged = reduce_across(
            self.chunked.ranks(),
            key,
            self.segments(),
            Codec::of_message(),
            &merge,
            &reduce,
        )?;
        merged.map_or_else(|| with_columns(&view, 0..0, &map), Ok)
    }

    /// Returns the number of columns that are pinned at once (whole segments or an even fraction of
    /// one), and the residency plan.
    fn slab_plan(&self, view: &AnyArray<'_, A>) -> Result<(usize, ResidencyPlan)> {
        let memory = self.chunked.split_memory_limit(1).0;
        let layouts = view.layouts();
        let [rows, columns] = [0, 1].map(|axis| view.len_of(Axis(axis)));
        // Whole segments are loaded, or slabs if they are shorter.
        let buffers = |slab_len: usize| {
            let len = rows.saturating_mul(slab_len.min(self.len).min(columns));
            len.saturating_mul(view.buffered_bytes())
        };
        let order = self.chunked.division().order;
        let grid_of = |slab_len: usize| {
            ChunkGrid::new(view.raw_dim(), IxDyn(&[rows, slab_len]), order.clone())
        };
        let bytes = rows.saturating_mul(self.len).saturating_mul(size_of::<A>()).max(1);
        let mut choice = Choice::new(&layouts, &[rows, columns], memory, parallel::threads());
        for slab_len in halved_lengths((ITEM_BYTES / bytes).max(1) * self.len, self.len, 1) {
            if choice.offer(slab_len, grid_of(slab_len), (buffers(slab_len), 0.0)) {
                break;
            }
        }
        let (slab_len, _, plan) = choice.plan()?;
        Ok((slab_len, plan))
    }
}

fn columns_of<'v, A: Copy>(view: &AnyArray<'v, A>, columns: Range<usize>) -> AnyArray<'v, A> {
    let mut part = view.clone();
    part.slice_axis_inplace(Axis(1), columns);
    part
}

/// Calls a closure with the elements of some columns, whose pages must be pinned.
fn with_columns<A: Copy, R>(
    view: &AnyArray<'_, A>,
    columns: Range<usize>,
    work: impl FnOnce(ArrayView2<'_, A>) -> R,
) -> Result<R> {
    let region = Region {
        start: [0, columns.start][..].into(),
        end: [view.len_of(Axis(0)), columns.end][..].into(),
    };
    let loaded = view.load(&region)?;
    Ok(work(loaded.view().into_dimensionality().expect("a table has two axes")))
}
