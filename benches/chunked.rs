//! Cost of chunked operations, compared with plain loops over the same mapped bytes.
//!
//! Run with `cargo bench --bench chunked`. The files are 512 MiB, in the directory for temporary files,
//! and in the page cache. Set `RAYON_NUM_THREADS=2` for a fair comparison: the plain loops use two
//! threads.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{ArrayRef, prelude::*};
use ndarray_mmap::stats::Sum;
use ndarray_mmap::{MmapArrayMut, prelude::*};

const SHAPE: (usize, usize) = (8_192, 8_192);
const BYTES: u64 = (SHAPE.0 * SHAPE.1 * size_of::<f64>()) as u64;

/// A memory limit far below the file size, and sufficient for both threads.
const MEMORY: usize = 64 << 20;

/// Returns the sum of a slice, with 32 interleaved sums so that the loop is vectorized.
fn sum(elements: &[f64]) -> f64 {
    let (groups, rest) = elements.as_chunks::<32>();
    let mut sums = [0.0; 32];
    for group in groups {
        sums.iter_mut().zip(group).for_each(|(sum, x)| *sum += x);
    }
    sums.iter().chain(rest).sum()
}

fn sum_of<D: Dimension>(chunk: &ArrayRef<f64, D>) -> f64 {
    sum(chunk.as_slice().expect("rows in C order"))
}

/// Processes each half on its own thread.
fn halves<T: Send>(parts: (T, T), work: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        scope.spawn(|| work(parts.0));
        work(parts.1);
    });
}

fn reading(criterion: &mut Criterion) {
    let mut table = MmapArrayMut::<f64, _>::scratch(SHAPE).unwrap();
    table.indexed_iter_mut().for_each(|((i, j), x)| *x = (i ^ j) as f64);
    let elements = || table.as_slice().unwrap();
    let mut group = criterion.benchmark_group("sum of 512 MiB");
    group.sample_size(20).throughput(Throughput::Bytes(BYTES));
    group.bench_function("bare, a thread for each half", |b| {
        b.iter(|| {
            halves(elements().split_at(elements().len() / 2), |half| {
                black_box(sum(half));
            })
        });
    });
    group.bench_function("par_map_reduce", |b| {
        b.iter(|| table.chunked().par_map_reduce(|rows| sum_of(&rows), |a, b| a + b).unwrap());
    });
    group.bench_function("accumulate", |b| {
        b.iter(|| table.chunked().accumulate(Sum::new).unwrap().sum())
    });
    // Includes the cost of mapping untouched pages and of unmapping them, after each chunk or at
    // the end.
    let forget = || table.release().unwrap();
    group.bench_function("from unmapped to unmapped: bare, a thread for each half", |b| {
        b.iter_batched(
            forget,
            |()| {
                halves(elements().split_at(elements().len() / 2), |half| {
                    black_box(sum(half));
                });
                forget();
            },
            BatchSize::PerIteration,
        );
    });
    for (name, memory) in [("evicted at the end", usize::MAX), ("evicted after each chunk", MEMORY)]
    {
        group.bench_function(format!("from unmapped to unmapped: {name}"), |b| {
            b.iter_batched(
                forget,
                |()| {
                    let chunks = table.chunked().memory_limit(memory);
                    black_box(chunks.par_map_reduce(|rows| sum_of(&rows), |a, b| a + b).unwrap());
                    forget();
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn writing(criterion: &mut Criterion) {
    let source = MmapArrayMut::<f64, _>::scratch(SHAPE).unwrap();
    let convert = |&x: &f64| x * 1.8 + 32.0;
    source
        .chunked()
        .par_for_each(|rows| {
            black_box(rows.sum());
        })
        .unwrap();
    let mut group = criterion.benchmark_group("map of 512 MiB into a new mapped file");
    group.sample_size(10).throughput(Throughput::Bytes(BYTES));
    let new = || MmapArrayMut::<f64, _>::scratch(SHAPE).unwrap();
    group.bench_function("bare, a thread for each half", |b| {
        b.iter_batched(
            new,
            |mut target| {
                let (from, to) = (source.as_slice().unwrap(), target.as_slice_mut().unwrap());
                let (from, to) = (from.split_at(from.len() / 2), to.split_at_mut(from.len() / 2));
                halves(((from.0, to.0), (from.1, to.1)), |(from, to)| {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = convert(from));
                });
                target
            },
            BatchSize::PerIteration,
        );
    });
    for (name, memory) in [("map_into", usize::MAX), ("map_into, evicted after each chunk", MEMORY)]
    {
        group.bench_function(name, |b| {
            b.iter_batched(
                new,
                |mut target| {
                    source.chunked().memory_limit(memory).map_into(&mut target, convert).unwrap();
                    target
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Measures the cost of each chunk, which includes a check of the file length.
fn small_chunks(criterion: &mut Criterion) {
    let table = MmapArrayMut::<f64, _>::scratch((65_536, 64)).unwrap();
    let mut group = criterion.benchmark_group("65536 rows of 512 bytes");
    group.throughput(Throughput::Elements(65_536));
    group.bench_function("each a chunk", |b| {
        b.iter(|| table.chunked().chunk_len(1).into_iter().for_each(see))
    });
    group.bench_function("each a chunk, on all threads", |b| {
        b.iter(|| table.chunked().chunk_len(1).par_for_each(see))
    });
    group.bench_function("rows of default chunks", |b| {
        b.iter(|| {
            table
                .chunked()
                .into_iter()
                .for_each(|rows| rows.axis_chunks_iter(Axis(0), 1).for_each(see))
        });
    });
    group.finish();
}

fn see(rows: ArrayView2<'_, f64>) {
    black_box(rows.len());
}

criterion_group!(benches, reading, writing, small_chunks);
criterion_main!(benches);
