//! Killed processes: stored data is in the file, and paths refer only to complete files.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ndarray::prelude::*;
use ndarray_mmap::{ArrayAppender, ArrayFile, MmapArrayOptions, NpyHeader, prelude::*};

use super::child::{Child, End, say, task};
use super::{random, rounds};
use crate::support::*;

const LEN: usize = 10_000;

/// Temporary files with hidden names, which a killed process may leave.
fn visible(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| !name.starts_with(".ndarray-mmap-"));
    names.sort();
    names
}

/// Starts a process, kills it after a random time, and checks its output and its files.
fn kill_again_and_again(kind: &str, milliseconds: usize, look: impl Fn(&Path, &[String])) {
    let dir = dir();
    let mut random = random(3);
    let mut said_something = 0;
    let all = rounds(2_000).div_ceil(20);
    for _ in 0..all {
        let mut child = Child::start(
            "faults::killed::child_works_until_killed",
            &[kind, dir.path().to_str().unwrap()],
        );
        assert_eq!(child.hear().as_deref(), Some("begun"), "{kind}");
        std::thread::sleep(Duration::from_micros(random(1_000 * milliseconds) as u64));
        child.kill();
        let (end, said) = child.end();
        assert_eq!(end, End::KILLED, "{kind}");
        look(dir.path(), &said);
        said_something += usize::from(!said.is_empty());
        for entry in fs::read_dir(dir.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
    println!("{kind}: killed {all} times, {said_something} times after something had been done");
}

fn last(said: &[String]) -> u64 {
    // The very last line may have been cut.
    said.iter().rev().find_map(|line| line.strip_suffix('.')?.parse().ok()).unwrap_or(0)
}

/// Completed stores are in the file, flushed or not: the kernel has them.
#[test]
fn kill_during_store_keeps_durable_data() {
    kill_again_and_again("store", 3, |dir, said| {
        let table =
            read_npy_with::<u64, Ix1>(&MmapArrayOptions::new(), &dir.join("table.npy")).unwrap();
        let stored = last(said);
        for (i, &value) in (1..).zip(&table) {
            // No value is torn, and what was said to be stored is.
            assert!(
                value == i * 0x0101_0101_0101 || (value == 0 && i > stored),
                "{i}: {value:x}, {stored} said"
            );
        }
        assert_eq!(visible(dir), ["table.npy"]);
    });
}

#[test]
fn kill_during_flush_keeps_durable_data() {
    kill_again_and_again("flush", 3, |dir, said| {
        let table =
            read_npy_with::<u64, Ix1>(&MmapArrayOptions::new(), &dir.join("table.npy")).unwrap();
        let flushed = last(said);
        assert!(
            table.iter().all(|&value| (flushed..=flushed + 2).contains(&value)),
            "{flushed}: {table}"
        );
        assert_eq!(visible(dir), ["table.npy"]);
    });
}

/// Under the name is a whole file, the one before or the new one, whose header can be read.
#[test]
fn kill_during_create_leaves_whole_files() {
    kill_again_and_again("create", 3, |dir, said| {
        let names = visible(dir);
        assert!(last(said) == 0 || names == ["table.npy"], "{names:?}");
        for name in names {
            let header = NpyHeader::read(dir.join(&name)).unwrap();
            assert_eq!(header.shape(), [LEN]);
            // Zeros or ones, but all of them.
            assert_eq!(
                read_npy_with::<u64, Ix1>(&MmapArrayOptions::new(), &dir.join(name)).unwrap().len(),
                LEN
            );
        }
    });
}

/// Of an atomic one all elements as well.
#[test]
fn kill_during_commit_leaves_whole_files() {
    kill_again_and_again("commit", 30, |dir, said| {
        let names = visible(dir);
        assert!(names.is_empty() || names == ["table.npy"], "{names:?}");
        let committed = last(said);
        assert!(committed == 0 || !names.is_empty());
        for name in names {
            let table =
                read_npy_with::<u64, Ix1>(&MmapArrayOptions::new(), &dir.join(name)).unwrap();
            let first = table[0];
            assert!(
                (committed..=committed + 1).contains(&first) && first > 0,
                "{committed}: {first}"
            );
            assert!(table.iter().all(|&value| value == first));
        }
    });
}

/// Returns rows that state their own numbers, from row `start` on.
fn numbered(start: usize, count: usize) -> Array2<u64> {
    Array2::from_shape_fn((count, 3), |(i, j)| ((start + i) * 3 + j) as u64)
}

fn assert_numbered(rows: &Array2<u64>) {
    assert_eq!(rows, numbered(0, rows.nrows()));
}

/// The file is valid and contains the flushed rows; an appender continues it.
#[test]
fn kill_during_append_keeps_flushed_rows() {
    kill_again_and_again("append", 40, |dir, said| {
        let path = dir.join("table.npy");
        let flushed = last(said) as usize;
        if !path.exists() {
            assert_eq!((flushed, visible(dir)), (0, vec![]));
            return;
        }
        assert_eq!(visible(dir), ["table.npy"]);
        let options = MmapArrayOptions::new().trailing_bytes(true);
        let read = options.open_file_npy::<u64, Ix2>(&path).unwrap().read_all().unwrap();
        assert!(read.nrows() >= flushed, "{flushed} flushed, {} found", read.nrows());
        assert_numbered(&read);

        let mut log = ArrayAppender::<u64, Ix2>::open_npy(&path).unwrap();
        assert_eq!(log.num_rows(), read.nrows());
        log.append(&numbered(log.num_rows(), 2)).unwrap();
        log.close().unwrap();
        let read = ArrayFile::<u64, Ix2>::open_npy(&path).unwrap().read_all().unwrap();
        assert!(read.nrows() > flushed);
        assert_numbered(&read);
    });
}

/// All rows of a raw file are whole, except the last one.
#[test]
fn kill_during_append_to_raw_file_keeps_flushed_rows() {
    kill_again_and_again("append raw", 40, |dir, said| {
        let path = dir.join("table.raw");
        let flushed = last(said) as usize;
        if !path.exists() {
            assert_eq!((flushed, visible(dir)), (0, vec![]));
            return;
        }
        let options = MmapArrayOptions::new().trailing_bytes(true);
        let mut log = options.open_appender::<u64, Ix2>(&path, 3).unwrap();
        assert!(log.num_rows() >= flushed, "{flushed} flushed, {} found", log.num_rows());
        log.append(&numbered(log.num_rows(), 2)).unwrap();
        log.close().unwrap();
        let read = ArrayFile::<u64, Ix2>::open_rows(&path, 3).unwrap().read_all().unwrap();
        assert_numbered(&read);
    });
}

/// Appends rows one by one and many at a time, and flushes now and then.
fn append_until_killed(mut log: ArrayAppender<u64, Ix2>, done: impl Fn(u64)) {
    let mut random = random(u64::from(std::process::id()));
    loop {
        for _ in 0..random(4) {
            // More than the buffer, or less.
            let count = [random(10), random(500), random(40_000)][random(3)];
            log.append(&numbered(log.num_rows(), count)).unwrap();
            log.push(&numbered(log.num_rows(), 1).row(0)).unwrap();
        }
        log.flush().unwrap();
        done(log.num_rows() as u64);
    }
}

/// Says a number when what it stands for is done.
#[test]
#[ignore = "run by the others, in a process of its own"]
fn child_works_until_killed() {
    let [kind, dir] = task().try_into().unwrap();
    let (path, options) = (Path::new(&dir).join("table.npy"), MmapArrayOptions::new());
    let done = |number: u64| say(&format!("{number}."));
    let create = || create_npy_with::<u64, _>(&options, &path, LEN).unwrap();
    match &*kind {
        "store" => {
            let mut table = create();
            say("begun");
            for (i, value) in (1..).zip(table.iter_mut()) {
                *value = i * 0x0101_0101_0101;
                if i % 8 == 0 {
                    done(i);
                }
            }
            std::thread::sleep(Duration::from_secs(60));
        }
        "flush" => {
            let mut table = create();
            say("begun");
            for number in 1.. {
                table.fill(number);
                table.flush().unwrap();
                done(number);
            }
        }
        "create" => {
            say("begun");
            for number in 1.. {
                create().fill(1);
                done(number);
            }
        }
        "append" => {
            say("begun");
            append_until_killed(ArrayAppender::create_npy(&path, 3).unwrap(), done);
        }
        "append raw" => {
            say("begun");
            let path = path.with_extension("raw");
            append_until_killed(ArrayAppender::create(path, 3).unwrap(), done);
        }
        _ => {
            say("begun");
            for number in 1.. {
                let mut table = atomic_npy_with::<u64, _>(&options, &path, LEN).unwrap();
                table.chunked_mut().par_for_each(|mut chunk| chunk.fill(number)).unwrap();
                drop(table.commit().unwrap());
                done(number);
            }
        }
    }
}
