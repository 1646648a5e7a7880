//! Reading of regions and slices: contiguous runs of bytes into the elements, runs with small gaps
//! through a buffer.
#![forbid(unsafe_code)]

use std::ops::Range;

use bytemuck::AnyBitPattern;

use super::byte_order::ByteOrder;
use super::bytes::ElementBytes;
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::{Runs, Selection};
use crate::order::Order;
use crate::storage::file;
use crate::storage::handle::FileHandle;
use crate::storage::os;
use crate::system;

/// The size of the buffer through which runs with gaps are read.
pub(crate) const BUFFER_BYTES: usize = 256 << 10;

/// The size up to which a gap between two runs is read with them: reading it takes less time than
/// another system call.
const MAX_GAP_BYTES: usize = 16 << 10;

/// The size from which a run is read directly into the elements, even if the gap is small: copying
/// it takes more time than another system call.
const DIRECT_BYTES: usize = 32 << 10;

/// The number of spans that are announced to the kernel before they are read.
const SPANS_AHEAD: usize = 16;

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
        self.resize(elements, selection.len())?;
        self.read(selection, ElementBytes::of(elements))
    }

    /// Changes the number of elements, whose values are unspecified. Elements that exist are not
    /// zeroed.
    pub(super) fn resize<A: AnyBitPattern>(&self, elements: &mut Vec<A>, len: usize) -> Result<()> {
        if len <= elements.capacity() {
            elements.resize(len, A::zeroed());
            return Ok(());
        }
        *elements = Vec::new();
        *elements = self.zeroed(len)?;
        Ok(())
    }

    /// Returns elements of which all bytes are zero.
    pub(super) fn zeroed<A: AnyBitPattern>(&self, len: usize) -> Result<Vec<A>> {
        let needed = len.saturating_mul(size_of::<A>());
        let available = system::ram_bytes_or_max();
        let allocated = if needed <= available { bytemuck::try_zeroed_vec(len) } else { Err(()) };
        allocated.map_err(|()| {
            let remedy = "read a smaller slice, or process the array in chunks";
            ErrorKind::InsufficientMemory { needed, available, remedy }.at(self.handle.path())
        })
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
                    let bytes = self.read_span(&(from..span.end.min(from + piece)), buffer)?;
                    self.byte_order.convert(bytes);
                    work(bytes);
                }
                continue;
            }
            let bytes = self.read_span(&span, buffer)?;
            numbers.resize(count * run_bytes, 0);
            let offsets = runs.by_ref().take(count).map(|run| run - span.start);
            ElementBytes::of(numbers).gather(0, run_bytes, offsets, bytes);
            self.byte_order.convert(numbers);
            work(numbers);
        }
        self.check_end(end)
    }

    /// Returns the runs in the file of a range of bytes of each selected element.
    fn runs_of_bytes(&self, selection: &Selection, bytes: &Range<usize>) -> Runs {
        let layout = self.handle.layout();
        let shape = [layout.shape(), &[self.item]].concat();
        let last = layout.shape().len();
        let axes = self.axes().chain([last]);
        Runs::new(&shape, &selection.clone().with_axis(bytes), axes)
    }

    /// Reads the selected elements in the order of the file.
    pub(super) fn read(&self, selection: &Selection, mut elements: ElementBytes<'_>) -> Result<()> {
        if elements.len() == 0 {
            return Ok(());
        }
        let runs = self.runs(selection);
        let run_bytes = runs.run_len() * self.item;
        let mut buffer = Vec::new();
        let mut done = 0;
        let mut end = 0;
        let spans = Spans { next: runs.clone(), item: self.item };
        let mut runs = runs.map(|run| run * self.item);
        // The kernel does not read ahead over gaps.
        let mut ahead = spans.clone().skip(1);
        let announce = |span: &Range<usize>| {
            os::will_need(self.handle.file(), self.position(span.start), span.len());
        };
        ahead.by_ref().take(SPANS_AHEAD).for_each(|(span, _)| announce(&span));
        for (span, count) in spans {
            if let Some((span, _)) = ahead.next() {
                announce(&span);
            }
            let target = done..done + count * run_bytes;
            (done, end) = (target.end, span.end);
            if count == 1 {
                runs.next();
                self.read_run(span, target, &mut elements)?;
                continue;
            }
            let bytes = self.read_span(&span, &mut buffer)?;
            // The gaps consist of whole elements.
            self.byte_order.convert(bytes);
            let offsets = runs.by_ref().take(count).map(|run| run - span.start);
            elements.gather(target.start, run_bytes, offsets, bytes);
        }
        self.check_end(end)
    }

    /// Reads one run of the file, which starts at byte `run.start` of the array, into the elements.
    fn read_run(
        &self,
        run: Range<usize>,
        target: Range<usize>,
        elements: &mut ElementBytes<'_>,
    ) -> Result<()> {
        // Bytes are converted while they are in the cache.
        let piece = match self.byte_order {
            ByteOrder::Native => run.len(),
            ByteOrder::Swapped { .. } => (BUFFER_BYTES / self.item).max(1) * self.item,
        };
        for from in run.clone().step_by(piece) {
            let len = piece.min(run.end - from);
            let to = target.start + (from - run.start);
            let at = self.position(from);
            let got = elements
                .read_at(to..to + len, self.handle.file(), at)
                .map_err(|error| self.read_error(at, error))?;
            self.check_read(at, got.len(), len)?;
            self.byte_order.convert(got);
        }
        Ok(())
    }

    /// Reads a span of bytes of the array into a buffer, which grows if necessary.
    fn read_span<'b>(&self, span: &Range<usize>, buffer: &'b mut Vec<u8>) -> Result<&'b mut [u8]> {
        buffer.resize(span.len().max(buffer.len()), 0);
        let bytes = &mut buffer[..span.len()];
        let at = self.position(span.start);
        let got = os::read_at(self.handle.file(), at, bytes)
            .map_err(|error| self.read_error(at, error))?;
        self.check_read(at, got, bytes.len())?;
        Ok(bytes)
    }

    /// Returns the position in the file of a byte of the array.
    pub(super) fn position(&self, byte: usize) -> u64 {
        self.handle.layout().offset() + byte as u64
    }

    fn read_error(&self, at: u64, error: std::io::Error) -> Error {
        Error::io("read", self.handle.path(), error).at_byte(at)
    }

    /// Returns an error if the file now ends before byte `end` of the array, which was read.
    fn check_end(&self, end: usize) -> Result<()> {
        // A truncation zeros the rest of the page in which the file then ends, after it has changed
        // the length. A call that is reading the page may return these zeros.
        let found = file::len(self.handle.file(), self.handle.path())?;
        if found < self.position(end) { Err(self.truncated(found)) } else { Ok(()) }
    }

    /// Returns an error if fewer bytes were read than the array has.
    fn check_read(&self, at: u64, got: usize, len: usize) -> Result<()> {
        if got == len {
            return Ok(());
        }
        Err(self.truncated(at + got as u64))
    }

    /// Returns the error for a file that ends at byte `found`.
    fn truncated(&self, found: u64) -> Error {
        let expected = self.handle.layout().end();
        Error::new(ErrorKind::FileTruncated { expected, found }, self.handle.path())
    }
}

/// The ranges of bytes of the array that are read at once, with the number of runs in each.
#[derive(Clone)]
struct Spans {
    next: Runs,
    /// The size of an element in bytes.
    item: usize,
}

impl Iterator for Spans {
    type Item = (Range<usize>, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let run_bytes = self.next.run_len() * self.item;
        let start = self.next.next()? * self.item;
        let mut end = start + run_bytes;
        let mut count = 1;
        while run_bytes < DIRECT_BYTES
            && let Some(next) = self.next.peek()
        {
            let next = next * self.item;
            if next - end > MAX_GAP_BYTES || next + run_bytes - start > BUFFER_BYTES {
                break;
            }
            end = next + run_bytes;
            count += 1;
            self.next.next();
        }
        Some((start..end, count))
    }
}
