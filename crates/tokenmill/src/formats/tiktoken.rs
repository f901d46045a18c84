//! tiktoken's files: one line `BASE64 RANK` for each token, in the order of ranks.
//!
//! Such a file holds ranks and nothing else. The pattern and the special tokens come from the name of a published
//! file (`cl100k_base.tiktoken`), or from the caller.

use super::published::{self, Published};
use super::{bpe_file::BpeFile, bpe_file::blame, read_whole};
use crate::bpe::{BpeModel, Merges};
use crate::error::{Error, Result};
use crate::fs::write_atomically;
use crate::tokenizer::{Model, Tokenizer};
use crate::vocab::{SpecialToken, Vocab, show};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustc_hash::FxHashMap;
use std::path::Path;

/// Reads `path`. `pattern` and `specials` may be left out for the published files; what is given counts.
pub fn load(path: &Path, pattern: Option<&str>, specials: Option<Vec<(String, u32)>>) -> Result<Tokenizer> {
    let published = published::by_path(path);
    let pattern = match (pattern, &published) {
        (Some(pattern), _) => pattern,
        (None, Some(published)) => published.pattern,
        (None, None) => {
            return Err(Error::value(format!(
                "{}: a .tiktoken file does not say how text is cut, so pattern is needed: a name (\"gpt2\", \"gpt4\", \
                 \"gpt4o\", ...) or a regular expression. Only the published names imply one: {}",
                path.display(),
                published::NAMES.join(", ")
            )));
        }
    };
    let tokens = parse(&read_whole(path)?).map_err(|reason| Error::format(path, reason))?;
    let vocab = Vocab::new(tokens).map_err(|error| blame(path, error))?;
    let specials = specials.unwrap_or_else(|| published.map(Published::into_specials).unwrap_or_default());
    let specials = specials.into_iter().map(|(text, id)| SpecialToken { text, id, always: false }).collect();
    let file = BpeFile { pattern: pattern.to_owned(), vocab, merges: Merges::Ranks, whole_pieces: true, specials };
    file.into_tokenizer(path)
}

/// Writes `path`, byte for byte as tiktoken does.
///
/// The file holds the ordinary tokens and their ids as ranks, nothing else: keep the pattern and the special tokens.
/// A tokenizer with a list of merges can be written where its tokens were learned in the order of their ids, as our
/// trainer and GPT-2 have them. Ranks allow more merges than such a list, so some words may get other ids.
pub fn save(tokenizer: &Tokenizer, path: &Path) -> Result<()> {
    let Model::Bpe(model) = tokenizer.model() else {
        return Err(Error::value("a word tokenizer cannot be saved as .tiktoken, which holds BPE; save it as .json"));
    };
    check_ranks(model)?;
    write_atomically(path, |out| {
        for (id, bytes) in model.vocab().iter() {
            writeln!(out, "{} {id}", STANDARD.encode(bytes))?;
        }
        Ok(())
    })
}

/// Whether ids as ranks mean what the model does.
fn check_ranks(model: &BpeModel) -> Result<()> {
    let vocab = model.vocab();
    if let Some(byte) = (0..=u8::MAX).find(|byte| vocab.id(&[*byte]).is_none()) {
        return Err(Error::value(format!(
            "the byte 0x{byte:02X} has no token, and tiktoken needs all 256; save the tokenizer as .json"
        )));
    }
    if let Some((id, bytes)) = vocab.iter().find(|(id, bytes)| vocab.id(bytes) != Some(*id)) {
        return Err(Error::value(format!(
            "id {id} stands for {}, as a smaller id does, and a .tiktoken file gives each token one rank; \
             train with compat=\"hf\", which gives equal tokens one id",
            show(bytes)
        )));
    }
    if let Merges::List(list) = model.merges()
        && let Some(pair) = list.windows(2).find(|pair| pair[0].id >= pair[1].id)
    {
        return Err(Error::value(format!(
            "id {} is merged after id {}, and a .tiktoken file orders merges by id; save the tokenizer as .json",
            pair[1].id, pair[0].id
        )));
    }
    Ok(())
}

fn parse(text: &[u8]) -> Result<Vec<(u32, Vec<u8>)>, String> {
    let mut tokens = Vec::new();
    let mut lines_of_ranks: FxHashMap<u32, usize> = FxHashMap::default();
    let mut lines_of_tokens: FxHashMap<Vec<u8>, usize> = FxHashMap::default();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (token, rank) = parse_line(line).map_err(|reason| format!("line {number}: {reason}"))?;
        if let Some(first) = lines_of_ranks.insert(rank, number) {
            return Err(format!("line {number}: rank {rank} is already given on line {first}"));
        }
        if let Some(first) = lines_of_tokens.insert(token.clone(), number) {
            return Err(format!("line {number}: the token {} is already on line {first}", show(&token)));
        }
        tokens.push((rank, token));
    }
    if tokens.is_empty() {
        return Err("the file has no tokens; expected lines of a token in base64 and its rank".to_owned());
    }
    Ok(tokens)
}

fn parse_line(line: &[u8]) -> Result<(Vec<u8>, u32), String> {
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let (Some(token), Some(rank), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err(format!("expected a token in base64, a space and a rank, found {}", brief(line)));
    };
    let bytes = STANDARD.decode(token).map_err(|error| format!("{} is not base64: {error}", brief(token)))?;
    let rank = std::str::from_utf8(rank)
        .ok()
        .and_then(|rank| rank.parse().ok())
        .ok_or_else(|| format!("{} is not a rank from 0 to {}", brief(rank), u32::MAX))?;
    Ok((bytes, rank))
}

/// Untrusted bytes for a message, cut to a readable length.
fn brief(bytes: &[u8]) -> String {
    const LENGTH: usize = 60;
    match bytes.get(..LENGTH) {
        Some(start) => format!("{} ...", show(start)),
        None => show(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_tokens_and_ranks() {
        assert_eq!(parse(b"IQ== 0\n\nIg== 1\r\n"), Ok(vec![(0, b"!".to_vec()), (1, b"\"".to_vec())]));
    }

    #[test]
    fn errors_name_the_line_and_the_value() {
        for (text, expected) in [
            ("IQ== 0\nIQ==\n", "line 2: expected a token"),
            ("IQ== 0 1\n", "line 1: expected a token"),
            ("I!== 0\n", "line 1: \"I!==\" is not base64"),
            ("IQ== -1\n", "line 1: \"-1\" is not a rank"),
            ("IQ== 4294967296\n", "is not a rank from 0 to 4294967295"),
            ("IQ== 0\nIg== 0\n", "line 2: rank 0 is already given on line 1"),
            ("IQ== 0\nIQ== 1\n", "line 2: the token \"!\" is already on line 1"),
            ("\n \n", "no tokens"),
        ] {
            let message = parse(text.as_bytes()).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        let message = parse(&[b'x'; 100_000]).unwrap_err();
        assert!(message.len() < 200, "{message}");
    }

    #[test]
    fn without_a_known_name_the_pattern_is_asked_for_before_the_file_is_read() {
        let message = load(Path::new("mine.tiktoken"), None, None).unwrap_err().to_string();
        assert!(message.contains("mine.tiktoken") && message.contains("pattern is needed"), "{message}");
    }
}
