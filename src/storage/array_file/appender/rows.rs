//! The end of a file to which rows are written: the buffer, the disk space, and the order in which
//! rows and header become durable. Independent of the types of the array.
#![forbid(unsafe_code)]

use std::io;

use crate::error::{Error, ErrorKind, Result};
use crate::order::Order;
use crate::storage::array_file::byte_order::ByteOrder;
use crate::storage::array_file::element_reader::BUFFER_BYTES;
use crate::storage::handle::FileHandle;
use crate::storage::layout::{Element, FileLayout};
use crate::storage::npy::AxisField;
use crate::storage::os;
use crate::storage::space::{check_file_size, take_space};

/// A file of rows in C order that grows.
///
/// ```text
/// | header | rows that it states | rows written later | bytes of a write that failed |
///                                ^ layout.end() ─────►^   only if `has_tail`
/// ```
///
/// A header is rewritten only after the rows that it then states are on disk.
#[derive(Debug)]
pub(super) struct RowFile {
    /// The file. Its layout contains the rows that have been written, whether the header states them
    /// or not.
    handle: FileHandle,
    element: Element,
    byte_order: ByteOrder,
    /// The number of rows in the header; `None` in a raw file, whose length states it.
    field: Option<AxisField>,
    /// The largest number of rows that the header can state.
    max_rows: usize,
    /// The bytes of rows that have not been written.
    buffer: Vec<u8>,
    /// The number of rows that have not been written. Rows may have no bytes.
    buffered: usize,
    /// True if the file may continue after the layout.
    has_tail: bool,
    /// The process that writes the buffer if the value is dropped; `None` after `close`.
    owner: Option<u32>,
}

impl RowFile {
    pub(super) fn new(
        handle: FileHandle,
        element: Element,
        byte_order: ByteOrder,
        field: Option<AxisField>,
        has_tail: bool,
    ) -> Self {
        let (buffer, owner) = (Vec::new(), Some(std::process::id()));
        let max_rows = field.as_ref().map_or(usize::MAX, AxisField::max_len);
        let buffered = 0;
        Self { handle, element, byte_order, field, max_rows, buffer, buffered, has_tail, owner }
    }

    pub(super) fn handle(&self) -> &FileHandle {
        &self.handle
    }

    pub(super) fn byte_order(&self) -> ByteOrder {
        self.byte_order
    }

    /// Sets the byte order, unless a header states it.
    pub(super) fn declare(&mut self, byte_order: ByteOrder) {
        if self.field.is_none() {
            self.byte_order = byte_order;
        }
    }

    /// Returns an error if the header has no room for this number of rows, or if they exceed the
    /// address space.
    pub(super) fn check_room(&self, rows: usize) -> Result<()> {
        self.longer_layout(rows.saturating_sub(self.handle.layout().shape()[0]))?;
        let max = self.max_rows;
        if rows > max {
            return Err(ErrorKind::HeaderFull { rows, max }.at(self.handle.path()));
        }
        Ok(())
    }

    /// Makes room in the buffer for `bytes` more bytes by writing its rows, if necessary. Returns
    /// whether there is enough.
    pub(super) fn make_room(&mut self, bytes: usize) -> Result<bool> {
        if bytes > BUFFER_BYTES - self.buffer.len() {
            self.write_buffer()?;
        }
        Ok(bytes <= BUFFER_BYTES - self.buffer.len())
    }

    /// Adds rows to the buffer, whose bytes a closure appends to it in native byte order.
    pub(super) fn buffer(&mut self, rows: usize, fill: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        fill(&mut self.buffer);
        self.byte_order.convert(&mut self.buffer[start..]);
        self.buffered += rows;
    }

    /// Writes the rows in the buffer to the file. They remain in the buffer if that fails.
    fn write_buffer(&mut self) -> Result<()> {
        if self.buffered == 0 {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let result = self.extend(self.buffered, |write| write(&buffer));
        self.buffer = buffer;
        result?;
        self.buffer.clear();
        self.buffered = 0;
        Ok(())
    }

    /// Writes rows after those in the file, all of them or none. A closure passes their bytes to
    /// the function that it is called with.
    pub(super) fn extend(
        &mut self,
        rows: usize,
        write: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let layout = self.longer_layout(rows)?;
        let (mut at, end) = (self.handle.layout().end(), layout.end());
        check_file_size(end, self.handle.path())?;
        // Writing past the end of a truncated file would extend it with zeros.
        self.handle.check_length()?;
        self.check_end()?;
        self.remove_tail()?;
        // A shorter write needs less time than the request for its space.
        if end - at > BUFFER_BYTES as u64 {
            let (file, needed) = (self.handle.file(), end - at);
            take_space(file, self.handle.path(), at, needed, || os::reserve(file, at, needed))?;
        }
        self.has_tail = true;
        let handle = &self.handle;
        let written = write(&mut |bytes| {
            os::write_at(handle.file(), at, bytes)
                .map_err(|error| write_error(handle, at, error))?;
            at += bytes.len() as u64;
            Ok(())
        });
        match written {
            Ok(()) => {
                self.handle.set_layout(layout);
                self.has_tail = false;
                Ok(())
            }
            Err(error) => {
                // If this fails, the next write or flush removes the rest.
                let _ = self.remove_tail();
                Err(with_free_space(error, &self.handle, end))
            }
        }
    }

    /// Returns an error if another program extended the file, whose rows would be overwritten.
    fn check_end(&self) -> Result<()> {
        let path = self.handle.path();
        let metadata = self.handle.file().metadata();
        let found = metadata.map_err(|error| Error::io("find the length of", path, error))?.len();
        if !self.has_tail && found > self.handle.layout().end() {
            return Err(ErrorKind::FileModified {}.at(path));
        }
        Ok(())
    }

    /// Returns the layout with more rows than are in the file.
    fn longer_layout(&self, rows: usize) -> Result<FileLayout> {
        let layout = self.handle.layout();
        let mut shape = layout.shape().to_vec();
        shape[0] = shape[0].saturating_add(rows);
        FileLayout::new(&shape, Order::C, layout.offset(), self.element)
            .map_err(|kind| kind.at(self.handle.path()))
    }

    /// Removes the bytes after the rows in the file.
    fn remove_tail(&mut self) -> Result<()> {
        if self.has_tail {
            self.handle.check_length()?;
            self.handle
                .file()
                .set_len(self.handle.layout().end())
                .map_err(|error| Error::io("set the length", self.handle.path(), error))?;
            self.has_tail = false;
        }
        Ok(())
    }

    /// Writes all rows to disk, then the header that states them.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.write_buffer()?;
        self.remove_tail()?;
        let Self { handle, field, .. } = self;
        let rows = handle.layout().shape()[0];
        handle.flush(
            || false,
            |_| {
                handle.sync_all()?;
                match field {
                    Some(field) if field.len() != rows => {
                        field.write(rows, handle.file(), handle.path())?;
                        handle.sync_all()
                    }
                    _ => Ok(()),
                }
            },
        )
    }

    /// Flushes and closes the file.
    pub(super) fn close(mut self) -> Result<()> {
        self.owner = None;
        let written = self.write_or_discard_buffer();
        written.and(self.flush())
    }

    /// Writes the buffer, and discards its rows if that fails, so that those in the file can still be
    /// flushed.
    fn write_or_discard_buffer(&mut self) -> Result<()> {
        let result = self.write_buffer();
        self.buffer.clear();
        self.buffered = 0;
        result
    }
}

/// Writes what has not been written, without reporting errors.
impl Drop for RowFile {
    fn drop(&mut self) {
        // A forked child must not write the rows of its parent once more.
        if self.owner == Some(std::process::id()) {
            let _ = self.write_or_discard_buffer();
            let rows = self.handle.layout().shape()[0];
            // The header may reach the disk at any time, so the rows have to be there first.
            if self.field.as_ref().is_some_and(|field| field.len() != rows) {
                let _ = self.flush();
            }
        }
    }
}

fn write_error(handle: &FileHandle, at: u64, error: io::Error) -> Error {
    Error::io("write", handle.path(), error).at_byte(at)
}

/// Reports a full disk with the space that is missing.
fn with_free_space(error: Error, handle: &FileHandle, end: u64) -> Error {
    let is_full = error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull);
    match os::free_space(handle.file()) {
        Some(available) if is_full => {
            let needed = end - handle.layout().end();
            ErrorKind::StorageFull { needed, available }.at(handle.path())
        }
        _ => error,
    }
}
