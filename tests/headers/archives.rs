//! Damaged `.npz` archives: no panic, and no more memory than the size of the file allows.
//!
//! `NDARRAY_MMAP_FUZZ_ARCHIVES` sets the number of archives, `NDARRAY_MMAP_FUZZ_SEED` the seed.

use std::fmt::Debug;
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use ndarray::IxDyn;
use ndarray_mmap::{Error, ErrorKind, NpyElement, NpzArchive, NpzMember};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::counting::most_held;
use crate::fuzz::number;
use crate::generator::Random;

/// The memory of buffers and of the decoder.
const BUFFERS: usize = 320 << 10;

/// The maximum ratio of deflate.
const MAX_RATIO: usize = 1032;

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
    let len = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\0", &len[..], text.as_bytes(), data].concat()
}

/// Valid archives, from which the others are made.
fn seeds() -> Vec<Vec<u8>> {
    let arrays = [
        ("a.npy", npy("'<f8'", "(4, 2)", &[1; 64])),
        ("ab.npy", npy("'|u1'", "(20000,)", &[7; 20_000])),
        ("../c.npy", npy("[('x', '<i2')]", "(3,)", &[3; 6])),
        ("note.txt", b"text".to_vec()),
        ("empty.npy", npy("'<f8'", "(0, 3)", &[])),
    ];
    let methods = [CompressionMethod::Stored, CompressionMethod::Deflated];
    let mut seeds = Vec::new();
    for (method, zip64, comment) in
        [(methods[0], false, ""), (methods[1], false, "comment"), (methods[1], true, "")]
    {
        for members in [&arrays[..1], &arrays[..]] {
            let options = SimpleFileOptions::default().compression_method(method).large_file(zip64);
            let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
            zip.set_comment(comment).unwrap();
            for (name, bytes) in members {
                zip.start_file(*name, options).unwrap();
                zip.write_all(bytes).unwrap();
            }
            seeds.push(zip.finish().unwrap().into_inner());
        }
    }
    seeds
}

/// Changes, inserts, removes, copies and truncates bytes.
fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    const VALUES: [u32; 8] = [0, 1, 30, 0xffff, 0x7fff_ffff, u32::MAX - 1, u32::MAX, 0x0605_4b50];
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        if bytes.len() < 8 {
            break;
        }
        // The end contains the records; data makes up most of the rest.
        let range = if random.one_in(3) { bytes.len() } else { bytes.len().min(600) };
        let at = bytes.len() - 1 - random.below(range);
        match random.below(8) {
            0 | 1 => bytes[at] = random.below(256) as u8,
            2 => bytes[at] ^= 1 << random.below(8),
            3 => {
                let at = at.min(bytes.len() - 4);
                let value = VALUES[random.below(VALUES.len())];
                bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(at..(at + 1 + random.below(40)).min(bytes.len()))),
            6 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let part = &other[from..(from + 1 + random.below(300)).min(other.len())];
                bytes.splice(at..at, part.iter().copied());
            }
            _ => {
                let from = random.below(bytes.len());
                let len = (1 + random.below(60)).min(bytes.len() - from.max(at));
                bytes.copy_within(from..from + len, at);
            }
        }
    }
    bytes
}

#[track_caller]
fn check_error(error: &Error) {
    let message = error.to_string();
    assert!(message.len() < 2_000, "{message}");
    let is_expected = matches!(
        error.kind(),
        ErrorKind::InvalidArchive { .. }
            | ErrorKind::InvalidHeader { .. }
            | ErrorKind::Unsupported { .. }
            | ErrorKind::DtypeMismatch { .. }
            | ErrorKind::ByteOrderMismatch { .. }
            | ErrorKind::Misaligned { .. }
            | ErrorKind::TooLarge { .. }
            | ErrorKind::TooShort { .. }
            | ErrorKind::TrailingBytes { .. }
    );
    assert!(is_expected, "{error:?}");
}

/// Reads and maps an array. Returns whether it was read.
fn read<A: NpyElement + PartialEq + Debug>(member: &NpzMember<'_>, file_len: usize) -> bool {
    let (array, held) = most_held(|| member.read::<A, IxDyn>());
    assert!(held <= BUFFERS + MAX_RATIO * file_len, "{held} bytes held for {file_len}");
    // SAFETY: this test alone uses the file.
    let mapped = unsafe { member.open_mmap::<A, IxDyn>() };
    match (&array, &mapped) {
        (Ok(array), Ok(mapped)) => assert_eq!(array, mapped),
        // The checksum of mapped elements is not checked.
        (Err(error), Ok(mapped)) => {
            check_error(error);
            // Touching all elements shows whether they are inside the file.
            let first = mapped.first();
            std::hint::black_box(mapped.iter().filter(|&element| Some(element) != first).count());
        }
        (_, Err(error)) => check_error(error),
    }
    match member.open_file::<A, IxDyn>().and_then(|file| file.read_all()) {
        Ok(opened) => assert!(array.as_ref().map_or(true, |array| *array == opened)),
        Err(error) => check_error(&error),
    }
    array.is_ok()
}

/// Tries all that an archive offers. Returns how many arrays were read.
fn try_all(path: &Path, bytes: &[u8], extracted: Option<&Path>) -> usize {
    fs::write(path, bytes).unwrap();
    let (archive, held) = most_held(|| NpzArchive::open(path));
    assert!(held <= BUFFERS + 3 * bytes.len(), "{held} bytes held for {}", bytes.len());
    let archive = match archive {
        Ok(archive) => archive,
        Err(error) => {
            check_error(&error);
            return 0;
        }
    };
    let mut count = 0;
    for name in archive.names() {
        let member = match archive.member(name) {
            Ok(member) => member,
            Err(error) => {
                check_error(&error);
                continue;
            }
        };
        let (header, held) = most_held(|| member.header());
        assert!(held <= BUFFERS, "{held} bytes held");
        if let Err(error) = header {
            check_error(&error);
        }
        count += usize::from(read::<f64>(&member, bytes.len()));
        count += usize::from(read::<u8>(&member, bytes.len()));
        count += usize::from(read::<[u8; 2]>(&member, bytes.len()));
        if let Some(target) = extracted
            && let (Err(error), held) = most_held(|| member.extract(target))
        {
            check_error(&error);
            assert!(held <= BUFFERS, "{held} bytes held");
        }
    }
    count
}

#[test]
fn damaged_archives_never_panic_or_exhaust_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (path, extracted) = (dir.path().join("a.npz"), dir.path().join("a.npy"));
    let seeds = seeds();
    for seed in &seeds {
        assert!(try_all(&path, seed, Some(&extracted)) > 0);
    }
    let rounds = number("NDARRAY_MMAP_FUZZ_ARCHIVES").unwrap_or(5_000);
    let mut random = Random::new(number("NDARRAY_MMAP_FUZZ_SEED").unwrap_or(1));
    let mut readable = 0;
    for round in 0..rounds {
        let bytes = mutate(&mut random, &seeds);
        // Extracted files are flushed to disk.
        let extracted = (round % 100 == 0).then_some(&*extracted);
        readable += u64::from(try_all(&path, &bytes, extracted) > 0);
    }
    println!("{readable} of {rounds} archives had a readable array");
    // Or it would be a test of one error.
    assert!(readable > rounds / 10 && readable < rounds * 9 / 10, "{readable} of {rounds}");
}

/// Truncated at every length, and with every bit of the records flipped.
#[test]
fn archives_with_one_fault_never_panic_or_exhaust_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    for seed in seeds().into_iter().step_by(2) {
        for len in 0..seed.len() {
            assert_eq!(try_all(&path, &seed[..len], None), 0, "{len}");
        }
        for bit in 0..8 * seed.len() {
            let mut bytes = seed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            try_all(&path, &bytes, None);
        }
    }
}
