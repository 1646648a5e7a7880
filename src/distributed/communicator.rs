//! The interface to a system that sends messages between ranks.
#![forbid(unsafe_code)]

use std::io;

use super::ranks::{Envelope, exchange};
use crate::error::Result;

/// A group of ranks that exchange messages, such as an MPI communicator.
///
/// The methods are called by one thread at a time. For MPI, the level of thread support must be at
/// least `MPI_THREAD_SERIALIZED`, or all operations must be called by the main thread
/// (`MPI_THREAD_FUNNELED`).
///
/// ```
/// use std::io;
///
/// use ndarray::prelude::*;
/// use ndarray_mmap::{distributed::Communicator, prelude::*};
///
/// /// The only rank of a program that runs without other ranks.
/// struct Alone;
///
/// impl Communicator for Alone {
///     fn rank(&self) -> usize {
///         0
///     }
///
///     fn size(&self) -> usize {
///         1
///     }
///
///     fn all_gather(&self, message: &[u8]) -> io::Result<Vec<Vec<u8>>> {
///         Ok(vec![message.to_vec()])
///     }
/// }
///
/// assert_eq!(array![1.0, 2.0].chunked().across(&Alone).mean()?, 1.5);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
pub trait Communicator: Send + Sync {
    /// Returns the number of this rank, from 0.
    fn rank(&self) -> usize;

    /// Returns the number of ranks.
    fn size(&self) -> usize;

    /// Sends a message to all ranks, and returns the messages of all ranks in the order of their
    /// numbers. Lengths may differ, and may exceed 2 GiB.
    ///
    /// # Errors
    ///
    /// Fails if messages cannot be exchanged. A rank that has ended must lead to an error, or to the
    /// end of the whole job, and not to a deadlock.
    fn all_gather(&self, message: &[u8]) -> io::Result<Vec<Vec<u8>>>;
}

/// Returns a value if all ranks have one, and an error on all ranks otherwise. Every rank must call
/// it.
///
/// Use it for steps in which a single rank may fail between statistics, such as opening a file:
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::distributed::{Communicator, ThreadCommunicator, all_ok};
/// use ndarray_mmap::{NpyHeader, Result};
///
/// fn header(world: &dyn Communicator) -> Result<NpyHeader> {
///     let path = format!("no/such/part-{}.npy", world.rank());
///     all_ok(world, NpyHeader::read(path))
/// }
///
/// assert!(ThreadCommunicator::run(2, header).into_iter().all(|result| result.is_err()));
/// ```
///
/// # Errors
///
/// Returns the error of this rank if there is one, and otherwise
/// [`ErrorKind::RankFailed`](crate::ErrorKind::RankFailed) if another rank has an error. Returns
/// [`ErrorKind::RanksDisagree`](crate::ErrorKind::RanksDisagree) if another rank calls a statistic
/// instead, and [`ErrorKind::Io`](crate::ErrorKind::Io) if messages cannot be exchanged.
pub fn all_ok<T>(communicator: &dyn Communicator, result: Result<T>) -> Result<T> {
    let (value, _) = all_ok_with(communicator, "all_ok", result, |_| Vec::new())?;
    Ok(value)
}

/// Returns a value and the payloads of all ranks if all ranks have one and run the step with this
/// label, and an error on all ranks otherwise.
pub(super) fn all_ok_with<T>(
    communicator: &dyn Communicator,
    label: &str,
    result: Result<T>,
    payload: impl FnOnce(&T) -> Vec<u8>,
) -> Result<(T, Vec<Vec<u8>>)> {
    let envelope = match &result {
        Ok(value) => Envelope::Step { label: label.into(), payload: payload(value) },
        Err(error) => Envelope::failure(error),
    };
    let exchanged = exchange(communicator, &envelope);
    // A rank that fails returns its own error, which has a kind.
    let value = result?;
    Ok((value, exchanged?))
}

/// Returns the number of this rank, and the number of ranks.
///
/// # Panics
///
/// Panics if the number of the rank is not less than the number of ranks.
#[track_caller]
pub(super) fn partition(communicator: &dyn Communicator) -> (usize, usize) {
    let [rank, size] = [communicator.rank(), communicator.size()];
    assert!(rank < size, "there is no rank {rank} of {size}");
    (rank, size)
}
