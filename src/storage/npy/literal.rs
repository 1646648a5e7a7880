//! Python literals for writing headers, and truncation of file contents for messages.
#![forbid(unsafe_code)]

use std::fmt::Write;

/// Writes a string literal as Python's `repr` does, except that non-printable Unicode characters
/// are not escaped.
pub(super) fn quote(text: &str, literal: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    literal.push(quote);
    for char in text.chars() {
        match char {
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            '\0'..='\x1f' | '\x7f' => {
                let _ = write!(literal, "\\x{:02x}", u32::from(char)); // cannot fail
            }
            _ if char == quote => {
                literal.push('\\');
                literal.push(char);
            }
            _ => literal.push(char),
        }
    }
    literal.push(quote);
}

/// Returns a tuple as Python prints it.
pub(super) fn tuple(shape: &[usize]) -> String {
    match shape {
        [len] => format!("({len},)"),
        _ => {
            let lens: Vec<_> = shape.iter().map(usize::to_string).collect();
            format!("({})", lens.join(", "))
        }
    }
}

/// Returns a name from a file, truncated and escaped for a message.
pub(super) fn truncate_for_display(text: &str) -> String {
    let mut short = String::new();
    for char in text.chars().take(60) {
        if char.is_control() { short.extend(char.escape_default()) } else { short.push(char) }
    }
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_truncated() {
        assert_eq!(truncate_for_display(&"é".repeat(60)), "é".repeat(60));
        assert_eq!(truncate_for_display(&"é".repeat(61)), "é".repeat(60) + "…");
        assert_eq!(truncate_for_display("a\nb"), "a\\nb");
    }

    #[test]
    fn python_quotes() {
        let quoted = |text| {
            let mut literal = String::new();
            quote(text, &mut literal);
            literal
        };
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("both ' and \""), "'both \\' and \"'");
        assert_eq!(quoted("a\nb\rc\td"), "'a\\nb\\rc\\td'");
        assert_eq!(quoted("a\\b\x01é"), "'a\\\\b\\x01é'");
    }
}
