//! Statistics of several ranks against those of one process, bit for bit.

mod failures;
mod index;
mod parts;
mod saved;

use std::fmt::Debug;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::Slice;
use ndarray::prelude::*;
use proptest::prelude::*;

use super::{Communicator, ThreadCommunicator};
use crate::prelude::*;
use crate::stats::{
    ArgMinMax, Bins, Element, Histogram, Interpolation, MinMax, Moments, Sum, WeightedMoments,
};
use crate::{Chunked, Error, ErrorKind, Result};

/// The name of each statistic, and its result as text that contains every bit.
type Results = Vec<(String, Result<String>)>;

fn put(results: &mut Results, name: &str, result: Result<impl Debug>) {
    results.push((name.into(), result.map(|value| format!("{value:?}"))));
}

/// Computes all statistics of all elements. The weights are another array of the same shape.
fn whole<'a, A: Element>(
    chunked: &Chunked<'a, ArrayViewD<'a, A>>,
    weights: &'a ArrayD<f64>,
) -> Results {
    whole_of(&|| chunked.clone(), weights)
}

/// Computes all statistics of all elements, each of which requests the operation once.
fn whole_of<'a, A: Element>(
    c: &dyn Fn() -> Chunked<'a, ArrayViewD<'a, A>>,
    weights: &'a ArrayD<f64>,
) -> Results {
    let mut all = Results::new();
    let to = &mut all;
    put(to, "sum", c().sum());
    put(to, "mean", c().mean());
    put(to, "var", c().var(1.0));
    put(to, "summary", c().summary());
    put(to, "central_moments", c().central_moments(5));
    put(to, "max", c().max());
    put(to, "argmin", c().argmin().map(|index| format!("{index:?}")));
    put(to, "argmax", c().argmax().map(|index| format!("{index:?}")));
    put(to, "count_where", c().count_where(|x| x.to_f64() > 0.25));
    put(to, "histogram", c().histogram(7));
    put(to, "histogram of edges", c().histogram(Bins::edges([-1.0, 0.0, 0.5, 20.0])));
    for qs in [&[0.5][..], &[0.0, 0.1, 0.9, 1.0], &[0.3; 12]] {
        put(to, "quantiles", c().quantiles(qs, Interpolation::Linear));
    }
    put(to, "weighted_std", c().weighted_std(weights, 0.0));
    put(to, "histogram2d", c().and(weights).and_then(|pairs| pairs.histogram2d(4, 3)));
    let accumulators = || (Sum::<A>::new(), Moments::<4>::new(), MinMax::new(), ArgMinMax::new());
    put(to, "accumulate", c().accumulate(accumulators));
    let uniform = Histogram::new(Bins::uniform(5, 0.0..=1.0)).unwrap();
    put(to, "accumulate in any order", c().accumulate(|| uniform.clone()));
    put(to, "pairs", c().and(weights).and_then(|pairs| pairs.accumulate(WeightedMoments::new)));
    all
}

/// Computes all statistics along an axis.
fn along<'a, A: Element>(
    chunked: &Chunked<'a, ArrayViewD<'a, A>>,
    axis: Axis,
    weights: &Array1<f64>,
) -> Results {
    along_of(&|| chunked.clone(), axis, weights)
}

/// Computes all statistics along an axis, each of which requests the operation once.
fn along_of<'a, A: Element>(
    c: &dyn Fn() -> Chunked<'a, ArrayViewD<'a, A>>,
    axis: Axis,
    weights: &Array1<f64>,
) -> Results {
    let mut all = Results::new();
    let to = &mut all;
    put(to, "sum_axis", c().sum_axis(axis));
    put(to, "mean_axis", c().mean_axis(axis));
    put(to, "std_axis", c().std_axis(axis, 0.0));
    put(to, "summary_axis", c().summary_axis(axis));
    put(to, "min_axis", c().min_axis(axis));
    put(to, "argmin_axis", c().argmin_axis(axis));
    put(to, "argmax_axis", c().argmax_axis(axis));
    put(to, "weighted_mean_axis", c().weighted_mean_axis(axis, weights));
    put(to, "weighted_sum_axis", c().weighted_sum_axis(axis, weights));
    put(to, "accumulate_axis", c().accumulate_axis(axis, Moments::<2>::new));
    put(to, "quantiles_axis", c().quantiles_axis(axis, &[0.2, 0.5], Interpolation::Midpoint));
    put(to, "quantile_axis", c().quantile_axis(axis, 1.0, Interpolation::Lower));
    all
}

/// Compares the results of ranks. All ranks must fail if one process fails.
#[track_caller]
fn compare(size: usize, expected: &Results, of_ranks: Vec<Results>) {
    for (rank, found) in of_ranks.into_iter().enumerate() {
        assert_eq!(found.len(), expected.len());
        for ((name, found), (_, expected)) in found.into_iter().zip(expected) {
            match (&found, expected) {
                (Ok(found), Ok(expected)) => {
                    assert_eq!(found, expected, "{name} on rank {rank} of {size}");
                }
                (Err(_), Err(_)) => {}
                _ => panic!("{name} on rank {rank} of {size}: {found:?}, not {expected:?}"),
            }
        }
    }
}

fn chunked<'v, A: Sync>(
    view: &'v ArrayViewD<'_, A>,
    skip_nan: bool,
) -> Chunked<'v, ArrayViewD<'v, A>> {
    if skip_nan { view.chunked().skipnan() } else { view.chunked() }
}

#[track_caller]
fn check_shared<A: Element, D: Dimension>(view: ArrayView<'_, A, D>, skip_nan: bool) {
    let view = view.into_dyn();
    let weights = view.mapv(|x| if x.is_nan() { 0.5 } else { (x.to_f64() * 7.0).sin().abs() });
    let expected = whole(&chunked(&view, skip_nan), &weights);
    for size in [1, 2, 3, 4, 7] {
        let found = ThreadCommunicator::run(size, |world| {
            whole(&chunked(&view, skip_nan).across(world), &weights)
        });
        compare(size, &expected, found);
    }
    for axis in 0..view.ndim() {
        let axis = Axis(axis);
        let weights = Array1::from_shape_fn(view.len_of(axis), |i| 1.0 + (i % 3) as f64);
        let expected = along(&chunked(&view, skip_nan), axis, &weights);
        for size in [1, 2, 3, 7] {
            let found = ThreadCommunicator::run(size, |world| {
                along(&chunked(&view, skip_nan).across(world), axis, &weights)
            });
            compare(size, &expected, found);
        }
    }
}

fn noise(index: usize) -> f64 {
    ((index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / 1e6 - 4.0
}

fn table(shape: (usize, usize)) -> Array2<f64> {
    Array2::from_shape_fn(shape, |(i, j)| noise(i * shape.1 + j) * (1.0 + j as f64))
}

#[test]
fn shared_arrays_of_every_shape() {
    check_shared(table((20_000, 6)).view(), false);
    check_shared(table((6, 20_000)).view(), false);
    check_shared(table((9_000, 20)).view(), false);
    check_shared(table((3, 5)).view(), false);
    check_shared(table((40_000, 4)).t(), false);
    let reversed = table((20_000, 6));
    let mut reversed = reversed.slice_axis(Axis(1), Slice::from(1..5));
    reversed.invert_axis(Axis(0));
    reversed.invert_axis(Axis(1));
    check_shared(reversed, false);
    let cube = Array3::from_shape_fn((40, 60, 50), |(i, j, k)| noise(3_000 * i + 50 * j + k));
    check_shared(cube.view(), false);
    check_shared(cube.view().permuted_axes([2, 0, 1]), false);
}

#[test]
fn shared_arrays_of_integers_and_with_nan() {
    let floats = table((30_000, 5));
    check_shared(floats.mapv(|x| (x * 1000.0) as i16).view(), false);
    let mut with_nan = floats;
    with_nan.iter_mut().step_by(97).for_each(|x| *x = f64::NAN);
    check_shared(with_nan.view(), true);
    check_shared(with_nan.view(), false);
}

#[test]
fn empty_arrays() {
    check_shared(Array2::<f64>::zeros((0, 3)).view(), false);
    check_shared(Array2::<f64>::zeros((3, 0)).view(), false);
}

/// Compares all statistics of one number of ranks.
fn check_size(view: &ArrayViewD<'_, f64>, size: usize) {
    let weights = view.mapv(|x| x.sin().abs());
    let found =
        ThreadCommunicator::run(size, |world| whole(&chunked(view, false).across(world), &weights));
    compare(size, &whole(&chunked(view, false), &weights), found);
    for axis in (0..view.ndim()).map(Axis) {
        let weights = Array1::from_shape_fn(view.len_of(axis), |i| 1.0 + (i % 3) as f64);
        let found = ThreadCommunicator::run(size, |world| {
            along(&chunked(view, false).across(world), axis, &weights)
        });
        compare(size, &along(&chunked(view, false), axis, &weights), found);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..Default::default() })]
    #[test]
    fn arrays_of_random_shapes(
        lens in prop::collection::vec(prop_oneof![0_usize..4, 1_usize..60], 1..4),
        long in 1_usize..9_000,
        position in any::<prop::sample::Index>(),
        (is_reversed, is_inverted) in (any::<bool>(), any::<bool>()),
        size in 1_usize..9,
    ) {
        let mut lens = lens;
        let position = position.index(lens.len());
        // One long axis, within a size that is processed fast.
        let others: usize = lens.iter().product::<usize>().max(1) / lens[position].max(1);
        lens[position] = long.min(200_000 / others.max(1));
        let mut index = 0;
        let array = ArrayD::from_shape_simple_fn(lens, || {
            index += 1;
            noise(index)
        });
        let mut view = if is_reversed { array.t() } else { array.view() };
        if is_inverted {
            view.invert_axis(Axis(0));
        }
        check_size(&view, size);
    }
}

#[test]
fn memory_limits_of_ranks_may_differ() {
    let values = Array1::from_shape_fn(600_000, noise);
    let qs = [0.1, 0.5, 0.9];
    let expected = values.chunked().quantiles(&qs, Interpolation::Linear).unwrap();
    for found in ThreadCommunicator::run(3, |world| {
        let chunked = values.chunked().across(world);
        let limited = match world.rank() {
            0 => chunked,
            rank => chunked.memory_limit((4 * rank) << 20),
        };
        limited.quantiles(&qs, Interpolation::Linear)
    }) {
        assert_eq!(found.unwrap(), expected);
    }
}

#[test]
fn covariances() {
    let table = table((6, 30_000));
    let expected = table.chunked().cov(1.0).unwrap();
    for size in [1, 2, 3, 4, 7] {
        for found in ThreadCommunicator::run(size, |world| {
            Ok::<_, Error>((
                table.chunked().across(world).cov(1.0)?,
                table.chunked().across(world).pearson_correlation()?,
            ))
        }) {
            let (cov, correlation) = found.unwrap();
            assert_eq!(cov, expected);
            assert_eq!(correlation, table.chunked().pearson_correlation().unwrap());
        }
    }
}

/// Splits an array along an axis at multiples of `unit`, into parts of which one is empty.
fn parts<D: Dimension>(
    array: &Array<f64, D>,
    axis: Axis,
    size: usize,
    unit: usize,
) -> Vec<Array<f64, D>> {
    let len = array.len_of(axis);
    let ends = (0..=size).map(|rank| match rank {
        0 => 0,
        1 if size > 2 => 0,
        _ if rank == size => len,
        _ => (len * rank / size / unit * unit).min(len),
    });
    let ends: Vec<_> = ends.collect();
    let part = |pair: &[usize]| array.slice_axis(axis, Slice::from(pair[0]..pair[1])).to_owned();
    ends.windows(2).map(part).collect()
}

/// Results that are exact, and therefore do not depend on the division into arrays.
const EXACT: [&str; 14] = [
    "max",
    "argmin",
    "argmax",
    "count_where",
    "histogram",
    "histogram of edges",
    "quantiles",
    "histogram2d",
    "accumulate in any order",
    "min_axis",
    "argmin_axis",
    "argmax_axis",
    "quantiles_axis",
    "quantile_axis",
];

/// Keeps the results that one concatenated array must have bit for bit.
fn retain(results: &mut Results, is_kept: impl Fn(&str) -> bool) {
    results.retain(|(name, _)| is_kept(name));
}

#[test]
fn concatenated_arrays() {
    let array = table((20_000, 6)).into_dyn();
    let weights = array.mapv(|x| x.sin().abs());
    // Rows have 48 bytes, and blocks have 1,365 of them.
    for unit in [1, 1_365] {
        let is_kept = |name: &str| unit > 1 || EXACT.contains(&name);
        let mut expected = whole(&chunked(&array.view(), false), &weights);
        retain(&mut expected, is_kept);
        for size in [1, 2, 3, 4] {
            let [own, own_weights] = [&array, &weights].map(|all| parts(all, Axis(0), size, unit));
            let found = ThreadCommunicator::run(size, |world| {
                let (own, weights) = (own[world.rank()].view(), &own_weights[world.rank()]);
                let own = chunked(&own, false).concatenate_across(Axis(0), world);
                let mut results = whole(&own, weights);
                retain(&mut results, is_kept);
                results
            });
            compare(size, &expected, found);
        }
    }
}

#[test]
fn lanes_of_concatenated_arrays() {
    let array = table((12_000, 10)).into_dyn();
    for (axis, unit) in [(0, 1), (0, 1_024), (1, 64)] {
        let axis = Axis(axis);
        let is_own = axis == Axis(1);
        let is_kept = |name: &str| {
            let is_quantile = name.starts_with("quantile");
            is_own || !is_quantile && (unit > 1 || EXACT.contains(&name))
        };
        let weights = Array1::from_shape_fn(array.len_of(axis), |i| 1.0 + (i % 3) as f64);
        let mut expected = along(&chunked(&array.view(), false), axis, &weights);
        retain(&mut expected, is_kept);
        for size in [1, 2, 3, 4] {
            let own = parts(&array, Axis(0), size, unit);
            let own_weights = parts(&weights, Axis(0), size, unit);
            let found = ThreadCommunicator::run(size, |world| {
                let weights = if is_own { &weights } else { &own_weights[world.rank()] };
                let own = own[world.rank()].view();
                let own = chunked(&own, false).concatenate_across(Axis(0), world);
                let mut results = along(&own, axis, weights);
                retain(&mut results, is_kept);
                results
            });
            compare(size, &expected, found);
        }
    }
}

/// The weights of each rank, which are as long as its array, are part of its memory limit. Ranks
/// must exchange the same batches of lanes all the same.
#[test]
fn batches_of_lanes_do_not_depend_on_the_length_of_a_rank() {
    let own = [table((10_240, 100)), table((51_200, 100))];
    let whole = ndarray::concatenate(Axis(0), &[own[0].view(), own[1].view()]).unwrap();
    let weights = |array: &Array2<f64>| Array1::from_shape_fn(array.nrows(), |i| (i % 3) as f64);
    for limit in [2 << 20, 4 << 20, 8 << 20] {
        let all =
            ndarray::concatenate(Axis(0), &[weights(&own[0]).view(), weights(&own[1]).view()])
                .unwrap();
        let expected = whole.chunked().weighted_mean_axis(Axis(0), &all).unwrap();
        for found in ThreadCommunicator::run(2, |world| {
            let own = &own[world.rank()];
            let chunked = own.chunked().memory_limit(limit).concatenate_across(Axis(0), world);
            chunked.weighted_mean_axis(Axis(0), &weights(own))
        }) {
            assert_eq!(found.unwrap(), expected, "within {limit} bytes");
        }
    }
}

#[test]
fn covariances_of_concatenated_observations() {
    let table = table((30_000, 6));
    let expected = table.t().chunked().cov(0.0).unwrap();
    let own = parts(&table, Axis(0), 4, 4_096);
    for found in ThreadCommunicator::run(4, |world| {
        own[world.rank()].t().chunked().concatenate_across(Axis(1), world).cov(0.0)
    }) {
        assert_eq!(found.unwrap(), expected);
    }
    for found in ThreadCommunicator::run(2, |world| {
        own[1].t().chunked().concatenate_across(Axis(0), world).cov(0.0).map(drop)
    }) {
        assert!(matches!(found.unwrap_err().kind(), ErrorKind::Unsupported { .. }));
    }
}

#[test]
fn quantiles_within_a_memory_limit_take_few_bytes() {
    let values = Array1::from_shape_fn(1_000_000, noise);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    for (qs, ranks) in [(vec![0.5], 3), ((0..200).map(|i| f64::from(i) / 199.0).collect(), 2)] {
        let found = ThreadCommunicator::run(ranks, |world| {
            let world = Counting { world, bytes: AtomicUsize::new(0) };
            let chunked = values.chunked().memory_limit(8 << 20).across(&world);
            let found = chunked.quantiles(&qs, Interpolation::Lower).unwrap();
            (found, world.bytes.into_inner())
        });
        for (found, bytes) in found {
            let rank = |q: f64| (q * 999_999.0 + 1e-6) as usize;
            assert!(qs.iter().zip(&found).all(|(&q, found)| *found == sorted[rank(q)]));
            assert!(bytes < 4 << 20, "{bytes} bytes");
        }
    }
}

/// Counts the bytes of the messages of all ranks.
struct Counting<'w> {
    world: &'w dyn Communicator,
    bytes: AtomicUsize,
}

impl Communicator for Counting<'_> {
    fn rank(&self) -> usize {
        self.world.rank()
    }

    fn size(&self) -> usize {
        self.world.size()
    }

    fn all_gather(&self, message: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let messages = self.world.all_gather(message)?;
        self.bytes.fetch_add(messages.iter().map(Vec::len).sum(), Ordering::Relaxed);
        Ok(messages)
    }
}
