//! Edits a copy-on-write array: the file is not modified, and only the edited pages occupy memory.

use ndarray::prelude::*;
use ndarray_mmap::{MmapArrayCow, MmapArrayMut};
use ndarray_stats::{QuantileExt, interpolate::Linear};
use noisy_float::types::n64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("prices.npy");
    // SAFETY: this program alone uses the file.
    let mut prices = unsafe { MmapArrayMut::<f64, _>::create_npy(&path, (365, 100)) }?;
    prices
        .indexed_iter_mut()
        .for_each(|((day, item), price)| *price = 10.0 + item as f64 + 0.01 * day as f64);
    prices.close()?;

    // SAFETY: as above.
    let mut what_if = unsafe { MmapArrayCow::<f64, Ix2>::open_npy(&path) }?;
    what_if.slice_mut(s![180.., ..50]).mapv_inplace(|price| price * 1.1);
    println!(
        "mean if half of the items cost 10 % more from July: {:.3}",
        what_if.mean().ok_or("no prices")?
    );

    // This method of ndarray-stats reorders the array. A private mapping protects the file.
    let medians = what_if.quantile_axis_skipnan_mut(Axis(0), n64(0.5), &Linear)?;
    println!("median of item 0: {:.3}, of item 99: {:.3}", medians[0], medians[99]);

    // SAFETY: as above.
    let untouched = unsafe { MmapArrayCow::<f64, Ix2>::open_npy(&path) }?;
    println!("mean in the file: {:.3}, as before", untouched.mean().ok_or("no prices")?);
    Ok(())
}
