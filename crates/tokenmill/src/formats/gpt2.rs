//! GPT-2's two files: `vocab.json` (token → id) and `merges.txt` (one merge a line), or by their first names
//! `encoder.json` and `vocab.bpe`.
//!
//! They do not say how text is cut (GPT-2's pattern is meant unless the caller names another), nor which tokens are
//! special: an entry that is no byte, comes from no merge and looks like `<|this|>` is.

use super::bpe_file::{BpeFile, resolve_merges};
use super::read_whole;
use super::spellings::{FewIds, Spelled, Spellings, append_bytes_of_spelling};
use super::tokenizer_json::RawVocab;
use crate::bpe::{Merge, Merges};
use crate::error::{Error, Result};
use crate::fs::write_atomically;
use crate::tokenizer::{Model, Tokenizer};
use crate::vocab::{SpecialToken, Tokens, Vocab};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Names of the two files, the usual ones first.
const NAMES: [(&str, &str); 2] = [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")];
const VERSION: &str = "#version";

/// The two files in `folder`, where both are there.
pub(crate) fn files_in(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    NAMES
        .iter()
        .map(|(vocab, merges)| (folder.join(vocab), folder.join(merges)))
        .find(|(vocab, merges)| vocab.is_file() && merges.is_file())
}

/// Whether `path` has the name of one of the two files and its partner is beside it.
pub(crate) fn is_one_of_two(path: &Path) -> bool {
    files_in(path.parent().unwrap_or(Path::new("")))
        .is_some_and(|(vocab, merges)| path.file_name() == vocab.file_name() || path.file_name() == merges.file_name())
}

/// Reads the two files in `folder`. `pattern` is "gpt2" unless given; `specials`, where given, replace the rule for
/// special tokens, and those that the vocabulary lacks are added.
pub fn load(folder: &Path, pattern: Option<&str>, specials: Option<Vec<(String, u32)>>) -> Result<Tokenizer> {
    let (vocab_path, merges_path) = files_in(folder).ok_or_else(|| {
        Error::format(
            folder,
            "the folder has no tokenizer.json, no vocab.json with merges.txt and no encoder.json with vocab.bpe",
        )
    })?;
    let vocab: RawVocab = serde_json::from_slice(&read_whole(&vocab_path)?)
        .map_err(|error| Error::format(&vocab_path, format!("this is not a whole vocabulary: {error}")))?;
    let entries = vocab
        .0
        .ok_or_else(|| Error::format(&vocab_path, "this is a list; expected an object of tokens and their ids"))?;
    let ids = Spellings::new(entries).map_err(|reason| Error::format(&vocab_path, reason))?;
    let text = read_whole(&merges_path)?;
    let merges = parse_merges(&text, &ids).map_err(|reason| Error::format(&merges_path, reason))?;
    let (vocab, specials) = sort_out(&ids, &merges, specials).map_err(|reason| Error::format(&vocab_path, reason))?;
    let file = BpeFile {
        pattern: pattern.unwrap_or("gpt2").to_owned(),
        vocab,
        merges: Merges::List(merges),
        list_of_ranks: None,
        whole_pieces: false,
        specials,
    };
    file.into_tokenizer(&vocab_path)
}

/// Writes `vocab.json` and `merges.txt` into `folder`, which is made where it does not exist.
///
/// Only what [`load`] reads back unchanged is written: a list of merges, the pattern "gpt2", special tokens that
/// look like `<|this|>`. Everything else needs a tokenizer.json.
pub fn save(tokenizer: &Tokenizer, folder: &Path) -> Result<()> {
    let Model::Bpe(model) = tokenizer.model() else {
        return Err(cannot("a word tokenizer has no merges"));
    };
    let Merges::List(merges) = model.merges() else {
        return Err(cannot("its merges are ranks, not a list"));
    };
    if model.pattern().name() != Some("gpt2") {
        return Err(cannot("its pattern is not \"gpt2\""));
    }
    if model.whole_pieces() {
        return Err(cannot("it takes whole pieces without merging (ignore_merges)"));
    }
    let vocab = model.vocab();
    let spelled = Spelled::byte_level(vocab, "vocab.json")?;
    check_specials(vocab, merges, tokenizer.specials(), &spelled)?;
    let specials = tokenizer.specials().iter().map(|special| (special.text.as_str(), special.id));
    let mut entries: Vec<(&str, u32)> = spelled.iter().chain(specials).collect();
    entries.sort_by_key(|(_, id)| *id);
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    write_atomically(&folder.join("merges.txt"), |out| {
        writeln!(out, "{VERSION}: 0.2")?;
        for merge in merges {
            writeln!(out, "{} {}", spelled.get(merge.left), spelled.get(merge.right))?;
        }
        Ok(())
    })?;
    write_atomically(&folder.join("vocab.json"), |out| out.write_all(&json_object(&entries)?))
}

fn cannot(reason: &str) -> Error {
    Error::value(format!("the tokenizer cannot be saved as vocab.json and merges.txt: {reason}; save it as .json"))
}

/// Whether the rule of [`load`] finds exactly these special tokens again.
fn check_specials(vocab: &Vocab, merges: &[Merge], specials: &[SpecialToken], spelled: &Spelled) -> Result<()> {
    for special in specials {
        if special.always || !looks_special(&special.text) {
            return Err(cannot(&format!(
                "its special token {:?} would be read back as an ordinary one, as it does not look like <|this|>",
                special.text
            )));
        }
    }
    let made: HashSet<u32> = merges.iter().map(|merge| merge.id).collect();
    let texts: HashSet<&str> = specials.iter().map(|special| special.text.as_str()).collect();
    for (spelling, id) in spelled.iter() {
        let learned = made.contains(&id) || vocab.bytes(id).is_some_and(|bytes| bytes.len() == 1);
        if texts.contains(spelling) || (!learned && looks_special(spelling)) {
            return Err(cannot(&format!("its ordinary token {spelling:?} (id {id}) looks like a special one")));
        }
    }
    Ok(())
}

fn json_object(entries: &[(&str, u32)]) -> std::io::Result<Vec<u8>> {
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut json);
    serde::Serializer::collect_map(&mut serializer, entries.iter().map(|(spelling, id)| (spelling, id)))?;
    Ok(json)
}

/// `<|endoftext|>`, `<|im_start|>`, ...
fn looks_special(text: &str) -> bool {
    text.len() > 4 && text.starts_with("<|") && text.ends_with("|>")
}

fn parse_merges(text: &[u8], ids: &Spellings) -> Result<Vec<Merge>, String> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let line = text.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line}: not UTF-8")
    })?;
    let mut pairs = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        // Only the first line can be the version: "#version:" may be a token elsewhere.
        if line.is_empty() || (number == 1 && line.starts_with(VERSION)) {
            continue;
        }
        let mut spaces = memchr::memchr_iter(b' ', line.as_bytes());
        match (spaces.next(), spaces.next()) {
            (Some(space), None) if space > 0 && space + 1 < line.len() => {
                pairs.push((number, &line[..space], &line[space + 1..]));
            }
            _ => {
                let shown: String = line.chars().take(80).collect();
                return Err(format!("line {number}: expected two tokens with a space between, found {shown:?}"));
            }
        }
    }
    resolve_merges(pairs.into_iter(), ids, |line| format!("line {line}"))
}

/// Which entries are ordinary tokens and which are special ones.
fn sort_out(
    ids: &Spellings,
    merges: &[Merge],
    given: Option<Vec<(String, u32)>>,
) -> Result<(Vocab, Vec<SpecialToken>), String> {
    let by_rule = || {
        let mut specials: BTreeMap<String, u32> =
            ids.iter().filter(|(text, _)| looks_special(text)).map(|(text, id)| (text.to_owned(), id)).collect();
        if !specials.is_empty() {
            let few = FewIds::new(specials.values().copied());
            let made: HashSet<u32> = merges.iter().map(|merge| merge.id).filter(|id| few.contains(*id)).collect();
            specials.retain(|_, id| !made.contains(id));
        }
        specials
    };
    // By spelling, in a fixed order: messages must not depend on hashing.
    let specials: BTreeMap<String, u32> = given.map_or_else(by_rule, |given| given.into_iter().collect());
    for (text, id) in &specials {
        match ids.id(text) {
            Some(other) if other != *id => {
                return Err(format!("the special token {text:?} has id {other} here, but id {id} was asked for"));
            }
            _ => {}
        }
    }
    let special_ids = FewIds::new(specials.keys().filter_map(|text| ids.id(text)));
    let mut tokens = Tokens::with_capacity(ids.len(), ids.text_len());
    for (spelling, id) in ids.iter() {
        if !special_ids.contains(id) {
            tokens.push(id, |bytes| append_bytes_of_spelling(spelling, bytes))?;
        }
    }
    let vocab = Vocab::from_tokens(tokens).map_err(|error| error.to_string())?;
    Ok((vocab, specials.into_iter().map(|(text, id)| SpecialToken { text, id, always: false }).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::spellings::tests::spellings;

    fn ids() -> Spellings {
        spellings(&[("a", 0), ("b", 1), ("ab", 2), ("<|end|>", 3), ("#", 4), ("##", 5)]).unwrap()
    }

    #[test]
    fn the_version_line_and_blank_lines_are_no_merges() {
        let merges = parse_merges(b"#version: 0.2\na b\r\n\n# #\n", &ids()).unwrap();
        assert_eq!(merges.iter().map(|merge| merge.id).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(parse_merges(b"# #", &ids()).unwrap().len(), 1);
    }

    #[test]
    fn errors_name_the_line() {
        for (text, expected) in [
            (b"#version: 0.2\na b c".as_slice(), "line 2: expected two tokens"),
            (b"a b\nab", "line 2: expected two tokens"),
            (b"a b\n a", "line 2: expected two tokens"),
            (b"a b\nb a", "line 2: the merge of \"b\" and \"a\" needs the token \"ba\""),
            (b"a b\n\xff", "line 2: not UTF-8"),
        ] {
            let message = parse_merges(text, &ids()).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn entries_that_no_merge_makes_and_look_special_are_special() {
        let ids = ids();
        let merges = parse_merges(b"a b", &ids).unwrap();
        let (vocab, specials) = sort_out(&ids, &merges, None).unwrap();
        assert_eq!(specials, [SpecialToken { text: "<|end|>".to_owned(), id: 3, always: false }]);
        assert_eq!((vocab.id(b"<|end|>"), vocab.id(b"##")), (None, Some(5)));
        let (vocab, specials) = sort_out(&ids, &merges, Some(vec![])).unwrap();
        assert_eq!((vocab.id(b"<|end|>"), specials.len()), (Some(3), 0));
        let message = sort_out(&ids, &merges, Some(vec![("<|end|>".to_owned(), 9)])).unwrap_err();
        assert!(message.contains("has id 3 here, but id 9"), "{message}");
    }
}
