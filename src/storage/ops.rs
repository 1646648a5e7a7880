//! The owners where ndarray takes arrays by reference: `==`, `for`, `Zip`, `par_iter`, assignment operators.
#![forbid(unsafe_code)]

use std::ops::{
    AddAssign, BitAndAssign, BitOrAssign, BitXorAssign, DivAssign, MulAssign, RemAssign, ShlAssign, ShrAssign,
    SubAssign,
};

use ndarray::iter::{Iter, IterMut};
use ndarray::{ArrayView, ArrayViewMut, Dimension, IntoNdProducer};

use super::array::{MmapArray, MmapArrayCow, MmapArrayMut};

macro_rules! reading {
    ($($owner:ident: $view:ident)*) => {$(
        /// With whatever ndarray compares a view: shape and elements.
        impl<A, D: Dimension, R: ?Sized> PartialEq<R> for $owner<A, D>
        where
            $view<'static, A, D>: PartialEq<R>,
        {
            fn eq(&self, other: &R) -> bool {
                self.view == *other
            }
        }

        impl<'a, A, D: Dimension> IntoIterator for &'a $owner<A, D> {
            type Item = &'a A;
            type IntoIter = Iter<'a, A, D>;

            fn into_iter(self) -> Self::IntoIter {
                self.iter()
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
reading! { MmapArray: ArrayView MmapArrayMut: ArrayViewMut MmapArrayCow: ArrayViewMut }

macro_rules! writing {
    ($($owner:ident)*) => {$(
        impl<'a, A, D: Dimension> IntoIterator for &'a mut $owner<A, D> {
            type Item = &'a mut A;
            type IntoIter = IterMut<'a, A, D>;

            fn into_iter(self) -> Self::IntoIter {
                self.iter_mut()
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
        impl<'a, A: Sync + Send, D: Dimension> rayon::iter::IntoParallelIterator for &'a mut $owner<A, D> {
            type Item = &'a mut A;
            type Iter = ndarray::parallel::Parallel<ArrayViewMut<'a, A, D>>;

            fn into_par_iter(self) -> Self::Iter {
                self.view_mut().into_par_iter()
            }
        }

        assign! {
            $owner: AddAssign add_assign, SubAssign sub_assign, MulAssign mul_assign, DivAssign div_assign,
            RemAssign rem_assign, BitAndAssign bitand_assign, BitOrAssign bitor_assign, BitXorAssign bitxor_assign,
            ShlAssign shl_assign, ShrAssign shr_assign
        }
    )*};
}

/// Whatever ndarray lets an array be assigned with: a scalar, or a reference to an array or view.
macro_rules! assign {
    ($owner:ident: $($operator:ident $method:ident),*) => {$(
        impl<A, D: Dimension, R> $operator<R> for $owner<A, D>
        where
            ArrayViewMut<'static, A, D>: $operator<R>,
        {
            fn $method(&mut self, operand: R) {
                self.view.$method(operand);
            }
        }
    )*};
}
writing! { MmapArrayMut MmapArrayCow }
