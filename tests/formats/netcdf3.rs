//! netCDF-3, written by SciPy.

#[path = "../../src/doc/formats/netcdf3.rs"]
mod recipe;

use recipe::{mean_and_median, open_netcdf3};

use super::{Script, check_damaged, check_others, message};

#[test]
#[ignore = "needs a Python with SciPy: .ci/run"]
fn netcdf3() {
    let script = Script::run(include_str!("../../src/doc/formats/netcdf3.py"));
    let path = script.path("weather.nc");
    script.check(mean_and_median(&path).unwrap());
    let variable = open_netcdf3(&path, "t2m").unwrap();
    assert_eq!(variable.packed.shape(), [31, 41, 51]);
    check_damaged(&path, variable.packed.offset() as usize, |path| open_netcdf3(path, "t2m"));
    assert_eq!(
        message(&path, open_netcdf3(&path, "t")),
        r#"weather.nc, variable "t": no such variable; the file contains ["t2m"]"#
    );
}

#[test]
#[ignore = "needs a Python with SciPy: .ci/run"]
fn other_variables_are_errors() {
    let script = Script::run(
        "from scipy.io import netcdf_file\n\
         for version in (1, 2):\n\
         \x20   with netcdf_file(f'types-{version}.nc', 'w', version=version) as file:\n\
         \x20       file.createDimension('time', None)\n\
         \x20       file.createDimension('x', 3)\n\
         \x20       file.createVariable('f', 'f', ('x',))[:] = [1, 2, 3]\n\
         \x20       file.createVariable('r', 'h', ('time', 'x'))[:2] = [[1, 2, 3], [4, 5, 6]]\n\
         \x20       file.createVariable('h', 'h', ('x',))[:] = [1, 2, 3]",
    );
    for version in [1, 2] {
        let path = script.path(&format!("types-{version}.nc"));
        let packed = open_netcdf3(&path, "h").unwrap().packed;
        assert_eq!(packed.read_all().unwrap().into_raw_vec_and_offset().0, [1, 2, 3]);
        let error = message(&path, open_netcdf3(&path, "f"));
        assert!(error.ends_with("type 3 (short) expected, found type 5"), "{error}");
        let error = message(&path, open_netcdf3(&path, "r"));
        assert!(error.contains("the first dimension is unlimited"), "{error}");
    }
}

#[test]
fn other_files_are_errors() {
    check_others(|path| open_netcdf3(path, "t2m"));
}
