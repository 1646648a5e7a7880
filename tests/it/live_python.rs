//! Exchange with a running NumPy: files of NumPy, files of this crate, and a file mapped by both.
//!
//! `.ci/run` installs NumPy and runs `cargo test --test it -- --ignored numpy python`.
//! `NDARRAY_MMAP_PYTHON` sets the interpreter; the default is `python3`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use approx::assert_relative_eq;
use ndarray::{ShapeBuilder, prelude::*};
use ndarray_mmap::{
    ArrayAppender, ArrayFile, Dtype, LockPolicy, MmapArrayOptions, NpyHeader, Order, prelude::*,
};
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

/// The Python with NumPy.
pub fn python() -> Command {
    Command::new(std::env::var_os("NDARRAY_MMAP_PYTHON").unwrap_or_else(|| "python3".into()))
}

impl Python {
    fn start() -> Self {
        let mut child = python()
            .args(["-c", LOOP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let (input, output) =
            (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
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
#[ignore = "needs a Python with NumPy: .ci/run"]
fn numpy_reads_our_npy_files() {
    let mut python = Python::start();
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
#[ignore = "needs a Python with NumPy: .ci/run"]
fn numpy_and_crate_read_each_others_files() {
    let mut python = Python::start();
    let dir = dir();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    // Raw, with an offset and in both orders.
    for (order, fortran) in [("C", false), ("F", true)] {
        let options = MmapArrayOptions::new().offset(24);
        let mut array = create_with::<f64, _>(&options, &ours, (3, 4).set_f(fortran)).unwrap();
        array.indexed_iter_mut().for_each(|((i, j), value)| *value = (10 * i + j) as f64);
        array.close().unwrap();
        python.run(&format!(
            "a = np.memmap({ours:?}, 'f8', 'r', offset=24, shape=(3, 4), order='{order}')"
        ));
        assert_eq!(
            python.ask("a[2, 1].item(), a[0, 3].item(), a.sum().item()"),
            "(21.0, 3.0, 138.0)"
        );
        python.run(&format!(
            "a = np.memmap({theirs:?}, 'f8', 'w+', offset=24, shape=(3, 4), order='{order}')"
        ));
        python.run("a[...] = np.arange(12).reshape(3, 4); a.flush()");
        let array = read_with::<f64, _>(&options, &theirs, (3, 4).set_f(fortran)).unwrap();
        assert_eq!((array[[2, 1]], array[[0, 3]], array.sum()), (9.0, 3.0, 66.0));
    }
    // `.npy`, as NumPy saves it and as it maps it.
    for version in ["(1, 0)", "(2, 0)", "(3, 0)"] {
        for order in [Order::C, Order::F] {
            python
                .run(&format!("a = np.asarray(np.arange(24.0).reshape(2, 3, 4), order='{order}')"));
            python.run(&format!(
                "f = open({theirs:?}, 'wb'); np.lib.format.write_array(f, a, {version}); f.close()"
            ));
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

/// Files that NumPy saved grow, and NumPy reads them.
#[test]
#[ignore = "needs a Python with NumPy: .ci/run"]
fn numpy_reads_files_with_appended_rows() {
    let mut python = Python::start();
    let dir = dir();
    let path = dir.path().join("log.npy");
    let rows = |count| Array2::from_shape_fn((count, 3), |(i, j)| (3 * i + j) as f64);
    for version in ["(1, 0)", "(2, 0)", "(3, 0)"] {
        for dtype in ["<f8", ">f8"] {
            python.run(&format!("a = np.arange(12).reshape(4, 3).astype('{dtype}')"));
            python.run(&format!(
                "f = open({path:?}, 'wb'); np.lib.format.write_array(f, a, {version}); f.close()"
            ));
            let mut log = ArrayAppender::<f64, Ix2>::open_npy(&path).unwrap();
            let mut expected = 4;
            for count in [1, 5, 90, 900, 200_000] {
                let more = rows(expected + count);
                log.append(&more.slice(s![expected.., ..])).unwrap();
                expected += count;
                log.flush().unwrap();
                python.run(&format!("a = np.load({path:?}, mmap_mode='r')"));
                let told = python
                    .ask("(a.dtype.str, a.shape, bool((a.ravel() == np.arange(a.size)).all()))");
                assert_eq!(told, format!("('{dtype}', ({expected}, 3), True)"), "{version}");
            }
            log.close().unwrap();
        }
    }
    // A killed process may leave bytes after the array, which NumPy ignores.
    let file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    (&file).write_all(&[7; 100]).unwrap();
    python.run(&format!("b = np.load({path:?}); c = np.load({path:?}, mmap_mode='r')"));
    assert_eq!(python.ask("bool((a == b).all() and (a == c).all())"), "True");

    // The header of a new file is the one of NumPy, also after it has grown.
    let theirs = dir.path().join("theirs.npy");
    let mut log = ArrayAppender::<f64, Ix2>::create_npy(&path, 3).unwrap();
    for count in [0, 1, 9, 90, 123_456] {
        log.append(&rows(count)).unwrap();
        log.flush().unwrap();
        python.run(&format!("np.save({theirs:?}, np.load({path:?}))"));
        assert!(std::fs::read(&path).unwrap() == std::fs::read(&theirs).unwrap(), "{count}");
    }
    log.close().unwrap();

    // Spaces before a shape that would cross the end of a sector.
    for len in 380..450 {
        let dtype = Dtype::record([("x".repeat(len).as_str(), Dtype::of::<f64>())]);
        let header = NpyHeader::new(dtype, &[2], Order::C).unwrap().to_bytes().unwrap();
        std::fs::write(&path, [&header[..], &[0; 16]].concat()).unwrap();
        NpyHeader::reserve_room(&path).unwrap();
        let mut log = ArrayAppender::<[u8; 8], Ix1>::open_npy(&path).unwrap();
        log.append(&Array1::from_elem(1_000, 1.5_f64.to_ne_bytes())).unwrap();
        log.close().unwrap();
        python.run(&format!("a = np.load({path:?})"));
        assert_eq!(python.ask("a.shape[0], a[a.dtype.names[0]].sum().item()"), "(1002, 1500.0)");
    }
}

/// Files of the Python package npy-append-array, if it is installed.
#[test]
#[ignore = "needs a Python with NumPy: .ci/run"]
fn files_of_npy_append_array_grow() {
    let mut python = Python::start();
    if python.ask("!from npy_append_array import NpyAppendArray") != "done" {
        println!("skipped: npy-append-array is not installed");
        return;
    }
    let dir = dir();
    let path = dir.path().join("log.npy");
    let rows = |start: usize, count: usize| {
        Array2::from_shape_fn((count, 3), |(i, j)| (3 * (start + i) + j) as f64)
    };
    python.run(&format!("f = NpyAppendArray({path:?})"));
    python.run("f.append(np.arange(27.0).reshape(9, 3)); f.close()");
    let mut log = ArrayAppender::<f64, Ix2>::open_npy(&path).unwrap();
    log.append(&rows(9, 20_000)).unwrap();
    log.close().unwrap();
    python.run(&format!("f = NpyAppendArray({path:?})"));
    python.run("f.append(np.arange(60027.0, 60033.0).reshape(2, 3)); f.close()");
    let mut log = ArrayAppender::<f64, Ix2>::open_npy(&path).unwrap();
    log.append(&rows(20_011, 1)).unwrap();
    log.close().unwrap();
    let read = ArrayFile::<f64, Ix2>::open_npy(&path).unwrap().read_all().unwrap();
    assert_eq!(read, rows(0, 20_012));
    assert_eq!(
        python.ask(&format!("bool((np.load({path:?}).ravel() == np.arange(60036)).all())")),
        "True"
    );
}

/// Archives as NumPy saves them: stored members at many offsets, and compressed ones.
#[cfg(feature = "npz")]
#[test]
#[ignore = "needs a Python with NumPy: .ci/run"]
fn numpy_archives_are_read() {
    use ndarray_mmap::{ErrorKind, NpzArchive};
    let mut python = Python::start();
    let dir = dir();
    let path = dir.path().join("archive.npz");
    python.run(
        "arrays = dict(a=np.arange(24.0).reshape(2, 3, 4), bb=np.arange(7, dtype='i2'), \
         ccc=np.asfortranarray(np.arange(20, dtype='f4').reshape(4, 5)), d_d=np.array(1.5), \
         e=np.zeros((0, 3)), f=np.array([True, False]), texts=np.array([b'ab', b'c']))",
    );
    python.run("arrays['µ/..'] = np.arange(100_000) // 7; arrays['x'] = np.random.default_rng(7).normal(size=(300, 70))");
    let (mut mapped, mut misaligned) = (0, 0);
    for (save, compressed) in [("np.savez", false), ("np.savez_compressed", true)] {
        python.run(&format!("{save}({path:?}, **arrays)"));
        let archive = NpzArchive::open(&path).unwrap();
        let quoted: Vec<_> = archive.names().map(|name| format!("'{name}'")).collect();
        let listed = python.ask(&format!("np.load({path:?}).files"));
        assert_eq!(format!("[{}]", quoted.join(", ")), listed);
        for name in archive.names() {
            let member = archive.member(name).unwrap();
            assert_eq!(member.is_compressed(), compressed);
            let header = member.header().unwrap();
            let told = format!("('{}', {:?})", header.dtype().descr(), header.shape());
            assert_eq!(
                told,
                python.ask(&format!("(arrays['{name}'].dtype.str, list(arrays['{name}'].shape))"))
            );
        }
        let member = |name| archive.member(name).unwrap();
        let x = member("x").read::<f64, Ix2>().unwrap();
        assert_relative_eq!(python.number("arrays['x'].sum()"), x.sum(), max_relative = 1e-12);
        assert_eq!(python.number("arrays['x'][299, 3]"), x[[299, 3]]);
        let long = member("µ/..").read::<i64, Ix1>().unwrap();
        assert_eq!((long.len(), long.sum()), (100_000, (0..100_000).map(|i| i / 7).sum()));
        assert_eq!(member("a").read::<f64, Ix3>().unwrap()[[1, 2, 1]], 21.0);
        assert_eq!(member("bb").read::<i16, Ix1>().unwrap(), array![0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(member("ccc").read::<f32, Ix2>().unwrap()[[3, 1]], 16.0);
        assert_eq!(member("d_d").read::<f64, Ix0>().unwrap().into_scalar(), 1.5);
        assert_eq!(member("e").read::<f64, Ix2>().unwrap().dim(), (0, 3));
        assert_eq!(member("f").read::<u8, Ix1>().unwrap(), array![1, 0]);
        assert_eq!(member("texts").read::<[u8; 2], Ix1>().unwrap(), array![*b"ab", *b"c\0"]);

        let extracted = dir.path().join("extracted.npy");
        member("x").extract(&extracted).unwrap();
        assert_eq!(
            python.ask(&format!("bool((np.load({extracted:?}) == arrays['x']).all())")),
            "True"
        );
        for name in ["a", "x"] {
            // SAFETY: Python does not change the file while it is mapped.
            match unsafe { member(name).open_mmap::<f64, IxDyn>() } {
                Ok(array) => {
                    assert_relative_eq!(
                        python.number(&format!("arrays['{name}'].sum()")),
                        array.sum(),
                        max_relative = 1e-12
                    );
                    mapped += 1;
                }
                Err(error) => match error.kind() {
                    ErrorKind::Misaligned { .. } => misaligned += 1,
                    _ => assert!(compressed, "{error}"),
                },
            }
        }
    }
    // Both are possible for stored members, by the lengths of their names.
    assert_eq!(mapped + misaligned, 2);
    python.run(&format!("np.savez({path:?}, ab=np.arange(3.0))"));
    let archive = NpzArchive::open(&path).unwrap();
    // SAFETY: as above.
    let array = unsafe { archive.member("ab").unwrap().open_mmap::<f64, Ix1>() }.unwrap();
    assert_eq!((array.offset(), array.sum()), (184, 3.0));
}

#[test]
#[ignore = "needs a Python with NumPy: .ci/run"]
fn python_and_crate_see_each_others_stores() {
    let mut python = Python::start();
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
#[ignore = "needs a Python with NumPy: .ci/run"]
fn statistics_agree_with_numpy() {
    let mut python = Python::start();
    let dir = dir();
    let path = dir.path().join("random.npy");
    python.run(&format!(
        "a = np.random.default_rng(7).normal(5.0, 2.0, (200, 300)); np.save({path:?}, a)"
    ));
    let array = read_npy_with::<f64, Ix2>(&MmapArrayOptions::new(), &path).unwrap();
    let chunked =
        array.chunked().chunk_len(7).par_map_reduce(|rows| rows.sum(), |a, b| a + b).unwrap();
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

/// Every statistic that NumPy has as well, of a C and of a Fortran array with NaNs and without.
#[test]
#[ignore = "needs a Python with NumPy: .ci/run"]
fn chunked_statistics_agree_with_numpy() {
    use ndarray_mmap::stats::{Bins, Interpolation::*};
    let mut python = Python::start();
    let dir = dir();
    let path = dir.path().join("random.npy");
    for order in ["C", "F"] {
        python.run(&format!(
            "a = np.asarray(np.random.default_rng(7).normal(5.0, 2.0, (700, 300)), order={order:?}); np.save({path:?}, a)"
        ));
        python
            .run("n = a.copy(order='K'); n[::7, 3::5] = np.nan; w = np.arange(700.0) % 5; v = np.arange(300.0)[::-1]");
        python.run(&format!("np.save({:?}, n)", dir.path().join("nan.npy")));
        let options = MmapArrayOptions::new();
        let array = read_npy_with::<f64, Ix2>(&options, &path).unwrap();
        let nans = read_npy_with::<f64, Ix2>(&options, &dir.path().join("nan.npy")).unwrap();
        let (a, n) = (|| array.chunked().memory_limit(16 << 20), || nans.chunked().skipnan());
        let (w, v) =
            (Array1::from_shape_fn(700, |i| (i % 5) as f64), Array1::from_iter((0..300).rev()));
        let all_weights = Array2::from_shape_fn((700, 300), |(i, _)| w[i]);
        let quantiles = |interpolation| a().quantile(0.3, interpolation).unwrap();
        let (min, max) = (a().argmin().unwrap(), a().argmax().unwrap());
        let (histogram, over) =
            (a().histogram(37).unwrap(), a().histogram(Bins::uniform(9, 3.0..=6.5)).unwrap());
        let (left, right) = array.view().split_at(Axis(1), 150);
        let fields = left.chunked().and(&right).unwrap().histogram2d(5, 6).unwrap();
        let (cov, corr) =
            (a().cov(1.0).unwrap(), array.t().chunked().pearson_correlation().unwrap());
        for (expression, ours) in [
            ("a.sum()", a().sum().unwrap()),
            ("a.mean()", a().mean().unwrap()),
            ("a.var(ddof=1)", a().var(1.0).unwrap()),
            ("a.std()", a().std(0.0).unwrap()),
            ("a.min()", a().min().unwrap()),
            ("a.max()", a().max().unwrap()),
            ("a.argmin()", (min.0 * 300 + min.1) as f64),
            ("a.argmax()", (max.0 * 300 + max.1) as f64),
            ("((a - a.mean())**5).mean()", a().central_moment(5).unwrap()),
            ("((a - a.mean())**3).mean() / a.std()**3", a().skewness().unwrap()),
            ("((a - a.mean())**4).mean() / a.var()**2", a().kurtosis().unwrap()),
            ("np.quantile(a, 0.3)", quantiles(Linear)),
            ("np.quantile(a, 0.3, method='lower')", quantiles(Lower)),
            ("np.quantile(a, 0.3, method='higher')", quantiles(Higher)),
            ("np.quantile(a, 0.3, method='midpoint')", quantiles(Midpoint)),
            ("np.median(a)", a().quantile(0.5, Linear).unwrap()),
            (
                "np.average(a, axis=0, weights=w)[9]",
                a().weighted_mean_axis(Axis(0), &w).unwrap()[9],
            ),
            (
                "np.average(a, axis=1, weights=v)[9]",
                a().weighted_mean_axis(Axis(1), &v).unwrap()[9],
            ),
            (
                "np.average(a, weights=np.repeat(w, 300).reshape(700, 300))",
                a().weighted_mean(&all_weights).unwrap(),
            ),
            ("np.histogram(a, 37)[0][20]", histogram.counts()[20] as f64),
            ("np.histogram(a, 37)[1][20]", histogram.edges()[20]),
            ("np.histogram(a, 9, (3.0, 6.5))[0][8]", over.counts()[8] as f64),
            ("np.histogram(a, 9, (3.0, 6.5), density=True)[0][8]", over.density()[8]),
            (
                "np.histogram2d(a[:, :150].ravel(), a[:, 150:].ravel(), (5, 6))[0][2, 3]",
                fields.counts()[[2, 3]] as f64,
            ),
            ("np.cov(a)[3, 5]", cov[[3, 5]]),
            ("np.corrcoef(a.T)[3, 5]", corr[[3, 5]]),
            ("(a > 9).sum()", a().count_where(|&x| x > 9.0).unwrap() as f64),
            ("np.argwhere(a > 9).sum()", {
                let found = a().argwhere(usize::MAX, |&x| x > 9.0).unwrap();
                found.iter().map(|((i, j), _)| (i + j) as f64).sum()
            }),
            ("a.std(axis=0, ddof=1)[17]", a().std_axis(Axis(0), 1.0).unwrap()[17]),
            ("a.mean(axis=1)[699]", a().mean_axis(Axis(1)).unwrap()[699]),
            ("a.sum(axis=0)[299]", a().sum_axis(Axis(0)).unwrap()[299]),
            ("a.min(axis=1).sum()", a().min_axis(Axis(1)).unwrap().sum()),
            ("a.max(axis=0).sum()", a().max_axis(Axis(0)).unwrap().sum()),
            ("a.argmax(axis=0).sum()", a().argmax_axis(Axis(0)).unwrap().sum() as f64),
            ("a.argmin(axis=1).sum()", a().argmin_axis(Axis(1)).unwrap().sum() as f64),
            ("np.median(a, axis=0).sum()", a().quantile_axis(Axis(0), 0.5, Linear).unwrap().sum()),
            (
                "np.quantile(a, 0.9, axis=1).sum()",
                a().quantile_axis(Axis(1), 0.9, Linear).unwrap().sum(),
            ),
            ("np.nansum(n)", n().sum().unwrap()),
            ("np.nanmean(n)", n().mean().unwrap()),
            ("np.nanstd(n)", n().std(0.0).unwrap()),
            ("np.nanmin(n)", n().min().unwrap()),
            ("np.nanmedian(n)", n().quantile(0.5, Linear).unwrap()),
            ("np.nanvar(n, axis=0)[3]", n().var_axis(Axis(0), 0.0).unwrap()[3]),
            (
                "np.nanmedian(n, axis=0).sum()",
                n().quantile_axis(Axis(0), 0.5, Linear).unwrap().sum(),
            ),
            (
                "np.nanmedian(n, axis=1).sum()",
                n().quantile_axis(Axis(1), 0.5, Linear).unwrap().sum(),
            ),
            ("np.nanargmax(n, axis=1).sum()", n().argmax_axis(Axis(1)).unwrap().sum() as f64),
        ] {
            let numpys = python.number(expression);
            assert!(
                (numpys - ours).abs() <= 1e-11 * numpys.abs().max(1.0),
                "{order} {expression}: {numpys} {ours}"
            );
        }
    }
}

/// The same headers for both: who reads what, and what they read. Each that only one reads is in the list.
#[test]
#[ignore = "needs a Python with NumPy: .ci/run"]
fn numpy_accepts_the_same_headers() {
    let mut python = Python::start();
    let dir = dir();
    let path = dir.path().join("header.npy");
    let with = |descr: &str, order: &str, shape: &str| {
        format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")
    };
    let mut headers = Vec::new();
    for descr in [
        "'<f8'",
        "'>i2'",
        "'|b1'",
        "'<M8[ns]'",
        "'|S3'",
        "'<U2'",
        "[('x', '<f4'), ('y', '|u1', (2,))]",
    ] {
        for order in ["True", "False", "0", "None"] {
            for shape in [
                "()", "(0,)", "(3,)", "(2, 3)", "(2L, 3L)", "(3)", "3", "[3]", "(-1,)", "(1.0,)",
                "(0x2,)", "(3, )",
            ] {
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
