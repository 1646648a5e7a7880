//! Chunks on all threads. The only file that knows whether there is more than one.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Calls `work` for every item. Threads of the current rayon pool claim the items in order.
#[cfg(feature = "rayon")]
pub(super) fn for_each<I>(items: I, work: impl Fn(I::Item) + Sync)
where
    I: Iterator + Send,
    I::Item: Send,
{
    let items = Mutex::new(items.fuse());
    let claim = || locked(&items).next();
    rayon::scope(|scope| {
        for _ in 0..rayon::current_num_threads() {
            scope.spawn(|_| {
                while let Some(item) = claim() {
                    work(item);
                }
            });
        }
    });
}

/// Calls `work` for every item, in order.
#[cfg(not(feature = "rayon"))]
pub(super) fn for_each<I>(items: I, work: impl Fn(I::Item) + Sync)
where
    I: Iterator + Send,
    I::Item: Send,
{
    items.for_each(work);
}

/// Maps every item and reduces the results from left to right, in the order of the items whatever the threads do.
pub(super) fn map_reduce<I, T>(
    items: I,
    map: impl Fn(I::Item) -> T + Sync,
    reduce: impl Fn(T, T) -> T + Sync,
) -> Option<T>
where
    I: Iterator + Send,
    I::Item: Send,
    T: Send,
{
    let reduced = Mutex::new(InOrder { next: 0, total: None, early: BTreeMap::new() });
    for_each(items.enumerate(), |(number, item)| {
        let result = map(item);
        locked(&reduced).add(number, result, &reduce);
    });
    reduced.into_inner().unwrap_or_else(PoisonError::into_inner).total
}

/// A panic in a closure ends the walk through rayon or the stack; what a lock held is not looked at after that.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reduction that takes results in any order and uses them in theirs.
struct InOrder<T> {
    next: usize,
    total: Option<T>,
    early: BTreeMap<usize, T>,
}

impl<T> InOrder<T> {
    fn add(&mut self, number: usize, result: T, reduce: impl Fn(T, T) -> T) {
        self.early.insert(number, result);
        while let Some(result) = self.early.remove(&self.next) {
            self.next += 1;
            self.total = Some(match self.total.take() {
                Some(total) => reduce(total, result),
                None => result,
            });
        }
    }
}
