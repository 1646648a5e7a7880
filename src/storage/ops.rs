//! Traits by which ndarray accepts arrays by reference, for the mapped array types: `==`, `for`,
//! `Zip`, `par_iter`, `AsArray`, assignment operators.
//!
//! Operators are those of a view of *any* lifetime. Were it `'static`, foreign code could implement
//! an operator for such views and keep the view passed to it, beyond the life of the mapping:
//!
//! ```compile_fail,E0277
//! use ndarray::prelude::*;
//! use ndarray_mmap::MmapArrayMut;
//!
//! struct Thief<'t>(&'t mut Option<ArrayViewMut1<'static, f64>>);
//! impl std::ops::AddAssign<Thief<'_>> for ArrayViewMut1<'static, f64> {
//!     fn add_assign(&mut self, thief: Thief<'_>) {
//!         *thief.0 = Some(std::mem::replace(self, ArrayViewMut1::from(&mut [])));
//!     }
//! }
//! let mut loot = None;
//! let mut array = MmapArrayMut::<f64, _>::scratch(3).unwrap();
//! array += Thief(&mut loot);
//! ```
#![forbid(unsafe_code)]

use std::ops::{
    AddAssign, BitAndAssign, BitOrAssign, BitXorAssign, DivAssign, MulAssign, RemAssign, ShlAssign,
    ShrAssign, SubAssign,
};

use ndarray::iter::{Iter, IterMut};
use ndarray::{ArrayBase, ArrayView, ArrayViewMut, Data, DataMut, Dimension, IntoNdProducer};

use super::array::{MmapArray, MmapArrayCow, MmapArrayMut};
use super::pending::MmapArrayPending;

/// Assigns from a reference to a mapped array, as from any other array.
macro_rules! assign_from {
    ($owner:ident: $($operator:ident $method:ident),*) => {$(
        impl<A, S, D: Dimension, E: Dimension> $operator<&$owner<A, E>> for ArrayBase<S, D>
        where
            A: Clone + $operator<A>,
            S: DataMut<Elem = A>,
        {
            fn $method(&mut self, operand: &$owner<A, E>) {
                self.$method(&operand.view());
            }
        }
    )*};
}

macro_rules! reading {
    ($($owner:ident)*) => {$(
        /// Compares with everything that ndarray compares a view with: shape and elements.
        impl<A, D: Dimension, R: ?Sized> PartialEq<R> for $owner<A, D>
        where
            for<'v> ArrayView<'v, A, D>: PartialEq<R>,
        {
            fn eq(&self, other: &R) -> bool {
                self.view() == *other
            }
        }

        /// Allows any array on the left side, including a mapped one.
        impl<A: PartialEq<B>, B, S: Data<Elem = A>, D: Dimension> PartialEq<$owner<B, D>>
            for ArrayBase<S, D>
        {
            fn eq(&self, other: &$owner<B, D>) -> bool {
                **self == **other
            }
        }

        assign_from! {
            $owner: AddAssign add_assign, SubAssign sub_assign, MulAssign mul_assign,
            DivAssign div_assign, RemAssign rem_assign, BitAndAssign bitand_assign,
            BitOrAssign bitor_assign, BitXorAssign bitxor_assign,
            ShlAssign shl_assign, ShrAssign shr_assign
        }

        impl<'a, A, D: Dimension> IntoIterator for &'a $owner<A, D> {
            type Item = &'a A;
            type IntoIter = Iter<'a, A, D>;

            fn into_iter(self) -> Self::IntoIter {
                self.iter()
            }
        }

        impl<'a, A, D: Dimension> From<&'a $owner<A, D>> for ArrayView<'a, A, D> {
            fn from(array: &'a $owner<A, D>) -> Self {
                array.view()
            }
        }

        impl<'a, A, D: Dimension> IntoNdProducer for &'a $owner<A, D> {
            type Item = &'a A;
            type Dim = D;
            type Output = ArrayView<'a, A, D>;

            fn into_producer(self) -> Self::Output {
                self.view()
            }
        }

        #[cfg(feature = "rayon")]
        impl<'a, A: Sync, D: Dimension> rayon::iter::IntoParallelIterator for &'a $owner<A, D> {
            type Item = &'a A;
            type Iter = ndarray::parallel::Parallel<ArrayView<'a, A, D>>;

            fn into_par_iter(self) -> Self::Iter {
                self.view().into_par_iter()
            }
        }
    )*};
}
reading! { MmapArray MmapArrayMut MmapArrayCow MmapArrayPending }

macro_rules! writing {
    ($($owner:ident)*) => {$(
        impl<'a, A, D: Dimension> IntoIterator for &'a mut $owner<A, D> {
            type Item = &'a mut A;
            type IntoIter = IterMut<'a, A, D>;

            fn into_iter(self) -> Self::IntoIter {
                self.iter_mut()
            }
        }

        impl<'a, A, D: Dimension> From<&'a mut $owner<A, D>> for ArrayViewMut<'a, A, D> {
            fn from(array: &'a mut $owner<A, D>) -> Self {
                array.view_mut()
            }
        }

        impl<'a, A, D: Dimension> IntoNdProducer for &'a mut $owner<A, D> {
            type Item = &'a mut A;
            type Dim = D;
            type Output = ArrayViewMut<'a, A, D>;

            fn into_producer(self) -> Self::Output {
                self.view_mut()
            }
        }

        #[cfg(feature = "rayon")]
        impl<'a, A: Sync + Send, D: Dimension> rayon::iter::IntoParallelIterator
            for &'a mut $owner<A, D>
        {
            type Item = &'a mut A;
            type Iter = ndarray::parallel::Parallel<ArrayViewMut<'a, A, D>>;

            fn into_par_iter(self) -> Self::Iter {
                self.view_mut().into_par_iter()
            }
        }

        assign! {
            $owner: AddAssign add_assign, SubAssign sub_assign, MulAssign mul_assign,
            DivAssign div_assign, RemAssign rem_assign, BitAndAssign bitand_assign,
            BitOrAssign bitor_assign, BitXorAssign bitxor_assign,
            ShlAssign shl_assign, ShrAssign shr_assign
        }
    )*};
}

/// Assigns from everything that ndarray accepts: a scalar, or a reference to an array or view.
macro_rules! assign {
    ($owner:ident: $($operator:ident $method:ident),*) => {$(
        impl<A, D: Dimension, R> $operator<R> for $owner<A, D>
        where
            for<'v> ArrayViewMut<'v, A, D>: $operator<R>,
        {
            fn $method(&mut self, operand: R) {
                self.view_mut().$method(operand);
            }
        }
    )*};
}
writing! { MmapArrayMut MmapArrayCow MmapArrayPending }
