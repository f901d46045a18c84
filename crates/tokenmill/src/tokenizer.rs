//! The tokenizer: one type, two models, special tokens on top.

use crate::bpe::{BpeModel, Merges, Output};
use crate::error::{Error, Result};
use crate::hex::to_hex;
use crate::special::{Allowed, Part, Specials};
use crate::threads;
use crate::vocab::{SpecialToken, Vocab};
use crate::word::WordModel;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::ops::Range;
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

/// Below this many bytes in all, handing work to threads costs more than it saves.
const PARALLEL_BYTES: usize = 64 << 10;

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

    /// Appends the ids of `text`, every special token in it taken as ordinary text.
    pub fn encode_ordinary<O: Output>(&self, text: &str, ids: &mut O) -> Result<()> {
        self.encode(text, Allowed::None, ids)
    }

    /// Appends the ids of `text`.
    pub fn encode<O: Output>(&self, text: &str, allowed: Allowed<'_>, ids: &mut O) -> Result<()> {
        O::check(self.vocab_size())?;
        self.specials.cut(text, allowed, |part| match part {
            Part::Special(id, _) => {
                ids.push(id);
                Ok(())
            }
            Part::Text(range) => match &self.model {
                Model::Bpe(bpe) => bpe.encode(&text[range], ids),
                Model::Word(word) => word.encode(&text[range], |id, _| ids.push(id)),
            },
        })
    }

    /// The ids of `text` and the bytes of it that each stands for.
    pub fn encode_with_offsets(&self, text: &str, allowed: Allowed<'_>) -> Result<(Vec<u32>, Vec<Range<usize>>)> {
        let (mut ids, mut spans) = (Vec::new(), Vec::new());
        self.specials.cut(text, allowed, |part| match (part, &self.model) {
            (Part::Special(id, range), _) => {
                ids.push(id);
                spans.push(range);
                Ok(())
            }
            (Part::Text(range), Model::Bpe(bpe)) => {
                let first = ids.len();
                bpe.encode(&text[range.clone()], &mut ids)?;
                // BPE drops and changes nothing: tokens lie side by side.
                let mut position = range.start;
                spans.extend(ids[first..].iter().map(|&id| {
                    let start = position;
                    position += bpe.vocab().bytes(id).map_or(0, <[u8]>::len);
                    start..position
                }));
                Ok(())
            }
            (Part::Text(range), Model::Word(word)) => word.encode(&text[range.clone()], |id, found| {
                ids.push(id);
                spans.push(range.start + found.start..range.start + found.end);
            }),
        })?;
        Ok((ids, spans))
    }

    /// The ids of each text, in order; in parallel where there is enough to do.
    pub fn encode_batch(&self, texts: &[&str], allowed: Allowed<'_>) -> Result<Vec<Vec<u32>>> {
        let one = |text: &&str| {
            let mut ids = Vec::with_capacity(text.len() / 4);
            self.encode(text, allowed, &mut ids)?;
            Ok(ids)
        };
        if texts.len() < 2 || texts.iter().map(|text| text.len()).sum::<usize>() < PARALLEL_BYTES {
            return texts.iter().map(one).collect();
        }
        threads::pool()?.install(|| texts.par_iter().map(one).collect())
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

    /// SHA-256 (hexadecimal) of all that decides which ids a text gets. Equal fingerprints: equal ids for every text.
    pub fn fingerprint(&self) -> &str {
        self.fingerprint.get_or_init(|| {
            let mut hash = Fingerprint(Sha256::new());
            hash.field(b"tokenmill tokenizer 1");
            match &self.model {
                Model::Bpe(bpe) => {
                    hash.field(b"bpe");
                    hash.field(bpe.pattern().name_or_regex().as_bytes());
                    hash.field(&[u8::from(bpe.whole_pieces())]);
                    match bpe.merges() {
                        Merges::Ranks => hash.field(b"ranks"),
                        Merges::List(list) => {
                            hash.field(b"list");
                            for merge in list {
                                hash.numbers(&[merge.left, merge.right, merge.id]);
                            }
                        }
                    }
                }
                Model::Word(word) => {
                    hash.field(b"word");
                    hash.field(word.split().name_or_regex().as_bytes());
                    hash.numbers(word.unknown().as_slice());
                }
            }
            for (id, bytes) in self.vocab().iter() {
                hash.numbers(&[id]);
                hash.field(bytes);
            }
            hash.field(b"special");
            for special in self.specials() {
                hash.numbers(&[special.id, u32::from(special.always)]);
                hash.field(special.text.as_bytes());
            }
            to_hex(&hash.0.finalize())
        })
    }
}

/// Fields with their lengths, so that no two tokenizers feed the hash the same bytes.
struct Fingerprint(Sha256);

impl Fingerprint {
    fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn numbers(&mut self, numbers: &[u32]) {
        self.0.update((numbers.len() as u64).to_le_bytes());
        for number in numbers {
            self.0.update(number.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::Pattern;

    fn tokenizer() -> Tokenizer {
        let tokens = (0..=u8::MAX).map(|byte| (u32::from(byte), vec![byte])).chain([(256, b"ab".to_vec())]).collect();
        let bpe =
            BpeModel::new(Pattern::parse("gpt2").unwrap(), Vocab::new(tokens).unwrap(), Merges::Ranks, true).unwrap();
        let special = |text: &str, id, always| SpecialToken { text: text.into(), id, always };
        let specials = vec![special("<|x|>", 300, false), special("<|x|>y", 301, false), special("ZZ", 302, true)];
        Tokenizer::new(Model::Bpe(bpe), specials).unwrap()
    }

    fn encode(text: &str, allowed: Allowed<'_>) -> Vec<u32> {
        let mut ids = Vec::new();
        tokenizer().encode(text, allowed, &mut ids).unwrap();
        ids
    }

    #[test]
    fn special_tokens_are_text_unless_allowed_and_the_longest_wins() {
        assert_eq!(encode("ab<|x|>", Allowed::None), [256, 60, 124, 120, 124, 62]);
        assert_eq!(encode("ab<|x|>y", Allowed::All), [256, 301]);
        assert_eq!(encode("ab<|x|>y", Allowed::Only(&["<|x|>".into()])), [256, 300, 121]);
        assert_eq!(encode("abZZ", Allowed::None), [256, 302]);
        let error = tokenizer().encode("a", Allowed::Only(&["<|y|>".into()]), &mut Vec::<u32>::new()).unwrap_err();
        assert!(error.to_string().contains("<|y|>"), "{error}");
    }

    #[test]
    fn offsets_tile_the_text() {
        let (ids, spans) = tokenizer().encode_with_offsets("ab<|x|>é", Allowed::All).unwrap();
        assert_eq!(ids, [256, 300, 0xC3, 0xA9]);
        assert_eq!(spans, [0..2, 2..7, 7..8, 8..9]);
    }

    #[test]
    fn decoding_gives_the_bytes_back_and_names_unknown_ids() {
        assert_eq!(tokenizer().decode(&[256, 300, 97], false).unwrap(), b"ab<|x|>a");
        assert_eq!(tokenizer().decode(&[256, 300, 97], true).unwrap(), b"aba");
        assert!(tokenizer().decode(&[97, 299], false).unwrap_err().to_string().contains("id 299 (number 1 of 2)"));
    }

    #[test]
    fn fingerprints_tell_tokenizers_apart() {
        let other = Tokenizer::new(tokenizer().model, vec![]).unwrap();
        assert_eq!(tokenizer().fingerprint(), tokenizer().fingerprint());
        assert_ne!(tokenizer().fingerprint(), other.fingerprint());
    }

    #[test]
    fn batches_equal_single_calls_for_any_size() {
        let text = "abcab ab ".repeat(2000);
        let texts: Vec<&str> = (0..40).map(|i| &text[i * 9..]).collect();
        let batch = tokenizer().encode_batch(&texts, Allowed::None).unwrap();
        for (text, ids) in texts.iter().zip(&batch) {
            assert_eq!(&encode(text, Allowed::None), ids);
        }
    }
}
