//! Checkpoints of operations on files: what is refused, and what is written again.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
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

/// The file of the first pass of a checkpoint.
fn pass_file(state: &Path) -> PathBuf {
    state.join("pass-0-part-0-of-1")
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
    let before = fs::read(pass_file(&state)).unwrap();
    let error = other(&path, &state).err().expect("an error");
    assert!(matches!(error.kind(), ErrorKind::InvalidState { .. }), "{error}");
    assert_eq!(error.path(), Some(&*pass_file(&state)));
    assert!(error.to_string().contains("remove it to start over"), "{error}");
    assert!(fs::read(pass_file(&state)).unwrap() == before, "the state has changed");
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
        let saved = fs::read(pass_file(state)).unwrap();
        fs::write(pass_file(state), "results of 2026\n").unwrap();
        let result = resume(path, 10, state, |chunked| chunked.std(0.0));
        fs::write(pass_file(state), saved).unwrap();
        result
    });
    assert!(foreign.contains("not a saved state"), "{foreign}");
    let dir = dir();
    let path = counting(&dir, 0, 100_000);
    let state = dir.path().join("state");
    interrupt(open(&path, 10).chunked().checkpoint(&state, Duration::ZERO), 5, |chunked| {
        chunked.quantile(0.5, Default::default())
    });
    let file = pass_file(&state);
    let saved = fs::read(&file).unwrap();
    let median = || resume(&path, 10, &state, |chunked| chunked.quantile(0.5, Default::default()));
    for end in (0..saved.len()).step_by(saved.len() / 40 + 1) {
        fs::write(&file, &saved[..end]).unwrap();
        refused(median(), &file, |kind| matches!(kind, ErrorKind::InvalidState { .. }));
        let mut damaged = saved.clone();
        damaged[end] ^= 1;
        fs::write(&file, &damaged).unwrap();
        refused(median(), &file, |kind| matches!(kind, ErrorKind::InvalidState { .. }));
        assert_eq!(fs::read(&file).unwrap(), damaged);
    }
    fs::write(&file, &saved).unwrap();
    assert_eq!(median().unwrap(), 49_999.5);
}

#[test]
fn state_that_cannot_be_saved_is_an_error() {
    let dir = dir();
    let path = counting(&dir, 0, 100_000);
    refused(resume(&path, 10, &path, |chunked| chunked.sum()), &path, |kind| {
        matches!(kind, ErrorKind::Io { .. })
    });
    let state = dir.path().join("state");
    fs::create_dir_all(pass_file(&state)).unwrap();
    refused(resume(&path, 10, &state, |chunked| chunked.sum()), &pass_file(&state), |kind| {
        matches!(kind, ErrorKind::Io { .. })
    });
}

/// The file of the array is the same, the weights are others.
#[test]
fn other_weights_are_refused() {
    let dir = dir();
    let path = counting(&dir, 0, 100_000);
    let table = open(&path, 10);
    let [ones, twos] = [1.0, 2.0].map(|weight| Array1::from_elem(10_000, weight));
    let state = |name: &str| dir.path().join(name);
    let weighted = |weights: &Array1<f64>| {
        let chunked = table.chunked().checkpoint(state("axis"), Duration::ZERO);
        chunked.weighted_sum_axis(Axis(0), weights)
    };
    assert_eq!(weighted(&ones).unwrap(), table.sum_axis(Axis(0)));
    let error = weighted(&twos).unwrap_err();
    assert!(error.to_string().contains("array in memory has changed"), "{error}");

    let other = dir.path().join("weights.raw");
    fs::copy(&path, &other).unwrap();
    let weighted = |weights: &MmapArray<f64, Ix2>| {
        let chunked = table.chunked().checkpoint(state("all"), Duration::ZERO);
        chunked.weighted_mean(&**weights)
    };
    weighted(&table).unwrap();
    let error = weighted(&open(&other, 10)).unwrap_err();
    assert!(error.to_string().contains("weights.raw"), "{error}");
}

#[test]
fn writable_and_private_mappings_are_refused() {
    let dir = dir();
    let path = counting(&dir, 0, 100_000);
    let state = dir.path().join("state");
    let sum =
        |view: ArrayView<'_, f64, Ix1>| view.chunked().checkpoint(&state, Duration::ZERO).sum();
    let is_unsupported = |kind: &ErrorKind| matches!(kind, ErrorKind::Unsupported { .. });
    refused(sum(write(&path, 100_000).unwrap().view()), &path, is_unsupported);
    refused(sum(cow(&path, 100_000).unwrap().view()), &path, is_unsupported);
    assert_eq!(sum(read(&path, 100_000).unwrap().view()).unwrap(), 4_999_950_000.0);
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

/// A target whose elements were changed is written from the start.
#[test]
fn map_into_a_changed_file_starts_over() {
    let dir = dir();
    let path = counting(&dir, 0, 2_000_000);
    let [out, state] = ["out.npy", "state"].map(|name| dir.path().join(name));
    let options = MmapArrayOptions::new();
    let mut target = create_npy_with::<f64, _>(&options, &out, (200_000, 10)).unwrap();
    double(&path, &state, &mut target, 3);
    target.fill(0.0);
    double(&path, &state, &mut target, usize::MAX);
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

/// Sorted elements, which give brackets that depend on the order of the sample, and enough of them
/// for a sample.
#[test]
fn quantiles_of_parts_on_several_threads() {
    let dir = dir();
    let path = counting(&dir, 0, 4_000_000);
    let table = open(&path, 10);
    for (name, qs) in
        [("few", vec![0.1, 0.5]), ("many", (1..50).map(|i| i as f64 / 50.0).collect())]
    {
        let expected = table.chunked().quantiles(&qs, Default::default()).unwrap();
        let mut complete = 0;
        let mut rounds = 0;
        while complete == 0 {
            rounds += 1;
            for part in 0..3 {
                // The processes of a job have different numbers of threads.
                let result = on_threads(1 + (part + rounds) % 4, || {
                    let chunked = table.chunked().job_part(dir.path().join(name), part, 3);
                    chunked.quantiles(&qs, Default::default())
                });
                match result {
                    Ok(found) => {
                        assert_eq!(found, expected);
                        complete += 1;
                    }
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::PartsMissing { .. }), "{error}")
                    }
                }
            }
        }
        assert!(rounds <= 3, "{rounds} rounds for {name} quantiles");
    }
}

/// A process that is interrupted reads the same sample when it is started again.
#[test]
fn quantiles_resume_on_several_threads() {
    let dir = dir();
    let path = counting(&dir, 0, 4_000_000);
    let state = dir.path().join("state");
    let table = open(&path, 10);
    let chunked = || table.chunked().checkpoint(&state, Duration::ZERO);
    interrupt(chunked(), 200, |chunked| chunked.quantile(0.5, Default::default()));
    let first = AtomicUsize::new(usize::MAX);
    let resumed = chunked().on_progress(|done, _| {
        first.fetch_min(done, Ordering::Relaxed);
    });
    let median = on_threads(3, || resumed.quantile(0.5, Default::default()).unwrap());
    assert_eq!(median, 1_999_999.5);
    assert!(first.into_inner() > 150 * 8_192);
}
