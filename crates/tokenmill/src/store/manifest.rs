//! What manifest.json and the shard records say, and the checks that make their numbers safe to use.

use super::dtype::Dtype;
use super::history::Earlier;
use super::sealed::{self, Hash, from_hex, put_number, sha256};
use super::shard::Table;
use super::split::Split;
use super::{MANIFEST, Summary};
use crate::documents::InputRecord;
use crate::error::{Error, Result};
use crate::hex::to_hex;
use serde::{Deserialize, Serialize};
use std::path::Path;

const FORMAT: &str = "tokenmill-store";
const FORMAT_VERSION: u32 = 1;
/// This program.
pub(super) const CREATED_BY: &str = concat!("tokenmill ", env!("CARGO_PKG_VERSION"));
/// A million inputs with long names take 300 MB.
const MAX_MANIFEST_BYTES: u64 = 1 << 30;
/// Ids are u32.
const MAX_VOCAB_SIZE: u64 = 1 << 32;

/// manifest.json.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// What became of the documents in them.
    pub summary: Summary,
    /// What to train on: all documents, but for those of the other split.
    #[serde(flatten)]
    pub train: Table,
    /// What is kept from training, where any was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// The store before each append, where there were any, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Earlier>,
}

/// The split that is kept from training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Which documents belong to it: see [`super::Splitter`].
    pub fraction: f64,
    /// Its shards.
    #[serde(flatten)]
    pub table: Table,
}

/// What every version of the format has, so that a newer one is refused by name.
#[derive(Deserialize)]
struct Head {
    format: String,
    format_version: u32,
}

impl Manifest {
    /// How many ids of a document are not of its text.
    pub(super) fn added(&self) -> u64 {
        u64::from(self.bos.is_some()) + u64::from(self.eos.is_some())
    }

    /// A manifest of format 1 without inputs, shards and totals.
    pub(super) fn new(fingerprint: &str, vocab_size: u64, bos: Option<u32>, eos: Option<u32>) -> Manifest {
        Manifest {
            format: FORMAT.into(),
            format_version: FORMAT_VERSION,
            created_by: CREATED_BY.into(),
            tokenizer_fingerprint: fingerprint.into(),
            tokenizer_sha256: String::new(),
            vocab_size,
            dtype: Dtype::for_vocab_size(vocab_size),
            bos,
            eos,
            inputs: Vec::new(),
            summary: Summary::default(),
            train: Table::default(),
            validation: None,
            history: Vec::new(),
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
        let hashes = self.inputs.iter().map(|input| &input.blake3).chain([&self.tokenizer_sha256]);
        if let Some(text) = hashes.into_iter().find(|text| from_hex(text).is_none()) {
            return Err(format!("{text:?} is not a hash of 64 hexadecimal digits"));
        }
        self.tables().try_for_each(|(split, table)| table.check(split, self.dtype))?;
        self.check_history()
    }

    /// The splits that the store has, each with its shards.
    pub fn tables(&self) -> impl Iterator<Item = (Split, &Table)> {
        let validation = self.validation.iter().map(|validation| (Split::Validation, &validation.table));
        std::iter::once((Split::Train, &self.train)).chain(validation)
    }

    /// The shards of a split, if the store has it.
    pub fn table(&self, split: Split) -> Option<&Table> {
        self.tables().find(|(found, _)| *found == split).map(|(_, table)| table)
    }

    /// The shards of a split, to add to them.
    pub(super) fn table_mut(&mut self, split: Split) -> Option<&mut Table> {
        match split {
            Split::Train => Some(&mut self.train),
            Split::Validation => self.validation.as_mut().map(|validation| &mut validation.table),
        }
    }

    /// Fills in the content hashes once all shards are known.
    pub(super) fn set_content_hashes(&mut self) -> Result<()> {
        for split in Split::ALL {
            let hash = self.table(split).map(|table| self.expected_content_hash(table));
            if let (Some(hash), Some(table)) = (hash, self.table_mut(split)) {
                table.content_hash = to_hex(&hash.ok_or_else(|| Error::value("a shard has no content hash"))?);
            }
        }
        Ok(())
    }

    /// Of one split, SHA-256 over: `tokenmill-store-1\n`, the dtype's name and `\n`, vocab_size, bos and eos (2^64 - 1 for none),
    /// the length of the tokenizer's fingerprint and the fingerprint, the number of shards and the 32-byte content
    /// hash of each. Numbers are u64, little-endian. `None`: a shard's hash is not one.
    ///
    /// Names of inputs are left out: the same corpus under another path is the same corpus. So is the program's
    /// version. manifest.json's own checksum covers both.
    pub fn expected_content_hash(&self, table: &Table) -> Option<Hash> {
        let mut sequence = b"tokenmill-store-1\n".to_vec();
        sequence.extend_from_slice(self.dtype.name().as_bytes());
        sequence.push(b'\n');
        put_number(&mut sequence, self.vocab_size);
        for id in [self.bos, self.eos] {
            put_number(&mut sequence, id.map_or(u64::MAX, u64::from));
        }
        put_number(&mut sequence, u64::try_from(self.tokenizer_fingerprint.len()).ok()?);
        sequence.extend_from_slice(self.tokenizer_fingerprint.as_bytes());
        put_number(&mut sequence, u64::try_from(table.shards.len()).ok()?);
        for shard in &table.shards {
            sequence.extend_from_slice(&from_hex(&shard.content_hash)?);
        }
        Some(sha256(&sequence))
    }
}

/// Why a sealed file whose checksum does not fit is refused.
pub(super) const CHANGED: &str = "its checksum does not fit its text: it was changed or damaged after it was written; \
                                  restore it from a copy or prepare the store again";
