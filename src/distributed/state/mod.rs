//! Saved partial results, with which an operation is resumed by the same process or merged by
//! another one.
//!
//! An operation that is called again runs the same passes in the same order. A pass is divided into
//! the parts of a job (one part if there is no job), and the result of each part is a file in a
//! directory. A process computes one part, saves its result each time an interval has elapsed, and
//! continues it when it is started again. If the results of all parts are complete, it merges them
//! and goes on to the next pass.
//!
//! A file contains the description of the operation and of its arrays, by which the results of
//! other operations are recognized, and the key of the pass. The key depends on everything else
//! that the meaning of a partial result depends on, such as the brackets of quantiles. If it
//! differs, for example because the memory limit was changed, the part is computed again.
#![forbid(unsafe_code)]

mod file;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::file::invalid;
pub(crate) use self::file::{SavedArray, Subject, fnv1a, pass_key};
use super::message::{Codec, impl_message};
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::partition_start;

/// The number of steps of a pass in the time between two saves, so that the time is exceeded by
/// little.
const STEPS_PER_INTERVAL: u32 = 8;

/// The bytes of results of complete passes that are kept in memory until they are saved.
const MAX_UNSAVED_BYTES: usize = 1 << 20;

/// The directory and the interval of saved results.
#[derive(Clone, Debug)]
pub(crate) struct StateOptions {
    pub(crate) directory: PathBuf,
    /// The number of the part that this process computes, and the number of parts.
    pub(crate) part: (usize, usize),
    /// True if the parts are those of a job, which other processes may compute.
    pub(crate) is_job: bool,
    pub(crate) interval: Duration,
}

/// The result of a part of a pass.
struct PartResult {
    key: u64,
    /// The number of items of the part that are contained in the result.
    done: usize,
    result: Vec<u8>,
}

impl_message! { PartResult { key, done, result } }

/// The saved state of a running operation.
#[derive(Clone)]
pub(crate) struct SavedState {
    options: StateOptions,
    subject: Subject,
    /// True if other processes wait for the results of this one.
    is_shared: bool,
    progress: Arc<Progress>,
}

/// The conversion of results to bytes, and the functions that merge and compute them.
type PassFunctions<'f, 'c, T> =
    (&'f Codec<'c, T>, &'f dyn Fn(T, T) -> T, &'f dyn Fn(Range<usize>) -> Result<T>);

struct Progress {
    /// The number of passes that have been started.
    passes: AtomicUsize,
    unsaved: Mutex<Unsaved>,
}

/// Results that are not saved yet, by the number of the pass.
struct Unsaved {
    results: BTreeMap<usize, PartResult>,
    last_save: Instant,
}

impl Unsaved {
    /// Adds the result of a pass, and returns the number of bytes of all results.
    fn insert(&mut self, number: usize, result: PartResult) -> usize {
        self.results.insert(number, result);
        self.results.values().map(|unsaved| unsaved.result.len()).sum()
    }
}

impl SavedState {
    /// Creates the directory if it does not exist.
    pub(crate) fn open(mut options: StateOptions, subject: Subject) -> Result<Self> {
        let (rank, size) = subject.rank;
        if size > 1 {
            options.directory.push(format!("rank-{rank}-of-{size}"));
        }
        let directory = &options.directory;
        fs::create_dir_all(directory)
            .map_err(|error| Error::io("create the directory", Some(directory), error))?;
        let is_shared = size > 1 || options.is_job;
        let unsaved = Unsaved { results: BTreeMap::new(), last_save: Instant::now() };
        let progress = Progress { passes: AtomicUsize::new(0), unsaved: Mutex::new(unsaved) };
        Ok(Self { options, subject, is_shared, progress: Arc::new(progress) })
    }

    /// Adds arrays on which all later passes depend.
    pub(crate) fn with_arrays(mut self, arrays: &[SavedArray]) -> Self {
        self.subject.arrays.extend_from_slice(arrays);
        self
    }

    /// Returns whether the state is that of a part of a job.
    pub(super) fn is_job(&self) -> bool {
        self.options.is_job
    }

    /// Runs a pass over `items` items, from the first item that is not contained in the saved
    /// result, and merges the results of all parts. If `has_changed` returns `true` for the saved
    /// result of the own part, the part runs from its start.
    ///
    /// `pass` returns the result of a range of items, and `merge` that of two consecutive ranges.
    /// If there are no items, `pass` is called with an empty range.
    pub(crate) fn run_in_parts<T>(
        &self,
        key: u64,
        items: usize,
        codec: &Codec<'_, T>,
        merge: &dyn Fn(T, T) -> T,
        pass: &dyn Fn(Range<usize>) -> Result<T>,
        has_changed: &dyn Fn(&T) -> Result<bool>,
    ) -> Result<T> {
        let number = self.progress.passes.fetch_add(1, Ordering::Relaxed);
        let (own, count) = self.options.part;
        let items_of = |part: usize| {
            let [start, end] = [part, part + 1].map(|part| partition_start(items, part, count));
            start..end
        };
        let parts: Vec<_> = (0..count).filter(|&part| !items_of(part).is_empty()).collect();
        // A part of another operation must not be added to those of this one.
        for &part in parts.iter().filter(|&&part| part != own) {
            if self.exists(number, part)? {
                file::read::<PartResult>(&self.path(number, part), &self.subject)?;
                break;
            }
        }
        let mut own_result = match items_of(own) {
            own if own.is_empty() => None,
            items => {
                let mut saved = self.read((number, key), own, codec)?;
                if let Some((_, result)) = &saved
                    && has_changed(result)?
                {
                    saved = None;
                }
                Some(self.run_part((number, key), items, saved, (codec, merge, pass))?)
            }
        };
        let mut missing = Vec::new();
        for &part in parts.iter().filter(|&&part| part != own) {
            if !self.exists(number, part)? {
                missing.push(part);
            }
        }
        let mut merged = None;
        // The files are only read if all exist.
        let complete = if missing.is_empty() { &parts[..] } else { &[] };
        for &part in complete {
            let result = match own_result.take_if(|_| part == own) {
                Some(result) => result,
                None => match self.read((number, key), part, codec)? {
                    Some((done, result)) if done == items_of(part).len() => result,
                    _ => {
                        missing.push(part);
                        continue;
                    }
                },
            };
            merged = Some(match merged {
                None => result,
                Some(merged) => merge(merged, result),
            });
        }
        match merged {
            _ if !missing.is_empty() => {
                let kind = ErrorKind::PartsMissing { pass: number, missing, count };
                Err(kind.at(&*self.options.directory))
            }
            Some(merged) => Ok(merged),
            None => pass(0..0),
        }
    }

    /// Runs the own part of a pass, continuing a saved result.
    fn run_part<T>(
        &self,
        (number, key): (usize, u64),
        items: Range<usize>,
        saved: Option<(usize, T)>,
        (codec, merge, pass): PassFunctions<'_, '_, T>,
    ) -> Result<T> {
        let saved = saved.filter(|&(done, _)| done <= items.len());
        let (mut done, mut result) = saved.map_or((0, None), |(done, result)| (done, Some(result)));
        let mut step = 1;
        loop {
            let value = match result {
                Some(result) if done == items.len() => return Ok(result),
                result => {
                    let start = items.start + done;
                    let end = items.end.min(start.saturating_add(step));
                    let time = Instant::now();
                    let next = pass(start..end)?;
                    done = end - items.start;
                    step = match time.elapsed() < self.options.interval / STEPS_PER_INTERVAL {
                        true => step.saturating_mul(2),
                        false => (step / 2).max(1),
                    };
                    match result {
                        None => next,
                        Some(result) => merge(result, next),
                    }
                }
            };
            let is_due = self.unsaved().last_save.elapsed() >= self.options.interval;
            if done == items.len() || is_due {
                let mut bytes = Vec::new();
                (codec.encode)(&value, &mut bytes)?;
                let part = PartResult { key, done, result: bytes };
                let unsaved_bytes = self.unsaved().insert(number, part);
                if is_due || self.is_shared || unsaved_bytes > MAX_UNSAVED_BYTES {
                    self.save()?;
                }
            }
            result = Some(value);
        }
    }

    fn unsaved(&self) -> MutexGuard<'_, Unsaved> {
        self.progress.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves the results since the last save. A process that is killed leaves each file as it was.
    pub(crate) fn save(&self) -> Result<()> {
        let mut unsaved = self.unsaved();
        while let Some((number, result)) = unsaved.results.pop_first() {
            file::write(&self.path(number, self.options.part.0), &self.subject, &result)?;
        }
        unsaved.last_save = Instant::now();
        Ok(())
    }

    /// Returns the saved result of a part with the number of items in it; `None` if there is none,
    /// or one with another key.
    fn read<T>(
        &self,
        (number, key): (usize, u64),
        part: usize,
        codec: &Codec<'_, T>,
    ) -> Result<Option<(usize, T)>> {
        let path = self.path(number, part);
        let Some(saved) = file::read::<PartResult>(&path, &self.subject)? else { return Ok(None) };
        if saved.key != key {
            return Ok(None);
        }
        let mut bytes = &saved.result[..];
        let result = (codec.decode)(&mut bytes).filter(|_| bytes.is_empty());
        let result = result.ok_or_else(|| invalid(&path, "its partial result is malformed"))?;
        Ok(Some((saved.done, result)))
    }

    fn exists(&self, number: usize, part: usize) -> Result<bool> {
        let path = self.path(number, part);
        path.try_exists().map_err(|error| Error::io("find the state", Some(&path), error))
    }

    fn path(&self, number: usize, part: usize) -> PathBuf {
        let count = self.options.part.1;
        self.options.directory.join(format!("pass-{number}-part-{part}-of-{count}"))
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
