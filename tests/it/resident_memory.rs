//! Resident memory of chunked operations: the peak of a child process, on files 50 times larger
//! than the memory limit.
#![cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{ShapeBuilder, Zip, prelude::*};
use ndarray_mmap::stats::{Bins, Interpolation, Sum};
use ndarray_mmap::{
    Advice, Chunked, ErrorKind, MmapArray, MmapArrayMut, MmapArrayOptions, Result, prelude::*,
};

use crate::support::*;

const BUDGET: usize = 8 << 20;

/// 400 MiB of f64. A column touches 2.5 MiB of pages.
const SHAPE: (usize, usize) = (640, 81_920);

/// The value at each place; all sums of it are exact.
fn value(i: usize, j: usize) -> f64 {
    ((i * 31 + j) % 1_000) as f64
}

type Table = MmapArray<f64, Ix2>;
type Operation = fn(&Table, &Path) -> Result<f64>;

fn sum_of(path: &Path, read: impl Fn(&Path) -> Result<Table>) -> Result<f64> {
    Ok(read(path)?.chunked().memory_limit(BUDGET).accumulate(Sum::new)?.sum())
}

fn target(path: &Path, like: &Table) -> Result<MmapArrayMut<f64, Ix2>> {
    create::<f64, _>(path, like.raw_dim())
}

fn read_back(path: &Path, like: &Table) -> Result<f64> {
    sum_of(path, |path| read(path, like.raw_dim()))
}

/// What is done to the file (and a second one); each gives the sum of all elements.
const OPERATIONS: &[(&str, Operation)] = &[
    ("iterate over rows", |a, _| {
        a.chunked().memory_limit(BUDGET).try_iter()?.map(|rows| Ok(rows?.sum())).sum::<Result<_>>()
    }),
    ("iterate over rows from the end", |a, _| {
        a.chunked()
            .memory_limit(BUDGET)
            .try_iter()?
            .rev()
            .map(|rows| Ok(rows?.sum()))
            .sum::<Result<_>>()
    }),
    ("iterate over columns", |a, _| {
        a.chunked()
            .axis(Axis(1))
            .memory_limit(BUDGET)
            .try_iter()?
            .map(|columns| Ok(columns?.sum()))
            .sum::<Result<_>>()
    }),
    ("reduce rows", |a, _| {
        Ok(a.chunked()
            .memory_limit(BUDGET)
            .par_map_reduce(|rows| rows.sum(), |a, b| a + b)?
            .unwrap_or(0.0))
    }),
    ("reduce columns", |a, _| {
        let chunked = a.chunked().axis(Axis(1)).memory_limit(BUDGET);
        Ok(chunked.par_map_reduce(|columns| columns.sum(), |a, b| a + b)?.unwrap_or(0.0))
    }),
    ("accumulate", |a, _| Ok(a.chunked().memory_limit(BUDGET).accumulate(Sum::new)?.sum())),
    ("reduce columns of the reversed transpose", |a, _| {
        let turned = a.slice(s![..;-1, ..;-1]).reversed_axes();
        let chunked = turned.chunked().axis(Axis(0)).memory_limit(BUDGET);
        Ok(chunked.par_map_reduce(|columns| columns.sum(), |a, b| a + b)?.unwrap_or(0.0))
    }),
    ("accumulate every other column, and the others", |a, _| {
        let every_other = |begin: usize| {
            a.slice(s![.., begin..;2]).chunked().memory_limit(BUDGET).accumulate(Sum::new)
        };
        Ok(every_other(0)?.sum() + every_other(1)?.sum())
    }),
    ("reduce blocks", |a, _| {
        let chunked = a.chunked().chunk_shape((100, 5_000)).memory_limit(BUDGET);
        Ok(chunked.par_map_reduce(|block| block.sum(), |a, b| a + b)?.unwrap_or(0.0))
    }),
    ("reduce blocks with a halo", |a, _| {
        let chunked =
            a.chunked().chunk_shape((100, 5_000)).halo((1, 1)).indexed().memory_limit(BUDGET);
        let sum = chunked
            .par_map_reduce(|(region, block)| region.trim_halo(block).sum(), |a, b| a + b)?;
        Ok(sum.unwrap_or(0.0))
    }),
    ("reduce two zipped halves", |a, _| {
        let (left, right) = a.view().split_at(Axis(1), a.ncols() / 2);
        let chunked = left.chunked().and(&right)?.memory_limit(BUDGET);
        Ok(chunked
            .par_map_reduce(|(left, right)| left.sum() + right.sum(), |a, b| a + b)?
            .unwrap_or(0.0))
    }),
    ("reduce columns of two zipped halves", |a, _| {
        let (left, right) = a.view().split_at(Axis(1), a.ncols() / 2);
        let chunked = left.chunked().and(&right)?.axis(Axis(1)).memory_limit(BUDGET);
        Ok(chunked
            .par_map_reduce(|(left, right)| left.sum() + right.sum(), |a, b| a + b)?
            .unwrap_or(0.0))
    }),
    ("accumulate with the fast axis reversed", |a, _| {
        Ok(a.slice(s![.., ..;-1]).chunked().memory_limit(BUDGET).accumulate(Sum::new)?.sum())
    }),
    ("parts that each fit", |a, _| {
        let part = |number| {
            a.chunked()
                .chunk_len(1)
                .partition(number, 100)
                .memory_limit(BUDGET)
                .accumulate(Sum::new)
        };
        (0..100).map(|number| part(number).map(|part| part.sum())).sum()
    }),
    ("operations that fail", |a, _| {
        for number in 0..40 {
            let chunked = a.slice(s![(16 * number).min(a.nrows()).., ..]);
            let failed =
                chunked.chunked().memory_limit(BUDGET).par_try_for_each(|rows| match rows.sum() {
                    0.0 => Ok(()),
                    _ => Err(std::io::Error::other("the first chunk")),
                });
            assert!(failed.is_err() || chunked.is_empty());
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                std::panic::set_hook(Box::new(|_| ()));
                chunked
                    .chunked()
                    .memory_limit(BUDGET)
                    .par_for_each(|rows| assert!(rows.sum() < 0.0))
            }));
            assert!(result.is_err() || chunked.is_empty());
            drop(std::panic::take_hook());
        }
        Ok(a.chunked().memory_limit(BUDGET).accumulate(Sum::new)?.sum())
    }),
    ("two operations over columns at once", |a, _| {
        let (left, right) = a.view().split_at(Axis(1), a.ncols() / 2);
        let sum = |half: &ArrayView2<'_, f64>| {
            // Each has half of what there is: 2.5 MiB, and 2 around them, and an eighth.
            let chunked = half.chunked().axis(Axis(1)).memory_limit(21 << 18);
            Ok(chunked.par_map_reduce(|columns| columns.sum(), |a, b| a + b)?.unwrap_or(0.0))
        };
        let sums: [Result<f64>; 2] = std::thread::scope(|scope| {
            let right = scope.spawn(|| sum(&right));
            [sum(&left), right.join().unwrap()]
        });
        sums.into_iter().sum()
    }),
    ("map into a file", |a, out| {
        a.chunked().memory_limit(BUDGET).map_into(&mut target(out, a)?, |&x| x)?;
        read_back(out, a)
    }),
    ("map into a file in the other order", |a, out| {
        let mut f = create::<f64, _>(out, a.raw_dim().f())?;
        a.chunked().memory_limit(BUDGET).map_into(&mut f, |&x| x)?;
        drop(f);
        sum_of(out, |path| read(path, a.raw_dim().f()))
    }),
    ("map into a file of another type", |a, out| {
        let mut small = create::<f32, _>(out, a.raw_dim())?;
        a.chunked().memory_limit(BUDGET).map_into(&mut small, |&x| x as f32)?;
        let sum = small
            .chunked()
            .memory_limit(BUDGET)
            .par_map_reduce(|rows| rows.iter().map(|&x| f64::from(x)).sum::<f64>(), |a, b| a + b)?;
        Ok(sum.unwrap_or(0.0))
    }),
    ("rows into rows", |a, out| {
        a.chunked()
            .memory_limit(BUDGET)
            .par_for_each_into(&mut target(out, a)?, |src, mut dst| dst.assign(&src))?;
        read_back(out, a)
    }),
    ("columns into columns", |a, out| {
        let chunked = a.chunked().axis(Axis(1)).memory_limit(BUDGET);
        chunked.par_for_each_into(&mut target(out, a)?, |src, mut dst| dst.assign(&src))?;
        read_back(out, a)
    }),
    ("columns in place", |a, out| {
        let mut copy = target(out, a)?;
        a.chunked().memory_limit(BUDGET).map_into(&mut copy, |&x| x - 1.0)?;
        copy.chunked_mut()
            .axis(Axis(1))
            .memory_limit(BUDGET)
            .par_for_each(|mut columns| columns += 1.0)?;
        drop(copy);
        read_back(out, a)
    }),
    ("rows in place with an iterator", |a, out| {
        let mut copy = target(out, a)?;
        a.chunked().memory_limit(BUDGET).map_into(&mut copy, |&x| x - 1.0)?;
        for mut rows in copy.chunked_mut().memory_limit(BUDGET) {
            rows += 1.0;
        }
        drop(copy);
        read_back(out, a)
    }),
];

/// Those that are tried on 1, 2 and 4 threads.
const THOROUGH: &[&str] =
    &["reduce rows", "reduce columns", "map into a file", "columns into columns"];

#[test]
fn no_operation_exceeds_its_memory_limit() {
    let dir = dir();
    let path = dir.path().join("table.raw");
    let mut table = create::<f64, _>(&path, SHAPE).unwrap();
    table
        .chunked_mut()
        .indexed()
        .par_for_each(|(region, rows)| fill(rows, region.range(Axis(0)).start))
        .unwrap();
    drop(table);
    let expected: f64 = (0..SHAPE.0).map(|i| (0..SHAPE.1).map(|j| value(i, j)).sum::<f64>()).sum();
    for (number, (name, _)) in OPERATIONS.iter().enumerate() {
        let threads: &[usize] = match () {
            () if name.contains("iterat") || cfg!(not(feature = "rayon")) => &[1],
            () if THOROUGH.contains(name) => &[1, 2, 4],
            () => &[2],
        };
        for threads in threads {
            let output = Command::new(std::env::current_exe().unwrap())
                .args([
                    "resident_memory::child_runs_operation_and_reports_peak",
                    "--exact",
                    "--ignored",
                    "--nocapture",
                ])
                .env(
                    "NDARRAY_MMAP_OPERATION",
                    format!("{number} {threads} {expected} {}", path.display()),
                )
                .output()
                .unwrap();
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{name}, {threads} threads:\n{out}\n{err}");
            assert!(out.contains("peak within"), "{name}, {threads} threads: no peak in\n{out}");
            println!(
                "{name}, {threads} threads: {}",
                out.lines().find(|line| line.contains("peak within")).unwrap()
            );
        }
    }
}

fn fill(mut rows: ArrayViewMut2<'_, f64>, begin: usize) {
    rows.indexed_iter_mut().for_each(|((i, j), x)| *x = value(begin + i, j));
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_runs_operation_and_reports_peak() {
    let task = std::env::var("NDARRAY_MMAP_OPERATION").expect("set by the parent");
    let [number, threads, expected, path] =
        task.splitn(4, ' ').collect::<Vec<_>>().try_into().unwrap();
    let (name, operation) = OPERATIONS[number.parse::<usize>().unwrap()];
    let table = read::<f64, _>(Path::new(path), SHAPE).unwrap();
    let out = Path::new(path).with_file_name("out.raw");
    let threads: usize = threads.parse().unwrap();
    let run = |table: &Table| operation(table, &out).unwrap();

    #[cfg(feature = "rayon")]
    let run = {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        move |table: &Table| pool.install(|| run(table))
    };
    // First with a part of the file, so that the program itself and its stacks are resident.
    run(&read(Path::new(path), (8, SHAPE.1)).unwrap());
    let before = kib("VmRSS:");
    let sum = run(&table);
    let peak = (kib("VmHWM:") - before) << 10;
    assert_eq!(sum, expected.parse::<f64>().unwrap(), "{name}");
    // Each of two operations has its own limit.
    let limit = if name.starts_with("two operations") { 2 * (21 << 18) } else { BUDGET };
    assert!(peak <= limit, "{name} on {threads} threads: {peak} bytes");
    println!("peak within {:.1} MiB", peak as f64 / f64::from(1 << 20));
}

/// A line of `/proc/self/status`.
pub fn kib(what: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse().unwrap()
}

#[test]
fn too_small_limit_is_an_error_with_a_sufficient_limit() {
    let table = MmapArrayMut::<f64, _>::scratch((1_000, 81_920)).unwrap();
    let chunked = || table.chunked().axis(Axis(1)).chunk_len(512);
    let error = chunked().memory_limit(1 << 20).try_iter().unwrap_err();
    let ndarray_mmap::ErrorKind::MemoryLimitExceeded { needed, limit, .. } = *error.kind() else {
        panic!("{error}")
    };
    // A page of each row, the folio around one access, and an eighth for the operation itself.
    let pages = 1_000 * 4096 + (2 << 20);
    assert_eq!((needed, limit), (pages + (pages - 1) / 7, 1 << 20));
    assert!(error.to_string().contains(&format!("needs {needed} bytes")), "{error}");
    assert!(chunked().memory_limit(needed - 1).par_for_each(|_| ()).is_err());
    assert!(chunked().memory_limit(needed).par_for_each(|_| ()).is_ok());
    // `map_into` divides further, down to the folio around one access and a page of each array.
    let mut copy = MmapArrayMut::<f64, _>::scratch((1_000, 81_920)).unwrap();
    let small = table.chunked().axis(Axis(1)).memory_limit(4 << 20);
    small.map_into(&mut copy, |&x| x + 1.0).unwrap();
    assert_eq!(copy[[999, 81_919]], 1.0);
    assert!(table.chunked().memory_limit(1 << 20).map_into(&mut copy, |&x| x).is_err());
}

/// A mutable chunked operation that stores nothing dirties no page. (The exception is a limit that fits
/// single pages only: the pages of the current chunk are dirtied.)
#[test]
fn reading_copy_on_write_array_copies_no_pages() {
    let dir = dir();
    let path = dir.path().join("table.raw");
    let mut table = create::<f64, _>(&path, (32, 1 << 16)).unwrap();
    table.fill(1.0);
    table.close().unwrap();
    for advice in [Advice::Normal, Advice::Random] {
        let options = MmapArrayOptions::new().advise(advice);
        let mut private = cow_with::<f64, _>(&options, &path, (32, 1 << 16)).unwrap();
        private.chunked_mut().par_for_each(|rows| assert_eq!(rows[[0, 0]], 1.0)).unwrap();
        assert_eq!(kib_of_map(&path, "Anonymous:"), 0, "{advice:?}");
        drop(private);
        // All pages of a tmpfs are changed ones.
        let mut shared = write_with::<f64, _>(&options, &path, (32, 1 << 16)).unwrap();
        let chunked = shared.chunked_mut().axis(Axis(1)).chunk_len(512);
        chunked.par_for_each(|columns| assert_eq!(columns[[0, 0]], 1.0)).unwrap();
        let changed = kib_of_map(&path, "Private_Dirty:");
        assert!(changed == 0 || is_tmpfs(dir.path()), "{advice:?}: {changed} KiB");
    }
}

fn is_tmpfs(path: &Path) -> bool {
    const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;
    rustix::fs::statfs(path).unwrap().f_type == TMPFS_MAGIC
}

/// A concurrent operation on the same array evicts all pages except pinned ones.
#[test]
fn pinned_pages_are_not_evicted_by_concurrent_operation() {
    let dir = dir();
    let path = dir.path().join("table.raw");
    create::<u8, _>(&path, 32 << 20).unwrap().close().unwrap();
    let array = read::<u8, _>(&path, 32 << 20).unwrap();
    // All of the array fits the one, a quarter of it the other.
    for memory in [1 << 30, 8 << 20] {
        let mut chunks = array.chunked().chunk_len(2 << 20).memory_limit(memory).into_iter();
        let chunk = chunks.next().unwrap();
        assert_eq!(chunk.sum(), 0);
        assert_eq!(array.chunked().memory_limit(8 << 20).sum().unwrap(), 0);
        let resident = kib_of_map(&path, "Rss:");
        assert!((2_048..8_192).contains(&resident), "{resident} KiB with {memory} bytes");
    }
}

/// What does not fit says how much would, and that is enough, in one or two steps; and it says what was given.
#[test]
fn needed_limit_of_error_is_sufficient() {
    type Call = fn(Chunked<'_, ArrayView2<'_, f64>>) -> Result<()>;
    let mut table = MmapArrayMut::<f64, _>::scratch((1 << 18, 8)).unwrap();
    table.chunked_mut().par_for_each(|mut rows| rows.fill(1.0)).unwrap();
    let calls: [(&str, usize, Call); 14] = [
        ("sum", 1, |chunked| chunked.sum().map(drop)),
        ("summary", 1, |chunked| chunked.summary().map(drop)),
        ("median", 1, |chunked| chunked.quantile(0.5, Interpolation::Linear).map(drop)),
        ("std along 0", 1, |chunked| chunked.std_axis(Axis(0), 0.0).map(drop)),
        ("std along 1", 1, |chunked| chunked.std_axis(Axis(1), 0.0).map(drop)),
        ("median along 0", 1, |chunked| {
            chunked.quantile_axis(Axis(0), 0.5, Interpolation::Linear).map(drop)
        }),
        ("median along 1", 1, |chunked| {
            chunked.quantile_axis(Axis(1), 0.5, Interpolation::Linear).map(drop)
        }),
        ("weighted mean along 1", 2, |chunked| {
            chunked.weighted_mean_axis(Axis(1), &Array1::<f64>::ones(8)).map(drop)
        }),
        ("histogram", 1, |chunked| chunked.histogram(Bins::uniform(100, 0.0..=2.0)).map(drop)),
        ("found histogram", 1, |chunked| chunked.histogram(10_000).map(drop)),
        ("central moment", 2, |chunked| chunked.central_moment(4).map(drop)),
        ("argmax", 1, |chunked| chunked.argmax().map(drop)),
        ("each", 1, |chunked| chunked.par_for_each(|_| ())),
        ("columns", 1, |chunked| chunked.axis(Axis(1)).chunk_len(8).par_for_each(|_| ())),
    ];
    for (name, most, call) in calls {
        is_enough(name, most, |memory| call(table.chunked().memory_limit(memory)));
    }
    is_enough("pairs", 1, |memory| {
        table.chunked().and(&*table)?.memory_limit(memory).histogram2d(100, 100).map(drop)
    });
    // More than there can be, in no time.
    for bins in [1 << 20, 1 << 30] {
        let unit = || Bins::uniform(bins, 0.0..=1.0);
        let error = table
            .chunked()
            .and(&*table)
            .unwrap()
            .memory_limit(64 << 20)
            .histogram2d(unit(), unit())
            .unwrap_err();
        assert!(
            matches!(
                error.kind(),
                ErrorKind::MemoryLimitExceeded { .. } | ErrorKind::InvalidBins { .. }
            ),
            "{error}"
        );
    }
    // Of elements of half a page a tile has few.
    let large = MmapArrayMut::<[f64; 256], _>::scratch((128, 128)).unwrap();
    let mut turned = MmapArrayMut::<[f64; 256], _>::scratch((128, 128).f()).unwrap();
    large.chunked().memory_limit(3 << 20).map_into(&mut turned, |&x| x).unwrap();
    let mut turned = MmapArrayMut::<f64, _>::scratch((1 << 18, 8).f()).unwrap();
    is_enough("turn", 1, |memory| {
        table.chunked().memory_limit(memory).map_into(&mut turned, |&x| x)
    });
    assert!(turned.iter().all(|&x| x == 1.0));
    // What is smaller than any window fits where it has room itself.
    let small = MmapArrayMut::<f64, _>::scratch(3_000).unwrap();
    assert_eq!(small.chunked().memory_limit(64 << 10).sum().unwrap(), 0.0);
}

fn is_enough(name: &str, most: usize, mut call: impl FnMut(usize) -> Result<()>) {
    for first in [0, 1, 4096, 1 << 20] {
        let (mut memory, mut steps) = (first, 0);
        while let Err(error) = call(memory) {
            let ErrorKind::MemoryLimitExceeded { needed, limit, .. } = *error.kind() else {
                panic!("{name}: {error}")
            };
            assert_eq!(limit, memory, "{name}");
            assert!(needed > memory && needed < 64 << 20, "{name}: {memory}, then {needed}");
            (memory, steps) = (needed, steps + 1);
            assert!(steps <= most, "{name}: {needed} was not enough from {first} on");
        }
    }
}

/// What `map_into` asks for has room for tiles of 8 KiB, and not for single elements only, of which there would be millions.
#[test]
fn needed_limit_of_map_into_allows_large_tiles() {
    let table = MmapArrayMut::<f64, _>::scratch((1 << 19, 8)).unwrap();
    let mut copy = MmapArrayMut::<f64, _>::scratch((1 << 19, 8)).unwrap();
    // Pages of the two begin at different elements.
    let (from, mut to) = (table.slice(s![3.., ..]), copy.slice_mut(s![..-3, ..]));
    let bytes = from.len() * size_of::<f64>();
    let tiles = AtomicUsize::new(0);
    let count = |_, _| {
        tiles.fetch_add(1, Ordering::Relaxed);
    };
    let mut map = |memory| {
        from.chunked().memory_limit(memory).on_progress(count).map_into(&mut to, |&x| x + 1.0)
    };
    let ErrorKind::MemoryLimitExceeded { needed, .. } = *map(1).unwrap_err().kind() else {
        panic!()
    };
    map(needed).unwrap();
    let tiles = tiles.into_inner();
    assert!(tiles <= bytes / (4 << 10), "{tiles} tiles with {needed} bytes");
    assert_eq!((copy[[0, 0]], copy[[(1 << 19) - 1, 7]]), (1.0, 0.0));
}

#[test]
fn chunked_operation_keeps_edits_of_copy_on_write_array() {
    let dir = dir();
    let path = dir.path().join("table.raw");
    create::<f64, _>(&path, (4, 1 << 20)).unwrap().close().unwrap();
    let mut what_if = cow::<f64, _>(&path, (4, 1 << 20)).unwrap();
    what_if.fill(1.0);
    what_if.chunked_mut().memory_limit(1 << 20).par_for_each(|mut rows| rows += 1.0).unwrap();
    for axis in 0..2 {
        let chunked = what_if.chunked().axis(Axis(axis)).memory_limit(1 << 20);
        assert_eq!(
            chunked.par_map_reduce(|chunk| chunk.sum(), |a, b| a + b).unwrap(),
            Some(f64::from(8 << 20))
        );
    }
    what_if.release().unwrap();
    assert!(what_if.iter().all(|&x| x == 2.0));
    Zip::from(&read::<f64, _>(&path, (4, 1 << 20)).unwrap().view())
        .for_each(|&x| assert_eq!(x, 0.0));
}
