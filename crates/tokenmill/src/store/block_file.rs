//! A file that is hashed block by block while it is written.

use super::disk::Disk;
use super::shard::FileRecord;
use crate::error::Result;
use crate::hex::to_hex;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Files are hashed in blocks of this many bytes. 4 MiB: damage is located to what can be fetched again in a blink,
/// and the hashes of a 512 MiB shard take 9 kB.
pub const BLOCK_BYTES: u64 = 4 << 20;

/// What is written at once: it is in the cache yet when it is hashed and when the system copies it. A part of a block, and a
/// multiple of every record's size but that of `texts`.
const BUFFER: usize = 256 << 10;

/// Every write to disk is one full buffer, and no byte is read again for its hash.
pub(super) struct BlockFile {
    disk: Disk,
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    /// Of the block so far.
    sha256: Sha256,
    record: FileRecord,
}

impl BlockFile {
    pub(super) fn create(path: &Path, disk: &Disk) -> Result<BlockFile> {
        Ok(BlockFile {
            disk: disk.clone(),
            path: path.to_path_buf(),
            file: disk.create(path)?,
            buffer: Vec::new(),
            sha256: Sha256::new(),
            record: FileRecord { bytes: 0, sha256: Vec::new() },
        })
    }

    /// Appends numbers of `N` bytes each; `N` divides the buffer.
    pub(super) fn extend<T: Copy, const N: usize>(
        &mut self,
        mut values: &[T],
        bytes: impl Fn(T) -> [u8; N],
    ) -> Result<()> {
        while !values.is_empty() {
            let start = self.buffer.len();
            let (now, later) = values.split_at(values.len().min((BUFFER - start) / N));
            self.buffer.resize(start + now.len() * N, 0);
            for (slot, value) in self.buffer[start..].chunks_exact_mut(N).zip(now) {
                slot.copy_from_slice(&bytes(*value));
            }
            values = later;
            if self.buffer.len() == BUFFER {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.disk.write(&self.path, &self.file, &self.buffer)?;
        self.sha256.update(&self.buffer);
        self.record.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        if self.record.bytes.is_multiple_of(BLOCK_BYTES) {
            self.end_block();
        }
        Ok(())
    }

    fn end_block(&mut self) {
        self.record.sha256.push(to_hex(&self.sha256.finalize_reset()));
        self.disk.begin_to_sync(&self.file);
    }

    /// Writes what is left and makes the file durable.
    pub(super) fn finish(mut self) -> Result<FileRecord> {
        if !self.buffer.is_empty() {
            self.flush()?;
        }
        if !self.record.bytes.is_multiple_of(BLOCK_BYTES) {
            self.end_block();
        }
        self.disk.sync(&self.path, &self.file)?;
        Ok(self.record)
    }
}
