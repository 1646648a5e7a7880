//! Where elements are, weighted statistics, moments, histograms, covariances: against ndarray-stats and the plainest loops.

use ndarray::prelude::*;
use ndarray_mmap::stats::{Bins, Element, WeightedMoments};
use ndarray_mmap::{Error, ErrorKind, prelude::*};
use ndarray_stats::{CorrelationExt, SummaryStatisticsExt};
use proptest::prelude::*;

use super::{Recipe, close, memories, noise, recipes};

fn is_empty(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::EmptyInput { .. })
}

fn is_undefined(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::UndefinedOrder { .. })
}

/// In logical order, the first of the best.
fn first_best(view: &ArrayViewD<'_, f64>, better: fn(f64, f64) -> bool) -> Option<IxDyn> {
    let mut best: Option<(IxDyn, f64)> = None;
    for (index, &x) in view.indexed_iter() {
        if !x.is_nan() && best.as_ref().is_none_or(|&(_, most)| better(x, most)) {
            best = Some((index, x));
        }
    }
    best.map(|(index, _)| index)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 96, ..Default::default() })]

    /// Hits are in memory order for all element types and memory orders.
    #[test]
    fn argwhere_returns_hits_in_memory_order(
        recipe in recipes(),
        memory in memories(),
        limit in prop_oneof![0_usize..40, Just(usize::MAX)],
        least in prop_oneof![Just(-30.0), Just(0.0), Just(60.0), Just(68.5)],
    ) {
        let array = recipe.array();
        let view = recipe.view(&array);
        let mut axes: Vec<_> = (0..view.ndim()).collect();
        let distance = |axis: usize| if view.shape()[axis] > 1 { view.strides()[axis].unsigned_abs() } else { 0 };
        axes.sort_by_key(|&axis| std::cmp::Reverse(distance(axis)));
        let mut expected: Vec<_> =
            view.indexed_iter().filter(|(_, x)| **x >= least).map(|(index, &x)| (index, x)).collect();
        expected.sort_by_key(|(index, _)| axes.iter().map(|&axis| index[axis]).collect::<Vec<_>>());
        expected.truncate(limit);
        let found = view.chunked().memory_limit(memory).argwhere(limit, |&x| x >= least).unwrap();
        prop_assert_eq!(&found, &expected);
        let bytes = array.mapv(|x| if x >= least { 1_u8 } else { 0 });
        let found = recipe.view(&bytes).chunked().memory_limit(memory).argwhere(limit, |&x| x == 1).unwrap();
        let indices = |found: Vec<(IxDyn, u8)>| found.into_iter().map(|(index, _)| index).collect::<Vec<_>>();
        prop_assert_eq!(indices(found), expected.into_iter().map(|(index, _)| index).collect::<Vec<_>>());
    }

    #[test]
    fn indices_of_extrema_equal_plain_loops(recipe in recipes(), memory in memories(), limit in 0_usize..40) {
        let array = recipe.array();
        let view = recipe.view(&array);
        let chunked = || view.chunked().memory_limit(memory).skipnan();
        for (found, expected) in [
            (chunked().argmin(), first_best(&view, |x, least| x < least)),
            (chunked().argmax(), first_best(&view, |x, most| x > most)),
        ] {
            match expected {
                Some(index) => prop_assert_eq!(found.unwrap(), index),
                None => prop_assert!(is_empty(&found.unwrap_err())),
            }
        }
        if view.iter().any(|x| x.is_nan()) {
            prop_assert!(is_undefined(&view.chunked().argmin().unwrap_err()));
        }

        let wanted = |x: &f64| *x > 60.0;
        let expected: Vec<_> = view.indexed_iter().filter(|(_, x)| wanted(x)).map(|(index, &x)| (index, x)).collect();
        prop_assert_eq!(chunked().count_where(wanted).unwrap(), expected.len());
        let found = chunked().argwhere(usize::MAX, wanted).unwrap();
        prop_assert_eq!(chunked().argwhere(limit, wanted).unwrap(), &found[..limit.min(found.len())]);
        // In memory order.
        if view.is_standard_layout() {
            prop_assert_eq!(&found, &expected);
        }
        let mut sorted = found;
        sorted.sort_by(|(a, _), (b, _)| a.slice().cmp(b.slice()));
        prop_assert_eq!(sorted, expected);
    }

    #[test]
    fn weighted_statistics_equal_plain_loops(recipe in recipes(), memory in memories(), fortran in any::<bool>(), ddof in 0_u8..2) {
        let array = Recipe { nans: 0.0, ..recipe.clone() }.array();
        let view = recipe.view(&array);
        let mut noise = noise(recipe.seed ^ 77);
        let draw = || (noise() * 8.0).floor();
        let weights = ArrayD::from_shape_simple_fn(view.raw_dim().set_f(fortran), draw);
        let (chunked, ddof) = (|| view.chunked().memory_limit(memory), f64::from(ddof));
        if view.is_empty() {
            prop_assert_eq!(chunked().weighted_sum(&weights).unwrap(), 0.0);
            prop_assert!(is_empty(&chunked().weighted_mean(&weights).unwrap_err()));
            return Ok(());
        }
        let own = view.to_owned();
        close(chunked().weighted_sum(&weights).unwrap(), own.weighted_sum(&weights).unwrap(), 1e-10);
        close(chunked().weighted_mean(&weights).unwrap(), own.weighted_mean(&weights).unwrap(), 1e-10);
        if weights.sum() > 1.0 {
            // Not that of ndarray-stats, which gives NaN if the first weight is 0.
            let mean = own.weighted_mean(&weights).unwrap();
            let expected = (own.mapv(|x| (x - mean) * (x - mean)) * &weights).sum() / (weights.sum() - ddof);
            let scale = view.iter().map(|x| x * x).fold(1e-9, f64::max);
            prop_assert!((chunked().weighted_var(&weights, ddof).unwrap() - expected).abs() < 1e-10 * scale);
            close(chunked().weighted_std(&weights, ddof).unwrap(), chunked().weighted_var(&weights, ddof).unwrap().sqrt(), 0.0);
        }
        let integers = weights.mapv(|weight| weight as u8);
        prop_assert_eq!(
            chunked().weighted_mean(&integers).unwrap().to_bits(), chunked().weighted_mean(&weights).unwrap().to_bits()
        );
        for axis in (0..view.ndim()).map(Axis) {
            let weights = Array1::from_shape_fn(view.len_of(axis), |i| (1 + i % 5) as f64);
            let found = chunked().weighted_mean_axis(axis, &weights).unwrap();
            let expected = view.map_axis(axis, |lane| lane.dot(&weights) / weights.sum());
            prop_assert!(found.abs_diff_eq(&expected, 1e-9));
            let found = chunked().weighted_var_axis(axis, &weights, 0.0).unwrap();
            let expected = view.map_axis(axis, |lane| {
                let mean = lane.dot(&weights) / weights.sum();
                lane.mapv(|x| (x - mean) * (x - mean)).dot(&weights) / weights.sum()
            });
            prop_assert!(found.abs_diff_eq(&expected, 1e-8));
            prop_assert!(chunked().weighted_sum_axis(axis, &Array1::<f64>::zeros(view.len_of(axis) + 1)).is_err());
        }
    }

    #[test]
    fn central_moments_equal_plain_loops(recipe in recipes(), memory in memories()) {
        let array = recipe.array();
        let view = recipe.view(&array);
        let chunked = || view.chunked().memory_limit(memory).skipnan();
        let numbers: Array1<f64> = view.iter().copied().filter(|x| !x.is_nan()).collect();
        if numbers.is_empty() {
            prop_assert!(is_empty(&chunked().central_moments(3).unwrap_err()));
            return Ok(());
        }
        let (found, expected) = (chunked().central_moments(7).unwrap(), numbers.central_moments(7).unwrap());
        for (order, (found, expected)) in found.iter().zip(&expected).enumerate() {
            prop_assert!((found - expected).abs() <= 1e-10 * 100_f64.powi(order as i32), "{order}: {found} {expected}");
        }
        prop_assert_eq!(chunked().central_moment(2).unwrap(), found[2]);
        if found[2] > 0.0 {
            prop_assert!((chunked().skewness().unwrap() - expected[3] / expected[2].powf(1.5)).abs() < 1e-6);
            close(chunked().kurtosis().unwrap(), expected[4] / expected[2].powi(2), 1e-6);
        }
    }

    #[test]
    fn histograms_equal_plain_loops(recipe in recipes(), memory in memories(), bins in 1_usize..30) {
        let array = recipe.array();
        let view = recipe.view(&array);
        let chunked = || view.chunked().memory_limit(memory).skipnan();
        let edges: Vec<f64> = (0..=bins).map(|i| f64::from(i as u8) * 2.5 - 20.0).collect();
        let is_in = |x: f64, bin: usize| edges[bin] <= x && (x < edges[bin + 1] || (bin == bins - 1 && x == edges[bins]));
        let histogram = chunked().histogram(Bins::edges(&edges[..])).unwrap();
        for (bin, &count) in histogram.counts().iter().enumerate() {
            prop_assert_eq!(count as usize, view.iter().filter(|&&x| is_in(x, bin)).count());
        }
        prop_assert_eq!(histogram.underflow() as usize, view.iter().filter(|&&x| x < -20.0).count());
        prop_assert_eq!(histogram.nan_count() as usize, view.iter().filter(|&&x| x.is_nan()).count());
        let over = chunked().histogram(Bins::uniform(bins, -20.0..=edges[bins])).unwrap();
        prop_assert_eq!((over.counts(), over.underflow(), over.overflow()), (histogram.counts(), histogram.underflow(), histogram.overflow()));
        if histogram.nan_count() > 0 {
            prop_assert!(is_undefined(&view.chunked().histogram(Bins::edges(&edges[..])).unwrap_err()));
            prop_assert!(is_undefined(&view.chunked().histogram(bins).unwrap_err()));
        }
        if view.iter().all(|x| x.is_nan()) {
            prop_assert!(is_empty(&chunked().histogram(bins).unwrap_err()));
        } else {
            let found = chunked().histogram(bins).unwrap();
            prop_assert_eq!(found.counts().iter().sum::<u64>() + found.nan_count(), view.len() as u64);
        }

        // Of two arrays, whose layouts differ.
        let other = view.mapv(|x| (x as i64 % 7) as i32);
        let both = view.chunked().and(&other).unwrap().memory_limit(memory).skipnan();
        let (rows, columns) = (Bins::edges(&edges[..]), Bins::uniform(3, 0.0..=6.0));
        let fields = both.histogram2d(rows, columns).unwrap();
        let mut expected = Array2::<u64>::zeros((bins, 3));
        for (&x, &y) in view.iter().zip(&other) {
            let row = (0..bins).find(|&bin| is_in(x, bin));
            if let (Some(row), 0..=6) = (row, y) {
                expected[[row, (y as usize / 2).min(2)]] += 1;
            }
        }
        prop_assert_eq!(fields.outside(), view.len() as u64 - expected.sum());
        prop_assert_eq!(fields.counts(), expected);
    }

    #[test]
    fn covariances_equal_plain_loops(
        shape in (1_usize..40, 1_usize..6_000),
        fortran in any::<bool>(),
        seed in any::<u64>(),
        nans in prop_oneof![Just(0.0), Just(0.001)],
        memory in memories(),
    ) {
        let recipe = Recipe { shape: vec![shape.0, shape.1], fortran, steps: vec![1, -1], turn: false, seed, nans };
        let array = recipe.array();
        let table = recipe.view(&array).into_dimensionality::<Ix2>().unwrap();
        let chunked = || table.chunked().memory_limit(memory).skipnan();
        let whole: Vec<_> = table.columns().into_iter().filter(|column| !column.iter().any(|x| x.is_nan())).collect();
        if whole.is_empty() {
            prop_assert!(is_empty(&chunked().cov(0.0).unwrap_err()));
            return Ok(());
        }
        let kept = Array2::from_shape_fn((shape.0, whole.len()), |(i, j)| whole[j][i]);
        prop_assert!(chunked().cov(0.0).unwrap().abs_diff_eq(&kept.cov(0.0).unwrap(), 1e-8));
        if whole.len() > 1 {
            prop_assert!(chunked().cov(1.0).unwrap().abs_diff_eq(&kept.cov(1.0).unwrap(), 1e-8));
            let (found, expected) = (chunked().pearson_correlation().unwrap(), kept.pearson_correlation().unwrap());
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert!((found - expected).abs() < 1e-9 || (found.is_nan() && expected.is_nan()));
            }
        } else {
            prop_assert!(chunked().cov(1.0).unwrap().iter().all(|x| x.is_nan()));
        }
        let propagated = table.chunked().cov(0.0).unwrap();
        for (variable, row) in table.rows().into_iter().enumerate() {
            prop_assert_eq!(propagated[[variable, variable]].is_nan(), row.iter().any(|x| x.is_nan()));
        }
    }
}

#[test]
fn empty_input_is_an_error() {
    let empty = Array2::<f64>::zeros((0, 3));
    assert!(is_empty(&empty.chunked().argmin().unwrap_err()));
    assert!(is_empty(&empty.chunked().cov(0.0).unwrap_err()));
    assert!(is_empty(&empty.t().chunked().pearson_correlation().unwrap_err()));
    assert!(is_empty(&empty.chunked().histogram(3).unwrap_err()));
    assert_eq!(empty.chunked().histogram(Bins::uniform(2, 0.0..=1.0)).unwrap().counts(), [0, 0]);
    assert_eq!(empty.chunked().count_where(|_| true).unwrap(), 0);
    assert!(empty.chunked().argwhere(9, |_| true).unwrap().is_empty());
    assert!(is_empty(&empty.chunked().central_moment(2).unwrap_err()));
    assert!(is_empty(
        &empty.chunked().weighted_mean_axis(Axis(0), &Array1::<f64>::zeros(0)).unwrap_err()
    ));
    let scalar = arr0(4.0);
    scalar.chunked().argmax().unwrap();
    assert_eq!(scalar.chunked().argwhere(9, |_| true).unwrap(), [((), 4.0)]);
    assert_eq!(
        scalar.chunked().and(&arr0(2_u8)).unwrap().accumulate(WeightedMoments::new).unwrap().sum(),
        8.0
    );
}

#[test]
fn invalid_bins_are_an_error() {
    let values = array![1.0, f64::INFINITY];
    let message = |bins: Bins| {
        let error = values.chunked().histogram(bins).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidBins { .. }));
        error.to_string()
    };
    assert!(message(Bins::auto(0)).ends_with("at least one bin is required"));
    let infinite = "the range of the elements is infinite, 1.0..=inf; give a finite range with \
                    `Bins::uniform(3, low..=high)`";
    assert!(message(Bins::auto(3)).ends_with(infinite));
    let range = "the range must be finite and ascending, got ";
    assert!(message(Bins::uniform(3, 2.0..=1.0)).ends_with(&format!("{range}2.0..=1.0")));
    assert!(message(Bins::uniform(3, 0.0..=f64::NAN)).ends_with(&format!("{range}0.0..=NaN")));
    assert!(message(Bins::edges([3.0, 2.0])).ends_with("edges must ascend, but 3 precedes 2"));
    assert!(message(Bins::edges([3.0])).ends_with("at least two edges are required, got 1"));
    assert!(message(Bins::auto(usize::MAX)).contains("too many bins"));
    assert!(message(Bins::uniform(usize::MAX, 0.0..=1.0)).contains("too many bins"));
    let two = array![1.0, 2.0];
    for bins in [usize::MAX >> 25, usize::MAX >> 26] {
        let error = two.chunked().memory_limit(16 << 20).histogram(bins).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::MemoryLimitExceeded { .. }), "{error}");
        let error = two.chunked().histogram(bins).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InsufficientMemory { .. }), "{error}");
    }
    let same = Array1::from_elem(10, 7.0);
    assert_eq!(same.chunked().histogram(4).unwrap().edges(), [6.5, 6.75, 7.0, 7.25, 7.5]);
    assert_eq!(same.chunked().histogram(4).unwrap().counts(), [0, 0, 10, 0]);
}

/// Whose mean has to be rounded: nothing is left by rounding.
#[test]
fn statistics_of_constant_input() {
    for (value, len) in [(0.1, 3), (0.1, 1_000), (0.3, 70_001), (-1e-7, 9_999), (1e300, 10)] {
        let table =
            Array2::from_shape_fn((3, len), |(i, j)| if i == 1 { (j % 5) as f64 } else { value });
        let correlation = table.chunked().pearson_correlation().unwrap();
        assert!(
            correlation[[0, 2]].is_nan()
                && correlation[[0, 1]].is_nan()
                && correlation[[1, 1]] == 1.0
        );
        assert_eq!(table.chunked().cov(0.0).unwrap()[[0, 1]], 0.0);
        let constant = table.row(0);
        let weights = Array1::from_elem(len, 0.3);
        assert!(constant.chunked().weighted_std(&weights, 0.0).unwrap() < 1e-9 * value.abs());
        assert!(constant.chunked().std(0.0).unwrap() < 1e-9 * value.abs());
        assert!(table.chunked().std_axis(Axis(1), 0.0).unwrap()[0] < 1e-9 * value.abs());
        assert_eq!(table.t().chunked().std_axis(Axis(0), 0.0).unwrap()[0], 0.0);
    }
}

/// Several stretches, and more variables than fit a tile.
#[test]
fn covariances_are_symmetric_for_any_limit() {
    let mut noise = noise(11);
    let table = Array2::from_shape_simple_fn((40, 20_000), || noise() - 0.5);
    let expected = table.chunked().cov(1.0).unwrap();
    assert_eq!(expected, expected.t());
    assert!(expected.abs_diff_eq(&table.cov(1.0).unwrap(), 1e-12));
    for memory in [3 << 20, 4 << 20, 16 << 20] {
        assert_eq!(table.chunked().memory_limit(memory).cov(1.0).unwrap(), expected);
    }
    assert_eq!(
        table.chunked().pearson_correlation().unwrap(),
        table.chunked().pearson_correlation().unwrap().t()
    );
}

/// The matrix would be larger than any memory: most likely rows and columns were mistaken.
#[test]
fn covariance_matrix_larger_than_memory_is_an_error() {
    let tall = Array2::<u8>::zeros((1 << 23, 2));
    for chunked in [tall.chunked(), tall.chunked().memory_limit(64 << 20)] {
        let error = chunked.cov(1.0).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InsufficientMemory { .. }), "{error}");
        assert!(error.to_string().contains("`.t()`"), "{error}");
    }
    assert_eq!(tall.t().chunked().cov(1.0).unwrap(), Array2::<f64>::zeros((2, 2)));
}

/// A mask of weights does not hide a NaN at any index.
#[test]
fn nans_of_weight_zero_are_counted() {
    let values =
        Array2::from_shape_fn(
            (300, 100),
            |(i, j)| if i == 7 && j == 3 { f64::NAN } else { (i + j) as f64 },
        );
    let weights = Array2::from_shape_fn((300, 100), |(i, _)| if i < 250 { 0.0 } else { 1.0 });
    assert!(values.chunked().weighted_mean(&weights).unwrap().is_nan());
    assert!(values.chunked().weighted_var(&weights, 0.0).unwrap().is_nan());
    let along = weights.column(0);
    for array in [values.clone(), values.t().as_standard_layout().reversed_axes().to_owned()] {
        let vars = array.chunked().weighted_var_axis(Axis(0), &along, 0.0).unwrap();
        assert!(vars[3].is_nan() && (vars[4] - vars[5]).abs() < 1e-9 && vars[4] > 0.0);
        assert!(
            !array.chunked().skipnan().weighted_var_axis(Axis(0), &along, 0.0).unwrap()[3].is_nan()
        );
    }
}

/// Sums and squares that overflow, and infinities, come out alike whichever way they are added.
#[test]
fn moments_of_large_and_infinite_elements() {
    let (large, far) = (
        Array2::from_elem((640, 20), 1e308),
        Array2::from_shape_fn((640, 20), |(i, _)| [1e200, -1e200][i % 2]),
    );
    for axis in [Axis(0), Axis(1)] {
        assert!(large.chunked().std_axis(axis, 0.0).unwrap().iter().all(|&std| std == 0.0));
        assert_eq!(large.chunked().std(0.0).unwrap(), 0.0);
        let moments =
            large.chunked().accumulate_axis(axis, ndarray_mmap::stats::Moments::<2>::new).unwrap();
        assert!(moments.iter().all(|moments| moments.mean() == 1e308));
    }
    // The square is out of range.
    assert!(far.chunked().var_axis(Axis(0), 0.0).unwrap().iter().all(|&var| var == f64::INFINITY));
    assert!(far.chunked().std_axis(Axis(0), 0.0).unwrap().iter().all(|&std| std == 1e200));
    assert_eq!(far.chunked().std(0.0).unwrap(), 1e200);
    for place in [0, 5, 399] {
        let mut table = Array2::<f64>::ones((400, 20));
        table.row_mut(place).fill(f64::INFINITY);
        for array in [table.clone(), table.reversed_axes()] {
            for axis in [Axis(0), Axis(1)] {
                let moments = array
                    .chunked()
                    .accumulate_axis(axis, ndarray_mmap::stats::Moments::<2>::new)
                    .unwrap();
                let means = array.chunked().mean_axis(axis).unwrap();
                for (moments, mean) in moments.iter().zip(means) {
                    assert_eq!(
                        (moments.mean(), moments.var(0.0).is_nan()),
                        (mean, mean.is_infinite())
                    );
                }
            }
            let moments =
                array.chunked().accumulate(ndarray_mmap::stats::Moments::<4>::new).unwrap();
            assert!(
                moments.mean() == f64::INFINITY
                    && moments.var(0.0).is_nan()
                    && moments.kurtosis().is_nan()
            );
        }
    }
}

#[test]
fn central_moments_of_high_order() {
    let two = array![-1.0, 1.0];
    assert_eq!(two.chunked().central_moment(5_000).unwrap(), 1.0);
    assert_eq!(two.chunked().central_moments(1_031).unwrap()[1_030..], [1.0, 0.0]);
    let error = two.chunked().memory_limit(1 << 20).central_moment(u16::MAX).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MemoryLimitExceeded { .. }), "{error}");
}

#[test]
fn weights_of_another_shape_are_an_error() {
    let (a, b) = (Array2::<f64>::zeros((3, 4)), Array2::<f64>::zeros((4, 3)));
    let error = a.chunked().weighted_mean(&b).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ShapeMismatch { .. }), "{error}");
}

/// Accumulators of four zipped arrays receive each tuple once.
#[test]
fn accumulate_takes_four_arrays() {
    #[derive(Default)]
    struct Total(u64);
    impl ndarray_mmap::Accumulator<(u8, u16, u32, u64)> for Total {
        fn push(&mut self, &(a, b, c, d): &(u8, u16, u32, u64)) {
            assert_eq!(
                [u64::from(b), u64::from(c), d],
                [2, 3, 4].map(|times| times * u64::from(a))
            );
            self.0 += d;
        }
        fn merge(&mut self, later: Self) {
            self.0 += later.0;
        }
    }
    let a = Array2::from_shape_fn((300, 401), |(i, j)| (i * j % 200) as u8);
    let (b, c) = (a.mapv(|x| 2 * u16::from(x)), a.t().mapv(|x| 3 * u32::from(x)));
    let mut d = Array2::<u64>::zeros((300, 401).f());
    d.zip_mut_with(&a, |d, &a| *d = 4 * u64::from(a));
    let c = c.t();
    let chunked = a.chunked().and(&b).unwrap().and(&c).unwrap().and(&d).unwrap();
    assert_eq!(chunked.accumulate(Total::default).unwrap().0, d.sum());
}

#[test]
fn correlation_of_two_columns() {
    let table = Array2::from_shape_fn((5_000, 12), |(i, j)| ((i * (j + 1)) % 101) as f32);
    let found = table.t().chunked().pearson_correlation().unwrap();
    let expected = table.t().mapv(f64::from).pearson_correlation().unwrap();
    assert!(found.abs_diff_eq(&expected, 1e-12));
    assert!(found.diag().iter().all(|&one| one == 1.0));
    let _: f64 = 1.0_f32.to_f64();
}

/// Which of fifty files has the NaN?
#[test]
fn errors_name_the_file() {
    let dir = crate::support::dir();
    let path = dir.path().join("readings.raw");
    let mut table = crate::support::create::<f64, _>(&path, (40, 30)).unwrap();
    let other = Array2::<f64>::ones((40, 30));
    table[[3, 4]] = f64::NAN;
    #[track_caller]
    fn names<T>(path: &std::path::Path, result: ndarray_mmap::Result<T>) {
        let Err(error) = result else { panic!("an error was expected") };
        assert_eq!(error.path(), Some(path), "{error}");
        assert!(error.to_string().starts_with(&format!("{}: ", path.display())), "{error}");
    }
    let (chunked, middle) = (|| table.chunked(), ndarray_mmap::stats::Interpolation::Linear);
    names(&path, chunked().min());
    names(&path, chunked().argmax());
    names(&path, chunked().histogram(3));
    names(&path, chunked().histogram(Bins::uniform(3, 0.0..=1.0)));
    names(&path, chunked().histogram(usize::MAX >> 26));
    names(&path, chunked().quantile(0.5, middle));
    names(&path, chunked().quantile(2.0, middle));
    names(&path, chunked().quantile_axis(Axis(0), 0.5, middle));
    names(&path, chunked().quantiles_axis(Axis(1), &[0.5], middle));
    names(&path, chunked().max_axis(Axis(1)));
    names(&path, chunked().argmin_axis(Axis(0)));
    names(&path, chunked().memory_limit(1).mean());
    names(&path, chunked().memory_limit(1).cov(1.0));
    names(&path, chunked().memory_limit(1).central_moment(9));
    names(&path, chunked().weighted_mean_axis(Axis(0), &array![1.0]));
    names(&path, chunked().and(&array![[1.0]]).map(drop));
    names(&path, array![[1.0]].chunked().and(&table).map(drop));
    names(&path, other.chunked().and(&table).unwrap().histogram2d(2, 2));
    table.fill(f64::NAN);
    let chunked = || table.chunked().skipnan();
    names(&path, chunked().mean());
    names(&path, chunked().var(0.0));
    names(&path, chunked().summary());
    names(&path, chunked().max());
    names(&path, chunked().argmin());
    names(&path, chunked().quantile(0.5, middle));
    names(&path, chunked().weighted_mean(&other));
    names(&path, chunked().weighted_var(&other, 0.0));
    names(&path, chunked().central_moment(3));
    names(&path, chunked().cov(1.0));
    names(&path, chunked().partition(0, 2).min_axis(Axis(0)));
    // A view of a mapped array has its path, an array in memory has none.
    names(&path, table.slice(s![2.., ..5]).chunked().max());
    assert_eq!(table.to_owned().chunked().max().unwrap_err().path(), None);
}

#[test]
fn correlation_does_not_depend_on_scale() {
    let at = |scale: f64| {
        let table = array![[scale, 2.0 * scale, -scale], [1.0, 2.0, 3.0]];
        table.chunked().pearson_correlation().unwrap()
    };
    for exponent in [600, -600, -1070, 1022] {
        assert_eq!(at(2_f64.powi(exponent / 2) * 2_f64.powi(exponent - exponent / 2)), at(1.0));
    }
    let table = array![[1e150, 2e150, -1e150], [1e150, 2e150, -1e150]];
    assert!(
        table.chunked().pearson_correlation().unwrap().abs_diff_eq(&Array2::ones((2, 2)), 1e-15)
    );
    assert!(array![1.0, 2.0].chunked().weighted_mean(&array![1.0, -1.0]).unwrap().is_nan());
}

/// More elements than a number of bytes can tell.
#[test]
fn broadcast_view_larger_than_memory() {
    let wide = arr0(1.0);
    let wide = wide.broadcast((2, 1 << 60)).unwrap();
    let chunked = wide.chunked();
    assert!(format!("{chunked:?}").contains("Chunked"));
    assert!(wide.chunked().chunk_bytes(100).into_iter().next().is_some());
    assert!(wide.t().chunked().axis(Axis(1)).into_iter().next().is_some());
}
