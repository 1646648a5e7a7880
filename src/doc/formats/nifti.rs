use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ndarray::{IxDyn, ShapeBuilder};
use ndarray_mmap::{ArrayFile, MmapArrayOptions, prelude::*, stats::Interpolation::Linear};

/// The voxels of a NIfTI-1 file with 16-bit integers, of which `slope * x + intercept` are the values.
pub struct Nifti {
    pub stored: ArrayFile<i16, IxDyn>,
    pub slope: f64,
    pub intercept: f64,
}

/// Opens the voxels.
pub fn open_nifti(path: &Path) -> io::Result<Nifti> {
    let invalid = |message: &str| {
        let message = format!("{}: {message}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let mut header = [0; 348];
    File::open(path)?.read_exact(&mut header).map_err(|_| invalid("no header of 348 bytes"))?;
    if &header[344..] != b"n+1\0" {
        return Err(invalid("not an uncompressed NIfTI-1 file (.nii)"));
    }
    let big_endian = match header[..4] {
        [92, 1, 0, 0] => false, // 348
        [0, 0, 1, 92] => true,
        _ => return Err(invalid("the header starts with another number than its size, 348")),
    };
    let short = |offset| {
        let bytes = [header[offset], header[offset + 1]];
        if big_endian { i16::from_be_bytes(bytes) } else { i16::from_le_bytes(bytes) }
    };
    let float = |offset| {
        let bytes = [header[offset], header[offset + 1], header[offset + 2], header[offset + 3]];
        if big_endian { f32::from_be_bytes(bytes) } else { f32::from_le_bytes(bytes) }
    };
    if short(70) != 4 {
        return Err(invalid(&format!("datatype 4 (i16) expected, found {}", short(70))));
    }
    let ndim @ 1..=7 = short(40) else {
        return Err(invalid(&format!("1 to 7 dimensions expected, found {}", short(40))));
    };
    let lens = (1..=ndim as usize).map(|axis| usize::try_from(short(40 + 2 * axis)));
    let shape: Vec<usize> =
        lens.collect::<Result<_, _>>().map_err(|_| invalid("negative length"))?;
    let offset = float(108);
    if !(352.0..1e9).contains(&offset) {
        return Err(invalid(&format!("the voxels cannot start at byte {offset}")));
    }
    let options = MmapArrayOptions::new().offset(offset as u64);
    let stored = options.open_file::<i16, _>(path, IxDyn(&shape).f())?;
    let stored = if big_endian { stored.big_endian() } else { stored.little_endian() };
    let (slope, intercept) = match float(112) {
        0.0 => (1.0, 0.0), // not scaled
        slope => (slope.into(), float(116).into()),
    };
    Ok(Nifti { stored, slope, intercept })
}

/// Returns the mean and the median of the values.
pub fn mean_and_median(path: &Path) -> io::Result<(f64, f64)> {
    let Nifti { stored, slope, intercept } = open_nifti(path)?;
    let values = stored.chunked().scaled(slope, intercept).memory_limit(64 << 20);
    Ok((values.clone().mean()?, values.quantile(0.5, Linear)?))
}
