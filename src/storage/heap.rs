//! The heap in place of mapped files, with the names of memmap2: for Miri, which knows no mappings,
//! and for memory checkers.
//!
//! A "mapping" is a copy of the bytes at its page offset, which is written back when it is flushed
//! or dropped. Two of one file do not see each other.
//!
//! Invariants of [`MmapRaw`]:
//!
//! - H1. `pages` comes from a box of `count` pages and belongs to this value alone.
//! - H2. `begin + len` bytes fit the pages.
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

/// Like memmap2's, a raw mapping: who makes references to it answers for them.
#[derive(Debug)]
pub(super) struct MmapRaw {
    pages: *mut Page,
    count: usize,
    begin: usize,
    len: usize,
    offset: u64,
    /// Where changes go; `None` where they stay.
    file: Option<File>,
}

// SAFETY: it is memory and a file, both of which any thread may use; what is written through the
// pointer is up to those who do.
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
    /// None is needed; memmap2's has the word.
    pub(super) unsafe fn map_copy(&self, file: &File) -> io::Result<MmapRaw> {
        MmapRaw::read(file, self, None)
    }

    /// # Safety
    ///
    /// As for [`map_copy`](Self::map_copy).
    pub(super) unsafe fn map_copy_read_only(&self, file: &File) -> io::Result<MmapRaw> {
        MmapRaw::read(file, self, None)
    }
}

impl MmapRaw {
    fn read(mut from: &File, options: &MmapOptions, file: Option<File>) -> io::Result<Self> {
        let begin = (options.offset % PAGE_BYTES as u64) as usize;
        let count = (begin + options.len).div_ceil(PAGE_BYTES);
        let mut pages = vec![Page([0; PAGE_BYTES]); count].into_boxed_slice();
        let mut bytes = vec![0; options.len];
        from.seek(SeekFrom::Start(options.offset))?;
        from.read_exact(&mut bytes)?;
        for (at, &byte) in (begin..).zip(&bytes) {
            pages[at / PAGE_BYTES].0[at % PAGE_BYTES] = byte;
        }
        let pages = Box::into_raw(pages).cast();
        Ok(Self { pages, count, begin, len: options.len, offset: options.offset, file })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn as_mut_ptr(&self) -> *mut u8 {
        self.pages.cast::<u8>().wrapping_add(self.begin)
    }

    pub(super) fn flush_range(&self, offset: usize, len: usize) -> io::Result<()> {
        let Some(mut file) = self.file.as_ref() else { return Ok(()) };
        assert!(offset + len <= self.len);
        let bytes: Vec<u8> = (offset..offset + len)
            .map(|at| {
                // SAFETY: the byte lies in the pages (H1, H2), and who has a mutable reference to
                // it does not flush.
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
    /// As for [`MmapOptions::map_copy`].
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
        // As a mapping's stores are the file's without more ado, nobody is told.
        let _ = self.flush_range(0, self.len);
        // SAFETY: that is how the pages came here (H1), and nobody uses them any more.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.pages, self.count)) });
    }
}
