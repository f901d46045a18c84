//! Texts from a program (an iterable, an Arrow column) as blocks of about 1 MiB.

use super::{Block, InputRecord, Layout, PositionUnit};
use crate::hex::to_hex;
use std::sync::Arc;

/// A block is full at this many bytes of text.
const BLOCK_BYTES: usize = 1 << 20;

/// A block is also full at this many texts: a million empty ones must not grow it without end.
const BLOCK_TEXTS: usize = 1 << 16;

/// Collects texts into blocks, and what identifies them into an [`InputRecord`].
pub struct TextBlocks {
    name: Arc<str>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Row of the first text of the block being filled.
    first_row: u64,
    total: u64,
    hash: blake3::Hasher,
}

impl TextBlocks {
    /// `name` is what messages call the input: `<texts>`, `<arrow>`.
    pub fn new(name: &str) -> TextBlocks {
        TextBlocks {
            name: name.into(),
            bytes: Vec::new(),
            ends: Vec::new(),
            first_row: 0,
            total: 0,
            hash: blake3::Hasher::new(),
        }
    }

    /// Adds one text. Whether it is UTF-8 is checked when the block is parsed.
    pub fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        self.total += text.len() as u64;
        // With its length, so that ["ab", "c"] and ["a", "bc"] differ.
        self.hash.update(text);
        self.hash.update(&(text.len() as u64).to_le_bytes());
    }

    /// The row that the next text has.
    pub fn next_row(&self) -> u64 {
        self.first_row + self.ends.len() as u64
    }

    /// Whether it is time to [`take`](Self::take).
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= BLOCK_BYTES || self.ends.len() >= BLOCK_TEXTS
    }

    /// The texts collected since the last call as a block; `None` if there are none.
    pub fn take(&mut self) -> Option<Block> {
        if self.ends.is_empty() {
            return None;
        }
        let (start, next) = (self.first_row, self.next_row());
        self.first_row = next;
        Some(Block {
            input: 0,
            name: Arc::clone(&self.name),
            layout: Layout::Texts(std::mem::take(&mut self.ends)),
            bytes: std::mem::take(&mut self.bytes),
            start,
            first_line: start + 1,
        })
    }

    /// Bytes of text so far.
    pub fn bytes(&self) -> u64 {
        self.total
    }

    /// The record of what has been pushed.
    pub fn record(&self) -> InputRecord {
        InputRecord {
            name: self.name.to_string(),
            position: PositionUnit::Row,
            bytes: self.total,
            blake3: to_hex(self.hash.finalize().as_bytes()),
        }
    }
}
