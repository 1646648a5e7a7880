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
#![allow(unreachable_pub, reason = "what the sealed traits mention must be public, and is not to be reached")]

// Words that the modules below use, each for one thing:
//
// - chunk: what a closure is given. cell: a chunk's place in the grid of a `Plan`.
// - block: 64 KiB of the array in the order of the file, the leaf of `accumulate`'s tree. stretch: up to 256 indices of an axis,
//   the leaf of `accumulate_axis` and of covariances. group: some of either that a thread takes at a time.
// - portion: what of a stretch is in work at a time, if it does not fit. tile: what of a matrix is.
// - part: the share of one process of many, see `Chunked::partition`.
// - form: where an array's elements are. footprint: where those of a cell are. run: bytes of it that follow each other.
// - side: one of the arrays of a walk that lies in a mapped file. window: 2 MiB of that file, which one access can make resident.
// - unit: what is made resident or held as a whole, 64 KiB or a page.
mod accumulate;
mod accumulator;
mod blocks;
mod builder;
mod doorway;
mod elements;
mod fit;
mod footprint;
mod hits;
mod into;
mod lanes;
mod observations;
mod pager;
mod parallel;
mod pieces;
mod place;
mod plan;
mod reduce;
mod schedule;
mod shares;
mod side;
mod tree;
mod walk;

pub use self::accumulator::Accumulator;
pub(crate) use self::blocks::Blocks;
pub use self::builder::Chunked;
pub(crate) use self::doorway::sealed;
pub use self::doorway::{ChunkedExt, ChunkedMutExt};
pub use self::elements::ElementSource;
pub(crate) use self::lanes::LaneWalk;
pub(crate) use self::observations::Observations;
pub(crate) use self::pager::{Access, Grain, Pager, READY_BYTES, Registration, WINDOW_BYTES};
pub(crate) use self::parallel::threads;
pub use self::pieces::{ChunkSource, Indexed, ParallelSource, ReadOnlySource};
pub use self::place::ChunkRegion;
pub(crate) use self::shares::{half, room_for_both};
pub use self::walk::Chunks;
#[allow(unused_imports, reason = "for links in the docs")]
use ndarray::ArrayView;
