//! Arrays whose elements are converted from the numbers in a file, or from other elements.

use std::fmt::Debug;
use std::path::PathBuf;

use ndarray::prelude::*;
use ndarray_mmap::num_complex::Complex;
use ndarray_mmap::{ErrorKind, LazyArray, MmapArrayOptions, NumericElement, prelude::*};
use tempfile::TempDir;

use super::{check, noise, table};

/// Writes an `.npy` file with a header as NumPy writes it.
fn npy(dir: &TempDir, descr: &str, order: &str, shape: &[usize], data: &[u8]) -> PathBuf {
    let lens: String = shape.iter().map(|len| format!("{len}, ")).collect();
    let text =
        format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': ({}), }}\n", lens.trim());
    // An offset that is not a multiple of any alignment.
    let text = format!("{}{text}", " ".repeat((text.len() + 1) % 2));
    let len = u16::try_from(text.len()).unwrap().to_le_bytes();
    let path = dir.path().join("table.npy");
    std::fs::write(&path, [b"\x93NUMPY\x01\0", &len[..], text.as_bytes(), data].concat()).unwrap();
    path
}

/// A number of a file, exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Exact {
    Integer(i128),
    Float(f64),
}

/// A type of numbers in files.
struct Kind {
    descr: &'static str,
    size: usize,
    /// Decodes the value of little-endian bytes.
    exact: fn(&[u8]) -> Exact,
}

macro_rules! kinds {
    ($($descr:literal $type:ty, $exact:expr;)*) => {
        [$(Kind {
            descr: $descr,
            size: size_of::<$type>(),
            exact: |bytes| $exact(<$type>::from_le_bytes(bytes.try_into().unwrap())),
        }),*]
    };
}

/// The value of a `float16` by its definition.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, digits) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    match exponent {
        31 if digits > 0.0 => f64::NAN,
        31 => sign * f64::INFINITY,
        0 => sign * digits * 2_f64.powi(-24),
        _ => sign * (1024.0 + digits) * 2_f64.powi(exponent - 25),
    }
}

fn kinds() -> [Kind; 12] {
    use Exact::{Float, Integer};
    kinds! {
        "b1" u8, |x| Integer(i128::from(x != 0));
        "i1" i8, |x| Integer(i128::from(x));
        "i2" i16, |x| Integer(i128::from(x));
        "i4" i32, |x| Integer(i128::from(x));
        "i8" i64, |x| Integer(i128::from(x));
        "u1" u8, |x| Integer(i128::from(x));
        "u2" u16, |x| Integer(i128::from(x));
        "u4" u32, |x| Integer(i128::from(x));
        "u8" u64, |x| Integer(i128::from(x));
        "f2" u16, |x| Float(half(x));
        "f4" f32, |x| Float(f64::from(x));
        "f8" f64, Float;
    }
}

/// Returns the little-endian bytes of numbers: those with the extreme values of all types, with
/// single digits, and random ones.
fn numbers(kind: &Kind, count: usize) -> Vec<u8> {
    let mut noise = noise(kind.size as u64 + 5);
    let mut bits = vec![0, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 0x5555_5555_5555_5555];
    bits.extend((0..64).flat_map(|digit| [1 << digit, (1_u64 << digit) - 1, !0 << digit]));
    for special in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.1, -300.7, 1e300, 1e19] {
        let single = (special as f32).to_bits();
        bits.extend([special.to_bits(), single.into(), (single >> 16).into()]);
    }
    bits.extend([0x7c00, 0xfc00, 0x7e00, 0x8000, 0x7bff, 0x03ff, 0x0001]);
    while bits.len() < count {
        bits.push((noise() * 2_f64.powi(64)) as u64 ^ (noise() * 2_f64.powi(32)) as u64);
    }
    bits.iter()
        .flat_map(|bits| bits.to_le_bytes()[..kind.size].to_vec())
        .take(count * kind.size)
        .collect()
}

/// The conversions of `as` between exact values.
trait Target: NumericElement + Debug + PartialEq {
    fn rounded(value: Exact) -> Self;
    fn exact(self) -> Exact;
    fn is_same(self, other: Self) -> bool {
        self == other
    }
}

macro_rules! targets {
    ($($integer:ty)*) => {$(
        impl Target for $integer {
            fn rounded(value: Exact) -> Self {
                let value = match value {
                    Exact::Integer(value) => value,
                    Exact::Float(value) => value as i128,
                };
                value.clamp(Self::MIN as i128, Self::MAX as i128) as Self
            }

            fn exact(self) -> Exact {
                Exact::Integer(self as i128)
            }
        }
    )*};
    ($($float:ty,)*) => {$(
        impl Target for $float {
            fn rounded(value: Exact) -> Self {
                match value {
                    Exact::Integer(value) => value as Self,
                    Exact::Float(value) => value as Self,
                }
            }

            fn exact(self) -> Exact {
                Exact::Float(self.into())
            }

            fn is_same(self, other: Self) -> bool {
                self.to_bits() == other.to_bits() || self.is_nan() && other.is_nan()
            }
        }
    )*};
}
targets! { i8 i16 i32 i64 isize u8 u16 u32 u64 usize }
targets! { f32, f64, }

/// Returns whether a converted number has the same value.
fn is_exact(value: Exact, converted: Exact) -> bool {
    match (value, converted) {
        (Exact::Float(a), Exact::Float(b)) => a.is_same(b),
        (Exact::Integer(a), Exact::Float(b)) => b as i128 == a && (b as i128) as f64 == b,
        (Exact::Float(_), Exact::Integer(_)) => false,
        (a, b) => a == b,
    }
}

/// Compares all conversions to a type with those of exact values.
fn convert_all<A: Target>() {
    const SHAPE: [usize; 2] = [23, 17];
    let dir = tempfile::tempdir().unwrap();
    for kind in kinds() {
        let little = numbers(&kind, SHAPE[0] * SHAPE[1]);
        let values: Vec<_> = little.chunks(kind.size).map(kind.exact).collect();
        let is_exact = values.iter().all(|&x| is_exact(x, A::rounded(x).exact()));
        let big: Vec<_> =
            little.chunks(kind.size).flat_map(|number| number.iter().rev()).copied().collect();
        for (sign, data, order) in [
            ('<', &little, "False"),
            ('>', &big, "False"),
            ('<', &little, "True"),
            ('>', &big, "True"),
        ] {
            let descr = format!("'{sign}{}'", kind.descr);
            let path = npy(&dir, &descr, order, &SHAPE, data);
            let lossy = LazyArray::<A, Ix2>::open_npy_lossy(&path).unwrap();
            let exact = LazyArray::<A, Ix2>::open_npy(&path);
            let name = format!("{descr} to {}", std::any::type_name::<A>());
            assert_eq!(exact.is_ok(), is_exact, "{name}");

            let shape = SHAPE.set_f(order == "True");
            let expected = Array2::from_shape_vec(shape, values.clone()).unwrap();
            for array in exact.into_iter().chain([lossy]) {
                assert_eq!(array.path(), Some(&*path));
                let whole = array.chunked().chunk_bytes(usize::MAX);
                let parts = array.chunked().chunk_shape((3, 5)).halo((1, 2));
                for (region, chunk) in whole.indexed().into_iter().chain(parts.indexed()) {
                    let [rows, columns] = [0, 1].map(|axis| region.halo_range(Axis(axis)));
                    let expected = expected.slice(s![rows, columns]);
                    assert_eq!(chunk.shape(), expected.shape());
                    for (&found, &expected) in chunk.iter().zip(expected) {
                        assert!(found.is_same(A::rounded(expected)), "{name}: {expected:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn numbers_are_converted_to_floats() {
    convert_all::<f32>();
    convert_all::<f64>();
}

#[test]
fn numbers_are_converted_to_integers() {
    convert_all::<i8>();
    convert_all::<i16>();
    convert_all::<i32>();
    convert_all::<i64>();
    convert_all::<isize>();
    convert_all::<u8>();
    convert_all::<u16>();
    convert_all::<u32>();
    convert_all::<u64>();
    convert_all::<usize>();
}

#[test]
fn statistics_of_decoded_files_have_the_bits_of_arrays_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let table = table((700, 301));
    let single = table.mapv(|x| x as f32);
    let bytes: Vec<u8> = single.iter().flat_map(|x| x.to_be_bytes()).collect();
    let path = npy(&dir, "'>f4'", "False", &[700, 301], &bytes);
    let lazy = LazyArray::open_npy(&path).unwrap();
    check("single precision", &lazy, single.mapv(f64::from).view());

    let path = npy(&dir, "'>f4'", "True", &[301, 700], &bytes);
    let lazy = LazyArray::open_npy(&path).unwrap();
    check("Fortran order", &lazy, single.mapv(f64::from).t());

    let bytes: Vec<u8> = table.iter().flat_map(|x| x.to_be_bytes()).collect();
    let path = npy(&dir, "'>f8'", "False", &[700, 301], &bytes);
    let lazy = LazyArray::open_npy(&path).unwrap();
    check("swapped", &lazy, table.view());
}

/// Returns the bytes of records that contain a number at an offset, between other bytes.
fn records(numbers: impl Iterator<Item = impl AsRef<[u8]>>, offset: usize, size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in numbers {
        let start = bytes.len();
        bytes.resize(start + size, 0xa5);
        let at = start + offset;
        bytes[at..at + number.as_ref().len()].copy_from_slice(number.as_ref());
    }
    bytes
}

#[test]
fn fields_of_records_are_read_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let table = table((300, 101));
    // Records whose gaps are read with the fields, and records whose gaps are not.
    for (gap, rows) in [(3, 300), (70, 300), (2_000, 40), (20_000, 7)] {
        let part = table.slice(s![..rows, ..]);
        let shape = [rows, 101];
        let big = records(part.iter().map(|x| x.to_be_bytes()), gap + 1, gap + 9);
        let descr =
            format!("[('a', '|u1'), ('outer', [('', '|V{gap}'), (('a title', 'inner'), '>f8')])]");
        let path = npy(&dir, &descr, "False", &shape, &big);
        let lazy = LazyArray::open_npy_field(&path, "outer.inner").unwrap();
        check(&format!("gaps of {gap} bytes"), &lazy, part);

        let path = npy(&dir, &descr, "True", &[101, rows], &big);
        let lazy = LazyArray::open_npy_field(&path, "outer.inner").unwrap();
        check(&format!("gaps of {gap} bytes, Fortran order"), &lazy, part.t());
        let first = LazyArray::<u16, Ix2>::open_npy_field(&path, "a").unwrap();
        assert_eq!(first.chunked().sum().unwrap(), 0xa5 * part.len() as i128);
    }
}

#[test]
fn times_are_read_as_integers() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = [7_i64, i64::MIN].map(i64::to_be_bytes).concat();
    let path = npy(&dir, "[('t', '>M8[ns]')]", "False", &[2], &bytes);
    let times = LazyArray::<i64, Ix1>::open_npy_field(&path, "t").unwrap();
    assert_eq!(times.chunked().into_iter().next().unwrap(), array![7, i64::MIN]);
    let error = LazyArray::<f64, Ix1>::open_npy_field(&path, "t").unwrap_err();
    assert!(error.to_string().ends_with(">M8[ns] in the field `t`, which opens as `i64`"));
}

#[test]
fn errors_name_the_file_and_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let data = [0; 64];
    let open = |descr: &str| {
        let path = npy(&dir, descr, "False", &[1, 2], &data);
        let error = LazyArray::<f32, Ix2>::open_npy(&path).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::DtypeMismatch { .. }), "{error}");
        assert_eq!(error.path(), Some(&*path));
        let text = error.to_string();
        let prefix = "dtype mismatch: expected f32 (<f4), found ";
        text.split_once(prefix).unwrap_or_else(|| panic!("{text}")).1.to_owned()
    };
    for (descr, message) in [
        (
            "'>f8'",
            ">f8, not all values of which are values of f32; open it as `f64`, or round its \
             values with `open_npy_lossy`",
        ),
        (
            "'<u4'",
            "<u4, not all values of which are values of f32; open it as `u32`, or round its \
             values with `open_npy_lossy`",
        ),
        ("'|O'", "Python objects, which cannot be read"),
        ("'<m8[s]'", "<m8[s], which opens as `i64`"),
        (
            "'<c8'",
            "<c8, which is not a real number; open it with `ArrayFile` as `Complex<f32>`, and use \
             `re`, `im` or `norm`",
        ),
        ("'|S5'", "|S5, which is not a real number; open it with `ArrayFile` as `[u8; 5]`"),
        (
            "[('a', '<f4'), ('b', [('c', '<f4')])]",
            "[('a', '<f4'), ('b', [('c', '<f4')])], a record; open one of its fields with \
             `open_npy_field`: `a`, `b`, `b.c`",
        ),
    ] {
        assert_eq!(open(descr), message);
    }

    let descr = "[('a', '<f8'), ('b', [('c', '<f4')]), ('d', '<f4', (2, 3)), ('e', '<c8')]";
    let field = |name: &str| {
        let path = npy(&dir, descr, "False", &[1], &data);
        let error = LazyArray::<f32, Ix1>::open_npy_field(&path, name).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::DtypeMismatch { .. }), "{error}");
        assert_eq!(error.path(), Some(&*path));
        error.to_string().split_once("expected ").unwrap().1.to_owned()
    };
    for (name, message) in [
        (
            "c",
            "a field `c` of one number, found a record with the fields `a`, `b`, `b.c`, `d`, `e`",
        ),
        (
            "d",
            "a field `d` of one number, found an array of shape [2, 3] of <f4 in each record; open \
             the file with `ArrayFile` and a struct that implements `NpyElement`",
        ),
        (
            "b",
            "f32 (<f4), found [('c', '<f4')] in the field `b`, a record; open one of its fields \
             with `open_npy_field`: `b.c`",
        ),
        (
            "a",
            "f32 (<f4), found <f8 in the field `a`, not all values of which are values of f32; \
             open it as `f64`, and convert its values with `map`",
        ),
        (
            "e",
            "f32 (<f4), found <c8 in the field `e`, which is not a real number; open the file with \
             `ArrayFile` and a struct that implements `NpyElement`, with a field of type \
             `Complex<f32>`",
        ),
    ] {
        assert_eq!(field(name), message);
    }
    let path = npy(&dir, "'<f4'", "False", &[1], &data[..4]);
    let error = LazyArray::<f32, Ix1>::open_npy_field(&path, "a").unwrap_err();
    assert!(
        error.to_string().ends_with("found <f4, which has no fields; use `open_npy`"),
        "{error}"
    );
    let error = LazyArray::<f32, Ix2>::open_npy(&path).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::DimensionMismatch { .. }), "{error}");
    let path = npy(&dir, "'<f4'", "False", &[2], &data[..7]);
    let error = LazyArray::<f64, Ix1>::open_npy(&path).unwrap_err();
    assert!(error.to_string().contains("shape [2] of f32"), "{error}");
    let path = npy(&dir, "[('a', '<f4')]", "False", &[2], &data[..9]);
    let error = LazyArray::<f64, Ix1>::open_npy_field(&path, "a").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TrailingBytes { expected: _, .. }), "{error}");

    let names: String = (0..40).map(|name| format!("('x{name}', '<f4'), ")).collect();
    let path = npy(&dir, &format!("[{names}]"), "False", &[0], &[]);
    let error = LazyArray::<f64, Ix1>::open_npy_field(&path, "a").unwrap_err();
    assert!(error.to_string().ends_with("`x31` and 8 more"), "{error}");
}

#[test]
fn a_file_that_is_truncated_while_it_is_open_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = vec![1; 1 << 20];
    let path = npy(&dir, "'<i2'", "False", &[1 << 19], &bytes);
    let lazy = LazyArray::<f32, Ix1>::open_npy(&path).unwrap();
    assert_eq!(lazy.chunked().sum().unwrap(), 257.0 * (1 << 19) as f64);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 19).unwrap();
    let error = lazy.chunked().sum().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FileTruncated { .. }), "{error}");
    assert_eq!(error.path(), Some(&*path));
}

#[test]
fn encoded_elements_count_against_the_memory_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = npy(&dir, "'<i2'", "False", &[1_000, 5_000], &vec![0; 10_000_000]);
    let lazy = LazyArray::<f64, Ix2>::open_npy(&path).unwrap();
    let chunked = lazy.chunked().memory_limit(4 << 20).axis(Axis(0)).chunk_len(200);
    let error = chunked.try_iter().unwrap_err();
    let ErrorKind::MemoryLimitExceeded { needed, .. } = *error.kind() else { panic!("{error}") };
    // One million elements of 8 bytes, decoded from 2 bytes.
    assert!((10_000_000..12_000_000).contains(&needed), "{needed}");
}

#[test]
fn empty_files_have_no_elements() {
    let dir = tempfile::tempdir().unwrap();
    let path = npy(&dir, "'<i2'", "False", &[3, 0], &[]);
    let lazy = LazyArray::<f64, Ix2>::open_npy(&path).unwrap();
    assert_eq!(lazy.chunked().sum().unwrap(), 0.0);
    let path = npy(&dir, "[('a', '<f4')]", "True", &[], &[0, 0, 128, 63]);
    let single = LazyArray::<f64, IxDyn>::open_npy_field(&path, "a").unwrap();
    assert_eq!(single.chunked().sum().unwrap(), 1.0);
}

#[test]
fn scaled_elements_have_the_bits_of_scaled_arrays() {
    let mut noise = noise(17);
    let packed =
        Array2::from_shape_simple_fn((700, 301), || (noise() * 65_536.0 - 32_768.0) as i16);
    let fill = packed[[5, 7]];
    let physical = packed.mapv(|x| if x == fill { f64::NAN } else { f64::from(x) * 0.01 + 273.15 });
    let lazy = packed.chunked().fill_value(fill).scaled(0.01, 273.15).into_lazy();
    check("fill value and scale", &lazy, physical.view());
    assert_eq!(packed.chunked().to_f64().sum().unwrap(), packed.mapv(f64::from).sum());

    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = packed.iter().flat_map(|x| x.to_be_bytes()).collect();
    let path = npy(&dir, "'>i2'", "False", &[700, 301], &bytes);
    let stored = LazyArray::<i16, Ix2>::open_npy(&path).unwrap();
    let lazy = stored.chunked().fill_value(fill).scaled(0.01, 273.15).into_lazy();
    check("from a file", &lazy, physical.view());
}

#[test]
fn large_integers_and_fill_values_that_are_nan() {
    let elements = |chunked: ndarray_mmap::Chunked<'_, LazyArray<'_, f64, Ix1>>| {
        chunked.chunk_bytes(usize::MAX).into_iter().next().unwrap()
    };
    let integers = array![i64::MIN, i64::MAX, (1 << 53) + 1, (1 << 53) + 3];
    let floats = elements(integers.chunked().to_f64());
    let two_63 = 2_f64.powi(63);
    assert_eq!(floats, array![-two_63, two_63, 9_007_199_254_740_992.0, 9_007_199_254_740_996.0]);
    // Adjacent integers are different, although they have the same floating-point value.
    let filled = elements(integers.chunked().fill_value((1 << 53) + 1));
    assert_eq!(filled.mapv(f64::is_nan), array![false, false, true, false]);
    assert!(!elements(integers.chunked().fill_value(1 << 53)).iter().any(|x| x.is_nan()));
    let unsigned = array![u64::MAX, 0];
    assert_eq!(elements(unsigned.chunked().to_f64()), array![2_f64.powi(64), 0.0]);

    let floats = array![f32::NAN, 0.0, -0.0, 0.1];
    let filled = elements(floats.chunked().fill_value(0.0));
    assert_eq!(filled.mapv(f64::is_nan), array![true, true, true, false]);
    let filled = elements(floats.chunked().fill_value(f32::NAN));
    assert_eq!(filled.mapv(f64::is_nan), array![true, false, false, false]);
    assert_eq!(filled[3], f64::from(0.1_f32));
    let scaled = elements(array![f64::MAX, f64::INFINITY].chunked().scaled(2.0, 1.0));
    assert_eq!(scaled, array![f64::INFINITY, f64::INFINITY]);
}

#[test]
fn parts_of_complex_numbers() {
    let mut noise = noise(23);
    let numbers = Array2::from_shape_simple_fn((700, 301), || Complex::new(noise(), -noise()));
    check("re", &numbers.chunked().re().into_lazy(), numbers.mapv(|x| x.re).view());
    check("im", &numbers.chunked().im().into_lazy(), numbers.mapv(|x| x.im).view());
    check("norm", &numbers.chunked().norm().into_lazy(), numbers.mapv(|x| x.re.hypot(x.im)).view());

    let extreme = array![
        Complex::new(f32::MAX / 2.0, f32::MAX / 2.0),
        Complex::new(f32::NAN, f32::INFINITY),
        Complex::new(3e-40, 4e-40)
    ];
    let norms = extreme.chunked().norm().into_iter().next().unwrap();
    assert!(norms[0].is_finite() && norms[2] > 4e-40, "{norms}");
    assert_eq!(norms[1], f32::INFINITY);
}

#[test]
fn options_apply_to_decoded_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = npy(&dir, "'>i2'", "False", &[2, 2], &[0, 1, 0, 2, 0, 3, 1, 0]);
    let inner = std::fs::read(&path).unwrap();
    let outer = dir.path().join("container");
    std::fs::write(&outer, [&b"1234567"[..], &inner, b"rest"].concat()).unwrap();
    let options = MmapArrayOptions::new().offset(7);
    let error = options.open_lazy_npy::<f32, Ix2>(&outer).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TrailingBytes { .. }), "{error}");
    let options = options.trailing_bytes(true);
    let table = options.open_lazy_npy::<f32, Ix2>(&outer).unwrap();
    assert_eq!(table.read_all().unwrap(), array![[1.0, 2.0], [3.0, 256.0]]);
    let bytes = options.open_lazy_npy_lossy::<u8, Ix2>(&outer).unwrap();
    assert_eq!(bytes.read_all().unwrap(), array![[1, 2], [3, 255]]);
}
