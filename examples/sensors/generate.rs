//! Made-up readings: each sensor half a degree warmer than the one before, noise, and a slow drift of five degrees.
#![forbid(unsafe_code)]

use std::path::Path;

use ndarray::Ix1;
use ndarray_mmap::{MmapArray, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

use crate::convert::in_bands;
use crate::files;

/// Writes readings of a number of sensors, in °C, sensor after sensor. A seed gives the same file every time.
pub(crate) fn generate(path: &Path, (sensors, readings): (usize, usize), seed: u64) -> Result<MmapArray<f32, Ix1>> {
    let raw = files::create(path, (sensors, readings))?;
    // Band by band, a sensor may be cut anywhere: so all readings in one line.
    let len = raw.len();
    let mut raw = raw.into_shape_with_order(len)?;
    let mut random = StdRng::seed_from_u64(seed);
    let drift = 5.0 / readings.saturating_sub(1).max(1) as f64;
    in_bands(&mut raw, "generating", |range, mut band| {
        for (index, celsius) in range.zip(&mut band) {
            let (sensor, reading) = (index / readings, index % readings);
            let noise: f64 = StandardNormal.sample(&mut random);
            *celsius = (20.0 + 0.5 * sensor as f64 + 2.0 * noise + drift * reading as f64) as f32;
        }
        Ok(())
    })?;
    raw.freeze()
}
