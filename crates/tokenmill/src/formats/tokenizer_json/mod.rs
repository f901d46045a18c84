//! Hugging Face's `tokenizer.json`.
//!
//! What is written here loads unchanged with `tokenizers.Tokenizer.from_file` and gives the same ids there.
//! What is read here is byte-level BPE (GPT-2, Llama 3, Qwen and all files of their kind) and our own files of
//! words. Whatever in a file changes ids and is not supported is refused by name; nothing is skipped silently.
//!
//! Two differences of habit, not of ids. Special tokens: Hugging Face finds them in every text, here they are text
//! unless the caller allows them (added tokens with `special: false` are found by both). Post-processors: a
//! `TemplateProcessing` that puts `<|begin_of_text|>` before each text is ignored; no special token is ever added
//! unasked.

mod added;
mod pre_tokenizer;
mod read;
mod schema;
mod write;

use crate::error::Result;
use crate::formats::read_whole;
use crate::fs::write_atomically;
use crate::tokenizer::Tokenizer;
use std::path::Path;

pub use read::from_json;
pub(crate) use schema::RawVocab;
pub use write::to_json;

/// Writes `path`. The same tokenizer gives the same bytes, always.
///
/// A vocabulary in which two ids share one byte string is an error, and so is a special token that is spelled like
/// an ordinary token: in JSON the spelling is the key.
pub fn save(tokenizer: &Tokenizer, path: &Path) -> Result<()> {
    let json = to_json(tokenizer)?;
    write_atomically(path, |out| out.write_all(&json))
}

/// Reads `path`.
pub fn load(path: &Path) -> Result<Tokenizer> {
    from_json(&read_whole(path)?, path)
}
