//! A file that is hashed block by block while it is written.

use super::disk::Disk;
use super::shard::FileRecord;
use crate::error::Result;
use crate::hex::to_hex;
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
    /// Of `BUFFER` bytes once there is anything to write.
    buffer: Vec<u8>,
    filled: usize,
    /// Of the block so far.
    hash: blake3::Hasher,
    record: FileRecord,
}

impl BlockFile {
    pub(super) fn create(path: &Path, disk: &Disk) -> Result<BlockFile> {
        Ok(BlockFile {
            disk: disk.clone(),
            path: path.to_path_buf(),
            file: disk.create(path)?,
            buffer: Vec::new(),
            filled: 0,
            hash: blake3::Hasher::new(),
            record: FileRecord { bytes: 0, blake3: Vec::new() },
        })
    }

    /// Appends numbers of `N` bytes each; `N` divides the buffer.
    pub(super) fn extend<T: Copy, const N: usize>(
        &mut self,
        mut values: &[T],
        bytes: impl Fn(T) -> [u8; N],
    ) -> Result<()> {
        if self.buffer.is_empty() {
            self.buffer = vec![0; BUFFER];
        }
        while !values.is_empty() {
            let room = &mut self.buffer[self.filled..];
            let (now, later) = values.split_at(values.len().min(room.len() / N));
            for (slot, value) in room.chunks_exact_mut(N).zip(now) {
                slot.copy_from_slice(&bytes(*value));
            }
            self.filled += now.len() * N;
            values = later;
            if self.filled == BUFFER {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let bytes = &self.buffer[..self.filled];
        self.disk.write(&self.path, &self.file, bytes)?;
        self.hash.update(bytes);
        self.record.bytes += bytes.len() as u64;
        self.filled = 0;
        if self.record.bytes.is_multiple_of(BLOCK_BYTES) {
            self.end_block();
        }
        Ok(())
    }

    fn end_block(&mut self) {
        self.record.blake3.push(to_hex(self.hash.finalize().as_bytes()));
        self.hash.reset();
        self.disk.begin_to_sync(&self.file);
    }

    /// Writes what is left and makes the file durable.
    pub(super) fn finish(mut self) -> Result<FileRecord> {
        if self.filled > 0 {
            self.flush()?;
        }
        if !self.record.bytes.is_multiple_of(BLOCK_BYTES) {
            self.end_block();
        }
        self.disk.sync(&self.path, &self.file)?;
        Ok(self.record)
    }
}
