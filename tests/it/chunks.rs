//! `chunked()`: every element once, in order, on one thread and on all.

use ndarray::{IxDyn, ShapeBuilder, Slice, prelude::*};
use ndarray_mmap::{Chunked, ErrorKind, MmapArrayMut, prelude::*};
use proptest::prelude::*;

use crate::support::*;

#[test]
fn last_chunk_may_be_short() {
    let dir = dir();
    let table = read::<f64, _>(&counting(&dir, 0, 70), (10, 7)).unwrap();
    let lens: Vec<_> = table.chunked().chunk_len(4).into_iter().map(|rows| rows.dim()).collect();
    assert_eq!(lens, [(4, 7), (4, 7), (2, 7)]);
    let columns: Vec<_> =
        table.chunked().axis(Axis(1)).chunk_len(3).into_iter().map(|part| part.dim()).collect();
    assert_eq!(columns, [(10, 3), (10, 3), (10, 1)]);
    let bytes: Vec<_> =
        table.chunked().chunk_bytes(3 * 56 + 55).into_iter().map(|rows| rows.nrows()).collect();
    assert_eq!(bytes, [3, 3, 3, 1]);
    assert_eq!(table.chunked().chunk_len(4).into_iter().len(), 3);
    assert_eq!(table.chunked().chunk_len(0).into_iter().len(), 10);
    let backwards: Vec<_> =
        table.chunked().chunk_len(4).into_iter().rev().map(|rows| rows[[0, 0]]).collect();
    assert_eq!(backwards, [56.0, 28.0, 0.0]);
    assert_eq!(table.chunked().chunk_len(4).into_iter().nth(1).unwrap()[[0, 0]], 28.0);
}

#[test]
fn mapped_arrays_slices_and_arrays_in_memory_are_chunked_alike() {
    let dir = dir();
    let path = counting(&dir, 0, 70);
    let sum = |chunks: Chunked<'_, ArrayView2<'_, f64>>| {
        chunks.chunk_len(3).par_map_reduce(|chunk| chunk.sum(), |a, b| a + b).unwrap()
    };
    let array = read::<f64, _>(&path, (10, 7)).unwrap();
    assert_eq!(sum(array.chunked()), Some(2415.0));
    assert_eq!(sum(array.slice(s![2..8;2, ..;-1]).chunked()), Some(651.0));
    assert_eq!(sum(array.to_owned().chunked()), Some(2415.0));
    assert_eq!(sum(array.t().chunked()), Some(2415.0));
    assert_eq!(sum(array.slice(s![0..0, ..]).chunked()), None);
    drop(array);
    assert_eq!(sum(write::<f64, _>(&path, (10, 7)).unwrap().chunked()), Some(2415.0));
    assert_eq!(sum(cow::<f64, _>(&path, (10, 7)).unwrap().chunked()), Some(2415.0));
    let value = arr0(3.0);
    assert_eq!(value.chunked().into_iter().map(|chunk| chunk[()]).collect::<Vec<_>>(), [3.0]);
}

#[test]
fn reduction_merges_chunks_in_order() {
    let numbers = Array1::from_iter(0..1000_u32);
    for len in [1, 7, 1000, 5000] {
        let list = numbers.chunked().chunk_len(len).par_map_reduce(
            |chunk| chunk.to_vec(),
            |mut left, right| {
                left.extend(right);
                left
            },
        );
        assert_eq!(list.unwrap(), Some(numbers.to_vec()));
    }
}

#[test]
fn map_into_copies_from_file_to_file() {
    let dir = dir();
    let celsius = read::<f64, _>(&counting(&dir, 0, 3000), (3, 1000)).unwrap();
    let mut fahrenheit = create::<f32, _>(&dir.path().join("out"), (3, 1000)).unwrap();
    celsius
        .chunked()
        .axis(Axis(1))
        .chunk_len(7)
        .par_for_each_into(&mut fahrenheit, |src, mut dst| {
            dst.assign(&src.map(|c| (c * 1.8 + 32.0) as f32))
        })
        .unwrap();
    assert_eq!(*fahrenheit, celsius.map(|c| (c * 1.8 + 32.0) as f32));
    celsius.chunked().chunk_bytes(100).map_into(&mut fahrenheit, |&c| c as f32).unwrap();
    assert_eq!(*fahrenheit, celsius.map(|&c| c as f32));
    // slices, arrays in memory and the reverse order of axes are targets as well
    let mut memory = Array2::<i64>::zeros((1000, 3));
    celsius.t().chunked().map_into(&mut memory, |&c| c as i64).unwrap();
    assert_eq!(memory[[999, 2]], 2999);
    celsius
        .slice(s![1.., ..])
        .chunked()
        .map_into(&mut memory.slice_mut(s![..;-1, ..2]).t().to_owned(), |_| 0)
        .unwrap();
    celsius
        .slice(s![..2, ..])
        .chunked()
        .map_into(&mut memory.slice_mut(s![.., 1..]).reversed_axes(), |_| -1)
        .unwrap();
    assert_eq!(memory.slice(s![.., 1..]).sum(), -2000);
}

#[test]
fn zipped_shapes_must_match() {
    let source = Array2::<f64>::zeros((3, 4));
    let mut target = MmapArrayMut::<f64, _>::scratch((4, 3)).unwrap();
    target.fill(1.0);
    let error = source.chunked().map_into(&mut target, |&value| value).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ShapeMismatch { .. }));
    assert_eq!(
        error.to_string(),
        "expected shape [3, 4] to match an array without a file, found [4, 3] of an array without a file"
    );
    assert_eq!(target.sum(), 12.0, "nothing written");
}

#[test]
fn chunked_mut_writes_in_place() {
    let mut array = MmapArrayMut::<u32, _>::scratch((10, 7)).unwrap();
    for (number, mut rows) in array.chunked_mut().chunk_len(4).into_iter().enumerate() {
        rows.fill(number as u32);
    }
    assert_eq!(array.column(3), array![0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
    array
        .chunked_mut()
        .axis(Axis(1))
        .chunk_len(2)
        .par_for_each(|mut columns| columns += 1)
        .unwrap();
    assert_eq!(array.sum(), 7 * 18);
    let mut chunks = array.chunked_mut().chunk_len(4).into_iter();
    assert_eq!(chunks.next_back().unwrap().dim(), (2, 7));
    assert_eq!(chunks.next().unwrap().dim(), (4, 7));
    assert_eq!(chunks.len(), 1);
    assert_eq!(chunks.next_back().unwrap().dim(), (4, 7));
    assert!(chunks.next().is_none() && chunks.next_back().is_none());
    let mut value = arr0(1);
    value.chunked_mut().par_for_each(|mut chunk| chunk.fill(2)).unwrap();
    assert_eq!(value[()], 2);
}

#[test]
fn panic_propagates_and_array_stays_usable() {
    let mut array = MmapArrayMut::<u32, _>::scratch(1000).unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        array.chunked_mut().chunk_len(10).par_for_each(|mut chunk| {
            chunk.fill(1);
            assert!(chunk.len() != 10, "out of order");
        })
    }));
    let message = result.unwrap_err();
    assert_eq!(message.downcast_ref::<&str>(), Some(&"out of order"));
    array.chunked_mut().par_for_each(|mut chunk| chunk.fill(2)).unwrap();
    assert_eq!(array.sum(), 2000);
}

#[test]
#[cfg(feature = "rayon")]
fn operations_run_inside_pools_and_tasks() {
    let numbers = Array1::from_iter((0..100_000).map(f64::from));
    let sum = || {
        numbers.chunked().chunk_len(999).par_map_reduce(|chunk| chunk.sum(), |a, b| a + b).unwrap()
    };
    let outside = sum();
    for threads in [1, 2, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(sum), outside);
        assert_eq!(pool.install(|| rayon::join(sum, sum)), (outside, outside));
    }
    let nested = numbers.chunked().chunk_len(10_000).par_map_reduce(
        |chunk| {
            chunk
                .chunked()
                .chunk_len(10)
                .par_map_reduce(|part| part.len(), |a, b| a + b)
                .unwrap()
                .unwrap()
        },
        |a, b| a + b,
    );
    assert_eq!(nested.unwrap(), Some(100_000));
}

#[test]
#[should_panic(expected = "axis 2 is out of bounds for an array of 2 dimensions")]
fn axis_out_of_bounds_panics() {
    let _ = Array2::<f64>::zeros((3, 4)).chunked().axis(Axis(2));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
    #[test]
    fn concatenated_chunks_equal_the_array(
        shape in prop::collection::vec(0_usize..5, 0..7),
        fortran in any::<bool>(),
        steps in prop::collection::vec(prop_oneof![Just(1_isize), Just(-1), Just(2), Just(-2)], 7),
        axis in any::<prop::sample::Index>(),
        len in 1_usize..6,
    ) {
        let mut array = ArrayD::<u64>::zeros(IxDyn(&shape).set_f(fortran));
        array.iter_mut().enumerate().for_each(|(number, value)| *value = number as u64);
        let view = array.slice_each_axis(|axis| Slice::new(0, None, steps[axis.axis.index()]));
        let mut chunks = view.chunked().chunk_len(len);
        let axis = if shape.is_empty() { None } else { Some(Axis(axis.index(shape.len()))) };
        if let Some(axis) = axis {
            chunks = chunks.axis(axis);
        }
        let parts: Vec<_> = chunks.clone().into_iter().collect();
        prop_assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), view.len());
        if let (Some(axis), false) = (axis, view.is_empty()) {
            prop_assert_eq!(ndarray::concatenate(axis, &parts).unwrap(), view.clone());
        }
        let mut copy = ArrayD::<u64>::zeros(view.raw_dim());
        chunks.map_into(&mut copy, |&value| value + 1).unwrap();
        prop_assert_eq!(copy, view.map(|value| value + 1));
    }
}
