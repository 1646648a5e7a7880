//! Mapping of values to cells. Cells ascend with the values, so that counts of elements by cell
//! locate a rank.
#![forbid(unsafe_code)]

use multiversion::multiversion;

use crate::stats::element::Element;

/// The number of cells, whose counts fit in the L1 cache.
pub(in crate::stats) const CELLS: usize = 4096;

/// A monotonic map of values to cells. NaNs map to the first cell.
#[derive(Clone, Copy, Debug)]
pub(in crate::stats) enum CellMap {
    /// Cells of equal width. The first and the last one are unbounded.
    Linear { from: f64, factor: f64 },
    /// The high bits of the order-preserving integer.
    Keys { shift: u32 },
}

impl CellMap {
    /// Creates a linear map for a range that contains most values. If the range is empty or
    /// missing, or elements have at most two bytes, the map uses the order-preserving integers.
    pub(in crate::stats) fn new<A: Element>(range: Option<(A, A)>) -> Self {
        let keys = A::RANGE.1.to_ordered_bits() - A::RANGE.0.to_ordered_bits();
        let (low, high) = range.map_or((0.0, 0.0), |(low, high)| (low.to_f64(), high.to_f64()));
        // The difference of clamped values is finite.
        let [low, high] = [low, high].map(|x| x.clamp(f64::MIN / 4.0, f64::MAX / 4.0));
        if size_of::<A>() > 2 && low < high {
            Self::Linear { from: low, factor: (CELLS as f64 - 2.0) / (high - low) }
        } else {
            Self::Keys { shift: (u64::BITS - keys.leading_zeros()).saturating_sub(CELLS.ilog2()) }
        }
    }

    /// Returns a number that is different for other maps.
    pub(in crate::stats) fn key(self) -> (u64, u64) {
        match self {
            Self::Linear { from, factor } => (from.to_bits(), factor.to_bits()),
            Self::Keys { shift } => (u64::MAX, shift.into()),
        }
    }

    /// Returns the cell of a value.
    #[inline(always)]
    pub(in crate::stats) fn cell<A: Element>(self, element: A) -> u16 {
        match self {
            Self::Linear { from, factor } => linear(element, from, factor),
            Self::Keys { shift } => key(element, shift),
        }
    }

    /// Computes the cells of a slice of values.
    pub(in crate::stats) fn cells<A: Element>(self, elements: &[A], cells: &mut [u16]) {
        match self {
            Self::Linear { from, factor } => linear_cells(elements, from, factor, cells),
            Self::Keys { shift } => key_cells(elements, shift, cells),
        }
    }
}

#[inline(always)]
fn linear<A: Element>(element: A, from: f64, factor: f64) -> u16 {
    // A rounded subtraction and a rounded product are monotonic. Comparisons with NaN are false.
    let position = (element.to_f64() - from) * factor;
    let position = if position > 0.0 { position } else { 0.0 };
    let position = if position < (CELLS - 1) as f64 { position } else { (CELLS - 1) as f64 };
    // Rounded to an integer, which is in the low bits.
    (position + (1_u64 << 52) as f64).to_bits() as u16
}

#[inline(always)]
fn key<A: Element>(element: A, shift: u32) -> u16 {
    let position =
        (element.to_ordered_bits().wrapping_sub(A::RANGE.0.to_ordered_bits()) >> shift) as u16;
    if element.is_nan() { 0 } else { position }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn linear_cells<A: Element>(elements: &[A], from: f64, factor: f64, cells: &mut [u16]) {
    cells
        .iter_mut()
        .zip(elements)
        .for_each(|(cell, &element)| *cell = linear(element, from, factor));
}

#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn key_cells<A: Element>(elements: &[A], shift: u32, cells: &mut [u16]) {
    cells.iter_mut().zip(elements).for_each(|(cell, &element)| *cell = key(element, shift));
}
