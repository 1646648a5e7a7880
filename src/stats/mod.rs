//! Statistics of arrays on disk: streamed, exact, the same to the last bit on any number of threads and in any memory.
//!
//! They are methods of [`Chunked`], with the names of ndarray and ndarray-stats: put `.chunked()` before the call. What is
//! [accumulated](Chunked::accumulate) is public as well, to be merged over several files, processes or machines.
//!
//! ```
//! use ndarray::prelude::*;
//! use ndarray_mmap::{MmapArrayMut, prelude::*};
//!
//! let mut table = MmapArrayMut::<f32, _>::scratch((1_000, 1_000))?;
//! table.indexed_iter_mut().for_each(|((i, j), x)| *x = 1e6 + ((i * j) % 7) as f32);
//! let walk = || table.chunked().memory(16 << 20);
//! let summary = walk().summary()?;
//! assert_eq!((summary.min, summary.max, summary.count), (1e6, 1e6 + 6.0, 1_000_000));
//! assert_eq!(walk().mean()?, summary.mean);
//! # Ok::<(), ndarray_mmap::Error>(())
//! ```
//!
//! # NaN, nothing, and rounding
//!
//! Sums, means and moments propagate NaN; what needs an order fails with
//! [`ErrorKind::UndefinedOrder`](crate::ErrorKind::UndefinedOrder). After [`skipnan`](Chunked::skipnan) all leave NaNs out.
//! Of no elements the sum is 0, and all else fails with [`ErrorKind::EmptyInput`](crate::ErrorKind::EmptyInput).
//!
//! Floats are summed and squared in `f64`, whatever their type; integers are summed exactly.
#![forbid(unsafe_code)]

mod arg_extremes;
mod axis;
mod bins;
mod central;
mod covariance;
mod element;
mod extremes;
mod histogram;
mod histogram2d;
mod kernels;
mod moments;
mod place;
mod quantile;
mod quantile_axis;
mod rows;
mod selection;
mod sum;
mod weighted;
mod whole;

pub use self::arg_extremes::ArgExtremes;
pub use self::bins::Bins;
pub use self::element::Element;
pub use self::extremes::Extremes;
pub use self::histogram::Histogram;
pub use self::histogram2d::Histogram2d;
pub use self::moments::Moments;
pub use self::quantile::Interpolation;
pub use self::sum::Sum;
pub use self::weighted::WeightedMoments;
pub use self::whole::Summary;
#[allow(unused_imports, reason = "for links in the docs")]
use crate::chunked::Chunked;
