//! Pre-tokenization: cutting text into the pieces that BPE never merges across.
//!
//! Known patterns have a scanner each, written by hand and checked against the regular expression on all of Unicode
//! (`tests/split_oracle.rs`). Any other pattern goes through a regex engine.
//!
//! To add a pattern: write its `piece_end`, add a row to `KNOWN`, a variant to `Scanner`, and its name to the oracle test.

mod common;
mod cuts;
mod cutter;
mod gpt2;
mod gpt4;
mod gpt4o;
mod mask;
mod regex;

pub(crate) use cuts::floor;
pub(crate) use cutter::{Cutter, TextsCutter};
pub(crate) use mask::Ends;
pub(crate) use regex::RegexSplitter;

use crate::error::{Error, Result};
use crate::unicode::ClassedText;
use std::ops::Range;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scanner {
    Gpt2,
    Gpt4(gpt4::Rules),
    Gpt4o,
}

impl Scanner {
    fn piece_end(self, text: ClassedText<'_>, start: usize) -> usize {
        match self {
            Scanner::Gpt2 => gpt2::piece_end(text, start),
            Scanner::Gpt4(rules) => gpt4::piece_end(text, start, rules),
            Scanner::Gpt4o => gpt4o::piece_end(text, start),
        }
    }
}

/// A pattern with a scanner. Spellings: first the reference's own, second one for Oniguruma, the engine of Hugging
/// Face tokenizers (no possessive quantifiers on `{1,3}`, and `\z` where `$` would match at every line's end), then
/// others found in published files; all cut alike.
struct Known {
    name: &'static str,
    scanner: Scanner,
    spellings: &'static [&'static str],
}

static KNOWN: [Known; 5] = [
    Known {
        name: "gpt2",
        scanner: Scanner::Gpt2,
        spellings: &[
            r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
            r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        ],
    },
    Known {
        name: "gpt4",
        scanner: Scanner::Gpt4(gpt4::GPT4),
        spellings: &[
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
    },
    Known {
        name: "gpt4o",
        scanner: Scanner::Gpt4o,
        spellings: &[
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
    },
    Known {
        name: "llama3",
        scanner: Scanner::Gpt4(gpt4::LLAMA3),
        spellings: &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
    },
    Known {
        name: "qwen2",
        scanner: Scanner::Gpt4(gpt4::QWEN2),
        spellings: &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
    },
];

/// How text is cut: a known pattern with a hand-written scanner, or any regular expression.
#[derive(Debug, Clone)]
pub struct Pattern(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Known(usize),
    Regex(Arc<RegexSplitter>),
}

impl Pattern {
    /// A name ("gpt2", "gpt4", "gpt4o", "llama3", "qwen2") or a regular expression.
    /// The published spelling of a known pattern (tiktoken's or Hugging Face's) is recognised as that pattern.
    pub fn parse(name_or_regex: &str) -> Result<Pattern> {
        let known =
            KNOWN.iter().position(|known| known.name == name_or_regex || known.spellings.contains(&name_or_regex));
        if let Some(index) = known {
            return Ok(Pattern(Kind::Known(index)));
        }
        // "gpt5" is a fine regular expression, but never what was meant.
        if !name_or_regex.is_empty() && name_or_regex.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        {
            let names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
            return Err(Error::value(format!(
                "there is no pattern named {name_or_regex:?}; known names are {}, anything else is read as a regular expression \
                 (write ({name_or_regex}) if that text itself is the pattern)",
                names.join(", ")
            )));
        }
        Ok(Pattern(Kind::Regex(Arc::new(RegexSplitter::new(name_or_regex)?))))
    }

    /// "gpt2", ...; `None` for a regular expression of the user's own.
    pub fn name(&self) -> Option<&'static str> {
        match &self.0 {
            Kind::Known(index) => Some(KNOWN[*index].name),
            Kind::Regex(_) => None,
        }
    }

    /// The regular expression, in the spelling of the reference implementation (tiktoken for gpt2, gpt4, gpt4o).
    pub fn regex(&self) -> &str {
        match &self.0 {
            Kind::Known(index) => KNOWN[*index].spellings[0],
            Kind::Regex(splitter) => splitter.source(),
        }
    }

    /// What [`Pattern::parse`] gives this pattern for: its name, where it has one.
    pub fn name_or_regex(&self) -> &str {
        self.name().unwrap_or(self.regex())
    }

    /// The same pattern for Oniguruma, the engine of Hugging Face tokenizers.
    pub fn hugging_face_regex(&self) -> &str {
        match &self.0 {
            Kind::Known(index) => {
                let spellings = KNOWN[*index].spellings;
                spellings.get(1).unwrap_or(&spellings[0])
            }
            Kind::Regex(splitter) => splitter.source(),
        }
    }

    /// Calls `piece` with the byte range of each piece, in order. Pieces are never empty and cover the text: what a
    /// regular expression leaves unmatched is a piece too. Only a regex engine can fail.
    pub fn split(&self, text: &str, mut piece: impl FnMut(Range<usize>)) -> Result<()> {
        let mut cutter = self.cutter(text);
        let mut ends = Ends::new();
        let mut start = 0;
        while cutter.fill(&mut ends)? {
            for &end in ends.as_slice() {
                piece(start..end);
                start = end;
            }
        }
        Ok(())
    }

    /// The pieces of the texts in `text` that end at `text_ends`, in batches; `None` where a regex engine finds them.
    pub(crate) fn texts_cutter<'a>(&self, text: &'a str, text_ends: &'a [usize]) -> Option<TextsCutter<'a>> {
        match &self.0 {
            Kind::Known(index) => Some(TextsCutter::new(KNOWN[*index].scanner, text, text_ends)),
            Kind::Regex(_) => None,
        }
    }

    /// The pieces of `text` in batches.
    pub(crate) fn cutter<'a>(&'a self, text: &'a str) -> Cutter<'a> {
        match &self.0 {
            Kind::Known(index) => Cutter::known(KNOWN[*index].scanner, text),
            Kind::Regex(splitter) => Cutter::regex(splitter, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces<'a>(pattern: &str, text: &'a str) -> Vec<&'a str> {
        let mut pieces = Vec::new();
        Pattern::parse(pattern).unwrap().split(text, |range| pieces.push(&text[range])).unwrap();
        pieces
    }

    #[test]
    fn the_three_patterns_differ_where_they_should() {
        let text = "I'LL pay 12345\n\n  HTTPResponse's";
        assert_eq!(pieces("gpt2", text), ["I", "'", "LL", " pay", " 12345", "\n\n ", " HTTPResponse", "'s"]);
        assert_eq!(pieces("gpt4", text), ["I", "'LL", " pay", " ", "123", "45", "\n\n", " ", " HTTPResponse", "'s"]);
        assert_eq!(pieces("gpt4o", text), ["I'LL", " pay", " ", "123", "45", "\n\n", " ", " HTTPResponse's"]);
    }

    #[test]
    fn white_space_at_the_end_tells_gpt4_from_llama3() {
        assert_eq!(pieces("gpt4", "today\n \n "), ["today", "\n \n "]);
        assert_eq!(pieces("llama3", "today\n \n "), ["today", "\n \n", " "]);
    }

    #[test]
    fn published_spellings_are_recognised_and_names_are_checked() {
        for known in &KNOWN {
            for spelling in known.spellings {
                assert_eq!(Pattern::parse(spelling).unwrap().name(), Some(known.name));
            }
        }
        assert!(Pattern::parse("gpt5").unwrap_err().to_string().contains("gpt4o"));
        assert_eq!(Pattern::parse(r"\w+").unwrap().name(), None);
    }

    #[test]
    fn a_regex_keeps_what_it_does_not_match() {
        assert_eq!(pieces(r"[a-z]+", "ab, cd!"), ["ab", ", ", "cd", "!"]);
        assert_eq!(pieces(r"x*", "axxb"), ["a", "xx", "b"]);
        assert!(Pattern::parse("(").is_err());
    }
}
