//! Tokenizer files: Hugging Face's `tokenizer.json`, tiktoken's `.tiktoken`, GPT-2's `vocab.json` + `merges.txt`.
//!
//! Only tokenizer.json holds all of a tokenizer; it is the format to save in. The others leave out the pattern or
//! the special tokens, and are here to exchange files with the tools that use them.

mod bpe_file;
pub mod gpt2;
mod published;
mod spellings;
pub mod tiktoken;
pub mod tokenizer_json;

use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The largest published tokenizer file has some 35 MB; reading stops here, whatever the file says of its size.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Reads a tokenizer from a `.json` or `.tiktoken` file or a folder, which holds a tokenizer.json or, failing that,
/// GPT-2's two files.
///
/// `pattern` and `specials` (spelling and id) say what .tiktoken and GPT-2 files leave out; for a tokenizer.json,
/// which says both itself, they are an error.
pub fn load(path: &Path, pattern: Option<&str>, specials: Option<Vec<(String, u32)>>) -> Result<Tokenizer> {
    // First of all, so that a mistyped path is never taken for a question of formats.
    let metadata = std::fs::metadata(path).map_err(Error::io(path))?;
    if metadata.is_dir() {
        let json = path.join("tokenizer.json");
        return if json.is_file() { load_json(&json, pattern, specials) } else { gpt2::load(path, pattern, specials) };
    }
    match suffix(path).as_deref() {
        _ if gpt2::is_one_of_two(path) => gpt2::load(path.parent().unwrap_or(Path::new("")), pattern, specials),
        Some("json") => load_json(path, pattern, specials),
        Some("tiktoken") => tiktoken::load(path, pattern, specials),
        _ => Err(Error::format(
            path,
            "a tokenizer file ends in .json or .tiktoken, or is a folder with tokenizer.json or vocab.json and merges.txt",
        )),
    }
}

fn load_json(path: &Path, pattern: Option<&str>, specials: Option<Vec<(String, u32)>>) -> Result<Tokenizer> {
    if pattern.is_some() || specials.is_some() {
        return Err(Error::value(format!(
            "{} says its own pattern and special tokens; leave them out, or edit the file",
            path.display()
        )));
    }
    tokenizer_json::load(path)
}

/// Writes a tokenizer: to a `.json` or `.tiktoken` file by the suffix, or, where `path` is a folder or has no
/// suffix, as GPT-2's two files in that folder.
///
/// What the format cannot hold is an error; the exception is `.tiktoken`, which never holds the pattern and the special
/// tokens.
pub fn save(tokenizer: &Tokenizer, path: &Path) -> Result<()> {
    if path.is_dir() {
        return gpt2::save(tokenizer, path);
    }
    match suffix(path).as_deref() {
        Some("json") => tokenizer_json::save(tokenizer, path),
        Some("tiktoken") => tiktoken::save(tokenizer, path),
        None => gpt2::save(tokenizer, path),
        Some(other) => Err(Error::value(format!(
            "{}: .{other} is no tokenizer format; save to a .json or .tiktoken file, or to a folder for GPT-2's two files",
            path.display()
        ))),
    }
}

fn suffix(path: &Path) -> Option<String> {
    path.extension().map(|suffix| suffix.to_string_lossy().to_ascii_lowercase())
}

/// The whole file, if it has a size that a tokenizer can have.
fn read_whole(path: &Path) -> Result<Vec<u8>> {
    read_at_most(path, MAX_FILE_BYTES)
}

fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(Error::io(path))?;
    let too_large = || Error::format(path, format!("more than {limit} bytes; no tokenizer is that large"));
    let size = file.metadata().map_err(Error::io(path))?.len();
    if size > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // A pipe or device says 0; the limit holds for it all the same.
    let read = file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    if u64::try_from(read).is_ok_and(|read| read > limit) { Err(too_large()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests;
