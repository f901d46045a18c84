//! Which id stands for which bytes while the vocabulary grows.

use super::{BYTES, Base, Compat, TrainOptions};
use crate::bpe::{BpeModel, Merge, Merges};
use crate::byte_level;
use crate::error::{Error, Result};
use crate::vocab::{SpecialToken, Vocab, show};
use rustc_hash::FxHashMap;

pub(super) struct Numbering<'a> {
    base: Option<Base<'a>>,
    compat: Compat,
    byte_ids: [u32; BYTES as usize],
    /// The bytes of each id; those of special tokens and of gaps are empty.
    tokens: Vec<Vec<u8>>,
    by_bytes: FxHashMap<Vec<u8>, u32>,
}

impl<'a> Numbering<'a> {
    /// The tokens that there are before the first merge.
    pub(super) fn new(options: &TrainOptions) -> Numbering<'a> {
        let (first, order): (usize, Vec<u8>) = match options.compat {
            Compat::Gpt => (0, (0..=u8::MAX).collect()),
            Compat::HuggingFace => (options.special_tokens.len(), byte_level::alphabet_order().to_vec()),
        };
        let mut tokens = vec![Vec::new(); first];
        tokens.extend(order.into_iter().map(|byte| vec![byte]));
        Numbering::of(None, options.compat, tokens)
    }

    /// The tokens of a tokenizer that is to be extended.
    pub(super) fn extending(base: Base<'a>) -> Result<Numbering<'a>> {
        let mut tokens = vec![Vec::new(); base.ids()];
        for (id, bytes) in base.model.vocab().iter() {
            tokens[id as usize] = bytes.to_vec();
        }
        let numbering = Numbering::of(Some(base), Compat::HuggingFace, tokens);
        match numbering.byte_ids.iter().position(|id| *id == u32::MAX) {
            Some(byte) => Err(Error::value(format!(
                "the byte 0x{byte:02X} has no token in the tokenizer that is to be extended, and a text may hold it"
            ))),
            None => Ok(numbering),
        }
    }

    fn of(base: Option<Base<'a>>, compat: Compat, tokens: Vec<Vec<u8>>) -> Numbering<'a> {
        let mut by_bytes = FxHashMap::default();
        for (id, bytes) in (0..).zip(&tokens) {
            if !bytes.is_empty() {
                by_bytes.entry(bytes.clone()).or_insert(id);
            }
        }
        let byte_ids = std::array::from_fn(|byte| {
            let byte = [u8::try_from(byte).unwrap_or_default()];
            by_bytes.get(byte.as_slice()).copied().unwrap_or(u32::MAX)
        });
        Numbering { base, compat, byte_ids, tokens, by_bytes }
    }

    /// The id of each byte.
    pub(super) fn byte_ids(&self) -> &[u32; BYTES as usize] {
        &self.byte_ids
    }

    /// Bytes of each token, by id.
    #[expect(clippy::cast_possible_truncation, reason = "tokens of a vocabulary are below 4 GiB")]
    pub(super) fn lengths(&self) -> Vec<u32> {
        self.tokens.iter().map(|bytes| bytes.len() as u32).collect()
    }

    /// The id of the next new token.
    #[expect(clippy::cast_possible_truncation, reason = "ids are below vocab_size")]
    pub(super) fn next_id(&self) -> u32 {
        self.tokens.len() as u32
    }

    pub(super) fn bytes(&self, id: u32) -> &[u8] {
        &self.tokens[id as usize]
    }

    /// The id for a new merge, and whether it is a new token.
    pub(super) fn make(&mut self, left: u32, right: u32) -> (u32, bool) {
        let bytes = [self.bytes(left), self.bytes(right)].concat();
        // Two ids for one token are what GPT's trainers make of it; whoever extends a tokenizer has no use for them.
        if self.compat == Compat::HuggingFace
            && let Some(&id) = self.by_bytes.get(&bytes)
        {
            return (id, false);
        }
        let id = self.next_id();
        self.by_bytes.entry(bytes.clone()).or_insert(id);
        self.tokens.push(bytes);
        (id, true)
    }

    /// The model that these merges give, and its special tokens.
    pub(super) fn finish(self, options: &TrainOptions, merges: &[Merge]) -> Result<(BpeModel, Vec<SpecialToken>)> {
        let specials = match self.base {
            Some(base) => base.specials.to_vec(),
            None => self.number_specials(&options.special_tokens)?,
        };
        let tokens = (0..).zip(self.tokens).filter(|(_, bytes)| !bytes.is_empty()).collect();
        let before = self.base.map(|base| base.model.merge_list()).unwrap_or_default();
        let merges = Merges::List(before.iter().chain(merges).copied().collect());
        let whole_pieces = self.base.is_some_and(|base| base.model.whole_pieces());
        let model = BpeModel::new(options.pattern.clone(), Vocab::new(tokens)?, merges, whole_pieces)?;
        Ok((model, specials))
    }

    fn number_specials(&self, texts: &[String]) -> Result<Vec<SpecialToken>> {
        let first = match self.compat {
            Compat::Gpt => self.next_id(),
            Compat::HuggingFace => 0,
        };
        for text in texts {
            if let Some(id) = self.by_bytes.get(text.as_bytes()) {
                return Err(Error::value(format!(
                    "special token {} is also an ordinary token (id {id}); choose a spelling that does not occur in text",
                    show(text.as_bytes())
                )));
            }
        }
        Ok((first..).zip(texts).map(|(id, text)| SpecialToken { text: text.clone(), id, always: false }).collect())
    }
}
