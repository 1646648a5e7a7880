//! Creates an `.npy` file, reopens it, reads its header, and publishes a result atomically.
//!
//! NumPy reads and writes the same files.

use ndarray::prelude::*;
use ndarray_mmap::{Dtype, MmapArray, MmapArrayMut, MmapArrayOptions, NpyHeader};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("features.npy");

    // SAFETY: this program alone uses the file.
    let mut table = unsafe { MmapArrayMut::<f64, _>::create_npy(&path, (1_000, 64)) }?;
    for (i, mut row) in table.rows_mut().into_iter().enumerate() {
        row.fill(i as f64);
    }
    table.close()?; // on disk when it returns Ok

    // SAFETY: as above.
    let table = unsafe { MmapArray::<f64, Ix2>::open_npy(&path) }?;
    println!("{table:?}\nmean of column 0: {}", table.column(0).mean().ok_or("no rows")?);

    let header = NpyHeader::read(&path)?;
    println!(
        "{} of shape {:?}, data at byte {}",
        header.dtype(),
        header.shape(),
        header.data_offset()
    );
    assert_eq!(*header.dtype(), Dtype::of::<f64>());

    // Other programs see the result only when it is complete.
    let result = dir.path().join("means.npy");
    // SAFETY: as above.
    let mut means = unsafe { MmapArrayOptions::new().create_npy_atomic::<f64, _>(&result, 64) }?;
    means.assign(&table.mean_axis(Axis(0)).ok_or("no rows")?);
    println!("before the commit: {}", if result.exists() { "there" } else { "not there" });
    let means = means.commit()?;
    println!("after the commit: {} means, the first {}", means.len(), means[0]);
    Ok(())
}
