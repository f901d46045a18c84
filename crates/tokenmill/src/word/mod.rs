//! Words as tokens: cutting, the model, and joining words to readable text.

mod join;
mod train;

pub use train::{WordTrainOptions, train};

use crate::error::{Error, Result};
use crate::split::{RegexSplitter, floor};
use crate::vocab::Vocab;
use std::ops::Range;

/// How text is cut into words. Every part is stripped of white space and blank parts are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WordSplit {
    /// Words and punctuation marks: "Hello, world!" → Hello | , | world | !
    Punctuation,
    /// At white space: "amet," keeps its comma.
    Whitespace,
    /// At the matches of a regular expression, which are tokens themselves unless blank (Python's
    /// `re.split` with the pattern in a group). Empty matches cut nothing.
    Regex(String),
}

/// Hyphens join ("well-known") unless doubled, where they are a dash. All other punctuation and every symbol is a
/// word of its own.
const PUNCTUATION: &str = r"-{2,}|[\p{P}\p{S}&&[^-]]|\s";
const WHITESPACE: &str = r"\s+";

impl WordSplit {
    /// "punctuation", "whitespace", or a regular expression.
    pub fn parse(name_or_regex: &str) -> WordSplit {
        match name_or_regex {
            "punctuation" => WordSplit::Punctuation,
            "whitespace" => WordSplit::Whitespace,
            regex => WordSplit::Regex(regex.into()),
        }
    }

    /// What [`WordSplit::parse`] gives this split for.
    pub fn name_or_regex(&self) -> &str {
        match self {
            WordSplit::Punctuation => "punctuation",
            WordSplit::Whitespace => "whitespace",
            WordSplit::Regex(source) => source,
        }
    }

    /// The delimiters as a regular expression that Rust's regex engines and Oniguruma read alike.
    pub fn regex(&self) -> &str {
        match self {
            WordSplit::Punctuation => PUNCTUATION,
            WordSplit::Whitespace => WHITESPACE,
            WordSplit::Regex(source) => source,
        }
    }
}

/// A [`WordSplit`] ready for use.
#[derive(Debug)]
pub(crate) struct WordCutter {
    splitter: RegexSplitter,
    /// Whether a word ends wherever there is white space.
    ends_at_space: bool,
}

impl WordCutter {
    pub(crate) fn new(split: &WordSplit) -> Result<WordCutter> {
        let ends_at_space = !matches!(split, WordSplit::Regex(_));
        Ok(WordCutter { splitter: RegexSplitter::new(split.regex())?, ends_at_space })
    }

    /// Calls `word` with the byte range of each word.
    pub(crate) fn cut(&self, text: &str, mut word: impl FnMut(Range<usize>)) -> Result<()> {
        let mut pieces = self.splitter.pieces(text);
        let mut begin = 0;
        while let Some(end) = pieces.next_end()? {
            let part = &text[begin..end];
            // `trim` strips the White_Space property, which is `\s` in both engines.
            let start = begin + (part.len() - part.trim_start().len());
            let stripped = part.trim();
            if !stripped.is_empty() {
                word(start..start + stripped.len());
            }
            begin = end;
        }
        Ok(())
    }

    /// The first position behind `from` where `text` can be cut and its parts taken one by one: behind white space, as
    /// no delimiter of ours goes on there, and what white space comes to is nothing. `None` for a regular expression.
    pub(crate) fn next_cut(&self, text: &str, from: usize) -> Option<usize> {
        self.ends_at_space.then_some(())?;
        let from = floor(text, from);
        let found = text[from..].char_indices().find(|(_, character)| character.is_whitespace());
        found.map(|(start, character)| from + start + character.len_utf8())
    }

    /// The last such position behind `from` and not behind `to`.
    pub(crate) fn last_cut(&self, text: &str, from: usize, to: usize) -> Option<usize> {
        self.ends_at_space.then_some(())?;
        let (from, to) = (floor(text, from), floor(text, to));
        let found = text[from..to].char_indices().rev().find(|(_, character)| character.is_whitespace());
        found.map(|(start, character)| from + start + character.len_utf8())
    }
}

/// Whole words; what is not in the vocabulary is `unknown`.
#[derive(Debug)]
pub struct WordModel {
    split: WordSplit,
    cutter: WordCutter,
    words: Vocab,
    unknown: Option<u32>,
}

impl WordModel {
    /// `unknown` is the id (of a special token) for words that are not in `words`; without it they are an error.
    pub fn new(split: WordSplit, words: Vocab, unknown: Option<u32>) -> Result<WordModel> {
        let cutter = WordCutter::new(&split)?;
        if let Some((id, bytes)) = words.iter().find(|(_, bytes)| std::str::from_utf8(bytes).is_err()) {
            return Err(Error::value(format!("word {id} is not UTF-8: {}", crate::vocab::show(bytes))));
        }
        Ok(WordModel { split, cutter, words, unknown })
    }

    /// How text is cut.
    pub fn split(&self) -> &WordSplit {
        &self.split
    }

    /// What cuts text.
    pub(crate) fn cutter(&self) -> &WordCutter {
        &self.cutter
    }

    /// The words.
    pub fn words(&self) -> &Vocab {
        &self.words
    }

    /// The id of the unknown token.
    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    /// Calls `found` with the id and the byte range of each word. `offset` is where `text` lies in the text that a message
    /// should count from.
    pub fn encode(&self, text: &str, offset: usize, mut found: impl FnMut(u32, Range<usize>)) -> Result<()> {
        let mut unknown = None;
        self.cutter.cut(text, |range| match self.words.id(text[range.clone()].as_bytes()).or(self.unknown) {
            Some(id) => found(id, range),
            None => unknown = unknown.take().or(Some(range)),
        })?;
        match unknown {
            None => Ok(()),
            Some(range) => Err(Error::UnknownToken(format!(
                "the word {:?} at byte {} is not in the vocabulary of {} words; train on text that has it, or give the \
                 tokenizer an unknown token such as \"[UNK]\"",
                &text[range.clone()],
                offset + range.start,
                self.words.iter().count()
            ))),
        }
    }

    /// Joins words so that a person can read them; `special` says which of them are special tokens.
    pub fn join<'a>(&self, words: impl Iterator<Item = (&'a str, bool)>) -> String {
        match self.split {
            WordSplit::Whitespace => words.map(|(word, _)| word).collect::<Vec<_>>().join(" "),
            WordSplit::Punctuation | WordSplit::Regex(_) => join::join(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(split: WordSplit, text: &str) -> Vec<&str> {
        let mut words = Vec::new();
        WordCutter::new(&split).unwrap().cut(text, |range| words.push(&text[range])).unwrap();
        words
    }

    #[test]
    fn punctuation_marks_are_words_and_hyphens_join() {
        assert_eq!(words(WordSplit::Punctuation, "Hello, world!"), ["Hello", ",", "world", "!"]);
        assert_eq!(words(WordSplit::Punctuation, "well-known--yes"), ["well-known", "--", "yes"]);
        assert_eq!(words(WordSplit::Punctuation, "“a”…$5\u{85}b"), ["“", "a", "”", "…", "$", "5", "b"]);
    }

    #[test]
    fn white_space_keeps_punctuation() {
        assert_eq!(words(WordSplit::Whitespace, " sit\u{a0}amet,\n"), ["sit", "amet,"]);
    }

    #[test]
    fn a_regex_keeps_its_delimiters_and_strips_parts() {
        let split = WordSplit::Regex(r#"[,.:;?_!"()']|--|\s"#.into());
        assert_eq!(words(split, "Is this-- a \"test\"?"), ["Is", "this", "--", "a", "\"", "test", "\"", "?"]);
        assert_eq!(words(WordSplit::Regex(r",\s".into()), "a b, c"), ["a b", ",", "c"]);
    }

    #[test]
    fn an_unknown_word_is_named_with_its_place() {
        let vocab = Vocab::new(vec![(0, b"a".to_vec())]).unwrap();
        let model = WordModel::new(WordSplit::Punctuation, vocab, None).unwrap();
        let error = model.encode("a Bye b", 100, |_, _| {}).unwrap_err().to_string();
        assert!(error.contains("\"Bye\" at byte 102"), "{error}");
    }
}
