//! Files and names that other programs change while an array is mapped, as far as no signal is
//! raised.

use std::fs;

use crate::support::*;

#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn removed_and_renamed_files_stay_mapped() {
    let dir = dir();
    let path = counting(&dir, 0, 1000);
    let array = read::<f64, _>(&path, 1000).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(array.sum(), 499_500.0);
    let path = counting(&dir, 0, 1000);
    let array = write::<f64, _>(&path, 1000).unwrap();
    fs::rename(counting_named(&dir, "other"), &path).unwrap();
    assert_eq!(array.sum(), 499_500.0);
}

#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn counting_named(dir: &tempfile::TempDir, name: &str) -> std::path::PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, [1; 80]).unwrap();
    path
}

#[test]
fn shape_is_unchanged_when_file_grows() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    let array = rows_with::<f64, ndarray::Ix1>(&Default::default(), &path, ()).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, &[0; 80]).unwrap();
    assert_eq!((array.len(), array.sum()), (10, 45.0));
    drop(array);
    let array = rows_with::<f64, ndarray::Ix1>(&Default::default(), &path, ()).unwrap();
    assert_eq!(array.len(), 20);
}

/// What one handle writes, a mapping of the same file sees: the promise of MAP_SHARED.
#[test]
fn stores_reach_the_file_without_a_flush() {
    let dir = dir();
    let path = counting(&dir, 0, 1000);
    let mut array = write::<f64, _>(&path, 1000).unwrap();
    array.fill(1.0);
    let bytes = fs::read(&path).unwrap();
    let values: Vec<f64> =
        bytes.chunks_exact(8).map(|bytes| f64::from_ne_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(values, [1.0; 1000]);
}

/// Weights are prefaulted like chunks. A plain access would raise `SIGBUS`.
#[test]
#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
fn truncated_weights_are_an_error() {
    use ndarray::prelude::*;
    use ndarray_mmap::{ErrorKind, prelude::*};

    let dir = dir();
    let path = counting(&dir, 0, 100_000);
    let weights = read::<f64, Ix1>(&path, 100_000).unwrap();
    let table = Array2::<f64>::ones((100_000, 2));
    let expected = table.chunked().weighted_sum_axis(Axis(0), &weights).unwrap();
    let backwards = table.chunked().weighted_sum_axis(Axis(0), &weights.slice(s![..;-1])).unwrap();
    assert_eq!((expected[0], backwards[1]), (4_999_950_000.0, 4_999_950_000.0));
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    for result in [
        table.chunked().weighted_sum_axis(Axis(0), &weights),
        table.chunked().weighted_mean_axis(Axis(0), &weights),
        table.chunked().memory_limit(16 << 20).weighted_var_axis(Axis(0), &weights, 0.0),
        table.chunked().weighted_std_axis(Axis(0), &weights.slice(s![..;-1]), 0.0),
    ] {
        refused(result, &path, |kind| matches!(kind, ErrorKind::FileTruncated { .. }));
    }
}

#[test]
#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
fn truncated_array_is_reported_before_truncated_weights() {
    use ndarray::prelude::*;
    use ndarray_mmap::{ErrorKind, prelude::*};

    let dir = dir();
    let paths = ["table.raw", "weights.raw"].map(|name| dir.path().join(name));
    for path in &paths {
        fs::write(path, vec![0; 80_000]).unwrap();
    }
    let table = read::<f64, _>(&paths[0], (1_000, 10)).unwrap();
    let weights = read::<f64, _>(&paths[1], 10_000).unwrap();
    for path in &paths {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
    }
    let truncated = |kind: &ErrorKind| matches!(kind, ErrorKind::FileTruncated { .. });
    let along = table.chunked().weighted_sum_axis(Axis(0), &weights.slice(s![..1_000]));
    refused(along, &paths[0], truncated);
    let all = table.slice(s![.., 0]).chunked().weighted_sum(&weights.slice(s![..1_000]));
    refused(all, &paths[0], truncated);
}

#[test]
#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
fn memory_limit_error_names_the_file_of_the_weights() {
    use ndarray::prelude::*;
    use ndarray_mmap::{ErrorKind, prelude::*};

    let dir = dir();
    let path = counting(&dir, 0, 100_000);
    let weights = read::<f64, Ix1>(&path, 100_000).unwrap();
    let table = Array2::<f64>::ones((100_000, 2));
    let result = table.chunked().memory_limit(1_000).weighted_sum_axis(Axis(0), &weights);
    refused(result, &path, |kind| matches!(kind, ErrorKind::MemoryLimitExceeded { .. }));
}
