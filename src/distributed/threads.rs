//! Ranks that are threads of one process.
#![forbid(unsafe_code)]

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Communicator;

/// One rank of a group of threads in one process.
///
/// Threads of one process gain nothing over a plain chunked operation, which uses all cores. This
/// communicator is for tests of programs that later use MPI.
///
/// A rank that is dropped leaves the group. Exchanges that still wait for it then fail on all ranks,
/// so that a thread that returns early or panics leads to errors and not to a deadlock.
#[derive(Debug)]
pub struct ThreadCommunicator {
    rank: usize,
    group: Arc<Group>,
}

#[derive(Debug)]
struct Group {
    size: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The messages of the current exchange.
    messages: Vec<Option<Vec<u8>>>,
    /// The number of exchanges completed.
    completed: u64,
    /// The messages of the last exchange. The next one cannot complete before every rank has
    /// returned from this one.
    last: Arc<Vec<Vec<u8>>>,
    /// The first rank that left the group.
    left: Option<usize>,
}

impl ThreadCommunicator {
    /// Creates a group of ranks, one for each thread.
    ///
    /// ```
    /// use ndarray_mmap::distributed::{Communicator, ThreadCommunicator};
    ///
    /// let ranks: Vec<_> = ThreadCommunicator::group(2).iter().map(|world| world.rank()).collect();
    /// assert_eq!(ranks, [0, 1]);
    /// ```
    pub fn group(size: usize) -> Vec<Self> {
        let state =
            State { messages: vec![None; size], completed: 0, last: Arc::default(), left: None };
        let group = Arc::new(Group { size, state: Mutex::new(state), changed: Condvar::new() });
        (0..size).map(|rank| Self { rank, group: Arc::clone(&group) }).collect()
    }

    /// Runs a closure as each rank of a group, on a thread each, and returns the results in the
    /// order of ranks.
    ///
    /// ```
    /// use ndarray_mmap::distributed::{Communicator, ThreadCommunicator};
    ///
    /// let messages = ThreadCommunicator::run(2, |world| world.all_gather(&[world.rank() as u8]));
    /// for of_rank in messages {
    ///     assert_eq!(of_rank?, [[0], [1]]);
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// Propagates the panic of the first rank that panics, after all ranks have ended.
    pub fn run<R: Send>(size: usize, work: impl Fn(&dyn Communicator) -> R + Sync) -> Vec<R> {
        let work = &work;
        std::thread::scope(|scope| {
            let start = |world: Self| scope.spawn(move || work(&world));
            let threads: Vec<_> = Self::group(size).into_iter().map(start).collect();
            let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
            let unwound = |panic| std::panic::resume_unwind(panic);
            results.into_iter().map(|result| result.unwrap_or_else(unwound)).collect()
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.group.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Communicator for ThreadCommunicator {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.group.size
    }

    fn all_gather(&self, message: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut state = self.lock();
        if state.messages[self.rank].is_some() {
            return Err(io::Error::other(format!("rank {} is in two exchanges", self.rank)));
        }
        state.messages[self.rank] = Some(message.to_vec());
        let exchange = state.completed;
        if state.messages.iter().all(Option::is_some) {
            state.last = Arc::new(state.messages.iter_mut().filter_map(Option::take).collect());
            state.completed += 1;
            self.group.changed.notify_all();
        }
        while state.completed == exchange {
            if let Some(rank) = state.left {
                state.messages[self.rank] = None;
                return Err(io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    format!("rank {rank} has ended"),
                ));
            }
            state = self.group.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let messages = Arc::clone(&state.last);
        drop(state);
        Ok(messages.to_vec())
    }
}

impl Drop for ThreadCommunicator {
    fn drop(&mut self) {
        let mut state = self.lock();
        state.left.get_or_insert(self.rank);
        drop(state);
        self.group.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_many_exchanges_are_in_order() {
        let sums = ThreadCommunicator::run(4, |world| {
            let mut sum = 0;
            for round in 0..200_u8 {
                let len = (usize::from(round) * world.rank()) % 5;
                let messages = world.all_gather(&vec![round; len]).unwrap();
                for (rank, message) in messages.iter().enumerate() {
                    assert_eq!(*message, vec![round; (usize::from(round) * rank) % 5]);
                    sum += message.len();
                }
            }
            sum
        });
        assert!(sums.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn ranks_that_end_early_are_reported() {
        let results = ThreadCommunicator::run(3, |world| {
            let first = world.all_gather(b"first").map(|_| ());
            match world.rank() {
                1 => first,
                _ => first.and_then(|()| world.all_gather(b"second").map(|_| ())),
            }
        });
        assert!(results[1].is_ok());
        for rank in [0, 2] {
            let error = results[rank].as_ref().unwrap_err();
            assert_eq!(error.to_string(), "rank 1 has ended");
        }
    }
}
