//! Counting selection among elements of one or two bytes: exact, usually in one pass and at most in
//! two.
//!
//! Two values of a sample bracket each rank. One vectorized pass counts the elements below the
//! bracket. The elements inside, of which there should be few, are counted by value, and in brackets
//! of few values by comparisons. If a rank misses its bracket, or there are too many elements
//! inside, a pass counts the elements by value for all values.
#![forbid(unsafe_code)]

use super::distinct;
use super::value_source::ValueSource;
use crate::chunked::run_across;
use crate::distributed::{impl_message, pass_key};
use crate::error::Result;
use crate::stats::element::Element;
use crate::stats::kernels::{
    self, CHUNK_BYTES, MAX_COMPARED, count_inside, count_keys, count_up_to, from_ordered_bits, key,
    keys_of, tables_of,
};
use crate::stats::quantile::QuantilePositions;

/// Returns the minimum number of elements for which a table of all values is worthwhile.
const fn min_count<A>() -> u64 {
    if size_of::<A>() == 1 { 1 << 12 } else { 1 << 17 }
}

/// The maximum number of brackets; beyond it, counting all values is faster.
const MAX_BRACKETS: usize = 10;

/// Elements inside brackets are only counted by value if they are at most this fraction (as a
/// divisor) of all elements.
const TABLE_DIVISOR: usize = 16;

/// A value at an end of a bracket is frequent, and therefore counted by comparisons, if its share of
/// all elements exceeds this fraction (as a divisor).
const FREQUENT_DIVISOR: usize = 128;

/// Returns the bytes of the tables of all threads, and of the result.
pub(in crate::stats) fn min_bytes<A>(threads: usize) -> usize {
    if size_of::<A>() > 2 {
        return 0;
    }
    (threads * tables_of::<A>() + 1).saturating_mul(keys_of::<A>() * size_of::<u64>())
}

/// Returns whether counting selection applies: elements are small, there are enough of them, and
/// the tables of all threads fit in memory.
pub(in crate::stats) fn is_by_value<A>(count: u64, bytes: usize, threads: usize) -> bool {
    size_of::<A>() <= 2 && count >= min_count::<A>() && bytes >= min_bytes::<A>(threads)
}

/// The first and the last key of a bracket.
type Bracket = (u16, u16);

/// Returns the brackets to count in, as keys; `None` if counting all values is faster.
fn plan<A: Element>(brackets: &[(A, A)], sample: &[A]) -> Option<Vec<Bracket>> {
    let mut keys: Vec<Bracket> = Vec::new();
    let mut inside = 0;
    for (low, high) in distinct(brackets.iter().copied()) {
        let (mut low, mut high) = (key(low), key(high));
        if size_of::<A>() == 1 {
            // Several brackets without a table are faster than a table.
            let last = |first| high.min(first + (MAX_COMPARED as u16 - 1));
            keys.extend((low..=high).step_by(MAX_COMPARED).map(|first| (first, last(first))));
            continue;
        }
        let [below_low, up_to_low] = count_below_and_up_to(low, sample);
        let [below_high, up_to_high] = count_below_and_up_to(high, sample);
        let mut between = up_to_high - below_low;
        for (end, count) in [(low, up_to_low - below_low), (high, up_to_high - below_high)] {
            if table_len((low, high)) > 0 && count > (sample.len() / FREQUENT_DIVISOR) as u64 {
                keys.push((end, end));
                (low, high) = if end == low { (low + 1, high) } else { (low, high - 1) };
                between -= count;
            }
        }
        keys.push((low, high));
        inside += if table_len((low, high)) > 0 { between } else { 0 };
    }
    keys.sort_unstable();
    keys.dedup();
    let tables = keys.iter().map(|&bracket| table_len(bracket)).sum::<usize>();
    let is_fast = keys.len() <= MAX_BRACKETS
        && tables <= keys_of::<A>()
        && inside <= (sample.len() / TABLE_DIVISOR) as u64;
    is_fast.then_some(keys)
}

/// Returns the numbers of elements whose keys are below a key, and at most that key.
fn count_below_and_up_to<A: Element>(key: u16, elements: &[A]) -> [u64; 2] {
    let mut counts = Default::default();
    count_up_to(elements, (key, key), &mut counts);
    [counts[0], counts[1]]
}

/// Returns the number of values that are counted in a table: all values of a bracket, unless each
/// element is compared with all of them.
fn table_len((low, high): Bracket) -> usize {
    match usize::from(high - low) + 1 {
        0..=MAX_COMPARED => 0,
        len => len,
    }
}

/// The counts of a bracket.
struct Counted {
    /// The number of elements below the first value, and without a table the number of elements not
    /// above each value.
    up_to: [u64; MAX_COMPARED + 1],
    /// The number of elements of each value, if there are too many values for comparisons.
    table: Vec<u64>,
}

impl_message! { Counted { up_to, table } }

impl Counted {
    fn new(bracket: Bracket) -> Self {
        Self { up_to: [0; MAX_COMPARED + 1], table: vec![0; table_len(bracket)] }
    }

    fn count<A: Element>(&mut self, elements: &[A], bracket: Bracket) {
        if self.table.is_empty() {
            count_up_to(elements, bracket, &mut self.up_to);
        } else {
            count_inside(elements, bracket, &mut self.up_to[0], &mut self.table);
        }
    }

    /// Returns the key of a rank inside the bracket; `None` if the rank is below or above it.
    fn find(&self, (low, _): Bracket, rank: u64) -> Option<u16> {
        let index = if self.table.is_empty() {
            self.up_to.iter().position(|&count| rank < count)?.checked_sub(1)?
        } else {
            let rank = rank.checked_sub(self.up_to[0])?;
            (rank < self.table.iter().sum()).then(|| find(&self.table, rank).0)?
        };
        Some(low + index as u16)
    }
}

/// Returns the index of a rank in a table of counts, and the number of elements before that index.
fn find(table: &[u64], rank: u64) -> (usize, u64) {
    let mut index = 0;
    let mut below = 0;
    // The file may be modified concurrently, so the counts may be lower.
    while index + 1 < table.len() && below + table[index] <= rank {
        below += table[index];
        index += 1;
    }
    (index, below)
}

/// Selects the values at positions, which are computed from the number of NaNs. They are first
/// searched in brackets of a sample, if given.
pub(in crate::stats) fn select_by_value<A: Element>(
    source: &impl ValueSource<A>,
    brackets: Option<Vec<(A, A)>>,
    sample: Vec<A>,
    positions: impl Fn(u64) -> Result<QuantilePositions>,
) -> Result<(QuantilePositions, Vec<A>)> {
    let brackets = brackets.and_then(|brackets| plan(&brackets, &sample));
    drop(sample);
    if let Some(brackets) = brackets {
        let (counted, nans) = count_in_brackets(source, &brackets)?;
        let positions = positions(nans)?;
        let value = |&rank: &u64| {
            let key = brackets
                .iter()
                .zip(&counted)
                .find_map(|(&bracket, counted)| counted.find(bracket, rank));
            key.map(from_ordered_bits)
        };
        if let Some(values) = positions.ranks.iter().map(value).collect() {
            return Ok((positions, values));
        }
    }
    let table = count_values(source)?;
    let (value_counts, nans) = table.split_at(usize::from(key(A::RANGE.1)) + 1);
    let positions = positions(nans.iter().sum())?;
    let mut first = 0;
    let mut below = 0;
    let value = |&rank: &u64| {
        let (index, before) = find(&value_counts[first..], rank - below);
        (first, below) = (first + index, below + before);
        from_ordered_bits(first as u16)
    };
    let values = positions.ranks.iter().map(value).collect();
    Ok((positions, values))
}

/// Counts the elements of each bracket, and the NaNs.
fn count_in_brackets<A: Element>(
    source: &impl ValueSource<A>,
    brackets: &[Bracket],
) -> Result<(Vec<Counted>, u64)> {
    let new = || (brackets.iter().map(|&bracket| Counted::new(bracket)).collect::<Vec<_>>(), 0);
    let push = |(counted, nans): &mut (Vec<Counted>, u64), elements: &[A]| {
        for chunk in elements.chunks(CHUNK_BYTES / size_of::<A>()) {
            for (counted, &bracket) in counted.iter_mut().zip(brackets) {
                counted.count(chunk, bracket);
            }
            *nans += if A::HAS_NAN { kernels::count_nan(chunk) } else { 0 };
        }
    };
    let add = |(mut all, nans): (Vec<Counted>, u64), (part, more): (Vec<Counted>, u64)| {
        for (all, part) in all.iter_mut().zip(part) {
            all.up_to.iter_mut().zip(part.up_to).for_each(|(all, part)| *all += part);
            all.table.iter_mut().zip(part.table).for_each(|(all, part)| *all += part);
        }
        (all, nans + more)
    };
    let key = pass_key("counts in brackets", &(brackets.to_vec(), source.items()));
    run_across(source.ranks(), key, source.items(), &add, &|part| {
        Ok(source.run(part, new, push)?.into_iter().fold(new(), add))
    })
}

/// Counts the elements by key.
fn count_values<A: Element>(source: &impl ValueSource<A>) -> Result<Vec<u64>> {
    let add = |all: &mut [u64], table: &[u64]| {
        all.iter_mut().zip(table).for_each(|(all, count)| *all += count);
    };
    let run = |part| {
        let parts = source.run(
            part,
            || vec![0; tables_of::<A>() * keys_of::<A>()],
            |tables, elements| count_keys(elements, tables),
        )?;
        let mut all = vec![0; keys_of::<A>()];
        for table in parts.iter().flat_map(|tables| tables.chunks_exact(keys_of::<A>())) {
            add(&mut all, table);
        }
        Ok(all)
    };
    let merge = |mut all: Vec<u64>, table: Vec<u64>| {
        add(&mut all, &table);
        all
    };
    let key = pass_key("counts of values", &source.items());
    run_across(source.ranks(), key, source.items(), &merge, &run)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::quantile::Interpolation;
    use crate::stats::selection::slices::Slices;
    use crate::stats::selection::{brackets, order};

    /// Selects with a sample, from which the brackets come or which they miss, and returns the
    /// number of passes.
    #[track_caller]
    fn check<A: Element>(
        elements: &[A],
        sample: &[A],
        guesses: Option<Vec<(A, A)>>,
        fractions: &[f64],
    ) -> usize {
        let mut sorted: Vec<_> =
            elements.iter().copied().filter(|element| !element.is_nan()).collect();
        sorted.sort_by(order);
        let source = Slices::new(elements, 20_011);
        let positions = |nans| {
            assert_eq!(nans, (elements.len() - sorted.len()) as u64);
            Ok(QuantilePositions::new(
                fractions,
                elements.len() as u64 - nans,
                Interpolation::Linear,
            ))
        };
        let (positions, found) =
            select_by_value(&source, guesses, sample.to_vec(), positions).unwrap();
        let expected: Vec<_> = positions.ranks.iter().map(|&rank| sorted[rank as usize]).collect();
        assert!(found == expected, "{found:?}, not {expected:?}");
        source.passes()
    }

    /// Selects with brackets from a sample, with arbitrary ones, with one of all values, and
    /// without.
    fn check_all<A: Element>(elements: &[A], ends: &[(u16, u16)]) {
        let mut sample: Vec<_> =
            elements.iter().copied().step_by(3).filter(|element| !element.is_nan()).collect();
        if elements.iter().all(|element| element.is_nan()) {
            return;
        }
        sample.truncate(2_000);
        let last = u32::from(key(A::RANGE.1)) + 1;
        let ends =
            ends.iter().map(|&(a, b)| ((u32::from(a) % last) as u16, (u32::from(b) % last) as u16));
        let any: Vec<_> =
            ends.map(|(a, b)| (from_ordered_bits(a.min(b)), from_ordered_bits(a.max(b)))).collect();
        for fractions in [&[0.5][..], &[0.0, 1.0], &[0.01, 0.3, 0.31, 0.5, 0.77, 0.999]] {
            for guesses in [brackets(fractions, &sample, 100), any.clone(), vec![A::RANGE]] {
                for sample in [&sample[..], &[]] {
                    assert!(check(elements, sample, Some(guesses.clone()), fractions) <= 2);
                }
            }
            assert_eq!(check(elements, &[], None, fractions), 1);
        }
    }

    #[test]
    fn one_pass_with_representative_sample() {
        fn check_one<A: Element>(elements: &[A]) {
            let sample: Vec<_> = elements.iter().copied().step_by(7).collect();
            for fractions in [&[0.5][..], &[0.0], &[1.0], &[0.1, 0.5, 0.9]] {
                assert_eq!(
                    check(elements, &sample, Some(brackets(fractions, &sample, 1_000)), fractions),
                    1
                );
            }
        }
        let noise = |i: u64| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u16;
        let all: Vec<_> = (0..300_000).map(noise).collect();
        check_one(&all);
        check_one(&all.iter().map(|&x| x as i16).collect::<Vec<_>>());
        check_one(&all.iter().map(|&x| x as u8).collect::<Vec<_>>());
        check_one(&all.iter().map(|&x| x as i8).collect::<Vec<_>>());
        // Few distinct values, and one that half of the elements have.
        check_one(&all.iter().map(|&x| (x as i16) >> 6).collect::<Vec<_>>());
        check_one(&all.iter().map(|&x| (x as i16).max(0)).collect::<Vec<_>>());
        check_one(&all.iter().map(|&x| (x as i16).min(0)).collect::<Vec<_>>());
        check_one(&vec![i16::MIN; 300_000]);
        check_one(&vec![u8::MAX; 300_000]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..Default::default() })]
        #[test]
        fn selection_equals_sorting(
            values in prop::collection::vec(prop_oneof![any::<u16>(), 0_u16..300, 0x7BF0_u16..0x7C10, Just(7)], 1..3_000),
            repeats in 1_usize..20,
            ends in prop::collection::vec((any::<u16>(), any::<u16>()), 1..5),
        ) {
            let values = values.repeat(repeats);
            check_all(&values, &ends);
            check_all(&values.iter().map(|&x| x as i16).collect::<Vec<_>>(), &ends);
            check_all(&values.iter().map(|&x| x as u8).collect::<Vec<_>>(), &ends);
            check_all(&values.iter().map(|&x| x as i8).collect::<Vec<_>>(), &ends);
            #[cfg(feature = "half")]
            check_all(&values.iter().map(|&x| half::f16::from_bits(x)).collect::<Vec<_>>(), &ends);
            #[cfg(feature = "half")]
            check_all(&values.iter().map(|&x| half::bf16::from_bits(x)).collect::<Vec<_>>(), &ends);
        }
    }
}
