//! The tokenizer: one type, two models, special tokens on top.
//!
//! ```text
//! texts ─► tasks ─► any thread ─► ids, back to back in order                        encode, feed
//! chunks ─► what no later chunk can change ─ encode ─► ids                          stream, long
//! ```

mod encode;
mod encoder;
mod feed;
#[cfg(test)]
mod feed_tests;
mod fingerprint;
mod long;
mod room;
mod stream;
#[cfg(test)]
mod tests;

pub use encode::Flat;
pub(crate) use encoder::Encoder;
pub use feed::Feed;
pub(crate) use long::LongText;
pub use stream::Stream;
pub(crate) use stream::in_part;

use crate::bpe::BpeModel;
use crate::error::{Error, Result};
use crate::special::Specials;
use crate::vocab::{SpecialToken, Vocab};
use crate::word::WordModel;
use std::sync::OnceLock;

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
    specials: Specials,
    fingerprint: OnceLock<String>,
}

impl Tokenizer {
    /// Puts a tokenizer together. Special tokens must not share an id or a spelling with each other, nor an id with
    /// an ordinary token.
    pub fn new(model: Model, specials: Vec<SpecialToken>) -> Result<Tokenizer> {
        let tokenizer = Tokenizer { model, specials: Specials::new(specials)?, fingerprint: OnceLock::new() };
        for special in tokenizer.specials() {
            if let Some(bytes) = tokenizer.vocab().bytes(special.id) {
                return Err(Error::value(format!(
                    "special token {:?} has id {}, which is the ordinary token {}",
                    special.text,
                    special.id,
                    crate::vocab::show(bytes)
                )));
            }
        }
        Ok(tokenizer)
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The ordinary tokens.
    pub fn vocab(&self) -> &Vocab {
        match &self.model {
            Model::Bpe(bpe) => bpe.vocab(),
            Model::Word(word) => word.words(),
        }
    }

    /// The special tokens, by id.
    pub fn specials(&self) -> &[SpecialToken] {
        self.specials.tokens()
    }

    /// Largest id + 1.
    pub fn vocab_size(&self) -> usize {
        let last_special = self.specials().last().map_or(0, |special| special.id as usize + 1);
        self.vocab().len().max(last_special)
    }

    /// The bytes of one id: of an ordinary token or a special token's spelling.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.vocab().bytes(id).or_else(|| self.specials.by_id(id).map(|special| special.text.as_bytes()))
    }

    /// The id of a special token or, failing that, of an ordinary token with these bytes.
    pub fn token_to_id(&self, bytes: &[u8]) -> Option<u32> {
        self.specials.by_text(bytes).map(|special| special.id).or_else(|| self.vocab().id(bytes))
    }

    /// The text of `ids`: token bytes one after the other, or words joined readably.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<Vec<u8>> {
        let mut tokens = Vec::with_capacity(ids.len());
        for (index, &id) in ids.iter().enumerate() {
            let special = self.specials.by_id(id);
            let bytes = self.token_bytes(id).ok_or_else(|| {
                Error::UnknownToken(format!(
                    "id {id} (number {index} of {}) is not a token: the vocabulary has {} ids",
                    ids.len(),
                    self.vocab_size()
                ))
            })?;
            if !(skip_special_tokens && special.is_some()) {
                tokens.push((bytes, special.is_some()));
            }
        }
        Ok(match &self.model {
            Model::Bpe(_) => tokens.into_iter().flat_map(|(bytes, _)| bytes).copied().collect(),
            Model::Word(word) => {
                // `WordModel::new` has checked that words are UTF-8; special tokens are strings.
                let words =
                    tokens.into_iter().map(|(bytes, special)| (std::str::from_utf8(bytes).unwrap_or(""), special));
                word.join(words).into_bytes()
            }
        })
    }
}
