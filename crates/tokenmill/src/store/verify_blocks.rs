//! The check of one 4 MiB block: its hash, and what its numbers mean.
//!
//! Blocks are read, not mapped: on a failing disk a read is an error that can be reported, a map is SIGBUS.

use super::dtype::Dtype;
use super::manifest::Manifest;
use super::sealed::Hash;
use super::shard::ShardEntry;
use super::{BLOCK_BYTES, ShardFile};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;

/// A file of the right size whose blocks are to be checked.
pub(super) struct FileTask<'a> {
    pub(super) path: PathBuf,
    pub(super) kind: ShardFile,
    pub(super) bytes: u64,
    /// The hash of each block; `None` where the shard's record cannot be used.
    pub(super) hashes: Option<Vec<Hash>>,
    pub(super) entry: &'a ShardEntry,
    pub(super) manifest: &'a Manifest,
}

/// One block of it.
pub(super) struct BlockTask {
    pub(super) number: u64,
    pub(super) range: Range<u64>,
    hash: Option<Hash>,
}

impl FileTask<'_> {
    pub(super) fn blocks(&self) -> impl Iterator<Item = BlockTask> {
        let mut hashes = self.hashes.iter().flatten().copied();
        (0..self.bytes.div_ceil(BLOCK_BYTES)).map(move |number| {
            let start = number * BLOCK_BYTES;
            let range = start..self.bytes.min(start.saturating_add(BLOCK_BYTES));
            BlockTask { number, range, hash: hashes.next() }
        })
    }

    /// What is wrong with the block, if anything. Numbers are looked at only where the bytes are the right ones or
    /// nobody knows: after a wrong hash they would say the same thing again.
    pub(super) fn check(&self, block: &BlockTask) -> Option<String> {
        let bytes = match self.read(&block.range) {
            Ok(bytes) => bytes,
            Err(error) => return Some(format!("cannot be read: {error}")),
        };
        if block.hash.is_some_and(|hash| blake3::hash(&bytes) != hash) {
            return Some("its BLAKE3 is not the one in the shard's record: bytes have changed".into());
        }
        match self.kind {
            ShardFile::Tokens => self.check_tokens(&bytes, block),
            ShardFile::Docs => self.check_docs(&bytes, block),
            ShardFile::Origin => self.check_origins(&bytes, block),
        }
    }

    fn read(&self, range: &Range<u64>) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(range.start))?;
        let size = range.end - range.start;
        let mut bytes = Vec::new();
        file.take(size).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < size {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file ends early"));
        }
        Ok(bytes)
    }

    fn check_tokens(&self, bytes: &[u8], block: &BlockTask) -> Option<String> {
        match self.manifest.dtype {
            Dtype::Uint16 => self.first_bad_id(numbers(bytes).map(|id| u64::from(u16::from_le_bytes(id))), block),
            Dtype::Uint32 => self.first_bad_id(numbers(bytes).map(|id| u64::from(u32::from_le_bytes(id))), block),
        }
    }

    fn first_bad_id(&self, mut ids: impl Iterator<Item = u64>, block: &BlockTask) -> Option<String> {
        let vocab_size = self.manifest.vocab_size;
        let mut bad = None;
        let at = ids.position(|id| {
            bad = Some(id).filter(|id| *id >= vocab_size);
            bad.is_some()
        })?;
        let token = block.range.start / self.manifest.dtype.width() + at as u64;
        Some(format!("token {token} of the shard is {}, not below vocab_size {vocab_size}", bad.unwrap_or_default()))
    }

    fn check_docs(&self, bytes: &[u8], block: &BlockTask) -> Option<String> {
        let mut last = match block.range.start.checked_sub(8) {
            None => 0,
            Some(before) => match self.read(&(before..block.range.start)) {
                Ok(bytes) => numbers(&bytes).map(u64::from_le_bytes).next().unwrap_or(0),
                Err(error) => return Some(format!("cannot be read: {error}")),
            },
        };
        for (document, end) in (block.range.start / 8..).zip(numbers(bytes).map(u64::from_le_bytes)) {
            if end < last {
                return Some(format!(
                    "document {document} of the shard ends at token {end}, before it begins ({last})"
                ));
            }
            last = end;
        }
        let tokens = self.entry.num_tokens;
        if last > tokens || (block.range.end == self.bytes && last != tokens) {
            return Some(format!("documents end at token {last} of a shard of {tokens}"));
        }
        None
    }

    fn check_origins(&self, bytes: &[u8], block: &BlockTask) -> Option<String> {
        let inputs = self.manifest.inputs.len() as u64;
        for (document, input) in (block.range.start / 16..).zip(numbers(bytes).step_by(2).map(u64::from_le_bytes)) {
            if input >= inputs {
                return Some(format!("document {document} of the shard comes from input {input} of {inputs}"));
            }
        }
        None
    }
}

/// The little-endian numbers of `N` bytes in `bytes`.
fn numbers<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}
