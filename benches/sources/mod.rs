//! Sources that are read, decoded or computed, beside mapped arrays and hand-written loops.

use std::fs;
use std::hint::black_box;

use ndarray_mmap::{ArrayFile, MmapArray, prelude::*};
use rayon::prelude::*;

use super::{Figures, normal};

/// The number of elements of type `f64`: 1 GiB.
const LEN: usize = 1 << 27;

pub(super) fn sources(figures: &Figures) {
    if !figures.are_wanted("sources") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table.raw");
    let table = normal(LEN);
    fs::write(&path, bytemuck::cast_slice(table.as_slice().unwrap())).unwrap();
    // SAFETY: this program alone uses the file.
    let mapped = unsafe { MmapArray::<f64, _>::open(&path, LEN) }.unwrap();
    let file = ArrayFile::<f64, _>::open(&path, LEN).unwrap();
    let swapped_path = dir.path().join("swapped.raw");
    let swapped = table.mapv(|x| x.to_bits().swap_bytes());
    fs::write(&swapped_path, bytemuck::cast_slice(swapped.as_slice().unwrap())).unwrap();
    drop(swapped);
    let swapped = ArrayFile::<f64, _>::open(&swapped_path, LEN).unwrap();
    let swapped =
        if cfg!(target_endian = "big") { swapped.little_endian() } else { swapped.big_endian() };
    figures.ratio(
        "sources: sum of a file, of a mapped file",
        Some(2.0),
        || file.chunked().sum().unwrap(),
        || mapped.chunked().sum().unwrap(),
    );
    figures.ratio(
        "sources: summary of a file, of a mapped file",
        Some(1.0 / 0.6),
        || file.chunked().summary().unwrap(),
        || mapped.chunked().summary().unwrap(),
    );
    figures.ratio(
        "sources: sum of a byte-swapped file, of a native file",
        Some(1.3),
        || swapped.chunked().sum().unwrap(),
        || file.chunked().sum().unwrap(),
    );
    drop(swapped);

    let other_path = dir.path().join("other.raw");
    let other = table.mapv(|x| 0.5 * x);
    fs::write(&other_path, bytemuck::cast_slice(other.as_slice().unwrap())).unwrap();
    drop(other);
    // SAFETY: this program alone uses the file.
    let other = unsafe { MmapArray::<f64, _>::open(&other_path, LEN) }.unwrap();
    let [x, y] = [&mapped, &other].map(|array| array.as_slice().unwrap());
    figures.ratio(
        "sources: computed sum of |x - 1|, a loop",
        Some(1.3),
        || mapped.chunked().map(|&x: &f64| (x - 1.0).abs()).sum().unwrap(),
        || {
            let sum = |x: &[f64]| interleaved(x, |x| (x - 1.0).abs());
            x.par_chunks(8 << 10).map(sum).sum::<f64>()
        },
    );
    figures.ratio(
        "sources: computed sum of |x - 1|, a simple loop",
        Some(1.3),
        || mapped.chunked().map(|&x: &f64| (x - 1.0).abs()).sum().unwrap(),
        || {
            let sum = |x: &[f64]| x.iter().map(|x| (x - 1.0).abs()).sum::<f64>();
            x.par_chunks(8 << 10).map(sum).sum::<f64>()
        },
    );
    figures.ratio(
        "sources: computed sum of |x - y|, a loop",
        Some(1.3),
        || {
            let chunked = mapped.chunked().and(&other).unwrap();
            chunked.map(|(&x, &y): (&f64, &f64)| (x - y).abs()).sum().unwrap()
        },
        || {
            let sum = |(x, y): (&[f64], &[f64])| {
                let mut sums = [0.0; 8];
                for (x, y) in x.as_chunks::<8>().0.iter().zip(y.as_chunks::<8>().0) {
                    for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
                        *sum += (x - y).abs();
                    }
                }
                sums.iter().sum::<f64>()
            };
            x.par_chunks(8 << 10).zip(y.par_chunks(8 << 10)).map(sum).sum::<f64>()
        },
    );
    let counts = table.mapv(|x| (x * 1e3) as i16);
    figures.ratio(
        "sources: mean of scaled i16, of i16",
        Some(1.5),
        || counts.chunked().scaled(0.01, 273.15).mean().unwrap(),
        || counts.chunked().mean().unwrap(),
    );
    let n = counts.as_slice().unwrap();
    figures.ratio(
        "sources: mean of scaled i16, a loop",
        None,
        || counts.chunked().scaled(0.01, 273.15).mean().unwrap(),
        || {
            let sum = |n: &[i16]| interleaved(n, |&n| f64::from(n) * 0.01 + 273.15);
            n.par_chunks(8 << 10).map(sum).sum::<f64>() / n.len() as f64
        },
    );
    black_box(counts);
}

/// Returns the sum of a function of elements in eight interleaved sums, which the compiler can
/// vectorize.
fn interleaved<A>(elements: &[A], function: impl Fn(&A) -> f64) -> f64 {
    let mut sums = [0.0; 8];
    let (chunks, rest) = elements.as_chunks::<8>();
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += function(x));
    }
    sums.iter().sum::<f64>() + rest.iter().map(function).sum::<f64>()
}
