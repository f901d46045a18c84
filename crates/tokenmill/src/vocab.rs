//! Ids ↔ bytes, and special tokens.

use crate::byte_map::ByteMap;
use crate::error::{Error, Result};
use crate::prefetch::prefetch;
use crate::short_key::short_key;

/// Ordinary tokens: each id stands for a non-empty byte string. Ids may have gaps (special tokens sit in them).
#[derive(Debug, Clone)]
pub struct Vocab {
    /// All tokens by id, one after the other.
    bytes: Vec<u8>,
    /// Token `i` is `bytes[starts[i]..starts[i + 1]]`; an empty token is a gap.
    starts: Vec<u32>,
    ids: ByteMap,
    /// Whether two ids stand for the same bytes somewhere.
    repeats: bool,
}

/// A file that names one token 4,000,000,000 must not make us allocate for the gap before it.
const MAX_GAP: usize = 1 << 16;

/// Tokens on their way into a [`Vocab`], one after the other in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    bytes: Vec<u8>,
    /// Id, and where the token ends. Of more than 4 GiB, which [`Vocab::from_tokens`] refuses, the ends mean nothing.
    entries: Vec<(u32, u32)>,
}

impl Tokens {
    /// Room for `count` tokens of `bytes` bytes in all.
    pub(crate) fn with_capacity(count: usize, bytes: usize) -> Tokens {
        Tokens { bytes: Vec::with_capacity(bytes), entries: Vec::with_capacity(count) }
    }

    /// Adds a token whose bytes `write` appends; what it has appended when it fails is taken back.
    pub(crate) fn push<E>(&mut self, id: u32, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.bytes.len();
        write(&mut self.bytes).inspect_err(|_| self.bytes.truncate(start))?;
        self.end(id);
        Ok(())
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "checked once, in `Vocab::from_tokens`")]
    fn end(&mut self, id: u32) {
        self.entries.push((id, self.bytes.len() as u32));
    }

    /// In the order in which they came.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|(id, _)| *id)
    }

    fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let mut start = 0;
        self.entries.iter().map(move |&(id, end)| {
            let end = end as usize;
            (id, &self.bytes[std::mem::replace(&mut start, end)..end])
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// By id; tokens of one id stay in their order.
    fn sort(self) -> Tokens {
        if self.entries.is_sorted_by_key(|(id, _)| *id) {
            return self;
        }
        let mut tokens: Vec<(u32, &[u8])> = self.iter().collect();
        tokens.sort_by_key(|(id, _)| *id);
        let mut sorted = Tokens::with_capacity(tokens.len(), self.bytes.len());
        for (id, bytes) in tokens {
            sorted.bytes.extend_from_slice(bytes);
            sorted.end(id);
        }
        sorted
    }
}

impl Vocab {
    /// Builds the vocabulary. Tokens may come in any order; an id twice or an empty token is an error.
    /// Two ids for the same bytes are allowed (training can produce them): `id` then gives the smaller.
    pub fn new(tokens: Vec<(u32, Vec<u8>)>) -> Result<Vocab> {
        let mut all = Tokens::with_capacity(tokens.len(), tokens.iter().map(|(_, bytes)| bytes.len()).sum());
        for (id, bytes) in tokens {
            all.bytes.extend_from_slice(&bytes);
            all.end(id);
        }
        Vocab::from_tokens(all)
    }

    /// [`Vocab::new`] from one buffer.
    pub(crate) fn from_tokens(tokens: Tokens) -> Result<Vocab> {
        let size = tokens.bytes.len();
        if u32::try_from(size).is_err() {
            return Err(Error::value(format!("the tokens have {size} bytes in all; less than 4 GiB are supported")));
        }
        let Tokens { bytes, entries } = tokens.sort();
        let starts = starts(&bytes, &entries)?;
        let vocab = Vocab { bytes, starts, ids: ByteMap::for_at_most(0), repeats: false };
        let mut ids = ByteMap::for_at_most(entries.len());
        let mut repeats = false;
        ids.insert_all(vocab.iter(), |id| vocab.at(id), |_, _| repeats = true);
        Ok(Vocab { ids, repeats, ..vocab })
    }

    /// Largest id + 1.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of a token; `None` for a gap or an id out of range.
    #[inline]
    pub fn bytes(&self, id: u32) -> Option<&[u8]> {
        let index = id as usize;
        let end = *self.starts.get(index + 1)?;
        let start = self.starts[index];
        (start < end).then(|| &self.bytes[start as usize..end as usize])
    }

    /// The bytes of a token that exists.
    #[inline]
    fn at(&self, id: u32) -> &[u8] {
        &self.bytes[self.starts[id as usize] as usize..self.starts[id as usize + 1] as usize]
    }

    /// The id of these bytes.
    #[inline]
    pub fn id(&self, bytes: &[u8]) -> Option<u32> {
        self.ids.find(bytes, |id| self.at(id))
    }

    /// [`Vocab::id`] of up to 15 bytes, which are given as a number: the bytes from the lowest on, zeros, and in the
    /// highest byte their count. Saves the making of that number where it is known already.
    #[inline]
    pub(crate) fn id_short(&self, key: u128) -> Option<u32> {
        self.ids.find_short(key, |id| short_key(self.at(id)) == Some(key))
    }

    /// A first look for [`Vocab::id_short`], without the token's bytes: `None` if there is no such token for certain.
    #[inline]
    pub(crate) fn guess(&self, key: u128) -> Option<u32> {
        let guess = self.ids.find_short(key, |_| true)?;
        prefetch(&self.starts[guess as usize]);
        Some(guess)
    }

    /// Asks for what [`Vocab::guess`] will read.
    #[inline]
    pub(crate) fn prefetch_slot(&self, key: u128) {
        self.ids.prefetch_short(key);
    }

    /// Asks for the bytes of a token, which [`Vocab::id_short`] will read.
    #[inline]
    pub(crate) fn prefetch_bytes(&self, id: u32) {
        prefetch(&self.bytes[self.starts[id as usize] as usize]);
    }

    /// Whether two ids stand for the same bytes somewhere.
    pub fn has_repeats(&self) -> bool {
        self.repeats
    }

    /// The first id whose bytes a smaller id stands for too, with that id.
    pub fn first_repeat(&self) -> Option<(u32, u32)> {
        let smaller = |id: u32, bytes: &[u8]| self.id(bytes).filter(|first| *first != id);
        self.iter().filter(|_| self.repeats).find_map(|(id, bytes)| smaller(id, bytes).map(|first| (first, id)))
    }

    /// All tokens in id order, gaps left out.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..).zip(self.starts.windows(2)).filter(|(_, ends)| ends[0] < ends[1]).map(|(id, _)| (id, self.at(id)))
    }
}

/// Where the tokens of `bytes`, sorted by id, start.
fn starts(bytes: &[u8], entries: &[(u32, u32)]) -> Result<Vec<u32>> {
    let mut starts = Vec::with_capacity(entries.len() + 1);
    starts.push(0);
    let mut start = 0;
    for &(id, end) in entries {
        let (index, count) = (id as usize, starts.len() - 1);
        if start == end {
            return Err(Error::value(format!("token {id} is empty; every token needs at least one byte")));
        }
        if index < count {
            let second = show(&bytes[start as usize..end as usize]);
            return Err(Error::value(format!("id {id} is given to two tokens, the second {second}")));
        }
        if index - count > MAX_GAP {
            return Err(Error::value(format!(
                "ids jump from {count} to {id}; a gap of more than {MAX_GAP} unused ids is not plausible"
            )));
        }
        starts.resize(index + 1, start);
        starts.push(end);
        start = end;
    }
    Ok(starts)
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
    use proptest::prelude::*;
    use std::collections::BTreeMap;

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

    proptest! {
        #[test]
        fn bytes_are_found_whatever_the_order_of_ids(tokens in prop::collection::vec(prop::collection::vec(0u8..3, 1..20), 0..60).prop_shuffle(), step in 1u32..5, other: Vec<u8>) {
            let ids = (0..tokens.len()).map(|index| (index * 7 % tokens.len()) as u32 * step).collect::<Vec<_>>();
            prop_assume!(tokens.len() % 7 != 0);
            let vocab = Vocab::new(ids.iter().copied().zip(tokens.clone()).collect()).unwrap();
            let mut first: BTreeMap<&[u8], u32> = BTreeMap::new();
            for (id, bytes) in ids.iter().zip(&tokens) {
                prop_assert_eq!(vocab.bytes(*id), Some(bytes.as_slice()));
                first.entry(bytes).and_modify(|first| *first = (*first).min(*id)).or_insert(*id);
            }
            for bytes in tokens.iter().chain([&other]) {
                let expected = first.get(bytes.as_slice()).copied();
                prop_assert_eq!(vocab.id(bytes), expected);
                if let Some(key) = short_key(bytes) {
                    prop_assert_eq!(vocab.id_short(key), expected);
                    prop_assert!(vocab.guess(key).is_some() || expected.is_none());
                }
            }
            prop_assert_eq!(vocab.has_repeats(), first.len() < tokens.len());
            let repeat = vocab.first_repeat();
            prop_assert_eq!(repeat.is_some(), vocab.has_repeats());
            prop_assert!(repeat.is_none_or(|(first, id)| first < id && vocab.bytes(first) == vocab.bytes(id)));
            prop_assert_eq!(vocab.iter().count(), tokens.len());
        }
    }

    #[test]
    fn an_id_twice_an_empty_token_and_a_huge_gap_are_refused() {
        assert!(vocab(&[(0, "a"), (0, "b")]).unwrap_err().to_string().contains("two tokens"));
        assert!(vocab(&[(0, "")]).unwrap_err().to_string().contains("empty"));
        assert!(vocab(&[(4_000_000_000, "a")]).unwrap_err().to_string().contains("gap"));
    }
}
