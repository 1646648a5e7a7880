//! The contiguous runs of a selection in an array without gaps.
#![forbid(unsafe_code)]

use super::Selection;

/// Equally long, contiguous runs of elements in ascending order, as an iterator over their offsets
/// from the start of the array, in elements.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    /// The number of elements of each run.
    len: usize,
    /// The offset of the next run.
    next: Option<usize>,
    /// The fastest axis on which runs repeat.
    inner: Repetition,
    /// The number of runs left on this axis, the next one included.
    left: usize,
    /// Further axes on which runs repeat, the slowest first, and the position on each.
    outer: Vec<(Repetition, usize)>,
}

/// An axis on which runs repeat.
#[derive(Clone, Copy, Debug)]
struct Repetition {
    /// The number of repetitions.
    len: usize,
    /// The number of elements from one to the next.
    stride: usize,
}

impl Runs {
    /// Returns the runs of a selection from an array. `order` contains the axes of the array from
    /// the slowest to the fastest.
    pub(crate) fn new(
        shape: &[usize],
        selection: &Selection,
        order: impl DoubleEndedIterator<Item = usize>,
    ) -> Self {
        let mut first = 0;
        let mut axes = Vec::with_capacity(shape.len());
        let mut stride = 1;
        if selection.len() == 0 {
            return Self { next: None, ..Self::of_axes(0, []) };
        }
        for axis in order.rev() {
            let indices = selection.axes()[axis];
            axes.push((indices.len, stride * indices.step));
            first += stride * indices.start;
            stride *= shape[axis];
        }
        Self::of_axes(first, axes)
    }

    /// Returns the runs of an array that is not empty, from the offset of its first element and the
    /// length and stride of each axis, the fastest first. Offsets ascend if each axis steps over the
    /// whole extent of the faster ones.
    pub(crate) fn of_axes(first: usize, axes: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut run = 1;
        let mut repeated: Vec<Repetition> = Vec::new();
        for (len, stride) in axes {
            match repeated.last_mut() {
                _ if len == 1 => {}
                None if stride == run => run *= len,
                Some(faster) if stride == faster.len * faster.stride => faster.len *= len,
                _ => repeated.push(Repetition { len, stride }),
            }
        }
        let inner = repeated.first().copied().unwrap_or(Repetition { len: 1, stride: 0 });
        Self {
            len: run,
            next: Some(first),
            inner,
            left: inner.len,
            outer: repeated.iter().skip(1).rev().map(|&axis| (axis, 0)).collect(),
        }
    }

    /// Returns the number of elements of each run.
    pub(crate) fn run_len(&self) -> usize {
        self.len
    }

    /// Returns the offset of the next run.
    #[inline]
    pub(crate) fn peek(&self) -> Option<usize> {
        self.next
    }
}

impl Iterator for Runs {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let current = self.next?;
        if self.left > 1 {
            self.left -= 1;
            self.next = Some(current + self.inner.stride);
        } else {
            self.next = self.carry(current);
        }
        Some(current)
    }
}

impl Runs {
    /// Returns the offset of the run after the last one on the fastest axis.
    fn carry(&mut self, last: usize) -> Option<usize> {
        self.left = self.inner.len;
        let mut offset = last - (self.inner.len - 1) * self.inner.stride;
        for (axis, position) in self.outer.iter_mut().rev() {
            if *position + 1 < axis.len {
                *position += 1;
                return Some(offset + axis.stride);
            }
            offset -= *position * axis.stride;
            *position = 0;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn, ShapeBuilder, Slice, SliceInfoElem};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn runs_are_the_selected_elements_in_memory_order(
            axes in prop::collection::vec((0_usize..6, -6_isize..6, -6_isize..6, 1_isize..4), 0..6),
            f in any::<bool>(),
        ) {
            let shape: Vec<_> = axes.iter().map(|axis| axis.0).collect();
            let within = |bound: isize, len: usize| bound.clamp(-(len as isize), len as isize);
            let parts: Vec<_> = axes
                .iter()
                .map(|&(len, start, end, step)| {
                    let (start, end) = (within(start, len), Some(within(end, len)));
                    SliceInfoElem::Slice { start, end, step }
                })
                .collect();
            let len = shape.iter().product::<usize>();
            let memory = IxDyn(&shape).set_f(f);
            let offsets = ArrayD::from_shape_vec(memory, (0..len).collect()).unwrap();
            let part = offsets.slice_each_axis(|axis| match parts[axis.axis.index()] {
                SliceInfoElem::Slice { start, end, step } => Slice { start, end, step },
                _ => unreachable!("only ranges"),
            });
            let mut expected: Vec<_> = part.iter().copied().collect();
            expected.sort_unstable();

            let selection = Selection::of_slice(&shape, &parts);
            let order: Vec<_> =
                if f { (0..shape.len()).rev().collect() } else { (0..shape.len()).collect() };
            let mut runs = Runs::new(&shape, &selection, order.into_iter());
            let run_len = runs.run_len();
            let mut found = Vec::new();
            while let Some(next) = runs.peek() {
                prop_assert_eq!(runs.next(), Some(next));
                found.push(next);
            }
            prop_assert_eq!(runs.next(), None);
            // Runs that are all adjacent would be one.
            let is_adjacent = |pair: &[usize]| pair[0] + run_len == pair[1];
            prop_assert!(found.len() < 2 || !found.windows(2).all(is_adjacent));
            let elements = found.iter().flat_map(|&run| run..run + run_len);
            prop_assert_eq!(elements.collect::<Vec<_>>(), expected);
        }
    }
}
