//! Documents: an ordered stream of texts with their origin.
//!
//! Reading is split in two so that the expensive half runs in parallel:
//!
//! ```text
//! BlockSource::next_block   serial, cheap: bytes off the disk, decompressed, cut at record boundaries
//! Block::parse              parallel, pure: UTF-8 check, JSON, separators → Documents
//! ```
//!
//! The order of blocks is the order of the inputs, so results never depend on threads.

mod at;
mod block;
mod chain;
mod compressed;
mod cut;
mod files;
mod held;
mod json_escape;
mod json_lines;
mod json_plain;
mod limited;
mod long;
mod long_json;
#[cfg(test)]
mod long_tests;
mod parts;
mod paths;
mod queue;
mod records;
mod shifted;
mod sizes;
#[cfg(test)]
mod tests;
mod texts;
mod valid;

pub use at::document_at;
pub use block::{Block, Documents, Layout, Part, Record, Rejected};
pub use chain::{Chain, Link};
pub use files::{FileOptions, FileSource, Format, STDIN};
pub use limited::Limited;
pub use paths::expand;
pub use shifted::Shifted;
pub use texts::TextBlocks;

use crate::error::{Error, Result};
use crate::monitor::{Monitor, Progress};
use crate::spare::Spare;
use std::ops::Range;
use std::sync::Arc;

/// One input as a manifest records it: enough to tell later whether it is still the same.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InputRecord {
    /// The path as the user gave it, or `<stdin>`, `<texts>`, `<arrow>`.
    pub name: String,
    /// What a document's position counts: "byte" (offset in the uncompressed file) or "row".
    pub position: PositionUnit,
    /// Bytes read (of the file as it lies on disk, or of UTF-8 text for iterables and Arrow).
    pub bytes: u64,
    /// BLAKE3 of those bytes, hexadecimal. For iterables and Arrow each text is followed by its length (u64,
    /// little-endian), so that the same bytes divided otherwise differ.
    pub blake3: String,
}

/// One input before it is read, as far as it is known then.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PlannedInput {
    /// As in [`InputRecord`].
    pub name: String,
    /// How it divides into documents, in words.
    pub layout: String,
    /// Its size on disk; `None` for a pipe.
    pub bytes: Option<u64>,
}

/// What the number that locates a document counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PositionUnit {
    /// Offset of the document's record in the uncompressed file.
    Byte,
    /// 0-based number of the text or row.
    Row,
}

/// What a source does while it waits: see [`BlockSource::next_block`].
pub type Idle<'a> = &'a dyn Fn() -> Result<()>;

/// An ordered stream of [`Block`]s.
pub trait BlockSource {
    /// The next block in input order, `None` at the end. A source that may have to wait (for standard input, a pipe, a
    /// slow disk) calls `idle` several times a second meanwhile; an error of its ends the wait.
    fn next_block(&mut self, idle: Idle<'_>) -> Result<Option<Block>>;
    /// Bytes of input consumed so far (compressed size for compressed files): comparable to `total_bytes`.
    fn bytes_read(&self) -> u64;
    /// Bytes of input in all, where that is known before reading.
    fn total_bytes(&self) -> Option<u64>;
    /// The inputs that will be read; none where that is not known before.
    fn planned(&self) -> Vec<PlannedInput> {
        Vec::new()
    }
    /// Only these of the planned inputs are to be read; they are numbered from 0. To be called before the first block.
    fn only(&mut self, inputs: Range<usize>) -> Result<()> {
        let _ = inputs;
        Err(Error::value(
            "only files can be divided among tasks; write the texts to files, or prepare them in one process",
        ))
    }
    /// The inputs that have been read to their end. All of them once `next_block` has returned `None`.
    fn inputs(&self) -> Vec<InputRecord>;
    /// Nobody will ask for `inputs`, so that nothing need be hashed. To be called before the first block.
    fn skip_inputs(&mut self) {}
    /// Documents that are too long to be held may come in parts, a block each of [`Layout::Part`], and blocks are taken one by one, so
    /// that not much need be read ahead. The caller leaves the memory of blocks in `spare` when it is done with them, for the next.
    /// To be called before the first block; only files come so, and by default none does.
    fn in_parts(&mut self, spare: &Arc<Spare<u8>>) {
        let _ = spare;
    }
}

/// Blocks are handed on in groups of about this many bytes: work for all threads, yet short enough
/// that Ctrl-C and the progress bar are served several times a second.
const GROUP_BYTES: usize = 8 << 20;

/// Feeds `consume` with groups of consecutive blocks until the source ends.
/// `consume` runs on the calling thread; it is the place to fan out.
pub fn for_each_group(
    source: &mut dyn BlockSource,
    stage: &'static str,
    monitor: &dyn Monitor,
    mut consume: impl FnMut(Vec<Block>) -> Result<()>,
) -> Result<()> {
    let progress = |done, total| Progress { stage, unit: "bytes", done, total };
    loop {
        let (done, total) = (source.bytes_read(), source.total_bytes());
        let idle = || monitor.tick(progress(done, total));
        let mut group = Vec::new();
        let mut bytes = 0;
        while bytes < GROUP_BYTES {
            match source.next_block(&idle)? {
                Some(block) => {
                    bytes += block.weight();
                    group.push(block);
                }
                None => break,
            }
        }
        let ended = bytes < GROUP_BYTES;
        if !group.is_empty() {
            consume(group)?;
        }
        monitor.tick(progress(source.bytes_read(), source.total_bytes()))?;
        if ended {
            return Ok(());
        }
    }
}
