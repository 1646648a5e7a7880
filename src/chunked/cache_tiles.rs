//! Tiles that fit the processor caches, for element-wise operations on arrays with different memory
//! orders.
#![forbid(unsafe_code)]

use std::mem;

use ndarray::{ArrayBase, ArrayViewMut, Axis, Dimension, IxDyn, RawData, Zip};

use super::division::Division;
use super::gather::tiles_of;
use crate::geometry::Region;

/// The tiles of a chunk of arrays with different memory orders. A run of each array in a tile is a
/// few cache lines long. Tiles are visited page by page, so that the addresses of few pages are in
/// use at once.
#[derive(Debug)]
pub(super) struct CacheTiles {
    pages: IxDyn,
    tile: IxDyn,
    /// The axes of the first array from the slowest to the fastest.
    order: Vec<usize>,
}

impl Division {
    /// Returns the tiles if arrays have different fastest axes.
    pub(super) fn cache_tiles(&self) -> Option<CacheTiles> {
        let pages = self.page_tile();
        let is_transposed = pages.slice().iter().filter(|&&len| len > 1).count() > 1;
        let order = self.order.clone();
        is_transposed.then(|| CacheTiles { pages, tile: self.cached_tile(), order })
    }
}

impl CacheTiles {
    /// Calls a closure with all tiles of a chunk of the given shape, as regions of the chunk.
    pub(super) fn for_each(&self, shape: &[usize], work: &mut dyn FnMut(&Region)) {
        let chunk = Region::whole(shape);
        for pages in tiles_of(&chunk, &self.pages, &self.order) {
            for tile in tiles_of(&pages, &self.tile, &self.order) {
                work(&tile);
            }
        }
    }

    /// Returns the maximum number of elements of a tile.
    pub(super) fn max_len(&self) -> usize {
        self.tile.size()
    }

    /// Permutes the axes of an array to the memory order of the first array, so that `Zip` iterates
    /// over it in this order.
    pub(super) fn permuted<S: RawData, D: Dimension>(
        &self,
        array: ArrayBase<S, D>,
    ) -> ArrayBase<S, D> {
        let mut axes = D::zeros(array.ndim());
        axes.slice_mut().copy_from_slice(&self.order);
        array.permuted_axes(axes)
    }
}

/// Moves elements to a target, along its fastest axis. What the target contained remains in the
/// source.
pub(super) fn move_elements<A, D: Dimension>(
    mut target: ArrayViewMut<'_, A, D>,
    mut source: ArrayViewMut<'_, A, D>,
) {
    let strides = target.strides().iter().enumerate();
    let long = strides.filter(|&(axis, _)| target.len_of(Axis(axis)) > 1);
    let Some((fastest, _)) = long.min_by_key(|(_, stride)| stride.unsigned_abs()) else {
        return Zip::from(target).and(source).for_each(mem::swap);
    };
    Zip::from(target.lanes_mut(Axis(fastest)))
        .and(source.lanes_mut(Axis(fastest)))
        .for_each(|target, source| Zip::from(target).and(source).for_each(mem::swap));
}

#[cfg(test)]
mod tests {
    use ndarray::prelude::*;
    use proptest::prelude::*;

    use crate::chunked::ChunkedExt;

    /// Returns an array of a shape with the given memory order and inverted axes.
    fn arranged(shape: &[usize], order: &[usize], inverted: &[bool]) -> ArrayD<u32> {
        let lens: Vec<_> = order.iter().map(|&axis| shape[axis]).collect();
        let mut axes = vec![0; shape.len()];
        order.iter().enumerate().for_each(|(position, &axis)| axes[axis] = position);
        let mut array = ArrayD::from_shape_fn(lens, |index| {
            index.slice().iter().fold(7_u32, |hash, &i| hash.wrapping_mul(1_009) + i as u32)
        });
        array = array.permuted_axes(axes);
        for (axis, &is_inverted) in inverted.iter().enumerate() {
            if is_inverted {
                array.invert_axis(Axis(axis));
            }
        }
        array
    }

    fn layouts() -> impl Strategy<Value = (Vec<usize>, [Vec<usize>; 3], Vec<bool>)> {
        prop_oneof![
            prop::collection::vec(1_usize..300, 2),
            prop::collection::vec(1_usize..90, 3),
            prop::collection::vec(1_usize..20, 4),
        ]
        .prop_flat_map(|shape| {
            let axes: Vec<_> = (0..shape.len()).collect();
            let order = Just(axes).prop_shuffle();
            let inverted = prop::collection::vec(any::<bool>(), shape.len());
            (Just(shape), [order.clone(), order.clone(), order], inverted)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 60,
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn map_into_equals_mapping_for_any_orders((shape, orders, inverted) in layouts()) {
            let a = arranged(&shape, &orders[0], &inverted);
            let b = arranged(&shape, &orders[1], &vec![false; shape.len()]);
            let mut target = arranged(&shape, &orders[2], &inverted).mapv(u64::from);
            a.chunked().map_into(&mut target, |&x| u64::from(x) + 1).unwrap();
            prop_assert_eq!(&target, &a.mapv(|x| u64::from(x) + 1));
            let chunked = a.chunked().and(&b).unwrap();
            chunked.map_into(&mut target, |&x, &y| (u64::from(x) << 32) + u64::from(y)).unwrap();
            let expected = ndarray::Zip::from(&a)
                .and(&b)
                .map_collect(|&x, &y| (u64::from(x) << 32) + u64::from(y));
            prop_assert_eq!(&target, &expected);
        }
    }

    /// Elements are moved, so that each is dropped once.
    #[test]
    fn elements_of_any_type_are_moved() {
        let numbers = Array2::from_shape_fn((150, 700), |(i, j)| 1_000 * i + j);
        let mut texts = Array2::from_elem((150, 700).f(), "old".to_owned());
        numbers.chunked().map_into(&mut texts, |&x| x.to_string()).unwrap();
        assert!(texts.indexed_iter().all(|((i, j), text)| *text == (1_000 * i + j).to_string()));
    }
}
