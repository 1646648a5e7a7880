//! Resource limits of a process.

use std::fs;
use std::path::Path;

use ndarray::prelude::*;
use ndarray_mmap::{
    ArrayAppender, ArrayFile, ErrorKind, MmapArrayMut, MmapArrayOptions, prelude::*,
};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::child::{Child, End, task};
use crate::support::*;

fn limit(resource: Resource, bytes: u64) {
    setrlimit(resource, Rlimit { current: Some(bytes), maximum: Some(bytes) }).unwrap();
}

#[track_caller]
fn runs(test: &str) {
    let dir = dir();
    let child = Child::start(&format!("faults::limits::{test}"), &[dir.path().to_str().unwrap()]);
    assert_eq!(child.end(), (End::SUCCESS, vec![]));
}

/// Exceeding `ulimit -f` raises a signal, so it is asked before.
#[test]
fn file_size_limit_is_an_error() {
    runs("child_has_file_size_limit");
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_has_file_size_limit() {
    let [dir] = task().try_into().unwrap();
    let dir = Path::new(&dir);
    limit(Resource::Fsize, 1 << 20);
    let path = dir.join("new");
    let too_large =
        |kind: &ErrorKind| matches!(kind, ErrorKind::FileSizeLimit { limit: 1_048_576, .. });
    for options in [MmapArrayOptions::new(), MmapArrayOptions::new().sparse(true)] {
        refused(create_with::<u8, _>(&options, &path, (1 << 20) + 1), &path, too_large);
        refused(create_npy_with::<u8, _>(&options, &path, 1 << 20), &path, too_large);
        refused(atomic_with::<u8, _>(&options, &path, 1 << 21), &path, too_large);
        refused(options.scratch_in::<u8, _>(dir, 1 << 21), dir, too_large);
        assert_eq!(fs::read_dir(dir).unwrap().count(), 0);
    }
    let mut array = create::<u8, _>(&path, 1 << 20).unwrap();
    array.fill(1);
    array.close().unwrap();

    // Rows in the buffer do not keep those in the file from being flushed.
    let ones = Array1::<u8>::ones((1 << 20) - 128);
    for close in [true, false] {
        let mut log = ArrayAppender::<u8, Ix1>::create_npy(&path, ()).unwrap();
        refused(log.append(&Array1::ones(1 << 20)), &path, too_large);
        log.append(&ones).unwrap();
        log.push(&arr0(1)).unwrap();
        refused(log.flush(), &path, too_large);
        assert_eq!(log.num_rows(), ones.len() + 1);
        if close {
            refused(log.close(), &path, too_large);
        } else {
            drop(log);
        }
        let file = ArrayFile::<u8, Ix1>::open_npy(&path).unwrap();
        assert_eq!(file.read_all().unwrap(), ones);
    }
}

/// `ulimit -v`: an error with the reason, and the array that was there before goes on.
#[test]
fn address_space_limit_is_an_error() {
    runs("child_has_address_space_limit");
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_has_address_space_limit() {
    let [dir] = task().try_into().unwrap();
    let path = Path::new(&dir).join("large");
    fs::File::create(&path).unwrap().set_len(4 << 30).unwrap();
    limit(Resource::As, 2 << 30);
    for mode in MODES {
        let result = look_raw::<u8, _>(&MmapArrayOptions::new(), mode, &path, 4 << 30, |_| {});
        let error = result.unwrap_err();
        assert!(error.to_string().contains("out of address space (check `ulimit -v`)"), "{error}");
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::OutOfMemory);
        // Nothing is left that would refuse a smaller one.
        look_raw::<u8, _>(&MmapArrayOptions::new(), mode, &path, 1 << 20, |view| {
            assert_eq!(view.sum(), 0)
        })
        .unwrap();
    }
    let error =
        MmapArrayOptions::new().sparse(true).scratch_in::<u8, _>(&dir, 4 << 30).unwrap_err();
    assert!(error.to_string().contains("`ulimit -v`"), "{error}");
    fs::remove_file(&path).unwrap();
    assert!(create_with::<u8, _>(&MmapArrayOptions::new().sparse(true), &path, 4 << 30).is_err());
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}

/// The number of mappings of a process is limited (`vm.max_map_count`, 65,530); views and chunks are none.
#[test]
fn mapping_count_limit_is_an_error() {
    let dir = dir();
    let path = counting(&dir, 0, 100_000);
    let mut array = write::<f64, _>(&path, 100_000).unwrap();
    let mappings = || {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.ends_with(path.to_str().unwrap())).count()
    };
    let views: Vec<_> = array.axis_chunks_iter(Axis(0), 1).collect();
    assert_eq!((views.len(), mappings()), (100_000, 1));
    let mut left = array.view_mut();
    let mut chunks = Vec::new();
    for _ in 0..100_000 {
        let (chunk, rest) = left.split_at(Axis(0), 1);
        chunks.push(chunk);
        left = rest;
    }
    assert_eq!(
        (chunks.iter().map(|chunk| chunk[0]).sum::<f64>(), mappings()),
        (4_999_950_000.0, 1)
    );
}

/// Of the open files (`ulimit -n`): one for each array.
#[test]
fn open_file_limit_is_an_error() {
    runs("child_has_open_file_limit");
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_has_open_file_limit() {
    let [dir] = task().try_into().unwrap();
    let options = MmapArrayOptions::new();
    limit(Resource::Nofile, 64);
    let mut arrays: Vec<MmapArrayMut<u8, Ix1>> = Vec::new();
    let error = loop {
        match options.scratch_in(&dir, 1000) {
            Ok(array) => arrays.push(array),
            Err(error) => break error,
        }
    };
    assert!(arrays.len() > 40, "{} arrays", arrays.len());
    assert!(error.to_string().contains("Too many open files"), "{error}");
    arrays.pop();
    arrays.push(options.scratch_in(&dir, 1000).unwrap());
    assert_eq!(arrays.iter().map(|array| array.len()).sum::<usize>(), arrays.len() * 1000);
    arrays.clear();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}

/// A file five times larger than the memory group: its pages are written back and dropped, and nobody is killed.
#[test]
#[ignore = "needs a memory group of 64 MiB; run by tests/privileged.sh"]
fn memory_cgroup_limit_is_not_exceeded() {
    let dir = std::env::var("NDARRAY_MMAP_MEMORY_GROUP")
        .expect("a directory, and a memory group around this process");
    let group = fs::read_to_string("/proc/self/cgroup").unwrap();
    assert!(group.contains("ndarray-mmap-test"), "this process is in another group: {group}");
    let dir = tempfile::tempdir_in(dir).unwrap();
    let mut large = create::<f64, _>(&dir.path().join("large"), 40 << 20).unwrap();
    let fill = |begin: usize, mut chunk: ArrayViewMut1<'_, f64>| {
        (begin..).zip(&mut chunk).for_each(|(i, x)| *x = (i % 1_000) as f64);
    };
    large
        .chunked_mut()
        .indexed()
        .par_for_each(|(region, chunk)| fill(region.origin()[0], chunk))
        .unwrap();
    large.flush().unwrap();
    let whole_cycles = (40 << 20) / 1_000;
    let rest: usize = (0..(40 << 20) % 1_000).sum();
    assert_eq!(large.chunked().sum().unwrap(), (whole_cycles * 499_500 + rest) as f64);
    let median = large.chunked().quantile(0.5, ndarray_mmap::stats::Interpolation::Lower).unwrap();
    assert!((499.0..=500.0).contains(&median), "{median}");
}
