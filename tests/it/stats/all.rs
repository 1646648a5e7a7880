//! All statistics of a table.

use ndarray::prelude::*;
use ndarray_mmap::chunked::ArraySource;
use ndarray_mmap::stats::{Interpolation::Linear, Moments, Sum};
use ndarray_mmap::{Chunked, Result};

/// Returns the results of all statistics.
pub(crate) fn all<'a, P>(
    chunked: impl Fn() -> Chunked<'a, P>,
    weights: &'a Array2<f64>,
) -> Result<Vec<f64>>
where
    P: ArraySource<Elem = f64, Dim = Ix2, With<ArrayView2<'a, f64>> = (P, ArrayView2<'a, f64>)>,
{
    let summary = chunked().summary()?;
    let mut found = vec![
        summary.mean,
        summary.var,
        summary.skewness,
        summary.kurtosis,
        summary.min,
        summary.max,
    ];
    found.extend([
        chunked().sum()?,
        chunked().mean()?,
        chunked().var(1.0)?,
        chunked().std(0.0)?,
        chunked().min()?,
        chunked().max()?,
    ]);
    found.extend([chunked().skewness()?, chunked().kurtosis()?, chunked().quantile(0.3, Linear)?]);
    found.extend(chunked().central_moments(6)?);
    found.extend(chunked().quantiles(&[0.0, 0.1, 0.5, 0.999], Linear)?);
    found.extend([
        chunked().weighted_sum(weights)?,
        chunked().weighted_mean(weights)?,
        chunked().weighted_std(weights, 1.0)?,
    ]);
    let histogram = chunked().histogram(50)?;
    found.extend(histogram.edges());
    found.extend(histogram.counts().iter().map(|&count| count as f64));
    let fields = chunked().and(weights)?.histogram2d(7, 5)?;
    found.extend(fields.counts().iter().map(|&count| count as f64));
    for (i, j) in [chunked().argmin()?, chunked().argmax()?] {
        found.extend([i as f64, j as f64]);
    }
    found.push(chunked().count_where(|&x| x > 9.0)? as f64);
    for ((i, j), x) in chunked().argwhere(20, |&x| x > 9.0)? {
        found.extend([i as f64, j as f64, x]);
    }
    for axis in [Axis(0), Axis(1)] {
        let along = weights.index_axis(Axis(1 - axis.index()), 0);
        for array in [
            chunked().sum_axis(axis)?,
            chunked().mean_axis(axis)?,
            chunked().var_axis(axis, 1.0)?,
            chunked().std_axis(axis, 0.0)?,
            chunked().min_axis(axis)?,
            chunked().max_axis(axis)?,
            chunked().argmin_axis(axis)?.mapv(|place| place as f64),
            chunked().argmax_axis(axis)?.mapv(|place| place as f64),
            chunked().weighted_sum_axis(axis, &along)?,
            chunked().weighted_std_axis(axis, &along, 1.0)?,
            chunked().quantile_axis(axis, 0.3, Linear)?,
            chunked().weighted_mean_axis(axis, &along)?,
            chunked().weighted_var_axis(axis, &along, 0.0)?,
        ] {
            found.extend(array);
        }
        found.extend(chunked().quantiles_axis(axis, &[0.0, 0.9], Linear)?);
        let lanes = chunked().accumulate_axis(axis, || (Sum::new(), Moments::<4>::new()))?;
        lanes.iter().for_each(|(sum, moments)| {
            found.extend([sum.sum(), moments.var(0.0), moments.skewness()])
        });
        for summary in chunked().summary_axis(axis)? {
            found.extend([summary.mean, summary.var, summary.skewness, summary.kurtosis]);
        }
    }
    found.extend(chunked().cov(1.0)?);
    found.extend(chunked().pearson_correlation()?);
    Ok(found)
}
