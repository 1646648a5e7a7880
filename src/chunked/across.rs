//! Operations across ranks: the share of this rank, and the merge of all shares.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::Range;

use ndarray::{ArrayD, Axis, Dimension};

use super::Chunked;
use super::accumulator::Accumulator;
use super::config::ChunkConfig;
use super::elements::ElementSource;
use super::pairwise::PairwiseReduction;
use super::source::ChunkSource;
use crate::distributed::{Codec, Communicator, Message, Ranks, run_in_parts};
use crate::error::{ErrorKind, Result};
use crate::parallel;

/// Operations over several [ranks](crate::distributed).
impl<'a, P: ChunkSource> Chunked<'a, P> {
    /// Restricts the operation to the [partition](Self::partition) of this rank, and lets each
    /// statistic return the result of all ranks, on every rank.
    ///
    /// All ranks must have the same array, such as one file that all of them open, and call the
    /// same operations in the same order. An error before a statistic, such as one of
    /// [`and`](Self::and), must be shared by [`all_ok`](crate::distributed::all_ok). Results have
    /// the same bits for any number of ranks. A partition that was set before is replaced.
    ///
    /// Statistics along an axis divide the axis among the ranks, or the lanes if the axis is short.
    /// Quantiles along an axis always divide the lanes. If the memory limits of ranks differ, the
    /// smallest one applies to all.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{distributed::ThreadCommunicator, prelude::*};
    ///
    /// let table = Array2::from_shape_fn((1_000, 64), |(i, j)| ((i * 7 + j) as f64).sin());
    /// let found = ThreadCommunicator::run(2, |world| {
    ///     let chunked = table.chunked().across(world);
    ///     Ok::<_, ndarray_mmap::Error>((chunked.clone().std(0.0)?, chunked.argmax()?))
    /// });
    /// for of_rank in found {
    ///     assert_eq!(of_rank?, (table.chunked().std(0.0)?, table.chunked().argmax()?));
    /// }
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Statistics return, in addition to their own errors, [`ErrorKind::RankFailed`] if another
    /// rank fails, [`ErrorKind::RanksDisagree`] if the operations or the arrays of ranks differ,
    /// and [`ErrorKind::Io`] if messages cannot be exchanged. [`argwhere`](Self::argwhere), whose
    /// elements may be of any type, returns [`ErrorKind::Unsupported`].
    ///
    /// # Panics
    ///
    /// Panics if the number of the rank is not less than the number of ranks.
    #[track_caller]
    pub fn across(self, communicator: &'a dyn Communicator) -> Self {
        let ranks = Ranks::new(communicator, None);
        let partition = (ranks.rank(), ranks.size());
        Self { config: ChunkConfig { ranks: Some(ranks), partition, ..self.config }, ..self }
    }

    /// Lets each statistic return the result for the arrays of all ranks, concatenated along an
    /// axis in the order of ranks, on every rank.
    ///
    /// The arrays must have the same length along all other axes, and ranks must call the same
    /// operations in the same order. A [page](crate::distributed#bitwise-reproducibility) lists the
    /// results that have the bits of one concatenated array. A partition that was set before is
    /// replaced.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{distributed::ThreadCommunicator, prelude::*};
    ///
    /// let maxima = ThreadCommunicator::run(3, |world| {
    ///     let rows = 1 + world.rank();
    ///     let own = Array2::from_shape_fn((rows, 2), |(i, j)| 10 * rows + 2 * i + j);
    ///     own.chunked().concatenate_across(Axis(0), world).argmax()
    /// });
    /// for of_rank in maxima {
    ///     assert_eq!(of_rank?, (5, 1)); // the last of 1 + 2 + 3 rows
    /// }
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Statistics return the errors of [`across`](Self::across).
    /// [`cov`](Chunked::cov) returns [`ErrorKind::Unsupported`] unless the axis is that of the
    /// observations, and so do [`quantiles_axis`](Chunked::quantiles_axis) and
    /// [`quantile_axis`](Chunked::quantile_axis) along the axis of the concatenation.
    ///
    /// # Panics
    ///
    /// Panics if the axis is out of bounds, or the number of the rank is not less than the number
    /// of ranks.
    #[track_caller]
    pub fn concatenate_across(self, axis: Axis, communicator: &'a dyn Communicator) -> Self {
        self.check_axis(axis);
        let ranks = Ranks::new(communicator, Some(axis.index()));
        let partition = (0, 1);
        Self { config: ChunkConfig { ranks: Some(ranks), partition, ..self.config }, ..self }
    }

    /// Returns the ranks of the running operation; `None` for an operation of this process alone.
    pub(crate) fn ranks(&self) -> Option<&Ranks<'a>> {
        self.config.ranks.as_ref().and_then(Ranks::running)
    }

    /// Returns whether the operation is one of several ranks.
    pub(crate) fn has_ranks(&self) -> bool {
        self.config.ranks.is_some()
    }

    /// Returns whether the operation converts partial results to bytes, to exchange or save them.
    pub(crate) fn has_messages(&self) -> bool {
        self.has_ranks() || self.config.state.is_some()
    }

    /// Returns the shape of the array of all ranks.
    pub(crate) fn whole_shape(&self) -> P::Dim {
        let mut shape = self.source.source_shape();
        if let Some((axis, lens)) = self.ranks().and_then(Ranks::concatenated_lens) {
            shape[axis] = lens.iter().sum();
        }
        shape
    }

    /// Converts an index of the array of this rank to one of the array of all ranks.
    pub(crate) fn index_in_whole<I: Dimension>(&self, index: I) -> Vec<usize> {
        let mut index = index.slice().to_vec();
        if let Some(ranks) = self.ranks()
            && let Some((axis, lens)) = ranks.concatenated_lens()
        {
            index[axis] += lens[..ranks.rank()].iter().sum::<usize>();
        }
        index
    }

    /// Returns the number of threads, the largest of all ranks.
    pub(crate) fn threads(&self) -> usize {
        self.ranks().and_then(Ranks::threads).unwrap_or_else(parallel::threads)
    }
}

impl<'a, P: ElementSource + Sync> Chunked<'a, P> {
    /// Runs a statistic on all ranks. Every exchange of messages is inside such a call, which
    /// checks that the [labels](Self::label) of all ranks are equal, and reports a failure of this
    /// rank to the others.
    pub(crate) fn collective<R>(
        self,
        label: String,
        work: impl FnOnce(Self) -> Result<R>,
    ) -> Result<R> {
        let ranks = match &self.config.ranks {
            Some(ranks) if ranks.running().is_some() => return work(self),
            Some(ranks) => ranks.clone(),
            None if self.config.state.is_none() => return work(self),
            None if self.config.partition == (0, 1) => Ranks::alone(),
            None => {
                let reason = "the state of a statistic of a partition cannot be saved; use \
                              `across` or `job_part` instead of `partition`";
                let kind = ErrorKind::Unsupported { reason: reason.into() };
                return self.with_path(Err(kind.at(None)));
            }
        };
        let shape = self.source.source_shape();
        let memory_limit = self.config.memory_limit;
        let ranks = ranks.begin(label.clone(), shape.slice(), parallel::threads(), memory_limit)?;
        let partition = match ranks.concatenated() {
            Some(_) => (0, 1),
            None => (ranks.rank(), ranks.size()),
        };
        let memory_limit = ranks.agreement().and_then(|agreement| agreement.memory_limit);
        let of_panic = EndByPanic(&ranks);
        let shapes = ranks.agreement().map(|agreement| agreement.shapes.clone());
        let rank = (ranks.rank(), ranks.size());
        let state = self.open_state(label, rank, shapes.unwrap_or_default());
        let result = state.and_then(|state| {
            let state_of_operation = state.clone();
            let ranks = match state {
                Some(state) => ranks.clone().with_state(state),
                None => ranks.clone(),
            };
            let ranks = Some(ranks);
            let config = ChunkConfig { ranks, partition, memory_limit, ..self.config };
            let result = work(Self { config, ..self })?;
            state_of_operation.map_or(Ok(()), |state| state.save())?;
            Ok(result)
        });
        std::mem::forget(of_panic);
        ranks.end(result)
    }

    /// Describes a statistic, its parameters and the properties of the array that must be the same
    /// on all ranks. `name` is one or more public methods. The label of an operation without ranks
    /// and saved state is empty.
    pub(crate) fn label(&self, name: &str, parameters: &[&dyn fmt::Debug]) -> String {
        if !self.has_messages() {
            return String::new();
        }
        let concatenated = self.config.ranks.as_ref().and_then(Ranks::concatenated);
        let parameters: Vec<_> = parameters.iter().map(|value| format!("{value:?}")).collect();
        let parameters = match &parameters[..] {
            [] => String::new(),
            _ => format!(" with ({})", parameters.join(", ")),
        };
        let shape = self.source.source_shape();
        let lens = shape.slice().iter().enumerate().map(|(axis, len)| {
            if concatenated == Some(axis) { "_".to_string() } else { len.to_string() }
        });
        let lens: Vec<_> = lens.collect();
        let element = std::any::type_name::<P::Element>();
        // Lanes and blocks are in memory order. That of an axis of length 1 does not matter.
        let matters = |axis: &usize| shape[*axis] > 1 && concatenated != Some(*axis);
        let division = self.division();
        let order: Vec<_> = division.order.iter().copied().filter(matters).collect();
        let inverted: Vec<_> = division.inverted_axes().into_iter().filter(matters).collect();
        let inverted = match &inverted[..] {
            [] => String::new(),
            _ => format!(", inverted {inverted:?}"),
        };
        let nan = if self.config.skip_nan { ", without NaN" } else { "" };
        format!(
            "{name}{parameters} of {element} elements of shape ({}), axes in memory order {order:?}\
             {inverted}{nan}",
            lens.join(", ")
        )
    }
}

/// Reports a panic to the other ranks when it is dropped.
struct EndByPanic<'r, 'a>(&'r Ranks<'a>);

impl Drop for EndByPanic<'_, '_> {
    fn drop(&mut self) {
        self.0.end_by_panic();
    }
}

/// Returns the conversion of an accumulator to a message.
pub(super) fn codec<'c, A: 'c, T: Accumulator<A> + 'c>() -> Codec<'c, T> {
    // The first byte distinguishes a state without bytes from a missing one.
    Codec {
        encode: Box::new(|state, bytes| {
            bytes.push(0);
            state.write_state(bytes)
        }),
        decode: Box::new(|bytes| {
            u8::decode_message(bytes)?;
            T::read_state(bytes)
        }),
    }
}

/// Merges partial results that may be merged in any order, in the order of ranks.
pub(crate) fn merge_across<T: Message>(
    ranks: Option<&Ranks<'_>>,
    value: T,
    merge: impl FnMut(T, T) -> T,
) -> Result<T> {
    match ranks {
        None => Ok(value),
        Some(ranks) => {
            let values = ranks.gather(&value)?.into_iter();
            Ok(values.reduce(merge).expect("a value of each rank"))
        }
    }
}

/// Runs a pass over `items` items, in parts if partial results are saved, and merges the
/// results of parts and ranks, which may be merged in any order.
pub(crate) fn run_across<T: Message>(
    ranks: Option<&Ranks<'_>>,
    key: u64,
    items: usize,
    merge: &dyn Fn(T, T) -> T,
    pass: &dyn Fn(Range<usize>) -> Result<T>,
) -> Result<T> {
    let own = run_in_parts(ranks, key, items, &Codec::of_message(), merge, pass)?;
    merge_across(ranks, own, merge)
}

/// The nodes of a [`PairwiseReduction`]: for each its level and index, and its value.
pub(super) type Nodes<T> = Vec<((u32, usize), T)>;

/// Runs a pass over `items` items, whose results are merged in a fixed binary tree, in parts if
/// partial results are saved. Returns the merged value of all ranks; `None` if there are no items.
pub(super) fn reduce_across<T>(
    ranks: Option<&Ranks<'_>>,
    key: u64,
    items: usize,
    codec: Codec<'_, T>,
    merge: &dyn Fn(T, T) -> T,
    pass: &dyn Fn(Range<usize>) -> Result<PairwiseReduction<T>>,
) -> Result<Option<T>> {
    let Some(ranks) = ranks else { return Ok(pass(0..items)?.finish(merge)) };
    let codec = codec.with().list();
    let merge_nodes = |first: Nodes<T>, later| {
        PairwiseReduction::of(first.into_iter().chain(later), merge).into_nodes()
    };
    let nodes = run_in_parts(Some(ranks), key, items, &codec, &merge_nodes, &|part| {
        Ok(pass(part)?.into_nodes())
    })?;
    let all = ranks.gather_with(&nodes, &codec)?;
    Ok(PairwiseReduction::of(all.into_iter().flatten(), merge).finish(merge))
}

/// Concatenates arrays of all ranks along an axis, and returns the elements in logical order.
pub(crate) fn concatenated_elements<T>(
    ranks: &Ranks<'_>,
    own: ArrayD<T>,
    axis: usize,
    codec: Codec<'_, T>,
) -> Result<Vec<T>> {
    let shape = own.raw_dim();
    let lens = ranks.gather(&shape[axis])?;
    let own: Vec<_> = own.into_iter().collect();
    let mut parts: Vec<_> =
        ranks.gather_with(&own, &codec.list())?.into_iter().map(Vec::into_iter).collect();
    let outer: usize = shape.slice()[..axis].iter().product();
    let inner: usize = shape.slice()[axis + 1..].iter().product();
    let mut whole = Vec::with_capacity(parts.iter().map(ExactSizeIterator::len).sum());
    for _ in 0..outer {
        for (part, len) in parts.iter_mut().zip(&lens) {
            whole.extend(part.take(len * inner));
        }
    }
    Ok(whole)
}
