//! The parts of a job: each part of each pass is a file in a directory.
//!
//! A process computes its own part of a pass. If the files of all parts exist, it merges them and
//! continues with the next pass. Otherwise it fails, and is started again later.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::NamedTempFile;

use super::file::{self, Subject};
use super::{decode, encode};
use crate::distributed::{Codec, Message, impl_message};
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::partition_start;

/// Properties of a job on which the meaning of partial results depends. The first process saves
/// them for all.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Terms {
    count: usize,
    threads: usize,
    memory_limit: Option<usize>,
}

impl_message! { Terms { count, threads, memory_limit } }

/// One part of a job.
pub(crate) struct Job {
    directory: PathBuf,
    part: usize,
    terms: Terms,
    subject: Subject,
    /// The number of passes that have been started.
    started: AtomicUsize,
}

/// The result of a part of a pass.
struct PartResult {
    key: u64,
    result: Vec<u8>,
}

impl_message! { PartResult { key, result } }

impl Job {
    /// Joins a job, or starts it.
    pub(super) fn open(
        directory: PathBuf,
        (part, count): (usize, usize),
        subject: Subject,
        threads: usize,
        memory_limit: Option<usize>,
    ) -> Result<Self> {
        fs::create_dir_all(&directory)
            .map_err(|error| Error::io("create the directory", Some(&directory), error))?;
        let own = Terms { count, threads, memory_limit };
        let path = directory.join("job");
        let terms: Terms = match file::read(&path, &subject)? {
            Some(terms) => terms,
            None => {
                save(&path, &subject, &own)?;
                // Another process may have been faster.
                file::read(&path, &subject)?.unwrap_or(own)
            }
        };
        let invalid = |reason| Err(file::invalid(&path, reason));
        if terms.count != count {
            return invalid(format!("expected a job of {count} parts, found {}", terms.count));
        }
        if terms.memory_limit != memory_limit {
            let bytes = |limit: Option<usize>| match limit {
                Some(limit) => format!("a memory limit of {limit} bytes"),
                None => "no memory limit".into(),
            };
            let (expected, found) = (bytes(memory_limit), bytes(terms.memory_limit));
            return invalid(format!("expected {expected}, found {found}"));
        }
        if threads > terms.threads && memory_limit.is_some() {
            let reason = format!(
                "the memory limit is divided among {} threads as in the first process of the job, \
                 and this process has {threads}; set `RAYON_NUM_THREADS={}`",
                terms.threads, terms.threads
            );
            return Err(ErrorKind::Unsupported { reason }.at(&*path));
        }
        Ok(Self { directory, part, terms, subject, started: AtomicUsize::new(0) })
    }

    /// Returns the number of threads on which the plan of the operation depends.
    pub(super) fn threads(&self) -> usize {
        self.terms.threads
    }

    /// Runs the own part of a pass, unless its result is saved, and merges the results of all parts.
    pub(super) fn run_in_parts<T>(
        &self,
        key: u64,
        items: usize,
        codec: &Codec<'_, T>,
        merge: &dyn Fn(T, T) -> T,
        pass: &dyn Fn(Range<usize>) -> Result<T>,
    ) -> Result<T> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let count = self.terms.count;
        let items_of =
            |part| partition_start(items, part, count)..partition_start(items, part + 1, count);
        let name = |part| self.directory.join(format!("pass-{number}-part-{part}-of-{count}"));
        let read = |part| -> Result<Option<PartResult>> {
            let saved = file::read(&name(part), &self.subject)?;
            Ok(saved.filter(|saved: &PartResult| saved.key == key))
        };
        let own = items_of(self.part);
        if !own.is_empty() && read(self.part)?.is_none() {
            let result = encode(&pass(own)?, codec)?;
            let path = name(self.part);
            // A result with another key is of other data in memory.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("replace the partial result", Some(&path), error));
                }
                _ => {}
            }
            save(&path, &self.subject, &PartResult { key, result })?;
        }
        let mut merged = None;
        let mut missing = Vec::new();
        for part in (0..count).filter(|&part| !items_of(part).is_empty()) {
            match read(part)? {
                None => missing.push(part),
                // The results are not used if one is missing.
                Some(_) if !missing.is_empty() => {}
                Some(saved) => {
                    let result = decode(&saved.result, codec, &name(part))?;
                    merged = Some(match merged {
                        None => result,
                        Some(merged) => merge(merged, result),
                    });
                }
            }
        }
        match merged {
            _ if !missing.is_empty() => {
                Err(ErrorKind::PartsMissing { missing, count }.at(&*self.directory))
            }
            Some(merged) => Ok(merged),
            None => pass(0..0),
        }
    }
}

/// Saves a state under a name that has none, such that other processes never see a part of it. A
/// state that another process has saved in the meantime is kept.
fn save(path: &Path, subject: &Subject, state: &impl Message) -> Result<()> {
    let write = || {
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut new = NamedTempFile::new_in(directory)?;
        file::write(new.as_file_mut(), subject, state)?;
        match new.persist_noclobber(path) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
            _ => Ok(()),
        }
    };
    write().map_err(|error| Error::io("save the state", Some(path), error))
}
