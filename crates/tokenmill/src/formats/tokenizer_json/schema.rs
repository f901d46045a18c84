//! A tokenizer.json as it is parsed: only what decides ids is looked into.

use crate::formats::spellings::Entries;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// The whole file. Like Hugging Face's own reader this refuses keys it does not know.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub version: Option<Value>,
    #[serde(default)]
    pub truncation: Value,
    #[serde(default)]
    pub padding: Value,
    #[serde(default)]
    pub added_tokens: Vec<AddedToken>,
    #[serde(default)]
    pub normalizer: Value,
    #[serde(default)]
    pub pre_tokenizer: Value,
    #[serde(default)]
    pub post_processor: Value,
    #[serde(default)]
    pub decoder: Value,
    pub model: RawModel,
}

/// One entry of `added_tokens`.
#[derive(Debug, serde::Deserialize)]
pub(super) struct AddedToken {
    pub id: u32,
    pub content: String,
    #[serde(default)]
    pub single_word: bool,
    #[serde(default)]
    pub lstrip: bool,
    #[serde(default)]
    pub rstrip: bool,
    #[serde(default)]
    pub normalized: bool,
    #[serde(default)]
    pub special: bool,
}

/// The `model`. Keys that are not here mean nothing to BPE and WordLevel.
#[derive(Debug, serde::Deserialize)]
pub(super) struct RawModel {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub vocab: Option<RawVocab>,
    pub merges: Option<RawMerges>,
    #[serde(default)]
    pub unk_token: Value,
    #[serde(default)]
    pub dropout: Value,
    #[serde(default)]
    pub continuing_subword_prefix: Value,
    #[serde(default)]
    pub end_of_word_suffix: Value,
    #[serde(default)]
    pub byte_fallback: Value,
    #[serde(default)]
    pub fuse_unk: Value,
    #[serde(default)]
    pub ignore_merges: Option<bool>,
    pub tokenmill: Option<Marker>,
}

/// What a tokenizer.json has no words for, kept where Hugging Face's reader does not look. (Keys at the top
/// level that it does not know are errors to it; keys of the model are not.)
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marker {
    pub version: u32,
    pub merges: MergeRule,
}

/// What the list of merges stands for, where it is not itself.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum MergeRule {
    /// tiktoken's rule.
    Ranks,
}

/// Appends a string to another, instead of making one of its own.
struct Append<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Append<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Append<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.push_str(text);
        Ok(())
    }
}

/// A vocabulary: `{"token": id}` in the file's order. `None` for a list, which other models have.
#[derive(Debug)]
pub(crate) struct RawVocab(pub Option<Entries>);

impl<'de> Deserialize<'de> for RawVocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawVocab, D::Error> {
        struct Tokens;
        impl<'de> Visitor<'de> for Tokens {
            type Value = RawVocab;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tokens and their ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawVocab, A::Error> {
                let mut entries = Entries::default();
                let mut more = true;
                while more {
                    entries.push(|text| match map.next_key_seed(Append(text))? {
                        Some(()) => map.next_value().map(Some),
                        None => {
                            more = false;
                            Ok(None)
                        }
                    })?;
                }
                Ok(RawVocab(Some(entries)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawVocab, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(RawVocab(None))
            }
        }
        deserializer.deserialize_any(Tokens)
    }
}

/// Merges, each written `"a b"` or `["a", "b"]`: all tokens one after the other in one buffer.
#[derive(Debug, Default)]
pub(super) struct RawMerges {
    text: String,
    /// Where the left token ends, and where the right one does.
    ends: Vec<(usize, usize)>,
}

impl RawMerges {
    /// Number, left and right token.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (usize, &str, &str)> {
        let mut start = 0;
        self.ends.iter().enumerate().map(move |(index, &(middle, end))| {
            let start = std::mem::replace(&mut start, end);
            (index, &self.text[start..middle], &self.text[middle..end])
        })
    }
}

impl<'de> Deserialize<'de> for RawMerges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawMerges, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = RawMerges;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawMerges, A::Error> {
                let mut merges = RawMerges::default();
                while seq.next_element_seed(Pair(&mut merges))?.is_some() {}
                Ok(merges)
            }
        }
        deserializer.deserialize_seq(Pairs)
    }
}

/// Appends a merge.
struct Pair<'a>(&'a mut RawMerges);

impl<'de> DeserializeSeed<'de> for Pair<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pair<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a merge of two tokens, \"a b\" or [\"a\", \"b\"]")
    }

    fn visit_str<E: Error>(self, pair: &str) -> Result<(), E> {
        let RawMerges { text, ends } = &mut *self.0;
        match pair.split_once(' ') {
            Some((left, right)) if !right.contains(' ') => {
                text.push_str(left);
                let middle = text.len();
                text.push_str(right);
                ends.push((middle, text.len()));
                Ok(())
            }
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(pair), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if seq.next_element_seed(Append(&mut self.0.text))?.is_none() {
            return Err(A::Error::invalid_length(0, &self));
        }
        let middle = self.0.text.len();
        if seq.next_element_seed(Append(&mut self.0.text))?.is_none() {
            return Err(A::Error::invalid_length(1, &self));
        }
        self.0.ends.push((middle, self.0.text.len()));
        match seq.next_element::<IgnoredAny>()? {
            Some(_) => Err(A::Error::invalid_length(3, &self)),
            None => Ok(()),
        }
    }
}
