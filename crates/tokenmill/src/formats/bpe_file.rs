//! What every BPE file comes down to, as plain data.

use super::spellings::Spellings;
use crate::bpe::{BpeModel, Merge, Merges};
use crate::byte_map::ByteMap;
use crate::error::{Error, Result};
use crate::split::Pattern;
use crate::tokenizer::{Model, Tokenizer};
use crate::vocab::{SpecialToken, Vocab};
use std::collections::HashMap;
use std::path::Path;

/// A BPE tokenizer between a file and a [`Tokenizer`].
#[derive(Debug)]
pub(crate) struct BpeFile {
    /// A pattern's name or regular expression.
    pub pattern: String,
    /// Ordinary tokens.
    pub vocab: Vocab,
    pub merges: Merges,
    /// Where `merges` are ranks: the list by which the file says so to readers that know lists only.
    pub list_of_ranks: Option<Vec<Merge>>,
    pub whole_pieces: bool,
    pub specials: Vec<SpecialToken>,
}

impl BpeFile {
    /// Checks the parts and puts them together. Whatever is wrong is the file's fault.
    pub fn into_tokenizer(self, path: &Path) -> Result<Tokenizer> {
        let build = || {
            let pattern = Pattern::parse(&self.pattern)?;
            let model = BpeModel::new(pattern, self.vocab, self.merges, self.whole_pieces)?;
            if self.list_of_ranks.is_some_and(|list| !stands_for_ranks(&list, &model)) {
                return Err(Error::value(
                    "model.merges is not what model.tokenmill.merges = \"ranks\" means: the file was changed after \
                     it was written; remove model.tokenmill to read it as Hugging Face does",
                ));
            }
            Tokenizer::new(Model::Bpe(model), self.specials)
        };
        build().map_err(|error| blame(path, error))
    }
}

/// Whether this list, of merges that make what they say, gives the ids that ranks give: those of smaller tokens come first, and all that
/// can come up are there. More of them change nothing; files have been written that list every way to cut a token in two.
fn stands_for_ranks(list: &[Merge], model: &BpeModel) -> bool {
    let order = |merge: &Merge| (merge.id, merge.left, merge.right);
    let mut rest = list.iter();
    model.whole_pieces()
        && list.is_sorted_by(|first, second| order(first) < order(second))
        && model.merge_list().iter().all(|needed| rest.any(|merge| merge == needed))
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
    pairs: impl ExactSizeIterator<Item = (usize, &'a str, &'a str)>,
    ids: &Spellings,
    entry: impl Fn(usize) -> String,
) -> Result<Vec<Merge>, String> {
    let mut merges: Vec<Merge> = Vec::with_capacity(pairs.len());
    let mut known = ByteMap::for_at_most(pairs.len());
    let mut repeats = false;
    let (mut joined, mut near) = (String::new(), 0);
    for (place, left, right) in pairs {
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        let missing = |token: &str| {
            format!(
                "{}: the merge of {left:?} and {right:?} needs the token {token:?}, which is not in the vocabulary; \
                 the vocabulary and the merges do not belong together",
                entry(place)
            )
        };
        let merge = Merge {
            left: ids.id(left).ok_or_else(|| missing(left))?,
            right: ids.id(right).ok_or_else(|| missing(right))?,
            id: ids.id_near(&joined, &mut near).ok_or_else(|| missing(&joined))?,
        };
        let number = u32::try_from(merges.len()).ok().filter(|number| *number != ByteMap::NONE);
        let number = number.ok_or_else(|| format!("{}: more than 2^32 merges are not plausible", entry(place)))?;
        repeats |= known.insert_short(pair_key(&merge), number, |number| {
            let other: &Merge = &merges[number as usize];
            (other.left, other.right) == (merge.left, merge.right)
        });
        merges.push(merge);
    }
    if repeats {
        keep_last(&mut merges);
    }
    Ok(merges)
}

fn pair_key(merge: &Merge) -> u128 {
    u128::from(merge.left) | u128::from(merge.right) << u32::BITS
}

/// Of merges of one pair only the last.
fn keep_last(merges: &mut Vec<Merge>) {
    let last: HashMap<(u32, u32), usize> =
        merges.iter().enumerate().map(|(index, merge)| ((merge.left, merge.right), index)).collect();
    let mut index = 0;
    merges.retain(|merge| {
        index += 1;
        last.get(&(merge.left, merge.right)) == Some(&(index - 1))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::spellings::tests::spellings;

    #[test]
    fn a_merge_that_comes_twice_counts_where_it_comes_last() {
        let ids = spellings(&[("a", 0), ("b", 1), ("ab", 2), ("ba", 3)]).unwrap();
        let pairs = [(1, "a", "b"), (2, "b", "a"), (3, "a", "b")];
        let merges = resolve_merges(pairs.into_iter(), &ids, |line| format!("line {line}")).unwrap();
        assert_eq!(merges.iter().map(|merge| merge.id).collect::<Vec<_>>(), [3, 2]);
    }

    #[test]
    fn a_merge_of_an_unknown_token_names_its_place() {
        let ids = spellings(&[("a", 0), ("b", 1)]).unwrap();
        let message = resolve_merges([(7, "a", "b")].into_iter(), &ids, |line| format!("line {line}")).unwrap_err();
        assert!(message.starts_with("line 7: ") && message.contains("\"ab\""), "{message}");
    }
}
