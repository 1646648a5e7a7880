//! Peak resident set of statistics, measured in child processes on a file 50 times larger than the
//! memory limit. Digests of results are bitwise identical to those without a limit.
#![cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]

use std::path::Path;
use std::process::Command;

use ndarray::prelude::*;
use ndarray_mmap::stats::Interpolation::Linear;
use ndarray_mmap::stats::{Bins, Element};
use ndarray_mmap::{Chunked, Result, prelude::*};

use crate::resident_memory::kib;
use crate::support::*;

const BUDGET: usize = 8 << 20;

/// 400 MiB of f64. A column touches 2.5 MiB of pages.
const SHAPE: (usize, usize) = (640, 81_920);

type ChunkedTable<'a> = Chunked<'a, ArrayView2<'a, f64>>;
type Statistic = fn(
    &dyn for<'a> Fn(&'a ArrayView2<'_, f64>) -> ChunkedTable<'a>,
    &ArrayView2<'_, f64>,
) -> Result<f64>;

/// Exact for what fits 53 bits, and changed by any change of order.
fn digest<'a, A: Element>(values: impl IntoIterator<Item = &'a A>) -> f64 {
    values.into_iter().enumerate().map(|(i, x)| x.to_f64() * ((i * 7) % 11 + 1) as f64).sum()
}

/// The statistics, and the bytes that a result takes, which are the caller's.
const STATISTICS: &[(&str, usize, Statistic)] = &[
    ("summary", 0, |chunked, a| chunked(a).summary().map(|s| s.mean + s.kurtosis)),
    ("summary of the reversed transpose", 0, |chunked, a| {
        chunked(&a.slice(s![..;-1, ..;-1]).reversed_axes()).summary().map(|s| s.mean + s.kurtosis)
    }),
    ("central moments", 0, |chunked, a| Ok(digest(&chunked(a).central_moments(5)?))),
    ("quantile", 0, |chunked, a| chunked(a).quantile(0.5, Linear)),
    ("quantiles", 0, |chunked, a| {
        Ok(digest(&chunked(a).quantiles(&[0.001, 0.25, 0.3333, 0.75, 0.99], Linear)?))
    }),
    ("a hundred quantiles", 0, |chunked, a| {
        Ok(digest(
            &chunked(a).quantiles(
                &(0..100).map(|part| f64::from(part) / 99.0).collect::<Vec<_>>(),
                Linear,
            )?,
        ))
    }),
    ("quantile without NaN", 0, |chunked, a| chunked(a).skipnan().quantile(0.7, Linear)),
    ("histogram", 0, |chunked, a| Ok(digest(chunked(a).histogram(1_000)?.counts()))),
    ("histogram of many bins", 8 * 10_000, |chunked, a| {
        Ok(digest(chunked(a).histogram(Bins::uniform(10_000, 0.0..=1000.0))?.counts()))
    }),
    // Each thread has a table of its own: there is room for those of two, and of one.
    ("histogram on two threads", 8 * 40_000, |chunked, a| {
        Ok(digest(chunked(a).histogram(Bins::uniform(40_000, 0.0..=1000.0))?.counts()))
    }),
    ("histogram on one thread", 8 * 60_000, |chunked, a| {
        Ok(digest(chunked(a).histogram(Bins::uniform(60_000, 0.0..=1000.0))?.counts()))
    }),
    ("histogram of two halves", 0, |chunked, a| {
        let (left, right) = a.split_at(Axis(1), a.ncols() / 2);
        Ok(digest(&chunked(&left).and(&right)?.histogram2d(20, 30)?.counts()))
    }),
    ("weighted variance", 0, |chunked, a| {
        let (left, right) = a.split_at(Axis(1), a.ncols() / 2);
        chunked(&left).weighted_var(&right, 1.0)
    }),
    ("argmin, count and find", 0, |chunked, a| {
        let (i, j) = chunked(a).argmin()?;
        let found = chunked(a).argwhere(1_000, |&x| x == 999.0)?;
        Ok((i + j + chunked(a).count_where(|&x| x > 500.0)? + found.len()) as f64
            + digest([&found[found.len() - 1].1]))
    }),
    ("summary of few columns, reversed", 0, |chunked, a| {
        let few = a.slice(s![..;-1, 1_000..;20_000]);
        let (summary, counted) =
            (chunked(&few).summary()?, chunked(&few).histogram(9)?.counts()[3]);
        Ok(summary.mean + summary.kurtosis + chunked(&few).quantile(0.3, Linear)? + counted as f64)
    }),
    ("std along columns", 8 * SHAPE.1, |chunked, a| {
        Ok(digest(&chunked(a).std_axis(Axis(0), 0.0)?))
    }),
    ("std along rows", 0, |chunked, a| Ok(digest(&chunked(a).std_axis(Axis(1), 0.0)?))),
    ("std along columns of every other", 8 * SHAPE.1, |chunked, a| {
        Ok(digest(&chunked(&a.slice(s![.., ..;2])).std_axis(Axis(0), 0.0)?))
    }),
    ("std along few columns", 0, |chunked, a| {
        Ok(digest(&chunked(&a.slice(s![.., 1_000..1_004])).std_axis(Axis(0), 0.0)?))
    }),
    ("summary along columns", 96 * SHAPE.1, |chunked, a| {
        Ok(chunked(a).summary_axis(Axis(0))?.iter().map(|s| s.skewness + s.mean).sum())
    }),
    ("summary along rows", 0, |chunked, a| {
        Ok(chunked(a).summary_axis(Axis(1))?.iter().map(|s| s.skewness + s.mean).sum())
    }),
    ("argmax along columns", 8 * SHAPE.1, |chunked, a| {
        Ok(digest(&chunked(a).argmax_axis(Axis(0))?))
    }),
    ("weighted mean along rows", 0, |chunked, a| {
        let weights = Array1::from_shape_fn(a.nrows(), |i| (i % 3) as f64);
        Ok(digest(&chunked(&a.slice(s![.., ..8_000])).weighted_mean_axis(Axis(0), &weights)?))
    }),
    ("median along columns", 80 * SHAPE.1, |chunked, a| {
        Ok(digest(&chunked(a).quantile_axis(Axis(0), 0.5, Linear)?))
    }),
    ("quartiles along some columns", 0, |chunked, a| {
        let some = a.slice(s![.., 1_000..1_040]);
        Ok(digest(&chunked(&some).quantiles_axis(Axis(0), &[0.25, 0.5, 0.75], Linear)?))
    }),
    ("median along rows", 0, |chunked, a| {
        Ok(digest(&chunked(a).quantile_axis(Axis(1), 0.5, Linear)?))
    }),
    ("median along short rows", 0, |chunked, a| {
        Ok(digest(&chunked(&a.slice(s![.., ..a.ncols() * 3 / 4])).quantile_axis(
            Axis(1),
            0.5,
            Linear,
        )?))
    }),
    ("covariance of rows", 0, |chunked, a| Ok(digest(&chunked(&a.slice(s![..30, ..])).cov(1.0)?))),
    ("correlation of columns", 0, |chunked, a| {
        Ok(digest(&chunked(&a.slice(s![.., 5_000..5_040]).reversed_axes()).pearson_correlation()?))
    }),
];

#[test]
fn no_statistic_exceeds_its_memory_limit() {
    let dir = dir();
    let path = dir.path().join("table.raw");
    let mut table = create::<f64, _>(&path, SHAPE).unwrap();
    let fill = |begin: usize, mut rows: ArrayViewMut2<'_, f64>| {
        rows.indexed_iter_mut()
            .for_each(|((i, j), x)| *x = (((begin + i) * 31 + j) % 1_000) as f64);
    };
    table
        .chunked_mut()
        .indexed()
        .par_for_each(|(region, rows)| fill(region.range(Axis(0)).start, rows))
        .unwrap();
    let all_threads: &[usize] = if cfg!(feature = "rayon") { &[2, 8] } else { &[1] };
    for (number, (name, _, statistic)) in STATISTICS.iter().enumerate() {
        let expected = statistic(&|view| view.chunked(), &table.view()).unwrap().to_bits();
        for threads in all_threads {
            let output = Command::new(std::env::current_exe().unwrap())
                .args([
                    "stats::memory::child_runs_statistic_and_reports_peak",
                    "--exact",
                    "--ignored",
                    "--nocapture",
                ])
                .env(
                    "NDARRAY_MMAP_STATISTIC",
                    format!("{number} {expected} {threads} {}", path.display()),
                )
                .output()
                .unwrap();
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{name}, {threads} threads:\n{out}\n{err}");
            let told = out.lines().find(|line| line.contains("computed within"));
            println!(
                "{name}, {threads} threads: {}",
                told.unwrap_or_else(|| panic!("{name}: nothing in\n{out}"))
            );
        }
    }
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_runs_statistic_and_reports_peak() {
    let task = std::env::var("NDARRAY_MMAP_STATISTIC").expect("set by the parent");
    let [number, expected, threads, path] =
        task.splitn(4, ' ').collect::<Vec<_>>().try_into().unwrap();
    let threads: usize = threads.parse().unwrap();
    let (name, result_bytes, statistic) = STATISTICS[number.parse::<usize>().unwrap()];
    // The parent has it mapped as well, and writes no more.
    let options = ndarray_mmap::MmapArrayOptions::new().lock(ndarray_mmap::LockPolicy::Off);
    let table = read_with::<f64, _>(&options, Path::new(path), SHAPE).unwrap();
    let run = |table: &ArrayView2<'_, f64>| {
        statistic(&|view| view.chunked().memory_limit(BUDGET), table).unwrap()
    };
    #[cfg(feature = "rayon")]
    let run = {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        move |table: &ArrayView2<'_, f64>| pool.install(|| run(table))
    };
    // First with a part of the file, so that the program itself and its stacks are resident.
    run(&table.slice(s![..40, ..10_000]));
    let before = kib("VmRSS:");
    let found = run(&table.view());
    let peak = (kib("VmHWM:") - before) << 10;
    assert_eq!(found.to_bits(), expected.parse::<u64>().unwrap(), "{name}");
    assert!(peak <= BUDGET + result_bytes, "{name}, {threads} threads: {peak} bytes");
    println!("computed within {:.1} MiB", peak as f64 / f64::from(1 << 20));
}
