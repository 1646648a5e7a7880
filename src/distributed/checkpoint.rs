//! The saved state of an operation that can be interrupted.
//!
//! A checkpoint file contains the description of the operation, and the partial result of each of
//! its passes so far. All but the last pass are complete. An operation that is called again runs
//! the same passes in the same order. It takes the results of complete passes from the file, and
//! continues the last one with the items that are not yet part of its result. Each partial result
//! has a key, which depends on everything that its meaning depends on. Where the keys differ, for
//! example because the number of threads has changed, the pass runs from its start.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::message::{Codec, Message, impl_message};
use crate::error::{Error, ErrorKind, Result};

/// The first bytes of a checkpoint file. The number is the version of the format.
const MAGIC: &[u8] = b"ndarray-mmap checkpoint 1\n";

/// The number of parts of a pass in the time between two checkpoints, so that the time is exceeded
/// by little.
const PARTS_PER_INTERVAL: u32 = 8;

/// Where and how often the state of an operation is saved.
#[derive(Clone, Debug)]
pub(crate) struct CheckpointOptions {
    pub(crate) path: PathBuf,
    pub(crate) interval: Duration,
}

/// The description of an operation and its arrays, which must be the same when it is resumed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subject {
    pub(crate) operation: String,
    pub(crate) rank: (usize, usize),
    pub(crate) arrays: Vec<SavedArray>,
}

impl_message! { Subject { operation, rank, arrays } }

/// An array of an operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SavedArray {
    /// The absolute path of the file; `None` for an array in memory.
    pub(crate) path: Option<String>,
    /// The shape, the strides in bytes, and the offset in the file.
    pub(crate) layout: (Vec<usize>, Vec<isize>, u64),
    /// The size of the file, and its modification time in nanoseconds since 1970. They are 0 for an
    /// array that the operation writes.
    pub(crate) version: (u64, i128),
}

impl_message! { SavedArray { path, layout, version } }

impl Subject {
    /// Returns the reason why the state of `saved` is not one of this operation, if there is one.
    fn difference(&self, saved: &Self) -> Option<String> {
        if self.operation != saved.operation {
            let (found, expected) = (&saved.operation, &self.operation);
            return Some(format!("expected the state of {expected}, found that of {found}"));
        }
        if self.rank != saved.rank {
            let [found, expected] = [saved, self]
                .map(|subject| format!("rank {} of {}", subject.rank.0, subject.rank.1));
            return Some(format!("expected the state of {expected}, found that of {found}"));
        }
        self.arrays.iter().zip(&saved.arrays).enumerate().find_map(|(index, (array, saved))| {
            let name = |array: &SavedArray| match &array.path {
                Some(path) => format!("`{path}`"),
                None => format!("array {index} in memory"),
            };
            if array.path != saved.path {
                let (found, expected) = (name(saved), name(array));
                Some(format!("expected the state for {expected}, found that for {found}"))
            } else if array.layout != saved.layout {
                Some(format!(
                    "expected the state for {} with the shape {:?}, byte strides {:?} and offset \
                     {}, found {:?}, {:?} and {}",
                    name(array),
                    array.layout.0,
                    array.layout.1,
                    array.layout.2,
                    saved.layout.0,
                    saved.layout.1,
                    saved.layout.2,
                ))
            } else if array.version != saved.version {
                Some(format!(
                    "{} has changed: it has {} bytes and was modified {} ns after 1970, the state \
                     is for {} bytes modified {} ns after 1970",
                    name(array),
                    array.version.0,
                    array.version.1,
                    saved.version.0,
                    saved.version.1
                ))
            } else {
                None
            }
        })
    }
}

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
    pub(crate) fn open(
        options: &CheckpointOptions,
        subject: Subject,
        saves_each_pass: bool,
    ) -> Result<Self> {
        let CheckpointOptions { path, interval } = options.clone();
        let steps = read(&path, &subject)?;
        let state = Mutex::new(State { steps, started: 0, last_save: Instant::now() });
        Ok(Self { path, interval, saves_each_pass, subject, state })
    }

    /// Runs a pass over `items` items in parts, from the first item that is not part of the saved
    /// result. The state is saved after a part when the interval has elapsed.
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
    ) -> Result<T> {
        let (step, saved) = self.begin_pass(key, items);
        let (mut done, mut result) = match saved {
            None => (0, None),
            Some((done, bytes)) => {
                let mut rest = &bytes[..];
                let result = (codec.decode)(&mut rest).filter(|_| rest.is_empty());
                (done, Some(result.ok_or_else(|| self.error("a partial result is malformed"))?))
            }
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
                let mut bytes = Vec::new();
                result.iter().try_for_each(|result| (codec.encode)(result, &mut bytes))?;
                self.record(step, Step { key, done, result: bytes });
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
        let mut bytes = MAGIC.to_vec();
        self.subject.encode_message(&mut bytes);
        state.steps.encode_message(&mut bytes);
        fnv1a(&bytes).encode_message(&mut bytes);
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|error| Error::io("save the checkpoint", Some(&self.path), error))?;
        state.last_save = Instant::now();
        Ok(())
    }

    fn error(&self, reason: &str) -> Error {
        ErrorKind::InvalidCheckpoint { reason: reason.into() }.at(&*self.path)
    }
}

/// Reads the partial results of a file; none if it does not exist.
fn read(path: &Path, subject: &Subject) -> Result<Vec<Step>> {
    let error = |reason: String| ErrorKind::InvalidCheckpoint { reason }.at(path);
    let io_error = |error| Error::io("read the checkpoint", Some(path), error);
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.map_err(io_error)?,
    };
    // Another file, which may be large, is recognized by its first bytes.
    let mut first = Vec::new();
    (&mut file).take(MAGIC.len() as u64).read_to_end(&mut first).map_err(io_error)?;
    if first != MAGIC {
        return Err(error("the file is not a checkpoint of this version".into()));
    }
    let mut bytes = first;
    file.read_to_end(&mut bytes).map_err(io_error)?;
    let contents =
        bytes.split_last_chunk().filter(|(rest, hash)| fnv1a(rest) == u64::from_le_bytes(**hash));
    let Some((contents, _)) = contents else {
        return Err(error("the file is damaged: its checksum differs".into()));
    };
    let mut rest = &contents[MAGIC.len()..];
    let saved = Subject::decode_message(&mut rest);
    let Some(saved) = saved else { return Err(error("the file is malformed".into())) };
    if let Some(reason) = subject.difference(&saved) {
        return Err(error(reason));
    }
    let steps = Vec::decode_message(&mut rest).filter(|_| rest.is_empty());
    steps.ok_or_else(|| error("the file is malformed".into()))
}

/// Returns the 64-bit FNV-1a hash of bytes.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Returns the key of a pass: a hash of its name and of the values on which its meaning depends.
pub(crate) fn pass_key(name: &str, values: &impl Message) -> u64 {
    let mut bytes = Vec::new();
    name.to_string().encode_message(&mut bytes);
    values.encode_message(&mut bytes);
    fnv1a(&bytes)
}
