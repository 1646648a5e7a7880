//! Passes over a slice, for tests.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::value_source::ValueSource;
use crate::error::Result;
use crate::stats::element::Element;

/// A slice that is read in chunks by two states alternately, and counts the passes.
pub(super) struct Slices<'a, A> {
    elements: &'a [A],
    chunk_len: usize,
    passes: AtomicUsize,
}

impl<'a, A> Slices<'a, A> {
    pub(super) fn new(elements: &'a [A], chunk_len: usize) -> Self {
        Self { elements, chunk_len, passes: AtomicUsize::new(0) }
    }

    pub(super) fn passes(&self) -> usize {
        self.passes.load(Ordering::Relaxed)
    }
}

impl<A: Element> ValueSource<A> for Slices<'_, A> {
    fn items(&self) -> usize {
        self.elements.len()
    }

    fn run<S: Send>(
        &self,
        part: Range<usize>,
        new: impl Fn() -> S + Sync,
        push: impl Fn(&mut S, &[A]) + Sync,
    ) -> Result<Vec<S>> {
        self.passes.fetch_add(1, Ordering::Relaxed);
        let mut states = vec![new(), new()];
        let chunks = self.elements[part].chunks(self.chunk_len).enumerate();
        chunks.for_each(|(index, chunk)| push(&mut states[index % 2], chunk));
        Ok(states)
    }
}
