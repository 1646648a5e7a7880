//! The order in which accumulators are given elements: that of the first array's memory, whatever the others' is.

use std::fmt::Debug;

use ndarray::{ArrayView3, ArrayViewD, IxDyn, Slice, prelude::*};
use ndarray_mmap::chunked::ElementSource;
use ndarray_mmap::stats::ArgMinMax;
use ndarray_mmap::{Accumulator, Chunked, MmapArrayMut, prelude::*};
use proptest::prelude::*;

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
fn check<P>(walk: &Chunked<'_, P>, expected: &[P::Element])
where
    P: ElementSource<Element: PartialEq + Debug + Send> + Sync + Clone,
{
    let seen = |walk: Chunked<'_, P>| walk.accumulate(|| Seen(Vec::new())).unwrap().0;
    assert!(seen(walk.clone()) == expected);
    assert!(seen(walk.clone().memory_limit(24 << 20)) == expected);
    let parts = (0..3).flat_map(|number| seen(walk.clone().partition(number, 3)));
    assert!(parts.collect::<Vec<_>>() == expected);
}

/// How an array of some shape lies in memory: its axes from the slowest to the fastest, which of them are reversed, and whether
/// it has every other element of the fastest.
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
    fn elements_come_in_the_order_of_memory(
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
fn the_number_of_an_element_of_a_reversed_array() {
    let mut values = Array1::<f64>::ones(20_000);
    values[5_000] = 0.0;
    for view in [values.view(), values.slice(s![..;-1])] {
        assert_eq!(view.chunked().accumulate(ArgMinMax::new).unwrap().min(), Some((0.0, 5_000)));
    }
}

#[test]
fn the_same_bits_for_arrays_in_different_orders_in_any_memory() {
    let shape = (500, 30, 20);
    let mut noise = super::noise(11);
    let mut values = MmapArrayMut::<f64, _>::scratch(shape).unwrap();
    let mut weights = MmapArrayMut::<f64, _>::scratch((20, 30, 500)).unwrap();
    values.iter_mut().for_each(|x| *x = noise());
    weights.iter_mut().for_each(|x| *x = noise());
    let weights: ArrayView3<'_, f64> = weights.view().reversed_axes();
    for values in [values.view(), values.slice(s![.., ..;-1, ..])] {
        let mean = |memory: usize| values.chunked().memory_limit(memory).weighted_mean(&weights).map(f64::to_bits);
        let expected = mean(usize::MAX).unwrap();
        for memory in [6 << 20, 7 << 20, 8 << 20, 32 << 20] {
            assert_eq!(mean(memory).unwrap(), expected, "{memory}");
        }
    }
}
