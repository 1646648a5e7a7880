//! Where elements are: the smallest, the largest, and those that answer a question.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ndarray::{ArrayView, Dimension, IxDyn};

use super::element::Element;
use super::kernels;
use super::passes::Dynamic;
use crate::chunked::Chunked;
use crate::error::{ErrorKind, Result};

/// Where elements are, in one pass.
///
/// # Errors
///
/// Besides what each names, those of [all parallel methods](#errors-of-parallel-methods).
impl<A: Element, D: Dimension> Chunked<'_, ArrayView<'_, A, D>> {
    /// The index of the smallest element, as ndarray's patterns are (a number, a tuple, ...); of the first in logical (row-major)
    /// order if there are several.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let table = array![[3.0, 1.0], [f64::NAN, 1.0]];
    /// assert_eq!(table.chunked().skipnan().argmin()?, (0, 1));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyInput`] if there are no elements (but NaNs), [`ErrorKind::UndefinedOrder`] if one is NaN and NaNs
    /// are not [skipped](Self::skipnan).
    #[doc(alias = "nanargmin")]
    pub fn argmin(self) -> Result<D::Pattern> {
        Ok(pattern::<D>(&A::index_of_extreme(self.into_dyn(), false)?))
    }

    /// The index of the largest element; of the first in logical (row-major) order if there are several.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// assert_eq!(array![[3, 1], [4, 1]].chunked().argmax()?, (1, 0));
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`argmin`](Self::argmin).
    #[doc(alias = "nanargmax")]
    pub fn argmax(self) -> Result<D::Pattern> {
        Ok(pattern::<D>(&A::index_of_extreme(self.into_dyn(), true)?))
    }
}

/// Returns an index of a dynamic number of dimensions as that of an array.
fn pattern<D: Dimension>(index: &IxDyn) -> D::Pattern {
    let mut fixed = D::zeros(index.ndim());
    fixed.slice_mut().copy_from_slice(index.slice());
    fixed.into_pattern()
}

/// Returns the first index, in the order of indices, of the smallest or the largest element.
pub(super) fn index_of_extreme<A: Element>(
    chunked: Dynamic<'_, '_, A>,
    is_max: bool,
) -> Result<IxDyn> {
    chunked.with_path(find_extreme(&chunked, is_max))
}

fn find_extreme<A: Element>(chunked: &Dynamic<'_, '_, A>, is_max: bool) -> Result<IxDyn> {
    let better = |element: A, best: A| if is_max { element > best } else { element < best };
    let blocks = chunked.flexible_blocks()?;
    let logical: Vec<_> = (0..blocks.order().len()).collect();
    let best = Mutex::new(None::<(A, IxDyn)>);
    let nans = AtomicU64::new(0);
    blocks.for_each_batch(|group| {
        for number in group {
            let found = blocks.with_elements(number, |elements| {
                let found = kernels::extremes(elements);
                if !matches!(found, Some((_, _, false))) {
                    nans.fetch_add(kernels::count_nan(elements), Ordering::Relaxed);
                }
                found
            });
            let Some((low, high, _)) = found else { continue };
            let value = if is_max { high } else { low };
            // Blocks come in any order, so of equal ones each may have the first.
            let worth_a_look = {
                let best = best.lock().unwrap_or_else(PoisonError::into_inner);
                let start = blocks.block_origin(number);
                best.as_ref().is_none_or(|(limit, index)| {
                    better(value, *limit) || (value == *limit && start.slice() < index.slice())
                })
            };
            if !worth_a_look {
                continue;
            }
            let found = blocks.find(number, &logical, 1, |element| *element == value);
            let Some((index, _)) = found.into_iter().next() else { continue };
            let mut best = best.lock().unwrap_or_else(PoisonError::into_inner);
            let is_best = best.as_ref().is_none_or(|(limit, first)| {
                better(value, *limit) || (value == *limit && index.slice() < first.slice())
            });
            if is_best {
                *best = Some((value, index));
            }
        }
        Ok(())
    })?;
    if nans.into_inner() > 0 && !chunked.skips_nan() {
        return Err(ErrorKind::UndefinedOrder {}.at(None));
    }
    match best.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, index)) => Ok(index),
        None => Err(ErrorKind::EmptyInput {}.at(None)),
    }
}

/// Elements that answer a question.
impl<A: Copy + Sync, D: Dimension> Chunked<'_, ArrayView<'_, A, D>> {
    /// How many elements the closure says yes to. It sees NaNs too, [skipped](Self::skipnan) or not.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let readings = Array2::from_shape_fn((1_000, 1_000), |(i, j)| ((i * j) % 100) as f32);
    /// let (mean, std) = (readings.chunked().mean()?, readings.chunked().std(0.0)?);
    /// let anomalies = readings.chunked().count_where(|&x| (f64::from(x) - mean).abs() > 1.8 * std)?;
    /// assert_eq!(anomalies, readings.iter().filter(|&&x| (f64::from(x) - mean).abs() > 1.8 * std).count());
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [all parallel methods](#errors-of-parallel-methods).
    #[doc(alias = "count_nonzero")]
    pub fn count_where(self, wanted: impl Fn(&A) -> bool + Sync) -> Result<usize> {
        let count = AtomicU64::new(0);
        let blocks = self.flexible_blocks()?;
        blocks.for_each_batch(|group| {
            for number in group {
                let here = blocks.with_elements(number, |elements| {
                    elements.iter().filter(|element| wanted(element)).count()
                });
                count.fetch_add(here as u64, Ordering::Relaxed);
            }
            Ok(())
        })?;
        Ok(count.into_inner() as usize)
    }

    /// The indices and values of the elements that the closure says yes to, in the order of the walk: in logical order if
    /// the array is in C order, column by column if it is in Fortran order; of the first `limit` if there are more, so that a
    /// question that fits everything does not fill the memory. [`count_where`](Self::count_where) tells how many there are.
    /// The closure sees NaNs too, [skipped](Self::skipnan) or not.
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let readings = array![[20.1, 20.2, 99.0], [20.0, -5.0, 20.3]];
    /// let odd = readings.chunked().argwhere(100, |&x| !(0.0..50.0).contains(&x))?;
    /// assert_eq!(odd, [((0, 2), 99.0), ((1, 1), -5.0)]);
    /// assert_eq!(readings.chunked().argwhere(1, |&x| x < 99.0)?, [((0, 0), 20.1)]);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [all parallel methods](#errors-of-parallel-methods).
    #[doc(alias("where", "nonzero", "flatnonzero"))]
    pub fn argwhere(
        self,
        limit: usize,
        wanted: impl Fn(&A) -> bool + Sync,
    ) -> Result<Vec<(D::Pattern, A)>>
    where
        A: Send,
    {
        let blocks = self.flexible_blocks()?;
        // By the number of the group, so that they come in order; of blocks beyond the `limit`th none is needed.
        let found = Mutex::new(std::collections::BTreeMap::<usize, Vec<(D, A)>>::new());
        blocks.for_each_batch(|group| {
            let first = group.start;
            let before = {
                let found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.range(..first).map(|(_, some)| some.len()).sum::<usize>()
            };
            if before >= limit {
                return Ok(());
            }
            let mut some = Vec::new();
            for number in group {
                some.extend(blocks.find(
                    number,
                    blocks.order(),
                    limit - before - some.len(),
                    &wanted,
                ));
                if some.len() == limit - before {
                    break;
                }
            }
            if !some.is_empty() {
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.insert(first, some);
                // Of what lies behind enough nothing is needed.
                let mut count = 0;
                found.retain(|_, some| {
                    let is_needed = count < limit;
                    count += some.len();
                    is_needed
                });
            }
            Ok(())
        })?;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(found
            .into_values()
            .flatten()
            .take(limit)
            .map(|(index, element)| (index.into_pattern(), element))
            .collect())
    }
}
