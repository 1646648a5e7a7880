//! Sums of the powers of deviations of elements that come one by one, or in rows across many lanes.
#![forbid(unsafe_code)]

use super::super::central_sums::{CentralSums, is_large, is_small};
use super::super::double::Double;
use super::super::element::Element;
use super::super::kernels::strip::{MOST_PENDING, Strip};
use super::scaled_sums::ScaledSums;
use super::schedule::{Schedule, Step};

/// The rows after which pending elements are merged into the total, again and again. In the beginning they are merged after
/// 2, 8, 32 and 128 rows, so that what is pending never weighs more than three times as much as the total.
const ROWS: u16 = 256;

/// Sums of elements that are pushed one by one, or in rows that have an element of each of many lanes.
///
/// Elements are pending until they are merged into the total, every 256 rows. The result depends on the elements and their
/// order alone: not on how many rows [`push_rows`] is given at once, nor on whether there are other lanes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::stats) struct RunningSums<const ORDER: usize> {
    total: ScaledSums<ORDER>,
    /// The weight of pending elements, and the sums of the powers of their deviations from the mean of the total.
    pending: f64,
    sums: [f64; ORDER],
    /// Whether deviations are from both parts of the mean, or from the first.
    uses_both_parts: bool,
    /// The number of rows; from the second multiple of [`ROWS`] on it starts again at the first.
    row: u16,
}

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

    /// Returns the number of elements, if each weighs 1.
    pub(super) fn count(&self) -> u64 {
        let Double { hi, lo } = self.total.sums.weight.plus(self.pending);
        (hi as u64).saturating_add_signed(lo as i64)
    }

    /// Adds other elements.
    pub(super) fn merge(&mut self, later: &ScaledSums<ORDER>) {
        self.flush();
        self.total.merge(later);
    }

    /// Adds the elements of other sums.
    #[inline]
    pub(super) fn merge_running(&mut self, later: &Self) {
        match later.pending == 0.0 {
            true => self.merge(&later.total),
            false => self.merge(&later.total()),
        }
    }

    /// Adds the next element.
    #[inline]
    pub(in crate::stats) fn push<A: Element>(&mut self, element: A, weight: f64) {
        self.push_row(element, weight, weight != 0.0, &mut ());
    }

    /// Leaves out the next element.
    #[inline]
    pub(in crate::stats) fn skip(&mut self) {
        self.end_row(&mut ());
    }

    /// Adds the next element of a lane, unless it is left out.
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
        if self.uses_both_parts != A::IS_LONG {
            self.flush();
            self.uses_both_parts = A::IS_LONG;
        }
        if self.is_extreme(element, weight) {
            self.flush();
            self.total.merge(&ScaledSums::single(element.to_double(), weight));
            return;
        }
        if is_merged || self.pending + weight > MOST_PENDING * self.total.sums.weight.hi {
            self.flush();
            if is_merged || weight > MOST_PENDING * self.total.sums.weight.hi {
                self.total.sums = self.total.sums.merged(CentralSums::single(element.to_double(), weight));
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

    /// Returns whether an element or its weight needs a unit: because it is too large, or too small and there has been
    /// nothing larger.
    #[inline]
    fn is_extreme<A: Element>(&self, element: A, weight: f64) -> bool {
        let (magnitude, weight) = (element.to_f64().abs(), weight.abs());
        self.total.has_units()
            || (A::HAS_WIDE_RANGE && (is_large(magnitude) || is_small(magnitude) && self.is_zero()))
            || is_large(weight)
            || is_small(weight) && self.total.sums.weight.hi == 0.0
    }

    /// Returns whether all elements so far are 0.
    fn is_zero(&self) -> bool {
        self.total.is_zero() && self.sums.iter().all(|&sum| sum == 0.0)
    }

    #[inline]
    fn flush(&mut self) {
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

/// Counts a row.
#[inline(always)]
fn next(row: u16) -> u16 {
    if row == 2 * ROWS { ROWS + 1 } else { row + 1 }
}

/// Returns whether pending elements are merged into the total after a row.
#[inline(always)]
fn is_last(row: u16) -> bool {
    row.is_multiple_of(ROWS) || matches!(row, 2 | 8 | 32 | 128)
}

/// What is saved: serde has no arrays of any length.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Parts {
    /// The exponents of the powers of two that are the units of the elements and of the weights.
    units: [i32; 2],
    weight: Double,
    /// The mean, then the sums of the powers of deviations, from the second power on.
    moments: Vec<Double>,
    pending: f64,
    pending_sums: Vec<f64>,
    uses_both_parts: bool,
    row: u16,
}

#[cfg(feature = "serde")]
impl<const ORDER: usize> From<RunningSums<ORDER>> for Parts {
    fn from(running: RunningSums<ORDER>) -> Self {
        let RunningSums { total, pending, sums, uses_both_parts, row } = running;
        let (units, moments) = ([total.unit, total.weight_unit], total.sums.moments.to_vec());
        let pending_sums = sums.to_vec();
        Self { units, weight: total.sums.weight, moments, pending, pending_sums, uses_both_parts, row }
    }
}

#[cfg(feature = "serde")]
impl<const ORDER: usize> TryFrom<Parts> for RunningSums<ORDER> {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Self, String> {
        let Parts { units, weight, moments, pending, pending_sums, uses_both_parts, row } = parts;
        let wrong_order = |found: usize| format!("moments of order {found}, not {ORDER}");
        let moments = moments.try_into().map_err(|found: Vec<_>| wrong_order(found.len()))?;
        let sums = pending_sums.try_into().map_err(|found: Vec<_>| wrong_order(found.len()))?;
        let total = ScaledSums::read(units, CentralSums { weight, moments })?;
        if row > 2 * ROWS {
            return Err(format!("there is no row {row} of {ROWS}"));
        }
        if pending > 0.0 && (weight.hi == 0.0 || units != [0, 0]) {
            return Err(format!("a weight of {pending} is pending without a total"));
        }
        Ok(Self { total, pending, sums, uses_both_parts, row })
    }
}

#[cfg(feature = "serde")]
impl<const ORDER: usize> RunningSums<ORDER> {
    /// Returns whether the sums can be those of a number of elements that weigh 1.
    pub(super) fn have_count(&self, count: u64) -> bool {
        (self.total.weight_unit, self.count()) == (0, count)
    }

    /// Returns whether there has been nothing.
    pub(super) fn are_empty(&self) -> bool {
        (self.total, self.pending, self.sums) == (ScaledSums::default(), 0.0, [0.0; ORDER])
    }
}

/// Adds rows that have an element for each lane; all lanes have had the same number of rows. Without NaN if `SKIP`. Weights
/// are not NaN if so.
pub(in crate::stats) fn push_rows<A: Element, S: Schedule, const ORDER: usize, const SKIP: bool>(
    lanes: &mut [&mut RunningSums<ORDER>],
    rows: &[&[A]],
    weights: Option<&[f64]>,
    schedule: &mut S,
) {
    let weight_of = |row: usize| weights.map_or(1.0, |weights| weights[row]);
    let before = *schedule;
    let mut row = lanes.first().map_or(0, |lane| lane.row);
    // Weights that are negative may leave something pending, but no total.
    let is_regular = |lane: &RunningSums<ORDER>| lane.pending == 0.0 || lane.total.sums.weight.hi > 0.0;
    let are_in_step = lanes.iter().all(|lane| lane.row == row && is_regular(lane));
    let are_moderate = |weights: &[f64]| weights.iter().all(|&w| w >= 0.0 && !is_large(w) && !is_small(w));
    let mut is_left = vec![true; lanes.len()];
    if are_in_step && weights.is_none_or(are_moderate) {
        let mut strip = Strip::<ORDER>::default();
        for (number, lane) in lanes.iter_mut().enumerate() {
            if lane.uses_both_parts != A::IS_LONG {
                lane.flush();
                lane.uses_both_parts = A::IS_LONG;
            }
            // A lane that has had nothing is as it is in a new strip.
            if lane.row > 0 || lane.total.sums.weight.hi != 0.0 {
                strip.put(number, lane.total.sums, lane.pending, lane.sums);
            }
        }
        // Rows that are to be added, and their weights.
        let (mut some, mut of_weight) = (Vec::new(), Vec::new());
        let width = lanes.len();
        let add = |strip: &mut Strip<ORDER>, some: &mut Vec<&[A]>, of_weight: &mut Vec<f64>| {
            strip.add::<A, SKIP>(some, weights.map(|_| &of_weight[..]));
            some.clear();
            of_weight.clear();
        };
        for (number, &elements) in rows.iter().enumerate() {
            let weight = weight_of(number);
            let step = if weight == 0.0 { Step::Add } else { schedule.before(weight) };
            if step != Step::Add {
                add(&mut strip, &mut some, &mut of_weight);
                strip.flush::<A>(width);
            }
            if step == Step::Merge {
                strip.merge_row::<A, SKIP>(elements, weight);
            } else if weight != 0.0 {
                some.push(elements);
                of_weight.push(weight);
            }
            row = next(row);
            if is_last(row) {
                add(&mut strip, &mut some, &mut of_weight);
                strip.flush::<A>(width);
                schedule.flushed();
            }
        }
        add(&mut strip, &mut some, &mut of_weight);
        for (number, lane) in lanes.iter_mut().enumerate() {
            is_left[number] = lane.total.has_units() || strip.needs_care(number) || {
                let column = rows.iter().enumerate().filter(|(row, _)| weight_of(*row) != 0.0);
                A::HAS_WIDE_RANGE && lane.is_zero() && begins_small(column.map(|(_, row)| row[number]))
            };
            if !is_left[number] {
                (lane.total.sums, lane.pending, lane.sums) = strip.get(number);
                lane.row = row;
            }
        }
    }
    for (number, lane) in lanes.iter_mut().enumerate().filter(|(number, _)| is_left[*number]) {
        *schedule = before;
        for (row, elements) in rows.iter().enumerate() {
            let (element, weight) = (elements[number], weight_of(row));
            lane.push_row(element, weight, weight != 0.0 && !(SKIP && element.is_nan()), schedule);
        }
    }
}

/// Returns whether the first element other than 0 is a small one.
fn begins_small<A: Element>(mut elements: impl Iterator<Item = A>) -> bool {
    let first = elements.find_map(|element| Some(element.to_f64().abs()).filter(|&magnitude| magnitude > 0.0));
    first.is_some_and(is_small)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::kernels::rows::WIDTH;
    use super::super::schedule::ByWeight;
    use super::*;

    /// Elements that are moderate as a rule, else of any magnitude, infinite, or NaN.
    fn elements() -> impl Strategy<Value = Vec<f64>> {
        let offsets = prop_oneof![Just(0.0), Just(1.7e9), Just(-1e-3)];
        let others = prop_oneof![
            8 => Just(None),
            1 => Just(Some(vec![f64::NAN])),
            1 => Just(Some(vec![0.0, 1e300, -1e300, f64::MAX])),
            1 => Just(Some(vec![0.0, -0.0, 1e-300, 5e-324, 1e-46, 1e-44])),
            1 => Just(Some(vec![f64::INFINITY, 1e80, f64::NAN, 1e-60])),
        ];
        let share = prop_oneof![Just(0.01), Just(0.5), Just(1.0)];
        (offsets, others, share, any::<u64>(), 1_usize..2_000).prop_map(|(offset, others, share, seed, len)| {
            let mut state = seed | 1;
            let mut draw = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1_u64 << 53) as f64
            };
            let mut one = || match &others {
                Some(others) if draw() < share => others[(draw() * others.len() as f64) as usize],
                _ => offset + draw(),
            };
            (0..len).map(|_| one()).collect()
        })
    }

    /// Makes the first rows NaN, and those of some lanes further ones.
    fn begin_late(elements: &mut [f64], width: usize, late: usize) {
        for (row, elements) in elements.chunks_mut(width).enumerate() {
            elements
                .iter_mut()
                .enumerate()
                .filter(|(lane, _)| row < late + lane % 7 * 5)
                .for_each(|(_, x)| *x = f64::NAN);
        }
    }

    fn weights() -> impl Strategy<Value = Vec<f64>> {
        let weight = prop_oneof![
            Just(vec![1.0]),
            Just(vec![0.0, 1.0, 2.0, 0.5]),
            Just(vec![1e-30, 1e-12, 1.0, 0.0]),
            Just(vec![1e-200, 1e200, 0.0, 1e-300]),
            Just(vec![6e-17, 0.017, 0.034, 0.051, 0.07]),
            Just(vec![f64::NAN, 1.0]),
        ];
        (weight, any::<bool>()).prop_map(|(weights, ascends)| {
            let pick = |row: usize| if ascends { row * weights.len() / 300 } else { row * 7_919 % weights.len() };
            (0..2_000).map(|row| weights[pick(row).min(weights.len() - 1)]).collect()
        })
    }

    #[track_caller]
    fn same<const ORDER: usize>(found: &RunningSums<ORDER>, expected: &RunningSums<ORDER>) {
        if !expected.total().mean().is_finite() {
            // Sums of infinities and NaN: which NaN, and in what unit, does not matter.
            assert_eq!(found.total().mean().to_string(), expected.total().mean().to_string());
            assert!(found.total().var(0.0).is_nan() && expected.total().var(0.0).is_nan());
            return;
        }
        // Where nothing is pending, it does not matter what deviations would be from.
        let all = |sums: &RunningSums<ORDER>| {
            format!("{:?}", RunningSums { uses_both_parts: sums.uses_both_parts && sums.pending != 0.0, ..*sums })
        };
        assert_eq!(all(found), all(expected));
    }

    fn check<A: Element, const ORDER: usize, const SKIP: bool>(
        elements: &[A],
        width: usize,
        portion: usize,
        weights: &[f64],
    ) {
        let width = width.min(elements.len());
        let rows: Vec<_> = elements.chunks_exact(width).collect();
        let weights: Vec<_> = weights.iter().map(|w| if SKIP && w.is_nan() { 0.0 } else { *w }).collect();
        let weights = &weights[..rows.len()];
        let ones = weights.iter().all(|&w| w == 1.0);
        let mut lanes = vec![RunningSums::<ORDER>::default(); width];
        let mut schedule = ByWeight::default();
        for (rows, weights) in rows.chunks(portion).zip(weights.chunks(portion)) {
            let mut lanes: Vec<_> = lanes.iter_mut().collect();
            match ones {
                true => push_rows::<A, _, ORDER, SKIP>(&mut lanes, rows, None, &mut ()),
                false => push_rows::<A, _, ORDER, SKIP>(&mut lanes, rows, Some(weights), &mut schedule),
            }
        }
        for (number, lane) in lanes.iter().enumerate() {
            let (mut expected, mut schedule) = (RunningSums::<ORDER>::default(), ByWeight::default());
            for (row, &weight) in rows.iter().zip(weights) {
                let is_counted = weight != 0.0 && !(SKIP && row[number].is_nan());
                match ones {
                    true => expected.push_row(row[number], weight, is_counted, &mut ()),
                    false => expected.push_row(row[number], weight, is_counted, &mut schedule),
                }
            }
            same(lane, &expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, max_shrink_iters: 200, ..Default::default() })]
        #[test]
        fn rows_are_as_elements_one_by_one(
            mut elements in elements(), width in 1_usize..40, portion in 1_usize..300, weights in weights(),
            late in prop_oneof![2 => Just(0_usize), 1 => 0_usize..200],
        ) {
            if late > 0 {
                begin_late(&mut elements, width, late);
            }
            check::<f64, 2, false>(&elements, width, portion, &weights);
            check::<f64, 2, true>(&elements, width, portion, &weights);
            check::<f64, 4, false>(&elements, width, portion, &[1.0; 2_000]);
            check::<f64, 4, true>(&elements, width, portion, &[1.0; 2_000]);
            let single: Vec<_> = elements.iter().map(|&x| x as f32).collect();
            check::<f32, 2, true>(&single, width, portion, &weights);
            let long: Vec<_> = elements.iter().map(|x| i64::MAX - (x.to_bits() >> 50) as i64).collect();
            check::<i64, 4, false>(&long, width, portion, &[1.0; 2_000]);
            check::<i64, 2, true>(&long, width, portion, &weights);
        }
    }

    #[test]
    fn of_a_whole_strip() {
        let elements: Vec<f64> = (0..WIDTH * 70).map(|i| 1.7e9 + (i % 97) as f64).collect();
        check::<f64, 4, false>(&elements, WIDTH, 70, &[1.0; 70]);
    }
}
