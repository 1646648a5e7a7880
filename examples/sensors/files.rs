//! The files of the pipeline. The only module that maps them.

use std::error::Error;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytemuck::Pod;
use ndarray::{Dimension, Ix1, ShapeBuilder};
use ndarray_mmap::{MmapArray, MmapArrayMut};

use crate::args::{Settings, Source};

/// Where everything lies.
#[derive(Debug)]
pub(crate) struct Paths {
    pub(crate) raw: PathBuf,
    pub(crate) processed: PathBuf,
    pub(crate) statistics: PathBuf,
    pub(crate) picture: PathBuf,
}

impl Paths {
    /// Makes the output directory, and refuses an input that would be overwritten.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Box<dyn Error>> {
        let out = &settings.out;
        fs::create_dir_all(out).map_err(at("make the output directory", out))?;
        let raw = match &settings.source {
            Source::Generated { .. } => out.join("raw.f32"),
            Source::File(path) => path.clone(),
        };
        let [processed, statistics, picture] =
            ["processed.f32", "statistics.f64", "sensors.svg"].map(|name| out.join(name));
        if let Source::File(input) = &settings.source {
            let input = fs::canonicalize(input).map_err(at("open", input))?;
            for output in [&processed, &statistics, &picture] {
                // An output that cannot be resolved does not exist yet.
                if fs::canonicalize(output).is_ok_and(|output| output == input) {
                    return Err(format!(
                        "{}: is the input, and would be overwritten; choose another --out",
                        output.display()
                    )
                    .into());
                }
            }
        }
        Ok(Self { raw, processed, statistics, picture })
    }
}

/// Says what could not be done with which file.
pub(crate) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> String {
    move |error| format!("{}: cannot {action}: {error}", path.display())
}

/// Maps a raw file of readings, sensor after sensor, for reading.
pub(crate) fn open_readings(
    path: &Path,
    sensors: usize,
) -> Result<MmapArray<f32, Ix1>, Box<dyn Error>> {
    let metadata = fs::metadata(path).map_err(at("open", path))?;
    if metadata.is_file() && begins_as_npy(path).map_err(at("read", path))? {
        return Err(format!(
            "{}: is an .npy file, whose header would pass for readings; save it without one (NumPy's \
             `a.astype('f4').tofile(path)`)",
            path.display()
        )
        .into());
    }
    // In wide arithmetic: no number of sensors may overflow.
    let one_each = size_of::<f32>() as u128 * sensors as u128;
    if metadata.is_file() && (metadata.len() == 0 || u128::from(metadata.len()) % one_each != 0) {
        let (path, found) = (path.display(), metadata.len());
        return Err(format!(
            "{path}: the file has {found} bytes; expected as many readings of each of {sensors} sensors, at least one: \
             a multiple of {one_each} bytes (4 bytes x {sensors})"
        )
        .into());
    }
    // SAFETY: the user names a finished recording; the lock keeps other users of this crate from writing to it.
    Ok(unsafe { MmapArray::open_rows(path, ()) }?)
}

fn begins_as_npy(path: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    fs::File::open(path)?.take(6).read_to_end(&mut begin)?;
    Ok(begin == b"\x93NUMPY")
}

/// Creates or replaces a raw file, all zeros, and maps it for writing.
pub(crate) fn create<A: Pod, D: Dimension>(
    path: &Path,
    shape: impl ShapeBuilder<Dim = D>,
) -> ndarray_mmap::Result<MmapArrayMut<A, D>> {
    // SAFETY: the file is made here and locked; the output directory is this program's to write in.
    unsafe { MmapArrayMut::create(path, shape) }
}
