//! Archives of `.npy` files (`.npz`), as `numpy.savez` and `numpy.savez_compressed` write them.
//!
//! ```text
//! archive ──► directory ──► file
//!   ▲
//! member  ──► stream ─────► file
//! mmap, extract ──► member
//! ```

/// Expands to the hidden lines of an example that write `path`: an archive of two arrays of
/// `[1.5, 2.5]`, `x` stored and `y` deflated.
macro_rules! example_archive {
    () => {
        r##"# use std::io::Write;
# use zip::CompressionMethod::{Deflated, Stored};
# let dir = tempfile::tempdir()?;
# let path = dir.path().join("run.npz");
# let mut zip = zip::ZipWriter::new(std::fs::File::create(&path)?);
# for (name, method) in [("x.npy", Stored), ("y.npy", Deflated)] {
#     let options = zip::write::SimpleFileOptions::default().compression_method(method);
#     zip.start_file(name, options.with_alignment(64))?;
#     let text = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }";
#     zip.write_all(b"\x93NUMPY\x01\0\x76\0")?;
#     writeln!(zip, "{text:117}")?;
#     zip.write_all(bytemuck::bytes_of(&[1.5_f64, 2.5]))?;
# }
# zip.finish()?;"##
    };
}

mod archive;
mod directory;
mod extract;
mod file;
mod member;
mod mmap;
mod stream;
#[cfg(test)]
mod tests;

pub use self::archive::NpzArchive;
pub use self::member::NpzMember;
