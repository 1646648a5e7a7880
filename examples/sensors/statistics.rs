//! Statistics of each sensor: mean, standard deviation, minimum, maximum, median, and anomalies.
#![forbid(unsafe_code)]

use std::path::Path;

use ndarray::prelude::*;
use ndarray_mmap::stats::{Interpolation::Midpoint, MinMax, Moments, Sum};
use ndarray_mmap::{MmapArrayMut, Result, prelude::*};

use crate::{MEMORY, files, progress};

/// Columns of the statistics file, in °F.
pub(crate) const COLUMNS: [&str; 5] = ["mean", "std", "min", "max", "median"];

/// Results for one sensor.
#[derive(Clone, Debug)]
pub(crate) struct Sensor {
    /// Values in the order of [`COLUMNS`].
    pub(crate) statistics: [f64; 5],
    pub(crate) limits: Limits,
    pub(crate) anomalies: u64,
}

/// The range outside which a reading is an anomaly.
///
/// For a reading within a rounding error of the limit, the result depends on the rounding of mean and
/// deviation. NumPy's `mean` and `std` of `f32` data are `f32`. To classify every reading as NumPy
/// does, the limits repeat its arithmetic: `f32` throughout, in its order of summation. (With limits
/// in `f64`, two of 100 million readings were classified differently.) The [statistics](Sensor)
/// themselves are computed in `f64`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) mean: f64,
    pub(crate) three_std: f64,
}

impl Limits {
    fn of(readings: &[f32]) -> Self {
        let count = readings.len() as f64;
        let mean_of = |sum: f32| (f64::from(sum) / count) as f32;
        let mean = mean_of(pairwise_sum(readings, &|reading| reading));
        let variance =
            mean_of(pairwise_sum(readings, &|reading| (reading - mean) * (reading - mean)));
        Self { mean: f64::from(mean), three_std: 3.0 * f64::from(variance.sqrt()) }
    }

    /// Returns whether a reading is outside the limits; false for NaN.
    pub(crate) fn exclude(&self, reading: f32) -> bool {
        (f64::from(reading) - self.mean).abs() > self.three_std
    }
}

/// Analyses every sensor, on all threads, within a memory limit.
///
/// The readings of one sensor must fit in memory, because the median needs all of them.
pub(crate) fn analyse(processed: &MmapArrayMut<f32, Ix2>) -> Result<Vec<Sensor>> {
    let bar = progress::bar("analysing", processed.len());
    let one_sensor = size_of::<f32>() * processed.ncols();
    let chunked =
        processed.chunked().axis(Axis(0)).memory_limit(MEMORY.max(one_sensor + MEMORY / 2));
    let found = chunked.on_progress(|done, _| bar.set_position(done as u64)).par_try_map_reduce(
        |sensors| {
            // Writes to the disk while the statistics are computed.
            processed.start_writeback_view(&sensors)?;
            sensors.outer_iter().map(Sensor::new).collect::<Result<Vec<_>>>()
        },
        |mut found, more| {
            found.extend(more);
            found
        },
    )?;
    bar.finish_and_clear();
    Ok(found.unwrap_or_default())
}

/// Writes the statistics to a file of `f64`, one row for each sensor.
pub(crate) fn save(found: &[Sensor], path: &Path) -> Result<()> {
    let mut table = files::create(path, (found.len(), COLUMNS.len()))?;
    for (mut row, sensor) in table.rows_mut().into_iter().zip(found) {
        row.assign(&aview1(&sensor.statistics));
    }
    table.close()
}

impl Sensor {
    /// Computes the results for one sensor with at least one reading.
    fn new(sensor: ArrayView1<'_, f32>) -> Result<Self> {
        let readings = sensor.to_slice().expect("a row in C order is one slice");
        let limits = Limits::of(readings);
        let anomalies = sensor.chunked().count_where(|&reading| limits.exclude(reading))? as u64;

        let (sum, moments, extremes) =
            sensor.chunked().accumulate(|| (Sum::new(), Moments::<2>::new(), MinMax::new()))?;
        let (mean, std) = (sum.mean(), moments.std(0.0));
        let [min, max, median] = match extremes.range() {
            Some((min, max)) if extremes.nan_count() == 0 => {
                [min, max, sensor.chunked().quantile(0.5, Midpoint)?].map(f64::from)
            }
            _ => [f64::NAN; 3],
        };
        Ok(Self { statistics: [mean, std, min, max, median], limits, anomalies })
    }
}

/// Returns the sum of a term of every reading, in the order of NumPy's pairwise summation: eight
/// interleaved sums over blocks of up to 128 readings, and a binary tree of blocks.
fn pairwise_sum(readings: &[f32], term: &(impl Fn(f32) -> f32 + Sync)) -> f32 {
    const LANES: usize = 8;
    if readings.len() > 128 {
        let middle = readings.len() / 2;
        let (first, second) = readings.split_at(middle - middle % LANES);
        // The tree does not depend on the threads, so the sum is reproducible.
        #[cfg(feature = "rayon")]
        if readings.len() > 1 << 18 {
            let (first, second) =
                rayon::join(|| pairwise_sum(first, term), || pairwise_sum(second, term));
            return first + second;
        }
        return pairwise_sum(first, term) + pairwise_sum(second, term);
    }
    let (groups, rest) = readings.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for group in groups {
        for (sum, &reading) in sums.iter_mut().zip(group) {
            *sum += term(reading);
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
    rest.iter().fold(sum, |sum, &reading| sum + term(reading))
}
