//! Windows that lie within one document each.

use super::documents::Documents;
use super::window::{Tail, Window, Windows};
use crate::error::{Error, Result};
use crate::threads;
use rayon::prelude::*;
use std::sync::Arc;

/// Documents whose windows are counted together. Finding a window looks at half as many on average, some 2 µs; the
/// counts take 8 bytes for each block, 32 MB for a billion documents.
const BLOCK: u64 = 256;

/// The windows of each document, those of one after those of the other. Made once: reads where all documents end.
#[derive(Debug, Clone)]
pub struct DocumentWindows {
    documents: Arc<dyn Documents>,
    max_length: u64,
    stride: u64,
    tail: Tail,
    /// How many windows there are up to the end of each block.
    ends: Arc<[u64]>,
}

impl DocumentWindows {
    /// The windows of `max_length` targets, `stride` tokens from start to start, within each of the documents.
    ///
    /// # Errors
    /// A length, stride or document is out of range (see [`Windows::new`]), the data is damaged, or no document is
    /// long enough for a window.
    pub fn new(documents: Arc<dyn Documents>, max_length: u64, stride: u64, tail: Tail) -> Result<DocumentWindows> {
        // Checks the numbers, and that a document of this length has a window: below, only lengths differ.
        Windows::new(max_length.saturating_add(1), max_length, stride, tail)?;
        let mut windows = DocumentWindows { documents, max_length, stride, tail, ends: Arc::new([]) };
        let blocks = windows.documents.count().div_ceil(BLOCK);
        let counts = threads::pool()?.install(|| {
            (0..blocks).into_par_iter().map(|block| windows.block_windows(block)).collect::<Result<Vec<u64>>>()
        })?;
        let mut end = 0;
        // No overflow: a document has fewer windows than tokens.
        windows.ends = counts
            .iter()
            .map(|count| {
                end += count;
                end
            })
            .collect();
        if end == 0 {
            return Err(windows.too_short());
        }
        Ok(windows)
    }

    fn too_short(&self) -> Error {
        Error::value(format!(
            "none of the {} documents has a window of max_length={}; use a smaller max_length{} or more text",
            self.documents.count(),
            self.max_length,
            if self.tail == Tail::Pad { "" } else { ", tail=\"pad\"" }
        ))
    }

    fn of_document(&self, document: u64) -> Result<(u64, Windows)> {
        let range = self.documents.range(document)?;
        Ok((range.start, Windows::possibly_none(range.end - range.start, self.max_length, self.stride, self.tail)))
    }

    fn block(&self, block: u64) -> std::ops::Range<u64> {
        block * BLOCK..((block + 1) * BLOCK).min(self.documents.count())
    }

    fn block_windows(&self, block: u64) -> Result<u64> {
        self.block(block).map(|document| Ok(self.of_document(document)?.1.count())).sum()
    }

    /// How many windows there are; at least 1.
    pub fn count(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Window `i`.
    ///
    /// # Errors
    /// There is none, or the data is damaged.
    pub fn get(&self, i: u64) -> Result<Window> {
        let block = self.ends.partition_point(|&end| end <= i);
        let mut before = block.checked_sub(1).map_or(0, |last| self.ends[last]);
        for document in self.block(block as u64) {
            let (start, windows) = self.of_document(document)?;
            if let Some(window) = windows.get(i - before) {
                return Ok(Window { start: start + window.start, valid: window.valid });
            }
            before += windows.count();
        }
        Err(Error::value(format!("window {i} does not exist; there are {}, counted from 0", self.count())))
    }

    /// How many tokens no window has as a target, the first of each document aside.
    ///
    /// # Errors
    /// The data is damaged.
    pub fn dropped_tokens(&self) -> Result<u64> {
        (0..self.documents.count()).map(|document| Ok(self.of_document(document)?.1.dropped_tokens())).sum()
    }

    /// Targets of a full window.
    pub fn max_length(&self) -> u64 {
        self.max_length
    }

    /// Tokens from one start to the next.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// The rule for the tokens of a document after its last full window.
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// The documents.
    pub fn documents(&self) -> &Arc<dyn Documents> {
        &self.documents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_stay_in_their_documents() {
        let ends = vec![0u64, 1, 3, 8, 8, 14, 2000];
        let mut expected = Vec::new();
        for tail in [Tail::Drop, Tail::Pad, Tail::Shift] {
            expected.clear();
            let mut start = 0;
            for &end in &ends {
                if let Ok(windows) = Windows::new(end - start, 4, 3, tail) {
                    expected.extend(
                        (0..windows.count()).map(|i| windows.get(i).unwrap()).map(|w| (start + w.start, w.valid)),
                    );
                }
                start = end;
            }
            let windows = DocumentWindows::new(Arc::new(ends.clone()), 4, 3, tail).unwrap();
            let found: Vec<_> =
                (0..windows.count()).map(|i| windows.get(i).unwrap()).map(|w| (w.start, w.valid)).collect();
            assert_eq!(found, expected, "{tail:?}");
            assert!(windows.get(windows.count()).is_err() && windows.get(u64::MAX).is_err());
        }
    }

    #[test]
    fn blocks_of_documents_are_found_at_their_edges() {
        let ends: Vec<u64> = (1..=3 * BLOCK + 7).map(|i| i * 5).collect();
        let windows = DocumentWindows::new(Arc::new(ends), 4, 4, Tail::Drop).unwrap();
        assert_eq!(windows.count(), 3 * BLOCK + 7);
        for i in 0..windows.count() {
            assert_eq!(windows.get(i).unwrap(), Window { start: i * 5, valid: 4 });
        }
    }

    #[test]
    fn documents_without_a_window_are_an_error_that_says_what_to_do() {
        for ends in [vec![], vec![0, 0], vec![3, 6, 9]] {
            let error = DocumentWindows::new(Arc::new(ends), 4, 4, Tail::Drop).unwrap_err().to_string();
            assert!(error.contains("max_length=4") && error.contains("tail=\"pad\""), "{error}");
        }
        assert!(DocumentWindows::new(Arc::new(vec![1u64, 2]), 4, 4, Tail::Pad).is_err());
        assert!(DocumentWindows::new(Arc::new(vec![9u64]), 0, 4, Tail::Pad).is_err());
    }
}
