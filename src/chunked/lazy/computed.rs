//! Elements that are computed from arrays in memory, piece by piece.
#![forbid(unsafe_code)]

use std::ops::Range;

/// The number of elements that are computed at once, so that they stay in the L1 cache until they
/// are used. Changing it changes the bits of sums.
pub(crate) const PIECE_LEN: usize = 1024;

/// The elements of a region, which are computed from slices in memory.
pub trait Computed<A> {
    /// Replaces the contents of a buffer with a range of the elements, counted in memory order.
    fn compute(&self, range: Range<usize>, elements: &mut Vec<A>);
}

impl<A> dyn Computed<A> + '_ {
    /// Calls a closure with a range of the elements, in pieces of [`PIECE_LEN`], of which only the
    /// last may be shorter.
    pub(in crate::chunked) fn for_each_piece(
        &self,
        range: Range<usize>,
        work: &mut dyn FnMut(&[A]),
    ) {
        let mut elements = Vec::with_capacity(range.len().min(PIECE_LEN));
        for start in range.clone().step_by(PIECE_LEN) {
            self.compute(start..range.end.min(start + PIECE_LEN), &mut elements);
            work(&elements);
        }
    }
}

/// The elements of a region of an array from which others are computed, in memory order.
pub enum Operand<'l, A> {
    Slice(&'l [A]),
    Computed(Box<dyn Computed<A> + 'l>),
}

impl<A> Operand<'_, A> {
    /// Returns a range of the elements. A buffer is used if they are computed.
    pub(super) fn get<'b>(&'b self, range: Range<usize>, buffer: &'b mut Vec<A>) -> &'b [A] {
        match self {
            Self::Slice(elements) => &elements[range],
            Self::Computed(computed) => {
                computed.compute(range, buffer);
                buffer
            }
        }
    }
}
