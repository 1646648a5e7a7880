//! From raw °C to calibrated °F, file to file.

use std::ops::Range;
use std::path::Path;

use ndarray::prelude::*;
use ndarray_mmap::{MmapArray, MmapArrayMut, Result, prelude::*};

use crate::{files, progress};

/// How many readings are written before their pages are let go: 8 MiB.
const BAND: usize = 2 << 20;

/// How many bytes a thread takes at a time, so that a band is work for many.
const CHUNK_BYTES: usize = 256 << 10;

/// The calibrated temperature. Every operation rounds to f32, in the order in which NumPy evaluates
/// `(chunk * 9 / 5 + 32) * 1.02`.
fn fahrenheit(&celsius: &f32) -> f32 {
    (celsius * 9.0 / 5.0 + 32.0) * 1.02
}

/// Converts all readings into a new file. Its last pages may still be on their way to the disk: flush it.
pub(crate) fn convert(raw: &MmapArray<f32, Ix1>, path: &Path) -> Result<MmapArrayMut<f32, Ix1>> {
    let mut processed = files::create(path, raw.raw_dim())?;
    in_bands(&mut processed, "converting", |range, mut band| {
        let source = raw.slice(s![range]);
        source.chunked().chunk_bytes(CHUNK_BYTES).map_into(&mut band, fahrenheit)?;
        raw.release_part(&source)
    })?;
    Ok(processed)
}

/// Writes a file band by band. Behind each band the write-back starts and the pages are let go.
pub(crate) fn in_bands(
    file: &mut MmapArrayMut<f32, Ix1>,
    step: &'static str,
    mut write: impl FnMut(Range<usize>, ArrayViewMut1<'_, f32>) -> Result<()>,
) -> Result<()> {
    let bar = progress::bar(step, file.len());
    for begin in (0..file.len()).step_by(BAND) {
        let range = begin..file.len().min(begin + BAND);
        write(range.clone(), file.slice_mut(s![range.clone()]))?;
        let band = file.slice(s![range]);
        file.start_writeback_part(&band)?;
        file.release_part(&band)?;
        bar.inc(band.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}
