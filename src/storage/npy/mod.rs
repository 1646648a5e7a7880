//! Headers of `.npy` files, versions 1 to 3: reading what NumPy writes, and writing the same.
//!
//! ```text
//! byte 0        6     8            10 (v1) or 12 (v2, v3)                  data, at a multiple of 64
//! | \x93NUMPY | v 0 | text length | {'descr': '<f8', ..., }   spaces  \n | elements ...
//! ```
#![forbid(unsafe_code)]

mod conversion;
mod dtype;
mod element;
mod fields;
mod formats;
mod growth;
mod header;
mod literal;
mod matching;
mod number;
mod parser;
mod record;
mod scalar;
mod text;
mod times;

pub(crate) use self::conversion::Conversion;
pub(super) use self::conversion::StoredNumber;
pub use self::dtype::Dtype;
pub use self::element::NpyElement;
pub(super) use self::growth::{AxisField, growing_header};
pub use self::header::NpyHeader;
pub(super) use self::header::check_not_npy;
pub(super) use self::number::Decoder;
pub use self::number::NumericElement;
pub(super) use self::text::{MAGIC, header};
