//! Count, mean and central moments, merged by the formulas of Chan and of Pébay.
#![forbid(unsafe_code)]

use super::super::element::Element;
use super::super::kernels;
use super::super::kernels::rows::{self, WIDTH};
use crate::chunked::Accumulator;

/// Count, mean, and the sums of the powers of the deviations from the mean up to `ORDER`, 2 or 4.
///
/// A slice is gone through twice while it is in the processor's cache: for its mean, and for the deviations from it. What
/// rounding has left of the mean's own deviation is taken out. Slices are merged by the formulas of Chan, Golub and LeVeque
/// (1979), for the third and fourth power those of Pébay (2008). Any other `ORDER` does not compile.
///
/// ```
/// use ndarray::prelude::*;
/// use ndarray_mmap::{Accumulator, prelude::*, stats::Moments};
///
/// // Of two files, machines, ...
/// let (first, second) = (array![1.0, 2.0], array![3.0, 4.0, f64::NAN]);
/// let mut moments = first.chunked().accumulate(Moments::<4>::skipnan)?;
/// moments.merge(second.chunked().accumulate(Moments::skipnan)?);
/// assert_eq!((moments.count(), moments.mean(), moments.var(0.0)), (4, 2.5, 1.25));
/// assert_eq!(moments.skewness(), 0.0);
/// assert!((moments.kurtosis() - 1.64).abs() < 1e-15);
/// # Ok::<(), ndarray_mmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "Parts", try_from = "Parts"))]
pub struct Moments<const ORDER: usize> {
    skip_nan: bool,
    count: u64,
    /// The mean, or a value near it.
    centre: f64,
    /// Of the powers of the deviations from the centre, from the first on.
    sums: [f64; ORDER],
}

impl<const ORDER: usize> Default for Moments<ORDER> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const ORDER: usize> Moments<ORDER> {
    /// Of nothing so far. NaNs propagate.
    pub fn new() -> Self {
        const { assert!(ORDER == 2 || ORDER == 4, "moments of order 2 or 4") };
        Self { skip_nan: false, count: 0, centre: 0.0, sums: [0.0; ORDER] }
    }

    /// The same, leaving NaNs out.
    pub fn skipnan() -> Self {
        Self { skip_nan: true, ..Self::new() }
    }

    pub(in crate::stats) fn maker(skip_nan: bool) -> impl Fn() -> Self + Sync {
        move || Self { skip_nan, ..Self::new() }
    }

    /// How many elements there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; NaN if there are none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.centred().centre }
    }

    /// `sum((x - mean)^2) / (count - ddof)`; NaN if `count - ddof` is not positive.
    pub fn var(&self, ddof: f64) -> f64 {
        let freedom = self.count as f64 - ddof;
        if freedom > 0.0 { self.centred().sums[1] / freedom } else { f64::NAN }
    }

    /// The square root of the [variance](Self::var).
    pub fn std(&self, ddof: f64) -> f64 {
        self.var(ddof).sqrt()
    }

    /// Takes what another one has taken. Whether NaNs are left out from now on does not change.
    pub fn merge(&mut self, later: Self) {
        self.add(&later);
    }

    fn of<A: Element, const SKIP: bool>(elements: &[A]) -> Self {
        let count = elements.len() as u64 - if SKIP { kernels::count_nan(elements) } else { 0 };
        if count == 0 {
            return Self { skip_nan: SKIP, ..Self::new() };
        }
        let mut rough = kernels::sum::<A, SKIP>(elements) / count as f64;
        if rough.is_infinite() {
            // Too large a sum, or an infinity, which is no place to take deviations from.
            rough = elements.iter().map(|element| element.to_f64()).find(|x| x.is_finite()).unwrap_or(0.0);
        }
        let sums = kernels::powers::<A, ORDER, SKIP>(elements, rough);
        Self { skip_nan: SKIP, count, centre: rough, sums }.centred()
    }

    fn add_rows<A: Element, const SKIP: bool>(lanes: &mut [&mut Self], rows: &[&[A]]) {
        let (mut from, mut sums, mut nans) = ([0.0; WIDTH], [[0.0; WIDTH]; ORDER], [0; WIDTH]);
        for (number, lane) in lanes.iter_mut().enumerate() {
            if lane.count == 0 {
                let finite = rows.iter().map(|row| row[number].to_f64()).find(|x| x.is_finite());
                lane.centre = finite.unwrap_or(0.0);
            }
            from[number] = lane.centre;
            sums.iter_mut().zip(lane.sums).for_each(|(sums, sum)| sums[number] = sum);
        }
        rows::powers::<A, ORDER, SKIP>(rows, &from, &mut sums);
        if SKIP {
            rows::count_nan(rows, &mut nans);
        }
        for (number, lane) in lanes.iter_mut().enumerate() {
            lane.count += rows.len() as u64 - nans[number];
            lane.sums = std::array::from_fn(|power| sums[power][number]);
        }
    }

    /// The same around the mean, where the first power vanishes.
    fn centred(mut self) -> Self {
        if self.count == 0 || self.sums[0] == 0.0 {
            return self;
        }
        let n = self.count as f64;
        let shift = self.sums[0] / n;
        let old = self.sums;
        self.centre += shift;
        self.sums[0] = 0.0;
        self.sums[1] = old[1] - n * shift * shift;
        if self.sums[1] < 0.0 {
            // By rounding; not NaN.
            self.sums[1] = 0.0;
        } else if old[1].is_infinite() && shift.is_finite() {
            // Too large a square.
            self.sums[1] = f64::INFINITY;
        }
        if ORDER == 4 {
            self.sums[2] = old[2] - 3.0 * shift * old[1] + 2.0 * n * shift.powi(3);
            self.sums[3] = old[3] - 4.0 * shift * old[2] + 6.0 * shift * shift * old[1] - 3.0 * n * shift.powi(4);
        }
        self
    }

    fn add(&mut self, later: &Self) {
        let later = later.centred();
        if later.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = Self { skip_nan: self.skip_nan, ..later };
            return;
        }
        *self = self.centred();
        let (a, b) = (self.count as f64, later.count as f64);
        let n = a + b;
        if !(self.centre.is_finite() && later.centre.is_finite()) {
            self.count += later.count;
            self.centre += later.centre;
            self.sums = [f64::NAN; ORDER];
            self.sums[0] = 0.0;
            return;
        }
        let delta = later.centre - self.centre;
        let (x, y) = (self.sums, later.sums);
        self.count += later.count;
        self.centre += delta * (b / n);
        self.sums[1] = x[1] + y[1] + delta * delta * (a * b / n);
        if ORDER == 4 {
            let step = delta / n;
            self.sums[2] =
                x[2] + y[2] + delta.powi(3) * (a * b * (a - b) / (n * n)) + 3.0 * step * (a * y[1] - b * x[1]);
            self.sums[3] = x[3]
                + y[3]
                + delta.powi(4) * (a * b * (a * a - a * b + b * b) / (n * n * n))
                + 6.0 * step * step * (a * a * y[1] + b * b * x[1])
                + 4.0 * step * (a * y[2] - b * x[2]);
        }
    }
}

impl Moments<4> {
    /// `m3 / m2^(3/2)`, where `mk` is the mean of the `k`th power of the deviations; NaN if all elements are the same.
    pub fn skewness(&self) -> f64 {
        let (n, sums) = (self.count as f64, self.centred().sums);
        (sums[2] / n) / (sums[1] / n).powf(1.5)
    }

    /// `m4 / m2^2`, which is 3 for a normal distribution; NaN if all elements are the same.
    pub fn kurtosis(&self) -> f64 {
        let (n, sums) = (self.count as f64, self.centred().sums);
        (sums[3] / n) / (sums[1] / n).powi(2)
    }
}

impl<A: Element, const ORDER: usize> Accumulator<A> for Moments<ORDER> {
    type Output = Self;

    fn push(&mut self, element: &A) {
        self.push_slice(std::slice::from_ref(element));
    }

    fn push_slice(&mut self, elements: &[A]) {
        self.add(&if self.skip_nan { Self::of::<A, true>(elements) } else { Self::of::<A, false>(elements) });
    }

    /// Rows are gone through once, so deviations are from the first element of a lane that is finite. As that is one of the
    /// data, it is not so far from the mean that digits would be lost: `n` elements have `(x - mean)^2 <= n * variance`.
    fn push_rows(lanes: &mut [&mut Self], rows: &[&[A]]) {
        for (lanes, rows) in rows::strips(lanes, rows) {
            match rows::uniform(lanes.iter().map(|lane| lane.skip_nan && A::HAS_NAN)) {
                Some(true) => Self::add_rows::<A, true>(lanes, &rows),
                Some(false) => Self::add_rows::<A, false>(lanes, &rows),
                None => {
                    for (number, lane) in lanes.iter_mut().enumerate() {
                        rows.iter().for_each(|row| lane.push(&row[number]));
                    }
                }
            }
        }
    }

    fn merge(&mut self, later: Self) {
        self.add(&later);
    }

    fn finish(self) -> Self {
        self.centred()
    }
}

/// What is saved: serde has no arrays of any length.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Parts {
    skip_nan: bool,
    #[serde(deserialize_with = "super::saved::count")]
    count: u64,
    centre: f64,
    sums: Vec<f64>,
}

#[cfg(feature = "serde")]
impl<const ORDER: usize> From<Moments<ORDER>> for Parts {
    fn from(moments: Moments<ORDER>) -> Self {
        let Moments { skip_nan, count, centre, sums } = moments;
        Self { skip_nan, count, centre, sums: sums.to_vec() }
    }
}

#[cfg(feature = "serde")]
impl<const ORDER: usize> TryFrom<Parts> for Moments<ORDER> {
    type Error = String;

    fn try_from(Parts { skip_nan, count, centre, sums }: Parts) -> std::result::Result<Self, String> {
        let mut moments = Self::new(); // which there must be of this `ORDER`
        let found = sums.len();
        moments.sums = sums.try_into().map_err(|_| format!("moments of order {found}, not {ORDER}"))?;
        if moments.sums[1] < 0.0 {
            return Err(format!("a sum of squares is not {}", moments.sums[1]));
        }
        if count == 0 && (centre != 0.0 || moments.sums != [0.0; ORDER]) {
            return Err("no elements have no moments".into());
        }
        Ok(Self { skip_nan, count, centre, ..moments })
    }
}
