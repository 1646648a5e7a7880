//! All elements of some lanes, put side by side as the rows come, in any order.
#![forbid(unsafe_code)]

use super::super::element::Element;

/// Rows that are taken side by side, so that what is written of a lane lies together.
const TOGETHER: usize = 16;

/// A part of the lanes of rows.
#[derive(Debug)]
pub(in super::super) struct Gathered<'b, A> {
    /// Strips of lanes one after the other, each of as many rows as there will be.
    elements: &'b mut [A],
    len: usize,
    strip: usize,
    row: usize,
    first: usize,
}

impl<'b, A: Element> Gathered<'b, A> {
    /// For the lanes of `len` elements from `first` on that there is room for, in strips of `strip` lanes side by side.
    pub(in super::super) fn new(
        elements: &'b mut [A],
        len: usize,
        strip: usize,
        first: usize,
    ) -> Self {
        Self { elements, len, strip, row: 0, first }
    }

    /// Takes the next rows: `width` elements each.
    pub(in super::super) fn push_rows(&mut self, rows: &[A], width: usize) {
        for rows in rows.chunks(width * TOGETHER) {
            let next = self.row + rows.len() / width;
            for (number, strip) in self.elements.chunks_exact_mut(self.len * self.strip).enumerate()
            {
                let first = self.first + number * self.strip;
                let strip = &mut strip[self.row * self.strip..next * self.strip];
                if self.strip == 1 {
                    let column = rows[first..].iter().step_by(width);
                    strip.iter_mut().zip(column).for_each(|(to, from)| *to = *from);
                    continue;
                }
                // The last strip may be wider than what is left.
                let lanes = first..width.min(first + self.strip);
                for (to, row) in strip.chunks_exact_mut(self.strip).zip(rows.chunks_exact(width)) {
                    to[..lanes.len()].copy_from_slice(&row[lanes.clone()]);
                }
            }
            self.row = next;
        }
    }
}
