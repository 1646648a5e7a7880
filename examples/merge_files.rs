//! Merges the statistics of several files without reading the data again.
//!
//! The statistics of each file are saved as JSON next to it. A separate process or machine could do
//! this for each file. The saved statistics are then merged.
//!
//! serde_json's feature `float_roundtrip` keeps every bit. JSON has neither NaN nor infinities. If the
//! data may contain NaN, skip it (`Moments::new_skipnan`), or use another format.

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};

use ndarray::{Axis, Ix2};
use ndarray_mmap::stats::{Bins, Histogram, MinMax, Moments, Sum};
use ndarray_mmap::{Accumulator, MmapArray, MmapArrayMut, Result, prelude::*};

/// Statistics of one file. The bins are fixed, because inferred bins would differ between files.
type Partial = (Moments<4>, Sum<f32>, MinMax<f32>, Histogram);

/// Computes all statistics of an array in one pass, on all cores.
fn statistics(readings: &(impl ChunkedExt<Elem = f32, Dim = Ix2> + ?Sized)) -> Result<Partial> {
    let histogram = Histogram::new(Bins::uniform(4, 10.0..=40.0))?;
    readings.chunked().accumulate(|| (Moments::new(), Sum::new(), MinMax::new(), histogram.clone()))
}

/// Computes the statistics of one file and saves them.
fn save(path: &Path) -> std::result::Result<PathBuf, Box<dyn Error>> {
    // SAFETY: no program writes to the file any more.
    let readings = unsafe { MmapArray::<f32, Ix2>::open_npy(path) }?;
    let saved = path.with_extension("json");
    serde_json::to_writer(File::create(&saved)?, &statistics(&*readings)?)?;
    Ok(saved)
}

fn print(name: &str, (moments, sum, extremes, histogram): &Partial) {
    let ((low, high), std) = (extremes.range().unwrap_or_default(), moments.std(0.0));
    let (count, mean, kurtosis) = (sum.count(), sum.mean(), moments.kurtosis());
    println!(
        "{name:9} {count:9} {mean:8.4} {std:7.4} {kurtosis:8.4} {low:6.2} {high:6.2}  {:?}",
        histogram.counts()
    );
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let mut whole = MmapArrayMut::<f32, _>::scratch((3_000, 1_000))?;
    whole.indexed_iter_mut().for_each(|((hour, sensor), reading)| {
        *reading = 25.0 + 9.0 * (hour as f32 / 500.0).sin() + ((hour * sensor) % 97) as f32 / 20.0;
    });

    let dir = tempfile::tempdir()?;
    let mut saved = Vec::new();
    for (index, hours) in whole.axis_chunks_iter(Axis(0), 800).enumerate() {
        let path = dir.path().join(format!("file-{index}.npy"));
        // SAFETY: this program alone uses the file.
        unsafe { hours.to_mmap_npy(&path) }?.close()?;
        saved.push(save(&path)?);
    }

    println!("              count     mean     std kurtosis    min    max  in bins of 10 to 40");
    let mut all: Option<Partial> = None;
    for path in &saved {
        let partial: Partial = serde_json::from_reader(File::open(path)?)?;
        print(&path.file_stem().unwrap_or_default().to_string_lossy(), &partial);
        match &mut all {
            Some(all) => all.merge(partial),
            None => all = Some(partial),
        }
    }
    let (all, expected) = (all.ok_or("no files")?, statistics(&*whole)?);
    print("merged", &all);
    print("the whole", &expected);

    // Counts and extremes are equal. Sums of floats can differ in the last digits, because the
    // merged sums are added in another order.
    assert_eq!((all.2, &all.3), (expected.2, &expected.3));
    for (merged, whole) in [
        (all.1.sum(), expected.1.sum()),
        (all.0.mean(), expected.0.mean()),
        (all.0.var(0.0), expected.0.var(0.0)),
        (all.0.kurtosis(), expected.0.kurtosis()),
    ] {
        assert!((merged - whole).abs() <= 1e-13 * whole.abs(), "{merged} and {whole}");
    }
    Ok(())
}
