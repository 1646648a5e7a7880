//! A parser for the subset of Python literals used in `.npy` headers. It works in one pass, without
//! recursion beyond [`MAX_DEPTH`], and with memory proportional to the text.
#![forbid(unsafe_code)]

use std::borrow::Cow;

/// The maximum length of a header text, which is NumPy's default limit. Parsing uses at most six
/// times as much memory, which is less than 64 KiB.
pub(super) const MAX_TEXT: usize = 10_000;

/// The maximum nesting depth of record types. NumPy has no limit; real files stay below five.
const MAX_DEPTH: usize = 16;

/// A fault in the text and its position, in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParseError {
    pub(super) at: usize,
    pub(super) reason: Cow<'static, str>,
}

pub(super) type ParseResult<T> = Result<T, ParseError>;

pub(super) struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    depth: usize,
    /// Whether bytes above 127 are UTF-8 (header version 3), not Latin-1.
    utf8: bool,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t [u8], utf8: bool) -> Self {
        Self { text, at: 0, depth: 0, utf8 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Returns the number of bytes left.
    pub(super) fn remaining(&self) -> usize {
        self.text.len() - self.at
    }

    pub(super) fn error<T>(&self, reason: impl Into<Cow<'static, str>>) -> ParseResult<T> {
        Err(ParseError { at: self.at, reason: reason.into() })
    }

    fn skip_space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0c)) {
            self.at += 1;
        }
    }

    /// Returns the next byte that is not white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.text.get(self.at).copied()
    }

    /// Consumes the byte if it comes next, and returns whether it did.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, byte: u8, what: &str) -> ParseResult<()> {
        if self.take(byte) { Ok(()) } else { self.expected(what) }
    }

    pub(super) fn expect_end(&mut self) -> ParseResult<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.expected("the end of the header"),
        }
    }

    /// Returns the error that something else comes next.
    pub(super) fn expected<T>(&mut self, what: &str) -> ParseResult<T> {
        let found = match self.peek() {
            None => "the end of the header".to_owned(),
            Some(byte) if byte.is_ascii_graphic() => format!("`{}`", char::from(byte)),
            Some(byte) => format!("byte {byte:#04x}"),
        };
        self.error(format!("expected {what}, found {found}"))
    }

    /// Parses a bracketed, comma-separated list. Calls `item` for each item with its index; a
    /// trailing comma is allowed. Returns the number of items and whether there was a trailing
    /// comma.
    pub(super) fn list(
        &mut self,
        open: u8,
        close: u8,
        what: &str,
        mut item: impl FnMut(&mut Self, usize) -> ParseResult<()>,
    ) -> ParseResult<(usize, bool)> {
        self.expect(open, what)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.error("brackets nested too deeply");
        }
        let mut count = 0;
        let mut comma = false;
        while !self.take(close) {
            if count > 0 && !comma {
                return self.expected(&format!("`,` or `{}` in {what}", char::from(close)));
            }
            item(self, count)?;
            count += 1;
            comma = self.take(b',');
        }
        self.depth -= 1;
        Ok((count, comma))
    }

    /// Parses `True` or `False`.
    pub(super) fn boolean(&mut self) -> ParseResult<bool> {
        self.skip_space();
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.expected("True or False")
    }

    /// Parses a decimal integer that fits `usize`, with or without the `L` of Python 2.
    pub(super) fn integer(&mut self) -> ParseResult<usize> {
        self.skip_space();
        let start = self.at;
        let rest = &self.text[start..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = std::str::from_utf8(&rest[..digits.min(40)])
            .ok()
            .and_then(|digits| digits.parse::<usize>().ok());
        match rest.get(digits) {
            _ if digits == 0 => {
                return self.expected("a non-negative decimal integer");
            }
            Some(byte)
                if byte.is_ascii_alphanumeric() && *byte != b'L' || matches!(byte, b'_' | b'.') =>
            {
                return self.error("expected a decimal integer without letters, `_` or `.`");
            }
            _ if digits > 1
                && rest[0] == b'0'
                && rest[..digits].iter().any(|digit| *digit != b'0') =>
            {
                return self.error("integer with leading zeros");
            }
            _ => {}
        }
        let Some(value) = value.filter(|_| digits <= 40) else {
            return self.error("integer too large for this platform");
        };
        self.at = start + digits;
        if self.text.get(self.at) == Some(&b'L') {
            self.at += 1;
        }
        Ok(value)
    }

    /// Parses a string literal.
    pub(super) fn string(&mut self) -> ParseResult<String> {
        let quote = match self.peek() {
            Some(quote @ (b'\'' | b'"')) => quote,
            _ => return self.expected("a string"),
        };
        self.at += 1;
        let mut decoded = String::with_capacity(self.decoded_len(quote));
        loop {
            match self.text.get(self.at) {
                None | Some(b'\n' | b'\r') => return self.error("unterminated string"),
                Some(&byte) if byte == quote => {
                    self.at += 1;
                    return Ok(decoded);
                }
                Some(b'\\') => decoded.push(self.escape()?),
                // Python keeps all other characters unchanged.
                Some(b'\0') => return self.error("null character in a string"),
                Some(byte) if byte.is_ascii() => {
                    decoded.push(char::from(*byte));
                    self.at += 1;
                }
                Some(byte) if !self.utf8 => {
                    decoded.push(char::from(*byte));
                    self.at += 1;
                }
                Some(_) => decoded.push(self.utf8_char()?),
            }
        }
    }

    /// Returns an upper bound on the length of the string that starts here, so that its buffer
    /// never grows.
    fn decoded_len(&self, quote: u8) -> usize {
        let mut len = 0;
        let mut escaped = false;
        for &byte in &self.text[self.at..] {
            if !escaped && byte == quote {
                break;
            }
            escaped = !escaped && byte == b'\\';
            len += if byte.is_ascii() || self.utf8 { 1 } else { 2 };
        }
        len
    }

    fn utf8_char(&mut self) -> ParseResult<char> {
        let window = &self.text[self.at..self.text.len().min(self.at + 4)];
        let valid = match std::str::from_utf8(window) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&window[..error.valid_up_to()]).unwrap_or_default(),
        };
        match valid.chars().next() {
            Some(char) => {
                self.at += char.len_utf8();
                Ok(char)
            }
            None => self.error("the header is not valid UTF-8"),
        }
    }

    fn escape(&mut self) -> ParseResult<char> {
        let (plain, digits) = match self.text.get(self.at + 1) {
            Some(b'\\') => ('\\', 0),
            Some(b'\'') => ('\'', 0),
            Some(b'"') => ('"', 0),
            Some(b'n') => ('\n', 0),
            Some(b'r') => ('\r', 0),
            Some(b't') => ('\t', 0),
            Some(b'x') => ('\0', 2),
            Some(b'u') => ('\0', 4),
            Some(b'U') => ('\0', 8),
            _ => return self.error("unknown escape in a string"),
        };
        let end = self.at + 2 + digits;
        let decoded = match digits {
            0 => Some(plain),
            _ => self
                .text
                .get(self.at + 2..end)
                .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                .and_then(char::from_u32),
        };
        match decoded {
            Some(char) => {
                self.at = end;
                Ok(char)
            }
            None => self.error("invalid escape in a string"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        let escaped = br#" 'a\n\r\t\\\'\"\x41\u00e9\U0001F600"' "#;
        assert_eq!(Parser::new(escaped, true).string().unwrap(), "a\n\r\t\\'\"A\u{e9}\u{1F600}\"");
        assert_eq!(Parser::new("'😀'".as_bytes(), true).string().unwrap(), "😀");
        // UTF-8, and the same bytes as Latin-1.
        let bytes = "'é€😀'".as_bytes();
        assert_eq!(Parser::new(bytes, true).string().unwrap(), "é€😀");
        let latin_1: String =
            bytes[1..bytes.len() - 1].iter().map(|&byte| char::from(byte)).collect();
        assert_eq!(Parser::new(bytes, false).string().unwrap(), latin_1);
        for (text, end) in [("'' x", 2), ("\"it's\"", 6), ("'a\\'b'", 6)] {
            let mut parser = Parser::new(text.as_bytes(), true);
            parser.string().unwrap();
            assert_eq!((parser.position(), parser.remaining()), (end, text.len() - end), "{text}");
        }
        assert!(Parser::new(b"'\xc3", true).string().is_err());
        for byte in 0..=0x7f {
            let text = [b'\'', b'a', byte, b'b', b'\''];
            let read = Parser::new(&text, true).string();
            let expected = match byte {
                b'\'' => Some("a".to_owned()),
                b'\0' | b'\n' | b'\r' | b'\\' => None,
                _ => Some(format!("a{}b", char::from(byte))),
            };
            // `\b` is an unsupported escape.
            assert_eq!(read.ok(), expected, "{byte}");
        }
    }

    /// Strings use no more memory than their initial allocation.
    #[test]
    fn strings_are_allocated_once() {
        for (text, len) in [(&b"a\\'b' 'c'"[..], 4), (b"a\\\\' 'b'", 3), (b"ab", 2), (b"'", 0)] {
            assert_eq!(Parser::new(text, true).decoded_len(b'\''), len);
        }
        assert_eq!(Parser::new(b"a\xe9'", false).decoded_len(b'\''), 3);
        assert_eq!(Parser::new("é'".as_bytes(), true).decoded_len(b'\''), 2);
    }

    #[test]
    fn integers() {
        for (text, value, end) in
            [("0", 0, 1), ("00", 0, 2), ("12,", 12, 2), (" 7L)", 7, 3), ("18L", 18, 3)]
        {
            let mut parser = Parser::new(text.as_bytes(), true);
            assert_eq!((parser.integer(), parser.position()), (Ok(value), end), "{text}");
        }
        assert_eq!(Parser::new(usize::MAX.to_string().as_bytes(), true).integer(), Ok(usize::MAX));
        // More zeros than digits of `usize::MAX`, and as many digits.
        assert_eq!(Parser::new("0".repeat(40).as_bytes(), true).integer(), Ok(0));
        assert!(
            Parser::new(usize::MAX.to_string().replace('5', "9").as_bytes(), true)
                .integer()
                .is_err()
        );
        for text in [
            "",
            "-1",
            "+1",
            "L",
            "1l",
            "1_0",
            "1.",
            "1e3",
            "0b1",
            "01",
            &"0".repeat(41),
            &"1".repeat(40),
        ] {
            assert!(Parser::new(text.as_bytes(), true).integer().is_err(), "{text}");
        }
    }

    #[test]
    fn lists() {
        let scan = |text: &str| {
            let mut numbers = Vec::new();
            let mut parser = Parser::new(text.as_bytes(), true);
            let end = parser.list(b'(', b')', "a list", |parser, index| {
                assert_eq!(index, numbers.len());
                numbers.push(parser.integer()?);
                Ok(())
            })?;
            Ok::<_, ParseError>((numbers, end, parser.position()))
        };
        assert_eq!(scan("()"), Ok((vec![], (0, false), 2)));
        assert_eq!(scan(" ( 1 , 2 ) "), Ok((vec![1, 2], (2, false), 10)));
        assert_eq!(scan("(1,\t2,\x0c)"), Ok((vec![1, 2], (2, true), 8)));
        for text in ["", "(", "(,)", "(1,,)", "(1 2)", "(1,2", "[1]"] {
            assert!(scan(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_depth_is_limited() {
        fn nested(parser: &mut Parser<'_>) -> ParseResult<()> {
            match parser.peek() {
                Some(b'(') => {
                    parser.list(b'(', b')', "a list", |parser, _| nested(parser)).map(drop)
                }
                _ => parser.integer().map(drop),
            }
        }
        let text = |depth: usize| ["(".repeat(depth), "1".to_owned(), ")".repeat(depth)].concat();
        // Closed brackets do not count.
        let twice = format!("({}, {})", text(MAX_DEPTH - 1), text(MAX_DEPTH - 1));
        for fine in [text(MAX_DEPTH), twice] {
            assert_eq!(nested(&mut Parser::new(fine.as_bytes(), true)), Ok(()));
        }
        let error = nested(&mut Parser::new(text(MAX_DEPTH + 1).as_bytes(), true)).unwrap_err();
        assert_eq!((error.at, &*error.reason), (MAX_DEPTH + 1, "brackets nested too deeply"));
    }

    #[test]
    fn booleans() {
        for (text, value, end) in [("True", true, 4), (" False,", false, 6)] {
            let mut parser = Parser::new(text.as_bytes(), true);
            assert_eq!((parser.boolean(), parser.position()), (Ok(value), end));
        }
        for text in ["", "1", "true", "Tru"] {
            assert!(Parser::new(text.as_bytes(), true).boolean().is_err(), "{text}");
        }
    }

    #[test]
    fn error_reports_what_was_found() {
        for (text, found) in [
            ("", "the end of the header"),
            (" x", "`x`"),
            ("\x01", "byte 0x01"),
            ("\x7f", "byte 0x7f"),
        ] {
            let error = Parser::new(text.as_bytes(), true).expected::<()>("something").unwrap_err();
            assert_eq!(error.reason, format!("expected something, found {found}"));
        }
    }
}
