//! The order in which accumulators are given elements: that of the first array's memory, whatever the others' is.

use std::fmt::Debug;

use ndarray::{ArrayView3, ArrayViewD, IxDyn, Slice, prelude::*};
use ndarray_mmap::chunked::ElementSource;
use ndarray_mmap::stats::{ArgMinMax, Bins};
use ndarray_mmap::{Accumulator, Chunked, ErrorKind, MmapArrayMut, prelude::*};
use proptest::prelude::*;

use crate::support::on_threads;

/// Keeps all elements in their order.
struct Seen<A>(Vec<A>);

impl<A: Copy> Accumulator<A> for Seen<A> {
    fn push(&mut self, element: &A) {
        self.0.push(*element);
    }

    fn merge(&mut self, later: Self) {
        self.0.extend(later.0);
    }
}

/// Compares what an accumulator is given with what is expected, with and without a memory limit, and by parts.
fn check<P>(chunked: &Chunked<'_, P>, expected: &[P::Element])
where
    P: ElementSource<Element: PartialEq + Debug + Send> + Sync + Clone,
{
    let seen = |chunked: Chunked<'_, P>| chunked.accumulate(|| Seen(Vec::new())).unwrap().0;
    assert!(seen(chunked.clone()) == expected);
    assert!(seen(chunked.clone().memory_limit(24 << 20)) == expected);
    let parts = (0..3).flat_map(|number| seen(chunked.clone().partition(number, 3)));
    assert!(parts.collect::<Vec<_>>() == expected);
}

/// The memory layout of an array: its axes from the slowest to the fastest, which of them are
/// reversed, and whether it has every other element of the fastest.
#[derive(Clone, Debug)]
struct Layout {
    order: Vec<usize>,
    reversed: Vec<bool>,
    sparse: bool,
}

impl Layout {
    /// Elements numbered by address.
    fn array(&self, shape: &[usize], first: u64) -> MmapArrayMut<u64, IxDyn> {
        let mut lens: Vec<_> = self.order.iter().map(|&axis| shape[axis]).collect();
        if let Some(fastest) = lens.last_mut().filter(|_| self.sparse) {
            *fastest *= 2;
        }
        let mut array = MmapArrayMut::<u64, _>::scratch(IxDyn(&lens)).unwrap();
        array.iter_mut().zip(first..).for_each(|(x, number)| *x = number);
        array
    }

    fn view<'a>(&self, array: &'a MmapArrayMut<u64, IxDyn>) -> ArrayViewD<'a, u64> {
        let mut view = array.view();
        if let (true, Some(fastest)) = (self.sparse, view.ndim().checked_sub(1)) {
            view.slice_axis_inplace(Axis(fastest), Slice::new(0, None, 2));
        }
        let mut back = vec![0; self.order.len()];
        self.order.iter().enumerate().for_each(|(region, &axis)| back[axis] = region);
        let mut view = view.permuted_axes(back);
        for (axis, _) in self.reversed.iter().enumerate().filter(|&(_, &reversed)| reversed) {
            view.invert_axis(Axis(axis));
        }
        view
    }
}

fn layouts(ndim: usize) -> impl Strategy<Value = Layout> {
    let order = Just((0..ndim).collect::<Vec<_>>()).prop_shuffle();
    (order, prop::collection::vec(any::<bool>(), ndim), prop::bool::weighted(0.2))
        .prop_map(|(order, reversed, sparse)| Layout { order, reversed, sparse })
}

fn shapes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        prop::collection::vec(0_usize..9, 0..5),
        (1_usize..40, 1_usize..30, 1_usize..40).prop_map(|(a, b, c)| vec![a, b, c]),
        (1_usize..200, 1_usize..200).prop_map(|(a, b)| vec![a, b]),
        (8_000_usize..30_000).prop_map(|len| vec![len]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() })]
    /// Elements of the first array are numbered by address, so they come in the order of their numbers.
    #[test]
    fn elements_are_visited_in_memory_order(
        (shape, layouts) in shapes().prop_flat_map(|shape| {
            let layouts = prop::collection::vec(layouts(shape.len()), 4);
            (Just(shape), layouts)
        }),
    ) {
        let arrays: Vec<_> = (0..).zip(&layouts).map(|(number, layout)| layout.array(&shape, number << 32)).collect();
        let views: Vec<_> = layouts.iter().zip(&arrays).map(|(layout, array)| layout.view(array)).collect();
        let [a, b, c, d] = <[_; 4]>::try_from(views).unwrap();
        let mut all: Vec<_> = a.indexed_iter().map(|(at, &x)| (x, b[&at], c[&at], d[&at])).collect();
        all.sort_unstable();
        check(&a.chunked(), &all.iter().map(|all| all.0).collect::<Vec<_>>());
        check(&a.chunked().and(&b).unwrap(), &all.iter().map(|all| (all.0, all.1)).collect::<Vec<_>>());
        let three = a.chunked().and(&b).unwrap().and(&c).unwrap();
        check(&three, &all.iter().map(|all| (all.0, all.1, all.2)).collect::<Vec<_>>());
        check(&three.and(&d).unwrap(), &all);
    }
}

#[test]
fn index_of_extremum_of_reversed_array() {
    let mut values = Array1::<f64>::ones(20_000);
    values[5_000] = 0.0;
    for view in [values.view(), values.slice(s![..;-1])] {
        assert_eq!(view.chunked().accumulate(ArgMinMax::new).unwrap().min(), Some((0.0, 5_000)));
    }
}

#[test]
fn bits_of_arrays_in_mixed_orders_do_not_depend_on_limit() {
    let shape = (500, 30, 20);
    let mut noise = super::noise(11);
    let mut values = MmapArrayMut::<f64, _>::scratch(shape).unwrap();
    let mut weights = MmapArrayMut::<f64, _>::scratch((20, 30, 500)).unwrap();
    values.iter_mut().for_each(|x| *x = noise());
    weights.iter_mut().for_each(|x| *x = noise());
    let weights: ArrayView3<'_, f64> = weights.view().reversed_axes();
    for values in [values.view(), values.slice(s![.., ..;-1, ..])] {
        let mean = |memory: usize| {
            values.chunked().memory_limit(memory).weighted_mean(&weights).map(f64::to_bits)
        };
        let expected = mean(usize::MAX).unwrap();
        for memory in [6 << 20, 7 << 20, 8 << 20, 32 << 20] {
            assert_eq!(mean(memory).unwrap(), expected, "{memory}");
        }
    }
}

/// Depends on the order of elements, on where blocks begin, and on how they are merged. The first element of each tuple is a
/// number, the others are what it gives.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Trace {
    hash: u64,
    count: usize,
    wrong: usize,
}

impl Trace {
    const NEW: Self = Self { hash: 1, count: 0, wrong: 0 };

    fn take(&mut self, number: u32, is_right: bool) {
        self.hash =
            self.hash.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(u64::from(number));
        self.count += 1;
        self.wrong += usize::from(!is_right);
    }
}

fn second(number: u32) -> f64 {
    f64::from(number) / 7.0
}

fn third(number: u32) -> u8 {
    (number % 251) as u8
}

fn fourth(number: u32) -> i64 {
    -5 * i64::from(number)
}

macro_rules! traces {
    ($($element:ty: $pattern:pat => $right:expr;)*) => {$(
        impl Accumulator<$element> for Trace {
            fn push(&mut self, element: &$element) {
                let &$pattern = element;
                self.take(number_of(element), $right);
            }

            fn merge(&mut self, later: Self) {
                let Self { hash, count, wrong } = self;
                *hash = hash.rotate_left(11).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ later.hash.rotate_right(7);
                (*count, *wrong) = (*count + later.count, *wrong + later.wrong);
            }
        }
    )*};
}
traces! {
    u32: _ => true;
    (u32, f64): (number, b) => b == second(number);
    (u32, f64, u8): (number, b, c) => b == second(number) && c == third(number);
    (u32, f64, u8, i64): (number, b, c, d) => b == second(number) && c == third(number) && d == fourth(number);
}

trait First {
    fn first(&self) -> u32;
}

fn number_of(element: &impl First) -> u32 {
    element.first()
}

impl First for u32 {
    fn first(&self) -> u32 {
        *self
    }
}

impl First for (u32, f64) {
    fn first(&self) -> u32 {
        self.0
    }
}

impl First for (u32, f64, u8) {
    fn first(&self) -> u32 {
        self.0
    }
}

impl First for (u32, f64, u8, i64) {
    fn first(&self) -> u32 {
        self.0
    }
}

/// The order of axes in memory, and for each the step between indices, which may be negative.
#[derive(Clone, Debug)]
struct Strides {
    order: Vec<usize>,
    steps: Vec<isize>,
}

fn strides(ndim: usize) -> impl Strategy<Value = Strides> {
    let steps = prop::collection::vec(
        prop_oneof![4 => Just(1_isize), 1 => Just(-1), 1 => Just(2), 1 => Just(-3)],
        ndim,
    );
    let order = Just((0..ndim).collect::<Vec<_>>()).prop_shuffle();
    (order, steps).prop_map(|(order, steps)| Strides { order, steps })
}

impl Strides {
    /// An array in a file, of which a [view](Self::view) has this shape.
    fn array<A: bytemuck::Pod + Send + Sync>(&self, shape: &[usize]) -> MmapArrayMut<A, IxDyn> {
        let lens: Vec<_> = self
            .order
            .iter()
            .map(|&axis| (shape[axis] - 1) * self.steps[axis].unsigned_abs() + 1)
            .collect();
        MmapArrayMut::scratch(IxDyn(&lens)).unwrap()
    }

    fn slices(&self) -> impl Fn(ndarray::AxisDescription) -> Slice {
        |axis| Slice::new(0, None, self.steps[self.order[axis.axis.index()]])
    }

    fn back(&self) -> Vec<usize> {
        (0..self.order.len())
            .map(|axis| self.order.iter().position(|&region| region == axis).unwrap())
            .collect()
    }

    fn view<'a, A: bytemuck::Pod + Send + Sync>(
        &self,
        array: &'a MmapArrayMut<A, IxDyn>,
    ) -> ArrayViewD<'a, A> {
        let mut view = array.view();
        for (region, &axis) in self.order.iter().enumerate() {
            view.slice_axis_inplace(Axis(region), Slice::new(0, None, self.steps[axis]));
        }
        view.permuted_axes(self.back())
    }

    /// A file whose view has these elements.
    fn filled<A: bytemuck::Pod + Send + Sync>(
        &self,
        shape: &[usize],
        of: impl Fn(u32) -> A,
    ) -> MmapArrayMut<A, IxDyn> {
        let mut array = self.array::<A>(shape);
        let mut number = 0;
        let view = array.slice_each_axis_mut(self.slices());
        view.permuted_axes(self.back()).iter_mut().for_each(|element| {
            *element = of(number);
            number += 1;
        });
        array
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..Default::default() })]
    /// Blocks of several arrays are those of the first one alone, on one thread and without a limit.
    #[test]
    fn blocks_follow_the_first_array(
        (shape, strides) in prop_oneof![
            (200_usize..700, 200_usize..500).prop_map(|(a, b)| vec![a, b]),
            (20_usize..70, 10_usize..60, 30_usize..70).prop_map(|(a, b, c)| vec![a, b, c]),
            (5_usize..20, 5_usize..20, 1_usize..20, 5_usize..20).prop_map(|(a, b, c, d)| vec![a, b, c, d]),
            (1_usize..5, 20_000_usize..50_000).prop_map(|(a, b)| vec![a, b]),
            (20_000_usize..50_000, 1_usize..5).prop_map(|(a, b)| vec![a, b]),
        ]
        .prop_flat_map(|shape| {
            let strides = prop::collection::vec(strides(shape.len()), 4);
            (Just(shape), strides)
        }),
        threads in 1_usize..4,
        in_parts in 1_usize..4,
    ) {
        let a = strides[0].filled(&shape, |number| number);
        let b = strides[1].filled(&shape, second);
        let c = strides[2].filled(&shape, third);
        let d = strides[3].filled(&shape, fourth);
        let (a, b, c, d) = (strides[0].view(&a), strides[1].view(&b), strides[2].view(&c), strides[3].view(&d));
        for part in 0..in_parts {
            let chunked = || a.chunked().partition(part, in_parts);
            let expected = on_threads(1, || chunked().accumulate(|| Trace::NEW)).unwrap();
            on_threads(threads, || {
                for memory in [None, Some(3 << 20), Some(5 << 20), Some(8 << 20), Some(64 << 20)] {
                    macro_rules! check {
                        ($chunked:expr) => {
                            let chunked = $chunked;
                            let chunked = if let Some(memory) = memory { chunked.memory_limit(memory) } else { chunked };
                            match chunked.accumulate(|| Trace::NEW) {
                                Ok(found) => assert_eq!(found, expected, "{memory:?}"),
                                Err(error) => assert!(
                                    memory.is_some() && matches!(error.kind(), ErrorKind::MemoryLimitExceeded { .. }),
                                    "{memory:?}: {error}"
                                ),
                            }
                        };
                    }
                    check!(chunked().and(&b).unwrap());
                    check!(chunked().and(&b).unwrap().and(&c).unwrap());
                    check!(chunked().and(&b).unwrap().and(&c).unwrap().and(&d).unwrap());
                }
            });
        }
        let histogram = || a.chunked().and(&b).unwrap().histogram2d(5, Bins::uniform(3, 0.0..=2_000.0));
        let expected = on_threads(1, histogram).unwrap();
        prop_assert_eq!(expected.counts().sum() + expected.outside(), a.len() as u64);
        for memory in [4 << 20, 6 << 20, 16 << 20] {
            let limited = a.chunked().and(&b).unwrap().memory_limit(memory).histogram2d(5, Bins::uniform(3, 0.0..=2_000.0));
            match limited {
                Ok(found) => prop_assert_eq!((found.counts(), found.outside()), (expected.counts(), expected.outside())),
                Err(error) => prop_assert!(matches!(error.kind(), ErrorKind::MemoryLimitExceeded { .. }), "{}", error),
            }
        }
    }
}
