//! Saving of arrays: order, chunked copies, replacement.

use ndarray::{ShapeBuilder, prelude::*};
use ndarray_mmap::{MmapArrayOptions, Order, prelude::*};
use proptest::prelude::*;

use crate::support::*;

#[test]
fn copies_keep_the_memory_order() {
    let c = Array3::from_shape_fn((3, 4, 5), |(i, j, k)| (100 * i + 10 * j + k) as f64);
    let mut f = Array3::zeros((3, 4, 5).f());
    f.assign(&c);
    for (source, order) in [
        (c.view(), Order::C),
        (f.view(), Order::F),
        (c.t(), Order::F),
        (c.slice(s![..;2, .., ..;-1]), Order::C),
    ] {
        let copy = source.to_scratch().unwrap();
        assert_eq!(copy, source);
        assert_eq!(copy.layout().order(), order);
    }
    assert_eq!(arr0(3.0).to_scratch().unwrap()[()], 3.0);
    assert!(Array2::<u8>::zeros((0, 3)).to_scratch().unwrap().is_empty());
}

#[test]
fn saved_file_contains_the_array() {
    let dir = dir();
    let (raw, npy) = (dir.path().join("a.raw"), dir.path().join("a.npy"));
    let table = Array2::from_shape_fn((3, 4), |(i, j)| (i * j) as i32);
    // SAFETY: this test alone uses the directory.
    let saved = unsafe { table.to_mmap(&raw) }.unwrap();
    saved.close().unwrap();
    // SAFETY: as above.
    let saved = unsafe { table.t().to_mmap_npy(&npy) }.unwrap();
    saved.close().unwrap();
    assert_eq!(*read::<i32, _>(&raw, (3, 4)).unwrap(), table);
    let again = read_npy_with::<i32, Ix2>(&MmapArrayOptions::new(), &npy).unwrap();
    assert_eq!((&*again, again.layout().order()), (&*table.t(), Order::F));
}

#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn array_can_be_saved_over_its_own_file() {
    let dir = dir();
    let path = counting(&dir, 0, 6);
    let array = read::<f64, _>(&path, (2, 3)).unwrap();
    // SAFETY: this test alone uses the directory; the mapped file is replaced, not changed.
    unsafe { array.slice(s![..;-1, ..]).to_mmap(&path) }.unwrap().close().unwrap();
    assert_eq!(array[[0, 0]], 0.0, "the old file");
    assert_eq!(read::<f64, _>(&path, (2, 3)).unwrap()[[0, 0]], 3.0);
}

/// More than one step of the copy, in both orders and with rows larger than a step.
#[test]
fn large_copies_are_chunked() {
    let dir = dir();
    for shape in [(3, 3 << 20), (3 << 20, 3)] {
        let source = MmapArrayOptions::new().scratch_in::<u64, _>(dir.path(), shape);
        let mut source = source.unwrap();
        source.indexed_iter_mut().for_each(|((i, j), value)| *value = (i * 7 + j) as u64);
        let copy = source.t().to_scratch().unwrap();
        assert!(copy.indexed_iter().all(|((j, i), &value)| value == (i * 7 + j) as u64));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Copies have the elements of their sources, in any order of axes, with steps, backwards, broadcast, mapped or not.
    #[test]
    fn copies_equal_their_sources(
        lens in proptest::collection::vec(0..6_usize, 1..4),
        turns in any::<[u8; 3]>(),
        steps in proptest::collection::vec(prop_oneof![-3..0_isize, 1..4_isize], 3),
        broadcast: bool,
        mapped: bool,
    ) {
        let mut number = 0;
        let memory = ArrayD::from_shape_simple_fn(lens.clone(), || { number += 1; number });
        let file = memory.to_scratch().unwrap();
        let mut view = if mapped { file.view() } else { memory.view() };
        for (turn, axis) in turns.iter().zip(0..lens.len()) {
            view.swap_axes(axis, usize::from(*turn) % lens.len());
        }
        view.slice_each_axis_inplace(|axis| ndarray::Slice::new(0, None, steps[axis.axis.index()]));
        let mut shape = view.shape().to_vec();
        shape.splice(..0, broadcast.then_some(3));
        let view = view.broadcast(shape).unwrap();
        let copy = view.to_scratch().unwrap();
        prop_assert_eq!(&copy.view(), &view);
        let is_f = !view.is_standard_layout() && view.t().is_standard_layout();
        prop_assert_eq!(copy.layout().order() == Order::F && !copy.view().is_standard_layout(), is_f);
    }
}

/// What a copy of a mapped array, in either order and across it, keeps resident.
#[test]
#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
fn copies_stay_within_memory_limit() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["save::child_copies_and_reports_peak", "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("copied within"), "{out}\n{err}");
}

#[test]
#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
#[ignore = "run by another test in a child process"]
fn child_copies_and_reports_peak() {
    const SHAPE: (usize, usize, usize) = (64, 256, 2_048);
    let dir = dir();
    let [path, out] = ["source.raw", "copy"].map(|name| dir.path().join(name));
    let mut source = create::<f64, _>(&path, SHAPE).unwrap();
    let value = |(i, j, k): (usize, usize, usize)| ((i * 31 + j) * 7 + k) as f64;
    let fill = source.chunked_mut().memory_limit(64 << 20).indexed();
    fill.par_for_each(|(region, mut chunk)| {
        let (i, j, k) =
            (region.range(Axis(0)).start, region.range(Axis(1)).start, region.range(Axis(2)).start);
        chunk.indexed_iter_mut().for_each(|((di, dj, dk), x)| *x = value((i + di, j + dj, k + dk)));
    })
    .unwrap();
    drop(source);
    let source = read::<f64, _>(&path, SHAPE).unwrap();
    let sum = source.chunked().memory_limit(64 << 20).sum().unwrap();
    let memory = Array2::<f64>::from_elem((256, 65_536), 2.0);
    let all_threads = source
        .chunked()
        .memory_limit(64 << 20)
        .par_map_reduce(|chunk| chunk.len(), |a, b| a + b)
        .unwrap();
    assert_eq!(all_threads, Some(source.len()));
    let before = crate::resident_memory::kib("VmRSS:");
    let check = |name: &str, copied: ndarray_mmap::MmapArrayMut<f64, IxDyn>, expected: f64| {
        let (peak, rest) = (
            crate::resident_memory::kib("VmHWM:") - before,
            crate::resident_memory::kib("VmRSS:") - before,
        );
        assert!(peak <= 65 << 10 && rest <= 8 << 10, "{name}: {peak} KiB, then {rest} KiB");
        let (first, last) = (copied.first().copied(), copied.last().copied());
        assert_eq!(copied.chunked().memory_limit(32 << 20).sum().unwrap(), expected, "{name}");
        println!("{name} copied within {peak} KiB, {rest} KiB stay, {first:?} to {last:?}");
    };
    let permuted = source.view().permuted_axes([1, 0, 2]);
    let backwards = source.slice(s![..;-1, ..;-1, ..;-1]);
    for (name, view) in [
        ("in memory order", source.view()),
        ("transposed", source.t()),
        ("permuted", permuted.view()),
        ("backwards", backwards.view()),
        ("across", source.view().permuted_axes([2, 0, 1])),
    ] {
        // SAFETY: this test alone uses the directory.
        check(name, unsafe { view.to_mmap(&out) }.unwrap().into_dyn(), sum);
        // SAFETY: as above.
        check(name, unsafe { view.to_mmap_npy(&out) }.unwrap().into_dyn(), sum);
    }
    // SAFETY: as above.
    check(
        "from memory",
        unsafe { memory.to_mmap(&out) }.unwrap().into_dyn(),
        2.0 * memory.len() as f64,
    );
    check("without a name", memory.t().to_scratch().unwrap().into_dyn(), 2.0 * memory.len() as f64);
}
