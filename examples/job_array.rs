//! Statistics of an `.npy` file of `f64` in parts, which processes compute at any time and in any
//! order, such as the tasks of Slurm job arrays.
//!
//! ```text
//! job_array part DIRECTORY PART COUNT FILE.npy    computes one part and saves it
//! job_array merge DIRECTORY COUNT FILE.npy        prints the results if all parts are saved
//! ```
//!
//! The median takes more than one pass over the data: if `merge` fails because parts are missing,
//! run all parts again. A part that is saved is not computed again.
//!
//! Without arguments, the program writes a file, runs three parts as child processes until the
//! results are complete, and compares them with those of one process.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use ndarray::{Axis, Ix2};
use ndarray_mmap::{ErrorKind, MmapArray, MmapArrayMut, Result, prelude::*, stats::Interpolation};

const USAGE: &str = "usage: job_array part DIRECTORY PART COUNT FILE.npy | job_array merge DIRECTORY COUNT FILE.npy";

/// The directory of a job, the part that this process computes, and the number of parts.
type Part<'a> = (&'a Path, usize, usize);

/// Describes the data in one line, in one process or as one part of a job.
fn statistics(path: &Path, part: Option<Part<'_>>) -> Result<String> {
    // SAFETY: no program writes to the file while parts are computed.
    let table = unsafe { MmapArray::<f64, Ix2>::open_npy(path) }?;
    let chunked = |name: &str| match part {
        Some((directory, part, count)) => {
            table.chunked().job_part(directory.join(name), part, count)
        }
        None => table.chunked(),
    };
    // All statistics are called before the first `?`, so that one process computes its part of all.
    let summary = chunked("summary").summary();
    let quartiles = chunked("quartiles").quantiles(&[0.25, 0.5, 0.75], Interpolation::Linear);
    let means = chunked("means").mean_axis(Axis(0));
    let std = summary?.std;
    Ok(format!("std {std}, quartiles {:?}, means {}", quartiles?, means?))
}

fn run(arguments: &[&str]) -> std::result::Result<(), Box<dyn Error>> {
    match *arguments {
        ["part", directory, index, count, path] => {
            let (index, count): (usize, usize) = (index.parse()?, count.parse()?);
            if index >= count {
                return Err(format!("there is no part {index} of {count}; {USAGE}").into());
            }
            match statistics(path.as_ref(), Some((directory.as_ref(), index, count))) {
                Err(error) if matches!(error.kind(), ErrorKind::PartsMissing { .. }) => {
                    println!("part {index} is saved; {error}");
                }
                result => println!("part {index} is saved, the results are complete: {}", result?),
            }
        }
        // If part 0 is saved, this call only merges.
        ["merge", directory, count, path] => match count.parse()? {
            0 => return Err(format!("there are no parts; {USAGE}").into()),
            count => {
                println!("{}", statistics(path.as_ref(), Some((directory.as_ref(), 0, count)))?)
            }
        },
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

/// Compares the results of three parts with those of one process.
fn demonstrate() -> std::result::Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("table.npy");
    // SAFETY: this program alone uses the file.
    let mut table = unsafe { MmapArrayMut::<f64, _>::create_npy(&path, (100_000, 12)) }?;
    table.indexed_iter_mut().for_each(|((i, j), x)| *x = ((i * 12 + j) as f64).sin());
    table.close()?;

    let program = std::env::current_exe()?;
    let job = dir.path().join("job");
    for round in 1..=5 {
        for part in 0..3 {
            let mut command = Command::new(&program);
            command.arg("part").arg(&job).args([&part.to_string(), "3"]).arg(&path);
            assert!(command.status()?.success());
        }
        let merged = Command::new(&program).arg("merge").arg(&job).arg("3").arg(&path).output()?;
        if merged.status.success() {
            let found = String::from_utf8(merged.stdout)?;
            assert_eq!(found.trim_end(), statistics(&path, None)?);
            println!("after {round} rounds: {found}");
            return Ok(());
        }
    }
    Err("the results are not complete".into())
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if arguments.is_empty() { demonstrate() } else { run(&arguments) }
}
