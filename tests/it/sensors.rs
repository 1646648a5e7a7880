//! The example `sensors`: wrong arguments, tables, files, and the same numbers from NumPy (with the
//! interpreter of `live_python`).
//!
//! `cargo test` builds the example. Before single tests (`--test it`, `--tests`), build it with
//! `cargo build --examples`.

use std::env::{self, consts::EXE_SUFFIX};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ndarray::Ix2;
use ndarray_mmap::{MmapArray, MmapArrayOptions};
use tempfile::TempDir;

use crate::live_python::python;
use crate::support::*;

/// Runs the example in a directory.
#[track_caller]
fn sensors(dir: &TempDir, arguments: &[&str]) -> Output {
    // target/debug/deps/it-0123456789abcdef
    let test = env::current_exe().unwrap();
    let example =
        test.ancestors().nth(2).unwrap().join("examples").join(format!("sensors{EXE_SUFFIX}"));
    assert!(
        example.is_file(),
        "{}: is not there; `cargo build --examples` makes it",
        example.display()
    );
    Command::new(example)
        .args(arguments)
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Standard output of a run without mistakes, which says nothing on standard error.
#[track_caller]
fn printed(dir: &TempDir, arguments: &[&str]) -> String {
    let output = sensors(dir, arguments);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*complaint), (Some(0), ""), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// One line on standard error that contains `complaint`, the exit code, no output, and nothing made or changed.
#[track_caller]
fn refuses(dir: &TempDir, arguments: &[&str], code: i32, complaint: &str) {
    let before = tree(dir.path());
    let output = sensors(dir, arguments);
    let [printed, said] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!((output.status.code(), &*printed), (Some(code), ""), "{arguments:?}: {said}");
    assert_eq!(said.matches('\n').count(), 1, "{arguments:?}: {said}");
    assert!(said.starts_with("sensors: ") && said.ends_with('\n'), "{arguments:?}: {said}");
    assert!(said.contains(complaint), "{arguments:?}: {said}");
    assert_eq!(tree(dir.path()), before, "{arguments:?}");
}

/// All that is in a directory: paths, and the contents of files.
fn tree(directory: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut all = Vec::new();
    for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        let below = if path.is_dir() { tree(&path) } else { Vec::new() };
        let contents = path.is_file().then(|| fs::read(&path).unwrap());
        all.push((path, contents));
        all.extend(below);
    }
    all.sort();
    all
}

/// 5 sensors of 20 readings in `good`, and an empty directory `out`.
fn recording() -> TempDir {
    let dir = dir();
    fs::create_dir(dir.path().join("out")).unwrap();
    let readings: Vec<f32> = (0..100_u8).map(f32::from).collect();
    fs::write(dir.path().join("good"), bytemuck::cast_slice(&readings)).unwrap();
    dir
}

#[test]
fn wrong_arguments_are_reported() {
    let dir = recording();
    let refuses = |arguments: &[&str], complaint: &str| {
        refuses(&dir, arguments, 2, &format!("{complaint} (see --help)"));
    };
    refuses(&["--frobnicate"], r#"unknown option "--frobnicate""#);
    refuses(&["good"], r#"unexpected argument "good"; a file of readings is named by --input"#);
    for option in ["--sensors", "--readings", "--seed", "--input", "--out"] {
        refuses(&[option], &format!("{option} needs a value"));
        refuses(&[option, ""], &format!("{option} needs a value"));
        refuses(&[option, "--json"], &format!("{option} needs a value"));
    }
    for number in ["0", "-1", "1.5", "1e3", "many", "18446744073709551616"] {
        let least =
            |least| format!("needs a whole number from {least} to {}, not {number:?}", u64::MAX);
        refuses(&["--sensors", number], &format!("--sensors {}", least(1)));
        refuses(&["--readings", number], &format!("--readings {}", least(1)));
        if number != "0" {
            refuses(&["--seed", number], &format!("--seed {}", least(0)));
        }
    }
    refuses(&["--input", "good"], "--input needs --sensors, the file does not tell their number");
    let input = ["--input", "good", "--sensors", "5"];
    refuses(
        &[&input[..], &["--readings", "20"]].concat(),
        "with --input their number follows from the file's size",
    );
    refuses(
        &[&input[..], &["--seed", "1"]].concat(),
        "--seed is for generating and has no use with --input",
    );
}

#[test]
fn invalid_inputs_are_reported() {
    let dir = recording();
    fs::create_dir(dir.path().join("directory")).unwrap();
    fs::write(dir.path().join("empty"), "").unwrap();
    fs::write(dir.path().join("cut"), [0; 399]).unwrap();
    let refuses = |input: &str, sensors: &str, complaint: &str| {
        refuses(&dir, &["--input", input, "--sensors", sensors, "--out", "out"], 1, complaint);
    };
    let wrong_size = |input: &str, found: u64, sensors: u64, multiple: u128| {
        let complaint = format!(
            "{input}: the file has {found} bytes; expected as many readings of each of {sensors} sensors, at least one: \
             a multiple of {multiple} bytes (4 bytes x {sensors})"
        );
        refuses(input, &sensors.to_string(), &complaint);
    };
    refuses("missing", "5", "missing: cannot open: ");
    refuses("directory", "5", "directory: not a regular file: a directory");
    // 128 bytes of header and 68 of readings: as many bytes as 49 readings have.
    let header = b"\x93NUMPY\x01\0\x76\0";
    fs::write(dir.path().join("saved.npy"), [&header[..], &[b' '; 186]].concat()).unwrap();
    refuses(
        "saved.npy",
        "7",
        "saved.npy: is an .npy file, whose header would pass for readings; save it without one",
    );
    wrong_size("empty", 0, 5, 20);
    wrong_size("cut", 399, 5, 20);
    wrong_size("good", 400, 7, 28);
    wrong_size("good", 400, 101, 404);
    #[cfg(target_pointer_width = "64")]
    wrong_size("good", 400, u64::MAX, 4 * u128::from(u64::MAX));
}

#[test]
fn unwritable_outputs_are_reported() {
    let dir = recording();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("file"), "").unwrap();
    fs::create_dir_all(path("taken/processed.f32")).unwrap();
    fs::copy(path("good"), path("out/processed.f32")).unwrap();
    let refuses = |out: &str, complaint: &str| {
        refuses(&dir, &["--input", "good", "--sensors", "5", "--out", out], 1, complaint);
        refuses(&dir, &["--sensors", "5", "--readings", "20", "--out", out], 1, complaint);
    };
    refuses("file", "file: cannot make the output directory: ");
    refuses("file/out", "cannot make the output directory: ");
    #[cfg(target_os = "linux")]
    refuses("/proc/self", "cannot create a file in its directory: ");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir(path("locked")).unwrap();
        fs::set_permissions(path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
        // Root may write everywhere.
        if fs::write(path("locked/probe"), "").is_err() {
            refuses("locked", "cannot create a file in its directory: ");
        } else {
            fs::remove_file(path("locked/probe")).unwrap();
        }
    }
    let input = ["--sensors", "5", "--input"];
    let taken = [&input[..], &["good", "--out", "taken"]].concat();
    self::refuses(&dir, &taken, 1, "processed.f32: not a regular file: a directory");
    let own = [&input[..], &["out/processed.f32", "--out", "out"]].concat();
    self::refuses(
        &dir,
        &own,
        1,
        "processed.f32: is the input, and would be overwritten; choose another --out",
    );
}

#[test]
#[cfg(target_pointer_width = "64")]
fn impossible_numbers_are_reported() {
    let dir = recording();
    let refuses = |sensors: u64, readings: u64, complaint: &str| {
        let [sensors, readings] = [sensors, readings].map(|number| number.to_string());
        refuses(&dir, &["--sensors", &sensors, "--readings", &readings], 1, complaint);
    };
    refuses(
        u64::MAX,
        1,
        "raw.f32: array too large: shape [18446744073709551615, 1] of f32 at offset 0 exceeds the address space",
    );
    refuses(
        1,
        u64::MAX,
        "raw.f32: array too large: shape [1, 18446744073709551615] of f32 at offset 0 exceeds the address space",
    );
    refuses(
        1 << 32,
        1 << 32,
        "raw.f32: array too large: shape [4294967296, 4294967296] of f32 at offset 0 exceeds the address space",
    );
    #[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
    refuses(
        1 << 30,
        1 << 28,
        "raw.f32: not enough disk space: 1152921504606846976 more bytes needed, ",
    );
}

/// What the statistics file holds, for 42 sensors.
fn statistics(path: &Path) -> MmapArray<f64, Ix2> {
    rows_with(&MmapArrayOptions::new(), path, 5).unwrap()
}

#[test]
fn tables_are_printed_in_order() {
    let dir = dir();
    let arguments = ["--sensors", "42", "--readings", "3000", "--seed", "7", "--out", "new/out"];
    let text = printed(&dir, &arguments);
    assert!(!text.contains(['\r', '\u{1b}']), "a progress bar: {text:?}");
    let tables: Vec<_> = text.split("\n\n").collect();
    let [measured, anomalies, correlations, files, cost] = tables[..] else { panic!("{text}") };

    let mut lines = measured.lines();
    assert_eq!(lines.next(), Some("Statistics in °F (sensors: 42, readings of each: 3,000)"));
    let columns: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(columns, ["sensor", "mean", "std", "min", "max", "median"]);
    let saved = statistics(&dir.path().join("new/out/statistics.f64"));
    assert_eq!(saved.dim(), (42, 5));
    for (number, row) in saved.rows().into_iter().take(10).enumerate() {
        let values: String = row.iter().map(|value| format!("{value:>12.4}")).collect();
        assert_eq!(lines.next(), Some(&*format!("{number:>8}{values}")));
    }
    assert_eq!(lines.next(), Some("         and 32 more sensors (statistics.f64 has them all)"));
    assert_eq!(lines.next(), None);

    let mut lines = anomalies.lines();
    assert_eq!(lines.next(), Some("Anomalies: readings beyond three standard deviations, counts"));
    let mut total = 0;
    for first in [None, Some(0), Some(10), Some(20), Some(30), Some(40)] {
        let words: Vec<_> = lines.next().unwrap().split_whitespace().collect();
        let Some(first) = first else { continue };
        assert_eq!((words[0], words.len() - 1), (&*first.to_string(), 10.min(42 - first)));
        total += words[1..].iter().map(|count| count.parse::<u32>().unwrap()).sum::<u32>();
    }
    let share = 100.0 * f64::from(total) / 126_000.0;
    assert_eq!(
        lines.next(),
        Some(&*format!("   total {total} of 126,000 readings ({share:.3} %)"))
    );
    assert_eq!(lines.next(), None);

    let mut lines = correlations.lines();
    let heading = "Correlation of sensors (Pearson, no unit; readings of each: the first 3,000)";
    assert_eq!(lines.next(), Some(heading));
    let words = |line: Option<&str>| {
        line.unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(words(lines.next()), ["sensor", "0", "10", "20", "30", "40"]);
    for (number, line) in lines.enumerate() {
        let words = words(Some(line));
        assert_eq!((&*words[0], &*words[1 + number]), (&*(10 * number).to_string(), "1.00000"));
    }

    let sizes = [("raw", "raw.f32", "504,000"), ("processed", "processed.f32", "504,000")];
    let sizes = sizes.into_iter().chain([("statistics", "statistics.f64", "1,680")]);
    assert_eq!(files.lines().next(), Some("Files"));
    for (line, (name, file, bytes)) in files.lines().skip(1).zip(sizes) {
        let words = words(Some(line));
        assert_eq!([&*words[0], &*words[2], &*words[3], &*words[4]], [name, "MiB", bytes, "bytes"]);
        assert!(words[5].ends_with(file), "{line}");
    }
    assert!(cost.starts_with("Conversion to correlation took ") && cost.ends_with('\n'), "{cost}");
    assert_eq!(cost.lines().count(), 1, "{cost}");

    // The same from the file, and for programs.
    let raw = dir.path().join("new/out/raw.f32");
    let from_file = [
        "--input",
        raw.to_str().unwrap(),
        "--sensors",
        "42",
        "--out",
        "again",
        "--no-plot",
        "--json",
    ];
    let again = printed(&dir, &from_file);
    assert_eq!(
        again.split("\n\n").take(3).collect::<Vec<_>>(),
        [measured, anomalies, correlations]
    );
    let json = again.lines().last().unwrap();
    assert!(json.starts_with(r#"{"seconds": "#) && json.ends_with("]]}"), "{json}");
    assert!(
        json.contains(&format!(
            r#""total_anomalies": {total}, "statistics": [[{}, "#,
            saved[[0, 0]]
        )),
        "{json}"
    );
    assert_eq!(statistics(&dir.path().join("again/statistics.f64")), *saved);

    let made = |out: &str| {
        let files = tree(&dir.path().join(out)).into_iter();
        files
            .map(|(path, _)| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(made("new/out"), ["processed.f32", "raw.f32", "sensors.svg", "statistics.f64"]);
    assert_eq!(made("again"), ["processed.f32", "statistics.f64"]);
    let picture = fs::read_to_string(dir.path().join("new/out/sensors.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
}

/// `make`s a recording, or `check`s what the example made of it. Ends by itself after a minute.
const NUMPY: &str = r#"
import faulthandler, json, sys
from pathlib import Path
import numpy as np

faulthandler.dump_traceback_later(60, exit=True)
verb, directory = sys.argv[1], Path(sys.argv[2])
sensors, readings = 50, 100_000

if verb == "make":
    # A day's wave that the sensors follow, some of them upside down; noise; now and then a reading far out.
    random = np.random.default_rng(20)
    wave = np.sin(np.linspace(0, 40, readings))
    raw = random.normal(0, 1.5, (sensors, readings))
    for sensor, row in enumerate(raw):
        row += 15 + 0.25 * sensor + (sensor % 7 - 2.5) * wave
        row[random.integers(0, readings, 200)] += random.choice([-30, 30], 200)
    raw.astype("f4").tofile(directory / "recording")
    sys.exit()

raw = np.fromfile(directory / "recording", "f4").reshape(sensors, readings)
found = json.loads(sys.stdin.read())

# The same arithmetic in the same order gives the same bits.
fahrenheit = (raw * 9 / 5 + 32) * 1.02
assert fahrenheit.dtype == "f4", fahrenheit.dtype
assert np.fromfile(directory / "out" / "processed.f32", "f4").tobytes() == fahrenheit.tobytes(), "readings differ"

measures = np.mean, np.std, np.min, np.max, np.median
expected = np.array([[measure(row) for measure in measures] for row in fahrenheit.astype("f8")])
saved = np.fromfile(directory / "out" / "statistics.f64", "f8").reshape(sensors, 5)
np.testing.assert_allclose(saved, expected, rtol=1e-5, err_msg="statistics")
np.testing.assert_array_equal(found["statistics"], saved[:10], "the JSON object has other statistics than the file")

# What is an anomaly is judged by the mean and the deviation of f32 that NumPy gives for readings of f32.
total = 0
for row in fahrenheit:
    mean, std = float(row.mean()), float(row.std())
    total += int((np.abs(row.astype("f8") - mean) > 3 * std).sum())
assert total > 1000, total
assert found["total_anomalies"] == total, (found["total_anomalies"], total)

correlation = np.corrcoef(fahrenheit[:50:10, :10_000].astype("f8"))
assert correlation.min() < -0.1 and 0.1 < np.sort(correlation, None)[-6] < 0.99, correlation
np.testing.assert_allclose(found["correlation"], correlation, rtol=1e-5, atol=1e-9, err_msg="correlation")
"#;

#[test]
#[ignore = "needs a Python with NumPy: .ci/run"]
fn numpy_computes_the_same_tables() {
    let mut make = python();
    let dir = dir();
    assert!(make.args(["-c", NUMPY, "make"]).arg(dir.path()).status().unwrap().success());
    let text = printed(&dir, &["--input", "recording", "--sensors", "50", "--no-plot", "--json"]);
    let json = text.lines().last().unwrap();

    let mut check = python();
    let pipes = check
        .args(["-c", NUMPY, "check"])
        .arg(dir.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = pipes.spawn().unwrap();
    // If Python has ended before it read this, its complaint says why.
    let _ = running.stdin.take().unwrap().write_all(json.as_bytes());
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
