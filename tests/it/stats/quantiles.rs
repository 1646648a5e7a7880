//! Quantiles against sorting.

use ndarray::prelude::*;
use ndarray_mmap::stats::{Element, Interpolation, Interpolation::*};
use ndarray_mmap::{Chunked, ErrorKind, MmapArrayMut, prelude::*};

const SHARES: [f64; 9] = [0.5, 0.0, 1.0, 0.999_999, 0.25, 0.1, 0.500_001, 0.25, 0.75];

/// As many values as for a sample to be drawn, in a random order.
const LEN: usize = 700_001;

fn random() -> impl Iterator<Item = u64> {
    let mut state = 1_u64;
    std::iter::from_fn(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some(state ^ state >> 29)
    })
}

/// All quantiles, in much memory and in little, with NaN and without.
#[track_caller]
fn check<A: Element>(values: Array1<A>) {
    let mut sorted: Vec<_> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap());
    let last = (sorted.len() - 1) as f64;
    let expected = SHARES.map(|q| sorted[(last * q).floor() as usize]);
    let chunked: fn(&Array1<A>) -> Chunked<'_, ArrayView1<'_, A>> = if sorted.len() < values.len() {
        |values| values.chunked().skipnan()
    } else {
        |values| values.chunked()
    };
    assert_eq!(chunked(&values).quantiles(&SHARES, Lower).unwrap(), expected);
    assert_eq!(
        chunked(&values).memory_limit(64 << 10).quantiles(&SHARES, Lower).unwrap(),
        expected
    );
    assert_eq!(
        chunked(&values).quantile(0.9, Higher).unwrap(),
        sorted[(last * 0.9).ceil() as usize]
    );
    if sorted.len() < values.len() {
        let error = values.chunked().quantile(0.5, Lower).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::UndefinedOrder { .. }));
    }
}

#[test]
fn quantiles_of_all_types_and_orders_equal_sorting() {
    let values = || random().take(LEN);
    let floats = || values().map(|x| (x >> 11) as f64 - (1_u64 << 52) as f64);
    check(floats().collect());
    check(floats().map(|x| x as f32).collect());
    check(values().map(|x| x as u8).collect());
    check(values().map(|x| x as i8).collect());
    check(values().map(|x| x as i16 / 100).collect());
    check(values().map(|x| x as u32).collect());
    check(values().map(|x| x as i64).collect());
    check(values().collect());
    check(values().map(|x| [u64::MAX, 0, u64::MAX - 1][(x % 3) as usize]).collect());
    check(Array1::from_elem(LEN, -7_i32));
    #[cfg(feature = "half")]
    check(floats().map(|x| half::f16::from_f64(x / 1e13)).collect());

    check((0..LEN as u64).collect());
    check((0..LEN).rev().map(|i| i as f64).collect());
    // A trend, and waves: blocks that are not alike.
    check((0..LEN).zip(floats()).map(|(i, x)| i as f64 + x / 1e12).collect());
    check((0..LEN).map(|i| (i as f64 * 1e-4).sin()).collect());
    // Elements at the starts of blocks, where samples are drawn, are all equal.
    check((0..LEN).zip(floats()).map(|(i, x)| if i % 8_192 < 2_000 { 1e9 } else { x }).collect());
}

#[test]
fn quantiles_skip_nans() {
    let floats = || random().take(LEN).map(|x| (x >> 11) as f64);
    let with = |nan: fn(usize) -> bool| {
        floats().enumerate().map(|(i, x)| if nan(i) { f64::NAN } else { x }).collect::<Array1<_>>()
    };
    check(with(|i| i == LEN - 1));
    check(with(|i| i % 3 == 0));
    check(with(|i| i != 12_345));
    check(with(|i| i < LEN / 2));
    // All of the sample, and nothing of it.
    check(with(|i| i % 8_192 < 2_000));
    check(with(|i| i % 8_192 >= 2_000));
    check(
        floats()
            .map(|x| if (x as u64).is_multiple_of(2) { f32::INFINITY } else { f32::NAN })
            .collect(),
    );

    let none = Array1::from_elem(LEN, f64::NAN);
    assert!(matches!(
        none.chunked().quantile(0.5, Linear).unwrap_err().kind(),
        ErrorKind::UndefinedOrder { .. }
    ));
    let error = none.chunked().skipnan().quantile(0.5, Linear).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::EmptyInput { .. }));
    assert!(matches!(
        Array1::<f64>::zeros(0).chunked().quantile(0.5, Linear).unwrap_err().kind(),
        ErrorKind::EmptyInput { .. }
    ));
    assert!(
        array![1.0].chunked().quantile(1.5, Linear).is_err()
            && array![1.0].chunked().quantile(-0.1, Linear).is_err()
    );
}

#[test]
fn quantiles_do_not_depend_on_threads_or_limit() {
    let mut data = MmapArrayMut::<f32, _>::scratch((1_500, 1_001)).unwrap();
    data.iter_mut().zip(random()).for_each(|(x, random)| *x = (random >> 40) as f32);
    let mut sorted: Vec<_> = data.iter().copied().collect();
    sorted.sort_by(f32::total_cmp);
    let expected = [sorted[0], sorted[(sorted.len() - 1) / 2], sorted[sorted.len() - 1]];
    for view in [data.view(), data.t(), data.slice(s![..;-1, ..])] {
        for memory in [usize::MAX, 16 << 20, 6 << 20] {
            for threads in [1, 2, 7] {
                let run = || {
                    view.chunked().memory_limit(memory).quantiles(&[0.0, 0.5, 1.0], Lower).unwrap()
                };
                #[cfg(feature = "rayon")]
                let found = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap()
                    .install(run);
                #[cfg(not(feature = "rayon"))]
                let found = (threads, run()).1;
                assert_eq!(found, expected);
            }
        }
    }
    let many: Vec<_> = (0..=200).map(|part| f64::from(part) / 200.0).collect();
    let expected: Vec<_> =
        many.iter().map(|q| sorted[((sorted.len() - 1) as f64 * q).floor() as usize]).collect();
    assert_eq!(data.chunked().memory_limit(8 << 20).quantiles(&many, Lower).unwrap(), expected);
}

#[test]
fn interpolation_keeps_digits() {
    assert_eq!(
        array![0_i64, (1 << 60) + 200].chunked().quantile(0.5, Midpoint).unwrap(),
        (1 << 59) + 100
    );
    assert_eq!(array![0, u64::MAX].chunked().quantile(0.5, Linear).unwrap(), u64::MAX / 2);
    assert_eq!(array![i64::MIN, i64::MAX].chunked().quantile(0.5, Linear).unwrap(), -1);
    assert_eq!(array![i8::MIN, i8::MAX].chunked().quantile(0.5, Midpoint).unwrap(), -1);
    let zeros = Array1::<f64>::from_shape_fn(LEN, |i| if i % 3 == 0 { -0.0 } else { 0.0 });
    for q in SHARES {
        assert!(zeros.chunked().quantile(q, Lower).unwrap().is_sign_positive());
    }
    assert_eq!(
        array![f32::NEG_INFINITY, 3.0, f32::INFINITY].chunked().quantile(0.5, Linear).unwrap(),
        3.0
    );
}

/// The whole array, a table of it as columns and one of it as rows, more lanes than are gone through one by one.
fn whole_and_along<A: Element>(values: &[A], q: f64, interpolation: Interpolation) -> Vec<A> {
    let lanes = Array2::from_shape_fn((values.len(), 9), |(i, _)| values[i]);
    let mut found = vec![aview1(values).chunked().skipnan().quantile(q, interpolation).unwrap()];
    for view in [lanes.view(), lanes.slice(s![.., ..2]), lanes.t(), lanes.as_standard_layout().t()]
    {
        let axis = Axis(usize::from(view.ncols() == values.len() && view.nrows() != values.len()));
        found.extend(view.chunked().skipnan().quantile_axis(axis, q, interpolation).unwrap());
        found.extend(
            view.chunked()
                .skipnan()
                .quantiles_axis(axis, &[0.0, q], interpolation)
                .unwrap()
                .index_axis(axis, 1),
        );
    }
    found
}

fn of_infinities<A: Element>(from: fn(f64) -> A) {
    const NUMBER: f64 = 3.25;
    let infinity = f64::INFINITY;
    for (values, q, expected) in [
        ([-infinity, NUMBER], 0.5, -infinity),
        ([-infinity, NUMBER], 1e-9, -infinity),
        ([NUMBER, infinity], 0.5, infinity),
        ([-infinity, -infinity], 0.25, -infinity),
        ([infinity, infinity], 0.75, infinity),
        ([-infinity, infinity], 0.5, f64::NAN),
        ([-infinity, infinity], 0.0, -infinity),
        ([-infinity, infinity], 1.0, infinity),
        ([-infinity, NUMBER], 0.0, -infinity),
        ([-infinity, NUMBER], 1.0, NUMBER),
        ([NUMBER, infinity], 0.0, NUMBER),
        ([0.0, -0.0], 0.5, 0.0),
    ] {
        for interpolation in [Midpoint, Linear] {
            for found in whole_and_along(&values.map(from), q, interpolation) {
                let (found, expected) = (found.to_f64(), from(expected).to_f64());
                assert!(
                    found.total_cmp(&expected).is_eq() || (found.is_nan() && expected.is_nan()),
                    "{values:?} {found}"
                );
            }
        }
    }
}

#[test]
fn interpolation_with_an_infinite_end() {
    of_infinities::<f64>(|x| x);
    of_infinities::<f32>(|x| x as f32);
    #[cfg(feature = "half")]
    of_infinities::<half::f16>(half::f16::from_f64);
    #[cfg(feature = "half")]
    of_infinities::<half::bf16>(half::bf16::from_f64);
}

#[test]
fn position_that_rounds_to_a_rank_is_that_rank() {
    for (q, rank) in
        [(0.29, 29), (0.57, 57), (0.58, 58), (0.07, 7), (0.14, 14), (0.55, 55), (0.56, 56)]
    {
        for interpolation in [Lower, Higher, Nearest, Midpoint, Linear] {
            let integers: Vec<_> = (0..=100).rev().collect();
            assert!(
                whole_and_along(&integers, q, interpolation).iter().all(|&found| found == rank)
            );
            let bytes: Vec<_> = (0..=100_u8).collect();
            assert!(
                whole_and_along(&bytes, q, interpolation)
                    .iter()
                    .all(|&found| i32::from(found) == rank)
            );
            // NaNs are not counted.
            let mut floats: Vec<_> = (0..=100).map(f64::from).collect();
            floats.insert(50, f64::NAN);
            assert!(
                whole_and_along(&floats, q, interpolation)
                    .iter()
                    .all(|&found| found == f64::from(rank))
            );
        }
    }
}

/// Many quantiles of all elements and of each lane, against sorting; with NaN, in much memory and in little.
#[track_caller]
fn check_many<A: Element>(table: Array2<A>) {
    let qs: Vec<_> = (0..=100).map(|part| f64::from(part * 7 % 101) / 100.0).collect();
    let expected = |values: ArrayView1<'_, A>, qs: &[f64]| {
        let mut sorted: Vec<_> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        sorted.sort_by(|a, b| a.partial_cmp(b).unwrap());
        if sorted.is_empty() {
            return Array1::from_elem(qs.len(), values[0]);
        }
        // Positions as they are documented: integers but for rounding.
        let place = |q: f64| ((sorted.len() - 1) as f64 * q + 1e-9).floor() as usize;
        qs.iter().map(|&q| sorted[place(q)]).collect::<Array1<_>>()
    };
    let any_nan = table.iter().any(|x| x.is_nan());
    let all = expected(table.flatten().view(), &qs);
    for memory in [usize::MAX, 1 << 20, 64 << 10] {
        assert_eq!(
            table.chunked().skipnan().memory_limit(memory).quantiles(&qs, Lower).unwrap(),
            all.to_vec()
        );
        assert_eq!(
            table.t().chunked().memory_limit(memory).quantiles(&qs, Lower).is_err(),
            any_nan
        );
        for view in [table.view(), table.t(), table.slice(s![.., ..;-1]), table.slice(s![.., 1..8])]
        {
            for (axis, qs) in
                [(Axis(0), &qs[..]), (Axis(1), &qs), (Axis(0), &qs[40..41]), (Axis(0), &qs[..2])]
            {
                let chunked = || view.chunked().memory_limit(memory);
                let found = chunked().skipnan().quantiles_axis(axis, qs, Lower).unwrap();
                for (lane, found) in view.lanes(axis).into_iter().zip(found.lanes(axis)) {
                    let same = |a: &A, b: &A| a == b || (a.is_nan() && b.is_nan());
                    let equal = found.iter().zip(&expected(lane, qs)).all(|(a, b)| same(a, b));
                    assert!(equal, "{memory} {axis:?} {:?} {lane:?} {found:?}", view.shape());
                }
                assert_eq!(
                    chunked().quantiles_axis(axis, qs, Lower).is_err(),
                    view.iter().any(|x| x.is_nan())
                );
            }
        }
    }
}

#[test]
fn many_quantiles_of_small_integers() {
    of_shapes(&[(300, 12), (4_500, 9), (150, 40)]);
}

/// Short and long lanes, more and fewer than a panel has columns.
#[test]
fn quantiles_of_many_lanes() {
    of_shapes(&[(1, 16), (2, 100), (10, 200), (256, 65), (1_024, 17), (1_025, 18)]);
}

fn of_shapes(shapes: &[(usize, usize)]) {
    for &shape in shapes {
        let mut random = random();
        let mut next = || random.next().unwrap();
        check_many(Array2::from_shape_simple_fn(shape, || next() as u8));
        check_many(Array2::from_shape_simple_fn(shape, || next() as i8 / 50));
        check_many(Array2::from_shape_simple_fn(shape, || next() as u16));
        check_many(Array2::from_shape_simple_fn(shape, || next() as i16));
        check_many(Array2::from_shape_simple_fn(shape, || (next() >> 40) as f64));
        check_many(Array2::from_shape_simple_fn(shape, || next() as i64));
        // Ends, zeros of both signs, NaN of both signs.
        let special =
            [f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::NAN, -f32::NAN, f32::MAX, 1e-40];
        let mut float = || match next() >> 20 {
            x if x.is_multiple_of(5) => special[x as usize / 5 % 8],
            x => (x % 1_000) as f32 - 500.0,
        };
        check_many(Array2::from_shape_simple_fn(shape, &mut float));
        #[cfg(feature = "half")]
        {
            check_many(Array2::from_shape_simple_fn(shape, || half::f16::from_f32(float())));
            check_many(Array2::from_shape_simple_fn(shape, || half::bf16::from_f32(float())));
        }
    }
}

/// More quantiles than there is room for at a time.
#[test]
fn quantiles_that_exceed_the_limit_are_batched() {
    let table =
        Array2::from_shape_fn((300, 70), |(i, j)| ((i * 7_919 + j * 104_729) % 21_001) as f32);
    let qs: Vec<_> = (0..5_000).map(|part| f64::from(part) / 4_999.0).collect();
    for interpolation in [Lower, Higher, Nearest, Midpoint, Linear] {
        let whole = table.chunked().quantiles(&qs, interpolation).unwrap();
        assert_eq!(
            table.chunked().memory_limit(256 << 10).quantiles(&qs, interpolation).unwrap(),
            whole
        );
        for axis in [Axis(0), Axis(1)] {
            let along = table.chunked().quantiles_axis(axis, &qs, interpolation).unwrap();
            let limited = table
                .chunked()
                .memory_limit(256 << 10)
                .quantiles_axis(axis, &qs, interpolation)
                .unwrap();
            assert_eq!(limited, along);
        }
    }
}

/// Half of one value and half of another: no more passes than of any data, whole and along both axes.
#[test]
fn input_of_two_values_takes_few_passes() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    for values in [vec![0.0, 1.0], vec![0.0, 1e-3], (0..10).map(f64::from).collect::<Vec<_>>()] {
        let table =
            Array2::from_shape_fn((200_000, 10), |(i, j)| values[(i * 7 + j) % values.len()]);
        let passes = |select: &(dyn Fn(Chunked<'_, ArrayView2<'_, f64>>) -> f64 + Sync)| {
            let (last, passes) = (AtomicUsize::new(usize::MAX), AtomicUsize::new(0));
            let count = |now: usize, _| {
                // Each pass counts from the beginning.
                if last.swap(now, Ordering::Relaxed) > now {
                    passes.fetch_add(1, Ordering::Relaxed);
                }
            };
            let chunked = table.chunked().memory_limit(6 << 20).on_progress(count);
            #[cfg(feature = "rayon")]
            let found = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .build()
                .unwrap()
                .install(|| select(chunked));
            #[cfg(not(feature = "rayon"))]
            let found = select(chunked);
            let middle = if values.len() == 2 { (values[0] + values[1]) / 2.0 } else { 4.5 };
            assert_eq!(found, middle);
            passes.into_inner()
        };
        let whole = passes(&|chunked| chunked.quantile(0.5, Linear).unwrap());
        let columns = passes(&|chunked| chunked.quantile_axis(Axis(0), 0.5, Linear).unwrap()[0]);
        assert!(whole <= 8 && columns <= 12, "{whole} and {columns} passes");
    }
}

mod along_an_axis {
    use ndarray::prelude::*;
    use ndarray_mmap::stats::{Element, Interpolation, Interpolation::*};
    use ndarray_mmap::{ErrorKind, prelude::*};
    use proptest::prelude::*;

    use super::super::{Recipe, memories, noise, recipes};

    /// A lane sorted and looked up.
    fn naive<A: Element>(lane: ArrayView1<'_, A>, q: f64, interpolation: Interpolation) -> f64 {
        let mut sorted: Vec<_> = lane.iter().map(|x| x.to_f64()).filter(|x| !x.is_nan()).collect();
        if sorted.is_empty() {
            return f64::NAN;
        }
        sorted.sort_by(f64::total_cmp);
        let index = (sorted.len() - 1) as f64 * q;
        let [lower, higher] = [index.floor(), index.ceil()].map(|index| sorted[index as usize]);
        match interpolation {
            Lower => lower,
            Higher => higher,
            Nearest => {
                if index.fract() < 0.5 {
                    lower
                } else {
                    higher
                }
            }
            Midpoint => f64::midpoint(lower, higher),
            _ => lower + (higher - lower) * index.fract(),
        }
    }

    fn check<A: Element>(view: ArrayViewD<'_, A>, memory: usize, q: f64) {
        for axis in (0..view.ndim()).map(Axis) {
            let chunked = || view.chunked().memory_limit(memory).skipnan();
            if view.len_of(axis) == 0 {
                assert!(chunked().quantile_axis(axis, q, Lower).is_err());
                continue;
            }
            for interpolation in [Lower, Higher, Nearest, Midpoint, Linear] {
                let found = chunked().quantile_axis(axis, q, interpolation).unwrap();
                let expected = view.map_axis(axis, |lane| naive(lane, q, interpolation));
                assert_eq!(found.shape(), expected.shape());
                for (found, expected) in found.iter().zip(&expected) {
                    let found = found.to_f64();
                    // Integers are rounded down, and `f32` to its own digits.
                    let near = found == *expected || (found.is_nan() && expected.is_nan());
                    let rounded = std::any::type_name::<A>() == "i16" && found == expected.floor();
                    assert!(
                        near || rounded || (found - expected).abs() < 1e-5,
                        "{found} {expected}"
                    );
                }
            }
            let qs = [q, 0.0, 1.0];
            let several = chunked().quantiles_axis(axis, &qs, Lower).unwrap();
            for (q, found) in qs.iter().zip(several.axis_iter(axis)) {
                let one = chunked().quantile_axis(axis, *q, Lower).unwrap();
                assert!(found.iter().zip(&one).all(|(a, b)| a == b || (a.is_nan() && b.is_nan())));
            }
            let any_nan = view.iter().any(|x| x.is_nan());
            assert_eq!(view.chunked().quantile_axis(axis, q, Lower).is_err(), any_nan);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..Default::default() })]
        #[test]
        fn axis_quantiles_equal_sorting(recipe in recipes(), memory in memories(), q in prop_oneof![Just(0.5), 0.0..=1.0_f64]) {
            let array = recipe.array();
            check(recipe.view(&array), memory, q);
            let array = Recipe { nans: 0.0, ..recipe.clone() }.array();
            check(recipe.view(&array.mapv(|x| x as i16)), memory, q);
            check(recipe.view(&array.mapv(|x| x as f32)), memory, q);
        }
    }

    /// More than can be kept of each lane, so that there are several passes; lanes longer than a slice may be.
    #[test]
    fn quantiles_of_long_lanes_equal_sorting() {
        let mut noise = noise(9);
        let table = Array2::from_shape_simple_fn((20_000, 100), || (noise() * 1e6).floor());
        for (view, memory) in
            [(table.view(), 6 << 20), (table.t(), 6 << 20), (table.view(), usize::MAX)]
        {
            for axis in [Axis(0), Axis(1)] {
                let found =
                    view.chunked().memory_limit(memory).quantile_axis(axis, 0.5, Linear).unwrap();
                assert_eq!(found, view.map_axis(axis, |lane| naive(lane, 0.5, Linear)));
            }
        }
        let long =
            Array2::from_shape_fn((3, 2_000_000), |(i, j)| ((j * 7_919 + i) % 2_000_003) as f64);
        let medians = long.chunked().quantile_axis(Axis(1), 0.5, Linear).unwrap();
        assert_eq!(medians, long.map_axis(Axis(1), |lane| naive(lane, 0.5, Linear)));
        let error = long.chunked().quantile_axis(Axis(0), 1.5, Linear).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidQuantile { .. }));
    }
}

/// Elements of one and two bytes, which are counted by value.
mod small {
    use proptest::prelude::*;

    use super::*;

    /// As many as for a sample to be drawn, and fewer.
    fn lens() -> impl Strategy<Value = usize> {
        prop_oneof![1_usize..300, 100_000_usize..300_000, 2_500_000_usize..3_500_000]
    }

    /// Any values, few values, one that most elements have, in order, other values where a sample is drawn, and blocks that are
    /// not alike.
    fn values(kind: u32, len: usize, seed: u64) -> Vec<u16> {
        let mut random = random().skip(seed as usize % 1_000);
        let mut next = || random.next().unwrap() >> 17;
        let value = |i: usize| match kind {
            0 => next() as u16,
            1 => (next() % 1_000 + seed % 60_000) as u16,
            2 if next() % 10 < 6 => seed as u16,
            2 => next() as u16,
            3 => ((i as u64) << 16).div_euclid(len as u64) as u16,
            4 if i % 65_536 < 2_048 => 9,
            4 => next() as u16,
            _ => (i as u64 / 50_000).wrapping_mul(seed | 1) as u16,
        };
        (0..len).map(value).collect()
    }

    #[track_caller]
    fn check<A: Element>(values: Array1<A>, memory: usize, qs: &[f64]) {
        let mut sorted: Vec<_> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        if sorted.is_empty() {
            return;
        }
        sorted.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap());
        let chunked = || values.chunked().memory_limit(memory).skipnan();
        let sorted = Array1::from(sorted);
        for interpolation in [Lower, Higher, Nearest, Midpoint, Linear] {
            // Lanes that are contiguous are selected in as slices.
            let lane = sorted.view().insert_axis(Axis(0));
            let expected = lane.chunked().quantiles_axis(Axis(1), qs, interpolation).unwrap();
            assert_eq!(
                chunked().quantiles(qs, interpolation).unwrap(),
                expected.into_raw_vec_and_offset().0
            );
        }
        let last = (sorted.len() - 1) as f64;
        for &q in qs {
            let expected = sorted[(last * q).floor() as usize];
            let at = last * q;
            // Where rounding does not decide.
            if (at - at.round()).abs() > 1e-6 || at == at.round() {
                assert_eq!(chunked().quantile(q, Lower).unwrap(), expected);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4, ..Default::default() })]
        #[test]
        fn quantiles_equal_sorting(
            kind in 0_u32..6,
            len in lens(),
            seed in any::<u64>(),
            memory in prop_oneof![Just(usize::MAX), Just(16 << 20), Just(1 << 20)],
            qs in prop_oneof![
                prop::collection::vec(prop_oneof![Just(0.5), Just(0.0), Just(1.0), 0.0..=1.0_f64], 1..7),
                prop::collection::vec(0.0..=1.0_f64, 100),
            ],
        ) {
            let values = Array1::from(values(kind, len, seed));
            check(values.mapv(|x| x as u8), memory, &qs);
            check(values.mapv(|x| x as i8), memory, &qs);
            check(values.mapv(|x| x as i16), memory, &qs);
            #[cfg(feature = "half")]
            check(values.mapv(half::f16::from_bits), memory, &qs);
            #[cfg(feature = "half")]
            check(values.mapv(half::bf16::from_bits), memory, &qs);
            check(values, memory, &qs);
        }
    }

    /// Infinities and NaN are no other than in long elements.
    #[test]
    #[cfg(feature = "half")]
    fn axis_quantiles_skip_nans() {
        let of = |bits: u16| half::f16::from_bits(bits);
        let values: Array1<_> = random().take(3_000_000).map(|x| of((x >> 20) as u16)).collect();
        assert!(matches!(
            values.chunked().quantile(0.5, Lower).unwrap_err().kind(),
            ErrorKind::UndefinedOrder { .. }
        ));
        assert_eq!(
            values.chunked().skipnan().quantile(0.0, Linear).unwrap(),
            half::f16::NEG_INFINITY
        );
        assert_eq!(values.chunked().skipnan().quantile(1.0, Linear).unwrap(), half::f16::INFINITY);
        let none = Array1::from_elem(3_000_000, half::f16::NAN);
        for qs in [&[0.5][..], &[0.5; 20]] {
            let error = none.chunked().skipnan().quantiles(qs, Lower).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::EmptyInput { .. }));
        }
    }
}
