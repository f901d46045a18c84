//! A string column of Arrow data as documents.

use crate::arrow::{NAME, TextColumn, rows};
use arrow_array::{Array, ArrayRef};
use pyo3::prelude::*;
use tokenmill::documents::{Block, BlockSource, Idle, InputRecord, TextBlocks};
use tokenmill::error::Result;

/// Reads batch after batch.
pub struct ArrowTexts {
    column: TextColumn,
    /// The batch being copied, and its next row.
    batch: Option<(ArrayRef, usize)>,
    blocks: TextBlocks,
}

impl ArrowTexts {
    /// `name` is what messages and manifests call the data; by default `<arrow>`.
    pub fn new(data: &Bound<'_, PyAny>, column: Option<&str>, name: Option<&str>) -> PyResult<ArrowTexts> {
        let name = name.unwrap_or(NAME);
        Ok(ArrowTexts { column: TextColumn::open(data, column, name)?, batch: None, blocks: TextBlocks::new(name) })
    }
}

impl BlockSource for ArrowTexts {
    fn next_block(&mut self, _idle: Idle<'_>) -> Result<Option<Block>> {
        while !self.blocks.is_full() {
            let (batch, row) = match self.batch.take() {
                Some(batch) => batch,
                None => match self.column.next_batch()? {
                    Some(batch) => (batch, 0),
                    None => break,
                },
            };
            let next = copy(batch.as_ref(), row, &mut self.blocks);
            if next < batch.len() {
                self.batch = Some((batch, next));
            }
        }
        Ok(self.blocks.take())
    }

    fn bytes_read(&self) -> u64 {
        self.blocks.bytes()
    }

    fn total_bytes(&self) -> Option<u64> {
        None
    }

    fn inputs(&self) -> Vec<InputRecord> {
        if self.column.is_ended() && self.batch.is_none() { vec![self.blocks.record()] } else { Vec::new() }
    }
}

/// Copies rows from `row` on until the block is full; the row it came to.
fn copy(array: &dyn Array, mut row: usize, blocks: &mut TextBlocks) -> usize {
    let text = rows(array);
    while row < array.len() && !blocks.is_full() {
        blocks.push(text(row).as_bytes());
        row += 1;
    }
    row
}
