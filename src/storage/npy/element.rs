//! Which Rust type stands for which NumPy element type.
#![forbid(unsafe_code)]

use bytemuck::AnyBitPattern;
use num_complex::Complex;

use super::dtype::Dtype;
use super::literal::shortened;
use super::record::{fields, has_bool};
use crate::error::ErrorKind;
use crate::storage::layout::Element;

/// A type that can be an element of an `.npy` file.
///
/// | Rust | written as | reads also |
/// |---|---|---|
/// | `f32`, `f64`, `half::f16` (feature `half`) | `<f4`, `<f8`, `<f2` | |
/// | `i8` .. `i64`, `u8` .. `u64` | `\|i1` .. `<i8`, `\|u1` .. `<u8` | `u8`: `\|b1` (`bool`, not to be written); `i64`: `<M8[..]` and `<m8[..]` (times) |
/// | `isize`, `usize` | as the integer of that size | |
/// | `Complex<f32>`, `Complex<f64>` | `<c8`, `<c16` | |
/// | `[u8; N]` | `\|SN` | every type of `N` bytes, as its bytes: other byte orders, `long double`, records |
/// | `[u32; N]` | `<UN` (UTF-32 code units) | |
///
/// (`<` is this machine's byte order.) There is no `bool` and no `char`: a file can hold bytes that are neither
/// true nor false, and in Rust merely having one is undefined behaviour. Read them as `u8` and `[u32; N]`.
///
/// Files with `bool`, alone or in records, do not open to be written as `u8` or `[u8; N]`, which could store a 7 there. To write
/// them, declare a type that cannot:
///
/// ```
/// use ndarray::Ix1;
/// use ndarray_mmap::{Dtype, MmapArrayMut, NpyElement};
///
/// /// A `bool` of NumPy: 0 or 1, but for what others have stored.
/// #[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
/// #[repr(transparent)]
/// struct Bool(u8);
///
/// impl From<bool> for Bool {
///     fn from(value: bool) -> Self {
///         Self(value.into())
///     }
/// }
///
/// impl NpyElement for Bool {
///     fn dtype() -> Dtype {
///         "|b1".parse().expect("NumPy's spelling")
///     }
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("mask.npy");
/// // SAFETY (for all): this program alone uses the file.
/// unsafe { MmapArrayMut::<Bool, _>::create_npy(&path, 3) }?.close()?;
/// assert!(unsafe { MmapArrayMut::<u8, Ix1>::open_npy(&path) }.is_err());
/// let mut mask = unsafe { MmapArrayMut::<Bool, Ix1>::open_npy(&path) }?;
/// mask[1] = true.into();
/// assert_eq!(mask.map(|flag| flag.0), ndarray::array![0, 1, 0]);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Implement it for a `#[repr(C)]` struct of your own to open structured files:
///
/// ```
/// use ndarray_mmap::{Dtype, MmapArray, MmapArrayMut, NpyElement, prelude::*};
///
/// #[derive(Clone, Copy, PartialEq, Debug, bytemuck::Zeroable, bytemuck::Pod)]
/// #[repr(C)]
/// struct Reading {
///     time: f64,
///     celsius: f32,
///     sensor: u32,
/// }
///
/// impl NpyElement for Reading {
///     fn dtype() -> Dtype {
///         Dtype::record([
///             ("time", Dtype::of::<f64>()),
///             ("celsius", Dtype::of::<f32>()),
///             ("sensor", Dtype::of::<u32>()),
///         ])
///     }
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("readings.npy");
/// // SAFETY: this program alone uses the file.
/// let mut log = unsafe { MmapArrayMut::<Reading, _>::create_npy(&path, 100) }?;
/// log[7] = Reading { time: 0.5, celsius: 21.5, sensor: 3 };
/// log.close()?;
/// // SAFETY: as above.
/// let log = unsafe { MmapArray::<Reading, ndarray::Ix1>::open_npy(&path) }?;
/// assert_eq!(log[7].celsius, 21.5);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A wrong `dtype` cannot break memory safety, since every bit pattern is valid for the type: it only mislabels the
/// bytes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the element type of an `.npy` file",
    label = "has no `NpyElement`",
    note = "for a struct of your own: derive `bytemuck::Zeroable` and `bytemuck::Pod`, and implement `NpyElement::dtype`",
    note = "files of `bool` open as `u8`, text as `[u8; N]` or `[u32; N]`, all else as bytes: `[u8; N]`"
)]
pub trait NpyElement: AnyBitPattern {
    /// The type written into headers. Its [item size](Dtype::item_size) must be the size of `Self`.
    ///
    /// ```
    /// use ndarray_mmap::NpyElement;
    ///
    /// assert_eq!(<[u8; 5]>::dtype().descr(), "|S5");
    /// ```
    fn dtype() -> Dtype;

    /// May a file with this type be opened as `Self`? By default only one with just the type that is written.
    ///
    /// A file with NumPy's `bool` opens to be written only if [`dtype`](Self::dtype) has a `bool` as well, whatever this says.
    ///
    /// ```
    /// use ndarray_mmap::{Dtype, NpyElement};
    ///
    /// assert!(u8::accepts(&"|b1".parse()?)); // NumPy's `bool`
    ///
    /// #[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
    /// #[repr(C)]
    /// struct Point([f32; 2]);
    ///
    /// fn named(x: &str, y: &str) -> Dtype {
    ///     Dtype::record([(x, Dtype::of::<f32>()), (y, Dtype::of::<f32>())])
    /// }
    ///
    /// impl NpyElement for Point {
    ///     fn dtype() -> Dtype {
    ///         named("x", "y")
    ///     }
    ///
    ///     fn accepts(dtype: &Dtype) -> bool {
    ///         [named("x", "y"), named("east", "north")].contains(dtype)
    ///     }
    /// }
    /// assert!(Point::accepts(&"[('east', '=f4'), ('north', '=f4')]".parse()?));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    fn accepts(dtype: &Dtype) -> bool {
        *dtype == Self::dtype()
    }
}

impl Dtype {
    /// The type as which elements of type `A` are written.
    ///
    /// ```
    /// use ndarray_mmap::Dtype;
    ///
    /// assert_eq!(Dtype::of::<i8>(), "|i1".parse()?);
    /// assert_eq!(Dtype::of::<[u32; 3]>().item_size(), Some(12));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn of<A: NpyElement>() -> Self {
        A::dtype()
    }
}

/// Can a file of this type be opened as `A`?
pub(super) fn check<A: NpyElement>(dtype: &Dtype) -> Result<(), ErrorKind> {
    let is_as_long = dtype.item_size() == Some(size_of::<A>());
    if is_as_long && A::accepts(dtype) {
        return Ok(());
    }
    if is_as_long && dtype.byte_swapped().is_some_and(|swapped| A::accepts(&swapped)) {
        return Err(ErrorKind::ByteOrder { found: dtype.to_string() });
    }
    let ours = A::dtype();
    if dtype.is_record() && ours.is_record() && dtype.item_size().is_some() {
        return Err(record_mismatch(dtype, &ours, Element::of::<A>()));
    }
    let hint = match dtype.descr() {
        "|b1" => " (bool), which opens as `u8`".to_owned(),
        "|O" => " (pickled Python objects), which cannot be mapped".to_owned(),
        _ if dtype.item_size().is_none() => ", with Python objects, which cannot be mapped".to_owned(),
        descr if is_native_time(descr) && descr.contains("M8") => " (times), which opens as `i64`".to_owned(),
        descr if is_native_time(descr) => " (time differences), which opens as `i64`".to_owned(),
        _ if dtype.is_record() => ", which opens as a struct that implements `NpyElement`".to_owned(),
        _ if !cfg!(feature = "half") && *dtype == plain("=f2") => {
            ", which opens as `half::f16` with the feature `half`, or as `[u8; 2]`".to_owned()
        }
        _ => format!(", which opens as `{}`", rust_name(dtype)),
    };
    Err(ErrorKind::Dtype {
        expected: format!("{} ({})", Element::of::<A>().name, shortened(ours.descr())),
        found: format!("{}{hint}", shortened(dtype.descr())),
    })
}

/// Can any `A` be stored in a file of this type, which can be opened as `A`? Not where the file has NumPy's `bool`, of which a byte
/// must be 0 or 1, and `A` is not declared as such.
pub(super) fn check_writable<A: NpyElement>(dtype: &Dtype) -> Result<(), ErrorKind> {
    let ours = A::dtype();
    if !has_bool(dtype.descr()) || has_bool(ours.descr()) {
        return Ok(());
    }
    Err(ErrorKind::Dtype {
        expected: format!("{} ({})", Element::of::<A>().name, shortened(ours.descr())),
        found: format!(
            "{}, with `bool`, of which a byte must be 0 or 1, so that it opens as that to be read (`open_npy`, `open_npy_cow`), \
             but to be written only as a type of your own whose `NpyElement::dtype` has `|b1` there",
            shortened(dtype.descr())
        ),
    })
}

/// The first thing in which a record in a file is not that of a struct.
fn record_mismatch(found: &Dtype, ours: &Dtype, element: Element) -> ErrorKind {
    let (mut theirs, mut wanted, mut number) = (fields(found.descr()), fields(ours.descr()), 0);
    let difference = loop {
        number += 1;
        match (theirs.next(), wanted.next()) {
            (Some(field), Some(ours)) if field == ours => {}
            (Some(field), Some(ours)) => {
                let (is, is_not) = (shortened(field), shortened(ours));
                break format!("a record whose field {number} is {is}, not {is_not}{}", field_hint(field, ours));
            }
            (Some(field), None) => {
                break format!(
                    "a record that goes on, with field {number}: {}{}",
                    shortened(field),
                    padding_hint(field)
                );
            }
            (None, Some(ours)) => break format!("a record that ends before field {number}, {}", shortened(ours)),
            (None, None) => {
                let (size, bytes) = (element.size, ours.item_size().unwrap_or(0));
                break format!(
                    "just that, {bytes} bytes, but the struct has {size}: padding is to be in its `dtype`, too, as \
                     `(\"\", \"|V{}\".parse()?)`",
                    size.saturating_sub(bytes).max(1)
                );
            }
        }
    };
    ErrorKind::Dtype { expected: format!("{} ({})", element.name, shortened(ours.descr())), found: difference }
}

fn field_hint(field: &str, ours: &str) -> String {
    if field.replace("'>", "'<") == ours.replace("'>", "'<") {
        return "; it is in the other byte order: in the struct, bytes to be converted (`[u8; N]`)".to_owned();
    }
    match padding_hint(ours) {
        hint if hint.is_empty() => padding_hint(field),
        _ => "; the file has no padding there: make the struct `#[repr(C, packed)]`".to_owned(),
    }
}

fn padding_hint(field: &str) -> String {
    match field.strip_prefix("('', '").and_then(|bytes| bytes.strip_suffix("')")).filter(|b| b.starts_with("|V")) {
        Some(bytes) => format!("; that is padding, to be a field of the `dtype`: `(\"\", \"{bytes}\".parse()?)`"),
        None => String::new(),
    }
}

macro_rules! plain {
    ($($rust:ty => $descr:literal $(, also $also:expr)?;)*) => {
        $(
            impl NpyElement for $rust {
                fn dtype() -> Dtype {
                    plain($descr)
                }
                $(
                    fn accepts(dtype: &Dtype) -> bool {
                        *dtype == Self::dtype() || $also(dtype.descr())
                    }
                )?
            }
        )*

        /// The Rust type for a plain type, for messages.
        fn rust_name(dtype: &Dtype) -> String {
            $( if *dtype == plain($descr) { return stringify!($rust).to_owned(); } )*
            if cfg!(feature = "half") && *dtype == plain("=f2") {
                return "half::f16".to_owned();
            }
            let bytes = dtype.item_size().unwrap_or(0);
            match bytes / 4 {
                chars if *dtype == plain(&format!("=U{chars}")) => format!("[u32; {chars}]"),
                _ => format!("[u8; {bytes}]"),
            }
        }
    };
}

/// A type this file spells itself.
fn plain(descr: &str) -> Dtype {
    // The unit test below reads every spelling, so the fallback is never taken.
    descr.parse().unwrap_or_else(|_| Dtype::record([]))
}

plain! {
    u8 => "=u1", also |descr| descr == "|b1";
    u16 => "=u2";
    u32 => "=u4";
    u64 => "=u8";
    i8 => "=i1";
    i16 => "=i2";
    i32 => "=i4";
    i64 => "=i8", also is_native_time;
    f32 => "=f4";
    f64 => "=f8";
    Complex<f32> => "=c8";
    Complex<f64> => "=c16";
}

#[cfg(feature = "half")]
impl NpyElement for half::f16 {
    fn dtype() -> Dtype {
        plain("=f2")
    }
}

impl NpyElement for usize {
    fn dtype() -> Dtype {
        plain(if size_of::<Self>() == 8 { "=u8" } else { "=u4" })
    }
}

impl NpyElement for isize {
    fn dtype() -> Dtype {
        plain(if size_of::<Self>() == 8 { "=i8" } else { "=i4" })
    }
}

impl<const N: usize> NpyElement for [u8; N] {
    fn dtype() -> Dtype {
        plain(&format!("|S{N}"))
    }

    fn accepts(dtype: &Dtype) -> bool {
        dtype.item_size() == Some(N)
    }
}

impl<const N: usize> NpyElement for [u32; N] {
    fn dtype() -> Dtype {
        plain(&format!("=U{N}"))
    }
}

fn is_native_time(descr: &str) -> bool {
    let time = if cfg!(target_endian = "big") { [">M8", ">m8"] } else { ["<M8", "<m8"] };
    time.iter().any(|time| descr.starts_with(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn sized<A: NpyElement>() {
        let dtype = Dtype::of::<A>();
        assert_eq!(dtype.item_size(), Some(size_of::<A>()), "{dtype}");
        assert!(!dtype.is_record(), "{dtype}");
        assert_eq!(check::<A>(&dtype), Ok(()));
    }

    /// Takes everything, as `accepts` may say what it likes.
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
    fn the_byte_order_is_of_types_of_the_same_size() {
        for dtype in ["<f8", ">f8", "|V8"] {
            assert_eq!(check::<Any>(&dtype.parse().unwrap()), Ok(()));
        }
        for dtype in ["<f4", ">f4", "|V7"] {
            let error = check::<Any>(&dtype.parse().unwrap()).unwrap_err();
            assert!(matches!(error, ErrorKind::Dtype { .. }), "{dtype}: {error}");
        }
        let [foreign, native] = if cfg!(target_endian = "big") { ["<f8", ">f8"] } else { [">f8", "<f8"] };
        assert!(matches!(check::<f64>(&foreign.parse().unwrap()), Err(ErrorKind::ByteOrder { .. })));
        assert_eq!(check::<f64>(&native.parse().unwrap()), Ok(()));
        let shorter = foreign.replace('8', "4").parse().unwrap();
        assert!(matches!(check::<f64>(&shorter), Err(ErrorKind::Dtype { .. })));
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
    fn bytes_are_of_their_number() {
        for (descr, fits) in [("|S5", true), ("|V5", true), ("|S4", false), ("<f8", false), ("[('a', '|V5')]", true)] {
            assert_eq!(check::<[u8; 5]>(&descr.parse().unwrap()).is_ok(), fits, "{descr}");
        }
        #[cfg(feature = "half")]
        assert_eq!(half::f16::dtype(), plain("=f2"));
    }

    #[test]
    fn bools_are_not_written_as_other_types() {
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
            Err(ErrorKind::Dtype { found, .. }) => found,
            other => panic!("{other:?}"),
        };
        let foreign = |descr: &str| descr.parse::<Dtype>().unwrap().byte_swapped().unwrap().to_string();
        assert!(found("=f8").ends_with("opens as `f64`"));
        assert!(found(&foreign("=f8")).ends_with("opens as `[u8; 8]`"));
        assert!(found("|b1").ends_with("opens as `u8`"));
        assert!(found("=M8[ns]").ends_with("opens as `i64`"));
        assert!(found(&foreign("=M8[ns]")).ends_with("opens as `[u8; 8]`"));
        assert!(found("=f2").ends_with(if cfg!(feature = "half") { "as `half::f16`" } else { "or as `[u8; 2]`" }));
        assert!(found("=f16").ends_with("opens as `[u8; 16]`"));
        assert!(found("=U3").ends_with("opens as `[u32; 3]`"));
        assert!(found(&foreign("=U3")).ends_with("opens as `[u8; 12]`"));
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
                ErrorKind::Dtype { found, .. } => found,
                other => panic!("{other:?}"),
            }
        };
        let long = "[('temperature', '<f8'), ('pressure', '<f8'), ('a), (\"[', '<f8'), ('position', '<f4', (3,)), ";
        assert_eq!(
            differ(&format!("{long}('humidity', '<i8')]"), &format!("{long}('humidity', '<f8')]")),
            "a record whose field 5 is ('humidity', '<i8'), not ('humidity', '<f8')"
        );
        assert_eq!(
            differ("[('a', [('x', '>f4'), ('y', '<f4')])]", "[('a', [('x', '<f4'), ('y', '<f4')])]"),
            "a record whose field 1 is ('a', [('x', '>f4'), ('y', '<f4')]), not ('a', [('x', '<f4'), ('y', '<f4')]); \
             it is in the other byte order: in the struct, bytes to be converted (`[u8; N]`)"
        );
        let (packed, padded) = ("[('a', '|u1'), ('b', '<f8')]", "[('a', '|u1'), ('', '|V7'), ('b', '<f8')]");
        assert_eq!(
            differ(padded, packed),
            "a record whose field 2 is ('', '|V7'), not ('b', '<f8'); that is padding, to be a field of the `dtype`: \
             `(\"\", \"|V7\".parse()?)`"
        );
        assert_eq!(
            differ(packed, padded),
            "a record whose field 2 is ('b', '<f8'), not ('', '|V7'); the file has no padding there: make the struct \
             `#[repr(C, packed)]`"
        );
        assert_eq!(
            differ("[('b', '<f8'), ('a', '|u1'), ('', '|V7')]", "[('b', '<f8'), ('a', '|u1')]"),
            "a record that goes on, with field 3: ('', '|V7'); that is padding, to be a field of the `dtype`: \
             `(\"\", \"|V7\".parse()?)`"
        );
        assert_eq!(differ("[]", packed), "a record that ends before field 1, ('a', '|u1')");
        assert_eq!(
            differ(packed, packed),
            "just that, 9 bytes, but the struct has 16: padding is to be in its `dtype`, too, as \
             `(\"\", \"|V7\".parse()?)`"
        );
    }
}
