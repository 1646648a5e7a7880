//! The layout of an array in its file: the checked conversion from shape, order, offset and element
//! type to bytes.
#![forbid(unsafe_code)]

use ndarray::{ArrayView, Dimension, Shape, ShapeBuilder};

use crate::error::ErrorKind;
use crate::order::Order;

/// Size, alignment and name of an element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) size: usize,
    pub(crate) align: usize,
    pub(crate) name: &'static str,
}

impl Element {
    pub(crate) fn of<A>() -> Self {
        Self { size: size_of::<A>(), align: align_of::<A>(), name: std::any::type_name::<A>() }
    }

    /// Returns an element that may start at any byte of a file, because it is copied.
    pub(super) fn unaligned<A>() -> Self {
        Self { align: 1, ..Self::of::<A>() }
    }
}

/// The layout of an array in its file, as it was opened or created.
///
/// Reshaping or slicing an array does not change its layout.
///
/// ```
/// use ndarray_mmap::{MmapArrayMut, Order};
///
/// let line = MmapArrayMut::<f64, _>::scratch(12)?;
/// let table = line.into_shape_with_order((3, 4))?;
/// let layout = table.layout();
/// assert_eq!((layout.shape(), layout.order()), (&[12][..], Order::C));
/// assert_eq!((layout.offset(), layout.end()), (0, 96));
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLayout {
    shape: Vec<usize>,
    order: Order,
    offset: u64,
    byte_len: usize,
}

impl FileLayout {
    /// Returns the axis lengths.
    ///
    /// ```
    /// # use ndarray_mmap::MmapArrayMut;
    /// let table = MmapArrayMut::<f64, _>::scratch((3, 4))?;
    /// assert_eq!(table.layout().shape(), [3, 4]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the memory order, which is [`Order::C`] if both apply, as for one dimension.
    ///
    /// ```
    /// # use ndarray::ShapeBuilder;
    /// # use ndarray_mmap::{MmapArrayMut, Order};
    /// let table = MmapArrayMut::<f64, _>::scratch((3, 4).f())?;
    /// let line = MmapArrayMut::<f64, _>::scratch(12.f())?;
    /// assert_eq!((table.layout().order(), line.layout().order()), (Order::F, Order::C));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn order(&self) -> Order {
        self.order
    }

    /// Returns the offset of the first element, in bytes from the start of the file.
    ///
    /// ```
    /// # use ndarray_mmap::MmapArrayOptions;
    /// let table = MmapArrayOptions::new().offset(4096).scratch::<f64, _>((3, 4))?;
    /// assert_eq!(table.layout().offset(), 4096);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the size of all elements, in bytes.
    ///
    /// ```
    /// # use ndarray_mmap::MmapArrayMut;
    /// let table = MmapArrayMut::<f64, _>::scratch((3, 4))?;
    /// assert_eq!(table.layout().byte_len(), 3 * 4 * 8);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn byte_len(&self) -> usize {
        self.byte_len
    }

    /// Returns the end of the array, in bytes from the start of the file.
    ///
    /// ```
    /// # use ndarray_mmap::MmapArrayOptions;
    /// let table = MmapArrayOptions::new().offset(4096).scratch::<f64, _>((3, 4))?;
    /// assert_eq!(table.layout().end(), 4096 + 96);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn end(&self) -> u64 {
        self.offset + self.byte_len as u64
    }

    /// Returns the layout of a shape, if it can be addressed: the product of the non-zero axis
    /// lengths and the element size is at most `isize::MAX` (ndarray's limit for views), the end of
    /// the array is at most `i64::MAX` (the operating systems' limit for files), and the offset is
    /// a multiple of the alignment.
    pub(crate) fn new(
        shape: &[usize],
        order: Order,
        offset: u64,
        element: Element,
    ) -> Result<Self, ErrorKind> {
        let Some(byte_len) = byte_len(shape, element.size, offset) else {
            return Err(ErrorKind::TooLarge {
                shape: shape.to_vec(),
                element: element.name,
                offset,
            });
        };
        if byte_len > 0 && !offset.is_multiple_of(element.align as u64) {
            return Err(ErrorKind::Misaligned {
                offset,
                align: element.align,
                element: element.name,
            });
        }
        Ok(Self { shape: shape.to_vec(), order, offset, byte_len })
    }

    /// Returns the layout of an ndarray shape.
    pub(crate) fn of_shape<D>(
        shape: &Shape<D>,
        offset: u64,
        element: Element,
    ) -> Result<Self, ErrorKind>
    where
        D: Dimension,
    {
        let mut layout = Self::new(shape.raw_dim().slice(), Order::C, offset, element)?;
        layout.order = order_of(shape);
        Ok(layout)
    }

    /// Returns an error if the file is shorter than the array, whose layout may come from the
    /// header of the file.
    pub(crate) fn check_fits(
        &self,
        file_len: u64,
        element: Element,
        from_header: bool,
    ) -> Result<(), ErrorKind> {
        if self.end() <= file_len {
            return Ok(());
        }
        Err(ErrorKind::TooShort {
            shape: self.shape.clone(),
            order: self.order,
            element: element.name,
            offset: self.offset,
            needed: self.byte_len as u64,
            found: file_len,
            from_header,
        })
    }

    /// Returns an error if the file does not end at the end of the array.
    pub(crate) fn check_ends(&self, file_len: u64) -> Result<(), ErrorKind> {
        if self.end() == file_len {
            Ok(())
        } else {
            Err(ErrorKind::TrailingBytes { expected: self.end(), found: file_len })
        }
    }

    /// Returns the ndarray shape, or `None` if `D` has another number of dimensions.
    pub(crate) fn to_shape<D: Dimension>(&self) -> Option<Shape<D>> {
        let dim = D::from_dimension(&ndarray::IxDyn(&self.shape))?;
        Some(dim.set_f(self.order == Order::F))
    }
}

fn byte_len(shape: &[usize], item_size: usize, offset: u64) -> Option<usize> {
    let mut non_zero = 1_usize;
    for &len in shape.iter().filter(|&&len| len != 0) {
        non_zero = non_zero.checked_mul(len)?;
    }
    let largest = non_zero.checked_mul(item_size)?;
    if largest.max(non_zero) > isize::MAX as usize {
        return None;
    }
    let byte_len = if shape.contains(&0) { 0 } else { largest };
    let end = offset.checked_add(byte_len as u64)?;
    (end <= i64::MAX as u64).then_some(byte_len)
}

/// Returns the order of a shape. ndarray does not expose it, but a view of zero-sized elements
/// shows it at no cost.
fn order_of<D: Dimension>(shape: &Shape<D>) -> Order {
    let units = vec![(); shape.size()];
    match ArrayView::from_shape(shape.clone(), &units) {
        Ok(view) if view.is_standard_layout() => Order::C,
        Ok(_) => Order::F,
        // Unreachable: the slice has exactly the length of the shape, and `byte_len` ruled out an
        // overflow.
        Err(_) => Order::C,
    }
}

/// Returns the number of rows of shape `row` that a file of `file_len` bytes contains from `offset`
/// on.
pub(crate) fn count_rows(
    row: &[usize],
    offset: u64,
    file_len: u64,
    element: Element,
    allow_rest: bool,
) -> Result<usize, ErrorKind> {
    let row_layout = FileLayout::new(row, Order::C, offset, element)?;
    let row_bytes = row_layout.byte_len as u64;
    let found = file_len;
    let rows = file_len.checked_sub(offset).filter(|_| row_bytes > 0).and_then(|available| {
        let is_whole = allow_rest || available.is_multiple_of(row_bytes);
        is_whole.then(|| available / row_bytes)
    });
    let rows = rows.ok_or(ErrorKind::PartialRow { row_bytes, offset, found })?;
    usize::try_from(rows).map_err(|_| ErrorKind::TooLarge {
        shape: row.to_vec(),
        element: element.name,
        offset,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::IxDyn;
    use proptest::prelude::*;

    const F64: Element = Element { size: 8, align: 8, name: "f64" };

    #[test]
    fn huge_axes_are_rejected_next_to_zero_axes() {
        let error =
            FileLayout::new(&[0, usize::MAX >> 1, usize::MAX >> 1], Order::C, 0, F64).unwrap_err();
        assert!(matches!(error, ErrorKind::TooLarge { .. }), "{error:?}");
    }

    #[test]
    fn file_end_must_not_overflow() {
        assert!(FileLayout::new(&[1], Order::C, i64::MAX as u64 - 7, F64).is_err());
        assert!(FileLayout::new(&[1], Order::C, u64::MAX - 7, F64).is_err());
        assert_eq!(
            FileLayout::new(&[1], Order::C, i64::MAX as u64 - 15, F64).unwrap().end(),
            i64::MAX as u64 - 7
        );
    }

    #[test]
    fn order_is_found_without_allocating() {
        let huge = [1 << (usize::BITS / 2 - 2), 1 << (usize::BITS / 2 - 1)];
        assert_eq!(order_of(&IxDyn(&huge).f()), Order::F);
        assert_eq!(order_of(&IxDyn(&huge).into_shape_with_order()), Order::C);
        assert_eq!(
            order_of(&IxDyn(&[7]).f()),
            Order::C,
            "one dimension: both, called C as NumPy does"
        );
    }

    #[test]
    fn rows() {
        let count =
            |row: &[usize], offset, file_len, rest| count_rows(row, offset, file_len, F64, rest);
        assert_eq!(count(&[4], 0, 320, false), Ok(10));
        assert_eq!(count(&[4], 320, 320, false), Ok(0));
        assert_eq!(count(&[4], 0, 0, false), Ok(0));
        assert_eq!(count(&[], 0, 24, false), Ok(3));
        assert_eq!(count(&[4], 0, 330, true), Ok(10));
        assert_eq!(count(&[4], 0, 31, true), Ok(0));
        assert!(matches!(
            count(&[4], 0, 330, false),
            Err(ErrorKind::PartialRow { row_bytes: 32, .. })
        ));
        assert!(matches!(count(&[4], 0, 31, false), Err(ErrorKind::PartialRow { .. })));
        assert!(matches!(
            count(&[0], 0, 320, false),
            Err(ErrorKind::PartialRow { row_bytes: 0, .. })
        ));
        assert!(matches!(count(&[4], 328, 320, true), Err(ErrorKind::PartialRow { .. })));
        assert!(matches!(
            count(&[0], 0, 320, true),
            Err(ErrorKind::PartialRow { row_bytes: 0, .. })
        ));
        assert!(matches!(count(&[4], 4, 320, true), Err(ErrorKind::Misaligned { .. })));
    }

    /// Computes the same limits with 128-bit integers, one factor at a time so that these cannot
    /// overflow either.
    fn oracle(shape: &[usize], item_size: usize, offset: u64) -> Option<usize> {
        let limit = isize::MAX as u128;
        let mut product = 1_u128;
        for &len in shape.iter().filter(|&&len| len != 0) {
            product *= len as u128;
            if product > limit {
                return None;
            }
        }
        if product * item_size as u128 > limit {
            return None;
        }
        let bytes = shape
            .iter()
            .fold(item_size as u128, |bytes, &len| if len == 0 { 0 } else { bytes * len as u128 });
        let bytes = if shape.contains(&0) { 0 } else { bytes };
        (u128::from(offset) + bytes <= i64::MAX as u128).then_some(bytes as usize)
    }

    fn axis_len() -> impl Strategy<Value = usize> {
        prop_oneof![
            0_usize..5,
            (0..usize::BITS).prop_map(|bit| (1_usize << bit).wrapping_sub(1)),
            any::<usize>()
        ]
    }

    #[test]
    fn longest_array() {
        assert_eq!(byte_len(&[isize::MAX as usize], 1, 0), Some(isize::MAX as usize));
        assert_eq!(byte_len(&[isize::MAX as usize], 2, 0), None);
    }

    #[test]
    fn file_must_end_with_the_array() {
        let layout = FileLayout::new(&[3], Order::C, 16, F64).unwrap();
        assert!(layout.check_ends(40).is_ok());
        for file_len in [39, 41] {
            assert!(matches!(
                layout.check_ends(file_len),
                Err(ErrorKind::TrailingBytes { expected: 40, .. })
            ));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..Default::default() })]
        #[test]
        fn agrees_with_wide_integers(
            shape in prop::collection::vec(axis_len(), 0..7),
            item_size in 1_usize..40,
            offset in prop_oneof![0_u64..4096, any::<u64>()],
        ) {
            prop_assert_eq!(byte_len(&shape, item_size, offset), oracle(&shape, item_size, offset));
        }
    }
}
