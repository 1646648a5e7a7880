//! Valid archives that are used in the wrong way.

use ndarray::{Ix1, Ix2, IxDyn};

use super::*;

fn header_error(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidHeader { position: 0, .. })
}

#[test]
fn npz_lists_its_members_for_an_absent_name() {
    let written = Written::new(&archive(&[
        ("x.npy", &counting(3), stored()),
        ("a\nb.npy", &counting(3), stored()),
        ("readme.txt", b"", stored()),
    ]));
    let archive = written.open().unwrap();
    for name in ["z", "x.npy", "readme.txt", ""] {
        let text = format!(r#"no array named {name:?}; the archive contains "x", "a\nb""#);
        let is = |kind: &ErrorKind| matches!(kind, ErrorKind::NoSuchMember { members, .. } if members.len() == 2);
        refused(archive.member(name), None, &text, is);
    }
}

#[test]
fn npz_errors_of_types_name_the_member() {
    for options in [stored().with_alignment(64), deflated()] {
        let written = Written::new(&archive(&[("ab.npy", &counting(3), options)]));
        let archive = written.open().unwrap();
        let member = archive.member("ab").unwrap();
        let text = "expected f32 ('<f4'), found '<f8', which opens as `f64`".replace('\'', "");
        let is_dtype = |kind: &ErrorKind| matches!(kind, ErrorKind::DtypeMismatch { .. });
        refused(member.read::<f32, Ix1>(), Some("ab"), &text, is_dtype);
        let is_dimensions = |kind: &ErrorKind| matches!(kind, ErrorKind::DimensionMismatch { .. });
        refused(member.read::<f64, Ix2>(), Some("ab"), "found 1 (shape [3])", is_dimensions);
        refused(member.read::<[u8; 0], Ix1>(), Some("ab"), "|S0", is_dtype);
        if !member.is_compressed() {
            refused(map::<f32, Ix1>(&member), Some("ab"), &text, is_dtype);
            refused(map::<f64, Ix2>(&member), Some("ab"), "found 1 (shape [3])", is_dimensions);
            refused(member.open_file::<f32, Ix1>(), Some("ab"), &text, is_dtype);
        }
    }
}

/// The array must be exactly as long as its member, even if the archive continues.
#[test]
fn npz_array_must_fill_its_member() {
    let file = counting(10);
    let longer = [&file[..], &[0; 8]].concat();
    for options in [stored(), deflated()] {
        let written = Written::new(&archive(&[
            ("short.npy", &file[..file.len() - 1], options),
            ("long.npy", &longer, options),
            ("last.npy", &file, options),
        ]));
        let archive = written.open().unwrap();
        for (name, text) in [("short", "needs 80 bytes"), ("long", "8 trailing bytes")] {
            let member = archive.member(name).unwrap();
            let is = |kind: &ErrorKind| match kind {
                ErrorKind::TooShort { .. } => name == "short",
                ErrorKind::TrailingBytes { .. } => name == "long",
                _ => false,
            };
            refused(member.read::<f64, Ix1>(), Some(name), text, is);
            if !member.is_compressed() {
                refused(map::<[u8; 8], Ix1>(&member), Some(name), text, is);
                refused(member.open_file::<f64, Ix1>(), Some(name), text, is);
            }
        }
    }
}

#[test]
fn npz_members_that_are_not_npy_are_refused() {
    for options in [stored(), deflated()] {
        for bytes in [&b""[..], b"a,b\n1,2", b"\x93NUM", &[0; 1000]] {
            let written = Written::new(&archive(&[("x.npy", bytes, options)]));
            let archive = written.open().unwrap();
            let member = archive.member("x").unwrap();
            refused(member.header(), Some("x"), "not an .npy file", header_error);
            refused(member.read::<f64, IxDyn>(), Some("x"), "not an .npy file", header_error);
            assert_eq!(extracted(&member, written.dir.path()).unwrap(), bytes);
        }
        let written = Written::new(&archive(&[("x.npy", b"\x93NUMPY\x01\0\xff\0{", options)]));
        let archive = written.open().unwrap();
        refused(archive.member("x").unwrap().header(), Some("x"), "header", |kind| {
            matches!(kind, ErrorKind::InvalidHeader { .. })
        });
    }
}

#[test]
fn npz_elements_without_bytes_are_refused() {
    let array = Array::from_elem(IxDyn(&[3]), [0_u8; 0]);
    let written = Written::new(&archive(&[("x.npy", &npy(&array, Order::C), stored())]));
    let archive = written.open().unwrap();
    let result = archive.member("x").unwrap().read::<[u8; 0], Ix1>();
    refused(result, Some("x"), "`Array::from_elem`", unsupported);
}

#[test]
fn npz_of_other_formats_is_refused() {
    for (bytes, text) in [
        (&b""[..], "is not a zip archive or was truncated"),
        (b"PK\x03\x04", "is not a zip archive or was truncated"),
        (b"1,2,3\n", "is not a zip archive or was truncated"),
        (&counting(3), "is an .npy file; open it with `ArrayFile::open_npy`"),
    ] {
        refused(Written::new(bytes).open(), None, text, invalid);
    }
    let dir = tempfile::tempdir().unwrap();
    let error = NpzArchive::open(dir.path()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotRegularFile { .. }), "{error}");
}
