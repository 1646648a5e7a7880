//! Files that other programs truncate while they are mapped.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use ndarray::prelude::*;
use ndarray_mmap::{ErrorKind, MmapArrayOptions, Result, prelude::*};

use super::child::{Child, End, is_alone, listen, say, task};
use super::{random, rounds};
use crate::support::*;

const LEN: usize = 1 << 20;
const CHUNK: usize = 16 << 10;

/// Ones, 4 MiB of them.
fn make(path: &Path) {
    fs::write(path, bytemuck::cast_slice(&vec![1_u32; LEN])).unwrap();
}

fn writer(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

fn has_shrunk<T>(result: Result<T>) -> bool {
    result.is_err_and(|error| matches!(error.kind(), ErrorKind::FileTruncated { .. }))
}

/// No signal is raised for a truncation between two chunks, for any operation, chunk size and end of
/// the file.
#[test]
fn truncation_between_chunks_is_an_error() {
    if !is_alone("faults::truncated::truncation_between_chunks_is_an_error") {
        return;
    }
    let dir = dir();
    let (path, target) = (dir.path().join("cut.raw"), dir.path().join("target.raw"));
    let mut random = random(1);
    for round in 0..rounds(1_000) {
        make(&path);
        let file = writer(&path);
        // Of 1, 8 or 64 KiB.
        let chunk_len = CHUNK >> (round % 3 * 3);
        // After some chunk, anywhere.
        let (at, len) = (random(LEN / chunk_len), random(LEN * 4));
        let cut = |chunk: usize| {
            if chunk == at {
                file.set_len(len as u64).unwrap();
            }
        };
        // What comes after it is not to be seen any more.
        let seen = AtomicUsize::new(0);
        let number = |region: &ndarray_mmap::ChunkRegion<Ix1>| {
            assert_eq!(seen.fetch_add(1, Ordering::Relaxed), region.index(), "round {round}");
            region.index()
        };
        let result = match round % 10 {
            0 => {
                let array = read::<u32, _>(&path, LEN).unwrap();
                let mut sum = 0_u64;
                let operation =
                    array.chunked().chunk_len(chunk_len).memory_limit(16 << 20).indexed();
                // Not printed by the hundred; no other test is in this process.
                let hook = std::panic::take_hook();
                std::panic::set_hook(Box::new(|_| {}));
                let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    operation.into_iter().for_each(|(region, chunk)| {
                        sum += chunk.iter().map(|&x| u64::from(x)).sum::<u64>();
                        cut(number(&region));
                    });
                }));
                std::panic::set_hook(hook);
                // An iterator has no other way to tell.
                let message = caught.expect_err("whole").downcast::<String>().unwrap();
                assert!(message.contains("was truncated while open"), "{message}");
                assert_eq!(sum, (chunk_len * (at + 1)) as u64);
                continue;
            }
            1..4 => {
                let array = read::<u32, _>(&path, LEN).unwrap();
                one_at_a_time(|| {
                    array.chunked().chunk_len(chunk_len).indexed().par_for_each(
                        |(region, chunk)| {
                            assert_eq!(
                                chunk.iter().map(|&x| u64::from(x)).sum::<u64>(),
                                chunk_len as u64
                            );
                            cut(number(&region));
                        },
                    )
                })
            }
            4..7 => {
                let mut array = write::<u32, _>(&path, LEN).unwrap();
                one_at_a_time(|| {
                    array.chunked_mut().chunk_len(chunk_len).indexed().par_for_each(
                        |(region, mut chunk)| {
                            chunk.fill(2);
                            cut(number(&region));
                        },
                    )
                })
            }
            _ => {
                let array = cow::<u32, _>(&path, LEN).unwrap();
                let mut out = create::<u32, _>(&target, LEN).unwrap();
                one_at_a_time(|| {
                    array.chunked().chunk_len(chunk_len).indexed().par_for_each_into(
                        &mut out,
                        |(region, chunk), mut out| {
                            out.assign(&chunk);
                            cut(number(&region));
                        },
                    )
                })
            }
        };
        assert!(has_shrunk(result), "round {round}: cut to {len} bytes after chunk {at}");
        assert_eq!(seen.into_inner(), at + 1, "round {round}: chunks of {chunk_len} elements");
    }
}

/// The files of all zipped arrays are checked, and so is the whole span of a column.
#[test]
fn truncation_between_chunks_of_several_arrays_is_an_error() {
    if !is_alone("faults::truncated::truncation_between_chunks_of_several_arrays_is_an_error") {
        return;
    }
    let dir = dir();
    let [small, large] = ["small", "large"].map(|name| dir.path().join(name));
    fs::write(&small, vec![1_u8; LEN]).unwrap();
    fs::write(&large, bytemuck::cast_slice(&vec![1_f64; LEN])).unwrap();
    let (a, b) = (read::<u8, _>(&small, LEN).unwrap(), read::<f64, _>(&large, LEN).unwrap());
    let table = read::<f64, _>(&large, (1 << 10, 1 << 10)).unwrap();
    // Pages that were prefaulted are not prefaulted again, so only the file size shows it.
    a.chunked().sum().unwrap();
    b.chunked().sum().unwrap();
    // Wherever it ends then.
    for (path, left) in
        [(&small, 0), (&small, LEN - 1), (&large, 0), (&large, LEN * 4), (&large, LEN * 8 - 1)]
    {
        let whole = fs::read(path).unwrap();
        let cut = |number: usize| {
            assert_eq!(number, 0, "a chunk after the file was cut");
            writer(path).set_len(left as u64).unwrap();
        };
        // The same file.
        let grow = || fs::write(path, &whole).unwrap();
        for chunk_len in [1, 100, 32 << 10] {
            let side_by_side = a.chunked().and(&b).unwrap().chunk_len(chunk_len).indexed();
            assert!(has_shrunk(one_at_a_time(|| side_by_side.par_for_each(|(region, (a, b))| {
                assert_eq!(
                    (a.iter().map(|&x| usize::from(x)).sum(), b.sum()),
                    (chunk_len, chunk_len as f64)
                );
                cut(region.index());
            }))));
            grow();
        }
        if path == &small {
            continue;
        }
        for axis in [Axis(0), Axis(1)] {
            let lanes = table.chunked().axis(axis).chunk_len(1).indexed();
            assert!(has_shrunk(one_at_a_time(|| lanes.par_for_each(|(region, lane)| {
                assert_eq!((lane.len(), lane.sum()), (1 << 10, 1024.0));
                cut(region.index());
            }))));
            grow();
        }
    }
}

/// `try_iter` yields an error where `for` panics; after the last chunk too.
#[test]
fn iterators_report_truncation() {
    if !is_alone("faults::truncated::iterators_report_truncation") {
        return;
    }
    let dir = dir();
    let path = dir.path().join("cut.raw");
    let ends = |chunk_len| [(chunk_len, 0), (chunk_len, LEN / chunk_len - 1)];
    for (chunk_len, at) in [CHUNK, 256].into_iter().flat_map(ends) {
        make(&path);
        let array = read::<u32, _>(&path, LEN).unwrap();
        let mut chunks = array.chunked().chunk_len(chunk_len).try_iter().unwrap();
        let mut seen = 0;
        let error = loop {
            match chunks.next() {
                Some(Ok(chunk)) => assert_eq!(chunk.sum(), chunk_len as u32),
                None => panic!("all was well with a file that had been cut"),
                Some(Err(error)) => break error,
            }
            if seen == at {
                writer(&path).set_len(at as u64 * 4 * chunk_len as u64 + 1).unwrap();
            }
            seen += 1;
        };
        assert!(
            matches!(error.kind(), ErrorKind::FileTruncated { .. }) && seen == at + 1,
            "{seen}: {error}"
        );
    }
}

/// A copy is complete, or an error; and no file is made.
#[test]
fn truncated_file_is_not_saved() {
    if !is_alone("faults::truncated::truncated_file_is_not_saved") {
        return;
    }
    let dir = dir();
    let [path, copy] = ["cut.raw", "copy.npy"].map(|name| dir.path().join(name));
    // In the page where the file ends there would be no signal.
    for (len, left) in [(400, 250), (LEN, 1_000), (LEN, LEN - 1)] {
        fs::write(&path, bytemuck::cast_slice(&vec![1_u32; len])).unwrap();
        let array = write::<u32, _>(&path, len).unwrap();
        writer(&path).set_len(left as u64 * 4).unwrap();
        assert!(has_shrunk(array.to_scratch().map(drop)));
        // SAFETY: this test alone uses the directory.
        assert!(has_shrunk(unsafe { array.to_mmap(&copy) }.map(drop)));
        // SAFETY: as above.
        assert!(has_shrunk(unsafe { array.to_mmap_npy(&copy) }.map(drop)));
        assert_eq!(names(&dir), ["cut.raw"]);
    }
}

/// On the one thread of a pool, so that no other chunk is at work when the file is cut.
fn one_at_a_time(operation: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    #[cfg(feature = "rayon")]
    return rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(operation);
    #[cfg(not(feature = "rayon"))]
    operation()
}

/// Another process cuts the file at any time. What is whole is right, what is not is an error, and only in between, while a
/// chunk is being worked on, a signal may come. How often it does is printed.
#[test]
fn truncate_during_pass_never_returns_wrong_ok() {
    let dir = dir();
    let path = dir.path().join("cut.raw");
    for kind in ["read", "write", "into", "statistics", "flush"] {
        let mut random = random(2);
        let (mut whole, mut told, mut signals) = (0, 0, 0);
        let mut child = None;
        // As long as the last one took.
        let mut typical = 1_000;
        for _ in 0..rounds(1_000) {
            make(&path);
            let file = writer(&path);
            let process = child.get_or_insert_with(|| {
                Child::start(
                    "faults::truncated::child_runs_operation_or_flush",
                    &[kind, path.to_str().unwrap()],
                )
            });
            process.tell("go");
            assert_eq!(process.hear().as_deref(), Some("mapped"), "{kind}");
            std::thread::sleep(Duration::from_micros(random(typical * 3 / 2) as u64));
            let before = now();
            file.set_len(random(LEN * 4) as u64).unwrap();
            let after = now();
            let Some(outcome) = process.hear() else {
                let (end, said) = child.take().unwrap().end();
                assert_eq!(end, End::BUS_ERROR, "{kind}: {said:?}");
                assert!(kind != "flush", "a signal where nothing is touched");
                signals += 1;
                continue;
            };
            let [outcome, begun, ended] =
                outcome.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
            let (begun, ended): (u128, u128) = (begun.parse().unwrap(), ended.parse().unwrap());
            typical = ((ended - begun) / 1_000) as usize;
            match outcome {
                "whole" => {
                    assert!(begun < after, "{kind}: all was well with a file that had been cut");
                    whole += 1;
                }
                "cut" => {
                    assert!(before < ended, "{kind}: a file that was whole was called cut");
                    told += 1;
                }
                other => panic!("{kind}: {other}"),
            }
        }
        if let Some(mut child) = child {
            child.tell("");
            assert_eq!(child.end(), (End::SUCCESS, vec![]), "{kind}");
        }
        assert!(
            rounds(1_000) < 50 || told > 0 && whole > 0,
            "{kind}: {whole} times whole, {told} times an error"
        );
        println!("{kind}: {whole} times whole, {told} times an error, {signals} times a signal");
    }
}

fn now() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_runs_operation_or_flush() {
    let [kind, path] = task().try_into().unwrap();
    let path = Path::new(&path);
    let no_lock = MmapArrayOptions::new();
    while listen().is_some_and(|line| line == "go") {
        // Mapped before the file is cut: opening a short file is another error.
        let mut begun = 0;
        let mut begin = || {
            say("mapped");
            begun = now();
        };
        let result = match &*kind {
            "read" => {
                let array = read_with::<u32, _>(&no_lock, path, LEN).unwrap();
                begin();
                let sum = array.chunked().chunk_len(CHUNK).par_map_reduce(
                    |chunk| chunk.iter().map(|&x| u64::from(x)).sum::<u64>(),
                    |a, b| a + b,
                );
                sum.map(|sum| assert_eq!(sum, Some(LEN as u64)))
            }
            "write" => {
                let mut array = write_with::<u32, _>(&no_lock, path, LEN).unwrap();
                begin();
                array.chunked_mut().chunk_len(CHUNK).par_for_each(|mut chunk| chunk.fill(2))
            }
            "into" => {
                let array = read_with::<u32, _>(&no_lock, path, LEN).unwrap();
                let mut copy = Array1::<u32>::zeros(LEN);
                begin();
                let result = array.chunked().memory_limit(16 << 20).map_into(&mut copy, |&x| x);
                result.map(|()| assert!(copy.iter().all(|&x| x == 1)))
            }
            "statistics" => {
                let array = read_with::<u32, _>(&no_lock, path, (1 << 10, 1 << 10)).unwrap();
                begin();
                let chunked = || array.chunked();
                chunked().summary().and_then(|summary| {
                    assert_eq!((summary.min, summary.max), (1, 1));
                    assert!(chunked().mean_axis(Axis(0))?.iter().all(|&mean| mean == 1.0));
                    assert_eq!(
                        chunked().quantile(0.5, ndarray_mmap::stats::Interpolation::Nearest)?,
                        1
                    );
                    Ok(())
                })
            }
            _ => {
                let mut array = write_with::<u32, _>(&no_lock, path, LEN).unwrap();
                array.fill(3);
                begin();
                array.flush()
            }
        };
        let outcome = match result {
            Ok(()) => "whole",
            Err(error) if matches!(error.kind(), ErrorKind::FileTruncated { .. }) => "cut",
            Err(error) => panic!("{error}"),
        };
        let ended = now();
        say(&format!("{outcome} {begun} {ended}"));
    }
}

/// A file that is truncated and grown again contains zeros, and no error is reported, because its length
/// is right. This limitation is documented.
#[test]
fn truncated_and_grown_file_reads_as_zeros() {
    let dir = dir();
    let path = dir.path().join("cut.raw");
    make(&path);
    let array = read::<u32, _>(&path, LEN).unwrap();
    let file = writer(&path);
    let (cut, mut sum) = (LEN / 2, 0_u64);
    for (region, chunk) in array.chunked().chunk_len(CHUNK).indexed() {
        if region.origin()[0] == 0 {
            file.set_len(cut as u64 * 4).unwrap();
            file.set_len(LEN as u64 * 4).unwrap();
        }
        sum += chunk.iter().map(|&x| u64::from(x)).sum::<u64>();
    }
    assert_eq!(sum, cut as u64);
}
