//! Moments against exact arithmetic on the stored values: means far from zero, any scale, weights, merged and saved parts.

use ndarray::prelude::*;
use ndarray_mmap::prelude::*;
use ndarray_mmap::stats::{Element, Moments, Sum, WeightedMoments};
use num_bigint::{BigInt, Sign};
use proptest::prelude::*;

/// A number of arbitrary size and precision: `digits * 2^exponent`.
#[derive(Clone, Debug)]
struct Exact {
    digits: BigInt,
    exponent: i64,
}

impl Exact {
    fn new(value: f64) -> Self {
        assert!(value.is_finite());
        let bits = value.to_bits();
        let (field, fraction) = ((bits >> 52 & 0x7FF) as i64, bits & ((1 << 52) - 1));
        let (digits, exponent) =
            if field == 0 { (fraction, -1074) } else { (fraction | 1 << 52, field - 1075) };
        let digits = BigInt::from(digits) * if value < 0.0 { -1 } else { 1 };
        Self { digits, exponent }
    }

    fn integer(value: impl Into<BigInt>) -> Self {
        Self { digits: value.into(), exponent: 0 }
    }

    /// The digits in units of a smaller power of two.
    fn at(&self, exponent: i64) -> BigInt {
        self.digits.clone() << (self.exponent - exponent) as usize
    }

    fn plus(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        Self { digits: self.at(exponent) + other.at(exponent), exponent }
    }

    fn minus(&self, other: &Self) -> Self {
        self.plus(&Self { digits: -other.digits.clone(), exponent: other.exponent })
    }

    fn times(&self, other: &Self) -> Self {
        Self { digits: &self.digits * &other.digits, exponent: self.exponent + other.exponent }
    }

    fn power(&self, power: u32) -> Self {
        Self { digits: self.digits.pow(power), exponent: self.exponent * i64::from(power) }
    }

    fn is_zero(&self) -> bool {
        self.digits.sign() == Sign::NoSign
    }

    /// The quotient to 60 bits and more, as an integer and an exponent.
    fn over(&self, other: &Self) -> Self {
        let shift = 70 + other.digits.bits().saturating_sub(self.digits.bits()) as i64;
        Self {
            digits: (self.digits.clone() << shift as usize) / &other.digits,
            exponent: self.exponent - shift - other.exponent,
        }
    }

    /// As an `f64`, near enough for a magnitude.
    fn rough(&self) -> f64 {
        let bits = self.digits.bits() as i64;
        let drop = (bits - 60).max(0);
        let digits: i64 = (self.digits.clone() >> drop as usize).try_into().unwrap();
        let (half, exponent) = ((self.exponent + drop) / 2, self.exponent + drop);
        let power = |exponent: i64| 2_f64.powi(exponent.clamp(-2_000, 2_000) as i32);
        digits as f64 * power(half) * power(exponent - half)
    }

    /// By how much a number is off, relative to this one and in terms of a number of it.
    fn error(&self, found: f64) -> f64 {
        if !found.is_finite() {
            return f64::INFINITY;
        }
        let off = Self::new(found).minus(self);
        match (off.is_zero(), self.is_zero()) {
            (true, _) => 0.0,
            (false, true) => f64::INFINITY,
            _ => off.over(self).rough().abs(),
        }
    }
}

/// The exact weight, mean times weight, and weighted central moments times powers of the weight.
struct Moment {
    weight: Exact,
    sum: Exact,
    /// `sum(w * (W x - sum)^k)`, which is `W^k` times the sum of powers of deviations.
    powers: [Exact; 5],
    /// The same of magnitudes, as which rounding errors are.
    sizes: [Exact; 5],
}

impl Moment {
    fn of(pairs: &[(Exact, Exact)]) -> Self {
        let zero = || Exact::integer(0);
        let (mut weight, mut sum) = (zero(), zero());
        for (x, w) in pairs {
            weight = weight.plus(w);
            sum = sum.plus(&w.times(x));
        }
        let (mut powers, mut sizes) = ([(); 5].map(|()| zero()), [(); 5].map(|()| zero()));
        for (x, w) in pairs {
            let deviation = weight.times(x).minus(&sum);
            let magnitude =
                Exact { digits: deviation.digits.magnitude().clone().into(), ..deviation.clone() };
            for power in 0..5 {
                powers[power] = powers[power].plus(&w.times(&deviation.power(power as u32)));
                sizes[power] = sizes[power].plus(&w.times(&magnitude.power(power as u32)));
            }
        }
        Self { weight, sum, powers, sizes }
    }

    fn mean(&self) -> Exact {
        self.sum.over(&self.weight)
    }

    /// The variance with a `ddof` of 0.
    fn var(&self) -> Exact {
        self.powers[2].over(&self.weight.power(3))
    }

    /// How far a skewness is off, in terms of the third absolute moment.
    fn skewness_error(&self, found: f64) -> f64 {
        let [second, third, size] =
            [&self.powers[2], &self.powers[3], &self.sizes[3]].map(|sum| sum.over(&self.weight));
        let scale = size.power(2).over(&second.power(3)).rough();
        let exact = third.power(2).over(&second.power(3));
        let sign = if third.digits.sign() == Sign::Minus { -1.0 } else { 1.0 };
        let exact = sign * exact.rough().sqrt();
        (found - exact).abs() / scale.sqrt()
    }

    fn kurtosis(&self) -> Exact {
        let [second, fourth] = [&self.powers[2], &self.powers[4]].map(|sum| sum.over(&self.weight));
        fourth.over(&second.power(2))
    }
}

/// The bound of relative errors of variances.
const SMALL: f64 = 1e-14;

/// Checks a result, which is rounded to the least subnormal number or is infinite where the exact one is out of range.
#[track_caller]
fn near(exact: &Exact, found: f64, what: &str) {
    near_within(SMALL, exact, found, what);
}

#[track_caller]
fn near_within(bound: f64, exact: &Exact, found: f64, what: &str) {
    assert!(!found.is_nan(), "{what} is NaN, exact {:e}", exact.rough());
    let error = exact.error(found);
    let is_out_of_range = match found {
        f64::INFINITY => !is_less(exact, &Exact::new(f64::MAX)),
        _ if found.abs() >= f64::MIN_POSITIVE => false,
        _ => {
            let ends = [found.next_down(), found.next_up()].map(Exact::new);
            is_less(&ends[0], exact) && is_less(exact, &ends[1])
        }
    };
    assert!(
        error <= bound || is_out_of_range,
        "{what} {found:e} is off by {error:e}; exact {:e}",
        exact.rough()
    );
}

fn is_less(a: &Exact, b: &Exact) -> bool {
    a.minus(b).digits.sign() == Sign::Minus
}

/// Checks a result whose exact square is given.
#[track_caller]
fn near_root(exact: &Exact, found: f64, what: &str) {
    assert!(found.is_finite(), "{what} is {found}");
    let square = Exact::new(found).power(2);
    let error = square.minus(exact).over(exact).rough().abs();
    let is_rounded = found < f64::MIN_POSITIVE && {
        let ends = [found.next_down(), found.next_up()].map(|x| Exact::new(x).power(2));
        is_less(&ends[0], exact) && is_less(exact, &ends[1])
    };
    assert!(error <= 2.0 * SMALL || is_rounded, "{what} {found:e} is off by {error:e}");
}

fn ones(values: &[f64]) -> Vec<(Exact, Exact)> {
    values.iter().map(|&x| (Exact::new(x), Exact::integer(1))).collect()
}

#[track_caller]
fn check_moments(moments: &Moments<4>, exact: &Moment, what: &str) {
    if !exact.powers[2].is_zero() {
        near(&exact.var(), moments.var(0.0), what);
        near_root(&exact.var(), moments.std(0.0), what);
        near_within(2.0 * SMALL, &exact.kurtosis(), moments.kurtosis(), what);
        let error = exact.skewness_error(moments.skewness());
        assert!(error <= SMALL, "{what}: skewness {} is off by {error:e}", moments.skewness());
    } else {
        assert_eq!(moments.var(0.0), 0.0, "{what}");
    }
}

/// Every way to the moments of some values.
fn check(values: &[f64], memory: usize) {
    let exact = Moment::of(&ones(values));
    let array = aview1(values);
    let moments = array.chunked().memory_limit(memory).accumulate(Moments::<4>::new).unwrap();
    check_moments(&moments, &exact, "accumulated");
    let summary = array.chunked().memory_limit(memory).summary().unwrap();
    if !exact.powers[2].is_zero() {
        near(&exact.var(), array.chunked().memory_limit(memory).var(0.0).unwrap(), "var");
        near(&exact.var(), summary.var, "summary");
        near_within(2.0 * SMALL, &exact.kurtosis(), summary.kurtosis, "summary");
        near_root(&exact.var(), array.chunked().std(0.0).unwrap(), "std");
    }

    let mut pushed = Moments::<4>::new();
    values.iter().for_each(|x| pushed.push(x));
    check_moments(&pushed, &exact, "pushed");

    let mut merged = Moments::<4>::new();
    for part in values.chunks(values.len().div_ceil(7)) {
        let mut one = Moments::new();
        one.push_slice(part);
        merged.merge(one);
    }
    check_moments(&merged, &exact, "merged");

    // Lanes that are rows, columns, and with a weight of 1 for each.
    let copies = 9;
    let table =
        Array2::from_shape_fn((values.len(), copies), |(i, j)| values[(i + j) % values.len()]);
    for view in [table.view(), table.t()] {
        let axis = Axis(usize::from(view.nrows() == copies && values.len() != copies));
        if exact.powers[2].is_zero() {
            continue;
        }
        let chunked = || view.chunked().memory_limit(memory);
        let weights = Array1::from_elem(view.len_of(axis), 2.0);
        let vars = chunked().var_axis(axis, 0.0).unwrap();
        let weighted = chunked().weighted_var_axis(axis, &weights, 0.0).unwrap();
        for (lane, summary) in chunked().summary_axis(axis).unwrap().indexed_iter() {
            near(&exact.var(), summary.var, "summary_axis");
            near_within(2.0 * SMALL, &exact.kurtosis(), summary.kurtosis, "summary_axis");
            near(&exact.var(), vars[lane], "var_axis");
            near(&exact.var(), weighted[lane], "weighted_var_axis");
        }
    }
}

fn noise(len: usize, seed: u64) -> Vec<f64> {
    let mut noise = super::noise(seed);
    (0..len).map(|_| noise() + noise() + noise() + noise() - 2.0).collect()
}

#[test]
fn variance_far_from_zero_is_exact() {
    let seconds: Vec<_> = (0..16_384).map(|i| 1.7e9 + f64::from(i) * 0.001).collect();
    check(&seconds, usize::MAX);
    check(&noise(20_000, 1).iter().map(|x| 1e12 + x).collect::<Vec<_>>(), usize::MAX);
    check(&noise(20_000, 2).iter().map(|x| 2_460_000.5 + 1e-5 * x).collect::<Vec<_>>(), usize::MAX);
    check(&(0..1_000).map(|i| 1.7e9 + f64::from(i % 10) / 8.0).collect::<Vec<_>>(), usize::MAX);
    // An ulp apart.
    check(&(0..30_000).map(|i| 1e15 + f64::from(i % 3) * 0.125).collect::<Vec<_>>(), usize::MAX);
    check(
        &(0..30_000).map(|i| if i == 7 { 1e10 } else { f64::from(i % 5) }).collect::<Vec<_>>(),
        usize::MAX,
    );
    // The first element is an outlier; the array begins elsewhere than it goes on.
    check(
        &(0..700).map(|i| if i == 0 { 1e20 } else { f64::from(i % 5) }).collect::<Vec<_>>(),
        usize::MAX,
    );
    check(
        &(0..40_000)
            .map(|i| if i < 20_000 { 1e-3 } else { 1e9 + f64::from(i) })
            .collect::<Vec<_>>(),
        usize::MAX,
    );
}

#[test]
fn moments_at_any_scale_are_exact() {
    for scale in [1e-320, 1e-300, 1e-161, 1e-81, 1e-45, 1e70, 1e100, 1e150, 1e153] {
        check(&noise(3_000, 3).iter().map(|x| x * scale).collect::<Vec<_>>(), usize::MAX);
        check(&[1.0, 2.0, 4.0].map(|x| x * scale), usize::MAX);
        // Among zeros, and among others that are larger.
        check(
            &(0..900)
                .map(|i| if i % 7 == 6 { scale * f64::from(i) } else { 0.0 })
                .collect::<Vec<_>>(),
            usize::MAX,
        );
        check(
            &(0..900)
                .map(|i| if i % 300 == 299 { scale * 1e3 } else { scale * f64::from(i) })
                .collect::<Vec<_>>(),
            usize::MAX,
        );
    }
    let large = [1e308, 1e308, 1.1e308];
    let moments = aview1(&large).chunked().accumulate(Moments::<4>::new).unwrap();
    let exact = Moment::of(&ones(&large));
    near(&exact.mean(), moments.mean(), "mean");
    near(&exact.mean(), aview1(&large).chunked().mean().unwrap(), "mean");
    near_within(2.0 * SMALL, &exact.kurtosis(), moments.kurtosis(), "kurtosis");
    near_root(&exact.var(), moments.std(0.0), "std");
    assert_eq!(moments.var(0.0), f64::INFINITY);
    for value in [1e300, 1e308, f64::MAX, -1e308, 5e-324, 1e-310] {
        let array = Array2::from_elem((300, 100), value);
        assert_eq!(array.chunked().var(0.0).unwrap(), 0.0);
        for mean in [array.chunked().mean().unwrap(), array.chunked().summary().unwrap().mean] {
            near(&Exact::new(value), mean, "mean");
        }
        for axis in [Axis(0), Axis(1)] {
            array
                .chunked()
                .mean_axis(axis)
                .unwrap()
                .iter()
                .for_each(|&mean| near(&Exact::new(value), mean, "mean_axis"));
        }
        assert_eq!(array.chunked().weighted_mean(&array.mapv(|_| 0.1)).unwrap(), value);
        assert_eq!(array.chunked().accumulate(Moments::<2>::new).unwrap().mean(), value);
        assert_eq!(array.chunked().central_moment(2).unwrap(), 0.0);
        assert_eq!(array.chunked().central_moments(4).unwrap()[2..], [0.0; 3]);
        for axis in [Axis(0), Axis(1)] {
            assert!(array.chunked().var_axis(axis, 0.0).unwrap().iter().all(|&var| var == 0.0));
            let weights = Array1::from_elem(array.len_of(axis), 3.0);
            assert!(
                array
                    .chunked()
                    .weighted_var_axis(axis, &weights, 0.0)
                    .unwrap()
                    .iter()
                    .all(|&var| var == 0.0)
            );
            let means = array.chunked().weighted_mean_axis(axis, &weights).unwrap();
            assert!(means.iter().all(|&mean| mean == value), "{means}");
        }
    }
    assert_eq!(array![1e308, 1e308].chunked().weighted_var(&array![1.0, 1.0], 0.0).unwrap(), 0.0);
}

#[test]
fn kurtosis_and_correlation_of_small_numbers_are_exact() {
    let values = [1.0, 2.0, 4.0, 7.0].map(|x| x * 1e-81);
    near_within(
        2.0 * SMALL,
        &Moment::of(&ones(&values)).kurtosis(),
        aview1(&values).chunked().kurtosis().unwrap(),
        "kurtosis",
    );
    for scale in [5e-324, 1e-161, 1e-300, 1.0, 1e100, 1e307] {
        let table = array![[1.0 * scale, 2.0 * scale, 4.0 * scale], [1.0, 2.0, 3.0]];
        let found = table.chunked().pearson_correlation().unwrap()[[0, 1]];
        super::close(found, 0.981_980_506_061_965_7, 1e-15 + 3e-17);
    }
}

#[test]
fn elements_of_weight_zero_have_no_effect() {
    let base = [1.7e9, 1.7e9 + 1.0, 1.7e9 + 2.0, 1.7e9 + 3.0];
    for fill in [0.0, 1e10, 1e20, -1e300, f64::MAX, f64::MIN, 9.969_209_968_386_869e36] {
        for (small, base) in [(0.0, base), (0.0, [1.0, 2.0, 3.0, 4.0])] {
            // Alone, in many columns, and in the middle of a long lane.
            let values: Vec<f64> = std::iter::once(fill).chain(base).collect();
            let weights = array![small, 1.0, 1.0, 1.0, 1.0];
            let table = Array2::from_shape_fn((5, 40), |(i, _)| values[i]);
            assert_eq!(
                aview1(&values).chunked().weighted_var(&weights, 0.0).unwrap(),
                1.25,
                "{fill}"
            );
            assert_eq!(
                table.chunked().weighted_var_axis(Axis(0), &weights, 0.0).unwrap(),
                Array1::from_elem(40, 1.25)
            );
            assert_eq!(
                table.t().chunked().weighted_var_axis(Axis(1), &weights, 0.0).unwrap()[3],
                1.25
            );
            assert_eq!(
                table.chunked().weighted_mean_axis(Axis(0), &weights).unwrap()[0],
                base[0] + 1.5
            );
            let long = Array2::from_shape_fn((2_000, 12), |(i, _)| values[i % 5]);
            let weights = Array1::from_shape_fn(2_000, |i| if i % 5 == 0 { small } else { 1.0 });
            near(
                &Exact::new(1.25),
                long.chunked().weighted_var_axis(Axis(0), &weights, 0.0).unwrap()[7],
                "weighted_var_axis",
            );
        }
    }
}

/// Weighted statistics of a few values, each way.
fn check_weighted(values: &[f64], weights: &[f64], memory: usize) {
    let pairs: Vec<_> =
        values.iter().zip(weights).map(|(&x, &w)| (Exact::new(x), Exact::new(w))).collect();
    let exact = Moment::of(&pairs);
    if exact.weight.is_zero() || exact.powers[2].is_zero() {
        return;
    }
    let (array, along) = (aview1(values), aview1(weights));
    let chunked = || array.chunked().memory_limit(memory);
    near(&exact.var(), chunked().weighted_var(&along, 0.0).unwrap(), "weighted_var");
    let mut pushed = WeightedMoments::new();
    values.iter().zip(weights).for_each(|(&x, &w)| pushed.push(&(x, w)));
    near(&exact.var(), pushed.var(0.0), "pushed");
    let mut merged = WeightedMoments::new();
    for part in values.iter().copied().zip(weights.iter().copied()).collect::<Vec<_>>().chunks(3) {
        let mut one = WeightedMoments::new();
        one.push_slice(part);
        merged.merge(one);
    }
    near(&exact.var(), merged.var(0.0), "merged");
    let table = Array2::from_shape_fn((values.len(), 10), |(i, _)| values[i]);
    for lanes in [
        table.chunked().memory_limit(memory).weighted_var_axis(Axis(0), &along, 0.0).unwrap(),
        table.t().chunked().memory_limit(memory).weighted_var_axis(Axis(1), &along, 0.0).unwrap(),
    ] {
        near(&exact.var(), lanes[4], "weighted_var_axis");
    }
}

#[test]
fn weighted_variance_with_weights_of_any_size_is_exact() {
    let latitudes: Vec<f64> = (0..181).map(|i| f64::from(i - 90).to_radians().cos()).collect();
    let field: Vec<f64> = noise(181, 4).iter().map(|x| 1.7e9 + x).collect();
    check_weighted(&field, &latitudes, usize::MAX);
    for weight in [1e-30, 1e-12, 1e-300, 1e300] {
        for fill in [1e10, 1e20, -1e15] {
            let values: Vec<f64> =
                (0..500).map(|i| if i % 50 == 0 { fill } else { f64::from(i % 7) }).collect();
            let weights: Vec<f64> =
                (0..500).map(|i| if i % 50 == 0 { weight } else { 1.0 }).collect();
            check_weighted(&values, &weights, usize::MAX);
        }
        check_weighted(
            &field,
            &latitudes.iter().map(|w| w * weight).collect::<Vec<_>>(),
            usize::MAX,
        );
    }
}

#[test]
fn variance_of_64_bit_integers_is_exact() {
    let base = 1_732_665_600_000_000_000_i64;
    for (start, step) in
        [(base, 1), (base, 1_000_003), (i64::MAX - 4_000, 1), (i64::MIN, 7), (-2_000, 1)]
    {
        let values: Vec<i64> =
            (0..4_000).map(|i| start + (i * 7_919 % 4_000) * step % 3_989).collect();
        let pairs: Vec<_> =
            values.iter().map(|&x| (Exact::integer(x), Exact::integer(1))).collect();
        let exact = Moment::of(&pairs);
        check_integers(&values, &exact);
        let unsigned: Vec<_> = values.iter().map(|&x| (x as u64) ^ (1 << 63)).collect();
        let pairs: Vec<_> =
            unsigned.iter().map(|&x| (Exact::integer(x), Exact::integer(1))).collect();
        check_integers(&unsigned, &Moment::of(&pairs));
    }
    let ends = [i64::MIN, i64::MAX, 0, -1];
    let pairs: Vec<_> = ends.iter().map(|&x| (Exact::integer(x), Exact::integer(1))).collect();
    check_integers(&ends, &Moment::of(&pairs));
}

fn check_integers<A: Element>(values: &[A], exact: &Moment) {
    let array = aview1(values);
    check_moments(&array.chunked().accumulate(Moments::new).unwrap(), exact, "integers");
    let mut pushed = Moments::<4>::new();
    values.iter().for_each(|x| pushed.push(x));
    check_moments(&pushed, exact, "integers pushed");
    let table = Array2::from_shape_fn((values.len(), 9), |(i, _)| values[i]);
    let lanes = table.chunked().accumulate_axis(Axis(0), Moments::<4>::new).unwrap();
    check_moments(&lanes[5], exact, "integers along an axis");
    let weights = Array1::from_elem(values.len(), 1_u8);
    near(
        &exact.var(),
        table.chunked().weighted_var_axis(Axis(0), &weights, 0.0).unwrap()[2],
        "weighted",
    );
    near(&exact.var(), array.chunked().weighted_var(&weights, 0.0).unwrap(), "weighted");
    let pair = ndarray::stack![Axis(0), array, array];
    near(&exact.var(), pair.chunked().cov(0.0).unwrap()[[0, 1]], "cov");
    near(&exact.var(), array.chunked().central_moment(2).unwrap(), "central moment");
}

/// The nearest `f64` of a fraction, found by trying.
fn is_nearest(found: f64, sum: i128, count: u64) -> bool {
    let off = |x: f64| {
        let difference = Exact::new(x).times(&Exact::integer(count)).minus(&Exact::integer(sum));
        Exact { digits: difference.digits.magnitude().clone().into(), ..difference }
    };
    let own = off(found);
    let [before, after] = [found.next_down(), found.next_up()].map(off);
    // Of two as near, the even one.
    let is_tie = own.minus(&before).is_zero() || own.minus(&after).is_zero();
    !is_less(&before, &own)
        && !is_less(&after, &own)
        && (!is_tie || found.to_bits().is_multiple_of(2))
}

#[test]
fn means_of_integers_are_rounded_once() {
    let values = array![9_007_199_254_740_993_i64, 9_007_199_254_740_994];
    assert_eq!(values.chunked().mean().unwrap(), 9_007_199_254_740_994.0);
    assert_eq!(values.chunked().summary().unwrap().mean, 9_007_199_254_740_994.0);
    let table = Array2::from_shape_fn((2, 20), |(i, _)| values[i]);
    assert_eq!(table.chunked().mean_axis(Axis(0)).unwrap()[19], 9_007_199_254_740_994.0);
    assert_eq!(table.t().chunked().mean_axis(Axis(1)).unwrap()[19], 9_007_199_254_740_994.0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 100, max_shrink_iters: 20, ..Default::default() })]
    #[test]
    fn means_of_integers_are_correctly_rounded(
        values in prop::collection::vec(prop_oneof![any::<i64>(), (1_i64 << 53)..(1 << 53) + 9, -3_i64..3, Just(i64::MIN)], 1..9),
        repeat in 1_usize..40,
    ) {
        let values: Vec<_> = values.iter().copied().cycle().take(values.len() * repeat).collect();
        let sum: i128 = values.iter().map(|&x| i128::from(x)).sum();
        let array = aview1(&values);
        prop_assert!(is_nearest(array.chunked().mean().unwrap(), sum, values.len() as u64));
        let unsigned: Vec<_> = values.iter().map(|&x| x as u64).collect();
        let sum: i128 = unsigned.iter().map(|&x| i128::from(x)).sum();
        let mut pushed = Sum::new();
        unsigned.iter().for_each(|x| pushed.push(x));
        prop_assert!(is_nearest(pushed.mean(), sum, values.len() as u64));
        let table = Array2::from_shape_fn((values.len(), 8), |(i, _)| unsigned[i]);
        prop_assert!(is_nearest(table.chunked().mean_axis(Axis(0)).unwrap()[7], sum, values.len() as u64));
    }

    #[test]
    fn moments_with_offset_scale_and_outliers_are_exact(
        offset in prop_oneof![Just(0.0), Just(1.7e9), Just(-1e15), Just(2_460_000.5), Just(1e-9)],
        spread in prop_oneof![Just(1.0), Just(1e-5), Just(1e6), Just(0.0)],
        scale in prop_oneof![4 => Just(1.0), 1 => Just(1e-200), 1 => Just(1e120), 1 => Just(2_f64.powi(-1000))],
        outlier in prop_oneof![Just(None), (0_usize..50, -1e12..1e12_f64).prop_map(Some)],
        len in 1_usize..1_500,
        seed in any::<u64>(),
        memory in super::memories(),
    ) {
        let mut values: Vec<_> = noise(len, seed).iter().map(|x| (offset + x * spread) * scale).collect();
        if let Some((place, value)) = outlier {
            values[place % len] = value * scale;
        }
        check(&values, memory);
    }

    #[test]
    fn weighted_moments_are_exact(
        offset in prop_oneof![Just(0.0), Just(1.7e9), Just(-1e15)],
        weights in prop_oneof![
            Just(vec![1.0, 2.0, 0.0]), Just(vec![1e-12, 1e-30, 1.0]), Just(vec![0.0, 0.0, 3.0, 1e-6]), Just(vec![1e100, 1.0]),
        ],
        fill in prop_oneof![Just(1.0), Just(1e20), Just(-1e10)],
        len in 1_usize..800,
        seed in any::<u64>(),
    ) {
        let of: Vec<_> = (0..len).map(|i| weights[(i * 7) % weights.len()]).collect();
        let draws = noise(len, seed);
        let values: Vec<_> = (0..len).map(|i| if of[i] < 1e-9 { fill } else { offset + draws[i] }).collect();
        check_weighted(&values, &of, usize::MAX);
    }

    #[test]
    fn covariances_are_exact(
        offset in prop_oneof![Just(0.0), Just(1e9), Just(-1.7e12)],
        spread in prop_oneof![Just(1.0), Just(1e-6), Just(1e3)],
        len in 2_usize..9_000,
        seed in any::<u64>(),
        memory in super::memories(),
    ) {
        let (a, b) = (noise(len, seed), noise(len, seed ^ 99));
        let table = Array2::from_shape_fn((3, len), |(i, j)| match i {
            0 => offset + a[j] * spread,
            1 => offset + (a[j] + b[j]) * spread,
            _ => -offset + b[j],
        });
        let found = table.chunked().memory_limit(memory).cov(0.0).unwrap();
        let correlation = table.chunked().memory_limit(memory).pearson_correlation().unwrap();
        let rows: Vec<Vec<Exact>> = table.outer_iter().map(|row| row.iter().map(|&x| Exact::new(x)).collect()).collect();
        let n = Exact::integer(len);
        let sums: Vec<_> = rows.iter().map(|row| row.iter().fold(Exact::integer(0), |sum, x| sum.plus(x))).collect();
        let exact = |i: usize, j: usize| {
            let products = rows[i].iter().zip(&rows[j]).fold(Exact::integer(0), |sum, (x, y)| sum.plus(&x.times(y)));
            n.times(&products).minus(&sums[i].times(&sums[j])).over(&n.power(2))
        };
        let vars: Vec<_> = (0..3).map(|i| exact(i, i)).collect();
        for i in 0..3 {
            for j in 0..3 {
                // Rounding errors are relative to the product of deviations.
                let scale = (vars[i].rough() * vars[j].rough()).sqrt();
                if scale == 0.0 {
                    continue;
                }
                let covariance = exact(i, j);
                let error = Exact::new(found[[i, j]]).minus(&covariance).rough().abs() / scale;
                prop_assert!(error <= SMALL, "{i} {j} {error:e}");
                let expected = covariance.rough() / scale;
                prop_assert!((correlation[[i, j]] - expected).abs() <= SMALL, "{} {expected}", correlation[[i, j]]);
            }
        }
    }
}

#[test]
fn infinite_elements_determine_moments() {
    let far = 1.7e308;
    for values in [
        vec![far, -far, f64::INFINITY],
        (0..34).map(|i| if i == 33 { f64::NEG_INFINITY } else { far }).collect(),
        [vec![f64::NEG_INFINITY], vec![0.0; 7], vec![far, far]].concat(),
    ] {
        let infinity: f64 = values.iter().filter(|x| x.is_infinite()).sum();
        let table = Array2::from_shape_fn((values.len(), 9), |(i, _)| values[i]);
        let mut pushed = Moments::<2>::new();
        values.iter().for_each(|x| pushed.push(x));
        let mut slice = Moments::<2>::new();
        slice.push_slice(&values);
        let rows = table.chunked().accumulate_axis(Axis(0), Moments::<2>::new).unwrap();
        assert_eq!([pushed.mean(), slice.mean(), rows[4].mean()], [infinity; 3], "{values:?}");
        assert!(pushed.var(0.0).is_nan() && slice.var(0.0).is_nan() && rows[4].var(0.0).is_nan());
        assert_eq!(table.chunked().mean_axis(Axis(0)).unwrap()[8], infinity);
        let weights = Array1::<f64>::ones(values.len());
        assert_eq!(table.chunked().weighted_mean_axis(Axis(0), &weights).unwrap()[8], infinity);
        assert_eq!(aview1(&values).chunked().weighted_mean(&weights).unwrap(), infinity);
    }
    let mut pushed = WeightedMoments::new();
    pushed.push(&(3.0, f64::INFINITY));
    assert!(pushed.mean().is_nan() && pushed.var(0.0).is_nan());
}

#[test]
fn high_moments_of_adjacent_floats_are_exact() {
    let near = array![9_007_199_254_740_992.0, 9_007_199_254_740_994.0];
    for order in [2, 20, 60, 100] {
        near_within(
            1e-12,
            &Exact::integer(1),
            near.chunked().central_moment(order).unwrap(),
            "central moment",
        );
    }
}
