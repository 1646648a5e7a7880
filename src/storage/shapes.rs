//! Reshaping of the mapped array types.
#![forbid(unsafe_code)]

use ndarray::{ArrayRef, Dimension, IxDyn, ShapeArg};

use super::array::{MmapArray, MmapArrayCow, MmapArrayMut};
use super::array_error::ArrayError;
use crate::error::{Error, ErrorKind};
use crate::order::Order;

macro_rules! shapes {
    ($($owner:ident)*) => {$(
        /// Methods for other shapes of the same elements.
        impl<A, D: Dimension> $owner<A, D> {
            /// Converts to an array with a dynamic number of dimensions.
            ///
            /// ```
            /// # use ndarray_mmap::MmapArrayMut;
            /// let table = MmapArrayMut::<f64, _>::scratch((3, 4))?;
            /// let line = MmapArrayMut::scratch(12)?;
            /// let both = [table.into_dyn(), line.into_dyn()]; // both have the same type now
            /// assert_eq!(both.map(|array| array.ndim()), [2, 1]);
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            pub fn into_dyn(self) -> $owner<A, IxDyn> {
                $owner { view: self.view.into_dyn(), mapping: self.mapping }
            }

            /// Converts to an array with another dimension type.
            ///
            /// ```
            /// # use ndarray::prelude::*;
            /// # use ndarray_mmap::MmapArrayMut;
            /// let dynamic = MmapArrayMut::<f64, _>::scratch(IxDyn(&[3, 4]))?;
            /// let table = dynamic.into_dimensionality::<Ix2>()?;
            /// assert_eq!(table.dim(), (3, 4));
            /// assert!(table.into_dimensionality::<Ix3>().is_err());
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// [`ErrorKind::DimensionMismatch`] if the number of dimensions differs. The error
            /// contains the array.
            #[allow(clippy::result_large_err, reason = "it hands the array back")]
            pub fn into_dimensionality<E: Dimension>(
                self,
            ) -> std::result::Result<$owner<A, E>, ArrayError<Self>> {
                if self.view().into_dimensionality::<E>().is_err() {
                    let expected = E::NDIM.unwrap_or_default();
                    let shape = self.shape().to_vec();
                    let kind = ErrorKind::DimensionMismatch { expected, shape };
                    return Err(ArrayError { error: Error::new(kind, self.path()), array: self });
                }
                let Self { view, mapping } = self;
                match view.into_dimensionality() {
                    Ok(view) => Ok($owner { view, mapping }),
                    Err(_) => unreachable!("a view of the same array did so"),
                }
            }

            /// Reshapes the array without moving its elements: NumPy's `reshape`.
            ///
            /// Elements are taken in C order, or with `(shape, ndarray::Order::F)` in Fortran order
            /// (to which this crate's [`Order`](crate::Order) converts). The array must be
            /// contiguous in that order.
            ///
            /// ```
            /// # use ndarray_mmap::MmapArrayMut;
            /// let line = MmapArrayMut::<f64, _>::scratch(12)?;
            /// let table = line.into_shape_with_order((3, 4))?;
            /// assert_eq!(table.dim(), (3, 4));
            /// # Ok::<(), ndarray_mmap::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// [`ErrorKind::ShapeMismatch`] if the number of elements differs,
            /// [`ErrorKind::OrderMismatch`] if the array is stored in the other order. The error
            /// contains the array.
            #[doc(alias = "reshape")]
            #[allow(clippy::result_large_err, reason = "it hands the array back")]
            pub fn into_shape_with_order<E: Dimension>(
                self,
                shape: impl ShapeArg<Dim = E>,
            ) -> std::result::Result<$owner<A, E>, ArrayError<Self>> {
                let (shape, order) = shape.into_shape_and_order();
                let shape = (shape, order.unwrap_or(ndarray::Order::C));
                if self.view().into_shape_with_order(shape.clone()).is_err() {
                    let error = Error::new(not_reshaped(&self, &shape), self.path());
                    return Err(ArrayError { error, array: self });
                }
                let Self { view, mapping } = self;
                match view.into_shape_with_order(shape) {
                    Ok(view) => Ok($owner { view, mapping }),
                    Err(_) => unreachable!("a view of the same array did so"),
                }
            }
        }
    )*};
}
shapes! { MmapArray MmapArrayMut MmapArrayCow }

/// Returns the error of a reshape.
fn not_reshaped<A, D: Dimension, E: Dimension>(
    array: &ArrayRef<A, D>,
    (shape, order): &(E, ndarray::Order),
) -> ErrorKind {
    let expected = shape.slice().to_vec();
    let found = array.shape().to_vec();
    match shape.size_checked() {
        Some(len) if len == array.len() => {
            let expected = if *order == ndarray::Order::RowMajor { Order::C } else { Order::F };
            ErrorKind::OrderMismatch { expected, shape: found }
        }
        _ => ErrorKind::ShapeMismatch { expected, found, paths: None },
    }
}
