//! User guide: a tutorial, recipes, and a page for each subject that spans several methods.
#![forbid(unsafe_code)]

#[doc = include_str!("tutorial.md")]
pub mod tutorial {}

#[doc = include_str!("recipes.md")]
pub mod recipes {}

/// Expands to the section of a file format: a text, a script in Python, and the example in Rust. The
/// tests run the script, and the functions of the example on its files.
macro_rules! section {
    ($name:literal) => {
        concat!(
            include_str!(concat!("formats/", $name, ".md")),
            "\n```python\n",
            include_str!(concat!("formats/", $name, ".py")),
            "```\n\n```\n",
            include_str!(concat!("formats/", $name, ".rs")),
            "```\n\n",
        )
    };
}

#[doc(alias("fits", "netcdf", "safetensors", "hdf5", "h5py", "nifti", "tiff", "wav", "matlab"))]
#[doc = include_str!("formats.md")]
#[doc = section!("fits")]
#[doc = section!("netcdf3")]
#[doc = section!("safetensors")]
#[doc = section!("hdf5")]
#[doc = section!("nifti")]
#[doc = section!("tiff")]
#[doc = section!("wav")]
#[doc = section!("matlab")]
pub mod formats {}

#[doc(alias = "transpose")]
#[doc = include_str!("numpy.md")]
pub mod numpy {}

#[doc(alias("pread", "endian"))]
#[doc = include_str!("reading.md")]
pub mod reading {}

#[doc(alias("lazy", "decode"))]
#[doc = include_str!("sources.md")]
pub mod sources {}

#[doc = include_str!("chunked.md")]
pub mod chunked {}

#[doc = include_str!("statistics.md")]
pub mod statistics {}

#[doc(alias("mpi", "slurm", "cluster"))]
#[doc = include_str!("many_machines.md")]
pub mod many_machines {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("failure_modes.md")]
pub mod failure_modes {}

#[doc = include_str!("platforms.md")]
pub mod platforms {}

#[doc = include_str!("comparison.md")]
pub mod comparison {}
