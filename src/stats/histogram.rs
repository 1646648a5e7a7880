//! Histograms of walks.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use ndarray::{ArrayView, Dimension};

use super::accumulators::{Bins, Extremes, Histogram, Histogram2d};
use super::element::Element;
use crate::chunked::{Accumulator, Chunked, Elements};
use crate::error::{ErrorKind, Result};

/// Histograms. Elements are compared as `f64`, integers beyond 2^53 rounded to it.
impl<A: Element, D: Dimension> Chunked<'_, ArrayView<'_, A, D>> {
    /// How many elements there are in each of some bins. Elements outside all bins are counted apart, and NaNs if they are
    /// to be [skipped](Self::skipnan).
    ///
    /// It takes one pass, and one before if the range is to be found. Each thread has a table of its own, of 8 bytes for a bin.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{prelude::*, stats::Bins};
    ///
    /// let table = Array2::from_shape_fn((100, 100), |(i, j)| (i + j) as f32);
    /// let histogram = table.chunked().histogram(2)?;
    /// assert_eq!(histogram.edges(), [0.0, 99.0, 198.0]);
    /// assert_eq!(histogram.counts(), [4_950, 5_050]);
    /// let histogram = table.chunked().histogram(Bins::over(10, 0.0..=100.0))?;
    /// assert_eq!(histogram.counts().iter().sum::<u64>() + histogram.above(), 10_000);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidBins`] if there are no bins, edges do not ascend or the range is not finite;
    /// [`ErrorKind::EmptyInput`] if the range is to be found and there are no elements, [`ErrorKind::UndefinedOrder`] if
    /// one is NaN and NaNs are not skipped; [`ErrorKind::MemoryBudget`] if two tables take more than a quarter of the
    /// [memory](Self::memory) (as many threads work as have room for one, and one more is the result); and those of [all parallel methods](#errors).
    pub fn histogram(self, bins: impl Into<Bins>) -> Result<Histogram> {
        let bins = bins.into();
        bins.check()?;
        let (walk, threads) = self.beside_tables(bins.count())?;
        let range = if bins.needs_range() { Some(walk.clone().found_range()?) } else { None };
        let skip_nan = walk.skips_nan();
        let scale = bins.into_scale(range)?;
        let histogram =
            walk.tabulate(threads, || Histogram::on(scale.clone()), Histogram::push_slice, |all, more| all.add(more))?;
        match histogram.nan_count() {
            1.. if !skip_nan => Err(ErrorKind::UndefinedOrder {}.at(None)),
            _ => Ok(histogram),
        }
    }

    fn found_range(self) -> Result<(f64, f64)> {
        let skip_nan = self.skips_nan();
        let (low, high) = self.accumulate(Extremes::new)?.checked(skip_nan)?;
        Ok((low.to_f64(), high.to_f64()))
    }
}

/// Of two arrays side by side.
impl<A: Element, B: Element, D: Dimension> Chunked<'_, (ArrayView<'_, A, D>, ArrayView<'_, B, D>)> {
    /// How many pairs of elements there are in each field of two sets of bins. A range that is to be found is that of its own
    /// array, whatever the elements of the other one.
    ///
    /// ```
    /// use ndarray::prelude::*;
    /// use ndarray_mmap::{prelude::*, stats::Bins};
    ///
    /// let (x, y) = (array![0.1, 0.2, 0.9, 5.0], array![1, 2, 2, 2]);
    /// let histogram = x.chunked().and(&y)?.histogram2d(Bins::over(2, 0.0..=1.0), 2)?;
    /// assert_eq!(histogram.counts(), array![[1, 1], [0, 1]]);
    /// assert_eq!(histogram.outside(), 1);
    /// # Ok::<(), ndarray_mmap::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`histogram`](Chunked::histogram), of either array.
    pub fn histogram2d(self, rows: impl Into<Bins>, columns: impl Into<Bins>) -> Result<Histogram2d> {
        let bins = [rows.into(), columns.into()];
        bins.iter().try_for_each(Bins::check)?;
        let fields = bins.iter().map(|bins| bins.count().saturating_add(3)).fold(1, usize::saturating_mul);
        let (walk, threads) = self.beside_tables(fields)?;
        let skip_nan = walk.skips_nan();
        let mut ranges = [None, None];
        if bins.iter().any(Bins::needs_range) {
            let (rows, columns) = walk.clone().accumulate(|| (OfFirst(Extremes::new()), OfSecond(Extremes::new())))?;
            if bins[0].needs_range() {
                let (low, high) = rows.0.checked(skip_nan)?;
                ranges[0] = Some((low.to_f64(), high.to_f64()));
            }
            if bins[1].needs_range() {
                let (low, high) = columns.0.checked(skip_nan)?;
                ranges[1] = Some((low.to_f64(), high.to_f64()));
            }
        }
        let [rows, columns] = bins;
        let scales = [rows.into_scale(ranges[0])?, columns.into_scale(ranges[1])?];
        let histogram = walk.tabulate(
            threads,
            || Histogram2d::on(scales.clone()),
            Histogram2d::push_slice,
            |all: &mut Histogram2d, more| all.add(more),
        )?;
        match histogram.nan_count() {
            1.. if !skip_nan => Err(ErrorKind::UndefinedOrder {}.at(None)),
            _ => Ok(histogram),
        }
    }
}

macro_rules! sides {
    ($($name:ident $index:tt $a:ident $b:ident $side:ident;)*) => {$(
        /// Takes one side of pairs.
        struct $name<T>(T);

        impl<A: Element, B: Element> Accumulator<(A, B)> for $name<Extremes<$side>> {
            type Output = Extremes<$side>;

            fn push(&mut self, pair: &(A, B)) {
                self.0.push(&pair.$index);
            }

            fn push_slice(&mut self, pairs: &[(A, B)]) {
                self.0.push_slice(&pairs.iter().map(|pair| pair.$index).collect::<Vec<_>>());
            }

            fn merge(&mut self, later: Self) {
                self.0.merge(later.0);
            }

            fn finish(self) -> Extremes<$side> {
                self.0
            }
        }
    )*};
}
sides! { OfFirst 0 A B A; OfSecond 1 A B B; }

impl<P: Elements + Clone + Sync> Chunked<'_, P> {
    /// The walk with what is left of its memory, and how many threads can have tables of so many counts.
    pub(super) fn beside_tables(self, counts: usize) -> Result<(Self, usize)> {
        // Counts and edges; and one table more, for the sum.
        let bytes = |threads: usize| counts.saturating_add(3).saturating_mul(16).saturating_mul(threads + 1);
        let mut threads = crate::chunked::threads();
        while let Err(error) = self.room_for(bytes(threads)) {
            threads = if threads > 1 { threads - 1 } else { return Err(error) };
        }
        let walk = match self.memory_ceiling() {
            Some(budget) => self.memory(budget - bytes(threads)),
            None => self,
        };
        Ok((walk, threads))
    }

    /// Counts with a table for each of so many threads at most. The order does not matter to counts.
    pub(super) fn tabulate<T: Send>(
        self,
        threads: usize,
        new: impl Fn() -> T + Sync,
        push: impl Fn(&mut T, &[P::Element]) + Sync,
        add: impl Fn(&mut T, &T),
    ) -> Result<T> {
        let blocks = self.any_blocks()?.on(threads);
        let idle = Mutex::new(Vec::new());
        blocks.in_groups(|group| {
            let own = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut own = own.unwrap_or_else(&new);
            group.for_each(|number| blocks.with_elements(number, |elements| push(&mut own, elements)));
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(own);
            Ok(())
        })?;
        let mut tables = idle.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter();
        let mut all = tables.next().unwrap_or_else(new);
        tables.for_each(|more| add(&mut all, &more));
        Ok(all)
    }
}
