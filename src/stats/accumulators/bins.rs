//! Bins: where they begin and end, and which one a value falls into.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::RangeInclusive;

use super::abbreviated::Abbreviated;
use crate::error::{ErrorKind, Result};
use crate::system;

/// The bins of a histogram, as NumPy's `bins` and `range`. A number alone is that many equal bins over the range found, a
/// vector or an array are edges.
///
/// Each bin has its lower edge and not its upper one, but the last has both. What makes no bins is an error
/// ([`ErrorKind::InvalidBins`]) of the histogram, not of the constructors here.
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
pub struct Bins(Kind);

#[derive(Clone, PartialEq)]
enum Kind {
    Found(usize),
    Over(usize, f64, f64),
    Edges(Vec<f64>),
}

/// More have no place in any memory; below this nothing overflows.
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

/// Numbers of this size have no digits after the point: adding it rounds.
pub(super) const INTEGERS: f64 = (3_u64 << 51) as f64;

impl Bins {
    /// So many bins of equal width from the smallest element to the largest, which takes a pass to find. If all are the
    /// same, half a unit on either side. The number alone means the same.
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
        Self(Kind::Found(count))
    }

    /// So many bins of equal width over a finite range, half a unit on either side of it if it is a single number. This is what
    /// histograms of several files have to be made with if they are to be merged.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::{prelude::*, stats::Bins};
    /// let histogram = array![-1.0, 0.0, 0.5, 1.0, 1.5].chunked().histogram(Bins::uniform(2, 0.0..=1.0))?;
    /// assert_eq!(histogram.counts(), [1, 2]);
    /// assert_eq!((histogram.underflow(), histogram.overflow()), (1, 1));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    pub fn uniform(count: usize, range: RangeInclusive<f64>) -> Self {
        Self(Kind::Over(count, *range.start(), *range.end()))
    }

    /// Bins between edges in ascending order, one more than there are bins. The first and the last may be infinite.
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
        Self(Kind::Edges(edges.into()))
    }

    /// How many there are.
    pub(in crate::stats) fn count(&self) -> usize {
        match &self.0 {
            Kind::Found(count) | Kind::Over(count, ..) => *count,
            Kind::Edges(edges) => edges.len().saturating_sub(1),
        }
    }

    /// Whether the range must be found first.
    pub(in crate::stats) fn needs_range(&self) -> bool {
        matches!(self.0, Kind::Found(_))
    }

    /// Checks what can be without a look at the data.
    pub(in crate::stats) fn check(&self) -> Result<()> {
        let invalid = |reason: String| Err(ErrorKind::InvalidBins { reason }.at(None));
        match &self.0 {
            Kind::Found(count @ MAX_BINS..) | Kind::Over(count @ MAX_BINS.., ..) => {
                invalid(format!("{count} are too many"))
            }
            Kind::Found(0) | Kind::Over(0, ..) => invalid("there must be one bin at least".into()),
            // In terms that are false for NaN.
            Kind::Over(_, low, high) if !(low.is_finite() && high.is_finite() && low <= high) => {
                invalid(format!(
                    "the range {low} to {high} is not from a finite number to one not below it; where elements are infinite, \
                     give the range with `Bins::uniform(count, low..=high)`"
                ))
            }
            Kind::Edges(edges) if edges.len() < 2 => {
                invalid(format!("{} edges make no bin", edges.len()))
            }
            Kind::Edges(edges) => match edges.windows(2).find(|pair| !pair.is_sorted()) {
                Some(pair) => {
                    invalid(format!("edges must ascend, {} comes before {}", pair[0], pair[1]))
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// The edges of bins that need no look at the data.
    pub(in crate::stats) fn into_given_scale(self) -> Result<Scale> {
        if self.needs_range() {
            let reason = "without elements their range must be given, with `Bins::uniform(count, low..=high)`".into();
            return Err(ErrorKind::InvalidBins { reason }.at(None));
        }
        // With their edges.
        if self.count() > system::ram_bytes_or_max() / 4 / (2 * size_of::<f64>()) {
            let reason = format!("{} are too many for this computer's memory", self.count());
            return Err(ErrorKind::InvalidBins { reason }.at(None));
        }
        self.into_scale(None)
    }

    /// The edges; `range` is what was found, if that was needed.
    pub(in crate::stats) fn into_scale(self, range: Option<(f64, f64)>) -> Result<Scale> {
        self.check()?;
        match self.0 {
            Kind::Edges(edges) => Ok(Scale::between(edges)),
            Kind::Over(count, low, high) => Scale::equal(count, low, high),
            Kind::Found(count) => {
                let (low, high) = range.unwrap_or((0.0, 1.0));
                Self(Kind::Over(count, low, high)).check()?;
                Scale::equal(count, low, high)
            }
        }
    }
}

/// Shows the call that makes them.
impl fmt::Debug for Bins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Found(count) => write!(f, "Bins::auto({count})"),
            Kind::Over(count, low, high) => write!(f, "Bins::uniform({count}, {low:?}..={high:?})"),
            Kind::Edges(edges) => write!(f, "Bins::edges({:?})", Abbreviated(edges)),
        }
    }
}

/// Edges, and how to find the bin of a value.
#[derive(Clone)]
pub(in crate::stats) struct Scale {
    pub(in crate::stats) edges: Vec<f64>,
    /// For bins of equal width: the bin of `x` is about `(x - edges[0]) * per_unit`, 0 where there is no such number.
    per_unit: f64,
    /// What that is wrong by at most.
    doubt: f64,
}

/// How bins are found makes no difference.
impl PartialEq for Scale {
    fn eq(&self, other: &Self) -> bool {
        self.edges == other.edges
    }
}

/// Shows how many bins there are, and the first and last few edges.
impl fmt::Debug for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with edges {:?}", self.count(), Abbreviated(&self.edges))
    }
}

impl Scale {
    fn of(edges: Vec<f64>) -> Self {
        Self { edges, per_unit: 0.0, doubt: 1.0 }
    }

    /// Bins between any edges; those of equal width are found the faster for it.
    fn between(edges: Vec<f64>) -> Self {
        let (count, low, high) = (edges.len() - 1, edges[0], edges[edges.len() - 1]);
        if low < high
            && low.is_finite()
            && high.is_finite()
            && let Ok(equal) = Self::equal(count, low, high)
            && equal.edges == edges
        {
            return equal;
        }
        Self::of(edges)
    }

    /// Bins of equal width, each of which must have one.
    fn equal(count: usize, mut low: f64, mut high: f64) -> Result<Self> {
        if low == high {
            (low, high) = (low - 0.5, high + 0.5);
        }
        // As NumPy's linspace; a range that overflows is divided first.
        let [of_low, of_high] = [low / count as f64, high / count as f64];
        let width = high - low;
        let edge = |number: usize| match number {
            _ if number == count => high,
            0 => low,
            _ if width.is_finite() => (low + number as f64 * (width / count as f64)).min(high),
            _ => of_low * (count - number) as f64 + of_high * number as f64,
        };
        let edges: Vec<_> = (0..=count).map(edge).collect();
        if let Some(pair) = edges.windows(2).find(|pair| pair[0] >= pair[1]) {
            let reason = format!(
                "{count} are too many for the range {low} to {high}: one would be from {0} to {0}",
                pair[0]
            );
            return Err(ErrorKind::InvalidBins { reason }.at(None));
        }
        let per_unit = count as f64 / width;
        // Rounding of the product, of the edges themselves, and of the difference.
        let doubt = (count as f64 + low.abs().max(high.abs()) * per_unit) * 4.0 * f64::EPSILON;
        match doubt < 0.25
            && per_unit.is_finite()
            && per_unit > 0.0
            && count < u32::MAX as usize / 2
        {
            true => Ok(Self { edges, per_unit, doubt }),
            false => Ok(Self::of(edges)),
        }
    }

    pub(in crate::stats) fn count(&self) -> usize {
        self.edges.len() - 1
    }

    /// Whether a place in a table is that of a bin.
    pub(super) fn is_inside(&self, place: usize) -> bool {
        (1..=self.count()).contains(&place)
    }

    /// Which bin, as a place in a table: 0 for what lies below all, `count + 1` above all, `count + 2` for NaN, else the
    /// number of the bin and 1.
    #[inline(always)]
    pub(in crate::stats) fn place(&self, x: f64) -> usize {
        let count = self.count();
        let at = (x - self.edges[0]) * self.per_unit;
        if at > 0.0 && at < count as f64 {
            // Beyond doubt where it is not close to an edge; `doubt` is 1 where bins have no common width.
            // Rounded down where that is not in doubt. Numbers of this size are integers, in their last bits.
            let shifted = (at - 0.5) + INTEGERS;
            let past = at - (shifted - INTEGERS);
            if past > self.doubt && past < 1.0 - self.doubt {
                return shifted.to_bits() as u32 as usize + 1;
            }
        }
        if x >= self.edges[0] && x <= self.edges[count] {
            self.place_inside(x)
        } else if x.is_nan() {
            count + 2
        } else if x < self.edges[0] {
            0
        } else {
            count + 1
        }
    }

    #[inline(always)]
    fn place_inside(&self, x: f64) -> usize {
        let last = self.count() - 1;
        if self.per_unit == 0.0 {
            // The last bin has its upper edge.
            return self.edges[..=last].partition_point(|&edge| edge <= x);
        }
        // Wrong by one at most.
        let bin = (((x - self.edges[0]) * self.per_unit) as usize).min(last);
        if x < self.edges[bin] {
            bin
        } else if bin < last && x >= self.edges[bin + 1] {
            bin + 2
        } else {
            bin + 1
        }
    }

    /// The bin of `x` is about `(x - a) * b`, and so beyond doubt if that is more than `c` away from an integer.
    #[inline(always)]
    pub(in crate::stats) fn linear(&self) -> (f64, f64, f64) {
        (self.edges[0], self.per_unit, self.doubt)
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
        fn places_are_those_between_the_edges(
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
            let Ok(scale) = Bins::uniform(count, low..=high).into_scale(None) else {
                // Hardly a number lies between two edges.
                prop_assert!(each < 2.0 * (end - end.next_down()), "{count} bins from {low:e} to {high:e}");
                return Ok(());
            };
            prop_assert_eq!(scale.count(), count);
            prop_assert!(scale.edges.is_sorted_by(|a, b| a < b) && scale.edges.iter().all(|edge| edge.is_finite()));
            let edges = scale.edges.clone();
            let between = shares.iter().map(|share| low + share * width);
            let at_edges = edges.iter().flat_map(|edge| [*edge, edge.next_up(), edge.next_down()]);
            let others = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, low, high, -0.0];
            for x in between.chain(at_edges).chain(others) {
                prop_assert_eq!(scale.place(x), naive(&edges, x), "{:e}", x);
            }
        }
    }

    #[test]
    fn edges_of_any_width() {
        let scale = Bins::edges([0.0, 1.0, 1.0, 5.0]).into_scale(None).unwrap();
        assert_eq!([0.5, 1.0, 4.0, 5.0, 6.0, -1.0].map(|x| scale.place(x)), [1, 3, 3, 3, 4, 0]);
        for wrong in [vec![], vec![1.0], vec![2.0, 1.0], vec![0.0, f64::NAN]] {
            assert!(Bins::edges(wrong).check().is_err());
        }
        for wrong in [0.0..=f64::INFINITY, f64::NAN..=1.0, 2.0..=1.0] {
            assert!(Bins::uniform(3, wrong).check().is_err());
        }
        for wrong in [0, usize::MAX] {
            assert!(Bins::auto(wrong).check().is_err());
        }
        assert!(Bins::uniform(MAX_BINS - 1, 0.0..=1.0).into_given_scale().is_err());
    }

    /// As NumPy; but a range that is too wide to be subtracted is one.
    #[test]
    fn bins_without_a_width_are_none() {
        for (count, range) in
            [(4, 1e300..=1e300), (1_000, 1.0..=1.0 + f64::EPSILON), (2, 0.0..=5e-324)]
        {
            let error = Bins::uniform(count, range.clone()).into_scale(None).unwrap_err();
            assert!(error.to_string().contains("too many for the range"), "{range:?}: {error}");
        }
        let widest = Bins::uniform(4, f64::MIN..=f64::MAX).into_scale(None).unwrap();
        assert_eq!((widest.edges[0], widest.edges[2], widest.edges[4]), (f64::MIN, 0.0, f64::MAX));
        assert_eq!([f64::MIN, -1e300, 0.0, f64::MAX].map(|x| widest.place(x)), [1, 2, 3, 4]);
        let thirds = Bins::uniform(3, f64::MIN..=f64::MAX).into_scale(None).unwrap().edges;
        assert!(thirds.is_sorted_by(|a, b| a < b) && thirds.iter().all(|edge| edge.is_finite()));
    }
}
