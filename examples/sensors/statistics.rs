//! What is to be known of each sensor: five statistics, and how many readings are anomalies.
#![forbid(unsafe_code)]

use std::ops::Add;
use std::path::Path;

use ndarray::prelude::*;
use ndarray_mmap::{MmapArrayMut, Result, prelude::*};

use crate::{MEMORY, files, progress};

/// The columns of the statistics file, in °F.
pub(crate) const COLUMNS: [&str; 5] = ["mean", "std", "min", "max", "median"];

/// What was found out about one sensor.
#[derive(Clone, Debug)]
pub(crate) struct Sensor {
    /// As in [`COLUMNS`].
    pub(crate) statistics: [f64; 5],
    pub(crate) limits: Limits,
    pub(crate) anomalies: u64,
}

/// The range outside which a reading is an anomaly.
///
/// A reading within a rounding error of the limit is or is not an anomaly by how mean and deviation were rounded. So
/// that every reading is judged as by NumPy, whose `mean` and `std` of f32 data are f32, the limits repeat its
/// arithmetic: f32 throughout, in its order of summation. (Of 100 million readings, limits in f64 judged two otherwise.)
/// The [statistics](Sensor) themselves are computed in f64.
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
        let variance = mean_of(pairwise_sum(readings, &|reading| (reading - mean) * (reading - mean)));
        Self { mean: f64::from(mean), three_std: 3.0 * f64::from(variance.sqrt()) }
    }

    /// Never for NaN.
    pub(crate) fn exclude(&self, reading: f32) -> bool {
        (f64::from(reading) - self.mean).abs() > self.three_std
    }
}

/// Analyses every sensor, on all threads. Readings go out of memory behind the analysis; those of one sensor must fit,
/// because the median is a matter of all of them.
pub(crate) fn analyse(processed: &MmapArrayMut<f32, Ix2>) -> Result<Vec<Sensor>> {
    let bar = progress::bar("analysing", processed.len());
    let one_sensor = size_of::<f32>() * processed.ncols();
    let walk = processed.chunked().axis(Axis(0)).memory(MEMORY.max(one_sensor + MEMORY / 2));
    let found = walk.progress(|done, _| bar.set_position(done as u64)).par_map_reduce(
        |chunk| {
            let sensors = chunk.outer_iter();
            sensors.map(|readings| Sensor::new(readings.to_slice().expect("a row in C order is one slice"))).collect()
        },
        |mut found: Vec<_>, more| {
            found.extend(more);
            found
        },
    )?;
    bar.finish_and_clear();
    Ok(found.unwrap_or_default())
}

/// Writes the statistics: a file of f64, one row for each sensor.
pub(crate) fn save(found: &[Sensor], path: &Path) -> Result<()> {
    let mut table = files::create(path, (found.len(), COLUMNS.len()))?;
    for (mut row, sensor) in table.rows_mut().into_iter().zip(found) {
        row.assign(&aview1(&sensor.statistics));
    }
    table.close()
}

impl Sensor {
    /// Of one reading at least.
    fn new(readings: &[f32]) -> Self {
        let limits = Limits::of(readings);
        let anomalies = readings.iter().filter(|&&reading| limits.exclude(reading)).count() as u64;

        let count = readings.len() as f64;
        let mean = pairwise_sum(readings, &f64::from) / count;
        let squares = pairwise_sum(readings, &|reading| (f64::from(reading) - mean).powi(2));
        let std = (squares / count).sqrt();
        let [min, max, median] = order_statistics(readings);
        Self { statistics: [mean, std, min, max, median], limits, anomalies }
    }
}

/// Minimum, maximum and median; NaN if there is a NaN.
fn order_statistics(readings: &[f32]) -> [f64; 3] {
    // Selecting moves them about, so it takes a copy; and it goes fastest on integers.
    let mut ranks: Vec<i32> = readings.iter().map(|&reading| rank(reading)).collect();
    let middle = ranks.len() / 2;
    let (lower, &mut upper_median, upper) = ranks.select_nth_unstable(middle);
    let of = |rank: Option<&i32>| f64::from(reading(*rank.unwrap_or(&upper_median)));
    let (min, max) = (of(lower.iter().min()), of(upper.iter().max()));
    // NaNs are at the ends of the order: below all numbers or above, by their sign.
    if min.is_nan() || max.is_nan() {
        return [f64::NAN; 3];
    }
    let lower_median = if readings.len().is_multiple_of(2) { lower.iter().max() } else { None };
    [min, max, f64::midpoint(of(lower_median), of(None))]
}

/// An integer for each f32, in the order of [`f32::total_cmp`].
fn rank(reading: f32) -> i32 {
    flip_if_negative(reading.to_bits().cast_signed())
}

/// The inverse of [`rank`].
fn reading(rank: i32) -> f32 {
    f32::from_bits(flip_if_negative(rank).cast_unsigned())
}

/// Floats have a sign and a magnitude: as integers, the negative ones are in the wrong order.
fn flip_if_negative(bits: i32) -> i32 {
    if bits < 0 { bits ^ i32::MAX } else { bits }
}

/// The sum of a term of every reading, in the order of NumPy's pairwise summation.
///
/// Eight sums side by side over blocks of up to 128, and the blocks in a tree, so that rounding errors grow with the
/// logarithm of the number of readings only.
fn pairwise_sum<T: Copy + Default + Add<Output = T>>(readings: &[f32], term: &impl Fn(f32) -> T) -> T {
    const LANES: usize = 8;
    if readings.len() > 128 {
        let middle = readings.len() / 2;
        let (first, second) = readings.split_at(middle - middle % LANES);
        return pairwise_sum(first, term) + pairwise_sum(second, term);
    }
    let (groups, rest) = readings.as_chunks::<LANES>();
    let mut sums = [T::default(); LANES];
    for group in groups {
        for (sum, &reading) in sums.iter_mut().zip(group) {
            *sum = *sum + term(reading);
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
    rest.iter().fold(sum, |sum, &reading| sum + term(reading))
}
