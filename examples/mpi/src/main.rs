//! Statistics of an `.npy` file of `f64` on all ranks of an MPI job:
//!
//! ```text
//! cargo build --release
//! mpirun -n 4 target/release/ndarray-mmap-mpi table.npy
//! ```
//!
//! Without a file, ranks compare the statistics of generated data with those of one process.

mod communicator;

use std::process::ExitCode;

use mpi::Threading;
use ndarray::prelude::*;
use ndarray_mmap::distributed::{Communicator, all_ok};
use ndarray_mmap::stats::{Interpolation, Summary};
use ndarray_mmap::{ErrorKind, MmapArray, MmapArrayOptions, NpyHeader, Result, prelude::*};

use self::communicator::World;

type Statistics = (Summary<f64>, Vec<f64>, Array1<f64>);

fn statistics(table: &ArrayRef2<f64>, world: &dyn Communicator) -> Result<Statistics> {
    let chunked = || table.chunked().memory_limit(256 << 20).across(world);
    let summary = chunked().summary()?;
    let quartiles = chunked().quantiles(&[0.25, 0.5, 0.75], Interpolation::Linear)?;
    let means = chunked().mean_axis(Axis(0))?;
    Ok((summary, quartiles, means))
}

fn print(path: &str, world: &dyn Communicator) -> Result<()> {
    // SAFETY: no program writes to the file while the job runs.
    let table = all_ok(world, unsafe { MmapArray::<f64, Ix2>::open_npy(path) })?;
    let (summary, quartiles, means) = statistics(&table, world)?;
    if world.rank() == 0 {
        println!("{summary:?}\nquartiles {quartiles:?}\nmeans of columns {means:.4}");
    }
    Ok(())
}

/// Writes a file on all ranks, and checks it.
fn check_output(table: &ArrayRef2<f64>, world: &dyn Communicator) -> Result<()> {
    let id = std::process::id().to_string();
    let ids = world.all_gather(id.as_bytes()).expect("MPI ends the job at an error");
    let name = format!("ndarray-mmap-mpi-{}.npy", String::from_utf8_lossy(&ids[0]));
    let path = std::env::temp_dir().join(name);
    // SAFETY: only the ranks use the new file.
    let options = MmapArrayOptions::new();
    let mut out = unsafe { options.create_npy_across::<f64, _>(&path, table.dim(), world) }?;
    let own = table.slice_axis(out.axis(), out.range().into());
    all_ok(world, own.chunked().map_into(&mut out, |x| 2.0 * x))?;
    out.commit(world)?;

    // SAFETY: no rank writes to the file any more.
    let file = all_ok(world, unsafe { MmapArray::<f64, Ix2>::open_npy(&path) })?;
    assert!(file.iter().zip(table).all(|(found, x)| *found == 2.0 * x));
    all_ok(world, Ok(()))?;
    if world.rank() == 0 {
        std::fs::remove_file(&path).expect("the file exists");
    }
    Ok(())
}

/// Compares the statistics of all ranks with those of one process, and checks a file that all ranks
/// write, and that a failure reaches all ranks.
fn check(world: &dyn Communicator) -> Result<()> {
    let noise = |i: usize, j: usize| (((i * 12 + j) as f64).sin() * 1e4).fract();
    let table = Array2::from_shape_fn((200_000, 12), |(i, j)| noise(i, j) + j as f64);
    let (summary, quartiles, means) = statistics(&table, world)?;
    assert_eq!(summary, table.chunked().summary()?);
    assert_eq!(quartiles, table.chunked().quantiles(&[0.25, 0.5, 0.75], Interpolation::Linear)?);
    assert_eq!(means, table.chunked().mean_axis(Axis(0))?);

    let rows = 1_000 * (1 + world.rank());
    let own = table.slice(s![..rows, ..]);
    let total = own.chunked().concatenate_across(Axis(0), world).count_where(|_| true)?;
    assert_eq!(total, 12_000 * (1..=world.size()).sum::<usize>());

    check_output(&table, world)?;

    let long = vec![world.rank() as u8; 100_000 * (1 + world.rank())];
    let messages = world.all_gather(&long).expect("MPI ends the job at an error");
    assert!(messages.iter().enumerate().all(|(rank, message)| {
        message.len() == 100_000 * (1 + rank) && message.iter().all(|&byte| byte == rank as u8)
    }));

    let last = world.size() - 1;
    let own =
        if world.rank() == last { NpyHeader::read("no/such/table.npy").map(drop) } else { Ok(()) };
    let error = all_ok(world, own).expect_err("one rank fails");
    let is_reported = matches!(error.kind(), ErrorKind::RankFailed { rank, .. } if *rank == last);
    assert_eq!(is_reported, world.rank() != last);
    if world.rank() == 0 {
        println!("{} ranks agree with one process", world.size());
    }
    Ok(())
}

fn main() -> ExitCode {
    let (universe, _threading) =
        mpi::initialize_with_threading(Threading::Funneled).expect("MPI is initialized once");
    let world = World::new(&universe);
    // A panic outside of a statistic would leave the other ranks waiting.
    let result =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match std::env::args().nth(1) {
            Some(path) => print(&path, &world),
            None => check(&world),
        }));
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            // Ranks that wait for this one would wait forever.
            eprintln!("rank {}: {error}", world.rank());
            world.abort(1)
        }
        Err(_) => world.abort(101),
    }
}
