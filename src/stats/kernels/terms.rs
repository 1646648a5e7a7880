//! The terms of sums: elements, or pairs of an element and its weight.
#![forbid(unsafe_code)]

use crate::stats::element::Element;

/// The number of interleaved sums.
pub(super) const UNROLL: usize = 32;

/// A sequence of terms with access by index.
pub(in crate::stats) trait Terms: Copy {
    /// An element or a pair.
    type Term: Copy;

    /// Returns the number of terms.
    fn len(self) -> usize;

    /// Returns the term at an index.
    fn get(self, index: usize) -> Self::Term;

    /// Calls a closure with the next term of each interleaved sum, and the index of the sum.
    fn for_each_of_group(self, start: usize, add: impl FnMut(usize, Self::Term));
}

impl<T: Copy> Terms for &[T] {
    type Term = T;

    #[inline(always)]
    fn len(self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn get(self, index: usize) -> T {
        self[index]
    }

    #[inline(always)]
    fn for_each_of_group(self, start: usize, mut add: impl FnMut(usize, T)) {
        let group = &self[start..start + UNROLL];
        (0..UNROLL).for_each(|lane| add(lane, group[lane]));
    }
}

/// Elements and their weights, in slices of equal length.
impl<A: Copy, W: Copy> Terms for (&[A], &[W]) {
    type Term = (A, W);

    #[inline(always)]
    fn len(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn get(self, index: usize) -> (A, W) {
        (self.0[index], self.1[index])
    }

    #[inline(always)]
    fn for_each_of_group(self, start: usize, mut add: impl FnMut(usize, (A, W))) {
        let elements = &self.0[start..start + UNROLL];
        let weights = &self.1[start..start + UNROLL];
        (0..UNROLL).for_each(|lane| add(lane, (elements[lane], weights[lane])));
    }
}

/// A sequence of pairs of an element and its weight.
pub(in crate::stats) trait Pairs:
    Terms<Term = (Self::Element, Self::Weight)>
{
    /// The type of the elements.
    type Element: Element;
    /// The type of the weights.
    type Weight: Element;
}

impl<A: Element, W: Element> Pairs for &[(A, W)] {
    type Element = A;
    type Weight = W;
}

impl<A: Element, W: Element> Pairs for (&[A], &[W]) {
    type Element = A;
    type Weight = W;
}
