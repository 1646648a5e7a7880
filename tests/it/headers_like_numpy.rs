//! The same headers for NumPy and for this crate, thousands of them: who reads which, and what they read. Where the two differ, the
//! reason is in the list below. `NDARRAY_MMAP_ROUNDS` says how many headers (100,000 in `tests/campaigns.sh`).

use std::fs;

use ndarray_mmap::{NpyHeader, Order};

#[path = "../headers/generator.rs"]
mod generator;

use self::generator::{Header, Random, header};
use crate::live_python::python;
use crate::support::*;

/// Reads headers from a file, each after its length in a line, and says a line about each.
const VERDICTS: &str = r#"
import io, sys, warnings
import numpy as np
from numpy.lib import format
warnings.simplefilter("ignore")
with open(sys.argv[1], "rb") as file:
    while line := file.readline():
        one = io.BytesIO(file.read(int(line)))
        try:
            version = format.read_magic(one)
            format._check_version(version)
            shape, fortran, dtype = format._read_array_header(one, version)
            # What numpy.load does with it next.
            if dtype.hasobject: raise ValueError("objects")
            count = 1
            for length in shape:
                if length < 0: raise ValueError("negative")
            if len(shape) > 64: raise ValueError("dimensions")
            print([int(length) for length in shape], bool(fortran), dtype.itemsize, one.tell())
        except Exception as error:
            print("no:", type(error).__name__, str(error).replace("\n", " ")[:100])
"#;

/// What differs on purpose, and how it is known: NumPy's verdict, ours, and the text of the header.
const DIFFERENCES: [(&str, fn(&str, &str, &str) -> bool); 1] = [("neither", |_, _, _| false)];

#[test]
fn verdicts_on_thousands_of_headers() {
    let Some(mut python) = python() else { return };
    let dir = dir();
    let count = std::env::var("NDARRAY_MMAP_ROUNDS").map_or(5_000, |rounds| rounds.parse().unwrap());
    let mut random = Random::new(5);
    let headers: Vec<Header> = (0..count).map(|_| header(&mut random)).collect();
    let all = dir.path().join("all");
    let bytes = headers.iter().flat_map(|header| {
        let mut one = format!("{}\n", header.bytes.len()).into_bytes();
        one.extend_from_slice(&header.bytes);
        one
    });
    fs::write(&all, bytes.collect::<Vec<u8>>()).unwrap();
    let output = python.args(["-c", VERDICTS]).arg(&all).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs = String::from_utf8(output.stdout).unwrap();
    assert_eq!(theirs.lines().count(), count);

    let path = dir.path().join("header.npy");
    let (mut both, mut neither, mut unexplained) = (0, 0, Vec::new());
    let mut explained = [0; DIFFERENCES.len()];
    for (header, theirs) in headers.iter().zip(theirs.lines()) {
        fs::write(&path, &header.bytes).unwrap();
        let ours = match NpyHeader::read(&path) {
            Ok(header) => {
                let fortran = if header.order() == Order::F { "True" } else { "False" };
                let bytes = header.dtype().item_size().map_or("?".to_owned(), |bytes| bytes.to_string());
                format!("{:?} {fortran} {bytes} {}", header.shape(), header.data_offset())
            }
            Err(error) => format!("no: {}", error.to_string().rsplit(": ").next().unwrap_or_default()),
        };
        match (theirs.starts_with("no: "), ours.starts_with("no: ")) {
            (true, true) => neither += 1,
            _ if theirs == ours => both += 1,
            _ => match DIFFERENCES.iter().position(|(_, is)| is(theirs, &ours, &header.text)) {
                Some(reason) => explained[reason] += 1,
                None => unexplained.push(format!("{}\n  NumPy: {theirs}\n  ours: {ours}", header.bytes.escape_ascii())),
            },
        }
    }
    println!("{both} read by both, {neither} by neither");
    for ((reason, _), times) in DIFFERENCES.iter().zip(explained) {
        println!("{times}: {reason}");
    }
    assert!(
        unexplained.is_empty(),
        "{} unexplained:\n{}",
        unexplained.len(),
        unexplained[..unexplained.len().min(40)].join("\n")
    );
    assert!(both > count / 5 && neither > count / 5);
}
