//! The text of an index.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::{Component, Path};

use crate::storage::Dtype;

/// The first line, with the version of the format.
const HEADING: &str = "ndarray-mmap index 1";

/// The line of the first file, counted from 1.
pub(super) const FIRST_FILE: usize = 4;

/// The contents of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) axis: usize,
    pub(super) dtype: Dtype,
    pub(super) files: Vec<ListedFile>,
}

/// A line of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedFile {
    pub(super) shape: Vec<usize>,
    /// The path relative to the directory of the index, with `/` between components.
    pub(super) name: String,
}

/// A fault in the text of an index.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The number of the line, counted from 1.
    pub(super) line: usize,
    pub(super) reason: String,
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADING}\naxis {}\ndtype {}", self.axis, self.dtype)?;
        self.files.iter().try_for_each(|file| writeln!(f, "{:?} {}", file.shape, file.name))
    }
}

impl Listing {
    /// Parses the text of an index, and checks that the files can be concatenated.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut lines = (1..).zip(text.lines());
        let mut next = |line: usize| lines.next().unwrap_or((line, ""));
        let (line, heading) = next(1);
        if heading != HEADING {
            return Err(Fault::expected(line, &format!("`{HEADING}`"), heading));
        }
        let (line, text) = next(2);
        let axis = text.strip_prefix("axis ").and_then(|axis| axis.parse().ok());
        let axis = axis.ok_or_else(|| Fault::expected(line, "`axis` and a number", text))?;
        let (line, text) = next(3);
        let dtype = text.strip_prefix("dtype ").and_then(|dtype| dtype.parse().ok());
        let dtype =
            dtype.ok_or_else(|| Fault::expected(line, "`dtype` and a NumPy dtype", text))?;
        let files: Result<Vec<_>, _> = lines.map(|(line, text)| file(line, text)).collect();
        let listing = Self { axis, dtype, files: files? };
        listing.check()?;
        Ok(listing)
    }

    /// Checks that there are files, and that their shapes differ along the axis only.
    fn check(&self) -> Result<(), Fault> {
        let Some(first) = self.files.first() else {
            return Err(Fault::expected(FIRST_FILE, "a shape and a file", ""));
        };
        let mut total = 0_usize;
        for (line, file) in (FIRST_FILE..).zip(&self.files) {
            let fault = |reason| Fault { line, reason };
            let Some(&len) = file.shape.get(self.axis) else {
                let (axis, shape) = (self.axis, &file.shape);
                let found = shortened(shape);
                return Err(fault(format!("expected a shape with an axis {axis}, found {found}")));
            };
            let mut expected = first.shape.clone();
            expected[self.axis] = len;
            if expected != file.shape {
                let found = &file.shape;
                let [expected, found] = [&expected, found].map(|shape| shortened(shape));
                return Err(fault(format!(
                    "expected shape {expected} as in line {FIRST_FILE}, found {found}"
                )));
            }
            let sum = total.checked_add(len);
            total = sum.ok_or_else(|| fault(format!("axis {} is too long", self.axis)))?;
        }
        Ok(())
    }
}

/// Formats a shape, or its first lengths if it has more than any array.
fn shortened(shape: &[usize]) -> String {
    const MAX_LENS: usize = 64;
    match shape.get(..MAX_LENS) {
        Some(first) if shape.len() > MAX_LENS => format!("{first:?}..."),
        _ => format!("{shape:?}"),
    }
}

impl Fault {
    fn expected(line: usize, expected: &str, found: &str) -> Self {
        const MAX_CHARS: usize = 60;
        let reason = match found.char_indices().nth(MAX_CHARS) {
            _ if found.is_empty() => format!("expected {expected}, found nothing"),
            Some((end, _)) => format!("expected {expected}, found {:?}...", &found[..end]),
            None => format!("expected {expected}, found {found:?}"),
        };
        Self { line, reason }
    }
}

/// Parses a line such as `[120, 64] part-0.npy`.
fn file(line: usize, text: &str) -> Result<ListedFile, Fault> {
    let parts = text.strip_prefix('[').and_then(|text| text.split_once("] "));
    let lens = |lens: &str| -> Option<Vec<usize>> {
        lens.split(", ").map(|len| len.parse().ok()).collect()
    };
    let file = parts.and_then(|(shape, name)| Some((lens(shape)?, name)));
    let (shape, name) = file.ok_or_else(|| {
        Fault::expected(line, "a shape and a file, as in `[120, 64] part-0.npy`", text)
    })?;
    if !is_name(name) {
        let expected = "a file in the directory of the index or below it";
        return Err(Fault::expected(line, expected, name));
    }
    Ok(ListedFile { shape, name: name.to_owned() })
}

/// Returns whether the name is a path that stays in the directory of the index.
pub(super) fn is_name(name: &str) -> bool {
    let is_inside = |part: Component<'_>| matches!(part, Component::Normal(_));
    !name.is_empty()
        && Path::new(name).components().all(is_inside)
        && !name.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "ndarray-mmap index 1
axis 0
dtype <f4
[120, 64] part-0.npy
[0, 64] further/part 1.npy
[7, 64] [3] part.npy
";

    #[test]
    fn text_survives_parsing() {
        let listing = Listing::parse(TEXT).unwrap();
        assert_eq!((listing.axis, listing.dtype.descr()), (0, "<f4"));
        assert_eq!(
            (&listing.files[2].shape[..], &*listing.files[2].name),
            (&[7, 64][..], "[3] part.npy")
        );
        assert_eq!(listing.to_string(), TEXT);
        assert_eq!(Listing::parse(&TEXT.replace('\n', "\r\n")), Ok(listing));
    }

    #[test]
    fn faults_are_located() {
        let long = "x".repeat(1_000);
        for (line, old, new, reason) in [
            (1, "index 1", "index 2", "found \"ndarray-mmap index 2\""),
            (2, "axis 0", "axis -1", "found \"axis -1\""),
            (2, "axis 0\n", "", "found \"dtype <f4\""),
            (3, "dtype <f4", "dtype <f3", "found \"dtype <f3\""),
            (4, "axis 0", "axis 2", "with an axis 2, found [120, 64]"),
            (4, "[120, 64] part-0.npy", "", "found nothing"),
            (4, "[120, 64]", "[120, 6x]", "found \"[120, 6x] part-0.npy\""),
            (4, "[120, 64]", "[-1, 64]", "found \"[-1, 64]"),
            (4, "[120, 64]", "[]", "found \"[] part-0.npy\""),
            (4, "[120, 64]", "[99999999999999999999, 64]", "found \"[99999999999999999999"),
            (5, "[0, 64]", "[0, 65]", "expected shape [0, 64] as in line 4, found [0, 65]"),
            (5, "[0, 64]", "[64]", "expected shape"),
            (5, "[0, 64]", "[18446744073709551615, 64]", "axis 0 is too long"),
            (5, "further/", "../", "found \"../part 1.npy\""),
            (5, "further/", "/etc/", "found \"/etc/part 1.npy\""),
            (5, "further/", "\u{1b}", "found \"\\u{1b}part 1.npy\""),
            (6, "[3] part.npy", "", "found nothing"),
            (6, "[7, 64] [3] part.npy", &long, "xxxx\"..."),
        ] {
            let fault = Listing::parse(&TEXT.replacen(old, new, 1)).unwrap_err();
            assert_eq!(fault.line, line, "{fault:?}");
            assert!(fault.reason.contains(reason), "{fault:?}");
        }
        for text in ["", "ndarray-mmap index 1\naxis 0\ndtype <f4\n"] {
            assert!(Listing::parse(text).unwrap_err().reason.contains("found nothing"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn changed_text_never_panics(at in 0..TEXT.len(), len in 0..20_usize, new in ".{0,6}") {
            let end = (at + len).min(TEXT.len());
            let text = [&TEXT[..at], &new, &TEXT[end..]].concat();
            if let Ok(listing) = Listing::parse(&text) {
                prop_assert_eq!(Listing::parse(&listing.to_string()), Ok(listing));
            }
        }
    }
}
