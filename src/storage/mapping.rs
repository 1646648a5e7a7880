//! What the three owners share: a file, its map, its lock, and what is known of its way to the disk.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ndarray::{ArrayRef, Dimension};

use super::layout::FileLayout;
use super::lock::{LockPolicy, Ticket, lock};
use super::map::{Advice, Map, MapKind, start_writeback};
use super::os;
use super::pages::{Pages, check_length};
use crate::chunked::Registration;
use crate::error::{Error, ErrorKind, Result};

/// A mapped array's file. Fields are dropped in this order: the entry in the list of pagers, the map, then the file with
/// its lock, then the entry in the registry.
#[derive(Debug)]
pub(super) struct Mapping {
    /// Lets walks page this mapping. Not for private ones: their pages hold the edits.
    _pager: Option<Registration>,
    map: Arc<Map>,
    file: Arc<File>,
    ticket: Option<Ticket>,
    layout: FileLayout,
    /// As the caller gave it; `None` for scratch arrays.
    path: Option<PathBuf>,
    /// The path as it was then, wherever the process goes; `None` while no name leads to the file.
    name: Option<PathBuf>,
    lock: LockPolicy,
    /// The directory holds a new name that may not be on disk yet.
    directory_unsynced: AtomicBool,
    /// A flush has failed: the kernel tells it once, marks the pages clean, and claims success ever after.
    flush_failed: AtomicBool,
}

impl Mapping {
    /// Maps a file that has a name.
    pub(super) fn of_file(
        file: File,
        path: &Path,
        layout: FileLayout,
        kind: MapKind,
        policy: LockPolicy,
    ) -> Result<Self> {
        let writable = kind == MapKind::Write;
        let ticket = Ticket::take(&file, path, writable, policy)?;
        lock(&file, Some(path), writable, policy)?;
        let mut mapping = Self::nameless(file, Some(path), layout, kind, policy)?;
        mapping.ticket = Some(ticket);
        mapping.name = std::path::absolute(path).ok();
        Ok(mapping)
    }

    /// Maps a file that has no name, or not yet.
    pub(super) fn nameless(
        file: File,
        path: Option<&Path>,
        layout: FileLayout,
        kind: MapKind,
        lock: LockPolicy,
    ) -> Result<Self> {
        let map = Map::new(&file, layout.offset(), layout.byte_len(), kind)
            .map_err(|error| Error::io("map (is there an address-space limit, `ulimit -v`?)", path, error))?;
        let (map, file) = (Arc::new(map), Arc::new(file));
        let pages = || Pages {
            map: Arc::clone(&map),
            file: Arc::clone(&file),
            path: path.map(Path::to_path_buf),
            offset: layout.offset(),
            walks: Mutex::default(),
        };
        let pageable = map.kind() != MapKind::Private && map.len() > 0;
        Ok(Self {
            _pager: pageable.then(|| Registration::new(Arc::new(pages()))),
            map,
            file,
            ticket: None,
            layout,
            path: path.map(Path::to_path_buf),
            name: None,
            lock,
            directory_unsynced: AtomicBool::new(false),
            flush_failed: AtomicBool::new(false),
        })
    }

    /// The file, new and not yet on disk under its name, has been given it.
    pub(super) fn named_anew(&mut self) -> Result<()> {
        if let Some(path) = &self.path {
            self.ticket = Some(Ticket::take(&self.file, path, true, self.lock)?);
            self.name = std::path::absolute(path).ok();
            self.directory_unsynced = AtomicBool::new(true);
        }
        Ok(())
    }

    pub(super) fn layout(&self) -> &FileLayout {
        &self.layout
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The first mapped byte; `None` where nothing is mapped.
    pub(super) fn as_mut_ptr(&self) -> Option<*mut u8> {
        self.map.as_mut_ptr()
    }

    /// All mapped bytes.
    pub(super) fn whole(&self) -> Range<usize> {
        0..self.map.len()
    }

    /// The mapped bytes between the first and the last element of a view into this map.
    pub(super) fn range_of<A, E: Dimension>(&self, part: &ArrayRef<A, E>) -> Result<Range<usize>> {
        if part.is_empty() {
            return Ok(0..0);
        }
        let outside = || Error::new(ErrorKind::NotInArray {}, self.path());
        let base = self.as_mut_ptr().ok_or_else(outside)? as usize;
        let (mut low, mut high) = (part.as_ptr() as usize, part.as_ptr() as usize + size_of::<A>());
        for (&len, &stride) in part.shape().iter().zip(part.strides()) {
            // A view's extent fits isize, in bytes as well.
            let extent = (len as isize - 1) * stride * size_of::<A>() as isize;
            if extent < 0 { low -= extent.unsigned_abs() } else { high += extent.unsigned_abs() }
        }
        match low >= base && high <= base + self.map.len() {
            true => Ok(low - base..high - base),
            false => Err(outside()),
        }
    }

    /// Hands changed pages to the disk and waits until it has them.
    pub(super) fn flush(&self, range: Range<usize>) -> Result<()> {
        if self.flush_failed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::FlushFailedBefore {}, self.path()));
        }
        let result = self.flush_and_sync(range);
        if result.is_err() {
            self.flush_failed.store(true, Ordering::Release);
        }
        result?;
        self.check_name()
    }

    fn flush_and_sync(&self, range: Range<usize>) -> Result<()> {
        let io_error = |action| move |error| Error::io(action, self.path(), error);
        self.check_length()?;
        self.map.flush(range).map_err(io_error("flush"))?;
        self.file.sync_all().map_err(io_error("flush"))?;
        // The kernel reports success for pages that a truncation took away.
        self.check_length()?;
        if let Some(directory) = self.name.as_deref().and_then(Path::parent)
            && self.directory_unsynced.load(Ordering::Acquire)
        {
            os::sync_dir(directory).map_err(io_error("flush the directory of the new file"))?;
            self.directory_unsynced.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Is the file still as long as the array needs?
    fn check_length(&self) -> Result<()> {
        check_length(&self.file, self.layout.end(), self.path())
    }

    /// Does the path still lead to the mapped file?
    fn check_name(&self) -> Result<()> {
        let Some(name) = &self.name else { return Ok(()) };
        let same = os::file_id(&self.file, name).and_then(|ours| Ok(ours == os::path_id(name)?));
        match same {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::new(ErrorKind::FileReplaced {}, self.path())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::FileReplaced {}, self.path()))
            }
            Err(error) => Err(Error::io("look at the path", self.path(), error)),
        }
    }

    pub(super) fn start_writeback(&self, range: Range<usize>) -> Result<()> {
        let offset = self.layout.offset();
        start_writeback(&self.file, offset + range.start as u64..offset + range.end as u64)
            .map_err(|error| Error::io("start writing back", self.path(), error))
    }

    pub(super) fn advise(&self, advice: Advice, range: Range<usize>) -> Result<()> {
        self.map.advise(advice, range).map_err(|error| Error::io("advise", self.path(), error))
    }

    pub(super) fn prefetch(&self, range: Range<usize>) -> Result<()> {
        self.map.prefetch(range).map_err(|error| Error::io("prefetch", self.path(), error))
    }

    pub(super) fn release(&self, range: Range<usize>) -> Result<()> {
        self.map.release(range).map_err(|error| Error::io("release", self.path(), error))
    }

    /// From now on nothing is written through this mapping: lets readers in.
    pub(super) fn downgrade(&mut self) -> Result<()> {
        if let Some(ticket) = &mut self.ticket {
            ticket.downgrade();
            lock(&self.file, self.path.as_deref(), false, self.lock)?;
        }
        Ok(())
    }
}
