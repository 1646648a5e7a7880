//! Saved partial results, with which an operation is resumed by the same process or merged by
//! another one.
//!
//! An operation that is called again runs the same passes in the same order, and takes the results
//! of passes from files where they exist. Each partial result has a key, which depends on everything
//! that its meaning depends on. Where the keys differ, for example because the number of threads
//! has changed, the pass runs again.
#![forbid(unsafe_code)]

mod checkpoint;
mod file;
mod job;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::checkpoint::Checkpoint;
pub(crate) use self::file::{SavedArray, Subject, pass_key};
use self::job::Job;
use super::Codec;
use crate::error::{ErrorKind, Result};

/// How the partial results of an operation are saved.
#[derive(Clone, Debug)]
pub(crate) enum StateOptions {
    /// In one file, each time an interval has elapsed.
    Checkpoint { path: PathBuf, interval: Duration },
    /// In a directory with one file for each part of a pass. This process computes one part.
    Job { directory: PathBuf, part: usize, count: usize },
}

/// The saved state of a running operation.
pub(crate) enum SavedState {
    Checkpoint(Checkpoint),
    Job(Job),
}

impl SavedState {
    /// Reads the state of an operation, if it exists.
    pub(crate) fn open(
        options: &StateOptions,
        subject: Subject,
        threads: usize,
        memory_limit: Option<usize>,
    ) -> Result<Self> {
        match options.clone() {
            StateOptions::Checkpoint { mut path, interval } => {
                let (rank, size) = subject.rank;
                if size > 1 {
                    path.as_mut_os_string().push(format!(".rank-{rank}-of-{size}"));
                }
                Checkpoint::open(path, interval, subject, size > 1).map(Self::Checkpoint)
            }
            StateOptions::Job { directory, part, count } => {
                Job::open(directory, (part, count), subject, threads, memory_limit).map(Self::Job)
            }
        }
    }

    /// Returns the number of threads on which the meaning of partial results depends, if it is not
    /// that of this process.
    pub(super) fn threads(&self) -> Option<usize> {
        match self {
            Self::Checkpoint(_) => None,
            Self::Job(job) => Some(job.threads()),
        }
    }

    /// Runs a pass over `items` items in parts, and merges their results. `pass` returns the result
    /// of a range of items, and `merge` that of two consecutive ranges. If there are no items,
    /// `pass` is called with an empty range.
    pub(crate) fn run_in_parts<T>(
        &self,
        key: u64,
        items: usize,
        codec: &Codec<'_, T>,
        merge: &dyn Fn(T, T) -> T,
        pass: &dyn Fn(Range<usize>) -> Result<T>,
    ) -> Result<T> {
        match self {
            Self::Checkpoint(checkpoint) => checkpoint.run_in_parts(key, items, codec, merge, pass),
            Self::Job(job) => job.run_in_parts(key, items, codec, merge, pass),
        }
    }
}

/// Calls a closure for each of several passes, which do not depend on each other's results, until
/// one fails. If parts of a job are missing, the closure is called for the other passes all the
/// same, so that this process computes its part of all of them.
pub(crate) fn for_each_pass<T>(
    passes: impl IntoIterator<Item = T>,
    mut run: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let mut missing = Ok(());
    for pass in passes {
        match run(pass) {
            Err(error) if matches!(error.kind(), ErrorKind::PartsMissing { .. }) => {
                missing = missing.and(Err(error));
            }
            result => result?,
        }
    }
    missing
}

fn encode<T>(value: &T, codec: &Codec<'_, T>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    (codec.encode)(value, &mut bytes)?;
    Ok(bytes)
}

fn decode<T>(mut bytes: &[u8], codec: &Codec<'_, T>, path: &Path) -> Result<T> {
    let value = (codec.decode)(&mut bytes).filter(|_| bytes.is_empty());
    value.ok_or_else(|| file::invalid(path, "a partial result is malformed"))
}
