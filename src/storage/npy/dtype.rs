//! NumPy dtypes, as in `.npy` headers.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use super::literal::{quote, tuple};
use super::parser::{MAX_TEXT, ParseResult, Parser};
use super::record::{RecordSize, parse_record};
use super::scalar::{self, FOREIGN, NATIVE, ScalarDtype};
use crate::error::{Error, ErrorKind};

/// A NumPy element type ("dtype"), in canonical form.
///
/// The form of a scalar dtype is NumPy's type string (`dtype.str`): `<f8`, `>i4`, `|u1`, `<M8[ns]`.
/// The form of a structured dtype ("record") is its `dtype.descr`: `[('time', '<f8'), ('position',
/// '<f4', (3,))]`. Two dtypes are equal if NumPy would lay out the same bytes for the same fields;
/// `=` and a missing byte order mean the native byte order.
///
/// ```
/// use ndarray_mmap::Dtype;
///
/// let dtype: Dtype = "=f8".parse()?;
/// assert_eq!(dtype, Dtype::of::<f64>());
/// assert_eq!(dtype.item_size(), Some(8));
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dtype {
    descr: String,
    item_size: Option<usize>,
}

impl Dtype {
    /// Returns a structured dtype of named, contiguous fields.
    ///
    /// A `#[repr(C)]` struct has the same layout if no field needs padding before it. Declare
    /// padding as a field with an empty name and a bytes dtype, as NumPy does: `("",
    /// "|V4".parse()?)`. For a field that is an array, use [`array`](Self::array). For a field with
    /// a title, parse NumPy's own form: `"[(('title', 'x'), '<f4')]".parse()?`.
    ///
    /// Field names must be unique, except for padding: files with duplicate names are neither
    /// written nor read.
    ///
    /// ```
    /// use ndarray_mmap::Dtype;
    ///
    /// let dtype = Dtype::record([("time", Dtype::of::<f64>()), ("flags", Dtype::of::<u8>())]);
    /// assert_eq!(dtype.item_size(), Some(9));
    /// # #[cfg(target_endian = "little")]
    /// assert_eq!(dtype.to_string(), "[('time', '<f8'), ('flags', '|u1')]");
    /// ```
    pub fn record<'n>(fields: impl IntoIterator<Item = (&'n str, Dtype)>) -> Self {
        let mut descr = String::from("[");
        let mut size = RecordSize::default();
        for (name, dtype) in fields {
            descr.push_str(if descr.len() > 1 { ", (" } else { "(" });
            quote(name, &mut descr);
            descr.push_str(", ");
            match dtype.descr.strip_prefix('(') {
                Some(array) => descr.push_str(array), // includes `)`
                None => {
                    dtype.write_literal(&mut descr);
                    descr.push(')');
                }
            }
            size.add(dtype.item_size, &[]);
        }
        descr.push(']');
        Self { descr, item_size: size.get() }
    }

    /// Returns the dtype of an array of elements of this dtype, which only a field of a
    /// [record](Self::record) can have.
    ///
    /// The result corresponds to Rust's arrays of numbers: `[f32; 3]` is
    /// `Dtype::of::<f32>().array(&[3])`. In contrast, `Dtype::of::<[u32; 3]>()` and
    /// `Dtype::of::<[u8; 3]>()` are strings of three characters.
    ///
    /// ```
    /// use ndarray_mmap::Dtype;
    ///
    /// let rgb = Dtype::of::<u8>().array(&[3]);
    /// let pixel = Dtype::record([("rgb", rgb), ("depth", Dtype::of::<u8>())]);
    /// assert_eq!(pixel.descr(), "[('rgb', '|u1', (3,)), ('depth', '|u1')]");
    /// assert_eq!(pixel.item_size(), Some(4));
    /// ```
    #[must_use]
    pub fn array(&self, shape: &[usize]) -> Self {
        if shape.is_empty() {
            return self.clone();
        }
        let mut size = RecordSize::default();
        size.add(self.item_size, shape);
        // NumPy's form, in which arrays of arrays are flattened: ('<f4', (2, 3))
        let mut shape = shape.to_vec();
        let mut descr = String::from("(");
        match self.descr.strip_prefix('(').and_then(|array| array.rsplit_once(", (")) {
            Some((element, lens)) => {
                descr.push_str(element);
                shape.extend(
                    lens.split([',', ' ', ')']).filter_map(|len| len.parse::<usize>().ok()),
                );
            }
            None => self.write_literal(&mut descr),
        }
        descr.push_str(&format!(", {})", tuple(&shape)));
        Self { descr, item_size: size.get() }
    }

    /// Returns the size of one element in bytes, or `None` if the file does not contain the
    /// elements themselves (Python objects).
    ///
    /// ```
    /// # use ndarray_mmap::Dtype;
    /// let size = |dtype: &str| dtype.parse().map(|dtype: Dtype| dtype.item_size());
    /// assert_eq!((size("<U5")?, size("|O")?), (Some(20), None));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn item_size(&self) -> Option<usize> {
        self.item_size
    }

    /// Returns NumPy's form of the dtype: a `dtype.str` or a `dtype.descr`.
    ///
    /// ```
    /// # use ndarray_mmap::Dtype;
    /// let dtype: Dtype = "[ ('x',\t\">f4\"), ('y', '?', 2) ]".parse()?;
    /// assert_eq!(dtype.descr(), "[('x', '>f4'), ('y', '|b1', (2,))]");
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn descr(&self) -> &str {
        &self.descr
    }

    /// Returns whether the dtype is a structured one.
    ///
    /// ```
    /// # use ndarray_mmap::Dtype;
    /// let point = Dtype::record([("x", Dtype::of::<f32>()), ("y", Dtype::of::<f32>())]);
    /// assert!(point.is_record() && !Dtype::of::<f32>().is_record());
    /// ```
    pub fn is_record(&self) -> bool {
        self.descr.starts_with('[')
    }

    /// Returns the same scalar dtype in the other byte order.
    pub(super) fn byte_swapped(&self) -> Option<Self> {
        let order = if self.descr.starts_with(NATIVE) { FOREIGN } else { NATIVE };
        let rest = self.descr.strip_prefix([NATIVE, FOREIGN])?;
        Some(Self { descr: format!("{order}{rest}"), item_size: self.item_size })
    }

    /// Returns the size in bytes of the numbers of which a scalar dtype consists, if it has a byte
    /// order.
    pub(super) fn number_size(&self) -> Option<usize> {
        let kind = self.descr.strip_prefix([NATIVE, FOREIGN])?.chars().next()?;
        let size = self.item_size?;
        match kind {
            'c' => Some(size / 2),
            'U' => Some(4),
            _ => Some(size),
        }
    }

    /// Writes the dtype as a Python literal, as in a header.
    pub(super) fn write_literal(&self, literal: &mut String) {
        if self.is_record() { literal.push_str(&self.descr) } else { quote(&self.descr, literal) }
    }

    /// Parses a string or a list of fields.
    pub(super) fn parse_from(parser: &mut Parser<'_>) -> ParseResult<Self> {
        if parser.peek() != Some(b'[') {
            return scalar::parse_literal(parser).map(Self::from);
        }
        // One buffer for all fields, however deeply nested. The canonical form is at most twice as
        // long as the text.
        let mut descr = String::with_capacity(2 * parser.remaining());
        let item_size = parse_record(parser, &mut descr)?;
        descr.shrink_to_fit();
        Ok(Self { descr, item_size })
    }
}

impl From<ScalarDtype> for Dtype {
    fn from(ScalarDtype { descr, item_size }: ScalarDtype) -> Self {
        Self { descr, item_size }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.descr)
    }
}

/// Parses what NumPy's `dtype(..)` accepts for a dtype: its type string (`dtype.str`), names
/// (`float32`, `int64`, `single`) and letters (`d`, `<H`), or a `dtype.descr` as a Python literal.
///
/// Types with a platform-dependent size (`l`, `long`, `int`, `p`, `g`) have the size that NumPy
/// uses on this platform: `int` and `p` that of a pointer, `l` and `long` that of C's `long` (64
/// bits on 64-bit Linux and macOS, 32 on Windows). Note that `b` is `|i1`, but `b1` is a `bool`,
/// and that `u8`, as in NumPy, has eight bytes.
///
/// Units of times are normalized as in NumPy: `M8[1ns]` is `<M8[ns]`, `M8[s/2]` is `<M8[500ms]`,
/// `M8[generic]` is `<M8`.
///
/// Parsing fails with [`ErrorKind::InvalidDtype`] if NumPy rejects the text. Array types (`(3,)f4`,
/// `2i4`), records without names (`i4,i4`) and strings of variable length (`T`) are not supported
/// either.
///
/// ```
/// use ndarray_mmap::Dtype;
///
/// let dtype: Dtype = "[('x', '<f4'), ('y', '<f4')]".parse()?;
/// assert_eq!(dtype.item_size(), Some(8));
/// assert_eq!("float32".parse::<Dtype>()?, Dtype::of::<f32>());
/// assert_eq!("B".parse::<Dtype>()?, Dtype::of::<u8>());
/// let error = "f64".parse::<Dtype>().unwrap_err();
/// # #[cfg(target_endian = "little")]
/// assert!(error.to_string().ends_with("unknown dtype `f64`; did you mean `<f8`?"));
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
impl FromStr for Dtype {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = |position: usize, reason: String| {
            let position = position as u64;
            ErrorKind::InvalidDtype { position, reason }.at(None)
        };
        if !text.trim_start().starts_with('[') {
            return scalar::parse(text)
                .map(Self::from)
                .ok_or_else(|| invalid(0, scalar::unknown_dtype(text)));
        }
        if text.len() > MAX_TEXT {
            return Err(invalid(
                0,
                format!("{} bytes exceed the header limit of {MAX_TEXT} bytes", text.len()),
            ));
        }
        let mut parser = Parser::new(text.as_bytes(), true);
        let dtype =
            Self::parse_from(&mut parser).and_then(|dtype| parser.expect_end().map(|()| dtype));
        dtype.map_err(|error| invalid(error.at, error.reason.into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        for (text, descr, size) in [
            ("<f8", "<f8", Some(8)),
            (">f8", ">f8", Some(8)),
            ("|u1", "|u1", Some(1)),
            ("<u1", "|u1", Some(1)),
            ("?", "|b1", Some(1)),
            ("|b1", "|b1", Some(1)),
            ("|S5", "|S5", Some(5)),
            ("<U3", "<U3", Some(12)),
            (">U0", ">U0", Some(0)),
            ("|V7", "|V7", Some(7)),
            ("<M8[ns]", "<M8[ns]", Some(8)),
            ("<m8[25s]", "<m8[25s]", Some(8)),
            ("<c16", "<c16", Some(16)),
            ("|O", "|O", None),
            ("|O8", "|O", None),
            (
                "[('x','<f4'),(\"y\", '<i4', (3, ) )]",
                "[('x', '<f4'), ('y', '<i4', (3,))]",
                Some(16),
            ),
            (
                "[('x', [('a', '|u1'), ('', '|V3')], 2)]",
                "[('x', [('a', '|u1'), ('', '|V3')], (2,))]",
                Some(8),
            ),
            ("[(('title', 'x'), '<f4')]", "[(('title', 'x'), '<f4')]", Some(4)),
            ("[('o', '|O')]", "[('o', '|O')]", None),
            ("float32", if cfg!(target_endian = "big") { ">f4" } else { "<f4" }, Some(4)),
            (
                "[('x', 'uint8'), ('y', '>d', 2), ('z', [('a', 'b')])]",
                "[('x', '|u1'), ('y', '>f8', (2,)), ('z', [('a', '|i1')])]",
                Some(18),
            ),
        ] {
            let dtype: Dtype = text.parse().unwrap();
            assert_eq!((dtype.descr(), dtype.item_size()), (descr, size), "{text}");
        }
    }

    #[test]
    fn largest_dtypes() {
        let largest = isize::MAX as usize;
        for (text, size) in [
            (format!("[('a', '|V{largest}')]"), Some(largest)),
            (format!("[('a', '|V{}'), ('b', '|V1')]", largest - 1), Some(largest)),
            (format!("[('a', '|V{}', (0, 5))]", largest), Some(0)),
            ("[('a', '<f8', (2, 3)), ('b', '<i2')]".to_owned(), Some(50)),
            ("[('a', '<f8'), ('o', '|O', 0)]".to_owned(), None),
        ] {
            assert_eq!(text.parse::<Dtype>().unwrap().item_size(), size, "{text}");
        }
        for text in
            [format!("[('a', '|V{largest}'), ('b', '|V1')]"), format!("[('a', '|V{largest}', 2)]")]
        {
            let error = text.parse::<Dtype>().unwrap_err();
            assert!(error.to_string().contains("dtype too large"), "{error}");
        }
    }

    #[test]
    fn dtypes_longer_than_a_header_are_rejected() {
        let text = |len: usize| format!("[('', '|V1'){}]", " ".repeat(len - 13));
        assert_eq!(text(MAX_TEXT).len(), MAX_TEXT);
        text(MAX_TEXT).parse::<Dtype>().unwrap();
        let error = text(MAX_TEXT + 1).parse::<Dtype>().unwrap_err();
        assert!(error.to_string().contains("10001 bytes exceed the header limit"), "{error}");
    }

    #[test]
    fn records_of_several_fields() {
        let f4 = Dtype::of::<f32>;
        let dtype = Dtype::record([("x", f4()), ("y", f4()), ("z", f4())]);
        assert_eq!(dtype, "[('x', '=f4'), ('y', '=f4'), ('z', '=f4')]".parse().unwrap());
        assert_eq!(Dtype::record([]).descr(), "[]");
    }

    #[test]
    fn unknown_dtypes() {
        for text in [
            "",
            "<",
            "u",
            "<f3",
            "<i16",
            "f64",
            "<float64",
            "<f8 ",
            "<M8[foo]",
            "<f8[ns]",
            "<f99999999999999999999",
            "é",
            "<é8",
            "|S-1",
            "<U99999999999999999999",
            "[",
            "[(",
            "[('x',)]",
            "[('x')]",
            "[('x', '<f4', (3,), 1)]",
            "[1]",
            "[('x', '<f4')] x",
            "[('a', '|V9223372036854775807'), ('b', '|V2')]",
            "[('a', '<f8', (4611686018427387904,))]",
        ] {
            assert!(text.parse::<Dtype>().is_err(), "{text}");
        }
    }

    /// NumPy requires unique names and titles in a record, except for padding.
    #[test]
    fn field_names_are_unique() {
        for text in [
            "[('', '|V4'), ('', '|V4'), ('a', '<f4')]",
            "[('', '|V4', (2,)), ('', '|V4')]",
            "[('', '<f4', (2,)), ('', [('a', '<f4')], (2,))]",
            "[('a', [('a', '<f4')]), ('b', [('a', '<f4')])]",
            "[('', '<f4'), ('f0', '<f4')]",
        ] {
            text.parse::<Dtype>().unwrap();
        }
        for text in [
            "[('a', '<f4'), ('b', '<f4'), ('a', '<i4')]",
            "[('b', [('a', '<f4'), ('a', '<f4')])]",
            "[('', '<f4'), ('', '<f4')]",
            "[('', '<f4', ()), ('', '<f4', ())]",
            "[('', []), ('', [])]",
            "[(('t', 'a'), '<f4'), ('t', '<f4')]",
            "[(('t', 'a'), '<f4'), (('t', 'b'), '<f4')]",
            "[(('a', 'a'), '<f4')]",
            "[(('t', ''), '|V4'), (('u', ''), '|V4')]",
            "[('\\x61', '<f4'), ('a', '<f4')]",
        ] {
            let error = text.parse::<Dtype>().unwrap_err();
            assert!(error.to_string().contains("duplicate field name '"), "{text}: {error}");
        }
    }

    #[test]
    fn arrays_match_numpy() {
        let f4 = || Dtype::of::<f32>();
        for (ours, numpys) in [
            (f4().array(&[3]), "[('x', '=f4', (3,))]"),
            (f4().array(&[2, 3]), "[('x', '=f4', (2, 3))]"),
            (f4().array(&[3]).array(&[2]), "[('x', '=f4', (2, 3))]"),
            (f4().array(&[3, 4]).array(&[1, 2]), "[('x', '=f4', (1, 2, 3, 4))]"),
            (f4().array(&[]), "[('x', '=f4')]"),
            (f4().array(&[0]), "[('x', '=f4', (0,))]"),
            (
                Dtype::record([("a, (", f4())]).array(&[2]).array(&[5]),
                "[('x', [('a, (', '=f4')], (5, 2))]",
            ),
        ] {
            let record = Dtype::record([("x", ours)]);
            assert_eq!(record, numpys.parse().unwrap());
        }
        assert_eq!(f4().array(&[2, 3]).item_size(), Some(24));
        assert_eq!(f4().array(&[usize::MAX, 2]).item_size(), None);
        assert_eq!(Dtype::record([("o", f4().array(&[usize::MAX]))]).item_size(), None);
    }

    #[test]
    fn byte_swapping() {
        let foreign: Dtype = format!("{FOREIGN}f8").parse().unwrap();
        assert_eq!(foreign.byte_swapped(), Some(Dtype::of::<f64>()));
        assert_eq!(Dtype::of::<u8>().byte_swapped(), None);
    }
}
