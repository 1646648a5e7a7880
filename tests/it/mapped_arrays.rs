//! The mapped array types as Rust values and as ndarray operands.

use std::sync::Arc;

use ndarray::{AsArray, Order, Zip, prelude::*};
use ndarray_mmap::{
    Advice, ArrayError, Dtype, Error, ErrorKind, LockPolicy, MmapArray, MmapArray2, MmapArrayCow,
    MmapArrayMut, MmapArrayOptions, MmapArrayPending, NpyHeader,
};

use crate::support::*;

#[test]
fn mapped_arrays_are_send_and_sync() {
    fn ok<T: Send + Sync + Unpin + std::panic::RefUnwindSafe + 'static>() {}
    ok::<MmapArray<f64, Ix2>>();
    ok::<MmapArrayMut<f64, Ix2>>();
    ok::<MmapArrayCow<f64, IxDyn>>();
    ok::<MmapArrayPending<f64, Ix3>>();
    ok::<MmapArrayOptions>();
    ok::<NpyHeader>();
    ok::<Dtype>();
    ok::<LockPolicy>();
    ok::<Advice>();
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    error::<Error>();
    error::<ArrayError<MmapArrayPending<f64, Ix3>>>();
    error::<ArrayError<MmapArray<f64, Ix3>>>();
}

#[test]
fn mapped_arrays_can_be_returned_and_shared() {
    fn open(path: &std::path::Path) -> MmapArray2<f64> {
        read(path, (10, 10)).unwrap()
    }
    let dir = dir();
    let shared = Arc::new(open(&counting(&dir, 0, 100)));
    let threads: Vec<_> = (0..4)
        .map(|row| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.row(row).sum())
        })
        .collect();
    let sums: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(sums, [45.0, 145.0, 245.0, 345.0]);
}

#[test]
fn debug_shows_everything_but_the_data() {
    let dir = dir();
    let path = counting(&dir, 16, 12);
    let options = MmapArrayOptions::new().offset(16);
    let array = read_with::<f64, _>(&options, &path, (3, 4).f()).unwrap();
    let expected = |owner, mode, order| {
        format!(
            "{owner} {{ path: {path:?}, mode: {mode}, element: f64, shape: [3, 4], order: {order}, offset: 16 }}"
        )
    };
    assert_eq!(format!("{array:?}"), expected("MmapArray", "r", "F"));
    drop(array);
    let array = write_with::<f64, _>(&options, &path, (3, 4)).unwrap();
    assert_eq!(format!("{array:?}"), expected("MmapArrayMut", "r+", "C"));
    drop(array);
    let mut array = cow_with::<f64, _>(&options, &path, (3, 4)).unwrap();
    array.invert_axis(Axis(0));
    assert_eq!(format!("{array:?}"), expected("MmapArrayCow", "c", "strided"));
    let scratch = MmapArrayMut::<u8, _>::scratch(3).unwrap();
    assert!(format!("{scratch:?}").contains("path: (scratch)"));
}

#[test]
fn display_equals_that_of_views() {
    let dir = dir();
    let path = counting(&dir, 0, 12);
    let printed = "[[0, 1, 2, 3],\n [4, 5, 6, 7],\n [8, 9, 10, 11]]";
    assert_eq!(read::<f64, _>(&path, (3, 4)).unwrap().to_string(), printed);
    assert_eq!(write::<f64, _>(&path, (3, 4)).unwrap().to_string(), printed);
    let private = cow::<f64, _>(&path, (3, 4)).unwrap();
    assert_eq!(private.to_string(), printed);
    assert_eq!(format!("{private:5.1}"), format!("{:5.1}", private.view()));
    let pending = atomic_with::<u8, _>(&MmapArrayOptions::new(), &path, 3).unwrap();
    assert_eq!(pending.to_string(), "[0, 0, 0]");
    let long = MmapArrayMut::<u8, _>::scratch(1 << 20).unwrap().to_string();
    assert!(long.contains("..., ") && long.len() < 10_000, "{} bytes", long.len());
}

#[test]
fn deref_mut_writes_to_the_file() {
    let dir = dir();
    let path = counting(&dir, 8, 6);
    let options = MmapArrayOptions::new().offset(8);
    let mut array = write_with::<f64, _>(&options, &path, (2, 3)).unwrap();
    array.slice_mut(s![0, ..]).fill(1.0);
    array[[1, 2]] *= 10.0;
    drop(array);
    assert_eq!(
        read_with::<f64, _>(&options, &path, (2, 3)).unwrap(),
        array![[1.0, 1.0, 1.0], [3.0, 4.0, 50.0]]
    );
    assert_eq!(std::fs::read(&path).unwrap()[..8], [0xAA; 8], "bytes before the offset");
}

#[test]
fn mapped_arrays_work_in_zip_and_assignment() {
    let dir = dir();
    let path = counting(&dir, 0, 6);
    let constant = read::<f64, _>(&path, (2, 3)).unwrap();
    let mut array = cow::<f64, _>(&path, (2, 3)).unwrap();
    for value in &mut array {
        *value += 1.0;
    }
    let mut total = 0.0;
    for value in &array {
        total += value;
    }
    assert_eq!(total, 21.0);
    Zip::from(&mut array).and(&constant).for_each(|a, &b| *a -= b);
    assert_eq!(array.sum(), 6.0);
    array += 1.0;
    array *= &array![1.0, 2.0, 3.0];
    array -= &constant.view();
    array /= &constant.map(|value| value + 1.0);
    assert_eq!(array, array![[2.0, 1.5, 4.0 / 3.0], [-0.25, 0.0, 1.0 / 6.0]]);
    array += &constant;
    array -= &constant;
    let mut memory = constant.to_owned();
    memory *= &array;
    memory.row_mut(0).assign(&constant.row(0));
    memory.slice_mut(s![1.., ..]).assign(&constant.slice(s![1.., ..]));
    assert_ne!(array, constant);
    assert_eq!(constant, memory);
    assert_eq!(memory, constant);
    assert_eq!(memory.view(), constant);
    assert_eq!(constant, read::<f64, _>(&path, (2, 3)).unwrap());
    let sum = &*array + &*constant;
    assert_eq!((&*constant * 2.0)[[1, 2]] + sum[[0, 0]], 12.0);
    fn rows<'a>(table: impl AsArray<'a, f64, Ix2>) -> usize {
        table.into().nrows()
    }
    assert_eq!((rows(&constant), rows(&memory)), (2, 2));
    ArrayViewMut2::from(&mut array).fill(0.0);
    assert_eq!(array.sum(), 0.0);
    let mut bits = MmapArrayMut::<u8, _>::scratch(4).unwrap();
    bits |= 6;
    bits <<= 1;
    assert_eq!(*bits, array![12, 12, 12, 12]);
}

#[test]
#[cfg(feature = "rayon")]
fn par_iter_visits_every_element() {
    use ndarray::parallel::prelude::*;
    let dir = dir();
    let path = counting(&dir, 0, 1000);
    let array = read::<f64, _>(&path, (10, 100)).unwrap();
    assert_eq!(array.par_iter().map(|&value| value as u64).sum::<u64>(), 499_500);
    let mut copy = cow::<f64, _>(&path, (10, 100)).unwrap();
    copy.par_iter_mut().for_each(|value| *value = 1.0);
    assert_eq!((&copy).into_par_iter().copied().reduce(|| 0.0, f64::max), 1.0);
    Zip::from(&mut copy).and(&array).par_for_each(|a, &b| *a += b);
    assert_eq!(copy.sum(), 500_500.0);
}

#[test]
fn reshaped_arrays_map_the_same_file() {
    let dir = dir();
    let path = counting(&dir, 0, 24);
    let open = || read::<f64, _>(&path, (4, 6)).unwrap();
    let cube = open().into_shape_with_order((2, 3, 4)).unwrap();
    assert_eq!((cube[[1, 2, 3]], cube.path()), (23.0, Some(&*path)));
    assert_eq!(cube.layout().shape(), [4, 6], "as it was opened");
    let dynamic = cube.into_dyn();
    assert_eq!(dynamic.shape(), [2, 3, 4]);
    let cube: MmapArray<f64, Ix3> = dynamic.into_dimensionality().unwrap();
    let cube = handed_back(cube.into_dimensionality::<Ix2>(), &path, |kind| {
        matches!(kind, ErrorKind::DimensionMismatch { expected: 2, .. })
    });
    assert_eq!(cube.dim(), (2, 3, 4));
    let table = handed_back(open().into_shape_with_order((5, 5)), &path, |kind| match kind {
        ErrorKind::ShapeMismatch { expected, found, .. } => {
            (&expected[..], &found[..]) == (&[5, 5], &[4, 6])
        }
        _ => false,
    });
    let other_order = |kind: &ErrorKind| matches!(kind, ErrorKind::OrderMismatch { .. });
    let table = handed_back(table.into_shape_with_order(((2, 12), Order::F)), &path, other_order);
    let table = handed_back(table.into_shape_with_order((usize::MAX, 2)), &path, |kind| {
        matches!(kind, ErrorKind::ShapeMismatch { .. })
    });
    assert_eq!(table.sum(), 276.0);
    drop((cube, table));
    let columns = read::<f64, _>(&path, (4, 6).f()).unwrap();
    let ours = columns.layout().order();
    let columns = columns.into_shape_with_order(((2, 12), ours.into())).unwrap();
    assert_eq!((columns[[1, 11]], columns[[1, 0]]), (23.0, 1.0));
    let failure = columns.into_shape_with_order(24).unwrap_err();
    let message = failure.to_string();
    assert!(
        message.contains(
            "cannot reshape in C order: the array (shape [2, 12]) is not contiguous \
                          in that order"
        ),
        "{message}"
    );
    assert!(message.contains("pass `(shape, ndarray::Order::F)`"), "{message}");
    assert_eq!(failure.array.into_shape_with_order((24, Order::F)).unwrap()[23], 23.0);
    let mut writable = write::<f64, _>(&path, 24).unwrap().into_shape_with_order([4, 6]).unwrap();
    writable[[0, 0]] = 5.0;
    writable.close().unwrap();
    assert_eq!(open()[[0, 0]], 5.0);
}

/// What a failed call hands back.
#[track_caller]
fn handed_back<T, U>(
    result: Result<U, ArrayError<T>>,
    path: &std::path::Path,
    is: impl FnOnce(&ErrorKind) -> bool,
) -> T {
    let Err(ArrayError { error, array, .. }) = result else { panic!("accepted") };
    refused(Err::<(), _>(error), path, is);
    array
}

/// A wrong shape once cost all the edits.
#[test]
fn failed_conversions_return_the_array() {
    let dir = dir();
    let path = counting(&dir, 0, 6);
    let mut edited = cow::<f64, _>(&path, (2, 3)).unwrap();
    edited.fill(2.0);
    let edited = handed_back(edited.into_shape_with_order(7), &path, |_| true);
    let edited = handed_back(edited.into_dyn().into_dimensionality::<Ix1>(), &path, |_| true);
    assert_eq!(edited, Array2::from_elem((2, 3), 2.0).into_dyn());
    let fails = || -> Result<(), std::io::Error> {
        let _ = MmapArrayMut::<f64, _>::scratch(6)?.into_shape_with_order(7)?;
        Ok(())
    };
    assert_eq!(fails().unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn failed_freeze_returns_the_array() {
    use ndarray_mmap::prelude::*;
    let dir = dir();
    let path = counting(&dir, 0, 6);
    let mut array = write::<f64, _>(&path, 6).unwrap();
    array.fill(2.0);
    std::fs::remove_file(&path).unwrap();
    let array =
        handed_back(array.freeze(), &path, |kind| matches!(kind, ErrorKind::FileReplaced { .. }));
    // SAFETY: this test alone uses the directory.
    unsafe { array.to_mmap(&path) }.unwrap().close().unwrap();
    assert_eq!(read::<f64, _>(&path, 6).unwrap().sum(), 12.0);
}

/// A file that is still to be named is paged and operated on like any other.
#[test]
fn pending_arrays_have_the_methods_of_writable_arrays() {
    let dir = dir();
    let path = dir.path().join("new");
    let options = MmapArrayOptions::new().offset(16);
    let mut pending = atomic_with::<f64, _>(&options, &path, (10, 4)).unwrap();
    pending.advise(Advice::Sequential).unwrap();
    for row in 0..10 {
        pending.row_mut(row).fill(1.0);
        pending.start_writeback_view(&pending.row(row)).unwrap();
        pending.flush_view(&pending.row(row)).unwrap();
        pending.release_view(&pending.row(row)).unwrap();
    }
    pending += 1.0;
    pending *= &Array2::from_elem((10, 4), 2.0);
    for value in &mut pending {
        *value += 1.0;
    }
    Zip::from(&mut pending).for_each(|value| *value -= 1.0);
    pending.flush().unwrap();
    pending.start_writeback().unwrap();
    pending.release().unwrap();
    pending.prefetch().unwrap();
    assert!(!path.exists());
    assert_eq!(
        (pending.path(), pending.offset(), pending.layout().byte_len()),
        (Some(&*path), 16, 320)
    );
    assert_eq!(pending, Array2::from_elem((10, 4), 4.0));
    assert_eq!(pending.commit().unwrap().sum(), 160.0);
}

#[test]
fn frozen_arrays_can_be_opened_for_reading() {
    let dir = dir();
    let path = dir.path().join("new.raw");
    let mut array = create::<f64, _>(&path, (3, 4)).unwrap();
    array.fill(2.0);
    array.invert_axis(Axis(1));
    array[[0, 0]] = 3.0;
    refused(read::<f64, _>(&path, 12), &path, |kind| {
        matches!(kind, ErrorKind::AlreadyMapped { writable: false, .. })
    });
    let frozen = array.freeze().unwrap();
    assert_eq!((frozen[[0, 0]], frozen.sum()), (3.0, 25.0), "strides are kept");
    let reader = read::<f64, _>(&path, (3, 4)).unwrap();
    assert_eq!(reader[[0, 3]], 3.0);
    refused(write::<f64, _>(&path, 12), &path, |kind| {
        matches!(kind, ErrorKind::AlreadyMapped { .. })
    });
    drop((frozen, reader));
    assert_eq!(write::<f64, _>(&path, 12).unwrap().len(), 12);
}

/// What a panic leaves in a file can be looked at afterwards, as what it leaves in a `Vec`.
#[test]
fn mapped_arrays_are_unwind_safe() {
    use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
    fn is<T: UnwindSafe + RefUnwindSafe>() {}
    is::<MmapArray<f64, Ix2>>();
    is::<MmapArrayMut<f64, IxDyn>>();
    is::<MmapArrayCow<[u8; 3], Ix0>>();
    is::<MmapArrayPending<f64, Ix2>>();
    let mut array = MmapArrayMut::<u8, _>::scratch(4).unwrap();
    let target = AssertUnwindSafe(&mut array); // as for any `&mut`
    catch_unwind(move || {
        let AssertUnwindSafe(target) = { target };
        target[0] = 7;
        panic!("half-way");
    })
    .unwrap_err();
    let sum = catch_unwind(move || array.sum()).unwrap();
    assert_eq!(sum, 7);
}
