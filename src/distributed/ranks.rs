//! The exchanges of a chunked operation with the other ranks.
//!
//! Each exchange is one `all_gather` of an [`Envelope`]: a step of the operation with a label that
//! must be the same on all ranks, or the failure of a rank. All ranks see the same envelopes, and
//! therefore all continue or all stop. The last exchange of an operation is the step [`END`], so
//! that a rank that fails after its last pass is noticed.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::state::SavedState;
use super::{Codec, Communicator, Message};
use crate::error::{Error, ErrorKind, Result};

/// Runs a pass over `items` items, in parts if partial results are saved, see
/// [`SavedState::run_in_parts`].
pub(crate) fn run_in_parts<T>(
    ranks: Option<&Ranks<'_>>,
    key: u64,
    items: usize,
    codec: &Codec<'_, T>,
    merge: &dyn Fn(T, T) -> T,
    pass: &dyn Fn(Range<usize>) -> Result<T>,
) -> Result<T> {
    match ranks.and_then(|ranks| ranks.state.as_ref()) {
        Some(state) => state.run_in_parts(key, items, codec, merge, pass, &|_| Ok(false)),
        None => pass(0..items),
    }
}

/// The label of the last exchange of an operation.
const END: &str = "the end of the operation";

/// The number of threads on which the results of parts of a job depend. The processes of a job may
/// have fewer.
pub(crate) const JOB_THREADS: usize = 128;

/// The message of a rank that panics.
const PANICKED: &str = "it panicked";

/// A message of a rank.
pub(super) enum Envelope {
    Step { label: String, payload: Vec<u8> },
    Failure(String),
}

impl Envelope {
    pub(super) fn failure(error: &Error) -> Self {
        Self::Failure(error.to_string())
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Step { label, payload } => {
                true.encode_message(&mut bytes);
                label.encode_message(&mut bytes);
                bytes.extend_from_slice(payload);
            }
            Self::Failure(message) => {
                false.encode_message(&mut bytes);
                message.encode_message(&mut bytes);
            }
        }
        bytes
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let is_step = bool::decode_message(&mut bytes)?;
        let label = String::decode_message(&mut bytes)?;
        Some(match is_step {
            true => Self::Step { label, payload: bytes.to_vec() },
            false => Self::Failure(label),
        })
    }
}

/// Exchanges envelopes, and returns the payloads of all ranks in order.
pub(super) fn exchange(
    communicator: &dyn Communicator,
    envelope: &Envelope,
) -> Result<Vec<Vec<u8>>> {
    let messages = communicator.all_gather(&envelope.encode()).and_then(|messages| {
        let found = messages.len();
        match communicator.size() {
            size if size == found => Ok(messages),
            size => Err(io::Error::other(format!("{found} messages of {size} ranks arrived"))),
        }
    });
    let messages = messages.map_err(|error| Error::io("exchange messages", None, error))?;
    let mut steps: Vec<(String, Vec<u8>)> = Vec::with_capacity(messages.len());
    let mut failure = None;
    for (rank, message) in messages.into_iter().enumerate() {
        match Envelope::decode(&message).ok_or_else(|| malformed(rank))? {
            Envelope::Step { label, payload } => steps.push((label, payload)),
            Envelope::Failure(message) if failure.is_none() => failure = Some((rank, message)),
            Envelope::Failure(_) => {}
        }
    }
    if let Some((rank, message)) = failure {
        return Err(ErrorKind::RankFailed { rank, message }.at(None));
    }
    if let Envelope::Step { label, .. } = envelope
        && steps.get(communicator.rank()).is_some_and(|(own, _)| own != label)
    {
        let text = "this rank received another message than it sent; are there messages of an \
                    earlier job in the directory?";
        return Err(Error::io("exchange messages", None, io::Error::other(text)));
    }
    let Some((first, _)) = steps.first() else { return Ok(Vec::new()) };
    if let Some(rank) = steps.iter().position(|(label, _)| label != first) {
        let [expected, found] = [0, rank].map(|rank| steps[rank].0.clone());
        return Err(ErrorKind::RanksDisagree { rank, expected, found }.at(None));
    }
    Ok(steps.into_iter().map(|(_, payload)| payload).collect())
}

pub(crate) fn malformed(rank: usize) -> Error {
    let text = format!("the message of rank {rank} is malformed");
    Error::io("exchange messages", None, io::Error::new(io::ErrorKind::InvalidData, text))
}

/// The ranks of a chunked operation.
#[derive(Clone)]
pub(crate) struct Ranks<'a> {
    communicator: &'a dyn Communicator,
    /// The axis along which the arrays of the ranks are concatenated; `None` if all ranks have the
    /// same array.
    concatenated: Option<usize>,
    operation: Option<Arc<Operation>>,
    /// The saved state of the running operation.
    state: Option<SavedState>,
}

/// The communicator of an operation without other ranks.
struct Alone;

impl Communicator for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_gather(&self, message: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        Ok(vec![message.to_vec()])
    }
}

/// A running operation.
struct Operation {
    /// Set after the last exchange, or one that failed. No exchange may follow.
    is_over: AtomicBool,
    agreement: Agreement,
}

/// Properties of the ranks on which the exchanges depend.
pub(crate) struct Agreement {
    /// The shape of the array of each rank.
    pub(crate) shapes: Vec<Vec<usize>>,
    /// The largest number of threads.
    pub(crate) threads: usize,
    /// The smallest memory limit.
    pub(crate) memory_limit: Option<usize>,
}

impl<'a> Ranks<'a> {
    /// # Panics
    ///
    /// Panics if the number of the rank is not less than the number of ranks.
    #[track_caller]
    pub(crate) fn new(communicator: &'a dyn Communicator, concatenated: Option<usize>) -> Self {
        let [rank, size] = [communicator.rank(), communicator.size()];
        assert!(rank < size, "there is no rank {rank} of {size}");
        Self { communicator, concatenated, operation: None, state: None }
    }

    /// Returns the ranks of an operation that has no others.
    pub(crate) fn alone() -> Self {
        Self::new(&Alone, None)
    }

    pub(crate) fn rank(&self) -> usize {
        self.communicator.rank()
    }

    pub(crate) fn size(&self) -> usize {
        self.communicator.size()
    }

    /// Returns the axis along which the arrays of the ranks are concatenated.
    pub(crate) fn concatenated(&self) -> Option<usize> {
        self.concatenated
    }

    /// Returns that axis, and the length of the array of each rank along it, if an operation is
    /// running.
    pub(crate) fn concatenated_lens(&self) -> Option<(usize, Vec<usize>)> {
        let axis = self.concatenated?;
        let shapes = &self.agreement()?.shapes;
        Some((axis, shapes.iter().map(|shape| shape[axis]).collect()))
    }

    /// Returns the ranks if an operation is running.
    pub(crate) fn running(&self) -> Option<&Self> {
        self.operation.is_some().then_some(self)
    }

    /// Saves the partial results of the running operation.
    pub(crate) fn with_state(self, state: SavedState) -> Self {
        Self { state: Some(state), ..self }
    }

    /// Returns the saved state of the running operation.
    pub(crate) fn state(&self) -> Option<&SavedState> {
        self.state.as_ref()
    }

    /// Returns the number of threads on which the exchanges depend.
    pub(crate) fn threads(&self) -> Option<usize> {
        let is_job = self.state.as_ref().is_some_and(|state| state.is_job());
        self.agreement().map(|agreement| if is_job { JOB_THREADS } else { agreement.threads })
    }

    /// Returns the agreement of the running operation.
    pub(crate) fn agreement(&self) -> Option<&Agreement> {
        self.operation.as_ref().map(|operation| &operation.agreement)
    }

    /// Starts an operation, for which the labels of all ranks must be equal.
    pub(crate) fn begin(
        &self,
        label: String,
        shape: &[usize],
        threads: usize,
        memory_limit: Option<usize>,
    ) -> Result<Self> {
        let mut payload = Vec::new();
        (shape.to_vec(), threads, memory_limit).encode_message(&mut payload);
        let payloads = exchange(self.communicator, &Envelope::Step { label, payload })?;
        let parts: Vec<(Vec<usize>, usize, Option<usize>)> = decoded(&payloads)?;
        let agreement = Agreement {
            threads: parts.iter().map(|&(_, threads, _)| threads).max().unwrap_or(1),
            memory_limit: parts.iter().filter_map(|&(_, _, limit)| limit).min(),
            shapes: parts.into_iter().map(|(shape, ..)| shape).collect(),
        };
        let operation = Operation { is_over: AtomicBool::new(false), agreement };
        Ok(Self { operation: Some(Arc::new(operation)), ..self.clone() })
    }

    /// Ends an operation. It fails on all ranks if it fails on one of them.
    pub(crate) fn end<R>(&self, result: Result<R>) -> Result<R> {
        if self.operation.as_ref().is_none_or(|operation| operation.is_over()) {
            return result;
        }
        let envelope = match &result {
            Ok(_) => Envelope::Step { label: END.into(), payload: Vec::new() },
            Err(error) => Envelope::failure(error),
        };
        let exchanged = self.exchange(&envelope);
        self.set_over();
        // A rank that fails returns its own error, which has a kind.
        let value = result?;
        exchanged.map(|_| value)
    }

    /// Reports the panic of this rank to the others.
    pub(crate) fn end_by_panic(&self) {
        if self.operation.as_ref().is_some_and(|operation| !operation.is_over()) {
            // An error is ignored, because the other ranks report it.
            let _ = self.exchange(&Envelope::Failure(PANICKED.into()));
        }
    }

    /// Returns the values of all ranks, in the order of ranks.
    pub(crate) fn gather<T: Message>(&self, value: &T) -> Result<Vec<T>> {
        self.gather_with(value, &Codec::of_message())
    }

    /// Returns the values of all ranks, in the order of ranks.
    pub(crate) fn gather_with<T>(&self, value: &T, codec: &Codec<'_, T>) -> Result<Vec<T>> {
        let mut payload = Vec::new();
        (codec.encode)(value, &mut payload)?;
        let payloads = self.gather_bytes(std::any::type_name::<T>(), payload)?;
        let value = |(rank, payload): (usize, Vec<u8>)| {
            let mut bytes = &payload[..];
            (codec.decode)(&mut bytes).filter(|_| bytes.is_empty()).ok_or_else(|| malformed(rank))
        };
        payloads.into_iter().enumerate().map(value).collect()
    }

    fn gather_bytes(&self, label: &str, payload: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let label = format!("a partial result of type `{label}`");
        self.exchange(&Envelope::Step { label, payload })
    }

    fn exchange(&self, envelope: &Envelope) -> Result<Vec<Vec<u8>>> {
        let exchanged = exchange(self.communicator, envelope);
        if exchanged.is_err() {
            self.set_over();
        }
        exchanged
    }

    fn set_over(&self) {
        if let Some(operation) = &self.operation {
            operation.is_over.store(true, Ordering::Relaxed);
        }
    }

    /// Returns the index, in the whole, of the first of `own` items of this rank. `shared` is the
    /// index if all ranks have the same array.
    pub(crate) fn first_item(&self, own: usize, shared: usize) -> Result<usize> {
        if self.concatenated.is_none() {
            return Ok(shared);
        }
        Ok(self.gather(&own)?[..self.rank()].iter().sum())
    }
}

impl Operation {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Ranks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ranks").field("rank", &self.rank()).field("size", &self.size()).finish()
    }
}

fn decoded<T: Message>(payloads: &[Vec<u8>]) -> Result<Vec<T>> {
    let value = |(rank, payload): (usize, &Vec<u8>)| {
        let mut bytes = &payload[..];
        T::decode_message(&mut bytes).filter(|_| bytes.is_empty()).ok_or_else(|| malformed(rank))
    };
    payloads.iter().enumerate().map(value).collect()
}
