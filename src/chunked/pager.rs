//! Where walks and mapped files meet: the one trait through which a walk speaks to a mapping, and the list of the
//! mappings there are.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use crate::error::Result;

/// What a walk can ask of a mapped file. All ranges are addresses.
pub(crate) trait Pager: Debug + Send + Sync {
    /// Whether pages may be let go: those of a private mapping hold the edits.
    fn can_release(&self) -> bool;

    /// Where the file is mapped.
    fn addresses(&self) -> Range<usize>;

    /// The file's path, if it has one.
    fn path(&self) -> Option<&Path>;

    /// The address at which the file would begin; it may lie outside the mapping, and wraps around.
    fn origin(&self) -> usize;

    /// Is all of the array still in the file?
    fn check(&self) -> Result<()>;

    /// A walk begins.
    fn begin(&self, access: Access);

    /// A walk that has [begun](Self::begin) ends.
    fn end(&self, access: Access);

    /// These bytes and what else is of their pages (of a window at most) or windows are not [released](Self::release) until
    /// they are [let go](Self::let_go).
    fn hold(&self, range: Range<usize>, grain: Grain);

    /// Takes back a [`hold`](Self::hold).
    fn let_go(&self, range: Range<usize>, grain: Grain);

    /// Whether what is written has to find its disk space.
    fn takes_space(&self) -> bool;

    /// Whether the disk is read here and there, so that a walk should make no page resident but those that it wants.
    fn is_random(&self) -> bool;

    /// Makes pages resident, so that if the file has lost them or the disk cannot read them, that is an error. Touching
    /// them would end the process. Units of [`READY_BYTES`] of the file are made resident as a whole, and once they have
    /// been, they need not be again.
    fn make_ready(&self, range: Range<usize>) -> Result<()>;

    /// The same, of these pages alone. If they are to be written, they find their disk space, or that is an error.
    fn make_these_ready(&self, range: Range<usize>, write: bool) -> Result<()>;

    /// These pages need not be resident any more, except those that are held.
    fn release(&self, range: Range<usize>);
}

/// How a walk goes through a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// In file order: much may be read ahead.
    InOrder,
    /// Here and there.
    Scattered,
    /// Page by page: none is to be resident because another one is.
    Singly,
}

/// What is held as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    Pages,
    Windows,
}

/// The smallest page of today's systems, in bytes. What a walk does by default depends on it, and not on the page of
/// the computer it runs on, so that results are the same everywhere.
pub(super) const LEAST_PAGE_BYTES: usize = 4096;

/// What one access can make resident: Linux maps a whole folio of the page cache at a time, and folios lie at multiples
/// of their size in the file. They are of 2 MiB at most.
pub(crate) const WINDOW_BYTES: usize = 2 << 20;

/// What is made resident at a time: as much as Linux maps around a page that is missed, and less than it reads.
pub(crate) const READY_BYTES: usize = 64 << 10;

/// All mappings of this process, by their first address.
static PAGERS: RwLock<BTreeMap<usize, Arc<dyn Pager>>> = RwLock::new(BTreeMap::new());

/// Holds a pager in the list. To be dropped before the file is unmapped.
#[derive(Debug)]
pub(crate) struct Registration(usize);

impl Registration {
    pub(crate) fn new(pager: Arc<dyn Pager>) -> Self {
        let first = pager.addresses().start;
        PAGERS.write().unwrap_or_else(PoisonError::into_inner).insert(first, pager);
        Self(first)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        PAGERS.write().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// The pager of a range, if it lies in a shared mapping.
pub(super) fn pager_of(range: &Range<usize>) -> Option<Arc<dyn Pager>> {
    let pagers = PAGERS.read().unwrap_or_else(PoisonError::into_inner);
    let (_, pager) = pagers.range(..=range.start).next_back()?;
    (range.end <= pager.addresses().end).then(|| Arc::clone(pager))
}
