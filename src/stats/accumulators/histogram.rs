//! One-dimensional histograms.
#![forbid(unsafe_code)]

use std::fmt;

use multiversion::multiversion;

use super::abbreviated::Abbreviated;
use super::bins::{Binning, Bins, INTEGERS};
use crate::chunked::Accumulator;
use crate::distributed::{impl_message, state_is_message};
use crate::error::{Error, ErrorKind, Result};
use crate::stats::element::Element;

/// The number of elements in each [bin](Bins), outside all bins, and of NaNs.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{Accumulator, prelude::*, stats::{Bins, Histogram}};
///
/// // Of two files, machines, ... with the same bins.
/// let new = || Histogram::new(Bins::uniform(4, 0.0..=2.0));
/// let mut histogram = new()?;
/// histogram.push_slice(&[0.1, 0.2, 1.9]);
/// let mut second = new()?;
/// second.push_slice(&[2.0, 3.0, f64::NAN]);
/// histogram.try_merge(second)?;
/// assert_eq!(histogram.counts(), [2, 0, 0, 2]);
/// assert_eq!((histogram.underflow(), histogram.overflow(), histogram.nan_count()), (0, 1, 1));
/// assert_eq!(histogram.density(), [1.0, 0.0, 0.0, 1.0]);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "HistogramRepr", try_from = "HistogramRepr"))]
pub struct Histogram {
    binning: Binning,
    /// Counts by [`Binning::bin_index`].
    table: Vec<u64>,
}

impl Histogram {
    /// Creates a histogram with empty bins.
    ///
    /// ```
    /// # use ndarray_mmap::stats::{Bins, Histogram};
    /// assert_eq!(Histogram::new(Bins::uniform(3, 0.0..=6.0))?.counts(), [0, 0, 0]);
    /// assert!(Histogram::new(Bins::auto(3)).is_err()); // over which range?
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidBins`] if there are no bins, the edges do not ascend, the range is not
    /// finite or too narrow for the number of bins, the range would have to be inferred, or the
    /// counts and edges would take more than a quarter of the system memory.
    pub fn new(bins: impl Into<Bins>) -> Result<Self> {
        Ok(Self::with_binning(bins.into().into_explicit_binning()?))
    }

    pub(in crate::stats) fn with_binning(binning: Binning) -> Self {
        let table = vec![0; binning.count() + 3];
        Self { binning, table }
    }

    /// Returns the edges of the bins. There is one more edge than there are bins.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let histogram = array![0, 3, 4].chunked().histogram(2)?;
    /// for (count, edges) in histogram.counts().iter().zip(histogram.edges().windows(2)) {
    ///     println!("{count} from {} to {}", edges[0], edges[1]);
    /// }
    /// assert_eq!(histogram.edges(), [0.0, 2.0, 4.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn edges(&self) -> &[f64] {
        &self.binning.edges
    }

    /// Returns the number of elements in each bin.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// // An element on an edge belongs to the bin that starts there, except for the last edge.
    /// assert_eq!(array![0.0, 1.0, 2.0].chunked().histogram(2)?.counts(), [1, 2]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn counts(&self) -> &[u64] {
        &self.table[1..=self.binning.count()]
    }

    /// Returns the number of elements below the first edge.
    ///
    /// ```
    /// # use ndarray_mmap::{Accumulator, stats::{Bins, Histogram}};
    /// let mut histogram = Histogram::new(Bins::uniform(2, 0.0..=1.0))?;
    /// histogram.push_slice(&[f64::NEG_INFINITY, -0.1, 0.0, 1.0, 1.1, f64::NAN]);
    /// assert_eq!((histogram.underflow(), histogram.overflow(), histogram.nan_count()), (2, 1, 1));
    /// assert_eq!(histogram.counts(), [1, 1]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn underflow(&self) -> u64 {
        self.table[0]
    }

    /// Returns the number of elements above the last edge; see [`underflow`](Self::underflow).
    pub fn overflow(&self) -> u64 {
        self.table[self.binning.count() + 1]
    }

    /// Returns the number of NaNs; see [`underflow`](Self::underflow).
    pub fn nan_count(&self) -> u64 {
        self.table[self.binning.count() + 2]
    }

    /// Computes the density: the counts divided by their sum and by the width of each bin, so that
    /// the integral over the bins is 1. Elements outside the bins are excluded.
    ///
    /// All densities are NaN if all counts are 0. The density of a bin of width 0 is not finite.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::{prelude::*, stats::Bins};
    /// let values = array![0.5, 1.5, 1.6, 7.0];
    /// let histogram = values.chunked().histogram(Bins::edges([0.0, 1.0, 5.0, 8.0]))?;
    /// assert_eq!(histogram.counts(), [1, 2, 1]);
    /// assert_eq!(histogram.density(), [0.25, 0.125, 0.25 / 3.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn density(&self) -> Vec<f64> {
        let all = self.counts().iter().map(|&count| u128::from(count)).sum::<u128>() as f64;
        let widths = self.edges().windows(2).map(|pair| pair[1] - pair[0]);
        self.counts().iter().zip(widths).map(|(&count, width)| count as f64 / all / width).collect()
    }

    /// Merges the counts of another histogram. Counts saturate at `u64::MAX`.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::{prelude::*, stats::Bins};
    /// let mut all = array![0.1, 0.9].chunked().histogram(Bins::uniform(2, 0.0..=1.0))?;
    /// all.try_merge(array![0.2, 1.2].chunked().histogram(Bins::uniform(2, 0.0..=1.0))?)?;
    /// assert_eq!((all.counts(), all.overflow()), (&[2, 1][..], 1));
    /// assert!(all.try_merge(array![0.2].chunked().histogram(2)?).is_err()); // other edges
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidBins`] if the edges differ; no counts are merged then.
    pub fn try_merge(&mut self, other: Self) -> Result<()> {
        if self.binning.edges != other.binning.edges {
            return Err(other_edges());
        }
        self.add(&other);
        Ok(())
    }

    fn add(&mut self, other: &Self) {
        add_counts(&mut self.table, &other.table);
    }
}

/// Adds the counts of a table to those of another table with the same bins.
pub(super) fn add_counts(table: &mut [u64], other: &[u64]) {
    table.iter_mut().zip(other).for_each(|(count, more)| *count = count.saturating_add(*more));
}

/// Formats the first and last few counts.
impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("bins", &self.binning)
            .field("counts", &Abbreviated(self.counts()))
            .field("underflow", &self.underflow())
            .field("overflow", &self.overflow())
            .field("nan_count", &self.nan_count())
            .finish()
    }
}

pub(super) fn other_edges() -> Error {
    ErrorKind::InvalidBins { reason: "histograms with different edges cannot be merged".into() }
        .at(None)
}

/// NaNs are counted separately.
///
/// # Panics
///
/// [`merge`](Accumulator::merge) panics if the edges differ; [`Histogram::try_merge`] returns an
/// error.
impl<A: Element> Accumulator<A> for Histogram {
    const IS_ORDER_INDEPENDENT: bool = true;

    #[inline]
    fn push(&mut self, element: &A) {
        increment(&mut self.table[self.binning.bin_index(element.to_f64())]);
    }

    fn push_slice(&mut self, elements: &[A]) {
        count(elements, &self.binning, &mut self.table);
    }

    #[track_caller]
    fn merge(&mut self, later: Self) {
        assert!(
            self.binning.edges == later.binning.edges,
            "histograms with different edges cannot be merged"
        );
        self.add(&later);
    }

    state_is_message!();
}

impl_message! { Histogram { binning, table } }

/// Counts elements by bin. Vectorized; groups that contain an element close to an edge take the
/// exact path.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn count<A: Element>(elements: &[A], binning: &Binning, table: &mut [u64]) {
    const GROUP: usize = 64;
    let (first, inv_width, error_bound) = binning.affine();
    let end = binning.count() as f64;
    let (groups, rest) = elements.as_chunks::<GROUP>();
    let mut indices = [0_u32; GROUP];
    for group in groups {
        let mut is_certain = true;
        for (index, &element) in indices.iter_mut().zip(group) {
            let position = (element.to_f64() - first) * inv_width;
            // Elements outside the range stay half a bin away from it.
            let position = if position < -0.5 { -0.5 } else { position };
            let position = if position > end + 0.5 { end + 0.5 } else { position };
            // Rounded down by adding a number whose unit in the last place is 1.
            let shifted = (position - 0.5) + INTEGERS;
            let past = position - (shifted - INTEGERS);
            // The comparison is false for NaN.
            is_certain &= (past > error_bound) & (past < 1.0 - error_bound);
            // The low bits are the integer.
            *index = shifted.to_bits() as u32;
        }
        if is_certain {
            indices.iter().for_each(|&index| increment(&mut table[index.wrapping_add(1) as usize]));
        } else {
            group
                .iter()
                .for_each(|element| increment(&mut table[binning.bin_index(element.to_f64())]));
        }
    }
    rest.iter().for_each(|element| increment(&mut table[binning.bin_index(element.to_f64())]));
}

/// Increments a count. Merged counts may be close to the maximum.
#[inline(always)]
pub(super) fn increment(count: &mut u64) {
    *count = count.saturating_add(1);
}

/// The deserialized form.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct HistogramRepr {
    edges: Vec<f64>,
    #[serde(deserialize_with = "super::serde_checks::count")]
    underflow: u64,
    #[serde(deserialize_with = "super::serde_checks::counts")]
    counts: Vec<u64>,
    #[serde(deserialize_with = "super::serde_checks::count")]
    overflow: u64,
    #[serde(deserialize_with = "super::serde_checks::count")]
    nan_count: u64,
}

#[cfg(feature = "serde")]
impl From<Histogram> for HistogramRepr {
    fn from(histogram: Histogram) -> Self {
        let underflow = histogram.underflow();
        let overflow = histogram.overflow();
        let nan_count = histogram.nan_count();
        Self {
            counts: histogram.counts().to_vec(),
            edges: histogram.binning.edges,
            underflow,
            overflow,
            nan_count,
        }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<HistogramRepr> for Histogram {
    type Error = String;

    fn try_from(
        HistogramRepr { edges, underflow, counts, overflow, nan_count }: HistogramRepr,
    ) -> std::result::Result<Self, String> {
        if edges.len() != counts.len() + 1 {
            return Err(format!("{} edges do not match {} bins", edges.len(), counts.len()));
        }
        let mut histogram = Self::new(Bins::edges(edges)).map_err(|error| error.to_string())?;
        histogram.table = [&[underflow], &counts[..], &[overflow, nan_count]].concat();
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn push_slice_equals_push(
            values in prop::collection::vec(prop_oneof![50 => -3.0..12.0, 1 => Just(f64::NAN), 5 => (-3_i8..12).prop_map(f64::from)], 0..300),
            bins in prop_oneof![Just(1_usize), Just(10), Just(97)],
            high in prop_oneof![Just(10.0), Just(2.0), Just(1e9)],
        ) {
            let mut fast = Histogram::new(Bins::uniform(bins, 0.0..=high)).unwrap();
            let mut slow = fast.clone();
            fast.push_slice(&values);
            values.iter().for_each(|value| slow.push(value));
            prop_assert_eq!(&fast, &slow);
            let single: Vec<_> = values.iter().map(|&x| x as f32).collect();
            let mut slow = Histogram::with_binning(fast.binning.clone());
            let mut fast = Histogram::with_binning(fast.binning);
            fast.push_slice(&single);
            single.iter().for_each(|value| slow.push(value));
            prop_assert_eq!(fast, slow);
        }
    }
}
