//! What can be merged.
#![forbid(unsafe_code)]

mod abbreviated;
mod arg_extremes;
mod bins;
mod buffer;
mod extremes;
mod histogram;
mod histogram2d;
mod moments;
mod rows;
mod running_sums;
#[cfg(feature = "serde")]
mod saved;
mod scaled_sums;
mod schedule;
mod sum;
mod weighted;

pub use self::arg_extremes::ArgExtremes;
pub use self::bins::Bins;
pub use self::extremes::Extremes;
pub use self::histogram::Histogram;
pub use self::histogram2d::Histogram2d;
pub use self::moments::Moments;
pub(super) use self::scaled_sums::common_unit;
pub use self::sum::Sum;
pub(super) use self::weighted::WeightedLane;
pub use self::weighted::WeightedMoments;
