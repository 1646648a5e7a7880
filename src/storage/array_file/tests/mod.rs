//! Slices of files against the same slices of arrays in memory.

mod appending;
mod writing;

use std::fmt::Debug;

use bytemuck::Pod;
use ndarray::{ArrayD, IxDyn, ShapeBuilder, SliceInfo, SliceInfoElem};
use proptest::prelude::*;

use crate::geometry::{Region, Selection};
use crate::order::Order;
use crate::storage::array_file::{ArrayFile, SwapBytes};
use crate::storage::options::MmapArrayOptions;

/// Returns an array of the given shape with different elements.
fn array<A: Pod>(shape: &[usize], order: Order) -> ArrayD<A> {
    let len: usize = shape.iter().product();
    let mut elements = vec![A::zeroed(); len];
    for (index, byte) in bytemuck::cast_slice_mut::<A, u8>(&mut elements).iter_mut().enumerate() {
        *byte = (index as u32).wrapping_mul(0x9E37_79B1).to_be_bytes()[0];
    }
    ArrayD::from_shape_vec(IxDyn(shape).set_f(order == Order::F), elements).unwrap()
}

/// Calls a closure with a file that contains the array at an offset.
fn with_file<A: Pod>(array: &ArrayD<A>, offset: usize, check: impl FnOnce(ArrayFile<A, IxDyn>)) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let elements = array.as_slice_memory_order().unwrap();
    std::fs::write(file.path(), [&vec![0xEE; offset], bytemuck::cast_slice(elements)].concat())
        .unwrap();
    let order = if array.is_standard_layout() { Order::C } else { Order::F };
    let shape = array.raw_dim().set_f(order == Order::F);
    let options = MmapArrayOptions::new().offset(offset as u64);
    check(options.open_file(file.path(), shape).unwrap());
}

/// A part of a slice for an axis of this length, valid or not at its ends.
fn part(len: usize) -> impl Strategy<Value = SliceInfoElem> {
    let bound = 0 - len as isize..len as isize + 1;
    let range = (bound.clone(), prop::option::of(bound), prop_oneof![-4_isize..0, 1_isize..5])
        .prop_map(|(start, end, step)| SliceInfoElem::Slice { start, end, step });
    let whole = Just(SliceInfoElem::Slice { start: 0, end: None, step: 1 });
    let index = (0..len.max(1) as isize * 2).prop_map(move |index| {
        if len == 0 {
            SliceInfoElem::Slice { start: 0, end: None, step: -3 }
        } else {
            SliceInfoElem::Index(index - len as isize)
        }
    });
    prop_oneof![2 => whole, 3 => range, 1 => index]
}

fn slices() -> impl Strategy<Value = (Vec<usize>, Vec<SliceInfoElem>)> {
    prop::collection::vec((0_usize..7, 0_u8..5), 0..5).prop_flat_map(|axes| {
        let shape: Vec<_> = axes.iter().map(|axis| axis.0).collect();
        let parts: Vec<_> = axes
            .iter()
            .flat_map(|&(len, new)| {
                let new_axis = (new == 0).then_some(Just(SliceInfoElem::NewAxis).boxed());
                new_axis.into_iter().chain([part(len).boxed()])
            })
            .collect();
        (Just(shape), parts)
    })
}

/// Converts the parts to a slice of an array with any number of axes.
fn info(parts: &[SliceInfoElem]) -> SliceInfo<Vec<SliceInfoElem>, IxDyn, IxDyn> {
    SliceInfo::try_from(parts.to_vec()).unwrap()
}

fn check_slice<A: Pod + PartialEq + Debug + SwapBytes>(
    (shape, order, offset, big_endian): (&[usize], Order, usize, bool),
    parts: &[SliceInfoElem],
) {
    let mut stored = array::<A>(shape, order);
    let array = stored.clone();
    if big_endian {
        let elements = stored.as_slice_memory_order_mut().unwrap();
        let numbers = bytemuck::cast_slice_mut::<A, u8>(elements).chunks_mut(A::WIDTH);
        let is_swapped = cfg!(target_endian = "little");
        numbers.filter(|_| is_swapped).for_each(<[u8]>::reverse);
    }
    with_file(&stored, offset, |file| {
        let file = if big_endian { file.big_endian() } else { file };
        let info = info(parts);
        assert_eq!(file.read(&info).unwrap(), array.slice(&info), "{parts:?}");
        assert_eq!(file.read_all().unwrap(), array);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn slices_equal_those_of_ndarray(
        (shape, parts) in slices(),
        big_endian in any::<bool>(),
        order in prop_oneof![Just(Order::C), Just(Order::F)],
        offset in 0_usize..20,
        item in 0..5,
    ) {
        let case = (&shape[..], order, offset, big_endian);
        match item {
            0 => check_slice::<u8>(case, &parts),
            1 => check_slice::<i16>(case, &parts),
            2 => check_slice::<[u8; 3]>(case, &parts),
            3 => check_slice::<u64>(case, &parts),
            _ => check_slice::<[u32; 5]>(case, &parts),
        }
    }

    /// A buffer is used again, whatever it contained.
    #[test]
    fn regions_are_read_in_memory_order(
        shape in prop::collection::vec(1_usize..7, 0..5),
        bounds in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 5),
        order in prop_oneof![Just(Order::C), Just(Order::F)],
        mut elements in prop::collection::vec(any::<i32>(), 0..300),
    ) {
        let mut region = Region::whole(&shape);
        for (axis, &len) in shape.iter().enumerate() {
            let bounds = [bounds[axis].0.index(len + 1), bounds[axis].1.index(len + 1)];
            region.start[axis] = bounds[0].min(bounds[1]);
            region.end[axis] = bounds[0].max(bounds[1]);
        }
        let array = array::<i32>(&shape, order);
        with_file(&array, 3, |file| file.read_region(&region, &mut elements).unwrap());
        let part = array.slice_each_axis(|axis| region.range(axis.axis.index()).into());
        let in_order = if order == Order::F { part.t() } else { part };
        assert!(elements.iter().eq(in_order.iter()));
    }
}

/// Sizes at which runs are read directly, through the buffer, and one by one.
#[test]
fn long_runs_and_gaps() {
    let array = array::<u64>(&[30, 40, 500], Order::C);
    let step = |start, end: isize, step| SliceInfoElem::Slice { start, end: Some(end), step };
    let all = step(0, 500, 1);
    with_file(&array, 7, |file| {
        for parts in [
            [step(0, 30, 1), step(0, 40, 1), step(3, 5, 1)],
            [step(0, 30, 1), step(0, 40, 1), step(0, 500, -7)],
            [step(0, 30, 1), step(0, 40, 3), all],
            [step(0, 30, 1), step(3, 36, 1), all],
            [step(0, 30, 4), step(3, 36, 1), all],
            [step(0, 30, 1), step(3, 4, 1), all],
            [step(0, 30, 1), step(3, 4, 1), step(499, 500, 1)],
            [step(0, 30, 29), step(0, 40, 39), step(0, 500, 499)],
            [step(5, 29, 1), step(0, 40, 1), all],
        ] {
            let info = info(&parts);
            assert_eq!(file.read(&info).unwrap(), array.slice(&info), "{parts:?}");
        }
    });
}

/// The bytes of a type with padding are those of the file.
#[test]
fn elements_with_padding() {
    #[derive(Clone, Copy, Debug, PartialEq, bytemuck::AnyBitPattern)]
    #[repr(C)]
    struct Padded(u8, u32);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytemuck::cast_slice(&[[7_u32, 8], [9, 10], [11, 12]])).unwrap();
    let array = ArrayFile::<Padded, _>::open(file.path(), 3).unwrap();
    let first = if cfg!(target_endian = "little") { [7, 9, 11] } else { [0; 3] };
    let expected = [Padded(first[0], 8), Padded(first[1], 10), Padded(first[2], 12)];
    assert_eq!(array.read_all().unwrap().to_vec(), expected);
    assert_eq!(array.read(ndarray::s![..;2]).unwrap().to_vec(), [expected[0], expected[2]]);
}

#[test]
fn elements_without_bytes() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let array = ArrayFile::<[u8; 0], _>::open(file.path(), (2, 3)).unwrap();
    assert_eq!(array.read_all().unwrap().dim(), (2, 3));
    assert_eq!(array.read(ndarray::s![1, ..;2]).unwrap().len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Converting a result back gives the elements in ascending order.
    #[test]
    fn rearranging_inverts_arranging((shape, parts) in slices()) {
        let array = array::<u32>(&shape, Order::C);
        let selection = Selection::of_slice(&shape, &parts);
        let result = array.slice(info(&parts));
        prop_assert_eq!(result.shape(), &selection.shape()[..]);
        let elements = selection.rearrange(result.clone());
        prop_assert_eq!(elements.raw_dim(), selection.lens());
        prop_assert_eq!(selection.arrange(elements), result);
    }
}
