use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use ndarray::{IxDyn, ShapeBuilder};
use ndarray_mmap::{ArrayFile, MmapArrayOptions, prelude::*, stats::Interpolation::Linear};

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// The type of an element, the position of its bytes, and their number.
type Tag = (u32, u64, u64);

/// Reads the tag of an element. Elements of up to four bytes are stored in their tag.
fn tag(file: &mut File) -> io::Result<Tag> {
    let mut tag = [0; 8];
    file.read_exact(&mut tag).map_err(|_| invalid("truncated element"))?;
    let [a, b, c, d, len @ ..] = tag;
    let (kind, end) = (u32::from_le_bytes([a, b, c, d]), file.stream_position()?);
    match kind >> 16 {
        0 => Ok((kind, end, u32::from_le_bytes(len).into())),
        len => Ok((kind & 0xFFFF, end - 4, len.min(4).into())),
    }
}

/// Reads a small element, such as a name.
fn small(file: &mut File) -> io::Result<Vec<u8>> {
    let (_, offset, len) = tag(file)?;
    if len > 1024 {
        return Err(invalid(format!("a name or a shape of {len} bytes")));
    }
    let mut bytes = vec![0; len as usize];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut bytes).map_err(|_| invalid("truncated element"))?;
    file.seek(SeekFrom::Start((offset + len).next_multiple_of(8)))?;
    Ok(bytes)
}

/// Returns the shape and the offset of a variable of real numbers in double precision.
fn find(path: &Path, variable: &str) -> io::Result<(Vec<usize>, u64)> {
    let mut file = File::open(path)?;
    let mut header = [0; 128];
    file.read_exact(&mut header).map_err(|_| invalid("no header of 128 bytes"))?;
    if header[124..] != [0, 1, b'I', b'M'] {
        return Err(invalid("not a little-endian MATLAB file of version 5"));
    }
    let (mut names, file_len) = (Vec::new(), file.metadata()?.len());
    while file.stream_position()? < file_len {
        let (kind, offset, len) = tag(&mut file)?;
        match kind {
            14 => {}
            15 => return Err(invalid("compressed; save with `-v6` or `do_compression=False`")),
            _ => return Err(invalid(format!("type 14 (matrix) expected, found {kind}"))),
        }
        let flags = small(&mut file)?;
        let shape = small(&mut file)?;
        let name = String::from_utf8_lossy(&small(&mut file)?).into_owned();
        if name == variable {
            // Class 6 is double precision, and the next byte contains the flag of complex numbers.
            let (kind, offset, len) = tag(&mut file)?;
            if !matches!(flags[..], [6, flags, ..] if flags & 8 == 0) || kind != 9 {
                return Err(invalid("real numbers stored as doubles (type 9) expected"));
            }
            let lens = shape.as_chunks().0.iter().map(|&len| u32::from_le_bytes(len) as usize);
            let shape: Vec<usize> = lens.collect();
            if shape.iter().try_fold(8_usize, |n, &len| n.checked_mul(len)) != Some(len as usize) {
                return Err(invalid(format!("shape {shape:?} does not match {len} bytes")));
            }
            return Ok((shape, offset));
        }
        names.push(name);
        file.seek(SeekFrom::Start((offset + len).next_multiple_of(8)))?;
    }
    Err(invalid(format!("no such variable; the file contains {names:?}")))
}

/// Opens a variable of real numbers in double precision.
pub fn open_matlab(path: &Path, variable: &str) -> io::Result<ArrayFile<f64, IxDyn>> {
    let (shape, offset) = find(path, variable).map_err(|error| {
        io::Error::new(error.kind(), format!("{}, variable {variable:?}: {error}", path.display()))
    })?;
    let options = MmapArrayOptions::new().offset(offset);
    Ok(options.open_file(path, IxDyn(&shape).f())?.little_endian())
}

/// Returns the mean and the median of a variable.
pub fn mean_and_median(path: &Path) -> io::Result<(f64, f64)> {
    let table = open_matlab(path, "table")?;
    let chunked = table.chunked().memory_limit(64 << 20);
    Ok((chunked.clone().mean()?, chunked.quantile(0.5, Linear)?))
}
