//! Checkpoints of operations: the method that requests them, and the description of the arrays by
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
use crate::distributed::{Checkpoint, CheckpointOptions, SavedArray, Subject};
#[allow(unused_imports, reason = "for links in the docs")]
use crate::error::ErrorKind;
use crate::error::{Error, Result};
use crate::geometry::{Region, StridedLayout};
use crate::paging::operands_of;

/// Operations that can be interrupted.
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
    /// Operations return, in addition to their own errors, [`ErrorKind::InvalidCheckpoint`] if the
    /// file is not the state of this operation on these arrays, [`ErrorKind::Io`] if it cannot be
    /// read or written, and [`ErrorKind::Unsupported`] for a statistic of a
    /// [partition](Self::partition), and for accumulators without
    /// [`write_state`](crate::Accumulator::write_state).
    pub fn checkpoint(self, path: impl Into<PathBuf>, interval: Duration) -> Self {
        let checkpoint = Some(CheckpointOptions { path: path.into(), interval });
        Self { config: ChunkConfig { checkpoint, ..self.config }, ..self }
    }

    /// Reads the state of an operation with a checkpoint.
    pub(super) fn open_checkpoint(
        &self,
        operation: String,
        rank: (usize, usize),
    ) -> Result<Option<Checkpoint>> {
        let Some(options) = &self.config.checkpoint else { return Ok(None) };
        let mut options = options.clone();
        if rank.1 > 1 {
            let mut path = options.path.into_os_string();
            path.push(format!(".rank-{}-of-{}", rank.0, rank.1));
            options.path = path.into();
        }
        let shape = self.source.source_shape();
        let layouts = layouts_of(&self.source).into_iter();
        let arrays = layouts.map(|layout| saved_array(layout, shape.slice()));
        let subject = Subject { operation, rank, arrays: arrays.collect::<Result<_>>()? };
        Checkpoint::open(&options, subject, rank.1 > 1).map(Some)
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
