//! Accumulators on their own: pushed one by one and in slices, merged, counted to the end, shown.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::prelude::*;
use ndarray_mmap::stats::{ArgMinMax, Bins, Element, Histogram, Histogram2d, MinMax};
use ndarray_mmap::{Accumulator, prelude::*};
use proptest::prelude::*;

/// As text, in which 0.0 and -0.0 differ and NaNs are alike.
fn text(accumulator: &impl std::fmt::Debug) -> String {
    format!("{accumulator:?}")
}

/// Pushed one by one, in slices that are cut somewhere, and merged.
fn every_way<A: Element, T: Accumulator<A> + std::fmt::Debug>(
    elements: &[A],
    cut: usize,
    new: impl Fn() -> T,
) {
    let mut single = new();
    elements.iter().for_each(|element| single.push(element));
    let mut slice = new();
    slice.push_slice(elements);
    assert_eq!(text(&slice), text(&single), "{elements:?}");
    let (first, second) = elements.split_at(cut.min(elements.len()));
    let (mut merged, mut later) = (new(), new());
    merged.push_slice(first);
    second.iter().for_each(|element| later.push(element));
    merged.merge(later);
    assert_eq!(text(&merged), text(&single), "{elements:?} cut at {cut}");
    if !elements.is_empty() {
        let mut rows = new();
        T::push_rows(&mut [&mut rows], &elements.chunks(1).collect::<Vec<_>>());
        assert_eq!(text(&rows), text(&single), "{elements:?} in rows");
    }
}

fn all_accumulators<A: Element>(elements: &[A], cut: usize) {
    every_way(elements, cut, MinMax::new);
    every_way(elements, cut, ArgMinMax::new);
    for bins in [
        Bins::uniform(7, -3.0..=4.0),
        Bins::edges([-2.0, 0.0, 0.5, 9.0]),
        Bins::edges([0.0, f64::INFINITY]),
    ] {
        every_way(elements, cut, || Histogram::new(bins.clone()).unwrap());
    }
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    let special = prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(1.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MAX),
        Just(f64::from_bits(1)),
    ];
    let zeros = prop_oneof![30 => Just(1.0), 1 => Just(0.0), 1 => Just(-0.0)];
    prop_oneof![
        prop::collection::vec(prop_oneof![special, -5.0..5.0], 0..100),
        // Few of either zero among many.
        prop::collection::vec(zeros, 0..400),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn push_and_push_slice_give_the_same_bits(values in values(), cut in 0_usize..400) {
        all_accumulators(&values, cut);
        all_accumulators(&values.iter().map(|&x| x as f32).collect::<Vec<_>>(), cut);
        all_accumulators(&values.iter().map(|&x| x as i8).collect::<Vec<_>>(), cut);
        all_accumulators(&values.iter().map(|&x| x as u64).collect::<Vec<_>>(), cut);
        all_accumulators(&values.iter().map(|&x| x as i64).collect::<Vec<_>>(), cut);
    }

    /// Doubled again and again, counts stay at the largest number there is, whichever sum is asked for.
    #[test]
    fn counts_saturate(counts in prop::collection::vec(0_u8..4, 5), doublings in 50_u32..70, more in 0_usize..3) {
        // Below, two bins, above, NaN.
        let elements: Vec<_> = counts.iter().zip([-1.0, 0.5, 1.5, 3.0, f64::NAN]).flat_map(|(&count, x)| vec![x; count.into()]).collect();
        let bins = || Bins::uniform(2, 0.0..=2.0);
        let (mut one, mut two) = (Histogram::new(bins()).unwrap(), Histogram2d::new(bins(), bins()).unwrap());
        one.push_slice(&elements);
        two.push_slice(&elements.iter().map(|&x| (x, x)).collect::<Vec<_>>());
        let (mut extremes, mut places) = (MinMax::new(), ArgMinMax::new());
        extremes.push_slice(&elements);
        places.push_slice(&elements);
        for _ in 0..doublings {
            one.try_merge(one.clone()).unwrap();
            two.try_merge(two.clone()).unwrap();
            extremes.merge(extremes);
            places.merge(places);
        }
        for _ in 0..more {
            one.push_slice(&elements);
            elements.iter().for_each(|x| two.push(&(*x, *x)));
            elements.iter().for_each(|x| extremes.push(x));
            places.push_slice(&elements);
        }
        let count = |count: u128| u64::try_from((count << doublings) + more as u128 * count).unwrap_or(u64::MAX);
        let expected: Vec<_> = counts.iter().map(|&single| count(single.into())).collect();
        prop_assert_eq!(one.counts(), &expected[1..3]);
        prop_assert_eq!([one.underflow(), one.overflow(), one.nan_count()], [expected[0], expected[3], expected[4]]);
        prop_assert_eq!(two.counts(), arr2(&[[expected[1], 0], [0, expected[2]]]));
        prop_assert_eq!(two.outside(), expected[0].saturating_add(expected[3]).saturating_add(expected[4]));
        prop_assert_eq!([extremes.count(), places.count()], [count(elements.len() as u128); 2]);
        prop_assert_eq!([extremes.nan_count(), places.nan_count()], [expected[4]; 2]);
        let density = one.density();
        prop_assert!(density.iter().all(|share| (0.0..=1.0).contains(share)) || expected[1..3] == [0, 0], "{:?}", density);
    }
}

/// How often each value occurs; and how many were made.
struct Table<const ANY_ORDER: bool>(Vec<u64>);

impl<const ANY_ORDER: bool> Table<ANY_ORDER> {
    fn new(made: &AtomicUsize) -> Self {
        made.fetch_add(1, Ordering::Relaxed);
        Self(vec![0; 1 << 16])
    }
}

impl<const ANY_ORDER: bool> Accumulator<u16> for Table<ANY_ORDER> {
    const IS_ORDER_INDEPENDENT: bool = ANY_ORDER;

    fn push(&mut self, &value: &u16) {
        self.0[usize::from(value)] += 1;
    }

    fn merge(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }
}

/// Large accumulators are made once for each thread, and not for each block; a tuple is as its members are.
#[test]
fn order_independent_accumulator_is_created_once_per_thread() {
    let data = Array2::from_shape_fn((1_000, 1_037), |(i, j)| (i * j % 50_021) as u16);
    let blocks = data.len().div_ceil(1 << 15);
    for view in [data.view(), data.t(), data.slice(s![..;-1, ..;3]), data.slice(s![..0, ..])] {
        let mut expected = vec![0; 1 << 16];
        view.iter().for_each(|&value| expected[usize::from(value)] += 1);
        for memory in [usize::MAX, 16 << 20, 3 << 20] {
            let (one, two, three) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
            let run = || {
                let chunked = || view.chunked().memory_limit(memory).chunk_len(3);
                let counts = chunked().accumulate(|| Table::<true>::new(&one)).unwrap().0;
                assert_eq!(counts, expected);
                let both =
                    chunked().accumulate(|| (Table::<true>::new(&two), MinMax::new())).unwrap();
                assert_eq!(both.0.0, expected);
                assert_eq!(
                    chunked().accumulate(|| Table::<false>::new(&three)).unwrap().0,
                    expected
                );
            };
            #[cfg(feature = "rayon")]
            rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap().install(run);
            #[cfg(not(feature = "rayon"))]
            run();
            assert!((1..=3).contains(&one.into_inner()));
            if view.len() == data.len() {
                assert!([two.into_inner(), three.into_inner()].iter().all(|&made| made >= blocks));
            }
        }
    }
    let unit = || Histogram::new(Bins::uniform(1 << 16, 0.0..=65_536.0)).unwrap();
    let histogram = data.chunked().accumulate(|| (unit(), unit())).unwrap();
    assert_eq!(
        histogram.0,
        data.chunked().histogram(Bins::uniform(1 << 16, 0.0..=65_536.0)).unwrap()
    );
    assert_eq!(histogram.1, histogram.0);
}

#[test]
fn debug_output_is_short() {
    let mut histogram = Histogram::new(Bins::uniform(2, 0.0..=1.0)).unwrap();
    histogram.push_slice(&[-1.0, 0.1, 0.2, 0.7, f64::NAN]);
    assert_eq!(
        text(&histogram),
        "Histogram { bins: 2 with edges [0.0, 0.5, 1.0], counts: [2, 1], underflow: 1, overflow: 0, nan_count: 1 }"
    );
    let histogram = Histogram::new(Bins::uniform(1_000, 0.0..=1_000.0)).unwrap();
    let expected = "1000 with edges [0.0, 1.0, 2.0, ... 995 more ..., 998.0, 999.0, 1000.0], \
                    counts: [0, 0, 0, ... 994 more ..., 0, 0, 0]";
    assert!(text(&histogram).contains(expected), "{histogram:?}");
    let mut histogram =
        Histogram2d::new(Bins::uniform(2, 0.0..=1.0), Bins::uniform(1, 0.0..=9.0)).unwrap();
    histogram.push_slice(&[(0.1, 1_u8), (0.2, 2), (0.3, 10)]);
    assert_eq!(
        text(&histogram),
        "Histogram2d { rows: 2 with edges [0.0, 0.5, 1.0], columns: 1 with edges [0.0, 9.0], inside: 2, outside: 1 }"
    );
    assert_eq!(text(&Bins::auto(3)), "Bins::auto(3)");
    assert_eq!(text(&Bins::uniform(3, 0.0..=1.5)), "Bins::uniform(3, 0.0..=1.5)");
    assert_eq!(text(&Bins::edges([0.0, 1.0])), "Bins::edges([0.0, 1.0])");
}
