//! Work on all threads. The only file that knows whether there is more than one.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many threads there are to work.
pub(crate) fn threads() -> usize {
    #[cfg(feature = "rayon")]
    if has_pool() {
        return rayon::current_num_threads();
    }
    1
}

/// Is there a pool of threads? Where the system gives a process no more threads, rayon would panic.
#[cfg(feature = "rayon")]
fn has_pool() -> bool {
    static GLOBAL: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        // That it has been built before is the one error without a source.
        let built = rayon::ThreadPoolBuilder::new().build_global();
        built.err().is_none_or(|error| std::error::Error::source(&error).is_none())
    });
    rayon::current_thread_index().is_some() || *GLOBAL
}

/// Calls `work` for every item, on up to `max_concurrency` threads of the current rayon pool, which claim the items in order.
///
/// After an error or a panic no more items are claimed. Those claimed before are finished, so that the error returned is
/// that of the first item with one.
pub(crate) fn try_for_each<I, E>(
    items: I,
    max_concurrency: usize,
    work: impl Fn(I::Item) -> Result<(), E> + Sync,
) -> Result<(), E>
where
    I: Iterator + Send,
    I::Item: Send,
    E: Send,
{
    if max_concurrency <= 1 || threads() == 1 {
        return items.into_iter().try_for_each(work);
    }
    let items = Mutex::new(items.enumerate());
    let first_error = Mutex::new(None::<(usize, E)>);
    let stop = AtomicBool::new(false);
    spread(max_concurrency, || {
        let stop_on_panic = OnUnwind(&stop);
        loop {
            let claimed = {
                let mut items = locked(&items);
                if stop.load(Ordering::Relaxed) { None } else { items.next() }
            };
            let Some((number, item)) = claimed else { break };
            if let Err(error) = work(item) {
                stop.store(true, Ordering::Relaxed);
                let mut first = locked(&first_error);
                if first.as_ref().is_none_or(|&(earlier, _)| number < earlier) {
                    *first = Some((number, error));
                }
            }
        }
        std::mem::forget(stop_on_panic);
    });
    match first_error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Runs the same on several threads.
#[cfg(feature = "rayon")]
fn spread(max_concurrency: usize, run: impl Fn() + Sync) {
    rayon::scope(|scope| {
        for _ in 0..max_concurrency.min(threads()) {
            scope.spawn(|_| run());
        }
    });
}

#[cfg(not(feature = "rayon"))]
fn spread(_at_once: usize, run: impl Fn()) {
    run();
}

/// Tells the other threads to stop, if dropped.
struct OnUnwind<'a>(&'a AtomicBool);

impl Drop for OnUnwind<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A panic in a closure ends the walk through rayon or the stack; what a lock held is not looked at after that.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
