//! Arrays of different shapes: every call reports one message, which names both.

use std::path::Path;

use ndarray::prelude::*;
use ndarray_mmap::{ErrorKind, MmapArrayMut, Result, prelude::*};

use crate::support::{create, dir};

/// The first shape is that of the array on which the method was called, whichever of the two is mapped.
#[track_caller]
fn refused<T>(result: Result<T>, shapes: [&[usize]; 2], files: [Option<&Path>; 2]) {
    let Err(error) = result else { panic!("accepted") };
    let ErrorKind::ShapeMismatch { expected, found, paths, .. } = error.kind() else {
        panic!("{error}")
    };
    assert_eq!([&expected[..], &found[..]], shapes, "{error}");
    assert_eq!(paths.as_ref().map(|paths| paths.each_ref().map(Option::as_deref)), Some(files));
    assert_eq!(error.path(), files[1].or(files[0]));
    let [first, second] = files.map(|path| {
        path.map_or("an array without a file".into(), |path| path.display().to_string())
    });
    let message = format!(
        "expected shape {:?} to match {first}, found {:?} of {second}",
        shapes[0], shapes[1]
    );
    assert!(error.to_string().contains(&message), "{error}");
}

#[test]
fn shape_mismatch_names_both_arrays() {
    let dir = dir();
    let path = |name: &str| dir.path().join(name);
    let mapped = |name: &str, shape| create::<f64, _>(&path(name), shape).unwrap();
    let (mut file, mut other) = (mapped("a.raw", (100, 9)), mapped("b.raw", (100, 8)));
    let (mut memory, mut less) = (Array2::<f64>::zeros((100, 9)), Array2::<f64>::zeros((100, 8)));
    let (a, b) = (path("a.raw"), path("b.raw"));
    let (a, b) = (Some(&*a), Some(&*b));
    let shapes = [&[100, 9][..], &[100, 8][..]];

    macro_rules! every_call {
        ($first:expr, $second:expr, $files:expr) => {
            refused($first.chunked().and(&$second).map(|_| ()), shapes, $files);
            refused($first.chunked().and_mut(&mut $second).map(|_| ()), shapes, $files);
            refused($first.chunked().map_into(&mut $second, |&x| x), shapes, $files);
            refused($first.chunked().par_for_each_into(&mut $second, |_, _| {}), shapes, $files);
            refused($first.chunked().weighted_sum(&$second), shapes, $files);
            refused($first.chunked().weighted_mean(&$second), shapes, $files);
            refused($first.chunked().weighted_var(&$second, 0.0), shapes, $files);
            refused($first.chunked().weighted_std(&$second, 0.0), shapes, $files);
            refused($first.chunked_mut().and(&$second).map(|_| ()), shapes, $files);
            refused($first.chunked_mut().and_mut(&mut $second).map(|_| ()), shapes, $files);
        };
    }
    every_call!(file, other, [a, b]);
    every_call!(file, less, [a, None]);
    every_call!(memory, other, [None, b]);
    every_call!(memory, less, [None, None]);
    // Two arrays are zipped already, one of which is mapped.
    let chunked = memory.chunked().and(&file).unwrap();
    refused(chunked.clone().and(&less).map(|_| ()), shapes, [a, None]);
    refused(chunked.map_into(&mut other, |x, y| x + y), shapes, [a, b]);
    // Slices are parts of files.
    refused(
        file.slice(s![.., ..8]).chunked().and(&memory).map(|_| ()),
        [shapes[1], shapes[0]],
        [a, None],
    );
}

#[test]
fn shape_mismatch_names_weights_along_axis() {
    let dir = dir();
    let (table, weights) = (dir.path().join("table.raw"), dir.path().join("weights.raw"));
    let file = create::<f64, _>(&table, (100, 9)).unwrap();
    let mapped = create::<f64, _>(&weights, 8).unwrap();
    let (memory, few) = (Array2::<f64>::zeros((100, 9)), Array1::<f64>::ones(8));
    let shapes = [&[9][..], &[8][..]];
    macro_rules! every_call {
        ($table:expr, $weights:expr, $files:expr) => {
            refused($table.chunked().weighted_sum_axis(Axis(1), &$weights), shapes, $files);
            refused($table.chunked().weighted_mean_axis(Axis(1), &$weights), shapes, $files);
            refused($table.chunked().weighted_var_axis(Axis(1), &$weights, 0.0), shapes, $files);
            refused($table.chunked().weighted_std_axis(Axis(1), &$weights, 0.0), shapes, $files);
        };
    }
    every_call!(file, mapped, [Some(&*table), Some(&*weights)]);
    every_call!(file, few, [Some(&*table), None]);
    every_call!(memory, mapped, [None, Some(&*weights)]);
    every_call!(memory, few, [None, None]);
}

/// A shape that an array does not have elements for: there is no second array.
#[test]
fn reshape_error_names_the_array() {
    let failure =
        MmapArrayMut::<u8, _>::scratch(12).unwrap().into_shape_with_order((5, 5)).unwrap_err();
    assert!(matches!(failure.error.kind(), ErrorKind::ShapeMismatch { paths: None, .. }));
}
