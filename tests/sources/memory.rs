//! The peak memory of operations on sources, each measured in a separate process.
#![cfg(target_os = "linux")]

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use ndarray::prelude::*;
use ndarray_mmap::stats::Interpolation::Linear;
use ndarray_mmap::{ArrayFile, ArrayFileMut, LazyArray, MmapArray, Result, prelude::*};

const SHAPE: (usize, usize) = (16_000, 2_000);
const LIMIT: usize = 16 << 20;

/// The name of a variable with the directory of the files and the name of an operation.
const VARIABLE: &str = "NDARRAY_MMAP_SOURCES_CHILD";

const OPERATIONS: [&str; 13] = [
    "sum",
    "std_axis(0)",
    "std_axis(1)",
    "quantile",
    "quantile_axis(0)",
    "cov",
    "map_into",
    "for_each",
    "iterate",
    "select",
    "select(1)",
    "shuffle",
    "quantile_axis(0) of long rows",
];

/// A shape of the same elements, of which each column is a lane.
const LONG_ROWS: (usize, usize) = (32, 1_000_000);

fn run(operation: &str, lazy: &LazyArray<'_, f64, Ix2>, directory: &Path) -> Result<()> {
    let chunked = || lazy.chunked().memory_limit(LIMIT);
    match operation {
        "sum" => chunked().sum().map(drop),
        "std_axis(0)" => chunked().std_axis(Axis(0), 0.0).map(drop),
        "std_axis(1)" => chunked().std_axis(Axis(1), 0.0).map(drop),
        "quantile" => chunked().quantile(0.3, Linear).map(drop),
        "quantile_axis(0)" => chunked().quantile_axis(Axis(0), 0.5, Linear).map(drop),
        "cov" => {
            let few = ArrayFile::<f64, _>::open(directory.join("table.raw"), (10, 3_200_000))?;
            few.chunked().memory_limit(LIMIT).cov(1.0).map(drop)
        }
        "map_into" => {
            let path = directory.join("target.raw");
            let mut target = ArrayFileMut::<f32, _>::create(path, SHAPE)?;
            chunked().map_into(&mut target, |&x| x as f32)
        }
        "for_each" => chunked().par_for_each(|rows| assert_eq!(rows.ncols(), SHAPE.1)),
        "iterate" => {
            for rows in chunked().try_iter()? {
                assert_eq!(rows?.ncols(), SHAPE.1);
            }
            Ok(())
        }
        "select" => {
            let rows: Vec<_> = (0..SHAPE.0).map(|i| i * 7_919 % SHAPE.0).collect();
            chunked().select(Axis(0), rows)?.sum().map(drop)
        }
        "select(1)" => {
            let columns: Vec<_> = (0..SHAPE.1 / 3).map(|i| i * 677 % SHAPE.1).collect();
            let path = directory.join("columns.raw");
            let mut target = ArrayFileMut::create(path, (SHAPE.0, columns.len()))?;
            chunked().select(Axis(1), columns)?.copy_into(&mut target)
        }
        "shuffle" => {
            let path = directory.join("shuffled.raw");
            let mut target = ArrayFileMut::create(path, SHAPE)?;
            chunked().shuffle(Axis(0), 3)?.copy_into(&mut target)
        }
        "quantile_axis(0) of long rows" => {
            let long = ArrayFile::<f64, _>::open(directory.join("table.raw"), LONG_ROWS)?;
            let medians = long.chunked().memory_limit(LIMIT).quantile_axis(Axis(0), 0.5, Linear)?;
            assert_eq!(medians.len(), LONG_ROWS.1);
            Ok(())
        }
        _ => unreachable!("there is no operation {operation}"),
    }
}

/// Returns a number of bytes from the status of this process.
fn status(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    1024 * line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<usize>().unwrap()
}

/// Runs one operation in the process that the other test starts. Without the variable, there is
/// nothing to do.
#[test]
fn child() {
    let Ok(variable) = env::var(VARIABLE) else { return };
    let (directory, operation) = variable.split_once(':').unwrap();
    let directory = Path::new(directory);
    let (source, operation) = operation.split_once(' ').unwrap();
    let file = ArrayFile::<f64, _>::open(directory.join("table.raw"), SHAPE).unwrap();
    let native = ArrayFile::<f64, _>::open(directory.join("table.raw"), SHAPE).unwrap();
    let lazy = match source {
        "file" => file.chunked().into_lazy(),
        "swapped" => LazyArray::from(file.big_endian()),
        "computed" => native.chunked().map(|&x| x + 1.0).into_lazy(),
        "many" => {
            let paths = [directory.join("half.raw"), directory.join("half.raw")];
            LazyArray::concatenate_rows(&Default::default(), paths, SHAPE.1).unwrap()
        }
        "stacked" => {
            let rows = SHAPE.0 / 40;
            let paths = (0..rows).map(|index| directory.join(format!("{}.raw", index % 3)));
            let open = |path: &Path| ArrayFile::<f64, _>::open(path, (40, SHAPE.1));
            let cube: LazyArray<'_, _, Ix3> = LazyArray::stack_files(Axis(0), paths, open).unwrap();
            let before = status("VmRSS");
            fs::write("/proc/self/clear_refs", "5").unwrap();
            cube.chunked().memory_limit(LIMIT).std(0.0).unwrap();
            cube.chunked().memory_limit(LIMIT).std_axis(Axis(0), 0.0).unwrap();
            cube.chunked().memory_limit(LIMIT).par_for_each(|_| {}).unwrap();
            cube.chunked().memory_limit(LIMIT).mean_axis(Axis(2)).unwrap();
            let peak = status("VmHWM").saturating_sub(before);
            assert!(peak <= LIMIT, "{peak} bytes of {LIMIT} for a stack");
            return;
        }
        "narrow" => {
            // Chunks of far more indices than a chunk of whole rows has.
            let shape = (2_000_000, 8);
            let file = ArrayFile::<u8, _>::open(directory.join("narrow.raw"), shape).unwrap();
            let rows: Vec<_> = (0..shape.0).rev().collect();
            let columns = || file.chunked().select(Axis(0), &rows).unwrap().axis(Axis(1));
            measure("narrow file", "iterate over columns", LIMIT, |_| {
                for column in columns().chunk_len(1).memory_limit(LIMIT).try_iter()? {
                    assert_eq!(column?.len(), shape.0);
                }
                Ok(())
            });
            // Gaps of a selection of a selection.
            let some: Vec<_> = (0..shape.0).step_by(400).collect();
            let twice = || file.chunked().select(Axis(0), &rows).unwrap().select(Axis(0), &some);
            measure("narrow file", "selection of a selection", 4 << 20, |_| {
                twice()?.memory_limit(4 << 20).chunk_len(100).par_for_each(drop)
            });
            return;
        }
        "mapped" => {
            // SAFETY: no other code changes the file.
            let mapped = unsafe { MmapArray::<f64, _>::open(directory.join("table.raw"), SHAPE) };
            let mapped = mapped.unwrap();
            // Without a limit as well, no page of the array becomes resident.
            let rows: Vec<_> = (0..2_000).map(|i| i * 7_919 % SHAPE.0).collect();
            let select = || mapped.chunked().select(Axis(0), &rows).unwrap();
            measure("mapped array", "select", LIMIT, |_| select().par_for_each(drop));
            let few = mapped.slice(s![..;-3, 5..700]);
            let select = || few.chunked().select(Axis(1), vec![3; 10]).unwrap();
            measure("slice", "select(1)", LIMIT, |_| select().memory_limit(LIMIT).sum().map(drop));
            let shuffle = || mapped.chunked().memory_limit(LIMIT).shuffle(Axis(0), 1);
            measure("mapped array", "shuffle", LIMIT, |_| {
                shuffle()?.std_axis(Axis(0), 0.0).map(drop)
            });
            return;
        }
        "decoded" => LazyArray::open_npy(directory.join("table.npy")).unwrap(),
        _ => unreachable!("there is no source {source}"),
    };
    measure(source, operation, LIMIT, |operation| run(operation, &lazy, directory));
}

/// Checks that an operation does not exceed a limit.
fn measure(source: &str, operation: &str, limit: usize, run: impl Fn(&str) -> Result<()>) {
    let before = status("VmRSS");
    fs::write("/proc/self/clear_refs", "5").unwrap();
    run(operation).unwrap();
    let peak = status("VmHWM").saturating_sub(before);
    // Results do not count.
    let results =
        if operation.ends_with("of long rows") { LONG_ROWS.1 * size_of::<f64>() } else { 0 };
    assert!(peak <= limit + results, "{peak} bytes of {limit} for {operation} of {source}");
}

#[test]
fn operations_on_sources_keep_within_the_memory_limit() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = (SHAPE.0 * SHAPE.1 * size_of::<f64>()) as u64;
    for (name, len) in [("table.raw", bytes), ("half.raw", bytes / 2), ("narrow.raw", 16_000_000)] {
        File::create(directory.path().join(name)).unwrap().set_len(len).unwrap();
    }
    for index in 0..3 {
        let file = File::create(directory.path().join(format!("{index}.raw"))).unwrap();
        file.set_len((40 * SHAPE.1 * size_of::<f64>()) as u64).unwrap();
    }
    ArrayFileMut::<i16, _>::create_npy(directory.path().join("table.npy"), SHAPE).unwrap();
    for source in ["file", "swapped", "computed", "many", "decoded", "stacked", "mapped", "narrow"]
    {
        let count =
            if ["stacked", "mapped", "narrow"].contains(&source) { 1 } else { OPERATIONS.len() };
        for operation in &OPERATIONS[..count] {
            let variable = format!("{}:{source} {operation}", directory.path().display());
            let output = Command::new(env::current_exe().unwrap())
                .args(["--exact", "memory::child", "--nocapture"])
                .env(VARIABLE, variable)
                .output()
                .unwrap();
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{source}, {operation}: {message}");
        }
    }
}
