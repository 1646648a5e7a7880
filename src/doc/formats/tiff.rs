use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use ndarray::{Axis, Ix3};
use ndarray_mmap::stats::Interpolation::Linear;
use ndarray_mmap::{ArrayFile, LazyArray, MmapArrayOptions, prelude::*};
use tiff::decoder::Decoder;
use tiff::tags::{ByteOrder, Tag};
use tiff::{ColorType, TiffError};

/// Opens an uncompressed stack of grey pages of 16 bits, which follow each other in the file.
pub fn open_stack(path: &Path) -> io::Result<ArrayFile<u16, Ix3>> {
    let invalid = |message: String| {
        let message = format!("{}: {message}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let error = |error: TiffError| invalid(error.to_string());
    let mut decoder = Decoder::new(BufReader::new(File::open(path)?)).map_err(error)?;
    let is_big_endian = decoder.byte_order() == ByteOrder::BigEndian;
    let (width, height) = decoder.dimensions().map_err(error)?;
    let page_bytes = (u64::from(width) * u64::from(height)).saturating_mul(2);
    let (mut pages, mut start, mut end) = (0, None, 0);
    loop {
        let compression: Option<u32> =
            decoder.find_tag_unsigned(Tag::Compression).map_err(error)?;
        let format: Option<u32> = decoder.find_tag_unsigned(Tag::SampleFormat).map_err(error)?;
        let color = decoder.colortype().map_err(error)?;
        if compression.unwrap_or(1) != 1 || color != ColorType::Gray(16) || format.unwrap_or(1) != 1
        {
            return Err(invalid(format!(
                "uncompressed grey pages of u16 expected, found compression {compression:?}, \
                 {color:?}, sample format {format:?} on page {pages}"
            )));
        }
        let size = decoder.dimensions().map_err(error)?;
        if size != (width, height) {
            return Err(invalid(format!(
                "pages of {width}x{height} expected, found {}x{} on page {pages}",
                size.0, size.1
            )));
        }
        let offsets = decoder.get_tag_u64_vec(Tag::StripOffsets).map_err(error)?;
        let lens = decoder.get_tag_u64_vec(Tag::StripByteCounts).map_err(error)?;
        let mut bytes = 0_u64;
        for (offset, len) in offsets.into_iter().zip(lens) {
            if start.is_some() && offset != end {
                return Err(invalid(format!(
                    "contiguous strips expected, found a strip of page {pages} at byte {offset} \
                     and not at byte {end}"
                )));
            }
            start.get_or_insert(offset);
            end = offset.saturating_add(len);
            bytes = bytes.saturating_add(len);
        }
        if bytes != page_bytes {
            return Err(invalid(format!(
                "{page_bytes} bytes expected, found {bytes} on page {pages}"
            )));
        }
        pages += 1;
        if !decoder.more_images() {
            break;
        }
        decoder.next_image().map_err(error)?;
    }
    let options = MmapArrayOptions::new().offset(start.unwrap_or(0));
    let shape = (pages, height as usize, width as usize);
    let stack = options.open_file(path, shape)?;
    Ok(if is_big_endian { stack.big_endian() } else { stack.little_endian() })
}

/// Returns the mean and the median of a stack in one file.
pub fn mean_and_median(path: &Path) -> io::Result<(f64, f64)> {
    let stack = open_stack(path)?;
    let chunked = stack.chunked().memory_limit(64 << 20);
    Ok((chunked.clone().mean()?, chunked.quantile(0.5, Linear)?.into()))
}

/// Returns the mean and the median of a stack of files.
pub fn mean_and_median_of_files(paths: &[PathBuf]) -> io::Result<(f64, f64)> {
    let planes: Vec<_> = paths.iter().map(|path| open_stack(path)).collect::<io::Result<_>>()?;
    let planes: Vec<_> = planes.iter().collect();
    let stack: LazyArray<'_, u16, Ix3> = LazyArray::concatenate(Axis(0), &planes)?;
    let chunked = stack.chunked().memory_limit(64 << 20);
    Ok((chunked.clone().mean()?, chunked.quantile(0.5, Linear)?.into()))
}
