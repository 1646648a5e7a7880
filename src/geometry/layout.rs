//! Strided layouts: the bytes that an array spans, and upper bounds on the units that it touches.
#![forbid(unsafe_code)]

use std::ops::Range;

use ndarray::{ArrayRef, Dimension};

use crate::geometry::Region;

/// The memory layout of a whole array.
#[derive(Clone, Debug)]
pub struct StridedLayout {
    /// The address of the element at index 0 of every axis.
    pub(crate) base: usize,
    /// The size of an element in bytes.
    pub(crate) item: usize,
    /// The signed stride of each axis, in bytes.
    pub(crate) byte_strides: Vec<isize>,
    /// Whether the operation writes to the elements.
    pub(crate) writes: bool,
    /// The number of bytes of buffers for each element that is read, or 0 if elements are accessed in
    /// memory.
    pub(crate) buffered: usize,
    /// The number of bytes of other buffers that a thread uses while it reads or writes elements.
    pub(crate) scratch: usize,
}

/// The address of the first element of an array that is not in memory. It leaves room for negative
/// strides.
const NO_ADDRESS: usize = 1 << (usize::BITS - 2);

impl StridedLayout {
    pub(crate) fn of<A, D: Dimension>(array: &ArrayRef<A, D>, writes: bool) -> Self {
        let item = size_of::<A>();
        // The stride of an axis of length 1 is arbitrary.
        let axes = array.shape().iter().zip(array.strides());
        let byte_strides =
            axes.map(|(&len, &stride)| if len > 1 { stride * item as isize } else { 0 }).collect();
        Self { base: array.as_ptr() as usize, item, byte_strides, writes, buffered: 0, scratch: 0 }
    }

    /// Returns the layout that an array would have in memory if its axes had this order, from the
    /// slowest to the fastest.
    pub(crate) fn of_order(shape: &[usize], order: &[usize], item: usize, buffered: usize) -> Self {
        let mut byte_strides = vec![0; shape.len()];
        let mut bytes = item as isize;
        for &axis in order.iter().rev() {
            if shape[axis] > 1 {
                byte_strides[axis] = bytes;
                bytes = bytes.saturating_mul(shape[axis] as isize);
            }
        }
        Self { base: NO_ADDRESS, item, byte_strides, writes: false, buffered, scratch: 0 }
    }

    /// Restricts an axis to the indices from `start`, of which there are `len`.
    pub(crate) fn slice_axis(&mut self, axis: usize, start: usize, len: usize) {
        let shift = self.byte_strides[axis].wrapping_mul(start as isize);
        self.base = self.base.wrapping_add_signed(shift);
        if len < 2 {
            self.byte_strides[axis] = 0;
        }
    }

    /// Reverses an axis of a length.
    pub(crate) fn invert_axis(&mut self, axis: usize, len: usize) {
        let last = self.byte_strides[axis].wrapping_mul(len.saturating_sub(1) as isize);
        self.base = self.base.wrapping_add_signed(last);
        self.byte_strides[axis] = -self.byte_strides[axis];
    }

    /// Permutes the axes.
    pub(crate) fn permute_axes(&mut self, axes: &[usize]) {
        self.byte_strides = axes.iter().map(|&axis| self.byte_strides[axis]).collect();
    }

    /// Returns the footprint of a non-empty region.
    pub(crate) fn footprint(&self, bounds: &Region) -> Footprint {
        let shift: isize = bounds
            .start
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

/// The memory layout of a non-empty array, without order and direction of its axes.
#[derive(Clone, Debug)]
pub(crate) struct Footprint {
    /// The lowest address.
    start: usize,
    /// The size of an element in bytes.
    item: usize,
    /// The length and absolute byte stride of each axis, by ascending stride.
    axes: Vec<(usize, usize)>,
}

impl Footprint {
    /// Creates a footprint from the address of the first element and the length and signed byte
    /// stride of each axis.
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

    /// Returns the range from the first byte to the last.
    pub(crate) fn byte_range(&self) -> Range<usize> {
        let extent: usize = self.axes.iter().map(|&(len, stride)| (len - 1) * stride).sum();
        self.start..self.start + extent + self.item
    }

    /// Returns the length of the contiguous extents, between which there are no whole units, and
    /// the axes along which they repeat. Axes that do not [nest](Self::is_nested) are merged into
    /// one extent.
    fn contiguous_extent(&self, unit: usize) -> (usize, &[(usize, usize)]) {
        let mut contiguous = self.item;
        let mut outer = 0;
        let mut extent = self.item;
        for (index, &(len, stride)) in self.axes.iter().enumerate() {
            // An extent with gaps stays one, even if it is adjacent to the next one.
            let gap = if outer == index { unit } else { 0 };
            let is_joined = stride < extent + gap;
            extent += (len - 1) * stride;
            if is_joined {
                (contiguous, outer) = (extent, index + 1);
            }
        }
        (contiguous, &self.axes[outer..])
    }

    /// Returns whether each axis steps over the whole extent of the axes with smaller strides.
    /// Views with custom strides need not. If an array is nested, all of its regions are.
    pub(crate) fn is_nested(&self) -> bool {
        let mut extent = self.item;
        self.axes.iter().all(|&(len, stride)| {
            let nests = stride >= extent;
            extent += (len - 1) * stride;
            nests
        })
    }

    /// Returns the units touched, as ascending ranges of whole units. Units start at multiples of
    /// `unit` from `origin`.
    pub(crate) fn unit_ranges(
        &self,
        unit: usize,
        origin: usize,
    ) -> impl Iterator<Item = Range<usize>> {
        let (extent, outer) = self.contiguous_extent(unit);
        let start = self.start;
        let count = outer.iter().map(|&(len, _)| len).product();
        let mut ranges = (0..count)
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
            let mut range = ranges.next()?;
            while let Some(next) =
                ranges.next_if(|next| next.start <= range.end && next.start >= range.start)
            {
                range.end = range.end.max(next.end);
            }
            Some(range)
        })
    }

    /// Returns the maximum number of bytes of all units touched by an array of this shape, if its
    /// address differs from this one's by a multiple of `step`.
    pub(crate) fn max_bytes(&self, unit: usize, origin: usize, step: usize) -> usize {
        let (extent, outer) = self.contiguous_extent(unit);
        let step = outer.iter().fold(step, |step, &(_, stride)| gcd(step, stride));
        let ranges = outer.iter().map(|&(len, _)| len).fold(1, usize::saturating_mul);
        let bound = self.byte_range();
        ranges
            .saturating_mul(max_units(self.start, extent, unit, origin, step))
            .min(max_units(self.start, bound.len(), unit, origin, 1))
            .saturating_mul(unit)
    }

    /// Returns whether the elements are contiguous. If so, any range of them in memory order is
    /// contiguous as well.
    pub(crate) fn is_dense(&self) -> bool {
        self.axes
            .iter()
            .try_fold(self.item, |contiguous, &(len, stride)| {
                (contiguous == stride).then_some(contiguous * len)
            })
            .is_some()
    }
}

/// Returns the maximum number of units that `len` bytes touch, if they start at `address` or a
/// multiple of `step` away from it.
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

/// Extends a range to whole units. Units start at multiples of `unit` from `origin`, which wraps
/// around.
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
        fn unit_ranges_cover_the_units_touched(
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
            let ranges: Vec<_> = footprint.unit_ranges(unit, origin).collect();
            let in_ranges: BTreeSet<_> = ranges
                .iter()
                .flat_map(|range| range.clone().step_by(unit))
                .map(|byte| (byte + 64 * unit - origin) / unit)
                .collect();
            // Units between extents that do not nest may be counted, but none may be missing.
            prop_assert!(touched.is_subset(&in_ranges));
            if footprint.is_nested() {
                prop_assert_eq!(&touched, &in_ranges);
            }
            let bound = footprint.byte_range();
            prop_assert_eq!(bound.start, *bytes.first().unwrap());
            prop_assert_eq!(bound.end, bytes.last().unwrap() + item);
            // An array moved by a multiple of the step stays within the bound.
            let step = 8 * unit.min(8);
            let most = footprint.max_bytes(unit, origin, step);
            let moved = Footprint::new(FIRST + shift * step, item, axes.iter().copied());
            let counted: BTreeSet<_> = moved.unit_ranges(unit, origin).flat_map(|range| range.step_by(unit)).collect();
            prop_assert!(counted.len() * unit <= most, "{} > {most}", counted.len() * unit);
        }
    }

    /// Every third row of 19: the last row of a table is adjacent to the first row of the next.
    #[test]
    fn gaps_between_rows_remain_gaps_if_tables_are_adjacent() {
        let row = 4 * 4096;
        let rows = Footprint::new(1 << 20, 8, [(5, 19 * row), (7, 3 * row), (row as usize / 8, 8)]);
        assert!(rows.is_nested());
        assert_eq!(
            rows.unit_ranges(4096, 0).map(|range| range.len()).sum::<usize>(),
            35 * 4 * 4096
        );
        assert_eq!(rows.max_bytes(4096, 0, 4096), 35 * 4 * 4096);
    }

    #[test]
    fn column_touches_one_page_per_row() {
        let column = Footprint::new(1 << 20, 8, [(100, 65_536), (512, 8)]);
        assert_eq!(column.unit_ranges(4096, 0).count(), 100);
        assert_eq!(column.max_bytes(4096, 0, 4096), 100 * 4096);
        assert_eq!(column.max_bytes(4096, 0, 8), 200 * 4096);
        assert!(!column.is_dense());
        assert!(Footprint::new(0, 8, [(100, 4096), (512, 8)]).is_dense());
        assert_eq!(Footprint::new(64, 8, []).unit_ranges(4096, 0).next(), Some(0..4096));
    }
}
