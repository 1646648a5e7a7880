//! Rounds: random arrays and an operation, and their reduction to simpler ones.

use crate::arrays::{Cut, Kind, Layout};
use crate::elements::VALUES;
use crate::operations::{Chunks, OPERATIONS, Of, Operation};
use crate::random::Random;

/// The maximum size of all views of a round, in bytes.
const MOST_BYTES: usize = 40 << 20;

/// The maximum size for arrays in different orders, whose pages are read several times if memory is
/// short.
const MOST_BYTES_IN_MIXED_ORDERS: usize = 8 << 20;

/// The maximum size for closures, which process chunks element by element.
const MOST_BYTES_IN_CHUNKS: usize = 16 << 20;

/// The maximum size of a file, including the elements outside its view, in bytes.
const MOST_FILE_BYTES: usize = 64 << 20;

/// The maximum size of the result of a lane, in bytes.
const MOST_LANES: usize = 200_000;

const MOST_CHUNKS: usize = 2_000;

#[derive(Clone, Copy, Debug)]
pub enum Memory {
    Unlimited,
    /// The limit that the error reports as needed, and one byte less.
    Smallest,
    /// A multiple of that limit.
    Times(f64),
}

/// A round.
#[derive(Clone, Debug)]
pub struct Round {
    pub operation: usize,
    pub item: &'static str,
    pub shape: Vec<usize>,
    pub layouts: Vec<Layout>,
    pub axis: usize,
    pub chunks: Chunks,
    pub skip_nan: bool,
    pub threads: usize,
    pub memory: Memory,
    /// The order of the axes of an array that is written.
    pub order: Vec<usize>,
    pub seed: u64,
}

fn item_bytes(item: &str) -> usize {
    match item {
        "u8" => 1,
        "i16" => 2,
        "f32" => 4,
        _ => 8,
    }
}

impl Round {
    pub fn draw(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let operation = random.below(OPERATIONS.len());
        let Operation { arrays, of, .. } = OPERATIONS[operation];
        let item = match of {
            Of::Places | Of::Chunks => random.one_of(&["u8", "f64"]),
            _ => random.one_of(&["u8", "i16", "f32", "f64", "i64"]),
        };
        let ndim = if of == Of::Rows { 2 } else { 1 + random.below(4) };
        let bytes = match random.below(4) {
            0 => MOST_BYTES / 8 + random.below(MOST_BYTES * 7 / 8),
            1 => random.magnitude(MOST_BYTES / 4),
            _ => random.magnitude(1 << 18),
        };
        let most = if of == Of::Chunks { MOST_BYTES_IN_CHUNKS } else { MOST_BYTES };
        let elements = (bytes.min(most) / item_bytes(item) / arrays).max(1);
        let order = random.permutation(ndim);
        let layouts: Vec<Layout> = (0..arrays).map(|_| layout(&order, random)).collect();
        let memory = match random.below(4) {
            0 => Memory::Unlimited,
            1 => Memory::Smallest,
            _ => Memory::Times(1.0 + 3.0 * random.unit()),
        };
        let target =
            if random.one_in(2) { layouts[0].order.clone() } else { random.permutation(ndim) };
        let has_nan = layouts.iter().any(|layout| layout.one_nan_in > 0);
        let mut round = Self {
            operation,
            item,
            shape: shape(ndim, elements, random),
            layouts,
            axis: random.below(ndim),
            chunks: Chunks::Default(None),
            skip_nan: random.one_in(if has_nan { 2 } else { 5 }),
            threads: 1 + random.below(4),
            memory,
            order: target,
            seed: random.next(),
        };
        if round.is_mixed() {
            while round.bytes() > MOST_BYTES_IN_MIXED_ORDERS {
                *round.shape.iter_mut().max().unwrap() /= 2;
            }
        }
        round.make_fit();
        if round.operation().of != Of::Rows {
            round.chunks = round.draw_chunks(random);
        }
        round
    }

    pub fn operation(&self) -> &'static Operation {
        &OPERATIONS[self.operation]
    }

    /// Returns whether the round also writes an array.
    pub fn writes(&self) -> bool {
        matches!(
            self.operation().name,
            "map_into" | "map_into_2" | "map_into_3" | "par_for_each_into" | "in_place"
        )
    }

    /// Returns whether the arrays have different memory orders.
    pub fn is_mixed(&self) -> bool {
        let first = &self.layouts[0].order;
        self.layouts.iter().any(|layout| layout.order != *first)
            || (self.writes() && self.order != *first)
    }

    /// Returns the size of all views, in bytes.
    fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * item_bytes(self.item) * self.layouts.len()
    }

    /// Removes what makes files or results too large.
    fn make_fit(&mut self) {
        let most = MOST_FILE_BYTES / item_bytes(self.item) / self.layouts.len();
        for layout in &mut self.layouts {
            for axis in 0..self.shape.len() {
                if layout.len(&self.shape) > most {
                    layout.cuts[axis] = Cut { reversed: layout.cuts[axis].reversed, ..Cut::WHOLE };
                }
            }
        }
        let lanes = self.shape.iter().product::<usize>() / self.shape[self.axis];
        if self.operation().of == Of::Lanes && lanes > MOST_LANES {
            self.axis = (0..self.shape.len()).max_by_key(|&axis| self.shape[axis]).unwrap();
        }
    }

    fn draw_chunks(&self, random: &mut Random) -> Chunks {
        let axis = random.below(self.shape.len());
        let len = self.shape[axis];
        match random.below(5) {
            0 => Chunks::Default(None),
            1 => Chunks::Default(Some(axis)),
            2 => Chunks::Len(axis, random.magnitude(len).max(len.div_ceil(MOST_CHUNKS))),
            3 => {
                let all = self.bytes() / self.layouts.len();
                Chunks::Bytes(axis, random.magnitude(all).max(2 * all / MOST_CHUNKS))
            }
            _ => {
                let mut lens: Vec<usize> =
                    self.shape.iter().map(|&len| random.magnitude(len)).collect();
                let count = |lens: &[usize]| -> usize {
                    self.shape.iter().zip(lens).map(|(a, b)| a.div_ceil(*b)).product()
                };
                while count(&lens) > MOST_CHUNKS {
                    let axis = (0..lens.len())
                        .max_by_key(|&axis| self.shape[axis].div_ceil(lens[axis]))
                        .unwrap();
                    lens[axis] *= 2;
                }
                Chunks::Blocks(lens)
            }
        }
    }

    /// Returns simpler rounds, the most promising first.
    pub fn simpler(&self) -> Vec<Self> {
        let mut simpler = Vec::new();
        let mut attempt = |change: &dyn Fn(&mut Self)| {
            let mut round = self.clone();
            change(&mut round);
            if format!("{round:?}") != format!("{self:?}") {
                simpler.push(round);
            }
        };
        for axis in 0..self.shape.len() {
            if self.shape[axis] > 1 {
                attempt(&|round| round.shape[axis] = 1);
                attempt(&|round| round.shape[axis] = self.shape[axis] / 2);
                attempt(&|round| round.shape[axis] = self.shape[axis] - 1);
            }
        }
        attempt(&|round| round.threads = 1);
        attempt(&|round| round.chunks = Chunks::Default(None));
        attempt(&|round| round.skip_nan = false);
        for array in 0..self.layouts.len() {
            attempt(&|round| round.layouts[array].one_nan_in = 0);
            attempt(&|round| round.layouts[array].offset = 0);
            attempt(&|round| round.layouts[array].kind = Kind::Raw);
            for axis in 0..self.shape.len() {
                attempt(&|round| round.layouts[array].cuts[axis] = Cut::WHOLE);
            }
        }
        simpler
    }
}

/// Returns lengths with about this product.
fn shape(ndim: usize, elements: usize, random: &mut Random) -> Vec<usize> {
    let mut weights: Vec<f64> = (0..ndim).map(|_| random.unit() + 0.01).collect();
    if random.one_in(4) {
        weights[random.below(ndim)] = 0.0;
    }
    let all = weights.iter().sum::<f64>().max(1e-9);
    weights.iter().map(|weight| ((elements as f64).powf(weight / all) as usize).max(1)).collect()
}

/// Returns a random layout, with the given order of axes in two of three cases.
fn layout(order: &[usize], random: &mut Random) -> Layout {
    let same = !random.one_in(3);
    let order = if same { order.to_vec() } else { random.permutation(order.len()) };
    let cut = |random: &mut Random| Cut {
        before: if random.one_in(3) { random.below(4) } else { 0 },
        step: if random.one_in(5) { 2 + random.below(4) } else { 1 },
        after: if random.one_in(3) { random.below(4) } else { 0 },
        reversed: random.one_in(3),
    };
    Layout {
        cuts: order.iter().map(|_| cut(random)).collect(),
        order,
        offset: if random.one_in(3) { 0 } else { random.magnitude(600_000) },
        kind: random.one_of(&[Kind::Raw, Kind::RawF, Kind::RawMut, Kind::Npy, Kind::NpyF]),
        values: random.one_of(&VALUES),
        one_nan_in: if random.one_in(4) { random.magnitude(1 << 20) } else { 0 },
        seed: random.next(),
    }
}
