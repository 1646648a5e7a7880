//! Recipes of the page on file formats, with files written by Python's libraries.
//!
//! `.ci/run` installs the libraries and runs `cargo test --test formats -- --ignored`.
//! `NDARRAY_MMAP_PYTHON` sets the interpreter; the default is `python3`.

#![allow(missing_docs, unreachable_pub, reason = "nobody calls the tests")]

mod fits;
mod hdf5;
mod matlab;
mod netcdf3;
mod nifti;
mod numpy;
mod safetensors;
mod tiff;
mod wav;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use approx::assert_relative_eq;
use tempfile::TempDir;

/// A folder with the files of a Python script, and the numbers that the script has printed.
struct Script {
    dir: TempDir,
    numbers: Vec<f64>,
}

impl Script {
    /// Runs a script of the page.
    fn run(script: &str) -> Self {
        let python = std::env::var_os("NDARRAY_MMAP_PYTHON").unwrap_or_else(|| "python3".into());
        let dir = tempfile::tempdir().unwrap();
        let output = Command::new(python).args(["-c", script]).current_dir(&dir).output();
        let output = output.expect("Python starts");
        let printed = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let numbers = printed.split_whitespace().map(|number| number.parse().unwrap()).collect();
        Self { dir, numbers }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Compares mean and median with the numbers that the script has printed last.
    #[track_caller]
    fn check(&self, (mean, median): (f64, f64)) {
        let [.., expected_mean, expected_median] = self.numbers[..] else {
            panic!("Python has printed {:?}", self.numbers);
        };
        assert_relative_eq!(mean, expected_mean, max_relative = 1e-12);
        assert_relative_eq!(median, expected_median, max_relative = 1e-15);
    }
}

/// Opens a file that is truncated at each byte of its header, and one with damaged bytes at each
/// offset. No call may panic, and a truncated header is an error.
#[track_caller]
fn check_damaged<T>(path: &Path, header: usize, open: impl Fn(&Path) -> std::io::Result<T>) {
    let bytes = fs::read(path).unwrap();
    let damaged = path.with_extension("damaged");
    for len in 0..header {
        fs::write(&damaged, &bytes[..len]).unwrap();
        assert!(open(&damaged).is_err(), "truncated at byte {len}");
    }
    for index in 0..header {
        let byte = bytes[index];
        let others = [0, 0x7F, 0xFF, b' ', b'9', byte ^ 1, byte ^ 0x80].map(|byte| vec![byte]);
        let wider = [vec![0xFF; 4], vec![0xFF; 8]];
        for other in others.iter().chain(&wider) {
            let mut bytes = bytes.clone();
            let end = bytes.len().min(index + other.len());
            bytes[index..end].copy_from_slice(&other[..end - index]);
            fs::write(&damaged, &bytes).unwrap();
            let _ = open(&damaged);
        }
    }
}

/// Checks that files of other formats are errors with their path.
#[track_caller]
fn check_others<T>(open: impl Fn(&Path) -> std::io::Result<T>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other");
    assert!(open(&path).is_err(), "no file");
    let npy = b"\x93NUMPY\x01\0v\0{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }";
    for bytes in [&b""[..], b"text\n", npy, &[0; 5000], &[0xFF; 5000], &[b' '; 5000]] {
        fs::write(&path, bytes).unwrap();
        let error = open(&path).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

/// Returns the message of an error without the folder.
#[track_caller]
fn message<T>(path: &Path, result: std::io::Result<T>) -> String {
    let folder = format!("{}/", path.parent().unwrap().display());
    match result {
        Ok(_) => panic!("no error for {}", path.display()),
        Err(error) => error.to_string().replace(&folder, ""),
    }
}

/// Returns a copy of a file in which the first occurrence of some bytes is replaced.
#[track_caller]
fn replace(path: &Path, old: &[u8], new: &[u8]) -> PathBuf {
    let mut bytes = fs::read(path).unwrap();
    let start = bytes.windows(old.len()).position(|window| window == old).expect("the old bytes");
    bytes.splice(start..start + old.len(), new.iter().copied());
    let path = path.with_extension("replaced");
    fs::write(&path, bytes).unwrap();
    path
}
