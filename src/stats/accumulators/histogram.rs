//! Histograms.
#![forbid(unsafe_code)]

use std::fmt;

use multiversion::multiversion;

use super::super::element::Element;
use super::abbreviated::Abbreviated;
use super::bins::{Bins, INTEGERS, Scale};
use crate::chunked::Accumulator;
use crate::error::{Error, ErrorKind, Result};

/// How many elements there are in each of some [bins](Bins), how many lie outside, and how many are NaN.
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
#[cfg_attr(feature = "serde", serde(into = "Parts", try_from = "Parts"))]
pub struct Histogram {
    scale: Scale,
    /// As [`Scale::place`] tells.
    table: Vec<u64>,
}

impl Histogram {
    /// With all bins empty.
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
    /// [`ErrorKind::InvalidBins`] if there are no bins, if edges do not ascend, if a range is not finite or too narrow for
    /// so many, if it is to be found, or if they would take more than a quarter of the computer's memory.
    pub fn new(bins: impl Into<Bins>) -> Result<Self> {
        Ok(Self::on(bins.into().into_given_scale()?))
    }

    pub(in crate::stats) fn on(scale: Scale) -> Self {
        let table = vec![0; scale.count() + 3];
        Self { scale, table }
    }

    /// Where bins begin and end: one more than there are bins.
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
        &self.scale.edges
    }

    /// How many elements there are in each bin.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// // An element on an edge belongs to the bin that begins there, but for the last edge.
    /// assert_eq!(array![0.0, 1.0, 2.0].chunked().histogram(2)?.counts(), [1, 2]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn counts(&self) -> &[u64] {
        &self.table[1..=self.scale.count()]
    }

    /// How many are smaller than the first edge.
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

    /// How many are larger than the last edge; see [`underflow`](Self::underflow).
    pub fn overflow(&self) -> u64 {
        self.table[self.scale.count() + 1]
    }

    /// How many are NaN; see [`underflow`](Self::underflow).
    pub fn nan_count(&self) -> u64 {
        self.table[self.scale.count() + 2]
    }

    /// The counts, divided by their sum and by the width of each bin, so that the area under them is 1; what lies outside the
    /// bins has no part in it. NaN if all counts are 0, no finite number for a bin without width.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::{prelude::*, stats::Bins};
    /// let histogram = array![0.5, 1.5, 1.6, 7.0].chunked().histogram(Bins::edges([0.0, 1.0, 5.0, 8.0]))?;
    /// assert_eq!(histogram.counts(), [1, 2, 1]);
    /// assert_eq!(histogram.density(), [0.25, 0.125, 0.25 / 3.0]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn density(&self) -> Vec<f64> {
        let all = self.counts().iter().map(|&count| u128::from(count)).sum::<u128>() as f64;
        let widths = self.edges().windows(2).map(|pair| pair[1] - pair[0]);
        self.counts().iter().zip(widths).map(|(&count, width)| count as f64 / all / width).collect()
    }

    /// Adds the counts of another one. A count that would exceed `u64::MAX` stays there.
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
    /// [`ErrorKind::InvalidBins`] if its edges are others; nothing is added then.
    pub fn try_merge(&mut self, other: Self) -> Result<()> {
        if self.scale.edges != other.scale.edges {
            return Err(other_edges());
        }
        self.add(&other);
        Ok(())
    }

    fn add(&mut self, other: &Self) {
        add_counts(&mut self.table, &other.table);
    }
}

/// Adds the counts of one table to those of another with the same bins.
pub(super) fn add_counts(table: &mut [u64], other: &[u64]) {
    table.iter_mut().zip(other).for_each(|(count, more)| *count = count.saturating_add(*more));
}

/// Shows the first and last few counts.
impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("bins", &self.scale)
            .field("counts", &Abbreviated(self.counts()))
            .field("below", &self.underflow())
            .field("above", &self.overflow())
            .field("nan_count", &self.nan_count())
            .finish()
    }
}

pub(super) fn other_edges() -> Error {
    ErrorKind::InvalidBins { reason: "histograms with other edges cannot be merged".into() }
        .at(None)
}

/// NaNs are counted apart.
///
/// # Panics
///
/// [`merge`](Accumulator::merge) panics if the edges are others; [`Histogram::try_merge`] returns an error.
impl<A: Element> Accumulator<A> for Histogram {
    const IS_ORDER_INDEPENDENT: bool = true;

    #[inline]
    fn push(&mut self, element: &A) {
        increment(&mut self.table[self.scale.place(element.to_f64())]);
    }

    fn push_slice(&mut self, elements: &[A]) {
        count(elements, &self.scale, &mut self.table);
    }

    fn merge(&mut self, later: Self) {
        assert!(
            self.scale.edges == later.scale.edges,
            "histograms with other edges cannot be merged"
        );
        self.add(&later);
    }
}

/// Counts elements by their places. What is not in doubt goes fast, a group at a time.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn count<A: Element>(elements: &[A], scale: &Scale, table: &mut [u64]) {
    const GROUP: usize = 64;
    let (first, per_unit, doubt) = scale.linear();
    let end = scale.count() as f64;
    let (groups, rest) = elements.as_chunks::<GROUP>();
    let mut places = [0_u32; GROUP];
    for group in groups {
        let mut sure = true;
        for (place, &element) in places.iter_mut().zip(group) {
            let at = (element.to_f64() - first) * per_unit;
            // What lies below all or above all is half a bin away from them.
            let at = if at < -0.5 { -0.5 } else { at };
            let at = if at > end + 0.5 { end + 0.5 } else { at };
            // Rounded down, where that is not in doubt: numbers of this size have no digits after the point.
            let shifted = (at - 0.5) + INTEGERS;
            let past = at - (shifted - INTEGERS);
            // False for NaN.
            sure &= (past > doubt) & (past < 1.0 - doubt);
            // Their last bits are the integer.
            *place = shifted.to_bits() as u32;
        }
        if sure {
            places.iter().for_each(|&place| increment(&mut table[place.wrapping_add(1) as usize]));
        } else {
            group.iter().for_each(|element| increment(&mut table[scale.place(element.to_f64())]));
        }
    }
    rest.iter().for_each(|element| increment(&mut table[scale.place(element.to_f64())]));
}

/// Counts one more. Merged counts may be as large as any.
#[inline(always)]
pub(super) fn increment(count: &mut u64) {
    *count = count.saturating_add(1);
}

/// What is saved.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Parts {
    edges: Vec<f64>,
    #[serde(deserialize_with = "super::serde_checks::count")]
    below: u64,
    #[serde(deserialize_with = "super::serde_checks::counts")]
    counts: Vec<u64>,
    #[serde(deserialize_with = "super::serde_checks::count")]
    above: u64,
    #[serde(deserialize_with = "super::serde_checks::count")]
    nan_count: u64,
}

#[cfg(feature = "serde")]
impl From<Histogram> for Parts {
    fn from(histogram: Histogram) -> Self {
        let (below, above, nan_count) =
            (histogram.underflow(), histogram.overflow(), histogram.nan_count());
        Self {
            counts: histogram.counts().to_vec(),
            edges: histogram.scale.edges,
            below,
            above,
            nan_count,
        }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Parts> for Histogram {
    type Error = String;

    fn try_from(
        Parts { edges, below, counts, above, nan_count }: Parts,
    ) -> std::result::Result<Self, String> {
        if edges.len() != counts.len() + 1 {
            return Err(format!("{} edges do not make {} bins", edges.len(), counts.len()));
        }
        let mut histogram = Self::new(Bins::edges(edges)).map_err(|error| error.to_string())?;
        histogram.table = [&[below], &counts[..], &[above, nan_count]].concat();
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
        fn groups_count_as_one_by_one(
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
            let (mut fast, mut slow) = (Histogram::on(fast.scale.clone()), Histogram::on(fast.scale));
            fast.push_slice(&single);
            single.iter().for_each(|value| slow.push(value));
            prop_assert_eq!(fast, slow);
        }
    }
}
