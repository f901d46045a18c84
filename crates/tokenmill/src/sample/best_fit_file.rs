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
//! Numbers are little-endian. The file is written whole or not at all, and several processes that make it at once write the
//! same bytes; one that is damaged, of another store or another version is replaced when it is opened.

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
use std::path::Path;
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

/// What became of the file of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// It was there.
    Read,
    /// There was none; now there is.
    Made,
    /// The one that was there could not be used, and why; now there is another.
    Replaced(String),
    /// There is none that can be used, and none could be written: the rows are in memory.
    Unsaved(String),
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

    /// The index at `path`: mapped where it is there and sound, else made anew, and written there if that is possible.
    ///
    /// # Errors
    /// See [`best_fit::pack`]. A file that cannot be read, used or written is none: see [`Kept`].
    pub fn open_or_pack(
        path: &Path,
        documents: Arc<dyn Documents>,
        hash: &str,
        max_length: u64,
        monitor: &dyn Monitor,
    ) -> Result<(BestFit, Kept)> {
        let unusable = match BestFit::open(path, Arc::clone(&documents), hash, max_length) {
            Ok(Some(index)) => return Ok((index, Kept::Read)),
            Ok(None) => None,
            Err(reason) => Some(reason),
        };
        let index = BestFit::pack(documents, hash, max_length, monitor)?;
        let kept = match (index.save(path), unusable) {
            (Err(error), _) => Kept::Unsaved(error.to_string()),
            (Ok(()), Some(reason)) => Kept::Replaced(reason),
            (Ok(()), None) => Kept::Made,
        };
        Ok((index, kept))
    }

    /// Maps the index at `path`; `None` where there is no file, or why it cannot be used: it cannot be read, is damaged, or
    /// belongs to another store, length or version.
    fn open(
        path: &Path,
        documents: Arc<dyn Documents>,
        hash: &str,
        max_length: u64,
    ) -> std::result::Result<Option<BestFit>, String> {
        let told = |error: std::io::Error| error.to_string();
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(told)?,
        };
        if file.metadata().map_err(told)?.len() < HEADER as u64 {
            return Err("it is too short".into());
        }
        // SAFETY: the map is read-only, and a finished index is never written to: a new one is renamed over it. Someone
        // who truncates it while it is open gets SIGBUS, as with every memory-mapped file; no number read from it is
        // trusted as an index.
        let map = unsafe { Mmap::map(&file) }.map_err(told)?;
        BestFit::read(Bytes::File(Arc::new(map)), hash, max_length, documents).map(Some)
    }

    /// Writes the index, whole or not at all.
    fn save(&self, path: &Path) -> Result<()> {
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
            let at = at.ok_or_else(changed)?;
            let valid = u64::from(u32::from_le_bytes(lengths[at * 4..][..4].try_into().unwrap_or_default()));
            inputs += valid;
            if valid == 0 || inputs > self.max_length {
                return Err(changed());
            }
            pieces.push(Window { start: number(&starts[at * 8..][..8]), valid });
        }
        Ok(())
    }
}

/// Its checksum was right when it was opened.
fn changed() -> Error {
    Error::value("the index of packed rows has changed while it was open; start anew, and it is made again")
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap_or_default())
}

fn usize_of(number: u64) -> std::result::Result<usize, String> {
    usize::try_from(number).map_err(|_| "its numbers are too large".into())
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

    fn open_or_pack(path: &Path, hash: &str, max_length: u64) -> (BestFit, Kept) {
        BestFit::open_or_pack(path, documents(), hash, max_length, &()).unwrap()
    }

    #[test]
    fn a_saved_index_is_the_one_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.index");
        let packed = BestFit::pack(documents(), CONTENT, 8, &()).unwrap();
        for expected in [Kept::Made, Kept::Read] {
            let (index, kept) = open_or_pack(&path, CONTENT, 8);
            assert_eq!((rows(&index), kept), (rows(&packed), expected));
            assert!(index.get(index.count(), &mut Vec::new()).is_err());
        }
    }

    #[test]
    fn any_changed_byte_and_any_cut_is_noticed_and_mended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.index");
        let (index, _) = open_or_pack(&path, CONTENT, 8);
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            for broken in [&changed[..], &bytes[..at]] {
                // Another file: the map of the first one is still in use.
                std::fs::remove_file(&path).unwrap();
                std::fs::write(&path, broken).unwrap();
                let (again, kept) = open_or_pack(&path, CONTENT, 8);
                assert!(matches!(kept, Kept::Replaced(_)), "byte {at}");
                assert_eq!(rows(&again), rows(&index));
                assert_eq!(std::fs::read(&path).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn an_index_of_something_else_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.index");
        open_or_pack(&path, CONTENT, 8);
        let (_, kept) = open_or_pack(&path, OTHER, 8);
        assert_eq!(kept, Kept::Replaced("it belongs to a store of other content".into()));
        let (_, kept) = open_or_pack(&path, OTHER, 9);
        assert_eq!(kept, Kept::Replaced("it is for max_length=8, not 9".into()));
    }

    #[test]
    fn where_nothing_can_be_written_rows_are_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.index");
        std::fs::create_dir(&path).unwrap();
        let (index, kept) = open_or_pack(&path, CONTENT, 8);
        assert!(matches!(kept, Kept::Unsaved(ref reason) if reason.contains("x.index")), "{kept:?}");
        assert_eq!(rows(&index), rows(&BestFit::pack(documents(), CONTENT, 8, &()).unwrap()));
    }
}
