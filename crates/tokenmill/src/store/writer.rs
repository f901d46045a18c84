//! Writes a store: documents in order, into a folder that gets its name only when all is on disk.

use super::block_file::BlockFile;
use super::manifest::{Dtype, Manifest, Validation};
use super::sealed::{self, sha256};
use super::shard::{ShardRecord, Table, record_name, shard_name};
use super::split::{Split, Splitter};
use super::{MANIFEST, ShardFile, TOKENIZER};
use crate::documents::InputRecord;
use crate::error::{Error, Result};
use crate::fs::{sync_folder, temporary_beside};
use crate::hex::to_hex;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What a store is made with.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// Fingerprint of the tokenizer that makes the ids.
    pub tokenizer_fingerprint: String,
    /// Every id must be below this; up to 65,536 ids are stored in two bytes, else in four.
    pub vocab_size: u64,
    /// The id that the caller puts before each document.
    pub bos: Option<u32>,
    /// The id that the caller puts after each document.
    pub eos: Option<u32>,
    /// A new shard begins at the first document after this many tokens.
    pub shard_tokens: u64,
    /// The share of the documents that is kept from training.
    pub val_fraction: f64,
}

/// An id in the memory of whoever writes: of the store's width or the other.
pub trait StoredId: Copy + Ord + Send + 'static {
    /// The id in 32 bits; nothing is done where it is narrowed again.
    fn wide(self) -> u32;
}

impl StoredId for u16 {
    #[inline(always)]
    fn wide(self) -> u32 {
        u32::from(self)
    }
}

impl StoredId for u32 {
    #[inline(always)]
    fn wide(self) -> u32 {
        self
    }
}

/// Appends documents to a store that does not exist yet. Dropped before [`Writer::finish`], it leaves nothing behind.
pub struct Writer {
    out: PathBuf,
    folder: TemporaryFolder,
    shard_tokens: u64,
    splitter: Splitter,
    manifest: Manifest,
    /// The shards being written, by split.
    open: [Option<OpenShard>; 2],
    /// Largest input number seen, to be checked against the inputs at the end.
    last_input: Option<u32>,
}

/// Removed when dropped, unless published.
struct TemporaryFolder {
    path: PathBuf,
    published: bool,
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if !self.published {
            // Already failing: what matters to the user is the first error.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Writer {
    /// Begins a store that will be at `out`. `save_tokenizer` writes the tokenizer to the path it is given.
    pub fn create(
        out: &Path,
        options: WriterOptions,
        save_tokenizer: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Writer> {
        let WriterOptions { tokenizer_fingerprint, vocab_size, bos, eos, shard_tokens, val_fraction } = options;
        if shard_tokens == 0 {
            return Err(Error::value("shard_tokens is 0; a shard needs at least 1 token"));
        }
        let splitter = Splitter::new(val_fraction)?;
        let mut manifest = Manifest::new(&tokenizer_fingerprint, vocab_size, bos, eos);
        if val_fraction > 0.0 {
            manifest.validation = Some(Validation { fraction: val_fraction, table: Table::default() });
        }
        for (name, id) in [("BOS", bos), ("EOS", eos)] {
            if let Some(id) = id.filter(|id| u64::from(*id) >= vocab_size) {
                return Err(Error::value(format!("{name} id {id} is not below the vocabulary size {vocab_size}")));
            }
        }
        refuse_existing(out)?;
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::metadata(parent).map_err(Error::io(parent))?;
        let path = temporary_beside(out)?;
        fs::create_dir(&path).map_err(Error::io(&path))?;
        let folder = TemporaryFolder { path, published: false };
        let tokenizer = folder.path.join(TOKENIZER);
        save_tokenizer(&tokenizer)?;
        let bytes = fs::read(&tokenizer).map_err(Error::io(&tokenizer))?;
        File::open(&tokenizer).and_then(|file| file.sync_all()).map_err(Error::io(&tokenizer))?;
        manifest.tokenizer_sha256 = to_hex(&sha256(&bytes));
        let open = [None, None];
        Ok(Writer { out: out.to_path_buf(), folder, shard_tokens, splitter, manifest, open, last_input: None })
    }

    /// Tells which split a document belongs to.
    pub fn splitter(&self) -> Splitter {
        self.splitter
    }

    /// Appends one document to its split: its ids (BOS and EOS included), the number of its input and its position
    /// there. Ids of the store's own width are written as they are.
    pub fn append<T: StoredId>(&mut self, split: Split, ids: &[T], input: u32, position: u64) -> Result<()> {
        let largest = ids.iter().copied().max().map(T::wide);
        if let Some(id) = largest.filter(|id| u64::from(*id) >= self.manifest.vocab_size) {
            return Err(Error::value(format!(
                "id {id} is not below the vocabulary size {} that this store is written for",
                self.manifest.vocab_size
            )));
        }
        let shards = self.table(split)?.shards.len();
        let mut shard = match self.open[split as usize].take() {
            Some(shard) => shard,
            None => OpenShard::create(&self.folder.path, shard_name(split, shards))?,
        };
        shard.append(ids, self.manifest.dtype, input, position)?;
        self.last_input = self.last_input.max(Some(input));
        let added = usize::from(self.manifest.bos.is_some()) + usize::from(self.manifest.eos.is_some());
        if ids.len() <= added {
            self.table(split)?.num_empty_documents += 1;
        }
        if shard.num_tokens >= self.shard_tokens {
            self.close(split, shard)
        } else {
            self.open[split as usize] = Some(shard);
            Ok(())
        }
    }

    /// Writes the manifest and gives the store its name.
    pub fn finish(mut self, inputs: Vec<InputRecord>) -> Result<Manifest> {
        for split in [Split::Train, Split::Validation] {
            if let Some(shard) = self.open[split as usize].take() {
                self.close(split, shard)?;
            }
        }
        if let Some(input) = self.last_input.filter(|input| (*input as usize) >= inputs.len()) {
            return Err(Error::value(format!(
                "a document came from input {input}, but only {} are known",
                inputs.len()
            )));
        }
        self.manifest.inputs = inputs;
        self.manifest.set_content_hashes()?;
        let path = self.folder.path.join(MANIFEST);
        self.manifest.check().map_err(|reason| Error::store(&path, reason))?;
        sealed::write(&path, &self.manifest)?;
        sync_folder(Some(&self.folder.path))?;
        // rename(2) would silently replace an empty folder.
        refuse_existing(&self.out)?;
        fs::rename(&self.folder.path, &self.out).map_err(Error::io(&self.out))?;
        self.folder.published = true;
        sync_folder(self.out.parent())?;
        Ok(self.manifest)
    }

    fn close(&mut self, split: Split, shard: OpenShard) -> Result<()> {
        let (name, record) = shard.finish()?;
        let hash = record.content_hash().ok_or_else(|| Error::value("a block has no hash"))?;
        sealed::write(&self.folder.path.join(record_name(&name)), &record)?;
        self.table(split)?.push(name, &record, &hash);
        Ok(())
    }

    fn table(&mut self, split: Split) -> Result<&mut Table> {
        self.manifest.table_mut(split).ok_or_else(|| Error::value("this store has no validation split"))
    }
}

/// `symlink_metadata`, so that a dangling link counts as something there.
fn refuse_existing(out: &Path) -> Result<()> {
    if fs::symlink_metadata(out).is_ok() {
        return Err(Error::store(out, "already exists; remove it or choose another name"));
    }
    Ok(())
}

/// The shard that documents are being appended to.
struct OpenShard {
    name: String,
    tokens: BlockFile,
    docs: BlockFile,
    origin: BlockFile,
    num_tokens: u64,
    num_documents: u64,
}

impl OpenShard {
    fn create(folder: &Path, name: String) -> Result<OpenShard> {
        let file = |kind: ShardFile| BlockFile::create(&folder.join(kind.name(&name)));
        let (tokens, docs, origin) = (file(ShardFile::Tokens)?, file(ShardFile::Docs)?, file(ShardFile::Origin)?);
        Ok(OpenShard { name, tokens, docs, origin, num_tokens: 0, num_documents: 0 })
    }

    /// The ids are known to be below the vocabulary size that `dtype` was chosen for.
    fn append<T: StoredId>(&mut self, ids: &[T], dtype: Dtype, input: u32, position: u64) -> Result<()> {
        match dtype {
            #[expect(clippy::cast_possible_truncation, reason = "ids are below a vocab_size of at most 65,536")]
            Dtype::Uint16 => self.tokens.extend(ids, |id| (id.wide() as u16).to_le_bytes())?,
            Dtype::Uint32 => self.tokens.extend(ids, |id| id.wide().to_le_bytes())?,
        }
        self.num_tokens += ids.len() as u64;
        self.num_documents += 1;
        self.docs.extend(&[self.num_tokens], u64::to_le_bytes)?;
        self.origin.extend(&[u64::from(input), position], u64::to_le_bytes)
    }

    fn finish(self) -> Result<(String, ShardRecord)> {
        let record = ShardRecord {
            num_tokens: self.num_tokens,
            num_documents: self.num_documents,
            tokens: self.tokens.finish()?,
            docs: self.docs.finish()?,
            origin: self.origin.finish()?,
        };
        Ok((self.name, record))
    }
}
