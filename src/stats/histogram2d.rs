//! Histograms of two arrays side by side.
#![forbid(unsafe_code)]

use ndarray::{Array2, ArrayView, Dimension};

use super::bins::{Bins, Scale};
use super::element::Element;
use super::extremes::Extremes;
use super::histogram::other_edges;
use crate::chunked::{Accumulator, Chunked};
use crate::error::{ErrorKind, Result};

/// How many pairs of elements there are in each of some fields, as NumPy's `histogram2d`.
///
/// ```
/// use ndarray_mmap::{Accumulator, stats::{Bins, Histogram2d}};
///
/// // Of two files, machines, ... with the same bins.
/// let new = || Histogram2d::new(Bins::over(2, 0.0..=2.0), Bins::over(1, 0.0..=9.0));
/// let (mut first, mut second) = (new()?, new()?);
/// first.push_slice(&[(0.5, 1_u8), (1.5, 2)]);
/// second.push_slice(&[(0.5, 3_u8), (3.0, 4)]);
/// first.merge(second)?;
/// assert_eq!((first.counts()[[0, 0]], first.counts()[[1, 0]], first.outside()), (2, 1, 1));
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
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
    /// [`ErrorKind::InvalidBins`] if there are no bins, if edges do not ascend, or if a range is to be found.
    pub fn new(rows: impl Into<Bins>, columns: impl Into<Bins>) -> Result<Self> {
        let [rows, columns] = [rows.into(), columns.into()].map(Bins::into_given_scale);
        Ok(Self::on([rows?, columns?]))
    }

    /// Adds the counts of another one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidBins`] if its edges are others; nothing is added then.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        if self.scales != other.scales {
            return Err(other_edges());
        }
        self.add(&other);
        Ok(())
    }

    fn on(scales: [Scale; 2]) -> Self {
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
    /// let unit = || Bins::over(1, 0.0..=1.0);
    /// let histogram = x.chunked().and(&y)?.skipnan().histogram2d(unit(), unit())?;
    /// assert_eq!((histogram.counts().sum(), histogram.outside()), (1, 3));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn outside(&self) -> u64 {
        self.table.iter().sum::<u64>() - self.counts().sum()
    }

    fn nan_count(&self) -> u64 {
        let width = self.scales[1].count() + 3;
        let is_nan = |place: usize| place / width == self.scales[0].count() + 2 || place % width == width - 1;
        self.table.iter().enumerate().filter(|&(place, _)| is_nan(place)).map(|(_, count)| count).sum()
    }

    fn add(&mut self, other: &Self) {
        self.table.iter_mut().zip(&other.table).for_each(|(count, more)| *count += more);
    }
}

/// # Panics
///
/// [`merge`](Accumulator::merge) panics if the edges are others.
impl<A: Element, B: Element> Accumulator<(A, B)> for Histogram2d {
    type Output = Self;

    fn push(&mut self, (a, b): &(A, B)) {
        let [row, column] = [self.scales[0].place(a.to_f64()), self.scales[1].place(b.to_f64())];
        self.table[row * (self.scales[1].count() + 3) + column] += 1;
    }

    fn merge(&mut self, later: Self) {
        assert!(self.scales == later.scales, "histograms with other edges cannot be merged");
        self.add(&later);
    }

    fn finish(self) -> Self {
        self
    }
}

/// What is saved.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Parts {
    edges: [Vec<f64>; 2],
    /// With what is below, above, and NaN, row by row.
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

    fn try_from(Parts { edges: [rows, columns], table }: Parts) -> std::result::Result<Self, String> {
        let [rows, columns] = [rows, columns].map(|edges| Bins::edges(edges).into_given_scale());
        let scales = [rows.map_err(|error| error.to_string())?, columns.map_err(|error| error.to_string())?];
        let expected = (scales[0].count() + 3).checked_mul(scales[1].count() + 3);
        if Some(table.len()) != expected {
            return Err(format!("a table of {} counts does not fit its edges", table.len()));
        }
        Ok(Self { scales, table })
    }
}

/// Of two arrays side by side.
impl<A: Element, B: Element, D: Dimension> Chunked<'_, (ArrayView<'_, A, D>, ArrayView<'_, B, D>)> {
    /// How many pairs of elements there are in each field of two sets of bins. A range that is to be found is that of its own
    /// array, whatever the elements of the other one.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{prelude::*, stats::Bins};
    ///
    /// let (x, y) = (array![0.1, 0.2, 0.9, 5.0], array![1, 2, 2, 2]);
    /// let histogram = x.chunked().and(&y)?.histogram2d(Bins::over(2, 0.0..=1.0), 2)?;
    /// assert_eq!(histogram.counts(), array![[1, 1], [0, 1]]);
    /// assert_eq!(histogram.outside(), 1);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`histogram`](Chunked::histogram), of either array.
    pub fn histogram2d(self, rows: impl Into<Bins>, columns: impl Into<Bins>) -> Result<Histogram2d> {
        let bins = [rows.into(), columns.into()];
        bins.iter().try_for_each(Bins::check)?;
        let fields = bins.iter().map(|bins| bins.count().saturating_add(3)).fold(1, usize::saturating_mul);
        let walk = self.beside_tables(fields)?;
        let skip_nan = walk.skips_nan();
        let ranges = match bins.iter().any(Bins::needs_range) {
            true => {
                let (first, second) =
                    walk.clone().accumulate(|| (OfFirst(Extremes::new()), OfSecond(Extremes::new())))?;
                let [low, high] = <[_; 2]>::from(first.0.checked(skip_nan)?).map(A::to_f64);
                let [left, right] = <[_; 2]>::from(second.0.checked(skip_nan)?).map(B::to_f64);
                [Some((low, high)), Some((left, right))]
            }
            false => [None, None],
        };
        let [rows, columns] = bins;
        let scales = [rows.into_scale(ranges[0])?, columns.into_scale(ranges[1])?];
        let histogram = walk.tabulate(
            || Histogram2d::on(scales.clone()),
            Histogram2d::push_slice,
            |all: &mut Histogram2d, more| all.add(more),
        )?;
        match histogram.nan_count() {
            1.. if !skip_nan => Err(ErrorKind::UndefinedOrder {}.at(None)),
            _ => Ok(histogram),
        }
    }
}

macro_rules! sides {
    ($($name:ident $index:tt $a:ident $b:ident $side:ident;)*) => {$(
        /// Takes one side of pairs.
        struct $name<T>(T);

        impl<A: Element, B: Element> Accumulator<(A, B)> for $name<Extremes<$side>> {
            type Output = Extremes<$side>;

            fn push(&mut self, pair: &(A, B)) {
                self.0.push(&pair.$index);
            }

            fn push_slice(&mut self, pairs: &[(A, B)]) {
                self.0.push_slice(&pairs.iter().map(|pair| pair.$index).collect::<Vec<_>>());
            }

            fn merge(&mut self, later: Self) {
                self.0.merge(later.0);
            }

            fn finish(self) -> Extremes<$side> {
                self.0
            }
        }
    )*};
}
sides! { OfFirst 0 A B A; OfSecond 1 A B B; }
