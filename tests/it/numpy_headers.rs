//! Thousands of random headers, read by NumPy and by this crate. Every difference must be in the
//! list below. `NDARRAY_MMAP_ROUNDS` sets the number of headers (100,000 in `tests/campaigns.sh`).

use std::fs;

use ndarray_mmap::{Dtype, NpyHeader, Order};

#[path = "../headers/generator.rs"]
mod generator;

use self::generator::{Header, Random, header};
use crate::live_python::python;
use crate::support::*;

/// Reads headers from a file, each after its length in a line, and says a line about each.
const VERDICTS: &str = r#"
import io, sys, warnings
import numpy as np
try:
    from numpy.lib import _format_impl as format
except ImportError:
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

/// Why a verdict may differ, and how that is known from NumPy's verdict, ours, and the text of the header.
type Difference = (&'static str, fn(&str, &str, &str) -> bool);

const DIFFERENCES: [Difference; 10] = [
    ("only NumPy: duplicate keys, of which it uses the last", |_, ours, _| {
        ours.contains("duplicate key")
    }),
    (
        "only NumPy: other spellings of integers (True, +3, 0x10, 1_0), and floats for booleans",
        |_, ours, _| ours.contains("decimal integer"),
    ),
    ("only NumPy: lengths that no machine has memory for", |_, ours, _| {
        ours.contains("too large for this platform")
    }),
    ("only NumPy: strings with a prefix (u'', r'')", |_, ours, _| {
        let found = ours.split("expected a string, found `").nth(1);
        found.is_some_and(|found| found.starts_with(['b', 'B', 'f', 'F', 'r', 'R', 'u', 'U']))
    }),
    (
        "only NumPy: lists and repetitions in an element type ('i4,i4', '2i2', '2 i2')",
        |_, ours, _| {
            let element = ours.split("unknown dtype `").nth(1).unwrap_or_default();
            let element = element.split('`').next().unwrap_or_default();
            let code = element.trim_start_matches([' ', '<', '>', '=', '|']);
            code.starts_with(|first: char| first.is_ascii_digit() || first == '(')
                || element.contains(',')
        },
    ),
    ("only NumPy: a number in brackets for a shape of one dimension", |_, ours, _| {
        ours.contains("found a number in parentheses")
    }),
    ("only NumPy: comments", |_, _, text| text.contains('#')),
    ("only NumPy: an array type for elements that are no field", |_, ours, _| {
        ours.contains("expected a dtype (a string or a list of fields)")
    }),
    ("only ours, and refused when it is opened: Python objects", |theirs, _, _| {
        theirs.contains("objects")
    }),
    ("only ours: integers as Python 2 wrote them (3L) in version 3", |_, _, text| {
        text.as_bytes().windows(2).any(|pair| pair[0].is_ascii_digit() && pair[1] == b'L')
    }),
];

#[test]
#[ignore = "needs a Python with NumPy: .ci/run"]
fn random_headers_are_read_as_by_numpy() {
    let mut python = python();
    let dir = dir();
    let count =
        std::env::var("NDARRAY_MMAP_ROUNDS").map_or(5_000, |rounds| rounds.parse().unwrap());
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
                let bytes =
                    header.dtype().item_size().map_or("?".to_owned(), |bytes| bytes.to_string());
                format!("{:?} {fortran} {bytes} {}", header.shape(), header.data_offset())
            }
            Err(error) => {
                format!("no: {}", error.to_string().rsplit(": ").next().unwrap_or_default())
            }
        };
        match (theirs.starts_with("no: "), ours.starts_with("no: ")) {
            (true, true) => neither += 1,
            _ if theirs == ours => both += 1,
            _ => match DIFFERENCES.iter().position(|(_, is)| is(theirs, &ours, &header.text)) {
                Some(reason) => explained[reason] += 1,
                None => unexplained.push(format!(
                    "{}\n  NumPy: {theirs}\n  ours: {ours}",
                    header.bytes.escape_ascii()
                )),
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

/// Tries every spelling of up to two characters, names, and letters with numbers, and says a line about each that NumPy reads.
const SPELLINGS: &str = r#"
import itertools, string, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
sys.stdout.reconfigure(encoding="utf-8")
letters = string.ascii_letters + string.digits + "?<>=|[]()+-_. "
names = [name for name in np.sctypeDict if isinstance(name, str)]
names += ["float_", "complex_", "bool8", "unicode_", "Float64", "longfloat", "int0", "f64", "i16", "string", "real"]
spellings = ["".join(some) for length in range(3) for some in itertools.product(letters, repeat=length)]
for order in ("", "<", ">", "=", "|"):
    for letter in string.ascii_letters + "?":
        spellings += [f"{order}{letter}{number}" for number in [*range(40), "08", "+8", "-8", " 8", "8 ", "0x8", "8L", "1_0"]]
    for name in names:
        spellings += [order + name + after for after in ("", " ", "8", "[ns]")]
    spellings += [order + letter + unit for letter in ("M8", "m8", "M", "m", "M 8", "f8") for unit in ("[ns]", "[3D]", "[]", "[x]")]
    spellings += [order + letter + space + "8" for letter in "fiuSUVcMbx" for space in ("\v", "\f", " \v ", "+", "\v+", "\x1f", "\xa0")]
units = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "\u03bcs", "generic", "B", ""]
counts = ["", "0", "1", "01", "7", "25", "+5", " 5", "\v5", "-5", "5 ", "2147483647", "2147483648"]
divisors = ["", "/", "/1", "/02", "/ 2", "/+2", "/2 ", "/2x", "/2/2", *[f"/{n}" for n in (2, 3, 4, 5, 7, 8, 9, 10, 12, 24, 25, 32, 52, 60)]]
divisors += [f"/{n}" for n in (73, 86400, 3600, 60000, 1000, 1000000, 1440, 168, 720)]
spellings += [f"{name}[{count}{unit}{divisor}]" for name in ("M8", ">m8") for count in counts for unit in units for divisor in divisors]
spellings += ["datetime64[1ns]", "<timedelta64[s/2]"]
for spelling in spellings:
    try:
        dtype = np.dtype(spelling)
        known = dtype.subdtype is None and dtype.names is None and dtype.char != "T"
        print(spelling, repr(dtype.str if known else "array"), dtype.itemsize, sep="\t")
    except Exception:
        print(spelling, "'no'", 0, sep="\t")
"#;

/// One type for each spelling, the same as NumPy's; here are those that differ.
#[test]
#[ignore = "needs a Python with NumPy: .ci/run"]
fn type_strings_are_parsed_as_by_numpy() {
    let output = python().args(["-c", SPELLINGS]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut read = 0;
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let [spelling, theirs, size] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        if spelling.trim_start().starts_with('[') {
            continue; // a list of fields, not a name of a type
        }
        let theirs = theirs.trim_matches('\'');
        let ours = spelling.parse::<Dtype>();
        match &ours {
            // The long doubles of other machines.
            Ok(dtype)
                if theirs == "no"
                    && ["f12", "c24"].iter().any(|long| dtype.descr().ends_with(long)) => {}
            Ok(_) if theirs == "no" && matches!(&spelling[1..], "a") => {}
            // Of a fraction for which there is no shorter unit, or too many of one, NumPy makes no years, or any number.
            Err(_) if theirs.contains("[0Y]") && spelling.contains("W/") => {}
            Err(_)
                if theirs != "no" && spelling.contains("2147483647") && spelling.contains('/') => {}
            Ok(dtype) if dtype.item_size().is_none() => assert_eq!(theirs, "|O", "{spelling}"),
            Ok(dtype) => assert_eq!(
                (dtype.descr(), dtype.item_size()),
                (theirs, size.parse().ok()),
                "{spelling}"
            ),
            Err(_) => assert!(
                theirs == "no"
                    || theirs == "array"
                    || spelling.contains(|char: char| char.is_ascii_digit()) && {
                        // A repetition of one text is a text of that length.
                        spelling
                            .trim_start_matches(['<', '>', '=', '|', ' ', '('])
                            .starts_with(|char: char| char.is_ascii_digit())
                    },
                "{spelling} is {theirs}"
            ),
        }
        read += usize::from(ours.is_ok());
    }
    assert!(read > 500, "{read}");
}
