//! Opens a raw file: a header of 512 bytes, then 300 images of 128 x 128 readings.

use ndarray::prelude::*;
use ndarray_mmap::MmapArrayOptions;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("scan.raw");
    let mut bytes = vec![0; 512];
    bytes.extend((0..300 * 128 * 128).flat_map(|i| (i as f32 / 1e6).to_ne_bytes()));
    std::fs::write(&path, bytes)?;

    let options = MmapArrayOptions::new().offset(512);
    // SAFETY: this program alone uses the file, and only reads it.
    let scan = unsafe { options.open::<f32, _>(&path, (300, 128, 128)) }?;
    println!("{scan:?}");
    println!("mean of image 7: {:.3}", scan.index_axis(Axis(0), 7).mean().ok_or("no image")?);

    // Infers the number of images from the file size.
    // SAFETY: as above.
    let rows = unsafe { options.open_rows::<f32, Ix3>(&path, (128, 128)) }?;
    println!("{} images", rows.len_of(Axis(0)));

    // A wrong shape is an error with a description.
    // SAFETY: as above.
    match unsafe { options.open::<f64, _>(&path, (300, 128, 128)) } {
        Ok(_) => return Err("a file too short was opened".into()),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
