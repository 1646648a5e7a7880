//! Damaged and hostile archives.

use ndarray::IxDyn;

use super::*;

/// Opens an archive that consists of these members, and its member "x".
fn open_x(members: &[Member]) -> Result<()> {
    let written = Written::new(&built(members, b""));
    written.open()?.member("x").map(drop)
}

#[track_caller]
fn read_and_extract_fail(member: Member, text: &str) {
    let written = Written::new(&built(&[member], b""));
    let archive = written.open().unwrap();
    let member = archive.member("x").unwrap();
    refused(member.read::<f64, IxDyn>(), Some("x"), text, invalid);
    refused(extracted(&member, written.dir.path()), Some("x"), text, invalid);
}

#[test]
fn npz_with_unsupported_members_is_opened() {
    let plain = Member::stored("x.npy", counting(3));
    let other = Member::stored("y.npy", counting(3));
    for (flags, method, text) in [
        (1, 0, "encrypted"),
        (1, 8, "encrypted"),
        (0x41, 8, "encrypted"),
        (0, 12, "method 12 (BZIP2)"),
        (0, 14, "method 14 (LZMA)"),
        (0, 9, "method 9 (DEFLATE64)"),
        (0, 777, "method 777"),
    ] {
        let member = Member { flags, method, ..plain.clone() };
        let written = Written::new(&built(&[member, other.clone()], b""));
        let archive = written.open().unwrap();
        assert!(archive.names().eq(["x", "y"]));
        refused(archive.member("x"), Some("x"), text, unsupported);
        assert_eq!(archive.member("y").unwrap().read::<f64, IxDyn>().unwrap().len(), 3);
    }
}

#[test]
fn npz_with_duplicate_names_is_refused() {
    let x = Member::stored("x.npy", counting(3));
    refused(open_x(&[x.clone(), x]), None, r#"two arrays have the name "x""#, invalid);
}

#[test]
fn npz_with_overlapping_members_is_refused() {
    let x = Member::stored("x.npy", counting(3));
    let y = Member { offset: Some(0), ..Member::stored("y.npy", counting(3)) };
    refused(open_x(&[x.clone(), y]), None, "extends past the start of the next file", invalid);
    let len = x.stored_len + 1_000;
    let longer = Member { stored_len: len, decoded_len: len, ..x.clone() };
    refused(open_x(&[longer.clone(), x.clone()]), None, "\"x.npy\" at byte 0 has", invalid);
    refused(open_x(&[longer]), None, "extends past", invalid);
    // Longer only by the length of the names, which the directory does not list.
    let len = x.stored_len + 1;
    let longer = Member { stored_len: len, decoded_len: len, ..x.clone() };
    refused(open_x(&[longer]), Some("x"), "the data at bytes 35 to 188 extends past", invalid);
}

#[test]
fn npz_with_positions_outside_of_the_file_is_refused() {
    let x = Member::stored("x.npy", counting(3));
    for offset in [188, 10_000, u32::MAX - 1, u32::MAX] {
        let member = Member { offset: Some(offset), ..x.clone() };
        refused(open_x(&[member]), None, "extends past", invalid);
    }
    for position in [10_000, i64::MAX as u64, u64::MAX] {
        let extra = [&[1, 0, 8, 0], &position.to_le_bytes()[..]].concat();
        let member = Member { offset: Some(u32::MAX), extra, ..x.clone() };
        refused(open_x(&[member]), None, "extends past", invalid);
    }
    // Inside the file, but not at a member.
    for offset in [1, 50] {
        let member = Member { offset: Some(offset), stored_len: 9, decoded_len: 9, ..x.clone() };
        refused(open_x(&[member]), Some("x"), "expected a record with signature", invalid);
    }
}

#[test]
fn npz_with_impossible_sizes_is_refused() {
    let stored = Member::stored("x.npy", counting(3));
    let deflated = Member::deflated("x.npy", counting(3));
    let possible = deflated.stored_len * 1032;
    for member in [
        Member { decoded_len: 151, ..stored.clone() },
        Member { decoded_len: u32::MAX, ..stored.clone() },
        Member { decoded_len: possible + 1, ..deflated.clone() },
        Member { decoded_len: u32::MAX, ..deflated.clone() },
    ] {
        refused(open_x(&[member]), Some("x"), "cannot contain", invalid);
    }
    open_x(&[Member { decoded_len: possible, ..deflated }]).unwrap();
}

#[test]
fn npz_with_other_contents_than_listed_is_refused() {
    for member in
        [Member::stored("x.npy", counting(9_000)), Member::deflated("x.npy", counting(9_000))]
    {
        let wrong = Member { crc: !member.crc, ..member.clone() };
        read_and_extract_fail(wrong, "the directory lists CRC-32");
        let mut damaged = member;
        damaged.data[1_000] ^= 1;
        let written = Written::new(&built(&[damaged], b""));
        let archive = written.open().unwrap();
        let member = archive.member("x").unwrap();
        refused(member.read::<f64, IxDyn>(), Some("x"), "copy or save the file again", invalid);
    }
    // The array is as long as the directory lists, but the stream is not.
    let file = counting(9_000);
    let longer = Member::deflated("x.npy", [&file[..], &[0; 100]].concat());
    let Member { crc, decoded_len, .. } = Member::stored("x.npy", file.clone());
    let bomb = Member { crc, decoded_len, ..longer };
    read_and_extract_fail(bomb, "the data has more");
    let shorter = Member::deflated("x.npy", file[..70_000].to_vec());
    let shorter = Member { decoded_len: file.len() as u32, ..shorter };
    read_and_extract_fail(shorter, "lists 72128 bytes, the data has 70000");
}

/// A small stream whose header claims an array of any size.
#[test]
fn npz_bomb_is_not_allocated() {
    for shape in ["(1152921504606846975,)", "(1099511627776,)", "(134217728,)"] {
        let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}\n");
        let mut file = b"\x93NUMPY\x01\0".to_vec();
        file.extend_from_slice(&(text.len() as u16).to_le_bytes());
        file.extend_from_slice(text.as_bytes());
        file.resize(1 << 20, 0);
        for member in [Member::stored("x.npy", file.clone()), Member::deflated("x.npy", file)] {
            let written = Written::new(&built(&[member], b""));
            let archive = written.open().unwrap();
            let member = archive.member("x").unwrap();
            assert_eq!(member.header().unwrap().shape().len(), 1);
            refused(
                member.read::<f64, IxDyn>(),
                Some("x"),
                shape.trim_matches(['(', ',', ')']),
                |kind| matches!(kind, ErrorKind::TooShort { .. } | ErrorKind::TooLarge { .. }),
            );
        }
    }
}

#[test]
fn npz_with_a_wrong_count_is_refused() {
    let mut bytes = built(&[Member::stored("x.npy", counting(3))], b"");
    let end = bytes.len() - 22;
    bytes[end + 10] = 2;
    refused(Written::new(&bytes).open(), None, "counts 2 files, the directory lists 1", invalid);
}

#[test]
fn npz_truncated_anywhere_is_refused() {
    let bytes = built(
        &[Member::stored("x.npy", counting(3)), Member::deflated("y.npy", counting(30))],
        b"comment",
    );
    let written = Written::new(&bytes);
    for len in 0..bytes.len() {
        fs::write(&written.path, &bytes[..len]).unwrap();
        assert!(invalid(written.open().unwrap_err().kind()), "{len}");
        fs::write(&written.path, &bytes[len + 1..]).unwrap();
        // Without some of its first bytes, an archive may be one after other bytes.
        if let Ok(archive) = written.open() {
            let read = |name| archive.member(name)?.read::<f64, IxDyn>();
            assert!(read("x").is_err() || read("y").is_err(), "{len}");
        }
    }
}

/// The file is truncated after it was opened.
#[test]
fn npz_truncated_while_open_is_an_error() {
    let bytes = built(&[Member::stored("x.npy", counting(9_000))], b"");
    for len in [0, 20, 34, 100, 1_000, 70_000] {
        let written = Written::new(&bytes);
        let archive = written.open().unwrap();
        let member = archive.member("x").unwrap();
        fs::File::options().write(true).open(&written.path).unwrap().set_len(len).unwrap();
        let error = member.read::<f64, IxDyn>().unwrap_err();
        assert_eq!(error.member(), Some("x"), "{error}");
        assert!(extracted(&member, written.dir.path()).is_err());
        assert_eq!(archive.member("x").is_err(), len < 30);
    }
}
