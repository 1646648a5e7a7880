//! The bins of a histogram: their edges, and the bin of a value.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::RangeInclusive;

use super::abbreviated::Abbreviated;
use crate::distributed::impl_message;
use crate::error::{ErrorKind, Result};
use crate::system;

/// The bins of a histogram, like NumPy's `bins` and `range`. A number converts to that many
/// equal-width bins over the range of the data. A vector or an array converts to edges.
///
/// A bin includes its lower edge and excludes its upper one, except for the last bin, which
/// includes both. Invalid bins are reported ([`ErrorKind::InvalidBins`]) by the histogram, not by
/// these constructors.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{prelude::*, stats::Bins};
///
/// let values = array![0.0, 0.5, 1.0, 2.0, 9.0];
/// assert_eq!(values.chunked().histogram(3)?.edges(), [0.0, 3.0, 6.0, 9.0]);
/// let histogram = values.chunked().histogram(Bins::uniform(2, 0.0..=2.0))?;
/// assert_eq!((histogram.counts(), histogram.overflow()), (&[2, 2][..], 1));
/// let histogram = values.chunked().histogram(Bins::edges([0.0, 0.75, 10.0]))?;
/// assert_eq!(histogram.counts(), [2, 3]);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[doc(alias("digitize", "histogram_bin_edges"))]
#[derive(Clone, PartialEq)]
pub struct Bins(BinSpec);

#[derive(Clone, PartialEq)]
enum BinSpec {
    Auto(usize),
    Uniform(usize, f64, f64),
    Edges(Vec<f64>),
}

/// The maximum number of bins: no memory has room for more, and fewer do not overflow the size
/// computations.
const MAX_BINS: usize = isize::MAX as usize / 64;

impl From<usize> for Bins {
    fn from(count: usize) -> Self {
        Self::auto(count)
    }
}

impl From<Vec<f64>> for Bins {
    fn from(edges: Vec<f64>) -> Self {
        Self::edges(edges)
    }
}

impl<const N: usize> From<[f64; N]> for Bins {
    fn from(edges: [f64; N]) -> Self {
        Self::edges(edges)
    }
}

/// The unit in the last place of floats around this number is 1, so adding it rounds to an integer.
pub(super) const INTEGERS: f64 = (3_u64 << 51) as f64;

impl Bins {
    /// Creates a number of equal-width bins from the smallest element to the largest. The range
    /// takes a pass to compute. If all elements are equal, it extends half a unit to either side.
    ///
    /// A plain number converts to the same bins.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::{prelude::*, stats::Bins};
    /// let values = array![1.0, 2.0, 5.0];
    /// let histogram = values.chunked().histogram(Bins::auto(2))?;
    /// assert_eq!((histogram.edges(), histogram.counts()), (&[1.0, 3.0, 5.0][..], &[2, 1][..]));
    /// assert_eq!(values.chunked().histogram(2)?, histogram);
    /// assert_eq!(array![7, 7].chunked().histogram(1)?.edges(), [6.5, 7.5]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn auto(count: usize) -> Self {
        Self(BinSpec::Auto(count))
    }

    /// Creates a number of equal-width bins over a finite range. A range of a single number is
    /// extended by half a unit to either side.
    ///
    /// Histograms of several files must be created with explicit bins such as these if they are to
    /// be merged.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::{prelude::*, stats::Bins};
    /// let values = array![-1.0, 0.0, 0.5, 1.0, 1.5];
    /// let histogram = values.chunked().histogram(Bins::uniform(2, 0.0..=1.0))?;
    /// assert_eq!(histogram.counts(), [1, 2]);
    /// assert_eq!((histogram.underflow(), histogram.overflow()), (1, 1));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn uniform(count: usize, range: RangeInclusive<f64>) -> Self {
        Self(BinSpec::Uniform(count, *range.start(), *range.end()))
    }

    /// Creates bins between edges in ascending order. There is one more edge than there are bins.
    /// The first and the last edge may be infinite.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::{ErrorKind, prelude::*, stats::Bins};
    /// let ages = array![3_u8, 17, 18, 40, 64, 65, 90];
    /// let histogram = ages.chunked().histogram(Bins::edges([0.0, 18.0, 65.0, f64::INFINITY]))?;
    /// assert_eq!(histogram.counts(), [2, 3, 2]);
    /// let error = ages.chunked().histogram(Bins::edges([18.0, 0.0])).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::InvalidBins { .. }));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn edges(edges: impl Into<Vec<f64>>) -> Self {
        Self(BinSpec::Edges(edges.into()))
    }

    /// Returns the number of bins.
    pub(in crate::stats) fn count(&self) -> usize {
        match &self.0 {
            BinSpec::Auto(count) | BinSpec::Uniform(count, ..) => *count,
            BinSpec::Edges(edges) => edges.len().saturating_sub(1),
        }
    }

    /// Returns whether the range must be inferred from the data.
    pub(in crate::stats) fn needs_range(&self) -> bool {
        matches!(self.0, BinSpec::Auto(_))
    }

    /// Checks everything that does not depend on the data.
    pub(in crate::stats) fn check(&self) -> Result<()> {
        let invalid = |reason: String| Err(ErrorKind::InvalidBins { reason }.at(None));
        match &self.0 {
            BinSpec::Auto(count @ MAX_BINS..) | BinSpec::Uniform(count @ MAX_BINS.., ..) => {
                invalid(format!("too many bins: {count}"))
            }
            BinSpec::Auto(0) | BinSpec::Uniform(0, ..) => {
                invalid("at least one bin is required".into())
            }
            // The condition is also false for NaN.
            BinSpec::Uniform(_, low, high)
                if !(low.is_finite() && high.is_finite() && low <= high) =>
            {
                invalid(format!("the range must be finite and ascending, got {low:?}..={high:?}"))
            }
            BinSpec::Edges(edges) if edges.len() < 2 => {
                invalid(format!("at least two edges are required, got {}", edges.len()))
            }
            BinSpec::Edges(edges) => match edges.windows(2).find(|pair| !pair.is_sorted()) {
                Some(pair) => {
                    invalid(format!("edges must ascend, but {} precedes {}", pair[0], pair[1]))
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Computes the binning if the range is not inferred from the data.
    pub(in crate::stats) fn into_explicit_binning(self) -> Result<Binning> {
        if self.needs_range() {
            let reason =
                "the range cannot be inferred without data; use `Bins::uniform(count, low..=high)`"
                    .into();
            return Err(ErrorKind::InvalidBins { reason }.at(None));
        }
        // Each count takes as much memory as an edge.
        if self.count() > system::ram_bytes_or_max() / 4 / (2 * size_of::<f64>()) {
            let reason = format!("{} bins do not fit in memory", self.count());
            return Err(ErrorKind::InvalidBins { reason }.at(None));
        }
        self.into_binning(None)
    }

    /// Computes the binning; `range` is the range of the data, if it is required.
    pub(in crate::stats) fn into_binning(self, range: Option<(f64, f64)>) -> Result<Binning> {
        self.check()?;
        match self.0 {
            BinSpec::Edges(edges) => Ok(Binning::from_edges(edges)),
            BinSpec::Uniform(count, low, high) => Binning::uniform(count, low, high),
            BinSpec::Auto(count) => {
                let (low, high) = range.unwrap_or((0.0, 1.0));
                if !(low.is_finite() && high.is_finite()) {
                    let reason = format!(
                        "the range of the elements is infinite, {low:?}..={high:?}; give a finite \
                         range with `Bins::uniform({count}, low..=high)`"
                    );
                    return Err(ErrorKind::InvalidBins { reason }.at(None));
                }
                Binning::uniform(count, low, high)
            }
        }
    }
}

/// Formats the constructor call.
impl fmt::Debug for Bins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            BinSpec::Auto(count) => write!(f, "Bins::auto({count})"),
            BinSpec::Uniform(count, low, high) => {
                write!(f, "Bins::uniform({count}, {low:?}..={high:?})")
            }
            BinSpec::Edges(edges) => write!(f, "Bins::edges({:?})", Abbreviated(edges)),
        }
    }
}

/// The edges of bins, with a linear estimate of the bin of a value.
#[derive(Clone)]
pub(in crate::stats) struct Binning {
    pub(in crate::stats) edges: Vec<f64>,
    /// For equal-width bins, the bin of `x` is about `(x - edges[0]) * inv_width`; 0 if there is no
    /// such estimate.
    inv_width: f64,
    /// Upper bound on the rounding error of the estimate, in bins; 1 if there is no estimate.
    error_bound: f64,
}

impl_message! { Binning { edges, inv_width, error_bound } }

/// The estimate does not affect equality.
impl PartialEq for Binning {
    fn eq(&self, other: &Self) -> bool {
        self.edges == other.edges
    }
}

/// Formats the number of bins, and the first and last few edges.
impl fmt::Debug for Binning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with edges {:?}", self.count(), Abbreviated(&self.edges))
    }
}

impl Binning {
    fn without_estimate(edges: Vec<f64>) -> Self {
        Self { edges, inv_width: 0.0, error_bound: 1.0 }
    }

    /// Creates bins between given edges. Equal-width bins are detected, because their bins are
    /// found faster.
    fn from_edges(edges: Vec<f64>) -> Self {
        let count = edges.len() - 1;
        let low = edges[0];
        let high = edges[edges.len() - 1];
        if low < high
            && low.is_finite()
            && high.is_finite()
            && let Ok(equal) = Self::uniform(count, low, high)
            && equal.edges == edges
        {
            return equal;
        }
        Self::without_estimate(edges)
    }

    /// Creates equal-width bins; fails if rounding makes one of them empty.
    fn uniform(count: usize, mut low: f64, mut high: f64) -> Result<Self> {
        if low == high {
            (low, high) = (low - 0.5, high + 0.5);
        }
        // Same formula as NumPy's `linspace`, except that a range that overflows is divided first.
        let [of_low, of_high] = [low / count as f64, high / count as f64];
        let width = high - low;
        let edge = |index: usize| match index {
            _ if index == count => high,
            0 => low,
            _ if width.is_finite() => (low + index as f64 * (width / count as f64)).min(high),
            _ => of_low * (count - index) as f64 + of_high * index as f64,
        };
        let edges: Vec<_> = (0..=count).map(edge).collect();
        if let Some(pair) = edges.windows(2).find(|pair| pair[0] >= pair[1]) {
            let reason = format!(
                "{count} bins over {low:?}..={high:?} are narrower than the resolution of f64 at {:?}",
                pair[0]
            );
            return Err(ErrorKind::InvalidBins { reason }.at(None));
        }
        let inv_width = count as f64 / width;
        // Bounds the rounding errors of the product, of the edges, and of the difference.
        let error_bound =
            (count as f64 + low.abs().max(high.abs()) * inv_width) * 4.0 * f64::EPSILON;
        if error_bound < 0.25
            && inv_width.is_finite()
            && inv_width > 0.0
            && count < u32::MAX as usize / 2
        {
            Ok(Self { edges, inv_width, error_bound })
        } else {
            Ok(Self::without_estimate(edges))
        }
    }

    pub(in crate::stats) fn count(&self) -> usize {
        self.edges.len() - 1
    }

    /// Returns whether an index in a table of counts is that of a bin.
    pub(super) fn is_inside(&self, index: usize) -> bool {
        (1..=self.count()).contains(&index)
    }

    /// Returns the index in a table of counts: 0 below all bins, `count + 1` above, `count + 2` for
    /// NaN, otherwise the bin index plus 1.
    #[inline(always)]
    pub(in crate::stats) fn bin_index(&self, x: f64) -> usize {
        let count = self.count();
        let position = (x - self.edges[0]) * self.inv_width;
        if position > 0.0 && position < count as f64 {
            // The estimate is reliable unless it is close to an edge. Rounded down by adding a
            // number whose unit in the last place is 1, which leaves the integer in the low bits.
            let shifted = (position - 0.5) + INTEGERS;
            let past = position - (shifted - INTEGERS);
            if past > self.error_bound && past < 1.0 - self.error_bound {
                return shifted.to_bits() as u32 as usize + 1;
            }
        }
        if x >= self.edges[0] && x <= self.edges[count] {
            self.bin_index_in_range(x)
        } else if x.is_nan() {
            count + 2
        } else if x < self.edges[0] {
            0
        } else {
            count + 1
        }
    }

    #[inline(always)]
    fn bin_index_in_range(&self, x: f64) -> usize {
        let last = self.count() - 1;
        if self.inv_width == 0.0 {
            // The last bin includes its upper edge.
            return self.edges[..=last].partition_point(|&edge| edge <= x);
        }
        // The estimate is off by at most one bin.
        let bin = (((x - self.edges[0]) * self.inv_width) as usize).min(last);
        if x < self.edges[bin] {
            bin
        } else if bin < last && x >= self.edges[bin + 1] {
            bin + 2
        } else {
            bin + 1
        }
    }

    /// Returns `(a, b, c)` such that the bin of `x` is `(x - a) * b` rounded down, unless that is
    /// within `c` of an integer.
    #[inline(always)]
    pub(in crate::stats) fn affine(&self) -> (f64, f64, f64) {
        (self.edges[0], self.inv_width, self.error_bound)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(edges: &[f64], x: f64) -> usize {
        let count = edges.len() - 1;
        match x {
            _ if x.is_nan() => count + 2,
            _ if x < edges[0] => 0,
            _ if x > edges[count] => count + 1,
            _ => {
                (0..count)
                    .rev()
                    .find(|&bin| edges[bin] <= x && (x < edges[bin + 1] || bin == count - 1))
                    .unwrap()
                    + 1
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn bin_index_equals_search_in_edges(
            low in prop_oneof![-1e3..1e3, Just(0.0), Just(1e15), Just(-1e300), Just(f64::MIN), Just(1e-310)],
            width in prop_oneof![0.0..10.0, Just(0.0), Just(1e-12), Just(1e300), Just(f64::MAX), Just(1e-310)],
            count in prop_oneof![1_usize..20, Just(1_000)],
            shares in prop::collection::vec(-0.2..1.2, 20),
        ) {
            let high: f64 = low + width;
            prop_assume!(high.is_finite());
            let bins = count as f64;
            let each = if low == high { 1.0 / bins } else { high / bins - low / bins };
            let end = f64::abs(low).max(high.abs());
            let Ok(binning) = Bins::uniform(count, low..=high).into_binning(None) else {
                // Rounding of the edges may make a bin that narrow empty.
                prop_assert!(each < 2.0 * (end - end.next_down()), "{count} bins from {low:e} to {high:e}");
                return Ok(());
            };
            prop_assert_eq!(binning.count(), count);
            prop_assert!(binning.edges.is_sorted_by(|a, b| a < b) && binning.edges.iter().all(|edge| edge.is_finite()));
            let edges = binning.edges.clone();
            let between = shares.iter().map(|share| low + share * width);
            let at_edges = edges.iter().flat_map(|edge| [*edge, edge.next_up(), edge.next_down()]);
            let others = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, low, high, -0.0];
            for x in between.chain(at_edges).chain(others) {
                prop_assert_eq!(binning.bin_index(x), naive(&edges, x), "{:e}", x);
            }
        }
    }

    #[test]
    fn edges_of_unequal_width() {
        let binning = Bins::edges([0.0, 1.0, 1.0, 5.0]).into_binning(None).unwrap();
        assert_eq!(
            [0.5, 1.0, 4.0, 5.0, 6.0, -1.0].map(|x| binning.bin_index(x)),
            [1, 3, 3, 3, 4, 0]
        );
        for wrong in [vec![], vec![1.0], vec![2.0, 1.0], vec![0.0, f64::NAN]] {
            assert!(Bins::edges(wrong).check().is_err());
        }
        for wrong in [0.0..=f64::INFINITY, f64::NAN..=1.0, 2.0..=1.0] {
            assert!(Bins::uniform(3, wrong).check().is_err());
        }
        for wrong in [0, usize::MAX] {
            assert!(Bins::auto(wrong).check().is_err());
        }
        assert!(Bins::uniform(MAX_BINS - 1, 0.0..=1.0).into_explicit_binning().is_err());
    }

    /// Same as NumPy, except for ranges whose width overflows.
    #[test]
    fn bins_of_zero_width_are_invalid() {
        for (count, range) in
            [(4, 1e300..=1e300), (1_000, 1.0..=1.0 + f64::EPSILON), (2, 0.0..=5e-324)]
        {
            let error = Bins::uniform(count, range.clone()).into_binning(None).unwrap_err();
            assert!(
                error.to_string().contains("are narrower than the resolution of f64"),
                "{range:?}: {error}"
            );
        }
        let widest = Bins::uniform(4, f64::MIN..=f64::MAX).into_binning(None).unwrap();
        assert_eq!((widest.edges[0], widest.edges[2], widest.edges[4]), (f64::MIN, 0.0, f64::MAX));
        assert_eq!([f64::MIN, -1e300, 0.0, f64::MAX].map(|x| widest.bin_index(x)), [1, 2, 3, 4]);
        let thirds = Bins::uniform(3, f64::MIN..=f64::MAX).into_binning(None).unwrap().edges;
        assert!(thirds.is_sorted_by(|a, b| a < b) && thirds.iter().all(|edge| edge.is_finite()));
    }
}
