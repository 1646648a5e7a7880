//! Keeps the resident set of a chunked operation below its memory limit.
//!
//! A page of a mapped file becomes resident when it is first touched, and stays so until it is evicted. Linux does not map
//! single pages: one access maps up to 64 KiB around the address (`fault_around_bytes`), or a whole folio of the page cache,
//! which has up to 2 MiB. So pages are counted in folios, unless a chunk is so scattered that only its own pages fit the
//! limit: then they are prefaulted one by one, and the rest of each folio is evicted at once.
//!
//! For each chunk, a [`ResidencyPlan`]
//!
//! 1. checks the length of the file,
//! 2. *pins* the chunk's pages, so that no concurrent operation on the same mapping evicts them,
//! 3. *prefaults* them with `MADV_POPULATE_READ`, which reports a truncated file, a full disk or a failing one as an error
//!    where an access would raise `SIGBUS`,
//! 4. lets the caller work on the chunk,
//! 5. unpins and *evicts* them. Small chunks are evicted in batches: one `madvise` takes about as long as reading 256 KiB.
//!
//! A chunked operation may run on any view of an array, which has no reference to the file it comes from. So all mappings of
//! the process are in a table, in which [`find_mapping`](self::pager::find_mapping) looks up an address.
#![forbid(unsafe_code)]

mod demand;
#[cfg(test)]
pub(crate) mod model;
mod operand;
mod pager;
mod residency;

pub(crate) use self::demand::{Choice, lengths, usable_bytes};
pub(crate) use self::operand::MappedOperand;
pub(crate) use self::pager::{
    AccessPattern, FAULT_AROUND_BYTES, Granularity, MAX_FOLIO_BYTES, MIN_PAGE_BYTES,
    MappingRegistration, Pager,
};
pub(crate) use self::residency::{MemoryLimit, ResidencyPlan, operands_of};
