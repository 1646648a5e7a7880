//! Files that together are one array: their index, and their statistics on any number of ranks.
#![allow(unsafe_code, reason = "opens files")]

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::concatenate;
use ndarray::prelude::*;

use crate::distributed::{NpyIndex, ThreadCommunicator, all_ok};
use crate::prelude::*;
use crate::{Dtype, ErrorKind, MmapArrayMut, Result};

/// Saves the rows of a rank.
fn save(path: &Path, rows: usize) -> Result<()> {
    let table = Array2::from_shape_fn((rows, 3), |(i, j)| (10 * rows + i * 3 + j) as i32);
    // SAFETY: this test alone uses the file.
    unsafe { table.to_mmap_npy(path) }?.close()
}

/// Saves three files, and returns their paths and that of the index.
fn saved(directory: &Path) -> (Vec<PathBuf>, PathBuf) {
    let paths: Vec<_> = (1..=3).map(|rows| directory.join(format!("{rows} rows.npy"))).collect();
    (1..).zip(&paths).for_each(|(rows, path)| save(path, rows).unwrap());
    (paths, directory.join("all.index"))
}

#[test]
fn files_of_all_ranks_are_listed_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("all.index");
    let below = dir.path().join("below");
    fs::create_dir(&below).unwrap();
    let written = ThreadCommunicator::run(3, |world| {
        // Rank 0 has no files, rank 1 one, rank 2 two.
        let name = |number| below.join(format!("rank {} {number}.npy", world.rank()));
        let paths: Vec<_> = (0..world.rank()).map(name).collect();
        let saved = paths.iter().try_for_each(|path| save(path, 1 + world.rank()));
        all_ok(world, saved)?;
        NpyIndex::write_across(&path, Axis(0), &paths, world)
    });
    let index = NpyIndex::read(&path).unwrap();
    for of_rank in written {
        assert_eq!(of_rank.unwrap(), index);
    }
    let names = index.paths().map(|path| path.file_name().unwrap().to_owned());
    assert_eq!(names.collect::<Vec<_>>(), ["rank 1 0.npy", "rank 2 0.npy", "rank 2 1.npy"]);
    assert_eq!(
        (index.axis(), index.shape(), index.dtype()),
        (Axis(0), vec![8, 3], &Dtype::of::<i32>())
    );
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.ends_with("[3, 3] below/rank 2 1.npy\n"), "{text}");
}

#[test]
fn files_are_divided_among_any_number_of_ranks() {
    let dir = tempfile::tempdir().unwrap();
    let (paths, path) = saved(dir.path());
    let index = NpyIndex::write(&path, Axis(0), &paths).unwrap();
    // SAFETY: no one changes the files.
    let files = unsafe { index.open::<i32, Ix2>() }.unwrap();
    let views: Vec<_> = files.iter().map(|file| file.view()).collect();
    let whole = concatenate(Axis(0), &views).unwrap();
    for size in [1, 2, 3, 5] {
        for of_rank in ThreadCommunicator::run(size, |world| {
            // SAFETY: as above.
            let files = unsafe { index.open_across::<i32, Ix2>(world) }?;
            let rows = files.iter().map(|file| file.nrows()).sum();
            let own = MmapArrayMut::<i32, _>::scratch((rows, 3)).map(|mut own| {
                let mut rest = own.view_mut();
                for file in &files {
                    let (mut first, next) = rest.split_at(Axis(0), file.nrows());
                    first.assign(file);
                    rest = next;
                }
                own
            });
            let own = all_ok(world, own)?;
            let chunked = || own.chunked().concatenate_across(index.axis(), world);
            Ok::<_, crate::Error>((chunked().argmax()?, chunked().sum_axis(Axis(0))?))
        }) {
            let expected =
                (whole.chunked().argmax().unwrap(), whole.chunked().sum_axis(Axis(0)).unwrap());
            assert_eq!(of_rank.unwrap(), expected, "{size} ranks");
        }
    }
}

#[test]
fn file_that_differs_from_the_index_is_named_on_all_ranks() {
    let dir = tempfile::tempdir().unwrap();
    let (paths, path) = saved(dir.path());
    let index = NpyIndex::write(&path, Axis(0), &paths).unwrap();
    let check = |expected: &str| {
        let errors = ThreadCommunicator::run(2, |world| {
            // SAFETY: no one changes the files meanwhile.
            unsafe { index.open_across::<i32, Ix2>(world) }.unwrap_err()
        });
        let kind = errors[1].kind();
        assert!(matches!(kind, ErrorKind::InvalidIndex { line: 6, .. }), "{kind:?}");
        assert_eq!(errors[1].path(), Some(&*path));
        for error in errors {
            assert!(error.to_string().contains(expected), "{error}");
        }
    };
    save(&paths[2], 4).unwrap();
    check("`3 rows.npy`: expected dtype <i4 and shape [3, 3], found <i4 and [4, 3]");
    // SAFETY: this test alone uses the file.
    unsafe { Array2::<f32>::zeros((3, 3)).to_mmap_npy(&paths[2]) }.unwrap().close().unwrap();
    check("found <f4 and [3, 3]");
    fs::write(&paths[2], "text").unwrap();
    check("3 rows.npy");
    fs::remove_file(&paths[2]).unwrap();
    check("cannot open for reading");
}

#[test]
fn files_that_cannot_be_listed_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut paths, path) = saved(dir.path());
    fs::write(&path, "old").unwrap();
    let refused = |axis, paths: &[PathBuf]| {
        let error = NpyIndex::write(&path, Axis(axis), paths).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        error.to_string()
    };
    assert!(
        refused(1, &paths).contains("line 5: expected shape [1, 3] as in line 4, found [2, 3]")
    );
    assert!(refused(2, &paths).contains("expected a shape with an axis 2, found [1, 3]"));
    assert!(refused(0, &[]).contains("expected a shape and a file, found nothing"));
    paths.push(dir.path().join("../outside.npy"));
    assert!(refused(0, &paths).contains("in its directory or below it"));
    paths[3] = dir.path().join("missing.npy");
    assert!(refused(0, &paths).contains("cannot open for reading"));
    // SAFETY: this test alone uses the file.
    unsafe { array![[1_u8, 2, 3]].to_mmap_npy(&paths[3]) }.unwrap().close().unwrap();
    assert!(refused(0, &paths).contains("line 7: `missing.npy`: expected dtype <i4, found |u1"));
    let errors = ThreadCommunicator::run(2, |world| {
        let own = if world.rank() == 1 { &paths[3..] } else { &paths[..3] };
        NpyIndex::write_across(&path, Axis(0), own, world).unwrap_err().to_string()
    });
    assert!(errors[0].contains("found |u1") && errors[0] == errors[1], "{errors:?}");
    // The index must not replace a file that it lists, and no file counts twice.
    let twice = [&paths[0], &paths[0]].map(PathBuf::clone);
    assert!(refused(0, &twice).contains("line 5: `1 rows.npy` is listed twice"));
    let error = NpyIndex::write(&paths[0], Axis(0), &paths[..1]).unwrap_err();
    assert!(error.to_string().contains("is the index itself"), "{error}");
    assert!(crate::NpyHeader::read(&paths[0]).is_ok());
}

#[test]
fn other_files_are_not_indices() {
    let dir = tempfile::tempdir().unwrap();
    let (paths, path) = saved(dir.path());
    let kind = |path: &Path| NpyIndex::read(path).unwrap_err().kind().clone();
    assert!(matches!(kind(&path), ErrorKind::Io { .. }));
    assert!(matches!(kind(dir.path()), ErrorKind::NotRegularFile { .. }));
    assert!(matches!(kind(&paths[0]), ErrorKind::InvalidIndex { line: 1, .. }), "not UTF-8");
    fs::write(&path, "").unwrap();
    assert!(matches!(kind(&path), ErrorKind::InvalidIndex { line: 1, .. }));
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(kind(&path), ErrorKind::InvalidIndex { line: 1, .. }));
}
