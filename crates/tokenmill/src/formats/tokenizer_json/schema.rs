//! A tokenizer.json as it is parsed: only what decides ids is looked into.

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
    pub merges: Option<Vec<RawMerge>>,
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

/// A vocabulary: `{"token": id}` in the file's order. `None` for a list, which other models have.
#[derive(Debug)]
pub(crate) struct RawVocab(pub Option<Vec<(String, u32)>>);

impl<'de> Deserialize<'de> for RawVocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawVocab, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = RawVocab;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tokens and their ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawVocab, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(RawVocab(Some(entries)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawVocab, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(RawVocab(None))
            }
        }
        deserializer.deserialize_any(Entries)
    }
}

/// A merge, written `"a b"` or `["a", "b"]`.
#[derive(Debug)]
pub(super) struct RawMerge(pub String, pub String);

impl<'de> Deserialize<'de> for RawMerge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawMerge, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = RawMerge;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a merge of two tokens, \"a b\" or [\"a\", \"b\"]")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RawMerge, E> {
                match text.split_once(' ') {
                    Some((left, right)) if !right.contains(' ') => Ok(RawMerge(left.to_owned(), right.to_owned())),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawMerge, A::Error> {
                let left = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let right = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                match seq.next_element::<IgnoredAny>()? {
                    Some(_) => Err(A::Error::invalid_length(3, &self)),
                    None => Ok(RawMerge(left, right)),
                }
            }
        }
        deserializer.deserialize_any(Pair)
    }
}
