//! Conversion of raw °C into calibrated °F, from file to file.

use std::path::Path;

use ndarray::prelude::*;
use ndarray_mmap::{MmapArray, MmapArrayMut, Result, prelude::*};

use crate::{MEMORY, files, progress};

/// Returns the calibrated temperature, rounded to `f32` after each operation as NumPy does for
/// `(chunk * 9 / 5 + 32) * 1.02`.
fn fahrenheit(&celsius: &f32) -> f32 {
    (celsius * 9.0 / 5.0 + 32.0) * 1.02
}

/// Converts all readings into a new file, which is not flushed yet.
pub(crate) fn convert(raw: &MmapArray<f32, Ix1>, path: &Path) -> Result<MmapArrayMut<f32, Ix1>> {
    let mut processed = files::create(path, raw.raw_dim())?;
    let bar = progress::bar("converting", raw.len());
    let chunked =
        raw.chunked().memory_limit(MEMORY).on_progress(|done, _| bar.set_position(done as u64));
    chunked.map_into(&mut processed, fahrenheit)?;
    bar.finish_and_clear();
    Ok(processed)
}
