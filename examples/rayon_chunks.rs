//! Processes a file in chunks on all cores: reduces it to one value, and maps it into another file.

use ndarray::{Zip, prelude::*};
use ndarray_mmap::{MmapArrayMut, prelude::*};

fn main() -> Result<(), ndarray_mmap::Error> {
    let mut raw = MmapArrayMut::<f32, _>::scratch((2_000, 5_000))?;
    raw.chunked_mut().par_for_each(|mut rows| {
        rows.indexed_iter_mut()
            .for_each(|((i, j), value)| *value = 20.0 + ((i * j) % 97) as f32 / 10.0);
    })?;

    let total = raw
        .chunked()
        .par_map_reduce(|rows| rows.fold(0.0, |sum, &c| sum + f64::from(c)), |a, b| a + b)?;
    println!("mean {:.4} °C", total.unwrap_or(f64::NAN) / raw.len() as f64);

    let mut fahrenheit = MmapArrayMut::<f32, _>::scratch(raw.raw_dim())?;
    raw.chunked().axis(Axis(1)).chunk_bytes(8 << 20).par_for_each_into(
        &mut fahrenheit,
        |src, mut dst| {
            Zip::from(&mut dst).and(&src).for_each(|f, &c| *f = c * 1.8 + 32.0);
        },
    )?;
    let warmest = fahrenheit
        .chunked()
        .par_map_reduce(|rows| rows.fold(f32::MIN, |max, &f| max.max(f)), f32::max)?;
    println!("warmest {:.2} °F", warmest.unwrap_or(f32::NAN));
    Ok(())
}
