//! What a store records about its shards: the manifest's tables of them, and the record beside each.

use super::dtype::Dtype;
use super::sealed::{self, Hash, from_hex, put_number, sha256};
use super::split::Split;
use super::text_hash::TextHash;
use super::{BLOCK_BYTES, MANIFEST};
use crate::error::{Error, Result};
use crate::hex::to_hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// 69 bytes a block: enough for a shard of 4 TB.
const MAX_RECORD_BYTES: u64 = 64 << 20;

/// The shards of one split and what they come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The shards, in order.
    pub shards: Vec<ShardEntry>,
    /// Tokens in all shards.
    pub num_tokens: u64,
    /// Documents in all shards, empty ones among them.
    pub num_documents: u64,
    /// Documents with no token but BOS and EOS.
    pub num_empty_documents: u64,
    /// SHA-256 over what a reader of the tokens sees: see [`super::Manifest::expected_content_hash`].
    pub content_hash: String,
}

/// A line of the manifest's shard table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// "shard-00000": the files' names without their extension.
    pub name: String,
    /// Tokens in the shard.
    pub num_tokens: u64,
    /// Documents in the shard.
    pub num_documents: u64,
    /// SHA-256 over the shard's counts and block hashes: see [`ShardRecord::content_hash`].
    pub content_hash: String,
}

/// The three data files of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardFile {
    /// The ids.
    Tokens,
    /// The ends of the documents.
    Docs,
    /// Where the documents came from.
    Origin,
}

impl ShardFile {
    /// In the order of the canonical sequence.
    pub const ALL: [ShardFile; 3] = [ShardFile::Tokens, ShardFile::Docs, ShardFile::Origin];

    /// The file's name in the store.
    pub fn name(self, shard: &str) -> String {
        let extension = match self {
            ShardFile::Tokens => "tokens",
            ShardFile::Docs => "docs",
            ShardFile::Origin => "origin",
        };
        format!("{shard}.{extension}")
    }
}

/// `shard-NNNNN.json`, written after the shard's other files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRecord {
    /// Tokens in the shard.
    pub num_tokens: u64,
    /// Documents in the shard.
    pub num_documents: u64,
    /// Documents with no token but BOS and EOS.
    pub num_empty_documents: u64,
    /// SHA-256 over what the shard was made of, hexadecimal: see [`SourceHash`].
    pub source: String,
    /// The .tokens file.
    pub tokens: FileRecord,
    /// The .docs file.
    pub docs: FileRecord,
    /// The .origin file.
    pub origin: FileRecord,
    /// The .texts file, which only shards of tasks have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<FileRecord>,
}

/// Size and block hashes of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Size of the file.
    pub bytes: u64,
    /// BLAKE3 of each 4 MiB block (the last may be shorter), hexadecimal.
    pub blake3: Vec<String>,
}

/// Where a document comes from, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The number of its input.
    pub input: u32,
    /// Its position there.
    pub position: u64,
    /// What its text is told by.
    pub text: TextHash,
    /// Size of its text in UTF-8.
    pub text_bytes: u64,
    /// How often its text spells a special token.
    pub special_text: u64,
}

/// SHA-256 over the documents of a shard: input number and position (u64, little-endian) and the quick hash of
/// the text (16 bytes, likewise) of each. Tells whether the inputs are still what the shard was made of.
#[derive(Debug, Clone, Default)]
pub struct SourceHash(Sha256);

impl SourceHash {
    /// Adds the next document.
    pub fn update(&mut self, origin: &Origin) {
        self.0.update(u64::from(origin.input).to_le_bytes());
        self.0.update(origin.position.to_le_bytes());
        self.0.update(origin.text.quick.to_le_bytes());
    }

    /// The hash of all documents added, in hexadecimal digits.
    pub fn finish(self) -> String {
        to_hex(&self.0.finalize())
    }
}

impl Table {
    /// Says what is wrong, if anything. After this, totals are sums and sizes fit u64.
    pub(super) fn check(&self, split: Split, dtype: Dtype) -> Result<(), String> {
        let (mut tokens, mut documents) = (0_u64, 0_u64);
        if from_hex(&self.content_hash).is_none() {
            return Err(format!("{:?} is not a SHA-256 of 64 hexadecimal digits", self.content_hash));
        }
        for (index, shard) in self.shards.iter().enumerate() {
            if shard.name != shard_name(split, index) {
                return Err(format!("shard {index} is called {:?}, not {:?}", shard.name, shard_name(split, index)));
            }
            if from_hex(&shard.content_hash).is_none() {
                return Err(format!("the content hash of {} is not a SHA-256", shard.name));
            }
            let too_large = || format!("the counts of {} are beyond what a file can hold", shard.name);
            for file in ShardFile::ALL {
                shard.file_bytes(file, dtype).ok_or_else(too_large)?;
            }
            if shard.num_documents == 0 {
                return Err(format!("{} has no documents; such a shard is never written", shard.name));
            }
            tokens = tokens.checked_add(shard.num_tokens).ok_or_else(too_large)?;
            documents = documents.checked_add(shard.num_documents).ok_or_else(too_large)?;
        }
        if (tokens, documents) != (self.num_tokens, self.num_documents) || self.num_empty_documents > documents {
            return Err(format!(
                "totals of {} tokens in {} documents ({} empty) where the shards have {tokens} in {documents}",
                self.num_tokens, self.num_documents, self.num_empty_documents
            ));
        }
        Ok(())
    }

    /// Adds a finished shard.
    pub(super) fn push(&mut self, name: &str, record: &ShardRecord) -> Result<()> {
        let entry = ShardEntry::of(name, record).ok_or_else(|| Error::value("a block has no hash"))?;
        self.num_tokens += record.num_tokens;
        self.num_documents += record.num_documents;
        self.num_empty_documents += record.num_empty_documents;
        self.shards.push(entry);
        Ok(())
    }
}

/// The name of shard number `index` of a split.
pub(super) fn shard_name(split: Split, index: usize) -> String {
    format!("{}-{index:05}", split.shard_prefix())
}

/// Input number and position of a document of a shard, as its .origin file has them.
pub(super) fn origin_at(folder: &Path, shard: &str, document: u64) -> Result<(u64, u64)> {
    let path = folder.join(ShardFile::Origin.name(shard));
    let mut entry = [[0; 8]; 2];
    File::open(&path)
        .and_then(|mut file| {
            file.seek(SeekFrom::Start(document.saturating_mul(16)))?;
            file.read_exact(entry.as_flattened_mut())
        })
        .map_err(Error::io(&path))?;
    let [input, position] = entry.map(u64::from_le_bytes);
    Ok((input, position))
}

/// The name of the file of a task's shard that tells of each text: see `texts`.
pub(super) fn texts_name(shard: &str) -> String {
    format!("{shard}.texts")
}

/// The four files of a shard, its record last.
pub(super) fn files_of(shard: &str) -> [String; 4] {
    let [tokens, docs, origin] = ShardFile::ALL.map(|file| file.name(shard));
    [tokens, docs, origin, record_name(shard)]
}

/// The name of a shard's record.
pub(super) fn record_name(shard: &str) -> String {
    format!("{shard}.json")
}

impl ShardEntry {
    /// The line for a shard with this record; `None`: a hash in it is not one.
    pub(super) fn of(name: &str, record: &ShardRecord) -> Option<ShardEntry> {
        Some(ShardEntry {
            name: name.into(),
            num_tokens: record.num_tokens,
            num_documents: record.num_documents,
            content_hash: to_hex(&record.content_hash()?),
        })
    }

    /// Size that a file of the shard must have; `None` where the counts are beyond all bounds.
    pub fn file_bytes(&self, file: ShardFile, dtype: Dtype) -> Option<u64> {
        match file {
            ShardFile::Tokens => self.num_tokens.checked_mul(dtype.width()),
            ShardFile::Docs => self.num_documents.checked_mul(8),
            ShardFile::Origin => self.num_documents.checked_mul(16),
        }
    }
}

impl ShardRecord {
    /// The record of one of the files.
    pub fn file(&self, file: ShardFile) -> &FileRecord {
        match file {
            ShardFile::Tokens => &self.tokens,
            ShardFile::Docs => &self.docs,
            ShardFile::Origin => &self.origin,
        }
    }

    /// SHA-256 over: `tokenmill-shard-1\n`, tokens, documents, then for .tokens, .docs and .origin the number of
    /// blocks and the 32-byte hashes of the blocks. Numbers are u64, little-endian. `None`: a hash is not one.
    pub fn content_hash(&self) -> Option<Hash> {
        let mut sequence = b"tokenmill-shard-1\n".to_vec();
        put_number(&mut sequence, self.num_tokens);
        put_number(&mut sequence, self.num_documents);
        for file in ShardFile::ALL {
            let blocks = &self.file(file).blake3;
            put_number(&mut sequence, u64::try_from(blocks.len()).ok()?);
            for block in blocks {
                sequence.extend_from_slice(&from_hex(block)?);
            }
        }
        Some(sha256(&sequence))
    }

    /// Reads a record and the text it was read from.
    pub(super) fn load(path: &Path) -> Result<(ShardRecord, Vec<u8>)> {
        let text = sealed::load(path, MAX_RECORD_BYTES)?;
        Ok((sealed::parse(path, &text)?, text))
    }

    /// What does not agree with the manifest, if anything.
    pub(super) fn check(&self, entry: &ShardEntry, dtype: Dtype) -> Result<(), String> {
        if (self.num_tokens, self.num_documents) != (entry.num_tokens, entry.num_documents) {
            return Err(format!(
                "records {} tokens in {} documents where {MANIFEST} has {} in {}",
                self.num_tokens, self.num_documents, entry.num_tokens, entry.num_documents
            ));
        }
        for file in ShardFile::ALL {
            let record = self.file(file);
            let blocks = u64::try_from(record.blake3.len()).ok();
            if entry.file_bytes(file, dtype) != Some(record.bytes) || blocks != Some(record.bytes.div_ceil(BLOCK_BYTES))
            {
                return Err(format!("size or number of hashes of {} cannot be right", file.name(&entry.name)));
            }
        }
        if from_hex(&self.source).is_none() || self.num_empty_documents > self.num_documents {
            return Err("the hash of its source or the number of its empty documents cannot be right".into());
        }
        match self.content_hash() {
            Some(hash) if to_hex(&hash) == entry.content_hash => Ok(()),
            _ => Err(format!("its hashes are not the ones that {MANIFEST} was written for")),
        }
    }
}
