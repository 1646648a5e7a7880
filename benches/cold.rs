//! One operation on a file that is not in the page cache; `benches/cold.sh` runs it in a small cgroup.
//!
//! Usage: `cold OPERATION FILE MIB`. `touch` and `store` are plain loops over a mapped file, the other
//! operations are chunked with a memory limit of 16 MiB. `split` runs one operation for each half of
//! the file concurrently, as rayon's own splitting would do.
#![allow(unsafe_code, reason = "opens files")]

use std::hint::black_box;
use std::path::Path;

use ndarray::prelude::*;
use ndarray_mmap::chunked::ArraySource;
use ndarray_mmap::stats::Interpolation::Linear;
use ndarray_mmap::{ArrayFile, Chunked, MmapArray, MmapArrayMut, prelude::*};

const MEMORY: usize = 16 << 20;

/// Columns of the table as which the statistics read the file.
const COLUMNS: usize = 16_384;

fn main() -> ndarray_mmap::Result<()> {
    let args: Vec<_> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [operation, path, mib] = args.as_slice() else {
        println!("cold: run benches/cold.sh");
        return Ok(());
    };
    let path = Path::new(path);
    let len = mib.parse::<usize>().expect("a number of MiB") << 17;
    match operation.as_str() {
        "touch" => {
            black_box(open(path, len)?.iter().sum::<f64>());
        }
        "read" => {
            let array = open(path, len)?;
            black_box(
                array
                    .chunked()
                    .memory_limit(MEMORY)
                    .par_map_reduce(|chunk| chunk.sum(), |a, b| a + b)?,
            );
        }
        "split" => {
            let array = open(path, len)?;
            let half = |index| {
                let chunks = array.chunked().partition(index, 2).memory_limit(MEMORY / 2);
                chunks.into_iter().map(|chunk| chunk.sum()).sum::<f64>()
            };
            std::thread::scope(|scope| {
                scope.spawn(|| black_box(half(0)));
                black_box(half(1));
            });
        }
        "store by hand" => {
            let file = std::fs::File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(path);
            let file = file.expect("a file");
            file.set_len(len as u64 * 8).expect("a length");
            // SAFETY: the script alone uses the file.
            let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.expect("a map");
            for (x, i) in map.as_chunks_mut().0.iter_mut().zip(0..) {
                *x = f64::from(i).to_ne_bytes();
            }
            map.flush().expect("a disk");
        }
        "store" => {
            let mut file = create(path, len)?;
            file.iter_mut().enumerate().for_each(|(i, x)| *x = i as f64);
            file.close()?;
        }
        "write" => {
            let mut file = create(path, len)?;
            let chunks = file.chunked_mut().memory_limit(MEMORY).indexed();
            chunks.par_for_each(|(region, mut chunk)| {
                let start = region.origin()[0];
                chunk.iter_mut().zip(start..).for_each(|(x, i)| *x = i as f64);
            })?;
            file.close()?;
        }
        statistic if statistic.starts_with("file ") => {
            let file = ArrayFile::<f64, _>::open(path, (len / COLUMNS, COLUMNS))?;
            print_one(&statistic["file ".len()..], file.chunked().memory_limit(MEMORY))?;
        }
        statistic => {
            let array = open(path, len)?.into_shape_with_order((len / COLUMNS, COLUMNS))?;
            print_one(statistic, array.chunked().memory_limit(MEMORY))?;
        }
    }
    Ok(())
}

/// Computes a statistic and prints one number of its result.
fn print_one<P: ArraySource<Elem = f64, Dim = Ix2>>(
    statistic: &str,
    chunked: Chunked<'_, P>,
) -> ndarray_mmap::Result<()> {
    let result = match statistic {
        "sum" => chunked.sum()?,
        "summary" => chunked.summary()?.kurtosis,
        "std" => chunked.std(0.0)?,
        "median" => chunked.quantile(0.5, Linear)?,
        "std_axis0" => chunked.std_axis(Axis(0), 0.0)?[0],
        "histogram100" => chunked.histogram(100)?.counts()[50] as f64,
        _ => panic!(
            "touch, read, split, store by hand, store, write, sum, summary, std, median, std_axis0 or \
             histogram100; `file` before a statistic reads the file without mapping it"
        ),
    };
    println!("{result}");
    Ok(())
}

fn open(path: &Path, len: usize) -> ndarray_mmap::Result<MmapArray<f64, Ix1>> {
    // SAFETY: the script alone uses the file.
    unsafe { MmapArray::open(path, len) }
}

fn create(path: &Path, len: usize) -> ndarray_mmap::Result<MmapArrayMut<f64, Ix1>> {
    // SAFETY: as above.
    unsafe { MmapArrayMut::create(path, len) }
}
