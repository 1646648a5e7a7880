//! Files written by NumPy (`tests/data/write.py`): headers, shapes, orders and sizes in every mode.
//! Opening changes none of them. Element types are tested in `npy_types`.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use bytemuck::Pod;
use ndarray::prelude::*;
use ndarray_mmap::{ErrorKind, MmapArrayOptions, NpyElement, NpyHeader, Order, Result};
use tempfile::TempDir;

use crate::support::*;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

pub fn bytes(name: &str) -> Vec<u8> {
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
pub fn opens<A: Pod + NpyElement, D: Dimension>(name: &str, look: impl Fn(ArrayView<'_, A, D>)) {
    for result in open_with(&MmapArrayOptions::new(), name, look) {
        result.unwrap();
    }
}

/// The file holds one axis of these elements.
#[track_caller]
pub fn holds<A: Pod + NpyElement + PartialEq + Debug>(name: &str, expected: &[A]) {
    opens::<A, Ix1>(name, |array| assert_eq!(array.as_slice(), Some(expected), "{name}"));
}

/// In no mode does the file open as `A` and `D`; the error is of that kind, and its message is this one after the path.
#[track_caller]
pub fn refuses<A: Pod + NpyElement, D: Dimension>(name: &str, kind: &str, message: &str) {
    for result in open_with::<A, D>(&MmapArrayOptions::new(), name, |_| panic!("{name} opens")) {
        let error = result.unwrap_err();
        let debug = format!("{:?}", error.kind());
        assert_eq!(debug.split(' ').next(), Some(kind), "{name}");
        assert_eq!(
            error.to_string(),
            format!("{}: {message}", error.path().unwrap().display()),
            "{name}"
        );
    }
}

/// Version, element type, shape, order and offset of the data of every file, or what is wrong with it, and where.
pub const HEADERS: &[(&str, &str)] = &[
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
    (
        "headers/names_quoted",
        r#"1.0 [("it's", '<f4'), ('"', '<f4'), ('a\\b\t', '<f4'), ('it\'s "', '<f4')] [2] C 192"#,
    ),
    ("headers/names_utf_8", "3.0 [('温度', '<f8')] [2] C 128"),
    (
        "headers/record",
        "1.0 [('flag', '|u1'), ('', '|V7'), ('value', '<f8'), ('id', '<u4'), ('', '|V4')] [2] C 192",
    ),
    ("headers/scalar", "1.0 <f8 [] C 128"),
    ("headers/text", "1.0 <U3 [2] C 128"),
    ("records/big_endian", "1.0 [('x', '>f4'), ('y', '<f4')] [1] C 128"),
    ("records/empty", "1.0 [] [1] C 128"),
    ("records/latin_1", "1.0 [('größe', '<f8'), ('m', '<f8')] [2] C 128"),
    (
        "records/nested",
        "1.0 [('at', [('x', '<f4'), ('y', '<f4')]), ('count', '<u2', (2,))] [2] C 192",
    ),
    ("records/objects", "1.0 [('x', '<f4'), ('o', '|O')] [1] C 128"),
    ("records/packed", "1.0 [('flag', '|u1'), ('value', '<f8'), ('id', '<u4')] [3] C 192"),
    (
        "records/padded",
        "1.0 [('flag', '|u1'), ('', '|V7'), ('value', '<f8'), ('id', '<u4'), ('', '|V4')] [3] C 192",
    ),
    ("records/titles", "1.0 [(('wind speed', 'v'), '<f4'), (('direction', 'd'), '<f4')] [2] C 192"),
    ("records/utf_8", "3.0 [('温度', '<f8'), ('m', '<f8')] [2] C 128"),
    (
        "refused/claims_40_kb",
        "invalid .npy header at byte 8: header length of 40000 bytes exceeds the limit of 10000",
    ),
    (
        "refused/claims_4_gib",
        "invalid .npy header at byte 8: header length of 4294967295 bytes exceeds the limit of 10000",
    ),
    (
        "refused/claims_less",
        "invalid .npy header at byte 50: expected a string, found the end of the header",
    ),
    ("refused/data_cut", "1.0 <f8 [3] C 128"),
    ("refused/data_missing", "1.0 <f8 [3] C 128"),
    ("refused/field_without_type", "invalid .npy header at byte 27: field without a type"),
    ("refused/key_missing", "invalid .npy header at byte 64: missing key `fortran_order`"),
    ("refused/key_twice", "invalid .npy header at byte 66: duplicate key `shape`"),
    ("refused/key_unknown", "invalid .npy header at byte 66: unknown key `x`"),
    (
        "refused/magic",
        r"the file does not start with \x93NUMPY; to map raw data, use `open` and a shape",
    ),
    ("refused/more", "invalid .npy header at byte 68: expected the end of the header, found `o`"),
    (
        "refused/no_end",
        "invalid .npy header at byte 128: expected a string, found the end of the header",
    ),
    (
        "refused/not_a_dictionary",
        "invalid .npy header at byte 10: expected the header dictionary, found `[`",
    ),
    ("refused/not_utf_8", "invalid .npy header at byte 24: the header is not valid UTF-8"),
    ("refused/nothing", "invalid .npy header at byte 0: the file is empty"),
    ("refused/order_number", "invalid .npy header at byte 44: expected True or False, found `1`"),
    ("refused/preamble", "invalid .npy header at byte 8: the file ends inside the header"),
    (
        "refused/shape_65_axes",
        "invalid .npy header at byte 253: shape with more than 64 dimensions",
    ),
    ("refused/shape_beyond_memory", "1.0 <f8 [4611686018427387904, 4611686018427387904] C 128"),
    (
        "refused/shape_beyond_memory_empty",
        "1.0 <f8 [4611686018427387904, 0, 4611686018427387904] C 128",
    ),
    (
        "refused/shape_beyond_usize",
        "invalid .npy header at byte 61: integer too large for this platform",
    ),
    (
        "refused/shape_code",
        "invalid .npy header at byte 61: expected a non-negative decimal integer, found `_`",
    ),
    ("refused/shape_list", "invalid .npy header at byte 60: expected a shape tuple, found `[`"),
    (
        "refused/shape_negative",
        "invalid .npy header at byte 61: expected a non-negative decimal integer, found `-`",
    ),
    (
        "refused/shape_number",
        "invalid .npy header at byte 63: expected a shape tuple, found a number in parentheses",
    ),
    (
        "refused/text_cut",
        "invalid .npy header at byte 100: header of 118 bytes is truncated after 90",
    ),
    ("refused/trailing", "1.0 <f8 [3] C 128"),
    (
        "refused/type_name",
        "invalid .npy header at byte 20: unknown dtype `f64`; did you mean `<f8`?",
    ),
    (
        "refused/type_number",
        "invalid .npy header at byte 20: expected a dtype (a string or a list of fields), found `8`",
    ),
    ("refused/type_string_open", "invalid .npy header at byte 20: unknown dtype `<f8, `"),
    ("refused/type_too_deep", "invalid .npy header at byte 71: brackets nested too deeply"),
    ("refused/type_too_large", "invalid .npy header at byte 57: dtype too large"),
    ("refused/type_unknown", "invalid .npy header at byte 20: unknown dtype `<f3`"),
    ("refused/unaligned", "1.0 <f8 [3] C 71"),
    (
        "refused/version_1_1",
        "invalid .npy header at byte 6: unsupported format version 1.1; expected 1.0, 2.0 or 3.0",
    ),
    (
        "refused/version_4",
        "invalid .npy header at byte 6: unsupported format version 4.0; expected 1.0, 2.0 or 3.0",
    ),
    (
        "refused/zip",
        "invalid .npy header at byte 0: the file is a zip archive (.npz); open it with `NpzArchive` (feature `npz`)",
    ),
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
    ("versions/type_letter", "1.0 <f8 [3] C 128"),
    ("versions/type_name", "1.0 <f8 [3] C 128"),
    ("versions/type_names_of_fields", "1.0 [('x', '<f4'), ('y', '<i4')] [3] C 128"),
];

/// A header in one line, as in the table.
fn in_one_line(header: &NpyHeader) -> String {
    let (major, minor) = header.version();
    format!(
        "{major}.{minor} {} {:?} {} {}",
        header.dtype(),
        header.shape(),
        header.order(),
        header.data_offset()
    )
}

#[test]
fn headers_report_shape_order_and_dtype() {
    for (name, expected) in HEADERS {
        let beyond_32_bits = ["refused/shape_beyond_memory", "refused/type_too_large"];
        let expected = match usize::BITS < 64
            && beyond_32_bits.iter().any(|beyond| name.starts_with(beyond))
        {
            true => "integer too large for this platform",
            false => expected,
        };
        match NpyHeader::read(data().join(format!("{name}.npy"))) {
            Ok(header) => assert_eq!(in_one_line(&header), expected, "{name}"),
            Err(error) => {
                assert!(
                    matches!(error.kind(), ErrorKind::InvalidHeader { .. }),
                    "{name}: {error:?}"
                );
                assert!(error.to_string().contains(expected), "{name}: {error}");
            }
        }
    }
}

#[test]
fn every_data_file_is_tested() {
    let mut found = BTreeSet::new();
    for group in fs::read_dir(data())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
    {
        for file in fs::read_dir(&group).unwrap().map(|entry| entry.unwrap().path()) {
            let names = [&group, &file].map(|path| path.file_stem().unwrap().to_str().unwrap());
            found.insert(names.join("/"));
        }
    }
    assert_eq!(found, HEADERS.iter().map(|(name, _)| (*name).to_owned()).collect());
}

#[test]
fn shapes_and_orders_match_numpy() {
    for (name, header) in HEADERS.iter().filter(|(name, _)| name.starts_with("shapes/")) {
        opens::<i32, IxDyn>(name, |array| {
            let order = if name.ends_with("_f") { Order::F } else { Order::C };
            assert_eq!(*header, format!("1.0 <i4 {:?} {order} 128", array.shape()));
            assert!(array.iter().copied().eq(0..array.len() as i32), "{name}: {array}");
            assert_eq!(array.is_standard_layout(), order == Order::C || array.is_empty(), "{name}");
        });
    }
    opens::<i32, Ix0>("shapes/scalar", |array| assert_eq!(array.into_scalar(), &0));
    opens::<i32, Ix2>("shapes/3x4", |array| {
        assert_eq!((array[[2, 1]], array.strides()), (9, &[4, 1][..]))
    });
    opens::<i32, Ix2>("shapes/3x4_f", |array| {
        assert_eq!((array[[2, 1]], array.strides()), (9, &[1, 3][..]))
    });
    opens::<i32, Ix2>("shapes/0x3", |array| assert_eq!(array.dim(), (0, 3)));
    opens::<i32, Ix3>("shapes/3x0x2", |array| assert_eq!(array.dim(), (3, 0, 2)));
}

#[test]
fn every_header_version_opens() {
    for name in ["1", "2", "3", "align_16", "python_2", "reordered"] {
        holds::<f64>(&format!("versions/{name}"), &[0.5, 1.5, 2.5]);
    }
}

#[test]
fn concatenated_arrays_need_trailing_bytes_and_offset() {
    let message = "140 trailing bytes: the array ends at byte 144, the file at 284; use \
         `MmapArrayOptions::trailing_bytes(true)` to allow them";
    refuses::<i32, Ix2>("versions/two", "TrailingBytes", message);
    let first = MmapArrayOptions::new().trailing_bytes(true);
    for result in open_with::<i32, Ix2>(&first, "versions/two", |array| {
        assert_eq!(array, array![[0, 1], [2, 3]])
    }) {
        result.unwrap();
    }
    let second = MmapArrayOptions::new().offset(144);
    for result in open_with::<f32, Ix1>(&second, "versions/two", |array| {
        assert_eq!(array, array![0.5, 1.5, 2.5])
    }) {
        result.unwrap();
    }
    for result in open_with::<f32, Ix1>(&second.offset(143), "versions/two", |_| panic!("opens")) {
        assert!(result.unwrap_err().to_string().contains("invalid .npy header at byte 143: "));
    }
}

#[test]
fn wrong_dimensions_and_sizes_are_errors() {
    let message = "expected 2 dimensions, found 3 (shape [2, 3, 4]); use `Ix3` or `IxDyn`";
    refuses::<i32, Ix2>("shapes/2x3x4", "DimensionMismatch", message);
    refuses::<i32, Ix1>(
        "shapes/scalar",
        "DimensionMismatch",
        "expected 1 dimension, found 0 (shape []); use `Ix0` or `IxDyn`",
    );
    let message = "expected 1 dimension, found 8 (shape [2, 1, 3, 1, 2, 1, 1, 2]); use `IxDyn`";
    refuses::<i32, Ix1>("shapes/2x1x3x1x2x1x1x2", "DimensionMismatch", message);
    let too_short = |found: usize| {
        format!(
            "too short: shape [3] of f64 in C order at offset 128 needs 24 bytes and ends at byte \
             152, but there are {found} bytes; the file was truncated, or not all data has been \
             written: copy or save it again"
        )
    };
    refuses::<f64, Ix1>("refused/data_cut", "TooShort", &too_short(151));
    refuses::<f64, Ix1>("refused/data_missing", "TooShort", &too_short(128));
    let message = "1 trailing byte: the array ends at byte 152, the file at 153; use \
         `MmapArrayOptions::trailing_bytes(true)` to allow them";
    refuses::<f64, Ix1>("refused/trailing", "TrailingBytes", message);
    let align = align_of::<f64>(); // 4 on some 32-bit systems
    let message = format!(
        "misaligned data: f64 needs {align}-byte alignment, but the array starts at 71 ({} bytes \
         past a multiple); read it with `ArrayFile`, or copy the data to an aligned offset",
        71 % align
    );
    refuses::<f64, Ix1>("refused/unaligned", "Misaligned", &message);
}

#[test]
#[cfg(target_pointer_width = "64")]
fn shapes_beyond_memory_are_errors() {
    let too_large = |shape: &str| {
        format!("array too large: shape {shape} of f64 at offset 128 exceeds the address space")
    };
    let huge = 1_u64 << 62;
    let name = "refused/shape_beyond_memory";
    refuses::<f64, IxDyn>(name, "TooLarge", &too_large(&format!("[{huge}, {huge}]")));
    let name = "refused/shape_beyond_memory_empty";
    refuses::<f64, IxDyn>(name, "TooLarge", &too_large(&format!("[{huge}, 0, {huge}]")));
}
