//! Ids ↔ bytes, and special tokens.

use crate::error::{Error, Result};
use rustc_hash::FxHashMap;

/// Ordinary tokens: each id stands for a non-empty byte string. Ids may have gaps (special tokens sit in them).
#[derive(Debug, Clone)]
pub struct Vocab {
    bytes: Vec<u8>,
    /// End of token `i` in `bytes`; an empty token is a gap.
    ends: Vec<usize>,
    ids: FxHashMap<Box<[u8]>, u32>,
}

/// A file that names one token 4,000,000,000 must not make us allocate for the gap before it.
const MAX_GAP: usize = 1 << 16;

impl Vocab {
    /// Builds the vocabulary. Tokens may come in any order; an id twice or an empty token is an error.
    /// Two ids for the same bytes are allowed (training can produce them): `id` then gives the smaller.
    pub fn new(mut tokens: Vec<(u32, Vec<u8>)>) -> Result<Vocab> {
        tokens.sort_unstable_by_key(|(id, _)| *id);
        let mut vocab = Vocab {
            bytes: Vec::with_capacity(tokens.iter().map(|(_, bytes)| bytes.len()).sum()),
            ends: Vec::with_capacity(tokens.len()),
            ids: FxHashMap::with_capacity_and_hasher(tokens.len(), rustc_hash::FxBuildHasher),
        };
        for (id, bytes) in tokens {
            let index = id as usize;
            if bytes.is_empty() {
                return Err(Error::value(format!("token {id} is empty; every token needs at least one byte")));
            }
            if index < vocab.ends.len() {
                return Err(Error::value(format!("id {id} is given to two tokens, the second {}", show(&bytes))));
            }
            if index - vocab.ends.len() > MAX_GAP {
                return Err(Error::value(format!(
                    "ids jump from {} to {id}; a gap of more than {MAX_GAP} unused ids is not plausible",
                    vocab.ends.len()
                )));
            }
            vocab.ends.resize(index, vocab.bytes.len());
            vocab.bytes.extend_from_slice(&bytes);
            vocab.ends.push(vocab.bytes.len());
            vocab.ids.entry(bytes.into_boxed_slice()).or_insert(id);
        }
        Ok(vocab)
    }

    /// Largest id + 1.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of a token; `None` for a gap or an id out of range.
    pub fn bytes(&self, id: u32) -> Option<&[u8]> {
        let index = id as usize;
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        (start < end).then(|| &self.bytes[start..end])
    }

    /// The id of these bytes.
    pub fn id(&self, bytes: &[u8]) -> Option<u32> {
        self.ids.get(bytes).copied()
    }

    /// All tokens in id order, gaps left out.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..).take(self.len()).filter_map(|id| self.bytes(id).map(|bytes| (id, bytes)))
    }
}

/// A token that stands for itself, never for a piece of running text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialToken {
    /// How it is written.
    pub text: String,
    /// Its id.
    pub id: u32,
    /// Found in every text, whether allowed or not: Hugging Face's added tokens that are not "special".
    pub always: bool,
}

/// Bytes as a person can read them: text where it is UTF-8, `\xNN` elsewhere.
pub fn show(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => format!("{text:?}"),
        Err(_) => format!("b\"{}\"", bytes.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocab(tokens: &[(u32, &str)]) -> Result<Vocab> {
        Vocab::new(tokens.iter().map(|(id, text)| (*id, text.as_bytes().to_vec())).collect())
    }

    #[test]
    fn ids_and_bytes_are_inverse_and_gaps_are_none() {
        let vocab = vocab(&[(3, "d"), (0, "a")]).unwrap();
        assert_eq!(vocab.len(), 4);
        assert_eq!(vocab.bytes(0), Some(b"a".as_slice()));
        assert_eq!(vocab.bytes(1), None);
        assert_eq!(vocab.bytes(3), Some(b"d".as_slice()));
        assert_eq!(vocab.bytes(4), None);
        assert_eq!(vocab.id(b"d"), Some(3));
        assert_eq!(vocab.iter().map(|(id, _)| id).collect::<Vec<_>>(), [0, 3]);
    }

    #[test]
    fn an_id_twice_an_empty_token_and_a_huge_gap_are_refused() {
        assert!(vocab(&[(0, "a"), (0, "b")]).unwrap_err().to_string().contains("two tokens"));
        assert!(vocab(&[(0, "")]).unwrap_err().to_string().contains("empty"));
        assert!(vocab(&[(4_000_000_000, "a")]).unwrap_err().to_string().contains("gap"));
    }
}
