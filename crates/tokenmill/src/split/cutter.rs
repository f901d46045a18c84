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
