//! Sums of the powers of deviations at any scale.
#![forbid(unsafe_code)]

use crate::distributed::impl_message;
use crate::stats::central_sums::{CentralSums, LARGE, SMALL, is_large, is_small};
use crate::stats::double::{Double, exponent_above, factors, scaled};
use crate::stats::element::Element;
use crate::stats::kernels::{self, Pairs};

/// [`CentralSums`] scaled by powers of two, so that squares and fourth powers do not overflow or
/// underflow an `f64`.
///
/// The units are 1 unless magnitudes are extreme.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::stats) struct ScaledSums<const ORDER: usize> {
    pub(super) sums: CentralSums<ORDER>,
    /// The exponent of the unit of elements.
    pub(super) unit: i32,
    /// The exponent of the unit of weights.
    pub(super) weight_unit: i32,
}

impl_message! { ScaledSums<ORDER> { sums, unit, weight_unit } where [const ORDER: usize] }

impl<const ORDER: usize> ScaledSums<ORDER> {
    /// Returns the sums of one element with a weight other than 0, scaled if the element or the
    /// weight is extreme.
    pub(super) fn single(element: Double, weight: f64) -> Self {
        let unit = unit_of(element.hi.abs());
        let weight_unit = unit_of(weight.abs());
        Self {
            sums: CentralSums::single(element.scaled(-unit), scaled(weight, -weight_unit)),
            unit,
            weight_unit,
        }
    }

    /// Computes the sums of a slice; NaNs are skipped if `SKIP`.
    ///
    /// The slice is read twice while it is in the CPU cache: first for the mean, then for the
    /// deviations from it.
    pub(super) fn of_slice<A: Element, const SKIP: bool>(elements: &[A]) -> Self {
        let count = elements.len() as u64 - if SKIP { kernels::count_nan(elements) } else { 0 };
        if count == 0 {
            return Self::default();
        }
        let weight = count as f64;
        let rough = kernels::sum::<A, SKIP>(elements) / weight;
        let sums = around_mean::<A, ORDER>(rough, |origin| {
            CentralSums::around(weight, origin, kernels::powers::<A, ORDER, SKIP>(elements, origin))
        });
        let ordinary = Self { sums, ..Self::default() };
        if !A::HAS_WIDE_RANGE || is_ordinary(&sums) {
            return ordinary;
        }
        let Some((least, most, has_nan)) = kernels::min_max(elements) else { return ordinary };
        let largest = least.to_f64().abs().max(most.to_f64().abs());
        // Zeros and NaNs are common and need no scaling.
        if largest == 0.0 || has_nan && !SKIP {
            return ordinary;
        }
        let kept = elements
            .iter()
            .filter(|element| !(SKIP && element.is_nan()))
            .map(|element| element.to_f64());
        let unit = unit_of(largest);
        if unit == 0 {
            return Self { sums: with_special(sums, kept.filter(|x| !x.is_finite())), ..ordinary };
        }
        let [first, second] = factors(-unit);
        let elements: Vec<_> = kept.map(|element| element * first * second).collect();
        Self { unit, ..Self::of_slice::<f64, false>(&elements) }
    }

    /// Merges the sums of other elements.
    #[inline]
    pub(super) fn merge(&mut self, later: &Self) {
        if self.has_units() || later.has_units() {
            self.merge_in_units(later)
        } else {
            self.sums = self.sums.merged(later.sums)
        }
    }

    #[cold]
    fn merge_in_units(&mut self, later: &Self) {
        let [unit, weight_unit] = [
            (self.unit, later.unit, self.is_zero(), later.is_zero()),
            (self.weight_unit, later.weight_unit, self.weighs_nothing(), later.weighs_nothing()),
        ]
        .map(|units| match units {
            // Zeros need no scaling.
            (_, later, true, _) => later,
            (own, _, _, true) => own,
            (own, later, ..) => own.max(later),
        });
        self.sums = self.in_units(unit, weight_unit).merged(later.in_units(unit, weight_unit));
        (self.unit, self.weight_unit) = (unit, weight_unit);
    }

    /// Returns the sums in other units.
    fn in_units(&self, unit: i32, weight_unit: i32) -> CentralSums<ORDER> {
        let elements = self.unit - unit;
        let weights = self.weight_unit - weight_unit;
        let mut sums = self.sums;
        if elements != 0 || weights != 0 {
            sums.weight = sums.weight.scaled(weights);
            for (power, moment) in (1..).zip(&mut sums.moments) {
                *moment = moment.scaled(power * elements + if power > 1 { weights } else { 0 });
            }
        }
        sums
    }

    /// Returns whether units other than 1 are in use.
    #[inline(always)]
    pub(super) fn has_units(&self) -> bool {
        (self.unit, self.weight_unit) != (0, 0)
    }

    /// Returns whether all elements are 0, as far as the sums show.
    pub(super) fn is_zero(&self) -> bool {
        self.sums.moments.iter().all(|moment| moment.hi == 0.0)
    }

    fn weighs_nothing(&self) -> bool {
        self.sums.weight.hi == 0.0
    }

    /// Returns the sum of the weights.
    pub(super) fn weight(&self) -> f64 {
        scaled(self.sums.weight.value(), self.weight_unit)
    }

    /// Returns the mean.
    pub(super) fn mean(&self) -> f64 {
        scaled(self.sums.moments[0].value(), self.unit)
    }

    /// Returns the variance; NaN if the weight minus `ddof` is not positive.
    pub(super) fn var(&self, ddof: f64) -> f64 {
        scaled(self.var_in_units(ddof), 2 * self.unit)
    }

    /// Returns the standard deviation, which may be finite if the variance overflows.
    pub(super) fn std(&self, ddof: f64) -> f64 {
        scaled(self.var_in_units(ddof).sqrt(), self.unit)
    }

    fn var_in_units(&self, ddof: f64) -> f64 {
        let freedom = self.sums.weight.value() - scaled(ddof, -self.weight_unit);
        if freedom > 0.0 { self.sums.moments[1].value() / freedom } else { f64::NAN }
    }
}

#[cfg(feature = "serde")]
impl<const ORDER: usize> ScaledSums<ORDER> {
    /// Converts deserialized sums; fails if no elements have such sums.
    pub(super) fn read(
        [unit, weight_unit]: [i32; 2],
        sums: CentralSums<ORDER>,
    ) -> Result<Self, String> {
        let squares = sums.moments[1].hi;
        if squares < 0.0 {
            return Err(format!("invalid sum of squares: {squares}"));
        }
        let is_split = |number: &Double| {
            number.hi.is_finite() && number.hi + number.lo == number.hi || number.lo == 0.0
        };
        if !(is_split(&sums.weight) && sums.moments.iter().all(is_split)) {
            return Err("the low word of a double-double number must be at most half an ulp of the high word".into());
        }
        if sums.weight.hi == 0.0 && sums != CentralSums::default() {
            return Err("moments of an empty input must be zero".into());
        }
        let possible = unit_of(f64::from_bits(1))..=unit_of(f64::MAX);
        match [unit, weight_unit].iter().find(|unit| !possible.contains(unit)) {
            Some(unit) => Err(format!("invalid unit: 2^{unit}")),
            None => Ok(Self { sums, unit, weight_unit }),
        }
    }
}

impl ScaledSums<4> {
    /// Returns the skewness.
    pub(super) fn skewness(&self) -> f64 {
        let [_, second, third, _] = self.moments();
        third / (second * second.sqrt())
    }

    /// Returns the kurtosis.
    pub(super) fn kurtosis(&self) -> f64 {
        let [_, second, _, fourth] = self.moments();
        fourth / (second * second)
    }

    fn moments(&self) -> [f64; 4] {
        let weight = self.sums.weight.value();
        self.sums.moments.map(|sum| sum.value() / weight)
    }
}

impl ScaledSums<2> {
    /// Returns the number of pairs of an element and its weight, the weighted sum, and the central
    /// sums; pairs with a NaN are skipped if `SKIP`.
    pub(super) fn of_pairs<P: Pairs, const SKIP: bool>(pairs: P) -> (u64, f64, Self) {
        let [weight, sum, count] = kernels::weighted_sums::<P, SKIP>(pairs);
        let sums = around_mean::<P::Element, 2>(sum / weight, |origin| {
            CentralSums::around(weight, origin, kernels::weighted_powers::<P, SKIP>(pairs, origin))
        });
        let count = if SKIP { count as usize } else { pairs.len() } as u64;
        let ordinary = Self { sums, ..Self::default() };
        if is_ordinary(&sums) && (SMALL..=LARGE).contains(&weight) {
            return (count, sum, ordinary);
        }
        let is_kept = |(x, w): &(f64, f64)| *w != 0.0 && !(SKIP && (x.is_nan() || w.is_nan()));
        let all = (0..pairs.len()).map(|index| pairs.get(index));
        let kept = all.map(|(x, w)| (x.to_f64(), w.to_f64())).filter(is_kept);
        if kept.clone().next().is_none() {
            return (count, sum, Self::default());
        }
        let weight_unit = common_unit(kept.clone().map(|(_, w)| w)).unwrap_or(0);
        // Elements whose weight underflows in its unit do not affect the unit of elements.
        let kept = kept.map(|(x, w)| (x, scaled(w, -weight_unit))).filter(|&(_, w)| w != 0.0);
        let unit = common_unit(kept.clone().map(|(x, _)| x)).unwrap_or(0);
        if (unit, weight_unit) == (0, 0) {
            let product = |(x, w): (f64, f64)| if w.is_finite() { x * w } else { f64::NAN };
            let special = kept.map(product).filter(|product| !product.is_finite());
            return (count, sum, Self { sums: with_special(sums, special), ..ordinary });
        }
        let pairs: Vec<_> = kept.map(|(x, w)| (scaled(x, -unit), w)).collect();
        let (_, _, inner) = Self::of_pairs::<_, false>(&pairs[..]);
        (
            count,
            sum,
            Self { unit: unit + inner.unit, weight_unit: weight_unit + inner.weight_unit, ..inner },
        )
    }
}

/// Computes sums around the mean, given an approximation of it. If the approximation is so far off
/// that precision is lost, the sums are recomputed around the mean that they yield.
fn around_mean<A: Element, const ORDER: usize>(
    rough: f64,
    sums_around: impl Fn(Double) -> CentralSums<ORDER>,
) -> CentralSums<ORDER> {
    // An infinite sum may be an overflow of finite numbers.
    let origin = Double::new(if rough.is_finite() { rough } else { 0.0 });
    let sums = sums_around(origin);
    let [mean, squares, ..] = sums.moments[..] else { return sums };
    let shift = mean.plus(-origin.hi).value();
    if sums.weight.hi * shift * shift > squares.hi / 4.0 {
        sums_around(if A::IS_LONG { mean } else { Double::new(mean.hi) })
    } else {
        sums
    }
}

/// Sets the mean to the sum of infinities and NaNs, if there are any, because the sum of the other
/// elements may overflow.
fn with_special<const ORDER: usize>(
    mut sums: CentralSums<ORDER>,
    special: impl Iterator<Item = f64>,
) -> CentralSums<ORDER> {
    if let Some(mean) = special.reduce(|sum, x| sum + x) {
        sums.moments = [Double::new(f64::NAN); ORDER];
        sums.moments[0] = Double::new(mean);
    }
    sums
}

/// Returns whether sums in units of 1 are accurate.
fn is_ordinary<const ORDER: usize>(sums: &CentralSums<ORDER>) -> bool {
    let mean = sums.moments[0].hi.abs();
    let square = sums.moments[1].hi / sums.weight.hi;
    mean <= LARGE && square <= LARGE * LARGE && (mean >= SMALL || square >= SMALL * SMALL)
}

/// Returns the exponent of the unit in which a magnitude is moderate.
fn unit_of(magnitude: f64) -> i32 {
    if is_large(magnitude) || is_small(magnitude) { exponent_above(magnitude) } else { 0 }
}

/// Returns the exponent of the power of two that is the unit for some values: 0 for moderate values
/// and if one is infinite or NaN, `None` if all are 0.
pub(in crate::stats) fn common_unit(values: impl Iterator<Item = f64>) -> Option<i32> {
    let mut largest = 0.0_f64;
    for value in values {
        if !value.is_finite() {
            return Some(0);
        }
        largest = largest.max(value.abs());
    }
    (largest > 0.0).then(|| unit_of(largest))
}
