//! Valid archives.

use std::fs;

use ndarray::prelude::*;
use ndarray::{Array, ArrayD, IxDyn, array};
use proptest::prelude::*;

use super::*;

/// An array of an archive, and how it is written.
#[derive(Clone, Debug)]
struct Case {
    name: String,
    shape: Vec<usize>,
    order: Order,
    deflate: bool,
    zip64: bool,
    alignment: u16,
}

fn case() -> impl Strategy<Value = Case> {
    let name = prop_oneof![
        "[a-z]{1,9}",
        Just("arr_0".to_owned()),
        Just("../up".to_owned()),
        Just("/a/b".to_owned()),
        Just("µ é".to_owned()),
        Just(String::new()),
        Just("x.npy".to_owned()),
    ];
    let shape = prop::collection::vec(0_usize..6, 0..4);
    let order = prop_oneof![Just(Order::C), Just(Order::F)];
    let alignment = prop_oneof![Just(1_u16), Just(64)];
    (name, shape, order, any::<bool>(), any::<bool>(), alignment).prop_map(
        |(name, shape, order, deflate, zip64, alignment)| Case {
            name,
            shape,
            order,
            deflate,
            zip64,
            alignment,
        },
    )
}

impl Case {
    fn array(&self) -> ArrayD<f64> {
        let mut value = 0.0;
        Array::from_shape_simple_fn(IxDyn(&self.shape), || {
            value += 0.5;
            value
        })
    }

    fn options(&self) -> SimpleFileOptions {
        let options = if self.deflate { deflated() } else { stored() };
        options.large_file(self.zip64).with_alignment(self.alignment)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]
    #[test]
    fn npz_members_are_read_mapped_and_extracted(
        mut cases in prop::collection::vec(case(), 0..5),
        others in prop::bool::ANY,
        prefix in prop::collection::vec(any::<u8>(), 0..100),
        comment in prop::option::of("[ -~]{0,300}"),
    ) {
        let mut names = std::collections::HashSet::new();
        cases.retain(|case| names.insert(case.name.clone()));
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        if others {
            zip.add_directory("dir", stored()).unwrap();
            zip.start_file("readme.txt", deflated()).unwrap();
        }
        for case in &cases {
            zip.start_file(format!("{}.npy", case.name), case.options()).unwrap();
            zip.write_all(&npy(&case.array(), case.order)).unwrap();
        }
        if let Some(comment) = comment {
            zip.set_comment(comment).unwrap();
        }
        // An empty directory cannot be found after other bytes.
        let prefix = if others || !cases.is_empty() { prefix } else { Vec::new() };
        let bytes = [prefix, zip.finish().unwrap().into_inner()].concat();

        let written = Written::new(&bytes);
        let archive = written.open().unwrap();
        prop_assert!(archive.names().eq(cases.iter().map(|case| &*case.name)));
        let expected: &[_] = if others { &["dir/", "readme.txt"] } else { &[] };
        prop_assert!(archive.other_names().eq(expected.iter().copied()));
        for case in &cases {
            let member = archive.member(&case.name).unwrap();
            prop_assert_eq!(member.name(), &case.name);
            prop_assert_eq!(member.is_compressed(), case.deflate);
            let header = member.header().unwrap();
            prop_assert_eq!(header.shape(), &case.shape);
            prop_assert_eq!(header.dtype(), &Dtype::of::<f64>());
            let array = member.read::<f64, IxDyn>().unwrap();
            prop_assert_eq!(&array, &case.array());
            let file = extracted(&member, written.dir.path()).unwrap();
            prop_assert_eq!(&file, &npy(&case.array(), case.order));
            let mapped = map::<f64, IxDyn>(&member);
            let opened = member.open_file::<f64, IxDyn>();
            if case.deflate {
                refused(opened, Some(&case.name), "`NpzMember::extract`", unsupported);
            } else {
                prop_assert_eq!(&opened.unwrap().read_all().unwrap(), &array);
            }
            let offset = member.offset();
            match offset.map(|offset| offset + header.data_offset()) {
                None => refused(mapped, Some(&case.name), "`NpzMember::extract`", unsupported),
                Some(data) if data % 8 > 0 && !array.is_empty() => {
                    refused(mapped, Some(&case.name), "misaligned", |kind| {
                        matches!(kind, ErrorKind::Misaligned { .. })
                    });
                }
                Some(data) => {
                    let mapped = mapped.unwrap();
                    prop_assert_eq!(&mapped, &array);
                    prop_assert_eq!(mapped.offset(), data);
                }
            }
        }
    }
}

/// Arrays of all kinds of elements, of which the sizes are not those of the buffers.
#[test]
fn npz_reads_elements_of_all_sizes() {
    let bytes: ArrayD<u8> = Array::from_iter((0..200_001_u32).map(|i| (i / 7) as u8)).into_dyn();
    let thirds: ArrayD<[u8; 3]> =
        bytes.iter().map(|&byte| [byte, 1, 2]).collect::<Array1<_>>().into_dyn();
    let large: ArrayD<[u8; 100_000]> = Array::from_elem(IxDyn(&[2]), [7; 100_000]);
    let scalar = array![1.5].into_shape_with_order(()).unwrap().into_dyn();
    for options in [stored(), deflated()] {
        let written = Written::new(&archive(&[
            ("bytes.npy", &npy(&bytes, Order::C), options),
            ("thirds.npy", &npy(&thirds, Order::C), options),
            ("large.npy", &npy(&large, Order::C), options),
            ("scalar.npy", &npy(&scalar, Order::C), options),
        ]));
        let archive = written.open().unwrap();
        let member = |name| archive.member(name).unwrap();
        assert_eq!(member("bytes").read::<u8, IxDyn>().unwrap(), bytes);
        assert_eq!(member("thirds").read::<[u8; 3], IxDyn>().unwrap(), thirds);
        assert_eq!(member("large").read::<[u8; 100_000], IxDyn>().unwrap(), large);
        assert_eq!(member("scalar").read::<f64, Ix0>().unwrap().into_scalar(), 1.5);
    }
}

#[test]
fn npz_numbers_in_the_other_byte_order_are_converted() {
    let (native, other) = if cfg!(target_endian = "big") { (b'>', b'<') } else { (b'<', b'>') };
    let swapped: Vec<f64> =
        (0..9_000).map(|value| f64::from_bits(f64::from(value).to_bits().swap_bytes())).collect();
    let mut file = npy(&Array::from_vec(swapped).into_dyn(), Order::C);
    let mark = file.iter().position(|&byte| byte == native).unwrap();
    file[mark] = other;
    for options in [stored(), deflated()] {
        let written = Written::new(&archive(&[("x.npy", &file, options)]));
        let archive = written.open().unwrap();
        let member = archive.member("x").unwrap();
        let expected = Array::from_iter((0..9_000).map(f64::from));
        assert_eq!(member.read::<f64, Ix1>().unwrap(), expected);
        if !member.is_compressed() {
            let opened = member.open_file::<f64, Ix1>().unwrap();
            assert_eq!(opened.read_all().unwrap(), expected);
        }
    }
}

/// The records of zip64 at the end, with and without a comment.
#[test]
fn npz_of_zip64_is_read() {
    let member = Member::stored("x.npy", counting(3));
    for comment in [&b""[..], b"comment"] {
        let classic = built(std::slice::from_ref(&member), comment);
        let (files, end) = classic.split_at(classic.len() - 22 - comment.len());
        let (size, start) = (u64::from(end[12]), files.len() as u64 - u64::from(end[12]));
        let mut record = [b"PK\x06\x06", &44_u64.to_le_bytes()[..], &[45, 0, 45, 0]].concat();
        record.extend_from_slice(&[0; 8]);
        record.extend([1, 1, size, start].iter().flat_map(|value| value.to_le_bytes()));
        let locator =
            [b"PK\x06\x07\0\0\0\0", &(files.len() as u64).to_le_bytes()[..], &[1, 0, 0, 0]];
        let mut end = end.to_vec();
        end[8..20].fill(0xff);
        let written = Written::new(&[files, &record, &locator.concat(), &end].concat());
        let archive = written.open().unwrap();
        assert_eq!(archive.member("x").unwrap().read::<f64, Ix1>().unwrap().len(), 3);
    }
}

/// A writer that cannot seek writes the sizes after the data.
#[test]
fn npz_of_a_stream_is_read() {
    let mut zip = ZipWriter::new_stream(Vec::new());
    for (name, options) in [("x.npy", deflated()), ("yy.npy", stored())] {
        zip.start_file(name, options).unwrap();
        zip.write_all(&counting(1000)).unwrap();
    }
    let written = Written::new(zip.finish().unwrap().get_ref());
    let archive = written.open().unwrap();
    for name in ["x", "yy"] {
        assert_eq!(archive.member(name).unwrap().read::<f64, Ix1>().unwrap()[999], 999.0);
    }
}

/// A comment may look like the end of an archive.
#[test]
fn npz_comment_may_contain_signatures() {
    let signatures = b"PK\x05\x06PK\x06\x07 PK\x05\x06".repeat(4_000);
    let written = Written::new(&built(&[Member::stored("x.npy", counting(3))], &signatures));
    let archive = written.open().unwrap();
    assert_eq!(archive.member("x").unwrap().read::<f64, Ix1>().unwrap(), array![0.0, 1.0, 2.0]);
}

#[test]
fn npz_without_members_is_empty() {
    for bytes in [built(&[], b""), built(&[], b"comment")] {
        let written = Written::new(&bytes);
        let archive = written.open().unwrap();
        assert_eq!((archive.names().len(), archive.other_names().len()), (0, 0));
        refused(archive.member("x").map(drop), None, "contains no arrays", |kind| {
            matches!(kind, ErrorKind::NoSuchMember { .. })
        });
    }
}

/// The archive keeps the file that it has opened.
#[test]
fn npz_replaced_on_disk_is_still_read() {
    let written = Written::new(&built(&[Member::stored("ab.npy", counting(3))], b""));
    let archive = written.open().unwrap();
    let member = archive.member("ab").unwrap();
    let new = written.dir.path().join("new");
    fs::write(&new, built(&[Member::stored("ab.npy", counting(4))], b"")).unwrap();
    fs::rename(new, &written.path).unwrap();
    assert_eq!(member.read::<f64, Ix1>().unwrap().len(), 3);
    refused(map::<f64, Ix1>(&member), Some("ab"), "open the archive again", unsupported);
    let opened = member.open_file::<f64, Ix1>();
    refused(opened, Some("ab"), "open the archive again", unsupported);
}

/// Extraction replaces a file only when all is right.
#[test]
fn npz_extraction_is_atomic() {
    let mut wrong = Member::deflated("x.npy", counting(50_000));
    wrong.crc ^= 1;
    let right = Member::deflated("y.npy", counting(50_000));
    let written = Written::new(&built(&[wrong, right], b""));
    let archive = written.open().unwrap();
    let target = written.dir.path().join("t.npy");
    fs::write(&target, "old").unwrap();
    let names = || fs::read_dir(written.dir.path()).unwrap().count();
    refused(archive.member("x").unwrap().extract(&target), Some("x"), "CRC-32", invalid);
    assert_eq!((fs::read(&target).unwrap(), names()), (b"old".to_vec(), 2));
    archive.member("y").unwrap().extract(&target).unwrap();
    assert_eq!((fs::read(&target).unwrap(), names()), (counting(50_000), 2));
    // Errors of the new file name it.
    let missing = written.dir.path().join("no/such/directory.npy");
    let error = archive.member("y").unwrap().extract(&missing).unwrap_err();
    assert_eq!((error.path(), error.member()), (Some(&*missing), None));
}
