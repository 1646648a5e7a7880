//! Measures this crate's part of the comparison with NumPy, on the same mapped file of `f64`.
//!
//! `benches/peers.sh` and `benches/growth.sh` run it.
//!
//! ```text
//! peers make FILE MIB
//!     creates or extends FILE with normal deviates around 20
//! peers operations
//!     prints the names of all operations
//! peers run FILE ROWS COLUMNS OPERATION [MIB]
//!     prints seconds, the peak resident set in MiB, and one number of the result;
//!     MIB is the memory limit (default: none)
//! peers report FILE SVG TITLE
//!     reads lines `program operation seconds mib result` from FILE, prints a Markdown table,
//!     and writes a chart
//! ```
#![allow(unsafe_code, reason = "opens files")]

mod bare;
mod chart;
mod operations;
mod report;

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ndarray_mmap::MmapArray;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Normal};

use self::operations::{OPERATIONS, Table};

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let args: Vec<_> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", path, mib] => make(Path::new(path), mib.parse()?),
        ["operations"] => {
            OPERATIONS.iter().for_each(|operation| println!("{}", operation.name));
            Ok(())
        }
        ["run", path, rows, columns, name] => {
            run(path, [rows.parse()?, columns.parse()?], name, None)
        }
        ["run", path, rows, columns, name, mib] => {
            run(path, [rows.parse()?, columns.parse()?], name, Some(mib.parse()?))
        }
        ["report", measured, picture, title] => {
            let rows = report::rows(&fs::read_to_string(measured)?)?;
            fs::write(picture, chart::draw(&rows, title))?;
            print!("{}", report::table(&rows));
            Ok(())
        }
        _ => {
            println!("peers: run benches/peers.sh or benches/growth.sh");
            Ok(())
        }
    }
}

fn make(path: &Path, mib: u64) -> Done {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let have = file.metadata()?.len() >> 20;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let (mut random, normal) = (StdRng::seed_from_u64(have), Normal::new(20.0, 5.0)?);
    for _ in have << 17..mib << 17 {
        let value: f64 = normal.sample(&mut random);
        file.write_all(&value.to_ne_bytes())?;
    }
    Ok(file.flush()?)
}

/// Returns the best of three runs, or of two long ones, with a warm page cache and mapped pages.
fn run(path: &str, shape: [usize; 2], name: &str, mib: Option<usize>) -> Done {
    // SAFETY: the script alone uses the file.
    let file = unsafe { MmapArray::<f64, _>::open(path, (shape[0], shape[1])) }?;
    let operation =
        OPERATIONS.iter().find(|operation| operation.name == name).ok_or("no such operation")?;
    let table = Table { file, memory: mib.map(|mib| mib << 20), target: format!("{path}.out") };
    let (mut seconds, mut result) = (Vec::<Duration>::new(), 0.0);
    while seconds.len() < 2
        || (seconds.len() < 3 && seconds.iter().sum::<Duration>() < Duration::from_secs(6))
    {
        // A new file each time, so that the time to free the old one is not measured.
        let _ = fs::remove_file(&table.target);
        let begin = Instant::now();
        result = (operation.run)(&table)?;
        seconds.push(begin.elapsed());
    }
    let best = seconds.into_iter().min().unwrap_or_default().as_secs_f64();
    println!("{best:.6} {:.0} {result:?}", peak_mib());
    Ok(())
}

/// Returns the peak resident set, which is known on Linux only.
fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("NaN kB");
    line.trim().trim_end_matches("kB").trim().parse().map_or(f64::NAN, |kib: f64| kib / 1024.0)
}
