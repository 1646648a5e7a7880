//! Sources of values for selection.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::distributed::Ranks;
use crate::error::Result;

/// A source of values that can be read in several passes.
pub(in crate::stats) trait ValueSource<A> {
    /// Returns the number of items into which the values are divided.
    fn items(&self) -> usize;

    /// Passes the values of some items, in any order, to one of several states, and returns the
    /// states.
    fn run<S: Send>(
        &self,
        part: Range<usize>,
        new: impl Fn() -> S + Sync,
        push: impl Fn(&mut S, &[A]) + Sync,
    ) -> Result<Vec<S>>;

    /// Returns the ranks that share the values.
    fn ranks(&self) -> Option<&Ranks<'_>> {
        None
    }
}
