//! Files that two processes map.

use std::path::Path;
use std::time::Instant;

use ndarray::Ix1;
use ndarray_mmap::{
    ArrayAppender, ArrayFile, ErrorKind, LockPolicy, MmapArrayMut, MmapArrayOptions,
    MmapArrayPending, NpyHeader,
};

use super::child::{Child, End, listen, say, task};
use crate::support::*;

const MODE_NAMES: [(&str, Mode); 3] = [("r", Mode::Read), ("r+", Mode::Write), ("c", Mode::Cow)];

/// Whoever writes excludes all others, wherever they are; readers exclude writers. At once, and until the array is dropped.
#[test]
fn processes_exclude_each_other() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    for (theirs, their_mode) in MODE_NAMES {
        let mut child =
            Child::start("faults::processes::child_maps_file", &[theirs, path.to_str().unwrap()]);
        assert_eq!(child.hear().as_deref(), Some("mapped"));
        for (ours, our_mode) in MODE_NAMES {
            let shared = their_mode != Mode::Write && our_mode != Mode::Write;
            for policy in [LockPolicy::Required, LockPolicy::BestEffort, LockPolicy::Off] {
                let options = MmapArrayOptions::new().lock(policy);
                let begin = Instant::now();
                let result = look_raw::<f64, _>(&options, our_mode, &path, 10, |view| {
                    assert_eq!(view[3], 3.0)
                });
                assert!(begin.elapsed().as_secs() < 5, "waiting for a lock");
                match shared || policy == LockPolicy::Off {
                    true => result.unwrap_or_else(|error| {
                        panic!("{ours} with {theirs}, {policy:?}: {error}")
                    }),
                    false => {
                        refused(result, &path, |kind| matches!(kind, ErrorKind::Locked { .. }))
                    }
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
fn lock_is_released_when_process_ends() {
    let dir = dir();
    let path = counting(&dir, 0, 10);
    let mut child =
        Child::start("faults::processes::child_maps_file", &["r+", path.to_str().unwrap()]);
    assert_eq!(child.hear().as_deref(), Some("mapped"));
    assert!(write::<f64, _>(&path, 10).is_err());
    child.kill();
    assert_eq!(child.end().0, End::KILLED);
    assert_eq!(write::<f64, _>(&path, 10).unwrap().sum(), 45.0);
}

/// A second process is refused while the first one appends, and continues the file after it.
#[test]
fn second_appender_is_refused() {
    let dir = dir();
    let path = dir.path().join("log.npy");
    let mut child = Child::start("faults::processes::child_appends", &[path.to_str().unwrap()]);
    assert_eq!(child.hear().as_deref(), Some("open"));
    let open = || ArrayAppender::<u8, Ix1>::open_npy(&path);
    refused(open(), &path, |kind| matches!(kind, ErrorKind::Locked { exclusive: true, .. }));
    refused(ArrayFile::<u8, Ix1>::open_npy(&path), &path, |kind| {
        matches!(kind, ErrorKind::Locked { exclusive: false, .. })
    });
    refused(NpyHeader::reserve_room(&path), &path, |kind| {
        matches!(kind, ErrorKind::Locked { exclusive: false, .. })
    });
    child.tell("close");
    assert_eq!(child.end(), (End::SUCCESS, vec![]));
    let mut log = open().unwrap();
    assert_eq!(log.num_rows(), 3);
    log.push(&ndarray::arr0(4)).unwrap();
    log.close().unwrap();
    assert_eq!(std::fs::read(&path).unwrap()[128..], [1, 2, 3, 4]);
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_appends() {
    let [path] = task().try_into().unwrap();
    let mut log = ArrayAppender::<u8, Ix1>::create_npy(&path, ()).unwrap();
    say("open");
    log.append(&ndarray::array![1, 2, 3]).unwrap();
    assert_eq!(listen().as_deref(), Some("close"));
    log.close().unwrap();
}

/// A forked child has the map and the lock: what it stores, its parent sees, and when it ends its parent's lock stays.
#[test]
fn forked_child_shares_the_mapping() {
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

/// A forked child that drops what it has got takes neither the lock nor the new file from its parent.
#[test]
fn forked_child_may_drop_arrays() {
    let dir = dir();
    let child =
        Child::start("faults::processes::child_forks_and_drops", &[dir.path().to_str().unwrap()]);
    assert_eq!(child.end(), (End::SUCCESS, vec![]));
}

/// A relative path is that of when the file was made, wherever the process goes.
#[test]
fn changed_working_directory_does_not_affect_arrays() {
    let dir = dir();
    let child =
        Child::start("faults::processes::child_changes_directory", &[dir.path().to_str().unwrap()]);
    assert_eq!(child.end(), (End::SUCCESS, vec![]));
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_changes_directory() {
    let [dir] = task().try_into().unwrap();
    let elsewhere = Path::new(&dir).join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let options = MmapArrayOptions::new();
    for path in ["made.raw", "committed.raw", "opened.raw"].map(Path::new) {
        std::env::set_current_dir(&dir).unwrap();
        let array = match path.to_str() {
            Some("committed.raw") => {
                let mut pending = atomic_with::<u8, _>(&options, path, 10).unwrap();
                std::env::set_current_dir(&elsewhere).unwrap();
                pending.fill(1);
                pending.commit().unwrap()
            }
            Some("opened.raw") => {
                std::fs::write(path, [1; 10]).unwrap();
                write::<u8, _>(path, 10).unwrap()
            }
            _ => create::<u8, _>(path, 10).unwrap(),
        };
        std::env::set_current_dir(&elsewhere).unwrap();
        array.flush().unwrap();
        array.close().unwrap();
        assert!(Path::new(&dir).join(path).exists());
    }
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    // The directory itself may get another name: the path leads to the file as before.
    let array = create::<u8, _>(Path::new("here.raw"), 10).unwrap();
    std::fs::rename(&elsewhere, Path::new(&dir).join("renamed")).unwrap();
    array.flush().unwrap();
    std::fs::remove_file("here.raw").unwrap();
    assert!(matches!(array.close().unwrap_err().kind(), ErrorKind::FileReplaced { .. }));
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_forks_and_drops() {
    let [dir] = task().try_into().unwrap();
    let [old, new, log] = ["old", "new", "log.npy"].map(|name| Path::new(&dir).join(name));
    std::fs::write(&old, [1; 10]).unwrap();
    let array = Box::new(write::<u8, _>(&old, 10).unwrap());
    let mut pending = Box::new(atomic_with::<u8, _>(&MmapArrayOptions::new(), &new, 10).unwrap());
    pending.fill(1);
    let mut rows = Box::new(ArrayAppender::<u8, Ix1>::create_npy(&log, ()).unwrap());
    rows.append(&ndarray::array![1, 2, 3]).unwrap();
    let places =
        (&raw const *array as usize, &raw const *pending as usize, &raw const *rows as usize);
    let drop_all = move || {
        // SAFETY: the child has its own copies of all, which nobody else drops, as it runs a program after this.
        drop(unsafe { (places.0 as *const MmapArrayMut<u8, Ix1>).read() });
        // SAFETY: as above.
        drop(unsafe { (places.1 as *const MmapArrayPending<u8, Ix1>).read() });
        // SAFETY: as above.
        drop(unsafe { (places.2 as *const ArrayAppender<u8, Ix1>).read() });
        Ok(())
    };
    let mut command = std::process::Command::new("true");
    // SAFETY: this process has no other threads that could hold a lock which dropping takes, but one that waits for it.
    unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, drop_all) };
    assert!(command.status().unwrap().success());
    let other = std::fs::File::open(&old).unwrap();
    assert!(other.try_lock_shared().is_err(), "the lock has gone with the child");
    assert_eq!(pending.commit().unwrap().sum(), 10);
    assert_eq!(std::fs::read(&new).unwrap(), [1; 10]);
    // Rows in the buffer are those of the parent.
    let header = std::fs::read(&log).unwrap();
    assert_eq!(header.len(), 128);
    rows.push(&ndarray::arr0(4)).unwrap();
    rows.close().unwrap();
    assert_eq!(std::fs::read(&log).unwrap()[128..], [1, 2, 3, 4]);
    drop(array);
    other.try_lock_shared().unwrap();
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_maps_file() {
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
