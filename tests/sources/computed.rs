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

/// Sums and counts receive computed elements in pieces, of which only the last is short.
#[test]
fn sums_of_pieces_have_the_bits_of_sums_of_slices() {
    let mut noise = noise(11);
    for len in [0, 1, 31, 33, 1_023, 1_024, 1_025, 8_191, 8_192, 8_193, 16_385, 50_000] {
        let plain = Array1::from_shape_simple_fn(len, || noise() * 1e9 - 3e8);
        let mut all = vec![plain];
        for special in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -f64::MAX] {
            let mut values = all[all.len() - 1].clone();
            for _ in 0..2 {
                let index = (noise() * len as f64) as usize;
                values.iter_mut().skip(index).take(1).for_each(|x| *x = special);
            }
            all.push(values);
        }
        for values in &all {
            let halves = values.mapv(|x| 0.5 * x);
            let shifted = halves.mapv(|x| x + 1.0);
            let short = halves.mapv(|x| x as f32);
            let lazy = values.chunked().map(|&x| 0.5 * x);
            let nested = lazy.clone().map(|&x| x + 1.0);
            let lazy_short = lazy.clone().map(|&x| x as f32);
            let sums = |a: f64, b: f64| assert_eq!(a.to_bits(), b.to_bits(), "{len}");
            sums(lazy.clone().sum().unwrap(), halves.chunked().sum().unwrap());
            sums(lazy.clone().skipnan().sum().unwrap(), halves.chunked().skipnan().sum().unwrap());
            sums(nested.clone().sum().unwrap(), shifted.chunked().sum().unwrap());
            sums(lazy_short.clone().sum().unwrap(), short.chunked().sum().unwrap());
            let counted = lazy.clone().count_where(|&x| x > 0.0).unwrap();
            assert_eq!(counted, halves.iter().filter(|&&x| x > 0.0).count());
            if len > 0 {
                let mean = lazy.clone().skipnan().mean().ok().map(f64::to_bits);
                assert_eq!(mean, halves.chunked().skipnan().mean().ok().map(f64::to_bits));
                let quantile = lazy.clone().skipnan().quantile(0.3, Default::default()).ok();
                let expected = halves.chunked().skipnan().quantile(0.3, Default::default()).ok();
                assert_eq!(quantile.map(f64::to_bits), expected.map(f64::to_bits));
                assert_eq!(lazy_short.skipnan().max().ok(), short.chunked().skipnan().max().ok(),);
            }
        }
    }
}

/// The elements of one operand are in another memory order, or have gaps, so that they are not
/// computed in pieces.
#[test]
fn operands_in_other_orders_give_the_same_sums() {
    let mut noise = noise(5);
    let table = Array2::from_shape_simple_fn((130, 270), || noise() - 0.5);
    let columns = Array2::from_shape_vec((130, 270).f(), table.t().iter().copied().collect());
    let columns = columns.unwrap();
    let wide =
        Array2::from_shape_fn((130, 300), |(i, j)| if j < 270 { table[[i, j]] } else { 9.0 });
    let squares = [&table, &columns].map(|array| array.chunked().map(|&x| x * x).into_lazy());
    let part = wide.slice(s![.., ..270]);
    let parts = part.chunked().map(|&x| x * x).into_lazy();
    let sum = table.mapv(|x| x * x + x).chunked().sum().unwrap();
    for lazy in [&squares[0], &squares[1], &parts] {
        let total = table.chunked().and(lazy).unwrap().map(|(&x, &y): (&f64, &f64)| y + x);
        assert_eq!(total.sum().unwrap().to_bits(), sum.to_bits());
        let reversed = lazy.clone().reversed_axes();
        let total = table.t();
        let total = total.chunked().and(&reversed).unwrap();
        let total = total.map(|(&x, &y): (&f64, &f64)| y + x).sum().unwrap();
        assert_eq!(total.to_bits(), sum.to_bits());
    }
}
