//! Running sums of the powers of deviations of elements that arrive one by one.
#![forbid(unsafe_code)]

use super::scaled_sums::ScaledSums;
use super::schedule::{Schedule, Step};
use crate::distributed::impl_message;
use crate::stats::central_sums::{CentralSums, is_large, is_small};
use crate::stats::double::{Double, scaled};
use crate::stats::element::Element;
use crate::stats::kernels::panel::MAX_PENDING;

/// The number of rows after which pending sums are merged into the total. At the start they are
/// merged after 2, 8, 32 and 128 rows: if no element is skipped, pending elements never weigh more
/// than three times as much as the total.
const ROWS: u16 = 256;

/// Sums of elements that are pushed one by one, or in rows with one element for each of many lanes.
///
/// Elements are pending until they are merged into the total, every 256 rows. The result depends
/// only on the elements and their order, not on the number of rows that are passed to
/// [`push_rows`](super::rows::push_rows) at once, nor on other lanes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::stats) struct RunningSums<const ORDER: usize> {
    pub(super) total: ScaledSums<ORDER>,
    /// The weight of pending elements, and the sums of the powers of their deviations from the mean
    /// of the total.
    pub(super) pending: f64,
    pub(super) sums: [f64; ORDER],
    /// Whether deviations are from both words of the mean, or only from its high word.
    pub(super) uses_both_parts: bool,
    /// The number of rows. To stay bounded, it continues with `ROWS + 1` after `2 * ROWS`.
    pub(super) row: u16,
}

impl_message! { RunningSums<ORDER> { total, pending, sums, uses_both_parts, row } where [const ORDER: usize] }

impl<const ORDER: usize> Default for RunningSums<ORDER> {
    fn default() -> Self {
        ScaledSums::default().into()
    }
}

impl<const ORDER: usize> From<ScaledSums<ORDER>> for RunningSums<ORDER> {
    fn from(total: ScaledSums<ORDER>) -> Self {
        Self { total, pending: 0.0, sums: [0.0; ORDER], uses_both_parts: false, row: 0 }
    }
}

impl<const ORDER: usize> RunningSums<ORDER> {
    /// Returns the sums of all elements.
    pub(super) fn total(mut self) -> ScaledSums<ORDER> {
        self.flush();
        self.total
    }

    /// Merges the sums of other elements.
    pub(super) fn merge(&mut self, later: &ScaledSums<ORDER>) {
        self.flush();
        self.total.merge(later);
    }

    /// Returns the weight of all elements, if all units are 1.
    pub(super) fn weight(&self) -> Double {
        self.total.sums.weight.plus(self.pending)
    }

    /// Merges other running sums.
    #[inline]
    pub(super) fn merge_running(&mut self, later: &Self) {
        if later.pending == 0.0 { self.merge(&later.total) } else { self.merge(&later.total()) }
    }

    /// Adds the next element.
    #[inline]
    pub(in crate::stats) fn push<A: Element>(&mut self, element: A, weight: f64) {
        self.push_row(element, weight, weight != 0.0, &mut ());
    }

    /// Skips the next element.
    #[inline]
    pub(in crate::stats) fn skip(&mut self) {
        self.end_row(&mut ());
    }

    /// Adds the next element of a lane unless it is skipped.
    #[inline]
    pub(in crate::stats) fn push_row<A: Element>(
        &mut self,
        element: A,
        weight: f64,
        is_counted: bool,
        schedule: &mut impl Schedule,
    ) {
        let step = if weight == 0.0 { Step::Add } else { schedule.before(weight) };
        if step != Step::Add {
            self.flush();
        }
        if is_counted {
            self.add(element, weight, step == Step::Merge);
        }
        self.end_row(schedule);
    }

    #[inline]
    fn end_row(&mut self, schedule: &mut impl Schedule) {
        self.row = next(self.row);
        if is_last(self.row) {
            self.flush();
            schedule.flushed();
        }
    }

    #[inline]
    fn add<A: Element>(&mut self, element: A, weight: f64, is_merged: bool) {
        if self.total.has_units() {
            self.add_in_units(element, weight, is_merged);
        } else if self.is_extreme::<A>(element.to_f64(), weight) {
            self.add_extreme(element, weight);
        } else {
            self.add_moderate(element, weight, is_merged);
        }
    }

    #[cold]
    fn add_in_units<A: Element>(&mut self, element: A, weight: f64, is_merged: bool) {
        let in_unit = scaled(element.to_f64(), -self.total.unit);
        let weight_in_unit = scaled(weight, -self.total.weight_unit);
        if self.is_extreme::<A>(in_unit, weight_in_unit) {
            self.add_extreme(element, weight);
        } else if weight_in_unit == 0.0 {
            // The weight is negligible compared with that of other elements.
        } else if self.total.unit == 0 {
            self.add_moderate(element, weight_in_unit, is_merged);
        } else {
            self.add_moderate(in_unit, weight_in_unit, is_merged);
        }
    }

    /// Adds an element in the units that it requires.
    #[cold]
    fn add_extreme<A: Element>(&mut self, element: A, weight: f64) {
        self.flush();
        self.total.merge(&ScaledSums::single(element.to_double(), weight));
    }

    /// Adds an element that requires no other units than the total has.
    #[inline]
    fn add_moderate<A: Element>(&mut self, element: A, weight: f64, is_merged: bool) {
        if self.uses_both_parts != A::IS_LONG {
            self.flush();
            self.uses_both_parts = A::IS_LONG;
        }
        if is_merged || self.pending + weight > MAX_PENDING * self.total.sums.weight.hi {
            self.flush();
            if is_merged || weight > MAX_PENDING * self.total.sums.weight.hi {
                self.total.sums =
                    self.total.sums.merged(CentralSums::single(element.to_double(), weight));
                return;
            }
        }
        let deviation = element.deviation(self.total.sums.moments[0].or_zero());
        self.pending += weight;
        let mut power = weight;
        for sum in &mut self.sums {
            power *= deviation;
            *sum += power;
        }
    }

    /// Returns whether an element or its weight requires another unit: it is too large, or it is
    /// too small and nothing larger has been added.
    #[inline]
    fn is_extreme<A: Element>(&self, element: f64, weight: f64) -> bool {
        let magnitude = element.abs();
        let weight = weight.abs();
        (A::HAS_WIDE_RANGE || self.total.unit != 0)
            && (is_large(magnitude) || is_small(magnitude) && self.is_zero())
            || is_large(weight)
            || is_small(weight) && self.total.sums.weight.hi == 0.0
    }

    /// Returns whether all elements so far are 0.
    pub(super) fn is_zero(&self) -> bool {
        self.total.is_zero() && self.sums.iter().all(|&sum| sum == 0.0)
    }

    #[inline]
    pub(super) fn flush(&mut self) {
        if self.pending != 0.0 {
            self.flush_pending();
        }
    }

    #[inline(never)]
    fn flush_pending(&mut self) {
        let later = CentralSums::around(self.pending, self.origin(), self.sums);
        self.total.sums = self.total.sums.merged(later);
        (self.pending, self.sums) = (0.0, [0.0; ORDER]);
    }

    fn origin(&self) -> Double {
        let mean = self.total.sums.moments[0].or_zero();
        if self.uses_both_parts { mean } else { Double::new(mean.hi) }
    }
}

/// Returns the number of the next row.
#[inline(always)]
pub(super) fn next(row: u16) -> u16 {
    if row == 2 * ROWS { ROWS + 1 } else { row + 1 }
}

/// Returns whether pending elements are merged into the total after a row.
#[inline(always)]
pub(super) fn is_last(row: u16) -> bool {
    row.is_multiple_of(ROWS) || matches!(row, 2 | 8 | 32 | 128)
}

/// The serialized form, because serde does not support arrays of generic length.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct RunningSumsRepr {
    /// The exponents of the powers of two that are the units of the elements and of the weights.
    units: [i32; 2],
    weight: Double,
    /// The mean, then the sums of the powers of deviations from the second power up.
    moments: Vec<Double>,
    pending: f64,
    pending_sums: Vec<f64>,
    uses_both_parts: bool,
    row: u16,
}

#[cfg(feature = "serde")]
impl<const ORDER: usize> From<RunningSums<ORDER>> for RunningSumsRepr {
    fn from(running: RunningSums<ORDER>) -> Self {
        let RunningSums { total, pending, sums, uses_both_parts, row } = running;
        let units = [total.unit, total.weight_unit];
        let moments = total.sums.moments.to_vec();
        let pending_sums = sums.to_vec();
        Self {
            units,
            weight: total.sums.weight,
            moments,
            pending,
            pending_sums,
            uses_both_parts,
            row,
        }
    }
}

#[cfg(feature = "serde")]
impl<const ORDER: usize> TryFrom<RunningSumsRepr> for RunningSums<ORDER> {
    type Error = String;

    fn try_from(parts: RunningSumsRepr) -> Result<Self, String> {
        let RunningSumsRepr { units, weight, moments, pending, pending_sums, uses_both_parts, row } =
            parts;
        let wrong_order =
            |found: usize| format!("expected moments of order {ORDER}, found order {found}");
        let moments = moments.try_into().map_err(|found: Vec<_>| wrong_order(found.len()))?;
        let sums = pending_sums.try_into().map_err(|found: Vec<_>| wrong_order(found.len()))?;
        let total = ScaledSums::read(units, CentralSums { weight, moments })?;
        if row > 2 * ROWS {
            return Err(format!("invalid row number: {row}"));
        }
        if weight.hi < 0.0 || pending < 0.0 {
            return Err(format!("negative weight: {} or {pending}", weight.hi));
        }
        if pending > 0.0 && weight.hi == 0.0 {
            return Err(format!("a pending weight of {pending} without a total"));
        }
        if pending == 0.0 && sums != [0.0; ORDER] {
            return Err("pending elements without a weight".into());
        }
        Ok(Self { total, pending, sums, uses_both_parts, row })
    }
}

#[cfg(feature = "serde")]
impl<const ORDER: usize> RunningSums<ORDER> {
    /// Returns whether no elements were added.
    pub(super) fn are_empty(&self) -> bool {
        (self.total, self.pending, self.sums) == (ScaledSums::default(), 0.0, [0.0; ORDER])
    }
}
