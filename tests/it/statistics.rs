//! Methods of ndarray and ndarray-stats on mapped arrays equal those on arrays in memory, in 0 to 6
//! dimensions.

use approx::assert_abs_diff_eq;
use ndarray::{RemoveAxis, ShapeBuilder, prelude::*};
use ndarray_mmap::{MmapArray, MmapArrayCow};
use ndarray_stats::histogram::{Grid, GridBuilder, strategies::Sqrt};
use ndarray_stats::interpolate::{Linear, Nearest};
use ndarray_stats::{
    CorrelationExt, DeviationExt, EntropyExt, HistogramExt, MaybeNanExt, Quantile1dExt,
    QuantileExt, SummaryStatisticsExt,
};
use noisy_float::types::{N64, n64};

use crate::support::*;

/// The same values in a file and in memory: distinct, and neither sorted nor symmetric.
fn both<D: Dimension>(
    dir: &tempfile::TempDir,
    shape: impl ShapeBuilder<Dim = D>,
) -> (MmapArray<f64, D>, Array<f64, D>) {
    let mut memory = Array::zeros(shape);
    let mut state = 1_u64;
    memory.iter_mut().for_each(|value| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *value = (state >> 40) as f64 / 1024.0 - 5_000.0;
    });
    let path = dir.path().join(format!("{:?}.raw", memory.shape()));
    let shape = memory.raw_dim().set_f(!memory.is_standard_layout());
    let mut file = create::<f64, D>(&path, shape.clone()).unwrap();
    file.assign(&memory);
    file.close().unwrap();
    (read(&path, shape).unwrap(), memory)
}

#[track_caller]
fn whole<D: Dimension>(mapped: &MmapArray<f64, D>, memory: &Array<f64, D>) {
    assert_eq!(**mapped, *memory);
    assert_eq!(mapped.sum(), memory.sum());
    assert_eq!(ArrayRef::mean(mapped), memory.mean());
    assert_eq!(mapped.std(0.0), memory.std(0.0));
    assert_eq!(mapped.min(), memory.min());
    assert_eq!(mapped.max(), memory.max());
    assert_eq!(mapped.argmin(), memory.argmin());
    assert_eq!(mapped.argmax(), memory.argmax());
    assert_eq!(mapped.min_skipnan(), memory.min_skipnan());
    assert_eq!(mapped.fold_skipnan(0.0, |sum, value| sum + value.raw()), memory.sum());
    assert_eq!(mapped.central_moment(3).unwrap(), memory.central_moment(3).unwrap());
    assert_eq!(mapped.kurtosis().ok().map(f64::to_bits), memory.kurtosis().ok().map(f64::to_bits));
    let positive = mapped.map(|value| value.abs() + 1.0);
    assert_eq!(positive.geometric_mean(), memory.map(|value| value.abs() + 1.0).geometric_mean());
    assert_eq!(mapped.weighted_mean(&positive), memory.weighted_mean(&positive));
    assert_eq!(mapped.sq_l2_dist(&positive), memory.sq_l2_dist(&positive));
    assert_eq!(mapped.mean_abs_err(memory).unwrap(), 0.0);
    assert_eq!(mapped.count_eq(memory).unwrap(), memory.len());
    assert_eq!(
        positive.entropy().unwrap(),
        memory.map(|value| value.abs() + 1.0).entropy().unwrap()
    );
}

#[track_caller]
fn by_axis<D: RemoveAxis>(mapped: &MmapArray<f64, D>, memory: &Array<f64, D>) {
    for axis in (0..memory.ndim()).map(Axis) {
        assert_eq!(mapped.sum_axis(axis), memory.sum_axis(axis));
        assert_eq!(mapped.mean_axis(axis), memory.mean_axis(axis));
        assert_eq!(
            mapped.std_axis(axis, 1.0).map(|v| v.to_bits()),
            memory.std_axis(axis, 1.0).map(|v| v.to_bits())
        );
        let weights = Array1::from_iter((1..=memory.len_of(axis)).map(|weight| weight as f64));
        assert_eq!(
            mapped.weighted_mean_axis(axis, &weights),
            memory.weighted_mean_axis(axis, &weights)
        );
    }
}

#[test]
fn ndarray_methods_agree_in_zero_to_six_dimensions() {
    let dir = dir();
    macro_rules! check {
        ($($shape:expr),*) => {$(
            let (mapped, memory) = both(&dir, $shape);
            whole(&mapped, &memory);
            by_axis(&mapped, &memory);
        )*};
    }
    let (mapped, memory) = both(&dir, ());
    whole(&mapped, &memory);
    check!(
        500,
        (20, 30),
        (20, 31).f(),
        (5, 6, 7),
        (5, 6, 7, 2).f(),
        (2, 3, 4, 5, 6),
        (2, 3, 4, 2, 3, 4)
    );
    check!(IxDyn(&[4, 5, 6]), IxDyn(&[4, 5, 8]).f());
}

#[test]
fn arithmetic_slicing_and_broadcasting_agree() {
    let dir = dir();
    let (mapped, memory) = both(&dir, (20, 30));
    let row = memory.mean_axis(Axis(0)).unwrap();
    assert_eq!(&*mapped - &*row, &memory - &row);
    assert_eq!((&*mapped * 2.0 + 1.0) / &*mapped, (&memory * 2.0 + 1.0) / &memory);
    assert_eq!(mapped.slice(s![3..;2, ..;-1]).sum(), memory.slice(s![3..;2, ..;-1]).sum());
    assert_eq!(mapped.dot(&memory.t()), memory.dot(&memory.t()));
    assert_eq!(mapped.broadcast((2, 20, 30)).unwrap().sum_axis(Axis(0)), &memory * 2.0);
    assert_eq!(mapped.select(Axis(1), &[7, 3]), memory.select(Axis(1), &[7, 3]));
}

#[test]
fn covariance_and_correlation_agree() {
    let dir = dir();
    let (mapped, memory) = both(&dir, (5, 1000));
    assert_eq!(mapped.cov(1.0).unwrap(), memory.cov(1.0).unwrap());
    assert_eq!(mapped.pearson_correlation().unwrap(), memory.pearson_correlation().unwrap());
    assert_abs_diff_eq!(
        mapped.pearson_correlation().unwrap().diag(),
        Array1::ones(5),
        epsilon = 1e-12
    );
}

#[test]
fn histograms_agree() {
    let dir = dir();
    // `N64` is an `f64` that is not NaN, so not every file holds it: the values are checked on the way.
    let (mapped, _) = both(&dir, (1000, 2));
    let checked: Array2<N64> = mapped.map(|&value| n64(value));
    let grid: Grid<N64> = GridBuilder::<Sqrt<N64>>::from_array(&checked).unwrap().build();
    let histogram = checked.histogram(grid);
    assert_eq!(histogram.counts().sum(), 1000);
    // Integers are ordered as they are.
    let counts = create::<i64, _>(&dir.path().join("counts.raw"), (1000, 1)).unwrap();
    drop(counts);
    let counts = read::<i64, _>(&dir.path().join("counts.raw"), (1000, 1)).unwrap();
    let edges = ndarray_stats::histogram::Edges::from(vec![-1, 0, 1, 2]);
    let grid = Grid::from(vec![ndarray_stats::histogram::Bins::new(edges)]);
    assert_eq!(counts.histogram(grid).counts(), array![0, 1000, 0].into_dyn());
}

#[test]
fn quantiles_of_a_copy_keep_the_file() {
    let dir = dir();
    let (mapped, memory) = both(&dir, (20, 31));
    let path = mapped.path().unwrap().to_owned();
    drop(mapped);
    let before = std::fs::read(&path).unwrap();
    let mut copy: MmapArrayCow<f64, Ix2> = cow(&path, (20, 31)).unwrap();
    for axis in [Axis(0), Axis(1)] {
        let expected = memory.clone().quantile_axis_skipnan_mut(axis, n64(0.3), &Linear).unwrap();
        assert_eq!(
            copy.quantile_axis_skipnan_mut(axis, n64(0.3), &Linear).unwrap().shape(),
            expected.shape()
        );
        copy.assign(&memory);
        assert_eq!(copy.quantile_axis_skipnan_mut(axis, n64(0.3), &Linear).unwrap(), expected);
        copy.assign(&memory);
    }
    let mut in_memory = copy.map(|&value| n64(value));
    assert_eq!(
        in_memory.quantile_axis_mut(Axis(1), n64(0.5), &Nearest).unwrap(),
        memory.map(|&value| n64(value)).quantile_axis_mut(Axis(1), n64(0.5), &Nearest).unwrap(),
    );
    // One-dimensional calls work on the copy itself where the elements are ordered.
    let ticks_path = dir.path().join("ticks.raw");
    let mut ticks = create::<u32, _>(&ticks_path, 1001).unwrap();
    ticks.indexed_iter_mut().for_each(|(i, tick)| *tick = (i as u32 * 7919) % 1001);
    ticks.close().unwrap();
    let mut ticks = cow::<u32, _>(&ticks_path, 1001).unwrap();
    assert_eq!(ticks.quantile_mut(n64(0.5), &Nearest), Ok(500));
    drop((copy, ticks));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(read::<u32, _>(&ticks_path, 1001).unwrap()[1], 7919 % 1001);
}

#[test]
fn empty_mapped_array_behaves_like_array_in_memory() {
    let dir = dir();
    let path = dir.path().join("empty.raw");
    std::fs::write(&path, []).unwrap();
    let empty = read::<f64, _>(&path, (0, 5)).unwrap();
    assert_eq!((empty.sum(), ArrayRef::mean(&empty)), (0.0, None));
    assert!(empty.argmax().is_err() && empty.min().is_err());
    assert!(empty.quantile_axis_of_a_copy().is_err());
}

trait OfACopy {
    fn quantile_axis_of_a_copy(&self) -> Result<Array1<N64>, ndarray_stats::errors::QuantileError>;
}

impl OfACopy for ArrayRef2<f64> {
    fn quantile_axis_of_a_copy(&self) -> Result<Array1<N64>, ndarray_stats::errors::QuantileError> {
        self.map(|&value| n64(value)).quantile_axis_mut(Axis(0), n64(0.5), &Linear)
    }
}
