//! Memory-mapped files as [ndarray] arrays: `numpy.memmap` for Rust, typed, owned and safer.
//!
//! Arrays of any dimension live in files. They are opened in no time whatever their size, read from
//! disk where they are touched, and shared between processes, [in
//! turns](MmapArrayOptions#safety-contract); every method of ndarray, and every extension trait on
//! [`ArrayRef`](ndarray::ArrayRef) such as those of ndarray-stats, works on them.
//!
//! ```
//! use ndarray::prelude::*;
//! use ndarray_mmap::{MmapArray, MmapArrayMut, prelude::*};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("features.npy");
//! // SAFETY: no one else changes or truncates the file meanwhile.
//! let mut table = unsafe { MmapArrayMut::<f64, _>::create_npy(&path, (1_000, 64)) }?;
//! table.slice_mut(s![0, ..]).fill(1.0);
//! table.close()?; // on disk when it returns Ok
//!
//! // SAFETY: as above.
//! let table = unsafe { MmapArray::<f64, Ix2>::open_npy(&path) }?;
//! let total = table.chunked().par_map_reduce(|rows| rows.sum(), |a, b| a + b)?;
//! assert_eq!((table.mean(), total), (Some(0.001), Some(64.0)));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # By task
//!
//! | to | use | NumPy |
//! |---|---|---|
//! | open a raw file | [`MmapArray::open`], [`MmapArrayMut::open`], [`MmapArrayCow::open`] | `memmap(path, dtype, mode, shape=shape)` |
//! | at an offset, without lock, ... | [`MmapArrayOptions`] | `offset=` |
//! | open a raw file of unknown length | [`MmapArray::open_rows`] | `memmap(path, dtype).reshape(-1, n)` |
//! | open an `.npy` file | [`MmapArray::open_npy`] | `load(path, mmap_mode=mode)` |
//! | see what an `.npy` file holds | [`NpyHeader::read`] | `lib.format.read_magic`, ... |
//! | create a file | [`MmapArrayMut::create`], [`create_new`](MmapArrayMut::create_new), [`create_npy`](MmapArrayMut::create_npy) | `memmap(mode='w+')`, `lib.format.open_memmap` |
//! | create one that appears only when complete | [`create_npy_atomic`](MmapArrayOptions::create_npy_atomic) and [`commit`](MmapArrayPending::commit) | |
//! | have a large array without a file | [`MmapArrayMut::scratch`], [`to_scratch`](ToMmap::to_scratch) | |
//! | save an array and go on with the file | [`to_mmap`](ToMmap::to_mmap), [`to_mmap_npy`](ToMmap::to_mmap_npy) | `save`, `load` |
//! | view bytes of one's own | [`from_bytes`](FromBytes::from_bytes), [`from_bytes_mut`](FromBytesMut::from_bytes_mut) | `frombuffer` |
//! | make changes durable | [`flush`](MmapArrayMut::flush), [`close`](MmapArrayMut::close) | `flush()` |
//! | save memory | [`release`](MmapArray::release), [`start_writeback`](MmapArrayMut::start_writeback), [`advise`](MmapArray::advise) | |
//! | go through it in parts, on all cores | [`chunked`](ChunkedExt::chunked) | a loop over slices |
//! | bound its memory | [`memory_limit`](Chunked::memory_limit) | |
//! | mean, deviation, quantiles, ... of it | [`mean`](Chunked::mean), [`std`](Chunked::std), [`quantile`](Chunked::quantile), [`summary`](Chunked::summary), [`histogram`](Chunked::histogram) | `mean`, `median`, ... |
//! | the same along an axis | [`mean_axis`](Chunked::mean_axis), [`std_axis`](Chunked::std_axis), [`quantile_axis`](Chunked::quantile_axis), ... | `axis=` |
//! | find what is odd in it | [`argmax`](Chunked::argmax), [`count_where`](Chunked::count_where), [`argwhere`](Chunked::argwhere) | `argmax`, `argwhere` |
//! | relate variables, or two arrays | [`cov`](Chunked::cov), [`pearson_correlation`](Chunked::pearson_correlation), [`.and(&b)?.histogram2d`](Chunked::histogram2d), [`weighted_mean`](Chunked::weighted_mean) | `cov`, `corrcoef`, ... |
//! | compute a statistic of one's own | [`accumulate`](Chunked::accumulate), [`accumulate_axis`](Chunked::accumulate_axis) | |
//! | merge statistics of several files | [the accumulators](stats#what-can-be-merged) | |
//! | compute from file to file | [`map_into`](Chunked::map_into), [`par_for_each_into`](Chunked::par_for_each_into) | a loop over slices |
//!
//! More on each subject in [`doc`]: [for NumPy users](doc::numpy), [statistics on
//! disk](doc::statistics), [axis, memory and threads of walks](doc::chunked), [how fast it
//! is](doc::performance), [what runs where](doc::platforms), [what can go
//! wrong](doc::failure_modes). The [safety contract](MmapArrayOptions#safety-contract) is on the
//! options.
//!
//! # Modes
//!
//! The mode is in the type, so the compiler knows it: a read-only array cannot be written to and a
//! private one cannot be flushed.
//!
//! | owner | NumPy's mode | reads | writes | changes the file |
//! |---|---|---|---|---|
//! | [`MmapArray`] | `r` | yes | no | no |
//! | [`MmapArrayMut`] | `r+`, `w+` | yes | yes | yes |
//! | [`MmapArrayCow`] | `c` | yes | yes | no |
//!
//! ```compile_fail,E0596
//! # use ndarray_mmap::MmapArray;
//! let array = unsafe { MmapArray::<f32, _>::open("scan.raw", 3) }.unwrap();
//! let mut array = array;
//! array.view_mut(); // read-only
//! ```
//!
//! Views borrow the array, so none outlives it.
//!
//! ```compile_fail,E0505
//! # use ndarray_mmap::MmapArray;
//! let array = unsafe { MmapArray::<f32, _>::open("scan.raw", 3) }.unwrap();
//! let view = array.view();
//! drop(array);
//! view.sum();
//! ```
//!
//! ```compile_fail,E0515
//! # use ndarray::prelude::*;
//! # use ndarray_mmap::MmapArray;
//! fn leak() -> ArrayView1<'static, f32> {
//!     let array = unsafe { MmapArray::<f32, _>::open("scan.raw", 3) }.unwrap();
//!     array.view()
//! }
//! ```
//!
//! Elements are types for which all bytes are valid: numbers, complex numbers, arrays of them, and
//! structs that derive bytemuck's traits. Not `bool`, `char` or references; and only types without
//! padding can be written.
//!
//! ```compile_fail,E0277
//! # use ndarray_mmap::MmapArrayOptions;
//! let array = unsafe { MmapArrayOptions::new().open::<bool, _>("mask.raw", 3) };
//! ```
//!
//! ```compile_fail,E0277
//! # use ndarray_mmap::MmapArrayOptions;
//! #[derive(Clone, Copy, bytemuck::AnyBitPattern)]
//! #[repr(C)]
//! struct Padded(u8, u32);
//! let array = unsafe { MmapArrayOptions::new().create::<Padded, _>("padded.raw", 3) };
//! ```
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `rayon` | yes | `par_` methods of chunks run on all threads; `par_iter` on mapped arrays |
//! | `half` | no | `half::f16` as the element type of `.npy` files; statistics of `f16` and `bf16` |
//! | `serde` | no | serde's traits for [the accumulators](stats#what-can-be-merged), to save partial results and send them |

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod chunked;
pub mod doc;
mod error;
mod geometry;
mod order;
mod paging;
mod parallel;
pub mod stats;
mod storage;
mod system;

pub use chunked::{
    Accumulator, ChunkRegion, Chunked, ChunkedExt, ChunkedMutExt, Chunks, TryChunks,
};
pub use error::{Error, ErrorKind, Result};
/// The version of ndarray whose arrays this crate extends.
pub use ndarray;
pub use order::Order;
pub use storage::{
    Advice, ArrayError, Dtype, FileLayout, FromBytes, FromBytesMut, LockPolicy, MmapArray,
    MmapArrayCow, MmapArrayMut, MmapArrayOptions, MmapArrayPending, NpyElement, NpyHeader, ToMmap,
};

/// The extension traits: `use ndarray_mmap::prelude::*;`.
pub mod prelude {
    pub use crate::chunked::{Accumulator, ChunkedExt, ChunkedMutExt};
    pub use crate::storage::{FromBytes, FromBytesMut, NpyElement, ToMmap};
}

macro_rules! aliases {
    ($($name:ident $of:ident $mode:literal $dim:ident $ndim:literal;)*) => {$(
        #[doc = concat!("A ", $mode, " mapped array of ", $ndim, ".")]
        pub type $name<A> = $of<A, ndarray::$dim>;
    )*};
}
aliases! {
    MmapArray0 MmapArray "read-only" Ix0 "0 dimensions";
    MmapArray1 MmapArray "read-only" Ix1 "1 dimension";
    MmapArray2 MmapArray "read-only" Ix2 "2 dimensions";
    MmapArray3 MmapArray "read-only" Ix3 "3 dimensions";
    MmapArray4 MmapArray "read-only" Ix4 "4 dimensions";
    MmapArray5 MmapArray "read-only" Ix5 "5 dimensions";
    MmapArray6 MmapArray "read-only" Ix6 "6 dimensions";
    MmapArrayD MmapArray "read-only" IxDyn "a dynamic number of dimensions";
    MmapArrayMut0 MmapArrayMut "writable" Ix0 "0 dimensions";
    MmapArrayMut1 MmapArrayMut "writable" Ix1 "1 dimension";
    MmapArrayMut2 MmapArrayMut "writable" Ix2 "2 dimensions";
    MmapArrayMut3 MmapArrayMut "writable" Ix3 "3 dimensions";
    MmapArrayMut4 MmapArrayMut "writable" Ix4 "4 dimensions";
    MmapArrayMut5 MmapArrayMut "writable" Ix5 "5 dimensions";
    MmapArrayMut6 MmapArrayMut "writable" Ix6 "6 dimensions";
    MmapArrayMutD MmapArrayMut "writable" IxDyn "a dynamic number of dimensions";
    MmapArrayCow0 MmapArrayCow "copy-on-write" Ix0 "0 dimensions";
    MmapArrayCow1 MmapArrayCow "copy-on-write" Ix1 "1 dimension";
    MmapArrayCow2 MmapArrayCow "copy-on-write" Ix2 "2 dimensions";
    MmapArrayCow3 MmapArrayCow "copy-on-write" Ix3 "3 dimensions";
    MmapArrayCow4 MmapArrayCow "copy-on-write" Ix4 "4 dimensions";
    MmapArrayCow5 MmapArrayCow "copy-on-write" Ix5 "5 dimensions";
    MmapArrayCow6 MmapArrayCow "copy-on-write" Ix6 "6 dimensions";
    MmapArrayCowD MmapArrayCow "copy-on-write" IxDyn "a dynamic number of dimensions";
}

/// The README's quick start, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
