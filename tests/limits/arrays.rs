//! Random arrays in files, copies of them in memory, and views of both.

use std::fs;
use std::path::Path;

use ndarray::{ArrayView, Axis, IxDyn, ShapeBuilder, Slice};
use ndarray_mmap::{MmapArray, MmapArrayMut, MmapArrayOptions};

use crate::elements::{Item, Values};
use crate::random::Random;

/// The layout of an array in its file. Its view has the shape of the round.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The axes of the view from the slowest to the fastest in the file.
    pub order: Vec<usize>,
    /// The slice of each axis of the view.
    pub cuts: Vec<Cut>,
    /// The offset, in elements.
    pub offset: usize,
    pub kind: Kind,
    pub values: Values,
    /// One element in this number is NaN; 0 for none.
    pub one_nan_in: usize,
    pub seed: u64,
}

/// The indices of an axis of the file that a view contains.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub before: usize,
    pub step: usize,
    pub after: usize,
    pub reversed: bool,
}

impl Cut {
    pub const WHOLE: Self = Self { before: 0, step: 1, after: 0, reversed: false };

    fn len(&self, shown: usize) -> usize {
        self.before + (shown - 1) * self.step + 1 + self.after
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Raw,
    /// The reversed shape in F order.
    RawF,
    RawMut,
    Npy,
    NpyF,
}

pub enum Mapped<A: Item> {
    Read(MmapArray<A, IxDyn>),
    Write(MmapArrayMut<A, IxDyn>),
}

impl Layout {
    /// The lengths of the file's axes, from the slowest to the fastest.
    pub fn lens(&self, shape: &[usize]) -> Vec<usize> {
        self.order.iter().map(|&axis| self.cuts[axis].len(shape[axis])).collect()
    }

    pub fn len(&self, shape: &[usize]) -> usize {
        self.lens(shape).iter().product()
    }

    /// Returns all elements of the file.
    pub fn elements<A: Item>(&self, shape: &[usize]) -> Vec<A> {
        let mut random = Random::new(self.seed);
        let draw = |place| match A::NAN {
            Some(nan) if self.one_nan_in > 0 && random.one_in(self.one_nan_in) => nan,
            _ => A::draw(self.values, place, &mut random),
        };
        (0..self.len(shape)).map(draw).collect()
    }

    /// Writes the file.
    pub fn write<A: Item>(&self, path: &Path, shape: &[usize], elements: &[A]) {
        let mut bytes = match self.kind {
            Kind::Npy | Kind::NpyF => {
                header::<A>(&self.shape_in_file(shape), self.kind == Kind::NpyF, self.offset)
            }
            _ => vec![0xAA; self.offset * size_of::<A>()],
        };
        bytes.extend_from_slice(bytemuck::cast_slice(elements));
        fs::write(path, bytes).unwrap();
    }

    fn is_f(&self) -> bool {
        matches!(self.kind, Kind::RawF | Kind::NpyF)
    }

    fn shape_in_file(&self, shape: &[usize]) -> Vec<usize> {
        let mut lens = self.lens(shape);
        if self.is_f() {
            lens.reverse();
        }
        lens
    }

    /// Opens the file.
    pub fn open<A: Item>(&self, path: &Path, shape: &[usize]) -> Mapped<A> {
        let dim = IxDyn(&self.shape_in_file(shape));
        let options = MmapArrayOptions::new();
        let raw = options.clone().offset((self.offset * size_of::<A>()) as u64);
        // SAFETY (for all): this process alone uses the file, and only reads it.
        match self.kind {
            // SAFETY: as above.
            Kind::Raw => unsafe { raw.open(path, dim) }.map(Mapped::Read),
            // SAFETY: as above.
            Kind::RawF => unsafe { raw.open(path, dim.f()) }.map(Mapped::Read),
            // SAFETY: as above.
            Kind::RawMut => unsafe { raw.open_mut(path, dim) }.map(Mapped::Write),
            // SAFETY: as above.
            Kind::Npy | Kind::NpyF => unsafe { options.open_npy(path) }.map(Mapped::Read),
        }
        .unwrap()
    }

    /// Returns the same array in memory.
    pub fn in_memory<'a, A>(&self, shape: &[usize], elements: &'a [A]) -> ArrayView<'a, A, IxDyn> {
        let dim = IxDyn(&self.shape_in_file(shape));
        match self.is_f() {
            true => ArrayView::from_shape(dim.f(), elements).unwrap(),
            false => ArrayView::from_shape(dim, elements).unwrap(),
        }
    }

    /// Returns the view of the array that the round uses.
    pub fn view<'a, A>(&self, mut array: ArrayView<'a, A, IxDyn>) -> ArrayView<'a, A, IxDyn> {
        if self.is_f() {
            array = array.reversed_axes();
        }
        let mut axes = vec![0; self.order.len()];
        self.order.iter().enumerate().for_each(|(place, &axis)| axes[axis] = place);
        let mut view = array.permuted_axes(axes);
        for (axis, cut) in self.cuts.iter().enumerate() {
            let end = view.len_of(Axis(axis)) - cut.after;
            view.slice_axis_inplace(
                Axis(axis),
                Slice::new(cut.before as isize, Some(end as isize), cut.step as isize),
            );
            if cut.reversed {
                view.invert_axis(Axis(axis));
            }
        }
        view
    }
}

/// Returns an `.npy` header of 128 bytes or more, also of lengths that are not multiples of 64, as
/// in old files.
fn header<A: Item>(shape: &[usize], is_f: bool, extra: usize) -> Vec<u8> {
    let shape: String = shape.iter().map(|len| format!("{len}, ")).collect();
    let fortran = if is_f { "True" } else { "False" };
    let mut text =
        format!("{{'descr': '{}', 'fortran_order': {fortran}, 'shape': ({shape}), }}", A::DESCR);
    let len = 256 + extra % 100 * 16 - 10;
    text.extend(std::iter::repeat_n(' ', len - 1 - text.len()));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&(len as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

impl<A: Item> Mapped<A> {
    pub fn array(&self) -> ArrayView<'_, A, IxDyn> {
        match self {
            Self::Read(array) => array.view(),
            Self::Write(array) => array.view(),
        }
    }
}
