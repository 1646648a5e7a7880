//! Addition of rows, which have one element for each lane, to many running sums at once.
#![forbid(unsafe_code)]

use super::running_sums::{RunningSums, is_last, next};
use super::schedule::{Schedule, Step};
use crate::stats::central_sums::{is_large, is_small};
use crate::stats::element::Element;
use crate::stats::kernels::{self, panel::SumsPanel};

/// The minimum number of elements for a panel, whose set-up costs more than pushing fewer elements
/// one by one.
const MIN_ELEMENTS: usize = 1024;

/// Adds rows, which have one element for each lane, to the sums of the lanes. All lanes have had
/// the same number of rows. If `SKIP`, NaN elements are skipped and weights must not be NaN.
pub(in crate::stats) fn push_rows<A: Element, S: Schedule, const ORDER: usize, const SKIP: bool>(
    lanes: &mut [&mut RunningSums<ORDER>],
    rows: &[&[A]],
    weights: Option<&[f64]>,
    schedule: &mut S,
) {
    let before = *schedule;
    let is_large_enough = lanes.len() * rows.len() >= MIN_ELEMENTS;
    let are_done = if is_large_enough && are_regular(lanes, weights) {
        push_rows_to_panel::<A, S, ORDER, SKIP>(lanes, rows, weights, schedule)
    } else {
        vec![false; lanes.len()]
    };
    for (index, lane) in lanes.iter_mut().enumerate().filter(|(index, _)| !are_done[*index]) {
        *schedule = before;
        for (row, elements) in rows.iter().enumerate() {
            let element = elements[index];
            let weight = weights.map_or(1.0, |weights| weights[row]);
            lane.push_row(element, weight, weight != 0.0 && !(SKIP && element.is_nan()), schedule);
        }
    }
}

/// Returns whether a panel can process all lanes: they have had the same number of rows, and no
/// weight is extreme. Negative weights may leave pending sums without a total.
fn are_regular<const ORDER: usize>(
    lanes: &[&mut RunningSums<ORDER>],
    weights: Option<&[f64]>,
) -> bool {
    let row = lanes.first().map_or(0, |lane| lane.row);
    let is_regular =
        |lane: &RunningSums<ORDER>| lane.pending == 0.0 || lane.total.sums.weight.hi > 0.0;
    let is_moderate = |&weight: &f64| weight >= 0.0 && !is_large(weight) && !is_small(weight);
    lanes.iter().all(|lane| lane.row == row && is_regular(lane))
        && weights.is_none_or(|weights| weights.iter().all(is_moderate))
}

/// Adds rows to all lanes in a panel. Returns for each lane whether its rows were added; lanes with
/// extreme elements are unchanged.
fn push_rows_to_panel<A: Element, S: Schedule, const ORDER: usize, const SKIP: bool>(
    lanes: &mut [&mut RunningSums<ORDER>],
    rows: &[&[A]],
    weights: Option<&[f64]>,
    schedule: &mut S,
) -> Vec<bool> {
    let weight_of = |row: usize| weights.map_or(1.0, |weights| weights[row]);
    let width = lanes.len();
    let mut row = lanes.first().map_or(0, |lane| lane.row);
    let mut panel = SumsPanel::<ORDER>::default();
    for (index, lane) in lanes.iter_mut().enumerate() {
        if lane.uses_both_parts != A::IS_LONG {
            lane.flush();
            lane.uses_both_parts = A::IS_LONG;
        }
        // A lane without rows equals a lane of a new panel.
        if lane.row > 0 || lane.total.sums.weight.hi != 0.0 {
            panel.put(index, lane.total.sums, lane.pending, lane.sums);
        }
    }
    // Rows that have not been added yet, and their weights.
    let mut pending_rows = Vec::new();
    let mut pending_weights = Vec::new();
    let add = |panel: &mut SumsPanel<ORDER>,
               pending_rows: &mut Vec<&[A]>,
               pending_weights: &mut Vec<f64>| {
        panel.add::<A, SKIP>(pending_rows, weights.map(|_| &pending_weights[..]));
        pending_rows.clear();
        pending_weights.clear();
    };
    for (index, &elements) in rows.iter().enumerate() {
        let weight = weight_of(index);
        let step = if weight == 0.0 { Step::Add } else { schedule.before(weight) };
        if step != Step::Add {
            add(&mut panel, &mut pending_rows, &mut pending_weights);
            panel.flush::<A>(width);
        }
        if step == Step::Merge {
            panel.merge_row::<A, SKIP>(elements, weight);
        } else if weight != 0.0 {
            pending_rows.push(elements);
            pending_weights.push(weight);
        }
        row = next(row);
        if is_last(row) {
            add(&mut panel, &mut pending_rows, &mut pending_weights);
            panel.flush::<A>(width);
            schedule.flushed();
        }
    }
    add(&mut panel, &mut pending_rows, &mut pending_weights);
    let pending_rows: Vec<_> =
        (0..rows.len()).filter(|&row| weight_of(row) != 0.0).map(|row| rows[row]).collect();
    let starts_small =
        if A::HAS_WIDE_RANGE { starts_small(&pending_rows, lanes) } else { vec![0; width] };
    let is_done = |(index, lane): (usize, &mut &mut RunningSums<ORDER>)| {
        let is_done =
            !(lane.total.has_units() || panel.needs_scalar_path(index) || starts_small[index] != 0);
        if is_done {
            (lane.total.sums, lane.pending, lane.sums) = panel.get(index);
            lane.row = row;
        }
        is_done
    };
    lanes.iter_mut().enumerate().map(is_done).collect()
}

/// Returns for each lane whose elements so far are 0 whether its first element other than 0 is
/// small; not 0 if so.
fn starts_small<A: Element, const ORDER: usize>(
    rows: &[&[A]],
    lanes: &[&mut RunningSums<ORDER>],
) -> Vec<u64> {
    let mut are_zero: Vec<_> = lanes.iter().map(|lane| u64::from(lane.is_zero())).collect();
    let mut are_small = vec![0; lanes.len()];
    for row in rows {
        if are_zero.iter().all(|&is_zero| is_zero == 0) {
            break;
        }
        kernels::rows::first_small(row, &mut are_zero, &mut are_small);
    }
    are_small
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::accumulators::schedule::ByWeight;
    use crate::stats::kernels::rows::PANEL_WIDTH;

    /// Returns elements that are mostly moderate, otherwise of any magnitude, infinite, or NaN.
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
        (offsets, others, share, any::<u64>(), 1_usize..2_000).prop_map(
            |(offset, others, share, seed, len)| {
                let mut state = seed | 1;
                let mut draw = move || {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (state >> 11) as f64 / (1_u64 << 53) as f64
                };
                let mut one = || match &others {
                    Some(others) if draw() < share => {
                        others[(draw() * others.len() as f64) as usize]
                    }
                    _ => offset + draw(),
                };
                (0..len).map(|_| one()).collect()
            },
        )
    }

    /// Sets the first rows to NaN, and further rows of some lanes.
    fn delay_lanes(elements: &mut [f64], width: usize, late: usize) {
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
            let pick = |row: usize| {
                if ascends { row * weights.len() / 300 } else { row * 7_919 % weights.len() }
            };
            (0..2_000).map(|row| weights[pick(row).min(weights.len() - 1)]).collect()
        })
    }

    #[track_caller]
    fn same<const ORDER: usize>(found: &RunningSums<ORDER>, expected: &RunningSums<ORDER>) {
        if !expected.total().mean().is_finite() {
            // The payload and the unit of a sum that is NaN do not matter.
            assert_eq!(found.total().mean().to_string(), expected.total().mean().to_string());
            assert!(found.total().var(0.0).is_nan() && expected.total().var(0.0).is_nan());
            return;
        }
        // The origin of deviations does not matter if no sums are pending.
        let all = |sums: &RunningSums<ORDER>| {
            format!(
                "{:?}",
                RunningSums {
                    uses_both_parts: sums.uses_both_parts && sums.pending != 0.0,
                    ..*sums
                }
            )
        };
        assert_eq!(all(found), all(expected));
    }

    fn check<A: Element, const ORDER: usize, const SKIP: bool>(
        elements: &[A],
        width: usize,
        batch_len: usize,
        weights: &[f64],
    ) {
        let width = width.min(elements.len());
        let rows: Vec<_> = elements.chunks_exact(width).collect();
        let weights: Vec<_> =
            weights.iter().map(|w| if SKIP && w.is_nan() { 0.0 } else { *w }).collect();
        let weights = &weights[..rows.len()];
        let ones = weights.iter().all(|&w| w == 1.0);
        let mut lanes = vec![RunningSums::<ORDER>::default(); width];
        let mut schedule = ByWeight::default();
        for (rows, weights) in rows.chunks(batch_len).zip(weights.chunks(batch_len)) {
            let mut lanes: Vec<_> = lanes.iter_mut().collect();
            if ones {
                push_rows::<A, _, ORDER, SKIP>(&mut lanes, rows, None, &mut ())
            } else {
                push_rows::<A, _, ORDER, SKIP>(&mut lanes, rows, Some(weights), &mut schedule)
            }
        }
        for (index, lane) in lanes.iter().enumerate() {
            let mut expected = RunningSums::<ORDER>::default();
            let mut schedule = ByWeight::default();
            for (row, &weight) in rows.iter().zip(weights) {
                let is_counted = weight != 0.0 && !(SKIP && row[index].is_nan());
                if ones {
                    expected.push_row(row[index], weight, is_counted, &mut ())
                } else {
                    expected.push_row(row[index], weight, is_counted, &mut schedule)
                }
            }
            same(lane, &expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, max_shrink_iters: 200, ..Default::default() })]
        #[test]
        fn push_rows_equals_push(
            mut elements in elements(), width in 1_usize..40, batch_len in 1_usize..300, weights in weights(),
            late in prop_oneof![2 => Just(0_usize), 1 => 0_usize..200],
        ) {
            if late > 0 {
                delay_lanes(&mut elements, width, late);
            }
            check::<f64, 2, false>(&elements, width, batch_len, &weights);
            check::<f64, 2, true>(&elements, width, batch_len, &weights);
            check::<f64, 4, false>(&elements, width, batch_len, &[1.0; 2_000]);
            check::<f64, 4, true>(&elements, width, batch_len, &[1.0; 2_000]);
            let single: Vec<_> = elements.iter().map(|&x| x as f32).collect();
            check::<f32, 2, true>(&single, width, batch_len, &weights);
            let long: Vec<_> = elements.iter().map(|x| i64::MAX - (x.to_bits() >> 50) as i64).collect();
            check::<i64, 4, false>(&long, width, batch_len, &[1.0; 2_000]);
            check::<i64, 2, true>(&long, width, batch_len, &weights);
        }
    }

    #[test]
    fn push_rows_of_a_full_panel() {
        let elements: Vec<f64> = (0..PANEL_WIDTH * 70).map(|i| 1.7e9 + (i % 97) as f64).collect();
        check::<f64, 4, false>(&elements, PANEL_WIDTH, 70, &[1.0; 70]);
    }
}
