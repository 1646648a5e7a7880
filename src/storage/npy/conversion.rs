//! The number in each element of an `.npy` file, and the check that it can be converted.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::dtype::Dtype;
use super::element::rust_name;
use super::fields::{Field, all_fields};
use super::header::NpyHeader;
use super::literal::truncate_for_display;
use super::number::{NumberKind, NumericElement};
use super::scalar::{FOREIGN, NATIVE};
use crate::error::ErrorKind;
use crate::storage::layout::{Element, FileLayout};

/// The conversions that are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// Conversions that keep every value of the file's type.
    Exact,
    /// All conversions.
    Lossy,
}

/// The number in each element of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) struct StoredNumber {
    pub(in crate::storage) kind: NumberKind,
    /// True if the number is not in native byte order.
    pub(in crate::storage) is_swapped: bool,
    /// The range of its bytes in the element.
    pub(in crate::storage) bytes: Range<usize>,
    /// The element, which may be a record.
    pub(in crate::storage) element: Element,
}

impl StoredNumber {
    /// Returns whether the elements of the file are elements of type `A`, except for their byte
    /// order.
    pub(in crate::storage) fn is_stored_as<A: NumericElement>(&self) -> bool {
        self.kind == A::KIND && self.bytes == (0..self.element.size)
    }
}

impl NpyHeader {
    /// Returns the number in each element, or in a field of each element, if it can be converted to
    /// `A`.
    pub(in crate::storage) fn number<A: NumericElement>(
        &self,
        field: Option<&str>,
        conversion: Conversion,
    ) -> Result<StoredNumber, ErrorKind> {
        let Some(item) = self.dtype().item_size() else {
            return Err(mismatch::<A>("Python objects, which cannot be read".to_owned()));
        };
        let Some(name) = field else {
            let (kind, is_swapped) = check::<A>(self.dtype(), None, conversion)?;
            let element = Element { size: item, align: 1, name: kind.name() };
            return Ok(StoredNumber { kind, is_swapped, bytes: 0..item, element });
        };
        let field = find_field(self.dtype(), name)?;
        let (kind, is_swapped) = check::<A>(&field.dtype, Some(name), conversion)?;
        let element = Element { size: item, align: 1, name: "records" };
        let end = field.offset + field.dtype.item_size().unwrap_or(0);
        Ok(StoredNumber { kind, is_swapped, bytes: field.offset..end, element })
    }

    /// Returns the layout of the elements.
    pub(in crate::storage) fn layout_of(&self, element: Element) -> Result<FileLayout, ErrorKind> {
        FileLayout::new(self.shape(), self.order(), self.data_offset(), element)
    }
}

/// Returns the kind and the byte order of the numbers of a dtype, if they can be converted.
fn check<A: NumericElement>(
    dtype: &Dtype,
    field: Option<&str>,
    conversion: Conversion,
) -> Result<(NumberKind, bool), ErrorKind> {
    let descr = truncate_for_display(dtype.descr());
    let found = match field {
        None => descr,
        Some(name) => format!("{descr} in the field `{}`", truncate_for_display(name)),
    };
    // Times are integers, but their missing values are no numbers.
    if is_time(dtype) && A::KIND == NumberKind::I64 {
        return Ok((NumberKind::I64, dtype.descr().starts_with(FOREIGN)));
    }
    let Some((kind, is_swapped)) = NumberKind::of(dtype) else {
        return Err(mismatch::<A>(format!("{found}{}", hint(dtype, field))));
    };
    if conversion == Conversion::Lossy || kind.is_exact_in(A::KIND) {
        return Ok((kind, is_swapped));
    }
    let exact = if kind == NumberKind::F16 { NumberKind::F32 } else { kind };
    let remedy = match field {
        None => "or round its values with `open_npy_lossy`",
        Some(_) => "and convert its values with `map`",
    };
    Err(mismatch::<A>(format!(
        "{found}, not all values of which are values of {}; open it as `{}`, {remedy}",
        A::KIND.name(),
        exact.name()
    )))
}

/// Describes a dtype that is not a number.
fn hint(dtype: &Dtype, field: Option<&str>) -> String {
    if is_time(dtype) {
        return ", which opens as `i64`".to_owned();
    }
    if dtype.is_record() {
        let prefix = field.map_or(String::new(), |name| format!("{name}."));
        let names = all_fields(dtype).into_iter().map(|inner| format!("{prefix}{}", inner.name));
        return format!(
            ", a record; open one of its fields with `open_npy_field`: {}",
            list(names.collect())
        );
    }
    let name = rust_name(dtype);
    match field {
        Some(_) => format!(
            ", which is not a real number; open the file with `ArrayFile` and a struct that \
             implements `NpyElement`, with a field of type `{name}`"
        ),
        None if name.starts_with("Complex") => format!(
            ", which is not a real number; open it with `ArrayFile` as `{name}`, and use `re`, \
             `im` or `norm`"
        ),
        None => format!(", which is not a real number; open it with `ArrayFile` as `{name}`"),
    }
}

/// Returns the field of this name.
fn find_field(record: &Dtype, name: &str) -> Result<Field, ErrorKind> {
    let mut fields = all_fields(record);
    let names: Vec<_> = fields.iter().map(|field| field.name.clone()).collect();
    let found: Vec<_> = (0..fields.len()).filter(|&index| names[index] == name).collect();
    let reason = match found[..] {
        [index] if fields[index].shape.is_empty() => return Ok(fields.swap_remove(index)),
        [index] => format!(
            "an array of shape {:?} of {} in each record; open the file with `ArrayFile` and a \
             struct that implements `NpyElement`",
            fields[index].shape,
            truncate_for_display(fields[index].dtype.descr())
        ),
        [] if !record.is_record() => {
            format!("{}, which has no fields; use `open_npy`", truncate_for_display(record.descr()))
        }
        [] => format!("a record with the fields {}", list(names)),
        _ => "several fields of this name; rename them in NumPy".to_owned(),
    };
    let expected = format!("a field `{}` of one number", truncate_for_display(name));
    Err(ErrorKind::DtypeMismatch { expected, found: reason })
}

/// Returns the first names of a list.
fn list(names: Vec<String>) -> String {
    const MAX_NAMES: usize = 32;
    let shown =
        names.iter().take(MAX_NAMES).map(|name| format!("`{}`", truncate_for_display(name)));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if names.len() > MAX_NAMES {
        text.push_str(&format!(" and {} more", names.len() - MAX_NAMES));
    }
    text
}

fn is_time(dtype: &Dtype) -> bool {
    dtype
        .descr()
        .strip_prefix([NATIVE, FOREIGN])
        .is_some_and(|kind| kind.starts_with("M8") || kind.starts_with("m8"))
}

fn mismatch<A: NumericElement>(found: String) -> ErrorKind {
    let expected = format!("{} ({})", A::KIND.name(), A::dtype().descr());
    ErrorKind::DtypeMismatch { expected, found }
}
