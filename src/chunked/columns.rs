//! The columns of a table in stretches of fixed length, whatever the threads, the chunks and the memory.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{ArrayView2, Axis, Ix2, Slice};

use super::Chunked;
use super::for_each::Progress;
use super::lanes::portions;
use super::limit::three_quarters;
use super::pairwise::PairwiseReduction;
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::{ChunkGrid, Region, StridedLayout, partition_start};
use crate::paging::{Choice, ResidencyPlan, lengths, operands_of};
use crate::parallel;

/// How many bytes of columns a thread takes at a time.
const ITEM_BYTES: usize = 2 << 20;

/// A table, its columns in stretches.
pub(crate) struct ColumnSegments<'w, 'v, A> {
    walk: Chunked<'w, ArrayView2<'v, A>>,
    /// The columns of a stretch, and those that are gone through.
    len: usize,
    columns: Range<usize>,
    state_bytes: usize,
}

impl<'w, 'v, A: Copy + Sync> ColumnSegments<'w, 'v, A> {
    /// `default` is what there is for partial results if nothing is said about memory.
    pub(crate) fn new(
        walk: Chunked<'w, ArrayView2<'v, A>>,
        len: usize,
        default: usize,
    ) -> Result<Self> {
        let all = walk.source.ncols();
        let (number, of) = walk.config.part;
        let stretches = all.div_ceil(len);
        let [begin, end] = [number, number + 1]
            .map(|number| (partition_start(stretches, number, of) * len).min(all));
        let state_bytes = walk.limit_beside_state(default).1;
        Ok(Self { walk, len, columns: begin..end, state_bytes })
    }

    /// The bytes of partial results there is room for.
    pub(crate) fn state_bytes(&self) -> usize {
        self.state_bytes
    }

    pub(crate) fn stretches(&self) -> usize {
        self.columns.len().div_ceil(self.len)
    }

    /// Merges what a closure makes of each stretch, in a fixed tree; on as many threads as there is room for the bytes that the
    /// closure takes in between, with three quarters of what is for partial results.
    pub(crate) fn fold<T: Send>(
        &self,
        bytes: usize,
        of: impl Fn(ArrayView2<'_, A>) -> T + Sync,
        merge: impl Fn(T, T) -> T + Sync,
    ) -> Result<T> {
        let view = columns_of(&self.walk.source, self.columns.clone());
        let (rows, all) = view.dim();
        let (portion, schedule) =
            self.walk.rescale_limit_error(self.schedule(view), three_quarters)?;
        let at_a_time = (portion / self.len).max(1);
        let progress = Progress::new(self.walk.config.progress.as_deref(), view.len());
        let tree = PairwiseReduction::new();
        let hold = |columns: &Range<usize>| Region {
            start: Ix2(0, columns.start),
            end: Ix2(rows, columns.end),
        };
        let items = (0..self.stretches())
            .step_by(at_a_time)
            .map(|begin| begin..self.stretches().min(begin + at_a_time));
        let gathered = match portion < self.len {
            true => rows.saturating_mul(self.len.min(all)).saturating_mul(size_of::<A>()),
            false => 0,
        };
        let room = self.state_bytes / 4 * 3 / gathered.saturating_add(bytes).max(1);
        if room == 0 && gathered > 0 {
            let needed = gathered.saturating_add(bytes).saturating_mul(8);
            let budget = self.walk.config.memory.unwrap_or(self.state_bytes.saturating_mul(4));
            return self
                .walk
                .named(Err(ErrorKind::MemoryLimitExceeded { needed, limit: budget }.at(None)));
        }
        schedule.for_each(items, room.max(1), |stretches: Range<usize>| {
            let columns = |number: usize| number * self.len..all.min((number + 1) * self.len);
            if portion >= self.len {
                let bounds =
                    hold(&(columns(stretches.start).start..columns(stretches.end - 1).end));
                let _held = schedule.pin(std::slice::from_ref(&bounds))?;
                for number in stretches.clone() {
                    tree.add(0, number, of(columns_of(&view, columns(number))), &merge);
                }
            } else {
                let (number, mut gathered) = (stretches.start, Vec::new());
                for columns in portions(columns(number), portion) {
                    let bounds = hold(&columns);
                    let _held = schedule.pin(std::slice::from_ref(&bounds))?;
                    gathered.extend(columns_of(&view, columns).t());
                }
                let gathered = ArrayView2::from_shape((columns(number).len(), rows), &gathered)
                    .expect("all of them");
                tree.add(0, number, of(gathered.t()), &merge);
            }
            progress.advance(stretches.map(|number| columns(number).len() * rows).sum());
            Ok::<(), Error>(())
        })?;
        Ok(tree.finish(merge).unwrap_or_else(|| of(columns_of(&view, 0..0))))
    }

    /// How many columns are held at a time, and how: whole stretches, or an even part of one.
    fn schedule(&self, view: ArrayView2<'_, A>) -> Result<(usize, ResidencyPlan)> {
        let memory = self.walk.limit_beside_state(1).0;
        let (layouts, threads) = ([StridedLayout::of(&view, false)], parallel::threads());
        let operands: Vec<_> = operands_of(&layouts, &view.raw_dim())
            .filter(|operand| operand.pager.can_release())
            .collect();
        let order = self.walk.order();
        let plan_of = |portion: usize| {
            ChunkGrid::new(view.raw_dim(), Ix2(view.nrows(), portion), order.clone())
        };
        let bytes = view.nrows().saturating_mul(self.len).saturating_mul(size_of::<A>()).max(1);
        let mut choice = Choice::new(memory, threads);
        for portion in lengths((ITEM_BYTES / bytes).max(1) * self.len, self.len, 1) {
            if choice.offer(operands.iter(), &plan_of(portion), (0, 0.0), portion) {
                break;
            }
        }
        let portion = choice.finish(operands.iter())?;
        Ok((portion, ResidencyPlan::new(&layouts, &plan_of(portion), (1, 0), memory, threads)?))
    }
}

fn columns_of<'v, A>(view: &'v ArrayView2<'_, A>, columns: Range<usize>) -> ArrayView2<'v, A> {
    view.slice_axis(Axis(1), Slice::from(columns))
}
