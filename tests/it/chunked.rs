//! Chunked operations: order, errors, reproducibility, blocks, halos, partitions, zips.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Dim, IxDyn, IxDynImpl, ShapeBuilder, Slice, Zip, prelude::*};
use ndarray_mmap::{Accumulator, ChunkRegion, Chunked, ErrorKind, MmapArrayMut, prelude::*};
use proptest::prelude::*;

use crate::support::*;

const THREADS: [usize; 3] = [1, 2, 7];

/// A sum that shows every change of order in its last bits.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sum(f32);

impl Accumulator<f32> for Sum {
    fn push(&mut self, element: &f32) {
        self.0 += element;
    }

    fn merge(&mut self, later: Self) {
        self.0 += later.0;
    }
}

/// Values of very different sizes.
fn rough(shape: (usize, usize)) -> MmapArrayMut<f32, Ix2> {
    let mut array = MmapArrayMut::<f32, _>::scratch(shape).unwrap();
    let mut state = 1_u32;
    for x in &mut array {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *x = f32::from_bits(0x3000_0000 | state >> 5);
    }
    array
}

#[test]
fn results_are_identical_for_any_threads_chunks_and_memory() {
    let array = rough((3_000, 1_001));
    let views = [array.view(), array.t(), array.slice(s![..;-1, ..]), array.slice(s![..;3, 5..;2])];
    for view in views {
        let expected = view.chunked().accumulate(Sum::default).unwrap().0;
        let reduced =
            view.chunked().chunk_len(17).par_map_reduce(|chunk| chunk.sum(), |a, b| a + b).unwrap();
        for threads in THREADS {
            for memory in [usize::MAX, 16 << 20, 6 << 20] {
                for chunk in [1, 100, 3_000] {
                    let chunked = view.chunked().memory_limit(memory).chunk_len(chunk);
                    let sum = on_threads(threads, || chunked.accumulate(Sum::default).unwrap().0);
                    assert_eq!(
                        sum.to_bits(),
                        expected.to_bits(),
                        "{threads} threads, {memory} bytes, {chunk}"
                    );
                }
                let chunked = view.chunked().memory_limit(memory).chunk_len(17);
                // It has its own memory limit.
                if let Ok(again) = on_threads(threads, || {
                    chunked.par_map_reduce(|chunk| chunk.sum(), |a, b| a + b)
                }) {
                    assert_eq!(again.map(f32::to_bits), reduced.map(f32::to_bits));
                }
            }
        }
        // And close to the truth.
        let exact: f64 = view.iter().map(|&x| f64::from(x)).sum();
        assert!((f64::from(expected) / exact - 1.0).abs() < 1e-4);
    }
}

#[test]
fn accumulate_over_empty_array_returns_new_accumulator() {
    let empty = Array2::<f32>::zeros((0, 3));
    assert_eq!(empty.chunked().accumulate(|| Sum(7.0)).unwrap(), Sum(7.0));
    assert_eq!(empty.chunked().par_map_reduce(|rows| rows.len(), |a, b| a + b).unwrap(), None);
    assert_eq!(arr0(3.0).chunked().accumulate(Sum::default).unwrap(), Sum(3.0));
}

/// Elements in the order in which they were pushed.
#[derive(Default)]
struct List(Vec<u32>);

impl Accumulator<u32> for List {
    fn push(&mut self, &element: &u32) {
        self.0.push(element);
    }

    fn merge(&mut self, later: Self) {
        self.0.extend(later.0);
    }
}

#[test]
fn accumulators_receive_elements_in_memory_order() {
    let numbers = Array1::from_iter(0..300_000).into_shape_with_order((600, 500)).unwrap();
    let list = |view: ArrayView2<'_, u32>| view.chunked().accumulate(List::default).unwrap().0;
    assert!(list(numbers.view()).is_sorted());
    assert!(list(numbers.t()).is_sorted());
    assert_eq!(
        list(numbers.slice(s![.., ..;2])),
        numbers.slice(s![.., ..;2]).iter().copied().collect::<Vec<_>>()
    );
    let mut reversed = list(numbers.slice(s![..;-1, ..;-1]));
    reversed.sort_unstable();
    assert_eq!(reversed, numbers.into_raw_vec_and_offset().0);
}

#[test]
fn first_error_in_file_order_is_returned() {
    let numbers = Array1::from_iter(0..100_000_usize);
    for threads in THREADS {
        let begun = AtomicUsize::new(0);
        let result = on_threads(threads, || {
            numbers.chunked().chunk_len(10).par_try_for_each(|chunk| {
                begun.fetch_add(1, Ordering::Relaxed);
                match chunk[0] {
                    first if first >= 400 => {
                        // Later ones are faster.
                        std::thread::sleep(std::time::Duration::from_millis(
                            (450_usize.saturating_sub(first)) as u64,
                        ));
                        Err(std::io::Error::other(first.to_string()))
                    }
                    _ => Ok(()),
                }
            })
        });
        assert_eq!(result.unwrap_err().to_string(), "400");
        // Each thread had at most one chunk more.
        assert!(begun.into_inner() <= 40 + 2 * threads);
        let reduced = on_threads(threads, || {
            numbers.chunked().chunk_len(10).par_try_map_reduce(
                |chunk| {
                    if chunk[0] >= 700 {
                        Err(std::io::Error::other(chunk[0].to_string()))
                    } else {
                        Ok(chunk.len())
                    }
                },
                |a, b| a + b,
            )
        });
        assert_eq!(reduced.unwrap_err().to_string(), "700");
    }
}

#[test]
fn chunks_are_claimed_in_file_order() {
    let numbers = Array1::from_iter(0..1_000_usize);
    for threads in THREADS {
        let claimed = Mutex::new(Vec::new());
        on_threads(threads, || {
            numbers
                .chunked()
                .chunk_len(1)
                .par_for_each(|chunk| claimed.lock().unwrap().push(chunk[0]))
                .unwrap();
        });
        let claimed = claimed.into_inner().unwrap();
        // A chunk may only be late by those that other threads were at.
        for (position, number) in claimed.iter().enumerate() {
            let overtaken = claimed[..position].iter().filter(|&earlier| earlier > number).count();
            assert!(threads > 1 || overtaken == 0);
        }
        assert_eq!(claimed.len(), 1_000);
    }
}

#[test]
fn panic_stops_further_chunks() {
    let numbers = Array1::from_iter(0..100_000_usize);
    for threads in THREADS {
        let begun = AtomicUsize::new(0);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            on_threads(threads, || {
                numbers.chunked().chunk_len(10).par_for_each(|chunk| {
                    begun.fetch_add(1, Ordering::Relaxed);
                    assert!(chunk[0] != 500, "the fiftieth chunk");
                    std::thread::sleep(std::time::Duration::from_micros(50));
                })
            })
        }));
        assert_eq!(result.unwrap_err().downcast_ref::<&str>(), Some(&"the fiftieth chunk"));
        assert!(begun.into_inner() < 10_000);
        assert_eq!(
            numbers.chunked().par_map_reduce(|chunk| chunk.len(), |a, b| a + b).unwrap(),
            Some(100_000)
        );
    }
}

#[test]
fn concurrent_and_nested_operations_are_independent() {
    let array = rough((2_000, 1_000));
    let sum =
        |memory| array.chunked().memory_limit(memory).accumulate(Sum::default).unwrap().0.to_bits();
    let expected = sum(usize::MAX);
    for threads in THREADS {
        on_threads(threads, || {
            std::thread::scope(|scope| {
                let threads =
                    [6 << 20, 8 << 20, 64 << 20].map(|memory| scope.spawn(move || sum(memory)));
                threads
                    .into_iter()
                    .for_each(|chunked| assert_eq!(chunked.join().unwrap(), expected));
            });
            #[cfg(feature = "rayon")]
            assert_eq!(rayon::join(|| sum(6 << 20), || sum(6 << 20)), (expected, expected));
            array
                .chunked()
                .chunk_len(500)
                .memory_limit(8 << 20)
                .par_for_each(|_| assert_eq!(sum(6 << 20), expected))
                .unwrap();
        });
        for (number, _rows) in
            array.chunked().chunk_len(700).memory_limit(16 << 20).into_iter().enumerate()
        {
            let chunked = array.chunked().axis(Axis(1)).memory_limit(16 << 20);
            assert_eq!(
                chunked.into_iter().map(|columns| columns.len()).sum::<usize>(),
                2_000_000,
                "{number}"
            );
        }
    }
}

#[test]
fn up_to_four_arrays_are_zipped_flat_and_more_nested() {
    let dir = dir();
    let a = read::<f64, _>(&counting(&dir, 0, 7_000), (70, 100)).unwrap();
    let b = a.mapv(|x| x as u32);
    let c = a.t().as_standard_layout().reversed_axes().to_owned();
    let d = MmapArrayMut::<u8, _>::scratch((70, 100)).unwrap();
    let chunked = || a.chunked().and(&b).unwrap().and(&c).unwrap().and(&*d).unwrap().chunk_len(9);
    let seen = AtomicUsize::new(0);
    chunked()
        .par_for_each(|(a, b, c, d)| {
            seen.fetch_add(d.len(), Ordering::Relaxed);
            Zip::from(&a)
                .and(&b)
                .and(&c)
                .for_each(|&a, &b, &c| assert!(a == f64::from(b) && a == c));
        })
        .unwrap();
    assert_eq!(seen.into_inner(), 7_000);
    let mut out = MmapArrayMut::<f32, _>::scratch((70, 100)).unwrap();
    chunked()
        .map_into(&mut out, |a, &b, c, &d| (a + f64::from(b) + c) as f32 + f32::from(d))
        .unwrap();
    assert_eq!(*out, a.mapv(|x| 3.0 * x as f32));
    a.chunked()
        .and(&b)
        .unwrap()
        .and(&c)
        .unwrap()
        .map_into(&mut out, |a, _, c| (a - c) as f32)
        .unwrap();
    assert!(out.iter().all(|&x| x == 0.0));
    chunked()
        .par_for_each_into(&mut out, |(a, ..), mut out| out.assign(&a.mapv(|x| x as f32)))
        .unwrap();
    assert_eq!(out[[69, 99]], 6_999.0);
    let five = chunked()
        .and(&a)
        .unwrap()
        .par_map_reduce(|((a, ..), e)| (&a - &e).sum(), |a, b| a + b)
        .unwrap();
    assert_eq!(five, Some(0.0));
    // In place, zipped with another array.
    out.chunked_mut()
        .and(&a)
        .unwrap()
        .par_for_each(|(mut out, a)| out.zip_mut_with(&a, |x, &a| *x -= a as f32))
        .unwrap();
    assert_eq!(out.sum(), 0.0);

    let shorter = a.slice(s![..69, ..]);
    let error = a.chunked().and(&shorter).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::ShapeMismatch { expected, found, .. } if expected == &[70, 100] && found == &[69, 100])
    );
    assert!(
        a.chunked()
            .and(&b)
            .unwrap()
            .map_into(&mut out.slice_mut(s![..69, ..]), |_, _| 1.0)
            .is_err()
    );
    assert_eq!(out.sum(), 0.0);
}

#[test]
fn progress_reaches_the_total() {
    let array = rough((1_000, 100));
    for threads in THREADS {
        let told = Mutex::new(Vec::new());
        let tell = |done, all| told.lock().unwrap().push((done, all));
        let last = |count: usize, all: usize| {
            let mut told = std::mem::take(&mut *told.lock().unwrap());
            told.sort_unstable();
            assert_eq!(told.len(), count);
            assert_eq!(told.last(), Some(&(all, all)));
        };
        on_threads(threads, || {
            array.chunked().chunk_len(30).on_progress(tell).par_for_each(|_| ()).unwrap();
            last(34, 100_000);
            array
                .chunked()
                .chunk_shape((300, 60))
                .halo((5, 5))
                .on_progress(tell)
                .par_for_each(|_| ())
                .unwrap();
            last(8, 100_000);
            array
                .chunked()
                .chunk_len(10)
                .partition(1, 4)
                .on_progress(tell)
                .par_for_each(|_| ())
                .unwrap();
            last(25, 25_000);
            array.chunked().on_progress(tell).accumulate(Sum::default).unwrap();
            last(1, 100_000);
            array
                .chunked()
                .on_progress(tell)
                .map_into(&mut Array2::<f32>::zeros((1_000, 100)), |&x| x)
                .unwrap();
            last(1, 100_000);
        });
    }
    // indicatif's own, on the iterator.
    use indicatif::ProgressIterator;
    let mut chunks = array.chunked().chunk_len(30).into_iter().progress();
    assert_eq!(chunks.progress.length(), Some(34));
    assert_eq!((chunks.by_ref().count(), chunks.progress.position()), (34, 34));
}

#[test]
fn partitions_cover_every_element_once() {
    let array = rough((100, 77));
    for of in [1, 2, 3, 7, 150] {
        let mut rows = Vec::new();
        for number in 0..of {
            rows.extend(array.chunked().chunk_len(3).partition(number, of));
        }
        assert_eq!(ndarray::concatenate(Axis(0), &rows).unwrap(), *array);
        // As processes would: each sums its part, and writes it.
        let mut copy = Array2::<f32>::zeros(array.raw_dim());
        let mut count = 0;
        for number in 0..of {
            array.chunked().partition(number, of).map_into(&mut copy, |&x| x).unwrap();
            let chunked = array.chunked().chunk_len(3).partition(number, of);
            count += chunked.par_map_reduce(|rows| rows.len(), |a, b| a + b).unwrap().unwrap_or(0);
        }
        assert_eq!(copy, *array);
        assert_eq!(count, 7_700);
    }
    assert!(
        std::panic::catch_unwind(|| Array1::<u8>::zeros(3)
            .chunked()
            .partition(2, 2)
            .into_iter()
            .count())
        .is_err()
    );
}

#[test]
fn partitions_do_not_depend_on_memory_limit() {
    let source = MmapArrayMut::<f64, _>::scratch((1_000, 2_000)).unwrap();
    let mut target = MmapArrayMut::<f64, _>::scratch((1_000, 2_000).f()).unwrap();
    for (number, memory) in [1 << 30, 7 << 20, 12 << 20].into_iter().enumerate() {
        source
            .chunked()
            .partition(number, 3)
            .memory_limit(memory)
            .map_into(&mut target, |&x| x + 1.0)
            .unwrap();
    }
    assert!(target.iter().all(|&x| x == 1.0));
    let chunked = |memory| source.chunked().memory_limit(memory);
    let sums: f64 =
        (0..3).map(|number| chunked(8 << number << 20).partition(number, 3).sum().unwrap()).sum();
    assert_eq!(sums, 0.0);
}

#[test]
fn permuted_reversed_and_strided_views_are_chunked() {
    // Strides of one's own that do not nest, axes of one index with any stride, and five orders at once.
    let line = MmapArrayMut::<u8, _>::scratch(1 << 20).unwrap();
    let bytes = line.as_slice().unwrap();
    let woven = ArrayView2::from_shape((100, 7).strides((3_000, 5_000)), bytes).unwrap();
    for memory in [4 << 20, usize::MAX] {
        let count = woven
            .chunked()
            .memory_limit(memory)
            .par_map_reduce(|chunk| chunk.len(), |a, b| a + b)
            .unwrap();
        assert_eq!(count, Some(700));
    }
    let wide = ArrayView2::from_shape((1, 3).strides((isize::MAX as usize, 1)), bytes).unwrap();
    assert_eq!(wide.chunked().sum().unwrap(), 0);
    let all = ndarray::arr0(1_u8);
    let shape = [2, 2, 2, 2, 2];
    let view = all.broadcast(shape).unwrap();
    let turn = |by: usize| {
        view.view()
            .permuted_axes(std::array::from_fn::<usize, 5, _>(|axis| (axis + by) % 5))
            .to_owned()
    };
    let [a, b, c, d] = [turn(0), turn(1), turn(2), turn(3)];
    let mut e = turn(4);
    let chunked = a.chunked().and(&b).unwrap().and(&c).unwrap().and(&d).unwrap();
    chunked.map_into(&mut e, |a, b, c, d| a + b + c + d).unwrap();
    assert!(e.iter().all(|&x| x == 4));
}

#[test]
fn leaked_iterator_does_not_keep_the_file() {
    let dir = dir();
    let path = counting(&dir, 0, 1_000);
    let array = read::<f64, _>(&path, 1_000).unwrap();
    let mut chunks = array.chunked().chunk_len(10).into_iter();
    chunks.next();
    std::mem::forget(chunks);
    drop(array);
    assert_eq!(write::<f64, _>(&path, 1_000).unwrap().chunked().sum().unwrap(), 499_500.0);
}

#[test]
fn wrong_number_of_lengths_panics() {
    let array = ArrayD::<u8>::zeros(IxDyn(&[3, 4]));
    let result =
        std::panic::catch_unwind(|| array.chunked().chunk_shape(vec![2]).into_iter().count());
    let message = *result.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(message, "1 lengths were given for an array of 2 dimensions");
}

#[test]
fn truncation_is_reported_between_chunks() {
    let dir = dir();
    let path = counting(&dir, 0, 1 << 20);
    let array = read::<f64, _>(&path, (64, 1 << 14)).unwrap();
    let seen = AtomicUsize::new(0);
    let result = on_threads(1, || {
        array.chunked().chunk_len(1).par_for_each(|row| {
            assert_eq!(row[[0, 0]], row[[0, (1 << 14) - 1]] - f64::from((1 << 14) - 1));
            if seen.fetch_add(1, Ordering::Relaxed) == 9 {
                std::fs::OpenOptions::new()
                    .write(true)
                    .open(&path)
                    .unwrap()
                    .set_len(100 << 14)
                    .unwrap();
            }
        })
    });
    refused(result, &path, |kind| {
        matches!(kind, ErrorKind::FileTruncated { expected: 8_388_608, found: 1_638_400, .. })
    });
    assert_eq!(seen.into_inner(), 10);
    assert!(array.chunked().accumulate(Last::default).is_err());
}

#[derive(Default)]
struct Last(f64);

impl Accumulator<f64> for Last {
    fn push(&mut self, &element: &f64) {
        self.0 = element;
    }

    fn merge(&mut self, later: Self) {
        *self = later;
    }
}

/// An array of up to 6 dimensions, cut, turned and reversed.
fn views() -> impl Strategy<Value = (ArrayD<u32>, Vec<isize>, Vec<usize>)> {
    (
        prop::collection::vec(
            (0_usize..5, prop_oneof![Just(1_isize), Just(-1), Just(2), Just(-2)], any::<u8>()),
            0..7,
        ),
        any::<bool>(),
    )
        .prop_map(|(axes, fortran)| {
            let shape: Vec<_> = axes.iter().map(|axis| axis.0).collect();
            let mut array = ArrayD::zeros(IxDyn(&shape).set_f(fortran));
            array.iter_mut().zip(0..).for_each(|(x, number)| *x = number);
            let mut order: Vec<_> = (0..axes.len()).collect();
            order.sort_by_key(|&axis| axes[axis].2);
            (array, axes.iter().map(|axis| axis.1).collect(), order)
        })
}

fn lengths(ndim: usize, lens: &[usize]) -> Dim<IxDynImpl> {
    IxDyn(&lens[..ndim])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn blocks_with_halos_cover_any_array(
        (array, steps, order) in views(),
        block in prop::collection::vec(0_usize..4, 6),
        halo in prop::collection::vec(0_usize..3, 6),
    ) {
        let view = array.slice_each_axis(|axis| Slice::new(0, None, steps[axis.axis.index()])).permuted_axes(order);
        let (ndim, mut copy) = (view.ndim(), ArrayD::<u32>::zeros(view.raw_dim()));
        let (block, halo) = (lengths(ndim, &block), lengths(ndim, &halo));
        let chunked = || view.chunked().chunk_shape(block.clone()).halo(halo.clone()).indexed();
        for (number, (region, chunk)) in chunked().into_iter().enumerate() {
            prop_assert_eq!(region.index(), number);
            let shown = view.slice_each_axis(|axis| region.halo_range(axis.axis).into());
            prop_assert_eq!(&chunk, &shown);
            let core = region.trim_halo(chunk.view());
            prop_assert_eq!(&core, &view.slice_each_axis(|axis| region.range(axis.axis).into()));
            prop_assert!(core.shape().iter().zip(block.slice()).all(|(&len, &most)| len >= 1 && len <= most.max(1)));
            copy.slice_each_axis_mut(|axis| region.range(axis.axis).into()).zip_mut_with(&core, |to, from| *to += from);
        }
        prop_assert_eq!(&copy, &view);
        // From the other end, and in parallel.
        let forwards: Vec<_> = chunked().into_iter().map(|(region, chunk)| (region, chunk.to_owned())).collect();
        let mut backwards: Vec<_> = chunked().into_iter().rev().map(|(region, chunk)| (region, chunk.to_owned())).collect();
        backwards.reverse();
        prop_assert_eq!(&forwards, &backwards);
        let list = chunked().par_map_reduce(|(region, chunk)| vec![(region, chunk.to_owned())], |mut a, b| { a.extend(b); a });
        prop_assert_eq!(list.unwrap().unwrap_or_default(), forwards);
    }

    #[test]
    fn mutable_blocks_cover_any_array(
        (mut array, steps, order) in views(),
        block in prop::collection::vec(0_usize..4, 6),
        ends in prop::collection::vec((any::<bool>(), 0_usize..3), 0..40),
    ) {
        let mut view = array.view_mut();
        for (axis, &step) in steps.iter().enumerate() {
            view.slice_axis_inplace(Axis(axis), Slice::new(0, None, step));
        }
        let mut view = view.permuted_axes(order);
        view.fill(0);
        let block = lengths(view.ndim(), &block);
        let all: Vec<ChunkRegion<_>> = view.chunked().chunk_shape(block.clone()).indexed().into_iter().map(|(region, _)| region).collect();
        // Taken from both ends, with some left out.
        let mut expected = std::collections::VecDeque::from(all.clone());
        let mut left_out = 0;
        {
            let mut chunks = view.chunked_mut().chunk_shape(block.clone()).indexed().into_iter();
            for (back, skip) in ends {
                prop_assert_eq!(chunks.len(), expected.len());
                let (next, wanted) = if back {
                    (0..skip).for_each(|_| left_out += expected.pop_back().map_or(0, |region| size(&region)));
                    (chunks.nth_back(skip), expected.pop_back())
                } else {
                    (0..skip).for_each(|_| left_out += expected.pop_front().map_or(0, |region| size(&region)));
                    (chunks.nth(skip), expected.pop_front())
                };
                prop_assert_eq!(next.as_ref().map(|(region, _)| region), wanted.as_ref());
                if let Some((region, mut chunk)) = next {
                    prop_assert_eq!(chunk.len(), size(&region));
                    chunk += 1 + region.index() as u32;
                }
            }
            for (region, mut chunk) in chunks {
                chunk += 1 + region.index() as u32;
            }
        }
        prop_assert_eq!(view.iter().filter(|&&x| x == 0).count(), left_out);
        for region in all {
            let part = view.slice_each_axis(|axis| region.range(axis.axis).into());
            prop_assert!(part.iter().all(|&x| x == 0 || x == 1 + region.index() as u32));
        }
        view.chunked_mut().chunk_shape(block).indexed().par_for_each(|(region, mut chunk)| chunk.fill(region.index() as u32)).unwrap();
        let numbers = view.chunked().chunk_shape(vec![1; view.ndim()]).into_iter().count();
        prop_assert_eq!(numbers, view.len());
    }

    /// The single element of an array without axes is in one of the parts, too.
    #[test]
    fn array_without_axes_has_one_chunk_in_one_partition(parts in 1_usize..9) {
        let (source, mut out) = (ndarray::arr0(7_u32), ndarray::arr0(0_u32));
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let call = || _ = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        for number in 0..parts {
            source.chunked().partition(number, parts).map_into(&mut out, |&x| { call(); x + 1 }).unwrap();
            source.chunked().and(&source).unwrap().partition(number, parts).map_into(&mut out, |x, y| { call(); x + y }).unwrap();
        }
        let mut seen = 0;
        for number in 0..parts {
            let part = || source.chunked().partition(number, parts);
            seen += part().into_iter().count() * 1_000 + part().accumulate(List::default).unwrap().0.len();
            seen += part().count_where(|_| true).unwrap() * 1_000_000;
        }
        prop_assert_eq!((calls.into_inner(), out[()], seen), (2, 14, 1_001_001));
    }

    #[test]
    fn map_into_and_accumulate_receive_each_element_once(
        (array, steps, order) in views(),
        fortran in any::<bool>(),
        parts in 1_usize..4,
    ) {
        let view = array.slice_each_axis(|axis| Slice::new(0, None, steps[axis.axis.index()])).permuted_axes(order);
        let mut out = ArrayD::<u64>::zeros(view.raw_dim().set_f(fortran));
        for number in 0..parts {
            view.chunked().partition(number, parts).map_into(&mut out, |&x| u64::from(x) + 1).unwrap();
        }
        prop_assert_eq!(&out, &view.mapv(|x| u64::from(x) + 1));
        let mut seen: Vec<_> = (0..parts)
            .flat_map(|number| view.chunked().partition(number, parts).accumulate(List::default).unwrap().0)
            .collect();
        seen.sort_unstable();
        let mut expected: Vec<_> = view.iter().copied().collect();
        expected.sort_unstable();
        prop_assert_eq!(seen, expected);
    }
}

fn size<D: Dimension>(region: &ChunkRegion<D>) -> usize {
    region.ranges().map(|range| range.len()).product()
}

#[test]
fn debug_of_chunked_shows_shape_and_no_data() {
    let table = Array2::<f32>::zeros((10, 3));
    let chunked: Chunked<'_, _> = table.chunked().chunk_len(4).memory_limit(1 << 20);
    let text = format!("{chunked:?}");
    assert_eq!(
        text,
        "Chunked { shape: [10, 3], chunk: [4, 3], halo: [0, 0], chunks: 0..3, memory_limit: Some(1048576), .. }"
    );
    assert!(format!("{:?}", chunked.into_iter()).starts_with("Chunks { grid: "));
}
