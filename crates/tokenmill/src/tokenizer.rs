//! The tokenizer: one type, two models, special tokens on top.

use crate::bpe::BpeModel;
use crate::error::Result;
use crate::vocab::SpecialToken;
use crate::word::WordModel;
use std::path::Path;

/// What turns ordinary text into ids.
#[derive(Debug)]
pub enum Model {
    /// Byte-level BPE.
    Bpe(BpeModel),
    /// Whole words.
    Word(WordModel),
}

/// Text → ids → text. Immutable; share it between threads.
#[derive(Debug)]
pub struct Tokenizer {
    model: Model,
    specials: Vec<SpecialToken>,
}

impl Tokenizer {
    /// Puts a tokenizer together. Special tokens must not share an id or a spelling.
    pub fn new(model: Model, specials: Vec<SpecialToken>) -> Result<Tokenizer> {
        Ok(Tokenizer { model, specials })
    }
    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }
    /// The special tokens, by id.
    pub fn specials(&self) -> &[SpecialToken] {
        &self.specials
    }
    /// Largest id + 1.
    pub fn vocab_size(&self) -> usize {
        todo!()
    }
    /// SHA-256 (hexadecimal) of all that decides which ids a text gets.
    pub fn fingerprint(&self) -> &str {
        todo!()
    }
    /// Appends the ids of `text`, every special token in it taken as ordinary text.
    pub fn encode_ordinary(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let _ = (text, ids);
        todo!()
    }
    /// The bytes of one id: of an ordinary token or a special token's spelling.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        let _ = id;
        todo!()
    }
    /// The id of a special token or, failing that, of an ordinary token with these bytes.
    pub fn token_to_id(&self, bytes: &[u8]) -> Option<u32> {
        let _ = bytes;
        todo!()
    }
    /// Concatenates the bytes of `ids` (for words: joined readably).
    pub fn decode(&self, ids: &[u32]) -> Result<Vec<u8>> {
        let _ = ids;
        todo!()
    }
    /// Writes a tokenizer.json.
    pub fn save_json(&self, path: &Path) -> Result<()> {
        let _ = path;
        todo!()
    }
    /// Reads a tokenizer.json.
    pub fn load_json(path: &Path) -> Result<Tokenizer> {
        let _ = path;
        todo!()
    }
}
