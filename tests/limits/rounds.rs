//! Rounds in child processes, so that a round that ends its process is reported.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::random::mix;
use crate::round::Round;
use crate::trial::check;

/// The number of rounds of one process.
const BATCH: u64 = 100;

/// The maximum number of attempts to simplify a failed round.
const MOST_ATTEMPTS: usize = 60;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn operations_keep_within_limits() {
    let seconds = number("NDARRAY_MMAP_FUZZ_SECONDS").map(Duration::from_secs);
    let one = number("NDARRAY_MMAP_FUZZ_ROUND");
    let rounds =
        number("NDARRAY_MMAP_FUZZ_ROUNDS").unwrap_or(if seconds.is_some() { u64::MAX } else { 60 });
    let rounds = if one.is_some() { 1 } else { rounds };
    let seed = number("NDARRAY_MMAP_FUZZ_SEED").unwrap_or(1);
    println!("limits: NDARRAY_MMAP_FUZZ_SEED={seed}");
    let begin = Instant::now();
    let (mut done, mut failures) = (0, Vec::new());
    while done < rounds && seconds.is_none_or(|limit| begin.elapsed() < limit) {
        let batch = BATCH.min(rounds - done);
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["rounds::child_runs_rounds", "--exact", "--ignored", "--nocapture"])
            .env("NDARRAY_MMAP_FUZZ_BATCH", format!("{seed} {done} {batch}"))
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&output.stdout);
        failures.extend(out.lines().filter(|line| line.starts_with("failed")).map(str::to_owned));
        if !output.status.success() {
            let last = out
                .lines()
                .rfind(|line| line.contains("round "))
                .unwrap_or("before the first round");
            failures.push(format!(
                "{last}: {}\n{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        done += batch;
    }
    println!("limits: {done} rounds in {:.0?}, {} failures", begin.elapsed(), failures.len());
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_runs_rounds() {
    if let Some(seed) = number("NDARRAY_MMAP_FUZZ_ROUND") {
        return run(seed);
    }
    let batch = std::env::var("NDARRAY_MMAP_FUZZ_BATCH").expect("set by the parent");
    let [seed, first, count] = batch
        .split(' ')
        .map(|number| number.parse::<u64>().unwrap())
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    (first..first + count).for_each(|number| run(mix(seed ^ mix(number)) >> 1));
}

/// Runs the round with this seed, and prints its failure.
fn run(seed: u64) {
    let begin = Instant::now();
    let mut round = Round::draw(seed);
    println!("round NDARRAY_MMAP_FUZZ_ROUND={seed}: {} of {round:?}", round.operation().name);
    std::io::stdout().flush().unwrap();
    match attempt(&round) {
        Ok(line) => println!("done in {} ms: {line}", begin.elapsed().as_millis()),
        Err(mut failure) => {
            let mut attempts = MOST_ATTEMPTS;
            println!("fails: {failure}");
            'smaller: while attempts > 0 {
                for smaller in round.simpler() {
                    attempts = attempts.saturating_sub(1);
                    if let Err(less) = attempt(&smaller) {
                        (round, failure) = (smaller, less);
                        continue 'smaller;
                    }
                }
                break;
            }
            println!(
                "failed NDARRAY_MMAP_FUZZ_ROUND={seed}: {} {failure}; made smaller: {round:?}",
                round.operation().name
            );
        }
    }
}

fn attempt(round: &Round) -> Result<String, String> {
    catch_unwind(AssertUnwindSafe(|| check(round))).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}
