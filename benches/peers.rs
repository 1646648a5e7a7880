//! What this crate takes for an operation on a mapped file of f64, beside NumPy; run by `benches/peers.sh`.
//!
//! `peers FILE ROWS COLUMNS OPERATION` prints seconds, the peak resident set in MiB, and a number that tells the result.
#![allow(unsafe_code, reason = "opens files")]

use std::time::Instant;

use ndarray::prelude::*;
use ndarray_mmap::stats::Interpolation::Linear;
use ndarray_mmap::{Chunked, MmapArray, MmapArrayMut, Result, prelude::*};

/// Less than a thirtieth of the file.
const MEMORY: usize = 64 << 20;

type Operation = fn(&MmapArray<f64, Ix2>, &str) -> Result<f64>;

const OPERATIONS: &[(&str, Operation)] = &[
    ("sum", |table, _| walk(table).sum()),
    ("mean", |table, _| walk(table).mean()),
    ("std", |table, _| walk(table).std(0.0)),
    ("min", |table, _| walk(table).min()),
    ("max", |table, _| walk(table).max()),
    ("summary", |table, _| Ok(walk(table).summary()?.std)),
    ("mean_axis0", |table, _| Ok(walk(table).mean_axis(Axis(0))?[0])),
    ("mean_axis1", |table, _| Ok(walk(table).mean_axis(Axis(1))?[0])),
    ("std_axis0", |table, _| Ok(walk(table).std_axis(Axis(0), 0.0)?[0])),
    ("std_axis1", |table, _| Ok(walk(table).std_axis(Axis(1), 0.0)?[0])),
    ("min_axis0", |table, _| Ok(walk(table).min_axis(Axis(0))?[0])),
    ("argmin_axis0", |table, _| Ok(walk(table).argmin_axis(Axis(0))?[0] as f64)),
    ("argmin_axis1", |table, _| Ok(walk(table).argmin_axis(Axis(1))?[0] as f64)),
    ("summary_axis0", |table, _| Ok(walk(table).summary_axis(Axis(0))?[0].std)),
    ("summary_axis1", |table, _| Ok(walk(table).summary_axis(Axis(1))?[0].std)),
    ("median", |table, _| walk(table).quantile(0.5, Linear)),
    ("quantiles", |table, _| Ok(walk(table).quantiles(&[0.01, 0.25, 0.5, 0.75, 0.99], Linear)?[4])),
    ("median_axis0", |table, _| Ok(walk(table).quantile_axis(Axis(0), 0.5, Linear)?[0])),
    ("median_axis1", |table, _| Ok(walk(table).quantile_axis(Axis(1), 0.5, Linear)?[0])),
    ("histogram", |table, _| Ok(walk(table).histogram(100)?.counts()[50] as f64)),
    ("argmin", |table, _| Ok(walk(table).argmin()?.1 as f64)),
    ("corrcoef64", |table, _| Ok(walk_of(&table.slice(s![..64, ..])).pearson_correlation()?[[0, 1]])),
    ("moment3", |table, _| Ok(walk(table).central_moment(3)?)),
    ("map", |table, path| {
        // SAFETY: the script alone uses the directory.
        let mut out = unsafe { MmapArrayMut::create(format!("{path}.out"), table.raw_dim()) }?;
        walk(table).map_into(&mut out, |&x| (x * 9.0 / 5.0 + 32.0) * 1.02)?;
        Ok(out.last().copied().unwrap_or(0.0))
    }),
];

fn walk(table: &MmapArray<f64, Ix2>) -> Chunked<'_, ArrayView2<'_, f64>> {
    table.chunked().memory(MEMORY)
}

fn walk_of<'t>(table: &'t ArrayView2<'_, f64>) -> Chunked<'t, ArrayView2<'t, f64>> {
    table.chunked().memory(MEMORY)
}

fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [path, rows, columns, operation] = args.as_slice() else {
        println!("peers: run benches/peers.sh");
        return Ok(());
    };
    let shape = [rows, columns].map(|len| len.parse().expect("a length"));
    // SAFETY: as above.
    let table = unsafe { MmapArray::<f64, _>::open(path, shape) }?;
    let operation = OPERATIONS.iter().find(|(name, _)| name == operation).expect("a known operation").1;
    let (mut best, mut result) = (f64::INFINITY, 0.0);
    for _ in 0..3 {
        let begin = Instant::now();
        result = operation(&table, path)?;
        best = best.min(begin.elapsed().as_secs_f64());
    }
    println!("{best:.4} {:.0} {result:?}", peak_mib());
    Ok(())
}

/// The peak resident set, where Linux tells it.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("NaN kB");
    line.trim().trim_end_matches("kB").trim().parse().map_or(f64::NAN, |kib: f64| kib / 1024.0)
}
