//! Parallel execution on several threads. No other module depends on the feature `rayon` for it.
#![forbid(unsafe_code)]

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Returns the number of threads of the current rayon pool; 1 without the feature `rayon`.
pub(crate) fn threads() -> usize {
    #[cfg(feature = "rayon")]
    if has_pool() {
        return rayon::current_num_threads();
    }
    1
}

/// Returns whether a thread pool is available. Rayon panics if it cannot start threads.
#[cfg(feature = "rayon")]
fn has_pool() -> bool {
    static GLOBAL: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        // A pool that was built before is the only error without a source.
        let built = rayon::ThreadPoolBuilder::new().build_global();
        built.err().is_none_or(|error| std::error::Error::source(&error).is_none())
    });
    rayon::current_thread_index().is_some() || *GLOBAL
}

/// Calls `work` for every item, on up to `max_concurrency` threads of the current rayon pool, which
/// claim the items in order.
///
/// No more items are claimed after an error or a panic. Items claimed before are finished, so that
/// the error of the first failing item is returned.
///
/// The parameters are trait objects, so that this function is compiled once for each type of item
/// and not for each closure.
pub(crate) fn try_for_each<T: Send, E: Send>(
    items: &mut (dyn Iterator<Item = T> + Send),
    max_concurrency: usize,
    work: &(dyn Fn(T) -> Result<(), E> + Sync),
) -> Result<(), E> {
    if max_concurrency <= 1 || threads() == 1 {
        for item in items {
            work(item)?;
        }
        return Ok(());
    }
    let items = Mutex::new(items.enumerate());
    let first_error = Mutex::new(None::<(usize, E)>);
    let stop = AtomicBool::new(false);
    run_on_threads(max_concurrency, &stop, &|| {
        let claimed = {
            let mut items = lock(&items);
            if stop.load(Ordering::Relaxed) { None } else { items.next() }
        };
        let Some((index, item)) = claimed else { return ControlFlow::Break(()) };
        if let Err(error) = work(item) {
            stop.store(true, Ordering::Relaxed);
            let mut first = lock(&first_error);
            if first.as_ref().is_none_or(|&(earlier, _)| index < earlier) {
                *first = Some((index, error));
            }
        }
        ControlFlow::Continue(())
    });
    match first_error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Calls `step` on several threads, repeatedly until it breaks. This function is not generic, so
/// that a program compiles rayon's scope once and not for each statistic.
fn run_on_threads(
    max_concurrency: usize,
    stop: &AtomicBool,
    step: &(dyn Fn() -> ControlFlow<()> + Sync),
) {
    let run = || {
        let stop_on_panic = StopOnPanic(stop);
        while step().is_continue() {}
        std::mem::forget(stop_on_panic);
    };
    #[cfg(feature = "rayon")]
    rayon::scope(|scope| {
        for _ in 0..max_concurrency.min(threads()) {
            scope.spawn(|_| run());
        }
    });
    #[cfg(not(feature = "rayon"))]
    {
        let _ = max_concurrency;
        run();
    }
}

/// Stops the other threads when it is dropped by a panic.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Locks a mutex, ignoring poisoning. A panic in a closure propagates through rayon or the stack,
/// so the contents of a poisoned lock are not used after it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
