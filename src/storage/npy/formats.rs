//! Detection of other file formats by their first bytes, with conversion hints.
#![forbid(unsafe_code)]

/// The first bytes of a format, its name, and the way to obtain a mappable file from it.
const FORMATS: [(&[u8], &str, &str); 21] = [
    // The first file of an archive, or the end of an archive without files.
    (b"PK\x03\x04", "a zip archive (.npz)", "open it with `NpzArchive` (feature `npz`)"),
    (b"PK\x05\x06", "a zip archive (.npz) without files", "it contains no arrays"),
    (b"\x1f\x8b\x08", "compressed with gzip", "decompress it with `gunzip`"),
    (b"BZh", "compressed with bzip2", "decompress it with `bunzip2`"),
    (b"\xfd7zXZ\0", "compressed with xz", "decompress it with `unxz`"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "decompress it with `unzstd`"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "decompress it with `unlz4`"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", HDF5),
    (b"MATLAB 7.3", "an HDF5 file (of MATLAB)", HDF5),
    (b"MATLAB 5.0", "a MATLAB file", RECIPE),
    (b"CDF\x01", "a netCDF-3 file", RECIPE),
    (b"CDF\x02", "a netCDF-3 file", RECIPE),
    (
        b"CDF\x05",
        "a netCDF file in the 64-bit data format",
        "convert it with `nccopy -k 2`, and open a variable as the page `doc::formats` shows",
    ),
    (b"SIMPLE  =", "a FITS file", RECIPE),
    (b"II*\0", "a TIFF image", RECIPE),
    (b"MM\0*", "a TIFF image", RECIPE),
    (b"RIFF", "a WAV or other RIFF file", RECIPE),
    (b"PAR1", "a Parquet file", "load it in Python and save the columns with `numpy.save`"),
    (b"ARROW1", "an Arrow file", "load it in Python and save the columns with `numpy.save`"),
    (b"\x89PNG", "a PNG image", "load it in Python and save the pixels with `numpy.save`"),
    (b"\xff\xd8\xff", "a JPEG image", "load it in Python and save the pixels with `numpy.save`"),
];

const HDF5: &str = "open a contiguous dataset with `ArrayFile` and `offset(..)` (from h5py's \
                    `dataset.id.get_offset()`), or save it with `numpy.save`";
const RECIPE: &str = "the page `doc::formats` shows how to open an uncompressed array in it, or \
                      load it in Python and save the array with `numpy.save`";
const PICKLE: (&str, &str) =
    ("a Python pickle", "load it in Python and save the array with `numpy.save`");
const TEXT: (&str, &str) = (
    "text (CSV or the like)",
    "parse it, or load it with `numpy.loadtxt` and save the array with `numpy.save`",
);

/// Describes the format of a file that starts with these bytes, if it is a known one. If raw
/// elements may start with the same bytes, the description includes the remedy for raw data.
pub(super) fn describe(prefix: &[u8]) -> Option<String> {
    const MIN_UNAMBIGUOUS_LEN: usize = 4;
    if let Some((magic, what, remedy)) =
        FORMATS.iter().find(|(magic, ..)| prefix.starts_with(magic))
    {
        return Some(if magic.len() < MIN_UNAMBIGUOUS_LEN {
            guess(what, remedy)
        } else {
            format!("the file is {what}; {remedy}")
        });
    }
    let (what, remedy) = match prefix {
        _ if is_pickle(prefix) => PICKLE,
        _ if is_text(prefix) => TEXT,
        _ => return None,
    };
    Some(guess(what, remedy))
}

fn guess(what: &str, remedy: &str) -> String {
    format!("the file is {what}; {remedy}; or, if it is raw data, map it with `open` and a shape")
}

/// Returns whether the bytes start a pickle: its version, followed by an array (a name in `numpy`),
/// a list, a dictionary or a tuple; from version 4 on, by the length of a frame, which no file
/// exceeds.
fn is_pickle(prefix: &[u8]) -> bool {
    match prefix {
        [0x80, 2 | 3, b'c' | b']' | b'}' | b'(', ..] | [b'c', b'n', b'u', b'm', b'p', b'y', ..] => {
            true
        }
        [0x80, 4 | 5, 0x95, .., a, b, _] if prefix.len() == 12 => [*a, *b] == [0, 0],
        _ => false,
    }
}

fn is_text(prefix: &[u8]) -> bool {
    let is_ascii =
        |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    match prefix.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => rest.iter().all(|byte| is_ascii(byte) || !byte.is_ascii()),
        None => !prefix.is_empty() && prefix.iter().all(is_ascii),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_first_bytes() {
        for (prefix, expected) in [
            (
                &b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..],
                "the file is compressed with gzip; decompress it with `gunzip`",
            ),
            (b"\x89HDF\r\n\x1a\n\0\0\0\0", "the file is an HDF5 file; open a contiguous dataset"),
            (b"MATLAB 7.3 M", "the file is an HDF5 file (of MATLAB)"),
            (
                b"PK\x03\x04........",
                "the file is a zip archive (.npz); open it with `NpzArchive` (feature `npz`)",
            ),
            (b"\x80\x04\x95\xa3\0\0\0\0\0\0\0\x8c", "the file is a Python pickle; load it"),
            (b"cnumpy.core.", "the file is a Python pickle"),
            (b"CDF\x01\0\0\0\0", "the file is a netCDF-3 file; the page `doc::formats` shows"),
            (b"II*\0\x10\0\0\0", "the file is a TIFF image; the page `doc::formats` shows"),
            (b"1.5,2.5\n", "the file is text"),
            (b"\xef\xbb\xbfx,y\n", "the file is text"),
            (b"PAR1\x15\x04", "the file is a Parquet file"),
        ] {
            let found = describe(prefix).unwrap();
            assert!(found.starts_with(expected), "{found}");
        }
        for prefix in [
            &b""[..],
            b"\x93NUMPX......",
            b"\0\0\0\0\0\0\xf0\x3f",
            b"\x1f",
            b"1.5,2.5\n\0",
            b"\x80\x01",
            // Elements that start like a format with a magic number of two or three bytes.
            b"\x1f\x8b\0\0\0\0\0\0\0\0\0\0",
            b"\x80\x02\0\0\x80\x03\0\0\x80\x04\0\0",
            b"\x80\x04\0\0\0\0\0\0\0\0\0\0",
            b"\x80\x04\x95\x3f\x80\x04\x95\x3f\x80\x04\x95\x3f",
            b"\xef\xbb\xbf\0\0\0\0\0\0\0\0\0",
        ] {
            assert_eq!(describe(prefix), None);
        }
    }

    /// The reader checks no more bytes than these, and no format hides another.
    #[test]
    fn magic_numbers_are_short_and_distinct() {
        for (index, (magic, ..)) in FORMATS.iter().enumerate() {
            assert!((3..=12).contains(&magic.len()));
            assert!(FORMATS[..index].iter().all(|(before, ..)| !magic.starts_with(before)));
        }
    }
}
