//! WAV, written by SciPy.

#[path = "../../src/doc/formats/wav.rs"]
mod recipe;

use recipe::{mean_and_median, open_wav};

use super::{Script, check_damaged, check_others, message};

#[test]
#[ignore = "needs a Python with SciPy: .ci/run"]
fn wav() {
    let script = Script::run(include_str!("../../src/doc/formats/wav.py"));
    let path = script.path("sound.wav");
    script.check(mean_and_median(&path).unwrap());
    assert_eq!(open_wav(&path).unwrap().dim(), (10_001, 2));
    check_damaged(&path, 44, open_wav);
}

#[test]
#[ignore = "needs a Python with SciPy: .ci/run"]
fn other_samples_are_errors() {
    let script = Script::run(
        "import numpy as np\n\
         from scipy.io import wavfile\n\
         for dtype in ('u1', 'i4', 'f4'):\n\
         \x20   wavfile.write(f'{dtype}.wav', 8000, np.ones(20, dtype))",
    );
    for dtype in ["u1", "i4", "f4"] {
        let path = script.path(&format!("{dtype}.wav"));
        assert!(message(&path, open_wav(&path)).ends_with("PCM of 16 bits expected"));
    }
}

#[test]
fn other_files_are_errors() {
    check_others(open_wav);
}
