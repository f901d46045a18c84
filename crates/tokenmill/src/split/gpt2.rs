//! The pattern of GPT-2 (r50k_base, p50k_base):
//!
//! ```text
//! '(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s
//! ```

use super::common::{contraction, white_space};
use crate::unicode::{Class, ClassedText};

/// End of the piece that starts at `start`, which is before the end of the text.
pub(super) fn piece_end(text: ClassedText<'_>, start: usize) -> usize {
    if let Some(end) = contraction(text.bytes(), start, false) {
        return end;
    }
    // One space may lead a word, a number or a group of symbols.
    let body = if text.bytes()[start] == b' ' { start + 1 } else { start };
    match text.at(body) {
        Some((class, end)) if class.is_letter() => text.run(end, Class::is_letter),
        Some((Class::Number, end)) => text.run(end, |class| class == Class::Number),
        Some((class, end)) if class.is_symbol() => text.run(end, Class::is_symbol),
        _ => white_space(text, start),
    }
}
