//! What the computer has: memory and pages.
#![forbid(unsafe_code)]

use std::fs;
use std::sync::OnceLock;

/// How much memory to plan with, in bytes: what [there is](known_ram_bytes), or 4 GiB where that is unknown.
pub(crate) fn ram_bytes_or_default() -> usize {
    known_ram_bytes().unwrap_or(4 << 30)
}

/// The most memory that can be had, in bytes, so that nothing is refused where it is unknown.
pub(crate) fn ram_bytes_or_max() -> usize {
    known_ram_bytes().unwrap_or(usize::MAX)
}

/// The memory of the computer, or of this process's memory group if that is smaller, in bytes, where the system tells.
fn known_ram_bytes() -> Option<usize> {
    static BYTES: OnceLock<Option<usize>> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let told = [installed(), group_limit()].into_iter().flatten().min()?;
        Some(usize::try_from(told).unwrap_or(usize::MAX))
    })
}

/// The size of a page of memory, in bytes.
pub(crate) fn page_bytes() -> usize {
    #[cfg(unix)]
    return rustix::param::page_size();
    #[cfg(not(unix))]
    4096
}

/// From Linux's `/proc/meminfo`, which has a line `MemTotal:  16384 kB`.
fn installed() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The smallest limit of the memory groups (cgroups) that this process is in.
fn group_limit() -> Option<u64> {
    group_limit_from(&fs::read_to_string("/proc/self/cgroup").ok()?, |path| {
        fs::read_to_string(path).ok()
    })
}

/// Lines are `0::/path` for version 2, and `7:memory:/path` for version 1. A limit of a parent binds as well.
fn group_limit_from(groups: &str, read: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (mount, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            names if names.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            // "max" where there is none.
            limits.extend(
                read(&format!("{mount}{path}/{file}"))
                    .and_then(|text| text.trim().parse::<u64>().ok()),
            );
            let Some(parent) = path.rfind('/') else { break };
            path = &path[..parent];
        }
    }
    limits.into_iter().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_counts() {
        let read = |path: &str| match path {
            "/sys/fs/cgroup/a/b/memory.max" => Some("max\n".to_string()),
            "/sys/fs/cgroup/a/memory.max" => Some("1000\n".to_string()),
            "/sys/fs/cgroup/memory/c/memory.limit_in_bytes" => Some("2000\n".to_string()),
            _ => None,
        };
        assert_eq!(group_limit_from("0::/a/b\n", read), Some(1000));
        assert_eq!(group_limit_from("7:cpu,memory:/c\n1:name=x:/a\n", read), Some(2000));
        assert_eq!(group_limit_from("0::/a/b\n7:memory:/c\n", read), Some(1000));
        assert_eq!(group_limit_from("0::/\nnonsense\n", read), None);
    }

    #[test]
    fn there_is_some() {
        assert!(ram_bytes_or_default() > 1 << 20 && ram_bytes_or_max() >= ram_bytes_or_default());
        assert!(page_bytes().is_power_of_two());
    }
}
