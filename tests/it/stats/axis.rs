//! Statistics along an axis against the plainest loops over each lane.

use ndarray::prelude::*;
use ndarray_mmap::stats::Element;
use ndarray_mmap::{ErrorKind, prelude::*};
use proptest::prelude::*;

use super::{Recipe, memories, noise, recipes};

/// What a lane should give, computed from its elements one by one.
struct Expected {
    numbers: Vec<f64>,
    nan_count: usize,
    first_min: Option<usize>,
    first_max: Option<usize>,
}

impl Expected {
    fn of<A: Element>(lane: ArrayView1<'_, A>) -> Self {
        let all: Vec<f64> = lane.iter().map(|x| x.to_f64()).collect();
        let numbers: Vec<_> = all.iter().copied().filter(|x| !x.is_nan()).collect();
        let place = |better: fn(f64, f64) -> bool| {
            (0..all.len())
                .filter(|&i| !all[i].is_nan())
                .reduce(|best, i| if better(all[i], all[best]) { i } else { best })
        };
        let (first_min, first_max) = (place(|x, least| x < least), place(|x, most| x > most));
        Self { nan_count: all.len() - numbers.len(), numbers, first_min, first_max }
    }

    fn power(&self, power: i32) -> f64 {
        let mean = self.mean();
        self.numbers.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / self.numbers.len() as f64
    }

    fn mean(&self) -> f64 {
        self.numbers.iter().sum::<f64>() / self.numbers.len() as f64
    }
}

#[track_caller]
fn near(found: f64, expected: f64, scale: f64) {
    assert!(
        found == expected
            || (found - expected).abs() <= 1e-11 * scale
            || (found.is_nan() && expected.is_nan()),
        "{found:e}, not {expected:e}"
    );
}

/// All statistics of all lanes along all axes.
fn check<A: Element<Sum: Into<Wide>>>(view: ArrayViewD<'_, A>, memory: usize) {
    for axis in (0..view.ndim()).map(Axis) {
        let chunked = || view.chunked().memory_limit(memory).skipnan();
        let expected = view.map_axis(axis, |lane| Expected::of(lane));
        if view.len_of(axis) == 0 {
            assert!(chunked().mean_axis(axis).is_err() && chunked().summary_axis(axis).is_err());
            assert_eq!(chunked().sum_axis(axis).unwrap().shape(), expected.shape());
            continue;
        }
        let summaries = chunked().summary_axis(axis).unwrap();
        let (vars, stds) =
            (chunked().var_axis(axis, 1.0).unwrap(), chunked().std_axis(axis, 0.0).unwrap());
        let (sums, means) = (chunked().sum_axis(axis).unwrap(), chunked().mean_axis(axis).unwrap());
        let (mins, maxs) = (chunked().min_axis(axis).unwrap(), chunked().max_axis(axis).unwrap());
        let lacking = expected.iter().any(|lane| lane.numbers.is_empty());
        assert_eq!(summaries.shape(), expected.shape());
        assert_eq!(chunked().argmin_axis(axis).is_err(), lacking);
        let any_nan = expected.iter().any(|lane| lane.nan_count > 0);
        assert_eq!(view.chunked().min_axis(axis).is_err(), any_nan);
        assert_eq!(view.chunked().argmax_axis(axis).is_err(), any_nan);
        let propagated = view.chunked().std_axis(axis, 0.0).unwrap();
        if !lacking {
            let firsts = expected.map(|lane| (lane.first_min.unwrap(), lane.first_max.unwrap()));
            assert_eq!(chunked().argmin_axis(axis).unwrap(), firsts.map(|first| first.0));
            assert_eq!(chunked().argmax_axis(axis).unwrap(), firsts.map(|first| first.1));
        }
        for (index, lane) in expected.indexed_iter() {
            let (summary, n) = (summaries[&index], lane.numbers.len() as f64);
            assert_eq!((summary.count as f64, summary.nan_count as usize), (n, lane.nan_count));
            let sum: f64 = lane.numbers.iter().sum();
            let size = lane.numbers.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
            near(sums[&index].into().0, sum, size * (n + 1.0));
            near(means[&index], lane.mean(), size);
            near(summary.mean, lane.mean(), size);
            near(stds[&index], lane.power(2).sqrt(), size);
            near(summary.std, lane.power(2).sqrt(), size);
            near(
                vars[&index],
                if n > 1.0 { lane.power(2) * n / (n - 1.0) } else { f64::NAN },
                size * size,
            );
            assert_eq!(propagated[&index].is_nan(), lane.nan_count > 0 || n == 0.0);
            if n == 0.0 {
                assert!(mins[&index].is_nan() && maxs[&index].is_nan() && summary.min.is_nan());
                continue;
            }
            assert_eq!(mins[&index].to_f64(), view_min(&lane.numbers));
            assert_eq!(
                maxs[&index].to_f64(),
                -view_min(&lane.numbers.iter().map(|x| -x).collect::<Vec<_>>())
            );
            assert_eq!((summary.min, summary.max), (mins[&index], maxs[&index]));
            if lane.power(2) > 1e-6 * size * size {
                near(summary.skewness, lane.power(3) / lane.power(2).powf(1.5), 1e4);
                near(summary.kurtosis, lane.power(4) / lane.power(2).powi(2), 1e4);
            }
        }
    }
}

fn view_min(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Sums are `f64` or `i128`.
struct Wide(f64);

impl From<f64> for Wide {
    fn from(sum: f64) -> Self {
        Self(sum)
    }
}

impl From<i128> for Wide {
    fn from(sum: i128) -> Self {
        Self(sum as f64)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..Default::default() })]
    #[test]
    fn axis_statistics_equal_plain_loops(recipe in recipes(), memory in memories()) {
        check(recipe.view(&recipe.array()), memory);
    }

    #[test]
    fn axis_statistics_of_integers_and_half_floats(recipe in recipes(), memory in memories()) {
        let array = Recipe { nans: 0.0, ..recipe.clone() }.array();
        check(recipe.view(&array.mapv(|x| x as i64 - 100)), memory);
        check(recipe.view(&array.mapv(|x| (x + 130.0) as u8)), memory);
        check(recipe.view(&array.mapv(|x| x as f32)), memory);
        check(recipe.view(&array.mapv(|x| x as i8)), memory);
    }
}

#[test]
fn extrema_equal_to_initial_values_are_found() {
    let table = array![[f64::INFINITY, f64::NEG_INFINITY], [f64::INFINITY, f64::NEG_INFINITY]];
    let wide = Array2::from_shape_fn((4, 20), |(_, j)| table[[0, j % 2]]);
    for table in [table, wide] {
        for axis in [Axis(0), Axis(1)] {
            assert_eq!(
                table.chunked().min_axis(axis).unwrap(),
                table.map_axis(axis, |lane| view_min(&lane.to_vec()))
            );
        }
        assert!(table.chunked().argmin_axis(Axis(0)).unwrap().iter().all(|&place| place == 0));
        assert!(table.chunked().argmax_axis(Axis(0)).unwrap().iter().all(|&place| place == 0));
    }
    let integers = Array2::from_elem((300, 9), u64::MAX);
    assert!(integers.chunked().argmin_axis(Axis(0)).unwrap().iter().all(|&place| place == 0));
    assert!(integers.chunked().min_axis(Axis(0)).unwrap().iter().all(|&min| min == u64::MAX));
    assert_eq!(integers.chunked().sum_axis(Axis(0)).unwrap()[8], 300 * i128::from(u64::MAX));
    let least = Array2::from_elem((300, 9), i64::MIN);
    assert_eq!(least.chunked().sum_axis(Axis(0)).unwrap()[8], 300 * i128::from(i64::MIN));
    assert_eq!(least.chunked().sum_axis(Axis(1)).unwrap()[299], 9 * i128::from(i64::MIN));
}

#[test]
fn axis_statistics_of_empty_shapes() {
    let is_empty =
        |error: ndarray_mmap::Error| matches!(error.kind(), ErrorKind::EmptyInput { .. });
    let table = Array3::<f32>::zeros((4, 0, 3));
    assert_eq!(table.chunked().mean_axis(Axis(0)).unwrap().shape(), [0, 3]);
    assert_eq!(table.chunked().sum_axis(Axis(1)).unwrap(), Array2::<f64>::zeros((4, 3)));
    assert!(is_empty(table.chunked().mean_axis(Axis(1)).unwrap_err()));
    assert!(is_empty(table.chunked().argmax_axis(Axis(1)).unwrap_err()));
}

#[test]
#[should_panic(expected = "axis 2 is out of bounds for an array of 2 dimensions")]
fn axis_out_of_bounds_panics() {
    let _ = Array2::<f64>::zeros((3, 3)).chunked().mean_axis(Axis(2));
}

/// Far from zero, and with an outlier as the first element, which deviations are taken from.
#[test]
fn axis_variances_far_from_zero_are_exact() {
    let table = Array2::from_shape_fn((100_000, 10), |(i, j)| 1e9 + ((i * 7 + j) % 16) as f64);
    let expected = (85.0_f64 / 4.0).sqrt();
    for std in table.chunked().std_axis(Axis(0), 0.0).unwrap() {
        assert!((std / expected - 1.0).abs() < 1e-12, "{std}");
    }
    let mut table = Array2::from_shape_fn((256, 16), |(i, _)| (i % 16) as f64);
    table.row_mut(0).fill(1e8);
    let expected = table.column(0).std(0.0);
    for std in table.chunked().std_axis(Axis(0), 0.0).unwrap() {
        assert!((std / expected - 1.0).abs() < 1e-12, "{std} {expected}");
    }
}

/// Parts of the axis are merged lane by lane.
#[test]
fn merged_axis_partitions_equal_the_whole() {
    use ndarray_mmap::stats::ArgMinMax;
    let mut noise = noise(5);
    let table = Array2::from_shape_simple_fn((2_000, 20), || (noise() * 1000.0).floor());
    for axis in [Axis(0), Axis(1)] {
        let parts = (0..3).map(|part| {
            table.chunked().partition(part, 3).accumulate_axis(axis, ArgMinMax::new).unwrap()
        });
        let merged = parts.reduce(|mut all, part| {
            all.iter_mut().zip(part).for_each(|(all, part)| all.merge(part));
            all
        });
        assert_eq!(merged.unwrap(), table.chunked().accumulate_axis(axis, ArgMinMax::new).unwrap());
    }
    let second = table.chunked().partition(1, 2).argmin_axis(Axis(0)).unwrap();
    assert!(second.iter().zip(table.columns()).all(|(&place, column)| {
        place >= 1_000 && column[place] == view_min(&column.slice(s![1_024..]).to_vec())
    }));
    let _: Vec<_> = table
        .chunked()
        .accumulate_axis(Axis(0), || (ArgMinMax::new(),))
        .unwrap()
        .map(|x| x.0)
        .to_vec();
}
