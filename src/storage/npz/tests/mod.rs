//! Archives of the zip crate and archives built by hand.
#![allow(unsafe_code, reason = "each test has a directory of its own")]

mod arrays;
mod damaged;
mod errors;

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use bytemuck::NoUninit;
use ndarray::{Array, ArrayD, Dimension};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{NpzArchive, NpzMember};
use crate::error::{ErrorKind, Result};
use crate::order::Order;
use crate::storage::array::MmapArray;
use crate::storage::npy::{Dtype, NpyElement, header};

/// Returns an `.npy` file of an array.
fn npy<A: NpyElement + NoUninit>(array: &ArrayD<A>, order: Order) -> Vec<u8> {
    let mut bytes = header(&Dtype::of::<A>(), array.shape(), order, align_of::<A>()).unwrap();
    let elements: Vec<A> = match order {
        Order::C => array.iter().copied().collect(),
        Order::F => array.t().iter().copied().collect(),
    };
    bytes.extend_from_slice(bytemuck::cast_slice(&elements));
    bytes
}

/// Returns an `.npy` file of 0, 1, 2, ...
fn counting(len: usize) -> Vec<u8> {
    npy(&Array::from_iter((0..len).map(|value| value as f64)).into_dyn(), Order::C)
}

/// Writes an archive with the zip crate.
fn archive(members: &[(&str, &[u8], SimpleFileOptions)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes, options) in members {
        zip.start_file(*name, *options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored)
}

fn deflated() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
}

/// A member of an archive that is built by hand. Every field may be wrong.
#[derive(Clone)]
struct Member {
    name: Vec<u8>,
    data: Vec<u8>,
    flags: u16,
    method: u16,
    crc: u32,
    stored_len: u32,
    decoded_len: u32,
    /// The offset in the directory, if it is not the right one.
    offset: Option<u32>,
    extra: Vec<u8>,
}

impl Member {
    fn stored(name: &str, data: Vec<u8>) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(&data);
        let len = data.len() as u32;
        Self {
            name: name.as_bytes().to_vec(),
            data,
            flags: 0,
            method: 0,
            crc: crc.sum(),
            stored_len: len,
            decoded_len: len,
            offset: None,
            extra: Vec::new(),
        }
    }

    fn deflated(name: &str, data: Vec<u8>) -> Self {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&data).unwrap();
        let mut member = Self::stored(name, data);
        member.data = encoder.finish().unwrap();
        member.stored_len = member.data.len() as u32;
        member.method = 8;
        member
    }

    /// Returns the fields that both headers have in common, from the flags to the sizes.
    fn fields(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.flags.to_le_bytes());
        bytes.extend_from_slice(&self.method.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for value in [self.crc, self.stored_len, self.decoded_len] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes.extend_from_slice(&(self.name.len() as u16).to_le_bytes());
        bytes
    }
}

/// Builds an archive by hand.
fn built(members: &[Member], comment: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for member in members {
        let offset = member.offset.unwrap_or(bytes.len() as u32);
        bytes.extend_from_slice(b"PK\x03\x04\x14\0");
        bytes.extend_from_slice(&member.fields());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&member.name);
        bytes.extend_from_slice(&member.data);
        directory.extend_from_slice(b"PK\x01\x02\x14\0\x14\0");
        directory.extend_from_slice(&member.fields());
        directory.extend_from_slice(&(member.extra.len() as u16).to_le_bytes());
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(&member.name);
        directory.extend_from_slice(&member.extra);
    }
    let start = bytes.len() as u32;
    bytes.extend_from_slice(&directory);
    let count = members.len() as u16;
    bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&(directory.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&start.to_le_bytes());
    bytes.extend_from_slice(&(comment.len() as u16).to_le_bytes());
    bytes.extend_from_slice(comment);
    bytes
}

/// A file with an archive, in a temporary directory.
struct Written {
    dir: TempDir,
    path: PathBuf,
}

impl Written {
    fn new(bytes: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        fs::write(&path, bytes).unwrap();
        Self { dir, path }
    }

    fn open(&self) -> Result<NpzArchive> {
        NpzArchive::open(&self.path)
    }
}

/// Maps a member of an archive that no one changes.
fn map<A: NpyElement, D: Dimension>(member: &NpzMember<'_>) -> Result<MmapArray<A, D>> {
    // SAFETY: each test has a directory of its own, and does not change mapped files.
    unsafe { member.open_mmap() }
}

/// Extracts a member, and returns the new file.
fn extracted(member: &NpzMember<'_>, dir: &Path) -> Result<Vec<u8>> {
    let path = dir.join("extracted.npy");
    member.extract(&path)?;
    Ok(fs::read(path).unwrap())
}

/// Checks the kind, the path and the text of an error, and that it names the member.
#[track_caller]
fn refused<T>(
    result: Result<T>,
    member: Option<&str>,
    text: &str,
    is: impl Fn(&ErrorKind) -> bool,
) {
    let Err(error) = result else { panic!("accepted") };
    assert!(is(error.kind()), "{error:?}");
    assert!(error.path().is_some_and(|path| path.ends_with("a.npz")), "{error}");
    assert_eq!(error.member(), member, "{error}");
    let message = error.to_string();
    assert!(message.contains(text), "{message}");
    assert!(message.len() < 1_000 && !message.contains('\n'), "{message}");
}

fn invalid(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidArchive { .. })
}

fn unsupported(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unsupported { .. })
}
