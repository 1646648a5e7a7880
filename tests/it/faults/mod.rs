//! Hazards that can end a process. Each is provoked in a child process, whose exit code or signal
//! is checked. The page `failure_modes` of the documentation describes them, and `docs/testing.md`
//! lists their tests.
#![cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]

mod child;
mod file_systems;
mod full_disks;
mod injected;
mod killed;
mod limits;
mod power;
mod processes;
mod resumed;
mod truncated;

use std::path::PathBuf;

/// A path that a script gives.
fn variable(name: &str) -> PathBuf {
    std::env::var_os(name)
        .unwrap_or_else(|| panic!("{name}, which tests/privileged.sh sets"))
        .into()
}

/// Returns the number of rounds: `NDARRAY_MMAP_ROUNDS` (set by `tests/campaigns.sh`), or the default.
fn rounds(default: usize) -> usize {
    std::env::var("NDARRAY_MMAP_ROUNDS").map_or(default, |rounds| rounds.parse().expect("a number"))
}

/// A generator of numbers below a bound: an LCG's high bits are random enough to choose by.
fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    }
}
