//! temp
pub mod chunked;
mod error;
mod storage;

pub use error::{Error, ErrorKind, Result};
pub use storage::*;

/// The traits.
pub mod prelude {
    pub use crate::chunked::{ChunkedExt, ChunkedMutExt};
    pub use crate::storage::{FromBytes, FromBytesMut, NpyElement, ToMmap};
}
