//! Statistics of whole arrays against ndarray, ndarray-stats and certified values.

use ndarray::{IxDyn, ShapeBuilder, Slice, prelude::*};
use ndarray_mmap::stats::{Element, MinMax, Moments, Sum};
use ndarray_mmap::{Accumulator, ErrorKind, MmapArrayMut, prelude::*};
use ndarray_stats::SummaryStatisticsExt;
use proptest::prelude::*;

use super::{apart, close};

/// Data sets of the NIST Statistical Reference Datasets (univariate) that are given by formulas, with certified mean and
/// standard deviation.
#[test]
fn nist_certified_values() {
    let alternating = |middle: f64, step: f64, pairs: usize| {
        std::iter::once(middle + step)
            .chain((0..pairs).flat_map(move |_| [middle, middle + 2.0 * step]))
            .collect::<Array1<_>>()
    };
    for (name, data, mean, std, digits) in [
        ("NumAcc1", array![10_000_001.0, 10_000_003.0, 10_000_002.0], 10_000_002.0, 1.0, 1e-15),
        ("NumAcc2", alternating(1.1, 0.1, 500), 1.2, 0.1, 1e-14),
        ("NumAcc3", alternating(1_000_000.1, 0.1, 500), 1_000_000.2, 0.1, 2e-9),
        ("NumAcc4", alternating(10_000_000.1, 0.1, 500), 10_000_000.2, 0.1, 2e-8),
    ] {
        println!("{name}");
        close(data.chunked().mean().unwrap(), mean, 1e-15);
        // The data themselves are rounded to that many digits.
        close(data.chunked().std(1.0).unwrap(), std, digits);
        let summary = data.chunked().summary().unwrap();
        assert_eq!(
            (summary.mean, summary.count),
            (data.chunked().mean().unwrap(), data.len() as u64)
        );
    }
}

/// 10^8 values around 10^6, whose sum is known exactly.
#[test]
fn means_far_from_zero() {
    let shape = (10_000, 10_000);
    let mut data = MmapArrayMut::<f32, _>::scratch(shape).unwrap();
    // 0, 1, ..., 15 sixteenths.
    let sixteenths = |i: usize, j: usize| (i * 7 + j) % 16;
    data.chunked_mut()
        .indexed()
        .par_for_each(|(region, mut rows)| {
            let begin = region.range(Axis(0)).start;
            rows.indexed_iter_mut()
                .for_each(|((i, j), x)| *x = 1e6 + sixteenths(begin + i, j) as f32 / 16.0);
        })
        .unwrap();
    let (mut sum, mut squares) = (0_u64, 0_u64);
    for i in 0..16 {
        // Every row of 10,000 has each value 625 times.
        assert_eq!((0..10_000).filter(|&j| sixteenths(i, j) == 3).count(), 625);
    }
    for value in 0..16_u64 {
        sum += value;
        squares += value * value;
    }
    let mean = sum as f64 / 16.0;
    let variance = squares as f64 / 16.0 - mean * mean;
    close(data.chunked().mean().unwrap(), 1e6 + mean / 16.0, 1e-12);
    close(data.chunked().std(0.0).unwrap(), variance.sqrt() / 16.0, 1e-12);
    let summary = data.chunked().memory_limit(16 << 20).summary().unwrap();
    close(summary.var, variance / 256.0, 1e-12);
    close(summary.skewness, 0.0, 1e-9);
    assert_eq!((summary.min, summary.max), (1e6, 1e6 + 15.0 / 16.0));
}

#[test]
fn integers_at_the_limits_of_their_type() {
    fn all<A: Element<Sum = i128>>(low: A, high: A, low_wide: i128, high_wide: i128) {
        let data = Array1::from_shape_fn(100_003, |i| if i % 3 == 0 { low } else { high });
        let (lows, highs) = (33_335, 66_668);
        let sum = lows * low_wide + highs * high_wide;
        assert_eq!(data.chunked().sum().unwrap(), sum);
        close(data.chunked().mean().unwrap(), sum as f64 / 100_003.0, 1e-15);
        assert_eq!((data.chunked().min().unwrap(), data.chunked().max().unwrap()), (low, high));
        let share = lows as f64 / 100_003.0;
        let distance = high_wide as f64 - low_wide as f64;
        close(data.chunked().std(0.0).unwrap(), distance * (share * (1.0 - share)).sqrt(), 1e-12);
    }
    macro_rules! extremes {
        ($($integer:ty)*) => { $(all(<$integer>::MIN, <$integer>::MAX, <$integer>::MIN as i128, <$integer>::MAX as i128);)* };
    }
    extremes! { i8 i16 i32 i64 isize u8 u16 u32 u64 usize }
}

#[test]
fn empty_and_nan_input() {
    let empty = Array2::<f64>::zeros((0, 3));
    assert_eq!(empty.chunked().sum().unwrap(), 0.0);
    let is_empty = |kind: &ErrorKind| matches!(kind, ErrorKind::EmptyInput { .. });
    let is_undefined = |kind: &ErrorKind| matches!(kind, ErrorKind::UndefinedOrder { .. });
    assert!(is_empty(empty.chunked().mean().unwrap_err().kind()));
    assert!(is_empty(empty.chunked().std(0.0).unwrap_err().kind()));
    assert!(is_empty(empty.chunked().min().unwrap_err().kind()));
    assert!(is_empty(empty.chunked().summary().unwrap_err().kind()));

    let nan = Array1::from_elem(70_000, f64::NAN);
    assert!(nan.chunked().mean().unwrap().is_nan());
    assert!(is_undefined(nan.chunked().max().unwrap_err().kind()));
    assert!(is_empty(nan.chunked().skipnan().max().unwrap_err().kind()));
    assert!(is_empty(nan.chunked().skipnan().mean().unwrap_err().kind()));
    assert_eq!(nan.chunked().skipnan().sum().unwrap(), 0.0);
    assert!(is_empty(nan.chunked().summary().unwrap_err().kind()));

    for place in [0, 17, 33_333, 69_999] {
        let mut data = Array1::from_elem(70_000, 2.0_f32);
        data[place] = f32::NAN;
        assert!(is_undefined(data.chunked().min().unwrap_err().kind()));
        assert!(data.chunked().sum().unwrap().is_nan());
        assert!(data.chunked().std(0.0).unwrap().is_nan());
        assert_eq!(data.chunked().skipnan().min().unwrap(), 2.0);
        assert_eq!(data.chunked().skipnan().sum().unwrap(), 139_998.0);
        assert_eq!(data.chunked().skipnan().std(0.0).unwrap(), 0.0);
        let summary = data.chunked().summary().unwrap();
        assert_eq!((summary.count, summary.nan_count, summary.max), (70_000, 1, 2.0));
        assert!(summary.mean.is_nan() && summary.kurtosis.is_nan());
    }
    let one = array![3.0];
    assert_eq!((one.chunked().mean().unwrap(), one.chunked().std(0.0).unwrap()), (3.0, 0.0));
    assert!(one.chunked().std(1.0).unwrap().is_nan());
    let infinite = array![f64::INFINITY, 1.0, f64::NEG_INFINITY];
    assert_eq!(
        (infinite.chunked().min().unwrap(), infinite.chunked().max().unwrap()),
        (f64::NEG_INFINITY, f64::INFINITY)
    );
    assert!(infinite.chunked().mean().unwrap().is_nan());
    assert_eq!(infinite.slice(s![..2]).chunked().mean().unwrap(), f64::INFINITY);
    // The first of equal ones.
    assert!(array![0.0_f64, -0.0].chunked().min().unwrap().is_sign_positive());
    assert!(array![-0.0_f64, 0.0].chunked().min().unwrap().is_sign_negative());
    let denormal = Array1::from_elem(1_000, f64::from_bits(1));
    assert_eq!(denormal.chunked().sum().unwrap(), f64::from_bits(1_000));
}

#[test]
fn merged_files_equal_the_whole() {
    let data = Array1::from_iter((0..200_000).map(|i| f64::from(i % 977) * 0.3));
    let (first, second) = data.view().split_at(Axis(0), 70_001);
    let of = |view: ArrayView1<'_, f64>| {
        view.chunked().accumulate(|| (Moments::<4>::new(), Sum::new(), MinMax::new())).unwrap()
    };
    let mut merged = of(first);
    merged.merge(of(second));
    let (moments, sum, extremes) = merged;
    let summary = data.chunked().summary().unwrap();
    assert_eq!((moments.count(), extremes.range()), (200_000, Some((summary.min, summary.max))));
    close(sum.mean(), summary.mean, 1e-14);
    close(moments.var(0.0), summary.var, 1e-13);
    close(moments.kurtosis(), summary.kurtosis, 1e-12);
}

fn arrays() -> impl Strategy<Value = (ArrayD<f64>, Vec<isize>)> {
    let value = prop_oneof![20 => -1e3..1e3, 1 => Just(f64::NAN), 1 => Just(0.0), 1 => Just(1e6)];
    (
        prop::collection::vec((0_usize..7, prop_oneof![Just(1_isize), Just(-1), Just(2)]), 0..5),
        any::<bool>(),
    )
        .prop_flat_map(move |(axes, fortran)| {
            let shape: Vec<_> = axes.iter().map(|axis| axis.0).collect();
            let steps: Vec<_> = axes.iter().map(|axis| axis.1).collect();
            let count = shape.iter().product::<usize>();
            (prop::collection::vec(value.clone(), count), Just((shape, steps, fortran)))
        })
        .prop_map(|(values, (shape, steps, fortran))| {
            (ArrayD::from_shape_vec(IxDyn(&shape).set_f(fortran), values).unwrap(), steps)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
    #[test]
    fn statistics_without_nans_equal_ndarray_stats((array, steps) in arrays(), ddof in prop_oneof![Just(0.0), Just(1.0)]) {
        let view = array.slice_each_axis(|axis| Slice::new(0, None, steps[axis.axis.index()]));
        let numbers: Array1<f64> = view.iter().copied().filter(|x| !x.is_nan()).collect();
        let chunked = || view.chunked().skipnan();
        close(chunked().sum().unwrap(), numbers.sum(), 1e-9);
        if numbers.is_empty() {
            prop_assert!(chunked().mean().is_err() && chunked().summary().is_err());
            return Ok(());
        }
        let summary = chunked().summary().unwrap();
        prop_assert_eq!(summary.nan_count as usize, view.len() - numbers.len());
        let moments = numbers.central_moments(4).unwrap();
        prop_assert!((summary.mean - numbers.mean().unwrap()).abs() < 1e-9);
        prop_assert!(apart(summary.var, moments[2]) < 1e-9);
        prop_assert_eq!(summary.std.to_bits(), chunked().std(0.0).unwrap().to_bits());
        if summary.var > 1e-9 {
            prop_assert!((summary.skewness - numbers.skewness().unwrap()).abs() < 1e-6);
            prop_assert!(apart(summary.kurtosis, numbers.kurtosis().unwrap()) < 1e-6);
        }
        if numbers.len() > 1 {
            close(chunked().var(ddof).unwrap(), numbers.var(ddof), 1e-9);
        }
        prop_assert_eq!(summary.min, numbers.iter().copied().fold(f64::INFINITY, f64::min));
        prop_assert_eq!(chunked().max().unwrap(), numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        if numbers.len() < view.len() {
            prop_assert!(view.chunked().max().is_err() && view.chunked().sum().unwrap().is_nan());
        }
    }
}
