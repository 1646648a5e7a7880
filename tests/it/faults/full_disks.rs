//! Full disks: `NDARRAY_MMAP_SMALL_DISK` is a directory on a file system of 8 to 64 MB, which the
//! tests fill.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use ndarray::prelude::*;
use ndarray_mmap::{ArrayAppender, ArrayFile, ErrorKind, MmapArrayOptions, NpyHeader, prelude::*};

use super::child::{Child, End, is_alone, task};
use crate::support::*;

fn small_disk() -> PathBuf {
    std::env::var_os("NDARRAY_MMAP_SMALL_DISK").expect("a directory on a small disk").into()
}

/// Writes until nothing more goes in.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for step in [1 << 20, 4096, 1] {
        while file.write_all(&vec![1; step]).is_ok() {}
    }
    let _ = file.sync_all();
}

fn all_names(disk: &Path) -> Vec<String> {
    let names =
        fs::read_dir(disk).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "lost+found").collect()
}

fn no_space(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull { .. })
}

/// Rows that do not fit are not appended, neither in part nor in the header, and those in the buffer
/// are kept until there is space.
#[test]
#[ignore = "needs a small disk: tests/privileged.sh"]
fn appending_to_full_disk_appends_nothing() {
    let disk = small_disk();
    let path = disk.join("log.npy");
    let numbers = |start: u64, count: u64| Array1::from_iter(start..start + count);
    let mut log = ArrayAppender::<u64, Ix1>::create_npy(&path, ()).unwrap();
    log.append(&numbers(0, 100_000)).unwrap();
    log.flush().unwrap();
    let len = || fs::metadata(&path).unwrap().len();
    assert_eq!(len(), 128 + 800_000);
    let many = arr0(7_u64);
    refused(log.append(&many.broadcast(100 << 20).unwrap()), &path, no_space);
    assert_eq!((len(), log.num_rows()), (128 + 800_000, 100_000));
    // As many as fit, one by one.
    fill(&disk.join("rest"));
    let mut pushed = 0;
    let error = loop {
        match log.push(&arr0(100_000 + pushed)) {
            Ok(()) => pushed += 1,
            Err(error) => break error,
        }
    };
    assert!(no_space(error.kind()), "{error}");
    assert_eq!(error.path(), Some(&*path));
    refused(log.flush(), &path, no_space);
    refused(log.append(&numbers(0, 1)), &path, no_space);
    let layout = log.layout().clone();
    assert_eq!((len(), log.num_rows()), (layout.end(), 100_000 + pushed as usize));
    assert_eq!(NpyHeader::read(&path).unwrap().shape(), [100_000]);
    // With space, nothing is lost.
    fs::remove_file(disk.join("rest")).unwrap();
    log.append(&numbers(100_000 + pushed, 200_000)).unwrap();
    log.close().unwrap();
    let read = ArrayFile::<u64, Ix1>::open_npy(&path).unwrap().read_all().unwrap();
    assert_eq!(read, numbers(0, 300_000 + pushed));
    fs::remove_file(&path).unwrap();
    assert_eq!(all_names(&disk), [""; 0]);
}

/// Nothing is left of what does not fit, and a smaller one fits afterwards.
#[test]
#[ignore = "needs a small disk: tests/privileged.sh"]
fn too_large_file_is_an_error_and_is_removed() {
    let disk = small_disk();
    let path = disk.join("new");
    let options = MmapArrayOptions::new();
    // What the system reserves for itself is not to be had, and a hopeless request takes nothing.
    let stat = rustix::fs::statvfs(&disk).unwrap();
    let [available, free] =
        [stat.f_bavail, stat.f_bfree].map(|blocks| (blocks * stat.f_frsize) as usize);
    let almost = available + (free - available) / 2 + 1;
    for bytes in [almost, 65 << 20, 1 << 30, 1 << 40] {
        let result = create_with::<u8, _>(&options, &path, bytes);
        assert!(
            matches!(result.as_ref().map_err(|error| error.kind()), Err(&ErrorKind::StorageFull { needed, available: told, .. })
                if needed == bytes as u64 && told == available as u64),
            "{result:?}, of {available}"
        );
        refused(create_with::<u8, _>(&options, &path, bytes), &path, no_space);
        refused(create_npy_with::<u8, _>(&options, &path, bytes), &path, no_space);
        refused(atomic_with::<u8, _>(&options, &path, bytes), &path, no_space);
        refused(options.scratch_in::<u8, _>(&disk, bytes), &disk, no_space);
        assert_eq!(all_names(&disk), [""; 0]);
    }
    // Free space is not all that a file can have: so the last resort is the call itself.
    let mut bytes = 1_usize << 20;
    while let Ok(array) = create::<u8, _>(&path, bytes) {
        drop(array);
        bytes += 1 << 18;
    }
    refused(create::<u8, _>(&path, bytes), &path, no_space);
    assert_eq!(all_names(&disk), ["new"]);
    fs::remove_file(&path).unwrap();
    create::<u8, _>(&path, 1 << 20).unwrap().close().unwrap();
    fs::remove_file(&path).unwrap();
}

/// The space is there since the file was made.
#[test]
#[ignore = "needs a small disk: tests/privileged.sh"]
fn every_store_succeeds_after_disk_fills_up() {
    if !is_alone("faults::full_disks::every_store_succeeds_after_disk_fills_up") {
        return;
    }
    let disk = small_disk();
    let (path, rest) = (disk.join("table"), disk.join("rest"));
    for chunked in [false, true] {
        let mut table = create::<u64, _>(&path, (512, 1024)).unwrap();
        let scratch = MmapArrayOptions::new().scratch_in::<u8, _>(&disk, 1 << 20);
        fill(&rest);
        match chunked {
            true => table.chunked_mut().par_for_each(|mut chunk| chunk.fill(7)).unwrap(),
            false => table.fill(7),
        }
        scratch.unwrap().fill(1);
        table.close().unwrap();
        assert_eq!(read::<u64, _>(&path, (512, 1024)).unwrap().sum(), 7 << 19);
        fs::remove_file(&path).unwrap();
        fs::remove_file(&rest).unwrap();
    }
}

/// A sparse file has no space yet: the chunk that finds none is an error, not a signal, and nothing is lost of the others.
#[test]
#[ignore = "needs a small disk: tests/privileged.sh"]
fn chunked_operation_on_sparse_file_reports_full_disk() {
    if !is_alone("faults::full_disks::chunked_operation_on_sparse_file_reports_full_disk") {
        return;
    }
    let disk = small_disk();
    let (path, rest) = (disk.join("sparse"), disk.join("rest"));
    let mut table =
        create_with::<u64, _>(&MmapArrayOptions::new().sparse(true), &path, 512 << 10).unwrap();
    table.slice_mut(s![..8192]).fill(3);
    table.flush().unwrap();
    fill(&rest);
    let chunked = table.chunked_mut().chunk_len(8192);
    refused(chunked.par_for_each(|mut chunk| chunk.fill(7)), &path, |kind| {
        no_space(kind) || matches!(kind, ErrorKind::Io { .. })
    });
    // (On tmpfs even reading a hole takes space.)
    assert_eq!(table.slice(s![..8192]).chunked().sum().unwrap(), 7 * 8192);
    refused(
        Array1::from_elem(512 << 10, 5_u64).chunked().map_into(&mut table, |&x| x),
        &path,
        |kind| no_space(kind) || matches!(kind, ErrorKind::Io { .. }),
    );
    // With room again the same array goes on.
    fs::remove_file(&rest).unwrap();
    table.chunked_mut().par_for_each(|mut chunk| chunk.fill(7)).unwrap();
    assert_eq!(table.sum(), 7 << 19);
    table.close().unwrap();
    fs::remove_file(&path).unwrap();
}

/// What the documentation warns of: a plain store to a sparse file on a full disk ends the process.
#[test]
#[ignore = "needs a small disk: tests/privileged.sh"]
fn plain_store_to_sparse_file_on_full_disk_raises_sigbus() {
    let disk = small_disk();
    let child = Child::start("faults::full_disks::child_stores", &[disk.to_str().unwrap()]);
    assert_eq!(child.end().0, End::BUS_ERROR);
    for name in all_names(&disk) {
        fs::remove_file(disk.join(name)).unwrap();
    }
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_stores() {
    let [disk] = task().try_into().unwrap();
    let disk = Path::new(&disk);
    let mut table =
        create_with::<u8, _>(&MmapArrayOptions::new().sparse(true), &disk.join("sparse"), 4 << 20)
            .unwrap();
    fill(&disk.join("rest"));
    table.fill(1);
}
