//! Files to which rows are appended: errors, locks, what is in the file when, and files of other
//! programs.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use ndarray::{ShapeBuilder, prelude::*};
use ndarray_mmap::{
    ArrayAppender, ArrayFile, ArrayFileMut, Dtype, ErrorKind, LockPolicy, MmapArrayOptions,
    NpyHeader, Order,
};

use crate::support::*;

type Log = ArrayAppender<f64, Ix2>;

fn options() -> MmapArrayOptions {
    MmapArrayOptions::new()
}

/// Returns rows with the numbers of their elements, from row `start` on.
fn rows(start: usize, count: usize) -> Array2<f64> {
    Array2::from_shape_fn((count, 3), |(i, j)| (3 * (start + i) + j) as f64)
}

/// Creates a file with so many rows.
fn create_log(path: &Path, count: usize) {
    let mut log = Log::create_npy(path, 3).unwrap();
    log.append(&rows(0, count)).unwrap();
    log.close().unwrap();
}

fn read_log(path: &Path) -> Array2<f64> {
    ArrayFile::open_npy(path).unwrap().read_all().unwrap()
}

fn extend(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn is_unsupported(text: &str) -> impl FnOnce(&ErrorKind) -> bool + '_ {
    move |kind| matches!(kind, ErrorKind::Unsupported { reason, .. } if reason.contains(text))
}

#[test]
fn arrays_that_cannot_grow_are_errors() {
    let dir = dir();
    let path = dir.path().join("x.npy");
    let open = |path: &Path| ArrayAppender::<f64, IxDyn>::open_npy(path);
    ArrayFileMut::<f64, _>::create_npy(&path, (2, 3).f()).unwrap().close().unwrap();
    refused(Log::open_npy(&path), &path, is_unsupported("Fortran order"));
    refused(NpyHeader::reserve_room(&path), &path, is_unsupported("`np.ascontiguousarray`"));
    ArrayFileMut::<f64, _>::create_npy(&path, ()).unwrap().close().unwrap();
    refused(open(&path), &path, is_unsupported("a single value"));
    refused(NpyHeader::reserve_room(&path), &path, is_unsupported("a single value"));
    ArrayFileMut::<f64, _>::create_npy(&path, (2, 3, 4)).unwrap().close().unwrap();
    refused(Log::open_npy(&path), &path, |kind| {
        matches!(kind, ErrorKind::DimensionMismatch { expected: 2, .. })
    });
    refused(ArrayAppender::<f32, Ix3>::open_npy(&path), &path, |kind| {
        matches!(kind, ErrorKind::DtypeMismatch { .. })
    });
    // One axis has both orders.
    let fortran = NpyHeader::new(Dtype::of::<f64>(), &[1], Order::F).unwrap().to_bytes().unwrap();
    fs::write(&path, [&fortran[..], &0.5_f64.to_ne_bytes()].concat()).unwrap();
    let mut log = open(&path).unwrap();
    log.push(&arr0(1.5).into_dyn()).unwrap();
    log.close().unwrap();
    let header = NpyHeader::read(&path).unwrap();
    assert_eq!((header.shape(), header.order()), (&[2][..], Order::F));
    let read = ArrayFile::<f64, Ix1>::open_npy(&path).unwrap().read_all().unwrap();
    assert_eq!(read, array![0.5, 1.5]);
}

#[test]
fn other_files_are_errors() {
    let dir = dir();
    let path = dir.path().join("x");
    let is_io = |kind: &ErrorKind| matches!(kind, ErrorKind::Io { .. });
    refused(Log::open_npy(&path), &path, is_io);
    refused(Log::open(&path, 3), &path, is_io);
    refused(NpyHeader::reserve_room(&path), &path, is_io);
    refused(Log::create_npy(dir.path(), 3), dir.path(), |kind| {
        matches!(kind, ErrorKind::NotRegularFile { .. })
    });
    fs::write(&path, "1,2,3\n").unwrap();
    refused(Log::open_npy(&path), &path, |kind| matches!(kind, ErrorKind::InvalidHeader { .. }));
    refused(Log::open(&path, 3), &path, |kind| {
        matches!(kind, ErrorKind::PartialRow { row_bytes: 24, found: 6, .. })
    });
    refused(Log::open(&path, 0), &path, is_unsupported("use an .npy file"));
    refused(Log::create(&path, 0), &path, is_unsupported("use an .npy file"));
    refused(options().offset(1).create_appender_npy::<f64, Ix2>(&path, 3), &path, |kind| {
        matches!(kind, ErrorKind::Unsupported { .. })
    });
    refused(Log::create_new_npy(&path, 3), &path, is_io);
    assert_eq!(fs::read(&path).unwrap(), b"1,2,3\n");
    create_log(&path, 2);
    refused(Log::open(&path, 3), &path, |kind| {
        matches!(
            kind,
            ErrorKind::NpyHeaderInRawFile { method: Some("ArrayAppender::open_npy"), .. }
        )
    });
    OpenOptions::new().write(true).open(&path).unwrap().set_len(128 + 47).unwrap();
    refused(Log::open_npy(&path), &path, |kind| {
        matches!(kind, ErrorKind::TooShort { needed: 48, found: 175, .. })
    });
    refused(NpyHeader::reserve_room(&path), &path, |kind| {
        matches!(kind, ErrorKind::TooShort { .. })
    });
    assert_eq!(names(&dir), ["x"]);
}

/// A file with several arrays loses none of them.
#[test]
fn arrays_that_follow_are_not_overwritten() {
    let dir = dir();
    let path = dir.path().join("x.npy");
    create_log(&path, 2);
    let one = fs::read(&path).unwrap();
    extend(&path, &one);
    let two = fs::read(&path).unwrap();
    for options in [options(), options().trailing_bytes(true)] {
        refused(
            options.open_appender_npy::<f64, Ix2>(&path),
            &path,
            is_unsupported("follows the array at byte 176"),
        );
    }
    refused(NpyHeader::reserve_room(&path), &path, is_unsupported("another .npy header"));
    assert_eq!(fs::read(&path).unwrap(), two);
    // The last one can grow.
    let last = options().offset(one.len() as u64);
    let mut log = last.open_appender_npy::<f64, Ix2>(&path).unwrap();
    log.append(&rows(2, 98)).unwrap();
    log.close().unwrap();
    assert_eq!(fs::read(&path).unwrap()[..one.len()], one);
    let grown = last.open_file_npy::<f64, Ix2>(&path).unwrap();
    assert_eq!(grown.read_all().unwrap(), rows(0, 100));
}

/// Opening changes nothing; the first write or flush removes what a killed process left.
#[test]
fn bytes_after_the_array_are_removed_by_writing() {
    let dir = dir();
    let path = dir.path().join("x.npy");
    create_log(&path, 2);
    let clean = fs::read(&path).unwrap();
    extend(&path, &[7; 1_000]);
    let longer = fs::read(&path).unwrap();
    drop(Log::open_npy(&path).unwrap());
    assert_eq!(fs::read(&path).unwrap(), longer);
    Log::open_npy(&path).unwrap().close().unwrap();
    assert_eq!(fs::read(&path).unwrap(), clean);

    extend(&path, &[7; 1_000]);
    let mut log = Log::open_npy(&path).unwrap();
    assert_eq!(log.num_rows(), 2);
    log.append(&rows(2, 1)).unwrap();
    log.close().unwrap();
    assert_eq!(read_log(&path), rows(0, 3));

    let raw = dir.path().join("x.raw");
    fs::write(&raw, [1; 24 + 23]).unwrap();
    refused(Log::open(&raw, 3), &raw, |kind| matches!(kind, ErrorKind::PartialRow { .. }));
    options().trailing_bytes(true).open_appender::<f64, Ix2>(&raw, 3).unwrap().close().unwrap();
    assert_eq!(fs::read(&raw).unwrap(), [1; 24]);
}

/// Rows are in memory, then in the file, then in its header.
#[test]
fn other_programs_see_rows_after_a_flush() {
    let dir = dir();
    let path = dir.path().join("x.npy");
    let mut log = Log::create_npy(&path, 3).unwrap();
    let len = |rows: usize| 128 + 24 * rows as u64;
    let state =
        || (fs::metadata(&path).unwrap().len(), NpyHeader::read(&path).unwrap().shape().to_vec());
    assert_eq!(state(), (len(0), vec![0, 3]));
    log.append(&rows(0, 10)).unwrap();
    log.push(&rows(10, 1).row(0)).unwrap();
    assert_eq!((state(), log.layout().shape()), ((len(0), vec![0, 3]), &[0, 3][..]));
    assert_eq!((log.num_rows(), log.shape()), (11, &[11, 3][..]));
    log.append(&rows(11, 20_000)).unwrap();
    assert_eq!((state(), log.layout().shape()), ((len(20_011), vec![0, 3]), &[20_011, 3][..]));
    log.flush().unwrap();
    assert_eq!(state(), (len(20_011), vec![20_011, 3]));
    log.push(&rows(20_011, 1).row(0)).unwrap();
    drop(log);
    assert_eq!(state(), (len(20_012), vec![20_012, 3]));
    assert_eq!(read_log(&path), rows(0, 20_012));
}

#[test]
fn appenders_and_other_users_exclude_each_other() {
    let dir = dir();
    let path = dir.path().join("x.npy");
    create_log(&path, 2);
    let is_open = |kind: &ErrorKind| matches!(kind, ErrorKind::AlreadyMapped { .. });
    for policy in [LockPolicy::Required, LockPolicy::BestEffort, LockPolicy::Off] {
        let options = options().lock(policy);
        let log = options.open_appender_npy::<f64, Ix2>(&path).unwrap();
        refused(options.open_appender_npy::<f64, Ix2>(&path), &path, is_open);
        refused(Log::open(&path, 3), &path, is_open);
        refused(write_npy_with::<f64, Ix2>(&options, &path), &path, is_open);
        if policy != LockPolicy::Off {
            refused(options.open_file_npy::<f64, Ix2>(&path), &path, is_open);
            refused(read_npy_with::<f64, Ix2>(&options, &path), &path, is_open);
            refused(options.create_appender_npy::<f64, Ix2>(&path, 3), &path, is_open);
        }
        refused(NpyHeader::reserve_room(&path), &path, is_open);
        drop(log);
        let file = options.open_file_npy_mut::<f64, Ix2>(&path).unwrap();
        refused(options.open_appender_npy::<f64, Ix2>(&path), &path, is_open);
        drop(file);
        let reader = options.open_file_npy::<f64, Ix2>(&path).unwrap();
        if policy != LockPolicy::Off {
            refused(options.open_appender_npy::<f64, Ix2>(&path), &path, is_open);
        }
        drop(reader);
    }
    // A file that is created is in use as well.
    let new = dir.path().join("new.raw");
    let mut log = Log::create(&new, 3).unwrap();
    refused(Log::open(&new, 3), &new, is_open);
    log.push(&rows(0, 1).row(0)).unwrap();
    log.close().unwrap();
    Log::open(&new, 3).unwrap().close().unwrap();
}

/// Another handle stands for another process: `flock` does not tell them apart.
#[test]
#[cfg(unix)]
fn locks_of_other_processes_are_respected() {
    let dir = dir();
    let path = dir.path().join("x.npy");
    create_log(&path, 2);
    let is_locked = |kind: &ErrorKind| matches!(kind, ErrorKind::Locked { exclusive: true, .. });
    let other = fs::File::open(&path).unwrap();
    other.lock_shared().unwrap();
    refused(Log::open_npy(&path), &path, is_locked);
    other.unlock().unwrap();
    let log = Log::open_npy(&path).unwrap();
    assert!(other.try_lock_shared().is_err());
    log.close().unwrap();
    assert!(other.try_lock().is_ok());
}

#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn truncated_and_replaced_files_are_errors() {
    let dir = dir();
    let path = dir.path().join("x.npy");
    create_log(&path, 100);
    let mut log = Log::open_npy(&path).unwrap();
    log.push(&rows(100, 1).row(0)).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let is_truncated = |kind: &ErrorKind| {
        matches!(kind, ErrorKind::FileTruncated { expected: 2_528, found: 1_000, .. })
    };
    file.set_len(1_000).unwrap();
    refused(log.flush(), &path, is_truncated);
    refused(log.append(&rows(0, 20_000)), &path, is_truncated);
    assert_eq!((file.metadata().unwrap().len(), log.num_rows()), (1_000, 101));
    drop(log);
    assert_eq!(file.metadata().unwrap().len(), 1_000, "nothing is extended with zeros");

    create_log(&path, 2);
    let mut log = Log::open_npy(&path).unwrap();
    let moved = dir.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    log.push(&rows(2, 1).row(0)).unwrap();
    refused(log.flush(), &path, |kind| matches!(kind, ErrorKind::FileReplaced { .. }));
    assert_eq!(NpyHeader::read(&moved).unwrap().shape(), [3, 3]);
    fs::rename(&moved, &path).unwrap();
    log.close().unwrap();
    assert_eq!(read_log(&path), rows(0, 3));
}

/// If the description of the elements is long, the number of rows can cross the end of a sector, so
/// that no single write can change it safely.
#[test]
fn numbers_across_sectors_need_another_header() {
    let dir = dir();
    let path = dir.path().join("x.npy");
    let element = |i: usize| (i as u64).to_ne_bytes();
    let mut crossing = 0;
    for len in 380..450 {
        let dtype = Dtype::record([("x".repeat(len).as_str(), Dtype::of::<f64>())]);
        let header = NpyHeader::new(dtype.clone(), &[0], Order::C).unwrap().to_bytes().unwrap();
        fs::write(&path, header).unwrap();
        let elements = Array1::from_shape_fn(1_234, element);
        let mut log = ArrayAppender::<[u8; 8], Ix1>::open_npy(&path).unwrap();
        let result = log.append(&elements);
        log.close().unwrap();
        if result.is_err() {
            refused(
                result,
                &path,
                |kind| matches!(kind, ErrorKind::HeaderFull { rows: 1_234, max, .. } if *max < 1_000),
            );
            crossing += 1;
            assert_eq!(NpyHeader::reserve_room(&path).unwrap().dtype(), &dtype);
            let mut log = ArrayAppender::<[u8; 8], Ix1>::open_npy(&path).unwrap();
            log.append(&elements).unwrap();
            log.close().unwrap();
        }
        let file = ArrayFile::<[u8; 8], Ix1>::open_npy(&path).unwrap();
        assert_eq!(file.read_all().unwrap(), elements);
    }
    assert!((3..30).contains(&crossing), "{crossing}");
}

/// A copy keeps permissions and the target of links, and a file with room is not copied.
#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn room_is_reserved_in_place_of_the_file() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let dir = dir();
    let path = dir.path().join("x.npy");
    let link = dir.path().join("link.npy");
    std::os::unix::fs::symlink("x.npy", &link).unwrap();
    let text = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }";
    let header = [b"\x93NUMPY\x02\0", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()];
    let data: Vec<u8> = rows(0, 2).iter().flat_map(|x| x.to_le_bytes()).collect();
    fs::write(&path, [&header.concat()[..], &data].concat()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let reader = fs::File::open(&path).unwrap();

    let header = NpyHeader::reserve_room(&link).unwrap();
    assert_eq!((header.version(), header.shape()), ((1, 0), &[2, 3][..]));
    assert_eq!(names(&dir), ["link.npy", "x.npy"]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.len()), (0o640, 128 + 48));
    assert_eq!(read_log(&path), rows(0, 2));
    assert_ne!(metadata.ino(), reader.metadata().unwrap().ino());

    NpyHeader::reserve_room(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), metadata.ino());
    let mut log = Log::open_npy(&link).unwrap();
    log.append(&rows(2, 9_999)).unwrap();
    log.close().unwrap();
    assert_eq!(read_log(&path), rows(0, 10_001));
}

#[test]
fn appenders_are_formatted_without_data() {
    let dir = dir();
    let path = dir.path().join("x.npy");
    let log = Log::create_npy(&path, 3).unwrap();
    let expected =
        format!("ArrayAppender {{ path: {path:?}, element: f64, shape: [0, 3], offset: 128 }}");
    assert_eq!(format!("{log:?}"), expected);
    fn is_shared<T: Send + Sync + std::panic::UnwindSafe>(_: &T) {}
    is_shared(&log);
}
