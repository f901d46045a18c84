//! The index of `packing="best_fit"`: a file beside the store, computed once, mapped by every process.
//!
//! | bytes | content |
//! | --- | --- |
//! | 32 | `tokenmill best_fit index v1`, then zeros |
//! | 64 | the store's content hash, in hexadecimal digits |
//! | 8, 8, 8 | `u64`: max_length, rows, pieces |
//! | 32 | SHA-256 of all that follows |
//! | 8 a row | `u64`: how many pieces there are up to the end of the row |
//! | 8 a piece | `u64`: its first token |
//! | 4 a piece | `u32`: its inputs |
//!
//! Numbers are little-endian. The file is written whole or not at all; one that is damaged, of another store or another
//! version is an error when it is opened.

use super::best_fit::{self, Packed};
use super::documents::Documents;
use super::window::Window;
use crate::error::{Error, Result};
use crate::fs::write_atomically;
use crate::monitor::Monitor;
use memmap2::Mmap;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 32] = b"tokenmill best_fit index v1\0\0\0\0\0";
const HASH: Range<usize> = 32..96;
const NUMBERS: Range<usize> = 96..120;
const CHECK: Range<usize> = 120..152;
const HEADER: usize = 152;

/// Rows of packed documents, in memory or in a file. Cloning shares them.
#[derive(Debug, Clone)]
pub struct BestFit {
    bytes: Bytes,
    max_length: u64,
    rows: usize,
    pieces: usize,
    documents: Arc<dyn Documents>,
}

#[derive(Debug, Clone)]
enum Bytes {
    Memory(Arc<[u8]>),
    File(Arc<Mmap>),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Bytes::Memory(bytes) => bytes,
            Bytes::File(map) => map,
        }
    }
}

impl BestFit {
    /// Packs the documents anew, in memory.
    ///
    /// # Errors
    /// See [`best_fit::pack`].
    pub fn pack(documents: Arc<dyn Documents>, hash: &str, max_length: u64, monitor: &dyn Monitor) -> Result<BestFit> {
        let packed = best_fit::pack(&*documents, max_length, monitor)?;
        let bytes = serialize(&packed, hash, max_length);
        BestFit::read(Bytes::Memory(bytes.into()), hash, max_length, documents).map_err(Error::value)
    }

    /// Maps the index at `path`; `None` where there is no file.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or belongs to another store, length or version.
    pub fn open(path: &Path, documents: Arc<dyn Documents>, hash: &str, max_length: u64) -> Result<Option<BestFit>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Error::io(path))?,
        };
        if file.metadata().map_err(Error::io(path))?.len() < HEADER as u64 {
            return Err(damaged(path, "it is too short"));
        }
        // SAFETY: the map is read-only, and a finished index is never written to. Someone who truncates it while it is
        // open gets SIGBUS, as with every memory-mapped file; no number read from it is trusted as an index.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        let index = BestFit::read(Bytes::File(Arc::new(map)), hash, max_length, documents);
        index.map(Some).map_err(|reason| damaged(path, &reason))
    }

    /// The index at `path`, which is made where there is none.
    ///
    /// # Errors
    /// See [`best_fit::pack`], [`BestFit::open`] and [`BestFit::save`].
    pub fn open_or_pack(
        path: &Path,
        documents: Arc<dyn Documents>,
        hash: &str,
        max_length: u64,
        monitor: &dyn Monitor,
    ) -> Result<BestFit> {
        if let Some(index) = BestFit::open(path, Arc::clone(&documents), hash, max_length)? {
            return Ok(index);
        }
        let index = BestFit::pack(documents, hash, max_length, monitor)?;
        index.save(path)?;
        Ok(index)
    }

    /// Writes the index, whole or not at all.
    ///
    /// # Errors
    /// The system refuses.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_atomically(path, |out| out.write_all(self.bytes.get()))
    }

    fn read(
        bytes: Bytes,
        hash: &str,
        max_length: u64,
        documents: Arc<dyn Documents>,
    ) -> std::result::Result<BestFit, String> {
        let all = bytes.get();
        let header = all.get(..HEADER).ok_or("it is too short")?;
        if header[..MAGIC.len()] != *MAGIC {
            return Err("it is not an index of this version".into());
        }
        if header[HASH] != *hash.as_bytes() {
            return Err("it belongs to a store of other content".into());
        }
        let numbers: Vec<u64> = header[NUMBERS].chunks_exact(8).map(number).collect();
        if numbers[0] != max_length {
            return Err(format!("it is for max_length={}, not {max_length}", numbers[0]));
        }
        let (rows, pieces) = (usize_of(numbers[1])?, usize_of(numbers[2])?);
        let size = rows.checked_mul(8).zip(pieces.checked_mul(12)).and_then(|(a, b)| a.checked_add(b));
        if size != Some(all.len() - HEADER) {
            return Err("its size is wrong".into());
        }
        if header[CHECK] != *Sha256::digest(&all[HEADER..]) {
            return Err("its checksum is wrong".into());
        }
        Ok(BestFit { bytes, max_length, rows, pieces, documents })
    }

    /// How many rows there are; at least 1.
    pub fn count(&self) -> u64 {
        self.rows as u64
    }

    /// Inputs of a full row.
    pub fn max_length(&self) -> u64 {
        self.max_length
    }

    /// The documents.
    pub fn documents(&self) -> &Arc<dyn Documents> {
        &self.documents
    }

    /// Appends the pieces of row `i` to `pieces`.
    ///
    /// # Errors
    /// There is no such row, or the index is damaged.
    pub fn get(&self, i: u64, pieces: &mut Vec<Window>) -> Result<()> {
        let row = usize::try_from(i).ok().filter(|&row| row < self.rows).ok_or_else(|| {
            Error::value(format!("window {i} does not exist; there are {}, counted from 0", self.rows))
        })?;
        let (ends, rest) = self.bytes.get()[HEADER..].split_at(self.rows * 8);
        let (starts, lengths) = rest.split_at(self.pieces * 8);
        let end = |row: usize| number(&ends[row * 8..][..8]);
        let (first, last) = (row.checked_sub(1).map_or(0, end), end(row));
        let mut inputs = 0;
        for piece in first..last {
            let at = usize::try_from(piece).ok().filter(|&at| at < self.pieces);
            let at = at.ok_or_else(|| Error::value("the index of packed rows is damaged; remove the file"))?;
            let valid = u64::from(u32::from_le_bytes(lengths[at * 4..][..4].try_into().unwrap_or_default()));
            inputs += valid;
            if valid == 0 || inputs > self.max_length {
                return Err(Error::value("the index of packed rows is damaged; remove the file"));
            }
            pieces.push(Window { start: number(&starts[at * 8..][..8]), valid });
        }
        Ok(())
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap_or_default())
}

fn usize_of(number: u64) -> std::result::Result<usize, String> {
    usize::try_from(number).map_err(|_| "its numbers are too large".into())
}

fn damaged(path: &Path, reason: &str) -> Error {
    let remedy = "remove the file, and it is made anew";
    Error::store(PathBuf::from(path), format!("this index of packed rows cannot be used, {reason}; {remedy}"))
}

fn serialize(packed: &Packed, hash: &str, max_length: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + packed.ends.len() * 8 + packed.pieces.len() * 12);
    bytes.resize(HEADER, 0);
    for number in packed.ends.iter().copied().chain(packed.pieces.iter().map(|piece| piece.start)) {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for piece in &packed.pieces {
        // At most LONGEST_ROW.
        bytes.extend_from_slice(&u32::try_from(piece.valid).unwrap_or(u32::MAX).to_le_bytes());
    }
    let check = Sha256::digest(&bytes[HEADER..]);
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    let hash = hash.as_bytes();
    bytes[HASH][..hash.len().min(64)].copy_from_slice(&hash[..hash.len().min(64)]);
    let numbers = [max_length, packed.ends.len() as u64, packed.pieces.len() as u64];
    for (slot, number) in bytes[NUMBERS].chunks_exact_mut(8).zip(numbers) {
        slot.copy_from_slice(&number.to_le_bytes());
    }
    bytes[CHECK].copy_from_slice(&check);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: &str = "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const CONTENT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn documents() -> Arc<dyn Documents> {
        Arc::new(vec![0u64, 5, 7, 30, 31, 38])
    }

    fn rows(index: &BestFit) -> Vec<Vec<Window>> {
        (0..index.count())
            .map(|i| {
                let mut row = Vec::new();
                index.get(i, &mut row).unwrap();
                row
            })
            .collect()
    }

    #[test]
    fn a_saved_index_is_the_one_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.index");
        assert!(BestFit::open(&path, documents(), CONTENT, 8).unwrap().is_none());
        let packed = BestFit::pack(documents(), CONTENT, 8, &()).unwrap();
        packed.save(&path).unwrap();
        let opened = BestFit::open(&path, documents(), CONTENT, 8).unwrap().unwrap();
        assert_eq!(rows(&opened), rows(&packed));
        assert!(opened.get(opened.count(), &mut Vec::new()).is_err());
    }

    #[test]
    fn any_changed_byte_and_any_cut_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.index");
        BestFit::pack(documents(), CONTENT, 8, &()).unwrap().save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            let error = BestFit::open(&path, documents(), CONTENT, 8).unwrap_err().to_string();
            assert!(error.contains("remove the file") && error.contains("x.index"), "{error}");
            std::fs::write(&path, &bytes[..at]).unwrap();
            assert!(BestFit::open(&path, documents(), CONTENT, 8).is_err());
        }
        std::fs::write(&path, &bytes).unwrap();
        let error = BestFit::open(&path, documents(), OTHER, 8).unwrap_err().to_string();
        assert!(error.contains("other content"), "{error}");
        let error = BestFit::open(&path, documents(), CONTENT, 9).unwrap_err().to_string();
        assert!(error.contains("max_length=8, not 9"), "{error}");
    }
}
