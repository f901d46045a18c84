//! tokenizer.json → [`Tokenizer`].

use super::added::special_tokens;
use super::pre_tokenizer::{brief, pattern_of, words_of};
use super::schema::{File, Marker, MergeRule, RawModel};
use crate::bpe::{Merge, Merges};
use crate::byte_level;
use crate::error::{Error, Result};
use crate::formats::bpe_file::{BpeFile, blame, resolve_merges};
use crate::formats::spellings::{FewIds, Spellings, append_bytes_of_spelling};
use crate::tokenizer::{Model, Tokenizer};
use crate::vocab::{SpecialToken, Tokens, Vocab};
use crate::word::{WordModel, WordSplit};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// What a file says, before models are built from it.
#[derive(Debug)]
enum Parts {
    Bpe(BpeFile),
    Words { split: WordSplit, words: Vocab, unknown: Option<u32>, specials: Vec<SpecialToken> },
}

/// A tokenizer from the bytes of a tokenizer.json; `path` is for messages.
pub fn from_json(json: &[u8], path: &Path) -> Result<Tokenizer> {
    let file: File = serde_json::from_slice(json)
        .map_err(|error| Error::format(path, format!("this is not a whole tokenizer.json: {error}")))?;
    match parts(file).map_err(|reason| Error::format(path, reason))? {
        Parts::Bpe(file) => file.into_tokenizer(path),
        Parts::Words { split, words, unknown, specials } => WordModel::new(split, words, unknown)
            .and_then(|model| Tokenizer::new(Model::Word(model), specials))
            .map_err(|error| blame(path, error)),
    }
}

fn parts(mut file: File) -> Result<Parts, String> {
    check_frame(&file)?;
    let entries = match file.model.vocab.take() {
        Some(vocab) => vocab.0,
        None => return Err("model.vocab is missing".to_owned()),
    };
    let kind = match (file.model.kind.as_deref(), &file.model.merges) {
        (Some(kind), _) => kind,
        // Files older than the field.
        (None, Some(_)) => "BPE",
        (None, None) => return Err("model.type is missing; supported are \"BPE\" and \"WordLevel\"".to_owned()),
    };
    let entries = match (kind, entries) {
        ("BPE" | "WordLevel", Some(entries)) => entries,
        ("BPE" | "WordLevel", None) => return Err("model.vocab is a list, not an object of tokens and ids".to_owned()),
        _ => {
            return Err(format!(
                "model.type = {kind:?} is not supported; supported are \"BPE\" (byte-level) and \"WordLevel\""
            ));
        }
    };
    let ids = Spellings::new(entries)?;
    let specials = special_tokens(&file.added_tokens, &ids)?;
    if kind == "BPE" { bpe(&file, &ids, specials).map(Parts::Bpe) } else { words(&file, &ids, specials) }
}

/// Everything around the model.
fn check_frame(file: &File) -> Result<(), String> {
    if let Some(version) = &file.version
        && version != "1.0"
    {
        return Err(format!("version = {} is not supported; supported is \"1.0\"", brief(version)));
    }
    let remedy = "remove it if the texts do not need it";
    refuse_unless_off("normalizer", &file.normalizer, &format!("it would change the text; {remedy}"))?;
    refuse_unless_off("truncation", &file.truncation, "set it to null; windows are cut later, from the token store")?;
    refuse_unless_off("padding", &file.padding, "set it to null; batches are padded later, where that is asked for")?;
    check_types(
        "post_processor",
        &file.post_processor,
        &["ByteLevel", "TemplateProcessing", "RobertaProcessing", "BertProcessing"],
    )
}

fn bpe(file: &File, ids: &Spellings, specials: Vec<SpecialToken>) -> Result<BpeFile, String> {
    let model = &file.model;
    check_bpe_options(model)?;
    check_types("decoder", &file.decoder, &["ByteLevel"])?;
    // Before the vocabulary: of a file that is not byte-level, this says it best.
    let pattern = pattern_of(&file.pre_tokenizer)?;
    let raw = model.merges.as_ref().ok_or("model.merges is missing")?;
    let merges = resolve_merges(raw.iter(), ids, |index| format!("model.merges[{index}]"))?;
    let vocab = ordinary_tokens(ids, &merges, &specials)?;
    if !model.unk_token.is_null() && (0..=u8::MAX).any(|byte| vocab.id(&[byte]).is_none()) {
        refuse_unless_off("model.unk_token", &model.unk_token, "add the missing bytes to the vocabulary")?;
    }
    let whole_pieces = model.ignore_merges.unwrap_or(false);
    let file = BpeFile { pattern, vocab, merges: Merges::List(merges), list_of_ranks: None, whole_pieces, specials };
    match &model.tokenmill {
        Some(marker) => apply_marker(file, marker),
        None => Ok(file),
    }
}

/// The entries of the vocabulary that are no added tokens.
fn ordinary_tokens(ids: &Spellings, merges: &[Merge], specials: &[SpecialToken]) -> Result<Vocab, String> {
    let added = FewIds::new(specials.iter().map(|special| special.id));
    let texts: HashMap<u32, &str> = specials.iter().map(|special| (special.id, special.text.as_str())).collect();
    let text_of = |id: u32| if added.contains(id) { texts.get(&id).copied() } else { None };
    let both = |text: &str, role: &str| {
        format!(
            "added_tokens: {text:?} is also {role}, and a token that is special and ordinary is not supported; \
             remove it from added_tokens"
        )
    };
    for (index, merge) in merges.iter().enumerate() {
        if let Some(text) = [merge.left, merge.right, merge.id].into_iter().find_map(text_of) {
            return Err(both(text, &format!("part of model.merges[{index}]")));
        }
    }
    let mut tokens = Tokens::with_capacity(ids.len(), ids.text_len());
    for (spelling, id) in ids.iter() {
        match text_of(id) {
            None => tokens.push(id, |bytes| append_bytes_of_spelling(spelling, bytes))?,
            Some(text) if byte_level::decode(text).is_ok_and(|bytes| bytes.len() == 1) => {
                return Err(both(text, "the token of a byte"));
            }
            Some(_) => {}
        }
    }
    Vocab::from_tokens(tokens).map_err(|error| format!("model.vocab: {error}"))
}

fn check_bpe_options(model: &RawModel) -> Result<(), String> {
    let byte_level = "only byte-level BPE is supported, where every byte is a token and a token is its bytes";
    refuse_unless_off("model.continuing_subword_prefix", &model.continuing_subword_prefix, byte_level)?;
    refuse_unless_off("model.end_of_word_suffix", &model.end_of_word_suffix, byte_level)?;
    refuse_unless_off("model.byte_fallback", &model.byte_fallback, byte_level)?;
    refuse_unless_off("model.fuse_unk", &model.fuse_unk, byte_level)?;
    refuse_unless_off("model.dropout", &model.dropout, "ids would be random; set it to null")
}

/// Restores what only our own files say. That the merges agree with it is checked once the model is there.
fn apply_marker(mut file: BpeFile, marker: &Marker) -> Result<BpeFile, String> {
    if marker.version != 1 {
        return Err(format!(
            "model.tokenmill.version = {} is not supported; this tokenmill knows version 1, a newer one wrote the file",
            marker.version
        ));
    }
    match marker.merges {
        MergeRule::Ranks => {
            if let Merges::List(list) = std::mem::replace(&mut file.merges, Merges::Ranks) {
                file.list_of_ranks = Some(list);
            }
        }
    }
    Ok(file)
}

fn words(file: &File, ids: &Spellings, mut specials: Vec<SpecialToken>) -> Result<Parts, String> {
    let unk_token = match &file.model.unk_token {
        Value::String(text) => Some(text.as_str()),
        Value::Null => None,
        other => return Err(format!("model.unk_token = {} is not a token", brief(other))),
    };
    // An unknown token that the vocabulary lacks is what Hugging Face calls an error once it is needed.
    let unknown = unk_token.and_then(|text| ids.id(text).map(|id| (text, id)));
    if let Some((text, id)) = unknown
        && specials.iter().all(|special| special.id != id)
    {
        specials.push(SpecialToken { text: text.to_owned(), id, always: false });
    }
    let special_ids = FewIds::new(specials.iter().map(|special| special.id));
    let words = ids
        .iter()
        .filter(|(_, id)| !special_ids.contains(*id))
        .map(|(word, id)| (id, word.as_bytes().to_vec()))
        .collect();
    let words = Vocab::new(words).map_err(|error| format!("model.vocab: {error}"))?;
    Ok(Parts::Words { split: words_of(&file.pre_tokenizer)?, words, unknown: unknown.map(|(_, id)| id), specials })
}

/// Off are `null`, `false`, 0 and "".
fn refuse_unless_off(field: &str, value: &Value, remedy: &str) -> Result<(), String> {
    let off = match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    if off { Ok(()) } else { Err(format!("{field} = {} is not supported: {remedy}", brief(value))) }
}

/// `value` may be null, an object of one of these types, or a `Sequence` of such.
fn check_types(field: &str, value: &Value, types: &[&str]) -> Result<(), String> {
    if value.is_null() {
        return Ok(());
    }
    match value.get("type").and_then(Value::as_str) {
        Some(kind) if types.contains(&kind) => Ok(()),
        Some("Sequence") => {
            let steps = ["processors", "decoders"].iter().find_map(|key| value.get(key)?.as_array());
            steps.into_iter().flatten().try_for_each(|step| check_types(field, step, types))
        }
        _ => Err(format!("{field} = {} is not supported; supported are {}", brief(value), types.join(", "))),
    }
}
