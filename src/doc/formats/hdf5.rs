use std::path::Path;

use ndarray_mmap::{MmapArrayOptions, prelude::*, stats::Interpolation::Linear};

/// Returns the mean and the median of a contiguous dataset of an HDF5 file.
pub fn mean_and_median(path: &Path, offset: u64) -> ndarray_mmap::Result<(f64, f64)> {
    let options = MmapArrayOptions::new().offset(offset);
    let velocity = options.open_file::<f64, _>(path, (21, 31, 41))?.little_endian();
    let chunked = velocity.chunked().memory_limit(64 << 20);
    Ok((chunked.clone().mean()?, chunked.quantile(0.5, Linear)?))
}
