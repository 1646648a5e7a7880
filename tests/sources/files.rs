//! Arrays in files that are read by positional reads, and many files as one array.

use std::fs;
use std::path::PathBuf;

use ndarray::prelude::*;
use ndarray::{concatenate, stack};
use ndarray_mmap::stats::Interpolation::Linear;
use ndarray_mmap::{
    ArrayFile, ArrayFileMut, ErrorKind, LazyArray, MmapArrayMut, MmapArrayOptions, prelude::*,
};

use super::{check, table};

#[test]
fn arrays_in_files_give_the_bits_of_arrays_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table.raw");
    let table = table((700, 301));
    let columns = table.t().as_standard_layout().into_owned();

    // Not aligned, in C and in Fortran order.
    let bytes = |table: &Array2<f64>| {
        let elements = table.iter().flat_map(|x| x.to_ne_bytes());
        [b"header of 19 bytes.".to_vec(), elements.collect()].concat()
    };
    let options = MmapArrayOptions::new().offset(19);
    fs::write(&path, bytes(&table)).unwrap();
    let file = options.open_file::<f64, _>(&path, (700, 301)).unwrap();
    check("raw file", &file.chunked().into_lazy(), table.view());
    check("transposed", &LazyArray::from(file).reversed_axes(), table.t());
    fs::write(&path, bytes(&columns)).unwrap();
    let file = options.open_file::<f64, _>(&path, (700, 301).f()).unwrap();
    check("in Fortran order", &file.into(), table.view());

    let swapped: Vec<u8> = table.iter().flat_map(|x| x.to_be_bytes()).collect();
    fs::write(&path, swapped).unwrap();
    let file = ArrayFile::<f64, _>::open(&path, (700, 301)).unwrap().big_endian();
    check("big-endian file", &file.into(), table.view());
}

/// Returns the paths of `.npy` files with the given arrays.
fn npy_files(dir: &tempfile::TempDir, arrays: &[ArrayView2<'_, f64>]) -> Vec<PathBuf> {
    let write = |(index, array): (usize, &ArrayView2<'_, f64>)| {
        let path = dir.path().join(format!("{index}.npy"));
        let file = ArrayFileMut::<f64, _>::create_npy(&path, array.dim()).unwrap();
        file.write_all(array).unwrap();
        path
    };
    arrays.iter().enumerate().map(write).collect()
}

#[test]
fn concatenated_arrays_give_the_bits_of_one_array_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let table = table((350, 151));
    for axis in [Axis(0), Axis(1)] {
        let (first, rest) = table.view().split_at(axis, 100);
        let (second, third) = rest.split_at(axis, 1);
        let (third, empty) = third.split_at(axis, third.len_of(axis));
        let parts = [first, second, empty, third];
        let refs: Vec<_> = parts.iter().collect();
        let lazy = LazyArray::concatenate(axis, &refs).unwrap();
        check("arrays in memory", &lazy, table.view());

        let mapped = parts.map(|part| {
            let mut mapped = MmapArrayMut::<f64, _>::scratch(part.dim()).unwrap();
            mapped.assign(&part);
            mapped
        });
        let refs: Vec<_> = mapped.iter().collect();
        let lazy = LazyArray::concatenate(axis, &refs).unwrap();
        check("mapped arrays", &lazy, table.view());

        let lazy = LazyArray::concatenate_npy(axis, npy_files(&dir, &parts)).unwrap();
        check("files", &lazy, table.view());
        let twice = LazyArray::concatenate(axis, &[&lazy, &lazy]).unwrap();
        check("twice", &twice, concatenate![axis, table, table].view());

        // Parts in another memory order.
        let columns = parts.map(|part| {
            let mut columns = Array2::zeros(part.t().raw_dim());
            columns.assign(&part.t());
            columns
        });
        let refs = columns.each_ref().map(|part| part.t());
        let refs: Vec<_> = refs.iter().collect();
        let lazy = LazyArray::concatenate(axis, &refs).unwrap();
        check("in Fortran order", &lazy, table.view());
    }
}

/// Axes that are contiguous in memory are merged, but not those of sources.
#[test]
fn cubes_of_every_kind_give_the_same_statistics_along_axes() {
    let dir = tempfile::tempdir().unwrap();
    let table = table((90, 1_200)).mapv(|x| if x.is_nan() { -1.0 } else { x });
    let planes: Vec<_> = table
        .outer_iter()
        .map(|row| row.to_owned().into_shape_with_order((40, 30)).unwrap())
        .collect();
    let views: Vec<_> = planes.iter().map(|plane| plane.view()).collect();
    let cube = stack(Axis(0), &views).unwrap();
    let refs: Vec<_> = planes.iter().collect();
    let from_files = LazyArray::<f64, Ix3>::stack_npy(Axis(0), npy_files(&dir, &views)).unwrap();
    let file = ArrayFileMut::<f64, _>::create(dir.path().join("cube.raw"), (90, 40, 30)).unwrap();
    file.write_all(&cube).unwrap();
    let inverted = cube.slice(s![..;-1, .., ..;-1]);
    let sources = [
        (LazyArray::stack(Axis(0), &refs).unwrap(), cube.view()),
        (from_files, cube.view()),
        (file.chunked().into_lazy(), cube.view()),
        (cube.chunked().map(|&x| x).into_lazy(), cube.view()),
        (inverted.chunked().map(|&x| x).into_lazy(), inverted),
    ];
    for (lazy, cube) in &sources {
        assert_eq!(lazy.read_all().unwrap(), cube);
        assert_eq!(lazy.read(s![3, ..;-7, 2..;5]).unwrap(), cube.slice(s![3, ..;-7, 2..;5]));
        for axis in (0..3).map(Axis) {
            for limit in [usize::MAX, 6 << 20] {
                let lazy = || lazy.chunked().memory_limit(limit);
                let cube = || cube.chunked();
                assert_eq!(
                    lazy().std_axis(axis, 1.0).unwrap(),
                    cube().std_axis(axis, 1.0).unwrap()
                );
                assert_eq!(lazy().sum_axis(axis).unwrap(), cube().sum_axis(axis).unwrap());
                assert_eq!(lazy().argmax_axis(axis).unwrap(), cube().argmax_axis(axis).unwrap());
                for qs in [&[0.5][..], &[0.0, 0.1, 0.7]] {
                    assert_eq!(
                        lazy().quantiles_axis(axis, qs, Linear).unwrap(),
                        cube().quantiles_axis(axis, qs, Linear).unwrap()
                    );
                }
            }
        }
    }
    let stacked = stack(Axis(2), &views).unwrap();
    let lazy = LazyArray::stack(Axis(2), &refs).unwrap();
    assert_eq!(lazy.chunked().chunk_len(7).into_iter().len(), 13);
    assert_eq!(lazy.read_all().unwrap(), stacked);
}

#[test]
fn more_files_than_may_be_open_are_one_array() {
    let dir = tempfile::tempdir().unwrap();
    let rows = Array2::from_shape_fn((1_500, 8), |(i, j)| (8 * i + j) as f64);
    let parts: Vec<_> = rows.axis_chunks_iter(Axis(0), 1).collect();
    let lazy = LazyArray::<f64, Ix2>::concatenate_npy(Axis(0), npy_files(&dir, &parts)).unwrap();
    assert_eq!(lazy.chunked().sum_axis(Axis(0)).unwrap(), rows.sum_axis(Axis(0)));
    let fd_dir = std::path::Path::new("/proc/self/fd");
    if fd_dir.exists() {
        let open = fs::read_dir(fd_dir).unwrap().filter_map(|entry| entry.ok());
        let here = open.filter(|entry| {
            fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(dir.path()))
        });
        assert!(here.count() <= 32);
    }
}

#[test]
fn files_that_do_not_fit_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b, c) = (Array2::zeros((3, 4)), Array2::zeros((5, 4)), Array2::zeros((3, 5)));
    let paths = npy_files(&dir, &[a.view(), b.view(), c.view()]);
    let concatenate = |paths: &[PathBuf]| LazyArray::<f64, Ix2>::concatenate_npy(Axis(0), paths);
    let error = concatenate(&paths).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error.kind(), ErrorKind::ConcatenationMismatch { .. }), "{message}");
    assert!(message.contains("2.npy") && message.contains("0.npy"), "{message}");

    let lazy = concatenate(&paths[..2]).unwrap();
    fs::remove_file(&paths[1]).unwrap();
    let error = concatenate(&paths[..2]).unwrap_err().to_string();
    assert!(error.contains("1.npy"), "{error}");
    // The file is still open, and replaced ones keep their contents.
    assert_eq!(lazy.chunked().count_where(|&x| x == 0.0).unwrap(), 32);

    // The axes of a file are not known before it is opened.
    let error = LazyArray::<f64, Ix3>::concatenate_npy(Axis(2), &paths[..1]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::DimensionMismatch { .. }), "{error}");
    let error = LazyArray::<f64, IxDyn>::concatenate_npy(Axis(2), &paths[..1]).unwrap_err();
    assert!(
        error.to_string().contains("0.npy: ") && error.to_string().contains("axis 2"),
        "{error}"
    );
    let error = LazyArray::<f64, IxDyn>::stack_npy(Axis(3), &paths[..1]).unwrap_err();
    assert!(
        error.to_string().contains("0.npy: ") && error.to_string().contains("axis 3"),
        "{error}"
    );
    // Errors of stacks state the shapes of the files, without the new axis.
    let stacked = [&paths[0], &paths[2]];
    let error = LazyArray::<f64, Ix3>::stack_npy(Axis(0), &stacked).unwrap_err().to_string();
    assert!(error.contains("shape [3, 5]") && error.contains("shape [3, 4]"), "{error}");
    assert!(error.contains("all arrays must have the same shape"), "{error}");
    let error = LazyArray::<f64, Ix4>::stack_npy(Axis(0), &stacked).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::DimensionMismatch { expected: 3, shape, .. } if *shape == [3, 4]),
        "{error}"
    );
    let error = concatenate(&[]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }), "{error}");
    let error = LazyArray::<f64, Ix3>::concatenate_npy(Axis(0), &paths[..1]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::DimensionMismatch { .. }), "{error}");
    assert!(error.to_string().contains("0.npy"), "{error}");
    let error = LazyArray::<f32, Ix2>::concatenate_npy(Axis(0), &paths[..1]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::DtypeMismatch { .. }), "{error}");
}

#[test]
fn files_must_be_opened_in_the_same_way_each_time() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..40).map(|index| dir.path().join(format!("{index}.raw"))).collect();
    paths.iter().for_each(|path| fs::write(path, [7_u8; 12]).unwrap());
    for other in [(3, 4).f(), (4, 3).into_shape_with_order(), (1, 2).into_shape_with_order()] {
        let calls = AtomicUsize::new(0);
        let shape = move |call| if call < 40 { (3, 4).into_shape_with_order() } else { other };
        let open = move |path: &std::path::Path| {
            ArrayFile::<u8, Ix2>::open(path, shape(calls.fetch_add(1, Ordering::Relaxed)))
        };
        let lazy = LazyArray::concatenate_files(Axis(0), &paths, open).unwrap();
        let error = lazy.read(s![0..2, 1..3]).unwrap_err().to_string();
        assert!(error.contains("0.raw: ") && error.contains("shape [3, 4] in C order"), "{error}");
        assert!(error.contains("in the same way"), "{error}");
    }
}

#[test]
fn lengths_beyond_the_address_space_are_errors() {
    let empty = Array2::<u8>::zeros((0, 1 << 62));
    for parts in [vec![&empty; 2], vec![&empty; 5]] {
        let error = LazyArray::concatenate(Axis(1), &parts).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }), "{error}");
    }
    assert_eq!(LazyArray::concatenate(Axis(0), &[&empty]).unwrap().shape(), [0, 1 << 62]);
}

/// Files that are closed meanwhile are recognized by their version.
#[test]
fn files_that_are_modified_before_they_are_opened_again_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let rows = Array2::from_shape_fn((40, 3), |(i, j)| (3 * i + j) as f64);
    let parts: Vec<_> = rows.axis_chunks_iter(Axis(0), 1).collect();
    let paths = npy_files(&dir, &parts);
    let lazy = LazyArray::<f64, Ix2>::concatenate_npy(Axis(0), &paths).unwrap();
    assert_eq!(lazy.read_all().unwrap(), rows);
    let first = ArrayFileMut::<f64, _>::create_npy(&paths[0], (1, 3).f()).unwrap();
    first.write_all(&parts[1]).unwrap();
    drop(first);
    let error = lazy.read_all().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FileModified { .. }), "{error}");
    assert!(error.to_string().contains("0.npy"), "{error}");
}

#[test]
fn empty_arrays_are_concatenated_and_stacked_as_by_ndarray() {
    let [a, b] = [Array2::<f64>::zeros((2, 0)), Array2::zeros((3, 0))];
    let lazy = LazyArray::concatenate(Axis(0), &[&a, &b]).unwrap();
    assert_eq!(lazy.raw_dim(), concatenate![Axis(0), a, b].raw_dim());
    assert_eq!(lazy.chunked().sum_axis(Axis(1)).unwrap(), Array1::zeros(5));
    let row = Array1::<f64>::zeros(0);
    let lazy: LazyArray<'_, f64, Ix2> = LazyArray::stack(Axis(0), &[&row, &row]).unwrap();
    assert_eq!(lazy.raw_dim(), stack![Axis(0), row, row].raw_dim());
}

/// A truncated file is an error of every operation, and never a signal.
#[test]
fn truncated_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table.raw");
    let table = table((700, 301));
    let file = ArrayFileMut::<f64, _>::create(&path, (700, 301)).unwrap();
    file.write_all(&table).unwrap();
    drop(file);
    let file = ArrayFile::<f64, _>::open(&path, (700, 301)).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1_000_000).unwrap();
    let is_truncated = |error: ndarray_mmap::Error| {
        assert!(matches!(error.kind(), ErrorKind::FileTruncated { .. }), "{error}");
        assert_eq!(error.path(), Some(&*path));
    };
    is_truncated(file.chunked().sum().unwrap_err());
    is_truncated(file.chunked().std_axis(Axis(0), 0.0).unwrap_err());
    is_truncated(file.chunked().quantile(0.5, Linear).unwrap_err());
    is_truncated(file.chunked().cov(1.0).unwrap_err());
    is_truncated(file.chunked().par_for_each(|_| {}).unwrap_err());
    is_truncated(file.chunked().argmax().unwrap_err());
    is_truncated(file.chunked().map(|&x| -x).mean().unwrap_err());
    is_truncated(file.read(s![699, ..]).unwrap_err());
    let items: Vec<_> = file.chunked().chunk_len(100).try_iter().unwrap().collect();
    assert!(items[..4].iter().all(Result::is_ok));
    items.into_iter().skip(4).for_each(|item| is_truncated(item.unwrap_err()));
}

/// A result without an error is that of the whole file, whenever the file is truncated.
#[test]
fn files_truncated_at_any_time_are_errors_or_were_read_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table.raw");
    let elements = Array1::from_iter((1..=200_000).map(f64::from));
    let mut noise = super::noise(23);
    let mut results = [0; 2];
    for round in 0..1_000 {
        fs::write(&path, bytemuck::cast_slice(elements.as_slice().unwrap())).unwrap();
        let file = ArrayFile::<f64, _>::open(&path, elements.len()).unwrap();
        let (delay, len) = (noise() * 200.0, (noise() * 1.6e6) as u64);
        // The first file keeps its length, and the second one is truncated before it is read.
        let len = if round == 0 { 1_600_000 } else { len };
        if round == 1 {
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len).unwrap();
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_micros(delay as u64));
                fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len).unwrap();
            });
            match file.chunked().sum() {
                Ok(sum) => {
                    assert_eq!(sum, 20_000_100_000.0);
                    results[0] += 1;
                }
                Err(error) => {
                    let is_truncated = matches!(error.kind(), ErrorKind::FileTruncated { .. });
                    assert!(is_truncated && error.path() == Some(&*path), "{error}");
                    results[1] += 1;
                }
            }
        });
    }
    assert!(results.iter().all(|&count| count > 0), "{results:?}");
}
