//! Special tokens in text: found only where the caller allows them.

use crate::error::{Error, Result};
use crate::split::floor;
use crate::vocab::SpecialToken;
use aho_corasick::{AhoCorasick, Input, MatchKind};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::ops::Range;

/// Which special tokens a text may contain as such; in all others the same characters are ordinary text.
#[derive(Debug, Clone, Copy)]
pub enum Allowed<'a> {
    /// None: the safe choice for text from outside.
    None,
    /// All.
    All,
    /// These.
    Only(&'a [String]),
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// To be encoded by the model.
    Text(Range<usize>),
    /// A special token.
    Special(u32, Range<usize>),
}

/// The special tokens of a tokenizer, by id.
#[derive(Debug)]
pub(crate) struct Specials {
    tokens: Vec<SpecialToken>,
    none: Matcher,
    all: Matcher,
}

impl Specials {
    /// No id and no spelling may occur twice.
    pub(crate) fn new(mut tokens: Vec<SpecialToken>) -> Result<Specials> {
        tokens.sort_by_key(|token| token.id);
        // Files can name any number of tokens: by hash, as comparing each with each would take for ever.
        let mut texts = FxHashMap::default();
        for (index, token) in tokens.iter().enumerate() {
            if token.text.is_empty() {
                return Err(Error::value(format!("the special token with id {} has an empty spelling", token.id)));
            }
            let same_id = index.checked_sub(1).filter(|before| tokens[*before].id == token.id);
            if let Some(other) = texts.insert(token.text.as_str(), index).or(same_id).map(|other| &tokens[other]) {
                return Err(Error::value(format!(
                    "special tokens {:?} (id {}) and {:?} (id {}) collide; ids and spellings must differ",
                    other.text, other.id, token.text, token.id
                )));
            }
        }
        drop(texts);
        let none = Matcher::new(tokens.iter().filter(|token| token.always))?;
        let all = Matcher::new(tokens.iter())?;
        Ok(Specials { tokens, none, all })
    }

    pub(crate) fn tokens(&self) -> &[SpecialToken] {
        &self.tokens
    }

    pub(crate) fn by_id(&self, id: u32) -> Option<&SpecialToken> {
        self.tokens.binary_search_by_key(&id, |token| token.id).ok().map(|index| &self.tokens[index])
    }

    pub(crate) fn by_text(&self, text: &[u8]) -> Option<&SpecialToken> {
        self.tokens.iter().find(|token| token.text.as_bytes() == text)
    }

    /// What finds the allowed tokens.
    pub(crate) fn matcher(&self, allowed: Allowed<'_>) -> Result<Cow<'_, Matcher>> {
        match allowed {
            Allowed::None => Ok(Cow::Borrowed(&self.none)),
            Allowed::All => Ok(Cow::Borrowed(&self.all)),
            Allowed::Only(names) => {
                for name in names {
                    if self.by_text(name.as_bytes()).is_none() {
                        let known: Vec<&str> = self.tokens.iter().map(|token| token.text.as_str()).collect();
                        return Err(Error::value(format!(
                            "allowed_special names {name:?}, which is not a special token of this tokenizer: {known:?}"
                        )));
                    }
                }
                let chosen = self.tokens.iter().filter(|token| token.always || names.contains(&token.text));
                Ok(Cow::Owned(Matcher::new(chosen)?))
            }
        }
    }
}

/// Finds some of the special tokens.
#[derive(Debug, Clone)]
pub(crate) struct Matcher {
    /// `None` where there is nothing to look for.
    automaton: Option<AhoCorasick>,
    ids: Vec<u32>,
}

impl Matcher {
    fn new<'a>(tokens: impl Iterator<Item = &'a SpecialToken>) -> Result<Matcher> {
        let (ids, texts): (Vec<u32>, Vec<&str>) = tokens.map(|token| (token.id, token.text.as_str())).unzip();
        if ids.is_empty() {
            return Ok(Matcher { automaton: None, ids });
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(texts)
            .map_err(|error| Error::value(format!("too many special tokens: {error}")))?;
        Ok(Matcher { automaton: Some(automaton), ids })
    }

    /// Cuts `text` at these tokens: leftmost first, the longest of those that start together.
    pub(crate) fn cut(&self, text: &str, mut part: impl FnMut(Part) -> Result<()>) -> Result<()> {
        let mut position = 0;
        for found in self.automaton.iter().flat_map(|automaton| automaton.find_iter(text)) {
            if found.start() > position {
                part(Part::Text(position..found.start()))?;
            }
            part(Part::Special(self.ids[found.pattern().as_usize()], found.range()))?;
            position = found.end();
        }
        if position < text.len() {
            part(Part::Text(position..text.len()))?;
        }
        Ok(())
    }

    /// Whether there are no such tokens.
    pub(crate) fn finds_none(&self) -> bool {
        self.automaton.is_none()
    }

    /// Bytes of the longest of these tokens; 0 where there is none.
    pub(crate) fn longest(&self) -> usize {
        self.automaton.as_ref().map_or(0, AhoCorasick::max_pattern_len)
    }

    /// Where the last of these tokens ends that starts at `from` or behind and before `until`, as [`Matcher::cut`]
    /// finds them; no token found may begin before `from` and end behind it.
    pub(crate) fn last_end(&self, text: &str, from: usize, until: usize) -> Option<usize> {
        let found = self.automaton.as_ref()?.find_iter(Input::new(text).range(from..));
        found.take_while(|found| found.start() < until).last().map(|found| found.end())
    }
}

/// Counts special tokens in a text that arrives in chunks, as [`Matcher::cut`] finds them in the whole.
#[derive(Debug)]
pub(crate) struct Counter {
    matcher: Matcher,
    /// The end of the text so far, in which a token may have begun,
    text: String,
    /// and where it begins.
    start: u64,
    count: u64,
    first: Option<(String, u64)>,
}

impl Counter {
    pub(crate) fn new(matcher: Matcher) -> Counter {
        Counter { matcher, text: String::new(), start: 0, count: 0, first: None }
    }

    /// Takes the next chunk.
    pub(crate) fn push(&mut self, chunk: &str) {
        let longest = self.matcher.longest();
        if longest == 0 {
            return;
        }
        // A token that begins before this lies in the text to its end, and so does any longer one in its place.
        let open = |text: &str| (text.len() + 1).saturating_sub(longest);
        let mut text = std::mem::take(&mut self.text);
        let held = text.len();
        // Of a long chunk only what a token reaches that begins in the text before is copied.
        let head = if held == 0 { 0 } else { floor(chunk, 2 * longest + 4) };
        text.push_str(&chunk[..head]);
        let done = self.count(&text, open(&text));
        if head == chunk.len() {
            text.drain(..done);
            self.text = text;
            return;
        }
        // The head is longer than a token by some bytes, so all that was held is done.
        let rest = &chunk[done - held..];
        let done = self.count(rest, open(rest));
        text.clear();
        text.push_str(&rest[done..]);
        self.text = text;
    }

    /// The text is at its end: how many tokens, the first, and where it is.
    pub(crate) fn finish(&mut self) -> (u64, Option<(String, u64)>) {
        let text = std::mem::take(&mut self.text);
        self.count(&text, text.len());
        (self.count, self.first.take())
    }

    /// Counts the tokens of what comes next that begin before `open`; how much of it is done then.
    fn count(&mut self, text: &str, open: usize) -> usize {
        let mut done = 0;
        for found in self.matcher.automaton.iter().flat_map(|automaton| automaton.find_iter(text)) {
            if found.start() >= open {
                break;
            }
            let at = || (text[found.range()].to_string(), self.start + found.start() as u64);
            self.first.get_or_insert_with(at);
            self.count += 1;
            done = found.end();
        }
        // A token may begin at a byte, not within a character.
        let done = floor(text, done.max(open));
        self.start += done as u64;
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKENS: [&str; 5] = ["<|x|>", "<|x|><|y|>", "|><", "é", "éa"];
    const SNIPPETS: [&str; 11] =
        ["<|x|>", "<|y|>", "<|x", "|>", "<", "|", "x", "é", "a", "中文", " a long stretch of text "];

    proptest! {
        #[test]
        fn tokens_are_counted_in_chunks_as_in_the_whole(
            snippets in prop::collection::vec(prop::sample::select(&SNIPPETS[..]), 0..30),
            sizes in prop::collection::vec(0..60_usize, 1..8),
            known in 1..TOKENS.len() + 1,
        ) {
            let token = |(id, text): (u32, &&str)| SpecialToken { id, text: (*text).into(), always: false };
            let specials = Specials::new((0..).zip(&TOKENS[..known]).map(token).collect()).unwrap();
            let (text, matcher) = (snippets.concat(), specials.matcher(Allowed::All).unwrap().into_owned());
            let (mut count, mut first) = (0, None);
            matcher.cut(&text, |part| {
                if let Part::Special(_, range) = part {
                    count += 1;
                    first.get_or_insert((text[range.clone()].to_string(), range.start as u64));
                }
                Ok(())
            }).unwrap();
            let (mut counter, mut rest) = (Counter::new(matcher), text.as_str());
            for size in sizes {
                let (chunk, later) = rest.split_at(floor(rest, size));
                counter.push(chunk);
                rest = later;
            }
            counter.push(rest);
            prop_assert_eq!(counter.finish(), (count, first));
        }
    }
}
