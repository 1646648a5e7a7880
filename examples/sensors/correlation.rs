//! Correlation between some sensors.

use std::error::Error;

use ndarray::prelude::*;
use ndarray_stats::CorrelationExt;

/// Number of readings of each sensor that are compared.
pub(crate) const READINGS: usize = 10_000;

/// Returns the sensors that are compared: those of 0, 10, 20, 30 and 40 that exist.
pub(crate) fn sample(sensors: usize) -> Vec<usize> {
    (0..50).step_by(10).filter(|&sensor| sensor < sensors).collect()
}

/// Returns Pearson's correlation of the first readings of the sampled sensors.
///
/// Correlations of a sensor with constant readings are NaN.
pub(crate) fn correlation(
    processed: &ArrayRef2<f32>,
    sample: &[usize],
) -> Result<Array2<f64>, Box<dyn Error>> {
    let first = READINGS.min(processed.ncols());
    // Copied as `f64`, so that the products are exact.
    let readings = processed.slice(s![.., ..first]).select(Axis(0), sample).mapv(f64::from);
    Ok(readings.pearson_correlation()?)
}
