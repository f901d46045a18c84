//! A source of some inputs of a list, which have the numbers that they have there.

use super::{Block, BlockSource, Idle, InputRecord, PlannedInput};
use crate::error::{Error, Result};
use crate::spare::Spare;
use std::sync::Arc;

/// A source whose first input has another number than 0.
pub struct Shifted<'a> {
    inner: &'a mut dyn BlockSource,
    first: u32,
}

impl<'a> Shifted<'a> {
    /// Input 0 of `inner` is input `first` of this source.
    pub fn new(inner: &'a mut dyn BlockSource, first: u32) -> Shifted<'a> {
        Shifted { inner, first }
    }
}

impl BlockSource for Shifted<'_> {
    fn next_block(&mut self, idle: Idle<'_>) -> Result<Option<Block>> {
        let Some(mut block) = self.inner.next_block(idle)? else { return Ok(None) };
        let number = block.input.checked_add(self.first);
        block.input = number.ok_or_else(|| Error::value("more inputs than 2^32 - 1"))?;
        Ok(Some(block))
    }

    fn bytes_read(&self) -> u64 {
        self.inner.bytes_read()
    }

    fn total_bytes(&self) -> Option<u64> {
        self.inner.total_bytes()
    }

    fn planned(&self) -> Vec<PlannedInput> {
        self.inner.planned()
    }

    fn inputs(&self) -> Vec<InputRecord> {
        self.inner.inputs()
    }

    fn skip_inputs(&mut self) {
        self.inner.skip_inputs();
    }

    fn in_parts(&mut self, spare: &Arc<Spare<u8>>) {
        self.inner.in_parts(spare);
    }
}
