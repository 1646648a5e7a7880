//! All elements of some lanes, put side by side as the rows come, in any order.
#![forbid(unsafe_code)]

use super::super::element::Element;

/// Rows that are taken side by side, so that what is written of a lane lies together.
const TOGETHER: usize = 16;

/// A part of the lanes of rows.
#[derive(Debug)]
pub(in super::super) struct Gathered<'b, A> {
    /// The lanes one after the other, each of as many elements as there will be rows.
    elements: &'b mut [A],
    len: usize,
    row: usize,
    first: usize,
}

impl<'b, A: Element> Gathered<'b, A> {
    /// For the lanes of `len` elements from `first` on that there is room for.
    pub(in super::super) fn new(elements: &'b mut [A], len: usize, first: usize) -> Self {
        Self { elements, len, row: 0, first }
    }

    /// Takes the next rows: `width` elements each.
    pub(in super::super) fn push_rows(&mut self, rows: &[A], width: usize) {
        for rows in rows.chunks(width * TOGETHER) {
            let next = self.row + rows.len() / width;
            for (number, lane) in self.elements.chunks_exact_mut(self.len).enumerate() {
                let column = rows[self.first + number..].iter().step_by(width);
                lane[self.row..next].iter_mut().zip(column).for_each(|(to, from)| *to = *from);
            }
            self.row = next;
        }
    }
}
