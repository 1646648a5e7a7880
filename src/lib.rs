//! Memory-mapped files as [ndarray] arrays: `numpy.memmap` for Rust, typed, owned and safer.
//!
//! Arrays of any dimension are stored in files. Opening takes the same time whatever their size,
//! pages are read from disk when they are accessed, and processes can share a file [in
//! turns](MmapArrayOptions#safety-contract). Every method of ndarray, and every extension trait on
//! [`ArrayRef`](ndarray::ArrayRef) such as those of ndarray-stats, works on them.
//!
//! ```
//! use ndarray::prelude::*;
//! use ndarray_mmap::{MmapArray, MmapArrayMut, prelude::*};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("features.npy");
//! // SAFETY: no other code changes or truncates the file while it is mapped.
//! let mut table = unsafe { MmapArrayMut::<f64, _>::create_npy(&path, (1_000, 64)) }?;
//! table.slice_mut(s![0, ..]).fill(1.0);
//! table.close()?; // durable when it returns Ok
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
//! | task | use | NumPy |
//! |---|---|---|
//! | open a raw file | [`MmapArray::open`], [`MmapArrayMut::open`], [`MmapArrayCow::open`] | `memmap(path, dtype, mode, shape=shape)` |
//! | open a file without `unsafe`, and read slices of it | [`ArrayFile::open`], [`ArrayFile::open_npy`], [`read`](ArrayFile::read) | `fromfile`, `load` |
//! | write slices of a file without `unsafe` | [`ArrayFileMut`] | |
//! | append rows to a raw or `.npy` file | [`ArrayAppender`] | `save(path, concatenate([load(path), rows]))` |
//! | read big-endian or unaligned data | [`ArrayFile::big_endian`] | `dtype='>f4'` |
//! | compute an array from others lazily | [`map`](Chunked::map) | |
//! | read an `.npy` file of any numbers as `f32`, `f64` or integers | [`LazyArray::open_npy`], [`open_npy_lossy`](LazyArray::open_npy_lossy) | `load(path).astype(dtype)` |
//! | read one field of an `.npy` file of records | [`LazyArray::open_npy_field`] | `load(path)['name']` |
//! | decode a scale, an offset and a fill value | [`scaled`](Chunked::scaled), [`fill_value`](Chunked::fill_value) | `masked_values`, `a * scale + offset` |
//! | reduce complex numbers to real ones | [`re`](Chunked::re), [`im`](Chunked::im), [`norm`](Chunked::norm) | `real`, `imag`, `abs` |
//! | process many files as one array | [`LazyArray::concatenate_npy`], [`stack_npy`](LazyArray::stack_npy), [`concatenate`](LazyArray::concatenate) | `concatenate`, `stack` |
//! | set an offset, a lock policy, ... | [`MmapArrayOptions`] | `offset=` |
//! | open a raw file of unknown length | [`MmapArray::open_rows`] | `memmap(path, dtype).reshape(-1, n)` |
//! | open an `.npy` file | [`MmapArray::open_npy`] | `load(path, mmap_mode=mode)` |
#![cfg_attr(
    feature = "npz",
    doc = "| read or map arrays of an `.npz` archive | [`NpzArchive`] | `load(path)[name]` |"
)]
//! | inspect an `.npy` header | [`NpyHeader::read`] | `lib.format.read_magic`, ... |
//! | write an `.npy` header | [`NpyHeader::to_bytes`] | `lib.format.write_array_header_1_0` |
//! | create a file | [`MmapArrayMut::create`], [`create_new`](MmapArrayMut::create_new), [`create_npy`](MmapArrayMut::create_npy) | `memmap(mode='w+')`, `lib.format.open_memmap` |
//! | create a file that appears only when complete | [`create_npy_atomic`](MmapArrayOptions::create_npy_atomic) and [`commit`](MmapArrayPending::commit) | |
//! | create a file to which all ranks of a job write | [`create_npy_across`](MmapArrayOptions::create_npy_across) | |
//! | list the files of all ranks of a job for later programs | [`NpyIndex`](distributed::NpyIndex) | |
//! | create a large temporary array | [`MmapArrayMut::scratch`], [`to_scratch`](ToMmap::to_scratch) | |
//! | save an array and map the file | [`to_mmap`](ToMmap::to_mmap), [`to_mmap_npy`](ToMmap::to_mmap_npy) | `save`, `load` |
//! | view a byte slice | [`from_bytes`](FromBytes::from_bytes), [`from_bytes_mut`](FromBytesMut::from_bytes_mut) | `frombuffer` |
//! | make changes durable | [`flush`](MmapArrayMut::flush), [`close`](MmapArrayMut::close) | `flush()` |
//! | reduce resident memory | [`release`](MmapArray::release), [`start_writeback`](MmapArrayMut::start_writeback), [`advise`](MmapArray::advise) | |
//! | process an array in chunks, on all threads | [`chunked`](ChunkedExt::chunked) | a loop over slices |
//! | limit resident memory | [`memory_limit`](Chunked::memory_limit) | |
//! | compute mean, standard deviation, quantiles, ... | [`mean`](Chunked::mean), [`std`](Chunked::std), [`quantile`](Chunked::quantile), [`summary`](Chunked::summary), [`histogram`](Chunked::histogram) | `mean`, `median`, ... |
//! | compute statistics along an axis | [`mean_axis`](Chunked::mean_axis), [`std_axis`](Chunked::std_axis), [`quantile_axis`](Chunked::quantile_axis), ... | `axis=` |
//! | find extrema and outliers | [`argmax`](Chunked::argmax), [`count_where`](Chunked::count_where), [`argwhere`](Chunked::argwhere) | `argmax`, `argwhere` |
//! | correlate variables, or two arrays | [`cov`](Chunked::cov), [`pearson_correlation`](Chunked::pearson_correlation), [`.and(&b)?.histogram2d`](Chunked::histogram2d), [`weighted_mean`](Chunked::weighted_mean) | `cov`, `corrcoef`, ... |
//! | compute a custom statistic | [`accumulate`](Chunked::accumulate), [`accumulate_axis`](Chunked::accumulate_axis) | |
//! | merge statistics of several files | [the accumulators](stats#mergeable-accumulators) | |
//! | compute statistics on many machines | [`across`](Chunked::across), [`distributed`] | |
//! | copy an array into a file, in any memory order | [`copy_into`](Chunked::copy_into) | `b[:] = a` |
//! | select rows by index | [`select`](Chunked::select) | `a[indices]`, `take` |
//! | shuffle rows, draw mini-batches | [`shuffle`](Chunked::shuffle) | `a[rng.permutation(n)]` |
//! | map one file into another | [`map_into`](Chunked::map_into), [`par_for_each_into`](Chunked::par_for_each_into) | a loop over slices |
//!
//! The pages in [`doc`] start with a [tutorial](doc::tutorial) and [recipes](doc::recipes), and
//! cover [NumPy users](doc::numpy), [sources](doc::sources), [reading without mapping](doc::reading),
//! [other file formats](doc::formats), [statistics](doc::statistics), [chunked
//! processing](doc::chunked), [many machines](doc::many_machines), [performance](doc::performance),
//! [platforms](doc::platforms) and [failure modes](doc::failure_modes). The [safety
//! contract](MmapArrayOptions#safety-contract) is part of the options.
//!
//! # Modes
//!
//! The mode is part of the type and checked by the compiler: a read-only array cannot be written
//! to, and a private array cannot be flushed.
//!
//! | type | NumPy's mode | reads | writes | changes the file |
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
//! Views borrow the array, so no view outlives it.
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
//! structs that derive bytemuck's traits. `bool`, `char` and references are excluded, and only
//! types without padding can be written.
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
//! | feature | default | adds |
//! |---|---|---|
//! | `rayon` | yes | `par_` methods of chunked arrays run on all threads; `par_iter` on mapped arrays |
//! | `glob` | no | the function `glob`: paths of files that match a pattern |
//! | `half` | no | `half::f16` as the element type of `.npy` files; statistics of `f16` and `bf16` |
//! | `npz` | no | `NpzArchive`: reading, extracting and mapping arrays of `.npz` archives |
//! | `serde` | no | serde's traits for [the accumulators](stats#mergeable-accumulators), to save and send partial results |

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod chunked;
pub mod distributed;
pub mod doc;
mod error;
mod extend;
mod geometry;
#[cfg(feature = "glob")]
mod glob;
mod order;
mod paging;
mod parallel;
mod save;
pub mod stats;
mod storage;
mod system;

/// The version of bytemuck whose traits are bounds of element types.
pub use bytemuck;
pub use chunked::{
    Accumulator, ChunkRegion, Chunked, ChunkedExt, ChunkedMutExt, Chunks, LazyArray, TryChunks,
};
pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "glob")]
pub use glob::glob;
/// The version of half whose `f16` and `bf16` are element types.
#[cfg(feature = "half")]
pub use half;
/// The version of ndarray whose arrays this crate extends.
pub use ndarray;
/// The version of num-complex whose `Complex` is an element type.
pub use num_complex;
pub use order::Order;
pub use save::ToMmap;
pub use storage::{
    Advice, ArrayAppender, ArrayError, ArrayFile, ArrayFileMut, ArrayFilePending, Dtype,
    FileLayout, FromBytes, FromBytesMut, LockPolicy, MmapArray, MmapArrayCow, MmapArrayMut,
    MmapArrayOptions, MmapArrayPending, NpyElement, NpyHeader, NumericElement, SwapBytes,
};
#[cfg(feature = "npz")]
pub use storage::{NpzArchive, NpzMember};

/// The extension traits: `use ndarray_mmap::prelude::*;`.
pub mod prelude {
    pub use crate::chunked::{Accumulator, ChunkedExt, ChunkedMutExt};
    pub use crate::save::ToMmap;
    pub use crate::storage::{FromBytes, FromBytesMut, NpyElement};
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

/// The quick start of the README, compiled as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
