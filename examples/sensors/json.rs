//! Results as one line of JSON.
#![forbid(unsafe_code)]

use std::io::{self, Write};

use crate::report::{Cost, Report, SHOWN};

/// Writes seconds, memory, anomalies, the statistics of the first sensors, and the correlation.
pub(crate) fn write(out: &mut dyn Write, report: &Report<'_>, cost: &Cost) -> io::Result<()> {
    let statistics =
        report.found.iter().take(SHOWN).map(|sensor| list(sensor.statistics.map(number)));
    let correlation =
        report.correlation.rows().into_iter().map(|row| list(row.iter().copied().map(number)));
    writeln!(
        out,
        r#"{{"seconds": {}, "peak_rss_mib": {}, "total_anomalies": {}, "statistics": {}, "correlation": {}}}"#,
        number(cost.seconds),
        cost.peak_mib.map_or_else(|| number(f64::NAN), number),
        report.total_anomalies(),
        list(statistics),
        list(correlation),
    )
}

/// Formats a number as JSON; NaN and infinities, which JSON does not have, become `null`.
fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { "null".into() }
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}
