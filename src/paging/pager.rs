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
    fn can_evict(&self) -> bool;

    /// Where the file is mapped.
    fn addresses(&self) -> Range<usize>;

    /// The file's path, if it has one.
    fn path(&self) -> Option<&Path>;

    /// The address at which the file would begin; it may lie outside the mapping, and wraps around.
    fn file_origin(&self) -> usize;

    /// Is all of the array still in the file?
    fn check(&self) -> Result<()>;

    /// A walk begins.
    fn register_pass(&self, access: AccessPattern);

    /// A walk that has [begun](Self::register_pass) ends.
    fn unregister_pass(&self, access: AccessPattern);

    /// These bytes and what else is of their pages (of a window at most) or windows are not [released](Self::evict) until
    /// they are [let go](Self::unpin).
    fn pin(&self, range: Range<usize>, granularity: Granularity);

    /// Takes back a [`pin`](Self::pin).
    fn unpin(&self, range: Range<usize>, granularity: Granularity);

    /// Whether what is written has to find its disk space.
    fn needs_allocation(&self) -> bool;

    /// Whether the disk is read here and there, so that a walk should make no page resident but those that it wants.
    fn is_random(&self) -> bool;

    /// Makes pages resident, so that if the file has lost them or the disk cannot read them, that is an error. Touching
    /// them would end the process. Units of [`FAULT_AROUND_BYTES`] of the file are made resident as a whole, and once they have
    /// been, they need not be again.
    fn prefault(&self, range: Range<usize>) -> Result<()>;

    /// The same, of these pages alone. If they are to be written, they find their disk space, or that is an error.
    fn prefault_exact(&self, range: Range<usize>, write: bool) -> Result<()>;

    /// These pages need not be resident any more, except those that are held.
    fn evict(&self, range: Range<usize>);
}

/// How a walk goes through a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessPattern {
    /// In file order: much may be read ahead.
    Sequential,
    /// Here and there.
    Random,
    /// Page by page: none is to be resident because another one is.
    PageByPage,
}

/// What is held as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granularity {
    Page,
    Folio,
}

/// The smallest page of today's systems, in bytes. What a walk does by default depends on it, and not on the page of
/// the computer it runs on, so that results are the same everywhere.
pub(crate) const MIN_PAGE_BYTES: usize = 4096;

/// What one access can make resident: Linux maps a whole folio of the page cache at a time, and folios lie at multiples
/// of their size in the file. They are of 2 MiB at most.
pub(crate) const MAX_FOLIO_BYTES: usize = 2 << 20;

/// What is made resident at a time: as much as Linux maps around a page that is missed, and less than it reads.
pub(crate) const FAULT_AROUND_BYTES: usize = 64 << 10;

/// All mappings of this process, by their first address.
static MAPPINGS: RwLock<BTreeMap<usize, Arc<dyn Pager>>> = RwLock::new(BTreeMap::new());

/// Holds a pager in the list. To be dropped before the file is unmapped.
#[derive(Debug)]
pub(crate) struct MappingRegistration(usize);

impl MappingRegistration {
    pub(crate) fn new(pager: Arc<dyn Pager>) -> Self {
        let first = pager.addresses().start;
        MAPPINGS.write().unwrap_or_else(PoisonError::into_inner).insert(first, pager);
        Self(first)
    }
}

impl Drop for MappingRegistration {
    fn drop(&mut self) {
        MAPPINGS.write().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// The pager of a range, if it lies in a shared mapping.
pub(crate) fn find_mapping(range: &Range<usize>) -> Option<Arc<dyn Pager>> {
    let pagers = MAPPINGS.read().unwrap_or_else(PoisonError::into_inner);
    let (_, pager) = pagers.range(..=range.start).next_back()?;
    (range.end <= pager.addresses().end).then(|| Arc::clone(pager))
}
