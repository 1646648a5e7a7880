//! Arrays onto disk: order, streaming, replacing.

use ndarray::{ShapeBuilder, prelude::*};
use ndarray_mmap::{MmapArrayOptions, Order, prelude::*};

use crate::support::*;

#[test]
fn copies_lie_as_their_sources() {
    let c = Array3::from_shape_fn((3, 4, 5), |(i, j, k)| (100 * i + 10 * j + k) as f64);
    let mut f = Array3::zeros((3, 4, 5).f());
    f.assign(&c);
    for (source, order) in
        [(c.view(), Order::C), (f.view(), Order::F), (c.t(), Order::F), (c.slice(s![..;2, .., ..;-1]), Order::C)]
    {
        let copy = source.to_scratch().unwrap();
        assert_eq!(copy, source);
        assert_eq!(copy.layout().order(), order);
    }
    assert_eq!(arr0(3.0).to_scratch().unwrap()[()], 3.0);
    assert!(Array2::<u8>::zeros((0, 3)).to_scratch().unwrap().is_empty());
}

#[test]
fn saving_under_a_name() {
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
fn an_array_can_be_saved_over_its_own_file() {
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
fn large_copies_go_in_steps() {
    let dir = dir();
    for shape in [(3, 3 << 20), (3 << 20, 3)] {
        let source = MmapArrayOptions::new().scratch_in::<u64, _>(dir.path(), shape);
        let mut source = source.unwrap();
        source.indexed_iter_mut().for_each(|((i, j), value)| *value = (i * 7 + j) as u64);
        let copy = source.t().to_scratch().unwrap();
        assert!(copy.indexed_iter().all(|((j, i), &value)| value == (i * 7 + j) as u64));
    }
}
