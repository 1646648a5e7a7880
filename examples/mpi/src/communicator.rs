//! An MPI communicator as the communicator of a chunked operation.

use std::io;
use std::iter;

use mpi::Count;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _};
use ndarray_mmap::distributed::Communicator;

/// All ranks of an MPI job. It must not be used after the [`Universe`] is dropped.
///
/// MPI's handle, a raw pointer that cannot be shared between threads, is fetched by each call.
#[derive(Clone, Copy)]
pub struct World(());

impl World {
    pub fn new(_universe: &Universe) -> Self {
        Self(())
    }

    pub fn abort(self, code: i32) -> ! {
        SimpleCommunicator::world().abort(code)
    }
}

impl Communicator for World {
    fn rank(&self) -> usize {
        SimpleCommunicator::world().rank() as usize
    }

    fn size(&self) -> usize {
        SimpleCommunicator::world().size() as usize
    }

    /// Sends lengths first, and then pieces, because the counts of MPI are 32-bit integers.
    fn all_gather(&self, message: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let world = SimpleCommunicator::world();
        let mut lens = vec![0_u64; self.size()];
        world.all_gather_into(&(message.len() as u64), &mut lens[..]);
        let mut messages: Vec<_> =
            lens.iter().map(|&len| Vec::with_capacity(len as usize)).collect();
        let piece_len = Count::MAX as usize / self.size();
        let longest = lens.iter().max().map_or(0, |&len| len as usize);
        for start in (0..longest).step_by(piece_len) {
            let piece_of = |len: usize| start.min(len)..(start + piece_len).min(len);
            let counts = lens.iter().map(|&len| piece_of(len as usize).len() as Count);
            let counts: Vec<_> = counts.collect();
            let ends = counts.iter().scan(0, |end, &count| {
                *end += count;
                Some(*end)
            });
            let starts: Vec<_> = iter::once(0).chain(ends).take(counts.len()).collect();
            let mut received = vec![0_u8; counts.iter().map(|&count| count as usize).sum()];
            let mut pieces = PartitionMut::new(&mut received[..], &counts[..], &starts[..]);
            world.all_gather_varcount_into(&message[piece_of(message.len())], &mut pieces);
            let mut rest = &received[..];
            for (message, &count) in messages.iter_mut().zip(&counts) {
                let piece;
                (piece, rest) = rest.split_at(count as usize);
                message.extend_from_slice(piece);
            }
        }
        Ok(messages)
    }
}
