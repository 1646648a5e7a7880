//! Arrays whose elements are read from files, decoded or computed.

#[path = "../it/stats/all.rs"]
mod all;
mod computed;
mod decoded;
mod files;
mod memory;
mod operations;
mod selected;

use ndarray::prelude::*;
use ndarray_mmap::{LazyArray, prelude::*};

use self::all::all;

/// Compares the bits of every statistic of a source with those of an array in memory with the same
/// elements in the same memory order.
#[track_caller]
fn check(name: &str, lazy: &LazyArray<'_, f64, Ix2>, elements: ArrayView2<'_, f64>) {
    let in_memory = lazy.chunked().chunk_bytes(usize::MAX).into_iter().next().unwrap();
    let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits();
    assert!(in_memory.iter().zip(elements).all(same), "{name}");

    let weights = elements.mapv(|x| (x * 3.0).floor().abs());
    let expected = all(|| in_memory.chunked().skipnan(), &weights).unwrap();
    let check = |found: Vec<f64>, configuration: &str| {
        let different = found.iter().zip(&expected).position(|pair| !same(pair));
        assert_eq!((found.len(), different), (expected.len(), None), "{name}, {configuration}");
    };
    check(all(|| lazy.chunked().skipnan(), &weights).unwrap(), "without a memory limit");
    for (memory, chunk) in [(64 << 20, 100), (8 << 20, 3)] {
        let limited = || lazy.chunked().memory_limit(memory).chunk_len(chunk).skipnan();
        check(all(limited, &weights).unwrap(), &format!("within {memory} bytes"));
    }

    for axis in [Axis(0), Axis(1)] {
        let mut copy = Array2::zeros(lazy.raw_dim());
        for (region, chunk) in lazy.chunked().axis(axis).chunk_len(37).indexed() {
            copy.slice_mut(s![region.range(Axis(0)), region.range(Axis(1))]).assign(&chunk);
        }
        assert!(copy.iter().zip(elements).all(same), "{name} in chunks along {axis:?}");
    }
    let mut copy = Array2::zeros(lazy.raw_dim());
    lazy.chunked().memory_limit(8 << 20).map_into(&mut copy, |&x| x).unwrap();
    assert!(copy.iter().zip(elements).all(same), "{name} mapped into another array");
}

/// Returns a seeded generator of numbers from 0 to 1.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed | 1;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Returns a table with a few NaNs.
fn table(shape: (usize, usize)) -> Array2<f64> {
    let mut noise = noise(11);
    let mut table = Array2::from_shape_simple_fn(shape, || noise() * 10.0 - 3.0);
    table.iter_mut().step_by(997).for_each(|x| *x = f64::NAN);
    table
}
