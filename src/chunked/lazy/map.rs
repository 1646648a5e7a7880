//! Arrays whose elements are computed from those of other arrays.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::Dimension;

use super::computed::{Computed, Operand};
use super::{LazyArray, ReadArray};
use crate::chunked::Chunked;
use crate::chunked::elements::{ElementSource, MemoryOrder};
use crate::chunked::limit::path_of;
use crate::chunked::source::{ArraySource, ChunkSource};
use crate::distributed::SavedArray;
use crate::error::Result;
use crate::extend::extend;
use crate::geometry::{Region, StridedLayout};

/// A function of the elements of a source, with one axis order for all regions.
struct Mapped<P, F> {
    source: P,
    order: MemoryOrder,
    path: Option<PathBuf>,
    map: F,
}

/// A function of the elements of a region.
struct MappedRegion<'l, T, F> {
    operands: T,
    map: &'l F,
}

impl<'a, P: ElementSource + Sync> Chunked<'a, P> {
    /// Replaces the source by an array that is computed from it.
    fn with_computed<B, F>(self, map: F) -> Chunked<'a, LazyArray<'a, B, P::Dim>>
    where
        Mapped<P, F>: ReadArray<B> + 'a,
        B: Copy,
    {
        // Elements are computed by ascending addresses, and reversed axes of the first array are
        // reversed again in the result.
        let inverted = self.division().inverted_axes();
        let Self { source, config } = self.with_ascending_addresses();
        let shape = source.source_shape();
        let mut layouts = Vec::new();
        source.layouts(&mut layouts);
        let order = MemoryOrder::new(shape.slice(), &layouts[0].byte_strides);
        let axes = order.axes.clone();
        let path = path_of(&source);
        let mapped = Mapped { source, order, path, map };
        let mut array = LazyArray::new(Arc::new(mapped), &shape, &axes);
        inverted.into_iter().for_each(|axis| array.invert_axis(axis));
        Chunked { source: array, config }
    }
}

macro_rules! map {
    ($([$($array:ident $source:ident),+] $argument:ty, $pattern:pat, $value:expr, $example:literal;)*) => {$(
        /// Computed elements.
        impl<'a, D: Dimension, $($source),+> Chunked<'a, map!(@tuple $($source),+)>
        where
            $($source: ArraySource<Elem: Copy, Dim = D> + 'a,)+
        {
            /// Computes an array lazily: each element is a function of the elements at the same index.
            ///
            /// Nothing is computed before the elements are needed. Statistics, iteration, parallel
            /// methods and [`map_into`](Self::map_into) compute them chunk by chunk, in each pass
            /// again, and use memory for one chunk per thread, which counts against the [memory
            /// limit](Self::memory_limit). Results have the same bits as those of an array in memory
            /// with the computed elements in the same memory order, and for statistics along an axis with
            /// the strides of an array without gaps. The configuration remains.
            ///
            /// To exclude elements, map them to NaN and call [`skipnan`](Self::skipnan). A
            /// [saved state](Self::checkpoint) cannot tell one function from another.
            ///
            #[doc = concat!("```\n", $example, "\n# Ok::<(), ndarray_mmap::Error>(())\n```")]
            pub fn map<Out, F>(self, map: F) -> Chunked<'a, LazyArray<'a, Out, D>>
            where
                Out: Copy + 'a,
                F: Fn($argument) -> Out + Send + Sync + 'a,
            {
                self.with_computed(map)
            }
        }

        impl<Out, D: Dimension, $($source,)+ F> ReadArray<Out> for Mapped<map!(@tuple $($source),+), F>
        where
            $($source: ArraySource<Elem: Copy, Dim = D>,)+
            F: Fn($argument) -> Out + Send + Sync,
        {
            fn read(&self, region: &Region, elements: &mut Vec<Out>) -> Result<()> {
                let map!(@tuple $($array),+) = &self.source;
                $(let $array = $array.load(region)?;)+
                $(let $array = self.order.elements($array.view());)+
                elements.clear();
                elements.reserve_exact(region.len());
                extend(elements, map!(@zip $($array),+).map(|$pattern| (self.map)($value)));
                Ok(())
            }

            fn is_computed_in_memory(&self) -> bool {
                let map!(@tuple $($array),+) = &self.source;
                true $(&& !$array.is_read_in_batches())+
            }

            fn computed(&self, region: &Region) -> Result<Option<Box<dyn Computed<Out> + '_>>> {
                let map!(@tuple $($array),+) = &self.source;
                $(let Some($array) = $array.operand(region, &self.order)? else {
                    return Ok(None);
                };)+
                Ok(Some(Box::new(MappedRegion { operands: ($($array,)+), map: &self.map })))
            }

            fn extra_bytes(&self) -> usize {
                let map!(@tuple $($array),+) = &self.source;
                // Regions that are not contiguous are copied.
                0 $(+ size_of::<$source::Elem>() + $array.clone().into_any().buffered_bytes())+
            }

            fn scratch_bytes(&self) -> usize {
                let map!(@tuple $($array),+) = &self.source;
                0 $(+ $array.clone().into_any().scratch_bytes())+
            }

            fn layouts(&self) -> Vec<StridedLayout> {
                let map!(@tuple $($array),+) = &self.source;
                [$($array.clone().into_any().accessed_layouts()),+].concat()
            }

            fn path(&self) -> Option<&Path> {
                self.path.as_deref()
            }

            fn saved_files(&self) -> Result<Vec<SavedArray>> {
                self.source.saved_files()
            }
        }

        #[allow(non_snake_case, reason = "names of buffers are those of types")]
        impl<Out, $($source: Copy,)+ F> Computed<Out>
            for MappedRegion<'_, ($(Operand<'_, $source>,)+), F>
        where
            F: Fn(map!(@argument $($source),+)) -> Out,
        {
            fn compute(&self, range: Range<usize>, elements: &mut Vec<Out>) {
                let ($($array,)+) = &self.operands;
                $(let mut $source = Vec::new();)+
                $(let $array = $array.get(range.clone(), &mut $source);)+
                elements.clear();
                elements.reserve_exact(range.len());
                extend(elements, map!(@zip $($array),+).map(|$pattern| (self.map)($value)));
            }
        }
    )*};
    (@argument $one:ident) => { &$one };
    (@argument $($some:ident),+) => { ($(&$some),+) };
    (@tuple $one:ident) => { $one };
    (@tuple $($some:ident),+) => { ($($some),+) };
    (@zip $a:ident) => { $a.iter() };
    (@zip $a:ident, $b:ident) => { $a.iter().zip($b.iter()) };
    (@zip $a:ident, $b:ident, $c:ident) => { $a.iter().zip($b.iter()).zip($c.iter()) };
    (@zip $a:ident, $b:ident, $c:ident, $d:ident) => {
        $a.iter().zip($b.iter()).zip($c.iter()).zip($d.iter())
    };
}
map! {
    [a P] &P::Elem, x, x,
"use ndarray::prelude::*;
use ndarray_mmap::prelude::*;

// The median absolute deviation, in two passes and without a copy of the array.
let values = array![1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0];
let median = values.chunked().quantile(0.5, Default::default())?;
let deviations = values.chunked().map(|&x: &f64| (x - median).abs());
assert_eq!(deviations.quantile(0.5, Default::default())?, 1.0);";
    [a P, b Q] (&P::Elem, &Q::Elem), x, x,
"use ndarray::prelude::*;
use ndarray_mmap::prelude::*;

let x = array![1.0, 2.0, 3.0];
let y = array![1.5, 2.0, 1.0];
let difference = x.chunked().and(&y)?.map(|(&x, &y): (&f64, &f64)| (x - y).abs());
assert_eq!(difference.sum()?, 2.5);";
    [a P, b Q, c R] (&P::Elem, &Q::Elem, &R::Elem), ((a, b), c), (a, b, c),
"use ndarray::prelude::*;
use ndarray_mmap::prelude::*;

let (x, y, is_valid) = (array![1.0, 2.0, 3.0], array![1.0, 1.0, 2.0], array![true, false, true]);
let chunked = x.chunked().and(&y)?.and(&is_valid)?;
let ratio = chunked.map(|(&x, &y, &is_valid)| if is_valid { x / y } else { f64::NAN });
assert_eq!(ratio.skipnan().mean()?, 1.25);";
    [a P, b Q, c R, d S] (&P::Elem, &Q::Elem, &R::Elem, &S::Elem), (((a, b), c), d), (a, b, c, d),
"use ndarray::prelude::*;
use ndarray_mmap::prelude::*;

let (x, y, z, t) = (array![1.0, 2.0], array![2.0, 3.0], array![2.0, 6.0], array![1.0, 7.0]);
let chunked = x.chunked().and(&y)?.and(&z)?.and(&t)?;
let speed = chunked.map(|(&x, &y, &z, &t): (&f64, &f64, &f64, &f64)| x.hypot(y).hypot(z) / t);
assert_eq!(speed.argmax()?, 0);";
}

impl<'a, A: Copy, D: Dimension> Chunked<'a, LazyArray<'a, A, D>> {
    /// Returns the lazy array. Its configuration, such as a [memory limit](Self::memory_limit), is
    /// dropped.
    pub fn into_lazy(self) -> LazyArray<'a, A, D> {
        self.source
    }
}
