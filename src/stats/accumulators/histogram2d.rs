//! Histograms of pairs of elements of two arrays.
#![forbid(unsafe_code)]

use std::fmt;

use ndarray::Array2;

use super::bins::{Binning, Bins};
use super::histogram::{add_counts, increment, other_edges};
use crate::chunked::Accumulator;
use crate::distributed::{impl_message, state_is_message};
use crate::error::{ErrorKind, Result};
use crate::stats::element::Element;
use crate::system;

/// The number of pairs of elements in each cell of a grid of bins, like NumPy's `histogram2d`.
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
#[cfg_attr(feature = "serde", serde(into = "Histogram2dRepr", try_from = "Histogram2dRepr"))]
pub struct Histogram2d {
    binnings: [Binning; 2],
    table: Vec<u64>,
}

impl Histogram2d {
    /// Creates a histogram with empty cells.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidBins`] if there are no bins, the edges do not ascend, a range would have
    /// to be inferred, or the table would take more than a quarter of the system memory.
    pub fn new(rows: impl Into<Bins>, columns: impl Into<Bins>) -> Result<Self> {
        let [rows, columns] = [rows.into(), columns.into()].map(Bins::into_explicit_binning);
        let binnings = [rows?, columns?];
        let cells = (binnings[0].count() + 3).checked_mul(binnings[1].count() + 3);
        match cells.filter(|&cells| cells <= system::ram_bytes_or_max() / 4 / size_of::<u64>()) {
            Some(_) => Ok(Self::with_binnings(binnings)),
            None => {
                let [rows, columns] = binnings.map(|binning| binning.count());
                let reason = format!("a table of {rows} x {columns} cells does not fit in memory");
                Err(ErrorKind::InvalidBins { reason }.at(None))
            }
        }
    }

    /// Merges the counts of another histogram. Counts saturate at `u64::MAX`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidBins`] if the edges differ; no counts are merged then.
    pub fn try_merge(&mut self, other: Self) -> Result<()> {
        if self.binnings != other.binnings {
            return Err(other_edges());
        }
        self.add(&other);
        Ok(())
    }

    pub(in crate::stats) fn with_binnings(binnings: [Binning; 2]) -> Self {
        let table = vec![0; binnings.iter().map(|binning| binning.count() + 3).product()];
        Self { binnings, table }
    }

    /// Returns the edges of the bins of the first array, and those of the second.
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
        self.binnings.each_ref().map(|binning| &binning.edges[..])
    }

    /// Returns a new array of the number of pairs in each cell, with a row for each bin of the
    /// first array and a column for each bin of the second.
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
        let width = self.binnings[1].count() + 3;
        let shape = self.binnings.each_ref().map(Binning::count);
        Array2::from_shape_fn(shape, |(i, j)| self.table[(i + 1) * width + j + 1])
    }

    /// Returns the number of pairs with an element that is NaN or outside all bins.
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
            !(self.binnings[0].is_inside(row) && self.binnings[1].is_inside(column))
        })
    }

    pub(in crate::stats) fn nan_count(&self) -> u64 {
        let [of_row, of_column] = self.binnings.each_ref().map(|binning| binning.count() + 2);
        self.sum_where(|row, column| row == of_row || column == of_column)
    }

    /// Returns the sum of the counts in a range of rows and columns of the table, saturating at
    /// `u64::MAX`.
    fn sum_where(&self, is_wanted: impl Fn(usize, usize) -> bool) -> u64 {
        let rows = self.table.chunks(self.binnings[1].count() + 3).enumerate();
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

/// Formats sums instead of the counts.
impl fmt::Debug for Histogram2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inside = self.sum_where(|row, column| {
            self.binnings[0].is_inside(row) && self.binnings[1].is_inside(column)
        });
        f.debug_struct("Histogram2d")
            .field("rows", &self.binnings[0])
            .field("columns", &self.binnings[1])
            .field("inside", &inside)
            .field("outside", &self.outside())
            .finish()
    }
}

/// # Panics
///
/// [`merge`](Accumulator::merge) panics if the edges differ; [`Histogram2d::try_merge`] returns an
/// error.
impl<A: Element, B: Element> Accumulator<(A, B)> for Histogram2d {
    const IS_ORDER_INDEPENDENT: bool = true;

    #[inline]
    fn push(&mut self, (a, b): &(A, B)) {
        let [row, column] =
            [self.binnings[0].bin_index(a.to_f64()), self.binnings[1].bin_index(b.to_f64())];
        increment(&mut self.table[row * (self.binnings[1].count() + 3) + column]);
    }

    #[track_caller]
    fn merge(&mut self, later: Self) {
        assert!(
            self.binnings == later.binnings,
            "histograms with different edges cannot be merged"
        );
        self.add(&later);
    }

    state_is_message!();
}

impl_message! { Histogram2d { binnings, table } }

/// The deserialized form.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Histogram2dRepr {
    edges: [Vec<f64>; 2],
    /// Includes the counts below, above and of NaN, row by row.
    #[serde(deserialize_with = "super::serde_checks::counts")]
    table: Vec<u64>,
}

#[cfg(feature = "serde")]
impl From<Histogram2d> for Histogram2dRepr {
    fn from(Histogram2d { binnings, table }: Histogram2d) -> Self {
        Self { edges: binnings.map(|binning| binning.edges), table }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Histogram2dRepr> for Histogram2d {
    type Error = String;

    fn try_from(
        Histogram2dRepr { edges: [rows, columns], table }: Histogram2dRepr,
    ) -> std::result::Result<Self, String> {
        let [rows, columns] =
            [rows, columns].map(|edges| Bins::edges(edges).into_explicit_binning());
        let binnings =
            [rows.map_err(|error| error.to_string())?, columns.map_err(|error| error.to_string())?];
        let expected = (binnings[0].count() + 3).checked_mul(binnings[1].count() + 3);
        if Some(table.len()) != expected {
            return Err(format!("a table of {} counts does not match its edges", table.len()));
        }
        Ok(Self { binnings, table })
    }
}
