//! A live NumPy on the other side: its files here, our files there, and one file mapped by both.
//!
//! Runs when `NDARRAY_MMAP_PYTHON` names an interpreter with NumPy; says so when it does not, and fails then if
//! `NDARRAY_MMAP_REQUIRE_PYTHON` is set.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use approx::assert_relative_eq;
use ndarray::{ShapeBuilder, prelude::*};
use ndarray_mmap::{LockPolicy, MmapArrayOptions, NpyHeader, Order, prelude::*};
use num_complex::Complex;

use crate::support::*;

/// A Python that runs one line after the other and answers each with one line.
struct Python {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Reads lines of `expression` or `!statement`; answers with the value or the error. Ends by itself after a minute.
const LOOP: &str = r#"
import faulthandler, sys
import numpy as np
faulthandler.dump_traceback_later(60, exit=True)
names = {"np": np}
for line in sys.stdin:
    try:
        line = line.rstrip("\n")
        if line.startswith("!"):
            exec(line[1:], names)
            answer = "done"
        else:
            answer = repr(eval(line, names))
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    print(answer.replace("\n", " "), flush=True)
"#;

/// The Python with NumPy, if there is one.
pub fn python() -> Option<Command> {
    let Some(interpreter) = std::env::var_os("NDARRAY_MMAP_PYTHON") else {
        assert!(
            std::env::var_os("NDARRAY_MMAP_REQUIRE_PYTHON").is_none(),
            "NDARRAY_MMAP_PYTHON must name a Python with NumPy"
        );
        println!("skipped: NDARRAY_MMAP_PYTHON names no Python with NumPy");
        return None;
    };
    Some(Command::new(interpreter))
}

impl Python {
    fn start() -> Option<Self> {
        let mut child =
            python()?.args(["-c", LOOP]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Self { child, input, output })
    }

    #[track_caller]
    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        assert!(self.output.read_line(&mut answer).unwrap() > 0, "Python has ended at {line:?}");
        answer.trim_end().to_owned()
    }

    #[track_caller]
    fn run(&mut self, statement: &str) {
        assert_eq!(self.ask(&format!("!{statement}")), "done", "{statement}");
    }

    #[track_caller]
    fn number(&mut self, expression: &str) -> f64 {
        let answer = self.ask(&format!("float({expression})"));
        answer.parse().unwrap_or_else(|_| panic!("{expression}: {answer}"))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It has nothing to lose, and must not outlive the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn numpy_reads_our_npy_files() {
    let Some(mut python) = Python::start() else { return };
    let dir = dir();
    let options = MmapArrayOptions::new();
    let path = dir.path().join("ours.npy");
    macro_rules! check {
        ($($element:ty, $dtype:literal, $shape:expr, $python_shape:literal, $fortran:literal;)*) => {$(
            create_npy_with::<$element, _>(&options, &path, $shape).unwrap().close().unwrap();
            for mode in ["None", "'r'", "'r+'", "'c'"] {
                python.run(&format!("a = np.load({path:?}, mmap_mode={mode})"));
                let told = python.ask("(a.dtype.str, a.shape, a.flags.f_contiguous and not a.flags.c_contiguous)");
                assert_eq!(told, concat!("('", $dtype, "', ", $python_shape, ", ", $fortran, ")"), "{mode}");
                assert_eq!(python.ask("bool((a == np.zeros_like(a)).all())"), "True");
            }
        )*};
    }
    check! {
        f64, "<f8", (3, 4), "(3, 4)", "False";
        f64, "<f8", (3, 4).f(), "(3, 4)", "True";
        f32, "<f4", (2, 3, 4).f(), "(2, 3, 4)", "True";
        f64, "<f8", (), "()", "False";
        i8, "|i1", 5, "(5,)", "False";
        u16, "<u2", (5, 1), "(5, 1)", "False";
        i64, "<i8", IxDyn(&[1, 2, 1, 2, 1, 2, 1]), "(1, 2, 1, 2, 1, 2, 1)", "False";
        Complex<f32>, "<c8", (2, 2), "(2, 2)", "False";
        [u8; 5], "|S5", 3, "(3,)", "False";
    }
    for shape in [&[0][..], &[0, 3], &[3, 0, 2]] {
        create_npy_with::<f64, _>(&options, &path, IxDyn(shape)).unwrap().close().unwrap();
        assert_eq!(python.ask(&format!("list(np.load({path:?}).shape)")), format!("{shape:?}"));
    }
}

#[test]
fn values_go_both_ways() {
    let Some(mut python) = Python::start() else { return };
    let dir = dir();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    // Raw, with an offset and in both orders.
    for (order, fortran) in [("C", false), ("F", true)] {
        let options = MmapArrayOptions::new().offset(24);
        let mut array = create_with::<f64, _>(&options, &ours, (3, 4).set_f(fortran)).unwrap();
        array.indexed_iter_mut().for_each(|((i, j), value)| *value = (10 * i + j) as f64);
        array.close().unwrap();
        python.run(&format!("a = np.memmap({ours:?}, 'f8', 'r', offset=24, shape=(3, 4), order='{order}')"));
        assert_eq!(python.ask("a[2, 1].item(), a[0, 3].item(), a.sum().item()"), "(21.0, 3.0, 138.0)");
        python.run(&format!("a = np.memmap({theirs:?}, 'f8', 'w+', offset=24, shape=(3, 4), order='{order}')"));
        python.run("a[...] = np.arange(12).reshape(3, 4); a.flush()");
        let array = read_with::<f64, _>(&options, &theirs, (3, 4).set_f(fortran)).unwrap();
        assert_eq!((array[[2, 1]], array[[0, 3]], array.sum()), (9.0, 3.0, 66.0));
    }
    // `.npy`, as NumPy saves it and as it maps it.
    for version in ["(1, 0)", "(2, 0)", "(3, 0)"] {
        for order in [Order::C, Order::F] {
            python.run(&format!("a = np.asarray(np.arange(24.0).reshape(2, 3, 4), order='{order}')"));
            python.run(&format!("f = open({theirs:?}, 'wb'); np.lib.format.write_array(f, a, {version}); f.close()"));
            let array = read_npy_with::<f64, Ix3>(&MmapArrayOptions::new(), &theirs).unwrap();
            assert_eq!((array[[1, 2, 1]], array.layout().order()), (21.0, order));
        }
    }
    python.run(&format!("a = np.lib.format.open_memmap({theirs:?}, 'w+', 'i4', (5, 2), True); a[4, 1] = 7; a.flush()"));
    let mut array = write_npy_with::<i32, Ix2>(&MmapArrayOptions::new(), &theirs).unwrap();
    assert_eq!((array[[4, 1]], array.sum()), (7, 7));
    array[[0, 0]] = 5;
    assert_eq!(python.ask("a[0, 0].item()"), "5", "both have it mapped");
}

#[test]
fn stores_are_seen_by_the_other_at_once() {
    let Some(mut python) = Python::start() else { return };
    let dir = dir();
    let path = dir.path().join("shared.npy");
    let options = MmapArrayOptions::new().lock(LockPolicy::Required);
    let mut array = create_npy_with::<i64, _>(&options, &path, (100, 100)).unwrap();
    python.run(&format!("a = np.load({path:?}, mmap_mode='r+')"));
    for round in 1..=10_usize {
        array[[round, 99]] = round as i64;
        assert_eq!(python.ask(&format!("a[{round}, 99].item()")), round.to_string());
        python.run(&format!("a[99, {round}] = -{round}"));
        // A read through the pointer, which the compiler must not take from what it knows of the array.
        let value = std::hint::black_box(&array)[[99, round]];
        assert_eq!(value, -(round as i64));
    }
    // What stays private on one side is not seen by the other.
    let mut what_if = {
        drop(array);
        cow_npy_with::<i64, Ix2>(&options, &path).unwrap()
    };
    what_if[[0, 0]] = 1;
    assert_eq!(python.ask("a[0, 0].item()"), "0");
}

#[test]
fn statistics_agree() {
    let Some(mut python) = Python::start() else { return };
    let dir = dir();
    let path = dir.path().join("random.npy");
    python.run(&format!("a = np.random.default_rng(7).normal(5.0, 2.0, (200, 300)); np.save({path:?}, a)"));
    let array = read_npy_with::<f64, Ix2>(&MmapArrayOptions::new(), &path).unwrap();
    let chunked = array.chunked().chunk_len(7).par_map_reduce(|rows| rows.sum(), |a, b| a + b).unwrap();
    for (expression, ours) in [
        ("a.sum()", array.sum()),
        ("a.sum()", chunked.unwrap()),
        ("a.mean()", array.mean().unwrap()),
        ("a.std()", array.std(0.0)),
        ("a.std(axis=0, ddof=1)[17]", array.std_axis(Axis(0), 1.0)[17]),
        ("a.mean(axis=1)[199]", array.mean_axis(Axis(1)).unwrap()[199]),
        ("a.min()", *ndarray_stats::QuantileExt::min(&*array).unwrap()),
        ("a.max()", *ndarray_stats::QuantileExt::max(&*array).unwrap()),
    ] {
        assert_relative_eq!(python.number(expression), ours, max_relative = 1e-12);
    }
}

/// The same headers for both: who reads what, and what they read. Each that only one reads is in the list.
#[test]
fn verdicts_on_headers() {
    let Some(mut python) = Python::start() else { return };
    let dir = dir();
    let path = dir.path().join("header.npy");
    let with = |descr: &str, order: &str, shape: &str| {
        format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")
    };
    let mut headers = Vec::new();
    for descr in ["'<f8'", "'>i2'", "'|b1'", "'<M8[ns]'", "'|S3'", "'<U2'", "[('x', '<f4'), ('y', '|u1', (2,))]"] {
        for order in ["True", "False", "0", "None"] {
            for shape in
                ["()", "(0,)", "(3,)", "(2, 3)", "(2L, 3L)", "(3)", "3", "[3]", "(-1,)", "(1.0,)", "(0x2,)", "(3, )"]
            {
                headers.push((with(descr, order, shape), true));
            }
        }
    }
    // What NumPy reads and this crate refuses, on purpose.
    for stricter in [
        with("'<f8'", "False", "(True,)"),
        with("'float64'", "False", "(3,)"),
        with("'<f8'", "False", "(1_0,)"),
        with("'<f8'", "False", "(0x10,)"),
        "{'descr': '<f8', 'descr': '<f4', 'fortran_order': False, 'shape': (3,)}".to_owned(),
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)} # a comment".to_owned(),
    ] {
        headers.push((stricter, false));
    }
    for (text, same) in headers {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
        std::fs::write(&path, bytes).unwrap();
        python.run(&format!("f = open({path:?}, 'rb'); np.lib.format.read_magic(f)"));
        let theirs = python.ask(
            "(lambda h: (list(map(int, h[0])), bool(h[1]), h[2].itemsize))(np.lib.format.read_array_header_1_0(f))",
        );
        let ours = NpyHeader::read(&path).map(|header| {
            let fortran = if header.order() == Order::F { "True" } else { "False" };
            format!("({:?}, {fortran}, {})", header.shape(), header.dtype().item_size().unwrap())
        });
        match ours {
            Ok(ours) if text.contains("(-1,)") => panic!("a negative length was read: {ours}"),
            Ok(ours) => assert_eq!(ours, theirs, "{text}"),
            // NumPy finds a negative length only when it makes the array, and takes hexadecimal numbers.
            Err(_) if text.contains("(-1,)") || text.contains("(0x2,)") => {}
            Err(error) => assert_eq!(theirs.starts_with('('), !same, "{text}: {error}, {theirs}"),
        }
    }
}
