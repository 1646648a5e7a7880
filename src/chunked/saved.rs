//! Saved states of operations: the methods that request them, and the description of arrays by
//! which the state of another operation is recognized.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::slice;
use std::time::Duration;

use ndarray::Dimension;

use super::Chunked;
use super::config::ChunkConfig;
use super::division::layouts_of;
use super::source::ChunkSource;
use crate::distributed::{SavedArray, SavedState, StateOptions, Subject};
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::{Region, StridedLayout};
use crate::paging::operands_of;
use crate::parallel;

/// Operations that can be interrupted, and operations in parts.
impl<P: ChunkSource> Chunked<'_, P> {
    /// Saves the state of the operation in a file after each `interval`, so that a program that was
    /// killed loses the work of one interval at most. When the program runs again, the same call
    /// continues from the saved state, and returns the same bits as without the interruption.
    ///
    /// Statistics, [`accumulate`](Chunked::accumulate), [`accumulate_axis`](Chunked::accumulate_axis)
    /// and [`map_into`](Chunked::map_into) have checkpoints; other operations ignore this option.
    /// The file is replaced atomically, and contains partial results: some kilobytes for sums and
    /// moments, the table for histograms, the results so far along an axis, and up to 32 MiB for
    /// each pass of quantiles. Each operation needs a file of its own. The file remains when the
    /// operation ends; remove it when the result is saved. In a job of several
    /// [ranks](crate::distributed), each rank appends its number to the name of the file.
    ///
    /// The file also contains the operation with its parameters, the shapes and memory layouts of
    /// the arrays, and the paths, sizes and modification times of the files that are read. If any of
    /// them differs, the operation fails and nothing is lost. Closures, accumulators that a closure
    /// creates, and the elements of arrays in memory are not compared: remove the file after
    /// changing them. With another memory limit or number of threads, an unfinished pass may start
    /// over.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ndarray_mmap::{MmapArray, MmapArrayMut, prelude::*};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// # let state = dir.path().join("median.state");
    /// # MmapArrayMut::<f32, _>::create_npy(&path, (1_000, 40))?.fill(2.5);
    /// // SAFETY: no process modifies the file.
    /// let table = unsafe { MmapArray::<f32, ndarray::Ix2>::open_npy(&path) }?;
    /// let chunked = table.chunked().checkpoint(&state, Duration::from_secs(60));
    /// assert_eq!(chunked.quantile(0.5, Default::default())?, 2.5);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Operations return, in addition to their own errors, [`ErrorKind::InvalidState`] if the file
    /// is not the state of this operation on these arrays, [`ErrorKind::Io`] if it cannot be read or
    /// written, and [`ErrorKind::Unsupported`] for a statistic of a [partition](Self::partition),
    /// and for accumulators without [`write_state`](crate::Accumulator::write_state).
    pub fn checkpoint(self, path: impl Into<PathBuf>, interval: Duration) -> Self {
        self.with_state(StateOptions::Checkpoint { path: path.into(), interval })
    }

    /// Computes one of `count` parts of each pass of a statistic, and saves its result in a
    /// directory. When the results of all parts are there, the same call merges them, and returns
    /// the result for the whole array, with the same bits as without parts.
    ///
    /// Parts are computed by separate processes at any time, in any order, one after the other or
    /// on many machines with a shared directory, such as the tasks of a job array. Until all parts
    /// exist, the call fails with [`ErrorKind::PartsMissing`]. Statistics of one pass, such as the
    /// mean, need one call for each part and one more for the result. [Quantiles](Chunked::quantiles)
    /// and histograms with an inferred range take more passes, usually two, and every part is called
    /// once for each pass.
    ///
    /// The directory is created if it does not exist. Each operation needs a directory of its own.
    /// Its files contain the description of the operation and of its files, which is compared as by
    /// [`checkpoint`](Self::checkpoint). All processes must have the same memory limit. A partition,
    /// a checkpoint or another part that was set before is replaced.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ErrorKind, prelude::*};
    ///
    /// let table = Array2::from_shape_fn((10_000, 64), |(i, j)| ((i * 7 + j) as f64).sin());
    /// # let dir = tempfile::tempdir()?;
    /// # let job = dir.path().join("std.job");
    /// let part = |part| table.chunked().job_part(&job, part, 3).std(0.0);
    /// assert!(matches!(part(2).unwrap_err().kind(), ErrorKind::PartsMissing { .. }));
    /// assert!(matches!(part(0).unwrap_err().kind(), ErrorKind::PartsMissing { .. }));
    /// assert_eq!(part(1)?, table.chunked().std(0.0)?); // the last part also merges
    /// assert_eq!(part(0)?, table.chunked().std(0.0)?); // nothing is left to compute
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Statistics return, in addition to their own errors, [`ErrorKind::PartsMissing`] as above,
    /// [`ErrorKind::InvalidState`] if a file of the directory is of another operation, and
    /// [`ErrorKind::Io`] if one cannot be read or written. [`map_into`](Chunked::map_into) and
    /// operations across [ranks](Self::across) return [`ErrorKind::Unsupported`].
    ///
    /// # Panics
    ///
    /// Panics if `part` is not less than `count`.
    #[track_caller]
    pub fn job_part(self, directory: impl Into<PathBuf>, part: usize, count: usize) -> Self {
        assert!(part < count, "there is no part {part} of {count}");
        let config = ChunkConfig { partition: (0, 1), ..self.config };
        let chunked = Self { config, ..self };
        chunked.with_state(StateOptions::Job { directory: directory.into(), part, count })
    }

    fn with_state(self, state: StateOptions) -> Self {
        Self { config: ChunkConfig { state: Some(state), ..self.config }, ..self }
    }

    /// Reads the saved state of an operation, if one is requested.
    pub(super) fn open_state(
        &self,
        operation: String,
        rank: (usize, usize),
    ) -> Result<Option<SavedState>> {
        let Some(options) = &self.config.state else { return Ok(None) };
        if matches!(options, StateOptions::Job { .. }) && rank.1 > 1 {
            let reason = "parts of a job have no ranks; use either `job_part` or `across`";
            let kind = ErrorKind::Unsupported { reason: reason.into() };
            return Err(kind.at(None));
        }
        let shape = self.source.source_shape();
        let layouts = layouts_of(&self.source).into_iter();
        let arrays = layouts.map(|layout| saved_array(layout, shape.slice()));
        let subject = Subject { operation, rank, arrays: arrays.collect::<Result<_>>()? };
        let limit = self.config.memory_limit;
        SavedState::open(options, subject, parallel::threads(), limit).map(Some)
    }
}

/// Describes an array, and the file that contains it.
fn saved_array(layout: StridedLayout, shape: &[usize]) -> Result<SavedArray> {
    let strides = layout.byte_strides.clone();
    let mut array =
        SavedArray { path: None, layout: (shape.to_vec(), strides, 0), version: (0, 0) };
    let operand = operands_of(slice::from_ref(&layout), shape).next();
    let Some(pager) = operand.map(|operand| operand.pager) else { return Ok(array) };
    let Some(path) = pager.path() else { return Ok(array) };
    let io_error = |error| Error::io("identify the file", Some(path), error);
    let absolute = std::path::absolute(path).map_err(io_error)?;
    array.path = Some(absolute.to_string_lossy().into_owned());
    let first = layout.footprint(&Region::whole(shape)).byte_range().start;
    array.layout.2 = first.wrapping_sub(pager.file_origin()) as u64;
    if let Some(version) = pager.file_version()?.filter(|_| !layout.writes) {
        array.version = (version.bytes, version.modified);
    }
    Ok(array)
}
