//! Pairwise reduction of values in a fixed binary tree, whatever the order in which they are added.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::error::Result;

/// A reduction of values with indices from 0 in a fixed binary tree. Adjacent values are merged in
/// pairs, then adjacent pairs, and so on. At the end, nodes without a sibling are merged from last
/// to first. The number of pending values is small, as in a binary counter: about the logarithm of
/// the number of values for each thread.
pub(super) struct PairwiseReduction<T> {
    /// Nodes without a sibling yet. Each has its level (the binary logarithm of the number of its
    /// values) and its index within the level. Nodes are few, so a linear search is as fast as a
    /// map and compiles faster.
    pending: Mutex<Vec<((u32, usize), T)>>,
}

impl<T> PairwiseReduction<T> {
    pub(super) fn new() -> Self {
        Self { pending: Mutex::new(Vec::new()) }
    }

    /// Creates the reduction of some nodes.
    pub(super) fn of(
        nodes: impl IntoIterator<Item = ((u32, usize), T)>,
        merge: &dyn Fn(T, T) -> T,
    ) -> Self {
        let reduction = Self::new();
        for ((level, index), value) in nodes {
            reduction.add(level, index, value, merge);
        }
        reduction
    }

    /// Adds the merged values with indices from `index << level` up to but not including
    /// `(index + 1) << level`.
    pub(super) fn add(
        &self,
        mut level: u32,
        mut index: usize,
        mut value: T,
        merge: &dyn Fn(T, T) -> T,
    ) {
        loop {
            let sibling = {
                let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                match pending.iter().position(|&(node, _)| node == (level, index ^ 1)) {
                    Some(position) => pending.swap_remove(position).1,
                    None => {
                        pending.push(((level, index), value));
                        return;
                    }
                }
            };
            value =
                if index.is_multiple_of(2) { merge(value, sibling) } else { merge(sibling, value) };
            (level, index) = (level + 1, index / 2);
        }
    }

    /// Returns the nodes without a sibling, in any order.
    pub(super) fn into_nodes(self) -> Vec<((u32, usize), T)> {
        self.pending.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the merged value, or `None` if no value was added.
    pub(super) fn finish(self, merge: &dyn Fn(T, T) -> T) -> Option<T> {
        let mut pending = self.into_nodes();
        // Larger nodes have earlier values.
        let mut merged = None;
        while let Some(position) = (0..pending.len()).min_by_key(|&position| pending[position].0.0)
        {
            let value = pending.swap_remove(position).1;
            merged = Some(match merged {
                Some(later) => merge(value, later),
                None => value,
            });
        }
        merged
    }
}

/// Returns the largest aligned nodes that make up a range of values, as levels and indices within
/// the level.
pub(super) fn aligned_nodes(mut range: Range<usize>) -> impl Iterator<Item = (u32, usize)> {
    std::iter::from_fn(move || {
        let level = range.start.trailing_zeros().min(range.len().checked_ilog2()?);
        let index = range.start >> level;
        range.start += 1 << level;
        Some((level, index))
    })
}

/// Returns the values of a node, merged in the order of the tree.
pub(super) fn reduce_node<T>(
    level: u32,
    index: usize,
    leaf: &dyn Fn(usize) -> Result<T>,
    merge: &dyn Fn(T, T) -> T,
) -> Result<T> {
    match level {
        0 => leaf(index),
        _ => {
            let first = reduce_node(level - 1, 2 * index, leaf, merge)?;
            Ok(merge(first, reduce_node(level - 1, 2 * index + 1, leaf, merge)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nested(first: String, second: String) -> String {
        format!("({first} {second})")
    }

    fn in_order(count: usize) -> Option<String> {
        let tree = PairwiseReduction::new();
        (0..count).for_each(|index| tree.add(0, index, index.to_string(), &nested));
        tree.finish(&nested)
    }

    #[test]
    fn structure_of_the_tree() {
        assert_eq!(in_order(0), None);
        assert_eq!(in_order(1).unwrap(), "0");
        assert_eq!(in_order(4).unwrap(), "((0 1) (2 3))");
        assert_eq!(in_order(7).unwrap(), "(((0 1) (2 3)) ((4 5) 6))");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn result_is_independent_of_order_and_batches(count in 0_usize..70, batch_level in 0_u32..4, keys in prop::collection::vec(any::<u32>(), 70)) {
            let tree = PairwiseReduction::new();
            let mut batches: Vec<_> = (0..count).step_by(1 << batch_level).collect();
            batches.sort_by_key(|&start| keys[start]);
            for start in batches {
                for (level, index) in aligned_nodes(start..count.min(start + (1 << batch_level))) {
                    tree.add(level, index, reduce_node(level, index, &|leaf| Ok(leaf.to_string()), &nested).unwrap(), &nested);
                }
            }
            prop_assert_eq!(tree.finish(&nested), in_order(count));
        }
    }
}
