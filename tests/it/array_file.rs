//! Arrays in files that are read and written without mapping them: errors, byte orders, locks,
//! creation, and files that change while they are open.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::{ShapeBuilder, prelude::*};
use ndarray_mmap::num_complex::Complex;
use ndarray_mmap::{
    Advice, ArrayFile, ArrayFileMut, ErrorKind, LockPolicy, MmapArray, MmapArrayMut,
    MmapArrayOptions, NpyElement, Order, Result,
};

use crate::support::*;

fn options() -> MmapArrayOptions {
    MmapArrayOptions::new()
}

/// Writes an `.npy` file with this dtype and these bytes of elements.
fn write_npy(path: &Path, descr: &str, shape: &str, data: &[u8]) {
    let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}");
    let text = format!("{text:117}\n"); // the elements are aligned
    let len = u16::try_from(text.len()).unwrap().to_le_bytes();
    fs::write(path, [b"\x93NUMPY\x01\0", &len[..], text.as_bytes(), data].concat()).unwrap();
}

#[track_caller]
fn message<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string().replace("ArrayFile", "MmapArray")
}

/// Whatever is wrong with a raw file, both ways of opening it report the same.
#[test]
fn errors_of_raw_files_are_those_of_mapped_arrays() {
    let dir = dir();
    let path = dir.path().join("x");
    let check = |options: &MmapArrayOptions, path: &Path, len: usize| {
        let mapped = [
            // SAFETY: nothing else uses the file.
            message(unsafe { options.open::<u32, _>(path, len) }),
            // SAFETY: as above.
            message(unsafe { options.open_mut::<u32, _>(path, len) }),
        ];
        assert_eq!(message(options.open_file::<u32, _>(path, len)), mapped[0]);
        assert_eq!(message(options.open_file_mut::<u32, _>(path, len)), mapped[1]);
        mapped[0].clone()
    };
    assert!(check(&options(), &path, 3).contains("cannot open for reading"));
    assert!(check(&options(), dir.path(), 3).contains("a directory"));
    fs::write(&path, []).unwrap();
    assert!(check(&options(), &path, 3).contains("needs 12 bytes"));
    fs::write(&path, [0; 13]).unwrap();
    assert!(check(&options(), &path, 4).contains("there are 13 bytes"));
    assert!(check(&options().offset(4), &path, 3).contains("ends at byte 16"));
    assert!(check(&options(), &path, usize::MAX).contains("too large"));
    write_npy(&path, "'<u4'", "(2,)", &[0; 8]);
    assert!(check(&options(), &path, 3).contains("`MmapArray::open_npy`"));

    let rows = |options: &MmapArrayOptions, row: usize| {
        // SAFETY: as above.
        let mapped = message(unsafe { options.open_rows::<u32, Ix2>(&path, row) });
        assert_eq!(message(options.open_file_rows::<u32, Ix2>(&path, row)), mapped);
        mapped
    };
    fs::write(&path, [0; 13]).unwrap();
    assert!(rows(&options(), 1).contains("not a whole number of 4-byte rows"));
    assert!(rows(&options(), 0).contains("rows have zero bytes"));
    assert!(rows(&options().offset(16), 1).contains("past the end of the file"));
}

#[test]
fn errors_of_npy_files_are_those_of_mapped_arrays() {
    let dir = dir();
    let path = dir.path().join("x.npy");
    let check = |expected: &str| {
        // SAFETY: nothing else uses the file.
        let mapped = message(unsafe { options().open_npy::<u32, Ix1>(&path) });
        assert_eq!(message(options().open_file_npy::<u32, Ix1>(&path)), mapped);
        assert!(mapped.contains(expected), "{mapped}");
        // SAFETY: as above.
        let mapped = message(unsafe { options().open_npy_mut::<u32, Ix1>(&path) });
        assert_eq!(message(options().open_file_npy_mut::<u32, Ix1>(&path)), mapped);
    };
    for (content, expected) in [
        (&b""[..], "the file is empty"),
        (b"PK\x03\x04....", "zip archive"),
        (b"\x93NUMPY\x01\0", "the file ends inside the header"),
        (b"1,2,3\n", "the file is text"),
    ] {
        fs::write(&path, content).unwrap();
        check(expected);
    }
    for (descr, shape, len, expected) in [
        ("'<u4'", "(3,)", 11, "too short"),
        ("'<u4'", "(3,)", 13, "1 trailing byte"),
        ("'<u4'", "(3, 1)", 12, "expected 1 dimension, found 2"),
        ("'<f4'", "(3,)", 12, "found <f4"),
        ("'<u8'", "(3,)", 24, "found <u8"),
        ("'>u8'", "(3,)", 24, "found >u8"),
        ("'>f4'", "(3,)", 12, "found >f4"),
        ("'|O'", "(3,)", 24, "pickled Python objects"),
        ("[('a', '>u4')]", "(3,)", 12, "found [('a', '>u4')]"),
    ] {
        write_npy(&path, descr, shape, &vec![0; len]);
        check(expected);
    }
    write_npy(&path, "'|b1'", "(3,)", &[0, 1, 1]);
    assert_eq!(ArrayFile::<u8, Ix1>::open_npy(&path).unwrap().read_all().unwrap(), array![0, 1, 1]);
    refused(
        ArrayFileMut::<u8, Ix1>::open_npy(&path),
        &path,
        |kind| matches!(kind, ErrorKind::DtypeMismatch { found, .. } if found.contains("`bool`")),
    );
}

#[cfg(unix)]
#[test]
fn special_files_are_refused_without_blocking() {
    let dir = dir();
    let path = dir.path().join("fifo");
    let status = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(status.success());
    let is_fifo = |kind: &ErrorKind| matches!(kind, ErrorKind::NotRegularFile { found, .. } if found.contains("FIFO"));
    refused(ArrayFile::<u8, _>::open(&path, 3), &path, is_fifo);
    refused(ArrayFileMut::<u8, _>::open(&path, 3), &path, is_fifo);
}

#[test]
fn empty_files_and_shapes() {
    let dir = dir();
    let path = dir.path().join("x");
    fs::write(&path, []).unwrap();
    let rows = ArrayFile::<f64, Ix2>::open_rows(&path, 4).unwrap();
    assert_eq!((rows.dim(), rows.is_empty()), ((0, 4), true));
    assert_eq!(rows.read_all().unwrap().dim(), (0, 4));
    assert_eq!(rows.read(s![.., 1..3]).unwrap().dim(), (0, 2));
    let empty = ArrayFile::<f64, _>::open(&path, (3, 0)).unwrap();
    assert_eq!(empty.read(s![..;-1, ..]).unwrap().dim(), (3, 0));
    fs::write(&path, 1.5_f64.to_ne_bytes()).unwrap();
    let one = ArrayFile::<f64, _>::open(&path, ()).unwrap();
    assert_eq!(one.read_all().unwrap()[()], 1.5);
    assert_eq!(one.read(s![NewAxis]).unwrap(), array![1.5]);
}

#[test]
fn offsets_need_not_be_aligned() {
    let dir = dir();
    let path = dir.path().join("x");
    fs::write(&path, [&[9; 3][..], bytemuck::bytes_of(&[0.5_f64, 1.5, 2.5, 3.5])].concat())
        .unwrap();
    let options = options().offset(3).advise(Advice::Random);
    // SAFETY: nothing else uses the file.
    assert!(unsafe { options.open::<f64, _>(&path, 4) }.is_err());
    let file = options.open_file::<f64, _>(&path, (2, 2).f()).unwrap();
    assert_eq!((file.offset(), file.layout().order()), (3, Order::F));
    assert_eq!(file.read_all().unwrap(), array![[0.5, 2.5], [1.5, 3.5]]);
    let rows = options.open_file_rows::<f64, Ix1>(&path, ()).unwrap();
    assert_eq!(rows.read(s![..;-3]).unwrap(), array![3.5, 0.5]);
}

fn check_npy<A: NpyElement + PartialEq + std::fmt::Debug>(
    descr: &str,
    data: &[u8],
    expected: &[A],
) {
    let dir = dir();
    let path = dir.path().join("x.npy");
    write_npy(&path, descr, &format!("({},)", expected.len()), data);
    let file = ArrayFile::<A, Ix1>::open_npy(&path).unwrap();
    assert_eq!(file.read_all().unwrap().to_vec(), expected, "{descr}");
    assert_eq!(file.read(s![1..;2]).unwrap()[0], expected[1], "{descr}");
}

#[test]
fn npy_files_in_both_byte_orders() {
    fn of<const N: usize>(numbers: impl IntoIterator<Item = [u8; N]>) -> Vec<u8> {
        numbers.into_iter().flatten().collect()
    }
    let floats = [1.5_f32, -2.25, 1e30];
    check_npy("'<f4'", &of(floats.map(f32::to_le_bytes)), &floats);
    check_npy("'>f4'", &of(floats.map(f32::to_be_bytes)), &floats);
    let integers = [1_i64, -2, i64::MAX - 5];
    check_npy("'<i8'", &of(integers.map(i64::to_le_bytes)), &integers);
    check_npy("'>i8'", &of(integers.map(i64::to_be_bytes)), &integers);
    check_npy("'>M8[ns]'", &of(integers.map(i64::to_be_bytes)), &integers);
    let complex = [Complex::new(1.5_f32, -2.25), Complex::new(0.5, 3.0)];
    let parts = complex.iter().flat_map(|c| [c.re, c.im]);
    check_npy("'>c8'", &of(parts.clone().map(f32::to_be_bytes)), &complex);
    check_npy("'<c8'", &of(parts.map(f32::to_le_bytes)), &complex);
    let text = [['a', 'é', '\0'], ['x', 'y', 'z']].map(|chars| chars.map(u32::from));
    check_npy("'>U3'", &of(text.into_iter().flatten().map(u32::to_be_bytes)), &text);
    check_npy("'|u1'", &[1, 2, 3], &[1_u8, 2, 3]);
    check_npy("'>u2'", &[1, 2, 3, 4], &[0x0102_u16, 0x0304]);
    // Types that are opened as bytes are not converted.
    check_npy("'>u2'", &[1, 2, 3, 4], &[[1_u8, 2], [3, 4]]);
}

#[test]
fn files_in_the_other_byte_order_are_written_in_it() {
    let dir = dir();
    let path = dir.path().join("x.npy");
    write_npy(&path, "'>u2'", "(2, 2)", &[0; 8]);
    let file = ArrayFileMut::<u16, Ix2>::open_npy(&path).unwrap();
    file.write(s![.., 1], &array![0x0102, 0x0304]).unwrap();
    file.write(s![0, 0], &arr0(7)).unwrap();
    assert_eq!(file.read_all().unwrap(), array![[7, 0x0102], [0, 0x0304]]);
    file.close().unwrap();
    assert_eq!(fs::read(&path).unwrap()[file_header_len(&path)..], [0, 7, 1, 2, 0, 0, 3, 4]);
}

/// The header states the byte order, whatever the program declares.
#[test]
fn declared_byte_orders_do_not_contradict_a_header() {
    let dir = dir();
    let path = dir.path().join("x.npy");
    let file = ArrayFileMut::<u16, _>::create_npy(&path, 2).unwrap();
    file.big_endian().little_endian().big_endian().write_all(&array![1, 256]).unwrap();
    let open = || ArrayFile::<u16, Ix1>::open_npy(&path).unwrap();
    for file in [open(), open().big_endian(), open().little_endian()] {
        assert_eq!(file.read_all().unwrap(), array![1, 256]);
    }
    let file = ArrayFileMut::<u16, Ix1>::open_npy(&path).unwrap().big_endian();
    file.write(s![0], &arr0(7)).unwrap();
    drop(file);
    assert_eq!(open().read_all().unwrap(), array![7, 256]);
}

fn file_header_len(path: &Path) -> usize {
    ndarray_mmap::NpyHeader::read(path).unwrap().data_offset() as usize
}

#[test]
fn reads_of_a_truncated_file_are_errors() {
    let dir = dir();
    let path = dir.path().join("x");
    fs::write(&path, [7; 1000]).unwrap();
    let file = ArrayFile::<u8, _>::open(&path, (10, 100)).unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(450).unwrap();
    assert!(file.read(s![..4, ..]).unwrap().iter().all(|&x| x == 7));
    for result in [
        file.read_all().map(drop),
        file.read(s![4, ..]).map(drop),
        file.read(s![..;3, 60]).map(drop),
    ] {
        refused(result, &path, |kind| {
            matches!(kind, ErrorKind::FileTruncated { expected: 1000, found: 450, .. })
        });
    }
    let error = file.read_all().unwrap_err();
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::UnexpectedEof);
}

/// A write does not extend a truncated file again, and flushes report the loss from then on.
#[test]
fn writes_to_a_truncated_file_are_errors() {
    let dir = dir();
    let path = dir.path().join("x");
    let file = ArrayFileMut::<u8, _>::create(&path, (10, 100)).unwrap();
    let cut = OpenOptions::new().write(true).open(&path).unwrap();
    cut.set_len(450).unwrap();
    let truncated = |kind: &ErrorKind| {
        matches!(kind, ErrorKind::FileTruncated { expected: 1000, found: 450, .. })
    };
    refused(file.write(s![9, ..], &Array1::ones(100)), &path, truncated);
    refused(file.write(s![0, ..], &Array1::ones(100)), &path, truncated);
    assert_eq!(fs::read(&path).unwrap(), [0; 450]);
    refused(file.flush(), &path, truncated);
    cut.set_len(1000).unwrap();
    refused(file.flush(), &path, |kind| matches!(kind, ErrorKind::PreviousFlushFailed { .. }));
    refused(file.close(), &path, |kind| matches!(kind, ErrorKind::PreviousFlushFailed { .. }));
}

/// A read that returns elements has not seen the zeros of a truncated page.
#[test]
fn truncation_during_reads_never_returns_wrong_elements() {
    const LEN: usize = 1 << 20;
    let dir = dir();
    let path = dir.path().join("x");
    fs::write(&path, vec![1; LEN]).unwrap();
    let file = ArrayFile::<u8, _>::open(&path, LEN).unwrap();
    let other = OpenOptions::new().write(true).open(&path).unwrap();
    for round in 0..300 {
        fs::write(&path, vec![1; LEN]).unwrap();
        let started = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !started.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                other.set_len((round * 7919 % LEN) as u64).unwrap();
            });
            started.store(true, Ordering::Relaxed);
            for _ in 0..4 {
                match file.read(s![..;1 + round % 2 * 6]) {
                    Ok(elements) => assert!(elements.iter().all(|&x| x == 1), "round {round}"),
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::FileTruncated { .. }), "{error}");
                    }
                }
            }
        });
    }
}

#[test]
fn replaced_files_are_read_as_they_were_and_reported_by_flushes() {
    let dir = dir();
    let (path, new) = (dir.path().join("x"), dir.path().join("new"));
    fs::write(&path, [1, 2, 3]).unwrap();
    fs::write(&new, [4, 5, 6]).unwrap();
    let file = ArrayFileMut::<u8, _>::open(&path, 3).unwrap();
    fs::rename(&new, &path).unwrap();
    assert_eq!(file.read_all().unwrap(), array![1, 2, 3]);
    // The fallback does not recognize replaced files.
    #[cfg(all(unix, not(ndarray_mmap_portable)))]
    refused(file.flush(), &path, |kind| matches!(kind, ErrorKind::FileReplaced { .. }));
}

/// A writer excludes all others, whether they map the file or not; readers admit readers.
#[test]
fn writers_exclude_others() {
    let dir = dir();
    let path = dir.path().join("x");
    fs::write(&path, [1, 2, 3]).unwrap();
    let open = || ArrayFile::<u8, _>::open(&path, 3);
    let open_mut = || ArrayFileMut::<u8, _>::open(&path, 3);
    // SAFETY: a writer is refused while a reader maps the file.
    let map = || unsafe { MmapArray::<u8, _>::open(&path, 3) };
    // SAFETY: others are refused while the file is mapped for writing.
    let map_mut = || unsafe { MmapArrayMut::<u8, _>::open(&path, 3) };
    let for_reading =
        |kind: &ErrorKind| matches!(kind, ErrorKind::AlreadyMapped { writable: false, .. });
    let for_writing =
        |kind: &ErrorKind| matches!(kind, ErrorKind::AlreadyMapped { writable: true, .. });

    let readers = (open().unwrap(), open().unwrap(), map().unwrap());
    refused(open_mut(), &path, for_writing);
    refused(map_mut(), &path, for_writing);
    drop(readers);
    let writer = open_mut().unwrap();
    refused(open(), &path, for_reading);
    refused(map(), &path, for_reading);
    refused(open_mut(), &path, for_writing);
    refused(map_mut(), &path, for_writing);
    refused(ArrayFileMut::<u8, _>::create(&path, 3), &path, for_reading);
    let reader = options().lock(LockPolicy::Off).open_file::<u8, _>(&path, 3).unwrap();
    writer.write(s![1], &arr0(9)).unwrap();
    assert_eq!(reader.read_all().unwrap(), array![1, 9, 3]);
    drop(reader);
    let reader = writer.freeze().unwrap();
    assert_eq!(open().unwrap().read_all().unwrap(), reader.read_all().unwrap());
    drop(reader);
    let mapped = map_mut().unwrap();
    refused(open(), &path, for_reading);
    drop(mapped);
    // Another process, as far as the lock is concerned.
    let other = fs::File::open(&path).unwrap();
    let reader = options().lock(LockPolicy::Required).open_file::<u8, _>(&path, 3).unwrap();
    assert!(other.try_lock().is_err() && other.try_lock_shared().is_ok());
    drop(reader);
    refused(open_mut(), &path, |kind| matches!(kind, ErrorKind::Locked { exclusive: true, .. }));
}

#[test]
fn created_files_are_those_of_mapped_arrays() {
    let dir = dir();
    let (path, mapped) = (dir.path().join("x.npy"), dir.path().join("mapped.npy"));
    let elements = Array::range(0.0, 6.0, 1.0).into_shape_with_order((2, 3)).unwrap();
    for order in [Order::C, Order::F] {
        let shape = || (2, 3).set_f(order == Order::F);
        let file = ArrayFileMut::<f64, _>::create_npy(&path, shape()).unwrap();
        assert_eq!(file.read_all().unwrap(), Array2::<f64>::zeros((2, 3)));
        file.write_all(&elements).unwrap();
        file.close().unwrap();
        // SAFETY: nothing else uses the file.
        let mut other = unsafe { MmapArrayMut::<f64, _>::create_npy(&mapped, shape()) }.unwrap();
        other.assign(&elements);
        other.close().unwrap();
        assert_eq!(fs::read(&path).unwrap(), fs::read(&mapped).unwrap());
        let read = ArrayFile::<f64, Ix2>::open_npy(&path).unwrap().read_all().unwrap();
        assert_eq!((read.is_standard_layout(), read), (order == Order::C, elements.clone()));
    }
    refused(ArrayFileMut::<u8, _>::create_new(&path, 3), &path, |kind| {
        matches!(kind, ErrorKind::Io { .. })
    });
    refused(options().offset(8).create_file_npy::<u8, _>(&path, 3), &path, |kind| {
        matches!(kind, ErrorKind::Unsupported { .. })
    });
    let raw = dir.path().join("raw");
    options().offset(3).create_file::<u32, _>(&raw, 2).unwrap().close().unwrap();
    assert_eq!(fs::read(&raw).unwrap(), [0; 11]);
}

#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
#[test]
fn disk_space_of_new_files_is_reserved() {
    use std::os::unix::fs::MetadataExt;
    let dir = dir();
    let path = dir.path().join("x");
    let blocks = |sparse| {
        let file = options().sparse(sparse).create_file::<u8, _>(&path, 1 << 20).unwrap();
        file.close().unwrap();
        fs::metadata(&path).unwrap().blocks() * 512
    };
    assert!(blocks(false) >= 1 << 20 && blocks(true) < 1 << 20);
    refused(ArrayFileMut::<u8, _>::create(&path, 1 << 60), &path, |kind| {
        matches!(
            kind,
            ErrorKind::StorageFull { .. } | ErrorKind::FileSizeLimit { .. } | ErrorKind::Io { .. }
        )
    });
    assert_eq!(names(&dir), ["x"]);
}

#[test]
fn atomic_files_appear_when_they_are_complete() {
    let dir = dir();
    let path = dir.path().join("x");
    fs::write(&path, [1, 2]).unwrap();
    let pending = options().create_file_atomic::<u8, _>(&path, 3).unwrap();
    pending.write_all(&array![7, 8, 9]).unwrap();
    assert_eq!(pending.read(s![1]).unwrap()[()], 8);
    assert_eq!(fs::read(&path).unwrap(), [1, 2]);
    drop(pending);
    assert_eq!((fs::read(&path).unwrap(), names(&dir).len()), (vec![1, 2], 1));
    let pending = options().create_file_atomic::<u8, _>(&path, 3).unwrap();
    pending.write_all(&array![7, 8, 9]).unwrap();
    let file = pending.commit().unwrap();
    assert_eq!(fs::read(&path).unwrap(), [7, 8, 9]);
    file.write(s![0], &arr0(6)).unwrap();
    assert_eq!((fs::read(&path).unwrap(), names(&dir).len()), (vec![6, 8, 9], 1));

    // The file to replace is in use: nothing is lost, and the commit can be repeated.
    let pending = options().create_file_atomic::<u8, _>(&path, 1).unwrap();
    let failure = pending.commit().unwrap_err();
    assert!(matches!(failure.error.kind(), ErrorKind::AlreadyMapped { .. }), "{failure}");
    drop(file);
    failure.array.commit().unwrap();
    assert_eq!(fs::read(&path).unwrap(), [0]);
}

#[test]
fn slices_out_of_bounds_panic_as_those_of_ndarray() {
    let dir = dir();
    let path = dir.path().join("x");
    fs::write(&path, [0; 12]).unwrap();
    let file = ArrayFile::<u8, _>::open(&path, (3, 4)).unwrap();
    let array = file.read_all().unwrap();
    let dynamic = ArrayFile::<u8, _>::open(&path, IxDyn(&[3, 4])).unwrap();
    let panics =
        |work: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_err();
    macro_rules! check {
        ($($slice:expr, $text:literal;)*) => {$(
            panics(&|| assert!(array.slice($slice).is_empty()));
            let payload = panics(&|| assert!(file.read($slice).is_err()));
            let text = payload.downcast_ref::<String>().cloned().unwrap_or_default();
            assert!(text.contains($text), "{text}");
        )*};
    }
    check! {
        s![3, ..], "index 3 of the slice is out of bounds for axis 0 of length 3";
        s![-4, ..], "index -4 of the slice is out of bounds for axis 0 of length 3";
        s![.., ..5], "end 5 of the slice is out of bounds for axis 1 of length 4";
        s![.., 5..], "start 5 of the slice is out of bounds for axis 1 of length 4";
        s![.., -5..], "start -5 of the slice is out of bounds for axis 1 of length 4";
    }
    panics(&|| drop(dynamic.read([ndarray::SliceInfoElem::Index(0)].as_slice())));
}

#[test]
fn debug_output_states_the_properties() {
    let dir = dir();
    let path = dir.path().join("x");
    fs::write(&path, [0; 12]).unwrap();
    let text =
        format!("{:?}", options().offset(4).open_file_mut::<u8, _>(&path, (2, 4).f()).unwrap());
    for part in ["ArrayFileMut", "\"", "u8", "[2, 4]", "order: F", "offset: 4"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn arrays_can_be_shared_between_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<ArrayFile<f64, Ix2>>();
    is_shared::<ArrayFileMut<f64, IxDyn>>();
    is_shared::<ndarray_mmap::ArrayFilePending<u8, Ix1>>();
}
