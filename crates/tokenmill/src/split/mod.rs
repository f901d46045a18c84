//! Pre-tokenization: cutting text into the pieces that BPE never merges across.

use crate::error::Result;
use std::ops::Range;

/// How text is cut: a known pattern with a hand-written scanner, or any regular expression.
#[derive(Debug, Clone)]
pub struct Pattern {}

impl Pattern {
    /// A name ("gpt2", "gpt4", "gpt4o", "llama3", "qwen2") or a regular expression.
    /// The published spelling of a known pattern (tiktoken's or Hugging Face's) is recognised as that pattern.
    pub fn parse(name_or_regex: &str) -> Result<Pattern> {
        let _ = name_or_regex;
        todo!()
    }
    /// "gpt2", ...; `None` for a regular expression of the user's own.
    pub fn name(&self) -> Option<&'static str> {
        todo!()
    }
    /// The regular expression, in the spelling of the reference implementation (tiktoken for gpt2, gpt4, gpt4o).
    pub fn regex(&self) -> &str {
        todo!()
    }
    /// The same pattern for Oniguruma, the engine of Hugging Face tokenizers.
    pub fn hugging_face_regex(&self) -> &str {
        todo!()
    }
    /// Calls `piece` with the byte range of each piece, in order. Pieces cover the text.
    pub fn split(&self, text: &str, piece: impl FnMut(Range<usize>)) -> Result<()> {
        let _ = (text, piece);
        todo!()
    }
}
