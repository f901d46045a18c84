//! Reads a store through memory maps. Opening looks at the sizes of the files only: O(shards), whatever the number of
//! tokens. A file is mapped when something in it is first asked for: ten thousand shards are 30,000 maps, half of what
//! Linux allows a process, and take 200 ms.

use super::dtype::Dtype;
use super::manifest::Manifest;
use super::shard::{ShardEntry, ShardFile, Table};
use super::split::Split;
use super::{MANIFEST, TOKENIZER};
use crate::error::{Error, Result};
use crate::threads;
use crate::tokens::Tokens;
use memmap2::Mmap;
use rayon::prelude::*;
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

#[cfg(target_endian = "big")]
compile_error!("stores are mapped as they lie on disk, which is little-endian: big-endian machines cannot read them");

/// An open store. Share it between threads and processes: the pages are shared, nothing is copied.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    split: Split,
    manifest: Manifest,
    shards: Vec<Shard>,
}

/// Shards for which the threads are worth waking: the sizes of two files take 4 µs.
const PARALLEL_SHARDS: usize = 64;

/// The files that training reads, whose sizes are checked when a store is opened. Each size of 10,000 takes 11 ms on
/// two cores; that of an .origin file is checked when one asks where a document of the shard came from.
const CHECKED: [ShardFile; 2] = [ShardFile::Tokens, ShardFile::Docs];

/// Where a shard lies in the store, and its files as far as they were asked for.
#[derive(Debug)]
struct Shard {
    entry: ShardEntry,
    maps: [OnceLock<Map>; ShardFile::ALL.len()],
    first_token: u64,
    first_document: u64,
}

impl Store {
    /// Opens a split of the store at `path`: reads the manifest, checks the sizes of the files of ids and of documents.
    pub fn open(path: &Path, split: Split) -> Result<Store> {
        Store::of_manifest(path, split, Manifest::load(path)?)
    }

    /// Opens it as it was when the split had this content hash, and so many inputs if that is known: it may have been added to
    /// since. The manifest is the one of then.
    ///
    /// # Errors
    /// [`Error::Store`]: it never was so.
    pub fn open_as_it_was(path: &Path, split: Split, content_hash: &str, inputs: Option<usize>) -> Result<Store> {
        let manifest = Manifest::load(path)?.go_back(path, &[split], content_hash, inputs)?;
        Store::of_manifest(path, split, manifest)
    }

    fn of_manifest(path: &Path, split: Split, manifest: Manifest) -> Result<Store> {
        let Some(table) = manifest.table(split) else {
            let remedy = "prepare it with val_fraction above 0";
            return Err(Error::store(path, format!("the store has no validation split; {remedy}")));
        };
        check_sizes(path, &table.shards, manifest.dtype)?;
        let mut shards = Vec::with_capacity(table.shards.len());
        let (mut first_token, mut first_document) = (0, 0);
        for entry in &table.shards {
            shards.push(Shard { entry: entry.clone(), maps: Default::default(), first_token, first_document });
            // The manifest was checked: these sums are at most its totals.
            first_token += entry.num_tokens;
            first_document += entry.num_documents;
        }
        Ok(Store { path: path.to_path_buf(), split, manifest, shards })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The split that this is.
    pub fn split(&self) -> Split {
        self.split
    }

    /// What the store says about itself, both splits.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Tokens in all.
    pub fn num_tokens(&self) -> u64 {
        self.table().num_tokens
    }

    /// Documents in all, empty ones among them.
    pub fn num_documents(&self) -> u64 {
        self.table().num_documents
    }

    /// Width of a stored id.
    pub fn dtype(&self) -> Dtype {
        self.manifest.dtype
    }

    /// Every id is below this (which [`super::verify`] checks, not opening).
    pub fn vocab_size(&self) -> u64 {
        self.manifest.vocab_size
    }

    /// SHA-256 (hexadecimal) of the content: equal content, equal hash.
    pub fn content_hash(&self) -> &str {
        &self.table().content_hash
    }

    /// The tokenizer's file.
    pub fn tokenizer_path(&self) -> PathBuf {
        self.path.join(TOKENIZER)
    }

    /// Opening made sure that the split is there.
    fn table(&self) -> &Table {
        self.manifest.table(self.split).unwrap_or(&self.manifest.train)
    }

    /// The ids of the shard that a token is in, and its place among them. `None`: the store has no such token.
    pub fn segment_at(&self, token: u64) -> Result<Option<(Tokens<'_>, usize)>> {
        if token >= self.num_tokens() {
            return Ok(None);
        }
        // Of shards that begin at the same token, all but the last are empty.
        let after = self.shards.partition_point(|shard| shard.first_token <= token);
        let Some(shard) = after.checked_sub(1).and_then(|shard| self.shards.get(shard)) else {
            return Ok(None);
        };
        Ok(Some((self.ids(shard)?, usize_of(token - shard.first_token)?)))
    }

    /// The ids of a range of tokens, in as many pieces as it touches shards.
    pub fn pieces(&self, range: Range<u64>) -> Result<Vec<Tokens<'_>>> {
        if range.start > range.end || range.end > self.num_tokens() {
            return Err(Error::value(format!(
                "tokens {}..{} are not within the store's 0..{}",
                range.start,
                range.end,
                self.num_tokens()
            )));
        }
        let mut pieces = Vec::new();
        let first = self.shards.partition_point(|shard| shard.first_token <= range.start).saturating_sub(1);
        for shard in self.shards.iter().skip(first).take_while(|shard| shard.first_token < range.end) {
            let ids = self.ids(shard)?;
            let local = |token: u64| usize_of(token.saturating_sub(shard.first_token)).map(|at| at.min(ids.len()));
            pieces.push(cut(ids, local(range.start)?..local(range.end)?));
        }
        Ok(pieces)
    }

    /// Copies the ids of a range of tokens to `out`, which must be as long as the range.
    pub fn read(&self, range: Range<u64>, out: &mut [u32]) -> Result<()> {
        let pieces = self.pieces(range.clone())?;
        if pieces.iter().map(Tokens::len).sum::<usize>() != out.len() {
            return Err(Error::value(format!(
                "{} ids do not fit the {} of the range {range:?}",
                out.len(),
                range.end - range.start
            )));
        }
        let mut out = out;
        for piece in pieces {
            let (now, later) = std::mem::take(&mut out).split_at_mut(piece.len());
            match piece {
                Tokens::U16(ids) => now.iter_mut().zip(ids).for_each(|(slot, id)| *slot = u32::from(*id)),
                Tokens::U32(ids) => now.copy_from_slice(ids),
                Tokens::I32(_) | Tokens::I64(_) => return Err(Error::value("stores hold unsigned ids only")),
            }
            out = later;
        }
        Ok(())
    }

    /// A copy of a range of tokens of a store of two-byte ids.
    pub fn copy_u16(&self, range: Range<u64>) -> Result<Vec<u16>> {
        let slices = self.pieces(range)?.into_iter().map(|piece| match piece {
            Tokens::U16(ids) => Ok(ids),
            _ => Err(self.wrong_width(Dtype::Uint16)),
        });
        Ok(slices.collect::<Result<Vec<_>>>()?.concat())
    }

    /// A copy of a range of tokens of a store of four-byte ids.
    pub fn copy_u32(&self, range: Range<u64>) -> Result<Vec<u32>> {
        let slices = self.pieces(range)?.into_iter().map(|piece| match piece {
            Tokens::U32(ids) => Ok(ids),
            _ => Err(self.wrong_width(Dtype::Uint32)),
        });
        Ok(slices.collect::<Result<Vec<_>>>()?.concat())
    }

    /// First token and end (exclusive) of document `document`, counted over the whole store.
    pub fn document_range(&self, document: u64) -> Result<(u64, u64)> {
        let (shard, index) = self.shard_of_document(document)?;
        let ends: &[u64] = self.map(shard, ShardFile::Docs)?.values();
        let end = ends.get(index).copied();
        let start = if index == 0 { Some(0) } else { ends.get(index - 1).copied() };
        match (start, end) {
            (Some(start), Some(end)) if start <= end && end <= shard.entry.num_tokens => {
                Ok((shard.first_token + start, shard.first_token + end))
            }
            _ => Err(self.damaged(
                shard,
                ShardFile::Docs,
                format!("the boundaries of document {document} cannot be right"),
            )),
        }
    }

    /// The document that token `token` belongs to.
    pub fn document_at(&self, token: u64) -> Result<u64> {
        if token >= self.num_tokens() {
            return Err(Error::value(format!("token {token} is not one of the store's {}", self.num_tokens())));
        }
        // Of shards that begin at the same token, all but the last are empty.
        let index = self.shards.partition_point(|shard| shard.first_token <= token);
        let shard = index.checked_sub(1).and_then(|index| self.shards.get(index));
        let shard = shard.ok_or_else(|| Error::store(self.path.join(MANIFEST), "the store has no shards"))?;
        let ends: &[u64] = self.map(shard, ShardFile::Docs)?.values();
        let document = ends.partition_point(|end| *end <= token - shard.first_token);
        if document >= ends.len() {
            return Err(self.damaged(shard, ShardFile::Docs, format!("no document holds token {token}")));
        }
        Ok(shard.first_document + document as u64)
    }

    /// Where a document came from: the number of its input in the manifest and its position there.
    pub fn origin(&self, document: u64) -> Result<(usize, u64)> {
        let (shard, index) = self.shard_of_document(document)?;
        let entry = self.map(shard, ShardFile::Origin)?.values::<[u64; 2]>().get(index);
        match entry.map(|[input, position]| (usize::try_from(*input), *position)) {
            Some((Ok(input), position)) if input < self.manifest.inputs.len() => Ok((input, position)),
            _ => {
                let reason = format!("document {document} comes from an input that is not known");
                Err(self.damaged(shard, ShardFile::Origin, reason))
            }
        }
    }

    fn shard_of_document(&self, document: u64) -> Result<(&Shard, usize)> {
        let index = self.shards.partition_point(|shard| shard.first_document <= document);
        match index.checked_sub(1).and_then(|index| self.shards.get(index)) {
            Some(shard) if document < self.num_documents() => Ok((shard, usize_of(document - shard.first_document)?)),
            _ => Err(Error::value(format!("document {document} is not one of the store's {}", self.num_documents()))),
        }
    }

    fn ids<'a>(&self, shard: &'a Shard) -> Result<Tokens<'a>> {
        let map = self.map(shard, ShardFile::Tokens)?;
        Ok(match self.manifest.dtype {
            Dtype::Uint16 => Tokens::U16(map.values()),
            Dtype::Uint32 => Tokens::U32(map.values()),
        })
    }

    /// A file of a shard, mapped if it is not yet.
    fn map<'a>(&self, shard: &'a Shard, file: ShardFile) -> Result<&'a Map> {
        let cell = &shard.maps[file as usize];
        if let Some(map) = cell.get() {
            return Ok(map);
        }
        let map = Map::open(&self.path, &shard.entry, file, self.manifest.dtype)?;
        // Of threads that ask at once the first wins; the maps of the others go, unused.
        Ok(cell.get_or_init(|| map))
    }

    fn wrong_width(&self, asked: Dtype) -> Error {
        Error::value(format!("the store's ids are {}, not {}", self.dtype().name(), asked.name()))
    }

    fn damaged(&self, shard: &Shard, file: ShardFile, reason: String) -> Error {
        let path = self.path.join(file.name(&shard.entry.name));
        Error::store(path, format!("{reason}: the file is damaged; `verify` tells where"))
    }
}

/// Compares the sizes of the shards' files with the manifest; the first that is wrong is the error.
fn check_sizes(folder: &Path, shards: &[ShardEntry], dtype: Dtype) -> Result<()> {
    let wrong = |entry: &ShardEntry| {
        CHECKED.into_iter().find_map(|file| {
            let path = folder.join(file.name(&entry.name));
            let size = fs::metadata(&path).map(|metadata| metadata.len());
            size.map_err(Error::io(&path)).and_then(|size| check_size(&path, size, entry.file_bytes(file, dtype))).err()
        })
    };
    let found = if shards.len() < PARALLEL_SHARDS {
        shards.iter().find_map(wrong)
    } else {
        threads::pool()?.install(|| shards.par_iter().find_map_first(wrong))
    };
    found.map_or(Ok(()), Err)
}

fn check_size(path: &Path, actual: u64, expected: Option<u64>) -> Result<()> {
    let expected = expected.unwrap_or(u64::MAX);
    if actual == expected {
        return Ok(());
    }
    let remedy = "remake it from its inputs (tokenmill repair) or restore it from a copy";
    Err(Error::store(path, format!("is {actual} bytes long where {MANIFEST} needs {expected}; {remedy}")))
}

fn cut(ids: Tokens<'_>, range: Range<usize>) -> Tokens<'_> {
    match ids {
        Tokens::U16(ids) => Tokens::U16(&ids[range]),
        Tokens::U32(ids) => Tokens::U32(&ids[range]),
        Tokens::I32(ids) => Tokens::I32(&ids[range]),
        Tokens::I64(ids) => Tokens::I64(&ids[range]),
    }
}

fn usize_of(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| Error::value(format!("{number} is beyond this machine's address space")))
}

/// A mapped file of numbers; `None` for an empty file, which cannot be mapped.
#[derive(Debug)]
struct Map(Option<Mmap>);

/// Types that any bytes are a valid value of.
trait Plain: Copy {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for u64 {}
impl Plain for [u64; 2] {}

impl Map {
    fn open(folder: &Path, entry: &ShardEntry, kind: ShardFile, dtype: Dtype) -> Result<Map> {
        let path = folder.join(kind.name(&entry.name));
        let file = File::open(&path).map_err(Error::io(&path))?;
        // Looked at again: the file may have changed since the store was opened.
        let actual = file.metadata().map_err(Error::io(&path))?.len();
        check_size(&path, actual, entry.file_bytes(kind, dtype))?;
        if actual == 0 {
            return Ok(Map(None));
        }
        // SAFETY: the map is read-only, and files of shards are never written to once a manifest names them (the
        // writer renames finished folders and files). Someone who changes or truncates the files of an open store changes what is read or
        // gets SIGBUS, as with every memory-mapped file; no value read from them is trusted as an index.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(&path))?;
        Ok(Map(Some(map)))
    }

    fn values<T: Plain>(&self) -> &[T] {
        let bytes = self.0.as_deref().unwrap_or_default();
        // SAFETY: every bit pattern is a valid T. A map begins at a page boundary, which is aligned for any T;
        // `align_to` would put misaligned bytes into the part that is left out, never read them as T.
        let (_, values, _) = unsafe { bytes.align_to::<T>() };
        values
    }
}
