//! Chunked views of the mapped array types.
#![forbid(unsafe_code)]

use ndarray::{ArrayView, ArrayViewMut, Dimension};

use super::array::{MmapArray, MmapArrayCow, MmapArrayMut};
use super::pending::MmapArrayPending;
use crate::chunked::{Chunked, ChunkedExt, ChunkedMutExt, sealed};

macro_rules! chunked {
    ($($owner:ident)*) => {$(
        impl<A, D: Dimension> sealed::Sealed for $owner<A, D> {}

        impl<A, D: Dimension> ChunkedExt for $owner<A, D> {
            type Elem = A;
            type Dim = D;

            fn chunked(&self) -> Chunked<'_, ArrayView<'_, A, D>> {
                Chunked::new(self.view())
            }
        }
    )*};
}
chunked! { MmapArray MmapArrayMut MmapArrayCow MmapArrayPending }

macro_rules! chunked_mut {
    ($($owner:ident)*) => {$(
        impl<A, D: Dimension> ChunkedMutExt for $owner<A, D> {
            fn chunked_mut(&mut self) -> Chunked<'_, ArrayViewMut<'_, A, D>> {
                Chunked::new(self.view_mut())
            }
        }
    )*};
}
chunked_mut! { MmapArrayMut MmapArrayCow MmapArrayPending }
