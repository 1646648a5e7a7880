//! Ranks that exchange messages as files in a shared directory.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::Communicator;

/// The first and the longest pause between two looks for the messages of other ranks.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_secs(1));

/// One rank of a job whose ranks exchange messages through a directory of a shared file system, for
/// job arrays and clusters without MPI.
///
/// Ranks wait for each other for the time `patience`, so all must start within it. A rank that ends
/// early is noticed when the others give up. A rank that is killed can be started again: it repeats
/// its passes over the data, finds the messages that it sent before, and joins the others where they
/// wait.
///
/// All messages stay in the directory. Each job needs a new directory, for example named after
/// `$SLURM_ARRAY_JOB_ID`. Remove it after the last rank has ended. A directory with the messages of
/// an earlier job would give the results of that job, or its error. Create one communicator for each
/// rank and directory, and use it for all operations.
///
/// ```
/// use std::time::Duration;
///
/// use ndarray::prelude::*;
/// use ndarray_mmap::{distributed::DirectoryCommunicator, prelude::*};
///
/// # let dir = tempfile::tempdir()?;
/// # let job = dir.path().join("job-4711");
/// let table = Array2::from_shape_fn((1_000, 64), |(i, j)| ((i + j) as f64).sin());
/// let median = |rank| {
///     let world = DirectoryCommunicator::new(&job, rank, 2, Duration::from_secs(60))?;
///     Ok::<_, std::io::Error>(table.chunked().across(&world).quantile(0.5, Default::default())?)
/// };
/// // Each rank is usually a separate process.
/// let medians = std::thread::scope(|scope| {
///     let other = scope.spawn(|| median(1));
///     (median(0), other.join())
/// });
/// let expected = table.chunked().quantile(0.5, Default::default())?;
/// assert_eq!((medians.0?, medians.1.unwrap()?), (expected, expected));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct DirectoryCommunicator {
    directory: PathBuf,
    rank: usize,
    size: usize,
    patience: Duration,
    /// The number of exchanges so far.
    exchanges: AtomicU64,
}

impl DirectoryCommunicator {
    /// Joins a job of `size` ranks. An exchange fails if the messages of the other ranks do not
    /// arrive within the time `patience`. The directory is created if it does not exist.
    ///
    /// # Errors
    ///
    /// Fails if the directory cannot be created.
    ///
    /// # Panics
    ///
    /// Panics if `rank` is not less than `size`.
    #[track_caller]
    pub fn new(
        directory: impl AsRef<Path>,
        rank: usize,
        size: usize,
        patience: Duration,
    ) -> io::Result<Self> {
        assert!(rank < size, "there is no rank {rank} of {size}");
        let directory = directory.as_ref().to_path_buf();
        fs::create_dir_all(&directory)
            .map_err(|error| with_path("create the directory", &directory, &error))?;
        Ok(Self { directory, rank, size, patience, exchanges: AtomicU64::new(0) })
    }

    fn path(&self, exchange: u64, rank: usize) -> PathBuf {
        self.directory.join(format!("exchange-{exchange}-rank-{rank}-of-{}", self.size))
    }

    /// Saves a message such that other ranks never see a part of it. A message that this rank sent
    /// before it was started again is kept, because other ranks may have received it.
    fn send(&self, path: &Path, message: &[u8]) -> io::Result<()> {
        if path.try_exists()? {
            return Ok(());
        }
        let mut file = NamedTempFile::new_in(&self.directory)?;
        file.write_all(message)?;
        file.as_file().sync_all()?;
        // Another process may run as the same rank. Its message is kept, as above.
        match file.persist_noclobber(path) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
            _ => Ok(()),
        }
    }

    /// Waits for a message until `end`, or forever if it is `None`.
    fn receive(&self, path: &Path, end: Option<Instant>) -> io::Result<Vec<u8>> {
        let mut pause = PAUSES.0;
        loop {
            match fs::read(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => return result,
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                let text = format!("no message arrived within {:?}", self.patience);
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            std::thread::sleep(pause);
            pause = (2 * pause).min(PAUSES.1);
        }
    }
}

impl Communicator for DirectoryCommunicator {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_gather(&self, message: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let exchange = self.exchanges.fetch_add(1, Ordering::Relaxed);
        let path = self.path(exchange, self.rank);
        self.send(&path, message).map_err(|error| with_path("write", &path, &error))?;
        let end = Instant::now().checked_add(self.patience);
        let receive = |rank| {
            let path = self.path(exchange, rank);
            self.receive(&path, end).map_err(|error| with_path("read", &path, &error))
        };
        (0..self.size).map(receive).collect()
    }
}

fn with_path(action: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {action} `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(directory: &Path, rank: usize) -> DirectoryCommunicator {
        DirectoryCommunicator::new(directory, rank, 2, Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn rank_that_starts_again_receives_the_same_messages() {
        let dir = tempfile::tempdir().unwrap();
        let exchanges = |rank: usize, note: &str| {
            let world = join(dir.path(), rank);
            let first = world.all_gather(format!("{note} {rank}").as_bytes()).unwrap();
            (first, world.all_gather(&[]).unwrap())
        };
        let expected = (vec![b"first 0".to_vec(), b"first 1".to_vec()], vec![vec![], vec![]]);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| exchanges(1, "first"));
            assert_eq!(exchanges(0, "first"), expected);
            assert_eq!(other.join().unwrap(), expected);
        });
        assert_eq!(exchanges(1, "again"), expected);
    }

    #[test]
    fn missing_rank_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let world = DirectoryCommunicator::new(dir.path(), 0, 2, Duration::ZERO).unwrap();
        let error = world.all_gather(b"alone").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("exchange-0-rank-1-of-2"), "{error}");
    }
}
