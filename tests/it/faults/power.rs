//! Power failures and unreadable disks: parts of `tests/privileged.sh`, which simulates a power
//! failure by a copy of the image of a mounted file system.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use ndarray::prelude::*;
use ndarray_mmap::{ArrayAppender, ErrorKind, MmapArrayOptions, prelude::*};

use super::child::{Child, End, task};
use super::{random, variable};
use crate::support::*;

const RANGES: usize = 16;
const LEN: usize = 4096;

/// Stores and flushes ranges of a table and commits files until it is killed, and notes elsewhere what is safe by now.
#[test]
#[ignore = "needs a mounted image: tests/privileged.sh"]
fn child_makes_data_durable() {
    let (disk, log) = (variable("NDARRAY_MMAP_DISK"), variable("NDARRAY_MMAP_LOG"));
    let mut log = OpenOptions::new().append(true).create(true).open(log).unwrap();
    let mut note = |line: String| log.write_all(format!("{line}\n").as_bytes()).unwrap();
    let options = MmapArrayOptions::new();
    let mut table =
        create_npy_with::<u64, _>(&options, &disk.join("table.npy"), (RANGES, LEN)).unwrap();
    table.flush().unwrap();
    note("table 0 0".to_owned());
    let (mut random, mut fresh) = (random(4), None);
    let mut log = Log::create(&disk, 0);
    for generation in 1_u64.. {
        if generation % 2 == 1 {
            let before = generation - 1; // notes state the last generation of the table
            let count = [random(10), random(1_000), random(20_000)][random(3)];
            log.append(count);
            note(format!("log {} {before}", log.flush()));
            if log.rows.num_rows() > 30_000 {
                let next = Log::create(&disk, log.number + 1);
                let old = std::mem::replace(&mut log, next);
                note(format!("log {} {before}", log.flush()));
                fs::remove_file(old.rows.path()).unwrap();
            }
        }
        let range = random(RANGES);
        table.row_mut(range).fill(generation);
        match random(4) {
            0 => table.flush().unwrap(),
            _ => table.flush_view(&table.row(range)).unwrap(),
        }
        note(format!("range {range} {generation}"));
        if generation % 4 == 0 {
            let name = random(4);
            let mut file =
                atomic_npy_with::<u64, _>(&options, &disk.join(format!("file{name}.npy")), LEN)
                    .unwrap();
            file.fill(generation);
            note(format!("begin {name} {generation}"));
            drop(file.commit().unwrap());
            note(format!("commit {name} {generation}"));
        }
        if generation % 4 == 2 {
            // A new file, whose name and header no one has flushed before.
            let mut file =
                create_npy_with::<u64, _>(&options, &fresh_file(&disk, generation), (2, LEN))
                    .unwrap();
            file.fill(generation);
            let rows = 1 + random(2);
            match rows {
                1 => file.flush_view(&file.row(0)).unwrap(),
                _ => file.flush().unwrap(),
            }
            note(format!("fresh {rows} {generation}"));
            if let Some(old) = fresh.replace(generation) {
                fs::remove_file(fresh_file(&disk, old)).unwrap();
            }
        }
    }
}

/// A file to which rows are appended. Each row contains the number of the file and its own.
struct Log {
    rows: ArrayAppender<u64, Ix2>,
    number: usize,
}

impl Log {
    /// More rows than a file has.
    const ROWS: usize = 1_000_000;

    fn create(disk: &Path, number: usize) -> Self {
        let rows = ArrayAppender::create_npy(disk.join(format!("log{number}.npy")), 2).unwrap();
        Self { rows, number }
    }

    fn append(&mut self, count: usize) {
        let start = self.rows.num_rows();
        self.rows.append(&rows_of_log(self.number, start, count)).unwrap();
    }

    /// Returns the number of the file and of its rows as one number.
    fn flush(&mut self) -> usize {
        self.rows.flush().unwrap();
        self.number * Self::ROWS + self.rows.num_rows()
    }

    /// Checks the file of which so many rows were flushed, and the one that may follow it.
    fn check(disk: &Path, flushed: usize) {
        let (number, flushed) = (flushed / Self::ROWS, flushed % Self::ROWS);
        for (number, flushed) in [(number, Some(flushed)), (number + 1, None)] {
            let path = disk.join(format!("log{number}.npy"));
            if flushed.is_none() && !path.exists() {
                continue;
            }
            // A later note may have been lost, but not the file.
            let options = MmapArrayOptions::new().trailing_bytes(true);
            let rows = options.open_file_npy::<u64, Ix2>(&path).unwrap().read_all().unwrap();
            assert!(rows.nrows() >= flushed.unwrap_or(0), "{flushed:?} of {}", rows.nrows());
            assert_eq!(rows, rows_of_log(number, 0, rows.nrows()));
        }
    }
}

fn rows_of_log(number: usize, start: usize, count: usize) -> Array2<u64> {
    Array2::from_shape_fn((count, 2), |(i, j)| [number, start + i][j] as u64)
}

fn fresh_file(disk: &Path, generation: u64) -> PathBuf {
    disk.join(format!("fresh{generation}.npy"))
}

/// What was noted before the cut is on the disk.
#[test]
#[ignore = "needs the mounted copy of an image: tests/privileged.sh"]
fn durable_data_survives_power_failure() {
    let (disk, log) =
        (variable("NDARRAY_MMAP_DISK"), fs::read_to_string(variable("NDARRAY_MMAP_LOG")).unwrap());
    let options = MmapArrayOptions::new().lock(ndarray_mmap::LockPolicy::Off);
    let mut ranges = [0; RANGES];
    let (mut begun, mut committed) = ([0; 4], [0; 4]);
    let (mut has_table, mut last, mut fresh, mut flushed_log) = (false, 0, None, None);
    for line in log.lines() {
        let [what, number, generation] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let (number, generation): (usize, u64) =
            (number.parse().unwrap(), generation.parse().unwrap());
        last = generation;
        match what {
            "log" => flushed_log = Some(number),
            "fresh" => fresh = Some((number, generation)),
            "range" => ranges[number] = generation,
            "begin" => begun[number] = generation,
            "commit" => committed[number] = generation,
            _ => has_table = true,
        }
    }
    if has_table {
        let table = read_npy_with::<u64, Ix2>(&options, &disk.join("table.npy")).unwrap();
        for (row, &flushed) in table.outer_iter().zip(&ranges) {
            // The one after the last note may have been stored, in part.
            assert!(
                row.iter().all(|&value| value == flushed || value == last + 1),
                "{flushed}, then {}: {row}",
                last + 1
            );
        }
    }
    if let Some((rows, generation)) = fresh {
        let file = read_npy_with::<u64, Ix2>(&options, &fresh_file(&disk, generation)).unwrap();
        assert_eq!(file.dim(), (2, LEN));
        let flushed = file.slice(s![..rows, ..]);
        assert!(flushed.iter().all(|&value| value == generation), "{generation}: {flushed}");
    }
    if let Some(flushed) = flushed_log {
        Log::check(&disk, flushed);
    }
    for name in 0..4 {
        let path = disk.join(format!("file{name}.npy"));
        match fs::exists(&path).unwrap() {
            true => {
                let file = read_npy_with::<u64, Ix1>(&options, &path).unwrap();
                let first = file[0];
                assert!(
                    [committed[name], begun[name], last, last + 1].contains(&first),
                    "{first}: {committed:?} {begun:?}"
                );
                assert!(file.len() == LEN && file.iter().all(|&value| value == first));
            }
            false => assert_eq!(committed[name], 0, "file {name}"),
        }
    }
}

/// A chunked operation reports pages that the disk cannot read.
#[test]
#[ignore = "needs a file that cannot be read: tests/privileged.sh"]
fn unreadable_pages_are_errors_of_chunked_operations() {
    let path = variable("NDARRAY_MMAP_UNREADABLE");
    let len = fs::metadata(&path).unwrap().len() as usize;
    let is_io = |kind: &ErrorKind| matches!(kind, ErrorKind::Io { .. });
    for mode in MODES {
        let options = MmapArrayOptions::new();
        let check = |view: ArrayView1<'_, u8>| {
            let result = view
                .chunked()
                .chunk_len(1 << 20)
                .par_map_reduce(|chunk| chunk.iter().fold(0_u8, |a, b| a ^ b), |a, b| a ^ b);
            refused(result, &path, is_io);
            refused(view.chunked().memory_limit(8 << 20).sum(), &path, is_io);
            refused(
                view.chunked().quantile(0.5, ndarray_mmap::stats::Interpolation::Lower),
                &path,
                is_io,
            );
        };
        look_raw::<u8, _>(&options, mode, &path, len, check).unwrap();
    }
    let mut array = write::<u8, _>(&path, len).unwrap();
    refused(array.chunked_mut().par_for_each(|mut chunk| chunk.fill(1)), &path, is_io);
    drop(array);
    // What the documentation warns of.
    let child = Child::start("faults::power::child_touches_pages", &[path.to_str().unwrap()]);
    assert_eq!(child.end().0, End::BUS_ERROR);
}

/// By columns, of which only the last rows cannot be read; as a user whom the system does not tell what is resident.
#[test]
#[ignore = "needs a file whose end cannot be read: tests/privileged.sh"]
fn unreadable_last_page_is_an_error_of_chunked_operations() {
    let path = variable("NDARRAY_MMAP_UNREADABLE_END");
    let len = fs::metadata(&path).unwrap().len() as usize;
    let array = read::<u8, _>(&path, (len >> 14, 1 << 14)).unwrap();
    let columns = array.chunked().axis(Axis(1)).chunk_len(64);
    let result =
        columns.par_map_reduce(|chunk| chunk.iter().fold(0_u8, |a, b| a ^ b), |a, b| a ^ b);
    refused(result, &path, |kind| matches!(kind, ErrorKind::Io { .. }));
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_touches_pages() {
    let [path] = task().try_into().unwrap();
    let len = fs::metadata(&path).unwrap().len() as usize;
    println!("{}", read::<u8, _>(path.as_ref(), len).unwrap().iter().fold(0_u8, |a, b| a ^ b));
}

/// What the documentation warns of: a file that may not be changed any more ends the process that stores to it.
#[test]
#[ignore = "needs a mounted image: tests/privileged.sh"]
fn store_to_immutable_file_raises_sigbus() {
    let path = variable("NDARRAY_MMAP_IMAGE").join("immutable.raw");
    fs::write(&path, vec![1; 1 << 20]).unwrap();
    let child =
        Child::start("faults::power::child_stores_to_immutable_file", &[path.to_str().unwrap()]);
    assert_eq!(child.end().0, End::BUS_ERROR);
    chattr("-i", &path);
    fs::remove_file(&path).unwrap();
}

#[test]
#[ignore = "run by another test in a child process"]
fn child_stores_to_immutable_file() {
    let [path] = task().try_into().unwrap();
    let mut array = write::<u8, _>(path.as_ref(), 1 << 20).unwrap();
    chattr("+i", path.as_ref());
    array.chunked_mut().par_for_each(|mut chunk| chunk.fill(2)).unwrap();
}

fn chattr(flag: &str, path: &Path) {
    assert!(std::process::Command::new("chattr").arg(flag).arg(path).status().unwrap().success());
}

/// A file system that is mounted read-only.
#[test]
#[ignore = "needs a read-only file system: tests/privileged.sh"]
fn read_only_file_system_permits_reading_only() {
    let disk = variable("NDARRAY_MMAP_READ_ONLY");
    let path = disk.join("counting.raw");
    assert_eq!(read::<f64, _>(&path, 10).unwrap().sum(), 45.0);
    let mut private = cow::<f64, _>(&path, 10).unwrap();
    private[0] = 1.0;
    assert_eq!(private.sum(), 46.0);
    let is_io = |kind: &ErrorKind| matches!(kind, ErrorKind::Io { .. });
    refused(write::<f64, _>(&path, 10), &path, is_io);
    refused(create::<f64, _>(&path, 10), &path, is_io);
    refused(create::<f64, _>(&disk.join("new"), 10), &disk.join("new"), is_io);
    refused(MmapArrayOptions::new().scratch_in::<u8, _>(&disk, 10), &disk, is_io);
}

/// A name in a new block of its directory, for which the disk of the image has no room. The system reports it to the first sync
/// of the directory, and to no other.
#[test]
#[ignore = "needs an image of ext2 on a small disk: tests/privileged.sh"]
fn failed_directory_flush_is_final() {
    let (disk, below) = (variable("NDARRAY_MMAP_DISK"), variable("NDARRAY_MMAP_SMALL_DISK"));
    let directory = disk.join("directory");
    fs::create_dir(&directory).unwrap();
    // They fill the first block of the directory.
    for number in 0..16 {
        fs::write(directory.join(format!("{number:0240}")), "").unwrap();
    }
    let path = directory.join("n".repeat(250));
    let mut pending = atomic_with::<u8, _>(&MmapArrayOptions::new(), &path, 100_000).unwrap();
    pending.fill(7);
    pending.flush().unwrap();
    rustix::fs::sync();
    let fill = below.join("fill");
    let mut file = fs::File::create(&fill).unwrap();
    for step in [1 << 20, 4096] {
        while file.write_all(&vec![1; step]).is_ok() {}
    }
    let failure = pending.commit().unwrap_err();
    assert!(
        failure.error.to_string().contains("cannot flush the directory of the new file"),
        "{}",
        failure.error
    );
    fs::remove_file(&fill).unwrap();
    let failure = failure.array.commit().unwrap_err();
    assert!(
        matches!(failure.error.kind(), ErrorKind::PreviousFlushFailed { .. }),
        "{}",
        failure.error
    );
    assert!(failure.array.flush().is_err());
    assert_eq!(failure.array[99_999], 7);
}
