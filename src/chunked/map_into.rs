//! Writing of results to another array.
#![forbid(unsafe_code)]

use ndarray::{ArrayViewMut, Dimension, Zip};

use super::Chunked;
use super::cache_tiles::move_elements;
use super::source::{ArraySource, ParallelSource, slice, slice_mut};
use super::target::{ChunkTarget, WritableSource};
#[allow(unused_imports, reason = "for links in the docs")]
use crate::error::ErrorKind;
use crate::error::{Error, Result};

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
}

/// Copying.
impl<A: Copy + Sync, P: ArraySource<Elem = A> + ParallelSource> Chunked<'_, P> {
    /// Copies the elements into another array of the same shape. Its memory order may differ: arrays
    /// are converted from C to F order, or transposed, through tiles that fit the processor caches.
    /// The configuration has the same effect as on [`map_into`](Self::map_into).
    ///
    /// If the copy fails, the target contains the elements that were copied before. Create it with
    /// [`create_file_npy_atomic`](crate::MmapArrayOptions::create_file_npy_atomic) if a file should
    /// only appear when it is complete.
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
    /// Returns [`ErrorKind::ShapeMismatch`] if the shapes differ, in which case nothing is written,
    /// and the errors of [all parallel methods](#errors-of-parallel-methods).
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
