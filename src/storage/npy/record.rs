//! Structured dtypes ("records") in `.npy` headers: parsing into the canonical form, and their
//! size.
#![forbid(unsafe_code)]

use std::fmt::Write;

use super::literal::{quote, truncate_for_display, tuple};
use super::parser::{ParseResult, Parser};
use super::scalar;

/// Parses `[('x', '<f4'), (('title', 'y'), '<i4', (3,))]`, appends its canonical form to `descr`,
/// and returns the item size.
pub(super) fn parse_record(
    parser: &mut Parser<'_>,
    descr: &mut String,
) -> ParseResult<Option<usize>> {
    let mut size = RecordSize::default();
    let mut names = Vec::new();
    descr.push('[');
    parser.list(b'[', b']', "a list of fields", |parser, field| {
        descr.push_str(if field > 0 { ", (" } else { "(" });
        let first_name = names.len();
        let mut is_unnamed = false;
        let mut bytes = false;
        let mut typed = false;
        let mut item_size = None;
        let mut shape = Vec::new();
        parser.list(b'(', b')', "a field", |parser, part| {
            match part {
                0 => is_unnamed = parse_field_name(parser, descr, &mut names)?,
                1 => {
                    descr.push_str(", ");
                    let start = descr.len();
                    item_size = parse_field_type(parser, descr)?;
                    bytes = descr[start..].starts_with("'|V");
                    typed = true;
                }
                2 => {
                    shape = parse_field_shape(parser)?;
                    let _ = write!(descr, ", {}", tuple(&shape)); // cannot fail
                }
                _ => return parser.error("a field has at most a name, a type and a shape"),
            }
            Ok(())
        })?;
        descr.push(')');
        // NumPy uses such fields as padding, which may occur several times.
        if is_unnamed && (bytes || !shape.is_empty()) {
            names.truncate(first_name);
        }
        size.add(item_size, &shape);
        match (typed, size.overflow) {
            (false, _) => parser.error("field without a type"),
            (_, true) => parser.error("dtype too large"),
            _ => Ok(()),
        }
    })?;
    descr.push(']');
    names.sort_unstable_by_key(|name| name.of(descr));
    match names.windows(2).find(|pair| pair[0].of(descr) == pair[1].of(descr)) {
        Some(pair) => parser
            .error(format!("duplicate field name {}", truncate_for_display(pair[0].of(descr)))),
        None => Ok(size.get()),
    }
}

/// Returns the fields of a record in canonical form, each with its parentheses.
pub(super) fn fields(descr: &str) -> impl Iterator<Item = &str> {
    let mut rest = descr;
    std::iter::from_fn(move || {
        rest = &rest[rest.find('(')?..];
        let mut depth = 0;
        let mut quote = None;
        let mut escaped = false;
        for (at, char) in rest.char_indices() {
            match (quote, char) {
                (Some(_), _) if escaped => escaped = false,
                (Some(_), '\\') => escaped = true,
                (Some(open), _) if char == open => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(char),
                (None, '(' | '[') => depth += 1,
                (None, ')' | ']') => depth -= 1,
                (None, _) => {}
            }
            if depth == 0 {
                let field;
                (field, rest) = rest.split_at(at + 1);
                return Some(field);
            }
        }
        None
    })
}

/// Returns whether a dtype in canonical form contains a `bool`.
pub(super) fn has_bool(descr: &str) -> bool {
    match descr.strip_prefix('[') {
        None => descr == "|b1",
        Some(record) => fields(record).any(|field| field_has_bool(field).unwrap_or(false)),
    }
}

/// Returns whether a field with its parentheses contains a `bool`. Text that is not in canonical
/// form is an error.
fn field_has_bool(field: &str) -> ParseResult<bool> {
    let mut parser = Parser::new(field.as_bytes(), true);
    let mut found = false;
    parser.list(b'(', b')', "a field", |parser, part| {
        match part {
            0 => drop(parse_field_name(parser, &mut String::new(), &mut Vec::new())?),
            1 if parser.peek() == Some(b'[') => {
                let mut record = String::new();
                parse_record(parser, &mut record)?;
                found = has_bool(&record);
            }
            1 => found = parser.string()? == "|b1",
            _ => drop(parse_shape(parser)?),
        }
        Ok(())
    })?;
    Ok(found)
}

/// The position of the name or title of a field in the canonical form. Kept small, because there
/// can be a thousand.
struct Name {
    start: u32,
    end: u32,
}

impl Name {
    fn of<'d>(&self, descr: &'d str) -> &'d str {
        &descr[self.start as usize..self.end as usize]
    }
}

/// Parses the dtype of a field.
fn parse_field_type(parser: &mut Parser<'_>, descr: &mut String) -> ParseResult<Option<usize>> {
    if parser.peek() == Some(b'[') {
        return parse_record(parser, descr);
    }
    let plain = scalar::parse_literal(parser)?;
    quote(&plain.descr, descr);
    Ok(plain.item_size)
}

/// Parses a field's name, or its title and name. Returns whether the name is empty, as for padding.
fn parse_field_name(
    parser: &mut Parser<'_>,
    descr: &mut String,
    names: &mut Vec<Name>,
) -> ParseResult<bool> {
    let mut one = |parser: &mut Parser<'_>, descr: &mut String| {
        let start = descr.len() as u32;
        let name = parser.string()?;
        quote(&name, descr);
        names.push(Name { start, end: descr.len() as u32 }); // at most MAX_TEXT
        Ok(name.is_empty())
    };
    if parser.peek() != Some(b'(') {
        return one(parser, descr);
    }
    let (parts, _) = parser.list(b'(', b')', "a title and a name", |parser, part| {
        descr.push_str(if part == 0 { "(" } else { ", " });
        match part {
            0 | 1 => one(parser, descr).map(drop),
            _ => parser.error("expected one title and one name"),
        }
    })?;
    descr.push(')');
    if parts == 2 { Ok(false) } else { parser.error("expected one title and one name") }
}

/// Parses the shape of a field that is itself an array.
pub(super) fn parse_field_shape(parser: &mut Parser<'_>) -> ParseResult<Vec<usize>> {
    if parser.peek() == Some(b'(') { parse_shape(parser) } else { Ok(vec![parser.integer()?]) }
}

/// Parses a tuple of axis lengths, at most 64 as in NumPy.
pub(super) fn parse_shape(parser: &mut Parser<'_>) -> ParseResult<Vec<usize>> {
    let mut shape = Vec::new();
    let (count, comma) = parser.list(b'(', b')', "a shape tuple", |parser, axis| {
        if axis >= 64 {
            return parser.error("shape with more than 64 dimensions");
        }
        shape.push(parser.integer()?);
        Ok(())
    })?;
    match (count, comma) {
        (1, false) => parser.error("expected a shape tuple, found a number in parentheses"),
        _ => Ok(shape),
    }
}

/// The total size of a record's fields.
#[derive(Default)]
pub(super) struct RecordSize {
    sum: usize,
    objects: bool,
    overflow: bool,
}

impl RecordSize {
    pub(super) fn add(&mut self, item_size: Option<usize>, shape: &[usize]) {
        self.objects |= item_size.is_none();
        let size = shape
            .iter()
            .try_fold(item_size.unwrap_or(0), |size, &len| size.checked_mul(len))
            .and_then(|size| size.checked_add(self.sum))
            .filter(|&size| size <= isize::MAX as usize);
        self.overflow |= size.is_none();
        self.sum = size.unwrap_or(0);
    }

    pub(super) fn get(self) -> Option<usize> {
        if self.objects || self.overflow { None } else { Some(self.sum) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_canonical_form() {
        let descr = r#"[('a', '<f4'), (('it)s', "b('"), [('c', '<f4', (2, 3)), ('d', '|u1')]), ('e\')', '<f4', (2,))]"#;
        let expected = [
            "('a', '<f4')",
            r#"(('it)s', "b('"), [('c', '<f4', (2, 3)), ('d', '|u1')])"#,
            r"('e\')', '<f4', (2,))",
        ];
        assert_eq!(fields(descr).collect::<Vec<_>>(), expected);
        assert_eq!(fields("[]").count(), 0);
        assert_eq!(fields("[('a'").count(), 0);
    }

    #[test]
    fn tuples() {
        for (shape, text) in
            [(&[][..], "()"), (&[3], "(3,)"), (&[3, 4], "(3, 4)"), (&[0, 1, 2], "(0, 1, 2)")]
        {
            assert_eq!(tuple(shape), text);
            assert_eq!(parse_shape(&mut Parser::new(text.as_bytes(), true)).unwrap(), shape);
        }
        let most = tuple(&[1; 64]);
        assert_eq!(parse_shape(&mut Parser::new(most.as_bytes(), true)).unwrap(), [1; 64]);
        assert!(parse_shape(&mut Parser::new(tuple(&[1; 65]).as_bytes(), true)).is_err());
    }
}
