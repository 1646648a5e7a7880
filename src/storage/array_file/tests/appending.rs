//! Rows appended to files against concatenated arrays in memory.

use std::fmt::Debug;
use std::path::Path;

use bytemuck::Pod;
use ndarray::{Array1, Array2, ArrayD, Axis, Dimension, Ix2, IxDyn, concatenate};
use num_complex::Complex;
use proptest::prelude::*;

use super::array;
use super::writing::scattered;
use crate::ErrorKind;
use crate::order::Order;
use crate::storage::array_file::{ArrayAppender, ArrayFile, SwapBytes};
use crate::storage::npy::{Dtype, NpyElement, NpyHeader, header};
use crate::storage::options::MmapArrayOptions;

#[derive(Clone, Debug)]
enum Step {
    /// Appends a number of rows, in one of several memory orders.
    Append(usize, u8),
    Push(u8),
    Flush,
    /// Closes or drops the appender and opens the file again.
    Reopen {
        close: bool,
    },
    /// Leaves bytes after the array, as a process that is killed does.
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_usize..20, 0_u8..6).prop_map(|(rows, kind)| Step::Append(rows, kind)),
        // More than the buffer, if the rows are large enough.
        1 => (9_000_usize..30_000, 0_u8..6).prop_map(|(rows, kind)| Step::Append(rows, kind)),
        3 => (0_u8..6).prop_map(Step::Push),
        1 => Just(Step::Flush),
        1 => any::<bool>().prop_map(|close| Step::Reopen { close }),
        1 => (1_usize..100).prop_map(Step::Leave),
    ];
    prop::collection::vec(step, 1..12)
}

/// The kind of a file.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Raw {
        offset: u64,
        big_endian: bool,
    },
    Npy,
    /// A header of the other byte order than that of this machine.
    SwappedNpy,
}

struct Case<'c, A> {
    kind: Kind,
    path: &'c Path,
    row: &'c [usize],
    expected: ArrayD<A>,
}

impl<A: Pod + NpyElement + SwapBytes + PartialEq + Debug> Case<'_, A> {
    fn options(&self) -> MmapArrayOptions {
        match self.kind {
            Kind::Raw { offset, .. } => MmapArrayOptions::new().offset(offset),
            _ => MmapArrayOptions::new(),
        }
        .trailing_bytes(true)
    }

    fn create(&self) -> ArrayAppender<A, IxDyn> {
        let (options, row) = (self.options(), IxDyn(self.row));
        match self.kind {
            Kind::Raw { big_endian, .. } => {
                let created = options.create_appender(self.path, row).unwrap();
                if big_endian { created.big_endian() } else { created }
            }
            Kind::Npy => options.create_appender_npy(self.path, row).unwrap(),
            Kind::SwappedNpy => {
                let [native, other] =
                    if cfg!(target_endian = "big") { [">", "<"] } else { ["<", ">"] };
                let swapped: Dtype = A::dtype().descr().replace(native, other).parse().unwrap();
                let bytes = header(&swapped, self.expected.shape(), Order::C, 1).unwrap();
                std::fs::write(self.path, bytes).unwrap();
                self.open()
            }
        }
    }

    fn open(&self) -> ArrayAppender<A, IxDyn> {
        let options = self.options();
        match self.kind {
            Kind::Raw { big_endian, .. } => {
                let opened = options.open_appender(self.path, IxDyn(self.row)).unwrap();
                if big_endian { opened.big_endian() } else { opened }
            }
            _ => options.open_appender_npy(self.path).unwrap(),
        }
    }

    fn check(&self) {
        let options = self.options().trailing_bytes(false);
        let file: ArrayFile<A, IxDyn> = match self.kind {
            Kind::Raw { big_endian, .. } => {
                let file = options.open_file_rows(self.path, IxDyn(self.row)).unwrap();
                if big_endian { file.big_endian() } else { file }
            }
            _ => options.open_file_npy(self.path).unwrap(),
        };
        // Some of the elements may be NaN.
        let bytes =
            |array: &ArrayD<A>| bytemuck::cast_slice::<A, u8>(array.as_slice().unwrap()).to_vec();
        let found = file.read_all().unwrap();
        assert_eq!(found.shape(), self.expected.shape());
        assert!(bytes(&found) == bytes(&self.expected), "{found:?}, not {:?}", self.expected);
        let len = std::fs::metadata(self.path).unwrap().len();
        assert_eq!(len, file.layout().end(), "no space is left behind the array");
    }

    fn run(&mut self, steps: &[Step]) {
        let mut appender = self.create();
        // Bytes after the array that no write has removed.
        let mut is_longer = false;
        for step in steps {
            is_longer &= matches!(step, Step::Append(0, _) | Step::Reopen { close: false });
            match *step {
                Step::Append(rows, kind) => {
                    let rows = rows.min((4 << 20) / self.row_bytes().max(64));
                    let rows = array::<A>(&[&[rows], self.row].concat(), Order::C);
                    appender.append(&scattered(&rows, kind)).unwrap();
                    self.expected =
                        concatenate(Axis(0), &[self.expected.view(), rows.view()]).unwrap();
                }
                Step::Push(kind) => {
                    let row = array::<A>(self.row, Order::C);
                    appender.push(&scattered(&row, kind)).unwrap();
                    let one = row.view().insert_axis(Axis(0));
                    self.expected = concatenate(Axis(0), &[self.expected.view(), one]).unwrap();
                }
                Step::Flush => {
                    appender.flush().unwrap();
                    let len = std::fs::metadata(self.path).unwrap().len();
                    assert_eq!(len, appender.layout().end());
                }
                Step::Reopen { close } => {
                    if close {
                        appender.close().unwrap();
                    } else {
                        drop(appender);
                    }
                    if !is_longer {
                        self.check();
                    }
                    appender = self.open();
                }
                Step::Leave(len) => {
                    appender.close().unwrap();
                    // A raw file is extended by less than a row.
                    let len = match self.kind {
                        Kind::Raw { .. } => len % self.row_bytes(),
                        _ => len,
                    };
                    let file = std::fs::OpenOptions::new().append(true).open(self.path).unwrap();
                    std::io::Write::write_all(&mut &file, &vec![0xEE; len]).unwrap();
                    is_longer = true;
                    appender = self.open();
                }
            }
            assert_eq!(appender.shape(), self.expected.shape());
            assert_eq!(appender.num_rows(), self.expected.shape()[0]);
        }
        appender.close().unwrap();
        self.check();
    }

    fn row_bytes(&self) -> usize {
        self.row.iter().product::<usize>() * size_of::<A>()
    }
}

fn check<A: Pod + NpyElement + SwapBytes + PartialEq + Debug>(
    kind: Kind,
    row: &[usize],
    steps: &[Step],
) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let none = IxDyn(&[&[0], row].concat());
    let expected = ArrayD::from_elem(none, A::zeroed());
    Case { kind, path: &path, row, expected }.run(steps);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn appended_rows_equal_concatenated_arrays(
        mut row in prop::collection::vec(0_usize..5, 0..4),
        steps in steps(),
        kind in prop_oneof![
            (0_u64..20, any::<bool>())
                .prop_map(|(offset, big_endian)| Kind::Raw { offset, big_endian }),
            Just(Kind::Npy),
            Just(Kind::SwappedNpy),
        ],
        element in 0..8,
    ) {
        if matches!(kind, Kind::Raw { .. }) {
            row.iter_mut().for_each(|len| *len += 1);
        }
        match element {
            0 => check::<u8>(kind, &row, &steps),
            1 => check::<i16>(kind, &row, &steps),
            2 => check::<u32>(kind, &row, &steps),
            3 => check::<i64>(kind, &row, &steps),
            4 => check::<f64>(kind, &row, &steps),
            5 => check::<Complex<f32>>(kind, &row, &steps),
            6 => check::<[u8; 3]>(kind, &row, &steps),
            _ => check::<[u32; 5]>(kind, &row, &steps),
        }
    }
}

/// Rows that are larger than the buffer.
#[test]
fn long_rows() {
    let steps = [Step::Push(0), Step::Push(1), Step::Append(3, 5), Step::Flush, Step::Push(4)];
    for kind in [Kind::Raw { offset: 3, big_endian: true }, Kind::Npy, Kind::SwappedNpy] {
        check::<f64>(kind, &[300, 130], &steps);
        check::<f64>(kind, &[2, 16_384], &steps); // as large as the buffer
    }
}

#[test]
fn other_shapes_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.npy");
    let mut log = ArrayAppender::<u8, IxDyn>::create_npy(&path, IxDyn(&[2, 3])).unwrap();
    for shape in [&[][..], &[6], &[2, 3], &[1, 3, 2], &[0, 3, 2], &[1, 2, 3, 1]] {
        let error = log.append(&ArrayD::zeros(IxDyn(shape))).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::ShapeMismatch { found, .. } if found == shape),
            "{error}"
        );
        let error = log.push(&ArrayD::zeros(IxDyn(&[&[1], shape].concat()))).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ShapeMismatch { .. }), "{error}");
    }
    assert_eq!(log.num_rows(), 0);
    log.close().unwrap();
    assert_eq!(NpyHeader::read(&path).unwrap().shape(), [0, 2, 3]);
}

/// A call appends all of its rows or none, and the header never states more than it has room for.
#[test]
fn full_headers_are_errors_before_anything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.npy");
    let text = "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 4), } \n"; // one space
    for version in 1..=3_u8 {
        let len = (text.len() as u32).to_le_bytes();
        let len = if version == 1 { &len[..2] } else { &len[..] };
        let bytes = [b"\x93NUMPY", &[version, 0][..], len, text.as_bytes()].concat();
        std::fs::write(&path, bytes).unwrap();
        let mut log = ArrayAppender::<f64, IxDyn>::open_npy(&path).unwrap();
        let is_full = |result: crate::Result<()>, rows: usize| match result.unwrap_err().kind() {
            ErrorKind::HeaderFull { rows: found, max: 99, .. } => assert_eq!(*found, rows),
            kind => panic!("{kind:?}"),
        };
        is_full(log.append(&array::<f64>(&[100, 4], Order::C)), 100);
        log.append(&array::<f64>(&[98, 4], Order::C)).unwrap();
        is_full(log.append(&array::<f64>(&[2, 4], Order::C)), 100);
        log.push(&array::<f64>(&[4], Order::C)).unwrap();
        is_full(log.push(&array::<f64>(&[4], Order::C)), 100);
        log.close().unwrap();

        let read = || {
            let file = ArrayFile::<f64, IxDyn>::open_npy(&path).unwrap();
            file.read_all().unwrap().mapv(f64::to_bits) // some are NaN
        };
        let before = read();
        assert_eq!(before.shape(), [99, 4]);
        let header = NpyHeader::reserve_room(&path).unwrap();
        assert_eq!((header.shape(), header.dtype()), (&[99, 4][..], &Dtype::of::<f64>()));
        assert_eq!(NpyHeader::read(&path).unwrap(), header);
        assert_eq!(NpyHeader::reserve_room(&path).unwrap(), header, "there is room now");
        let mut log = ArrayAppender::<f64, IxDyn>::open_npy(&path).unwrap();
        log.push(&array::<f64>(&[4], Order::C)).unwrap();
        log.close().unwrap();
        let after = read();
        assert_eq!(
            (after.shape(), after.slice_axis(Axis(0), (..99).into())),
            (&[100, 4][..], before.view())
        );
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

/// A dimension of the type, so that rows of a file of one dimension are single elements.
#[test]
fn rows_of_one_dimension_are_elements() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.raw");
    let mut log = ArrayAppender::<u16, ndarray::Ix1>::create(&path, ()).unwrap();
    for i in 0..200_000_u32 {
        log.push(&ndarray::arr0(i as u16)).unwrap();
    }
    log.append(&ndarray::aview1(&[7, 8])).unwrap();
    assert_eq!(log.shape(), ndarray::Ix1(200_002).slice());
    log.close().unwrap();
    let file = ArrayFile::<u16, ndarray::Ix1>::open_rows(&path, ()).unwrap();
    let expected: Vec<_> = (0..200_000_u32).map(|i| i as u16).chain([7, 8]).collect();
    assert_eq!(file.read_all().unwrap().to_vec(), expected);
}

/// Another program appends to the file although it is locked.
#[test]
fn files_that_other_programs_extend_are_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.npy");
    let mut log = ArrayAppender::<u8, Ix2>::create_npy(&path, 2).unwrap();
    log.append(&ndarray::array![[1, 2]]).unwrap();
    log.flush().unwrap();
    let mut extended = std::fs::read(&path).unwrap();
    extended.extend([3, 4]);
    std::fs::write(&path, &extended).unwrap();
    log.append(&ndarray::array![[5, 6]]).unwrap();
    let error = log.flush().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FileModified { .. }), "{error}");
    assert_eq!(error.path(), Some(path.as_path()));
    drop(log);
    assert_eq!(std::fs::read(&path).unwrap(), extended);

    // The number of rows in the header changes as well.
    let mut log = ArrayAppender::<u8, Ix2>::create_npy(&path, 2).unwrap();
    log.append(&ndarray::array![[1, 2]]).unwrap();
    let header = std::fs::read(&path).unwrap();
    let changed = header.windows(6).position(|text| text == b"(0, 2)").unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    crate::storage::os::write_at(&file, changed as u64 + 1, b"7").unwrap();
    let error = log.flush().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FileModified { .. }), "{error}");
    drop(log);
    assert!(String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("(7, 2)"));
}

#[test]
fn numbers_of_rows_beyond_the_address_space_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.npy");
    let mut log = ArrayAppender::<u8, Ix2>::create_npy(&path, 0).unwrap();
    log.push(&Array1::zeros(0)).unwrap();
    let rows = Array2::zeros((isize::MAX as usize, 0));
    let error = log.append(&rows).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }), "{error}");
    log.push(&Array1::zeros(0)).unwrap();
    assert_eq!(log.num_rows(), 2);
    log.close().unwrap();
    assert_eq!(NpyHeader::read(&path).unwrap().shape(), [2, 0]);
}
