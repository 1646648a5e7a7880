//! Positions of extrema, and elements that satisfy a predicate.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ndarray::{Dimension, IxDyn};

use super::element::Element;
use super::kernels;
use super::passes::Dynamic;
use crate::chunked::{ArraySource, Blocks, Chunked, run_across};
use crate::distributed::pass_key;
use crate::error::{ErrorKind, Result};

/// Indices of the extrema of all elements, in one pass.
///
/// # Errors
///
/// The methods return the errors listed for each of them, in addition to those of [all parallel
/// methods](#errors-of-parallel-methods).
impl<A: Element, D: Dimension, P: ArraySource<Elem = A, Dim = D>> Chunked<'_, P> {
    /// Returns the index of the smallest element; the first one in logical (row-major) order if
    /// there are ties.
    ///
    /// The index is an ndarray [pattern](Dimension::Pattern): an integer, a tuple, or a dynamic
    /// index.
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
    /// - [`ErrorKind::EmptyInput`] if the input is empty or contains only NaNs.
    /// - [`ErrorKind::UndefinedOrder`] if an element is NaN and NaNs are not
    ///   [skipped](Self::skipnan).
    #[doc(alias = "nanargmin")]
    pub fn argmin(self) -> Result<D::Pattern> {
        Ok(pattern::<D>(&A::pass_index_of_extremum(self.into_dyn(), false)?))
    }

    /// Returns the index of the largest element; the first one in logical (row-major) order if
    /// there are ties.
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
    /// Returns the same errors as [`argmin`](Self::argmin).
    #[doc(alias = "nanargmax")]
    pub fn argmax(self) -> Result<D::Pattern> {
        Ok(pattern::<D>(&A::pass_index_of_extremum(self.into_dyn(), true)?))
    }
}

/// Converts a dynamic index to the pattern of a dimension.
fn pattern<D: Dimension>(index: &IxDyn) -> D::Pattern {
    let mut fixed = D::zeros(index.ndim());
    fixed.slice_mut().copy_from_slice(index.slice());
    fixed.into_pattern()
}

/// Returns the first index, in logical order, of the smallest or the largest element.
pub(super) fn index_of_extremum<A: Element>(
    chunked: Dynamic<'_, '_, A>,
    is_max: bool,
) -> Result<IxDyn> {
    chunked.with_path(find_extremum(&chunked, is_max))
}

fn find_extremum<A: Element>(chunked: &Dynamic<'_, '_, A>, is_max: bool) -> Result<IxDyn> {
    let better = |element: A, best: A| if is_max { element > best } else { element < best };
    let blocks = chunked.flexible_blocks()?;
    let logical: Vec<_> = (0..blocks.order().len()).collect();
    let find = |part| {
        let best = Mutex::new(None::<(A, IxDyn)>);
        let nans = AtomicU64::new(0);
        blocks.for_each_batch(part, &|batch| {
            for block in batch {
                let mut found = None;
                blocks.with_elements(block, &mut |elements| {
                    found = kernels::min_max(elements);
                    if !matches!(found, Some((_, _, false))) {
                        nans.fetch_add(kernels::count_nan(elements), Ordering::Relaxed);
                    }
                })?;
                let Some((low, high, _)) = found else { continue };
                let value = if is_max { high } else { low };
                // Threads claim blocks in any order, so any of several equal elements may be found
                // first.
                let is_candidate = {
                    let best = best.lock().unwrap_or_else(PoisonError::into_inner);
                    let start = blocks.block_origin(block);
                    best.as_ref().is_none_or(|(limit, index)| {
                        better(value, *limit) || (value == *limit && start.slice() < index.slice())
                    })
                };
                if !is_candidate {
                    continue;
                }
                let found = blocks.find(block, &logical, 1, |element| *element == value)?;
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
        let best = best.into_inner().unwrap_or_else(PoisonError::into_inner);
        let best = best.map(|(value, index)| (value, chunked.index_in_whole(index)));
        Ok((best, nans.into_inner()))
    };
    type Best<A> = (Option<(A, Vec<usize>)>, u64);
    let merge = |(best, nans): Best<A>, (other, more): Best<A>| {
        let is_other = match (&best, &other) {
            (Some((value, index)), Some((other, first))) => {
                better(*other, *value) || (other == value && first < index)
            }
            (None, _) => true,
            (_, None) => false,
        };
        (if is_other { other } else { best }, nans + more)
    };
    let key = pass_key("extremum", &blocks.count());
    let (best, nans) = run_across(chunked.ranks(), key, blocks.count(), &merge, &find)?;
    if nans > 0 && !chunked.skips_nan() {
        return Err(ErrorKind::UndefinedOrder {}.at(None));
    }
    match best {
        Some((_, index)) => Ok(IxDyn(&index)),
        None => Err(ErrorKind::EmptyInput {}.at(None)),
    }
}

/// Elements that satisfy a predicate.
impl<A: Copy, D: Dimension, P: ArraySource<Elem = A, Dim = D>> Chunked<'_, P> {
    /// Counts the elements for which a predicate returns `true`. NaNs are passed to the predicate
    /// even if they are [skipped](Self::skipnan).
    ///
    /// ```
    /// # use ndarray::prelude::*;
    /// # use ndarray_mmap::prelude::*;
    /// let readings = Array2::from_shape_fn((1_000, 1_000), |(i, j)| ((i * j) % 100) as f32);
    /// let (mean, std) = (readings.chunked().mean()?, readings.chunked().std(0.0)?);
    /// let is_anomaly = |&x: &f32| (f64::from(x) - mean).abs() > 1.8 * std;
    /// let anomalies = readings.chunked().count_where(is_anomaly)?;
    /// assert_eq!(anomalies, readings.iter().filter(|&x| is_anomaly(x)).count());
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Only the errors of [all parallel methods](#errors-of-parallel-methods).
    #[doc(alias = "count_nonzero")]
    pub fn count_where(self, wanted: impl Fn(&A) -> bool + Sync) -> Result<usize> {
        let label = self.label("`count_where`", &[]);
        self.collective(label, |chunked| {
            let blocks = chunked.flexible_blocks()?;
            let count = |part| {
                let count = AtomicU64::new(0);
                blocks.for_each_batch(part, &|batch| {
                    for block in batch {
                        blocks.for_each_piece_of(block, &mut |elements| {
                            let here = elements.iter().filter(|element| wanted(element)).count();
                            count.fetch_add(here as u64, Ordering::Relaxed);
                        })?;
                    }
                    Ok(())
                })?;
                Ok(count.into_inner())
            };
            let key = pass_key("count", &blocks.count());
            let add = |all, more| all + more;
            let count = run_across(chunked.ranks(), key, blocks.count(), &add, &count)?;
            Ok(count as usize)
        })
    }

    /// Returns the indices and values of the elements for which a predicate returns `true`.
    ///
    /// The elements are in traversal order: in logical order if the array is in C order, column by
    /// column if it is in Fortran order. At most the first `limit` elements are returned, which
    /// bounds the memory used. [`count_where`](Self::count_where) returns their total number. NaNs
    /// are passed to the predicate even if they are [skipped](Self::skipnan).
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
    /// Only the errors of [all parallel methods](#errors-of-parallel-methods).
    #[doc(alias("where", "nonzero", "flatnonzero"))]
    pub fn argwhere(
        self,
        limit: usize,
        wanted: impl Fn(&A) -> bool + Sync,
    ) -> Result<Vec<(D::Pattern, A)>>
    where
        A: Send,
    {
        if self.has_ranks() {
            let reason = "`argwhere` does not run across ranks; use `partition` instead of \
                          `across`, and collect the results of ranks";
            let label = self.label("`argwhere`", &[]);
            let kind = ErrorKind::Unsupported { reason: reason.into() };
            return self.collective(label, |_| Err(kind.at(None)));
        }
        self.check_no_job("`argwhere`")?;
        let blocks = self.flexible_blocks()?;
        if !blocks.is_in_order() {
            return find_out_of_order(&blocks, limit, &wanted);
        }
        // Keyed by the first block of each batch, to restore traversal order. Batches after the
        // `limit`th match are dropped.
        let found = Mutex::new(std::collections::BTreeMap::<usize, Vec<(D, A)>>::new());
        blocks.for_each_batch(0..blocks.count(), &|batch| {
            let first = batch.start;
            let before = {
                let found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.range(..first).map(|(_, matches)| matches.len()).sum::<usize>()
            };
            if before >= limit {
                return Ok(());
            }
            let mut matches = Vec::new();
            for block in batch {
                matches.extend(blocks.find(
                    block,
                    blocks.order(),
                    limit - before - matches.len(),
                    &wanted,
                )?);
                if matches.len() == limit - before {
                    break;
                }
            }
            if !matches.is_empty() {
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.insert(first, matches);
                // Drop the batches after the `limit`th match.
                let mut count = 0;
                found.retain(|_, matches| {
                    let is_needed = count < limit;
                    count += matches.len();
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

/// Returns the first `limit` elements for which a predicate returns `true`, from blocks whose order
/// is not that of their indices.
fn find_out_of_order<A: Copy + Send, D: Dimension, P: ArraySource<Elem = A, Dim = D>>(
    blocks: &Blocks<'_, P>,
    limit: usize,
    wanted: &(impl Fn(&A) -> bool + Sync),
) -> Result<Vec<(D::Pattern, A)>> {
    let key = |index: &D| blocks.order().iter().map(|&axis| index[axis]).collect::<Vec<_>>();
    let keep_first = |found: &mut Vec<(D, A)>| {
        found.sort_by_cached_key(|(index, _)| key(index));
        found.truncate(limit);
    };
    let found = Mutex::new(Vec::<(D, A)>::new());
    blocks.for_each_batch(0..blocks.count(), &|batch| {
        for block in batch {
            let matches = blocks.find(block, blocks.order(), limit, wanted)?;
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.extend(matches);
            if found.len() / 2 >= limit {
                keep_first(&mut found);
            }
        }
        Ok(())
    })?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    keep_first(&mut found);
    Ok(found.into_iter().map(|(index, element)| (index.into_pattern(), element)).collect())
}
