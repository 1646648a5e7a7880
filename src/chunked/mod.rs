//! Process arrays chunk by chunk, on one or all threads, within a memory limit.
//!
//! [`chunked`](ChunkedExt::chunked) returns a [`Chunked`]: a lazy description of how an array is
//! split. Configure it with [`axis`](Chunked::axis), [`chunk_len`](Chunked::chunk_len) or
//! [`chunk_shape`](Chunked::chunk_shape), then iterate over it or call a parallel method such as
//! [`par_for_each`](Chunked::par_for_each).
//!
//! Each chunk is an ordinary [`ArrayView`], so every method of ndarray and ndarray-stats works on
//! it. Chunks are visited in memory order. They are slabs along one axis or
//! [blocks](Chunked::chunk_shape). Up to [four arrays](Chunked::and) can be zipped, and results
//! written to [another array](Chunked::map_into). Chunked arrays may be mapped files, slices of
//! them (also permuted or reversed), arrays in memory, or [sources](crate::doc::sources) that are read,
//! decoded or computed chunk by chunk, with 0 to 6 dimensions or a dynamic number of dimensions.
//!
//! ```
//! use ndarray::prelude::*;
//! use ndarray_mmap::{MmapArrayMut, prelude::*};
//!
//! let mut table = MmapArrayMut::<f64, _>::scratch((100_000, 8))?;
//! table.chunked_mut().indexed().par_for_each(|(region, mut rows)| {
//!     rows.fill(region.index() as f64);
//! })?;
//! for rows in table.chunked().memory_limit(16 << 20) {
//!     assert_eq!(rows.ncols(), 8);
//! }
//! let total = table.chunked().par_map_reduce(|rows| rows.sum(), |a, b| a + b)?;
//! assert_eq!(total, Some(table.sum()));
//! # Ok::<(), ndarray_mmap::Error>(())
//! ```
//!
//! [A separate page](crate::doc::chunked) explains how to choose axis, memory limit and number of
//! threads, with measurements.
//!
//! # Order and determinism
//!
//! Chunks are numbered in memory order, with the fastest axis innermost. (Along a reversed axis,
//! chunks are visited by ascending index.) Threads claim chunks in that order. If closures fail,
//! the error of the first failing chunk is returned, and no further chunks are started. A panic of
//! a closure propagates after the other threads have finished their chunks, and leaves the arrays
//! usable.
//!
//! The division into chunks depends on the array and on the configuration, but not on threads or
//! the memory limit. Results of chunks are merged in a fixed binary tree over chunk indices. The
//! result of [`par_map_reduce`](Chunked::par_map_reduce) is therefore bitwise identical for any
//! number of threads and any memory limit. The result of [`accumulate`](Chunked::accumulate) is in
//! addition bitwise identical for any chunk length.
//!
//! # Concurrent operations
//!
//! Any number of chunked operations may run on an array concurrently: on several threads, inside a
//! rayon task, in a pool of one thread, or nested. Each one has its own memory limit. If two
//! operations use the same pages, one may evict pages that the other one still needs, which costs
//! time.
//!
//! A nested operation inside a closure uses the same threads. While it waits, a thread may start
//! the next chunk of the outer operation. Starting a nested operation while a mutex is locked can
//! therefore deadlock if the outer operation's closure locks the same mutex. The same applies to
//! rayon's own `scope` and `join`.
#![forbid(unsafe_code)]
#![allow(
    unreachable_pub,
    reason = "sealed traits mention these types in hidden methods, and their modules are private"
)]

// Overview: `ext` creates a `Chunked` (`builder`, `config`) over a `source`: views, or arrays in `lazy`
// that are read from files, decoded or computed; `zip` combines several. `iter`, `for_each` and
// `for_each_tile` pass its chunks to closures, each with its `region`; `map_into` writes to a `target`. `blocks`, `lanes` and `columns` pass
// contiguous slices of fixed length to accumulators, whose results `pairwise` merges; they take a
// source as an `any_array`. `pass` drives all of them except iterators. `division` decides how arrays are divided, and `limit`
// divides the memory limit. `across` extends operations to several ranks.
//
// To compile fast, code that does not touch elements has no type parameters: regions have a dynamic
// number of dimensions, and closures that are called once for each block or chunk are trait
// objects.
// Closures that are called for each element are generic.
//
// Vocabulary: a *block* is 64 KiB of contiguous elements; a *segment* is a fixed range of a lane,
// which determines the bits of results; a *slab* is the part of the lanes that is pinned at once; a
// *batch* is a group of blocks or lanes that a thread takes at once; a *panel* is a group of
// neighbouring columns that a kernel processes together; a *tile* is a box of elements that fits
// the caches or the memory limit.
mod accumulate;
mod accumulator;
mod across;
mod any_array;
mod blocks;
mod builder;
mod cache_tiles;
mod columns;
mod config;
mod division;
mod elements;
mod ext;
mod for_each;
mod for_each_tile;
mod gather;
mod iter;
mod lanes;
mod lazy;
mod limit;
mod map_into;
mod pairwise;
mod pass;
mod positions;
mod region;
mod saved;
mod source;
mod target;
mod tiles;
mod zip;

pub use self::accumulator::{Accumulator, BlockElements};
pub(crate) use self::across::{concatenated_elements, merge_across, run_across};
pub(crate) use self::any_array::AnyArray;
pub(crate) use self::blocks::Blocks;
pub use self::builder::Chunked;
pub(crate) use self::columns::ColumnSegments;
pub use self::elements::ElementSource;
pub use self::ext::{ChunkedExt, ChunkedMutExt};
pub(crate) use self::lanes::LaneReader;
pub use self::lazy::LazyArray;
#[allow(unused_imports)]
pub(crate) use self::lazy::{PIECE_LEN, ReadArray};

pub use self::iter::{Chunks, TryChunks};
pub(crate) use self::limit::{half, path_of, prefer_larger_demand};
pub use self::region::ChunkRegion;
pub use self::source::{ArraySource, ChunkSource, Indexed, ParallelSource, ReadOnlySource};
pub use self::target::ChunkTarget;
#[allow(unused_imports, reason = "for links in the docs")]
use ndarray::ArrayView;
