//! Statistics of arrays on disk: streamed, exact, the same to the last bit on any number of threads and in any memory.
//!
//! They are methods of [`Chunked`], with the names of ndarray and ndarray-stats: put `.chunked()` before the call. What they
//! are called in NumPy, how many passes they take and what memory, is in [a page of its own](crate::doc::statistics).
//!
//! ```
//! use ndarray::prelude::*;
//! use ndarray_mmap::{MmapArrayMut, prelude::*};
//!
//! let mut table = MmapArrayMut::<f32, _>::scratch((1_000, 1_000))?;
//! table.indexed_iter_mut().for_each(|((i, j), x)| *x = 1e6 + ((i * j) % 7) as f32);
//! let walk = || table.chunked().memory_limit(16 << 20);
//! let summary = walk().summary()?;
//! assert_eq!((summary.min, summary.max, summary.count), (1e6, 1e6 + 6.0, 1_000_000));
//! assert_eq!(walk().mean()?, summary.mean);
//! # Ok::<(), ndarray_mmap::Error>(())
//! ```
//!
//! # What there is
//!
//! | of | all elements | each lane along an axis |
//! |---|---|---|
//! | sums | [`sum`](Chunked::sum), [`mean`](Chunked::mean) | [`sum_axis`](Chunked::sum_axis), [`mean_axis`](Chunked::mean_axis) |
//! | spread | [`var`](Chunked::var), [`std`](Chunked::std) | [`var_axis`](Chunked::var_axis), [`std_axis`](Chunked::std_axis) |
//! | shape | [`skewness`](Chunked::skewness), [`kurtosis`](Chunked::kurtosis), [`central_moment`](Chunked::central_moment), [`central_moments`](Chunked::central_moments) | in the summary |
//! | ends | [`min`](Chunked::min), [`max`](Chunked::max) | [`min_axis`](Chunked::min_axis), [`max_axis`](Chunked::max_axis) |
//! | all of these at once | [`summary`](Chunked::summary) | [`summary_axis`](Chunked::summary_axis) |
//! | order | [`quantile`](Chunked::quantile), [`quantiles`](Chunked::quantiles) | [`quantile_axis`](Chunked::quantile_axis), [`quantiles_axis`](Chunked::quantiles_axis) |
//! | places | [`argmin`](Chunked::argmin), [`argmax`](Chunked::argmax), [`count_where`](Chunked::count_where), [`argwhere`](Chunked::argwhere) | [`argmin_axis`](Chunked::argmin_axis), [`argmax_axis`](Chunked::argmax_axis) |
//! | bins | [`histogram`](Chunked::histogram), of two arrays [`histogram2d`](Chunked::histogram2d) | |
//! | weights | [`weighted_sum`](Chunked::weighted_sum), [`weighted_mean`](Chunked::weighted_mean), [`weighted_var`](Chunked::weighted_var), [`weighted_std`](Chunked::weighted_std) | [`weighted_sum_axis`](Chunked::weighted_sum_axis), [`weighted_mean_axis`](Chunked::weighted_mean_axis), [`weighted_var_axis`](Chunked::weighted_var_axis), [`weighted_std_axis`](Chunked::weighted_std_axis) |
//! | pairs of variables | [`cov`](Chunked::cov), [`pearson_correlation`](Chunked::pearson_correlation) of the rows of a table | |
//! | anything | [`accumulate`](Chunked::accumulate) | [`accumulate_axis`](Chunked::accumulate_axis) |
//!
//! # What can be merged
//!
//! [Accumulators](crate::Accumulator) of several files, processes or machines are merged without another look at the data,
//! and with the feature `serde` they can be saved and sent:
//!
//! | | tells |
//! |---|---|
//! | [`Sum`] | count, sum, mean |
//! | [`Moments<2>`](Moments) | count, mean, variance |
//! | [`Moments<4>`](Moments) | the same, skewness, kurtosis |
//! | [`MinMax`] | count, number of NaNs, smallest and largest element |
//! | [`ArgMinMax`] | the same, and where they are |
//! | [`WeightedMoments`] | count, sum of weights, weighted sum, mean, variance |
//! | [`Histogram`] | count in each bin, below, above, number of NaNs |
//! | [`Histogram2d`] | count in each field, outside |
//!
//! Tuples of them take one pass. MinMax and histograms always leave NaNs out and count them; the others do as their
//! constructor says (`new` or `skipnan`), not the walk.
//!
//! # NaN, nothing, and rounding
//!
//! Sums, means and moments propagate NaN; what needs an order fails with
//! [`ErrorKind::UndefinedOrder`](crate::ErrorKind::UndefinedOrder). After [`skipnan`](Chunked::skipnan) all leave NaNs out.
//! Of no elements sums and counts are 0 and nothing is found; all else, and a histogram whose range is to be found, fails with
//! [`ErrorKind::EmptyInput`](crate::ErrorKind::EmptyInput).
//!
//! Floats are summed and squared in `f64`, whatever their type; integers are summed exactly.
#![forbid(unsafe_code)]

mod accumulators;
mod axis;
mod central_sums;
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
