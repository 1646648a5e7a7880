//! HDF5, written by h5py.

#[path = "../../src/doc/formats/hdf5.rs"]
mod recipe;

use recipe::mean_and_median;

use super::Script;

#[test]
#[ignore = "needs a Python with h5py: .ci/run"]
fn hdf5() {
    let script = Script::run(include_str!("../../src/doc/formats/hdf5.py"));
    let path = script.path("run.h5");
    let offset = script.numbers[0] as u64;
    script.check(mean_and_median(&path, offset).unwrap());
    let error = mean_and_median(&path, offset + 1_000).unwrap_err();
    assert!(error.to_string().contains("too short"), "{error}");
}
