//! How lanes are gone through: how many together, and how much of them at a time.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{Dimension, IxDyn};

use super::super::fit::{Choice, lengths};
use super::super::parallel;
use super::super::plan::{Bounds, Plan};
use super::super::schedule::{Memory, Schedule, sides_of};
use super::turned::{Lanes, portions};
use crate::error::Result;

/// The lanes that are accumulated together.
pub(super) const STRIP: usize = 512;

/// The cost of fetching the accumulator of a lane, in the unit of [`Choice`].
const LANE: f64 = 1.0 / 16.0;

/// How the lanes are gone through.
pub(super) struct Work {
    /// Lanes in groups; along the axis itself there is one cell.
    pub(super) groups: Plan<IxDyn>,
    /// Elements of the axis that are held at a time: whole stretches, or an even part of one.
    pub(super) portion: usize,
    pub(super) schedule: Schedule,
}

/// What is held at a time if it fits: the more rows, the less often the accumulators of all lanes are fetched.
const PORTION_BYTES: usize = 8 << 20;

impl Work {
    /// For groups of up to `limit` lanes. Portions are multiples of `unit` elements of the axis, or even parts of one if
    /// they may be as short as `least`. `buffers` gives the bytes that a thread has besides, for some lanes and a portion.
    ///
    /// Fewer lanes and shorter portions are tried until the memory has room for them on all threads, and of those that fit
    /// the ones are taken that cost the least.
    pub(super) fn new<A: Copy + Sync>(
        lanes: &Lanes<'_, A>,
        memory: Memory,
        (unit, least): (usize, usize),
        limit: usize,
        buffers: impl Fn(usize, usize) -> usize,
    ) -> Result<Self> {
        let (threads, item) = (parallel::threads(), size_of::<A>().max(1));
        let (forms, order) = (lanes.form(), lanes.memory_order());
        let sides: Vec<_> = sides_of(&forms, &lanes.view.raw_dim()).filter(|side| side.pager.can_release()).collect();
        let plan_of = |groups: &Plan<IxDyn>, portion: usize| {
            let mut steps = groups.steps().clone();
            steps[0] = portion;
            Plan::new(lanes.view.raw_dim(), steps, order.clone())
        };
        let mut choice = Choice::new(memory, threads);
        'search: for limit in lengths(limit, 1, 1) {
            let mut shape = lanes.view.raw_dim();
            shape[0] = 1;
            let groups = Plan::compact(shape, (0..lanes.view.ndim()).collect(), limit);
            let together = groups.largest().size();
            let rows = (PORTION_BYTES / (together * item)).max(1);
            let most = if rows >= unit { rows / unit * unit } else { (1 << rows.ilog2()).max(least) };
            for portion in lengths(most, unit, least) {
                let plan = plan_of(&groups, portion);
                let besides = (buffers(together, portion), together as f64 * LANE);
                if choice.offer(sides.iter(), &plan, besides, (groups.clone(), portion)) {
                    break 'search;
                }
            }
        }
        let (groups, portion) = choice.finish(sides.iter())?;
        let buffers = buffers(groups.largest().size(), portion);
        let schedule = Schedule::new(&forms, &plan_of(&groups, portion), (1, buffers), memory, threads)?;
        Ok(Self { groups, portion, schedule })
    }

    /// What threads take at a time: a group of lanes, and a range of the axis.
    pub(super) fn items(&self, len: usize, unit: usize) -> impl Iterator<Item = (usize, Range<usize>)> + Send + use<> {
        let step = self.portion.max(unit);
        self.groups.cells().flat_map(move |group| portions(0..len, step).map(move |rows| (group, rows)))
    }

    pub(super) fn bounds(&self, group: usize, rows: Range<usize>) -> Bounds<IxDyn> {
        let Bounds { mut low, mut high } = self.groups.core(group);
        (low[0], high[0]) = (rows.start, rows.end);
        Bounds { low, high }
    }
}
