//! One new file that all ranks write: its contents, and failures before it is complete.
#![allow(unsafe_code, reason = "creates files")]

use std::fmt::Debug;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use ndarray::prelude::*;
use ndarray::{Shape, ShapeBuilder};

use crate::distributed::{
    Communicator, DirectoryCommunicator, MmapArrayPart, ThreadCommunicator, all_ok,
};
use crate::prelude::*;
use crate::{Error, ErrorKind, LockPolicy, MmapArray, MmapArrayOptions, NpyHeader, Result};

fn value(i: usize, j: usize) -> f32 {
    (i * 1_000 + j) as f32
}

/// Stores the index of each element in the part of this rank.
fn fill(part: &mut MmapArrayPart<f32, Ix2>) -> Result<()> {
    let (axis, start) = (part.axis(), part.range().start);
    part.chunked_mut().indexed().par_for_each(|(region, mut chunk)| {
        let mut origin = region.origin();
        origin[axis.index()] += start;
        chunk.indexed_iter_mut().for_each(|((i, j), x)| *x = value(origin[0] + i, origin[1] + j));
    })
}

fn entries(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Returns the errors of all ranks, one of which is the cause.
#[track_caller]
fn failures<R: Debug>(cause: usize, results: Vec<Result<R>>) -> Vec<Error> {
    let errors: Vec<_> = results.into_iter().map(|result| result.unwrap_err()).collect();
    for (rank, error) in errors.iter().enumerate().filter(|&(rank, _)| rank != cause) {
        let expected = format!("rank {cause} failed: {}", errors[cause]);
        assert_eq!(error.to_string(), expected, "rank {rank}");
    }
    errors
}

#[test]
fn parts_of_all_ranks_form_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let shapes: [Shape<Ix2>; 6] = [
        (3_000, 50).into_shape_with_order(),
        (50, 3_000).f(),
        (1, 9_000).into_shape_with_order(),
        (5, 1_024).into_shape_with_order(),
        (0, 7).into_shape_with_order(),
        (1, 1).f(),
    ];
    for (shape, size) in shapes.iter().flat_map(|shape| [1, 2, 3, 7].map(|size| (shape, size))) {
        let [npy, raw] = ["out.npy", "out.raw"].map(|name| dir.path().join(name));
        let results = ThreadCommunicator::run(size, |world| {
            let (options, at) = (MmapArrayOptions::new(), MmapArrayOptions::new().offset(512));
            // SAFETY: only these ranks use the file.
            let mut first = unsafe { options.create_npy_across(&npy, *shape, world) }?;
            // SAFETY: as above.
            let mut second = unsafe { at.create_across(&raw, *shape, world) }?;
            assert_eq!(first.range(), second.range());
            all_ok(world, fill(&mut first).and_then(|()| fill(&mut second)))?;
            first.commit(world)?;
            second.commit(world)
        });
        results.into_iter().for_each(|result| result.unwrap());
        let expected = Array2::from_shape_fn(*shape.raw_dim(), |(i, j)| value(i, j));
        // SAFETY: no one changes the file any more.
        let file = unsafe { MmapArray::<f32, Ix2>::open_npy(&npy) }.unwrap();
        assert_eq!(&*file, &*expected, "{shape:?}, {size} ranks");
        let options = MmapArrayOptions::new().offset(512);
        // SAFETY: as above.
        let file = unsafe { options.open::<f32, _>(&raw, *shape) }.unwrap();
        assert_eq!(&*file, &*expected, "{shape:?}, {size} ranks");
    }
    assert_eq!(entries(dir.path()).len(), 2);
}

#[test]
fn creation_that_fails_on_rank_0_fails_on_all() {
    let dir = tempfile::tempdir().unwrap();
    let create = |path: &Path, options: &MmapArrayOptions, rows: usize| {
        ThreadCommunicator::run(3, |world| {
            // SAFETY: only these ranks use the file.
            unsafe { options.create_npy_across::<f64, _>(path, (rows, 4), world) }
        })
    };
    let options = MmapArrayOptions::new();
    let missing = failures(0, create(&dir.path().join("none/out.npy"), &options, 5));
    assert!(missing[0].to_string().contains("the directory does not exist"), "{}", missing[0]);
    // The portable implementation does not know the free space.
    if cfg!(not(any(miri, ndarray_mmap_portable, ndarray_mmap_heap))) {
        let full = failures(0, create(&dir.path().join("out.npy"), &options, 1 << 50));
        let kind = full[0].kind();
        let is_full =
            matches!(kind, ErrorKind::StorageFull { .. } | ErrorKind::FileSizeLimit { .. });
        assert!(is_full, "{kind:?}");
    }
    let old = dir.path().join("old.npy");
    fs::write(&old, "old").unwrap();
    let exists = failures(0, create(&old, &options.create_new(true), 5));
    assert!(exists[0].to_string().contains("already exists"), "{}", exists[0]);
    assert_eq!(entries(dir.path()), ["old.npy"]);
}

#[test]
fn rank_that_fails_later_leaves_the_path_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.npy");
    fs::write(&path, "old").unwrap();
    let create = |world: &dyn Communicator| {
        let options = MmapArrayOptions::new();
        // SAFETY: only these ranks use the file.
        unsafe { options.create_npy_across::<f32, _>(&path, (3_000, 50), world) }
    };
    failures(
        2,
        ThreadCommunicator::run(3, |world| {
            let part = create(world)?;
            let written = match world.rank() {
                2 => Err(ErrorKind::EmptyInput {}.at(None)),
                _ => Ok(()),
            };
            all_ok(world, written)?;
            part.commit(world)
        }),
    );
    let ended = ThreadCommunicator::run(3, |world| match world.rank() {
        1 => create(world).map(drop),
        _ => create(world)?.commit(world),
    });
    for rank in [0, 2] {
        let error = ended[rank].as_ref().unwrap_err().to_string();
        assert!(error.contains("rank 1 has ended"), "{error}");
    }
    assert_eq!(
        (entries(dir.path()), fs::read(&path).unwrap()),
        (vec!["out.npy".into()], b"old".into())
    );
}

#[test]
fn one_lock_protects_the_file_until_all_ranks_have_committed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.npy");
    let results = ThreadCommunicator::run(2, |world| {
        let options = MmapArrayOptions::new().lock(LockPolicy::Required);
        // SAFETY: only these ranks use the file.
        let mut part = unsafe { options.create_npy_across(&path, (3_000, 50), world) }?;
        if world.rank() == 1 {
            let file = File::open(dir.path().join(&entries(dir.path())[0])).unwrap();
            assert!(file.try_lock().is_err());
        }
        all_ok(world, fill(&mut part))?;
        part.commit(world)?;
        assert!(cfg!(windows) || File::open(&path).unwrap().try_lock_shared().is_ok());
        // SAFETY: no rank writes to the file any more.
        let file = unsafe { MmapArray::<f32, Ix2>::open_npy(&path) };
        all_ok(world, file.map(|file| file[[2_999, 49]]))
    });
    assert!(results.into_iter().all(|result| result.unwrap() == value(2_999, 49)));
    assert_eq!(NpyHeader::read(&path).unwrap().shape(), [3_000, 50]);
}

#[test]
fn ranks_must_agree_on_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.npy");
    let options = MmapArrayOptions::new();
    for of_rank in ThreadCommunicator::run(2, |world| {
        // SAFETY: only these ranks use the file.
        unsafe { options.create_npy_across::<f32, _>(&path, (30, 5 + world.rank()), world) }
    }) {
        let error = of_rank.unwrap_err().to_string();
        assert!(error.contains("[30, 5]") && error.contains("[30, 6]"), "{error}");
    }
    for of_rank in ThreadCommunicator::run(2, |world| {
        // SAFETY: only these ranks use the file.
        unsafe { options.create_across::<f32, _>(&path, (), world) }.map(drop)
    }) {
        let kind = of_rank.unwrap_err().kind().clone();
        assert!(matches!(kind, ErrorKind::Unsupported { .. }), "{kind:?}");
    }
    assert_eq!(entries(dir.path()).len(), 0);
}

#[test]
fn rank_0_that_is_started_again_fails() {
    let dir = tempfile::tempdir().unwrap();
    let [job, path] = ["job", "out.npy"].map(|name| dir.path().join(name));
    let create = |rank| {
        let world = DirectoryCommunicator::new(&job, rank, 2, Duration::from_secs(60)).unwrap();
        let options = MmapArrayOptions::new();
        // SAFETY: only these ranks use the file.
        unsafe { options.create_npy_across::<f32, _>(&path, (30, 5), &world) }
    };
    let [first, second] = std::thread::scope(|scope| {
        [0, 1].map(|rank| scope.spawn(move || create(rank))).map(|rank| rank.join().unwrap())
    });
    assert!(first.is_ok() && second.is_ok());
    let error = create(0).unwrap_err().to_string();
    assert!(error.contains("rank 0 was started again"), "{error}");
    assert_eq!(create(1).unwrap().range(), 15..30);
}
