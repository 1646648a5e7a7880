//! The size of system memory and of its pages.
#![forbid(unsafe_code)]

use std::fs;
use std::sync::OnceLock;

/// Returns the system memory to plan with, in bytes: its [size](known_ram_bytes) if known, 4 GiB
/// otherwise.
pub(crate) fn ram_bytes_or_default() -> usize {
    known_ram_bytes().unwrap_or(4 << 30)
}

/// Returns the maximum available memory in bytes. If it is unknown, this is `usize::MAX`, so that
/// no request is refused.
pub(crate) fn ram_bytes_or_max() -> usize {
    known_ram_bytes().unwrap_or(usize::MAX)
}

/// Returns the size in bytes of system memory, or of the limit of this process's cgroup if that is
/// smaller, or `None` if neither is known.
fn known_ram_bytes() -> Option<usize> {
    static BYTES: OnceLock<Option<usize>> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let bytes = [total_ram(), cgroup_limit()].into_iter().flatten().min()?;
        Some(usize::try_from(bytes).unwrap_or(usize::MAX))
    })
}

/// Returns the page size in bytes.
pub(crate) fn page_bytes() -> usize {
    #[cfg(unix)]
    return rustix::param::page_size();
    #[cfg(not(unix))]
    4096
}

/// Returns the size of system memory from Linux's `/proc/meminfo`, which has a line
/// `MemTotal: 16384 kB`.
fn total_ram() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Returns the smallest memory limit of the cgroups of this process.
fn cgroup_limit() -> Option<u64> {
    cgroup_limit_from(&fs::read_to_string("/proc/self/cgroup").ok()?, |path| {
        fs::read_to_string(path).ok()
    })
}

/// Returns the smallest memory limit of the listed cgroups and their parents, which bind as well.
/// Lines have the form `0::/path` for version 2, and `7:memory:/path` for version 1.
fn cgroup_limit_from(cgroups: &str, read: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let mut limits = Vec::new();
    for line in cgroups.lines() {
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
            // A cgroup without a limit has "max".
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
    fn smallest_cgroup_limit_applies() {
        let read = |path: &str| match path {
            "/sys/fs/cgroup/a/b/memory.max" => Some("max\n".to_string()),
            "/sys/fs/cgroup/a/memory.max" => Some("1000\n".to_string()),
            "/sys/fs/cgroup/memory/c/memory.limit_in_bytes" => Some("2000\n".to_string()),
            _ => None,
        };
        assert_eq!(cgroup_limit_from("0::/a/b\n", read), Some(1000));
        assert_eq!(cgroup_limit_from("7:cpu,memory:/c\n1:name=x:/a\n", read), Some(2000));
        assert_eq!(cgroup_limit_from("0::/a/b\n7:memory:/c\n", read), Some(1000));
        assert_eq!(cgroup_limit_from("0::/\nnonsense\n", read), None);
    }

    #[test]
    fn ram_and_page_size_are_plausible() {
        assert!(ram_bytes_or_default() > 1 << 20 && ram_bytes_or_max() >= ram_bytes_or_default());
        assert!(page_bytes().is_power_of_two());
    }
}
