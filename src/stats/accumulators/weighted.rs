//! Weighted sums, means and variances.
#![forbid(unsafe_code)]

use super::rows::push_rows;
#[cfg(feature = "serde")]
use super::running_sums;
use super::running_sums::RunningSums;
use super::scaled_sums::ScaledSums;
use super::schedule::ByWeight;
use crate::chunked::Accumulator;
use crate::distributed::{Message, impl_message, state_is_message};
use crate::error::Result;
use crate::stats::element::Element;
use crate::stats::kernels::{Pairs, rows};

/// Weighted sum, mean and variance of pairs of an element and its weight.
///
/// An element of weight 0 is counted, and has no other effect unless it is infinite or NaN. Weights
/// must not be negative: cancellation between weights loses precision.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{prelude::*, stats::WeightedMoments};
///
/// let (values, weights) = (array![1.0, 2.0, 3.0], array![1.0, 1.0, 2.0]);
/// let moments = values.chunked().and(&weights)?.accumulate(WeightedMoments::new)?;
/// assert_eq!((moments.weight(), moments.mean(), moments.var(0.0)), (4.0, 2.25, 0.6875));
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(into = "WeightedMomentsRepr", try_from = "WeightedMomentsRepr")
)]
pub struct WeightedMoments {
    skip_nan: bool,
    count: u64,
    /// The sum of elements multiplied by their weights.
    sum: f64,
    /// Whether an element of weight 0 is infinite or NaN.
    is_undefined: bool,
    sums: RunningSums<2>,
}

impl WeightedMoments {
    /// Creates an accumulator without elements, which propagates NaNs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an accumulator without elements, which skips pairs with a NaN.
    pub fn new_skipnan() -> Self {
        Self { skip_nan: true, ..Self::default() }
    }

    /// Returns the number of pairs.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the sum of the weights, `sum(w)`.
    pub fn weight(&self) -> f64 {
        self.sums.total().weight()
    }

    /// Returns the weighted sum, `sum(w * x)`. It is also correct if partial sums overflow an
    /// `f64`.
    pub fn sum(&self) -> f64 {
        if self.sum.is_finite() || self.is_undefined {
            return self.sum;
        }
        let total = self.sums.total();
        total.mean() * total.weight()
    }

    /// Returns the weighted mean, `sum(w * x) / sum(w)`; NaN if the sum of the weights is 0.
    pub fn mean(&self) -> f64 {
        let total = self.sums.total();
        if self.is_undefined || total.weight() == 0.0 { f64::NAN } else { total.mean() }
    }

    /// Returns the weighted variance, `sum(w * (x - mean)^2) / (sum(w) - ddof)`; NaN if `sum(w) -
    /// ddof` is not positive.
    pub fn var(&self, ddof: f64) -> f64 {
        if self.is_undefined { f64::NAN } else { self.sums.total().var(ddof) }
    }

    /// Returns the weighted standard deviation, the square root of the [variance](Self::var). It is
    /// also correct if the variance overflows or underflows an `f64`.
    pub fn std(&self, ddof: f64) -> f64 {
        if self.is_undefined { f64::NAN } else { self.sums.total().std(ddof) }
    }

    /// Merges another accumulator. `self` continues to skip or propagate NaNs as before.
    pub fn merge(&mut self, later: Self) {
        self.count = self.count.saturating_add(later.count);
        self.sum += later.sum;
        self.is_undefined |= later.is_undefined;
        self.sums.merge_running(&later.sums);
    }

    fn push_pairs<P: Pairs>(&mut self, pairs: P) {
        if self.skip_nan {
            self.add_pairs::<P, true>(pairs)
        } else {
            self.add_pairs::<P, false>(pairs)
        }
    }

    /// Adds pairs that are still in the CPU cache.
    fn add_pairs<P: Pairs, const SKIP: bool>(&mut self, pairs: P) {
        let (count, sum, sums) = ScaledSums::of_pairs::<P, SKIP>(pairs);
        self.count = self.count.saturating_add(count);
        self.sum += sum;
        // Products of 0 and an infinity or a NaN are NaN, and so is the sum.
        let is_counted = |&(x, w): &(P::Element, P::Weight)| !(SKIP && (x.is_nan() || w.is_nan()));
        let is_undefined =
            |(x, w): (P::Element, P::Weight)| w.to_f64() == 0.0 && !x.to_f64().is_finite();
        self.is_undefined |= sum.is_nan()
            && (0..pairs.len()).map(|index| pairs.get(index)).filter(is_counted).any(is_undefined);
        self.sums.merge(&sums);
    }
}

impl<A: Element, W: Element> Accumulator<(A, W)> for WeightedMoments {
    #[inline]
    fn push(&mut self, &(x, w): &(A, W)) {
        if self.skip_nan && (x.is_nan() || w.is_nan()) {
            self.sums.skip();
            return;
        }
        let weight = w.to_f64();
        self.count = self.count.saturating_add(1);
        self.sum += weight * x.to_f64();
        self.is_undefined |= weight == 0.0 && !x.to_f64().is_finite();
        self.sums.push(x, weight);
    }

    fn push_slice(&mut self, pairs: &[(A, W)]) {
        self.push_pairs(pairs);
    }

    fn merge(&mut self, later: Self) {
        Self::merge(self, later);
    }

    state_is_message!();
}

impl_message! { WeightedMoments { skip_nan, count, sum, is_undefined, sums } }

/// The moments of a lane, and the weights of its next elements.
#[derive(Clone, Copy)]
pub(in crate::stats) struct WeightedLane<'w> {
    weights: &'w [f64],
    schedule: ByWeight,
    moments: WeightedMoments,
}

impl<'w> WeightedLane<'w> {
    pub(in crate::stats) fn new(weights: &'w [f64], skip_nan: bool) -> Self {
        let moments = WeightedMoments { skip_nan, ..WeightedMoments::new() };
        Self { weights, schedule: ByWeight::default(), moments }
    }

    /// Returns the moments of all elements so far.
    pub(in crate::stats) fn moments(self) -> WeightedMoments {
        self.moments
    }

    /// Adds rows that share one weight each. An element of weight 0 may be infinite or NaN.
    fn push_weighted<A: Element, const SKIP: bool>(
        lanes: &mut [&mut Self],
        rows: &[&[A]],
        weights: &[f64],
    ) {
        let mut schedule = lanes.first().map_or_else(ByWeight::default, |lane| lane.schedule);
        let mut nans = [0; rows::PANEL_WIDTH];
        let mut totals = [0.0; rows::PANEL_WIDTH];
        totals.iter_mut().zip(&*lanes).for_each(|(total, lane)| *total = lane.moments.sum);
        let is_counted = |weight: f64| !(SKIP && weight.is_nan());
        let counted: Vec<_> = (0..rows.len()).filter(|&row| is_counted(weights[row])).collect();
        let (known_rows, known_weights): (Vec<_>, Vec<_>) =
            counted.iter().map(|&row| (rows[row], weights[row])).unzip();
        rows::weighted_sum::<A, SKIP>(&known_rows, &known_weights, &mut totals[..lanes.len()]);
        if SKIP {
            rows::count_nan(&known_rows, &mut nans);
        }
        for (row, _) in known_rows
            .iter()
            .zip(&known_weights)
            .filter(|(_, weight)| A::HAS_NAN && **weight == 0.0)
        {
            let is_undefined = |x: &A| if x.is_nan() { !SKIP } else { !x.to_f64().is_finite() };
            lanes
                .iter_mut()
                .zip(*row)
                .for_each(|(lane, x)| lane.moments.is_undefined |= is_undefined(x));
        }
        for (index, lane) in lanes.iter_mut().enumerate() {
            lane.moments.count =
                lane.moments.count.saturating_add(counted.len() as u64 - nans[index]);
            lane.moments.sum = totals[index];
        }
        // A row whose weight is NaN is skipped by setting its weight to 0.
        let known = |&weight: &f64| if is_counted(weight) { weight } else { 0.0 };
        let weights: Vec<_> = weights.iter().map(known).collect();
        let mut sums: Vec<_> = lanes.iter_mut().map(|lane| &mut lane.moments.sums).collect();
        push_rows::<A, _, 2, SKIP>(&mut sums, rows, Some(&weights), &mut schedule);
        lanes.iter_mut().for_each(|lane| lane.schedule = schedule);
    }
}

impl<A: Element> Accumulator<A> for WeightedLane<'_> {
    fn push(&mut self, element: &A) {
        Self::push_rows(&mut [self], &[std::slice::from_ref(element)]);
    }

    fn push_slice(&mut self, elements: &[A]) {
        let (weights, rest) = self.weights.split_at(elements.len());
        self.weights = rest;
        self.moments.push_pairs((elements, weights));
    }

    /// All lanes are at the same row, so they share the same weights.
    fn push_rows(lanes: &mut [&mut Self], rows: &[&[A]]) {
        let Some(first) = lanes.first() else { return };
        let (weights, rest) = first.weights.split_at(rows.len());
        let skip_nan = first.moments.skip_nan;
        lanes.iter_mut().for_each(|lane| lane.weights = rest);
        for (lanes, rows) in rows::panels(lanes, rows) {
            if skip_nan {
                WeightedLane::push_weighted::<A, true>(lanes, &rows, weights)
            } else {
                WeightedLane::push_weighted::<A, false>(lanes, &rows, weights)
            }
        }
    }

    fn merge(&mut self, later: Self) {
        self.moments.merge(later.moments);
    }

    /// The weights are those of elements that were not pushed yet, of which other ranks have none.
    fn write_state(&self, bytes: &mut Vec<u8>) -> Result<()> {
        self.moments.encode_message(bytes);
        Ok(())
    }

    fn read_state(bytes: &mut &[u8]) -> Option<Self> {
        let moments = WeightedMoments::decode_message(bytes)?;
        Some(Self { weights: &[], schedule: ByWeight::default(), moments })
    }
}

/// The serialized form.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename = "WeightedMoments")]
struct WeightedMomentsRepr {
    skip_nan: bool,
    #[serde(deserialize_with = "super::serde_checks::count")]
    count: u64,
    sum: f64,
    is_undefined: bool,
    sums: running_sums::RunningSumsRepr,
}

#[cfg(feature = "serde")]
impl From<WeightedMoments> for WeightedMomentsRepr {
    fn from(moments: WeightedMoments) -> Self {
        let WeightedMoments { skip_nan, count, sum, is_undefined, sums } = moments;
        Self { skip_nan, count, sum, is_undefined, sums: sums.into() }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<WeightedMomentsRepr> for WeightedMoments {
    type Error = String;

    fn try_from(parts: WeightedMomentsRepr) -> std::result::Result<Self, String> {
        let WeightedMomentsRepr { skip_nan, count, sum, is_undefined, sums } = parts;
        let sums = RunningSums::try_from(sums)?;
        if count == 0 && (sum != 0.0 || is_undefined || !sums.are_empty()) {
            Err("moments of an empty input must be zero".into())
        } else {
            Ok(Self { skip_nan, count, sum, is_undefined, sums })
        }
    }
}
