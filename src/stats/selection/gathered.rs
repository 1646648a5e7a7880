//! Transposition of rows to contiguous lanes or panels. Rows may arrive in any order of tiles.
#![forbid(unsafe_code)]

use super::super::element::Element;

/// The number of rows that are copied at once, so that writes to a lane are contiguous.
const TOGETHER: usize = 16;

/// A buffer for some of the lanes of rows.
#[derive(Debug)]
pub(in super::super) struct Gathered<'b, A> {
    /// Consecutive panels of lanes, each of `len` rows.
    elements: &'b mut [A],
    len: usize,
    strip: usize,
    row: usize,
    first: usize,
}

impl<'b, A: Element> Gathered<'b, A> {
    /// Creates a buffer for as many lanes of `len` elements as fit, starting at lane `first`, in
    /// panels of `panel` interleaved lanes.
    pub(in super::super) fn new(
        elements: &'b mut [A],
        len: usize,
        strip: usize,
        first: usize,
    ) -> Self {
        Self { elements, len, strip, row: 0, first }
    }

    /// Copies the next rows, of `width` elements each.
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
                // The last panel may be wider than the remaining lanes.
                let lanes = first..width.min(first + self.strip);
                for (to, row) in strip.chunks_exact_mut(self.strip).zip(rows.chunks_exact(width)) {
                    to[..lanes.len()].copy_from_slice(&row[lanes.clone()]);
                }
            }
            self.row = next;
        }
    }
}
