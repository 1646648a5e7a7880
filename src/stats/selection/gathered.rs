//! Transposition of rows to contiguous lanes or panels. Rows may arrive in any order of tiles.
#![forbid(unsafe_code)]

use crate::stats::element::Element;

/// The number of rows that are copied at once, so that writes to a lane are contiguous.
const ROWS_PER_STEP: usize = 16;

/// A buffer for some of the lanes of rows.
#[derive(Debug)]
pub(in crate::stats) struct GatheredLanes<'b, A> {
    /// Consecutive panels of lanes, each of `len` rows.
    elements: &'b mut [A],
    len: usize,
    panel_width: usize,
    row: usize,
    first: usize,
}

impl<'b, A: Element> GatheredLanes<'b, A> {
    /// Creates a buffer for as many lanes of `len` elements as fit, starting at lane `first`, in
    /// panels of `panel_width` interleaved lanes.
    pub(in crate::stats) fn new(
        elements: &'b mut [A],
        len: usize,
        panel_width: usize,
        first: usize,
    ) -> Self {
        Self { elements, len, panel_width, row: 0, first }
    }

    /// Copies the next rows, of `width` elements each.
    pub(in crate::stats) fn push_rows(&mut self, rows: &[A], width: usize) {
        for rows in rows.chunks(width * ROWS_PER_STEP) {
            let next = self.row + rows.len() / width;
            for (index, panel) in
                self.elements.chunks_exact_mut(self.len * self.panel_width).enumerate()
            {
                let first = self.first + index * self.panel_width;
                let panel = &mut panel[self.row * self.panel_width..next * self.panel_width];
                if self.panel_width == 1 {
                    let column = rows[first..].iter().step_by(width);
                    panel.iter_mut().zip(column).for_each(|(to, from)| *to = *from);
                    continue;
                }
                // The last panel may be wider than the remaining lanes.
                let lanes = first..width.min(first + self.panel_width);
                for (to, row) in
                    panel.chunks_exact_mut(self.panel_width).zip(rows.chunks_exact(width))
                {
                    to[..lanes.len()].copy_from_slice(&row[lanes.clone()]);
                }
            }
            self.row = next;
        }
    }
}
