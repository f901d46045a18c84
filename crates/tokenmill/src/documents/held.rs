//! What has been read of an input and not been handed out.

use super::compressed::READ_BYTES;
use crate::spare::Spare;
use std::io::{self, Read};
use std::sync::Arc;

/// The first read of an input whose buffer is new: a small file is not to cost the filling of a large one with zeros.
const FIRST_BYTES: usize = 64 << 10;

/// A buffer that is read into where it lies, and handed out as it is.
pub(super) struct Held {
    /// Behind the first `filled` bytes is what is to be overwritten.
    buffer: Vec<u8>,
    filled: usize,
    /// Whether the reader has said that there is no more.
    pub ended: bool,
    /// Where buffers come from, and how large most have to be.
    spare: Arc<Spare<u8>>,
    usual: usize,
}

impl Held {
    pub fn new(usual: usize, spare: Arc<Spare<u8>>) -> Held {
        Held { buffer: Vec::new(), filled: 0, ended: false, spare, usual }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Reads until there are `target` bytes or the input ends.
    pub fn fill(&mut self, reader: &mut dyn Read, target: usize) -> io::Result<()> {
        if self.filled >= target || self.ended {
            return Ok(());
        }
        if self.buffer.capacity() == 0 {
            self.buffer = self.spare.take(self.usual);
        }
        // A record that outgrows memory is an error the caller can report; plain growth would abort the process.
        let more = target.saturating_sub(self.buffer.len());
        self.buffer.try_reserve(more).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        while self.filled < target {
            if self.buffer.len() < target.min(self.filled + FIRST_BYTES) {
                let len = (2 * self.buffer.len()).clamp(FIRST_BYTES.min(target), target);
                self.buffer.resize(len, 0);
            }
            let end = self.buffer.len().min(target).min(self.filled + READ_BYTES);
            match reader.read(&mut self.buffer[self.filled..end]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The first `end` bytes, which are gone then.
    pub fn take(&mut self, end: usize) -> Vec<u8> {
        let rest = end..self.filled;
        self.filled = rest.len();
        // Nobody is to hold much memory for a few bytes: of small files many are under way.
        if end <= self.buffer.capacity() / 4 {
            let bytes = self.buffer[..end].to_vec();
            self.buffer.copy_within(rest, 0);
            return bytes;
        }
        let mut next = self.spare.take(self.usual.max(rest.len()));
        next.resize(next.len().max(rest.len()), 0);
        next[..rest.len()].copy_from_slice(&self.buffer[rest]);
        let mut bytes = std::mem::replace(&mut self.buffer, next);
        bytes.truncate(end);
        bytes
    }

    /// Where buffers come from.
    pub fn spare(&self) -> &Arc<Spare<u8>> {
        &self.spare
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.spare.give(std::mem::take(&mut self.buffer));
    }
}
