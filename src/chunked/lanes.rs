//! Accumulators along an axis: one for each lane, the file read in its order.
//!
//! A lane is cut into stretches, the leaves of the tree of its merges. Lanes are taken in groups, as many as the ceiling has
//! room for the accumulators of; a thread takes a stretch of all lanes of a group, or several stretches where they are
//! small, and in portions of it where they are large.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndarray::{Array, ArrayD, ArrayView, ArrayView2, ArrayViewD, Axis, Dimension, IxDyn, RemoveAxis, Slice};

use super::accumulator::Accumulator;
use super::blocks::BLOCK_BYTES;
use super::builder::DEFAULT_BYTES;
use super::footprint::Form;
use super::plan::{Bounds, Plan, cut, memory_order};
use super::reduce::Meter;
use super::schedule::Schedule;
use super::tree::Tree;
use super::{Chunked, parallel};
use crate::error::{Error, Result};

/// The elements of a stretch where neighbouring lanes are side by side in memory. Changing it changes bits.
const ROWS: usize = 256;

/// Fewer lanes than this side by side are gone through one by one.
const LEAST_WIDTH: usize = 8;

/// Shorter lanes than this are not.
const LEAST_LENGTH: usize = 32;

/// The lanes whose accumulators are kept in the processor's cache while some rows go by.
const STRIP: usize = 512;

/// The bytes of accumulators if nothing else is said.
const DEFAULT_STATE_BYTES: usize = 64 << 20;

impl<A: Copy + Sync, D: RemoveAxis> Chunked<'_, ArrayView<'_, A, D>> {
    /// As [`accumulate_axis`](Self::accumulate_axis), and finishes each at once. `new` is told where on the axis the
    /// elements begin that its accumulator takes.
    #[track_caller]
    pub(crate) fn fold_lanes<T, R>(
        self,
        axis: Axis,
        new: impl Fn(usize) -> T + Sync,
        finish: impl Fn(T) -> Result<R> + Sync,
    ) -> Result<Array<R, D::Smaller>>
    where
        T: Accumulator<A> + Send,
        R: Send,
    {
        let lanes = Lanes::of(self.pieces.view(), axis);
        let part = lanes.part(self.how.part);
        let results = lanes.narrowed(part.clone()).fold(&self, |index| new(part.start + index), finish)?;
        Ok(lanes.shaped(results))
    }

    /// The range of an axis that is the walk's [part](Self::part), as [`fold_lanes`](Self::fold_lanes) sees it.
    #[track_caller]
    pub(crate) fn part_of_lanes(&self, axis: Axis) -> Range<usize> {
        Lanes::of(self.pieces.view(), axis).part(self.how.part)
    }
}

/// How the elements of lanes are pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Row by row: an element of each of many lanes at a time.
    Rows,
    /// Lane by lane.
    Slices,
}

/// An array, turned so that the axis comes first and the others follow from the slowest to the fastest.
#[derive(Clone)]
struct Lanes<'v, A> {
    view: ArrayViewD<'v, A>,
    kind: Kind,
    /// The elements of a stretch.
    stretch: usize,
    /// What has been done to the other axes, to be undone for the results.
    order: Vec<usize>,
    inverted: Vec<usize>,
    lens: Vec<usize>,
}

impl<'v, A: Copy + Sync> Lanes<'v, A> {
    #[track_caller]
    fn of<D: Dimension>(view: ArrayView<'v, A, D>, axis: Axis) -> Self {
        let ndim = view.ndim();
        assert!(axis.index() < ndim, "axis {} is out of bounds for an array of {ndim} dimensions", axis.index());
        let mut view = view.into_dyn();
        let others: Vec<_> = (0..view.ndim()).filter(|&other| other != axis.index()).collect();
        let order = memory_order(others.iter().map(|&other| (view.shape()[other], view.strides()[other])));
        let mut axes = vec![axis.index()];
        axes.extend(order.iter().map(|&number| others[number]));
        view = view.permuted_axes(axes);
        let lens = view.shape()[1..].to_vec();
        let inverted: Vec<_> = (0..lens.len()).filter(|&lane_axis| view.strides()[1 + lane_axis] < 0).collect();
        inverted.iter().for_each(|&lane_axis| view.invert_axis(Axis(1 + lane_axis)));
        // Axes that are one in memory become one.
        for lane_axis in (1..lens.len()).rev() {
            if !view.is_empty() && view.merge_axes(Axis(lane_axis), Axis(lane_axis + 1)) {
                view = view.index_axis_move(Axis(lane_axis), 0);
            }
        }
        if view.ndim() == 1 {
            view = view.insert_axis(Axis(1));
        }
        let fastest = view.ndim() - 1;
        let (len, width) = (view.shape()[0], view.shape()[fastest]);
        let [along, across] = [0, fastest].map(|axis| view.strides()[axis].unsigned_abs());
        let lanes_lie_one_after_the_other = len > 1 && (width < 2 || along < across);
        let kind = match width >= LEAST_WIDTH && !(lanes_lie_one_after_the_other && len >= LEAST_LENGTH) {
            true => Kind::Rows,
            false => Kind::Slices,
        };
        let stretch = match kind {
            Kind::Rows => ROWS,
            // A power of two, so that portions of it are even.
            Kind::Slices => 1 << (BLOCK_BYTES / size_of::<A>().max(1)).max(1).ilog2(),
        };
        Self { view, kind, stretch, order, inverted, lens }
    }

    fn len(&self) -> usize {
        self.view.len_of(Axis(0))
    }

    /// The range of the axis that is one of so many parts.
    fn part(&self, (number, of): (usize, usize)) -> Range<usize> {
        let stretches = self.len().div_ceil(self.stretch);
        let [begin, end] =
            [number, number + 1].map(|number| (cut(stretches, number, of) * self.stretch).min(self.len()));
        begin..end
    }

    fn narrowed(&self, range: Range<usize>) -> Self {
        let mut lanes = self.clone();
        lanes.view.slice_axis_inplace(Axis(0), Slice::from(range));
        lanes
    }

    /// Results of all lanes in order, in the shape that the array has without the axis.
    fn shaped<R, D: Dimension>(&self, results: Vec<R>) -> Array<R, D> {
        let mut array = ArrayD::from_shape_vec(self.lens.clone(), results).expect("a result for each lane");
        self.inverted.iter().for_each(|&lane_axis| array.invert_axis(Axis(lane_axis)));
        let mut back = vec![0; self.order.len()];
        self.order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
        array.permuted_axes(back).into_dimensionality().expect("one axis less")
    }

    fn fold<T, R, D: Dimension>(
        &self,
        walk: &Chunked<'_, ArrayView<'_, A, D>>,
        new: impl Fn(usize) -> T + Sync,
        finish: impl Fn(T) -> Result<R> + Sync,
    ) -> Result<Vec<R>>
    where
        T: Accumulator<A> + Send,
        R: Send,
    {
        let count: usize = self.lens.iter().product();
        if count == 0 || self.len() == 0 {
            return (0..count).map(|_| finish(new(0))).collect();
        }
        let work = Work::new(self, walk, size_of::<T>())?;
        let stretches = self.len().div_ceil(self.stretch);
        let meter = Meter::new(walk.how.progress.as_deref(), self.view.len());
        let merge = |mut first: Vec<T>, later: Vec<T>| {
            first.iter_mut().zip(later).for_each(|(first, later)| first.merge(later));
            first
        };
        let (trees, results) = (Trees::new(), Results::new());
        parallel::try_for_each(work.items(self), work.schedule.at_once(), |(group, rows): (usize, Range<usize>)| {
            let tree = trees.of(group);
            let (mut tile, mut lanes) = (Tile::new(self.kind), Vec::new());
            for rows in portions(rows.clone(), work.portion) {
                let bounds = work.bounds(group, rows.clone());
                let _held = work.schedule.hold(std::slice::from_ref(&bounds))?;
                for rows in portions(rows, self.stretch) {
                    let bounds = work.bounds(group, rows.clone());
                    let block = self.view.slice_each_axis(|axis| Slice::from(bounds.range(axis.axis.index())));
                    let number = rows.start / self.stretch;
                    lanes.resize_with(block.len() / rows.len(), || new(number * self.stretch));
                    let last = rows.end == self.len() || rows.end == (number + 1) * self.stretch;
                    tile.push(block, &mut lanes, last);
                    if last {
                        tree.add(0, number, std::mem::take(&mut lanes), merge);
                    }
                }
                meter.add(bounds.len());
            }
            drop(tree);
            if let Some(tree) = trees.done(group, rows.len().div_ceil(self.stretch), stretches) {
                let lanes = tree.finish(merge).unwrap_or_default();
                results.put(group, lanes.into_iter().map(&finish).collect::<Result<_>>()?);
            }
            Ok::<(), Error>(())
        })?;
        Ok(results.finish())
    }
}

/// How the lanes are gone through.
struct Work {
    /// Lanes in groups; along the axis itself there is one cell.
    groups: Plan<IxDyn>,
    /// Elements of the axis that are held at a time: whole stretches, or an even part of one.
    portion: usize,
    schedule: Schedule,
}

impl Work {
    fn new<A: Copy + Sync, D: Dimension>(
        lanes: &Lanes<'_, A>,
        walk: &Chunked<'_, ArrayView<'_, A, D>>,
        state_bytes: usize,
    ) -> Result<Self> {
        let (threads, item) = (parallel::threads(), size_of::<A>().max(1));
        let (len, count) = (lanes.len(), lanes.lens.iter().product::<usize>());
        let stretches = len.div_ceil(lanes.stretch);
        // Of each lane there is an accumulator for each thread's stretch and result, and for each level of the tree.
        let alive = 2 * threads + 2 + stretches.ilog2() as usize;
        let (memory, all_state) = walk.memory_beside_state(DEFAULT_STATE_BYTES);
        let fitting = all_state / state_bytes.saturating_mul(alive).max(1);
        let wanted = match lanes.kind {
            // As many as keep all threads busy.
            Kind::Rows => match (4 * threads).div_ceil(stretches) {
                1 => count,
                groups => count.div_ceil(groups).max(STRIP),
            },
            Kind::Slices => DEFAULT_BYTES / (len.min(lanes.stretch) * item),
        };
        let short = DEFAULT_BYTES / len.saturating_mul(item);
        let mut limit = wanted.min(fitting).max(short.min(fitting)).clamp(1, count);
        let form = [Form::of(&lanes.view, false)];
        let order = memory_order(lanes.view.shape().iter().copied().zip(lanes.view.strides().iter().copied()));
        let mut best: Option<Self> = None;
        loop {
            let mut shape = lanes.view.raw_dim();
            shape[0] = 1;
            let groups = Plan::compact(shape, (0..lanes.view.ndim()).collect(), limit);
            let mut steps = groups.steps().clone();
            let rows = (DEFAULT_BYTES / (groups.largest().size() * item)).max(1);
            let mut portion =
                if rows >= lanes.stretch { rows / lanes.stretch * lanes.stretch } else { 1 << rows.ilog2() };
            loop {
                steps[0] = portion;
                let plan = Plan::new(lanes.view.raw_dim(), steps.clone(), order.clone());
                let schedule = Schedule::new(&form, &plan, 1, memory, threads);
                let ease = |schedule: &Schedule| (!schedule.takes_single_pages(), schedule.at_once());
                let easy = (true, threads);
                let last = portion == 1 && limit <= STRIP;
                match schedule {
                    Ok(schedule) => {
                        if best.as_ref().is_none_or(|best| ease(&best.schedule) < ease(&schedule)) {
                            best = Some(Self { groups: groups.clone(), portion, schedule });
                        }
                        if let Some(best) = best.take_if(|best| last || ease(&best.schedule) >= easy) {
                            return Ok(best);
                        }
                    }
                    Err(error) if last => return best.ok_or(error),
                    Err(_) => {}
                }
                if portion == 1 {
                    break;
                }
                portion = if portion > lanes.stretch {
                    (portion / 2 / lanes.stretch).max(1) * lanes.stretch
                } else {
                    (portion / 2).max(1)
                };
            }
            limit = limit.div_ceil(2);
        }
    }

    /// What threads take at a time: a group of lanes, and a range of the axis.
    fn items<A: Copy + Sync>(
        &self,
        lanes: &Lanes<'_, A>,
    ) -> impl Iterator<Item = (usize, Range<usize>)> + Send + use<A> {
        let (len, step) = (lanes.len(), self.portion.max(lanes.stretch));
        self.groups.cells().flat_map(move |group| portions(0..len, step).map(move |rows| (group, rows)))
    }

    fn bounds(&self, group: usize, rows: Range<usize>) -> Bounds<IxDyn> {
        let Bounds { mut low, mut high } = self.groups.core(group);
        (low[0], high[0]) = (rows.start, rows.end);
        Bounds { low, high }
    }
}

/// A range, cut at the multiples of a length.
pub(super) fn portions(range: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    let mut begin = range.start;
    std::iter::from_fn(move || {
        let portion = begin..((begin / len + 1) * len).min(range.end);
        begin = portion.end;
        (!portion.is_empty()).then_some(portion)
    })
}

/// Pushes parts of a stretch into the accumulators of a group.
struct Tile<A> {
    kind: Kind,
    /// Elements that had to be put side by side.
    gathered: Vec<A>,
    /// The same for each lane, where a stretch comes in portions.
    begun: Vec<Vec<A>>,
}

impl<A: Copy> Tile<A> {
    fn new(kind: Kind) -> Self {
        Self { kind, gathered: Vec::new(), begun: Vec::new() }
    }

    /// `last` tells that the stretch ends here.
    fn push<T: Accumulator<A>>(&mut self, block: ArrayViewD<'_, A>, lanes: &mut [T], last: bool) {
        let mut first = 0;
        each_plane(block, &mut |plane| {
            match self.kind {
                Kind::Rows => self.push_rows(plane, &mut lanes[first..first + plane.ncols()]),
                Kind::Slices => self.push_slices(plane, first, lanes, last),
            }
            first += plane.ncols();
        });
    }

    fn push_rows<T: Accumulator<A>>(&mut self, plane: ArrayView2<'_, A>, lanes: &mut [T]) {
        for (lanes, strip) in lanes.chunks_mut(STRIP).zip(plane.axis_chunks_iter(Axis(1), STRIP)) {
            let lanes = &mut lanes.iter_mut().collect::<Vec<_>>();
            let rows: Option<Vec<_>> = strip.outer_iter().map(|row| row.to_slice()).collect();
            match rows {
                Some(rows) => T::push_rows(lanes, &rows),
                None => {
                    self.gathered.clear();
                    strip.outer_iter().for_each(|row| self.gathered.extend(row));
                    T::push_rows(lanes, &self.gathered.chunks(strip.ncols()).collect::<Vec<_>>());
                }
            }
        }
    }

    fn push_slices<T: Accumulator<A>>(&mut self, plane: ArrayView2<'_, A>, first: usize, lanes: &mut [T], last: bool) {
        for (number, elements) in (first..).zip(plane.columns()) {
            let is_begun = self.begun.get(number).is_some_and(|begun| !begun.is_empty());
            match elements.to_slice() {
                Some(slice) if last && !is_begun => lanes[number].push_slice(slice),
                _ if last && !is_begun => {
                    self.gathered.clear();
                    self.gathered.extend(elements);
                    lanes[number].push_slice(&self.gathered);
                }
                _ => {
                    self.begun.resize_with(lanes.len(), Vec::new);
                    let begun = &mut self.begun[number];
                    begun.extend(elements);
                    if last {
                        lanes[number].push_slice(begun);
                        begun.clear();
                    }
                }
            }
        }
    }
}

/// Calls a closure with the planes of the first axis and the last one.
fn each_plane<A>(block: ArrayViewD<'_, A>, work: &mut dyn FnMut(ArrayView2<'_, A>)) {
    match block.ndim() {
        2 => work(block.into_dimensionality().expect("two axes")),
        _ => (0..block.len_of(Axis(1))).for_each(|number| each_plane(block.index_axis(Axis(1), number), work)),
    }
}

/// The trees of the groups that are being worked on.
struct Trees<T>(Mutex<HashMap<usize, (Arc<Tree<Vec<T>>>, usize)>>);

impl<T> Trees<T> {
    fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    fn of(&self, group: usize) -> Arc<Tree<Vec<T>>> {
        let mut trees = locked(&self.0);
        Arc::clone(&trees.entry(group).or_insert_with(|| (Arc::new(Tree::new()), 0)).0)
    }

    /// So many stretches more have been added. The tree, if that is all of them.
    fn done(&self, group: usize, more: usize, all: usize) -> Option<Tree<Vec<T>>> {
        let mut trees = locked(&self.0);
        let (_, done) = trees.get_mut(&group)?;
        *done += more;
        if *done < all {
            return None;
        }
        Arc::into_inner(trees.remove(&group)?.0)
    }
}

/// Results of groups, put together in order.
struct Results<R>(Mutex<(Vec<R>, usize, BTreeMap<usize, Vec<R>>)>);

impl<R> Results<R> {
    fn new() -> Self {
        Self(Mutex::new((Vec::new(), 0, BTreeMap::new())))
    }

    fn put(&self, group: usize, results: Vec<R>) {
        let (all, next, waiting) = &mut *locked(&self.0);
        waiting.insert(group, results);
        while let Some(results) = waiting.remove(next) {
            all.extend(results);
            *next += 1;
        }
    }

    fn finish(self) -> Vec<R> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).0
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
