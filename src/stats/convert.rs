//! Lazy conversions of elements to `f64`: scale and offset, fill values, and parts of complex
//! numbers.
#![forbid(unsafe_code)]

use ndarray::Dimension;
use num_complex::{Complex, ComplexFloat};

use super::element::Element;
use crate::chunked::{ArraySource, Chunked, LazyArray};

/// Conversion to `f64`.
impl<'a, A: Element, D: Dimension, P: ArraySource<Elem = A, Dim = D> + 'a> Chunked<'a, P> {
    /// Converts the elements to `f64`, lazily as [`map`](Self::map) does.
    ///
    /// Floats and integers of up to 32 bits keep their values. Integers of more digits than an
    /// `f64` has, beyond ±2⁵³, are rounded to the nearest value, ties to even.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let counts = array![3_u16, 5];
    /// let halves = counts.chunked().to_f64().map(|&x| x / 2.0);
    /// assert_eq!(halves.sum()?, 4.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    #[doc(alias = "mapv")]
    pub fn to_f64(self) -> Chunked<'a, LazyArray<'a, f64, D>> {
        self.map(|&x: &A| x.to_f64())
    }

    /// Computes `x * scale + offset` for each element `x`, lazily as [`map`](Self::map) does: the
    /// physical values of packed data, as in netCDF (`scale_factor`, `add_offset`), FITS (`BSCALE`,
    /// `BZERO`) and DICOM.
    ///
    /// Elements are [converted to `f64`](Self::to_f64), multiplied and added, each with one
    /// rounding as in NumPy. NaN remains NaN, and values beyond the range are infinite.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let packed = array![-100_i16, 300];
    /// let kelvin = packed.chunked().scaled(0.01, 273.15);
    /// assert_eq!(kelvin.mean()?, 274.15);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    #[doc(alias("scale_factor", "add_offset", "BSCALE", "BZERO", "rescale"))]
    pub fn scaled(self, scale: f64, offset: f64) -> Chunked<'a, LazyArray<'a, f64, D>> {
        self.map(move |&x: &A| x.to_f64() * scale + offset)
    }

    /// Replaces elements that equal a fill value by NaN, lazily as [`map`](Self::map) does, and
    /// [converts the others to `f64`](Self::to_f64).
    ///
    /// Values are compared in the element type, so call this method before
    /// [`scaled`](Self::scaled), as netCDF and FITS (`BLANK`) define it. Both zeros are equal. NaNs
    /// of the array remain NaN, also if the fill value is NaN. [`skipnan`](Self::skipnan) excludes
    /// the missing values from statistics.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let packed = array![-100_i16, 300, -9999];
    /// let kelvin = packed.chunked().fill_value(-9999).scaled(0.01, 273.15);
    /// assert_eq!(kelvin.skipnan().mean()?, 274.15);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    #[doc(alias("_FillValue", "missing_value", "BLANK", "masked_values", "masked_equal"))]
    pub fn fill_value(self, value: A) -> Chunked<'a, LazyArray<'a, f64, D>> {
        self.map(move |&x: &A| if x == value { f64::NAN } else { x.to_f64() })
    }
}

/// Parts of complex numbers.
impl<'a, T, D, P> Chunked<'a, P>
where
    T: Copy + 'a,
    Complex<T>: ComplexFloat<Real = T>,
    D: Dimension,
    P: ArraySource<Elem = Complex<T>, Dim = D> + 'a,
{
    /// Returns the real parts, lazily as [`map`](Self::map) does.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{num_complex::Complex, prelude::*};
    ///
    /// let spectrum = array![Complex::new(3.0_f64, 4.0), Complex::new(1.0, 0.0)];
    /// assert_eq!(spectrum.chunked().re().sum()?, 4.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    #[doc(alias = "real")]
    pub fn re(self) -> Chunked<'a, LazyArray<'a, T, D>> {
        self.map(|x: &Complex<T>| x.re)
    }

    /// Returns the imaginary parts, lazily as [`map`](Self::map) does.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{num_complex::Complex, prelude::*};
    ///
    /// let spectrum = array![Complex::new(3.0_f32, 4.0), Complex::new(1.0, 0.0)];
    /// assert_eq!(spectrum.chunked().im().max()?, 4.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    #[doc(alias = "imag")]
    pub fn im(self) -> Chunked<'a, LazyArray<'a, T, D>> {
        self.map(|x: &Complex<T>| x.im)
    }

    /// Returns the absolute values, lazily as [`map`](Self::map) does: `re.hypot(im)`, which does
    /// not overflow unless the result does. The result is infinite if a part is infinite, and
    /// otherwise NaN if a part is NaN.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{num_complex::Complex, prelude::*};
    ///
    /// let spectrum = array![Complex::new(3.0_f64, 4.0), Complex::new(1.0, 0.0)];
    /// assert_eq!(spectrum.chunked().norm().argmax()?, 0);
    /// assert_eq!(spectrum.chunked().norm().max()?, 5.0);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    #[doc(alias("abs", "modulus", "magnitude"))]
    pub fn norm(self) -> Chunked<'a, LazyArray<'a, T, D>> {
        self.map(|x: &Complex<T>| ComplexFloat::abs(*x))
    }
}
