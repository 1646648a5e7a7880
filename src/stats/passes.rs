//! Entry points of the statistics, as functions that are only generic over the element type.
//!
//! The functions for `f32` and `f64` are compiled with this crate, so that a dependent crate does
//! not compile them again at each of its changes. Those for other element types are compiled with
//! the crate that uses them.
#![forbid(unsafe_code)]

use ndarray::{ArrayD, Axis, IxDyn};

use super::accumulators::{Bins, Histogram, Moments, Sum};
use super::covariance::Products;
use super::element::Element;
use super::moments::RawMoments;
use super::quantile::Interpolation;
use super::summary::Summary;
use super::{axis, covariance, histogram, moments, quantile_axis, search, summary};
use crate::chunked::{AnyArray, Chunked};
use crate::error::Result;

/// A chunked array of dynamic dimension.
pub(super) type Dynamic<'a, 'v, A> = Chunked<'a, AnyArray<'v, A>>;

macro_rules! passes {
    ($(fn $name:ident($chunked:ident: $source:ty $(, $arg:ident: $type:ty)*) -> $result:ty = $function:path as $public:literal;)*) => {
        /// The statistics of arrays of an element type.
        pub trait Passes: Sized {$(
            #[doc(hidden)]
            fn $name($chunked: $source $(, $arg: $type)*) -> Result<$result>
            where
                Self: Element,
            {
                let label = $chunked.label($public, &[$(&$arg),*]);
                $chunked.collective(label, |chunked| $function(chunked $(, $arg)*))
            }
        )*}

        // Functions that are not generic are compiled with the crate that defines them.
        impl Passes for f32 {$(
            fn $name($chunked: $source $(, $arg: $type)*) -> Result<$result> {
                let label = $chunked.label($public, &[$(&$arg),*]);
                $chunked.collective(label, |chunked| $function(chunked $(, $arg)*))
            }
        )*}

        impl Passes for f64 {$(
            fn $name($chunked: $source $(, $arg: $type)*) -> Result<$result> {
                let label = $chunked.label($public, &[$(&$arg),*]);
                $chunked.collective(label, |chunked| $function(chunked $(, $arg)*))
            }
        )*}
    };
}
passes! {
    fn pass_sums(chunked: Dynamic<'_, '_, Self>) -> Sum<Self> = summary::sums as "`sum` or `mean`";
    fn pass_moments(chunked: Dynamic<'_, '_, Self>) -> Moments<2> = summary::moments as "`var` or `std`";
    fn pass_range(chunked: Dynamic<'_, '_, Self>) -> (Self, Self) = summary::range as "`min` or `max`";
    fn pass_summary(chunked: Dynamic<'_, '_, Self>) -> Summary<Self> = summary::summary as "`summary`";
    fn pass_raw_moments(chunked: Dynamic<'_, '_, Self>, order: u16) -> RawMoments = moments::raw_moments as "`central_moments`";
    fn pass_index_of_extremum(chunked: Dynamic<'_, '_, Self>, is_max: bool) -> IxDyn = search::index_of_extremum as "`argmin` or `argmax`";
    fn pass_histogram(chunked: Dynamic<'_, '_, Self>, bins: Bins) -> Histogram = histogram::histogram as "`histogram`";
    fn pass_quantiles(chunked: Dynamic<'_, '_, Self>, qs: &[f64], interpolation: Interpolation) -> Vec<Self> = Chunked::select_quantiles as "`quantiles`";
    fn pass_products(chunked: Dynamic<'_, '_, Self>) -> Products = covariance::products as "`cov` or `pearson_correlation`";
    fn pass_sum_axis(chunked: Dynamic<'_, '_, Self>, along: Axis) -> ArrayD<<Self as Element>::Sum> = axis::sum_axis as "`sum_axis`";
    fn pass_mean_axis(chunked: Dynamic<'_, '_, Self>, along: Axis) -> ArrayD<f64> = axis::mean_axis as "`mean_axis`";
    fn pass_var_axis(chunked: Dynamic<'_, '_, Self>, along: Axis, ddof: f64) -> ArrayD<f64> = axis::var_axis as "`var_axis`";
    fn pass_std_axis(chunked: Dynamic<'_, '_, Self>, along: Axis, ddof: f64) -> ArrayD<f64> = axis::std_axis as "`std_axis`";
    fn pass_extremum_axis(chunked: Dynamic<'_, '_, Self>, along: Axis, is_max: bool) -> ArrayD<Self> = axis::extremum_axis as "`min_axis` or `max_axis`";
    fn pass_index_axis(chunked: Dynamic<'_, '_, Self>, along: Axis, is_max: bool) -> ArrayD<usize> = axis::index_axis as "`argmin_axis` or `argmax_axis`";
    fn pass_summary_axis(chunked: Dynamic<'_, '_, Self>, along: Axis) -> ArrayD<Summary<Self>> = axis::summary_axis as "`summary_axis`";
    fn pass_quantiles_axis(chunked: Dynamic<'_, '_, Self>, along: Axis, qs: &[f64], interpolation: Interpolation) -> ArrayD<Self> = quantile_axis::quantiles_along as "`quantiles_axis`";
}

macro_rules! compiled_where_needed {
    ($($element:ty)*) => {$(
        impl Passes for $element {}
    )*};
}
compiled_where_needed! { i8 i16 i32 i64 isize u8 u16 u32 u64 usize }
#[cfg(feature = "half")]
compiled_where_needed! { half::f16 half::bf16 }
