//! A mapping's pages as walks see them.
#![forbid(unsafe_code)]

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::map::Map;
use crate::chunked::{Access, Pager};
use crate::error::{Error, ErrorKind, Result};

/// The pages of a shared mapping.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) map: Arc<Map>,
    pub(super) file: Arc<File>,
    pub(super) path: Option<PathBuf>,
    /// Where in the file the mapping begins.
    pub(super) offset: u64,
    pub(super) walks: Mutex<Walks>,
}

/// The walks under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walks {
    in_order: usize,
    scattered: usize,
    singly: usize,
}

impl Walks {
    fn of(&mut self, access: Access) -> &mut usize {
        match access {
            Access::InOrder => &mut self.in_order,
            Access::Scattered => &mut self.scattered,
            Access::Singly => &mut self.singly,
        }
    }

    /// Where pages are wanted one by one, that goes before.
    fn want_huge_pages(&self) -> bool {
        self.in_order > 0 && self.singly == 0
    }
}

impl Pages {
    fn base(&self) -> usize {
        self.map.as_mut_ptr().map_or(0, |first| first as usize)
    }

    /// Counts walks, and tells the system what suits them. That is a favour only: if it fails, walks take longer.
    ///
    /// Linux reads ahead 2 MiB and more into one huge page of its cache where huge pages are wanted, which makes reading
    /// from disk twice as fast as its usual 128 KiB do. But where pages are let go one by one, and for accesses here and
    /// there, that is far too much.
    fn change(&self, change: impl FnOnce(&mut Walks)) {
        let mut walks = self.walks.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *walks;
        change(&mut walks);
        let all = 0..self.map.len();
        if walks.want_huge_pages() != before.want_huge_pages() || walks.singly > before.singly {
            let _ = self.map.huge_pages(walks.want_huge_pages(), all.clone());
        }
        if walks.singly > before.singly {
            // What is mapped as a huge page can only be let go as a whole.
            let _ = self.map.release(all);
        }
    }

    fn in_map(&self, range: &Range<usize>) -> Range<usize> {
        range.start - self.base()..range.end - self.base()
    }
}

impl Pager for Pages {
    fn addresses(&self) -> Range<usize> {
        self.base()..self.base() + self.map.len()
    }

    fn origin(&self) -> usize {
        self.base().wrapping_sub(self.offset as usize)
    }

    fn check(&self) -> Result<()> {
        check_length(&self.file, self.offset + self.map.len() as u64, self.path.as_deref())
    }

    fn begin(&self, access: Access) {
        self.change(|walks| *walks.of(access) += 1);
    }

    fn end(&self, access: Access) {
        self.change(|walks| *walks.of(access) -= 1);
    }

    fn hold(&self, range: Range<usize>, write: bool) -> Result<()> {
        self.map
            .populate(self.in_map(&range), write)
            .map_err(|error| Error::io("make pages resident", self.path.as_deref(), error))
    }

    /// The ranges are inside the mapping, so there is nothing to fail.
    fn release(&self, range: Range<usize>) {
        let _ = self.map.release(self.in_map(&range));
    }
}

/// Is the file still as long as the array needs?
pub(super) fn check_length(file: &File, expected: u64, path: Option<&std::path::Path>) -> Result<()> {
    let found = file.metadata().map_err(|error| Error::io("look at the file", path, error))?.len();
    match found >= expected {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::FileChanged { expected, found }, path)),
    }
}
