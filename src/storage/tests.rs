//! Tests of mapped arrays, views and chunked operations, small enough for Miri, where [the
//! heap](super::heap) replaces mapped files.

#![allow(unsafe_code, reason = "opens files")]
use std::path::Path;

use ndarray::prelude::*;

use super::{MmapArray, MmapArrayMut, MmapArrayOptions};
use crate::chunked::{ChunkedExt, ChunkedMutExt};
use crate::error::Result;
use crate::save::ToMmap;

/// Writes a file with an offset and the values 0, 1, 2, ...
fn counting(path: &Path, offset: usize, len: usize) {
    let values: Vec<f64> = (0..len).map(|value| value as f64).collect();
    let mut bytes = vec![0xAA; offset];
    bytes.extend_from_slice(bytemuck::cast_slice(&values));
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn stores_reach_the_file() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table.raw");
    for offset in [0, 8, 4096, 4104] {
        counting(&path, offset, 60);
        let options = MmapArrayOptions::new().offset(offset as u64);
        // SAFETY: this test alone uses the file, here and below.
        let mut table = unsafe { options.open_mut::<f64, _>(&path, (6, 10)) }?;
        assert_eq!((table[[0, 0]], table[[5, 9]], table.sum()), (0.0, 59.0, 1_770.0));
        table.row_mut(2).fill(-1.0);
        let (mut left, mut right) = table.view_mut().split_at(Axis(1), 5);
        std::mem::swap(&mut left[[0, 0]], &mut right[[0, 0]]);
        table.flush_view(&table.row(0))?;
        table.close()?;
        // SAFETY: as above.
        let table = unsafe { options.open::<f64, _>(&path, (6, 10)) }?;
        assert_eq!((table[[0, 0]], table[[0, 5]], table.row(2).sum()), (5.0, 0.0, -10.0));
        // SAFETY: as above.
        let mut private = unsafe { options.open_cow::<f64, _>(&path, (6, 10)) }?;
        private.fill(7.0);
        assert_eq!((private.sum(), table.sum()), (420.0, 1_515.0));
    }
    Ok(())
}

#[test]
fn new_files_and_scratch_arrays() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table.npy");
    // SAFETY: this test alone uses the file, here and below.
    let mut table = unsafe { MmapArrayMut::<f32, _>::create_npy(&path, (4, 5).f()) }?;
    table.indexed_iter_mut().for_each(|((i, j), x)| *x = (10 * i + j) as f32);
    let frozen = table.freeze()?;
    assert_eq!(frozen[[3, 4]], 34.0);
    drop(frozen);
    // SAFETY: as above.
    let table = unsafe { MmapArray::<f32, Ix2>::open_npy(&path) }?;
    assert_eq!(table.column(4), array![4.0, 14.0, 24.0, 34.0]);
    let copy = table.to_scratch()?.into_shape_with_order(((5, 4), ndarray::Order::F))?;
    assert_eq!(copy.sum(), table.sum());
    // SAFETY: as above.
    let mut pending =
        unsafe { MmapArrayOptions::new().create_atomic::<u16, _>(dir.path().join("new"), 9) }?;
    pending.fill(3);
    assert_eq!(pending.commit()?.sum(), 27);
    Ok(())
}

#[test]
fn chunked_operations_split_arrays() -> Result<()> {
    let mut table = MmapArrayOptions::new().scratch::<u32, _>((30, 40))?;
    let chunks = table.chunked_mut().axis(Axis(1)).chunk_len(7).indexed();
    chunks.par_for_each(|(region, mut chunk)| chunk.fill(region.origin()[1] as u32))?;
    let mut rows: Vec<_> = table.chunked_mut().axis(Axis(0)).chunk_len(4).into_iter().collect();
    rows.reverse();
    rows.iter_mut().for_each(|chunk| *chunk += 1);
    let sum = table.chunked().par_map_reduce(|chunk| chunk.sum(), |a, b| a + b)?;
    assert_eq!(sum, Some(table.sum()));
    let mut doubled = MmapArrayOptions::new().scratch::<u64, _>((30, 40))?;
    table.chunked().chunk_shape((7, 9)).map_into(&mut doubled, |&x| 2 * u64::from(x))?;
    assert_eq!(doubled.sum(), 2 * u64::from(table.sum()));
    let summary = table.chunked().summary()?;
    assert_eq!((summary.min, summary.max, summary.count), (1, 36, 1_200));
    assert_eq!(table.chunked().max_axis(Axis(0))?[39], 36);
    Ok(())
}
