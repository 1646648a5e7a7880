//! Elements at some indices of an axis, compared with ndarray's `select`.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::prelude::*;
use ndarray_mmap::{
    ArrayFile, ArrayFileMut, Chunked, ErrorKind, LazyArray, MmapArray, MmapArrayCow, MmapArrayMut,
    prelude::*,
};
use proptest::prelude::*;

use super::{check, noise, table};

/// Returns random indices with repetitions and neighbours.
fn indices(len: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut noise = noise(seed);
    let mut index = 0;
    (0..count)
        .map(|_| {
            index = match noise() {
                x if x < 0.2 => (index + 1) % len,
                x if x < 0.3 => index,
                _ => (noise() * len as f64) as usize,
            };
            index
        })
        .collect()
}

#[test]
fn statistics_of_selected_elements_have_the_bits_of_arrays_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let table = table((700, 301));
    for order in ["c", "f"] {
        let path = dir.path().join(order);
        let shape = table.raw_dim().set_f(order == "f");
        let file = ArrayFileMut::create(&path, shape).unwrap();
        file.write_all(&table).unwrap();
        file.close().unwrap();
        let file = ArrayFile::<f64, _>::open(&path, shape).unwrap();
        // SAFETY: no other code changes the file.
        let mapped = unsafe { MmapArray::<f64, _>::open(&path, shape) }.unwrap();
        for (axis, len) in [(Axis(0), 700), (Axis(1), 301)] {
            let indices = indices(len, 500, 3);
            let expected = table.select(axis, &indices);
            let lazy = file.chunked().select(axis, &indices).unwrap().into_lazy();
            check("file", &lazy, expected.view());
            let lazy = mapped.chunked().select(axis, &indices).unwrap().into_lazy();
            check("mapped", &lazy, expected.view());
            let lazy = table.chunked().map(|x| x + 1.0).select(axis, &indices).unwrap();
            check("computed", &lazy.into_lazy(), (&expected + 1.0).view());
        }
    }
}

/// Compares all ways to read selected elements with ndarray's.
#[track_caller]
fn check_selection<T>(name: &str, source: &T, elements: ArrayViewD<'_, i32>, seed: u64)
where
    T: ChunkedExt<Elem = i32, Dim = IxDyn> + ?Sized,
{
    for axis in (0..elements.ndim()).map(Axis) {
        let count = [0, 1, 7, 60][(seed as usize + axis.index()) % 4];
        let indices = match elements.len_of(axis) {
            0 => Vec::new(),
            len => indices(len, count, seed),
        };
        let expected = elements.select(axis, &indices);
        let selected = || source.chunked().select(axis, &indices).unwrap();
        let found = selected().into_lazy().read_all().unwrap();
        assert_eq!(found, expected, "{name} along {axis:?}");
        let mut copy = ArrayD::zeros(expected.raw_dim());
        selected().copy_into(&mut copy).unwrap();
        assert_eq!(copy, expected, "{name} copied along {axis:?}");
        let mut copy = ArrayD::zeros(expected.raw_dim().f());
        selected().memory_limit(4 << 20).copy_into(&mut copy).unwrap();
        assert_eq!(copy, expected, "{name} copied to F order along {axis:?}");
        for (region, chunk) in selected().axis(axis).chunk_len(3).indexed() {
            let range = region.range(axis);
            let expected = expected.slice_axis(axis, range.into());
            assert_eq!(chunk.view(), expected, "{name} in chunks along {axis:?}");
        }
        // A selection of a selection.
        if !indices.is_empty() {
            let again: Vec<_> = (0..indices.len()).rev().step_by(2).collect();
            let found = selected().select(axis, &again).unwrap().into_lazy().read_all().unwrap();
            assert_eq!(found, expected.select(axis, &again), "{name} twice along {axis:?}");
        }
    }
}

fn check_all_sources(shape: &[usize], is_f: bool, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("array.raw");
    let whole = IxDyn(shape).set_f(is_f);
    let mut next = 0;
    let array = ArrayD::from_shape_simple_fn(whole.clone(), || {
        next += 1;
        next
    });
    // SAFETY: no other code changes the file.
    let mut mapped = unsafe { MmapArrayMut::create(&path, whole.clone()) }.unwrap();
    mapped.assign(&array);
    check_selection("not yet on disk", &mapped, array.view(), seed);
    mapped.close().unwrap();
    // SAFETY: as above.
    let mapped = unsafe { MmapArray::<i32, _>::open(&path, whole.clone()) }.unwrap();
    check_selection("mapped", &mapped, array.view(), seed);
    let file = ArrayFile::<i32, _>::open(&path, whole.clone()).unwrap();
    check_selection("file", &file, array.view(), seed);
    check_selection("in memory", &array, array.view(), seed);
    let joined = LazyArray::concatenate(Axis(0), &[&mapped, &mapped]).unwrap();
    let expected = ndarray::concatenate(Axis(0), &[array.view(), array.view()]).unwrap();
    check_selection("concatenated", &joined, expected.view(), seed);

    // Reversed, with steps and with permuted axes.
    let slice = |axis: ndarray::AxisDescription| {
        let step = [1, -1, 2, -3][(seed as usize + axis.axis.index()) % 4];
        ndarray::Slice::new(0, None, if axis.len > 2 { step } else { 1 })
    };
    let (mut part, mut expected) = (mapped.view(), array.view());
    part.slice_each_axis_inplace(slice);
    expected.slice_each_axis_inplace(slice);
    check_selection("slice", &part, expected.view(), seed);
    check_selection("transposed slice", &part.t(), expected.t(), seed);
    let repeated = mapped.view().insert_axis(Axis(0));
    let mut lens = repeated.shape().to_vec();
    lens[0] = 5;
    let repeated = repeated.broadcast(lens.clone()).unwrap();
    check_selection("repeated", &repeated, array.broadcast(lens).unwrap(), seed);

    // Edits of a private mapping are not in the file.
    drop(file);
    // SAFETY: as above.
    let mut private = unsafe { MmapArrayCow::<i32, _>::open(&path, whole) }.unwrap();
    private.mapv_inplace(|x| -x);
    check_selection("private", &private, array.mapv(|x| -x).view(), seed);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]

    #[test]
    fn selection_equals_that_of_ndarray(
        shape in prop_oneof![
            prop::collection::vec(0_usize..40, 1..4),
            prop::collection::vec(1_usize..9, 4..6),
            prop::collection::vec(100_usize..20_000, 1..2),
        ],
        is_f: bool,
        seed in 0_u64..1_000_000,
    ) {
        check_all_sources(&shape, is_f, seed);
    }
}

/// Rows and columns that are larger than a buffer, or far apart.
#[test]
fn selection_of_large_arrays_equals_that_of_ndarray() {
    for (shape, is_f) in
        [([9, 70_000], false), ([9, 70_000], true), ([1_000, 500], false), ([3, 90_000], true)]
    {
        check_all_sources(&shape, is_f, 2);
    }
}

/// Creates an `.npy` file of zeros.
fn zeros(path: &Path, shape: (usize, usize)) -> ArrayFile<f64, Ix2> {
    ArrayFileMut::<f64, _>::create_npy(path, shape).unwrap().close().unwrap();
    ArrayFile::open_npy(path).unwrap()
}

#[test]
fn first_index_out_of_bounds_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = zeros(&dir.path().join("rows.npy"), (10, 4));
    let error = file.chunked().select(Axis(0), &[9, 3, 10, 11]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::IndexOutOfBounds { position: 2, .. }), "{error}");
    for part in ["rows.npy", "index 10 at position 2", "axis 0 of length 10"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let empty = file.chunked().select(Axis(1), &[]).unwrap().into_lazy();
    assert_eq!(empty.read_all().unwrap().dim(), (10, 0));
    let nothing = Array2::<f32>::zeros((0, 4));
    assert!(nothing.chunked().select(Axis(0), &[0]).is_err());
    // More elements than the address space, from few.
    let one = Array2::<f64>::zeros((1, 1));
    let long = one.broadcast((1, 1 << 58)).unwrap();
    let error = long.chunked().select(Axis(0), vec![0; 100]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }), "{error}");
}

/// In any memory order, the chunks of a shuffled array are ranges of the shuffled axis.
#[test]
fn chunks_of_shuffled_arrays_are_batches() {
    let numbers = Array2::from_shape_fn((100, 30), |(i, j)| 30 * i + j);
    let columns = numbers.t().as_standard_layout().into_owned();
    for axis in [Axis(0), Axis(1)] {
        let expected = numbers.chunked().shuffle(axis, 3).unwrap().into_lazy().read_all().unwrap();
        let mut start = 0;
        for batch in columns.t().chunked().shuffle(axis, 3).unwrap().chunk_len(7) {
            let end = start + batch.len_of(axis);
            assert_eq!(batch.view(), expected.slice_axis(axis, (start..end).into()));
            assert!(end - start == 7 || end == numbers.len_of(axis));
            start = end;
        }
        let blocks = numbers.chunked().axis(Axis(0)).shuffle(Axis(1), 3).unwrap().chunk_len(50);
        assert_eq!(blocks.into_iter().len(), 2);
    }
}

#[test]
fn errors_of_memory_limits_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = zeros(&dir.path().join("rows.npy"), (1_000, 40));
    let chunked = || file.chunked().memory_limit(1_000);
    let selected = || chunked().select(Axis(0), &[1, 2]).unwrap();
    let (weights, mut copy) = (Array2::<f64>::ones((1_000, 40)), Array2::zeros((2, 40)));
    let median = Default::default();
    let errors = [
        ("sum", chunked().sum().map(drop)),
        ("std_axis(0)", chunked().std_axis(Axis(0), 0.0).map(drop)),
        ("std_axis(1)", chunked().std_axis(Axis(1), 0.0).map(drop)),
        ("quantile", chunked().quantile(0.5, median).map(drop)),
        ("quantile_axis(0)", chunked().quantile_axis(Axis(0), 0.5, median).map(drop)),
        ("quantile_axis(1)", chunked().quantile_axis(Axis(1), 0.5, median).map(drop)),
        ("histogram", chunked().histogram(10).map(drop)),
        ("cov", chunked().cov(1.0).map(drop)),
        ("argmax", chunked().argmax().map(drop)),
        ("argwhere", chunked().argwhere(3, |_| true).map(drop)),
        ("weighted_mean", chunked().weighted_mean(&weights).map(drop)),
        ("try_iter", chunked().try_iter().map(drop)),
        ("sum of selected rows", selected().sum().map(drop)),
        ("copy_into", selected().copy_into(&mut copy)),
        ("par_for_each", selected().par_for_each(drop)),
    ];
    let mut without_path = Vec::new();
    for (name, result) in errors {
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::MemoryLimitExceeded { .. }), "{name}: {error}");
        if !error.to_string().contains("rows.npy") {
            without_path.push(name);
        }
    }
    assert_eq!(without_path, [""; 0]);
}

/// Elements without bytes, and arrays whose only axis has one index.
#[test]
fn small_arrays_are_selected_from() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nothing.raw");
    std::fs::write(&path, []).unwrap();
    let file = ArrayFile::<(), _>::open(&path, (5, 3)).unwrap();
    let rows = file.chunked().select(Axis(0), &[4, 4, 0]).unwrap();
    assert_eq!(rows.into_lazy().read_all().unwrap().dim(), (3, 3));
    let long = ArrayFile::<(), _>::open(&path, 1 << 22).unwrap();
    let shuffled = long.chunked().shuffle(Axis(0), 1).unwrap().into_lazy();
    assert_eq!(shuffled.read_all().unwrap().len(), 1 << 22);
    std::fs::write(&path, [9]).unwrap();
    let file = ArrayFile::<u8, _>::open(&path, (1, 1)).unwrap();
    let read = |axis, indices: Vec<usize>| {
        file.chunked().select(axis, indices).unwrap().into_lazy().read_all().unwrap()
    };
    assert_eq!(read(Axis(0), vec![0; 4]), Array2::from_elem((4, 1), 9));
    assert_eq!(read(Axis(1), vec![0; 4]), Array2::from_elem((1, 4), 9));
    assert_eq!(read(Axis(1), vec![]).dim(), (1, 0));
}

/// Elements in gaps between selected ones are not computed.
#[test]
fn only_selected_elements_are_computed() {
    let computed = AtomicUsize::new(0);
    let numbers = Array2::from_shape_fn((3_000, 40), |(i, j)| (40 * i + j) as u32);
    let lazy = numbers.chunked().map(|&x| {
        computed.fetch_add(1, Ordering::Relaxed);
        x + 1
    });
    let rows: Vec<_> = (0..300).map(|i| 7 * i % 2_999).collect();
    let some = lazy.clone().select(Axis(0), &rows).unwrap();
    let columns = some.select(Axis(1), &[3, 30]).unwrap().into_lazy().read_all().unwrap();
    assert_eq!(columns.column(1)[2], 40 * 14 + 31);
    assert_eq!(computed.swap(0, Ordering::Relaxed), 600);
    let columns = lazy.select(Axis(1), &[3, 30]).unwrap().into_lazy();
    assert_eq!(columns.slice_axis(Axis(0), 5..25).read_all().unwrap().dim(), (20, 2));
    assert_eq!(computed.load(Ordering::Relaxed), 40);
}

/// More indices than are sorted at once, along a slow and a fast axis.
#[test]
fn many_indices_are_selected() {
    let dir = tempfile::tempdir().unwrap();
    for (shape, is_f) in [((100_000, 2), false), ((100_000, 2), true), ((100_000, 1), false)] {
        let path = dir.path().join("long.raw");
        let mut next = 0;
        let numbers = Array2::from_shape_simple_fn(shape.set_f(is_f), || {
            next += 1;
            next
        });
        let file = ArrayFileMut::<i32, _>::create(&path, shape.set_f(is_f)).unwrap();
        file.write_all(&numbers).unwrap();
        file.close().unwrap();
        let file = ArrayFile::<i32, _>::open(&path, shape.set_f(is_f)).unwrap();
        let indices = indices(100_000, 90_000, 5);
        let expected = numbers.select(Axis(0), &indices);
        let selected = || file.chunked().select(Axis(0), &indices).unwrap();
        assert_eq!(selected().into_lazy().read_all().unwrap(), expected);
        for (chunk, column) in selected().axis(Axis(1)).chunk_len(1).into_iter().zip(0..) {
            assert_eq!(chunk.column(0), expected.column(column));
        }
        let in_memory = numbers.chunked().select(Axis(0), &indices).unwrap();
        assert_eq!(in_memory.into_lazy().read_all().unwrap(), expected);
    }
}

/// Numbers in the other byte order, reversed and permuted axes of a file, and one index of an axis.
#[test]
fn parts_of_files_are_selected_from() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cube.raw");
    let numbers = Array3::from_shape_fn((30, 20, 50), |(i, j, k)| (i * 1_000 + j * 50 + k) as i32);
    std::fs::write(&path, numbers.iter().flat_map(|x| x.to_be_bytes()).collect::<Vec<_>>())
        .unwrap();
    let file = ArrayFile::<i32, _>::open(&path, (30, 20, 50)).unwrap().big_endian();
    let whole = LazyArray::from(file);
    let indices = [17, 3, 3, 0, 4, 16];
    for axis in (0..3).map(Axis) {
        let part = whole.slice_axis(Axis(1), 1..19).slice_axis(Axis(0), 5..28);
        let expected = numbers.slice(s![5..28, 1..19, ..]);
        let rows = part.chunked().select(axis, &indices).unwrap().into_lazy();
        assert_eq!(rows.read_all().unwrap(), expected.select(axis, &indices));
        let selected = expected.select(axis, &indices);
        let slice = s![1.., ..;-1, 2];
        assert_eq!(rows.read(slice).unwrap(), selected.slice(slice));
        let reversed = part.clone().reversed_axes();
        let rows = reversed.chunked().select(axis, &indices).unwrap().into_lazy();
        let expected = expected.reversed_axes();
        assert_eq!(rows.read_all().unwrap(), expected.select(axis, &indices));
        // Statistics remove and reverse axes of the selection.
        let sums = rows.chunked().sum_axis(axis).unwrap();
        assert_eq!(sums, expected.select(axis, &indices).mapv(i128::from).sum_axis(axis));
    }
}

#[test]
fn truncated_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.raw");
    ArrayFileMut::<f32, _>::create(&path, (1_000, 1_000)).unwrap().close().unwrap();
    let file = ArrayFile::<f32, _>::open(&path, (1_000, 1_000)).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(2_000_000).unwrap();
    let read = |index: usize| {
        file.chunked().select(Axis(0), vec![1, index]).unwrap().into_lazy().read_all()
    };
    assert!(read(499).is_ok());
    let error = read(700).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FileTruncated { found: 2_000_000, .. }), "{error}");
}

/// The order does not depend on how it is read.
#[test]
fn shuffled_rows_contain_each_row_once() {
    for (rows, columns) in [(1_000, 7), (1_100_000, 1)] {
        let table = Array2::from_shape_fn((rows, columns), |(i, j)| (i * columns + j) as u32);
        let shuffled = |seed| table.chunked().shuffle(Axis(0), seed).unwrap();
        let mut whole = Array2::zeros(table.raw_dim());
        shuffled(5).copy_into(&mut whole).unwrap();
        let mut batches = Vec::new();
        for batch in shuffled(5).memory_limit(8 << 20).chunk_len(rows / 7) {
            batches.push(batch);
        }
        let views: Vec<_> = batches.iter().map(|batch| batch.view()).collect();
        assert_eq!(ndarray::concatenate(Axis(0), &views).unwrap(), whole);
        let mut first: Vec<_> = whole.column(0).iter().map(|&x| x as usize / columns).collect();
        assert_ne!(first, (0..rows).collect::<Vec<_>>());
        let mut other = Array2::zeros(table.raw_dim());
        shuffled(6).copy_into(&mut other).unwrap();
        assert_ne!(other, whole);
        first.sort_unstable();
        assert!(first.into_iter().eq(0..rows));
    }
}

/// A saved state of one selection is not accepted for another.
#[test]
fn saved_states_of_selections_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.npy");
    let file = zeros(&path, (100, 4));
    // SAFETY: no other code changes the file.
    let mapped = unsafe { MmapArray::<f64, Ix2>::open_npy(&path) }.unwrap();
    let check = |name: &str, selected: [Chunked<'_, LazyArray<'_, f64, Ix2>>; 2]| {
        let [first, second] = selected;
        let sum = |selected: &Chunked<'_, LazyArray<'_, f64, Ix2>>| {
            selected.clone().checkpoint(dir.path().join(name), std::time::Duration::ZERO).sum()
        };
        assert_eq!(sum(&first).unwrap(), 0.0);
        assert_eq!(sum(&first).unwrap(), 0.0);
        let error = sum(&second).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidState { .. }), "{name}: {error}");
    };
    let of_file = |index| file.chunked().select(Axis(0), vec![index; 50]).unwrap();
    check("file", [3, 2].map(of_file));
    let of_mapped = |index| mapped.chunked().select(Axis(0), vec![index; 50]).unwrap();
    check("mapped", [3, 2].map(of_mapped));
    let shuffled = |seed| file.chunked().shuffle(Axis(0), seed).unwrap();
    check("shuffled", [3, 2].map(shuffled));
}
