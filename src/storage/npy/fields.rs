//! The fields of structured dtypes, by name.
#![forbid(unsafe_code)]

use super::dtype::Dtype;
use super::parser::{ParseResult, Parser};
use super::record::{fields, parse_field_shape};

/// A named field of a record.
pub(super) struct Field {
    /// The name, after the names of the records that contain it: `outer.inner`.
    pub(super) name: String,
    pub(super) dtype: Dtype,
    /// The axis lengths of a field that is an array, otherwise empty.
    pub(super) shape: Vec<usize>,
    /// The first byte of the field in the record.
    pub(super) offset: usize,
}

/// Returns all fields of a record, each before those that it contains. Fields without a name are
/// padding. Records that are elements of an array are not divided.
pub(super) fn all_fields(record: &Dtype) -> Vec<Field> {
    let mut found = Vec::new();
    add_fields(record, "", 0, &mut found);
    found
}

fn add_fields(record: &Dtype, prefix: &str, mut offset: usize, found: &mut Vec<Field>) {
    if !record.is_record() {
        return;
    }
    for text in fields(record.descr()) {
        // Every field of a canonical form can be parsed.
        let Ok((name, dtype, shape)) = parse_field(text) else { return };
        let item = dtype.item_size().unwrap_or(0);
        let size = shape.iter().fold(item, |size, &len| size.saturating_mul(len));
        if !name.is_empty() {
            let name = format!("{prefix}{name}");
            let inner = format!("{name}.");
            let (is_array, element) = (!shape.is_empty(), dtype.clone());
            found.push(Field { name, dtype, shape, offset });
            if !is_array {
                add_fields(&element, &inner, offset, found);
            }
        }
        offset += size;
    }
}

/// Parses a field with its parentheses.
fn parse_field(text: &str) -> ParseResult<(String, Dtype, Vec<usize>)> {
    let mut parser = Parser::new(text.as_bytes(), true);
    let mut name = String::new();
    let mut dtype = Dtype::record([]);
    let mut shape = Vec::new();
    parser.list(b'(', b')', "a field", |parser, part| {
        match part {
            0 if parser.peek() == Some(b'(') => {
                // The name comes after the title.
                parser.list(b'(', b')', "a title and a name", |parser, _| {
                    name = parser.string()?;
                    Ok(())
                })?;
            }
            0 => name = parser.string()?,
            1 => dtype = Dtype::parse_from(parser)?,
            _ => shape = parse_field_shape(parser)?,
        }
        Ok(())
    })?;
    Ok((name, dtype, shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_their_offsets() {
        let record: Dtype = "[('a', '|u1'), ('', '|V3'), (('title', 'b'), [('x', '>f4'), ('y', \
                             [('z', '<i2')])]), ('c', '<f8', (2, 3)), ('d', [('e', '<f4')], (2,)), \
                             ('f', '|b1')]"
            .parse()
            .unwrap();
        let found = all_fields(&record);
        let found: Vec<_> = found
            .iter()
            .map(|field| (&*field.name, field.dtype.descr(), &field.shape[..], field.offset))
            .collect();
        let expected: [(&str, &str, &[usize], usize); 8] = [
            ("a", "|u1", &[], 0),
            ("b", "[('x', '>f4'), ('y', [('z', '<i2')])]", &[], 4),
            ("b.x", ">f4", &[], 4),
            ("b.y", "[('z', '<i2')]", &[], 8),
            ("b.y.z", "<i2", &[], 8),
            ("c", "<f8", &[2, 3], 10),
            ("d", "[('e', '<f4')]", &[2], 58),
            ("f", "|b1", &[], 66),
        ];
        assert_eq!(found, expected);
        assert!(all_fields(&"<f8".parse().unwrap()).is_empty());
    }
}
