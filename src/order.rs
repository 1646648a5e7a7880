//! Memory orders: row-major and column-major.
#![forbid(unsafe_code)]

use std::fmt;

/// The memory order of an array in its file.
///
/// ```
/// use ndarray::ShapeBuilder;
/// use ndarray_mmap::{MmapArrayMut, Order};
///
/// let rows = MmapArrayMut::<f32, _>::scratch((2, 3))?;
/// let columns = MmapArrayMut::<f32, _>::scratch((2, 3).f())?;
/// assert_eq!((rows.layout().order(), rows.strides()), (Order::C, &[3, 1][..]));
/// assert_eq!((columns.layout().order(), columns.strides()), (Order::F, &[1, 2][..]));
/// assert_eq!(Order::F.to_string(), "F");
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Row-major: the last axis varies fastest, as in NumPy and ndarray by default.
    C,
    /// Column-major (Fortran): the first axis varies fastest, as with NumPy's `order='F'` and
    /// ndarray's `.f()`.
    F,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::C => "C",
            Self::F => "F",
        })
    }
}

/// Converts to ndarray's own `Order`, as in `(shape, array.layout().order().into())`.
impl From<Order> for ndarray::Order {
    fn from(order: Order) -> Self {
        match order {
            Order::C => Self::RowMajor,
            Order::F => Self::ColumnMajor,
        }
    }
}
