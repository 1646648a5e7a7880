//! Header text: parsing what NumPy writes, and writing the same.
#![forbid(unsafe_code)]

use super::dtype::Dtype;
use super::literal::{truncate_for_display, tuple};
use super::parser::{MAX_TEXT, ParseError, ParseResult, Parser};
use super::record::parse_shape;
use crate::error::ErrorKind;
use crate::order::Order;

pub(in crate::storage) const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// The number of digits for which NumPy leaves room in the axis along which the array can grow.
const GROWTH_DIGITS: usize = 21;
/// The minimum alignment of the data of a new file.
const DATA_ALIGN: usize = 64;

/// The contents of a header text, and their positions in it.
#[derive(Debug)]
pub(super) struct HeaderText {
    pub(super) dtype: Dtype,
    pub(super) order: Order,
    pub(super) shape: Vec<usize>,
    /// The position of the shape tuple.
    pub(super) shape_start: usize,
    /// The end of the dictionary.
    pub(super) end: usize,
}

/// Parses `{'descr': ..., 'fortran_order': ..., 'shape': ..., }`, with the keys in any order, each
/// once.
pub(super) fn parse_header(text: &[u8], utf8: bool) -> ParseResult<HeaderText> {
    let mut parser = Parser::new(text, utf8);
    let mut dtype = None;
    let mut order = None;
    let mut shape = None;
    let mut shape_start = 0;
    parser.list(b'{', b'}', "the header dictionary", |parser, _| {
        let at = parser.position();
        let key = parser.string()?;
        parser.expect(b':', "`:`")?;
        let repeated = match key.as_str() {
            "descr" => dtype.replace(Dtype::parse_from(parser)?).is_some(),
            "fortran_order" => {
                order.replace(if parser.boolean()? { Order::F } else { Order::C }).is_some()
            }
            "shape" => {
                parser.peek();
                shape_start = parser.position();
                shape.replace(parse_shape(parser)?).is_some()
            }
            _ => {
                return Err(ParseError {
                    at,
                    reason: format!("unknown key `{}`", truncate_for_display(&key)).into(),
                });
            }
        };
        if repeated {
            Err(ParseError { at, reason: format!("duplicate key `{key}`").into() })
        } else {
            Ok(())
        }
    })?;
    let end = parser.position();
    parser.expect_end()?;
    match (dtype, order, shape) {
        (Some(dtype), Some(order), Some(shape)) => {
            Ok(HeaderText { dtype, order, shape, shape_start, end })
        }
        (None, ..) => parser.error("missing key `descr`"),
        (_, None, _) => parser.error("missing key `fortran_order`"),
        (.., None) => parser.error("missing key `shape`"),
    }
}

/// Returns the header NumPy would write, padded so that the data starts at a multiple of `align`
/// bytes (at least 64).
pub(in crate::storage) fn header(
    dtype: &Dtype,
    shape: &[usize],
    order: Order,
    align: usize,
) -> std::result::Result<Vec<u8>, ErrorKind> {
    header_with_gap(dtype, shape, order, align, 0)
}

/// Returns the header NumPy would write, with `gap` more spaces before the shape.
pub(super) fn header_with_gap(
    dtype: &Dtype,
    shape: &[usize],
    order: Order,
    align: usize,
    gap: usize,
) -> std::result::Result<Vec<u8>, ErrorKind> {
    let fortran = if order == Order::F { "True" } else { "False" };
    let mut text = String::from("{'descr': ");
    dtype.write_literal(&mut text);
    let (gap, shape_tuple) = (" ".repeat(gap), tuple(shape));
    text.push_str(&format!(", 'fortran_order': {fortran}, {gap}'shape': {shape_tuple}, }}"));
    let growing = if order == Order::F { shape.last() } else { shape.first() };
    if let Some(len) = growing {
        let digits = len.checked_ilog10().unwrap_or(0) as usize + 1;
        text.extend(std::iter::repeat_n(' ', GROWTH_DIGITS.saturating_sub(digits)));
    }
    // NumPy uses version 1 for Latin-1 and version 3 for UTF-8. Version 2 is for texts longer than
    // MAX_TEXT.
    let latin_1: Option<Vec<u8>> = text.chars().map(|char| u8::try_from(char).ok()).collect();
    let (version, text) = latin_1.map_or_else(|| (3, text.into_bytes()), |text| (1, text));
    let preamble = if version == 1 { 10 } else { 12 };
    let align = align.max(DATA_ALIGN);
    // NumPy's padding is never empty.
    let end = ((preamble + text.len() + 1) / align + 1) * align;
    let text_len = end - preamble;
    if text_len > MAX_TEXT {
        return Err(ErrorKind::Unsupported {
            reason: "dtype too long for an .npy header".to_owned(),
        });
    }
    if parse_header(&text, version == 3).is_err() {
        return Err(ErrorKind::Unsupported {
            reason: "dtype cannot be written to an .npy header: duplicate field names, records \
                     nested too deeply, an array type outside a record, or more than 64 dimensions"
                .to_owned(),
        });
    }
    let mut header = Vec::with_capacity(end);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&[version, 0]);
    // The length is at most MAX_TEXT, which fits both fields.
    if version == 1 {
        header.extend_from_slice(&(text_len as u16).to_le_bytes());
    } else {
        header.extend_from_slice(&(text_len as u32).to_le_bytes());
    }
    header.extend_from_slice(&text);
    header.resize(end - 1, b' ');
    header.push(b'\n');
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers the longest possible header, and one byte more.
    #[test]
    fn longest_header_round_trips() {
        let header_of = |len: usize| {
            let dtype = Dtype::record([("é".repeat(len).as_str(), Dtype::of::<f32>())]);
            header(&dtype, &[], Order::C, 64)
        };
        let fits = (9_000..10_000).take_while(|&len| header_of(len).is_ok()).last().unwrap();
        let longest = header_of(fits).unwrap();
        // 10 + 10_000 bytes, in whole units of 64.
        assert_eq!(longest.len(), 9_984);
        let text_len = usize::from(u16::from_le_bytes([longest[8], longest[9]]));
        assert_eq!(10 + text_len, longest.len());
        assert!(matches!(header_of(fits + 1), Err(ErrorKind::Unsupported { .. })));
    }

    /// A `^` marks the position of the fault.
    #[test]
    fn errors_report_their_position() {
        for marked in [
            "^",
            "  ^x",
            "{^",
            "{ ^5: 1}",
            "{'descr' ^'<f8'}",
            "{'descr': ^5",
            "{'descr': ^'<f3'}",
            "{^'x': 1}",
            "{'descr': '<f8', ^'descr': '<f8'}",
            "{'descr': '<f8' ^'shape': ()}",
            "{'shape': (3, ^-1)}",
            "{'shape': (3, )^(",
            "{'shape': (^0x10,)}",
            "{'shape': (3, ^010)}",
            "{'shape': (^1_000,)}",
            "{'shape': (^99999999999999999999,)}",
            "{'shape': (3)^}",
            "{'shape': (3 ^4)}",
            "{'fortran_order': ^0}",
            "{'descr': '<f8^\n'}",
            "{'descr': '<f8'}^",
            "{'descr': 'a^\\q'}",
            "{'descr': 'a^\\x3'}",
            "{'descr': 'a^\\u00g0'}",
            "{'descr': '\\x41\\u00e9^\0'}",
            "{'descr': 'é^\\z'}",
            "{'descr': [('a',)^]}",
            "{'descr': [('a', '<f8', 3, ^4)]}",
            "{'descr': [(('a')^, '<f8')]}",
            "{'descr': [(('a', 'b', ^'c'), '<f8')]}",
            "{'descr': [('a', '<f8'), ('a', '<f8')]^}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': ()} ^x",
        ] {
            let (before, after) = marked.split_once('^').unwrap();
            let error = scan(&[before, after].concat());
            // A mark right before the end of a list is a fault of the list itself.
            let at = error.unwrap_err().at;
            assert_eq!(at, before.len(), "{marked}");
        }
    }

    fn scan(text: &str) -> ParseResult<(Dtype, Order, Vec<usize>)> {
        parse_header(text.as_bytes(), true).map(|found| (found.dtype, found.order, found.shape))
    }

    #[test]
    fn headers_of_numpy_are_parsed() {
        let (dtype, order, shape) =
            scan("{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4), }   \n").unwrap();
        assert_eq!((dtype.descr(), order, &shape[..]), ("<f8", Order::F, &[3, 4][..]));
        // Python 2, other key orders, other quotes, no trailing newline
        assert_eq!(
            scan("{'shape': (3L, 4L), \"descr\": '<f8', 'fortran_order': False}").unwrap().2,
            [3, 4]
        );
        assert_eq!(
            scan("{'descr': '<f8', 'fortran_order': False, 'shape': ()}").unwrap().2,
            [0; 0]
        );
        assert_eq!(scan("{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}").unwrap().2, [3]);
    }

    #[track_caller]
    fn refused(text: &str, reason: &str) {
        let error = scan(text).unwrap_err();
        assert!(error.reason.contains(reason), "{text}: {}", error.reason);
    }

    #[test]
    fn other_headers_are_rejected() {
        let with_shape =
            |shape: &str| format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
        refused("", "expected the header dictionary, found the end");
        refused("{", "expected a string, found the end");
        refused("{}", "missing key `descr`");
        refused("{'descr': '<f8', 'shape': ()}", "missing key `fortran_order`");
        refused("{'descr': '<f8', 'fortran_order': False}", "missing key `shape`");
        refused(
            "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': ()}",
            "duplicate key",
        );
        refused("{'descr': '<f8', 'fortran_order': False, 'shape': (), 'x': 1}", "unknown key `x`");
        refused("{'descr': '<f8', 'fortran_order': 0, 'shape': ()}", "True or False");
        refused("{'descr': 5, 'fortran_order': False, 'shape': ()}", "expected a dtype");
        refused(&(with_shape("()") + "x"), "expected the end");
        refused(&with_shape("(3)"), "a number in parentheses");
        refused(&with_shape("3"), "expected a shape tuple, found `3`");
        refused(&with_shape("(-3,)"), "found `-`");
        refused(&with_shape("(True,)"), "found `T`");
        refused(&with_shape("(np.int64(3),)"), "found `n`");
        refused(&with_shape("(0x10,)"), "without letters");
        refused(&with_shape("(1e9,)"), "without letters");
        refused(&with_shape("(1.5,)"), "without letters");
        refused(&with_shape("(1_000,)"), "without letters");
        refused(&with_shape("(010,)"), "leading zeros");
        refused(&with_shape("(18446744073709551616,)"), "too large");
        refused(&with_shape(&format!("({},)", "9".repeat(10_000))), "too large");
        refused(&with_shape(&format!("({})", "1, ".repeat(65))), "more than 64 dimensions");
        refused(&with_shape(&"(".repeat(10_000)), "found `(`");
        refused(&format!("{{'descr': {}", "[('x', ".repeat(4_000)), "nested too deep");
        refused("{'descr': '<f8\n', 'fortran_order': False, 'shape': ()}", "unterminated string");
        refused("{'descr': '\\x3", "invalid escape");
        refused("{'descr': '\\uD800', 'fortran_order': False, 'shape': ()}", "invalid escape");
        let error = parse_header(b"{'descr': '\xff'}", true).unwrap_err();
        assert_eq!(error, ParseError { at: 11, reason: "the header is not valid UTF-8".into() });
    }

    #[test]
    fn zeros_may_repeat() {
        assert_eq!(
            scan("{'descr': '<f8', 'fortran_order': False, 'shape': (00, 0)}").unwrap().2,
            [0, 0]
        );
    }

    #[test]
    fn headers_are_aligned_and_have_room_to_grow() {
        for (shape, order, align) in [
            (&[][..], Order::C, 8),
            (&[5], Order::C, 8),
            (&[123_456, 7], Order::F, 8),
            (&[0, 3], Order::C, 256),
        ] {
            let header = header(&Dtype::of::<f64>(), shape, order, align).unwrap();
            assert_eq!(header.len() % align.max(64), 0);
            assert_eq!(header.last(), Some(&b'\n'));
            let found = parse_header(&header[10..], false).unwrap();
            assert_eq!(
                (found.dtype, found.order, &found.shape[..]),
                (Dtype::of::<f64>(), order, shape)
            );
        }
        let growing = header(&Dtype::of::<f64>(), &[5], Order::C, 8).unwrap();
        let room = growing.iter().rev().skip(1).take_while(|byte| **byte == b' ').count();
        assert!(room >= 20, "{room}");
    }

    /// NumPy's headers have 21 digits for the axis that grows, a line feed, and then at least one
    /// byte up to the next multiple of 64.
    #[test]
    fn header_length_matches_numpy() {
        for name_len in 1..70 {
            let dtype = Dtype::record([("x".repeat(name_len).as_str(), Dtype::of::<f64>())]);
            for (order, growing) in [(Order::C, 5_usize), (Order::F, 1_000_000)] {
                let header = header(&dtype, &[5, 1_000_000], order, 8).unwrap();
                let written = header.trim_ascii_end().len() + 21 - growing.to_string().len() + 1;
                let end = (0..).step_by(64).find(|&end| end > written).unwrap();
                assert_eq!(header.len(), end, "{name_len} {order:?}");
            }
        }
    }

    #[test]
    fn unreadable_headers_are_not_written() {
        let refused = |dtype: Dtype, shape: &[usize]| {
            matches!(header(&dtype, shape, Order::C, 8), Err(ErrorKind::Unsupported { .. }))
        };
        let f64 = Dtype::of::<f64>;
        assert!(refused(Dtype::record([("a", f64()), ("a", f64())]), &[2]));
        assert!(refused((0..20).fold(f64(), |inner, _| Dtype::record([("a", inner)])), &[2]));
        assert!(refused(f64(), &[1; 65]));
        assert!(refused(Dtype::record([("a".repeat(10_000).as_str(), f64())]), &[2]));
        assert!(!refused(Dtype::record([("a".repeat(9_000).as_str(), f64())]), &[1; 64]));
    }
}
