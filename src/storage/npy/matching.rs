//! Checks that elements of a file can be read and stored as a Rust type, with errors that state the
//! reason and the remedy.
#![forbid(unsafe_code)]

use super::dtype::Dtype;
use super::element::{NpyElement, is_native_time, rust_name, scalar};
use super::literal::truncate_for_display;
use super::record::{fields, has_bool};
use crate::error::ErrorKind;
use crate::storage::layout::Element;

/// Returns an error if a file of this dtype cannot be opened as `A`.
pub(super) fn check<A: NpyElement>(dtype: &Dtype) -> Result<(), ErrorKind> {
    let is_as_long = dtype.item_size() == Some(size_of::<A>());
    if is_as_long && A::accepts(dtype) {
        return Ok(());
    }
    if is_as_long && dtype.byte_swapped().is_some_and(|swapped| A::accepts(&swapped)) {
        return Err(ErrorKind::ByteOrderMismatch { found: dtype.to_string() });
    }
    let ours = A::dtype();
    if dtype.is_record() && ours.is_record() && dtype.item_size().is_some() {
        return Err(record_mismatch(dtype, &ours, Element::of::<A>()));
    }
    let hint = match dtype.descr() {
        "|b1" => " (bool), which opens as `u8`".to_owned(),
        "|O" => " (pickled Python objects), which cannot be mapped".to_owned(),
        _ if dtype.item_size().is_none() => {
            ", with Python objects, which cannot be mapped".to_owned()
        }
        descr if is_native_time(descr) && descr.contains("M8") => {
            " (times), which opens as `i64`".to_owned()
        }
        descr if is_native_time(descr) => " (time differences), which opens as `i64`".to_owned(),
        _ if dtype.is_record() => {
            ", which opens as a struct that implements `NpyElement`".to_owned()
        }
        _ if !cfg!(feature = "half") && *dtype == scalar("=f2") => {
            ", which opens as `half::f16` with the feature `half`, or as `[u8; 2]`".to_owned()
        }
        _ if is_foreign(dtype) => {
            let converted = match dtype.descr().as_bytes().get(1) {
                Some(b'i' | b'u' | b'f') => {
                    "`ArrayFile` and `LazyArray::open_npy` convert, and which "
                }
                Some(b'c') => "`ArrayFile` converts, and which ",
                _ => "",
            };
            format!(
                ", in the other byte order, which {converted}opens as `{}` if it is mapped",
                rust_name(dtype)
            )
        }
        _ => format!(", which opens as `{}`", rust_name(dtype)),
    };
    Err(ErrorKind::DtypeMismatch {
        expected: format!("{} ({})", Element::of::<A>().name, truncate_for_display(ours.descr())),
        found: format!("{}{hint}", truncate_for_display(dtype.descr())),
    })
}

/// Returns an error if storing an `A` could invalidate a file of this dtype: a byte of NumPy's
/// `bool` must be 0 or 1, which only an `A` declared as `bool` guarantees.
pub(super) fn check_writable<A: NpyElement>(dtype: &Dtype) -> Result<(), ErrorKind> {
    let ours = A::dtype();
    if !has_bool(dtype.descr()) || has_bool(ours.descr()) {
        return Ok(());
    }
    Err(ErrorKind::DtypeMismatch {
        expected: format!("{} ({})", Element::of::<A>().name, truncate_for_display(ours.descr())),
        found: format!(
            "{}, with `bool`, whose bytes must be 0 or 1; open it in a mode that does not change \
             the file (`MmapArray::open_npy`, `MmapArrayCow::open_npy`), or as a custom type whose `NpyElement::dtype` \
             has `|b1` there",
            truncate_for_display(dtype.descr())
        ),
    })
}

/// Returns the error for the first field in which a record in a file differs from a struct.
fn record_mismatch(found: &Dtype, ours: &Dtype, element: Element) -> ErrorKind {
    let mut theirs = fields(found.descr());
    let mut wanted = fields(ours.descr());
    let mut index = 0;
    let difference = loop {
        index += 1;
        match (theirs.next(), wanted.next()) {
            (Some(field), Some(ours)) if field == ours => {}
            (Some(field), Some(ours)) => {
                let is = truncate_for_display(field);
                let is_not = truncate_for_display(ours);
                break format!(
                    "a record whose field {index} is {is}, not {is_not}{}",
                    field_hint(field, ours)
                );
            }
            (Some(field), None) => {
                break format!(
                    "a record with an additional field {index}: {}{}",
                    truncate_for_display(field),
                    padding_hint(field)
                );
            }
            (None, Some(ours)) => {
                break format!("a record without field {index}, {}", truncate_for_display(ours));
            }
            (None, None) => {
                let size = element.size;
                let bytes = ours.item_size().unwrap_or(0);
                break format!(
                    "the same fields in {bytes} bytes, but the struct has {size}; declare its \
                     padding in the `dtype`, as \
                     `(\"\", \"|V{}\".parse()?)`",
                    size.saturating_sub(bytes).max(1)
                );
            }
        }
    };
    ErrorKind::DtypeMismatch {
        expected: format!("{} ({})", element.name, truncate_for_display(ours.descr())),
        found: difference,
    }
}

fn field_hint(field: &str, ours: &str) -> String {
    if field.replace("'>", "'<") == ours.replace("'>", "'<") {
        return "; it is in the other byte order: declare it as bytes (`[u8; N]`) and convert"
            .to_owned();
    }
    match padding_hint(ours) {
        hint if hint.is_empty() => padding_hint(field),
        _ => "; the file has no padding there: make the struct `#[repr(C, packed)]`".to_owned(),
    }
}

fn padding_hint(field: &str) -> String {
    match field
        .strip_prefix("('', '")
        .and_then(|bytes| bytes.strip_suffix("')"))
        .filter(|b| b.starts_with("|V"))
    {
        Some(bytes) => format!(
            "; declare this padding as a field of the `dtype`: `(\"\", \"{bytes}\".parse()?)`"
        ),
        None => String::new(),
    }
}

/// Returns whether the dtype has a Rust type only in the other byte order.
fn is_foreign(dtype: &Dtype) -> bool {
    let is_bytes = |dtype: &Dtype| rust_name(dtype).starts_with("[u8");
    is_bytes(dtype) && dtype.byte_swapped().is_some_and(|swapped| !is_bytes(&swapped))
}

#[cfg(test)]
mod tests {
    use num_complex::Complex;

    use super::*;

    #[track_caller]
    fn sized<A: NpyElement>() {
        let dtype = Dtype::of::<A>();
        assert_eq!(dtype.item_size(), Some(size_of::<A>()), "{dtype}");
        assert!(!dtype.is_record(), "{dtype}");
        assert_eq!(check::<A>(&dtype), Ok(()));
    }

    /// Accepts every dtype, because `accepts` may return anything.
    #[derive(Clone, Copy, bytemuck::AnyBitPattern)]
    #[repr(C)]
    struct Any([u8; 8]);

    impl NpyElement for Any {
        fn dtype() -> Dtype {
            Dtype::of::<f64>()
        }

        fn accepts(_dtype: &Dtype) -> bool {
            true
        }
    }

    #[test]
    fn byte_order_mismatch_requires_equal_size() {
        for dtype in ["<f8", ">f8", "|V8"] {
            assert_eq!(check::<Any>(&dtype.parse().unwrap()), Ok(()));
        }
        for dtype in ["<f4", ">f4", "|V7"] {
            let error = check::<Any>(&dtype.parse().unwrap()).unwrap_err();
            assert!(matches!(error, ErrorKind::DtypeMismatch { .. }), "{dtype}: {error}");
        }
        let [foreign, native] =
            if cfg!(target_endian = "big") { ["<f8", ">f8"] } else { [">f8", "<f8"] };
        assert!(matches!(
            check::<f64>(&foreign.parse().unwrap()),
            Err(ErrorKind::ByteOrderMismatch { .. })
        ));
        assert_eq!(check::<f64>(&native.parse().unwrap()), Ok(()));
        let shorter = foreign.replace('8', "4").parse().unwrap();
        assert!(matches!(check::<f64>(&shorter), Err(ErrorKind::DtypeMismatch { .. })));
    }

    #[test]
    fn every_type_has_its_own_size() {
        sized::<u8>();
        sized::<u16>();
        sized::<u32>();
        sized::<u64>();
        sized::<usize>();
        sized::<i8>();
        sized::<i16>();
        sized::<i32>();
        sized::<i64>();
        sized::<isize>();
        sized::<f32>();
        sized::<f64>();
        sized::<Complex<f32>>();
        sized::<Complex<f64>>();
        sized::<[u8; 5]>();
        sized::<[u32; 5]>();
        #[cfg(feature = "half")]
        sized::<half::f16>();
    }

    #[test]
    fn byte_arrays_match_by_size() {
        for (descr, fits) in
            [("|S5", true), ("|V5", true), ("|S4", false), ("<f8", false), ("[('a', '|V5')]", true)]
        {
            assert_eq!(check::<[u8; 5]>(&descr.parse().unwrap()).is_ok(), fits, "{descr}");
        }
        #[cfg(feature = "half")]
        assert_eq!(half::f16::dtype(), scalar("=f2"));
    }

    #[test]
    fn bools_are_only_written_as_bools() {
        for (dtype, is) in [
            ("|b1", false),
            ("|u1", true),
            ("[('a', '|b1')]", false),
            ("[('a', '|u1')]", true),
            ("[('|b1', '|u1')]", true),
            ("[(('|b1', 'a'), '|u1')]", true),
            ("[(('t', 'a'), '|b1', (1,))]", false),
            ("[('a', [('b', [('c', '|b1')], (1, 1))])]", false),
            ("[('x', []), ('a', '|b1')]", false),
            ("[]", true),
        ] {
            let dtype = dtype.parse().unwrap();
            assert_eq!(check_writable::<[u8; 1]>(&dtype).is_ok(), is, "{dtype}");
        }
        assert!(check_writable::<u8>(&"|b1".parse().unwrap()).is_err());
    }

    #[test]
    fn the_message_names_the_type_to_use() {
        let found = |descr: &str| match check::<u16>(&descr.parse().unwrap()) {
            Err(ErrorKind::DtypeMismatch { found, .. }) => found,
            other => panic!("{other:?}"),
        };
        let foreign =
            |descr: &str| descr.parse::<Dtype>().unwrap().byte_swapped().unwrap().to_string();
        assert!(found("=f8").ends_with("opens as `f64`"));
        assert!(found(&foreign("=f8")).contains(
            "which `ArrayFile` and `LazyArray::open_npy` convert, and which opens as `[u8; 8]`"
        ));
        assert!(found("|b1").ends_with("opens as `u8`"));
        assert!(found("=M8[ns]").ends_with("opens as `i64`"));
        assert!(found(&foreign("=M8[ns]")).contains("opens as `[u8; 8]`"));
        assert!(found("=f2").ends_with(if cfg!(feature = "half") {
            "as `half::f16`"
        } else {
            "or as `[u8; 2]`"
        }));
        assert!(found("=f16").ends_with("opens as `[u8; 16]`"));
        assert!(found("=U3").ends_with("opens as `[u32; 3]`"));
        assert!(
            found(&foreign("=U3")).contains("in the other byte order, which opens as `[u8; 12]`")
        );
        assert!(found("|O").ends_with(" (pickled Python objects), which cannot be mapped"));
        assert!(found("[('o', '|O')]").ends_with(", with Python objects, which cannot be mapped"));
        assert!(found("=M8[ns]").contains(" (times), "));
        assert!(found("=m8[ns]").ends_with(" (time differences), which opens as `i64`"));
        assert!(found("[('x', '<f4')]").ends_with("implements `NpyElement`"));
    }

    #[test]
    fn the_message_names_the_field_that_differs() {
        let differ = |found: &str, ours: &str| {
            let element = Element { size: 16, align: 8, name: "Ours" };
            match record_mismatch(&found.parse().unwrap(), &ours.parse().unwrap(), element) {
                ErrorKind::DtypeMismatch { found, .. } => found,
                other => panic!("{other:?}"),
            }
        };
        let long = "[('temperature', '<f8'), ('pressure', '<f8'), ('a), (\"[', '<f8'), ('position', '<f4', (3,)), ";
        assert_eq!(
            differ(&format!("{long}('humidity', '<i8')]"), &format!("{long}('humidity', '<f8')]")),
            "a record whose field 5 is ('humidity', '<i8'), not ('humidity', '<f8')"
        );
        assert_eq!(
            differ(
                "[('a', [('x', '>f4'), ('y', '<f4')])]",
                "[('a', [('x', '<f4'), ('y', '<f4')])]"
            ),
            "a record whose field 1 is ('a', [('x', '>f4'), ('y', '<f4')]), not ('a', [('x', \
             '<f4'), ('y', '<f4')]); it is in the other byte order: declare it as bytes (`[u8; \
             N]`) and convert"
        );
        let (packed, padded) =
            ("[('a', '|u1'), ('b', '<f8')]", "[('a', '|u1'), ('', '|V7'), ('b', '<f8')]");
        assert_eq!(
            differ(padded, packed),
            "a record whose field 2 is ('', '|V7'), not ('b', '<f8'); declare this padding as a \
             field of the `dtype`: \
             `(\"\", \"|V7\".parse()?)`"
        );
        assert_eq!(
            differ(packed, padded),
            "a record whose field 2 is ('b', '<f8'), not ('', '|V7'); the file has no padding \
             there: make the struct `#[repr(C, packed)]`"
        );
        assert_eq!(
            differ("[('b', '<f8'), ('a', '|u1'), ('', '|V7')]", "[('b', '<f8'), ('a', '|u1')]"),
            "a record with an additional field 3: ('', '|V7'); declare this padding as a field of \
             the `dtype`: \
             `(\"\", \"|V7\".parse()?)`"
        );
        assert_eq!(differ("[]", packed), "a record without field 1, ('a', '|u1')");
        assert_eq!(
            differ(packed, packed),
            "the same fields in 9 bytes, but the struct has 16; declare its padding in the \
             `dtype`, as \
             `(\"\", \"|V7\".parse()?)`"
        );
    }
}
