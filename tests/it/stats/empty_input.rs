//! Errors for mapped arrays without elements and for lanes without values.

use ndarray::prelude::*;
use ndarray_mmap::stats::Interpolation::Linear;
use ndarray_mmap::{ErrorKind, prelude::*};

use crate::support::*;

#[test]
fn empty_file_is_named_by_every_statistic() {
    let dir = dir();
    let path = counting(&dir, 0, 0);
    let table = read::<f64, _>(&path, (0, 3)).unwrap();
    let chunked = || table.chunked();
    let errors = [
        chunked().mean().unwrap_err(),
        chunked().var(0.0).unwrap_err(),
        chunked().min().unwrap_err(),
        chunked().argmax().unwrap_err(),
        chunked().summary().unwrap_err(),
        chunked().central_moment(3).unwrap_err(),
        chunked().quantile(0.5, Linear).unwrap_err(),
        chunked().histogram(3).unwrap_err(),
        chunked().weighted_mean(&table).unwrap_err(),
        chunked().and(&table).unwrap().histogram2d(3, 3).unwrap_err(),
        chunked().mean_axis(Axis(0)).unwrap_err(),
        chunked().var_axis(Axis(0), 0.0).unwrap_err(),
        chunked().max_axis(Axis(0)).unwrap_err(),
        chunked().argmin_axis(Axis(0)).unwrap_err(),
        chunked().summary_axis(Axis(0)).unwrap_err(),
        chunked().quantile_axis(Axis(0), 0.5, Linear).unwrap_err(),
        chunked().weighted_mean_axis(Axis(0), &Array1::<f64>::zeros(0)).unwrap_err(),
        chunked().cov(0.0).unwrap_err(),
        chunked().pearson_correlation().unwrap_err(),
    ];
    for error in errors {
        refused(Err::<(), _>(error), &path, |kind| matches!(kind, ErrorKind::EmptyInput { .. }));
    }
    let error = chunked().and(&Array2::<f64>::zeros((1, 3))).unwrap_err();
    refused(Err::<(), _>(error), &path, |kind| matches!(kind, ErrorKind::ShapeMismatch { .. }));
}

#[test]
fn lane_of_nans_only_is_described() {
    let dir = dir();
    let path = dir.path().join("table.raw");
    std::fs::write(&path, bytemuck::bytes_of(&[1.0, f64::NAN, 2.0, f64::NAN])).unwrap();
    let table = read::<f64, _>(&path, (2, 2)).unwrap();
    let error = table.chunked().skipnan().argmin_axis(Axis(0)).unwrap_err();
    assert!(error.to_string().contains("the array or one of its lanes has no elements"), "{error}");
    assert!(error.to_string().contains("or only NaNs and `skipnan` is set"), "{error}");
    refused(Err::<(), _>(error), &path, |kind| matches!(kind, ErrorKind::EmptyInput { .. }));
}
