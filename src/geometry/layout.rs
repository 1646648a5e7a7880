//! Which bytes of memory a strided array spans, and how many pages that can be: plain geometry.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{ArrayRef, Dimension};

use crate::geometry::Region;

/// How a whole array lies in memory.
#[derive(Clone, Debug)]
pub struct StridedLayout {
    /// The address of the element at index 0 of every axis.
    pub(crate) base: usize,
    /// Bytes of one element.
    pub(crate) item: usize,
    /// The signed distance of neighbours along each axis, in bytes.
    pub(crate) byte_strides: Vec<isize>,
    /// Whether elements are changed.
    pub(crate) writes: bool,
}

impl StridedLayout {
    pub(crate) fn of<A, D: Dimension>(array: &ArrayRef<A, D>, writes: bool) -> Self {
        let item = size_of::<A>();
        // Along an axis of one index the stride may be anything.
        let axes = array.shape().iter().zip(array.strides());
        let byte_strides =
            axes.map(|(&len, &stride)| if len > 1 { stride * item as isize } else { 0 }).collect();
        Self { base: array.as_ptr() as usize, item, byte_strides, writes }
    }

    /// The footprint of a part, of one element or more.
    pub(crate) fn footprint<D: Dimension>(&self, bounds: &Region<D>) -> Footprint {
        let shift: isize = bounds
            .start
            .slice()
            .iter()
            .zip(&self.byte_strides)
            .map(|(&start, stride)| start as isize * stride)
            .sum();
        let lens = bounds.ranges().map(|range| range.len());
        Footprint::new(
            self.base.wrapping_add_signed(shift),
            self.item,
            lens.zip(self.byte_strides.iter().copied()),
        )
    }
}

/// How an array of one element or more lies in memory.
#[derive(Clone, Debug)]
pub(crate) struct Footprint {
    /// The lowest address.
    start: usize,
    /// Bytes of one element.
    item: usize,
    /// Length and distance in bytes of each axis, from the smallest distance to the largest.
    axes: Vec<(usize, usize)>,
}

impl Footprint {
    /// The footprint of an array from the address of its first element and, for each axis, the length and the signed
    /// distance between neighbours in bytes.
    pub(crate) fn new(
        base: usize,
        item: usize,
        axes: impl IntoIterator<Item = (usize, isize)>,
    ) -> Self {
        let mut start = base;
        let mut byte_strides = Vec::new();
        for (len, stride) in axes.into_iter().filter(|&(len, stride)| len > 1 && stride != 0) {
            if stride < 0 {
                start -= (len - 1) * stride.unsigned_abs();
            }
            byte_strides.push((len, stride.unsigned_abs()));
        }
        byte_strides.sort_unstable_by_key(|&(_, stride)| stride);
        Self { start, item, axes: byte_strides }
    }

    /// From the first byte to the last.
    pub(crate) fn byte_range(&self) -> Range<usize> {
        let extent: usize = self.axes.iter().map(|&(len, stride)| (len - 1) * stride).sum();
        self.start..self.start + extent + self.item
    }

    /// The length of the pieces without a whole unit between them, and the axes along which such pieces repeat. (Where axes
    /// do not nest, because a view was made with strides of one's own, a piece spans them.)
    fn contiguous_extent(&self, unit: usize) -> (usize, &[(usize, usize)]) {
        let (mut piece, mut outer) = (self.item, 0);
        let mut extent = self.item;
        for (index, &(len, stride)) in self.axes.iter().enumerate() {
            let joins = stride < extent + unit;
            extent += (len - 1) * stride;
            if joins {
                (piece, outer) = (extent, index + 1);
            }
        }
        (piece, &self.axes[outer..])
    }

    /// The units touched, as ranges of whole units in ascending order. Units begin at the multiples of `unit` from
    /// `origin` on.
    pub(crate) fn unit_ranges(
        &self,
        unit: usize,
        origin: usize,
    ) -> impl Iterator<Item = Range<usize>> {
        let (extent, outer) = self.contiguous_extent(unit);
        let start = self.start;
        let count = outer.iter().map(|&(len, _)| len).product();
        let mut runs = (0..count)
            .map(move |mut index: usize| {
                let mut address = start;
                for &(len, stride) in outer {
                    address += index % len * stride;
                    index /= len;
                }
                align_outward(&(address..address + extent), unit, origin)
            })
            .peekable();
        std::iter::from_fn(move || {
            let mut run = runs.next()?;
            while let Some(next) =
                runs.next_if(|next| next.start <= run.end && next.start >= run.start)
            {
                run.end = run.end.max(next.end);
            }
            Some(run)
        })
    }

    /// The most bytes that all units touched can have, wherever an array of this form begins, if its address is
    /// known up to a multiple of `step` from that of this one.
    pub(crate) fn max_bytes(&self, unit: usize, origin: usize, step: usize) -> usize {
        let (extent, outer) = self.contiguous_extent(unit);
        let step = outer.iter().fold(step, |step, &(_, stride)| gcd(step, stride));
        let runs = outer.iter().map(|&(len, _)| len).fold(1, usize::saturating_mul);
        let bound = self.byte_range();
        runs.saturating_mul(max_units(self.start, extent, unit, origin, step))
            .min(max_units(self.start, bound.len(), unit, origin, 1))
            .saturating_mul(unit)
    }

    /// Whether there are no gaps: then any part of the elements in memory order is one piece as well.
    pub(crate) fn is_dense(&self) -> bool {
        self.axes
            .iter()
            .try_fold(self.item, |piece, &(len, stride)| (piece == stride).then_some(piece * len))
            .is_some()
    }
}

/// The most units that `len` bytes touch, if they begin at `address` or a multiple of `step` away from it.
pub(crate) fn max_units(
    address: usize,
    len: usize,
    unit: usize,
    origin: usize,
    step: usize,
) -> usize {
    let step = gcd(step, unit);
    let latest = address.wrapping_sub(origin) % unit % step + (unit - step);
    (latest + len).div_ceil(unit)
}

/// The whole units that a range touches. Units begin at the multiples of `unit` from `origin` on, which wraps around.
pub(crate) fn align_outward(range: &Range<usize>, unit: usize, origin: usize) -> Range<usize> {
    let past = |address: usize| address.wrapping_sub(origin) % unit;
    let end = range.end + (unit - past(range.end)) % unit;
    range.start.saturating_sub(past(range.start))..end
}

pub(crate) fn gcd(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn runs_are_the_units_touched(
            axes in prop::collection::vec((1_usize..6, -300_isize..300), 0..4),
            item in 1_usize..20,
            unit in prop_oneof![Just(1_usize), Just(16), Just(64)],
            origin in 0_usize..64,
            shift in 0_usize..50,
        ) {
            const FIRST: usize = 100_000;
            let footprint = Footprint::new(FIRST, item, axes.iter().copied());
            let mut bytes = BTreeSet::from([FIRST]);
            for &(len, stride) in &axes {
                bytes = bytes
                    .iter()
                    .flat_map(|&byte| (0..len).map(move |i| byte.checked_add_signed(i as isize * stride).unwrap()))
                    .collect();
            }
            let touched: BTreeSet<_> =
                bytes.iter().flat_map(|&byte| byte..byte + item).map(|byte| (byte + 64 * unit - origin) / unit).collect();
            let runs: Vec<_> = footprint.unit_ranges(unit, origin).collect();
            let in_runs: BTreeSet<_> = runs
                .iter()
                .flat_map(|run| run.clone().step_by(unit))
                .map(|byte| (byte + 64 * unit - origin) / unit)
                .collect();
            // Units in a gap too short for a whole unit may be counted; none may be missing.
            prop_assert!(touched.is_subset(&in_runs));
            let bound = footprint.byte_range();
            prop_assert_eq!(bound.start, *bytes.first().unwrap());
            prop_assert_eq!(bound.end, bytes.last().unwrap() + item);
            // Moved by a multiple of the step, it touches no more than was said.
            let step = 8 * unit.min(8);
            let most = footprint.max_bytes(unit, origin, step);
            let moved = Footprint::new(FIRST + shift * step, item, axes.iter().copied());
            let counted: BTreeSet<_> = moved.unit_ranges(unit, origin).flat_map(|run| run.step_by(unit)).collect();
            prop_assert!(counted.len() * unit <= most, "{} > {most}", counted.len() * unit);
        }
    }

    #[test]
    fn a_column_is_a_page_per_row() {
        let column = Footprint::new(1 << 20, 8, [(100, 65_536), (512, 8)]);
        assert_eq!(column.unit_ranges(4096, 0).count(), 100);
        assert_eq!(column.max_bytes(4096, 0, 4096), 100 * 4096);
        assert_eq!(column.max_bytes(4096, 0, 8), 200 * 4096);
        assert!(!column.is_dense());
        assert!(Footprint::new(0, 8, [(100, 4096), (512, 8)]).is_dense());
        assert_eq!(Footprint::new(64, 8, []).unit_ranges(4096, 0).next(), Some(0..4096));
    }
}
