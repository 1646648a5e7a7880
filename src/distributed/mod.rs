//! Statistics over several ranks: threads, processes or machines that share the work.
//!
//! A *rank* is one of `size` participants, as in MPI. All ranks run the same program and call the
//! same operations in the same order. [`Chunked::across`] makes a statistic cover the shares of all
//! ranks of one array, and [`Chunked::concatenate_across`] the separate arrays of all ranks. Every
//! rank receives the result for the whole:
//!
//! ```
//! use ndarray::prelude::*;
//! use ndarray_mmap::distributed::{Communicator, ThreadCommunicator};
//! use ndarray_mmap::{Result, prelude::*};
//!
//! fn mean(table: &Array2<f64>, world: &dyn Communicator) -> Result<f64> {
//!     table.chunked().across(world).mean() // each rank reads its share
//! }
//!
//! let table = Array2::from_shape_fn((1_000, 64), |(i, j)| (i * j) as f64 / 7.0);
//! let means = ThreadCommunicator::run(3, |world| mean(&table, world));
//! for of_rank in means {
//!     assert_eq!(of_rank?, table.chunked().mean()?);
//! }
//! # Ok::<(), ndarray_mmap::Error>(())
//! ```
//!
//! Ranks exchange messages through a [`Communicator`], a trait with one operation, `all_gather`.
//! [`ThreadCommunicator`] implements it for threads of one process, and [`DirectoryCommunicator`] for
//! processes with a shared directory. An implementation for MPI is a short file of
//! `examples/mpi`, so this crate does not depend on MPI. A [page](crate::doc::many_machines) shows how to run a job.
//!
//! # Bitwise reproducibility
//!
//! [`across`](Chunked::across) returns the same bits for any number of ranks, including one
//! process without ranks. The partial results of a pass belong to fixed blocks of the array, and
//! are merged in a fixed binary tree. A rank reduces its share to the nodes of that tree, at most
//! two for each level, and all ranks merge the nodes of all shares in the same order.
//!
//! [`concatenate_across`](Chunked::concatenate_across) divides each array into separate blocks,
//! in the order of ranks. Exact results have the bits of one concatenated array: sums of integers,
//! counts, minima and maxima and their indices, histograms, quantiles. Sums and moments of floats depend on
//! how the elements are divided into arrays, but not on threads, memory limits or timing. They have
//! the bits of one concatenated array as well if arrays are contiguous in C order, the axis is the
//! first one, and the length of each array but the last is a multiple of the number of whole rows
//! in 64 KiB (of 1,024 rows for statistics along the axis, of 4,096 for `cov`).
//!
//! # Messages
//!
//! Each operation starts and ends with a short exchange, in which ranks compare operations and
//! report failures. Each pass in between ends with one exchange (two for quantiles:
//! counts, then elements). Histograms also compare their edges, and quantiles also exchange a sample:
//!
//! | operation | message of each rank |
//! |---|---|
//! | sums, moments, minima and maxima | up to `2 * log2(blocks)` accumulators of 32 to 200 bytes |
//! | along an axis | the same for each lane, or one accumulator for each lane of the rank |
//! | histograms | the table of counts |
//! | `cov` | up to `2 * log2(segments)` matrices |
//! | quantiles | counts, and a bounded number of elements |
//!
//! [Quantiles](Chunked::quantiles) take the passes that they take in one process, usually one or
//! two. Before the first pass, ranks exchange a sample, of up to 8 MiB in total for `f64`. Each pass then exchanges the
//! counts of each bracket, and the elements inside the brackets: all of them if they fit the share
//! of the memory limit for selection (32 MiB without a limit) in total, otherwise a sample of that
//! size.
//!
//! # Failures
//!
//! If an operation fails on one rank, it fails on all: the others return
//! [`ErrorKind::RankFailed`](crate::ErrorKind::RankFailed) with its message. A closure that panics
//! has the same effect. If ranks call different operations, or the shapes or the element types of
//! their arrays differ, all ranks return
//! [`ErrorKind::RanksDisagree`](crate::ErrorKind::RanksDisagree). Failures before the operation,
//! such as a file that one rank cannot open, are shared by [`all_ok`].
//!
//! Operations that are no statistics, such as iteration, [`par_for_each`](Chunked::par_for_each)
//! and [`map_into`](Chunked::map_into), process the share of the rank and exchange nothing.
//!
//! # Output files
//!
//! A [`MmapArrayPart`] is the part of one new file that a rank writes. Several ranks must not map
//! one whole file for writing: a mutable borrow of the whole array covers the bytes that the others
//! change, which the [contract](crate::MmapArrayOptions#safety-contract) forbids, and the
//! [lock](crate::LockPolicy) of the first rank refuses the second one.
//!
//! A [`NpyIndex`] lists files that ranks have written separately, for a later program.
//!
//! # Saved results
//!
//! A [checkpoint](Chunked::checkpoint) lets a process that was killed continue where it was, alone
//! or as a rank. Without ranks, [`job_part`](Chunked::job_part) divides a statistic into parts that
//! separate processes compute and save at any time.

// Overview: a `Communicator` exchanges bytes, a `Message` is a value as bytes, and `Ranks` is what a
// chunked operation knows about its ranks. Each statistic runs inside `Chunked::collective`, which
// compares the operations of all ranks at the start and reports failures at the end. Partial
// results are merged where a pass ends: for accumulators and matrices in `PairwiseReduction`, for
// histograms and quantiles in `Blocks`. `run_in_parts` runs each pass: it takes
// saved results from `state` and saves new ones.
mod communicator;
mod directory;
mod index;
mod message;
mod part;
mod ranks;
mod state;
#[cfg(test)]
mod tests;
mod threads;

pub use self::communicator::{Communicator, all_ok};
pub use self::directory::DirectoryCommunicator;
pub use self::index::NpyIndex;
pub(crate) use self::message::{Codec, Message, impl_message, state_is_message};
pub use self::part::MmapArrayPart;
pub(crate) use self::ranks::{JOB_THREADS, Ranks, malformed, run_in_parts};
pub(crate) use self::state::{
    SavedArray, SavedState, StateOptions, Subject, fnv1a, for_each_pass, pass_key,
};
pub use self::threads::ThreadCommunicator;
#[allow(unused_imports, reason = "for links in the docs")]
use crate::chunked::Chunked;
