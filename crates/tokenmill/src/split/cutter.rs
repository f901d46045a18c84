//! The pieces of one text, in batches.

use super::Scanner;
use super::mask::{self, Ends};
use super::regex::{RegexPieces, RegexSplitter};
use crate::error::Result;
use crate::level::Level;
use crate::unicode::ClassedText;

/// Cuts a text from its start to its end.
pub(crate) struct Cutter<'a>(Kind<'a>);

enum Kind<'a> {
    Known { scanner: Scanner, level: Level, text: ClassedText<'a>, position: usize },
    Regex(RegexPieces<'a>),
}

impl<'a> Cutter<'a> {
    pub(super) fn known(scanner: Scanner, text: &'a str) -> Cutter<'a> {
        Cutter(Kind::Known { scanner, level: Level::best(), text: ClassedText::new(text), position: 0 })
    }

    pub(super) fn regex(splitter: &'a RegexSplitter, text: &'a str) -> Cutter<'a> {
        Cutter(Kind::Regex(splitter.pieces(text)))
    }

    /// Replaces `ends` by the ends of the next pieces, each of which begins where the one before ends. `false`: the text
    /// is at its end, and there are none. Only a regex engine can fail.
    #[inline]
    pub(crate) fn fill(&mut self, ends: &mut Ends) -> Result<bool> {
        ends.clear();
        match &mut self.0 {
            Kind::Known { scanner, level, text, position } => {
                *position = mask::fill(*scanner, *level, *text, *position, ends);
            }
            Kind::Regex(pieces) => {
                while !ends.is_full()
                    && let Some(end) = pieces.next_end()?
                {
                    ends.push(end);
                }
            }
        }
        Ok(!ends.as_slice().is_empty())
    }
}

/// Cuts texts that lie side by side, one after the other.
pub(crate) struct TextsCutter<'a> {
    scanner: Scanner,
    level: Level,
    text: &'a str,
    text_ends: &'a [usize],
    position: usize,
}

impl<'a> TextsCutter<'a> {
    /// Of the texts in `text` that end at `text_ends`; the first begins with it.
    pub(super) fn new(scanner: Scanner, text: &'a str, text_ends: &'a [usize]) -> TextsCutter<'a> {
        TextsCutter { scanner, level: Level::best(), text, text_ends, position: 0 }
    }

    /// All of them.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// As [`Cutter::fill`]; behind the pieces of a text comes an empty one.
    pub(crate) fn fill(&mut self, ends: &mut Ends) -> bool {
        ends.clear();
        while let [end, rest @ ..] = self.text_ends
            && !ends.is_full()
        {
            let text = ClassedText::new(&self.text[..*end]);
            self.position = mask::fill(self.scanner, self.level, text, self.position, ends);
            // A batch that is full has room for this one yet.
            if self.position == *end {
                ends.push(*end);
                self.text_ends = rest;
            }
        }
        !ends.as_slice().is_empty()
    }
}
