//! Selection of many ranks: a counting (radix-like) selection with a table of cells, refined where
//! cells contain ranks.
//!
//! The first pass counts all values in cells, which ascend with the values. The cells that contain
//! ranks become intervals. While more values are inside intervals than fit in memory, a pass counts
//! them in finer cells, each reduced to the range of the values in it. The last pass keeps the
//! values inside the intervals and selects from them. The cost of an element grows with the
//! logarithm of the number of ranks.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::in_memory::multi_select;
use super::intervals::{CHUNK_LEN, CellIndex, Interval};
use super::value_source::ValueSource;
use crate::chunked::run_across;
use crate::distributed::{Codec, Ranks, impl_message, pass_key, run_in_parts};
use crate::error::Result;
use crate::stats::element::Element;
use crate::stats::kernels::{self, CELLS, CellMap};

/// The number of elements that a thread collects before it copies them to the shared buffer.
const FLUSH_THRESHOLD: usize = 8192;

/// The maximum number of finer cells.
const MAX_SPLITS: usize = 1 << 18;

/// Returns the minimum number of bytes for elements and tables.
pub(in crate::stats) fn min_bytes<A>(threads: usize) -> usize {
    4 * fixed_bytes::<A>(threads)
}

/// Returns the bytes of the buffers of all threads, and of the result.
fn fixed_bytes<A>(threads: usize) -> usize {
    (threads + 1) * (CELLS * size_of::<u64>() + FLUSH_THRESHOLD * size_of::<(u32, A)>())
}

/// A finer cell: the number of values, and the keys of the smallest and the largest.
#[derive(Clone, Copy, Debug)]
struct Split {
    count: u64,
    low: u64,
    high: u64,
}

impl_message! { Split { count, low, high } }

const EMPTY_SPLIT: Split = Split { count: 0, low: u64::MAX, high: 0 };

/// The counts of one thread: the number of values in each cell, and the number of NaNs.
struct CellCounts {
    counts: Box<[u64; CELLS]>,
    nans: u64,
    cells: Box<[u16; CHUNK_LEN]>,
}

/// Counts all values in cells. Returns the number of values in each cell, and the number of NaNs,
/// which are in none.
pub(in crate::stats) fn count<A: Element>(
    source: &impl ValueSource<A>,
    cell_map: CellMap,
) -> Result<(Vec<u64>, u64)> {
    let run = |part| {
        let parts = source
            .run(part, CellCounts::new, |counts, elements| counts.push(cell_map, elements))?;
        let mut all = vec![0; CELLS];
        let mut nans = 0;
        for part in parts {
            all.iter_mut().zip(part.counts.iter()).for_each(|(all, part)| *all += part);
            nans += part.nans;
        }
        Ok((all, nans))
    };
    let add = |(mut all, nans): (Vec<u64>, u64), (part, more): (Vec<u64>, u64)| {
        all.iter_mut().zip(part).for_each(|(all, part)| *all += part);
        (all, nans + more)
    };
    let key = pass_key("cells", &(cell_map.key(), source.items()));
    let (mut counts, nans) = run_across(source.ranks(), key, source.items(), &add, &run)?;
    // NaNs map to the first cell.
    counts[0] = counts[0].saturating_sub(nans);
    Ok((counts, nans))
}

/// Selects the values of many ranks, which must ascend, among the values that were
/// [counted](count). `bytes` is the memory for elements and tables, at least [`min_bytes`].
pub(in crate::stats) fn select_many<A: Element>(
    source: &impl ValueSource<A>,
    cell_map: CellMap,
    counts: &[u64],
    (bytes, threads): (usize, usize),
    ranks: &[u64],
) -> Result<Vec<A>> {
    let bytes = bytes.saturating_sub(fixed_bytes::<A>(threads));
    // A table for each thread, one for the sum, and the intervals.
    let splits = (bytes / (size_of::<Split>() * (threads + 2))).clamp(64, MAX_SPLITS);
    let search = CellSearch { source, cell_map, room: bytes / 4 * 3 / size_of::<A>(), splits };
    let mut values = Vec::with_capacity(ranks.len());
    for ranks in ranks.chunks(splits / 8) {
        search.find(counts, ranks, &mut values)?;
    }
    Ok(values)
}

impl CellCounts {
    fn new() -> Self {
        Self { counts: Box::new([0; CELLS]), nans: 0, cells: Box::new([0; CHUNK_LEN]) }
    }

    fn push<A: Element>(&mut self, cell_map: CellMap, elements: &[A]) {
        for chunk in elements.chunks(CHUNK_LEN) {
            if A::HAS_NAN {
                self.nans += kernels::count_nan(chunk);
            }
            let cells = &mut self.cells[..chunk.len()];
            cell_map.cells(chunk, cells);
            cells.iter().for_each(|&cell| self.counts[usize::from(cell) % CELLS] += 1);
        }
    }
}

/// The parameters of a search for some ranks.
struct CellSearch<'p, P> {
    source: &'p P,
    cell_map: CellMap,
    /// The maximum number of elements to keep, and the maximum number of finer cells.
    room: usize,
    splits: usize,
}

impl<P> CellSearch<'_, P> {
    fn find<A: Element>(&self, counts: &[u64], ranks: &[u64], values: &mut Vec<A>) -> Result<()>
    where
        P: ValueSource<A>,
    {
        let mut intervals = self.cells_of_ranks::<A>(counts, ranks);
        loop {
            let open: Vec<_> =
                intervals.iter().filter(|interval| interval.low < interval.high).copied().collect();
            let inside = open.iter().map(|interval| interval.count).sum::<u64>();
            let bits = (self.splits / open.len().max(1)).ilog2();
            let resolves_all_keys =
                open.iter().all(|interval| (interval.high - interval.low) >> bits == 0);
            if inside == 0 || (inside <= self.room as u64 && !resolves_all_keys) {
                return self.keep(&intervals, &open, ranks, values);
            }
            let splits = self.split::<A>(&open, bits)?;
            let mut next = Vec::with_capacity(intervals.len());
            let mut splits = splits.chunks(1 << bits);
            for interval in intervals {
                if interval.low < interval.high {
                    let mut below = interval.below;
                    for &Split { count, low, high } in splits.next().unwrap_or_default() {
                        let split = Interval { low, high, below, count };
                        next.extend(split.contains_any(ranks).then_some(split));
                        below += count;
                    }
                } else {
                    next.push(interval)
                }
            }
            intervals = next;
        }
    }

    /// Returns the cells that contain ranks, as intervals.
    fn cells_of_ranks<A: Element>(&self, counts: &[u64], ranks: &[u64]) -> Vec<Interval> {
        let [first, last] = [A::RANGE.0, A::RANGE.1].map(A::to_ordered_bits);
        // Binary search for the first key that is not in a lower cell: cells ascend with the keys.
        let first_key_of = |cell: usize| {
            let mut from = first;
            let mut to = last;
            while from < to {
                let middle = from + (to - from) / 2;
                if usize::from(self.cell_map.cell(A::from_ordered_bits(middle))) < cell {
                    from = middle + 1
                } else {
                    to = middle
                }
            }
            from
        };
        let mut below = 0;
        let mut intervals = Vec::new();
        for (cell, &count) in counts.iter().enumerate() {
            let interval = Interval { low: 0, high: 0, below, count };
            if interval.contains_any(ranks) {
                let high =
                    if cell + 1 == CELLS { last } else { (first_key_of(cell + 1) - 1).max(first) };
                // The last cell with values extends to the last key.
                let high =
                    if usize::from(self.cell_map.cell(A::RANGE.1)) == cell { last } else { high };
                intervals.push(Interval { low: first_key_of(cell), high, ..interval });
            }
            below += count;
        }
        intervals
    }

    /// Counts the values of each interval in `2^bits` finer cells.
    fn split<A: Element>(&self, open: &[Interval], bits: u32) -> Result<Vec<Split>>
    where
        P: ValueSource<A>,
    {
        let cell_index = CellIndex::new::<A>(self.cell_map, open);
        let shifts: Vec<_> = open.iter().map(|interval| interval.shift(bits)).collect();
        let new = || (vec![EMPTY_SPLIT; open.len() << bits], Box::new([0; CHUNK_LEN]));
        let push = |(splits, cells): &mut (Vec<Split>, Box<_>), elements: &[A]| {
            cell_index.each(elements, cells, |index, element: A| {
                let key = element.to_ordered_bits();
                let split = &mut splits
                    [(index << bits) + ((key - open[index].low) >> shifts[index]) as usize];
                split.count += 1;
                split.low = split.low.min(key);
                split.high = split.high.max(key);
            });
        };
        let add = |mut all: Vec<Split>, part: Vec<Split>| {
            for (all, part) in all.iter_mut().zip(part) {
                all.count += part.count;
                all.low = all.low.min(part.low);
                all.high = all.high.max(part.high);
            }
            all
        };
        let items = self.source.items();
        let key = self.key_of("finer cells", open, bits);
        run_across(self.source.ranks(), key, items, &add, &|part| {
            let parts = self.source.run(part, new, push)?.into_iter().map(|(splits, _)| splits);
            Ok(parts.reduce(add).unwrap_or_else(|| vec![EMPTY_SPLIT; open.len() << bits]))
        })
    }

    /// Keeps the values inside intervals, and selects those of the ranks.
    fn keep<A: Element>(
        &self,
        intervals: &[Interval],
        open: &[Interval],
        ranks: &[u64],
        values: &mut Vec<A>,
    ) -> Result<()>
    where
        P: ValueSource<A>,
    {
        let mut kept = match self.source.ranks() {
            None => self.keep_part(0..self.source.items(), open)?.0,
            Some(ranks) => self.keep_across(ranks, open)?,
        };
        let mut kept = &mut kept[..];
        let mut ranks = ranks;
        for interval in intervals {
            let inside;
            (inside, ranks) = ranks
                .split_at(ranks.partition_point(|&rank| rank < interval.below + interval.count));
            // Only reached if the file is modified concurrently.
            let (lost, inside) =
                inside.split_at(inside.partition_point(|&rank| rank < interval.below));
            values.extend(lost.iter().map(|_| A::from_ordered_bits(interval.low)));
            if interval.low == interval.high {
                values.extend(inside.iter().map(|_| A::from_ordered_bits(interval.low)));
                continue;
            }
            let candidates;
            (candidates, kept) = kept.split_at_mut(interval.count as usize);
            let local_ranks: Vec<_> =
                inside.iter().map(|&rank| (rank - interval.below) as usize).collect();
            values.extend(multi_select(candidates, &local_ranks));
        }
        values.extend(ranks.iter().map(|_| A::EMPTY));
        Ok(())
    }

    /// Returns the values of some items inside intervals, with room for those of all items, and the
    /// end of the values in each interval.
    fn keep_part<A: Element>(
        &self,
        part: Range<usize>,
        open: &[Interval],
    ) -> Result<(Vec<A>, Vec<usize>)>
    where
        P: ValueSource<A>,
    {
        let mut ends = Vec::with_capacity(open.len());
        let mut total = 0;
        for interval in open {
            ends.push(total);
            total += interval.count as usize;
        }
        let kept = Mutex::new((vec![A::RANGE.0; total], ends));
        if total > 0 {
            let cell_index = CellIndex::new::<A>(self.cell_map, open);
            let put = |part: &mut Vec<(u32, A)>| {
                let (kept, ends) = &mut *kept.lock().unwrap_or_else(PoisonError::into_inner);
                for (index, element) in part.drain(..) {
                    let end = &mut ends[index as usize];
                    // The file may be modified concurrently, so there may be more elements.
                    if let Some(slot) = kept.get_mut(*end) {
                        *slot = element;
                    }
                    *end += 1;
                }
            };
            let new = || (Vec::with_capacity(FLUSH_THRESHOLD), Box::new([0; CHUNK_LEN]));
            let rest = self.source.run(part, new, |(part, cells), elements| {
                cell_index.each(elements, cells, |index, element: A| {
                    part.push((index as u32, element));
                    if part.len() == FLUSH_THRESHOLD {
                        put(part);
                    }
                });
            })?;
            rest.into_iter().for_each(|(mut part, _)| put(&mut part));
        }
        Ok(kept.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the values of all ranks inside intervals.
    fn keep_across<A: Element>(&self, ranks: &Ranks<'_>, open: &[Interval]) -> Result<Vec<A>>
    where
        P: ValueSource<A>,
    {
        let keep = |part| {
            let (kept, ends) = self.keep_part::<A>(part, open)?;
            let mut start = 0;
            let inside = open.iter().zip(ends).map(|(interval, end)| {
                let room = start..start + interval.count as usize;
                start = room.end;
                kept[room.start..end.clamp(room.start, room.end)].to_vec()
            });
            Ok(inside.collect::<Vec<_>>())
        };
        let append = |mut all: Vec<Vec<A>>, part: Vec<Vec<A>>| {
            all.iter_mut().zip(part).for_each(|(all, mut part)| all.append(&mut part));
            all
        };
        let key = self.key_of("kept", open, 0);
        let items = self.source.items();
        let inside = run_in_parts(Some(ranks), key, items, &Codec::of_message(), &append, &keep)?;
        let of_ranks = ranks.gather(&inside)?;
        let mut all = Vec::new();
        for (index, interval) in open.iter().enumerate() {
            let end = all.len() + interval.count as usize;
            of_ranks.iter().filter_map(|of_rank| of_rank.get(index)).for_each(|inside| {
                all.extend_from_slice(inside);
            });
            // The number is only another if the file is modified concurrently.
            all.resize(end, A::RANGE.0);
        }
        Ok(all)
    }

    /// Returns the key of a pass over the values inside intervals.
    fn key_of(&self, name: &str, open: &[Interval], bits: u32) -> u64 {
        let intervals: Vec<_> = open.iter().map(|interval| (interval.low, interval.high)).collect();
        pass_key(name, &(intervals, (bits, self.cell_map.key())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::selection::order;
    use crate::stats::selection::slices::Slices;

    /// Selects every rank, with little and with much memory.
    #[track_caller]
    fn check<A: Element>(values: &[A]) {
        let mut sorted: Vec<_> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        sorted.sort_by(order);
        let ends = sorted.first().copied().zip(sorted.last().copied());
        let middle =
            sorted.get(sorted.len() / 3).copied().zip(sorted.get(sorted.len() / 2).copied());
        for range in [None, ends, middle] {
            for bytes in [1_000, 100_000, usize::MAX / 2] {
                for step in [1, 97] {
                    let ranks: Vec<_> = (0..sorted.len() as u64).step_by(step).collect();
                    let source = Slices::new(values, 777);
                    let cell_map = CellMap::new(range);
                    let (counts, nans) = count(&source, cell_map).unwrap();
                    assert_eq!(nans, (values.len() - sorted.len()) as u64);
                    let found = select_many(&source, cell_map, &counts, (bytes, 1), &ranks);
                    let expected: Vec<_> = sorted.iter().step_by(step).copied().collect();
                    assert!(found.unwrap() == expected);
                }
            }
        }
    }

    fn check_all(values: &[i64]) {
        check(values);
        check(&values.iter().map(|&x| x as u64).collect::<Vec<_>>());
        check(&values.iter().map(|&x| x as i8).collect::<Vec<_>>());
        check(&values.iter().map(|&x| x as u8).collect::<Vec<_>>());
        check(&values.iter().map(|&x| x as i16).collect::<Vec<_>>());
        check(&values.iter().map(|&x| x as u32).collect::<Vec<_>>());
        check(&values.iter().map(|&x| x as f32 / 7.0).collect::<Vec<_>>());
        check(&values.iter().map(|&x| f64::from_bits(x as u64)).collect::<Vec<_>>());
        #[cfg(feature = "half")]
        check(&values.iter().map(|&x| half::f16::from_bits(x as u16)).collect::<Vec<_>>());
        #[cfg(feature = "half")]
        check(&values.iter().map(|&x| half::bf16::from_bits(x as u16)).collect::<Vec<_>>());
    }

    #[test]
    fn few_passes_for_few_distinct_values() {
        let values = [
            0.0,
            1e-3,
            1.0,
            1.0_f64.next_up(),
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            -0.0,
            1e300,
        ];
        // Half of the elements fit in memory.
        let count_passes = |all: &[f64]| {
            let source = Slices::new(all, 777);
            let (counts, nans) = count(&source, CellMap::new(Some((-1.0, 1e5)))).unwrap();
            let ranks: Vec<_> = (0..all.len() as u64 - nans).step_by(997).collect();
            let bytes = fixed_bytes::<f64>(1) + size_of_val(all) / 2;
            let found = select_many::<f64>(
                &source,
                CellMap::new(Some((-1.0, 1e5))),
                &counts,
                (bytes, 1),
                &ranks,
            )
            .unwrap();
            let mut sorted: Vec<_> = all.iter().copied().filter(|value| !value.is_nan()).collect();
            sorted.sort_by(f64::total_cmp);
            assert!(found.iter().eq(sorted.iter().step_by(997)));
            source.passes()
        };
        for count in 1..=values.len() {
            let all: Vec<_> = (0..100_000).map(|i| values[i * 7 % count]).collect();
            assert!(count_passes(&all) <= 5);
        }
        assert_eq!(count_passes(&(0..100_000).map(f64::from).collect::<Vec<_>>()), 2);
        assert_eq!(count_passes(&[7.0; 100_000]), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..Default::default() })]
        #[test]
        fn selection_equals_sorting(values in prop::collection::vec(prop_oneof![any::<i64>(), -300_i64..300], 1..3_000)) {
            check_all(&values);
        }
    }
}
