//! Zipping of several arrays, and writing of results to another array.
#![forbid(unsafe_code)]
#![allow(clippy::type_complexity, reason = "an alias would hide that chunks are tuples of views")]

use std::ops::Range;
use std::slice::from_ref;
use std::sync::{Mutex, PoisonError};

use ndarray::{ArrayViewMut, Dimension, Zip};

use super::cache_tiles::move_elements;
use super::division::layouts_of;
use super::for_each::for_each_chunk;
use super::iter::ChunkIter;
use super::pass::Pass;
use super::source::{ArraySource, ChunkSource, ParallelSource, slice, slice_mut};
use super::target::{ChunkTarget, WritableSource};
use super::{Chunked, ChunkedExt, ChunkedMutExt};
use crate::distributed::{Codec, SavedState, fnv1a, pass_key};
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::{ChunkGrid, Region, StridedLayout, partition_start};
use crate::paging::{FileVersion, MappedOperand, ResidencyPlan, operands_of};

/// Zipping of arrays.
impl<'a, P: ChunkSource> Chunked<'a, P> {
    /// Zips another array of the same shape, so that chunks are tuples. Up to four arrays form a
    /// flat tuple. (Further arrays are nested: `((a, b, c, d), e)`.)
    ///
    /// The chunks may be configured before or after this call. A [halo](Self::halo) must be set
    /// before any array to be written is added. Chunks follow the memory order of the first array.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let a = Array2::<f32>::ones((100, 4));
    /// let b = Array2::<f32>::ones((100, 4));
    /// let c = Array2::<u8>::ones((100, 4));
    /// let dot = a.chunked().and(&b)?.par_map_reduce(|(a, b)| (&a * &b).sum(), |x, y| x + y)?;
    /// assert_eq!(dot, Some(400.0));
    /// for (a, b, c) in a.chunked().and(&b)?.and(&c)?.chunk_len(30) {
    ///     assert_eq!((a.dim(), b.dim()), (b.dim(), c.dim()));
    /// }
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::ShapeMismatch`] if the shapes differ.
    pub fn and<T>(self, other: &'a T) -> Result<Chunked<'a, P::With<T::Source<'a>>>>
    where
        T: ChunkedExt<Dim = P::Dim> + ?Sized,
    {
        self.with(other.chunked().source)
    }

    /// Zips another array of the same shape for writing, see [`and`](Self::and).
    ///
    /// ```
    /// use ndarray::{Zip, prelude::*};
    /// use ndarray_mmap::prelude::*;
    ///
    /// let x = Array1::from_elem(1_000, 2.0_f64);
    /// let mut sin = Array1::<f64>::zeros(1_000);
    /// let mut cos = Array1::<f64>::zeros(1_000);
    /// x.chunked().and_mut(&mut sin)?.and_mut(&mut cos)?.par_for_each(|(x, sin, cos)| {
    ///     Zip::from(sin).and(cos).and(x).for_each(|sin, cos, x| (*sin, *cos) = x.sin_cos());
    /// })?;
    /// assert_eq!((sin[999], cos[999]), 2.0_f64.sin_cos());
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::ShapeMismatch`] if the shapes differ.
    pub fn and_mut<T>(
        self,
        other: &'a mut T,
    ) -> Result<Chunked<'a, P::With<ArrayViewMut<'a, T::Elem, P::Dim>>>>
    where
        T: ChunkedMutExt<Dim = P::Dim> + ?Sized,
    {
        self.with(other.chunked_mut().source)
    }

    /// Zips the arrays of another operation, whose configuration has no effect.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let x = array![1.0, -2.0, 4.0];
    /// let y = array![1, 2, 5];
    /// let y = y.chunked().map(|&y| f64::from(y));
    /// let sum = x.chunked().zip(y)?.map(|(x, y)| (x - y).abs()).sum()?;
    /// assert_eq!(sum, 5.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::ShapeMismatch`] if the shapes differ.
    pub fn zip<Q>(self, other: Chunked<'_, Q>) -> Result<Chunked<'a, P::With<Q>>>
    where
        Q: ChunkSource<Dim = P::Dim>,
    {
        self.with(other.source)
    }

    fn with<Q: ChunkSource<Dim = P::Dim>>(self, other: Q) -> Result<Chunked<'a, P::With<Q>>> {
        self.same_shape(&other)?;
        Ok(self.map_source(|source| source.zip_source(other)))
    }

    /// Zips a source of the same shape as the second part of a pair.
    pub(crate) fn pair<'t, Q>(self, other: Q) -> Result<Chunked<'t, (P, Q)>>
    where
        Q: ChunkSource<Dim = P::Dim>,
        Self: 't,
    {
        self.same_shape(&other)?;
        Ok(self.map_source(|source| (source, other)))
    }

    fn same_shape(&self, other: &impl ChunkSource<Dim = P::Dim>) -> Result<()> {
        let shape = self.source.source_shape();
        if shape == other.source_shape() {
            Ok(())
        } else {
            Err(self.shape_mismatch(shape.slice(), other))
        }
    }
}

/// Parallel methods that write to another array.
impl<P> Chunked<'_, P>
where
    P: ParallelSource,
{
    /// Calls a closure with every chunk and the chunk of the same region in another array, which
    /// can be written. Any ndarray code can be used in the closure.
    ///
    /// ```
    /// use ndarray::{Zip, prelude::*};
    /// use ndarray_mmap::{MmapArrayMut, prelude::*};
    ///
    /// let celsius = Array2::<f32>::from_elem((50, 1_000), 20.0);
    /// let mut fahrenheit = MmapArrayMut::<f32, _>::scratch((50, 1_000))?;
    /// celsius.chunked().axis(Axis(1)).par_for_each_into(&mut fahrenheit, |src, mut dst| {
    ///     Zip::from(&mut dst).and(&src).for_each(|f, &c| *f = c * 1.8 + 32.0);
    /// })?;
    /// assert_eq!(fahrenheit[[7, 77]], 68.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::ShapeMismatch`] if the shapes differ, in which case nothing is written,
    /// and the errors of [all parallel methods](#errors-of-parallel-methods).
    pub fn par_for_each_into<B, T>(
        self,
        target: &mut T,
        work: impl Fn(P::Chunk, ArrayViewMut<'_, B, P::Dim>) + Sync,
    ) -> Result<()>
    where
        T: ChunkTarget<Elem = B, Dim = P::Dim> + ?Sized,
    {
        self.par_try_for_each_into(target, |chunk, target| {
            work(chunk, target);
            Ok(())
        })
    }

    /// Calls a closure with every chunk and the chunk of the same region in another array until one
    /// call fails, see [`par_for_each_into`](Self::par_for_each_into).
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let raw = array!["1", "2", "x"];
    /// let mut parsed = Array1::<f64>::zeros(3);
    /// let chunked = raw.chunked().chunk_len(1);
    /// let result = chunked.par_try_for_each_into(&mut parsed, |raw, mut parsed| {
    ///     parsed[0] = raw[0].parse()?;
    ///     Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// });
    /// assert_eq!(result.unwrap_err().to_string(), "invalid float literal");
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`par_for_each_into`](Self::par_for_each_into), and the error of the
    /// first failing chunk. Other chunks that were written before are kept.
    pub fn par_try_for_each_into<B, T, E>(
        self,
        target: &mut T,
        work: impl Fn(P::Chunk, ArrayViewMut<'_, B, P::Dim>) -> Result<(), E> + Sync,
    ) -> Result<(), E>
    where
        T: ChunkTarget<Elem = B, Dim = P::Dim> + ?Sized,
        E: From<Error> + Send,
    {
        let zipped = self.pair(target.target(false))?;
        zipped.par_try_for_each(|(chunk, target)| {
            T::Target::write(target, |target| work(chunk, target))
        })
    }

    /// Calls a closure with tiles of any shape, as small as the memory limit requires. `types` are
    /// the names of the element types; each thread uses `buffers` bytes.
    fn for_each_tile(
        mut self,
        types: &str,
        buffers: usize,
        work: impl Fn(P::Chunk) -> Result<()> + Sync,
    ) -> Result<()> {
        let state = self.open_state_of_tiles(types)?;
        // Partitions are ranges of the slowest axis, whatever the tiles.
        let (index, count) = std::mem::replace(&mut self.config.partition, (0, 1));
        match self.division().order.first() {
            Some(&axis) => {
                let len = self.source.source_shape()[axis];
                self.source.restrict_axis(
                    axis,
                    partition_start(len, index, count)..partition_start(len, index + 1, count),
                );
            }
            // A single element belongs to one of the partitions.
            None if partition_start(1, index, count) == partition_start(1, index + 1, count) => {
                return Ok(());
            }
            None => {}
        }
        let (grid, plan) = self.with_path(self.division().tile_grid(buffers))?;
        let work = |_number, chunk| work(chunk);
        match state {
            None => self.for_each_in_grid(grid, plan, work),
            Some(state) => self.for_each_in_parts(&state, grid, &plan, &work),
        }
    }

    fn open_state_of_tiles(&self, types: &str) -> Result<Option<SavedState>> {
        self.check_no_job("`map_into`")?;
        let (index, count) = self.config.partition;
        let ranks = self.config.ranks.as_ref();
        let rank = ranks.map_or((0, 1), |ranks| (ranks.rank(), ranks.size()));
        self.open_state(
            format!("`map_into` {types}, partition {index} of {count}"),
            rank,
            Vec::new(),
        )
    }

    /// Calls a closure with the chunks that are not yet part of the saved state. The arrays that
    /// are written are flushed before the state is saved.
    fn for_each_in_parts(
        self,
        state: &SavedState,
        grid: ChunkGrid,
        plan: &ResidencyPlan,
        work: &(dyn Fn(usize, P::Chunk) -> Result<()> + Sync),
    ) -> Result<()> {
        let (targets, versions) = self.targets()?;
        let ids: Vec<_> = versions.into_iter().map(|version| version.id).collect();
        let tile = grid.chunk_shape().slice().to_vec();
        let shape = grid.shape().slice().to_vec();
        let chunks = grid.chunks();
        let key = pass_key("tiles", &(tile, [chunks.start, chunks.end], ids));
        // A few of the written elements recognize a target that was overwritten.
        let samples = |tile: usize| -> Result<Written> {
            let region = grid.region(chunks.start + tile);
            let sample = |target| sample_of(target, &region);
            Ok((tile, targets.iter().map(sample).collect::<Result<_>>()?))
        };
        let has_changed = |written: &Vec<Written>| {
            for saved in written {
                if saved.0 >= chunks.len() || samples(saved.0)? != *saved {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let Codec { encode, decode } = Codec::<Vec<Written>>::of_message();
        let encode = |written: &Vec<Written>, bytes: &mut Vec<u8>| {
            targets.iter().try_for_each(|target| target.flush(&shape))?;
            encode(written, bytes)
        };
        let codec = Codec { encode: Box::new(encode), decode };
        let progress = self.config.progress;
        let iter = Mutex::new(ChunkIter::new(self.source, grid.clone()));
        let pass = |part: Range<usize>| {
            let [start, end] = [part.start, part.end].map(|index| chunks.start + index);
            let before = grid.bounding_regions(chunks.start..start);
            let pass = Pass::new(plan, progress.as_deref(), grid.visited_elements())
                .starting_at(before.iter().map(Region::len).sum());
            let mut iter = iter.lock().unwrap_or_else(PoisonError::into_inner);
            iter.skip_to(start);
            for_each_chunk(&pass, &mut iter.by_ref().take(end - start), work)?;
            part.last().map(samples).into_iter().collect()
        };
        let merge = |mut written: Vec<Written>, mut later: Vec<Written>| {
            written.append(&mut later);
            if written.len() > MAX_SAMPLED_TILES {
                let mut is_even = false;
                written.retain(|_| {
                    is_even = !is_even;
                    is_even
                });
            }
            written
        };
        let items = chunks.len();
        state.run_in_parts(key, items, &codec, &merge, &pass, &has_changed)?;
        state.save()
    }

    /// Returns the arrays that are written, and the versions of their files.
    fn targets(&self) -> Result<(Vec<MappedOperand>, Vec<FileVersion>)> {
        let shape = self.source.source_shape();
        let mut targets = Vec::new();
        let mut versions = Vec::new();
        for layout in layouts_of(&self.source).into_iter().filter(|layout| layout.writes) {
            let target = operands_of(from_ref(&layout), shape.slice()).next();
            let target = target.filter(|target| target.pager.can_evict());
            let version = target.as_ref().map(|target| target.pager.file_version());
            match (target, version.transpose()?.flatten()) {
                (Some(target), Some(version)) => {
                    targets.push(target);
                    versions.push(version);
                }
                _ if layout.item == 0 || shape.size() == 0 => {}
                _ => {
                    let reason = "an operation with a checkpoint must write to a mapped file that \
                                  has a path; use `MmapArrayMut` instead of a scratch array, a \
                                  private mapping, an `ArrayFileMut` or an array in memory";
                    return Err(ErrorKind::Unsupported { reason: reason.into() }.at(None));
                }
            }
        }
        Ok((targets, versions))
    }
}

/// A tile that was written, and a hash of some of its elements for each target.
type Written = (usize, Vec<u64>);

/// The maximum number of tiles of which a saved state contains a sample.
const MAX_SAMPLED_TILES: usize = 64;

/// The number of elements of a sample.
const SAMPLE_LEN: usize = 64;

/// Returns a hash of evenly distributed elements of a region, as they are in the file.
fn sample_of(target: &MappedOperand, region: &Region) -> Result<u64> {
    let StridedLayout { base, item, byte_strides, .. } = &target.layout;
    let mut bytes = Vec::new();
    let len = SAMPLE_LEN.min(region.len());
    for position in 0..len {
        let mut index = partition_start(region.len(), position + 1, len) - 1;
        let mut address = *base;
        for axis in (0..byte_strides.len()).rev() {
            let range = region.range(axis);
            let offset = byte_strides[axis] * (range.start + index % range.len()) as isize;
            address = address.wrapping_add_signed(offset);
            index /= range.len();
        }
        bytes.append(&mut target.pager.read_file(address..address + item)?);
    }
    Ok(fnv1a(&bytes))
}

/// Copying.
impl<A: Copy + Sync, P: ArraySource<Elem = A> + ParallelSource> Chunked<'_, P> {
    /// Copies the elements into another array of the same shape, of any memory order; see
    /// [`map_into`](Self::map_into).
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ArrayFileMut, prelude::*};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("some.npy");
    /// let table = Array2::from_shape_fn((100, 8), |(i, j)| (8 * i + j) as f32);
    /// let mut rows = ArrayFileMut::create_npy(&path, (3, 8))?;
    /// table.chunked().select(Axis(0), &[50, 7, 50])?.copy_into(&mut rows)?;
    /// rows.close()?;
    /// # let rows = ndarray_mmap::ArrayFile::<f32, Ix2>::open_npy(&path)?;
    /// assert_eq!(rows.read(s![.., 0])?, array![400.0, 56.0, 400.0]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`map_into`](Self::map_into).
    #[doc(alias = "copyto")]
    pub fn copy_into<T>(self, target: &mut T) -> Result<()>
    where
        T: ChunkTarget<Elem = A, Dim = P::Dim> + ?Sized,
    {
        self.map_into(target, |&element| element)
    }
}

macro_rules! map_into {
    ($([$($chunk:ident $source:ident $value:ident)+] $example:literal;)*) => {$(
        /// Element-wise operations.
        impl<D: Dimension, $($source),+> Chunked<'_, map_into!(@tuple $($source)+)>
        where
            $($source: ArraySource<Elem: Sync, Dim = D> + ParallelSource,)+
        {
            /// Maps the elements at each index into another array of the same shape, of any element
            /// type.
            ///
            /// The axis, the length of chunks and the halo have no effect. The arrays are processed
            /// in tiles that suit their memory orders and the [memory limit](Self::memory_limit),
            /// which may be less than a row. A [partition](Self::partition) is a range of the
            /// slowest axis of the first array.
            ///
            #[doc = concat!("```\n", $example, "\n# Ok::<(), ndarray_mmap::Error>(())\n```")]
            ///
            /// # Errors
            ///
            /// Returns [`ErrorKind::ShapeMismatch`] if the shapes differ, in which case nothing is
            /// written, and the errors of [all parallel methods](#errors-of-parallel-methods).
            #[doc(alias = "astype")]
            pub fn map_into<Out, T>(
                self,
                target: &mut T,
                map: impl Fn($(&$source::Elem),+) -> Out + Sync,
            ) -> Result<()>
            where
                T: ChunkTarget<Elem = Out, Dim = D> + ?Sized,
            {
                let types = [
                    $(std::any::type_name::<$source::Elem>(),)+
                    std::any::type_name::<Out>(),
                ];
                let zipped = self.pair(target.target(true))?;
                let tiles = zipped.division().cache_tiles();
                let buffers = tiles.as_ref().map_or(0, |tiles| tiles.max_len() * size_of::<Out>());
                zipped.for_each_tile(&types.join(" to "), buffers, |(map_into!(@tuple $($chunk)+), target)| {
                    T::Target::write(target, |mut target| {
                        let Some(tiles) = &tiles else {
                            Zip::from(target)
                                $(.and($chunk.view()))+
                                .for_each(|target, $($value),+| *target = map($($value),+));
                            return Ok(());
                        };
                        // Elements are computed in the order of the first array and then moved, so
                        // that each cache line of both is used at once.
                        let mut buffer = Vec::new();
                        let shape = target.shape().to_vec();
                        tiles.for_each(&shape, &mut |tile| {
                            $(let $chunk = tiles.permuted(slice($chunk.view(), tile));)+
                            let target = tiles.permuted(slice_mut(target.view_mut(), tile));
                            if buffer.is_empty() {
                                // The first tile is the largest.
                                let zip = map_into!(@zip $($chunk)+);
                                let mut first = zip.map_collect(|$($value),+| map($($value),+));
                                move_elements(target, first.view_mut());
                                buffer = first.into_raw_vec_and_offset().0;
                                return;
                            }
                            let elements = &mut buffer[..target.len()];
                            let computed = ArrayViewMut::from_shape(target.raw_dim(), elements);
                            let mut computed = computed.expect("an element for each index");
                            Zip::from(&mut computed)
                                $(.and($chunk))+
                                .for_each(|computed, $($value),+| *computed = map($($value),+));
                            move_elements(target, computed);
                        });
                        Ok(())
                    })
                })
            }
        }
    )*};
    (@zip $first:ident $($other:ident)*) => { Zip::from($first)$(.and($other))* };
    (@tuple $one:ident) => { $one };
    (@tuple $($some:ident)+) => { ($($some),+) };
}
map_into! {
    [a P x]
"use ndarray::prelude::*;
use ndarray_mmap::{MmapArrayMut, prelude::*};

let counts = Array2::<u16>::from_elem((100, 100), 3);
let mut volts = MmapArrayMut::<f64, _>::scratch((100, 100))?;
counts.chunked().map_into(&mut volts, |&n| f64::from(n) * 0.5)?;
assert_eq!(volts.sum(), 15_000.0);";
    [a P x b Q y]
"use ndarray::prelude::*;
use ndarray_mmap::prelude::*;

let x = Array2::from_elem((9, 5), 3.0_f64);
let y = Array2::from_elem((9, 5), 4.0);
let mut length = Array2::<f64>::zeros((9, 5));
x.chunked().and(&y)?.map_into(&mut length, |x, &y| x.hypot(y))?;
assert_eq!(length, Array2::from_elem((9, 5), 5.0));";
    [a P x b Q y c R z]
"use ndarray::prelude::*;
use ndarray_mmap::prelude::*;

let (a, b, c) = (array![1.0, 2.0], array![3.0, 4.0], array![0.5, 0.5]);
let mut fused = Array1::<f64>::zeros(2);
a.chunked().and(&b)?.and(&c)?.map_into(&mut fused, |a: &f64, &b, &c| a.mul_add(b, c))?;
assert_eq!(fused, array![3.5, 8.5]);";
    [a P x b Q y c R z d S w]
"use ndarray::prelude::*;
use ndarray_mmap::prelude::*;

let (start, end, value, fill) = (array![0, 0], array![9, 9], array![5, 50], array![-1, -1]);
let mut valid = Array1::<i32>::zeros(2);
start.chunked().and(&end)?.and(&value)?.and(&fill)?.map_into(&mut valid, |start, end, value, fill| {
    if (start..=end).contains(&value) { *value } else { *fill }
})?;
assert_eq!(valid, array![5, -1]);";
}
