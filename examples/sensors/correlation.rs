//! How alike a few sensors are.

use std::error::Error;

use ndarray::prelude::*;
use ndarray_stats::CorrelationExt;

/// How many readings are compared.
pub(crate) const READINGS: usize = 10_000;

/// The sensors that are compared: 0, 10, 20, 30 and 40, as far as they exist.
pub(crate) fn sample(sensors: usize) -> Vec<usize> {
    (0..50).step_by(10).filter(|&sensor| sensor < sensors).collect()
}

/// Pearson's correlation of the first readings of the sample; NaN where a sensor's readings are all the same.
pub(crate) fn correlation(
    processed: &ArrayRef2<f32>,
    sample: &[usize],
) -> Result<Array2<f64>, Box<dyn Error>> {
    let first = READINGS.min(processed.ncols());
    // The one copy in memory: f64, so that nothing is lost in the products.
    let readings = processed.slice(s![.., ..first]).select(Axis(0), sample).mapv(f64::from);
    Ok(readings.pearson_correlation()?)
}
