//! Tokens as files spell them, without an allocation for each.

use crate::byte_level;
use crate::byte_map::ByteMap;
use crate::error::{Error, Result};
use crate::vocab::{Vocab, show};
use std::collections::HashMap;

/// Strings and their ids, one string after the other in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    text: String,
    /// Where the strings end. Of more than 4 GiB, which [`Spellings::new`] refuses, the ends mean nothing.
    ends: Vec<u32>,
    ids: Vec<u32>,
}

impl Entries {
    /// Adds an entry whose string `write` appends, or, where it gives no id, none.
    #[expect(clippy::cast_possible_truncation, reason = "checked once, in `Spellings::new`")]
    pub fn push<E>(&mut self, write: impl FnOnce(&mut String) -> Result<Option<u32>, E>) -> Result<(), E> {
        if let Some(id) = write(&mut self.text)? {
            self.ends.push(self.text.len() as u32);
            self.ids.push(id);
        }
        Ok(())
    }

    #[inline]
    fn string(&self, place: u32) -> &str {
        let start = if place == 0 { 0 } else { self.ends[place as usize - 1] as usize };
        &self.text[start..self.ends[place as usize] as usize]
    }

    fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        (0..).zip(&self.ids).map(|(place, id)| (self.string(place), *id))
    }
}

/// The vocabulary of a file: spelling → id, no spelling and no id twice.
#[derive(Debug)]
pub(crate) struct Spellings {
    entries: Entries,
    places: ByteMap,
}

impl Spellings {
    /// A spelling twice, or an id twice, means the file is broken.
    pub fn new(entries: Entries) -> Result<Spellings, String> {
        if u32::try_from(entries.text.len()).is_err() || entries.ids.len() >= ByteMap::NONE as usize {
            return Err("model.vocab has 4 GiB or more; no tokenizer is that large".to_owned());
        }
        let mut places = ByteMap::for_at_most(entries.ids.len());
        let strings = (0..).zip(entries.iter()).map(|(place, (spelling, _))| (place, spelling.as_bytes()));
        let mut twice = None;
        places.insert_all(
            strings,
            |place| entries.string(place).as_bytes(),
            |first, second| {
                twice = twice.or(Some((first, second)));
            },
        );
        if let Some((first, second)) = twice {
            let (spelling, [first, second]) =
                (entries.string(first), [first, second].map(|place| entries.ids[place as usize]));
            return Err(format!("model.vocab: {spelling:?} is there twice, with ids {first} and {second}"));
        }
        let mut ids = entries.ids.clone();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(id_twice(&entries));
        }
        Ok(Spellings { entries, places })
    }

    pub fn id(&self, spelling: &str) -> Option<u32> {
        self.place(spelling).map(|place| self.entries.ids[place as usize])
    }

    /// [`Spellings::id`], with a guess where the entry is: at `near`, where the last one was, or behind it. Merges are
    /// listed in the order in which the vocabulary lists what they make, in all files but a few.
    pub fn id_near(&self, spelling: &str, near: &mut u32) -> Option<u32> {
        let is_at = |place: &u32| (*place as usize) < self.len() && self.entries.string(*place) == spelling;
        let guessed = [near.saturating_add(1), *near].into_iter().find(is_at);
        *near = guessed.or_else(|| self.place(spelling))?;
        Some(self.entries.ids[*near as usize])
    }

    fn place(&self, spelling: &str) -> Option<u32> {
        self.places.find(spelling.as_bytes(), |place| self.entries.string(place).as_bytes())
    }

    pub fn len(&self) -> usize {
        self.entries.ids.len()
    }

    /// Bytes of all spellings.
    pub fn text_len(&self) -> usize {
        self.entries.text.len()
    }

    /// In the file's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.entries.iter()
    }
}

/// A few ids out of many, most of which are before the first or behind the last of the few.
#[derive(Debug)]
pub(crate) struct FewIds(Vec<u32>);

impl FewIds {
    pub fn new(ids: impl Iterator<Item = u32>) -> FewIds {
        let mut ids: Vec<u32> = ids.collect();
        ids.sort_unstable();
        FewIds(ids)
    }

    #[inline]
    pub fn contains(&self, id: u32) -> bool {
        match (self.0.first(), self.0.last()) {
            (Some(first), Some(last)) => (*first..=*last).contains(&id) && self.0.binary_search(&id).is_ok(),
            _ => false,
        }
    }
}

fn id_twice(entries: &Entries) -> String {
    let mut owners = HashMap::new();
    let twice =
        entries.iter().find_map(|(spelling, id)| owners.insert(id, spelling).map(|first| (id, first, spelling)));
    twice.map_or_else(String::new, |(id, first, second)| {
        format!("model.vocab: id {id} is given to both {first:?} and {second:?}")
    })
}

/// How each token of a vocabulary is spelled.
#[derive(Debug)]
pub(crate) struct Spelled {
    text: String,
    /// Token `i` is `text[starts[i]..starts[i + 1]]`; a gap is empty.
    starts: Vec<usize>,
}

impl Spelled {
    /// In the byte-level alphabet. Files name tokens by spelling, so two ids cannot share one; `file` is for the message.
    pub fn byte_level(vocab: &Vocab, file: &str) -> Result<Spelled> {
        if let Some((first, id)) = vocab.first_repeat() {
            return Err(Error::value(format!(
                "ids {first} and {id} both stand for {}, and {file} names tokens by their bytes; \
                 train with compat=\"hf\", which gives equal tokens one id",
                show(vocab.bytes(id).unwrap_or_default())
            )));
        }
        Spelled::new(vocab, |_, bytes, text| {
            byte_level::encode_into(bytes, text);
            Ok(())
        })
    }

    /// As the text that words are.
    pub fn words(vocab: &Vocab) -> Result<Spelled> {
        if vocab.has_repeats() {
            return Err(Error::value(
                "two ids stand for the same word, and tokenizer.json names words by their spelling",
            ));
        }
        Spelled::new(vocab, |id, bytes, text| {
            let word = std::str::from_utf8(bytes)
                .map_err(|_| Error::value(format!("word {id} is not UTF-8, and JSON holds nothing else")))?;
            text.push_str(word);
            Ok(())
        })
    }

    fn new(vocab: &Vocab, mut write: impl FnMut(u32, &[u8], &mut String) -> Result<()>) -> Result<Spelled> {
        let mut spelled = Spelled { text: String::new(), starts: Vec::with_capacity(vocab.len() + 1) };
        for (id, bytes) in vocab.iter() {
            spelled.starts.resize(id as usize + 1, spelled.text.len());
            write(id, bytes, &mut spelled.text)?;
        }
        spelled.starts.push(spelled.text.len());
        Ok(spelled)
    }

    /// The spelling of a token; "" for what is none.
    pub fn get(&self, id: u32) -> &str {
        match self.starts.get(id as usize..) {
            Some(&[start, end, ..]) => &self.text[start..end],
            _ => "",
        }
    }

    /// By id, gaps left out.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        let ends = self.starts.windows(2).map(|ends| &self.text[ends[0]..ends[1]]);
        ends.zip(0..).filter(|(spelling, _)| !spelling.is_empty())
    }
}

/// Appends the bytes of a token spelled in the byte-level alphabet.
pub(crate) fn append_bytes_of_spelling(spelling: &str, bytes: &mut Vec<u8>) -> Result<(), String> {
    byte_level::decode_into(spelling, bytes).map_err(|character| {
        format!(
            "the token {spelling:?} has the character {character:?} (U+{:04X}), which stands for no byte in the \
             byte-level alphabet; a special token has to be listed as one, and other kinds of vocabulary are not supported",
            u32::from(character)
        )
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn spellings(entries: &[(&str, u32)]) -> Result<Spellings, String> {
        let mut all = Entries::default();
        for (spelling, id) in entries {
            all.push(|text| {
                text.push_str(spelling);
                Ok::<_, String>(Some(*id))
            })?;
        }
        Spellings::new(all)
    }

    fn vocab(tokens: &[(u32, &str)]) -> Vocab {
        Vocab::new(tokens.iter().map(|(id, token)| (*id, token.as_bytes().to_vec())).collect()).unwrap()
    }

    #[test]
    fn a_spelling_or_an_id_twice_is_named() {
        let found = spellings(&[("b", 7), ("", 0), ("a", 3)]).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), [("b", 7), ("", 0), ("a", 3)]);
        assert_eq!((found.id("a"), found.id(""), found.id("c")), (Some(3), Some(0), None));
        for near in [0, 1, 2, 3, u32::MAX] {
            let mut place = near;
            assert_eq!((found.id_near("c", &mut place), place), (None, near));
            assert_eq!((found.id_near("a", &mut place), place), (Some(3), 2));
        }
        let message = spellings(&[("a", 0), ("b", 1), ("a", 2)]).unwrap_err();
        assert_eq!(message, "model.vocab: \"a\" is there twice, with ids 0 and 2");
        let message = spellings(&[("a", 4), ("b", 1), ("c", 4)]).unwrap_err();
        assert_eq!(message, "model.vocab: id 4 is given to both \"a\" and \"c\"");
    }

    #[test]
    fn few_ids_are_told_from_many() {
        let few = FewIds::new([7, 3, 9].into_iter());
        assert_eq!((0..12).filter(|id| few.contains(*id)).collect::<Vec<_>>(), [3, 7, 9]);
        assert!(!FewIds::new([].into_iter()).contains(0));
    }

    #[test]
    fn spelled_tokens_are_found_by_id_and_gaps_are_left_out() {
        let spelled = Spelled::byte_level(&vocab(&[(1, " a"), (4, "é")]), ".json").unwrap();
        assert_eq!(spelled.iter().collect::<Vec<_>>(), [("Ġa", 1), ("Ã©", 4)]);
        assert_eq!([0, 1, 3, 4, 5, u32::MAX].map(|id| spelled.get(id)), ["", "Ġa", "", "Ã©", "", ""]);
        assert_eq!(Spelled::words(&vocab(&[(0, "é")])).unwrap().get(0), "é");
    }

    #[test]
    fn equal_tokens_cannot_be_spelled() {
        let repeated = vocab(&[(0, "a"), (1, "b"), (2, "a")]);
        let message = Spelled::byte_level(&repeated, ".json").unwrap_err().to_string();
        assert!(message.contains("ids 0 and 2") && message.contains("\"a\""), "{message}");
        assert!(Spelled::words(&repeated).unwrap_err().to_string().contains("two ids"));
    }
}
