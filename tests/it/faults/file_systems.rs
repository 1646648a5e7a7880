//! Special file systems: overlays and huge pages. `tests/privileged.sh` mounts them.

use ndarray_mmap::{ErrorKind, LockPolicy, MmapArrayOptions, prelude::*};

use super::variable;
use crate::support::*;

/// In containers: the first who opens a file of the lower layer for writing gets a copy, and who had it mapped keeps the old one.
#[test]
#[ignore = "needs an overlay: tests/privileged.sh"]
fn writing_overlaid_file_copies_it() {
    let path = variable("NDARRAY_MMAP_OVERLAY").join("counting.raw");
    let off = MmapArrayOptions::new().lock(LockPolicy::Off);
    let old = read_with::<f64, _>(&off, &path, 10).unwrap();
    let mut new = write_with::<f64, _>(&off, &path, 10).unwrap();
    new.fill(1.0);
    new.flush().unwrap();
    assert_eq!((old.sum(), old.chunked().sum().unwrap(), new.sum()), (45.0, 45.0, 10.0));
    // Both are known for the same file.
    let is_mapped = |kind: &ErrorKind| matches!(kind, ErrorKind::AlreadyMapped { .. });
    refused(write_with::<f64, _>(&off, &path, 10), &path, is_mapped);
    drop(new);
    refused(write::<f64, _>(&path, 10), &path, is_mapped);
    assert_eq!(read::<f64, _>(&path, 10).unwrap().sum(), 10.0);
    assert_eq!(old.sum(), 45.0);
}

/// Files of huge pages can only be mapped, not written to: so they have no headers.
#[test]
#[ignore = "needs a file system of four huge pages: tests/privileged.sh"]
fn hugetlbfs_files_are_mapped_as_raw() {
    let directory = variable("NDARRAY_MMAP_HUGE_PAGES");
    let path = directory.join("table.raw");
    let mut array = create::<f64, _>(&path, 1 << 19).unwrap();
    array.chunked_mut().par_for_each(|mut chunk| chunk.fill(1.0)).unwrap();
    array.flush().unwrap();
    array.release().unwrap();
    assert_eq!(array.chunked().memory_limit(16 << 20).sum().unwrap(), (1 << 19) as f64);
    drop(array);
    assert_eq!(read::<f64, _>(&path, 1 << 19).unwrap().chunked().sum().unwrap(), (1 << 19) as f64);
    // Of a part of a page as well, nothing stays mapped.
    let maps = || {
        std::fs::read_to_string("/proc/self/maps").unwrap().matches(path.to_str().unwrap()).count()
    };
    assert_eq!(maps(), 0);
    for mode in MODES {
        for len in [1000, (1 << 18) + 1] {
            look_raw::<f64, _>(&MmapArrayOptions::new(), mode, &path, len, |view| {
                assert_eq!((view.chunked().sum().unwrap(), maps()), (len as f64, 1));
            })
            .unwrap();
            assert_eq!(maps(), 0, "{len} elements");
        }
    }
    let is_io = |kind: &ErrorKind| matches!(kind, ErrorKind::Io { .. });
    let named = directory.join("table.npy");
    refused(create_npy_with::<f64, _>(&MmapArrayOptions::new(), &named, 100), &named, is_io);
    // More pages than there are.
    let many = directory.join("many.raw");
    refused(create::<f64, _>(&many, 1 << 27), &many, is_io);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
    std::fs::File::create(&many).unwrap().set_len(1 << 30).unwrap();
    refused(write::<f64, _>(&many, 1 << 27), &many, is_io);
}

/// Without permissions, anyone could have opened the file while it had its name.
#[test]
#[ignore = "needs a vfat with umask=000: tests/privileged.sh"]
fn scratch_file_accessible_by_others_is_refused() {
    let disk = variable("NDARRAY_MMAP_OPEN_DISK");
    let error = MmapArrayOptions::new().scratch_in::<u8, _>(&disk, 10).unwrap_err();
    assert!(
        error.to_string().contains("lets other users write to it; use another directory"),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(&disk).unwrap().count(), 0);
}
