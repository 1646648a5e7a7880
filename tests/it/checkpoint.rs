//! Checkpoints of operations on files: what is refused, and what is written again.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use ndarray::prelude::*;
use ndarray_mmap::stats::Moments;
use ndarray_mmap::{
    Accumulator, Chunked, ErrorKind, MmapArray, MmapArrayMut, MmapArrayOptions, Result, prelude::*,
};

use crate::support::*;

type Rows<'a> = Chunked<'a, ArrayView<'a, f64, Ix2>>;

/// Runs an operation that a panic interrupts after a number of batches.
fn interrupt<T>(chunked: Rows<'_>, batches: usize, run: impl FnOnce(Rows<'_>) -> Result<T>) {
    let done = AtomicUsize::new(0);
    let chunked = chunked.on_progress(move |_, _| {
        assert!(done.fetch_add(1, Ordering::Relaxed) < batches, "interrupted on purpose");
    });
    assert!(catch_unwind(AssertUnwindSafe(|| run(chunked))).is_err());
}

fn open(path: &Path, columns: usize) -> MmapArray<f64, Ix2> {
    let len = fs::metadata(path).unwrap().len() as usize / 8;
    read(path, (len / columns, columns)).unwrap()
}

/// Saves the state of an interrupted `std` of a file, and returns the reason for which another
/// operation is refused.
#[track_caller]
fn reason<T>(other: impl FnOnce(&Path, &Path) -> Result<T>) -> String {
    let dir = dir();
    let path = counting(&dir, 0, 100_000);
    let state = dir.path().join("std.state");
    let table = open(&path, 10);
    interrupt(table.chunked().checkpoint(&state, Duration::ZERO), 5, |chunked| chunked.std(0.0));
    drop(table);
    let before = fs::read(&state).unwrap();
    let error = other(&path, &state).err().expect("an error");
    assert!(matches!(error.kind(), ErrorKind::InvalidState { .. }), "{error}");
    assert_eq!(error.path(), Some(&*state));
    assert!(error.to_string().contains("remove it to start over"), "{error}");
    if fs::read(&path).is_ok_and(|bytes| bytes.len() >= 800_000) {
        let start_over = |path: &Path| {
            fs::remove_file(&state).unwrap();
            open(path, 10).chunked().checkpoint(&state, Duration::ZERO).std(0.0)
        };
        let same = fs::read(&state).unwrap() == before;
        assert_eq!(start_over(&path).unwrap(), open(&path, 10).chunked().std(0.0).unwrap());
        assert!(same, "the state has changed");
    }
    error.to_string()
}

fn resume<T>(
    path: &Path,
    columns: usize,
    state: &Path,
    run: impl FnOnce(Rows<'_>) -> Result<T>,
) -> Result<T> {
    run(open(path, columns).chunked().checkpoint(state, Duration::ZERO))
}

#[test]
fn another_operation_is_refused() {
    let reason = reason(|path, state| resume(path, 10, state, |chunked| chunked.mean()));
    assert!(reason.contains("expected the state of `sum` or `mean` of f64"), "{reason}");
    assert!(reason.contains("found that of `var` or `std` of f64"), "{reason}");
}

#[test]
fn another_shape_is_refused() {
    let reason = reason(|path, state| resume(path, 20, state, |chunked| chunked.std(0.0)));
    assert!(reason.contains("(5000, 20)") && reason.contains("(10000, 10)"), "{reason}");
}

#[test]
fn another_file_is_refused() {
    let reason = reason(|path, state| {
        let copy = path.with_extension("copy");
        fs::copy(path, &copy).unwrap();
        resume(&copy, 10, state, |chunked| chunked.std(0.0))
    });
    assert!(reason.contains("counting.copy") && reason.contains("counting.raw"), "{reason}");
}

#[test]
fn modified_file_is_refused() {
    let reason = reason(|path, state| {
        let later = SystemTime::now() + Duration::from_secs(5);
        fs::File::options().write(true).open(path).unwrap().set_modified(later).unwrap();
        resume(path, 10, state, |chunked| chunked.std(0.0))
    });
    assert!(reason.contains("counting.raw` has changed"), "{reason}");
}

#[test]
fn longer_file_is_refused() {
    let reason = reason(|path, state| {
        let file = fs::File::options().append(true).open(path).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_len(800_008).unwrap();
        file.set_modified(modified).unwrap();
        let table = read::<f64, _>(path, (10_000, 10)).unwrap();
        table.chunked().checkpoint(state, Duration::ZERO).std(0.0)
    });
    assert!(reason.contains("it has 800008 bytes"), "{reason}");
}

#[test]
fn another_view_is_refused() {
    let reason = reason(|path, state| {
        let table = open(path, 10);
        table.t().chunked().checkpoint(state, Duration::ZERO).std(0.0)
    });
    assert!(reason.contains("(10, 10000)"), "{reason}");
}

#[test]
fn damaged_and_foreign_files_are_refused() {
    let foreign = reason(|path, state| {
        let saved = fs::read(state).unwrap();
        fs::write(state, "results of 2026\n").unwrap();
        let result = resume(path, 10, state, |chunked| chunked.std(0.0));
        fs::write(state, saved).unwrap();
        result
    });
    assert!(foreign.contains("not a saved state"), "{foreign}");
    let dir = dir();
    let path = counting(&dir, 0, 100_000);
    let state = dir.path().join("state");
    interrupt(open(&path, 10).chunked().checkpoint(&state, Duration::ZERO), 5, |chunked| {
        chunked.quantile(0.5, Default::default())
    });
    let saved = fs::read(&state).unwrap();
    let median = |state: &Path| {
        resume(&path, 10, state, |chunked| chunked.quantile(0.5, Default::default()))
    };
    for end in (0..saved.len()).step_by(saved.len() / 40 + 1) {
        fs::write(&state, &saved[..end]).unwrap();
        refused(median(&state), &state, |kind| matches!(kind, ErrorKind::InvalidState { .. }));
        let mut damaged = saved.clone();
        damaged[end] ^= 1;
        fs::write(&state, &damaged).unwrap();
        refused(median(&state), &state, |kind| matches!(kind, ErrorKind::InvalidState { .. }));
        assert_eq!(fs::read(&state).unwrap(), damaged);
    }
    fs::write(&state, &saved).unwrap();
    assert_eq!(median(&state).unwrap(), 49_999.5);
}

#[test]
fn state_that_cannot_be_saved_is_an_error() {
    let dir = dir();
    let path = counting(&dir, 0, 100_000);
    let state = dir.path().join("missing").join("state");
    refused(resume(&path, 10, &state, |chunked| chunked.sum()), &state, |kind| {
        matches!(kind, ErrorKind::Io { .. })
    });
    refused(resume(&path, 10, dir.path(), |chunked| chunked.sum()), dir.path(), |kind| {
        matches!(kind, ErrorKind::Io { .. })
    });
}

#[test]
fn partitions_and_accumulators_without_a_state_are_refused() {
    struct Count(usize);
    impl Accumulator<f64> for Count {
        fn push(&mut self, _: &f64) {
            self.0 += 1;
        }
        fn merge(&mut self, other: Self) {
            self.0 += other.0;
        }
    }
    let dir = dir();
    let state = dir.path().join("state");
    let table = Array2::<f64>::zeros((10_000, 10));
    let chunked = || table.chunked().checkpoint(&state, Duration::ZERO);
    let is_unsupported = |kind: &ErrorKind| matches!(kind, ErrorKind::Unsupported { .. });
    assert!(is_unsupported(chunked().partition(0, 2).sum().unwrap_err().kind()));
    let error = chunked().accumulate(|| Count(0)).err().unwrap();
    assert!(is_unsupported(error.kind()), "{error}");
    let mut target = Array2::zeros((10_000, 10));
    let error = chunked().map_into(&mut target, |x| x + 1.0).unwrap_err();
    assert!(is_unsupported(error.kind()), "{error}");
    let mut scratch = MmapArrayMut::<f64, _>::scratch((10_000, 10)).unwrap();
    let error = chunked().map_into(&mut scratch, |x| x + 1.0).unwrap_err();
    assert!(is_unsupported(error.kind()), "{error}");
}

#[test]
fn complete_state_gives_the_result_without_a_pass() {
    let dir = dir();
    let path = counting(&dir, 0, 200_000);
    let state = dir.path().join("state");
    let moments = |progress: &AtomicUsize| {
        let table = open(&path, 10);
        let chunked = table.chunked().checkpoint(&state, Duration::ZERO);
        let chunked = chunked.on_progress(|_, _| {
            progress.fetch_add(1, Ordering::Relaxed);
        });
        chunked.accumulate(Moments::<4>::new).unwrap()
    };
    let [first, second] = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let expected = open(&path, 10).chunked().accumulate(Moments::<4>::new).unwrap();
    let bits = |moments: &Moments<4>| [moments.mean(), moments.var(0.0)].map(f64::to_bits);
    assert_eq!(bits(&moments(&first)), bits(&expected));
    assert_eq!(bits(&moments(&second)), bits(&expected));
    assert!(first.into_inner() > 0);
    assert_eq!(second.into_inner(), 0);
}

#[test]
fn progress_continues_where_it_was() {
    let dir = dir();
    let path = counting(&dir, 0, 400_000);
    let state = dir.path().join("state");
    let table = open(&path, 10);
    let chunked = || table.chunked().checkpoint(&state, Duration::ZERO);
    interrupt(chunked(), 20, |chunked| chunked.sum());
    let first = AtomicUsize::new(usize::MAX);
    let last = AtomicUsize::new(0);
    let resumed = chunked().on_progress(|done, all| {
        first.fetch_min(done, Ordering::Relaxed);
        last.fetch_max(done, Ordering::Relaxed);
        assert_eq!(all, 400_000);
    });
    assert_eq!(resumed.sum().unwrap(), table.chunked().sum().unwrap());
    // 20 blocks of 64 KiB were saved.
    assert!(first.into_inner() > 20 * 8_192);
    assert_eq!(last.into_inner(), 400_000);
}

/// Doubles a table in a file, with or without an interruption. Returns the number of batches.
fn double(path: &Path, state: &Path, target: &mut MmapArrayMut<f64, Ix2>, batches: usize) -> usize {
    let table = open(path, 10);
    let done = AtomicUsize::new(0);
    let chunked = table.chunked().memory_limit(4 << 20).checkpoint(state, Duration::ZERO);
    let chunked = chunked.on_progress(|_, _| {
        assert!(done.fetch_add(1, Ordering::Relaxed) < batches, "interrupted on purpose");
    });
    let _ = catch_unwind(AssertUnwindSafe(|| chunked.map_into(target, |x| 2.0 * x).unwrap()));
    done.into_inner()
}

#[test]
fn map_into_continues_after_the_tiles_that_are_in_the_file() {
    let dir = dir();
    let path = counting(&dir, 0, 2_000_000);
    let [out, state] = ["out.npy", "state"].map(|name| dir.path().join(name));
    let options = MmapArrayOptions::new();
    let mut target = create_npy_with::<f64, _>(&options, &out, (200_000, 10)).unwrap();
    assert_eq!(double(&path, &state, &mut target, 3), 4);
    drop(target);
    let mut target = write_npy_with::<f64, Ix2>(&options, &out).unwrap();
    let rest = double(&path, &state, &mut target, usize::MAX);
    let whole = double(&path, &dir.path().join("other"), &mut target, usize::MAX);
    assert!((1..whole).contains(&rest), "{rest} of {whole}");
    assert!(target.iter().enumerate().all(|(index, &x)| x == 2.0 * index as f64));
}

/// A target that was created again is written from the start.
#[test]
fn map_into_a_new_file_starts_over() {
    let dir = dir();
    let path = counting(&dir, 0, 2_000_000);
    let [out, state] = ["out.npy", "state"].map(|name| dir.path().join(name));
    for removes in [false, true] {
        for batches in [3, usize::MAX] {
            if removes && out.exists() {
                fs::remove_file(&out).unwrap();
            }
            let options = MmapArrayOptions::new();
            let mut target = create_npy_with::<f64, _>(&options, &out, (200_000, 10)).unwrap();
            double(&path, &state, &mut target, batches);
            if batches == usize::MAX {
                assert!(target.iter().enumerate().all(|(index, &x)| x == 2.0 * index as f64));
            }
        }
    }
}
