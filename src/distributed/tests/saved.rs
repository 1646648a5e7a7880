//! Operations that are interrupted and resumed, and operations in parts of jobs, against those of
//! one process, bit for bit.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::chunked::ChunkSource;

/// A run of several operations, which a panic interrupts in the middle of a pass.
struct Run<'d> {
    directory: &'d Path,
    /// The number of operations so far, each of which has a state file.
    operations: Cell<usize>,
    /// The number of batches that are processed before the interruption.
    left: Arc<AtomicUsize>,
}

impl Run<'_> {
    fn path(&self) -> PathBuf {
        self.operations.set(self.operations.get() + 1);
        self.directory.join(format!("state-{}", self.operations.get()))
    }

    fn interruptible<'a, P: ChunkSource>(&self, chunked: Chunked<'a, P>) -> Chunked<'a, P> {
        let left = Arc::clone(&self.left);
        chunked.checkpoint(self.path(), Duration::ZERO).on_progress(move |_, _| {
            let one_less = |left: usize| left.checked_sub(1);
            let batch = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
            assert!(batch.is_ok(), "interrupted on purpose");
        })
    }
}

/// Repeats a run until it is complete, and returns its result and the number of interruptions. Each
/// run may process one more batch than the run before.
fn resumed<T>(run: impl Fn(&Run<'_>) -> T) -> (T, usize) {
    let directory = tempfile::tempdir().unwrap();
    for interruptions in 0.. {
        let left = Arc::new(AtomicUsize::new(3 + interruptions));
        let next = Run { directory: directory.path(), operations: Cell::new(0), left };
        if let Ok(result) = catch_unwind(AssertUnwindSafe(|| run(&next))) {
            return (result, interruptions);
        }
    }
    unreachable!("the loop has no end")
}

#[track_caller]
fn check<A: Element, D: Dimension>(view: ArrayView<'_, A, D>, skip_nan: bool, limit: usize) {
    let view = view.into_dyn();
    let weights = view.mapv(|x| if x.is_nan() { 0.5 } else { (x.to_f64() * 7.0).sin().abs() });
    let plain = || chunked(&view, skip_nan).memory_limit(limit);
    let (found, interruptions) = resumed(|run| whole_of(&|| run.interruptible(plain()), &weights));
    assert!(interruptions > 1);
    compare(1, &whole(&chunked(&view, skip_nan), &weights), vec![found]);
    for axis in (0..view.ndim()).map(Axis) {
        let weights = Array1::from_shape_fn(view.len_of(axis), |i| 1.0 + (i % 3) as f64);
        let (found, interruptions) =
            resumed(|run| along_of(&|| run.interruptible(plain()), axis, &weights));
        assert!(interruptions > 1);
        compare(1, &along(&chunked(&view, skip_nan), axis, &weights), vec![found]);
    }
}

#[test]
fn statistics_of_every_shape() {
    check(table((20_000, 6)).view(), false, usize::MAX);
    check(table((6, 20_000)).view(), false, 8 << 20);
    let mut reversed = table((9_000, 20));
    reversed.invert_axis(Axis(0));
    check(reversed.view(), false, usize::MAX);
    let cube = Array3::from_shape_fn((40, 60, 50), |(i, j, k)| noise(3_000 * i + 50 * j + k));
    check(cube.view().permuted_axes([2, 0, 1]), false, 8 << 20);
    check(table((30_000, 5)).mapv(|x| (x * 1000.0) as i16).view(), false, usize::MAX);
    check(table((30_000, 5)).mapv(|x| x as u8).view(), false, usize::MAX);
}

#[test]
fn covariances_are_resumed() {
    let table = table((6, 30_000));
    let (found, interruptions) =
        resumed(|run| run.interruptible(table.chunked()).pearson_correlation().unwrap());
    assert_eq!(found, table.chunked().pearson_correlation().unwrap());
    assert!(interruptions > 1);
}

#[test]
fn ranks_are_resumed() {
    let table = table((40_000, 6)).into_dyn();
    let weights = table.mapv(f64::abs);
    let expected = whole(&table.view().chunked(), &weights);
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let found = ThreadCommunicator::run(3, |world| {
            let operations = Cell::new(0);
            let next = || {
                operations.set(operations.get() + 1);
                let path = directory.path().join(format!("state-{}", operations.get()));
                table.chunked().checkpoint(path, Duration::ZERO).across(world)
            };
            whole_of(&next, &weights)
        });
        compare(3, &expected, found);
    }
    assert!(directory.path().join("state-1/rank-2-of-3/pass-0-part-0-of-1").exists());
}

/// Calls operations as each part of jobs in turn, until all results are complete. Returns the
/// results and the number of rounds.
fn rounds<T>(
    count: usize,
    run: impl Fn(&dyn Fn() -> (PathBuf, usize, usize)) -> Vec<(String, Result<T>)>,
) -> (Vec<(String, Result<T>)>, usize) {
    let directory = tempfile::tempdir().unwrap();
    for round in 1.. {
        // Parts come in another order in each round.
        for part in (0..count).map(|part| (part + round) % count) {
            let operations = Cell::new(0);
            let results = run(&|| {
                operations.set(operations.get() + 1);
                (directory.path().join(format!("job-{}", operations.get())), part, count)
            });
            let is_missing = |error: &Error| match error.kind() {
                ErrorKind::PartsMissing { missing, count: all, .. } => {
                    assert!(*all == count && !missing.contains(&part), "{error} in part {part}");
                    true
                }
                _ => false,
            };
            if !results.iter().any(|(_, result)| result.as_ref().is_err_and(is_missing)) {
                return (results, round);
            }
        }
    }
    unreachable!("the loop has no end")
}

#[track_caller]
fn check_parts<A: Element, D: Dimension>(view: ArrayView<'_, A, D>, skip_nan: bool) {
    let view = view.into_dyn();
    let weights = view.mapv(|x| if x.is_nan() { 0.5 } else { (x.to_f64() * 7.0).sin().abs() });
    let plain = || chunked(&view, skip_nan);
    for count in [1, 2, 5] {
        let (found, passes) = rounds(count, |job| {
            let chunked = || {
                let (directory, part, count) = job();
                plain().job_part(directory, part, count)
            };
            whole_of(&chunked, &weights)
        });
        compare(1, &whole(&plain(), &weights), vec![found]);
        assert!(passes <= 4, "{passes} rounds");
        for axis in (0..view.ndim()).map(Axis) {
            let weights = Array1::from_shape_fn(view.len_of(axis), |i| 1.0 + (i % 3) as f64);
            let (found, passes) = rounds(count, |job| {
                let chunked = || {
                    let (directory, part, count) = job();
                    plain().job_part(directory, part, count)
                };
                along_of(&chunked, axis, &weights)
            });
            compare(1, &along(&plain(), axis, &weights), vec![found]);
            // Each part runs once, the last one of which has all results.
            assert_eq!(passes, 1);
        }
    }
}

#[test]
fn parts_of_jobs() {
    check_parts(table((20_000, 6)).view(), false);
    check_parts(table((6, 20_000)).view(), false);
    let mut with_nan = table((9_000, 20));
    with_nan.iter_mut().step_by(97).for_each(|x| *x = f64::NAN);
    check_parts(with_nan.t(), true);
    check_parts(table((30_000, 5)).mapv(|x| (x * 1000.0) as i16).view(), false);
    check_parts(Array2::<f64>::zeros((0, 3)).view(), false);
    let table = table((6, 30_000));
    let (found, passes) = rounds(3, |job| {
        let (directory, part, count) = job();
        vec![("cov".into(), table.chunked().job_part(directory, part, count).cov(1.0))]
    });
    assert_eq!(*found[0].1.as_ref().unwrap(), table.chunked().cov(1.0).unwrap());
    assert_eq!(passes, 1);
}
