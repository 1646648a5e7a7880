use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use ndarray::{Ix2, s};
use ndarray_mmap::{ArrayFile, MmapArrayOptions, prelude::*, stats::Interpolation::Linear};

/// Opens the samples of a WAV file of 16-bit integers: an axis of times and one of channels.
pub fn open_wav(path: &Path) -> io::Result<ArrayFile<i16, Ix2>> {
    let invalid = |message: &str| {
        let message = format!("{}: {message}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let mut file = File::open(path)?;
    let mut start = [0; 12];
    file.read_exact(&mut start).map_err(|_| invalid("not a WAV file: shorter than 12 bytes"))?;
    if &start[..4] != b"RIFF" || &start[8..] != b"WAVE" {
        return Err(invalid("not a WAV file: it does not start with RIFF and WAVE"));
    }
    let mut channels = 0;
    loop {
        let mut chunk = [0; 8];
        file.read_exact(&mut chunk).map_err(|_| invalid("no data chunk"))?;
        let [a, b, c, d, len @ ..] = chunk;
        let len = u64::from(u32::from_le_bytes(len));
        match &[a, b, c, d] {
            b"fmt " if len >= 16 => {
                let mut format = [0; 16];
                file.read_exact(&mut format).map_err(|_| invalid("truncated fmt chunk"))?;
                file.seek(SeekFrom::Current(len.next_multiple_of(2) as i64 - 16))?;
                // 1 is PCM, and 0xFFFE the extended header of it.
                if !matches!(format[..2], [1, 0] | [0xFE, 0xFF]) || format[14..] != [16, 0] {
                    return Err(invalid("PCM of 16 bits expected"));
                }
                channels = usize::from(u16::from_le_bytes([format[2], format[3]]));
            }
            b"data" if channels == 0 => return Err(invalid("no fmt chunk with channels")),
            b"data" => {
                let options = MmapArrayOptions::new().offset(file.stream_position()?);
                let shape = (len as usize / (2 * channels), channels);
                return Ok(options.open_file(path, shape)?.little_endian());
            }
            _ => _ = file.seek(SeekFrom::Current(len.next_multiple_of(2) as i64))?,
        }
    }
}

/// Returns the mean and the median of the left channel.
pub fn mean_and_median(path: &Path) -> io::Result<(f64, f64)> {
    let samples = open_wav(path)?;
    let left = samples.read(s![.., 0])?;
    Ok((left.chunked().mean()?, left.chunked().quantile(0.5, Linear)?.into()))
}
