//! Synthetic readings: each sensor is half a degree warmer than the preceding one, with noise and a
//! slow drift of five degrees.
#![forbid(unsafe_code)]

use std::path::Path;

use ndarray::{Axis, Ix1};
use ndarray_mmap::{MmapArray, Result, prelude::*};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

use crate::{MEMORY, files, progress};

/// Writes readings in °C, sensor after sensor. Equal seeds generate equal files.
pub(crate) fn generate(
    path: &Path,
    (sensors, readings): (usize, usize),
    seed: u64,
) -> Result<MmapArray<f32, Ix1>> {
    let raw = files::create(path, (sensors, readings))?;
    // One dimension, so that a chunk may end anywhere in a sensor's readings.
    let len = raw.len();
    let mut raw = raw.into_shape_with_order(len)?;
    let mut random = StdRng::seed_from_u64(seed);
    let drift = 5.0 / readings.saturating_sub(1).max(1) as f64;
    let bar = progress::bar("generating", len);
    for chunk in raw.chunked_mut().memory_limit(MEMORY).indexed().try_iter()? {
        let (region, mut chunk) = chunk?;
        for (index, celsius) in region.range(Axis(0)).zip(&mut chunk) {
            let (sensor, reading) = (index / readings, index % readings);
            let noise: f64 = StandardNormal.sample(&mut random);
            *celsius = (20.0 + 0.5 * sensor as f64 + 2.0 * noise + drift * reading as f64) as f32;
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    Ok(raw.freeze()?)
}
