//! Reading of selections of elements, and of numbers in them.
#![forbid(unsafe_code)]

use std::ops::Range;

use bytemuck::AnyBitPattern;

use super::byte_order::ByteOrder;
use super::bytes::ElementBytes;
use super::element_reader::{BUFFER_BYTES, ElementReader, Spans};
use crate::error::Result;
use crate::geometry::{Runs, Selection};
use crate::order::Order;
use crate::storage::handle::FileHandle;

/// An array in an open file, without its types.
#[derive(Debug)]
pub(super) struct StoredArray {
    pub(super) handle: FileHandle,
    /// The size of an element in bytes.
    pub(super) item: usize,
    pub(super) byte_order: ByteOrder,
    /// True if a header states the byte order.
    pub(super) has_header: bool,
}

impl StoredArray {
    /// Sets the byte order, unless a header states it.
    pub(super) fn declare(&mut self, byte_order: ByteOrder) {
        if !self.has_header {
            self.byte_order = byte_order;
        }
    }

    /// Returns the reader of the elements.
    pub(super) fn reader(&self) -> ElementReader<'_> {
        let layout = self.handle.layout();
        ElementReader {
            file: self.handle.file(),
            path: self.handle.path(),
            offset: layout.offset(),
            end: layout.end(),
            item: self.item,
            byte_order: self.byte_order,
        }
    }

    /// Returns the runs of a selection in the file.
    pub(super) fn runs(&self, selection: &Selection) -> Runs {
        Runs::new(self.handle.layout().shape(), selection, self.axes())
    }

    /// Returns the axes from the slowest to the fastest.
    fn axes(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let layout = self.handle.layout();
        let (ndim, order) = (layout.shape().len(), layout.order());
        (0..ndim).map(move |position| match order {
            Order::C => position,
            Order::F => ndim - 1 - position,
        })
    }

    /// Replaces the contents of `elements` by the selected elements, in the order of the file. After
    /// an error, the elements are unspecified.
    pub(super) fn read_elements<A: AnyBitPattern>(
        &self,
        selection: &Selection,
        elements: &mut Vec<A>,
    ) -> Result<()> {
        self.reader().read_elements(self.runs(selection), selection.len(), elements)
    }

    /// Calls a closure with bytes of the selected elements, in the order of the file: the bytes of
    /// whole numbers in native byte order, at most [`BUFFER_BYTES`] at once. `number` are the bytes
    /// of the number in each element.
    pub(super) fn read_numbers(
        &self,
        selection: &Selection,
        number: &Range<usize>,
        mut work: impl FnMut(&[u8]),
    ) -> Result<()> {
        let reader = self.reader();
        let (buffer, numbers) = (&mut Vec::new(), &mut Vec::new());
        let mut runs = self.runs_of_bytes(selection, number);
        let run_bytes = runs.run_len();
        let piece = BUFFER_BYTES / number.len() * number.len();
        let mut end = 0;
        for (span, count) in (Spans { next: runs.clone(), item: 1 }) {
            end = span.end;
            if count == 1 {
                runs.next();
                for from in span.clone().step_by(piece) {
                    let bytes = reader.read_span(&(from..span.end.min(from + piece)), buffer)?;
                    self.byte_order.convert(bytes);
                    work(bytes);
                }
                continue;
            }
            let bytes = reader.read_span(&span, buffer)?;
            numbers.resize(count * run_bytes, 0);
            let offsets = runs.by_ref().take(count).map(|run| run - span.start);
            ElementBytes::of(numbers).gather(0, run_bytes, offsets, bytes);
            self.byte_order.convert(numbers);
            work(numbers);
        }
        reader.check_end(end)
    }

    /// Returns the runs in the file of a range of bytes of each selected element.
    fn runs_of_bytes(&self, selection: &Selection, bytes: &Range<usize>) -> Runs {
        let layout = self.handle.layout();
        let shape = [layout.shape(), &[self.item]].concat();
        let last = layout.shape().len();
        let axes = self.axes().chain([last]);
        Runs::new(&shape, &selection.clone().with_axis(bytes), axes)
    }
}
