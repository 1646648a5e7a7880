//! Files that NumPy has written (by `tests/data/write.py`): what each of them gives, in every mode, and that opening
//! changes none.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use bytemuck::{Pod, Zeroable};
use ndarray::prelude::*;
use ndarray_mmap::{Dtype, ErrorKind, MmapArrayOptions, NpyElement, NpyHeader, Order, Result};
use num_complex::Complex;
use tempfile::TempDir;

use crate::support::*;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(data().join(format!("{name}.npy"))).unwrap()
}

/// A copy of one of the files, in a directory of its own.
fn copy(name: &str) -> (TempDir, PathBuf) {
    let dir = dir();
    let path = dir.path().join("copy.npy");
    fs::write(&path, bytes(name)).unwrap();
    (dir, path)
}

/// Opens a copy of the file in one mode after the other, lets `look` at each array, and checks the bytes of the file.
#[track_caller]
fn open_with<A: Pod + NpyElement, D: Dimension>(
    options: &MmapArrayOptions,
    name: &str,
    look: impl Fn(ArrayView<'_, A, D>),
) -> [Result<()>; 3] {
    let (_dir, path) = copy(name);
    MODES.map(|mode| {
        let result = match mode {
            Mode::Read => read_npy_with(options, &path).map(|array| look(array.view())),
            Mode::Write => write_npy_with(options, &path).map(|array| look(array.view())),
            Mode::Cow => cow_npy_with(options, &path).map(|array| look(array.view())),
        };
        assert!(fs::read(&path).unwrap() == bytes(name), "{name} was changed in mode {mode:?}");
        result
    })
}

#[track_caller]
fn opens<A: Pod + NpyElement, D: Dimension>(name: &str, look: impl Fn(ArrayView<'_, A, D>)) {
    for result in open_with(&MmapArrayOptions::new(), name, look) {
        result.unwrap();
    }
}

/// The file holds one axis of these elements.
#[track_caller]
fn holds<A: Pod + NpyElement + PartialEq + Debug>(name: &str, expected: &[A]) {
    opens::<A, Ix1>(name, |array| assert_eq!(array.as_slice(), Some(expected), "{name}"));
}

/// In no mode does the file open as `A` and `D`; the error is of that kind, and its message has all of the `words`.
#[track_caller]
fn refuses<A: Pod + NpyElement, D: Dimension>(name: &str, kind: &str, words: &[&str]) {
    for result in open_with::<A, D>(&MmapArrayOptions::new(), name, |_| panic!("{name} opens")) {
        let error = result.unwrap_err();
        let (debug, message) = (format!("{:?}", error.kind()), error.to_string());
        assert!(debug.starts_with(kind), "{name}: {debug}");
        assert!(message.contains("copy.npy: "), "{name}: {message}");
        for word in words {
            assert!(message.contains(word), "{name}: {message}");
        }
    }
}

/// Version, element type, shape, order and offset of the data of every file, or what is wrong with it, and where.
const HEADERS: &[(&str, &str)] = &[
    ("big_endian/U3", "1.0 >U3 [3] C 128"),
    ("big_endian/c16", "1.0 >c16 [3] C 128"),
    ("big_endian/datetime", "1.0 >M8[ns] [3] C 128"),
    ("big_endian/f8", "1.0 >f8 [3] C 128"),
    ("big_endian/i4", "1.0 >i4 [3] C 128"),
    ("headers/0", "1.0 <f8 [0] C 128"),
    ("headers/123456x2", "1.0 <f8 [123456, 2] C 128"),
    ("headers/123456x2_f", "1.0 <f8 [123456, 2] F 128"),
    ("headers/3x4", "1.0 <f8 [3, 4] C 128"),
    ("headers/3x4_f", "1.0 <f8 [3, 4] F 128"),
    ("headers/5", "1.0 <f8 [5] C 128"),
    ("headers/bytes", "1.0 |u1 [5] C 128"),
    ("headers/complex", "1.0 <c16 [2] C 128"),
    ("headers/full_line", "1.0 [('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '<f8')] [2] C 192"),
    ("headers/names_latin_1", "1.0 [('größe', '<f8')] [2] C 128"),
    ("headers/names_quoted", r#"1.0 [("it's", '<f4'), ('"', '<f4'), ('a\\b\t', '<f4'), ('it\'s "', '<f4')] [2] C 192"#),
    ("headers/names_utf_8", "3.0 [('温度', '<f8')] [2] C 128"),
    ("headers/record", "1.0 [('flag', '|u1'), ('', '|V7'), ('value', '<f8'), ('id', '<u4'), ('', '|V4')] [2] C 192"),
    ("headers/scalar", "1.0 <f8 [] C 128"),
    ("headers/text", "1.0 <U3 [2] C 128"),
    ("records/big_endian", "1.0 [('x', '>f4'), ('y', '<f4')] [1] C 128"),
    ("records/empty", "1.0 [] [1] C 128"),
    ("records/latin_1", "1.0 [('größe', '<f8'), ('m', '<f8')] [2] C 128"),
    ("records/nested", "1.0 [('at', [('x', '<f4'), ('y', '<f4')]), ('count', '<u2', (2,))] [2] C 192"),
    ("records/objects", "1.0 [('x', '<f4'), ('o', '|O')] [1] C 128"),
    ("records/packed", "1.0 [('flag', '|u1'), ('value', '<f8'), ('id', '<u4')] [3] C 192"),
    ("records/padded", "1.0 [('flag', '|u1'), ('', '|V7'), ('value', '<f8'), ('id', '<u4'), ('', '|V4')] [3] C 192"),
    ("records/titles", "1.0 [(('wind speed', 'v'), '<f4'), (('direction', 'd'), '<f4')] [2] C 192"),
    ("records/utf_8", "3.0 [('温度', '<f8'), ('m', '<f8')] [2] C 128"),
    ("refused/claims_40_kb", "its header claims 40000 bytes, more than 16384 are not read (at byte 8)"),
    ("refused/claims_4_gib", "its header claims 4294967295 bytes, more than 16384 are not read (at byte 8)"),
    ("refused/claims_less", "expected a string, found the end of the header (at byte 50)"),
    ("refused/data_cut", "1.0 <f8 [3] C 128"),
    ("refused/data_missing", "1.0 <f8 [3] C 128"),
    ("refused/field_without_type", "a field has no type (at byte 27)"),
    ("refused/key_missing", "the key `fortran_order` is missing (at byte 64)"),
    ("refused/key_twice", "the key `shape` comes twice (at byte 66)"),
    ("refused/key_unknown", "unknown key `x` (at byte 66)"),
    ("refused/magic", r"it does not begin with \x93NUMPY; to map a file without a header, use `open` and a shape"),
    ("refused/more", "expected the end of the header, found `o` (at byte 68)"),
    ("refused/no_end", "expected a string, found the end of the header (at byte 128)"),
    ("refused/not_a_dictionary", "expected the header, a dictionary, found `[` (at byte 10)"),
    ("refused/not_utf_8", "the header is not valid UTF-8 (at byte 24)"),
    ("refused/nothing", r"it does not begin with \x93NUMPY"),
    ("refused/order_number", "expected True or False, found `1` (at byte 44)"),
    ("refused/preamble", "the file ends inside the header (at byte 8)"),
    ("refused/shape_65_axes", "the shape has more than 64 dimensions (at byte 253)"),
    ("refused/shape_beyond_memory", "1.0 <f8 [4611686018427387904, 4611686018427387904] C 128"),
    ("refused/shape_beyond_memory_empty", "1.0 <f8 [4611686018427387904, 0, 4611686018427387904] C 128"),
    ("refused/shape_beyond_usize", "an integer is too large for this machine (at byte 61)"),
    ("refused/shape_code", "expected a non-negative decimal integer, found `_` (at byte 61)"),
    ("refused/shape_list", "expected the shape, a tuple, found `[` (at byte 60)"),
    ("refused/shape_negative", "expected a non-negative decimal integer, found `-` (at byte 61)"),
    ("refused/shape_number", "the shape is a number in brackets, not a tuple (at byte 63)"),
    ("refused/text_cut", "its header claims 118 bytes, the file ends after 90 of them (at byte 100)"),
    ("refused/trailing", "1.0 <f8 [3] C 128"),
    ("refused/type_name", "unknown element type `float64` (at byte 20)"),
    ("refused/type_number", "expected an element type (a string, or a list of fields), found `8` (at byte 20)"),
    ("refused/type_string_open", "unknown element type `<f8, ` (at byte 20)"),
    ("refused/type_too_deep", "brackets are nested too deep (at byte 71)"),
    ("refused/type_too_large", "the element type is too large (at byte 57)"),
    ("refused/type_unknown", "unknown element type `<f3` (at byte 20)"),
    ("refused/unaligned", "1.0 <f8 [3] C 71"),
    ("refused/version_1_1", "version 1.1 of the format is unknown (1.0, 2.0 and 3.0 are known) (at byte 6)"),
    ("refused/version_4", "version 4.0 of the format is unknown (1.0, 2.0 and 3.0 are known) (at byte 6)"),
    ("refused/zip", r"it does not begin with \x93NUMPY"),
    ("shapes/0", "1.0 <i4 [0] C 128"),
    ("shapes/0x3", "1.0 <i4 [0, 3] C 128"),
    ("shapes/1", "1.0 <i4 [1] C 128"),
    ("shapes/2x0", "1.0 <i4 [2, 0] C 128"),
    ("shapes/2x1x3x1x2x1x1x2", "1.0 <i4 [2, 1, 3, 1, 2, 1, 1, 2] C 128"),
    ("shapes/2x1x3x1x2x1x1x2_f", "1.0 <i4 [2, 1, 3, 1, 2, 1, 1, 2] F 128"),
    ("shapes/2x3x4", "1.0 <i4 [2, 3, 4] C 128"),
    ("shapes/2x3x4_f", "1.0 <i4 [2, 3, 4] F 128"),
    ("shapes/3x0_f", "1.0 <i4 [3, 0] F 128"),
    ("shapes/3x0x2", "1.0 <i4 [3, 0, 2] C 128"),
    ("shapes/3x4", "1.0 <i4 [3, 4] C 128"),
    ("shapes/3x4_f", "1.0 <i4 [3, 4] F 128"),
    ("shapes/5x1", "1.0 <i4 [5, 1] C 128"),
    ("shapes/scalar", "1.0 <i4 [] C 128"),
    ("types/S5", "1.0 |S5 [3] C 128"),
    ("types/U3", "1.0 <U3 [3] C 128"),
    ("types/V7", "1.0 |V7 [3] C 128"),
    ("types/b1", "1.0 |b1 [3] C 128"),
    ("types/c16", "1.0 <c16 [3] C 128"),
    ("types/c32", "1.0 <c32 [3] C 128"),
    ("types/c8", "1.0 <c8 [3] C 128"),
    ("types/datetime", "1.0 <M8[ns] [3] C 128"),
    ("types/f16", "1.0 <f16 [3] C 128"),
    ("types/f2", "1.0 <f2 [3] C 128"),
    ("types/f4", "1.0 <f4 [3] C 128"),
    ("types/f8", "1.0 <f8 [3] C 128"),
    ("types/i1", "1.0 |i1 [3] C 128"),
    ("types/i2", "1.0 <i2 [3] C 128"),
    ("types/i4", "1.0 <i4 [3] C 128"),
    ("types/i8", "1.0 <i8 [3] C 128"),
    ("types/object", "1.0 |O [3] C 128"),
    ("types/timedelta", "1.0 <m8[s] [3] C 128"),
    ("types/u1", "1.0 |u1 [3] C 128"),
    ("types/u2", "1.0 <u2 [3] C 128"),
    ("types/u4", "1.0 <u4 [3] C 128"),
    ("types/u8", "1.0 <u8 [3] C 128"),
    ("versions/1", "1.0 <f8 [3] C 128"),
    ("versions/2", "2.0 <f8 [3] C 128"),
    ("versions/3", "3.0 <f8 [3] C 128"),
    ("versions/align_16", "1.0 <f8 [3] C 80"),
    ("versions/python_2", "1.0 <f8 [3] C 80"),
    ("versions/reordered", "1.0 <f8 [3] C 64"),
    ("versions/two", "1.0 <i4 [2, 2] C 128"),
];

/// A header in one line, as in the table.
fn in_one_line(header: &NpyHeader) -> String {
    let (major, minor) = header.version();
    format!("{major}.{minor} {} {:?} {} {}", header.dtype(), header.shape(), header.order(), header.data_offset())
}

#[test]
fn what_the_headers_say() {
    for (name, expected) in HEADERS {
        match NpyHeader::read(data().join(format!("{name}.npy"))) {
            Ok(header) => assert_eq!(in_one_line(&header), *expected, "{name}"),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Header { .. }), "{name}: {error:?}");
                assert!(error.to_string().contains(expected), "{name}: {error}");
            }
        }
    }
}

#[test]
fn the_table_has_every_file() {
    let mut found = BTreeSet::new();
    for group in fs::read_dir(data()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in fs::read_dir(&group).unwrap().map(|entry| entry.unwrap().path()) {
            let names = [&group, &file].map(|path| path.file_stem().unwrap().to_str().unwrap());
            found.insert(names.join("/"));
        }
    }
    assert_eq!(found, HEADERS.iter().map(|(name, _)| (*name).to_owned()).collect());
}

#[test]
fn plain_types() {
    holds::<u8>("types/b1", &[1, 0, 1]);
    holds::<i8>("types/i1", &[i8::MIN, 1, i8::MAX]);
    holds::<i16>("types/i2", &[i16::MIN, 1, i16::MAX]);
    holds::<i32>("types/i4", &[i32::MIN, 1, i32::MAX]);
    holds::<i64>("types/i8", &[i64::MIN, 1, i64::MAX]);
    holds::<isize>("types/i8", &[isize::MIN, 1, isize::MAX]);
    holds::<u8>("types/u1", &[0, 1, u8::MAX]);
    holds::<u16>("types/u2", &[0, 1, u16::MAX]);
    holds::<u32>("types/u4", &[0, 1, u32::MAX]);
    holds::<u64>("types/u8", &[0, 1, u64::MAX]);
    holds::<usize>("types/u8", &[0, 1, usize::MAX]);
    #[cfg(feature = "half")]
    holds::<half::f16>("types/f2", &[half::f16::from_f32(-1.5), half::f16::from_f32(0.25), half::f16::MAX]);
    holds::<f32>("types/f4", &[-1.5, 0.25, f32::MAX]);
    holds::<f64>("types/f8", &[-1.5, 0.25, f64::MAX]);
    holds::<Complex<f32>>("types/c8", &[Complex::new(1.0, -2.0), Complex::new(0.0, 0.5), Complex::new(-3.0, 0.0)]);
    holds::<Complex<f64>>("types/c16", &[Complex::new(1.0, -2.0), Complex::new(0.0, 0.5), Complex::new(-3.0, 0.0)]);
    holds::<[u8; 5]>("types/S5", &[*b"\0\0\0\0\0", *b"abc\0\0", *b"abcde"]);
    holds::<[u32; 3]>("types/U3", &[[0; 3], ['a' as u32, 'é' as u32, 0], ['日' as u32, '本' as u32, '😀' as u32]]);
    holds::<i64>("types/datetime", &[1, i64::MIN, 1_709_164_800_000_000_000]);
    holds::<i64>("types/timedelta", &[-1, i64::MIN, 86_400]);
}

#[test]
fn bytes_stand_for_what_rust_has_not() {
    holds::<[u8; 7]>("types/V7", &[[0, 1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12, 13], [14, 15, 16, 17, 18, 19, 20]]);
    // -1.5, 0.25 and 3 in the format of the x87: fraction, then sign and exponent, then nothing.
    let extended = [(0xC0, 0xBFFF_u16), (0x80, 0x3FFD), (0xC0, 0x4000)].map(|(fraction, exponent)| {
        let [low, high] = exponent.to_le_bytes();
        [0, 0, 0, 0, 0, 0, 0, fraction, low, high, 0, 0, 0, 0, 0, 0]
    });
    holds::<[u8; 16]>("types/f16", &extended);
    opens::<[u8; 32], Ix1>("types/c32", |array| assert_eq!(array.as_slice().unwrap().as_flattened().len(), 96));
    opens::<[u8; 8], Ix1>("big_endian/f8", |array| {
        assert_eq!(array.map(|bytes| f64::from_be_bytes(*bytes)), array![-1.5, 0.25, 3.0]);
    });
    opens::<[u8; 4], Ix1>("big_endian/i4", |array| {
        assert_eq!(array.map(|bytes| i32::from_be_bytes(*bytes)), array![-1, 2, 3]);
    });
    // With alignment 1, the data may begin anywhere.
    opens::<[u8; 8], Ix1>("refused/unaligned", |array| {
        assert_eq!(array.map(|bytes| f64::from_le_bytes(*bytes)), array![0.5, 1.5, 2.5]);
    });
    opens::<[u8; 13], Ix1>("records/packed", |array| assert_eq!(array[1], *b"\x02\0\0\0\0\0\0\xF8\x3F\x14\0\0\0"));
    opens::<[u8; 0], Ix1>("records/empty", |array| assert_eq!(array.len(), 1));
}

#[test]
fn shapes_and_orders() {
    for (name, header) in HEADERS.iter().filter(|(name, _)| name.starts_with("shapes/")) {
        opens::<i32, IxDyn>(name, |array| {
            let order = if name.ends_with("_f") { Order::F } else { Order::C };
            assert_eq!(*header, format!("1.0 <i4 {:?} {order} 128", array.shape()));
            assert!(array.iter().copied().eq(0..array.len() as i32), "{name}: {array}");
            assert_eq!(array.is_standard_layout(), order == Order::C || array.is_empty(), "{name}");
        });
    }
    opens::<i32, Ix0>("shapes/scalar", |array| assert_eq!(array.into_scalar(), &0));
    opens::<i32, Ix2>("shapes/3x4", |array| assert_eq!((array[[2, 1]], array.strides()), (9, &[4, 1][..])));
    opens::<i32, Ix2>("shapes/3x4_f", |array| assert_eq!((array[[2, 1]], array.strides()), (9, &[1, 3][..])));
    opens::<i32, Ix2>("shapes/0x3", |array| assert_eq!(array.dim(), (0, 3)));
    opens::<i32, Ix3>("shapes/3x0x2", |array| assert_eq!(array.dim(), (3, 0, 2)));
}

#[test]
fn versions() {
    for name in ["1", "2", "3", "align_16", "python_2", "reordered"] {
        holds::<f64>(&format!("versions/{name}"), &[0.5, 1.5, 2.5]);
    }
}

#[test]
fn arrays_one_after_the_other() {
    refuses::<i32, Ix2>("versions/two", "TrailingBytes", &["byte 144", "has 284", "`trailing_bytes(true)`"]);
    let first = MmapArrayOptions::new().trailing_bytes(true);
    for result in open_with::<i32, Ix2>(&first, "versions/two", |array| assert_eq!(array, array![[0, 1], [2, 3]])) {
        result.unwrap();
    }
    let second = MmapArrayOptions::new().offset(144);
    for result in open_with::<f32, Ix1>(&second, "versions/two", |array| assert_eq!(array, array![0.5, 1.5, 2.5])) {
        result.unwrap();
    }
    for result in open_with::<f32, Ix1>(&second.offset(143), "versions/two", |_| panic!("opens")) {
        assert!(result.unwrap_err().to_string().contains("(at byte 143)"));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Zeroable, Pod)]
#[repr(C)]
struct Point {
    x: f32,
    y: f32,
}

impl NpyElement for Point {
    fn dtype() -> Dtype {
        Dtype::record([("x", Dtype::of::<f32>()), ("y", Dtype::of::<f32>())])
    }
}

/// As C lays it out: with padding after `flag` and after `id`, which NumPy gives as fields without names.
#[derive(Clone, Copy, Debug, PartialEq, Zeroable, Pod)]
#[repr(C)]
struct Sample {
    flag: u8,
    padding: [u8; 7],
    value: f64,
    id: u32,
    rest: [u8; 4],
}

impl NpyElement for Sample {
    fn dtype() -> Dtype {
        let padding = |bytes: &str| bytes.parse().unwrap();
        Dtype::record([
            ("flag", Dtype::of::<u8>()),
            ("", padding("|V7")),
            ("value", Dtype::of::<f64>()),
            ("id", Dtype::of::<u32>()),
            ("", padding("|V4")),
        ])
    }
}

#[test]
#[cfg(target_endian = "little")]
fn records_open_as_structs_that_describe_them() {
    opens::<Sample, Ix1>("records/padded", |array| {
        assert_eq!(array.len(), 3);
        assert_eq!((array[1].value, array[1].id), (1.5, 20));
    });
    refuses::<Sample, Ix1>("records/packed", "Dtype", &["('flag', '|u1'), ('value', '<f8')", "`NpyElement`"]);
    refuses::<Point, Ix1>("records/big_endian", "Dtype", &["('x', '>f4')"]);
    refuses::<Point, Ix1>("records/titles", "Dtype", &["'wind speed'"]);
    refuses::<Point, Ix1>("records/objects", "Dtype", &["Python objects, which cannot be mapped"]);
    refuses::<f64, Ix1>("records/nested", "Dtype", &["not f64 (<f8)", "implements `NpyElement`"]);
}

#[test]
fn what_cannot_be_opened() {
    refuses::<f64, Ix1>("types/object", "Dtype", &["|O (pickled Python objects), which cannot be mapped"]);
    refuses::<[u8; 8], Ix1>("types/object", "Dtype", &["cannot be mapped"]);
    refuses::<f64, Ix1>("types/f4", "Dtype", &["the file holds <f4, which opens as `f32`, not f64 (<f8)"]);
    refuses::<u16, Ix1>("types/b1", "Dtype", &["|b1 (bool), which opens as `u8`"]);
    refuses::<f64, Ix1>("types/datetime", "Dtype", &["which opens as `i64`"]);
    refuses::<f64, Ix1>("types/f16", "Dtype", &["which opens as `[u8; 16]`"]);
    refuses::<f64, Ix1>("big_endian/f8", "ByteOrder", &[">f8", "`[u8; N]`", "newbyteorder"]);
    refuses::<i32, Ix1>("big_endian/i4", "ByteOrder", &[">i4"]);
    refuses::<i32, Ix2>("shapes/2x3x4", "Dimensions", &["3 dimensions (shape [2, 3, 4]), not 2"]);
    refuses::<i32, Ix1>("shapes/scalar", "Dimensions", &["0 dimensions"]);
    refuses::<f64, Ix1>("refused/data_cut", "TooShort", &["needs 24 bytes from offset 128"]);
    refuses::<f64, Ix1>("refused/data_missing", "TooShort", &["the file has 128"]);
    refuses::<f64, Ix1>("refused/trailing", "TrailingBytes", &["the array ends at byte 152"]);
    refuses::<f64, Ix1>("refused/unaligned", "Misaligned", &["multiple of 8 bytes, the array begins at 71"]);
    refuses::<f64, IxDyn>("refused/shape_beyond_memory", "TooLarge", &["exceeds the address space"]);
    refuses::<f64, IxDyn>("refused/shape_beyond_memory_empty", "TooLarge", &["exceeds the address space"]);
}

/// What `create_npy` writes begins with what NumPy writes, byte for byte.
#[test]
#[cfg(target_endian = "little")]
fn our_headers_are_numpys() {
    #[track_caller]
    fn same<A: Pod + NpyElement>(name: &str, shape: impl ndarray::ShapeBuilder) {
        let dir = dir();
        let path = dir.path().join("ours.npy");
        create_npy_with::<A, _>(&MmapArrayOptions::new(), &path, shape).unwrap().close().unwrap();
        let (ours, numpys) = (fs::read(&path).unwrap(), bytes(&format!("headers/{name}")));
        let len = NpyHeader::read(&path).unwrap().data_offset() as usize;
        assert_eq!(ours[..len].escape_ascii().to_string(), numpys[..len].escape_ascii().to_string(), "{name}");
    }
    use ndarray::ShapeBuilder;
    same::<f64>("scalar", ());
    same::<f64>("0", 0);
    same::<f64>("5", 5);
    same::<f64>("3x4", (3, 4));
    same::<f64>("3x4_f", (3, 4).f());
    same::<f64>("123456x2", (123_456, 2));
    same::<f64>("123456x2_f", (123_456, 2).f());
    same::<Complex<f64>>("complex", 2);
    same::<u8>("bytes", 5);
    same::<[u32; 3]>("text", 2);
    same::<Sample>("record", 2);
}
