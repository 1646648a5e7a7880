//! Histograms of chunked arrays.
#![forbid(unsafe_code)]

use ndarray::Dimension;

use super::accumulators::{Bins, Histogram, Histogram2d, MinMax};
use super::element::Element;
use super::passes::Dynamic;
use crate::chunked::{Accumulator, ArraySource, Chunked, ElementSource, prefer_larger_demand};
use crate::distributed::{Ranks, pass_key};
use crate::error::{ErrorKind, Result};
use crate::system;

/// Histograms. Elements are converted to `f64` before they are compared with edges, so integers
/// beyond 2^53 are rounded.
impl<A: Element, D: Dimension, P: ArraySource<Elem = A, Dim = D>> Chunked<'_, P> {
    /// Counts the elements in each bin.
    ///
    /// Elements outside all bins are counted as [underflow](Histogram::underflow) or
    /// [overflow](Histogram::overflow). NaNs are counted separately if they are
    /// [skipped](Self::skipnan).
    ///
    /// The histogram takes one pass, and one more before it if the range is inferred from the data.
    /// Each thread has its own table of 16 bytes for each bin.
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
    /// - [`ErrorKind::InvalidBins`] if there are no bins, the edges do not ascend, or the range is
    ///   not finite or too narrow for the number of bins.
    /// - [`ErrorKind::EmptyInput`] if the range is inferred and the input is empty.
    /// - [`ErrorKind::UndefinedOrder`] if an element is NaN and NaNs are not
    ///   [skipped](Self::skipnan).
    /// - [`ErrorKind::MemoryLimitExceeded`] if two tables take more than a quarter of the [memory
    ///   limit](Self::memory_limit). Without a memory limit, [`ErrorKind::InsufficientMemory`] if
    ///   two tables take more than a quarter of the system memory. (One table contains the result,
    ///   and each additional table lets one thread run.)
    /// - The errors of [all parallel methods](#errors-of-parallel-methods).
    #[doc(alias = "bincount")]
    pub fn histogram(self, bins: impl Into<Bins>) -> Result<Histogram> {
        A::pass_histogram(self.into_dyn(), bins.into())
    }
}

pub(super) fn histogram<A: Element>(chunked: Dynamic<'_, '_, A>, bins: Bins) -> Result<Histogram> {
    bins.check()?;
    let tables = ThreadTables { counts: bins.count() };
    chunked.with_path(chunked.clone().with_thread_tables(tables, |chunked, threads| {
        let range = if bins.needs_range() { Some(infer_range(chunked.clone())?) } else { None };
        let skip_nan = chunked.skips_nan();
        let binning = bins.into_binning(range)?;
        check_same_edges(chunked.ranks(), &[&binning.edges])?;
        let new = || Histogram::with_binning(binning.clone());
        let histogram =
            chunked.flexible_blocks()?.with_max_threads(threads).accumulate_in_any_order(new)?;
        match histogram.nan_count() {
            1.. if !skip_nan => Err(ErrorKind::UndefinedOrder {}.at(None)),
            _ => Ok(histogram),
        }
    }))
}

/// Returns the minimum and the maximum, the default range of bins.
fn infer_range<A: Element>(chunked: Dynamic<'_, '_, A>) -> Result<(f64, f64)> {
    let skip_nan = chunked.skips_nan();
    let (low, high) = chunked.accumulate(MinMax::new)?.checked(skip_nan)?;
    Ok((low.to_f64(), high.to_f64()))
}

/// Checks that all ranks have the same edges, by their hash.
fn check_same_edges(ranks: Option<&Ranks<'_>>, edges: &[&[f64]]) -> Result<()> {
    let Some(ranks) = ranks else { return Ok(()) };
    let edges: Vec<_> = edges.iter().map(|edges| edges.to_vec()).collect();
    let own = pass_key("edges", &edges);
    match ranks.gather(&own)?.iter().position(|&other| other != own) {
        None => Ok(()),
        Some(rank) => {
            let reason = format!("the edges of rank {rank} differ from those of this rank");
            Err(ErrorKind::InvalidBins { reason }.at(None))
        }
    }
}

impl<A, B, P, Q> Chunked<'_, (P, Q)>
where
    A: Element,
    B: Element,
    P: ArraySource<Elem = A>,
    Q: ArraySource<Elem = B, Dim = P::Dim>,
{
    /// Counts the pairs of elements in each cell of a grid of bins.
    ///
    /// The range of each array is inferred independently of the other one.
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
    /// Returns the same errors as [`histogram`](Chunked::histogram), for either array.
    pub fn histogram2d(
        self,
        rows: impl Into<Bins>,
        columns: impl Into<Bins>,
    ) -> Result<Histogram2d> {
        let bins = [rows.into(), columns.into()];
        let counts =
            bins.iter().map(|bins| bins.count().saturating_add(3)).fold(1, usize::saturating_mul);
        let label = self.label("`histogram2d`", &[&bins]);
        self.collective(label, |chunked| {
            bins.iter().try_for_each(Bins::check)?;
            chunked.with_path(chunked.clone().with_thread_tables(
                ThreadTables { counts },
                |chunked, threads| {
                    let skip_nan = chunked.skips_nan();
                    let ranges = chunked.infer_ranges(bins.each_ref().map(Bins::needs_range))?;
                    let [rows, columns] = bins;
                    let binnings =
                        [rows.into_binning(ranges[0])?, columns.into_binning(ranges[1])?];
                    let edges = binnings.each_ref().map(|binning| &binning.edges[..]);
                    check_same_edges(chunked.ranks(), &edges)?;
                    let new = || Histogram2d::with_binnings(binnings.clone());
                    let histogram = chunked
                        .flexible_blocks()?
                        .with_max_threads(threads)
                        .accumulate_in_any_order(new)?;
                    match histogram.nan_count() {
                        1.. if !skip_nan => Err(ErrorKind::UndefinedOrder {}.at(None)),
                        _ => Ok(histogram),
                    }
                },
            ))
        })
    }

    /// Infers the range of each array for which it is required.
    fn infer_ranges(&self, is_required: [bool; 2]) -> Result<[Option<(f64, f64)>; 2]> {
        // Each array is read in its own memory order, unless a partition is set, which consists of
        // pairs.
        if let Some((rows, columns)) = self.split_operands() {
            let rows = is_required[0].then(|| infer_range(rows.into_dyn())).transpose()?;
            return Ok([
                rows,
                is_required[1].then(|| infer_range(columns.into_dyn())).transpose()?,
            ]);
        }
        if is_required == [false; 2] {
            return Ok([None; 2]);
        }
        let (rows, columns) =
            self.clone().accumulate(|| (First(MinMax::new()), Second(MinMax::new())))?;
        let skip_nan = self.skips_nan();
        let rows = is_required[0].then(|| rows.0.checked(skip_nan)).transpose()?;
        let columns = is_required[1].then(|| columns.0.checked(skip_nan)).transpose()?;
        Ok([
            rows.map(|(low, high)| (low.to_f64(), high.to_f64())),
            columns.map(|(low, high)| (low.to_f64(), high.to_f64())),
        ])
    }
}

macro_rules! project {
    ($($name:ident $index:tt $a:ident $b:ident $element:ident;)*) => {$(
        /// Adapter that passes one element of each pair to an accumulator.
        struct $name<T>(T);

        impl<A: Element, B: Element> Accumulator<(A, B)> for $name<MinMax<$element>> {
            fn push(&mut self, pair: &(A, B)) {
                self.0.push(&pair.$index);
            }

            fn push_slice(&mut self, pairs: &[(A, B)]) {
                self.0.push_slice(&pairs.iter().map(|pair| pair.$index).collect::<Vec<_>>());
            }

            fn merge(&mut self, later: Self) {
                self.0.merge(later.0);
            }

            fn write_state(&self, bytes: &mut Vec<u8>) -> Result<()> {
                self.0.write_state(bytes)
            }

            fn read_state(bytes: &mut &[u8]) -> Option<Self> {
                MinMax::read_state(bytes).map(Self)
            }
        }
    )*};
}
project! { First 0 A B A; Second 1 A B B; }

/// The memory of the tables of counts of all threads.
#[derive(Clone, Copy)]
struct ThreadTables {
    counts: usize,
}

impl ThreadTables {
    /// Returns the bytes of counts and edges for a number of threads, and of one more table for the
    /// sum.
    fn bytes(self, threads: usize) -> usize {
        self.counts.saturating_add(3).saturating_mul(16).saturating_mul(threads + 1)
    }

    /// Returns the number of threads whose tables fit in a quarter of the memory, at least one.
    fn threads(self, memory: usize) -> usize {
        (1..=crate::parallel::threads())
            .rev()
            .find(|&threads| self.bytes(threads) <= memory / 4)
            .unwrap_or(1)
    }

    /// Returns the memory that remains for pages.
    fn pages(self, memory: usize) -> usize {
        memory.saturating_sub(self.bytes(self.threads(memory)))
    }
}

impl<P: ElementSource + Clone + Sync> Chunked<'_, P> {
    /// Calls a closure with an operation limited to the memory that the tables leave, and the
    /// number of threads.
    fn with_thread_tables<T>(
        self,
        tables: ThreadTables,
        count: impl FnOnce(Self, usize) -> Result<T>,
    ) -> Result<T> {
        let pages = |all| tables.pages(all);
        let Some(memory) = self.memory_limit_bytes() else {
            let memory = system::ram_bytes_or_default();
            self.check_fits_in_memory(tables.bytes(1), "use fewer bins")?;
            return count(self, tables.threads(memory));
        };
        let with_limit = |memory: usize| self.clone().memory_limit(pages(memory));
        if let Err(error) = self.check_fits_in_memory(tables.bytes(1), "use fewer bins") {
            // Pages may need more than the tables.
            let enough = with_limit(tables.bytes(1).saturating_mul(4));
            let blocks = enough.flexible_blocks().map(drop);
            self.rescale_limit_error(
                prefer_larger_demand(enough.check_accumulate_fits(), blocks),
                pages,
            )?;
            return Err(error);
        }
        self.rescale_limit_error(count(with_limit(memory), tables.threads(memory)), pages)
    }
}
