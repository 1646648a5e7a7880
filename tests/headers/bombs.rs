//! Hostile headers: none may panic, or make the crate allocate more than 64 KiB at any time.

use std::fs;

use ndarray::IxDyn;
use ndarray_mmap::{MmapArray, NpyHeader};

use crate::counting::most_held;

/// An `.npy` file with this header text and 64 bytes of data; the length is what it claims, if that is given.
fn file(version: u8, text: &[u8], claim: Option<u32>) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend_from_slice(&[version, 0]);
    let len = claim.unwrap_or(text.len() as u32);
    match version {
        1 => bytes.extend_from_slice(&(len as u16).to_le_bytes()),
        _ => bytes.extend_from_slice(&len.to_le_bytes()),
    }
    bytes.extend_from_slice(text);
    bytes.extend_from_slice(&[0; 64]);
    bytes
}

/// Opens the file in all ways; returns whether its header was read, and the bytes held at most on the way.
fn try_all(path: &std::path::Path, bytes: &[u8]) -> (bool, usize) {
    fs::write(path, bytes).unwrap();
    let (header, held) = most_held(|| NpyHeader::read(path));
    if let Err(error) = &header {
        assert!(error.to_string().len() < 1_000, "{error}");
    }
    // SAFETY: this test alone uses the file.
    let (plain, held_by_plain) = most_held(|| unsafe { MmapArray::<f64, IxDyn>::open_npy(path) });
    // SAFETY: as above.
    let (bytes, held_by_bytes) =
        most_held(|| unsafe { MmapArray::<[u8; 8], IxDyn>::open_npy(path) });
    // Touching all of an array shows whether it is inside the file.
    let _ = plain.map(|array| array.sum());
    let _ = bytes.map(|array| array.iter().fold(0_u8, |sum, element| sum ^ element[0]));
    (header.is_ok(), held.max(held_by_plain).max(held_by_bytes))
}

fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n")
}

#[test]
fn hostile_headers_use_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.npy");
    let fields = |field: &str, count: usize| format!("[{}]", field.repeat(count));
    let named = |field: &str, count: usize| {
        let fields = (0..count).map(|name| field.replace('#', &format!("{name:x}")));
        format!("[{}]", fields.collect::<String>())
    };
    let latin_1 =
        |text: String| text.chars().map(|char| u8::try_from(char).unwrap()).collect::<Vec<u8>>();
    let (seven_names, seven_ends) =
        (format!("[('{}', ", "é".repeat(1_380)).repeat(7), ")]".repeat(7));
    for (name, bytes, readable) in [
        ("4 GiB claimed", file(2, b"{", Some(u32::MAX)), false),
        ("64 KiB claimed", file(1, b"{", Some(65_535)), false),
        ("64 KiB of spaces", file(2, &vec![b' '; 65_536], None), false),
        ("nested brackets", file(2, header(&"[('x',".repeat(1_500), "()").as_bytes(), None), false),
        ("nested tuples", file(2, header("'<f8'", &"(".repeat(9_900)).as_bytes(), None), false),
        (
            "a long integer",
            file(2, header("'<f8'", &format!("({},)", "9".repeat(9_900))).as_bytes(), None),
            false,
        ),
        (
            "a million digits",
            file(2, header("'<f8'", &format!("({},)", "9".repeat(1_000_000))).as_bytes(), None),
            false,
        ),
        (
            "10,000 dimensions",
            file(2, header("'<f8'", &format!("({})", "1,".repeat(10_000))).as_bytes(), None),
            false,
        ),
        (
            "many dimensions",
            file(2, header("'<f8'", &format!("({})", "1,".repeat(4_900))).as_bytes(), None),
            false,
        ),
        (
            "a long name",
            file(3, header(&format!("[('{}', '<f8')]", "x".repeat(9_900)), "()").as_bytes(), None),
            true,
        ),
        (
            "a long name that doubles",
            file(1, &latin_1(header(&format!("[('{}', '<f8')]", "é".repeat(9_900)), "()")), None),
            true,
        ),
        (
            "quotes in a name",
            file(
                3,
                header(&format!("[('{}', '<f8')]", "\\'\"".repeat(3_300)), "()").as_bytes(),
                None,
            ),
            true,
        ),
        (
            "deep names that double",
            file(1, &latin_1(header(&format!("{seven_names}'<f8'{seven_ends}"), "()")), None),
            true,
        ),
        ("many fields", file(2, header(&fields("('','V1'),", 990), "()").as_bytes(), None), true),
        ("many names", file(2, header(&named("('#','V1'),", 770), "()").as_bytes(), None), true),
        (
            "many titles",
            file(2, header(&named("(('t#','#'),'V1'),", 460), "()").as_bytes(), None),
            true,
        ),
        (
            "many names of one field",
            file(2, header(&fields("('x','V1'),", 900), "()").as_bytes(), None),
            false,
        ),
        (
            "many names of nothing",
            file(2, header(&fields("('',[]),", 1_230), "()").as_bytes(), None),
            false,
        ),
        (
            "many small arrays",
            file(2, header(&fields("('','?',1),", 890), "()").as_bytes(), None),
            true,
        ),
        (
            "many empty records",
            file(2, header(&fields("('',[],1),", 980), "()").as_bytes(), None),
            true,
        ),
        (
            "high bytes",
            file(1, header(&format!("[('{}', '<f8')]", "x".repeat(9)), "()").as_bytes(), None),
            true,
        ),
        (
            "a type without end",
            file(2, format!("{{'descr': '{}", "<".repeat(9_900)).as_bytes(), None),
            false,
        ),
        ("a key without end", file(2, format!("{{'{}", "k".repeat(9_900)).as_bytes(), None), false),
        (
            "an unknown long key",
            file(2, format!("{{'{}': 1}}", "\\x00".repeat(2_400)).as_bytes(), None),
            false,
        ),
        (
            "overflow hidden by 0",
            file(1, header("'<f8'", &format!("(0, {0}, {0})", isize::MAX)).as_bytes(), None),
            true,
        ),
        (
            "overflow",
            file(1, header("'<f8'", &format!("({}, 2)", isize::MAX)).as_bytes(), None),
            true,
        ),
        (
            "a huge element",
            file(1, header(&format!("'|V{}'", isize::MAX), "(2,)").as_bytes(), None),
            true,
        ),
    ] {
        let (read, held) = try_all(&path, &bytes);
        assert_eq!(read, readable, "{name}");
        assert!(held <= 64 << 10, "{name}: {held} bytes held");
    }
}

/// Valid headers with a few random bytes changed, doubled or taken out.
#[test]
fn mutated_headers_use_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mutant.npy");
    let seeds = [
        header("'<f8'", "(2, 4)"),
        header("'>c16'", "(0, 3)"),
        header("'|S8'", "()"),
        header("[('a', '<f4', (2, 1)), (('t', 'b'), [('', '|V2'), ('\\xe9', '<i2')])]", "(3L, )"),
        header("'<M8[25ns]'", "(8,)"),
    ];
    let mut state = 42_u64;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let rounds = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
    let mut readable = 0;
    for _ in 0..rounds {
        let mut bytes = file(1 + random(3) as u8, seeds[random(seeds.len())].as_bytes(), None);
        for _ in 0..random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = random(256) as u8,
                1 => bytes[at] = b"{}[](),'\"\\<>=|0123456789LTFx \n"[random(30)],
                2 => bytes.insert(at, bytes[random(bytes.len())]),
                _ => drop(bytes.remove(at)),
            }
        }
        let (read, held) = try_all(&path, &bytes);
        assert!(held <= 64 << 10, "{held} bytes held for {:?}", bytes.escape_ascii().to_string());
        readable += usize::from(read);
    }
    assert!(readable > rounds / 10 && readable < rounds * 9 / 10, "{readable} of {rounds}");
}
