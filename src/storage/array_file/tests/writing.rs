//! Writes to files against assignments to arrays in memory.

use bytemuck::Pod;
use ndarray::{ArrayD, Axis, Dimension, IxDyn, ShapeBuilder, SliceInfoElem};
use proptest::prelude::*;

use super::{array, info, slices};
use crate::ErrorKind;
use crate::geometry::Region;
use crate::order::Order;
use crate::storage::array_file::ArrayFileMut;
use crate::storage::options::MmapArrayOptions;

/// Bytes before and after the array, which no write may change.
const MARGIN: usize = 5;

/// Returns a file with an array between two margins.
fn file_of(array: &ArrayD<u32>) -> (tempfile::NamedTempFile, ArrayFileMut<u32, IxDyn>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), contents(array, false)).unwrap();
    let order = if array.is_standard_layout() { Order::C } else { Order::F };
    let shape = array.raw_dim().set_f(order == Order::F);
    let options = MmapArrayOptions::new().offset(MARGIN as u64);
    let opened = options.open_file_mut(file.path(), shape).unwrap();
    (file, opened)
}

fn contents(array: &ArrayD<u32>, big_endian: bool) -> Vec<u8> {
    let elements = array.as_slice_memory_order().unwrap().iter();
    let bytes = elements.flat_map(|x| if big_endian { x.to_be_bytes() } else { x.to_ne_bytes() });
    let margin = [0xEE; MARGIN];
    margin.into_iter().chain(bytes).chain(margin).collect()
}

/// Returns a copy in another memory order: axes swapped in memory, one of them descending, and
/// gaps between the elements.
pub(super) fn scattered<A: Pod>(elements: &ArrayD<A>, kind: u8) -> ArrayD<A> {
    let mut copy = match kind % 3 {
        0 => elements.clone(),
        1 => elements.t().as_standard_layout().into_owned().reversed_axes(),
        _ => {
            let mut wide = elements.raw_dim();
            wide.slice_mut().iter_mut().for_each(|len| *len *= 2);
            let mut wide = ArrayD::from_elem(wide, A::zeroed());
            wide.slice_each_axis_inplace(|_| ndarray::Slice::new(0, None, 2));
            wide.assign(elements);
            wide
        }
    };
    if kind >= 3 && copy.ndim() > 0 {
        let axis = Axis(copy.ndim() - 1);
        copy.invert_axis(axis);
        copy.assign(elements);
    }
    copy
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn writes_equal_assignments(
        (shape, parts) in slices(),
        order in prop_oneof![Just(Order::C), Just(Order::F)],
        kind in 0_u8..6,
        big_endian in any::<bool>(),
    ) {
        let mut expected = array::<u32>(&shape, order);
        let (path, mut file) = file_of(&expected);
        if big_endian {
            std::fs::write(path.path(), contents(&expected, true)).unwrap();
            file = file.big_endian();
        }
        let info = info(&parts);
        let elements = expected.slice(&info).mapv(|x| !x);
        file.write(&info, &scattered(&elements, kind)).unwrap();
        expected.slice_mut(&info).assign(&elements);
        prop_assert_eq!(file.read_all().unwrap(), &expected);
        prop_assert_eq!(std::fs::read(path.path()).unwrap(), contents(&expected, big_endian));
    }
}

/// Runs longer than the buffer, and many elements that do not have the order of the file.
#[test]
fn large_writes() {
    for order in [Order::C, Order::F] {
        let mut expected = array::<u32>(&[300, 20, 40], order);
        let (path, file) = file_of(&expected);
        let part = |start, step| SliceInfoElem::Slice { start, end: None, step };
        for parts in [
            [part(0, 1), part(0, 1), part(0, 1)],
            [part(0, -1), part(0, 1), part(0, 1)],
            [part(0, 1), part(3, 5), part(0, 1)],
            [part(7, 90), part(0, 1), part(1, 1)],
        ] {
            let info = info(&parts);
            let elements = expected.slice(&info).mapv(|x| x.wrapping_mul(3));
            for kind in 0..6 {
                file.write(&info, &scattered(&elements, kind)).unwrap();
            }
            expected.slice_mut(&info).assign(&elements);
            assert_eq!(file.read(&info).unwrap(), elements);
        }
        assert_eq!(std::fs::read(path.path()).unwrap(), contents(&expected, false));
    }
}

#[test]
fn threads_write_to_disjoint_regions() {
    let mut expected = array::<u32>(&[64, 30], Order::C);
    let (path, file) = file_of(&expected);
    let doubled = expected.mapv(|x| x.wrapping_add(x));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (file, doubled) = (&file, &doubled);
            scope.spawn(move || {
                for column in (thread..30).step_by(4) {
                    let mut region = Region::whole(&[64, 30]);
                    (region.start[1], region.end[1]) = (column, column + 1);
                    let part = doubled.slice(ndarray::s![.., column..column + 1]);
                    file.write_region(&region, part.into_dyn()).unwrap();
                }
            });
        }
    });
    expected.assign(&doubled);
    assert_eq!(std::fs::read(path.path()).unwrap(), contents(&expected, false));
}

#[test]
fn other_shapes_are_refused() {
    let expected = array::<u32>(&[3, 4], Order::C);
    let (path, file) = file_of(&expected);
    let row = ndarray::Array1::<u32>::zeros(3).into_dyn();
    let error = file.write(info(&[SliceInfoElem::Index(1), (..).into()]), &row).unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::ShapeMismatch { expected, found, .. } if expected == &[4] && found == &[3]
    ));
    assert!(file.write_all(&ArrayD::zeros(IxDyn(&[4, 3]))).is_err());
    assert_eq!(std::fs::read(path.path()).unwrap(), contents(&expected, false));
}
