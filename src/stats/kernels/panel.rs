//! Sums of the powers of deviations in many lanes at once.
#![forbid(unsafe_code)]

use multiversion::multiversion;

use super::rows::{PANEL_WIDTH, ROWS_PER_STEP};
use crate::stats::central_sums::{CentralSums, LARGE};
use crate::stats::double::Double;
use crate::stats::element::Element;

/// The maximum weight of pending elements, as a multiple of the weight of the total.
///
/// Pending deviations are from the mean of the total, if that is finite. The squared distance
/// between that mean and the mean of the pending elements, times the lesser of the two weights, is
/// part of the merged variance. Rounding errors therefore grow by at most about this factor.
pub(in crate::stats) const MAX_PENDING: f64 = 8.0;

/// One number for each lane, padded by a cache line: rows of exactly a page would all map to the
/// same cache sets.
type Row = [f64; PANEL_WIDTH + 8];

/// The sums of the lanes of a panel, as a structure of arrays.
///
/// The order of operations in each lane is the same as if elements were pushed one by one, so the
/// results are bitwise identical.
pub(in crate::stats) struct SumsPanel<const ORDER: usize> {
    weight: [Row; 2],
    moments: [[Row; 2]; ORDER],
    pending: Row,
    sums: [Row; ORDER],
    /// Not 0 for lanes that require the scalar path. The width matches that of sums, which suits
    /// vectors.
    needs_scalar_path: [u64; PANEL_WIDTH],
    /// Whether there may be lanes without elements.
    has_empty: bool,
}

impl<const ORDER: usize> Default for SumsPanel<ORDER> {
    fn default() -> Self {
        let zeros = [0.0; PANEL_WIDTH + 8];
        Self {
            weight: [zeros; 2],
            moments: [[zeros; 2]; ORDER],
            pending: zeros,
            sums: [zeros; ORDER],
            needs_scalar_path: [0; PANEL_WIDTH],
            has_empty: true,
        }
    }
}

impl<const ORDER: usize> SumsPanel<ORDER> {
    /// Sets the total and the pending sums of a lane.
    pub(in crate::stats) fn put(
        &mut self,
        lane: usize,
        total: CentralSums<ORDER>,
        pending: f64,
        sums: [f64; ORDER],
    ) {
        put(&mut self.weight, lane, total.weight);
        self.moments
            .iter_mut()
            .zip(total.moments)
            .for_each(|(rows, moment)| put(rows, lane, moment));
        self.pending[lane] = pending;
        self.sums.iter_mut().zip(sums).for_each(|(row, sum)| row[lane] = sum);
    }

    /// Returns the total and the pending sums of a lane.
    pub(in crate::stats) fn get(&self, lane: usize) -> (CentralSums<ORDER>, f64, [f64; ORDER]) {
        let sums = std::array::from_fn(|power| self.sums[power][lane]);
        (self.total(lane), self.pending[lane], sums)
    }

    #[inline(always)]
    fn total(&self, lane: usize) -> CentralSums<ORDER> {
        let moments = std::array::from_fn(|power| get(&self.moments[power], lane));
        CentralSums { weight: get(&self.weight, lane), moments }
    }

    /// Returns whether the sums of a lane are unreliable, so that its elements must be pushed one
    /// by one: there may have been an infinite element or [a large one](is_large), or more than
    /// [`MAX_PENDING`] times the weight of the total was pending.
    ///
    /// The sums of a lane with a NaN are NaN in either case.
    pub(in crate::stats) fn needs_scalar_path(&self, lane: usize) -> bool {
        self.needs_scalar_path[lane] != 0
    }

    /// Adds rows with their positive weights (1 if there are none) to the pending sums; NaNs are
    /// skipped if `SKIP`.
    pub(in crate::stats) fn add<A: Element, const SKIP: bool>(
        &mut self,
        rows: &[&[A]],
        weights: Option<&[f64]>,
    ) {
        let Some(width) = rows.first().map(|row| row.len().min(PANEL_WIDTH)) else { return };
        if self.has_empty {
            self.initialize::<A, SKIP>(rows, weights);
        }
        match weights {
            Some(weights) => add::<A, ORDER, SKIP, true>(self, rows, weights, width),
            None => add::<A, ORDER, SKIP, false>(self, rows, &[], width),
        }
    }

    /// Sets the total of each empty lane to its first element.
    fn initialize<A: Element, const SKIP: bool>(&mut self, rows: &[&[A]], weights: Option<&[f64]>) {
        for (index, row) in rows.iter().enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[index]);
            let mut are_left = false;
            let width = row.len().min(PANEL_WIDTH);
            if !SKIP && self.weight[0][..width].iter().all(|&weight| weight == 0.0) {
                self.initialize_all(row, weight);
                return;
            }
            for (lane, &element) in row[..width].iter().enumerate() {
                if self.weight[0][lane] == 0.0 {
                    if SKIP && element.is_nan() {
                        are_left = true;
                    } else {
                        // All rows are added afterwards, so this element is then added again, with
                        // a deviation of 0 and its weight.
                        self.put(
                            lane,
                            CentralSums::single(element.to_double(), weight),
                            -weight,
                            [0.0; ORDER],
                        );
                    }
                }
            }
            self.has_empty = are_left;
            if !are_left {
                return;
            }
        }
    }

    /// Sets the totals of all lanes to the elements of a row.
    fn initialize_all<A: Element>(&mut self, row: &[A], weight: f64) {
        self.has_empty = false;
        self.weight[0].fill(weight);
        self.pending.fill(-weight);
        initialize_moments(&mut self.moments, row, weight);
    }

    /// Merges a row into the totals; NaNs are skipped if `SKIP`.
    pub(in crate::stats) fn merge_row<A: Element, const SKIP: bool>(
        &mut self,
        row: &[A],
        weight: f64,
    ) {
        merge_row::<A, ORDER, SKIP>(self, &row[..row.len().min(PANEL_WIDTH)], weight);
    }

    /// Merges the pending sums of the first `width` lanes into their totals.
    pub(in crate::stats) fn flush<A: Element>(&mut self, width: usize) {
        if A::IS_LONG {
            flush::<ORDER, true>(self, width)
        } else {
            flush::<ORDER, false>(self, width)
        }
    }
}

#[inline(always)]
fn get(rows: &[Row; 2], lane: usize) -> Double {
    Double { hi: rows[0][lane], lo: rows[1][lane] }
}

#[inline(always)]
fn put(rows: &mut [Row; 2], lane: usize, value: Double) {
    (rows[0][lane], rows[1][lane]) = (value.hi, value.lo);
}

#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn initialize_moments<A: Element, const ORDER: usize>(
    moments: &mut [[Row; 2]; ORDER],
    row: &[A],
    weight: f64,
) {
    let row = &row[..row.len().min(PANEL_WIDTH)];
    for (power, rows) in moments.iter_mut().enumerate() {
        for (lane, &element) in row.iter().enumerate() {
            put(
                rows,
                lane,
                CentralSums::<ORDER>::single(element.to_double(), weight).moments[power],
            );
        }
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn add<A: Element, const ORDER: usize, const SKIP: bool, const WEIGHTED: bool>(
    panel: &mut SumsPanel<ORDER>,
    rows: &[&[A]],
    weights: &[f64],
    width: usize,
) {
    let width = width.min(PANEL_WIDTH);
    let SumsPanel { weight, moments, pending, sums, needs_scalar_path, .. } = panel;
    let mut add = |lane: usize, elements: &[A], weights: &[f64]| {
        let mean = get(&moments[0], lane).or_zero();
        for (index, &element) in elements.iter().enumerate() {
            let weight = if WEIGHTED { weights[index] } else { 1.0 };
            let is_left_out = SKIP && element.is_nan();
            let deviation = if is_left_out { 0.0 } else { element.deviation(mean) };
            if SKIP {
                pending[lane] += if is_left_out { 0.0 } else { weight };
            }
            let mut power = weight;
            for sum in sums.iter_mut() {
                power *= deviation;
                sum[lane] += power;
            }
        }
    };
    let (groups, rest) = rows.as_chunks::<ROWS_PER_STEP>();
    let mut start = 0;
    for group in groups {
        let group = group.map(|row| &row[..width]);
        let weights: [f64; ROWS_PER_STEP] =
            std::array::from_fn(|row| if WEIGHTED { weights[start + row] } else { 1.0 });
        start += ROWS_PER_STEP;
        for lane in 0..width {
            add(lane, &group.map(|row| row[lane]), &weights);
        }
    }
    for row in rest {
        let weights = [if WEIGHTED { weights[start] } else { 1.0 }];
        start += 1;
        row[..width]
            .iter()
            .enumerate()
            .for_each(|(lane, &element)| add(lane, &[element], &weights));
    }
    let mut add_weight =
        |weight: f64| pending[..width].iter_mut().for_each(|pending| *pending += weight);
    match (SKIP, WEIGHTED) {
        (true, _) => {}
        (false, true) => weights.iter().for_each(|&weight| add_weight(weight)),
        (false, false) => add_weight(rows.len() as f64),
    }
    // A large element has a large deviation if the mean is not large.
    let min_weight =
        if WEIGHTED { weights.iter().copied().fold(f64::INFINITY, f64::min) } else { 1.0 };
    let largest_mean = LARGE * 2_f64.powi(-10);
    let largest_square = LARGE * LARGE / 2.0 * min_weight;
    for lane in 0..width {
        let is_overdue = pending[lane] > MAX_PENDING * weight[0][lane];
        let is_large = A::HAS_WIDE_RANGE
            && (moments[0][0][lane].abs() > largest_mean) | (sums[1][lane] > largest_square);
        needs_scalar_path[lane] |= u64::from(is_overdue | is_large);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn flush<const ORDER: usize, const LONG: bool>(panel: &mut SumsPanel<ORDER>, width: usize) {
    for lane in 0..width.min(PANEL_WIDTH) {
        let total = panel.total(lane);
        let mean = total.moments[0].or_zero();
        let origin = if LONG { mean } else { Double::new(mean.hi) };
        let sums = std::array::from_fn(|power| panel.sums[power][lane]);
        let CentralSums { weight, moments } =
            total.merged_by_choice(CentralSums::around(panel.pending[lane], origin, sums));
        put(&mut panel.weight, lane, weight);
        panel.moments.iter_mut().zip(moments).for_each(|(rows, moment)| put(rows, lane, moment));
        panel.sums.iter_mut().for_each(|row| row[lane] = 0.0);
        panel.pending[lane] = 0.0;
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn merge_row<A: Element, const ORDER: usize, const SKIP: bool>(
    panel: &mut SumsPanel<ORDER>,
    row: &[A],
    weight: f64,
) {
    for (lane, &element) in row.iter().enumerate() {
        let is_left_out = SKIP && element.is_nan();
        if A::HAS_WIDE_RANGE {
            panel.needs_scalar_path[lane] |= u64::from(element.to_f64().abs() > LARGE);
        }
        let single =
            CentralSums::single(element.to_double(), if is_left_out { 0.0 } else { weight });
        let CentralSums { weight, moments } = panel.total(lane).merged_by_choice(single);
        put(&mut panel.weight, lane, weight);
        panel.moments.iter_mut().zip(moments).for_each(|(rows, moment)| put(rows, lane, moment));
    }
}
