//! MATLAB v5, written by SciPy.

#[path = "../../src/doc/formats/matlab.rs"]
mod recipe;

use recipe::{mean_and_median, open_matlab};

use super::{Script, check_damaged, check_others, message};

#[test]
#[ignore = "needs a Python with SciPy: .ci/run"]
fn matlab() {
    let script = Script::run(include_str!("../../src/doc/formats/matlab.py"));
    let path = script.path("table.mat");
    script.check(mean_and_median(&path).unwrap());
    assert_eq!(open_matlab(&path, "table").unwrap().shape(), [301, 51]);
    check_damaged(&path, 256, |path| open_matlab(path, "table"));
    assert_eq!(
        message(&path, open_matlab(&path, "tables")),
        r#"table.mat, variable "tables": no such variable; the file contains ["scale", "table"]"#
    );
}

#[test]
#[ignore = "needs a Python with SciPy: .ci/run"]
fn other_variables_are_errors() {
    let script = Script::run(
        "from scipy.io import savemat\n\
         import numpy as np\n\
         x = np.ones((30, 40))\n\
         savemat('types.mat', {'i': x.astype('i2'), 'c': x + 1j, 's': 'text'})\n\
         savemat('deflated.mat', {'x': x}, do_compression=True)",
    );
    let path = script.path("types.mat");
    for variable in ["i", "c", "s"] {
        let error = message(&path, open_matlab(&path, variable));
        assert!(error.ends_with("real numbers stored as doubles (type 9) expected"), "{error}");
    }
    let path = script.path("deflated.mat");
    let error = message(&path, open_matlab(&path, "x"));
    assert!(error.ends_with("compressed; save with `-v6` or `do_compression=False`"), "{error}");
}

#[test]
fn other_files_are_errors() {
    check_others(|path| open_matlab(path, "table"));
}
