//! Which boxes of an array a walk visits, and in which order: plain geometry.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{Axis, Dimension};

/// A box inside an array: for each axis, the indices from `low` up to but without `high`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds<D> {
    pub(super) low: D,
    pub(super) high: D,
}

impl<D: Dimension> Bounds<D> {
    pub(super) fn range(&self, axis: usize) -> Range<usize> {
        self.low[axis]..self.high[axis]
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        (0..self.low.ndim()).map(|axis| self.range(axis))
    }

    pub(super) fn len(&self) -> usize {
        self.ranges().map(|range| range.len()).product()
    }
}

/// A grid over an array, whose cells are visited in order: those along the fastest axis follow each other.
#[derive(Clone, Debug)]
pub(super) struct Plan<D> {
    shape: D,
    /// The lengths of a cell; the last one along an axis may be shorter.
    steps: D,
    /// By how much a cell's view reaches into its neighbours, where there are any.
    halo: D,
    /// The axes from the slowest to the fastest.
    order: Vec<usize>,
    /// The cells to visit.
    cells: Range<usize>,
}

impl<D: Dimension> Plan<D> {
    /// Cells of the given lengths, where 0 counts as 1. `order` has each axis once, the slowest first.
    pub(super) fn new(shape: D, mut steps: D, order: Vec<usize>) -> Self {
        for (step, &len) in steps.slice_mut().iter_mut().zip(shape.slice()) {
            *step = (*step).clamp(1, len.max(1));
        }
        let halo = D::zeros(shape.ndim());
        let mut plan = Self { shape, steps, halo, order, cells: 0..0 };
        // The cells are no more than the elements, so their number does not overflow.
        plan.cells =
            0..if plan.shape.size() == 0 { 0 } else { (0..plan.shape.ndim()).map(|a| plan.count_along(a)).product() };
        plan
    }

    /// Cells that are as compact in memory as can be and have at most `limit` elements: whole lines of the fastest
    /// axes, then a part of the next.
    pub(super) fn compact(shape: D, order: Vec<usize>, limit: usize) -> Self {
        let steps = D::zeros(shape.ndim());
        Self::tiles(shape, steps, order, limit)
    }

    /// As [`compact`](Self::compact), but each cell has at least the given lengths if the limit allows.
    pub(super) fn tiles(shape: D, least: D, order: Vec<usize>, limit: usize) -> Self {
        let mut steps = least;
        for (step, &len) in steps.slice_mut().iter_mut().zip(shape.slice()) {
            *step = (*step).clamp(1, len.max(1));
        }
        let size = |steps: &D| steps.slice().iter().fold(1_usize, |size, &step| size.saturating_mul(step));
        while size(&steps) > limit.max(1) {
            let Some(largest) = steps.slice_mut().iter_mut().max_by_key(|step| **step) else { break };
            *largest = largest.div_ceil(2);
        }
        for &axis in order.iter().rev() {
            let others = size(&steps) / steps[axis];
            let step = (limit / others).clamp(steps[axis], shape[axis].max(1));
            steps[axis] = step;
            if step < shape[axis] {
                break;
            }
        }
        Self::new(shape, steps, order)
    }

    pub(super) fn with_halo(mut self, halo: D) -> Self {
        self.halo = halo;
        self
    }

    /// Only the `number`th of so many parts of about the same number of cells.
    pub(super) fn partition(mut self, number: usize, of: usize) -> Self {
        let (begin, count) = (self.cells.start, self.cells.len());
        self.cells = begin + cut(count, number, of)..begin + cut(count, number + 1, of);
        self
    }

    /// The numbers of the cells to visit.
    pub(super) fn cells(&self) -> Range<usize> {
        self.cells.clone()
    }

    pub(super) fn shape(&self) -> &D {
        &self.shape
    }

    pub(super) fn steps(&self) -> &D {
        &self.steps
    }

    /// The axes from the slowest to the fastest.
    pub(super) fn order(&self) -> &[usize] {
        &self.order
    }

    pub(super) fn count_along(&self, axis: usize) -> usize {
        self.shape[axis].div_ceil(self.steps[axis])
    }

    /// All views of cells begin at a multiple of so many indices along an axis.
    pub(super) fn aligned_to(&self, axis: usize) -> usize {
        match self.halo[axis] {
            0 => self.steps[axis],
            _ => 1,
        }
    }

    /// The elements that belong to a cell.
    pub(super) fn core(&self, mut cell: usize) -> Bounds<D> {
        let mut low = D::zeros(self.shape.ndim());
        for &axis in self.order.iter().rev() {
            let count = self.count_along(axis);
            low[axis] = cell % count * self.steps[axis];
            cell /= count;
        }
        self.cell_at(low)
    }

    fn cell_at(&self, low: D) -> Bounds<D> {
        let mut high = low.clone();
        for axis in 0..low.ndim() {
            high[axis] = (low[axis] + self.steps[axis]).min(self.shape[axis]);
        }
        Bounds { low, high }
    }

    /// The elements that a cell's view shows: its own and those of the halo, as far as the array reaches.
    pub(super) fn outer(&self, core: &Bounds<D>) -> Bounds<D> {
        let Bounds { mut low, mut high } = core.clone();
        for axis in 0..low.ndim() {
            low[axis] = low[axis].saturating_sub(self.halo[axis]);
            high[axis] = high[axis].saturating_add(self.halo[axis]).min(self.shape[axis]);
        }
        Bounds { low, high }
    }

    /// The largest box that a cell's view can have.
    pub(super) fn largest(&self) -> D {
        let mut lens = self.steps.clone();
        for axis in 0..lens.ndim() {
            lens[axis] = lens[axis].saturating_add(self.halo[axis].saturating_mul(2)).min(self.shape[axis]);
        }
        lens
    }

    /// The elements of consecutive cells, as few boxes.
    pub(super) fn boxes_in(&self, cells: Range<usize>) -> Vec<Bounds<D>> {
        let mut boxes: Vec<Bounds<D>> = Vec::new();
        let mut cell = cells.start;
        while cell < cells.end {
            // The most cells from here on that make a box: whole lines, planes, ... along the fastest axes.
            let (mut taken, mut bounds) = (1, self.core(cell));
            for &axis in self.order.iter().rev() {
                let here = cell / taken % self.count_along(axis);
                let more = ((cells.end - cell) / taken).min(self.count_along(axis) - here);
                if more == 0 {
                    break;
                }
                bounds.high[axis] = ((here + more) * self.steps[axis]).min(self.shape[axis]);
                taken *= more;
                if more < self.count_along(axis) {
                    break;
                }
            }
            boxes.push(bounds);
            cell += taken;
        }
        boxes
    }
}

/// Where the `number`th of so many parts of a length begins.
pub(super) fn cut(len: usize, number: usize, of: usize) -> usize {
    (len as u128 * number as u128 / of as u128) as usize
}

/// The axes from the slowest in memory to the fastest, as their distances are. Axes of one index count as fastest; among
/// equals the first axis counts as slower.
pub(super) fn memory_order(axes: impl Iterator<Item = (usize, isize)>) -> Vec<usize> {
    let keys: Vec<_> = axes.map(|(len, distance)| if len > 1 { distance.unsigned_abs() } else { 0 }).collect();
    let mut order: Vec<_> = (0..keys.len()).collect();
    order.sort_by_key(|&axis| std::cmp::Reverse(keys[axis]));
    order
}

/// Cells along one axis: each has all of the others.
pub(super) fn slices<D: Dimension>(shape: &D, axis: Option<Axis>, len: usize) -> D {
    let mut steps = shape.clone();
    if let Some(axis) = axis {
        steps[axis.index()] = len;
    }
    steps
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, Dim, IxDyn, Slice};
    use proptest::prelude::*;

    use super::*;

    fn visit(seen: &mut ArrayD<u32>, bounds: &Bounds<IxDyn>) -> usize {
        let mut part = seen.slice_each_axis_mut(|axis| Slice::from(bounds.range(axis.axis.index())));
        part += 1;
        part.len()
    }

    fn plans() -> impl Strategy<Value = Plan<IxDyn>> {
        prop::collection::vec((0_usize..8, 0_usize..9, any::<u8>()), 0..6).prop_flat_map(|axes| {
            let shape = IxDyn(&axes.iter().map(|axis| axis.0).collect::<Vec<_>>());
            let steps = IxDyn(&axes.iter().map(|axis| axis.1).collect::<Vec<_>>());
            let order = memory_order(axes.iter().map(|axis| (axis.0, isize::from(axis.2))));
            (0_u8..3, 1_usize..200).prop_map(move |(kind, limit)| match kind {
                0 => Plan::new(shape.clone(), steps.clone(), order.clone()),
                1 => Plan::compact(shape.clone(), order.clone(), limit),
                _ => Plan::tiles(shape.clone(), steps.clone(), order.clone(), limit),
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn every_element_once(plan in plans(), parts in 1_usize..6) {
            let mut seen = ArrayD::<u32>::zeros(plan.shape().clone());
            let mut next = plan.cells().start;
            for number in 0..parts {
                let part = plan.clone().partition(number, parts);
                prop_assert_eq!(part.cells().start, next);
                next = part.cells().end;
                for cell in part.cells() {
                    let core = part.core(cell);
                    prop_assert_eq!(visit(&mut seen, &core), core.len());
                    prop_assert!(core.len() > 0);
                }
            }
            prop_assert_eq!(next, plan.cells().end);
            prop_assert!(seen.iter().all(|&times| times == 1));
        }

        #[test]
        fn compact_cells_stay_below_the_limit(plan in plans(), limit in 1_usize..300) {
            let compact = Plan::compact(plan.shape().clone(), plan.order().to_vec(), limit);
            prop_assert!(compact.cells().all(|cell| compact.core(cell).len() <= limit));
            let tiles = Plan::tiles(plan.shape().clone(), plan.steps().clone(), plan.order().to_vec(), limit);
            prop_assert!(tiles.cells().all(|cell| tiles.core(cell).len() <= limit));
        }

        /// Whole lines of the fastest axes, as many indices of the next as the limit allows, and of the others what was asked.
        #[test]
        fn tiles_are_as_compact_as_can_be(plan in plans(), limit in 1_usize..300) {
            if plan.shape().size() == 0 {
                return Ok(());
            }
            let (shape, least) = (plan.shape(), plan.steps());
            let tiles = Plan::tiles(shape.clone(), least.clone(), plan.order().to_vec(), limit);
            let mut slower = tiles.order().iter().rev().skip_while(|&&axis| tiles.steps()[axis] == shape[axis]);
            if let Some(&axis) = slower.next() {
                let step = tiles.steps()[axis];
                prop_assert!(tiles.steps().size() / step * (step + 1) > limit);
            }
            prop_assert!(slower.all(|&axis| tiles.steps()[axis] <= least[axis]));
            if least.size() <= limit {
                prop_assert!(tiles.steps().slice().iter().zip(least.slice()).all(|(step, least)| step >= least));
            }
        }

        #[test]
        fn cells_follow_the_order(plan in plans()) {
            let key = |cell| {
                let low = plan.core(cell).low;
                plan.order().iter().map(|&axis| low[axis]).collect::<Vec<_>>()
            };
            let keys: Vec<_> = plan.cells().map(key).collect();
            prop_assert!(keys.is_sorted());
        }

        #[test]
        fn boxes_are_the_cells(plan in plans(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
            let count = plan.cells().len();
            let (from, to) = (from.index(count + 1), to.index(count + 1));
            let range = from.min(to)..from.max(to);
            let (mut by_cell, mut by_box) = (ArrayD::zeros(plan.shape().clone()), ArrayD::zeros(plan.shape().clone()));
            range.clone().for_each(|cell| {
                visit(&mut by_cell, &plan.core(cell));
            });
            let boxes = plan.boxes_in(range);
            boxes.iter().for_each(|bounds| {
                visit(&mut by_box, bounds);
            });
            prop_assert_eq!(by_cell, by_box);
            prop_assert!(boxes.len() <= 2 * plan.shape().ndim().max(1));
        }

        #[test]
        fn a_halo_ends_at_the_edges(plan in plans(), width in 0_usize..4) {
            let halo = Dim(vec![width; plan.shape().ndim()]);
            let plan = plan.with_halo(halo);
            for cell in plan.cells() {
                let core = plan.core(cell);
                let outer = plan.outer(&core);
                for axis in 0..plan.shape().ndim() {
                    let (core, outer) = (core.range(axis), outer.range(axis));
                    prop_assert_eq!(outer.start, core.start.saturating_sub(width));
                    prop_assert_eq!(outer.end, (core.end + width).min(plan.shape()[axis]));
                    prop_assert!(outer.len() <= plan.largest()[axis]);
                    prop_assert!(outer.start.is_multiple_of(plan.aligned_to(axis)));
                    prop_assert_eq!(plan.aligned_to(axis), if width == 0 { plan.steps()[axis] } else { 1 });
                }
            }
        }
    }

    #[test]
    fn the_slowest_axis_comes_first() {
        assert_eq!(memory_order([(3, 32), (4, 8)].into_iter()), [0, 1]);
        assert_eq!(memory_order([(3, 8), (4, -24)].into_iter()), [1, 0]);
        assert_eq!(memory_order([(1, 32), (4, 8)].into_iter()), [1, 0]);
        assert_eq!(memory_order([(1, 8), (1, 8)].into_iter()), [0, 1]);
    }

    #[test]
    fn no_dimensions_are_one_cell() {
        let plan = Plan::new(IxDyn(&[]), IxDyn(&[]), Vec::new());
        assert_eq!(plan.cells(), 0..1);
        assert_eq!(plan.boxes_in(0..1).len(), 1);
    }
}
