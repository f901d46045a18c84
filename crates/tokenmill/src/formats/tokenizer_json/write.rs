//! [`Tokenizer`] → tokenizer.json.

use super::pre_tokenizer::{Step, for_pattern, for_words};
use super::schema::{Marker, MergeRule};
use crate::bpe::{BpeModel, Merges};
use crate::byte_level;
use crate::error::{Error, Result};
use crate::formats::bpe_file::{merges_of_ranks, spellings};
use crate::tokenizer::{Model, Tokenizer};
use crate::vocab::{SpecialToken, Vocab};
use crate::word::WordModel;
use rustc_hash::FxHashMap;
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// Fields in Hugging Face's order, all of them: its reader has no defaults for some.
#[derive(Serialize)]
struct File<'a> {
    version: &'static str,
    truncation: (),
    padding: (),
    added_tokens: Vec<Added<'a>>,
    normalizer: (),
    pre_tokenizer: Step,
    post_processor: (),
    decoder: Option<Step>,
    model: RawModel,
}

#[derive(Serialize)]
struct Added<'a> {
    id: u32,
    content: &'a str,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum RawModel {
    #[serde(rename = "BPE")]
    Bpe {
        dropout: (),
        unk_token: (),
        continuing_subword_prefix: (),
        end_of_word_suffix: (),
        fuse_unk: bool,
        byte_fallback: bool,
        ignore_merges: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        tokenmill: Option<Marker>,
        #[serde(serialize_with = "as_object")]
        vocab: Vec<(String, u32)>,
        merges: Vec<(String, String)>,
    },
    WordLevel {
        #[serde(serialize_with = "as_object")]
        vocab: Vec<(String, u32)>,
        unk_token: String,
    },
}

fn as_object<S: Serializer>(entries: &[(String, u32)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entries.iter().map(|(spelling, id)| (spelling, id)))
}

/// The bytes of a tokenizer.json.
pub fn to_json(tokenizer: &Tokenizer) -> Result<Vec<u8>> {
    let specials = tokenizer.specials();
    let (pre_tokenizer, decoder, model) = match tokenizer.model() {
        Model::Bpe(model) => {
            let decoder = Step::ByteLevel { add_prefix_space: false, trim_offsets: true, use_regex: false };
            (for_pattern(model.pattern().hugging_face_regex()), Some(decoder), bpe(model, specials)?)
        }
        Model::Word(model) => (for_words(model.split()), None, words(model, specials)?),
    };
    let file = File {
        version: "1.0",
        truncation: (),
        padding: (),
        added_tokens: specials.iter().map(added).collect(),
        normalizer: (),
        pre_tokenizer,
        post_processor: (),
        decoder,
        model,
    };
    // Not pretty-printed: with a line for each half of a merge, o200k_base takes 28 MB instead of 12.
    let mut json = serde_json::to_vec(&file)
        .map_err(|error| Error::value(format!("cannot write the tokenizer as JSON: {error}")))?;
    json.push(b'\n');
    Ok(json)
}

fn added(special: &SpecialToken) -> Added<'_> {
    Added {
        id: special.id,
        content: &special.text,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: !special.always,
    }
}

fn bpe(model: &BpeModel, specials: &[SpecialToken]) -> Result<RawModel> {
    let vocab = model.vocab();
    let entries = with_specials(spellings(vocab, "tokenizer.json")?, specials)?;
    let (list, ranks) = match model.merges() {
        Merges::List(list) => (Cow::Borrowed(list), false),
        Merges::Ranks => (Cow::Owned(merges_of_ranks(vocab)), true),
    };
    let merges = list
        .iter()
        .map(|merge| Ok((spelling(vocab, merge.left)?, spelling(vocab, merge.right)?)))
        .collect::<Result<_>>()?;
    Ok(RawModel::Bpe {
        dropout: (),
        unk_token: (),
        continuing_subword_prefix: (),
        end_of_word_suffix: (),
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: model.whole_pieces(),
        tokenmill: ranks.then_some(Marker { version: 1, merges: MergeRule::Ranks }),
        vocab: entries,
        merges,
    })
}

fn spelling(vocab: &Vocab, id: u32) -> Result<String> {
    vocab
        .bytes(id)
        .map(byte_level::encode)
        .ok_or_else(|| Error::value(format!("a merge names id {id}, which is no token of the vocabulary")))
}

fn words(model: &WordModel, specials: &[SpecialToken]) -> Result<RawModel> {
    let mut entries = Vec::with_capacity(model.words().len());
    for (id, bytes) in model.words().iter() {
        let word = std::str::from_utf8(bytes)
            .map_err(|_| Error::value(format!("word {id} is not UTF-8, and JSON holds nothing else")))?;
        entries.push((word.to_owned(), id));
    }
    let unknown = model.unknown().and_then(|id| specials.iter().find(|special| special.id == id));
    Ok(RawModel::WordLevel {
        vocab: with_specials(entries, specials)?,
        // The field has to be there. "" is no token, so an unknown word is an error to Hugging Face as it is here.
        unk_token: unknown.map(|special| special.text.clone()).unwrap_or_default(),
    })
}

/// Special tokens are entries of the vocabulary too: Hugging Face gives those that are not another id.
fn with_specials(mut entries: Vec<(String, u32)>, specials: &[SpecialToken]) -> Result<Vec<(String, u32)>> {
    let mut ids: FxHashMap<String, u32> = entries.iter().cloned().collect();
    if ids.len() < entries.len() {
        return Err(Error::value("two ids stand for the same word, and tokenizer.json names words by their spelling"));
    }
    for special in specials {
        match ids.insert(special.text.clone(), special.id) {
            None => entries.push((special.text.clone(), special.id)),
            Some(id) if id == special.id => {}
            Some(id) => {
                return Err(Error::value(format!(
                    "the special token {:?} (id {}) is spelled like the ordinary token with id {id}, and \
                     tokenizer.json names tokens by their spelling; give it another spelling",
                    special.text, special.id
                )));
            }
        }
    }
    entries.sort_by_key(|(_, id)| *id);
    Ok(entries)
}
