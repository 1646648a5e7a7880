//! Statistics of an `.npy` file of `f64` by several processes without MPI, for example the tasks of
//! a Slurm job array, and a second file with the standardized elements.
//!
//! ```text
//! for rank in 0 1 2; do ranks --directory job-1 --rank $rank --size 3 table.npy out.npy & done; wait
//! ```
//!
//! The second file is optional. Without arguments, the program writes a file, starts three child
//! processes, and compares their results with those of one process.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ndarray::{Axis, Ix2};
use ndarray_mmap::distributed::{Communicator, DirectoryCommunicator, ThreadCommunicator, all_ok};
use ndarray_mmap::{
    MmapArray, MmapArrayMut, MmapArrayOptions, Result, prelude::*, stats::Interpolation,
};

/// The time after which ranks give up waiting for another one.
const PATIENCE: Duration = Duration::from_secs(3600);

const USAGE: &str =
    "usage: ranks --directory DIRECTORY --rank RANK --size SIZE FILE.npy [OUTPUT.npy]";

/// Describes the data in one line.
fn statistics(path: &Path, world: &dyn Communicator) -> Result<String> {
    // SAFETY: no program writes to the file while ranks read it.
    let table = all_ok(world, unsafe { MmapArray::<f64, Ix2>::open_npy(path) })?;
    let chunked = || table.chunked().memory_limit(64 << 20).across(world);
    let summary = chunked().summary()?;
    let quartiles = chunked().quantiles(&[0.25, 0.5, 0.75], Interpolation::Linear)?;
    let means = chunked().mean_axis(Axis(0))?;
    let (at, std) = (chunked().argmax()?, summary.std);
    Ok(format!("std {std}, quartiles {quartiles:?}, largest at {at:?}, means {means}"))
}

/// Writes `(x - mean) / std` to a file. Each rank writes its part.
fn standardize(path: &Path, output: &Path, world: &dyn Communicator) -> Result<()> {
    // SAFETY: no program writes to the file while ranks read it.
    let table = all_ok(world, unsafe { MmapArray::<f64, Ix2>::open_npy(path) })?;
    let summary = table.chunked().memory_limit(64 << 20).across(world).summary()?;
    let options = MmapArrayOptions::new();
    // SAFETY: only the ranks use the new file.
    let mut out = unsafe { options.create_npy_across::<f64, _>(output, table.dim(), world) }?;
    let own = table.slice_axis(out.axis(), out.range().into());
    let standard = |x: &f64| (x - summary.mean) / summary.std;
    all_ok(world, own.chunked().memory_limit(64 << 20).map_into(&mut out, standard))?;
    out.commit(world)
}

/// Runs as one rank.
fn run(arguments: &[String]) -> std::result::Result<(), Box<dyn Error>> {
    let [d, directory, r, rank, s, size, path, output @ ..] = arguments else {
        return Err(USAGE.into());
    };
    if output.len() > 1 || [d, r, s] != ["--directory", "--rank", "--size"] {
        return Err(USAGE.into());
    }
    let (rank, size): (usize, usize) = (rank.parse()?, size.parse()?);
    if rank >= size {
        return Err(format!("there is no rank {rank} of {size}; {USAGE}").into());
    }
    let world = DirectoryCommunicator::new(directory, rank, size, PATIENCE)?;
    println!("{}", statistics(path.as_ref(), &world)?);
    if let Some(output) = output.first() {
        standardize(path.as_ref(), output.as_ref(), &world)?;
    }
    Ok(())
}

/// Compares the results of three processes with those of one.
fn demonstrate() -> std::result::Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let [path, output, expected] =
        ["table.npy", "out.npy", "expected.npy"].map(|name| dir.path().join(name));
    // SAFETY: this program alone uses the file.
    let mut table = unsafe { MmapArrayMut::<f64, _>::create_npy(&path, (100_000, 12)) }?;
    table.indexed_iter_mut().for_each(|((i, j), x)| *x = ((i * 12 + j) as f64).sin());
    table.close()?;

    let program = std::env::current_exe()?;
    let start = |rank: usize| {
        let mut command = Command::new(&program);
        command.arg("--directory").arg(dir.path().join("job"));
        command.args(["--rank", &rank.to_string(), "--size", "3"]).arg(&path).arg(&output);
        command.stdout(std::process::Stdio::piped()).spawn()
    };
    let ranks = (0..3).map(start).collect::<std::io::Result<Vec<_>>>()?;
    let alone = ThreadCommunicator::run(1, |world| statistics(&path, world)).remove(0)?;
    println!("one process   {alone}");
    for (rank, process) in ranks.into_iter().enumerate() {
        let output = process.wait_with_output()?;
        let found = String::from_utf8(output.stdout)?;
        println!("rank {rank} of 3   {}", found.trim_end());
        assert_eq!(found.trim_end(), alone);
    }
    ThreadCommunicator::run(1, |world| standardize(&path, &expected, world)).remove(0)?;
    assert!(std::fs::read(&output)? == std::fs::read(&expected)?, "the output files differ");
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.is_empty() { demonstrate() } else { run(&arguments) }
}
