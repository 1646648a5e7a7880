//! Reading of runs of elements: contiguous bytes into the elements, runs with small gaps through a
//! buffer.
#![forbid(unsafe_code)]

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use bytemuck::AnyBitPattern;

use super::byte_order::ByteOrder;
use super::bytes::ElementBytes;
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::Runs;
use crate::storage::file;
use crate::storage::os;
use crate::system;

/// The size of the buffer through which runs with gaps are read.
pub(crate) const BUFFER_BYTES: usize = 256 << 10;

/// The size up to which a gap between two runs is read with them: reading it takes less time than
/// another system call.
const MAX_GAP_BYTES: usize = 16 << 10;

/// The size up to which a gap between two rows is read with them. Rows in any order are usually far
/// apart, and reading a gap of this size takes as long as a system call.
pub(crate) const MAX_ROW_GAP_BYTES: usize = 4 << 10;

/// The size from which a run is read directly into the elements, even if the gap is small: copying
/// it takes more time than another system call.
const DIRECT_BYTES: usize = 32 << 10;

/// The number of spans that are announced to the kernel before they are read.
const SPANS_AHEAD: usize = 16;

/// The offset of the first element of a row in a file, and in the elements that are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowPlace {
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// Changes the number of elements, whose values are unspecified. Elements that exist are not zeroed.
pub(crate) fn resize<A: AnyBitPattern>(
    elements: &mut Vec<A>,
    len: usize,
    path: Option<&Path>,
) -> Result<()> {
    if len <= elements.capacity() {
        elements.resize(len, A::zeroed());
        return Ok(());
    }
    *elements = Vec::new();
    *elements = zeroed(len, path)?;
    Ok(())
}

/// Returns elements of which all bytes are zero.
pub(super) fn zeroed<A: AnyBitPattern>(len: usize, path: Option<&Path>) -> Result<Vec<A>> {
    let needed = len.saturating_mul(size_of::<A>());
    let available = system::ram_bytes_or_max();
    let allocated = if needed <= available { bytemuck::try_zeroed_vec(len) } else { Err(()) };
    allocated.map_err(|()| {
        let remedy = "read a smaller slice, or process the array in chunks";
        ErrorKind::InsufficientMemory { needed, available, remedy }.at(path)
    })
}

/// Reads elements of an array in a file by positional reads.
#[derive(Debug)]
pub(crate) struct ElementReader<'f> {
    pub(super) file: &'f File,
    pub(super) path: Option<&'f Path>,
    /// The offset of the array in the file, in bytes.
    pub(super) offset: u64,
    /// The length that the file must have, in bytes.
    pub(super) end: u64,
    /// The size of an element in bytes.
    pub(super) item: usize,
    pub(super) byte_order: ByteOrder,
}

impl<'f> ElementReader<'f> {
    /// Reads elements of a mapped file, whose numbers are in native byte order.
    pub(crate) fn of_mapped_file(
        file: &'f File,
        path: Option<&'f Path>,
        (offset, end): (u64, u64),
        item: usize,
    ) -> Self {
        Self { file, path, offset, end, item, byte_order: ByteOrder::Native }
    }

    /// Replaces the contents of `elements` by the elements of runs, of which there are `len`. After
    /// an error, the elements are unspecified.
    pub(crate) fn read_elements<A: AnyBitPattern>(
        &self,
        runs: Runs,
        len: usize,
        elements: &mut Vec<A>,
    ) -> Result<()> {
        resize(elements, len, self.path)?;
        self.read_runs(runs, ElementBytes::of(elements))
    }

    /// Reads rows of `len` elements, which start at ascending offsets in the file, to other offsets
    /// in `elements`. All offsets are in elements.
    pub(crate) fn read_rows<A: AnyBitPattern>(
        &self,
        rows: impl Iterator<Item = RowPlace> + Clone,
        len: usize,
        elements: &mut [A],
    ) -> Result<()> {
        let row_bytes = len * self.item;
        if row_bytes == 0 {
            return Ok(());
        }
        let mut elements = ElementBytes::of(elements);
        let mut buffer = Vec::new();
        let mut rows =
            rows.map(|row| RowPlace { from: row.from * self.item, to: row.to * self.item });
        let mut end = 0;
        while let Some(first) = rows.next() {
            end = first.from + row_bytes;
            let near = rows.clone().take_while(|next| {
                let is_near = row_bytes < DIRECT_BYTES
                    && next.from.saturating_sub(end) <= MAX_ROW_GAP_BYTES
                    && next.from + row_bytes - first.from <= BUFFER_BYTES;
                if is_near {
                    end = next.from + row_bytes;
                }
                is_near
            });
            let near = near.count();
            if near == 0 {
                self.read_run(first.from..end, first.to..first.to + row_bytes, &mut elements)?;
                continue;
            }
            let bytes = self.read_span(&(first.from..end), &mut buffer)?;
            self.byte_order.convert(bytes);
            for row in std::iter::once(first).chain(rows.by_ref().take(near)) {
                let offset = std::iter::once(row.from - first.from);
                elements.gather(row.to, row_bytes, offset, bytes);
            }
        }
        self.check_end(end)
    }

    /// Reads runs, which ascend, one after another into elements.
    pub(super) fn read_runs(&self, runs: Runs, mut elements: ElementBytes<'_>) -> Result<()> {
        if elements.len() == 0 {
            return Ok(());
        }
        let run_bytes = runs.run_len() * self.item;
        let mut buffer = Vec::new();
        let mut done = 0;
        let mut end = 0;
        let spans = Spans { next: runs.clone(), item: self.item };
        let mut runs = runs.map(|run| run * self.item);
        // The kernel does not read ahead over gaps.
        let mut ahead = spans.clone().skip(1);
        let announce = |span: &Range<usize>| {
            os::will_need(self.file, self.position(span.start), span.len());
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
                .read_at(to..to + len, self.file, at)
                .map_err(|error| self.read_error(at, error))?;
            self.check_read(at, got.len(), len)?;
            self.byte_order.convert(got);
        }
        Ok(())
    }

    /// Reads a span of bytes of the array into a buffer, which grows if necessary.
    pub(super) fn read_span<'b>(
        &self,
        span: &Range<usize>,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b mut [u8]> {
        buffer.resize(span.len().max(buffer.len()), 0);
        let bytes = &mut buffer[..span.len()];
        let at = self.position(span.start);
        let got = os::read_at(self.file, at, bytes).map_err(|error| self.read_error(at, error))?;
        self.check_read(at, got, bytes.len())?;
        Ok(bytes)
    }

    /// Returns the position in the file of a byte of the array.
    pub(super) fn position(&self, byte: usize) -> u64 {
        self.offset + byte as u64
    }

    fn read_error(&self, at: u64, error: std::io::Error) -> Error {
        Error::io("read", self.path, error).at_byte(at)
    }

    /// Returns an error if the file now ends before byte `end` of the array, which was read.
    pub(super) fn check_end(&self, end: usize) -> Result<()> {
        // A truncation zeros the rest of the page in which the file then ends, after it has changed
        // the length. A call that is reading the page may return these zeros.
        let found = file::len(self.file, self.path)?;
        if found < self.position(end) { Err(self.truncated(found)) } else { Ok(()) }
    }

    /// Returns an error if fewer bytes were read than the array has.
    fn check_read(&self, at: u64, got: usize, len: usize) -> Result<()> {
        if got == len {
            return Ok(());
        }
        // The file may end before the first byte that was to be read.
        Err(self.truncated(file::len(self.file, self.path)?.min(at + got as u64)))
    }

    /// Returns the error for a file that ends at byte `found`.
    fn truncated(&self, found: u64) -> Error {
        let expected = self.end;
        Error::new(ErrorKind::FileTruncated { expected, found }, self.path)
    }
}

/// The ranges of bytes of the array that are read at once, with the number of runs in each.
#[derive(Clone)]
pub(super) struct Spans {
    pub(super) next: Runs,
    /// The size of an element in bytes.
    pub(super) item: usize,
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
