//! Lazy arrays whose elements are those of one file, and their contiguous rows.
#![forbid(unsafe_code)]

use ndarray::Dimension;

use super::LazyArray;
use crate::geometry::Region;
use crate::storage::ElementReader;

/// The elements of an array in a file.
pub(crate) struct StoredElements<'r> {
    pub(crate) reader: ElementReader<'r>,
    /// The stride of each axis, in elements.
    pub(crate) strides: Vec<usize>,
}

/// Contiguous rows of a file.
pub(super) struct StoredRows<'r> {
    pub(super) reader: ElementReader<'r>,
    /// The offset of the row inside the region, in elements.
    pub(super) first: usize,
    /// The number of elements from one row to the next.
    pub(super) step: usize,
}

impl<A: Copy, D: Dimension> LazyArray<'_, A, D> {
    /// Returns whether the elements are those of one file.
    pub(super) fn is_stored(&self) -> bool {
        self.reader.stored().is_some()
    }

    /// Returns the reader of the row inside a region, with one index of `axis`, and of the other rows;
    /// `None` if rows are not contiguous, or not read from one file. `order` contains the axes from
    /// the slowest to the fastest.
    pub(super) fn stored_rows(
        &self,
        region: &Region,
        axis: usize,
        order: &[usize],
    ) -> Option<StoredRows<'_>> {
        let StoredElements { reader, strides } = self.reader.stored()?;
        let slowest = self.axes[axis].of_reader()?;
        let bounds = self.bounds_of(region);
        // Axes of length 1 have no order.
        let long = order.iter().filter(|&&other| other == axis || region.range(other).len() > 1);
        let of_reader = self.order.iter().copied();
        let of_reader = of_reader.filter(|&axis| axis == slowest || bounds.range(axis).len() > 1);
        if !self.are_reader_axes(long.copied(), of_reader) {
            return None;
        }
        let mut contiguous = 1;
        for &axis in self.order.iter().rev().filter(|&&axis| axis != slowest) {
            let len = bounds.range(axis).len();
            if len > 1 && strides[axis] != contiguous {
                return None;
            }
            contiguous *= len;
        }
        let starts = bounds.start.iter().zip(&strides).map(|(start, stride)| start * stride);
        Some(StoredRows { reader, first: starts.sum(), step: strides[slowest] })
    }
}
