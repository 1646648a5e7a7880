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
use crate::distributed::{JOB_THREADS, SavedArray, SavedState, StateOptions, Subject, fnv1a};
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::{Region, StridedLayout};
use crate::paging::operands_of;
use crate::parallel;

/// The time after which a part of a job is saved.
const JOB_INTERVAL: Duration = Duration::from_secs(60);

/// Operations that can be interrupted, and operations in parts.
impl<P: ChunkSource> Chunked<'_, P> {
    /// Saves the partial results of the operation in a directory each time an interval has elapsed,
    /// so that a program that was killed loses the work of about one interval. When the program
    /// runs again, the same call continues from the saved results, and returns the same bits as
    /// without the interruption.
    ///
    /// Statistics, [`accumulate`](Chunked::accumulate), [`accumulate_axis`](Chunked::accumulate_axis)
    /// and [`map_into`](Chunked::map_into) have checkpoints; other operations ignore this option.
    /// Each operation needs a separate directory, which is created if it does not exist. It
    /// contains a file for each pass over the data, which is replaced atomically: some kilobytes for
    /// sums and moments, the table of a histogram, and the accumulators of all lanes along an axis.
    /// For quantiles it contains up to 32 MiB (or 640 KiB for each thread, if that is more). The
    /// directory remains when the operation ends; remove it when the result is saved. Each of several
    /// [ranks](crate::distributed) uses a directory inside this one. One process at a time may run
    /// the operation.
    ///
    /// The files also contain the operation with its parameters, the shapes and memory layouts of
    /// the arrays, and the paths, numbers, sizes and modification times of the files that are read. If
    /// any of them differs, the operation fails and nothing is lost. Closures, accumulators that a
    /// closure creates, and the elements of arrays in memory are not compared: remove the directory
    /// after changing them, or after another process has stored to the file through a mapping, which
    /// does not always change the modification time. With another memory limit or number of threads, passes may start over.
    ///
    /// A target of `map_into` whose file was created again is written from the start, and so is one
    /// of which some written elements have changed. Only a sample of them is compared. Quantiles along the slowest axis are saved for parts of at least 64
    /// KiB of a row, so those of shorter rows are saved only when they are complete. Along an axis,
    /// [progress](Self::on_progress) is that of each part.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ndarray_mmap::{MmapArray, MmapArrayMut, prelude::*};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("table.npy");
    /// # let state = dir.path().join("median.state");
    /// # let mut table = unsafe { MmapArrayMut::<f32, _>::create_npy(&path, (1_000, 40)) }?;
    /// # table.fill(2.5);
    /// # table.close()?;
    /// // SAFETY: no process modifies the file.
    /// let table = unsafe { MmapArray::<f32, ndarray::Ix2>::open_npy(&path) }?;
    /// let chunked = table.chunked().checkpoint(&state, Duration::from_secs(60));
    /// assert_eq!(chunked.quantile(0.5, Default::default())?, 2.5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Operations return, in addition to their own errors, [`ErrorKind::InvalidState`] if a file of
    /// the directory is not of this operation on these arrays, [`ErrorKind::Io`] if one cannot be
    /// read or written, and [`ErrorKind::Unsupported`] for a statistic of a
    /// [partition](Self::partition), for accumulators without
    /// [`write_state`](crate::Accumulator::write_state), and for mapped arrays that are not opened
    /// for reading, because their changes cannot be recognized.
    pub fn checkpoint(self, directory: impl Into<PathBuf>, interval: Duration) -> Self {
        self.with_state(StateOptions {
            directory: directory.into(),
            part: (0, 1),
            is_job: false,
            interval,
        })
    }

    /// Computes one of `count` parts of each pass of a statistic, and saves its result in a
    /// directory. When the results of all parts are there, the same call merges them, and returns
    /// the result for the whole array, with the same bits as without parts.
    ///
    /// Parts are computed by separate processes at any time, in any order, one after the other or
    /// on many machines with a shared directory, such as the tasks of a job array. Until all parts
    /// exist, the call fails with [`ErrorKind::PartsMissing`]. For a statistic of one pass, such as
    /// the mean, each part is called once, and the call that computes the last part returns the
    /// result. A statistic of several passes, such as [quantiles](Chunked::quantiles), [central
    /// moments](Chunked::central_moments) and [histograms](Chunked::histogram) with an inferred range,
    /// calls all parts once for each pass.
    ///
    /// The directory is created if it does not exist. Each operation needs a separate one.
    /// It contains a file for each part of each pass, which is compared and replaced as by
    /// [`checkpoint`](Self::checkpoint): a part that was killed continues with the work of the last
    /// minute. The memory limits of all processes must be equal. A partition or a checkpoint that
    /// was set before is replaced. Iteration and the methods `par_...` ignore this option and process
    /// the whole array. Quantiles along the slowest axis of an array with rows of less than 64 KiB
    /// are computed by one of the parts alone.
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
    /// Statistics return, in addition to their own errors, [`ErrorKind::PartsMissing`] as above, and
    /// the errors of [`checkpoint`](Self::checkpoint). [`map_into`](Chunked::map_into),
    /// [`argwhere`](Chunked::argwhere), operations across [ranks](Self::across), and operations with a
    /// memory limit on more than 128 threads return [`ErrorKind::Unsupported`].
    ///
    /// # Panics
    ///
    /// Panics if `part` is not less than `count`.
    #[track_caller]
    pub fn job_part(self, directory: impl Into<PathBuf>, part: usize, count: usize) -> Self {
        assert!(part < count, "there is no part {part} of {count}");
        let config = ChunkConfig { partition: (0, 1), ..self.config };
        let chunked = Self { config, ..self };
        let (directory, part) = (directory.into(), (part, count));
        chunked.with_state(StateOptions { directory, part, is_job: true, interval: JOB_INTERVAL })
    }

    fn with_state(self, state: StateOptions) -> Self {
        Self { config: ChunkConfig { state: Some(state), ..self.config }, ..self }
    }

    /// Checks that the operation is not a part of a job.
    pub(crate) fn check_no_job(&self, name: &str) -> Result<()> {
        if self.config.state.as_ref().is_none_or(|state| !state.is_job) {
            return Ok(());
        }
        let reason = format!("{name} does not run in parts of a job; use `partition`");
        self.with_path(Err(ErrorKind::Unsupported { reason }.at(None)))
    }

    /// Opens the saved state of an operation, if one is requested.
    pub(super) fn open_state(
        &self,
        operation: String,
        rank: (usize, usize),
        shapes: Vec<Vec<usize>>,
    ) -> Result<Option<SavedState>> {
        let Some(options) = &self.config.state else { return Ok(None) };
        let is_job = options.is_job;
        let unsupported = |reason: String| Err(ErrorKind::Unsupported { reason }.at(None));
        if is_job && rank.1 > 1 {
            let reason = "parts of a job have no ranks; use either `job_part` or `across`";
            return unsupported(reason.into());
        }
        let threads = parallel::threads();
        if is_job && self.config.memory_limit.is_some() && threads > JOB_THREADS {
            return unsupported(format!(
                "expected at most {JOB_THREADS} threads in a part of a job with a memory limit, \
                 found {threads}; set `RAYON_NUM_THREADS={JOB_THREADS}`"
            ));
        }
        let arrays = saved_arrays(&self.source)?;
        let memory_limit = self.config.memory_limit.filter(|_| is_job);
        let subject = Subject { operation, rank, shapes, memory_limit, arrays };
        SavedState::open(options.clone(), subject).map(Some)
    }

    /// Adds the arrays of another operation to the description in the saved state, because the
    /// result depends on them.
    pub(crate) fn with_saved_arrays_of<Q: ChunkSource>(
        self,
        other: &Chunked<'_, Q>,
    ) -> Result<Self> {
        self.with_saved(|| saved_arrays(&other.source))
    }

    /// Adds numbers to the description in the saved state, because the result depends on them.
    pub(crate) fn with_saved_numbers(self, numbers: &[f64]) -> Result<Self> {
        self.with_saved(|| {
            let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
            let (shape, version) = (vec![numbers.len()], fnv1a(&bytes).into());
            Ok(vec![SavedArray { shape, version, ..SavedArray::default() }])
        })
    }

    /// Adds arrays to the description, if there is a saved state.
    fn with_saved(mut self, arrays: impl FnOnce() -> Result<Vec<SavedArray>>) -> Result<Self> {
        if let Some(ranks) = self.config.ranks.take() {
            self.config.ranks = Some(match ranks.state().cloned() {
                Some(state) => ranks.with_state(state.with_arrays(&arrays()?)),
                None => ranks,
            });
        }
        Ok(self)
    }
}

/// Describes the arrays of a source, and the files that contain them.
pub(super) fn saved_arrays(source: &impl ChunkSource) -> Result<Vec<SavedArray>> {
    let shape = source.source_shape();
    let layouts = layouts_of(source).into_iter();
    let arrays = layouts.map(|layout| saved_array(layout, shape.slice()));
    let mut arrays = arrays.collect::<Result<Vec<_>>>()?;
    arrays.append(&mut source.saved_files()?);
    Ok(arrays)
}

/// Describes an array, and the file that contains it.
pub(super) fn saved_array(layout: StridedLayout, shape: &[usize]) -> Result<SavedArray> {
    let byte_strides = layout.byte_strides.clone();
    let mut array = SavedArray { shape: shape.to_vec(), byte_strides, ..SavedArray::default() };
    let operand = operands_of(slice::from_ref(&layout), shape).next();
    let Some(pager) = operand.map(|operand| operand.pager) else { return Ok(array) };
    let (Some(path), Some(version)) = (pager.path(), pager.file_version()?) else {
        return Ok(array);
    };
    let absolute = std::path::absolute(path)
        .map_err(|error| Error::io("find the absolute path of", Some(path), error))?;
    array.path = Some(absolute.to_string_lossy().into_owned());
    let first = layout.footprint(&Region::whole(shape)).byte_range().start;
    array.offset = first.wrapping_sub(pager.file_origin()) as u64;
    if !layout.writes {
        if !version.is_read_only {
            let reason = "changes of a mapped array that is not opened for reading cannot be \
                          recognized when a saved state is used; open it as `MmapArray`, or call \
                          `freeze`";
            return Err(ErrorKind::Unsupported { reason: reason.into() }.at(path));
        }
        array.file_id = version.id;
        array.file_bytes = version.bytes;
        array.version = version.modified;
    }
    Ok(array)
}
