//! A scanner for the part of Python's literals that `.npy` headers are made of. One pass, no recursion beyond
//! [`MAX_DEPTH`], and memory in proportion to the text at most.
#![forbid(unsafe_code)]

use std::borrow::Cow;

/// How deep record types may nest. NumPy has no limit of its own; real files stay below five.
const MAX_DEPTH: usize = 16;

/// What is wrong with the text, and at which byte of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) reason: Cow<'static, str>,
}

pub(super) type Scan<T> = Result<T, Fault>;

pub(super) struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
    depth: usize,
    /// Bytes above 127 are UTF-8 (header version 3), not Latin-1.
    utf8: bool,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t [u8], utf8: bool) -> Self {
        Self { text, at: 0, depth: 0, utf8 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Bytes still to come.
    pub(super) fn remaining(&self) -> usize {
        self.text.len() - self.at
    }

    pub(super) fn fault<T>(&self, reason: impl Into<Cow<'static, str>>) -> Scan<T> {
        Err(Fault { at: self.at, reason: reason.into() })
    }

    fn skip_space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0c)) {
            self.at += 1;
        }
    }

    /// The next byte that is not white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.text.get(self.at).copied()
    }

    /// Takes the byte if it comes next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, byte: u8, what: &str) -> Scan<()> {
        match self.take(byte) {
            true => Ok(()),
            false => self.expected(what),
        }
    }

    pub(super) fn expect_end(&mut self) -> Scan<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.expected("the end of the header"),
        }
    }

    /// The fault that something else comes next.
    pub(super) fn expected<T>(&mut self, what: &str) -> Scan<T> {
        let found = match self.peek() {
            None => "the end of the header".to_owned(),
            Some(byte) if byte.is_ascii_graphic() => format!("`{}`", char::from(byte)),
            Some(byte) => format!("byte {byte:#04x}"),
        };
        self.fault(format!("expected {what}, found {found}"))
    }

    /// A bracketed, comma-separated list: calls `item` before each, whose number it gets; a comma may end it.
    /// Returns the number of items and whether a comma came last.
    pub(super) fn list(
        &mut self,
        open: u8,
        close: u8,
        what: &str,
        mut item: impl FnMut(&mut Self, usize) -> Scan<()>,
    ) -> Scan<(usize, bool)> {
        self.expect(open, what)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fault("brackets are nested too deep");
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

    /// `True` or `False`.
    pub(super) fn boolean(&mut self) -> Scan<bool> {
        self.skip_space();
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.expected("True or False")
    }

    /// A decimal integer that fits `usize`, perhaps with the `L` of Python 2.
    pub(super) fn integer(&mut self) -> Scan<usize> {
        self.skip_space();
        let begin = self.at;
        let rest = &self.text[begin..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = std::str::from_utf8(&rest[..digits.min(40)]).ok().and_then(|digits| digits.parse::<usize>().ok());
        match rest.get(digits) {
            _ if digits == 0 => {
                return self.expected("a non-negative decimal integer");
            }
            Some(byte) if byte.is_ascii_alphanumeric() && *byte != b'L' || matches!(byte, b'_' | b'.') => {
                return self.fault("expected a decimal integer without letters, `_` or `.`");
            }
            _ if digits > 1 && rest[0] == b'0' && rest[..digits].iter().any(|digit| *digit != b'0') => {
                return self.fault("integers have no leading zeros");
            }
            _ => {}
        }
        let Some(value) = value.filter(|_| digits <= 40) else {
            return self.fault("an integer is too large for this machine");
        };
        self.at = begin + digits;
        if self.text.get(self.at) == Some(&b'L') {
            self.at += 1;
        }
        Ok(value)
    }

    /// A string literal, decoded.
    pub(super) fn string(&mut self) -> Scan<String> {
        let quote = match self.peek() {
            Some(quote @ (b'\'' | b'"')) => quote,
            _ => return self.expected("a string"),
        };
        self.at += 1;
        let mut decoded = String::with_capacity(self.decoded_len(quote));
        loop {
            match self.text.get(self.at) {
                None | Some(b'\n' | b'\r') => return self.fault("a string has no end"),
                Some(&byte) if byte == quote => {
                    self.at += 1;
                    return Ok(decoded);
                }
                Some(b'\\') => decoded.push(self.escape()?),
                Some(byte) if byte.is_ascii_control() => return self.fault("a control character in a string"),
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

    /// At most as many bytes are in the string that begins here, so that it need not grow.
    fn decoded_len(&self, quote: u8) -> usize {
        let (mut len, mut escaped) = (0, false);
        for &byte in &self.text[self.at..] {
            if !escaped && byte == quote {
                break;
            }
            escaped = !escaped && byte == b'\\';
            len += if byte.is_ascii() || self.utf8 { 1 } else { 2 };
        }
        len
    }

    fn utf8_char(&mut self) -> Scan<char> {
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
            None => self.fault("the header is not valid UTF-8"),
        }
    }

    fn escape(&mut self) -> Scan<char> {
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
            _ => return self.fault("unknown escape in a string"),
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
            None => self.fault("invalid escape in a string"),
        }
    }
}
