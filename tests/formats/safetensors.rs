//! safetensors, written by its Python library.

#[path = "../../src/doc/formats/safetensors.rs"]
mod recipe;

use ndarray::prelude::*;
use recipe::{mean_and_median, open_tensor};
use safetensors::Dtype;

use super::{Script, check_damaged, check_others, message};

#[test]
#[ignore = "needs a Python with safetensors: .ci/run"]
fn safetensors() {
    let script = Script::run(include_str!("../../src/doc/formats/safetensors.py"));
    let path = script.path("model.safetensors");
    script.check(mean_and_median(&path).unwrap());
    let weight = open_tensor::<f32, Ix2>(&path, "weight", Dtype::F32).unwrap();
    let bias = open_tensor::<i8, Ix1>(&path, "bias", Dtype::I8).unwrap();
    assert_eq!(bias.read_all().unwrap(), Array1::from_iter(0..7));
    let header = weight.offset().min(bias.offset());
    check_damaged(&path, header as usize, |path| {
        open_tensor::<f32, Ix2>(path, "weight", Dtype::F32)
    });

    let found = message(&path, open_tensor::<f32, Ix2>(&path, "scale", Dtype::F32));
    assert!(found.starts_with(r#"model.safetensors, tensor "scale": no such tensor; "#), "{found}");
    assert!(found.contains(r#""weight""#) && found.contains(r#""bias""#), "{found}");
    let found = message(&path, open_tensor::<f64, Ix2>(&path, "weight", Dtype::F64));
    assert!(found.ends_with("f64 (F64) expected, found F32"), "{found}");
    assert!(open_tensor::<f64, Ix2>(&path, "weight", Dtype::F32).is_err());
    let found = message(&path, open_tensor::<f32, Ix1>(&path, "weight", Dtype::F32));
    assert!(found.ends_with("the shape is [301, 201]"), "{found}");
}

#[test]
fn other_files_are_errors() {
    check_others(|path| open_tensor::<f32, Ix2>(path, "weight", Dtype::F32));
}
