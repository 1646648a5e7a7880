//! Rows before which pending sums are merged into a total.
#![forbid(unsafe_code)]

/// The largest weight of pending rows in which no element is left out, as a multiple of the weight of the total.
const MAX_SCHEDULED: f64 = 4.0;

/// The treatment of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stats) enum Step {
    /// It becomes pending.
    Add,
    /// It becomes pending after other pending rows are merged into the total.
    Flush,
    /// It is merged into the total, after pending rows.
    Merge,
}

/// The treatment of each row, which does not depend on elements, so that lanes stay in step.
pub(in crate::stats) trait Schedule: Copy {
    /// Returns the treatment of the next row, whose weight is not 0.
    fn before(&mut self, weight: f64) -> Step;

    /// Notes that all lanes have been flushed.
    fn flushed(&mut self);
}

/// For rows of the same weight.
impl Schedule for () {
    #[inline(always)]
    fn before(&mut self, _weight: f64) -> Step {
        Step::Add
    }

    #[inline(always)]
    fn flushed(&mut self) {}
}

/// For rows of any weights: the weight of the total and of pending rows, if no element was left out.
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
