//! What manifest.json and the shard records say, and the checks that make their numbers safe to use.

use super::sealed::{self, Hash, from_hex, sha256};
use super::{BLOCK_BYTES, MANIFEST};
use crate::documents::InputRecord;
use crate::error::{Error, Result};
use crate::hex::to_hex;
use serde::{Deserialize, Serialize};
use std::path::Path;

const FORMAT: &str = "tokenmill-store";
const FORMAT_VERSION: u32 = 1;
/// A million inputs with long names take 300 MB.
const MAX_MANIFEST_BYTES: u64 = 1 << 30;
/// 69 bytes a block: enough for a shard of 4 TB.
const MAX_RECORD_BYTES: u64 = 64 << 20;
/// Ids are u32.
const MAX_VOCAB_SIZE: u64 = 1 << 32;

/// The width of a stored id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Two bytes, for vocabularies of up to 65,536 ids.
    Uint16,
    /// Four bytes.
    Uint32,
}

impl Dtype {
    /// The narrowest type that holds every id below `vocab_size`.
    pub fn for_vocab_size(vocab_size: u64) -> Dtype {
        if vocab_size <= 1 << 16 { Dtype::Uint16 } else { Dtype::Uint32 }
    }

    /// Bytes of one id.
    pub fn width(self) -> u64 {
        match self {
            Dtype::Uint16 => 2,
            Dtype::Uint32 => 4,
        }
    }

    /// NumPy's name.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::Uint16 => "uint16",
            Dtype::Uint32 => "uint32",
        }
    }
}

/// manifest.json.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always "tokenmill-store".
    pub format: String,
    /// Always 1.
    pub format_version: u32,
    /// The program that wrote the store; not part of the content hash.
    pub created_by: String,
    /// [`crate::tokenizer::Tokenizer::fingerprint`] of the tokenizer that made the ids.
    pub tokenizer_fingerprint: String,
    /// SHA-256 of the bytes of tokenizer.json, hexadecimal.
    pub tokenizer_sha256: String,
    /// Every id is below this.
    pub vocab_size: u64,
    /// Width of a stored id.
    pub dtype: Dtype,
    /// The id before each document, where there is one.
    pub bos: Option<u32>,
    /// The id after each document, where there is one.
    pub eos: Option<u32>,
    /// What the documents were read from; an origin's input number is an index into this.
    pub inputs: Vec<InputRecord>,
    /// The shards, in order.
    pub shards: Vec<ShardEntry>,
    /// Tokens in all shards.
    pub num_tokens: u64,
    /// Documents in all shards, empty ones among them.
    pub num_documents: u64,
    /// Documents with no token but BOS and EOS.
    pub num_empty_documents: u64,
    /// SHA-256 over what a reader of the tokens sees: see [`Manifest::expected_content_hash`].
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
    /// The .tokens file.
    pub tokens: FileRecord,
    /// The .docs file.
    pub docs: FileRecord,
    /// The .origin file.
    pub origin: FileRecord,
}

/// Size and block hashes of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of each 4 MiB block (the last may be shorter), hexadecimal.
    pub sha256: Vec<String>,
}

/// The name of shard number `index`.
pub(super) fn shard_name(index: usize) -> String {
    format!("shard-{index:05}")
}

/// The name of a shard's record.
pub(super) fn record_name(shard: &str) -> String {
    format!("{shard}.json")
}

impl ShardEntry {
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
        put(&mut sequence, self.num_tokens);
        put(&mut sequence, self.num_documents);
        for file in ShardFile::ALL {
            let blocks = &self.file(file).sha256;
            put(&mut sequence, u64::try_from(blocks.len()).ok()?);
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
            let blocks = u64::try_from(record.sha256.len()).ok();
            if entry.file_bytes(file, dtype) != Some(record.bytes) || blocks != Some(record.bytes.div_ceil(BLOCK_BYTES))
            {
                return Err(format!("size or number of hashes of {} cannot be right", file.name(&entry.name)));
            }
        }
        match self.content_hash() {
            Some(hash) if to_hex(&hash) == entry.content_hash => Ok(()),
            _ => Err(format!("its hashes are not the ones that {MANIFEST} was written for")),
        }
    }
}

/// What every version of the format has, so that a newer one is refused by name.
#[derive(Deserialize)]
struct Head {
    format: String,
    format_version: u32,
}

impl Manifest {
    /// A manifest of format 1 without inputs, shards and totals.
    pub(super) fn new(fingerprint: &str, vocab_size: u64, bos: Option<u32>, eos: Option<u32>) -> Manifest {
        Manifest {
            format: FORMAT.into(),
            format_version: FORMAT_VERSION,
            created_by: concat!("tokenmill ", env!("CARGO_PKG_VERSION")).into(),
            tokenizer_fingerprint: fingerprint.into(),
            tokenizer_sha256: String::new(),
            vocab_size,
            dtype: Dtype::for_vocab_size(vocab_size),
            bos,
            eos,
            inputs: Vec::new(),
            shards: Vec::new(),
            num_tokens: 0,
            num_documents: 0,
            num_empty_documents: 0,
            content_hash: String::new(),
        }
    }

    /// Reads and checks the manifest of the store at `folder`.
    pub fn load(folder: &Path) -> Result<Manifest> {
        let path = folder.join(MANIFEST);
        let text = Manifest::read_text(&path)?;
        let manifest = Manifest::parse(&path, &text)?;
        if !sealed::is_intact(&text) {
            return Err(Error::store(path, CHANGED));
        }
        manifest.check().map_err(|reason| Error::store(path, reason))?;
        Ok(manifest)
    }

    /// The manifest as JSON, without the file's checksum.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::value(format!("cannot write as JSON: {error}")))
    }

    /// The bytes of manifest.json.
    pub(super) fn read_text(path: &Path) -> Result<Vec<u8>> {
        sealed::load(path, MAX_MANIFEST_BYTES)
    }

    /// What the text says, unchecked but for the version.
    pub(super) fn parse(path: &Path, text: &[u8]) -> Result<Manifest> {
        let head: Head = sealed::parse(path, text)?;
        if head.format != FORMAT {
            return Err(Error::store(path, format!("its format is {:?}, not {FORMAT:?}", head.format)));
        }
        if head.format_version != FORMAT_VERSION {
            let remedy = "install a tokenmill that reads it or prepare the store again";
            return Err(Error::store(
                path,
                format!(
                    "format version {}; this tokenmill reads version {FORMAT_VERSION}: {remedy}",
                    head.format_version
                ),
            ));
        }
        sealed::parse(path, text)
    }

    /// Says what is wrong, if anything. After this, totals are sums, sizes fit u64, and names are only file names.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.vocab_size > MAX_VOCAB_SIZE || self.dtype != Dtype::for_vocab_size(self.vocab_size) {
            return Err(format!("vocab_size {} does not go with {}", self.vocab_size, self.dtype.name()));
        }
        for (name, id) in [("bos", self.bos), ("eos", self.eos)] {
            if let Some(id) = id.filter(|id| u64::from(*id) >= self.vocab_size) {
                return Err(format!("{name} {id} is not below vocab_size {}", self.vocab_size));
            }
        }
        let hashes = [&self.tokenizer_sha256, &self.content_hash].into_iter();
        if let Some(text) =
            hashes.chain(self.inputs.iter().map(|input| &input.sha256)).find(|text| from_hex(text).is_none())
        {
            return Err(format!("{text:?} is not a SHA-256 of 64 hexadecimal digits"));
        }
        self.check_shards()
    }

    fn check_shards(&self) -> Result<(), String> {
        let (mut tokens, mut documents) = (0_u64, 0_u64);
        for (index, shard) in self.shards.iter().enumerate() {
            if shard.name != shard_name(index) {
                return Err(format!("shard {index} is called {:?}, not {:?}", shard.name, shard_name(index)));
            }
            if from_hex(&shard.content_hash).is_none() {
                return Err(format!("the content hash of {} is not a SHA-256", shard.name));
            }
            let too_large = || format!("the counts of {} are beyond what a file can hold", shard.name);
            for file in ShardFile::ALL {
                shard.file_bytes(file, self.dtype).ok_or_else(too_large)?;
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

    /// SHA-256 over: `tokenmill-store-1\n`, the dtype's name and `\n`, vocab_size, bos and eos (2^64 - 1 for none),
    /// the length of the tokenizer's fingerprint and the fingerprint, the number of shards and the 32-byte content
    /// hash of each. Numbers are u64, little-endian. `None`: a shard's hash is not one.
    ///
    /// Names of inputs are left out: the same corpus under another path is the same corpus. So is the program's
    /// version. manifest.json's own checksum covers both.
    pub fn expected_content_hash(&self) -> Option<Hash> {
        let mut sequence = b"tokenmill-store-1\n".to_vec();
        sequence.extend_from_slice(self.dtype.name().as_bytes());
        sequence.push(b'\n');
        put(&mut sequence, self.vocab_size);
        for id in [self.bos, self.eos] {
            put(&mut sequence, id.map_or(u64::MAX, u64::from));
        }
        put(&mut sequence, u64::try_from(self.tokenizer_fingerprint.len()).ok()?);
        sequence.extend_from_slice(self.tokenizer_fingerprint.as_bytes());
        put(&mut sequence, u64::try_from(self.shards.len()).ok()?);
        for shard in &self.shards {
            sequence.extend_from_slice(&from_hex(&shard.content_hash)?);
        }
        Some(sha256(&sequence))
    }
}

/// Why a sealed file whose checksum does not fit is refused.
pub(super) const CHANGED: &str = "its checksum does not fit its text: it was changed or damaged after it was written; \
                                  restore it from a copy or prepare the store again";

fn put(sequence: &mut Vec<u8>, number: u64) {
    sequence.extend_from_slice(&number.to_le_bytes());
}
