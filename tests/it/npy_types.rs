//! Files written by NumPy (`tests/data/write.py`): the element types that they open as, and the
//! errors for all others.

use std::fs;

use bytemuck::{Pod, Zeroable};
use ndarray::{ShapeBuilder, prelude::*};
use ndarray_mmap::{Dtype, MmapArrayOptions, NpyElement, NpyHeader};
use num_complex::Complex;

use crate::npy_files::{HEADERS, bytes, holds, opens, refuses};
use crate::support::*;

#[test]
fn scalar_dtypes_open_as_rust_types() {
    holds::<i8>("types/i1", &[i8::MIN, 1, i8::MAX]);
    holds::<i16>("types/i2", &[i16::MIN, 1, i16::MAX]);
    holds::<i32>("types/i4", &[i32::MIN, 1, i32::MAX]);
    holds::<i64>("types/i8", &[i64::MIN, 1, i64::MAX]);
    let of_this_machine = |letter: char| format!("types/{letter}{}", size_of::<usize>());
    holds::<isize>(&of_this_machine('i'), &[isize::MIN, 1, isize::MAX]);
    holds::<u8>("types/u1", &[0, 1, u8::MAX]);
    holds::<u16>("types/u2", &[0, 1, u16::MAX]);
    holds::<u32>("types/u4", &[0, 1, u32::MAX]);
    holds::<u64>("types/u8", &[0, 1, u64::MAX]);
    holds::<usize>(&of_this_machine('u'), &[0, 1, usize::MAX]);
    #[cfg(feature = "half")]
    holds::<half::f16>(
        "types/f2",
        &[half::f16::from_f32(-1.5), half::f16::from_f32(0.25), half::f16::MAX],
    );
    holds::<f32>("types/f4", &[-1.5, 0.25, f32::MAX]);
    holds::<f64>("types/f8", &[-1.5, 0.25, f64::MAX]);
    holds::<Complex<f32>>(
        "types/c8",
        &[Complex::new(1.0, -2.0), Complex::new(0.0, 0.5), Complex::new(-3.0, 0.0)],
    );
    holds::<Complex<f64>>(
        "types/c16",
        &[Complex::new(1.0, -2.0), Complex::new(0.0, 0.5), Complex::new(-3.0, 0.0)],
    );
    holds::<[u8; 5]>("types/S5", &[*b"\0\0\0\0\0", *b"abc\0\0", *b"abcde"]);
    holds::<[u32; 3]>(
        "types/U3",
        &[[0; 3], ['a' as u32, 'é' as u32, 0], ['日' as u32, '本' as u32, '😀' as u32]],
    );
    holds::<i64>("types/datetime", &[1, i64::MIN, 1_709_164_800_000_000_000]);
    holds::<i64>("types/timedelta", &[-1, i64::MIN, 86_400]);
}

/// A `bool` of NumPy, which stores nothing but 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Zeroable, Pod)]
#[repr(transparent)]
struct Bool(u8);

impl NpyElement for Bool {
    fn dtype() -> Dtype {
        "|b1".parse().unwrap()
    }
}

/// As `u8` and as bytes, of which 254 values are no `bool`. To be written they take a type that is declared as one.
#[test]
fn bools_open_as_bytes_for_reading_only() {
    fn check<A: Pod + NpyElement + PartialEq + std::fmt::Debug>(
        path: &std::path::Path,
        expected: &[A],
        writes: bool,
    ) {
        let options = MmapArrayOptions::new();
        let before = fs::read(path).unwrap();
        assert_eq!(read_npy_with::<A, Ix1>(&options, path).unwrap().as_slice(), Some(expected));
        let mut private = cow_npy_with::<A, Ix1>(&options, path).unwrap();
        assert_eq!(private.as_slice(), Some(expected));
        private.fill(expected[0]);
        drop(private);
        match writes {
            true => assert_eq!(
                write_npy_with::<A, Ix1>(&options, path).unwrap().as_slice(),
                Some(expected)
            ),
            false => {
                let result = write_npy_with::<A, Ix1>(&options, path);
                let message = result.as_ref().unwrap_err().to_string();
                assert!(
                    message.contains("(`MmapArray::open_npy`, `MmapArrayCow::open_npy`)"),
                    "{message}"
                );
                refused(result, path, |kind| {
                    matches!(kind, ndarray_mmap::ErrorKind::DtypeMismatch { .. })
                });
            }
        }
        assert_eq!(fs::read(path).unwrap(), before);
    }
    let dir = dir();
    let path = dir.path().join("bools.npy");
    fs::write(&path, bytes("types/b1")).unwrap();
    check::<u8>(&path, &[1, 0, 1], false);
    check::<[u8; 1]>(&path, &[[1], [0], [1]], false);
    check::<Bool>(&path, &[Bool(1), Bool(0), Bool(1)], true);
    create_npy_with::<Bool, _>(&MmapArrayOptions::new(), &path, 2).unwrap().fill(Bool(1));
    check::<u8>(&path, &[1, 1], false);
    let write = |descr: &str, elements: &[u8]| {
        let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (1,)}}");
        let header =
            [b"\x93NUMPY\x01\0", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat();
        fs::write(&path, [&header, elements].concat()).unwrap();
    };
    write("[('|b1', '|u1'), ('flag', [('x', '|b1', (2,))])]", &[5, 1, 0]);
    check::<[u8; 3]>(&path, &[[5, 1, 0]], false);
    write("[('|b1', '|u1'), ('flag', [('x', '|i1', (2,))])]", &[5, 1, 0]);
    check::<[u8; 3]>(&path, &[[5, 1, 0]], true);
    write("'?'", &[1]);
    check::<u8>(&path, &[1], false);
}

#[test]
fn dtypes_without_rust_type_open_as_bytes() {
    holds::<[u8; 7]>(
        "types/V7",
        &[[0, 1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12, 13], [14, 15, 16, 17, 18, 19, 20]],
    );
    // -1.5, 0.25 and 3 in the format of the x87: fraction, then sign and exponent, then nothing.
    let extended =
        [(0xC0, 0xBFFF_u16), (0x80, 0x3FFD), (0xC0, 0x4000)].map(|(fraction, exponent)| {
            let [low, high] = exponent.to_le_bytes();
            [0, 0, 0, 0, 0, 0, 0, fraction, low, high, 0, 0, 0, 0, 0, 0]
        });
    holds::<[u8; 16]>("types/f16", &extended);
    opens::<[u8; 32], Ix1>("types/c32", |array| {
        let pairs = extended.map(|number| [number; 2]);
        assert_eq!(array.as_slice().unwrap().as_flattened(), pairs.as_flattened().as_flattened());
    });
    opens::<[u8; 8], Ix1>("big_endian/f8", |array| {
        assert_eq!(array.map(|bytes| f64::from_be_bytes(*bytes)), array![-1.5, 0.25, 3.0]);
    });
    opens::<[u8; 4], Ix1>("big_endian/i4", |array| {
        assert_eq!(array.map(|bytes| i32::from_be_bytes(*bytes)), array![-1, 2, 3]);
    });
    opens::<[u8; 16], Ix1>("big_endian/c16", |array| {
        let parts = |bytes: &[u8; 16]| {
            bytes.as_chunks().0.iter().map(|part| f64::from_be_bytes(*part)).collect::<Vec<_>>()
        };
        assert_eq!(array.map(parts), array![vec![1.0, -2.0], vec![0.0, 0.5], vec![-3.0, 0.0]]);
    });
    opens::<[u8; 12], Ix1>("big_endian/U3", |array| {
        let text = |bytes: &[u8; 12]| {
            let chars = bytes
                .as_chunks()
                .0
                .iter()
                .map(|char| char::from_u32(u32::from_be_bytes(*char)).unwrap());
            chars.collect::<String>()
        };
        assert_eq!(array.map(text), array!["\0\0\0", "a\0\0", "abc"]);
    });
    opens::<[u8; 8], Ix1>("big_endian/datetime", |array| {
        assert_eq!(array.map(|bytes| i64::from_be_bytes(*bytes)), array![1, 2, 3]);
    });
    // With alignment 1, the data may begin anywhere.
    opens::<[u8; 8], Ix1>("refused/unaligned", |array| {
        assert_eq!(array.map(|bytes| f64::from_le_bytes(*bytes)), array![0.5, 1.5, 2.5]);
    });
    opens::<[u8; 13], Ix1>("records/packed", |array| {
        assert_eq!(array[1], *b"\x02\0\0\0\0\0\0\xF8\x3F\x14\0\0\0")
    });
    opens::<[u8; 0], Ix1>("records/empty", |array| assert_eq!(array.len(), 1));
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

/// Structs for the other records, each with its type as NumPy spells it.
macro_rules! records {
    ($($(#[$attribute:meta])* $name:ident { $($field:ident: $type:ty),* } $dtype:literal;)*) => {$(
        #[derive(Clone, Copy, Debug, PartialEq, Zeroable, Pod)]
        $(#[$attribute])*
        struct $name {
            $($field: $type),*
        }

        impl NpyElement for $name {
            fn dtype() -> Dtype {
                $dtype.parse().unwrap()
            }
        }
    )*};
}
records! {
    #[repr(C, packed)]
    Packed { flag: u8, value: f64, id: u32 } "[('flag', '|u1'), ('value', '<f8'), ('id', '<u4')]";
    #[repr(C)]
    Nested { at: Point, count: [u16; 2] } "[('at', [('x', '<f4'), ('y', '<f4')]), ('count', '<u2', (2,))]";
    #[repr(C)]
    Wind { v: f32, d: f32 } "[(('wind speed', 'v'), '<f4'), (('direction', 'd'), '<f4')]";
    #[repr(C)]
    MixedEnds { x: [u8; 4], y: f32 } "[('x', '>f4'), ('y', '<f4')]";
    #[repr(C)]
    Latin { size: f64, m: f64 } "[('größe', '<f8'), ('m', '<f8')]";
    #[repr(C)]
    Beyond { temperature: f64, m: f64 } "[('温度', '<f8'), ('m', '<f8')]";
    #[repr(C)]
    Nothing {} "[]";
    #[repr(C)]
    FullLine { value: f64 } "[('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '<f8')]";
    #[repr(C)]
    OneLatin { size: f64 } "[('größe', '<f8')]";
    #[repr(C)]
    OneBeyond { temperature: f64 } "[('温度', '<f8')]";
    #[repr(C)]
    Quoted { values: [f32; 4] } r#"[("it's", '<f4'), ('"', '<f4'), ('a\\b\t', '<f4'), ('it\'s "', '<f4')]"#;
}

#[test]
#[cfg(target_endian = "little")]
fn records_open_as_structs_with_matching_dtype() {
    let sample = |flag, value, id| Sample { flag, padding: [0; 7], value, id, rest: [0; 4] };
    holds("records/padded", &[sample(1, 0.5, 10), sample(2, 1.5, 20), sample(3, 2.5, 30)]);
    holds(
        "records/packed",
        &[(1, 0.5, 10), (2, 1.5, 20), (3, 2.5, 30)].map(|(flag, value, id)| Packed {
            flag,
            value,
            id,
        }),
    );
    let nested = |x, y, count| Nested { at: Point { x, y }, count };
    holds("records/nested", &[nested(1.0, 2.0, [3, 4]), nested(5.0, 6.0, [7, 8])]);
    holds("records/titles", &[Wind { v: 1.0, d: 2.0 }, Wind { v: 3.0, d: 4.0 }]);
    holds("records/big_endian", &[MixedEnds { x: 1_f32.to_be_bytes(), y: 2.0 }]);
    holds("records/latin_1", &[Latin { size: 1.0, m: 2.0 }, Latin { size: 3.0, m: 4.0 }]);
    holds(
        "records/utf_8",
        &[Beyond { temperature: 1.0, m: 2.0 }, Beyond { temperature: 3.0, m: 4.0 }],
    );
    holds("records/empty", &[Nothing {}]);
}

/// A file, a type it does not hold, and the two parts of the message: what it holds, and what was asked for.
type WrongType = (&'static str, fn(&str, &str), &'static str, &'static str);

macro_rules! a_struct {
    ($descr:literal) => {
        concat!($descr, ", which opens as a struct that implements `NpyElement`")
    };
}

const POINT: &str = "it::npy_types::Point ([('x', '<f4'), ('y', '<f4')])";
const PACKED: &str = "it::npy_types::Packed ([('flag', '|u1'), ('value', '<f8'), ('id', '<u4')])";
const SAMPLE: &str =
    "it::npy_types::Sample ([('flag', '|u1'), ('', '|V7'), ('value', '<f8'), ('id', '<u4…)";

const WRONG_TYPES: &[WrongType] = &[
    ("types/b1", refuse::<i8>, "|b1 (bool), which opens as `u8`", "i8 (|i1)"),
    ("types/b1", refuse::<u16>, "|b1 (bool), which opens as `u8`", "u16 (<u2)"),
    ("types/b1", refuse::<[u8; 3]>, "|b1 (bool), which opens as `u8`", "[u8; 3] (|S3)"),
    ("types/i1", refuse::<u8>, "|i1, which opens as `i8`", "u8 (|u1)"),
    ("types/i2", refuse::<u16>, "<i2, which opens as `i16`", "u16 (<u2)"),
    ("types/i4", refuse::<f32>, "<i4, which opens as `i32`", "f32 (<f4)"),
    ("types/i4", refuse::<[u32; 1]>, "<i4, which opens as `i32`", "[u32; 1] (<U1)"),
    ("types/i8", refuse::<u64>, "<i8, which opens as `i64`", "u64 (<u8)"),
    ("types/i8", refuse::<[u8; 4]>, "<i8, which opens as `i64`", "[u8; 4] (|S4)"),
    ("types/u1", refuse::<i8>, "|u1, which opens as `u8`", "i8 (|i1)"),
    ("types/u2", refuse::<i16>, "<u2, which opens as `u16`", "i16 (<i2)"),
    ("types/u4", refuse::<f32>, "<u4, which opens as `u32`", "f32 (<f4)"),
    ("types/u8", refuse::<i64>, "<u8, which opens as `u64`", "i64 (<i8)"),
    #[cfg(feature = "half")]
    ("types/f2", refuse::<u16>, "<f2, which opens as `half::f16`", "u16 (<u2)"),
    #[cfg(not(feature = "half"))]
    (
        "types/f2",
        refuse::<u16>,
        "<f2, which opens as `half::f16` with the feature `half`, or as `[u8; 2]`",
        "u16 (<u2)",
    ),
    ("types/f4", refuse::<f64>, "<f4, which opens as `f32`", "f64 (<f8)"),
    #[cfg(feature = "half")]
    ("types/f4", refuse::<half::f16>, "<f4, which opens as `f32`", "half::binary16::f16 (<f2)"),
    ("types/f8", refuse::<f32>, "<f8, which opens as `f64`", "f32 (<f4)"),
    ("types/f8", refuse::<Point>, "<f8, which opens as `f64`", POINT),
    ("types/c8", refuse::<f64>, "<c8, which opens as `Complex<f32>`", "f64 (<f8)"),
    (
        "types/c8",
        refuse::<Complex<f64>>,
        "<c8, which opens as `Complex<f32>`",
        "num_complex::Complex<f64> (<c16)",
    ),
    ("types/c16", refuse::<f64>, "<c16, which opens as `Complex<f64>`", "f64 (<f8)"),
    ("types/f16", refuse::<f64>, "<f16, which opens as `[u8; 16]`", "f64 (<f8)"),
    (
        "types/f16",
        refuse::<Complex<f64>>,
        "<f16, which opens as `[u8; 16]`",
        "num_complex::Complex<f64> (<c16)",
    ),
    ("types/c32", refuse::<f64>, "<c32, which opens as `[u8; 32]`", "f64 (<f8)"),
    ("types/S5", refuse::<u8>, "|S5, which opens as `[u8; 5]`", "u8 (|u1)"),
    ("types/S5", refuse::<[u8; 6]>, "|S5, which opens as `[u8; 5]`", "[u8; 6] (|S6)"),
    ("types/U3", refuse::<u32>, "<U3, which opens as `[u32; 3]`", "u32 (<u4)"),
    ("types/U3", refuse::<[u32; 4]>, "<U3, which opens as `[u32; 3]`", "[u32; 4] (<U4)"),
    ("types/V7", refuse::<u8>, "|V7, which opens as `[u8; 7]`", "u8 (|u1)"),
    ("types/datetime", refuse::<u64>, "<M8[ns] (times), which opens as `i64`", "u64 (<u8)"),
    (
        "types/timedelta",
        refuse::<f64>,
        "<m8[s] (time differences), which opens as `i64`",
        "f64 (<f8)",
    ),
    (
        "types/object",
        refuse::<f64>,
        "|O (pickled Python objects), which cannot be mapped",
        "f64 (<f8)",
    ),
    (
        "types/object",
        refuse::<[u8; 8]>,
        "|O (pickled Python objects), which cannot be mapped",
        "[u8; 8] (|S8)",
    ),
    (
        "big_endian/U3",
        refuse::<u32>,
        ">U3, in the other byte order, which opens as `[u8; 12]` if it is mapped",
        "u32 (<u4)",
    ),
    (
        "big_endian/c16",
        refuse::<f64>,
        ">c16, in the other byte order, which `ArrayFile` converts, and which opens as `[u8; 16]` if it is mapped",
        "f64 (<f8)",
    ),
    ("big_endian/datetime", refuse::<f64>, ">M8[ns], which opens as `[u8; 8]`", "f64 (<f8)"),
    (
        "big_endian/f8",
        refuse::<i64>,
        ">f8, in the other byte order, which `ArrayFile` and `LazyArray::open_npy` convert, and which opens as `[u8; 8]` if it is mapped",
        "i64 (<i8)",
    ),
    (
        "big_endian/i4",
        refuse::<u32>,
        ">i4, in the other byte order, which `ArrayFile` and `LazyArray::open_npy` convert, and which opens as `[u8; 4]` if it is mapped",
        "u32 (<u4)",
    ),
    (
        "records/padded",
        refuse::<Packed>,
        "a record whose field 2 is ('', '|V7'), not ('value', '<f8'); declare this padding as a \
         field of the `dtype`: \
         `(\"\", \"|V7\".parse()?)`",
        PACKED,
    ),
    (
        "records/packed",
        refuse::<Sample>,
        "a record whose field 2 is ('value', '<f8'), not ('', '|V7'); the file has no padding there: make the struct \
         `#[repr(C, packed)]`",
        SAMPLE,
    ),
    (
        "records/nested",
        refuse::<f64>,
        a_struct!("[('at', [('x', '<f4'), ('y', '<f4')]), ('count', '<u2', (2,)…"),
        "f64 (<f8)",
    ),
    (
        "records/titles",
        refuse::<Point>,
        "a record whose field 1 is (('wind speed', 'v'), '<f4'), not ('x', '<f4')",
        POINT,
    ),
    (
        "records/big_endian",
        refuse::<Point>,
        "a record whose field 1 is ('x', '>f4'), not ('x', '<f4'); it is in the other byte order: \
         declare it as bytes (`[u8; N]`) and convert",
        POINT,
    ),
    (
        "records/objects",
        refuse::<Point>,
        "[('x', '<f4'), ('o', '|O')], with Python objects, which cannot be mapped",
        POINT,
    ),
    ("records/latin_1", refuse::<f64>, a_struct!("[('größe', '<f8'), ('m', '<f8')]"), "f64 (<f8)"),
    ("records/utf_8", refuse::<f64>, a_struct!("[('温度', '<f8'), ('m', '<f8')]"), "f64 (<f8)"),
    ("records/empty", refuse::<u8>, a_struct!("[]"), "u8 (|u1)"),
];

fn refuse<A: Pod + NpyElement>(name: &str, message: &str) {
    refuses::<A, Ix1>(name, "DtypeMismatch", message);
}

#[test]
fn wrong_types_are_errors() {
    for (name, refuse, found, expected) in WRONG_TYPES {
        refuse(name, &format!("dtype mismatch: expected {expected}, found {found}"));
    }
    let files = HEADERS.iter().map(|(name, _)| *name);
    let missing: Vec<_> = files
        .filter(|name| {
            ["types/", "big_endian/", "records/"].iter().any(|group| name.starts_with(group))
        })
        .filter(|name| !WRONG_TYPES.iter().any(|(tried, ..)| tried == name))
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn other_byte_order_is_an_error() {
    #[track_caller]
    fn swapped<A: Pod + NpyElement>(name: &str, found: &str) {
        let advice = "read it with `ArrayFile::open_npy`, or rewrite it with \
                      `a.astype(a.dtype.newbyteorder('='))` in NumPy";
        refuses::<A, Ix1>(
            name,
            "ByteOrderMismatch",
            &format!("byte order mismatch: the file stores {found}; {advice}"),
        );
    }
    swapped::<f64>("big_endian/f8", ">f8");
    swapped::<i32>("big_endian/i4", ">i4");
    swapped::<Complex<f64>>("big_endian/c16", ">c16");
    swapped::<[u32; 3]>("big_endian/U3", ">U3");
    swapped::<i64>("big_endian/datetime", ">M8[ns]");
}

/// What `create_npy` writes begins with what NumPy writes, byte for byte.
#[test]
#[cfg(target_endian = "little")]
fn created_headers_equal_numpys() {
    #[track_caller]
    fn same<A: Pod + NpyElement>(name: &str, shape: impl ShapeBuilder) {
        let dir = dir();
        let path = dir.path().join("ours.npy");
        create_npy_with::<A, _>(&MmapArrayOptions::new(), &path, shape).unwrap().close().unwrap();
        let (ours, numpys) = (fs::read(&path).unwrap(), bytes(&format!("headers/{name}")));
        let len = NpyHeader::read(&path).unwrap().data_offset() as usize;
        assert_eq!(
            ours[..len].escape_ascii().to_string(),
            numpys[..len].escape_ascii().to_string(),
            "{name}"
        );
    }
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
    same::<FullLine>("full_line", 2);
    same::<OneLatin>("names_latin_1", 2);
    same::<OneBeyond>("names_utf_8", 2);
    same::<Quoted>("names_quoted", 2);
}
