//! NIfTI, written by NiBabel.

#[path = "../../src/doc/formats/nifti.rs"]
mod recipe;

use recipe::{mean_and_median, open_nifti};

use super::{Script, check_damaged, check_others, message, replace};

#[test]
#[ignore = "needs a Python with NiBabel: .ci/run"]
fn nifti() {
    let script = Script::run(include_str!("../../src/doc/formats/nifti.py"));
    let path = script.path("brain.nii");
    script.check(mean_and_median(&path).unwrap());
    assert_eq!(open_nifti(&path).unwrap().stored.shape(), [21, 31, 11]);
    check_damaged(&path, 352, open_nifti);

    // The fields `datatype` and `bitpix`.
    let floats = replace(&path, &[4, 0, 16, 0], &[16, 0, 32, 0]);
    let found = message(&floats, open_nifti(&floats));
    assert_eq!(found, "brain.replaced: datatype 4 (i16) expected, found 16");
}

#[test]
#[ignore = "needs a Python with NiBabel: .ci/run"]
fn big_endian_nifti() {
    let script = Script::run(
        "import nibabel, numpy as np\n\
         raw = np.arange(-100, 205).reshape(5, 61).astype('>i2')\n\
         header = nibabel.Nifti1Header(endianness='>')\n\
         header.set_data_dtype('>i2')\n\
         nibabel.save(nibabel.Nifti1Image(raw, np.eye(4), header), 'big.nii')\n\
         values = nibabel.load('big.nii')\n\
         assert values.header.endianness == '>'\n\
         print(values.get_fdata().mean(), np.median(values.get_fdata()))",
    );
    script.check(mean_and_median(&script.path("big.nii")).unwrap());
}

#[test]
fn other_files_are_errors() {
    check_others(|path| open_nifti(path).map(drop));
}
