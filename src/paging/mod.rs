//! Keeps the resident set of a chunked operation below its memory limit.
//!
//! A page of a mapped file becomes resident when it is first touched, and stays resident until it
//! is evicted. Linux does not map single pages: a page fault maps up to 64 KiB around the address
//! (`fault_around_bytes`), or a whole folio of the page cache, which has up to 2 MiB. Pages are
//! therefore counted in folios. The exception is a chunk so scattered that only its own pages fit
//! the limit. Its pages are prefaulted one by one, and the rest of each folio is evicted at once.
//!
//! For each chunk, a [`ResidencyPlan`]
//!
//! 1. checks the length of the file,
//! 2. *pins* the pages of the chunk, so that no concurrent operation on the same mapping evicts
//!    them,
//! 3. *prefaults* the pages with `MADV_POPULATE_READ`, which reports a truncated file, a full disk
//!    or an I/O error as an `Err` where an access would raise `SIGBUS`,
//! 4. runs the caller's closure on the chunk,
//! 5. unpins and *evicts* the pages. Small chunks are evicted in batches, because one `madvise`
//!    takes about as long as reading 256 KiB.
//!
//! A chunked operation may run on any `ArrayView`, which has no reference to the file it comes
//! from. [`find_mapping`](self::pager::find_mapping) therefore looks up the mapping by address in a
//! process-wide table.
#![forbid(unsafe_code)]

mod choice;
mod demand;
#[cfg(test)]
pub(crate) mod model;
mod operand;
mod pager;
mod residency;

pub(crate) use self::choice::{Choice, halved_lengths};
pub(crate) use self::demand::usable_bytes;
pub(crate) use self::operand::MappedOperand;
pub(crate) use self::pager::{
    AccessPattern, FAULT_AROUND_BYTES, FileVersion, Granularity, MAX_FOLIO_BYTES, MIN_PAGE_BYTES,
    MappingRegistration, Pager,
};
pub(crate) use self::residency::{MemoryLimit, PinGuard, ResidencyPlan, operands_of};
