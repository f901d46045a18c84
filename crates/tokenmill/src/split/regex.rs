//! Any other pattern, through the backtracking engine that tiktoken uses too.

use crate::error::{Error, Result};
use fancy_regex::Regex;
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

    /// Matches are pieces, and so is the text between them; empty matches cut nothing.
    pub(crate) fn split(&self, text: &str, mut piece: impl FnMut(Range<usize>)) -> Result<()> {
        let mut position = 0;
        for found in self.regex.find_iter(text) {
            let found = found.map_err(|error| {
                Error::value(format!(
                    "the regular expression {:?} gave up near byte {position} of a text of {} bytes ({error}); \
                     simplify it, for example with possessive quantifiers",
                    self.source(),
                    text.len()
                ))
            })?;
            if found.start() == found.end() {
                continue;
            }
            if found.start() > position {
                piece(position..found.start());
            }
            piece(found.range());
            position = found.end();
        }
        if position < text.len() {
            piece(position..text.len());
        }
        Ok(())
    }
}
