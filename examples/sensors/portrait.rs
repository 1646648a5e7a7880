//! One sensor, thinned to what a picture can show.
#![forbid(unsafe_code)]

use ndarray::prelude::*;
use ndarray_mmap::{Result, prelude::*};

use crate::MEMORY;
use crate::statistics::Limits;

/// How many columns the course of the readings is drawn in, at most.
const COLUMNS: usize = 1_000;

/// How many bars the histogram has.
const BARS: usize = 60;

/// The lowest and the highest of neighbouring readings, each with its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinMax {
    pub(crate) low: (usize, f32),
    pub(crate) high: (usize, f32),
}

/// The course and the distribution of the finite readings of one sensor.
#[derive(Debug)]
pub(crate) struct Portrait {
    pub(crate) readings: usize,
    pub(crate) limits: Limits,
    /// Whatever stands out is the extreme of its column, so no anomaly that can be told from others is lost.
    pub(crate) course: Vec<MinMax>,
    /// The lowest and the highest reading; none if no reading is finite.
    pub(crate) range: Option<(f64, f64)>,
    pub(crate) bars: Vec<u64>,
}

impl Portrait {
    /// Reads the sensor twice.
    pub(crate) fn new(sensor: ArrayView1<'_, f32>, limits: Limits) -> Result<Self> {
        let readings = sensor.len();
        let mut columns = vec![None::<MinMax>; COLUMNS.min(readings)];
        let mut number = 0;
        for part in sensor.chunked().memory_limit(MEMORY).try_iter()? {
            for &reading in part? {
                if reading.is_finite() {
                    // In wide arithmetic: the product may exceed usize.
                    let column =
                        (number as u128 * columns.len() as u128 / readings as u128) as usize;
                    let here = (number, reading);
                    let extremes = columns[column].get_or_insert(MinMax { low: here, high: here });
                    if reading < extremes.low.1 {
                        extremes.low = here;
                    }
                    if reading > extremes.high.1 {
                        extremes.high = here;
                    }
                }
                number += 1;
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
                    // All the same: all in the first bar.
                    let share =
                        if high > low { (f64::from(reading) - low) / (high - low) } else { 0.0 };
                    bars[((share * BARS as f64) as usize).min(BARS - 1)] += 1;
                }
            }
        }
        Ok(Self { readings, limits, course, range, bars })
    }

    /// The readings to be marked.
    pub(crate) fn anomalies(&self) -> impl Iterator<Item = (usize, f32)> {
        let extremes = self.course.iter().flat_map(|column| [column.low, column.high]);
        extremes.filter(|&(_, reading)| self.limits.exclude(reading))
    }
}
