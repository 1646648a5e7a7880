//! A mapping's pages as walks see them.
#![forbid(unsafe_code)]

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::map::Map;
use crate::chunked::Pager;
use crate::error::{Error, ErrorKind, Result};

/// The pages of a shared mapping.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) map: Arc<Map>,
    pub(super) file: Arc<File>,
    pub(super) path: Option<PathBuf>,
    /// Where in the file the mapping begins.
    pub(super) offset: u64,
}

impl Pages {
    fn base(&self) -> usize {
        self.map.as_mut_ptr().map_or(0, |first| first as usize)
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

    /// Read-ahead is a favour: if it fails, the pages are read where they are touched.
    fn fetch(&self, range: Range<usize>) {
        let _ = self.map.prefetch(self.in_map(&range));
    }

    fn singly(&self) -> Result<()> {
        let all = 0..self.map.len();
        self.map
            .small_pages(all.clone())
            .and_then(|()| self.map.release(all))
            .map_err(|error| Error::io("make pages small", self.path.as_deref(), error))
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
