//! Operations on tiles of several arrays, which can be continued from a saved state.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::slice::from_ref;
use std::sync::{Mutex, PoisonError};

use ndarray::Dimension;

use super::Chunked;
use super::division::layouts_of;
use super::for_each::for_each_chunk;
use super::iter::ChunkIter;
use super::pass::Pass;
use super::source::ParallelSource;
use crate::distributed::{Codec, SavedState, fnv1a, pass_key};
use crate::error::{ErrorKind, Result};
use crate::geometry::{ChunkGrid, Region, StridedLayout, partition_start};
use crate::paging::{FileVersion, MappedOperand, ResidencyPlan, operands_of};

impl<P: ParallelSource> Chunked<'_, P> {
    /// Calls a closure with tiles of any shape, as small as the memory limit requires. `types` are
    /// the names of the element types; each thread uses `buffers` bytes.
    pub(super) fn for_each_tile(
        mut self,
        types: &str,
        buffers: usize,
        work: impl Fn(P::Chunk) -> Result<()> + Sync,
    ) -> Result<()> {
        let state = self.open_state_of_tiles(types)?;
        // Partitions are ranges of the slowest axis, whatever the tiles.
        let (index, count) = std::mem::replace(&mut self.config.partition, (0, 1));
        match self.division().order.first() {
            Some(&axis) => {
                let len = self.source.source_shape()[axis];
                self.source.restrict_axis(
                    axis,
                    partition_start(len, index, count)..partition_start(len, index + 1, count),
                );
            }
            // A single element belongs to one of the partitions.
            None if partition_start(1, index, count) == partition_start(1, index + 1, count) => {
                return Ok(());
            }
            None => {}
        }
        let (grid, plan) = self.with_path(self.division().tile_grid(buffers))?;
        let work = |_number, chunk| work(chunk);
        match state {
            None => self.for_each_in_grid(grid, plan, work),
            Some(state) => self.for_each_in_parts(&state, grid, &plan, &work),
        }
    }

    fn open_state_of_tiles(&self, types: &str) -> Result<Option<SavedState>> {
        self.check_no_job("`map_into`")?;
        let (index, count) = self.config.partition;
        let ranks = self.config.ranks.as_ref();
        let rank = ranks.map_or((0, 1), |ranks| (ranks.rank(), ranks.size()));
        self.open_state(
            format!("`map_into` {types}, partition {index} of {count}"),
            rank,
            Vec::new(),
        )
    }

    /// Calls a closure with the chunks that are not yet part of the saved state. The arrays that
    /// are written are flushed before the state is saved.
    fn for_each_in_parts(
        self,
        state: &SavedState,
        grid: ChunkGrid,
        plan: &ResidencyPlan,
        work: &(dyn Fn(usize, P::Chunk) -> Result<()> + Sync),
    ) -> Result<()> {
        let (targets, versions) = self.targets()?;
        let ids: Vec<_> = versions.into_iter().map(|version| version.id).collect();
        let tile = grid.chunk_shape().slice().to_vec();
        let shape = grid.shape().slice().to_vec();
        let chunks = grid.chunks();
        let key = pass_key("tiles", &(tile, [chunks.start, chunks.end], ids));
        // A few of the written elements recognize a target that was overwritten.
        let samples = |tile: usize| -> Result<Written> {
            let region = grid.region(chunks.start + tile);
            let sample = |target| sample_of(target, &region);
            Ok((tile, targets.iter().map(sample).collect::<Result<_>>()?))
        };
        let has_changed = |written: &Vec<Written>| {
            for saved in written {
                if saved.0 >= chunks.len() || samples(saved.0)? != *saved {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let Codec { encode, decode } = Codec::<Vec<Written>>::of_message();
        let encode = |written: &Vec<Written>, bytes: &mut Vec<u8>| {
            targets.iter().try_for_each(|target| target.flush(&shape))?;
            encode(written, bytes)
        };
        let codec = Codec { encode: Box::new(encode), decode };
        let progress = self.config.progress;
        let iter = Mutex::new(ChunkIter::new(self.source, grid.clone()));
        let pass = |part: Range<usize>| {
            let [start, end] = [part.start, part.end].map(|index| chunks.start + index);
            let before = grid.bounding_regions(chunks.start..start);
            let pass = Pass::new(plan, progress.as_deref(), grid.visited_elements())
                .starting_at(before.iter().map(Region::len).sum());
            let mut iter = iter.lock().unwrap_or_else(PoisonError::into_inner);
            iter.skip_to(start);
            for_each_chunk(&pass, &mut iter.by_ref().take(end - start), work)?;
            part.last().map(samples).into_iter().collect()
        };
        let merge = |mut written: Vec<Written>, mut later: Vec<Written>| {
            written.append(&mut later);
            if written.len() > MAX_SAMPLED_TILES {
                let mut is_even = false;
                written.retain(|_| {
                    is_even = !is_even;
                    is_even
                });
            }
            written
        };
        let items = chunks.len();
        state.run_in_parts(key, items, &codec, &merge, &pass, &has_changed)?;
        state.save()
    }

    /// Returns the arrays that are written, and the versions of their files.
    fn targets(&self) -> Result<(Vec<MappedOperand>, Vec<FileVersion>)> {
        let shape = self.source.source_shape();
        let mut targets = Vec::new();
        let mut versions = Vec::new();
        for layout in layouts_of(&self.source).into_iter().filter(|layout| layout.writes) {
            let target = operands_of(from_ref(&layout), shape.slice()).next();
            let target = target.filter(|target| target.pager.can_evict());
            let version = target.as_ref().map(|target| target.pager.file_version());
            match (target, version.transpose()?.flatten()) {
                (Some(target), Some(version)) => {
                    targets.push(target);
                    versions.push(version);
                }
                _ if layout.item == 0 || shape.size() == 0 => {}
                _ => {
                    let reason = "an operation with a checkpoint must write to a mapped file that \
                                  has a path; use `MmapArrayMut` instead of a scratch array, a \
                                  private mapping, an `ArrayFileMut` or an array in memory";
                    return Err(ErrorKind::Unsupported { reason: reason.into() }.at(None));
                }
            }
        }
        Ok((targets, versions))
    }
}

/// A tile that was written, and a hash of some of its elements for each target.
type Written = (usize, Vec<u64>);

/// The maximum number of tiles of which a saved state contains a sample.
const MAX_SAMPLED_TILES: usize = 64;

/// The number of elements of a sample.
const SAMPLE_LEN: usize = 64;

/// Returns a hash of evenly distributed elements of a region, as they are in the file.
fn sample_of(target: &MappedOperand, region: &Region) -> Result<u64> {
    let StridedLayout { base, item, byte_strides, .. } = &target.layout;
    let mut bytes = Vec::new();
    let len = SAMPLE_LEN.min(region.len());
    for position in 0..len {
        let mut index = partition_start(region.len(), position + 1, len) - 1;
        let mut address = *base;
        for axis in (0..byte_strides.len()).rev() {
            let range = region.range(axis);
            let offset = byte_strides[axis] * (range.start + index % range.len()) as isize;
            address = address.wrapping_add_signed(offset);
            index /= range.len();
        }
        bytes.append(&mut target.pager.read_file(address..address + item)?);
    }
    Ok(fnv1a(&bytes))
}
