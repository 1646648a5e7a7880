//! The driver of all parallel passes: it claims items, pins their regions and reports progress.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};
use crate::geometry::Region;
use crate::paging::{PinGuard, ResidencyPlan};

/// A callback that receives the number of elements processed so far, and of all elements.
pub(super) type ProgressCallback<'a> = dyn Fn(usize, usize) + Send + Sync + 'a;

/// One pass over the arrays of a chunked operation.
pub(super) struct Pass<'a> {
    plan: &'a ResidencyPlan,
    callback: Option<&'a ProgressCallback<'a>>,
    done: AtomicUsize,
    all: usize,
}

impl<'a> Pass<'a> {
    /// Creates a pass over `all` elements.
    pub(super) fn new(
        plan: &'a ResidencyPlan,
        callback: Option<&'a ProgressCallback<'a>>,
        all: usize,
    ) -> Self {
        Self { plan, callback, done: AtomicUsize::new(0), all }
    }

    /// Adds elements that earlier parts of the pass processed to the progress.
    pub(super) fn starting_at(self, elements: usize) -> Self {
        Self { done: AtomicUsize::new(elements), ..self }
    }

    /// Calls a closure for every item, on up to `max_threads` threads, see
    /// [`ResidencyPlan::for_each`].
    pub(super) fn for_each<T: Send, E: From<Error> + Send>(
        &self,
        items: &mut (dyn Iterator<Item = T> + Send),
        max_threads: usize,
        work: &(dyn Fn(T) -> Result<(), E> + Sync),
    ) -> Result<(), E> {
        self.plan.for_each(items, max_threads, work)
    }

    /// Calls a closure for every index below `count`, on up to `max_threads` threads. This function
    /// is not generic, so that a program does not compile the driver again.
    pub(super) fn for_each_index(
        &self,
        count: usize,
        max_threads: usize,
        work: &(dyn Fn(usize) -> Result<()> + Sync),
    ) -> Result<()> {
        self.for_each(&mut (0..count), max_threads, work)
    }

    /// Pins regions, see [`ResidencyPlan::pin`].
    pub(super) fn pin<'s>(&'s self, regions: &'s [Region]) -> Result<PinGuard<'s>> {
        self.plan.pin(regions)
    }

    /// Adds a number of processed elements to the progress.
    pub(super) fn advance(&self, elements: usize) {
        if let Some(callback) = self.callback {
            callback(self.done.fetch_add(elements, Ordering::Relaxed) + elements, self.all);
        }
    }
}
