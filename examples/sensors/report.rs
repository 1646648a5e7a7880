//! Results as text tables.
#![forbid(unsafe_code)]

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use ndarray::Array2;

use crate::statistics::{COLUMNS, Sensor};

/// Number of sensors in the table of statistics.
pub(crate) const SHOWN: usize = 10;

/// Number of lines of [`SHOWN`] sensors in the table of anomalies.
const LINES: usize = 10;

/// Results of the pipeline.
pub(crate) struct Report<'a> {
    pub(crate) shape: (usize, usize),
    pub(crate) found: &'a [Sensor],
    pub(crate) sample: &'a [usize],
    pub(crate) correlation: &'a Array2<f64>,
    pub(crate) sizes: &'a [(&'a str, &'a PathBuf, u64)],
}

/// Time and memory used.
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) peak_mib: Option<f64>,
}

impl Report<'_> {
    pub(crate) fn total_anomalies(&self) -> u64 {
        self.found.iter().map(|sensor| sensor.anomalies).sum()
    }

    /// Writes the tables in the order of the steps.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.statistics(out)?;
        self.anomalies(out)?;
        self.correlations(out)?;
        self.files(out)
    }

    fn statistics(&self, out: &mut dyn Write) -> io::Result<()> {
        let (sensors, readings) = self.shape;
        let (count, each) = (grouped(sensors as u64), grouped(readings as u64));
        writeln!(out, "Statistics in °F (sensors: {count}, readings of each: {each})")?;
        write!(out, "  sensor")?;
        for column in COLUMNS {
            write!(out, "{column:>12}")?;
        }
        for (index, sensor) in self.found.iter().take(SHOWN).enumerate() {
            write!(out, "\n{index:>8}")?;
            for value in sensor.statistics {
                write!(out, "{:>12}", decimal(value, 4))?;
            }
        }
        writeln!(out)?;
        more(out, sensors.saturating_sub(SHOWN), "statistics.f64 has them all")
    }

    fn anomalies(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\nAnomalies: readings beyond three standard deviations, counts")?;
        write!(out, "  sensor")?;
        for column in 0..SHOWN.min(self.found.len()) {
            write!(out, "{:>9}", format!("+{column}"))?;
        }
        for (line, sensors) in self.found.chunks(SHOWN).take(LINES).enumerate() {
            write!(out, "\n{:>8}", line * SHOWN)?;
            for sensor in sensors {
                write!(out, "{:>9}", sensor.anomalies)?;
            }
        }
        writeln!(out)?;
        more(out, self.found.len().saturating_sub(SHOWN * LINES), "counted in the total")?;
        let (total, readings) = (self.total_anomalies(), self.shape.0 as u64 * self.shape.1 as u64);
        let share = 100.0 * total as f64 / readings as f64;
        writeln!(
            out,
            "   total {} of {} readings ({share:.3} %)",
            grouped(total),
            grouped(readings)
        )
    }

    fn correlations(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "\nCorrelation of sensors (Pearson, no unit; readings of each: the first {})",
            grouped(self.compared() as u64)
        )?;
        write!(out, "  sensor")?;
        for sensor in self.sample {
            write!(out, "{sensor:>9}")?;
        }
        for (sensor, row) in self.sample.iter().zip(self.correlation.rows()) {
            write!(out, "\n{sensor:>8}")?;
            for &value in row {
                write!(out, "{:>9}", decimal(value, 5))?;
            }
        }
        writeln!(out)
    }

    fn files(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\nFiles")?;
        for &(name, path, bytes) in self.sizes {
            let (mib, path) = (bytes as f64 / f64::from(1 << 20), path.display());
            writeln!(out, "{name:>12} {mib:>12.3} MiB {:>15} bytes  {path}", grouped(bytes))?;
        }
        writeln!(out)
    }

    fn compared(&self) -> usize {
        self.shape.1.min(crate::correlation::READINGS)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conversion to correlation took {:.3} s, peak resident memory ", self.seconds)?;
        match self.peak_mib {
            Some(mib) => write!(f, "{mib:.1} MiB"),
            None => f.write_str("unknown"),
        }
    }
}

/// Returns the peak resident memory of this process, including mapped pages; known on Linux only.
pub(crate) fn peak_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

fn more(out: &mut dyn Write, sensors: usize, remark: &str) -> io::Result<()> {
    match sensors {
        0 => Ok(()),
        1 => writeln!(out, "         and 1 more sensor ({remark})"),
        _ => writeln!(out, "         and {} more sensors ({remark})", grouped(sensors as u64)),
    }
}

/// Formats a number so that it fits into its column.
pub(crate) fn decimal(value: f64, digits: usize) -> String {
    let text = match value {
        _ if value.is_nan() => "nan".into(),
        _ if value.is_finite() && value.abs() >= 1e6 => format!("{value:.3e}"),
        _ => format!("{value:.digits$}"),
    };
    // No sign for values that round to zero.
    match text.strip_prefix('-') {
        Some(zero) if zero.trim_matches(['0', '.']).is_empty() => zero.into(),
        _ => text,
    }
}

/// Formats an integer with commas: 100,000.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
