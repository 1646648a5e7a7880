//! Arrays in files, mapped or read with system calls: their types, opening and creating files, and the
//! platform layer.
//!
//! ```text
//! open, create_api ──► options ──► create, npy ──► layout
//!   ▼
//! array, pending ──► mapping ──► pager ──► map, the trait `paging::Pager`
//! array_file ──┐       ▼
//!              └──► handle ──► create (renaming), registry ──► lock, os
//! ```

#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
mod acl;
mod array;
mod array_error;
mod array_file;
mod bytes;
mod create;
mod create_api;
mod file;
mod file_layouts;
mod file_part;
mod handle;
#[cfg(any(miri, ndarray_mmap_heap))]
mod heap;
mod layout;
mod lock;
mod map;
mod mapped_files;
mod mapping;
mod methods;
mod npy;
#[cfg(feature = "npz")]
mod npz;
mod open;
mod ops;
mod options;
mod os;
mod pager;
mod pending;
mod permissions;
mod registry;
mod shapes;
mod space;
mod target;
#[cfg(test)]
mod tests;

pub use self::array::{MmapArray, MmapArrayCow, MmapArrayMut};
pub use self::array_error::ArrayError;
pub use self::array_file::{ArrayAppender, ArrayFile, ArrayFileMut, ArrayFilePending, SwapBytes};
pub(crate) use self::array_file::{
    BUFFER_BYTES, DecodedFile, ElementReader, MAX_ROW_GAP_BYTES, RowPlace, resize,
};
pub use self::bytes::{FromBytes, FromBytesMut};
pub(crate) use self::create::TEMPORARY_PREFIX;
pub(crate) use self::file::open_regular;
pub(crate) use self::file_part::FilePart;
pub use self::layout::FileLayout;
pub use self::lock::LockPolicy;
pub use self::map::Advice;
pub(crate) use self::npy::Conversion;
pub use self::npy::{Dtype, NpyElement, NpyHeader, NumericElement};
#[cfg(feature = "npz")]
pub use self::npz::{NpzArchive, NpzMember};
pub use self::options::MmapArrayOptions;
pub use self::pending::MmapArrayPending;
