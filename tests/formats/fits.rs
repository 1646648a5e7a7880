//! FITS, written by Astropy.

#[path = "../../src/doc/formats/fits.rs"]
mod recipe;

use recipe::{mean_and_median, open_fits};

use super::{Script, check_damaged, check_others, message, replace};

#[test]
#[ignore = "needs a Python with Astropy: .ci/run"]
fn fits() {
    let script = Script::run(include_str!("../../src/doc/formats/fits.py"));
    let path = script.path("image.fits");
    script.check(mean_and_median(&path).unwrap());
    assert_eq!(open_fits(&path).unwrap().stored.shape(), [301, 201]);
    check_damaged(&path, 9 * 80, open_fits);

    let floats =
        replace(&path, b"BITPIX  =                   32", b"BITPIX  =                  -32");
    let found = message(&floats, open_fits(&floats));
    assert_eq!(found, "image.replaced: BITPIX = 32 (i32) expected, found -32");
    let longer =
        replace(&path, b"NAXIS1  =                  201", b"NAXIS1  =               999999");
    assert!(message(&longer, open_fits(&longer)).contains("too short"));
}

#[test]
#[ignore = "needs a Python with Astropy: .ci/run"]
fn blank_elements_are_skipped() {
    let script = Script::run(
        "import numpy as np\n\
         from astropy.io import fits\n\
         hdu = fits.PrimaryHDU(np.arange(100.0, 135.0).reshape(5, 7))\n\
         hdu.scale('int32', bscale=0.5, bzero=100)\n\
         hdu.writeto('blank.fits')\n\
         with fits.open('blank.fits', 'update', do_not_scale_image_data=True) as hdus:\n\
         \x20   hdus[0].data[2, 3:6] = -99\n\
         \x20   hdus[0].header['BLANK'] = -99\n\
         fits.PrimaryHDU().writeto('empty.fits')\n\
         image = fits.getdata('blank.fits')\n\
         assert np.isnan(image).sum() == 3\n\
         print(np.nanmean(image), np.nanmedian(image))",
    );
    script.check(mean_and_median(&script.path("blank.fits")).unwrap());
    let path = script.path("empty.fits");
    assert_eq!(message(&path, open_fits(&path)), "empty.fits: BITPIX = 32 (i32) expected, found 8");
}

#[test]
fn other_files_are_errors() {
    check_others(|path| open_fits(path).map(drop));
}
