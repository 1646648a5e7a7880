//! Exact, chunked statistics of arrays on disk.
//!
//! The statistics are methods of [`Chunked`] and have the names of ndarray and ndarray-stats: put
//! `.chunked()` before the call. They stream the data, and their results are bitwise identical on
//! any number of threads and for any memory limit. The page on [statistics](crate::doc::statistics)
//! lists the NumPy name, the number of passes and the memory use of each.
//!
//! ```
//! use ndarray::prelude::*;
//! use ndarray_mmap::{MmapArrayMut, prelude::*};
//!
//! let mut table = MmapArrayMut::<f32, _>::scratch((1_000, 1_000))?;
//! table.indexed_iter_mut().for_each(|((i, j), x)| *x = 1e6 + ((i * j) % 7) as f32);
//! let chunked = || table.chunked().memory_limit(16 << 20);
//! let summary = chunked().summary()?;
//! assert_eq!((summary.min, summary.max, summary.count), (1e6, 1e6 + 6.0, 1_000_000));
//! assert_eq!(chunked().mean()?, summary.mean);
//! # Ok::<(), ndarray_mmap::Error>(())
//! ```
//!
//! # Available statistics
//!
//! | statistic | all elements | each lane along an axis |
//! |---|---|---|
//! | sum | [`sum`](Chunked::sum), [`mean`](Chunked::mean) | [`sum_axis`](Chunked::sum_axis), [`mean_axis`](Chunked::mean_axis) |
//! | spread | [`var`](Chunked::var), [`std`](Chunked::std) | [`var_axis`](Chunked::var_axis), [`std_axis`](Chunked::std_axis) |
//! | shape | [`skewness`](Chunked::skewness), [`kurtosis`](Chunked::kurtosis), [`central_moment`](Chunked::central_moment), [`central_moments`](Chunked::central_moments) | in the summary |
//! | extrema | [`min`](Chunked::min), [`max`](Chunked::max) | [`min_axis`](Chunked::min_axis), [`max_axis`](Chunked::max_axis) |
//! | summary | [`summary`](Chunked::summary) | [`summary_axis`](Chunked::summary_axis) |
//! | quantiles | [`quantile`](Chunked::quantile), [`quantiles`](Chunked::quantiles) | [`quantile_axis`](Chunked::quantile_axis), [`quantiles_axis`](Chunked::quantiles_axis) |
//! | indices | [`argmin`](Chunked::argmin), [`argmax`](Chunked::argmax), [`count_where`](Chunked::count_where), [`argwhere`](Chunked::argwhere) | [`argmin_axis`](Chunked::argmin_axis), [`argmax_axis`](Chunked::argmax_axis) |
//! | histograms | [`histogram`](Chunked::histogram), for two arrays [`histogram2d`](Chunked::histogram2d) | |
//! | weights | [`weighted_sum`](Chunked::weighted_sum), [`weighted_mean`](Chunked::weighted_mean), [`weighted_var`](Chunked::weighted_var), [`weighted_std`](Chunked::weighted_std) | [`weighted_sum_axis`](Chunked::weighted_sum_axis), [`weighted_mean_axis`](Chunked::weighted_mean_axis), [`weighted_var_axis`](Chunked::weighted_var_axis), [`weighted_std_axis`](Chunked::weighted_std_axis) |
//! | pairs of variables | [`cov`](Chunked::cov), [`pearson_correlation`](Chunked::pearson_correlation) between the rows of a table | |
//! | custom | [`accumulate`](Chunked::accumulate) | [`accumulate_axis`](Chunked::accumulate_axis) |
//!
//! # Mergeable accumulators
//!
//! [Accumulators](crate::Accumulator) of several files, processes or machines can be merged without
//! reading the data again. With the feature `serde` they can be saved and sent:
//!
//! | accumulator | statistics |
//! |---|---|
//! | [`Sum`] | count, sum, mean |
//! | [`Moments<2>`](Moments) | count, mean, variance |
//! | [`Moments<4>`](Moments) | count, mean, variance, skewness, kurtosis |
//! | [`MinMax`] | count, number of NaNs, minimum and maximum |
//! | [`ArgMinMax`] | count, number of NaNs, smallest and largest element with their positions |
//! | [`WeightedMoments`] | count, sum of weights, weighted sum, mean, variance |
//! | [`Histogram`] | count in each bin, underflow, overflow, number of NaNs |
//! | [`Histogram2d`] | count in each cell, number outside |
//!
//! A tuple of accumulators takes one pass. `MinMax`, `ArgMinMax` and the histograms always skip and
//! count NaNs. The others skip NaNs if they were made by `new_skipnan` instead of `new`;
//! [`Chunked::skipnan`] does not affect them.
//!
//! # NaN, empty input and rounding
//!
//! Sums, means and moments propagate NaN. Statistics that need an order fail with
//! [`ErrorKind::UndefinedOrder`](crate::ErrorKind::UndefinedOrder) if the input contains NaN. After
//! [`skipnan`](Chunked::skipnan) all of them skip NaNs.
//!
//! For empty input, sums and counts are 0 and [`argwhere`](Chunked::argwhere) returns an empty
//! vector. All other statistics, including histograms that infer their range from the data, fail
//! with [`ErrorKind::EmptyInput`](crate::ErrorKind::EmptyInput).
//!
//! Floats of any type are accumulated in `f64`. Sums of integers are exact.
#![forbid(unsafe_code)]

mod accumulators;
mod axis;
mod central_sums;
mod convert;
mod covariance;
mod double;
mod element;
mod histogram;
mod kernels;
mod moments;
mod passes;
mod quantile;
mod quantile_axis;
mod search;
mod selection;
mod summary;
mod weighted;

pub use self::accumulators::{
    ArgMinMax, Bins, Histogram, Histogram2d, MinMax, Moments, Sum, WeightedMoments,
};
pub use self::element::Element;
pub use self::quantile::Interpolation;
pub use self::summary::Summary;
#[allow(unused_imports, reason = "for links in the docs")]
use crate::chunked::Chunked;
