//! New files: contents, names, permissions, disk space, atomicity.

use std::fs;
#[cfg(all(unix, not(ndarray_mmap_portable)))]
use std::sync::{
    Barrier,
    atomic::{AtomicBool, Ordering},
};

use ndarray::{ShapeBuilder, prelude::*};
use ndarray_mmap::{Dtype, ErrorKind, MmapArrayOptions, NpyElement, NpyHeader, Order, prelude::*};

use crate::support::*;

#[test]
fn raw_file_contains_only_the_elements() {
    let dir = dir();
    let path = dir.path().join("new.raw");
    for (options, shape, len) in [
        (MmapArrayOptions::new(), vec![10, 3], 240),
        (MmapArrayOptions::new().offset(4104), vec![10, 3], 4344),
        (MmapArrayOptions::new().sparse(true), vec![10, 3], 240),
        (MmapArrayOptions::new(), vec![], 8),
        (MmapArrayOptions::new(), vec![0, 3], 0),
        (MmapArrayOptions::new().offset(16), vec![0], 16),
    ] {
        let mut array = create_with::<f64, _>(&options, &path, IxDyn(&shape)).unwrap();
        assert_eq!(array.sum(), 0.0);
        array.fill(1.5);
        array.close().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), len, "{shape:?}");
        let again = read_with::<f64, _>(&options, &path, IxDyn(&shape)).unwrap();
        assert!(again.iter().all(|&value| value == 1.5));
        assert_eq!(names(&dir), ["new.raw"]);
    }
}

#[test]
#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
fn disk_space_is_reserved_unless_sparse() {
    use std::os::unix::fs::MetadataExt;
    let dir = dir();
    let path = dir.path().join("new.raw");
    let blocks = |options: &MmapArrayOptions| {
        let _array = create_with::<u8, _>(options, &path, 1 << 20).unwrap();
        fs::metadata(&path).unwrap().blocks()
    };
    assert!(blocks(&MmapArrayOptions::new()) * 512 >= 1 << 20);
    assert_eq!(blocks(&MmapArrayOptions::new().sparse(true)), 0);
}

/// A chunked operation prefaults pages before it changes them, which allocates disk space in a sparse
/// file, but only for these pages.
#[test]
#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
fn chunked_operations_allocate_changed_parts_of_sparse_files() {
    use ndarray_mmap::prelude::*;
    use std::os::unix::fs::MetadataExt;
    let dir = dir();
    let path = dir.path().join("new.raw");
    let mut table =
        create_with::<u8, _>(&MmapArrayOptions::new().sparse(true), &path, (256, 64 << 10))
            .unwrap();
    table.slice_mut(s![.., 70..80]).chunked_mut().par_for_each(|mut chunk| chunk.fill(1)).unwrap();
    assert_eq!(table.iter().map(|&x| usize::from(x)).sum::<usize>(), 2_560);
    let taken = fs::metadata(&path).unwrap().blocks() * 512;
    // The system itself takes it for a whole piece of its cache, of a few pages; all of the file would be 16 MiB.
    assert!((256 * 4096..8 << 20).contains(&taken), "{taken} bytes");
}

#[test]
fn npy_files_are_created_in_both_orders() {
    let dir = dir();
    let path = dir.path().join("new.npy");
    let options = MmapArrayOptions::new();
    let mut array = create_npy_with::<f32, _>(&options, &path, (3, 4).f()).unwrap();
    array[[2, 1]] = 7.0;
    assert_eq!((array.layout().order(), array.offset() % 64), (Order::F, 0));
    array.close().unwrap();
    let header = NpyHeader::read(&path).unwrap();
    assert_eq!((header.shape(), header.order(), header.version()), (&[3, 4][..], Order::F, (1, 0)));
    assert_eq!(*header.dtype(), Dtype::of::<f32>());
    let again = read_npy_with::<f32, Ix2>(&options, &path).unwrap();
    assert_eq!((again[[2, 1]], again.strides()), (7.0, &[1, 3][..]));
}

#[test]
fn npy_files_of_zero_size_or_zero_dimensions_are_created() {
    let dir = dir();
    let path = dir.path().join("new.npy");
    let options = MmapArrayOptions::new();
    for shape in [&[][..], &[0], &[0, 5], &[5, 0, 2]] {
        create_npy_with::<i16, _>(&options, &path, IxDyn(shape)).unwrap().close().unwrap();
        assert_eq!(read_npy_with::<i16, IxDyn>(&options, &path).unwrap().shape(), shape);
        write_npy_with::<i16, IxDyn>(&options, &path).unwrap().flush().unwrap();
        assert_eq!(cow_npy_with::<i16, IxDyn>(&options, &path).unwrap().sum(), 0);
    }
}

#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn readers_keep_a_replaced_file() {
    const LEN: usize = 100_000;
    let dir = dir();
    let path = dir.path().join("values.raw");
    // Now longer, now shorter.
    let len_of = |round: u64| 1 + round as usize * 7_919 % LEN;
    fs::write(&path, vec![0; len_of(0)]).unwrap();
    for round in 0..1000_u64 {
        let (value, next) = ((round % 200) as u8, ((round + 1) % 200) as u8);
        let old = read::<u8, _>(&path, len_of(round)).unwrap();
        let sum = old.len() as i128 * i128::from(value);
        let is_old =
            || old.chunked().sum().unwrap() == sum && old.iter().all(|&element| element == value);
        let (has_begun, is_done) = (Barrier::new(2), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                has_begun.wait();
                while !is_done.load(Ordering::Relaxed) {
                    assert!(is_old(), "round {round}");
                }
            });
            has_begun.wait();
            let mut new = create::<u8, _>(&path, len_of(round + 1)).unwrap();
            new.fill(next);
            is_done.store(true, Ordering::Relaxed);
            reader.join().unwrap();
        });
        assert!(is_old(), "round {round}");
    }
    assert_eq!(fs::metadata(&path).unwrap().len(), len_of(1000) as u64);
    assert_eq!(names(&dir), ["values.raw"]);
}

/// What is stored in a file that another one replaces would be lost.
#[test]
fn file_mapped_for_writing_is_not_replaced() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    let options = MmapArrayOptions::new();
    let is_mapped = |kind: &ErrorKind| matches!(kind, ErrorKind::AlreadyMapped { .. });
    let mut pending = atomic_with::<u8, _>(&options, &path, 3).unwrap();
    pending.fill(7);
    let mut old = write::<f64, _>(&path, 10).unwrap();
    refused(create::<u8, _>(&path, 3), &path, is_mapped);
    refused(create_npy_with::<u8, _>(&options, &path, 3), &path, is_mapped);
    // SAFETY: this test alone uses the directory.
    refused(unsafe { old.to_mmap(&path) }, &path, is_mapped);
    // The replacement can be created in the same directory.
    drop(atomic_with::<u8, _>(&options, &path, 3).unwrap());
    let failure = pending.commit().unwrap_err();
    assert!(is_mapped(failure.error.kind()), "{}", failure.error);
    old.fill(2.0);
    old.close().unwrap();
    assert_eq!(read::<f64, _>(&path, 10).unwrap().sum(), 20.0);
    assert_eq!(failure.array.commit().unwrap().sum(), 21);
    // Who wants no locks can do so, as in NumPy, and learns of it when he flushes.
    #[cfg(all(unix, not(ndarray_mmap_portable)))]
    {
        let off = MmapArrayOptions::new().lock(ndarray_mmap::LockPolicy::Off);
        let old = write_with::<u8, _>(&off, &path, 3).unwrap();
        create_with::<u8, _>(&off, &path, 5).unwrap().close().unwrap();
        refused(old.flush(), &path, |kind| matches!(kind, ErrorKind::FileReplaced { .. }));
        drop(old);
        let other = fs::OpenOptions::new().write(true).open(&path).unwrap();
        other.lock().unwrap();
        let is_locked = |kind: &ErrorKind| matches!(kind, ErrorKind::Locked { .. });
        refused(create::<u8, _>(&path, 3), &path, is_locked);
        let pending = atomic_with::<u8, _>(&off, &path, 3).unwrap();
        pending.commit().unwrap().close().unwrap();
    }
    assert_eq!(names(&dir), ["counting.raw"]);
}

#[test]
fn create_new_fails_if_the_file_exists() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    let options = MmapArrayOptions::new().create_new(true);
    let exists = |kind: &ErrorKind| matches!(kind, ErrorKind::Io { .. });
    refused(create_with::<f64, _>(&options, &path, 2), &path, exists);
    refused(create_npy_with::<f64, _>(&options, &path, 2), &path, exists);
    refused(atomic_with::<f64, _>(&options, &path, 2), &path, exists);
    let error: std::io::Error = create_with::<f64, _>(&options, &path, 2).unwrap_err().into();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::metadata(&path).unwrap().len(), 80);
    assert_eq!(names(&dir), ["counting.raw"]);
    create_with::<f64, _>(&options, &dir.path().join("new"), 2).unwrap().close().unwrap();
    assert_eq!(names(&dir), ["counting.raw", "new"]);
}

#[test]
fn atomic_file_appears_on_commit() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    let options = MmapArrayOptions::new();
    let mut pending = atomic_with::<f64, _>(&options, &path, 3).unwrap();
    pending.fill(2.0);
    assert_eq!(read::<f64, _>(&path, 10).unwrap().sum(), 45.0, "still the old file");
    let array = pending.commit().unwrap();
    assert_eq!((array.path(), array.sum()), (Some(&*path), 6.0));
    array.close().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 24);
    assert_eq!(names(&dir), ["counting.raw"]);
}

/// Its hidden name is not found any more; nothing is lost.
#[test]
#[cfg(unix)]
fn renamed_directory_keeps_uncommitted_file() {
    let dir = dir();
    let [before, after] = ["before", "after"].map(|name| dir.path().join(name));
    fs::create_dir(&before).unwrap();
    let path = before.join("new.raw");
    let mut pending = atomic_with::<u8, _>(&MmapArrayOptions::new(), &path, 3).unwrap();
    pending.fill(7);
    fs::rename(&before, &after).unwrap();
    let failure = pending.commit().unwrap_err();
    assert!(matches!(failure.error.kind(), ErrorKind::Io { .. }), "{}", failure.error);
    // SAFETY: this test alone uses the directory.
    assert_eq!(unsafe { failure.array.to_mmap(&dir.path().join("saved.raw")) }.unwrap().sum(), 21);
    drop(failure.array);
    let left: Vec<_> = fs::read_dir(&after).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.len() == 1 && left[0].to_str().unwrap().contains("/.ndarray-mmap-"), "{left:?}");
    assert_eq!(fs::read(&left[0]).unwrap(), [7; 3]);
}

#[test]
fn uncommitted_atomic_file_is_removed() {
    let dir = dir();
    let path = dir.path().join("never.npy");
    let mut pending = atomic_npy_with::<f64, _>(&MmapArrayOptions::new(), &path, (3, 3)).unwrap();
    pending.fill(2.0);
    assert_eq!(pending.path(), Some(&*path));
    drop(pending);
    assert_eq!(names(&dir), [""; 0]);
}

#[test]
fn failed_commit_returns_the_array() {
    let dir = dir();
    let path = dir.path().join("taken");
    let mut pending =
        atomic_with::<f64, _>(&MmapArrayOptions::new().create_new(true), &path, 3).unwrap();
    pending.fill(2.0);
    fs::write(&path, "someone was faster").unwrap();
    let failure = pending.commit().unwrap_err();
    assert_eq!(std::io::Error::from(failure.error).kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(failure.array.sum(), 6.0);
    fs::remove_file(&path).unwrap();
    let array = failure.array.commit().unwrap();
    assert_eq!(array.sum(), 6.0);
    assert_eq!(names(&dir), ["taken"]);
}

#[test]
fn impossible_sizes_leave_no_file() {
    let dir = dir();
    let path = dir.path().join("huge");
    let options = MmapArrayOptions::new();
    #[cfg(all(target_os = "linux", target_pointer_width = "64", not(ndarray_mmap_portable)))]
    {
        let exabyte = 1_usize << 60;
        let no_space = |kind: &ErrorKind| matches!(kind, ErrorKind::StorageFull { needed, .. } if *needed >= 1 << 60);
        refused(create_with::<u8, _>(&options, &path, exabyte), &path, no_space);
        refused(create_npy_with::<u8, _>(&options, &path, exabyte), &path, no_space);
        refused(atomic_with::<u8, _>(&options, &path, exabyte), &path, no_space);
        refused(options.scratch_in::<u8, _>(dir.path(), exabyte), dir.path(), no_space);
    }
    refused(create_with::<f64, _>(&options, &path, usize::MAX), &path, |kind| {
        matches!(kind, ErrorKind::TooLarge { .. })
    });
    refused(create_npy_with::<f64, _>(&options, &path, (0, usize::MAX, 2)), &path, |kind| {
        matches!(kind, ErrorKind::TooLarge { .. })
    });
    assert_eq!(names(&dir), [""; 0]);
}

#[test]
fn npy_file_requires_offset_zero() {
    let dir = dir();
    let path = dir.path().join("new.npy");
    refused(
        create_npy_with::<f64, _>(&MmapArrayOptions::new().offset(64), &path, 2),
        &path,
        |kind| matches!(kind, ErrorKind::Unsupported { .. }),
    );
    assert_eq!(names(&dir), [""; 0]);
}

#[test]
fn element_type_with_wrong_size_is_an_error() {
    #[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
    #[repr(transparent)]
    struct Liar(f32);
    impl NpyElement for Liar {
        fn dtype() -> Dtype {
            Dtype::of::<f64>()
        }
    }
    let dir = dir();
    let path = dir.path().join("new.npy");
    let options = MmapArrayOptions::new();
    let wrong_type = |kind: &ErrorKind| matches!(kind, ErrorKind::DtypeMismatch { .. });
    refused(create_npy_with::<Liar, _>(&options, &path, 2), &path, wrong_type);
    let message = create_npy_with::<Liar, _>(&options, &path, 2).unwrap_err().to_string();
    assert!(
        message.contains(
            ": dtype mismatch: expected elements of 8 bytes, as declared by `NpyElement` ("
        ),
        "{message}"
    );
    create_npy_with::<f64, _>(&options, &path, 2).unwrap().close().unwrap();
    refused(read_npy_with::<Liar, Ix1>(&options, &path), &path, wrong_type);
}

/// The type of a field alone is none that NumPy could read.
#[test]
fn array_dtype_outside_a_record_is_unsupported() {
    #[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
    #[repr(C)]
    struct Bare([f32; 3]);
    impl NpyElement for Bare {
        fn dtype() -> Dtype {
            Dtype::of::<f32>().array(&[3])
        }
    }
    #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Zeroable, bytemuck::Pod)]
    #[repr(C)]
    struct Field([f32; 3]);
    impl NpyElement for Field {
        fn dtype() -> Dtype {
            Dtype::record([("x", Dtype::of::<f32>().array(&[3]))])
        }
    }
    let dir = dir();
    let path = dir.path().join("new.npy");
    let options = MmapArrayOptions::new();
    refused(
        create_npy_with::<Bare, _>(&options, &path, 2),
        &path,
        |kind| matches!(kind, ErrorKind::Unsupported { reason, .. } if reason.contains("outside a record")),
    );
    let mut array = create_npy_with::<Field, _>(&options, &path, 2).unwrap();
    array[1] = Field([1.0, 2.0, 3.0]);
    array.close().unwrap();
    let descr = format!("[('x', '{}', (3,))]", Dtype::of::<f32>());
    assert_eq!(NpyHeader::read(&path).unwrap().dtype().descr(), descr);
    assert_eq!(read_npy_with::<Field, Ix1>(&options, &path).unwrap()[1], Field([1.0, 2.0, 3.0]));
}

/// The message names the fault of the directory and no temporary file.
#[test]
fn missing_or_unwritable_directories_are_io_errors() {
    let dir = dir();
    let file = counting(&dir, 0, 4);
    let message = |path: &std::path::Path| {
        let error = create::<u8, _>(path, 3).unwrap_err();
        let (message, name) = (error.to_string(), format!("{}: ", path.display()));
        assert!(!message.contains("ndarray-mmap-"), "{message}");
        (message.strip_prefix(&name).unwrap().to_owned(), std::io::Error::from(error).kind())
    };
    let (missing, kind) = message(&dir.path().join("no/new.raw"));
    assert!(missing.starts_with("cannot create: the directory does not exist: "), "{missing}");
    assert_eq!(kind, std::io::ErrorKind::NotFound);
    let (no_directory, kind) = message(&file.join("new.raw"));
    assert!(
        no_directory.starts_with("cannot create: the directory does not exist: "),
        "{no_directory}"
    );
    assert!(
        matches!(kind, std::io::ErrorKind::NotADirectory | std::io::ErrorKind::NotFound),
        "{kind}"
    ); // on Windows
    #[cfg(all(unix, not(ndarray_mmap_portable)))]
    as_nobody(|| {
        use std::os::unix::fs::PermissionsExt;
        let dir = crate::support::dir();
        let file = counting(&dir, 0, 4);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
        let (new, replacing) = (message(&dir.path().join("new.raw")), message(&file));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(new.0.starts_with("cannot create a file in its directory: "), "{new:?}");
        assert!(replacing.0.starts_with(
            "cannot create a file in its directory, which replacing a file \
                              requires: "
        ));
        assert_eq!(
            (new.1, replacing.1),
            (std::io::ErrorKind::PermissionDenied, std::io::ErrorKind::PermissionDenied)
        );
    });
    let scratch = MmapArrayOptions::new()
        .scratch_in::<u8, _>(dir.path().join("no"), 3)
        .unwrap_err()
        .to_string();
    assert!(
        scratch.contains("no: cannot create a scratch file in this directory: ")
            && !scratch.contains("at path")
    );
}

/// What the documentation of creating says of files that a killed process leaves.
#[test]
fn temporary_files_have_a_recognizable_name() {
    let dir = dir();
    let pending =
        atomic_with::<u8, _>(&MmapArrayOptions::new(), &dir.path().join("new.raw"), 3).unwrap();
    let [name] = &names(&dir)[..] else { panic!("one file") };
    let characters = name.strip_prefix(".ndarray-mmap-").unwrap();
    assert!(
        characters.len() == 6 && characters.chars().all(|c| c.is_ascii_alphanumeric()),
        "{name}"
    );
    drop(pending);
    assert_eq!(names(&dir), [""; 0]);
}

#[test]
#[cfg(unix)]
fn replacing_keeps_links_and_permissions() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = dir();
    let path = counting(&dir, 0, 10);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let link = dir.path().join("link");
    symlink("counting.raw", &link).unwrap();
    create::<f64, _>(&link, 2).unwrap().close().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&path).unwrap().len(), 16);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    // A dangling link leads to a new file, as for any program that creates one.
    let dangling = dir.path().join("dangling");
    symlink("target", &dangling).unwrap();
    create::<f64, _>(&dangling, 3).unwrap().close().unwrap();
    assert_eq!(fs::metadata(dir.path().join("target")).unwrap().len(), 24);
    let circle = dir.path().join("circle");
    symlink("circle", &circle).unwrap();
    refused(create::<f64, _>(&circle, 3), &circle, |kind| matches!(kind, ErrorKind::Io { .. }));
    assert_eq!(names(&dir), ["circle", "counting.raw", "dangling", "link", "target"]);
}

/// As `O_EXCL` has it: a link is there already, whether it leads to a file or not.
#[test]
#[cfg(unix)]
fn create_new_does_not_follow_links() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    let options = MmapArrayOptions::new().create_new(true);
    for (link, target) in [
        ("full", "counting.raw"),
        ("dangling", "target"),
        ("chain", "dangling"),
        ("circle", "circle"),
    ] {
        let link = dir.path().join(link);
        std::os::unix::fs::symlink(target, &link).unwrap();
        assert_eq!(
            fs::File::create_new(&link).unwrap_err().kind(),
            std::io::ErrorKind::AlreadyExists
        );
        if target != "circle" {
            let error = create_with::<u8, _>(&options, &link, 2).unwrap_err();
            assert_eq!(
                std::io::Error::from(error).kind(),
                std::io::ErrorKind::AlreadyExists,
                "{}",
                link.display()
            );
        }
        refused(atomic_with::<u8, _>(&options, &link, 2), &link, |kind| {
            matches!(kind, ErrorKind::Io { .. })
        });
    }
    assert_eq!(names(&dir), ["chain", "circle", "counting.raw", "dangling", "full"]);
    assert_eq!(fs::metadata(&path).unwrap().len(), 80);
}

/// The system follows links in `/proc` that lead to no name.
#[test]
#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
fn links_in_proc_are_not_replaced() {
    use std::os::fd::AsRawFd;
    let dir = dir();
    let (reader, _writer) = std::io::pipe().unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(format!("/proc/self/fd/{}", reader.as_raw_fd()), &link).unwrap();
    refused(create::<u8, _>(&link, 2), &link, |kind| {
        matches!(kind, ErrorKind::NotRegularFile { found: "a FIFO (named pipe)", .. })
    });
    // An open file without its name: what is there by that name now is another one.
    let path = counting(&dir, 0, 10);
    let file = fs::File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(format!("/proc/self/fd/{}", file.as_raw_fd()), &link).unwrap();
    refused(create::<u8, _>(&link, 2), &link, |kind| matches!(kind, ErrorKind::Io { .. }));
    assert_eq!(names(&dir), ["link"]);
}

/// With `fs.protected_symlinks`, the system follows no link of another user in a directory like `/tmp`. Nor does this crate,
/// whether the link leads to a file or not.
#[test]
#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
#[ignore = "needs root, and fs.protected_symlinks: tests/privileged.sh"]
fn links_of_others_are_not_followed() {
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
    assert_eq!(fs::read_to_string("/proc/sys/fs/protected_symlinks").unwrap().trim(), "1");
    let dir = dir();
    let victims = dir.path().join("victims");
    fs::create_dir(&victims).unwrap();
    fs::write(victims.join("file"), "years of work").unwrap();
    for path in [victims.clone(), victims.join("file")] {
        chown(path, Some(65_534), Some(65_534)).unwrap();
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let path = |name: &str| dir.path().join(name);
    for (link, target, owner) in [
        ("others", "victims/file", 65_533),
        ("dangling", "victims/new", 65_533),
        ("own", "victims/file", 65_534),
        ("own-dangling", "victims/other", 65_534),
        ("of-root", "victims/third", 0),
        ("to-others", "others", 65_534),
        ("to-dangling", "dangling", 65_534),
    ] {
        symlink(target, path(link)).unwrap();
        lchown(path(link), Some(owner), None).unwrap();
    }
    as_nobody(|| {
        for link in ["others", "dangling", "to-others", "to-dangling"] {
            let std = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path(link))
                .unwrap_err();
            assert_eq!(std.kind(), std::io::ErrorKind::PermissionDenied, "{link}");
            let error = create::<u8, _>(&path(link), 2).unwrap_err();
            assert_eq!(
                std::io::Error::from(error).kind(),
                std::io::ErrorKind::PermissionDenied,
                "{link}"
            );
        }
        assert_eq!(fs::read(victims.join("file")).unwrap(), b"years of work");
        assert!(!victims.join("new").exists());
        for link in ["own", "own-dangling", "of-root"] {
            create::<u8, _>(&path(link), 2).unwrap();
        }
    });
    for name in ["file", "other", "third"] {
        assert_eq!(fs::read(victims.join(name)).unwrap(), [0, 0], "{name}");
    }
}

/// With `fs.protected_regular`, the system opens no file of another user in such a directory to create it. Replaced as root, it
/// would give the data to its owner.
#[test]
#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
#[ignore = "needs root, and fs.protected_regular: tests/privileged.sh"]
fn files_of_others_are_not_replaced_in_sticky_directories() {
    use std::os::unix::fs::{PermissionsExt, chown};
    assert_ne!(fs::read_to_string("/proc/sys/fs/protected_regular").unwrap().trim(), "0");
    let dir = dir();
    let path = counting(&dir, 0, 10);
    chown(dir.path(), Some(65_534), None).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    chown(&path, Some(65_533), None).unwrap();
    let std =
        fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path).unwrap_err();
    assert_eq!(std.kind(), std::io::ErrorKind::PermissionDenied);
    let error = create::<u8, _>(&path, 2).unwrap_err();
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::PermissionDenied);
    assert_eq!(fs::metadata(&path).unwrap().len(), 80);
}

/// Between looking for writers and renaming there was once time for one to come.
#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn file_opened_for_writing_meanwhile_is_not_replaced() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    let is_there = |value: u8| fs::read(&path).is_ok_and(|bytes| bytes == [value; 80]);
    let done = AtomicBool::new(false);
    // How many arrays there were, and how many of them were replaced while they were there.
    let create_them = || {
        let (mut count, mut lost) = (0, 0);
        while !done.load(Ordering::Relaxed) {
            if let Ok(mut array) = create::<u8, _>(&path, 80) {
                array.fill(2);
                (count, lost) = (count + 1, lost + usize::from(!is_there(2)));
            }
        }
        (count, lost)
    };
    let (mut opened, mut lost) = (0, 0);
    let created = std::thread::scope(|scope| {
        let creators = [0, 1].map(|_| scope.spawn(create_them));
        for _ in 0..10_000 {
            if let Ok(mut array) = write::<u8, _>(&path, 80) {
                array.fill(1);
                (opened, lost) = (opened + 1, lost + usize::from(!is_there(1)));
            }
        }
        done.store(true, Ordering::Relaxed);
        creators.map(|creator| creator.join().unwrap())
    });
    let lost_as_well: usize = created.iter().map(|(_, lost)| lost).sum();
    assert_eq!((lost, lost_as_well), (0, 0), "of {opened} opened, and of those created");
    assert!(
        opened > 0 && created.iter().any(|(count, _)| *count > 0),
        "{created:?} created, {opened} opened"
    );
    assert_eq!(names(&dir), ["counting.raw"]);
}

/// Two new files for a name that is free: the second does not replace the first, which is mapped for writing.
#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn one_of_two_concurrent_creations_fails() {
    let dir = dir();
    let path = dir.path().join("new");
    for _ in 0..1_000 {
        let start = Barrier::new(3);
        let create = || {
            start.wait();
            create::<u8, _>(&path, 8)
        };
        let arrays = std::thread::scope(|scope| {
            [0, 1, 2].map(|_| scope.spawn(create)).map(|thread| thread.join().unwrap())
        });
        assert_eq!(arrays.iter().filter(|array| array.is_ok()).count(), 1);
        for array in arrays {
            match array {
                Ok(mut array) => {
                    array.fill(7);
                    assert_eq!(fs::read(&path).unwrap(), [7; 8]);
                }
                error => {
                    refused(error, &path, |kind| matches!(kind, ErrorKind::AlreadyMapped { .. }))
                }
            }
        }
        fs::remove_file(&path).unwrap();
    }
}

#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
mod acl {
    use rustix::fs::{XattrFlags, getxattr, setxattr};

    use super::*;

    const ACCESS: &str = "system.posix_acl_access";
    const DEFAULT: &str = "system.posix_acl_default";

    /// What Linux keeps: the version, then tag, rights and number of each entry.
    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, rights, id) in entries {
            bytes.extend([tag.to_le_bytes(), rights.to_le_bytes()].as_flattened());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    const NO_ID: u32 = u32::MAX;
    /// Owner `rw-`, user 65533 `rights`, group `---`, mask `rw-`, others `---`.
    fn one_user(rights: u16) -> Vec<u8> {
        acl(&[
            (1, 6, NO_ID),
            (2, rights, 65_533),
            (4, 0, NO_ID),
            (0x10, 6, NO_ID),
            (0x20, 0, NO_ID),
        ])
    }

    fn get(path: &std::path::Path) -> Option<Vec<u8>> {
        let mut value = [0; 1000];
        getxattr(path, ACCESS, &mut value[..]).ok().map(|len| value[..len].to_vec())
    }

    fn mode(path: &std::path::Path) -> u32 {
        std::os::unix::fs::MetadataExt::mode(&fs::metadata(path).unwrap()) & 0o7777
    }

    /// Without its ACL the file would be open to its group, as the mask is where the rights of the group are else.
    #[test]
    fn acl_of_the_replaced_file_is_copied() {
        let dir = dir();
        let path = counting(&dir, 0, 10);
        let Ok(()) = setxattr(&path, ACCESS, &one_user(4), XattrFlags::empty()) else { return }; // there are none here
        assert_eq!(mode(&path), 0o660);
        create::<u8, _>(&path, 2).unwrap().close().unwrap();
        assert_eq!((get(&path), mode(&path)), (Some(one_user(4)), 0o660));
        atomic_with::<u8, _>(&MmapArrayOptions::new(), &path, 3).unwrap().commit().unwrap();
        assert_eq!(
            (get(&path), mode(&path), fs::metadata(&path).unwrap().len()),
            (Some(one_user(4)), 0o660, 3)
        );
    }

    /// A directory gives new files an ACL, which the file to be replaced does not have.
    #[test]
    fn default_acl_is_not_inherited_by_a_replacement() {
        let dir = dir();
        let path = counting(&dir, 0, 10);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o660))
            .unwrap();
        let Ok(()) = setxattr(dir.path(), DEFAULT, &one_user(6), XattrFlags::empty()) else {
            return;
        };
        create::<u8, _>(&path, 2).unwrap().close().unwrap();
        assert_eq!((get(&path), mode(&path)), (None, 0o660));
        let new = dir.path().join("new");
        create::<u8, _>(&new, 2).unwrap().close().unwrap();
        assert_eq!(get(&new), Some(one_user(6)), "a file that replaces none is as any new one");
    }

    /// Who replaces the file of another user becomes its owner; the other one and all else get no more than before.
    #[test]
    fn replacing_another_users_file_grants_no_access() {
        use std::os::unix::fs::{PermissionsExt, chown};
        if !rustix::process::geteuid().is_root() {
            return; // only the superuser can make a file of another user
        }
        let dir = dir();
        let (with, without) = (counting(&dir, 0, 10), dir.path().join("without"));
        fs::write(&without, "").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        // The owner may only read, user 65534 may write, all others may do more than the group.
        let before = acl(&[
            (1, 4, NO_ID),
            (2, 6, 65_534),
            (4, 0, NO_ID),
            (0x10, 6, NO_ID),
            (0x20, 6, NO_ID),
        ]);
        let Ok(()) = setxattr(&with, ACCESS, &before, XattrFlags::empty()) else { return };
        fs::set_permissions(&without, fs::Permissions::from_mode(0o426)).unwrap();
        for path in [&with, &without] {
            chown(path, Some(65_533), Some(65_533)).unwrap();
        }
        as_nobody(|| {
            create::<u8, _>(&with, 2).unwrap().close().unwrap();
            create::<u8, _>(&without, 2).unwrap().close().unwrap();
        });
        // Those of the old group could do nothing, and are among all others now.
        let after = acl(&[
            (1, 4, NO_ID),
            (2, 4, 65_534),
            (4, 0, NO_ID),
            (0x10, 6, NO_ID),
            (0x20, 0, NO_ID),
        ]);
        assert_eq!(get(&with), Some(after));
        assert_eq!(mode(&without), 0o400);
    }

    /// Labels are part of who may do what.
    #[test]
    #[ignore = "needs root, and no SELinux: tests/privileged.sh"]
    fn labels_are_copied() {
        let dir = dir();
        let path = counting(&dir, 0, 10);
        for name in ["security.selinux", "security.SMACK64"] {
            setxattr(&path, name, b"a_label", XattrFlags::empty()).unwrap();
        }
        create::<u8, _>(&path, 2).unwrap().close().unwrap();
        for name in ["security.selinux", "security.SMACK64"] {
            let mut label = [0; 100];
            let len = getxattr(&path, name, &mut label[..]).unwrap();
            assert_eq!(&label[..len], b"a_label", "{name}");
        }
    }

    #[test]
    #[ignore = "needs fsetxattr to fail: tests/privileged.sh"]
    fn acl_that_cannot_be_copied_leaves_access_to_the_owner() {
        let dir = dir();
        let path = counting(&dir, 0, 10);
        setxattr(&path, ACCESS, &one_user(4), XattrFlags::empty()).unwrap();
        create::<u8, _>(&path, 2).unwrap().close().unwrap();
        assert_eq!((get(&path), mode(&path)), (None, 0o600));
    }
}

#[test]
#[cfg(unix)]
fn new_files_have_default_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let dir = dir();
    let (ours, usual) = (dir.path().join("ours"), dir.path().join("usual"));
    create::<u8, _>(&ours, 2).unwrap().close().unwrap();
    fs::write(&usual, "").unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&ours), mode(&usual));
}

#[test]
fn scratch_arrays_have_no_name() {
    let dir = dir();
    let mut array = MmapArrayOptions::new().scratch_in::<f64, _>(dir.path(), (100, 100)).unwrap();
    assert_eq!(names(&dir), [""; 0]);
    assert_eq!((array.path(), array.sum()), (None, 0.0));
    array.fill(1.0);
    array.flush().unwrap();
    array.release().unwrap();
    assert_eq!(array.sum(), 10_000.0);
    assert!(MmapArrayOptions::new().scratch_in::<f64, _>(dir.path().join("no"), 1).is_err());
}

/// The set-user-ID bit was set for the contents of the replaced file, not for the new ones.
#[test]
#[cfg(unix)]
fn special_permissions_are_not_inherited() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let dir = dir();
    let path = counting(&dir, 0, 10);
    let root = rustix::process::geteuid().is_root();
    if root {
        chown(&path, Some(65_534), Some(65_534)).unwrap();
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o6751)).unwrap();
    create::<u8, _>(&path, 2).unwrap().close().unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o751);
    assert!(!root || (metadata.uid(), metadata.gid()) == (65_534, 65_534));
}

/// `q/.` can only be a directory; it once made a file `q`.
#[test]
#[cfg(unix)]
fn paths_that_end_with_a_slash_are_errors() {
    let dir = dir();
    for name in ["q/.", "q/", "q//", ".", "..", "q/.."] {
        let path = dir.path().join(name);
        for result in [
            create::<u8, _>(&path, 1).map(drop),
            atomic_with::<u8, _>(&MmapArrayOptions::new(), &path, 1).map(drop),
            create_npy_with::<u8, _>(&MmapArrayOptions::new(), &path, 1).map(drop),
        ] {
            refused(result, &path, |kind| matches!(kind, ErrorKind::NotRegularFile { .. }));
        }
    }
    assert_eq!(names(&dir), [""; 0]);
}

/// The array that creating, saving and committing return may be dropped without a warning: the file is what they are for.
#[test]
#[deny(unused_must_use)]
fn committed_and_saved_arrays_may_be_dropped() {
    fn work(dir: &std::path::Path) -> std::result::Result<(), Box<dyn std::error::Error>> {
        let [committed, saved, created] =
            ["committed", "saved", "created"].map(|name| dir.join(name));
        atomic_with::<u8, _>(&MmapArrayOptions::new(), &committed, 3)?.commit()?;
        // SAFETY: this test alone uses the directory.
        unsafe { ndarray::array![1_u8, 2].to_mmap(&saved) }?;
        create::<u8, _>(&created, 5)?;
        let len = |path| fs::metadata(path).map(|metadata| metadata.len());
        assert_eq!((len(committed)?, len(saved)?, len(created)?), (3, 2, 5));
        Ok(())
    }
    work(dir().path()).unwrap();
}
