//! Flushing of whole arrays and views, closing, and the state after a failure.

use std::fs;

use ndarray::prelude::*;
use ndarray_mmap::{ErrorKind, MmapArrayMut, MmapArrayOptions};

use crate::support::*;

#[test]
fn every_form_of_flush_succeeds() {
    let dir = dir();
    let path = dir.path().join("new.npy");
    let mut array =
        create_npy_with::<f64, _>(&MmapArrayOptions::new(), &path, (1000, 100)).unwrap();
    for row in 0..10 {
        array.slice_mut(s![row * 100..(row + 1) * 100, ..]).fill(row as f64);
        array.start_writeback_view(&array.slice(s![row * 100..(row + 1) * 100, ..])).unwrap();
    }
    array.flush_view(&array.slice(s![..500, ..])).unwrap();
    array.flush_view(&array.slice(s![.., 7])).unwrap();
    array.flush_view(&array.slice(s![3..3, ..])).unwrap();
    array.start_writeback().unwrap();
    array.flush().unwrap();
    array.release().unwrap();
    assert_eq!(array.sum(), 450.0 * 100.0 * 10.0);
    refused(array.flush_view(&array![1.0]), &path, |kind| {
        matches!(kind, ErrorKind::ForeignView { .. })
    });
    array.close().unwrap();
    let again = read_npy_with::<f64, Ix2>(&MmapArrayOptions::new(), &path).unwrap();
    assert_eq!(again.sum(), 450_000.0);
}

#[test]
fn empty_arrays_flush() {
    let dir = dir();
    let array = create::<f64, _>(&dir.path().join("empty"), (0, 5)).unwrap();
    array.start_writeback().unwrap();
    array.prefetch().unwrap();
    array.release().unwrap();
    array.flush().unwrap();
    array.close().unwrap();
    MmapArrayMut::<f64, _>::scratch(0).unwrap().close().unwrap();
}

#[test]
fn truncated_file_fails_every_flush() {
    let dir = dir();
    let path = counting(&dir, 0, 10_000);
    let array = write::<f64, _>(&path, 10_000).unwrap();
    array.flush().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(40_000).unwrap();
    refused(array.flush(), &path, |kind| {
        matches!(kind, ErrorKind::FileTruncated { expected: 80_000, found: 40_000, .. })
    });
    // Not "an earlier flush failed, save the data": reading all of them would end the process.
    refused(array.flush(), &path, |kind| matches!(kind, ErrorKind::FileTruncated { .. }));
    file.set_len(80_000).unwrap();
    refused(array.flush(), &path, |kind| matches!(kind, ErrorKind::PreviousFlushFailed { .. }));
    refused(array.flush_view(&array.slice(s![..10])), &path, |kind| {
        matches!(kind, ErrorKind::PreviousFlushFailed { .. })
    });
    refused(array.close(), &path, |kind| matches!(kind, ErrorKind::PreviousFlushFailed { .. }));
}

#[test]
fn truncated_pending_file_is_not_committed() {
    let dir = dir();
    let path = dir.path().join("never");
    let pending = atomic_with::<f64, _>(&MmapArrayOptions::new(), &path, 1000).unwrap();
    let temporary = dir.path().join(&names(&dir)[0]);
    let file = fs::OpenOptions::new().write(true).open(&temporary).unwrap();
    file.set_len(10).unwrap();
    let failure = pending.commit().unwrap_err();
    assert!(matches!(failure.error.kind(), ErrorKind::FileTruncated { .. }));
    file.set_len(8_000).unwrap();
    let failure = failure.array.commit().unwrap_err();
    assert!(matches!(failure.error.kind(), ErrorKind::PreviousFlushFailed { .. }));
    drop(failure);
    assert_eq!(names(&dir), [""; 0]);
}

#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn flush_reports_replaced_or_removed_file() {
    let dir = dir();
    let path = counting(&dir, 0, 100);
    let mut array = write::<f64, _>(&path, 100).unwrap();
    array.fill(3.0);
    let moved = dir.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    let replaced = |kind: &ErrorKind| matches!(kind, ErrorKind::FileReplaced { .. });
    refused(array.flush(), &path, replaced);
    fs::write(&path, "another file").unwrap();
    refused(array.flush(), &path, replaced);
    fs::rename(&moved, &path).unwrap();
    array.flush().unwrap();
    fs::remove_file(&path).unwrap();
    refused(array.close(), &path, replaced);
}

/// Reading what a truncation took ends the process, so no message may send anyone there.
#[test]
fn flush_errors_contain_a_remedy() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    let array = write::<f64, _>(&path, 10).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(8).unwrap();
    for _ in 0..2 {
        let message = array.flush().unwrap_err().to_string();
        assert!(
            message
                .contains("the array ends at byte 80, the file at 8; restore the file and open it"),
            "{message}"
        );
        assert!(message.contains("raises SIGBUS") && !message.contains("to_mmap"), "{message}");
    }
    file.set_len(80).unwrap();
    let message = array.flush().unwrap_err().to_string();
    assert!(
        message.contains("while the array is open") && message.contains("`to_mmap`"),
        "{message}"
    );
}

/// The directory of a new file is flushed with it. That it had gone was once taken for a failure of the flush, after
/// which nothing of the array could be flushed any more.
#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn removed_directory_does_not_fail_flush() {
    let dir = dir();
    let (inner, moved) = (dir.path().join("inner"), dir.path().join("moved"));
    let path = inner.join("new");
    fs::create_dir(&inner).unwrap();
    let array = create::<f64, _>(&path, 100).unwrap();
    fs::rename(&inner, &moved).unwrap();
    let replaced = |kind: &ErrorKind| matches!(kind, ErrorKind::FileReplaced { .. });
    refused(array.flush(), &path, replaced);
    refused(array.flush(), &path, replaced);
    fs::rename(&moved, &inner).unwrap();
    array.flush().unwrap();
    fs::remove_dir_all(&inner).unwrap();
    refused(array.flush(), &path, replaced);
    refused(array.close(), &path, replaced);
}

/// Flushing a part of a file must not write the rest of it.
#[test]
#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
fn flush_view_writes_only_the_view() {
    let dir = dir();
    let path = dir.path().join("new");
    let mut array = create::<u8, _>(&path, 1 << 20).unwrap();
    let dirty = || kib_of_map(&path, "Private_Dirty:");
    array.flush().unwrap(); // a new file's first flush is a whole one
    array.fill(1);
    assert_eq!(dirty(), 1024);
    array.flush_view(&array.slice(s![..4096])).unwrap();
    assert!(dirty() > 512, "{} kB", dirty());
}

/// Syncing a directory takes the right to read it, which making files in it does not. Then all of the file system is synced,
/// as `tests/privileged.sh` shows.
#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn unreadable_directory_does_not_fail_flush() {
    use std::os::unix::fs::PermissionsExt;
    as_nobody(|| {
        let dir = dir();
        let path = dir.path().join("new");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o333)).unwrap();
        assert!(fs::read_dir(dir.path()).is_err());
        let array = create::<f64, _>(&path, 100).unwrap();
        array.flush().unwrap();
        array.flush().unwrap();
        drop(array);
        let pending = atomic_with::<f64, _>(&MmapArrayOptions::new(), &path, 100).unwrap();
        pending.commit().unwrap().close().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    });
}

/// The kernel reports a lost write once, to the first thread that syncs. The others must not
/// report success.
/// `NDARRAY_MMAP_FAILING_DISK` is a directory that claims more space than it has.
#[test]
#[ignore = "needs a disk that fails: tests/privileged.sh"]
fn failed_write_is_reported_to_every_thread() {
    let directory = std::env::var_os("NDARRAY_MMAP_FAILING_DISK").unwrap();
    let path = std::path::Path::new(&directory).join("new");
    let mut array = create::<u64, _>(&path, 3 << 20).unwrap();
    array.flush().unwrap();
    array
        .iter_mut()
        .zip(0_u64..)
        .for_each(|(value, i)| *value = i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let start = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        let flush = || {
            start.wait();
            array.flush()
        };
        let threads = [0, 1, 2, 3].map(|_| scope.spawn(flush));
        assert!(threads.into_iter().all(|thread| thread.join().unwrap().is_err()));
    });
    assert!(array.flush().is_err());
    assert!(array.flush_view(&array.slice(s![..512])).is_err());
}
