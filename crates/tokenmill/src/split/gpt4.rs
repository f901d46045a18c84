//! The pattern of GPT-4 (cl100k_base) and its two descendants:
//!
//! ```text
//! gpt4    '(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s
//! llama3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//! qwen2   the same with \p{N} for \p{N}{1,3}
//! ```
//!
//! llama3 lacks `\s++$`: white space at the very end is cut after its last line break, where gpt4 keeps it whole.

use super::common::{contraction, digits, white_space_by_line};
use crate::unicode::{Class, ClassedText};

/// What tells the three apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// Longest group of digits.
    pub max_digits: usize,
    /// White space at the end of the text is one piece.
    pub whole_tail: bool,
}

pub(super) const GPT4: Rules = Rules { max_digits: 3, whole_tail: true };
pub(super) const LLAMA3: Rules = Rules { max_digits: 3, whole_tail: false };
pub(super) const QWEN2: Rules = Rules { max_digits: 1, whole_tail: false };

/// End of the piece that starts at `start`, which is before the end of the text.
pub(super) fn piece_end(text: ClassedText<'_>, start: usize, rules: Rules) -> usize {
    if let Some(end) = contraction(text.bytes(), start, true) {
        return end;
    }
    let Some((first, after_first)) = text.at(start) else { return start };
    if first.is_letter() {
        return text.run(after_first, Class::is_letter);
    }
    if first == Class::Number {
        return digits(text, start, rules.max_digits);
    }
    // Any one character that is no line break may lead a word; only a space may lead symbols.
    if first != Class::Newline && text.is(after_first, Class::is_letter) {
        return text.run(after_first, Class::is_letter);
    }
    let body = if text.bytes()[start] == b' ' { after_first } else { start };
    if text.is(body, Class::is_symbol) {
        let end = text.run(body, Class::is_symbol);
        return text.run(end, |class| class == Class::Newline);
    }
    white_space_by_line(text, start, rules.whole_tail)
}
