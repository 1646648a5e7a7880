//! The operations, each with the number of passes that its documentation states.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ndarray::ArrayRef;
use ndarray::prelude::*;
use ndarray_mmap::stats::{Bins, Interpolation, Summary};
use ndarray_mmap::{Accumulator, Chunked, MmapArrayMut, Result, prelude::*};

use crate::elements::{Bits, Item};
use crate::random::{Random, mix};

/// The division into chunks, for operations that depend on it.
#[derive(Clone, Debug)]
pub enum Chunks {
    Default(Option<usize>),
    Len(usize, usize),
    Bytes(usize, usize),
    Blocks(Vec<usize>),
}

/// An operation.
pub struct Operation {
    pub name: &'static str,
    /// The number of arrays.
    pub arrays: usize,
    /// The maximum number of passes over all elements.
    pub passes: usize,
    pub of: Of,
}

/// The part of the arrays and the element types that an operation supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// All elements, of numeric types.
    All,
    /// The lanes along an axis, of numeric types.
    Lanes,
    /// All elements, of any type.
    Places,
    /// Chunks as configured, of any type.
    Chunks,
    /// A few rows of a matrix, as variables.
    Rows,
}

const fn operation(name: &'static str, arrays: usize, passes: usize, of: Of) -> Operation {
    Operation { name, arrays, passes, of }
}

/// A sample and candidates; more for arrays with few distinct values.
const PASSES_OF_QUANTILES: usize = 8;

/// The maximum number of rows of a matrix. With little memory there is a pass for each pair of
/// tiles, of one row or more.
const MOST_ROWS: usize = 30;
const PASSES_OF_PAIRS: usize = MOST_ROWS * (MOST_ROWS + 1) / 2;

pub const OPERATIONS: &[Operation] = &[
    operation("sum", 1, 1, Of::All),
    operation("mean", 1, 1, Of::All),
    operation("var", 1, 1, Of::All),
    operation("summary", 1, 1, Of::All),
    operation("min", 1, 1, Of::All),
    operation("max", 1, 1, Of::All),
    operation("argmin", 1, 1, Of::All),
    operation("argmax", 1, 1, Of::All),
    operation("central_moment", 1, 2, Of::All),
    operation("central_moments", 1, 2, Of::All),
    operation("quantile", 1, PASSES_OF_QUANTILES, Of::All),
    operation("quantiles", 1, PASSES_OF_QUANTILES, Of::All),
    operation("histogram", 1, 2, Of::All),
    operation("histogram_over", 1, 1, Of::All),
    operation("histogram_edges", 1, 1, Of::All),
    operation("count_where", 1, 1, Of::All),
    operation("argwhere", 1, 1, Of::All),
    operation("accumulate", 1, 1, Of::All),
    operation("accumulate_2", 2, 1, Of::Places),
    operation("accumulate_3", 3, 1, Of::Places),
    operation("accumulate_4", 4, 1, Of::Places),
    operation("histogram2d", 2, 3, Of::All),
    operation("weighted_sum", 2, 1, Of::All),
    operation("weighted_mean", 2, 1, Of::All),
    operation("weighted_var", 2, 1, Of::All),
    operation("map_into", 1, 1, Of::Places),
    operation("map_into_2", 2, 1, Of::Places),
    operation("map_into_3", 3, 1, Of::Places),
    operation("sum_axis", 1, 1, Of::Lanes),
    operation("mean_axis", 1, 1, Of::Lanes),
    operation("var_axis", 1, 1, Of::Lanes),
    operation("summary_axis", 1, 1, Of::Lanes),
    operation("min_axis", 1, 1, Of::Lanes),
    operation("max_axis", 1, 1, Of::Lanes),
    operation("argmin_axis", 1, 1, Of::Lanes),
    operation("argmax_axis", 1, 1, Of::Lanes),
    operation("quantile_axis", 1, PASSES_OF_QUANTILES, Of::Lanes),
    operation("quantiles_axis", 1, 3 * PASSES_OF_QUANTILES, Of::Lanes),
    operation("accumulate_axis", 1, 1, Of::Lanes),
    operation("weighted_sum_axis", 2, 1, Of::Lanes),
    operation("weighted_mean_axis", 2, 1, Of::Lanes),
    operation("weighted_var_axis", 2, 1, Of::Lanes),
    operation("cov", 1, PASSES_OF_PAIRS, Of::Rows),
    operation("pearson_correlation", 1, PASSES_OF_PAIRS, Of::Rows),
    operation("try_iter", 1, 1, Of::Chunks),
    operation("try_iter_back", 1, 1, Of::Chunks),
    operation("try_iter_2", 2, 1, Of::Chunks),
    operation("par_for_each", 1, 1, Of::Chunks),
    operation("par_for_each_2", 2, 1, Of::Chunks),
    operation("par_map_reduce", 1, 1, Of::Chunks),
    operation("par_map_reduce_2", 2, 1, Of::Chunks),
    operation("par_for_each_into", 1, 1, Of::Chunks),
    operation("in_place", 1, 1, Of::Chunks),
];

/// A call of an operation.
pub struct Call<'a, A> {
    pub name: &'a str,
    pub views: Vec<ArrayView<'a, A, IxDyn>>,
    pub axis: Axis,
    pub chunks: &'a Chunks,
    pub skip_nan: bool,
    /// The seed of the other random arguments.
    pub seed: u64,
    /// The order of the axes of an array that is written, and the directory of its file; `None` for
    /// an array in memory.
    pub order: &'a [usize],
    pub dir: Option<&'a Path>,
    pub memory: Option<usize>,
    /// The number of elements processed.
    pub processed: AtomicUsize,
}

/// A summary of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    len: usize,
    hash: u64,
    pub first: [u64; 3],
    /// The size of a result, which belongs to the caller, in bytes.
    pub bytes: usize,
}

fn answer<T: Bits>(values: impl IntoIterator<Item = T>) -> Answer {
    let mut answer = Answer { len: 0, hash: 0, first: [0; 3], bytes: 0 };
    for value in values {
        let bits = value.bits();
        if let Some(first) = answer.first.get_mut(answer.len) {
            *first = bits;
        }
        answer.hash = mix(answer.hash ^ bits);
        answer.len += 1;
        answer.bytes += size_of::<T>();
    }
    answer
}

impl<A: Bits> Bits for Summary<A> {
    fn bits(self) -> u64 {
        let bits = [
            self.count,
            self.nan_count,
            self.min.bits(),
            self.max.bits(),
            self.mean.bits(),
            self.var.bits(),
        ];
        let others = [self.std.bits(), self.skewness.bits(), self.kurtosis.bits()];
        bits.into_iter().chain(others).fold(0, |hash, bits| mix(hash ^ bits))
    }
}

/// An accumulator that depends on the order of the elements and on their division.
#[derive(Clone, Copy, Default)]
struct InOrder(u64);

impl<A: Bits> Accumulator<A> for InOrder {
    fn push(&mut self, element: &A) {
        self.0 = (self.0.rotate_left(23) ^ element.bits()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn merge(&mut self, other: Self) {
        self.0 = self.0.rotate_left(7).wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ other.0;
    }
}

fn hash_of<A: Bits>(chunk: &ArrayView<'_, A, IxDyn>) -> u64 {
    let mut hash = InOrder::default();
    chunk.iter().for_each(|x| hash.push(x));
    mix(hash.0 ^ chunk.len() as u64)
}

fn combine(first: u64, second: u64) -> u64 {
    mix(first.rotate_left(9)) ^ second
}

impl<A: Item> Call<'_, A> {
    fn limited<'w, D: Dimension>(
        &'w self,
        chunked: Chunked<'w, ArrayView<'w, A, D>>,
    ) -> Chunked<'w, ArrayView<'w, A, D>> {
        let chunked = chunked.on_progress(|done, all| {
            if done == all {
                self.processed.fetch_add(all, Ordering::Relaxed);
            }
        });
        let chunked = if self.skip_nan { chunked.skipnan() } else { chunked };
        match self.memory {
            Some(memory) => chunked.memory_limit(memory),
            None => chunked,
        }
    }

    pub fn chunked(&self) -> Chunked<'_, ArrayView<'_, A, IxDyn>> {
        let chunked = self.limited(self.views[0].chunked());
        match self.chunks {
            Chunks::Default(None) => chunked,
            Chunks::Default(Some(axis)) => chunked.axis(Axis(*axis)),
            Chunks::Len(axis, len) => chunked.axis(Axis(*axis)).chunk_len(*len),
            Chunks::Bytes(axis, bytes) => chunked.axis(Axis(*axis)).chunk_bytes(*bytes),
            Chunks::Blocks(lens) => chunked.chunk_shape(IxDyn(lens)),
        }
    }

    /// Returns a matrix of few variables, if the array has one.
    fn matrix(&self) -> ArrayView2<'_, A> {
        let mut view = self.views[0].view();
        while view.ndim() > 2 {
            view.index_axis_inplace(Axis(0), 0);
        }
        if view.ndim() == 1 {
            view.insert_axis_inplace(Axis(0));
        }
        let mut matrix = view.into_dimensionality::<Ix2>().unwrap();
        if matrix.nrows() > matrix.ncols() {
            matrix.swap_axes(0, 1);
        }
        let rows = matrix.nrows().min(MOST_ROWS);
        matrix.slice_move(s![..rows, ..])
    }

    /// Lets a closure write an array in a random order, and reads the array.
    fn written<B: Item>(
        &self,
        write: impl FnOnce(&mut ArrayRef<B, IxDyn>) -> Result<()>,
    ) -> Result<Answer> {
        let shape: Vec<usize> =
            self.order.iter().map(|&axis| self.views[0].len_of(Axis(axis))).collect();
        let mut axes = vec![0; self.order.len()];
        self.order.iter().enumerate().for_each(|(place, &axis)| axes[axis] = place);
        let read = |array: &ArrayView<'_, B, IxDyn>| {
            let chunked = array.chunked();
            let chunked =
                self.memory.map_or(chunked.clone(), |memory| chunked.memory_limit(memory));
            Ok(answer([chunked.accumulate(InOrder::default)?.0]))
        };
        match self.dir {
            None => {
                let mut target =
                    Array::<B, _>::from_elem(IxDyn(&shape), B::zeroed()).permuted_axes(axes);
                write(&mut target)?;
                read(&target.view())
            }
            Some(dir) => {
                // SAFETY: this process alone uses the file.
                let mut target =
                    unsafe { MmapArrayMut::<B, _>::create(dir.join("written"), IxDyn(&shape)) }?;
                write(&mut target.view_mut().permuted_axes(axes.clone()))?;
                read(&target.view().permuted_axes(axes))
            }
        }
    }

    /// Runs a statistic.
    pub fn statistic(&self) -> Result<Answer> {
        use Interpolation::{Higher, Linear, Lower, Midpoint, Nearest};
        let mut random = Random::new(self.seed);
        let chunked = || self.chunked();
        let second = || &self.views[1];
        let ddof = random.one_of(&[0.0, 1.0]);
        let order = 1 + random.below(6) as u16;
        let interpolation = random.one_of(&[Lower, Higher, Nearest, Midpoint, Linear]);
        let count = random.magnitude(1_000);
        let qs: Vec<f64> = match random.below(4) {
            0 => vec![random.one_of(&[0.0, 0.5, 1.0])],
            1 => (0..20).map(|_| random.unit()).collect(),
            _ => (0..1 + random.below(3)).map(|_| random.unit()).collect(),
        };
        let few = &qs[..qs.len().min(3)];
        let (modulus, rest) = (1 + random.magnitude(100) as u64, random.next());
        let is_wanted = |x: &A| mix(x.bits() ^ rest).is_multiple_of(modulus);
        let over = |count| Bins::uniform(count, -500.0..=500.0);
        let axis = self.axis;
        Ok(match self.name {
            "sum" => answer([chunked().sum()?]),
            "mean" => answer([chunked().mean()?]),
            "var" => answer([chunked().var(ddof)?]),
            "summary" => answer([chunked().summary()?]),
            "min" => answer([chunked().min()?]),
            "max" => answer([chunked().max()?]),
            "argmin" => answer(chunked().argmin()?.slice().to_vec()),
            "argmax" => answer(chunked().argmax()?.slice().to_vec()),
            "central_moment" => answer([chunked().central_moment(order)?]),
            "central_moments" => answer(chunked().central_moments(order)?),
            "quantile" => answer([chunked().quantile(qs[0], interpolation)?]),
            "quantiles" => answer(chunked().quantiles(&qs, interpolation)?),
            "histogram" => answer(chunked().histogram(count)?.counts().to_vec()),
            "histogram_over" => answer(chunked().histogram(over(count))?.counts().to_vec()),
            "histogram_edges" => {
                answer(chunked().histogram(vec![-100.0, 1.0, 2.5, 40.0, 900.0])?.counts().to_vec())
            }
            "count_where" => answer([chunked().count_where(is_wanted)?]),
            "argwhere" => {
                let found = chunked().argwhere(100, is_wanted)?;
                let flat = found
                    .iter()
                    .flat_map(|(at, x)| at.slice().iter().map(|&i| i as u64).chain([x.bits()]));
                answer(flat)
            }
            "accumulate" => answer([chunked().accumulate(InOrder::default)?.0]),
            "histogram2d" => {
                let counts = match order % 2 {
                    0 => chunked().and(second())?.histogram2d(count.min(50), 20)?.counts(),
                    _ => chunked()
                        .and(second())?
                        .histogram2d(over(20), over(count.min(50)))?
                        .counts(),
                };
                answer(counts)
            }
            "weighted_sum" => answer([chunked().weighted_sum(second())?]),
            "weighted_mean" => answer([chunked().weighted_mean(second())?]),
            "weighted_var" => answer([chunked().weighted_var(second(), ddof)?]),
            "sum_axis" => answer(chunked().sum_axis(axis)?),
            "mean_axis" => answer(chunked().mean_axis(axis)?),
            "var_axis" => answer(chunked().var_axis(axis, ddof)?),
            "summary_axis" => answer(chunked().summary_axis(axis)?),
            "min_axis" => answer(chunked().min_axis(axis)?),
            "max_axis" => answer(chunked().max_axis(axis)?),
            "argmin_axis" => answer(chunked().argmin_axis(axis)?),
            "argmax_axis" => answer(chunked().argmax_axis(axis)?),
            "quantile_axis" => answer(chunked().quantile_axis(axis, qs[0], interpolation)?),
            "quantiles_axis" => answer(chunked().quantiles_axis(axis, few, interpolation)?),
            "accumulate_axis" => {
                answer(chunked().accumulate_axis(axis, InOrder::default)?.map(|lane| lane.0))
            }
            "weighted_sum_axis" => answer(chunked().weighted_sum_axis(axis, &self.weights())?),
            "weighted_mean_axis" => answer(chunked().weighted_mean_axis(axis, &self.weights())?),
            "weighted_var_axis" => {
                answer(chunked().weighted_var_axis(axis, &self.weights(), ddof)?)
            }
            "cov" | "pearson_correlation" => {
                let matrix = self.matrix();
                let chunked = self.limited(matrix.chunked());
                answer(if self.name == "cov" {
                    chunked.cov(ddof)
                } else {
                    chunked.pearson_correlation()
                }?)
            }
            name => panic!("no statistic {name}"),
        })
    }

    /// Runs an operation that does not depend on the element type.
    pub fn of_any_type(&self) -> Result<Answer> {
        let chunked = || self.chunked();
        let second = || &self.views[1];
        Ok(match self.name {
            "accumulate_2" => answer([chunked().and(second())?.accumulate(InOrder::default)?.0]),
            "accumulate_3" => answer([chunked()
                .and(second())?
                .and(&self.views[2])?
                .accumulate(InOrder::default)?
                .0]),
            "accumulate_4" => {
                let chunked = chunked().and(second())?.and(&self.views[2])?.and(&self.views[3])?;
                answer([chunked.accumulate(InOrder::default)?.0])
            }
            "map_into" => self.written(|target| chunked().map_into(target, |&x: &A| x))?,
            "map_into_2" => self.written(|target| {
                chunked().and(second())?.map_into(target, |x: &A, y: &A| (*x, *y).bits() as i64)
            })?,
            "map_into_3" => self.written(|target| {
                let chunked = chunked().and(second())?.and(&self.views[2])?;
                chunked.map_into(target, |x: &A, y: &A, z: &A| (*x, *y, *z).bits() as i64)
            })?,
            "try_iter" => {
                let mut hash = 0;
                for chunk in chunked().try_iter()? {
                    hash = combine(hash, hash_of(&chunk?));
                }
                answer([hash])
            }
            "try_iter_back" => {
                let mut hash = 0;
                for chunk in chunked().try_iter()?.rev() {
                    hash = combine(hash, hash_of(&chunk?));
                }
                answer([hash])
            }
            "try_iter_2" => {
                let mut hash = 0;
                for chunks in chunked().and(second())?.try_iter()? {
                    let (a, b) = chunks?;
                    hash = combine(hash, hash_of(&a) ^ hash_of(&b).rotate_left(3));
                }
                answer([hash])
            }
            "par_for_each" => {
                let sum = AtomicU64::new(0);
                chunked().indexed().par_for_each(|(place, chunk)| {
                    sum.fetch_add(mix(place.index() as u64 ^ hash_of(&chunk)), Ordering::Relaxed);
                })?;
                answer([sum.into_inner()])
            }
            "par_for_each_2" => {
                let sum = AtomicU64::new(0);
                chunked().and(second())?.par_for_each(|(a, b)| {
                    sum.fetch_add(mix(hash_of(&a) ^ hash_of(&b).rotate_left(3)), Ordering::Relaxed);
                })?;
                answer([sum.into_inner()])
            }
            "par_map_reduce" => {
                let hash = chunked().par_map_reduce(|chunk| hash_of(&chunk), combine)?;
                answer(hash)
            }
            "par_map_reduce_2" => {
                let chunked = chunked().and(second())?;
                let hash = |(a, b)| hash_of(&a) ^ hash_of(&b).rotate_left(3);
                answer(chunked.par_map_reduce(hash, combine)?)
            }
            "par_for_each_into" => self.written(|target: &mut ArrayRef<A, IxDyn>| {
                chunked().par_for_each_into(target, |source, mut target| target.assign(&source))
            })?,
            "in_place" => self.written(|target: &mut ArrayRef<A, IxDyn>| {
                chunked().and_mut(target)?.par_for_each(|(source, mut target)| {
                    target.zip_mut_with(&source, |t, &s| *t = s)
                })
            })?,
            name => panic!("no operation {name}"),
        })
    }

    /// Returns the first lane of the second array.
    fn weights(&self) -> ArrayView1<'_, A> {
        let mut view = self.views[1].view();
        for axis in (0..view.ndim()).rev().filter(|&axis| axis != self.axis.index()) {
            view.index_axis_inplace(Axis(axis), 0);
        }
        view.into_dimensionality().unwrap()
    }
}
