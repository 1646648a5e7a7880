//! Results in files, ranks, partitions and saved states of sources that are not in memory.

use std::fs;
use std::sync::Mutex;
use std::time::Duration;

use ndarray::prelude::*;
use ndarray_mmap::distributed::ThreadCommunicator;
use ndarray_mmap::stats::Interpolation::Linear;
use ndarray_mmap::stats::{MinMax, Sum};
use ndarray_mmap::{ArrayFile, ArrayFileMut, Chunked, ErrorKind, LazyArray, Result, prelude::*};

use super::table;

/// Creates a file with a table.
fn file(dir: &tempfile::TempDir, table: &Array2<f64>) -> ArrayFile<f64, Ix2> {
    let file = ArrayFileMut::create_npy(dir.path().join("table.npy"), table.dim()).unwrap();
    file.write_all(table).unwrap();
    file.freeze().unwrap()
}

#[test]
fn results_are_written_to_files() {
    let dir = tempfile::tempdir().unwrap();
    let table = table((300, 211)).mapv(|x| if x.is_nan() { 0.0 } else { x });
    let source = file(&dir, &table);
    let path = dir.path().join("target");
    let expected = table.mapv(|x| (2.0 * x) as f32);
    for memory in [usize::MAX, 4 << 20] {
        for shape in [(300, 211).into_shape_with_order(), (300, 211).f()] {
            let mut target = ArrayFileMut::<f32, _>::create(&path, shape).unwrap();
            let chunked = source.chunked().memory_limit(memory);
            chunked.map_into(&mut target, |&x| (2.0 * x) as f32).unwrap();
            assert_eq!(target.read_all().unwrap(), expected);
            // From an array in memory of the other order.
            let chunked = table.t().reversed_axes();
            chunked.chunked().map_into(&mut target, |&x| x as f32).unwrap();
            assert_eq!(target.read_all().unwrap(), table.mapv(|x| x as f32));
        }
    }
    // Closures see the elements that exist, and those they do not write remain.
    let mut target = ArrayFileMut::<f64, _>::create(&path, (300, 211)).unwrap();
    target.write_all(&table).unwrap();
    let chunked = source.chunked().chunk_shape((7, 50));
    chunked
        .par_for_each_into(&mut target, |source, mut target| {
            let mut first = target.row_mut(0);
            first += &source.row(0);
        })
        .unwrap();
    let found = target.read_all().unwrap();
    let sums = Array2::from_shape_fn((300, 211), |(i, j)| {
        if i % 7 == 0 { 2.0 * table[[i, j]] } else { table[[i, j]] }
    });
    assert_eq!(found, sums);

    let mut other = ArrayFileMut::<f64, _>::create(dir.path().join("other"), (300, 210)).unwrap();
    let error = source.chunked().map_into(&mut other, |&x| x).unwrap_err();
    let ErrorKind::ShapeMismatch { expected, found, .. } = error.kind() else { panic!("{error}") };
    assert_eq!((&expected[..], &found[..]), (&[300, 211][..], &[300, 210][..]));
    assert_eq!(other.read_all().unwrap(), Array2::zeros((300, 210)));
}

/// The results of some statistics, to compare.
fn statistics(lazy: &LazyArray<'_, f64, Ix2>, configure: &Configure<'_>) -> Result<Vec<f64>> {
    let chunked = || configure(lazy.chunked().skipnan());
    let mut found = vec![chunked().sum()?, chunked().std(0.0)?];
    found.extend(chunked().quantiles(&[0.1, 0.5], Linear)?);
    found.extend(chunked().mean_axis(Axis(0))?);
    found.extend(chunked().quantile_axis(Axis(1), 0.3, Linear)?);
    found.extend(chunked().cov(1.0)?.diag());
    found.extend(chunked().histogram(7)?.counts().iter().map(|&count| count as f64));
    Ok(found)
}

type Configured<'c> = Chunked<'c, LazyArray<'c, f64, Ix2>>;
type Configure<'f> = dyn for<'c> Fn(Configured<'c>) -> Configured<'c> + 'f;

#[test]
fn ranks_share_sources() {
    let dir = tempfile::tempdir().unwrap();
    let table = table((40, 3_000));
    let file = file(&dir, &table);
    let parts = table.view().split_at(Axis(0), 13);
    let concatenated = LazyArray::concatenate(Axis(0), &[&parts.0, &parts.1]).unwrap();
    let computed = table.chunked().map(|&x| x).into_lazy();
    for lazy in [file.chunked().into_lazy(), concatenated, computed] {
        let expected = statistics(&lazy, &|chunked| chunked).unwrap();
        for ranks in [2, 3] {
            let found = ThreadCommunicator::run(ranks, |world| {
                let chunked = || lazy.chunked().skipnan().across(world);
                let mut found = vec![chunked().sum()?, chunked().std(0.0)?];
                found.extend(chunked().quantiles(&[0.1, 0.5], Linear)?);
                found.extend(chunked().mean_axis(Axis(0))?);
                found.extend(chunked().quantile_axis(Axis(1), 0.3, Linear)?);
                found.extend(chunked().cov(1.0)?.diag());
                found.extend(chunked().histogram(7)?.counts().iter().map(|&n| n as f64));
                Ok::<_, ndarray_mmap::Error>(found)
            });
            for of_rank in found {
                assert_eq!(of_rank.unwrap(), expected);
            }
        }
        // Partitions make up the whole.
        let parts = (0..5).map(|part| {
            let chunked = lazy.chunked().partition(part, 5);
            chunked.accumulate(|| (Sum::new_skipnan(), MinMax::new())).unwrap()
        });
        let (mut sum, mut range) = (Sum::new_skipnan(), MinMax::new());
        for (part_sum, part_range) in parts {
            sum.merge(part_sum);
            range.merge(part_range);
        }
        assert_eq!(sum.count(), lazy.chunked().count_where(|x| !x.is_nan()).unwrap() as u64);
        assert_eq!(range.range().unwrap().0, lazy.chunked().skipnan().min().unwrap());
    }
}

#[test]
fn saved_states_describe_the_files_of_sources() {
    let dir = tempfile::tempdir().unwrap();
    let table = table((300, 400));
    let path = dir.path().join("table.npy");
    let source = file(&dir, &table);
    let expected = source.chunked().skipnan().mean().unwrap();
    let mean = |file: &ArrayFile<f64, Ix2>, state: &str| {
        let chunked = file.chunked().skipnan();
        chunked.checkpoint(dir.path().join(state), Duration::ZERO).mean()
    };
    assert_eq!(mean(&source, "state").unwrap(), expected);
    assert_eq!(mean(&source, "state").unwrap(), expected);

    // Parts of a job, of a computed array.
    let job = dir.path().join("job");
    let part = |index| {
        let chunked = source.chunked().map(|&x| 2.0 * x).skipnan();
        chunked.job_part(&job, index, 3).mean()
    };
    for index in [2, 0] {
        let error = part(index).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::PartsMissing { .. }), "{error}");
    }
    let doubled = source.chunked().map(|&x| 2.0 * x).skipnan().mean().unwrap();
    assert_eq!(part(1).unwrap(), doubled);

    // A changed file is recognized.
    drop(source);
    fs::remove_file(&path).unwrap();
    let changed = file(&dir, &(&table + 1.0));
    let error = mean(&changed, "state").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidState { .. }), "{error}");
}

#[test]
fn saved_states_of_slices_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let table = table((200, 50)).mapv(|x| if x.is_nan() { 0.0 } else { x });
    let lazy = LazyArray::from(file(&dir, &table));
    let parts = [0..100, 100..200].map(|rows| lazy.slice_axis(Axis(0), rows));
    let mean = |part: &LazyArray<'_, f64, Ix2>| {
        part.chunked().checkpoint(dir.path().join("state"), Duration::ZERO).mean()
    };
    let expected = table.slice(s![..100, ..]).to_owned().chunked().mean().unwrap();
    assert_eq!(mean(&parts[0]).unwrap(), expected);
    assert_eq!(mean(&parts[0]).unwrap(), expected);
    let error = mean(&parts[1]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidState { .. }), "{error}");

    let argmax = |parts: [&LazyArray<'_, f64, Ix2>; 2]| {
        let both = LazyArray::concatenate(Axis(0), &parts).unwrap();
        both.chunked().checkpoint(dir.path().join("both"), Duration::ZERO).argmax()
    };
    argmax([&parts[0], &parts[1]]).unwrap();
    let error = argmax([&parts[1], &parts[0]]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidState { .. }), "{error}");
}

#[test]
fn sources_are_unwind_safe() {
    fn check<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    check::<LazyArray<'static, f64, Ix2>>();
    check::<ArrayFile<f64, Ix2>>();
}

#[test]
fn progress_counts_the_elements_of_sources() {
    let table = table((100, 1_000));
    let calls = Mutex::new(Vec::new());
    let chunked = table.chunked().map(|&x| x as f32);
    chunked.on_progress(|done, all| calls.lock().unwrap().push((done, all))).sum().unwrap();
    let mut calls = calls.into_inner().unwrap();
    calls.sort_unstable();
    assert_eq!(calls.last(), Some(&(100_000, 100_000)));
}

#[test]
fn sources_are_zipped_with_each_other_and_with_arrays() {
    let dir = tempfile::tempdir().unwrap();
    let table = table((300, 211)).mapv(|x| if x.is_nan() { 0.0 } else { x });
    let file = file(&dir, &table);
    let weights = table.mapv(|x| x.abs());
    let computed = table.chunked().map(|x| x.abs());
    let expected = table.chunked().weighted_std(&weights, 1.0).unwrap();
    let lazy_weights = computed.clone().into_lazy();
    assert_eq!(file.chunked().weighted_std(&weights, 1.0).unwrap(), expected);
    assert_eq!(file.chunked().weighted_std(&lazy_weights, 1.0).unwrap(), expected);
    assert_eq!(table.chunked().weighted_std(&lazy_weights, 1.0).unwrap(), expected);

    // An array in Fortran order, a file in C order and a computed array.
    let columns = table.t().as_standard_layout().into_owned();
    let columns = columns.t();
    let expected = columns.chunked().and(&table).unwrap().and(&weights).unwrap();
    let expected = expected.map(|(x, y, z)| x - 2.0 * y + z).sum().unwrap();
    for memory in [usize::MAX, 8 << 20] {
        let zipped = columns.chunked().and(&file).unwrap().zip(computed.clone()).unwrap();
        let zipped = zipped.memory_limit(memory);
        let found = zipped.clone().map(|(x, y, z)| x - 2.0 * y + z);
        assert_eq!(found.sum().unwrap(), expected);
        let count = zipped.clone().accumulate(Count::default).unwrap();
        assert_eq!(count.0, table.len());
        let mut total = Array2::zeros(table.dim());
        zipped.clone().map_into(&mut total, |x, y, z| x - y + z).unwrap();
        assert_eq!(total, weights);
        for (x, y, z) in zipped.chunk_len(50) {
            assert_eq!((&x - &y).sum(), 0.0);
            assert_eq!(y.mapv(f64::abs), z);
        }
    }
    let histogram = file.chunked().zip(computed).unwrap().histogram2d(5, 4).unwrap();
    let in_memory = table.chunked().and(&weights).unwrap().histogram2d(5, 4).unwrap();
    assert_eq!(histogram, in_memory);
    let error = file.chunked().and(&Array2::<u8>::zeros((300, 210))).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ShapeMismatch { .. }), "{error}");
    assert_eq!(error.path(), Some(file.path()));
}

/// Counts pushed elements.
#[derive(Default)]
struct Count(usize);

impl<A> ndarray_mmap::Accumulator<A> for Count {
    fn push(&mut self, _element: &A) {
        self.0 += 1;
    }

    fn merge(&mut self, later: Self) {
        self.0 += later.0;
    }
}
