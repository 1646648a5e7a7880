//! Files of the pipeline; the only module that maps them.

use std::error::Error;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytemuck::Pod;
use ndarray::{Dimension, Ix1, ShapeBuilder};
use ndarray_mmap::{MmapArray, MmapArrayMut};

use crate::args::{Settings, Source};

/// Paths of all files.
#[derive(Debug)]
pub(crate) struct Paths {
    pub(crate) raw: PathBuf,
    pub(crate) processed: PathBuf,
    pub(crate) statistics: PathBuf,
    pub(crate) picture: PathBuf,
}

impl Paths {
    /// Creates the output directory. Returns an error if the input would be overwritten.
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
                // An output whose path cannot be resolved does not exist yet.
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

/// Returns a function that formats an I/O error with the action and the path.
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
    // `u128`, because any number of sensors is accepted and must not overflow.
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
    let mut magic = Vec::new();
    fs::File::open(path)?.take(6).read_to_end(&mut magic)?;
    Ok(magic == b"\x93NUMPY")
}

/// Creates or replaces a raw file of zeros and maps it for writing.
pub(crate) fn create<A: Pod, D: Dimension>(
    path: &Path,
    shape: impl ShapeBuilder<Dim = D>,
) -> ndarray_mmap::Result<MmapArrayMut<A, D>> {
    // SAFETY: the file is created here and locked; no other program writes to the output directory.
    unsafe { MmapArrayMut::create(path, shape) }
}
