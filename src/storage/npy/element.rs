//! The NumPy dtypes of Rust types.
#![forbid(unsafe_code)]

use bytemuck::AnyBitPattern;
use num_complex::Complex;

use super::dtype::Dtype;

/// A type that can be an element of an `.npy` file.
///
/// | Rust | written as | reads also |
/// |---|---|---|
/// | `f32`, `f64`, `half::f16` (feature `half`) | `<f4`, `<f8`, `<f2` | |
/// | `i8` .. `i64`, `u8` .. `u64` | `\|i1` .. `<i8`, `\|u1` .. `<u8` | `u8`: `\|b1` (`bool`, read-only); `i64`: `<M8[..]` and `<m8[..]` (times) |
/// | `isize`, `usize` | as the integer of the same size | |
/// | `Complex<f32>`, `Complex<f64>` | `<c8`, `<c16` | |
/// | `[u8; N]` | `\|SN` | every type of `N` bytes, as its bytes: other byte orders, `long double`, records |
/// | `[u32; N]` | `<UN` (UTF-32 code units) | |
///
/// `<` stands for the native byte order. `bool` and `char` are not supported: a file can contain
/// bytes that are neither true nor false, and in Rust the mere existence of such a value is
/// undefined behaviour. Read them as `u8` and `[u32; N]`.
///
/// Files with `bool`, alone or in records, cannot be opened for writing as `u8` or `[u8; N]`,
/// because that would permit storing a 7. To write them, declare a type that permits only 0 and 1:
///
/// ```
/// use ndarray::Ix1;
/// use ndarray_mmap::{Dtype, MmapArrayMut, NpyElement};
///
/// /// NumPy's `bool`: 0 or 1, except for values stored by other programs.
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
///         "|b1".parse().expect("a NumPy type string")
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
/// Implement the trait for a custom `#[repr(C)]` struct to open structured files:
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
/// A wrong `dtype` cannot break memory safety, because every bit pattern is valid for the type: it
/// only mislabels the bytes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the element type of an `.npy` file",
    label = "has no `NpyElement`",
    note = "for a custom struct: derive `bytemuck::Zeroable` and `bytemuck::Pod`, and implement `NpyElement::dtype`",
    note = "files of `bool` open as `u8`, text as `[u8; N]` or `[u32; N]`, all other types as bytes: `[u8; N]`"
)]
pub trait NpyElement: AnyBitPattern {
    /// Returns the dtype written to headers. Its [item size](Dtype::item_size) must be the size of
    /// `Self`.
    ///
    /// ```
    /// use ndarray_mmap::NpyElement;
    ///
    /// assert_eq!(<[u8; 5]>::dtype().descr(), "|S5");
    /// ```
    fn dtype() -> Dtype;

    /// Returns whether a file with this dtype may be opened as `Self`. The default accepts only
    /// [`dtype`](Self::dtype).
    ///
    /// A file with NumPy's `bool` can be opened for writing only if [`dtype`](Self::dtype) contains
    /// a `bool` as well, whatever this method returns.
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
    /// Returns the dtype with which elements of type `A` are written.
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

macro_rules! scalar {
    ($($rust:ty => $descr:literal $(, also $also:expr)?;)*) => {
        $(
            impl NpyElement for $rust {
                fn dtype() -> Dtype {
                    scalar($descr)
                }
                $(
                    fn accepts(dtype: &Dtype) -> bool {
                        *dtype == Self::dtype() || $also(dtype.descr())
                    }
                )?
            }
        )*

        /// Returns the Rust type of a scalar dtype, for messages.
        pub(super) fn rust_name(dtype: &Dtype) -> String {
            $( if *dtype == scalar($descr) { return stringify!($rust).to_owned(); } )*
            if cfg!(feature = "half") && *dtype == scalar("=f2") {
                return "half::f16".to_owned();
            }
            let bytes = dtype.item_size().unwrap_or(0);
            match bytes / 4 {
                chars if *dtype == scalar(&format!("=U{chars}")) => format!("[u32; {chars}]"),
                _ => format!("[u8; {bytes}]"),
            }
        }
    };
}

/// Parses a type string of this file.
pub(super) fn scalar(descr: &str) -> Dtype {
    // The unit test below parses every type string, so the fallback is unreachable.
    descr.parse().unwrap_or_else(|_| Dtype::record([]))
}

scalar! {
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
        scalar("=f2")
    }
}

impl NpyElement for usize {
    fn dtype() -> Dtype {
        scalar(if size_of::<Self>() == 8 { "=u8" } else { "=u4" })
    }
}

impl NpyElement for isize {
    fn dtype() -> Dtype {
        scalar(if size_of::<Self>() == 8 { "=i8" } else { "=i4" })
    }
}

impl<const N: usize> NpyElement for [u8; N] {
    fn dtype() -> Dtype {
        scalar(&format!("|S{N}"))
    }

    fn accepts(dtype: &Dtype) -> bool {
        dtype.item_size() == Some(N)
    }
}

impl<const N: usize> NpyElement for [u32; N] {
    fn dtype() -> Dtype {
        scalar(&format!("=U{N}"))
    }
}

pub(super) fn is_native_time(descr: &str) -> bool {
    let time = if cfg!(target_endian = "big") { [">M8", ">m8"] } else { ["<M8", "<m8"] };
    time.iter().any(|time| descr.starts_with(time))
}
