//! Any other pattern, through the backtracking engine that tiktoken uses too.

use crate::error::{Error, Result};
use fancy_regex::{Matches, Regex};
use std::ops::Range;

/// A compiled regular expression and its source.
#[derive(Debug)]
pub(crate) struct RegexSplitter {
    regex: Regex,
}

impl RegexSplitter {
    pub(crate) fn new(source: &str) -> Result<RegexSplitter> {
        let regex = Regex::new(source)
            .map_err(|error| Error::value(format!("{source:?} is not a regular expression we can use: {error}")))?;
        Ok(RegexSplitter { regex })
    }

    pub(crate) fn source(&self) -> &str {
        self.regex.as_str()
    }

    /// The pieces of `text`, from its start.
    pub(crate) fn pieces<'a>(&'a self, text: &'a str) -> RegexPieces<'a> {
        RegexPieces { splitter: self, text, matches: self.regex.find_iter(text), position: 0, waiting: None }
    }
}

/// Matches are pieces, and so is the text between them; empty matches cut nothing.
pub(crate) struct RegexPieces<'a> {
    splitter: &'a RegexSplitter,
    text: &'a str,
    matches: Matches<'a, 'a, str>,
    /// End of the last piece.
    position: usize,
    /// End of the match that follows the piece between it and the one before.
    waiting: Option<usize>,
}

impl RegexPieces<'_> {
    /// End of the next piece; `None` at the end of the text.
    pub(crate) fn next_end(&mut self) -> Result<Option<usize>> {
        let end = match self.waiting.take() {
            Some(end) => end,
            None => match self.next_match()? {
                Some(found) if found.start > self.position => {
                    self.waiting = Some(found.end);
                    found.start
                }
                Some(found) => found.end,
                None if self.position < self.text.len() => self.text.len(),
                None => return Ok(None),
            },
        };
        self.position = end;
        Ok(Some(end))
    }

    fn next_match(&mut self) -> Result<Option<Range<usize>>> {
        for found in self.matches.by_ref() {
            let found = found.map_err(|error| {
                Error::value(format!(
                    "the regular expression {:?} gave up near byte {} of a text of {} bytes ({error}); \
                     simplify it, for example with possessive quantifiers",
                    self.splitter.source(),
                    self.position,
                    self.text.len()
                ))
            })?;
            if found.start() < found.end() {
                return Ok(Some(found.range()));
            }
        }
        Ok(None)
    }
}
