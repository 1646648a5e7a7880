//! Element types that are not records, as NumPy's `dtype.str` spells them.
#![forbid(unsafe_code)]

use super::literal::shortened;
use super::scan::{Fault, Scan, Scanner};

pub(super) const NATIVE: char = if cfg!(target_endian = "big") { '>' } else { '<' };
pub(super) const FOREIGN: char = if cfg!(target_endian = "big") { '<' } else { '>' };

/// A type in its canonical spelling, and the bytes it takes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) descr: String,
    pub(super) item_size: Option<usize>,
}

/// Reads a string.
pub(super) fn scan(scanner: &mut Scanner<'_>) -> Scan<Plain> {
    match scanner.peek() {
        Some(b'\'' | b'"') => {
            let before = scanner.position();
            let spelt = scanner.string()?;
            parse(&spelt).ok_or_else(|| Fault { at: before, reason: unknown(&spelt).into() })
        }
        _ => scanner.expected("an element type (a string, or a list of fields)"),
    }
}

/// `<f8`, `|S5`, `<M8[ns]`
pub(super) fn parse(spelt: &str) -> Option<Plain> {
    let (order, rest) = match spelt.strip_prefix(['<', '>', '=', '|']) {
        Some(rest) => (spelt.chars().next()?, rest),
        None => ('=', spelt),
    };
    let kind = rest.chars().next()?;
    let rest = &rest[kind.len_utf8()..];
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (count, unit) = rest.split_at(digits);
    let count: Option<usize> = if count.is_empty() { None } else { Some(count.parse().ok()?) };
    let may_have_unit = matches!(kind, 'M' | 'm');
    if !unit.is_empty() && (!may_have_unit || !is_time_unit(unit)) {
        return None;
    }
    let (kind, item_size) = match (kind, count) {
        ('?', None) => ('b', 1),
        ('b', Some(size @ 1))
        | ('i' | 'u', Some(size @ (1 | 2 | 4 | 8)))
        | ('f', Some(size @ (2 | 4 | 8 | 12 | 16)))
        | ('c', Some(size @ (8 | 16 | 24 | 32)))
        | ('m' | 'M', Some(size @ 8)) => (kind, size),
        ('S' | 'V', Some(size)) => (kind, size),
        ('U', Some(chars)) => (kind, chars.checked_mul(4)?),
        ('O', None | Some(4 | 8)) => return Some(Plain { descr: "|O".to_owned(), item_size: None }),
        _ => return None,
    };
    let order = match (order, item_size) {
        _ if matches!(kind, 'S' | 'V') => '|',
        (_, 1) if kind != 'U' => '|',
        ('<' | '>', _) => order,
        _ => NATIVE,
    };
    let count = count.unwrap_or(item_size);
    Some(Plain { descr: format!("{order}{kind}{count}{unit}"), item_size: Some(item_size) })
}

/// `[ns]`, `[25s]`
fn is_time_unit(unit: &str) -> bool {
    let unit = unit.strip_prefix('[').and_then(|unit| unit.strip_suffix(']')).unwrap_or_default();
    let name = unit.trim_start_matches(|c: char| c.is_ascii_digit());
    let names = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "generic"];
    unit.len() <= 24 && names.contains(&name)
}

/// What is wrong with a spelling that is none.
pub(super) fn unknown(spelt: &str) -> String {
    let unknown = format!("unknown element type `{}`", shortened(spelt));
    match by_name(spelt) {
        Some(plain) => format!("{unknown}, which is spelt `{}`", plain.descr),
        None => unknown,
    }
}

/// `float64`, or `f64` as in Rust: the name of a type, not its spelling. Not `u8`, which is a spelling.
fn by_name(name: &str) -> Option<Plain> {
    let bits = name.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let kind = match &name[..name.len() - bits.len()] {
        "bool" if bits.is_empty() => return parse("|b1"),
        "float" | "f" => 'f',
        "int" | "i" => 'i',
        "uint" | "u" => 'u',
        "complex" => 'c',
        _ => return None,
    };
    let bits = match bits {
        // As in Python.
        "" if kind == 'c' => 128,
        "" => 64,
        _ => bits.parse::<usize>().ok().filter(|bits| bits % 8 == 0)?,
    };
    parse(&format!("{kind}{}", bits / 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kinds, and the sizes that there are of them.
    #[test]
    fn every_kind_and_size() {
        let some: [(char, &[usize]); 12] = [
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
        ];
        for (kind, sizes) in some {
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
            for (spelt, item_size) in
                [(format!(">S{size}"), size), (format!("V{size}"), size), (format!("<U{size}"), 4 * size)]
            {
                assert_eq!(parse(&spelt).unwrap().item_size, Some(item_size));
            }
        }
        for unit in ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "generic", "7D"] {
            assert_eq!(parse(&format!("<M8[{unit}]")).unwrap().descr, format!("<M8[{unit}]"));
        }
        for unit in ["[", "[]", "[ns", "ns]", "[x]", "[0x1s]", "[1]", &format!("[{}ns]", "1".repeat(23))] {
            assert_eq!(parse(&format!("<M8{unit}")), None, "{unit}");
        }
        assert!(parse(&format!("<m8[{}ns]", "1".repeat(22))).is_some());
    }

    #[test]
    fn names_are_not_spellings() {
        let meant = |name: &str| {
            assert_eq!(parse(name), None, "{name}");
            by_name(name)
        };
        for (name, spelt) in [
            ("float64", "=f8"),
            ("f32", "=f4"),
            ("int16", "=i2"),
            ("int", "=i8"),
            ("uint8", "|u1"),
            ("u64", "=u8"),
            ("bool", "|b1"),
            ("complex128", "=c16"),
        ] {
            assert_eq!(meant(name), parse(spelt), "{name}");
        }
        let told = unknown("float32");
        assert!(told.starts_with("unknown element type `float32`, which is spelt `"), "{told}");
        for name in ["bool8", "float65", "float7", "str", "", "é8", "64", "float64 ", "int99999999999999999999"] {
            assert_eq!(meant(name), None, "{name}");
        }
    }
}
