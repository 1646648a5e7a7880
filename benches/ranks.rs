//! CPU time and bytes exchanged by statistics across 1, 2, 4 and 8 ranks, which are threads of this
//! process.
//!
//! Run with `cargo bench --bench ranks`, which takes a minute and 1 GiB of disk. The CPU time
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

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut table = MmapArrayMut::<f64, _>::scratch((ROWS, COLUMNS))?;
    table.chunked_mut().indexed().par_for_each(|(region, mut rows)| {
        let mut state = region.index() as u64;
        rows.iter_mut().for_each(|x| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *x = (state >> 11) as f64 / (1_u64 << 53) as f64;
        });
    })?;
    let operations: [(&str, Operation); 6] = [
        ("mean", |c| c.mean().map(used)),
        ("summary", |c| c.summary().map(used)),
        ("mean_axis(Axis(0))", |c| c.mean_axis(Axis(0)).map(used)),
        ("histogram(100)", |c| c.histogram(100).map(used)),
        ("quantile(0.5)", |c| c.quantile(0.5, Linear).map(used)),
        ("five quantiles", |c| c.quantiles(&[0.01, 0.25, 0.5, 0.75, 0.99], Linear).map(used)),
    ];
    println!(
        "{:20} {:>5} {:>12} {:>9} {:>16}",
        "", "ranks", "CPU s / GiB", "exchanges", "bytes received"
    );
    for (name, operation) in operations {
        for size in [1, 2, 4, 8] {
            let start = cpu_seconds();
            let counts = ThreadCommunicator::run(size, |world| {
                let world = Counting { world, exchanges: 0.into(), bytes: 0.into() };
                operation(table.chunked().across(&world))?;
                Ok::<_, ndarray_mmap::Error>((
                    world.exchanges.into_inner(),
                    world.bytes.into_inner(),
                ))
            });
            let seconds = cpu_seconds() - start;
            let (exchanges, bytes) = counts.into_iter().next().expect("a rank")?;
            println!("{name:20} {size:5} {seconds:12.3} {exchanges:9} {bytes:16}");
        }
    }
    Ok(())
}
