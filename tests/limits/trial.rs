//! A round in this process: its results and its costs.

use std::path::Path;
use std::sync::atomic::AtomicUsize;

use ndarray::{ArrayView, Axis, IxDyn};
use ndarray_mmap::{Error, ErrorKind};

use crate::arrays::Mapped;
use crate::cost::{NOISE, PAGE, cost, pages};
use crate::elements::Item;
use crate::operations::{Answer, Call, Chunks, Of};
use crate::round::{Memory, Round};

/// The number of attempts with the limit of the previous error: operations with two kinds of passes
/// may take two.
const MOST_STEPS: usize = 3;

/// The page faults of the heap, of stacks and of the program itself.
const OTHER_FAULTS: usize = 1_000;

/// Returns a line about a correct round, or the fault found.
pub fn check(round: &Round) -> Result<String, String> {
    match (round.operation().of, round.item) {
        (Of::Places | Of::Chunks, "u8") => check_of::<u8>(round, |call| call.of_any_type()),
        (Of::Places | Of::Chunks, _) => check_of::<f64>(round, |call| call.of_any_type()),
        (_, "u8") => check_of::<u8>(round, |call| call.statistic()),
        (_, "i16") => check_of::<i16>(round, |call| call.statistic()),
        (_, "f32") => check_of::<f32>(round, |call| call.statistic()),
        (_, "f64") => check_of::<f64>(round, |call| call.statistic()),
        (_, "i64") => check_of::<i64>(round, |call| call.statistic()),
        (_, item) => panic!("no type {item}"),
    }
}

/// The outcome of a call. Errors must be equal as well.
type Outcome = Result<Answer, String>;

fn named(error: &Error) -> String {
    format!("{:?}", error.kind())
}

fn check_of<A: Item>(
    round: &Round,
    run: impl Fn(&Call<'_, A>) -> Result<Answer, Error> + Sync,
) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = |array: usize| dir.path().join(format!("{array}"));
    let expected = {
        let elements: Vec<Vec<A>> =
            round.layouts.iter().map(|layout| layout.elements(&round.shape)).collect();
        let arrays = round.layouts.iter().zip(&elements);
        let views = arrays
            .map(|(layout, elements)| layout.view(layout.in_memory(&round.shape, elements)))
            .collect();
        for (array, (layout, elements)) in round.layouts.iter().zip(&elements).enumerate() {
            layout.write(&path(array), &round.shape, elements);
        }
        let chunks =
            if round.operation().of == Of::Chunks { &round.chunks } else { &Chunks::Default(None) };
        let expected = call(round, views, chunks, None, None);
        let outcome = in_pool(1, || run(&expected)).map_err(|error| named(&error));
        plain_loop(&expected, &outcome)?;
        outcome
    };
    let mapped: Vec<Mapped<A>> = (0..round.layouts.len())
        .map(|array| round.layouts[array].open(&path(array), &round.shape))
        .collect();
    let views = || -> Vec<_> {
        round
            .layouts
            .iter()
            .zip(&mapped)
            .map(|(layout, mapped)| layout.view(mapped.array()))
            .collect()
    };
    let run_within = |memory: Option<usize>| {
        let call = call(round, views(), &round.chunks, Some(dir.path()), memory);
        let _ = std::fs::remove_file(dir.path().join("written"));
        let (outcome, cost) = cost(|| in_pool(round.threads, || run(&call)));
        (outcome, cost, call.processed.into_inner())
    };

    let needed = |first: usize| -> Result<usize, String> {
        let mut memory = first;
        for _ in 0..=MOST_STEPS {
            match run_within(Some(memory)).0.as_ref().map_err(Error::kind) {
                Err(ErrorKind::MemoryLimitExceeded { needed, limit, .. })
                    if *limit == memory && *needed > memory =>
                {
                    memory = *needed
                }
                Err(kind @ ErrorKind::MemoryLimitExceeded { .. }) => {
                    return Err(format!("with {memory} bytes of memory: {kind:?}"));
                }
                _ => return Ok(memory),
            }
        }
        Err(format!("{memory} bytes were asked for, but more are needed"))
    };
    let limits = match round.memory {
        Memory::Unlimited => vec![None],
        Memory::Smallest => {
            let needed = needed(1)?;
            vec![Some(needed - 1), Some(needed)]
        }
        Memory::Times(times) => vec![Some((needed(1)? as f64 * times) as usize)],
    };
    let mut line = String::new();
    for limit in limits {
        let what =
            limit.map_or("without a limit".to_owned(), |limit| format!("within {limit} bytes"));
        let (outcome, mut cost, processed) = run_within(limit);
        if matches!(
            outcome.as_ref().map_err(Error::kind),
            Err(ErrorKind::MemoryLimitExceeded { .. })
        ) {
            if matches!(round.memory, Memory::Smallest)
                && limit.is_some_and(|limit| needed(limit) != Ok(limit))
            {
                continue; // one byte less than needed
            }
            return Err(format!("{what}: {}", outcome.unwrap_err()));
        }
        let outcome: Outcome = outcome.map_err(|error| named(&error));
        if outcome != expected {
            return Err(format!("{what}: {outcome:x?} instead of {expected:x?}"));
        }
        let results = outcome.as_ref().map_or(0, |answer| answer.bytes);
        if let Some(limit) = limit {
            // Code and stacks become resident in the first call, and the noise is random.
            for _ in 0..3 {
                if cost.peak > limit + results + NOISE {
                    cost = run_within(Some(limit)).1;
                }
            }
            if cost.peak > limit + results + NOISE {
                return Err(format!("{what}: {} bytes resident", cost.peak));
            }
        }
        let elements = round.shape.iter().product::<usize>();
        if processed > round.operation().passes * elements {
            return Err(format!("{what}: {processed} elements processed, of {elements}"));
        }
        let pages = pages_of(round, views());
        line += &format!(
            "{} limit {} peak {} faults {} pages {pages} passes {:.2}; ",
            round.operation().name,
            limit.unwrap_or(0) >> 10,
            cost.peak >> 10,
            cost.faults,
            processed as f64 / elements as f64,
        );
        // Each page once in each pass, and the pages of buffers and results. (Several pages may
        // take one fault.)
        let passes = processed.div_ceil(elements).max(1);
        if !round.is_mixed()
            && cost.faults > passes * pages + 2 * (cost.peak + results) / PAGE + OTHER_FAULTS
        {
            return Err(format!(
                "{what}: {} page faults; {pages} pages in {passes} passes",
                cost.faults
            ));
        }
    }
    Ok(line)
}

fn call<'a, A>(
    round: &'a Round,
    views: Vec<ArrayView<'a, A, IxDyn>>,
    chunks: &'a Chunks,
    dir: Option<&'a Path>,
    memory: Option<usize>,
) -> Call<'a, A> {
    Call {
        name: round.operation().name,
        views,
        axis: Axis(round.axis),
        chunks,
        skip_nan: round.skip_nan,
        seed: round.seed,
        order: &round.order,
        dir,
        memory,
        processed: AtomicUsize::new(0),
    }
}

/// Returns the number of pages that the arrays of a round touch, chunk by chunk for operations on
/// chunks.
fn pages_of<A: Item>(round: &Round, views: Vec<ArrayView<'_, A, IxDyn>>) -> usize {
    let strides: Vec<Vec<isize>> = views.iter().map(|view| view.strides().to_vec()).collect();
    let of = |lens: &[usize]| {
        strides.iter().map(|strides| pages(lens, strides, size_of::<A>())).sum::<usize>()
    };
    // Written once (chunk by chunk in the order of another array), and read.
    let written = if round.writes() {
        2 * of(&round.shape) + 2 * round.shape.iter().product::<usize>() * 8 / PAGE
    } else {
        0
    };
    if round.operation().of != Of::Chunks {
        return of(&round.shape) + written;
    }
    let call = call(round, views, &round.chunks, None, None);
    let places = call.chunked().indexed().try_iter().unwrap();
    places
        .map(|chunk| of(&chunk.unwrap().0.ranges().map(|range| range.len()).collect::<Vec<_>>()))
        .sum::<usize>()
        + written
}

/// Sums of integers are exact, and integers have an order.
fn plain_loop<A: Item>(call: &Call<'_, A>, outcome: &Outcome) -> Result<(), String> {
    let all = || call.views[0].iter().filter_map(|x| x.integer());
    if all().next().is_none() {
        return Ok(());
    }
    let found = match call.name {
        "sum" => all().sum::<i128>(),
        "min" => all().min().unwrap(),
        "max" => all().max().unwrap(),
        _ => return Ok(()),
    };
    match outcome {
        Ok(answer)
            if answer.first[0] == crate::elements::Bits::bits(found)
                || (call.name != "sum" && answer.first[0] == found as u64) =>
        {
            Ok(())
        }
        _ => Err(format!("in memory: {outcome:?} instead of {found}")),
    }
}

#[cfg(feature = "rayon")]
fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    use std::sync::LazyLock;
    static POOLS: LazyLock<Vec<rayon::ThreadPool>> = LazyLock::new(|| {
        (1..=4)
            .map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
            .collect()
    });
    POOLS[threads - 1].install(work)
}

#[cfg(not(feature = "rayon"))]
fn in_pool<R>(_threads: usize, work: impl FnOnce() -> R) -> R {
    work()
}
