//! Heap memory in place of mapped files, with the interface of memmap2: for Miri, which does not
//! support mappings, and for memory checkers.
//!
//! A "mapping" is a copy of the bytes at its page offset, which is written back when it is flushed
//! or dropped. Two mappings of one file do not see each other's changes.
//!
//! Invariants of [`MmapRaw`]:
//!
//! - H1. `pages` comes from a box of `count` pages and belongs to this value alone.
//! - H2. `start + len` bytes fit the pages.
#![allow(unsafe_code, reason = "a mapping is a pointer that others write through")]

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

#[cfg(unix)]
use memmap2::{Advice, UncheckedAdvice};

const PAGE_BYTES: usize = 4096;

#[derive(Clone, Copy)]
#[repr(C, align(4096))]
struct Page([u8; PAGE_BYTES]);

#[derive(Debug, Default)]
pub(super) struct MmapOptions {
    offset: u64,
    len: usize,
}

/// A raw mapping, like memmap2's: code that creates references to its bytes is responsible for
/// them.
#[derive(Debug)]
pub(super) struct MmapRaw {
    pages: *mut Page,
    count: usize,
    start: usize,
    len: usize,
    offset: u64,
    /// The file to which changes are written back; `None` for private mappings.
    file: Option<File>,
}

// SAFETY: it consists of memory and a file, both of which any thread may use; code that writes
// through the pointer is responsible for synchronization.
unsafe impl Send for MmapRaw {}
// SAFETY: as above.
unsafe impl Sync for MmapRaw {}

impl MmapOptions {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn offset(&mut self, offset: u64) -> &mut Self {
        self.offset = offset;
        self
    }

    pub(super) fn len(&mut self, len: usize) -> &mut Self {
        self.len = len;
        self
    }

    pub(super) fn no_reserve_swap(&mut self) -> &mut Self {
        self
    }

    pub(super) fn map_raw(&self, file: &File) -> io::Result<MmapRaw> {
        MmapRaw::read(file, self, Some(file.try_clone()?))
    }

    pub(super) fn map_raw_read_only(&self, file: &File) -> io::Result<MmapRaw> {
        MmapRaw::read(file, self, None)
    }

    /// # Safety
    ///
    /// No requirement; the method is unsafe because memmap2's is.
    pub(super) unsafe fn map_copy(&self, file: &File) -> io::Result<MmapRaw> {
        MmapRaw::read(file, self, None)
    }

    /// # Safety
    ///
    /// The requirements of [`map_copy`](Self::map_copy).
    pub(super) unsafe fn map_copy_read_only(&self, file: &File) -> io::Result<MmapRaw> {
        MmapRaw::read(file, self, None)
    }
}

impl MmapRaw {
    fn read(mut from: &File, options: &MmapOptions, file: Option<File>) -> io::Result<Self> {
        let start = (options.offset % PAGE_BYTES as u64) as usize;
        let count = (start + options.len).div_ceil(PAGE_BYTES);
        let mut pages = vec![Page([0; PAGE_BYTES]); count].into_boxed_slice();
        let mut bytes = vec![0; options.len];
        from.seek(SeekFrom::Start(options.offset))?;
        from.read_exact(&mut bytes)?;
        for (at, &byte) in (start..).zip(&bytes) {
            pages[at / PAGE_BYTES].0[at % PAGE_BYTES] = byte;
        }
        let pages = Box::into_raw(pages).cast();
        Ok(Self { pages, count, start, len: options.len, offset: options.offset, file })
    }

    pub(super) fn as_mut_ptr(&self) -> *mut u8 {
        self.pages.cast::<u8>().wrapping_add(self.start)
    }

    pub(super) fn flush_range(&self, offset: usize, len: usize) -> io::Result<()> {
        let Some(mut file) = self.file.as_ref() else { return Ok(()) };
        assert!(offset + len <= self.len);
        let bytes: Vec<u8> = (offset..offset + len)
            .map(|at| {
                // SAFETY: the byte is inside the pages (H1, H2), and code that has a mutable
                // reference to it does not flush.
                unsafe { self.as_mut_ptr().wrapping_add(at).read() }
            })
            .collect();
        file.seek(SeekFrom::Start(self.offset + offset as u64))?;
        file.write_all(&bytes)
    }

    #[cfg(unix)]
    pub(super) fn advise_range(
        &self,
        _advice: Advice,
        offset: usize,
        len: usize,
    ) -> io::Result<()> {
        assert!(offset + len <= self.len);
        Ok(())
    }

    /// # Safety
    ///
    /// The requirements of [`MmapOptions::map_copy`].
    #[cfg(unix)]
    pub(super) unsafe fn unchecked_advise_range(
        &self,
        _advice: UncheckedAdvice,
        offset: usize,
        len: usize,
    ) -> io::Result<()> {
        assert!(offset + len <= self.len);
        Ok(())
    }
}

impl Drop for MmapRaw {
    fn drop(&mut self) {
        // Stores to a mapping reach the file without an error, so errors are ignored here too.
        let _ = self.flush_range(0, self.len);
        // SAFETY: the pages came from a box of this length (H1), and nothing uses them any more.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.pages, self.count)) });
    }
}
