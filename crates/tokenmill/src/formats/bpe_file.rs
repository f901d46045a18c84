//! What every BPE file comes down to, as plain data.

use crate::bpe::{BpeModel, Merge, Merges};
use crate::byte_level;
use crate::error::{Error, Result};
use crate::split::Pattern;
use crate::tokenizer::{Model, Tokenizer};
use crate::vocab::{SpecialToken, Vocab, show};
use rustc_hash::FxHashMap;
use std::path::Path;

/// A BPE tokenizer between a file and a [`Tokenizer`].
#[derive(Debug)]
pub(crate) struct BpeFile {
    /// A pattern's name or regular expression.
    pub pattern: String,
    /// Ordinary tokens.
    pub vocab: Vocab,
    pub merges: Merges,
    pub whole_pieces: bool,
    pub specials: Vec<SpecialToken>,
}

impl BpeFile {
    /// Checks the parts and puts them together. Whatever is wrong is the file's fault.
    pub fn into_tokenizer(self, path: &Path) -> Result<Tokenizer> {
        let build = || {
            let pattern = Pattern::parse(&self.pattern)?;
            let model = BpeModel::new(pattern, self.vocab, self.merges, self.whole_pieces)?;
            Tokenizer::new(Model::Bpe(model), self.specials)
        };
        build().map_err(|error| blame(path, error))
    }
}

/// A [`Error::Value`] about the contents of a file becomes a [`Error::Format`] that names the file.
pub(crate) fn blame(path: &Path, error: Error) -> Error {
    match error {
        Error::Value(reason) => Error::format(path, reason),
        other => other,
    }
}

/// Resolves merges that are written as two tokens. `entry` names the place of one for messages: "line 7".
///
/// A pair that comes twice counts where it comes last, as in Hugging Face's and GPT-2's own readers.
pub(crate) fn resolve_merges<'a>(
    pairs: impl Iterator<Item = (usize, &'a str, &'a str)>,
    ids: &FxHashMap<&str, u32>,
    entry: impl Fn(usize) -> String,
) -> Result<Vec<Merge>, String> {
    let mut merges: Vec<Merge> = Vec::new();
    let mut last: FxHashMap<(u32, u32), usize> = FxHashMap::default();
    let mut joined = String::new();
    for (place, left, right) in pairs {
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        let id_of = |token: &str| {
            ids.get(token).copied().ok_or_else(|| {
                format!(
                    "{}: the merge of {left:?} and {right:?} needs the token {token:?}, which is not in the vocabulary; \
                     the vocabulary and the merges do not belong together",
                    entry(place)
                )
            })
        };
        let merge = Merge { left: id_of(left)?, right: id_of(right)?, id: id_of(&joined)? };
        last.insert((merge.left, merge.right), merges.len());
        merges.push(merge);
    }
    if last.len() < merges.len() {
        let mut index = 0;
        merges.retain(|merge| {
            index += 1;
            last.get(&(merge.left, merge.right)) == Some(&(index - 1))
        });
    }
    Ok(merges)
}

/// The merge list that stands for ranks: every way to cut a token into two tokens, ordered by the rank of the token,
/// then of its left part, then of its right part.
///
/// The two rules give the same ids except where one token has two such cuts that overlap in the text
/// (`aa|a` and `a|aa` in `aa a aa`): ranks take the leftmost, a list the one that comes first.
pub(crate) fn merges_of_ranks(vocab: &Vocab) -> Vec<Merge> {
    let mut merges = Vec::with_capacity(vocab.len() * 3);
    for (id, bytes) in vocab.iter() {
        let start = merges.len();
        for cut in 1..bytes.len() {
            let (left, right) = bytes.split_at(cut);
            if let (Some(left), Some(right)) = (vocab.id(left), vocab.id(right)) {
                merges.push(Merge { left, right, id });
            }
        }
        if let Some(new) = merges.get_mut(start..) {
            new.sort_unstable_by_key(|merge| (merge.left, merge.right));
        }
    }
    merges
}

/// Each token's spelling in the byte-level alphabet. Files name tokens by spelling, so two ids cannot share one.
pub(crate) fn spellings(vocab: &Vocab, suffix: &str) -> Result<Vec<(String, u32)>> {
    vocab
        .iter()
        .map(|(id, bytes)| match vocab.id(bytes) {
            Some(first) if first != id => Err(Error::value(format!(
                "ids {first} and {id} both stand for {}, and {suffix} names tokens by their bytes; \
                 train with compat=\"hf\", which gives equal tokens one id",
                show(bytes)
            ))),
            _ => Ok((byte_level::encode(bytes), id)),
        })
        .collect()
}

/// The bytes of a token spelled in the byte-level alphabet.
pub(crate) fn bytes_of_spelling(spelling: &str) -> Result<Vec<u8>, String> {
    byte_level::decode(spelling).map_err(|character| {
        format!(
            "the token {spelling:?} has the character {character:?} (U+{:04X}), which stands for no byte in the \
             byte-level alphabet; a special token has to be listed as one, and other kinds of vocabulary are not supported",
            u32::from(character)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocab(tokens: &[&str]) -> Vocab {
        Vocab::new((0..).zip(tokens.iter().map(|token| token.as_bytes().to_vec())).collect()).unwrap()
    }

    #[test]
    fn ranks_become_all_cuts_by_token_then_left_then_right() {
        let merges = merges_of_ranks(&vocab(&["a", "b", "ab", "aba", "ba", "abab"]));
        let triples: Vec<_> = merges.iter().map(|merge| (merge.left, merge.right, merge.id)).collect();
        assert_eq!(triples, [(0, 1, 2), (0, 4, 3), (2, 0, 3), (1, 0, 4), (2, 2, 5), (3, 1, 5)]);
    }

    #[test]
    fn a_merge_that_comes_twice_counts_where_it_comes_last() {
        let ids = FxHashMap::from_iter([("a", 0), ("b", 1), ("ab", 2), ("ba", 3)]);
        let pairs = [(1, "a", "b"), (2, "b", "a"), (3, "a", "b")];
        let merges = resolve_merges(pairs.into_iter(), &ids, |line| format!("line {line}")).unwrap();
        assert_eq!(merges.iter().map(|merge| merge.id).collect::<Vec<_>>(), [3, 2]);
    }

    #[test]
    fn a_merge_of_an_unknown_token_names_its_place() {
        let ids = FxHashMap::from_iter([("a", 0), ("b", 1)]);
        let message = resolve_merges([(7, "a", "b")].into_iter(), &ids, |line| format!("line {line}")).unwrap_err();
        assert!(message.starts_with("line 7: ") && message.contains("\"ab\""), "{message}");
    }

    #[test]
    fn equal_tokens_cannot_be_spelled() {
        let message = spellings(&vocab(&["a", "b", "a"]), ".json").unwrap_err().to_string();
        assert!(message.contains("ids 0 and 2") && message.contains("\"a\""), "{message}");
    }
}
