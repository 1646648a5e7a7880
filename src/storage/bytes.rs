//! Array views of byte slices.
#![forbid(unsafe_code)]

use bytemuck::{AnyBitPattern, Pod};
use ndarray::{ArrayView, ArrayViewMut, Dimension, ShapeBuilder};

use super::layout::{Element, FileLayout};
use crate::error::{Error, ErrorKind, Result};

/// Array views of a byte slice, such as a custom mapping or a buffer.
///
/// The functions are safe because the view borrows the bytes. The trait is sealed and implemented
/// for every [`ArrayView`].
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::prelude::*;
///
/// let words = [0_u64; 16]; // aligned memory, 128 bytes
/// let bytes: &[u8] = bytemuck::cast_slice(&words);
/// let view = ArrayView3::<f32>::from_bytes(&bytes[8..], (2, 3, 4))?;
/// assert_eq!(view.sum(), 0.0);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
///
/// `bool` is not supported, because not every byte is a valid `bool`.
///
/// ```compile_fail,E0599
/// use ndarray::prelude::*;
/// use ndarray_mmap::prelude::*;
///
/// let view = ArrayView1::<bool>::from_bytes(&[2], 1);
/// ```
pub trait FromBytes<'a, A, D>: Sized + sealed::Sealed {
    /// Returns a view of the first bytes, as elements of the given shape and order. The slice may
    /// be longer.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{ErrorKind, prelude::*};
    ///
    /// let view = ArrayView2::<u8>::from_bytes(b"abcdef", (2, 3).f())?;
    /// assert_eq!(view, array![[b'a', b'c', b'e'], [b'b', b'd', b'f']]);
    /// let error = ArrayView2::<u8>::from_bytes(b"abcdef", (3, 3)).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::TooShort { needed: 9, found: 6, .. }));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooShort`] if there are too few bytes, [`ErrorKind::Misaligned`] if they are
    /// not aligned for `A`, [`ErrorKind::TooLarge`] if the shape cannot be addressed,
    /// [`ErrorKind::Unsupported`] if elements have no bytes.
    #[doc(alias = "frombuffer")]
    fn from_bytes(bytes: &'a [u8], shape: impl ShapeBuilder<Dim = D>) -> Result<Self>;
}

/// Mutable array views of a byte slice; see [`FromBytes`] for read-only views.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::prelude::*;
///
/// let mut words = [0_u64; 3];
/// let mut view = ArrayViewMut1::<f64>::from_bytes_mut(bytemuck::cast_slice_mut(&mut words), 3)?;
/// view[1] = 1.0;
/// assert_eq!(words, [0, 1.0_f64.to_bits(), 0]);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
///
/// A struct with padding cannot be written as bytes, so it has no mutable views.
///
/// ```compile_fail,E0599
/// use ndarray::prelude::*;
/// use ndarray_mmap::prelude::*;
///
/// #[derive(Clone, Copy, bytemuck::AnyBitPattern)]
/// #[repr(C)]
/// struct Padded(u8, u32);
///
/// let view = ArrayViewMut1::<Padded>::from_bytes_mut(&mut [0; 8], 1);
/// ```
pub trait FromBytesMut<'a, A, D>: Sized + sealed::Sealed {
    /// Returns a mutable view of the first bytes, as elements of the given shape and order. The
    /// slice may be longer.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::prelude::*;
    ///
    /// let mut bytes = *b"abcdef";
    /// let mut view = ArrayViewMut2::<u8>::from_bytes_mut(&mut bytes, (2, 3))?;
    /// view.column_mut(0).fill(b'-');
    /// assert_eq!(&bytes, b"-bc-ef");
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`FromBytes::from_bytes`].
    fn from_bytes_mut(bytes: &'a mut [u8], shape: impl ShapeBuilder<Dim = D>) -> Result<Self>;
}

impl<'a, A: AnyBitPattern, D: Dimension> FromBytes<'a, A, D> for ArrayView<'a, A, D> {
    fn from_bytes(bytes: &'a [u8], shape: impl ShapeBuilder<Dim = D>) -> Result<Self> {
        let shape = shape.into_shape_with_order();
        let layout = layout_in::<A, D>(bytes, &shape)?;
        let address = bytes.as_ptr() as usize;
        let elements = match layout.byte_len() {
            0 => &[][..],
            len => bytemuck::try_cast_slice(&bytes[..len]).map_err(|_| misaligned::<A>(address))?,
        };
        Self::from_shape(shape, elements).map_err(|_| no_bytes())
    }
}

impl<'a, A: Pod, D: Dimension> FromBytesMut<'a, A, D> for ArrayViewMut<'a, A, D> {
    fn from_bytes_mut(bytes: &'a mut [u8], shape: impl ShapeBuilder<Dim = D>) -> Result<Self> {
        let shape = shape.into_shape_with_order();
        let layout = layout_in::<A, D>(bytes, &shape)?;
        let address = bytes.as_ptr() as usize;
        let elements = match layout.byte_len() {
            0 => &mut [],
            len => bytemuck::try_cast_slice_mut(&mut bytes[..len])
                .map_err(|_| misaligned::<A>(address))?,
        };
        Self::from_shape(shape, elements).map_err(|_| no_bytes())
    }
}

fn layout_in<A, D: Dimension>(bytes: &[u8], shape: &ndarray::Shape<D>) -> Result<FileLayout> {
    let element = Element::of::<A>();
    let layout = FileLayout::of_shape(shape, 0, element).map_err(|kind| kind.at(None))?;
    layout.check_fits(bytes.len() as u64, element, false).map_err(|kind| kind.at(None))?;
    Ok(layout)
}

fn misaligned<A>(address: usize) -> Error {
    let Element { align, name: element, .. } = Element::of::<A>();
    ErrorKind::Misaligned { offset: address as u64, align, element }.at(None)
}

/// The slice has exactly the number of elements of the shape, unless the elements have no bytes.
fn no_bytes() -> Error {
    let reason = "zero-sized elements cannot be viewed in a byte slice; use `Array::from_elem`";
    ErrorKind::Unsupported { reason: reason.to_owned() }.at(None)
}

mod sealed {
    pub trait Sealed {}
    impl<A, D> Sealed for ndarray::ArrayView<'_, A, D> {}
    impl<A, D> Sealed for ndarray::ArrayViewMut<'_, A, D> {}
}
