//! Histograms of two arrays side by side.
#![forbid(unsafe_code)]

use std::fmt;

use ndarray::Array2;

use super::super::element::Element;
use super::bins::{Bins, Scale};
use super::histogram::{add_counts, increment, other_edges};
use crate::chunked::Accumulator;
use crate::error::{ErrorKind, Result};
use crate::system;

/// How many pairs of elements there are in each of some fields, as NumPy's `histogram2d`.
///
/// ```
/// use ndarray_mmap::{Accumulator, stats::{Bins, Histogram2d}};
///
/// // Of two files, machines, ... with the same bins.
/// let new = || Histogram2d::new(Bins::uniform(2, 0.0..=2.0), Bins::uniform(1, 0.0..=9.0));
/// let (mut first, mut second) = (new()?, new()?);
/// first.push_slice(&[(0.5, 1_u8), (1.5, 2)]);
/// second.push_slice(&[(0.5, 3_u8), (3.0, 4)]);
/// first.try_merge(second)?;
/// assert_eq!((first.counts()[[0, 0]], first.counts()[[1, 0]], first.outside()), (2, 1, 1));
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "Parts", try_from = "Parts"))]
pub struct Histogram2d {
    scales: [Scale; 2],
    table: Vec<u64>,
}

impl Histogram2d {
    /// With all fields empty.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidBins`] if there are no bins, if edges do not ascend, if a range is to be found, or if the table would
    /// take more than a quarter of the computer's memory.
    pub fn new(rows: impl Into<Bins>, columns: impl Into<Bins>) -> Result<Self> {
        let [rows, columns] = [rows.into(), columns.into()].map(Bins::into_given_scale);
        let scales = [rows?, columns?];
        let fields = (scales[0].count() + 3).checked_mul(scales[1].count() + 3);
        match fields.filter(|&fields| fields <= system::ram_bytes_or_max() / 4 / size_of::<u64>()) {
            Some(_) => Ok(Self::on(scales)),
            None => {
                let [rows, columns] = scales.map(|scale| scale.count());
                let reason =
                    format!("a table of {rows} by {columns} does not fit this computer's memory");
                Err(ErrorKind::InvalidBins { reason }.at(None))
            }
        }
    }

    /// Adds the counts of another one. A count that would exceed `u64::MAX` stays there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidBins`] if its edges are others; nothing is added then.
    pub fn try_merge(&mut self, other: Self) -> Result<()> {
        if self.scales != other.scales {
            return Err(other_edges());
        }
        self.add(&other);
        Ok(())
    }

    pub(in crate::stats) fn on(scales: [Scale; 2]) -> Self {
        let table = vec![0; scales.iter().map(|scale| scale.count() + 3).product()];
        Self { scales, table }
    }

    /// Where bins of the first array begin and end, and where those of the second do.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let (x, y) = (array![0, 4], array![1.0, 3.0]);
    /// let histogram = x.chunked().and(&y)?.histogram2d(2, 1)?;
    /// assert_eq!(histogram.edges(), [&[0.0, 2.0, 4.0][..], &[1.0, 3.0][..]]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn edges(&self) -> [&[f64]; 2] {
        self.scales.each_ref().map(|scale| &scale.edges[..])
    }

    /// How many pairs there are: a row for each bin of the first array, a column for each of the second. A new array each time.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let (x, y) = (array![0, 1, 9, 9], array![1.0, 1.0, 1.0, 5.0]);
    /// let histogram = x.chunked().and(&y)?.histogram2d(3, 2)?;
    /// assert_eq!(histogram.counts(), array![[2, 0], [0, 0], [1, 1]]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn counts(&self) -> Array2<u64> {
        let width = self.scales[1].count() + 3;
        let shape = self.scales.each_ref().map(Scale::count);
        Array2::from_shape_fn(shape, |(i, j)| self.table[(i + 1) * width + j + 1])
    }

    /// How many pairs there are of which one element or both are outside all bins, or NaN.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::{prelude::*, stats::Bins};
    /// let (x, y) = (array![0.5, 0.5, f64::NAN, 7.0], array![0.5, -1.0, 0.5, f64::NAN]);
    /// let unit = || Bins::uniform(1, 0.0..=1.0);
    /// let histogram = x.chunked().and(&y)?.skipnan().histogram2d(unit(), unit())?;
    /// assert_eq!((histogram.counts().sum(), histogram.outside()), (1, 3));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn outside(&self) -> u64 {
        self.sum_where(|row, column| {
            !(self.scales[0].is_inside(row) && self.scales[1].is_inside(column))
        })
    }

    pub(in crate::stats) fn nan_count(&self) -> u64 {
        let [of_row, of_column] = self.scales.each_ref().map(|scale| scale.count() + 2);
        self.sum_where(|row, column| row == of_row || column == of_column)
    }

    /// The sum of the counts at some rows and columns of the table; `u64::MAX` if it is more.
    fn sum_where(&self, is_wanted: impl Fn(usize, usize) -> bool) -> u64 {
        let rows = self.table.chunks(self.scales[1].count() + 3).enumerate();
        let counts = rows.flat_map(|(row, counts)| {
            (0..).zip(counts).map(move |(column, count)| (row, column, count))
        });
        let wanted = counts.filter(|&(row, column, _)| is_wanted(row, column));
        wanted.fold(0, |sum: u64, (_, _, &count)| sum.saturating_add(count))
    }

    fn add(&mut self, other: &Self) {
        add_counts(&mut self.table, &other.table);
    }
}

/// Shows sums instead of the counts.
impl fmt::Debug for Histogram2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inside = self.sum_where(|row, column| {
            self.scales[0].is_inside(row) && self.scales[1].is_inside(column)
        });
        f.debug_struct("Histogram2d")
            .field("rows", &self.scales[0])
            .field("columns", &self.scales[1])
            .field("inside", &inside)
            .field("outside", &self.outside())
            .finish()
    }
}

/// # Panics
///
/// [`merge`](Accumulator::merge) panics if the edges are others; [`Histogram2d::try_merge`] returns an error.
impl<A: Element, B: Element> Accumulator<(A, B)> for Histogram2d {
    const IS_ORDER_INDEPENDENT: bool = true;

    #[inline]
    fn push(&mut self, (a, b): &(A, B)) {
        let [row, column] = [self.scales[0].place(a.to_f64()), self.scales[1].place(b.to_f64())];
        increment(&mut self.table[row * (self.scales[1].count() + 3) + column]);
    }

    fn merge(&mut self, later: Self) {
        assert!(self.scales == later.scales, "histograms with other edges cannot be merged");
        self.add(&later);
    }
}

/// What is saved.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Parts {
    edges: [Vec<f64>; 2],
    /// With what is below, above, and NaN, row by row.
    #[serde(deserialize_with = "super::serde_checks::counts")]
    table: Vec<u64>,
}

#[cfg(feature = "serde")]
impl From<Histogram2d> for Parts {
    fn from(Histogram2d { scales, table }: Histogram2d) -> Self {
        Self { edges: scales.map(|scale| scale.edges), table }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Parts> for Histogram2d {
    type Error = String;

    fn try_from(
        Parts { edges: [rows, columns], table }: Parts,
    ) -> std::result::Result<Self, String> {
        let [rows, columns] = [rows, columns].map(|edges| Bins::edges(edges).into_given_scale());
        let scales =
            [rows.map_err(|error| error.to_string())?, columns.map_err(|error| error.to_string())?];
        let expected = (scales[0].count() + 3).checked_mul(scales[1].count() + 3);
        if Some(table.len()) != expected {
            return Err(format!("a table of {} counts does not fit its edges", table.len()));
        }
        Ok(Self { scales, table })
    }
}
