//! Words as tokens.

use crate::error::Result;
use crate::vocab::Vocab;

/// How text is cut into words. Every part is stripped of white space and blank parts are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WordSplit {
    /// Words and punctuation marks: "Hello, world!" → Hello | , | world | !
    Punctuation,
    /// At white space: "amet," keeps its comma.
    Whitespace,
    /// At the matches of a regular expression, which are tokens themselves unless blank (Python's
    /// `re.split` with the pattern in a group).
    Regex(String),
}

impl WordSplit {
    /// The delimiters as a regular expression that Rust's regex engines and Oniguruma read alike.
    pub fn regex(&self) -> &str {
        todo!()
    }
}

/// Whole words; what is not in the vocabulary is `unknown`.
#[derive(Debug)]
pub struct WordModel {}

impl WordModel {
    /// `unknown` is the id (of a special token) for words that are not in `words`; without it they are an error.
    pub fn new(split: WordSplit, words: Vocab, unknown: Option<u32>) -> Result<WordModel> {
        let _ = (split, words, unknown);
        todo!()
    }
    /// How text is cut.
    pub fn split(&self) -> &WordSplit {
        todo!()
    }
    /// The words.
    pub fn words(&self) -> &Vocab {
        todo!()
    }
    /// The id of the unknown token.
    pub fn unknown(&self) -> Option<u32> {
        todo!()
    }
}
