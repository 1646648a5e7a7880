//! Arrays that are computed from others.

use ndarray::prelude::*;
use ndarray_mmap::{ErrorKind, LazyArray, prelude::*};

use super::{check, noise, table};

#[test]
fn computed_arrays_give_the_bits_of_arrays_in_memory() {
    let table = table((700, 301));
    let without_nan = table.mapv(|x| if x.is_nan() { 0.5 } else { x });
    let views = [
        table.view(),
        table.t(),
        table.slice(s![..;-1, 3..;2]),
        table.slice(s![5..400;7, ..;-3]).reversed_axes(),
        without_nan.slice(s![.., 7..9]),
        without_nan.slice(s![3..6, ..]),
    ];
    for view in views {
        let computed = view.mapv(|x| x * x - 1.0);
        let lazy = view.chunked().map(|&x| x * x - 1.0).into_lazy();
        check("computed", &lazy, computed.view());
        // Twice lazily.
        let lazy = view.chunked().map(|&x| x * x).map(|&x| x - 1.0).into_lazy();
        check("computed twice", &lazy, computed.view());
    }
    let transposed = table.t().as_standard_layout().into_owned();
    let zipped = table.t();
    let lazy = zipped.chunked().and(&transposed).unwrap().map(|(x, y)| x + 2.0 * y).into_lazy();
    check("zipped", &lazy, (&zipped + 2.0 * &zipped).view());
    let lazy = transposed.chunked().and(&zipped).unwrap().map(|(x, y)| x + 2.0 * y).into_lazy();
    check("zipped, transposed", &lazy, (&transposed + 2.0 * &transposed).view());
}

#[test]
fn computed_integers_give_the_results_of_arrays_in_memory() {
    let mut noise = noise(3);
    let table = Array2::from_shape_simple_fn((300, 411), || (noise() * 4_000.0) as u16);
    let bytes = table.mapv(|x| (x >> 4) as u8);
    let lazy = table.chunked().map(|&x| (x >> 4) as u8).into_lazy();
    assert_eq!(lazy.chunked().sum().unwrap(), bytes.chunked().sum().unwrap());
    assert_eq!(lazy.chunked().summary().unwrap(), bytes.chunked().summary().unwrap());
    for axis in [Axis(0), Axis(1)] {
        let qs = [0.0, 0.25, 0.5, 0.9];
        let quantiles = |chunked: ndarray_mmap::Chunked<'_, LazyArray<'_, u8, Ix2>>| {
            chunked.quantiles_axis(axis, &qs, Default::default()).unwrap()
        };
        let expected = bytes.chunked().quantiles_axis(axis, &qs, Default::default()).unwrap();
        assert_eq!(quantiles(lazy.chunked()), expected);
        assert_eq!(quantiles(lazy.chunked().memory_limit(8 << 20)), expected);
    }
}

#[test]
fn chunks_of_computed_arrays_may_overlap_and_be_reversed() {
    let table = Array3::from_shape_fn((5, 6, 7), |(i, j, k)| 100 * i + 10 * j + k);
    let view = table.slice(s![.., ..;-1, ..]);
    let lazy = view.chunked().map(|&x| x + 1).into_lazy();
    let chunked = lazy.chunked().chunk_shape((2, 2, 2)).halo((1, 0, 2)).indexed();
    for (region, chunk) in chunked {
        let [i, j, k] = [0, 1, 2].map(|axis| region.halo_range(Axis(axis)));
        assert_eq!(chunk, view.slice(s![i, j, k]).mapv(|x| x + 1));
    }
    let mut backwards = lazy.chunked().chunk_len(2).into_iter();
    assert_eq!(backwards.next_back().unwrap(), view.slice(s![4.., .., ..]).mapv(|x| x + 1));
}

#[test]
fn chunks_of_computed_arrays_count_against_the_memory_limit() {
    let table = Array2::<f64>::zeros((1_000, 10_000));
    let lazy = table.chunked().map(|&x| x as f32);
    let chunked = lazy.memory_limit(4 << 20).axis(Axis(0));
    assert!(chunked.clone().chunk_len(10).try_iter().is_ok());
    let error = chunked.clone().chunk_len(100).try_iter().unwrap_err();
    let ErrorKind::MemoryLimitExceeded { needed, limit, .. } = *error.kind() else {
        panic!("{error}")
    };
    assert_eq!(limit, 4 << 20);
    assert!((12_000_000..16_000_000).contains(&needed), "{needed}");
    assert!(chunked.chunk_len(100).memory_limit(needed).try_iter().is_ok());
}
