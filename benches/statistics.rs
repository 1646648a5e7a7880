//! Cost of statistics, compared with a bare read of the bytes, with ndarray and with ndarray-stats.
//!
//! Run with `cargo bench --bench statistics`, which takes about four minutes. The table is 256 MiB of
//! `f64` (or `MIB`), in the directory for temporary files. Slow peers process a sixteenth of it, so
//! compare the throughput, not the time.

#[path = "peers/bare.rs"]
mod bare;
mod counts;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ndarray::prelude::*;
use ndarray_mmap::stats::Interpolation::Linear;
use ndarray_mmap::{Accumulator, Chunked, MmapArrayMut, Result, prelude::*, stats};
use ndarray_stats::histogram::{Bins, Edges, Grid, HistogramExt};
use ndarray_stats::{
    CorrelationExt, Quantile1dExt, QuantileExt, SummaryStatisticsExt, interpolate,
};
use noisy_float::types::{N64, n64};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Normal};

use self::counts::Counts;

const COLUMNS: usize = 4_096;
const QUANTILES: [f64; 5] = [0.01, 0.25, 0.5, 0.75, 0.99];

type ChunkedTable<'t> = Chunked<'t, ArrayView2<'t, f64>>;

/// A computation by another crate, and the part of the table on which it is measured.
struct Peer<'a>(&'static str, Part, &'a dyn Fn(ArrayView2<'_, f64>) -> f64);

#[derive(Clone, Copy)]
enum Part {
    All,
    Sixteenth,
}
use Part::{All, Sixteenth};

fn table() -> MmapArrayMut<f64, Ix2> {
    let mib =
        std::env::var("MIB").map_or(256, |mib| mib.parse::<usize>().expect("a number of MiB"));
    let mut table = MmapArrayMut::scratch((((mib << 17) / COLUMNS).max(64), COLUMNS)).unwrap();
    let (mut random, normal) = (StdRng::seed_from_u64(1), Normal::new(20.0, 5.0).unwrap());
    table.iter_mut().for_each(|x| *x = normal.sample(&mut random));
    table
}

/// Measures the bare read, this crate and the peers.
fn figure(
    criterion: &mut Criterion,
    table: ArrayView2<'_, f64>,
    name: &str,
    ours: &dyn Fn(ChunkedTable<'_>) -> Result<f64>,
    peers: &[Peer<'_>],
) {
    let bytes = |rows: usize| Throughput::Bytes((rows * table.ncols() * size_of::<f64>()) as u64);
    let mut group = criterion.benchmark_group(name);
    group.throughput(bytes(table.nrows()));
    group.bench_function("bare read, two threads", |b| {
        b.iter(|| bare::read(black_box(table.as_slice().unwrap())))
    });
    group.bench_function("chunked()", |b| b.iter(|| ours(table.chunked()).unwrap()));
    for Peer(name, part, run) in peers {
        let rows = match part {
            All => table.nrows(),
            Sixteenth => table.nrows().div_ceil(16),
        };
        group.throughput(bytes(rows));
        group.bench_function(*name, |b| b.iter(|| run(table.slice(s![..rows, ..]))));
    }
    group.finish();
}

fn moments(criterion: &mut Criterion) {
    let table = table();
    let mut figure = |name: &str, ours: &dyn Fn(ChunkedTable<'_>) -> _, peers: &[Peer<'_>]| {
        figure(criterion, table.view(), name, ours, peers);
    };
    figure("sum", &|chunked| chunked.sum(), &[Peer("ndarray", All, &|table| table.sum())]);
    figure(
        "mean",
        &|chunked| chunked.mean(),
        &[Peer("ndarray", All, &|table| table.mean().unwrap())],
    );
    figure(
        "std",
        &|chunked| chunked.std(0.0),
        &[
            Peer("ndarray", All, &|table| table.std(0.0)),
            Peer("ndarray-stats, central_moment", Sixteenth, &|table| {
                table.central_moment(2).unwrap().sqrt()
            }),
        ],
    );
    figure(
        "summary",
        &|chunked| Ok(chunked.summary()?.kurtosis),
        &[Peer("ndarray-stats, kurtosis, min and max", Sixteenth, &|table| {
            table.kurtosis().unwrap() + table.min().unwrap() + table.max().unwrap()
        })],
    );
    for axis in [Axis(0), Axis(1)] {
        figure(
            &format!("mean_axis {}", axis.index()),
            &|chunked| Ok(chunked.mean_axis(axis)?[0]),
            &[Peer("ndarray", All, &|table| table.mean_axis(axis).unwrap()[0])],
        );
        figure(
            &format!("std_axis {}", axis.index()),
            &|chunked| Ok(chunked.std_axis(axis, 0.0)?[0]),
            &[Peer("ndarray", Sixteenth, &|table| table.std_axis(axis, 0.0)[0])],
        );
        let weights = Array1::from_shape_fn(table.len_of(axis), |index| 1.0 + (index % 7) as f64);
        figure(
            &format!("weighted_std_axis {}", axis.index()),
            &|chunked| Ok(chunked.weighted_std_axis(axis, &weights, 0.0)?[0]),
            &[Peer("chunked(), std_axis", All, &|table| {
                table.chunked().std_axis(axis, 0.0).unwrap()[0]
            })],
        );
    }
}

fn correlation(criterion: &mut Criterion) {
    let table = table();
    figure(
        criterion,
        table.slice(s![..64, ..]),
        "correlation of 64 rows",
        &|chunked| Ok(chunked.pearson_correlation()?[[0, 1]]),
        &[Peer("ndarray-stats", All, &|table| table.pearson_correlation().unwrap()[[0, 1]])],
    );
}

fn order(criterion: &mut Criterion) {
    let table = table();
    let mut figure = |name: &str, ours: &dyn Fn(ChunkedTable<'_>) -> _, peers: &[Peer<'_>]| {
        figure(criterion, table.view(), name, ours, peers);
    };
    figure(
        "min",
        &|chunked| chunked.min(),
        &[Peer("ndarray-stats", All, &|table| *table.min().unwrap())],
    );
    figure(
        "max",
        &|chunked| chunked.max(),
        &[Peer("ndarray-stats", All, &|table| *table.max().unwrap())],
    );
    figure(
        "argmin",
        &|chunked| Ok(chunked.argmin()?.1 as f64),
        &[Peer("ndarray-stats", All, &|table| table.argmin().unwrap().1 as f64)],
    );
    figure(
        "median",
        &|chunked| chunked.quantile(0.5, Linear),
        &[Peer("ndarray-stats, with the copy it reorders", Sixteenth, &|table| {
            lane(table).quantile_mut(n64(0.5), &interpolate::Linear).unwrap().raw()
        })],
    );
    figure(
        "five quantiles",
        &|chunked| Ok(chunked.quantiles(&QUANTILES, Linear)?[4]),
        &[Peer("ndarray-stats, with the copy it reorders", Sixteenth, &|table| {
            lane(table).quantiles_mut(&aview1(&QUANTILES.map(n64)), &interpolate::Linear).unwrap()
                [4]
            .raw()
        })],
    );
    // A hundred quantiles should take at most twice as long as five.
    let hundred: Vec<_> = (0..100).map(|part| (f64::from(part) + 0.5) / 100.0).collect();
    let hundred_of_64 = Array1::from_iter(hundred.iter().copied().map(n64));
    figure(
        "a hundred quantiles",
        &|chunked| Ok(chunked.quantiles(&hundred, Linear)?[99]),
        &[Peer("ndarray-stats, with the copy it reorders", Sixteenth, &|table| {
            lane(table).quantiles_mut(&hundred_of_64, &interpolate::Linear).unwrap()[99].raw()
        })],
    );
    for axis in [Axis(0), Axis(1)] {
        figure(
            &format!("a hundred quantiles_axis {}", axis.index()),
            &|chunked| Ok(chunked.quantiles_axis(axis, &hundred, Linear)?[[0, 0]]),
            &[Peer("chunked(), five", All, &|table| {
                table.chunked().quantiles_axis(axis, &QUANTILES, Linear).unwrap()[[0, 0]]
            })],
        );
        figure(
            &format!("median_axis {}", axis.index()),
            &|chunked| Ok(chunked.quantile_axis(axis, 0.5, Linear)?[0]),
            &[Peer("ndarray-stats, with the copy it reorders", Sixteenth, &|table| {
                let medians =
                    table.mapv(n64).quantile_axis_mut(axis, n64(0.5), &interpolate::Linear);
                medians.unwrap()[0].raw()
            })],
        );
    }
    figure(
        "histogram of 100 bins",
        &|chunked| Ok(chunked.histogram(100)?.counts()[50] as f64),
        &[Peer("ndarray-stats, with the copy in N64", Sixteenth, &|table| {
            let (min, max) = (*table.min().unwrap(), *table.max().unwrap());
            let edges = Array1::linspace(min, max, 101).mapv(n64);
            let grid = Grid::from(vec![Bins::new(Edges::from(edges))]);
            lane(table).insert_axis(Axis(1)).histogram(grid).counts()[50] as f64
        })],
    );
}

/// Measures `argwhere` with one hit in each 64 KiB.
fn searches(criterion: &mut Criterion) {
    let mut table = table();
    table.iter_mut().step_by(1 << 13).for_each(|x| *x = 1e9);
    let count =
        |chunked: ChunkedTable<'_>| Ok(chunked.argwhere(usize::MAX, |&x| x == 1e9)?.len() as f64);
    for (name, view) in [
        ("argwhere", table.view()),
        ("argwhere, transposed", table.t()),
        ("argwhere, rows reversed", table.slice(s![..;-1, ..])),
        ("argwhere, columns reversed", table.slice(s![.., ..;-1])),
    ] {
        figure(
            criterion,
            view,
            name,
            &count,
            &[Peer("ndarray, indexed_iter", All, &|table| {
                table
                    .indexed_iter()
                    .filter(|&(_, &x)| x == 1e9)
                    .map(|(index, &x)| (index, x))
                    .collect::<Vec<_>>()
                    .len() as f64
            })],
        );
    }
}

/// Measures pushing elements one by one, compared with a slice.
fn pushes(criterion: &mut Criterion) {
    fn each<T: Accumulator<f64>>(
        criterion: &mut Criterion,
        name: &str,
        elements: &[f64],
        new: impl Fn() -> T,
    ) {
        let mut group = criterion.benchmark_group(format!("push into {name}"));
        group.throughput(Throughput::Elements(elements.len() as u64));
        let mut bench = |name: &str, push: &dyn Fn(&mut T, &[f64])| {
            group.bench_function(name, |b| {
                b.iter(|| {
                    let mut accumulator = new();
                    push(&mut accumulator, black_box(elements));
                    accumulator
                });
            });
        };
        bench("push_slice", &|accumulator, elements| accumulator.push_slice(elements));
        bench("push", &|accumulator, elements| {
            elements.iter().for_each(|element| accumulator.push(element))
        });
    }
    let table = table();
    let elements = table.as_slice().unwrap();
    each(criterion, "Moments<2>", elements, stats::Moments::<2>::new);
    each(criterion, "Moments<4>", elements, stats::Moments::<4>::new);
    each(criterion, "Sum", elements, stats::Sum::new);
    each(criterion, "MinMax", elements, stats::MinMax::new);
    each(criterion, "ArgMinMax", elements, stats::ArgMinMax::new);
    each(criterion, "Histogram", elements, || {
        stats::Histogram::new(stats::Bins::uniform(100, 0.0..=40.0)).unwrap()
    });
}

fn large_accumulators(criterion: &mut Criterion) {
    let table = table();
    let mut figure = |name: &str, ours: &dyn Fn(ChunkedTable<'_>) -> _| {
        figure(criterion, table.view(), name, ours, &[])
    };
    figure("accumulate into 512 KiB", &|chunked| {
        Ok(chunked.accumulate(Counts::<false>::new)?.0[30_000] as f64)
    });
    figure("accumulate into 512 KiB in any order", &|chunked| {
        Ok(chunked.accumulate(Counts::<true>::new)?.0[30_000] as f64)
    });
}

/// Measures medians of bytes, compared with `min` and `sum_axis`.
fn bytes(criterion: &mut Criterion) {
    for columns in [10, 1_000, 100_000] {
        let table = Array2::from_shape_fn((100_000_000 / columns, columns), |(i, j)| {
            (i * 31 + j * 7_919 + i * j) as u8
        });
        let mut group = criterion.benchmark_group(format!("bytes in {columns} columns"));
        group.throughput(Throughput::Bytes(table.len() as u64));
        group.bench_function("min", |b| b.iter(|| table.chunked().min().unwrap()));
        group.bench_function("median", |b| {
            b.iter(|| table.chunked().quantile(0.5, Linear).unwrap())
        });
        group.bench_function("sum_axis 0", |b| {
            b.iter(|| table.chunked().sum_axis(Axis(0)).unwrap())
        });
        group.bench_function("median_axis 0", |b| {
            b.iter(|| table.chunked().quantile_axis(Axis(0), 0.5, Linear).unwrap());
        });
        group.finish();
    }
}

/// Copies all elements into a 1-d array of a type that is `Ord`.
fn lane(table: ArrayView2<'_, f64>) -> Array1<N64> {
    table.iter().copied().map(n64).collect()
}

fn short() -> Criterion {
    let (warm_up, measurement) = (Duration::from_millis(200), Duration::from_secs(1));
    Criterion::default().sample_size(10).warm_up_time(warm_up).measurement_time(measurement)
}

criterion_group!(name = benches; config = short(); targets = moments, correlation, order, bytes, searches, pushes, large_accumulators);
criterion_main!(benches);
