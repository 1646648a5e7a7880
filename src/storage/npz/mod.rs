//! Archives of `.npy` files (`.npz`), as `numpy.savez` and `numpy.savez_compressed` write them.
//!
//! ```text
//! archive ──► directory ──► file
//!   ▲
//! member  ──► stream ─────► file
//! mmap, extract ──► member
//! ```

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
