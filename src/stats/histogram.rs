//! Histograms of walks.
#![forbid(unsafe_code)]

use ndarray::{ArrayView, Dimension};

use super::accumulators::{Bins, Histogram, Histogram2d, MinMax};
use super::element::Element;
use super::passes::Dynamic;
use crate::chunked::{Accumulator, Chunked, ElementSource, prefer_larger_demand};
use crate::error::{ErrorKind, Result};
use crate::system;

/// Histograms. Elements are compared as `f64`, integers beyond 2^53 rounded to it.
impl<A: Element, D: Dimension> Chunked<'_, ArrayView<'_, A, D>> {
    /// How many elements there are in each of some bins. Elements outside all bins are counted apart, and NaNs if they are
    /// to be [skipped](Self::skipnan).
    ///
    /// It takes one pass, and one before if the range is to be found. Each thread has a table of its own, of 16 bytes for a bin.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{prelude::*, stats::Bins};
    ///
    /// let table = Array2::from_shape_fn((100, 100), |(i, j)| (i + j) as f32);
    /// let histogram = table.chunked().histogram(2)?;
    /// assert_eq!(histogram.edges(), [0.0, 99.0, 198.0]);
    /// assert_eq!(histogram.counts(), [4_950, 5_050]);
    /// let histogram = table.chunked().histogram(Bins::uniform(10, 0.0..=100.0))?;
    /// assert_eq!(histogram.counts().iter().sum::<u64>() + histogram.overflow(), 10_000);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidBins`] if there are no bins, edges do not ascend, or the range is not finite or too narrow for so many;
    /// [`ErrorKind::EmptyInput`] if the range is to be found and there are no elements, [`ErrorKind::UndefinedOrder`] if
    /// one is NaN and NaNs are not skipped; [`ErrorKind::MemoryLimitExceeded`] if two tables take more than a quarter of the
    /// [memory](Self::memory_limit), or where none is given [`ErrorKind::InsufficientMemory`] if of the computer's (as many threads work as
    /// have room for one, and one more is the result); and those of [all parallel methods](#errors-of-parallel-methods).
    #[doc(alias = "bincount")]
    pub fn histogram(self, bins: impl Into<Bins>) -> Result<Histogram> {
        A::histogram(self.into_dyn(), bins.into())
    }
}

pub(super) fn histogram<A: Element>(chunked: Dynamic<'_, '_, A>, bins: Bins) -> Result<Histogram> {
    bins.check()?;
    let tables = Tables { counts: bins.count() };
    chunked.with_path(chunked.clone().with_tables(tables, |walk, threads| {
        let range = if bins.needs_range() { Some(found_range(walk.clone())?) } else { None };
        let skip_nan = walk.skips_nan();
        let scale = bins.into_scale(range)?;
        let new = || Histogram::on(scale.clone());
        let histogram =
            walk.flexible_blocks()?.with_max_threads(threads).accumulate_in_any_order(new)?;
        match histogram.nan_count() {
            1.. if !skip_nan => Err(ErrorKind::UndefinedOrder {}.at(None)),
            _ => Ok(histogram),
        }
    }))
}

/// Returns the smallest and the largest element, which are the default range of bins.
fn found_range<A: Element>(chunked: Dynamic<'_, '_, A>) -> Result<(f64, f64)> {
    let skip_nan = chunked.skips_nan();
    let (low, high) = chunked.accumulate(MinMax::new)?.checked(skip_nan)?;
    Ok((low.to_f64(), high.to_f64()))
}

impl<A: Element, B: Element, D: Dimension> Chunked<'_, (ArrayView<'_, A, D>, ArrayView<'_, B, D>)> {
    /// How many pairs of elements there are in each field of two sets of bins. A range that is to be found is that of its own
    /// array, whatever the elements of the other one.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{prelude::*, stats::Bins};
    ///
    /// let (x, y) = (array![0.1, 0.2, 0.9, 5.0], array![1, 2, 2, 2]);
    /// let histogram = x.chunked().and(&y)?.histogram2d(Bins::uniform(2, 0.0..=1.0), 2)?;
    /// assert_eq!(histogram.counts(), array![[1, 1], [0, 1]]);
    /// assert_eq!(histogram.outside(), 1);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`histogram`](Chunked::histogram), of either array.
    pub fn histogram2d(
        self,
        rows: impl Into<Bins>,
        columns: impl Into<Bins>,
    ) -> Result<Histogram2d> {
        let bins = [rows.into(), columns.into()];
        bins.iter().try_for_each(Bins::check)?;
        let counts =
            bins.iter().map(|bins| bins.count().saturating_add(3)).fold(1, usize::saturating_mul);
        self.with_path(self.clone().with_tables(Tables { counts }, |walk, threads| {
            let skip_nan = walk.skips_nan();
            let ranges = walk.found_ranges(bins.each_ref().map(Bins::needs_range))?;
            let [rows, columns] = bins;
            let scales = [rows.into_scale(ranges[0])?, columns.into_scale(ranges[1])?];
            let new = || Histogram2d::on(scales.clone());
            let histogram =
                walk.flexible_blocks()?.with_max_threads(threads).accumulate_in_any_order(new)?;
            match histogram.nan_count() {
                1.. if !skip_nan => Err(ErrorKind::UndefinedOrder {}.at(None)),
                _ => Ok(histogram),
            }
        }))
    }

    /// Finds the range of each array of which it is wanted.
    fn found_ranges(&self, wanted: [bool; 2]) -> Result<[Option<(f64, f64)>; 2]> {
        // Each array is read in its own order. A part is one of pairs.
        if let Some((rows, columns)) = self.split_operands() {
            let rows = wanted[0].then(|| found_range(rows.into_dyn())).transpose()?;
            return Ok([rows, wanted[1].then(|| found_range(columns.into_dyn())).transpose()?]);
        }
        if wanted == [false; 2] {
            return Ok([None; 2]);
        }
        let (rows, columns) =
            self.clone().accumulate(|| (First(MinMax::new()), Second(MinMax::new())))?;
        let skip_nan = self.skips_nan();
        let rows = wanted[0].then(|| rows.0.checked(skip_nan)).transpose()?;
        let columns = wanted[1].then(|| columns.0.checked(skip_nan)).transpose()?;
        Ok([
            rows.map(|(low, high)| (low.to_f64(), high.to_f64())),
            columns.map(|(low, high)| (low.to_f64(), high.to_f64())),
        ])
    }
}

macro_rules! sides {
    ($($name:ident $index:tt $a:ident $b:ident $side:ident;)*) => {$(
        /// Takes one side of pairs.
        struct $name<T>(T);

        impl<A: Element, B: Element> Accumulator<(A, B)> for $name<MinMax<$side>> {
            fn push(&mut self, pair: &(A, B)) {
                self.0.push(&pair.$index);
            }

            fn push_slice(&mut self, pairs: &[(A, B)]) {
                self.0.push_slice(&pairs.iter().map(|pair| pair.$index).collect::<Vec<_>>());
            }

            fn merge(&mut self, later: Self) {
                self.0.merge(later.0);
            }
        }
    )*};
}
sides! { First 0 A B A; Second 1 A B B; }

/// Tables of counts, of which each thread has one.
#[derive(Clone, Copy)]
struct Tables {
    counts: usize,
}

impl Tables {
    /// Counts and edges; and one table more, for the sum.
    fn bytes(self, threads: usize) -> usize {
        self.counts.saturating_add(3).saturating_mul(16).saturating_mul(threads + 1)
    }

    /// How many threads have room for theirs in a quarter of the memory; one at least.
    fn threads(self, memory: usize) -> usize {
        (1..=crate::parallel::threads())
            .rev()
            .find(|&threads| self.bytes(threads) <= memory / 4)
            .unwrap_or(1)
    }

    /// What is left of the memory.
    fn pages(self, memory: usize) -> usize {
        memory.saturating_sub(self.bytes(self.threads(memory)))
    }
}

impl<P: ElementSource + Clone + Sync> Chunked<'_, P> {
    /// Calls a closure with the walk that has what tables leave of the memory, and the number of threads.
    fn with_tables<T>(
        self,
        tables: Tables,
        count: impl FnOnce(Self, usize) -> Result<T>,
    ) -> Result<T> {
        let pages = |all| tables.pages(all);
        let Some(memory) = self.memory_limit_bytes() else {
            let memory = system::ram_bytes_or_default();
            self.check_fits_in_memory(tables.bytes(1))?;
            return count(self, tables.threads(memory));
        };
        let walk = |memory: usize| self.clone().memory_limit(pages(memory));
        if let Err(error) = self.check_fits_in_memory(tables.bytes(1)) {
            // Pages may need more than that.
            let enough = walk(tables.bytes(1).saturating_mul(4));
            let blocks = enough.flexible_blocks().map(drop);
            self.rescale_limit_error(
                prefer_larger_demand(enough.check_accumulate_fits(), blocks),
                pages,
            )?;
            return Err(error);
        }
        self.rescale_limit_error(count(walk(memory), tables.threads(memory)), pages)
    }
}
