//! A file that is hashed block by block while it is written.

use super::disk::Disk;
use super::sealed::sha256;
use super::shard::FileRecord;
use crate::error::Result;
use crate::hex::to_hex;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Files are hashed in blocks of this many bytes. 4 MiB: damage is located to what can be fetched again in a blink,
/// and the hashes of a 512 MiB shard take 9 kB. A multiple of every record's size, so no record spans blocks.
pub const BLOCK_BYTES: u64 = 4 << 20;
const BLOCK: usize = 4 << 20;

/// The buffer is the block: every write to disk is one full block, and no byte is read again for its hash.
pub(super) struct BlockFile {
    disk: Disk,
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    record: FileRecord,
}

impl BlockFile {
    pub(super) fn create(path: &Path, disk: &Disk) -> Result<BlockFile> {
        Ok(BlockFile {
            disk: disk.clone(),
            path: path.to_path_buf(),
            file: disk.create(path)?,
            buffer: Vec::new(),
            record: FileRecord { bytes: 0, sha256: Vec::new() },
        })
    }

    /// Appends numbers of `N` bytes each; `N` divides the block.
    pub(super) fn extend<T: Copy, const N: usize>(
        &mut self,
        mut values: &[T],
        bytes: impl Fn(T) -> [u8; N],
    ) -> Result<()> {
        while !values.is_empty() {
            let start = self.buffer.len();
            let (now, later) = values.split_at(values.len().min((BLOCK - start) / N));
            self.buffer.resize(start + now.len() * N, 0);
            for (slot, value) in self.buffer[start..].chunks_exact_mut(N).zip(now) {
                slot.copy_from_slice(&bytes(*value));
            }
            values = later;
            if self.buffer.len() == BLOCK {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.disk.write(&self.path, &self.file, &self.buffer)?;
        self.record.sha256.push(to_hex(&sha256(&self.buffer)));
        self.record.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left and makes the file durable.
    pub(super) fn finish(mut self) -> Result<FileRecord> {
        if !self.buffer.is_empty() {
            self.flush()?;
        }
        self.disk.sync(&self.path, &self.file)?;
        Ok(self.record)
    }
}
