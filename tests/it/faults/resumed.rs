//! Processes that are killed again and again while they compute with checkpoints: the results are
//! those of a process that runs undisturbed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ndarray::prelude::*;
use ndarray_mmap::stats::Interpolation::Linear;
use ndarray_mmap::{Chunked, MmapArrayOptions, Result, prelude::*};

use super::child::{Child, End, say, task};
use super::{random, rounds};
use crate::support::*;

const ROWS: usize = 60_000;

/// The maximum time in microseconds before the first process is killed. Later ones have more, so that
/// one is complete at last.
const PATIENCE: usize = 20_000;

type Table<'a> = Chunked<'a, ArrayView<'a, f64, Ix2>>;

/// Computes statistics and writes a file. Each operation has a state file in the directory, or none
/// without an interval.
fn results(dir: &Path, target: &Path, interval: Option<Duration>) -> Result<String> {
    let options = MmapArrayOptions::new();
    let table = read_npy_with::<f64, Ix2>(&options, &dir.join("table.npy"))?;
    let chunked = |name: &str| -> Table<'_> {
        let chunked = table.chunked().memory_limit(16 << 20);
        match interval {
            Some(interval) => chunked.checkpoint(dir.join(name), interval),
            None => chunked,
        }
    };
    let summary = chunked("1.state").summary()?;
    let quantiles = chunked("2.state").quantiles(&[0.1, 0.5, 0.99], Linear)?;
    let along = chunked("3.state").std_axis(Axis(0), 1.0)?;
    let across = chunked("4.state").quantile_axis(Axis(1), 0.5, Linear)?.sum();
    let histogram = chunked("5.state").histogram(50)?;
    let mut out = match target.exists() {
        true => write_npy_with::<f64, Ix2>(&options, target)?,
        false => create_npy_with::<f64, _>(&options, target, table.dim())?,
    };
    chunked("6.state").map_into(&mut out, |x| x.sqrt())?;
    let written = out.chunked().sum()?;
    Ok(format!("{summary:?} {quantiles:?} {along:?} {across:?} {histogram:?} {written:?}"))
}

#[test]
fn killed_processes_resume_with_the_same_results() {
    let dir = dir();
    let options = MmapArrayOptions::new();
    let path = dir.path().join("table.npy");
    let mut table = create_npy_with::<f64, _>(&options, &path, (ROWS, 16)).unwrap();
    let mut next = random(11);
    table.iter_mut().for_each(|x| *x = next(1 << 30) as f64 / 1000.0);
    table.close().unwrap();
    let expected = results(dir.path(), &dir.path().join("undisturbed.npy"), None).unwrap();
    let target = dir.path().join("out.npy");
    let all = rounds(20);
    let (mut kills, mut completions) = (0, 0);
    let mut patience = PATIENCE;
    while kills < all || completions == 0 {
        let mut child = Child::start(
            "faults::resumed::child_computes_until_killed",
            &[dir.path().to_str().unwrap(), if kills % 2 == 0 { "200" } else { "10000" }],
        );
        assert_eq!(child.hear().as_deref(), Some("begun"));
        std::thread::sleep(Duration::from_micros(random(kills as u64)(patience) as u64));
        child.kill();
        let (end, said) = child.end();
        match said.first() {
            Some(found) => {
                assert_eq!(*found, expected);
                assert!(
                    fs::read(&target).unwrap()
                        == fs::read(dir.path().join("undisturbed.npy")).unwrap()
                );
                completions += 1;
                patience = PATIENCE;
                // The next processes start over; some with a target that exists already.
                for name in names(&dir) {
                    let path = dir.path().join(&name);
                    if name.ends_with(".state") {
                        fs::remove_dir_all(path).unwrap();
                    } else if name == "out.npy" && completions % 2 == 0 {
                        fs::remove_file(path).unwrap();
                    }
                }
            }
            None => {
                assert_eq!(end, End::KILLED);
                kills += 1;
                patience += patience / 50;
            }
        }
    }
    println!("killed {kills} times, {completions} results, all the same");
}

#[test]
#[ignore = "run by the other test, in a process of its own"]
fn child_computes_until_killed() {
    let [dir, microseconds] = task().try_into().unwrap();
    let dir = Path::new(&dir);
    say("begun");
    let interval = Duration::from_micros(microseconds.parse().unwrap());
    say(&results(dir, &dir.join("out.npy"), Some(interval)).unwrap());
}
