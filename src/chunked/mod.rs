//! Arrays chunk by chunk, in a bounded amount of memory, on one thread or all: [`chunked`](ChunkedExt::chunked) is the
//! one doorway.
//!
//! A chunk is a part of the array: an ordinary [`ArrayView`], on which all of ndarray and ndarray-stats works. A walk
//! goes through the chunks in the order of the file. Its chunks lie along one axis, or are
//! [blocks](Chunked::chunk_shape); it goes through up to [four arrays](Chunked::and) side by side, and writes into
//! [another one](Chunked::map_into). It works alike on mapped arrays, on slices of them, permuted and reversed ones too,
//! and on arrays in memory, in 0 to 6 dimensions and dynamic ones.
//!
//! ```
//! use ndarray::prelude::*;
//! use ndarray_mmap::{MmapArrayMut, prelude::*};
//!
//! let mut table = MmapArrayMut::<f64, _>::scratch((100_000, 8))?;
//! table.chunked_mut().indexed().par_for_each(|(region, mut rows)| rows.fill(region.index() as f64))?;
//! for rows in table.chunked().memory_limit(16 << 20) {
//!     assert_eq!(rows.ncols(), 8);
//! }
//! let total = table.chunked().par_map_reduce(|rows| rows.sum(), |a, b| a + b)?;
//! assert_eq!(total, Some(table.sum()));
//! # Ok::<(), ndarray_mmap::Error>(())
//! ```
//!
//! How to choose axis, memory and threads, with measurements, is in [a page of its own](crate::doc::chunked).
//!
//! # Order and results
//!
//! Chunks are numbered in the order of memory: those along the fastest axis follow each other. (A reversed axis is
//! walked in the order of its indices.) Threads claim them in that order. If closures fail, the error of the first
//! chunk with one is returned, and no further chunks are begun. A panic of a closure passes through, after the other
//! threads have finished their chunks, and leaves the arrays usable.
//!
//! Which chunks there are depends on the array and on how it is to be cut, not on threads or memory; what chunks give is
//! merged in a tree over their numbers. So [`par_map_reduce`](Chunked::par_map_reduce) gives the same bits on any number
//! of threads and for any memory, and [`accumulate`](Chunked::accumulate) for any length of chunks as well.
//!
//! # Several walks at once
//!
//! Any number of walks may go through an array at once, on as many threads, inside a rayon task, in a pool of one
//! thread, or one within another. Each keeps to its own ceiling. Where two go through the same pages, one may let go
//! of what the other will ask for again, which costs time. A walk inside another one's closure uses the same threads:
//! while it waits, a thread may begin the next chunk of the outer walk, so do not hold a lock (of your own) across an
//! inner walk that the outer one's closure also takes; rayon's own `scope` and `join` are the same.
#![forbid(unsafe_code)]
#![allow(
    unreachable_pub,
    reason = "what the sealed traits mention must be public, and is not to be reached"
)]

// From the ends to the middle: `ext` begins a `Chunked` (`builder`) over a `source`; `iter`, `for_each` and `map_into` hand its
// chunks to closures, each with its `region`; `blocks`, `lanes` and `columns` hand contiguous slices of fixed length to
// accumulators, whose results `pairwise` merges. `limit` divides the memory limit.
mod accumulate;
mod accumulator;
mod blocks;
mod builder;
mod columns;
mod elements;
mod ext;
mod for_each;
mod gather;
mod iter;
mod lanes;
mod limit;
mod map_into;
mod pairwise;
mod positions;
mod region;
mod source;
mod tiles;

pub use self::accumulator::Accumulator;
pub(crate) use self::blocks::Blocks;
pub use self::builder::Chunked;
pub(crate) use self::columns::ColumnSegments;
pub use self::elements::ElementSource;
pub(crate) use self::ext::sealed;
pub use self::ext::{ChunkedExt, ChunkedMutExt};
pub(crate) use self::lanes::LaneReader;

pub use self::iter::{Chunks, TryChunks};
pub(crate) use self::limit::{half, prefer_larger_demand};
pub use self::region::ChunkRegion;
pub use self::source::{ChunkSource, Indexed, ParallelSource, ReadOnlySource};
#[allow(unused_imports, reason = "for links in the docs")]
use ndarray::ArrayView;
