//! [`Tokenizer`] → tokenizer.json.

use super::pre_tokenizer::{Step, for_pattern, for_words};
use super::schema::{Marker, MergeRule};
use crate::bpe::{BpeModel, Merge, Merges};
use crate::byte_level;
use crate::error::{Error, Result};
use crate::formats::spellings::Spelled;
use crate::tokenizer::{Model, Tokenizer};
use crate::vocab::{SpecialToken, Vocab};
use crate::word::WordModel;
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
    model: RawModel<'a>,
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
enum RawModel<'a> {
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
        vocab: Entries<'a>,
        merges: Pairs<'a>,
    },
    WordLevel {
        vocab: Entries<'a>,
        unk_token: &'a str,
    },
}

/// Spellings and ids, in the order of ids: an object.
struct Entries<'a> {
    spelled: &'a Spelled,
    specials: &'a [SpecialToken],
}

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let specials = self.specials.iter().map(|special| (special.text.as_str(), special.id));
        let mut entries: Vec<(&str, u32)> = self.spelled.iter().chain(specials).collect();
        entries.sort_by_key(|(_, id)| *id);
        serializer.collect_map(entries)
    }
}

/// Merges: a list of pairs of spellings.
struct Pairs<'a> {
    spelled: &'a Spelled,
    merges: Cow<'a, [Merge]>,
}

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let spelling = |id| self.spelled.get(id);
        serializer.collect_seq(self.merges.iter().map(|merge| (spelling(merge.left), spelling(merge.right))))
    }
}

/// The bytes of a tokenizer.json.
pub fn to_json(tokenizer: &Tokenizer) -> Result<Vec<u8>> {
    let specials = tokenizer.specials();
    let spelled = match tokenizer.model() {
        Model::Bpe(model) => Spelled::byte_level(model.vocab(), "tokenizer.json")?,
        Model::Word(model) => Spelled::words(model.words())?,
    };
    check_specials(tokenizer, specials)?;
    let entries = Entries { spelled: &spelled, specials };
    let (pre_tokenizer, decoder, model) = match tokenizer.model() {
        Model::Bpe(model) => {
            let decoder = Step::ByteLevel { add_prefix_space: false, trim_offsets: true, use_regex: false };
            (for_pattern(model.pattern().hugging_face_regex()), Some(decoder), bpe(model, entries))
        }
        Model::Word(model) => (for_words(model.split()), None, words(model, entries)),
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

fn bpe<'a>(model: &'a BpeModel, entries: Entries<'a>) -> RawModel<'a> {
    let ranks = *model.merges() == Merges::Ranks;
    RawModel::Bpe {
        dropout: (),
        unk_token: (),
        continuing_subword_prefix: (),
        end_of_word_suffix: (),
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: model.whole_pieces(),
        tokenmill: ranks.then_some(Marker { version: 1, merges: MergeRule::Ranks }),
        merges: Pairs { spelled: entries.spelled, merges: model.merge_list() },
        vocab: entries,
    }
}

fn words<'a>(model: &WordModel, entries: Entries<'a>) -> RawModel<'a> {
    let unknown = model.unknown().and_then(|id| entries.specials.iter().find(|special| special.id == id));
    // The field has to be there. "" is no token, so an unknown word is an error to Hugging Face as it is here.
    RawModel::WordLevel { vocab: entries, unk_token: unknown.map_or("", |special| special.text.as_str()) }
}

/// Special tokens are entries of the vocabulary too: Hugging Face gives those that are not another id.
fn check_specials(tokenizer: &Tokenizer, specials: &[SpecialToken]) -> Result<()> {
    let ordinary = |text: &str| -> Option<u32> {
        let vocab: &Vocab = tokenizer.vocab();
        match tokenizer.model() {
            Model::Bpe(_) => byte_level::decode(text).ok().and_then(|bytes| vocab.id(&bytes)),
            Model::Word(_) => vocab.id(text.as_bytes()),
        }
    };
    match specials.iter().find_map(|special| ordinary(&special.text).map(|id| (special, id))) {
        None => Ok(()),
        Some((special, id)) => Err(Error::value(format!(
            "the special token {:?} (id {}) is spelled like the ordinary token with id {id}, and \
             tokenizer.json names tokens by their spelling; give it another spelling",
            special.text, special.id
        ))),
    }
}
