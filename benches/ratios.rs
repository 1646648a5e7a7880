//! Ratios of two times for which there are targets. The two are measured in turn, and the shortest
//! times are compared, so that other work on the machine has little effect.
//!
//! Run with `cargo bench --bench ratios`, which takes three minutes, or with a part of the
//! name of figures: `cargo bench --bench ratios -- quantiles`. `NDARRAY_MMAP_PYTHON` names a Python
//! with NumPy for the comparison with NumPy.
#![allow(unsafe_code, reason = "creates files")]

mod counts;
#[cfg(feature = "rayon")]
mod sources;

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ndarray::prelude::*;
use ndarray_mmap::stats::{Element, Interpolation::Linear, MinMax, Moments};
use ndarray_mmap::{Accumulator, MmapArrayMut, prelude::*};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal};

use self::counts::Counts;

const FIVE: [f64; 5] = [0.01, 0.25, 0.5, 0.75, 0.99];

/// The minimum number and duration of repetitions.
const MIN_ROUNDS: usize = 7;
const MIN_DURATION: Duration = Duration::from_secs(2);

/// The elements of 64 KiB, in which the crate passes `f64` to accumulators.
const SLICE_LEN: usize = 8 << 10;

/// The time in which `argwhere` should test one element, in seconds.
const SEARCH_SECONDS: f64 = 2e-9;

/// The figures to measure: those whose name contains the text.
struct Figures(String);

impl Figures {
    fn is_wanted(&self, name: &str) -> bool {
        name.contains(&self.0)
    }

    /// Returns whether any figure may be wanted whose name starts with `start`.
    fn are_wanted(&self, start: &str) -> bool {
        start.contains(&self.0) || self.0.starts_with(start)
    }

    /// Measures two operations, and prints the ratio of their times and its target.
    fn ratio<R, S>(
        &self,
        name: &str,
        target: Option<f64>,
        mut first: impl FnMut() -> R,
        mut second: impl FnMut() -> S,
    ) {
        self.ratio_of_seconds(name, target, || seconds(&mut first), || seconds(&mut second));
    }

    /// Measures two operations that return their duration in seconds.
    fn ratio_of_seconds(
        &self,
        name: &str,
        target: Option<f64>,
        mut first: impl FnMut() -> f64,
        mut second: impl FnMut() -> f64,
    ) {
        if !self.is_wanted(name) {
            return;
        }
        let mut best = [f64::INFINITY; 2];
        let start = Instant::now();
        let mut rounds = 0;
        while rounds < MIN_ROUNDS || start.elapsed() < MIN_DURATION {
            best = [best[0].min(first()), best[1].min(second())];
            rounds += 1;
        }
        let target = target.map_or("-".into(), |target| format!("{target:.1}"));
        let [first, second] = best.map(|seconds| seconds * 1e3);
        println!("{name:54} {first:9.2} {second:9.2} {:7.2} {target:>7}", first / second);
    }
}

fn seconds<R>(run: impl FnOnce() -> R) -> f64 {
    let start = Instant::now();
    black_box(run());
    start.elapsed().as_secs_f64()
}

fn main() {
    // Cargo passes options as well.
    let name = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let figures = Figures(name.unwrap_or_default());
    println!(
        "{:54} {:>9} {:>9} {:>7} {:>7}",
        "figure (times in ms)", "first", "second", "ratio", "target"
    );
    many_quantiles(&figures);
    small_integers::<u8>(&figures, "u8", |x| x as u8);
    small_integers::<i8>(&figures, "i8", |x| x as i8);
    small_integers::<u16>(&figures, "u16", |x| x as u16);
    small_integers::<i16>(&figures, "i16", |x| x as i16);
    pushes(&figures);
    weights(&figures);
    searches(&figures);
    large_accumulators(&figures);
    #[cfg(feature = "rayon")]
    sources::sources(&figures);
    copies(&figures);
}

fn normal<Sh: ShapeBuilder>(shape: Sh) -> Array<f64, Sh::Dim> {
    let (mut random, normal) = (StdRng::seed_from_u64(1), Normal::new(20.0, 5.0).unwrap());
    Array::from_shape_simple_fn(shape, || normal.sample(&mut random))
}

/// Returns quantiles at equal distances.
fn fractions(count: u32) -> Vec<f64> {
    (0..count).map(|index| (f64::from(index) + 0.5) / f64::from(count)).collect()
}

fn many_quantiles(figures: &Figures) {
    if !figures.are_wanted("quantiles") {
        return;
    }
    let (hundred, ten_thousand) = (fractions(100), fractions(10_000));
    let list = normal(4_000_000);
    let quantiles = |fractions: &[f64]| list.chunked().quantiles(fractions, Linear).unwrap();
    figures.ratio("quantiles, 100 / five", Some(2.0), || quantiles(&hundred), || quantiles(&FIVE));
    figures.ratio(
        "quantiles, 10,000 / five",
        None,
        || quantiles(&ten_thousand),
        || quantiles(&FIVE),
    );
    let name = "quantiles, 10,000 / NumPy";
    match std::env::var_os("NDARRAY_MMAP_PYTHON") {
        Some(python) if figures.is_wanted(name) => {
            let mut numpy = NumPy::new(Command::new(python), list.len(), ten_thousand.len());
            figures.ratio_of_seconds(
                name,
                Some(1.0),
                || seconds(|| quantiles(&ten_thousand)),
                || numpy.seconds(),
            );
        }
        Some(_) => {}
        None => println!("{name:54} skipped: NDARRAY_MMAP_PYTHON is not set"),
    }
    let table = normal((200_000, 20));
    for axis in [Axis(0), Axis(1)] {
        let quantiles =
            |fractions: &[f64]| table.chunked().quantiles_axis(axis, fractions, Linear).unwrap();
        figures.ratio(
            &format!("quantiles, axis {}, 100 / five", axis.index()),
            Some(2.0),
            || quantiles(&hundred),
            || quantiles(&FIVE),
        );
    }
}

/// A Python process that computes quantiles of normally distributed numbers on request.
struct NumPy(Child);

impl NumPy {
    fn new(mut python: Command, len: usize, quantiles: usize) -> Self {
        let program = format!(
            "import sys, time, numpy as np
numbers = np.random.default_rng(1).normal(20, 5, {len})
fractions = (np.arange({quantiles}) + 0.5) / {quantiles}
for _ in sys.stdin:
    start = time.perf_counter()
    np.quantile(numbers, fractions)
    print(time.perf_counter() - start, flush=True)"
        );
        python.args(["-c", &program]).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(python.spawn().expect("a Python"))
    }

    fn seconds(&mut self) -> f64 {
        let (input, output) = (self.0.stdin.as_mut(), self.0.stdout.as_mut());
        input.expect("a pipe").write_all(b"\n").expect("a running Python");
        let mut line = String::new();
        // A request has one line of output, so the buffer takes no more than that.
        BufReader::new(output.expect("a pipe")).read_line(&mut line).expect("a running Python");
        line.trim().parse().expect("a Python with NumPy")
    }
}

impl Drop for NumPy {
    fn drop(&mut self) {
        // The process ends with its input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn small_integers<A: Element>(figures: &Figures, name: &str, convert: impl Fn(u32) -> A) {
    if !figures.are_wanted(&format!("median of {name}")) {
        return;
    }
    let mut random = StdRng::seed_from_u64(1);
    let list = Array1::from_shape_simple_fn(100_000_000, || convert(random.random()));
    figures.ratio(
        &format!("median of {name} / min"),
        Some(1.0),
        || list.chunked().quantile(0.5, Linear).unwrap(),
        || list.chunked().min().unwrap(),
    );
    for columns in [10, 1_000, 100_000] {
        let table = list.view().into_shape_with_order((list.len() / columns, columns)).unwrap();
        for axis in [Axis(0), Axis(1)] {
            figures.ratio(
                &format!("median of {name}, axis {} of {columns} columns / sum_axis", axis.index()),
                Some(5.0),
                || table.chunked().quantile_axis(axis, 0.5, Linear).unwrap(),
                || table.chunked().sum_axis(axis).unwrap(),
            );
        }
    }
}

/// Measures pushing elements one by one, compared with slices.
fn pushes(figures: &Figures) {
    fn each<T: Accumulator<f64>>(figures: &Figures, name: &str, new: impl Fn() -> T) {
        let name = format!("push into {name} / push_slice");
        if !figures.is_wanted(&name) {
            return;
        }
        let elements = normal(4_000_000).into_raw_vec_and_offset().0;
        let push = || {
            let mut accumulator = new();
            elements.iter().for_each(|element| accumulator.push(element));
            accumulator
        };
        let push_slices = || {
            let mut accumulator = new();
            elements.chunks(SLICE_LEN).for_each(|slice| accumulator.push_slice(slice));
            accumulator
        };
        figures.ratio(&name, Some(3.0), push, push_slices);
    }
    each(figures, "Moments<2>", Moments::<2>::new);
    each(figures, "Moments<4>", Moments::<4>::new);
    each(figures, "MinMax", MinMax::new);
}

/// Measures weighted statistics along axes, compared with those without weights.
fn weights(figures: &Figures) {
    if !figures.are_wanted("weighted_") {
        return;
    }
    let table = normal((4_096, 4_096));
    for axis in [Axis(0), Axis(1)] {
        let weights = Array1::from_shape_fn(table.len_of(axis), |index| 1.0 + (index % 7) as f64);
        let mean = || table.chunked().weighted_mean_axis(axis, &weights).unwrap();
        figures.ratio(
            &format!("weighted_mean_axis({0}) / mean_axis({0})", axis.index()),
            None,
            mean,
            || table.chunked().mean_axis(axis).unwrap(),
        );
        figures.ratio(
            &format!("weighted_mean_axis({0}) / std_axis({0})", axis.index()),
            Some(1.5),
            mean,
            || table.chunked().std_axis(axis, 0.0).unwrap(),
        );
        figures.ratio(
            &format!("weighted_std_axis({0}) / std_axis({0})", axis.index()),
            Some(1.5),
            || table.chunked().weighted_std_axis(axis, &weights, 0.0).unwrap(),
            || table.chunked().std_axis(axis, 0.0).unwrap(),
        );
    }
}

/// Measures `argwhere` with one hit in each 64 KiB, compared with the time that it should take.
fn searches(figures: &Figures) {
    if !figures.are_wanted("argwhere") {
        return;
    }
    let mut table = normal((4_096, 4_096));
    table.iter_mut().step_by(SLICE_LEN).for_each(|x| *x = 1e9);
    for (name, view) in [("", table.view()), (", transposed", table.t())] {
        figures.ratio_of_seconds(
            &format!("argwhere{name} / 2 ns an element"),
            Some(1.0),
            || seconds(|| view.chunked().argwhere(usize::MAX, |&x| x == 1e9).unwrap()),
            || view.len() as f64 * SEARCH_SECONDS,
        );
    }
}

/// Measures accumulation into 512 KiB, compared with a single accumulator in one thread.
fn large_accumulators(figures: &Figures) {
    if !figures.are_wanted("accumulate") {
        return;
    }
    let table = normal((4_096, 4_096));
    let single = || {
        let mut counts = Counts::<true>::new();
        table.iter().for_each(|x| counts.push(x));
        counts
    };
    figures.ratio(
        "accumulate into 512 KiB, in order / one thread",
        None,
        || table.chunked().accumulate(Counts::<false>::new).unwrap(),
        single,
    );
    figures.ratio(
        "accumulate into 512 KiB, in any order / one thread",
        Some(1.0),
        || table.chunked().accumulate(Counts::<true>::new).unwrap(),
        single,
    );
}

/// Measures copies into new files, compared with `map_into` within 64 MiB.
fn copies(figures: &Figures) {
    if !figures.are_wanted("to_mmap") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (copied, mapped) = (dir.path().join("copied"), dir.path().join("mapped"));
    let source = normal((8_192, 4_096)).to_scratch().unwrap();
    let map_into = |mut target: MmapArrayMut<f64, Ix2>| {
        source.chunked().memory_limit(64 << 20).map_into(&mut target, |&x| x).unwrap();
    };
    figures.ratio(
        "to_mmap / create and map_into in 64 MiB",
        Some(1.0),
        // SAFETY: this program alone uses the directory.
        || unsafe { source.to_mmap(&copied) }.unwrap(),
        // SAFETY: as above.
        || map_into(unsafe { MmapArrayMut::create(&mapped, source.dim()) }.unwrap()),
    );
    figures.ratio(
        "to_mmap_npy / create_npy and map_into in 64 MiB",
        Some(1.0),
        // SAFETY: as above.
        || unsafe { source.to_mmap_npy(&copied) }.unwrap(),
        // SAFETY: as above.
        || map_into(unsafe { MmapArrayMut::create_npy(&mapped, source.dim()) }.unwrap()),
    );
}
