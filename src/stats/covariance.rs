//! Covariance and correlation matrices of many variables, in one pass over the observations.
//!
//! Observations are processed in segments of a fixed length. In each segment, the deviations from
//! the segment's means are copied to contiguous rows and multiplied for each pair of variables.
//! Segments are merged by the formula of Chan, Golub and LeVeque, in a fixed binary tree. If the
//! matrices do not fit in memory, the result is computed in tiles, with a pass over the
//! observations for each.
#![forbid(unsafe_code)]

use std::ops::Range;

use multiversion::multiversion;
use ndarray::{Array2, ArrayView2, Axis, Ix2, Slice};

use super::accumulators::common_unit;
use super::double::{Double, scaled};
use super::element::Element;
use super::kernels;
use super::passes::Dynamic;
use super::summary::not_empty;
use crate::chunked::{ArraySource, Chunked, ColumnSegments, merge_across};
use crate::distributed::{Ranks, for_each_pass, impl_message, pass_key};
use crate::error::{ErrorKind, Result};
use crate::system;

/// The bytes of matrices without a memory limit.
const DEFAULT_BYTES: usize = 256 << 20;

/// The number of deviations of a segment, for all variables together. Changing these constants
/// changes results by rounding errors.
const STRETCH_ELEMENTS: usize = 64 << 10;
const STRETCH_LENS: Range<usize> = 64..4096;

/// Covariances between the rows of a table: each row is a variable and each column an observation,
/// as in ndarray-stats and NumPy. If each column is a variable, use the transpose:
/// `table.t().chunked()`.
///
/// The matrix is computed in one pass if several copies of it (one for each thread and each level
/// of the tree of merges) fit in 256 MiB, or in a quarter of the [memory
/// limit](Self::memory_limit). Otherwise it is computed in tiles, with a pass for each pair of
/// tiles.
///
/// # Errors
///
/// [`ErrorKind::EmptyInput`] if there are no variables, or no observations after skipping NaNs, and
/// the errors of [all parallel methods](#errors-of-parallel-methods).
impl<A: Element, P: ArraySource<Elem = A, Dim = Ix2>> Chunked<'_, P> {
    /// Computes the covariance matrix, `sum((x - mean(x)) * (y - mean(y))) / (n - ddof)` for each
    /// pair of rows, where `n` is the number of observations.
    ///
    /// The matrix is symmetric, with a row and a column for each variable. Its elements are NaN if
    /// `n - ddof` is not positive.
    ///
    /// NaNs propagate to the row and the column of their variable. After
    /// [`skipnan`](Self::skipnan), an observation with a NaN in any variable is skipped for all
    /// variables.
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
    /// [`ErrorKind::EmptyInput`] if there are no variables, or no observations after skipping NaNs,
    /// and the errors of [all parallel methods](#errors-of-parallel-methods).
    pub fn cov(self, ddof: f64) -> Result<Array2<f64>> {
        let (count, mut products, units) = A::pass_products(self.into_dyn())?;
        let freedom = count as f64 - ddof;
        products.indexed_iter_mut().for_each(|((i, j), sum)| {
            *sum =
                if freedom > 0.0 { scaled(*sum / freedom, units[i] + units[j]) } else { f64::NAN };
        });
        Ok(products)
    }

    /// Computes the matrix of Pearson correlation coefficients, `cov(x, y) / (std(x) * std(y))`,
    /// which does not depend on a `ddof`.
    ///
    /// A coefficient is NaN if one of its variables is constant. NaNs are treated as in
    /// [`cov`](Self::cov).
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
    /// [`ErrorKind::EmptyInput`] if there are no variables, or no observations after skipping NaNs,
    /// and the errors of [all parallel methods](#errors-of-parallel-methods).
    #[doc(alias = "corrcoef")]
    pub fn pearson_correlation(self) -> Result<Array2<f64>> {
        let (_, mut products, _) = A::pass_products(self.into_dyn())?;
        let scales = products.diag().mapv(f64::sqrt);
        products.indexed_iter_mut().for_each(|((i, j), sum)| {
            let has_scale = |scale: f64| scale > 0.0 && scale.is_finite();
            *sum = if !(has_scale(scales[i]) && has_scale(scales[j])) {
                f64::NAN
            } else if i == j {
                1.0
            } else {
                // Rounding errors must not lead to coefficients beyond 1.
                (*sum / scales[i.min(j)] / scales[i.max(j)]).clamp(-1.0, 1.0)
            };
        });
        Ok(products)
    }
}

/// The number of observations, the sums of products of deviations, and for each variable the
/// exponent of the power of two that is the unit of its deviations.
pub(super) type Products = (u64, Array2<f64>, Vec<i32>);

/// Computes the sums of the products of deviations for all pairs of variables.
pub(super) fn products<A: Element>(chunked: Dynamic<'_, '_, A>) -> Result<Products> {
    let variables = chunked.len_of(Axis(0));
    if chunked.ranks().and_then(Ranks::concatenated) == Some(0) {
        let reason = "ranks with different variables cannot compute covariances; concatenate their \
                      arrays along the axis of the observations";
        return chunked.with_path(Err(ErrorKind::Unsupported { reason: reason.into() }.at(None)));
    }
    if variables == 0 || chunked.whole_shape()[1] == 0 {
        return chunked.with_path(Err(ErrorKind::EmptyInput {}.at(None)));
    }
    // The result must fit in memory. A table that should have been transposed has as many variables
    // as observations.
    let matrix = variables.saturating_mul(variables).saturating_mul(size_of::<f64>());
    let available = system::ram_bytes_or_max() / 2;
    if matrix > available {
        let remedy = "use fewer variables; if they are the columns, transpose with `.t()`";
        let kind = ErrorKind::InsufficientMemory { needed: matrix, available, remedy };
        return chunked.with_path(Err(kind.at(None)));
    }
    let len =
        1 << (STRETCH_ELEMENTS / variables).clamp(STRETCH_LENS.start, STRETCH_LENS.end).ilog2();
    let skip_nan = chunked.skips_nan();
    let observations = ColumnSegments::new(chunked.clone(), len, DEFAULT_BYTES)?;
    // One matrix for the segment of each thread and one for its result, and one for each level of
    // the tree.
    let segments = merge_across(chunked.ranks(), observations.segments(), usize::max)?;
    let alive = 2 * chunked.threads() + 2 + segments.max(1).ilog2() as usize;
    // A quarter of the memory for matrices, and a quarter for the deviations of two tiles.
    let fitting = observations.state_bytes() / 4 / size_of::<f64>();
    let tile = (fitting / alive).isqrt().min(fitting / (2 * len)).clamp(1, variables);
    let deviations = 2 * tile * len * size_of::<f64>();
    let mut count = 0;
    let mut products = Array2::zeros((variables, variables));
    let mut units = vec![0; variables];
    let pairs = tiles(variables, tile).flat_map(|rows| {
        let columns = tiles(variables, tile).filter(move |columns| columns.start >= rows.start);
        columns.map(move |columns| (rows.clone(), columns))
    });
    for_each_pass(pairs, |(rows, columns)| {
        let tile = [rows.start, rows.end, columns.start, columns.end];
        let merged = observations.fold(
            pass_key("products", &(tile, (variables, len))),
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
        Ok(())
    })?;
    chunked.with_path(not_empty(count))?;
    Ok((count, products, units))
}

fn tiles(len: usize, tile: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(tile).map(move |start| start..len.min(start + tile))
}

/// The means of the variables of a tile's rows and columns, and the sums of the products of the
/// deviations from them.
struct Comoments {
    count: u64,
    means: [Vec<Mean>; 2],
    products: Array2<f64>,
}

impl_message! { Comoments { count, means, products } }

/// The mean of a variable, in double-double precision.
#[derive(Clone, Copy)]
struct Mean {
    mean: Double,
    /// The exponent of the power of two that is the unit of the mean and of deviations from it;
    /// `None` if all are 0.
    unit: Option<i32>,
}

impl_message! { Mean { mean, unit } }

impl Mean {
    /// Replaces the elements of a variable by their deviations from their mean.
    fn center<A: Element>(elements: &[A], deviations: &mut [f64]) -> Self {
        let first = elements.first().map_or(Double::default(), |first| first.to_double());
        let unit = match kernels::min_max(elements) {
            Some((low, high, false)) if A::HAS_WIDE_RANGE => {
                common_unit([low, high].map(|x| x.to_f64()).into_iter())
            }
            _ => Some(0),
        };
        // Subtracting the first element makes the deviations of a constant exactly 0. The mean of
        // the deviations is then subtracted twice, which removes the rounding error of the first
        // subtraction.
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
        let is_kept: Vec<_> = if skip_nan && A::HAS_NAN {
            block.columns().into_iter().map(|column| !column.iter().any(|x| x.is_nan())).collect()
        } else {
            vec![true; block.ncols()]
        };
        let count = is_kept.iter().filter(|kept| **kept).count();
        let side = |variables: Range<usize>| {
            let mut means = Vec::new();
            let mut deviations = vec![0.0; variables.len() * count];
            let mut kept = Vec::with_capacity(count);
            for (index, variable) in
                block.slice_axis(Axis(0), Slice::from(variables)).rows().into_iter().enumerate()
            {
                kept.clear();
                if count == is_kept.len() {
                    kept.extend(variable)
                } else {
                    kept.extend(
                        variable.iter().zip(&is_kept).filter(|(_, kept)| **kept).map(|(x, _)| *x),
                    )
                }
                means
                    .push(Mean::center(&kept, &mut deviations[index * count..(index + 1) * count]));
            }
            (means, deviations)
        };
        let (row_means, row_deviations) = side(rows.clone());
        let mut products = Array2::zeros((rows.len(), columns.len()));
        let out = products.as_slice_mut().expect("a new array is one slice");
        let column_means = if rows == columns {
            multiply(&row_deviations, &row_deviations, count, out, true);
            row_means.clone()
        } else {
            let (means, deviations) = side(columns);
            multiply(&row_deviations, &deviations, count, out, false);
            means
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
        let a = self.count as f64;
        let b = later.count as f64;
        let delta = |side: usize| {
            let pairs = later.means[side].iter().zip(&self.means[side]);
            let delta =
                |later: Double, first: Double| (later.hi - first.hi) + (later.lo - first.lo);
            pairs.map(|(later, first)| delta(later.mean, first.mean)).collect::<Vec<_>>()
        };
        let down = delta(0);
        let across = delta(1);
        let weight = a * b / (a + b);
        for ((mut row, later), &down) in
            self.products.rows_mut().into_iter().zip(later.products.rows()).zip(&down)
        {
            for ((product, &later), &across) in row.iter_mut().zip(later).zip(&across) {
                // The parentheses make the result symmetric in the two variables.
                *product += later + weight * (down * across);
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
        // Zeros need no scaling.
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

/// Computes `out[i, j] = sum(a[i, k] * b[j, k])`, where `a` and `b` have rows of `len` elements.
///
/// Products are added in the order of `k`, in eight interleaved sums. If the result is symmetric,
/// the lower triangle is copied from the upper one.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512dq+avx512bw",
    "x86_64+avx2",
    "aarch64+neon"
))]
fn multiply(a: &[f64], b: &[f64], len: usize, out: &mut [f64], is_symmetric: bool) {
    const LANES: usize = 8;
    /// The number of rows of `b` that share each load from `a`.
    const SHARED: usize = 4;
    /// The number of products that are added before the partial sum is added to the total, which
    /// limits the growth of rounding errors.
    const SEGMENT_LEN: usize = 256;
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
            // Missing rows repeat the last one.
            let ys: [&[f64]; SHARED] = std::array::from_fn(|index| {
                let row = j + index.min(shared - 1);
                &b[row * len..(row + 1) * len]
            });
            let whole = len / LANES * LANES;
            for segment in (0..whole).step_by(SEGMENT_LEN) {
                let mut partial = [[0.0; LANES]; SHARED];
                for start in (segment..whole.min(segment + SEGMENT_LEN)).step_by(LANES) {
                    let x = &x[start..start + LANES];
                    for (sums, y) in partial.iter_mut().zip(ys) {
                        let y = &y[start..start + LANES];
                        for lane in 0..LANES {
                            sums[lane] += x[lane] * y[lane];
                        }
                    }
                }
                for (sums, partial) in sums.iter_mut().zip(&partial) {
                    (0..LANES).for_each(|lane| sums[lane] += partial[lane]);
                }
            }
            for (index, (mut sums, y)) in sums.into_iter().zip(ys).enumerate().take(shared) {
                for (lane, (x, y)) in x[whole..].iter().zip(&y[whole..]).enumerate() {
                    sums[lane] += x * y;
                }
                let [a, b, c, d, e, f, g, h] = sums;
                out[i * width + j + index] = ((a + e) + (b + f)) + ((c + g) + (d + h));
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
