//! Partitions: all operations take the same elements, for any order, memory limit and number of
//! threads.

use ndarray::prelude::*;
use ndarray_mmap::stats::{Bins, Interpolation};
use ndarray_mmap::{Accumulator, MmapArrayMut, Result, prelude::*};

use crate::support::on_threads;

/// Collects all elements.
struct Elements(Vec<f32>);

impl Accumulator<f32> for Elements {
    fn push(&mut self, &element: &f32) {
        self.0.push(element);
    }

    fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// Compares operations on a partition with its elements as `accumulate` returns them.
fn check(view: ArrayView2<'_, f32>, (index, count): (usize, usize), limit: usize) -> Result<usize> {
    let part = || view.chunked().partition(index, count).memory_limit(limit);
    let mut expected = part().accumulate(|| Elements(Vec::new()))?.0;
    if expected.is_empty() {
        return Ok(0);
    }
    expected.sort_unstable_by(f32::total_cmp);
    let (min, max) = (expected[0], expected[expected.len() - 1]);
    let name = format!("{index} of {count}, limit {limit}, {:?}", view.strides());

    assert_eq!(part().count_where(|_| true)?, expected.len(), "{name}");
    assert_eq!((part().min()?, part().max()?), (min, max), "{name}");
    let (first, last) = (part().argmin()?, part().argmax()?);
    assert_eq!((view[first], view[last]), (min, max), "{name}");

    let mut found = part().argwhere(usize::MAX, |_| true)?;
    assert!(found.iter().all(|&(at, element)| view[at] == element), "{name}");
    // The first ones are the first of all.
    let middle = expected[expected.len() / 2];
    let all: Vec<_> = found.iter().filter(|&&(_, x)| x > middle).take(7).copied().collect();
    assert_eq!(part().argwhere(7, |&x| x > middle)?, all, "{name}");
    found.sort_unstable_by(|(_, a), (_, b)| a.total_cmp(b));
    assert!(found.iter().map(|&(_, x)| x).eq(expected.iter().copied()), "{name}");

    let qs: Vec<_> = (0..=20).map(|i| f64::from(i) / 20.0).collect();
    let quantiles = part().quantiles(&qs, Interpolation::Lower)?;
    let rank = |q: f64| ((expected.len() - 1) as f64 * q + 1e-9) as usize;
    assert_eq!(quantiles, qs.iter().map(|&q| expected[rank(q)]).collect::<Vec<_>>(), "{name}");

    for bins in [Bins::auto(5), Bins::uniform(5, f64::from(min)..=f64::from(max))] {
        let histogram = part().histogram(bins)?;
        assert_eq!(histogram.counts().iter().sum::<u64>(), expected.len() as u64, "{name}");
    }
    let pairs = part().and(&view)?.histogram2d(3, 4)?;
    assert_eq!(pairs.counts().sum(), expected.len() as u64, "{name}");
    Ok(expected.len())
}

#[test]
fn all_operations_see_the_same_elements_of_a_partition() -> Result<()> {
    let mut table = MmapArrayMut::<f32, _>::scratch((6_007, 517))?;
    table
        .indexed_iter_mut()
        .for_each(|((i, j), x)| *x = ((i * 7_919 + j * 104_729) % 65_537) as f32);
    let table = table.freeze()?;
    let columns = table.slice(s![.., 300..301]);
    let views = [
        table.slice(s![..250;-1, ..]),
        table.slice(s![..500, ..;-3]),
        table.slice(s![..600;-2, ..;-5]).reversed_axes(),
        table.slice(s![..200, ..]),
        columns,
        table.slice(s![..;-1, 300..301]),
    ];
    for view in views {
        for limit in [usize::MAX, 16 << 20, 5 << 20] {
            for threads in [1, 3] {
                let lens: Result<usize> = on_threads(threads, || {
                    (0..3).map(|index| check(view, (index, 3), limit)).sum()
                });
                assert_eq!(lens?, view.len(), "limit {limit}, {:?}", view.strides());
            }
        }
    }
    Ok(())
}
