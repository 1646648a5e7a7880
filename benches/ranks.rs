//! CPU time and bytes exchanged by statistics across 1, 2, 4 and 8 ranks, which are threads of this
//! process, and the time that a formula expects from them on a cluster.
//!
//! Run with `cargo bench --bench ranks`, which takes a minute and 1 GiB of disk. It prints three
//! Markdown tables: the CPU time, the exchanges, and the expected time for 100 TiB. The CPU time
//! of all ranks together shows the cost of the division into ranks. The elapsed time of threads on
//! one machine would not.
#![allow(unsafe_code, reason = "creates files")]

use std::hint::black_box;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::prelude::*;
use ndarray_mmap::distributed::{Communicator, ThreadCommunicator};
use ndarray_mmap::stats::Interpolation::Linear;
use ndarray_mmap::{Chunked, MmapArrayMut, Result, prelude::*};

const ROWS: usize = 1 << 21;
const COLUMNS: usize = 64;
const ELEMENTS: f64 = (ROWS * COLUMNS) as f64;
const GIB: f64 = (1_u64 << 30) as f64;
const SIZES: [usize; 4] = [1, 2, 4, 8];

/// The assumed cluster. None of its properties is measured.
mod assumed {
    pub(crate) const DATA_GIB: f64 = 100.0 * 1024.0;
    pub(crate) const CORES_OF_NODE: f64 = 64.0;
    pub(crate) const READ_GIB_PER_SECOND_OF_NODE: f64 = 2.0;
    pub(crate) const READ_GIB_PER_SECOND_OF_ALL_NODES: f64 = 500.0;
    pub(crate) const LATENCY_SECONDS: f64 = 10e-6;
    pub(crate) const NETWORK_GIB_PER_SECOND: f64 = 10.0;
    pub(crate) const NODES: [usize; 4] = [1, 10, 100, 1000];
}

/// Properties of the selection of a median, from its implementation.
#[derive(Clone, Copy)]
struct Selection {
    /// The number of elements of the first sample.
    sample: f64,
    /// The largest number of elements that a pass keeps.
    capacity: f64,
}

impl Selection {
    const WITHOUT_LIMIT: Self = Self { sample: (1 << 20) as f64, capacity: (1 << 22) as f64 };
    const WITHIN_16_MIB: Self = Self { sample: 65_536.0, capacity: 196_608.0 };

    /// Returns the number of passes over a number of elements, and an upper bound of the number of
    /// elements that ranks exchange.
    fn passes(self, elements: f64) -> (f64, f64) {
        let (mut inside, mut sample) = (elements, self.sample);
        let (mut passes, mut exchanged) = (0.0, self.sample);
        loop {
            // A bracket extends over 4 standard deviations of the rank of the median in the sample,
            // on both sides.
            inside *= 4.0 / f64::sqrt(sample);
            passes += 1.0;
            exchanged += inside.min(self.capacity);
            if inside <= self.capacity {
                return (passes, exchanged);
            }
            // Between half of the capacity and all of it is kept.
            sample = self.capacity / 2.0;
        }
    }
}

/// Counts exchanges, and the bytes that this rank receives.
struct Counting<'w> {
    world: &'w dyn Communicator,
    exchanges: AtomicUsize,
    bytes: AtomicUsize,
}

impl Communicator for Counting<'_> {
    fn rank(&self) -> usize {
        self.world.rank()
    }

    fn size(&self) -> usize {
        self.world.size()
    }

    fn all_gather(&self, message: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let messages = self.world.all_gather(message)?;
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(messages.iter().map(Vec::len).sum(), Ordering::Relaxed);
        Ok(messages)
    }
}

/// Returns the CPU time of this process in seconds.
fn cpu_seconds() -> f64 {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    }
    #[cfg(not(unix))]
    f64::NAN
}

fn used<R>(result: R) {
    black_box(result);
}

type Operation = fn(Chunked<'_, ArrayView2<'_, f64>>) -> Result<()>;

/// The growth of the bytes that a rank receives.
#[derive(Clone, Copy)]
enum Exchange {
    /// One message of each rank, with accumulators.
    Accumulators,
    /// One message of each rank for each of two passes.
    Histogram,
    /// A bounded number of elements of all ranks for each pass.
    Median(Selection),
}

/// The cost of an operation on 1 GiB for each of the [`SIZES`].
struct Cost {
    cpu_seconds: [f64; 4],
    exchanges: usize,
    bytes: [usize; 4],
}

/// Measures the least CPU time of five runs, and the messages.
fn measure(table: &ArrayRef2<f64>, operation: Operation) -> Result<Cost> {
    let mut cost = Cost { cpu_seconds: [f64::INFINITY; 4], exchanges: 0, bytes: [0; 4] };
    for (index, size) in SIZES.into_iter().enumerate() {
        for _ in 0..5 {
            let start = cpu_seconds();
            let counts = ThreadCommunicator::run(size, |world| {
                let world = Counting { world, exchanges: 0.into(), bytes: 0.into() };
                operation(table.chunked().across(&world))?;
                let counts = (world.exchanges.into_inner(), world.bytes.into_inner());
                Ok::<_, ndarray_mmap::Error>(counts)
            });
            let seconds = cpu_seconds() - start;
            cost.cpu_seconds[index] = cost.cpu_seconds[index].min(seconds);
            (cost.exchanges, cost.bytes[index]) = counts.into_iter().next().expect("a rank")?;
        }
    }
    Ok(cost)
}

/// Returns the expected number of bytes that a rank of several receives.
fn expected_bytes(exchange: Exchange, cost: &Cost, size: usize) -> f64 {
    match exchange {
        Exchange::Accumulators | Exchange::Histogram => (cost.bytes[0] * size) as f64,
        Exchange::Median(selection) => 8.0 * selection.passes(ELEMENTS).1,
    }
}

/// Returns the expected time on a number of nodes in seconds, and the bytes that a rank receives.
fn expected_seconds(exchange: Exchange, cost: &Cost, nodes: usize) -> (f64, f64) {
    use assumed::*;
    let n = nodes as f64;
    let elements = DATA_GIB * GIB / 8.0;
    // A rank that has no power of two of blocks sends two accumulators for each level of the tree.
    let accumulators = if nodes == 1 { 1.0 } else { 2.0 * (DATA_GIB * GIB / 65536.0 / n).log2() };
    let messages = n * cost.bytes[0] as f64;
    let measured_exchanges = cost.exchanges as f64;
    let (measured_passes, passes, exchanges, bytes) = match exchange {
        Exchange::Accumulators => (1.0, 1.0, measured_exchanges, accumulators * messages),
        Exchange::Histogram => (2.0, 2.0, measured_exchanges, messages),
        Exchange::Median(selection) => {
            let (passes, exchanged) = selection.passes(elements);
            (selection.passes(ELEMENTS).0, passes, 5.0 + 2.0 * passes, 8.0 * exchanged)
        }
    };
    let read =
        passes * DATA_GIB / (n * READ_GIB_PER_SECOND_OF_NODE).min(READ_GIB_PER_SECOND_OF_ALL_NODES);
    let compute = passes / measured_passes * cost.cpu_seconds[0] * DATA_GIB / (n * CORES_OF_NODE);
    let exchange = exchanges * LATENCY_SECONDS * n.log2() + bytes / GIB / NETWORK_GIB_PER_SECOND;
    (read + compute + exchange, bytes)
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut table = MmapArrayMut::<f64, _>::scratch((ROWS, COLUMNS))?;
    table.chunked_mut().indexed().par_for_each(|(region, mut rows)| {
        let mut state = region.index() as u64;
        rows.iter_mut().for_each(|x| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *x = (state >> 11) as f64 / (1_u64 << 53) as f64;
        });
    })?;
    let operations: [(&str, Option<Exchange>, Operation); 7] = [
        ("`sum`", Some(Exchange::Accumulators), |c| c.sum().map(used)),
        ("`summary`", Some(Exchange::Accumulators), |c| c.summary().map(used)),
        ("`std_axis(Axis(0))`, 64 lanes", Some(Exchange::Accumulators), |c| {
            c.std_axis(Axis(0), 0.0).map(used)
        }),
        ("`histogram(100)`", Some(Exchange::Histogram), |c| c.histogram(100).map(used)),
        ("`quantile(0.5)`", Some(Exchange::Median(Selection::WITHOUT_LIMIT)), |c| {
            c.quantile(0.5, Linear).map(used)
        }),
        ("`quantile(0.5)` within 16 MiB", Some(Exchange::Median(Selection::WITHIN_16_MIB)), |c| {
            c.memory_limit(16 << 20).quantile(0.5, Linear).map(used)
        }),
        ("five quantiles", None, |c| c.quantiles(&[0.01, 0.25, 0.5, 0.75, 0.99], Linear).map(used)),
    ];
    let costs: Result<Vec<_>> =
        operations.iter().map(|&(.., operation)| measure(&table, operation)).collect();
    let costs = costs?;

    println!("| CPU s / GiB | 1 rank | 2 ranks | 4 ranks | 8 ranks |\n|---|---|---|---|---|");
    for ((name, ..), cost) in operations.iter().zip(&costs) {
        let [one, two, four, eight] = cost.cpu_seconds;
        println!("| {name} | {one:.3} | {two:.3} | {four:.3} | {eight:.3} |");
    }

    println!(
        "\n| bytes received | exchanges | 1 rank | 2 ranks | 4 ranks | 8 ranks | formula, 8 ranks |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (&(name, exchange, _), cost) in operations.iter().zip(&costs) {
        let expected = exchange.map(|exchange| expected_bytes(exchange, cost, 8));
        let expected = expected.map_or(String::new(), |bytes| format!("{bytes:.0}"));
        let [one, two, four, eight] = cost.bytes;
        let exchanges = cost.exchanges;
        println!("| {name} | {exchanges} | {one} | {two} | {four} | {eight} | {expected} |");
    }

    println!(
        "\n| 100 TiB | 1 node | 10 nodes | 100 nodes | 1,000 nodes | received at 1,000 nodes |"
    );
    println!("|---|---|---|---|---|---|");
    for (&(name, exchange, _), cost) in operations.iter().zip(&costs) {
        if let Some(exchange) = exchange {
            let at = assumed::NODES.map(|nodes| expected_seconds(exchange, cost, nodes));
            let [one, ten, hundred, thousand] = at.map(|(seconds, _)| duration(seconds));
            let megabytes = at[3].1 / 1e6;
            println!("| {name} | {one} | {ten} | {hundred} | {thousand} | {megabytes:.1} MB |");
        }
    }
    Ok(())
}
