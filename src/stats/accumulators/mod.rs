//! Mergeable accumulators.
#![forbid(unsafe_code)]

mod abbreviated;
mod arg_min_max;
mod bins;
mod buffer;
mod histogram;
mod histogram2d;
mod min_max;
mod moments;
mod rows;
mod running_sums;
mod scaled_sums;
mod schedule;
#[cfg(feature = "serde")]
mod serde_checks;
mod sum;
mod weighted;

pub use self::arg_min_max::ArgMinMax;
pub use self::bins::Bins;
pub use self::histogram::Histogram;
pub use self::histogram2d::Histogram2d;
pub use self::min_max::MinMax;
pub use self::moments::Moments;
pub(super) use self::scaled_sums::common_unit;
pub use self::sum::Sum;
pub(super) use self::weighted::WeightedLane;
pub use self::weighted::WeightedMoments;
