//! Statistics, against ndarray, ndarray-stats, certified values and the plainest loops.

mod accumulators;
mod all;
mod axis;
mod bits;
mod empty_input;
mod exact;
mod memory;
mod order;
mod others;
mod partitions;
mod quantiles;
#[cfg(feature = "serde")]
mod serde;
mod tight;
mod whole;

use ndarray::{ArrayD, ArrayViewD, IxDyn, ShapeBuilder, Slice};
use proptest::prelude::*;

/// Relative difference.
pub fn apart(a: f64, b: f64) -> f64 {
    if a == b { 0.0 } else { (a - b).abs() / a.abs().max(b.abs()) }
}

#[track_caller]
pub fn close(a: f64, b: f64, within: f64) {
    assert!(
        apart(a, b) <= within || (a.is_nan() && b.is_nan()),
        "{a:e} and {b:e} are {:e} apart",
        apart(a, b)
    );
}

/// A seeded generator of numbers from 0 to 1, so that large arrays need not be drawn one by one.
pub fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed | 1;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1 << 24) as f64
    }
}

/// Whole numbers from -30 to 69, with a share of NaNs, in an array whose layout is anything.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub shape: Vec<usize>,
    pub fortran: bool,
    pub steps: Vec<isize>,
    pub turn: bool,
    pub seed: u64,
    pub nans: f64,
}

impl Recipe {
    pub fn array(&self) -> ArrayD<f64> {
        let mut noise = noise(self.seed);
        let draw = || if noise() < self.nans { f64::NAN } else { (noise() * 100.0).floor() - 30.0 };
        ArrayD::from_shape_simple_fn(IxDyn(&self.shape).set_f(self.fortran), draw)
    }

    /// Sliced, reversed and turned.
    pub fn view<'a, A>(&self, array: &'a ArrayD<A>) -> ArrayViewD<'a, A> {
        let view = array.slice_each_axis(|axis| Slice::new(0, None, self.steps[axis.axis.index()]));
        if self.turn { view.reversed_axes() } else { view }
    }
}

pub fn recipes() -> impl Strategy<Value = Recipe> {
    let shapes = prop_oneof![
        prop::collection::vec(0_usize..7, 1..5),
        prop::collection::vec(1_usize..40, 2..4),
        // Long and thin, short and wide, and several stretches of each kind.
        (1_usize..12, 1_usize..20_000).prop_map(|(a, b)| vec![a, b]),
        (1_usize..20_000, 1_usize..12).prop_map(|(a, b)| vec![a, b]),
        (250_usize..800, 1_usize..100).prop_map(|(a, b)| vec![a, b]),
        (1_usize..6, 250_usize..600, 1_usize..30).prop_map(|(a, b, c)| vec![a, b, c]),
    ];
    let steps =
        prop::collection::vec(prop_oneof![4 => Just(1_isize), 1 => Just(-1), 1 => Just(3)], 5);
    let nans = prop_oneof![Just(0.0), Just(0.01), Just(0.9)];
    (shapes, any::<bool>(), steps, any::<bool>(), any::<u64>(), nans).prop_map(
        |(shape, fortran, steps, turn, seed, nans)| Recipe {
            shape,
            fortran,
            steps,
            turn,
            seed,
            nans,
        },
    )
}

/// Memory limits of chunked operations: none, one with room, and about the minimum.
pub fn memories() -> impl Strategy<Value = usize> {
    prop_oneof![Just(usize::MAX), Just(16 << 20), Just(6 << 20)]
}
