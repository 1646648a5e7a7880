//! Elements of one array, or of two to four zipped ones, as contiguous slices in memory order.
#![forbid(unsafe_code)]

use std::borrow::Cow;

use ndarray::{
    ArrayBase, ArrayView, ArrayView2, ArrayViewD, ArrayViewMutD, Axis, Dimension, IxDyn, RawData,
    Zip,
};

use super::any_array::{AnyArray, Loaded};
use super::lazy::Computed;
use super::source::{ArraySource, ReadOnlySource};
use crate::error::Result;
use crate::geometry::{Region, memory_order};

/// A source of elements for accumulators: an [`ArraySource`], or a tuple of two to four of them, whose
/// elements are tuples. Sealed.
#[diagnostic::on_unimplemented(
    message = "statistics and `accumulate` take read-only arrays, not `{Self}`",
    label = "expected an `ArrayView`, a `LazyArray` or a tuple of them, of `Copy` elements",
    note = "call `chunked()` instead of `chunked_mut()`"
)]
pub trait ElementSource: ReadOnlySource {
    /// The type that is pushed into accumulators.
    type Element: Copy;

    /// Reverses an axis of all arrays.
    #[doc(hidden)]
    fn invert(&mut self, axis: usize);

    /// Returns the number of bytes that [`with_slice`](Self::with_slice) copies for each element.
    #[doc(hidden)]
    fn copied_bytes(&self) -> usize;

    /// Returns whether this is one array of which the blocks of a batch should be read at once.
    #[doc(hidden)]
    fn are_batches_read(&self) -> bool {
        false
    }

    /// Prepares the elements inside a region: reads them at once if [batches are
    /// read](Self::are_batches_read), or prepares their computation. `None` if this is not possible
    /// or elements are in memory.
    #[doc(hidden)]
    fn load_batch(&self, _bounds: &Region) -> Result<Option<Batch<'_, Self::Element>>> {
        Ok(None)
    }

    /// Calls a closure with the elements inside a region, in the memory order of the first array.
    #[doc(hidden)]
    fn with_slice(&self, bounds: &Region, work: &mut dyn FnMut(&[Self::Element])) -> Result<()>;

    /// Copies the elements inside a region into an array with these axes.
    #[doc(hidden)]
    fn copy_to(
        &self,
        bounds: &Region,
        axes: &[usize],
        target: ArrayViewMutD<'_, Self::Element>,
    ) -> Result<()>;
}

/// The elements of consecutive blocks.
pub enum Batch<'l, E> {
    Loaded(Loaded<'l, E>),
    Computed(Box<dyn Computed<E> + 'l>),
}

impl<A: Copy, P: ArraySource<Elem = A>> ElementSource for P {
    type Element = A;

    fn invert(&mut self, axis: usize) {
        self.invert_axis(axis);
    }

    fn copied_bytes(&self) -> usize {
        match self.clone().into_any() {
            AnyArray::View(view) if view.as_slice_memory_order().is_some() => 0,
            AnyArray::View(_) => size_of::<A>(),
            array => array.buffered_bytes(),
        }
    }

    fn are_batches_read(&self) -> bool {
        self.is_read_in_batches()
    }

    fn load_batch(&self, bounds: &Region) -> Result<Option<Batch<'_, A>>> {
        if self.is_read_in_batches() {
            self.load(bounds).map(|loaded| Some(Batch::Loaded(loaded)))
        } else {
            Ok(self.computed(bounds)?.map(Batch::Computed))
        }
    }

    fn with_slice(&self, bounds: &Region, work: &mut dyn FnMut(&[A])) -> Result<()> {
        let loaded = self.load(bounds)?;
        match loaded.as_slice_memory_order() {
            Some(elements) => work(elements),
            None => {
                let view = loaded.view();
                work(&MemoryOrder::of(&view).elements(view));
            }
        }
        Ok(())
    }

    fn copy_to(&self, bounds: &Region, axes: &[usize], target: ArrayViewMutD<'_, A>) -> Result<()> {
        let loaded = self.load(bounds)?;
        Zip::from(without_single(target))
            .and(&permuted(loaded.view(), axes))
            .for_each(|target, &element| *target = element);
        Ok(())
    }
}

/// Returns a view with these axes, without axes of length 1.
fn permuted<'v, A, D: Dimension>(view: ArrayView<'v, A, D>, axes: &[usize]) -> ArrayViewD<'v, A> {
    without_single(view.into_dyn().permuted_axes(axes))
}

/// Removes axes of length 1, because iterating over fewer axes takes less time.
fn without_single<S: RawData>(mut array: ArrayBase<S, IxDyn>) -> ArrayBase<S, IxDyn> {
    for axis in
        (0..array.ndim()).rev().filter(|&axis| array.len_of(Axis(axis)) == 1).collect::<Vec<_>>()
    {
        array = array.index_axis_move(Axis(axis), 0);
    }
    array
}

/// Iterates over the elements of several slices as tuples.
macro_rules! izip {
    ($a:ident, $b:ident) => {
        $a.iter().copied().zip($b.iter().copied())
    };
    ($a:ident, $b:ident, $c:ident) => {
        izip!($a, $b).zip($c.iter().copied()).map(|((a, b), c)| (a, b, c))
    };
    ($a:ident, $b:ident, $c:ident, $e:ident) => {
        izip!($a, $b, $c).zip($e.iter().copied()).map(|((a, b, c), e)| (a, b, c, e))
    };
}

macro_rules! tuples {
    ($($a:ident $first:ident, $($b:ident $rest:ident),+;)*) => {$(
        impl<$first, $($rest),+> ElementSource for ($first, $($rest),+)
        where
            $first: ArraySource<Elem: Copy>,
            $($rest: ArraySource<Elem: Copy, Dim = $first::Dim>,)+
        {
            type Element = ($first::Elem, $($rest::Elem),+);

            fn invert(&mut self, axis: usize) {
                let ($a, $($b),+) = self;
                $a.invert_axis(axis);
                $($b.invert_axis(axis);)+
            }

            fn copied_bytes(&self) -> usize {
                let ($a, $($b),+) = self;
                let copies = size_of::<$first::Elem>() $(+ size_of::<$rest::Elem>())+;
                let buffers = $a.clone().into_any().buffered_bytes()
                    $(+ $b.clone().into_any().buffered_bytes())+;
                size_of::<Self::Element>() + copies + buffers
            }

            // `Zip` would choose an order that depends on all arrays.
            fn with_slice(
                &self,
                bounds: &Region,
                work: &mut dyn FnMut(&[Self::Element]),
            ) -> Result<()> {
                let ($a, $($b),+) = self;
                let ($a, $($b),+) = ($a.load(bounds)?, $($b.load(bounds)?),+);
                let order = MemoryOrder::of(&$a.view());
                let ($a, $($b),+) = (order.elements($a.view()), $(order.elements($b.view())),+);
                let elements: Vec<_> = izip!($a, $($b),+).collect();
                work(&elements);
                Ok(())
            }

            fn copy_to(
                &self,
                bounds: &Region,
                axes: &[usize],
                target: ArrayViewMutD<'_, Self::Element>,
            ) -> Result<()> {
                let ($a, $($b),+) = self;
                let ($a, $($b),+) = ($a.load(bounds)?, $($b.load(bounds)?),+);
                Zip::from(without_single(target))
                    .and(&permuted($a.view(), axes))
                    $(.and(&permuted($b.view(), axes)))+
                    .for_each(|target, &$a, $(&$b),+| *target = ($a, $($b),+));
                Ok(())
            }
        }
    )*};
}
tuples! { a A, b B; a A, b B, c C; a A, b B, c C, e E; }

/// The minimum length of lines that are copied with `memcpy`. For shorter lines, the call takes
/// longer than copying element by element.
const MIN_MEMCPY_LEN: usize = 16;

/// Calls a closure with the planes of the last two axes. Iterating over lines is slow for any
/// number of dimensions.
fn for_each_plane<A>(view: ArrayViewD<'_, A>, work: &mut dyn FnMut(ArrayView2<'_, A>)) {
    match view.ndim() {
        1 => work(view.insert_axis(Axis(0)).into_dimensionality().expect("two axes")),
        2 => work(view.into_dimensionality().expect("two axes")),
        _ => view.outer_iter().for_each(|part| for_each_plane(part, work)),
    }
}

/// The permutation and inversion of axes with which iteration follows memory.
pub struct MemoryOrder {
    /// The axes from the slowest to the fastest.
    pub(super) axes: Vec<usize>,
    /// Whether each of the axes has a negative stride.
    pub(super) inverted: Vec<bool>,
    /// Whether each of the axes has length 1 and is therefore dropped.
    single: Vec<bool>,
}

impl MemoryOrder {
    pub(super) fn of<A>(view: &ArrayViewD<'_, A>) -> Self {
        Self::new(view.shape(), view.strides())
    }

    /// Creates the order of an array with these lengths and strides.
    pub(super) fn new(shape: &[usize], strides: &[isize]) -> Self {
        let axes = memory_order(shape.iter().copied().zip(strides.iter().copied()));
        let inverted = axes.iter().map(|&axis| strides[axis] < 0).collect();
        let single = axes.iter().map(|&axis| shape[axis] == 1).collect();
        Self { axes, inverted, single }
    }

    /// Returns whether an axis is inverted.
    pub(super) fn is_inverted(&self) -> bool {
        self.inverted.contains(&true)
    }

    /// Returns the elements of an array in this order, as a slice if they are contiguous. Axes that
    /// had length 1 in the array of which this is the order must have it here.
    pub(super) fn elements<'v, A: Copy, D: Dimension>(
        &self,
        view: ArrayView<'v, A, D>,
    ) -> Cow<'v, [A]> {
        let view = self.apply(view);
        if let Some(elements) = view.to_slice() {
            return Cow::Borrowed(elements);
        }
        let mut elements = Vec::with_capacity(view.len());
        for_each_plane(view, &mut |plane| {
            for line in plane.rows() {
                match line.to_slice() {
                    Some(slice) if slice.len() > MIN_MEMCPY_LEN => {
                        elements.extend_from_slice(slice)
                    }
                    _ => elements.extend(line),
                }
            }
        });
        Cow::Owned(elements)
    }

    /// Permutes and inverts the axes of an array.
    pub(super) fn apply<'v, A, D: Dimension>(
        &self,
        view: ArrayView<'v, A, D>,
    ) -> ArrayViewD<'v, A> {
        let mut view = view.into_dyn().permuted_axes(self.axes.clone());
        for axis in (0..view.ndim()).rev() {
            if self.single[axis] {
                view = view.index_axis_move(Axis(axis), 0);
            } else if self.inverted[axis] {
                view.invert_axis(Axis(axis));
            }
        }
        if view.ndim() == 0 { view.insert_axis(Axis(0)) } else { view }
    }
}
