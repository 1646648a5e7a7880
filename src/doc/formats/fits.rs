use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use ndarray::IxDyn;
use ndarray_mmap::{ArrayFile, MmapArrayOptions, prelude::*, stats::Interpolation::Linear};

/// The primary image of a FITS file with `BITPIX = 32`.
pub struct FitsImage {
    pub stored: ArrayFile<i32, IxDyn>,
    pub bscale: f64,
    pub bzero: f64,
    pub blank: Option<i32>,
}

/// Opens the primary image.
pub fn open_fits(path: &Path) -> io::Result<FitsImage> {
    let invalid = |message: &str| {
        let message = format!("{}: {message}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    // The limit is for files that are not FITS after the first card.
    let mut file = BufReader::new(File::open(path)?.take(1 << 24));
    let (mut bitpix, mut bscale, mut bzero, mut blank) = (0, 1.0, 0.0, None);
    let (mut naxis, mut axes) = (0, Vec::new());
    let mut card = [0; 80];
    let mut cards = 0;
    loop {
        file.read_exact(&mut card).map_err(|_| invalid("FITS header without an END card"))?;
        if cards == 0 && !card.starts_with(b"SIMPLE  =") {
            return Err(invalid("not a FITS file: no SIMPLE card at the start"));
        }
        cards += 1;
        if !card.is_ascii() {
            return Err(invalid("not a FITS file: a card is not ASCII text"));
        }
        let card = std::str::from_utf8(&card).expect("ASCII");
        let (key, value) = (card[..8].trim_end(), card[8..].trim_start_matches('='));
        let value = value.split('/').next().unwrap_or("").trim();
        let number = || value.replace('D', "E").parse::<f64>().map_err(|_| invalid(card));
        let integer = || value.parse::<i64>().map_err(|_| invalid(card));
        match key {
            "END" => break,
            "BITPIX" => bitpix = integer()?,
            "BSCALE" => bscale = number()?,
            "BZERO" => bzero = number()?,
            "BLANK" => blank = Some(value.parse().map_err(|_| invalid(card))?),
            "NAXIS" => naxis = integer()?,
            _ if key.starts_with("NAXIS") => {
                axes.push(usize::try_from(integer()?).map_err(|_| invalid(card))?);
            }
            _ => {}
        }
    }
    if bitpix != 32 {
        return Err(invalid(&format!("BITPIX = 32 (i32) expected, found {bitpix}")));
    }
    if naxis == 0 || usize::try_from(naxis) != Ok(axes.len()) {
        return Err(invalid(&format!("NAXIS = {naxis}, but {} axes have a length", axes.len())));
    }
    axes.reverse();
    let offset = 2880 * u64::div_ceil(cards, 36);
    let options = MmapArrayOptions::new().offset(offset);
    let stored = options.open_file::<i32, _>(path, IxDyn(&axes))?.big_endian();
    Ok(FitsImage { stored, bscale, bzero, blank })
}

/// Returns the mean and the median of the elements that are not blank.
pub fn mean_and_median(path: &Path) -> io::Result<(f64, f64)> {
    let FitsImage { stored, bscale, bzero, blank } = open_fits(path)?;
    let image = match blank {
        Some(blank) => stored.chunked().fill_value(blank),
        None => stored.chunked().to_f64(),
    };
    let image = image.scaled(bscale, bzero).skipnan().memory_limit(64 << 20);
    Ok((image.clone().mean()?, image.quantile(0.5, Linear)?))
}
