//! Locks and the registry: mappings of a file that another user has mapped.

use ndarray_mmap::{ErrorKind, LockPolicy, MmapArrayOptions};

use crate::support::*;

fn open(
    policy: LockPolicy,
    mode: Mode,
    path: &std::path::Path,
) -> ndarray_mmap::Result<Box<dyn std::any::Any>> {
    let options = MmapArrayOptions::new().lock(policy);
    Ok(match mode {
        Mode::Read => Box::new(read_with::<f64, _>(&options, path, 10)?),
        Mode::Write => Box::new(write_with::<f64, _>(&options, path, 10)?),
        Mode::Cow => Box::new(cow_with::<f64, _>(&options, path, 10)?),
    })
}

#[test]
fn two_mappings_in_one_process_by_mode_and_policy() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    for policy in [LockPolicy::Required, LockPolicy::BestEffort, LockPolicy::Off] {
        for first in MODES {
            for second in MODES {
                let held = open(policy, first, &path).unwrap();
                let writers = [first, second].iter().filter(|&&mode| mode == Mode::Write).count();
                let refuse = writers == 2 || (writers == 1 && policy != LockPolicy::Off);
                let result = open(policy, second, &path);
                assert_eq!(result.is_err(), refuse, "{policy:?}: {first:?}, then {second:?}");
                if refuse {
                    refused(
                        result,
                        &path,
                        |kind| matches!(kind, ErrorKind::AlreadyMapped { writable, .. } if *writable == (second == Mode::Write)),
                    );
                } else {
                    drop(result);
                }
                drop(held);
                open(policy, second, &path).unwrap();
            }
        }
    }
}

#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn links_to_a_file_count_as_the_file() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    let (hard, soft) = (dir.path().join("hard"), dir.path().join("soft"));
    std::fs::hard_link(&path, &hard).unwrap();
    std::os::unix::fs::symlink(&path, &soft).unwrap();
    let held = open(LockPolicy::Off, Mode::Write, &path).unwrap();
    for link in [&hard, &soft] {
        refused(open(LockPolicy::Off, Mode::Write, link), link, |kind| {
            matches!(kind, ErrorKind::AlreadyMapped { .. })
        });
    }
    drop(held);
    open(LockPolicy::Off, Mode::Write, &hard).unwrap();
}

/// Another handle stands for another process: `flock` does not tell them apart.
#[test]
#[cfg(unix)]
fn locks_of_other_processes_are_respected() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    let other = std::fs::File::open(&path).unwrap();
    other.lock_shared().unwrap();
    open(LockPolicy::BestEffort, Mode::Read, &path).unwrap();
    open(LockPolicy::Required, Mode::Cow, &path).unwrap();
    for policy in [LockPolicy::BestEffort, LockPolicy::Required] {
        refused(open(policy, Mode::Write, &path), &path, |kind| {
            matches!(kind, ErrorKind::Locked { exclusive: true, .. })
        });
    }
    open(LockPolicy::Off, Mode::Write, &path).unwrap();
    other.unlock().unwrap();
    let ours = open(LockPolicy::BestEffort, Mode::Write, &path).unwrap();
    assert!(matches!(other.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)));
    drop(ours);
    other.lock().unwrap();
    for mode in MODES {
        refused(open(LockPolicy::BestEffort, mode, &path), &path, |kind| {
            matches!(kind, ErrorKind::Locked { .. })
        });
        open(LockPolicy::Off, mode, &path).unwrap();
    }
}

#[test]
fn new_files_are_locked() {
    let dir = dir();
    let path = dir.path().join("new");
    let array = create::<f64, _>(&path, 10).unwrap();
    refused(open(LockPolicy::Off, Mode::Write, &path), &path, |kind| {
        matches!(kind, ErrorKind::AlreadyMapped { .. })
    });
    #[cfg(unix)]
    {
        let other = std::fs::File::open(&path).unwrap();
        assert!(matches!(other.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)));
    }
    let frozen = array.freeze().unwrap();
    #[cfg(unix)]
    std::fs::File::open(&path).unwrap().try_lock_shared().unwrap();
    open(LockPolicy::BestEffort, Mode::Read, &path).unwrap();
    drop(frozen);
    open(LockPolicy::BestEffort, Mode::Write, &path).unwrap();
}

#[test]
fn refused_mapping_leaves_no_registry_entry() {
    let dir = dir();
    let path = counting(&dir, 0, 4);
    for _ in 0..3 {
        assert!(open(LockPolicy::BestEffort, Mode::Write, &path).is_err(), "too short");
    }
    assert!(open(LockPolicy::BestEffort, Mode::Write, &path).is_err());
    let array = write::<f64, _>(&path, 4).unwrap();
    assert_eq!(array.sum(), 6.0);
}

/// A child process has copies of all open files from its fork until it runs its program. It once kept the lock that
/// long, so that in a program that starts others, opening a file again was refused now and then.
#[test]
#[cfg(unix)]
fn lock_is_released_with_array_despite_children() {
    use std::io::{Read, Write, pipe};
    use std::os::unix::process::CommandExt;
    let dir = dir();
    let path = counting(&dir, 0, 10);
    let array = open(LockPolicy::Required, Mode::Write, &path).unwrap();
    let (mut forked, mut tell_forked) = pipe().unwrap();
    let (mut go_on, mut tell_go_on) = pipe().unwrap();
    let mut command = std::process::Command::new("true");
    // SAFETY: the child only reads and writes pipes before it runs the program.
    unsafe {
        command.pre_exec(move || {
            tell_forked.write_all(&[1])?;
            go_on.read_exact(&mut [0])
        });
    }
    let child = std::thread::spawn(move || command.status());
    forked.read_exact(&mut [0]).unwrap();
    drop(array);
    let again = open(LockPolicy::Required, Mode::Write, &path);
    tell_go_on.write_all(&[1]).unwrap();
    assert!(child.join().unwrap().unwrap().success());
    again.unwrap();
}

/// A new file was once registered after it had been renamed, when someone else could have it open already: the call
/// failed with the file in place, and trying again gave an array that the registry did not know.
#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn new_file_is_registered_before_it_is_named() {
    let dir = dir();
    let path = dir.path().join("new");
    let mut pending = atomic_with::<f64, _>(&MmapArrayOptions::new(), &path, 10).unwrap();
    pending.fill(1.0);
    let hidden = dir.path().join(&names(&dir)[0]);
    let reader = open(LockPolicy::Off, Mode::Read, &hidden).unwrap();
    let failure = pending.commit().unwrap_err();
    assert!(matches!(failure.error.kind(), ErrorKind::AlreadyMapped { .. }), "{failure:?}");
    assert!(!path.exists());
    drop(reader);
    let array = failure.array.commit().unwrap();
    assert_eq!(array.sum(), 10.0);
    refused(open(LockPolicy::Off, Mode::Write, &path), &path, |kind| {
        matches!(kind, ErrorKind::AlreadyMapped { .. })
    });
}

/// Opens that are refused must not refuse others in passing.
#[test]
#[cfg(all(unix, not(ndarray_mmap_portable)))]
fn files_are_created_while_other_threads_open_them() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let dir = dir();
    let path = dir.path().join("new");
    // Who has it open for writing is rightly in the way of one that would replace it; so then there is none to be replaced.
    for mode in [Mode::Read, Mode::Write] {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _ = open(LockPolicy::BestEffort, mode, &path);
                }
            });
            let make = || {
                if matches!(mode, Mode::Write) {
                    let _ = std::fs::remove_file(&path);
                }
                create::<f64, _>(&path, 10).map(drop)
            };
            let results: Vec<_> = (0..500).map(|_| make()).collect();
            done.store(true, Ordering::Relaxed);
            for result in results {
                result.unwrap();
            }
        });
    }
    assert_eq!(names(&dir), ["new"]);
}
