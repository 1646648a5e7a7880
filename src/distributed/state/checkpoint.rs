//! The state of an operation that can be interrupted.
//!
//! The file contains the partial result of each pass so far. All but the last pass are complete.
//! The last one continues with the items that are not yet part of its result.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::file::{self, Subject};
use super::{decode, encode};
use crate::distributed::{Codec, impl_message};
use crate::error::{Error, Result};

/// The number of parts of a pass in the time between two checkpoints, so that the time is exceeded
/// by little.
const PARTS_PER_INTERVAL: u32 = 8;

/// The partial result of a pass.
struct Step {
    key: u64,
    /// The number of items that are part of the result.
    done: usize,
    result: Vec<u8>,
}

impl_message! { Step { key, done, result } }

/// The state of a running operation.
pub(crate) struct Checkpoint {
    path: PathBuf,
    interval: Duration,
    /// Whether the state is saved at the end of each pass.
    saves_each_pass: bool,
    subject: Subject,
    state: Mutex<State>,
}

struct State {
    steps: Vec<Step>,
    /// The number of passes that have been started.
    started: usize,
    last_save: Instant,
}

impl Checkpoint {
    /// Reads the state, if the file exists.
    pub(super) fn open(
        path: PathBuf,
        interval: Duration,
        subject: Subject,
        saves_each_pass: bool,
    ) -> Result<Self> {
        let steps = file::read(&path, &subject)?.unwrap_or_default();
        let state = Mutex::new(State { steps, started: 0, last_save: Instant::now() });
        Ok(Self { path, interval, saves_each_pass, subject, state })
    }

    /// Runs a pass over `items` items in parts, from the first item that is not part of the saved
    /// result. The state is saved after a part when the interval has elapsed.
    ///
    /// `pass` returns the result of a range of items, and `merge` that of two consecutive ranges.
    /// If there are no items, `pass` is called with an empty range.
    pub(super) fn run_in_parts<T>(
        &self,
        key: u64,
        items: usize,
        codec: &Codec<'_, T>,
        merge: &dyn Fn(T, T) -> T,
        pass: &dyn Fn(Range<usize>) -> Result<T>,
    ) -> Result<T> {
        let (step, saved) = self.begin_pass(key, items);
        let (mut done, mut result) = match saved {
            None => (0, None),
            Some((done, bytes)) => (done, Some(decode(&bytes, codec, &self.path)?)),
        };
        let mut len = 1;
        loop {
            result = match result {
                Some(result) if done == items => return Ok(result),
                result => {
                    let end = items.min(done.saturating_add(len));
                    let start = Instant::now();
                    let part = pass(done..end)?;
                    if start.elapsed() < self.interval / PARTS_PER_INTERVAL {
                        len = len.saturating_mul(2);
                    }
                    done = end;
                    Some(match result {
                        None => part,
                        Some(result) => merge(result, part),
                    })
                }
            };
            let is_due = self.lock().last_save.elapsed() >= self.interval;
            if done == items || is_due {
                let result = result.as_ref().map(|result| encode(result, codec));
                let result = result.transpose()?.unwrap_or_default();
                self.record(step, Step { key, done, result });
                if is_due || self.saves_each_pass {
                    self.save()?;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of the next pass, and its saved result with the number of items in it.
    fn begin_pass(&self, key: u64, items: usize) -> (usize, Option<(usize, Vec<u8>)>) {
        let mut state = self.lock();
        let step = state.started;
        state.started += 1;
        let saved = state.steps.get(step).filter(|saved| saved.key == key && saved.done <= items);
        let saved = saved.map(|saved| (saved.done, saved.result.clone()));
        if saved.is_none() {
            state.steps.truncate(step);
        }
        (step, saved)
    }

    fn record(&self, step: usize, result: Step) {
        let mut state = self.lock();
        state.steps.truncate(step);
        state.steps.push(result);
    }

    /// Replaces the file. A process that is killed leaves the previous file.
    fn save(&self) -> Result<()> {
        let mut state = self.lock();
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let write = || {
            file::write(&mut File::create(&new)?, &self.subject, &state.steps)?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|error| Error::io("save the state", Some(&self.path), error))?;
        state.last_save = Instant::now();
        Ok(())
    }
}
