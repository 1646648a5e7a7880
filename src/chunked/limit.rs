//! Division of the memory limit between pages and results, and other helpers for statistics.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use ndarray::{Axis, Dimension};

use super::builder::Chunked;
use super::config::ChunkConfig;
use super::division::layouts_of;
use super::source::{ArraySource, ChunkSource};
use crate::error::{Error, ErrorKind, Result};
use crate::paging::{MemoryLimit, operands_of};
use crate::system;

/// Returns the share of a memory limit for pages if partial results use the rest.
pub(super) fn three_quarters(bytes: usize) -> usize {
    bytes - bytes / 4
}

/// Returns the share of a memory limit for pages if copied elements use the rest.
pub(crate) fn half(bytes: usize) -> usize {
    bytes / 2
}

/// Returns the path of the first array that is stored in a file with a path.
pub(crate) fn path_of<P: ChunkSource>(source: &P) -> Option<PathBuf> {
    let mapped = operands_of(&layouts_of(source), source.source_shape().slice())
        .find_map(|operand| operand.pager.path().map(Path::to_path_buf));
    mapped.or_else(|| source.read_path())
}

/// Returns the second result, or the error with the larger memory demand.
pub(crate) fn prefer_larger_demand<T>(first: Result<()>, second: Result<T>) -> Result<T> {
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

impl<'w, P: ArraySource, Q: ArraySource<Dim = P::Dim>> Chunked<'w, (P, Q)> {
    /// Returns each of two whole arrays as a separate operation with the same memory limit, or
    /// `None` for a partition or several ranks.
    pub(crate) fn split_operands(&self) -> Option<(Chunked<'w, P>, Chunked<'w, Q>)> {
        let (first, second) = self.source.clone();
        (self.config.partition == (0, 1) && self.config.ranks.is_none()).then(|| {
            (Chunked::new(first).inherit_config(self), Chunked::new(second).inherit_config(self))
        })
    }
}

impl<'a, P: ChunkSource> Chunked<'a, P> {
    /// Copies memory limit, NaN handling and progress callback of another operation.
    pub(crate) fn inherit_config<Q: ChunkSource>(self, other: &Chunked<'a, Q>) -> Self {
        let ChunkConfig { memory_limit, skip_nan, progress, .. } = &other.config;
        Self {
            config: ChunkConfig {
                memory_limit: *memory_limit,
                skip_nan: *skip_nan,
                progress: progress.clone(),
                ..self.config
            },
            ..self
        }
    }

    pub(crate) fn memory_limit_bytes(&self) -> Option<usize> {
        self.config.memory_limit
    }

    /// Returns the path of the first array that is stored in a file with a path.
    fn path(&self) -> Option<PathBuf> {
        self.config.path.map(Path::to_path_buf).or_else(|| path_of(&self.source))
    }

    /// Adds the path of the first array stored in a file to an error without a path.
    pub(crate) fn with_path<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.or_at(|| self.path()))
    }

    /// Returns the error for an array whose shape differs from the expected one. It contains the
    /// paths of both arrays.
    pub(crate) fn shape_mismatch(&self, expected: &[usize], other: &impl ChunkSource) -> Error {
        let paths = [self.path(), path_of(other)];
        let path = paths.iter().rev().flatten().next().cloned();
        let expected = expected.to_vec();
        let found = other.source_shape().slice().to_vec();
        ErrorKind::ShapeMismatch { expected, found, paths: Some(paths) }.at(path.as_deref())
    }

    /// Converts an error about a share of the memory limit to one about the whole limit. `part`
    /// returns the share of a limit.
    pub(crate) fn rescale_limit_error<T>(
        &self,
        result: Result<T>,
        part: impl Fn(usize) -> usize,
    ) -> Result<T> {
        result.map_err(|error| match (error.kind(), self.config.memory_limit) {
            (&ErrorKind::MemoryLimitExceeded { needed, .. }, Some(limit)) => {
                let mut all = needed;
                while all < usize::MAX && part(all) < needed {
                    // The rest of the limit grows too, but more slowly.
                    let missing = needed - part(all);
                    all = if missing < needed {
                        all.saturating_add(missing)
                    } else {
                        all.saturating_mul(2)
                    };
                }
                let kind = ErrorKind::MemoryLimitExceeded { needed: all, limit };
                kind.at(error.path()).or_at(|| self.path())
            }
            _ => error,
        })
    }

    /// Checks that results of this size fit into a quarter of the memory limit, or of system memory
    /// if there is no limit.
    /// `remedy` is the advice to a user without a limit.
    pub(crate) fn check_fits_in_memory(&self, bytes: usize, remedy: &'static str) -> Result<()> {
        let available = self.config.memory_limit.unwrap_or_else(system::ram_bytes_or_max) / 4;
        if bytes <= available {
            return Ok(());
        }
        let kind = match self.config.memory_limit {
            Some(limit) => {
                ErrorKind::MemoryLimitExceeded { needed: bytes.saturating_mul(4), limit }
            }
            None => ErrorKind::InsufficientMemory { needed: bytes, available, remedy },
        };
        self.with_path(Err(kind.at(None)))
    }

    /// Checks that no mapped file was truncated.
    pub(crate) fn check_files(&self) -> Result<()> {
        let shape = self.source.source_shape();
        operands_of(&layouts_of(&self.source), shape.slice())
            .try_for_each(|operand| operand.pager.check())
    }

    /// Reduces the memory limit by bytes that are allocated in addition.
    pub(crate) fn reserve_memory(self, bytes: usize) -> Self {
        let memory_limit = self.config.memory_limit.map(|limit| limit.saturating_sub(bytes));
        Self { config: ChunkConfig { memory_limit, ..self.config }, ..self }
    }

    pub(crate) fn shape(&self) -> P::Dim {
        self.source.source_shape()
    }

    pub(crate) fn len_of(&self, axis: Axis) -> usize {
        self.source.source_shape()[axis.index()]
    }

    pub(crate) fn skips_nan(&self) -> bool {
        self.config.skip_nan
    }

    /// Returns the memory limit for pages if tables use the other half.
    pub(super) fn half_memory_limit(&self) -> MemoryLimit {
        match self.config.memory_limit {
            Some(bytes) => MemoryLimit::Hard(half(bytes)),
            None => MemoryLimit::Soft(system::ram_bytes_or_default()),
        }
    }

    /// Returns the memory limit for pages and the number of bytes for partial results: a quarter of
    /// the memory limit, or `default` bytes if there is no limit.
    pub(super) fn split_memory_limit(&self, default: usize) -> (MemoryLimit, usize) {
        match self.config.memory_limit {
            Some(bytes) if default > 0 => {
                (MemoryLimit::Hard(three_quarters(bytes)), bytes - three_quarters(bytes))
            }
            Some(bytes) => (MemoryLimit::Hard(bytes), 0),
            None => (MemoryLimit::Soft(system::ram_bytes_or_default()), default),
        }
    }
}
