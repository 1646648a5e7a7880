//! Covariance and correlation of many variables, streamed over the observations.
//!
//! Observations are taken in stretches of a fixed number. In each, deviations from the stretch's own means are put side by
//! side and multiplied in pairs of variables; stretches are merged by Chan's formula, in the fixed tree. Where the matrix
//! does not fit the memory several times, it is computed in tiles, with a pass over the observations for each.
#![forbid(unsafe_code)]

use std::ops::Range;

use multiversion::multiversion;
use ndarray::{Array2, ArrayView2, Axis, Slice};

use super::accumulators::common_unit;
use super::double::{Double, scaled};
use super::element::Element;
use super::kernels;
use super::summary::not_empty;
use crate::chunked::{Chunked, ColumnSegments};
use crate::error::{ErrorKind, Result};
use crate::parallel::threads;
use crate::system;

/// The bytes of matrices if nothing else is said.
const DEFAULT_BYTES: usize = 256 << 20;

/// The deviations of a stretch, all variables together. Changing these changes bits.
const STRETCH_ELEMENTS: usize = 64 << 10;
const STRETCH_LENS: Range<usize> = 64..4096;

/// Covariances between the rows of a table: a row is a variable, a column an observation, as in ndarray-stats and NumPy. For a
/// table with a variable in each column, walk over its transpose: `table.t().chunked()`.
///
/// In one pass where some matrices (one for each thread and level of the tree of merges) fit 256 MiB, or a quarter of the
/// [memory](Self::memory_limit); else the matrix is made in tiles, with a pass for each pair of them.
///
/// # Errors
///
/// [`ErrorKind::EmptyInput`] if there are no variables or no observations (but those left out); and those of
/// [all parallel methods](#errors-of-parallel-methods).
impl<A: Element> Chunked<'_, ArrayView2<'_, A>> {
    /// The covariance matrix: `sum((x - mean(x)) * (y - mean(y))) / (n - ddof)` for each pair of rows, where `n` is the
    /// number of observations; NaN if `n - ddof` is not positive. It is symmetric, with a row and a column for each variable.
    ///
    /// NaNs propagate to the row and the column of their variable. After [`skipnan`](Self::skipnan) an observation with a NaN
    /// in any of the variables is left out of all.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]];
    /// assert_eq!(table.chunked().cov(1.0)?, array![[4.0, 4.0], [4.0, 4.0]]);
    /// // A variable in each column:
    /// assert_eq!(table.t().chunked().cov(0.0)?.shape(), [3, 3]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if there are no variables or no observations (but those left out); and those of
    /// [all parallel methods](#errors-of-parallel-methods).
    pub fn cov(self, ddof: f64) -> Result<Array2<f64>> {
        let (count, mut products, units) = A::products(self)?;
        let freedom = count as f64 - ddof;
        products.indexed_iter_mut().for_each(|((i, j), sum)| {
            *sum =
                if freedom > 0.0 { scaled(*sum / freedom, units[i] + units[j]) } else { f64::NAN };
        });
        Ok(products)
    }

    /// The matrix of Pearson's correlation coefficients: `cov(x, y) / (std(x) * std(y))`, which does not depend on a `ddof`.
    /// NaN for a variable that is always the same. NaNs are treated as by [`cov`](Self::cov).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[1.0, 1.0, 3.0, 3.0], [6.0, 6.0, 2.0, 2.0]];
    /// assert_eq!(table.chunked().pearson_correlation()?, array![[1.0, -1.0], [-1.0, 1.0]]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if there are no variables or no observations (but those left out); and those of
    /// [all parallel methods](#errors-of-parallel-methods).
    #[doc(alias = "corrcoef")]
    pub fn pearson_correlation(self) -> Result<Array2<f64>> {
        let (_, mut products, _) = A::products(self)?;
        let scales = products.diag().mapv(f64::sqrt);
        products.indexed_iter_mut().for_each(|((i, j), sum)| {
            let has_scale = |scale: f64| scale > 0.0 && scale.is_finite();
            *sum = match has_scale(scales[i]) && has_scale(scales[j]) {
                true if i == j => 1.0,
                // Rounding must not lead beyond 1.
                true => (*sum / scales[i.min(j)] / scales[i.max(j)]).clamp(-1.0, 1.0),
                false => f64::NAN,
            };
        });
        Ok(products)
    }
}

/// The count of observations, the sums of products of deviations, and for each variable the unit of its deviations, a power of two.
pub(super) type Products = (u64, Array2<f64>, Vec<i32>);

/// The number of observations, the sums of the products of deviations, and the exponents of the powers of two that are
/// the units of the variables.
pub(super) fn products<A: Element>(chunked: Chunked<'_, ArrayView2<'_, A>>) -> Result<Products> {
    let variables = chunked.len_of(Axis(0));
    if variables == 0 || chunked.len_of(Axis(1)) == 0 {
        return chunked.with_path(Err(ErrorKind::EmptyInput {}.at(None)));
    }
    // The result is the caller's, but it must exist; who forgets to transpose has as many variables as observations.
    let matrix = variables.saturating_mul(variables).saturating_mul(size_of::<f64>());
    let available = system::ram_bytes_or_max() / 2;
    if matrix > available {
        return chunked
            .with_path(Err(ErrorKind::InsufficientMemory { needed: matrix, available }.at(None)));
    }
    let len =
        1 << (STRETCH_ELEMENTS / variables).clamp(STRETCH_LENS.start, STRETCH_LENS.end).ilog2();
    let skip_nan = chunked.skips_nan();
    let observations = ColumnSegments::new(chunked.clone(), len, DEFAULT_BYTES)?;
    // A matrix for each thread's stretch, its result, and each level of the tree.
    let alive = 2 * threads() + 2 + observations.segments().max(1).ilog2() as usize;
    // A quarter of what there is, and one for deviations, of two tiles.
    let fitting = observations.state_bytes() / 4 / size_of::<f64>();
    let tile = (fitting / alive).isqrt().min(fitting / (2 * len)).clamp(1, variables);
    let deviations = 2 * tile * len * size_of::<f64>();
    let mut count = 0;
    let mut products = Array2::zeros((variables, variables));
    let mut units = vec![0; variables];
    for rows in tiles(variables, tile) {
        for columns in tiles(variables, tile).filter(|columns| columns.start >= rows.start) {
            let merged = observations.fold(
                deviations,
                |block| Comoments::of(block, rows.clone(), columns.clone(), skip_nan),
                |first, later| first.merged(later),
            )?;
            count = merged.count;
            for (unit, mean) in units[rows.clone()].iter_mut().zip(&merged.means[0]) {
                *unit = mean.unit.unwrap_or(0);
            }
            let mut both =
                |matrix: ArrayView2<'_, f64>, rows: &Range<usize>, columns: &Range<usize>| {
                    let tile = [rows, columns].map(|range| Slice::from(range.clone()));
                    products.slice_each_axis_mut(|axis| tile[axis.axis.index()]).assign(&matrix);
                };
            both(merged.products.view(), &rows, &columns);
            both(merged.products.t(), &columns, &rows);
        }
    }
    chunked.with_path(not_empty(count))?;
    Ok((count, products, units))
}

fn tiles(len: usize, tile: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(tile).map(move |begin| begin..len.min(begin + tile))
}

/// Means of some variables and of some others, and the sums of the products of the deviations from them.
struct Comoments {
    count: u64,
    means: [Vec<Mean>; 2],
    products: Array2<f64>,
}

/// The mean of a variable, to more digits than an `f64` has.
#[derive(Clone, Copy)]
struct Mean {
    mean: Double,
    /// The exponent of the power of two that is the unit of the mean, and of deviations from it; any, if all is 0.
    unit: Option<i32>,
}

impl Mean {
    /// Replaces the elements of a variable by their deviations from their mean.
    fn take<A: Element>(elements: &[A], deviations: &mut [f64]) -> Self {
        let first = elements.first().map_or(Double::default(), |first| first.to_double());
        let unit = match kernels::extremes(elements) {
            Some((low, high, false)) if A::HAS_WIDE_RANGE => {
                common_unit([low, high].map(|x| x.to_f64()).into_iter())
            }
            _ => Some(0),
        };
        // From the first one, so that nothing is left of what is always the same; then from the mean, and from what
        // rounding has left of that.
        match unit.unwrap_or(0) {
            0 => deviations
                .iter_mut()
                .zip(elements)
                .for_each(|(to, element)| *to = element.deviation(first)),
            unit => {
                let first = scaled(first.hi, -unit);
                deviations
                    .iter_mut()
                    .zip(elements)
                    .for_each(|(to, x)| *to = scaled(x.to_f64(), -unit) - first);
            }
        }
        let mut mean = first.scaled(-unit.unwrap_or(0));
        for _ in 0..2 {
            let shift = kernels::sum::<f64, false>(deviations) / elements.len().max(1) as f64;
            deviations.iter_mut().for_each(|x| *x -= shift);
            mean = mean.plus(shift);
        }
        Self { mean, unit }
    }
}

impl Comoments {
    fn of<A: Element>(
        block: ArrayView2<'_, A>,
        rows: Range<usize>,
        columns: Range<usize>,
        skip_nan: bool,
    ) -> Self {
        let is_kept: Vec<_> = match skip_nan && A::HAS_NAN {
            true => block
                .columns()
                .into_iter()
                .map(|column| !column.iter().any(|x| x.is_nan()))
                .collect(),
            false => vec![true; block.ncols()],
        };
        let count = is_kept.iter().filter(|kept| **kept).count();
        let side = |variables: Range<usize>| {
            let (mut means, mut deviations) = (Vec::new(), vec![0.0; variables.len() * count]);
            let mut kept = Vec::with_capacity(count);
            for (number, variable) in
                block.slice_axis(Axis(0), Slice::from(variables)).rows().into_iter().enumerate()
            {
                kept.clear();
                match count == is_kept.len() {
                    true => kept.extend(variable),
                    false => kept.extend(
                        variable.iter().zip(&is_kept).filter(|(_, kept)| **kept).map(|(x, _)| *x),
                    ),
                }
                means
                    .push(Mean::take(&kept, &mut deviations[number * count..(number + 1) * count]));
            }
            (means, deviations)
        };
        let (row_means, row_deviations) = side(rows.clone());
        let mut products = Array2::zeros((rows.len(), columns.len()));
        let out = products.as_slice_mut().expect("a new array is one slice");
        let column_means = match rows == columns {
            true => {
                multiply(&row_deviations, &row_deviations, count, out, true);
                row_means.clone()
            }
            false => {
                let (means, deviations) = side(columns);
                multiply(&row_deviations, &deviations, count, out, false);
                means
            }
        };
        Self { count: count as u64, means: [row_means, column_means], products }
    }

    fn merged(mut self, mut later: Self) -> Self {
        if later.count == 0 {
            return self;
        }
        if self.count == 0 {
            return later;
        }
        for side in 0..2 {
            for variable in 0..self.means[side].len() {
                let unit = self.means[side][variable].unit.max(later.means[side][variable].unit);
                self.set_unit(side, variable, unit);
                later.set_unit(side, variable, unit);
            }
        }
        let (a, b) = (self.count as f64, later.count as f64);
        let delta = |side: usize| {
            let pairs = later.means[side].iter().zip(&self.means[side]);
            let delta = |later: Double, own: Double| (later.hi - own.hi) + (later.lo - own.lo);
            pairs.map(|(later, own)| delta(later.mean, own.mean)).collect::<Vec<_>>()
        };
        let (down, across) = (delta(0), delta(1));
        let weight = a * b / (a + b);
        for ((mut own, later), &down) in
            self.products.rows_mut().into_iter().zip(later.products.rows()).zip(&down)
        {
            for ((own, &later), &across) in own.iter_mut().zip(later).zip(&across) {
                // The same whichever of the two comes first.
                *own += later + weight * (down * across);
            }
        }
        for (means, delta) in self.means.iter_mut().zip([&down, &across]) {
            means
                .iter_mut()
                .zip(delta)
                .for_each(|(mean, delta)| mean.mean = mean.mean.plus(delta * (b / (a + b))));
        }
        self.count += later.count;
        self
    }

    /// Expresses a variable in another unit.
    fn set_unit(&mut self, side: usize, variable: usize, unit: Option<i32>) {
        let mean = &mut self.means[side][variable];
        // What is 0 is so in any unit.
        let exponent = match (mean.unit, unit) {
            (Some(old), Some(new)) => old - new,
            _ => 0,
        };
        mean.unit = unit;
        if exponent != 0 {
            mean.mean = mean.mean.scaled(exponent);
            let mut products = self.products.index_axis_mut(Axis(side), variable);
            products.mapv_inplace(|product| scaled(product, exponent));
        }
    }
}

/// `out[i, j] = sum(a[i, k] * b[j, k])`, where `a` and `b` have rows of `len`. In the order of `k` for each, in eight sums
/// side by side. If it is symmetric, the lower half is copied from the upper one.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn multiply(a: &[f64], b: &[f64], len: usize, out: &mut [f64], is_symmetric: bool) {
    const LANES: usize = 8;
    /// Rows of `b` that share what is loaded of `a`.
    const SHARED: usize = 4;
    /// Elements whose products are added up before they are added to those before, so that rounding errors grow less.
    const STRETCH: usize = 256;
    if len == 0 {
        return;
    }
    let width = b.len() / len;
    for (i, x) in a.chunks_exact(len).enumerate() {
        let first = if is_symmetric { i / SHARED * SHARED } else { 0 };
        let mut j = first;
        while j < width {
            let shared = SHARED.min(width - j);
            let mut sums = [[0.0; LANES]; SHARED];
            // Rows beyond the last are the last one again.
            let ys: [&[f64]; SHARED] = std::array::from_fn(|number| {
                let row = j + number.min(shared - 1);
                &b[row * len..(row + 1) * len]
            });
            let whole = len / LANES * LANES;
            for stretch in (0..whole).step_by(STRETCH) {
                let mut partial = [[0.0; LANES]; SHARED];
                for begin in (stretch..whole.min(stretch + STRETCH)).step_by(LANES) {
                    let x = &x[begin..begin + LANES];
                    for (sums, y) in partial.iter_mut().zip(ys) {
                        let y = &y[begin..begin + LANES];
                        for lane in 0..LANES {
                            sums[lane] += x[lane] * y[lane];
                        }
                    }
                }
                for (sums, partial) in sums.iter_mut().zip(&partial) {
                    (0..LANES).for_each(|lane| sums[lane] += partial[lane]);
                }
            }
            for (number, (mut sums, y)) in sums.into_iter().zip(ys).enumerate().take(shared) {
                for (lane, (x, y)) in x[whole..].iter().zip(&y[whole..]).enumerate() {
                    sums[lane] += x * y;
                }
                let [a, b, c, d, e, f, g, h] = sums;
                out[i * width + j + number] = ((a + e) + (b + f)) + ((c + g) + (d + h));
            }
            j += SHARED;
        }
    }
    if is_symmetric {
        for i in 0..width {
            for j in 0..i {
                out[i * width + j] = out[j * width + i];
            }
        }
    }
}
