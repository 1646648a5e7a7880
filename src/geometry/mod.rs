//! Chunk grids and strided layouts: integer arithmetic on shapes and byte ranges, without I/O.
#![forbid(unsafe_code)]
#![allow(
    unreachable_pub,
    reason = "sealed traits mention these types in hidden methods, and the module is private"
)]

mod coordinates;
mod grid;
mod layout;
mod runs;
mod selection;

pub use self::grid::Region;
pub(crate) use self::grid::{ChunkGrid, memory_order, partition_start, slab_shape};
pub use self::layout::StridedLayout;
pub(crate) use self::layout::{Footprint, align_outward, gcd};
pub(crate) use self::runs::Runs;
pub(crate) use self::selection::{Indices, Selection};
