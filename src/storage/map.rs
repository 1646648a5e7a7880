//! A mapped byte range: the system calls that need `unsafe`, without any notion of arrays.
//!
//! Invariants of [`Map`]:
//!
//! - M1. `raw`, if present, maps `len` bytes of the file from its offset on, until the `Map` is
//!   dropped.
//! - M2. This module creates no reference to the bytes. Code that creates one is responsible for
//!   the rule: While a borrow of a mapped array is in use, no one changes the bytes that it covers
//!   except through it; between borrows others may, if a lock or a message orders their changes
//!   after the last borrow and before the next borrow.
//! - M3. `kind` is the way the bytes were mapped. Only a page of a `Private` mapping can differ
//!   from the file: `Read` may be a private mapping too, but cannot be written to.
#![allow(
    unsafe_code,
    reason = "private mappings, madvise, mincore, sync_file_range and getrlimit have no safe binding"
)]

use std::fs::File;
use std::io;
use std::ops::Range;

#[cfg(not(any(miri, ndarray_mmap_heap)))]
use memmap2::{MmapOptions, MmapRaw};

#[cfg(any(miri, ndarray_mmap_heap))]
use super::heap::{MmapOptions, MmapRaw};
use super::os;

/// The way a file is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapKind {
    /// Readable; shared, or private if the file system does not support shared mappings.
    Read,
    /// Shared, readable and writable.
    Write,
    /// Private (copy on write), readable and writable.
    Private,
}

/// The access pattern of an array's pages, for the kernel's read-ahead.
///
/// ```
/// use ndarray::s;
/// use ndarray_mmap::{Advice, MmapArrayMut};
///
/// let table = MmapArrayMut::<f64, _>::scratch((1_000, 64))?;
/// table.advise(Advice::Random)?; // single elements are accessed,
/// // but the second half is read sequentially
/// table.advise_view(&table.slice(s![500.., ..]), Advice::Sequential)?;
/// assert_eq!(table[[3, 7]] + table.slice(s![500.., ..]).sum(), 0.0);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// The kernel's default: some read-ahead.
    #[default]
    Normal,
    /// Sequential access: more read-ahead.
    Sequential,
    /// Random access: no read-ahead, which makes single reads from a cold file much cheaper.
    Random,
}

/// A mapped range of a file; not mapped at all if the range is empty.
#[derive(Debug)]
pub(super) struct Map {
    /// May be longer than the requested range.
    raw: Option<MmapRaw>,
    len: usize,
    kind: MapKind,
}

impl Map {
    pub(super) fn new(file: &File, offset: u64, len: usize, kind: MapKind) -> io::Result<Self> {
        let mut options = MmapOptions::new();
        // Huge pages can only be unmapped as a whole.
        let end = offset + len as u64; // at most `i64::MAX`, as checked by the layout
        let rest = end.next_multiple_of(os::mapping_granularity(file)) - end;
        options.offset(offset).len(len + rest as usize);
        let raw = match kind {
            _ if len == 0 => None,
            MapKind::Read => Some(map_read(&options, file)?),
            MapKind::Write => Some(options.map_raw(file)?),
            // SAFETY: memmap2 requires that nothing else changes the file while a slice of the map
            // exists. Its map is turned into a raw one immediately, which lends no slice (M2).
            MapKind::Private => Some(unsafe { options.no_reserve_swap().map_copy(file) }?.into()),
        };
        Ok(Self { raw, len, kind })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns a pointer to the first mapped byte, or `None` if nothing is mapped.
    pub(super) fn as_mut_ptr(&self) -> Option<*mut u8> {
        self.raw.as_ref().map(MmapRaw::as_mut_ptr)
    }

    /// Writes dirty pages to disk and waits (`msync`).
    pub(super) fn flush(&self, range: Range<usize>) -> io::Result<()> {
        let Some(raw) = self.raw.as_ref().filter(|_| !range.is_empty()) else { return Ok(()) };
        loop {
            match raw.flush_range(range.start, range.len()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Advises the kernel how the pages will be used.
    pub(super) fn advise(&self, advice: Advice, range: Range<usize>) -> io::Result<()> {
        #[cfg(unix)]
        return self.advise_unix(range, |raw, at, len| {
            raw.advise_range(
                match advice {
                    Advice::Normal => memmap2::Advice::Normal,
                    Advice::Sequential => memmap2::Advice::Sequential,
                    Advice::Random => memmap2::Advice::Random,
                },
                at,
                len,
            )
        });
        #[cfg(not(unix))]
        return self.ignore(advice, range);
    }

    /// Starts reading the pages (`MADV_WILLNEED`).
    pub(super) fn prefetch(&self, range: Range<usize>) -> io::Result<()> {
        #[cfg(unix)]
        return self.advise_unix(range, |raw, at, len| {
            raw.advise_range(memmap2::Advice::WillNeed, at, len)
        });
        #[cfg(not(unix))]
        return self.ignore(Advice::Normal, range);
    }

    /// Prefaults the pages, for writing if `write` is set. Does nothing except on Linux 5.14 and
    /// later.
    pub(super) fn populate(&self, range: Range<usize>, write: bool) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        return self.advise_unix(range, |raw, at, len| {
            let advice =
                if write { memmap2::Advice::PopulateWrite } else { memmap2::Advice::PopulateRead };
            match rustix::io::retry_on_intr(|| {
                raw.advise_range(advice, at, len).map_err(|error| {
                    rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO)
                })
            }) {
                // Old kernels do not support the advice, and sandboxes forbid it.
                Ok(())
                | Err(
                    rustix::io::Errno::INVAL
                    | rustix::io::Errno::NOSYS
                    | rustix::io::Errno::PERM
                    | rustix::io::Errno::ACCESS,
                ) => Ok(()),
                Err(errno) => Err(errno.into()),
            }
        });
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (range, write);
            Ok(())
        }
    }

    /// Enables or disables huge pages. Does nothing except on Linux.
    pub(super) fn huge_pages(&self, wanted: bool, range: Range<usize>) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        return self.advise_unix(range, |raw, at, len| {
            raw.advise_range(
                if wanted { memmap2::Advice::HugePage } else { memmap2::Advice::NoHugePage },
                at,
                len,
            )
        });
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (wanted, range);
            Ok(())
        }
    }

    /// Returns the way the bytes are mapped.
    pub(super) fn kind(&self) -> MapKind {
        self.kind
    }

    /// Evicts the pages from this process; their contents stay in the file. Does nothing for
    /// private mappings, whose edits exist only in the pages.
    pub(super) fn release(&self, range: Range<usize>) -> io::Result<()> {
        if self.kind == MapKind::Private {
            return Ok(());
        }
        #[cfg(unix)]
        return self.advise_unix(range, |raw, at, len| {
            // SAFETY: MADV_DONTNEED on a mapping of a file whose pages contain no private edits
            // only drops page-table entries: the next access finds the same bytes, changed ones
            // included, so no reference into the map sees a difference. No page contains private
            // edits (M3, and maps that can be edited privately have returned above).
            unsafe { raw.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, at, len) }
        });
        #[cfg(not(unix))]
        return self.ignore(Advice::Normal, range);
    }

    /// Advises the kernel to reclaim these pages before others (`MADV_COLD`). The pages keep their
    /// contents. Does nothing except on Linux 5.4 and later.
    pub(super) fn advise_cold(&self, range: Range<usize>) -> io::Result<()> {
        #[cfg(all(
            any(target_os = "linux", target_os = "android"),
            not(any(miri, ndarray_mmap_heap))
        ))]
        return self.advise_unix(range, |raw, at, len| {
            // The call requires page alignment, and the map may start within a page.
            let before = (raw.as_mut_ptr() as usize + at) % crate::system::page_bytes();
            let first = raw.as_mut_ptr().wrapping_add(at).wrapping_sub(before);
            // SAFETY: MADV_COLD moves pages within the kernel's LRU lists and changes no contents,
            // so it is harmless wherever the pointer points; no reference is made.
            let code = unsafe { libc::madvise(first.cast(), before + len, libc::MADV_COLD) };
            if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
        });
        #[cfg(not(all(
            any(target_os = "linux", target_os = "android"),
            not(any(miri, ndarray_mmap_heap))
        )))]
        {
            let _ = range;
            Ok(())
        }
    }

    /// Returns whether all of these pages are in memory. The call is fast for pages that this
    /// process has mapped. Linux reports the true state only for files that the user owns or may
    /// write to, so the caller must check this first.
    pub(super) fn are_resident(&self, range: Range<usize>) -> bool {
        #[cfg(all(
            any(target_os = "linux", target_os = "android"),
            not(any(miri, ndarray_mmap_heap))
        ))]
        {
            let page = crate::system::page_bytes();
            let mut resident = true;
            let result = self.advise_unix(range, |raw, at, len| {
                let before = (raw.as_mut_ptr() as usize + at) % page;
                let first = raw.as_mut_ptr().wrapping_add(at).wrapping_sub(before);
                let mut pages = vec![0_u8; (before + len).div_ceil(page)];
                // SAFETY: the call writes one byte for each page of the range, and the buffer has
                // that length; the pages themselves are not touched.
                let code = unsafe { libc::mincore(first.cast(), before + len, pages.as_mut_ptr()) };
                resident = code == 0 && pages.iter().all(|byte| byte & 1 == 1);
                Ok(())
            });
            result.is_ok() && resident
        }
        #[cfg(not(all(
            any(target_os = "linux", target_os = "android"),
            not(any(miri, ndarray_mmap_heap))
        )))]
        {
            let _ = range;
            false
        }
    }

    #[cfg(unix)]
    fn advise_unix(
        &self,
        range: Range<usize>,
        call: impl FnOnce(&MmapRaw, usize, usize) -> io::Result<()>,
    ) -> io::Result<()> {
        match &self.raw {
            Some(raw) if !range.is_empty() => call(raw, range.start, range.len()),
            _ => Ok(()),
        }
    }

    #[cfg(not(unix))]
    fn ignore(&self, _advice: Advice, _range: Range<usize>) -> io::Result<()> {
        Ok(())
    }
}

fn map_read(options: &MmapOptions, file: &File) -> io::Result<MmapRaw> {
    match options.map_raw_read_only(file) {
        // Some FUSE file systems only allow private mappings (ENODEV), which are equivalent because
        // nothing is written.
        #[cfg(unix)]
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => {
            // SAFETY: as for `MapKind::Private` above.
            Ok(unsafe { options.map_copy_read_only(file) }?.into())
        }
        result => result,
    }
}

/// Starts writing dirty pages of the file to disk, without waiting. Does nothing except on Linux.
pub(super) fn start_writeback(file: &File, range: Range<u64>) -> io::Result<()> {
    #[cfg(all(any(target_os = "linux", target_os = "android"), not(any(miri, ndarray_mmap_heap))))]
    {
        use std::os::fd::AsRawFd;
        let offset = range.start.cast_signed();
        let len = (range.end - range.start).cast_signed();
        // A length of 0 would mean "to the end of the file".
        if len > 0 {
            // SAFETY: the call takes no pointers, and the descriptor is open as long as `file` is
            // borrowed.
            let code = unsafe {
                libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE)
            };
            if code != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    #[cfg(not(all(
        any(target_os = "linux", target_os = "android"),
        not(any(miri, ndarray_mmap_heap))
    )))]
    let _ = (file, range);
    Ok(())
}

/// Returns the largest file size that this process may write; exceeding it raises a signal. Returns
/// `None` if there is no limit, or if the limit is unavailable (sandboxes forbid the call).
pub(super) fn file_size_limit() -> Option<u64> {
    #[cfg(all(unix, not(any(miri, ndarray_mmap_portable))))]
    {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the pointer is to a live, writable `rlimit`.
        let code = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) };
        #[allow(clippy::unnecessary_cast, reason = "it is another type on other systems")]
        (code == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur as u64)
    }
    #[cfg(not(all(unix, not(any(miri, ndarray_mmap_portable)))))]
    None
}

#[cfg(all(
    test,
    any(target_os = "linux", target_os = "android"),
    not(any(miri, ndarray_mmap_heap))
))]
mod tests {
    use super::*;

    /// Covers maps that start within a page.
    #[test]
    fn cold_pages_keep_their_contents() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        let offset = 77;
        let len = 1_000_003;
        let map = Map::new(&file, offset, len, MapKind::Write).unwrap();
        // SAFETY: the byte is inside the map, and nothing else refers to it.
        unsafe { map.as_mut_ptr().unwrap().wrapping_add(500_000).write(7) };
        for range in [0..len, 1..2, 0..1, len - 1..len, 5..5, 4096..8192] {
            map.advise_cold(range.clone()).unwrap();
            map.release(range).unwrap();
        }
        // SAFETY: as above.
        assert_eq!(unsafe { map.as_mut_ptr().unwrap().wrapping_add(500_000).read() }, 7);
    }
}
