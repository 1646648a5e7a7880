//! Invalid input: one clear error, immediately, and no change to any file.

use std::fs;

use ndarray_mmap::{Dtype, ErrorKind, MmapArrayOptions, NpyHeader, prelude::*};

use crate::support::*;

#[track_caller]
fn refused_in_every_mode(path: &std::path::Path, is: impl Fn(&ErrorKind) -> bool) {
    let options = MmapArrayOptions::new();
    for mode in MODES {
        refused(look_raw::<u8, _>(&options, mode, path, 1, |_| {}), path, &is);
    }
    refused(rows_with::<u8, ndarray::Ix1>(&options, path, ()), path, &is);
    refused(read_npy_with::<u8, ndarray::IxDyn>(&options, path), path, &is);
    refused(write_npy_with::<u8, ndarray::IxDyn>(&options, path), path, &is);
    refused(cow_npy_with::<u8, ndarray::IxDyn>(&options, path), path, &is);
    refused(NpyHeader::read(path), path, &is);
}

fn io(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Io { .. })
}

#[test]
fn missing_files_and_dangling_links_are_io_errors() {
    let dir = dir();
    let missing = dir.path().join("missing");
    refused_in_every_mode(&missing, io);
    #[cfg(unix)]
    {
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&missing, &link).unwrap();
        refused_in_every_mode(&link, io);
        assert_eq!(names(&dir), ["link"]);
    }
    refused_in_every_mode(&dir.path().join("no/such/dir"), io);
    let error: std::io::Error = read::<u8, _>(&missing, 1).unwrap_err().into();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn directories_are_not_regular_files() {
    let dir = dir();
    refused_in_every_mode(dir.path(), |kind| {
        matches!(kind, ErrorKind::NotRegularFile { found: "a directory", .. })
    });
    refused(create::<u8, _>(dir.path(), 1), dir.path(), |kind| {
        matches!(kind, ErrorKind::NotRegularFile { .. })
    });
}

#[test]
#[cfg(target_os = "linux")]
fn pipes_sockets_and_devices_are_not_regular_files() {
    let dir = dir();
    let pipe = dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    refused_in_every_mode(&pipe, |kind| {
        matches!(kind, ErrorKind::NotRegularFile { found: "a FIFO (named pipe)", .. })
    });
    let socket = dir.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    refused_in_every_mode(&socket, |kind| {
        matches!(kind, ErrorKind::NotRegularFile { found: "a socket", .. })
    });
    let device = std::path::Path::new("/dev/zero");
    refused_in_every_mode(device, |kind| {
        matches!(kind, ErrorKind::NotRegularFile { found: "a character device", .. })
    });
    for special in [&pipe, &socket] {
        refused(create::<u8, _>(special, 1), special, |kind| {
            matches!(kind, ErrorKind::NotRegularFile { .. })
        });
    }
    assert_eq!(names(&dir), ["pipe", "socket"]);
}

/// Files below `/proc` say they have no bytes, and have some.
#[test]
#[cfg(target_os = "linux")]
fn files_in_proc_are_refused() {
    let path = std::path::Path::new("/proc/self/status");
    refused(read::<u8, _>(path, 1), path, |kind| {
        matches!(kind, ErrorKind::TooShort { found: 0, .. })
    });
    refused(read_npy_with::<u8, ndarray::IxDyn>(&MmapArrayOptions::new(), path), path, |kind| {
        matches!(kind, ErrorKind::InvalidHeader { .. })
    });
}

#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn missing_permissions_are_io_errors() {
    use std::os::unix::fs::PermissionsExt;
    as_nobody(|| {
        let dir = dir();
        let path = counting(&dir, 0, 4);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        assert_eq!(read::<f64, _>(&path, 4).unwrap().sum(), 6.0);
        let mut private = cow::<f64, _>(&path, 4).unwrap();
        private[0] = 1.0;
        assert_eq!(private.sum(), 7.0);
        drop(private);
        refused(write::<f64, _>(&path, 4), &path, io);
        refused(create::<f64, _>(&path, 4), &path, io);
        assert_eq!(fs::metadata(&path).unwrap().len(), 32);
    });
}

#[test]
fn other_formats_are_named_as_invalid_headers() {
    let dir = dir();
    let path = dir.path().join("table.npy");
    let options = MmapArrayOptions::new();
    for (bytes, reason) in [
        (&b""[..], "the file is empty"),
        (b"\x93NUMP", "does not start with"),
        (
            b"PK\x03\x04 a zip file, as .npz is",
            "the file is a zip archive (.npz); open it with `NpzArchive` (feature `npz`)",
        ),
        (b"PK\x05\x06 one without files", "the file is a zip archive"),
        (b"\x1f\x8b\x08\x00", "the file is compressed with gzip; decompress it with `gunzip`"),
        (b"\x89HDF\r\n\x1a\n\0\0\0\0\0", "the file is an HDF5 file; open a contiguous dataset"),
        (b"\x80\x05\x95\0\0\0\0\0\0\0\0\x8c", "the file is a Python pickle; load it in Python"),
        (b"x,y\n1,2\n", "the file is text (CSV or the like); parse it"),
        // What it is said to be may be wrong.
        (b"x,y\n1,2\n", "if it is raw data, map it with `open` and a shape"),
        (b"\x1f\x8b\x08\x00", "if it is raw data, map it with `open` and a shape"),
        (
            b"\x1f\x8b\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "does not start with \\x93NUMPY; to map raw data, use `open`",
        ),
        (b"\x80\x02\0\0\x80\x03\0\0\x80\x04\0\0\x80\x05\0\0", "does not start with"),
        (b"\x93NUMPY", "ends inside the header"),
        (b"\x93NUMPY\x01\x00\x10", "ends inside the header"),
        (b"\x93NUMPY\x01\x01\x10\x00{}          ", "version 1.1"),
        (b"\x93NUMPY\x04\x00\x10\x00{}          ", "version 4.0"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", "header length of 4294967295 bytes"),
        (b"\x93NUMPY\x01\x00\x00\x10{}", "is truncated after"),
        (b"\x93NUMPY\x01\x00\x02\x00{}", "missing key `descr`"),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = read_npy_with::<f64, ndarray::IxDyn>(&options, &path).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidHeader { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

/// In every mode, whatever is asked for; with an offset, or if asked to, it is one.
#[test]
fn npy_file_opened_as_raw_is_an_error() {
    let dir = dir();
    let path = dir.path().join("table.npy");
    let options = MmapArrayOptions::new();
    // SAFETY: this test alone uses the directory.
    unsafe { ndarray::array![1.5, 2.5].to_mmap_npy(&path) }.unwrap().close().unwrap();
    let whole = fs::read(&path).unwrap();
    for (bytes, expected) in [
        (&whole[..], Some(128)),
        (&whole[..128], Some(128)),
        (&whole[..100], None),
        (&whole[..6], None),
    ] {
        fs::write(&path, bytes).unwrap();
        let is = |kind: &ErrorKind| matches!(kind, ErrorKind::NpyHeaderInRawFile { data_offset, .. } if *data_offset == expected);
        for mode in MODES {
            refused(look_raw::<u8, _>(&options, mode, &path, 1, |_| {}), &path, is);
            refused(look_raw::<f64, _>(&options, mode, &path, (99, 99), |_| {}), &path, is);
            refused(look_raw::<f64, _>(&options, mode, &path, 0, |_| {}), &path, is);
            for accepting in [options.clone().offset(1), options.clone().npy_as_raw(true)] {
                look_raw::<u8, _>(&accepting, mode, &path, 5, |_| {}).unwrap();
            }
        }
        refused(rows_with::<u8, ndarray::Ix1>(&options, &path, ()), &path, is);
        refused(rows_with::<f64, ndarray::Ix2>(&options, &path, 7), &path, is);
        let all =
            rows_with::<u8, ndarray::Ix1>(&options.clone().npy_as_raw(true), &path, ()).unwrap();
        assert_eq!(all.as_slice(), Some(bytes));
        drop(all);
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    // Without all of its first six bytes it is a file as any other.
    fs::write(&path, &whole[..5]).unwrap();
    assert_eq!(rows_with::<u8, ndarray::Ix1>(&options, &path, ()).unwrap().len(), 5);
}

/// What the message advises opens the file, in the mode that was wanted, and gives the right elements.
#[test]
fn advice_for_npy_file_opened_as_raw_works() {
    use ndarray::{Ix2, ShapeBuilder, array};
    let dir = dir();
    let path = dir.path().join("table.npy");
    let options = MmapArrayOptions::new();
    let table = array![[1_u16, 2, 3], [4, 5, 6]];
    for fortran in [false, true] {
        let mut file = create_npy_with::<u16, _>(&options, &path, (2, 3).set_f(fortran)).unwrap();
        file.assign(&table);
        drop(file);
        let offset = fs::metadata(&path).unwrap().len() - 12;
        for (mode, array) in
            [(Mode::Read, "MmapArray"), (Mode::Write, "MmapArrayMut"), (Mode::Cow, "MmapArrayCow")]
        {
            let error = look_raw::<u16, _>(&options, mode, &path, (2, 3), |_| {}).unwrap_err();
            let order = if fortran { " and the full shape in Fortran order (`.f()`)" } else { "" };
            let advice = format!(
                "open it with `{array}::open_npy`, or only its data with \
                 `MmapArrayOptions::offset({offset})`{order}, or \
                 include the header"
            );
            assert!(error.to_string().contains(&advice), "{error}");
            let shape = (2, 3).set_f(fortran);
            look_raw::<u16, _>(&options.clone().offset(offset), mode, &path, shape, |view| {
                assert_eq!(view, table)
            })
            .unwrap();
        }
        let error = rows_with::<u16, Ix2>(&options, &path, 3).unwrap_err();
        assert_eq!(error.to_string().contains("Fortran order"), fortran, "{error}");
    }
    // Of one axis, both orders are one.
    create_npy_with::<u16, _>(&options, &path, 3.f()).unwrap();
    let text = "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}";
    for (text, objects) in
        [(text.to_owned(), true), (text.replace("False", "True").replace("'|O'", "'<f4'"), false)]
    {
        fs::write(
            &path,
            [b"\x93NUMPY\x01\0", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat(),
        )
        .unwrap();
        for mode in MODES {
            let error =
                look_raw::<u8, _>(&options, mode, &path, 1, |_| {}).unwrap_err().to_string();
            assert_eq!(
                error.contains("Python objects, which cannot be mapped"),
                objects,
                "{error}"
            );
            assert!(objects != error.contains("offset(") && !error.contains("Fortran"), "{error}");
            assert!(objects != error.contains("open_npy"), "{error}");
        }
    }
}

#[test]
fn large_offsets_do_not_overflow() {
    let dir = dir();
    let path = counting(&dir, 0, 4);
    for offset in [1, i64::MAX as u64, u64::MAX - 4, u64::MAX] {
        let options = MmapArrayOptions::new().offset(offset);
        assert!(read_npy_with::<f64, ndarray::IxDyn>(&options, &path).is_err());
        assert!(read_with::<f64, _>(&options, &path, 1).is_err());
        assert!(rows_with::<u8, ndarray::Ix1>(&options, &path, ()).is_ok() == (offset == 1));
        assert!(create_npy_with::<f64, _>(&options, &path, 1).is_err());
        assert!(offset == 1 || create_with::<u8, _>(&options, &path, 1).is_err());
    }
}

#[test]
fn byte_slices_are_checked_like_files() {
    use ndarray::prelude::*;
    let words = [0_u64; 4];
    let bytes: &[u8] = bytemuck::cast_slice(&words);
    assert_eq!(ArrayView2::<f64>::from_bytes(bytes, (2, 2)).unwrap().dim(), (2, 2));
    assert_eq!(ArrayView2::<f64>::from_bytes(&bytes[3..], (0, 9)).unwrap().dim(), (0, 9));
    assert_eq!(ArrayView0::<u8>::from_bytes(bytes, ()).unwrap()[()], 0);
    let kind =
        |result: ndarray_mmap::Result<ArrayView1<'_, f64>>| result.unwrap_err().kind().clone();
    assert!(matches!(
        kind(ArrayView1::from_bytes(bytes, 5)),
        ErrorKind::TooShort { needed: 40, found: 32, .. }
    ));
    let misaligned = kind(ArrayView1::from_bytes(&bytes[1..], 1));
    assert!(
        matches!(misaligned, ErrorKind::Misaligned { align, .. } if align == align_of::<f64>())
    );
    assert!(matches!(kind(ArrayView1::from_bytes(bytes, usize::MAX)), ErrorKind::TooLarge { .. }));
    for result in [ArrayView1::<f64>::from_bytes(bytes, 5), ArrayView1::from_bytes(&bytes[1..], 1)]
    {
        let message = result.unwrap_err().to_string();
        assert!(!message.contains("file"), "there is none: {message}");
    }
    let mut words = [0_u64; 4];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    assert!(ArrayViewMut1::<f64>::from_bytes_mut(bytes, 5).is_err());
    assert!(ArrayViewMut1::<f64>::from_bytes_mut(&mut bytes[1..], 3).is_err());
    ArrayViewMut2::<f64>::from_bytes_mut(bytes, (2, 2).f()).unwrap()[[1, 0]] = 1.0;
    assert_eq!(f64::from_bits(words[1]), 1.0);
}

/// The parse of a type that a program spells has no file to blame.
#[test]
fn unknown_dtypes_are_errors() {
    let error = "f64".parse::<Dtype>().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidDtype { position: 0, .. }), "{error:?}");
    let spelt = Dtype::of::<f64>();
    let message = format!("invalid dtype at byte 0: unknown dtype `f64`; did you mean `{spelt}`?");
    assert_eq!(error.to_string(), message);
}

#[test]
fn zero_sized_elements_are_unsupported() {
    use ndarray::prelude::*;
    let error = ArrayView1::<()>::from_bytes(&[], 3).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }), "{error:?}");
    let error = ArrayViewMut1::<[f64; 0]>::from_bytes_mut(&mut [], 3).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }), "{error:?}");
    assert_eq!(ArrayView1::<()>::from_bytes(&[], 0).unwrap().len(), 0);
}

/// A message is one line, and no command to the terminal, whatever the file is called.
#[test]
fn control_characters_in_paths_are_escaped() {
    let error = read::<u8, _>(std::path::Path::new("no\nsuch\u{1b}[31m\u{9b}file"), 1).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with(r"no\nsuch\u{1b}[31m\u{9b}file: cannot open"), "{message}");
    assert!(!format!("{error:?}").contains('\u{1b}'));
}

/// Some special files say they are regular and have bytes, but cannot be mapped. That has nothing to do with limits.
#[test]
#[cfg(target_os = "linux")]
fn missing_mmap_support_is_named() {
    let path = std::path::Path::new("/sys/kernel/mm/transparent_hugepage/enabled");
    if path.exists() {
        let message = read::<u8, _>(path, 10).unwrap_err().to_string();
        assert!(
            message.contains("cannot map: the file system does not support memory mapping"),
            "{message}"
        );
    }
}
