//! TIFF, written by tifffile.

#[path = "../../src/doc/formats/tiff.rs"]
mod recipe;

use recipe::{mean_and_median, mean_and_median_of_files, open_stack};

use super::{Script, check_damaged, check_others, message};

#[test]
#[ignore = "needs a Python with tifffile: .ci/run"]
fn tiff() {
    let script = Script::run(include_str!("../../src/doc/formats/tiff.py"));
    let path = script.path("stack.tif");
    script.check(mean_and_median(&path).unwrap());
    assert_eq!(open_stack(&path).unwrap().shape(), [11, 31, 41]);
    let planes: Vec<_> =
        (0..11).map(|index| script.path(&format!("plane-{index:04}.tif"))).collect();
    script.check(mean_and_median_of_files(&planes).unwrap());
    check_damaged(&path, 256, open_stack);
}

#[test]
#[ignore = "needs a Python with tifffile: .ci/run"]
fn other_pages_are_errors() {
    let script = Script::run(
        "import numpy as np, tifffile\n\
         x = np.arange(31 * 41, dtype='u2').reshape(31, 41)\n\
         tifffile.imwrite('big.tif', x, byteorder='>', bigtiff=True, rowsperstrip=8)\n\
         tifffile.imwrite('float.tif', x.astype('f4'))\n\
         tifffile.imwrite('deflated.tif', x, compression='zlib')\n\
         with tifffile.TiffWriter('apart.tif') as file:\n\
         \x20   file.write(x, contiguous=False)\n\
         \x20   file.write(x, contiguous=False)\n\
         print(x.mean(), np.median(x))",
    );
    script.check(mean_and_median(&script.path("big.tif")).unwrap());
    for (name, part) in [
        ("float.tif", "uncompressed grey pages of u16 expected"),
        ("deflated.tif", "uncompressed grey pages of u16 expected, found compression"),
        ("apart.tif", "contiguous strips expected"),
    ] {
        let path = script.path(name);
        let found = message(&path, open_stack(&path));
        assert!(found.contains(part), "{found}");
    }
}

#[test]
fn other_files_are_errors() {
    check_others(open_stack);
}
