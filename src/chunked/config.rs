//! The configuration of a `Chunked`.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use ndarray::{Axis, Dimension, IxDyn};

use crate::distributed::{Ranks, StateOptions};

pub(super) type Callback<'a> = Arc<dyn Fn(usize, usize) + Send + Sync + 'a>;

/// The configuration of a chunked operation. It is a separate struct so that `chunked.memory_limit`
/// without parentheses produces rustc's hint about a method, and not one about a private field.
#[derive(Clone)]
pub(super) struct ChunkConfig<'a, D> {
    pub(super) axis: Option<Axis>,
    pub(super) size: ChunkSize<D>,
    pub(super) halo: D,
    pub(super) partition: (usize, usize),
    pub(super) memory_limit: Option<usize>,
    pub(super) skip_nan: bool,
    pub(super) progress: Option<Callback<'a>>,
    /// The path of the first array, if it is a mapped array. The path of a view is found by the
    /// address of its elements, which an empty array does not have.
    pub(super) path: Option<&'a Path>,
    pub(super) ranks: Option<Ranks<'a>>,
    pub(super) state: Option<StateOptions>,
}

/// The requested size of a chunk.
#[derive(Clone, Debug)]
pub(super) enum ChunkSize<D> {
    Default,
    /// A number of indices along the axis.
    Len(usize),
    /// The maximum number of indices along the axis that fit this number of bytes, but at least
    /// one.
    Bytes(usize),
    /// A number of indices along each axis.
    Block(D),
}

impl<D: Dimension> ChunkConfig<'_, D> {
    /// Returns the default configuration for arrays of `ndim` dimensions.
    pub(super) fn new(ndim: usize) -> Self {
        Self {
            axis: None,
            size: ChunkSize::Default,
            halo: D::zeros(ndim),
            partition: (0, 1),
            memory_limit: None,
            skip_nan: false,
            progress: None,
            path: None,
            ranks: None,
            state: None,
        }
    }
}

impl<'a, D: Dimension> ChunkConfig<'a, D> {
    /// Makes the number of dimensions dynamic.
    pub(super) fn into_dyn(self) -> ChunkConfig<'a, IxDyn> {
        ChunkConfig {
            axis: self.axis,
            size: match self.size {
                ChunkSize::Default => ChunkSize::Default,
                ChunkSize::Len(len) => ChunkSize::Len(len),
                ChunkSize::Bytes(bytes) => ChunkSize::Bytes(bytes),
                ChunkSize::Block(shape) => ChunkSize::Block(IxDyn(shape.slice())),
            },
            halo: IxDyn(self.halo.slice()),
            partition: self.partition,
            memory_limit: self.memory_limit,
            skip_nan: self.skip_nan,
            progress: self.progress,
            path: self.path,
            ranks: self.ranks,
            state: self.state,
        }
    }
}
