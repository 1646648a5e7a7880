use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytemuck::AnyBitPattern;
use ndarray::{Dimension, Ix2, IxDyn};
use ndarray_mmap::stats::Interpolation::Linear;
use ndarray_mmap::{ArrayFile, MmapArrayOptions, SwapBytes, prelude::*};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

/// Opens a tensor.
pub fn open_tensor<A: AnyBitPattern + SwapBytes, D: Dimension>(
    path: &Path,
    name: &str,
    dtype: Dtype,
) -> io::Result<ArrayFile<A, D>> {
    let invalid = |message: String| {
        let message = format!("{}, tensor {name:?}: {message}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let not_safetensors = |reason: &dyn Display| invalid(format!("not safetensors: {reason}"));
    let mut file = File::open(path)?;
    let mut len = [0; 8];
    file.read_exact(&mut len).map_err(|error| not_safetensors(&error))?;
    let len = u64::from_le_bytes(len);
    if len > 100_000_000 {
        return Err(not_safetensors(&"the header has more than 100 MB"));
    }
    let mut json = Vec::new();
    file.take(len).read_to_end(&mut json)?;
    let header: Metadata =
        serde_json::from_slice(&json).map_err(|error| not_safetensors(&error))?;

    let Some(tensor) = header.info(name) else {
        return Err(invalid(format!("no such tensor; there are {:?}", header.offset_keys())));
    };
    if tensor.dtype != dtype || dtype.bitsize() != 8 * size_of::<A>() {
        let expected = std::any::type_name::<A>();
        return Err(invalid(format!("{expected} ({dtype}) expected, found {}", tensor.dtype)));
    }
    let shape = D::from_dimension(&IxDyn(&tensor.shape))
        .ok_or_else(|| invalid(format!("the shape is {:?}", tensor.shape)))?;
    let offset = (8 + len).saturating_add(tensor.data_offsets.0 as u64);
    Ok(MmapArrayOptions::new().offset(offset).open_file(path, shape)?.little_endian())
}

/// Returns the mean and the median of a tensor.
pub fn mean_and_median(path: &Path) -> io::Result<(f64, f64)> {
    let weight = open_tensor::<f32, Ix2>(path, "weight", Dtype::F32)?;
    let chunked = weight.chunked().memory_limit(64 << 20);
    Ok((chunked.clone().mean()?, chunked.quantile(0.5, Linear)?.into()))
}
