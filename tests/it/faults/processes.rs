//! Files that two processes want.

use std::path::Path;
use std::time::Instant;

use ndarray_mmap::{ErrorKind, LockPolicy, MmapArrayOptions};

use super::child::{Child, End, listen, say, task};
use crate::support::*;

const MODE_NAMES: [(&str, Mode); 3] = [("r", Mode::Read), ("r+", Mode::Write), ("c", Mode::Cow)];

/// Whoever writes excludes all others, wherever they are; readers exclude writers. At once, and until the array is dropped.
#[test]
fn processes_exclude_each_other() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    for (theirs, their_mode) in MODE_NAMES {
        let mut child = Child::start("faults::processes::a_process_with_a_map", &[theirs, path.to_str().unwrap()]);
        assert_eq!(child.hear().as_deref(), Some("mapped"));
        for (ours, our_mode) in MODE_NAMES {
            let shared = their_mode != Mode::Write && our_mode != Mode::Write;
            for policy in [LockPolicy::Required, LockPolicy::BestEffort, LockPolicy::Off] {
                let options = MmapArrayOptions::new().lock(policy);
                let begin = Instant::now();
                let result = look_raw::<f64, _>(&options, our_mode, &path, 10, |view| assert_eq!(view[3], 3.0));
                assert!(begin.elapsed().as_secs() < 5, "waiting for a lock");
                match shared || policy == LockPolicy::Off {
                    true => result.unwrap_or_else(|error| panic!("{ours} beside {theirs}, {policy:?}: {error}")),
                    false => refused(result, &path, |kind| matches!(kind, ErrorKind::Locked { .. })),
                }
            }
        }
        child.tell("drop");
        assert_eq!(child.hear().as_deref(), Some("dropped"));
        drop(write::<f64, _>(&path, 10).unwrap());
        child.tell("end");
        assert_eq!(child.end(), (End::SUCCESS, vec![]));
    }
}

/// A killed process has no locks.
#[test]
fn a_lock_ends_with_its_process() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    let mut child = Child::start("faults::processes::a_process_with_a_map", &["r+", path.to_str().unwrap()]);
    assert_eq!(child.hear().as_deref(), Some("mapped"));
    assert!(write::<f64, _>(&path, 10).is_err());
    child.kill();
    assert_eq!(child.end().0, End::KILLED);
    assert_eq!(write::<f64, _>(&path, 10).unwrap().sum(), 45.0);
}

/// A forked child has the map and the lock: what it stores, its parent sees, and when it ends its parent's lock stays.
#[test]
fn a_forked_child_shares_the_map() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    let array = write::<f64, _>(&path, 10).unwrap();
    let place = array.as_ptr().cast_mut() as usize;
    let mut command = std::process::Command::new("true");
    let store = move || {
        // SAFETY: the array is mapped until the parent has waited for this child, and nobody reads or writes meanwhile.
        unsafe { (place as *mut f64).write_volatile(7.0) };
        Ok(())
    };
    // SAFETY: the child only stores a number before it runs the program.
    unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, store) };
    assert!(command.status().unwrap().success());
    // SAFETY: as above.
    assert_eq!(unsafe { (place as *const f64).read_volatile() }, 7.0);
    let other = std::fs::File::open(&path).unwrap();
    assert!(other.try_lock_shared().is_err(), "the lock has gone with the child");
    drop(array);
    other.try_lock_shared().unwrap();
}

#[test]
#[ignore = "run by `processes_exclude_each_other`, in a process of its own"]
fn a_process_with_a_map() {
    let [mode, path] = task().try_into().unwrap();
    let (_, mode) = MODE_NAMES.into_iter().find(|(name, _)| *name == mode).unwrap();
    look_raw::<f64, _>(&MmapArrayOptions::new(), mode, Path::new(&path), 10, |_| {
        say("mapped");
        assert_eq!(listen().as_deref(), Some("drop"));
    })
    .unwrap();
    say("dropped");
    assert_eq!(listen().as_deref(), Some("end"));
}
