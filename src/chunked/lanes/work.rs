//! How lanes are gone through: how many together, and how much of them at a time.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{Dimension, IxDyn};

use super::super::parallel;
use super::super::plan::{Bounds, Plan};
use super::super::schedule::{Memory, Schedule};
use super::turned::{Lanes, portions};
use crate::error::Result;

/// Fewer lanes than these are not cut further, whatever it costs, if they fit.
pub(super) const STRIP: usize = 512;

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
    /// they may be as short as `least`.
    pub(super) fn new<A: Copy + Sync>(
        lanes: &Lanes<'_, A>,
        memory: Memory,
        (unit, least): (usize, usize),
        mut limit: usize,
    ) -> Result<Self> {
        let (threads, item) = (parallel::threads(), size_of::<A>().max(1));
        let (form, order) = (lanes.form(), lanes.memory_order());
        let ease = |schedule: &Schedule| (!schedule.takes_single_pages(), schedule.at_once());
        let mut best: Option<Self> = None;
        loop {
            let mut shape = lanes.view.raw_dim();
            shape[0] = 1;
            let groups = Plan::compact(shape, (0..lanes.view.ndim()).collect(), limit);
            let mut steps = groups.steps().clone();
            let rows = (PORTION_BYTES / (groups.largest().size() * item)).max(1);
            let mut portion = if rows >= unit { rows / unit * unit } else { (1 << rows.ilog2()).max(least) };
            loop {
                steps[0] = portion;
                let plan = Plan::new(lanes.view.raw_dim(), steps.clone(), order.clone());
                let last = portion <= least && limit <= STRIP;
                match Schedule::new(&form, &plan, 1, memory, threads) {
                    Ok(schedule) => {
                        if best.as_ref().is_none_or(|best| ease(&best.schedule) < ease(&schedule)) {
                            best = Some(Self { groups: groups.clone(), portion, schedule });
                        }
                        let is_easy = |best: &mut Self| last || ease(&best.schedule) >= (true, threads);
                        if let Some(best) = best.take_if(is_easy) {
                            return Ok(best);
                        }
                    }
                    Err(error) if last && (best.is_some() || limit == 1) => return best.ok_or(error),
                    Err(_) => {}
                }
                if portion <= least {
                    break;
                }
                let half = portion / 2;
                portion = if portion > unit { (half / unit).max(1) * unit } else { half.max(least) };
            }
            limit = limit.div_ceil(2);
        }
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
