//! The schedule by which pending sums are merged into a total.
#![forbid(unsafe_code)]

/// The maximum weight of pending rows, if no element is skipped, as a multiple of the weight of the
/// total.
const MAX_SCHEDULED: f64 = 4.0;

/// The action for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stats) enum Step {
    /// Add the row to the pending sums.
    Add,
    /// Merge the pending sums into the total, then add the row to the pending sums.
    Flush,
    /// Merge the pending sums into the total, then merge the row into the total.
    Merge,
}

/// The action for each row. It does not depend on elements, so that all lanes take the same action.
pub(in crate::stats) trait Schedule: Copy {
    /// Returns the action for the next row, whose weight is not 0.
    fn before(&mut self, weight: f64) -> Step;

    /// Records that the pending sums of all lanes have been merged.
    fn flushed(&mut self);
}

/// The schedule for rows of equal weight.
impl Schedule for () {
    #[inline(always)]
    fn before(&mut self, _weight: f64) -> Step {
        Step::Add
    }

    #[inline(always)]
    fn flushed(&mut self) {}
}

/// The schedule for rows of any weights: the weights of the total and of the pending rows, if no
/// element is skipped.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::stats) struct ByWeight {
    total: f64,
    pending: f64,
}

impl Schedule for ByWeight {
    fn before(&mut self, weight: f64) -> Step {
        if self.pending + weight > MAX_SCHEDULED * self.total {
            self.flushed();
            if weight > MAX_SCHEDULED * self.total {
                self.total += weight;
                return Step::Merge;
            }
            self.pending = weight;
            return Step::Flush;
        }
        self.pending += weight;
        Step::Add
    }

    fn flushed(&mut self) {
        self.total += self.pending;
        self.pending = 0.0;
    }
}
