//! Cost of opening, reading and writing files, compared with plain code.
//!
//! Run with `cargo bench --bench storage`. The files are 256 MiB, in the directory for temporary files.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Zip, prelude::*};
use ndarray_mmap::{MmapArray, MmapArrayMut, NpyHeader, prelude::*};

const SHAPE: (usize, usize) = (8_192, 4_096);
const BYTES: u64 = (SHAPE.0 * SHAPE.1 * size_of::<f64>()) as u64;

fn opening(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table.npy");
    // SAFETY: this program alone uses the directory.
    unsafe { MmapArrayMut::<f64, _>::create_npy(&path, (1_000, 64)) }.unwrap().close().unwrap();
    let mut group = criterion.benchmark_group("opening");
    group.bench_function("read the file's metadata", |b| {
        b.iter(|| std::fs::metadata(&path).unwrap())
    });
    group.bench_function("NpyHeader::read", |b| b.iter(|| NpyHeader::read(&path).unwrap()));
    group.bench_function("MmapArray::open_npy", |b| {
        // SAFETY: as above.
        b.iter(|| unsafe { MmapArray::<f64, Ix2>::open_npy(&path) }.unwrap().len());
    });
    group.finish();
}

fn reading(criterion: &mut Criterion) {
    let mut table = MmapArrayMut::<f64, _>::scratch(SHAPE).unwrap();
    table.indexed_iter_mut().for_each(|((i, j), x)| *x = (i ^ j) as f64);
    let mut group = criterion.benchmark_group("sum of 256 MiB");
    group.sample_size(20).throughput(Throughput::Bytes(BYTES));
    group.bench_function("ndarray, one thread", |b| b.iter(|| black_box(&table).sum()));
    group.bench_function("chunked().par_map_reduce", |b| {
        b.iter(|| table.chunked().par_map_reduce(|rows| rows.sum(), |a, b| a + b));
    });
    let elements = table.as_slice().unwrap();
    group.bench_function("bare, a thread for each half", |b| {
        b.iter(|| {
            let (left, right) = elements.split_at(elements.len() / 2);
            std::thread::scope(|scope| {
                let left = scope.spawn(|| aview1(left).sum());
                aview1(right).sum() + left.join().unwrap()
            })
        });
    });
    group.finish();
}

fn writing(criterion: &mut Criterion) {
    let source = Array2::<f64>::from_elem(SHAPE, 20.0);
    let mut group = criterion.benchmark_group("map of 256 MiB into a mapped file");
    group.sample_size(20).throughput(Throughput::Bytes(BYTES));
    let mut target = MmapArrayMut::<f64, _>::scratch(SHAPE).unwrap();
    group.bench_function("ndarray's Zip, one thread", |b| {
        b.iter(|| Zip::from(&mut target).and(&source).for_each(|to, from| *to = from * 1.8 + 32.0));
    });
    group.bench_function("chunked().map_into", |b| {
        b.iter(|| source.chunked().map_into(&mut target, |from| from * 1.8 + 32.0).unwrap());
    });
    group.finish();
}

/// Measures copies of mapped arrays in several orders, compared with `map_into`.
fn saving(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("copy.raw");
    let mut source = MmapArrayMut::<f64, _>::scratch(SHAPE).unwrap();
    source.fill(20.0);
    let mut group = criterion.benchmark_group("copy of 256 MiB into a new file");
    group.sample_size(10).throughput(Throughput::Bytes(BYTES));
    group.bench_function("create, then map_into in 64 MiB", |b| {
        b.iter(|| {
            // SAFETY: this program alone uses the directory.
            let mut copy = unsafe { MmapArrayMut::<f64, _>::create(&path, SHAPE) }.unwrap();
            source.chunked().memory_limit(64 << 20).map_into(&mut copy, |&x| x).unwrap();
        });
    });
    // SAFETY: as above.
    group.bench_function("to_mmap", |b| b.iter(|| unsafe { source.to_mmap(&path) }.unwrap().len()));
    let transposed = source.t();
    group.bench_function("to_mmap, transposed", |b| {
        // SAFETY: as above.
        b.iter(|| unsafe { transposed.to_mmap(&path) }.unwrap().len())
    });
    let backwards = source.slice(s![..;-1, ..;-1]);
    group.bench_function("to_mmap, backwards", |b| {
        // SAFETY: as above.
        b.iter(|| unsafe { backwards.to_mmap(&path) }.unwrap().len())
    });
    group.finish();
}

criterion_group!(benches, opening, reading, writing, saving);
criterion_main!(benches);
