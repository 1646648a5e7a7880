//! Pseudo-random permutations.
#![forbid(unsafe_code)]

/// The number of indices up to which a permutation is stored.
const MAX_STORED: usize = 1 << 20;

/// The number of rounds of the Feistel network. Four are enough for a network to be
/// indistinguishable from a random permutation if the rounds are random functions (Luby and Rackoff
/// 1988).
const ROUNDS: usize = 6;

/// A pseudo-random permutation of `0..len`.
#[derive(Debug)]
pub(super) struct Permutation {
    len: usize,
    seed: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// All indices in their order. A network of few bits reaches only few permutations.
    Stored(Vec<u32>),
    /// A permutation of pairs of numbers of `half` bits. Numbers that are not less than the length
    /// are permuted again, until one is.
    Network { half: u32, keys: [u64; ROUNDS] },
}

impl Permutation {
    pub(super) fn new(len: usize, seed: u64) -> Self {
        // The streams of seeds that differ by a multiple of the generator's step would overlap.
        let mut state = mixed(seed);
        let kind = if len <= MAX_STORED {
            let mut indices: Vec<u32> = (0..len as u32).collect();
            // The shuffle of Fisher and Yates.
            for last in (1..indices.len()).rev() {
                let bound = last as u64 + 1;
                // The high half of the product is uniform to within 2^-43.
                let other = (u128::from(next(&mut state)) * u128::from(bound)) >> 64;
                indices.swap(last, other as usize);
            }
            Kind::Stored(indices)
        } else {
            let bits = usize::BITS - (len - 1).leading_zeros();
            Kind::Network { half: bits.div_ceil(2), keys: [(); ROUNDS].map(|()| next(&mut state)) }
        };
        Self { len, seed, kind }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the index at a position.
    pub(super) fn get(&self, position: usize) -> usize {
        match &self.kind {
            Kind::Stored(indices) => indices[position] as usize,
            Kind::Network { half, keys } => {
                let mask = (1_u64 << half) - 1;
                let mut value = position as u64;
                loop {
                    let (mut left, mut right) = (value >> half, value & mask);
                    for key in keys {
                        (left, right) = (right, left ^ (mixed(right ^ key) & mask));
                    }
                    value = left << half | right;
                    if value < self.len as u64 {
                        return value as usize;
                    }
                }
            }
        }
    }
}

/// The step of the generator SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns the next number of the generator SplitMix64 (Steele, Lea and Flood 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(STEP);
    mixed(*state)
}

/// The mixing function of SplitMix64.
fn mixed(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(len: usize, seed: u64) -> Vec<usize> {
        let permutation = Permutation::new(len, seed);
        (0..len).map(|position| permutation.get(position)).collect()
    }

    #[test]
    fn permutations_contain_each_index_once() {
        for len in [0, 1, 2, 3, 1_000, MAX_STORED, MAX_STORED + 1, 3 << 20, (1 << 22) + 7] {
            for seed in [0, 1, u64::MAX] {
                let mut sorted = all(len, seed);
                sorted.sort_unstable();
                assert!(sorted.into_iter().eq(0..len), "{len} by {seed}");
            }
        }
    }

    /// Results must not change between versions.
    #[test]
    fn permutations_are_pinned() {
        assert_eq!(all(10, 7), [0, 8, 9, 4, 1, 3, 6, 7, 2, 5]);
        let permutation = Permutation::new(1 << 30, 7);
        assert_eq!(
            [0, 1, 2].map(|position| permutation.get(position)),
            [159_514_848, 69_091_171, 267_375_081]
        );
    }

    /// Seeds that are multiples of the generator's step apart have unrelated permutations.
    #[test]
    fn related_seeds_share_few_indices() {
        let len = 100_000;
        let last = |seed: u64| all(len, seed)[len - len / 10..].to_vec();
        for steps in [1_u64, 2, 10] {
            let mut shared = last(7);
            let other = last(7_u64.wrapping_add(steps.wrapping_mul(STEP)));
            shared.retain(|index| other.contains(index));
            // A tenth of a tenth, with a standard deviation of 28.
            assert!((860..1_140).contains(&shared.len()), "{} after {steps}", shared.len());
        }
    }

    /// Each of the 120 permutations of five indices is expected 500 times.
    #[test]
    fn all_permutations_of_few_indices_are_equally_frequent() {
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..60_000 {
            *counts.entry(all(5, seed)).or_insert(0_u32) += 1;
        }
        assert_eq!(counts.len(), 120);
        let chi_squared: f64 =
            counts.values().map(|&count| (f64::from(count) - 500.0).powi(2) / 500.0).sum();
        // The quantiles 0.0001 and 0.9999 of 119 degrees of freedom.
        assert!((70.0..183.0).contains(&chi_squared), "{chi_squared}");
    }

    /// Positions and indices are independent: counts of pairs of 64 equal ranges.
    #[test]
    fn networks_have_no_structure() {
        let len = 5_000_000;
        for seed in 0..3 {
            let mut pairs = vec![0_u32; 64 * 64];
            let mut steps = vec![0_u32; 64];
            let indices = all(len, seed);
            let cell = |index: usize| index * 64 / len;
            for (position, &index) in indices.iter().enumerate() {
                pairs[64 * cell(position) + cell(index)] += 1;
            }
            for pair in indices.windows(2) {
                steps[cell((pair[1] + len - pair[0]) % len)] += 1;
            }
            for (counts, freedom) in [(&pairs, 63.0 * 63.0), (&steps, 63.0)] {
                let expected = len as f64 / counts.len() as f64;
                let chi_squared: f64 = counts
                    .iter()
                    .map(|&count| (f64::from(count) - expected).powi(2) / expected)
                    .sum();
                let deviation = (chi_squared - freedom) / (2.0_f64 * freedom).sqrt();
                assert!(deviation.abs() < 5.0, "seed {seed}: {deviation} of {freedom}");
            }
        }
    }
}
