//! The columns of a table in stretches of fixed length, whatever the threads, the chunks and the memory.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{ArrayView2, Axis, Ix2, Slice};

use super::plan::{Bounds, Plan, cut};
use super::reduce::Meter;
use super::schedule::Schedule;
use super::tree::Tree;
use super::{Chunked, parallel};
use crate::error::{Error, Result};

/// How many bytes of columns a thread takes at a time.
const ITEM_BYTES: usize = 2 << 20;

/// A table, its columns in stretches.
pub(crate) struct Observations<'w, 'v, A> {
    walk: Chunked<'w, ArrayView2<'v, A>>,
    /// The columns of a stretch, and those that are gone through.
    len: usize,
    columns: Range<usize>,
    state_bytes: usize,
}

impl<'w, 'v, A: Copy + Sync> Observations<'w, 'v, A> {
    /// `default` is what there is for partial results if nothing is said about memory.
    pub(crate) fn new(walk: Chunked<'w, ArrayView2<'v, A>>, len: usize, default: usize) -> Result<Self> {
        let all = walk.pieces.ncols();
        let (number, of) = walk.how.part;
        let stretches = all.div_ceil(len);
        let [begin, end] = [number, number + 1].map(|number| (cut(stretches, number, of) * len).min(all));
        let state_bytes = walk.memory_beside_state(default).1;
        Ok(Self { walk, len, columns: begin..end, state_bytes })
    }

    /// The bytes of partial results there is room for.
    pub(crate) fn state_bytes(&self) -> usize {
        self.state_bytes
    }

    pub(crate) fn stretches(&self) -> usize {
        self.columns.len().div_ceil(self.len)
    }

    /// Merges what a closure makes of each stretch, in a fixed tree.
    pub(crate) fn fold<T: Send>(
        &self,
        of: impl Fn(ArrayView2<'_, A>) -> T + Sync,
        merge: impl Fn(T, T) -> T + Sync,
    ) -> Result<T> {
        let view = columns_of(&self.walk.pieces, self.columns.clone());
        let (rows, all) = view.dim();
        let (at_a_time, schedule) = self.schedule(view)?;
        let meter = Meter::new(self.walk.how.progress.as_deref(), view.len());
        let tree = Tree::new();
        let items =
            (0..self.stretches()).step_by(at_a_time).map(|begin| begin..self.stretches().min(begin + at_a_time));
        parallel::try_for_each(items, schedule.at_once(), |stretches: Range<usize>| {
            let columns = stretches.start * self.len..all.min(stretches.end * self.len);
            let bounds = Bounds { low: Ix2(0, columns.start), high: Ix2(rows, columns.end) };
            let _held = schedule.hold(std::slice::from_ref(&bounds))?;
            for number in stretches {
                let stretch = columns_of(&view, number * self.len..all.min((number + 1) * self.len));
                tree.add(0, number, of(stretch), &merge);
            }
            meter.add(bounds.len());
            Ok::<(), Error>(())
        })?;
        Ok(tree.finish(merge).unwrap_or_else(|| of(columns_of(&view, 0..0))))
    }

    /// How many stretches are held at a time, and how.
    fn schedule(&self, view: ArrayView2<'_, A>) -> Result<(usize, Schedule)> {
        let memory = self.walk.memory_beside_state(1).0;
        let form = [super::footprint::Form::of(&view, false)];
        let order = self.walk.order();
        let bytes = view.nrows().saturating_mul(self.len).saturating_mul(size_of::<A>()).max(1);
        let mut at_a_time = (ITEM_BYTES / bytes).max(1);
        let mut easiest = None;
        loop {
            let plan = Plan::new(view.raw_dim(), Ix2(view.nrows(), at_a_time * self.len), order.clone());
            match Schedule::new(&form, &plan, 1, memory, parallel::threads()) {
                Ok(schedule) if !schedule.takes_single_pages() => return Ok((at_a_time, schedule)),
                Ok(schedule) if at_a_time == 1 => return Ok(easiest.unwrap_or((1, schedule))),
                Ok(schedule) => easiest = easiest.or(Some((at_a_time, schedule))),
                Err(error) if at_a_time == 1 => return easiest.ok_or(error),
                Err(_) => {}
            }
            at_a_time /= 2;
        }
    }
}

fn columns_of<'v, A>(view: &'v ArrayView2<'_, A>, columns: Range<usize>) -> ArrayView2<'v, A> {
    view.slice_axis(Axis(1), Slice::from(columns))
}
