//! Costs of operations, from counters of the kernel: resident memory and page faults.

use std::fs;

/// The margin of error. The kernel counts pages for each processor and adds them up in batches, so
/// its figures are inexact; the
/// heap keeps freed small blocks.
pub const NOISE: usize = 512 << 10;

pub const PAGE: usize = 4096;

/// The cost of a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// The peak resident memory in excess of that before the call, in bytes.
    pub peak: usize,
    /// The page faults of accesses and of requests (`MADV_POPULATE_READ`), on all threads.
    pub faults: usize,
}

pub fn cost<R>(call: impl FnOnce() -> R) -> (R, Cost) {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, faults) = (bytes("VmRSS:"), faults());
    let result = call();
    let cost =
        Cost { faults: self::faults() - faults, peak: bytes("VmHWM:").saturating_sub(before) };
    (result, cost)
}

/// Returns a value of `/proc/self/status`.
fn bytes(what: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse::<usize>().unwrap() << 10
}

/// Returns the minor and major faults: fields 10 and 12 of `/proc/self/stat`. Field 2, a name, may
/// contain blanks.
fn faults() -> usize {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[7].parse::<usize>().unwrap() + fields[9].parse::<usize>().unwrap()
}

/// Returns an upper bound on the pages that a view touches: the pages of its contiguous axes, for
/// each index of the others.
pub fn pages(lens: &[usize], strides: &[isize], item: usize) -> usize {
    let mut axes: Vec<(usize, usize)> = lens
        .iter()
        .zip(strides)
        .map(|(&len, &stride)| (stride.unsigned_abs() * item, len))
        .collect();
    axes.sort_unstable();
    let mut most = usize::MAX;
    for dense in 0..=axes.len() {
        let span =
            item + axes[..dense].iter().map(|(stride, len)| stride * (len - 1)).sum::<usize>();
        let others: usize = axes[dense..].iter().map(|(_, len)| len).product();
        most = most.min(others.saturating_mul(span / PAGE + 2));
    }
    most
}
