//! Statistics in about the least memory: how many tiles they take, what they keep resident, and what their errors ask for.
#![cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]

use std::fs::{self, File};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::prelude::*;
use ndarray_mmap::stats::{Element, Interpolation::Linear};
use ndarray_mmap::{
    Chunked, ErrorKind, LockPolicy, MmapArray, MmapArrayOptions, Result, prelude::*,
};

use crate::resident_memory::kib;
use crate::support::*;

/// A statistic along an axis, by name.
type Statistic<A> = (&'static str, fn(Chunked<'_, ArrayView2<'_, A>>, Axis));

/// The name of an operation, and the operation with a memory limit.
type Call<'a> = (&'a str, &'a dyn Fn(usize) -> Result<()>);

/// The name of an operation, and the operation with a memory limit and a progress callback.
type MeteredCall<'a> = (&'a str, &'a dyn Fn(usize, Progress<'_>) -> Result<()>);
type Progress<'a> = &'a (dyn Fn(usize, usize) + Send + Sync);

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A file of zeros, mapped from an offset on.
fn zeros<A: Element + bytemuck::Pod>(
    dir: &tempfile::TempDir,
    shape: (usize, usize),
    offset: usize,
) -> MmapArray<A, Ix2> {
    let path = dir.path().join(format!("{}-{shape:?}-{offset}", std::any::type_name::<A>()));
    let file = File::create(&path).unwrap();
    file.set_len((offset + shape.0 * shape.1 * size_of::<A>()) as u64).unwrap();
    let options = MmapArrayOptions::new().offset(offset as u64).lock(LockPolicy::Off);
    read_with(&options, &path, shape).unwrap()
}

/// How many times a call reports its progress, which is once for each tile.
fn tiles<A: Element>(
    table: &MmapArray<A, Ix2>,
    memory: usize,
    call: impl Fn(Chunked<'_, ArrayView2<'_, A>>),
) -> usize {
    let tiles = AtomicUsize::new(0);
    let count = |_, _| {
        tiles.fetch_add(1, Ordering::Relaxed);
    };
    call(table.chunked().memory_limit(memory).on_progress(count));
    tiles.into_inner()
}

fn lanes_in_few_tiles<A: Element + bytemuck::Pod>(shape: (usize, usize), offset: usize) {
    let dir = dir();
    let table = zeros::<A>(&dir, shape, offset);
    let bytes = shape.0 * shape.1 * size_of::<A>();
    for memory in (14..=20).map(|quarters| quarters * MIB / 4) {
        for axis in [Axis(0), Axis(1)] {
            let calls: [Statistic<A>; 3] = [
                ("sum", |chunked, axis| drop(chunked.sum_axis(axis).unwrap())),
                ("std", |chunked, axis| drop(chunked.std_axis(axis, 0.0).unwrap())),
                ("argmax", |chunked, axis| drop(chunked.argmax_axis(axis).unwrap())),
            ];
            for (name, call) in calls {
                let tiles = tiles(&table, memory, |chunked| call(chunked, axis));
                // Of 16 KiB each at least.
                let most = bytes / (16 * KIB) + 8;
                assert!(
                    tiles <= most,
                    "{name} of {shape:?} along {axis:?} in {memory} bytes: {tiles} tiles, {most} at most"
                );
            }
        }
    }
}

#[test]
fn lanes_of_large_rows_take_few_tiles() {
    lanes_in_few_tiles::<u8>((2_516, 10_000), 1);
    lanes_in_few_tiles::<f32>((3_145, 2_000), 128);
    lanes_in_few_tiles::<f64>((400, 4_096), 4_104);
}

#[test]
fn lanes_of_few_long_rows_take_few_tiles() {
    lanes_in_few_tiles::<f32>((300, 10_000), 128);
    lanes_in_few_tiles::<u16>((40, 300_000), 2);
}

#[test]
fn covariance_takes_few_tiles() {
    let dir = dir();
    for (shape, offset) in [((2, 500_000), 8), ((5, 200_000), 4_104), ((30, 40_000), 128)] {
        let table = zeros::<f64>(&dir, shape, offset);
        for memory in (14..=20).map(|quarters| quarters * MIB / 4) {
            let tiles = tiles(&table, memory, |chunked| drop(chunked.cov(1.0)));
            assert!(
                tiles <= shape.0 * shape.1 * 8 / (16 * KIB) + 8,
                "{shape:?} in {memory} bytes: {tiles} tiles"
            );
        }
    }
}

/// Calls with the name of their table, those that do not fit left out.
fn in_turn<A: Element + bytemuck::Pod>(
    dir: &tempfile::TempDir,
    shape: (usize, usize),
    offset: usize,
) {
    let table = zeros::<A>(dir, shape, offset);
    let chunked = |memory| table.chunked().memory_limit(memory);
    let calls: [Call<'_>; 6] = [
        ("sum along 0", &|memory| chunked(memory).sum_axis(Axis(0)).map(drop)),
        ("sum along 1", &|memory| chunked(memory).sum_axis(Axis(1)).map(drop)),
        ("std along 0 of every other column", &|memory| {
            table
                .slice(s![.., ..;2])
                .chunked()
                .memory_limit(memory)
                .std_axis(Axis(0), 0.0)
                .map(drop)
        }),
        ("std along 1 of every other column", &|memory| {
            table
                .slice(s![.., ..;2])
                .chunked()
                .memory_limit(memory)
                .std_axis(Axis(1), 0.0)
                .map(drop)
        }),
        ("max along 0 of reversed columns", &|memory| {
            table.slice(s![..;-1, ..;-1]).chunked().memory_limit(memory).max_axis(Axis(0)).map(drop)
        }),
        ("mean", &|memory| {
            table.slice(s![.., ..;2]).chunked().memory_limit(memory).mean().map(drop)
        }),
    ];
    for (name, call) in calls {
        for memory in [3_584, 12_288].map(|kib| kib * KIB) {
            // Once before, so that stacks and what the allocator keeps are resident.
            if let Err(error) = call(memory) {
                assert!(
                    matches!(error.kind(), ErrorKind::MemoryLimitExceeded { .. }),
                    "{name}: {error}"
                );
                continue;
            }
            fs::write("/proc/self/clear_refs", "5").unwrap();
            let before = kib("VmRSS:");
            call(memory).unwrap();
            let peak = (kib("VmHWM:") - before) * KIB;
            let results = 16 * shape.0.max(shape.1);
            let what = format!("{name} of {shape:?} at {offset} of {}", std::any::type_name::<A>());
            assert!(peak <= memory + results, "{what} in {} KiB: {} KiB", memory / KIB, peak / KIB);
        }
    }
}

/// Of a lane that is reversed no list of its elements is made.
fn one_long_lane(dir: &tempfile::TempDir) {
    let table = zeros::<u8>(dir, (1, 4_000_000), 2);
    let lane = table.slice(s![0, ..;-1]);
    for memory in [9 * MIB, 12 * MIB] {
        let quantiles = || {
            lane.chunked()
                .memory_limit(memory)
                .quantiles_axis(Axis(0), &[0.1, 0.5], Linear)
                .unwrap()
        };
        quantiles();
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = kib("VmRSS:");
        quantiles();
        let peak = (kib("VmHWM:") - before) * KIB;
        assert!(
            peak <= memory,
            "quantiles of a reversed lane in {} KiB: {} KiB",
            memory / KIB,
            peak / KIB
        );
    }
}

#[test]
fn no_buffer_exceeds_the_memory_limit() {
    for threads in if cfg!(feature = "rayon") { vec!["2", "5"] } else { vec!["1"] } {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "stats::tight::child_runs_operations_and_reports_peak",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(
            output.status.success() && out.contains("all within"),
            "{threads} threads:\n{out}\n{err}"
        );
    }
}

/// Mapped weights, each in a separate page, are read in parts.
#[test]
fn weights_in_another_order_need_little_memory() {
    let dir = dir();
    let (table, apart) = (zeros::<f64>(&dir, (5_000, 8), 0), zeros::<u8>(&dir, (5_000, 4_100), 1));
    let weights = apart.column(7);
    let mean = |memory| table.chunked().memory_limit(memory).weighted_sum_axis(Axis(0), &weights);
    assert_eq!(mean(8 * MIB).unwrap(), Array1::<f64>::zeros(8));
    let ErrorKind::MemoryLimitExceeded { needed, .. } = *mean(1).unwrap_err().kind() else {
        panic!()
    };
    assert!(needed <= 8 * MIB, "{needed} bytes");
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_runs_operations_and_reports_peak() {
    let dir = dir();
    in_turn::<f32>(&dir, (300, 10_000), 128);
    in_turn::<u8>(&dir, (1_000, 4_096), 1);
    one_long_lane(&dir);
    println!("all within");
}

/// What an error asks for is enough in one step, and it does not take so little that the call takes many tiles.
#[test]
fn needed_limit_of_error_is_sufficient() {
    let dir = dir();
    let table = zeros::<f64>(&dir, (400, 4_096), 4_104);
    let small = zeros::<u8>(&dir, (2_516, 2_000), 1);
    let long = zeros::<f32>(&dir, (200_000, 8), 128);
    let weights = zeros::<f64>(&dir, (1, 200_000), 4_104);
    let weights = weights.row(0);
    let calls: [MeteredCall<'_>; 9] = [
        ("central moment", &|memory, tell| {
            table.chunked().memory_limit(memory).on_progress(tell).central_moment(4).map(drop)
        }),
        ("central moments", &|memory, tell| {
            table.chunked().memory_limit(memory).on_progress(tell).central_moments(200).map(drop)
        }),
        ("sum along 0", &|memory, tell| {
            table.chunked().memory_limit(memory).on_progress(tell).sum_axis(Axis(0)).map(drop)
        }),
        ("sum along 1", &|memory, tell| {
            table.chunked().memory_limit(memory).on_progress(tell).sum_axis(Axis(1)).map(drop)
        }),
        ("std of bytes along 0", &|memory, tell| {
            small.chunked().memory_limit(memory).on_progress(tell).std_axis(Axis(0), 0.0).map(drop)
        }),
        ("std of bytes along 1", &|memory, tell| {
            small.chunked().memory_limit(memory).on_progress(tell).std_axis(Axis(1), 0.0).map(drop)
        }),
        ("weighted mean along 0", &|memory, tell| {
            long.chunked()
                .memory_limit(memory)
                .on_progress(tell)
                .weighted_mean_axis(Axis(0), &weights)
                .map(drop)
        }),
        ("weighted mean along 1", &|memory, tell| {
            let table = table.slice(s![.., ..8]);
            let chunked = table.chunked().memory_limit(memory).on_progress(tell);
            chunked.weighted_mean_axis(Axis(1), &weights.slice(s![..8])).map(drop)
        }),
        ("weighted sum in memory", &|memory, tell| {
            let ones = Array2::<f32>::ones((200_000, 2));
            ones.chunked()
                .memory_limit(memory)
                .on_progress(tell)
                .weighted_sum_axis(Axis(0), &weights)
                .map(drop)
        }),
    ];
    for (name, call) in calls {
        for first in [0, MIB, 2 * MIB] {
            let tiles = AtomicUsize::new(0);
            let count = |_, _| {
                tiles.fetch_add(1, Ordering::Relaxed);
            };
            let Err(error) = call(first, &count) else { continue };
            let ErrorKind::MemoryLimitExceeded { needed, limit, .. } = *error.kind() else {
                panic!("{name}: {error}")
            };
            assert_eq!(limit, first, "{name}");
            assert!(needed > first && needed < 16 * MIB, "{name}: {first}, then {needed}");
            call(needed, &count)
                .unwrap_or_else(|error| panic!("{name}, {first}, then {needed}: {error}"));
            assert!(tiles.into_inner() <= 2_000, "{name}: {needed} bytes take too many tiles");
        }
    }
}
