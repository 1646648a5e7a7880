//! How a walk's memory is divided between pages and results, and what else statistics ask of a walk.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use ndarray::{Axis, Dimension};

use super::builder::{Chunked, How, forms_of};
use super::pieces::ChunkSource;
use super::schedule::Memory;
use super::side::Side;
use crate::error::{Error, ErrorKind, Result};
use crate::machine;

/// What is for pages beside partial results.
pub(super) fn three_quarters(bytes: usize) -> usize {
    bytes - bytes / 4
}

/// What is for pages beside elements that are kept.
pub(crate) fn half(bytes: usize) -> usize {
    bytes / 2
}

/// The path of the first of these arrays that lies in a file with a path.
pub(super) fn path_of<P: ChunkSource>(pieces: &P) -> Option<PathBuf> {
    let mut sides = forms_of(pieces).into_iter().filter_map(|form| Side::of(form, &pieces.shape()));
    sides.find_map(|side| side.pager.path().map(Path::to_path_buf))
}

/// Returns the second result, or the error of the one that needs more memory.
pub(crate) fn room_for_both<T>(first: Result<()>, second: Result<T>) -> Result<T> {
    let needed = |error: &Error| match *error.kind() {
        ErrorKind::MemoryLimitExceeded { needed, .. } => needed,
        _ => usize::MAX,
    };
    match (first, second) {
        (Err(first), Err(second)) if needed(&second) > needed(&first) => Err(second),
        (Err(first), _) => Err(first),
        (Ok(()), second) => second,
    }
}

impl<'a, P: ChunkSource> Chunked<'a, P> {
    /// The same memory, NaNs and progress as another walk has.
    pub(crate) fn told_as<Q: ChunkSource>(self, other: &Chunked<'a, Q>) -> Self {
        let How { memory, skip_nan, progress, .. } = &other.how;
        Self { how: How { memory: *memory, skip_nan: *skip_nan, progress: progress.clone(), ..self.how }, ..self }
    }

    pub(crate) fn memory_ceiling(&self) -> Option<usize> {
        self.how.memory
    }

    /// An error that names no file names that of the array, or of the first of several that lies in one.
    pub(crate) fn named<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.or_at(|| path_of(&self.pieces)))
    }

    /// The error for another array, whose shape is not the one expected with this one. It names both arrays.
    pub(crate) fn mismatch(&self, expected: &[usize], other: &impl ChunkSource) -> Error {
        let paths = [path_of(&self.pieces), path_of(other)];
        let path = paths.iter().rev().flatten().next().cloned();
        let (expected, found) = (expected.to_vec(), other.shape().slice().to_vec());
        ErrorKind::ShapeMismatch { expected, found, paths: Some(paths) }.at(path.as_deref())
    }

    /// An error about a part of a ceiling, as one about all of it: `partition` tells what of it that is.
    pub(crate) fn of_all_memory<T>(&self, result: Result<T>, part: impl Fn(usize) -> usize) -> Result<T> {
        result.map_err(|error| match (error.kind(), self.how.memory) {
            (&ErrorKind::MemoryLimitExceeded { needed, .. }, Some(budget)) => {
                let mut all = needed;
                while all < usize::MAX && part(all) < needed {
                    // What is kept aside grows too, but more slowly.
                    let missing = needed - part(all);
                    all = if missing < needed { all.saturating_add(missing) } else { all.saturating_mul(2) };
                }
                ErrorKind::MemoryLimitExceeded { needed: all, limit: budget }.at(error.path())
            }
            _ => error,
        })
    }

    /// Is there room for what is held in memory beside the pages? A quarter of the ceiling is, or of the computer's memory.
    pub(crate) fn room_for(&self, bytes: usize) -> Result<()> {
        let available = self.how.memory.unwrap_or_else(machine::most_memory_bytes) / 4;
        if bytes <= available {
            return Ok(());
        }
        let kind = match self.how.memory {
            Some(budget) => ErrorKind::MemoryLimitExceeded { needed: bytes.saturating_mul(4), limit: budget },
            None => ErrorKind::InsufficientMemory { needed: bytes, available },
        };
        self.named(Err(kind.at(None)))
    }

    /// Lowers the memory limit by bytes that are kept besides.
    pub(crate) fn keeping(self, bytes: usize) -> Self {
        let memory = self.how.memory.map(|memory| memory.saturating_sub(bytes));
        Self { how: How { memory, ..self.how }, ..self }
    }

    pub(crate) fn shape(&self) -> P::Dim {
        self.pieces.shape()
    }

    pub(crate) fn len_of(&self, axis: Axis) -> usize {
        self.pieces.shape()[axis.index()]
    }

    pub(crate) fn skips_nan(&self) -> bool {
        self.how.skip_nan
    }

    /// What is for pages where as much is kept.
    pub(super) fn memory_beside_tables(&self) -> Memory {
        match self.how.memory {
            Some(bytes) => Memory::Ceiling(half(bytes)),
            None => Memory::Machine(machine::memory_bytes()),
        }
    }

    /// What is for pages and what for partial results: a quarter of a ceiling, or if there is none what is given.
    pub(super) fn memory_beside_state(&self, default: usize) -> (Memory, usize) {
        match self.how.memory {
            Some(bytes) if default > 0 => (Memory::Ceiling(three_quarters(bytes)), bytes - three_quarters(bytes)),
            Some(bytes) => (Memory::Ceiling(bytes), 0),
            None => (Memory::Machine(machine::memory_bytes()), default),
        }
    }
}
