//! Failing system calls: `tests/inject.sh` runs these tests under strace, which injects the errors.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ndarray::prelude::*;
use ndarray_mmap::{
    ArrayAppender, ArrayFile, ArrayFileMut, ErrorKind, LockPolicy, MmapArrayOptions, NpyHeader,
    Result, prelude::*,
};

use super::child::{listen, say};
use crate::support::*;

/// Waits until calls fail. Returns the directory in which they fail.
fn begin() -> PathBuf {
    let dir = PathBuf::from(std::env::var_os("NDARRAY_MMAP_INJECTED").expect("a directory"));
    // The script lets this thread go on when it has attached itself.
    say(&format!("thread {}", rustix::thread::gettid().as_raw_nonzero()));
    assert_eq!(listen().as_deref(), Some("go"));
    dir
}

/// Creates the directory as `begin` does, with a file that contains `len` ones.
fn begin_with_ones(len: usize) -> PathBuf {
    let path = begin().join("table.raw");
    std::fs::write(&path, vec![1; len]).unwrap();
    path
}

/// A file system that has no locks.
#[test]
#[ignore = "needs system calls that fail: tests/inject.sh"]
fn missing_lock_support_is_ignored_unless_required() {
    let path = begin_with_ones(64);
    let with = |policy| MmapArrayOptions::new().lock(policy);
    for mode in MODES {
        let look = |policy| {
            look_raw::<u8, _>(&with(policy), mode, &path, 64, |view| assert_eq!(view.sum(), 64))
        };
        look(LockPolicy::BestEffort).unwrap();
        refused(look(LockPolicy::Required), &path, |kind| matches!(kind, ErrorKind::Io { .. }));
        look(LockPolicy::Off).unwrap();
    }
    create_with::<u8, _>(&with(LockPolicy::BestEffort), &path, 64).unwrap().close().unwrap();
    refused(create_with::<u8, _>(&with(LockPolicy::Required), &path, 64), &path, |kind| {
        matches!(kind, ErrorKind::Io { .. })
    });
}

/// Locks that fail where there are some are errors: another may hold one.
#[test]
#[ignore = "needs system calls that fail: tests/inject.sh"]
fn failing_lock_is_an_error() {
    let path = begin_with_ones(64);
    for policy in [LockPolicy::BestEffort, LockPolicy::Required] {
        let result = write_with::<u8, _>(&MmapArrayOptions::new().lock(policy), &path, 64);
        refused(result, &path, |kind| matches!(kind, ErrorKind::Io { .. }));
    }
}

/// Another holds a lock, and a signal comes while it is asked for.
#[test]
#[ignore = "needs system calls that fail: tests/inject.sh"]
fn interrupted_lock_is_retried() {
    let path = begin_with_ones(64);
    let other = std::fs::File::open(&path).unwrap();
    // Every second call is interrupted.
    while other.lock().is_err() {}
    let result = write::<u8, _>(&path, 64);
    refused(result, &path, |kind| matches!(kind, ErrorKind::Locked { .. }));
    drop(other);
    drop(write::<u8, _>(&path, 64).unwrap());
}

/// Every second call is interrupted.
#[test]
#[ignore = "needs system calls that fail: tests/inject.sh"]
fn interrupted_reads_and_writes_are_retried() {
    let dir = begin();
    write_and_read(&dir).unwrap();
    append_rows(&dir, &mut 0).unwrap();
}

#[test]
#[ignore = "needs system calls that fail: tests/inject.sh"]
fn failed_reads_and_writes_name_the_position() {
    let path = begin_with_ones(64);
    let options = MmapArrayOptions::new().offset(3);
    let file = options.open_file_mut::<u8, _>(&path, (5, 10)).unwrap();
    let results = [
        file.read_all().map(drop),
        file.read(s![2, ..]).map(drop),
        file.write(s![4, 7], &arr0(2)),
        file.chunked().mean().map(drop),
        file.chunked().std_axis(Axis(0), 0.0).map(drop),
        file.chunked().map(|&x| f64::from(x)).quantile(0.5, Default::default()).map(drop),
        file.chunked().par_for_each(drop),
    ];
    let texts = [
        "cannot read at byte 3: ",
        "cannot read at byte 23: ",
        "cannot write at byte 50: ",
        "cannot read at byte 3: ",
        "cannot read at byte 3: ",
        "cannot read at byte 3: ",
        "cannot read at byte 3: ",
    ];
    for (result, text) in results.into_iter().zip(texts) {
        let error = result.unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert!(error.io_error().is_some_and(|error| error.raw_os_error() == Some(5)), "{error}");
    }
}

/// How long the file is, is looked at under the lock: who kept to it may have cut the file before.
#[test]
#[ignore = "needs system calls that take long: tests/inject.sh"]
fn file_truncated_while_locking_is_too_short() {
    let path = begin_with_ones(1 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(200));
            std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1_000).unwrap();
        });
        let result = read::<u8, _>(&path, 1 << 20);
        refused(result, &path, |kind| matches!(kind, ErrorKind::TooShort { found: 1_000, .. }));
    });
}

/// Some FUSE file systems have no shared mappings. To read, a private one does as well.
#[test]
#[ignore = "needs system calls that fail: tests/inject.sh"]
fn missing_shared_mappings_are_emulated() {
    let path = begin_with_ones(4096);
    let array = read::<u8, _>(&path, 4096).unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with("table.raw")).unwrap();
    assert!(line.contains(" r--p "), "{line}");
    assert_eq!(array.chunked().memory_limit(16 << 20).sum().unwrap(), 4096);
    array.release().unwrap();
    assert!(array.iter().all(|&one| one == 1));
}

/// Old kernels and some file systems cannot rename a file only if the name is free. A link and a removal do the same.
#[test]
#[ignore = "needs system calls that fail: tests/inject.sh"]
fn missing_rename_noreplace_is_emulated() {
    let dir = begin();
    let (path, new) = (dir.join("table.npy"), MmapArrayOptions::new().create_new(true));
    create_npy_with::<u8, _>(&new, &path, 64).unwrap().close().unwrap();
    refused(create_npy_with::<u8, _>(&new, &path, 1), &path, |kind| {
        matches!(kind, ErrorKind::Io { .. })
    });
    assert_eq!(read_npy_with::<u8, Ix1>(&MmapArrayOptions::new(), &path).unwrap().len(), 64);
    let names: Vec<_> =
        std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["table.npy"]);
}

/// Where no file can be made without a name, one is made and its name taken away.
#[test]
#[ignore = "needs system calls that fail: tests/inject.sh"]
fn missing_o_tmpfile_is_emulated() {
    let dir = begin();
    let mut array = MmapArrayOptions::new().scratch_in::<u8, _>(&dir, 100).unwrap();
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    array.fill(1);
    assert_eq!(array.iter().map(|&value| u32::from(value)).sum::<u32>(), 100);
}

/// NFS keeps a name as long as the file is open.
#[test]
#[ignore = "needs system calls that do nothing: tests/inject.sh"]
fn failed_unlink_of_scratch_file_is_an_error() {
    let dir = begin();
    let error = MmapArrayOptions::new().scratch_in::<u8, _>(&dir, 100).unwrap_err();
    assert!(error.to_string().contains("its file system keeps a name for the file"), "{error}");
    assert_eq!(error.path(), Some(&*dir));
    let names = std::fs::read_dir(&dir).unwrap();
    names.for_each(|entry| std::fs::rename(entry.unwrap().path(), dir.join("table.npy")).unwrap());
}

/// The disk space is taken all the same.
#[test]
#[ignore = "needs system calls that fail: tests/inject.sh"]
fn missing_fallocate_is_emulated() {
    let path = begin().join("table.raw");
    let mut array = create::<u8, _>(&path, 3 << 20).unwrap();
    assert!(std::fs::metadata(&path).unwrap().blocks() * 512 >= 3 << 20);
    assert!(array.iter().all(|&value| value == 0));
    array.fill(1);
    array.close().unwrap();
}

/// Chunked operations run on one thread.
#[test]
#[ignore = "needs system calls that fail: tests/inject.sh"]
fn missing_threads_do_not_fail_operations() {
    let path = begin().join("table.raw");
    let mut array = create::<u64, _>(&path, 1 << 20).unwrap();
    array.chunked_mut().par_for_each(|mut chunk| chunk.fill(7)).unwrap();
    assert_eq!(array.chunked().sum().unwrap(), 7 << 20);
    assert_eq!(
        array.chunked().quantile(0.5, ndarray_mmap::stats::Interpolation::Lower).unwrap(),
        7
    );
}

type Step = fn(&Path) -> Result<()>;

/// Creates, writes, flushes, renames, opens, reads in chunks and removes files. Each step may fail with
/// an error of this crate. Results of steps that succeed must be right, and no flush may succeed after
/// one that failed.
#[test]
#[ignore = "needs system calls that fail: tests/inject.sh"]
fn every_failed_call_is_an_error_or_harmless() {
    let dir = begin();
    let mut failures = Vec::new();
    let steps: [(&str, Step); 7] = [
        ("create", create_and_fill),
        ("commit", commit),
        ("abandon", abandon),
        ("scratch", scratch),
        ("open", open_in_all_modes),
        ("replace", create_and_fill),
        ("write and read", write_and_read),
    ];
    for (name, step) in steps {
        if let Err(error) = step(&dir) {
            // Each error names the operation that failed, unless the file system refused earlier.
            assert!(error.to_string().len() < 1_000, "{error}");
            failures.push(format!("{name}: {error}"));
        }
    }
    say(&format!("{} failures: {failures:?}", failures.len()));
}

/// Appends rows in all ways. Whatever fails, the file is valid and contains all rows that were flushed.
#[test]
#[ignore = "needs system calls that fail: tests/inject.sh"]
fn every_failed_call_of_an_appender_is_an_error_or_harmless() {
    let dir = begin();
    let (path, mut flushed) = (dir.join("table.npy"), 0);
    let result = append_rows(&dir, &mut flushed);
    // The injected failure may still be to come.
    let check = || -> Result<bool> {
        if !path.exists() {
            return Ok(false);
        }
        let options = MmapArrayOptions::new().trailing_bytes(true);
        let rows = options.open_file_npy::<u64, Ix2>(&path)?.read_all()?;
        assert!(rows.nrows() >= flushed, "{flushed} flushed, {} found", rows.nrows());
        assert_eq!(rows, numbered(0, rows.nrows()));
        Ok(true)
    };
    let exists = check().or_else(|_| check()).unwrap();
    assert!(exists || flushed == 0);
    assert!(result.is_err() || flushed == 41_200);
    let failures: Vec<_> = result.err().iter().map(ToString::to_string).collect();
    say(&format!("{} failures: {failures:?}", failures.len()));
}

fn numbered(start: usize, count: usize) -> Array2<u64> {
    Array2::from_shape_fn((count, 2), |(i, j)| (2 * (start + i) + j) as u64)
}

/// Sets `flushed` to the number of rows that are durable.
fn append_rows(dir: &Path, flushed: &mut usize) -> Result<()> {
    let path = dir.join("table.npy");
    let mut log = ArrayAppender::<u64, Ix2>::create_npy(&path, 2)?;
    // In the buffer; more than the buffer, contiguous and not; again in the buffer.
    log.append(&numbered(0, 100))?;
    log.flush()?;
    *flushed = 100;
    log.append(&numbered(100, 20_000))?;
    let columns = numbered(20_100, 20_000).t().as_standard_layout().into_owned();
    log.append(&columns.t())?;
    for i in 0..1_000 {
        log.push(&numbered(40_100 + i, 1).row(0))?;
    }
    if let Err(first) = log.flush() {
        // A full disk may have space later.
        match log.flush() {
            Ok(()) => *flushed = 41_100,
            Err(again) => assert!(
                matches!(again.kind(), ErrorKind::PreviousFlushFailed { .. }),
                "{first}, then {again}"
            ),
        }
        return Err(first);
    }
    *flushed = 41_100;
    log.close()?;
    let mut log = ArrayAppender::<u64, Ix2>::open_npy(&path)?;
    log.append(&numbered(41_100, 100))?;
    log.close()?;
    *flushed = 41_200;
    Ok(())
}

/// The header states rows only when the disk has them.
#[test]
#[ignore = "needs system calls that fail: tests/inject.sh"]
fn failed_flush_of_rows_leaves_the_header() {
    let path = begin().join("table.npy");
    let header = NpyHeader::new(ndarray_mmap::Dtype::of::<u64>(), &[0, 2], ndarray_mmap::Order::C);
    std::fs::write(&path, header.unwrap().to_bytes().unwrap()).unwrap();
    let mut log = ArrayAppender::<u64, Ix2>::open_npy(&path).unwrap();
    log.append(&numbered(0, 100)).unwrap();
    refused(log.flush(), &path, |kind| matches!(kind, ErrorKind::Io { action: "flush", .. }));
    refused(log.flush(), &path, |kind| matches!(kind, ErrorKind::PreviousFlushFailed { .. }));
    drop(log);
    assert_eq!(NpyHeader::read(&path).unwrap().shape(), [0, 2]);
    // A program that opens the file again continues with the rows of the header.
    let mut log = ArrayAppender::<u64, Ix2>::open_npy(&path).unwrap();
    assert_eq!(log.num_rows(), 0);
    log.append(&numbered(0, 3)).unwrap();
    log.close().unwrap();
    assert_eq!(NpyHeader::read(&path).unwrap().shape(), [3, 2]);
}

/// The disk space of many rows is requested before the first of them is written.
#[test]
#[ignore = "needs system calls that fail: tests/inject.sh"]
fn rows_without_disk_space_are_not_written() {
    let path = begin().join("table.npy");
    let mut log = ArrayAppender::<u64, Ix2>::create_npy(&path, 2).unwrap();
    refused(log.append(&numbered(0, 20_000)), &path, |kind| {
        matches!(kind, ErrorKind::StorageFull { needed: 320_000, .. })
    });
    assert_eq!((std::fs::metadata(&path).unwrap().len(), log.num_rows()), (128, 0));
    log.append(&numbered(0, 20)).unwrap();
    log.close().unwrap();
    assert_eq!(NpyHeader::read(&path).unwrap().shape(), [20, 2]);
}

fn create_and_fill(dir: &Path) -> Result<()> {
    let path = dir.join("table.npy");
    let mut table = create_npy_with::<u64, _>(&MmapArrayOptions::new(), &path, (64, 1024))?;
    table.chunked_mut().chunk_len(16).par_for_each(|mut chunk| chunk.fill(7))?;
    if let Err(first) = table.flush() {
        if !matches!(first.kind(), ErrorKind::FileReplaced { .. }) {
            let again = table.flush().expect_err("a flush after one that failed");
            assert!(
                matches!(again.kind(), ErrorKind::PreviousFlushFailed { .. }),
                "{first}, then {again}"
            );
        }
        return Err(first);
    }
    table.close()
}

fn commit(dir: &Path) -> Result<()> {
    let path = dir.join("table.npy");
    let inode = |path: &Path| std::fs::metadata(path).ok().map(|metadata| metadata.ino());
    let before = inode(&path);
    let mut pending = atomic_npy_with::<u64, _>(&MmapArrayOptions::new(), &path, (64, 1024))?;
    pending.fill(7);
    pending.commit().map(drop).map_err(|failure| {
        // The old file keeps its name, unless only the directory could not be flushed.
        let error = failure.error;
        let is_named = inode(&path) != before;
        assert_eq!(
            is_named,
            error.to_string().contains("flush the directory of the new file"),
            "{error}"
        );
        error
    })
}

/// A file that is never committed, which would have had to be a new one.
fn abandon(dir: &Path) -> Result<()> {
    let mut pending =
        atomic_with::<u64, _>(&MmapArrayOptions::new().create_new(true), &dir.join("never"), 100)?;
    pending.fill(7);
    drop(pending);
    let (path, new) = (dir.join("new"), MmapArrayOptions::new().create_new(true).sparse(true));
    // Where it fails nothing may be left.
    create_with::<u64, _>(&new, &path, 100).map(drop)?;
    let _ = std::fs::remove_file(&path);
    Ok(())
}

/// A file that is not mapped.
fn write_and_read(dir: &Path) -> Result<()> {
    let path = dir.join("table.npy");
    let table = ArrayFileMut::<u64, _>::create_npy(&path, (64, 1024))?;
    table.write_all(&Array2::from_elem((64, 1024), 5))?;
    table.write(s![.., ..;512], &Array2::from_elem((64, 2), 7))?;
    table.close()?;
    let table = ArrayFile::<u64, Ix2>::open_npy(&path)?;
    assert_eq!(table.read_all()?.sum(), (5 << 16) + 2 * 128);
    assert_eq!(table.chunked().sum()?, (5 << 16) + 2 * 128);
    assert_eq!(table.chunked().map(|&x| x as f64).max_axis(Axis(0))?.sum(), 5.0 * 1024.0 + 4.0);
    assert_eq!(
        table.read(s![..;-7, 512..514])?,
        Array2::from_shape_fn((10, 2), |i| 7 - 2 * i.1 as u64)
    );
    Ok(())
}

fn scratch(dir: &Path) -> Result<()> {
    let mut array = MmapArrayOptions::new().scratch_in::<u64, _>(dir, 64 << 10)?;
    array.chunked_mut().par_for_each(|mut chunk| chunk.fill(1))?;
    array.release()?;
    assert_eq!(array.chunked().memory_limit(8 << 20).sum()?, 64 << 10);
    array.flush()
}

fn open_in_all_modes(dir: &Path) -> Result<()> {
    let path = dir.join("table.npy");
    let options = MmapArrayOptions::new().lock(LockPolicy::Required);
    let sum = read_npy_with::<u64, Ix2>(&options, &path)?.chunked().memory_limit(8 << 20).sum()?;
    // A file that was created and not filled has zeros.
    assert!(sum == 7 << 16 || sum % (7 << 14) == 0, "{sum}");
    let mut private = cow_npy_with::<u64, Ix2>(&options, &path)?;
    private.fill(1);
    assert_eq!(private.chunked().sum()?, 1 << 16);
    drop(private);
    let table = write_npy_with::<u64, Ix2>(&options, &path)?;
    table.start_writeback()?;
    table.flush_view(&table.slice(s![..8, ..]))?;
    table.freeze().map(drop).map_err(|failure| failure.error)
}
