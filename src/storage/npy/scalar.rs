//! Scalar dtypes (all except structured ones), in the form of NumPy's `dtype.str`.
#![forbid(unsafe_code)]

use std::ffi::c_long;

use super::literal::truncate_for_display;
use super::parser::{ParseError, ParseResult, Parser};
use super::times;

pub(super) const NATIVE: char = if cfg!(target_endian = "big") { '>' } else { '<' };
pub(super) const FOREIGN: char = if cfg!(target_endian = "big") { '<' } else { '>' };

/// A scalar dtype in its canonical form, and its item size.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ScalarDtype {
    pub(super) descr: String,
    pub(super) item_size: Option<usize>,
}

/// Parses a string literal.
pub(super) fn parse_literal(parser: &mut Parser<'_>) -> ParseResult<ScalarDtype> {
    match parser.peek() {
        Some(b'\'' | b'"') => {
            let before = parser.position();
            let text = parser.string()?;
            parse(&text)
                .ok_or_else(|| ParseError { at: before, reason: unknown_dtype(&text).into() })
        }
        _ => parser.expected("a dtype (a string or a list of fields)"),
    }
}

/// The types with a platform-dependent size, as NumPy defines them on this platform.
const LONG: &str = if size_of::<c_long>() == 8 { "i8" } else { "i4" };
const ULONG: &str = if size_of::<c_long>() == 8 { "u8" } else { "u4" };
const INTP: &str = if size_of::<usize>() == 8 { "i8" } else { "i4" };
const UINTP: &str = if size_of::<usize>() == 8 { "u8" } else { "u4" };
/// The size of C's `long double`: that of `double` where the two are the same, the x87's 10 bytes
/// padded to the next multiple of 4 on 32-bit x86, and 16 everywhere else.
const LONG_DOUBLE_BYTES: usize = if cfg!(any(
    windows,
    all(target_vendor = "apple", any(target_arch = "aarch64", target_arch = "arm")),
    all(target_os = "android", target_pointer_width = "32"),
    target_arch = "arm",
    target_arch = "mips",
    target_arch = "csky",
    target_arch = "hexagon",
)) {
    8
} else if cfg!(all(target_arch = "x86", not(target_vendor = "apple"))) {
    12
} else {
    16
};
const LONG_DOUBLE: &str = ["f8", "f12", "f16"][LONG_DOUBLE_BYTES / 4 - 2];
const CLONG_DOUBLE: &str = ["c16", "c24", "c32"][LONG_DOUBLE_BYTES / 4 - 2];

/// The names and letters of dtypes, by the code that they stand for. Names have no byte order,
/// except for those of times.
const ALIASES: [(&str, &[&str]); 31] = [
    ("b1", &["?", "bool", "bool_"]),
    ("i1", &["b", "byte", "int8"]),
    ("i2", &["h", "short", "int16"]),
    ("i4", &["i", "intc", "int32"]),
    ("i8", &["q", "longlong", "int64"]),
    ("u1", &["B", "ubyte", "uint8"]),
    ("u2", &["H", "ushort", "uint16"]),
    ("u4", &["I", "uintc", "uint32"]),
    ("u8", &["Q", "ulonglong", "uint64"]),
    (LONG, &["l", "long"]),
    (ULONG, &["L", "ulong"]),
    (INTP, &["n", "p", "int", "int_", "intp"]),
    (UINTP, &["N", "P", "uint", "uintp"]),
    ("f2", &["e", "half", "float16"]),
    ("f4", &["f", "single", "float32"]),
    ("f8", &["d", "double", "float", "float64"]),
    (LONG_DOUBLE, &["g", "longdouble"]),
    ("f12", &["float96"]),
    ("f16", &["float128"]),
    ("c8", &["F", "csingle", "complex64"]),
    ("c16", &["D", "cdouble", "complex", "complex128"]),
    (CLONG_DOUBLE, &["G", "clongdouble"]),
    ("c24", &["complex192"]),
    ("c32", &["complex256"]),
    ("m8", &["m", "timedelta64"]),
    ("M8", &["M", "datetime64"]),
    ("O8", &["O", "object", "object_"]),
    ("S0", &["S", "a", "bytes", "bytes_"]),
    ("S1", &["c"]),
    ("U0", &["U", "str", "str_", "unicode"]),
    ("V0", &["V", "void"]),
];

/// Parses a type string that NumPy's `dtype(..)` accepts, except for records, arrays and strings of
/// variable length.
pub(super) fn parse(text: &str) -> Option<ScalarDtype> {
    let (order, rest) = match text.strip_prefix(['<', '>', '=', '|']) {
        Some(rest) => (text.chars().next(), rest),
        None => (None, text),
    };
    let (name, unit) = rest.split_at(rest.find('[').unwrap_or(rest.len()));
    let is_time = matches!(name, "M8" | "m8" | "datetime64" | "timedelta64");
    let unit = match unit {
        "" => String::new(),
        _ if is_time => times::canonical(unit)?,
        _ => return None,
    };
    let code = match code_of(name) {
        Some(_) if order.is_some() && name.len() > 1 && !is_time => return None,
        Some(code) => code,
        None => name,
    };
    let kind = code.chars().next()?;
    let (digits, "") = split_number(&code[kind.len_utf8()..])? else { return None };
    let count = digits.parse::<usize>().ok()?;
    let (kind, item_size) = match (kind, count) {
        ('b', 1)
        | ('i' | 'u', 1 | 2 | 4 | 8)
        | ('f', 2 | 4 | 8 | 12 | 16)
        | ('c', 8 | 16 | 24 | 32)
        | ('m' | 'M', 8)
        | ('S' | 'V', _) => (kind, count),
        ('a', _) => ('S', count),
        ('U', _) => (kind, count.checked_mul(4)?),
        ('O', 4 | 8) => return Some(ScalarDtype { descr: "|O".to_owned(), item_size: None }),
        _ => return None,
    };
    let order = match (order, item_size) {
        _ if matches!(kind, 'S' | 'V') => '|',
        (_, 1) if kind != 'U' => '|',
        (Some(order @ ('<' | '>')), _) => order,
        _ => NATIVE,
    };
    Some(ScalarDtype { descr: format!("{order}{kind}{count}{unit}"), item_size: Some(item_size) })
}

fn code_of(name: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(_, names)| names.contains(&name)).map(|(code, _)| *code)
}

/// Splits off a number as C's `strtol` does, which NumPy uses: after white space and a sign.
pub(super) fn split_number(text: &str) -> Option<(&str, &str)> {
    let number = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let number = number.strip_prefix('+').unwrap_or(number);
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    (end > 0).then(|| number.split_at(end))
}

/// Returns the reason for an unknown dtype, with the type string that was probably meant.
pub(super) fn unknown_dtype(text: &str) -> String {
    let unknown = format!("unknown dtype `{}`", truncate_for_display(text));
    match suggestion(text) {
        Some(plain) => format!("{unknown}; did you mean `{}`?", plain.descr),
        None => unknown,
    }
}

/// Parses names of other languages and older versions of NumPy: `f64`, `Float64`, `float_`,
/// `bool8`, `<float64`; and valid names with spaces around them.
fn suggestion(text: &str) -> Option<ScalarDtype> {
    let text = text.trim();
    if let Some(plain) = parse(text) {
        return Some(plain);
    }
    let (order, name) = text.split_at(usize::from(text.starts_with(['<', '>', '=', '|'])));
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix('_').unwrap_or(&name);
    let bits = name.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let code = match (&name[..name.len() - bits.len()], bits) {
        // Single letters in the other case are other types.
        _ if name.len() == 1 => return None,
        ("bool", "8") => "b1".to_owned(),
        // `I8` can be 8 bits or 8 bytes.
        ("f" | "i" | "u", _) if parse(name).is_some() => return None,
        ("f" | "i" | "u", _) => {
            format!(
                "{}{}",
                &name[..1],
                bits.parse::<usize>().ok().filter(|bits| bits % 8 == 0)? / 8
            )
        }
        _ => code_of(name)?.to_owned(),
    };
    parse(&format!("{order}{code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers every kind with every size.
    #[test]
    fn every_kind_and_size() {
        let kinds: [(char, &[usize]); 13] = [
            ('?', &[]),
            ('b', &[1]),
            ('i', &[1, 2, 4, 8]),
            ('u', &[1, 2, 4, 8]),
            ('f', &[2, 4, 8, 12, 16]),
            ('c', &[8, 16, 24, 32]),
            ('m', &[8]),
            ('M', &[8]),
            ('O', &[4, 8]),
            ('x', &[]),
            ('F', &[]),
            ('B', &[]),
            ('l', &[]),
        ];
        for (kind, sizes) in kinds {
            for size in 0..40 {
                let plain = parse(&format!("{kind}{size}"));
                assert_eq!(plain.is_some(), sizes.contains(&size), "{kind}{size}");
                if let (Some(plain), true) = (plain, kind != 'O') {
                    assert_eq!(plain.item_size, Some(size));
                    let order = if size == 1 { '|' } else { NATIVE };
                    assert_eq!(plain.descr, format!("{order}{kind}{size}"));
                }
            }
        }
        for size in 0..40 {
            for (text, item_size) in [
                (format!(">S{size}"), size),
                (format!("V{size}"), size),
                (format!("<U{size}"), 4 * size),
            ] {
                assert_eq!(parse(&text).unwrap().item_size, Some(item_size));
            }
        }
        for unit in ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "7D"] {
            assert_eq!(parse(&format!("<M8[{unit}]")).unwrap().descr, format!("<M8[{unit}]"));
        }
        for (unit, canonical) in
            [("[1ns]", "[ns]"), ("[s/2]", "[500ms]"), ("[generic]", ""), ("", "")]
        {
            assert_eq!(parse(&format!("<M8{unit}")).unwrap().descr, format!("<M8{canonical}"));
        }
        for unit in [
            "[",
            "[]",
            "[ns",
            "ns]",
            "[x]",
            "[0x1s]",
            "[1]",
            "[s/3]",
            &format!("[{}ns]", "1".repeat(23)),
        ] {
            assert_eq!(parse(&format!("<M8{unit}")), None, "{unit}");
        }
    }

    #[test]
    fn names_and_letters() {
        for (code, names) in ALIASES {
            let expected = parse(code).unwrap();
            for name in names {
                assert_eq!(parse(name).as_ref(), Some(&expected), "{name}");
                let takes_order = name.len() == 1 || code.ends_with("m8") || code.ends_with("M8");
                for order in ['<', '>', '=', '|'] {
                    let ordered = parse(&format!("{order}{code}")).filter(|_| takes_order);
                    assert_eq!(parse(&format!("{order}{name}")), ordered, "{order}{name}");
                }
                for wrong in [
                    format!("{name} "),
                    format!(" {name}"),
                    format!("{name}3"),
                    format!("{name}[x]"),
                ] {
                    assert!(parse(&wrong).is_none() || "SUVa".contains(name), "{wrong}");
                }
            }
        }
        let sizes = |names: &[&str]| {
            names.iter().map(|name| parse(name).unwrap().item_size).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&["l", "L", "long", "ulong"]), [Some(size_of::<c_long>()); 4]);
        assert_eq!(
            sizes(&["n", "p", "N", "P", "int", "uint", "intp", "uintp"]),
            [Some(size_of::<usize>()); 8]
        );
        assert_eq!(parse("datetime64[ns]"), parse("M8[ns]"));
        assert_eq!(parse(">timedelta64[3D]"), parse(">m8[3D]"));
        for wrong in [
            "M[ns]", "b[ns]", "M 8[ns]", "M08[ns]", "<float64", "f ", "f+", "f++8", "f-8", "f 8 ",
            "S", "|a8",
        ] {
            assert_eq!(parse(wrong).is_some(), matches!(wrong, "S" | "|a8"), "{wrong}");
        }
        for space in ["", " ", "\t", "\n", "\x0b", "\x0c", "\r", " \t ", "+", "\t+", "0", " +00"] {
            assert_eq!(parse(&format!("f{space}8")), parse("f8"), "{space:?}");
            assert_eq!(parse(&format!(">S{space}5")), parse("S5"), "{space:?}");
        }
        for wrong in [
            "\tf8", "f8\t", "f\t", "<\tf8", "\t<f8", "f\u{a0}8", "f\x1f8", "f\t-8", "f+ 8",
            "M8\t[ns]", "M\t8[ns]",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
        // On this platform they equal `g`, or do not exist in NumPy.
        let sizes = sizes(&["g", "longdouble", "G", "clongdouble"]);
        assert_eq!(
            sizes,
            [LONG_DOUBLE_BYTES, LONG_DOUBLE_BYTES, 2 * LONG_DOUBLE_BYTES, 2 * LONG_DOUBLE_BYTES]
                .map(Some)
        );
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        assert_eq!(LONG_DOUBLE_BYTES, 16);
        #[cfg(all(target_arch = "x86", target_os = "linux"))]
        assert_eq!(LONG_DOUBLE_BYTES, 12);
    }

    #[test]
    fn unknown_dtypes_have_suggestions() {
        for (name, text) in [
            ("f32", "=f4"),
            ("f64", "=f8"),
            ("u64", "=u8"),
            ("i16", "=i2"),
            ("Float32", "=f4"),
            ("FLOAT64", "=f8"),
            ("float64 ", "=f8"),
            (">float32", ">f4"),
            ("<int32", "<i4"),
            ("float_", "=f8"),
            ("complex_", "=c16"),
            ("bool8", "|b1"),
            ("Bool", "|b1"),
            ("u8 ", "=u8"),
            (" f8", "=f8"),
            ("\t<i4\n", "<i4"),
            ("f8\t", "=f8"),
            (" M8[1ns] ", "=M8[ns]"),
            ("F32", "=f4"),
            ("I64", "=i8"),
            (">F64", ">f8"),
        ] {
            assert_eq!(parse(name), None, "{name}");
            assert_eq!(suggestion(name), parse(text), "{name}");
        }
        let reason = unknown_dtype("f32");
        assert!(reason.starts_with("unknown dtype `f32`; did you mean `"), "{reason}");
        for name in [
            "float65",
            "f7",
            "f80",
            "i128",
            "u",
            "x",
            "",
            "é8",
            "64",
            "int99999999999999999999",
            "<f3",
            "<",
            "_",
            "I8",
            "F8",
            "F16",
            "<I2",
            "Q8",
        ] {
            assert_eq!(suggestion(name), None, "{name}");
        }
    }
}
