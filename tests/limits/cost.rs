//! What operations cost, by the counters of the system: resident memory, and page faults.

use std::fs;

/// The system counts pages for each processor, and adds them up by the few dozen, so that its figures are off by some; and the
/// heap keeps what is freed in small pieces.
pub const NOISE: usize = 512 << 10;

pub const PAGE: usize = 4096;

/// What a call has taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// The most bytes resident beyond those before.
    pub peak: usize,
    /// Page faults: of accesses, and of pages that are asked for (`MADV_POPULATE_READ`), on all threads.
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

/// A line of `/proc/self/status`.
fn bytes(what: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse::<usize>().unwrap() << 10
}

/// Minor and major faults: the tenth and the twelfth field of `/proc/self/stat`. The second, a name, may have blanks.
fn faults() -> usize {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[7].parse::<usize>().unwrap() + fields[9].parse::<usize>().unwrap()
}

/// How many pages a view touches, at most: that of its fastest axes in one piece, for each index of the others.
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
