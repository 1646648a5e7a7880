use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use ndarray::IxDyn;
use ndarray_mmap::{ArrayFile, MmapArrayOptions, prelude::*, stats::Interpolation::Linear};

/// A variable of type `short` in a netCDF-3 file.
pub struct Variable {
    pub packed: ArrayFile<i16, IxDyn>,
    pub scale_factor: f64,
    pub add_offset: f64,
    pub fill_value: Option<i16>,
}

/// Numbers, names and attributes of a header.
struct Header<R>(R);

/// The first number of an attribute.
type Attribute = (String, Option<f64>);

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

impl<R: Read> Header<R> {
    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).map_err(|_| invalid("the netCDF-3 header is truncated"))?;
        Ok(bytes)
    }

    fn number(&mut self) -> io::Result<u64> {
        Ok(u32::from_be_bytes(self.bytes()?).into())
    }

    /// Reads a byte string that is padded to a multiple of four bytes.
    fn padded(&mut self, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let padded = len.next_multiple_of(4);
        if (&mut self.0).take(padded).read_to_end(&mut bytes)? as u64 != padded {
            return Err(invalid("the netCDF-3 header is truncated"));
        }
        bytes.truncate(len as usize);
        Ok(bytes)
    }

    fn name(&mut self) -> io::Result<String> {
        let len = self.number()?;
        String::from_utf8(self.padded(len)?).map_err(|_| invalid("a name is not UTF-8"))
    }

    /// Reads the tag and the length of a list, which may be absent.
    fn list(&mut self, expected: u64) -> io::Result<u64> {
        match (self.number()?, self.number()?) {
            (0, 0) => Ok(0),
            (tag, len) if tag == expected => Ok(len),
            (tag, _) => Err(invalid(format!("list {expected} expected, found {tag}"))),
        }
    }

    fn attributes(&mut self) -> io::Result<Vec<Attribute>> {
        let mut attributes = Vec::new();
        for _ in 0..self.list(12)? {
            let (name, kind, len) = (self.name()?, self.number()?, self.number()?);
            let width = match kind {
                1 | 2 => 1,
                3 => 2,
                4 | 5 => 4,
                6 => 8,
                _ => return Err(invalid(format!("attribute {name:?} has unknown type {kind}"))),
            };
            let bytes = self.padded(len * width)?;
            let value = match kind {
                3 => bytes.first_chunk().map(|&x| i16::from_be_bytes(x).into()),
                4 => bytes.first_chunk().map(|&x| i32::from_be_bytes(x).into()),
                5 => bytes.first_chunk().map(|&x| f32::from_be_bytes(x).into()),
                6 => bytes.first_chunk().map(|&x| f64::from_be_bytes(x)),
                _ => None,
            };
            attributes.push((name, value));
        }
        Ok(attributes)
    }
}

/// Opens a variable of type `short`.
pub fn open_netcdf3(path: &Path, variable: &str) -> io::Result<Variable> {
    let error = |error: io::Error| {
        io::Error::new(error.kind(), format!("{}, variable {variable:?}: {error}", path.display()))
    };
    // The limit is for files whose header is damaged.
    let file = BufReader::new(File::open(path)?.take(1 << 24));
    let (shape, offset, attributes) = find(&mut Header(file), variable).map_err(error)?;
    let packed = MmapArrayOptions::new().offset(offset).open_file(path, IxDyn(&shape))?;
    let value = |name| attributes.iter().find(|(other, _)| other == name).and_then(|x| x.1);
    Ok(Variable {
        packed: packed.big_endian(),
        scale_factor: value("scale_factor").unwrap_or(1.0),
        add_offset: value("add_offset").unwrap_or(0.0),
        fill_value: value("_FillValue").map(|value| value as i16),
    })
}

/// Returns shape, offset and attributes of a variable.
fn find<R: Read>(
    header: &mut Header<R>,
    variable: &str,
) -> io::Result<(Vec<usize>, u64, Vec<Attribute>)> {
    let [b'C', b'D', b'F', version @ (1 | 2)] = header.bytes()? else {
        return Err(invalid("not a netCDF-3 file (netCDF-4 files are HDF5 files)"));
    };
    let _records = header.number()?;
    let mut dimensions = Vec::new();
    for _ in 0..header.list(10)? {
        header.name()?;
        dimensions.push(header.number()?);
    }
    header.attributes()?;
    let mut names = Vec::new();
    for _ in 0..header.list(11)? {
        let name = header.name()?;
        let mut shape = Vec::new();
        for _ in 0..header.number()? {
            let dimension = header.number()? as usize;
            let len = dimensions.get(dimension).ok_or_else(|| invalid("unknown dimension"))?;
            shape.push(*len as usize);
        }
        let attributes = header.attributes()?;
        let (kind, _bytes) = (header.number()?, header.number()?);
        let offset =
            if version == 1 { header.number()? } else { u64::from_be_bytes(header.bytes()?) };
        if name != variable {
            names.push(name);
        } else if kind != 3 {
            return Err(invalid(format!("type 3 (short) expected, found type {kind}")));
        } else if shape.first() == Some(&0) {
            return Err(invalid("the first dimension is unlimited; fix it by `nccopy -u`"));
        } else {
            return Ok((shape, offset, attributes));
        }
    }
    Err(invalid(format!("no such variable; the file contains {names:?}")))
}

/// Returns the mean and the median of the elements that are not missing.
pub fn mean_and_median(path: &Path) -> io::Result<(f64, f64)> {
    let Variable { packed, scale_factor, add_offset, fill_value } = open_netcdf3(path, "t2m")?;
    let values = match fill_value {
        Some(fill_value) => packed.chunked().fill_value(fill_value),
        None => packed.chunked().to_f64(),
    };
    let values = values.scaled(scale_factor, add_offset).skipnan().memory_limit(64 << 20);
    Ok((values.clone().mean()?, values.quantile(0.5, Linear)?))
}
