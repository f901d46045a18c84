//! The beginning of a source, for estimates.

use super::{Block, BlockSource, Idle, InputRecord};
use crate::error::Result;
use crate::spare::Spare;
use std::sync::Arc;

/// A source that ends once so many bytes have been read.
pub struct Limited<'a> {
    inner: &'a mut dyn BlockSource,
    limit: u64,
}

impl<'a> Limited<'a> {
    /// Ends behind the block with which `limit` bytes are reached.
    pub fn new(inner: &'a mut dyn BlockSource, limit: u64) -> Limited<'a> {
        Limited { inner, limit }
    }
}

impl BlockSource for Limited<'_> {
    fn next_block(&mut self, idle: Idle<'_>) -> Result<Option<Block>> {
        if self.inner.bytes_read() >= self.limit {
            return Ok(None);
        }
        self.inner.next_block(idle)
    }

    fn bytes_read(&self) -> u64 {
        self.inner.bytes_read()
    }

    fn total_bytes(&self) -> Option<u64> {
        self.inner.total_bytes()
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
