//! Readings of one sensor, reduced to the resolution of a chart.
#![forbid(unsafe_code)]

use ndarray::prelude::*;
use ndarray_mmap::{Result, prelude::*};

use crate::MEMORY;
use crate::statistics::Limits;

/// Largest number of columns in which the readings are drawn.
const COLUMNS: usize = 1_000;

/// Number of bars of the histogram.
const BARS: usize = 60;

/// Minimum and maximum of neighbouring readings, each with its index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinMax {
    pub(crate) low: (usize, f32),
    pub(crate) high: (usize, f32),
}

/// Course and distribution of the finite readings of one sensor.
#[derive(Debug)]
pub(crate) struct Portrait {
    pub(crate) readings: usize,
    pub(crate) limits: Limits,
    /// Minimum and maximum of each column. An anomaly is an extreme of its column, so it stays visible.
    pub(crate) course: Vec<MinMax>,
    /// Minimum and maximum of the readings; `None` if no reading is finite.
    pub(crate) range: Option<(f64, f64)>,
    pub(crate) bars: Vec<u64>,
}

impl Portrait {
    /// Computes course and distribution in two passes.
    pub(crate) fn new(sensor: ArrayView1<'_, f32>, limits: Limits) -> Result<Self> {
        let readings = sensor.len();
        let mut columns = vec![None::<MinMax>; COLUMNS.min(readings)];
        let mut index = 0;
        for part in sensor.chunked().memory_limit(MEMORY).try_iter()? {
            for &reading in part? {
                if reading.is_finite() {
                    // `u128`, because the product can exceed `usize`.
                    let column =
                        (index as u128 * columns.len() as u128 / readings as u128) as usize;
                    let here = (index, reading);
                    let extremes = columns[column].get_or_insert(MinMax { low: here, high: here });
                    if reading < extremes.low.1 {
                        extremes.low = here;
                    }
                    if reading > extremes.high.1 {
                        extremes.high = here;
                    }
                }
                index += 1;
            }
        }
        let course: Vec<_> = columns.into_iter().flatten().collect();
        let range =
            course.iter().map(|column| (f64::from(column.low.1), f64::from(column.high.1))).reduce(
                |(low, high), (other_low, other_high)| (low.min(other_low), high.max(other_high)),
            );

        let mut bars = vec![0; BARS];
        if let Some((low, high)) = range {
            for part in sensor.chunked().memory_limit(MEMORY).try_iter()? {
                for &reading in part?.iter().filter(|reading| reading.is_finite()) {
                    // Constant readings are counted in the first bar.
                    let share =
                        if high > low { (f64::from(reading) - low) / (high - low) } else { 0.0 };
                    bars[((share * BARS as f64) as usize).min(BARS - 1)] += 1;
                }
            }
        }
        Ok(Self { readings, limits, course, range, bars })
    }

    /// Returns the anomalies among the extremes.
    pub(crate) fn anomalies(&self) -> impl Iterator<Item = (usize, f32)> {
        let extremes = self.course.iter().flat_map(|column| [column.low, column.high]);
        extremes.filter(|&(_, reading)| self.limits.exclude(reading))
    }
}
