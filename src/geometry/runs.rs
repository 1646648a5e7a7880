//! The contiguous runs of a selection in an array without gaps.
#![forbid(unsafe_code)]

use super::Selection;
use super::coordinates::Coordinates;

/// Equally long, contiguous runs of elements in ascending order, as an iterator over their offsets
/// from the start of the array, in elements.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    /// The number of elements of each run.
    len: usize,
    /// The number of runs, and of elements from one to the next, along the axes on which they
    /// repeat, the slowest first.
    lens: Coordinates,
    strides: Coordinates,
    /// The position of the next run.
    position: Coordinates,
    /// The offset of the next run.
    next: Option<usize>,
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
        let mut run = 1;
        let mut repeated: Vec<(usize, usize)> = Vec::new();
        let mut stride = 1;
        if selection.len() > 0 {
            for axis in order.rev() {
                let indices = selection.axes()[axis];
                let step = stride * indices.step;
                first += stride * indices.start;
                stride *= shape[axis];
                match repeated.last_mut() {
                    _ if indices.len == 1 => {}
                    None if step == run => run *= indices.len,
                    Some((len, faster)) if step == *len * *faster => *len *= indices.len,
                    _ => repeated.push((indices.len, step)),
                }
            }
        }
        let column = |of: fn(&(usize, usize)) -> usize| {
            Coordinates::from(&repeated.iter().rev().map(of).collect::<Vec<_>>()[..])
        };
        Self {
            len: run,
            lens: column(|axis| axis.0),
            strides: column(|axis| axis.1),
            position: Coordinates::zeros(repeated.len()),
            next: (selection.len() > 0).then_some(first),
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
        let mut offset = current;
        let axes = self.position.iter_mut().zip(&*self.lens).zip(&*self.strides);
        self.next = None;
        for ((position, &len), &stride) in axes.rev() {
            *position += 1;
            offset += stride;
            if *position < len {
                self.next = Some(offset);
                break;
            }
            *position = 0;
            offset -= len * stride;
        }
        Some(current)
    }
}
